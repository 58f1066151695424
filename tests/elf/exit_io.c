/* Network I/O in atexit handlers, in a destructor and from on_exit, and every way to leave (argument:
 * return, exit, _exit, quick_exit, syscall, pthread, exec, execfail). The exit status must be the program's, and
 * what finished before must not be lost. Lessons 13, 14, 15, 35, 38. */
#include "http_min.h"

static struct server server;
static void late(void) { http_call(server.port, "/maybe/atexit"); }
__attribute__((destructor)) static void later(void) {
    if (server.port != 0) http_call(server.port, "/maybe/destructor");
}
static void *last_thread(void *arg) {
    CHECK0(pthread_join(*(pthread_t *)arg, NULL));
    CHECK(server_stop(&server) == 3);
    server.port = 0;
    exit(0);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "return";
    static pthread_t self;
    story(30);
    server_start(&server);
    for (int i = 0; i < 3; i++) http_call(server.port, "/before");
    bool runs = strcmp(how, "return") == 0 || strcmp(how, "exit") == 0;
    if (runs) {
        CHECK(atexit(late) == 0);
        finish_range(3, 5, 3, 5);
        if (how[0] == 'e') exit(0);
        return 0;
    }
    if (strcmp(how, "execfail") == 0) finish(6, 6);
    else finish(3, 3);
    if (strcmp(how, "pthread") == 0) {
        pthread_t t;
        self = pthread_self();
        CHECK0(pthread_create(&t, NULL, last_thread, &self));
        pthread_exit(NULL);
    }
    CHECK(server_stop(&server) == 3);
    if (strcmp(how, "_exit") == 0) _exit(0);
    if (strcmp(how, "_Exit") == 0) _Exit(0);
    if (strcmp(how, "quick_exit") == 0) quick_exit(0);
    if (strcmp(how, "syscall") == 0) syscall(SYS_exit_group, 0);
    if (strcmp(how, "exec") == 0) execl("/bin/true", "true", (char *)NULL);
    if (strcmp(how, "execfail") == 0) { /* an exec that fails must leave everything as it was */
        execl("/no/such/program", "x", (char *)NULL);
        CHECK(errno == ENOENT);
        int c, s;
        tcp_pair(&c, &s);
        for (int i = 0; i < 3; i++) {
            http_send_get(c, OUT_WRITE, "/after-exec");
            CHECK(http_serve_one(s));
            http_expect_answer(c, IN_READ, "/after-exec");
        }
        _exit(0);
    }
    CHECK(!"reached");
}
