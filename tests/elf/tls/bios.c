/* What carries the records: memory BIOs driven by hand, BIO pairs, a BIO of the program's with I/O of its own in it, two
 * descriptors, BIO chains, TLS inside TLS, and connections that were something else before. Peers are right in all of these,
 * and where both ends share no socket there is none. */
#include "openssl.h"

static SSL_CTX *server, *client;

/* ---- memory BIOs and pairs: one thread is both ends, bytes are carried by sockets or by nothing ---- */
struct side { SSL *ssl; BIO *net; int fd; };

/* Carries what one side wrote to the other. `fd` -1: straight across. */
static void pump(struct side *from, struct side *to) {
    char buffer[4096];
    int n;
    while ((n = BIO_read(from->net, buffer, sizeof buffer)) > 0) {
        if (from->fd >= 0) {
            CHECK(SYS(write(from->fd, buffer, (size_t)n)) == n);
            for (int got = 0; got < n;) {
                ssize_t r = SYS(read(to->fd, buffer, (size_t)(n - got)));
                CHECK(BIO_write(to->net, buffer, (int)r) == r);
                got += (int)r;
            }
        } else
            CHECK(BIO_write(to->net, buffer, n) == n);
    }
}
/* Both directions of a memory BIO are two; `net` of it is asked for by these. */
static void shake(struct side *c, struct side *s) {
    while (!SSL_is_init_finished(c->ssl) || !SSL_is_init_finished(s->ssl)) {
        SSL_do_handshake(c->ssl);
        pump(c, s);
        SSL_do_handshake(s->ssl);
        pump(s, c);
    }
    ERR_clear_error();
}
static void by_hand(const char *name, bool sockets) {
    struct side c = {.fd = -1}, s = {.fd = -1};
    struct tell t = {4433, 0};
    BIO *inner;
    if (sockets) {
        tcp_pair(&c.fd, &s.fd);
        t = tell_of(c.fd);
    }
    struct side *sides[] = {&c, &s};
    for (int i = 0; i < 2; i++) {
        sides[i]->ssl = SSL_new(i ? server : client);
        CHECK(BIO_new_bio_pair(&inner, 0, &sides[i]->net, 0) == 1);
        SSL_set_bio(sides[i]->ssl, inner, inner);
    }
    SSL_set_connect_state(c.ssl);
    SSL_set_accept_state(s.ssl);
    shake(&c, &s);
    for (int i = 0; i < 2; i++) {
        char path[64], got[4096], reply[64];
        size_t len, have = 0;
        sprintf(path, "/%s/%d", name, i);
        char *text = request(path, t.port, 0, 0, &len);
        TLS(c.ssl, SSL_write(c.ssl, text, (int)len));
        pump(&c, &s);
        while (memmem(got, have, "\r\n\r\n", 4) == NULL) have += (size_t)TLS(s.ssl, SSL_read(s.ssl, got + have, 100));
        CHECK(http_strip_context(got, &have) == elf_agent && have == len && memcmp(got, text, len) == 0);
        size_t n = answer(reply, hash(text, len));
        TLS(s.ssl, SSL_write(s.ssl, reply, (int)n));
        pump(&s, &c);
        CHECK(SSL_read(c.ssl, got, sizeof got) == (int)n && memcmp(got, reply, n) == 0);
        free(text);
        want_both("GET", path, t);
    }
    for (int i = 0; i < 2; i++) {
        SSL_free(sides[i]->ssl);
        BIO_free(sides[i]->net);
        if (sockets) SYS(close(sides[i]->fd));
    }
}

