/* SPDX-License-Identifier: MIT */
/* Engine "sharded": many plain tables, each under a small lock of its own.
 *
 * Design
 *   The low bits of the hash choose the shard, the others the bucket in the shard's plain table
 *   (engine/plain.h), which is given the hash turned by the shard's bits. So a shard, and a bucket
 *   in it, is an interval of the reversed hash, as walks need it. A lock (base/latch.h) costs one
 *   locked instruction, and lies in one line with what an operation reads of the table. It counts
 *   its holders: a lookup takes no lock and stores nothing, but looks at the count before and
 *   after. A write looks in the same way, and locks only what it is about to change. The number of
 *   shards comes from the processors that the process may run on, or from option sharded.shards.
 *   It doubles when threads wait: when a quarter of the shards has seen WAITS waits each. One hot
 *   key, which no number of shards would help, fills one of them only.
 * Layout
 *   directory -> shards: {latch, hot words of the table | the rest}, each from the beginning of a
 *   pair of lines, as processors fetch them.
 *   Option sharded.packed: the latches side by side, four to a line, and the tables as they come,
 *   to show what lines that are shared cost.
 * Concurrency
 *   A key's shard is locked for each change, by a compare and swap of the count, which says that
 *   nobody has had the lock since find; the linearization points are in these sections, that of a
 *   lookup is its last load of the count. Lookups that meet a writer try again, 16 times, then they
 *   take the lock: so they are not starved, but wait for a writer that is stopped inside. What
 *   tables leave, and lookups may be in, is freed by reclamation. Growing: a directory of twice as
 *   many shards is linked behind the present one, then writes move a shard at a time, under its
 *   lock and those of the two that it becomes. A shard that has moved is nobody's table: who finds
 *   it so goes to the next directory. When all have moved, the next directory is the present one,
 *   and the old one is retired. Who needs several shards, as write_batch does (sharded_batch.c),
 *   locks `growing` first, then the shards, and lets `growing` go: a locked shard does not move.
 *   docs/design/locks.md.
 * Rejected
 *   A lock for lookups as well, which this was: two threads that only read wrote the same lines,
 *   and no lookup began before the one before it was done. Shards by the high bits: then each step
 *   of a walk has to lock all of them. A reader-writer lock for each shard: its read side writes
 *   the same line, and has more to do. Growing by one writer in one go: a stop of that thread of
 *   O(n).
 * Credits
 *   Lock striping: Ellis (1983), java.util.concurrent's first map (Lea, 2004); many Go programs.
 */
#include "base/cpu.h"
#include "base/numa.h"
#include "engine/sharded.h"
#include <stdio.h>

enum {
    MOST_TIMES = 16, /* shards at most, for each one at first */
    SHARDS_MAX = 65536,
    ISOLATION = 2 * WEFT_CACHE_LINE, /* processors fetch lines in pairs */
    WAITED_SHARE = 4, /* one in so many shards that are waited for has the number doubled */
    MOVE_STEP = 4096, /* buckets that maintain moves in a shard */
    GROUPS_MAX = 64,  /* of shards that have a memory node together */
    PEEKS = 16,       /* of a lookup, before it takes the lock */
};

/* Shards at first for each processor, and waits at one that count it as one that is waited for. A
 * schedule is short, and must not depend on the machine. */
#if defined(WEFT_SCHED) && WEFT_SCHED
enum { WAITS = 1 };
static uint64_t shards_at_first(void) {
    return 1;
}
#else
enum { PER_PROCESSOR = 32, WAITS = 512 };
static uint64_t shards_at_first(void) {
    uint64_t wanted = (uint64_t)weft_cpu_count() * PER_PROCESSOR;
    uint64_t count = (uint64_t)1 << weft_bits_for(wanted);
    return count < SHARDS_MAX ? count : SHARDS_MAX;
}
#endif

/* Words of a position, after WEFT_PLAIN_AT. */
enum { AT_SHARD = 1, AT_LATCH, AT_BITS, AT_SINCE };

extern const weft_engine weft_engine_sharded;

typedef struct shard {
    weft_latch latch; /* unused in a packed directory */
    weft_plain plain; /* its hot words are in the latch's line; nobody's: it has moved */
    uint32_t waits;
} shard;

