/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "base/sched.h"
#include <time.h>

static const weft_clock_hook *hook_now;

void weft_clock_set_hook(const weft_clock_hook *hook) {
    /* pairs with the acquire in hook_of */
    __atomic_store_n(&hook_now, hook, __ATOMIC_RELEASE);
}

static const weft_clock_hook *hook_of(void) {
    /* pairs with the release in weft_clock_set_hook */
    return __atomic_load_n(&hook_now, __ATOMIC_ACQUIRE);
}

static uint64_t read_ns(clockid_t id) {
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t weft_clock_monotonic_ns(void) {
    const weft_clock_hook *hook = hook_of();
    if (WEFT_UNLIKELY(hook != NULL) && hook->monotonic_ns) {
        return hook->monotonic_ns(hook->ctx);
    }
    if (weft_sched_inside()) {
        return weft_sched_steps() * UINT64_C(1000);
    }
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t weft_clock_wall_ms(void) {
    const weft_clock_hook *hook = hook_of();
    if (WEFT_UNLIKELY(hook != NULL) && hook->wall_ms) {
        return hook->wall_ms(hook->ctx);
    }
    return read_ns(CLOCK_REALTIME) / UINT64_C(1000000);
}
