/* SPDX-License-Identifier: MIT */
/* The options of the engines with locks: each bias of rwlock, and shards that are counted, packed,
 * and doubled while threads work. Proves [A] for each of them, with several threads. */
#include "contract/contract.h"

enum { THREADS = 4, TURNS = 20000, HOT = 5, KEYS = 3000 };

static bool is_engine(void **state, weft_engine_id id) {
    return contract_engine_of(state) == id;
}

/* Each thread has keys of its own, which come and go, and all count up the same few. */
static void come_and_go(contract_worker *worker) {
    uint64_t own = (uint64_t)(worker->index + 1) << 32;
    for (uint64_t i = 0; i < TURNS; i++) {
        uint64_t hot = i % HOT;
        uint64_t value;
        REQUIRE(weft_map_fetch_add(worker->map, bytes_of_u64(&hot), 1, NULL) == WEFT_OK);
        REQUIRE(put_u64(worker->map, own + i % KEYS, i) == WEFT_OK);
        REQUIRE(get_u64(worker->map, own + i % KEYS, &value) == WEFT_OK && value == i);
        if (i / KEYS % 2 != 0) {
            REQUIRE(remove_u64(worker->map, own + i % KEYS) == WEFT_OK);
        }
    }
}

static void work_on(const weft_map_options *options) {
    weft_map map = contract_open_with(options);
    contract_together(THREADS, come_and_go, &map, NULL);
    for (uint64_t hot = 0; hot < HOT; hot++) {
        uint64_t sum;
        REQUIRE(get_u64(&map, hot, &sum) == WEFT_OK && sum == (uint64_t)THREADS * TURNS / HOT);
    }
    contract_close(&map);
}

static void A_any_bias_excludes(void **state) {
    weft_map_options options = contract_options(state);
    for (int bias = 0; is_engine(state, WEFT_ENGINE_RWLOCK) && bias <= WEFT_RWLOCK_NOBODY; bias++) {
        options.rwlock.bias = (weft_rwlock_bias)bias;
        work_on(&options);
    }
}

static void read_all(contract_worker *worker) {
    for (uint64_t i = 0; i < TURNS; i++) {
        uint64_t value;
        REQUIRE(get_u64(worker->map, i % KEYS, &value) == WEFT_OK && value >= i % KEYS);
        if (i % 5000 == 4999) { /* now and then a writer takes the bias from the readers */
            REQUIRE(put_u64(worker->map, i % KEYS, i % KEYS + i) == WEFT_OK);
        }
    }
}

static void A_readers_see_what_a_writer_did(void **state) {
    weft_map_options options = contract_options(state);
    options.rwlock.bias = WEFT_RWLOCK_READERS;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, KEYS);
    contract_together(THREADS, read_all, &map, NULL);
    contract_close(&map);
}

/* One thread after the other has the map for itself; fewer of them where each write copies all. */
static void one_thread_after_the_other(void **state) {
    weft_map map = contract_open(state);
    for (unsigned i = 0; i < (contract_can(state, WEFT_CAP_COPIES) ? 2u : 6u); i++) {
        uint64_t hot = 1;
        uint64_t sum = 0;
        contract_together(1, come_and_go, &map, NULL);
        assert_int_equal(get_u64(&map, hot, &sum), WEFT_OK);
        assert_int_equal(sum, (uint64_t)(i + 1) * TURNS / HOT);
    }
    contract_close(&map);
}

enum { OTHER = 1 << 20, OTHERS = 8000, ROUNDS = 4, STAY = 320 };

typedef struct company {
    weft_u64map map;
    uint64_t stay;
    uint64_t others;
    uint32_t left; /* the other thread has ended its work */
} company;

/* Others come and go so that the table grows and shrinks under whoever looks into it. */
static void come_and_go_beside(contract_worker *worker) {
    company *c = worker->ctx;
    for (uint64_t i = 0; i < 2 * ROUNDS * c->others; i++) {
        uint64_t key = OTHER + i % c->others;
        REQUIRE((i / c->others % 2 == 0 ? weft_u64map_put(&c->map, key, i)
                                        : weft_u64map_remove(&c->map, key)) == WEFT_OK);
    }
    weft_store_release(&c->left, 1); /* pairs with the load in A_company_comes_and_goes */
}

static void require_all(company *c) {
    for (uint64_t key = 0; key < c->stay; key++) {
        uint64_t value;
        REQUIRE(weft_u64map_get(&c->map, key, &value) == WEFT_OK && value == key + 1);
        REQUIRE(weft_u64map_get(&c->map, 2 * OTHER + key, &value) == WEFT_NOT_FOUND && value == 0);
    }
}

