/* SPDX-License-Identifier: MIT */
/* Concurrency Kit's ck_ht: one writer, any number of readers. The kit never lets a writer run
 * beside readers, so that what leaves the map is freed at once. Numbers are stored in the table
 * itself; the two that mark free slots there have a place of their own. An insert looks the key up
 * and then uses ck_ht_set_spmc, for ck_ht_put_spmc of 0.7.1 reuses the slot of a removed entry
 * without a look at the slots behind it, and so adds a key a second time. */
#include "replay_text.h"
#include <ck_ht.h>

#define PEER_LANGUAGE "c"
#define PEER_CONTROL 0
#define PEER_WRITERS(which) 1

static const replay_identity peer_identities[] = {{"ck-ht", "ht"}};

enum { FIRST_CAPACITY = 16 };

typedef struct special {
    bool there;
    uint64_t value;
} special;

typedef struct peer_map {
    ck_ht_t table;
    special specials[2]; /* of the keys 0 and 2^64 - 1 */
} peer_map;

typedef peer_map peer_u64_map;
typedef peer_map peer_bytes_map;

static inline void peer_enter(void) {
}

static inline void peer_leave(void) {
}

static inline void peer_pause(void) {
}

static void *take_memory(size_t size) {
    return malloc(size);
}

static void give_back(void *memory, size_t size, bool defer) {
    (void)size;
    (void)defer;
    free(memory);
}

static struct ck_malloc memory = {.malloc = take_memory, .free = give_back};

static void hash_number(ck_ht_hash_t *hash, const void *key, size_t size, uint64_t seed) {
    (void)size;
    (void)seed;
    hash->value = replay_hash(replay_number(key));
}

static void hash_text(ck_ht_hash_t *hash, const void *key, size_t size, uint64_t seed) {
    (void)seed;
    hash->value = XXH3_64bits(key, size);
}

static inline ck_ht_hash_t hash_of(uint64_t value) {
    ck_ht_hash_t hash = {value};
    return hash;
}

static peer_map *map_open(unsigned mode, ck_ht_hash_cb_t *hash) {
    peer_map *map = (peer_map *)replay_new(sizeof *map);
    memset(map, 0, sizeof *map);
    if (!ck_ht_init(&map->table, mode | CK_HT_WORKLOAD_DELETE, hash, &memory, FIRST_CAPACITY, 0))
        replay_fail("ck_ht_init: out of memory");
    return map;
}

static void expect(bool done) {
    if (!done)
        replay_fail("ck_ht: out of memory");
}

static inline special *special_of(peer_map *map, uint64_t key) {
    return key + 1 > 1 ? NULL : &map->specials[key & 1];
}

static peer_map *peer_u64_open(unsigned which) {
    (void)which;
    return map_open(CK_HT_MODE_DIRECT, hash_number);
}

static void peer_u64_close(peer_map *map) {
    ck_ht_destroy(&map->table);
    free(map);
}

static inline bool peer_u64_get(peer_map *map, uint64_t key, uint64_t *value) {
    ck_ht_entry_t entry;
    special *other = special_of(map, key);
    if (__builtin_expect(other != NULL, 0)) {
        *value = other->value;
        return other->there;
    }
    ck_ht_entry_key_set_direct(&entry, key);
    if (!ck_ht_get_spmc(&map->table, hash_of(replay_hash(key)), &entry))
        return false;
    *value = ck_ht_entry_value_direct(&entry);
    return true;
}

static inline void peer_u64_put(peer_map *map, uint64_t key, uint64_t value) {
    ck_ht_entry_t entry;
    special *other = special_of(map, key);
    if (__builtin_expect(other != NULL, 0)) {
        other->there = true;
        other->value = value;
        return;
    }
    ck_ht_hash_t hash = hash_of(replay_hash(key));
    ck_ht_entry_set_direct(&entry, hash, key, value);
    expect(ck_ht_set_spmc(&map->table, hash, &entry));
}

static inline bool peer_u64_insert(peer_map *map, uint64_t key, uint64_t value) {
    uint64_t present;
    if (peer_u64_get(map, key, &present))
        return false;
    peer_u64_put(map, key, value);
    return true;
}

