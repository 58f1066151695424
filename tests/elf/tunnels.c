/* What must not be touched: bytes after 101 and after CONNECT that look like requests; requests that carry a
 * traceparent in any spelling; signed requests; other protocols whose bytes contain HTTP later on (STARTTLS
 * style, yamux, an HTTP/2 preface, TLS records, server-first greetings); a request line inside a body.
 * Lessons 65, 68, 69, 71, 73, 94, 100. */
#include "http_min.h"

static int c, s;
static char got[65536];

static void expect(int fd, const char *text, size_t n) {
    CHECK(n <= sizeof got && in_all(IN_RECV, fd, got, n));
    if (memcmp(got, text, n) != 0) {
        fprintf(stderr, "sent    %.200s\narrived %.200s\n", text, got);
        exit(1);
    }
}
/* from us to the peer, unaltered */
static void same(const char *text) {
    static int way;
    size_t n = strlen(text);
    out_all((enum out_way)(way++ % OUT_WAYS), c, text, n);
    expect(s, text, n);
}
static void back(const char *text) {
    out_all(OUT_SEND, s, text, strlen(text));
    expect(c, text, strlen(text));
}
static void head(const char *text) { /* a request that takes a context */
    out_all(OUT_SEND, c, text, strlen(text));
    size_t len = 0;
    while (len < 4 || memcmp(got + len - 4, "\r\n\r\n", 4) != 0) CHECK(recv(s, got + len++, 1, 0) == 1);
    int parents = http_strip_context(got, &len);
    CHECK(elf_agent ? parents <= 1 : parents == 0);
    CHECK(len == strlen(text) && memcmp(got, text, len) == 0);
}
static void fresh(void) {
    tcp_pair(&c, &s);
}
static void done(void) {
    SYS(shutdown(c, SHUT_WR));
    CHECK(recv(s, got, sizeof got, 0) == 0); /* not one byte more */
    SYS(close(c));
    SYS(close(s));
}
#define LOOKS_LIKE "GET /inside HTTP/1.1\r\nHost: inside\r\n\r\n"

int main(void) {
    story(30);
    fresh();
    head("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    back("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    same(LOOKS_LIKE), back("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), same(LOOKS_LIKE);
    done();
    fresh();
    head("CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n");
    back("HTTP/1.1 200 Connection established\r\n\r\n");
    same("\x16\x03\x01\x00\x05hello"), same(LOOKS_LIKE), back("\x16\x03\x03\x00\x05world"), same(LOOKS_LIKE);
    done();

    static const char *const own[] = {
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        "TRACEPARENT:   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/x/s3/aws4_request, SignedHeaders=host, Signature=0f",
    };
    char text[4096];
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        for (int far = 0; far < 2; far++) {
            char fill[1500] = "";
            memset(fill, 'c', far ? sizeof fill - 1 : 1);
            snprintf(text, sizeof text, "GET /own HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n%s\r\n\r\n", fill, own[i]);
            fresh();
            same(text);
            back("HTTP/1.1 204 No Content\r\n\r\n");
            same(text); /* the same connection again */
            back("HTTP/1.1 204 No Content\r\n\r\n");
            done();
        }

    fresh(); /* mail: text first from the server, an upgrade in between */
    back("220 mail.example ESMTP\r\n"), same("EHLO a\r\n"), back("250-STARTTLS\r\n250 OK\r\n"), same("STARTTLS\r\n");
    back("220 go\r\n"), same("\x16\x03\x01\x00\x04...."), same(LOOKS_LIKE);
    done();
    fresh(); /* yamux: 12-byte frames, with a payload that is a request */
    out_all(OUT_WRITE, c, "\0\1\0\1\0\0\0\1\0\0\0\0", 12);
    expect(s, "\0\1\0\1\0\0\0\1\0\0\0\0", 12);
    out_all(OUT_WRITE, c, "\0\0\0\0\0\0\0\1\0\0\0\46" LOOKS_LIKE, 12 + sizeof LOOKS_LIKE - 1);
    expect(s, "\0\0\0\0\0\0\0\1\0\0\0\46" LOOKS_LIKE, 12 + sizeof LOOKS_LIKE - 1);
    done();
    static const char *const others[] = {
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRINT something\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "GETALL the things\r\n\r\n",
        "SSH-2.0-x\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PUTS HTTP\r\n\r\n", "OPTIONAL\r\n", "G", "HTTPS\r\n\r\n",
        "RTSP/1.0 200 OK\r\n\r\n", "OPTIONS rtsp://a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        fresh();
        same(others[i]);
        if (i % 2) back("+OK\r\n");
        if (others[i][1]) same(LOOKS_LIKE); /* after the one byte G a request could still begin */
        done();
    }
    fresh(); /* a body that is a request, in the call of its head and in the next */
    snprintf(text, sizeof text, "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", 2 * (sizeof LOOKS_LIKE - 1));
    head(text);
    same(LOOKS_LIKE), same(LOOKS_LIKE);
    back("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    head("POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    same("26\r\n" LOOKS_LIKE "\r\n"), same("26\r\n"), same(LOOKS_LIKE), same("\r\n0\r\n\r\n");
    back("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    head("POST /wait HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 38\r\n\r\n");
    back("HTTP/1.1 100 Continue\r\n\r\n");
    same(LOOKS_LIKE);
    back("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    done();
    return finish_uncounted(); /* which of these are exchanges is the protocol tests' matter */
}
