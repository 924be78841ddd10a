/* SPDX-License-Identifier: MIT */
/* The plain table that single figures are compared with: linear probing at up to half full,
 * doubling, removal without tombstones. No lock: whoever compares puts one around it. The functions
 * are inlined, so that each kind of keys is compiled as if it had been written by hand. */
#ifndef WEFT_BENCH_DRIVER_PLAIN_H
#define WEFT_BENCH_DRIVER_PLAIN_H

#include "base/platform.h"
#include "draw.h"
#include <stdio.h>
#include <stdlib.h>

/* Key 0 is a free place. */
typedef struct weft_plain_place {
    uint64_t key;
    uint64_t value;
} weft_plain_place;

typedef struct weft_plain {
    weft_plain_place *places;
    uint64_t mask;
    uint64_t used;
} weft_plain;

/* What a key is: a number, or the address of what is one. */
typedef struct weft_plain_kind {
    uint64_t (*hash)(uint64_t key);
    bool (*same)(uint64_t one, uint64_t other);
} weft_plain_kind;

static inline uint64_t weft_plain_hash(uint64_t key) {
    return weft_draw_mix(key);
}

static inline bool weft_plain_same(uint64_t one, uint64_t other) {
    return one == other;
}

static const weft_plain_kind weft_plain_numbers = {weft_plain_hash, weft_plain_same};

enum { WEFT_PLAIN_FIRST = 8 };

static inline weft_plain_place *weft_plain_allocate(uint64_t places) {
    weft_plain_place *made = calloc(places, sizeof *made);
    if (made == NULL) {
        fprintf(stderr, "weft bench: out of memory for a plain table of %llu places\n",
                (unsigned long long)places);
        abort();
    }
    return made;
}

static inline void weft_plain_open(weft_plain *plain) {
    *plain =
        (weft_plain){.places = weft_plain_allocate(WEFT_PLAIN_FIRST), .mask = WEFT_PLAIN_FIRST - 1};
}

static inline void weft_plain_close(weft_plain *plain) {
    free(plain->places);
}

/* The key's place, or the free one where it would go. */
static WEFT_ALWAYS_INLINE weft_plain_place *
weft_plain_find(const weft_plain *plain, const weft_plain_kind *kind, uint64_t key) {
    uint64_t at = kind->hash(key) & plain->mask;
    while (plain->places[at].key != 0 && !kind->same(plain->places[at].key, key)) {
        at = (at + 1) & plain->mask;
    }
    return &plain->places[at];
}

/* Begins where a line of the instructions' cache does: what it takes must not depend on what is
 * before it in the program. */
#define WEFT_CODE_ALIGNED __attribute__((aligned(64), noinline))

/* The value of a key, or 0; not inlined. */
WEFT_CODE_ALIGNED bool weft_plain_look(const weft_plain *plain, uint64_t key, uint64_t *value);

static WEFT_ALWAYS_INLINE void weft_plain_double(weft_plain *plain, const weft_plain_kind *kind) {
    weft_plain old = *plain;
    plain->mask = plain->mask * 2 + 1;
    plain->places = weft_plain_allocate(plain->mask + 1);
    for (uint64_t i = 0; i <= old.mask; i++) {
        if (old.places[i].key != 0) {
            *weft_plain_find(plain, kind, old.places[i].key) = old.places[i];
        }
    }
    free(old.places);
}

/* Insert or replace. */
static WEFT_ALWAYS_INLINE void weft_plain_put(weft_plain *plain, const weft_plain_kind *kind,
                                              uint64_t key, uint64_t value) {
    if (2 * (plain->used + 1) > plain->mask + 1) {
        weft_plain_double(plain, kind);
    }
    weft_plain_place *place = weft_plain_find(plain, kind, key);
    plain->used += place->key == 0;
    place->key = place->key == 0 ? key : place->key;
    place->value = value;
}

/* Remove a key and close the gap; the key as it was stored, or 0. */
static WEFT_ALWAYS_INLINE uint64_t weft_plain_remove(weft_plain *plain, const weft_plain_kind *kind,
                                                     uint64_t key) {
    weft_plain_place *gap = weft_plain_find(plain, kind, key);
    uint64_t removed = gap->key;
    uint64_t hole = (uint64_t)(gap - plain->places);
    if (removed == 0) {
        return 0;
    }
    for (uint64_t at = (hole + 1) & plain->mask; plain->places[at].key != 0;
         at = (at + 1) & plain->mask) {
        uint64_t home = kind->hash(plain->places[at].key) & plain->mask;
        if (((at - home) & plain->mask) >= ((at - hole) & plain->mask)) {
            plain->places[hole] = plain->places[at];
            hole = at;
        }
    }
    plain->places[hole] = (weft_plain_place){0, 0};
    plain->used--;
    return removed;
}

#endif
