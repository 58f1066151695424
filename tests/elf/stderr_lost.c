/* Standard error is another thing than the agent took it for when it has something to say (test_elf_review.py gives
 * it a wrong setting to complain about). Argument "kept": it is what it was. "broken": a pipe that nobody reads, and
 * SIGPIPE ends the process; "closed": nothing; "socket": a connection of the program's own, whose peer must not get
 * a byte, also not at the end. Each both inherited that way (2) and made so by the program (1). Found by review. */
#include "http_min.h"

static void lose(const char *how, int connection) {
    int p[2];
    if (strcmp(how, "kept") == 0) return;
    SYS(close(2));
    if (strcmp(how, "broken") == 0) {
        SYS(pipe(p)); /* p[0] or p[1] may be 2 now */
        int reader = SYS(fcntl(p[0], F_DUPFD_CLOEXEC, 10)), writer = SYS(fcntl(p[1], F_DUPFD_CLOEXEC, 10));
        close(p[0]);
        close(p[1]);
        SYS(dup2(writer, 2));
        SYS(close(writer));
        SYS(close(reader));
    } else if (strcmp(how, "socket") == 0) {
        SYS(dup2(connection, 2));
    }
}
static void work(void) {
    int c, s;
    tcp_pair(&c, &s); /* the agent begins here */
    for (int i = 0; i < 5; i++) {
        http_send_get(c, OUT_WRITE, "/lost");
        CHECK(http_serve_one(s));
        http_expect_answer(c, IN_READ, "/lost");
    }
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "kept";
    char byte;
    int channel[2];
    story(60);
    if (argc > 3) { /* the child: how, connection, whether it is to lose it itself */
        if (argv[3][0] == '1') lose(how, atoi(argv[2]));
        if (argv[3][0] == '1' && strcmp(how, "socket") == 0) SYS(close(atoi(argv[2])));
        work();
        return 0;
    }
    for (int itself = 0; itself < 2; itself++) {
        SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
        pid_t pid = SYS(fork());
        if (pid == 0) {
            char number[16];
            child_story(30);
            SYS(close(channel[0]));
            snprintf(number, sizeof number, "%d", channel[1]);
            if (!itself) lose(how, channel[1]);
            execl("/proc/self/exe", argv[0], how, number, itself ? "1" : "0", (char *)NULL);
            _exit(9);
        }
        SYS(close(channel[1]));
        reap(pid);
        if (itself || strcmp(how, "socket") != 0) CHECK(recv(channel[0], &byte, 1, 0) == 0);
        SYS(close(channel[0]));
    }
    return finish_uncounted();
}
