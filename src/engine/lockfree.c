/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": reads without stores, writes by compare and swap, resizing by everybody in
 * passing.
 *
 * Design
 *   An array of buckets, each one cache line, indexed by the low bits of the hash. A key lives in
 *   its bucket's slots or, when these are taken, in the bucket's overflow block. The bucket's head
 *   says which slots are valid; its version changes with every change of that set. So there is one
 *   point that serialises inserts of a key, and a reader that finds the head unchanged has seen one
 *   moment. Values change in place, by a compare and swap of the slot alone.
 *   A resize publishes a next generation. Buckets move one by one: the sources are frozen, every
 *   helper computes the same image of the targets from them, and writes it into slots that are
 *   still zero. A helper that stops blocks nobody. docs/design/{bucket,update,growth}.md have the
 *   states, each CAS, the linearization points and the reasons for the memory orders.
 *
 * Layout
 *   bucket    0         8        16                                        64
 *             +---------+---------+----------------------------------------+
 *             |  state  |  link   |  bytes: 6 words · u64: 3 pairs         |
 *             +---------+---------+----------------------------------------+
 *   state     63                  16 15           8   7     6    5         0
 *             | version, 48 bits    | filter       |FROZEN|LIVE| valid slots|      0 = untouched
 *             a bit of the filter says that the overflow block may have keys of its eighth
 *   link      63      48 47                        0
 *             | dying  | overflow block            |      dying = index + 1 of a cell being removed
 *   word      | 16 bits of hash | address of entry | 000, frozen 001 or 101 (UPPER) |  bytes shape
 *             | version of the removal << 3        | 010 GONE                       |
 *   pair      | hash without its low 6 bits          | flags | value |               u64 shape
 *             the low bits of the hash are those of the bucket's index, as there are 64 buckets or
 *             more
 *
 * Concurrency
 *   Lock-free: a failed CAS means that another operation took effect, or that a resize moved on.
 *   insert   CAS slot (reserve, not valid yet) · CAS state (valid: the linearization point);
 *            u64 shape, first attempt (lockfree_u64.h): CAS state (announce) · CAS slot (fill: the
 *            linearization point); later ones: CAS slot (claim) · CAS state (valid) · CAS slot
 *            (fill: the linearization point)
 *   update   CAS slot (linearization point)
 *   remove   CAS slot to GONE (linearization point) · bytes shape: CAS state (the slot is free)
 *   find     no store; the head is read before and after the slots
 *   overflow every change is one CAS of {state, link}; blocks are immutable but for a dead mark
 *   move     CAS state FROZEN · CAS each valid slot FROZEN · CAS target slots 0 → image · CAS
 *            target head
 *
 * Rejected
 *   Reserving slots through the head (two CASes on one word and plain stores between): the same
 *   number of CASes, and two more states. A link arena with indices: its size caps the load, and a
 *   chain longer than it can hold has no place to go. A removal counter for growth: the length is
 *   known from stripes, and is read only when a bucket overflows.
 *
 * Credits
 *   DLHT (bounded cache-line buckets, headers with slot states), CLHT (snapshot words), growt
 *   (marked migration), picos Htbl (idempotent helpers), junction (invertible hashes in place of
 *   keys), parlayhash (growth by bucket pressure).
 */
#include "engine/lockfree_layout.h"
#include "engine/lockfree_overflow.h"
#include "engine/lockfree_u64.h"

enum {
    BUCKET_BITS_MAX = 44,
    MOVE_FACTOR = 2,      /* a next generation is so much larger or smaller */
    GROUPS_PER_CHUNK = 4, /* what one writer moves in passing */
    CHUNKS_CHECKED = 64,  /* flags one writer looks at when all chunks were handed out */
    SHRINK_DIVISOR = 8,   /* shrink below 1/8 of the load at which it grows */
};

static bucket *bucket_at(const generation *gen, uint64_t hash) {
    return &gen->buckets[hash & gen->mask];
}

/* ---- overflow blocks ------------------------------------------------------------------------- */

/* Finish the removal that the link announces: mark the cell dead, then take the announcement
 * back. */
static void overflow_bury(weft_core *core, bucket *at, uint64_t state, uint64_t link) {
    WEFT_ASSERT(link >> LINK_DYING_SHIFT != 0 && overflow_of(link) != NULL);
    overflow *block = overflow_of(link);
    uint32_t i = (uint32_t)(link >> LINK_DYING_SHIFT) - 1;
    /* Release: whoever sees the announcement gone sees the mark. Pairs with the CAS below. */
    weft_fetch_or_acq_rel(&block->dead[i / 64], (uint64_t)1 << (i % 64));
    bool empty = true;
    for (uint32_t k = 0; k < block->count && empty; k++) {
        empty = overflow_is_dead(block, link, k);
    }
    weft_pair was = {state, link};
    weft_pair becomes = {state + ((uint64_t)1 << VERSION_SHIFT), link & LINK_ADDRESS};
    if (empty) {
        becomes = (weft_pair){becomes.first & ~FILTER_MASK, 0};
    }
    if (weft_cas_pair_seq_cst(&at->head, was, becomes) && empty) {
        overflow_retire(core, block);
    }
}

/* ---- generations ----------------------------------------------------------------------------- */

static void generation_destroy(weft_core *core, weft_block *block) {
    generation_free(core, WEFT_CONTAINER(block, generation, block));
}

/* An untouched generation that takes what `from` holds (NULL: nothing). NULL without memory. */
static generation *generation_new(weft_core *core, uint64_t buckets, const generation *from) {
    WEFT_ASSERT(buckets >= BUCKETS_MIN && (buckets & (buckets - 1)) == 0);
    generation *gen = weft_core_alloc(core, sizeof *gen, WEFT_CACHE_LINE);
    if (gen == NULL) {
        return NULL;
    }
    memset(gen, 0, sizeof *gen);
    gen->mask = buckets - 1;
    gen->block.destroy = generation_destroy;
    gen->block.bytes = buckets * sizeof(bucket);
    gen->buckets = weft_core_alloc_table(core, buckets * sizeof(bucket));
    if (gen->buckets != NULL && from != NULL) {
        uint64_t fewer = from->mask < gen->mask ? from->mask : gen->mask;
        gen->groups = fewer + 1;
        gen->chunks = gen->groups / GROUPS_PER_CHUNK;
        gen->flags = weft_core_alloc_table(core, gen->chunks);
    }
    if (gen->buckets == NULL || (from != NULL && gen->flags == NULL)) {
        if (gen->buckets != NULL) {
            weft_core_free_table(core, gen->buckets, buckets * sizeof(bucket));
        }
        weft_core_free(core, gen, sizeof *gen, WEFT_CACHE_LINE);
        return NULL;
    }
    return gen;
}

