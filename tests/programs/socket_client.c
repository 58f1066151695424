/* Sends standard input to 127.0.0.1:PORT with the system call named CALL and checks every return value.
 *
 *   socket_client PORT CALL PIECE SNDBUF NONBLOCK < request
 *
 * PIECE: bytes offered per call (0: all that is left). SNDBUF: SO_SNDBUF (0: as it is). NONBLOCK: 1 waits with poll
 * after EAGAIN. The request lies in a read-only page, as a constant would. Then the sending side is shut down and
 * what comes back goes to standard output. Exit 1: the call's contract was broken. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Splits a buffer into up to three vectors, one of them empty. */
static int vectors(struct iovec *out, char *data, size_t size) {
    size_t first = size / 3, second = size / 2;
    out[0] = (struct iovec){data, first};
    out[1] = (struct iovec){data + first, second - first};
    out[2] = (struct iovec){data, 0};
    out[3] = (struct iovec){data + second, size - second};
    return 4;
}

static ssize_t emit(const char *call, int fd, char *data, size_t size) {
    struct iovec iov[4];
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)vectors(iov, data, size)};
    if (!strcmp(call, "write")) return write(fd, data, size);
    if (!strcmp(call, "send")) return send(fd, data, size, MSG_NOSIGNAL);
    if (!strcmp(call, "sendto")) return sendto(fd, data, size, MSG_NOSIGNAL, NULL, 0);
    if (!strcmp(call, "writev")) return writev(fd, iov, 4);
    if (!strcmp(call, "sendmsg")) return sendmsg(fd, &msg, MSG_NOSIGNAL);
    if (!strcmp(call, "syscall")) return syscall(SYS_write, fd, data, size);
    if (!strcmp(call, "sendmmsg")) {
        struct mmsghdr many = {.msg_hdr = msg};
        int sent = sendmmsg(fd, &many, 1, MSG_NOSIGNAL);
        return sent == 1 ? (ssize_t)many.msg_len : sent;
    }
    errno = EINVAL;
    fail(call);
    return -1;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    size_t piece = strtoul(argv[3], NULL, 10), room = 8 << 20, size = 0;
    int sndbuf = atoi(argv[4]), nonblock = atoi(argv[5]), none = 0;
    char *data = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), back[65536];
    if (data == MAP_FAILED) fail("mmap");
    for (ssize_t n; (n = read(0, data + size, room - size)) > 0;) size += (size_t)n;
    if (mprotect(data, room, PROT_READ)) fail("mprotect");

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket");
    if (sndbuf && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf)) fail("SO_SNDBUF");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
    if (nonblock && fcntl(fd, F_SETFL, O_NONBLOCK)) fail("O_NONBLOCK");

    for (size_t at = 0; at < size;) {
        size_t offer = piece && piece < size - at ? piece : size - at;
        errno = 0;
        ssize_t sent = emit(argv[2], fd, data + at, offer);
        if (sent < 0 && errno == EAGAIN && nonblock) {
            struct pollfd ready = {fd, POLLOUT, 0};
            if (poll(&ready, 1, 10000) != 1) fail("poll");
            none++;
            continue;
        }
        if (sent <= 0) fail(argv[2]);
        if ((size_t)sent > offer) return fprintf(stderr, "%zd of %zu bytes sent\n", sent, offer), 1;
        at += (size_t)sent;
    }
    if (nonblock && fcntl(fd, F_SETFL, 0)) fail("blocking again");
    if (shutdown(fd, SHUT_WR)) fail("shutdown");
    for (ssize_t n; (n = read(fd, back, sizeof back)) > 0;)
        if (write(1, back, (size_t)n) != n) fail("stdout");
    close(fd);
    fprintf(stderr, "EAGAIN %d\n", none);
    return 0;
}
