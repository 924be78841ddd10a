/* SPDX-License-Identifier: MIT */
/* Engine "twotier": the sync.Map of Go up to 1.23, and two things it never had.
 *
 * Design
 *   Keys live in boxes. A read tier, which never changes and is read without a lock, leads to most
 *   of them; a dirty tier under a mutex leads to all, once there is one. A key that is in the read
 *   tier is looked up, updated and removed without the lock. A lookup that does not find its key
 *   there takes the lock if the dirty tier may have it, and counts a miss; as many misses as dirty
 *   has keys make it the read tier. The next new key needs a dirty tier again: it is rebuilt from
 *   the read tier, O(n).
 *   Options: `promote_after` misses for each key of dirty; `adaptive`, which finds that factor
 *   (twotier_learn.c); `incremental`, which is a directory of many such maps of some keys each, so
 *   that no rebuild is long (twotier_move.c).
 * Layout
 *
 *   table ─► directory ─► leaf ── read ──► tier: slots ─► box ◄─ slots :tier ◄── dirty
 *            one leaf, or  │ amended, live         ╲      ╱
 *            2^b of them   └ misses, chain          ╲► box    box = {chain, hash, cell, key}
 *
 *   A tier is an array of words with linear probing from the hash's home, so the keys of a home
 *   are an interval of the reversed hash, as walks need it. A cell is two words: {number | state,
 *   value or entry}; a compare and swap of both changes it. Of the two ways to have 64 free bits
 *   beside the states "nil" and "expunged" - this one, and a box for each value, as Go does - this
 *   one needs no memory for rewriting a number, and a removal never does. A removed key of the
 *   bytes shape has no entry, so its box keeps the key, as a key of Go's map does.
 * Concurrency
 *   docs/design/twotier.md: states, linearization points, memory orders. `find` is the first half
 *   of Go's CompareAndSwap, LoadOrStore and CompareAndDelete, with the lock and the miss that they
 *   count, `swing` the second: a swap of the cell, or, for a key that is new or expunged, an
 *   change under the lock. `look` is Load, a walk is Range: it promotes first. What a critical
 *   section leaves is retired after it, since that may run destructors.
 * Rejected
 *   Expunging by a pointer to a special value: it needs values to be pointers. A stored number for
 *   each key's presence outside the cell: two words that can disagree. Swap as an operation of its
 *   own, which counts no miss: it would make this engine's interface another one.
 * Credits
 *   Bryan C. Mills: sync.Map (Go 1.9, 2017), whose mechanism this is; the Go authors since.
 *   Directories of small tables: Fagin, Nievergelt, Pippenger, Strong (1979); moving a table in
 *   steps: Larson (1988). When to renew what costs ever more: Barlow, Hunter (1960).
 */
#include "engine/twotier_layout.h"

/* ---- the lock -------------------------------------------------------------------------------- */

static void lock(weft_core *core) {
    weft_mutex_lock(&table_of(core)->lock);
}

void weft_twotier_unlock(weft_core *core, trash *heap) {
    weft_mutex_unlock(&table_of(core)->lock);
    while (heap->first != 0) {
        weft_block *block = (weft_block *)(uintptr_t)heap->first;
        heap->first = block->link;
        weft_core_retire_block(core, block);
    }
}

/* ---- find ------------------------------------------------------------------------------------ */

typedef enum purpose { TO_LOOK, TO_WRITE } purpose;

/* The key is not in the read tier, but may be in dirty. Load counts a miss either way; what begins
 * a write only if the key is there, as LoadOrStore and CompareAndSwap do. */
static WEFT_NOINLINE box *find_locked(weft_core *core, const weft_key *key, purpose why) {
    trash heap = {0};
    twotier_table *table = table_of(core);
    WEFT_ASSERT(why == TO_LOOK || why == TO_WRITE);
    uint64_t since = weft_twotier_watch(table);
    lock(core);
    place at = place_of(core, key->hash);
#if WEFT_MUTANT == 31 /* as if nothing could have been promoted meanwhile */
    box *found = NULL;
#else
    box *found = tier_find(core, read_tier(at.read), key);
#endif
    if (found == NULL && (at.read & READ_AMENDED) != 0) {
        found = tier_find(core, at.leaf->dirty, key);
        watched miss = weft_twotier_watched(since);
        if (found != NULL || why == TO_LOOK) {
            weft_twotier_miss(core, &at, miss, &heap);
        }
    }
    weft_twotier_unlock(core, &heap);
    return found;
}

