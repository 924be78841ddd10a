/* SPDX-License-Identifier: MIT */
/* WEFT_DEFINE_MAP(name, K, V): a map of two types of up to 8 bytes each, over weft_u64map.
 *
 *     WEFT_DEFINE_MAP(score_map, int32_t, double)
 *     score_map scores = WEFT_U64MAP_INIT;
 *     score_map_put(&scores, 7, 1.5);
 *     double score;
 *     if (score_map_get(&scores, 7, &score) == WEFT_OK) …
 *     score_map_close(&scores);
 *
 * Keys are equal if their bytes are: use types without padding. Status codes, guarantees and costs are those
 * of the weft_u64map function that each one wraps. Larger types: weft_map with weft_bytes_of(&key, sizeof key).
 */
#ifndef WEFT_TYPED_H
#define WEFT_TYPED_H

#include <string.h>
#include <weft/u64map.h>

#ifdef __cplusplus
#define WEFT_STATIC_ASSERT static_assert
#else
#define WEFT_STATIC_ASSERT _Static_assert
#endif

#define WEFT_DEFINE_MAP(name, K, V)                                                                \
    WEFT_STATIC_ASSERT(sizeof(K) <= 8 && sizeof(V) <= 8, #name ": at most 8 bytes each");          \
    typedef weft_u64map name;                                                                      \
    static inline uint64_t name##_key_word(K key) {                                                \
        uint64_t word = 0;                                                                         \
        memcpy(&word, &key, sizeof key);                                                           \
        return word;                                                                               \
    }                                                                                              \
    static inline uint64_t name##_value_word(V value) {                                            \
        uint64_t word = 0;                                                                         \
        memcpy(&word, &value, sizeof value);                                                       \
        return word;                                                                               \
    }                                                                                              \
    static inline int name##_open(name *map, const weft_map_options *options) {                    \
        return weft_u64map_open(map, options);                                                     \
    }                                                                                              \
    static inline int name##_close(name *map) {                                                    \
        return weft_u64map_close(map);                                                             \
    }                                                                                              \
    static inline int name##_get(name *map, K key, V *value) {                                     \
        uint64_t word = 0;                                                                         \
        int status = weft_u64map_get(map, name##_key_word(key), &word);                            \
        if (status == WEFT_OK) {                                                                   \
            memcpy(value, &word, sizeof *value);                                                   \
        }                                                                                          \
        return status;                                                                             \
    }                                                                                              \
    static inline int name##_put(name *map, K key, V value) {                                      \
        return weft_u64map_put(map, name##_key_word(key), name##_value_word(value));               \
    }                                                                                              \
    static inline int name##_insert(name *map, K key, V value) {                                   \
        return weft_u64map_insert(map, name##_key_word(key), name##_value_word(value));            \
    }                                                                                              \
    static inline int name##_replace(name *map, K key, V value) {                                  \
        return weft_u64map_replace(map, name##_key_word(key), name##_value_word(value));           \
    }                                                                                              \
    static inline int name##_cas(name *map, K key, V expected, V desired) {                        \
        return weft_u64map_cas(map, name##_key_word(key), name##_value_word(expected),             \
                               name##_value_word(desired));                                        \
    }                                                                                              \
    static inline int name##_remove(name *map, K key) {                                            \
        return weft_u64map_remove(map, name##_key_word(key));                                      \
    }                                                                                              \
    static inline int name##_take(name *map, K key, V *value) {                                    \
        uint64_t word = 0;                                                                         \
        int status = weft_u64map_take(map, name##_key_word(key), &word);                           \
        if (status == WEFT_OK) {                                                                   \
            memcpy(value, &word, sizeof *value);                                                   \
        }                                                                                          \
        return status;                                                                             \
    }                                                                                              \
    static inline size_t name##_len(name *map) {                                                   \
        return weft_u64map_len(map);                                                               \
    }

#endif
