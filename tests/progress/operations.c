/* SPDX-License-Identifier: MIT */
#include "progress/operations.h"

#include "engine/engine.h"
#include "progress/memory.h"
#include <string.h>

enum {
    START_VALUE = 1, /* of the key */
    FILLED = 90,
    FEW = 3,
    CROWD = 10,
    MORE = 150,      /* keys that the others insert: enough for a growth */
    MORE_CROWD = 24, /* some of them replace the bucket's overflow block */
    SPARSE = 31,     /* keys left, next to the one: below, the table is too large */
    SPARSE_LOCKFREE_BYTES = 131,
    RETIRED_BEFORE = 511,
    SEEDS = 8,
    FILLED_MAX = 350,
    LINE = 64,
    PIECE_EVERY = 64,   /* a thread's writes between two pieces of an old table */
    LEFT_WRITES = 8192, /* until the grace period is over, at most */
};

/* ---- what the stopped thread runs ---- */

static void run_event(progress_fixture *f) {
    f->status = weft_subject_do(&f->subject, f->event, &f->result);
}

static bool count_entry(void *ctx, const weft_view *entry) {
    *(uint64_t *)ctx += entry->key.size != 0;
    return true;
}

static bool count_pair(void *ctx, weft_u64pair pair) {
    *(uint64_t *)ctx += pair.value != 0;
    return true;
}

static void run_iterate(progress_fixture *f) {
    if (f->subject.options.shape == WEFT_SUBJECT_U64) {
        weft_u64pair pair;
        weft_u64map_iter_start(&f->subject.numbers, &f->numbers_iter);
        f->status = weft_u64map_iter_next(&f->numbers_iter, &pair);
        return;
    }
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    weft_map_iter_start(&f->subject.bytes, &f->iter);
    f->status = weft_map_iter_next(&f->iter, &guard, &view);
    weft_guard_leave(&guard);
}

static void run_scan(progress_fixture *f) {
    uint64_t cursor = UINT64_C(1) << 63;
    f->status = f->subject.options.shape == WEFT_SUBJECT_U64
                    ? weft_u64map_scan(&f->subject.numbers, &cursor, count_pair, &f->result)
                    : weft_map_scan(&f->subject.bytes, &cursor, count_entry, &f->result);
}

static void run_part(progress_fixture *f) {
    weft_part part = {5, 32, count_entry, &f->result};
    weft_u64part numbers_part = {5, 32, count_pair, &f->result};
    f->status = f->subject.options.shape == WEFT_SUBJECT_U64
                    ? weft_u64map_foreach_part(&f->subject.numbers, &numbers_part)
                    : weft_map_foreach_part(&f->subject.bytes, &part);
}

/* Busy while the others make the table grow. */
static void run_snapshot(progress_fixture *f) {
    weft_subject_snapshot snapshot;
    int status = weft_subject_snapshot_take(&f->subject, &snapshot);
    if (status == WEFT_OK) {
        status = weft_subject_snapshot_get(&snapshot, PROGRESS_KEY, &f->result);
        weft_subject_snapshot_release(&snapshot);
    }
    f->status = status == WEFT_E_BUSY ? WEFT_OK : status;
}

static void run_look_back(progress_fixture *f) {
    f->status = weft_subject_snapshot_get(&f->snapshot, PROGRESS_KEY, &f->result);
}

static void run_release(progress_fixture *f) {
    weft_subject_snapshot_release(&f->snapshot);
    f->snapshot.subject = NULL;
}

static void run_maintain(progress_fixture *f) {
    int status = weft_subject_maintain(&f->subject, 4);
    f->status = status == WEFT_E_BUSY ? WEFT_OK : status;
}

#define EVENT(name_, state_, op_, present_)                                                        \
    { .name = (name_), .state = (state_), .op = (op_), .key_present = (present_), .run = run_event }
#define OTHER(name_, state_, run_)                                                                 \
    {                                                                                              \
        .name = (name_), .state = (state_), .op = WEFT_HISTORY_OPS, .key_present = true,           \
        .run = (run_)                                                                              \
    }

