/* Every way to start a program, in success and failure: argv, environment, errno, PATH search, file
 * actions, close-on-exec. The environment that a child gets must be the one given (an empty one stays
 * empty: lesson 9), no process that we did not make may appear (12). Lessons 9, 12, 33, 53. */
#include "elf.h"
#include <spawn.h>

extern char **environ;
static char self[PATH_MAX];
static char *args[] = {"canary-child", "child", "one", "two words", NULL};
static char *empty[] = {NULL};
static void *volatile BAD = (void *)8;
static char *given[] = {"ELF_GIVEN=yes", "PATH=/nowhere", NULL};

/* The child shows what it got: the transcript is compared, so LD_PRELOAD itself is not printed. */
static int child(int argc, char **argv) {
    int n = 0;
    for (char **e = environ; *e; e++) n++;
    printf("    child: argc %d [%s|%s|%s] given %s empty %d fd0 %d fd9 %d fd10 %d\n", argc, argv[0], argv[2], argv[3],
           getenv("ELF_GIVEN") ? getenv("ELF_GIVEN") : "-", n == 0, fcntl(0, F_GETFD), fcntl(9, F_GETFD), fcntl(10, F_GETFD));
    return fflush(stdout) == 0 ? 7 : 1;
}

#define RUN(call)                                                             \
    do {                                                                      \
        int status_;                                                          \
        printf("%3d %s\n", __LINE__, #call);                                  \
        fflush(stdout);                                                       \
        pid_t pid_ = SYS(fork());                                             \
        if (pid_ == 0) {                                                      \
            child_story(20);                                                  \
            errno = 77;                                                       \
            long r_ = (call);                                                 \
            printf("    = %ld errno %d\n", r_, errno);                        \
            fflush(stdout);                                                   \
            _exit(3);                                                         \
        }                                                                     \
        CHECK(waitpid(pid_, &status_, 0) == pid_);                            \
        printf("    status 0x%x\n", status_);                                 \
    } while (0)

#define SPAWN(call)                                                           \
    do {                                                                      \
        int status_ = -1;                                                     \
        pid = -5;                                                             \
        printf("%3d %s\n", __LINE__, #call);                                  \
        fflush(stdout);                                                       \
        errno = 77;                                                           \
        int r_ = (call);                                                      \
        printf("    = %d errno %d\n", r_, errno);                             \
        if (r_ == 0) {                                                        \
            CHECK(waitpid(pid, &status_, 0) == pid);                          \
            printf("    status 0x%x\n", status_);                             \
        }                                                                     \
    } while (0)

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "child") == 0) return child(argc, argv);
    story(60);
    ssize_t n = SYS(readlink("/proc/self/exe", self, sizeof self - 1));
    self[n] = 0;
    char *name = strrchr(self, '/') + 1;
    char path[PATH_MAX + 64], *dir = strdup(self);
    dir[name - 1 - self] = 0;
    snprintf(path, sizeof path, "/nowhere-at-all:%s:/usr/bin:/bin", dir);
    SYS(setenv("PATH", path, 1));
    SYS(dup2(0, 9));
    SYS(dup3(0, 10, O_CLOEXEC));
    int fd = SYS(open(self, O_RDONLY | O_CLOEXEC));

    RUN(execve(self, args, environ));
    RUN(execve(self, args, given));
    RUN(execve(self, args, empty));
    RUN(execve("/no/such/program", args, environ));
    RUN(execve("/", args, environ));
    RUN(execve("/etc/passwd", args, environ));
    RUN(execve(BAD, args, environ));
    RUN(execve(self, BAD, environ));
    RUN(execve(self, args, BAD));
    RUN(execv(self, args));
    RUN(execv("/no/such/program", args));
    RUN(execvp(name, args));
    RUN(execvp("no-such-program-here", args));
    RUN(execvpe(name, args, given));
    RUN(execl(self, "canary-child", "child", "one", "two words", (char *)NULL));
    RUN(execl("/no/such/program", "x", (char *)NULL));
    RUN(execlp(name, "canary-child", "child", "one", "two words", (char *)NULL));
    RUN(execlp("no-such-program-here", "x", (char *)NULL));
    RUN(execle(self, "canary-child", "child", "one", "two words", (char *)NULL, given));
    RUN(fexecve(fd, args, given));
    RUN(fexecve(987, args, given));
    RUN(syscall(SYS_execve, self, args, given));
    RUN(syscall(SYS_execveat, fd, "", args, given, AT_EMPTY_PATH));

    pid_t pid;
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t all;
    sigfillset(&all);
    CHECK0(posix_spawnattr_init(&attr));
    CHECK0(posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP));
    CHECK0(posix_spawnattr_setsigmask(&attr, &all));
    CHECK0(posix_spawn_file_actions_init(&fa));
    CHECK0(posix_spawn_file_actions_addclose(&fa, 9));
    CHECK0(posix_spawn_file_actions_adddup2(&fa, 0, 10));
    CHECK0(posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0));
    SPAWN(posix_spawn(&pid, self, NULL, NULL, args, environ));
    SPAWN(posix_spawn(&pid, self, &fa, &attr, args, given));
    SPAWN(posix_spawn(&pid, self, &fa, NULL, args, empty));
    SPAWN(posix_spawn(&pid, "/no/such/program", NULL, NULL, args, environ));
    SPAWN(posix_spawnp(&pid, name, &fa, NULL, args, environ));
    SPAWN(posix_spawnp(&pid, "no-such-program-here", NULL, NULL, args, environ));
    CHECK0(posix_spawn_file_actions_adddup2(&fa, 987, 11));
    SPAWN(posix_spawn(&pid, self, &fa, NULL, args, environ));

    printf("%3d system() = 0x%x\n", __LINE__, system("exit 5"));
    FILE *p = popen("echo from popen", "r");
    char line[64] = "";
    CHECK(p != NULL && fgets(line, sizeof line, p) != NULL);
    printf("%3d popen: %s", __LINE__, line);
    printf("%3d pclose() = 0x%x\n", __LINE__, pclose(p));
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    return finish(0, 0);
}
