/* GnuTLS: retries with the same arguments and with none, cork and uncork, packets, transports by descriptor and by functions of
 * the program's, large requests, two threads on one session, fatal alerts, failing handshakes. */
#include "http_tls.h"
#include <gnutls/gnutls.h>
#include <semaphore.h>

static gnutls_certificate_credentials_t own, none;
static size_t refused;

#define OK(call)                                                                                    \
    __extension__({                                                                                 \
        ssize_t g_ = (call);                                                                        \
        if (g_ < 0) {                                                                               \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, gnutls_strerror((int)g_)); \
            _exit(1);                                                                               \
        }                                                                                           \
        g_;                                                                                         \
    })

static ssize_t push(gnutls_transport_ptr_t p, const void *data, size_t len) { return write(*(int *)p, data, len); }
static ssize_t pull(gnutls_transport_ptr_t p, void *data, size_t len) { return read(*(int *)p, data, len); }
static int pull_wait(gnutls_transport_ptr_t p, unsigned ms) {
    struct pollfd f = {*(int *)p, POLLIN, 0};
    return poll(&f, 1, ms == GNUTLS_INDEFINITE_TIMEOUT ? -1 : (int)ms);
}

static gnutls_session_t session(bool server, int *fd, bool functions) {
    gnutls_session_t s;
    OK(gnutls_init(&s, (server ? GNUTLS_SERVER : GNUTLS_CLIENT)));
    OK(gnutls_set_default_priority(s));
    OK(gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, server ? own : none));
    if (functions) {
        gnutls_transport_set_ptr(s, fd);
        gnutls_transport_set_push_function(s, push);
        gnutls_transport_set_pull_function(s, pull);
        gnutls_transport_set_pull_timeout_function(s, pull_wait);
    } else
        gnutls_transport_set_int(s, *fd);
    return s;
}
static void wait_for(struct end *e, ssize_t result) {
    if (gnutls_error_is_fatal((int)result)) OK(result);
    struct pollfd p = {e->fd, gnutls_record_get_direction(e->with) ? POLLOUT : POLLIN, 0};
    SYS(poll(&p, 1, -1));
}
static ssize_t in(struct end *e, void *data, size_t len) {
    ssize_t n;
    while ((n = gnutls_record_recv(e->with, data, len)) < 0 && n != GNUTLS_E_PREMATURE_TERMINATION) wait_for(e, n);
    return n > 0 ? n : 0;
}
static ssize_t in_packets(struct end *e, void *data, size_t len) {
    gnutls_packet_t packet;
    gnutls_datum_t d;
    static _Thread_local char kept[20000];
    static _Thread_local size_t have;
    if (have == 0) {
        ssize_t n;
        while ((n = gnutls_record_recv_packet(e->with, &packet)) < 0) wait_for(e, n);
        if (n == 0) return 0;
        gnutls_packet_get(packet, &d, NULL);
        CHECK(d.size <= sizeof kept && (ssize_t)d.size == n);
        memcpy(kept, d.data, have = d.size);
        gnutls_packet_deinit(packet);
    }
    size_t take = have < len ? have : len;
    memcpy(data, kept, take);
    memmove(kept, kept + take, have -= take);
    return (ssize_t)take;
}
static ssize_t in_seq(struct end *e, void *data, size_t len) {
    unsigned char sequence[8];
    ssize_t n;
    while ((n = gnutls_record_recv_seq(e->with, data, len, sequence)) < 0) wait_for(e, n);
    return n;
}
static ssize_t out(struct end *e, const void *data, size_t len) {
    ssize_t n;
    while ((n = gnutls_record_send(e->with, data, len)) < 0) {
        refused++;
        wait_for(e, n);
    }
    CHECK(n > 0 && (size_t)n <= len);
    return n;
}
static ssize_t out_none(struct end *e, const void *data, size_t len) {
    ssize_t n = gnutls_record_send(e->with, data, len);
    for (; n < 0; n = gnutls_record_send(e->with, NULL, 0)) {
        refused++;
        wait_for(e, n);
    }
    CHECK(n > 0 && (size_t)n <= len);
    return n;
}
static ssize_t out_padded(struct end *e, const void *data, size_t len) {
    ssize_t n;
    while ((n = gnutls_record_send2(e->with, data, len, 16, 0)) < 0) wait_for(e, n);
    return n;
}
/* In three pieces under a cork. */
static ssize_t out_corked(struct end *e, const void *data, size_t len) {
    const char *p = data;
    gnutls_record_cork(e->with);
    size_t third = len / 3, sizes[] = {len - 2 * third, third, third};
    for (int i = 0; i < 3; p += sizes[i++])
        if (sizes[i] > 0) CHECK(gnutls_record_send(e->with, p, sizes[i]) == (ssize_t)sizes[i]);
    int n;
    while ((n = gnutls_record_uncork(e->with, 0)) < 0) wait_for(e, n);
    return (ssize_t)len;
}
static ssize_t out_corked_whole(struct end *e, const void *data, size_t len) {
    gnutls_record_cork(e->with);
    CHECK(gnutls_record_send(e->with, data, len) == (ssize_t)len);
    OK(gnutls_record_uncork(e->with, GNUTLS_RECORD_WAIT));
    return (ssize_t)len;
}

