/* SPDX-License-Identifier: MIT */
/* Engine "list": linked lists hung on an array that is never resized. The smallest lock-free map
 * that is linearizable, to be read and learned from.
 *
 * Design
 *   The array's size is chosen at the first insert and stays. A new key goes to the front of its
 *   list, a key's value changes in its node, and a key leaves in two steps: its node is marked,
 *   which is the removal, and then unlinked, which is tidying up that anybody may do. So inside
 *   of a list nothing ever appears; nodes only disappear. All that is easy here comes from that.
 * Layout
 *      bucket                 node                     node
 *   +--------+-------+     +-----------+------+     +-----------+------+
 *   | first  | floor | --> | next·mark | cell | --> | next·mark | cell | --> 0
 *   +--------+-------+     +-----------+------+     +-----------+------+
 *   Two words that stand together change together, by one compare and swap of 16 bytes. The
 *   bucket of a hash is chosen by its low bits, so a bucket is an interval of the reversed hash,
 *   as walks need it.
 * Concurrency
 *   docs/design/list.md has the protocol and the arguments. In one breath: an insert swings the
 *   bucket, and fails if any other insert came since it looked; an update and a removal swing the
 *   node's pair, and fail if the node is marked; a lookup goes down the list, once, however it
 *   changes meanwhile: it is wait-free.
 * Rejected
 *   Sorted lists, as Harris and Michael have them: an insert in the middle must make sure that
 *   the node before it stays, and a lookup must be told apart from one that is led astray. They
 *   save half of the way of a lookup that finds nothing. Marking by the cell alone: an insert
 *   behind the node, or an unlinking, could then be lost with it.
 * Credits
 *   T. Harris, A pragmatic implementation of non-blocking linked-lists (2001), for the mark in
 *   the next pointer; M. Michael, High performance dynamic lock-free hash tables and list-based
 *   sets (2002), for unlinking one node at a time, which lets each be retired, and for the array.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "engine/engine.h"
#include <stdio.h>

/* More buckets than BUCKET_BITS_MAX says never fit into memory; their size must not overflow. */
enum { BUCKETS_MIN = 64, BUCKETS_DEFAULT = 2048, BUCKET_BITS_MAX = 58 };

#define MARK ((uint64_t)1)

/* Of a cell, bytes shape: the entry has gone, and above the bit is the version of the removal. */
#define CELL_GONE ((uint64_t)1)

/* first: a node; second: no key that was removed, and whose node is unlinked, had a greater
 * version. */
typedef weft_pair bucket;

typedef struct node {
    weft_pair pair; /* first: the next node, and the mark; second: the cell */
    uint64_t hash;
    weft_block block;
} node;

_Static_assert(sizeof(node) == 48, "a key costs 48 bytes");

typedef struct array {
    uint64_t mask;
    bucket buckets[] WEFT_LINE_ALIGNED;
} array;

typedef struct list_table {
    array *array;     /* NULL until the first insert */
    uint64_t wanted;  /* buckets, by options or reserve; 0: nobody said */
    uint64_t closing; /* buckets that close has freed */
} list_table;

/* What list_find notes for list_swing. */
enum { AT_BUCKET, AT_FIRST, AT_FLOOR, AT_NODE, AT_VERSION };

static list_table *table_of(const weft_core *core) {
    return core->table;
}

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static node *node_of(uint64_t link) {
    return (node *)(uintptr_t)(link & ~MARK);
}

static weft_entry *entry_of(uint64_t cell) {
    return (weft_entry *)(uintptr_t)cell;
}

static uint64_t next_of(node *at) {
    return weft_load_acquire(&at->pair.first); /* pairs with the CASes of links, and insert's */
}

static array *array_of(const weft_core *core) {
    return weft_load_acquire(&table_of(core)->array); /* pairs with make_array */
}

static bucket *bucket_of(const weft_core *core, uint64_t hash) {
    array *buckets = array_of(core);
    return buckets == NULL ? NULL : &buckets->buckets[hash & buckets->mask];
}

/* The node's cell at one moment at which its key was there; false if it is not there any more. */
static bool read_cell(const weft_core *core, node *at, uint64_t *cell) {
    if (core->shape == WEFT_SHAPE_U64) {
        bool marked = (next_of(at) & MARK) != 0;
        /* The mark comes with the value that the key had last. Pairs with the CAS of pairs. */
        *cell = weft_load_second_acquire(&at->pair);
        return !marked;
    }
    *cell = weft_load_second_acquire(&at->pair); /* the entry; pairs with the CAS of pairs */
    return (*cell & CELL_GONE) == 0;
}

