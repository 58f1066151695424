/* Bodies that never pass through the program's memory: sendfile and sendfile64 after a written head, splice
 * from a pipe, a splice proxy between client and server; a big file in many calls; a body that contains
 * whole HTTP requests and answers. Byte-exact, and one span each. Lessons 74, 96; runtimes 5. */
#include "http_min.h"
#include <sys/sendfile.h>

enum { SIZE = 3 << 20 };
static int file;
static unsigned char pattern(size_t i) { return (unsigned char)(i * 2654435761u >> 13); }

static void *serve(void *arg) { /* sendfile, sendfile64, splice through a pipe, in turn */
    int fd = *(int *)arg;
    char head[HTTP_MAX];
    for (int i = 0; i < 6; i++) {
        size_t len = 0;
        while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
            ssize_t r = recv(fd, head + len, sizeof head - len, 0);
            CHECK(r > 0);
            len += (size_t)r;
        }
        http_check_context("/big", http_strip_context(head, &len));
        size_t n = text_add(head, 0, "HTTP/1.1 200 OK\r\nContent-Length: ");
        n = text_add_number(head, n, SIZE);
        n = text_add(head, n, "\r\n\r\n");
        CHECK(send(fd, head, n, MSG_MORE) == (ssize_t)n);
        off_t at = 0;
        off64_t at64 = 0;
        int p[2];
        SYS(pipe(p));
        for (size_t sent = 0; sent < SIZE;) {
            ssize_t r;
            if (i % 3 == 0) {
                r = SYS(sendfile(fd, file, &at, SIZE - sent));
            } else if (i % 3 == 1) {
                r = SYS(sendfile64(fd, file, &at64, SIZE - sent));
            } else {
                ssize_t in = SYS(splice(file, &at64, p[1], NULL, 65536, 0));
                CHECK(in > 0);
                for (ssize_t left = in; left > 0;) left -= SYS(splice(p[0], NULL, fd, NULL, (size_t)left, SPLICE_F_MORE));
                r = in;
            }
            CHECK(r > 0);
            sent += (size_t)r;
            CHECK((i % 3 == 0 ? at : at64) == (off_t)sent);
        }
        SYS(close(p[0]));
        SYS(close(p[1]));
    }
    SYS(close(fd));
    return NULL;
}

/* A proxy that moves bytes with splice only and never sees them */
static int up_port;
static void *pump(void *arg) {
    int *way = arg, p[2];
    ssize_t n;
    SYS(pipe(p));
    while ((n = SYS(splice(way[0], NULL, p[1], NULL, 65536, SPLICE_F_MOVE))) > 0)
        while (n > 0) n -= SYS(splice(p[0], NULL, way[1], NULL, (size_t)n, SPLICE_F_MOVE));
    shutdown(way[1], SHUT_WR);
    SYS(close(p[0]));
    SYS(close(p[1]));
    return NULL;
}

int main(void) {
    int c, s;
    pthread_t t, back;
    static unsigned char body[SIZE];
    static const char decoy[] = "\r\n\r\nGET /decoy HTTP/1.1\r\nHost: decoy\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    story(60);
    file = SYS(memfd_create("body", 0));
    for (size_t i = 0; i < SIZE; i++) body[i] = pattern(i);
    for (size_t at = 0; at + sizeof decoy < SIZE; at += 100003) memcpy(body + at, decoy, sizeof decoy - 1);
    CHECK(write(file, body, SIZE) == SIZE);
    tcp_pair(&c, &s);
    CHECK0(pthread_create(&t, NULL, serve, &s));
    for (int i = 0; i < 6; i++) {
        char head[HTTP_MAX];
        size_t len = 0;
        http_send_get(c, (enum out_way)(i % OUT_WAYS), "/big");
        while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) CHECK(recv(c, head + len++, 1, 0) == 1);
        for (size_t got = 0; got < SIZE;) {
            char part[65536];
            ssize_t r = SYS(recv(c, part, SIZE - got < sizeof part ? SIZE - got : sizeof part, 0));
            CHECK(r > 0 && memcmp(part, body + got, (size_t)r) == 0);
            got += (size_t)r;
        }
    }
    SYS(close(c));
    CHECK0(pthread_join(t, NULL));

    struct server server = {0};
    server_start(&server);
    up_port = server.port;
    int front, proxy;
    tcp_pair(&front, &proxy);
    int up = dial(up_port), there[2] = {proxy, up}, home[2] = {up, proxy};
    CHECK0(pthread_create(&t, NULL, pump, there));
    CHECK0(pthread_create(&back, NULL, pump, home));
    for (int i = 0; i < 20; i++) http_get(front, "/through-splice");
    SYS(shutdown(front, SHUT_WR));
    CHECK0(pthread_join(t, NULL));
    CHECK0(pthread_join(back, NULL));
    SYS(close(front));
    SYS(close(proxy));
    SYS(close(up));
    CHECK(server_stop(&server) == 20);
    return finish(26, 26);
}
