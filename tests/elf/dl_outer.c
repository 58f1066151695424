/* Opens a library by bare name, which works only while the loader sees *this* object as the caller
 * (RUNPATH $ORIGIN/inner), and one by a path with $ORIGIN. Its socket calls are those of a late library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/socket.h>
void *outer_open(const char *name, int flags) {
    void *h = dlopen(name, flags);
    __asm__ volatile("" ::: "memory"); /* keeps the call a call */
    return h;
}
long outer_send(int fd, const void *data, size_t len) { return send(fd, data, len, MSG_NOSIGNAL); }
long outer_recv(int fd, void *data, size_t len) { return recv(fd, data, len, 0); }
