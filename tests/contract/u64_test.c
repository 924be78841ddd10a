/* SPDX-License-Identifier: MIT */
/* Every operation of weft_u64map on one thread, and every status that it can answer. */
#include "contract/contract.h"

#include <weft/weft.h>

static void expect(weft_u64map *map, uint64_t key, uint64_t value) {
    uint64_t found = ~value;
    assert_ok(weft_u64map_get(map, key, &found));
    assert_true(found == value);
}

static void open_refuses_bad_options(void **state) {
    weft_u64map map = WEFT_U64MAP_INIT;
    weft_map_options options = contract_options(state);
    options.size = 1;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_INVALID);
    options = contract_options(state);
    options.refcount = true;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_UNSUPPORTED);
    assert_null(map.impl);
}

static void never_used_map_reads_as_empty(void **state) {
    weft_u64map map = WEFT_U64MAP_INIT;
    weft_u64map_iter iter;
    weft_u64pair pair;
    uint64_t value = 5;
    (void)state;
    assert_int_equal(weft_u64map_get(&map, 1, &value), WEFT_NOT_FOUND);
    assert_int_equal(value, 0);
    assert_true(weft_u64map_is_empty(&map));
    weft_u64map_iter_start(&map, &iter);
    assert_int_equal(weft_u64map_iter_next(&iter, &pair), WEFT_NOT_FOUND);
    assert_null(map.impl);
    assert_ok(weft_u64map_put(&map, 1, 2));
    expect(&map, 1, 2);
    contract_close_u64(&map);
}

static void every_bit_pattern_is_legal(void **state) {
    static const uint64_t patterns[] = {0,
                                        1,
                                        2,
                                        3,
                                        UINT64_MAX,
                                        UINT64_MAX - 1,
                                        (uint64_t)1 << 63,
                                        0x3f,
                                        64,
                                        0xffffffff,
                                        0xaaaaaaaaaaaaaaaa};
    enum { COUNT = sizeof patterns / sizeof *patterns };
    weft_u64map map = contract_open_u64(state);
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < COUNT; k++) {
            assert_ok(weft_u64map_put(&map, patterns[i], patterns[k]));
            expect(&map, patterns[i], patterns[k]);
        }
    }
    assert_int_equal(weft_u64map_len(&map), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_ok(weft_u64map_remove(&map, patterns[i]));
        assert_int_equal(weft_u64map_contains(&map, patterns[i]), WEFT_NOT_FOUND);
    }
    contract_close_u64(&map);
}

static void swap_insert_replace_cas(void **state) {
    weft_u64map map = contract_open_u64(state);
    uint64_t old = 77;
    assert_int_equal(weft_u64map_replace(&map, 1, 5), WEFT_NOT_FOUND);
    assert_int_equal(weft_u64map_swap(&map, 1, 5, &old), WEFT_NOT_FOUND);
    assert_int_equal(old, 77);
    assert_ok(weft_u64map_swap(&map, 1, 6, &old));
    assert_int_equal(old, 5);
    assert_int_equal(weft_u64map_insert(&map, 1, 7), WEFT_EXISTS);
    assert_ok(weft_u64map_insert(&map, 2, 7));
    assert_int_equal(weft_u64map_get_or_insert(&map, 2, 9, &old), WEFT_EXISTS);
    assert_int_equal(old, 7);
    assert_ok(weft_u64map_get_or_insert(&map, 3, 9, &old));
    assert_int_equal(old, 9);
    assert_ok(weft_u64map_replace(&map, 3, 10));
    assert_int_equal(weft_u64map_cas(&map, 4, 0, 1), WEFT_NOT_FOUND);
    assert_int_equal(weft_u64map_cas(&map, 3, 9, 1), WEFT_MISMATCH);
    assert_ok(weft_u64map_cas(&map, 3, 10, 10));
    assert_ok(weft_u64map_cas(&map, 3, 10, 11));
    expect(&map, 3, 11);
    contract_close_u64(&map);
}

static bool is_odd(void *ctx, weft_u64pair entry) {
    (void)ctx;
    return entry.value % 2 == 1;
}

static void removals(void **state) {
    weft_u64map map = contract_open_u64(state);
    uint64_t value = 0;
    assert_int_equal(weft_u64map_remove(&map, 1), WEFT_NOT_FOUND);
    assert_int_equal(weft_u64map_take(&map, 1, &value), WEFT_NOT_FOUND);
    assert_int_equal(weft_u64map_remove_eq(&map, 1, 0), WEFT_NOT_FOUND);
    assert_int_equal(weft_u64map_remove_if(&map, 1, is_odd, NULL), WEFT_NOT_FOUND);
    assert_ok(weft_u64map_put(&map, 1, 4));
    assert_int_equal(weft_u64map_remove_eq(&map, 1, 5), WEFT_MISMATCH);
    assert_int_equal(weft_u64map_remove_if(&map, 1, is_odd, NULL), WEFT_MISMATCH);
    assert_ok(weft_u64map_take(&map, 1, &value));
    assert_int_equal(value, 4);
    assert_ok(weft_u64map_put(&map, 1, 5));
    assert_ok(weft_u64map_remove_if(&map, 1, is_odd, NULL));
    assert_ok(weft_u64map_put(&map, 1, 5));
    assert_ok(weft_u64map_remove_eq(&map, 1, 5));
    assert_true(weft_u64map_is_empty(&map));
    contract_close_u64(&map);
}

