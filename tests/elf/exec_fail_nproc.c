/* Where no thread can be started (RLIMIT_NPROC) nothing can be exported, and nobody is there to wait for: failed
 * execs, each of which could wait for the last export, take no time. Found by review. */
#include "http_min.h"

int main(void) {
    int c, s;
    story(30);
    tcp_pair(&c, &s);
    if (getuid() == 0) SYS(setuid(65534)); /* root has no such limit */
    SYS(setrlimit(RLIMIT_NPROC, &(struct rlimit){1, 1}));
    http_send_get(c, OUT_WRITE, "/maybe/limited");
    CHECK(http_serve_one(s));
    http_expect_answer(c, IN_READ, "/maybe/limited");
    double begin = now_s();
    for (int i = 0; i < 20; i++) {
        char *arguments[] = {"x", NULL};
        FAILS(execv("/nonexistent", arguments), ENOENT);
    }
    CHECK(now_s() - begin < 1.0); /* 20 waits of 200 ms would be 4 s */
    return finish_uncounted();
}
