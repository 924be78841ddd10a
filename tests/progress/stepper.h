/* SPDX-License-Identifier: MIT */
/* Runs a function one machine instruction at a time, on the calling thread, or up to one
 * instruction and no further. Instructions are counted from 1; one that repeats itself (rep stosb)
 * counts once, and so does a system call. */
#ifndef WEFT_TESTS_PROGRESS_STEPPER_H
#define WEFT_TESTS_PROGRESS_STEPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROGRESS_TRACE_MAX = 1 << 20 };

/* What a function did when nobody stopped it. */
typedef struct progress_trace {
    size_t count;      /* instructions, the return included */
    size_t outside;    /* of them, those of other libraries */
    bool cut;          /* there were more than PROGRESS_TRACE_MAX */
    uintptr_t *at;     /* at[k]: the program counter after k instructions */
    uint32_t *earlier; /* earlier[k]: how often it had been there before */
    uint32_t *last;    /* last[k]: when it was there last; UINT32_MAX for never */
} progress_trace;

typedef void (*progress_fn)(void *ctx);

/* Where to stop. `stopped` runs in a signal handler, after `step` instructions; when it returns the
 * function goes on. */
typedef struct progress_stop {
    const progress_trace *trace; /* NULL: count every step up to there, which is slow */
    size_t step;                 /* from 1 to less than the trace's count */
    void (*stopped)(void *ctx, uintptr_t pc);
    void *ctx;
} progress_stop;

/* Once, before the rest. NULL, or why this machine cannot step. */
const char *progress_stepper_start(void);

bool progress_trace_init(progress_trace *trace);
void progress_trace_free(progress_trace *trace);

/* One thread at a time is inside of these. */
void progress_run_traced(progress_trace *trace, progress_fn fn, void *ctx);
/* False: the function returned before it came there. */
bool progress_run_stopped(const progress_stop *stop, progress_fn fn, void *ctx);

/* Is the calling thread inside of one of them? */
bool progress_is_stepping(void);

#endif
