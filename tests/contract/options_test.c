/* SPDX-License-Identifier: MIT */
/* Opening and closing, ownership modes, limits, allocators, and hashes that hash badly. */
#include "contract/contract.h"

static void nothing(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    (void)ctx;
    (void)key;
    (void)value;
    (void)reason;
}

static int open_and_close(const weft_map_options *options) {
    weft_map map = WEFT_MAP_INIT;
    int status = weft_map_open(&map, options);
    assert_int_equal(weft_map_close(&map), WEFT_OK);
    return status;
}

static void open_refuses_what_it_does_not_know(void **state) {
    weft_map_options good = contract_options(state), bad;
    assert_int_equal(open_and_close(NULL), WEFT_OK);
    assert_int_equal(open_and_close(&good), WEFT_OK);
    bad = good;
    bad.size = 0;
    assert_int_equal(open_and_close(&bad), WEFT_E_INVALID);
    bad = good;
    bad.size += 8;
    assert_int_equal(open_and_close(&bad), WEFT_E_INVALID);
    bad = good;
    bad.engine = (weft_engine_id)77;
    assert_int_equal(open_and_close(&bad), WEFT_E_INVALID);
    bad = good;
    bad.value_own = (weft_own)3;
    assert_int_equal(open_and_close(&bad), WEFT_E_INVALID);
    bad = good;
    bad.key_own = WEFT_OWN_ADOPT;
    assert_int_equal(open_and_close(&bad), WEFT_E_INVALID);
    bad.destructor = nothing;
    assert_int_equal(open_and_close(&bad), WEFT_OK);
    assert_int_equal(weft_map_open(NULL, &good), WEFT_E_INVALID);
}

static void stats_name_the_engine(void **state) {
    weft_map map = contract_open(state);
    weft_map_stats stats;
    weft_map_stats_get(&map, &stats);
    assert_non_null(stats.engine);
    const char *upper = ((const contract_engine *)*state)->name;
    assert_int_equal(strlen(stats.engine), strlen(upper));
    assert_int_equal(strcasecmp(stats.engine, upper), 0);
    contract_close(&map);
}

static weft_map global = WEFT_MAP_INIT;

static void use_global(contract_worker *worker) {
    REQUIRE(put_u64(&global, worker->index, worker->index) == WEFT_OK);
}

static void static_initialiser_is_a_map(void **state) {
    (void)state;
    weft_map_stats stats;
    weft_ref ref;
    uint64_t cursor = 5;
    assert_true(weft_map_is_empty(&global));
    assert_int_equal(weft_map_len_exact(&global), 0);
    assert_int_equal(remove_u64(&global, 1), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_close(&global), WEFT_OK);
    assert_absent(&global, "k");
    assert_int_equal(weft_map_scan(&global, &cursor, NULL, NULL), WEFT_OK);
    assert_int_equal(cursor, 0);
    assert_int_equal(weft_map_maintain(&global, 1), WEFT_OK);
    assert_int_equal(weft_map_acquire(&global, weft_str("k"), &ref), WEFT_E_UNSUPPORTED);
    weft_map_stats_get(&global, &stats);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(weft_map_check(&global, NULL, 0), WEFT_OK);
    contract_close(&global);
}

static void first_uses_race_for_one_map(void **state) {
    (void)state;
    for (int round = 0; round < 50; round++) {
        contract_together(4, use_global, &global, NULL);
        require_range(&global, 0, 4);
        assert_int_equal(weft_map_len(&global), 4);
        contract_close(&global);
    }
}

static void close_is_busy_inside_a_guard(void **state) {
    weft_map map = contract_open(state);
    weft_guard guard;
    put_range(&map, 0, 10);
    weft_guard_enter(&guard);
    assert_int_equal(weft_map_close(&map), WEFT_E_BUSY);
    weft_guard_leave(&guard);
    require_range(&map, 0, 10);
    contract_close(&map);
}

