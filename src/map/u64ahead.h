/* SPDX-License-Identifier: MIT */
/* weft_u64map: the lines of several keys are asked for before the first of them is looked at, so
 * that their misses overlap. docs/design/batch.md. */
#ifndef WEFT_MAP_U64AHEAD_H
#define WEFT_MAP_U64AHEAD_H

#include "engine/lockfree_u64.h"
#include "map/core.h"

enum {
    AHEAD_KEYS = 128,  /* of one guard, and of one look at the door */
    AHEAD_FIRST = 32,  /* lines asked for before the first look */
    AHEAD_FURTHER = 16 /* and then at a time, when as many keys have been looked at */
};

/* The keys of one guard on their way. */
typedef struct ahead {
    const weft_core *core;
    const face *door; /* NULL: there is nothing to ask for */
    const uint64_t *keys;
    size_t count;
    size_t asked;
    size_t done;
    uint64_t hashes[AHEAD_KEYS];
    bucket *buckets[AHEAD_KEYS]; /* if there is a door */
} ahead;

/* Some of the first keys of `count`. Inside the guard that they are worked on in. */
static WEFT_ALWAYS_INLINE void ahead_begin(ahead *a, const weft_core *core, const uint64_t *keys,
                                           size_t count) {
    a->core = core;
    a->door = door_of(core);
#if WEFT_MUTANT == 15 /* looks behind a closed door */
    a->door = generation_of(a->door)->faces;
#endif
    a->keys = keys;
    a->count = count < AHEAD_KEYS ? count : AHEAD_KEYS;
    a->asked = 0;
    a->done = 0;
}

/* Hash the next keys, and ask for their lines. Keys from a->done on, up to the number returned, are
 * then to be worked on; none: all are done. */
static WEFT_ALWAYS_INLINE size_t ahead_go(ahead *a) {
    weft_mixer mixer = a->core->mixer; /* copies: the compiler keeps them in registers */
    const face *door = a->door;
    size_t to = a->asked == 0 ? AHEAD_FIRST : a->asked + AHEAD_FURTHER;
    to = to < a->count ? to : a->count;
    if (WEFT_LIKELY(door != NULL)) {
        bucket *buckets = door->buckets;
        uint64_t mask = door->mask;
        for (size_t i = a->asked; i < to; i++) {
            uint64_t hash = weft_mix_with(&mixer, a->keys[i]);
            a->hashes[i] = hash;
            a->buckets[i] = &buckets[hash & mask];
            __builtin_prefetch(&buckets[hash & mask]);
        }
    } else {
        for (size_t i = a->asked; i < to; i++) {
            a->hashes[i] = weft_mix_with(&mixer, a->keys[i]);
        }
    }
    a->asked = to;
    return to == a->count ? to : to - AHEAD_FURTHER;
}

/* The key at place i, for an engine. */
static WEFT_ALWAYS_INLINE weft_key ahead_key(const ahead *a, size_t i) {
    return (weft_key){.hash = a->hashes[i], .number = a->keys[i]};
}

#endif
