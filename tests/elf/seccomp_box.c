/* Sandboxes (argument): strict mode allows only read, write, _exit, sigreturn and must still kill for anything
 * else; eperm makes writev and sendmsg fail; eperm_send makes sendto/recvfrom fail; kill_unusual kills for
 * socket, connect, clone, mmap, openat, madvise, futex wake-ups excepted. After such a filter the agent may
 * make no call of its own in the program's threads, and must not swallow the filter. Lessons 122, 123, 124. */
#include "http_min.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static void filter(const int *numbers, size_t n, unsigned action) {
    struct sock_filter f[64];
    size_t k = 0;
    f[k++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < n; i++) {
        f[k++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i], 0, 1);
        f[k++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    }
    f[k++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog p = {(unsigned short)k, f};
    SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) != 0) {
        puts("the kernel refuses seccomp filters here");
        fflush(stdout);
        _exit(77);
    }
    CHECK(prctl(PR_GET_SECCOMP) == 2);
}

/* read and write on a connection that was there before; in strict mode nothing else is allowed */
static void plain_exchange(int c, int s, int times) {
    for (int i = 0; i < times; i++) {
        http_send_get(c, OUT_WRITE, "/maybe/boxed");
        CHECK(http_serve_one_ways(s, IN_READ, OUT_WRITE));
        http_expect_answer(c, IN_READ, "/maybe/boxed");
    }
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "strict";
    int status, c, s;
    story(30);
    tcp_pair(&c, &s);
    plain_exchange(c, s, 3); /* the agent is at work before the box closes */
    fflush(stdout);
    for (int deadly = 0; deadly < 2; deadly++) {
        pid_t pid = SYS(fork());
        if (pid == 0) {
            child_story(20);
            setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
            if (strcmp(how, "strict") == 0) {
                SYS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
                plain_exchange(c, s, 20);
                if (deadly) close(c);
                syscall(SYS_exit, 0); /* strict mode knows exit, not exit_group */
            } else if (strcmp(how, "eperm") == 0) {
                filter((int[]){SYS_writev, SYS_sendmsg}, 2, SECCOMP_RET_ERRNO | EPERM);
                FAILS(writev(c, (struct iovec[]){{"GET ", 4}}, 1), EPERM);
                FAILS(sendmsg(c, &(struct msghdr){0}, 0), EPERM);
                plain_exchange(c, s, 20); /* an agent that writes by another call than the program's fails here */
                http_send_get(c, OUT_SEND, "/maybe/boxed"); /* send is allowed */
                CHECK(http_serve_one_ways(s, IN_RECV, OUT_SEND));
                http_expect_answer(c, IN_RECV, "/maybe/boxed");
            } else if (strcmp(how, "eperm_send") == 0) {
                filter((int[]){SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_writev}, 4, SECCOMP_RET_ERRNO | EPERM);
                FAILS(send(c, "x", 1, 0), EPERM);
                FAILS(recv(c, &status, 1, MSG_DONTWAIT), EPERM);
                plain_exchange(c, s, 20);
            } else {
                filter((int[]){SYS_socket, SYS_connect, SYS_clone, SYS_clone3, SYS_openat, SYS_madvise, SYS_memfd_create,
                               SYS_getpid, SYS_gettid, SYS_fstat, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_fcntl},
                       14, SECCOMP_RET_KILL_PROCESS);
                plain_exchange(c, s, 20);
                if (deadly) SYS(socket(AF_INET, SOCK_STREAM, 0));
                syscall(SYS_exit_group, 0);
            }
            if (deadly) syscall(SYS_exit_group, 3); /* filters with EPERM kill nothing */
            syscall(SYS_exit_group, 0);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        printf("deadly %d: status 0x%x\n", deadly, status & 0xff7f);
        if (strcmp(how, "strict") == 0) CHECK(deadly ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : status == 0);
        else if (strcmp(how, "kill_unusual") == 0) CHECK(deadly ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS : status == 0);
        else CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3 * deadly);
    }
    plain_exchange(c, s, 3);
    return finish_range(6, 100, 6, 100);
}
