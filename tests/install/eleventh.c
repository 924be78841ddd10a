/* SPDX-License-Identifier: MIT */
/* Engine "eleventh": the plain table under one mutex. Not part of the library: engine_test.py puts
 * this file and one line of engines.def into a copy of the tree.
 *
 * Design
 *   The least that the contract asks for. Each operation has the mutex; swing looks again.
 * Layout
 *   The mutex, and the table of engine/plain.h.
 * Concurrency
 *   The linearization points are in the sections of the mutex.
 * Rejected
 *   Keeping the mutex from find to swing, or one for each part of the keys: other engines do.
 * Credits
 *   Nobody's: the lock around a table is as old as threads.
 */
#include "base/lock.h"
#include "engine/plain.h"
#include <stdio.h>

typedef struct eleventh_table {
    weft_mutex lock;
    weft_plain plain;
} eleventh_table;

extern const weft_engine weft_engine_eleventh;

/* The table, locked. */
static weft_plain *locked(weft_core *core) {
    eleventh_table *table = core->table;
    weft_mutex_lock(&table->lock);
    return &table->plain;
}

static void unlock(weft_core *core) {
    weft_mutex_unlock(&((eleventh_table *)core->table)->lock);
}

static void eleventh_find(weft_core *core, const weft_key *key, weft_position *position) {
    weft_plain_position(core->shape, locked(core), key, position);
    unlock(core);
}

static bool eleventh_look(weft_core *core, const weft_key *key, uint64_t *cell) {
    const weft_plain_slot *slot = weft_plain_find_in(core->shape, locked(core), key);
    if (slot != NULL) {
        *cell = slot->cell;
    }
    unlock(core);
    return slot != NULL;
}

static int eleventh_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                          uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    weft_plain *plain = locked(core);
    int status = WEFT_MISMATCH;
    if (weft_plain_is_as_seen(core, plain, key, position)) {
        status = weft_plain_swing(core, plain, key, position, keep ? &desired : NULL);
    }
    unlock(core);
    return status;
}

static void eleventh_walk(weft_core *core, weft_step *step) {
    weft_plain_walk(core, locked(core), step);
    unlock(core);
}

static int eleventh_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    eleventh_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL || !weft_mutex_init(&table->lock)) {
        weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
        return WEFT_E_NOMEM;
    }
    weft_plain_open(&table->plain, core->expected_entries);
    table->plain.grow_only = core->grow_only;
    core->table = table;
    return WEFT_OK;
}

static bool eleventh_close(weft_core *core, size_t budget,
                           void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    eleventh_table *table = core->table;
    if (!weft_plain_close(core, &table->plain, &budget, drop)) {
        return false;
    }
    weft_mutex_destroy(&table->lock);
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

static int eleventh_reserve(weft_core *core, uint64_t entries) {
    int status = weft_plain_reserve(core, locked(core), entries);
    unlock(core);
    return status;
}

static int eleventh_shrink(weft_core *core) {
    int status = weft_plain_shrink_at_once(core, locked(core));
    unlock(core);
    return status;
}

static bool eleventh_maintain(weft_core *core, size_t budget) {
    bool done = weft_plain_step(core, locked(core), budget);
    unlock(core);
    return done;
}

static void eleventh_stats(weft_core *core, weft_map_stats *stats) {
    weft_plain_stats(locked(core), stats);
    unlock(core);
}

static int eleventh_check(weft_core *core, char *text, size_t capacity) {
    const char *broken = weft_plain_check_in(core, locked(core));
    unlock(core);
    if (broken != NULL && capacity > 0) {
        snprintf(text, capacity, "eleventh: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void eleventh_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    char line[64];
    snprintf(line, sizeof line, "%llu entries", (unsigned long long)locked(core)->entries);
    unlock(core);
    print(ctx, line);
}

const weft_engine weft_engine_eleventh = {
    .name = "eleventh",
    .id = WEFT_ENGINE_ELEVENTH,
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_THREADS | WEFT_CAP_GROW,
    .choose = "showing what an engine is made of",
    .do_not_choose = "anything else: rwlock is the same and faster",
    .open = eleventh_open,
    .close = eleventh_close,
    .find = {eleventh_find, eleventh_find},
    .look = {eleventh_look, eleventh_look},
    .swing = eleventh_swing,
    .walk = eleventh_walk,
    .reserve = eleventh_reserve,
    .shrink = eleventh_shrink,
    .maintain = eleventh_maintain,
    .stats = eleventh_stats,
    .check = eleventh_check,
    .dump = eleventh_dump,
};
