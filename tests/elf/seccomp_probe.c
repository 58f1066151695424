/* Libraries ask what the kernel knows of seccomp: an action, a filter that is NULL. No sandbox is entered, and
 * the agent must go on: the requests after each question carry a context. Found by review. */
#include "http_min.h"
#include <linux/seccomp.h>

int main(void) {
    int c, s;
    unsigned action = SECCOMP_RET_LOG;
    story(30);
    tcp_pair(&c, &s);
    for (int i = 0; i < 5; i++) {
        errno = 0;
        if (i == 1) syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
        if (i == 2) CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) == -1);
        if (i == 3) CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) == -1);
        if (i == 4) CHECK(syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) == -1);
        printf("question %d: errno %d\n", i, errno);
        http_send_get(c, OUT_WRITE, "/probed");
        CHECK(http_serve_one(s));
        http_expect_answer(c, IN_READ, "/probed");
    }
    return finish(5, 5);
}