_Static_assert(offsetof(shard, plain) + offsetof(weft_plain, floor) == WEFT_CACHE_LINE,
               "an operation sees one line of the shard");

typedef struct directory {
    uint64_t count; /* a power of two */
    uint64_t bits;
    size_t stride; /* from shard to shard, and from latch to latch */
    size_t latch_stride;
    char *shards;
    char *latches;
    struct directory *next; /* twice as many shards, which these move to; or NULL */
    uint64_t moved;         /* shards, from the first; under `growing` */
    weft_block block;
    size_t bytes; /* of shards and, packed, latches: one block */
} directory;

typedef struct sharded_table {
    directory *root;
    uint64_t most;       /* shards */
    uint64_t waited;     /* shards that are waited for, since the last growth */
    uint64_t growth;     /* 1: writes are to take part in one */
    weft_block *outcast; /* what tables do not use any more, and lookups may be in */
    bool packed;         /* option */
    uint32_t groups;     /* option numa: a power of two; a shard's low bits are its group's */
    uint32_t nodes;      /* option numa, and there are several; else 0 */
    uint8_t node_numbers[WEFT_NODES_MAX];
    uint64_t failures; /* to allocate a directory, or half of a shard */
    uint64_t closing;  /* shards that close has freed, of the directory that it is at */
    weft_latch growing WEFT_LINE_ALIGNED;
} sharded_table;

static sharded_table *table_of(weft_core *core) {
    return core->table;
}

static WEFT_ALWAYS_INLINE uint64_t turn(uint64_t hash, uint64_t bits) {
    return hash >> (bits & 63) | hash << (-bits & 63);
}

static WEFT_ALWAYS_INLINE uint64_t turn_back(uint64_t hash, uint64_t bits) {
    return hash << (bits & 63) | hash >> (-bits & 63);
}

static WEFT_ALWAYS_INLINE shard *shard_at(const directory *all, uint64_t index) {
    return (shard *)(void *)(all->shards + index * all->stride);
}

static WEFT_ALWAYS_INLINE weft_latch *latch_at(const directory *all, uint64_t index) {
    return (weft_latch *)(void *)(all->latches + index * all->latch_stride);
}

static WEFT_ALWAYS_INLINE bool has_moved(const shard *at) {
    return weft_plain_has_left(&at->plain);
}

/* ---- directories ----------------------------------------------------------------------------- */

static void free_directory(weft_core *core, weft_block *block) {
    directory *all = WEFT_CONTAINER(block, directory, block);
    weft_core_free(core, all->shards, all->bytes, ISOLATION);
    weft_core_free(core, all, sizeof *all, ISOLATION);
}

/* So many entries that a shard will hardly have more: the mean, and five times its root, as chance
 * spreads the keys. 0 of 0. */
static uint64_t share_of(uint64_t entries, uint64_t count) {
    uint64_t mean = (entries + count - 1) / count;
    unsigned root_bits = (weft_bits_for(mean) + 1) / 2;
    return mean == 0 ? 0 : count == 1 ? mean : mean + ((uint64_t)5 << root_bits);
}

/* Groups have the nodes in turns. A shard and those that it becomes are in one group. */
static uint8_t place_of(const sharded_table *table, uint64_t index) {
    if (table->nodes == 0) {
        return 0;
    }
    return (uint8_t)(table->node_numbers[(index & (table->groups - 1)) % table->nodes] + 1);
}

static directory *make_directory(weft_core *core, uint64_t count, sharded_table *table) {
    WEFT_ASSERT((count & (count - 1)) == 0 && count <= SHARDS_MAX);
    size_t line = ISOLATION;
    bool packed = table->packed;
    directory *all = weft_core_alloc(core, sizeof *all, line);
    if (all == NULL) {
        return NULL;
    }
    size_t stride = packed ? sizeof(shard) : (sizeof(shard) + line - 1) & ~(line - 1);
    size_t bytes = count * stride + (packed ? count * sizeof(weft_latch) : 0);
    *all = (directory){.count = count, .bits = weft_bits_for(count), .stride = stride};
    all->bytes = (bytes + line - 1) & ~(line - 1);
    all->block = (weft_block){.destroy = free_directory, .bytes = all->bytes + sizeof *all};
    all->shards = weft_core_alloc(core, all->bytes, line);
    if (all->shards == NULL) {
        weft_core_free(core, all, sizeof *all, line);
        return NULL;
    }
    memset(all->shards, 0, all->bytes);
    all->latches = packed ? all->shards + count * stride : all->shards;
    all->latch_stride = packed ? sizeof(weft_latch) : stride;
    for (uint64_t i = 0; i < count; i++) {
        weft_plain *plain = &shard_at(all, i)->plain;
        weft_plain_open(plain, share_of(core->expected_entries, count));
        plain->grow_only = core->grow_only;
        plain->place = place_of(table, i);
        plain->outcast = &table->outcast;
    }
    return all;
}

