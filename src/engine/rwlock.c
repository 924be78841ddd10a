/* SPDX-License-Identifier: MIT */
/* Engine "rwlock": one table under a reader-writer lock. The reference, and the honest baseline.
 *
 * Design
 *   A chained hash table. A find takes the read side, a swing the write side for as long as it
 *   takes to look the key up again and compare. The table doubles when there is an entry for each
 *   chain, in one go.
 * Layout
 *   chains: power of two of pointers to nodes; node = {next, hash, number, cell}. The chain of a
 *   hash is chosen by its low bits, so a chain is an interval of the reversed hash, as walks need
 *   it.
 * Concurrency
 *   Everything happens under the lock; the linearization points are in the critical sections. No
 *   callback of the user ever runs in one: decisions are made between find and swing. Nodes are
 *   freed under the write lock, entries by reclamation. Versions: the table remembers the greatest
 *   version that was removed, and new keys start above it.
 * Rejected
 *   Growing in steps: this engine shows what the simple thing costs. Locks per chain: that is
 *   another engine.
 * Credits
 *   The textbook (Knuth, vol. 3, 6.4); POSIX reader-writer locks.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "engine/engine.h"
#include <stdio.h>

/* More chains than CHAIN_BITS_MAX says never fit into memory; their size must not overflow. */
enum { CHAINS_MIN = 16, CHAIN_BITS_MAX = 60, SHRINK_DIVISOR = 8 };

typedef struct node {
    struct node *next;
    uint64_t hash;
    uint64_t number; /* u64 shape: the key */
    uint64_t cell;
} node;

typedef struct rwlock_table {
    weft_rwlock lock;
    node **chains; /* NULL until the first insert */
    uint64_t mask;
    uint64_t entries;
    uint64_t floor;           /* fewest chains wanted */
    uint64_t removed_version; /* no removed key had a greater one */
    uint64_t growths;
    uint64_t shrinks;
    uint64_t failures;
    uint64_t closing; /* chains that close has freed */
} rwlock_table;

static rwlock_table *table_of(weft_core *core) {
    return core->table;
}

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static weft_entry *entry_of(uint64_t cell) {
    return (weft_entry *)(uintptr_t)cell;
}

static bool is_key(const weft_core *core, const node *at, const weft_key *key) {
    if (core->shape == WEFT_SHAPE_U64) {
        return at->number == key->number;
    }
    return at->hash == key->hash && weft_entry_has_key(entry_of(at->cell), key->bytes);
}

/* The link that points to the key's node, or the one at the end of its chain. Chains must exist. */
static node **find_link(const weft_core *core, const rwlock_table *table, const weft_key *key) {
    node **link = &table->chains[key->hash & table->mask];
    while (*link != NULL && !is_key(core, *link, key)) {
        link = &(*link)->next;
    }
    return link;
}

/* ---- size ------------------------------------------------------------------------------------ */

/* Under the write lock. The map stays as it is without memory. */
static bool resize(weft_core *core, uint64_t chains) {
    WEFT_ASSERT(chains >= CHAINS_MIN && (chains & (chains - 1)) == 0);
    rwlock_table *table = table_of(core);
    node **fresh = weft_core_alloc_table(core, chains * sizeof(node *), false);
    if (fresh == NULL) {
        table->failures++;
        return false;
    }
    for (uint64_t i = 0; table->chains != NULL && i <= table->mask; i++) {
        for (node *at = table->chains[i], *next; at != NULL; at = next) {
            next = at->next;
            at->next = fresh[at->hash & (chains - 1)];
            fresh[at->hash & (chains - 1)] = at;
        }
    }
    if (table->chains != NULL) {
        table->growths += chains > table->mask + 1;
        table->shrinks += chains < table->mask + 1;
        weft_core_free_table(core, table->chains, (table->mask + 1) * sizeof(node *));
    }
    table->chains = fresh;
    table->mask = chains - 1;
    return true;
}

static uint64_t chains_for(uint64_t entries) {
    unsigned bits = weft_bits_for(entries);
    return max_u64(CHAINS_MIN, (uint64_t)1 << (bits < CHAIN_BITS_MAX ? bits : CHAIN_BITS_MAX));
}

static void resize_if_due(weft_core *core) {
    WEFT_ASSERT(table_of(core)->chains != NULL);
    rwlock_table *table = table_of(core);
    uint64_t chains = table->mask + 1;
    if (table->entries > chains) {
        resize(core, chains * 2);
    } else if (!core->grow_only && table->entries < chains / SHRINK_DIVISOR &&
               chains > max_u64(CHAINS_MIN, table->floor)) {
        resize(core, chains / 2);
    }
}

/* ---- find and swing -------------------------------------------------------------------------- */