const progress_operation progress_operations[] = {
    EVENT("get", PROGRESS_FILLED, WEFT_HISTORY_GET, true),
    EVENT("get-absent", PROGRESS_FILLED, WEFT_HISTORY_GET, false),
    EVENT("insert", PROGRESS_FILLED, WEFT_HISTORY_INSERT, false),
    EVENT("put", PROGRESS_FILLED, WEFT_HISTORY_PUT, true),
    EVENT("cas", PROGRESS_FILLED, WEFT_HISTORY_CAS, true),
    EVENT("fetch-add", PROGRESS_FILLED, WEFT_HISTORY_FETCH_ADD, true),
    EVENT("remove", PROGRESS_FILLED, WEFT_HISTORY_REMOVE, true),
    EVENT("get-narrow", PROGRESS_NARROW, WEFT_HISTORY_GET, true),
    EVENT("get-crowded", PROGRESS_CROWDED, WEFT_HISTORY_GET, true),
    EVENT("insert-crowded", PROGRESS_CROWDED, WEFT_HISTORY_INSERT, false),
    EVENT("put-crowded", PROGRESS_CROWDED, WEFT_HISTORY_PUT, true),
    EVENT("remove-crowded", PROGRESS_CROWDED, WEFT_HISTORY_REMOVE, true),
    {.name = "begin-growth",
     .state = PROGRESS_BRIM,
     .op = WEFT_HISTORY_INSERT,
     .does = PROGRESS_GROWS,
     .run = run_event},
    EVENT("put-growing", PROGRESS_GROWING, WEFT_HISTORY_PUT, true),
    EVENT("get-growing", PROGRESS_GROWING, WEFT_HISTORY_GET, true),
    EVENT("remove-growing", PROGRESS_GROWING, WEFT_HISTORY_REMOVE, true),
    {.name = "begin-shrink",
     .state = PROGRESS_SPARSE,
     .op = WEFT_HISTORY_REMOVE,
     .key_present = true,
     .does = PROGRESS_SHRINKS,
     .run = run_event},
    EVENT("put-shrinking", PROGRESS_SHRINKING, WEFT_HISTORY_PUT, true),
    EVENT("get-shrinking", PROGRESS_SHRINKING, WEFT_HISTORY_GET, true),
    EVENT("first-put", PROGRESS_EMPTY, WEFT_HISTORY_PUT, false),
    EVENT("first-use", PROGRESS_UNUSED, WEFT_HISTORY_PUT, false),
    {.name = "first-call",
     .state = PROGRESS_FILLED,
     .op = WEFT_HISTORY_PUT,
     .key_present = true,
     .of_new_thread = true,
     .run = run_event},
    OTHER("iterate", PROGRESS_FILLED, run_iterate),
    OTHER("iterate-growing", PROGRESS_GROWING, run_iterate),
    OTHER("scan", PROGRESS_FILLED, run_scan),
    OTHER("foreach-part", PROGRESS_GROWING, run_part),
    EVENT("clear", PROGRESS_FILLED, WEFT_HISTORY_CLEAR, true),
    EVENT("put-cleared", PROGRESS_CLEARED, WEFT_HISTORY_PUT, true),
    OTHER("snapshot", PROGRESS_FILLED, run_snapshot),
    EVENT("get-pictured", PROGRESS_PICTURED, WEFT_HISTORY_GET, true),
    EVENT("put-pictured", PROGRESS_PICTURED, WEFT_HISTORY_PUT, true),
    EVENT("remove-pictured", PROGRESS_PICTURED, WEFT_HISTORY_REMOVE, true),
    OTHER("look-back", PROGRESS_PICTURED, run_look_back),
    OTHER("release", PROGRESS_PICTURED, run_release),
    {.name = "put-frees",
     .state = PROGRESS_WORN,
     .op = WEFT_HISTORY_PUT,
     .key_present = true,
     .bytes_only = true, /* a put of the other shape retires nothing */
     .run = run_event},
    {.name = "put-frees-table",
     .state = PROGRESS_LEFT,
     .op = WEFT_HISTORY_PUT,
     .key_present = true,
     .does = PROGRESS_GIVES_BACK,
     .run = run_event},
    OTHER("maintain", PROGRESS_GROWING, run_maintain),
};

const size_t progress_operation_count = sizeof progress_operations / sizeof *progress_operations;

bool progress_operation_fits(const progress_operation *operation, weft_engine_id engine,
                             weft_subject_shape shape) {
    /* What is opened by its first use is of the default engine; the other one frees its tables
     * under a lock. */
    bool default_only = (operation->state == PROGRESS_UNUSED || operation->state == PROGRESS_LEFT ||
                         operation->state == PROGRESS_PICTURED || operation->run == run_snapshot) &&
                        engine != WEFT_ENGINE_LOCKFREE;
    bool resizes = operation->state == PROGRESS_BRIM || operation->state == PROGRESS_GROWING ||
                   operation->state == PROGRESS_SPARSE || operation->state == PROGRESS_SHRINKING;
    bool can = !resizes || (weft_engine_of(engine)->caps & WEFT_CAP_RESIZE) != 0;
    if (engine == WEFT_ENGINE_SHARDED && operation->state == PROGRESS_SPARSE) {
        return false; /* which shard is the first to shrink is the hash's */
    }
    return can && !default_only && (!operation->bytes_only || shape == WEFT_SUBJECT_BYTES);
}

