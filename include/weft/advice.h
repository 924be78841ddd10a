/* SPDX-License-Identifier: MIT */
/* Which engine suits which use. Engine AUTO of weft_map_options chooses by the same rules, and
 * `weft advise` prints them beside what it measures. */
#ifndef WEFT_ADVICE_H
#define WEFT_ADVICE_H

#include <weft/map.h>

/* How a map is used. Zero: not known, or no. */
typedef struct weft_usage {
    weft_hints hints;
    size_t entries; /* in the map, usually */
    double skew; /* of keys: bits that are missing from an even spread over 1024 buckets, 0 … 10 */
    double burst; /* writes that come one behind the other, on average */
    double rate; /* operations a second and processor that are needed; 0: as many as there can be */
    bool exclusive; /* with one thread: it is a promise, and engine owner may hold the user to it */
    bool bounded;   /* `entries` is never exceeded, and memory is to be there from the beginning */
    bool tail;      /* the slowest operations count, not the average */
} weft_usage;

typedef struct weft_advice {
    weft_engine_id engine;
    bool plain;       /* any plain map is enough, behind a mutex if there are several threads */
    const char *rule; /* the name of the rule that decided */
    const char *when; /* what it asks for */
    const char *why;
} weft_advice;

/* What an engine says of itself. */
typedef struct weft_engine_card {
    weft_engine_id engine;
    const char *name;
    const char *choose;        /* where it is the right choice */
    const char *do_not_choose; /* … and where it is not */
    uint32_t offers;           /* weft_need, added up */
    bool threads;              /* several threads may use it at the same time */
    bool grows;                /* there is room as long as there is memory */
    bool copies;               /* a write is O(n) */
    bool keeps_removed;        /* removed keys take memory until later calls */
} weft_engine_card;

WEFT_BEGIN_DECLS

/* weft_engine_advise — which engine suits a use, by rules that are tried in order.
 *
 * usage    what is known
 * advice   out; its texts are constants
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (a number beyond its range) · WEFT_E_UNSUPPORTED (no engine
 *          offers all of `needs`)
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none
 * Cost     O(1)
 */
WEFT_API int weft_engine_advise(const weft_usage *usage, weft_advice *advice);

/* weft_engine_card_get — what an engine is for, and what it offers.
 *
 * engine   which one; AUTO: the one of a map without hints
 * card     out; its texts are constants
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (there is no such engine)
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none
 * Cost     O(1)
 */
WEFT_API int weft_engine_card_get(weft_engine_id engine, weft_engine_card *card);

WEFT_END_DECLS

#endif
