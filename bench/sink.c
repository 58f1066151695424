/* The fastest OTLP/HTTP sink that will do: accepts any POST, answers 200, counts requests, bytes and spans
 * (uncompressed protobuf). Prints its port; on SIGTERM prints `requests bytes spans`. One thread, epoll. */
#include "../tests/elf/elf.h"
#include <sys/epoll.h>

enum { MAX_CONNECTIONS = 4096 };
struct connection {
    size_t len, cap;
    char *data;
};
static struct connection table[MAX_CONNECTIONS];
static long requests, bytes, spans;
static volatile sig_atomic_t stop;
static void on_term(int sig) {
    (void)sig;
    stop = 1;
}

/* Calls down into field `number` of the message, `depth` levels; counts the messages at the last one. */
static long count(const unsigned char *p, const unsigned char *end, int depth) {
    static const unsigned field[] = {1, 2, 2}; /* resource_spans, scope_spans, spans */
    long n = 0;
    while (p < end) {
        uint64_t v[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            int shift = 0;
            while (p < end) {
                v[i] |= (uint64_t)(*p & 127) << shift;
                shift += 7;
                if (*p++ < 128 || shift > 56) break;
            }
            if (i == 0 && (v[0] & 7) == 1) p += 8;
            if (i == 0 && (v[0] & 7) == 5) p += 4;
            if ((v[0] & 7) == 1 || (v[0] & 7) == 5) break;
        }
        if ((v[0] & 7) != 2) continue;
        if (v[1] > (uint64_t)(end - p)) return n;
        if (v[0] >> 3 == field[depth]) n += depth == 2 ? 1 : count(p, p + v[1], depth + 1);
        p += v[1];
    }
    return n;
}

/* Takes whole requests out of the buffer; false when the connection is to be closed. */
static bool serve(int fd, struct connection *c) {
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
    for (;;) {
        char *end = memmem(c->data, c->len, "\r\n\r\n", 4);
        if (end == NULL) return true;
        size_t head = (size_t)(end + 4 - c->data), body = 0;
        for (char *p = c->data; p < end; p = (char *)memmem(p, (size_t)(end + 2 - p), "\r\n", 2) + 2)
            if (strncasecmp(p, "content-length:", 15) == 0) body = strtoul(p + 15, NULL, 10);
        if (c->len < head + body) return true;
        requests++;
        bytes += (long)body;
        spans += count((unsigned char *)c->data + head, (unsigned char *)c->data + head + body, 0);
        if (send(fd, ok, sizeof ok - 1, MSG_NOSIGNAL) != sizeof ok - 1) return false;
        memmove(c->data, c->data + head + body, c->len - head - body);
        c->len -= head + body;
    }
}

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct sigaction on = {.sa_handler = on_term};
    SYS(sigaction(SIGTERM, &on, NULL));
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int l = SYS(socket(AF_INET, SOCK_STREAM, 0)), ep = SYS(epoll_create1(EPOLL_CLOEXEC));
    SYS(bind(l, (struct sockaddr *)&a, sizeof a));
    SYS(listen(l, 1024));
    SYS(getsockname(l, (struct sockaddr *)&a, &len));
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    SYS(epoll_ctl(ep, EPOLL_CTL_ADD, l, &(struct epoll_event){.events = EPOLLIN, .data.fd = l}));
    while (!stop) {
        struct epoll_event e[64];
        int n = epoll_wait(ep, e, 64, -1);
        for (int i = 0; i < n; i++) {
            int fd = e[i].data.fd;
            if (fd == l) {
                fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0) continue;
                if (fd >= MAX_CONNECTIONS) {
                    close(fd);
                    continue;
                }
                table[fd].len = 0;
                SYS(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd}));
                continue;
            }
            struct connection *c = &table[fd];
            if (c->cap - c->len < 65536) CHECK((c->data = realloc(c->data, c->cap = c->cap * 2 + 131072)) != NULL);
            ssize_t r = recv(fd, c->data + c->len, c->cap - c->len, 0);
            if (r > 0) c->len += (size_t)r;
            if (r <= 0 || !serve(fd, c)) close(fd);
        }
    }
    printf("%ld %ld %ld\n", requests, bytes, spans);
    return fflush(stdout) == 0 ? 0 : 1;
}