static inline box *find_box(weft_core *core, const weft_key *key, purpose why) {
    place at = place_of(core, key->hash);
    box *found = tier_find(core, read_tier(at.read), key);
    if (WEFT_UNLIKELY(found == NULL) && (at.read & READ_AMENDED) != 0) {
        found = find_locked(core, key, why);
    }
    return found;
}

enum { MOVES_IN_PASSING = 2, MOVES_AT_ONCE = 64 };
enum { WORD_BOX, WORD_STATE, WORD_REST }; /* of a position; no box: to be inserted under the lock */

static void twotier_find(weft_core *core, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(core->table != NULL);
    box *found = find_box(core, key, TO_WRITE);
    weft_pair cell = {BOX_EXPUNGED, 0};
    if (found != NULL) {
        cell = box_read(found);
    }
    position->present = box_state(cell) == BOX_PRESENT;
    position->cell = position->present ? cell.second : 0;
    position->words[WORD_BOX] = box_state(cell) == BOX_EXPUNGED ? 0 : (uintptr_t)found;
    position->words[WORD_STATE] = cell.first;
    position->words[WORD_REST] = cell.second;
}

static bool twotier_look(weft_core *core, const weft_key *key, uint64_t *value) {
    WEFT_ASSERT(core->table != NULL && value != NULL);
    const box *found = find_box(core, key, TO_LOOK);
    if (found == NULL) {
        return false;
    }
    weft_pair cell = box_read(found);
    if (box_state(cell) != BOX_PRESENT) {
        return false;
    }
    *value = cell.second;
    return true;
}

/* ---- swing ----------------------------------------------------------------------------------- */

static weft_entry *entry_of(uint64_t cell) {
    return (weft_entry *)(uintptr_t)cell;
}

/* A write on its way. */
typedef struct change {
    const weft_key *key;
    weft_position *position;
    uint64_t desired;
} change;

/* The key has a box, whose cell is `absent`. */
static int fill(weft_core *core, box *at, weft_pair absent, const change *what) {
    weft_core_stamp(core, what->position, absent.second, what->desired);
    weft_pair filled = {box_next_state(absent, BOX_PRESENT), what->desired};
    return weft_cas_pair_seq_cst(&at->cell, absent, filled) ? WEFT_OK : WEFT_MISMATCH;
}

static void box_destroy(weft_core *core, weft_block *block) {
    weft_core_free(core, WEFT_CONTAINER(block, box, block), block->bytes, sizeof(weft_pair));
}

static box *box_new(weft_core *core, const weft_key *key) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES || key->bytes.size == 0);
    size_t bytes = sizeof(box) + (core->shape == WEFT_SHAPE_BYTES ? key->bytes.size : 0);
    box *fresh = weft_core_alloc(core, bytes, sizeof(weft_pair));
    if (fresh == NULL) {
        table_of(core)->failures++;
        return NULL;
    }
    *fresh = (box){.block = {.destroy = box_destroy, .bytes = bytes}, .hash = key->hash};
    if (bytes != sizeof(box)) {
        memcpy(fresh->key, key->bytes.data, key->bytes.size);
    }
    return fresh;
}

/* A key that has no box. Its box comes into dirty, and from then on lookups that miss in the read
 * tier take the lock. */
static int insert_new(weft_core *core, const place *at, const change *what) {
    twotier_table *table = table_of(core);
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 || what->desired != 0);
    box *fresh = box_new(core, what->key);
    if (fresh == NULL) {
        return WEFT_E_NOMEM;
    }
    if (!weft_twotier_ensure_dirty(core, at, 1)) {
        box_destroy(core, &fresh->block);
        return WEFT_E_NOMEM;
    }
    weft_core_stamp(core, what->position, table->version_floor, what->desired);
    fresh->cell = (weft_pair){BOX_FIRST | BOX_PRESENT, what->desired};
    weft_twotier_add_dirty(core, at->leaf, fresh);
    table->box_bytes += fresh->block.bytes;
    if ((at->read & READ_AMENDED) == 0) {
        table->totals.amended++;
        /* Release: pairs with the load in place_of, which then takes the lock. */
        weft_store_release(&at->leaf->read, at->read | READ_AMENDED);
    }
    return WEFT_OK;
}

/* A key whose box is in the read tier alone: it comes back into dirty, or it were lost with the
 * read tier. */
