/* SPDX-License-Identifier: MIT */
/* Engine "hybrid": a small lock-free tier for the keys that are used most, before a table under a
 * reader-writer lock.
 *
 * Design
 *   A key is in one tier at a time, and that tier alone answers for it. The hot tier is a fixed
 *   array of buckets of three slots; what happens to a key there takes no lock. All others are in
 *   the plain table (plain.h), under the lock. Each thread samples one of 64 of its operations:
 *   what the samples meet in the hot tier stays hot, what they meet in the other one is promoted,
 *   at once where there is room, else when it was met several times and a key of its bucket has
 *   cooled down. docs/design/hybrid.md.
 * Layout
 *   hot bucket, one line: {moves, heat, 3 × {word, cell}}; the word is the hash with its lowest
 *   bit, which the bucket's number tells, replaced by USED; 0: the slot is empty.
 * Concurrency
 *   A slot changes by compare and swap of both words: a write of a hot key, a removal, and the two
 *   steps of a move, which only the holder of the write lock takes. An operation that does not find
 *   its key in the hot tier looks there again under the lock, where no key moves.
 *   Linearization points: in the hot tier the compare and swap, or the load of the word; else in
 *   the critical section.
 * Rejected
 *   A copy of hot keys in front of the table (a cache): each write has to change both, and readers
 *   may see either. Counting each access: a shared write for each read. Leaving the key in the
 *   table when it is hot, to save the insertion later: in the bytes shape its entry is freed by the
 *   next write.
 * Credits
 *   Promotion to a tier without locks: Go's sync.Map (B. Mills, 2017), which copies all at once.
 *   Aging: CLOCK (F. Corbato, 1968) with counters, as in GCLOCK (A. Smith, 1978).
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "engine/plain.h"
#include <stdio.h>

enum {
    SLOTS = 3,
    USED = 1,
    BUCKETS_MIN = 2, /* the lowest bit of a hash is told by the bucket */
    HEAT_BITS = 8,
    HEAT_MAX = 3,
    HEAT_NEW = 1,
    WARM_ENOUGH = 3,       /* samples of a key that is to take another one's place */
    WARMTH_PER_BUCKET = 8, /* a power of two */
#if defined(WEFT_SCHED) && WEFT_SCHED
    /* Programs of schedules are short. */
    HOT_ENTRIES = 2,
    SAMPLE_EVERY = 2,
    COOL_EVERY = 1,
#else
    HOT_ENTRIES = 512,
    SAMPLE_EVERY = 64, /* operations of a thread; a power of two */
    COOL_EVERY = 4,    /* samples that meet no hot key; a power of two */
#endif
    HOT_ENTRIES_MAX = 1 << 20,
};

/* What a find leaves for the swing, in weft_position.words. AT_SLOT is a hot pair, or under a lock
 * that is kept one of the plain table. */
enum { AT_SLOT = WEFT_PLAIN_AT, AT_TIER, AT_WORD };
enum { TIER_COLD, TIER_HOT };

typedef struct hot_bucket {
    uint64_t moves; /* keys that were put into it */
    uint64_t heat;  /* HEAT_BITS for each slot; lost updates do no harm */
    weft_pair slots[SLOTS];
} WEFT_LINE_ALIGNED hot_bucket;

_Static_assert(sizeof(hot_bucket) == WEFT_CACHE_LINE, "a hot bucket is a line");

typedef struct ticks {
    uint32_t operations;
} WEFT_LINE_ALIGNED ticks;

typedef struct hybrid_table {
    hot_bucket *hot; /* NULL until the first insert */
    uint64_t hot_mask;
    uint8_t *warmth; /* samples that met a key of this hash in the cold tier; made with `hot` */
    uint64_t warmth_mask;
    weft_rwlock lock WEFT_LINE_ALIGNED; /* of all from here to `removed_version`, and of moves */
    weft_plain cold;
    uint64_t promotions;
    uint64_t demotions;
    uint64_t closing;                           /* hot buckets that close has freed */
    uint64_t removed_version WEFT_LINE_ALIGNED; /* bytes: no removed key had a greater one */
    uint64_t samples;                           /* that met no hot key; about */
    ticks ticks[];                              /* as the core's stripes */
} hybrid_table;