static uint64_t multiply(void *ctx, uint64_t old, uint64_t operand) {
    (void)ctx;
    return old * operand;
}

static bool any_pair(void *ctx, weft_u64pair pair) {
    (void)ctx;
    (void)pair;
    return true;
}

static weft_verdict removes(void *ctx, const uint64_t *old, uint64_t *fresh) {
    (void)ctx;
    (void)old;
    (void)fresh;
    return WEFT_DEL;
}

static int remove_in_way(weft_u64map *map, int way, uint64_t key) {
    uint64_t value;
    switch (way) {
    case 0:
        return weft_u64map_remove(map, key);
    case 1:
        return weft_u64map_take(map, key, &value);
    case 2:
        return weft_u64map_remove_eq(map, key, key);
    case 3:
        return weft_u64map_remove_if(map, key, any_pair, NULL);
    default: {
        weft_u64compute compute = {.mode = WEFT_OPTIMISTIC, .fn = removes};
        return weft_u64map_compute(map, key, &compute, NULL);
    }
    }
}

static void each_way_to_remove_shrinks_the_map(void **state) {
    enum { WAYS = 5, LEFT = 50 };
    const uint64_t keys = contract_scaled(state, 20000);
    for (int way = 0; contract_grows(state) && way < WAYS; way++) {
        weft_map_options options = contract_options(state);
        weft_u64map map = WEFT_U64MAP_INIT;
        weft_map_stats full, thin;
        assert_ok(weft_u64map_open(&map, &options));
        for (uint64_t key = 0; key < keys; key++) {
            assert_ok(weft_u64map_put(&map, key, key));
        }
        weft_u64map_stats_get(&map, &full);
        for (uint64_t key = LEFT; key < keys; key++) {
            assert_ok(remove_in_way(&map, way, key));
        }
        for (uint64_t i = 0; i < keys; i++) { /* the ordinary work of a small map */
            assert_ok(weft_u64map_put(&map, keys, keys));
            assert_ok(remove_in_way(&map, way, keys));
        }
        if (contract_keeps_removed(state)) {
            (void)weft_u64map_maintain(&map, 1);
        }
        weft_u64map_stats_get(&map, &thin);
        assert_true(thin.buckets <= full.buckets / 4 || !contract_can(state, WEFT_CAP_SHRINK));
        contract_close_u64(&map);
    }
}

static void fetch_and_merge(void **state) {
    weft_u64map map = contract_open_u64(state);
    weft_u64merge merge = {multiply, NULL};
    int64_t old = -1;
    assert_ok(weft_u64map_fetch_add(&map, 1, 3, &old));
    assert_int_equal(old, 0);
    assert_ok(weft_u64map_fetch_add(&map, 1, -5, NULL));
    assert_ok(weft_u64map_fetch(&map, 1, (weft_fetch){WEFT_FETCH_MAX, 1}, &old));
    assert_int_equal(old, -2);
    assert_ok(weft_u64map_fetch(&map, 1, (weft_fetch){WEFT_FETCH_OR, 6}, &old));
    assert_ok(weft_u64map_fetch(&map, 1, (weft_fetch){WEFT_FETCH_MIN, -1}, &old));
    assert_int_equal(old, 7);
    assert_int_equal(weft_u64map_fetch(&map, 1, (weft_fetch){(weft_fetch_op)-1, 1}, &old),
                     WEFT_E_INVALID);
    assert_ok(weft_u64map_merge(&map, 2, 6, &merge));
    assert_ok(weft_u64map_merge(&map, 2, 7, &merge));
    expect(&map, 2, 42);
    contract_close_u64(&map);
}

typedef struct plan {
    weft_verdict verdict;
    int calls;
    weft_u64map *map;
} plan;

static weft_verdict follow_plan(void *ctx, const uint64_t *old, uint64_t *fresh) {
    plan *p = ctx;
    p->calls++;
    *fresh = old == NULL ? 100 : *old + 1;
    return p->verdict;
}

