/* A double-fork daemon that closes every descriptor it can find (argument: loop, closefrom, close_range,
 * procfd, dup2), then opens sockets that get the lowest numbers and serves HTTP. The descriptors of the
 * agent may die with the others; what comes after must be the daemon's own, byte for byte, and the list
 * of low descriptors must be exactly what the daemon opened. Lessons 23, 24, 25, 129. */
#include "http_min.h"
#include <dirent.h>

static void close_all(const char *how) {
    if (strcmp(how, "loop") == 0) {
        for (int fd = 0; fd < 4096; fd++) close(fd);
    } else if (strcmp(how, "closefrom") == 0) {
#if __GLIBC_PREREQ(2, 34)
        closefrom(0);
#else
        close_range(0, ~0U, 0);
#endif
    } else if (strcmp(how, "close_range") == 0) {
        CHECK(close_range(0, ~0U, 0) == 0);
    } else if (strcmp(how, "procfd") == 0) { /* as ssh does: must end */
        DIR *d = opendir("/proc/self/fd");
        CHECK(d != NULL);
        for (struct dirent *e; (e = readdir(d)) != NULL;)
            if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d)) close(atoi(e->d_name));
        closedir(d);
        for (int fd = 0; fd < 3; fd++) FAILS(fcntl(fd, F_GETFD), EBADF);
    } else { /* over every number: nobody else's descriptor survives under it */
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 2048; fd++) CHECK(fd == null || dup2(null, fd) == fd);
        for (int fd = 0; fd < 2048; fd++) CHECK(close(fd) == 0);
    }
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "loop";
    int up[2], port, status;
    struct server s = {0};
    story(60);
    SYS(pipe2(up, O_CLOEXEC));
    server_start(&s);
    for (int i = 0; i < 3; i++) http_call(s.port, "/before"); /* an exporter is at work */
    CHECK(server_stop(&s) == 3);
    int keep = SYS(memfd_create("port", 0)); /* how the daemon tells its port: no descriptor in common */
    SYS(ftruncate(keep, 4096));
    atomic_int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, keep, 0);
    CHECK(shared != MAP_FAILED);
    pid_t pid = SYS(fork());
    if (pid == 0) {
        SYS(setsid());
        if (SYS(fork()) != 0) _exit(0);
        alarm(50);
        close_all(how);
        CHECK(socket(AF_INET, SOCK_STREAM, 0) == 0); /* the lowest numbers are free */
        CHECK(close(0) == 0);
        int l = listen_loopback(&port);
        CHECK(l == 0);
        atomic_store(shared, port);
        for (int i = 0; i < 5; i++) {
            int fd = SYS(accept(l, NULL, NULL));
            CHECK(fd == 1);
            int file = open("/dev/null", O_RDONLY);
            CHECK(file == 2);
            CHECK(http_serve_one(fd));
            FAILS(fcntl(3, F_GETFD), EBADF);
            CHECK(close(file) == 0);
            CHECK(!http_serve_one(fd) && close(fd) == 0);
        }
        atomic_store(shared + 1, 1);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    while ((port = atomic_load(shared)) == 0) sched_yield();
    for (int i = 0; i < 5; i++) http_call(port, "/daemon");
    while (atomic_load(shared + 1) == 0) sched_yield();
    /* its end is visible as the refusal of its port; the flush of its spans happens before */
    for (;;) {
        struct sockaddr_in a = loopback(port);
        int fd = SYS(socket(AF_INET, SOCK_DGRAM, 0));
        SYS(close(fd));
        fd = SYS(socket(AF_INET, SOCK_STREAM, 0));
        int r = bind(fd, (struct sockaddr *)&a, sizeof a) == 0 ? listen(fd, 1) : -1; /* free once the daemon is gone */
        SYS(close(fd));
        if (r == 0) break;
        usleep(2000);
    }
    return finish(8, 8);
}