/* The fewest buckets that hold so many entries below the load at which the table grows. */
static uint64_t buckets_for(const weft_core *core, uint64_t entries) {
    unsigned bits = weft_bits_for(entries * 2 / load_in_halves(core) + 1);
    uint64_t buckets = (uint64_t)1 << (bits < BUCKET_BITS_MAX ? bits : BUCKET_BITS_MAX);
    return max_u64(buckets, BUCKETS_MIN);
}

static generation *first_generation(weft_core *core) {
    WEFT_ASSERT(core->table != NULL);
    lockfree_table *table = table_of(core);
    void *none = NULL;
    uint64_t floor = max_u64(weft_load_relaxed(&table->floor), BUCKETS_MIN);
    generation *gen = generation_new(core, floor, NULL);
    if (gen == NULL && floor > BUCKETS_MIN) {
        gen = generation_new(core, BUCKETS_MIN, NULL);
    }
    if (gen == NULL) {
        return root_of(core);
    }
    /* Release: the generation's fields. Pairs with the acquire of root in find and swing. */
    if (weft_cas_acq_rel(&core->root, &none, (void *)gen)) {
        return gen;
    }
    generation_free(core, gen);
    return none;
}

/* Publish a next generation of `buckets` behind the root. False if there is one, or no memory. */
static bool begin_move(weft_core *core, generation *root, uint64_t buckets) {
    WEFT_ASSERT(buckets == (root->mask + 1) * MOVE_FACTOR ||
                buckets == (root->mask + 1) / MOVE_FACTOR);
    lockfree_table *table = table_of(core);
    generation *none = NULL;
    if (weft_load_relaxed(&root->next) != NULL || buckets == root->mask + 1) {
        return false;
    }
    generation *next = generation_new(core, buckets, root);
    if (next == NULL) {
        weft_fetch_add_relaxed(&table->failures, 1);
        return false;
    }
    /* Release: the generation's fields. Pairs with the acquire loads of next. */
    if (!weft_cas_acq_rel(&root->next, &none, next)) {
        generation_free(core, next);
        return false;
    }
    weft_fetch_add_relaxed(buckets > root->mask + 1 ? &table->growths : &table->shrinks, 1);
    return true;
}

/* ---- moving buckets -------------------------------------------------------------------------- */

/* Most cells that a bucket with this head can hold. */
static uint32_t cells_at_most(const weft_core *core, uint64_t state, uint64_t link) {
    const overflow *block = overflow_of(link);
    uint64_t slots = ((uint64_t)1 << slots_of(core->shape)) - 1;
    return (uint32_t)__builtin_popcountll(state & slots) + (block == NULL ? 0 : block->count);
}

/* A group of buckets that move together: 1 to T when growing, S to 1 when shrinking. */
typedef struct group {
    generation *from;
    generation *to;
    uint64_t index;
    uint64_t groups;
} group;

static bucket *group_source(const group *g, uint64_t i) {
    return &g->from->buckets[g->index + i * g->groups];
}

static uint64_t group_sources(const group *g) {
    return (g->from->mask + 1) / g->groups;
}

static uint64_t group_targets(const group *g) {
    return (g->to->mask + 1) / g->groups;
}

/* A word as it is frozen: with the half of the next generation to which its entry belongs. */
static uint64_t frozen_word(const weft_core *core, const group *g, uint64_t word) {
    cell what = {0, word};
    bool upper = group_targets(g) > 1 && (cell_hash(core, &what) & g->groups) != 0;
    return word | WORD_FROZEN | (upper ? WORD_UPPER : 0);
}

/* Mark each valid slot of a frozen bucket, so that no update can change it any more. */
static void freeze_slots(weft_core *core, const group *g, bucket *at, uint64_t state) {
    WEFT_ASSERT((state & FROZEN) != 0);
    for (unsigned i = 0; i < slots_of(core->shape); i++) {
        if ((state >> i & 1) == 0) {
            continue;
        }
        if (core->shape == WEFT_SHAPE_BYTES) {
            uint64_t word = weft_load_acquire(&at->words[i]); /* pairs with the CAS of its writer */
            while ((word & (WORD_FROZEN | WORD_GONE)) == 0 &&
                   !weft_cas_acq_rel(&at->words[i], &word, frozen_word(core, g, word))) {
                /* Acquire: the entry that took its place. Pairs with the CAS in slot_swing. */
            }
            continue;
        }
        for (;;) {
            weft_pair pair = {weft_load_acquire(&at->pairs[i].first), /* pairs with swing's CAS */
                              weft_load_acquire(&at->pairs[i].second)};
            bool empty = pair_is_empty(pair.first);
            uint64_t mark = empty ? PAIR_USED | PAIR_GONE | PAIR_FROZEN : PAIR_FROZEN;
            weft_pair marked = {pair.first | mark, pair.second};
            /* An empty one can't change, unless an insert is pending. */
#if WEFT_MUTANT == 7 /* announced inserts slip into buckets that have moved */
            bool may_fill = false;
#else
            bool may_fill = empty && pair_is_pending(state, i, pair.first);
#endif
            if ((pair.first & PAIR_FROZEN) != 0 || (empty && !may_fill) ||
                weft_cas_pair_seq_cst(&at->pairs[i], pair, marked)) {
                break;
            }
        }
    }
}

/* State and link that belong together. */
static weft_pair load_head(bucket *at) {
    weft_pair head;
    do {
        head.first = weft_load_acquire(&at->head.first);        /* pairs with the CAS of head */
        head.second = weft_load_acquire(&at->head.second);      /* likewise: the block */
    } while (weft_load_acquire(&at->head.first) != head.first); /* likewise */
    return head;
}

/* Cells of all sources as they stand; an upper bound until they are frozen. */
static uint32_t group_cells_at_most(const weft_core *core, const group *g) {
    uint32_t cells = 0;
    for (uint64_t i = 0; i < group_sources(g); i++) {
        weft_pair head = load_head(group_source(g, i));
        cells += cells_at_most(core, head.first, head.second);
    }
    return cells;
}

/* Memory for the part of each target's image that its slots cannot hold; taken before anything
 * freezes, so that a thread that runs out of memory leaves the bucket as it was. */
static bool group_spare(weft_core *core, const group *g, overflow **spare) {
    WEFT_ASSERT(group_targets(g) <= MOVE_FACTOR && group_sources(g) <= MOVE_FACTOR);
    uint32_t cells = group_cells_at_most(core, g);
    uint32_t slots = slots_of(core->shape);
    uint32_t need = cells > slots ? cells - slots : 0;
    for (uint64_t t = 0; t < group_targets(g) && need != 0; t++) {
        if (spare[t] == NULL || spare[t]->capacity < need) {
            overflow_drop(core, spare[t]);
            spare[t] = overflow_new(core, need);
        }
        if (spare[t] == NULL) {
            return false;
        }
    }
    return true;
}

