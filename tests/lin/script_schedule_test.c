/* SPDX-License-Identifier: MIT */
/* Scenarios of a few threads that take turns as a script says, with every place to stop at. Each is
 * an order of steps that a model found, and that chance hardly ever does. Proves [A] [F].
 *
 *   script_schedule_test                   all scenarios
 *   script_schedule_test --find SCENARIO   exit 0 if it fails, else 1
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"
#include "base/sched.h"
#include "map/core.h"
#include "harness/arena.h"
#include "harness/subject.h"
#include "reclaim/epoch.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIBERS_MAX = 4, HASH_SEED = 42 };

/* ---- a snapshot, and a write that looked for it too early ------------------------------------ */

/* The writer stops somewhere in its operation; then a snapshot is taken; somebody who moves the
 * bucket stops somewhere; a reader looks; the writer goes on. What the snapshot shows must be the
 * same before and after, and if a lookup that followed it has not seen the write, without it. */
enum { BEFORE = 1, LATE = 2, AFTER = 3, ARENA_BYTES = 8 << 20, PLACES = 200 };

static struct {
    weft_arena *arena;
    weft_subject map;
    weft_subject_snapshot snapshot;
    bool reads_image_early;
    bool writer_is_late; /* it had not ended when the snapshot was taken */
    bool mover_is_late;  /* nor the mover when the reader looked */
    bool writer_ended;
    bool mover_ended;
    uint64_t early;
    uint64_t seen;
} late;

static void late_write(void *ctx) {
    (void)ctx;
    assert_int_equal(weft_subject_put(&late.map, 0, LATE), WEFT_OK);
    late.writer_ended = true;
}

static void late_take(void *ctx) {
    (void)ctx;
    late.writer_is_late = !late.writer_ended;
    assert_int_equal(weft_subject_snapshot_take(&late.map, &late.snapshot), WEFT_OK);
    weft_sched_operation_end();
}

static void late_move(void *ctx) {
    (void)ctx;
    assert_int_equal(weft_subject_put(&late.map, 0, AFTER), WEFT_OK);
    late.mover_ended = true;
}

static void late_read(void *ctx) {
    (void)ctx;
    weft_history_event get = {.op = WEFT_HISTORY_GET};
    late.mover_is_late = !late.mover_ended;
    if (late.reads_image_early) {
        assert_int_equal(weft_subject_snapshot_get(&late.snapshot, 0, &late.early), WEFT_OK);
    } else {
        assert_int_equal(weft_subject_do(&late.map, &get, &late.seen), WEFT_OK);
    }
    weft_sched_operation_end();
}

/* The places at which the writer and the mover stop. */
static const char *late_run(weft_subject_shape shape, unsigned writer, unsigned mover) {
    weft_allocator allocator = weft_arena_allocator(late.arena);
    weft_subject_options options = {.engine = WEFT_ENGINE_LOCKFREE,
                                    .shape = shape,
                                    .allocator = &allocator,
                                    .hash_seed = HASH_SEED};
    weft_arena_reset(late.arena, true);
    weft_epoch_reset();
    memset(&late.map, 0, sizeof late.map);
    late.writer_ended = late.mover_ended = false;
    assert_int_equal(weft_subject_open(&late.map, &options), WEFT_OK);
    assert_int_equal(weft_subject_put(&late.map, 0, BEFORE), WEFT_OK);
    weft_sched_turn turns[] = {{0, writer}, {1, 0}, {0, mover}, {1, 0}};
    weft_sched_options script = {
        .strategy = WEFT_SCHED_SCRIPT, .turns = turns, .turns_count = FIBERS_MAX};
    weft_sched_fn fns[FIBERS_MAX] = {late_write, late_take, late_move, late_read};
    void *ctxs[FIBERS_MAX] = {NULL};
    assert_int_equal(weft_sched_run(&script, fns, ctxs, FIBERS_MAX), WEFT_SCHED_DONE);
    uint64_t shown = 0;
    assert_int_equal(weft_subject_snapshot_get(&late.snapshot, 0, &shown), WEFT_OK);
    const char *fault = shown == AFTER ? "the snapshot shows what came after it" : NULL;
    if (late.reads_image_early && shown != late.early) {
        fault = "the snapshot has changed";
    }
    if (!late.reads_image_early && late.seen == BEFORE && shown != BEFORE) {
        fault = "the snapshot shows what a later lookup has not seen";
    }
    weft_subject_snapshot_release(&late.snapshot);
    while (weft_subject_close(&late.map) != WEFT_OK) {
    }
    return fault;
}

