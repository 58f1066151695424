/* Heads of every size around powers of two up to 9,000 bytes and of 16, 40 and 60 KiB, in one call and in the
 * smallest number of pieces: each arrives whole, with one context line or none. Lessons 66, 67. */
#include "http_min.h"

static char text[70000], got[72000];
static int fd_server;

static size_t make(size_t size) { /* a head of exactly this size */
    size_t n = text_add(text, 0, "GET /maybe/size HTTP/1.1\r\nHost: a\r\nCookie: ");
    CHECK(size >= n + 5);
    memset(text + n, 'k', size - n - 4);
    memcpy(text + size - 4, "\r\n\r\n", 4);
    return size;
}
static int one(int c, size_t size, enum out_way way) {
    size_t n = make(size), len = 0;
    out_all(way, c, text, n);
    while (len < 4 || memcmp(got + len - 4, "\r\n\r\n", 4) != 0) {
        ssize_t r = SYS(read(fd_server, got + len, sizeof got - len));
        CHECK(r > 0);
        len += (size_t)r;
    }
    int parents = http_strip_context(got, &len);
    CHECK(len == n && memcmp(got, text, n) == 0 && parents <= (elf_agent ? 1 : 0));
    if (elf_agent && size <= 8192) CHECK(parents == 1);
    out_all(OUT_WRITE, fd_server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40);
    CHECK(in_all(IN_READ, c, got, 40));
    return 1;
}

int main(void) {
    int c, n = 0;
    story(60);
    tcp_pair(&c, &fd_server);
    SYS(setsockopt(c, SOL_SOCKET, SO_SNDBUF, &(int){1 << 18}, sizeof(int)));
    for (size_t size = 60; size <= 9000; size++) {
        size_t near = size & (size - 1), last = 1;
        while (last * 2 <= size) last *= 2;
        if (size > 200 && size - last > 80 && last * 2 - size > 80 && near % 97) continue; /* all sizes near powers of two, some others */
        n += one(c, size, (enum out_way)(n % OUT_WAYS));
    }
    static const size_t large[] = {16384, 16385, 32768, 40960, 60000, 65000};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) n += one(c, large[i], (enum out_way)(i % OUT_WAYS));
    SYS(close(c));
    SYS(close(fd_server));
    printf("heads: %d\n", n);
    return finish(n, n);
}