static void compute_carries_out(void **state, weft_compute_mode mode) {
    weft_u64map map = contract_open_u64(state);
    plan p = {.verdict = WEFT_DEL, .map = &map};
    weft_u64compute compute = {follow_plan, &p, mode};
    weft_outcome outcome;
    assert_int_equal(weft_u64map_compute(&map, 1, &compute, &outcome), WEFT_UNCHANGED);
    p.verdict = WEFT_SET;
    assert_ok(weft_u64map_compute(&map, 1, &compute, &outcome));
    assert_false(outcome.existed);
    assert_ok(weft_u64map_compute(&map, 1, &compute, &outcome));
    assert_true(outcome.existed);
    expect(&map, 1, 101);
    p.verdict = WEFT_KEEP;
    assert_int_equal(weft_u64map_compute(&map, 1, &compute, NULL), WEFT_UNCHANGED);
    p.verdict = WEFT_ABORT;
    assert_int_equal(weft_u64map_compute(&map, 1, &compute, NULL), WEFT_ABORTED);
    expect(&map, 1, 101);
    p.verdict = WEFT_DEL;
    assert_ok(weft_u64map_compute(&map, 1, &compute, &outcome));
    assert_int_equal(outcome.verdict, WEFT_DEL);
    assert_true(weft_u64map_is_empty(&map));
    assert_true(mode == WEFT_EXCLUSIVE ? p.calls == 6 : p.calls >= 6);
    contract_close_u64(&map);
}

static void compute_optimistic(void **state) {
    compute_carries_out(state, WEFT_OPTIMISTIC);
}

static void compute_exclusive(void **state) {
    compute_carries_out(state, WEFT_EXCLUSIVE);
}

static weft_verdict enter_again(void *ctx, const uint64_t *old, uint64_t *fresh) {
    plan *p = ctx;
    weft_u64compute again = {enter_again, p, WEFT_EXCLUSIVE};
    (void)old;
    if (p->calls++ == 0) {
        assert_int_equal(weft_u64map_compute(p->map, 1, &again, NULL), WEFT_E_REENTRANT);
        assert_ok(weft_u64map_put(p->map, 1, 1));
    }
    *fresh = 9;
    return WEFT_SET;
}

static void H_claims_notice_reentry_and_others(void **state) {
    weft_u64map map = contract_open_u64(state);
    plan p = {.map = &map};
    weft_u64compute compute = {enter_again, &p, WEFT_EXCLUSIVE};
    assert_int_equal(weft_u64map_compute(&map, 1, &compute, NULL), WEFT_MISMATCH);
    expect(&map, 1, 1);
    contract_close_u64(&map);
}

static int build(void *ctx, uint64_t key, uint64_t *fresh) {
    plan *p = ctx;
    weft_u64build again = {build, p};
    assert_int_equal(weft_u64map_get_or_build(p->map, key, &again, fresh), WEFT_E_REENTRANT);
    *fresh = key * 2;
    return ++p->calls == 1 ? -77 : WEFT_OK;
}

static void get_or_build_builds_once(void **state) {
    weft_u64map map = contract_open_u64(state);
    plan p = {.map = &map};
    weft_u64build builder = {build, &p};
    uint64_t value = 0;
    assert_int_equal(weft_u64map_get_or_build(&map, 4, &builder, &value), -77);
    assert_ok(weft_u64map_get_or_build(&map, 4, &builder, &value));
    assert_ok(weft_u64map_get_or_build(&map, 4, &builder, &value));
    assert_int_equal(value, 8);
    assert_int_equal(p.calls, 2);
    contract_close_u64(&map);
}

static void many_at_a_time(void **state) {
    weft_u64map map = contract_open_u64(state);
    uint64_t keys[3] = {1, 2, 3};
    uint64_t values[3] = {10, 20, 30};
    weft_u64found found[3];
    size_t removed = 0;
    assert_ok(weft_u64map_put_many(&map, keys, values, 2));
    assert_ok(weft_u64map_get_many(&map, keys, 3, found));
    assert_int_equal(found[1].value, 20);
    assert_int_equal(found[1].status, WEFT_OK);
    assert_int_equal(found[2].status, WEFT_NOT_FOUND);
    assert_ok(weft_u64map_remove_many(&map, keys, 3, &removed));
    assert_int_equal(removed, 2);
    assert_true(weft_u64map_is_empty(&map));
    contract_close_u64(&map);
}

static const contract_test tests[] = {
    CONTRACT(open_refuses_bad_options),
    CONTRACT(never_used_map_reads_as_empty),
    CONTRACT(every_bit_pattern_is_legal),
    CONTRACT(swap_insert_replace_cas),
    CONTRACT(removals),
    CONTRACT(each_way_to_remove_shrinks_the_map),
    CONTRACT(fetch_and_merge),
    CONTRACT(compute_optimistic),
    CONTRACT(compute_exclusive),
    CONTRACT(H_claims_notice_reentry_and_others),
    CONTRACT(get_or_build_builds_once),
    CONTRACT(many_at_a_time),
};

int main(void) {
    return contract_run("contract/u64", tests, COUNT_OF(tests));
}
