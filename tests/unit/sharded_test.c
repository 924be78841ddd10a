/* SPDX-License-Identifier: MIT */
/* Several shards locked at once: in order, each once, while they grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "base/numa.h"
#include "base/thread.h"
#include "engine/sharded.h"
#include "harness/prng.h"
#include "map/core.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/u64map.h>

enum { THREADS = 4, ROUNDS = 4000, ACCOUNTS = 64, PER_ROUND = 6, BALANCE = 1000 };

static weft_u64map map;

static weft_core *core(void) {
    return weft_map_core(map.impl);
}

static void open_accounts(uint32_t shards) {
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_SHARDED};
    options.sharded.shards = shards;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_OK);
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        assert_int_equal(weft_u64map_put(&map, i, BALANCE), WEFT_OK);
    }
}

/* The cell of a key in a spot. */
static uint64_t *cell_of(const weft_sharded_spot *spot, uint64_t number) {
    weft_key key = weft_key_of_u64(core(), number);
    weft_key inner = weft_sharded_key(&key, spot->bits);
    return &weft_plain_find_in(WEFT_SHAPE_U64, spot->plain, &inner)->cell;
}

static weft_sharded_spot spot_for(size_t key, uint64_t number) {
    uint64_t hash = weft_key_of_u64(core(), number).hash;
    return (weft_sharded_spot){.point = weft_reverse_bits(hash), .key = key};
}

/* Give one from the first key's to each of the others; keys may be the same. */
static void transfer(weft_prng *prng) {
    uint64_t numbers[PER_ROUND];
    weft_sharded_spot spots[PER_ROUND];
    uint64_t *cells[PER_ROUND];
    weft_guard guard;
    weft_guard_enter(&guard);
    for (size_t i = 0; i < PER_ROUND; i++) {
        numbers[i] = weft_prng_below(prng, ACCOUNTS);
        spots[i] = spot_for(i, numbers[i]);
    }
    weft_sharded_sort(spots, PER_ROUND);
    weft_sharded_lock(core(), spots, PER_ROUND);
    for (size_t i = 0; i < PER_ROUND; i++) {
        cells[spots[i].key] = cell_of(&spots[i], numbers[spots[i].key]);
    }
    for (size_t i = 1; i < PER_ROUND; i++) {
        --*cells[0];
        ++*cells[i];
    }
    weft_sharded_unlock(core(), spots, PER_ROUND);
    weft_guard_leave(&guard);
}

static void *transfer_often(void *seed) {
    weft_prng prng = weft_prng_of((uint64_t)(uintptr_t)seed);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        transfer(&prng);
        (void)weft_u64map_put(&map, ACCOUNTS + i, i);
    }
    return NULL;
}

static void sums_stay(void **state) {
    (void)state;
    for (uint32_t shards = 1; shards <= 64; shards *= 4) {
        weft_thread threads[THREADS];
        open_accounts(shards);
        for (uintptr_t i = 0; i < THREADS; i++) {
            assert_true(weft_thread_start(&threads[i], transfer_often, (void *)(i + 1)));
        }
        uint64_t sum = 0;
        for (int i = 0; i < THREADS; i++) {
            weft_thread_join(&threads[i]);
        }
        for (uint64_t i = 0; i < ACCOUNTS; i++) {
            uint64_t value = 0;
            assert_int_equal(weft_u64map_get(&map, i, &value), WEFT_OK);
            sum += value;
        }
        assert_int_equal(sum, (uint64_t)ACCOUNTS * BALANCE);
        assert_int_equal(weft_u64map_close(&map), WEFT_OK);
    }
}

