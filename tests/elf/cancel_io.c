/* pthread_cancel in blocked read, recv, accept, recvmsg, connect-accept loops, poll, select and epoll_wait: the thread must end as
 * cancelled, its cleanup handlers must run, and the sockets must go on working with their context.
 * Lesson 39; hooking 11. */
#include "http_min.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static atomic_int cleaned, entered;
enum { WAYS = 9 };
struct where { int how, fd, set; };
static void cleanup(void *arg) {
    (void)arg;
    atomic_fetch_add(&cleaned, 1);
}
static void *blocked(void *arg) {
    struct where w = *(struct where *)arg;
    char c;
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct pollfd two[2] = {{w.fd, POLLIN, 0}, {w.set, POLLIN, 0}};
    struct epoll_event event;
    fd_set fds;
    FD_ZERO(&fds);
    FD_SET(w.fd, &fds);
    pthread_cleanup_push(cleanup, NULL);
    atomic_fetch_add(&entered, 1);
    switch (w.how) {
    case 0: CHECK(read(w.fd, &c, 1) < 0); break;
    case 1: CHECK(recv(w.fd, &c, 1, 0) < 0); break;
    case 2: CHECK(recvmsg(w.fd, &m, 0) < 0); break;
    case 3: CHECK(readv(w.fd, &v, 1) < 0); break;
    case 4: CHECK(recvfrom(w.fd, &c, 1, 0, NULL, NULL) < 0); break;
    case 5: CHECK(poll(two, 2, -1) < 0); break;
    case 6: CHECK(select(w.fd + 1, &fds, NULL, NULL, NULL) < 0); break;
    case 7: CHECK(epoll_wait(w.set, &event, 1, -1) < 0); break;
    default: CHECK(accept(w.fd, NULL, NULL) < 0);
    }
    CHECK(!"a blocked call came back");
    pthread_cleanup_pop(1);
    return NULL;
}

int main(void) {
    int c, s, port, l = listen_loopback(&port), requests = 0, set = epoll_create1(EPOLL_CLOEXEC);
    story(60);
    tcp_pair(&c, &s);
    for (int round = 0; round < 14 * WAYS; round++) {
        struct where w = {round % WAYS, round % WAYS == WAYS - 1 ? l : s, set};
        pthread_t t;
        void *how;
        CHECK0(pthread_create(&t, NULL, blocked, &w));
        while (atomic_load(&entered) != round + 1) sched_yield();
        if (round % 2) usleep(300); /* half of them surely inside the call */
        CHECK0(pthread_cancel(t));
        CHECK0(pthread_join(t, &how));
        CHECK(how == PTHREAD_CANCELED && atomic_load(&cleaned) == round + 1);
        http_send_get(c, (enum out_way)(round % OUT_WAYS), "/after-cancel");
        CHECK(http_serve_one(s));
        http_expect_answer(c, IN_READ, "/after-cancel");
        requests++;
    }
    return finish(requests, requests);
}
