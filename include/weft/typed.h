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
 * is a weft_map of their bytes, whatever their size. Keys are equal if their bytes are: use types
 * without padding. Status codes, guarantees and costs are those of the function that is wrapped.
 *
 *     open close
 *     get contains get_many                     get_many fills name_found {value, status}
 *     put swap insert get_or_insert replace cas compute put_many
 *                                               compute takes name_compute_fn
 *     remove take remove_eq remove_if remove_many
 *     foreach scan retain iter_start iter_next  visits are name_visit_fn; iter_next has a guard
 *     len is_empty clear reserve shrink maintain stats_get
 *
 * For the others there is the map itself, as scores.numbers or scores.bytes.
 */
#ifndef WEFT_TYPED_H
#define WEFT_TYPED_H

#include <string.h>
#include <weft/u64map.h>

#define WEFT_TYPED_MAP_INIT                                                                        \
    {                                                                                              \
        { NULL }                                                                                   \
    }

#define WEFT_TYPED_FN static inline __attribute__((unused))

/* The bytes of a value of up to 8 bytes as a number; of a larger one, its first 8. */
WEFT_TYPED_FN uint64_t weft_typed_word(const void *data, size_t size) {
    uint64_t word = 0;
    memcpy(&word, data, size < sizeof word ? size : sizeof word);
    return word;
}

WEFT_TYPED_FN void weft_typed_unword(uint64_t word, void *data, size_t size) {
    memcpy(data, &word, size < sizeof word ? size : sizeof word);
}

/* How many keys of a call for several are turned into the map's at a time. */
enum { WEFT_TYPED_STEP = 32 };

#define WEFT_TYPED_WORD(object) weft_typed_word(&(object), sizeof(object))
#define WEFT_TYPED_BYTES(object) weft_bytes_of(&(object), sizeof(object))

/* One function of both shapes. */
#define WEFT_TYPED_EITHER(name, number_call, bytes_call)                                           \
    (name##_is_inline ? number_call : bytes_call)

/* Private, from here on: parts of WEFT_DEFINE_MAP. */
#define WEFT_TYPED_READS(name, K, V)                                                               \
    WEFT_TYPED_FN int name##_get(name *map, K key, V *value) {                                     \
        if (name##_is_inline) {                                                                    \
            uint64_t word = 0;                                                                     \
            int status = weft_u64map_get(&map->numbers, WEFT_TYPED_WORD(key), &word);              \
            if (status == WEFT_OK) {                                                               \
                weft_typed_unword(word, value, sizeof *value);                                     \
            }                                                                                      \
            return status;                                                                         \
        }                                                                                          \
        weft_buffer out = {value, sizeof *value, 0, 0, 0};                                         \
        return weft_map_get(&map->bytes, WEFT_TYPED_BYTES(key), &out);                             \
    }                                                                                              \
    WEFT_TYPED_FN int name##_contains(name *map, K key) {                                          \
        return WEFT_TYPED_EITHER(name, weft_u64map_contains(&map->numbers, WEFT_TYPED_WORD(key)),  \
                                 weft_map_contains(&map->bytes, WEFT_TYPED_BYTES(key)));           \
    }

