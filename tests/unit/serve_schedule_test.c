/* SPDX-License-Identifier: MIT */
/* The arrivals of an open loop: their rate and their distances, and the requests that wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/driver/serve_schedule.h"
#include <math.h>
#include <stdlib.h>

enum { ARRIVALS = 100000 };

static void constant_arrivals_keep_their_distance(void **state) {
    (void)state;
    weft_serve_schedule schedule = {.begin = 1000};
    /* 3 a second does not divide a second evenly; rounding to whole nanoseconds would add up to 33
     * us by the end. */
    weft_serve_schedule_init(&schedule, 3, false, (weft_serve_share){0, 1});
    for (uint64_t i = 0; i < ARRIVALS; i++) {
        double exact = 1000 + (double)i * 1e9 / 3;
        assert_true(fabs((double)weft_serve_schedule_peek(&schedule) - exact) < 1000);
        weft_serve_schedule_step(&schedule);
    }
}

static void shares_of_a_rate_interleave(void **state) {
    (void)state;
    weft_serve_schedule parts[4] = {{.begin = 0}};
    for (unsigned i = 0; i < 4; i++) {
        weft_serve_schedule_init(&parts[i], 1e6, false, (weft_serve_share){i, 4});
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(weft_serve_schedule_peek(&parts[i % 4]), i * 1000);
        weft_serve_schedule_step(&parts[i % 4]);
    }
}

static void poisson_arrivals_have_rate_and_spread(void **state) {
    (void)state;
    const double mean = 1e9 / 50000;
    weft_draw draw = {.state = 7};
    weft_serve_schedule schedule = {.draw = &draw};
    weft_serve_schedule_init(&schedule, 100000, true, (weft_serve_share){1, 2});
    double sum = 0;
    double squares = 0;
    int short_ones = 0;
    uint64_t last = weft_serve_schedule_peek(&schedule);
    for (int i = 0; i < ARRIVALS; i++) {
        weft_serve_schedule_step(&schedule);
        uint64_t now = weft_serve_schedule_peek(&schedule);
        assert_true(now >= last);
        double distance = (double)(now - last);
        sum += distance;
        squares += distance * distance;
        short_ones += distance < mean * log(2);
        last = now;
    }
    double average = sum / ARRIVALS;
    double spread = sqrt(squares / ARRIVALS - average * average);
    assert_true(fabs(average / mean - 1) < 0.02);
    assert_true(fabs(spread / mean - 1) < 0.03); /* of an exponential one: its mean */
    assert_true(abs(short_ones - ARRIVALS / 2) < ARRIVALS / 50);
}

static void backlog_keeps_order_and_counts_what_it_drops(void **state) {
    (void)state;
    weft_serve_backlog backlog;
    assert_true(weft_serve_backlog_init(&backlog, 3));
    for (uint64_t round = 0; round < 5; round++) {
        for (uint64_t i = 0; i < 4; i++) {
            weft_serve_backlog_push(&backlog, round * 10 + i);
        }
        assert_int_equal(backlog.count, 3);
        assert_int_equal(backlog.dropped, round + 1);
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(weft_serve_backlog_pop(&backlog), round * 10 + i);
        }
        assert_int_equal(backlog.count, 0);
        weft_serve_backlog_push(&backlog, 1); /* the ring begins elsewhere in each round */
        assert_int_equal(weft_serve_backlog_pop(&backlog), 1);
    }
    assert_int_equal(backlog.greatest, 3);
    weft_serve_backlog_free(&backlog);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_arrivals_keep_their_distance),
        cmocka_unit_test(shares_of_a_rate_interleave),
        cmocka_unit_test(poisson_arrivals_have_rate_and_spread),
        cmocka_unit_test(backlog_keeps_order_and_counts_what_it_drops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