struct service { pthread_t thread; int fd, served; bool functions; ssize_t (*in)(struct end *, void *, size_t); };
static void *service_main(void *arg) {
    struct service *s = arg;
    gnutls_session_t g = session(true, &s->fd, s->functions);
    OK(gnutls_handshake(g));
    struct end e = {s->in ? s->in : in, out, g, s->fd};
    s->served = serve(&e);
    gnutls_bye(g, GNUTLS_SHUT_WR);
    gnutls_deinit(g);
    SYS(close(s->fd));
    return NULL;
}
static int service_start(struct service *s) {
    int fd;
    tcp_pair(&fd, &s->fd);
    CHECK0(pthread_create(&s->thread, NULL, service_main, s));
    return fd;
}
static int service_end(struct service *s) {
    CHECK0(pthread_join(s->thread, NULL));
    return s->served;
}

struct way {
    const char *name;
    ssize_t (*in)(struct end *, void *, size_t);
    ssize_t (*out)(struct end *, const void *, size_t);
    bool functions, tiny;
    size_t loads; /* how many of them; padding leaves less room in a record than the library takes */
};
static const struct way all_ways[] = {
    {"plain", in, out, false, false, 7},          {"functions", in, out, true, false, 7},   {"tiny", in, out, false, true, 7},
    {"tiny-functions", in, out, true, true, 7},   {"none", in, out_none, false, true, 7},   {"none-functions", in, out_none, true, true, 7},
    {"packets", in_packets, out, false, false, 7}, {"sequence", in_seq, out, true, false, 7}, {"padded", in, out_padded, false, false, 3},
    {"corked", in, out_corked_whole, false, false, 7},
};
static void in_way(struct way w) {
    struct service s = {.functions = w.functions, .in = w.in};
    static const size_t loads[7][2] = {{0, 0}, {1000, 0}, {8000, 0}, {16384, 0}, {20000, 0}, {300, 300000}, {20000, 50000}};
    int fd = service_start(&s), size = 1024;
    if (w.tiny) SYS(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    gnutls_session_t g = session(false, &fd, w.functions);
    OK(gnutls_handshake(g));
    SYS(fcntl(fd, F_SETFL, O_NONBLOCK));
    struct tell t = tell_of(fd);
    struct end e = {w.in, w.out, g, fd};
    int count = 0;
    for (size_t i = 0; i < w.loads; i++, count++) {
        char path[64];
        sprintf(path, "/gnu/%s/%zu", w.name[0] == 'n' ? "empty" : w.name, i + (w.functions ? 10 : 0));
        call(&e, path, t.port, loads[i][0], loads[i][1]);
        want_both(loads[i][1] ? "POST" : "GET", path, t);
    }
    gnutls_bye(g, GNUTLS_SHUT_WR);
    gnutls_deinit(g);
    SYS(close(fd));
    CHECK(service_end(&s) == count);
}

/* A head in three pieces: the context has no place where it could go in, the spans are one pair all the same. */
static void corked_in_pieces(void) {
    struct service s = {0};
    int fd = service_start(&s);
    gnutls_session_t g = session(false, &fd, false);
    OK(gnutls_handshake(g));
    struct tell t = tell_of(fd);
    struct end e = {in, out_corked, g, fd};
    call(&e, "/gnu/pieces/none", t.port, 3000, 0);
    want_both("GET", "/gnu/pieces/none", t);
    gnutls_bye(g, GNUTLS_SHUT_RDWR);
    gnutls_deinit(g);
    SYS(close(fd));
    CHECK(service_end(&s) == 1);
}

/* One thread reads answers always into the same buffer while another writes requests, some of which are under way at a time. */
enum { ROUNDS = 300 };
static struct { struct end e; uint64_t hashes[ROUNDS]; sem_t room; } duplex;
static void *duplex_reader(void *unused) {
    (void)unused;
    char got[64], wanted[64];
    for (int i = 0; i < ROUNDS; i++) {
        size_t n = 55, have = 0;
        while (have < n) {
            ssize_t r = in(&duplex.e, got + have, n - have);
            CHECK(r > 0);
            have += (size_t)r;
        }
        CHECK(answer(wanted, duplex.hashes[i]) == n && memcmp(got, wanted, n) == 0);
        SYS(sem_post(&duplex.room));
    }
    return NULL;
}
static void two_threads(void) {
    struct service s = {0};
    int fd = service_start(&s);
    gnutls_session_t g = session(false, &fd, false);
    OK(gnutls_handshake(g));
    struct tell t = tell_of(fd);
    pthread_t reader;
    duplex.e = (struct end){in, out, g, fd};
    char *texts[ROUNDS], path[64];
    size_t lens[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        sprintf(path, "/gnu/duplex/%d", i);
        texts[i] = request(path, t.port, 0, 0, &lens[i]);
        duplex.hashes[i] = hash(texts[i], lens[i]);
        want_both("GET", path, t);
    }
    SYS(sem_init(&duplex.room, 0, 4));
    CHECK0(pthread_create(&reader, NULL, duplex_reader, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        SYS(sem_wait(&duplex.room));
        send_all(&duplex.e, texts[i], lens[i]);
        free(texts[i]);
    }
    CHECK0(pthread_join(reader, NULL));
    gnutls_bye(g, GNUTLS_SHUT_WR);
    gnutls_deinit(g);
    SYS(close(fd));
    CHECK(service_end(&s) == ROUNDS);
}

/* The peer ends it all by an alert, with a request open. */
static void *alerts(void *arg) {
    struct service *s = arg;
    char got[4096];
    gnutls_session_t g = session(true, &s->fd, false);
    OK(gnutls_handshake(g));
    CHECK(gnutls_record_recv(g, got, sizeof got) > 0);
    OK(gnutls_alert_send(g, GNUTLS_AL_FATAL, GNUTLS_A_INTERNAL_ERROR));
    gnutls_deinit(g);
    SYS(close(s->fd));
    return NULL;
}
static void alert(void) {
    struct service s = {0};
    int fd;
    tcp_pair(&fd, &s.fd);
    CHECK0(pthread_create(&s.thread, NULL, alerts, &s));
    gnutls_session_t g = session(false, &fd, false);
    OK(gnutls_handshake(g));
    struct tell t = tell_of(fd);
    struct end e = {in, out, g, fd};
    size_t len;
    char *text = request("/gnu/alert", t.port, 0, 0, &len), c;
    send_all(&e, text, len);
    free(text);
    CHECK(gnutls_record_recv(g, &c, 1) == GNUTLS_E_FATAL_ALERT_RECEIVED);
    gnutls_deinit(g);
    SYS(close(fd));
    CHECK0(pthread_join(s.thread, NULL));
    want("CLIENT", "GET", "/gnu/alert", 0, t, "error=_OTHER");
    want("SERVER", "GET", "/gnu/alert", 0, t, "");
}

static void *hangs_up(void *arg) {
    struct service *s = arg;
    char hello[4096];
    CHECK(SYS(read(s->fd, hello, sizeof hello)) > 0);
    SYS(close(s->fd));
    return NULL;
}
static void *refuses(void *arg) {
    struct service *s = arg;
    gnutls_session_t g = session(true, &s->fd, false);
    OK(gnutls_priority_set_direct(g, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL));
    CHECK(gnutls_handshake(g) < 0);
    gnutls_deinit(g);
    SYS(close(s->fd));
    return NULL;
}
static void fails(void *(*peer)(void *)) {
    struct service s = {0};
    int fd;
    tcp_pair(&fd, &s.fd);
    CHECK0(pthread_create(&s.thread, NULL, peer, &s));
    struct tell t = tell_of(fd);
    gnutls_session_t g = session(false, &fd, false);
    OK(gnutls_priority_set_direct(g, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL));
    for (int again = 0; again < 3; again++) CHECK(gnutls_handshake(g) < 0);
    gnutls_deinit(g);
    SYS(close(fd));
    CHECK0(pthread_join(s.thread, NULL));
    want("CLIENT", "-", "-", 0, t, "failed=tls_handshake host=127.0.0.1");
}

/* A later handshake (TLS 1.2), which the server asks for and the client may refuse. */
static ssize_t in_refusing(struct end *e, void *data, size_t len) {
    ssize_t n;
    while ((n = gnutls_record_recv(e->with, data, len)) == GNUTLS_E_REHANDSHAKE)
        OK(gnutls_alert_send(e->with, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION));
    return OK(n);
}
static ssize_t in_warned(struct end *e, void *data, size_t len) {
    ssize_t n;
    while ((n = gnutls_record_recv(e->with, data, len)) == GNUTLS_E_WARNING_ALERT_RECEIVED)
        CHECK(gnutls_alert_get(e->with) == GNUTLS_A_NO_RENEGOTIATION);
    return OK(n);
}
static void *asks_again(void *arg) {
    struct service *s = arg;
    gnutls_session_t g = session(true, &s->fd, false);
    OK(gnutls_priority_set_direct(g, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL));
    OK(gnutls_handshake(g));
    OK(gnutls_rehandshake(g));
    struct end e = {in_warned, out, g, s->fd};
    s->served = serve(&e);
    gnutls_deinit(g);
    SYS(close(s->fd));
    return NULL;
}
static void again(void) {
    struct service s = {0};
    int fd;
    tcp_pair(&fd, &s.fd);
    CHECK0(pthread_create(&s.thread, NULL, asks_again, &s));
    gnutls_session_t g = session(false, &fd, false);
    OK(gnutls_priority_set_direct(g, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL));
    OK(gnutls_handshake(g));
    struct end e = {in_refusing, out, g, fd};
    call_and_tell(&e, "/gnu/again", tell_of(fd));
    call_and_tell(&e, "/gnu/again/second", tell_of(fd));
    gnutls_bye(g, GNUTLS_SHUT_WR);
    gnutls_deinit(g);
    SYS(close(fd));
    CHECK(service_end(&s) == 2);
}

int main(int argc, char **argv) {
    char key[PATH_MAX];
    CHECK(argc == 2);
    story(60);
    signal(SIGPIPE, SIG_IGN);
    OK(gnutls_certificate_allocate_credentials(&own));
    OK(gnutls_certificate_allocate_credentials(&none));
    strcpy(key, beside("key.pem"));
    OK(gnutls_certificate_set_x509_key_file(own, beside("cert.pem"), key, GNUTLS_X509_FMT_PEM));
    if (strcmp(argv[1], "ways") == 0) {
        for (size_t i = 0; i < sizeof all_ways / sizeof *all_ways; i++) in_way(all_ways[i]);
        CHECK(refused > 0);
        corked_in_pieces();
    } else {
        two_threads();
        alert();
        fails(hangs_up);
        fails(refuses);
        again();
    }
    return finished();
}