/* ---- preparing ---- */

void progress_end(progress_fixture *f) {
    if (f->snapshot.subject != NULL) {
        weft_subject_snapshot_release(&f->snapshot);
    }
}

void progress_stats(progress_fixture *f, weft_map_stats *stats) {
    if (f->subject.options.shape == WEFT_SUBJECT_U64) {
        weft_u64map_stats_get(&f->subject.numbers, stats);
    } else {
        weft_map_stats_get(&f->subject.bytes, stats);
    }
}

static bool put_first(progress_fixture *f, unsigned count) {
    bool fine = true;
    for (unsigned i = 0; i < count; i++) {
        unsigned key = PROGRESS_FIRST + i;
        fine = fine && weft_subject_put(&f->subject, key, progress_first_value(key)) == WEFT_OK;
    }
    return fine;
}

static int put_key(progress_fixture *f) {
    return weft_subject_put(&f->subject, PROGRESS_KEY, START_VALUE);
}

static int do_op(progress_fixture *f, weft_history_op op, unsigned key) {
    weft_history_event event = {.op = op, .key = key};
    uint64_t ignored;
    return weft_subject_do(&f->subject, &event, &ignored);
}

static const weft_allocator *allocator_for(progress_state state) {
    switch (state) {
    case PROGRESS_UNUSED:
        return NULL;
    case PROGRESS_LEFT:
        return progress_allocator_without_tables();
    default:
        return progress_allocator();
    }
}

static bool open_with(progress_fixture *f, weft_subject_shape shape, uint64_t seed) {
    progress_state state = f->operation->state;
    progress_memory_reset();
    weft_subject_options options = {.engine = f->engine,
                                    .shape = shape,
                                    .allocator = allocator_for(state),
                                    .hash_seed = seed,
                                    .collide =
                                        state == PROGRESS_CROWDED || state == PROGRESS_NARROW};
    progress_memory_divert(state == PROGRESS_UNUSED);
    return weft_subject_open(&f->subject, &options) == WEFT_OK;
}

/* ---- seeds under which the key falls where it has to ---- */

/* So many entries under this seed, and the next insert, of the key, does what is wanted. */
typedef struct start {
    unsigned entries;
    uint64_t seed;
} start;

enum { ENGINE_NUMBERS = 32 };

static start starts[ENGINE_NUMBERS][2][2];

/* With `grows`, the insert begins a growth; else the key finds a slot in its bucket, which shows in
 * that it needs memory for an entry or a node only, and for none in lockfree's u64 shape. */
static bool is_start(progress_fixture *f, weft_subject_shape shape, start at, bool grows) {
    weft_map_stats before;
    weft_map_stats after;
    if (!open_with(f, shape, at.seed) || !put_first(f, at.entries)) {
        return false;
    }
    progress_stats(f, &before);
    uint64_t taken = progress_memory_taken();
    (void)put_key(f);
    taken = progress_memory_taken() - taken;
    progress_stats(f, &after);
    (void)weft_subject_close(&f->subject);
    return grows ? after.growths > before.growths
                 : taken <= (shape == WEFT_SUBJECT_U64 ? LINE : 2 * LINE);
}

static bool find_start(progress_fixture *f, weft_subject_shape shape, bool grows) {
    start *found = &starts[f->engine][shape][grows];
    unsigned end = grows ? FILLED_MAX : FILLED + 1;
    for (unsigned entries = FILLED; found->entries == 0 && entries < end; entries++) {
        for (uint64_t seed = 1; found->entries == 0 && seed <= SEEDS; seed++) {
            if (is_start(f, shape, (start){entries, seed}, grows)) {
                *found = (start){entries, seed};
            }
        }
    }
    return found->entries != 0;
}

static bool fill_to_start(progress_fixture *f, weft_subject_shape shape, bool grows) {
    if (!find_start(f, shape, grows)) {
        return false;
    }
    start at = starts[f->engine][shape][grows];
    f->present = at.entries;
    return open_with(f, shape, at.seed) && put_first(f, at.entries);
}

/* ---- the other states ---- */

/* So many that the map's own removals have not found the table too large, and the next one does. */
static unsigned sparse(const progress_fixture *f) {
    bool bytes = f->subject.options.shape == WEFT_SUBJECT_BYTES;
    return bytes && f->engine == WEFT_ENGINE_LOCKFREE ? SPARSE_LOCKFREE_BYTES : SPARSE;
}

/* The removals are this thread's, which has counted its own entries: so it is another thread's
 * first removal that looks whether the table has become too large. */
