/* Eight threads do HTTP at full speed while main forks 1,000 times; each child makes one HTTP call with a
 * deadline of its own and leaves by _exit. A child that inherits a held lock, or shares a connection with
 * its parent, hangs or breaks here. Lessons 1, 2, 3, 6, 82. */
#include "http_min.h"

static struct server server;
static atomic_bool stop;
static atomic_int calls;

static void *hammer(void *arg) {
    while (!atomic_load(&stop)) {
        int fd = dial(server.port);
        for (int i = 0; i < 20 && !atomic_load(&stop); i++) {
            http_get(fd, "/thread");
            atomic_fetch_add(&calls, 1);
        }
        SYS(close(fd));
    }
    return arg;
}

int main(int argc, char **argv) {
    int forks = argc > 1 ? atoi(argv[1]) : 1000;
    pthread_t t[8];
    story(180);
    server_start(&server);
    for (int i = 0; i < 8; i++) CHECK0(pthread_create(&t[i], NULL, hammer, NULL));
    for (int i = 0; i < forks; i++) {
        pid_t pid = i % 4 == 3 ? SYS((pid_t)syscall(SYS_fork)) : SYS(fork()); /* one in four without libc's knowledge */
        if (pid == 0) {
            child_story(10);
            http_call(server.port, "/child");
            _exit(0);
        }
        reap(pid);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 8; i++) CHECK0(pthread_join(t[i], NULL));
    int served = server_stop(&server);
    CHECK(served == atomic_load(&calls) + forks);
    /* the load may overflow the span queue (drops are counted); what the children sent may not be lost */
    return finish_range(1, served, forks * 3 / 4, served); /* see fork_kinds.c about the fourth */
}
