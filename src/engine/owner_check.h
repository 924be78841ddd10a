/* SPDX-License-Identifier: MIT */
/* Engine "owner": how it notices that two threads use a map at the same time.
 *
 * One word says who wrote last, and what it is at: each write sets that before it looks for its
 * key, and takes it back when it has changed the table. So a thread that begins an operation sees
 * that somebody is writing; and a write that ends sees, in the debug build, that somebody else has
 * begun. None of this can be seen where one operation ends before the next one begins: what is
 * noticed is always misuse. No locked instruction and no fence: of two threads that really run at
 * once each one's stores reach the other in the end, so misuse that goes on is noticed soon, and
 * not always at the first operation. A write compares the word with what it is where this thread
 * wrote last and is done; lookups look at its byte that says what the writer is at.
 *
 * Two threads that share a processor meet inside an operation only if the kernel stops one there.
 * So the first writes that find that another thread was the last one to write stay busy for a
 * moment and give the processor away. If several threads use the map in turns, as they may, that
 * costs some microseconds at its first 64 changes of hands, and at each 1024th one after that.
 */
#ifndef WEFT_ENGINE_OWNER_CHECK_H
#define WEFT_ENGINE_OWNER_CHECK_H

#include "base/thread.h"
#include "engine/engine.h"

/* 0 only to measure what the check costs. */
#ifndef WEFT_OWNER_CHECK
#define WEFT_OWNER_CHECK 1
#endif

/* What a thread is at. */
typedef enum weft_owner_op {
    WEFT_OWNER_WRITE,   /* 0, and the next 1: a find turns one into the other by position->hold */
    WEFT_OWNER_NOTHING, /* not busy: what inlined lookups want to see */
    WEFT_OWNER_RESERVE,
    WEFT_OWNER_SHRINK,
    WEFT_OWNER_MAINTAIN,
    WEFT_OWNER_LOOK, /* from here on: never in the word */
    WEFT_OWNER_WALK,
    WEFT_OWNER_OPS,
} weft_owner_op;

enum { WEFT_OWNER_OP_BITS = 8 };

typedef struct weft_owner_use {
    union {
        uint32_t state; /* the op, and the kernel's number of its thread; 0: nobody yet */
        struct {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            uint8_t op;
            uint8_t thread_bytes[3];
#else
            uint8_t thread_bytes[3];
            uint8_t op;
#endif
        };
    };
    uint64_t changes_of_hands;
} weft_owner_use;

static WEFT_ALWAYS_INLINE uint32_t weft_owner_state(uint32_t thread, weft_owner_op op) {
    return thread << WEFT_OWNER_OP_BITS | (uint32_t)op;
}

static inline uint32_t weft_owner_thread_of(uint32_t state) {
    return state >> WEFT_OWNER_OP_BITS;
}

static inline uint32_t weft_owner_op_of(uint32_t state) {
    return state & ((1u << WEFT_OWNER_OP_BITS) - 1);
}

/* The state that this thread leaves behind; with UNKNOWN before its first write. A thread's number
 * has 22 bits at the most. */
enum { WEFT_OWNER_UNKNOWN = 0xffffff };
extern __thread uint32_t weft_owner_mine WEFT_TLS_MODEL;

/* An operation meets one of another thread, or of its own: reports both and aborts. */
__attribute__((noreturn)) WEFT_COLD void weft_owner_meet(weft_core *core, weft_owner_use *use,
                                                         weft_owner_op op);

/* A write is to begin where another one is busy, or another thread wrote last. */
WEFT_COLD void weft_owner_change_hands(weft_core *core, weft_owner_use *use, weft_owner_op op);

/* An operation that only looks begins, or ends. */
static WEFT_ALWAYS_INLINE void weft_owner_look(weft_core *core, weft_owner_use *use,
                                               weft_owner_op op) {
    if (WEFT_OWNER_CHECK && WEFT_UNLIKELY(weft_load_relaxed(&use->op) != WEFT_OWNER_NOTHING)) {
        weft_owner_meet(core, use, op);
    }
}

static WEFT_ALWAYS_INLINE void weft_owner_looked(weft_core *core, weft_owner_use *use,
                                                 weft_owner_op op) {
    if (WEFT_DEBUG >= 1) {
        weft_owner_look(core, use, op);
    }
}

/* From NOTHING to an op, or back, or neither: one instruction, where two atomic accesses are three.
 * Another thread that comes in between is misuse. The whole word, as it is read as a whole soon
 * after. */
static WEFT_ALWAYS_INLINE void weft_owner_turn(weft_owner_use *use, uint32_t change) {
    weft_compiler_barrier();
    use->state ^= change;
    weft_compiler_barrier();
}

static WEFT_ALWAYS_INLINE uint32_t weft_owner_change(weft_owner_op op) {
    return (uint32_t)op ^ WEFT_OWNER_NOTHING;
}

/* Did this thread write last, and is nobody at anything? Then an operation may begin, by a turn. */
static WEFT_ALWAYS_INLINE bool weft_owner_is_mine(const weft_owner_use *use) {
    return WEFT_LIKELY(weft_load_relaxed(&use->state) == weft_owner_mine);
}

/* An operation that writes begins. False: after weft_owner_change_hands. */
static WEFT_ALWAYS_INLINE bool weft_owner_begin(weft_owner_use *use, weft_owner_op op) {
    if (WEFT_OWNER_CHECK) {
        if (!weft_owner_is_mine(use)) {
            return false;
        }
        weft_owner_turn(use, weft_owner_change(op));
    }
    return true;
}

static WEFT_ALWAYS_INLINE void weft_owner_end(weft_core *core, weft_owner_use *use,
                                              weft_owner_op op) {
    if (!WEFT_OWNER_CHECK) {
        return;
    }
    if (WEFT_DEBUG >= 1 &&
        WEFT_UNLIKELY(weft_load_relaxed(&use->state) !=
                      weft_owner_state(weft_owner_thread_of(weft_owner_mine), op))) {
        weft_owner_meet(core, use, op);
    }
    weft_owner_turn(use, weft_owner_change(op));
}

#endif
