/* Requests and answers sent from read-only pages, at the very end of a mapping, with a pointer past it
 * (EFAULT), and buffers that the program changes right after the call. The agent may read the program's
 * bytes, never write them, never read past them. Argument "fault": buffers that are only half there; what
 * the kernel then says must stay. "body": the head is there, the body is not (found by review). Lessons 45, 76, 97. */
#include "http_min.h"

static char *page_end; /* two pages below are ours, the one from here on is not mapped */

static char *at_end(const char *text, size_t n) {
    SYS(mprotect(page_end - 8192, 8192, PROT_READ | PROT_WRITE));
    memcpy(page_end - n, text, n);
    SYS(mprotect(page_end - 8192, 8192, PROT_READ));
    return page_end - n;
}

static void const_pages(void) {
    char text[HTTP_MAX], want[HTTP_MAX];
    int c, s;
    tcp_pair(&c, &s);
    for (int i = 0; i < OUT_WAYS * 4; i++) {
        enum out_way way = (enum out_way)(i % OUT_WAYS);
        size_t n = http_request_text(text, "/const");
        out_all(way, c, at_end(text, n), n);
        CHECK(memcmp(page_end - n, text, n) == 0);
        /* a server that answers from a read-only page, too */
        size_t len = 0;
        char head[HTTP_MAX];
        while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
            ssize_t r = recv(s, head + len, sizeof head - len, 0);
            CHECK(r > 0);
            len += (size_t)r;
        }
        http_check_context("/const", http_strip_context(head, &len));
        CHECK(len == n && memcmp(head, text, n) == 0);
        n = http_response_text(want, "/const");
        out_all(way, s, at_end(want, n), n);
        http_expect_answer(c, IN_READ, "/const");
    }
    /* iovec arrays on a read-only page */
    struct iovec v[2] = {{text, 10}, {text + 10, http_request_text(text, "/const") - 10}};
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    struct msghdr m = {.msg_iov = (struct iovec *)(void *)(map + 256), .msg_iovlen = 2};
    memcpy(map, &m, sizeof m);
    memcpy(map + 256, v, sizeof v);
    SYS(mprotect(map, 4096, PROT_READ));
    ssize_t total = (ssize_t)(v[0].iov_len + v[1].iov_len);
    CHECK(writev(c, (struct iovec *)(void *)(map + 256), 2) == total);
    CHECK(http_serve_one(s));
    http_expect_answer(c, IN_READ, "/const");
    CHECK(sendmsg(c, (struct msghdr *)(void *)map, MSG_NOSIGNAL) == total);
    CHECK(http_serve_one(s));
    http_expect_answer(c, IN_READ, "/const");
    SYS(close(c));
    SYS(close(s));
}

/* Results and errno of half-mapped buffers, printed for the comparison with the bare run. */
static void half_there(void) {
    char text[HTTP_MAX];
    size_t n = http_request_text(text, "/maybe/half");
    for (size_t have = 0; have <= n; have += 9) {
        int c, s;
        tcp_pair(&c, &s);
        char *p = at_end(text, have);
        ssize_t r[5];
        errno = 0;
        r[0] = write(c, p, 4096);
        int e = errno;
        r[1] = send(c, p, 4096, MSG_NOSIGNAL);
        struct iovec v[2] = {{text, 5}, {p, 5000}};
        r[2] = writev(c, v, 2);
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        r[3] = sendmsg(c, &m, MSG_NOSIGNAL);
        r[4] = read(s, page_end - 4, 0);
        printf("have %zu: %zd %zd %zd %zd %zd errno %d\n", have, r[0], r[1], r[2], r[3], r[4], e);
        if (have == 0 && r[0] == -1 && r[1] == -1) CHECK(write(c, text, n) == (ssize_t)n);
        SYS(close(c));
        SYS(close(s));
    }
}

/* A whole head and the first bytes of a body, the rest not mapped; then a request that is right, on the same connection.
 * Local sockets: they take all of a call or nothing. */
static void body_missing(void) {
    char text[HTTP_MAX], got[HTTP_MAX];
    for (size_t have = 0; have <= 10; have += 5)
        for (enum out_way way = 0; way < OUT_WAYS; way++) {
            int s[2];
            SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
            size_t n = text_add(text, 0, "POST /body HTTP/1.1\r\nHost: elf.test\r\nContent-Length: 4000\r\n\r\n");
            memset(text + n, 'x', have);
            FAILS((int)http_out(way, s[0], at_end(text, n + have), n + 4000), EFAULT);
            FAILS((int)recv(s[1], got, sizeof got, MSG_DONTWAIT), EAGAIN); /* not a byte of it went out */
            n = http_request_text(text, "/maybe/right");
            out_all(way, s[0], at_end(text, n), n);
            SYS(shutdown(s[0], SHUT_WR));
            size_t len = 0;
            for (ssize_t r; (r = recv(s[1], got + len, sizeof got - len, 0)) != 0; len += (size_t)r) CHECK(r > 0);
            http_check_context("/maybe/right", http_strip_context(got, &len));
            CHECK(len == n && memcmp(got, text, n) == 0);
            SYS(close(s[0]));
            SYS(close(s[1]));
        }
}

int main(int argc, char **argv) {
    story(30);
    signal(SIGPIPE, SIG_IGN);
    char *map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    page_end = map + 8192;
    SYS(mprotect(page_end, 4096, PROT_NONE));
    if (argc > 1 && strcmp(argv[1], "fault") == 0) {
        half_there();
        return finish_uncounted();
    }
    if (argc > 1 && strcmp(argv[1], "body") == 0) {
        body_missing();
        return finish_uncounted();
    }
    const_pages();
    return finish(OUT_WAYS * 4 + 2, OUT_WAYS * 4 + 2);
}
