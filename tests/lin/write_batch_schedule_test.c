/* SPDX-License-Identifier: MIT */
/* Batches under the deterministic scheduler, on every engine that has them: two writers that set
 * all keys to rising numbers, by batches and by single writes, a reader of pairs and one of
 * snapshots. A batch is never seen in part. Proves [J] [K] of weft/write_batch.h.
 *
 *   write_batch_schedule_test                   WEFT_SCHEDULES schedules of each (100000)
 *   write_batch_schedule_test --find ENGINE N   exit 0 if one of N fails, else 1
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/sched.h"
#include "engine/engine.h"
#include "harness/arena.h"
#include "harness/prng.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/weft.h>

enum { THREADS = 4, KEYS = 3, BATCHES = 3, READS = 4, BUSY_AT_MOST = 50, ARENA_BYTES = 16 << 20 };

static struct {
    weft_arena *arena;
    weft_allocator allocator;
    weft_map map;
    weft_u64map numbers;
    bool of_numbers;
    uint64_t next; /* the number that the next batch sets */
    weft_prng prng[THREADS];
    const char *fault;
} run;

static int put_all(uint64_t round, unsigned first) {
    static const char names[KEYS][2] = {"a", "b", "c"};
    weft_write writes[KEYS];
    weft_u64write numbers[KEYS];
    for (unsigned i = 0; i < KEYS; i++) {
        unsigned key = (first + i) % KEYS;
        writes[i] = (weft_write){WEFT_WRITE_PUT, weft_bytes_of(names[key], 1),
                                 weft_bytes_of(&round, sizeof round)};
        numbers[i] = (weft_u64write){WEFT_WRITE_PUT, key, round};
    }
    return run.of_numbers ? weft_u64map_write_batch(&run.numbers, numbers, KEYS)
                          : weft_map_write_batch(&run.map, writes, KEYS);
}

static uint64_t get(unsigned key) {
    uint64_t value = 0;
    char name = (char)('a' + key);
    weft_buffer out = {.data = &value, .capacity = sizeof value};
    int status = run.of_numbers ? weft_u64map_get(&run.numbers, key, &value)
                                : weft_map_get(&run.map, weft_bytes_of(&name, 1), &out);
    if (status != WEFT_OK) {
        run.fault = "a key was gone";
    }
    return value;
}

/* Numbers rise, as a writer that comes second sets a larger one; so the order of two batches of
 * different writers is that of their points. */
static void write_some(void *ctx) {
    weft_prng *prng = ctx;
    for (int i = 0; i < BATCHES; i++) {
        if (put_all(++run.next, weft_prng_below(prng, KEYS)) != WEFT_OK) {
            run.fault = "a batch failed";
        }
    }
}

/* Something else to copy, beside. */
static void write_other(void *ctx) {
    weft_prng *prng = ctx;
    for (int i = 0; i < BATCHES; i++) {
        uint64_t key = 100 + weft_prng_below(prng, 2);
        weft_bytes name = weft_bytes_of(&key, sizeof key);
        int status = run.of_numbers ? weft_u64map_put(&run.numbers, key, key)
                                    : weft_map_put(&run.map, name, name);
        if (status != WEFT_OK) {
            run.fault = "a put failed";
        }
    }
}

static void read_pairs(void *ctx) {
    weft_prng *prng = ctx;
    for (int i = 0; i < READS; i++) {
        uint64_t first = get(weft_prng_below(prng, KEYS));
        if (get(weft_prng_below(prng, KEYS)) < first) {
            run.fault = "a batch was seen in part: a new key, and then an old one";
        }
    }
}

static uint64_t shown(const weft_snapshot *snapshot, const weft_u64snapshot *numbers,
                      unsigned key) {
    uint64_t value = 0;
    char name = (char)('a' + key);
    weft_view view = {.version = 0};
    if (run.of_numbers) {
        (void)weft_u64snapshot_get(numbers, key, &value);
    } else if (weft_snapshot_get(snapshot, weft_bytes_of(&name, 1), &view) == WEFT_OK) {
        memcpy(&value, view.value.data, sizeof value);
    }
    return value;
}

static void read_snapshots(void *ctx) {
    (void)ctx;
    weft_snapshot snapshot = WEFT_SNAPSHOT_INIT;
    weft_u64snapshot numbers = WEFT_U64SNAPSHOT_INIT;
    int status = WEFT_E_BUSY;
    for (int i = 0; i < BUSY_AT_MOST && status == WEFT_E_BUSY; i++) {
        status = run.of_numbers ? weft_u64map_snapshot(&run.numbers, &numbers)
                                : weft_map_snapshot(&run.map, &snapshot);
    }
    for (unsigned key = 1; status == WEFT_OK && key < KEYS; key++) {
        if (shown(&snapshot, &numbers, key) != shown(&snapshot, &numbers, 0)) {
            run.fault = "a batch was seen in part: in a snapshot";
        }
    }
    weft_snapshot_release(&snapshot);
    weft_u64snapshot_release(&numbers);
}