static void sizes_have_limits(void **state) {
    weft_map map = contract_open(state);
    weft_bytes big_key = weft_bytes_of("", WEFT_KEY_SIZE_MAX + 1), k = weft_str("k");
    weft_bytes big_value = weft_bytes_of("", WEFT_VALUE_SIZE_MAX + 1);
    weft_buffer out = {.capacity = 0};
    weft_guard guard;
    weft_view view;
    assert_int_equal(weft_map_put(&map, big_key, k), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_put(&map, k, big_value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_insert(&map, k, big_value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_swap(&map, k, big_value, &out), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_get_or_insert(&map, k, big_value, &out), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_replace(&map, k, big_value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_cas(&map, k, k, big_value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_replace_if_version(&map, k, 1, big_value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_get(&map, big_key, &out), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_contains(&map, big_key), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove(&map, big_key), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove_eq(&map, big_key, k), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove_if_version(&map, big_key, 1), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_fetch_add(&map, big_key, 1, NULL), WEFT_E_TOOBIG);
    weft_guard_enter(&guard);
    assert_int_equal(weft_map_peek(&map, big_key, &guard, &view), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_peek(&map, k, NULL, &view), WEFT_E_INVALID);
    weft_guard_leave(&guard);
    assert_true(weft_map_is_empty(&map));
    contract_close(&map);
}

static weft_verdict two_large_pieces(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)ctx;
    (void)old;
    fresh->head = weft_bytes_of("", WEFT_VALUE_SIZE_MAX);
    fresh->body = weft_bytes_of("", 1);
    return WEFT_SET;
}

static void pieces_are_limited_together(void **state) {
    weft_map map = contract_open(state);
    for (int mode = WEFT_OPTIMISTIC; mode <= WEFT_EXCLUSIVE; mode++) {
        weft_compute c = {two_large_pieces, NULL, (weft_compute_mode)mode};
        assert_int_equal(weft_map_compute(&map, weft_str("k"), &c, NULL), WEFT_E_TOOBIG);
    }
    weft_fresh value = {weft_bytes_of("", WEFT_VALUE_SIZE_MAX), weft_bytes_of("", 1)};
    assert_int_equal(weft_map_restore(&map, weft_str("k"), &value, 1), WEFT_E_TOOBIG);
    contract_close(&map);
}

static void longest_key_is_a_key(void **state) {
    if (!contract_grows(state)) { /* its length was said in the options */
        return;
    }
    weft_map map = contract_open(state);
    weft_bytes key = {calloc(1, WEFT_KEY_SIZE_MAX), WEFT_KEY_SIZE_MAX};
    assert_non_null(key.data);
    assert_int_equal(weft_map_put(&map, key, weft_str("v")), WEFT_OK);
    assert_int_equal(weft_map_contains(&map, key), WEFT_OK);
    key.size--;
    assert_int_equal(weft_map_contains(&map, key), WEFT_NOT_FOUND);
    free((void *)(uintptr_t)key.data);
    contract_close(&map);
}

/* ---- ownership ------------------------------------------------------------------------------- */

static void count_and_free(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    (void)reason;
    weft_fetch_add_relaxed((uint64_t *)ctx, 1);
    free((void *)(uintptr_t)key.data);
    free((void *)(uintptr_t)value.data);
}

static weft_bytes copy_of(const char *text) {
    return weft_str(strdup(text));
}

static weft_map open_adopting(void **state, uint64_t *freed) {
    weft_map_options options = contract_options(state);
    options.key_own = options.value_own = WEFT_OWN_ADOPT;
    options.destructor = count_and_free;
    options.destructor_ctx = freed;
    return contract_open_with(&options);
}

static void test_F_adopted_memory_passes_on_success(void **state) {
    uint64_t freed = 0;
    weft_map map = open_adopting(state, &freed);
    weft_bytes key = copy_of("k"), value = copy_of("v");
    assert_int_equal(weft_map_insert(&map, key, value), WEFT_OK);
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    assert_int_equal(weft_map_peek(&map, weft_str("k"), &guard, &view), WEFT_OK);
    assert_ptr_equal(view.key.data, key.data);
    assert_ptr_equal(view.value.data, value.data);
    weft_guard_leave(&guard);
    key = copy_of("k"), value = copy_of("w");
    assert_int_equal(weft_map_insert(&map, key, value), WEFT_EXISTS); /* still the caller's */
    assert_int_equal(weft_map_put(&map, key, value), WEFT_OK);
    assert_value(&map, "k", "w");
    contract_sound(&map);
    assert_int_equal(freed, 1);
    assert_int_equal(weft_map_remove(&map, weft_str("k")), WEFT_OK);
    contract_close(&map);
    assert_int_equal(freed, 2);
}

/* Writes that need the key to be there replace the value; the map keeps the key that it has, and
 * the caller keeps the one that it passed. */
static void test_F_replacing_takes_no_key(void **state) {
    uint64_t freed = 0;
    weft_map map = open_adopting(state, &freed);
    char key[] = "k"; /* not to be freed, nor kept */
    assert_int_equal(weft_map_insert(&map, copy_of("k"), copy_of("0")), WEFT_OK);
    assert_int_equal(weft_map_replace(&map, weft_str(key), copy_of("1")), WEFT_OK);
    assert_int_equal(weft_map_cas(&map, weft_str(key), weft_str("1"), copy_of("2")), WEFT_OK);
    uint64_t version = version_of(&map, weft_str("k"));
    assert_int_equal(weft_map_replace_if_version(&map, weft_str(key), version, copy_of("3")),
                     WEFT_OK);
    memset(key, 'x', 1);
    assert_value(&map, "k", "3");
    contract_close(&map);
    assert_int_equal(freed, 4);
}

static void borrowed_memory_is_used_in_place(void **state) {
    weft_map_options options = contract_options(state);
    options.key_own = options.value_own = WEFT_OWN_BORROW;
    weft_map map = contract_open_with(&options);
    static uint64_t numbers[3000];
    for (uint64_t i = 0; i < COUNT_OF(numbers); i++) {
        numbers[i] = i;
        assert_int_equal(weft_map_put(&map, bytes_of_u64(&numbers[i]), bytes_of_u64(&numbers[i])),
                         WEFT_OK);
    }
    weft_guard guard;
    weft_guard_enter(&guard);
    for (uint64_t i = 0; i < COUNT_OF(numbers); i++) {
        weft_view view;
        assert_int_equal(weft_map_peek(&map, bytes_of_u64(&i), &guard, &view), WEFT_OK);
        assert_ptr_equal(view.key.data, &numbers[i]);
        assert_ptr_equal(view.value.data, &numbers[i]);
    }
    weft_guard_leave(&guard);
    contract_close(&map);
}

static weft_verdict keep(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)ctx;
    (void)old;
    (void)fresh;
    return WEFT_KEEP;
}

static int build_nothing(void *ctx, weft_bytes key, weft_fresh *fresh) {
    (void)ctx;
    (void)key;
    (void)fresh;
    return 0;
}

static void values_that_are_not_copied_cannot_be_made(void **state) {
    weft_map_options options = contract_options(state);
    options.value_own = WEFT_OWN_BORROW;
    weft_map map = contract_open_with(&options);
    weft_compute c = {keep, NULL, WEFT_OPTIMISTIC};
    weft_build b = {build_nothing, NULL};
    weft_merge m = {NULL, NULL};
    weft_buffer out = {.capacity = 0};
    weft_bytes k = weft_str("k");
    assert_int_equal(weft_map_compute(&map, k, &c, NULL), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_merge(&map, k, k, &m), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_fetch_add(&map, k, 1, NULL), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_get_or_build(&map, k, &b, &out), WEFT_E_UNSUPPORTED);
    contract_close(&map);
}

static void allocator_gets_everything_back(void **state) {
    contract_meter meter = {0, 0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = contract_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    allocator = (weft_allocator){0}; /* the map has a copy */
    put_range(&map, 0, 5000);
    assert_true(meter.blocks > 5000 || !contract_grows(state));
    remove_range(&map, 0, 4000);
    assert_int_equal(weft_map_clear(&map), WEFT_OK);
    put_range(&map, 0, 100);
    contract_close(&map);
    assert_int_equal(meter.bytes, 0);
    assert_int_equal(meter.blocks, 0);
}

static void expected_entries_fit_without_growth(void **state) {
    weft_map_options options = contract_options(state);
    const uint64_t many = contract_scaled(state, 20000);
    options.expected_entries = many;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, many);
    weft_map_stats stats;
    weft_map_stats_get(&map, &stats);
    assert_int_equal(stats.growths, 0);
    require_range(&map, 0, many);
    contract_close(&map);
}

static void test_E_expecting_too_much_begins_small(void **state) {
    weft_map_options options = contract_options(state);
    options.expected_entries = SIZE_MAX;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, 1000);
    require_range(&map, 0, 1000);
    contract_close(&map);
}

/* ---- bad hashes ------------------------------------------------------------------------------ */

static uint64_t constant_hash(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)key;
    (void)seed;
    return 0;
}

static uint64_t eight_bit_hash(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)seed;
    return u64_of_bytes(key) & 0xff;
}