static hybrid_table *table_of(weft_core *core) {
    return core->table;
}

static WEFT_ALWAYS_INLINE weft_plain_same_fn same_in(weft_shape shape) {
    return shape == WEFT_SHAPE_BYTES ? weft_plain_same_entry : NULL;
}

static weft_plain_same_fn same_of(const weft_core *core) {
    return same_in(core->shape);
}

static weft_key key_of(uint64_t hash, uint64_t cell) {
    return (weft_key){.hash = hash, .bytes = weft_entry_key_bytes(weft_entry_of(cell))};
}

/* ---- the hot tier ---------------------------------------------------------------------------- */

typedef struct sight {
    hot_bucket *bucket;
    unsigned slot;
    uint64_t cell;
} sight;

/* The hash's bucket; NULL before the first insert. */
static WEFT_ALWAYS_INLINE hot_bucket *hot_bucket_of(hybrid_table *table, uint64_t hash) {
    hot_bucket *hot = weft_load_acquire(&table->hot); /* pairs with the release in make_hot */
    return hot == NULL ? NULL : &hot[hash & table->hot_mask];
}

/* True if the key is hot. False says nothing, as it may be moving, unless the caller has the lock.
 */
static WEFT_ALWAYS_INLINE bool look_hot(hybrid_table *table, const weft_key *key,
                                        weft_plain_same_fn same, sight *seen) {
    hot_bucket *bucket = hot_bucket_of(table, key->hash);
    bool found = bucket != NULL;
    seen->bucket = bucket;
    while (found) {
        uint64_t moves = weft_load_acquire(&bucket->moves); /* pairs with promote */
        found = false;
        for (unsigned i = 0; i < SLOTS && !found; i++) {
            /* Acquire, both: the entry. Pairs with the CAS of its writer. */
            if (weft_load_acquire(&bucket->slots[i].first) == (key->hash | USED)) { /* pairs: CAS */
                seen->slot = i;
                seen->cell = weft_load_second_acquire(&bucket->slots[i]); /* pairs with the CAS */
                found = same == NULL || same(seen->cell, key);
            }
        }
        /* A slot that lost its key keeps the cell; if no key was put into one of this bucket since,
         * the cell was the key's at some moment since the word was. Pairs with promote. */
        if (WEFT_LIKELY(weft_load_acquire(&bucket->moves) == moves)) { /* pairs with promote */
            break;
        }
    }
    return found;
}

/* Bytes shape: no version of a removed key is above. */
static void raise_removed_version(hybrid_table *table, uint64_t version) {
    WEFT_ASSERT(version != 0);
    uint64_t seen = weft_load_relaxed(&table->removed_version);
    /* Release: whoever finds the key gone finds its version here. */
    while (seen < version && !weft_cas_acq_rel(&table->removed_version, &seen, version)) {
    } /* pairs with the acquire of the slot that the removal empties */
}

static int swing_hot(weft_core *core, weft_position *position, bool keep, uint64_t desired) {
    WEFT_ASSERT(position->present && position->words[AT_TIER] == TIER_HOT);
    if (core->shape == WEFT_SHAPE_BYTES) {
        weft_view view;
        if (!weft_entry_look(weft_entry_of(position->cell), &view)) {
            return WEFT_MISMATCH;
        }
        position->version =
            (view.version > position->at_least ? view.version : position->at_least) + 1;
        if (keep) {
            weft_store_relaxed(&weft_entry_of(desired)->version, position->version);
        } else {
            raise_removed_version(table_of(core), position->version);
        }
    }
    weft_pair was = {position->words[AT_WORD], position->cell};
    weft_pair becomes = {keep ? was.first : 0, keep ? desired : was.second};
    weft_pair *slot = (weft_pair *)(uintptr_t)position->words[AT_SLOT];
    return weft_cas_pair_seq_cst(slot, was, becomes) ? WEFT_OK : WEFT_MISMATCH;
}

