/* A program that never touches a socket: one thread, the same descriptors, signal dispositions, mask, umask,
 * locale, directory, environment and limits at its end as the kernel gave it at exec, and no other mapping
 * of a file than libraries. Reads raw state before libc could be asked. Lessons 17, 40, 109, 122, 129. */
#include "elf.h"
#include <dirent.h>
#include <locale.h>
#include <sys/time.h>

extern char **environ;

static void say_state(const char *when) {
    char cwd[PATH_MAX];
    mode_t m = umask(0);
    umask(m);
    printf("-- %s\n", when);
    printf("threads %d umask %o locale %s decimal point %s\n", thread_count(), m, setlocale(LC_ALL, NULL), localeconv()->decimal_point);
    CHECK(getcwd(cwd, sizeof cwd) != NULL);
    printf("cwd ends in %s\n", strrchr(cwd, '/'));
    DIR *d = opendir("/proc/self/fd");
    CHECK(d != NULL);
    char have[4096] = {0};
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d) && atoi(e->d_name) < 4096) have[atoi(e->d_name)] = 1;
    closedir(d);
    printf("fds");
    for (int i = 0; i < 4096; i++)
        if (have[i]) printf(" %d", i);
    printf("\nsignals");
    for (int sig = 1; sig < 65; sig++) {
        struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } k = {0};
        if (syscall(SYS_rt_sigaction, sig, NULL, &k, 8L) == 0 && (k.handler != SIG_DFL || k.flags != 0)) printf(" %d", sig);
    }
    unsigned long mask = 0;
    SYS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8L));
    stack_t ss;
    SYS(sigaltstack(NULL, &ss));
    printf("\nmask %lx altstack %d dumpable %d no_new_privs %d seccomp %d\n", mask, ss.ss_flags, prctl(PR_GET_DUMPABLE), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP));
    for (int r = 0; r < 16; r++) {
        struct rlimit l;
        if (getrlimit((__rlimit_resource_t)r, &l) == 0) printf("%lx/%lx ", (unsigned long)l.rlim_cur, (unsigned long)l.rlim_max);
    }
    char name[32] = "";
    SYS(prctl(PR_GET_NAME, name));
    printf("\ncomm %s\n", name);
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "LD_", 3) && strncmp(*e, "OTEL_", 5) && strncmp(*e, "ELF_", 4)) printf("env %s\n", *e);
    struct itimerval t;
    for (int which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++)
        CHECK(syscall(SYS_getitimer, which, &t) == 0 && t.it_value.tv_sec == 0 && t.it_value.tv_usec == 0);
}

static void at_end(void) { say_state("atexit"); }

int main(void) {
    story(30);
    say_state("start");
    CHECK(atexit(at_end) == 0);
    CHECK(thread_count() == 1);
    /* what such programs do: files, pipes, a child */
    int p[2];
    char b[64];
    SYS(pipe(p));
    CHECK(write(p[1], "GET / HTTP/1.1\r\n\r\n", 18) == 18 && read(p[0], b, sizeof b) == 18);
    SYS(close(p[0]));
    SYS(close(p[1]));
    pid_t pid = SYS(fork());
    if (pid == 0) _exit(thread_count() == 1 ? 0 : 1);
    reap(pid);
    CHECK(thread_count() == 1);
    return finish(0, 0);
}
