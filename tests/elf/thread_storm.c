/* 10,000 short threads, eight at a time, each one connection and one request, half of them ending by
 * pthread_exit, some detached: per-thread state must neither leak nor outlive its thread. Lessons 37, 38, 111. */
#include "http_min.h"

static struct server server;
static atomic_int detached;
static void *one(void *arg) {
    http_call(server.port, "/thread");
    if ((intptr_t)arg % 2) pthread_exit(arg);
    return arg;
}
static void *one_detached(void *arg) {
    http_call(server.port, "/thread");
    atomic_fetch_sub(&detached, 1);
    return arg;
}
static long resident_kb(void) {
    long pages = 0, all = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f != NULL && fscanf(f, "%ld %ld", &all, &pages) == 2 && fclose(f) == 0);
    return pages * 4;
}

int main(int argc, char **argv) {
    int total = argc > 1 ? atoi(argv[1]) : 10000, done = 0;
    pthread_attr_t a;
    long early = 0;
    story(120);
    server.stack = 64 * 1024;
    server_start(&server);
    CHECK0(pthread_attr_init(&a));
    CHECK0(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
    while (done < total) {
        pthread_t t[8];
        for (intptr_t i = 0; i < 8; i++) {
            if (i < 6) {
                CHECK0(pthread_create(&t[i], NULL, one, (void *)i));
            } else {
                atomic_fetch_add(&detached, 1);
                CHECK0(pthread_create(&t[i], &a, one_detached, NULL));
            }
        }
        for (intptr_t i = 0; i < 6; i++) {
            void *r;
            CHECK0(pthread_join(t[i], &r));
            CHECK((intptr_t)r == i);
        }
        while (atomic_load(&detached) > 0) sched_yield();
        done += 8;
        if (done == 2000) early = resident_kb();
    }
    /* With a larger queue, as where spans are counted, more of them may wait in memory: the bound is the default's. */
    if (early && getenv("OTEL_BSP_MAX_QUEUE_SIZE") == NULL) CHECK(resident_kb() < early + 8192); /* bounded: nothing is kept per thread that has ended */
    CHECK(server_stop(&server) == done);
    return finish_range(1, done, 1, done);
}
