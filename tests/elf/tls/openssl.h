/* OpenSSL ends for the programs of this directory. */
#ifndef OPENSSL_ENDS_H
#define OPENSSL_ENDS_H
#include "http_tls.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

static inline _Noreturn void ssl_die(const char *file, int line, const char *what, int error) {
    fprintf(stderr, "%s:%d: %s: SSL error %d\n", file, line, what, error);
    ERR_print_errors_fp(stderr);
    fflush(stderr);
    _exit(1);
}
/* A call on an object that must return more than 0. */
#define TLS(ssl, call)                                                                                   \
    __extension__({                                                                                      \
        int t_ = (int)(call);                                                                            \
        if (t_ <= 0) ssl_die(__FILE__, __LINE__, #call, SSL_get_error(ssl, t_));                         \
        t_;                                                                                              \
    })

/* A context for one version (0: any). */
static inline SSL_CTX *context(bool server, int version) {
    SSL_CTX *c = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    CHECK(c != NULL);
    if (version) CHECK(SSL_CTX_set_min_proto_version(c, version) && SSL_CTX_set_max_proto_version(c, version));
    if (server) {
        CHECK(SSL_CTX_use_certificate_file(c, beside("cert.pem"), SSL_FILETYPE_PEM) == 1);
        CHECK(SSL_CTX_use_PrivateKey_file(c, beside("key.pem"), SSL_FILETYPE_PEM) == 1);
        CHECK(SSL_CTX_set_session_id_context(c, (const unsigned char *)"elf", 3) == 1);
    }
    return c;
}

/* Waits for what the library asks for; false at the end of the stream. */
static inline bool ssl_wait(struct end *e, int result) {
    int error = SSL_get_error(e->with, result);
    if (error == SSL_ERROR_ZERO_RETURN) return false;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) ssl_die(__FILE__, __LINE__, "call", error);
    struct pollfd p = {e->fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, 0};
    SYS(poll(&p, 1, -1));
    return true;
}
static inline ssize_t ssl_in(struct end *e, void *data, size_t len) {
    int r;
    do ERR_clear_error();
    while ((r = SSL_read(e->with, data, len > INT_MAX ? INT_MAX : (int)len)) <= 0 && ssl_wait(e, r));
    return r > 0 ? r : 0;
}
static inline ssize_t ssl_out(struct end *e, const void *data, size_t len) {
    int r;
    do ERR_clear_error();
    while ((r = SSL_write(e->with, data, (int)len)) <= 0 && ssl_wait(e, r));
    return r;
}
static inline struct end ssl_end(SSL *ssl, int fd) { return (struct end){ssl_in, ssl_out, ssl, fd}; }

/* An object for a connected socket. */
static inline SSL *object(SSL_CTX *c, int fd, bool server) {
    SSL *s = SSL_new(c);
    CHECK(s != NULL && SSL_set_fd(s, fd) == 1);
    if (server) SSL_set_accept_state(s);
    else SSL_set_connect_state(s);
    return s;
}
/* Ends one side as most programs do: says goodbye and does not wait for an answer. */
static inline void finish_ssl(SSL *s, int fd) {
    SSL_shutdown(s);
    SSL_free(s);
    SYS(close(fd));
}

/* ---- a server thread for one connection, which ends when the client has gone ---- */
struct service {
    pthread_t thread;
    SSL_CTX *ctx;
    int fd, served;
    void (*before)(struct service *, struct end *); /* on the plain socket */
    ssize_t (*in)(struct end *, void *, size_t);    /* another way to read */
    SSL *ssl;
};
static inline void *service_main(void *arg) {
    struct service *s = arg;
    struct end plain = plain_end(s->fd);
    if (s->before) s->before(s, &plain);
    s->ssl = object(s->ctx, s->fd, true);
    TLS(s->ssl, SSL_accept(s->ssl));
    struct end e = ssl_end(s->ssl, s->fd);
    if (s->in) e.in = s->in;
    s->served = serve(&e);
    finish_ssl(s->ssl, s->fd);
    return NULL;
}
/* Gives the client's socket. */
static inline int service_start(struct service *s, SSL_CTX *ctx) {
    int client;
    tcp_pair(&client, &s->fd);
    s->ctx = ctx;
    CHECK0(pthread_create(&s->thread, NULL, service_main, s));
    return client;
}
static inline int service_end(struct service *s) {
    CHECK0(pthread_join(s->thread, NULL));
    return s->served;
}
#endif
