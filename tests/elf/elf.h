/* What every hostile program shares: checks that end the process with a message, a deadline, and the
 * last lines on stdout. A program prints `spans server=N client=M` (what the agent must report for it;
 * `a..b` when the story itself makes the number uncertain, `-` when it cannot be known) and `ok`. */
#ifndef ELF_H
#define ELF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void elf_die(const char *file, int line, const char *what) {
    int e = errno;
    char text[512];
    int n = snprintf(text, sizeof text, "%s:%d: not true: %s (pid %d, errno %d %s)\n", file, line, what,
                     (int)getpid(), e, strerror(e));
    if (n > 0) {
        ssize_t w = write(2, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
        (void)w;
    }
    _exit(1);
}

#define CHECK(cond)                                       \
    do {                                                  \
        if (!(cond)) elf_die(__FILE__, __LINE__, #cond);  \
    } while (0)

/* The value of a call that must not fail (pthread functions return the error instead: CHECK0). */
#define SYS(call)                                            \
    __extension__({                                          \
        __typeof__(call) r_ = (call);                        \
        if (r_ == (__typeof__(r_))-1) elf_die(__FILE__, __LINE__, #call); \
        r_;                                                  \
    })

#define CHECK0(call)                                      \
    do {                                                  \
        int r_ = (call);                                  \
        if (r_ != 0) {                                    \
            errno = r_;                                   \
            elf_die(__FILE__, __LINE__, #call);           \
        }                                                 \
    } while (0)

/* A call that must fail with exactly this error. */
#define FAILS(call, error)                                                      \
    do {                                                                        \
        errno = 0;                                                              \
        if ((long)(call) != -1 || errno != (error))                             \
            elf_die(__FILE__, __LINE__, #call " must fail with " #error);       \
    } while (0)

/* True when the driver runs us under an active agent: whole request heads must then carry a context. */
static bool elf_agent;

/* First statement of main: a deadline for the whole story (SIGALRM kills, the driver reports it). */
static inline void story(unsigned seconds) {
    const char *a = getenv("ELF_AGENT");
    const char *slow = getenv("ELF_SLOW"); /* sanitizers, valgrind: all deadlines times this */
    elf_agent = a != NULL && a[0] == '1';
    alarm(seconds * (slow != NULL ? (unsigned)atoi(slow) : 1));
}

/* First statement of a child: alarms are not inherited, and no child may outlive a failed parent. */
static inline void child_story(unsigned seconds) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(seconds);
}

/* Waits for one child and requires a clean exit. */
static inline void reap(pid_t pid) {
    int status = 0;
    pid_t r;
    do r = waitpid(pid, &status, 0);
    while (r == -1 && errno == EINTR);
    CHECK(r == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "child %d ended with wait status 0x%x\n", (int)pid, status);
        exit(1);
    }
}

static inline int finish_range(int server_min, int server_max, int client_min, int client_max) {
    printf("spans server=%d..%d client=%d..%d\nok\n", server_min, server_max, client_min, client_max);
    return fflush(stdout) == 0 ? 0 : 1;
}
static inline int finish(int server, int client) {
    printf("spans server=%d client=%d\nok\n", server, client);
    return fflush(stdout) == 0 ? 0 : 1;
}
/* The story is about life and death of the process, not about what is reported. */
static inline int finish_uncounted(void) {
    printf("spans server=- client=-\nok\n");
    return fflush(stdout) == 0 ? 0 : 1;
}

/* Threads of this process (-1 without /proc), including any that the agent started. */
static inline int thread_count(void) {
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return -1;
    text[n] = 0;
    const char *t = strstr(text, "\nThreads:");
    return t ? atoi(t + 9) : -1;
}

/* read and write by no function that a preload library could stand before: the result or the negated errno. */
static inline long raw_io(long nr, int fd, const void *data, size_t len) {
#ifdef __x86_64__
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(fd), "S"(data), "d"(len) : "rcx", "r11", "memory");
#else
    register long r __asm__("x0") = fd, n __asm__("x8") = nr;
    register const void *a __asm__("x1") = data;
    register size_t z __asm__("x2") = len;
    __asm__ volatile("svc 0" : "+r"(r) : "r"(n), "r"(a), "r"(z) : "memory");
#endif
    return r;
}
static inline long raw_write(int fd, const void *data, size_t len) { return raw_io(SYS_write, fd, data, len); }
static inline long raw_read(int fd, void *data, size_t len) { return raw_io(SYS_read, fd, data, len); }

static inline double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
#endif
