/* SPDX-License-Identifier: MIT */
/* Engine "owner": a hash table for one thread at a time, which notices when it is used by two.
 *
 * Design
 *   The plain table (plain.h): lines of four slots, growth and shrinking in steps. Nothing is
 *   locked and nothing is atomic beyond what the layers above do. Where the decision is not the
 *   user's, a find leaves the slot in the position and the swing takes it; else, as that may have
 *   written to the same map, the swing looks again.
 * Layout
 *   plain.h; and beside it who wrote last, and what a writer is at (owner_check.h). Lookups of
 *   numbers are compiled into the caller (docs/design/inline.md).
 * Concurrency
 *   None: operations must not overlap, whichever threads make them. Handing a map over needs no
 *   call: that the last operation of one thread happens before the first one of the next is
 *   enough, by a lock, a join, or a queue. Lookups and walks of several threads may overlap, as
 *   long as nobody writes.
 *   Overlap is noticed: by a word that each write sets and clears. It is misuse for certain, so the
 *   process is aborted at once, with a report on stderr that names both threads, what each was at,
 *   and where: going on would damage the table. Not noticed: a lookup that was there before the
 *   write that it meets, unless in the debug build, and which may crash with an entry of bytes that
 *   the write has freed; what happens to a map beside its clear or close.
 * Rejected
 *   A check who the owner is, with a call to hand it over: a map that a lock guards, and one that
 *   is filled in one thread and used in another, are right programs, and would abort; and a
 *   program that forgets the call would fail in production first. A status in place of the abort:
 *   the table may be damaged by then, and nobody looks at the status of a lookup for that. Locked
 *   instructions for the word: they cost as much as the whole lookup, and what they would notice
 *   earlier goes on, and is noticed.
 * Credits
 *   The check is that of Go's maps (fatal error: concurrent map writes), K. Randall and others. The
 *   moment that a change of hands waits is from TSVD (G. Li and others, SOSP 2019), which finds
 *   such faults by delays at the right places.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "engine/owner_check.h"
#include "engine/plain.h"
#include <stdio.h>

typedef struct owner_table {
    weft_owner_use use;
    weft_plain plain;
} owner_table;

static owner_table *table_of(weft_core *core) {
    return core->table;
}

/* ---- find and swing -------------------------------------------------------------------------- */

static WEFT_COLD void find_in_new_hands(weft_core *core, const weft_key *key,
                                        weft_position *position) {
    owner_table *table = table_of(core);
    if (position->hold) {
        weft_owner_change_hands(core, &table->use, WEFT_OWNER_WRITE);
        core->engine->find[core->shape](core, key, position);
    } else {
        weft_owner_look(core, &table->use, WEFT_OWNER_LOOK);
        weft_plain_position(core->shape, &table->plain, key, position);
    }
}

static WEFT_ALWAYS_INLINE void find(weft_shape shape, weft_core *core, const weft_key *key,
                                    weft_position *position) {
    WEFT_ASSERT(core->engine->id == WEFT_ENGINE_OWNER);
    owner_table *table = table_of(core);
    if (WEFT_OWNER_CHECK) {
        if (!weft_owner_is_mine(&table->use)) {
            find_in_new_hands(core, key, position);
            return;
        }
        weft_owner_turn(&table->use, position->hold); /* to WRITE, or to nothing else */
    }
    weft_plain_position(shape, &table->plain, key, position);
}

_Static_assert((WEFT_OWNER_WRITE ^ true) == WEFT_OWNER_NOTHING, "a find turns it by a bool");

static void find_bytes(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_BYTES, core, key, position);
}

static void find_u64(weft_core *core, const weft_key *key, weft_position *position) {
    find(WEFT_SHAPE_U64, core, key, position);
}

static WEFT_ALWAYS_INLINE bool look(weft_shape shape, weft_core *core, const weft_key *key,
                                    uint64_t *cell) {
    owner_table *table = table_of(core);
    weft_owner_look(core, &table->use, WEFT_OWNER_LOOK);
    bool found = weft_plain_look(shape, &table->plain, key, cell);
    weft_owner_looked(core, &table->use, WEFT_OWNER_LOOK);
    return found;
}

static bool look_bytes(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_BYTES, core, key, cell);
}

static bool look_u64(weft_core *core, const weft_key *key, uint64_t *cell) {
    return look(WEFT_SHAPE_U64, core, key, cell);
}

static int owner_glance(weft_core *core, uint64_t hash, uint64_t *cell, weft_record *record) {
    owner_table *table = table_of(core);
    weft_owner_look(core, &table->use, WEFT_OWNER_LOOK);
    int status;
    bool sure = weft_plain_glance(&table->plain, hash, cell, &status);
    weft_owner_looked(core, &table->use, WEFT_OWNER_LOOK);
    if (WEFT_UNLIKELY(!sure)) {
        return weft_plain_glance_anyhow(core, hash, cell, record);
    }
    weft_epoch_end_show(record);
    return status;
}

static void begin_anyhow(weft_core *core, weft_owner_op op) {
    owner_table *table = table_of(core);
    if (!weft_owner_begin(&table->use, op)) {
        weft_owner_change_hands(core, &table->use, op);
        weft_owner_begin(&table->use, op);
    }
}

static int owner_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                       uint64_t desired);

