/* SPDX-License-Identifier: MIT */
/* The latch and the bias exclude, and whoever sleeps wakes up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bias.h"
#include "base/latch.h"
#include "base/lock.h"
#include "base/thread.h"

enum { THREADS = 8, TURNS = 50000, LONG_TURNS = 200, LONG_NS = 200000 };

/* Words that only one thread at a time may change. */
static struct {
    weft_latch latch;
    weft_bias bias;
    weft_mutex behind;
    uint64_t one;
    uint64_t other;
} shared;

static void change(void) {
    uint64_t one = shared.one;
    assert_int_equal(shared.other, one);
    shared.one = one + 1;
    shared.other = one + 1;
}

static void run_threads(void *(*run)(void *ctx), unsigned count) {
    weft_thread threads[THREADS];
    for (unsigned i = 0; i < count; i++) {
        assert_true(weft_thread_start(&threads[i], run, NULL));
    }
    for (unsigned i = 0; i < count; i++) {
        weft_thread_join(&threads[i]);
    }
}

static void *change_under_latch(void *ctx) {
    for (int i = 0; i < TURNS; i++) {
        (void)weft_latch_lock(&shared.latch);
        change();
        weft_latch_unlock(&shared.latch);
    }
    return ctx;
}

static void latch_excludes(void **state) {
    (void)state;
    shared.one = shared.other = 0;
    run_threads(change_under_latch, THREADS);
    assert_int_equal(shared.one, (uint64_t)THREADS * TURNS);
    assert_false(weft_latch_is_held(&shared.latch));
    assert_int_equal(shared.latch.sleepers, 0);
}

/* Sections that are longer than anybody spins: all the others sleep, and each wakes one. */
static void *stay_under_latch(void *ctx) {
    for (int i = 0; i < LONG_TURNS; i++) {
        (void)weft_latch_lock(&shared.latch);
        change();
        weft_sleep_ns(LONG_NS / THREADS);
        weft_latch_unlock(&shared.latch);
    }
    return ctx;
}

static void sleepers_wake_up(void **state) {
    (void)state;
    shared.latch = (weft_latch){0, 0};
    shared.one = shared.other = 0;
    run_threads(stay_under_latch, THREADS);
    assert_int_equal(shared.one, (uint64_t)THREADS * LONG_TURNS);
    assert_int_equal(shared.latch.sleepers, 0);
    assert_true(weft_latch_lock(&shared.latch));
    assert_false(weft_latch_try(&shared.latch));
    weft_latch_unlock(&shared.latch);
}

/* The owner's way; or that of all others, who also want to be the owner. */
static void *change_under_bias(void *ctx) {
    for (int i = 0; i < TURNS; i++) {
        uint32_t *inside = weft_bias_enter(&shared.bias);
        if (inside != NULL) {
            change();
            weft_bias_leave(inside);
            continue;
        }
        weft_mutex_lock(&shared.behind);
        weft_bias_take(&shared.bias);
        change();
        weft_bias_give(&shared.bias);
        weft_mutex_unlock(&shared.behind);
    }
    return ctx;
}

static void bias_excludes(void **state) {
    (void)state;
    assert_true(weft_mutex_init(&shared.behind));
    for (unsigned round = 0; round < 20; round++) {
        shared.bias = (weft_bias){0};
        shared.one = shared.other = 0;
        run_threads(change_under_bias, 1 + round % 4);
        assert_int_equal(shared.one, (uint64_t)(1 + round % 4) * TURNS);
    }
    weft_mutex_destroy(&shared.behind);
}

static void bias_has_turns(void **state) {
    (void)state;
    weft_bias bias = {0};
    assert_null(weft_bias_enter(&bias));
    for (int i = 0; i < WEFT_BIAS_TURNS; i++) {
        assert_false(weft_bias_is_over(&bias));
        weft_bias_give(&bias);
        uint32_t *inside = weft_bias_enter(&bias);
        assert_non_null(inside);
        weft_bias_leave(inside);
        weft_bias_take(&bias);
        assert_null(weft_bias_enter(&bias));
    }
    weft_bias_give(&bias);
    assert_true(weft_bias_is_over(&bias));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latch_excludes),
        cmocka_unit_test(sleepers_wake_up),
        cmocka_unit_test(bias_excludes),
        cmocka_unit_test(bias_has_turns),
    };
    return cmocka_run_group_tests_name("latch", tests, NULL, NULL);
}
