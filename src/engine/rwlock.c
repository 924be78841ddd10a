/* SPDX-License-Identifier: MIT */
/* Engine "rwlock": one table under a reader-writer lock. The reference, and the honest baseline.
 *
 * Design
 *   The plain table (engine/plain.h). A lookup takes the read side; a write whose decision is not
 *   the user's takes the write side from find to swing, any other one looks again in swing, under
 *   the write side, whether the key is what it was. An uncontended lock costs two locked
 *   instructions, and a lookup in cache hardly more: so the lock is biased. By default to one
 *   thread, which goes in and out by plain stores until another thread comes, when the bias goes
 *   over to that one, and after some turns to nobody. Option rwlock.bias: to readers, each with a
 *   line of its own, whom a writer has to wait for one by one; or to none, the lock as the textbook
 *   has it.
 * Layout
 *   One object: the bias and the table's hot words in a line each, then the lock. With a bias to
 *   readers a line for each of the first threads.
 * Concurrency
 *   Everything happens under the lock, or the bias, which excludes all that the lock does; the
 *   linearization points are in the critical sections. No callback of the user ever runs in one:
 *   the user's decisions are made between find and swing with nothing held. Growing goes on in
 *   steps of the writes, also in the owner's. Entries are freed by reclamation. Versions: the table
 *   remembers the greatest version that was removed, and new keys start above it.
 *   docs/design/locks.md.
 * Rejected
 *   A chained table that doubles under the lock in one go, which this was: a stop of all threads of
 *   O(n), and a block of memory for each entry. Locks per part of the table: that is engine
 *   sharded. A bias that comes back whenever one thread is alone again: each turn makes all
 *   processors fence.
 * Credits
 *   POSIX reader-writer locks; biased locking: Kawachiya, Koseki, Onodera (2002); the bias to
 *   readers: Dice, Kogan, "BRAVO" (2019).
 */
#include "base/bias.h"
#include "base/lock.h"
#include "engine/plain.h"
#include <stdio.h>

enum {
    READERS = 64,           /* threads that the bias to readers knows */
    READS_BEFORE = 1024,    /* under the lock, after a writer, until readers have the bias again */
    LONG_ENOUGH = 10000000, /* ns: no store stays unseen for so long (base/bias.c) */
    WALK_STEP = 4096,       /* buckets moved under one hold of the lock by shrink and maintain */
};

/* How a thread has come in: a lock's side, or the address of the word that says it is inside. */
typedef uint64_t way;
enum { WAY_WRITE = 0, WAY_READ = 1, WAY_WORD = 1 /* words of a position: after WEFT_PLAIN_AT */ };

typedef struct reader {
    uint32_t inside;
} WEFT_LINE_ALIGNED reader;

typedef struct rwlock_table {
    weft_plain plain WEFT_LINE_ALIGNED;
    weft_bias bias WEFT_LINE_ALIGNED;
    bool to_one_thread;      /* the bias: who is alone in the process needs not even that */
    uint32_t readers_biased; /* readers need no lock */
    uint32_t reads_left;     /* until they need none */
    reader *readers;         /* NULL: without a bias to readers */
    weft_rwlock lock WEFT_LINE_ALIGNED;
} rwlock_table;

static rwlock_table *table_of(weft_core *core) {
    return core->table;
}

/* ---- the lock -------------------------------------------------------------------------------- */

/* This thread's word, if it is inside by the bias to readers; or NULL. */
static uint32_t *reader_enter(rwlock_table *table) {
    uint32_t number = weft_epoch_thread_number() - 1;
    if (number >= READERS || weft_load_relaxed(&table->readers_biased) == 0) {
        return NULL;
    }
    uint32_t *inside = &table->readers[number].inside;
    WEFT_ASSERT(weft_load_relaxed(inside) == 0);
#if WEFT_BARRIER_ASYMMETRIC
    weft_store_relaxed(inside, 1);
    weft_barrier_light(); /* pairs with weft_barrier_heavy in stop_readers */
    /* Acquire: what the last writer did. Pairs with the release in let_readers. */
    bool stays = weft_load_acquire(&table->readers_biased) != 0;
#else
    weft_store_seq_cst(inside, 1);
    bool stays = weft_load_seq_cst(&table->readers_biased) != 0;
#endif
    if (!stays) {
        weft_store_release(inside, 0); /* pairs with the load in stop_readers */
    }
    return stays ? inside : NULL;
}

