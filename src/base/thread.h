/* SPDX-License-Identifier: MIT */
/* Threads as the library sees them: one pointer that belongs to the thread, its exit, and fork.
 * In the schedule build a fiber counts as a thread. */
#ifndef WEFT_BASE_THREAD_H
#define WEFT_BASE_THREAD_H

#include "base/platform.h"
#include "base/sched.h"
#include <pthread.h>

/* The C library knows whether a process has one thread. On x86-64, where what threads did that have
 * ended is seen without an acquire: glibc has none between their end and its word. */
#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define WEFT_KNOWS_SINGLE_THREAD 1
#endif
#endif

/* Initial-exec saves a call in the shared library. Not under a sanitizer: the linker turns the
 * addition of an initial-exec address into a lea, which leaves the flags that the check for NULL
 * looks at. */
#if defined(__SANITIZE_ADDRESS__)
#define WEFT_TLS_MODEL
#else
#define WEFT_TLS_MODEL __attribute__((tls_model("initial-exec")))
#endif

#if defined(WEFT_SCHED) && WEFT_SCHED
/* The calling thread's own pointer, NULL at first. Its address also identifies the thread. */
void **weft_thread_slot(void);
#else
extern __thread void *weft_thread_slot_value WEFT_TLS_MODEL;

static inline void **weft_thread_slot(void) {
    return &weft_thread_slot_value;
}
#endif

/* True: this is the only thread of the process, and stays so until it makes another one itself;
 * what others did before they ended can be seen. False: there may be others. */
static inline bool weft_thread_is_single(void) {
#if defined(WEFT_KNOWS_SINGLE_THREAD) && !(defined(WEFT_SCHED) && WEFT_SCHED)
    return __libc_single_threaded != 0;
#else
    return false;
#endif
}

/* A byte that is 1 while this is true, for code that is compiled into callers; NULL: unknown. */
static inline const unsigned char *weft_thread_single_flag(void) {
#if defined(WEFT_KNOWS_SINGLE_THREAD) && !(defined(WEFT_SCHED) && WEFT_SCHED)
    return (const unsigned char *)&__libc_single_threaded;
#else
    return NULL;
#endif
}

/* A thread of the library's own. It takes no signals: those are the program's. */
typedef struct weft_thread {
    pthread_t impl;
} weft_thread;

/* False without resources. */
bool weft_thread_start(weft_thread *thread, void *(*run)(void *ctx), void *ctx);
void weft_thread_join(weft_thread *thread);

/* Set the slot, and have `value` (not NULL) handed to the exit function when this thread ends, if
 * the slot is still not NULL then. False without memory: the slot is set, the thread's exit is not
 * noticed. */
bool weft_thread_set_slot(void *value);

/* The one function that is called on an exiting thread with what its slot holds; the slot is NULL
 * then, and may be set again by it, or by other exit functions of the program. False if the system
 * has no thread-specific key left. */
bool weft_thread_at_exit(void (*fn)(void *value));

/* Call fn in the child after each fork. False without memory. */
bool weft_thread_at_fork_child(void (*fn)(void));

#endif
