/* SPDX-License-Identifier: MIT */
/* Growth, churn, shrink, reserve, clear, maintain: the table follows the number of entries, and
 * nothing is lost on the way. */
#include "contract/contract.h"

enum { MANY = 120000 };

static weft_map_stats stats_of(weft_map *map) {
    weft_map_stats stats;
    weft_map_stats_get(map, &stats);
    return stats;
}

static void growth_keeps_everything(void **state) {
    weft_map map = contract_open(state);
    uint64_t many = contract_scaled(state, MANY);
    for (uint64_t i = 0; i < many; i++) {
        assert_int_equal(put_u64(&map, i, i), WEFT_OK);
        if ((i & (i - 1)) == 0) { /* in the midst of growths */
            require_range(&map, 0, i + 1);
        }
    }
    require_range(&map, 0, many);
    weft_map_stats stats = stats_of(&map);
    assert_int_equal(stats.entries, many);
    assert_true(contract_can(state, WEFT_CAP_RESIZE) ? stats.growths > 3 : stats.growths == 0);
    assert_int_equal(stats.growth_failures, 0);
    assert_true(stats.table_bytes < many * 100 || !contract_grows(state));
    contract_close(&map);
}

/* Where each of many tables has few keys, one of them grows when chance brings it some more. */
static weft_map open_one_table(void **state) {
    weft_map_options options = contract_options(state);
    options.sharded.shards = 1;
    options.sharded.shards_max = 1;
    return contract_open_with(&options);
}

/* Of a map that never had more entries. */
static uint64_t table_bytes_of_a_hundred(void **state) {
    weft_map map = open_one_table(state);
    put_range(&map, 0, 100);
    require_range(&map, 0, 100);
    uint64_t bytes = stats_of(&map).table_bytes;
    contract_close(&map);
    return bytes;
}

static void table_is_as_large_as_the_entries_need(void **state) {
    if (!contract_grows(state)) {
        return;
    }
    weft_map map = open_one_table(state);
    uint64_t many = contract_scaled(state, MANY) / 3 + MANY / 48;
    put_range(&map, 0, many);
    contract_sound(&map);
    uint64_t large = stats_of(&map).table_bytes;
    remove_range(&map, 100, many);
    int status;
    while ((status = weft_map_shrink(&map)) == WEFT_OK) {
        contract_sound(&map);
    }
    assert_int_equal(status, WEFT_UNCHANGED);
    weft_map_stats stats = stats_of(&map);
    uint64_t part = many < MANY / 10 ? 5 : 10;
    assert_true(!contract_can(state, WEFT_CAP_SHRINK) || stats.table_bytes < large / part);
    if (contract_can(state, WEFT_CAP_RESIZE)) {
        assert_true(stats.table_bytes <= 2 * table_bytes_of_a_hundred(state) + 4096);
        assert_true(stats.shrinks > 0);
    } else {
        assert_int_equal(stats.shrinks, 0);
    }
    require_range(&map, 0, 100);
    put_range(&map, 100, 5000);
    require_range(&map, 0, 5000);
    contract_close(&map);
}

/* At a constant number of entries the table must neither grow nor lose slots. */
static void churn_does_not_grow(void **state) {
    enum { ROUNDS = 25 };
    const uint64_t live = contract_scaled(state, 2000);
    weft_map map = open_one_table(state);
    put_range(&map, 0, live);
    for (uint64_t i = 0; i < 5 * live; i++) { /* the steady state */
        assert_int_equal(put_u64(&map, live + i, live + i), WEFT_OK);
        assert_int_equal(remove_u64(&map, i), WEFT_OK);
    }
    contract_sound(&map);
    weft_map_stats before = stats_of(&map);
    for (uint64_t i = 5 * live; i < (uint64_t)ROUNDS * live; i++) {
        assert_int_equal(put_u64(&map, live + i, live + i), WEFT_OK);
        assert_int_equal(remove_u64(&map, i), WEFT_OK);
    }
    contract_sound(&map);
    weft_map_stats after = stats_of(&map);
    assert_true(after.buckets <= 2 * before.buckets);
    assert_true(contract_keeps_removed(state) || after.growths <= before.growths + 2);
    assert_true(after.table_bytes <= 2 * before.table_bytes + 4096);
    require_range(&map, (uint64_t)ROUNDS * live, (uint64_t)(ROUNDS + 1) * live);
    assert_int_equal(weft_map_len_exact(&map), live);
    contract_close(&map);
}

