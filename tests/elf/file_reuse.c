/* stdio over sockets: fclose closes the descriptor inside libc, where no hook sees it; the number comes back
 * as a file, a pipe, or a socket that speaks something else. What the program then writes looks like an HTTP
 * request or answer and must arrive unaltered. Lessons 27, 30, 66. */
#include "http_min.h"

static void *serve(void *arg) { return (void *)(intptr_t)http_serve_connection(*(int *)arg); }
static int filler; /* takes the number of the listener, so that the connection's is the lowest free one */
static int exchange_over_stdio(void) {
    int c, s, number;
    char text[HTTP_MAX], got[HTTP_MAX];
    pthread_t t;
    void *served;
    tcp_pair(&c, &s);
    filler = SYS(dup(0));
    CHECK(filler < c);
    CHECK0(pthread_create(&t, NULL, serve, &s));
    FILE *f = fdopen(c, "r+");
    CHECK(f != NULL);
    size_t n = http_request_text(text, "/maybe/stdio"); /* libc-internal write: invisible to interposition */
    CHECK(fwrite(text, 1, n, f) == n && fflush(f) == 0);
    n = http_response_text(text, "/maybe/stdio");
    CHECK(fread(got, 1, n, f) == n && memcmp(got, text, n) == 0);
    http_get(c, "/maybe/direct"); /* visible again, in mid-connection */
    number = c;
    CHECK(fclose(f) == 0);
    CHECK0(pthread_join(t, &served));
    CHECK((intptr_t)served == 2);
    return number;
}

int main(void) {
    static const char request[] = "GET /reused HTTP/1.1\r\nHost: file\r\nContent-Length: 0\r\n\r\n";
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    char got[256];
    story(30);
    for (int round = 0; round < 50; round++) {
        int number = exchange_over_stdio();
        int file = SYS(memfd_create("reused", 0));
        CHECK(file == number); /* the lowest number is the one just closed behind the hooks' back */
        CHECK(write(file, request, sizeof request) == sizeof request);
        CHECK(writev(file, (struct iovec[]){{(void *)(uintptr_t)answer, sizeof answer}}, 1) == sizeof answer);
        CHECK(pread(file, got, sizeof got, 0) == sizeof request + sizeof answer);
        CHECK(memcmp(got, request, sizeof request) == 0 && memcmp(got + sizeof request, answer, sizeof answer) == 0);
        SYS(close(file));
        SYS(close(filler));

        number = exchange_over_stdio();
        int p[2];
        SYS(pipe(p));
        CHECK(p[0] == number || p[1] == number);
        CHECK(write(p[1], request, sizeof request) == sizeof request);
        CHECK(read(p[0], got, sizeof got) == sizeof request && memcmp(got, request, sizeof request) == 0);
        SYS(close(p[0]));
        SYS(close(p[1]));
        SYS(close(filler));

        number = exchange_over_stdio();
        int u[2];
        SYS(socketpair(AF_UNIX, SOCK_DGRAM, 0, u)); /* messages: a longer one would be seen at once */
        CHECK(u[0] == number || u[1] == number);
        CHECK(send(u[0], request, sizeof request, 0) == sizeof request);
        CHECK(recv(u[1], got, sizeof got, 0) == sizeof request && memcmp(got, request, sizeof request) == 0);
        SYS(close(u[0]));
        SYS(close(u[1]));
        SYS(close(filler));
    }
    return finish_range(300, 300, 0, 300); /* requests inside libc cannot be seen, their answers tell the server side */
}
