/* SPDX-License-Identifier: MIT */
/* L1: epoch reclamation without registration. The protocol is in docs/design/reclamation.md.
 *
 * A limbo holds what one map has retired. It belongs to the map, not to threads: a thread that
 * exits or forks leaves no garbage behind. Objects are linked through one word of their own, so
 * that retiring needs no memory. Guards (weft/guard.h) are process-wide.
 */
#ifndef WEFT_RECLAIM_EPOCH_H
#define WEFT_RECLAIM_EPOCH_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/barrier.h"
#include "base/memory.h"
#include "base/thread.h"
#include <weft/guard.h>

/* The word in a retired object through which a limbo links it. A reader may still look at the word
 * while it becomes a link: the owner reads it with an atomic load and tolerates either value. */
typedef uint64_t weft_limbo_link;

enum { WEFT_LIMBO_BAGS = 4, WEFT_LIMBO_STRIPES_MAX = 64, WEFT_STAMP_THREADS = 0xffff };

typedef struct weft_limbo_stripe {
    uint64_t heads[WEFT_LIMBO_BAGS]; /* tagged addresses of links; bag = epoch mod 4 */
    uint64_t ready;                  /* what was taken out of a bag and is freed a few at a time */
    /* Retired on this stripe and not yet freed, but for the owner's retirements; may be below 0. */
    uint64_t objects;
    uint64_t bytes;
    uint64_t since_advance; /* retired since this stripe last tried to move the epoch */
    /* Retired by the one thread whose number is this stripe's, which counts without a locked
     * instruction. */
    uint64_t own_objects;
    uint64_t own_bytes;
} WEFT_LINE_ALIGNED weft_limbo_stripe;

typedef struct weft_limbo {
    weft_limbo_stripe
        *stripes; /* stripe_count of them, a power of two; the owner allocates them zeroed */
    uint32_t stripe_count;
    /* Frees one object. `link` is what was given to weft_limbo_retire, tag included; returns the
     * object's bytes. May run callbacks of the user: no lock is held. */
    size_t (*release)(void *ctx, uint64_t link);
    void *ctx;
} weft_limbo;

/* Hand an object that no new reader can find to reclamation. `link` is the address of its link
 * word; the low 3 bits are the owner's tag. The caller is inside a guard. Never allocates; may free
 * older objects. */
void weft_limbo_retire(weft_limbo *limbo, uint64_t link, size_t bytes);

/* Try to move the epoch, and free what has become free, at most `budget` objects. True if the limbo
 * is empty afterwards. The caller may be inside a guard; then its own guard may hold things
 * back. */
bool weft_limbo_collect(weft_limbo *limbo, size_t budget);

/* Free everything now. No guard of any thread may protect anything in it. */
void weft_limbo_drain(weft_limbo *limbo);

/* What the limbo holds. */
void weft_limbo_pending(const weft_limbo *limbo, uint64_t *objects, uint64_t *bytes);

/* Wait until every guard that is held now, by other threads, has been left once. Blocks.
 * False at once if this thread is inside a guard itself. */
bool weft_epoch_synchronize(void);

/* ---- guards, for callers within the library -------------------------------------------------- */

typedef struct weft_record {
    uint64_t pinned; /* 0: outside; else the epoch seen on entry */
    uint32_t nest;   /* guards entered and not left; the owner's */
    uint32_t number;
    uint32_t taken;           /* 1: a thread or a movable guard owns it */
    uint32_t freeing;         /* inside a release callback: do not start another */
    uint64_t retired_objects; /* counted by the owner; sums are read by anyone */
    uint64_t retired_bytes;
    uint64_t freed_objects;
    uint64_t freed_bytes;
    uint64_t stamp; /* last given out, the number in its low bits; 0: beyond numbering. Goes on when
                     * the record gets another owner */
    /* For swinging at when there is nothing to change: no branch then. */
    uint64_t scratch[WEFT_CACHE_LINE / sizeof(uint64_t)] WEFT_LINE_ALIGNED;
    weft_spares spares; /* the owner's, which empties them when it ends */
} WEFT_LINE_ALIGNED weft_record;

/* What threads without a record have for inlined lookups: it seems to be inside a guard. */
extern weft_record weft_epoch_nobody;

/* Until weft_epoch_end_show: the record shows the epoch, but is in no guard. What enters one
 * meanwhile would end it (weft_epoch_keep_shown prevents that). */
static inline void weft_epoch_show(weft_record *record) {
    WEFT_ASSERT(weft_load_relaxed(&record->pinned) == 0);
    /* Acquire: keeps the caller's reads behind the epoch that stands for them. Pairs with
     * advance. */
    uint64_t epoch = weft_load_acquire(&weft_guard_clock.epoch);
#if WEFT_BARRIER_ASYMMETRIC
    weft_store_relaxed(&record->pinned, epoch);
    weft_barrier_light(); /* pairs with weft_barrier_heavy in advance */
#else
    weft_store_seq_cst(&record->pinned, epoch);
#endif
}