static void removed_slot_is_free_at_once(void **state) {
    weft_map map = open_one_table(state);
    put_range(&map, 0, 50);
    contract_sound(&map);
    weft_map_stats before = stats_of(&map);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t key = 1000 + i % 3;
        assert_int_equal(put_u64(&map, key, i), WEFT_OK);
        assert_int_equal(remove_u64(&map, key), WEFT_OK);
    }
    contract_sound(&map);
    weft_map_stats after = stats_of(&map);
    if (contract_can(state, WEFT_CAP_RESIZE)) {
        assert_int_equal(after.buckets, before.buckets);
    } else { /* those that the three keys came to */
        assert_true(after.buckets <= before.buckets + 2 * 3);
    }
    assert_int_equal(after.overflow_entries, before.overflow_entries);
    assert_int_equal(after.entry_bytes, before.entry_bytes);
    contract_close(&map);
}

static void map_shrinks_by_itself_unless_told_not_to(void **state) {
    for (int grow_only = 0; contract_grows(state) && grow_only <= 1; grow_only++) {
        weft_map_options options = contract_options(state);
        options.grow_only = grow_only != 0;
        weft_map map = contract_open_with(&options);
        put_range(&map, 0, contract_scaled(state, MANY) / 6);
        contract_sound(&map);
        uint64_t full = stats_of(&map).buckets;
        remove_range(&map, 50, contract_scaled(state, MANY) / 6);
        for (uint64_t i = 0; i < 20000; i++) { /* the ordinary work of a small map */
            assert_int_equal(put_u64(&map, MANY + i % 10, i), WEFT_OK);
            assert_int_equal(remove_u64(&map, MANY + i % 10), WEFT_OK);
        }
        contract_sound(&map);
        uint64_t now = stats_of(&map).buckets;
        if (grow_only || !contract_can(state, WEFT_CAP_SHRINK)) {
            assert_true(contract_can(state, WEFT_CAP_RESIZE) ? now == full : now >= full);
        } else {
            assert_true(now <= full / 4);
        }
        require_range(&map, 0, 50);
        contract_close(&map);
    }
}

static void reserve_grows_ahead(void **state) {
    weft_map map = contract_open(state);
    const uint64_t many = contract_scaled(state, 50000);
    put_range(&map, 0, 10);
    assert_int_equal(weft_map_reserve(&map, many), WEFT_OK);
    contract_sound(&map);
    uint64_t growths = stats_of(&map).growths;
    put_range(&map, 10, many);
    assert_int_equal(stats_of(&map).growths, growths);
    require_range(&map, 0, many);
    assert_int_equal(weft_map_reserve(&map, 0), WEFT_OK);
    require_range(&map, 0, many);
    contract_close(&map);
}

static void reserve_before_the_first_insert(void **state) {
    weft_map map = contract_open(state);
    assert_int_equal(weft_map_reserve(&map, 1000), WEFT_OK);
    assert_true(weft_map_is_empty(&map));
    put_range(&map, 0, 1000);
    assert_int_equal(stats_of(&map).growths, 0);
    contract_close(&map);
}

static void test_E_reserve_beyond_memory_changes_nothing(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, 100);
    uint64_t buckets = stats_of(&map).buckets;
    assert_int_equal(weft_map_reserve(&map, (size_t)1 << 60), WEFT_E_NOMEM);
    assert_int_equal(weft_map_reserve(&map, SIZE_MAX), WEFT_E_NOMEM);
    assert_int_equal(weft_map_reserve(&map, 40000), contract_grows(state) ? WEFT_OK : WEFT_E_FULL);
    buckets = stats_of(&map).buckets;
    assert_int_equal(stats_of(&map).buckets, buckets);
    put_range(&map, 100, 1000);
    require_range(&map, 0, 1000);
    contract_close(&map);
}