/* Freeze every source. What the spare was measured for is what gets frozen, or it is measured
 * again. */
static bool group_freeze(weft_core *core, const group *g, overflow **spare) {
    WEFT_ASSERT(weft_load_relaxed(&g->from->next) == g->to && g->index < g->groups);
    for (uint64_t i = 0; i < group_sources(g); i++) {
        bucket *at = group_source(g, i);
        for (;;) {
            uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
            if ((state & FROZEN) != 0) {
                freeze_slots(core, g, at, state);
                break;
            }
            if (!group_spare(core, g, spare)) {
                return false;
            }
            /* Acquire: what the slots hold. Release: readers that see FROZEN see next. */
            if (weft_cas_acq_rel(&at->head.first, &state, state | FROZEN)) { /* pairs with find */
#if WEFT_MUTANT != 4 /* updates slip into buckets that have moved */
                freeze_slots(core, g, at, state | FROZEN);
#endif
                break;
            }
        }
    }
    return group_spare(core, g, spare);
}

/* The image of one target, as every helper builds it: cells in the order of the sources. */
typedef struct image {
    const group *g;
    uint64_t target; /* index of the target's bucket */
    bucket *at;
    unsigned used;
    overflow *spare;
} image;

static void image_take(weft_core *core, image *into, uint64_t source, cell what);

/* Gives each live cell of a frozen source to the image. */
static void image_take_source(weft_core *core, image *into, uint64_t i) {
    WEFT_ASSERT((weft_load_relaxed(&group_source(into->g, i)->head.first) & FROZEN) != 0);
    bucket *at = group_source(into->g, i);
    uint64_t index = into->g->index + i * into->g->groups;
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the freezing CAS */
    uint64_t link = weft_load_acquire(&at->head.second); /* likewise */
    cell what;
    for (unsigned k = 0; k < slots_of(core->shape); k++) {
        what.hash = index;
        if ((state >> k & 1) != 0 && live_slot(core, at, k, &what)) {
            image_take(core, into, index, what);
        }
    }
    const overflow *block = overflow_of(link);
    for (uint32_t k = 0; block != NULL && k < block->count; k++) {
        if (!overflow_is_dead(block, link, k)) {
            image_take(core, into, index, block->cells[k]);
        }
    }
}

static void image_fill_slot(const weft_core *core, image *into, cell what) {
    WEFT_ASSERT(into->used < slots_of(core->shape));
    bucket *at = into->at;
    if (core->shape == WEFT_SHAPE_BYTES) {
        uint64_t none = 0;
        /* Release: the entry behind the word. Pairs with the acquire of readers of the target. */
        weft_cas_acq_rel(&at->words[into->used], &none, what.value & ~WORD_FLAGS);
    } else {
        weft_pair filled = {(what.hash & PAIR_HASH) | PAIR_USED, what.value};
        weft_cas_pair_seq_cst(&at->pairs[into->used], (weft_pair){0, 0}, filled);
    }
}

static void image_take(weft_core *core, image *into, uint64_t source, cell what) {
    WEFT_ASSERT(source <= into->g->from->mask);
    if (cell_target(core, into->g->from, source, &what) != into->target) {
        return;
    }
    if (into->used < slots_of(core->shape)) {
        image_fill_slot(core, into, what);
    } else {
        /* Only when buckets merge can this be a slot's cell; then nothing of the group has moved
         * yet, and its entry may be looked at. */
        overflow_add(into->spare,
                     (cell){cell_hash(core, &what),
                            core->shape == WEFT_SHAPE_U64 ? what.value : what.value & ~WORD_FLAGS});
    }
    into->used++;
}

/* No version in the target may be behind one of the sources'. */
static uint64_t group_version(const weft_core *core, const group *g) {
    WEFT_ASSERT(g->index < g->groups);
    uint64_t version = 1;
    for (uint64_t s = 0; s < group_sources(g); s++) {
        bucket *at = group_source(g, s);
        uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the freezing CAS */
        version = max_u64(version, version_of(state));
        for (unsigned i = 0; core->shape == WEFT_SHAPE_BYTES && i < WORDS; i++) {
            uint64_t word = weft_load_relaxed(&at->words[i]);
            if ((state >> i & 1) != 0 && (word & WORD_GONE) != 0) {
                version = max_u64(version, word >> 3);
            }
        }
    }
    return version;
}

/* Fill and publish one target, unless that was done. The spare is used up if it was needed. */
static void fill_target(weft_core *core, const group *g, uint64_t t, overflow **spare) {
    WEFT_ASSERT(t < group_targets(g));
    uint64_t target = g->index + t * g->groups;
    image into = {.g = g, .target = target, .at = &g->to->buckets[target], .spare = *spare};
    if (*spare != NULL) {
        (*spare)->count = 0;
    }
    for (uint64_t s = 0; s < group_sources(g); s++) {
        image_take_source(core, &into, s);
    }
    unsigned slots = slots_of(core->shape);
    unsigned in_slots = into.used < slots ? into.used : slots;
    bool spilled = into.used > slots;
    weft_pair head = {((uint64_t)1 << in_slots) - 1, spilled ? (uintptr_t)*spare : 0};
    head.first |= LIVE | group_version(core, g) << VERSION_SHIFT;
    head.first |= spilled ? overflow_filter(*spare) : 0;
    /* Publishes the image: from here on the target is where its keys live. */
    if (weft_cas_pair_seq_cst(&into.at->head, (weft_pair){0, 0}, head) && spilled) {
        *spare = NULL;
    }
}

/* The targets are live: nobody needs the sources' overflow blocks any more. A helper that comes
 * late and misses them builds a shorter image, none of which can take effect. */
static void group_retire_overflow(weft_core *core, const group *g) {
    WEFT_ASSERT(weft_load_relaxed(&g->to->buckets[g->index].head.first) != 0);
    for (uint64_t i = 0; i < group_sources(g); i++) {
        bucket *at = group_source(g, i);
        uint64_t link = weft_load_acquire(&at->head.second); /* pairs with the CAS of head */
        weft_pair head = {weft_load_relaxed(&at->head.first), link};
        if (link != 0 && weft_cas_pair_seq_cst(&at->head, head, (weft_pair){head.first, 0})) {
            overflow_retire(core, overflow_of(link));
        }
    }
}