static const char *late_runs(weft_subject_shape shape) {
    for (unsigned writer = 0; writer < PLACES; writer++) {
        for (unsigned mover = 0; mover < PLACES; mover++) {
            const char *fault = late_run(shape, writer, mover);
            if (fault != NULL) {
                fprintf(stderr, "%s: the writer stops after %u points, the mover after %u\n", fault,
                        writer, mover);
                return fault;
            }
            if (!late.mover_is_late) {
                break;
            }
        }
        if (!late.writer_is_late) {
            return NULL;
        }
    }
    return "the writer does not end";
}

static const char *scenario_late(bool reads_image_early) {
    late.reads_image_early = reads_image_early;
    late.arena = weft_arena_new(ARENA_BYTES);
    assert_non_null(late.arena);
    const char *fault = late_runs(WEFT_SUBJECT_BYTES);
    if (fault == NULL) {
        fault = late_runs(WEFT_SUBJECT_U64);
    }
    weft_arena_free(late.arena);
    return fault;
}

static const char *scenario_late_lookup(void) {
    return scenario_late(false);
}

static const char *scenario_late_image(void) {
    return scenario_late(true);
}

/* ---- a lookup in a bucket half of which has moved on ----------------------------------------- */

/* Two keys of one bucket, with one tag, in different halves of a table that grows. The mover stops
 * when the first half lives; the first key is written there, and its old entry freed, while a
 * lookup of the other one stops before it looks at the old bucket. */
enum {
    PAGE = 4096,
    BLOCKS_MAX = 4096,
    HALF_OPERATIONS = 12,
    MOVER_PLACES = 150,
    FINDER_PLACES = 40
};

static struct {
    weft_map map;
    weft_map other; /* what moves the epoch on */
    struct {
        void *memory;
        size_t size;
    } freed[BLOCKS_MAX];
    unsigned freed_count;
    bool failure_is_wanted;
} half;

static const weft_bytes lower = {"A", 1};
static const weft_bytes upper = {"B", 1};

/* Bucket 0 of 64 and tag 0 both, but of 128 buckets 0 and 64. */
static uint64_t half_hash(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)seed;
    weft_mixer mixer = weft_mixer_of(HASH_SEED);
    return weft_unmix_with(&mixer, *(const char *)key.data == 'B' ? 64 : 0);
}

