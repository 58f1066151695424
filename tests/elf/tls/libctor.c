/* Loads libssl from its constructor. */
#include <dlfcn.h>
#include <stddef.h>

static void *handle;
__attribute__((constructor)) static void load(void) { handle = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL); }
void *loaded(void);
void *loaded(void) { return handle; }
