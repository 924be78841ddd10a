/* SPDX-License-Identifier: MIT */
/* Walks: foreach, parts, iter, scan, retain; cursors kept over growth and shrink between steps;
 * walks in a storm of resizes by other threads. [G]
 * Keys below STABLE are present throughout; those above come and go. */
#include "contract/contract.h"

enum { STABLE = 3000, KEYS = 20000 };

/* How often each key was seen. */
typedef struct tally {
    weft_map *map;
    void (*meanwhile)(struct tally *tally, uint64_t key); /* may be NULL */
    uint64_t visits;
    unsigned char seen[KEYS];
} tally;

static tally count;

static tally *fresh_tally(weft_map *map) {
    memset(&count, 0, sizeof count);
    count.map = map;
    return &count;
}

static bool visit(void *ctx, const weft_view *entry) {
    tally *t = ctx;
    uint64_t key = u64_of_bytes(entry->key);
    REQUIRE(key < KEYS && t->seen[key] < 255);
    REQUIRE(entry->version != 0 && entry->value.size == sizeof key);
    t->seen[key]++;
    t->visits++;
    if (t->meanwhile != NULL) {
        t->meanwhile(t, key);
    }
    return true;
}

/* [0, stable) exactly once, the others at most once. */
static void require_level_w(const tally *t, uint64_t stable) {
    for (uint64_t key = 0; key < KEYS; key++) {
        REQUIRE(t->seen[key] <= 1);
        REQUIRE(key >= stable || t->seen[key] == 1);
    }
}

static void run_foreach(weft_map *map, tally *t) {
    assert_int_equal(weft_map_foreach(map, visit, t), WEFT_OK);
}

static void run_scan(weft_map *map, tally *t) {
    uint64_t cursor = 0;
    do {
        assert_int_equal(weft_map_scan(map, &cursor, visit, t), WEFT_OK);
    } while (cursor != 0);
}

static void run_iter(weft_map *map, tally *t) {
    weft_map_iter iter;
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    weft_map_iter_start(map, &iter);
    while (weft_map_iter_next(&iter, &guard, &view) == WEFT_OK) {
        visit(t, &view);
    }
    assert_int_equal(weft_map_iter_next(&iter, &guard, &view), WEFT_NOT_FOUND);
    weft_guard_leave(&guard);
}

static void run_parts(weft_map *map, tally *t) {
    for (size_t i = 0; i < 7; i++) {
        weft_part part = {i, 7, visit, t};
        assert_int_equal(weft_map_foreach_part(map, &part), WEFT_OK);
    }
}

static bool visit_and_keep(void *ctx, const weft_view *entry) {
    return visit(ctx, entry);
}

static void run_retain(weft_map *map, tally *t) {
    assert_int_equal(weft_map_retain(map, visit_and_keep, t, NULL), WEFT_OK);
}

static void (*const walks[])(weft_map *map, tally *t) = {run_foreach, run_scan, run_iter, run_parts,
                                                         run_retain};

static void test_G_walks_see_every_entry_once(void **state) {
    static const uint64_t sizes[] = {0, 1, 2, 7, 64, 1000, STABLE};
    for (size_t w = 0; w < COUNT_OF(walks); w++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            weft_map map = contract_open(state);
            put_range(&map, 0, sizes[i]);
            tally *t = fresh_tally(&map);
            walks[w](&map, t);
            require_level_w(t, sizes[i]);
            assert_int_equal(t->visits, sizes[i]);
            contract_close(&map);
        }
    }
}

/* ---- clear, stop, parts, retain -------------------------------------------------------------- */

static void clear_and_refill(tally *t, uint64_t key) {
    if (t->visits == 50) {
        (void)key;
        REQUIRE(weft_map_clear(t->map) == WEFT_OK);
        put_range(t->map, 0, STABLE);
    }
}

static void test_G_no_key_is_seen_twice_across_clear(void **state) {
    for (size_t w = 0; w < COUNT_OF(walks); w++) {
        weft_map map = contract_open(state);
        put_range(&map, 0, STABLE);
        tally *t = fresh_tally(&map);
        t->meanwhile = clear_and_refill;
        walks[w](&map, t);
        require_level_w(t, 0);
        contract_close(&map);
    }
}

static bool stop_at_ten(void *ctx, const weft_view *entry) {
    (void)entry;
    return ++*(uint64_t *)ctx < 10;
}

static void walks_stop_when_told(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, 1000);
    uint64_t calls = 0;
    assert_int_equal(weft_map_foreach(&map, stop_at_ten, &calls), WEFT_ABORTED);
    assert_int_equal(calls, 10);
    calls = 0;
    weft_part part = {0, 2, stop_at_ten, &calls};
    assert_int_equal(weft_map_foreach_part(&map, &part), WEFT_ABORTED);
    assert_int_equal(calls, 10);
    contract_close(&map);
}

static void parts_are_checked_and_disjoint(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, STABLE);
    for (size_t parts = 1; parts <= 300; parts = parts * 3 + 1) {
        tally *t = fresh_tally(&map);
        for (size_t i = 0; i < parts; i++) {
            weft_part part = {i, parts, visit, t};
            assert_int_equal(weft_map_foreach_part(&map, &part), WEFT_OK);
        }
        require_level_w(t, STABLE);
    }
    weft_part bad = {3, 3, visit, &count};
    assert_int_equal(weft_map_foreach_part(&map, &bad), WEFT_E_INVALID);
    bad = (weft_part){0, 0, visit, &count};
    assert_int_equal(weft_map_foreach_part(&map, &bad), WEFT_E_INVALID);
    contract_close(&map);
}