/* Under the write lock: wait until all readers are out that came in by the bias. */
static void stop_readers(rwlock_table *table) {
    WEFT_ASSERT(table->readers != NULL || weft_load_relaxed(&table->readers_biased) == 0);
    if (weft_load_relaxed(&table->readers_biased) == 0) {
        return;
    }
    weft_store_seq_cst(&table->readers_biased, 0);
    weft_store_relaxed(&table->reads_left, READS_BEFORE);
    if (!weft_barrier_heavy()) {
        weft_sleep_ns(LONG_ENOUGH);
    }
    for (int i = 0; i < READERS; i++) {
        /* Also an acquire: its reads are done. Pairs with the release in leave. */
        while (weft_load_seq_cst(&table->readers[i].inside) != 0) {
            weft_yield();
        }
    }
}

/* Under the read lock: after some reads without a writer the others need no lock. Two readers that
 * count at a time count once. */
static void let_readers(rwlock_table *table) {
    uint32_t left = weft_load_relaxed(&table->reads_left);
    if (left != 0) {
        weft_store_relaxed(&table->reads_left, left - 1);
    } else {
        /* Release: what writers did, as seen by this reader. Pairs with reader_enter. */
        weft_store_release(&table->readers_biased, 1);
    }
}

static WEFT_NOINLINE way enter_locked(rwlock_table *table, bool write) {
    while (!weft_bias_is_over(&table->bias)) {
        weft_rwlock_write_lock(&table->lock);
        weft_bias_take(&table->bias);
        weft_bias_give(&table->bias);
        weft_rwlock_write_unlock(&table->lock);
        uint32_t *inside = weft_bias_enter(&table->bias);
        if (inside != NULL) {
            return (uintptr_t)inside;
        }
    }
    if (write) {
        weft_rwlock_write_lock(&table->lock);
        stop_readers(table);
        return WAY_WRITE;
    }
    weft_rwlock_read_lock(&table->lock);
    if (table->readers != NULL) {
        let_readers(table);
    }
    return WAY_READ;
}

static WEFT_ALWAYS_INLINE way enter(rwlock_table *table, bool write) {
    WEFT_ASSERT(table != NULL);
    uint32_t *inside = weft_bias_enter(&table->bias);
    if (WEFT_UNLIKELY(inside == NULL) && !write && table->readers != NULL) {
        inside = reader_enter(table);
    }
    return WEFT_LIKELY(inside != NULL) ? (uintptr_t)inside : enter_locked(table, write);
}

static WEFT_ALWAYS_INLINE void leave(rwlock_table *table, way in) {
    if (WEFT_LIKELY(in > WAY_READ)) {
        weft_store_release((uint32_t *)(uintptr_t)in, 0); /* pairs with who waits for it */
    } else if (in == WAY_READ) {
        weft_rwlock_read_unlock(&table->lock);
    } else {
        weft_rwlock_write_unlock(&table->lock);
    }
}

/* ---- find and swing -------------------------------------------------------------------------- */

/* The owner's way has a function of its own, which saves no registers. */
static WEFT_NOINLINE void find_anyhow(weft_core *core, const weft_key *key,
                                      weft_position *position) {
    rwlock_table *table = table_of(core);
    way in = enter(table, position->hold);
    weft_plain_position(core->shape, &table->plain, key, position);
    position->words[WAY_WORD] = in;
    if (!position->hold) {
        leave(table, in);
    }
}

static WEFT_ALWAYS_INLINE void find(weft_shape shape, weft_core *core, const weft_key *key,
                                    weft_position *position) {
    rwlock_table *table = table_of(core);
    uint32_t *inside = weft_bias_enter(&table->bias);
    if (WEFT_UNLIKELY(inside == NULL)) {
        find_anyhow(core, key, position);
        return;
    }
    weft_plain_position(shape, &table->plain, key, position);
    position->words[WAY_WORD] = (uintptr_t)inside;
    if (!position->hold) {
        weft_bias_leave(inside);
    }
}

static void find_bytes(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_BYTES, core, key, position);
}

static void find_u64(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_U64, core, key, position);
}

