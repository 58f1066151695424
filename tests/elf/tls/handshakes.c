/* Handshakes that fail: one CLIENT span each, whoever finds the fault and however often the program asks again; none for
 * servers; none for a later handshake on a connection that worked; and a certificate of another host is the program's affair. */
#include "openssl.h"

static SSL_CTX *server, *client;

static void failed(struct tell t, const char *name) {
    char more[128];
    sprintf(more, "failed=tls_handshake host=%s", name);
    want("CLIENT", "-", "-", 0, t, more);
}

/* The server's side of a failure: it may or may not notice. */
static void *accepts(void *arg) {
    struct service *s = arg;
    SSL *ssl = object(s->ctx, s->fd, true);
    char c;
    if (SSL_accept(ssl) == 1) CHECK(SSL_read(ssl, &c, 1) <= 0);
    CHECK(SSL_do_handshake(ssl) <= 0 || SSL_is_init_finished(ssl));
    SSL_free(ssl);
    SYS(close(s->fd));
    return NULL;
}
static void *hangs_up(void *arg) {
    struct service *s = arg;
    char hello[4096];
    CHECK(SYS(read(s->fd, hello, sizeof hello)) > 0);
    SYS(close(s->fd));
    return NULL;
}
static void *resets(void *arg) {
    struct service *s = arg;
    struct linger l = {1, 0};
    char c;
    CHECK(SYS(recv(s->fd, &c, 1, MSG_PEEK)) == 1);
    SYS(setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    SYS(close(s->fd));
    return NULL;
}
static void *speaks_plainly(void *arg) {
    struct service *s = arg;
    static const char no[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    char hello[4096];
    CHECK(SYS(read(s->fd, hello, sizeof hello)) > 0);
    CHECK(SYS(write(s->fd, no, sizeof no - 1)) == sizeof no - 1);
    SYS(close(s->fd));
    return NULL;
}

static void *serves_one(void *arg) {
    struct service *s = arg;
    char text[4096], reply[64];
    size_t len = 0;
    SSL *ssl = object(s->ctx, s->fd, true);
    TLS(ssl, SSL_accept(ssl));
    while (memmem(text, len, "\r\n\r\n", 4) == NULL) len += (size_t)TLS(ssl, SSL_read(ssl, text + len, sizeof text - len));
    http_strip_context(text, &len);
    TLS(ssl, SSL_write(ssl, reply, (int)answer(reply, hash(text, len))));
    CHECK(SSL_read(ssl, text, 1) <= 0);
    SSL_free(ssl);
    SYS(close(s->fd));
    return NULL;
}

enum door { CONNECT, HANDSHAKE, WRITE, READ, NONBLOCKING, DOORS };
static void fails(void *(*peer)(void *), SSL_CTX *sc, SSL_CTX *cc, enum door door) {
    struct service s = {.ctx = sc};
    int fd, r = 0;
    char c;
    tcp_pair(&fd, &s.fd);
    struct tell t = tell_of(fd);
    size_t len;
    char *text = request("/in-handshake", t.port, 0, 0, &len);
    CHECK0(pthread_create(&s.thread, NULL, peer, &s));
    SSL *ssl = object(cc, fd, false);
    bool named = door % 2;
    if (named) CHECK(SSL_set_tlsext_host_name(ssl, "named.test") == 1);
    for (int again = 0; again < 3; again++) {
        ERR_clear_error();
        switch (door) {
        case CONNECT: r = SSL_connect(ssl); break;
        case HANDSHAKE: r = SSL_do_handshake(ssl); break;
        case WRITE: r = SSL_write(ssl, text, (int)len); break;
        case READ: r = SSL_read(ssl, &c, 1); break;
        default:
            SYS(fcntl(fd, F_SETFL, O_NONBLOCK));
            while ((r = SSL_connect(ssl)) <= 0) {
                int error = SSL_get_error(ssl, r);
                if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) break;
                struct pollfd p = {fd, POLLIN, 0};
                SYS(poll(&p, 1, -1));
            }
        }
        CHECK(r <= 0);
    }
    ERR_clear_error();
    free(text);
    SSL_free(ssl);
    SYS(close(fd));
    CHECK0(pthread_join(s.thread, NULL));
    if (door == WRITE) want("CLIENT", "GET", "/in-handshake", 0, t, "error=tls_handshake");
    else failed(t, named ? "named.test" : "127.0.0.1");
}

static int wrong_host;
static int takes_wrong_host(int good, X509_STORE_CTX *store) {
    if (good) return 1;
    int why = X509_STORE_CTX_get_error(store);
    wrong_host += why == X509_V_ERR_HOSTNAME_MISMATCH;
    return 1;
}

int main(void) {
    story(30);
    signal(SIGPIPE, SIG_IGN);
    server = context(true, 0);
    client = context(false, 0);
    SSL_CTX *careful = context(false, 0), *old = context(false, TLS1_2_VERSION), *other = context(true, TLS1_2_VERSION);
    SSL_CTX_set_verify(careful, SSL_VERIFY_PEER, NULL); /* trusts nobody */
    CHECK(SSL_CTX_set_cipher_list(old, "ECDHE-RSA-AES128-GCM-SHA256") == 1);   /* and the key is no RSA key */
    for (enum door door = 0; door < DOORS; door++) {
        fails(accepts, server, careful, door);
        fails(accepts, other, old, door);
        fails(hangs_up, server, client, door);
        fails(resets, server, client, door);
        fails(speaks_plainly, server, client, door);
    }

    /* Plain HTTP to a port that expects TLS: the request is one, the server's handshake is nothing. */
    struct service s = {.ctx = server};
    int fd;
    tcp_pair(&fd, &s.fd);
    CHECK0(pthread_create(&s.thread, NULL, accepts, &s));
    struct end plain = plain_end(fd);
    struct tell here = tell_of(fd);
    size_t len;
    char *text = request("/plain", here.port, 0, 0, &len);
    send_all(&plain, text, len);
    free(text);
    want("CLIENT", "GET", "/plain", 0, here, "scheme=http");
    CHECK0(pthread_join(s.thread, NULL));
    SYS(close(fd));

    /* Trusted, of another host: who asks for the name is told, who does not goes on. */
    CHECK(SSL_CTX_load_verify_locations(careful, beside("cert.pem"), NULL) == 1);
    for (int strict = 1; strict >= 0; strict--) {
        s = (struct service){.ctx = server};
        tcp_pair(&fd, &s.fd);
        struct tell t = tell_of(fd);
        SSL *ssl = object(careful, fd, false);
        CHECK(SSL_set1_host(ssl, "other.test") == 1 && SSL_set_tlsext_host_name(ssl, "other.test") == 1);
        CHECK0(pthread_create(&s.thread, NULL, strict ? accepts : service_main, &s));
        if (strict) {
            CHECK(SSL_connect(ssl) <= 0);
            ERR_clear_error();
            SSL_free(ssl);
            SYS(close(fd));
            failed(t, "other.test");
        } else {
            SSL_set_verify(ssl, SSL_VERIFY_PEER, takes_wrong_host);
            TLS(ssl, SSL_connect(ssl));
            CHECK(wrong_host == 1);
            struct end e = ssl_end(ssl, fd);
            call_and_tell(&e, "/wrong-host", t);
            finish_ssl(ssl, fd);
        }
        CHECK0(pthread_join(s.thread, NULL));
    }

    /* A second handshake is refused after a request was answered: no span of its own. */
    SSL_CTX_set_options(other, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX *renegotiates = context(false, TLS1_2_VERSION);
    s = (struct service){.ctx = other};
    tcp_pair(&fd, &s.fd);
    CHECK0(pthread_create(&s.thread, NULL, serves_one, &s));
    SSL *ssl = object(renegotiates, fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    call_and_tell(&e, "/before-refusal", tell_of(fd)); /* the server waits for more */
    CHECK(SSL_renegotiate(ssl) == 1 && SSL_do_handshake(ssl) <= 0);
    ERR_clear_error();
    SSL_free(ssl);
    SYS(close(fd));
    CHECK0(pthread_join(s.thread, NULL));
    return finished();
}
