/* SPDX-License-Identifier: MIT */
/* The layout of engine "lockfree": what its files share: lockfree.c (the
 * protocol), lockfree_move.c (resizing), lockfree_walk.c and lockfree_inspect.c (readers of it),
 * lockfree_close.c (the end of a table). The
 * drawing is in the essay of lockfree.c. */
#ifndef WEFT_ENGINE_LOCKFREE_LAYOUT_H
#define WEFT_ENGINE_LOCKFREE_LAYOUT_H

#include "base/assert.h"
#include "base/atomic.h"
#include "engine/engine.h"
#include <weft/u64map.h>
#include <string.h>

enum { WORDS = 6, PAIRS = 3, BUCKETS_MIN = 64 };

#define FILTER_MASK                                                                                \
    ((uint64_t)0xff) /* one bit for each eighth of the hashes: its keys may be in the overflow */
#define VALID_SHIFT 8
#define VALID_SET ((uint64_t)0x3f) /* once it is shifted down */
#define TOGGLE_SHIFT 3 /* u64 shape: of six bits three are valid slots, the others their toggles */
#define LIVE ((uint64_t)1 << 14)
#define FROZEN_ALONE ((uint64_t)1 << 15)
#define FROZEN (FROZEN_ALONE | FILTER_MASK) /* to set; a lookup asks the filter alone */
#define VERSION_SHIFT 16

#define WORD_FROZEN ((uint64_t)1)
#define WORD_GONE ((uint64_t)2)
#define WORD_UPPER ((uint64_t)4) /* beside FROZEN */
#define WORD_HELD ((uint64_t)4)  /* alone: as it is until its overflow block is replaced */
#define WORD_FIXED (WORD_FROZEN | WORD_HELD)
#define WORD_FLAGS ((uint64_t)7)
#define TAG_SHIFT 48
#define WORD_TAG ((uint64_t)0xffff << TAG_SHIFT)

#define PAIR_USED ((uint64_t)1)
#define PAIR_FROZEN ((uint64_t)2)
#define PAIR_GONE ((uint64_t)4)
#define PAIR_CLAIMED ((uint64_t)8)
#define PAIR_TOGGLE                                                                                \
    ((uint64_t)16) /* of a pair without value: the slot's toggle that it goes with */
#define PAIR_FLAGS_OF_MOMENT (PAIR_FROZEN | PAIR_CLAIMED | PAIR_TOGGLE)
#define PAIR_HASH (~(uint64_t)63)

#define LINK_ADDRESS (((uint64_t)1 << 48) - 1)
#define LINK_VALID_SHIFT 48

typedef struct bucket {
    weft_pair head; /* first: state, second: link */
    union {
        uint64_t words[WORDS];
        weft_pair pairs[PAIRS];
    };
} WEFT_LINE_ALIGNED bucket;

#ifndef WEFT_CALLS_ONLY
_Static_assert(PAIR_USED == WEFT_INLINE_USED && PAIR_HASH == WEFT_INLINE_HASH &&
                   (int)PAIRS == (int)WEFT_INLINE_SLOTS &&
                   offsetof(bucket, pairs) == offsetof(struct weft_inline_bucket, pairs),
               "the header's view of a bucket agrees");
#endif
_Static_assert(sizeof(bucket) == WEFT_CACHE_LINE, "a bucket is one cache line");
_Static_assert(offsetof(bucket, pairs) == 16, "slots follow the head");

/* What a slot holds: the key's hash (bytes shape: 0, it is not at hand), and the word or the
 * value. */
typedef struct cell {
    uint64_t hash;
    uint64_t value;
} cell;

/* What a find leaves for the swing, in weft_position.words. */
enum { AT_BUCKET, AT_STATE, AT_LINK, AT_SLOT, AT_WORD, AT_VALUE, AT_OPEN, AT_HALF };
#define SLOT_NONE UINT64_MAX

/* Slots for what found none in the bucket's line. Which of the last LINK_SLOTS are valid, the link
 * says, as the state says it of the line's; those before are valid as long as the block is linked,
 * and are not filled twice. docs/design/overflow.md. */
typedef struct overflow {
    weft_block block;
    uint64_t capacity;
    weft_pair pairs[]; /* bytes shape: words, two for each */
} overflow;

enum { LINK_SLOTS = 64 - LINK_VALID_SHIFT };