/* Move one group, or make sure that it has moved. False only without memory. */
static bool move_group(weft_core *core, const group *g) {
    WEFT_ASSERT(g->groups == g->to->groups);
    overflow *spare[MOVE_FACTOR] = {NULL};
    bool frozen = group_freeze(core, g, spare);
    for (uint64_t t = 0; t < group_targets(g); t++) {
        bucket *at = &g->to->buckets[g->index + t * g->groups];
        if (frozen && weft_load_acquire(&at->head.first) == 0) { /* pairs with the publishing CAS */
            fill_target(core, g, t, &spare[t]);
        }
        overflow_drop(core, spare[t]);
    }
    if (frozen) {
        group_retire_overflow(core, g);
    }
    return frozen;
}

static bool move_chunk(weft_core *core, generation *from, generation *to, uint64_t chunk) {
    WEFT_ASSERT(chunk < to->chunks && to == weft_load_relaxed(&from->next));
    for (uint64_t i = 0; i < GROUPS_PER_CHUNK; i++) {
        group g = {from, to, chunk * GROUPS_PER_CHUNK + i, to->groups};
        if (!move_group(core, &g)) {
            return false;
        }
    }
    /* Release: the moved buckets. Pairs with the acquire in verify_moved. */
    weft_store_release(&to->flags[chunk], 1);
    return true;
}

/* All chunks are handed out: look through the flags, and move again what a stopped helper left. */
static void verify_moved(weft_core *core, generation *from, generation *to) {
    WEFT_ASSERT(weft_load_relaxed(&to->claimed) >= to->chunks);
    uint64_t done = weft_load_acquire(&to->done); /* pairs with the CAS below */
    uint64_t at = done;
    bool worked = false;
    for (; at < to->chunks && at < done + CHUNKS_CHECKED; at++) {
        if (weft_load_acquire(&to->flags[at]) == 0) { /* pairs with move_chunk */
            if (worked || !move_chunk(core, from, to, at)) {
                break;
            }
            worked = true;
        }
    }
    if (at > done && !weft_cas_acq_rel(&to->done, &done, at)) { /* pairs with the load above */
        return;
    }
    if (at < to->chunks) {
        return;
    }
    /* Everything is in `to`. Release: pairs with the acquire of root. */
    void *expected = from;
    if (weft_cas_acq_rel(&core->root, &expected, (void *)to)) {
        weft_core_retire_block(core, &from->block);
    }
}

static WEFT_COLD void move_some(weft_core *core, generation *from, generation *to) {
    if (weft_load_relaxed(&to->claimed) < to->chunks) {
        uint64_t chunk = weft_fetch_add_relaxed(&to->claimed, 1);
        if (chunk < to->chunks) {
            move_chunk(core, from, to, chunk);
        }
    }
    if (weft_load_relaxed(&to->claimed) >= to->chunks) {
        verify_moved(core, from, to);
    }
}

/* A resize's share of one writer: at most GROUPS_PER_CHUNK groups, twice. */
static inline void help_move(weft_core *core) {
    WEFT_ASSERT(weft_epoch_inside());
    generation *from = root_of(core);
    generation *to =
        from == NULL ? NULL : weft_load_acquire(&from->next); /* pairs with begin_move */
    if (WEFT_UNLIKELY(to != NULL)) {
        move_some(core, from, to);
    }
}

/* ---- resize policy --------------------------------------------------------------------------- */

/* A bucket had to overflow. Many entries: grow. Few: the keys hash badly, and growing would not
 * help. */
static void consider_growth(weft_core *core, uint32_t in_bucket) {
    WEFT_ASSERT(in_bucket > slots_of(core->shape));
    lockfree_table *table = table_of(core);
    if (in_bucket > weft_load_relaxed(&table->longest)) {
        weft_store_relaxed(&table->longest, in_bucket);
    }
    generation *root = root_of(core);
    if (weft_load_relaxed(&root->next) != NULL) {
        return;
    }
    uint64_t buckets = root->mask + 1;
    if (weft_core_entries(core) * 2 >= buckets * load_in_halves(core) &&
        buckets < (uint64_t)1 << BUCKET_BITS_MAX) {
        begin_move(core, root, buckets * MOVE_FACTOR);
    }
}

WEFT_COLD void weft_lockfree_consider_shrink(weft_core *core) {
    WEFT_ASSERT(weft_epoch_inside());
    lockfree_table *table = table_of(core);
    generation *root = root_of(core);
    uint64_t buckets = root->mask + 1;
    uint64_t least = max_u64(weft_load_relaxed(&table->floor), BUCKETS_MIN);
    if (core->grow_only || buckets <= least || weft_load_relaxed(&root->next) != NULL) {
        return;
    }
    if (weft_core_entries(core) * 2 * SHRINK_DIVISOR < buckets * load_in_halves(core)) {
        begin_move(core, root, buckets / MOVE_FACTOR);
    }
}

/* ---- find ------------------------------------------------------------------------------------ */

static void found(weft_position *position, unsigned slot, uint64_t word, uint64_t value) {
    position->present = true;
    position->cell = value;
    position->words[AT_SLOT] = slot;
    position->words[AT_WORD] = word;
    position->words[AT_VALUE] = value;
}

/* Looks through the pairs that the state calls valid. */
static inline void find_in_pairs(bucket *at, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(position->words[AT_BUCKET] == (uintptr_t)at && !position->present);
    uint64_t wanted = wanted_pair(key->hash);
    uint64_t state = position->words[AT_STATE];
    uint64_t keys[PAIRS];
    load_keys(at, keys);
    for (uint64_t match = match_keys(keys, wanted) & state; match != 0; match &= match - 1) {
        unsigned i = (unsigned)__builtin_ctzll(match);
        uint64_t first = weft_load_acquire(&at->pairs[i].first);  /* pairs with swing's CAS */
        uint64_t value = weft_load_acquire(&at->pairs[i].second); /* pairs with it too */
        if ((first & ~PAIR_FLAGS_OF_MOMENT) == wanted && !claim_is_void(state, i, first)) {
            found(position, i, first, value);
            position->present = (first & PAIR_CLAIMED) == 0;
            return;
        }
    }
}

/* The words whose tag is the key's, as a set of slots; without a branch, as for pairs. */
static WEFT_ALWAYS_INLINE uint64_t match_words(bucket *at, uint64_t hash) {
    uint64_t match = 0;
#pragma GCC unroll 6
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = weft_load_acquire(&at->words[i]); /* pairs with the CAS of its writer */
        match |= (uint64_t)(word >> TAG_SHIFT == hash >> TAG_SHIFT) << i;
    }
    return match;
}

