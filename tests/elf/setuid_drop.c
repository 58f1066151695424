/* A helper that drops its user and groups for good, chroots to an empty directory if it may, and goes on with
 * HTTP. Needs root (else printed and skipped). The agent can then open nothing any more. Lessons 125, 128, 131. */
#include "http_min.h"
#include <grp.h>

int main(void) {
    story(30);
    if (geteuid() != 0) {
        puts("needs root");
        return 77;
    }
    struct server s = {0};
    const char *tmp = getenv("TMPDIR");
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/elf-empty-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(dir) != NULL);
    SYS(chmod(dir, 0755));
    server_start(&s);
    http_call(s.port, "/as-root");
    pid_t pid = SYS(fork());
    if (pid == 0) {
        child_story(20);
        if (chroot(dir) == 0) SYS(chdir("/"));
        SYS(setgroups(0, NULL));
        SYS(setresgid(65534, 65534, 65534));
        SYS(setresuid(65534, 65534, 65534));
        FAILS(setuid(0), EPERM);
        CHECK(prctl(PR_GET_DUMPABLE) == 0);
        for (int i = 0; i < 10; i++) http_call(s.port, "/maybe/dropped");
        exit(0);
    }
    reap(pid);
    SYS(rmdir(dir));
    /* in a process with threads: setresuid must reach every one of them, the agent's too */
    SYS(setresuid(65534, 65534, 65534));
    http_call(s.port, "/dropped");
    FAILS(setuid(0), EPERM);
    CHECK(server_stop(&s) == 12);
    return finish_range(12, 12, 2, 12);
}