/* ---- find ------------------------------------------------------------------------------------ */

/* The key's node, with its cell in `out`; NULL if the key is absent. The version in `out` rises to
 * those of removals in nodes that are passed. */
static node *find_node(const weft_core *core, uint64_t first, const weft_key *key,
                       weft_position *out) {
    for (node *at = node_of(first); at != NULL; at = node_of(next_of(at))) {
        if (at->hash != key->hash) {
            continue;
        }
        bool there = read_cell(core, at, &out->cell);
        if (core->shape == WEFT_SHAPE_U64) {
            return there ? at : NULL; /* nodes of the same key behind it are older, and marked */
        }
        if (!there) {
            out->words[AT_VERSION] = max_u64(out->words[AT_VERSION], out->cell >> 1);
        } else if (weft_entry_has_key(entry_of(out->cell), key->bytes)) {
            return at;
        }
    }
    return NULL;
}

static void list_find(weft_core *core, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(weft_epoch_inside());
    bucket *at = bucket_of(core, key->hash);
    position->words[AT_BUCKET] = (uintptr_t)at;
    /* The floor before the list: what is unlinked in between raises it. Pairs with its CAS. */
    uint64_t floor = at == NULL ? 0 : weft_load_acquire(&at->second);
    uint64_t first = at == NULL ? 0 : weft_load_acquire(&at->first); /* pairs with insert */
    position->words[AT_FIRST] = first;
    position->words[AT_FLOOR] = floor;
    position->words[AT_VERSION] = floor;
    node *found = find_node(core, first, key, position);
    position->present = found != NULL;
    position->words[AT_NODE] = (uintptr_t)found;
}

static bool list_look(weft_core *core, const weft_key *key, uint64_t *cell) {
    WEFT_ASSERT(core->table != NULL);
    bucket *at = bucket_of(core, key->hash);
    weft_position out;
    out.words[AT_VERSION] = 0;
    if (at == NULL || /* pairs with insert */
        find_node(core, weft_load_acquire(&at->first), key, &out) == NULL) {
        return false;
    }
    *cell = out.cell;
    return true;
}

/* ---- swing ----------------------------------------------------------------------------------- */

static uint64_t buckets_for(uint64_t entries) {
    unsigned bits = weft_bits_for(entries);
    return max_u64(BUCKETS_MIN, (uint64_t)1 << (bits < BUCKET_BITS_MAX ? bits : BUCKET_BITS_MAX));
}

static size_t array_bytes(uint64_t buckets) {
    return sizeof(array) + buckets * sizeof(bucket);
}

/* The array, at the first insert. The expected number of entries is a hint: without memory for so
 * many, it is the default. False without memory for that. */
static bool make_array(weft_core *core) {
    list_table *table = table_of(core);
    uint64_t wanted = weft_load_relaxed(&table->wanted);
    uint64_t count = wanted != 0 ? wanted : BUCKETS_DEFAULT;
    array *made = weft_core_alloc_table(core, array_bytes(count), false);
    if (made == NULL && count > BUCKETS_DEFAULT) {
        count = BUCKETS_DEFAULT;
        made = weft_core_alloc_table(core, array_bytes(count), false);
    }
    if (made == NULL) {
        return false;
    }
    made->mask = count - 1;
    array *other = NULL;
    /* Release: the mask, and zeroes. Pairs with the acquire in array_of. */
    if (!weft_cas_acq_rel(&table->array, &other, made)) {
        weft_core_free_table(core, made, array_bytes(count));
    }
    return true;
}

static void node_destroy(weft_core *core, weft_block *block) {
    weft_core_free(core, WEFT_CONTAINER(block, node, block), sizeof(node), sizeof(weft_pair));
}

/* The new node goes to the front, if nothing came there since the look, and nothing was unlinked
 * that raised the floor. */
static int insert(weft_core *core, const weft_key *key, weft_position *position, uint64_t desired) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    if (at == NULL) {
        return make_array(core) ? WEFT_MISMATCH : WEFT_E_NOMEM;
    }
    node *fresh = weft_core_alloc(core, sizeof *fresh, sizeof(weft_pair));
    if (fresh == NULL) {
        return WEFT_E_NOMEM;
    }
    weft_core_stamp(core, position, position->words[AT_VERSION], desired);
    weft_pair was = {position->words[AT_FIRST], position->words[AT_FLOOR]};
    *fresh = (node){.pair = {was.first, desired}, .hash = key->hash};
    fresh->block = (weft_block){.destroy = node_destroy, .bytes = sizeof *fresh};