/* The same, of a thread whose record inlined lookups may use: the barrier is asymmetric. */
static inline void weft_epoch_show_cheaply(weft_record *record) {
    WEFT_ASSERT(record->nest == 0 && weft_load_relaxed(&record->pinned) == 0);
    /* Acquire: as above. Pairs with advance. */
    weft_store_relaxed(&record->pinned, weft_load_acquire(&weft_guard_clock.epoch));
    weft_barrier_light_free(); /* pairs with weft_barrier_heavy in advance */
}

/* A thread's first guard, or one without memory for a record. */
void weft_epoch_enter_slow(weft_guard *guard);

uint32_t weft_epoch_thread_number_slow(void);
uint64_t weft_epoch_stamp_shared(void);

/* A guard of the thread that owns the record. */
static inline void weft_epoch_enter_record(weft_record *record) {
    WEFT_ASSERT(record == *weft_thread_slot());
    if (record->nest++ == 0) {
        weft_epoch_show(record);
    }
}

static inline void weft_epoch_leave_record(weft_record *record) {
    WEFT_ASSERT(record == *weft_thread_slot() && record->nest > 0);
    if (--record->nest == 0) {
        /* Release: pairs with the acquire in scan_record; the stretch's reads come before
         * freeing. */
        weft_store_release(&record->pinned, 0);
    }
}

/* The end of weft_epoch_show, or of what an inlined lookup began. */
static inline void weft_epoch_end_show(weft_record *record) {
    WEFT_ASSERT(record->nest == 0 && weft_load_relaxed(&record->pinned) != 0);
    /* Release: the reads come before the freeing. Pairs with the acquire in scan_record. */
    weft_store_release(&record->pinned, 0);
}

/* The same record, made a guard that weft_epoch_leave_record leaves. */
static inline void weft_epoch_keep_shown(weft_record *record) {
    WEFT_ASSERT(record->nest == 0 && weft_load_relaxed(&record->pinned) != 0);
    record->nest = 1;
}

/* weft_guard_enter. */
static inline void weft_epoch_enter(weft_guard *guard) {
    weft_record *record = *weft_thread_slot();
    if (WEFT_UNLIKELY(record == NULL)) {
        weft_epoch_enter_slow(guard);
        return;
    }
    guard->record = record;
    weft_epoch_enter_record(record);
}

/* The same. `shown`: NULL, or this thread's record, which shows the epoch already. */
static inline void weft_epoch_enter_shown(weft_guard *guard, weft_record *shown) {
    if (shown == NULL) {
        weft_epoch_enter(guard);
        return;
    }
    guard->record = shown;
    weft_epoch_keep_shown(shown);
}

/* weft_guard_leave, for a guard that is not movable. */
static inline void weft_epoch_leave(weft_guard *guard) {
    weft_record *record = guard->record;
    if (WEFT_UNLIKELY(((uintptr_t)record & 1) != 0)) {
        weft_guard_leave(guard);
        return;
    }
    weft_epoch_leave_record(record);
}

/* A small number of this thread, for choosing stripes: from 1 on, dense, reused after a thread's
 * exit. 0 without memory for a record. No other thread that lives has the same, but for 0. */
static inline uint32_t weft_epoch_thread_number(void) {
    weft_record *record = *weft_thread_slot();
    return WEFT_LIKELY(record != NULL) ? record->number : weft_epoch_thread_number_slow();
}

/* A number that is given out once, by any thread; below 2^58. The record: this thread's, or
 * NULL. */
static inline uint64_t weft_epoch_stamp_of(weft_record *record) {
    if (WEFT_UNLIKELY(record == NULL) || WEFT_UNLIKELY(record->stamp == 0)) {
        return weft_epoch_stamp_shared();
    }
    record->stamp += WEFT_STAMP_THREADS + 1;
    return record->stamp & (UINT64_MAX >> 6);
}

static inline uint64_t weft_epoch_stamp(void) {
    return weft_epoch_stamp_of(*weft_thread_slot());
}

/* The calling thread's spare blocks; NULL if it has no record (yet). */
static inline weft_spares *weft_epoch_spares(void) {
    weft_record *record = *weft_thread_slot();
    return WEFT_LIKELY(record != NULL) ? &record->spares : NULL;
}

/* Does the calling thread show the epoch, inside a guard or not? */
static inline bool weft_epoch_shown(void) {
    weft_record *record = *weft_thread_slot();
    return record != NULL && weft_load_relaxed(&record->pinned) != 0;
}

/* Is the calling thread inside a guard? */
static inline bool weft_epoch_inside(void) {
    weft_record *record = *weft_thread_slot();
    return record != NULL && record->nest != 0;
}

#if defined(WEFT_SCHED) && WEFT_SCHED
/* Between schedules, with no guard entered and every limbo empty: back to the initial state. */
void weft_epoch_reset(void);
#endif

#endif