#define WEFT_TYPED_WRITES(name, K, V)                                                              \
    WEFT_TYPED_FN int name##_put(name *map, K key, V value) {                                      \
        return WEFT_TYPED_EITHER(                                                                  \
            name, weft_u64map_put(&map->numbers, WEFT_TYPED_WORD(key), WEFT_TYPED_WORD(value)),    \
            weft_map_put(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(value)));            \
    }                                                                                              \
    WEFT_TYPED_FN int name##_insert(name *map, K key, V value) {                                   \
        return WEFT_TYPED_EITHER(                                                                  \
            name, weft_u64map_insert(&map->numbers, WEFT_TYPED_WORD(key), WEFT_TYPED_WORD(value)), \
            weft_map_insert(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(value)));         \
    }                                                                                              \
    WEFT_TYPED_FN int name##_replace(name *map, K key, V value) {                                  \
        return WEFT_TYPED_EITHER(                                                                  \
            name,                                                                                  \
            weft_u64map_replace(&map->numbers, WEFT_TYPED_WORD(key), WEFT_TYPED_WORD(value)),      \
            weft_map_replace(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(value)));        \
    }                                                                                              \
    WEFT_TYPED_FN int name##_cas(name *map, K key, V expected, V desired) {                        \
        return WEFT_TYPED_EITHER(                                                                  \
            name,                                                                                  \
            weft_u64map_cas(&map->numbers, WEFT_TYPED_WORD(key), WEFT_TYPED_WORD(expected),        \
                            WEFT_TYPED_WORD(desired)),                                             \
            weft_map_cas(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(expected),           \
                         WEFT_TYPED_BYTES(desired)));                                              \
    }                                                                                              \
    WEFT_TYPED_FN int name##_remove(name *map, K key) {                                            \
        return WEFT_TYPED_EITHER(name, weft_u64map_remove(&map->numbers, WEFT_TYPED_WORD(key)),    \
                                 weft_map_remove(&map->bytes, WEFT_TYPED_BYTES(key)));             \
    }                                                                                              \
    WEFT_TYPED_FN int name##_remove_eq(name *map, K key, V expected) {                             \
        return WEFT_TYPED_EITHER(                                                                  \
            name,                                                                                  \
            weft_u64map_remove_eq(&map->numbers, WEFT_TYPED_WORD(key), WEFT_TYPED_WORD(expected)), \
            weft_map_remove_eq(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(expected)));   \
    }                                                                                              \
    /* WEFT_NOT_FOUND: inserted, and *old is left alone. */                                        \
    WEFT_TYPED_FN int name##_swap(name *map, K key, V value, V *old) {                             \
        if (name##_is_inline) {                                                                    \
            uint64_t word = 0;                                                                     \
            int status = weft_u64map_swap(&map->numbers, WEFT_TYPED_WORD(key),                     \
                                          WEFT_TYPED_WORD(value), &word);                          \
            if (status == WEFT_OK) {                                                               \
                weft_typed_unword(word, old, sizeof *old);                                         \
            }                                                                                      \
            return status;                                                                         \
        }                                                                                          \
        weft_buffer out = {old, sizeof *old, 0, 0, 0};                                             \
        return weft_map_swap(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(value), &out);   \
    }                                                                                              \
    WEFT_TYPED_FN int name##_get_or_insert(name *map, K key, V value, V *present) {                \
        if (name##_is_inline) {                                                                    \
            uint64_t word = 0;                                                                     \
            int status = weft_u64map_get_or_insert(&map->numbers, WEFT_TYPED_WORD(key),            \
                                                   WEFT_TYPED_WORD(value), &word);                 \
            if (status >= WEFT_OK) {                                                               \
                weft_typed_unword(word, present, sizeof *present);                                 \
            }                                                                                      \
            return status;                                                                         \
        }                                                                                          \
        weft_buffer out = {present, sizeof *present, 0, 0, 0};                                     \
        return weft_map_get_or_insert(&map->bytes, WEFT_TYPED_BYTES(key), WEFT_TYPED_BYTES(value), \
                                      &out);                                                       \
    }