/* ---- moves, under the write lock ------------------------------------------------------------- */

static size_t hot_bytes(const hybrid_table *table) {
    return (table->hot_mask + 1) * sizeof(hot_bucket) + table->warmth_mask + 1;
}

/* With the first insert; without memory with a later one. */
static void make_hot(weft_core *core) {
    hybrid_table *table = table_of(core);
    hot_bucket *hot = weft_core_alloc_table(core, hot_bytes(table), false);
    if (hot != NULL) {
        table->warmth = (uint8_t *)(hot + table->hot_mask + 1);
        weft_store_release(&table->hot, hot); /* pairs with the acquire in hot_bucket_of */
    }
}

static weft_pair pair_at(weft_pair *slot) {
    return (weft_pair){weft_load_acquire(&slot->first), /* pairs with the CAS of its writer */
                       weft_load_second_acquire(slot)}; /* pairs with the CAS of its writer */
}

static uint64_t hash_of(const hybrid_table *table, const hot_bucket *bucket, uint64_t word) {
    uint64_t number = (uint64_t)(bucket - table->hot);
    return (word & ~(uint64_t)USED) | (number & USED);
}

/* Moves happen in lookups, too, which take no memory: so the table is not resized by them, and a
 * key for which it has no slot ready stays hot. */
static bool fits(const weft_plain *cold, uint64_t hash) {
    return !weft_plain_is_moving(cold) && cold->entries < cold->grow_at &&
           weft_plain_match(weft_plain_home(cold, hash), 0) != 0;
}

static void take_out(weft_core *core, uint64_t hash, weft_plain_slot *slot) {
    weft_plain *cold = &table_of(core)->cold;
    uint64_t limit = cold->shrink_at;
    cold->shrink_at = 0;
    weft_plain_remove(core, cold, hash, slot);
    cold->shrink_at = limit;
}

/* Bring a slot's key back into the table; false if it has to stay. */
static bool demote(weft_core *core, hot_bucket *bucket, unsigned i) {
    WEFT_ASSERT(i < SLOTS);
    hybrid_table *table = table_of(core);
    weft_pair *slot = &bucket->slots[i];
    weft_pair was = pair_at(slot);
    if (was.first == 0) {
        return true;
    }
    WEFT_ASSERT((was.first & USED) != 0);
    weft_key key = {.hash = hash_of(table, bucket, was.first)};
    if (core->shape == WEFT_SHAPE_BYTES) {
        key = key_of(key.hash, was.second);
    }
    if (!fits(&table->cold, key.hash) ||
        !weft_plain_insert(core, &table->cold, key.hash, was.second)) {
        return false;
    }
    table->demotions++;
    while (!weft_cas_pair_seq_cst(slot, was, (weft_pair){0, was.second})) {
        was = pair_at(slot);
        weft_plain_slot *copy = weft_plain_find(&table->cold, &key, same_of(core));
        if (was.first == 0) { /* removed, at the last moment */
            take_out(core, key.hash, copy);
            break;
        }
#if WEFT_MUTANT != 47 /* loses what a hot key got while it was on its way out */
        copy->cell = was.second;
#endif
    }
    return true;
}

static uint64_t heat_of(const hot_bucket *bucket, unsigned i) {
    return weft_load_relaxed(&bucket->heat) >> (i * HEAT_BITS) & ((1 << HEAT_BITS) - 1);
}

