/* A timer signal interrupts malloc and free at random points; its handler writes an HTTP request to one
 * socket, reads another's bytes and answers there. A hook that allocates or takes a lock dead-locks or
 * corrupts the heap here. Lesson 1 and rule 4 (async-signal-safe hooks), 35, 39. */
#include "http_min.h"
#include <sys/time.h>

static int client_fd, server_fd;
static volatile sig_atomic_t exchanges;

static void on_tick(int sig) {
    int e = errno;
    (void)sig;
    /* within one handler run both ends of one exchange: the loopback delivers at once, nothing blocks */
    http_send_get(client_fd, (enum out_way)(exchanges % OUT_WAYS), "/maybe/signal");
    CHECK(http_serve_one_ways(server_fd, (enum in_way)(exchanges % IN_WAYS), OUT_WRITE));
    http_expect_answer(client_fd, IN_READ, "/maybe/signal");
    exchanges = exchanges + 1;
    errno = e;
}

int main(int argc, char **argv) {
    int want = argc > 1 ? atoi(argv[1]) : 2000;
    void *block[64] = {0};
    unsigned x = 1;
    story(60);
    tcp_pair(&client_fd, &server_fd);
    int other[2];
    tcp_pair(&other[0], &other[1]);
    struct sigaction a = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    SYS(sigaction(SIGALRM, &a, NULL)); /* the deadline of the driver holds; ours is the count */
    alarm(0);
    SYS(setitimer(ITIMER_REAL, &(struct itimerval){{0, 500}, {0, 500}}, NULL));
    double give_up = now_s() + 50;
    for (int i = 0; exchanges < want; i++) {
        x = x * 1664525 + 1013904223;
        free(block[x >> 26]);
        block[x >> 26] = malloc(x >> 16 & 4095);
        CHECK(block[x >> 26] != NULL || (x >> 16 & 4095) == 0);
        if (i % 64 == 0) { /* and interrupts hooks in the middle of other connections */
            http_send_get(other[0], OUT_SEND, "/maybe/main");
            CHECK(http_serve_one(other[1]));
            http_expect_answer(other[0], IN_RECV, "/maybe/main");
        }
        if (i % 4096 == 0) CHECK(now_s() < give_up);
    }
    SYS(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL));
    for (int i = 0; i < 64; i++) free(block[i]);
    return finish_range(1, INT_MAX, 1, INT_MAX);
}
