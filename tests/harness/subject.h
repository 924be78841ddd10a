/* SPDX-License-Identifier: MIT */
/* A map of either shape under test, behind one set of calls with small key numbers and 64-bit
 * values. */
#ifndef WEFT_TESTS_SUBJECT_H
#define WEFT_TESTS_SUBJECT_H

#include "harness/history.h"
#include <weft/map.h>
#include <weft/snapshot.h>
#include <weft/u64map.h>

typedef enum weft_subject_shape { WEFT_SUBJECT_BYTES, WEFT_SUBJECT_U64 } weft_subject_shape;

typedef struct weft_subject_options {
    weft_engine_id engine;
    weft_subject_shape shape;
    const weft_allocator
        *allocator; /* NULL: the map's default, and the map is opened by its first use */
    uint64_t hash_seed;
    bool collide; /* all keys in one bucket of a small table */
    weft_twotier_options twotier;
} weft_subject_options;

typedef struct weft_subject {
    weft_subject_options options;
    weft_map bytes;
    weft_u64map numbers;
    uint64_t version; /* told by the last GET, bytes shape; 0 if it found nothing */
} weft_subject;

int weft_subject_open(weft_subject *subject, const weft_subject_options *options);
int weft_subject_close(weft_subject *subject);

/* Do what the event says, on key event->key; the answer goes to `result`. */
int weft_subject_do(weft_subject *subject, const weft_history_event *event, uint64_t *result);

/* The bytes of a key number in the bytes shape; a string constant for all practical purposes. */
weft_bytes weft_subject_key(const weft_subject *subject, unsigned key);
/* Any key number; those of a history are the first WEFT_HISTORY_KEYS_MAX. */
int weft_subject_put(weft_subject *subject, unsigned key, uint64_t value);

typedef void (*weft_subject_visit)(void *ctx, unsigned key, uint64_t value);
int weft_subject_walk(weft_subject *subject, weft_subject_visit fn, void *ctx);

/* A snapshot of either shape. */
typedef struct weft_subject_snapshot {
    const weft_subject *subject;
    weft_snapshot bytes;
    weft_u64snapshot numbers;
} weft_subject_snapshot;

int weft_subject_snapshot_take(weft_subject *subject, weft_subject_snapshot *snapshot);
int weft_subject_snapshot_get(const weft_subject_snapshot *snapshot, unsigned key, uint64_t *value);
int weft_subject_snapshot_walk(const weft_subject_snapshot *snapshot, weft_subject_visit fn,
                               void *ctx);
void weft_subject_snapshot_release(weft_subject_snapshot *snapshot);

int weft_subject_reserve(weft_subject *subject, size_t entries);
int weft_subject_shrink(weft_subject *subject);
int weft_subject_maintain(weft_subject *subject, size_t budget);
int weft_subject_check(weft_subject *subject, char *text, size_t capacity);
size_t weft_subject_len(weft_subject *subject);

#endif