static void set_heat(hot_bucket *bucket, unsigned i, uint64_t heat) {
    uint64_t mask = (uint64_t)((1 << HEAT_BITS) - 1) << (i * HEAT_BITS);
    uint64_t rest = weft_load_relaxed(&bucket->heat) & ~mask;
    weft_store_relaxed(&bucket->heat, rest | heat << (i * HEAT_BITS));
}

/* Each key of the bucket is a little less hot. */
static void cool(hot_bucket *bucket) {
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t heat = heat_of(bucket, i);
        set_heat(bucket, i, heat == 0 ? 0 : heat - 1);
    }
}

static bool has_room(hot_bucket *bucket) {
    bool room = false;
    for (unsigned i = 0; i < SLOTS && !room; i++) {
        room = weft_load_relaxed(&bucket->slots[i].first) == 0;
    }
    return room;
}

/* A slot for one more key, whose warmth is given; SLOTS if none is to be had. */
static unsigned make_place(weft_core *core, hot_bucket *bucket, unsigned warmth) {
    WEFT_ASSERT(bucket != NULL);
    for (unsigned i = 0; i < SLOTS; i++) {
        if (pair_at(&bucket->slots[i]).first == 0) {
            return i;
        }
    }
    if (warmth < WARM_ENOUGH) {
        return SLOTS;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (heat_of(bucket, i) == 0) {
            return demote(core, bucket, i) ? i : SLOTS;
        }
    }
    cool(bucket);
    return SLOTS;
}

/* Put the key of the table into the hot tier, if both are still so. */
static void promote(weft_core *core, const weft_key *key, unsigned warmth) {
    WEFT_ASSERT(warmth != 0);
    hybrid_table *table = table_of(core);
    sight seen;
    weft_rwlock_write_lock(&table->lock);
    if (!look_hot(table, key, same_of(core), &seen) &&
        weft_plain_find(&table->cold, key, same_of(core)) != NULL) {
        hot_bucket *bucket = hot_bucket_of(table, key->hash);
        unsigned i = make_place(core, bucket, warmth);
        if (i < SLOTS) {
            weft_plain_slot *from = weft_plain_find(&table->cold, key, same_of(core));
            weft_pair *slot = &bucket->slots[i];
            weft_pair empty = {0, weft_load_relaxed(&slot->second)};
            weft_pair full = {key->hash | USED, from->cell};
#if WEFT_MUTANT != 46 /* what was looked up in this slot may get this key's cell */
            /* Release: the slot was empty. Pairs with look_hot. */
            weft_store_release(&bucket->moves, weft_load_relaxed(&bucket->moves) + 1);
#endif
            bool put = weft_cas_pair_seq_cst(slot, empty, full);
            WEFT_ASSERT(put);
            (void)put;
            set_heat(bucket, i, HEAT_NEW);
#if WEFT_MUTANT != 48 /* leaves the key in both tiers */
            take_out(core, key->hash, from);
#endif
            table->promotions++;
        }
    }
    weft_rwlock_write_unlock(&table->lock);
}

/* The hand of the clock: the next bucket cools, and what was cold in it leaves. */
static void turn_hand(weft_core *core, uint64_t number) {
    WEFT_ASSERT(weft_epoch_inside());
    hybrid_table *table = table_of(core);
    hot_bucket *bucket = hot_bucket_of(table, number);
    bool any = false;
    for (unsigned i = 0; i < SLOTS; i++) {
        any = any || (pair_at(&bucket->slots[i]).first != 0 && heat_of(bucket, i) == 0);
    }
    if (any) {
        weft_rwlock_write_lock(&table->lock);
        for (unsigned i = 0; i < SLOTS; i++) {
            if (heat_of(bucket, i) == 0) {
                (void)demote(core, bucket, i);
            }
        }
        weft_rwlock_write_unlock(&table->lock);
    }
    cool(bucket);
}

/* ---- heat ------------------------------------------------------------------------------------ */