static bool thin_out(progress_fixture *f, unsigned left) {
    bool fine = put_key(f) == WEFT_OK && put_first(f, PROGRESS_KEYS_MAX - PROGRESS_FIRST);
    for (unsigned key = PROGRESS_FIRST + left; key < PROGRESS_KEYS_MAX; key++) {
        fine = fine && do_op(f, WEFT_HISTORY_REMOVE, key) == WEFT_OK;
    }
    return fine;
}

/* Until the table of the cleared era waits to be freed a few buckets at a time. */
static bool clear_and_wait(progress_fixture *f) {
    bool fine = put_first(f, f->present) && do_op(f, WEFT_HISTORY_CLEAR, 0) == WEFT_OK;
    (void)weft_subject_maintain(&f->subject, 1);
    return fine && put_first(f, f->present = 4);
}

/* A table of pages, and all the smaller ones on the way down from it. */
static bool leave_tables(progress_fixture *f) {
    size_t entries = f->subject.options.shape == WEFT_SUBJECT_U64 ? 2000 : 4000;
    f->present = 4;
    return weft_subject_reserve(&f->subject, entries) == WEFT_OK && put_first(f, f->present) &&
           weft_subject_shrink(&f->subject) == WEFT_OK;
}

static bool fill(progress_fixture *f) {
    switch (f->operation->state) {
    case PROGRESS_LEFT:
        return leave_tables(f);
    case PROGRESS_SPARSE:
    case PROGRESS_SHRINKING:
        f->present = sparse(f);
        return thin_out(f, f->present + (f->operation->state == PROGRESS_SHRINKING));
    case PROGRESS_CLEARED:
        return clear_and_wait(f);
    case PROGRESS_CROWDED:
        f->present = CROWD;
        f->absent = MORE_CROWD;
        return put_first(f, CROWD);
    case PROGRESS_NARROW:
        f->present = FEW;
        f->absent = 1;
        return put_first(f, FEW);
    case PROGRESS_EMPTY:
    case PROGRESS_UNUSED:
        f->present = 0;
        return true;
    default:
        return put_first(f, FILLED);
    }
}

const char *progress_prepare(progress_fixture *f, const progress_operation *operation,
                             weft_engine_id engine, weft_subject_shape shape) {
    f->operation = operation;
    f->engine = engine;
    f->present = FILLED;
    f->absent = MORE;
    f->event = NULL;
    f->status = WEFT_OK;
    f->result = 0;
    weft_history_reset(&f->history);
    f->history.start[PROGRESS_KEY] = (weft_history_value){operation->key_present, START_VALUE};
    progress_state state = operation->state;
    bool grows = state == PROGRESS_BRIM || state == PROGRESS_GROWING;
    bool fine = grows || state == PROGRESS_FILLED ? fill_to_start(f, shape, grows)
                                                  : open_with(f, shape, 1) && fill(f);
    if (operation->key_present) {
        fine = fine && put_key(f) == WEFT_OK;
    }
    f->snapshot.subject = NULL;
    if (state == PROGRESS_PICTURED) {
        fine = fine && weft_subject_snapshot_take(&f->subject, &f->snapshot) == WEFT_OK;
    }
    progress_stats(f, &f->before);
    return fine ? NULL : "the map could not be prepared";
}

/* Inserts of what is there, which retire nothing: until the grace period of the old tables is over,
 * so that they are no garbage any more, and the next write gives back the largest one. */
static void pass_by(progress_fixture *f) {
    weft_map_stats now;
    int writes = 0;
    do {
        (void)do_op(f, WEFT_HISTORY_INSERT, PROGRESS_FIRST);
        progress_stats(f, &now);
        writes++;
    } while (now.pending_objects >= f->before.pending_objects && writes < LEFT_WRITES);
    for (; writes % PIECE_EVERY != PIECE_EVERY - 1; writes++) {
        (void)do_op(f, WEFT_HISTORY_INSERT, PROGRESS_FIRST);
    }
    progress_stats(f, &f->before);
}

void progress_settle(progress_fixture *f) {
    if (f->operation->state == PROGRESS_LEFT) {
        pass_by(f);
    }
    if (f->operation->state == PROGRESS_SHRINKING) {
        (void)do_op(f, WEFT_HISTORY_REMOVE, PROGRESS_FIRST + sparse(f));
    }
    if (f->operation->state == PROGRESS_WORN) {
        for (int i = 0; i < RETIRED_BEFORE; i++) {
            (void)weft_subject_put(&f->subject, PROGRESS_FIRST,
                                   progress_first_value(PROGRESS_FIRST));
        }
    }
    if (f->operation->op != WEFT_HISTORY_OPS) {
        f->event = weft_history_call(&f->history, f->operation->op, PROGRESS_KEY);
        f->event->thread = 2;
        f->event->value = 70;
        f->event->expected = START_VALUE;
    }
}
