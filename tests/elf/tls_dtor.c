/* HTTP from the destructor of a C++ thread_local object (tls_object.cc) and from a pthread key destructor,
 * 200 threads: the agent's per-thread state may be gone by then and must not be made again or leaked. Lesson 38. */
#include "http_min.h"

static struct server server;
static pthread_key_t key;
void touch_thread_local(void);
void farewell(void) { http_call(server.port, "/maybe/thread-local"); }
static void key_gone(void *value) {
    CHECK(value == &key);
    http_call(server.port, "/maybe/key");
}
static void *run(void *arg) {
    touch_thread_local();
    CHECK0(pthread_setspecific(key, arg));
    http_call(server.port, "/thread");
    return NULL;
}
int main(void) {
    story(30);
    server_start(&server);
    CHECK0(pthread_key_create(&key, key_gone));
    for (int i = 0; i < 50; i++) {
        pthread_t t[4];
        for (int k = 0; k < 4; k++) CHECK0(pthread_create(&t[k], NULL, run, &key));
        for (int k = 0; k < 4; k++) CHECK0(pthread_join(t[k], NULL));
    }
    CHECK(server_stop(&server) == 600);
    return finish_range(200, 600, 200, 600);
}
