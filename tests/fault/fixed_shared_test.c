/* SPDX-License-Identifier: MIT */
/* A table in memory that processes share: what one writes the others read; and a process that is
 * killed at any point leaves a sound table, in which all that it was told is done is there. */
#include "contract/contract.h"

#include "harness/prng.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

enum { CAPACITY = 600, KEYS = 300, KILLS = 120, MOST_US = 3000, WRITERS = 2 };

static void *map_shared(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return memory;
}

static weft_map_options options_for(void *memory, size_t bytes) {
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_FIXED};
    options.fixed = (weft_fixed_options){.capacity = CAPACITY, .memory = memory};
    options.fixed.memory_bytes = bytes;
    return options;
}

static weft_u64map open_shared(void *memory, size_t bytes) {
    weft_map_options options = options_for(memory, bytes);
    weft_u64map map = WEFT_U64MAP_INIT;
    REQUIRE(weft_u64map_open(&map, &options) == WEFT_OK);
    return map;
}

static void require_sound(weft_u64map *map) {
    char text[200] = "";
    if (weft_u64map_check(map, text, sizeof text) != WEFT_OK) {
        fprintf(stderr, "%s\n", text);
        REQUIRE(!"the table is broken");
    }
}

static void require_exit(pid_t child) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void processes_see_each_other(void **state) {
    (void)state;
    size_t bytes = weft_fixed_bytes(CAPACITY);
    void *memory = map_shared(bytes);
    weft_u64map map = open_shared(memory, bytes);
    for (uint64_t key = 0; key < KEYS; key++) {
        assert_ok(weft_u64map_put(&map, key, key));
    }
    pid_t child = fork();
    if (child == 0) {
        weft_u64map mine = open_shared(memory, bytes); /* attached by itself */
        for (uint64_t key = 0; key < KEYS; key++) {
            uint64_t value = 0;
            REQUIRE(weft_u64map_get(&mine, key, &value) == WEFT_OK && value == key);
            REQUIRE(weft_u64map_put(&mine, key, key + 1) == WEFT_OK);
        }
        REQUIRE(weft_u64map_put(&mine, KEYS, 7) == WEFT_OK);
        REQUIRE(weft_u64map_remove(&mine, 0) == WEFT_OK);
        REQUIRE(weft_u64map_close(&mine) == WEFT_OK);
        _exit(0);
    }
    require_exit(child);
    uint64_t value = 0;
    assert_int_equal(weft_u64map_get(&map, 0, &value), WEFT_NOT_FOUND);
    assert_true(weft_u64map_get(&map, 1, &value) == WEFT_OK && value == 2);
    assert_true(weft_u64map_get(&map, KEYS, &value) == WEFT_OK && value == 7);
    assert_int_equal(weft_u64map_len(&map), KEYS);
    assert_int_equal(weft_u64map_clear(&map), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_u64map_assign(&map, NULL, 0), WEFT_E_UNSUPPORTED);
    require_sound(&map);
    assert_ok(weft_u64map_close(&map));
    munmap(memory, bytes);
}

/* At another address, and with another capacity in the options: the header says what there is. */
static void table_has_no_addresses(void **state) {
    (void)state;
    size_t bytes = weft_fixed_bytes(CAPACITY);
    char *memory = map_shared(bytes + 4096);
    weft_u64map map = open_shared(memory, bytes);
    for (uint64_t key = 0; key < CAPACITY; key++) {
        assert_ok(weft_u64map_put(&map, key, ~key));
    }
    assert_ok(weft_u64map_close(&map));
    memmove(memory + 4096, memory, bytes);
    weft_map_options options = options_for(memory + 4096, bytes);
    options.fixed.capacity = 10;
    assert_ok(weft_u64map_open(&map, &options));
    for (uint64_t key = 0; key < CAPACITY; key++) {
        uint64_t value = 0;
        assert_true(weft_u64map_get(&map, key, &value) == WEFT_OK && value == ~key);
    }
    require_sound(&map);
    assert_ok(weft_u64map_close(&map));
    munmap(memory, bytes + 4096);
}

static void memory_that_is_no_table_is_refused(void **state) {
    (void)state;
    size_t bytes = weft_fixed_bytes(CAPACITY);
    char *memory = map_shared(bytes);
    weft_u64map map = WEFT_U64MAP_INIT;
    weft_map records = WEFT_MAP_INIT;
    weft_map_options options = options_for(memory, bytes - 1);
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_INVALID); /* too small */
    options = options_for(memory + 8, bytes - 64);
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_INVALID); /* not at a line */
    options = options_for(memory, bytes);
    assert_int_equal(weft_map_open(&records, &options), WEFT_E_UNSUPPORTED);
    options.engine = WEFT_ENGINE_LOCKFREE;
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_UNSUPPORTED);
    memset(memory, 'x', 64);
    options = options_for(memory, bytes);
    assert_int_equal(weft_u64map_open(&map, &options), WEFT_E_CORRUPT);
    munmap(memory, bytes);
}

static void full_is_an_answer(void **state) {
    (void)state;
    weft_map_options options = options_for(NULL, 0);
    weft_u64map map = WEFT_U64MAP_INIT;
    assert_ok(weft_u64map_open(&map, &options));
    uint64_t stored = 0;
    weft_memory_fail_at(1, true); /* from here on nothing is allocated */
    while (weft_u64map_put(&map, stored, stored) == WEFT_OK) {
        stored++;
    }
    assert_true(stored >= CAPACITY);
    assert_int_equal(weft_u64map_put(&map, stored, stored), WEFT_E_FULL);
    assert_int_equal(weft_u64map_len(&map), stored);
    for (uint64_t turn = 0; turn < 50; turn++) { /* what is removed is room again */
        assert_ok(weft_u64map_remove(&map, turn));
        assert_ok(weft_u64map_put(&map, turn, turn));
    }
    assert_true(weft_memory_count() == 0);
    weft_memory_fail_off();
    require_sound(&map);
    assert_ok(weft_u64map_close(&map));
}

