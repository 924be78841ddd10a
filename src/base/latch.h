/* SPDX-License-Identifier: MIT */
/* A lock for sections of some tens of nanoseconds: one locked instruction to take it, a plain store
 * to let it go. Whoever cannot have it spins for a moment, then sleeps. Not recursive, not fair.
 *
 * It counts its holders. So who only reads need not take it: the count is even before the reads and
 * the same after them, then nobody was in meanwhile (a sequence lock). docs/design/locks.md.
 *
 * Zero is a free latch. */
#ifndef WEFT_BASE_LATCH_H
#define WEFT_BASE_LATCH_H

#include "base/atomic.h"
#include "base/barrier.h"

typedef struct weft_latch {
    uint64_t turns;    /* odd: held. Two for each holder: never the same again */
    uint32_t sleepers; /* threads that sleep, or are about to */
} weft_latch;

enum { WEFT_LATCH_HELD = 1 };

/* The rare parts. */
void weft_latch_wait(weft_latch *latch);
void weft_latch_wake(weft_latch *latch);

static WEFT_ALWAYS_INLINE bool weft_latch_is_held(const weft_latch *latch) {
    return (weft_load_relaxed(&latch->turns) & WEFT_LATCH_HELD) != 0;
}

static WEFT_ALWAYS_INLINE bool weft_latch_try(weft_latch *latch) {
    /* Acquire: what the holder before did. Pairs with the release in weft_latch_unlock.
     * Sequentially consistent: before the epoch is loaded for what this holder retires. */
    return (weft_fetch_or_seq_cst(&latch->turns, (uint64_t)WEFT_LATCH_HELD) & WEFT_LATCH_HELD) == 0;
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
    uint64_t next = weft_load_relaxed(&latch->turns) + 1;
#if WEFT_BARRIER_ASYMMETRIC
    /* Pairs with the acquire in weft_latch_try, and in weft_latch_watch. */
    weft_store_release(&latch->turns, next);
    weft_barrier_light(); /* pairs with weft_barrier_heavy in weft_latch_wait */
#else
    weft_store_seq_cst(&latch->turns, next);
#endif
    if (WEFT_UNLIKELY(weft_load_relaxed(&latch->sleepers) != 0)) {
        weft_latch_wake(latch);
    }
}

/* For who reads without the latch: what weft_latch_is_undisturbed takes. What the reads may find
 * changed under their hands is stored by releases, and loaded by acquires. */
static WEFT_ALWAYS_INLINE uint64_t weft_latch_watch(const weft_latch *latch) {
    /* Acquire: what the last holder did. Pairs with the release in weft_latch_unlock. */
    return weft_load_acquire(&latch->turns);
}

/* In place of what weft_latch_watch returns: nobody can take it since then. */
#define WEFT_LATCH_NEVER UINT64_MAX

/* Take it if nobody has held it since it was seen undisturbed: then what was read is so still. */
static WEFT_ALWAYS_INLINE bool weft_latch_take_since(weft_latch *latch, uint64_t since) {
    uint64_t turns = since;
#if WEFT_MUTANT == 57 /* locks what has changed since it looked */
    return weft_latch_lock(latch);
#endif
    /* Orders as in weft_latch_try. */
    return weft_cas_seq_cst(&latch->turns, &turns, since + 1);
}

/* Nobody has held it from then until the last acquire before this: what was loaded in between
 * belongs together. */
static WEFT_ALWAYS_INLINE bool weft_latch_is_undisturbed(const weft_latch *latch, uint64_t since) {
#if WEFT_MUTANT == 58 /* believes in what it saw while others wrote */
    (void)latch;
    return (since & WEFT_LATCH_HELD) == 0;
#else
    /* Of who has seen a holder's store by an acquire, this sees that it holds, or has held. */
    return WEFT_LIKELY(weft_load_relaxed(&latch->turns) == (since & ~(uint64_t)WEFT_LATCH_HELD));
#endif
}

#endif
