/* Reads and ends: one byte at a time with SSL_pending, peeks before reads, renegotiation (TLS 1.2), key updates (TLS 1.3),
 * every way to say goodbye or not to, and objects that serve twice, are freed in the middle, shared, copied, or resumed. */
#include "openssl.h"

static SSL_CTX *server, *client;

static ssize_t in_bytes(struct end *e, void *data, size_t len) {
    char *p = data;
    size_t got = 0, took;
    do {
        int r = SSL_read_ex(e->with, p + got, 1, &took);
        if (r == 0 && got == 0 && !ssl_wait(e, r)) return 0;
        CHECK(r == 1 && took == 1);
        got++;
        if (got < len && SSL_pending(e->with) > 0 && SSL_read(e->with, p + got, 1) == 1) got++;
    } while (got < len && SSL_pending(e->with) > 0);
    return (ssize_t)got;
}
static ssize_t in_peeked(struct end *e, void *data, size_t len) {
    char first[64], second[64];
    size_t peeked = 0;
    if (len > sizeof first) len = sizeof first;
    int r = SSL_peek_ex(e->with, first, len, &peeked);
    if (r == 0) {
        CHECK(!ssl_wait(e, r));
        return 0;
    }
    size_t again = (size_t)TLS(e->with, SSL_peek(e->with, second, (int)len));
    CHECK(again == peeked && memcmp(first, second, again) == 0);
    ssize_t n = ssl_in(e, data, peeked);
    CHECK(n == (ssize_t)peeked && memcmp(first, data, peeked) == 0);
    return n;
}
static void ways(const char *name, ssize_t (*in)(struct end *, void *, size_t)) {
    struct service s = {.in = in};
    int fd = service_start(&s, server);
    SSL *ssl = object(client, fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = {in, ssl_out, ssl, fd};
    for (int i = 0; i < 3; i++) {
        char path[32];
        sprintf(path, "/%s/%d", name, i);
        call_and_tell(&e, path, tell_of(fd));
    }
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == 3);
}