/* Is this operation of the thread one that counts? */
static WEFT_ALWAYS_INLINE bool is_sample(weft_core *core, hybrid_table *table) {
    bool own; /* or nearly so: a tick that is lost does no harm */
    uint32_t *count = &table->ticks[weft_core_my_stripe(core, &own) - core->stripes].operations;
    uint32_t now = weft_load_relaxed(count) + 1;
    weft_store_relaxed(count, now);
    return WEFT_UNLIKELY((now & (SAMPLE_EVERY - 1)) == 0);
}

/* The warmth of a hash in the cold tier; another one at the hand is halved, so that what was warm
 * once is forgotten in time. */
static unsigned warm(hybrid_table *table, uint64_t hash, uint64_t sample) {
    uint8_t *fades = &table->warmth[sample & table->warmth_mask];
    weft_store_relaxed(fades, (uint8_t)(weft_load_relaxed(fades) / 2));
    uint8_t *at = &table->warmth[hash >> 40 & table->warmth_mask];
    unsigned warmth = weft_load_relaxed(at) + 1u;
    if (warmth <= WARM_ENOUGH) {
        weft_store_relaxed(at, (uint8_t)warmth);
    }
    return warmth;
}

/* An operation that counts, before its work: may bring its key into the hot tier. */
static WEFT_NOINLINE void take_sample(weft_core *core, const weft_key *key) {
    hybrid_table *table = table_of(core);
    WEFT_ASSERT(weft_epoch_inside());
    sight seen;
    if (hot_bucket_of(table, key->hash) == NULL) {
        return;
    }
    if (look_hot(table, key, same_of(core), &seen)) {
        uint64_t heat = heat_of(seen.bucket, seen.slot);
        if (heat < HEAT_MAX) { /* else nobody writes: no line moves for a sample */
            set_heat(seen.bucket, seen.slot, heat + 1);
        }
        return;
    }
    uint64_t sample = weft_fetch_add_relaxed(&table->samples, 1);
    unsigned warmth = warm(table, key->hash, sample);
    if (warmth >= WARM_ENOUGH || has_room(hot_bucket_of(table, key->hash))) {
        promote(core, key, warmth);
    }
    if ((sample & (COOL_EVERY - 1)) == 0) {
        turn_hand(core, sample / COOL_EVERY);
    }
}

/* ---- find and swing -------------------------------------------------------------------------- */

static WEFT_ALWAYS_INLINE void find(weft_shape shape, weft_core *core, const weft_key *key,
                                    weft_position *position) {
    weft_plain_same_fn same = same_in(shape);
    hybrid_table *table = table_of(core);
    sight seen;
    if (is_sample(core, table)) {
        take_sample(core, key);
    }
    while (!look_hot(table, key, same, &seen)) {
        position->hold ? weft_rwlock_write_lock(&table->lock) : weft_rwlock_read_lock(&table->lock);
        if (WEFT_LIKELY(!look_hot(table, key, same, &seen))) {
            weft_plain_position(shape, &table->cold, key, position);
            position->words[AT_TIER] = TIER_COLD;
            if (!position->hold) {
                weft_rwlock_read_unlock(&table->lock);
            }
            return;
        }
        position->hold ? weft_rwlock_write_unlock(&table->lock)
                       : weft_rwlock_read_unlock(&table->lock);
    }
    position->present = true;
    position->cell = seen.cell;
    position->words[AT_TIER] = TIER_HOT;
    position->words[AT_SLOT] = (uintptr_t)&seen.bucket->slots[seen.slot];
    position->words[AT_WORD] = key->hash | USED;
}

static void find_bytes(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_BYTES, core, key, position);
}

static void find_u64(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_U64, core, key, position);
}

