/* SPDX-License-Identifier: MIT */
/* The linearizability checker: histories whose answer is known, and random ones from a map that is
 * right and from maps that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/history.h"
#include "harness/prng.h"
#include <string.h>

static weft_history history;
static weft_history_checker *checker;

static int set_up(void **state) {
    (void)state;
    checker = weft_history_checker_new();
    return checker ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    weft_history_checker_free(checker);
    return 0;
}

static void add(weft_history_event event) {
    assert_true(history.count < WEFT_HISTORY_EVENTS_MAX);
    history.events[history.count++] = event;
}

static weft_history_event put(uint64_t value, uint64_t call, uint64_t back) {
    return (weft_history_event){.op = WEFT_HISTORY_PUT, .value = value, .call = call, .back = back};
}

static weft_history_event get(uint64_t result, uint64_t call, uint64_t back) {
    return (weft_history_event){
        .op = WEFT_HISTORY_GET, .result = result, .call = call, .back = back};
}

static weft_history_event get_none(uint64_t call, uint64_t back) {
    return (weft_history_event){
        .op = WEFT_HISTORY_GET, .status = WEFT_NOT_FOUND, .call = call, .back = back};
}

static void expect(weft_history_answer answer) {
    assert_int_equal(weft_history_check(checker, &history, NULL), answer);
    weft_history_reset(&history);
}

static void reads_of_one_register(void **state) {
    (void)state;
    expect(WEFT_HISTORY_LINEARIZABLE); /* nothing happened */

    add(put(1, 0, 1));
    add(get(1, 2, 3));
    expect(WEFT_HISTORY_LINEARIZABLE);

    add(put(1, 0, 1));
    add(get_none(2, 3)); /* the put had returned */
    expect(WEFT_HISTORY_VIOLATION);

    add(put(1, 0, 5));
    add(get_none(1, 2)); /* before the put took effect */
    add(get(1, 3, 4));
    expect(WEFT_HISTORY_LINEARIZABLE);

    add(put(1, 0, 5));
    add(get(1, 1, 2));
    add(get_none(3, 4)); /* seen, and then unseen */
    expect(WEFT_HISTORY_VIOLATION);

    add(get(7, 0, 1)); /* nobody wrote it */
    expect(WEFT_HISTORY_VIOLATION);
}

/* Two readers that see two concurrent writes in opposite orders. */
static void writes_have_one_order(void **state) {
    (void)state;
    for (int opposite = 0; opposite < 2; opposite++) {
        add(put(1, 0, 10));
        add(put(2, 1, 11));
        add(get(1, 12, 13));
        add(get(opposite ? 2 : 1, 14, 15));
        expect(opposite ? WEFT_HISTORY_VIOLATION : WEFT_HISTORY_LINEARIZABLE);
    }
}

static weft_history_event fetch_add(uint64_t old, uint64_t call, uint64_t back) {
    return (weft_history_event){
        .op = WEFT_HISTORY_FETCH_ADD, .value = 1, .result = old, .call = call, .back = back};
}

static void lost_update_is_seen(void **state) {
    (void)state;
    add(fetch_add(0, 0, 10));
    add(fetch_add(1, 1, 9));
    add(get(2, 11, 12));
    expect(WEFT_HISTORY_LINEARIZABLE);
    add(fetch_add(0, 0, 10));
    add(fetch_add(0, 1, 9));
    expect(WEFT_HISTORY_VIOLATION);
}

static void conditional_operations(void **state) {
    (void)state;
    weft_history_event insert = {.op = WEFT_HISTORY_INSERT, .value = 1, .call = 0, .back = 5};
    weft_history_event other = {
        .op = WEFT_HISTORY_INSERT, .value = 2, .status = WEFT_EXISTS, .call = 1, .back = 6};
    weft_history_event cas = {
        .op = WEFT_HISTORY_CAS, .expected = 1, .value = 3, .call = 7, .back = 8};
    weft_history_event swap = {
        .op = WEFT_HISTORY_SWAP, .value = 4, .result = 3, .call = 9, .back = 10};
    weft_history_event remove = {
        .op = WEFT_HISTORY_REMOVE_EQ, .expected = 4, .call = 11, .back = 12};
    add(insert);
    add(other);
    add(cas);
    add(swap);
    add(remove);
    add(get_none(13, 14));
    expect(WEFT_HISTORY_LINEARIZABLE);

    other.status = WEFT_OK; /* two winners */
    add(insert);
    add(other);
    expect(WEFT_HISTORY_VIOLATION);

    weft_history_event gone = {.op = WEFT_HISTORY_REMOVE, .call = 7, .back = 8};
    weft_history_event again = {.op = WEFT_HISTORY_REMOVE, .call = 6, .back = 9};
    add(insert);
    add(gone);
    add(again); /* one entry, removed twice */
    expect(WEFT_HISTORY_VIOLATION);

    weft_history_event refused = put(9, 20, 21);
    refused.status = WEFT_E_NOMEM;
    add(refused);
    add(get(9, 22, 23)); /* a failed put that was stored after all */
    expect(WEFT_HISTORY_VIOLATION);
}

