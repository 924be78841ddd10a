/* SPDX-License-Identifier: MIT */
/* What the tests of recordings share. */
#ifndef WEFT_TESTS_RECORD_KIT_H
#define WEFT_TESTS_RECORD_KIT_H

#include "contract/contract.h"

#include "harness/tape.h"
#include "map/recording.h"

enum { KEYS = 300, BUFFER_SMALL = 256 << 10 };

static inline weft_recording_options options_for(const char *path) {
    return (weft_recording_options){.size = sizeof(weft_recording_options), .file = path};
}

static inline weft_recording *start(weft_map *map, weft_recording_options *options) {
    weft_recording *recording = NULL;
    int status = weft_recording_start(map, &recording, options);
    if (status != WEFT_OK) {
        fprintf(stderr, "%s: %s\n", weft_status_name(status), options->error_text);
    }
    REQUIRE(status == WEFT_OK);
    return recording;
}

static inline weft_recording *start_u64(weft_u64map *map, weft_recording_options *options) {
    weft_recording *recording = NULL;
    REQUIRE(weft_recording_start_u64(map, &recording, options) == WEFT_OK);
    return recording;
}

static inline void read_and_unlink(tape *t, const char *path) {
    REQUIRE(tape_read(t, path));
    REQUIRE(unlink(path) == 0);
}

static inline bool is_chosen(weft_u64map *map, const weft_recording_filter *filter, uint64_t key) {
    weft_core *core = weft_map_core(map->impl);
    return weft_recording_chooses(filter, weft_key_of_u64(core, key).hash);
}

static inline bool find_in_replay(void *ctx, const weft_view *entry) {
    const bool *present = ctx;
    uint64_t number;
    memcpy(&number, entry->key.data, sizeof number);
    REQUIRE(number < KEYS && present[number]);
    return true;
}

static inline void require_same_keys(weft_map *map, const tape *t) {
    bool present[KEYS];
    size_t count = 0;
    tape_replay(t, present, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        count += present[i];
    }
    assert_int_equal(count, weft_map_len_exact(map));
    assert_ok(weft_map_foreach(map, find_in_replay, present));
}

#endif
