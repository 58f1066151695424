/* pthread_cancel in blocked read, recv, accept, recvmsg, connect-accept loops: the thread must end as
 * cancelled, its cleanup handlers must run, and the sockets must go on working with their context.
 * Lesson 39; hooking 11. */
#include "http_min.h"

static atomic_int cleaned, entered;
struct where { int how, fd; };
static void cleanup(void *arg) {
    (void)arg;
    atomic_fetch_add(&cleaned, 1);
}
static void *blocked(void *arg) {
    struct where w = *(struct where *)arg;
    char c;
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    pthread_cleanup_push(cleanup, NULL);
    atomic_fetch_add(&entered, 1);
    switch (w.how) {
    case 0: CHECK(read(w.fd, &c, 1) < 0); break;
    case 1: CHECK(recv(w.fd, &c, 1, 0) < 0); break;
    case 2: CHECK(recvmsg(w.fd, &m, 0) < 0); break;
    case 3: CHECK(readv(w.fd, &v, 1) < 0); break;
    case 4: CHECK(recvfrom(w.fd, &c, 1, 0, NULL, NULL) < 0); break;
    default: CHECK(accept(w.fd, NULL, NULL) < 0);
    }
    CHECK(!"a blocked call came back");
    pthread_cleanup_pop(1);
    return NULL;
}

int main(void) {
    int c, s, port, l = listen_loopback(&port), requests = 0;
    story(60);
    tcp_pair(&c, &s);
    for (int round = 0; round < 120; round++) {
        struct where w = {round % 6, round % 6 == 5 ? l : s};
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
