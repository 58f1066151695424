/* HTTP over any pair of read and write functions, for the programs of this directory. A request's path is unique, its
 * answer is the hash of every byte of it that the server got, without the context lines that the agent may add: so each
 * answer proves that the server read what the client wrote.
 *
 * A program prints a line `span ...` for each span that the agent must report; the driver compares all attributes. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H
#include "../http_min.h"

/* One end of a stream. Both functions return a positive count, 0 at the end, or end the process; they block. */
struct end {
    ssize_t (*in)(struct end *, void *, size_t);
    ssize_t (*out)(struct end *, const void *, size_t);
    void *with;
    int fd;
};

static inline uint64_t hash(const void *data, size_t len) {
    const unsigned char *p = data;
    uint64_t h = 0xcbf29ce484222325u;
    while (len-- > 0) h = (h ^ *p++) * 0x100000001b3u;
    return h;
}

/* ---- what the agent must report ---- */
struct tell { /* of one connection */
    int port; /* of the server */
    int from; /* of the client; 0: the peer cannot be known */
};
static inline int port_of(int (*f)(int, struct sockaddr *, socklen_t *), int fd) {
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    SYS(f(fd, (struct sockaddr *)&a, &len));
    return ntohs(a.sin_port);
}
static inline struct tell tell_of(int client_fd) {
    return (struct tell){port_of(getpeername, client_fd), port_of(getsockname, client_fd)};
}
static inline int peer_of(struct tell t, bool client) { return t.from == 0 ? 0 : client ? t.port : t.from; }
/* `more`: `key=value` pairs that the driver knows. */
static inline void want(const char *kind, const char *method, const char *path, int status, struct tell t, const char *more) {
    printf("span %s %s %s %d port=%d peer=%d %s\n", kind, method, path, status, t.port, peer_of(t, kind[0] == 'C'), more);
}
static inline void want_both(const char *method, const char *path, struct tell t) {
    want("CLIENT", method, path, 200, t, "");
    want("SERVER", method, path, 200, t, "");
}
static inline int finished(void) {
    puts("ok");
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- texts ---- */
/* A request with a head of at least `head` bytes and a body of `body`; the result is malloced, its length in *len. */
static inline char *request(const char *path, int port, size_t head, size_t body, size_t *len) {
    char *text = malloc(head + body + 4096);
    CHECK(text != NULL);
    size_t n = (size_t)sprintf(text, "%s %s HTTP/1.1\r\nHost: elf.test:%d\r\n", body ? "POST" : "GET", path, port);
    if (body) n += (size_t)sprintf(text + n, "Content-Length: %zu\r\n", body);
    for (int i = 0; n + 2 < head; i++) {
        size_t line = head - n - 2 < 200 ? head - n - 2 : 200;
        n += (size_t)sprintf(text + n, "X-%d: ", i);
        for (size_t j = 0; j < line; j++) text[n + j] = (char)('a' + (n + j) % 26);
        n += line;
        n += (size_t)sprintf(text + n, "\r\n");
    }
    n += (size_t)sprintf(text + n, "\r\n");
    for (size_t j = 0; j < body; j++) text[n + j] = (char)(j * 7 + j / 251 + n);
    *len = n + body;
    return text;
}
static inline size_t answer(char out[64], uint64_t h) {
    return (size_t)sprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n%016llx", (unsigned long long)h);
}

/* ---- server ---- */
static inline void send_all(struct end *e, const void *data, size_t len) {
    const char *p = data;
    while (len > 0) {
        ssize_t n = e->out(e, p, len);
        CHECK(n > 0 && (size_t)n <= len);
        p += n;
        len -= (size_t)n;
    }
}
/* Serves requests until the client has gone; answers how many. Context lines: one a request under the agent, unless the
 * path says `none` (there must be none) or `maybe`. */
static inline int serve(struct end *e) {
    static const size_t room = 3 << 20;
    char *got = malloc(room), text[64];
    size_t len = 0;
    int served = 0;
    CHECK(got != NULL);
    for (;;) {
        char *blank;
        while ((blank = memmem(got, len, "\r\n\r\n", 4)) == NULL) {
            CHECK(len < room);
            ssize_t n = e->in(e, got + len, room - len < 16384 ? room - len : 16384);
            if (n == 0) {
                CHECK(len == 0);
                free(got);
                return served;
            }
            len += (size_t)n;
        }
        size_t head = (size_t)(blank + 4 - got), stripped = head;
        char *copy = malloc(head + 1);
        CHECK(copy != NULL);
        memcpy(copy, got, head);
        copy[head] = 0;
        int parents = http_strip_context(copy, &stripped);
        copy[stripped] = 0;
        size_t line = strcspn(copy, "\r");
        char *length = strstr(copy, "Content-Length: ");
        size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
        while (len < head + body) {
            ssize_t n = e->in(e, got + len, head + body - len);
            CHECK(n > 0);
            len += (size_t)n;
        }
        bool none = memmem(copy, line, "none", 4) != NULL, maybe = memmem(copy, line, "maybe", 5) != NULL;
        if (maybe ? parents > 1 : parents != (elf_agent && !none)) {
            fprintf(stderr, "%d contexts in %.*s, %zu bytes\n", parents, (int)line, copy, head);
            exit(1);
        }
        char *whole = malloc(stripped + body + 1);
        CHECK(whole != NULL);
        memcpy(whole, copy, stripped);
        memcpy(whole + stripped, got + head, body);
        send_all(e, text, answer(text, hash(whole, stripped + body)));
        free(whole);
        free(copy);
        memmove(got, got + head + body, len - head - body);
        len -= head + body;
        served++;
    }
}

/* ---- client ---- */
static inline void expect_answer(struct end *e, uint64_t h) {
    char wanted[64], got[64];
    size_t n = answer(wanted, h), have = 0;
    while (have < n) {
        ssize_t r = e->in(e, got + have, n - have);
        CHECK(r > 0);
        have += (size_t)r;
    }
    CHECK(memcmp(got, wanted, n) == 0);
}
static inline void call(struct end *e, const char *path, int port, size_t head, size_t body) {
    size_t len;
    char *text = request(path, port, head, body, &len);
    send_all(e, text, len);
    expect_answer(e, hash(text, len));
    free(text);
}
/* One GET, and both of its spans. */
static inline void call_and_tell(struct end *e, const char *path, struct tell t) {
    call(e, path, t.port, 0, 0);
    want_both("GET", path, t);
}

/* ---- plain sockets ---- */
static inline ssize_t plain_in(struct end *e, void *data, size_t len) { return SYS(read(e->fd, data, len)); }
static inline ssize_t plain_out(struct end *e, const void *data, size_t len) { return SYS(write(e->fd, data, len)); }
static inline struct end plain_end(int fd) { return (struct end){plain_in, plain_out, NULL, fd}; }

/* The file `name` beside the program. */
static inline const char *beside(const char *name) {
    static __thread char path[PATH_MAX + 256];
    ssize_t n = SYS(readlink("/proc/self/exe", path, PATH_MAX));
    while (n > 0 && path[n - 1] != '/') n--;
    strcpy(path + n, name);
    return path;
}
#endif
