/* SPDX-License-Identifier: MIT */
/* WEFT_DEFINE_MAP(name, K, V): a map of two types of fixed size.
 *
 *     WEFT_DEFINE_MAP(score_map, int32_t, double)
 *     score_map scores = WEFT_TYPED_MAP_INIT;
 *     score_map_put(&scores, 7, 1.5);
 *     double score;
 *     if (score_map_get(&scores, 7, &score) == WEFT_OK) …
 *     score_map_close(&scores);
 *
 * If both types have 8 bytes or less it is a weft_u64map, and the values lie in the table; else it
 * is a weft_map of their bytes. Keys are equal if their bytes are: use types without padding.
 * Status codes, guarantees and costs are those of the function that each one wraps; for the others
 * there is the map itself, as scores.numbers or scores.bytes.
 */
#ifndef WEFT_TYPED_H
#define WEFT_TYPED_H

#include <string.h>
#include <weft/u64map.h>

#define WEFT_TYPED_MAP_INIT                                                                        \
    {                                                                                              \
        { NULL }                                                                                   \
    }

/* The bytes of a value of up to 8 bytes as a number; of a larger one, its first 8. */
static inline uint64_t weft_typed_word(const void *data, size_t size) {
    uint64_t word = 0;
    memcpy(&word, data, size < sizeof word ? size : sizeof word);
    return word;
}

static inline int weft_typed_unword(int status, uint64_t word, void *data, size_t size) {
    if (status == WEFT_OK) {
        memcpy(data, &word, size < sizeof word ? size : sizeof word);
    }
    return status;
}

#define WEFT_TYPED_FN static inline __attribute__((unused))
#define WEFT_TYPED_WORD(object) weft_typed_word(&(object), sizeof(object))
#define WEFT_TYPED_BYTES(object) weft_bytes_of(&(object), sizeof(object))

#define WEFT_DEFINE_MAP(name, K, V)                                                                \
    typedef union name {                                                                           \
        weft_u64map numbers;                                                                       \
        weft_map bytes;                                                                            \
    } name;                                                                                        \
    enum { name##_is_inline = sizeof(K) <= 8 && sizeof(V) <= 8 };                                  \
    WEFT_TYPED_FN int name##_open(name *map, const weft_map_options *options) {                    \
        return name##_is_inline ? weft_u64map_open(&map->numbers, options)                         \
                                : weft_map_open(&map->bytes, options);                             \
    }                                                                                              \
    WEFT_TYPED_FN int name##_close(name *map) {                                                    \
        return name##_is_inline ? weft_u64map_close(&map->numbers) : weft_map_close(&map->bytes);  \
    }                                                                                              \
    WEFT_TYPED_FN int name##_get(name *map, K key, V *value) {                                     \
        uint64_t word = 0;                                                                         \
        if (name##_is_inline) {                                                                    \
            int status = weft_u64map_get(&map->numbers, WEFT_TYPED_WORD(key), &word);              \
            return weft_typed_unword(status, word, value, sizeof *value);                          \
        }                                                                                          \
        weft_buffer out = {value, sizeof *value, 0, 0, 0};                                         \
        return weft_map_get(&map->bytes, WEFT_TYPED_BYTES(key), &out);                             \
    }                                                                                              \
    WEFT_TYPED_FN int name##_put(name *map, K key, V value) {                                      \
        return name##_is_inline                                                                    \
                   ? weft_u64map_put(&map->numbers, WEFT_TYPED_WORD(key), WEFT_TYPED_WORD(value))  \
                   : weft_map_put(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(value));    \
    }                                                                                              \
    WEFT_TYPED_FN int name##_insert(name *map, K key, V value) {                                   \
        return name##_is_inline                                                                    \
                   ? weft_u64map_insert(&map->numbers, WEFT_TYPED_WORD(key),                       \
                                        WEFT_TYPED_WORD(value))                                    \
                   : weft_map_insert(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(value)); \
    }                                                                                              \
    WEFT_TYPED_FN int name##_replace(name *map, K key, V value) {                                  \
        return name##_is_inline ? weft_u64map_replace(&map->numbers, WEFT_TYPED_WORD(key),         \
                                                      WEFT_TYPED_WORD(value))                      \
                                : weft_map_replace(&map->bytes, WEFT_TYPED_BYTES(key),             \
                                                   WEFT_TYPED_BYTES(value));                       \
    }                                                                                              \
    WEFT_TYPED_FN int name##_cas(name *map, K key, V expected, V desired) {                        \
        return name##_is_inline                                                                    \
                   ? weft_u64map_cas(&map->numbers, WEFT_TYPED_WORD(key),                          \
                                     WEFT_TYPED_WORD(expected), WEFT_TYPED_WORD(desired))          \
                   : weft_map_cas(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(expected),  \
                                  WEFT_TYPED_BYTES(desired));                                      \
    }                                                                                              \
    WEFT_TYPED_FN int name##_remove(name *map, K key) {                                            \
        return name##_is_inline ? weft_u64map_remove(&map->numbers, WEFT_TYPED_WORD(key))          \
                                : weft_map_remove(&map->bytes, WEFT_TYPED_BYTES(key));             \
    }                                                                                              \
    WEFT_TYPED_FN size_t name##_len(name *map) {                                                   \
        return name##_is_inline ? weft_u64map_len(&map->numbers) : weft_map_len(&map->bytes);      \
    }                                                                                              \
    WEFT_TYPED_FN int name##_clear(name *map) {                                                    \
        return name##_is_inline ? weft_u64map_clear(&map->numbers) : weft_map_clear(&map->bytes);  \
    }

#endif
