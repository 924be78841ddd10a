/* SPDX-License-Identifier: MIT */
/* The longest single operations on a growing map, by what happened in them. */
#ifndef WEFT_BENCH_DRIVER_WORST_OP_H
#define WEFT_BENCH_DRIVER_WORST_OP_H

#include <jansson.h>
#include <stdint.h>
#include <sys/resource.h>
#include <weft/u64map.h>

/* Of several, the first one that applies. */
typedef enum weft_worst_kind {
    WEFT_WORST_PREEMPTED, /* others had the processor */
    WEFT_WORST_BEGINS,    /* a growth began */
    WEFT_WORST_FAULTS,    /* the kernel gave memory: a huge page, nearly always */
    WEFT_WORST_FREES,     /* a piece of an old table was given back */
    WEFT_WORST_MOVES,     /* buckets moved, and nothing else is known */
    WEFT_WORST_PLAIN,
    WEFT_WORST_KINDS,
} weft_worst_kind;

/* Shorter ones are not looked at. */
enum { WEFT_WORST_FROM_NS = 10000 };

typedef struct weft_worst {
    uint64_t longest_ns[WEFT_WORST_KINDS];
    /* as they were when the last long operation had been looked at */
    weft_map_stats map;
    struct rusage thread;
} weft_worst;

/* On the thread that operates. */
void weft_worst_begin(weft_worst *worst);
/* The last operation of the map took so long. */
void weft_worst_note(weft_worst *worst, weft_u64map *map, uint64_t ns);
/* {"preempted": ns, …}, those that happened. */
json_t *weft_worst_json(const weft_worst *worst);

#endif
