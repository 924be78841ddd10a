/* SPDX-License-Identifier: MIT */
/* The edges: maps that were never used, empty keys, missing guards and options; figures and
 * printouts. */
#include "contract/contract.h"

#define KEY weft_str("key")
#define OTHER weft_str("other")

static weft_bytes too_big(size_t size) {
    return weft_bytes_of("", size); /* refused before a byte is read */
}

static void never_used_map_reads_as_empty(void **state) {
    weft_map map = WEFT_MAP_INIT;
    weft_map_iter iter;
    weft_guard guard;
    weft_view view;
    uint64_t cursor = 0;
    (void)state;
    assert_absent(&map, "key");
    assert_int_equal(weft_map_contains(&map, KEY), WEFT_NOT_FOUND);
    assert_true(weft_map_is_empty(&map));
    assert_int_equal(weft_map_len_exact(&map), 0);
    assert_ok(weft_map_scan(&map, &cursor, NULL, NULL));
    assert_int_equal(cursor, 0);
    weft_guard_enter(&guard);
    weft_map_iter_start(&map, &iter);
    assert_int_equal(weft_map_iter_next(&iter, &guard, &view), WEFT_NOT_FOUND);
    weft_guard_leave(&guard);
    assert_int_equal(weft_map_shrink(&map), WEFT_UNCHANGED);
    assert_ok(weft_map_maintain(&map, 1));
    assert_null(map.impl);
    assert_ok(weft_map_close(&map));
}

static void empty_keys_and_values_are_legal(void **state) {
    weft_map map = contract_open(state);
    weft_bytes none = {NULL, 0};
    weft_buffer out = {.data = NULL, .capacity = 0};
    assert_ok(weft_map_put(&map, none, none));
    assert_ok(weft_map_get(&map, none, &out));
    assert_int_equal(out.size, 0);
    assert_ok(weft_map_cas(&map, none, none, weft_str("x")));
    assert_int_equal(weft_map_get(&map, none, &out), WEFT_TRUNCATED);
    assert_ok(weft_map_remove(&map, weft_bytes_of("", 0)));
    assert_true(weft_map_is_empty(&map));
    contract_close(&map);
}

static void get_many_answers_each(void **state) {
    weft_map map = contract_open(state);
    char text[3][8];
    weft_bytes keys[3] = {KEY, OTHER, too_big(WEFT_KEY_SIZE_MAX + 1)};
    weft_buffer out[3];
    for (int i = 0; i < 3; i++) {
        out[i] = (weft_buffer){.data = text[i], .capacity = sizeof text[i]};
    }
    assert_ok(weft_map_put(&map, KEY, weft_str("v")));
    assert_ok(weft_map_get_many(&map, keys, 3, out));
    assert_int_equal(out[0].status, WEFT_OK);
    assert_int_equal(out[0].size, 1);
    assert_int_equal(out[1].status, WEFT_NOT_FOUND);
    assert_int_equal(out[2].status, WEFT_E_TOOBIG);
    contract_close(&map);
}

static void peek_needs_a_guard(void **state) {
    weft_map map = contract_open(state);
    weft_guard none = {NULL};
    weft_guard guard;
    weft_view view;
    assert_ok(weft_map_put(&map, KEY, weft_str("v")));
    assert_int_equal(weft_map_peek(&map, KEY, NULL, &view), WEFT_E_INVALID);
    assert_int_equal(weft_map_peek(&map, KEY, &none, &view), WEFT_E_INVALID);
    weft_guard_enter(&guard);
    assert_ok(weft_map_peek(&map, KEY, &guard, &view));
    assert_int_equal(view.key.size, 3);
    assert_memory_equal(view.value.data, "v", 1);
    assert_int_equal(view.version, version_of(&map, weft_str("key")));
    assert_int_equal(weft_map_peek(&map, OTHER, &guard, &view), WEFT_NOT_FOUND);
    weft_guard_leave(&guard);
    contract_close(&map);
}

static void references_need_the_option(void **state) {
    weft_map map = contract_open(state);
    weft_ref ref = {.entry = NULL};
    assert_int_equal(weft_map_acquire(&map, KEY, &ref), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_take(&map, KEY, &ref), WEFT_E_UNSUPPORTED);
    weft_ref_release(&ref);
    contract_close(&map);
}

static void count_lines(void *ctx, const char *line) {
    assert_null(strchr(line, '\n'));
    ++*(int *)ctx;
}

static void stats_and_dump_tell(void **state) {
    weft_map map = contract_open(state);
    weft_map_stats stats;
    int lines = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_ok(weft_map_put(&map, bytes_of_u64(&i), weft_str("12345678")));
    }
    weft_map_stats_get(&map, &stats);
    assert_int_equal(stats.entries, 1000);
    assert_int_equal(stats.entry_bytes, 1000 * (16 + 8 + 8));
    assert_true(stats.buckets > 0 && stats.table_bytes > 0);
    assert_true(stats.growths > 0 || !contract_grows(state));
    assert_int_equal(stats.era, 0);
    weft_map_dump(&map, count_lines, &lines);
    assert_true(lines > 0);
    contract_close(&map);
}

static const contract_test tests[] = {
    CONTRACT(never_used_map_reads_as_empty), CONTRACT(empty_keys_and_values_are_legal),
    CONTRACT(get_many_answers_each),         CONTRACT(peek_needs_a_guard),
    CONTRACT(references_need_the_option),    CONTRACT(stats_and_dump_tell),
};

int main(void) {
    return contract_run("contract/edge", tests, COUNT_OF(tests));
}
