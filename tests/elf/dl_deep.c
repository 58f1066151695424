/* Opened with RTLD_DEEPBIND: its own elf_clash must win over the program's. */
#include "dl_outer.c"
int elf_clash(void) { return 1; }
int deep_own_first(void) { return elf_clash(); }
