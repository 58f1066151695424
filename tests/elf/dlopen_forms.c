/* dlopen in all its forms: lookup relative to the caller (RUNPATH, $ORIGIN), RTLD_LOCAL and RTLD_GLOBAL
 * visibility, RTLD_NOLOAD, RTLD_DEEPBIND (plain program: the flag must keep its meaning), failures with
 * their message, dlclose; HTTP by a library that came late. Lessons 47, 49; runtimes 3.1, 3.4; hooking 2. */
#include "http_min.h"
#include <dlfcn.h>

static char dir[PATH_MAX];
static const char *in_dir(const char *name) {
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

typedef void *(*opener)(const char *, int);
typedef long (*sender)(int, const void *, size_t);
typedef long (*receiver)(int, void *, size_t);

static void late_http(void *lib) {
    struct server s = {0};
    char text[HTTP_MAX], got[HTTP_MAX];
    sender out = (sender)dlsym(lib, "outer_send");
    receiver in = (receiver)dlsym(lib, "outer_recv");
    CHECK(out != NULL && in != NULL);
    server_start(&s);
    int fd = dial(s.port);
    size_t n = http_request_text(text, "/maybe/late"), got_n = 0;
    CHECK(out(fd, text, n) == (long)n);
    n = http_response_text(text, "/maybe/late");
    while (got_n < n) {
        long r = in(fd, got + got_n, sizeof got - got_n);
        CHECK(r > 0);
        got_n += (size_t)r;
    }
    CHECK(got_n == n && memcmp(text, got, n) == 0);
    SYS(close(fd));
    CHECK(server_stop(&s) == 1);
}

int main(void) {
    story(30);
    SYS(readlink("/proc/self/exe", dir, sizeof dir - 1));
    *strrchr(dir, '/') = 0;

    CHECK(dlopen("libdl_outer.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
    (void)dlerror();
    CHECK(dlopen("libdl_outer.so", RTLD_NOW) == NULL); /* not on our search path */
    const char *e = dlerror();
    CHECK(e != NULL && strstr(e, "libdl_outer.so") != NULL);
    printf("%s\n", e);
    CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL && dlerror() != NULL && dlerror() == NULL);
    CHECK(dlopen("/etc/passwd", RTLD_LAZY) == NULL);
    printf("%s\n", dlerror());
    CHECK(dlopen(in_dir("libdl_outer.so"), 0) == NULL); /* no binding mode */
    printf("%s\n", strrchr(dlerror(), ':'));

    void *outer = dlopen(in_dir("libdl_outer.so"), RTLD_NOW | RTLD_LOCAL);
    if (outer == NULL) fprintf(stderr, "%s\n", dlerror());
    CHECK(outer != NULL && dlerror() == NULL);
    CHECK(dlsym(RTLD_DEFAULT, "outer_open") == NULL); /* local */
    CHECK(dlopen(in_dir("libdl_outer.so"), RTLD_NOW | RTLD_NOLOAD) == outer);
    late_http(outer);

    opener open_there = (opener)dlsym(outer, "outer_open");
    CHECK(dlopen("libdl_inner.so", RTLD_NOW) == NULL); /* the program has no such RUNPATH */
    void *inner = open_there("libdl_inner.so", RTLD_LAZY);
    CHECK(inner != NULL);
    CHECK(((int (*)(void))dlsym(inner, "inner_answer"))() == 42);
    CHECK(open_there("libdl_inner.so", RTLD_LAZY | RTLD_NOLOAD) == inner);
    CHECK(open_there("$ORIGIN/inner/libdl_inner.so", RTLD_LAZY) == inner);
    CHECK(dlopen("$ORIGIN/inner/libdl_inner.so", RTLD_LAZY) == inner); /* our $ORIGIN is the same directory */
    CHECK(dlopen(in_dir("libdl_outer.so"), RTLD_NOW | RTLD_GLOBAL) == outer);
    CHECK(dlsym(RTLD_DEFAULT, "outer_open") != NULL); /* promoted */

    void *deep = dlopen(in_dir("libdl_deep.so"), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    CHECK(deep != NULL);
    CHECK(((int (*)(void))dlsym(deep, "deep_own_first"))() == 1); /* its own symbol before the program's */
    late_http(deep);
    void *again = dlmopen(LM_ID_NEWLM, in_dir("inner/libdl_inner.so"), RTLD_NOW);
    CHECK(again != NULL && again != inner && ((int (*)(void))dlsym(again, "inner_answer"))() == 42);

    void *program = dlopen(NULL, RTLD_LAZY);
    CHECK(program != NULL && dlsym(program, "main") != NULL);
    SYS(dlclose(deep));
    CHECK(dlopen(in_dir("libdl_deep.so"), RTLD_NOW | RTLD_NOLOAD) == NULL); /* really gone */
    SYS(dlclose(again));
    SYS(dlclose(outer));
    return finish_range(2, 2, 1, 2); /* a DEEPBIND caller may be invisible, never broken */
}
int elf_clash(void) { return 2; }
