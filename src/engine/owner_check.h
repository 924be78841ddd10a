/* SPDX-License-Identifier: MIT */
/* Engine "owner": how it notices that two threads use a map at the same time.
 *
 *   63       42 41                     5 4        1   0
 *   +----------+------------------------+----------+------+
 *   |  thread  |    number of writes    | its last | busy |    weft_owner_use.word
 *   +----------+------------------------+----------+------+
 *
 * Each write sets the word with `busy` before it changes the table and without it afterwards. So a
 * thread sees
 *   - busy when it begins: somebody is writing;
 *   - a word that is not the one that its find saw: somebody wrote while this operation ran;
 *   - a word that is not its own when its write ends: likewise.
 * None of this can be seen where one operation ends before the next one begins: what is noticed is
 * always misuse. No locked instruction and no fence: of two threads that really run at once each
 * one's stores reach the other in the end, so misuse that goes on is noticed soon, and not always
 * at the first operation.
 *
 * Two threads that share a processor meet inside an operation only if the kernel stops one there.
 * So the first writes that find that another thread was the last one to write stay busy for a
 * moment and give the processor away; if it is used by several threads in turns, as it may be, that
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

/* What a thread is at. The word holds those that write. */
typedef enum weft_owner_op {
    WEFT_OWNER_NOTHING,
    WEFT_OWNER_GET,
    WEFT_OWNER_FIND,
    WEFT_OWNER_WALK,
    WEFT_OWNER_INSERT,
    WEFT_OWNER_REPLACE,
    WEFT_OWNER_REMOVE,
    WEFT_OWNER_RESERVE,
    WEFT_OWNER_SHRINK,
    WEFT_OWNER_MAINTAIN,
    WEFT_OWNER_OPS,
} weft_owner_op;

enum {
    WEFT_OWNER_BUSY = 1,
    WEFT_OWNER_OP_SHIFT = 1,
    WEFT_OWNER_COUNT_SHIFT = 5,
    WEFT_OWNER_THREAD_SHIFT = 42,
};

#define WEFT_OWNER_COUNT_MASK                                                                      \
    ((UINT64_C(1) << WEFT_OWNER_THREAD_SHIFT) - (UINT64_C(1) << WEFT_OWNER_COUNT_SHIFT))

typedef struct weft_owner_use {
    uint64_t word;
    uint64_t changes_of_hands;
} weft_owner_use;

/* This thread's kernel number, shifted; UNKNOWN before its first write. */
#define WEFT_OWNER_UNKNOWN (~UINT64_C(0) << WEFT_OWNER_THREAD_SHIFT)
extern __thread uint64_t weft_owner_me WEFT_TLS_MODEL;

/* An operation meets one of another thread: reports both and aborts. `word` tells the other. */
__attribute__((noreturn)) WEFT_COLD void weft_owner_meet(weft_core *core, weft_owner_use *use,
                                                         uint64_t word, weft_owner_op op);

/* A write begins where the word is not as this operation saw it, or another thread wrote last.
 * False: this thread itself wrote meanwhile, inside a decision of the user's. */
WEFT_COLD bool weft_owner_change_hands(weft_core *core, weft_owner_use *use, uint64_t seen,
                                       weft_owner_op op);

/* An operation begins; returns what it sees of the use. */
static WEFT_ALWAYS_INLINE uint64_t weft_owner_look(weft_core *core, weft_owner_use *use,
                                                   weft_owner_op op) {
    uint64_t seen = weft_load_relaxed(&use->word);
    if (WEFT_OWNER_CHECK && WEFT_UNLIKELY((seen & WEFT_OWNER_BUSY) != 0)) {
        weft_owner_meet(core, use, seen, op);
    }
    return seen;
}

/* One that only looks ends: in the debug build nobody may have written meanwhile. */
static WEFT_ALWAYS_INLINE void weft_owner_looked(weft_core *core, weft_owner_use *use,
                                                 uint64_t seen, weft_owner_op op) {
    uint64_t now = WEFT_OWNER_CHECK && WEFT_DEBUG >= 1 ? weft_load_relaxed(&use->word) : seen;
    if (WEFT_UNLIKELY(now != seen)) {
        weft_owner_meet(core, use, now, op);
    }
}

/* A write begins, in an operation that saw `seen`. False: the table has changed since, look
 * again. */
static WEFT_ALWAYS_INLINE bool weft_owner_begin(weft_core *core, weft_owner_use *use, uint64_t seen,
                                                weft_owner_op op) {
    uint64_t now = weft_load_relaxed(&use->word);
    uint64_t me = WEFT_OWNER_CHECK ? weft_owner_me : 0;
    if (WEFT_UNLIKELY(((now ^ seen) | (now ^ me) >> WEFT_OWNER_THREAD_SHIFT) != 0)) {
        if (!WEFT_OWNER_CHECK || !weft_owner_change_hands(core, use, seen, op)) {
            return false;
        }
        me = weft_owner_me;
    }
    uint64_t count = (now & WEFT_OWNER_COUNT_MASK) + (UINT64_C(1) << WEFT_OWNER_COUNT_SHIFT);
    count &= WEFT_OWNER_COUNT_MASK;
    if (WEFT_OWNER_CHECK) {
        count |= me | (uint64_t)op << WEFT_OWNER_OP_SHIFT | WEFT_OWNER_BUSY;
    }
    weft_store_relaxed(&use->word, count);
    weft_compiler_barrier();
    return true;
}

static WEFT_ALWAYS_INLINE void weft_owner_end(weft_core *core, weft_owner_use *use,
                                              weft_owner_op op) {
    if (WEFT_OWNER_CHECK) {
        uint64_t now = weft_load_relaxed(&use->word);
        uint64_t flags = WEFT_OWNER_BUSY | WEFT_OWNER_UNKNOWN;
        if (WEFT_UNLIKELY((now & flags) != (weft_owner_me | WEFT_OWNER_BUSY))) {
            weft_owner_meet(core, use, now, op);
        }
        weft_compiler_barrier();
        weft_store_relaxed(&use->word, now ^ WEFT_OWNER_BUSY);
    }
}

#endif
