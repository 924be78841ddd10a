/* SPDX-License-Identifier: MIT */
/* What is computed from the samples of a cell, on rates that are planted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/driver/cell.h"
#include <math.h>
#include <stdio.h>

enum { ROUNDS = 6 };

static weft_peer peers[3];
static weft_session sessions[3];
static weft_workload workload;

static int setup(void **state) {
    static const char *const names[3] = {WEFT_PEER_OWN, "near", "far"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        snprintf(peers[i].id, sizeof peers[i].id, "%s", names[i]);
        sessions[i] = (weft_session){.peer = &peers[i]};
    }
    snprintf(workload.name, sizeof workload.name, "planted");
    return 0;
}

static void add(weft_cell *cell, int peer, uint32_t round, double rate) {
    weft_sample sample = {.rate = rate};
    weft_cell_add(cell, &sessions[peer], &sample, round);
}

/* As `add`, in a round in which others were on the processors. */
static void add_disturbed(weft_cell *cell, int peer, uint32_t round, double rate) {
    weft_sample sample = {.rate = rate, .noise = {.foreign = true}};
    weft_cell_add(cell, &sessions[peer], &sample, round);
}

static const weft_noise noise;

/* The cell as the result holds it, if a ratio is to be known so well; the caller frees it. */
static json_t *finish_precisely(weft_cell *cell, double half_width, bool quiet) {
    json_t *cells = json_array();
    json_t *ceilings = json_array();
    weft_cell_context context = {ceilings, &noise, half_width};
    assert_int_equal(weft_cell_finish(cell, cells, &context), quiet);
    json_t *result = json_incref(json_array_get(cells, 0));
    json_decref(cells);
    json_decref(ceilings);
    return result;
}

static json_t *finish(weft_cell *cell, bool quiet) {
    return finish_precisely(cell, INFINITY, quiet);
}

static double number(const json_t *cell, const char *key) {
    return json_number_value(json_object_get(cell, key));
}

/* Disturbed rounds don't count where there are enough others. */
static void ratio_is_of_quiet_rounds(void **state) {
    (void)state;
    weft_cell cell;
    weft_cell_begin(&cell, &workload, 2, 3);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        (round < 3 ? add : add_disturbed)(&cell, 0, round, round < 3 ? 30 : 5);
        add(&cell, 1, round, 10);
    }
    json_t *result = finish(&cell, true);
    assert_true(number(result, "ratio") == 3 && number(result, "ratio_low") == 3);
    assert_int_equal(number(result, "quiet_rounds"), 3);
    json_t *own = json_array_get(json_object_get(result, "results"), 0);
    assert_int_equal(json_array_size(json_object_get(own, "disturbed")), 3);
    assert_int_equal(json_array_size(json_object_get(own, "samples")), ROUNDS);
    json_decref(result);
}

static void too_few_quiet_rounds_are_said(void **state) {
    (void)state;
    weft_cell cell;
    weft_cell_begin(&cell, &workload, 2, 3);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        add(&cell, 0, round, 30);
        (round < 2 ? add : add_disturbed)(&cell, 1, round, round < 2 ? 10 : 15);
    }
    json_t *result = finish(&cell, false);
    assert_true(number(result, "ratio") == 2 && number(result, "ratio_high") == 3);
    assert_int_equal(number(result, "quiet_rounds"), 0);
    json_decref(result);
}

/* Who was left behind after a round that suited it is not the best peer. */
static void best_peer_was_there_throughout(void **state) {
    (void)state;
    weft_cell cell;
    weft_cell_begin(&cell, &workload, 2, 3);
    add(&cell, 0, 0, 50);
    add(&cell, 1, 0, 60);
    add(&cell, 2, 0, 20);
    assert_false(weft_cell_is_behind(&cell, &sessions[0], 1.1));
    assert_false(weft_cell_is_behind(&cell, &sessions[1], 1.1));
    assert_true(weft_cell_is_behind(&cell, &sessions[2], 2.9));
    assert_false(weft_cell_is_behind(&cell, &sessions[2], 3.1));
    for (uint32_t round = 1; round < ROUNDS; round++) {
        add(&cell, 0, round, 15);
        add(&cell, 1, round, 10);
    }
    json_t *result = finish(&cell, true);
    assert_string_equal(json_string_value(json_object_get(result, "best_peer")), "near");
    assert_true(number(result, "ratio") == 1.5);
    json_decref(result);
}

/* By rounds, not by medians: the peer that had the faster half of the machine is not better. */
static void best_peer_is_found_by_rounds(void **state) {
    (void)state;
    weft_cell cell;
    weft_cell_begin(&cell, &workload, 2, 3);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        double mood = round < 3 ? 1 : 10;
        add(&cell, 0, round, 30 * mood);
        if (round < 4) {
            add(&cell, 1, round, 20 * mood);
        }
        if (round > 1) {
            add(&cell, 2, round, 15 * mood);
        }
    }
    json_t *result = finish(&cell, true);
    assert_string_equal(json_string_value(json_object_get(result, "best_peer")), "near");
    assert_true(number(result, "ratio") == 1.5);
    json_decref(result);
}

/* Six rounds whose ratios go from 1.9 to 2.1: with 95 % the median is known to a twentieth. */
static void precision_is_that_of_the_rounds(void **state) {
    (void)state;
    for (int wanted = 0; wanted < 2; wanted++) {
        weft_cell cell;
        weft_cell_begin(&cell, &workload, 2, 3);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            assert_false(weft_cell_is_precise(&cell, &noise, 1));
            add(&cell, 0, round, round == 0 ? 19 : round == 1 ? 21 : 20);
            add(&cell, 1, round, 10);
        }
        assert_true(weft_cell_is_precise(&cell, &noise, 0.051));
        assert_false(weft_cell_is_precise(&cell, &noise, 0.049));
        json_decref(finish_precisely(&cell, wanted ? 0.051 : 0.049, wanted));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratio_is_of_quiet_rounds),
        cmocka_unit_test(too_few_quiet_rounds_are_said),
        cmocka_unit_test(best_peer_was_there_throughout),
        cmocka_unit_test(best_peer_is_found_by_rounds),
        cmocka_unit_test(precision_is_that_of_the_rounds),
    };
    return cmocka_run_group_tests_name("cell", tests, setup, NULL);
}
