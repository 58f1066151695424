/* A storm of signals without SA_RESTART at a thread in blocking accept, connect, read, write, recv, poll,
 * nanosleep: each call either works or fails with EINTR, no byte is lost or doubled, and a program that
 * gets no signal never sees EINTR (the agent's own thread must not cause any). Lessons 33, 41. */
#include "http_min.h"

static volatile sig_atomic_t ticks;
static atomic_bool stop;
static pthread_t target;
static void on_usr1(int sig) {
    (void)sig;
    ticks = ticks + 1;
}
static void *shooter(void *arg) {
    while (!atomic_load(&stop)) {
        CHECK0(pthread_kill(target, SIGUSR1));
        usleep(50);
    }
    return arg;
}

int main(void) {
    struct server s = {0};
    pthread_t t;
    int requests = 0, eintr = 0;
    story(60);
    server_start(&s);
    /* no storm yet: nothing may be interrupted */
    http_call(s.port, "/calm"), requests++;
    for (int i = 0; i < 20; i++) {
        struct timespec ts = {0, 10000000}, left = {9, 9};
        CHECK(nanosleep(&ts, &left) == 0 && left.tv_sec == 9);
        CHECK(poll(NULL, 0, 5) == 0);
        CHECK(select(0, NULL, NULL, NULL, &(struct timeval){0, 2000}) == 0);
    }
    struct sigaction a = {.sa_handler = on_usr1};
    SYS(sigaction(SIGUSR1, &a, NULL));
    target = pthread_self();
    int port, l = listen_loopback(&port), p[2];
    SYS(pipe(p));
    CHECK0(pthread_create(&t, NULL, shooter, NULL));
    int fd = dial(s.port);
    for (int i = 0; i < 2000; i++, requests++) http_get(fd, "/storm");
    SYS(close(fd));
    for (int i = 0; i < 200; i++, requests++) http_call(s.port, "/storm");
    for (int i = 0; i < 50; i++) { /* blocked for good: only EINTR can end these */
        char c;
        errno = 0;
        if (accept(l, NULL, NULL) == -1 && errno == EINTR) eintr++;
        if (read(p[0], &c, 1) == -1 && errno == EINTR) eintr++;
        if (syscall(SYS_read, p[0], &c, 1L) == -1 && errno == EINTR) eintr++;
    }
    CHECK(eintr == 150);
    CHECK(ticks >= eintr); /* no more interruptions than signals */
    atomic_store(&stop, true);
    CHECK0(pthread_join(t, NULL));
    CHECK(server_stop(&s) == requests);
    return finish_range(1, requests, 1, requests);
}
