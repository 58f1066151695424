/* A request whose Content-Length is no number ends what the agent knows of its connection; then thousands of
 * connections in four threads, each request with bytes of its own. A record that was given back twice belongs
 * to two connections at once, and the bytes of one go out on the other. Run with a sampler that keeps nothing
 * (test_elf_review.py), where records go round fastest, and in the ordinary settings. Found by review. */
#include "http_min.h"

enum { ROUNDS = 4000, BODY = 3800 };

static void pair(int s[2]) { SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s)); }

static void *caller(void *arg) {
    int who = (int)(intptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        char sent[HTTP_MAX + BODY], got[2 * HTTP_MAX + BODY];
        int s[2], n = snprintf(sent, HTTP_MAX, "POST /%c/%d HTTP/1.1\r\nHost: %c.test\r\nContent-Length: %d\r\n\r\n", 'A' + who, i, 'a' + who, BODY);
        memset(sent + n, 'A' + who, BODY);
        n += BODY;
        pair(s);
        CHECK(write(s[0], sent, (size_t)n) == n);
        SYS(shutdown(s[0], SHUT_WR));
        size_t len = 0;
        for (ssize_t r; (r = recv(s[1], got + len, sizeof got - len, 0)) != 0; len += (size_t)r) CHECK(r > 0);
        CHECK(http_strip_context(got, &len) == (elf_agent ? 1 : 0));
        CHECK(len == (size_t)n && memcmp(got, sent, len) == 0);
        SYS(close(s[0]));
        SYS(close(s[1]));
    }
    return NULL;
}

int main(void) {
    static const char bad[] = "POST /bad HTTP/1.1\r\nHost: h\r\nContent-Length: abc\r\n\r\n";
    pthread_t t[4];
    int s[2];
    story(80);
    pair(s);
    CHECK(write(s[0], bad, sizeof bad - 1) == sizeof bad - 1);
    for (int i = 0; i < 4; i++) CHECK0(pthread_create(&t[i], NULL, caller, (void *)(intptr_t)i));
    for (int i = 0; i < 4; i++) CHECK0(pthread_join(t[i], NULL));
    return finish_uncounted(); /* requests without answers */
}
