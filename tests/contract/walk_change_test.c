/* SPDX-License-Identifier: MIT */
/* G: every way to walk, beside every kind of change, made by the callbacks or by other threads.
 * Keys below STABLE stay throughout and must be seen exactly once; others at most once. */
#include "contract/contract.h"

#include <sched.h>

#include <weft/u64map.h>

enum { STABLE = 500, KEYS = 8000, ROUNDS = 40 };

typedef struct sight sight;
typedef void (*disturb_fn)(sight *s);

/* What a walk has seen, and what happens to the map meanwhile. */
struct sight {
    weft_map *map;
    disturb_fn disturb; /* called at each entry; may be NULL */
    uint64_t steps;
    uint64_t stable; /* number of stable keys */
    uint64_t keys;   /* that there may be */
    uint8_t seen[KEYS];
};

static bool see(void *ctx, const weft_view *entry) {
    sight *s = ctx;
    uint64_t key = u64_of_bytes(entry->key);
    REQUIRE(key < KEYS && entry->version < UINT64_C(1) << 40);
    REQUIRE(s->seen[key]++ == 0);
    s->steps++;
    if (s->disturb != NULL) {
        s->disturb(s);
    }
    return true;
}

static void require_stable_seen(const sight *s) {
    for (uint64_t key = 0; key < s->stable; key++) {
        REQUIRE(s->seen[key] == 1);
    }
}

/* ---- the ways to walk ------------------------------------------------------------------------ */

static void walk_foreach(sight *s) {
    REQUIRE(weft_map_foreach(s->map, see, s) == WEFT_OK);
}

static void walk_parts(sight *s, size_t count) {
    for (size_t i = 0; i < count; i++) {
        weft_part part = {(i * 7 + 2) % count, count, see, s};
        REQUIRE(weft_map_foreach_part(s->map, &part) == WEFT_OK);
    }
}

static void walk_three_parts(sight *s) {
    walk_parts(s, 3);
}

static void walk_many_parts(sight *s) {
    walk_parts(s, 1024 + 1);
}

static void walk_iter(sight *s) {
    weft_map_iter iter;
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    weft_map_iter_start(s->map, &iter);
    while (weft_map_iter_next(&iter, &guard, &view) == WEFT_OK) {
        see(s, &view);
    }
    REQUIRE(weft_map_iter_next(&iter, &guard, &view) == WEFT_NOT_FOUND);
    weft_guard_leave(&guard);
}

static void walk_scan(sight *s) {
    uint64_t cursor = 0;
    do {
        REQUIRE(weft_map_scan(s->map, &cursor, see, s) == WEFT_OK);
    } while (cursor != 0);
}

static void walk_retain(sight *s) {
    size_t removed = 1;
    REQUIRE(weft_map_retain(s->map, see, s, &removed) == WEFT_OK && removed == 0);
}

static void (*const walks[])(sight *s) = {walk_foreach, walk_three_parts, walk_many_parts,
                                          walk_iter,    walk_scan,        walk_retain};

/* ---- what happens meanwhile ------------------------------------------------------------------ */

static void grow_in_the_middle(sight *s) {
    if (s->steps == s->stable / 3) {
        put_range(s->map, STABLE, s->keys);
    }
}

static void shrink_in_the_middle(sight *s) {
    if (s->steps == s->stable / 3) {
        for (uint64_t key = STABLE; key < s->keys; key++) {
            remove_u64(s->map, key);
        }
        weft_map_shrink(s->map);
    }
}

static void grow_and_shrink(sight *s) {
    uint64_t from = STABLE + s->steps % 7 * 1000;
    for (uint64_t key = from; key < from + (s->keys - STABLE) / 25; key++) {
        if (s->steps % 2 == 0) {
            REQUIRE(put_u64(s->map, key, key) == WEFT_OK);
        } else {
            remove_u64(s->map, key);
        }
    }
    if (s->steps % 16 == 0) {
        weft_map_shrink(s->map);
    }
}

static void rewrite_everything(sight *s) {
    if (s->steps % 50 == 0) {
        put_range(s->map, 0, s->stable);
        weft_map_maintain(s->map, 1000);
    }
}

static const disturb_fn disturbances[] = {NULL, grow_in_the_middle, shrink_in_the_middle,
                                          grow_and_shrink, rewrite_everything};

static void G_every_walk_beside_every_change(void **state) {
    for (size_t w = 0; w < COUNT_OF(walks); w++) {
        for (size_t d = 0; d < COUNT_OF(disturbances); d++) {
            static sight s;
            weft_map map = contract_open(state);
            s = (sight){.map = &map, .disturb = disturbances[d], .stable = STABLE};
            s.keys = STABLE + contract_scaled(state, KEYS - STABLE);
            put_range(&map, 0, STABLE);
            if (disturbances[d] == shrink_in_the_middle) {
                put_range(&map, STABLE, s.keys);
            }
            walks[w](&s);
            require_stable_seen(&s);
            contract_close(&map);
        }
    }
}

static uint64_t bad_hash(void *ctx, weft_bytes key, uint64_t seed) {
    uint64_t number = u64_of_bytes(key);
    (void)seed;
    return ctx == NULL ? 7 : number & 3;
}

