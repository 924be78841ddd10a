/* SPDX-License-Identifier: MIT */
/* The layout of engine "lockfree": what its files share: lockfree.c (the
 * protocol), lockfree_walk.c and lockfree_inspect.c (readers of it),
 * lockfree_close.c (the end of a table). The
 * drawing is in the essay of lockfree.c. */
#ifndef WEFT_ENGINE_LOCKFREE_LAYOUT_H
#define WEFT_ENGINE_LOCKFREE_LAYOUT_H

#include "base/assert.h"
#include "base/atomic.h"
#include "engine/engine.h"
#include <string.h>

enum { WORDS = 6, PAIRS = 3, BUCKETS_MIN = 64 };

#define VALID_MASK ((uint64_t)0x3f)
#define LIVE ((uint64_t)1 << 6)
#define FROZEN ((uint64_t)1 << 7)
#define VERSION_SHIFT 8

#define WORD_FROZEN ((uint64_t)1)
#define WORD_GONE ((uint64_t)2)
#define WORD_UPPER ((uint64_t)4)
#define WORD_FLAGS ((uint64_t)7)
#define WORD_TAG ((uint64_t)0xffff << 48)

#define PAIR_USED ((uint64_t)1)
#define PAIR_FROZEN ((uint64_t)2)
#define PAIR_GONE ((uint64_t)4)
#define PAIR_CLAIMED ((uint64_t)8)
#define PAIR_HASH (~(uint64_t)63)

#define LINK_ADDRESS (((uint64_t)1 << 48) - 1)
#define LINK_DYING_SHIFT 48

typedef struct bucket {
    weft_pair head; /* first: state, second: link */
    union {
        uint64_t words[WORDS];
        weft_pair pairs[PAIRS];
    };
} WEFT_LINE_ALIGNED bucket;

_Static_assert(sizeof(bucket) == WEFT_CACHE_LINE, "a bucket is one cache line");
_Static_assert(offsetof(bucket, pairs) == 16, "slots follow the head");

/* A key and its cell on the move: the key's hash (bytes shape: 0 if it is not at hand), and the
 * word or the value. */
typedef struct cell {
    uint64_t hash;
    uint64_t value;
} cell;

/* Entries that found no slot. Immutable, but for the dead marks of cells that were announced as
 * dying. */
typedef struct overflow {
    weft_block block;
    uint32_t count;
    uint32_t capacity;
    uint64_t *dead; /* one bit a cell, behind the cells */
    cell cells[];
} overflow;

typedef struct generation {
    weft_block block;
    bucket *buckets;
    uint64_t mask;
    uint8_t *flags;  /* one a chunk: its groups have moved here from the generation before */
    uint64_t chunks; /* of the move into this generation; 0 for the first one */
    uint64_t groups;
    struct generation *next WEFT_LINE_ALIGNED; /* set once; buckets move there */
    uint64_t claimed WEFT_LINE_ALIGNED;        /* chunks handed out, of the move into this one */
    uint64_t done WEFT_LINE_ALIGNED;           /* chunks known to be complete, from 0 on */
} generation;

typedef struct lockfree_table {
    generation *root; /* buckets of earlier generations are all moved */
    uint64_t floor;   /* fewest buckets wanted (reserve) */
    uint64_t growths;
    uint64_t shrinks;
    uint64_t failures;
    uint64_t longest;
    uint64_t closing; /* buckets of the root that close has freed */
} lockfree_table;