/* Looks through the words that the state calls valid and whose tag is the key's. */
static inline void find_in_words(bucket *at, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(position->words[AT_BUCKET] == (uintptr_t)at && !position->present);
    uint64_t match = match_words(at, key->hash) & position->words[AT_STATE];
    for (; match != 0; match &= match - 1) {
        unsigned i = (unsigned)__builtin_ctzll(match);
        uint64_t word = weft_load_acquire(&at->words[i]); /* pairs with swing's CAS: the entry */
        if (((word ^ key->hash) & WORD_TAG) == 0 && (word & WORD_GONE) == 0 &&
            weft_entry_has_key(word_entry(word), key->bytes)) {
            found(position, i, word, (uintptr_t)word_entry(word));
            return;
        }
    }
}

static void find_in_overflow(weft_core *core, uint64_t link, const weft_key *key,
                             weft_position *position) {
    WEFT_ASSERT(overflow_of(link) != NULL);
    uint32_t i = overflow_find(core, link, key);
    const overflow *block = overflow_of(link);
    if (block != NULL && i < block->count) {
        uint64_t value = block->cells[i].value;
        found(position, SLOT_OVERFLOW, i,
              core->shape == WEFT_SHAPE_U64 ? value : (uintptr_t)word_entry(value));
    }
}

/* One consistent look at a bucket. False if it changed meanwhile, in a way that matters. The shape
 * is core's, known to the compiler. */
static WEFT_ALWAYS_INLINE bool look(weft_core *core, const weft_key *key, weft_position *position,
                                    weft_shape shape) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    WEFT_ASSERT(((uintptr_t)at & (sizeof *at - 1)) == 0);
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t link = weft_load_acquire(&at->head.second); /* likewise: the block */
    position->present = false;
    position->words[AT_STATE] = state;
    position->words[AT_LINK] = link;
    position->words[AT_SLOT] = SLOT_NONE;
    if (shape == WEFT_SHAPE_U64) {
        find_in_pairs(at, key, position);
    } else {
        find_in_words(at, key, position);
    }
    if (WEFT_UNLIKELY((state & filter_bit(key->hash)) != 0 && link != 0) && !position->present) {
        /* The block belongs to the state only if that has not changed. Pairs with the CAS of
         * head. */
        if (weft_load_acquire(&at->head.first) != state) {
            return false;
        }
        find_in_overflow(core, link, key, position);
    }
#if WEFT_MUTANT == 5 /* believes a look at a bucket that changed meanwhile */
    return true;
#else
    /* The loads above are acquires, so this one comes after them. Pairs with the CAS of head. */
    return weft_load_acquire(&at->head.first) == state;
#endif
}

/* Where do the keys of a frozen bucket live? In the next generation, if its bucket there is live;
 * otherwise still in the frozen one. True if `gen` has moved on. */
static bool follow(generation **gen, uint64_t hash) {
    generation *next = weft_load_acquire(&(*gen)->next); /* pairs with begin_move */
    /* Acquire: the image. Pairs with the publishing CAS of fill_target. */
    if (weft_load_acquire(&bucket_at(next, hash)->head.first) == 0) {
        return false;
    }
    *gen = next;
    return true;
}

static WEFT_ALWAYS_INLINE void find(weft_core *core, const weft_key *key, weft_position *position,
                                    weft_shape shape) {
    WEFT_ASSERT(table_of(core) != NULL);
    generation *gen = root_of(core);
    if (WEFT_UNLIKELY(gen == NULL)) {
        position->present = false;
        position->words[AT_BUCKET] = 0;
        return;
    }
    for (;;) {
        bucket *at = bucket_at(gen, key->hash);
        /* Before the look: entries that have moved on may be freed. Pairs with the freezing CAS. */
        bool frozen = (weft_load_acquire(&at->head.first) & FROZEN) != 0;
        if (WEFT_UNLIKELY(frozen) && follow(&gen, key->hash)) {
            continue;
        }
        position->words[AT_BUCKET] = (uintptr_t)at;
        if (WEFT_UNLIKELY(!look(core, key, position, shape))) {
            continue;
        }
        if (WEFT_LIKELY((position->words[AT_STATE] & FROZEN) == 0)) {
            return;
        }
        /* After the look: if the keys have still not moved, what it saw was the truth. */
        if (frozen && !follow(&gen, key->hash)) {
            return;
        }
    }
}

static WEFT_HOT void lockfree_find_bytes(weft_core *core, const weft_key *key,
                                         weft_position *position) {
    find(core, key, position, WEFT_SHAPE_BYTES);
}

static WEFT_HOT void lockfree_find_u64(weft_core *core, const weft_key *key,
                                       weft_position *position) {
    find(core, key, position, WEFT_SHAPE_U64);
}

static WEFT_ALWAYS_INLINE bool look_up(weft_core *core, const weft_key *key, uint64_t *out,
                                       weft_shape shape) {
    weft_position position;
    find(core, key, &position, shape);
    if (position.present) {
        *out = position.cell;
    }
    return position.present;
}

/* Nearly always the root's bucket is not on the move, and its slots tell. */
static WEFT_HOT bool lockfree_look_bytes(weft_core *core, const weft_key *key, uint64_t *out) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES && core->table != NULL);
    generation *root = root_of(core);
    if (WEFT_UNLIKELY(root == NULL)) {
        return false;
    }
    bucket *at = bucket_at(root, key->hash);
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    const weft_entry *entry = NULL;
    if (WEFT_UNLIKELY((state & FROZEN) != 0)) {
        return look_up(core, key, out, WEFT_SHAPE_BYTES);
    }
    for (uint64_t match = match_words(at, key->hash) & state; match != 0; match &= match - 1) {
        /* Acquire: the entry. Pairs with the CAS of its writer. */
        uint64_t word = weft_load_acquire(&at->words[__builtin_ctzll(match)]);
        const weft_entry *here = word_entry(word);
        if (((word ^ key->hash) & WORD_TAG) == 0 && (word & WORD_GONE) == 0 &&
            weft_entry_has_key(here, key->bytes)) {
            entry = here;
            break;
        }
    }
    bool sure = entry != NULL || (state & filter_bit(key->hash)) == 0;
    /* The loads above are acquires, so this one comes after them. Pairs with the CAS of head. */
    if (WEFT_LIKELY(sure && weft_load_acquire(&at->head.first) == state)) {
        *out = (uintptr_t)entry;
        return entry != NULL;
    }
    return look_up(core, key, out, WEFT_SHAPE_BYTES);
}

static bool lockfree_look_u64(weft_core *core, const weft_key *key, uint64_t *out) {
    return look_up(core, key, out, WEFT_SHAPE_U64);
}

