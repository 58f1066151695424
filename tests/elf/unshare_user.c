/* unshare(CLONE_NEWUSER) needs a process with one thread; so does setns. Before any network event the agent
 * may have started none. Lesson 17. */
#include "elf.h"
int main(void) {
    story(30);
    CHECK(thread_count() == 1);
    pid_t pid = SYS(fork()); /* the child is as single-threaded as its parent */
    if (pid == 0) {
        if (unshare(CLONE_NEWUSER) == 0) _exit(0);
        _exit(errno == EPERM || errno == ENOSYS || errno == ENOSPC ? 77 : 1);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        puts("the kernel refuses user namespaces here");
        return 77;
    }
    CHECK(WEXITSTATUS(status) == 0);
    SYS(unshare(CLONE_NEWUSER));
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    return finish(0, 0);
}
