/* SPDX-License-Identifier: MIT */
/* Design: each loop has a line with one word, `inside`, that only it writes. The gate has one
 * word, `closed`: 0, or the number of the loop that is or becomes exclusive, plus one.
 *
 * To enter, a loop sets its word and then looks at `closed`; to become exclusive it sets `closed`
 * and then looks at the words of the others. Both steps are sequentially consistent, so that at
 * least one of two loops sees the other: either the entering one finds the gate closed and steps
 * back, or the exclusive one finds it inside and waits.
 *
 * Two loops inside that both want to be alone cannot wait for each other: the one that loses the
 * race for `closed` clears its own word while it waits. That is no harm to it: its earlier
 * commands are done.
 *
 * A loop that leaves while the gate is closed wakes those who sleep. It reads `closed` with no
 * fence behind its store, so it may miss a gate that closes at this moment; therefore sleepers
 * look again after a millisecond at most. */
#include "server/gate.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "base/memory.h"

typedef struct gate_slot {
    uint64_t inside;
} WEFT_LINE_ALIGNED gate_slot;

struct weft_gate {
    uint64_t closed; /* 0, or 1 + the exclusive loop */
    uint32_t loops;
    weft_mutex mutex; /* for sleepers only */
    weft_cond changed;
    gate_slot slots[] WEFT_LINE_ALIGNED;
};

enum { SPINS = 200, YIELDS = 20, SLEEP_NS = 1000000 };

static size_t gate_bytes(uint32_t loops) {
    return sizeof(struct weft_gate) + loops * sizeof(gate_slot);
}

struct weft_gate *weft_gate_new(uint32_t loops) {
    struct weft_gate *gate = weft_memory_alloc(NULL, gate_bytes(loops), WEFT_CACHE_LINE);
    if (gate == NULL) {
        return NULL;
    }
    gate->closed = 0;
    gate->loops = loops;
    for (uint32_t i = 0; i < loops; i++) {
        gate->slots[i].inside = 0;
    }
    if (weft_mutex_init(&gate->mutex)) {
        if (weft_cond_init(&gate->changed)) {
            return gate;
        }
        weft_mutex_destroy(&gate->mutex);
    }
    weft_memory_free(NULL, gate, gate_bytes(loops), WEFT_CACHE_LINE);
    return NULL;
}

void weft_gate_free(struct weft_gate *gate) {
    if (gate == NULL) {
        return;
    }
    weft_cond_destroy(&gate->changed);
    weft_mutex_destroy(&gate->mutex);
    weft_memory_free(NULL, gate, gate_bytes(gate->loops), WEFT_CACHE_LINE);
}

/* Wait until *word is 0. Pairs with the release in step_out and weft_gate_leave: what was done
 * inside by the one that left is visible. */
static WEFT_COLD void wait_for_zero(struct weft_gate *gate, const uint64_t *word) {
    for (int turn = 0; weft_load_seq_cst(word) != 0; turn++) {
        if (turn < SPINS) {
            weft_pause();
        } else if (turn < SPINS + YIELDS) {
            weft_yield();
        } else {
            weft_mutex_lock(&gate->mutex);
            if (weft_load_seq_cst(word) != 0) {
                weft_cond_wait(&gate->changed, &gate->mutex, SLEEP_NS);
            }
            weft_mutex_unlock(&gate->mutex);
        }
    }
}

static WEFT_COLD void wake_sleepers(struct weft_gate *gate) {
    weft_mutex_lock(&gate->mutex);
    weft_cond_broadcast(&gate->changed);
    weft_mutex_unlock(&gate->mutex);
}

/* Not inside any more, while another loop closes the gate. */
static void step_out(struct weft_gate *gate, uint32_t loop) {
    /* pairs with the load in wait_for_zero of the exclusive loop */
    weft_store_release(&gate->slots[loop].inside, 0);
    wake_sleepers(gate);
    wait_for_zero(gate, &gate->closed);
}

void weft_gate_enter(struct weft_gate *gate, uint32_t loop) {
    for (;;) {
        weft_exchange_seq_cst(&gate->slots[loop].inside, 1);
        if (WEFT_LIKELY(weft_load_seq_cst(&gate->closed) == 0)) {
            return;
        }
        step_out(gate, loop);
    }
}

void weft_gate_leave(struct weft_gate *gate, uint32_t loop) {
    bool exclusive = weft_gate_is_exclusive(gate, loop);
    /* pairs with the load in wait_for_zero of a loop that becomes exclusive */
    weft_store_release(&gate->slots[loop].inside, 0);
    if (exclusive) {
        /* pairs with the load in weft_gate_enter, and the one in wait_for_zero */
        weft_store_release(&gate->closed, 0);
        wake_sleepers(gate);
    } else if (WEFT_UNLIKELY(weft_load_relaxed(&gate->closed) != 0)) {
        wake_sleepers(gate);
    }
}

void weft_gate_exclusive(struct weft_gate *gate, uint32_t loop) {
    if (weft_gate_is_exclusive(gate, loop)) {
        return;
    }
    uint64_t open = 0;
    while (!weft_cas_seq_cst(&gate->closed, &open, (uint64_t)loop + 1)) {
        step_out(gate, loop);
        open = 0;
    }
    weft_store_relaxed(&gate->slots[loop].inside, 1);
    for (uint32_t other = 0; other < gate->loops; other++) {
        if (other != loop) {
            wait_for_zero(gate, &gate->slots[other].inside);
        }
    }
}

bool weft_gate_is_exclusive(struct weft_gate *gate, uint32_t loop) {
    return weft_load_relaxed(&gate->closed) == (uint64_t)loop + 1;
}