/* ---- locking --------------------------------------------------------------------------------- */

/* A locked shard. */
typedef struct spot {
    shard *at;
    weft_latch *latch;
    uint64_t bits; /* that its directory takes from the hash */
} spot;

/* Under the shard's lock. */
static WEFT_COLD void note_wait(sharded_table *table, shard *at, const directory *all) {
    if (++at->waits != WAITS) {
        return;
    }
    uint64_t waited = weft_fetch_add_relaxed(&table->waited, 1) + 1;
    if (waited * WAITED_SHARE >= all->count && all->count < table->most &&
        weft_load_relaxed(&all->next) == NULL) {
        weft_store_relaxed(&table->growth, 1);
    }
}

static WEFT_ALWAYS_INLINE spot spot_in(const directory *all, uint64_t hash) {
    uint64_t index = hash & (all->count - 1);
    return (spot){shard_at(all, index), latch_at(all, index), all->bits};
}

/* `waited`: somebody came in between already. */
static WEFT_ALWAYS_INLINE spot lock_shard(sharded_table *table, uint64_t hash, bool waited) {
    /* Acquire: its fields. Pairs with the release in end_growth. */
    directory *all = weft_load_acquire(&table->root);
    for (;;) {
        spot here = spot_in(all, hash);
        waited = WEFT_UNLIKELY(!weft_latch_lock(here.latch)) || waited;
        if (WEFT_UNLIKELY(waited)) {
            note_wait(table, here.at, all);
            waited = false;
        }
        if (WEFT_LIKELY(!has_moved(here.at))) {
            return here;
        }
        weft_latch_unlock(here.latch);
        all = weft_load_acquire(&all->next); /* pairs with the release in begin_growth */
    }
}

/* ---- growing --------------------------------------------------------------------------------- */

typedef struct half {
    weft_core *core;
    weft_plain *plains[2]; /* by the lowest bit of the turned hash */
    bool failed;
} half;

static void put_into_half(void *ctx, uint64_t hash, uint64_t cell) {
    half *h = ctx;
    weft_plain *into = h->plains[hash & 1];
#if WEFT_MUTANT == 53 /* moves all keys to one half */
    into = h->plains[0];
#endif
    h->failed = h->failed || !weft_plain_insert(h->core, into, turn(hash, 1), cell);
}

static void keep(weft_core *core, uint64_t cell) {
    (void)core;
    (void)cell;
}

static void forget(weft_core *core, weft_plain *plain) {
    size_t all = SIZE_MAX;
    (void)weft_plain_close(core, plain, &all, keep);
}

/* Split a locked shard into two that nobody has seen. False without memory: nothing changed. */
static bool split(weft_core *core, weft_plain *from, weft_plain *const into[2]) {
    WEFT_ASSERT(into[0]->entries == 0 && into[1]->entries == 0);
    half h = {core, {into[0], into[1]}, false};
    uint8_t place = into[0]->place;
    uint64_t expected = from->entries / 2 + from->entries / 16;
    for (int i = 0; i < 2; i++) {
        into[i]->removed_version = from->removed_version;
        h.failed =
            h.failed || (expected != 0 && weft_plain_reserve(core, into[i], expected) != WEFT_OK);
    }
    uint64_t point = 0;
    do {
        point = weft_plain_visit(from, point, put_into_half, &h);
    } while (point != 0 && !h.failed);
    for (int i = 0; i < 2; i++) {
        if (h.failed) {
            forget(core, into[i]);
        }
        into[i]->floor = 0;
        into[i]->grow_only = core->grow_only;
        into[i]->place = place; /* of both, as `forget` makes them anew */
    }
    return !h.failed;
}

