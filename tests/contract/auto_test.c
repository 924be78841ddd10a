/* SPDX-License-Identifier: MIT */
/* Engine AUTO: which engine hints lead to, and that the map keeps its contract whichever it is. */
#include "contract/contract.h"
#include <weft/fixed.h>
#include <weft/snapshot.h>
#include <weft/write_batch.h>

static weft_map_options with_hints(weft_hints hints) {
    return (weft_map_options){.size = sizeof(weft_map_options), .hints = hints};
}

static const char *engine_of(const weft_map_options *options) {
    weft_map map = WEFT_MAP_INIT;
    weft_u64map numbers = WEFT_U64MAP_INIT;
    weft_map_stats stats, same;
    assert_int_equal(weft_map_open(&map, options), WEFT_OK);
    assert_int_equal(weft_u64map_open(&numbers, options), WEFT_OK);
    weft_map_stats_get(&map, &stats);
    weft_u64map_stats_get(&numbers, &same);
    assert_string_equal(stats.engine, same.engine);
    assert_int_equal(weft_map_close(&map), WEFT_OK);
    assert_int_equal(weft_u64map_close(&numbers), WEFT_OK);
    return stats.engine;
}

static void hints_choose_the_engine(void **state) {
    (void)state;
    weft_map_options options = with_hints((weft_hints){0});
    assert_string_equal(engine_of(&options), "lockfree");
    assert_string_equal(engine_of(NULL), "lockfree");
    options = with_hints((weft_hints){.threads = 1});
    assert_string_equal(engine_of(&options), "rwlock");
    options = with_hints((weft_hints){.reads = 100});
    assert_string_equal(engine_of(&options), "lockfree"); /* of any size */
    options.expected_entries = 300;
    assert_string_equal(engine_of(&options), "cow");
    options.hints.needs = WEFT_NEED_LOCK_FREE;
    assert_string_equal(engine_of(&options), "lockfree");
    options = with_hints((weft_hints){.needs = WEFT_NEED_WRITE_BATCH});
    const char *engine = engine_of(&options);
    assert_true(strcmp(engine, "sharded") == 0 || strcmp(engine, "cow") == 0);
    options = with_hints((weft_hints){0});
    options.fixed.capacity = 100;
    assert_string_equal(engine_of(&options), "fixed");
}

static void what_no_engine_has_is_refused(void **state) {
    (void)state;
    weft_map map = WEFT_MAP_INIT;
    weft_map_options options =
        with_hints((weft_hints){.needs = WEFT_NEED_WRITE_BATCH | WEFT_NEED_LOCK_FREE});
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_UNSUPPORTED);
    options.hints.needs = WEFT_NEEDS_ALL + 1;
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_INVALID);
    options.hints = (weft_hints){.reads = 101};
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_INVALID);
    options.hints = (weft_hints){.reads = -1};
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_INVALID);
    options.hints = (weft_hints){.needs = WEFT_NEED_SNAPSHOT};
    options.fixed.capacity = 100; /* no snapshots in engine fixed, and no bound in others */
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_UNSUPPORTED);
}

/* A need is a promise of open: what was not refused works. */
static void needs_of_a_named_engine_are_kept(void **state) {
    weft_map_options options = contract_options(state);
    options.hints.needs = WEFT_NEED_SNAPSHOT;
    weft_map map = WEFT_MAP_INIT;
    weft_snapshot snapshot;
    int status = weft_map_open(&map, &options);
    options.hints.needs = 0;
    if (status == WEFT_E_UNSUPPORTED) {
        assert_int_equal(weft_map_open(&map, &options), WEFT_OK);
    }
    int taken = weft_map_snapshot(&map, &snapshot);
    assert_int_equal(taken, status);
    if (taken == WEFT_OK) {
        weft_snapshot_release(&snapshot);
    }
    contract_close(&map);
}

static void needed_batches_work(void **state) {
    (void)state;
    static const double reads[] = {0, 100};
    for (size_t i = 0; i < COUNT_OF(reads); i++) {
        weft_map_options options =
            with_hints((weft_hints){.needs = WEFT_NEED_WRITE_BATCH, .reads = reads[i]});
        options.expected_entries = 10;
        weft_map map = contract_open_with(&options);
        weft_write writes[2] = {
            {.key = weft_str("a"), .value = weft_str("1"), .op = WEFT_WRITE_PUT},
            {.key = weft_str("b"), .value = weft_str("2"), .op = WEFT_WRITE_PUT}};
        assert_int_equal(weft_map_write_batch(&map, writes, 2), WEFT_OK);
        assert_int_equal(weft_map_len_exact(&map), 2);
        contract_close(&map);
    }
}

enum { THREADS = 3, EACH = 200 };

static void work(contract_worker *worker) {
    for (uint64_t i = 0; i < EACH; i++) {
        uint64_t key = (uint64_t)worker->index * EACH + i;
        REQUIRE(put_u64(worker->map, key, key) == WEFT_OK);
        REQUIRE(i % 2 == 0 || remove_u64(worker->map, key) == WEFT_OK);
    }
}

/* Hints that are wrong cost time alone: a map that was to have one thread has three, one that was
 * to be read is written, and it grows beyond what was expected. */
static void test_A_wrong_hints_keep_the_contract(void **state) {
    (void)state;
    static const weft_hints wrong[] = {
        {.threads = 1}, {.reads = 100}, {.threads = 1, .reads = 100}};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        weft_map_options options = with_hints(wrong[i]);
        options.expected_entries = 8;
        weft_map map = contract_open_with(&options);
        contract_together(THREADS, work, &map, NULL);
        assert_int_equal(weft_map_len_exact(&map), THREADS * EACH / 2);
        for (uint64_t key = 0; key < THREADS * EACH; key++) {
            uint64_t found = 0;
            assert_int_equal(get_u64(&map, key, &found), key % 2 == 0 ? WEFT_OK : WEFT_NOT_FOUND);
        }
        assert_int_equal(weft_map_check(&map, NULL, 0), WEFT_OK);
        contract_close(&map);
    }
}

int main(void) {
    static const contract_test each[] = {CONTRACT(needs_of_a_named_engine_are_kept)};
    const struct CMUnitTest once[] = {
        cmocka_unit_test(hints_choose_the_engine),
        cmocka_unit_test(what_no_engine_has_is_refused),
        cmocka_unit_test(needed_batches_work),
        cmocka_unit_test(test_A_wrong_hints_keep_the_contract),
    };
    int failed = contract_run("auto", each, COUNT_OF(each));
    return failed + cmocka_run_group_tests(once, NULL, NULL);
}
