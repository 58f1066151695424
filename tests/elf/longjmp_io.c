/* A handler leaves blocking read, recv and accept by siglongjmp, again and again: nothing of the hooks may
 * be left behind (a held lock, a "we are inside the agent" mark): HTTP goes on with its context. Lesson 39. */
#include "http_min.h"
#include <setjmp.h>
#include <sys/time.h>

static sigjmp_buf out;
static void on_usr1(int sig) {
    (void)sig;
    siglongjmp(out, 1);
}
static atomic_int armed;
static pthread_t target;
static void *shooter(void *arg) {
    for (int i = 0; i < 300; i++) {
        while (atomic_load(&armed) != i + 1) sched_yield();
        usleep(200); /* most shots hit the blocked call, the others the way there: both must be harmless */
        CHECK0(pthread_kill(target, SIGUSR1));
    }
    return arg;
}

int main(void) {
    struct server s = {0};
    pthread_t t;
    volatile int i, requests = 0;
    int port, l = listen_loopback(&port), c, idle;
    story(60);
    struct sigaction a = {.sa_handler = on_usr1};
    SYS(sigaction(SIGUSR1, &a, NULL));
    server_start(&s);
    tcp_pair(&c, &idle);
    int fd = dial(s.port);
    target = pthread_self();
    CHECK0(pthread_create(&t, NULL, shooter, NULL));
    for (i = 0; i < 300; i++) {
        if (sigsetjmp(out, 1) == 0) {
            char b;
            atomic_store(&armed, i + 1);
            if (i % 4 == 0) read(idle, &b, 1) == 0 ? abort() : (void)0;
            if (i % 4 == 1) recv(idle, &b, 1, 0) == 0 ? abort() : (void)0;
            if (i % 4 == 2) accept(l, NULL, NULL) == 0 ? abort() : (void)0;
            if (i % 4 == 3) syscall(SYS_read, idle, &b, 1L) == 0 ? abort() : (void)0;
            CHECK(!"a blocked call came back");
        }
        http_get(fd, "/after-longjmp"), requests++;
    }
    CHECK0(pthread_join(t, NULL));
    SYS(close(fd));
    CHECK(server_stop(&s) == requests);
    return finish(requests, requests);
}