static WEFT_ALWAYS_INLINE bool look(weft_shape shape, weft_core *core, const weft_key *key,
                                    uint64_t *cell) {
    weft_plain_same_fn same = same_in(shape);
    hybrid_table *table = table_of(core);
    sight seen;
    if (is_sample(core, table)) {
        take_sample(core, key);
    }
    bool present = look_hot(table, key, same, &seen);
    if (!present) {
        weft_rwlock_read_lock(&table->lock);
#if WEFT_MUTANT != 45 /* misses a key that was promoted meanwhile */
        present = look_hot(table, key, same, &seen);
#endif
        if (WEFT_LIKELY(!present)) {
            const weft_plain_slot *slot = weft_plain_find(&table->cold, key, same);
            present = slot != NULL;
            seen.cell = present ? slot->cell : 0;
        }
        weft_rwlock_read_unlock(&table->lock);
    }
    if (present) {
        *cell = seen.cell;
    }
    return present;
}

static bool look_bytes(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_BYTES, core, key, cell);
}

static bool look_u64(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_U64, core, key, cell);
}

/* Under the write lock, with the slot of the plain table, or NULL; `desired` NULL: a removal. */
static int change_cold(weft_core *core, const weft_key *key, weft_position *position,
                       const uint64_t *desired) {
    hybrid_table *table = table_of(core);
    if (!position->present && desired != NULL) {
        /* Relaxed: the key was found to be gone by an acquire of its slot, or under the lock. */
        uint64_t floor = weft_load_relaxed(&table->removed_version);
        position->at_least = position->at_least > floor ? position->at_least : floor;
    }
    int status = weft_plain_swing(core, &table->cold, key, position, desired);
    if (WEFT_UNLIKELY(table->hot == NULL) && status == WEFT_OK && desired != NULL) {
        make_hot(core);
    }
    return status;
}

/* Take the lock, and see whether all is as find saw it. */
static bool lock_again(weft_core *core, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(!position->hold);
    hybrid_table *table = table_of(core);
    weft_rwlock_write_lock(&table->lock);
#if WEFT_MUTANT == 49 /* writes a key into the table that was promoted meanwhile */
    bool hot = false;
#else
    sight seen;
    bool hot = look_hot(table, key, same_of(core), &seen);
#endif
    if (!hot && weft_plain_is_as_seen(core, &table->cold, key, position)) {
        return true;
    }
    weft_rwlock_write_unlock(&table->lock);
    return false;
}

static int hybrid_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                        uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    if (position->words[AT_TIER] == TIER_HOT) {
        return swing_hot(core, position, keep, desired);
    }
    if (!position->hold && !lock_again(core, key, position)) {
        return WEFT_MISMATCH;
    }
    int status = change_cold(core, key, position, keep ? &desired : NULL);
    weft_rwlock_write_unlock(&table_of(core)->lock);
    return status;
}

static void hybrid_let_go(weft_core *core, weft_position *position) {
    if (position->words[AT_TIER] == TIER_COLD) {
        weft_rwlock_write_unlock(&table_of(core)->lock);
    }
}

/* ---- walk ------------------------------------------------------------------------------------ */

/* The hot keys from step->from to before step->next. Under the lock: none comes. */
static void walk_hot(weft_core *core, weft_step *step) {
    hybrid_table *table = table_of(core);
    uint64_t rest = UINT64_MAX >> weft_bits_for(table->hot_mask + 1);
    uint64_t last = step->next - 1;
    for (uint64_t at = step->from;;) {
        hot_bucket *bucket = hot_bucket_of(table, weft_reverse_bits(at));
        for (unsigned i = 0; bucket != NULL && i < SLOTS; i++) {
            weft_pair pair = pair_at(&bucket->slots[i]);
            uint64_t hash = hash_of(table, bucket, pair.first);
            uint64_t point = weft_reverse_bits(hash);
            if (pair.first != 0 && point >= step->from && point <= last) {
                bool numbers = core->shape == WEFT_SHAPE_U64;
                step->emit(step, numbers ? weft_core_unhash_u64(core, hash) : 0, pair.second);
            }
        }
        if ((at | rest) >= last) {
            break;
        }
        at = (at | rest) + 1;
    }
}

