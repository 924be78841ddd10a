/* SPDX-License-Identifier: MIT */
/* The clock seam. Inside the deterministic scheduler time is the number of steps, a microsecond
 * each. */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include "base/platform.h"

/* Nanoseconds since some moment in the past; never goes backwards. */
uint64_t weft_clock_monotonic_ns(void);

/* Milliseconds since 1970-01-01 00:00 UTC; may jump. */
uint64_t weft_clock_wall_ms(void);

/* For tests: take the time from functions of the caller's; a NULL function leaves that clock as it
 * is. The struct must stay alive until another hook, or NULL for none, is set. */
typedef struct weft_clock_hook {
    uint64_t (*monotonic_ns)(void *ctx);
    uint64_t (*wall_ms)(void *ctx);
    void *ctx;
} weft_clock_hook;

void weft_clock_set_hook(const weft_clock_hook *hook);

#endif