/* Memory BIOs at the client's, with the socket's bytes carried in pieces of `step`. */
struct memory { SSL *ssl; BIO *in, *out; size_t step; };
static void flush_memory(struct end *e, struct memory *m) {
    char byte[4096];
    int n;
    while ((n = BIO_read(m->out, byte, (int)m->step)) > 0) CHECK(SYS(write(e->fd, byte, (size_t)n)) == n);
}
static ssize_t memory_call(struct end *e, void *data, size_t len, int what) {
    struct memory *m = e->with;
    char bytes[4096];
    for (;;) {
        ERR_clear_error();
        int r = what == 0 ? SSL_do_handshake(m->ssl) : what == 1 ? SSL_read(m->ssl, data, (int)len) : SSL_write(m->ssl, data, (int)len);
        int error = SSL_get_error(m->ssl, r);
        flush_memory(e, m);
        if (r > 0) return r;
        if (error == SSL_ERROR_ZERO_RETURN) return 0;
        if (error != SSL_ERROR_WANT_READ) ssl_die(__FILE__, __LINE__, "memory", error);
        ssize_t n = SYS(read(e->fd, bytes, m->step));
        CHECK(n > 0 && BIO_write(m->in, bytes, (int)n) == n);
    }
}
static ssize_t memory_in(struct end *e, void *data, size_t len) { return memory_call(e, data, len, 1); }
static ssize_t memory_out(struct end *e, const void *data, size_t len) { return memory_call(e, (void *)(uintptr_t)data, len, 2); }
static void memory(const char *name, int fd, size_t step, bool known) {
    struct memory m = {SSL_new(client), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()), step};
    struct end e = {memory_in, memory_out, &m, fd};
    SSL_set_bio(m.ssl, m.in, m.out);
    SSL_set_connect_state(m.ssl);
    memory_call(&e, NULL, 0, 0);
    char path[64];
    for (int i = 0; i < 2; i++) {
        sprintf(path, "/%s/%d", name, i);
        struct tell t = tell_of(fd);
        call(&e, path, t.port, 0, 0);
        want("SERVER", "GET", path, 200, t, "");
        if (!known) t.from = 0;
        want("CLIENT", "GET", path, 200, t, "");
    }
    SSL_shutdown(m.ssl);
    flush_memory(&e, &m);
    SSL_free(m.ssl);
    SYS(close(fd));
}
static void by_memory(const char *name, size_t step) {
    struct service s = {0};
    int fd = service_start(&s, server);
    memory(name, fd, step, true);
    CHECK(service_end(&s) == 2);
}

/* ---- a BIO of the program's, which asks a plain server something at every read and write ---- */
static struct server oracle;
static int oracle_calls;
static int own_write(BIO *b, const char *data, int len) {
    BIO_clear_retry_flags(b);
    http_call(oracle.port, "/oracle");
    oracle_calls++;
    return (int)write((int)(intptr_t)BIO_get_data(b), data, (size_t)len);
}
static int own_read(BIO *b, char *data, int len) {
    BIO_clear_retry_flags(b);
    http_call(oracle.port, "/oracle");
    oracle_calls++;
    return (int)read((int)(intptr_t)BIO_get_data(b), data, (size_t)len);
}
static long own_ctrl(BIO *b, int cmd, long num, void *ptr) {
    (void)b, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}
static void own(void) {
    struct service s = {0};
    int fd = service_start(&s, server);
    server_start(&oracle);
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "own");
    BIO_meth_set_write(method, own_write);
    BIO_meth_set_read(method, own_read);
    BIO_meth_set_ctrl(method, own_ctrl);
    BIO *bio = BIO_new(method);
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL *ssl = SSL_new(client);
    SSL_set_bio(ssl, bio, bio);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    call_and_tell(&e, "/own-bio", tell_of(fd));
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == 1);
    CHECK(server_stop(&oracle) == oracle_calls && oracle_calls > 4);
    BIO_meth_free(method);
    for (int i = 0; i < oracle_calls; i++) {
        want("CLIENT", "GET", "/oracle", 200, (struct tell){oracle.port, 1}, "scheme=http host=elf.test noport");
        want("SERVER", "GET", "/oracle", 200, (struct tell){oracle.port, 1}, "scheme=http host=elf.test noport anypeer");
    }
}

/* ---- two descriptors of one socket, or two sockets ---- */
static void two_descriptors(bool sockets) {
    int in, out, peer_in, peer_out;
    tcp_pair(&in, &peer_out);
    struct tell t = tell_of(in);
    if (sockets) tcp_pair(&out, &peer_in);
    else out = SYS(dup(in)), peer_in = SYS(dup(peer_out));
    struct { int in, out; SSL_CTX *ctx; SSL *ssl; } ends[] = {{in, out, client, NULL}, {peer_in, peer_out, server, NULL}};
    for (int i = 0; i < 2; i++) {
        SYS(fcntl(ends[i].in, F_SETFL, O_NONBLOCK));
        SYS(fcntl(ends[i].out, F_SETFL, O_NONBLOCK));
        ends[i].ssl = SSL_new(ends[i].ctx);
        CHECK(SSL_set_rfd(ends[i].ssl, ends[i].in) == 1 && SSL_set_wfd(ends[i].ssl, ends[i].out) == 1);
    }
    SSL_set_connect_state(ends[0].ssl);
    SSL_set_accept_state(ends[1].ssl);
    while (!SSL_is_init_finished(ends[0].ssl) || !SSL_is_init_finished(ends[1].ssl))
        for (int i = 0; i < 2; i++) SSL_do_handshake(ends[i].ssl);
    ERR_clear_error();
    char got[4096], reply[64];
    size_t len, n;
    const char *path = sockets ? "/two-sockets" : "/two-descriptors";
    char *text = request(path, t.port, 0, 0, &len);
    TLS(ends[0].ssl, SSL_write(ends[0].ssl, text, (int)len));
    struct end e = ssl_end(ends[1].ssl, peer_in), c = ssl_end(ends[0].ssl, in);
    size_t have = 0;
    while (memmem(got, have, "\r\n\r\n", 4) == NULL) have += (size_t)e.in(&e, got + have, sizeof got - have);
    n = answer(reply, hash(text, len));
    send_all(&e, reply, n);
    expect_answer(&c, hash(text, len));
    free(text);
    if (sockets) { /* the ClientHello went by the second */
        struct tell by = tell_of(out);
        want("CLIENT", "GET", path, 200, (struct tell){t.port, 1}, "anypeer");
        want("SERVER", "GET", path, 200, (struct tell){t.port, by.from}, "");
    } else
        want_both("GET", path, t);
    for (int i = 0; i < 2; i++) {
        SSL_free(ends[i].ssl);
        SYS(close(ends[i].in));
        SYS(close(ends[i].out));
    }
}

