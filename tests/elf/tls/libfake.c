/* A library that has the functions of libssl and can be unloaded, which libssl cannot (DF_1_NODELETE). Its cipher is none. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct object { int fd, server; };
static char method[2];

void *TLS_client_method(void) { return &method[0]; }
void *TLS_server_method(void) { return &method[1]; }
void *SSL_CTX_new(void *m) { return m; }
void SSL_CTX_free(void *c) { (void)c; }
int SSL_CTX_use_certificate_file(void *c, const char *file, int type) { return c != NULL && file != NULL && type; }
int SSL_CTX_use_PrivateKey_file(void *c, const char *file, int type) { return c != NULL && file != NULL && type; }
void *SSL_new(void *c) {
    struct object *o = calloc(1, sizeof *o);
    if (o != NULL) *o = (struct object){-1, c == &method[1]};
    return o;
}
void SSL_free(void *o) { free(o); }
int SSL_set_fd(void *o, int fd) { return ((struct object *)o)->fd = fd, 1; }
int SSL_get_fd(void *o) { return ((struct object *)o)->fd; }
void *SSL_get_rbio(void *o) { return o; }
int SSL_is_server(void *o) { return ((struct object *)o)->server; }
int SSL_get_error(void *o, int result) { return o == NULL || result < 0 ? 5 : 6; }
int SSL_connect(void *o) { return o != NULL ? 1 : -1; }
int SSL_accept(void *o) { return o != NULL ? 1 : -1; }
int SSL_shutdown(void *o) { return shutdown(((struct object *)o)->fd, SHUT_WR) == 0 ? 1 : -1; }
int SSL_read(void *o, void *data, int len) {
    ssize_t n = read(((struct object *)o)->fd, data, (size_t)len);
    for (ssize_t i = 0; i < n; i++) ((unsigned char *)data)[i] ^= 0xa5;
    return (int)n;
}
int SSL_write(void *o, const void *data, int len) {
    unsigned char other[4096];
    size_t take = (size_t)len < sizeof other ? (size_t)len : sizeof other;
    for (size_t i = 0; i < take; i++) other[i] = ((const unsigned char *)data)[i] ^ 0xa5;
    return (int)write(((struct object *)o)->fd, other, take);
}