_Static_assert(offsetof(overflow, pairs) == 32, "pairs are aligned without a gap");

/* What lookups that are compiled into the caller see of a generation. */
typedef struct face {
    bucket *buckets;
    uint64_t mask;
} face;

enum { FACES = 8, FACES_BYTES = FACES * sizeof(face) };

/* Aligned to FACES_BYTES: the root is the address of one of the faces. The first has the buckets;
 * behind the others is one frozen bucket for all, while late writers may still be at work in a
 * generation that is becoming a snapshot's image. docs/design/snapshot.md. */
typedef struct generation {
    union {
        struct {
            bucket *buckets;
            uint64_t mask;
        };
        face faces[FACES];
    };
    weft_remains remains; /* of both tables, once all buckets have moved on */
    uint8_t *flags;       /* one a chunk: its groups have moved here from the generation before */
    uint64_t chunks;      /* of the move into this generation; 0 for the first one */
    uint64_t groups;
    struct lockfree_image *image;              /* NULL, or what the generation before becomes */
    struct generation *next WEFT_LINE_ALIGNED; /* set once; buckets move there */
    uint64_t claimed WEFT_LINE_ALIGNED; /* first touches and chunks handed out, of the move */
    uint64_t done WEFT_LINE_ALIGNED;    /* chunks known to be complete, from 0 on */
} generation;

/* A generation as a snapshot's image. */
typedef struct lockfree_image {
    weft_image base;
    generation *gen;
    uint64_t holders;     /* the snapshot, and the chain of generations until all has moved on */
    uint64_t is_void;     /* memory was short: it shows nothing any more */
    weft_remains remains; /* of the generation's tables, when the last holder has let go */
} lockfree_image;

/* Before the first chunk of a move, the first huge page of each half of the new generation is
 * touched, each by a writer of its own. */
enum { FIRST_TOUCHES = 2 };

typedef struct lockfree_table {
    uint64_t floor; /* fewest buckets wanted (reserve) */
    uint64_t growths;
    uint64_t shrinks;
    uint64_t failures;
    uint64_t longest;
    uint64_t closing;       /* buckets of the root that close has freed */
    uint64_t faces_taken;   /* a bit for each */
    uint64_t careful_looks; /* that met a closed door */
    weft_limbo doors;       /* closed ones; what opens them waits for a grace period */
    weft_limbo_stripe doors_stripe;
} lockfree_table;

static inline lockfree_table *table_of(weft_core *core) {
    return core->table;
}

static inline generation *generation_of(const void *root) {
    return (generation *)((uintptr_t)root & ~(uintptr_t)(FACES_BYTES - 1));
}

/* 0: the door is open. */
static inline uint64_t face_of(const void *root) {
    return ((uintptr_t)root & (FACES_BYTES - 1)) / sizeof(face);
}

static inline const face *door_of(const weft_core *core) {
    return weft_load_acquire(&core->root); /* pairs with its CAS */
}

