/* Opens that library late, from two threads at once, while HTTP goes on: a guard held across dlopen would
 * hide its constructor's request, a lock would dead-lock. Lessons 35, 47. */
#include "http_min.h"
#include <dlfcn.h>

static char path[PATH_MAX + 32];
static void *open_it(void *arg) {
    void *h = dlopen(path, RTLD_NOW);
    CHECK(h != NULL && *(int *)dlsym(h, "libctor_ran") == 1);
    CHECK(dlclose(h) == 0);
    return arg;
}
int main(void) {
    struct server s = {0};
    pthread_t t[2];
    story(30);
    SYS(readlink("/proc/self/exe", path, PATH_MAX));
    strcpy(strrchr(path, '/') + 1, "libctor.so");
    server_start(&s);
    for (int i = 0; i < 2; i++) CHECK0(pthread_create(&t[i], NULL, open_it, NULL));
    for (int i = 0; i < 50; i++) http_call(s.port, "/meanwhile");
    for (int i = 0; i < 2; i++) CHECK0(pthread_join(t[i], NULL));
    open_it(NULL);
    CHECK(server_stop(&s) == 50);
    return finish_range(52, 56, 52, 56); /* constructor and destructor of one, two or three loads */
}
