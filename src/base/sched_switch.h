/* SPDX-License-Identifier: MIT */
/* Switching from one stack to another, for base/sched.c alone. On x86-64 by six registers and the
 * stack pointer; elsewhere, and with -DWEFT_SCHED_UCONTEXT=1, by ucontext. */
#ifndef WEFT_BASE_SCHED_SWITCH_H
#define WEFT_BASE_SCHED_SWITCH_H

#include "base/platform.h"

#if !defined(__x86_64__) && !defined(WEFT_SCHED_UCONTEXT)
#define WEFT_SCHED_UCONTEXT 1
#endif

#if defined(WEFT_SCHED_UCONTEXT) && WEFT_SCHED_UCONTEXT
#include <ucontext.h>
#endif

/* All zero: a context without a stack, which is what a caller's own thread needs. */
typedef struct weft_switch_context {
    void *stack;        /* lowest address, above the guard page; kept from one use to the next */
    const void *bottom; /* the stack that runs in this context, as the address sanitizer sees it */
    size_t size;
    void *fake; /* address sanitizer */
#if defined(WEFT_SCHED_UCONTEXT) && WEFT_SCHED_UCONTEXT
    ucontext_t saved;
#else
    void *saved; /* stack pointer */
#endif
} weft_switch_context;

/* Have `entry` run in this context at the next switch to it. False without memory for a stack. */
bool weft_switch_make(weft_switch_context *context, void (*entry)(void));
void weft_switch_free(weft_switch_context *context);
/* Go on in `to`; returns when something switches to `from`. */
void weft_switch(weft_switch_context *from, weft_switch_context *to);
/* The same for the last time: `from` is not gone back to. */
__attribute__((noreturn)) void weft_switch_leave(weft_switch_context *from,
                                                 weft_switch_context *to);
/* The first thing that an entry calls. */
void weft_switch_arrived(void);

#endif