static void clear_empties_at_once(void **state) {
    weft_map map = contract_open(state);
    assert_int_equal(weft_map_clear(&map), WEFT_OK);
    for (uint64_t era = 1; era < 30; era++) {
        put_range(&map, 0, 100 * era);
        assert_int_equal(stats_of(&map).era, era);
        assert_int_equal(weft_map_clear(&map), WEFT_OK);
        assert_true(weft_map_is_empty(&map));
        assert_int_equal(weft_map_len_exact(&map), 0);
        assert_int_equal(stats_of(&map).entry_bytes, 0);
        uint64_t value;
        assert_int_equal(get_u64(&map, 1, &value), WEFT_NOT_FOUND);
    }
    put_range(&map, 0, 50);
    require_range(&map, 0, 50);
    contract_close(&map);
}

static void maintain_finishes_a_move(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, 3000);
    assert_int_equal(weft_map_reserve(&map, contract_scaled(state, MANY)), WEFT_OK);
    for (int round = 0; weft_map_maintain(&map, 8) != WEFT_OK; round++) {
        assert_true(round < 100000);
        if (round % 16 == 0) {
            require_range(&map, 0, 3000);
        }
    }
    assert_int_equal(stats_of(&map).remaining_buckets, 0);
    require_range(&map, 0, 3000);
    contract_close(&map);
}

static void maintain_frees_what_was_cleared(void **state) {
    contract_meter meter = {0, 0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = contract_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    const int64_t many = (int64_t)contract_scaled(state, 20000);
    put_range(&map, 0, (uint64_t)many);
    contract_sound(&map);
    assert_true(meter.blocks >= many || !contract_grows(state));
    assert_int_equal(weft_map_clear(&map), WEFT_OK);
    contract_sound(&map);
    assert_true(meter.blocks < 20);
    contract_close(&map);
    assert_int_equal(meter.bytes, 0);
}

/* Writers alone must get rid of an era, too. */
static void writes_free_what_was_cleared(void **state) {
    contract_meter meter = {0, 0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = contract_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, 5000);
    assert_int_equal(weft_map_clear(&map), WEFT_OK);
    for (uint64_t i = 0; i < 60000 && meter.blocks > 2000; i++) {
        assert_int_equal(put_u64(&map, i % 4, i), WEFT_OK);
    }
    assert_true(meter.blocks <= 2000);
    contract_close(&map);
    assert_int_equal(meter.bytes, 0);
}

/* ---- what a resize left ---- */

enum { PIECE = 256 << 10, LARGE = 400000, PASSING = 100000 };

/* A small map, and waiting to be freed: all the tables on the way down from a large one. */
static weft_map open_shrunk(void **state) {
    weft_map_options options = contract_options(state);
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, 100);
    assert_int_equal(weft_map_reserve(&map, LARGE), WEFT_OK);
    assert_int_equal(weft_map_shrink(&map),
                     contract_can(state, WEFT_CAP_RESIZE) ? WEFT_OK : WEFT_UNCHANGED);
    return map;
}

/* What a resize of an engine with locks left, nobody looks at: it waits for no guard. */
static bool waits_for_no_guard(void **state) {
    return !contract_can(state, WEFT_CAP_RESIZE) || !contract_can(state, WEFT_CAP_LOCK_FREE);
}

/* Where a write is O(n) anyway, so is what it gives back. */
static bool gives_back_at_once(void **state) {
    return (contract_card_of(state)->caps & WEFT_CAP_COPIES) != 0;
}

/* Writers alone do it, a piece at a time, and the figures say how far they are. */
static void writes_give_back_what_a_resize_left(void **state) {
    if (!contract_grows(state)) {
        return;
    }
    uint64_t before = weft_pages_held();
    weft_map map = open_shrunk(state);
    uint64_t last = weft_pages_held();
    assert_true(waits_for_no_guard(state) || last - before > 4 * PIECE);
    weft_map_stats stats = stats_of(&map);
    for (uint64_t i = 0; stats.pending_bytes >= PIECE / 4 && i < PASSING; i++) {
        assert_int_equal(put_u64(&map, i % 4, i % 4), WEFT_OK);
        uint64_t held = weft_pages_held();
        assert_true(held + PIECE >= last || gives_back_at_once(state));
        last = held;
        stats = stats_of(&map);
        assert_true(held - before <= stats.table_bytes + stats.pending_bytes);
    }
    assert_true(stats.pending_bytes < PIECE / 4);
    assert_int_equal(weft_pages_held(), before);
    require_range(&map, 0, 100);
    contract_close(&map);
}

