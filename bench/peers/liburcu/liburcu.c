/* SPDX-License-Identifier: MIT */
/* liburcu's cds_lfht, the lock-free resizable table under RCU, in the flavour that its
 * documentation names as the fastest for readers: quiescent states. The kit's pause is the
 * quiescent state; a reader's lock and unlock are nothing. Writers replace nodes, and free the old
 * ones by call_rcu.
 *
 * The table does not resize by itself here: its worker looks at the count only when that is a power
 * of two, and at the length of chains only in small tables, so that a fast fill can leave it behind
 * for good, a thousand entries a chain. Writers count, and call cds_lfht_resize in the pause. */
#define _LGPL_SOURCE
#include <urcu/urcu-qsbr.h>
#include <urcu/rculfhash.h>
#include "replay_text.h"

#define PEER_LANGUAGE "c"
#define PEER_CONTROL 0

static const replay_identity peer_identities[] = {{"liburcu", "lfht"}};

enum { FIRST_BUCKETS = 1024 };

typedef struct peer_map {
    struct cds_lfht *table;
    uint64_t entries; /* nearly; exact after settle */
    uint64_t buckets;
    int growing; /* one thread is about to resize */
} peer_map;

typedef peer_map peer_u64_map;
typedef peer_map peer_bytes_map;

/* What the nodes of both shapes begin with. */
typedef struct node {
    struct cds_lfht_node link;
    struct rcu_head head;
} node;

typedef struct number_node {
    node node;
    uint64_t key;
    uint64_t value;
} number_node;

typedef struct text_node {
    node node;
    replay_text text;
} text_node;

/* What a thread has inserted and not told its map yet. */
static __thread struct {
    peer_map *map;
    uint64_t inserted; /* less what was removed, modulo 2^64 */
} untold;

static inline void count_entry(peer_map *map, uint64_t difference) {
    untold.map = map;
    untold.inserted += difference;
}

static void map_grow(peer_map *map, uint64_t entries) {
    if (uatomic_cmpxchg(&map->growing, 0, 1) != 0)
        return;
    uint64_t buckets = map->buckets;
    while (buckets < entries)
        buckets *= 2;
    cds_lfht_resize(map->table, buckets);
    uatomic_set(&map->buckets, buckets);
    uatomic_set(&map->growing, 0);
}

static void tell(void) {
    peer_map *map = untold.map;
    uint64_t entries = uatomic_add_return(&map->entries, untold.inserted);
    untold.inserted = 0;
    if (entries > uatomic_read(&map->buckets) && entries < UINT64_MAX / 2)
        map_grow(map, entries);
}

static inline void peer_enter(void) {
    urcu_qsbr_register_thread();
}

static inline void peer_pause(void) {
    if (untold.inserted != 0)
        tell();
    urcu_qsbr_quiescent_state();
}

static inline void peer_leave(void) {
    peer_pause();
    urcu_qsbr_unregister_thread();
}

static peer_map *map_open(void) {
    peer_map *map = (peer_map *)replay_new(sizeof *map);
    map->table = cds_lfht_new_flavor(FIRST_BUCKETS, FIRST_BUCKETS, 0, 0, &urcu_qsbr_flavor, NULL);
    map->entries = 0;
    map->buckets = FIRST_BUCKETS;
    map->growing = 0;
    if (map->table == NULL)
        replay_fail("out of memory");
    return map;
}

static void map_close(peer_map *map) {
    struct cds_lfht_iter at;
    node *found;
    urcu_qsbr_register_thread();
    cds_lfht_for_each_entry(map->table, &at, found, link) {
        if (cds_lfht_del(map->table, &found->link) == 0)
            free(found);
    }
    urcu_qsbr_unregister_thread();
    urcu_qsbr_barrier();
    cds_lfht_destroy(map->table, NULL);
    free(map);
}

static void free_node(struct rcu_head *head) {
    free(caa_container_of(head, node, head));
}

static inline void free_later(struct cds_lfht_node *old) {
    urcu_qsbr_call_rcu(&caa_container_of(old, node, link)->head, free_node);
}

/* Frees what waits to be freed, and counts. */
static void map_settle(peer_map *map) {
    long before, after;
    unsigned long count;
    urcu_qsbr_barrier();
    urcu_qsbr_register_thread();
    cds_lfht_count_nodes(map->table, &before, &count, &after);
    urcu_qsbr_unregister_thread();
    map->entries = count;
}

/* What a lookup needs to know. */
typedef struct search {
    uint64_t hash;
    cds_lfht_match_fct match;
    const void *key;
} search;

/* Puts a node in unless its key is there; then the node is freed. */
static inline bool insert_node(peer_map *map, node *fresh, search by) {
    if (cds_lfht_add_unique(map->table, by.hash, by.match, by.key, &fresh->link) == &fresh->link) {
        count_entry(map, 1);
        return true;
    }
    free(fresh);
    return false;
}

/* Puts a node in, in place of the one with its key if there is one. */
static inline void replace_node(peer_map *map, node *fresh, search by) {
    struct cds_lfht_node *old =
        cds_lfht_add_replace(map->table, by.hash, by.match, by.key, &fresh->link);
    if (old != NULL)
        free_later(old);
    else
        count_entry(map, 1);
}

