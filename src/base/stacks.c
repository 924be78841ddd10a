/* SPDX-License-Identifier: MIT */
/* The other thread is asked by a signal: its handler takes the stack into a buffer that was there
 * before, says so, and stays there, so that the thread does no more harm until the process aborts.
 * The unwinder is loaded by the first call of backtrace, which allocates: so whoever asks takes its
 * own stack first. */
#include "base/stacks.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/thread.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<execinfo.h>)
#define HAS_BACKTRACE 1
#include <execinfo.h>
#endif
#endif

enum { LOOK_AGAIN_NS = 100000, LINE_MAX = 400 };

static struct {
    weft_stack *stack;
    uint32_t task;
    uint32_t answered;
} asked;

uint32_t weft_task_id(void) {
    return (uint32_t)syscall(SYS_gettid);
}

void weft_task_name(uint32_t task, char name[WEFT_TASK_NAME_SIZE]) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%u/comm", task);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? 0 : read(file, name, WEFT_TASK_NAME_SIZE);
    if (file >= 0) {
        (void)close(file);
    }
    if (size <= 0) {
        memcpy(name, "?", sizeof "?");
    } else {
        name[size - 1] = '\0'; /* in place of the line's end */
    }
}

void weft_stack_take(weft_stack *stack) {
    stack->slot = *weft_thread_slot();
    stack->count = 0;
#ifdef HAS_BACKTRACE
    stack->count = backtrace(stack->frames, WEFT_STACK_FRAMES);
#endif
}

static void on_signal(int number) {
    (void)number;
    /* Acquire: what is asked for. Pairs with the release in weft_stack_stop. */
    if (weft_load_acquire(&asked.task) != weft_task_id()) {
        return;
    }
    weft_stack_take(asked.stack);
    weft_store_release(&asked.answered, 1); /* pairs with the acquire in weft_stack_stop */
    for (;;) {
        (void)pause();
    }
}

int weft_stack_signal(void) {
    return SIGRTMAX;
}

weft_stack_answer weft_stack_stop(uint32_t task, uint64_t timeout_ns, weft_stack *stack) {
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigfillset(&action.sa_mask);
    stack->count = 0;
    stack->slot = NULL;
    asked.stack = stack;
    weft_store_release(&asked.task, task); /* pairs with the acquire in on_signal */
    if (sigaction(weft_stack_signal(), &action, NULL) != 0) {
        return WEFT_STACK_SILENT;
    }
    if (syscall(SYS_tgkill, getpid(), task, weft_stack_signal()) != 0) {
        return errno == ESRCH ? WEFT_STACK_ENDED : WEFT_STACK_SILENT;
    }
    /* Counted, not timed: a test may have stopped the clock. */
    for (uint64_t rounds = timeout_ns / LOOK_AGAIN_NS; rounds != 0; rounds--) {
        if (weft_load_acquire(&asked.answered) != 0) { /* pairs with the release in on_signal */
            return WEFT_STACK_TAKEN;
        }
        weft_sleep_ns(LOOK_AGAIN_NS);
    }
    return WEFT_STACK_SILENT;
}

void weft_report_line(const char *format, ...) {
    char line[LINE_MAX];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size > 0) {
        (void)!write(STDERR_FILENO, line, size < LINE_MAX ? (size_t)size : LINE_MAX - 1);
    }
}

void weft_report_stack(const weft_stack *stack) {
#ifdef HAS_BACKTRACE
    backtrace_symbols_fd(stack->frames, stack->count, STDERR_FILENO);
#else
    (void)stack;
    weft_report_line("(the C library takes no stacks)\n");
#endif
}

void weft_report_end(void) {
    abort();
}
