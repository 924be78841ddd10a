/* SPDX-License-Identifier: MIT */
/* Engine "cow": a table that never changes. Whoever writes makes another one, and puts it in its
 * place with one store.
 *
 * Design
 *   A version is the whole table. A write takes the lock, copies the version, changes the copy and
 *   stores its address in the root; write_batch does so once for all of its writes. A reader loads
 *   the root and looks: there is nothing to wait for, nothing to try again, and all that it finds
 *   behind one root is of one moment. A snapshot is a version that is kept.
 * Layout
 *   That of engine "lockfree" (lockfree_layout.h), so that the lookups which are compiled into the
 *   caller, and those of several keys, work on it: buckets of one line, three pairs or six words,
 *   and a filter that says for which eighths of the hashes a key may be outside of the slots. What
 *   finds no slot is in one array of the version, chained by indices. A version is a `generation`
 *   whose `next` is itself: lockfree's plain writes take that for a table on the move and go to the
 *   engine's swing. A hit is one line of the table.
 * Concurrency
 *   docs/design/cow.md. Linearization points: the store of the root for writes, its load for
 *   reads. Versions go through reclamation. One thing happens in place: a removal that finds no
 *   memory for a copy marks its cell gone, by one store, as removing must not fail; snapshots,
 *   which are taken of versions without marks, don't look at marks.
 * Rejected
 *   Swinging the root by CAS, without a lock: of n writers that copy at the same time n - 1 throw
 *   their O(n) away, and memory holds n copies. A tree of pages, of which a write copies one path:
 *   writes become O(log n) and reads two dependent misses; then a trie is the better engine.
 * Credits
 *   Read-copy-update (McKenney, Slingwine 1998); Java's CopyOnWriteArrayList (Lea), of which this
 *   is the map; LMDB's single writer and its readers that block nobody (Chu).
 */
#include "base/assert.h"
#include "base/lock.h"
#include "engine/lockfree_layout.h"
#include <stdio.h>

enum {
    SHRINK_DIVISOR = 8,   /* fewer than an eighth of what fits: a smaller table */
    PAGES_FROM = 2 << 20, /* larger ones want huge pages; smaller ones, recycled memory */
    BUCKET_BITS_MAX = 50,
    CELLS_MIN = 4,
    COLLECT_BYTES = 64 << 10,
    COLLECT_OBJECTS = 64,
    ALL_LOAD_HALVES = 2,
};

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

static cow_table *cow_of(weft_core *core) {
    return core->table;
}

