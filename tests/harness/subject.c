/* SPDX-License-Identifier: MIT */
#include "harness/subject.h"

#include "base/hash.h"
#include <stdio.h>
#include <string.h>

enum { KEYS_MAX = 512, KEY_BYTES = 40, SHARED_BITS = 20 };

/* Key number k is "key-k" and k mod 3 times eight more bytes: keys of several lengths. */
static char key_texts[KEYS_MAX][KEY_BYTES];
static size_t key_sizes[KEYS_MAX];

weft_bytes weft_subject_key(const weft_subject *subject, unsigned key) {
    (void)subject;
    if (key_sizes[key] == 0) {
        key_sizes[key] = (size_t)snprintf(key_texts[key], KEY_BYTES, "key-%u%.*s", key,
                                          (int)(key % 3 * 8), "................");
    }
    return weft_bytes_of(key_texts[key], key_sizes[key]);
}

static unsigned number_of_text(weft_bytes key) {
    unsigned number = 0;
    const char *text = key.data;
    for (size_t i = 4; i < key.size && text[i] != '.'; i++) {
        number = 10 * number + (unsigned)(text[i] - '0');
    }
    return number;
}

/* The u64 shape hashes by a bijection of the seed: keys that share the low bits of their hash are
 * found by going backwards. */
static uint64_t number_key(const weft_subject *subject, unsigned key) {
    if (!subject->options.collide) {
        return key;
    }
    weft_mixer mixer = weft_mixer_of(subject->options.hash_seed);
    return weft_unmix_with(&mixer, (uint64_t)key << SHARED_BITS | 5);
}

static unsigned number_of_number(const weft_subject *subject, uint64_t key) {
    if (!subject->options.collide) {
        return (unsigned)key;
    }
    weft_mixer mixer = weft_mixer_of(subject->options.hash_seed);
    return (unsigned)(weft_mix_with(&mixer, key) >> SHARED_BITS);
}

static uint64_t same_hash(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)key;
    return seed;
}

int weft_subject_open(weft_subject *subject, const weft_subject_options *options) {
    memset(subject, 0, sizeof *subject);
    subject->options = *options;
    if (!options->allocator) {
        subject->options.collide = false; /* opened by its first use, which knows no options */
        return WEFT_OK;
    }
    weft_map_options of_map = {.size = sizeof of_map,
                               .engine = options->engine,
                               .allocator = options->allocator,
                               .hash_seed = options->hash_seed,
                               .twotier = options->twotier};
    if (options->engine == WEFT_ENGINE_LOCKFREE) {
        of_map.expected_entries = 1; /* a table that few keys make grow */
    }
    if (options->engine == WEFT_ENGINE_FIXED) {
        of_map.fixed.capacity = KEYS_MAX;
    }
    if (options->shape == WEFT_SUBJECT_U64) {
        return weft_u64map_open(&subject->numbers, &of_map);
    }
    of_map.hash = options->collide ? same_hash : NULL;
    return weft_map_open(&subject->bytes, &of_map);
}

int weft_subject_close(weft_subject *subject) {
    return subject->options.shape == WEFT_SUBJECT_U64 ? weft_u64map_close(&subject->numbers)
                                                      : weft_map_close(&subject->bytes);
}

/* Half of the operations go through the calls for several keys, or for a key with its hash. */
static bool takes_other_call(const weft_history_event *event) {
    return event->value % 2 != 0;
}

/* ---- bytes ---- */

static int get_bytes(weft_map *map, weft_bytes key, weft_buffer *out) {
    weft_hashed hashed;
    int status = weft_map_hash(map, key, &hashed);
    return status == WEFT_OK ? weft_map_get_hashed(map, &hashed, out) : status;
}

static int get_bytes_of_many(weft_map *map, weft_bytes key, weft_buffer *out) {
    int status = weft_map_get_many(map, &key, 1, out);
    return status == WEFT_OK ? out->status : status;
}

static int put_bytes(weft_map *map, weft_bytes key, weft_bytes value) {
    weft_hashed hashed;
    int status = weft_map_hash(map, key, &hashed);
    return status == WEFT_OK ? weft_map_put_hashed(map, &hashed, value) : status;
}

static int remove_bytes(weft_map *map, weft_bytes key) {
    size_t removed = 0;
    int status = weft_map_remove_many(map, &key, 1, &removed);
    return status == WEFT_OK && removed == 0 ? WEFT_NOT_FOUND : status;
}

