/* SPDX-License-Identifier: MIT */
/* Typed maps: each function, with types of many sizes, in both shapes. */
#include "contract/contract.h"

#include <weft/typed.h>

typedef struct three {
    uint8_t bytes[3];
} three;

typedef struct triple {
    uint64_t a, b, c;
} triple;

typedef struct large {
    uint8_t bytes[777];
} large;

/* A key or value: the number, over and over again, in as many bytes as there are. Numbers below 256
 * differ in all of them. */
static void fill(void *object, size_t size, unsigned number) {
    memset(object, (int)number, size);
}

static unsigned number_of(const void *object, size_t size) {
    const unsigned char *bytes = object;
    for (size_t i = 1; i < size; i++) {
        REQUIRE(bytes[i] == bytes[0]);
    }
    return bytes[0];
}

typedef struct seen {
    unsigned count;
    unsigned sum;
    unsigned limit;
} seen;

/* Numbers of the keys in use: 1 to KEYS; the value of key k is k + 1. */
enum { KEYS = 100 };

#define TYPED(name, K, V)                                                                          \
    WEFT_DEFINE_MAP(name, K, V)                                                                    \
    static K name##_key(unsigned number) {                                                         \
        K key;                                                                                     \
        fill(&key, sizeof key, number);                                                            \
        return key;                                                                                \
    }                                                                                              \
    static V name##_value(unsigned number) {                                                       \
        V value;                                                                                   \
        fill(&value, sizeof value, number);                                                        \
        return value;                                                                              \
    }                                                                                              \
    static void name##_expect(name *map, unsigned key, unsigned value) {                           \
        V found = name##_value(0);                                                                 \
        assert_ok(name##_get(map, name##_key(key), &found));                                       \
        assert_int_equal(number_of(&found, sizeof found), value);                                  \
        assert_ok(name##_contains(map, name##_key(key)));                                          \
    }                                                                                              \
    static void name##_expect_none(name *map, unsigned key) {                                      \
        V found = name##_value(77);                                                                \
        assert_int_equal(name##_get(map, name##_key(key), &found), WEFT_NOT_FOUND);                \
        assert_int_equal(number_of(&found, sizeof found), 77);                                     \
        assert_int_equal(name##_contains(map, name##_key(key)), WEFT_NOT_FOUND);                   \
    }                                                                                              \
    static void name##_single(name *map) {                                                         \
        K one = name##_key(1);                                                                     \
        V old = name##_value(55);                                                                  \
        assert_int_equal(name##_replace(map, one, name##_value(2)), WEFT_NOT_FOUND);               \
        assert_int_equal(name##_swap(map, one, name##_value(2), &old), WEFT_NOT_FOUND);            \
        assert_int_equal(number_of(&old, sizeof old), 55);                                         \
        assert_ok(name##_swap(map, one, name##_value(3), &old));                                   \
        assert_int_equal(number_of(&old, sizeof old), 2);                                          \
        assert_int_equal(name##_insert(map, one, name##_value(4)), WEFT_EXISTS);                   \
        assert_ok(name##_insert(map, name##_key(2), name##_value(4)));                             \
        assert_int_equal(name##_get_or_insert(map, one, name##_value(9), &old), WEFT_EXISTS);      \
        assert_int_equal(number_of(&old, sizeof old), 3);                                          \
        assert_ok(name##_get_or_insert(map, name##_key(3), name##_value(9), &old));                \
        assert_int_equal(number_of(&old, sizeof old), 9);                                          \
        assert_int_equal(name##_cas(map, one, name##_value(1), name##_value(5)), WEFT_MISMATCH);   \
        assert_ok(name##_cas(map, one, name##_value(3), name##_value(5)));                         \
        name##_expect(map, 1, 5);                                                                  \
        assert_ok(name##_replace(map, one, name##_value(6)));                                      \
        assert_int_equal(name##_remove_eq(map, one, name##_value(5)), WEFT_MISMATCH);              \
        assert_ok(name##_remove_eq(map, one, name##_value(6)));                                    \
        name##_expect_none(map, 1);                                                                \
        assert_int_equal(name##_take(map, one, &old), WEFT_NOT_FOUND);                             \
        assert_int_equal(number_of(&old, sizeof old), 9);                                          \
        assert_ok(name##_take(map, name##_key(2), &old));                                          \
        assert_int_equal(number_of(&old, sizeof old), 4);                                          \
        assert_ok(name##_remove(map, name##_key(3)));                                              \
        assert_int_equal(name##_remove(map, name##_key(3)), WEFT_NOT_FOUND);                       \
        assert_true(name##_is_empty(map));                                                         \
    }                                                                                              \
    /* ctx: the verdict. Adds one to the number, or makes it 8. */                                 \
    static weft_verdict name##_step(void *ctx, const V *old, V *fresh) {                           \
        *fresh = name##_value(old == NULL ? 8 : number_of(old, sizeof *old) + 1);                  \
        return *(weft_verdict *)ctx;                                                               \
    }                                                                                              \
    static void name##_computes(name *map) {                                                       \
        weft_verdict verdict = WEFT_SET;                                                           \
        weft_outcome outcome;                                                                      \
        name##_compute_of step = {name##_step, &verdict, WEFT_OPTIMISTIC};                         \
        assert_ok(name##_compute(map, name##_key(1), &step, &outcome));                            \
        assert_true(outcome.verdict == WEFT_SET && !outcome.existed);                              \
        name##_expect(map, 1, 8);                                                                  \
        step.mode = WEFT_EXCLUSIVE;                                                                \
        assert_ok(name##_compute(map, name##_key(1), &step, &outcome));                            \
        assert_true(outcome.existed);                                                              \
        name##_expect(map, 1, 9);                                                                  \
        verdict = WEFT_KEEP;                                                                       \
        assert_int_equal(name##_compute(map, name##_key(1), &step, NULL), WEFT_UNCHANGED);         \
        verdict = WEFT_ABORT;                                                                      \
        assert_int_equal(name##_compute(map, name##_key(1), &step, NULL), WEFT_ABORTED);           \
        name##_expect(map, 1, 9);                                                                  \
        verdict = WEFT_DEL;                                                                        \
        assert_ok(name##_compute(map, name##_key(1), &step, NULL));                                \
        name##_expect_none(map, 1);                                                                \
    }                                                                                              \
    static void name##_several(name *map) {                                                        \
        static K keys[KEYS + 50];                                                                  \
        static V values[KEYS];                                                                     \
        static name##_found found[KEYS + 50];                                                      \
        size_t removed = 0;                                                                        \
        for (unsigned i = 0; i < KEYS + 50; i++) {                                                 \
            keys[i] = name##_key(i + 1);                                                           \
            found[i].value = name##_value(200);                                                    \
            if (i < KEYS) {                                                                        \
                values[i] = name##_value(i + 2);                                                   \
            }                                                                                      \
        }                                                                                          \
        assert_ok(name##_put_many(map, keys, values, KEYS));                                       \
        assert_int_equal(name##_len(map), KEYS);                                                   \
        assert_ok(name##_get_many(map, keys, KEYS + 50, found));                                   \
        for (unsigned i = 0; i < KEYS + 50; i++) {                                                 \
            assert_int_equal(found[i].status, i < KEYS ? WEFT_OK : WEFT_NOT_FOUND);                \
            assert_int_equal(number_of(&found[i].value, sizeof found[i].value),                    \
                             i < KEYS ? i + 2 : 200);                                              \
        }                                                                                          \
        assert_ok(name##_remove_many(map, keys + 40, KEYS, &removed));                             \
        assert_int_equal(removed, KEYS - 40);                                                      \
        assert_ok(name##_remove_many(map, keys, 0, NULL));                                         \
        assert_ok(name##_put_many(map, keys + 40, values + 40, KEYS - 40));                        \
    }                                                                                              \
    static bool name##_look(void *ctx, const K *key, const V *value) {                             \
        seen *s = ctx;                                                                             \
        unsigned number = number_of(key, sizeof *key);                                             \
        assert_int_equal(number_of(value, sizeof *value), number + 1);                             \
        s->count++;                                                                                \
        s->sum += number;                                                                          \
        return number <= s->limit;                                                                 \
    }                                                                                              \
    static void name##_walks(name *map) {                                                          \
        seen s = {0, 0, KEYS};                                                                     \
        uint64_t cursor = 0;                                                                       \
        size_t removed = 0;                                                                        \
        name##_iter iter;                                                                          \
        weft_guard guard;                                                                          \
        K key;                                                                                     \
        V value;                                                                                   \
        assert_ok(name##_foreach(map, name##_look, &s));                                           \
        assert_true(s.count == KEYS && s.sum == KEYS * (KEYS + 1) / 2);                            \
        s = (seen){0, 0, 0};                                                                       \
        assert_int_equal(name##_foreach(map, name##_look, &s), WEFT_ABORTED);                      \
        assert_int_equal(s.count, 1);                                                              \
        s = (seen){0, 0, KEYS};                                                                    \
        do {                                                                                       \
            assert_ok(name##_scan(map, &cursor, name##_look, &s));                                 \
        } while (cursor != 0);                                                                     \
        assert_true(s.count == KEYS && s.sum == KEYS * (KEYS + 1) / 2);                            \
        s = (seen){0, 0, KEYS};                                                                    \
        weft_guard_enter(&guard);                                                                  \
        name##_iter_start(map, &iter);                                                             \
        while (name##_iter_next(&iter, &guard, &key, &value) == WEFT_OK) {                         \
            name##_look(&s, &key, &value);                                                         \
        }                                                                                          \
        weft_guard_leave(&guard);                                                                  \
        assert_true(s.count == KEYS && s.sum == KEYS * (KEYS + 1) / 2);                            \
        s.limit = 70;                                                                              \
        assert_ok(name##_retain(map, name##_look, &s, &removed));                                  \
        assert_int_equal(removed, KEYS - 70);                                                      \
        s.limit = 60;                                                                              \
        assert_int_equal(name##_remove_if(map, name##_key(65), name##_look, &s), WEFT_MISMATCH);   \
        assert_ok(name##_remove_if(map, name##_key(60), name##_look, &s));                         \
        assert_int_equal(name##_remove_if(map, name##_key(60), name##_look, &s), WEFT_NOT_FOUND);  \
        assert_int_equal(name##_len(map), 69);                                                     \
    }                                                                                              \
    static void name##_works(void **state) {                                                       \
        weft_map_options options = contract_options(state);                                        \
        weft_map_stats stats;                                                                      \
        name map = WEFT_TYPED_MAP_INIT;                                                            \
        assert_true((name##_is_inline != 0) == (sizeof(K) <= 8 && sizeof(V) <= 8));                \
        assert_ok(name##_open(&map, &options));                                                    \
        name##_single(&map);                                                                       \
        name##_computes(&map);                                                                     \
        name##_several(&map);                                                                      \
        name##_walks(&map);                                                                        \
        assert_ok(name##_reserve(&map, 10000));                                                    \
        assert_true(name##_shrink(&map) >= WEFT_OK);                                               \
        assert_ok(name##_clear(&map));                                                             \
        assert_true(name##_is_empty(&map));                                                        \
        name##_stats_get(&map, &stats);                                                            \
        assert_int_equal(stats.era, 1);                                                            \
        assert_true(name##_maintain(&map, 1000) <= WEFT_OK);                                       \
        assert_ok(name##_close(&map));                                                             \
    }

TYPED(bytes_to_bytes, uint8_t, uint8_t)
TYPED(threes, three, int16_t)
TYPED(words_to_words, uint64_t, uint64_t)
TYPED(words_to_large, uint64_t, large)
TYPED(large_to_threes, large, three)
TYPED(triples, triple, triple)
TYPED(byte_to_triples, uint8_t, triple)

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(bytes_to_bytes_works), CONTRACT(threes_works),  CONTRACT(words_to_words_works),
        CONTRACT(words_to_large_works), CONTRACT(triples_works), CONTRACT(large_to_threes_works),
        CONTRACT(byte_to_triples_works)};
    return contract_run("contract/typed", tests, COUNT_OF(tests));
}
