/* SPDX-License-Identifier: MIT */
#include "base/barrier.h"

int weft_barrier_mode_now;

#if WEFT_BARRIER_ASYMMETRIC

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool membarrier(int command) {
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* Two threads that decide at once come to the same answer. A light side that still sees UNKNOWN
 * makes a full fence, which is right beside either kind of heavy side. */
static int decide(void) {
    bool offered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    int expected = WEFT_BARRIER_UNKNOWN;
    int mode = offered ? WEFT_BARRIER_MEMBARRIER : WEFT_BARRIER_FENCES;
    if (__atomic_compare_exchange_n(&weft_barrier_mode_now, &expected, mode, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        return mode;
    }
    return expected;
}

__attribute__((constructor)) static void decide_at_start(void) {
    (void)decide();
}

bool weft_barrier_heavy(void) {
    int mode = __atomic_load_n(&weft_barrier_mode_now, __ATOMIC_SEQ_CST);
    if (WEFT_UNLIKELY(mode == WEFT_BARRIER_UNKNOWN)) {
        mode = decide();
    }
    if (mode == WEFT_BARRIER_FENCES) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return true;
    }
    if (WEFT_LIKELY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))) {
        return true;
    }
    /* A child of fork may have lost the registration. */
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
           membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

#else

bool weft_barrier_heavy(void) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return true;
}

#endif

bool weft_barrier_is_asymmetric(void) {
    return WEFT_BARRIER_ASYMMETRIC &&
           __atomic_load_n(&weft_barrier_mode_now, __ATOMIC_RELAXED) == WEFT_BARRIER_MEMBARRIER;
}
