/* SPDX-License-Identifier: MIT */
/* The layout of engine "twotier": what its files share: twotier.c (the operations),
 * twotier_tier.c (tiers: rebuild, promotion, and when it is due), twotier_move.c (the directory of
 * leaves), twotier_inspect.c (figures, check, the end of a table). The drawing is in the essay of
 * twotier.c, the protocol in docs/design/twotier.md. */
#ifndef WEFT_ENGINE_TWOTIER_LAYOUT_H
#define WEFT_ENGINE_TWOTIER_LAYOUT_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "engine/engine.h"
#include <string.h>

#if defined(WEFT_SCHED) && WEFT_SCHED
enum { LEAF_ENTRIES = 3, LEAF_ENTRIES_MIN = 1, PURGE_MIN = 2 }; /* schedules are short */
#else
/* Incremental: the directory doubles at so many boxes a leaf, and is halved below the second; a
 * leaf gets rid of removed keys from the third on. */
enum { LEAF_ENTRIES = 24, LEAF_ENTRIES_MIN = 4, PURGE_MIN = 4 };
#endif
enum { SLOTS_MIN = 8, SLOTS_SMALL = 64, SLOTS_IN_PLACE = 512, DIRECTORY_BITS_MAX = 40 };
#define SLOTS_MAX ((uint64_t)1 << 48) /* more than there is memory for */
enum { FACTOR_ONE = 16 };             /* factors of the promotion rule are sixteenths */

/* ---- boxes ----------------------------------------------------------------------------------- */

#define BOX_PRESENT ((uint64_t)1)
#define BOX_DELETED ((uint64_t)2)  /* Go's nil: the key is absent, its box is in all tiers */
#define BOX_EXPUNGED ((uint64_t)3) /* absent, and the box is not in the dirty tier */
#define BOX_STATE ((uint64_t)3)
#define BOX_FIRST ((uint64_t)4) /* number of the first state */
#define CHAIN_END ((uint64_t)1)

/* A key and its cell, which both tiers share. */
typedef struct box {
    weft_block block; /* its link: the chain of expunged boxes of a leaf; 0: in none */
    uint64_t hash;
    /* First: state, and above it a number that each change of state raises. Second: the value or
     * the entry's address; if absent, in the bytes shape: no removed version was greater. */
    weft_pair cell;
    unsigned char key[]; /* bytes shape; its size is what block.bytes has beyond a box */
} box;

_Static_assert(sizeof(box) == 48, "a box costs 48 bytes, and its key");

static inline uint64_t box_state(weft_pair cell) {
    return cell.first & BOX_STATE;
}

static inline uint64_t box_next_state(weft_pair cell, uint64_t state) {
    return ((cell.first | BOX_STATE) + 1) | state;
}

/* State and value at one moment: states never come back, so one that is the same before and after
 * was there throughout. */
static inline weft_pair box_read(const box *at) {
    weft_pair seen;
    do {
        seen.first = weft_load_acquire(&at->cell.first);   /* pairs with the CAS of the cell */
        seen.second = weft_load_acquire(&at->cell.second); /* likewise: the entry's bytes */
#if WEFT_MUTANT == 32                                      /* a value of another state */
        break;
#endif
        /* Acquire: what the CAS released that set `second` alone; it is one CAS of both words. */
    } while (WEFT_UNLIKELY(weft_load_acquire(&at->cell.first) != seen.first));
    return seen;
}

/* ---- tiers ----------------------------------------------------------------------------------- */

#define SLOT_TAG_SHIFT 48
#define SLOT_ADDRESS (((uint64_t)1 << SLOT_TAG_SHIFT) - 1)

/* A table of boxes with linear probing, without removal. It never changes once it is a read
 * tier. */
typedef struct tier {
    weft_block block;
    uint64_t *slots;       /* upper 16 bits of the hash, address of the box; 0: free */
    weft_remains *remains; /* of a large one, whose slots are memory of their own; else NULL */
    uint64_t mask;
    uint64_t count;
    uint64_t shift; /* the home of a hash is its bits from here on */
} tier;

static inline box *slot_box(uint64_t slot) {
    return (box *)(uintptr_t)(slot & SLOT_ADDRESS);
}

static inline bool box_has_key(const weft_core *core, const box *at, const weft_key *key) {
    return at->hash == key->hash && (core->shape == WEFT_SHAPE_U64 ||
                                     (at->block.bytes - sizeof *at == key->bytes.size &&
                                      weft_same_bytes(at->key, key->bytes.data, key->bytes.size)));
}

/* The key's box, or NULL; of no tier, too. */
static inline box *tier_find(const weft_core *core, const tier *in, const weft_key *key) {
    if (in == NULL) {
        return NULL;
    }
    for (uint64_t i = key->hash >> in->shift;; i++) {
        uint64_t slot = in->slots[i & in->mask];
        if (slot == 0) {
            return NULL;
        }
        if (slot >> SLOT_TAG_SHIFT == key->hash >> SLOT_TAG_SHIFT &&
            WEFT_LIKELY(box_has_key(core, slot_box(slot), key))) {
            return slot_box(slot);
        }
    }
}

