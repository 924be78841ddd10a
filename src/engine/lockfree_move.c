/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": generations, and how buckets move from one to the next. When a table resizes,
 * who moves what, and why a helper that stops blocks nobody: docs/design/growth.md. */
#include "base/memory.h"
#include "engine/lockfree_layout.h"
#include "engine/lockfree_overflow.h"
#include "engine/lockfree_u64.h"

enum {
    BUCKET_BITS_MAX = 44,
    MOVE_FACTOR = 2,      /* a next generation is so much larger or smaller */
    GROUPS_PER_CHUNK = 4, /* what one writer moves in passing */
    CHUNKS_CHECKED = 64,  /* flags one writer looks at when all chunks were handed out */
    SHRINK_DIVISOR = 4,   /* shrink below 1/4 of the load at which it grows */
    FIRST_BUCKETS = 128,  /* clearing 64 more costs less than the overflow blocks of 100 keys */
};

/* ---- generations ----------------------------------------------------------------------------- */

static void generation_end(weft_core *core, weft_block *block) {
    weft_core_free(core, WEFT_CONTAINER(block, generation, remains.block), sizeof(generation),
                   FACES_BYTES);
}

/* Behind a closed door: a lookup that is compiled into the caller finds nothing out. */
static const bucket behind_closed_door = {.head = {FROZEN, 0}};

/* An untouched generation that takes what `from` holds (NULL: nothing). NULL without memory. */
generation *weft_lockfree_generation_new(weft_core *core, uint64_t buckets,
                                         const generation *from) {
    WEFT_ASSERT(buckets >= BUCKETS_MIN && (buckets & (buckets - 1)) == 0);
    generation *gen = weft_core_alloc(core, sizeof *gen, FACES_BYTES);
    if (gen == NULL) {
        return NULL;
    }
    memset(gen, 0, sizeof *gen);
    gen->mask = buckets - 1;
    for (unsigned i = 1; i < FACES; i++) {
        gen->faces[i].buckets = (bucket *)(uintptr_t)&behind_closed_door;
    }
    gen->buckets = weft_core_alloc_table(core, buckets * sizeof(bucket), false);
    if (gen->buckets != NULL && from != NULL) {
        uint64_t fewer = from->mask < gen->mask ? from->mask : gen->mask;
        gen->groups = fewer + 1;
        gen->chunks = gen->groups / GROUPS_PER_CHUNK;
        gen->claimed = buckets * sizeof(bucket) < WEFT_HUGE_PAGE ? FIRST_TOUCHES : 0;
        gen->flags = weft_core_alloc_table(core, gen->chunks, true);
    }
    if (gen->buckets == NULL || (from != NULL && gen->flags == NULL)) {
        if (gen->buckets != NULL) {
            weft_core_free_table(core, gen->buckets, buckets * sizeof(bucket));
        }
        weft_core_free(core, gen, sizeof *gen, FACES_BYTES);
        return NULL;
    }
    gen->remains.tables[0].memory = gen->buckets;
    gen->remains.tables[0].size = buckets * sizeof(bucket);
    gen->remains.tables[1].memory = gen->flags;
    gen->remains.tables[1].size = gen->chunks;
    weft_remains_set(core, &gen->remains, generation_end);
    return gen;
}

/* The fewest buckets that hold so many entries below the load at which the table grows. */
uint64_t weft_lockfree_buckets_for(const weft_core *core, uint64_t entries) {
    unsigned bits = weft_bits_for(entries * 2 / load_in_halves(core) + 1);
    uint64_t buckets = (uint64_t)1 << (bits < BUCKET_BITS_MAX ? bits : BUCKET_BITS_MAX);
    return max_u64(buckets, BUCKETS_MIN);
}

/* Of a table that holds little: what was reserved, or what a hundred keys are happy with. */
static uint64_t fewest_buckets(const lockfree_table *table) {
    uint64_t reserved = weft_load_relaxed(&table->floor);
    return reserved != 0 ? reserved : FIRST_BUCKETS;
}