static void rwlock_find(weft_core *core, const weft_key *key, weft_position *position) {
    rwlock_table *table = table_of(core);
    weft_rwlock_read_lock(&table->lock);
    node *at = table->chains == NULL ? NULL : *find_link(core, table, key);
    position->present = at != NULL;
    position->cell = at == NULL ? 0 : at->cell;
    weft_rwlock_read_unlock(&table->lock);
}

static bool rwlock_look(weft_core *core, const weft_key *key, uint64_t *cell) {
    weft_position position;
    rwlock_find(core, key, &position);
    if (position.present) {
        *cell = position.cell;
    }
    return position.present;
}

/* Bytes shape: the write's version, greater than all that the key had; desired 0: a removal. */
static void stamp(const weft_core *core, weft_position *position, uint64_t floor,
                  uint64_t desired) {
    if (core->shape == WEFT_SHAPE_BYTES) {
        position->version = max_u64(floor, position->at_least) + 1;
        if (desired != 0) {
            weft_store_relaxed(&entry_of(desired)->version, position->version);
        }
    }
}

static int insert(weft_core *core, const weft_key *key, weft_position *position, uint64_t desired) {
    WEFT_ASSERT(!position->present);
    rwlock_table *table = table_of(core);
    /* The expected number of entries is a hint: without memory for so many, begin small. */
    if (table->chains == NULL && !resize(core, max_u64(CHAINS_MIN, table->floor)) &&
        !resize(core, CHAINS_MIN)) {
        return WEFT_E_NOMEM;
    }
    node *fresh = weft_core_alloc(core, sizeof *fresh, sizeof(uint64_t));
    if (fresh == NULL) {
        return WEFT_E_NOMEM;
    }
    stamp(core, position, table->removed_version, desired);
    node **chain = &table->chains[key->hash & table->mask];
    *fresh = (node){*chain, key->hash, key->number, desired};
    *chain = fresh;
    table->entries++;
    resize_if_due(core);
    return WEFT_OK;
}

static void replace(weft_core *core, node *at, weft_position *position, uint64_t desired) {
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    stamp(core, position, bytes ? weft_load_relaxed(&entry_of(at->cell)->version) : 0, desired);
    at->cell = desired;
}

static void unlink_node(weft_core *core, node **link, weft_position *position) {
    WEFT_ASSERT(*link != NULL && position->present);
    rwlock_table *table = table_of(core);
    node *at = *link;
    if (core->shape == WEFT_SHAPE_BYTES) {
        stamp(core, position, weft_load_relaxed(&entry_of(at->cell)->version), 0);
        table->removed_version = max_u64(table->removed_version, position->version);
    }
    *link = at->next;
    weft_core_free(core, at, sizeof *at, sizeof(uint64_t));
    table->entries--;
    resize_if_due(core);
}

static int rwlock_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                        uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    rwlock_table *table = table_of(core);
    int status = WEFT_OK;
    weft_rwlock_write_lock(&table->lock);
    node **link = table->chains == NULL ? NULL : find_link(core, table, key);
    node *at = link == NULL ? NULL : *link;
#if WEFT_MUTANT == 1 /* loses updates */
    bool as_seen = (at != NULL) == position->present;
#else
    bool as_seen = (at != NULL) == position->present && (at == NULL || at->cell == position->cell);
#endif
    if (!as_seen) {
        status = WEFT_MISMATCH;
    } else if (at == NULL) {
        status = keep ? insert(core, key, position, desired) : WEFT_OK;
    } else if (keep) {
        replace(core, at, position, desired);
    } else {
        unlink_node(core, link, position);
    }
    weft_rwlock_write_unlock(&table->lock);
    return status;
}

/* ---- walk ------------------------------------------------------------------------------------ */

/* Emitting is the map's own collecting, not the user's code, so it may happen under the lock. */
static void rwlock_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    rwlock_table *table = table_of(core);
    step->next = 0;
    weft_rwlock_read_lock(&table->lock);
    if (table->chains != NULL) {
        uint64_t rest = UINT64_MAX >> weft_bits_for(table->mask + 1);
        uint64_t last = step->from | rest;
        node *at = table->chains[weft_reverse_bits(step->from) & table->mask];
        for (; at != NULL; at = at->next) {
            if (weft_reverse_bits(at->hash) >= step->from) {
                step->emit(step, at->number, at->cell);
            }
        }
        step->next = last + 1;
    }
    weft_rwlock_read_unlock(&table->lock);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int rwlock_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    rwlock_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    *table = (rwlock_table){
        .floor = core->expected_entries == 0 ? 0 : chains_for(core->expected_entries)};
    if (!weft_rwlock_init(&table->lock)) {
        weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
        return WEFT_E_NOMEM;
    }
    core->table = table;
    return WEFT_OK;
}

