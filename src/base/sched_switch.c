/* SPDX-License-Identifier: MIT */
#include "base/sched_switch.h"

#if defined(WEFT_SCHED) && WEFT_SCHED

#include "base/assert.h"
#include <sys/mman.h>

#if defined(WEFT_ADDRESS_SANITIZER)
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_SIZE = 256 << 10, GUARD_SIZE = 4 << 10 };

/* The context that was left last on this thread: whoever arrives learns its stack from the
 * sanitizer. */
static __thread weft_switch_context *left;

static bool make_stack(weft_switch_context *context) {
    if (context->stack) {
        return true;
    }
    char *memory = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    if (mprotect(memory, GUARD_SIZE, PROT_NONE) != 0) {
        (void)munmap(memory, GUARD_SIZE + STACK_SIZE);
        return false;
    }
    context->stack = memory + GUARD_SIZE;
    context->bottom = context->stack;
    context->size = STACK_SIZE;
    return true;
}

void weft_switch_free(weft_switch_context *context) {
    if (context->stack) {
        (void)munmap((char *)context->stack - GUARD_SIZE, GUARD_SIZE + STACK_SIZE);
        context->stack = NULL;
    }
}

static void before_switch(weft_switch_context *from, weft_switch_context *to, bool last) {
    left = from;
#if defined(WEFT_ADDRESS_SANITIZER)
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->bottom, to->size);
#else
    (void)to;
    (void)last;
#endif
}

static void after_switch(weft_switch_context *self) {
#if defined(WEFT_ADDRESS_SANITIZER)
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(self ? self->fake : NULL, &bottom, &size);
    if (!left->stack) {
        left->bottom = bottom;
        left->size = size;
    }
#else
    (void)self;
#endif
}

void weft_switch_arrived(void) {
    after_switch(NULL);
}

#if defined(WEFT_SCHED_UCONTEXT) && WEFT_SCHED_UCONTEXT

bool weft_switch_make(weft_switch_context *context, void (*entry)(void)) {
    if (!make_stack(context) || getcontext(&context->saved) != 0) {
        return false;
    }
    context->saved.uc_stack.ss_sp = context->stack;
    context->saved.uc_stack.ss_size = STACK_SIZE;
    context->saved.uc_link = NULL;
    context->fake = NULL;
    makecontext(&context->saved, entry, 0);
    return true;
}

static void swap(weft_switch_context *from, weft_switch_context *to) {
    (void)swapcontext(&from->saved, &to->saved);
}

#else

/* Saves what the calling convention wants kept, and goes on where `*load` stopped. */
void weft_switch_stacks(void **save, void *load);
__asm__(".text\n"
        ".p2align 4\n"
        ".globl weft_switch_stacks\n"
        ".hidden weft_switch_stacks\n"
        ".type weft_switch_stacks, @function\n"
        "weft_switch_stacks:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size weft_switch_stacks, .-weft_switch_stacks\n");

enum { KEPT_REGISTERS = 6 };

/* The stack looks as if `entry` had been called from address 0 and had been about to run its first
 * instruction: the stack pointer is then 8 off a multiple of 16. */
bool weft_switch_make(weft_switch_context *context, void (*entry)(void)) {
    if (!make_stack(context)) {
        return false;
    }
    uintptr_t *top = (uintptr_t *)((char *)context->stack + STACK_SIZE);
    *--top = 0; /* the address that entry must not return to */
    *--top = (uintptr_t)entry;
    for (int i = 0; i < KEPT_REGISTERS; i++) {
        *--top = 0;
    }
    context->saved = top;
    context->fake = NULL;
    return true;
}

static void swap(weft_switch_context *from, weft_switch_context *to) {
    weft_switch_stacks(&from->saved, to->saved);
}

#endif

void weft_switch(weft_switch_context *from, weft_switch_context *to) {
    before_switch(from, to, false);
    swap(from, to);
    after_switch(from);
}

void weft_switch_leave(weft_switch_context *from, weft_switch_context *to) {
    before_switch(from, to, true);
    swap(from, to);
    __builtin_unreachable();
}

#endif
