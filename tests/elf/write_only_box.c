/* A filter that kills for everything but write, writev and exit_group, which is all that the program does from
 * there on: the agent makes no call of its own. Argument "fresh": nothing before the box; "busy": requests
 * before it. Found by review. */
#include "http_min.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

int main(int argc, char **argv) {
    static const char last[] = "spans server=- client=-\nok\n";
    char text[HTTP_MAX];
    int c, s;
    story(30);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    tcp_pair(&c, &s);
    if (argc > 1 && strcmp(argv[1], "busy") == 0)
        for (int i = 0; i < 5; i++) {
            http_send_get(c, OUT_WRITE, "/before");
            CHECK(http_serve_one(s));
            http_expect_answer(c, IN_READ, "/before");
        }
    size_t n = http_request_text(text, "/maybe/boxed");
#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
    struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)), ALLOW(SYS_writev),
                              ALLOW(SYS_write), ALLOW(SYS_exit_group), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
    struct sock_fprog p = {sizeof f / sizeof *f, f};
    SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p, 0, 0) != 0) {
        puts("the kernel refuses seccomp filters here");
        return 77;
    }
    struct iovec v[2] = {{text, 10}, {text + 10, n - 10}};
    if (writev(c, v, 2) != (ssize_t)n || write(c, text, n) != (ssize_t)n) _exit(1);
    if (syscall(SYS_write, c, text, n) != (ssize_t)n || write(s, "x", 1) != 1) _exit(1);
    _exit(write(1, last, sizeof last - 1) == sizeof last - 1 ? 0 : 1);
}