static void hybrid_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    hybrid_table *table = table_of(core);
    weft_rwlock_read_lock(&table->lock);
    weft_plain_walk(core, &table->cold, step);
    walk_hot(core, step);
    weft_rwlock_read_unlock(&table->lock);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static uint64_t power_of_two(uint64_t n) {
    return (uint64_t)1 << weft_bits_for(n);
}

static size_t table_bytes(const weft_core *core) {
    return sizeof(hybrid_table) + 2 * core->stripe_count * sizeof(ticks);
}

static int hybrid_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    uint32_t wanted = core->options->hybrid.hot_entries;
    if (wanted > HOT_ENTRIES_MAX) {
        return WEFT_E_INVALID;
    }
    hybrid_table *table = weft_core_alloc(core, table_bytes(core), WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    memset(table, 0, table_bytes(core));
    if (!weft_rwlock_init(&table->lock)) {
        weft_core_free(core, table, table_bytes(core), WEFT_CACHE_LINE);
        return WEFT_E_NOMEM;
    }
    /* A bucket a key: then one key of 40 finds its bucket full. */
    uint64_t buckets = power_of_two(wanted == 0 ? HOT_ENTRIES : wanted);
    table->hot_mask = (buckets < BUCKETS_MIN ? BUCKETS_MIN : buckets) - 1;
    table->warmth_mask = (table->hot_mask + 1) * WARMTH_PER_BUCKET - 1;
    weft_plain_open(&table->cold, core->expected_entries);
    table->cold.grow_only = core->grow_only;
    core->table = table;
    return WEFT_OK;
}

static bool hybrid_close(weft_core *core, size_t budget,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL && core->table != NULL);
    hybrid_table *table = table_of(core);
    for (; table->hot != NULL && table->closing <= table->hot_mask; table->closing++, budget--) {
        if (budget == 0) {
            return false;
        }
        for (unsigned i = 0; i < SLOTS; i++) {
            weft_pair pair = pair_at(&table->hot[table->closing].slots[i]);
            if (pair.first != 0) {
                drop(core, pair.second);
            }
        }
    }
    if (!weft_plain_close(core, &table->cold, &budget, drop)) {
        return false;
    }
    if (table->hot != NULL) {
        weft_core_free_table(core, table->hot, hot_bytes(table));
    }
    weft_rwlock_destroy(&table->lock);
    weft_core_free(core, table, table_bytes(core), WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

static int hybrid_reserve(weft_core *core, uint64_t entries) {
    WEFT_ASSERT(core->table != NULL);
    hybrid_table *table = table_of(core);
    weft_rwlock_write_lock(&table->lock);
    int status = weft_plain_reserve(core, &table->cold, entries);
    weft_rwlock_write_unlock(&table->lock);
    return status;
}

static int hybrid_shrink(weft_core *core) {
    WEFT_ASSERT(core->table != NULL);
    hybrid_table *table = table_of(core);
    weft_rwlock_write_lock(&table->lock);
    int status = weft_plain_shrink_at_once(core, &table->cold);
    weft_rwlock_write_unlock(&table->lock);
    return status;
}

static bool hybrid_maintain(weft_core *core, size_t budget) {
    WEFT_ASSERT(core->table != NULL);
    hybrid_table *table = table_of(core);
    weft_rwlock_write_lock(&table->lock);
    bool done = weft_plain_step(core, &table->cold, budget);
    weft_rwlock_write_unlock(&table->lock);
    return done;
}

static uint64_t count_hot(hybrid_table *table) {
    uint64_t count = 0;
    for (uint64_t i = 0; table->hot != NULL && i <= table->hot_mask; i++) {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            count += pair_at(&table->hot[i].slots[slot]).first != 0;
        }
    }
    return count;
}

