/* A tiny HTTP/1.1 client and server for the hostile programs. Both know every byte that must arrive:
 * a request for PATH is one fixed text, its answer another. The only difference the agent may make is
 * one run of context header lines right after the request line; http_strip_context takes it out and
 * counts it. Nothing here allocates or uses stdio between a request and its answer, so the client also
 * runs in signal handlers, in forked children and on tiny stacks.
 *
 * Paths: "/maybe..." may arrive with or without a context (the story makes either right); every other
 * path must carry exactly one under the agent. Bare, none may. */
#ifndef HTTP_MIN_H
#define HTTP_MIN_H
#include "elf.h"

#define HTTP_MAX 1024 /* longest head, with context lines */

/* ---- one call, many doors ---- */
enum out_way { OUT_WRITE, OUT_SEND, OUT_SENDTO, OUT_WRITEV, OUT_SENDMSG, OUT_SENDMMSG, OUT_SYS_WRITE, OUT_SYS_SENDTO, OUT_SYS_WRITEV, OUT_SYS_SENDMSG, OUT_WAYS };
enum in_way { IN_READ, IN_RECV, IN_RECVFROM, IN_READV, IN_RECVMSG, IN_RECVMMSG, IN_SYS_READ, IN_SYS_RECVFROM, IN_READ_CHK, IN_RECV_CHK, IN_RECVFROM_CHK, IN_WAYS };

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);

/* Vectors come in three pieces (one of them empty with a NULL base) so that a head spans iovecs. */
static inline int http_iov(struct iovec v[3], void *data, size_t len) {
    size_t half = len / 2;
    v[0] = (struct iovec){data, half};
    v[1] = (struct iovec){NULL, 0};
    v[2] = (struct iovec){(char *)data + half, len - half};
    return 3;
}

static inline ssize_t http_out(enum out_way way, int fd, const void *data, size_t len) {
    struct iovec v[3];
    struct mmsghdr m = {0};
    int n = http_iov(v, (void *)(uintptr_t)data, len);
    m.msg_hdr.msg_iov = v;
    m.msg_hdr.msg_iovlen = (size_t)n;
    switch (way) {
    case OUT_WRITE: return write(fd, data, len);
    case OUT_SEND: return send(fd, data, len, MSG_NOSIGNAL);
    case OUT_SENDTO: return sendto(fd, data, len, MSG_NOSIGNAL, NULL, 0);
    case OUT_WRITEV: return writev(fd, v, n);
    case OUT_SENDMSG: return sendmsg(fd, &m.msg_hdr, MSG_NOSIGNAL);
    case OUT_SENDMMSG: return sendmmsg(fd, &m, 1, MSG_NOSIGNAL) == 1 ? (ssize_t)m.msg_len : -1;
    case OUT_SYS_WRITE: return syscall(SYS_write, fd, data, len);
    case OUT_SYS_SENDTO: return syscall(SYS_sendto, fd, data, len, MSG_NOSIGNAL, NULL, 0);
    case OUT_SYS_WRITEV: return syscall(SYS_writev, fd, v, n);
    case OUT_SYS_SENDMSG: return syscall(SYS_sendmsg, fd, &m.msg_hdr, MSG_NOSIGNAL);
    default: CHECK(!"out_way");
    }
    return -1;
}

static inline ssize_t http_in(enum in_way way, int fd, void *data, size_t len) {
    struct iovec v[3];
    struct mmsghdr m = {0};
    int n = http_iov(v, data, len);
    m.msg_hdr.msg_iov = v;
    m.msg_hdr.msg_iovlen = (size_t)n;
    switch (way) {
    case IN_READ: return read(fd, data, len);
    case IN_RECV: return recv(fd, data, len, 0);
    case IN_RECVFROM: return recvfrom(fd, data, len, 0, NULL, NULL);
    case IN_READV: return readv(fd, v, n);
    case IN_RECVMSG: return recvmsg(fd, &m.msg_hdr, 0);
    case IN_RECVMMSG: return recvmmsg(fd, &m, 1, 0, NULL) == 1 ? (ssize_t)m.msg_len : -1;
    case IN_SYS_READ: return syscall(SYS_read, fd, data, len);
    case IN_SYS_RECVFROM: return syscall(SYS_recvfrom, fd, data, len, 0, NULL, NULL);
    case IN_READ_CHK: return __read_chk(fd, data, len, len);
    case IN_RECV_CHK: return __recv_chk(fd, data, len, len, 0);
    case IN_RECVFROM_CHK: return __recvfrom_chk(fd, data, len, len, 0, NULL, NULL);
    default: CHECK(!"in_way");
    }
    return -1;
}