/* Buckets of earlier generations are all moved. NULL: none yet. */
static inline generation *root_of(const weft_core *core) {
    return generation_of(door_of(core));
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

/* Slots of the line, and in the u64 shape toggles, as a set. */
static inline uint64_t valid_slots(uint64_t state) {
    return state >> VALID_SHIFT & VALID_SET;
}

/* All slots of the line. */
static inline uint64_t line_slots(const weft_core *core) {
    return ((uint64_t)1 << slots_of(core->shape)) - 1;
}

/* Of a slot in the line. */
static inline bool slot_is_valid(uint64_t state, uint64_t i) {
    return (state >> (VALID_SHIFT + i) & 1) != 0;
}

/* The slots of a block that are valid as long as it is linked. */
static inline uint64_t always_valid(const overflow *block) {
    return block->capacity > LINK_SLOTS ? block->capacity - LINK_SLOTS : 0;
}

/* A bucket's slots: the line's, then those of its block. */
static inline uint64_t all_slots(const weft_core *core, uint64_t link) {
    const overflow *block = overflow_of(link);
    return slots_of(core->shape) + (block == NULL ? 0 : block->capacity);
}

/* The first of those that link speaks of. */
static inline uint64_t last_slots(const weft_core *core, uint64_t link) {
    const overflow *block = overflow_of(link);
    return slots_of(core->shape) + (block == NULL ? 0 : always_valid(block));
}

/* What link has to say that slot i, which is in the block, is valid; 0: nothing. */
static inline uint64_t link_bit(const weft_core *core, uint64_t link, uint64_t i) {
    uint64_t first = last_slots(core, link);
    return i < first ? 0 : (uint64_t)1 << (LINK_VALID_SHIFT + i - first);
}

static inline bool any_is_valid(const weft_core *core, weft_pair head, uint64_t i) {
    if (i < slots_of(core->shape)) {
        return slot_is_valid(head.first, i);
    }
    uint64_t bit = link_bit(core, head.second, i);
    return bit == 0 || (head.second & bit) != 0;
}

static inline weft_pair *pair_at(bucket *at, uint64_t link, uint64_t i) {
    return i < PAIRS ? &at->pairs[i] : &overflow_of(link)->pairs[i - PAIRS];
}

static inline uint64_t *word_at(bucket *at, uint64_t link, uint64_t i) {
    return i < WORDS ? &at->words[i] : (uint64_t *)overflow_of(link)->pairs + (i - WORDS);
}

static inline bool is_frozen(uint64_t state) {
    return (state & FROZEN_ALONE) != 0;
}

/* The flag for a pair that becomes empty. Inserts are announced for slots of the line only. */
static inline uint64_t toggle_flag(uint64_t state, uint64_t i) {
    return i < PAIRS ? (state >> (VALID_SHIFT + TOGGLE_SHIFT + i) & 1) * PAIR_TOGGLE : 0;
}

/* Does this content hold no key? It is gone, or never was: that counts as gone under toggle 0. */
static inline bool pair_is_empty(uint64_t first) {
    return (first & (PAIR_USED | PAIR_GONE)) != PAIR_USED;
}

/* Has an insert been announced for the slot that has neither filled it nor been stopped? */
static inline bool pair_is_pending(uint64_t state, uint64_t i, uint64_t first) {
    return pair_is_empty(first) && (first & PAIR_TOGGLE) != toggle_flag(state, i);
}

/* A claim of slot i has the other toggle: to an insert that would announce itself it looks like
 * one that is announced. */
static inline uint64_t claim_flags(uint64_t state, uint64_t i) {
    return PAIR_CLAIMED | (toggle_flag(state, i) ^ PAIR_TOGGLE);
}

/* Was the slot announced for another insert while this one reserved it? Then the claim counts for
 * nothing, though the slot is valid. */
static inline bool claim_is_void(uint64_t state, uint64_t i, uint64_t first) {
    return (first & PAIR_CLAIMED) != 0 && (first & PAIR_TOGGLE) == toggle_flag(state, i);
}

/* Of a hash, a word, or the first half of a pair: they begin alike. */
static inline uint64_t filter_bit(uint64_t hash) {
    return (uint64_t)1 << (hash >> 61);
}

static inline uint64_t version_of(uint64_t state) {
    return state >> VERSION_SHIFT;
}

/* Where slots are: the bucket, and its head at one moment. */
typedef struct bucket_view {
    bucket *at;
    weft_pair head;
} bucket_view;

/* What slot i holds; false if it is not valid, or its key is gone. The caller puts the bucket's
 * index into what->hash: it supplies the low bits of the hash. */
static inline bool live_slot(const weft_core *core, const bucket_view *in, uint64_t i, cell *what) {
    uint64_t index = what->hash;
    if (!any_is_valid(core, in->head, i)) {
        return false;
    }
    if (core->shape == WEFT_SHAPE_BYTES) {
        /* pairs with the CAS of its writer */
        *what = (cell){0, weft_load_acquire(word_at(in->at, in->head.second, i))};
        return (what->value & WORD_GONE) == 0;
    }
    const weft_pair *pair = pair_at(in->at, in->head.second, i);
    uint64_t first = weft_load_acquire(&pair->first);   /* pairs with the CAS of its writer */
    uint64_t second = weft_load_acquire(&pair->second); /* pairs with it too */
    *what = (cell){(first & PAIR_HASH) | (index & ~PAIR_HASH), second};
    return (first & (PAIR_USED | PAIR_GONE | PAIR_CLAIMED)) == PAIR_USED;
}

/* The hash of a cell's key. Looks at the entry if need be: it must be in the map, or under a guard
 * that is older than its removal. */
static inline uint64_t cell_hash(const weft_core *core, const cell *what) {
    if (core->shape == WEFT_SHAPE_U64) {
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
    if (next->mask <= gen->mask) {
        return index & next->mask;
    }
    if (core->shape == WEFT_SHAPE_BYTES && (what->value & WORD_FROZEN) != 0) {
        return index + ((what->value & WORD_UPPER) != 0 ? gen->mask + 1 : 0);
    }
    return cell_hash(core, what) & next->mask;
}

/* One that was never published, so that its tables have not been touched. */
static inline void generation_free(weft_core *core, generation *gen) {
    weft_core_free_table(core, gen->buckets, (gen->mask + 1) * sizeof(bucket));
    if (gen->chunks != 0) {
        weft_core_free_table(core, gen->flags, gen->chunks);
    }
    weft_core_free(core, gen, sizeof *gen, FACES_BYTES);
}

static inline bucket *bucket_at(const generation *gen, uint64_t hash) {
    return &gen->buckets[hash & gen->mask];
}

/* Begin to bring the beginning of an object. An address that is none does no harm. */
static inline void prefetch_two_lines(uintptr_t address) {
    __builtin_prefetch((const void *)address);
    __builtin_prefetch((const void *)(address + WEFT_CACHE_LINE));
}

/* Begin to bring the overflow block. Only a hint: what the link says may change meanwhile. */
static inline void overflow_prefetch(const bucket *at) {
    prefetch_two_lines(weft_load_relaxed(&at->head.second) & LINK_ADDRESS);
}

/* lockfree_move.c */
uint64_t weft_lockfree_buckets_for(const weft_core *core, uint64_t entries);
generation *weft_lockfree_generation_new(weft_core *core, uint64_t buckets, const generation *from);
generation *weft_lockfree_first_generation(weft_core *core);
bool weft_lockfree_move_bucket(weft_core *core, generation *from, uint64_t hash);
void weft_lockfree_move_some(weft_core *core, generation *from, generation *to);
void weft_lockfree_consider_growth(weft_core *core, uint32_t in_bucket);
void weft_lockfree_consider_shrink(weft_core *core);
int weft_lockfree_reserve(weft_core *core, uint64_t entries);
int weft_lockfree_shrink(weft_core *core);
bool weft_lockfree_maintain(weft_core *core, size_t budget);

/* A resize's share of one writer: at most GROUPS_PER_CHUNK groups, twice. */
static inline void lockfree_help_move(weft_core *core) {
    WEFT_ASSERT(weft_epoch_inside());
    generation *from = root_of(core);
    generation *to =
        from == NULL ? NULL : weft_load_acquire(&from->next); /* pairs with begin_move */
    if (WEFT_UNLIKELY(to != NULL)) {
        weft_lockfree_move_some(core, from, to);
    }
}

enum { SHRINK_ASK_MASK = 127 };

/* A removal asks now and then whether the table has become too large. */
static inline void lockfree_removed(weft_core *core) {
    bool own;
    weft_core_stripe *stripe = weft_core_my_stripe(core, &own);
    if (WEFT_UNLIKELY((weft_load_relaxed(&stripe->entries) & SHRINK_ASK_MASK) == 0)) {
        weft_lockfree_consider_shrink(core);
    }
}

/* lockfree.c, u64 shape: of plain writes, what concerns overflow blocks. Both inside a guard. */
bool weft_lockfree_insert_first_beyond(weft_core *core, bucket *at, uint64_t state, cell added);
void weft_lockfree_removed_beyond(weft_core *core, bucket *at);

/* lockfree_snapshot.c */
void weft_lockfree_doors_make(weft_core *core, lockfree_table *table);
bool weft_lockfree_doors_open(weft_core *core, lockfree_table *table);
bool weft_lockfree_becomes_image(const generation *gen);
void weft_lockfree_move_to_image(weft_core *core, generation *gen, uint64_t hash);
bool weft_lockfree_look_behind_door(weft_core *core, generation *gen, uint64_t hash);
void weft_lockfree_image_let_go(weft_core *core, lockfree_image *image);
int weft_lockfree_snapshot(weft_core *core, weft_image **image);
int weft_lockfree_image_look(weft_core *core, weft_image *image, const weft_key *key,
                             uint64_t *cell);
int weft_lockfree_image_next(weft_core *core, weft_image *image, weft_image_cell *at);
bool weft_lockfree_image_holds(weft_core *core, const weft_image *image, const weft_key *key,
                               uint64_t cell);
void weft_lockfree_image_release(weft_core *core, weft_image *image);

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