static int unexpunge(weft_core *core, const place *at, box *expunged, const change *what) {
    if (!weft_twotier_ensure_dirty(core, at, 1)) {
        return WEFT_E_NOMEM;
    }
    int status = fill(core, expunged, box_read(expunged), what);
    WEFT_ASSERT(status == WEFT_OK);
#if WEFT_MUTANT != 34 /* is lost with the read tier */
    weft_twotier_add_dirty(core, at->leaf, expunged);
#endif
    table_of(core)->totals.expunged--;
    return status;
}

/* The key's box is looked up anew, under the lock. */
static int insert_at(weft_core *core, const place *at, const change *what) {
    WEFT_ASSERT(place_is_newest(at));
    box *found = tier_find(core, read_tier(at->read), what->key);
    if (found == NULL) {
        found = tier_find(core, at->leaf->dirty, what->key);
    }
    if (found == NULL) {
        return insert_new(core, at, what);
    }
    weft_pair cell = box_read(found);
    if (box_state(cell) == BOX_EXPUNGED) {
        return unexpunge(core, at, found, what);
    }
    return box_state(cell) == BOX_PRESENT ? WEFT_MISMATCH : fill(core, found, cell, what);
}

static WEFT_NOINLINE int insert_locked(weft_core *core, const change *what) {
    WEFT_ASSERT(!what->position->present);
    trash heap = {0};
    place at;
    int status = WEFT_E_NOMEM;
    lock(core);
    if (weft_twotier_settle(core, what->key->hash, &at, &heap)) {
        status = insert_at(core, &at, what);
        if (table_of(core)->incremental) {
            (void)weft_twotier_progress(core, MOVES_IN_PASSING, &heap);
        }
    }
    weft_twotier_unlock(core, &heap);
    return status;
}

/* Incremental: a removed key has left a box behind. If there are many in this leaf they are let go,
 * unless another thread has the lock: then by a later removal. */
static void removed_one(weft_core *core, uint64_t hash) {
    twotier_table *table = table_of(core);
    WEFT_ASSERT(table->incremental);
    place at = place_of(core, hash);
    int64_t removed = weft_fetch_add_relaxed(&at.leaf->removed, 1) + 1;
    uint64_t known = tier_count(read_tier(at.read));
    bool many = removed >= PURGE_MIN && (uint64_t)removed * 2 >= known;
    bool moving = weft_load_relaxed(&at.directory->older) != NULL;
    if ((!many && !moving) || !weft_mutex_try_lock(&table->lock)) {
        return;
    }
    trash heap = {0};
    at = place_of(core, hash);
    if (many && place_is_newest(&at)) {
        (void)weft_twotier_purge(core, &at, &heap);
    }
    (void)weft_twotier_progress(core, MOVES_IN_PASSING, &heap);
    weft_twotier_unlock(core, &heap);
}

static int swing_present(weft_core *core, const change *what, bool keep) {
    weft_position *position = what->position;
    uint64_t desired = what->desired;
    WEFT_ASSERT(position->present && position->words[WORD_BOX] != 0);
    box *at = (box *)(uintptr_t)position->words[WORD_BOX];
    weft_pair seen = {position->words[WORD_STATE], position->cell};
    weft_pair becomes = {seen.first, desired};
    if (core->shape == WEFT_SHAPE_BYTES) {
        uint64_t version = weft_load_relaxed(&entry_of(position->cell)->version);
        weft_core_stamp(core, position, version, keep ? desired : 0);
    }
    if (!keep) {
        becomes.first = box_next_state(seen, BOX_DELETED);
        becomes.second = core->shape == WEFT_SHAPE_BYTES ? position->version : 0;
    }
    if (!weft_cas_pair_seq_cst(&at->cell, seen, becomes)) {
        return WEFT_MISMATCH;
    }
    if (!keep && table_of(core)->incremental) {
        removed_one(core, what->key->hash);
    }
    return WEFT_OK;
}

static int twotier_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                         uint64_t desired) {
    WEFT_ASSERT(keep || position->present);
    change what = {key, position, desired};
    if (position->present) {
        return swing_present(core, &what, keep);
    }
    box *at = (box *)(uintptr_t)position->words[WORD_BOX];
    if (at == NULL) {
        return insert_locked(core, &what);
    }
    weft_pair absent = {position->words[WORD_STATE], position->words[WORD_REST]};
    int status = fill(core, at, absent, &what);
    if (status == WEFT_OK && table_of(core)->incremental) {
        weft_fetch_add_relaxed(&place_of(core, key->hash).leaf->removed, -1);
    }
    return status;
}