static uint64_t top_bits_hash(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)seed;
    return u64_of_bytes(key) << 52;
}

static uint64_t all_ones_hash(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)seed;
    return UINT64_MAX - (u64_of_bytes(key) & 1);
}

static bool count_entry(void *ctx, const weft_view *entry) {
    (void)entry;
    ++*(uint64_t *)ctx;
    return true;
}

static void operate_under(const weft_map_options *options, uint64_t entries) {
    weft_map map = contract_open_with(options);
    put_range(&map, 0, entries);
    require_range(&map, 0, entries);
    assert_int_equal(weft_map_len(&map), entries);
    uint64_t found = 0, cursor = 0, one = 1, absent = entries;
    assert_int_equal(weft_map_foreach(&map, count_entry, &found), WEFT_OK);
    assert_int_equal(found, entries);
    found = 0;
    do {
        assert_int_equal(weft_map_scan(&map, &cursor, count_entry, &found), WEFT_OK);
    } while (cursor != 0);
    assert_int_equal(found, entries);
    for (uint64_t i = 0; i < entries; i += 2) {
        assert_int_equal(weft_map_cas(&map, bytes_of_u64(&i), bytes_of_u64(&i), bytes_of_u64(&one)),
                         WEFT_OK);
        assert_int_equal(weft_map_insert(&map, bytes_of_u64(&i), bytes_of_u64(&i)), WEFT_EXISTS);
        assert_int_equal(remove_u64(&map, i), WEFT_OK);
        assert_int_equal(remove_u64(&map, i), WEFT_NOT_FOUND);
    }
    assert_int_equal(weft_map_contains(&map, bytes_of_u64(&absent)), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_len_exact(&map), entries / 2);
    for (uint64_t i = 0; i < entries; i += 2) {
        assert_int_equal(weft_map_fetch_add(&map, bytes_of_u64(&i), (int64_t)i, NULL), WEFT_OK);
    }
    require_range(&map, 0, entries);
    contract_close(&map);
}

