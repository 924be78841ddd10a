/* SPDX-License-Identifier: MIT */
/* Engine "lockfree" looked at from outside: statistics, the invariants, a printout. */
#include "engine/lockfree_layout.h"
#include "engine/lockfree_overflow.h"
#include <stdio.h>

/* Threads that work meanwhile may be counted in part; never below 0. */
static void count_overflow(const weft_core *core, uint64_t *entries, uint64_t *bytes) {
    int64_t entry_sum = 0;
    int64_t byte_sum = 0;
    for (uint32_t i = 0; i < 2 * core->stripe_count; i++) {
        entry_sum += weft_load_relaxed(&core->stripes[i].overflow_entries);
        byte_sum += weft_load_relaxed(&core->stripes[i].overflow_bytes);
    }
    *entries = entry_sum < 0 ? 0 : (uint64_t)entry_sum;
    *bytes = byte_sum < 0 ? 0 : (uint64_t)byte_sum;
}

/* Of generations that are nothing but images any more. */
static uint64_t image_bytes(weft_core *core) {
    WEFT_ASSERT(weft_epoch_inside());
    uint64_t bytes = 0;
    for (unsigned i = 0; i < WEFT_IMAGES_MAX; i++) {
        /* Acquire: the image. Pairs with its registration. */
        weft_image *base = weft_load_acquire(&core->images[i]);
        if (base != NULL) {
            const lockfree_image *image = WEFT_CONTAINER(base, lockfree_image, base);
            bool alone = weft_load_relaxed(&image->holders) == 1;
            bytes += alone ? (image->gen->mask + 1) * sizeof(bucket) : 0;
        }
    }
    return bytes;
}

void weft_lockfree_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(weft_epoch_inside());
    uint64_t overflow_bytes;
    count_overflow(core, &stats->overflow_entries, &overflow_bytes);
    stats->table_bytes += overflow_bytes + image_bytes(core);
    lockfree_table *table = table_of(core);
    generation *root = root_of(core);
    stats->growths += weft_load_relaxed(&table->growths);
    stats->shrinks += weft_load_relaxed(&table->shrinks);
    stats->growth_failures += weft_load_relaxed(&table->failures);
    stats->longest_bucket = weft_load_relaxed(&table->longest);
    stats->buckets = root == NULL ? 0 : root->mask + 1;
    for (generation *gen = root; gen != NULL;
         gen = weft_load_acquire(&gen->next)) { /* pairs with begin_move */
        stats->table_bytes += (gen->mask + 1) * sizeof(bucket) + gen->chunks + sizeof *gen;
        if (gen != root) {
            uint64_t claimed = weft_load_relaxed(&gen->claimed);
            uint64_t chunks = claimed < FIRST_TOUCHES ? 0 : claimed - FIRST_TOUCHES;
            chunks = chunks < gen->chunks ? chunks : gen->chunks;
            stats->moved_buckets = chunks * (gen->groups / gen->chunks);
            stats->remaining_buckets = gen->groups - stats->moved_buckets;
        }
    }
}

/* ---- invariants ------------------------------------------------------------------------------ */

typedef struct verdict {
    weft_core *core;
    char *text;
    size_t capacity;
    uint64_t entries;
    uint64_t overflow_entries;
    uint64_t overflow_bytes;
    bool broken;
} verdict;

static void require(verdict *v, bool holds, const char *invariant, uint64_t index) {
    if (!holds && !v->broken) {
        v->broken = true;
        if (v->text != NULL && v->capacity > 0) {
            snprintf(v->text, v->capacity, "lockfree: %s (bucket %llu)", invariant,
                     (unsigned long long)index);
        }
    }
}

static bool same_key(const weft_core *core, const cell *a, const cell *b) {
    if (core->shape == WEFT_SHAPE_U64) {
        return a->hash == b->hash;
    }
    const weft_entry *other = word_entry(b->value);
    return weft_entry_has_key(word_entry(a->value),
                              weft_bytes_of(weft_entry_key(other), weft_entry_key_size(other)));
}

/* Of what a bucket has beyond its line. */
static uint64_t filter_of(const weft_core *core, const bucket_view *in, uint64_t index) {
    uint64_t filter = 0;
    for (uint64_t i = slots_of(core->shape); i < all_slots(core, in->head.second); i++) {
        cell what = {.hash = index};
        if (live_slot(core, in, i, &what)) {
            filter |= filter_bit(core->shape == WEFT_SHAPE_U64 ? what.hash : what.value);
        }
    }
    return filter;
}