/* ---- walk ------------------------------------------------------------------------------------ */

static void emit_home(weft_core *core, const tier *from, weft_step *step, uint64_t last) {
    WEFT_ASSERT(step->from <= last);
    uint64_t home = (weft_reverse_bits(step->from) >> from->shift) & from->mask;
    for (uint64_t i = home; from->slots[i & from->mask] != 0; i++) {
        const box *at = slot_box(from->slots[i & from->mask]);
        uint64_t point = weft_reverse_bits(at->hash);
        if (point < step->from || point > last) {
            continue;
        }
        weft_pair cell = box_read(at);
        if (box_state(cell) == BOX_PRESENT) {
            bool number = core->shape == WEFT_SHAPE_U64;
            step->emit(step, number ? weft_core_unhash_u64(core, at->hash) : 0, cell.second);
        }
    }
}

/* One home of a tier, but never more than belongs to one leaf of the newest directory. */
static void visit(weft_core *core, const place *at, const tier *from, weft_step *step) {
    unsigned bits = at->bits;
    if (from != NULL) {
        unsigned of_home = (unsigned)from->shift + weft_bits_for(from->mask + 1);
        bits = bits > of_home ? bits : of_home;
    }
    WEFT_ASSERT(bits < 64);
    uint64_t last = step->from | UINT64_MAX >> bits;
    if (from != NULL) {
        emit_home(core, from, step, last);
    }
    step->next = last + 1;
}

/* As Range does: what is in dirty is promoted when the walk comes to the leaf. What comes into
 * dirty later is looked up there. Emitting is the map's own collecting, so it may happen under the
 * lock. */
static void walk_amended(weft_core *core, weft_step *step) {
    trash heap = {0};
    lock(core);
    place at = place_of(core, weft_reverse_bits(step->from));
    bool begins = (step->from & UINT64_MAX >> at.directory->bits) == 0;
    if ((at.read & READ_AMENDED) != 0 && begins && place_is_newest(&at)) {
        weft_twotier_promote(core, at.leaf, &heap);
    }
    visit(core, &at, leaf_whole(at.leaf), step);
    weft_twotier_unlock(core, &heap);
}

static void twotier_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    place at = place_of(core, weft_reverse_bits(step->from));
    if ((at.read & READ_AMENDED) != 0) {
        walk_amended(core, step);
    } else {
        visit(core, &at, read_tier(at.read), step);
    }
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* Fewest slots, or leaves. */
static uint64_t floor_for(const twotier_table *table, uint64_t entries) {
    return entries == 0         ? 0
           : table->incremental ? weft_twotier_leaves_for(entries)
                                : weft_twotier_slots_for(entries);
}

static int twotier_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    twotier_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    memset(table, 0, sizeof *table);
    if (!weft_mutex_init(&table->lock)) {
        weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
        return WEFT_E_NOMEM;
    }
    weft_twotier_learn_start(table, &core->options->twotier);
    table->first.leaves = &table->first_leaf;
    table->first_leaf.read = READ_LIVE;
    table->directory = &table->first;
    core->table = table;
    table->slots_floor = floor_for(table, core->expected_entries);
    return WEFT_OK;
}

/* A dirty tier that is large enough is what the next inserts need. */
static int reserve_slots(weft_core *core, uint64_t entries) {
    place at = place_of(core, 0);
    uint64_t count = tier_count(leaf_whole(at.leaf));
    bool done = entries <= count || weft_twotier_ensure_dirty(core, &at, entries - count);
    return done ? WEFT_OK : WEFT_E_NOMEM;
}

/* To so many leaves, with the lock given back between steps. WEFT_OK · WEFT_UNCHANGED ·
 * WEFT_E_NOMEM. */
