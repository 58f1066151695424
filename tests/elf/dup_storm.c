/* dup2, dup3 and F_DUPFD over every number up to 3,000 while HTTP goes on: each number that is taken over
 * must be the program's from then on (identity checked by inode), also if the agent had a descriptor
 * there, and what the program writes to it must arrive in the program's file only. Lessons 23, 24, 26. */
#include "http_min.h"

int main(void) {
    enum { TOP = 3000 };
    struct server s = {0};
    struct stat mine, there;
    struct rlimit r;
    story(60);
    SYS(getrlimit(RLIMIT_NOFILE, &r));
    if (r.rlim_cur < TOP + 10) {
        r.rlim_cur = TOP + 10;
        SYS(setrlimit(RLIMIT_NOFILE, &r));
    }
    server_start(&s);
    int conn = dial(s.port), file = SYS(memfd_create("storm", MFD_CLOEXEC));
    http_get(conn, "/start");
    SYS(fstat(file, &mine));
    int first = dup(file), requests = 1;
    SYS(close(first));
    for (int fd = first + 8; fd < TOP; fd++) {
        int got = fd % 3 == 0 ? dup3(file, fd, O_CLOEXEC) : dup2(file, fd);
        CHECK(got == fd);
        if (fd % 500 == 0) http_get(conn, "/storm"), requests++;
    }
    for (int fd = first + 8; fd < TOP; fd++) {
        CHECK(fstat(fd, &there) == 0 && there.st_ino == mine.st_ino && there.st_dev == mine.st_dev);
        CHECK(write(fd, "GET /not-a-request HTTP/1.1\r\n\r\n", 31) == 31);
    }
    SYS(fstat(file, &there));
    CHECK(there.st_size == 31L * (TOP - first - 8));
    for (int fd = first + 8; fd < TOP; fd++) CHECK(close(fd) == 0);
    for (int i = 0; i < 500; i++) {
        int a = SYS(fcntl(file, F_DUPFD, 700)), b = SYS(fcntl(file, F_DUPFD_CLOEXEC, 512));
        CHECK(a >= 700 && b >= 512);
        CHECK(close(a) == 0 && close(b) == 0);
    }
    /* the same on a connection: a duplicate of it is the same stream, a file over it is none */
    int twin = SYS(dup(conn));
    http_get(twin, "/twin");
    http_get(conn, "/conn");
    CHECK(dup2(file, twin) == twin);
    CHECK(write(twin, "GET /file HTTP/1.1\r\nHost: a\r\n\r\n", 31) == 31);
    http_get(conn, "/conn");
    requests += 3;
    SYS(fstat(file, &there));
    CHECK(there.st_size == 31L * (TOP - first - 8 + 1));
    SYS(close(twin));
    SYS(close(conn));
    CHECK(server_stop(&s) == requests);
    return finish(requests, requests);
}