/* A clear acts on all keys at one point: each key by itself would be explained here. */
static void clear_is_one_point(void **state) {
    (void)state;
    for (int torn = 0; torn < 2; torn++) {
        history.start[0] = (weft_history_value){true, 1};
        history.start[1] = (weft_history_value){true, 1};
        weft_history_event clear = {.op = WEFT_HISTORY_CLEAR, .call = 0, .back = 10};
        weft_history_event gone = get_none(1, 2);
        weft_history_event there = get(1, 3, 4);
        there.key = 1;
        if (!torn) {
            there.call = 0;
            there.back = 1;
        }
        add(clear);
        add(gone);
        add(there);
        expect(torn ? WEFT_HISTORY_VIOLATION : WEFT_HISTORY_LINEARIZABLE);
    }
}

/* A snapshot looks at all keys at one point: each key by itself would be explained here. */
static void snapshot_is_one_point(void **state) {
    (void)state;
    for (int torn = 0; torn < 2; torn++) {
        weft_history_event first = put(1, 0, 1);
        weft_history_event second = put(1, 2, 3);
        second.key = 1;
        weft_history_event picture = {.op = WEFT_HISTORY_SNAPSHOT, .call = 0, .back = 10};
        picture.image[torn ? 1 : 0] = (weft_history_value){true, 1};
        add(first);
        add(second);
        add(picture);
        expect(torn ? WEFT_HISTORY_VIOLATION : WEFT_HISTORY_LINEARIZABLE);
    }
    weft_history_event refused = {
        .op = WEFT_HISTORY_SNAPSHOT, .status = WEFT_E_BUSY, .call = 4, .back = 5};
    add(put(1, 0, 1));
    add(refused); /* shows nothing, and need not */
    expect(WEFT_HISTORY_LINEARIZABLE);
}

static void end_state_counts(void **state) {
    (void)state;
    weft_history_value end[WEFT_HISTORY_KEYS_MAX] = {{true, 2}};
    add(put(1, 0, 3));
    add(put(2, 1, 2));
    assert_int_equal(weft_history_check(checker, &history, end), WEFT_HISTORY_LINEARIZABLE);
    end[0].value = 3;
    assert_int_equal(weft_history_check(checker, &history, end), WEFT_HISTORY_VIOLATION);
    end[0].present = false;
    assert_int_equal(weft_history_check(checker, &history, end), WEFT_HISTORY_VIOLATION);
    weft_history_reset(&history);
}

static void limits_are_told(void **state) {
    (void)state;
    for (uint64_t i = 0; i <= WEFT_HISTORY_SEARCH_MAX; i++) {
        add(put(i, 2 * i, 2 * i + 1));
    }
    expect(WEFT_HISTORY_TOO_LONG);
    for (uint64_t i = 0; i < WEFT_HISTORY_SEARCH_MAX; i++) {
        add(put(i, 2 * i, 2 * i + 1));
    }
    expect(WEFT_HISTORY_LINEARIZABLE);
}

/* One register that does each operation at a random moment of its interval; `fault` is the chance,
 * in 256, that an answer is spoilt. True if one was. */
static bool make_random(weft_prng *prng, uint32_t fault) {
    uint64_t value = 0;
    bool present = false;
    bool spoilt = false;
    unsigned count = 2 + weft_prng_below(prng, 16);
    for (unsigned i = 0; i < count; i++) {
        uint64_t moment = 100 + 10 * i;
        weft_history_event event = {.call = moment - weft_prng_below(prng, 40),
                                    .back = moment + 1 + weft_prng_below(prng, 40)};
        if (weft_prng_below(prng, 2)) {
            event.op = WEFT_HISTORY_FETCH_ADD;
            event.value = 1;
            event.result = present ? value : 0;
            value = event.result + 1;
            present = true;
        } else {
            event.op = WEFT_HISTORY_REMOVE;
            event.status = present ? WEFT_OK : WEFT_NOT_FOUND;
            present = false;
        }
        if (weft_prng_below(prng, 256) < fault) {
            event.result += 1000;
            spoilt |= event.op == WEFT_HISTORY_FETCH_ADD;
        }
        add(event);
    }
    return spoilt;
}

static void random_histories(void **state) {
    (void)state;
    weft_prng prng = weft_prng_of(1);
    unsigned caught = 0;
    for (int round = 0; round < 20000; round++) {
        bool spoilt = make_random(&prng, round % 2 ? 40 : 0);
        weft_history_answer answer = weft_history_check(checker, &history, NULL);
        assert_int_equal(answer, spoilt ? WEFT_HISTORY_VIOLATION : WEFT_HISTORY_LINEARIZABLE);
        caught += spoilt;
        weft_history_reset(&history);
    }
    assert_true(caught > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_of_one_register), cmocka_unit_test(writes_have_one_order),
        cmocka_unit_test(lost_update_is_seen),   cmocka_unit_test(conditional_operations),
        cmocka_unit_test(clear_is_one_point),    cmocka_unit_test(snapshot_is_one_point),
        cmocka_unit_test(end_state_counts),      cmocka_unit_test(limits_are_told),
        cmocka_unit_test(random_histories),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