/* Under `growing`. */
static void begin_growth(weft_core *core, sharded_table *table, directory *all) {
    directory *next = make_directory(core, all->count * 2, table);
    weft_store_relaxed(&table->waited, 0);
    if (next == NULL) {
        table->failures++;
        weft_store_relaxed(&table->growth, 0); /* until so many wait again */
        return;
    }
    weft_store_release(&all->next, next); /* pairs with the acquire in lock_shard */
}

static void end_growth(weft_core *core, sharded_table *table, directory *all) {
    weft_store_release(&table->root, all->next); /* pairs with the acquire in lock_shard */
    weft_store_relaxed(&table->growth, 0);
    weft_core_retire_block(core, &all->block);
}

/* Under `growing`: one shard. */
static void move_shard(weft_core *core, sharded_table *table, directory *all) {
    WEFT_ASSERT(all->moved < all->count);
    uint64_t index = all->moved;
    directory *next = all->next;
    uint64_t places[2] = {index, index + all->count};
    shard *from = shard_at(all, index);
    weft_plain *into[2] = {&shard_at(next, places[0])->plain, &shard_at(next, places[1])->plain};
    (void)weft_latch_lock(latch_at(all, index));
    (void)weft_latch_lock(latch_at(next, places[0]));
    (void)weft_latch_lock(latch_at(next, places[1]));
    bool done = split(core, &from->plain, into);
    if (done) {
        forget(core, &from->plain);
        weft_plain_leave(&from->plain);
        all->moved++;
    } else {
        table->failures++;
    }
    weft_latch_unlock(latch_at(next, places[1]));
    weft_latch_unlock(latch_at(next, places[0]));
    weft_latch_unlock(latch_at(all, index));
    if (all->moved == all->count) {
        end_growth(core, table, all);
    }
}

/* What a write does for a growth. One thread at a time; nobody waits for it. */
static WEFT_COLD void grow_some(weft_core *core) {
    sharded_table *table = table_of(core);
    if (!weft_latch_try(&table->growing)) {
        return;
    }
    directory *all = weft_load_relaxed(&table->root);
    if (weft_load_relaxed(&table->growth) == 0) {
        ; /* another one has ended it */
    } else if (all->next == NULL) {
        begin_growth(core, table, all);
    } else {
        move_shard(core, table, all);
    }
    weft_latch_unlock(&table->growing);
}

/* Without a lock, what a section has left to be done. */
static WEFT_COLD void clean_up(weft_core *core) {
    sharded_table *table = table_of(core);
    if (weft_load_relaxed(&table->growth) != 0) {
        grow_some(core);
    }
    if (weft_load_relaxed(&table->outcast) != NULL) {
        weft_plain_retire(core, &table->outcast);
    }
}

/* After each write. */
static WEFT_ALWAYS_INLINE void after_section(weft_core *core) {
    const sharded_table *table = table_of(core);
    if (WEFT_UNLIKELY((weft_load_relaxed(&table->growth) |
                       (uintptr_t)weft_load_relaxed(&table->outcast)) != 0)) {
        clean_up(core);
    }
}

/* ---- find and swing -------------------------------------------------------------------------- */

/* What one attempt to look without the lock has seen, and where. */
typedef struct glimpse {
    spot here;
    weft_plain_seen seen;
} glimpse;

/* As weft_plain_peek. */
static WEFT_ALWAYS_INLINE int peek(weft_shape shape, weft_core *core, const weft_key *key,
                                   glimpse *g) {
    /* Acquire: its fields. Pairs with the release in end_growth. */
    const directory *all = weft_load_acquire(&table_of(core)->root);
    for (;;) {
        g->here = spot_in(all, key->hash);
        const weft_plain *plain = &g->here.at->plain;
        g->seen.watch = weft_plain_begin_watch(g->here.latch);
        weft_key inner = weft_sharded_key(key, g->here.bits);
        weft_plain_same_fn same = shape == WEFT_SHAPE_U64 ? NULL : weft_plain_same_entry;
        int status = weft_plain_peek(plain, &inner, same, &g->seen);
        /* Acquire: what it has moved to. Pairs with the release in weft_plain_leave. */
        if (WEFT_LIKELY(status != WEFT_E_BUSY) || !weft_plain_has_left(plain)) {
            return status;
        }
        all = weft_load_acquire(&all->next); /* pairs with the release in begin_growth */
    }
}