#if WEFT_MUTANT == 38 /* does not see that the key came and went: its version is not the greatest */
    uint64_t first = was.first;
    bool done = weft_cas_seq_cst(&at->first, &first, (uintptr_t)fresh);
#else
    bool done = weft_cas_pair_seq_cst(at, was, (weft_pair){(uintptr_t)fresh, was.second});
#endif
    if (!done) {
        weft_core_free(core, fresh, sizeof *fresh, sizeof(weft_pair));
    }
    return done ? WEFT_OK : WEFT_MISMATCH;
}

static void raise_floor(bucket *at, uint64_t version) {
    uint64_t floor = weft_load_acquire(&at->second); /* pairs with the CAS below */
    /* Release: before the node is unlinked. Pairs with the acquire in list_find. */
    while (floor < version && !weft_cas_acq_rel(&at->second, &floor, version)) {
    }
}

/* Unlink all nodes that are marked. */
static void tidy(weft_core *core, bucket *bucket_at) {
    WEFT_ASSERT(weft_epoch_inside());
    uint64_t *link = &bucket_at->first;
    uint64_t here = weft_load_acquire(link); /* pairs with insert */
    while (node_of(here) != NULL) {
        node *at = node_of(here);
        uint64_t next = next_of(at);
        if ((next & MARK) == 0) {
            link = &at->pair.first;
            here = next;
            continue;
        }
        if (core->shape == WEFT_SHAPE_BYTES) {
            /* Acquire: the version, which came with the mark. Pairs with the CAS of the pair. */
            raise_floor(bucket_at, weft_load_second_acquire(&at->pair) >> 1);
        }
        uint64_t expected = here;
        /* Fails if the node before it has been marked too, or another one came to the front. */
        if (weft_cas_seq_cst(link, &expected, next & ~MARK)) {
            weft_core_retire_block(core, &at->block);
            here = next & ~MARK;
        } else {
            link = &bucket_at->first;
            here = weft_load_acquire(link); /* pairs with insert */
        }
    }
}

/* Change or remove the key in its node. A pair whose link alone has changed is no mismatch. */
static int node_swing(weft_core *core, weft_position *position, bool keep, uint64_t desired) {
    WEFT_ASSERT(position->present && (keep || desired == 0));
    node *at = (node *)(uintptr_t)position->words[AT_NODE];
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    weft_core_stamp(core, position, weft_core_seen_version(core, position), desired);
    weft_pair was = {next_of(at), position->cell};
#if WEFT_MUTANT == 39 /* changes a node that is marked */
    bool any = keep;
#else
    bool any = false;
#endif
    while (any || (was.first & MARK) == 0) {
        weft_pair becomes = {was.first, desired};
        if (!keep) {
            becomes.first |= MARK;
            becomes.second = bytes ? position->version << 1 | CELL_GONE : was.second;
        }
        /* Release: the entry. Pairs with the acquire in read_cell. */
        if (weft_cas_pair_seq_cst(&at->pair, was, becomes)) {
            if (!keep) {
                tidy(core, (bucket *)(uintptr_t)position->words[AT_BUCKET]);
            }
            return WEFT_OK;
        }
        if (weft_load_second_acquire(&at->pair) != was.second) { /* pairs with the CAS above */
            break;
        }
        was.first = next_of(at);
    }
    return WEFT_MISMATCH;
}

static int list_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                      uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    if (position->present) {
        return node_swing(core, position, keep, keep ? desired : 0);
    }
    return keep ? insert(core, key, position, desired) : WEFT_OK;
}

/* ---- walk ------------------------------------------------------------------------------------ */

static void list_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    array *buckets = array_of(core);
    step->next = 0;
    if (buckets == NULL) {
        return;
    }
    bucket *here = &buckets->buckets[weft_reverse_bits(step->from) & buckets->mask];
    node *at = node_of(weft_load_acquire(&here->first)); /* pairs with insert */
    for (; at != NULL; at = node_of(next_of(at))) {
        uint64_t cell;
        if (weft_reverse_bits(at->hash) >= step->from && read_cell(core, at, &cell)) {
            bool numbers = core->shape == WEFT_SHAPE_U64;
            step->emit(step, numbers ? weft_core_unhash_u64(core, at->hash) : 0, cell);
        }
    }
    step->next = (step->from | UINT64_MAX >> weft_bits_for(buckets->mask + 1)) + 1;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int list_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    list_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    *table = (list_table){
        .wanted = core->expected_entries == 0 ? 0 : buckets_for(core->expected_entries)};
    core->table = table;
    return WEFT_OK;
}