generation *weft_lockfree_first_generation(weft_core *core) {
    WEFT_ASSERT(core->table != NULL);
    lockfree_table *table = table_of(core);
    void *root = NULL;
    uint64_t floor = fewest_buckets(table);
    generation *gen = weft_lockfree_generation_new(core, floor, NULL);
    if (gen == NULL && floor > BUCKETS_MIN) {
        gen = weft_lockfree_generation_new(core, BUCKETS_MIN, NULL);
    }
    if (gen == NULL) {
        return root_of(core);
    }
    /* Release: the generation's fields. Pairs with the acquire of root in find and swing. */
    if (weft_cas_acq_rel(&core->root, &root, (void *)gen)) {
        return gen;
    }
    generation_free(core, gen);
    return generation_of(root);
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
    generation *next = weft_lockfree_generation_new(core, buckets, root);
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

static uint64_t bits_in(uint64_t set) {
    uint64_t bits = 0;
    for (; set != 0; set &= set - 1) {
        bits++;
    }
    return bits;
}

/* Most cells that a bucket with this head can hold. */
static uint64_t cells_at_most(const weft_core *core, weft_pair head) {
    const overflow *block = overflow_of(head.second);
    uint64_t line = bits_in(valid_slots(head.first) & line_slots(core));
    return block == NULL ? line
                         : line + bits_in(head.second >> LINK_VALID_SHIFT) + always_valid(block);
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
    return g->from->mask < g->groups ? 1 : MOVE_FACTOR;
}

static uint64_t group_targets(const group *g) {
    return g->to->mask < g->groups ? 1 : MOVE_FACTOR;
}

/* Does this hash belong to the second target? */
static bool is_upper(const group *g, uint64_t hash) {
    return (hash & g->groups & g->to->mask) != 0;
}

/* A word as it is frozen: with the half of the next generation to which its entry belongs. */
static uint64_t frozen_word(const weft_core *core, const group *g, uint64_t word) {
    cell what = {0, word};
    bool upper = is_upper(g, cell_hash(core, &what));
    return (word & ~WORD_FLAGS) | WORD_FROZEN | (upper ? WORD_UPPER : 0);
}

static inline void freeze_slot(weft_core *core, const group *g, const bucket_view *in, uint64_t i) {
    if (core->shape == WEFT_SHAPE_U64) {
        (void)freeze_pair(pair_at(in->at, in->head.second, i), in->head.first, i);
        return;
    }
    uint64_t *at = word_at(in->at, in->head.second, i);
    uint64_t word = weft_load_acquire(at); /* pairs with the CAS of its writer */
    while ((word & (WORD_FROZEN | WORD_GONE)) == 0 &&
           !weft_cas_acq_rel(at, &word, frozen_word(core, g, word))) {
        /* Acquire: the entry that took its place. Pairs with the CAS in slot_swing. */
    }
}

/* Mark each valid slot of a frozen bucket, so that no update can change it any more. */
static void freeze_slots(weft_core *core, const group *g, bucket *at) {
    weft_pair head = load_head(at);
    WEFT_ASSERT(is_frozen(head.first));
    uint64_t line = valid_slots(head.first) & line_slots(core);
    for (; line != 0; line &= line - 1) {
        freeze_slot(core, g, &(bucket_view){at, head}, (uint64_t)__builtin_ctzll(line));
    }
    uint64_t end = all_slots(core, head.second);
    for (uint64_t i = slots_of(core->shape); i < end; i++) {
        if (any_is_valid(core, head, i)) {
            freeze_slot(core, g, &(bucket_view){at, head}, i);
        }
    }
}

/* Cells of all sources as they stand; an upper bound until they are frozen. */
static uint64_t group_cells_at_most(const weft_core *core, const group *g) {
    uint64_t cells = 0;
    for (uint64_t i = 0; i < group_sources(g); i++) {
        cells += cells_at_most(core, load_head(group_source(g, i)));
    }
    return cells;
}

/* Memory for the part of each target's image that its slots cannot hold; taken before anything
 * freezes, so that a thread that runs out of memory leaves the bucket as it was. */
static bool group_spare(weft_core *core, const group *g, overflow **spare) {
    WEFT_ASSERT(group_targets(g) <= MOVE_FACTOR && group_sources(g) <= MOVE_FACTOR);
    uint64_t cells = group_cells_at_most(core, g);
    uint64_t slots = slots_of(core->shape);
    uint64_t need = cells > slots ? cells - slots : 0;
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
            if (is_frozen(state)) {
                freeze_slots(core, g, at);
                break;
            }
            if (!group_spare(core, g, spare)) {
                return false;
            }
            /* Acquire: what the slots hold. Release: readers that see FROZEN see next. */
            if (weft_cas_acq_rel(&at->head.first, &state, state | FROZEN)) { /* pairs with find */
#if WEFT_MUTANT != 4 /* updates slip into buckets that have moved */
                freeze_slots(core, g, at);
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
    uint64_t used;
    overflow_draft spill;
} image;

static void image_take(weft_core *core, image *into, uint64_t source, cell what);

/* Gives each live cell of a frozen source to the image. */
static void image_take_source(weft_core *core, image *into, uint64_t i) {
    WEFT_ASSERT(is_frozen(weft_load_relaxed(&group_source(into->g, i)->head.first)));
    bucket *at = group_source(into->g, i);
    uint64_t index = into->g->index + i * into->g->groups;
    const bucket_view in = {at, load_head(at)};
    uint64_t end = all_slots(core, in.head.second);
    for (uint64_t k = 0; k < end; k++) {
        cell what = {.hash = index};
        if (live_slot(core, &in, k, &what)) {
            image_take(core, into, index, what);
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
        overflow_add(core, &into->spill, what);
    }
    into->used++;
}

/* No version in the target may be behind one of the sources'. */
static uint64_t group_version(const weft_core *core, const group *g) {
    WEFT_ASSERT(g->index < g->groups);
    uint64_t version = 1;
    for (uint64_t s = 0; s < group_sources(g); s++) {
        bucket *at = group_source(g, s);
        weft_pair head = load_head(at);
        version = max_u64(version, version_of(head.first));
        uint64_t end = core->shape == WEFT_SHAPE_BYTES ? all_slots(core, head.second) : 0;
        for (uint64_t i = 0; i < end; i++) {
            uint64_t word = weft_load_relaxed(word_at(at, head.second, i));
            if (any_is_valid(core, head, i) && (word & WORD_GONE) != 0) {
                version = max_u64(version, word >> 3);
            }
        }
    }
    return version;
}

/* The state of a target whose first slots are used. */
static uint64_t image_head(uint64_t used, uint64_t version) {
    return (((uint64_t)1 << used) - 1) << VALID_SHIFT | LIVE | version << VERSION_SHIFT;
}

/* Whoever publishes a target counts what has overflown there, and with the first target counts what
 * had in the sources no more: they are frozen, so before it is live all helpers see the same. */
static void count_moved(const weft_core *core, const group *g, int64_t *cells, int64_t *bytes) {
    WEFT_ASSERT(g->index < g->groups);
    for (uint64_t s = 0; s < group_sources(g); s++) {
        bucket *at = group_source(g, s);
        weft_pair head = load_head(at);
        *cells -= overflow_live(core, at, head);
        *bytes -= overflow_block_bytes(head.second);
    }
}

/* Fill and publish one target, unless that was done. The spare is used up if it was needed. */
static void fill_target(weft_core *core, const group *g, uint64_t t, overflow **spare) {
    WEFT_ASSERT(t < group_targets(g));
    uint64_t target = g->index + t * g->groups;
    image into = {
        .g = g, .target = target, .at = &g->to->buckets[target], .spill = {.block = *spare}};
    for (uint64_t s = 0; s < group_sources(g); s++) {
        image_take_source(core, &into, s);
    }
    bool spilled = into.spill.used != 0;
    weft_pair head = {image_head(into.used - into.spill.used, group_version(core, g)),
                      spilled ? overflow_link(core, &into.spill) : 0};
    head.first |= into.spill.filter;
    int64_t cells = (int64_t)into.spill.used;
    int64_t bytes = overflow_block_bytes(head.second);
    if (t == 0) {
        count_moved(core, g, &cells, &bytes);
    }
    /* Publishes the image: from here on the target is where its keys live. */
    if (weft_cas_pair_seq_cst(&into.at->head, (weft_pair){0, 0}, head)) {
        weft_core_count_overflow(core, cells, bytes);
        *spare = spilled ? NULL : *spare;
    }
}

/* The targets are live: nobody needs the sources' overflow blocks any more. A helper that comes
 * late and misses them builds a shorter image, none of which can take effect. */
static void group_retire_overflow(weft_core *core, const group *g) {
    WEFT_ASSERT(weft_load_relaxed(&g->to->buckets[g->index].head.first) != 0);
    if (g->to->image != NULL) {
        return; /* the blocks are the image's */
    }
    for (uint64_t i = 0; i < group_sources(g); i++) {
        bucket *at = group_source(g, i);
        uint64_t link = weft_load_acquire(&at->head.second); /* pairs with the CAS of head */
        weft_pair head = {weft_load_relaxed(&at->head.first), link};
        if (link != 0 && weft_cas_pair_seq_cst(&at->head, head, (weft_pair){head.first, 0})) {
            weft_core_retire_block(core, &overflow_of(link)->block);
        }
    }
}

/* A source of pairs, and how many of its keys go to each target. */
typedef struct pairs_move {
    const group *g;
    bucket_view in;
    uint64_t keys[MOVE_FACTOR];
} pairs_move;

/* Calls `visit` for each valid slot, in their order. */
static inline void each_pair(const weft_core *core, pairs_move *m,
                             void (*visit)(pairs_move *m, weft_pair *pair, uint64_t i)) {
    uint64_t line = valid_slots(m->in.head.first) & (((uint64_t)1 << PAIRS) - 1);
    for (; line != 0; line &= line - 1) {
        uint64_t i = (uint64_t)__builtin_ctzll(line);
        visit(m, &m->in.at->pairs[i], i);
    }
    if (overflow_of(m->in.head.second) == NULL) {
        return;
    }
    uint64_t end = all_slots(core, m->in.head.second);
    for (uint64_t i = PAIRS; i < end; i++) {
        if (any_is_valid(core, m->in.head, i)) {
            visit(m, pair_at(m->in.at, m->in.head.second, i), i);
        }
    }
}

/* One that holds no key may still be filled, with one of either half. */
static inline void count_pair(pairs_move *m, weft_pair *pair, uint64_t i) {
    (void)i;
    uint64_t first = weft_load_relaxed(&pair->first);
    bool known = (first & (PAIR_USED | PAIR_GONE | PAIR_CLAIMED)) == PAIR_USED;
    bool upper = is_upper(m->g, first);
    m->keys[0] += !known || !upper;
    m->keys[1] += !known || upper;
}

/* Can no target get more than its line holds? */
static bool fits_in_lines(const weft_core *core, const group *g, const bucket_view *in) {
    WEFT_ASSERT(!is_frozen(in->head.first) && group_sources(g) == 1);
    if (overflow_of(in->head.second) == NULL) {
        return true;
    }
    pairs_move most = {.g = g, .in = *in};
    each_pair(core, &most, count_pair);
    return most.keys[0] <= PAIRS && most.keys[1] <= PAIRS;
}

static inline void move_pair(pairs_move *m, weft_pair *from, uint64_t i) {
    weft_pair pair = freeze_pair(from, m->in.head.first, i);
    if ((pair.first & (PAIR_USED | PAIR_GONE | PAIR_CLAIMED)) == PAIR_USED) {
        bool upper = is_upper(m->g, pair.first);
        bucket *to = &m->g->to->buckets[m->g->index + (upper ? m->g->groups : 0)];
        weft_pair filled = {(pair.first & PAIR_HASH) | PAIR_USED, pair.second};
        WEFT_ASSERT(m->keys[upper] < PAIRS);
        weft_cas_pair_seq_cst(&to->pairs[m->keys[upper]++], (weft_pair){0, 0}, filled);
    }
}

/* Publish the targets, and count with the first what the source's block held. */
static void publish_lines(weft_core *core, const pairs_move *m) {
    uint64_t version = max_u64(version_of(m->in.head.first), 1);
    for (uint64_t t = 0; t < group_targets(m->g); t++) {
        bucket *to = &m->g->to->buckets[m->g->index + t * m->g->groups];
        weft_pair head = {image_head(m->keys[t], version), 0};
        bool done = weft_cas_pair_seq_cst(&to->head, (weft_pair){0, 0}, head);
        if (done && t == 0 && overflow_of(m->in.head.second) != NULL) {
            weft_core_count_overflow(core, -overflow_live(core, m->in.at, m->in.head),
                                     -overflow_block_bytes(m->in.head.second));
        }
    }
}

/* Nearly all moves of the u64 shape: one source, not frozen yet, whose targets need no block. The
 * image is that of fill_target. False: for the general way, which goes on from whatever was done.
 */
static bool move_pairs(weft_core *core, const group *g) {
    WEFT_ASSERT(group_sources(g) == 1 && group_targets(g) <= MOVE_FACTOR);
    bucket *from = group_source(g, 0);
    pairs_move m = {.g = g, .in = {from, load_head(from)}};
    uint64_t state = m.in.head.first;
    /* Acquire, release: as in group_freeze. The link is that of the state. */
    if (is_frozen(state) || !fits_in_lines(core, g, &m.in) ||
        !weft_cas_acq_rel(&from->head.first, &state, state | FROZEN)) { /* pairs with find */
        return false;
    }
    each_pair(core, &m, move_pair);
    publish_lines(core, &m);
    if (overflow_of(m.in.head.second) != NULL) {
        group_retire_overflow(core, g);
    }
    return true;
}

/* Move one group, or make sure that it has moved. False only without memory. */
static bool move_group(weft_core *core, const group *g) {
    WEFT_ASSERT(g->groups == g->to->groups);
    if (core->shape == WEFT_SHAPE_U64 && group_sources(g) == 1 && move_pairs(core, g)) {
        return true;
    }
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

/* Begin to bring what a chunk's move touches into the cache: its lines at once, since each compare
 * and swap waits for its own, and then the blocks that they name. */
static void fetch_chunk(const generation *from, const generation *to, uint64_t chunk) {
    uint64_t first = chunk * GROUPS_PER_CHUNK;
    for (uint64_t i = first; i < first + GROUPS_PER_CHUNK; i++) {
        __builtin_prefetch(&from->buckets[i], 1);
        __builtin_prefetch(&to->buckets[i], 1);
        __builtin_prefetch(&to->buckets[(i + to->groups) & to->mask], 1);
    }
    for (uint64_t i = first; i < first + GROUPS_PER_CHUNK; i++) {
        overflow_prefetch(&from->buckets[i]);
    }
}

static bool move_chunk(weft_core *core, generation *from, generation *to, uint64_t chunk) {
    WEFT_ASSERT(chunk < to->chunks && to == weft_load_relaxed(&from->next));
    fetch_chunk(from, to, chunk);
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

/* Everything is in `to`. The door stays as it is. True for the one thread that moved the root. */
static bool move_root(weft_core *core, generation *from, generation *to) {
    void *root = weft_load_relaxed(&core->root);
    while (generation_of(root) == from) {
        /* Release: pairs with the acquire of root. */
        if (weft_cas_acq_rel(&core->root, &root, (void *)&to->faces[face_of(root)])) {
            return true;
        }
    }
    return false;
}

/* All chunks are handed out: look through the flags, and move again what a stopped helper left. */
static void verify_moved(weft_core *core, generation *from, generation *to) {
    WEFT_ASSERT(weft_load_relaxed(&to->claimed) >= to->chunks + FIRST_TOUCHES);
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
    if (!move_root(core, from, to)) {
        return;
    }
    if (to->image != NULL) {
        weft_lockfree_image_let_go(core, to->image);
    } else {
        weft_core_retire_remains(core, &from->remains);
    }
}

/* Have the page of this bucket backed, unless it is; whatever the bucket holds stays as it is. A
 * huge page is cleared by the kernel in one go. */
static void touch(generation *gen, uint64_t index) {
    WEFT_ASSERT(gen->groups != 0);
    uint64_t none = 0;
    if (index <= gen->mask) {
        weft_cas_relaxed(&gen->buckets[index].head.first, &none, 0);
    }
}

/* Buckets are filled in order from the beginning of each half of the new generation, and both reach
 * new pages at the same time. So that no writer waits for two, pages are touched a while before, at
 * different times. */
static void touch_ahead(generation *to, uint64_t chunk) {
    enum { PAGE_CHUNKS = WEFT_HUGE_PAGE / sizeof(bucket) / GROUPS_PER_CHUNK };
    WEFT_ASSERT(chunk < to->chunks);
    uint64_t next = (chunk / PAGE_CHUNKS + 1) * PAGE_CHUNKS * GROUPS_PER_CHUNK;
    if (next < to->groups && chunk % PAGE_CHUNKS == PAGE_CHUNKS / 2) {
        touch(to, next);
    }
    if (next < to->groups && chunk % PAGE_CHUNKS == PAGE_CHUNKS / 4) {
        touch(to, to->groups + next);
    }
}

WEFT_COLD void weft_lockfree_move_some(weft_core *core, generation *from, generation *to) {
    if (weft_load_relaxed(&to->claimed) < to->chunks + FIRST_TOUCHES) {
        uint64_t ticket = weft_fetch_add_relaxed(&to->claimed, 1);
        if (ticket < FIRST_TOUCHES) {
            touch(to, ticket * to->groups);
            return;
        }
        uint64_t chunk = ticket - FIRST_TOUCHES;
        if (chunk < to->chunks) {
            touch_ahead(to, chunk);
            move_chunk(core, from, to, chunk);
        }
    }
    if (weft_load_relaxed(&to->claimed) >= to->chunks + FIRST_TOUCHES) {
        verify_moved(core, from, to);
    }
}

/* Move the bucket of generation `from` that holds the keys of this hash. False only without
 * memory. */
bool weft_lockfree_move_bucket(weft_core *core, generation *from, uint64_t hash) {
    generation *to = weft_load_acquire(&from->next); /* pairs with begin_move */
    WEFT_ASSERT(to != NULL);
    group g = {from, to, hash & (to->groups - 1), to->groups};
    return move_group(core, &g);
}

/* ---- resize policy --------------------------------------------------------------------------- */

/* A bucket had to overflow. Many entries: grow. Few: the keys hash badly, and growing would not
 * help. */
void weft_lockfree_consider_growth(weft_core *core, uint32_t in_bucket) {
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
    uint64_t least = fewest_buckets(table);
    if (core->grow_only || buckets <= least || weft_load_relaxed(&root->next) != NULL) {
        return;
    }
    if (weft_core_entries(core) * 2 * SHRINK_DIVISOR < buckets * load_in_halves(core)) {
        begin_move(core, root, buckets / MOVE_FACTOR);
    }
}

/* ---- sizes that are asked for ---------------------------------------------------------------- */

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
        lockfree_help_move(core);
        if (weft_load_relaxed(&to->done) + weft_load_relaxed(&to->claimed) == done &&
            root_of(core) == root && ++failures_before > 2) {
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

int weft_lockfree_reserve(weft_core *core, uint64_t entries) {
    uint64_t wanted = weft_lockfree_buckets_for(core, entries);
    uint64_t before = weft_load_relaxed(&table_of(core)->floor);
    weft_store_relaxed(&table_of(core)->floor, wanted);
    int status = resize_to(core, wanted, true);
    if (status == WEFT_E_NOMEM) {
        weft_store_relaxed(&table_of(core)->floor, before);
    }
    return status == WEFT_UNCHANGED ? WEFT_OK : status;
}

int weft_lockfree_shrink(weft_core *core) {
    weft_store_relaxed(&table_of(core)->floor, 0);
    return resize_to(core, weft_lockfree_buckets_for(core, weft_core_entries(core)), false);
}

bool weft_lockfree_maintain(weft_core *core, size_t budget) {
    bool moved = finish_move(core, budget / GROUPS_PER_CHUNK + 1);
    return weft_lockfree_doors_open(core, table_of(core)) && moved;
}
