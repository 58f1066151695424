/* Ends of connections: client shuts its writing side before the answer, server answers until close, client goes
 * away in mid-answer, reset by SO_LINGER 0, a request that is never answered, an answer nobody asked for.
 * Results and errno as ever. Lessons 46, 92, 98. */
#include "http_min.h"

static char text[HTTP_MAX], got[4096];

static size_t take_head(int fd) {
    size_t len = 0;
    while (len < 4 || memcmp(got + len - 4, "\r\n\r\n", 4) != 0) CHECK(recv(fd, got + len++, 1, 0) == 1);
    return len;
}

int main(void) {
    int c, s;
    story(30);
    signal(SIGPIPE, SIG_IGN);
    /* 1: half close, then the answer until close */
    tcp_pair(&c, &s);
    http_send_get(c, OUT_WRITE, "/half");
    SYS(shutdown(c, SHUT_WR));
    FAILS(send(c, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), EPIPE);
    take_head(s);
    CHECK(recv(s, got, 1, 0) == 0);
    out_all(OUT_SEND, s, "HTTP/1.0 200 OK\r\n\r\nuntil the end", 32);
    SYS(close(s));
    CHECK(recv(c, got, sizeof got, MSG_WAITALL) == 32 && memcmp(got + 19, "until the end", 13) == 0);
    CHECK(recv(c, got, 1, 0) == 0);
    SYS(close(c));
    /* 2: the client leaves in mid-answer; the server writes on into EPIPE or ECONNRESET */
    tcp_pair(&c, &s);
    http_send_get(c, OUT_SEND, "/leaver");
    take_head(s);
    out_all(OUT_SEND, s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", 44);
    CHECK(recv(c, got, 44, MSG_WAITALL) == 44);
    SYS(close(c));
    memset(got, 'x', sizeof got);
    ssize_t n;
    do n = send(s, got, sizeof got, MSG_NOSIGNAL);
    while (n > 0);
    CHECK(n == -1 && (errno == EPIPE || errno == ECONNRESET));
    SYS(close(s));
    /* 3: reset while the answer is awaited */
    tcp_pair(&c, &s);
    http_send_get(c, OUT_WRITEV, "/reset");
    take_head(s);
    SYS(setsockopt(s, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
    SYS(close(s));
    FAILS(recv(c, got, sizeof got, 0), ECONNRESET);
    FAILS(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
    SYS(close(c));
    /* 4: end of file instead of an answer */
    tcp_pair(&c, &s);
    http_send_get(c, OUT_SENDMSG, "/silence");
    take_head(s);
    SYS(close(s));
    CHECK(recv(c, got, sizeof got, 0) == 0 && recv(c, got, sizeof got, 0) == 0);
    SYS(close(c));
    /* 5: an answer that nobody asked for: no span, bytes as they are */
    tcp_pair(&c, &s);
    out_all(OUT_WRITE, s, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 51);
    SYS(close(s));
    CHECK(recv(c, got, sizeof got, MSG_WAITALL) == 51 && memcmp(got, "HTTP/1.1 408", 12) == 0);
    SYS(close(c));
    /* 6: half a head, then gone */
    tcp_pair(&c, &s);
    size_t len = http_request_text(text, "/maybe/never-whole");
    out_all(OUT_WRITE, c, text, len / 2);
    SYS(close(c));
    CHECK(recv(s, got, sizeof got, MSG_WAITALL) == (ssize_t)(len / 2) && memcmp(got, text, len / 2) == 0);
    SYS(close(s));
    return finish_range(4, 5, 4, 5); /* the half head may or may not be an exchange */
}