/* Under the lock, which stays locked. */
static void look_and_keep(weft_core *core, const weft_key *key, glimpse *g) {
    WEFT_ASSERT(core->table != NULL);
    g->here = lock_shard(table_of(core), key->hash, false);
    weft_key inner = weft_sharded_key(key, g->here.bits);
    g->seen.slot = weft_plain_find_in(core->shape, &g->here.at->plain, &inner);
    g->seen.cell = g->seen.slot != NULL ? g->seen.slot->cell : 0;
    g->seen.watch.since = WEFT_LATCH_NEVER;
}

/* At last under the lock: among writers who leave no room between them, or behind one who does not
 * come out. */
static WEFT_NOINLINE void peek_again(weft_core *core, const weft_key *key, glimpse *g) {
    WEFT_ASSERT(core->table != NULL);
    for (int i = 1; i < PEEKS; i++) {
        weft_pause();
        if (peek(core->shape, core, key, g) != WEFT_E_BUSY) {
            return;
        }
    }
    look_and_keep(core, key, g);
    weft_latch_unlock(g->here.latch);
}

static WEFT_ALWAYS_INLINE bool look(weft_shape shape, weft_core *core, const weft_key *key,
                                    uint64_t *cell) {
    glimpse g;
    if (WEFT_UNLIKELY(peek(shape, core, key, &g) == WEFT_E_BUSY)) {
        peek_again(core, key, &g);
    }
    if (g.seen.slot != NULL) {
        *cell = g.seen.cell;
    }
    return g.seen.slot != NULL;
}

static bool look_bytes(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_BYTES, core, key, cell);
}

static bool look_u64(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_U64, core, key, cell);
}

static int sharded_glance(weft_core *core, uint64_t hash, uint64_t *cell, weft_record *record) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 && core->table != NULL);
    const directory *all = weft_load_acquire(&table_of(core)->root); /* pairs with end_growth */
    spot here = spot_in(all, hash);
    weft_plain_watch watch = weft_plain_begin_watch(here.latch);
    uint64_t inner = turn(hash, here.bits);
    const weft_plain_line *line = weft_plain_peek_home(&here.at->plain, inner);
    int status;
    bool sure = weft_plain_look_into_line(line, inner, cell, &status);
    if (WEFT_UNLIKELY(!sure) || !weft_plain_holds(watch)) {
        return weft_plain_glance_anyhow(core, hash, cell, record);
    }
    weft_epoch_end_show(record);
    return status;
}

static WEFT_ALWAYS_INLINE void set_position(weft_position *position, const glimpse *g) {
    position->present = g->seen.slot != NULL;
    position->cell = g->seen.cell;
    position->words[WEFT_PLAIN_AT] = (uintptr_t)g->seen.slot;
    position->words[AT_SHARD] = (uintptr_t)g->here.at;
    position->words[AT_LATCH] = (uintptr_t)g->here.latch;
    position->words[AT_BITS] = g->here.bits;
    position->words[AT_SINCE] = g->seen.watch.since;
}

static spot spot_of(const weft_position *position) {
    return (spot){(shard *)(uintptr_t)position->words[AT_SHARD],
                  (weft_latch *)(uintptr_t)position->words[AT_LATCH], position->words[AT_BITS]};
}

/* Who may keep the lock, and met somebody who writes, waits for it now, and keeps it. */
static WEFT_NOINLINE void find_busy(weft_core *core, const weft_key *key, weft_position *position) {
    glimpse g;
    if (position->hold) {
        look_and_keep(core, key, &g);
    } else {
        peek_again(core, key, &g);
    }
    set_position(position, &g);
}

/* Without the lock, if possible: swing takes it, if nobody has had it since. */
static WEFT_ALWAYS_INLINE void find(weft_shape shape, weft_core *core, const weft_key *key,
                                    weft_position *position) {
    glimpse g;
    if (WEFT_UNLIKELY((position->hold && position->again) ||
                      peek(shape, core, key, &g) == WEFT_E_BUSY)) {
        find_busy(core, key, position);
        return;
    }
    set_position(position, &g);
    position->hold = false;
}

static void find_bytes(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_BYTES, core, key, position);
}

static void find_u64(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_U64, core, key, position);
}

