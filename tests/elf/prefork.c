/* A prefork server: four workers accept on one inherited listening socket, the parent is the client. Later
 * the workers are replaced, and at last a worker dies by SIGTERM's default. Lessons 1, 3, 6, 32, 82. */
#include "http_min.h"

static pid_t worker(int l, int rounds) {
    pid_t pid = SYS(fork());
    if (pid != 0) return pid;
    child_story(60);
    for (int i = 0; i < rounds; i++) {
        int fd = SYS(accept(l, NULL, NULL));
        CHECK(http_serve_connection(fd) == 3);
    }
    exit(0); /* through atexit, with stdio buffers of the parent already empty */
}

int main(void) {
    int port, requests = 0, rounds = 10;
    story(60);
    int l = listen_loopback(&port);
    fflush(stdout);
    for (int generation = 0; generation < 5; generation++) {
        pid_t w[4];
        for (int i = 0; i < 4; i++) w[i] = worker(l, rounds);
        for (int i = 0; i < 4 * rounds; i++) {
            int fd = dial(port);
            for (int k = 0; k < 3; k++, requests++) http_get(fd, "/prefork");
            SYS(close(fd));
        }
        for (int i = 0; i < 4; i++) reap(w[i]);
    }
    int status;
    pid_t last = worker(l, 2); /* waits for a second connection that never comes */
    int fd = dial(port);
    for (int k = 0; k < 3; k++, requests++) http_get(fd, "/prefork");
    SYS(close(fd));
    SYS(kill(last, SIGTERM));
    CHECK(waitpid(last, &status, 0) == last && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    return finish_range(requests - 3, requests, requests, requests);
}