static void bad_hashes_are_survived(void **state) {
    static const struct {
        uint64_t (*hash)(void *ctx, weft_bytes key, uint64_t seed);
        uint64_t entries;
    } cases[] = {
        {constant_hash, 600}, {eight_bit_hash, 4000}, {top_bits_hash, 6000}, {all_ones_hash, 600}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        weft_map_options options = contract_options(state);
        options.hash = cases[i].hash;
        operate_under(&options, cases[i].entries);
    }
}

/* Keys of one hash have at most the slots of one bucket; the rest is told, and what leaves is not
 * told any more. */
static void crowding_shows_in_the_figures(void **state) {
    if (!contract_grows(state)) { /* what is outside is not counted */
        return;
    }
    enum { KEYS = 100, SLOTS_AT_MOST = 6 };
    weft_map_options options = contract_options(state);
    options.hash = constant_hash;
    weft_map map = contract_open_with(&options);
    weft_map_stats empty, full, after;
    weft_map_stats_get(&map, &empty);
    assert_int_equal(empty.overflow_entries, 0);
    put_range(&map, 0, KEYS);
    put_range(&map, 0, KEYS);
    weft_map_stats_get(&map, &full);
    assert_in_range(full.overflow_entries, KEYS - SLOTS_AT_MOST, KEYS);
    remove_range(&map, 0, KEYS / 2);
    weft_map_stats_get(&map, &after);
    assert_in_range(after.overflow_entries, KEYS / 2 - SLOTS_AT_MOST, KEYS / 2);
    remove_range(&map, KEYS / 2, KEYS);
    weft_map_stats_get(&map, &after);
    assert_int_equal(after.overflow_entries, 0);
    assert_true(contract_keeps_removed(state) || after.table_bytes < full.table_bytes);
    contract_close(&map);
}