static void *page_alloc(void *ctx, size_t size, size_t align) {
    (void)ctx;
    size_t pages = (size + PAGE - 1) / PAGE * PAGE;
    if (align > PAGE) {
        return aligned_alloc(align, pages);
    }
    void *memory = mmap(NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void *page_alloc_zeroed(void *ctx, size_t size, size_t align) {
    void *memory = page_alloc(ctx, size, align);
    return memory == NULL ? NULL : memset(memory, 0, size);
}

/* Whoever looks at it later crashes. */
static void page_free(void *ctx, void *memory, size_t size, size_t align) {
    (void)ctx;
    size_t pages = (size + PAGE - 1) / PAGE * PAGE;
    if (align > PAGE) {
        free(memory);
        return;
    }
    assert_true(half.freed_count < BLOCKS_MAX);
    assert_int_equal(mprotect(memory, pages, PROT_NONE), 0);
    half.freed[half.freed_count].memory = memory;
    half.freed[half.freed_count++].size = pages;
}

static void give_pages_back(void) {
    while (half.freed_count > 0) {
        half.freed_count--;
        munmap(half.freed[half.freed_count].memory, half.freed[half.freed_count].size);
    }
}

static void put_number(weft_map *map, weft_bytes key, uint64_t value) {
    assert_int_equal(weft_map_put(map, key, (weft_bytes){&value, sizeof value}), WEFT_OK);
}

static void half_move(void *ctx) {
    (void)ctx;
    (void)weft_map_contains(&half.map, upper);
    weft_sched_operation_end();
    assert_int_equal(weft_map_reserve(&half.map, 1000), WEFT_OK);
    weft_sched_operation_end();
}

static void half_update(void *ctx) {
    (void)ctx;
    (void)weft_map_contains(&half.map, lower);
    weft_sched_operation_end();
    put_number(&half.map, lower, 2);
    weft_sched_operation_end();
    put_number(&half.other, lower, 2);
    (void)weft_map_maintain(&half.other, 1);
    weft_sched_operation_end();
    for (int i = 0; i < HALF_OPERATIONS; i++) {
        (void)weft_map_maintain(&half.map, 100000);
        weft_sched_operation_end();
    }
}

static void half_find(void *ctx) {
    (void)ctx;
    (void)weft_map_contains(&half.other, upper);
    weft_sched_operation_end();
    assert_int_equal(weft_map_contains(&half.map, upper), WEFT_OK);
    weft_sched_operation_end();
}

static void half_open(weft_map *map) {
    static const weft_allocator allocator = {
        .alloc = page_alloc, .free = page_free, .alloc_zeroed = page_alloc_zeroed};
    weft_map_options options = {.size = sizeof options,
                                .engine = WEFT_ENGINE_LOCKFREE,
                                .allocator = &allocator,
                                .hash = half_hash,
                                .hash_seed = HASH_SEED,
                                .expected_entries = 1};
    memset(map, 0, sizeof *map);
    assert_int_equal(weft_map_open(map, &options), WEFT_OK);
    put_number(map, lower, 1);
}

/* The places at which the mover and the lookup stop. */
static void half_run(unsigned mover, unsigned finder) {
    weft_epoch_reset();
    half_open(&half.map);
    half_open(&half.other);
    put_number(&half.map, upper, 1);
    weft_sched_turn turns[] = {{1, mover},           {3, 0}, {1, finder}, {1, 0},
                               {HALF_OPERATIONS, 0}, {1, 0}};
    weft_sched_options script = {
        .strategy = WEFT_SCHED_SCRIPT, .turns = turns, .turns_count = sizeof turns / sizeof *turns};
    weft_sched_fn fns[] = {half_move, half_update, half_find};
    void *ctxs[] = {NULL, NULL, NULL};
    assert_int_equal(weft_sched_run(&script, fns, ctxs, 3), WEFT_SCHED_DONE);
    assert_int_equal(weft_map_close(&half.map), WEFT_OK);
    assert_int_equal(weft_map_close(&half.other), WEFT_OK);
    give_pages_back();
}

static void on_crash(int number) {
    const char text[] = "a lookup looks at an entry that was freed\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(half.failure_is_wanted ? 0 : 1);
}

/* Runs what may crash. */
static void watched(void (*runs)(void)) {
    static char stack[64 << 10];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
    struct sigaction before;
    (void)sigaltstack(&other, NULL);
    (void)sigaction(SIGSEGV, &action, &before);
    runs();
    (void)sigaction(SIGSEGV, &before, NULL);
}

static void half_runs(void) {
    for (unsigned mover = 1; mover <= MOVER_PLACES; mover++) {
        for (unsigned finder = 1; finder <= FINDER_PLACES; finder++) {
            half_run(mover, finder);
        }
    }
}

static const char *scenario_half(void) {
    watched(half_runs);
    return NULL;
}

/* ---- a lookup that meets an entry which never comes into the map ----------------------------- */

/* The key is there. Its lookup stops behind the state; the key is removed; an insert stops when it
 * has reserved the slot; the lookup goes on a little; the key is inserted by somebody else; the
 * insert fails and frees its entry; the lookup goes on. */
enum { LOOKUP_PLACES = 30, LOOKUP_STEPS = 4, INSERT_PLACES = 60 };

static enum { BY_INSERT, BY_GET, BY_ENGINE } looks;

/* As an operation that is no plain case. */
static void look_by_engine(void) {
    uint64_t cell;
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_core *core = weft_map_core(half.map.impl);
    weft_key key = weft_key_of_bytes(core, lower);
    (void)core->engine->look[WEFT_SHAPE_BYTES](core, &key, &cell);
    weft_guard_leave(&guard);
}

static void unborn_look(void *ctx) {
    uint64_t value = 0;
    weft_buffer out = {.data = &value, .capacity = sizeof value};
    (void)ctx;
    if (looks == BY_GET) {
        (void)weft_map_get(&half.map, lower, &out);
    } else if (looks == BY_INSERT) {
        (void)weft_map_insert(&half.map, lower, (weft_bytes){&value, sizeof value});
    } else {
        look_by_engine();
    }
    weft_sched_operation_end();
}

static void unborn_change(void *ctx) {
    uint64_t value = 2;
    (void)ctx;
    (void)weft_map_remove(&half.map, lower);
    weft_sched_operation_end();
    (void)weft_map_insert(&half.map, lower, (weft_bytes){&value, sizeof value});
    weft_sched_operation_end();
}

static void unborn_insert(void *ctx) {
    uint64_t value = 3;
    (void)ctx;
    (void)weft_map_insert(&half.map, lower, (weft_bytes){&value, sizeof value});
    weft_sched_operation_end();
}

static void unborn_run(unsigned place, unsigned steps, unsigned insert) {
    weft_epoch_reset();
    half_open(&half.map);
    weft_sched_turn turns[] = {{0, place}, {1, 0}, {0, insert}, {0, steps}, {1, 0}, {1, 0}};
    weft_sched_options script = {
        .strategy = WEFT_SCHED_SCRIPT, .turns = turns, .turns_count = sizeof turns / sizeof *turns};
    weft_sched_fn fns[] = {unborn_look, unborn_change, unborn_insert};
    void *ctxs[] = {NULL, NULL, NULL};
    assert_int_equal(weft_sched_run(&script, fns, ctxs, 3), WEFT_SCHED_DONE);
    assert_int_equal(weft_map_close(&half.map), WEFT_OK);
    give_pages_back();
}

static void unborn_runs(void) {
    for (unsigned place = 1; place <= LOOKUP_PLACES; place++) {
        for (unsigned insert = 1; insert <= INSERT_PLACES; insert++) {
            for (unsigned steps = 1; steps <= LOOKUP_STEPS; steps++) {
                unborn_run(place, steps, insert);
            }
        }
    }
}

static const char *scenario_unborn(void) {
    looks = BY_INSERT;
    watched(unborn_runs);
    return NULL;
}

static const char *scenario_unborn_get(void) {
    looks = BY_GET;
    watched(unborn_runs);
    return NULL;
}

static const char *scenario_unborn_engine(void) {
    looks = BY_ENGINE;
    watched(unborn_runs);
    return NULL;
}

/* ---- snapshots of a map to which nobody writes ----------------------------------------------- */

/* As many as can be taken in so many tries. */
static unsigned take_and_release(weft_subject *map, unsigned tries) {
    unsigned taken = 0;
    for (unsigned i = 0; i < tries; i++) {
        weft_subject_snapshot snapshot;
        int status = weft_subject_snapshot_take(map, &snapshot);
        assert_true(status == WEFT_OK || status == WEFT_E_BUSY);
        if (status == WEFT_OK) {
            weft_subject_snapshot_release(&snapshot);
            taken++;
        }
    }
    return taken;
}

/* All doors are closed while a guard is held; when it has been left, taking a snapshot opens them:
 * there is no writer who would. */
static const char *scenario_closed_doors(void) {
    enum { DOORS = 7, TRIES = 1000, FEW_TRIES = 100 };
    weft_arena *arena = weft_arena_new(ARENA_BYTES);
    weft_allocator allocator = weft_arena_allocator(arena);
    weft_subject_options options = {
        .engine = WEFT_ENGINE_LOCKFREE, .shape = WEFT_SUBJECT_U64, .allocator = &allocator};
    weft_subject map = {0};
    weft_guard guard;
    weft_epoch_reset();
    assert_int_equal(weft_subject_open(&map, &options), WEFT_OK);
    assert_int_equal(weft_subject_put(&map, 0, BEFORE), WEFT_OK);
    weft_guard_enter(&guard);
    assert_int_equal(take_and_release(&map, TRIES), DOORS);
    weft_guard_leave(&guard);
    const char *fault =
        take_and_release(&map, FEW_TRIES) > 0 ? NULL : "the doors stay closed for ever";
    while (weft_subject_close(&map) != WEFT_OK) {
    }
    weft_arena_free(arena);
    return fault;
}

/* ---- all ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *(*run)(void);
} scenarios[] = {
    {"half", scenario_half},
    {"unborn", scenario_unborn},
    {"unborn_get", scenario_unborn_get},
    {"unborn_engine", scenario_unborn_engine},
    {"late_lookup", scenario_late_lookup},
    {"late_image", scenario_late_image},
    {"closed_doors", scenario_closed_doors},
};

static void every_scenario_is_fine(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        assert_null(scenarios[i].run());
    }
    weft_sched_release();
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--find") == 0) {
        half.failure_is_wanted = true;
        for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
            if (strcmp(argv[2], scenarios[i].name) == 0) {
                return scenarios[i].run() != NULL ? 0 : 1;
            }
        }
        fprintf(stderr, "there is no scenario %s\n", argv[2]);
        return 2;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_scenario_is_fine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
