/* SPDX-License-Identifier: MIT */
/* The control of C: a plain chained table under one pthread mutex. It doubles when there are as
 * many entries as chains; each entry is a block of its own. */
#include "replay_text.h"
#include <pthread.h>

#define PEER_LANGUAGE "c"
#define PEER_VERSION "1"
#define PEER_CONTROL 1

static const replay_identity peer_identities[] = {{"c-mutex", "chained"}};

enum { FIRST_CHAINS = 16 };

typedef struct node {
    struct node *next;
    uint64_t hash;
} node;

typedef struct peer_map {
    pthread_mutex_t mutex;
    node **chains;
    uint64_t mask; /* chains - 1 */
    uint64_t entries;
} peer_map;

typedef peer_map peer_u64_map;
typedef peer_map peer_bytes_map;

typedef struct number_node {
    node node;
    uint64_t key;
    uint64_t value;
} number_node;

typedef struct text_node {
    node node;
    replay_text text;
} text_node;

static inline void peer_enter(void) {
}

static inline void peer_leave(void) {
}

static inline void peer_pause(void) {
}

static node **new_chains(uint64_t count) {
    node **chains = (node **)calloc(count, sizeof *chains);
    if (chains == NULL)
        replay_fail("out of memory");
    return chains;
}

static peer_map *map_open(void) {
    peer_map *map = (peer_map *)replay_new(sizeof *map);
    pthread_mutex_init(&map->mutex, NULL);
    map->chains = new_chains(FIRST_CHAINS);
    map->mask = FIRST_CHAINS - 1;
    map->entries = 0;
    return map;
}

static void map_close(peer_map *map) {
    for (uint64_t i = 0; i <= map->mask; i++)
        for (node *next, *at = map->chains[i]; at != NULL; at = next) {
            next = at->next;
            free(at);
        }
    free(map->chains);
    pthread_mutex_destroy(&map->mutex);
    free(map);
}

static void map_grow(peer_map *map) {
    uint64_t mask = map->mask * 2 + 1;
    node **chains = new_chains(mask + 1);
    for (uint64_t i = 0; i <= map->mask; i++)
        for (node *next, *at = map->chains[i]; at != NULL; at = next) {
            next = at->next;
            at->next = chains[at->hash & mask];
            chains[at->hash & mask] = at;
        }
    free(map->chains);
    map->chains = chains;
    map->mask = mask;
}

/* Adds a node whose key is absent. */
static void map_add(peer_map *map, node *fresh, uint64_t hash) {
    if (map->entries++ > map->mask)
        map_grow(map);
    fresh->hash = hash;
    fresh->next = map->chains[hash & map->mask];
    map->chains[hash & map->mask] = fresh;
}

/* Takes out the node that `link` leads to; it is freed by the caller, outside of the lock. */
static node *map_cut(peer_map *map, node **link) {
    node *found = *link;
    if (found != NULL) {
        *link = found->next;
        map->entries--;
    }
    return found;
}

/* The link to the node with this key, or the one at the end of its chain. */
static inline node **find_number(peer_map *map, uint64_t key, uint64_t hash) {
    node **link = &map->chains[hash & map->mask];
    while (*link != NULL && ((number_node *)*link)->key != key)
        link = &(*link)->next;
    return link;
}

static inline node **find_text(peer_map *map, replay_bytes key, uint64_t hash) {
    node **link = &map->chains[hash & map->mask];
    while (*link != NULL &&
           ((*link)->hash != hash || !replay_text_has(&((text_node *)*link)->text, key)))
        link = &(*link)->next;
    return link;
}

static void add_number(peer_map *map, uint64_t key, uint64_t value) {
    number_node *fresh = (number_node *)replay_new(sizeof *fresh);
    fresh->key = key;
    fresh->value = value;
    map_add(map, &fresh->node, replay_hash(key));
}

static peer_map *peer_u64_open(unsigned which) {
    (void)which;
    return map_open();
}

static void peer_u64_close(peer_map *map) {
    map_close(map);
}

static inline bool peer_u64_get(peer_map *map, uint64_t key, uint64_t *value) {
    pthread_mutex_lock(&map->mutex);
    const number_node *found = (const number_node *)*find_number(map, key, replay_hash(key));
    if (found != NULL)
        *value = found->value;
    pthread_mutex_unlock(&map->mutex);
    return found != NULL;
}