static inline lockfree_table *table_of(weft_core *core) {
    return core->table;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static inline unsigned slots_of(weft_shape shape) {
    return shape == WEFT_SHAPE_U64 ? PAIRS : WORDS;
}

/* Entries a bucket may hold on average before the table grows. In halves: 4.5 and 2. */
static inline uint64_t load_in_halves(const weft_core *core) {
    return core->shape == WEFT_SHAPE_U64 ? 4 : 9;
}

static inline weft_entry *word_entry(uint64_t word) {
    return (weft_entry *)(uintptr_t)(word & ~WORD_TAG & ~WORD_FLAGS);
}

static inline uint64_t word_of(uint64_t entry, uint64_t hash) {
    return entry | (hash & WORD_TAG);
}

static inline overflow *overflow_of(uint64_t link) {
    return (overflow *)(uintptr_t)(link & LINK_ADDRESS);
}

static inline uint64_t version_of(uint64_t state) {
    return state >> VERSION_SHIFT;
}

/* Is cell `i` of the block behind `link` removed, or being removed? */
static inline bool overflow_is_dead(const overflow *block, uint64_t link, uint32_t i) {
    return link >> LINK_DYING_SHIFT == i + 1 ||
           (weft_load_relaxed(&block->dead[i / 64]) >> (i % 64) & 1) != 0;
}

/* What slot i, which is valid, holds; false if its key is gone. The caller puts the bucket's index
 * into what->hash: it supplies the low bits of the hash. */
static inline bool live_slot(const weft_core *core, bucket *at, unsigned i, cell *what) {
    uint64_t index = what->hash;
    WEFT_ASSERT(i < slots_of(core->shape));
    if (core->shape == WEFT_SHAPE_BYTES) {
        *what = (cell){0, weft_load_acquire(&at->words[i])}; /* pairs with the CAS of its writer */
        return (what->value & WORD_GONE) == 0;
    }
    uint64_t first = weft_load_acquire(&at->pairs[i].first); /* pairs with the CAS of its writer */
    uint64_t second = weft_load_acquire(&at->pairs[i].second); /* pairs with it too */
    *what = (cell){(first & PAIR_HASH) | (index & ~PAIR_HASH), second};
    return (first & (PAIR_GONE | PAIR_CLAIMED)) == 0;
}

/* The hash of a cell's key. Looks at the entry if need be: it must be in the map, or under a guard
 * that is older than its removal. */
static inline uint64_t cell_hash(const weft_core *core, const cell *what) {
    if (core->shape == WEFT_SHAPE_U64 || what->hash != 0) {
        return what->hash;
    }
    const weft_entry *entry = word_entry(what->value);
    return weft_core_hash_bytes(core,
                                weft_bytes_of(weft_entry_key(entry), weft_entry_key_size(entry)));
}

/* The bucket of the next generation to which a cell of bucket `index` belongs. A frozen word says
 * so by itself: its entry may have been removed there, and freed, since. */
static inline uint64_t cell_target(const weft_core *core, const generation *gen, uint64_t index,
                                   const cell *what) {
    const generation *next = weft_load_acquire(&gen->next); /* pairs with begin_move */
    WEFT_ASSERT(next != NULL && index <= gen->mask);
    if (next->mask < gen->mask) {
        return index & next->mask;
    }
    if (core->shape == WEFT_SHAPE_BYTES && what->hash == 0 && (what->value & WORD_FROZEN) != 0) {
        return index + ((what->value & WORD_UPPER) != 0 ? gen->mask + 1 : 0);
    }
    return cell_hash(core, what) & next->mask;
}

static inline void generation_free(weft_core *core, generation *gen) {
    weft_core_free_table(core, gen->buckets, (gen->mask + 1) * sizeof(bucket));
    if (gen->chunks != 0) {
        weft_core_free_table(core, gen->flags, gen->chunks);
    }
    weft_core_free(core, gen, sizeof *gen, WEFT_CACHE_LINE);
}

/* lockfree_close.c */
bool weft_lockfree_close(weft_core *core, size_t budget,
                         void (*drop)(weft_core *core, uint64_t cell));

/* lockfree_walk.c */
void weft_lockfree_walk(weft_core *core, weft_step *step);

/* lockfree_inspect.c */
void weft_lockfree_stats(weft_core *core, weft_map_stats *stats);
int weft_lockfree_check(weft_core *core, char *text, size_t capacity);
void weft_lockfree_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx);

#endif
