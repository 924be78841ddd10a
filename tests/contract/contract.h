/* SPDX-License-Identifier: MIT */
/* What the contract tests share: every test runs on every engine; maps, numbers as keys, threads,
 * and an allocator that counts. In threads other than the main one use REQUIRE, which cmocka need
 * not know. */
#ifndef WEFT_TESTS_CONTRACT_H
#define WEFT_TESTS_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/atomic.h"
#include "base/memory.h"
#include "base/thread.h"
#include "engine/engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/map.h>
#include <weft/u64map.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#define REQUIRE(condition)                                                                         \
    ((condition) ? (void)0 : contract_required(__FILE__, __LINE__, #condition))

static inline _Noreturn void contract_required(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: required: %s\n", file, line, text);
    abort();
}

/* ---- every test on every engine -------------------------------------------------------------- */

typedef struct contract_engine {
    const char *name;
    weft_engine_id id;
    const char *variant; /* what its options make of it, for the test's name */
    weft_twotier_options twotier;
} contract_engine;

static contract_engine contract_engines[] = {
#define WEFT_ENGINE(name, ID, number) {#ID, WEFT_ENGINE_##ID, "", {0}},
#include <weft/engines.def>
#undef WEFT_ENGINE
    {"TWOTIER", WEFT_ENGINE_TWOTIER, "-incremental", {.incremental = true}},
};

typedef struct contract_test {
    const char *name;
    void (*run)(void **state);
    uint32_t caps; /* what an engine must be able to do for it */
} contract_test;

#define CONTRACT(test)                                                                             \
    { #test, test, 0 }
/* One in which several threads use a map at the same time. */
#define CONTRACT_THREADS(test)                                                                     \
    { #test, test, WEFT_CAP_THREADS }

enum { CONTRACT_TESTS_MAX = 600, CONTRACT_NAME_MAX = 100 };

/* Run the tests over engines.def, each on the engines that can do what it needs; or those that
 * match the pattern in WEFT_TESTS. The engine's name begins the test's. */
static inline int contract_run(const char *group, const contract_test *tests, size_t count) {
    static struct CMUnitTest all[CONTRACT_TESTS_MAX];
    static char names[CONTRACT_TESTS_MAX][CONTRACT_NAME_MAX];
    size_t n = 0;
    for (size_t e = 0; e < COUNT_OF(contract_engines); e++) {
        uint32_t caps = weft_engine_of(contract_engines[e].id)->caps;
        for (size_t t = 0; t < count; t++) {
            if ((tests[t].caps & ~caps) != 0) {
                continue;
            }
            REQUIRE(n < CONTRACT_TESTS_MAX);
            snprintf(names[n], sizeof names[n], "%s%s/%s", contract_engines[e].name,
                     contract_engines[e].variant, tests[t].name);
            all[n] = (struct CMUnitTest){
                .name = names[n], .test_func = tests[t].run, .initial_state = &contract_engines[e]};
            n++;
        }
    }
    cmocka_set_test_filter(getenv("WEFT_TESTS")); /* NULL: all */
    return _cmocka_run_group_tests(group, all, n, NULL, NULL);
}

static inline weft_engine_id contract_engine_of(void **state) {
    return ((const contract_engine *)*state)->id;
}

/* What the engine can do and cannot. */
static inline const weft_engine *contract_card_of(void **state) {
    return weft_engine_of(contract_engine_of(state));
}

static inline bool contract_can(void **state, weft_engine_cap cap) {
    return (contract_card_of(state)->caps & (uint32_t)cap) != 0;
}

/* Until it is maintained: so its table grows where keys come and go. */
static inline bool contract_keeps_removed(void **state) {
    return (contract_card_of(state)->caps & WEFT_CAP_KEEPS_REMOVED) != 0 &&
           !((const contract_engine *)*state)->twotier.incremental;
}

/* So many, or fewer where a write is O(n), or where memory is all there from the beginning. */
static inline uint64_t contract_scaled(void **state, uint64_t count) {
    bool all = !contract_can(state, WEFT_CAP_COPIES) && contract_can(state, WEFT_CAP_GROW);
    return all ? count : count / 16;
}

static inline bool contract_grows(void **state) {
    return contract_can(state, WEFT_CAP_GROW);
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* Options for this engine, to be changed before contract_open_with. */
static inline weft_map_options contract_options(void **state) {
    weft_map_options options = {.size = sizeof(weft_map_options),
                                .engine = contract_engine_of(state),
                                .twotier = ((const contract_engine *)*state)->twotier};
    if (!contract_grows(state)) { /* what the tests need */
        options.fixed = (weft_fixed_options){.capacity = 32768, .key_bytes = 1100};
        options.fixed.value_bytes = 4096;
    }
    return options;
}

static inline weft_map contract_open_with(const weft_map_options *options) {
    weft_map map = WEFT_MAP_INIT;
    REQUIRE(weft_map_open(&map, options) == WEFT_OK);
    return map;
}

static inline weft_map contract_open(void **state) {
    weft_map_options options = contract_options(state);
    return contract_open_with(&options);
}

/* The structure is sound, waiting work ends, and the counters agree with what a walk finds. */
static inline void contract_sound(weft_map *map) {
    char text[200] = "";
    if (weft_map_check(map, text, sizeof text) != WEFT_OK) {
        fprintf(stderr, "weft_map_check: %s\n", text);
        abort();
    }
    REQUIRE(weft_map_len(map) == weft_map_len_exact(map)); /* a walk may retire something */
    for (int round = 0; weft_map_maintain(map, 4096) != WEFT_OK; round++) {
        REQUIRE(round < 100000);
    }
    REQUIRE(weft_map_check(map, text, sizeof text) == WEFT_OK);
    weft_map_stats stats;
    weft_map_stats_get(map, &stats);
    REQUIRE(stats.pending_objects == 0 && stats.pending_bytes == 0);
    REQUIRE(stats.entries == weft_map_len(map));
}

static inline void contract_close(weft_map *map) {
    contract_sound(map);
    REQUIRE(weft_map_close(map) == WEFT_OK);
    REQUIRE(map->impl == NULL);
}

static inline weft_u64map contract_open_u64(void **state) {
    weft_map_options options = contract_options(state);
    weft_u64map map = WEFT_U64MAP_INIT;
    REQUIRE(weft_u64map_open(&map, &options) == WEFT_OK);
    return map;
}

static inline void contract_close_u64(weft_u64map *map) {
    REQUIRE(weft_u64map_check(map, NULL, 0) == WEFT_OK);
    REQUIRE(weft_u64map_len(map) == weft_u64map_len_exact(map));
    REQUIRE(weft_u64map_close(map) == WEFT_OK);
}

/* ---- numbers as keys and values -------------------------------------------------------------- */

static inline weft_bytes bytes_of_u64(const uint64_t *number) {
    return weft_bytes_of(number, sizeof *number);
}

static inline uint64_t u64_of_bytes(weft_bytes bytes) {
    uint64_t number;
    REQUIRE(bytes.size == sizeof number);
    memcpy(&number, bytes.data, sizeof number);
    return number;
}

static inline int put_u64(weft_map *map, uint64_t key, uint64_t value) {
    return weft_map_put(map, bytes_of_u64(&key), bytes_of_u64(&value));
}

static inline int get_u64(weft_map *map, uint64_t key, uint64_t *value) {
    weft_buffer out = {.data = value, .capacity = sizeof *value};
    return weft_map_get(map, bytes_of_u64(&key), &out);
}

static inline int remove_u64(weft_map *map, uint64_t key) {
    return weft_map_remove(map, bytes_of_u64(&key));
}

static inline uint64_t version_of(weft_map *map, weft_bytes key) {
    weft_buffer out = {.capacity = 0};
    int status = weft_map_get(map, key, &out);
    REQUIRE(status == WEFT_OK || status == WEFT_TRUNCATED);
    return out.version;
}

/* Put keys `from` … `to - 1`, each with itself as value. */
static inline void put_range(weft_map *map, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        REQUIRE(put_u64(map, i, i) == WEFT_OK);
    }
}

static inline void remove_range(weft_map *map, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        REQUIRE(remove_u64(map, i) == WEFT_OK);
    }
}

static inline void require_range(weft_map *map, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        uint64_t value = ~i;
        REQUIRE(get_u64(map, i, &value) == WEFT_OK && value == i);
    }
}

#define assert_ok(call) assert_int_equal((call), WEFT_OK)

#define assert_value(map, key, text)                                                               \
    do {                                                                                           \
        char got[64];                                                                              \
        weft_buffer out_ = {.data = got, .capacity = sizeof got};                                  \
        assert_int_equal(weft_map_get(map, weft_str(key), &out_), WEFT_OK);                        \
        assert_int_equal(out_.size, strlen(text));                                                 \
        assert_memory_equal(got, text, out_.size);                                                 \
    } while (0)

#define assert_absent(map, key)                                                                    \
    assert_int_equal(weft_map_contains(map, weft_str(key)), WEFT_NOT_FOUND)

/* ---- threads --------------------------------------------------------------------------------- */

typedef struct contract_crew contract_crew;

typedef struct contract_worker {
    contract_crew *crew;
    unsigned index;
    weft_map *map;
    void *ctx;
    weft_thread thread;
} contract_worker;

enum { CONTRACT_THREADS_MAX = 8 };

struct contract_crew {
    void (*run)(contract_worker *worker);
    uint64_t ready;
    uint64_t count;
    contract_worker workers[CONTRACT_THREADS_MAX];
};

static inline void *contract_work(void *ctx) {
    contract_worker *worker = ctx;
    weft_fetch_add_acq_rel(&worker->crew->ready, 1); /* pairs with the load below */
    while (weft_load_acquire(&worker->crew->ready) < worker->crew->count) {
        weft_pause();
    }
    worker->crew->run(worker);
    return NULL;
}

static inline void contract_start(contract_crew *crew, unsigned count, weft_map *map, void *ctx) {
    crew->ready = 0;
    crew->count = count;
    for (unsigned i = 0; i < count; i++) {
        crew->workers[i] = (contract_worker){.crew = crew, .index = i, .map = map, .ctx = ctx};
        REQUIRE(weft_thread_start(&crew->workers[i].thread, contract_work, &crew->workers[i]));
    }
}

static inline void contract_join(contract_crew *crew) {
    for (unsigned i = 0; i < crew->count; i++) {
        weft_thread_join(&crew->workers[i].thread);
    }
}

/* Run `run` in `count` threads that begin together. */
static inline void contract_together(unsigned count, void (*run)(contract_worker *worker),
                                     weft_map *map, void *ctx) {
    contract_crew crew = {.run = run};
    contract_start(&crew, count, map, ctx);
    contract_join(&crew);
}

/* ---- an allocator that counts ---------------------------------------------------------------- */

typedef struct contract_meter {
    int64_t bytes; /* live */
    int64_t blocks;
} contract_meter;

static inline void *contract_metered(contract_meter *meter, void *memory, size_t size) {
    if (memory != NULL) {
        weft_fetch_add_relaxed(&meter->bytes, (int64_t)size);
        weft_fetch_add_relaxed(&meter->blocks, 1);
    }
    return memory;
}

static inline void *contract_meter_alloc(void *ctx, size_t size, size_t align) {
    return contract_metered(ctx, weft_memory_default.alloc(NULL, size, align), size);
}

/* Through the seam, so that the failures that tests order hit tables too. */
static inline void *contract_meter_alloc_zeroed(void *ctx, size_t size, size_t align) {
    void *memory = contract_metered(ctx, weft_memory_alloc(NULL, size, align), size);
    return memory == NULL ? NULL : memset(memory, 0, size);
}

static inline void contract_meter_free(void *ctx, void *memory, size_t size, size_t align) {
    contract_meter *meter = ctx;
    if (memory != NULL) {
        weft_fetch_add_relaxed(&meter->bytes, -(int64_t)size);
        weft_fetch_add_relaxed(&meter->blocks, -1);
        weft_memory_default.free(NULL, memory, size, align);
    }
}

static inline weft_allocator contract_allocator(contract_meter *meter) {
    return (weft_allocator){meter, contract_meter_alloc, contract_meter_free,
                            contract_meter_alloc_zeroed};
}

#endif
