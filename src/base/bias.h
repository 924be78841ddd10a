/* SPDX-License-Identifier: MIT */
/* A lock's bias to one thread, its owner, which goes in and out with plain stores as long as no
 * other thread comes. Another thread first takes the lock behind the bias, then the bias away.
 * docs/design/locks.md.
 *
 * Zero is a bias to nobody. */
#ifndef WEFT_BASE_BIAS_H
#define WEFT_BASE_BIAS_H

#include "base/atomic.h"
#include "base/barrier.h"
#include "base/thread.h"

enum { WEFT_BIAS_TURNS = 8 };

typedef struct weft_bias {
    uint64_t owner;                   /* a thread's slot, and its turn; 0: nobody's */
    uint32_t given;                   /* turns; a lock that changes hands more often has no bias */
    uint32_t inside[WEFT_BIAS_TURNS]; /* 1: the owner of this turn is; only it writes here */
} weft_bias;

/* Not NULL if this thread is the owner: then it is inside, until weft_bias_leave. */
static WEFT_ALWAYS_INLINE uint32_t *weft_bias_enter(weft_bias *bias) {
    uint64_t me = (uintptr_t)weft_thread_slot();
    uint64_t owner = weft_load_relaxed(&bias->owner);
    if ((owner ^ me) >= WEFT_BIAS_TURNS) {
        return NULL;
    }
    uint32_t *inside = &bias->inside[owner & (WEFT_BIAS_TURNS - 1)];
    /* Acquire: an address may be that of a thread that has ended, which was inside before. Pairs
     * with weft_bias_leave. */
    (void)weft_load_acquire(inside);
#if WEFT_BARRIER_ASYMMETRIC
    weft_store_relaxed(inside, 1);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* pairs with weft_barrier_heavy in weft_bias_take */
    bool mine = weft_load_relaxed(&bias->owner) == owner;
#else
    weft_store_seq_cst(inside, 1);
    bool mine = weft_load_seq_cst(&bias->owner) == owner;
#endif
    if (WEFT_UNLIKELY(!mine)) {
        weft_store_release(inside, 0); /* pairs with the load in weft_bias_take */
        return NULL;
    }
    return inside;
}

static WEFT_ALWAYS_INLINE void weft_bias_leave(uint32_t *inside) {
    weft_store_release(inside, 0); /* pairs with the load in weft_bias_take */
}

/* The following are for a thread that has the lock behind the bias alone. */

/* Take the bias away, and wait until the owner is out. The caller keeps the lock until it has done
 * what it came for. */
void weft_bias_take(weft_bias *bias);

/* Nobody has it: give it to the calling thread, if it is not given too often, and if another one
 * could take it away by a heavy barrier. */
void weft_bias_give(weft_bias *bias);

/* For any thread: nobody has the bias, and nobody will get it. */
static inline bool weft_bias_is_over(weft_bias *bias) {
#if WEFT_MUTANT == 51 /* the bias looks over while it is given for the last time */
    return weft_load_relaxed(&bias->owner) == 0 &&
           weft_load_relaxed(&bias->given) == WEFT_BIAS_TURNS;
#endif
    /* Acquire: the last owner is seen with its turn. Pairs with the release in weft_bias_give. */
    return weft_load_acquire(&bias->given) == WEFT_BIAS_TURNS &&
           weft_load_relaxed(&bias->owner) == 0;
}

#endif
