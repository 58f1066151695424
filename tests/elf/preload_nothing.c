/* A preload library that interposes every hook and does nothing: each is one indirect jump to the next
 * definition. It shows that a failure comes from the agent and not from interposition as such, and it is
 * the middle column of the benchmark. x86-64 only. The slots start at a stub that resolves them all, so
 * calls before our constructor work; jumps keep the caller's return address (dlopen, vfork). */
#ifndef __x86_64__
#error "preload_nothing is written for x86-64"
#endif
#define _GNU_SOURCE
#include <dlfcn.h>

#define HOOK(name)                                                                             \
    __asm__(".section .data.slots,\"aw\"\n.p2align 3\nslot_" #name ": .quad lazy_" #name "\n"  \
            ".text\n.globl " #name "\n.type " #name ",@function\n" #name ":\n"                 \
            "  jmp *slot_" #name "(%rip)\n.size " #name ",.-" #name "\n"                       \
            "lazy_" #name ":\n"                                                                \
            "  push %rax; push %rdi; push %rsi; push %rdx; push %rcx; push %r8; push %r9\n"    \
            "  call resolve_all\n"                                                             \
            "  pop %r9; pop %r8; pop %rcx; pop %rdx; pop %rsi; pop %rdi; pop %rax\n"           \
            "  jmp *slot_" #name "(%rip)\n");
#include "hooks.def"
#undef HOOK

#define HOOK(name) extern void *slot_##name __attribute__((visibility("hidden")));
#include "hooks.def"
#undef HOOK

__attribute__((constructor, used, visibility("hidden"))) void resolve_all(void) {
#define HOOK(name) slot_##name = dlsym(RTLD_NEXT, #name);
#include "hooks.def"
}
