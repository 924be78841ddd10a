/* SPDX-License-Identifier: MIT */
/* Runs each operation many times in a function of its own, for callgrind to count what one costs:
 * cost_test.py. One thread; keys in random order; a table that the simulated caches do not hold. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

/* 1.2 numbers a bucket, 2.4 entries: some way after a growth, some way before the next. */
enum { ENTRIES = 40000, ENTRIES_OF_BYTES = 80000, OPS = 4000, KEY_BYTES = 16, VALUE_BYTES = 32 };

/* Keys with an odd number are absent. Multiplying by an odd number shuffles. */
static uint64_t key_of(uint64_t i, uint64_t entries, uint64_t absent) {
    return (i * 7919 % entries * 2 + absent) * UINT64_C(0x9e3779b97f4a7c15);
}

static void require(int status, int wanted) {
    if (status != wanted) {
        fprintf(stderr, "cost_program: %s in place of %s\n", weft_status_name(status),
                weft_status_name(wanted));
        exit(1);
    }
}

/* ---- numbers ---- */

static weft_u64map numbers = WEFT_U64MAP_INIT;

#define NUMBERS(name, absent, call, wanted)                                                        \
    __attribute__((noinline)) void name(void);                                                     \
    __attribute__((noinline)) void name(void) {                                                    \
        for (uint64_t i = 0; i < OPS; i++) {                                                       \
            uint64_t key = key_of(i, ENTRIES, absent);                                             \
            uint64_t value = i;                                                                    \
            (void)value;                                                                           \
            require(call, wanted);                                                                 \
            __asm__ __volatile__("" ::: "memory");                                                 \
        }                                                                                          \
    }

NUMBERS(u64_nothing, 0, (int)(key & 0), WEFT_OK)
NUMBERS(u64_hit, 0, weft_u64map_get(&numbers, key, &value), WEFT_OK)
NUMBERS(u64_miss, 1, weft_u64map_get(&numbers, key, &value), WEFT_NOT_FOUND)
NUMBERS(u64_update, 0, weft_u64map_put(&numbers, key, value), WEFT_OK)
NUMBERS(u64_fetch_add, 0, weft_u64map_fetch_add(&numbers, key, 1, NULL), WEFT_OK)
NUMBERS(u64_insert_there, 0, weft_u64map_insert(&numbers, key, value), WEFT_EXISTS)
NUMBERS(u64_insert, 1, weft_u64map_insert(&numbers, key, value), WEFT_OK)
NUMBERS(u64_remove, 1, weft_u64map_remove(&numbers, key), WEFT_OK)

/* The same hashes in each run. */
static const weft_map_options options = {.size = sizeof options, .hash_seed = 1};

static void run_numbers(void) {
    require(weft_u64map_open(&numbers, &options), WEFT_OK);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        require(weft_u64map_put(&numbers, key_of(i, ENTRIES, 0), i), WEFT_OK);
    }
    while (weft_u64map_maintain(&numbers, 1000) != WEFT_OK) {
    }
    u64_nothing();
    u64_hit();
    u64_miss();
    u64_update();
    u64_fetch_add();
    u64_insert_there();
    u64_insert();
    u64_remove();
    require(weft_u64map_close(&numbers), WEFT_OK);
}

/* ---- bytes ---- */

static weft_map entries = WEFT_MAP_INIT;
static char value_bytes[VALUE_BYTES];

#define BYTES(name, absent, call, wanted)                                                          \
    __attribute__((noinline)) void name(void);                                                     \
    __attribute__((noinline)) void name(void) {                                                    \
        char text[KEY_BYTES] = {0};                                                                \
        char room[VALUE_BYTES];                                                                    \
        weft_buffer out = {.data = room, .capacity = sizeof room};                                 \
        weft_bytes value = weft_bytes_of(value_bytes, sizeof value_bytes);                         \
        weft_bytes key = weft_bytes_of(text, sizeof text);                                         \
        (void)out;                                                                                 \
        (void)value;                                                                               \
        for (uint64_t i = 0; i < OPS; i++) {                                                       \
            uint64_t number = key_of(i, ENTRIES_OF_BYTES, absent);                                 \
            memcpy(text, &number, sizeof number);                                                  \
            require(call, wanted);                                                                 \
            __asm__ __volatile__("" ::: "memory");                                                 \
        }                                                                                          \
    }

BYTES(bytes_nothing, 0, (int)(key.size & 1), WEFT_OK)
BYTES(bytes_hit, 0, weft_map_get(&entries, key, &out), WEFT_OK)
BYTES(bytes_miss, 1, weft_map_get(&entries, key, &out), WEFT_NOT_FOUND)
BYTES(bytes_update, 0, weft_map_put(&entries, key, value), WEFT_OK)
BYTES(bytes_insert, 1, weft_map_insert(&entries, key, value), WEFT_OK)
BYTES(bytes_remove, 1, weft_map_remove(&entries, key), WEFT_OK)

static void run_bytes(void) {
    char text[KEY_BYTES] = {0};
    require(weft_map_open(&entries, &options), WEFT_OK);
    for (uint64_t i = 0; i < ENTRIES_OF_BYTES; i++) {
        uint64_t number = key_of(i, ENTRIES_OF_BYTES, 0);
        memcpy(text, &number, sizeof number);
        require(weft_map_put(&entries, weft_bytes_of(text, sizeof text),
                             weft_bytes_of(value_bytes, sizeof value_bytes)),
                WEFT_OK);
    }
    while (weft_map_maintain(&entries, 1000) != WEFT_OK) {
    }
    bytes_nothing();
    bytes_hit();
    bytes_miss();
    bytes_update();
    bytes_insert();
    bytes_remove();
    require(weft_map_close(&entries), WEFT_OK);
}

int main(void) {
    run_numbers();
    run_bytes();
    return 0;
}