static inline void peer_u64_put(peer_map *map, uint64_t key, uint64_t value) {
    pthread_mutex_lock(&map->mutex);
    number_node *found = (number_node *)*find_number(map, key, replay_hash(key));
    if (found != NULL)
        found->value = value;
    else
        add_number(map, key, value);
    pthread_mutex_unlock(&map->mutex);
}

static inline bool peer_u64_insert(peer_map *map, uint64_t key, uint64_t value) {
    pthread_mutex_lock(&map->mutex);
    bool absent = *find_number(map, key, replay_hash(key)) == NULL;
    if (absent)
        add_number(map, key, value);
    pthread_mutex_unlock(&map->mutex);
    return absent;
}

static inline bool peer_u64_remove(peer_map *map, uint64_t key) {
    pthread_mutex_lock(&map->mutex);
    node *found = map_cut(map, find_number(map, key, replay_hash(key)));
    pthread_mutex_unlock(&map->mutex);
    free(found);
    return found != NULL;
}

static inline uint64_t peer_u64_add(peer_map *map, uint64_t key) {
    uint64_t result = 1;
    pthread_mutex_lock(&map->mutex);
    number_node *found = (number_node *)*find_number(map, key, replay_hash(key));
    if (found != NULL)
        result = ++found->value;
    else
        add_number(map, key, result);
    pthread_mutex_unlock(&map->mutex);
    return result;
}

static uint64_t peer_u64_count(peer_map *map) {
    return map->entries;
}

static void peer_u64_settle(peer_map *map) {
    (void)map;
}

static void peer_u64_walk(peer_map *map, replay_content *content) {
    for (uint64_t i = 0; i <= map->mask; i++)
        for (const node *at = map->chains[i]; at != NULL; at = at->next)
            replay_see_u64(content, ((const number_node *)at)->key,
                           ((const number_node *)at)->value);
}

static text_node *new_text(replay_bytes key, replay_bytes value) {
    text_node *fresh = (text_node *)replay_new(sizeof *fresh + replay_text_size(key, value));
    replay_text_fill(&fresh->text, key, value);
    return fresh;
}

static peer_map *peer_bytes_open(unsigned which) {
    (void)which;
    return map_open();
}

static void peer_bytes_close(peer_map *map) {
    map_close(map);
}

static inline bool peer_bytes_get(peer_map *map, replay_bytes key, uint64_t *number) {
    uint64_t hash = replay_hash_text(key);
    pthread_mutex_lock(&map->mutex);
    const text_node *found = (const text_node *)*find_text(map, key, hash);
    if (found != NULL)
        *number = replay_text_number(&found->text);
    pthread_mutex_unlock(&map->mutex);
    return found != NULL;
}

/* Values of a trace have one size: a new one is written over the old. */
static inline void peer_bytes_put(peer_map *map, replay_bytes key, replay_bytes value) {
    uint64_t hash = replay_hash_text(key);
    pthread_mutex_lock(&map->mutex);
    text_node *found = (text_node *)*find_text(map, key, hash);
    if (found != NULL)
        replay_text_fill(&found->text, key, value);
    else
        map_add(map, &new_text(key, value)->node, hash);
    pthread_mutex_unlock(&map->mutex);
}

static inline bool peer_bytes_insert(peer_map *map, replay_bytes key, replay_bytes value) {
    uint64_t hash = replay_hash_text(key);
    pthread_mutex_lock(&map->mutex);
    bool absent = *find_text(map, key, hash) == NULL;
    if (absent)
        map_add(map, &new_text(key, value)->node, hash);
    pthread_mutex_unlock(&map->mutex);
    return absent;
}

static inline bool peer_bytes_remove(peer_map *map, replay_bytes key) {
    uint64_t hash = replay_hash_text(key);
    pthread_mutex_lock(&map->mutex);
    node *found = map_cut(map, find_text(map, key, hash));
    pthread_mutex_unlock(&map->mutex);
    free(found);
    return found != NULL;
}

static uint64_t peer_bytes_count(peer_map *map) {
    return map->entries;
}

static void peer_bytes_settle(peer_map *map) {
    (void)map;
}

static void peer_bytes_walk(peer_map *map, replay_content *content) {
    for (uint64_t i = 0; i <= map->mask; i++)
        for (const node *at = map->chains[i]; at != NULL; at = at->next)
            replay_text_see(content, &((const text_node *)at)->text);
}

#include "replay_main.h"
