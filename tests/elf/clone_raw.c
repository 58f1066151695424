/* Children that libc does not know of: clone with a stack of 8 KiB, CLONE_VM|CLONE_VFORK children that close
 * and dup descriptors in our memory, a CLONE_VM|CLONE_FILES task without thread-local storage of its own,
 * _Fork. The bytes of the parent stay right. Whether a request of the parent still carries a context after an
 * unannounced CLONE_VM child closed "its" descriptors in our memory is left open: telling that child from a
 * thread costs a system call in each close (vfork and posix_spawn, which are announced, must not lose it:
 * vfork_storm). Children by clone without CLONE_VM and by _Fork are processes of their own (fork_kinds).
 * Lessons 1, 7, 8, 37. */
#include "http_min.h"

static struct server server;
static int mine;
static int closes(void *arg) {
    close(mine);
    dup2(0, mine);
    for (int fd = 3; fd < 30; fd++) close(fd);
    close_range(3, 500, 0);
    _exit(*(int *)arg);
}
static int calls_http(void *arg) {
    http_call(server.port, "/maybe/clone");
    _exit(*(int *)arg);
}
static int shares_files(void *arg) { /* same memory, same descriptors, the parent waits */
    int fd = *(int *)arg;
    static const char raw[] = "GET /maybe/shared HTTP/1.1\r\nHost: elf.test\r\nAccept: */*\r\n\r\n";
    if (write(fd, raw, sizeof raw - 1) != (ssize_t)sizeof raw - 1) syscall(SYS_exit, 1);
    syscall(SYS_exit, 0);
    return 0;
}

int main(void) {
    int status, code = 6;
    story(60);
    char *stack = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    SYS(mprotect(stack, 4096, PROT_NONE));
    char *top = stack + 16384, *tight = stack + 12288; /* 12 and 8 KiB above the guard */
    server_start(&server);
    mine = dial(server.port);
    int requests = 0, uncounted = 0;
    for (int i = 0; i < 100; i++) {
        pid_t pid = SYS(clone(closes, tight, CLONE_VM | CLONE_VFORK | SIGCHLD, &code));
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == code);
        http_get(mine, "/maybe/parent"), requests++;
        pid = SYS(clone(calls_http, top, SIGCHLD, &code)); /* a fork with a stack */
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == code);
        uncounted++;
        pid = SYS(clone(shares_files, tight, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &mine));
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        http_expect_answer(mine, IN_READ, "/maybe/shared");
        uncounted++;
#if __GLIBC_PREREQ(2, 34)
        pid = SYS(_Fork());
        if (pid == 0) calls_http(&code);
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == code);
        uncounted++;
#endif
        http_get(mine, "/maybe/parent"), requests++;
    }
    SYS(close(mine));
    int all = requests + uncounted;
    CHECK(server_stop(&server) == all);
    return finish_range(1, all, 1, all); /* exact counts for each kind of child: fork_kinds */
}
