/* After some HTTP the process sleeps: threads other than its own may wake up only now and then, and its own
 * sleep is neither cut short nor interrupted. Lessons 41, 114. */
#include "http_min.h"
#include <dirent.h>

static long wakeups_of_others(void) {
    long sum = 0;
    DIR *d = opendir("/proc/self/task");
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[64], line[128];
        if (e->d_name[0] == '.' || atoi(e->d_name) == getpid()) continue;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/status", e->d_name);
        FILE *f = fopen(path, "r");
        CHECK(f != NULL);
        while (fgets(line, sizeof line, f))
            if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0) sum += atol(line + 24);
        fclose(f);
    }
    closedir(d);
    return sum;
}

int main(void) {
    int c, s;
    story(30);
    tcp_pair(&c, &s);
    for (int i = 0; i < 10; i++) {
        http_send_get(c, OUT_WRITE, "/idle");
        CHECK(http_serve_one(s));
        http_expect_answer(c, IN_READ, "/idle");
    }
    /* let the exporter finish what it has: until it is quiet for 300 ms, or 8 s have passed */
    struct timespec nap = {0, 300000000}, left = {9, 9};
    for (double end = now_s() + 8; now_s() < end;) {
        long before = wakeups_of_others();
        CHECK(nanosleep(&nap, &left) == 0 && left.tv_sec == 9);
        if (wakeups_of_others() - before < 4) break;
    }
    long before = wakeups_of_others();
    double t = now_s();
    CHECK(sleep(2) == 0 && now_s() - t >= 2);
    long n = wakeups_of_others() - before;
    if (n > 20) fprintf(stderr, "%ld wake-ups in 2 s\n", n);
    CHECK(n <= 20);
    return finish(10, 10);
}
