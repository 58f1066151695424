/* vfork and posix_spawn under load. The child of a vfork shares our memory: it closes, dups and closes
 * ranges of descriptors before exec or _exit, and none of that may touch what the parent knows about its
 * own connections, which stay in use all the time. Lessons 7, 12, 28. */
#include "http_min.h"
#include <spawn.h>

extern char **environ;
static struct server server;
static atomic_bool stop;
static atomic_int calls;

static void *hammer(void *arg) {
    int fd = dial(server.port); /* one connection for the whole storm */
    while (!atomic_load(&stop)) {
        http_get(fd, "/thread");
        atomic_fetch_add(&calls, 1);
    }
    SYS(close(fd));
    return arg;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 2000;
    if (argc > 1 && strcmp(argv[1], "child") == 0) _exit(9);
    char self[] = "/proc/self/exe", *args[] = {argv[0], "child", NULL}, *empty[] = {NULL};
    pthread_t t[2];
    story(240);
    int null = SYS(open("/dev/null", O_RDWR | O_CLOEXEC));
    server_start(&server);
    for (int i = 0; i < 2; i++) CHECK0(pthread_create(&t[i], NULL, hammer, NULL));
    int mine = dial(server.port);
    for (int i = 0; i < rounds; i++) {
        int status;
        pid_t pid;
        if (i % 4 == 3) {
            posix_spawn_file_actions_t fa;
            CHECK0(posix_spawn_file_actions_init(&fa));
            CHECK0(posix_spawn_file_actions_addclose(&fa, mine));
            CHECK0(posix_spawn_file_actions_adddup2(&fa, null, server.fd));
            CHECK0(posix_spawn(&pid, self, &fa, NULL, args, empty));
            CHECK0(posix_spawn_file_actions_destroy(&fa));
        } else {
            pid = vfork();
            CHECK(pid != -1);
            if (pid == 0) {
                close(mine);
                dup2(null, server.fd);
                dup2(null, mine);
                dup3(null, mine + 1, O_CLOEXEC);
                for (int fd = 3; fd < 40; fd++) close(fd);
                close_range(3, 4000, 0);
                if (i % 4 != 2) execve(i % 4 == 0 ? self : "/no/such/program", args, empty);
                _exit(9);
            }
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9);
        if (i % 8 == 0) http_get(mine, "/mine"); /* our own connection is as it was */
        if (i % 100 == 0) {                      /* and new ones work */
            http_call(server.port, "/new");
            atomic_fetch_add(&calls, 1);
        }
    }
    SYS(close(mine));
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) CHECK0(pthread_join(t[i], NULL));
    int served = server_stop(&server);
    CHECK(served == atomic_load(&calls) + (rounds + 7) / 8);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    return finish_range(1, served, 1, served); /* the load may overflow the span queue */
}