static int resize_to(weft_core *core, uint64_t leaves) {
    twotier_table *table = table_of(core);
    WEFT_ASSERT(table->incremental && leaves >= 1);
    int answer = WEFT_UNCHANGED;
    unsigned turns = 0;
    for (bool begun = false, done = false; !done && answer >= 0;) {
        trash heap = {0};
        lock(core);
        int status = weft_twotier_move_some(core, MOVES_AT_ONCE, &heap);
        uint64_t now = table->directory->mask + 1;
        if (status == WEFT_OK && !begun) {
            /* Down by halves, as a leaf has two sources at the most. */
            status = weft_twotier_begin_move(core, leaves < now ? now / 2 : leaves);
            /* Others may make it grow meanwhile; not for ever. */
            begun = leaves >= now / 2 || ++turns > DIRECTORY_BITS_MAX;
            answer = status == WEFT_OK ? WEFT_OK : answer;
            done = status == WEFT_UNCHANGED;
        } else {
            done = status == WEFT_OK;
        }
        answer = status == WEFT_E_NOMEM ? status : answer;
        weft_twotier_unlock(core, &heap);
    }
    return answer;
}

static int twotier_reserve(weft_core *core, uint64_t entries) {
    WEFT_ASSERT(core->table != NULL);
    twotier_table *table = table_of(core);
    lock(core);
    uint64_t wanted = floor_for(table, entries);
    bool more = wanted > (table->incremental ? table->directory->mask + 1 : 0);
    int status = more && !table->incremental ? reserve_slots(core, entries) : WEFT_OK;
    weft_mutex_unlock(&table->lock);
    if (more && table->incremental) {
        status = resize_to(core, wanted);
    }
    if (status >= 0) {
        lock(core);
        table->slots_floor = wanted;
        weft_mutex_unlock(&table->lock);
    }
    return status >= 0 ? WEFT_OK : status;
}

static int shrink_slots(weft_core *core) {
    trash heap = {0};
    WEFT_ASSERT(!table_of(core)->incremental);
    lock(core);
    place at = place_of(core, 0);
    uint64_t now = max_u64(tier_slots(leaf_whole(at.leaf)), tier_slots(read_tier(at.read)));
    int status = WEFT_UNCHANGED;
    table_of(core)->slots_floor = 0;
    if (weft_twotier_slots_for(weft_core_entries(core)) < now) {
        status = weft_twotier_purge(core, &at, &heap) ? WEFT_OK : WEFT_E_NOMEM;
        uint64_t left = tier_slots(read_tier(weft_load_relaxed(&at.leaf->read)));
        status = status == WEFT_OK && left >= now ? WEFT_UNCHANGED : status;
        table_of(core)->shrinks += status == WEFT_OK;
    }
    weft_twotier_unlock(core, &heap);
    return status;
}

static int twotier_shrink(weft_core *core) {
    twotier_table *table = table_of(core);
    WEFT_ASSERT(table != NULL);
    if (!table->incremental) {
        return shrink_slots(core);
    }
    lock(core);
    table->slots_floor = 0;
    uint64_t wanted = weft_twotier_leaves_for(weft_core_entries(core));
    bool fewer = wanted < table->directory->mask + 1;
    weft_mutex_unlock(&table->lock);
    return fewer ? resize_to(core, wanted) : WEFT_UNCHANGED;
}

/* A leaf that holds more removed keys than others is freed of them; in incremental mode removals do
 * that. */
static bool twotier_maintain(weft_core *core, size_t budget) {
    WEFT_ASSERT(core->table != NULL);
    trash heap = {0};
    bool done = true;
    lock(core);
    const twotier_table *table = table_of(core);
    if (table->incremental) {
        done = weft_twotier_progress(core, budget, &heap) == WEFT_OK;
    } else if (table->boxes > 2 * weft_core_entries(core)) {
        place at = place_of(core, 0);
        (void)weft_twotier_purge(core, &at, &heap);
    }
    weft_twotier_unlock(core, &heap);
    return done;
}

const weft_engine weft_engine_twotier = {
    .name = "twotier",
    .id = WEFT_ENGINE_TWOTIER,
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_THREADS | WEFT_CAP_GROW |
            WEFT_CAP_KEEPS_REMOVED,
    .choose =
        "keys that are written once and read often, or threads with keys of their own; to see "
        "what Go's sync.Map did",
    .do_not_choose =
        "new keys all the time, or keys that come and go: each rebuild copies the table, "
        "and removed keys stay (incremental: neither)",
    .open = twotier_open,
    .close = weft_twotier_close,
    .find = {twotier_find, twotier_find},
    .look = {twotier_look, twotier_look},
    .swing = twotier_swing,
    .walk = twotier_walk,
    .reserve = twotier_reserve,
    .shrink = twotier_shrink,
    .maintain = twotier_maintain,
    .stats = weft_twotier_stats,
    .check = weft_twotier_check,
    .dump = weft_twotier_dump,
};
