/* One program, whatever way its libssl comes into the process: it is linked to none. All functions are reached by pointers that
 * dlsym gave, and each copy is asked for its own. */
#include "http_tls.h"
#include <dlfcn.h>
#include <link.h>

#define FUNCTIONS(X)                                    \
    X(void *, TLS_client_method, (void))                \
    X(void *, TLS_server_method, (void))                \
    X(void *, SSL_CTX_new, (void *))                    \
    X(void, SSL_CTX_free, (void *))                     \
    X(int, SSL_CTX_use_certificate_file, (void *, const char *, int)) \
    X(int, SSL_CTX_use_PrivateKey_file, (void *, const char *, int))  \
    X(void *, SSL_new, (void *))                        \
    X(void, SSL_free, (void *))                         \
    X(int, SSL_set_fd, (void *, int))                   \
    X(int, SSL_connect, (void *))                       \
    X(int, SSL_accept, (void *))                        \
    X(int, SSL_read, (void *, void *, int))             \
    X(int, SSL_write, (void *, const void *, int))      \
    X(int, SSL_shutdown, (void *))

struct library {
    void *handle;
#define X(result, name, arguments) result (*name) arguments;
    FUNCTIONS(X)
#undef X
};
static struct library library(void *handle) {
    struct library l = {.handle = handle};
    if (handle == NULL) fprintf(stderr, "%s\n", dlerror());
    CHECK(handle != NULL);
#define X(result, name, arguments) CHECK((*(void **)&l.name = dlsym(handle, #name)) != NULL);
    FUNCTIONS(X)
#undef X
    return l;
}

struct with { struct library *l; void *ssl; };
static ssize_t in(struct end *e, void *data, size_t len) {
    struct with *w = e->with;
    int n = w->l->SSL_read(w->ssl, data, (int)len);
    return n > 0 ? n : 0;
}
static ssize_t out(struct end *e, const void *data, size_t len) {
    struct with *w = e->with;
    return w->l->SSL_write(w->ssl, data, (int)len);
}
struct service { pthread_t thread; struct library *l; int fd, served; };
static void *service_main(void *arg) {
    struct service *s = arg;
    struct library *l = s->l;
    char key[PATH_MAX];
    void *ctx = l->SSL_CTX_new(l->TLS_server_method());
    strcpy(key, beside("key.pem"));
    CHECK(l->SSL_CTX_use_certificate_file(ctx, beside("cert.pem"), 1) == 1 && l->SSL_CTX_use_PrivateKey_file(ctx, key, 1) == 1);
    struct with w = {l, l->SSL_new(ctx)};
    CHECK(l->SSL_set_fd(w.ssl, s->fd) == 1 && l->SSL_accept(w.ssl) == 1);
    struct end e = {in, out, &w, s->fd};
    s->served = serve(&e);
    l->SSL_shutdown(w.ssl);
    l->SSL_free(w.ssl);
    l->SSL_CTX_free(ctx);
    SYS(close(s->fd));
    return NULL;
}
/* A request from one copy to another. `seen`: whether these are followed. */
static pthread_mutex_t turns = PTHREAD_MUTEX_INITIALIZER; /* one talk at a time */
static void talk(const char *path, struct library *c, struct library *s, bool seen) {
    struct service service = {.l = s};
    int fd;
    pthread_mutex_lock(&turns);
    tcp_pair(&fd, &service.fd);
    CHECK0(pthread_create(&service.thread, NULL, service_main, &service));
    void *ctx = c->SSL_CTX_new(c->TLS_client_method());
    struct with w = {c, c->SSL_new(ctx)};
    CHECK(c->SSL_set_fd(w.ssl, fd) == 1 && c->SSL_connect(w.ssl) == 1);
    struct end e = {in, out, &w, fd};
    struct tell t = tell_of(fd);
    call(&e, path, t.port, 0, 0);
    if (seen) want_both("GET", path, t);
    c->SSL_shutdown(w.ssl);
    c->SSL_free(w.ssl);
    c->SSL_CTX_free(ctx);
    SYS(close(fd));
    CHECK0(pthread_join(service.thread, NULL));
    pthread_mutex_unlock(&turns);
}

