/* Threads that hand requests over through a queue.  pool split|mixed|own PORT UPSTREAM THREADS
 *
 * split: one thread reads requests, THREADS others call upstream (/echo with the request's id) and answer.
 * mixed: each of THREADS threads reads a request, puts it into the queue, and works on whatever stands there first.
 * own: THREADS threads wait in one epoll set, and each serves what it has read. That is one request a thread at a time. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct job { int fd; char id[64]; } queue[1024];
static unsigned first, last;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static int listener, upstream, set;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static size_t read_head(int fd, char *room, size_t size) {
    size_t got = 0;
    while (got < size - 1) {
        ssize_t n = recv(fd, room + got, size - 1 - got, 0);
        if (n <= 0) return 0;
        room[got += (size_t)n] = 0;
        if (strstr(room, "\r\n\r\n")) return got;
    }
    return 0;
}

static int read_job(int fd, struct job *job) {
    char head[4096];
    if (!read_head(fd, head, sizeof head)) return 0;
    char *id = strstr(head, "id=");
    job->fd = fd;
    snprintf(job->id, sizeof job->id, "%s", id ? id + 3 : "");
    job->id[strcspn(job->id, "& ")] = 0;
    return 1;
}

static void serve(struct job *job) {
    char text[4096], answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone";
    if (*job->id) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)upstream), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (connect(fd, (void *)&to, sizeof to)) die("connect");
        int len = snprintf(text, sizeof text, "GET /echo?id=%s&delay=20 HTTP/1.1\r\nHost: up\r\n\r\n", job->id);
        if (send(fd, text, (size_t)len, MSG_NOSIGNAL) != len || !read_head(fd, text, sizeof text)) die("call");
        close(fd);
    }
    send(job->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    close(job->fd);
}

static void put(struct job job) {
    pthread_mutex_lock(&lock);
    queue[last++ % 1024] = job;
    pthread_cond_signal(&more);
    pthread_mutex_unlock(&lock);
}

static struct job take(void) {
    pthread_mutex_lock(&lock);
    while (first == last) pthread_cond_wait(&more, &lock);
    struct job job = queue[first++ % 1024];
    pthread_mutex_unlock(&lock);
    return job;
}

static void *works(void *none) {
    for (;;) {
        struct job job = take();
        serve(&job);
    }
    return none;
}

static void *mixed(void *none) {
    for (struct job job;;) {
        if (!read_job(accept(listener, NULL, NULL), &job)) continue;
        put(job);
        job = take();
        serve(&job);
    }
    return none;
}

static void *own(void *none) {
    for (struct job job;;) {
        struct epoll_event event;
        if (epoll_wait(set, &event, 1, -1) != 1) continue;
        int fd = event.data.fd;
        if (fd == listener) {
            int peer = accept(listener, NULL, NULL);
            struct epoll_event one = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = peer};
            if (peer >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, peer, &one)) die("epoll_ctl");
        } else if (read_job(fd, &job)) serve(&job);
        else close(fd);
    }
    return none;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 256)) die("listen");
    upstream = atoi(argv[3]);
    set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener};
    if (epoll_ctl(set, EPOLL_CTL_ADD, listener, &event)) die("epoll_ctl");
    void *(*run)(void *) = *argv[1] == 's' ? works : *argv[1] == 'm' ? mixed : own;
    for (int i = 0; i < atoi(argv[4]); i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, NULL)) die("pthread_create");
    }
    for (struct job job; *argv[1] == 's';)
        if (read_job(accept(listener, NULL, NULL), &job)) put(job);
    pause();
}
