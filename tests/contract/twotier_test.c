/* SPDX-License-Identifier: MIT */
/* Engine twotier: the mechanism of Go's sync.Map, step by step, as the figures show it; what the
 * options change. */
#include "contract/contract.h"

#include "base/clock.h"
#include "harness/prng.h"

static weft_u64map open_u64(weft_twotier_options twotier) {
    weft_map_options options = {
        .size = sizeof options, .engine = WEFT_ENGINE_TWOTIER, .twotier = twotier};
    weft_u64map map = WEFT_U64MAP_INIT;
    assert_ok(weft_u64map_open(&map, &options));
    return map;
}

static weft_tier_stats tiers_of(weft_u64map *map) {
    weft_map_stats stats;
    weft_u64map_stats_get(map, &stats);
    assert_ok(weft_u64map_check(map, NULL, 0));
    return stats.tiers;
}

static void put_keys(weft_u64map *map, uint64_t from, uint64_t to) {
    for (uint64_t key = from; key < to; key++) {
        assert_ok(weft_u64map_put(map, key, key));
    }
}

/* The sizes of both tiers, amended or not. */
static void require_tiers(weft_u64map *map, uint64_t read, uint64_t dirty, bool amended) {
    weft_tier_stats now = tiers_of(map);
    assert_int_equal(now.read_entries, read);
    assert_int_equal(now.dirty_entries, dirty);
    assert_int_equal(now.amended, amended);
}

static bool visit(void *ctx, weft_u64pair pair) {
    (void)pair;
    ++*(uint64_t *)ctx;
    return true;
}

/* As Go does it, one call at a time. */
static void mechanism_step_by_step(void **state) {
    (void)state;
    uint64_t value;
    weft_u64map map = open_u64((weft_twotier_options){0});
    require_tiers(&map, 0, 0, false);
    put_keys(&map, 1, 4); /* the first store amends */
    require_tiers(&map, 0, 3, true);
    assert_int_equal(tiers_of(&map).threshold, 3);
    assert_int_equal(tiers_of(&map).misses, 0);
    assert_ok(weft_u64map_get(&map, 1, &value));
    assert_int_equal(weft_u64map_get(&map, 99, &value), WEFT_NOT_FOUND);
    assert_int_equal(tiers_of(&map).misses, 2); /* an absent key is a miss, too */
    require_tiers(&map, 0, 3, true);
    assert_ok(weft_u64map_get(&map, 2, &value)); /* as many misses as keys */
    require_tiers(&map, 3, 0, false);
    assert_int_equal(tiers_of(&map).promotions, 1);
    assert_int_equal(weft_u64map_get(&map, 99, &value), WEFT_NOT_FOUND); /* without the lock */
    assert_int_equal(tiers_of(&map).misses, 0);

    assert_ok(weft_u64map_remove(&map, 2)); /* nil: still in the read tier */
    require_tiers(&map, 3, 0, false);
    assert_int_equal(tiers_of(&map).removed, 1);
    assert_int_equal(tiers_of(&map).expunged, 0);
    uint64_t copied = tiers_of(&map).copied_entries;
    put_keys(&map, 4, 5); /* rebuilds dirty: what is nil is expunged */
    require_tiers(&map, 3, 3, true);
    assert_int_equal(tiers_of(&map).removed, 0);
    assert_int_equal(tiers_of(&map).expunged, 1);
    assert_int_equal(tiers_of(&map).copied_entries - copied, 2);
    assert_int_equal(weft_u64map_get(&map, 2, &value), WEFT_NOT_FOUND);
    assert_int_equal(tiers_of(&map).misses, 0); /* it is in the read tier */

    put_keys(&map, 2, 3); /* un-expunged, and in dirty again */
    require_tiers(&map, 3, 4, true);
    assert_int_equal(tiers_of(&map).expunged, 0);
    assert_ok(weft_u64map_get(&map, 2, &value));
    assert_int_equal(value, 2);

    uint64_t visited = 0; /* Range promotes */
    assert_ok(weft_u64map_foreach(&map, visit, &visited));
    assert_int_equal(visited, 4);
    require_tiers(&map, 4, 0, false);
    assert_int_equal(tiers_of(&map).promotions, 2);
    contract_close_u64(&map);
}

/* An expunged key that nobody stores again is gone with the read tier. */
static void promotion_drops_what_was_expunged(void **state) {
    (void)state;
    uint64_t visited = 0;
    weft_u64map map = open_u64((weft_twotier_options){0});
    put_keys(&map, 0, 100);
    assert_ok(weft_u64map_foreach(&map, visit, &visited));
    for (uint64_t key = 0; key < 60; key++) {
        assert_ok(weft_u64map_remove(&map, key));
    }
    put_keys(&map, 100, 101);
    require_tiers(&map, 100, 41, true);
    assert_int_equal(tiers_of(&map).expunged, 60);
    assert_ok(weft_u64map_foreach(&map, visit, &visited));
    require_tiers(&map, 41, 0, false);
    assert_int_equal(tiers_of(&map).expunged, 0);
    put_keys(&map, 0, 60);
    require_tiers(&map, 41, 101, true);
    contract_close_u64(&map);
}

