/* HTTP/1.1 through every door: each writing call times each reading call, heads in one to four pieces,
 * keep-alive; pipelines of 1 to 20 in one write and cut anywhere; 300 requests (or as
 * many as the argument says) on one connection. Lessons 33, 53, 59, 66, 74, 79, 91, 95, 96. */
#include "http_min.h"

static int requests;

static void *serve(void *arg) {
    struct server_connection *c = arg;
    for (int i = 0; i < OUT_WAYS * IN_WAYS; i++)
        CHECK(http_serve_one_ways(c->fd, (enum in_way)(i % IN_WAYS), (enum out_way)(i / IN_WAYS)));
    while (http_serve_one(c->fd)) {}
    SYS(close(c->fd));
    return NULL;
}

static void all_ways(void) {
    struct server_connection c = {0};
    pthread_t t;
    char path[64];
    int fd;
    tcp_pair(&fd, &c.fd);
    CHECK0(pthread_create(&t, NULL, serve, &c));
    for (int i = 0; i < OUT_WAYS * IN_WAYS; i++, requests++) {
        snprintf(path, sizeof path, "/way/%d", i);
        http_send_get(fd, (enum out_way)(i % OUT_WAYS), path);
        http_expect_answer(fd, (enum in_way)(i / OUT_WAYS), path);
    }
    /* pieces: cut points move over the whole head; a split head may go without a context */
    SYS(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
    char text[HTTP_MAX];
    size_t len = http_request_text(text, "/maybe/pieces");
    for (size_t cut = 1; cut < len; cut++, requests++) {
        size_t second = cut + (len - cut) / 2;
        out_all(OUT_WRITE, fd, text, cut);
        out_all(OUT_SEND, fd, text + cut, second - cut);
        out_all(OUT_WRITEV, fd, text + second, len - second);
        http_expect_answer(fd, IN_RECV, "/maybe/pieces");
    }
    for (size_t i = 0; i < len; i++) out_all(OUT_WRITE, fd, text + i, 1);
    http_expect_answer(fd, IN_READ, "/maybe/pieces");
    requests++;
    SYS(close(fd));
    CHECK0(pthread_join(t, NULL));
}

/* A server that reads whatever there is, answers each whole request in order, and checks all bytes. */
static void *serve_pipeline(void *arg) {
    int fd = *(int *)arg, depth = 0;
    static char in[65536];
    size_t len = 0;
    ssize_t n;
    while ((n = SYS(recv(fd, in + len, sizeof in - len, 0))) > 0) {
        char *end;
        len += (size_t)n;
        while ((end = memmem(in, len, "\r\n\r\n", 4)) != NULL) {
            char head[HTTP_MAX], want[HTTP_MAX];
            size_t full = (size_t)(end + 4 - in), head_len = full;
            CHECK(full < sizeof head);
            memcpy(head, in, full);
            CHECK(http_strip_context(head, &head_len) <= (elf_agent ? 1 : 0));
            CHECK(http_request_text(want, "/maybe/pipe") == head_len && memcmp(want, head, head_len) == 0);
            memmove(in, in + full, len - full);
            len -= full;
            out_all(OUT_SEND, fd, want, http_response_text(want, "/maybe/pipe"));
            depth++;
        }
    }
    CHECK(len == 0);
    SYS(close(fd));
    return (void *)(intptr_t)depth;
}

static void pipelines(void) {
    static char batch[20 * HTTP_MAX];
    int client, server, sent = 0;
    void *served;
    pthread_t t;
    tcp_pair(&client, &server);
    CHECK0(pthread_create(&t, NULL, serve_pipeline, &server));
    for (int depth = 1; depth <= 20; depth++) {
        size_t len = 0;
        for (int i = 0; i < depth; i++) len += http_request_text(batch + len, "/maybe/pipe");
        size_t cut = (size_t)depth * 7 % len;
        if (depth % 2) cut = 0;
        if (cut) out_all(OUT_WRITE, client, batch, cut);
        out_all(OUT_SENDMSG, client, batch + cut, len - cut);
        for (int i = 0; i < depth; i++) http_expect_answer(client, IN_RECV, "/maybe/pipe");
        sent += depth;
    }
    SYS(close(client));
    CHECK0(pthread_join(t, &served));
    CHECK((intptr_t)served == sent);
    requests += sent;
}

static void keep_alive(int n) {
    struct server s = {0};
    server_start(&s);
    int fd = dial(s.port);
    for (int i = 0; i < n; i++) http_get(fd, "/again");
    SYS(close(fd));
    CHECK(server_stop(&s) == n);
    requests += n;
}

int main(int argc, char **argv) {
    story(60);
    all_ways();
    pipelines();
    keep_alive(argc > 1 ? atoi(argv[1]) : 300);
    return finish(requests, requests);
}
