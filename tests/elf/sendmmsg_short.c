/* sendmmsg on a blocking socket with a send timeout and a peer that does not read: the first message goes out
 * in part, and then the second must not follow, for the program goes on in the middle of the first. Found by
 * review. */
#include "http_min.h"

enum { BIG = 32 << 20 };

static void story_of(const char *head) {
    static char big[BIG], got[1 << 16];
    char end[] = "B", line[HTTP_MAX];
    int c, s, parents = 0;
    tcp_pair(&c, &s);
    memset(big, 'A', sizeof big);
    memcpy(big, head, strlen(head));
    SYS(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){0, 200000}, sizeof(struct timeval)));
    struct iovec v[2] = {{big, sizeof big}, {end, 1}};
    struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
    int r = sendmmsg(c, m, 2, MSG_NOSIGNAL);
    CHECK(r == 1);
    CHECK(m[0].msg_len > 0 && m[0].msg_len < BIG); /* the story happened */
    CHECK(m[1].msg_len == 0);
    SYS(shutdown(c, SHUT_WR));
    size_t at = 0;
    if (*head) { /* the head may carry a context */
        size_t n = 0;
        while (n < 4 || memcmp(line + n - 4, "\r\n\r\n", 4) != 0) CHECK(n < sizeof line && read(s, line + n, 1) == 1 && ++n);
        parents = http_strip_context(line, &n);
        CHECK(n == strlen(head) && memcmp(line, head, n) == 0);
        CHECK(parents <= (elf_agent ? 1 : 0));
        at = n;
    }
    for (ssize_t n; (n = read(s, got, sizeof got)) != 0; at += (size_t)n) {
        CHECK(n > 0 && at + (size_t)n <= m[0].msg_len);
        CHECK(memcmp(got, big + at, (size_t)n) == 0);
    }
    CHECK(at == m[0].msg_len);
    SYS(close(c));
    SYS(close(s));
}

int main(void) {
    story(60);
    story_of("");
    story_of("POST /big HTTP/1.1\r\nHost: elf.test\r\nContent-Length: 60000000\r\n\r\n");
    return finish_uncounted(); /* cut requests */
}