static WEFT_NOINLINE bool look_anyhow(weft_core *core, const weft_key *key, uint64_t *cell) {
    rwlock_table *table = table_of(core);
    way in = enter(table, false);
    bool found = weft_plain_look(core->shape, &table->plain, key, cell);
    leave(table, in);
    return found;
}

static WEFT_ALWAYS_INLINE bool look(weft_shape shape, weft_core *core, const weft_key *key,
                                    uint64_t *cell) {
    rwlock_table *table = table_of(core);
    uint32_t *inside = weft_bias_enter(&table->bias);
    if (WEFT_UNLIKELY(inside == NULL)) {
        return look_anyhow(core, key, cell);
    }
    bool found = weft_plain_look(shape, &table->plain, key, cell);
    weft_bias_leave(inside);
    return found;
}

static bool look_bytes(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_BYTES, core, key, cell);
}

static bool look_u64(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_U64, core, key, cell);
}

/* By the bias, or alone: as nothing is called in here that could make a thread, who is alone stays
 * alone. docs/design/locks.md. */
static int rwlock_glance(weft_core *core, uint64_t hash, uint64_t *cell, weft_record *record) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 && table_of(core) != NULL);
    rwlock_table *table = table_of(core);
    bool alone = weft_thread_is_single() && WEFT_LIKELY(table->to_one_thread);
    uint32_t *inside = alone ? NULL : weft_bias_enter(&table->bias);
    int status;
    bool sure = false;
    if (WEFT_LIKELY(alone)) {
        sure = weft_plain_glance(&table->plain, hash, cell, &status);
    } else if (WEFT_LIKELY(inside != NULL)) {
        sure = weft_plain_glance(&table->plain, hash, cell, &status);
        weft_bias_leave(inside);
    }
    if (WEFT_UNLIKELY(!sure)) {
        return weft_plain_glance_anyhow(core, hash, cell, record);
    }
    weft_epoch_end_show(record);
    return status;
}

static int rwlock_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                        uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    rwlock_table *table = table_of(core);
    int status = WEFT_OK;
#if WEFT_MUTANT == 1 /* loses updates: others come in between find and swing */
    if (position->hold) {
        leave(table, position->words[WAY_WORD]);
        position->words[WAY_WORD] = enter(table, true);
        (void)weft_plain_is_as_seen(core, &table->plain, key, position);
    }
#endif
    way in = position->hold ? position->words[WAY_WORD] : enter(table, true);
    if (!position->hold && !weft_plain_is_as_seen(core, &table->plain, key, position)) {
        status = WEFT_MISMATCH;
    } else {
        status = weft_plain_swing(core, &table->plain, key, position, keep ? &desired : NULL);
    }
    leave(table, in);
    return status;
}

static void rwlock_let_go(weft_core *core, weft_position *position) {
    leave(table_of(core), position->words[WAY_WORD]);
}

/* ---- walk ------------------------------------------------------------------------------------ */

/* Emitting is the map's own collecting, not the user's code, so it may happen under the lock. */
static void rwlock_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    rwlock_table *table = table_of(core);
    way in = enter(table, false);
    weft_plain_walk(core, &table->plain, step);
    leave(table, in);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void free_table(weft_core *core, rwlock_table *table) {
    weft_core_free(core, table->readers, READERS * sizeof(reader), WEFT_CACHE_LINE);
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
}

static int rwlock_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    weft_rwlock_bias bias = core->options->rwlock.bias;
    rwlock_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    *table =
        (rwlock_table){.to_one_thread = bias == WEFT_RWLOCK_ONE_THREAD,
                       .bias = {.given = bias == WEFT_RWLOCK_ONE_THREAD ? 0 : WEFT_BIAS_TURNS}};
    weft_plain_open(&table->plain, core->expected_entries);
    table->plain.grow_only = core->grow_only;
    if (bias == WEFT_RWLOCK_READERS) {
        table->readers = weft_core_alloc(core, READERS * sizeof(reader), WEFT_CACHE_LINE);
        if (table->readers == NULL) {
            free_table(core, table);
            return WEFT_E_NOMEM;
        }
        memset(table->readers, 0, READERS * sizeof(reader));
    }
    if (!weft_rwlock_init(&table->lock)) {
        free_table(core, table);
        return WEFT_E_NOMEM;
    }
    core->table = table;
    if (table->to_one_thread && weft_thread_single_flag() != NULL) {
        weft_plain_show(&table->plain, &core->plain);
        core->open = weft_thread_single_flag();
    }
    return WEFT_OK;
}