static void hybrid_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(core->table != NULL && stats != NULL);
    hybrid_table *table = table_of(core);
    weft_rwlock_read_lock(&table->lock);
    weft_plain_stats(&table->cold, stats);
    stats->hybrid.hot_entries = count_hot(table);
    stats->hybrid.hot_slots = (table->hot_mask + 1) * SLOTS;
    stats->hybrid.promotions += table->promotions;
    stats->hybrid.demotions += table->demotions;
    stats->table_bytes += table->hot != NULL ? hot_bytes(table) : 0;
    weft_rwlock_read_unlock(&table->lock);
}

/* Keys that are this one, in the bucket and in the table. */
static unsigned times_there(hybrid_table *table, hot_bucket *bucket, const weft_key *key,
                            weft_plain_same_fn same) {
    unsigned times = weft_plain_find(&table->cold, key, same) != NULL;
    for (unsigned i = 0; i < SLOTS; i++) {
        weft_pair pair = pair_at(&bucket->slots[i]);
        times += pair.first == (key->hash | USED) && (same == NULL || same(pair.second, key));
    }
    return times;
}

static const char *broken_invariant(weft_core *core, hybrid_table *table) {
    weft_plain_same_fn same = same_of(core);
    for (uint64_t i = 0; table->hot != NULL && i <= table->hot_mask; i++) {
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            weft_pair pair = pair_at(&table->hot[i].slots[slot]);
            weft_key key = {.hash = hash_of(table, &table->hot[i], pair.first)};
            if (pair.first == 0) {
                continue;
            }
            if ((pair.first & USED) == 0 || (key.hash & table->hot_mask) != i) {
                return "H1 a hot key is in the bucket of its hash";
            }
            key = same == NULL ? key : key_of(key.hash, pair.second);
            if (times_there(table, &table->hot[i], &key, same) != 1) {
                return "H2 a hot key is nowhere else";
            }
        }
    }
    return table->cold.entries + count_hot(table) != weft_core_entries(core)
               ? "H3 the counters count the entries of both tiers"
               : weft_plain_check_in(core, &table->cold);
}

static int hybrid_check(weft_core *core, char *text, size_t capacity) {
    WEFT_ASSERT(core->table != NULL);
    hybrid_table *table = table_of(core);
    weft_rwlock_read_lock(&table->lock);
    const char *broken = broken_invariant(core, table);
    weft_rwlock_read_unlock(&table->lock);
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "hybrid: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void hybrid_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    hybrid_table *table = table_of(core);
    char line[160];
    weft_rwlock_read_lock(&table->lock);
    snprintf(line, sizeof line,
             "hot: %llu of %llu slots, %llu promotions, %llu demotions; cold: %llu entries",
             (unsigned long long)count_hot(table),
             (unsigned long long)(table->hot_mask + 1) * SLOTS,
             (unsigned long long)table->promotions, (unsigned long long)table->demotions,
             (unsigned long long)table->cold.entries);
    weft_rwlock_read_unlock(&table->lock);
    print(ctx, line);
}

const weft_engine weft_engine_hybrid = {
    .name = "hybrid",
    .id = WEFT_ENGINE_HYBRID,
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_THREADS | WEFT_CAP_GROW,
    .choose = "a few hundred keys get nearly all operations, of several threads",
    .do_not_choose = "keys that are used alike, or come and go: they are behind one lock, and pay "
                     "for the look at the hot tier too",
    .open = hybrid_open,
    .close = hybrid_close,
    .find = {find_bytes, find_u64},
    .look = {look_bytes, look_u64},
    .swing = hybrid_swing,
    .let_go = hybrid_let_go,
    .walk = hybrid_walk,
    .reserve = hybrid_reserve,
    .shrink = hybrid_shrink,
    .maintain = hybrid_maintain,
    .stats = hybrid_stats,
    .check = hybrid_check,
    .dump = hybrid_dump,
};
