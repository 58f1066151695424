/* An event loop without a runtime: one thread serves HTTP and calls an upstream, each call on a connection of its own.
 *
 *   loop epoll|poll|select PORT UPSTREAM BEAT
 *
 * GET /direct?id=N calls /echo?id=N&delay=20 upstream in the turn in which it was read and answers when the answer is there.
 * /timer calls some turns later, /after answers first and calls then, /queue leaves the call to the end of the turn, after
 * the other descriptors. BEAT 1: every millisecond a call for nobody (id=beat). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1024 };
enum kind { NOTHING, LISTENER, SERVED, CALL };
static struct one {
    enum kind kind;
    char in[4096];
    size_t got;
    int peer; /* of a call: who waits for it; -1: nobody */
} all[MOST];
static struct job { long at; int peer; char id[64]; } jobs[MOST];
static int epoll_set, upstream, job_count;

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void add(int fd, enum kind kind, int peer) {
    if (fd < 0 || fd >= MOST) die("descriptor");
    all[fd] = (struct one){.kind = kind, .peer = peer};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_set && epoll_ctl(epoll_set, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void drop(int fd) {
    all[fd].kind = NOTHING;
    close(fd);
    for (int i = 0; i < MOST; i++)
        if (all[i].kind == CALL && all[i].peer == fd) all[i].peer = -1;
    for (int i = 0; i < job_count; i++)
        if (jobs[i].peer == fd) jobs[i].peer = -1;
}

static void say(int fd, const char *text) {
    char out[256];
    int len = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
    if (send(fd, out, (size_t)len, MSG_NOSIGNAL) != len) drop(fd);
}

static void call(int peer, const char *id) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)upstream), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (void *)&to, sizeof to)) die("connect");
    char out[256];
    int len = snprintf(out, sizeof out, "GET /echo?id=%s&delay=20 HTTP/1.1\r\nHost: up\r\n\r\n", id);
    if (send(fd, out, (size_t)len, MSG_NOSIGNAL) != len) die("send");
    add(fd, CALL, peer);
}

static void later(long ms, int peer, const char *id) {
    if (job_count == MOST) die("jobs");
    jobs[job_count].at = now_ms() + ms;
    jobs[job_count].peer = peer;
    snprintf(jobs[job_count++].id, sizeof jobs->id, "%s", id);
}

static void request(int fd) {
    char how[32] = "", id[64] = "";
    if (sscanf(all[fd].in, "GET /%31[a-z]?id=%63[^ &]", how, id) != 2) return say(fd, "ok");
    all[fd].got = 0;
    if (!strcmp(how, "direct")) call(fd, id);
    else if (!strcmp(how, "queue")) later(0, fd, id);
    else if (!strcmp(how, "timer")) later(5 + atoi(id) % 7 * 5, fd, id);
    else {
        say(fd, "later");
        later(5 + atoi(id) % 7 * 5, -1, id);
    }
}

static void ready(int fd) {
    struct one *it = &all[fd];
    if (it->kind == LISTENER) {
        int peer = accept(fd, NULL, NULL), on = 1;
        if (peer < 0) die("accept");
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return add(peer, SERVED, -1);
    }
    if (it->kind == NOTHING) return;
    ssize_t got = recv(fd, it->in + it->got, sizeof it->in - 1 - it->got, 0);
    if (got <= 0) return drop(fd);
    it->in[it->got += (size_t)got] = 0;
    char *end = strstr(it->in, "\r\n\r\n");
    if (!end) return;
    if (it->kind == SERVED) return request(fd);
    char *length = strcasestr(it->in, "content-length:");
    if (length && it->got < (size_t)(end + 4 - it->in) + (size_t)atoi(length + 15)) return;
    int peer = it->peer;
    drop(fd);
    if (peer >= 0) say(peer, "done");
}

static void timers(int beat) {
    for (int i = 0; i < job_count;) {
        if (jobs[i].at > now_ms()) {
            i++;
            continue;
        }
        struct job job = jobs[i];
        jobs[i] = jobs[--job_count];
        call(job.peer, job.id);
        if (beat && !strcmp(job.id, "beat")) later(1, -1, "beat");
    }
}

static void turn(const char *how) {
    struct epoll_event events[64];
    struct pollfd set[MOST];
    fd_set bits;
    int count = 0;
    if (epoll_set) {
        count = epoll_wait(epoll_set, events, 64, 1);
        for (int i = 0; i < count; i++) ready(events[i].data.fd);
        return;
    }
    FD_ZERO(&bits);
    for (int fd = 0; fd < MOST; fd++)
        if (all[fd].kind) {
            set[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
            FD_SET(fd, &bits);
        }
    struct timeval wait = {.tv_usec = 1000};
    if (*how == 's') {
        if (select(MOST, &bits, NULL, NULL, &wait) < 0) die("select");
    } else if (poll(set, (nfds_t)count, 1) < 0) die("poll");
    for (int i = 0; i < count; i++)
        if (*how == 's' ? FD_ISSET(set[i].fd, &bits) : set[i].revents) ready(set[i].fd);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, beat = atoi(argv[4]);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 256)) die("listen");
    upstream = atoi(argv[3]);
    if (!strcmp(argv[1], "epoll")) epoll_set = epoll_create1(EPOLL_CLOEXEC);
    add(listener, LISTENER, -1);
    if (beat) later(1, -1, "beat");
    for (;;) {
        turn(argv[1]);
        timers(beat);
    }
}