/* ---- BIO_new_ssl_connect: the library makes the connection. Its BIO for TLS calls none of the functions that others call
 * (bio_ssl.c: ssl_write_internal), so this client is not seen, and only this one. ---- */
static ssize_t bio_in(struct end *e, void *data, size_t len) { return BIO_read(e->with, data, (int)len); }
static ssize_t bio_out(struct end *e, const void *data, size_t len) { return BIO_write(e->with, data, (int)len); }
static void chain(void) {
    struct service s = {.ctx = server};
    int port, l = listen_loopback(&port);
    char where[32];
    BIO *b = BIO_push(BIO_new(BIO_f_buffer()), BIO_new_ssl_connect(client));
    sprintf(where, "127.0.0.1:%d", port);
    BIO_set_conn_hostname(b, where);
    BIO *ssl_bio = BIO_find_type(b, BIO_TYPE_SSL);
    int fd = -1;
    BIO_set_nbio(b, 1);
    while (BIO_do_connect(ssl_bio) <= 0 && BIO_should_retry(ssl_bio))
        if (fd < 0) {
            s.fd = fd = SYS(accept(l, NULL, NULL));
            CHECK0(pthread_create(&s.thread, NULL, service_main, &s));
        } else {
            struct pollfd p = {BIO_get_fd(ssl_bio, NULL), POLLIN, 0};
            SYS(poll(&p, 1, -1));
        }
    int mine = (int)BIO_get_fd(ssl_bio, NULL);
    SYS(fcntl(mine, F_SETFL, 0));
    struct tell t = tell_of(mine);
    struct end e = {bio_in, bio_out, b, mine};
    size_t len;
    char *text = request("/chain/none", t.port, 0, 0, &len);
    send_all(&e, text, len);
    CHECK(BIO_flush(b) == 1);
    expect_answer(&e, hash(text, len));
    free(text);
    want("SERVER", "GET", "/chain/none", 200, t, "");
    BIO_ssl_shutdown(ssl_bio);
    BIO_free_all(b);
    SYS(close(l));
    CHECK(service_end(&s) == 1);
}

/* ---- TLS inside TLS (an HTTPS proxy) ---- */
static SSL *wrapped(SSL_CTX *ctx, SSL *outer, bool is_server) {
    SSL *inner = SSL_new(ctx);
    BIO *b = BIO_new(BIO_f_ssl());
    BIO_set_ssl(b, outer, BIO_NOCLOSE);
    SSL_set_bio(inner, b, b);
    if (is_server) SSL_set_accept_state(inner);
    else SSL_set_connect_state(inner);
    return inner;
}
static void *inner_main(void *arg) {
    struct service *s = arg;
    SSL *outer = object(server, s->fd, true), *inner = wrapped(server, outer, true);
    TLS(outer, SSL_accept(outer));
    TLS(inner, SSL_accept(inner));
    struct end e = ssl_end(inner, s->fd);
    s->served = serve(&e);
    SSL_free(inner);
    finish_ssl(outer, s->fd);
    return NULL;
}
static void nested(void) {
    struct service s = {0};
    int fd;
    tcp_pair(&fd, &s.fd);
    CHECK0(pthread_create(&s.thread, NULL, inner_main, &s));
    SSL *outer = object(client, fd, false), *inner = wrapped(client, outer, false);
    TLS(outer, SSL_connect(outer));
    TLS(inner, SSL_connect(inner));
    struct end e = ssl_end(inner, fd);
    call_and_tell(&e, "/inner", tell_of(fd));
    call_and_tell(&e, "/inner/again", tell_of(fd));
    SSL_shutdown(inner);
    SSL_free(inner);
    finish_ssl(outer, fd);
    CHECK(service_end(&s) == 2);
}

