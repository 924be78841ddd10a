/* SPDX-License-Identifier: MIT */
/* Weft's own engines, through the public headers and nothing else. */
#include "replay.h"
#include <weft/weft.h>

#define PEER_LANGUAGE "c"
#define PEER_VERSION WEFT_VERSION_STRING
#define PEER_CONTROL 0

static const replay_identity peer_identities[] = {
#define WEFT_ENGINE(name, ID, number) {"weft-" #name, #name},
#include <weft/engines.def>
#undef WEFT_ENGINE
};

static const weft_engine_id engines[] = {
#define WEFT_ENGINE(name, ID, number) WEFT_ENGINE_##ID,
#include <weft/engines.def>
#undef WEFT_ENGINE
};

/* Maps of engine "owner" are for one thread. Those of "fixed" are FULL where records that were
 * removed wait for readers, unless the number of entries that is expected leaves room. */
#define PEER_WRITERS(which) (engines[which] == WEFT_ENGINE_OWNER ? 1 : 0)
#define PEER_LACKS(which)                                                                          \
    (engines[which] == WEFT_ENGINE_FIXED && peer_expected.entries == 0 ? "\"bytes\"" : "")

typedef weft_u64map peer_u64_map;
typedef weft_map peer_bytes_map;

/* Threads need no registration. */
static inline void peer_enter(void) {
}

static inline void peer_leave(void) {
}

static inline void peer_pause(void) {
}

static inline void check(int status) {
    if (status < 0)
        replay_fail(weft_status_name(status));
}

static weft_map_options options_of(unsigned which) {
    weft_map_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.engine = engines[which];
    options.expected_entries = peer_expected.entries;
    if (options.engine == WEFT_ENGINE_FIXED) {
        options.fixed.capacity =
            peer_expected.entries != 0 ? peer_expected.entries : peer_expected.most_keys;
        options.fixed.key_bytes = peer_expected.key_bytes;
        options.fixed.value_bytes = peer_expected.value_bytes;
    }
    return options;
}

static peer_u64_map *peer_u64_open(unsigned which) {
    peer_u64_map *map = (peer_u64_map *)calloc(1, sizeof *map);
    weft_map_options options = options_of(which);
    if (map == NULL)
        replay_fail("out of memory");
    check(weft_u64map_open(map, &options));
    return map;
}

static void peer_u64_close(peer_u64_map *map) {
    check(weft_u64map_close(map));
    free(map);
}

static inline bool peer_u64_get(peer_u64_map *map, uint64_t key, uint64_t *value) {
    return weft_u64map_get(map, key, value) == WEFT_OK;
}

static inline void peer_u64_put(peer_u64_map *map, uint64_t key, uint64_t value) {
    check(weft_u64map_put(map, key, value));
}

static inline bool peer_u64_insert(peer_u64_map *map, uint64_t key, uint64_t value) {
    int status = weft_u64map_insert(map, key, value);
    check(status);
    return status == WEFT_OK;
}

static inline bool peer_u64_remove(peer_u64_map *map, uint64_t key) {
    return weft_u64map_remove(map, key) == WEFT_OK;
}

static inline uint64_t peer_u64_add(peer_u64_map *map, uint64_t key) {
    int64_t old = 0;
    check(weft_u64map_fetch_add(map, key, 1, &old));
    return (uint64_t)old + 1;
}

static uint64_t peer_u64_count(peer_u64_map *map) {
    return weft_u64map_len(map);
}

static void peer_u64_settle(peer_u64_map *map) {
    (void)map;
}

static bool see_u64(void *content, weft_u64pair entry) {
    replay_see_u64((replay_content *)content, entry.key, entry.value);
    return true;
}

static void peer_u64_walk(peer_u64_map *map, replay_content *content) {
    check(weft_u64map_foreach(map, see_u64, content));
}

static inline weft_bytes bytes_of(replay_bytes bytes) {
    return weft_bytes_of(bytes.data, bytes.size);
}

static peer_bytes_map *peer_bytes_open(unsigned which) {
    peer_bytes_map *map = (peer_bytes_map *)calloc(1, sizeof *map);
    weft_map_options options = options_of(which);
    if (map == NULL)
        replay_fail("out of memory");
    check(weft_map_open(map, &options));
    return map;
}

static void peer_bytes_close(peer_bytes_map *map) {
    check(weft_map_close(map));
    free(map);
}

/* The value is looked at where it is, as the other peers do. */
static inline bool peer_bytes_get(peer_bytes_map *map, replay_bytes key, uint64_t *number) {
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    bool found = weft_map_peek(map, bytes_of(key), &guard, &view) == WEFT_OK;
    if (found)
        *number = replay_number(view.value.data);
    weft_guard_leave(&guard);
    return found;
}

static inline void peer_bytes_put(peer_bytes_map *map, replay_bytes key, replay_bytes value) {
    check(weft_map_put(map, bytes_of(key), bytes_of(value)));
}

static inline bool peer_bytes_insert(peer_bytes_map *map, replay_bytes key, replay_bytes value) {
    int status = weft_map_insert(map, bytes_of(key), bytes_of(value));
    check(status);
    return status == WEFT_OK;
}

static inline bool peer_bytes_remove(peer_bytes_map *map, replay_bytes key) {
    return weft_map_remove(map, bytes_of(key)) == WEFT_OK;
}

static uint64_t peer_bytes_count(peer_bytes_map *map) {
    return weft_map_len(map);
}

static void peer_bytes_settle(peer_bytes_map *map) {
    (void)map;
}

static bool see_bytes(void *content, const weft_view *entry) {
    replay_bytes key = {(const char *)entry->key.data, entry->key.size};
    replay_see_bytes((replay_content *)content, key, entry->value.data);
    return true;
}

static void peer_bytes_walk(peer_bytes_map *map, replay_content *content) {
    check(weft_map_foreach(map, see_bytes, content));
}

#include "replay_main.h"
