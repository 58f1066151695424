/* connect in its failure forms: refused (blocking; non-blocking with poll and SO_ERROR; with a second connect
 * call for the result), EINPROGRESS that succeeds, EALREADY, EISCONN, reuse of a socket after a failure, a
 * datagram connect. Each refused attempt is one CLIENT span, each success none of its own. Lesson 46. */
#include "http_min.h"

static int free_port(void) { /* bound and not listening: refuses for as long as it is held */
    struct sockaddr_in a = loopback(0);
    socklen_t len = sizeof a;
    int fd = SYS(socket(AF_INET, SOCK_STREAM, 0));
    SYS(bind(fd, (struct sockaddr *)&a, sizeof a));
    SYS(getsockname(fd, (struct sockaddr *)&a, &len));
    return ntohs(a.sin_port);
}
static int so_error(int fd) {
    int e = -1;
    socklen_t len = sizeof e;
    SYS(getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len));
    return e;
}
static int begin(int port) {
    struct sockaddr_in a = loopback(port);
    int fd = SYS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    FAILS(connect(fd, (struct sockaddr *)&a, sizeof a), EINPROGRESS);
    CHECK(poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 5000) == 1);
    return fd;
}

int main(void) {
    struct server s = {0};
    int none = free_port(), refused = 0, fd;
    struct sockaddr_in nobody = loopback(none), somebody;
    story(30);
    server_start(&s);
    somebody = loopback(s.port);

    fd = SYS(socket(AF_INET, SOCK_STREAM, 0));
    FAILS(connect(fd, (struct sockaddr *)&nobody, sizeof nobody), ECONNREFUSED); refused++;
    CHECK(so_error(fd) == 0);
    SYS(connect(fd, (struct sockaddr *)&somebody, sizeof somebody)); /* Linux: the socket may be used again */
    http_get(fd, "/after-refusal");
    SYS(close(fd));

    fd = begin(none); /* result by SO_ERROR, which clears it */
    CHECK(so_error(fd) == ECONNREFUSED && so_error(fd) == 0); refused++;
    SYS(close(fd));

    fd = begin(none); /* result by a second connect */
    FAILS(connect(fd, (struct sockaddr *)&nobody, sizeof nobody), ECONNREFUSED); refused++;
    SYS(close(fd));

    char b;
    fd = begin(none); /* result by the first read */
    FAILS(recv(fd, &b, 1, 0), ECONNREFUSED); refused++;
    SYS(close(fd));

    fd = begin(s.port);
    CHECK(so_error(fd) == 0);
    SYS(fcntl(fd, F_SETFL, 0));
    http_get(fd, "/in-progress");
    SYS(close(fd));

    fd = begin(s.port); /* gevent, redis: connect again for the result */
    CHECK(connect(fd, (struct sockaddr *)&somebody, sizeof somebody) == 0);
    FAILS(connect(fd, (struct sockaddr *)&somebody, sizeof somebody), EISCONN);
    SYS(fcntl(fd, F_SETFL, 0));
    http_get(fd, "/second-connect");
    SYS(close(fd));

    fd = SYS(socket(AF_INET, SOCK_DGRAM, 0)); /* no stream, no span; the refusal comes with the next call */
    SYS(connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
    CHECK(send(fd, "x", 1, 0) == 1);
    FAILS(recv(fd, &b, 1, 0), ECONNREFUSED);
    SYS(close(fd));

    fd = begin(s.port); /* connected and closed without a byte: no span */
    SYS(close(fd));
    CHECK(server_stop(&s) == 3);
    /* where the program learns of a refusal only by getsockopt or not at all, the agent may miss it */
    return finish_range(3, 3, 3 + refused - 2, 3 + refused);
}