/* Looks at the first generation only; while keys move it may bring lines that nobody needs. */
static WEFT_HOT void lockfree_prefetch(weft_core *core, const weft_key *key, bool entry) {
    WEFT_ASSERT(weft_epoch_inside());
    generation *gen = root_of(core);
    if (WEFT_UNLIKELY(gen == NULL)) {
        return;
    }
    bucket *at = bucket_at(gen, key->hash);
    if (!entry) {
        __builtin_prefetch(at);
        return;
    }
    if (core->shape == WEFT_SHAPE_U64) {
        return;
    }
    for (uint64_t valid = weft_load_relaxed(&at->head.first) & VALID_MASK; valid != 0;
         valid &= valid - 1) {
        uint64_t word = weft_load_relaxed(&at->words[__builtin_ctzll(valid)]);
        if (((word ^ key->hash) & WORD_TAG) == 0 && (word & WORD_GONE) == 0) {
            __builtin_prefetch(word_entry(word));
            __builtin_prefetch((const char *)word_entry(word) + WEFT_CACHE_LINE);
        }
    }
}

/* ---- swing ----------------------------------------------------------------------------------- */

/* Slots that are valid in `state` but whose keys are gone; *version rises to that of the
 * removals. */
static uint64_t gone_slots(const weft_core *core, bucket *at, uint64_t state, uint64_t *version) {
    WEFT_ASSERT(version != NULL);
    uint64_t gone = 0;
    for (unsigned i = 0; i < slots_of(core->shape); i++) {
        if ((state >> i & 1) == 0) {
            continue;
        }
        if (core->shape == WEFT_SHAPE_U64) {
            uint64_t first = weft_load_relaxed(&at->pairs[i].first);
            bool free = (first & PAIR_GONE) != 0 && !pair_is_pending(state, i, first);
            gone |= (uint64_t)free << i;
            continue;
        }
        uint64_t word = weft_load_relaxed(&at->words[i]);
        if ((word & WORD_GONE) != 0) {
            gone |= (uint64_t)1 << i;
            *version = max_u64(*version, word >> 3);
        }
    }
    return gone;
}

/* Free the slots of removed keys. Anyone may; whoever removes does, and whoever needs a slot. */
static void sweep_slots(weft_core *core, bucket *at) {
    WEFT_ASSERT(weft_epoch_inside());
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    while ((state & FROZEN) == 0) {
        uint64_t version = 0;
        uint64_t gone = gone_slots(core, at, state, &version);
        /* Release: the removal. Pairs with the acquire of head in look. */
        if (gone == 0 ||
            weft_cas_acq_rel(&at->head.first, &state,
                             next_state(state, (state & VALID_MASK) & ~gone, version))) {
            return;
        }
    }
}

/* The version that a write of this key gets: greater than all that the key had. */
static uint64_t stamp(weft_core *core, weft_position *position, uint64_t floor, uint64_t desired) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES || position->at_least == 0);
    if (core->shape == WEFT_SHAPE_U64) {
        return 0;
    }
    uint64_t version = max_u64(floor, position->at_least) + 1;
    position->version = version;
    if (desired != 0) {
        weft_store_relaxed(&((weft_entry *)(uintptr_t)desired)->version, version);
    }
    return version;
}

static uint64_t old_version(const weft_core *core, const weft_position *position) {
    if (core->shape == WEFT_SHAPE_U64) {
        return 0;
    }
    return weft_load_relaxed(&((const weft_entry *)(uintptr_t)position->cell)->version);
}

/* Change or remove a key that is in a slot. */
static int slot_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                      uint64_t desired) {
    WEFT_ASSERT(position->present && position->words[AT_SLOT] < slots_of(core->shape));
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    unsigned i = (unsigned)position->words[AT_SLOT];
    uint64_t word = position->words[AT_WORD];
    uint64_t version = stamp(core, position, old_version(core, position), keep ? desired : 0);
    bool done;
    if (core->shape == WEFT_SHAPE_U64) {
        weft_pair was = {word, position->words[AT_VALUE]};
        weft_pair becomes = keep ? (weft_pair){word, desired}
                                 : (weft_pair){weft_epoch_stamp() << 6 | PAIR_USED | PAIR_GONE |
                                                   toggle_flag(position->words[AT_STATE], i),
                                               position->words[AT_VALUE]};
        done = (word & PAIR_FROZEN) == 0 && weft_cas_pair_seq_cst(&at->pairs[i], was, becomes);
    } else {
        uint64_t becomes = keep ? word_of(desired, key->hash) : version << 3 | WORD_GONE;
#if WEFT_MUTANT == 1 /* loses updates */
        weft_store_release(&at->words[i], becomes);
        done = true;
#else
        /* Release: the entry's bytes. Pairs with the acquire of the word in find_in_words.
         * Sequentially consistent: comes before the epoch that the old entry is retired with. */
        done = (word & WORD_FROZEN) == 0 && weft_cas_seq_cst(&at->words[i], &word, becomes);
#endif
    }
    if (done && !keep) {
        sweep_slots(core, at);
    }
    return done ? WEFT_OK : WEFT_MISMATCH;
}

/* A slot that is not valid, and holds nothing or what was removed; SLOT_NONE if there is none. */
static unsigned free_slot(const weft_core *core, bucket *at, uint64_t state, weft_pair *content) {
    WEFT_ASSERT((state & FROZEN) == 0);
    for (unsigned i = 0; i < slots_of(core->shape); i++) {
        if ((state >> i & 1) != 0) {
            continue;
        }
        if (core->shape == WEFT_SHAPE_BYTES) {
            content->first =
                weft_load_acquire(&at->words[i]); /* pairs with its writer; head is read after it */
            if (content->first == 0 || (content->first & WORD_GONE) != 0) {
                return i;
            }
            continue;
        }
        content->first = weft_load_acquire(&at->pairs[i].first);   /* pairs with its writer */
        content->second = weft_load_acquire(&at->pairs[i].second); /* pairs with it too */
        if (pair_is_empty(content->first)) {
            return i;
        }
    }
    return SLOT_NONE;
}

/* The insert was not published. Bytes shape: a reserved slot is this thread's alone, as it is not
 * valid, and a store gives it back. u64 shape: an announcement may have made it valid, and a move
 * may have frozen it. The stamp stays in the other half, so the pair is as it never was before. */
static void give_slot_back(weft_core *core, bucket *at, unsigned i, weft_pair claim) {
    if (core->shape == WEFT_SHAPE_U64) {
        uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
        weft_pair empty = {PAIR_USED | PAIR_GONE | toggle_flag(state, i), claim.second};
        weft_cas_pair_seq_cst(&at->pairs[i], claim, empty);
    } else {
        weft_store_release(&at->words[i], WORD_GONE); /* pairs with free_slot */
    }
}

