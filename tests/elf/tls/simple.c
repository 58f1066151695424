/* One HTTPS request and its server, and one without TLS. It is linked in different ways and run under different memory policies;
 * `none` says that TLS cannot be seen. `mdwe` and `seccomp` are the policies: they are entered before an exec of itself. */
#include "openssl.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static void refuse_writable_code(void) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_WRITE | PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {sizeof f / sizeof *f, f};
    SYS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SYS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p));
}

int main(int argc, char **argv) {
    story(30);
    signal(SIGPIPE, SIG_IGN);
    const char *how = argc > 1 ? argv[1] : "";
    if (strcmp(how, "seccomp") == 0 || strcmp(how, "mdwe") == 0) {
        if (how[0] == 's') refuse_writable_code();
        else if (prctl(65, 1, 0, 0, 0) != 0) { /* PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN */
            puts("the kernel has no PR_SET_MDWE");
            return 77;
        }
        CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
        SYS(execl("/proc/self/exe", argv[0], "none", NULL));
    }
    bool seen = strcmp(how, "none") != 0;
    struct service s = {0};
    int fd = service_start(&s, context(true, 0));
    struct tell t = tell_of(fd);
    SSL *ssl = object(context(false, 0), fd, false);
    TLS(ssl, SSL_connect(ssl));
    struct end e = ssl_end(ssl, fd);
    call(&e, seen ? "/simple" : "/simple/none", t.port, 0, 0);
    if (seen) want_both("GET", "/simple", t);
    finish_ssl(ssl, fd);
    CHECK(service_end(&s) == 1);
    struct server plain = {0};
    server_start(&plain);
    http_call(plain.port, "/plain");
    CHECK(server_stop(&plain) == 1);
    t = (struct tell){plain.port, 1};
    want("CLIENT", "GET", "/plain", 200, t, "scheme=http noport");
    want("SERVER", "GET", "/plain", 200, t, "scheme=http noport anypeer");
    return finished();
}
