/* 500 short children by fork+exec, a chain of 50 execs in one process, and a call in between each: only our
 * own children may be waited for, descriptors do not pile up across exec, and spans of each stage arrive.
 * Lessons 9, 11, 12, 15. */
#include "http_min.h"
#include <dirent.h>

static int open_fds(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d != NULL);
    while (readdir(d) != NULL) n++;
    closedir(d);
    return n;
}

int main(int argc, char **argv) {
    char self[] = "/proc/self/exe";
    if (argc == 4) { /* chain: remaining, port, descriptors at the first stage */
        int left = atoi(argv[1]), fds = atoi(argv[3]);
        char text[3][16];
        CHECK(fds == 0 || open_fds() == fds);
        http_call(atoi(argv[2]), "/chain");
        if (left == 0) return 0;
        snprintf(text[0], 16, "%d", left - 1);
        snprintf(text[1], 16, "%s", argv[2]);
        snprintf(text[2], 16, "%d", fds == 0 ? open_fds() : fds);
        execl(self, argv[0], text[0], text[1], text[2], (char *)NULL);
        return 9;
    }
    story(90);
    struct server s = {0};
    char port[16];
    server_start(&s);
    snprintf(port, sizeof port, "%d", s.port);
    pid_t pid = SYS(fork());
    if (pid == 0) {
        child_story(60);
        /* the first stage has the parent's descriptors; count from the second on */
        execl(self, argv[0], "49", port, "0", (char *)NULL);
        _exit(9);
    }
    reap(pid);
    for (int i = 0; i < 500; i++) {
        pid = SYS(fork());
        if (pid == 0) {
            if (i % 10) execl("/bin/true", "true", (char *)NULL);
            else execl(self, argv[0], "0", port, "0", (char *)NULL);
            _exit(9);
        }
        reap(pid);
    }
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    CHECK(server_stop(&s) == 100);
    return finish(100, 100);
}
