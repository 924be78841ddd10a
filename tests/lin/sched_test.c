/* SPDX-License-Identifier: MIT */
/* The deterministic scheduler: it finds the bugs that it must find, reports none where there is
 * none, and does the same again for the same seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/sched.h"
#include "base/thread.h"
#include <stdio.h>
#include <string.h>

enum { THREADS = 3, ROUNDS = 5, SCHEDULES = 20000 };

static uint64_t counter;
static uint64_t trace; /* what ran when, folded to a number */
static uint64_t limits_reached;

static void note(uint64_t who) {
    trace = trace * UINT64_C(1099511628211) + who;
}

static void broken_increments(void *ctx) {
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t seen = weft_load_seq_cst(&counter);
        note((uintptr_t)ctx);
        weft_store_seq_cst(&counter, seen + 1);
    }
}

static void correct_increments(void *ctx) {
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t seen = weft_load_seq_cst(&counter);
        note((uintptr_t)ctx);
        while (!weft_cas_seq_cst(&counter, &seen, seen + 1)) {
        }
    }
}

static weft_sched_result run_same(const weft_sched_options *options, weft_sched_fn fn,
                                  unsigned count) {
    weft_sched_fn fns[WEFT_SCHED_FIBERS_MAX];
    void *ctxs[WEFT_SCHED_FIBERS_MAX];
    for (unsigned i = 0; i < count; i++) {
        fns[i] = fn;
        ctxs[i] = (void *)(uintptr_t)(i + 1); /* a name for the trace */
    }
    return weft_sched_run(options, fns, ctxs, count);
}

/* In how many of SCHEDULES schedules do increments get lost? */
static unsigned count_losses(weft_sched_options options, weft_sched_fn fn) {
    unsigned lost = 0;
    for (options.seed = 1; options.seed <= SCHEDULES; options.seed++) {
        counter = 0;
        assert_int_equal(run_same(&options, fn, THREADS), WEFT_SCHED_DONE);
        lost += counter != THREADS * ROUNDS;
    }
    return lost;
}

static void broken_counter_is_caught(void **state) {
    (void)state;
    weft_sched_options uniform = {.strategy = WEFT_SCHED_UNIFORM};
    unsigned lost = count_losses(uniform, broken_increments);
    print_message("uniform: %.1f %% of schedules lose an increment\n", 100.0 * lost / SCHEDULES);
    assert_true(lost >= SCHEDULES * 9 / 10);
    assert_int_equal(count_losses(uniform, correct_increments), 0);

    /* PCT with two change points and n fibers finds a bug of depth 2 with probability of at least
     * 1 / (n * k) for k points; here with k = 30, that is 1 in 90. */
    weft_sched_options pct = {
        .strategy = WEFT_SCHED_PCT, .depth = 2, .length = 2 * THREADS * ROUNDS};
    lost = count_losses(pct, broken_increments);
    print_message("pct: %.1f %%\n", 100.0 * lost / SCHEDULES);
    assert_true(lost >= SCHEDULES / (THREADS * pct.length));
    assert_int_equal(count_losses(pct, correct_increments), 0);
}

static void same_seed_same_run(void **state) {
    (void)state;
    for (int strategy = WEFT_SCHED_UNIFORM; strategy <= WEFT_SCHED_PCT; strategy++) {
        weft_sched_options options = {
            .strategy = (weft_sched_strategy)strategy, .depth = 3, .length = 30};
        unsigned different = 0;
        uint64_t previous = 0;
        for (options.seed = 1; options.seed <= 1000; options.seed++) {
            trace = 0;
            assert_int_equal(run_same(&options, broken_increments, THREADS), WEFT_SCHED_DONE);
            uint64_t first = trace;
            trace = 0;
            assert_int_equal(run_same(&options, broken_increments, THREADS), WEFT_SCHED_DONE);
            assert_int_equal(trace, first);
            different += first != previous;
            previous = first;
        }
        assert_true(different > 700);
    }
}

static void two_steps(void *ctx) {
    for (int i = 0; i < 2; i++) {
        (void)weft_fetch_add_seq_cst(&counter, 1);
        note((uintptr_t)ctx);
    }
}

/* Two fibers of two steps can be interleaved in C(4, 2) = 6 ways. Preemptions bound them: with none
 * there are 2, with one 4 (one way of stopping either fiber in the middle). */
static void search_is_exhaustive(void **state) {
    (void)state;
    static const unsigned expected[] = {2, 4, 6};
    for (unsigned bound = 0; bound <= 2; bound++) {
        weft_sched_options options = {.strategy = WEFT_SCHED_DFS, .depth = bound};
        options.tree = weft_sched_tree_new();
        assert_non_null(options.tree);
        uint64_t traces[64];
        unsigned distinct = 0;
        do {
            trace = 0;
            assert_int_equal(run_same(&options, two_steps, 2), WEFT_SCHED_DONE);
            unsigned i = 0;
            while (i < distinct && traces[i] != trace) {
                i++;
            }
            if (i == distinct) {
                assert_true(distinct < 64);
                traces[distinct++] = trace;
            }
        } while (weft_sched_tree_next(options.tree));
        assert_true(weft_sched_tree_complete(options.tree));
        weft_sched_tree_free(options.tree);
        assert_int_equal(distinct, expected[bound]);
    }
}