/* Others have written in the shard since find: lock the key's, and look whether it is as it was. */
static WEFT_NOINLINE bool lock_again(weft_core *core, const weft_key *key, weft_position *position,
                                     spot *here) {
    *here = lock_shard(table_of(core), key->hash, true);
    weft_key inner = weft_sharded_key(key, here->bits);
#if WEFT_MUTANT == 52 /* believes that nothing has changed since find */
    (void)weft_plain_is_as_seen(core, &here->at->plain, &inner, position);
    return true;
#else
    return weft_plain_is_as_seen(core, &here->at->plain, &inner, position);
#endif
}

static int sharded_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                         uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    spot here = spot_of(position);
    int status = WEFT_MISMATCH;
    if (WEFT_LIKELY(position->hold) ||
        WEFT_LIKELY(weft_latch_take_since(here.latch, position->words[AT_SINCE])) ||
        lock_again(core, key, position, &here)) {
        weft_key inner = weft_sharded_key(key, here.bits);
        status = weft_plain_swing(core, &here.at->plain, &inner, position, keep ? &desired : NULL);
    }
    weft_latch_unlock(here.latch);
    after_section(core);
    return status;
}

static void sharded_let_go(weft_core *core, weft_position *position) {
    WEFT_ASSERT(core->table != NULL);
    (void)core;
    weft_latch_unlock((weft_latch *)(uintptr_t)position->words[AT_LATCH]);
}

/* Without the lock: a hint. */
static void sharded_prefetch(weft_core *core, const weft_key *key, bool entry) {
    const directory *all = weft_load_acquire(&table_of(core)->root); /* pairs with end_growth */
    if (!entry) {
        __builtin_prefetch(shard_at(all, key->hash & (all->count - 1)));
    }
}

/* ---- several shards -------------------------------------------------------------------------- */

static bool comes_before(const weft_sharded_spot *a, const weft_sharded_spot *b) {
    return a->point != b->point ? a->point < b->point : a->key < b->key;
}

/* Shell's sort, by the gaps of Knuth: in place, and without a call for each comparison. */
void weft_sharded_sort(weft_sharded_spot *spots, size_t count) {
    WEFT_ASSERT(spots != NULL || count == 0);
    size_t gap = 1;
    while (gap < count / 3) {
        gap = gap * 3 + 1;
    }
    for (; gap > 0; gap /= 3) {
        for (size_t i = gap; i < count; i++) {
            weft_sharded_spot what = spots[i];
            size_t at = i;
            for (; at >= gap && comes_before(&what, &spots[at - gap]); at -= gap) {
                spots[at] = spots[at - gap];
            }
            spots[at] = what;
        }
    }
}

/* Under `growing`: where a hash's shard is, and stays once it is locked. */
static void settle_spot(const directory *all, weft_sharded_spot *into) {
    uint64_t hash = weft_reverse_bits(into->point);
    uint64_t index = hash & (all->count - 1);
    if (index < all->moved) {
        all = all->next;
        index = hash & (all->count - 1);
    }
    into->plain = &shard_at(all, index)->plain;
    into->latch = latch_at(all, index);
    into->bits = (uint32_t)all->bits;
}

void weft_sharded_lock(weft_core *core, weft_sharded_spot *spots, size_t count) {
    WEFT_ASSERT(core->engine == &weft_engine_sharded && weft_epoch_inside());
    sharded_table *table = table_of(core);
    (void)weft_latch_lock(&table->growing);
    const directory *all = weft_load_relaxed(&table->root);
    for (size_t i = 0; i < count; i++) {
        settle_spot(all, &spots[i]);
        spots[i].first = i == 0 || spots[i].latch != spots[i - 1].latch;
        if (spots[i].first) {
            (void)weft_latch_lock(spots[i].latch);
        }
    }
    weft_latch_unlock(&table->growing);
}

void weft_sharded_unlock(weft_core *core, const weft_sharded_spot *spots, size_t count) {
    WEFT_ASSERT(core->engine == &weft_engine_sharded);
    for (size_t i = 0; i < count; i++) {
        if (spots[i].first) {
            weft_latch_unlock(spots[i].latch);
        }
    }
    after_section(core);
}

/* ---- all shards ------------------------------------------------------------------------------ */

