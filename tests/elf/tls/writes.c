/* Writes that do not go through at once: tiny socket buffers, every combination of modes, plain and _ex, heads of 1 to
 * 40 KB, bodies up to 1 MiB in the same write, several requests in one write. The program follows the library's rule
 * that a retry repeats the call, so "bad write retry" and any count that is not its own end it. */
#include "openssl.h"

static SSL_CTX *server, *client;
static size_t refused, partial;

static void tiny(int fd, int option) {
    int size = 1024;
    SYS(setsockopt(fd, SOL_SOCKET, option, &size, sizeof size));
}

/* Writes all of it, waiting as asked; with `moved`, from another address at each try. */
static void write_out(SSL *ssl, int fd, const char *text, size_t len, long modes, bool ex) {
    char *copies[2] = {malloc(len), malloc(len)};
    size_t at = 0;
    for (int try = 0; at < len; try++) {
        const char *from = text + at;
        if (modes & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) from = memcpy(copies[try % 2], text + at, len - at);
        size_t took = 0;
        int r;
        ERR_clear_error();
        if (ex) {
            took = 12345;
            r = SSL_write_ex(ssl, from, len - at, &took);
            CHECK(r == 1 || r == 0);
        } else {
            r = SSL_write(ssl, from, (int)(len - at));
            took = r > 0 ? (size_t)r : 0;
        }
        if (r > 0) {
            CHECK(took > 0 && took <= len - at);
            if (took < len - at) partial++;
            CHECK(modes & SSL_MODE_ENABLE_PARTIAL_WRITE || took == len - at);
            at += took;
            continue;
        }
        int error = SSL_get_error(ssl, r);
        if (error != SSL_ERROR_WANT_WRITE) ssl_die(__FILE__, __LINE__, "write", error);
        refused++;
        struct pollfd p = {fd, POLLOUT, 0};
        SYS(poll(&p, 1, -1));
        memset(copies[try % 2], '?', len);
    }
    free(copies[0]);
    free(copies[1]);
}

struct load { size_t head, body, requests; };
static const struct load loads[] = {
    {0, 0, 1}, {1024, 0, 1}, {9000, 0, 1}, {16000, 0, 1}, {16384, 0, 1}, {20000, 0, 1}, {40000, 0, 1},
    {0, 1, 1}, {300, 20000, 1}, {16300, 50000, 1}, {40000, 70000, 1}, {500, 1 << 20, 1},
    {0, 0, 5}, {200, 5000, 4}, {8000, 0, 3}, {200, 40000, 3}, {17000, 17000, 2},
};

static void one(int number, struct load l, long modes, bool ex) {
    struct service s = {0};
    int fd = service_start(&s, server);
    tiny(fd, SO_SNDBUF);
    SSL *ssl = object(client, fd, false);
    SSL_clear_mode(ssl, ~0L);
    SSL_set_mode(ssl, modes);
    TLS(ssl, SSL_connect(ssl));
    SYS(fcntl(fd, F_SETFL, O_NONBLOCK));
    struct end e = ssl_end(ssl, fd);
    struct tell t = tell_of(fd);
    char *all = NULL, path[64];
    size_t len = 0;
    uint64_t hashes[8];
    for (size_t i = 0; i < l.requests; i++) {
        size_t n;
        sprintf(path, "/writes/%d/%zu", number, i);
        char *text = request(path, t.port, l.head, l.body, &n);
        all = realloc(all, len + n);
        CHECK(all != NULL);
        memcpy(all + len, text, n);
        hashes[i] = hash(text, n);
        len += n;
        free(text);
        want_both(l.body ? "POST" : "GET", path, t);
    }
    write_out(ssl, fd, all, len, modes, ex);
    for (size_t i = 0; i < l.requests; i++) expect_answer(&e, hashes[i]);
    free(all);
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == (int)l.requests);
}

/* Gives up after WANT_WRITE; the next connection's object may have the same address, and must not get what was left. */
static void give_up(int number) {
    int fd, peer;
    struct service s = {0};
    SSL *ssl = NULL;
    tcp_pair(&fd, &peer);
    tiny(fd, SO_SNDBUF);
    tiny(peer, SO_RCVBUF);
    SYS(fcntl(fd, F_SETFL, O_NONBLOCK));
    ssl = object(client, fd, false);
    SSL *other = object(server, peer, true);
    SYS(fcntl(peer, F_SETFL, O_NONBLOCK));
    while (!SSL_is_init_finished(ssl) || !SSL_is_init_finished(other)) {
        SSL_do_handshake(ssl);
        SSL_do_handshake(other);
    }
    char path[64];
    size_t len;
    sprintf(path, "/given-up/%d", number);
    char *text = request(path, tell_of(fd).port, 30000, 1 << 20, &len);
    int r = SSL_write(ssl, text, (int)len);
    CHECK(r == -1 && SSL_get_error(ssl, r) == SSL_ERROR_WANT_WRITE);
    ERR_clear_error();
    /* It ends without an answer. */
    want("CLIENT", "POST", path, 0, tell_of(fd), "");
    free(text);
    SSL_free(ssl);
    SSL_free(other);
    SYS(close(fd));
    SYS(close(peer));
    int next = service_start(&s, server);
    ssl = object(client, next, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, next);
    sprintf(path, "/after-given-up/%d", number);
    call_and_tell(&e, path, tell_of(next));
    finish_ssl(ssl, next);
    CHECK(service_end(&s) == 1);
}

int main(int argc, char **argv) {
    static const long modes[] = {
        0, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, SSL_MODE_ENABLE_PARTIAL_WRITE,
        SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER,
    };
    CHECK(argc == 2);
    story(60);
    int version = atoi(argv[1]) == 2 ? TLS1_2_VERSION : TLS1_3_VERSION, number = 0;
    server = context(true, version);
    client = context(false, version);
    for (size_t m = 0; m < 4; m++)
        for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
            one(number, loads[i], modes[m], (i + m) % 2);
            number++;
        }
    CHECK(refused > 0 && partial > 0);
    for (int i = 0; i < 5; i++) give_up(i);
    return finished();
}