static int do_bytes(weft_subject *subject, const weft_history_event *event, uint64_t *result) {
    weft_map *map = &subject->bytes;
    weft_bytes key = weft_subject_key(subject, event->key);
    weft_bytes value = weft_bytes_of(&event->value, sizeof event->value);
    weft_bytes expected = weft_bytes_of(&event->expected, sizeof event->expected);
    weft_buffer out = {.data = result, .capacity = sizeof *result};
    switch (event->op) {
    case WEFT_HISTORY_GET: {
        int status = takes_other_call(event) ? get_bytes_of_many(map, key, &out)
                                             : weft_map_get(map, key, &out);
        subject->version = status == WEFT_OK ? out.version : 0;
        return status;
    }
    case WEFT_HISTORY_CONTAINS:
        return takes_other_call(event) ? get_bytes(map, key, &out) : weft_map_contains(map, key);
    case WEFT_HISTORY_PUT:
        return takes_other_call(event) ? put_bytes(map, key, value) : weft_map_put(map, key, value);
    case WEFT_HISTORY_INSERT:
        return weft_map_insert(map, key, value);
    case WEFT_HISTORY_GET_OR_INSERT: {
        int status = weft_map_get_or_insert(map, key, value, &out);
        *result = status == WEFT_EXISTS ? *result : 0;
        return status;
    }
    case WEFT_HISTORY_REPLACE:
        return weft_map_replace(map, key, value);
    case WEFT_HISTORY_SWAP:
        return weft_map_swap(map, key, value, &out);
    case WEFT_HISTORY_CAS:
        return weft_map_cas(map, key, expected, value);
    case WEFT_HISTORY_FETCH_ADD:
        return weft_map_fetch_add(map, key, (int64_t)event->value, (int64_t *)result);
    case WEFT_HISTORY_REMOVE:
        return takes_other_call(event) ? remove_bytes(map, key) : weft_map_remove(map, key);
    case WEFT_HISTORY_REMOVE_EQ:
        return weft_map_remove_eq(map, key, expected);
    case WEFT_HISTORY_CLEAR:
        return weft_map_clear(map);
    default:
        return WEFT_E_INVALID;
    }
}

/* ---- u64 ---- */

static int get_number(weft_u64map *map, uint64_t key, uint64_t *value) {
    weft_u64found found;
    int status = weft_u64map_get_many(map, &key, 1, &found);
    *value = found.value;
    return status == WEFT_OK ? found.status : status;
}

static int remove_number(weft_u64map *map, uint64_t key) {
    size_t removed = 0;
    int status = weft_u64map_remove_many(map, &key, 1, &removed);
    return status == WEFT_OK && removed == 0 ? WEFT_NOT_FOUND : status;
}

static int do_numbers(weft_subject *subject, const weft_history_event *event, uint64_t *result) {
    weft_u64map *map = &subject->numbers;
    uint64_t key = number_key(subject, event->key);
    switch (event->op) {
    case WEFT_HISTORY_GET:
        return takes_other_call(event) ? get_number(map, key, result)
                                       : weft_u64map_get(map, key, result);
    case WEFT_HISTORY_CONTAINS:
        return weft_u64map_contains(map, key);
    case WEFT_HISTORY_PUT:
        return takes_other_call(event) ? weft_u64map_put_many(map, &key, &event->value, 1)
                                       : weft_u64map_put(map, key, event->value);
    case WEFT_HISTORY_INSERT:
        return weft_u64map_insert(map, key, event->value);
    case WEFT_HISTORY_GET_OR_INSERT: {
        int status = weft_u64map_get_or_insert(map, key, event->value, result);
        *result = status == WEFT_EXISTS ? *result : 0;
        return status;
    }
    case WEFT_HISTORY_REPLACE:
        return weft_u64map_replace(map, key, event->value);
    case WEFT_HISTORY_SWAP:
        return weft_u64map_swap(map, key, event->value, result);
    case WEFT_HISTORY_CAS:
        return weft_u64map_cas(map, key, event->expected, event->value);
    case WEFT_HISTORY_FETCH_ADD:
        return weft_u64map_fetch_add(map, key, (int64_t)event->value, (int64_t *)result);
    case WEFT_HISTORY_REMOVE:
        return takes_other_call(event) ? remove_number(map, key) : weft_u64map_remove(map, key);
    case WEFT_HISTORY_REMOVE_EQ:
        return weft_u64map_remove_eq(map, key, event->expected);
    case WEFT_HISTORY_CLEAR:
        return weft_u64map_clear(map);
    default:
        return WEFT_E_INVALID;
    }
}

int weft_subject_do(weft_subject *subject, const weft_history_event *event, uint64_t *result) {
    return subject->options.shape == WEFT_SUBJECT_U64 ? do_numbers(subject, event, result)
                                                      : do_bytes(subject, event, result);
}

