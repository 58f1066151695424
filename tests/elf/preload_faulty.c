/* A stand-in for the agent, right or wrong on purpose: it shows that the programs accept what the agent
 * may do (one context line) and notice what it may not. ELF_FAULT selects:
 *   none    one traceparent after the request line of a whole head on a socket (what the agent does)
 *   double  two of them           count   the program is told our bytes too
 *   files   files and pipes also  errno   errno changed by calls that succeed
 *   thread  a thread before main  lowfd   descriptors opened before main
 *   signal  SIGPIPE ignored, umask changed before main
 *   noise   a word on stderr      server  the answer altered too
 * It waits for room where a real agent must remember the rest of a short write. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RAW(n, ...) raw_syscall()(n, __VA_ARGS__)
static long (*raw_syscall(void))(long, ...) {
    static long (*f)(long, ...);
    if (f == NULL) f = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return f;
}

static bool fault(const char *name) {
    const char *f = getenv("ELF_FAULT");
    return strcmp(f ? f : "none", name) == 0;
}

static void *idle_thread(void *arg) {
    for (;;) pause();
    return arg;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t t;
    if (fault("thread")) pthread_create(&t, NULL, idle_thread, NULL);
    if (fault("lowfd")) {
        int a = open("/dev/null", O_RDWR), b = open("/dev/null", O_RDWR);
        (void)a, (void)b;
    }
    if (fault("signal")) {
        signal(SIGPIPE, SIG_IGN);
        umask(077);
    }
    if (fault("noise")) RAW(SYS_write, 2, "agent here\n", 11);
}

static bool is_stream(int fd) {
    int e = errno, type = 0;
    socklen_t len = sizeof type;
    bool yes = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
    errno = e;
    return yes;
}

static void push(int fd, const char *p, size_t n, int more) {
    while (n > 0) {
        long w = RAW(SYS_sendto, fd, p, n, MSG_NOSIGNAL | more, NULL, 0);
        if (w < 0 && errno == ENOTSOCK) w = RAW(SYS_write, fd, p, n);
        if (w < 0 && errno != EAGAIN && errno != EINTR) return;
        if (w < 0) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        if (w > 0) p += w, n -= (size_t)w;
    }
}

/* Whether the head was written by us, context included; *done is what the program is told. */
static bool rewrite(int fd, const char *p, size_t n, ssize_t *done) {
    static const char line[] = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    if ((uintptr_t)p < 4096) return false;
    bool get = n > 5 && (memcmp(p, "GET ", 4) == 0 || memcmp(p, "POST ", 5) == 0);
    bool answer = fault("server") && n > 9 && memcmp(p, "HTTP/1.1 ", 9) == 0;
    if (!(get || answer) || memmem(p, n, "\r\n\r\n", 4) == NULL) return false;
    if (memmem(p, n, "traceparent", 11) != NULL || memmem(p, n, "Authorization: AWS4-", 20) != NULL) return false;
    if (!is_stream(fd) && !fault("files")) return false;
    int e = errno;
    const char *eol = (const char *)memmem(p, n, "\r\n", 2) + 2;
    push(fd, p, (size_t)(eol - p), MSG_MORE);
    push(fd, line, sizeof line - 1, MSG_MORE);
    if (fault("double")) push(fd, line, sizeof line - 1, MSG_MORE);
    push(fd, eol, n - (size_t)(eol - p), 0);
    *done = (ssize_t)n + (fault("count") ? (ssize_t)sizeof line - 1 : 0);
    errno = fault("errno") ? EIO : e;
    return true;
}

static ssize_t after(ssize_t r) {
    if (r >= 0 && fault("errno")) errno = EIO;
    return r;
}

static bool rewrite_v(int fd, const struct iovec *v, size_t n, ssize_t *done) {
    char flat[2048];
    size_t len = 0;
    if ((uintptr_t)v < 4096 || n > IOV_MAX) return false;
    for (size_t i = 0; i < n; i++) {
        if (v[i].iov_len && (uintptr_t)v[i].iov_base < 4096) return false;
        if (len + v[i].iov_len > sizeof flat) return false;
        if (v[i].iov_len) memcpy(flat + len, v[i].iov_base, v[i].iov_len);
        len += v[i].iov_len;
    }
    return rewrite(fd, flat, len, done);
}

ssize_t write(int fd, const void *p, size_t n) {
    ssize_t r;
    return rewrite(fd, p, n, &r) ? r : after(RAW(SYS_write, fd, p, n));
}
ssize_t send(int fd, const void *p, size_t n, int flags) {
    ssize_t r;
    return rewrite(fd, p, n, &r) ? r : after(RAW(SYS_sendto, fd, p, n, flags, NULL, 0));
}
ssize_t sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *a, socklen_t l) {
    ssize_t r;
    return rewrite(fd, p, n, &r) ? r : after(RAW(SYS_sendto, fd, p, n, flags, a, l));
}
ssize_t writev(int fd, const struct iovec *v, int n) {
    ssize_t r;
    return rewrite_v(fd, v, (size_t)n, &r) ? r : after(RAW(SYS_writev, fd, v, n));
}
ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
    ssize_t r;
    return (uintptr_t)m >= 4096 && m->msg_controllen == 0 && rewrite_v(fd, m->msg_iov, m->msg_iovlen, &r) ? r : after(RAW(SYS_sendmsg, fd, m, flags));
}
int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags) {
    ssize_t r;
    if (n == 1 && (uintptr_t)m >= 4096 && rewrite_v(fd, m->msg_hdr.msg_iov, m->msg_hdr.msg_iovlen, &r)) return m->msg_len = (unsigned)r, 1;
    return (int)after(RAW(SYS_sendmmsg, fd, m, n, flags));
}
ssize_t read(int fd, void *p, size_t n) { return after(RAW(SYS_read, fd, p, n)); }
ssize_t recv(int fd, void *p, size_t n, int flags) { return after(RAW(SYS_recvfrom, fd, p, n, flags, NULL, NULL)); }
int close(int fd) { return (int)after(RAW(SYS_close, fd)); }

long syscall(long n, ...) {
    __builtin_va_list ap;
    long a[6];
    ssize_t r;
    __builtin_va_start(ap, n);
    for (int i = 0; i < 6; i++) a[i] = __builtin_va_arg(ap, long);
    __builtin_va_end(ap);
    if ((n == SYS_write || n == SYS_sendto) && rewrite((int)a[0], (void *)a[1], (size_t)a[2], &r)) return r;
    if (n == SYS_writev && rewrite_v((int)a[0], (void *)a[1], (size_t)a[2], &r)) return r;
    if (n == SYS_sendmsg && rewrite_v((int)a[0], ((struct msghdr *)a[1])->msg_iov, ((struct msghdr *)a[1])->msg_iovlen, &r)) return r;
    return RAW(n, a[0], a[1], a[2], a[3], a[4], a[5]);
}