static void hash_context_and_seed_are_the_callers(void **state) {
    weft_map_options options = contract_options(state);
    options.hash_seed = 42; /* repeatable */
    operate_under(&options, 1000);
}

/* Parts are of one size, and stay, while the map grows and is cleared. */
static void a_key_stays_in_its_part(void **state) {
    enum { PARTS = 8, KEYS = 1000 };
    weft_map map = contract_open(state);
    weft_u64map numbers = contract_open_u64(state);
    size_t parts[2][KEYS];
    unsigned sizes[2][PARTS] = {{0}};
    for (uint64_t turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < KEYS; i++) {
            size_t now[2] = {weft_map_part(&map, bytes_of_u64(&i), PARTS),
                             weft_u64map_part(&numbers, i, PARTS)};
            for (int shape = 0; shape < 2; shape++) {
                parts[shape][i] = turn == 0 ? now[shape] : parts[shape][i];
                assert_int_equal(now[shape], parts[shape][i]);
                sizes[shape][now[shape]]++;
            }
            assert_ok(put_u64(&map, i, i));
            assert_ok(weft_u64map_put(&numbers, i, i));
        }
        assert_ok(weft_map_clear(&map));
    }
    for (int i = 0; i < 2 * PARTS; i++) {
        assert_true(sizes[i / PARTS][i % PARTS] > 3 * KEYS / PARTS / 2);
    }
    contract_close(&map);
    contract_close_u64(&numbers);
}

static void parts_that_cannot_be_are_told(void **state) {
    weft_map map = contract_open(state);
    weft_u64map numbers = contract_open_u64(state);
    size_t wrong[] = {0, 3, 65535, 131072};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_true(weft_map_part(&map, weft_str("key"), wrong[i]) == SIZE_MAX);
        assert_true(weft_u64map_part(&numbers, 1, wrong[i]) == SIZE_MAX);
    }
    weft_bytes big = {"", WEFT_KEY_SIZE_MAX + 1};
    assert_true(weft_map_part(&map, big, 8) == SIZE_MAX);
    assert_true(weft_map_part(&map, weft_str("key"), 65536) < 65536);
    assert_int_equal(weft_u64map_part(&numbers, 1, 1), 0);
    contract_close(&map);
    contract_close_u64(&numbers);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(open_refuses_what_it_does_not_know),
        CONTRACT(stats_name_the_engine),
        CONTRACT(static_initialiser_is_a_map),
        CONTRACT_THREADS(first_uses_race_for_one_map),
        CONTRACT(close_is_busy_inside_a_guard),
        CONTRACT(sizes_have_limits),
        CONTRACT(pieces_are_limited_together),
        CONTRACT(longest_key_is_a_key),
        CONTRACT(test_F_adopted_memory_passes_on_success),
        CONTRACT(test_F_replacing_takes_no_key),
        CONTRACT(borrowed_memory_is_used_in_place),
        CONTRACT(values_that_are_not_copied_cannot_be_made),
        CONTRACT(allocator_gets_everything_back),
        CONTRACT(expected_entries_fit_without_growth),
        CONTRACT(crowding_shows_in_the_figures),
        CONTRACT(test_E_expecting_too_much_begins_small),
        CONTRACT(bad_hashes_are_survived),
        CONTRACT(hash_context_and_seed_are_the_callers),
        CONTRACT(a_key_stays_in_its_part),
        CONTRACT(parts_that_cannot_be_are_told),
    };
    return contract_run("contract/options", tests, COUNT_OF(tests));
}
