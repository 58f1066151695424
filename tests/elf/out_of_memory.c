/* Limits of the address space (RLIMIT_AS) of every size, set before the agent's first work or after it: it gets no
 * memory at one place or another, and the program goes on. Each limit in a program of its own. Found by review. */
#include "http_min.h"

static void exchange(int s[2]) {
    static const char request[] = "GET /maybe/tight HTTP/1.1\r\nHost: h\r\n\r\n", answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char got[HTTP_MAX];
    CHECK(write(s[0], request, sizeof request - 1) == sizeof request - 1);
    CHECK(read(s[1], got, sizeof got) >= (ssize_t)sizeof request - 1);
    CHECK(write(s[1], answer, sizeof answer - 1) == sizeof answer - 1);
    CHECK(read(s[0], got, sizeof got) == sizeof answer - 1);
}

int main(int argc, char **argv) {
    story(80);
    if (argc > 2) {
        int s[2];
        long pages = 0;
        SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        for (int i = atoi(argv[2]); i > 0; i--) exchange(s);
        FILE *f = fopen("/proc/self/statm", "r");
        CHECK(f != NULL && fscanf(f, "%ld", &pages) == 1 && fclose(f) == 0);
        rlim_t most = (rlim_t)pages * 4096 + (rlim_t)atol(argv[1]) * 1024;
        SYS(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}));
        for (double end = now_s() + 0.1; now_s() < end;) exchange(s); /* while the agent's thread exports */
        return 0;
    }
    for (int kib = 0; kib <= 16384; kib = kib < 512 ? kib + 64 : kib * 2)
        for (int before = 0; before < 2; before++) {
            char number[16];
            snprintf(number, sizeof number, "%d", kib);
            pid_t pid = SYS(fork());
            if (pid == 0) {
                child_story(20);
                setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
                execl("/proc/self/exe", argv[0], number, before ? "1" : "0", (char *)NULL);
                _exit(9);
            }
            reap(pid);
        }
    return finish_uncounted();
}
