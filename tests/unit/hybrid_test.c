/* SPDX-License-Identifier: MIT */
/* Engine "hybrid": what is used becomes hot, what is not cools down, and nobody sees the
 * difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/thread.h"
#include <stdio.h>
#include <weft/map.h>
#include <weft/u64map.h>

enum { MANY = 20000, FEW = 64, OFTEN = 400 };

static weft_map_options options_of(uint32_t hot_entries) {
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_HYBRID};
    options.hybrid.hot_entries = hot_entries;
    return options;
}

static weft_u64map open_numbers(uint32_t hot_entries) {
    weft_map_options options = options_of(hot_entries);
    weft_u64map map = WEFT_U64MAP_INIT;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_OK);
    return map;
}

static weft_map_stats stats_of(weft_u64map *map) {
    weft_map_stats stats;
    weft_u64map_stats_get(map, &stats);
    return stats;
}

static void put_all(weft_u64map *map, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        assert_int_equal(weft_u64map_put(map, i, ~i), WEFT_OK);
    }
}

static void use(weft_u64map *map, uint64_t from, uint64_t to, int times) {
    uint64_t value;
    for (int round = 0; round < times; round++) {
        for (uint64_t i = from; i < to; i++) {
            assert_int_equal(weft_u64map_get(map, i, &value), WEFT_OK);
            assert_int_equal(value, ~i);
        }
        weft_u64map_get(map, from, &value); /* so that the samples meet all of them in turn */
    }
}

static void require_sound(weft_u64map *map, uint64_t entries) {
    char text[200] = "";
    if (weft_u64map_check(map, text, sizeof text) != WEFT_OK) {
        fail_msg("%s", text);
    }
    assert_int_equal(weft_u64map_len_exact(map), entries);
    assert_int_equal(weft_u64map_len(map), entries);
}

