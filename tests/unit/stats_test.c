/* SPDX-License-Identifier: MIT */
/* The statistics of the bench, against values that are known and against counting every order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/driver/stats.h"
#include "harness/prng.h"
#include <math.h>

static weft_prng chance;

static double draw(uint32_t limit) {
    return (double)weft_prng_below(&chance, limit);
}

static weft_bench_samples set(const double *values, size_t count) {
    return (weft_bench_samples){values, count};
}

static void assert_near(double found, double expected) {
    if (!(fabs(found - expected) < 1e-9)) {
        fail_msg("found %.12g, expected %.12g", found, expected);
    }
}

static void medians(void **state) {
    (void)state;
    const double values[] = {3, 1, 2, 10};
    assert_near(weft_bench_median(set(values, 1)), 3);
    assert_near(weft_bench_median(set(values, 3)), 2);
    assert_near(weft_bench_median(set(values, 4)), 2.5);
    assert_true(isnan(weft_bench_median(set(values, 0))));
}

/* The intervals of the sign test, as tables have them: of 10 samples the second and the ninth, of
 * 20 the sixth and the fifteenth. */
static void median_intervals(void **state) {
    (void)state;
    double values[20];
    for (int i = 0; i < 20; i++) {
        values[i] = 1 + (i * 7) % 20;
    }
    assert_near(weft_bench_median_half_width(set(values, 20)), (15 - 6) / 2.0);
    for (int i = 0; i < 10; i++) {
        values[i] = 1 + (i * 7) % 10;
    }
    assert_near(weft_bench_median_half_width(set(values, 10)), (9 - 2) / 2.0);
    assert_near(weft_bench_median_half_width(set((const double[]){6, 2, 4, 1, 3, 5}, 6)), 2.5);
    assert_true(isinf(weft_bench_median_half_width(set(values, 5))));
    assert_true(isinf(weft_bench_median_half_width(set(values, 0))));
}

static void known_chances(void **state) {
    (void)state;
    const double low[] = {1, 2, 3, 4, 5};
    const double high[] = {6, 7, 8, 9, 10};
    weft_bench_rank_test test = weft_bench_rank(set(low, 5), set(high, 5));
    assert_near(test.p_more, 1.0 / 252);
    assert_near(test.p_less, 1);
    test = weft_bench_rank(set(high, 5), set(low, 5));
    assert_near(test.p_less, 1.0 / 252);
    test = weft_bench_rank(set(low, 3), set(high, 0));
    assert_near(test.p_less, 1);
    assert_near(test.p_more, 1);
}

static void equal_samples_tell_nothing(void **state) {
    (void)state;
    double same[80];
    for (int i = 0; i < 80; i++) {
        same[i] = 7;
    }
    weft_bench_rank_test few = weft_bench_rank(set(same, 5), set(same, 6));
    weft_bench_rank_test many = weft_bench_rank(set(same, 80), set(same, 80));
    assert_near(few.p_less, 1);
    assert_near(few.p_more, 1);
    assert_near(many.p_less, 1);
    assert_near(many.p_more, 1);
}

/* In how many of the pairs the second set's sample is greater; ties count half. */
static double pairs_won(const double *all, unsigned second, int count) {
    double won = 0;
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            if ((second >> i & 1) && !(second >> j & 1)) {
                won += (all[i] > all[j]) + 0.5 * (all[i] == all[j]);
            }
        }
    }
    return won;
}

/* The chance by counting: over every choice of `b` among all samples. */
static double counted(const double *all, int a, int b) {
    double observed = pairs_won(all, ((1u << b) - 1) << a, a + b);
    double choices = 0;
    double as_much = 0;
    for (unsigned choice = 0; choice < 1u << (a + b); choice++) {
        if (__builtin_popcount(choice) == b) {
            choices++;
            as_much += pairs_won(all, choice, a + b) >= observed;
        }
    }
    return as_much / choices;
}

static void every_order_counted(void **state) {
    (void)state;
    chance = weft_prng_of(1);
    for (int i = 0; i < 40; i++) {
        int a = 1 + (int)draw(5);
        int b = 1 + (int)draw(5);
        double all[10];
        for (int j = 0; j < a + b; j++) {
            all[j] = draw(6); /* few values: many ties */
        }
        weft_bench_rank_test test = weft_bench_rank(set(all, (size_t)a), set(all + a, (size_t)b));
        assert_near(test.p_more, counted(all, a, b));
    }
}

static void large_sets_are_near(void **state) {
    (void)state;
    chance = weft_prng_of(2);
    double first[33];
    double second[33];
    for (int i = 0; i < 33; i++) {
        first[i] = draw(1000);
        second[i] = draw(1000) + 60;
    }
    weft_bench_rank_test exact = weft_bench_rank(set(first, 32), set(second, 32));
    weft_bench_rank_test normal = weft_bench_rank(set(first, 33), set(second, 33));
    assert_true(fabs(exact.p_less - normal.p_less) < 0.05);
    assert_true(fabs(exact.p_more - normal.p_more) < 0.05);
}

static void quotients(void **state) {
    (void)state;
    const double first[] = {10, 10.1, 10.2, 9.9, 9.8};
    const double second[] = {9, 9.09, 9.18, 8.91, 8.82};
    weft_bench_change change = weft_bench_quotient(set(first, 5), set(second, 5));
    assert_near(change.quotient, 0.9);
    assert_true(change.low < 0.9 && change.high > 0.9);
    assert_true(change.low > 0.86 && change.high < 0.94);
    change = weft_bench_quotient(set(first, 3), set(second, 3));
    assert_true(!isnan(change.quotient) && isnan(change.low) && isnan(change.high));
    change = weft_bench_quotient(set(first, 0), set(second, 3));
    assert_true(isnan(change.quotient));
}

/* How often the interval of 95 % holds the true quotient, over many sets of one source. */
static double covered(size_t count) {
    enum { TRIALS = 4000 };
    chance = weft_prng_of(count);
    int held = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        double first[40];
        double second[40];
        for (size_t i = 0; i < count; i++) {
            first[i] = 1 + draw(1000000) / 1e6;
            second[i] = 1 + draw(1000000) / 1e6;
        }
        weft_bench_change change = weft_bench_quotient(set(first, count), set(second, count));
        held += change.low <= 1 && change.high >= 1;
    }
    return (double)held / TRIALS;
}

static void intervals_hold(void **state) {
    (void)state;
    for (size_t count = 4; count <= 8; count++) {
        double share = covered(count);
        assert_true(share > 0.94 && share < 0.99);
    }
    double large = covered(40);
    assert_true(large > 0.93 && large < 0.97);
}

static void cut_of_many(void **state) {
    (void)state;
    const double chances[] = {0.5, 0.001, 0.04, 0.02, 0.9};
    assert_near(weft_bench_cut(chances, 5, 0.05), 0.02);
    assert_near(weft_bench_cut(chances, 1, 0.05), 0);
    assert_near(weft_bench_cut(chances + 2, 1, 0.05), 0.04);
    assert_near(weft_bench_cut(chances, 0, 0.05), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(medians),
        cmocka_unit_test(median_intervals),
        cmocka_unit_test(known_chances),
        cmocka_unit_test(equal_samples_tell_nothing),
        cmocka_unit_test(every_order_counted),
        cmocka_unit_test(large_sets_are_near),
        cmocka_unit_test(quotients),
        cmocka_unit_test(intervals_hold),
        cmocka_unit_test(cut_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