/* Every second time the next write does it. */
static void renegotiation(SSL *ssl, int i) {
    CHECK(SSL_renegotiate(ssl) == 1);
    if (i % 2) TLS(ssl, SSL_do_handshake(ssl));
}
static void key_update(SSL *ssl, int i) {
    CHECK(SSL_key_update(ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
}

static void middle(const char *name, int version, void (*change)(SSL *, int)) {
    SSL_CTX *sc = context(true, version), *cc = context(false, version);
    struct service s = {0};
    SSL_CTX_clear_options(sc, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_options(sc, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    int fd = service_start(&s, sc);
    SSL *ssl = object(cc, fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    char path[64];
    for (int i = 0; i < 4; i++) {
        sprintf(path, "/%s/%d", name, i);
        call_and_tell(&e, path, tell_of(fd));
        if (i < 3) change(ssl, i);
    }
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == 4);
    SSL_CTX_free(sc);
    SSL_CTX_free(cc);
}

/* A server that answers without a length: the body ends with the stream, in one of three ways. */
enum goodbye { BOTH, ONE_SIDED, NONE, RESET, GOODBYES };
static const char *const goodbyes[] = {"both", "one", "silent", "reset"};
struct until { pthread_t thread; int fd; enum goodbye how; };
static void *until_main(void *arg) {
    struct until *u = arg;
    static const char reply[] = "HTTP/1.1 200 OK\r\n\r\nall until the end";
    char text[4096];
    SSL *ssl = object(server, u->fd, true);
    TLS(ssl, SSL_accept(ssl));
    struct end e = ssl_end(ssl, u->fd);
    size_t len = 0;
    while (memmem(text, len, "\r\n\r\n", 4) == NULL) len += (size_t)e.in(&e, text + len, sizeof text - len);
    send_all(&e, reply, sizeof reply - 1);
    if (u->how == BOTH || u->how == ONE_SIDED) CHECK(SSL_shutdown(ssl) == 0);
    if (u->how == BOTH) TLS(ssl, SSL_shutdown(ssl));
    if (u->how == RESET) {
        struct linger l = {1, 0};
        char c;
        SYS(recv(u->fd, &c, 1, MSG_PEEK)); /* the client has read all */
        SYS(setsockopt(u->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    }
    SSL_free(ssl);
    SYS(close(u->fd));
    return NULL;
}
static void until_end(enum goodbye how) {
    struct until u = {.how = how};
    int fd;
    tcp_pair(&fd, &u.fd);
    struct tell t = tell_of(fd);
    CHECK0(pthread_create(&u.thread, NULL, until_main, &u));
    SSL *ssl = object(client, fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    char path[64], got[256];
    sprintf(path, "/until/%s", goodbyes[how]);
    size_t len, have = 0;
    char *text = request(path, t.port, 0, 0, &len);
    send_all(&e, text, len);
    free(text);
    int r;
    while (have < 36 && (r = SSL_read(ssl, got + have, (int)(sizeof got - have))) > 0) have += (size_t)r;
    if (how == RESET) SYS(send(fd, "x", 1, 0));
    while ((r = SSL_read(ssl, got + have, (int)(sizeof got - have))) > 0) have += (size_t)r;
    CHECK(have == 36);
    int error = SSL_get_error(ssl, r);
    CHECK(how == BOTH || how == ONE_SIDED ? error == SSL_ERROR_ZERO_RETURN
          : how == RESET ? error == SSL_ERROR_SYSCALL && errno == ECONNRESET : error == SSL_ERROR_SSL);
    ERR_clear_error();
    if (how == BOTH) CHECK(SSL_shutdown(ssl) == 1);
    SSL_free(ssl);
    SYS(close(fd));
    CHECK0(pthread_join(u.thread, NULL));
    want("CLIENT", "GET", path, 200, t, how == RESET ? "error=connection_reset" : "");
    want("SERVER", "GET", path, 200, t, "");
}

/* One object for two connections, by SSL_clear; the second resumes the first's session. */
static void cleared(void) {
    SSL_CTX *cc = context(false, TLS1_2_VERSION);
    SSL *ssl = SSL_new(cc);
    for (int i = 0; i < 3; i++) {
        struct service s = {0};
        int fd = service_start(&s, server);
        CHECK(SSL_set_fd(ssl, fd) == 1);
        SSL_set_connect_state(ssl);
        TLS(ssl, SSL_do_handshake(ssl));
        CHECK(SSL_session_reused(ssl) == (i > 0));
        struct end e = ssl_end(ssl, fd);
        char path[32];
        sprintf(path, "/cleared/%d", i);
        call_and_tell(&e, path, tell_of(fd));
        CHECK(SSL_shutdown(ssl) >= 0);
        SYS(close(fd));
        CHECK(service_end(&s) == 1);
        CHECK(SSL_clear(ssl) == 1);
    }
    SSL_free(ssl);
    SSL_CTX_free(cc);
}

/* Freed before the answer came. The server must not write to what is gone: it is told by a half close. */
static void freed_in_the_middle(void) {
    int fd, peer;
    tcp_pair(&fd, &peer);
    SSL *c = object(client, fd, false), *s = object(server, peer, true);
    SYS(fcntl(fd, F_SETFL, O_NONBLOCK));
    SYS(fcntl(peer, F_SETFL, O_NONBLOCK));
    while (!SSL_is_init_finished(c) || !SSL_is_init_finished(s)) {
        SSL_do_handshake(c);
        SSL_do_handshake(s);
    }
    struct tell t = tell_of(fd);
    struct end ce = ssl_end(c, fd), se = ssl_end(s, peer);
    size_t len;
    char *text = request("/freed/middle", t.port, 0, 0, &len), got[4096];
    send_all(&ce, text, len);
    CHECK(se.in(&se, got, sizeof got) > 0);
    SSL_free(s);
    SSL_free(c);
    SYS(close(fd));
    SYS(close(peer));
    free(text);
    want("CLIENT", "GET", "/freed/middle", 0, t, "");
    want("SERVER", "GET", "/freed/middle", 0, t, "");
}

/* An object with two owners, one of which lets go between a request and its answer. */
static void shared(void) {
    struct service s = {0};
    int fd = service_start(&s, server);
    SSL *ssl = object(client, fd, false);
    CHECK(SSL_up_ref(ssl) == 1);
    TLS(ssl, SSL_connect(ssl));
    struct tell t = tell_of(fd);
    struct end e = ssl_end(ssl, fd);
    size_t len;
    char *text = request("/shared/first", t.port, 0, 0, &len);
    send_all(&e, text, len);
    SSL_free(ssl);
    expect_answer(&e, hash(text, len));
    free(text);
    want_both("GET", "/shared/first", t);
    call_and_tell(&e, "/shared/second", t);
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == 2);
}

static SSL_SESSION *kept;
static int keep(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}
static void resumed(int version) {
    SSL_CTX *sc = context(true, version), *cc = context(false, version);
    SSL_CTX_set_session_cache_mode(cc, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(cc, keep);
    for (int i = 0; i < 3; i++) {
        struct service s = {0};
        int fd = service_start(&s, sc);
        SSL *ssl = object(cc, fd, false);
        if (kept) CHECK(SSL_set_session(ssl, kept) == 1);
        TLS(ssl, SSL_connect(ssl));
        CHECK(SSL_session_reused(ssl) == (i > 0));
        struct end e = ssl_end(ssl, fd);
        char path[32];
        sprintf(path, "/resumed/%x/%d", (unsigned)version, i);
        call_and_tell(&e, path, tell_of(fd));
        finish_ssl(ssl, fd);
        CHECK(service_end(&s) == 1);
    }
    SSL_SESSION_free(kept);
    kept = NULL;
    SSL_CTX_free(sc);
    SSL_CTX_free(cc);
}

int main(void) {
    story(60);
    signal(SIGPIPE, SIG_IGN);
    server = context(true, 0);
    client = context(false, 0);
    ways("single", in_bytes);
    ways("peeked", in_peeked);
    middle("renegotiate", TLS1_2_VERSION, renegotiation);
    middle("update", TLS1_3_VERSION, key_update);
    for (int how = 0; how < GOODBYES; how++) until_end(how);
    cleared();
    freed_in_the_middle();
    shared();
    resumed(TLS1_2_VERSION);
    resumed(TLS1_3_VERSION);
    return finished();
}