/* One lost increment needs one preemption: without any it is never lost, with one it is. */
static void search_finds_by_bound(void **state) {
    (void)state;
    for (unsigned bound = 0; bound <= 1; bound++) {
        weft_sched_options options = {.strategy = WEFT_SCHED_DFS, .depth = bound};
        options.tree = weft_sched_tree_new();
        assert_non_null(options.tree);
        unsigned lost = 0;
        do {
            counter = 0;
            assert_int_equal(run_same(&options, broken_increments, 2), WEFT_SCHED_DONE);
            lost += counter != 2 * ROUNDS;
        } while (weft_sched_tree_next(options.tree));
        weft_sched_tree_free(options.tree);
        assert_int_equal(lost > 0, bound > 0);
    }
}

static void steps_and_ends(void *ctx) {
    for (int i = 0; i < ROUNDS; i++) {
        note((uintptr_t)ctx);
        (void)weft_fetch_add_seq_cst(&counter, 1);
        weft_sched_operation_end();
    }
}

/* A fiber is stopped at its points, which come before the steps: what it does until then counts. */
static void script_is_followed(void **state) {
    (void)state;
    static const struct {
        weft_sched_turn turns[3];
        const char *order;
    } cases[] = {
        {{{0, 0}, {0, 0}, {0, 0}}, "1211112222"},
        {{{0, 2}, {0, 0}, {0, 1}}, "1112112222"},
        {{{3, 0}, {1, 1}, {0, 9}}, "1111222122"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weft_sched_options options = {
            .strategy = WEFT_SCHED_SCRIPT, .turns = cases[i].turns, .turns_count = 3};
        trace = 0;
        assert_int_equal(run_same(&options, steps_and_ends, 2), WEFT_SCHED_DONE);
        uint64_t found = trace;
        trace = 0;
        for (const char *at = cases[i].order; *at != 0; at++) {
            note((uint64_t)(*at - '0'));
        }
        assert_int_equal(found, trace);
    }
}

static void wait_for_ever(void *ctx) {
    (void)ctx;
    while (weft_load_acquire(&counter) != UINT64_MAX) { /* pairs with nothing: nobody writes it */
        weft_pause();
    }
    limits_reached++;
}

static void wait_for_others(void *ctx) {
    (void)ctx;
    (void)weft_fetch_add_seq_cst(&counter, 1);
    while (weft_load_seq_cst(&counter) != THREADS) {
        weft_pause();
    }
}

static void livelock_is_told(void **state) {
    (void)state;
    for (int strategy = WEFT_SCHED_UNIFORM; strategy <= WEFT_SCHED_SCRIPT; strategy++) {
        weft_sched_options options = {
            .strategy = (weft_sched_strategy)strategy, .depth = 1, .step_limit = 10000};
        options.tree = weft_sched_tree_new();
        assert_non_null(options.tree);
        counter = 0;
        assert_int_equal(run_same(&options, wait_for_ever, 2), WEFT_SCHED_LIVELOCK);
        assert_int_equal(run_same(&options, wait_for_ever, 1), WEFT_SCHED_LIVELOCK);
        assert_int_equal(limits_reached, 0);
        weft_sched_tree_free(options.tree);
        options.tree = weft_sched_tree_new();
        assert_non_null(options.tree);
        counter = 0;
        assert_int_equal(run_same(&options, wait_for_others, THREADS), WEFT_SCHED_DONE);
        weft_sched_tree_free(options.tree);
    }
}

static weft_mutex mutex;
static weft_rwlock lock;
static weft_cond cond;
static uint64_t inside;
static unsigned broken;

static void locked_increments(void *ctx) {
    (void)ctx;
    for (int i = 0; i < ROUNDS; i++) {
        weft_mutex_lock(&mutex);
        weft_store_seq_cst(&counter, weft_load_seq_cst(&counter) + 1);
        weft_mutex_unlock(&mutex);
    }
}

static void read_or_write(void *ctx) {
    for (int i = 0; i < ROUNDS; i++) {
        if ((uintptr_t)ctx % 2) {
            weft_rwlock_write_lock(&lock);
            broken += weft_fetch_add_seq_cst(&inside, 1) != 0;
            (void)weft_fetch_add_seq_cst(&inside, UINT64_MAX);
            weft_rwlock_write_unlock(&lock);
        } else {
            weft_rwlock_read_lock(&lock);
            broken += weft_load_seq_cst(&inside) != 0;
            weft_rwlock_read_unlock(&lock);
        }
    }
}

static void pass_the_turn(void *ctx) {
    weft_mutex_lock(&mutex);
    while (counter + 1 != (uintptr_t)ctx) {
        (void)weft_cond_wait(&cond, &mutex, WEFT_WAIT_FOREVER);
    }
    counter++;
    weft_cond_broadcast(&cond);
    weft_mutex_unlock(&mutex);
}

static void wait_in_vain(void *ctx) {
    (void)ctx;
    uint64_t start = weft_clock_monotonic_ns();
    weft_mutex_lock(&mutex);
    broken += weft_cond_wait(&cond, &mutex, 50000);
    weft_mutex_unlock(&mutex);
    weft_sleep_ns(20000);
    broken += weft_clock_monotonic_ns() - start < 70000;
}

static void locks_exclude(void **state) {
    (void)state;
    assert_true(weft_mutex_init(&mutex) && weft_rwlock_init(&lock) && weft_cond_init(&cond));
    weft_sched_options options = {.strategy = WEFT_SCHED_UNIFORM};
    for (options.seed = 1; options.seed <= 2000; options.seed++) {
        counter = 0;
        assert_int_equal(run_same(&options, locked_increments, THREADS), WEFT_SCHED_DONE);
        assert_int_equal(counter, THREADS * ROUNDS);
        assert_int_equal(run_same(&options, read_or_write, 4), WEFT_SCHED_DONE);
        counter = 0;
        assert_int_equal(run_same(&options, pass_the_turn, 4), WEFT_SCHED_DONE);
        assert_int_equal(counter, 4);
        assert_int_equal(run_same(&options, wait_in_vain, 2), WEFT_SCHED_DONE);
        assert_int_equal(broken, 0);
    }
    weft_cond_destroy(&cond);
    weft_rwlock_destroy(&lock);
    weft_mutex_destroy(&mutex);
}

static unsigned ended;
static uint64_t ended_sum;

static void on_end(void *value) {
    ended++;
    ended_sum += (uintptr_t)value;
    (void)weft_load_relaxed(&counter); /* a point: an ending fiber is still one */
}

static void own_slot(void *ctx) {
    broken += *weft_thread_slot() != NULL;
    (void)weft_thread_set_slot(ctx);
    for (int i = 0; i < ROUNDS; i++) {
        (void)weft_fetch_add_seq_cst(&counter, 1);
        broken += *weft_thread_slot() != ctx;
    }
}

static void fibers_are_threads(void **state) {
    (void)state;
    assert_true(weft_thread_at_exit(on_end));
    weft_sched_options options = {.strategy = WEFT_SCHED_UNIFORM, .seed = 5};
    assert_int_equal(run_same(&options, own_slot, 4), WEFT_SCHED_DONE);
    assert_int_equal(broken, 0);
    assert_int_equal(ended, 4);
    assert_int_equal(ended_sum, 1 + 2 + 3 + 4);
    assert_null(*weft_thread_slot());
}

static void many_points(void *ctx) {
    (void)ctx;
    for (int i = 0; i < 200000; i++) {
        (void)weft_fetch_add_relaxed(&counter, 1);
    }
}

static void points_outside_do_nothing(void **state) {
    (void)state;
    assert_false(weft_sched_inside());
    uint64_t before = weft_sched_switches();
    many_points(NULL);
    weft_pause();
    assert_int_equal(weft_sched_switches(), before);
}

static void rate_is_told(void **state) {
    (void)state;
    weft_sched_options options = {.seed = 1, .step_limit = 10000000};
    uint64_t before = weft_sched_switches();
    uint64_t start = weft_clock_monotonic_ns();
    assert_int_equal(run_same(&options, many_points, 4), WEFT_SCHED_DONE);
    uint64_t ns = weft_clock_monotonic_ns() - start;
    uint64_t made = weft_sched_switches() - before;
    assert_true(made > 500000); /* 800 000 points, three of four leave the fiber */
    print_message("%.1f million switches a second\n", (double)made * 1000 / (double)ns);
}

static void description_names_everything(void **state) {
    (void)state;
    weft_sched_options options = {
        .strategy = WEFT_SCHED_PCT, .seed = 7, .depth = 3, .length = 40, .step_limit = 9};
    char text[128];
    weft_sched_describe(&options, text, sizeof text);
    assert_string_equal(text, "strategy=pct seed=7 depth=3 length=40 step_limit=9");
    static const weft_sched_turn turns[] = {{1, 20}, {0, 3}};
    options = (weft_sched_options){.strategy = WEFT_SCHED_SCRIPT, .turns = turns, .turns_count = 2};
    weft_sched_describe(&options, text, sizeof text);
    assert_string_equal(text,
                        "strategy=script seed=0 depth=0 length=0 step_limit=0 turns=1+20,0+3");
}

static int tear_down(void **state) {
    (void)state;
    weft_sched_release();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_counter_is_caught),
        cmocka_unit_test(same_seed_same_run),
        cmocka_unit_test(search_is_exhaustive),
        cmocka_unit_test(search_finds_by_bound),
        cmocka_unit_test(script_is_followed),
        cmocka_unit_test(livelock_is_told),
        cmocka_unit_test(locks_exclude),
        cmocka_unit_test(fibers_are_threads),
        cmocka_unit_test(points_outside_do_nothing),
        cmocka_unit_test(rate_is_told),
        cmocka_unit_test(description_names_everything),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