/* Insert into the overflow block: a copy with one cell more. */
static int insert_overflow(weft_core *core, const weft_key *key, weft_position *position,
                           uint64_t desired) {
    WEFT_ASSERT(!position->present);
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    weft_pair head = {position->words[AT_STATE], position->words[AT_LINK]};
    overflow *block = overflow_copy(core, head.second, UINT32_MAX, 1);
    if (block == NULL) {
        return WEFT_E_NOMEM;
    }
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    overflow_add(block, (cell){key->hash, bytes ? word_of(desired, key->hash) : desired});
    weft_pair becomes = {next_state(head.first, head.first & VALID_MASK, 0), (uintptr_t)block};
    becomes.first = (becomes.first & ~FILTER_MASK) | overflow_filter(block);
    uint32_t cells = block->count + slots_of(core->shape);
    if (!weft_cas_pair_seq_cst(&at->head, head, becomes)) {
        overflow_drop(core, block);
        return WEFT_MISMATCH;
    }
    overflow_retire(core, overflow_of(head.second));
    consider_growth(core, cells);
    return WEFT_OK;
}

/* A claimed pair has the key's place in the bucket, but no value: the key is absent. Whoever fills
 * it has inserted the key: the linearization point of an insert in the u64 shape. */
static int fill_claim(bucket *at, unsigned i, weft_pair claim, uint64_t desired) {
    WEFT_ASSERT((claim.first & PAIR_CLAIMED) != 0);
    weft_pair filled = {claim.first & ~(PAIR_CLAIMED | PAIR_TOGGLE), desired};
    return weft_cas_pair_seq_cst(&at->pairs[i], claim, filled) ? WEFT_OK : WEFT_MISMATCH;
}

/* No insert that was announced by this state can fill its slot any more. False: one did meanwhile,
 * and with this key, or something else changed. */
static bool stop_pending(bucket *at, uint64_t state, uint64_t hash) {
    uint64_t keys[PAIRS];
    load_keys(at, keys);
    uint64_t mask = ~(PAIR_FROZEN | PAIR_TOGGLE);
    uint64_t pending = pending_slots(keys, state);
#if WEFT_MUTANT == 6 /* lets announced inserts go on */
    pending = 0;
#endif
    for (unsigned i = 0; i < PAIRS; i++) {
        if ((keys[i] & mask) == wanted_pair(hash) && (state >> i & 1) != 0) {
            return false;
        }
        weft_pair was = {keys[i],
                         weft_load_acquire(&at->pairs[i].second)}; /* pairs with its writer */
        uint64_t gone = weft_epoch_stamp() << 6 | PAIR_USED | PAIR_GONE;
        weft_pair becomes = {gone | toggle_flag(state, i), was.second};
        if ((pending >> i & 1) != 0 && !weft_cas_pair_seq_cst(&at->pairs[i], was, becomes)) {
            return false;
        }
    }
    return true;
}

/* Insert a key that the find did not see; valid only while the head is what it saw. */
static int swing_absent(weft_core *core, const weft_key *key, weft_position *position,
                        uint64_t desired) {
    WEFT_ASSERT(!position->present && (position->words[AT_STATE] & FROZEN) == 0);
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t state = position->words[AT_STATE];
    if (position->words[AT_SLOT] != SLOT_NONE) { /* claimed by an insert that has not finished */
        weft_pair claim = {position->words[AT_WORD], position->words[AT_VALUE]};
        return fill_claim(at, (unsigned)position->words[AT_SLOT], claim, desired);
    }
    if (core->shape == WEFT_SHAPE_U64 && !stop_pending(at, state, key->hash)) {
        return WEFT_MISMATCH;
    }
    uint64_t floor = version_of(state);
    uint64_t gone = gone_slots(core, at, state, &floor);
    stamp(core, position, floor, desired);
    weft_pair content = {0, 0};
    unsigned i = free_slot(core, at, state, &content);
    if (i == SLOT_NONE) {
        if (gone != 0) {
            sweep_slots(core, at);
            return WEFT_MISMATCH;
        }
        return insert_overflow(core, key, position, desired);
    }
    /* The slot was still not valid when it was looked at. Else its key may have been inserted and
     * removed since the find: a slot that holds GONE and is valid, until somebody sweeps it.
     * Filling that one would show the new key before its time. Pairs with the CAS of head. */
#if WEFT_MUTANT != 3 /* fills slots that are still valid */
    if (weft_load_acquire(&at->head.first) != state) {
        return WEFT_MISMATCH;
    }
#endif
    weft_pair filled = {0, 0};
    bool reserved;
    if (core->shape == WEFT_SHAPE_U64) {
        filled = (weft_pair){wanted_pair(key->hash) | PAIR_CLAIMED | toggle_flag(state, i),
                             weft_epoch_stamp()};
        reserved = weft_cas_pair_seq_cst(&at->pairs[i], content, filled);
    } else {
        /* Release: the entry's bytes. Pairs with the acquire of the word in find_in_words. */
        uint64_t word = word_of(desired, key->hash);
        reserved = weft_cas_acq_rel(&at->words[i], &content.first, word);
    }
    if (!reserved) {
        return WEFT_MISMATCH;
    }
    /* Bytes shape: the linearization point of an insert. Release: the slot. Pairs with the acquire
     * in look. */
    if (!weft_cas_acq_rel(&at->head.first, &state,
                          next_state(state, (state & VALID_MASK) | (uint64_t)1 << i, 0))) {
        give_slot_back(core, at, i, filled);
        return WEFT_MISMATCH;
    }
    return core->shape == WEFT_SHAPE_U64 ? fill_claim(at, i, filled, desired) : WEFT_OK;
}

/* Change or remove a key that is in the overflow block. */
static int overflow_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                          uint64_t desired) {
    WEFT_ASSERT(position->present && position->words[AT_SLOT] == SLOT_OVERFLOW);
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    weft_pair head = {position->words[AT_STATE], position->words[AT_LINK]};
    uint32_t i = (uint32_t)position->words[AT_WORD];
    uint64_t version = stamp(core, position, old_version(core, position), keep ? desired : 0);
    uint64_t valid = head.first & VALID_MASK;
    if (!keep) {
        weft_pair dying = {next_state(head.first, valid, version),
                           head.second | (uint64_t)(i + 1) << LINK_DYING_SHIFT};
        if (!weft_cas_pair_seq_cst(&at->head, head, dying)) {
            return WEFT_MISMATCH;
        }
        overflow_bury(core, at, dying.first, dying.second);
        return WEFT_OK;
    }
    overflow *block = overflow_copy(core, head.second, i, 0);
    if (block == NULL) {
        return WEFT_E_NOMEM;
    }
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    overflow_add(block, (cell){key->hash, bytes ? word_of(desired, key->hash) : desired});
    weft_pair becomes = {next_state(head.first, valid, 0), (uintptr_t)block};
    becomes.first = (becomes.first & ~FILTER_MASK) | overflow_filter(block);
    if (!weft_cas_pair_seq_cst(&at->head, head, becomes)) {
        overflow_drop(core, block);
        return WEFT_MISMATCH;
    }
    overflow_retire(core, overflow_of(head.second));
    return WEFT_OK;
}