static inline void out_all(enum out_way way, int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = http_out(way, fd, data, len);
        if (n < 0 && errno == EINTR) continue;
        CHECK(n > 0 && (size_t)n <= len);
        data += n;
        len -= (size_t)n;
    }
}

/* Reads exactly len bytes; false at an end of file before the first one. */
static inline bool in_all(enum in_way way, int fd, char *data, size_t len) {
    size_t got = 0;
    while (got < len) {
        ssize_t n = http_in(way, fd, data + got, len - got);
        if (n < 0 && errno == EINTR) continue;
        CHECK(n >= 0 && (size_t)n <= len - got);
        if (n == 0 && got == 0) return false;
        CHECK(n > 0);
        got += (size_t)n;
    }
    return true;
}

/* ---- texts ---- */
static inline size_t text_add(char *out, size_t at, const char *s) {
    size_t n = strlen(s);
    CHECK(at + n < HTTP_MAX);
    memcpy(out + at, s, n + 1);
    return at + n;
}
static inline size_t text_add_number(char *out, size_t at, size_t v) {
    char d[24];
    int i = (int)sizeof d - 1;
    d[i] = 0;
    do d[--i] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    return text_add(out, at, d + i);
}
static inline size_t http_request_text(char *out, const char *path) {
    size_t n = text_add(out, 0, "GET ");
    n = text_add(out, n, path);
    return text_add(out, n, " HTTP/1.1\r\nHost: elf.test\r\nAccept: */*\r\n\r\n");
}
static inline size_t http_response_text(char *out, const char *path) {
    static const char hello[] = "you asked for ";
    size_t n = text_add(out, 0, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ");
    n = text_add_number(out, n, sizeof hello - 1 + strlen(path));
    n = text_add(out, n, "\r\n\r\n");
    n = text_add(out, n, hello);
    return text_add(out, n, path);
}

/* Takes the run of context lines after the request line out of a complete head; answers the number of
 * traceparent lines in it. A context line anywhere else stays and makes the comparison fail. */
static inline int http_strip_context(char *head, size_t *len) {
    static const char *const names[] = {"traceparent:", "tracestate:", "baggage:"};
    int parents = 0;
    char *line = memmem(head, *len, "\r\n", 2);
    CHECK(line != NULL);
    line += 2;
    for (;;) {
        size_t left = *len - (size_t)(line - head);
        int which = -1;
        for (int i = 0; i < 3; i++)
            if (left > strlen(names[i]) && strncasecmp(line, names[i], strlen(names[i])) == 0) which = i;
        if (which < 0) return parents;
        char *end = memmem(line, left, "\r\n", 2);
        CHECK(end != NULL);
        if (which == 0) {
            const char *v = line + strlen(names[0]);
            while (*v == ' ') v++;
            CHECK(end - v == 55 && memcmp(v, "00-", 3) == 0 && v[35] == '-' && v[52] == '-');
            CHECK(strspn(v + 3, "0123456789abcdef") == 32 && strspn(v + 36, "0123456789abcdef") == 16);
            CHECK(strspn(v + 3, "0") < 32 && strspn(v + 36, "0") < 16);
            parents++;
        }
        memmove(line, end + 2, (size_t)(head + *len - (end + 2)));
        *len -= (size_t)(end + 2 - line);
    }
}

static inline void http_check_context(const char *path, int parents) {
    if (!elf_agent) CHECK(parents == 0);
    else if (strncmp(path, "/maybe", 6) == 0) CHECK(parents <= 1);
    else CHECK(parents == 1);
}

/* ---- client ---- */
static inline void http_send_get(int fd, enum out_way way, const char *path) {
    char text[HTTP_MAX];
    out_all(way, fd, text, http_request_text(text, path));
}
static inline void http_expect_answer(int fd, enum in_way way, const char *path) {
    char want[HTTP_MAX], got[HTTP_MAX];
    size_t n = http_response_text(want, path);
    CHECK(in_all(way, fd, got, n));
    CHECK(memcmp(got, want, n) == 0);
}
static inline void http_get(int fd, const char *path) {
    http_send_get(fd, OUT_SEND, path);
    http_expect_answer(fd, IN_RECV, path);
}

/* ---- server ---- */
/* Serves one request; false when the client has gone instead. */
static inline bool http_serve_one_ways(int fd, enum in_way in, enum out_way out) {
    char head[HTTP_MAX], want[HTTP_MAX], path[256];
    size_t len = 0;
    while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
        CHECK(len < sizeof head);
        ssize_t n = http_in(in, fd, head + len, sizeof head - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == ECONNRESET && len == 0) return false;
        CHECK(n >= 0);
        if (n == 0) {
            CHECK(len == 0);
            return false;
        }
        len += (size_t)n;
    }
    int parents = http_strip_context(head, &len);
    CHECK(memcmp(head, "GET ", 4) == 0);
    char *end = memchr(head + 4, ' ', len - 4);
    CHECK(end != NULL && (size_t)(end - head - 4) < sizeof path);
    memcpy(path, head + 4, (size_t)(end - head - 4));
    path[end - head - 4] = 0;
    CHECK(http_request_text(want, path) == len && memcmp(head, want, len) == 0);
    http_check_context(path, parents);
    out_all(out, fd, want, http_response_text(want, path));
    return true;
}
static inline bool http_serve_one(int fd) { return http_serve_one_ways(fd, IN_READ, OUT_WRITE); }