static version *root_version(const weft_core *core) {
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

static place place_of(const version *v, uint64_t hash) {
    uint64_t index = hash & v->gen.mask;
    return (place){.at = &v->gen.buckets[index], .index = index};
}

static void slot_cell(const weft_core *core, place *p, unsigned i) {
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
static bool next_cell(const weft_core *core, const version *v, place *p) {
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
static bool next_that_counts(const weft_core *core, const version *v, marked which, place *p) {
    bool any;
    do {
        any = next_cell(core, v, p);
    } while (any && p->gone && which == WITHOUT_MARKED);
    return any;
}

static bool is_key(const weft_core *core, const cell *what, const weft_key *key) {
    if (core->shape == WEFT_SHAPE_U64) {
        return what->hash == key->hash;
    }
    return ((what->value ^ key->hash) & WORD_TAG) == 0 &&
           weft_entry_has_key(word_entry(what->value), key->bytes);
}

/* The key's place in a version; NULL has none. */
static bool find_cell(const weft_core *core, const version *v, const weft_key *key, place *p) {
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

static uint64_t public_cell(const weft_core *core, const cell *what) {
    return core->shape == WEFT_SHAPE_U64 ? what->value : (uintptr_t)word_entry(what->value);
}

static uint64_t stored_value(const weft_core *core, uint64_t hash, uint64_t public_value) {
    return core->shape == WEFT_SHAPE_U64 ? public_value : word_of(public_value, hash);
}

/* ---- making versions ------------------------------------------------------------------------- */

static size_t bucket_bytes(const version *v) {
    return (v->gen.mask + 1) * sizeof(bucket);
}

static size_t version_bytes(const version *v) {
    return sizeof *v + bucket_bytes(v) + v->capacity * sizeof(more);
}

static void free_cells(weft_core *core, version *v) {
    if (v->cells != NULL) {
        weft_core_free(core, v->cells, v->capacity * sizeof(more), sizeof(uint64_t));
    }
}

static void free_buckets(weft_core *core, bucket *buckets, uint64_t mask) {
    size_t bytes = (mask + 1) * sizeof(bucket);
    if (buckets != NULL && bytes >= PAGES_FROM) {
        weft_core_free_table(core, buckets, bytes);
    } else if (buckets != NULL) {
        weft_core_free(core, buckets, bytes, WEFT_CACHE_LINE);
    }
}

static void version_free(weft_core *core, version *v) {
    free_cells(core, v);
    free_buckets(core, v->gen.buckets, v->gen.mask);
    weft_core_free(core, v, sizeof *v, FACES_BYTES);
}

/* Under the lock. */
static void free_spare(weft_core *core) {
    free_buckets(core, cow_of(core)->spare, cow_of(core)->spare_mask);
    cow_of(core)->spare = NULL;
}

/* The grace period is over. The buckets become the spare, if that costs no waiting. */
static void version_destroy(weft_core *core, weft_block *block) {
    version *v = WEFT_CONTAINER(block, version, block);
    cow_table *table = cow_of(core); /* NULL: it has been closed */
    if (table != NULL && weft_mutex_try_lock(&table->lock)) {
        const version *root = root_version(core);
        if (root != NULL && root->gen.mask == v->gen.mask) {
            free_spare(core);
            table->spare = v->gen.buckets;
            table->spare_mask = v->gen.mask;
            v->gen.buckets = NULL;
        }
        weft_mutex_unlock(&table->lock);
    }
    version_free(core, v);
}

/* Under the lock: memory for so many buckets, with anything in it. */
static bucket *new_buckets(weft_core *core, uint64_t buckets) {
    cow_table *table = cow_of(core);
    bucket *made = table->spare;
    size_t bytes = buckets * sizeof(bucket);
    if (made != NULL && table->spare_mask == buckets - 1) {
        table->spare = NULL;
        return made;
    }
    free_spare(core);
    return bytes >= PAGES_FROM ? weft_core_alloc_table(core, bytes, false)
                               : weft_core_alloc(core, bytes, WEFT_CACHE_LINE);
}

/* Its buckets hold anything. NULL without memory. */
static version *version_new(weft_core *core, uint64_t buckets) {
    WEFT_ASSERT(buckets >= BUCKETS_MIN && (buckets & (buckets - 1)) == 0);
    version *v = weft_core_alloc(core, sizeof *v, FACES_BYTES);
    if (v == NULL) {
        return NULL;
    }
    *v = (version){.gen = {.buckets = new_buckets(core, buckets), .mask = buckets - 1},
                   .holders = 1};
    if (v->gen.buckets == NULL) {
        weft_core_free(core, v, sizeof *v, FACES_BYTES);
        return NULL;
    }
    v->gen.next = &v->gen; /* for lockfree's plain writes it is on the move, always */
    v->block.destroy = version_destroy;
    return v;
}

/* Room for so many cells outside of slots. */
static bool make_room(weft_core *core, version *v, uint64_t wanted) {
    if (wanted <= v->capacity) {
        return true;
    }
    more *cells = weft_core_alloc(core, wanted * sizeof(more), sizeof(uint64_t));
    if (cells == NULL || wanted > LINK_INDEX) {
        if (cells != NULL) {
            weft_core_free(core, cells, wanted * sizeof(more), sizeof(uint64_t));
        }
        return false;
    }
    if (v->count != 0) {
        memcpy(cells, v->cells, v->count * sizeof(more));
    }
    free_cells(core, v);
    v->cells = cells;
    v->capacity = wanted;
    return true;
}

static void set_slot(const weft_core *core, bucket *at, unsigned i, const cell *what) {
    if (core->shape == WEFT_SHAPE_U64) {
        at->pairs[i] = (weft_pair){(what->hash & PAIR_HASH) | PAIR_USED, what->value};
    } else {
        at->words[i] = what->value;
    }
    at->head.first |= LIVE | (uint64_t)1 << (VALID_SHIFT + i);
}

/* Into a version that nobody sees yet; false without memory. */
static bool add_cell(weft_core *core, version *v, const cell *what) {
    bucket *at = bucket_at(&v->gen, what->hash);
    unsigned slots = slots_of(core->shape);
    uint64_t open = ~valid_slots(at->head.first) & (((uint64_t)1 << slots) - 1);
    if (open != 0) {
        set_slot(core, at, (unsigned)__builtin_ctzll(open), what);
    } else {
        if (v->count == v->capacity && !make_room(core, v, 2 * v->count + CELLS_MIN)) {
            return false;
        }
        v->cells[v->count++] = (more){*what, at->head.second & LINK_INDEX};
        at->head.second = ((at->head.second & ~LINK_INDEX) + LINK_ONE) | v->count;
        at->head.first |= filter_bit(what->hash);
    }
    v->entries++;
    v->longest = max_u64(v->longest, (uint64_t)__builtin_popcountll(valid_slots(at->head.first)) +
                                         at->head.second / LINK_ONE);
    return true;
}

/* The filter, from what is outside of the slots. */
static void set_filter(const version *v, bucket *at) {
    uint64_t filter = 0;
    for (uint64_t i = at->head.second & LINK_INDEX; i != 0; i = v->cells[i - 1].next & LINK_INDEX) {
        filter |= filter_bit(v->cells[i - 1].what.hash);
    }
    at->head.first = (at->head.first & ~FILTER_MASK) | filter;
}

/* Takes a cell out of a bucket's chain; the last one of all moves to where it was. */
static void unchain(version *v, bucket *at, uint64_t *link) {
    uint64_t number = *link & LINK_INDEX;
    *link = (*link & ~LINK_INDEX) | (v->cells[number - 1].next & LINK_INDEX);
    at->head.second -= LINK_ONE;
    set_filter(v, at);
    if (number != v->count) {
        uint64_t *to = &bucket_at(&v->gen, v->cells[v->count - 1].what.hash)->head.second;
        while ((*to & LINK_INDEX) != v->count) {
            to = &v->cells[(*to & LINK_INDEX) - 1].next;
        }
        *to = (*to & ~LINK_INDEX) | number;
        v->cells[number - 1] = v->cells[v->count - 1];
    }
    v->count--;
}

/* Out of a version that nobody sees yet. */
static void drop_cell(const weft_core *core, version *v, const place *p) {
    v->entries--;
    if (p->link != NULL) {
        unchain(v, p->at, p->link);
        return;
    }
    unsigned slot = p->slot - 1;
    p->at->head.first &= ~((uint64_t)1 << (VALID_SHIFT + slot));
    if ((p->at->head.second & LINK_INDEX) != 0) {
        cell first = v->cells[(p->at->head.second & LINK_INDEX) - 1].what;
        unchain(v, p->at, &p->at->head.second);
        set_slot(core, p->at, slot, &first);
    } else if (core->shape == WEFT_SHAPE_U64) {
        p->at->pairs[slot] = (weft_pair){0, 0}; /* inlined lookups don't ask what is valid */
    }
}

static void sweep_bucket(const weft_core *core, version *v, uint64_t index) {
    place p = place_of(v, index);
    while (v->marks != 0 && next_cell(core, v, &p)) {
        if (p.gone) {
            drop_cell(core, v, &p);
            v->marks--;
            p = place_of(v, index);
        }
    }
}

/* The same table again, without marks. */
static version *version_copy(weft_core *core, const version *from) {
    version *v = version_new(core, from->gen.mask + 1);
    if (v == NULL || !make_room(core, v, from->count)) {
        if (v != NULL) {
            version_free(core, v);
        }
        return NULL;
    }
    memcpy(v->gen.buckets, from->gen.buckets, bucket_bytes(v));
    if (from->count != 0) {
        memcpy(v->cells, from->cells, from->count * sizeof(more));
    }
    v->count = from->count;
    v->entries = from->entries;
    v->marks = from->marks;
    v->longest = from->longest;
    v->removed_version = from->removed_version;
    for (uint64_t i = 0; v->marks != 0 && i <= v->gen.mask; i++) {
        sweep_bucket(core, v, i);
    }
    return v;
}

/* All cells of a version, or NULL, into one that is empty; false without memory. */
static bool refill(weft_core *core, version *v, const version *from) {
    for (uint64_t i = 0; from != NULL && i <= from->gen.mask; i++) {
        place p = place_of(from, i);
        while (next_that_counts(core, from, WITHOUT_MARKED, &p)) {
            p.what.hash = cell_hash(core, &p.what);
            if (!add_cell(core, v, &p.what)) {
                return false;
            }
        }
    }
    return true;
}

/* The same cells in another number of buckets. */
static version *version_resized(weft_core *core, const version *from, uint64_t buckets) {
    version *v = version_new(core, buckets);
    if (v == NULL) {
        return NULL;
    }
    memset(v->gen.buckets, 0, bucket_bytes(v));
    v->removed_version = from == NULL ? 0 : from->removed_version;
    if (!refill(core, v, from)) {
        version_free(core, v);
        return NULL;
    }
    return v;
}

/* ---- size ------------------------------------------------------------------------------------ */

static uint64_t fits(const weft_core *core, uint64_t buckets) {
    return buckets * load_in_halves(core) / ALL_LOAD_HALVES;
}

static uint64_t buckets_for(const weft_core *core, uint64_t entries) {
    unsigned bits = weft_bits_for(BUCKETS_MIN);
    while (bits < BUCKET_BITS_MAX && fits(core, (uint64_t)1 << bits) < entries) {
        bits++;
    }
    return (uint64_t)1 << bits;
}

static uint64_t live_entries(const version *v) {
    return v == NULL ? 0 : v->entries - weft_load_relaxed(&v->marks);
}

/* How many buckets there should be for so many entries, when there are some, or 0. */
static uint64_t buckets_wanted(weft_core *core, uint64_t buckets, uint64_t entries) {
    uint64_t least = max_u64(cow_of(core)->floor, BUCKETS_MIN);
    if (buckets == 0 || entries > fits(core, buckets)) {
        return max_u64(least, buckets_for(core, entries));
    }
    bool too_many = entries < fits(core, buckets) / SHRINK_DIVISOR && buckets > least;
    return too_many && !core->grow_only ? max_u64(least, buckets / 2) : buckets;
}

/* A version to write into, that is like `from`, for so many entries in the end; NULL: no memory. */
static version *version_for(weft_core *core, const version *from, uint64_t entries) {
    cow_table *table = cow_of(core);
    uint64_t buckets = from == NULL ? 0 : from->gen.mask + 1;
    uint64_t wanted = buckets_wanted(core, buckets, entries);
    if (wanted == buckets) {
        return version_copy(core, from);
    }
    version *v = version_resized(core, from, wanted);
    if (v != NULL) {
        table->growths += from != NULL && wanted > buckets;
        table->shrinks += wanted < buckets;
        return v;
    }
    table->failures++;
    /* How many entries are expected, or fit well, is a hint: with less memory it goes on. */
    return from != NULL ? version_copy(core, from) : version_resized(core, NULL, BUCKETS_MIN);
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* Under the lock. The version that was there is to be let go of, without the lock: freeing runs
 * callbacks of the user. */
static version *publish(weft_core *core, version *v) {
    version *old = root_version(core);
    weft_fetch_add_relaxed(&cow_of(core)->bytes, version_bytes(v));
    v->block.bytes = version_bytes(v);
    /* The linearization point. Release: the version. Pairs with the loads of root. Sequentially
     * consistent: comes before the epoch that the old one is retired with. */
    weft_store_seq_cst(&core->root, (void *)&v->gen);
    return old;
}

/* Versions are large: what waits is bounded by their bytes, not by their number. */
static void collect_if_due(weft_core *core, uint64_t bytes) {
    cow_table *table = cow_of(core);
    if (weft_fetch_add_relaxed(&table->retired, bytes) + bytes > COLLECT_BYTES) {
        weft_store_relaxed(&table->retired, 0);
        weft_limbo_collect(&core->limbo, COLLECT_OBJECTS);
    }
}

static void let_go(weft_core *core, version *v) {
    /* Acquire and release: all looks at it come before its end. Pairs with itself. */
    if (v != NULL && weft_fetch_add_acq_rel(&v->holders, (uint64_t)-1) == 1) {
        uint64_t bytes = v->block.bytes;
        weft_fetch_add_relaxed(&cow_of(core)->bytes, (uint64_t)0 - bytes);
#if WEFT_MUTANT == 40 /* frees a version under its readers */
        version_free(core, v);
        return;
#endif
        weft_core_retire_block(core, &v->block);
        collect_if_due(core, bytes);
    }
}

/* ---- find and swing -------------------------------------------------------------------------- */

static bool cow_look(weft_core *core, const weft_key *key, uint64_t *out) {
    place p;
    if (!find_cell(core, root_version(core), key, &p)) {
        return false;
    }
    *out = public_cell(core, &p.what);
    return true;
}

static void cow_find(weft_core *core, const weft_key *key, weft_position *position) {
    position->cell = 0;
    position->present = cow_look(core, key, &position->cell);
}

static uint64_t version_in(const weft_core *core, uint64_t stored) {
    return core->shape == WEFT_SHAPE_BYTES ? weft_load_relaxed(&word_entry(stored)->version) : 0;
}

/* The write's version, greater than all that the key had. */
static void stamp(const weft_core *core, weft_group_write *write, uint64_t floor) {
    if (core->shape == WEFT_SHAPE_BYTES) {
        write->version = max_u64(floor, write->at_least) + 1;
        if (write->keep) {
            weft_store_relaxed(&((weft_entry *)(uintptr_t)write->desired)->version, write->version);
        }
    }
}

/* One write, in a version that nobody sees yet; false without memory. */
static bool apply(weft_core *core, version *v, weft_group_write *write) {
    place p;
    write->existed = find_cell(core, v, &write->key, &p);
    write->old = write->existed ? public_cell(core, &p.what) : 0;
    stamp(core, write, write->existed ? version_in(core, p.what.value) : v->removed_version);
    cell what = {write->key.hash, stored_value(core, write->key.hash, write->desired)};
    if (write->existed && write->keep) {
        if (p.link != NULL) { /* its hash stays: the caller's may be wrong */
            v->cells[(*p.link & LINK_INDEX) - 1].what.value = what.value;
        } else {
            set_slot(core, p.at, p.slot - 1, &what);
        }
    } else if (write->existed) {
        v->removed_version = max_u64(v->removed_version, write->version);
        drop_cell(core, v, &p);
    } else if (write->keep) {
        return add_cell(core, v, &what);
    }
    return true;
}

/* Under the lock: a removal that must not fail for memory. What it removes is where `p` says, in
 * the root. */
static void mark(weft_core *core, version *v, place *p, weft_group_write *write) {
    write->existed = true;
    write->old = public_cell(core, &p->what);
    stamp(core, write, version_in(core, p->what.value));
    v->removed_version = max_u64(v->removed_version, write->version);
    /* Sequentially consistent: before the look at images of who retires what is removed. Pairs
     * with the load in cow_snapshot. */
    weft_store_seq_cst(&v->marks, v->marks + 1);
    /* The linearization point; sequentially consistent as in publish. Pairs with the loads of
     * slot_cell and next_cell, and of inlined lookups. */
    if (p->link != NULL) {
        more *here = &v->cells[(*p->link & LINK_INDEX) - 1];
        weft_store_seq_cst(&here->next, here->next | MORE_GONE);
    } else if (core->shape == WEFT_SHAPE_U64) {
        uint64_t *first = &p->at->pairs[p->slot - 1].first;
        weft_store_seq_cst(first, *first | PAIR_GONE);
    } else {
        uint64_t *word = &p->at->words[p->slot - 1];
        weft_store_seq_cst(word, *word | WORD_GONE);
    }
}

/* Under the lock. */
static int write_one(weft_core *core, const weft_position *seen, weft_group_write *write,
                     version **old) {
    version *root = root_version(core);
    place p;
    bool present = find_cell(core, root, &write->key, &p);
    if (present != seen->present || (present && public_cell(core, &p.what) != seen->cell)) {
        return WEFT_MISMATCH;
    }
    if (!present && !write->keep) {
        return WEFT_OK;
    }
    uint64_t entries = live_entries(root) + (present ? 0 : 1) - (write->keep ? 0 : 1);
    version *v = version_for(core, root, entries);
    if (v != NULL && !apply(core, v, write)) {
        version_free(core, v);
        v = NULL;
    }
    if (v == NULL && write->keep) {
        return WEFT_E_NOMEM;
    }
    if (v == NULL) {
        mark(core, root, &p, write);
        return WEFT_OK;
    }
    *old = publish(core, v);
    return WEFT_OK;
}

static int cow_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                     uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    weft_group_write write = {
        .key = *key, .keep = keep, .desired = desired, .at_least = position->at_least};
    version *old = NULL;
#if WEFT_MUTANT != 41 /* two writers copy the same version: one's write is lost */
    weft_mutex_lock(&cow_of(core)->lock);
#endif
    int status = write_one(core, position, &write, &old);
#if WEFT_MUTANT != 41
    weft_mutex_unlock(&cow_of(core)->lock);
#endif
    position->version = write.version;
    let_go(core, old);
    return status;
}

/* How many entries there will be; a key that is written twice may count twice. */
static uint64_t entries_after(weft_core *core, const version *v, const weft_group_write *writes,
                              size_t count) {
    uint64_t added = 0;
    uint64_t removed = 0;
    for (size_t i = 0; i < count; i++) {
        place p;
        bool present = find_cell(core, v, &writes[i].key, &p);
        added += writes[i].keep && !present;
        removed += !writes[i].keep && present;
    }
    uint64_t entries = live_entries(v) + added;
    return entries > removed ? entries - removed : 0;
}

/* All of them in one copy, which nobody sees yet; NULL without memory. */
static version *version_with(weft_core *core, const version *from, weft_group_write *writes,
                             size_t count) {
    version *v = version_for(core, from, entries_after(core, from, writes, count));
    for (size_t i = 0; v != NULL && i < count; i++) {
        if (!apply(core, v, &writes[i])) {
            version_free(core, v);
            return NULL;
        }
    }
    return v;
}

static int cow_write_batch(weft_core *core, weft_group_write *writes, size_t count) {
    WEFT_ASSERT(count > 0);
    cow_table *table = cow_of(core);
    version *old = NULL;
    weft_mutex_lock(&table->lock);
#if WEFT_MUTANT == 42 /* half of a batch can be seen */
    version *half = version_with(core, root_version(core), writes, count / 2);
    let_go(core, half == NULL ? NULL : publish(core, half));
    version *v = version_with(core, root_version(core), writes + count / 2, count - count / 2);
#else
    version *v = version_with(core, root_version(core), writes, count);
#endif
    if (v != NULL) {
        old = publish(core, v);
    }
    weft_mutex_unlock(&table->lock);
    let_go(core, old);
    return v == NULL ? WEFT_E_NOMEM : WEFT_OK;
}

/* ---- walk ------------------------------------------------------------------------------------ */

static void cow_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    const version *v = root_version(core);
    step->next = 0;
    if (v == NULL) {
        return;
    }
    uint64_t rest = UINT64_MAX >> weft_bits_for(v->gen.mask + 1);
    place p = place_of(v, weft_reverse_bits(step->from));
    while (next_that_counts(core, v, WITHOUT_MARKED, &p)) {
        if ((step->from & rest) == 0 || weft_reverse_bits(cell_hash(core, &p.what)) >= step->from) {
            bool number = core->shape == WEFT_SHAPE_U64;
            step->emit(step, number ? weft_core_unhash_u64(core, p.what.hash) : 0,
                       public_cell(core, &p.what));
        }
    }
    step->next = (step->from | rest) + 1;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

/* Make a root that a snapshot can be taken of. */
static int clean_root(weft_core *core) {
    cow_table *table = cow_of(core);
    version *old = NULL;
    int status = WEFT_OK;
    weft_mutex_lock(&table->lock);
    const version *root = root_version(core);
    if (root == NULL || root->marks != 0) {
        version *v = version_for(core, root, live_entries(root));
        status = v == NULL ? WEFT_E_NOMEM : WEFT_OK;
        old = v == NULL ? NULL : publish(core, v);
    }
    weft_mutex_unlock(&table->lock);
    let_go(core, old);
    return status;
}

/* Inside a guard, so the root's version is not freed; but it may have been let go of. */
static bool hold(version *v) {
    uint64_t holders = weft_load_relaxed(&v->holders);
    /* Acquire, release: pairs with let_go. */
    while (holders != 0 && !weft_cas_acq_rel(&v->holders, &holders, holders + 1)) {
    }
    return holders != 0;
}

/* Is it the root, and without marks? */
static bool is_clean_root(const weft_core *core, const version *v) {
    /* Both after the image is registered: who replaces the version, or marks a cell, and sees no
     * image, has done so before these loads. Pairs with publish, and with mark. */
    return v != NULL && weft_load_seq_cst(&core->root) == (const void *)&v->gen &&
           weft_load_seq_cst(&v->marks) == 0;
}

/* Without the lock: who takes snapshots neither waits nor makes writers wait. */
static int cow_snapshot(weft_core *core, weft_image **image) {
    WEFT_ASSERT(weft_epoch_inside());
    *image = NULL;
    int status = is_clean_root(core, root_version(core)) ? WEFT_OK : clean_root(core);
    version *root = root_version(core);
    if (status != WEFT_OK || !hold(root)) {
        return status != WEFT_OK ? status : WEFT_E_BUSY;
    }
    cow_image *made = weft_core_alloc(core, sizeof *made, sizeof(uint64_t));
    if (made == NULL) {
        let_go(core, root);
        return WEFT_E_NOMEM;
    }
    *made = (cow_image){.base = {.core = core}, .shown = root};
    if (!weft_core_register_image(core, &made->base)) {
        weft_core_free(core, made, sizeof *made, sizeof(uint64_t));
        let_go(core, root);
        return WEFT_E_BUSY;
    }
    *image = &made->base;
#if WEFT_MUTANT == 43 /* shows entries that were retired before anyone knew of the snapshot */
    return WEFT_OK;
#endif
    /* The linearization point. */
    return is_clean_root(core, root) ? WEFT_OK : WEFT_E_BUSY;
}

static int cow_image_look(weft_core *core, weft_image *base, const weft_key *key, uint64_t *out) {
    const version *v = WEFT_CONTAINER(base, cow_image, base)->shown;
    place p = place_of(v, key->hash);
    while (next_cell(core, v, &p)) {
        if (is_key(core, &p.what, key)) {
            *out = public_cell(core, &p.what);
            return WEFT_OK;
        }
    }
    return WEFT_NOT_FOUND;
}

static int cow_image_next(weft_core *core, weft_image *base, weft_image_cell *at) {
    const version *v = WEFT_CONTAINER(base, cow_image, base)->shown;
    for (; at->bucket <= v->gen.mask; at->bucket++, at->next = 0) {
        place p = place_of(v, at->bucket);
        uint64_t passed = 0;
        while (next_cell(core, v, &p)) {
            if (passed++ == at->next) {
                at->next++;
                bool number = core->shape == WEFT_SHAPE_U64;
                at->key_number = number ? weft_core_unhash_u64(core, p.what.hash) : 0;
                at->cell = public_cell(core, &p.what);
                return WEFT_OK;
            }
        }
    }
    return WEFT_NOT_FOUND;
}

static bool cow_image_holds(weft_core *core, const weft_image *base, const weft_key *key,
                            uint64_t wanted) {
    const version *v = WEFT_CONTAINER(base, const cow_image, base)->shown;
    place p = place_of(v, key->hash);
    while (next_cell(core, v, &p)) {
        if (public_cell(core, &p.what) == wanted) {
            return true;
        }
    }
    return false;
}

static void image_destroy(weft_core *core, weft_block *block) {
    weft_core_free(core, WEFT_CONTAINER(block, cow_image, block), sizeof(cow_image),
                   sizeof(uint64_t));
}

/* Others may be looking at it: both end after a grace period. */
static void cow_image_release(weft_core *core, weft_image *base) {
    cow_image *image = WEFT_CONTAINER(base, cow_image, base);
    let_go(core, image->shown);
    image->block = (weft_block){.destroy = image_destroy, .bytes = sizeof *image};
    weft_core_retire_block(core, &image->block);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int cow_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL && core->root == NULL);
    cow_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    uint64_t expected = core->expected_entries;
    *table = (cow_table){.floor = expected == 0 ? 0 : buckets_for(core, expected)};
    if (!weft_mutex_init(&table->lock)) {
        weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
        return WEFT_E_NOMEM;
    }
    core->table = table;
    return WEFT_OK;
}

static bool cow_close(weft_core *core, size_t budget,
                      void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    cow_table *table = cow_of(core);
    version *v = root_version(core);
    for (; v != NULL && table->closing <= v->gen.mask; table->closing++, budget--) {
        if (budget == 0) {
            return false;
        }
        place p = place_of(v, table->closing);
        while (next_that_counts(core, v, WITHOUT_MARKED, &p)) {
            drop(core, public_cell(core, &p.what));
        }
    }
    if (v != NULL) {
        version_free(core, v);
    }
    free_spare(core);
    weft_mutex_destroy(&table->lock);
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->root = NULL;
    core->table = NULL;
    return true;
}

/* The table in so many buckets, if they are not what there is. */
static int resize(weft_core *core, uint64_t buckets, version **old) {
    version *root = root_version(core);
    uint64_t present = root == NULL ? 0 : root->gen.mask + 1;
    version *v = version_resized(core, root, buckets);
    if (v == NULL) {
        cow_of(core)->failures++;
        return WEFT_E_NOMEM;
    }
    cow_of(core)->growths += present != 0 && buckets > present;
    cow_of(core)->shrinks += buckets < present;
    *old = publish(core, v);
    return WEFT_OK;
}

static int cow_reserve(weft_core *core, uint64_t entries) {
    cow_table *table = cow_of(core);
    version *old = NULL;
    int status = WEFT_OK;
    uint64_t wanted = buckets_for(core, entries);
    weft_mutex_lock(&table->lock);
    const version *root = root_version(core);
    if (root == NULL || root->gen.mask + 1 < wanted) {
        status = resize(core, wanted, &old);
    }
    table->floor = status == WEFT_OK ? wanted : table->floor;
    weft_mutex_unlock(&table->lock);
    let_go(core, old);
    return status;
}

static int cow_shrink(weft_core *core) {
    cow_table *table = cow_of(core);
    version *old = NULL;
    int status = WEFT_UNCHANGED;
    weft_mutex_lock(&table->lock);
    const version *root = root_version(core);
    uint64_t wanted = buckets_for(core, live_entries(root));
    table->floor = 0;
    if (root != NULL && wanted < root->gen.mask + 1) {
        status = resize(core, wanted, &old);
    }
    weft_mutex_unlock(&table->lock);
    let_go(core, old);
    return status;
}

/* Marks go, as soon as there is memory; any write does it too. */
static bool cow_maintain(weft_core *core, size_t budget) {
    cow_table *table = cow_of(core);
    const version *root = root_version(core);
    if (root != NULL && weft_load_relaxed(&root->marks) != 0) {
        (void)clean_root(core);
    }
    if (budget != 0) {
        weft_mutex_lock(&table->lock);
        free_spare(core);
        weft_mutex_unlock(&table->lock);
    }
    return true;
}

static void cow_stats(weft_core *core, weft_map_stats *stats) {
    cow_table *table = cow_of(core);
    const version *v = root_version(core);
    stats->table_bytes += weft_load_relaxed(&table->bytes);
    if (v != NULL) {
        stats->buckets = v->gen.mask + 1;
        stats->overflow_entries = v->count;
        stats->longest_bucket = v->longest;
    }
    weft_mutex_lock(&table->lock);
    stats->growths += table->growths;
    stats->shrinks += table->shrinks;
    stats->growth_failures += table->failures;
    weft_mutex_unlock(&table->lock);
}

/* What is wrong with a bucket; adds up its cells. */
static const char *broken_bucket(weft_core *core, const version *v, uint64_t index,
                                 uint64_t cells[2]) {
    place p = place_of(v, index);
    while (next_cell(core, v, &p)) {
        cells[0] += p.link != NULL;
        cells[1] += !p.gone;
        if (p.gone) {
            continue;
        }
        weft_key key = {.hash = cell_hash(core, &p.what)};
        if (core->shape == WEFT_SHAPE_BYTES) {
            key.bytes = weft_entry_key_bytes(word_entry(p.what.value));
        }
        if ((key.hash & v->gen.mask) != index) {
            return "C1 a key is in the bucket of its hash";
        }
        place found;
        if (!find_cell(core, v, &key, &found) || found.link != p.link || found.slot != p.slot) {
            return "C2 a key is found where it is: once, and as the filter says";
        }
    }
    return NULL;
}

static const char *broken_invariant(weft_core *core, const version *v) {
    uint64_t cells[2] = {0, 0};
    const char *broken = NULL;
    for (uint64_t i = 0; v != NULL && broken == NULL && i <= v->gen.mask; i++) {
        broken = broken_bucket(core, v, i, cells);
    }
    if (broken != NULL) {
        return broken;
    }
    if (v != NULL && cells[0] != v->count) {
        return "C3 every cell outside of slots is in one chain";
    }
    return cells[1] != live_entries(v) || cells[1] != weft_core_entries(core)
               ? "C4 the counters count the entries"
               : NULL;
}

static int cow_check(weft_core *core, char *text, size_t capacity) {
    cow_table *table = cow_of(core);
    weft_mutex_lock(&table->lock);
    const char *broken = broken_invariant(core, root_version(core));
    weft_mutex_unlock(&table->lock);
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "cow: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void cow_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    const version *v = root_version(core);
    char line[128];
    snprintf(line, sizeof line, "%llu buckets, %llu entries, %llu outside of slots, %llu marked",
             (unsigned long long)(v == NULL ? 0 : v->gen.mask + 1),
             (unsigned long long)live_entries(v), (unsigned long long)(v == NULL ? 0 : v->count),
             (unsigned long long)(v == NULL ? 0 : v->marks));
    print(ctx, line);
}

const weft_engine weft_engine_cow = {
    .name = "cow",
    .id = WEFT_ENGINE_COW,
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_GROW | WEFT_CAP_COPIES,
    .choose = "read nearly always, written seldom or in batches: configuration, routes, features; "
              "several keys that must be seen together; snapshots at no cost",
    .do_not_choose = "written often, or large and written one key at a time: a write copies the "
                     "table, which is O(n)",
    .open = cow_open,
    .close = cow_close,
    .find = {cow_find, cow_find},
    .look = {cow_look, cow_look},
    .swing = cow_swing,
    .write_batch = cow_write_batch,
    .walk = cow_walk,
    .reserve = cow_reserve,
    .shrink = cow_shrink,
    .maintain = cow_maintain,
    .stats = cow_stats,
    .check = cow_check,
    .dump = cow_dump,
    .snapshot = cow_snapshot,
    .image_look = cow_image_look,
    .image_next = cow_image_next,
    .image_holds = cow_image_holds,
    .image_release = cow_image_release,
};