/* After a decision of the user's: the key may not be as it was seen. `desired` NULL: a removal. */
static WEFT_NOINLINE int swing_later(weft_core *core, const weft_key *key, weft_position *position,
                                     const uint64_t *desired) {
    WEFT_ASSERT(!position->hold);
    owner_table *table = table_of(core);
    begin_anyhow(core, WEFT_OWNER_WRITE);
    if (!weft_plain_is_as_seen(core, &table->plain, key, position)) {
        weft_owner_end(core, &table->use, WEFT_OWNER_WRITE);
        return WEFT_MISMATCH;
    }
    position->hold = true;
    return owner_swing(core, key, position, desired != NULL, desired != NULL ? *desired : 0);
}

static int owner_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                       uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    if (WEFT_UNLIKELY(!position->hold)) {
        return swing_later(core, key, position, keep ? &desired : NULL);
    }
    owner_table *table = table_of(core);
    int status = weft_plain_swing(core, &table->plain, key, position, keep ? &desired : NULL);
    weft_owner_end(core, &table->use, WEFT_OWNER_WRITE);
    return status;
}

static void owner_let_go(weft_core *core, weft_position *position) {
    (void)position;
    weft_owner_end(core, &table_of(core)->use, WEFT_OWNER_WRITE);
}

static void owner_prefetch(weft_core *core, const weft_key *key, bool entry) {
    if (!entry) {
        weft_plain_prefetch(&table_of(core)->plain, key->hash);
    }
}

/* ---- walk ------------------------------------------------------------------------------------ */

static void owner_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    owner_table *table = table_of(core);
    weft_owner_look(core, &table->use, WEFT_OWNER_WALK);
    weft_plain_walk(core, &table->plain, step);
    weft_owner_looked(core, &table->use, WEFT_OWNER_WALK);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int owner_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    owner_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    memset(table, 0, sizeof *table);
    weft_plain_open(&table->plain, core->expected_entries);
    table->plain.grow_only = core->grow_only;
    table->use.state = weft_owner_state(0, WEFT_OWNER_NOTHING);
    core->table = table;
    if (WEFT_DEBUG == 0) { /* else a lookup looks once more at its end */
        weft_plain_show(&table->plain, &core->plain);
        core->open = &table->use.op;
    }
    return WEFT_OK;
}

/* Nobody uses it any more: there is nothing to check. */
static bool owner_close(weft_core *core, size_t budget,
                        void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    owner_table *table = table_of(core);
    if (!weft_plain_close(core, &table->plain, &budget, drop)) {
        return false;
    }
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

/* The three operations on the table as a whole. */
static int as_a_write(weft_core *core, weft_owner_op op, uint64_t amount) {
    WEFT_ASSERT(op >= WEFT_OWNER_RESERVE && op < WEFT_OWNER_OPS);
    owner_table *table = table_of(core);
    int status = WEFT_OK;
    begin_anyhow(core, op);
    if (op == WEFT_OWNER_RESERVE) {
        status = weft_plain_reserve(core, &table->plain, amount);
    } else if (op == WEFT_OWNER_SHRINK) {
        status = weft_plain_shrink_at_once(core, &table->plain);
    } else if (!weft_plain_step(core, &table->plain, amount)) {
        status = WEFT_UNCHANGED;
    }
    weft_owner_end(core, &table->use, op);
    return status;
}

static int owner_reserve(weft_core *core, uint64_t entries) {
    return as_a_write(core, WEFT_OWNER_RESERVE, entries);
}

static int owner_shrink(weft_core *core) {
    return as_a_write(core, WEFT_OWNER_SHRINK, 0);
}

static bool owner_maintain(weft_core *core, size_t budget) {
    return as_a_write(core, WEFT_OWNER_MAINTAIN, budget) == WEFT_OK;
}

static void owner_stats(weft_core *core, weft_map_stats *stats) {
    weft_plain_stats(&table_of(core)->plain, stats);
}

static int owner_check(weft_core *core, char *text, size_t capacity) {
    WEFT_ASSERT(core->table != NULL);
    const weft_plain *plain = &table_of(core)->plain;
    const char *broken = weft_plain_check_in(core, plain);
    if (broken == NULL && plain->entries != weft_core_entries(core)) {
        broken = "O1 the counters count the entries";
    }
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "owner: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void owner_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL && core->table != NULL);
    const owner_table *table = table_of(core);
    char line[160];
    snprintf(line, sizeof line, "%llu buckets, %llu entries; %llu changes of hands",
             (unsigned long long)weft_plain_now(&table->plain).mask + 1,
             (unsigned long long)table->plain.entries,
             (unsigned long long)table->use.changes_of_hands);
    print(ctx, line);
}

const weft_engine weft_engine_owner = {
    .name = "owner",
    .id = WEFT_ENGINE_OWNER,
    .caps = WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_GROW,
    .choose = "one thread at a time: a map that a thread owns, hands over, or guards by a lock of "
              "its own",
    .do_not_choose = "two threads that may use it at the same time: it aborts the process",
    .open = owner_open,
    .close = owner_close,
    .find = {find_bytes, find_u64},
    .look = {look_bytes, look_u64},
    .glance = owner_glance,
    .swing = owner_swing,
    .let_go = owner_let_go,
    .prefetch = owner_prefetch,
    .walk = owner_walk,
    .reserve = owner_reserve,
    .shrink = owner_shrink,
    .maintain = owner_maintain,
    .stats = owner_stats,
    .check = owner_check,
    .dump = owner_dump,
};
