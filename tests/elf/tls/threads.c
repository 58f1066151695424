/* Processes, threads, signals and jumps: a session that a forked child goes on with, 16 threads with sessions of their own, a
 * handler that interrupts SSL_write and uses plain sockets, cancellation inside SSL_read, and a longjmp out of a callback. */
#include "openssl.h"
#include <setjmp.h>

static SSL_CTX *server, *client;

/* The parent shakes hands and asks once; the child goes on. Only one of them uses the session at a time. */
static void forked(void) {
    struct service s = {0};
    int fd = service_start(&s, server);
    struct tell t = tell_of(fd);
    SSL *ssl = object(client, fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    call_and_tell(&e, "/fork/parent", t);
    fflush(stdout);
    pid_t pid = SYS(fork());
    if (pid == 0) {
        child_story(20);
        call(&e, "/fork/child", t.port, 0, 0);
        SSL_shutdown(ssl);
        exit(0);
    }
    want_both("GET", "/fork/child", t);
    reap(pid);
    SSL_set_quiet_shutdown(ssl, 1);
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == 2);
}

enum { THREADS = 16, CALLS = 20 };
static void *busy(void *arg) {
    int number = (int)(intptr_t)arg;
    struct service s = {0};
    int fd = service_start(&s, server);
    SSL *ssl = object(client, fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    struct tell *t = malloc(sizeof *t);
    CHECK(t != NULL);
    *t = tell_of(fd);
    for (int i = 0; i < CALLS; i++) {
        char path[64];
        sprintf(path, "/busy/%d/%d", number, i);
        call(&e, path, t->port, i * 200, i % 3 ? 0 : (size_t)i * 3000);
    }
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == CALLS);
    return t;
}
static void threads(void) {
    pthread_t all[THREADS];
    for (int n = 0; n < THREADS; n++) CHECK0(pthread_create(&all[n], NULL, busy, (void *)(intptr_t)n));
    for (int n = 0; n < THREADS; n++) {
        void *result;
        CHECK0(pthread_join(all[n], &result));
        for (int i = 0; i < CALLS; i++) {
            char path[64];
            sprintf(path, "/busy/%d/%d", n, i);
            want_both(i % 3 || i == 0 ? "GET" : "POST", path, *(struct tell *)result);
        }
        free(result);
    }
}

/* ---- a handler inside SSL_write ---- */
static struct server plain;
static volatile sig_atomic_t in_write, handled, interrupted;
static void handler(int sig) {
    (void)sig;
    int e = errno;
    interrupted += in_write;
    http_call(plain.port, "/maybe");
    handled++;
    errno = e;
}
static void signals(void) {
    struct service s = {0};
    sigset_t alarm, old;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGVTALRM);
    CHECK0(pthread_sigmask(SIG_BLOCK, &alarm, &old)); /* for the servers' threads */
    server_start(&plain);
    int fd = service_start(&s, server);
    struct tell t = tell_of(fd);
    SSL *ssl = object(client, fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
    SYS(sigaction(SIGVTALRM, &a, NULL));
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    SYS(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec often = {{0, 400000}, {0, 400000}}, never = {0};
    CHECK0(pthread_sigmask(SIG_SETMASK, &old, NULL));
    SYS(timer_settime(timer, 0, &often, NULL));
    int requests = 0;
    while (requests < 40 || interrupted < 5) {
        char path[64];
        size_t len;
        sprintf(path, "/signals/%d", requests++);
        char *text = request(path, t.port, 2000, 60000, &len);
        in_write = 1;
        send_all(&e, text, len);
        in_write = 0;
        expect_answer(&e, hash(text, len));
        free(text);
    }
    SYS(timer_settime(timer, 0, &never, NULL));
    SYS(timer_delete(timer));
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == requests && server_stop(&plain) == handled);
    puts("uncounted"); /* how many there were is the machine's affair */
}

/* ---- cancelled inside SSL_read, for good inside ---- */
static atomic_int reading, cleaned;
static void cleanup(void *arg) {
    (void)arg;
    atomic_fetch_add(&cleaned, 1);
}
static void *reads_for_ever(void *arg) {
    char c;
    pthread_cleanup_push(cleanup, NULL);
    atomic_fetch_add(&reading, 1);
    SSL_read(arg, &c, 1);
    CHECK(!"SSL_read came back");
    pthread_cleanup_pop(1);
    return NULL;
}
static void cancelled(void) {
    for (int i = 0; i < 10; i++) {
        struct service s = {0};
        int fd = service_start(&s, server);
        struct tell t = tell_of(fd);
        SSL *ssl = object(client, fd, false);
        TLS(ssl, SSL_connect(ssl));
        struct end e = ssl_end(ssl, fd);
        char path[64];
        sprintf(path, "/cancelled/%d", i);
        call_and_tell(&e, path, t);
        pthread_t reader;
        void *how;
        CHECK0(pthread_create(&reader, NULL, reads_for_ever, ssl));
        while (atomic_load(&reading) != i + 1) sched_yield();
        if (i % 2) usleep(2000);
        CHECK0(pthread_cancel(reader));
        CHECK0(pthread_join(reader, &how));
        CHECK(how == PTHREAD_CANCELED && atomic_load(&cleaned) == i + 1);
        sprintf(path, "/cancelled/%d/after", i); /* an idle read was given up: the object can be used */
        call_and_tell(&e, path, t);
        finish_ssl(ssl, fd);
        CHECK(service_end(&s) == 2);
    }
}

/* ---- out of a callback by longjmp, and then the same call with the same buffer ---- */
static jmp_buf out;
static int jumps;
static void jumping(int writing, int version, int type, const void *data, size_t len, SSL *ssl, void *arg) {
    (void)version, (void)data, (void)len, (void)ssl, (void)arg;
    if (!writing && type == SSL3_RT_HEADER && jumps > 0) {
        jumps--;
        longjmp(out, 1);
    }
}
static void jumped(void) {
    struct service s = {0};
    int fd = service_start(&s, server);
    struct tell t = tell_of(fd);
    SSL *ssl = object(client, fd, false);
    static char got[64];
    char wanted[64], path[64];
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    call_and_tell(&e, "/jump/before", t);
    SSL_set_msg_callback(ssl, jumping);
    static size_t len;
    static char *text;
    static volatile int i;
    for (i = 0; i < 3; i++) {
        sprintf(path, "/jump/%d", i);
        text = request(path, t.port, 0, 0, &len);
        send_all(&e, text, len);
        jumps = 1;
        if (setjmp(out) == 0) {
            SSL_read(ssl, got, sizeof got);
            CHECK(!"no jump");
        }
        CHECK(SSL_read(ssl, got, sizeof got) == 55); /* the header is there already */
        CHECK(answer(wanted, hash(text, len)) == 55 && memcmp(got, wanted, 55) == 0);
        free(text);
        want_both("GET", path, t);
    }
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == 4);
}

int main(int argc, char **argv) {
    story(60);
    signal(SIGPIPE, SIG_IGN);
    server = context(true, 0);
    client = context(false, 0);
    CHECK(argc == 2);
    if (strcmp(argv[1], "fork") == 0) forked();
    else if (strcmp(argv[1], "threads") == 0) threads();
    else if (strcmp(argv[1], "signals") == 0) signals();
    else if (strcmp(argv[1], "cancel") == 0) cancelled();
    else jumped();
    return finished();
}
