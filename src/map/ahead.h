/* SPDX-License-Identifier: MIT */
/* weft_map: the lines of several keys are asked for before the first of them is worked on, so that
 * their misses overlap: first those of the buckets, then those of the entries that these lead to.
 * docs/design/batch.md. */
#ifndef WEFT_MAP_AHEAD_H
#define WEFT_MAP_AHEAD_H

#include "map/core.h"

enum {
    AHEAD_STEP = 16, /* keys of one stage at a time */
    AHEAD_RING = 64, /* keys that are on their way: three steps, and a power of two */
    AHEAD_KEYS = 256 /* keys of one guard */
};

/* The keys of one guard on their way: done <= touched <= asked. */
typedef struct weft_ahead {
    weft_core *core;
    const weft_bytes *keys;
    size_t count;
    size_t asked;   /* hashed, and the bucket's line asked for */
    size_t touched; /* the bucket was looked at, and the entry's lines asked for */
    size_t done;    /* the caller's count */
    weft_key ring[AHEAD_RING];
} weft_ahead;

/* Some of the first keys of `count`. Inside the guard that they are worked on in. */
void weft_ahead_begin(weft_ahead *ahead, weft_core *core, const weft_bytes *keys, size_t count);

/* Let each stage go on. Keys from ahead->done on, up to the number returned, are then to be worked
 * on. */
size_t weft_ahead_go(weft_ahead *ahead);

/* The key at place i, hashed; one that is too long is not. */
static inline weft_key *weft_ahead_key(weft_ahead *ahead, size_t i) {
    return &ahead->ring[i % AHEAD_RING];
}

#endif
