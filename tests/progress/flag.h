/* SPDX-License-Identifier: MIT */
/* A word that one thread sets and others sleep on. It may be used in a signal handler, and it takes
 * no lock: a thread that stands still keeps nobody from it. */
#ifndef WEFT_TESTS_PROGRESS_FLAG_H
#define WEFT_TESTS_PROGRESS_FLAG_H

#include "base/atomic.h"
#include "base/clock.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_SECOND UINT64_C(1000000000)

static inline void progress_flag_wake(uint32_t *flag) {
    (void)syscall(SYS_futex, flag, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static inline void progress_flag_set(uint32_t *flag, uint32_t value) {
    weft_store_seq_cst(flag, value);
    progress_flag_wake(flag);
}

/* Sleeps while the flag has this value. False: it still has, after so many nanoseconds. */
static inline bool progress_flag_await(uint32_t *flag, uint32_t value, uint64_t timeout_ns) {
    uint64_t end = weft_clock_monotonic_ns() + timeout_ns;
    while (weft_load_seq_cst(flag) == value) {
        uint64_t now = weft_clock_monotonic_ns();
        if (now >= end) {
            return false;
        }
        struct timespec left = {.tv_sec = (time_t)((end - now) / PROGRESS_SECOND),
                                .tv_nsec = (long)((end - now) % PROGRESS_SECOND)};
        (void)syscall(SYS_futex, flag, FUTEX_WAIT_PRIVATE, value, &left, NULL, 0);
    }
    return true;
}

#endif