static void guard_holds_back_what_a_resize_left(void **state) {
    if (!contract_grows(state)) {
        return;
    }
    weft_guard guard;
    weft_guard_enter_movable(&guard);
    weft_map map = open_shrunk(state);
    uint64_t held = weft_pages_held();
    for (uint64_t i = 0; i < 4096; i++) {
        assert_int_equal(put_u64(&map, i % 4, i % 4), WEFT_OK);
        assert_true(waits_for_no_guard(state) || weft_map_maintain(&map, 64) == WEFT_E_BUSY);
    }
    assert_true(waits_for_no_guard(state) || weft_pages_held() == held);
    weft_guard_leave(&guard);
    contract_close(&map);
}

static void close_gives_back_what_a_resize_left(void **state) {
    if (!contract_grows(state)) {
        return;
    }
    uint64_t before = weft_pages_held();
    for (uint64_t writes = 0; writes <= 4096; writes += 1024) { /* it has begun, or not */
        weft_map map = open_shrunk(state);
        for (uint64_t i = 0; i < writes; i++) {
            assert_int_equal(put_u64(&map, i % 4, i % 4), WEFT_OK);
        }
        if (writes % 2048 != 0) { /* left by an era that is over, too */
            assert_int_equal(weft_map_clear(&map), WEFT_OK);
        }
        assert_int_equal(weft_map_close(&map), WEFT_OK);
        assert_int_equal(weft_pages_held(), before);
    }
}

static void give_back(contract_worker *worker) {
    for (uint64_t i = 0; i < PASSING; i++) {
        REQUIRE(put_u64(worker->map, worker->index, i) == WEFT_OK);
    }
}

static void threads_give_back_each_piece_once(void **state) {
    if (!contract_grows(state)) {
        return;
    }
    uint64_t before = weft_pages_held();
    weft_map map = open_shrunk(state);
    contract_together(4, give_back, &map, NULL);
    assert_true(weft_pages_held() == before);
    contract_close(&map);
}

static void maintain_gives_back_what_a_resize_left(void **state) {
    if (!contract_grows(state)) {
        return;
    }
    uint64_t before = weft_pages_held();
    weft_map map = open_shrunk(state);
    uint64_t last = weft_pages_held();
    for (int round = 0; weft_map_maintain(&map, 1) != WEFT_OK; round++) {
        assert_true(round < 100000);
        assert_true(weft_pages_held() + PIECE >= last || gives_back_at_once(state));
        last = weft_pages_held();
    }
    assert_int_equal(weft_pages_held(), before);
    contract_close(&map);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(growth_keeps_everything),
        CONTRACT(table_is_as_large_as_the_entries_need),
        CONTRACT(churn_does_not_grow),
        CONTRACT(removed_slot_is_free_at_once),
        CONTRACT(map_shrinks_by_itself_unless_told_not_to),
        CONTRACT(reserve_grows_ahead),
        CONTRACT(reserve_before_the_first_insert),
        CONTRACT(test_E_reserve_beyond_memory_changes_nothing),
        CONTRACT(clear_empties_at_once),
        CONTRACT(maintain_finishes_a_move),
        CONTRACT(maintain_frees_what_was_cleared),
        CONTRACT(writes_free_what_was_cleared),
        CONTRACT(writes_give_back_what_a_resize_left),
        CONTRACT(guard_holds_back_what_a_resize_left),
        CONTRACT(close_gives_back_what_a_resize_left),
        CONTRACT_THREADS(threads_give_back_each_piece_once),
        CONTRACT(maintain_gives_back_what_a_resize_left),
    };
    return contract_run("contract/growth", tests, COUNT_OF(tests));
}