static inline uint64_t tier_count(const tier *of) {
    return of == NULL ? 0 : of->count;
}

static inline uint64_t tier_slots(const tier *of) {
    return of == NULL ? 0 : of->mask + 1;
}

/* ---- leaves and their directory -------------------------------------------------------------- */

#define READ_AMENDED ((uint64_t)1) /* the dirty tier has keys that the read tier lacks */
#define READ_LIVE ((uint64_t)2)    /* 0: the leaf has not been moved here yet */
#define READ_TIER (~(uint64_t)7)

/* Go's Map: all of the map, or, in incremental mode, the keys of one part of the hash space. All
 * but `read` and `removed` belongs to the lock. */
typedef struct leaf {
    uint64_t read; /* address of the tier, flags; readers have this line to themselves */
    uint64_t unused[7];
    tier *dirty;
    uint64_t misses;
    uint64_t chain;    /* boxes that were expunged since the last promotion; 0: none */
    uint64_t departed; /* of its targets, in the next directory */
    int64_t removed;   /* incremental: boxes that became DELETED, about */
    bool empty;        /* all departed: what `read` leads to is retired */
    uint64_t spare[2];
} WEFT_LINE_ALIGNED leaf;

_Static_assert(sizeof(leaf) == 2 * WEFT_CACHE_LINE, "readers and writers have a line each");

static inline tier *read_tier(uint64_t read) {
    return (tier *)(uintptr_t)(read & READ_TIER);
}

/* Under the lock: the tier that has all keys of the leaf. */
static inline tier *leaf_whole(const leaf *of) {
    return of->dirty != NULL ? of->dirty : read_tier(weft_load_relaxed(&of->read));
}

typedef struct directory {
    weft_remains remains;
    struct directory *older; /* leaves that have not moved are still there; NULL: none */
    uint64_t mask;
    unsigned bits;
    uint64_t unmoved; /* leaves */
    uint64_t cursor;  /* those before it are moved */
    leaf *leaves;
} directory;

/* What the locked part of an operation leaves to be retired after it: retiring may run
 * destructors. */
typedef struct trash {
    uint64_t first;
} trash;

static inline void trash_add(trash *heap, weft_block *block) {
    block->link = heap->first;
    heap->first = (uintptr_t)block;
}

/* A miss, from the lock on; all 0 if it is not measured. */
typedef struct watched {
    uint64_t since;
    uint64_t until;
} watched;

/* What the adaptive rule knows; 0: nothing yet. */
typedef struct lesson {
    double miss_ns;   /* what a miss has beyond a hit: the lock, and a lookup in vain */
    double copy_ns;   /* copying in a cycle, for each entry of dirty at its end */
    double copied_ns; /* in this cycle so far */
    double rate;      /* misses in a nanosecond, of late */
    uint64_t misses;
    uint64_t watch_at; /* so many misses: the next one is measured */
    uint64_t last;     /* measured miss: when, and which */
    uint64_t last_misses;
    uint64_t look_ns;     /* what looking at the clock takes */
    uint64_t quiet_count; /* of keys in dirty, since the leaf had so many misses: no new one */
    uint64_t quiet_from;
    double lasted; /* this cycle, to the last measured miss */
    bool promoted; /* ever */
    bool watch;    /* measure the next miss */
} lesson;

typedef struct twotier_table {
    directory *directory; /* the newest; readers have this line to themselves */
    bool incremental;
    bool adaptive;
    weft_mutex lock WEFT_LINE_ALIGNED; /* of all that follows */
    uint64_t factor;                   /* promote at so many misses for each key of dirty */
    uint64_t slots_floor;              /* fewest slots wanted in a tier; of leaves, incremental */
    uint64_t version_floor;            /* no key that was dropped had a greater version */
    uint64_t boxes;                    /* in tiers, not expunged */
    uint64_t box_bytes;                /* of all */
    uint64_t table_bytes;              /* tiers and directories */
    weft_tier_stats totals;
    uint64_t growths;
    uint64_t shrinks;
    uint64_t failures;
    uint64_t moved;
    lesson lesson;
    uint64_t closing_leaf;
    uint64_t closing_slot;
    directory first; /* with one leaf */
    leaf first_leaf;
} twotier_table;

