/* SPDX-License-Identifier: MIT */
/* The layout of engine "cow": what its files share: cow.c (the operations), cow_version.c (copies).
 * The drawing is in the essay of cow.c. */
#ifndef WEFT_ENGINE_COW_LAYOUT_H
#define WEFT_ENGINE_COW_LAYOUT_H

#include "base/lock.h"
#include "engine/lockfree_layout.h"

/* In a bucket's link: index + 1 of its first cell outside of the slots, and how many there are. */
#define LINK_INDEX (((uint64_t)1 << 32) - 1)
#define LINK_ONE ((uint64_t)1 << 32)

#define MORE_GONE ((uint64_t)1 << 63)

/* A cell that found no slot. */
typedef struct more {
    cell what;
    uint64_t next; /* of its bucket: index + 1, or 0; MORE_GONE: this one was removed in place */
} more;

/* A table as it is for good, but for marks. */
typedef struct version {
    generation gen; /* what readers see: buckets, mask */
    weft_block block;
    more *cells;
    uint64_t count;
    uint64_t capacity;
    uint64_t entries;         /* marked ones too */
    uint64_t marks;           /* removed in place; under the lock */
    uint64_t longest;         /* entries in a bucket, seen by an insert */
    uint64_t removed_version; /* bytes shape: no key that is not here had a greater one */
    uint64_t holders;         /* the root, and images */
} version;

typedef struct cow_table {
    weft_mutex lock;
    uint64_t floor; /* fewest buckets wanted */
    uint64_t growths;
    uint64_t shrinks;
    uint64_t failures;
    uint64_t closing; /* buckets that close has dropped */
    uint64_t bytes;   /* of versions that are not retired */
    uint64_t retired; /* bytes, since the last attempt to end a grace period */
    bucket *spare; /* what the next copy of as many buckets begins with: no page to be had anew */
    uint64_t spare_mask;
} cow_table;

typedef struct cow_image {
    weft_image base;
    weft_block block;
    version *shown;
} cow_image;

static inline cow_table *cow_of(weft_core *core) {
    return core->table;
}

static inline version *root_version(const weft_core *core) {
    generation *root = root_of(core);
    return root == NULL ? NULL : WEFT_CONTAINER(root, version, gen);
}

/* ---- cells of a bucket ----------------------------------------------------------------------- */

/* A place in a bucket. */
typedef struct place {
    bucket *at;
    uint64_t index; /* of the bucket */
    unsigned slot;  /* the next one to look at */
    uint64_t *link; /* NULL: it is in a slot; else what led to the cell */
    cell what;
    bool gone; /* marked */
} place;

static inline place place_of(const version *v, uint64_t hash) {
    uint64_t index = hash & v->gen.mask;
    return (place){.at = &v->gen.buckets[index], .index = index};
}

static inline void slot_cell(const weft_core *core, place *p, unsigned i) {
    if (core->shape == WEFT_SHAPE_BYTES) {
        uint64_t word = weft_load_acquire(&p->at->words[i]); /* pairs with the store of a mark */
        p->gone = (word & WORD_GONE) != 0;
        p->what = (cell){0, word & ~WORD_FLAGS};
    } else {
        uint64_t first = weft_load_acquire(&p->at->pairs[i].first); /* likewise */
        p->gone = (first & PAIR_GONE) != 0;
        p->what = (cell){(first & PAIR_HASH) | (p->index & ~PAIR_HASH), p->at->pairs[i].second};
    }
}

/* The next cell, marked or not; false: there is none. */
static inline bool next_cell(const weft_core *core, const version *v, place *p) {
    WEFT_ASSERT(p->at == &v->gen.buckets[p->index]);
    while (p->slot < slots_of(core->shape)) {
        unsigned i = p->slot++;
        if (slot_is_valid(p->at->head.first, i)) {
            slot_cell(core, p, i);
            return true;
        }
    }
    uint64_t *link = &p->at->head.second;
    if (p->link != NULL) {
        link = &v->cells[(weft_load_relaxed(p->link) & LINK_INDEX) - 1].next;
    }
    uint64_t number = weft_load_relaxed(link) & LINK_INDEX;
    p->link = link;
    if (number == 0) {
        return false;
    }
    more *here = &v->cells[number - 1];
    p->what = here->what;
    p->gone = (weft_load_acquire(&here->next) & MORE_GONE) != 0; /* pairs with the mark's store */
    return true;
}

/* Whether cells that were removed in place count. */
typedef enum marked { WITHOUT_MARKED, WITH_MARKED } marked;

/* The next cell that counts. */
static inline bool next_that_counts(const weft_core *core, const version *v, marked which,
                                    place *p) {
    bool any;
    do {
        any = next_cell(core, v, p);
    } while (any && p->gone && which == WITHOUT_MARKED);
    return any;
}

static inline bool is_key(const weft_core *core, const cell *what, const weft_key *key) {
    if (core->shape == WEFT_SHAPE_U64) {
        return what->hash == key->hash;
    }
    return ((what->value ^ key->hash) & WORD_TAG) == 0 &&
           weft_entry_has_key(word_entry(what->value), key->bytes);
}

/* The key's place in a version; NULL has none. */
static inline bool find_cell(const weft_core *core, const version *v, const weft_key *key,
                             place *p) {
    if (v == NULL) {
        return false;
    }
    *p = place_of(v, key->hash);
    bool elsewhere = (p->at->head.first & filter_bit(key->hash)) != 0;
    while ((elsewhere || p->slot < slots_of(core->shape)) &&
           next_that_counts(core, v, WITHOUT_MARKED, p)) {
        if (is_key(core, &p->what, key)) {
            return true;
        }
    }
    return false;
}

static inline uint64_t public_cell(const weft_core *core, const cell *what) {
    return core->shape == WEFT_SHAPE_U64 ? what->value : (uintptr_t)word_entry(what->value);
}

static inline uint64_t stored_value(const weft_core *core, uint64_t hash, uint64_t public_value) {
    return core->shape == WEFT_SHAPE_U64 ? public_value : word_of(public_value, hash);
}

/* ---- versions (cow_version.c) ---------------------------------------------------------------- */

/* All under the lock. Of versions that nobody sees yet: false, or NULL, without memory. */
version *weft_cow_copy(weft_core *core, const version *from);
version *weft_cow_resized(weft_core *core, const version *from, uint64_t buckets);
bool weft_cow_add(weft_core *core, version *v, const cell *what);
void weft_cow_drop(const weft_core *core, version *v, const place *p);
/* Another value in the place of the one that is there. */
void weft_cow_set(const weft_core *core, version *v, const place *p, const cell *what);
void weft_cow_free_spare(weft_core *core);

size_t weft_cow_bytes(const version *v);
/* Nobody looks at it any more. */
void weft_cow_free(weft_core *core, version *v);

#endif
