/* SPDX-License-Identifier: MIT */
#include "base/bias.h"

#include "base/lock.h"

/* Longer than any store stays unseen: a switch of threads or an interrupt ends it. */
enum { LONG_ENOUGH_NS = 10000000 };

void weft_bias_take(weft_bias *bias) {
    uint64_t owner = weft_load_relaxed(&bias->owner);
    if (owner == 0) {
        return;
    }
    weft_store_seq_cst(&bias->owner, 0);
    if (!weft_barrier_heavy()) {
        weft_sleep_ns(LONG_ENOUGH_NS);
    }
    /* Also an acquire: what the owner did inside. Pairs with weft_bias_leave. */
    while (weft_load_seq_cst(&bias->inside[owner & (WEFT_BIAS_TURNS - 1)]) != 0) {
        weft_yield();
    }
}

void weft_bias_give(weft_bias *bias) {
    uint32_t turn = weft_load_relaxed(&bias->given);
    if (WEFT_BARRIER_ASYMMETRIC && !weft_barrier_is_asymmetric()) {
        weft_store_release(&bias->given, WEFT_BIAS_TURNS); /* pairs with weft_bias_is_over */
    } else if (turn < WEFT_BIAS_TURNS) {
        uint64_t owner = (uint64_t)(uintptr_t)weft_thread_slot() | turn;
        weft_store_relaxed(&bias->owner, owner);
        weft_store_release(&bias->given, turn + 1); /* pairs with weft_bias_is_over */
    }
}
