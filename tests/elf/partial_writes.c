/* Writes that stop anywhere: smallest send buffer, non-blocking, a peer that reads one byte at a time (or
 * bursts); the head itself is cut by the full buffer at every position as the run goes on. The count told to
 * the program is in its own bytes, FIONREAD and SIOCOUTQ stay plausible, and the peer receives exactly the
 * program's bytes plus at most one run of context lines per head, right after a request line.
 * Lessons 58, 66, 70, 74. */
#include "http_min.h"
#include <linux/sockios.h>
#include <sys/ioctl.h>

enum { REQUESTS = 400 };
static int one_byte;
static atomic_bool stuck; /* the writer stands before a full buffer, or has written all */

/* Body bytes never look like a head, and depend on their place so that a lost or doubled byte shows. */
static char body_byte(int request, size_t i) { return (char)(128 + (request * 31 + (int)(i % 101)) % 120); }
static size_t body_size(int request) { return (size_t)(request * 97 % 1531); }
static size_t head_text(char *out, int request) {
    size_t n = text_add(out, 0, "POST /maybe/partial/");
    n = text_add_number(out, n, (size_t)request);
    n = text_add(out, n, " HTTP/1.1\r\nHost: elf.test\r\nContent-Length: ");
    n = text_add_number(out, n, body_size(request));
    n = text_add(out, n, "\r\nX-Fill: ");
    for (int i = 0; i < request % 53; i++) n = text_add(out, n, "f");
    return text_add(out, n, "\r\n\r\n");
}

static void take(int fd, char *p, size_t n) {
    while (n > 0) {
        ssize_t r = recv(fd, p, one_byte ? 1 : n, 0);
        CHECK(r > 0);
        p += r;
        n -= (size_t)r;
    }
}
static void *reader(void *arg) {
    int fd = *(int *)arg;
    long with = 0;
    for (int i = 0; i < REQUESTS; i++) {
        char head[HTTP_MAX], want[HTTP_MAX], body[1600];
        size_t len = 0;
        /* reads on when the writer is stuck: each of these stops is in another place of the stream */
        for (double end = now_s() + 0.02; i % 10 == 0 && !atomic_load(&stuck) && now_s() < end;) sched_yield();
        while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
            CHECK(len < sizeof head);
            take(fd, head + len++, 1);
        }
        int parents = http_strip_context(head, &len);
        CHECK(parents <= (elf_agent ? 1 : 0));
        with += parents;
        CHECK(head_text(want, i) == len && memcmp(head, want, len) == 0);
        take(fd, body, body_size(i));
        for (size_t k = 0; k < body_size(i); k++) CHECK(body[k] == body_byte(i, k));
    }
    char end;
    CHECK(recv(fd, &end, 1, 0) == 0);
    return (void *)with;
}

/* All requests as one stream of bytes, written non-blocking: in chunks of changing size that end anywhere, or
 * (aligned) one request a call, the rest again after a short write: then each head is whole in its call. */
static void writer(int fd, enum out_way way, bool aligned) {
    static size_t start[REQUESTS + 1];
    int request = 0;
    static char stream[REQUESTS * 2048];
    size_t len = 0, at = 0, cut = 0, blocked = 0;
    unsigned x = 7;
    for (int i = 0; i < REQUESTS; i++) {
        start[i] = len;
        len += head_text(stream + len, i);
        for (size_t k = 0; k < body_size(i); k++) stream[len++] = body_byte(i, k);
    }
    start[REQUESTS] = len;
    while (at < len) {
        while (start[request + 1] <= at) request++;
        x = x * 1103515245 + 12345;
        size_t chunk = (x >> 16) % 6000 + 1;
        if (aligned) chunk = start[request + 1] - at;
        if (chunk > len - at) chunk = len - at;
        ssize_t n = http_out(way, fd, stream + at, chunk);
        if (n < 0) {
            CHECK(errno == EAGAIN);
            blocked++;
            atomic_store(&stuck, true);
            CHECK(poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 20000) == 1);
            atomic_store(&stuck, false);
            continue;
        }
        CHECK(n > 0 && (size_t)n <= chunk); /* never more than the program asked for */
        cut += (size_t)n < chunk;
        int queued = -1;
        CHECK(ioctl(fd, SIOCOUTQ, &queued) == 0 && queued >= 0);
        at += (size_t)n;
    }
    if (!elf_agent) CHECK(blocked > 0 && cut > 0); /* else the story did not happen */
    atomic_store(&stuck, true);
}

static int round_of(enum out_way way, int slow_reader, bool aligned) {
    int c, s;
    pthread_t t;
    void *with;
    one_byte = slow_reader;
    atomic_store(&stuck, false);
    /* small segments: the kernel then takes a part of a write instead of one whole buffer */
    int port, l = listen_loopback(&port);
    struct sockaddr_in a = loopback(port);
    SYS(setsockopt(l, IPPROTO_TCP, TCP_MAXSEG, &(int){200}, sizeof(int)));
    c = SYS(socket(AF_INET, SOCK_STREAM, 0));
    SYS(setsockopt(c, IPPROTO_TCP, TCP_MAXSEG, &(int){200}, sizeof(int)));
    SYS(setsockopt(c, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)));
    SYS(setsockopt(l, SOL_SOCKET, SO_RCVBUF, &(int){8192}, sizeof(int)));
    SYS(connect(c, (struct sockaddr *)&a, sizeof a));
    s = SYS(accept(l, NULL, NULL));
    SYS(close(l));
    SYS(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
    SYS(fcntl(c, F_SETFL, O_NONBLOCK));
    CHECK0(pthread_create(&t, NULL, reader, &s));
    writer(c, way, aligned);
    SYS(close(c));
    CHECK0(pthread_join(t, &with));
    SYS(close(s));
    return (int)(intptr_t)with;
}

int main(void) {
    int with;
    story(120);
    signal(SIGPIPE, SIG_IGN);
    for (int way = 0; way < OUT_WAYS; way++) {
        round_of((enum out_way)way, way % 2, false);
        with = round_of((enum out_way)way, way % 2, true);
        if (elf_agent) CHECK(with > 0); /* the rewriting really ran into full buffers */
    }
    return finish_uncounted(); /* nobody answers: how many spans that makes is the agent's choice */
}
