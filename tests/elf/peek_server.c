/* A server that peeks before it reads, a client that peeks at the answer: nothing may be counted twice and
 * a peek (whole, one byte, with MSG_TRUNC or MSG_WAITALL) never moves a parser. Lesson 60. */
#include "http_min.h"

static void *serve(void *arg) {
    int fd = *(int *)arg, n = 0;
    char b[HTTP_MAX];
    for (;; n++) {
        struct iovec v = {b, sizeof b};
        ssize_t r = recv(fd, b, 1, MSG_PEEK);
        CHECK(r >= 0);
        if (r == 0) break;
        for (int i = 0; i < 5; i++) {
            CHECK(recv(fd, b, sizeof b, MSG_PEEK) > 0 && b[0] == 'G');
            CHECK(recvfrom(fd, b, 4, MSG_PEEK | MSG_WAITALL, NULL, NULL) == 4);
            CHECK(recvmsg(fd, &(struct msghdr){.msg_iov = &v, .msg_iovlen = 1}, MSG_PEEK) > 4);
            CHECK(syscall(SYS_recvfrom, fd, b, 16L, (long)MSG_PEEK, NULL, NULL) == 16);
        }
        CHECK(http_serve_one_ways(fd, (enum in_way)(n % IN_WAYS), OUT_WRITE));
    }
    SYS(close(fd));
    return (void *)(intptr_t)n;
}
int main(void) {
    int c, s;
    char b[32];
    pthread_t t;
    void *served;
    story(30);
    tcp_pair(&c, &s);
    CHECK0(pthread_create(&t, NULL, serve, &s));
    for (int i = 0; i < 100; i++) {
        http_send_get(c, OUT_WRITE, "/peek");
        for (int k = 0; k < 3; k++) CHECK(recv(c, b, 9, MSG_PEEK) > 0 && b[0] == 'H');
        http_expect_answer(c, IN_RECV, "/peek");
    }
    SYS(close(c));
    CHECK0(pthread_join(t, &served));
    CHECK((intptr_t)served == 100);
    return finish(100, 100);
}