#define WEFT_TYPED_COMPUTE(name, K, V)                                                             \
    /* `old` is NULL if the key is absent; SET stores *fresh. */                                   \
    typedef weft_verdict (*name##_compute_fn)(void *ctx, const V *old, V *fresh);                  \
    typedef struct name##_compute_of {                                                             \
        name##_compute_fn fn;                                                                      \
        void *ctx;                                                                                 \
        weft_compute_mode mode;                                                                    \
    } name##_compute_of;                                                                           \
    typedef struct name##_computing {                                                              \
        const name##_compute_of *of;                                                               \
        V fresh;                                                                                   \
    } name##_computing;                                                                            \
    WEFT_TYPED_FN weft_verdict name##_computed(name##_computing *c, const void *old) {             \
        V before;                                                                                  \
        if (old == NULL) {                                                                         \
            return c->of->fn(c->of->ctx, NULL, &c->fresh);                                         \
        }                                                                                          \
        memcpy(&before, old, sizeof before);                                                       \
        return c->of->fn(c->of->ctx, &before, &c->fresh);                                          \
    }                                                                                              \
    WEFT_TYPED_FN weft_verdict name##_compute_number(void *ctx, const uint64_t *old,               \
                                                     uint64_t *fresh) {                            \
        name##_computing *c = (name##_computing *)ctx;                                             \
        weft_verdict verdict = name##_is_inline ? name##_computed(c, old) : WEFT_ABORT;            \
        *fresh = WEFT_TYPED_WORD(c->fresh);                                                        \
        return verdict;                                                                            \
    }                                                                                              \
    WEFT_TYPED_FN weft_verdict name##_compute_bytes(void *ctx, const weft_view *old,               \
                                                    weft_fresh *fresh) {                           \
        name##_computing *c = (name##_computing *)ctx;                                             \
        fresh->body = WEFT_TYPED_BYTES(c->fresh);                                                  \
        return name##_computed(c, old != NULL ? old->value.data : NULL);                           \
    }                                                                                              \
    WEFT_TYPED_FN int name##_compute(name *map, K key, const name##_compute_of *compute,           \
                                     weft_outcome *outcome) {                                      \
        name##_computing c;                                                                        \
        memset(&c, 0, sizeof c);                                                                   \
        c.of = compute;                                                                            \
        if (name##_is_inline) {                                                                    \
            weft_u64compute of = {name##_compute_number, &c, compute->mode};                       \
            return weft_u64map_compute(&map->numbers, WEFT_TYPED_WORD(key), &of, outcome);         \
        }                                                                                          \
        weft_compute of = {name##_compute_bytes, &c, compute->mode};                               \
        return weft_map_compute(&map->bytes, WEFT_TYPED_BYTES(key), &of, outcome);                 \
    }                                                                                              \
    WEFT_TYPED_FN weft_verdict name##_take_it(void *ctx, const V *old, V *fresh) {                 \
        (void)fresh;                                                                               \
        if (old != NULL) {                                                                         \
            *(V *)ctx = *old;                                                                      \
        }                                                                                          \
        return old != NULL ? WEFT_DEL : WEFT_ABORT;                                                \
    }                                                                                              \
    /* Needs no reference counts, also with large types. */                                        \
    WEFT_TYPED_FN int name##_take(name *map, K key, V *value) {                                    \
        V gone;                                                                                    \
        name##_compute_of of = {name##_take_it, &gone, WEFT_OPTIMISTIC};                           \
        int status = name##_compute(map, key, &of, NULL);                                          \
        if (status == WEFT_OK) {                                                                   \
            *value = gone;                                                                         \
        }                                                                                          \
        return status == WEFT_ABORTED ? WEFT_NOT_FOUND : status;                                   \
    }

