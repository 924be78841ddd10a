/* SPDX-License-Identifier: MIT */
/* L1: epoch reclamation without registration. The protocol is in docs/design/reclamation.md.
 *
 * A limbo holds what one map has retired. It belongs to the map, not to threads: a thread that
 * exits or forks leaves no garbage behind. Objects are linked through one word of their own, so
 * that retiring needs no memory. Guards (weft/guard.h) are process-wide.
 */
#ifndef WEFT_RECLAIM_EPOCH_H
#define WEFT_RECLAIM_EPOCH_H

#include "base/platform.h"
#include <weft/guard.h>

/* The word in a retired object through which a limbo links it. A reader may still look at the word
 * while it becomes a link: the owner reads it with an atomic load and tolerates either value. */
typedef uint64_t weft_limbo_link;

enum { WEFT_LIMBO_BAGS = 4, WEFT_LIMBO_STRIPES_MAX = 64 };

typedef struct weft_limbo_stripe {
    uint64_t heads[WEFT_LIMBO_BAGS]; /* tagged addresses of links; bag = epoch mod 4 */
    uint64_t ready;                  /* what was taken out of a bag and is freed a few at a time */
    uint64_t objects; /* retired on this stripe and not yet freed; may wrap below 0 */
    uint64_t bytes;
    uint64_t since_advance; /* retired since this stripe last tried to move the epoch */
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

/* Is the calling thread inside a guard? */
bool weft_epoch_inside(void);

/* A small number of this thread, for choosing stripes. Dense, reused after a thread's exit. */
uint32_t weft_epoch_thread_number(void);

#if defined(WEFT_SCHED) && WEFT_SCHED
/* Between schedules, with no guard entered and every limbo empty: back to the initial state. */
void weft_epoch_reset(void);
#endif

#endif
