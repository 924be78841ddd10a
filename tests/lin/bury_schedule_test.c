/* SPDX-License-Identifier: MIT */
/* What is freed in pieces, under the deterministic scheduler: each piece is given back once, the
 * object ends once and after its pieces, nobody looks at it later, and nothing is left. Proves [F].
 *
 *   bury_schedule_test             WEFT_SCHEDULES schedules (100000)
 *   bury_schedule_test --find N    exit 0 if one of the first N seeds fails, else 1
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/sched.h"
#include "harness/arena.h"
#include "harness/prng.h"
#include "map/core.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, OPS = 5, PIECES_MAX = 3, PILES_MAX = THREADS * OPS, ARENA_BYTES = 8 << 20 };

/* In place of a generation: pieces that count how often they were given back. */
typedef struct pile {
    weft_remains remains;
    unsigned number;
} pile;

static struct {
    weft_arena *arena;
    weft_allocator allocator;
    weft_map_impl *map;
    weft_prng prng[THREADS];
    unsigned piles;
    unsigned pieces[PILES_MAX];
    unsigned given[PILES_MAX][PIECES_MAX];
    unsigned ended[PILES_MAX];
    const char *fault;
} run;

static void give_piece(weft_core *core, weft_remains *remains, uint64_t piece) {
    (void)core;
    unsigned number = WEFT_CONTAINER(remains, pile, remains)->number;
    if (number >= run.piles || piece >= run.pieces[number] || run.ended[number] != 0) {
        run.fault = "a piece of what has ended";
        return;
    }
    run.fault = run.given[number][piece]++ != 0 ? "a piece was given back twice" : run.fault;
}

static void end_pile(weft_core *core, weft_block *block) {
    pile *p = WEFT_CONTAINER(block, pile, remains.block);
    for (unsigned i = 0; i < run.pieces[p->number]; i++) {
        run.fault = run.given[p->number][i] == 0 ? "ended before its pieces" : run.fault;
    }
    run.ended[p->number]++;
    weft_core_free(core, p, sizeof *p, WEFT_CACHE_LINE);
}

static pile *make_pile(weft_core *core, unsigned pieces) {
    pile *p = weft_core_alloc(core, sizeof *p, WEFT_CACHE_LINE);
    assert_non_null(p);
    memset(p, 0, sizeof *p);
    weft_remains_set(core, &p->remains, end_pile);
    p->remains.free_piece = give_piece;
    p->remains.pieces = pieces;
    p->number = run.piles++;
    run.pieces[p->number] = pieces;
    return p;
}

static void do_one(unsigned kind, unsigned pieces) {
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_core *core = weft_map_core(run.map);
    switch (kind) {
    case 0:
        weft_core_retire_remains(core, &make_pile(core, pieces)->remains);
        break;
    case 1:
        weft_core_bury(core, &make_pile(core, pieces)->remains);
        break;
    case 2:
        (void)weft_map_clear_impl(run.map);
        break;
    case 3:
    case 4:
        (void)weft_map_bury_some(run.map, 64 * pieces);
        break;
    default:
        break;
    }
    weft_guard_leave(&guard);
    if (kind > 4) {
        (void)weft_manage_maintain(run.map, 64 * pieces);
    }
}

static void run_thread(void *ctx) {
    weft_prng *prng = ctx;
    for (int i = 0; i < OPS; i++) {
        unsigned kind = weft_prng_below(prng, 7);
        do_one(kind, 1 + weft_prng_below(prng, PIECES_MAX));
    }
}

static weft_sched_options schedule_of(uint64_t seed) {
    weft_sched_options options = {.strategy = WEFT_SCHED_UNIFORM, .seed = seed};
    options.depth = (unsigned)(seed / 2 % 5);
    if (seed % 2 != 0) {
        options.strategy = WEFT_SCHED_PCT;
        options.depth = 2 + (unsigned)(seed / 2 % 3);
        options.length = UINT64_C(100) << seed / 8 % 4;
    }
    return options;
}

/* NULL, or what went wrong. */
static const char *run_seed(uint64_t seed) {
    weft_map_options options = {.size = sizeof options, .hash_seed = 1};
    memset(run.given, 0, sizeof run.given);
    memset(run.ended, 0, sizeof run.ended);
    run.piles = 0;
    run.fault = NULL;
    weft_arena_reset(run.arena, seed % 4 < 2);
    run.allocator = weft_arena_allocator(run.arena);
    options.allocator = &run.allocator;
    assert_int_equal(weft_map_make(WEFT_SHAPE_U64, &options, &run.map), WEFT_OK);
    weft_sched_fn fns[THREADS];
    void *ctxs[THREADS];
    for (unsigned t = 0; t < THREADS; t++) {
        run.prng[t] = weft_prng_of(seed * THREADS + t);
        fns[t] = run_thread;
        ctxs[t] = &run.prng[t];
    }
    weft_sched_options schedule = schedule_of(seed);
    if (weft_sched_run(&schedule, fns, ctxs, THREADS) != WEFT_SCHED_DONE) {
        return "does not end";
    }
    if (run.fault != NULL) {
        return run.fault; /* what is left of the map is not to be touched */
    }
    assert_int_equal(weft_map_unmake(run.map), WEFT_OK);
    for (unsigned i = 0; i < run.piles; i++) {
        run.fault = run.ended[i] != 1 ? "did not end once" : run.fault;
    }
    return run.fault != NULL ? run.fault : weft_arena_fault(run.arena);
}

/* The number of seeds that were fine. */
static uint64_t run_seeds(uint64_t count) {
    for (uint64_t seed = 1; seed <= count; seed++) {
        const char *fault = run_seed(seed);
        if (fault != NULL) {
            fprintf(stderr, "%s: seed %llu\n", fault, (unsigned long long)seed);
            return seed - 1;
        }
    }
    return count;
}

static void every_piece_is_given_back_once(void **state) {
    (void)state;
    const char *text = getenv("WEFT_SCHEDULES");
    uint64_t wanted = text != NULL ? strtoull(text, NULL, 10) : 100000;
    assert_int_equal(run_seeds(wanted), wanted);
}

static int set_up(void **state) {
    (void)state;
    run.arena = weft_arena_new(ARENA_BYTES);
    return run.arena != NULL ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    weft_arena_free(run.arena);
    weft_sched_release();
    return 0;
}

/* Memory that was freed holds poison, which is no address. */
static void on_crash(int number) {
    (void)number;
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--find") == 0) {
        (void)signal(SIGSEGV, on_crash);
        uint64_t wanted = strtoull(argv[2], NULL, 10);
        bool found = set_up(NULL) == 0 && run_seeds(wanted) < wanted;
        (void)tear_down(NULL);
        return found ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_piece_is_given_back_once)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
