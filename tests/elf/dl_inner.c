/* Found only through the RUNPATH of dl_outer.c: whoever calls dlopen("libdl_inner.so") must be seen as that caller. */
#include <unistd.h>
int inner_answer(void) { return getpid() > 0 ? 42 : 0; }
