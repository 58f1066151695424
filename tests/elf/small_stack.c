/* Client and server threads on 16 KiB stacks, each with a guard page below: a hook with a large frame (or
 * one that recurses) dies here. The peak use of the stack is measured by a fill pattern and printed to
 * stderr with ELF_VERBOSE. Lesson 37. */
#include "http_min.h"
#include <alloca.h>

enum { SIZE = 16384, ROUNDS = 50 };
static int fds[2][2];

/* Reads as the other programs do, with a head buffer that fits the small stack well. */
static void *client(void *arg) {
    int fd = *(int *)arg;
    for (int i = 0; i < ROUNDS; i++) http_get(fd, "/small");
    SYS(close(fd));
    return NULL;
}
static void *server(void *arg) {
    int fd = *(int *)arg;
    for (int i = 0; i < ROUNDS; i++)
        CHECK(http_serve_one_ways(fd, (enum in_way)(i % IN_WAYS), (enum out_way)(i % OUT_WAYS)));
    CHECK(!http_serve_one(fd));
    SYS(close(fd));
    return NULL;
}
/* Uses the stack up to a rest of 6 KiB, then does its I/O there: what a deep caller leaves for a hook. */
static __attribute__((noinline)) void *deep_client(void *arg) {
    char here;
    char *base = *((char **)arg + 1);
    size_t left = (size_t)(&here - base);
    CHECK(left > 8192);
    volatile char *p = alloca(left - 6144);
    p[0] = 1;
    return client(arg);
}

int main(void) {
    void *(*const role[3])(void *) = {client, server, deep_client};
    char *stacks[4];
    pthread_t t[4];
    story(30);
    for (int i = 0; i < 2; i++) tcp_pair(&fds[i][0], &fds[i][1]);
    struct { long fd; char *base; } arg = {fds[1][0], NULL};
    for (int i = 0; i < 4; i++) {
        pthread_attr_t a;
        char *map = mmap(NULL, SIZE + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        CHECK(map != MAP_FAILED);
        SYS(mprotect(map, 4096, PROT_NONE));
        SYS(mprotect(map + 4096 + SIZE, 4096, PROT_NONE));
        stacks[i] = map + 4096;
        memset(stacks[i], 0x5a, SIZE);
        CHECK0(pthread_attr_init(&a));
        CHECK0(pthread_attr_setstack(&a, stacks[i], SIZE));
        arg.base = i == 2 ? stacks[i] : arg.base;
        void *what = i == 0 ? (void *)&fds[0][0] : i == 1 ? (void *)&fds[0][1] : i == 2 ? (void *)&arg : (void *)&fds[1][1];
        CHECK0(pthread_create(&t[i], &a, role[i == 3 ? 1 : i], what));
    }
    for (int i = 0; i < 4; i++) CHECK0(pthread_join(t[i], NULL));
    if (getenv("ELF_VERBOSE"))
        for (int i = 0; i < 4; i++) {
            int unused = 0;
            while (unused < SIZE && stacks[i][unused] == 0x5a) unused++;
            fprintf(stderr, "thread %d used %d of %d bytes\n", i, SIZE - unused, SIZE);
        }
    return finish(2 * ROUNDS, 2 * ROUNDS);
}
