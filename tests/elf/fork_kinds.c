/* Every kind of fork (argument: fork, _Fork, syscall, clone, double, exit) with exact counts: 40 children, each
 * one call and an end by _exit (or exit), no other load, a parent that was active before and goes on after.
 * None of the children's spans may be lost or sent twice. Lessons 1, 2, 6, 15, 82; hooking 9. */
#include "http_min.h"

static struct server server;
static int in_clone(void *arg) {
    child_story(10);
    http_call(server.port, "/child");
    if (arg != NULL) exit(0);
    _exit(0);
}
static pid_t start(const char *how) {
    static char stack[65536] __attribute__((aligned(16)));
    if (strcmp(how, "clone") == 0) return SYS(clone(in_clone, stack + sizeof stack, SIGCHLD, NULL));
    pid_t pid;
    if (strcmp(how, "syscall") == 0) pid = SYS((pid_t)syscall(SYS_clone, (long)SIGCHLD, NULL, NULL, NULL, NULL));
#if __GLIBC_PREREQ(2, 34)
    else if (strcmp(how, "_Fork") == 0) pid = SYS(_Fork());
#endif
    else pid = SYS(fork());
    if (pid != 0) return pid;
    if (strcmp(how, "double") == 0) { /* the grandchild works, its parent waits */
        pid = SYS(fork());
        if (pid != 0) {
            reap(pid);
            _exit(0);
        }
    }
    in_clone(strcmp(how, "exit") == 0 ? &server : NULL);
    return 0;
}

int main(int argc, char **argv) {
    enum { CHILDREN = 40 };
    story(60);
    server_start(&server);
    http_call(server.port, "/parent");
    for (int i = 0; i < CHILDREN; i++) reap(start(argc > 1 ? argv[1] : "fork"));
    http_call(server.port, "/parent");
    CHECK(server_stop(&server) == CHILDREN + 2);
    /* Forked behind libc's back, with threads alive, a child may not even call pthread_create: the agent cannot
     * export there, and says so in docs/coverage.md. What counts is that the child lives, and nothing comes twice. */
    const char *how = argc > 1 ? argv[1] : "fork";
    bool known = strcmp(how, "fork") == 0 || strcmp(how, "double") == 0 || strcmp(how, "exit") == 0;
    return finish_range(CHILDREN + 2, CHILDREN + 2, known ? CHILDREN + 2 : 2, CHILDREN + 2);
}