int weft_subject_put(weft_subject *subject, unsigned key, uint64_t value) {
    weft_history_event event = {.op = WEFT_HISTORY_PUT, .key = key, .value = value};
    uint64_t ignored;
    return weft_subject_do(subject, &event, &ignored);
}

/* ---- whole maps ---- */

typedef struct walk {
    weft_subject *subject;
    weft_subject_visit fn;
    void *ctx;
} walk;

static bool visit_bytes(void *ctx, const weft_view *entry) {
    walk *w = ctx;
    uint64_t value = 0;
    memcpy(&value, entry->value.data, sizeof value);
    w->fn(w->ctx, number_of_text(entry->key), value);
    return true;
}

static bool visit_number(void *ctx, weft_u64pair entry) {
    walk *w = ctx;
    w->fn(w->ctx, number_of_number(w->subject, entry.key), entry.value);
    return true;
}

int weft_subject_walk(weft_subject *subject, weft_subject_visit fn, void *ctx) {
    walk w = {.subject = subject, .fn = fn, .ctx = ctx};
    return subject->options.shape == WEFT_SUBJECT_U64
               ? weft_u64map_foreach(&subject->numbers, visit_number, &w)
               : weft_map_foreach(&subject->bytes, visit_bytes, &w);
}

/* ---- snapshots ---- */

int weft_subject_snapshot_take(weft_subject *subject, weft_subject_snapshot *snapshot) {
    *snapshot = (weft_subject_snapshot){.subject = subject};
    return subject->options.shape == WEFT_SUBJECT_U64
               ? weft_u64map_snapshot(&subject->numbers, &snapshot->numbers)
               : weft_map_snapshot(&subject->bytes, &snapshot->bytes);
}

int weft_subject_snapshot_get(const weft_subject_snapshot *snapshot, unsigned key,
                              uint64_t *value) {
    if (snapshot->subject->options.shape == WEFT_SUBJECT_U64) {
        return weft_u64snapshot_get(&snapshot->numbers, number_key(snapshot->subject, key), value);
    }
    weft_view view;
    int status =
        weft_snapshot_get(&snapshot->bytes, weft_subject_key(snapshot->subject, key), &view);
    if (status == WEFT_OK) {
        memcpy(value, view.value.data, sizeof *value);
    }
    return status;
}

int weft_subject_snapshot_walk(const weft_subject_snapshot *snapshot, weft_subject_visit fn,
                               void *ctx) {
    weft_snapshot_cursor cursor = {0};
    weft_u64pair pair;
    weft_view view;
    bool numbers = snapshot->subject->options.shape == WEFT_SUBJECT_U64;
    for (;;) {
        int status = numbers ? weft_u64snapshot_next(&snapshot->numbers, &cursor, &pair)
                             : weft_snapshot_next(&snapshot->bytes, &cursor, &view);
        if (status != WEFT_OK) {
            return status == WEFT_NOT_FOUND ? WEFT_OK : status;
        }
        uint64_t value = pair.value;
        if (!numbers) {
            memcpy(&value, view.value.data, sizeof value);
        }
        fn(ctx, numbers ? number_of_number(snapshot->subject, pair.key) : number_of_text(view.key),
           value);
    }
}

void weft_subject_snapshot_release(weft_subject_snapshot *snapshot) {
    if (snapshot->subject->options.shape == WEFT_SUBJECT_U64) {
        weft_u64snapshot_release(&snapshot->numbers);
    } else {
        weft_snapshot_release(&snapshot->bytes);
    }
}

int weft_subject_reserve(weft_subject *subject, size_t entries) {
    return subject->options.shape == WEFT_SUBJECT_U64
               ? weft_u64map_reserve(&subject->numbers, entries)
               : weft_map_reserve(&subject->bytes, entries);
}

int weft_subject_shrink(weft_subject *subject) {
    return subject->options.shape == WEFT_SUBJECT_U64 ? weft_u64map_shrink(&subject->numbers)
                                                      : weft_map_shrink(&subject->bytes);
}

int weft_subject_maintain(weft_subject *subject, size_t budget) {
    return subject->options.shape == WEFT_SUBJECT_U64
               ? weft_u64map_maintain(&subject->numbers, budget)
               : weft_map_maintain(&subject->bytes, budget);
}

int weft_subject_check(weft_subject *subject, char *text, size_t capacity) {
    return subject->options.shape == WEFT_SUBJECT_U64
               ? weft_u64map_check(&subject->numbers, text, capacity)
               : weft_map_check(&subject->bytes, text, capacity);
}

size_t weft_subject_len(weft_subject *subject) {
    return subject->options.shape == WEFT_SUBJECT_U64 ? weft_u64map_len(&subject->numbers)
                                                      : weft_map_len(&subject->bytes);
}
