/* SPDX-License-Identifier: MIT */
/* The control without a map: what reading a trace and counting cost. Built as C and as C++. */
#include "replay.h"

#define PEER_VERSION "1"
#define PEER_CONTROL 1
#ifdef __cplusplus
#define PEER_LANGUAGE "c++"
static const replay_identity peer_identities[] = {{"cpp-empty", "empty"}};
#else
#define PEER_LANGUAGE "c"
static const replay_identity peer_identities[] = {{"c-empty", "empty"}};
#endif

typedef struct peer_map {
    char unused;
} peer_map;

typedef peer_map peer_u64_map;
typedef peer_map peer_bytes_map;

static peer_map nothing;

static inline void peer_enter(void) {
}

static inline void peer_leave(void) {
}

static inline void peer_pause(void) {
}

/* The compiler has to read what an operation is given, as for any map. */
static inline void take(uint64_t given) {
    __asm__ volatile("" : : "r"(given));
}

static inline void take_bytes(replay_bytes given) {
    __asm__ volatile("" : : "r"(given.data), "r"(given.size));
}

static peer_map *peer_u64_open(unsigned which) {
    (void)which;
    return &nothing;
}

static void peer_u64_close(peer_map *map) {
    (void)map;
}

static inline bool peer_u64_get(peer_map *map, uint64_t key, uint64_t *value) {
    (void)map;
    (void)value;
    take(key);
    return false;
}

static inline void peer_u64_put(peer_map *map, uint64_t key, uint64_t value) {
    (void)map;
    take(key);
    take(value);
}

static inline bool peer_u64_insert(peer_map *map, uint64_t key, uint64_t value) {
    peer_u64_put(map, key, value);
    return true;
}

static inline bool peer_u64_remove(peer_map *map, uint64_t key) {
    (void)map;
    take(key);
    return true;
}

static inline uint64_t peer_u64_add(peer_map *map, uint64_t key) {
    (void)map;
    take(key);
    return 1;
}

static uint64_t peer_u64_count(peer_map *map) {
    (void)map;
    return 0;
}

static void peer_u64_settle(peer_map *map) {
    (void)map;
}

static void peer_u64_walk(peer_map *map, replay_content *content) {
    (void)map;
    (void)content;
}

static peer_map *peer_bytes_open(unsigned which) {
    return peer_u64_open(which);
}

static void peer_bytes_close(peer_map *map) {
    (void)map;
}

static inline bool peer_bytes_get(peer_map *map, replay_bytes key, uint64_t *number) {
    (void)map;
    (void)number;
    take_bytes(key);
    return false;
}

static inline void peer_bytes_put(peer_map *map, replay_bytes key, replay_bytes value) {
    (void)map;
    take_bytes(key);
    take_bytes(value);
}

static inline bool peer_bytes_insert(peer_map *map, replay_bytes key, replay_bytes value) {
    peer_bytes_put(map, key, value);
    return true;
}

static inline bool peer_bytes_remove(peer_map *map, replay_bytes key) {
    (void)map;
    take_bytes(key);
    return true;
}

static uint64_t peer_bytes_count(peer_map *map) {
    return peer_u64_count(map);
}

static void peer_bytes_settle(peer_map *map) {
    (void)map;
}

static void peer_bytes_walk(peer_map *map, replay_content *content) {
    peer_u64_walk(map, content);
}

#include "replay_main.h"
