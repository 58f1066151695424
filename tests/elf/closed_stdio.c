/* Started again with 0, 1 and 2 closed (all, or one of them): the program's own descriptors must get these
 * numbers, none of them may turn up as the agent's, and nothing may be written into what now has number 1
 * or 2. Results come back through a pipe at number 99. Lessons 25, 48, 129. */
#include "http_min.h"

static int open_below(int top) {
    int n = 0;
    for (int fd = 0; fd < top; fd++)
        if (fcntl(fd, F_GETFD) != -1) n |= 1 << fd;
    return n;
}

static int child(int closed) {
    struct server s = {0};
    struct stat st;
    int before = open_below(8), file = -1, lowest = closed & 1 ? 0 : closed & 2 ? 1 : 2;
    CHECK(before == (7 & ~closed));
    file = open("/proc/self/status", O_RDONLY);
    CHECK(file == lowest);
    CHECK(close(file) == 0);
    file = memfd_create("stdio", 0);
    CHECK(file == lowest && dup2(file, 2) == 2 && dup2(file, 1) == 1);
    server_start(&s);
    for (int i = 0; i < 20; i++) http_call(s.port, "/closed");
    CHECK(server_stop(&s) == 20);
    CHECK(fstat(file, &st) == 0 && st.st_size == 0); /* nobody wrote to 1 or 2 */
    CHECK((open_below(8) & 0xf8) == 0);
    CHECK(write(99, "+", 1) == 1);
    return 0;
}

int main(int argc, char **argv) {
    story(60);
    if (argc > 1 && strncmp(argv[1], "child", 5) == 0) return child(argv[1][5] - '0');
    SYS(close_range(3, ~0U, 0));
    int p[2];
    SYS(pipe2(p, O_CLOEXEC));
    for (int closed = 1; closed < 8; closed++) {
        char name[] = "child0", c;
        name[5] = (char)('0' + closed);
        pid_t pid = SYS(fork());
        if (pid == 0) {
            child_story(20);
            SYS(dup2(p[1], 99));
            for (int fd = 0; fd < 3; fd++)
                if (closed >> fd & 1) SYS(close(fd));
            execl("/proc/self/exe", argv[0], name, (char *)NULL);
            _exit(5);
        }
        reap(pid);
        CHECK(read(p[0], &c, 1) == 1 && c == '+');
    }
    return finish(140, 140);
}