static void records_are_not_allocated(void **state) {
    (void)state;
    weft_map_options options = options_for(NULL, 0);
    options.fixed.value_bytes = 16;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, 10); /* and this thread's first guard */
    weft_memory_fail_at(1, true);
    for (uint64_t i = 0; i < 20000; i++) {
        REQUIRE(put_u64(&map, i % 200, i) == WEFT_OK);
        REQUIRE(i % 3 != 0 || remove_u64(&map, i % 200) == WEFT_OK);
    }
    assert_int_equal(weft_map_put(&map, weft_str("k"), weft_str("more than 16 bytes")),
                     WEFT_E_TOOBIG);
    assert_true(weft_memory_count() == 0);
    weft_memory_fail_off();
    contract_close(&map);
}

/* ---- killed ---------------------------------------------------------------------------------- */

/* What a writer has been told, in memory that outlives it: for each of its keys the number of the
 * write under way, and of the last one that is done. Number n puts n if n is odd, else removes. */
typedef struct diary {
    uint64_t begun[KEYS];
    uint64_t done[KEYS];
} diary;

static void write_for_ever(weft_u64map *map, diary *d, uint64_t first_key, uint64_t seed) {
    weft_prng prng = weft_prng_of(seed);
    for (;;) {
        unsigned i = weft_prng_below(&prng, KEYS);
        uint64_t number = d->done[i] + 1;
        weft_store_release(&d->begun[i], number); /* pairs with the reads after the death */
        int status = number % 2 != 0 ? weft_u64map_put(map, first_key + i, number)
                                     : weft_u64map_remove(map, first_key + i);
        /* The write before may have been done, though it was not told: then a removal is too. */
        REQUIRE(status == WEFT_OK || (number % 2 == 0 && status == WEFT_NOT_FOUND));
        weft_store_release(&d->done[i], number); /* likewise */
    }
}

static void require_as_told(weft_u64map *map, diary *d, uint64_t first_key) {
    for (uint64_t i = 0; i < KEYS; i++) {
        uint64_t value = 0;
        bool there = weft_u64map_get(map, first_key + i, &value) == WEFT_OK;
        uint64_t done = d->done[i];
        bool as_done = done % 2 != 0 ? there && value == done : !there;
        bool as_begun = d->begun[i] % 2 != 0 ? there && value == d->begun[i] : !there;
        REQUIRE(as_done || (d->begun[i] != done && as_begun));
        /* What the next one goes on from: what is there. */
        d->done[i] = d->begun[i] = as_done ? done : d->begun[i];
    }
}

/* The survivor writes keys of its own meanwhile, in the same buckets. */
static void survivor_works(weft_u64map *map, uint64_t us) {
    uint64_t value;
    for (uint64_t i = 0; i < us / 4; i++) {
        uint64_t key = UINT64_C(1000000) + i % 100;
        REQUIRE(weft_u64map_put(map, key, i) == WEFT_OK);
        REQUIRE(weft_u64map_get(map, key, &value) == WEFT_OK && value == i);
        REQUIRE(weft_u64map_remove(map, key) == WEFT_OK);
    }
}

static void the_killed_leave_a_sound_table(void **state) {
    (void)state;
    size_t bytes = weft_fixed_bytes(WRITERS * CAPACITY);
    void *memory = map_shared(bytes);
    diary *diaries = map_shared(WRITERS * sizeof *diaries);
    weft_map_options options = options_for(memory, bytes);
    options.fixed.capacity = WRITERS * CAPACITY;
    weft_u64map map = WEFT_U64MAP_INIT;
    assert_ok(weft_u64map_open(&map, &options));
    weft_prng prng = weft_prng_of(2);
    uint64_t writes = 0;
    for (uint64_t kill_number = 0; kill_number < KILLS; kill_number++) {
        pid_t children[WRITERS];
        for (uint64_t w = 0; w < WRITERS; w++) {
            children[w] = fork();
            if (children[w] == 0) {
                weft_u64map mine = WEFT_U64MAP_INIT;
                REQUIRE(weft_u64map_open(&mine, &options) == WEFT_OK);
                write_for_ever(&mine, &diaries[w], w * 1000, kill_number * WRITERS + w);
            }
        }
        survivor_works(&map, weft_prng_below(&prng, MOST_US));
        for (uint64_t w = 0; w < WRITERS; w++) {
            int status;
            REQUIRE(kill(children[w], SIGKILL) == 0);
            REQUIRE(waitpid(children[w], &status, 0) == children[w] && WIFSIGNALED(status));
        }
        require_sound(&map);
        for (uint64_t w = 0; w < WRITERS; w++) {
            require_as_told(&map, &diaries[w], w * 1000);
        }
    }
    for (uint64_t i = 0; i < WRITERS * KEYS; i++) {
        writes += diaries[i / KEYS].done[i % KEYS];
    }
    assert_true(writes > 1000);
    assert_ok(weft_u64map_close(&map));
    munmap(memory, bytes);
    munmap(diaries, WRITERS * sizeof *diaries);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processes_see_each_other),
        cmocka_unit_test(table_has_no_addresses),
        cmocka_unit_test(memory_that_is_no_table_is_refused),
        cmocka_unit_test(full_is_an_answer),
        cmocka_unit_test(records_are_not_allocated),
        cmocka_unit_test(the_killed_leave_a_sound_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
