/* A child in its parent's memory (clone with CLONE_VM, as vfork) leaves by _exit while a request of the parent
 * waits for its answer: it is the parent's to end, with the status of the answer (test_elf_review.py looks at
 * it). Found by review. */
#include "http_min.h"

static int child(void *arg) {
    (void)arg;
    _exit(0);
}

int main(void) {
    int c, s;
    story(30);
    for (int i = 0; i < 5; i++) {
        tcp_pair(&c, &s);
        http_send_get(c, OUT_WRITE, "/waiting");
        char *stack = malloc(65536);
        CHECK(stack != NULL);
        reap(SYS(clone(child, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL)));
        free(stack);
        CHECK(http_serve_one(s));
        http_expect_answer(c, IN_READ, "/waiting");
        SYS(close(c));
        SYS(close(s));
    }
    return finish(5, 5);
}