/* All keys in one bucket, or in four: larger than what a step collects on the stack. */
static void walk_crowded(void **state, bool without_memory) {
    static char four;
    for (size_t w = 0; w < COUNT_OF(walks); w++) {
        for (int kind = 0; kind < 2; kind++) {
            static sight s;
            weft_map_options options = contract_options(state);
            options.hash = bad_hash;
            options.hash_ctx = kind == 0 ? NULL : &four;
            weft_map map = contract_open_with(&options);
            s = (sight){.map = &map, .stable = 300};
            put_range(&map, 0, 300);
            if (without_memory) {
                weft_memory_fail_at(1, true);
            }
            walks[w](&s);
            weft_memory_fail_off();
            require_stable_seen(&s);
            contract_close(&map);
        }
    }
}

static void G_crowded_buckets(void **state) {
    walk_crowded(state, false);
}

static void G_E_crowded_buckets_without_memory(void **state) {
    walk_crowded(state, true);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* What is replaced takes room until the walks that may see it are over: an engine that cannot grow
 * may have none left for a while. */
static void put_beside_walks(const contract_worker *worker, uint64_t key, uint64_t value) {
    int status;
    while ((status = put_u64(worker->map, key, value)) == WEFT_E_FULL) {
        sched_yield();
    }
    REQUIRE(status == WEFT_OK);
}

static void churn(contract_worker *worker) {
    uint64_t *stop = worker->ctx;
    uint64_t turn = 0;
    while (weft_load_acquire(stop) == 0) { /* pairs with the store in the walker */
        uint64_t key = STABLE + (turn * 7919 + worker->index * 31) % (KEYS - STABLE);
        uint64_t mine = turn % STABLE;
        if (turn / 4000 % 2 == 0) {
            put_beside_walks(worker, key, turn);
        } else {
            remove_u64(worker->map, key);
        }
        put_beside_walks(worker, mine, turn);
        turn++;
    }
}

static void walk_beside(contract_worker *worker) {
    uint64_t *stop = worker->ctx;
    static sight s;
    if (worker->index != 0) {
        churn(worker);
        return;
    }
    for (int round = 0; round < ROUNDS; round++) {
        s = (sight){.map = worker->map, .stable = STABLE};
        walks[(size_t)round % COUNT_OF(walks)](&s);
        require_stable_seen(&s);
    }
    weft_store_release(stop, 1); /* pairs with the load in churn */
}

static void G_walks_beside_writing_threads(void **state) {
    weft_map map = contract_open(state);
    uint64_t stop = 0;
    put_range(&map, 0, STABLE);
    contract_together(3, walk_beside, &map, &stop);
    contract_close(&map);
}

/* ---- numbers --------------------------------------------------------------------------------- */

typedef struct number_sight {
    weft_u64map *map;
    uint64_t steps;
    uint64_t keys;
    uint8_t seen[KEYS];
} number_sight;

static bool see_number(void *ctx, weft_u64pair entry) {
    number_sight *s = ctx;
    REQUIRE(entry.key < KEYS && s->seen[entry.key]++ == 0);
    if (++s->steps == 100) {
        for (uint64_t key = STABLE; key < s->keys; key++) {
            REQUIRE(weft_u64map_put(s->map, key, key) == WEFT_OK);
        }
    }
    if (s->steps == 300) {
        for (uint64_t key = STABLE; key < s->keys; key++) {
            REQUIRE(weft_u64map_remove(s->map, key) == WEFT_OK);
        }
        weft_u64map_shrink(s->map);
    }
    return true;
}

static void walk_numbers(number_sight *s, int way) {
    weft_u64map_iter iter;
    weft_u64pair pair;
    uint64_t cursor = 0;
    size_t removed;
    switch (way) {
    case 0:
        REQUIRE(weft_u64map_foreach(s->map, see_number, s) == WEFT_OK);
        break;
    case 1:
        for (size_t i = 0; i < 5; i++) {
            weft_u64part part = {i, 5, see_number, s};
            REQUIRE(weft_u64map_foreach_part(s->map, &part) == WEFT_OK);
        }
        break;
    case 2:
        weft_u64map_iter_start(s->map, &iter);
        while (weft_u64map_iter_next(&iter, &pair) == WEFT_OK) {
            see_number(s, pair);
        }
        break;
    case 3:
        do {
            REQUIRE(weft_u64map_scan(s->map, &cursor, see_number, s) == WEFT_OK);
        } while (cursor != 0);
        break;
    default:
        REQUIRE(weft_u64map_retain(s->map, see_number, s, &removed) == WEFT_OK && removed == 0);
    }
}

static void G_numbers(void **state) {
    for (int way = 0; way < 5; way++) {
        static number_sight s;
        weft_u64map map = contract_open_u64(state);
        s = (number_sight){.map = &map, .keys = STABLE + contract_scaled(state, KEYS - STABLE)};
        for (uint64_t key = 0; key < STABLE; key++) {
            assert_int_equal(weft_u64map_put(&map, key, key), WEFT_OK);
        }
        walk_numbers(&s, way);
        for (uint64_t key = 0; key < STABLE; key++) {
            assert_int_equal(s.seen[key], 1);
        }
        contract_close_u64(&map);
    }
}

static const contract_test tests[] = {
    CONTRACT(G_every_walk_beside_every_change),
    CONTRACT(G_crowded_buckets),
    CONTRACT(G_E_crowded_buckets_without_memory),
    CONTRACT_THREADS(G_walks_beside_writing_threads),
    CONTRACT(G_numbers),
};

int main(void) {
    return contract_run("contract/walk_change", tests, COUNT_OF(tests));
}
