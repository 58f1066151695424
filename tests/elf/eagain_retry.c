/* The first write of a request finds a full buffer (EAGAIN). The retry carries exactly one context. The program
 * may also write something else instead: then exactly that goes out. Found by review. */
#include "http_min.h"

static void refused(int s[2], enum out_way way) {
    static char filler[4096], drain[1 << 16];
    char text[HTTP_MAX];
    SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    SYS(fcntl(s[0], F_SETFL, O_NONBLOCK));
    while (raw_write(s[0], filler, sizeof filler) > 0) {} /* unseen by the agent */
    size_t n = http_request_text(text, "/again");
    for (int i = 0; i < 3; i++) FAILS((int)http_out(way, s[0], text, n), EAGAIN);
    while (recv(s[1], drain, sizeof drain, MSG_DONTWAIT) > 0) {}
    CHECK(errno == EAGAIN);
}
static void arrives(int s[2], const char *text, size_t n, int least, int most) {
    char got[2 * HTTP_MAX];
    SYS(shutdown(s[0], SHUT_WR));
    size_t len = 0;
    for (ssize_t r; (r = recv(s[1], got + len, sizeof got - len, 0)) != 0; len += (size_t)r) CHECK(r > 0);
    int parents = len == n && memcmp(got, text, n) == 0 ? 0 : http_strip_context(got, &len);
    CHECK(len == n && memcmp(got, text, n) == 0);
    CHECK(parents >= least && parents <= most);
    SYS(close(s[0]));
    SYS(close(s[1]));
}

int main(void) {
    char text[HTTP_MAX];
    size_t n;
    int s[2];
    story(30);
    for (enum out_way way = 0; way < OUT_WAYS; way++) {
        n = http_request_text(text, "/again");
        refused(s, way);
        CHECK(http_out(way, s[0], text, n) == (ssize_t)n);
        arrives(s, text, n, elf_agent, elf_agent);

        static const char other[] = "hello, this is not what I wanted to say before, and it is longer than that was, by far";
        for (size_t k = 1; k < sizeof other; k += 9) {
            refused(s, way);
            CHECK(http_out(way, s[0], other, k) == (ssize_t)k);
            arrives(s, other, k, 0, 0);
        }
        refused(s, way); /* as long as the first, and its beginning too */
        memcpy(text + n - 6, "no", 2);
        CHECK(http_out(way, s[0], text, n) == (ssize_t)n);
        arrives(s, text, n, 0, elf_agent);

        n = http_request_text(text, "/maybe/another/request");
        refused(s, way);
        CHECK(http_out(way, s[0], text, n) == (ssize_t)n);
        arrives(s, text, n, 0, elf_agent);
    }
    return finish_uncounted(); /* requests without answers */
}