static bool rwlock_close(weft_core *core, size_t budget,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    rwlock_table *table = table_of(core);
    for (; table->chains != NULL && table->closing <= table->mask; table->closing++, budget--) {
        if (budget == 0) {
            return false;
        }
        for (node *at = table->chains[table->closing], *next; at != NULL; at = next) {
            next = at->next;
            drop(core, at->cell);
            weft_core_free(core, at, sizeof *at, sizeof(uint64_t));
        }
    }
    if (table->chains != NULL) {
        weft_core_free_table(core, table->chains, (table->mask + 1) * sizeof(node *));
    }
    weft_rwlock_destroy(&table->lock);
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

static int rwlock_reserve(weft_core *core, uint64_t entries) {
    WEFT_ASSERT(core->table != NULL);
    rwlock_table *table = table_of(core);
    int status = WEFT_OK;
    weft_rwlock_write_lock(&table->lock);
    uint64_t wanted = chains_for(entries);
    if (table->chains == NULL || table->mask + 1 < wanted) {
        status = resize(core, wanted) ? WEFT_OK : WEFT_E_NOMEM;
    }
    if (status == WEFT_OK) {
        table->floor = wanted;
    }
    weft_rwlock_write_unlock(&table->lock);
    return status;
}

static int rwlock_shrink(weft_core *core) {
    WEFT_ASSERT(core->table != NULL);
    rwlock_table *table = table_of(core);
    int status = WEFT_UNCHANGED;
    weft_rwlock_write_lock(&table->lock);
    uint64_t wanted = chains_for(table->entries);
    table->floor = 0;
    if (table->chains != NULL && wanted < table->mask + 1) {
        status = resize(core, wanted) ? WEFT_OK : WEFT_E_NOMEM;
    }
    weft_rwlock_write_unlock(&table->lock);
    return status;
}

static bool rwlock_maintain(weft_core *core, size_t budget) {
    (void)core;
    (void)budget;
    return true;
}

static void rwlock_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(core->table != NULL);
    rwlock_table *table = table_of(core);
    weft_rwlock_read_lock(&table->lock);
    stats->buckets = table->chains == NULL ? 0 : table->mask + 1;
    stats->table_bytes += stats->buckets * sizeof(node *) + table->entries * sizeof(node);
    stats->overflow_entries = table->entries;
    stats->growths += table->growths;
    stats->shrinks += table->shrinks;
    stats->growth_failures += table->failures;
    weft_rwlock_read_unlock(&table->lock);
}

static const char *broken_invariant(weft_core *core, const rwlock_table *table) {
    WEFT_ASSERT(core->table == table);
    uint64_t entries = 0;
    for (uint64_t i = 0; table->chains != NULL && i <= table->mask; i++) {
        for (const node *at = table->chains[i]; at != NULL; at = at->next, entries++) {
            if ((at->hash & table->mask) != i) {
                return "R1 a key is in the chain of its hash";
            }
            for (const node *other = at->next; other != NULL; other = other->next) {
                weft_key key = {.hash = other->hash, .number = other->number};
                if (core->shape == WEFT_SHAPE_BYTES) {
                    const weft_entry *entry = entry_of(other->cell);
                    key.bytes = weft_bytes_of(weft_entry_key(entry), weft_entry_key_size(entry));
                }
                if (is_key(core, at, &key)) {
                    return "R2 no key is in the table twice";
                }
            }
        }
    }
    return entries != table->entries || entries != weft_core_entries(core)
               ? "R3 the counters count the entries"
               : NULL;
}

static int rwlock_check(weft_core *core, char *text, size_t capacity) {
    rwlock_table *table = table_of(core);
    weft_rwlock_read_lock(&table->lock);
    const char *broken = broken_invariant(core, table);
    weft_rwlock_read_unlock(&table->lock);
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "rwlock: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void rwlock_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    rwlock_table *table = table_of(core);
    char line[96];
    weft_rwlock_read_lock(&table->lock);
    uint64_t chains = table->chains == NULL ? 0 : table->mask + 1;
    uint64_t entries = table->entries;
    weft_rwlock_read_unlock(&table->lock);
    snprintf(line, sizeof line, "%llu chains, %llu entries", (unsigned long long)chains,
             (unsigned long long)entries);
    print(ctx, line);
}

const weft_engine weft_engine_rwlock = {
    .name = "rwlock",
    .id = WEFT_ENGINE_RWLOCK,
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_GROW,
    .choose = "one thread at a time, tiny maps, or as the reference in tests",
    .do_not_choose = "several writers, many cores, or tail latency: growing is O(n) under the lock",
    .open = rwlock_open,
    .close = rwlock_close,
    .find = {rwlock_find, rwlock_find},
    .look = {rwlock_look, rwlock_look},
    .swing = rwlock_swing,
    .walk = rwlock_walk,
    .reserve = rwlock_reserve,
    .shrink = rwlock_shrink,
    .maintain = rwlock_maintain,
    .stats = rwlock_stats,
    .check = rwlock_check,
    .dump = rwlock_dump,
};
