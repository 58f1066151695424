/* HTTP on descriptors 1023, 1024, 65,535 and 70,000, and calls with numbers that no table may be indexed
 * with (-1, INT_MAX, INT_MIN). Lesson 29. */
#include "http_min.h"

int main(void) {
    static const int numbers[] = {255, 1023, 1024, 1025, 4096, 65535, 65536, 70000};
    struct rlimit r, want;
    struct server s = {0};
    int requests = 0, top = 70001;
    char c;
    story(30);
    SYS(getrlimit(RLIMIT_NOFILE, &r));
    want = (struct rlimit){(rlim_t)top, r.rlim_max < (rlim_t)top ? (rlim_t)top : r.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &want) != 0) { /* not privileged: as far as we may */
        top = (int)r.rlim_max;
        r.rlim_cur = r.rlim_max;
        SYS(setrlimit(RLIMIT_NOFILE, &r));
    }
    server_start(&s);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i] >= top) continue;
        int low = dial(s.port), high = SYS(fcntl(low, F_DUPFD_CLOEXEC, numbers[i]));
        CHECK(high == numbers[i]);
        SYS(close(low));
        for (int k = 0; k < 3; k++, requests++) http_get(high, "/high");
        SYS(close(high));
        /* and a connection that was never known under a low number */
        CHECK(dup2(s.fd, numbers[i]) == numbers[i]);
        SYS(close(numbers[i]));
    }
    const int none[] = {-1, INT_MAX, INT_MIN, 71000, 1 << 24, (1 << 30) + 3};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        FAILS(read(none[i], &c, 1), EBADF);
        FAILS(write(none[i], "GET / HTTP/1.1\r\n\r\n", 18), EBADF);
        FAILS(send(none[i], "x", 1, 0), EBADF);
        FAILS(recv(none[i], &c, 1, 0), EBADF);
        FAILS(close(none[i]), EBADF);
        FAILS(shutdown(none[i], SHUT_WR), EBADF);
        FAILS(accept(none[i], NULL, NULL), EBADF);
        FAILS(dup(none[i]), EBADF);
        FAILS(dup2(0, none[i]), EBADF);
        FAILS(connect(none[i], (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET}, 16), EBADF);
        FAILS(syscall(SYS_write, none[i], "x", 1L), EBADF);
    }
    CHECK(server_stop(&s) == requests);
    return finish(requests, requests);
}
