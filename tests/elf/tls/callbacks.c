/* Callbacks that the library makes in the middle of a call, and that make calls of their own: requests on another session and
 * on none in a verify, info and session callback; and early data (0-RTT) that the server takes. */
#include "openssl.h"

static SSL_CTX *server, *client;
static struct end beside_it;
static struct server plain;
static struct tell other;
static int calls;

/* A request on another session and one on a plain socket. */
static void calls_out(const char *from) {
    char path[64];
    sprintf(path, "/%s/%d", from, calls++);
    call(&beside_it, path, other.port, 0, 0);
    want_both("GET", path, other);
    http_call(plain.port, "/plain");
}
static int verifies(int good, X509_STORE_CTX *store) {
    (void)good, (void)store;
    calls_out("verify");
    return 1;
}
static void informs(const SSL *ssl, int where, int value) {
    (void)ssl, (void)value;
    if (where & SSL_CB_HANDSHAKE_DONE) calls_out("info");
}
static int sessions;
static SSL_SESSION *kept;
static int new_session(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    if (sessions++ == 0) calls_out("session"); /* in the middle of SSL_read: TLS 1.3 sends tickets after the handshake */
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

/* A server that reads early data first. */
static void *early_main(void *arg) {
    struct service *s = arg;
    char text[4096], reply[64];
    size_t have = 0, n;
    int r;
    s->ssl = object(s->ctx, s->fd, true);
    while ((r = SSL_read_early_data(s->ssl, text + have, sizeof text - have, &n)) == SSL_READ_EARLY_DATA_SUCCESS) have += n;
    CHECK(r == SSL_READ_EARLY_DATA_FINISH);
    TLS(s->ssl, SSL_accept(s->ssl));
    struct end e = ssl_end(s->ssl, s->fd);
    if (have > 0) {
        CHECK(memcmp(text + have - 4, "\r\n\r\n", 4) == 0 && http_strip_context(text, &have) == elf_agent);
        send_all(&e, reply, answer(reply, hash(text, have)));
    }
    s->served = serve(&e) + (have > 0);
    finish_ssl(s->ssl, s->fd);
    return NULL;
}
static void early(void) {
    SSL_CTX *sc = context(true, TLS1_3_VERSION), *cc = context(false, TLS1_3_VERSION);
    SSL_CTX_set_max_early_data(sc, 16384);
    SSL_CTX_set_options(sc, SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_session_cache_mode(cc, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(cc, new_session);
    for (int i = 0; i < 3; i++) {
        struct service s = {.ctx = sc};
        int fd;
        tcp_pair(&fd, &s.fd);
        struct tell t = tell_of(fd);
        CHECK0(pthread_create(&s.thread, NULL, early_main, &s));
        SSL *ssl = object(cc, fd, false);
        struct end e = ssl_end(ssl, fd);
        char path[64];
        if (i > 0) {
            size_t len, n;
            sprintf(path, "/early/%d", i);
            char *text = request(path, t.port, 0, 0, &len);
            CHECK(SSL_set_session(ssl, kept) == 1);
            TLS(ssl, SSL_write_early_data(ssl, text, len, &n));
            CHECK(n == len);
            TLS(ssl, SSL_connect(ssl));
            CHECK(SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED);
            expect_answer(&e, hash(text, len));
            free(text);
            want_both("GET", path, t);
        } else
            TLS(ssl, SSL_connect(ssl));
        sprintf(path, "/later/%d", i);
        call_and_tell(&e, path, t);
        finish_ssl(ssl, fd);
        CHECK(service_end(&s) == 1 + (i > 0));
    }
    SSL_CTX_free(sc);
    SSL_CTX_free(cc);
}

int main(void) {
    story(30);
    signal(SIGPIPE, SIG_IGN);
    server = context(true, 0);
    client = context(false, 0);
    server_start(&plain);
    struct service first = {0};
    int fd = service_start(&first, server);
    other = tell_of(fd);
    SSL *ssl = object(client, fd, false);
    TLS(ssl, SSL_connect(ssl));
    beside_it = ssl_end(ssl, fd);

    SSL_CTX *cc = context(false, 0);
    SSL_CTX_set_verify(cc, SSL_VERIFY_PEER, verifies);
    SSL_CTX_set_info_callback(cc, informs);
    SSL_CTX_set_session_cache_mode(cc, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(cc, new_session);
    struct service second = {0};
    int fd2 = service_start(&second, server);
    SSL *ssl2 = object(cc, fd2, false);
    TLS(ssl2, SSL_connect(ssl2));
    struct end e = ssl_end(ssl2, fd2);
    call_and_tell(&e, "/around/first", tell_of(fd2));
    call_and_tell(&e, "/around/second", tell_of(fd2));
    finish_ssl(ssl2, fd2);
    CHECK(service_end(&second) == 2);
    CHECK(sessions > 0 && calls >= 3);
    early();
    int made = calls;
    finish_ssl(ssl, fd);
    CHECK(service_end(&first) == made && server_stop(&plain) == made);
    struct tell t = {plain.port, 1};
    for (int i = 0; i < made; i++) {
        want("CLIENT", "GET", "/plain", 200, t, "scheme=http noport");
        want("SERVER", "GET", "/plain", 200, t, "scheme=http noport anypeer");
    }
    return finished();
}