static inline twotier_table *table_of(const weft_core *core) {
    return core->table;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* Where the keys of a hash are at the moment, and what is its read tier. */
typedef struct place {
    uint64_t hash;
    directory *directory; /* the newest one */
    leaf *leaf;
    uint64_t read;
    unsigned bits; /* the leaf's keys that belong to one leaf of the newest share so many */
} place;

static inline place place_of(const weft_core *core, uint64_t hash) {
    for (;;) {
        place at;
        at.hash = hash;
        at.directory = weft_load_acquire(&table_of(core)->directory); /* pairs with begin_move */
        at.leaf = &at.directory->leaves[hash & at.directory->mask];
        at.read = weft_load_acquire(&at.leaf->read); /* pairs with the stores of `read` */
        at.bits = at.directory->bits;
        if (WEFT_LIKELY(at.read != 0)) {
            return at;
        }
        directory *older = weft_load_acquire(&at.directory->older); /* pairs with begin_move */
        if (older != NULL) {
            at.leaf = &older->leaves[hash & older->mask];
            at.bits = older->bits > at.bits ? older->bits : at.bits;
            at.read = weft_load_acquire(&at.leaf->read); /* pairs with the stores of `read` */
            return at;
        }
    }
}

static inline bool place_is_newest(const place *at) {
    return at->leaf == &at->directory->leaves[at->hash & at->directory->mask];
}

/* ---- twotier_tier.c: all under the lock ------------------------------------------------------ */

/* Which boxes of which tiers come into a new one. What is deleted is expunged in place of that, and
 * chained to the leaf it was in. */
typedef struct gather {
    const tier *from[2];
    leaf *leaves[2];
    unsigned parts;
    uint64_t mask; /* those with hash & mask == target */
    uint64_t target;
    uint64_t room; /* for so many more */
    uint64_t slots_floor;
    uint64_t shift;
} gather;

uint64_t weft_twotier_slots_for(uint64_t entries);
/* NULL without memory: then nothing has changed. */
tier *weft_twotier_gather(weft_core *core, const gather *what);
/* A dirty tier with room for `room` more. */
bool weft_twotier_ensure_dirty(weft_core *core, const place *at, uint64_t room);
void weft_twotier_add_dirty(weft_core *core, leaf *to, box *fresh);
/* Set `fresh`, NULL or dirty, as the read tier; dirty is none after that. */
void weft_twotier_replace_read(weft_core *core, leaf *of, tier *fresh, trash *heap);
void weft_twotier_promote(weft_core *core, leaf *of, trash *heap);
void weft_twotier_miss(weft_core *core, const place *at, watched miss, trash *heap);
/* A read tier with all keys and no deleted ones; false without memory. */
bool weft_twotier_purge(weft_core *core, const place *at, trash *heap);
/* A leaf all of whose keys are elsewhere. */
void weft_twotier_leaf_empty(weft_core *core, leaf *of, trash *heap);
/* Takes boxes that are in use again off the chain. */
void weft_twotier_prune_chain(weft_core *core, leaf *of);
void weft_twotier_tier_free(weft_core *core, tier *unused, bool closed);
/* Misses at which `entries` in the dirty tier are promoted. */
uint64_t weft_twotier_threshold(const weft_core *core, uint64_t entries);

/* ---- twotier_learn.c: under the lock --------------------------------------------------------- */

void weft_twotier_learn_start(twotier_table *table, const weft_twotier_options *options);
/* The time, if what comes is to be measured, else 0: a miss (without the lock), or a copy of so
 * many entries. */
uint64_t weft_twotier_watch(const twotier_table *table);
uint64_t weft_twotier_watch_copies(const twotier_table *table, uint64_t entries);
watched weft_twotier_watched(uint64_t since);
/* True: it pays to promote now. */
bool weft_twotier_saw_miss(weft_core *core, const leaf *of, watched miss);
void weft_twotier_saw_copies(twotier_table *table, uint64_t since, uint64_t entries);
void weft_twotier_saw_promotion(twotier_table *table, uint64_t entries);

/* ---- twotier_move.c: all under the lock ------------------------------------------------------ */

/* The leaf where a key may be inserted; false without memory. */
bool weft_twotier_settle(weft_core *core, uint64_t hash, place *at, trash *heap);
/* Move as many leaves; WEFT_OK: none are left to move · WEFT_E_BUSY · WEFT_E_NOMEM. */
int weft_twotier_move_some(weft_core *core, uint64_t budget, trash *heap);
/* The same, after it has begun to change the number of leaves, if that is due. */
int weft_twotier_progress(weft_core *core, uint64_t budget, trash *heap);
uint64_t weft_twotier_leaves_for(uint64_t entries);
/* Begin to move to so many leaves; WEFT_OK · WEFT_UNCHANGED · WEFT_E_NOMEM. No move is under
 * way. */
int weft_twotier_begin_move(weft_core *core, uint64_t leaves);

/* ---- twotier.c ------------------------------------------------------------------------------- */

void weft_twotier_unlock(weft_core *core, trash *heap);

/* ---- twotier_inspect.c ----------------------------------------------------------------------- */

bool weft_twotier_close(weft_core *core, size_t budget,
                        void (*drop)(weft_core *core, uint64_t cell));
void weft_twotier_stats(weft_core *core, weft_map_stats *stats);
int weft_twotier_check(weft_core *core, char *text, size_t capacity);
void weft_twotier_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx);

#endif