#define WEFT_TYPED_SEVERAL(name, K, V)                                                             \
    typedef struct name##_found {                                                                  \
        V value;    /* as it was if the key is absent */                                           \
        int status; /* of get */                                                                   \
    } name##_found;                                                                                \
    WEFT_TYPED_FN size_t name##_get_numbers(name *map, const K *keys, size_t count,                \
                                            name##_found *found) {                                 \
        uint64_t words[WEFT_TYPED_STEP];                                                           \
        weft_u64found out[WEFT_TYPED_STEP];                                                        \
        size_t n = 0;                                                                              \
        for (; n < count && n < WEFT_TYPED_STEP; n++) {                                            \
            words[n] = WEFT_TYPED_WORD(keys[n]);                                                   \
        }                                                                                          \
        weft_u64map_get_many(&map->numbers, words, n, out);                                        \
        for (size_t i = 0; i < n; i++) {                                                           \
            found[i].status = out[i].status;                                                       \
            if (out[i].status == WEFT_OK) {                                                        \
                weft_typed_unword(out[i].value, &found[i].value, sizeof found[i].value);           \
            }                                                                                      \
        }                                                                                          \
        return n;                                                                                  \
    }                                                                                              \
    WEFT_TYPED_FN size_t name##_get_bytes(name *map, const K *keys, size_t count,                  \
                                          name##_found *found) {                                   \
        weft_bytes pieces[WEFT_TYPED_STEP];                                                        \
        weft_buffer out[WEFT_TYPED_STEP];                                                          \
        size_t n = 0;                                                                              \
        for (; n < count && n < WEFT_TYPED_STEP; n++) {                                            \
            weft_buffer buffer = {&found[n].value, sizeof found[n].value, 0, 0, 0};                \
            pieces[n] = WEFT_TYPED_BYTES(keys[n]);                                                 \
            out[n] = buffer;                                                                       \
        }                                                                                          \
        weft_map_get_many(&map->bytes, pieces, n, out);                                            \
        for (size_t i = 0; i < n; i++) {                                                           \
            found[i].status = out[i].status;                                                       \
        }                                                                                          \
        return n;                                                                                  \
    }                                                                                              \
    WEFT_TYPED_FN int name##_get_many(name *map, const K *keys, size_t count,                      \
                                      name##_found *found) {                                       \
        for (size_t at = 0; at < count;) {                                                         \
            at += WEFT_TYPED_EITHER(name,                                                          \
                                    name##_get_numbers(map, keys + at, count - at, found + at),    \
                                    name##_get_bytes(map, keys + at, count - at, found + at));     \
        }                                                                                          \
        return WEFT_OK;                                                                            \
    }                                                                                              \
    WEFT_TYPED_FN int name##_put_many(name *map, const K *keys, const V *values, size_t count) {   \
        int status = WEFT_OK;                                                                      \
        for (size_t at = 0, n; at < count && status == WEFT_OK; at += n) {                         \
            uint64_t words[WEFT_TYPED_STEP], numbers[WEFT_TYPED_STEP];                             \
            weft_bytes pieces[WEFT_TYPED_STEP], contents[WEFT_TYPED_STEP];                         \
            for (n = 0; at + n < count && n < WEFT_TYPED_STEP; n++) {                              \
                if (name##_is_inline) {                                                            \
                    words[n] = WEFT_TYPED_WORD(keys[at + n]);                                      \
                    numbers[n] = WEFT_TYPED_WORD(values[at + n]);                                  \
                } else {                                                                           \
                    pieces[n] = WEFT_TYPED_BYTES(keys[at + n]);                                    \
                    contents[n] = WEFT_TYPED_BYTES(values[at + n]);                                \
                }                                                                                  \
            }                                                                                      \
            status =                                                                               \
                WEFT_TYPED_EITHER(name, weft_u64map_put_many(&map->numbers, words, numbers, n),    \
                                  weft_map_put_many(&map->bytes, pieces, contents, n));            \
        }                                                                                          \
        return status;                                                                             \
    }                                                                                              \
    WEFT_TYPED_FN int name##_remove_many(name *map, const K *keys, size_t count,                   \
                                         size_t *removed) {                                        \
        int status = WEFT_OK;                                                                      \
        size_t gone = 0;                                                                           \
        for (size_t at = 0, n; at < count && status == WEFT_OK; at += n) {                         \
            uint64_t words[WEFT_TYPED_STEP];                                                       \
            weft_bytes pieces[WEFT_TYPED_STEP];                                                    \
            size_t some = 0;                                                                       \
            for (n = 0; at + n < count && n < WEFT_TYPED_STEP; n++) {                              \
                if (name##_is_inline) {                                                            \
                    words[n] = WEFT_TYPED_WORD(keys[at + n]);                                      \
                } else {                                                                           \
                    pieces[n] = WEFT_TYPED_BYTES(keys[at + n]);                                    \
                }                                                                                  \
            }                                                                                      \
            status =                                                                               \
                WEFT_TYPED_EITHER(name, weft_u64map_remove_many(&map->numbers, words, n, &some),   \
                                  weft_map_remove_many(&map->bytes, pieces, n, &some));            \
            gone += some;                                                                          \
        }                                                                                          \
        if (removed != NULL) {                                                                     \
            *removed = gone;                                                                       \
        }                                                                                          \
        return status;                                                                             \
    }

