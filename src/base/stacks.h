/* SPDX-License-Identifier: MIT */
/* The report of a program that is about to abort: lines, and the stacks of threads. */
#ifndef WEFT_BASE_STACKS_H
#define WEFT_BASE_STACKS_H

#include "base/platform.h"

enum { WEFT_STACK_FRAMES = 48, WEFT_TASK_NAME_SIZE = 16 };

typedef struct weft_stack {
    void *slot; /* what weft_thread_slot holds in that thread */
    int count;
    void *frames[WEFT_STACK_FRAMES];
} weft_stack;

typedef enum weft_stack_answer {
    WEFT_STACK_TAKEN,
    WEFT_STACK_ENDED,  /* there is no such thread any more */
    WEFT_STACK_SILENT, /* it did not answer in time: perhaps it blocks the signal */
} weft_stack_answer;

/* The kernel's number of this thread. */
uint32_t weft_task_id(void);
/* The name of a thread of this process, as pthread_setname_np gave it; "?" if it has ended. */
void weft_task_name(uint32_t task, char name[WEFT_TASK_NAME_SIZE]);

/* The stack of this thread; the first call may allocate. */
void weft_stack_take(weft_stack *stack);
/* Stop another thread where it is, for good, and take its stack there. Takes the signal
 * weft_stack_signal() away from whoever has it. One caller in a process. */
weft_stack_answer weft_stack_stop(uint32_t task, uint64_t timeout_ns, weft_stack *stack);
int weft_stack_signal(void);

/* To stderr, all three; without the heap and stdio, which may be damaged. Long lines are cut. */
__attribute__((format(printf, 1, 2))) void weft_report_line(const char *format, ...);
void weft_report_stack(const weft_stack *stack); /* a line a frame */
__attribute__((noreturn)) void weft_report_end(void);

#endif
