/* Nanoseconds per call, printed as `name ns`: the calls that every program makes and the agent has no interest
 * in, and the calls on TCP streams that it does or does not follow. One process, one thread; scripts/bench
 * runs it bare, under a preload that does nothing and under the agent, in turn, and takes medians. */
#include "../tests/elf/http_min.h"

static double begin_at;
static void begin(void) { begin_at = now_s(); }
static void end(const char *name, long calls) { printf("%s %.2f\n", name, (now_s() - begin_at) / (double)calls * 1e9); }

static void uninteresting(long n) {
    char b = 'x';
    int null = SYS(open("/dev/null", O_RDWR)), zero = SYS(open("/dev/zero", O_RDONLY)), file = SYS(memfd_create("bench", 0)), p[2];
    SYS(pipe(p));
    begin();
    for (long i = 0; i < n; i++) CHECK(write(null, &b, 1) == 1);
    end("write-devnull", n);
    begin();
    for (long i = 0; i < n; i++) CHECK(read(null, &b, 1) == 0);
    end("read-devnull", n);
    begin();
    for (long i = 0; i < n; i++) CHECK(read(zero, &b, 1) == 1);
    end("read-devzero", n);
    begin();
    for (long i = 0; i < n; i++) CHECK(write(p[1], &b, 1) == 1 && read(p[0], &b, 1) == 1);
    end("pipe-write-or-read", 2 * n);
    begin();
    for (long i = 0; i < n; i++) CHECK(write(file, &b, 1) == 1);
    end("write-file", n);
    SYS(lseek(file, 0, SEEK_SET));
    begin();
    for (long i = 0; i < n; i++) CHECK(read(file, &b, 1) == 1);
    end("read-file", n);
    begin();
    for (long i = 0; i < n; i++) CHECK(write(-1, &b, 1) == -1);
    end("write-bad-fd", n); /* nearly only the way into the kernel: shows the hook's own cost best */
    begin();
    for (long i = 0; i < n / 4; i++) SYS(close(SYS(dup(null))));
    end("dup-or-close", n / 2);
    begin();
    for (long i = 0; i < n; i++) CHECK(syscall(SYS_getppid) > 0);
    end("syscall-getppid", n);
}

static void streams(long n) {
    int c, s;
    char b[64] = "\0\1\2 not a protocol that anybody knows\n";
    tcp_pair(&c, &s);
    for (int i = 0; i < 100; i++) CHECK(send(c, b, 40, 0) == 40 && recv(s, b, 40, MSG_WAITALL) == 40);
    begin();
    for (long i = 0; i < n; i++) CHECK(send(c, b, 40, 0) == 40 && recv(s, b, 40, 0) == 40);
    end("tcp-other-send-or-recv", 2 * n);
    SYS(close(c));
    SYS(close(s));

    tcp_pair(&c, &s); /* the body of an announced length, in small calls */
    char head[] = "GET /body HTTP/1.1\r\nHost: a\r\n\r\n", answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n", got[512];
    CHECK(send(c, head, sizeof head - 1, 0) == sizeof head - 1);
    CHECK(recv(s, got, sizeof got, 0) >= (ssize_t)sizeof head - 1);
    CHECK(send(s, answer, sizeof answer - 1, 0) == sizeof answer - 1);
    CHECK(recv(c, got, sizeof answer - 1, MSG_WAITALL) == sizeof answer - 1);
    begin();
    for (long i = 0; i < n; i++) CHECK(send(s, b, 40, 0) == 40 && recv(c, b, 40, 0) == 40);
    end("tcp-http-body-send-or-recv", 2 * n);
    SYS(close(c));
    SYS(close(s));

    tcp_pair(&c, &s); /* whole exchanges: two spans, one context header, four calls */
    char request[HTTP_MAX], reply[HTTP_MAX];
    size_t rn = http_request_text(request, "/bench/1234"), an = http_response_text(reply, "/bench/1234");
    begin();
    for (long i = 0; i < n / 4; i++) {
        CHECK(send(c, request, rn, 0) == (ssize_t)rn && recv(s, got, sizeof got, 0) >= (ssize_t)rn);
        CHECK(send(s, reply, an, 0) == (ssize_t)an && recv(c, got, sizeof got, 0) == (ssize_t)an);
    }
    end("http-exchange-both-sides", n / 4);
    SYS(close(c));
    SYS(close(s));

    int port, l = listen_loopback(&port);
    begin();
    for (long i = 0; i < n / 20; i++) {
        c = dial(port);
        s = SYS(accept(l, NULL, NULL));
        SYS(setsockopt(c, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
        SYS(close(c));
        SYS(close(s));
    }
    end("tcp-connect-accept-close", n / 20);
}

int main(int argc, char **argv) {
    long n = argc > 1 ? atol(argv[1]) : 200000;
    story(120);
    uninteresting(n);
    streams(n / 4);
    return fflush(stdout) == 0 ? 0 : 1;
}