static inline bool remove_node(peer_map *map, search by) {
    struct cds_lfht_iter at;
    cds_lfht_lookup(map->table, by.hash, by.match, by.key, &at);
    struct cds_lfht_node *found = cds_lfht_iter_get_node(&at);
    if (found == NULL || cds_lfht_del(map->table, found) != 0)
        return false;
    free_later(found);
    count_entry(map, UINT64_MAX);
    return true;
}

static inline node *find_node(peer_map *map, search by) {
    struct cds_lfht_iter at;
    cds_lfht_lookup(map->table, by.hash, by.match, by.key, &at);
    struct cds_lfht_node *found = cds_lfht_iter_get_node(&at);
    return found == NULL ? NULL : caa_container_of(found, node, link);
}

static int is_number(struct cds_lfht_node *link, const void *key) {
    return ((number_node *)caa_container_of(link, node, link))->key == *(const uint64_t *)key;
}

static int is_text(struct cds_lfht_node *link, const void *key) {
    const text_node *found = (const text_node *)caa_container_of(link, node, link);
    return replay_text_has(&found->text, *(const replay_bytes *)key);
}

/* The key has to outlive the search. */
static inline search by_number(const uint64_t *key) {
    search by = {replay_hash(*key), is_number, key};
    return by;
}

static inline search by_text(const replay_bytes *key) {
    search by = {replay_hash_text(*key), is_text, key};
    return by;
}

static inline number_node *new_number(uint64_t key, uint64_t value) {
    number_node *fresh = (number_node *)replay_new(sizeof *fresh);
    fresh->key = key;
    fresh->value = value;
    return fresh;
}

static inline text_node *new_text(replay_bytes key, replay_bytes value) {
    text_node *fresh = (text_node *)replay_new(sizeof *fresh + replay_text_size(key, value));
    replay_text_fill(&fresh->text, key, value);
    return fresh;
}

static peer_map *peer_u64_open(unsigned which) {
    (void)which;
    return map_open();
}

static void peer_u64_close(peer_map *map) {
    map_close(map);
}

static inline bool peer_u64_get(peer_map *map, uint64_t key, uint64_t *value) {
    const number_node *found = (const number_node *)find_node(map, by_number(&key));
    if (found == NULL)
        return false;
    *value = uatomic_read(&found->value);
    return true;
}

static inline void peer_u64_put(peer_map *map, uint64_t key, uint64_t value) {
    replace_node(map, &new_number(key, value)->node, by_number(&key));
}

static inline bool peer_u64_insert(peer_map *map, uint64_t key, uint64_t value) {
    return insert_node(map, &new_number(key, value)->node, by_number(&key));
}

static inline bool peer_u64_remove(peer_map *map, uint64_t key) {
    return remove_node(map, by_number(&key));
}

/* In place: an addition to a node that is replaced or removed meanwhile counts as before that. */
static inline uint64_t peer_u64_add(peer_map *map, uint64_t key) {
    for (;;) {
        number_node *found = (number_node *)find_node(map, by_number(&key));
        if (found != NULL)
            return uatomic_add_return(&found->value, 1);
        if (peer_u64_insert(map, key, 1))
            return 1;
    }
}

static uint64_t peer_u64_count(peer_map *map) {
    return map->entries;
}

static void peer_u64_settle(peer_map *map) {
    map_settle(map);
}

static void peer_u64_walk(peer_map *map, replay_content *content) {
    struct cds_lfht_iter at;
    number_node *found;
    cds_lfht_for_each_entry(map->table, &at, found, node.link) {
        replay_see_u64(content, found->key, found->value);
    }
}

static peer_map *peer_bytes_open(unsigned which) {
    (void)which;
    return map_open();
}

static void peer_bytes_close(peer_map *map) {
    map_close(map);
}

static inline bool peer_bytes_get(peer_map *map, replay_bytes key, uint64_t *number) {
    const text_node *found = (const text_node *)find_node(map, by_text(&key));
    if (found == NULL)
        return false;
    *number = replay_text_number(&found->text);
    return true;
}

static inline void peer_bytes_put(peer_map *map, replay_bytes key, replay_bytes value) {
    replace_node(map, &new_text(key, value)->node, by_text(&key));
}

static inline bool peer_bytes_insert(peer_map *map, replay_bytes key, replay_bytes value) {
    return insert_node(map, &new_text(key, value)->node, by_text(&key));
}

static inline bool peer_bytes_remove(peer_map *map, replay_bytes key) {
    return remove_node(map, by_text(&key));
}

static uint64_t peer_bytes_count(peer_map *map) {
    return map->entries;
}

static void peer_bytes_settle(peer_map *map) {
    map_settle(map);
}

static void peer_bytes_walk(peer_map *map, replay_content *content) {
    struct cds_lfht_iter at;
    text_node *found;
    cds_lfht_for_each_entry(map->table, &at, found, node.link) {
        replay_text_see(content, &found->text);
    }
}

#include "replay_main.h"
