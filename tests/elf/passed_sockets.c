/* Sockets that arrive without accept or connect: passed by SCM_RIGHTS (an accepted one to a worker, a
 * connected one to a client process), inherited as a listener through exec, inherited connected through
 * exec, pidfd_getfd. The role is decided by the bytes. Lessons 32, 91; runtimes 5. */
#include "http_min.h"

static void pass(int channel, int fd) {
    char byte = 'f';
    union { char b[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } u = {0};
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof u.b};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    CHECK(sendmsg(channel, &m, 0) == 1);
}
static int receive(int channel) {
    char byte = 0;
    int fd;
    union { char b[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } u;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.b, .msg_controllen = sizeof u.b};
    ssize_t n = recvmsg(channel, &m, MSG_CMSG_CLOEXEC);
    if (n == 0) return -1;
    CHECK(n == 1 && byte == 'f');
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)));
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static int child(const char *role, int fd) {
    if (strcmp(role, "worker") == 0) { /* gets accepted sockets; each number is used again and again */
        for (int c; (c = receive(fd)) >= 0;) http_serve_connection(c);
    } else if (strcmp(role, "caller") == 0) {
        for (int c; (c = receive(fd)) >= 0;) {
            http_get(c, "/passed");
            SYS(close(c));
        }
    } else if (strcmp(role, "listener") == 0) {
        for (int i = 0; i < 5; i++) http_serve_connection(SYS(accept(fd, NULL, NULL)));
    } else if (strcmp(role, "connected") == 0) {
        while (http_serve_one(fd)) {}
    } else {
        CHECK(!"role");
    }
    return 0;
}
static pid_t start(const char *program, const char *role, int fd) {
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    pid_t pid = SYS(fork());
    if (pid == 0) {
        child_story(30); /* alarms survive exec */
        SYS(fcntl(fd, F_SETFD, 0));
        execl("/proc/self/exe", program, role, number, (char *)NULL);
        _exit(9);
    }
    return pid;
}

int main(int argc, char **argv) {
    story(60);
    if (argc == 3) return child(argv[1], atoi(argv[2]));
    int channel[2], port, l = listen_loopback(&port), requests = 0;
    SYS(fcntl(l, F_SETFD, FD_CLOEXEC));
    SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel));
    pid_t worker = start(argv[0], "worker", channel[1]);
    SYS(close(channel[1]));
    for (int i = 0; i < 20; i++) {
        int c = dial(port), s = SYS(accept(l, NULL, NULL));
        pass(channel[0], s);
        SYS(close(s));
        for (int k = 0; k < 3; k++, requests++) http_get(c, "/to-worker");
        SYS(close(c));
    }
    SYS(close(channel[0]));
    reap(worker);

    SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel));
    pid_t caller = start(argv[0], "caller", channel[1]);
    SYS(close(channel[1]));
    for (int i = 0; i < 20; i++, requests++) {
        int c = dial(port), s = SYS(accept4(l, NULL, NULL, SOCK_CLOEXEC));
        pass(channel[0], c);
        SYS(close(c));
        CHECK(http_serve_connection(s) == 1);
    }
    SYS(close(channel[0]));
    reap(caller);

    pid_t listener = start(argv[0], "listener", l);
    for (int i = 0; i < 5; i++, requests++) http_call(port, "/to-listener");
    reap(listener);

    int c, s;
    tcp_pair(&c, &s);
    SYS(fcntl(c, F_SETFD, FD_CLOEXEC));
    http_send_get(c, OUT_WRITE, "/before-exec");
    CHECK(http_serve_one(s)); /* the same connection is served before and after exec */
    http_expect_answer(c, IN_READ, "/before-exec");
    pid_t connected = start(argv[0], "connected", s);
    SYS(close(s));
    for (int i = 0; i < 5; i++) http_get(c, "/after-exec");
    requests += 6;
    SYS(close(c));
    reap(connected);
    return finish(requests, requests);
}
