/* The event loop of libevent: its HTTP server and client.  libevent PORT UPSTREAM
 *
 * GET /direct?id=N calls /echo?id=N&delay=20 upstream at once, /timer from a timer, and answers when the answer is there. */
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct event_base *base;
static int upstream;

struct job {
    struct evhttp_request *from;
    char path[128];
};

static void answered(struct evhttp_request *to, void *arg) {
    struct evhttp_request *from = arg;
    evhttp_send_reply(from, to && evhttp_request_get_response_code(to) == 200 ? 200 : 502, "Done", NULL);
}

static void call(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct job *job = arg;
    struct evhttp_connection *connection = evhttp_connection_base_new(base, NULL, "127.0.0.1", (unsigned short)upstream);
    evhttp_connection_free_on_completion(connection);
    struct evhttp_request *to = evhttp_request_new(answered, job->from);
    evhttp_add_header(evhttp_request_get_output_headers(to), "Host", "up");
    evhttp_add_header(evhttp_request_get_output_headers(to), "Connection", "close");
    if (evhttp_make_request(connection, to, EVHTTP_REQ_GET, job->path)) exit(1);
    free(job);
}

static void asked(struct evhttp_request *from, void *arg) {
    (void)arg;
    const char *uri = evhttp_request_get_uri(from), *id = strstr(uri, "id=");
    if (!id) {
        evhttp_send_reply(from, 200, "Ok", NULL);
        return;
    }
    struct job *job = malloc(sizeof *job);
    job->from = from;
    snprintf(job->path, sizeof job->path, "/echo?%s&delay=20", id);
    if (!strncmp(uri, "/timer", 6)) {
        struct timeval wait = {.tv_usec = 5000 + atoi(id + 3) % 7 * 5000};
        event_base_once(base, -1, EV_TIMEOUT, call, job, &wait);
    } else {
        call(-1, 0, job);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    base = event_base_new();
    upstream = atoi(argv[2]);
    struct evhttp *server = evhttp_new(base);
    evhttp_set_gencb(server, asked, NULL);
    if (evhttp_bind_socket(server, "127.0.0.1", (unsigned short)atoi(argv[1]))) return 1;
    return event_base_dispatch(base);
}
