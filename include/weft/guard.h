/* SPDX-License-Identifier: MIT */
/* Guards: a stretch of time in which nothing that the caller looked at is freed.
 *
 * Operations that copy need no guard of the caller's; `weft_map_peek` does. A guard holds no lock
 * and blocks nobody; it delays the freeing of memory that was retired since it was entered. Threads
 * need no registration, may exit at any time, and may fork: in the child the guards of other
 * threads are gone. Guards nest. A guard is left by the thread that entered it, unless it was
 * entered as movable.
 */
#ifndef WEFT_GUARD_H
#define WEFT_GUARD_H

#include <stdint.h>
#include <weft/export.h>

typedef struct weft_guard {
    void *record; /* private */
} weft_guard;

/* What reclamation is waiting for. */
typedef struct weft_reclaim_stats {
    uint64_t epoch;           /* the global epoch */
    uint64_t pending_bytes;   /* retired and not yet freed, all maps of the process */
    uint64_t pending_objects; /* likewise, objects */
    uint64_t guards;          /* guards held now (threads inside, nested ones count once) */
    uint64_t oldest_guard_ns; /* age of the oldest guard seen holding reclamation back; 0 if none */
    uint64_t advances;        /* how often the epoch moved */
} weft_reclaim_stats;

/* Private: what every guard reads. Guards that are compiled into the caller do, too. */
struct weft_guard_clock {
    uint64_t epoch;
};

WEFT_BEGIN_DECLS

extern WEFT_API struct weft_guard_clock weft_guard_clock;

/* weft_guard_enter — start a guarded stretch on this thread.
 *
 * guard    out; on the stack of the caller
 *
 * Returns  nothing; it cannot fail, not even without memory
 * Owns     the guard is the caller's, until weft_guard_leave
 * Threads  any; no registration. Nests
 * Progress wait-free after a thread's first use; that one is lock-free
 * Order    what was in a map when the guard was entered, or is put there later, stays readable
 *          until leave
 * Cost     one store to a line of this thread's own
 * Source   epoch-based reclamation (Fraser 2004), asymmetric fences by membarrier as in liburcu
 */
WEFT_API void weft_guard_enter(weft_guard *guard);

/* weft_guard_enter_movable — as weft_guard_enter, for a stretch that may be left on another thread.
 *
 * guard    out; may be moved with a fiber or handed to another thread
 *
 * Returns  nothing; it cannot fail
 * Owns     the guard is the caller's, until weft_guard_leave on any thread
 * Threads  any
 * Progress lock-free
 * Order    as weft_guard_enter
 * Cost     a search for a free record: one CAS when uncontended
 */
WEFT_API void weft_guard_enter_movable(weft_guard *guard);

/* weft_guard_leave — end a guarded stretch; pointers obtained in it are void.
 *
 * guard    one that was entered, and not left yet
 *
 * Returns  nothing
 * Owns     the guard may be reused
 * Threads  the thread that entered it; any thread for a movable one
 * Progress wait-free
 * Order    the caller's reads of the stretch happen before the freeing of what it protected
 * Cost     one store
 */
WEFT_API void weft_guard_leave(weft_guard *guard);

/* weft_reclaim_stats_get — what is retired and waiting, and who holds it back.
 *
 * stats    out
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  any
 * Progress lock-free
 * Order    none: numbers of a moment, each exact at some moment of the call
 * Cost     O(threads)
 */
WEFT_API void weft_reclaim_stats_get(weft_reclaim_stats *stats);

WEFT_END_DECLS

#endif