static const char *copy(int number) {
    char name[32];
    sprintf(name, "libssl-%d.so", number);
    return beside(name);
}
static const char *fake(int number) {
    char name[32];
    sprintf(name, "libfake-%d.so", number);
    return beside(name);
}
static void load_and_talk(const char *path, int flags) {
    struct library l = library(dlopen("libssl.so.3", flags));
    talk(path, &l, &l, true);
}

static atomic_int stop;
static struct library first;
static void *goes_on(void *count) {
    for (int i = 0; !atomic_load(&stop) || i < 5; i++) {
        char path[64];
        sprintf(path, "/goes-on/maybe/%d", i);
        talk(path, &first, &first, false);
        ++*(int *)count;
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    story(60);
    signal(SIGPIPE, SIG_IGN);
    const char *how = argv[1];
    if (strcmp(how, "local") == 0) load_and_talk("/local", RTLD_NOW | RTLD_LOCAL);
    else if (strcmp(how, "lazy") == 0) load_and_talk("/late", RTLD_LAZY | RTLD_GLOBAL);
    else if (strcmp(how, "deep") == 0) load_and_talk("/deep", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    else if (strcmp(how, "dlmopen") == 0) {
        /* Another libc besides, whose functions are not hooked, and which only the main thread can use and no exit (glibc). */
        struct library l = library(dlmopen(LM_ID_NEWLM, "libssl.so.3", RTLD_NOW | RTLD_LOCAL));
        struct library s = library(dlopen(copy(0), RTLD_NOW | RTLD_LOCAL));
        talk("/dlmopen", &l, &s, true);
        finished();
        _exit(0);
    } else if (strcmp(how, "copies") == 0) {
        struct library all[3];
        for (int i = 0; i < 3; i++) all[i] = library(dlopen(copy(i), RTLD_NOW | RTLD_LOCAL));
        for (int i = 0; i < 9; i++) {
            char path[64];
            sprintf(path, "/copies/%d-%d", i / 3, i % 3);
            talk(path, &all[i / 3], &all[i % 3], true);
        }
    } else if (strcmp(how, "again") == 0) {
        /* More than are followed at a time, one after the other, two of them at once. */
        for (int i = 0; i < 24; i++) {
            struct library one = library(dlopen(fake(i % 3), RTLD_NOW | RTLD_LOCAL));
            struct library two = library(dlopen(fake((i + 1) % 3), RTLD_NOW | RTLD_LOCAL));
            char path[64];
            sprintf(path, "/again/%d", i);
            talk(path, &one, &two, true);
            CHECK(dlclose(one.handle) == 0 && dlclose(two.handle) == 0);
            CHECK(dlopen(fake(i % 3), RTLD_NOW | RTLD_NOLOAD) == NULL);
        }
        load_and_talk("/again/real", RTLD_NOW | RTLD_LOCAL);
    } else if (strcmp(how, "many") == 0) {
        for (int i = 0; i < 10; i++) { /* more at a time: what comes last is not followed, and works */
            struct library l = library(dlopen(copy(i), RTLD_NOW | RTLD_LOCAL));
            char path[64];
            sprintf(path, i < 8 ? "/many/%d" : "/many/%d/none", i);
            talk(path, &l, &l, i < 8);
        }
    } else if (strcmp(how, "constructor") == 0) {
        void *handle = dlopen(beside("libctor.so"), RTLD_NOW);
        CHECK(handle != NULL);
        void *(*library_of)(void) = (void *(*)(void))dlsym(handle, "loaded");
        struct library l = library(library_of());
        talk("/constructor", &l, &l, true);
    } else {
        int count = 0;
        pthread_t t;
        first = library(dlopen(copy(0), RTLD_NOW | RTLD_LOCAL));
        CHECK0(pthread_create(&t, NULL, goes_on, &count));
        for (int i = 0; i < 10; i++) {
            char path[64];
            sprintf(path, "/beside/%d", i);
            struct library l = library(dlopen(fake(0), RTLD_NOW | RTLD_LOCAL));
            talk(path, &l, &l, true);
            CHECK(dlclose(l.handle) == 0);
        }
        struct library l = library(dlopen(copy(2), RTLD_NOW | RTLD_LOCAL));
        talk("/beside", &l, &l, true);
        atomic_store(&stop, 1);
        CHECK0(pthread_join(t, NULL));
        puts("uncounted");
    }
    return finished();
}
