/* SPDX-License-Identifier: MIT */
/* The histogram against a sorted list of the same values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/histogram.h"
#include "harness/prng.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static weft_histogram histogram;

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void percentiles_are_near(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    static uint64_t values[COUNT];
    weft_prng prng = weft_prng_of(1);
    for (unsigned bits = 1; bits <= 64; bits += 7) {
        memset(&histogram, 0, sizeof histogram);
        for (int i = 0; i < COUNT; i++) {
            values[i] = weft_prng_next(&prng) >> (64 - 1 - weft_prng_below(&prng, bits));
            weft_histogram_record(&histogram, values[i]);
        }
        qsort(values, COUNT, sizeof *values, by_value);
        static const uint32_t asked[] = {1, 1000, 50000, 90000, 99000, 99900, 99990, 100000};
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
            size_t rank = ((size_t)COUNT * asked[i] + 99999) / 100000;
            uint64_t exact = values[rank - 1];
            uint64_t told = weft_histogram_percentile(&histogram, asked[i]);
            assert_true(told >= exact && told - exact <= exact / WEFT_HISTOGRAM_STEPS);
        }
        assert_int_equal(histogram.count, COUNT);
        assert_int_equal(histogram.maximum, values[COUNT - 1]);
    }
}

static void edges(void **state) {
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    assert_int_equal(weft_histogram_percentile(&histogram, 50000), 0);
    weft_histogram_record(&histogram, 0);
    assert_int_equal(weft_histogram_percentile(&histogram, 0), 0);
    assert_int_equal(weft_histogram_percentile(&histogram, 100000), 0);
    weft_histogram_record(&histogram, UINT64_MAX);
    assert_true(weft_histogram_percentile(&histogram, 100000) == UINT64_MAX);
    assert_int_equal(weft_histogram_percentile(&histogram, 50000), 0);
}

static void merging_adds(void **state) {
    (void)state;
    static weft_histogram whole;
    static weft_histogram parts[2];
    weft_prng prng = weft_prng_of(2);
    for (int i = 0; i < 5000; i++) {
        uint64_t value = weft_prng_below(&prng, 1000000);
        weft_histogram_record(&whole, value);
        weft_histogram_record(&parts[i % 2], value);
    }
    weft_histogram_merge(&parts[0], &parts[1]);
    assert_memory_equal(&parts[0], &whole, sizeof whole);
}

static void *record_many(void *ctx) {
    (void)ctx;
    for (uint64_t i = 0; i < 50000; i++) {
        weft_histogram_record(&histogram, i);
    }
    return NULL;
}

static void threads_may_record(void **state) {
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(histogram.count, 200000);
    assert_int_equal(histogram.maximum, 49999);
    assert_int_equal(histogram.sum, UINT64_C(4) * 50000 * 49999 / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_near),
        cmocka_unit_test(edges),
        cmocka_unit_test(merging_adds),
        cmocka_unit_test(threads_may_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
