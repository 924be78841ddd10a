/* SPDX-License-Identifier: MIT */
/* Versions, eras, and restore. [D] */
#include "contract/contract.h"

static weft_outcome set_k(weft_map *map, weft_compute_fn fn) {
    weft_compute c = {fn, NULL, WEFT_OPTIMISTIC};
    weft_outcome outcome;
    REQUIRE(weft_map_compute(map, weft_str("k"), &c, &outcome) >= WEFT_OK);
    return outcome;
}

static weft_verdict say_set(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)ctx;
    (void)old;
    fresh->body = weft_str("v");
    return WEFT_SET;
}

static weft_verdict say_del(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)ctx;
    (void)old;
    (void)fresh;
    return WEFT_DEL;
}

static void test_D_version_rises_with_every_write(void **state) {
    weft_map map = contract_open(state);
    weft_bytes key = weft_str("k");
    char text[8];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    weft_map_put(&map, key, weft_str("a"));
    uint64_t last = version_of(&map, key);
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        switch (i % 4) {
        case 0:
            assert_int_equal(weft_map_put(&map, key, weft_str("a")), WEFT_OK);
            break;
        case 1:
            assert_int_equal(weft_map_cas(&map, key, weft_str("a"), weft_str("a")), WEFT_OK);
            break;
        case 2:
            assert_int_equal(weft_map_swap(&map, key, weft_str("a"), &out), WEFT_OK);
            assert_int_equal(out.version, last);
            break;
        default:
            assert_int_equal(weft_map_replace(&map, key, weft_str("a")), WEFT_OK);
        }
        uint64_t now = version_of(&map, key);
        assert_true(now > last);
        last = now;
    }
    contract_close(&map);
}

static void test_D_version_rises_across_remove(void **state) {
    weft_map map = contract_open(state);
    uint64_t last = 0;
    for (int i = 0; i < 2000; i++) {
        weft_outcome outcome = set_k(&map, say_set);
        assert_true(outcome.version > last);
        last = outcome.version;
        if (i % 3 != 0) {
            outcome = set_k(&map, say_del);
            assert_int_equal(outcome.verdict, WEFT_DEL);
            assert_true(outcome.version > last);
            last = outcome.version;
        }
    }
    contract_close(&map);
}

/* Neighbours come and go in between, and the table is resized: what the slot remembers must
 * survive. */
static void test_D_version_rises_across_remove_and_resize(void **state) {
    weft_map map = contract_open(state);
    static uint64_t last[500];
    memset(last, 0, sizeof last);
    for (uint64_t round = 0; round < 12; round++) {
        for (uint64_t key = 0; key < COUNT_OF(last); key++) {
            assert_int_equal(put_u64(&map, key, round), WEFT_OK);
            uint64_t now = version_of(&map, bytes_of_u64(&key));
            assert_true(now > last[key]);
            last[key] = now;
        }
        put_range(&map, 1000, 1000 + 400 * round);
        remove_range(&map, 0, COUNT_OF(last));
        remove_range(&map, 1000, 1000 + 400 * round);
        assert_true(weft_map_shrink(&map) >= 0);
    }
    contract_close(&map);
}

static void test_D_version_is_the_same_for_every_reader(void **state) {
    weft_map map = contract_open(state);
    weft_map_put(&map, weft_str("k"), weft_str("v"));
    uint64_t version = version_of(&map, weft_str("k"));
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    assert_int_equal(weft_map_peek(&map, weft_str("k"), &guard, &view), WEFT_OK);
    assert_int_equal(view.version, version);
    weft_guard_leave(&guard);
    put_range(&map, 0, 3000); /* moved by growth, not written */
    assert_int_equal(version_of(&map, weft_str("k")), version);
    contract_close(&map);
}

static void test_D_clear_begins_an_era(void **state) {
    weft_map map = contract_open(state);
    weft_outcome before = set_k(&map, say_set);
    assert_int_equal(weft_map_clear(&map), WEFT_OK);
    weft_outcome after = set_k(&map, say_set);
    assert_int_equal(after.era, before.era + 1);
    assert_false(after.existed);
    weft_map_stats stats;
    weft_map_stats_get(&map, &stats);
    assert_int_equal(stats.era, after.era);
    contract_close(&map);
}

/* ---- restore --------------------------------------------------------------------------------- */

static int restore(weft_map *map, const char *value, uint64_t version) {
    weft_fresh fresh = {weft_str(value), weft_str("!")};
    return weft_map_restore(map, weft_str("k"), &fresh, version);
}

static void restore_keeps_the_later_write(void **state) {
    weft_map map = contract_open(state);
    assert_int_equal(restore(&map, "ten", 10), WEFT_OK);
    assert_value(&map, "k", "ten!");
    uint64_t version = version_of(&map, weft_str("k"));
    assert_true(version >= 10);
    assert_int_equal(restore(&map, "same", version), WEFT_MISMATCH);
    assert_int_equal(restore(&map, "older", 3), WEFT_MISMATCH);
    assert_value(&map, "k", "ten!");
    assert_int_equal(restore(&map, "later", version + 1000), WEFT_OK);
    assert_true(version_of(&map, weft_str("k")) >= version + 1000);
    assert_value(&map, "k", "later!");
    contract_close(&map);
}

static void test_D_writes_follow_what_was_restored(void **state) {
    weft_map map = contract_open(state);
    assert_int_equal(restore(&map, "a", UINT64_C(1) << 40), WEFT_OK);
    weft_map_put(&map, weft_str("k"), weft_str("b"));
    uint64_t version = version_of(&map, weft_str("k"));
    assert_true(version > UINT64_C(1) << 40);
    assert_int_equal(weft_map_remove(&map, weft_str("k")), WEFT_OK);
    weft_map_put(&map, weft_str("k"), weft_str("c"));
    assert_true(version_of(&map, weft_str("k")) > version);
    assert_int_equal(weft_map_remove(&map, weft_str("k")), WEFT_OK);
    assert_int_equal(restore(&map, "old", 1), WEFT_OK); /* absent: any version may come back */
    assert_true(version_of(&map, weft_str("k")) > version);
    contract_close(&map);
}

static void restore_in_any_order_ends_at_the_last(void **state) {
    static const uint64_t orders[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                         {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        weft_map map = contract_open(state);
        for (int j = 0; j < 3; j++) {
            char text[2] = {(char)('0' + orders[i][j]), 0};
            assert_true(restore(&map, text, orders[i][j] * 100) >= 0);
        }
        assert_value(&map, "k", "3!");
        contract_close(&map);
    }
}

static void restore_needs_copied_values(void **state) {
    weft_map_options options = contract_options(state);
    options.value_own = WEFT_OWN_BORROW;
    weft_map map = contract_open_with(&options);
    assert_int_equal(restore(&map, "a", 1), WEFT_E_UNSUPPORTED);
    assert_absent(&map, "k");
    contract_close(&map);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(test_D_version_rises_with_every_write),
        CONTRACT(test_D_version_rises_across_remove),
        CONTRACT(test_D_version_rises_across_remove_and_resize),
        CONTRACT(test_D_version_is_the_same_for_every_reader),
        CONTRACT(test_D_clear_begins_an_era),
        CONTRACT(restore_keeps_the_later_write),
        CONTRACT(test_D_writes_follow_what_was_restored),
        CONTRACT(restore_in_any_order_ends_at_the_last),
        CONTRACT(restore_needs_copied_values),
    };
    return contract_run("contract/version", tests, COUNT_OF(tests));
}
