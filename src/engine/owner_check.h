/* SPDX-License-Identifier: MIT */
/* Engine "owner": how it notices that two threads use a map at the same time.
 *
 * Two words, `thread`, who wrote last, and `busy`, what it is at: each write sets `busy` before it
 * looks for its key, and clears it when it has changed the table. So a thread that begins an
 * operation sees that somebody is writing; and a write that ends sees, in the debug build, that
 * somebody else has begun. None of this can be seen where one operation ends before the next one
 * begins: what is noticed is always misuse. No locked instruction and no fence: of two threads that
 * really run at once each one's stores reach the other in the end, so misuse that goes on is
 * noticed soon, and not always at the first operation.
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
    WEFT_OWNER_NOTHING, /* not busy */
    WEFT_OWNER_WRITE,
    WEFT_OWNER_RESERVE,
    WEFT_OWNER_SHRINK,
    WEFT_OWNER_MAINTAIN,
    WEFT_OWNER_LOOK, /* from here on: never in `busy` */
    WEFT_OWNER_WALK,
    WEFT_OWNER_OPS,
} weft_owner_op;

typedef struct weft_owner_use {
    uint32_t busy;
    uint32_t thread; /* the kernel's number; 0: nobody yet */
    uint64_t changes_of_hands;
} weft_owner_use;

/* This thread's kernel number; UNKNOWN before its first write. */
enum { WEFT_OWNER_UNKNOWN = INT32_MAX };
extern __thread uint32_t weft_owner_me WEFT_TLS_MODEL;

/* An operation meets one of another thread, or of its own: reports both and aborts. */
__attribute__((noreturn)) WEFT_COLD void weft_owner_meet(weft_core *core, weft_owner_use *use,
                                                         weft_owner_op op);

/* A write is to begin where another one is busy, or another thread wrote last. */
WEFT_COLD void weft_owner_change_hands(weft_core *core, weft_owner_use *use, weft_owner_op op);

/* An operation that only looks begins, or ends. */
static WEFT_ALWAYS_INLINE void weft_owner_look(weft_core *core, weft_owner_use *use,
                                               weft_owner_op op) {
    if (WEFT_OWNER_CHECK && WEFT_UNLIKELY(weft_load_relaxed(&use->busy) != WEFT_OWNER_NOTHING)) {
        weft_owner_meet(core, use, op);
    }
}

static WEFT_ALWAYS_INLINE void weft_owner_looked(weft_core *core, weft_owner_use *use,
                                                 weft_owner_op op) {
    if (WEFT_DEBUG >= 1) {
        weft_owner_look(core, use, op);
    }
}

/* A write begins. False: after weft_owner_change_hands. */
static WEFT_ALWAYS_INLINE bool weft_owner_begin(weft_owner_use *use, weft_owner_op op) {
    if (WEFT_OWNER_CHECK) {
        if (WEFT_UNLIKELY(weft_load_relaxed(&use->thread) != weft_owner_me) ||
            WEFT_UNLIKELY(weft_load_relaxed(&use->busy) != WEFT_OWNER_NOTHING)) {
            return false;
        }
        weft_store_relaxed(&use->busy, (uint32_t)op);
        weft_compiler_barrier();
    }
    return true;
}

static WEFT_ALWAYS_INLINE void weft_owner_end(weft_core *core, weft_owner_use *use,
                                              weft_owner_op op) {
    if (!WEFT_OWNER_CHECK) {
        return;
    }
    if (WEFT_DEBUG >= 1 && WEFT_UNLIKELY(weft_load_relaxed(&use->thread) != weft_owner_me ||
                                         weft_load_relaxed(&use->busy) != (uint32_t)op)) {
        weft_owner_meet(core, use, op);
    }
    weft_compiler_barrier();
    weft_store_relaxed(&use->busy, WEFT_OWNER_NOTHING);
}

#endif