static bool is_odd(void *ctx, const weft_view *entry) {
    (void)ctx;
    return (u64_of_bytes(entry->key) & 1) != 0;
}

static void retain_removes_the_rest(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, STABLE);
    size_t removed = 0;
    assert_int_equal(weft_map_retain(&map, is_odd, NULL, &removed), WEFT_OK);
    assert_int_equal(removed, STABLE / 2);
    assert_int_equal(weft_map_len_exact(&map), STABLE / 2);
    for (uint64_t key = 0; key < STABLE; key++) {
        assert_int_equal(weft_map_contains(&map, bytes_of_u64(&key)),
                         (key & 1) != 0 ? WEFT_OK : WEFT_NOT_FOUND);
    }
    contract_close(&map);
}

/* ---- scan cursors ---------------------------------------------------------------------------- */

static void grow_between(weft_map *map, uint64_t step) {
    if (step * 40 < KEYS - STABLE - 40) {
        put_range(map, STABLE + step * 40, STABLE + step * 40 + 40);
    }
}

static void shrink_between(weft_map *map, uint64_t step) {
    for (uint64_t i = 0; i < 100; i++) {
        remove_u64(map, STABLE + (step * 100 + i) % (KEYS - STABLE));
    }
    REQUIRE(weft_map_shrink(map) >= 0);
    weft_map_maintain(map, 64);
}

static void breathe_between(weft_map *map, uint64_t step) {
    if (step % 16 < 8) {
        for (uint64_t i = 0; i < 100; i++) {
            REQUIRE(put_u64(map, STABLE + step % 8 * 100 + i, i) == WEFT_OK);
        }
    } else {
        shrink_between(map, step % 8);
    }
}

static void scan_across(void **state, uint64_t entries,
                        void (*between)(weft_map *map, uint64_t step)) {
    weft_map map = contract_open(state);
    put_range(&map, 0, entries);
    tally *t = fresh_tally(&map);
    uint64_t cursor = 0, step = 0;
    do {
        assert_int_equal(weft_map_scan(&map, &cursor, visit, t), WEFT_OK);
        between(&map, step++);
    } while (cursor != 0);
    require_level_w(t, STABLE);
    contract_close(&map);
}

static void test_G_cursor_survives_growth(void **state) {
    scan_across(state, STABLE, grow_between);
}

static void test_G_cursor_survives_shrink(void **state) {
    uint64_t fewer = STABLE + STABLE / 3; /* where each write copies all */
    scan_across(state, contract_can(state, WEFT_CAP_COPIES) ? fewer : KEYS, shrink_between);
}

static void test_G_cursor_survives_both(void **state) {
    scan_across(state, STABLE, breathe_between);
}

static void any_cursor_is_harmless(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, 100);
    uint64_t chance = 1;
    for (int i = 0; i < 1000; i++) {
        chance = chance * UINT64_C(6364136223846793005) + 1;
        uint64_t cursor = i == 0 ? UINT64_MAX : chance;
        uint64_t before = cursor;
        assert_int_equal(weft_map_scan(&map, &cursor, visit, fresh_tally(&map)), WEFT_OK);
        assert_true(cursor == 0 || cursor > before);
    }
    contract_close(&map);
}

/* ---- other threads change the map ------------------------------------------------------------ */

typedef struct storm {
    uint64_t over;
} storm;

static void make_storm(contract_worker *worker) {
    storm *s = worker->ctx;
    uint64_t room = (KEYS - STABLE) / 4, from = STABLE + worker->index * room;
    while (weft_load_relaxed(&s->over) == 0) {
        for (uint64_t i = 0; i < room / 2; i++) {
            REQUIRE(put_u64(worker->map, from + i, i) == WEFT_OK);
        }
        for (uint64_t i = 0; i < room / 2; i++) {
            REQUIRE(remove_u64(worker->map, from + i) == WEFT_OK);
        }
        REQUIRE(weft_map_shrink(worker->map) >= 0);
    }
}

static void test_G_walks_in_a_storm_of_resizes(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, STABLE);
    storm s = {0};
    contract_crew crew = {.run = make_storm};
    contract_start(&crew, 2, &map, &s);
    for (size_t round = 0; round < 5; round++) {
        tally *t = fresh_tally(&map);
        walks[round % COUNT_OF(walks)](&map, t);
        require_level_w(t, STABLE);
    }
    weft_store_relaxed(&s.over, 1);
    contract_join(&crew);
    require_range(&map, 0, STABLE);
    contract_close(&map);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(test_G_walks_see_every_entry_once),
        CONTRACT(test_G_no_key_is_seen_twice_across_clear),
        CONTRACT(walks_stop_when_told),
        CONTRACT(parts_are_checked_and_disjoint),
        CONTRACT(retain_removes_the_rest),
        CONTRACT(test_G_cursor_survives_growth),
        CONTRACT(test_G_cursor_survives_shrink),
        CONTRACT(test_G_cursor_survives_both),
        CONTRACT(any_cursor_is_harmless),
        CONTRACT_THREADS(test_G_walks_in_a_storm_of_resizes),
    };
    return contract_run("contract/walk", tests, COUNT_OF(tests));
}
