/* One writev or sendmsg of more pieces than the agent has room to list: they end one request's body and begin the
 * next request. No error that the kernel would not give (ENOBUFS), and every byte in its place. Found by review. */
#include "http_min.h"

enum { BODY = 20000, MOST = 1024 };

static void send_pieces(int fd, bool message, const char *data, size_t len, size_t pieces) {
    while (len > 0) { /* a short write is in order */
        struct iovec v[MOST];
        size_t step = len / pieces + 1, n = 0, at = 0;
        for (; n + 1 < pieces && at + step <= len; n++, at += step) v[n] = (struct iovec){(char *)(uintptr_t)data + at, step};
        while (n + 1 < pieces) v[n++] = (struct iovec){NULL, 0};
        v[n++] = (struct iovec){(char *)(uintptr_t)data + at, len - at};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
        ssize_t r = message ? sendmsg(fd, &m, MSG_NOSIGNAL) : writev(fd, v, (int)n);
        CHECK(r > 0 && (size_t)r <= len);
        data += r;
        len -= (size_t)r;
    }
}

static void story_of(size_t pieces, size_t before, bool message) {
    static char text[BODY + 2 * HTTP_MAX], got[BODY + 4 * HTTP_MAX];
    int s[2];
    SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
    size_t head = text_add(text, 0, "POST /maybe/pieces HTTP/1.1\r\nHost: elf.test\r\nContent-Length: ");
    head = text_add_number(text, head, BODY);
    head = text_add(text, head, "\r\n\r\n");
    memset(text + head, 'b', BODY);
    size_t first = head + BODY, n = first + http_request_text(text + first, "/maybe/next");
    out_all(OUT_WRITE, s[0], text, head + before);
    send_pieces(s[0], message, text + head + before, n - head - before, pieces);
    SYS(shutdown(s[0], SHUT_WR));
    size_t len = 0;
    for (ssize_t r; (r = recv(s[1], got + len, sizeof got - len, 0)) != 0; len += (size_t)r) CHECK(r > 0);
    CHECK(http_strip_context(got, &len) <= (elf_agent ? 1 : 0));
    CHECK(len >= n && memcmp(got, text, first) == 0);
    len -= first;
    CHECK(http_strip_context(got + first, &len) <= (elf_agent ? 1 : 0));
    CHECK(len == n - first && memcmp(got + first, text + first, len) == 0);
    SYS(close(s[0]));
    SYS(close(s[1]));
}

int main(void) {
    static const size_t pieces[] = {2, 255, 256, 257, 500, 505, 506, 507, 508, 509, 510, 511, 512, 513, 600, 1000, 1023, 1024};
    static const size_t before[] = {0, 1, 2500, BODY / 2, BODY - 1, BODY};
    story(30);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        for (size_t k = 0; k < sizeof before / sizeof *before; k++)
            for (int message = 0; message < 2; message++) story_of(pieces[i], before[k], message);
    return finish_uncounted(); /* requests without answers */
}
