/* SPDX-License-Identifier: MIT */
/* Recording from inside: what an operation of a map asks and does. docs/design/record.md. */
#ifndef WEFT_MAP_RECORDING_H
#define WEFT_MAP_RECORDING_H

#include "base/trace_file.h"
#include "map/core.h"
#include <weft/record.h>

/* Which keys are recorded: those whose hash has none of the bits `unrecorded`, and of which
 * `hash * multiplier` is not above `limit`. Written once, the first member of a recording. */
typedef struct weft_recording_filter {
    uint64_t multiplier; /* odd, so that the product is a bijection */
    uint64_t limit;
    uint64_t unrecorded; /* the map has a copy, all that an operation on most keys reads */
} weft_recording_filter;

static inline bool weft_recording_chooses(const weft_recording_filter *filter, uint64_t hash) {
    return (hash & filter->unrecorded) == 0 && hash * filter->multiplier <= filter->limit;
}

/* The filter of a recording of 1 key in `sample`. */
weft_recording_filter weft_recording_filter_of(uint64_t sample, uint64_t seed);

/* Take an operation down. The caller is inside the guard under which it found the recording. Not
 * cold: what it costs is what a sample costs. */
WEFT_NOINLINE void weft_recording_note(weft_recording_filter *recording, weft_trace_op op,
                                       const weft_key *key, uint32_t value_size);

/* False: an operation on a key of this hash is not recorded. True: weft_recording_for tells. */
static inline bool weft_recording_may_want(const weft_map_impl *map, uint64_t hash) {
    /* Seq_cst: after a write's own CAS. Pairs with attach in recording.c, before its walk. */
    return WEFT_UNLIKELY((hash & weft_load_seq_cst(&map->unrecorded)) == 0);
}

/* The recording that is to have an operation on this key, or NULL. The caller is inside a guard,
 * and uses it no longer than that. */
static inline weft_recording_filter *weft_recording_for(weft_map_impl *map, const weft_key *key) {
    if (!weft_recording_may_want(map, key->hash)) {
        return NULL;
    }
    /* Acquire: the recording's fields. Pairs with attach in recording.c. */
    weft_recording_filter *recording = weft_load_acquire(&map->recording);
    return recording != NULL && weft_recording_chooses(recording, key->hash) ? recording : NULL;
}

static inline void weft_recording_note_get(weft_map_impl *map, const weft_key *key) {
    weft_recording_filter *recording = weft_recording_for(map, key);
    if (WEFT_UNLIKELY(recording != NULL)) {
        weft_recording_note(recording, WEFT_TRACE_GET, key, 0);
    }
}

/* A write, once it is over. */
typedef struct weft_recorded_write {
    weft_trace_op op; /* what it is if it stores; REMOVE if it can only remove */
    int status;       /* how it ended */
    weft_verdict verdict;
    bool existed;
    uint32_t value_size; /* of what was stored; 0: nothing */
} weft_recorded_write;

WEFT_COLD void weft_recording_note_write(weft_recording_filter *recording, const weft_key *key,
                                         const weft_recorded_write *write);

/* Something happened that a trace cannot hold. The caller is inside a guard. */
void weft_recording_refuse(weft_map_impl *map, const char *what);

/* The map is being closed; no thread uses it. */
void weft_recording_end(weft_map_impl *map);

#endif