static inline int http_serve_connection(int fd) {
    int n = 0;
    while (http_serve_one(fd)) n++;
    SYS(close(fd));
    return n;
}

/* ---- sockets ---- */
static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}
static inline int listen_loopback(int *port) {
    struct sockaddr_in a = loopback(0);
    socklen_t len = sizeof a;
    int fd = SYS(socket(AF_INET, SOCK_STREAM, 0));
    SYS(bind(fd, (struct sockaddr *)&a, sizeof a));
    SYS(listen(fd, 1024));
    SYS(getsockname(fd, (struct sockaddr *)&a, &len));
    *port = ntohs(a.sin_port);
    return fd;
}
static inline int dial(int port) {
    struct sockaddr_in a = loopback(port);
    int fd = SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int r;
    do r = connect(fd, (struct sockaddr *)&a, sizeof a);
    while (r == -1 && errno == EINTR);
    CHECK(r == 0 || errno == EISCONN);
    return fd;
}
/* A connected pair of TCP sockets on the loopback. */
static inline void tcp_pair(int *client, int *server) {
    int port, l = listen_loopback(&port);
    *client = dial(port);
    *server = SYS(accept4(l, NULL, NULL, SOCK_CLOEXEC));
    SYS(close(l));
}
/* connect, one request, close */
static inline void http_call(int port, const char *path) {
    int fd = dial(port);
    http_get(fd, path);
    SYS(close(fd));
}

/* ---- a thread-per-connection server in this process ---- */
struct server {
    int fd, port, active, served;
    size_t stack; /* stack size of its threads, 0 = default */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t idle;
};
struct server_connection {
    struct server *s;
    int fd;
};
static inline void *server_connection_main(void *arg) {
    struct server_connection c = *(struct server_connection *)arg;
    free(arg);
    int n = http_serve_connection(c.fd);
    pthread_mutex_lock(&c.s->lock);
    c.s->served += n;
    if (--c.s->active == 0) pthread_cond_broadcast(&c.s->idle);
    pthread_mutex_unlock(&c.s->lock);
    return NULL;
}
static inline void *server_main(void *arg) {
    struct server *s = arg;
    pthread_attr_t attr;
    CHECK0(pthread_attr_init(&attr));
    CHECK0(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
    CHECK0(pthread_attr_setstacksize(&attr, s->stack ? s->stack : 256 * 1024));
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd == -1 && (errno == EINTR || errno == ECONNABORTED)) continue;
        if (fd == -1 && errno == EINVAL) return NULL; /* shut down by server_stop */
        CHECK(fd >= 0);
        struct server_connection *c = malloc(sizeof *c);
        CHECK(c != NULL);
        *c = (struct server_connection){s, fd};
        pthread_mutex_lock(&s->lock);
        s->active++;
        pthread_mutex_unlock(&s->lock);
        pthread_t t;
        CHECK0(pthread_create(&t, &attr, server_connection_main, c));
    }
}
static inline void server_start(struct server *s) {
    s->fd = listen_loopback(&s->port);
    SYS(fcntl(s->fd, F_SETFD, FD_CLOEXEC));
    s->active = s->served = 0;
    CHECK0(pthread_mutex_init(&s->lock, NULL));
    CHECK0(pthread_cond_init(&s->idle, NULL));
    sigset_t all, old; /* signals of the story belong to its own threads */
    sigfillset(&all);
    CHECK0(pthread_sigmask(SIG_SETMASK, &all, &old));
    CHECK0(pthread_create(&s->thread, NULL, server_main, s));
    CHECK0(pthread_sigmask(SIG_SETMASK, &old, NULL));
}
/* Waits until every connection was served to its end; answers the number of requests. */
static inline int server_stop(struct server *s) {
    SYS(shutdown(s->fd, SHUT_RDWR));
    CHECK0(pthread_join(s->thread, NULL));
    SYS(close(s->fd));
    pthread_mutex_lock(&s->lock);
    while (s->active > 0) pthread_cond_wait(&s->idle, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return s->served;
}
#endif
