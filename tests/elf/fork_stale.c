/* The thread that forks serves a request of the parent's. In the child that request is not being served: what
 * the child's first thread sends has nothing to do with it, nor with a request that another thread of the child
 * serves meanwhile (in the record that had the parent's number). Requests come from outside, with contexts of
 * their own, so that the wire shows the parent. Found by review. */
#include "http_min.h"

#define PARENT_TRACE "11111111111111111111111111111111"
#define CHILD_TRACE "22222222222222222222222222222222"

/* An untraced client's request; the program reads it. */
static void from_outside(int s[2], const char *trace) {
    char text[HTTP_MAX];
    SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    size_t n = text_add(text, 0, "GET /outside HTTP/1.1\r\nHost: elf.test\r\ntraceparent: 00-");
    n = text_add(text, n, trace);
    n = text_add(text, n, "-3333333333333333-01\r\n\r\n");
    CHECK(raw_write(s[1], text, n) == (long)n);
    char got[HTTP_MAX];
    CHECK(read(s[0], got, sizeof got) == (ssize_t)n && memcmp(got, text, n) == 0);
}
/* Sends a request and tells whether it continues that trace. */
static bool continues(const char *trace) {
    char text[HTTP_MAX], got[2 * HTTP_MAX];
    int s[2];
    SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    size_t n = http_request_text(text, "/inside");
    CHECK(send(s[0], text, n, 0) == (ssize_t)n);
    ssize_t k = raw_read(s[1], got, sizeof got); /* unseen: this thread serves what it served before */
    CHECK(k >= (ssize_t)n);
    bool found = memmem(got, (size_t)k, trace, 32) != NULL;
    size_t len = (size_t)k;
    http_check_context("/inside", http_strip_context(got, &len));
    CHECK(len == n && memcmp(got, text, n) == 0);
    SYS(close(s[0]));
    SYS(close(s[1]));
    return found;
}

static pthread_barrier_t serving, done;
static void *serve(void *arg) {
    int s[2];
    (void)arg;
    from_outside(s, CHILD_TRACE);
    CHECK(continues(CHILD_TRACE) == elf_agent);
    pthread_barrier_wait(&serving);
    pthread_barrier_wait(&done);
    CHECK(write(s[0], "HTTP/1.1 204 No Content\r\n\r\n", 27) == 27);
    return NULL;
}

int main(void) {
    int s[2];
    pthread_t t;
    story(30);
    from_outside(s, PARENT_TRACE);
    CHECK(continues(PARENT_TRACE) == elf_agent);
    pid_t pid = SYS(fork());
    if (pid == 0) {
        child_story(20);
        CHECK0(pthread_barrier_init(&serving, NULL, 2));
        CHECK0(pthread_barrier_init(&done, NULL, 2));
        CHECK0(pthread_create(&t, NULL, serve, NULL));
        pthread_barrier_wait(&serving);
        CHECK(!continues(CHILD_TRACE));
        CHECK(!continues(PARENT_TRACE));
        pthread_barrier_wait(&done);
        CHECK0(pthread_join(t, NULL));
        _exit(0);
    }
    reap(pid);
    CHECK(continues(PARENT_TRACE) == elf_agent); /* the parent still serves it */
    return finish_uncounted(); /* requests without answers */
}
