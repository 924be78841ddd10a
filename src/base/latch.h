/* SPDX-License-Identifier: MIT */
/* A lock of 8 bytes for sections of some tens of nanoseconds: one locked instruction to take it, a
 * plain store to let it go. Whoever cannot have it spins for a moment, then sleeps. Not recursive,
 * not fair. docs/design/locks.md.
 *
 * Zero is a free latch. */
#ifndef WEFT_BASE_LATCH_H
#define WEFT_BASE_LATCH_H

#include "base/atomic.h"
#include "base/barrier.h"

typedef struct weft_latch {
    uint32_t held;     /* 1: held */
    uint32_t sleepers; /* threads that sleep, or are about to */
} weft_latch;

/* The rare parts. */
void weft_latch_wait(weft_latch *latch);
void weft_latch_wake(weft_latch *latch);

static WEFT_ALWAYS_INLINE bool weft_latch_try(weft_latch *latch) {
    uint32_t free = 0;
    /* Acquire: what the holder before did. Pairs with the release in weft_latch_unlock. */
    return weft_cas_acq_rel(&latch->held, &free, 1);
}

/* False: it was held, so that this took a while. */
static WEFT_ALWAYS_INLINE bool weft_latch_lock(weft_latch *latch) {
    if (WEFT_LIKELY(weft_latch_try(latch))) {
        return true;
    }
    weft_latch_wait(latch);
    return false;
}

static WEFT_ALWAYS_INLINE void weft_latch_unlock(weft_latch *latch) {
#if WEFT_BARRIER_ASYMMETRIC
    weft_store_release(&latch->held, 0); /* pairs with the acquire in weft_latch_try */
    weft_barrier_light();                /* pairs with weft_barrier_heavy in weft_latch_wait */
#else
    weft_store_seq_cst(&latch->held, 0);
#endif
    if (WEFT_UNLIKELY(weft_load_relaxed(&latch->sleepers) != 0)) {
        weft_latch_wake(latch);
    }
}

#endif
