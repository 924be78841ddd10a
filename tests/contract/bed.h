/* SPDX-License-Identifier: MIT */
/* What the contract tests share: each test runs once for each engine. */
#ifndef WEFT_TESTS_BED_H
#define WEFT_TESTS_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <weft/weft.h>

typedef struct bed_engine {
    const char *name;
    weft_engine_id id;
} bed_engine;

static const bed_engine bed_engines[] = {
#define WEFT_ENGINE(symbol, id) {#id, WEFT_ENGINE_##id},
#include "../src/engine/engines.def"
#undef WEFT_ENGINE
};

typedef struct bed_test {
    const char *name;
    CMUnitTestFunction fn;
} bed_test;

#define BED(test)                                                                                  \
    { #test, test }

/* The options of the engine under test. */
static inline weft_map_options bed_options(void **state) {
    const bed_engine *engine = *state;
    weft_map_options options = {.size = sizeof options, .engine = engine->id};
    return options;
}

static inline weft_map bed_open(void **state) {
    weft_map_options options = bed_options(state);
    weft_map map = WEFT_MAP_INIT;
    assert_int_equal(weft_map_open(&map, &options), WEFT_OK);
    return map;
}

static inline weft_u64map bed_open_u64(void **state) {
    weft_map_options options = bed_options(state);
    weft_u64map map = WEFT_U64MAP_INIT;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_OK);
    return map;
}

/* The structure holds its invariants; then it is closed. */
static inline void bed_close(weft_map *map) {
    char text[128] = "";
    if (weft_map_check(map, text, sizeof text) != WEFT_OK) {
        fail_msg("%s", text);
    }
    assert_int_equal(weft_map_close(map), WEFT_OK);
    assert_null(map->impl);
}

static inline void bed_close_u64(weft_u64map *map) {
    char text[128] = "";
    if (weft_u64map_check(map, text, sizeof text) != WEFT_OK) {
        fail_msg("%s", text);
    }
    assert_int_equal(weft_u64map_close(map), WEFT_OK);
}

static inline weft_bytes bed_number(const uint64_t *number) {
    return weft_bytes_of(number, sizeof *number);
}

/* The text under a key, or NULL; good until the next call of the thread. */
static inline const char *bed_text(weft_map *map, const char *key) {
    static __thread char text[256];
    weft_buffer out = {.data = text, .capacity = sizeof text - 1};
    if (weft_map_get(map, weft_str(key), &out) != WEFT_OK) {
        return NULL;
    }
    text[out.size] = '\0';
    return text;
}

static inline uint64_t bed_version(weft_map *map, const char *key) {
    weft_buffer out = {.data = NULL, .capacity = 0};
    int status = weft_map_get(map, weft_str(key), &out);
    assert_true(status == WEFT_OK || status == WEFT_TRUNCATED);
    return out.version;
}

#define assert_ok(call) assert_int_equal((call), WEFT_OK)

static inline int bed_run(const bed_test *tests, size_t count) {
    enum { ENGINES = sizeof bed_engines / sizeof *bed_engines };
    struct CMUnitTest *all = calloc(count * ENGINES, sizeof *all);
    char(*names)[96] = calloc(count * ENGINES, sizeof *names);
    if (all == NULL || names == NULL) {
        return 1;
    }
    for (size_t i = 0; i < count * ENGINES; i++) {
        const bed_engine *engine = &bed_engines[i / count];
        snprintf(names[i], sizeof names[i], "%s/%s", engine->name, tests[i % count].name);
        all[i].name = names[i];
        all[i].test_func = tests[i % count].fn;
        all[i].initial_state = (void *)(uintptr_t)engine;
    }
    int failed = _cmocka_run_group_tests("contract", all, count * ENGINES, NULL, NULL);
    free(names);
    free(all);
    return failed;
}

#define BED_MAIN(tests)                                                                            \
    int main(void) {                                                                               \
        return bed_run((tests), sizeof(tests) / sizeof *(tests));                                  \
    }

#endif
