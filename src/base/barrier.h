/* SPDX-License-Identifier: MIT */
/* Asymmetric fences: the frequent side pays nothing, the rare side makes every running thread of
 * the process execute a full fence (membarrier, as in liburcu).
 *
 * A pair of light and heavy is as strong as a pair of full fences. Where WEFT_BARRIER_ASYMMETRIC is
 * 0 (thread sanitizer, schedule build) there are no fences that the tool would understand: light
 * does nothing beyond the compiler, and callers use sequentially consistent stores and loads
 * instead. */
#ifndef WEFT_BASE_BARRIER_H
#define WEFT_BASE_BARRIER_H

#include "base/platform.h"

#if defined(WEFT_THREAD_SANITIZER) || (defined(WEFT_SCHED) && WEFT_SCHED) || !defined(__linux__)
#define WEFT_BARRIER_ASYMMETRIC 0
#else
#define WEFT_BARRIER_ASYMMETRIC 1
#endif

/* Unknown until the first heavy barrier or the library's start, then for ever one of the other two.
 */
typedef enum weft_barrier_mode {
    WEFT_BARRIER_UNKNOWN = 0,
    WEFT_BARRIER_MEMBARRIER = 1,
    WEFT_BARRIER_FENCES = 2, /* the kernel offers no membarrier: both sides are full fences */
} weft_barrier_mode;

extern int weft_barrier_mode_now __attribute__((visibility("hidden")));

/* The frequent side. */
static inline void weft_barrier_light(void) {
#if WEFT_BARRIER_ASYMMETRIC
    if (WEFT_LIKELY(__atomic_load_n(&weft_barrier_mode_now, __ATOMIC_RELAXED) ==
                    WEFT_BARRIER_MEMBARRIER)) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } else {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
#else
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
}

/* The same, where it is known to cost nothing. */
static inline void weft_barrier_light_free(void) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The rare side. False, which only a filter of system calls that was installed later can cause:
 * other threads were not made to fence; the caller must not rely on having seen their light side.
 */
bool weft_barrier_heavy(void);

/* Does light cost nothing at this moment? */
bool weft_barrier_is_asymmetric(void);

#endif