static void spots_come_in_order(void **state) {
    (void)state;
    enum { MANY = 1000 };
    static weft_sharded_spot spots[MANY];
    weft_guard guard;
    open_accounts(256);
    weft_guard_enter(&guard);
    for (uint64_t i = 0; i < MANY; i++) {
        spots[i] = spot_for(i, i);
    }
    weft_sharded_sort(spots, MANY);
    weft_sharded_lock(core(), spots, MANY);
    size_t locked = 0;
    for (size_t i = 0; i < MANY; i++) {
        uint64_t hash = weft_key_of_u64(core(), spots[i].key).hash;
        assert_true(i == 0 || spots[i].point > spots[i - 1].point);
        assert_int_equal(weft_reverse_bits(spots[i].point), hash);
        assert_int_equal(spots[i].bits, 8);
        assert_true(spots[i].first || spots[i].plain == spots[i - 1].plain);
        assert_true(weft_latch_is_held(spots[i].latch));
        locked += spots[i].first;
    }
    assert_true(locked > 200 && locked <= 256);
    weft_sharded_unlock(core(), spots, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_false(weft_latch_is_held(spots[i].latch));
    }
    weft_guard_leave(&guard);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

/* ---- parts and memory nodes ------------------------------------------------------------------ */

/* As a write of two keys would lock them. */
static bool share_a_shard(uint64_t a, uint64_t b) {
    weft_sharded_spot spots[2] = {spot_for(0, a), spot_for(1, b)};
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_sharded_sort(spots, 2);
    weft_sharded_lock(core(), spots, 2);
    bool same = !spots[1].first;
    weft_sharded_unlock(core(), spots, 2);
    weft_guard_leave(&guard);
    return same;
}

static void parts_share_no_shard(void **state) {
    (void)state;
    enum { SHARDS = 8, KEYS = 400 };
    open_accounts(SHARDS);
    uint64_t met[SHARDS] = {0};
    for (uint64_t i = 0; i < KEYS; i++) {
        size_t part = weft_u64map_part(&map, i, SHARDS);
        assert_true(part < SHARDS);
        met[part]++;
        for (uint64_t k = 0; k < i; k += 7) {
            bool same = weft_u64map_part(&map, k, SHARDS) == part;
            assert_int_equal(share_a_shard(i, k), same);
        }
        assert_int_equal(weft_u64map_part(&map, i, 2), part % 2);
    }
    for (int i = 0; i < SHARDS; i++) {
        assert_true(met[i] > KEYS / SHARDS / 3);
    }
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
}

/* Where the table of a key's shard is to be. */
static int node_of_key(uint64_t number) {
    weft_sharded_spot spot = spot_for(0, number);
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_sharded_lock(core(), &spot, 1);
    int node = weft_numa_preferred(weft_plain_now(spot.plain).lines);
    weft_sharded_unlock(core(), &spot, 1);
    weft_guard_leave(&guard);
    return node;
}

/* A machine as the folder says. The kernel has node 0 at least, and may refuse others. */
static uint64_t open_on(const char *has_memory, bool numa) {
    enum { ENTRIES = 40000 }; /* tables of pages */
    char folder[] = "/tmp/weft-nodes-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/has_memory", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(has_memory, file);
    fclose(file);
    weft_numa_set_folder(folder);
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_SHARDED};
    options.sharded.shards = 4;
    options.sharded.numa = numa;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_OK);
    weft_numa_set_folder(NULL);
    (void)remove(path);
    (void)rmdir(folder);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        assert_int_equal(weft_u64map_put(&map, i, i), WEFT_OK);
    }
    weft_map_stats stats;
    weft_u64map_stats_get(&map, &stats);
    return stats.shard_nodes;
}

static void tables_lie_on_the_nodes_of_their_parts(void **state) {
    (void)state;
    enum { SOME = 1 << 16 };
    void *pages = weft_pages_map_small(SOME);
    assert_non_null(pages);
    bool offered = weft_numa_prefer(pages, SOME, 0) == 0 && weft_numa_preferred(pages) == 0;
    weft_pages_unmap(pages, SOME);
    if (!offered) {
        skip(); /* or it is forbidden here */
    }
    assert_int_equal(open_on("0,7\n", true), 2);
    for (uint64_t i = 0; i < 100; i++) { /* node 7 is not there: its tables are anywhere */
        assert_int_equal(node_of_key(i), weft_u64map_part(&map, i, 2) == 0 ? 0 : -1);
    }
    assert_int_equal(weft_u64map_check(&map, NULL, 0), WEFT_OK);
    assert_int_equal(weft_u64map_close(&map), WEFT_OK);
    static const struct {
        const char *text;
        bool numa;
    } plain[] = {{"0\n", true}, {"0-1\n", false}, {"what\n", true}, {"", true}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        assert_int_equal(open_on(plain[i].text, plain[i].numa), 0);
        assert_int_equal(node_of_key(i), -1);
        assert_int_equal(weft_u64map_close(&map), WEFT_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_stay),
        cmocka_unit_test(spots_come_in_order),
        cmocka_unit_test(parts_share_no_shard),
        cmocka_unit_test(tables_lie_on_the_nodes_of_their_parts),
    };
    return cmocka_run_group_tests_name("sharded", tests, NULL, NULL);
}
