/* SPDX-License-Identifier: MIT */
/* Engine "cow": making and freeing versions. Those that are made are seen by nobody yet. */
#include "engine/cow_layout.h"

#include "base/assert.h"

enum {
    PAGES_FROM = 2 << 20, /* larger tables want huge pages; smaller ones, recycled memory */
    CELLS_MIN = 4,
};

/* ---- making versions ------------------------------------------------------------------------- */

static size_t bucket_bytes(const version *v) {
    return (v->gen.mask + 1) * sizeof(bucket);
}

size_t weft_cow_bytes(const version *v) {
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

void weft_cow_free(weft_core *core, version *v) {
    WEFT_ASSERT(v->gen.next == &v->gen);
    free_cells(core, v);
    free_buckets(core, v->gen.buckets, v->gen.mask);
    weft_core_free(core, v, sizeof *v, FACES_BYTES);
}

/* Under the lock. */
void weft_cow_free_spare(weft_core *core) {
    free_buckets(core, cow_of(core)->spare, cow_of(core)->spare_mask);
    cow_of(core)->spare = NULL;
}

/* The grace period is over. The buckets become the spare, if that costs no waiting. */
static void version_destroy(weft_core *core, weft_block *block) {
    WEFT_ASSERT(block->destroy != NULL);
    version *v = WEFT_CONTAINER(block, version, block);
    cow_table *table = cow_of(core); /* NULL: it has been closed */
    if (table != NULL && weft_mutex_try_lock(&table->lock)) {
        const version *root = root_version(core);
        if (root != NULL && root->gen.mask == v->gen.mask) {
            weft_cow_free_spare(core);
            table->spare = v->gen.buckets;
            table->spare_mask = v->gen.mask;
            v->gen.buckets = NULL;
        }
        weft_mutex_unlock(&table->lock);
    }
    weft_cow_free(core, v);
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
    weft_cow_free_spare(core);
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
    WEFT_ASSERT(v->count <= v->capacity);
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
bool weft_cow_add(weft_core *core, version *v, const cell *what) {
    WEFT_ASSERT(v->count <= v->capacity && v->marks == 0);
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
    WEFT_ASSERT(v->count > 0 && at->head.second >= LINK_ONE);
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
void weft_cow_drop(const weft_core *core, version *v, const place *p) {
    WEFT_ASSERT(v->entries > 0);
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
    WEFT_ASSERT(index <= v->gen.mask);
    place p = place_of(v, index);
    while (v->marks != 0 && next_cell(core, v, &p)) {
        if (p.gone) {
            weft_cow_drop(core, v, &p);
            v->marks--;
            p = place_of(v, index);
        }
    }
}

/* The same table again, without marks. */
version *weft_cow_copy(weft_core *core, const version *from) {
    WEFT_ASSERT(from != NULL);
    version *v = version_new(core, from->gen.mask + 1);
    if (v == NULL || !make_room(core, v, from->count)) {
        if (v != NULL) {
            weft_cow_free(core, v);
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
    WEFT_ASSERT(v->entries == 0 && v != from);
    for (uint64_t i = 0; from != NULL && i <= from->gen.mask; i++) {
        place p = place_of(from, i);
        while (next_that_counts(core, from, WITHOUT_MARKED, &p)) {
            p.what.hash = cell_hash(core, &p.what);
            if (!weft_cow_add(core, v, &p.what)) {
                return false;
            }
        }
    }
    return true;
}

/* The same cells in another number of buckets. */
version *weft_cow_resized(weft_core *core, const version *from, uint64_t buckets) {
    version *v = version_new(core, buckets);
    if (v == NULL) {
        return NULL;
    }
    memset(v->gen.buckets, 0, bucket_bytes(v));
    v->removed_version = from == NULL ? 0 : from->removed_version;
    if (!refill(core, v, from)) {
        weft_cow_free(core, v);
        return NULL;
    }
    return v;
}

void weft_cow_set(const weft_core *core, version *v, const place *p, const cell *what) {
    WEFT_ASSERT(p->at == &v->gen.buckets[p->index]);
    if (p->link != NULL) { /* its hash stays: the caller's may be wrong */
        v->cells[(*p->link & LINK_INDEX) - 1].what.value = what->value;
    } else {
        set_slot(core, p->at, p->slot - 1, what);
    }
}