#define WEFT_TYPED_WALKS(name, K, V)                                                               \
    /* true: go on (walks), or: it holds (predicates). */                                          \
    typedef bool (*name##_visit_fn)(void *ctx, const K *key, const V *value);                      \
    typedef struct name##_visiting {                                                               \
        name##_visit_fn fn;                                                                        \
        void *ctx;                                                                                 \
    } name##_visiting;                                                                             \
    WEFT_TYPED_FN bool name##_visit_number(void *ctx, weft_u64pair entry) {                        \
        const name##_visiting *v = (const name##_visiting *)ctx;                                   \
        K key;                                                                                     \
        V value;                                                                                   \
        weft_typed_unword(entry.key, &key, sizeof key);                                            \
        weft_typed_unword(entry.value, &value, sizeof value);                                      \
        return v->fn(v->ctx, &key, &value);                                                        \
    }                                                                                              \
    WEFT_TYPED_FN bool name##_visit_bytes(void *ctx, const weft_view *entry) {                     \
        const name##_visiting *v = (const name##_visiting *)ctx;                                   \
        K key;                                                                                     \
        V value;                                                                                   \
        memcpy(&key, entry->key.data, sizeof key);                                                 \
        memcpy(&value, entry->value.data, sizeof value);                                           \
        return v->fn(v->ctx, &key, &value);                                                        \
    }                                                                                              \
    WEFT_TYPED_FN int name##_foreach(name *map, name##_visit_fn fn, void *ctx) {                   \
        name##_visiting v = {fn, ctx};                                                             \
        return WEFT_TYPED_EITHER(name,                                                             \
                                 weft_u64map_foreach(&map->numbers, name##_visit_number, &v),      \
                                 weft_map_foreach(&map->bytes, name##_visit_bytes, &v));           \
    }                                                                                              \
    WEFT_TYPED_FN int name##_scan(name *map, uint64_t *cursor, name##_visit_fn fn, void *ctx) {    \
        name##_visiting v = {fn, ctx};                                                             \
        return WEFT_TYPED_EITHER(name,                                                             \
                                 weft_u64map_scan(&map->numbers, cursor, name##_visit_number, &v), \
                                 weft_map_scan(&map->bytes, cursor, name##_visit_bytes, &v));      \
    }                                                                                              \
    WEFT_TYPED_FN int name##_retain(name *map, name##_visit_fn fn, void *ctx, size_t *removed) {   \
        name##_visiting v = {fn, ctx};                                                             \
        return WEFT_TYPED_EITHER(                                                                  \
            name, weft_u64map_retain(&map->numbers, name##_visit_number, &v, removed),             \
            weft_map_retain(&map->bytes, name##_visit_bytes, &v, removed));                        \
    }                                                                                              \
    WEFT_TYPED_FN int name##_remove_if(name *map, K key, name##_visit_fn fn, void *ctx) {          \
        name##_visiting v = {fn, ctx};                                                             \
        return WEFT_TYPED_EITHER(                                                                  \
            name,                                                                                  \
            weft_u64map_remove_if(&map->numbers, WEFT_TYPED_WORD(key), name##_visit_number, &v),   \
            weft_map_remove_if(&map->bytes, WEFT_TYPED_BYTES(key), name##_visit_bytes, &v));       \
    }                                                                                              \
    typedef union name##_iter {                                                                    \
        weft_u64map_iter numbers;                                                                  \
        weft_map_iter bytes;                                                                       \
    } name##_iter;                                                                                 \
    WEFT_TYPED_FN void name##_iter_start(name *map, name##_iter *iter) {                           \
        if (name##_is_inline) {                                                                    \
            weft_u64map_iter_start(&map->numbers, &iter->numbers);                                 \
        } else {                                                                                   \
            weft_map_iter_start(&map->bytes, &iter->bytes);                                        \
        }                                                                                          \
    }                                                                                              \
    /* The guard is one and the same for all steps, as for weft_map_iter_next. */                  \
    WEFT_TYPED_FN int name##_iter_next(name##_iter *iter, const weft_guard *guard, K *key,         \
                                       V *value) {                                                 \
        if (name##_is_inline) {                                                                    \
            weft_u64pair entry;                                                                    \
            int status = weft_u64map_iter_next(&iter->numbers, &entry);                            \
            if (status == WEFT_OK) {                                                               \
                weft_typed_unword(entry.key, key, sizeof *key);                                    \
                weft_typed_unword(entry.value, value, sizeof *value);                              \
            }                                                                                      \
            return status;                                                                         \
        }                                                                                          \
        weft_view entry;                                                                           \
        int status = weft_map_iter_next(&iter->bytes, guard, &entry);                              \
        if (status == WEFT_OK) {                                                                   \
            memcpy(key, entry.key.data, sizeof *key);                                              \
            memcpy(value, entry.value.data, sizeof *value);                                        \
        }                                                                                          \
        return status;                                                                             \
    }

#define WEFT_TYPED_WHOLE(name)                                                                     \
    WEFT_TYPED_FN int name##_open(name *map, const weft_map_options *options) {                    \
        return WEFT_TYPED_EITHER(name, weft_u64map_open(&map->numbers, options),                   \
                                 weft_map_open(&map->bytes, options));                             \
    }                                                                                              \
    WEFT_TYPED_FN int name##_close(name *map) {                                                    \
        return WEFT_TYPED_EITHER(name, weft_u64map_close(&map->numbers),                           \
                                 weft_map_close(&map->bytes));                                     \
    }                                                                                              \
    WEFT_TYPED_FN size_t name##_len(name *map) {                                                   \
        return WEFT_TYPED_EITHER(name, weft_u64map_len(&map->numbers), weft_map_len(&map->bytes)); \
    }                                                                                              \
    WEFT_TYPED_FN bool name##_is_empty(name *map) {                                                \
        return WEFT_TYPED_EITHER(name, weft_u64map_is_empty(&map->numbers),                        \
                                 weft_map_is_empty(&map->bytes));                                  \
    }                                                                                              \
    WEFT_TYPED_FN int name##_clear(name *map) {                                                    \
        return WEFT_TYPED_EITHER(name, weft_u64map_clear(&map->numbers),                           \
                                 weft_map_clear(&map->bytes));                                     \
    }                                                                                              \
    WEFT_TYPED_FN int name##_reserve(name *map, size_t entries) {                                  \
        return WEFT_TYPED_EITHER(name, weft_u64map_reserve(&map->numbers, entries),                \
                                 weft_map_reserve(&map->bytes, entries));                          \
    }                                                                                              \
    WEFT_TYPED_FN int name##_shrink(name *map) {                                                   \
        return WEFT_TYPED_EITHER(name, weft_u64map_shrink(&map->numbers),                          \
                                 weft_map_shrink(&map->bytes));                                    \
    }                                                                                              \
    WEFT_TYPED_FN int name##_maintain(name *map, size_t budget) {                                  \
        return WEFT_TYPED_EITHER(name, weft_u64map_maintain(&map->numbers, budget),                \
                                 weft_map_maintain(&map->bytes, budget));                          \
    }                                                                                              \
    WEFT_TYPED_FN void name##_stats_get(name *map, weft_map_stats *stats) {                        \
        if (name##_is_inline) {                                                                    \
            weft_u64map_stats_get(&map->numbers, stats);                                           \
        } else {                                                                                   \
            weft_map_stats_get(&map->bytes, stats);                                                \
        }                                                                                          \
    }

#define WEFT_DEFINE_MAP(name, K, V)                                                                \
    typedef union name {                                                                           \
        weft_u64map numbers;                                                                       \
        weft_map bytes;                                                                            \
    } name;                                                                                        \
    enum { name##_is_inline = sizeof(K) <= 8 && sizeof(V) <= 8 };                                  \
    WEFT_TYPED_READS(name, K, V)                                                                   \
    WEFT_TYPED_WRITES(name, K, V)                                                                  \
    WEFT_TYPED_COMPUTE(name, K, V)                                                                 \
    WEFT_TYPED_SEVERAL(name, K, V)                                                                 \
    WEFT_TYPED_WALKS(name, K, V)                                                                   \
    WEFT_TYPED_WHOLE(name)

#endif