static inline bool peer_u64_remove(peer_map *map, uint64_t key) {
    ck_ht_entry_t entry;
    special *other = special_of(map, key);
    if (__builtin_expect(other != NULL, 0)) {
        bool there = other->there;
        memset(other, 0, sizeof *other);
        return there;
    }
    ck_ht_entry_key_set_direct(&entry, key);
    return ck_ht_remove_spmc(&map->table, hash_of(replay_hash(key)), &entry);
}

static inline uint64_t peer_u64_add(peer_map *map, uint64_t key) {
    uint64_t value = 0;
    peer_u64_get(map, key, &value);
    peer_u64_put(map, key, value + 1);
    return value + 1;
}

static uint64_t peer_u64_count(peer_map *map) {
    return ck_ht_count(&map->table) + map->specials[0].there + map->specials[1].there;
}

static void peer_u64_settle(peer_map *map) {
    (void)map;
}

static void peer_u64_walk(peer_map *map, replay_content *content) {
    ck_ht_iterator_t at = CK_HT_ITERATOR_INITIALIZER;
    ck_ht_entry_t *entry;
    while (ck_ht_next(&map->table, &at, &entry))
        replay_see_u64(content, ck_ht_entry_key_direct(entry), ck_ht_entry_value_direct(entry));
    for (unsigned i = 0; i < 2; i++)
        if (map->specials[i].there)
            replay_see_u64(content, i == 0 ? 0 : UINT64_MAX, map->specials[i].value);
}

static peer_map *peer_bytes_open(unsigned which) {
    (void)which;
    return map_open(CK_HT_MODE_BYTESTRING, hash_text);
}

static void peer_bytes_close(peer_map *map) {
    ck_ht_iterator_t at = CK_HT_ITERATOR_INITIALIZER;
    ck_ht_entry_t *entry;
    while (ck_ht_next(&map->table, &at, &entry))
        free(ck_ht_entry_value(entry));
    ck_ht_destroy(&map->table);
    free(map);
}

static inline bool peer_bytes_get(peer_map *map, replay_bytes key, uint64_t *number) {
    ck_ht_entry_t entry;
    ck_ht_entry_key_set(&entry, key.data, (uint16_t)key.size);
    if (!ck_ht_get_spmc(&map->table, hash_of(replay_hash_text(key)), &entry))
        return false;
    *number = replay_text_number((const replay_text *)ck_ht_entry_value(&entry));
    return true;
}

/* The table points to the key inside of the block that is the value. */
static inline ck_ht_entry_t entry_of(ck_ht_hash_t hash, replay_bytes key, replay_bytes value) {
    ck_ht_entry_t entry;
    replay_text *text = (replay_text *)replay_new(sizeof *text + replay_text_size(key, value));
    replay_text_fill(text, key, value);
    ck_ht_entry_set(&entry, hash, text->data, (uint16_t)key.size, text);
    return entry;
}

static inline void peer_bytes_put(peer_map *map, replay_bytes key, replay_bytes value) {
    ck_ht_hash_t hash = hash_of(replay_hash_text(key));
    ck_ht_entry_t entry = entry_of(hash, key, value);
    expect(ck_ht_set_spmc(&map->table, hash, &entry));
    if (!ck_ht_entry_empty(&entry))
        free(ck_ht_entry_value(&entry));
}

static inline bool peer_bytes_insert(peer_map *map, replay_bytes key, replay_bytes value) {
    uint64_t present;
    if (peer_bytes_get(map, key, &present))
        return false;
    peer_bytes_put(map, key, value);
    return true;
}

static inline bool peer_bytes_remove(peer_map *map, replay_bytes key) {
    ck_ht_entry_t entry;
    ck_ht_entry_key_set(&entry, key.data, (uint16_t)key.size);
    if (!ck_ht_remove_spmc(&map->table, hash_of(replay_hash_text(key)), &entry))
        return false;
    free(ck_ht_entry_value(&entry));
    return true;
}

static uint64_t peer_bytes_count(peer_map *map) {
    return ck_ht_count(&map->table);
}

static void peer_bytes_settle(peer_map *map) {
    (void)map;
}

static void peer_bytes_walk(peer_map *map, replay_content *content) {
    ck_ht_iterator_t at = CK_HT_ITERATOR_INITIALIZER;
    ck_ht_entry_t *entry;
    while (ck_ht_next(&map->table, &at, &entry))
        replay_text_see(content, (const replay_text *)ck_ht_entry_value(entry));
}

#include "replay_main.h"