static bool rwlock_close(weft_core *core, size_t budget,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    rwlock_table *table = table_of(core);
    if (!weft_plain_close(core, &table->plain, &budget, drop)) {
        return false;
    }
    weft_rwlock_destroy(&table->lock);
    free_table(core, table);
    core->table = NULL;
    return true;
}

static int rwlock_reserve(weft_core *core, uint64_t entries) {
    WEFT_ASSERT(core->table != NULL);
    rwlock_table *table = table_of(core);
    way in = enter(table, true);
    int status = weft_plain_reserve(core, &table->plain, entries);
    leave(table, in);
    return status;
}

/* Moves until nothing is left to move, or memory fails; others come in between. */
static bool move_all(weft_core *core) {
    WEFT_ASSERT(core->table != NULL);
    rwlock_table *table = table_of(core);
    bool done = false;
    for (uint64_t before = 1, left = 0; !done && left != before;) {
        before = left;
        way in = enter(table, true);
        done = weft_plain_step(core, &table->plain, WALK_STEP);
        left = table->plain.moved + 1;
        leave(table, in);
    }
    return done;
}

static int rwlock_shrink(weft_core *core) {
    WEFT_ASSERT(core->table != NULL);
    rwlock_table *table = table_of(core);
    int answer = WEFT_UNCHANGED;
    for (;;) {
        way in = enter(table, true);
        int status = weft_plain_shrink(core, &table->plain);
        leave(table, in);
        if (status != WEFT_OK) {
            return status == WEFT_UNCHANGED ? answer : status;
        }
        if (!move_all(core)) {
            return WEFT_E_NOMEM;
        }
        answer = WEFT_OK;
    }
}

static bool rwlock_maintain(weft_core *core, size_t budget) {
    rwlock_table *table = table_of(core);
    way in = enter(table, true);
    bool done = weft_plain_step(core, &table->plain, budget);
    leave(table, in);
    return done;
}

static void rwlock_stats(weft_core *core, weft_map_stats *stats) {
    rwlock_table *table = table_of(core);
    way in = enter(table, false);
    weft_plain_stats(&table->plain, stats);
    leave(table, in);
}

static int rwlock_check(weft_core *core, char *text, size_t capacity) {
    WEFT_ASSERT(core->table != NULL);
    rwlock_table *table = table_of(core);
    way in = enter(table, false);
    const char *broken = weft_plain_check_in(core, &table->plain);
    if (broken == NULL && table->plain.entries != weft_core_entries(core)) {
        broken = "R1 the map counts the entries of the table";
    }
    leave(table, in);
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "rwlock: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void rwlock_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    rwlock_table *table = table_of(core);
    char line[96];
    weft_map_stats stats = {.entries = 0};
    rwlock_stats(core, &stats);
    snprintf(line, sizeof line, "%llu buckets, %llu entries outside, bias %s",
             (unsigned long long)stats.buckets, (unsigned long long)stats.overflow_entries,
             !weft_bias_is_over(&table->bias)                 ? "to one thread"
             : weft_load_relaxed(&table->readers_biased) != 0 ? "to readers"
                                                              : "over");
    print(ctx, line);
}

const weft_engine weft_engine_rwlock = {
    .name = "rwlock",
    .id = WEFT_ENGINE_RWLOCK,
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_THREADS | WEFT_CAP_GROW,
    .choose = "one thread at a time, tiny maps, or as the reference in tests",
    .do_not_choose = "several writers, many cores, or latency: one lock is for all keys, and a "
                     "thread that is stopped inside stops the others",
    .open = rwlock_open,
    .close = rwlock_close,
    .find = {find_bytes, find_u64},
    .look = {look_bytes, look_u64},
    .glance = rwlock_glance,
    .swing = rwlock_swing,
    .let_go = rwlock_let_go,
    .walk = rwlock_walk,
    .reserve = rwlock_reserve,
    .shrink = rwlock_shrink,
    .maintain = rwlock_maintain,
    .stats = rwlock_stats,
    .check = rwlock_check,
    .dump = rwlock_dump,
};
