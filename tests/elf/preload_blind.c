/* A dynamic linker that finds nothing: dlsym(RTLD_NEXT) answers with the asker's own function (ELF_BLIND=own: somebody's wrong
 * dlsym hook) or with nothing, and so does dlsym of libc's handle, for every hook. The agent must then not call itself
 * in a circle, nor give an error of its own: calls go to the kernel as they came. dlopen itself is found, by libc's handle, and
 * so are the __*_chk forms, which no system call replaces. Lessons 36, 49; hooking 2. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const char *const hooks[] = {
#define HOOK(name) #name,
#include "hooks.def"
#undef HOOK
};

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name) {
    static void *(*real)(void *, const char *);
    static const char *how;
    if (real == NULL) {
        how = getenv("ELF_BLIND");
        real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
        if (real == NULL) real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
        if (real == NULL) abort();
    }
    int hidden = 0;
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) hidden |= strcmp(name, hooks[i]) == 0;
    if (!hidden || how == NULL || name[0] == '_') return real(handle, name);
    if (strcmp(how, "own") == 0) return handle == RTLD_NEXT ? real(RTLD_DEFAULT, name) : real(handle, name);
    return NULL;
}