/* The next one after a locked shard that holds the keys around `point` of the reversed hash; 0 at
 * the end. */
static uint64_t point_after(uint64_t point, uint64_t bits) {
    return bits == 0 ? 0 : ((point >> (64 - bits)) + 1) << (64 - bits);
}

typedef void (*shard_fn)(weft_core *core, shard *at, void *ctx);

/* Call `fn` under each shard's lock, one after the other. */
static void each_shard(weft_core *core, shard_fn fn, void *ctx) {
    sharded_table *table = table_of(core);
    uint64_t point = 0;
    do {
        spot here = lock_shard(table, weft_reverse_bits(point), false);
        fn(core, here.at, ctx);
        weft_latch_unlock(here.latch);
        if (weft_load_relaxed(&table->outcast) != NULL) {
            weft_plain_retire(core, &table->outcast);
        }
        point = point_after(point, here.bits);
    } while (point != 0);
}

typedef struct walking {
    weft_core *core;
    weft_step *step;
    uint64_t bits;
} walking;

static void emit(void *ctx, uint64_t inner, uint64_t cell) {
    walking *w = ctx;
    bool numbers = w->core->shape == WEFT_SHAPE_U64;
    uint64_t hash = turn_back(inner, w->bits);
    w->step->emit(w->step, numbers ? weft_core_unhash_u64(w->core, hash) : 0, cell);
}

static void sharded_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    spot here = lock_shard(table_of(core), weft_reverse_bits(step->from), false);
    walking w = {core, step, here.bits};
    uint64_t inner = weft_plain_visit(&here.at->plain, turn_back(step->from, here.bits), emit, &w);
    weft_latch_unlock(here.latch);
    uint64_t first = here.bits == 0 ? 0 : step->from & ~(UINT64_MAX >> here.bits);
    step->next = inner == 0 ? point_after(step->from, here.bits) : first | inner >> here.bits;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void set_nodes(sharded_table *table, uint64_t count) {
    uint32_t nodes[WEFT_NODES_MAX];
    uint32_t found = weft_numa_nodes(nodes);
    WEFT_ASSERT(found >= 1 && found <= WEFT_NODES_MAX);
    table->groups = count < GROUPS_MAX ? (uint32_t)count : GROUPS_MAX;
    table->nodes = found > 1 ? found : 0; /* of one there is nothing to choose */
    for (uint32_t i = 0; i < found; i++) {
        table->node_numbers[i] = (uint8_t)nodes[i];
    }
}

static int sharded_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    uint64_t count = core->options->sharded.shards;
    uint64_t most = core->options->sharded.shards_max;
    count = count != 0 ? count : shards_at_first();
    if ((count & (count - 1)) != 0 || count > SHARDS_MAX || most > SHARDS_MAX) {
        return WEFT_E_INVALID;
    }
    sharded_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    *table = (sharded_table){.packed = core->options->sharded.packed};
    table->most = most != 0 ? most : count * MOST_TIMES;
    if (core->options->sharded.numa) {
        set_nodes(table, count);
    }
    table->root = make_directory(core, count, table);
    if (table->root == NULL) {
        weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
        return WEFT_E_NOMEM;
    }
    core->table = table;
    return WEFT_OK;
}

