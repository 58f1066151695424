/* A signal handler that interrupted malloc leaves by _exit: what the agent does on the way out must not call
 * malloc again (with a lock in it that would be for ever). The allocator here is the program's own and notices.
 * Argument "first": the agent has only just seen its first request, and would start its thread; "busy": it has
 * worked before. Found by review. */
#include "http_min.h"

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void __libc_free(void *);
static _Thread_local volatile bool inside;
enum { ODD = 123457 };

static void enter(void) {
    static const char text[] = "the allocator was entered again\n";
    if (inside) {
        raw_write(2, text, sizeof text - 1);
        kill(getpid(), SIGKILL);
    }
}
void *malloc(size_t n) {
    enter();
    inside = true;
    if (n == ODD) raise(SIGTERM);
    void *p = __libc_malloc(n);
    inside = false;
    return p;
}
void *calloc(size_t k, size_t n) { return enter(), __libc_calloc(k, n); }
void *realloc(void *p, size_t n) { return enter(), __libc_realloc(p, n); }
void free(void *p) { enter(), __libc_free(p); }

static void leave(int signal) {
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv) {
    int c, s;
    story(30);
    signal(SIGTERM, leave);
    tcp_pair(&c, &s);
    for (int i = 0; i < (argc > 1 && strcmp(argv[1], "busy") == 0 ? 20 : 0); i++) {
        http_send_get(c, OUT_WRITE, "/exit");
        CHECK(http_serve_one(s));
        http_expect_answer(c, IN_READ, "/exit");
    }
    http_send_get(c, OUT_WRITE, "/open"); /* never answered: ends with the process */
    finish_uncounted();
    return malloc(ODD) == NULL ? 2 : 3;
}
