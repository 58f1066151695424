/* Two threads open and close at full speed so that descriptor numbers change owner all the time; others
 * carry HTTP. Whoever gets a number must get it clean: connections carry either HTTP or canary bytes that
 * look like a request cut short or are no protocol at all, and each byte is checked at the peer. One
 * thread closes connections under a reader at random times. Lessons 27, 28, 30, 31. */
#include "http_min.h"

static int port;
static atomic_bool stop;
static atomic_int http_done, raw_done;

/* "raw" connections start with 'X' and are echoed to the end; others are HTTP. */
static void *one_connection(void *arg) {
    int fd = (int)(intptr_t)arg;
    char c = 0, block[64];
    CHECK(recv(fd, &c, 1, MSG_PEEK) >= 0);
    if (c == 'X') {
        ssize_t n;
        while ((n = read(fd, block, sizeof block)) > 0) out_all(OUT_WRITE, fd, block, (size_t)n);
        SYS(close(fd));
    } else if (c == 0) {
        SYS(close(fd));
    } else {
        http_serve_connection(fd);
    }
    return NULL;
}
static void *acceptor(void *arg) {
    int l = *(int *)arg;
    pthread_attr_t a;
    CHECK0(pthread_attr_init(&a));
    CHECK0(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
    for (;;) {
        pthread_t t;
        int fd = accept(l, NULL, NULL);
        if (fd < 0) return NULL;
        CHECK0(pthread_create(&t, &a, one_connection, (void *)(intptr_t)fd));
    }
}

static void *http_side(void *arg) {
    while (!atomic_load(&stop)) {
        http_call(port, "/maybe/race");
        atomic_fetch_add(&http_done, 1);
    }
    return arg;
}
static void *raw_side(void *arg) {
    static const char canary[] = "X marks\r\nGET /canary HTTP/1.1\r\nHost: x\r\n\r\n tail";
    char got[sizeof canary];
    while (!atomic_load(&stop)) {
        int fd = dial(port);
        CHECK(write(fd, canary, sizeof canary) == sizeof canary);
        CHECK(in_all(IN_READ, fd, got, sizeof got) && memcmp(got, canary, sizeof canary) == 0);
        SYS(close(fd));
        atomic_fetch_add(&raw_done, 1);
    }
    return arg;
}
static void *file_side(void *arg) {
    static const char text[] = "GET /in-a-file HTTP/1.1\r\nHost: file\r\n\r\n";
    char got[sizeof text];
    while (!atomic_load(&stop)) {
        int fd = SYS(memfd_create("race", 0));
        CHECK(write(fd, text, sizeof text) == sizeof text);
        CHECK(pread(fd, got, sizeof got, 0) == sizeof got && memcmp(got, text, sizeof text) == 0);
        SYS(close(fd));
    }
    return arg;
}
static void *blocked_reader(void *arg) {
    char c;
    ssize_t n = recv(*(int *)arg, &c, 1, 0);
    CHECK(n == 0 || (n == -1 && (errno == EBADF || errno == ECONNRESET)));
    return NULL;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 2;
    pthread_t t[6], reader;
    story(60);
    signal(SIGPIPE, SIG_IGN);
    int l = listen_loopback(&port);
    CHECK0(pthread_create(&t[0], NULL, acceptor, &l));
    void *(*side[5])(void *) = {http_side, http_side, raw_side, raw_side, file_side};
    for (int i = 0; i < 5; i++) CHECK0(pthread_create(&t[i + 1], NULL, side[i], NULL));
    for (double end = now_s() + seconds; now_s() < end;) {
        int a, b;
        int pair_port, pl = listen_loopback(&pair_port);
        a = dial(pair_port);
        b = SYS(accept(pl, NULL, NULL));
        SYS(close(pl));
        CHECK0(pthread_create(&reader, NULL, blocked_reader, &a));
        sched_yield();
        SYS(shutdown(a, SHUT_RDWR)); /* wakes the reader; the close races with its return */
        SYS(close(b));
        CHECK0(pthread_join(reader, NULL));
        SYS(close(a));
    }
    atomic_store(&stop, true);
    for (int i = 1; i < 6; i++) CHECK0(pthread_join(t[i], NULL));
    SYS(shutdown(l, SHUT_RDWR));
    CHECK0(pthread_join(t[0], NULL));
    CHECK(atomic_load(&http_done) > 0 && atomic_load(&raw_done) > 0);
    return finish_range(1, http_done, 1, http_done);
}