/* LoadOrStore, CompareAndSwap and CompareAndDelete count a miss if the key is in dirty alone, and
 * none if it is absent or in the read tier. */
static void writes_count_misses_as_go_does(void **state) {
    (void)state;
    uint64_t visited = 0;
    weft_u64map map = open_u64((weft_twotier_options){.promote_after = 100});
    put_keys(&map, 0, 10);
    assert_ok(weft_u64map_foreach(&map, visit, &visited));
    put_keys(&map, 10, 20);
    assert_int_equal(tiers_of(&map).misses, 0);
    assert_int_equal(weft_u64map_insert(&map, 12, 0), WEFT_EXISTS);
    assert_ok(weft_u64map_cas(&map, 13, 13, 14));
    assert_ok(weft_u64map_remove_eq(&map, 14, 14));
    assert_ok(weft_u64map_put(&map, 15, 1));
    assert_int_equal(tiers_of(&map).misses, 4);
    assert_int_equal(weft_u64map_insert(&map, 2, 0), WEFT_EXISTS);
    assert_ok(weft_u64map_cas(&map, 3, 3, 4));
    assert_ok(weft_u64map_remove_eq(&map, 4, 4));
    assert_ok(weft_u64map_put(&map, 4, 1));
    assert_int_equal(weft_u64map_cas(&map, 77, 1, 2), WEFT_NOT_FOUND);
    assert_int_equal(tiers_of(&map).misses, 4);
    contract_close_u64(&map);
}

static void promotes_at_exactly_the_threshold(void **state) {
    (void)state;
    static const uint32_t factors[] = {0, 1, 3, 5};
    for (size_t i = 0; i < COUNT_OF(factors); i++) {
        enum { KEYS = 70 };
        uint64_t value;
        uint64_t due = KEYS * (factors[i] == 0 ? 1 : factors[i]);
        weft_u64map map = open_u64((weft_twotier_options){.promote_after = factors[i]});
        put_keys(&map, 0, KEYS);
        assert_int_equal(tiers_of(&map).threshold, due);
        for (uint64_t misses = 1; misses < due; misses++) {
            assert_ok(weft_u64map_get(&map, misses % KEYS, &value));
            assert_int_equal(tiers_of(&map).misses, misses);
        }
        assert_int_equal(tiers_of(&map).promotions, 0);
        assert_ok(weft_u64map_get(&map, 0, &value));
        assert_int_equal(tiers_of(&map).promotions, 1);
        contract_close_u64(&map);
    }
}

/* ---- removed keys ---- */

enum { CHURN = 20000, LIVE = 200 };

static void churn(weft_u64map *map) {
    put_keys(map, 0, LIVE);
    for (uint64_t key = 0; key < CHURN; key++) {
        assert_ok(weft_u64map_put(map, LIVE + key, key));
        assert_ok(weft_u64map_remove(map, key));
    }
}

/* The known leak: dirty has ever more keys, so there are never enough misses. */
static void removed_keys_stay_in_dirty(void **state) {
    (void)state;
    weft_u64map map = open_u64((weft_twotier_options){0});
    churn(&map);
    weft_tier_stats leaked = tiers_of(&map);
    assert_int_equal(leaked.removed, CHURN);
    assert_int_equal(leaked.dirty_entries, CHURN + LIVE);
    assert_int_equal(leaked.promotions, 0);
    (void)weft_u64map_maintain(&map, 1);
    assert_int_equal(tiers_of(&map).removed, 0);
    contract_close_u64(&map);
}

static void removed_keys_are_let_go_incrementally(void **state) {
    (void)state;
    weft_u64map map = open_u64((weft_twotier_options){.incremental = true});
    weft_map_stats full;
    put_keys(&map, 0, LIVE);
    weft_u64map_stats_get(&map, &full);
    churn(&map);
    assert_true(tiers_of(&map).removed <= 2 * LIVE);
    weft_map_stats after;
    weft_u64map_stats_get(&map, &after);
    assert_true(after.table_bytes <= 4 * full.table_bytes);
    contract_close_u64(&map);
}

/* ---- steps ---- */

/* The most entries that one call has copied, while the map grows and is read. */
static uint64_t longest_step(weft_u64map *map, uint64_t keys) {
    uint64_t longest = 0;
    uint64_t copied = 0;
    for (uint64_t key = 0; key < keys; key++) {
        uint64_t value;
        assert_ok(weft_u64map_put(map, key, key));
        for (uint64_t i = 0; i < 4; i++) {
            assert_ok(weft_u64map_get(map, key * (i + 1) / 4, &value));
        }
        weft_map_stats stats;
        weft_u64map_stats_get(map, &stats);
        uint64_t step = stats.tiers.copied_entries - copied;
        longest = step > longest ? step : longest;
        copied = stats.tiers.copied_entries;
    }
    return longest;
}