/* Who was alone, and looked without a lock, has company; and is alone again. */
static void A_company_comes_and_goes(void **state) {
    weft_map_options options = contract_options(state);
    company c = {.map = WEFT_U64MAP_INIT,
                 .stay = contract_scaled(state, STAY),
                 .others = contract_scaled(state, OTHERS)};
    assert_int_equal(weft_u64map_open(&c.map, &options), WEFT_OK);
    for (uint64_t key = 0; key < c.stay; key++) {
        assert_int_equal(weft_u64map_put(&c.map, key, key + 1), WEFT_OK);
    }
    for (int i = 0; i < 3; i++) {
        contract_crew crew = {.run = come_and_go_beside};
        require_all(&c);
        c.left = 0;
        contract_start(&crew, 1, NULL, &c);
        while (weft_load_acquire(&c.left) == 0) { /* pairs with the store in come_and_go_beside */
            require_all(&c);
        }
        contract_join(&crew);
    }
    require_all(&c);
    assert_int_equal(weft_u64map_check(&c.map, NULL, 0), WEFT_OK);
    assert_int_equal(weft_u64map_close(&c.map), WEFT_OK);
}

static uint64_t shards_of(weft_map *map) {
    weft_map_stats stats;
    weft_map_stats_get(map, &stats);
    return stats.shards;
}

static void shards_are_as_asked_for(void **state) {
    weft_map_options options = contract_options(state);
    const uint64_t keys = contract_scaled(state, KEYS);
    for (uint32_t shards = 1; shards <= 256; shards *= 4) {
        options.sharded.shards = shards;
        options.sharded.packed = shards == 16;
        weft_map map = contract_open_with(&options);
        assert_int_equal(shards_of(&map), is_engine(state, WEFT_ENGINE_SHARDED) ? shards : 0);
        put_range(&map, 0, keys);
        require_range(&map, 0, keys);
        assert_int_equal(weft_map_len_exact(&map), keys);
        assert_int_equal(weft_map_reserve(&map, 10 * keys), WEFT_OK);
        remove_range(&map, 10, keys);
        assert_true(weft_map_shrink(&map) >= 0);
        require_range(&map, 0, 10);
        contract_close(&map);
    }
}

static void shards_are_a_power_of_two(void **state) {
    weft_map map = WEFT_MAP_INIT;
    weft_map_options options = contract_options(state);
    int refused = is_engine(state, WEFT_ENGINE_SHARDED) ? WEFT_E_INVALID : WEFT_OK;
    static const uint32_t wrong[] = {3, 65537, 131072};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        options.sharded.shards = wrong[i];
        assert_int_equal(weft_map_open(&map, &options), refused);
        assert_int_equal(weft_map_close(&map), WEFT_OK);
    }
}

/* By default there are some for each processor, and not one for all. */
static void shards_follow_the_processors(void **state) {
    weft_map map = contract_open(state);
    uint64_t shards = shards_of(&map);
    assert_true(is_engine(state, WEFT_ENGINE_SHARDED) ? shards >= 32 && (shards & (shards - 1)) == 0
                                                      : shards == 0);
    contract_close(&map);
}

/* Threads that wait for each other have the shards doubled, up to the most, beside all the rest. */
static void A_shards_are_doubled_by_waiting(void **state) {
    weft_map_options options = contract_options(state);
    if (!is_engine(state, WEFT_ENGINE_SHARDED)) {
        return;
    }
    options.sharded.shards = 1;
    options.sharded.shards_max = 16;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, KEYS);
    for (int round = 0; round < 200 && shards_of(&map) < 2; round++) {
        contract_together(THREADS, come_and_go, &map, NULL);
    }
    assert_true(shards_of(&map) >= 2 && shards_of(&map) <= 16);
    require_range(&map, HOT, KEYS);
    contract_close(&map);
    work_on(&options);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT_THREADS(A_any_bias_excludes),  CONTRACT_THREADS(A_readers_see_what_a_writer_did),
        CONTRACT(one_thread_after_the_other),   CONTRACT_THREADS(A_company_comes_and_goes),
        CONTRACT(shards_are_as_asked_for),      CONTRACT(shards_are_a_power_of_two),
        CONTRACT(shards_follow_the_processors), CONTRACT_THREADS(A_shards_are_doubled_by_waiting),
    };
    return contract_run("lock", tests, COUNT_OF(tests));
}
