/* HTTP over a UNIX socket (path and abstract), IPv6, IPv4 mapped into IPv6, and a socketpair: bytes and errno
 * as ever. Lesson 107; runtimes 5 (AF_INET6, UNIX sockets). */
#include "http_min.h"
#include <stddef.h>

static int requests;
static void *serve(void *arg) {
    int l = *(int *)arg, fd = SYS(accept(l, NULL, NULL));
    CHECK(http_serve_connection(fd) == 10);
    return NULL;
}
static void over(int l, int domain, struct sockaddr *a, socklen_t n, const char *path) {
    pthread_t t;
    CHECK0(pthread_create(&t, NULL, serve, &l));
    int fd = SYS(socket(domain, SOCK_STREAM, 0));
    SYS(connect(fd, a, n));
    for (int i = 0; i < 10; i++, requests++) http_get(fd, path);
    SYS(close(fd));
    CHECK0(pthread_join(t, NULL));
    SYS(close(l));
}

int main(void) {
    story(30);
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    char dir[80];
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%.60s/elf-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(dir) != NULL);
    snprintf(u.sun_path, sizeof u.sun_path, "%s/sock", dir);
    int l = SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    SYS(bind(l, (struct sockaddr *)&u, sizeof u));
    SYS(listen(l, 5));
    over(l, AF_UNIX, (struct sockaddr *)&u, sizeof u, "/maybe/unix");
    int fd = SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(connect(fd, (struct sockaddr *)&u, sizeof u), ECONNREFUSED);
    SYS(unlink(u.sun_path));
    FAILS(connect(fd, (struct sockaddr *)&u, sizeof u), ENOENT);
    FAILS(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), ENOTCONN);
    SYS(close(fd));
    SYS(rmdir(dir));
    u = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(u.sun_path + 1, sizeof u.sun_path - 1, "elf-abstract-%d", (int)getpid());
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(u.sun_path + 1));
    l = SYS(socket(AF_UNIX, SOCK_STREAM, 0));
    SYS(bind(l, (struct sockaddr *)&u, n));
    SYS(listen(l, 5));
    over(l, AF_UNIX, (struct sockaddr *)&u, n, "/maybe/abstract");
    int unix_requests = requests;

    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof six;
    l = socket(AF_INET6, SOCK_STREAM, 0);
    if (l >= 0 && bind(l, (struct sockaddr *)&six, sizeof six) == 0) {
        SYS(listen(l, 5));
        SYS(getsockname(l, (struct sockaddr *)&six, &len));
        over(l, AF_INET6, (struct sockaddr *)&six, sizeof six, "/six");
        six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
        l = SYS(socket(AF_INET6, SOCK_STREAM, 0));
        SYS(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)));
        CHECK(inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr) == 1);
        SYS(bind(l, (struct sockaddr *)&six, sizeof six));
        SYS(listen(l, 5));
        SYS(getsockname(l, (struct sockaddr *)&six, &len));
        struct sockaddr_in four = loopback(ntohs(six.sin6_port));
        over(l, AF_INET, (struct sockaddr *)&four, sizeof four, "/mapped-server");
        l = listen_loopback(&(int){0});
        len = sizeof four;
        SYS(getsockname(l, (struct sockaddr *)&four, &len));
        six.sin6_port = four.sin_port;
        over(l, AF_INET6, (struct sockaddr *)&six, sizeof six, "/mapped-client");
    } else {
        if (l >= 0) SYS(close(l));
        puts("no IPv6 here");
    }
    /* two failed connects; UNIX sockets: FastCGI, nscd and the like go there too; whether HTTP on them makes spans is documented elsewhere */
    return finish_range(requests - unix_requests, requests, requests - unix_requests, requests + 2);
}