static void no_call_copies_the_table_incrementally(void **state) {
    (void)state;
    enum { KEYS = 30000, FEW = 400 };
    weft_u64map whole = open_u64((weft_twotier_options){0});
    assert_true(longest_step(&whole, KEYS) > KEYS / 4);
    contract_close_u64(&whole);
    weft_u64map parts = open_u64((weft_twotier_options){.incremental = true});
    assert_true(longest_step(&parts, KEYS) < FEW);
    assert_true(tiers_of(&parts).promotions > KEYS / FEW);
    contract_close_u64(&parts);
}

/* ---- adaptive ---- */

/* Time as the test has it. A rebuild takes as long as it takes memory; a look at the clock takes
 * LOOK, and a miss, at whose end the clock is looked at, something more, not always as much. */
enum { LOOK = 20, MISS_MOST = 200 };
static uint64_t time_now;
static bool time_opening;
static weft_prng time_prng;

static uint64_t read_time(void *ctx) {
    (void)ctx;
    return time_now += LOOK + (time_opening ? 0 : weft_prng_below(&time_prng, MISS_MOST));
}

static void *slow_alloc(void *ctx, size_t size, size_t align) {
    time_now += 2 * size;
    return contract_meter_alloc(ctx, size, align);
}

static void *slow_alloc_zeroed(void *ctx, size_t size, size_t align) {
    time_now += 2 * size;
    return contract_meter_alloc_zeroed(ctx, size, align);
}

typedef struct course {
    uint64_t promotions;
    uint64_t missed; /* lookups that had to take the lock */
} course;

/* Lookups of an absent key, and a new key after every `quiet` of them. */
static course course_of(bool adaptive, uint64_t quiet, uint64_t lookups) {
    contract_meter meter = {0, 0};
    weft_allocator allocator = {&meter, slow_alloc, contract_meter_free, slow_alloc_zeroed};
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_TWOTIER};
    options.twotier.adaptive = adaptive;
    options.allocator = &allocator;
    weft_u64map map = WEFT_U64MAP_INIT;
    weft_map_stats stats;
    course seen = {0, 0};
    time_opening = true;
    assert_ok(weft_u64map_open(&map, &options));
    time_opening = false;
    put_keys(&map, 0, 1000);
    for (uint64_t i = 0; i < lookups; i++) {
        uint64_t value;
        if (i % quiet == 0) {
            put_keys(&map, 1000 + i, 1001 + i);
        }
        weft_u64map_stats_get(&map, &stats);
        seen.missed += stats.tiers.amended;
        assert_int_equal(weft_u64map_get(&map, UINT64_MAX, &value), WEFT_NOT_FOUND);
        time_now += 10 + stats.tiers.amended * MISS_MOST / 2;
    }
    seen.promotions = tiers_of(&map).promotions;
    contract_close_u64(&map);
    return seen;
}

/* Where a new key comes at once a promotion saves nothing; where none comes for long it pays before
 * there are as many misses as keys. */
static void adaptive_promotes_when_it_pays(void **state) {
    (void)state;
    static const weft_clock_hook hook = {read_time, NULL, NULL};
    time_prng = weft_prng_of(1);
    weft_clock_set_hook(&hook);
    course busy[] = {course_of(false, 10, 100000), course_of(true, 10, 100000)};
    course calm[] = {course_of(false, 100000, 500000), course_of(true, 100000, 500000)};
    weft_clock_set_hook(NULL);
    assert_true(busy[1].promotions < busy[0].promotions / 2);
    assert_true(calm[1].missed < calm[0].missed / 2);
}

/* Versions of a key rise across nil, expunged and dropped. */
static void versions_rise_across_all_states(void **state) {
    (void)state;
    for (int incremental = 0; incremental <= 1; incremental++) {
        weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_TWOTIER};
        options.twotier.incremental = incremental != 0;
        weft_map map = contract_open_with(&options);
        uint64_t last = 0;
        for (uint64_t round = 0; round < 64; round++) {
            assert_ok(weft_map_put(&map, weft_str("key"), weft_str("value")));
            for (uint64_t rewrites = 0; rewrites < round % 5; rewrites++) {
                assert_ok(weft_map_put(&map, weft_str("key"), weft_str("other")));
            }
            uint64_t now = version_of(&map, weft_str("key"));
            assert_true(now > last);
            last = now;
            if (round % 2 != 0) {
                assert_int_equal(weft_map_len_exact(&map), 1 + round);
            }
            assert_ok(weft_map_remove(&map, weft_str("key")));
            assert_ok(put_u64(&map, round, round)); /* expunges */
            if (round % 3 == 0) {
                assert_int_equal(weft_map_len_exact(&map), 1 + round); /* drops */
            }
        }
        contract_close(&map);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mechanism_step_by_step),
        cmocka_unit_test(promotion_drops_what_was_expunged),
        cmocka_unit_test(writes_count_misses_as_go_does),
        cmocka_unit_test(promotes_at_exactly_the_threshold),
        cmocka_unit_test(removed_keys_stay_in_dirty),
        cmocka_unit_test(removed_keys_are_let_go_incrementally),
        cmocka_unit_test(no_call_copies_the_table_incrementally),
        cmocka_unit_test(adaptive_promotes_when_it_pays),
        cmocka_unit_test(versions_rise_across_all_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
