/* SPDX-License-Identifier: MIT */
/* What the source of a peer in C or C++ begins with: types, hashes, and the list of what it defines
 * before it includes replay_main.h, which brings main().
 *
 *     PEER_LANGUAGE, PEER_VERSION, PEER_CONTROL   strings, and 0 or 1, for `hello`
 *     peer_identities[]                           the maps in this executable, the default first
 *     PEER_WRITERS(which)          optional: 1 for a map that lets one thread write
 *     PEER_LACKS(which)            optional: a JSON list of operations that the map does not have
 *
 *     peer_enter(), peer_leave()   each thread calls them first and last
 *     peer_pause()                 called between stretches of 256 operations; no entry is in use
 *
 *     peer_u64_map                 and the same with `bytes` for `u64`, where a key and a value to
 *                                  be written are replay_bytes, and `add` does not exist
 *     peer_u64_open(which)         an empty map; `which` counts in peer_identities
 *     peer_u64_close(map)
 *     peer_u64_get(map, key, &number)   true: found, with the value, or its first 8 bytes
 *     peer_u64_put(map, key, value)
 *     peer_u64_insert(map, key, value)  true: the key was absent
 *     peer_u64_remove(map, key)         true: the key was there
 *     peer_u64_add(map, key)            the new value
 *     peer_u64_count(map)          exact; no other thread is at work
 *     peer_u64_settle(map)         no thread is at work: do what was put off
 *     peer_u64_walk(map, seen)     calls replay_see_u64 for each entry
 *
 * All are static, and those for one key inline, so that they become part of the replay loop. */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A piece of memory that somebody else owns. */
typedef struct replay_bytes {
    const char *data;
    size_t size;
} replay_bytes;

typedef struct replay_identity {
    const char *id;  /* the peer's id and the name of the executable */
    const char *map; /* what --map takes */
} replay_identity;

/* What is known of the trace when a map is opened; 0: not known. */
typedef struct replay_expected {
    uint64_t entries;   /* that maps are told of */
    uint64_t most_keys; /* for a map that has all its room from the beginning */
    uint32_t key_bytes; /* of the longest key, byte shape */
    uint32_t value_bytes;
} replay_expected;

static replay_expected peer_expected;

/* What a walk over all entries adds up to. */
typedef struct replay_content {
    uint64_t sum;
    uint64_t entries;
} replay_content;

/* An error line. What JSON would have escaped becomes a question mark. */
static inline void replay_error(const char *what) {
    fputs("{\"error\":\"", stdout);
    for (; *what != '\0'; what++)
        putchar(*what == '"' || *what == '\\' || (unsigned char)*what < ' ' ? '?' : *what);
    puts("\"}");
    fflush(stdout);
}

/* Ends the process with an error line; with one, if several threads fail. */
static inline void replay_fail(const char *what) {
    flockfile(stdout);
    replay_error(what);
    exit(1);
}

static inline uint64_t replay_mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* A hash of a number for maps that bring none: the two halves of one wide product. Each bit of the
 * result depends on many bits of the key, at the price of one multiplication. */
static inline uint64_t replay_hash(uint64_t key) {
    unsigned __int128 product = (unsigned __int128)key * UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The number that a value of the byte shape begins with. */
static inline uint64_t replay_number(const void *value) {
    uint64_t number;
    memcpy(&number, value, sizeof number);
    return number;
}

static inline void replay_see_u64(replay_content *content, uint64_t key, uint64_t value) {
    content->sum += replay_mix(replay_mix(key) ^ value);
    content->entries++;
}

static inline uint64_t replay_fnv1a(replay_bytes key) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline void replay_see_bytes(replay_content *content, replay_bytes key, const void *value) {
    replay_see_u64(content, replay_fnv1a(key), replay_number(value));
}

#endif
