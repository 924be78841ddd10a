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
#include "engine/cow_layout.h"

#include "base/assert.h"
#include <stdio.h>

enum {
    SHRINK_DIVISOR = 8, /* fewer than an eighth of what fits: a smaller table */
    BUCKET_BITS_MAX = 50,
    COLLECT_BYTES = 64 << 10,
    COLLECT_OBJECTS = 64,
    HALVES =
        2, /* entries a bucket, on average, at the most: 1 and 3.5, as misses of slots are slow */
    LOAD_U64 = 2,
    LOAD_BYTES = 7,
};

/* ---- size ------------------------------------------------------------------------------------ */

static uint64_t fits(const weft_core *core, uint64_t buckets) {
    return buckets * (core->shape == WEFT_SHAPE_U64 ? LOAD_U64 : LOAD_BYTES) / HALVES;
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
    WEFT_ASSERT((buckets & (buckets - 1)) == 0);
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
        return weft_cow_copy(core, from);
    }
    version *v = weft_cow_resized(core, from, wanted);
    if (v != NULL) {
        table->growths += from != NULL && wanted > buckets;
        table->shrinks += wanted < buckets;
        return v;
    }
    table->failures++;
    /* How many entries are expected, or fit well, is a hint: with less memory it goes on. */
    return from != NULL ? weft_cow_copy(core, from) : weft_cow_resized(core, NULL, BUCKETS_MIN);
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* Under the lock. The version that was there is to be let go of, without the lock: freeing runs
 * callbacks of the user. */
static version *publish(weft_core *core, version *v) {
    WEFT_ASSERT(v->holders == 1 && v->marks == 0 && v->gen.next == &v->gen);
    version *old = root_version(core);
    weft_fetch_add_relaxed(&cow_of(core)->bytes, weft_cow_bytes(v));
    v->block.bytes = weft_cow_bytes(v);
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
    WEFT_ASSERT(weft_epoch_inside());
    /* Acquire and release: all looks at it come before its end. Pairs with itself. */
    if (v != NULL && weft_fetch_add_acq_rel(&v->holders, (uint64_t)-1) == 1) {
        uint64_t bytes = v->block.bytes;
        weft_fetch_add_relaxed(&cow_of(core)->bytes, (uint64_t)0 - bytes);
#if WEFT_MUTANT == 40 /* frees a version under its readers */
        weft_cow_free(core, v);
        return;
#endif
        weft_core_retire_block(core, &v->block);
        collect_if_due(core, bytes);
    }
}

/* ---- find and swing -------------------------------------------------------------------------- */

static bool cow_look(weft_core *core, const weft_key *key, uint64_t *out) {
    WEFT_ASSERT(out != NULL);
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
    WEFT_ASSERT(v->marks == 0 && root_version(core) != v);
    place p;
    write->existed = find_cell(core, v, &write->key, &p);
    write->old = write->existed ? public_cell(core, &p.what) : 0;
    stamp(core, write, write->existed ? version_in(core, p.what.value) : v->removed_version);
    cell what = {write->key.hash, stored_value(core, write->key.hash, write->desired)};
    if (write->existed && write->keep) {
        weft_cow_set(core, v, &p, &what);
    } else if (write->existed) {
        v->removed_version = max_u64(v->removed_version, write->version);
        weft_cow_drop(core, v, &p);
    } else if (write->keep) {
        return weft_cow_add(core, v, &what);
    }
    return true;
}

/* Under the lock: a removal that must not fail for memory. What it removes is where `p` says, in
 * the root. */
static void mark(weft_core *core, version *v, place *p, weft_group_write *write) {
    WEFT_ASSERT(v != NULL && !write->keep && !p->gone);
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
    WEFT_ASSERT(*old == NULL);
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
        weft_cow_free(core, v);
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
    WEFT_ASSERT(writes != NULL || count == 0);
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
    WEFT_ASSERT(from == NULL || from == root_version(core));
    version *v = version_for(core, from, entries_after(core, from, writes, count));
    for (size_t i = 0; v != NULL && i < count; i++) {
        if (!apply(core, v, &writes[i])) {
            weft_cow_free(core, v);
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
    WEFT_ASSERT(weft_epoch_inside());
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
    WEFT_ASSERT(base->core == core);
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
    WEFT_ASSERT(base->core == core);
    const version *v = WEFT_CONTAINER(base, cow_image, base)->shown;
    const uint64_t slots = slots_of(core->shape);
    for (; at->bucket <= v->gen.mask; at->bucket++, at->next = 0) {
        /* at->next: the next slot to look at; beyond the slots, the number of the last cell. */
        uint64_t last = at->next > slots ? at->next - slots : 0;
        place p = place_of(v, at->bucket);
        p.slot = (unsigned)(at->next < slots ? at->next : slots);
        p.link = last != 0 ? &last : NULL;
        if (next_cell(core, v, &p)) {
            at->next = p.link == NULL ? p.slot : slots + (weft_load_relaxed(p.link) & LINK_INDEX);
            bool number = core->shape == WEFT_SHAPE_U64;
            at->key_number = number ? weft_core_unhash_u64(core, p.what.hash) : 0;
            at->cell = public_cell(core, &p.what);
            return WEFT_OK;
        }
    }
    return WEFT_NOT_FOUND;
}

static bool cow_image_holds(weft_core *core, const weft_image *base, const weft_key *key,
                            uint64_t wanted) {
    WEFT_ASSERT(base->core == core);
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
        weft_cow_free(core, v);
    }
    weft_cow_free_spare(core);
    weft_mutex_destroy(&table->lock);
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->root = NULL;
    core->table = NULL;
    return true;
}

/* The table in so many buckets, if they are not what there is. */
static int resize(weft_core *core, uint64_t buckets, version **old) {
    WEFT_ASSERT(*old == NULL && buckets >= BUCKETS_MIN);
    version *root = root_version(core);
    uint64_t present = root == NULL ? 0 : root->gen.mask + 1;
    version *v = weft_cow_resized(core, root, buckets);
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
    WEFT_ASSERT(core->table != NULL);
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
    WEFT_ASSERT(core->table != NULL);
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
    WEFT_ASSERT(core->table != NULL);
    cow_table *table = cow_of(core);
    const version *root = root_version(core);
    if (root != NULL && weft_load_relaxed(&root->marks) != 0) {
        (void)clean_root(core);
    }
    if (budget != 0) {
        weft_mutex_lock(&table->lock);
        weft_cow_free_spare(core);
        weft_mutex_unlock(&table->lock);
    }
    return true;
}

static void cow_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(core->table != NULL);
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
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_THREADS | WEFT_CAP_GROW | WEFT_CAP_COPIES,
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