/* ---- something else first, on the same connection ---- */
static void read_head(struct end *e, char *text) {
    size_t len = 0;
    while (len < 4 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0) CHECK(len < 4000 && e->in(e, text + len++, 1) == 1);
    text[len] = 0;
}
static void answers_upgrade(struct service *s, struct end *plain) {
    static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n";
    char text[4096];
    (void)s;
    read_head(plain, text);
    send_all(plain, yes, sizeof yes - 1);
}
static void answers_connect(struct service *s, struct end *plain) {
    static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    char text[4096];
    (void)s;
    read_head(plain, text);
    send_all(plain, yes, sizeof yes - 1);
}
static void answers_postgres(struct service *s, struct end *plain) {
    char text[8];
    (void)s;
    for (int i = 0; i < 8; i++) CHECK(plain->in(plain, text + i, 1) == 1);
    send_all(plain, "S", 1);
}
static void answers_plainly(struct service *s, struct end *plain) {
    char text[4096], reply[64];
    (void)s;
    read_head(plain, text);
    send_all(plain, reply, answer(reply, 7));
}
static void after(const char *name, void (*before)(struct service *, struct end *), bool by_memory) {
    struct service s = {.before = before};
    int fd = service_start(&s, server);
    struct tell t = tell_of(fd);
    struct end plain = plain_end(fd);
    char text[4096];
    if (before == answers_postgres) {
        send_all(&plain, "\0\0\0\10\4\322\26\57", 8);
        CHECK(plain.in(&plain, text, 1) == 1 && text[0] == 'S');
    } else if (before == answers_plainly) {
        sprintf(text, "/%s/plain", name);
        size_t len;
        char *get = request(text, t.port, 0, 0, &len);
        send_all(&plain, get, len);
        free(get);
        expect_answer(&plain, 7);
        want("CLIENT", "GET", text, 200, t, "scheme=http");
        want("SERVER", "GET", text, 200, t, "scheme=http");
    } else if (before == answers_connect) {
        int n = sprintf(text, "CONNECT elf.test:%d HTTP/1.1\r\nHost: elf.test:%d\r\n\r\n", t.port, t.port);
        send_all(&plain, text, (size_t)n);
        read_head(&plain, text);
        want("CLIENT", "CONNECT", "/", 200, t, "scheme=http");
        want("SERVER", "CONNECT", "/", 200, t, "scheme=http");
    } else {
        char get[256];
        int n = sprintf(get, "GET /%s/before HTTP/1.1\r\nHost: elf.test:%d\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n", name, t.port);
        send_all(&plain, get, (size_t)n);
        read_head(&plain, text);
        sprintf(text, "/%s/before", name);
        want("CLIENT", "GET", text, 101, t, "scheme=http");
        want("SERVER", "GET", text, 101, t, "scheme=http");
    }
    /* The ClientHello is only looked for where nothing else came before, or where a protocol said that it comes. */
    if (by_memory) memory(name, fd, 4096, before != answers_plainly);
    else {
        SSL *ssl = object(client, fd, false);
        TLS(ssl, SSL_connect(ssl));
        struct end e = ssl_end(ssl, fd);
        sprintf(text, "/%s", name);
        call_and_tell(&e, text, t);
        finish_ssl(ssl, fd);
    }
    CHECK(service_end(&s) == 1 + by_memory);
}

int main(int argc, char **argv) {
    story(60);
    signal(SIGPIPE, SIG_IGN);
    server = context(true, 0);
    client = context(false, 0);
    CHECK(argc == 2);
    if (strcmp(argv[1], "carriers") == 0) {
        by_hand("pair", false);
        by_hand("hand", true);
        by_memory("memory", 4096);
        by_memory("memory-five", 5);
        by_memory("memory-one", 1);
        own();
        two_descriptors(false);
        two_descriptors(true);
        chain();
        nested();
    } else {
        after("upgrade", answers_upgrade, false);
        after("upgrade-memory", answers_upgrade, true);
        after("connect", answers_connect, false);
        after("connect-memory", answers_connect, true);
        after("postgres", answers_postgres, false);
        after("postgres-memory", answers_postgres, true);
        after("plain", answers_plainly, false);
        after("plain-memory", answers_plainly, true);
    }
    return finished();
}