static weft_sched_options schedule_of(uint64_t seed) {
    weft_sched_options options = {.strategy = WEFT_SCHED_UNIFORM, .seed = seed};
    options.depth = (unsigned)(seed / 4 % 6);
    if (seed % 4 > 1) {
        options.strategy = WEFT_SCHED_PCT;
        options.depth = 2 + (unsigned)(seed / 4 % 3);
        options.length = UINT64_C(100) << seed / 16 % 5;
    }
    return options;
}

static int open_maps(weft_engine_id engine, uint64_t seed) {
    weft_arena_reset(run.arena, seed / 2 % 2);
    run.allocator = weft_arena_allocator(run.arena);
    weft_map_options options = {
        .size = sizeof options, .engine = engine, .hash_seed = 1, .allocator = &run.allocator};
    run.of_numbers = seed % 2 != 0;
    run.next = 1;
    run.fault = NULL;
    int status = run.of_numbers ? weft_u64map_open(&run.numbers, &options)
                                : weft_map_open(&run.map, &options);
    return status == WEFT_OK ? put_all(1, 0) : status;
}

/* NULL, or what went wrong. */
static const char *run_seed(weft_engine_id engine, uint64_t seed) {
    static const weft_sched_fn fns[THREADS] = {write_some, write_other, read_pairs, read_snapshots};
    void *ctxs[THREADS];
    if (open_maps(engine, seed) != WEFT_OK) {
        return "could not be set up";
    }
    for (unsigned t = 0; t < THREADS; t++) {
        run.prng[t] = weft_prng_of(seed * THREADS + t);
        ctxs[t] = &run.prng[t];
    }
    weft_sched_options schedule = schedule_of(seed);
    if (weft_sched_run(&schedule, fns, ctxs, THREADS) != WEFT_SCHED_DONE) {
        return "does not end";
    }
    if (run.fault != NULL) {
        return run.fault; /* what is left of the map is not to be touched */
    }
    int status = run.of_numbers ? weft_u64map_check(&run.numbers, NULL, 0)
                                : weft_map_check(&run.map, NULL, 0);
    status = status != WEFT_OK ? status
             : run.of_numbers  ? weft_u64map_close(&run.numbers)
                               : weft_map_close(&run.map);
    return status != WEFT_OK ? "is not sound in the end" : weft_arena_fault(run.arena);
}

/* The number of seeds that were fine. */
static uint64_t run_seeds(weft_engine_id engine, uint64_t count) {
    for (uint64_t seed = 1; seed <= count; seed++) {
        const char *fault = run_seed(engine, seed);
        if (fault != NULL) {
            fprintf(stderr, "%s: seed %llu\n", fault, (unsigned long long)seed);
            return seed - 1;
        }
    }
    return count;
}

static const struct {
    const char *name;
    weft_engine_id id;
} engines[] = {
#define WEFT_ENGINE(name, ID, number) {#ID, WEFT_ENGINE_##ID},
#include <weft/engines.def>
#undef WEFT_ENGINE
};

static void no_batch_is_seen_in_part(void **state) {
    (void)state;
    const char *text = getenv("WEFT_SCHEDULES");
    uint64_t wanted = (text != NULL ? strtoull(text, NULL, 10) : 100000) / 4;
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        if (weft_engine_of(engines[i].id)->write_batch != NULL) {
            assert_int_equal(run_seeds(engines[i].id, wanted), wanted);
        }
    }
}

/* Memory that was freed holds poison, which is no address. */
static void on_crash(int number) {
    (void)number;
    _exit(0);
}

int main(int argc, char **argv) {
    run.arena = weft_arena_new(ARENA_BYTES);
    if (run.arena == NULL) {
        return 3;
    }
    if (argc == 4 && strcmp(argv[1], "--find") == 0) {
        (void)signal(SIGSEGV, on_crash);
        uint64_t wanted = strtoull(argv[3], NULL, 10);
        bool found = false;
        for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
            if (strcmp(engines[i].name, argv[2]) == 0) {
                found = run_seeds(engines[i].id, wanted) < wanted;
            }
        }
        return found ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_batch_is_seen_in_part)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_arena_free(run.arena);
    weft_sched_release();
    return failed;
}
