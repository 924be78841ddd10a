/* SPDX-License-Identifier: MIT */
/* Engine "fixed": a writer that ends at each of its atomic operations in turn, in tables that are
 * prepared in several ways. What is left is sound, all keys that were there are there, the write
 * under way happened or did not, and the next ones are carried out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/sched.h"
#include "reclaim/epoch.h"
#include <string.h>
#include <weft/weft.h>

enum { CAPACITY = 64, CROWD_MOST = 12, POINTS_MOST = 500, SEED = 77, AFTERWARDS = 6 };

typedef enum kind { PUT, INSERT, REMOVE, REPLACE, KINDS } kind;

static struct {
    weft_u64map map;
    void *memory;
    size_t bytes;
    uint64_t target;
    kind kind;
} now;

/* Key number i of one bucket. */
static uint64_t key_of(uint64_t i) {
    weft_mixer mixer = weft_mixer_of(SEED);
    return weft_unmix_with(&mixer, (i + 1) << 20 | 5);
}

static void write_once(void *ctx) {
    (void)ctx;
    switch (now.kind) {
    case PUT:
        (void)weft_u64map_put(&now.map, now.target, 1000);
        break;
    case INSERT:
        (void)weft_u64map_insert(&now.map, now.target, 1000);
        break;
    case REMOVE:
        (void)weft_u64map_remove(&now.map, now.target);
        break;
    default:
        (void)weft_u64map_replace(&now.map, now.target, 1000);
    }
}

/* A bucket with so many keys; of those that were there before, some are gone. */
static void prepare(uint64_t crowd, bool churned) {
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_FIXED};
    options.hash_seed = SEED;
    options.fixed.capacity = CAPACITY;
    options.fixed.memory = now.memory;
    options.fixed.memory_bytes = now.bytes;
    memset(now.memory, 0, now.bytes);
    assert_int_equal(weft_u64map_open(&now.map, &options), WEFT_OK);
    for (uint64_t i = 0; churned && i < crowd + 2; i++) {
        assert_int_equal(weft_u64map_put(&now.map, key_of(100 + i), i), WEFT_OK);
    }
    for (uint64_t i = 0; churned && i < crowd + 2; i++) {
        assert_int_equal(weft_u64map_remove(&now.map, key_of(100 + i)), WEFT_OK);
    }
    for (uint64_t i = 0; i < crowd; i++) {
        assert_int_equal(weft_u64map_put(&now.map, key_of(i), i), WEFT_OK);
    }
}

static void require_crowd(uint64_t crowd) {
    char text[200] = "";
    if (weft_u64map_check(&now.map, text, sizeof text) != WEFT_OK) {
        fail_msg("%s", text);
    }
    for (uint64_t i = 0; i < crowd; i++) {
        uint64_t value = ~i;
        int status = weft_u64map_get(&now.map, key_of(i), &value);
        if (key_of(i) == now.target) { /* it has happened, or it has not */
            assert_true(status == WEFT_NOT_FOUND ? now.kind == REMOVE
                                                 : value == i || value == 1000);
        } else {
            assert_true(status == WEFT_OK && value == i);
        }
    }
}

/* The survivors' turn. */
static void require_service(void) {
    for (uint64_t i = 0; i < AFTERWARDS; i++) {
        uint64_t key = i == 0 ? now.target : key_of(200 + i);
        uint64_t value = 0;
        assert_int_equal(weft_u64map_put(&now.map, key, i), WEFT_OK);
        assert_true(weft_u64map_get(&now.map, key, &value) == WEFT_OK && value == i);
        assert_int_equal(weft_u64map_check(&now.map, NULL, 0), WEFT_OK);
    }
    for (uint64_t i = 0; i < AFTERWARDS; i++) {
        uint64_t key = i == 0 ? now.target : key_of(200 + i);
        assert_int_equal(weft_u64map_remove(&now.map, key), WEFT_OK);
        assert_int_equal(weft_u64map_insert(&now.map, key, i), WEFT_OK);
    }
}

/* The writer ends after so many points. True if it had ended by itself. */
static bool end_at(uint64_t points, uint64_t crowd, bool churned) {
    const weft_sched_fn fn = write_once;
    void *ctx = NULL;
    weft_sched_options schedule = {.strategy = WEFT_SCHED_UNIFORM, .step_limit = points};
    prepare(crowd, churned);
    weft_sched_result result = weft_sched_run(&schedule, &fn, &ctx, 1);
    require_crowd(crowd);
    require_service();
    weft_epoch_reset(); /* its guard is gone with it; another process would have its own epoch */
    assert_int_equal(weft_u64map_close(&now.map), WEFT_OK);
    return result == WEFT_SCHED_DONE;
}

static void every_point_is_survived(void **state) {
    uint64_t ends = 0;
    (void)state;
    for (unsigned k = 0; k < KINDS; k++) {
        for (uint64_t crowd = 0; crowd < CROWD_MOST; crowd++) {
            for (int churned = 0; churned < 2; churned++) {
                now.kind = (kind)k;
                bool present = k == REMOVE || k == REPLACE;
                now.target = key_of(present && crowd != 0 ? crowd - 1 : 50);
                uint64_t points = 1;
                while (points < POINTS_MOST && !end_at(points, crowd, churned != 0)) {
                    points++;
                }
                assert_true(points < POINTS_MOST);
                ends += points;
            }
        }
    }
    print_message("%llu ends\n", (unsigned long long)ends);
    assert_true(ends > 1000);
}

static int set_up(void **state) {
    (void)state;
    now.bytes = weft_fixed_bytes(CAPACITY);
    now.memory = weft_memory_alloc(NULL, now.bytes, 64);
    return now.memory != NULL ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    weft_memory_free(NULL, now.memory, now.bytes, 64);
    weft_sched_release();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_point_is_survived)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
