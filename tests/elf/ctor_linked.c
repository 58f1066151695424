/* Linked against a library whose constructor does network I/O: hooks run before the agent's constructor,
 * and its destructor after the agent's. Lessons 35, 47; hooking 10. */
#include "http_min.h"
extern int libctor_ran;
int main(void) {
    story(30);
    CHECK(libctor_ran == 1);
    int c, s;
    tcp_pair(&c, &s);
    http_send_get(c, OUT_WRITE, "/main");
    CHECK(http_serve_one(s));
    http_expect_answer(c, IN_READ, "/main");
    return finish_range(1, 3, 1, 3); /* what happens before and after the agent's own life may go unseen */
}
