/* Limits of the address space (RLIMIT_AS) of every size, set before the agent's first work or after it: it gets no
 * memory at one place or another, and the program goes on. Each limit in a program of its own. Argument "end": the
 * program ends soon after, and the agent's last export comes upon the limit; "work": it works on. Found by review. */
#include "http_min.h"

static void exchange(int s[2]) {
    static const char request[] = "GET /maybe/tight HTTP/1.1\r\nHost: h\r\n\r\n", answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char got[HTTP_MAX];
    CHECK(write(s[0], request, sizeof request - 1) == sizeof request - 1);
    CHECK(read(s[1], got, sizeof got) >= (ssize_t)sizeof request - 1);
    CHECK(write(s[1], answer, sizeof answer - 1) == sizeof answer - 1);
    CHECK(read(s[0], got, sizeof got) == sizeof answer - 1);
}

static int bad;

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "end";
    bool work = strcmp(how, "work") == 0;
    story(80);
    if (argc > 3) { /* how, KiB, exchanges before the limit */
        int s[2];
        long pages = 0;
        SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        for (int i = atoi(argv[3]); i > 0; i--) exchange(s);
        FILE *f = fopen("/proc/self/statm", "r");
        CHECK(f != NULL && fscanf(f, "%ld", &pages) == 1 && fclose(f) == 0);
        rlim_t most = (rlim_t)pages * 4096 + (rlim_t)atol(argv[2]) * 1024;
        SYS(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}));
        double end = now_s() + (work ? 0.1 : 0);
        do
            for (int i = 0; i < 20; i++) exchange(s);
        while (now_s() < end); /* while the agent's thread exports */
        return 0;
    }
    /* fine steps where thread stacks, arenas and buffers begin; then up to where nothing is missing */
    for (int kib = 0; kib <= 16384; kib = kib < 512 ? kib + (work ? 64 : 8) : kib * 2)
        for (int before = 0; before < 2; before++) {
            char number[16];
            snprintf(number, sizeof number, "%d", kib);
            pid_t pid = SYS(fork());
            if (pid == 0) {
                child_story(20);
                setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
                execl("/proc/self/exe", argv[0], how, number, before ? "1" : "0", (char *)NULL);
                _exit(9);
            }
            int status;
            CHECK(waitpid(pid, &status, 0) == pid);
            if (status != 0) fprintf(stderr, "%d KiB, %d exchanges before: wait status 0x%x\n", kib, before, (unsigned)status);
            bad += status != 0;
        }
    return bad ? 1 : finish_uncounted();
}
