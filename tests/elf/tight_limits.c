/* HTTP in a process that may have only 20 descriptors, or hardly any address space (argument: nofile, as,
 * nproc, fsize). The limits must stay what the program set, all 20 descriptors must be usable by the program,
 * and where the agent gets no memory, thread or descriptor it must stand aside. Lessons 19, 122, 123, 128. */
#include "http_min.h"

static void exchange(int rounds) {
    int c, s;
    for (int i = 0; i < rounds; i++) {
        tcp_pair(&c, &s);
        http_send_get(c, OUT_WRITE, "/maybe/tight");
        CHECK(http_serve_one(s));
        http_expect_answer(c, IN_READ, "/maybe/tight");
        SYS(close(c));
        SYS(close(s));
    }
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "nofile";
    struct rlimit r, after;
    int what = strcmp(how, "as") == 0 ? RLIMIT_AS : strcmp(how, "nproc") == 0 ? RLIMIT_NPROC : strcmp(how, "fsize") == 0 ? RLIMIT_FSIZE : RLIMIT_NOFILE;
    story(30);
    if (what == RLIMIT_AS) { /* what is mapped now plus 1 MiB: less than a thread stack */
        long pages = 0;
        FILE *f = fopen("/proc/self/statm", "r");
        CHECK(f != NULL && fscanf(f, "%ld", &pages) == 1 && fclose(f) == 0);
        r.rlim_cur = r.rlim_max = (rlim_t)pages * 4096 + (1 << 20);
    } else {
        SYS(getrlimit(what, &r));
        r.rlim_cur = what == RLIMIT_NOFILE ? 20 : 0;
    }
    struct rlimit before;
    SYS(getrlimit(what, &before));
    SYS(close_range(3, ~0U, 0)); /* what the caller left open */
    SYS(setrlimit(what, &r));
    exchange(100);
    if (what == RLIMIT_NOFILE) { /* every number below 20 is ours to open */
        int fds[20], n = 0;
        while ((fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0) n++;
        CHECK(errno == EMFILE && n == 17);
        while (n > 0) SYS(close(fds[--n]));
        FAILS(dup2(0, 20), EBADF);
    }
    exchange(20);
    SYS(getrlimit(what, &after));
    CHECK(after.rlim_cur == r.rlim_cur && after.rlim_max == r.rlim_max);
    if (what == RLIMIT_FSIZE) SYS(setrlimit(what, &before)); /* stdout may be a file */
    return finish_range(0, 120, 0, 120);
}