/* The bucket that find saw cannot be written as it stands: make it, or its successor, writable. */
static int prepare(weft_core *core, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(weft_epoch_inside());
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    if (at == NULL) {
        return first_generation(core) == NULL ? WEFT_E_NOMEM : WEFT_MISMATCH;
    }
    uint64_t state = position->words[AT_STATE];
    uint64_t link = position->words[AT_LINK];
    if ((state & FROZEN) == 0) {
        overflow_bury(core, at, state, link);
        return WEFT_MISMATCH;
    }
    generation *from = root_of(core);
    while (bucket_at(from, key->hash) != at) {
        from = weft_load_acquire(&from->next); /* pairs with begin_move */
        if (from == NULL) {
            return WEFT_MISMATCH; /* the root moved past that bucket */
        }
    }
    generation *to = weft_load_acquire(&from->next); /* pairs with begin_move */
    group g = {from, to, key->hash & (to->groups - 1), to->groups};
    return move_group(core, &g) ? WEFT_MISMATCH : WEFT_E_NOMEM;
}

static WEFT_HOT int lockfree_swing(weft_core *core, const weft_key *key, weft_position *position,
                                   bool keep, uint64_t desired) {
    WEFT_ASSERT(weft_epoch_inside());
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    if (!keep && !position->present) {
        return WEFT_OK;
    }
    if (WEFT_UNLIKELY(at == NULL || (position->words[AT_STATE] & FROZEN) != 0 ||
                      position->words[AT_LINK] >> LINK_DYING_SHIFT != 0)) {
        return prepare(core, key, position);
    }
    int status;
    if (!position->present) {
        status = swing_absent(core, key, position, desired);
    } else if (position->words[AT_SLOT] == SLOT_OVERFLOW) {
        status = overflow_swing(core, key, position, keep, desired);
    } else {
        status = slot_swing(core, key, position, keep, desired);
    }
    help_move(core);
    if (status == WEFT_OK && !keep) {
        lockfree_removed(core);
    }
    return status;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int lockfree_open(weft_core *core) {
    lockfree_table *made = weft_core_alloc(core, sizeof *made, WEFT_CACHE_LINE);
    if (made == NULL) {
        return WEFT_E_NOMEM;
    }
    memset(made, 0, sizeof *made);
    core->table = made;
    made->floor = core->expected_entries == 0 ? 0 : buckets_for(core, core->expected_entries);
    return WEFT_OK;
}

/* Move what is being moved, to the end or until memory is short. */
static bool finish_move(weft_core *core, size_t budget) {
    WEFT_ASSERT(weft_epoch_inside());
    uint64_t failures_before = 0;
    while (budget-- > 0) {
        generation *root = root_of(core);
        generation *to =
            root == NULL ? NULL : weft_load_acquire(&root->next); /* pairs with begin_move */
        if (to == NULL) {
            return true;
        }
        uint64_t done = weft_load_relaxed(&to->done) + weft_load_relaxed(&to->claimed);
        help_move(core);
        if (weft_load_relaxed(&to->done) + weft_load_relaxed(&to->claimed) == done &&
            weft_load_relaxed(&core->root) == root && ++failures_before > 2) {
            return false;
        }
    }
    return false;
}

/* Resize in steps until there are `wanted` buckets. At most as many steps as that takes: another
 * caller may want another size at the same time, and the two must not undo each other for ever. */
static int resize_to(weft_core *core, uint64_t wanted, bool grow) {
    lockfree_table *table = table_of(core);
    WEFT_ASSERT((wanted & (wanted - 1)) == 0);
    int status = WEFT_UNCHANGED;
    for (unsigned steps = BUCKET_BITS_MAX; steps > 0; steps--, status = WEFT_OK) {
        generation *root = root_of(core);
        uint64_t buckets = root == NULL ? wanted : root->mask + 1;
        if (grow ? buckets >= wanted : buckets <= wanted) {
            break;
        }
        uint64_t failures = weft_load_relaxed(&table->failures);
        begin_move(core, root, grow ? buckets * MOVE_FACTOR : buckets / MOVE_FACTOR);
        if (!finish_move(core, SIZE_MAX) || weft_load_relaxed(&table->failures) != failures) {
            return WEFT_E_NOMEM;
        }
    }
    return status;
}

static int lockfree_reserve(weft_core *core, uint64_t entries) {
    uint64_t wanted = buckets_for(core, entries);
    uint64_t before = weft_load_relaxed(&table_of(core)->floor);
    weft_store_relaxed(&table_of(core)->floor, wanted);
    int status = resize_to(core, wanted, true);
    if (status == WEFT_E_NOMEM) {
        weft_store_relaxed(&table_of(core)->floor, before);
    }
    return status == WEFT_UNCHANGED ? WEFT_OK : status;
}

static int lockfree_shrink(weft_core *core) {
    weft_store_relaxed(&table_of(core)->floor, 0);
    return resize_to(core, buckets_for(core, weft_core_entries(core)), false);
}

static bool lockfree_maintain(weft_core *core, size_t budget) {
    return finish_move(core, budget / GROUPS_PER_CHUNK + 1);
}

const weft_engine weft_engine_lockfree = {
    .name = "lockfree",
    .id = WEFT_ENGINE_LOCKFREE,
    .caps = WEFT_CAP_LOCK_FREE | WEFT_CAP_SHRINK,
    .choose = "many threads, any mix of reads and writes, any size, tail latency that matters",
    .do_not_choose = "one thread only, or a few hundred entries that hardly change",
    .open = lockfree_open,
    .close = weft_lockfree_close,
    .find = {lockfree_find_bytes, lockfree_find_u64},
    .look = {lockfree_look_bytes, lockfree_look_u64},
    .swing = lockfree_swing,
    .prefetch = lockfree_prefetch,
    .walk = weft_lockfree_walk,
    .reserve = lockfree_reserve,
    .shrink = lockfree_shrink,
    .maintain = lockfree_maintain,
    .stats = weft_lockfree_stats,
    .check = weft_lockfree_check,
    .dump = weft_lockfree_dump,
};