static bool lives_in_target(const weft_core *core, const generation *gen, uint64_t index,
                            const cell *what) {
    const generation *next = gen->next;
    return is_frozen(gen->buckets[index].head.first) &&
           next->buckets[cell_target(core, gen, index, what)].head.first != 0;
}

/* What has overflown is counted where its first target is, once that is live. */
static bool counts_in_target(const generation *gen, uint64_t index) {
    const generation *next = gen->next;
    return next != NULL && is_frozen(gen->buckets[index].head.first) &&
           next->buckets[index & gen->mask & next->mask].head.first != 0;
}

static void check_bucket(verdict *v, generation *gen, uint64_t index) {
    WEFT_ASSERT(index <= gen->mask);
    bucket *at = &gen->buckets[index];
    const bucket_view in = {at, at->head};
    uint64_t count = all_slots(v->core, at->head.second);
    cell what;
    cell other;
    require(v, !is_frozen(at->head.first) || gen->next != NULL,
            "L1 a frozen bucket has a next generation", index);
    require(v, valid_slots(at->head.first) == 0 || (at->head.first & LIVE) != 0,
            "L2 a bucket with valid slots is live", index);
    if (!counts_in_target(gen, index)) {
        v->overflow_entries += (uint64_t)overflow_live(v->core, at, at->head);
        v->overflow_bytes += (uint64_t)overflow_block_bytes(at->head.second);
    }
    require(v, (filter_of(v->core, &in, index) & ~at->head.first) == 0,
            "L3 the filter has the bit of every key in the overflow block", index);
    for (uint64_t i = 0; i < count; i++) {
        what.hash = index;
        if (!live_slot(v->core, &in, i, &what) || lives_in_target(v->core, gen, index, &what)) {
            continue;
        }
        require(v, v->core->shape == WEFT_SHAPE_U64 || word_entry(what.value) != NULL,
                "L4 a valid slot holds an entry", index);
        require(v, (cell_hash(v->core, &what) & gen->mask) == index,
                "L5 a key is in the bucket of its hash", index);
        for (uint64_t k = i + 1; k < count; k++) {
            other.hash = index;
            require(v,
                    !live_slot(v->core, &in, k, &other) ||
                        lives_in_target(v->core, gen, index, &other) ||
                        !same_key(v->core, &what, &other),
                    "L6 no key is in a bucket twice", index);
        }
        v->entries++;
    }
}

int weft_lockfree_check(weft_core *core, char *text, size_t capacity) {
    WEFT_ASSERT(core->table != NULL);
    verdict v = {.core = core, .text = text, .capacity = capacity};
    generation *gen = root_of(core);
    for (; gen != NULL && !v.broken; gen = gen->next) {
        for (uint64_t i = 0; i <= gen->mask && !v.broken; i++) {
            check_bucket(&v, gen, i);
        }
    }
    require(&v, v.entries == weft_core_entries(core), "L7 the stripes count the entries", 0);
    uint64_t entries;
    uint64_t bytes;
    count_overflow(core, &entries, &bytes);
    require(&v, entries == v.overflow_entries && bytes == v.overflow_bytes,
            "L8 the stripes count what is in overflow blocks", 0);
    return v.broken ? WEFT_E_CORRUPT : WEFT_OK;
}

/* ---- printout -------------------------------------------------------------------------------- */

void weft_lockfree_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL && weft_epoch_inside());
    char line[160];
    unsigned number = 0;
    generation *gen = root_of(core);
    for (; gen != NULL; gen = weft_load_acquire(&gen->next), number++) { /* pairs with begin_move */
        snprintf(line, sizeof line, "generation %u: %llu buckets", number,
                 (unsigned long long)gen->mask + 1);
        print(ctx, line);
        for (uint64_t i = 0; i <= gen->mask; i++) {
            weft_pair head = load_head(&gen->buckets[i]);
            uint64_t state = head.first;
            if (state != 0) {
                snprintf(line, sizeof line, "  %llu: version %llu%s%s slots %#llx overflow %llu",
                         (unsigned long long)i, (unsigned long long)version_of(state),
                         (state & LIVE) != 0 ? " live" : "", is_frozen(state) ? " frozen" : "",
                         (unsigned long long)valid_slots(state),
                         (unsigned long long)overflow_live(core, &gen->buckets[i], head));
                print(ctx, line);
            }
        }
    }
}