static bool sharded_close(weft_core *core, size_t budget,
                          void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    sharded_table *table = table_of(core);
    WEFT_ASSERT(table->outcast == NULL);
    while (table->root != NULL) {
        directory *all = table->root;
        for (; table->closing < all->count; table->closing++) {
            shard *at = shard_at(all, table->closing);
            at->plain.outcast = NULL; /* nobody looks any more */
            if (!has_moved(at) && !weft_plain_close(core, &at->plain, &budget, drop)) {
                return false;
            }
        }
        table->closing = 0;
        table->root = all->next;
        free_directory(core, &all->block);
    }
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

/* What is asked of all shards, and what they answer. */
typedef struct order {
    uint64_t number;
    int status;
    bool done;
    const char *broken;
    weft_map_stats *stats;
} order;

static void reserve_shard(weft_core *core, shard *at, void *ctx) {
    order *o = ctx;
    if (o->status == WEFT_OK) {
        o->status = weft_plain_reserve(core, &at->plain, o->number);
    }
}

static int sharded_reserve(weft_core *core, uint64_t entries) {
    const directory *all = weft_load_acquire(&table_of(core)->root); /* pairs with end_growth */
    order o = {.number = share_of(entries, all->count), .status = WEFT_OK};
    each_shard(core, reserve_shard, &o);
    return o.status;
}

static void shrink_shard(weft_core *core, shard *at, void *ctx) {
    order *o = ctx;
    int status;
    do {
        status = weft_plain_shrink(core, &at->plain);
        if (status == WEFT_OK && !weft_plain_step(core, &at->plain, UINT64_MAX)) {
            status = WEFT_E_NOMEM;
        }
        if (status != WEFT_UNCHANGED && o->status >= 0) {
            o->status = status;
        }
    } while (status == WEFT_OK);
}

static int sharded_shrink(weft_core *core) {
    order o = {.status = WEFT_UNCHANGED};
    each_shard(core, shrink_shard, &o);
    return o.status;
}

static void maintain_shard(weft_core *core, shard *at, void *ctx) {
    order *o = ctx;
    uint64_t budget = o->number < MOVE_STEP ? o->number : MOVE_STEP;
    o->done = weft_plain_step(core, &at->plain, budget) && o->done;
}

static bool sharded_maintain(weft_core *core, size_t budget) {
    WEFT_ASSERT(core->table != NULL);
    order o = {.number = budget, .done = true};
    each_shard(core, maintain_shard, &o);
    if (weft_load_relaxed(&table_of(core)->growth) != 0) {
        clean_up(core);
        o.done = false;
    }
    return o.done;
}

static void add_stats(weft_core *core, shard *at, void *ctx) {
    order *o = ctx;
    (void)core;
    weft_plain_stats(&at->plain, o->stats);
    o->stats->shards++;
}

static void sharded_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(core->table != NULL);
    sharded_table *table = table_of(core);
    order o = {.stats = stats};
    each_shard(core, add_stats, &o);
    (void)weft_latch_lock(&table->growing);
    const directory *all = table->root;
    stats->table_bytes += all->bytes + (all->next != NULL ? all->next->bytes : 0);
    stats->growth_failures += table->failures;
    stats->shard_nodes = table->nodes;
    weft_latch_unlock(&table->growing);
}

static void check_shard(weft_core *core, shard *at, void *ctx) {
    order *o = ctx;
    const char *broken = weft_plain_check_in(core, &at->plain);
    o->broken = o->broken != NULL ? o->broken : broken;
    o->number += at->plain.entries;
}

static int sharded_check(weft_core *core, char *text, size_t capacity) {
    WEFT_ASSERT(core->table != NULL);
    order o = {.number = 0};
    each_shard(core, check_shard, &o);
    if (o.broken == NULL && o.number != weft_core_entries(core)) {
        o.broken = "S1 the map counts the entries of the shards";
    }
    if (o.broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "sharded: %s", o.broken);
    }
    return o.broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void sharded_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    char line[96];
    weft_map_stats stats = {.entries = 0};
    sharded_stats(core, &stats);
    snprintf(line, sizeof line, "%llu shards, %llu buckets, %llu entries outside",
             (unsigned long long)stats.shards, (unsigned long long)stats.buckets,
             (unsigned long long)stats.overflow_entries);
    print(ctx, line);
}

const weft_engine weft_engine_sharded = {
    .name = "sharded",
    .id = WEFT_ENGINE_SHARDED,
    .caps =
        WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_THREADS | WEFT_CAP_GROW | WEFT_CAP_LOOKS_FIRST,
    .choose = "writes of many keys by as many threads as there are processors, and writes of "
              "several keys that are to be one",
    .do_not_choose = "more threads than processors with latency to keep, one hot key that is "
                     "written, or lookups that must not wait for a writer that is stopped",
    .open = sharded_open,
    .close = sharded_close,
    .find = {find_bytes, find_u64},
    .look = {look_bytes, look_u64},
    .glance = sharded_glance,
    .swing = sharded_swing,
    .let_go = sharded_let_go,
    .write_batch = weft_sharded_write_batch,
    .prefetch = sharded_prefetch,
    .walk = sharded_walk,
    .reserve = sharded_reserve,
    .shrink = sharded_shrink,
    .maintain = sharded_maintain,
    .stats = sharded_stats,
    .check = sharded_check,
    .dump = sharded_dump,
};