static void what_is_used_becomes_hot(void **state) {
    (void)state;
    weft_u64map map = open_numbers(0);
    put_all(&map, 0, MANY);
    uint64_t before = stats_of(&map).hybrid.promotions;
    use(&map, 0, FEW, OFTEN);
    weft_map_stats stats = stats_of(&map);
    assert_true(stats.hybrid.promotions - before <= FEW + FEW / 2);
    assert_in_range(stats.hybrid.hot_entries, FEW * 9 / 10, stats.hybrid.hot_slots);
    assert_int_equal(stats.hybrid.hot_slots, 512 * 3);
    assert_int_equal(stats.entries, MANY);
    /* None of these takes the lock, so the table under it stays as it is. */
    for (uint64_t i = 0; i < FEW; i++) {
        assert_int_equal(weft_u64map_fetch_add(&map, i, 1, NULL), WEFT_OK);
        assert_int_equal(weft_u64map_fetch_add(&map, i, -1, NULL), WEFT_OK);
    }
    use(&map, 0, MANY, 1);
    require_sound(&map, MANY);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

static void what_is_not_used_cools_down(void **state) {
    (void)state;
    weft_u64map map = open_numbers(FEW / 4);
    put_all(&map, 0, MANY);
    use(&map, 0, FEW, OFTEN);
    weft_map_stats first = stats_of(&map);
    use(&map, MANY / 2, MANY / 2 + FEW, OFTEN);
    weft_map_stats second = stats_of(&map);
    assert_true(second.hybrid.demotions > first.hybrid.demotions + FEW / 4);
    assert_true(second.hybrid.promotions > first.hybrid.promotions + FEW / 4);
    assert_true(second.hybrid.hot_entries <= second.hybrid.hot_slots);
    require_sound(&map, MANY);
    use(&map, 0, MANY, 1);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

static bool see(void *ctx, weft_u64pair pair) {
    unsigned char *seen = ctx;
    assert_true(pair.key < MANY && pair.value == ~pair.key);
    seen[pair.key]++;
    return true;
}

static void a_walk_sees_each_key_of_both_tiers_once(void **state) {
    (void)state;
    static unsigned char seen[MANY];
    for (uint64_t entries = 4; entries <= MANY; entries *= 5) {
        weft_u64map map = open_numbers(0);
        memset(seen, 0, sizeof seen);
        put_all(&map, 0, entries);
        use(&map, 0, entries < FEW ? entries : FEW, OFTEN);
        assert_true(stats_of(&map).hybrid.hot_entries != 0);
        assert_int_equal(weft_u64map_foreach(&map, see, seen), WEFT_OK);
        for (uint64_t i = 0; i < entries; i++) {
            assert_int_equal(seen[i], 1);
        }
        assert_int_equal(weft_u64map_close(&map), WEFT_OK);
    }
}

static void hot_keys_come_and_go(void **state) {
    (void)state;
    weft_u64map map = open_numbers(0);
    put_all(&map, 0, MANY);
    use(&map, 0, FEW, OFTEN);
    for (uint64_t i = 0; i < FEW; i++) {
        uint64_t value = 0;
        assert_int_equal(weft_u64map_insert(&map, i, 1), WEFT_EXISTS);
        assert_int_equal(weft_u64map_take(&map, i, &value), WEFT_OK);
        assert_int_equal(value, ~i);
        assert_int_equal(weft_u64map_remove(&map, i), WEFT_NOT_FOUND);
        assert_int_equal(weft_u64map_cas(&map, i, ~i, 1), WEFT_NOT_FOUND);
    }
    assert_int_equal(stats_of(&map).hybrid.hot_entries, 0);
    require_sound(&map, MANY - FEW);
    put_all(&map, 0, FEW);
    use(&map, 0, MANY, 1);
    require_sound(&map, MANY);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

/* The version that a removal got is known only to whoever inserts the key again. */
static void versions_go_on_between_the_tiers(void **state) {
    (void)state;
    weft_map_options options = options_of(0);
    weft_map map = WEFT_MAP_INIT;
    assert_int_equal(weft_map_open(&map, &options), WEFT_OK);
    char value[8] = "";
    weft_buffer out = {.data = value, .capacity = sizeof value};
    uint64_t last = 0;
    uint64_t promotions = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < OFTEN; i++) {
            assert_int_equal(weft_map_put(&map, weft_str("key"), weft_str("v")), WEFT_OK);
            assert_int_equal(weft_map_get(&map, weft_str("key"), &out), WEFT_OK);
            assert_true(out.version > last);
            last = out.version;
        }
        assert_int_equal(weft_map_remove(&map, weft_str("key")), WEFT_OK);
        last++;
        weft_map_stats stats;
        weft_map_stats_get(&map, &stats);
        assert_true(stats.hybrid.promotions > promotions);
        promotions = stats.hybrid.promotions;
    }
    assert_int_equal(weft_map_close(&map), WEFT_OK);
}

static void moves_need_no_memory(void **state) {
    (void)state;
    weft_u64map map = open_numbers(FEW / 4);
    put_all(&map, 0, MANY);
    weft_memory_fail_at(0, false);
    use(&map, 0, FEW, OFTEN);
    use(&map, MANY / 2, MANY / 2 + FEW, OFTEN);
    assert_int_equal(weft_memory_count(), 0);
    weft_memory_fail_off();
    assert_true(stats_of(&map).hybrid.demotions > FEW / 4);
    require_sound(&map, MANY);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

static void without_memory_all_keys_are_cold(void **state) {
    (void)state;
    enum { OF_THE_TABLE = 1, OF_THE_TIER = 2 };
    weft_u64map map = open_numbers(0);
    weft_memory_fail_at(OF_THE_TIER, false);
    put_all(&map, 0, 1);
    weft_memory_fail_off();
    use(&map, 0, 1, OFTEN);
    assert_int_equal(stats_of(&map).hybrid.promotions, 0);
    put_all(&map, 1, FEW);
    use(&map, 0, FEW, OFTEN);
    assert_true(stats_of(&map).hybrid.promotions != 0);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

static void bad_options_are_refused(void **state) {
    (void)state;
    weft_map_options options = options_of((1 << 20) + 1);
    weft_u64map map = WEFT_U64MAP_INIT;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_INVALID);
    options = options_of(1);
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_OK);
    put_all(&map, 0, FEW);
    use(&map, 0, FEW, OFTEN);
    assert_int_equal(stats_of(&map).hybrid.hot_slots, 2 * 3);
    require_sound(&map, FEW);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_used_becomes_hot),
        cmocka_unit_test(what_is_not_used_cools_down),
        cmocka_unit_test(a_walk_sees_each_key_of_both_tiers_once),
        cmocka_unit_test(hot_keys_come_and_go),
        cmocka_unit_test(versions_go_on_between_the_tiers),
        cmocka_unit_test(moves_need_no_memory),
        cmocka_unit_test(without_memory_all_keys_are_cold),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