static bool list_close(weft_core *core, size_t budget,
                       void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    list_table *table = table_of(core);
    array *buckets = table->array;
    for (; buckets != NULL && table->closing <= buckets->mask; table->closing++, budget--) {
        if (budget == 0) {
            return false;
        }
        for (node *at = node_of(buckets->buckets[table->closing].first), *next; at != NULL;
             at = next) {
            next = node_of(at->pair.first);
            if ((at->pair.first & MARK) == 0) {
                drop(core, at->pair.second);
            }
            node_destroy(core, &at->block);
        }
    }
    if (buckets != NULL) {
        weft_core_free_table(core, buckets, array_bytes(buckets->mask + 1));
    }
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

/* Before the first insert it chooses the size of the array; later it is too late, and says so by
 * doing nothing: lists take any number of entries. */
static int list_reserve(weft_core *core, uint64_t entries) {
    WEFT_ASSERT(core->table != NULL);
    if (entries != 0) {
        weft_store_relaxed(&table_of(core)->wanted, buckets_for(entries));
    }
    return WEFT_OK;
}

static int list_shrink(weft_core *core) {
    (void)core;
    return WEFT_UNCHANGED;
}

static bool list_maintain(weft_core *core, size_t budget) {
    (void)core;
    (void)budget;
    return true;
}

static void list_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(core->table != NULL);
    array *buckets = array_of(core);
    stats->overflow_entries = weft_core_entries(core);
    if (buckets != NULL) {
        stats->buckets = buckets->mask + 1;
        stats->table_bytes += array_bytes(stats->buckets) + stats->overflow_entries * sizeof(node);
    }
}

/* Is the key of this node in one of those behind it, too? */
static bool is_repeated(const weft_core *core, node *at, uint64_t cell) {
    weft_key key = {.hash = at->hash};
    weft_position other;
    other.words[AT_VERSION] = 0;
    if (core->shape == WEFT_SHAPE_BYTES) {
        key.bytes = weft_entry_key_bytes(entry_of(cell));
    }
    return find_node(core, next_of(at), &key, &other) != NULL;
}

static const char *broken_invariant(const weft_core *core, array *buckets) {
    WEFT_ASSERT(buckets == NULL || (buckets->mask & (buckets->mask + 1)) == 0);
    uint64_t entries = 0;
    for (uint64_t i = 0; buckets != NULL && i <= buckets->mask; i++) {
        node *at = node_of(weft_load_acquire(&buckets->buckets[i].first)); /* pairs with insert */
        for (; at != NULL; at = node_of(next_of(at))) {
            uint64_t cell;
            bool there = read_cell(core, at, &cell);
            entries += there;
            if ((at->hash & buckets->mask) != i) {
                return "H1 a key is in the list of its hash";
            }
            if (there && is_repeated(core, at, cell)) {
                return "H2 no key is in a list twice";
            }
            if (there == ((next_of(at) & MARK) != 0)) {
                return "H3 a node is marked if its key has gone";
            }
        }
    }
    return entries != weft_core_entries(core) ? "H4 the counters count the entries" : NULL;
}

static int list_check(weft_core *core, char *text, size_t capacity) {
    const char *broken = broken_invariant(core, array_of(core));
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "list: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void list_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    char line[96];
    array *buckets = array_of(core);
    snprintf(line, sizeof line, "%llu lists, %llu entries",
             buckets == NULL ? 0 : (unsigned long long)buckets->mask + 1,
             (unsigned long long)weft_core_entries(core));
    print(ctx, line);
}

const weft_engine weft_engine_list = {
    .name = "list",
    .id = WEFT_ENGINE_LIST,
    .caps = WEFT_CAP_LOCK_FREE | WEFT_CAP_THREADS | WEFT_CAP_GROW,
    .choose = "to learn how a lock-free map works; or a number of entries that is known and stays",
    .do_not_choose = "more entries than were expected: the array never grows, its lists do",
    .open = list_open,
    .close = list_close,
    .find = {list_find, list_find},
    .look = {list_look, list_look},
    .swing = list_swing,
    .walk = list_walk,
    .reserve = list_reserve,
    .shrink = list_shrink,
    .maintain = list_maintain,
    .stats = list_stats,
    .check = list_check,
    .dump = list_dump,
};
