/* A library that talks HTTP in its constructor and destructor, linked or opened late: the hooks are called
 * before the agent's own constructor ran and after its destructor. */
#include "http_min.h"

static void exchange(const char *when) {
    int c, s;
    tcp_pair(&c, &s);
    http_send_get(c, OUT_WRITE, "/maybe/ctor");
    CHECK(http_serve_one(s));
    http_expect_answer(c, IN_READ, "/maybe/ctor");
    CHECK(close(c) == 0 && close(s) == 0);
    if (getenv("ELF_VERBOSE")) fprintf(stderr, "exchange in %s\n", when);
}
int libctor_ran;
__attribute__((constructor)) static void begin(void) {
    story(30);
    exchange("constructor");
    pid_t pid = SYS(fork()); /* forking that early must work too */
    if (pid == 0) _exit(0);
    reap(pid);
    libctor_ran = 1;
}
__attribute__((destructor)) static void end(void) { exchange("destructor"); }
