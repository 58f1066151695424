/* Somebody else's preload library, before or after ours: it interposes the same calls by RTLD_NEXT, counts
 * them, and says in its destructor whether it was called at all (on stdout: the transcripts must agree). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_long sends, connects;
static int reported_by;
ssize_t send(int fd, const void *p, size_t n, int flags) {
    static ssize_t (*next)(int, const void *, size_t, int);
    if (next == NULL) next = (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
    atomic_fetch_add(&sends, 1);
    return next(fd, p, n, flags);
}
int connect(int fd, const struct sockaddr *a, socklen_t n) {
    static int (*next)(int, const struct sockaddr *, socklen_t);
    if (next == NULL) next = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    atomic_fetch_add(&connects, 1);
    return next(fd, a, n);
}
__attribute__((constructor)) static void begin(void) { reported_by = (int)getpid(); }
__attribute__((destructor)) static void end(void) {
    if ((int)getpid() == reported_by) printf("other library: send %d connect %d\n", sends > 0, connects > 0);
    fflush(stdout);
}
