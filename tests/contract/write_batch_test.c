/* SPDX-License-Identifier: MIT */
/* Several writes as one (J, K, L in weft/write_batch.h), and all of a map replaced at once. Engines
 * without batches say so; every engine replaces. */
#include "contract/contract.h"

#include <weft/weft.h>

enum { KEYS = 24, ROUNDS = 400, READERS = 2 };

static bool has_batches(void **state) {
    return contract_card_of(state)->write_batch != NULL;
}

static weft_write put_of(const uint64_t *key, const uint64_t *value) {
    return (weft_write){WEFT_WRITE_PUT, bytes_of_u64(key), bytes_of_u64(value)};
}

static weft_write remove_of(const uint64_t *key) {
    return (weft_write){WEFT_WRITE_REMOVE, bytes_of_u64(key), {NULL, 0}};
}

/* ---- what a batch answers and does ----------------------------------------------------------- */

static void engines_without_batches_say_so(void **state) {
    weft_map map = contract_open(state);
    weft_u64map u64map = contract_open_u64(state);
    uint64_t key = 1;
    weft_write write = put_of(&key, &key);
    weft_u64write number = {WEFT_WRITE_PUT, 1, 1};
    int expected = has_batches(state) ? WEFT_OK : WEFT_E_UNSUPPORTED;
    assert_int_equal(weft_map_write_batch(&map, &write, 1), expected);
    assert_int_equal(weft_map_write_batch(&map, NULL, 0), expected);
    assert_int_equal(weft_u64map_write_batch(&u64map, &number, 1), expected);
    assert_int_equal(weft_u64map_write_batch(&u64map, NULL, 0), expected);
    assert_int_equal(weft_map_len(&map), has_batches(state));
    assert_int_equal(weft_u64map_len(&u64map), has_batches(state));
    contract_close(&map);
    contract_close_u64(&u64map);
}

static void J_bad_writes_change_nothing(void **state) {
    weft_map map = contract_open(state);
    weft_u64map u64map = contract_open_u64(state);
    uint64_t key = 1;
    weft_write writes[2] = {put_of(&key, &key), put_of(&key, &key)};
    weft_u64write numbers[2] = {{WEFT_WRITE_PUT, 1, 1}, {(weft_write_op)7, 2, 2}};
    writes[1].op = (weft_write_op)7;
    assert_int_equal(weft_map_write_batch(&map, writes, 2), WEFT_E_INVALID);
    assert_int_equal(weft_u64map_write_batch(&u64map, numbers, 2), WEFT_E_INVALID);
    writes[1] = put_of(&key, &key);
    writes[1].key.size = WEFT_KEY_SIZE_MAX + 1;
    assert_int_equal(weft_map_write_batch(&map, writes, 2), WEFT_E_TOOBIG);
    writes[1] = put_of(&key, &key);
    writes[1].value.size = WEFT_VALUE_SIZE_MAX + 1;
    assert_int_equal(weft_map_write_batch(&map, writes, 2), WEFT_E_TOOBIG);
    assert_true(weft_map_is_empty(&map) && weft_u64map_is_empty(&u64map));
    contract_close(&map);
    contract_close_u64(&u64map);
}

static void puts_and_removals(void **state) {
    if (!has_batches(state)) {
        return;
    }
    weft_map map = contract_open(state);
    uint64_t keys[4] = {10, 11, 3, 999};
    uint64_t values[4] = {100, 101, 103, 0};
    put_range(&map, 0, 11);
    uint64_t version = version_of(&map, bytes_of_u64(&keys[0]));
    weft_write writes[] = {put_of(&keys[0], &values[0]), put_of(&keys[1], &values[1]),
                           remove_of(&keys[2]), remove_of(&keys[3])};
    assert_ok(weft_map_write_batch(&map, writes, COUNT_OF(writes)));
    uint64_t value = 0;
    assert_true(get_u64(&map, 10, &value) == WEFT_OK && value == 100);
    assert_true(get_u64(&map, 11, &value) == WEFT_OK && value == 101);
    assert_int_equal(get_u64(&map, 3, &value), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_len(&map), 11);
    assert_true(version_of(&map, bytes_of_u64(&keys[0])) > version);
    contract_close(&map);
}

/* The table grows and shrinks under batches of every size. */
static void batches_of_every_size(void **state) {
    enum { MOST = 3000 };
    static weft_u64write writes[MOST];
    weft_u64map map = contract_open_u64(state);
    for (size_t size = 1; has_batches(state) && size <= MOST; size = size * 3 + 1) {
        for (size_t i = 0; i < size; i++) {
            writes[i] = (weft_u64write){WEFT_WRITE_PUT, i, i + size};
        }
        assert_ok(weft_u64map_write_batch(&map, writes, size));
        assert_int_equal(weft_u64map_len(&map), size);
        for (size_t i = 0; i < size; i++) {
            uint64_t value = 0;
            assert_true(weft_u64map_get(&map, i, &value) == WEFT_OK && value == i + size);
            writes[i].op = WEFT_WRITE_REMOVE;
        }
        assert_ok(weft_u64map_check(&map, NULL, 0));
        assert_ok(weft_u64map_write_batch(&map, writes, size));
        assert_true(weft_u64map_is_empty(&map));
    }
    contract_close_u64(&map);
}

typedef struct leavings {
    unsigned reasons[WEFT_INSERT_FAILED + 1];
} leavings;

static void note_leaving(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    (void)key;
    (void)value;
    ((leavings *)ctx)->reasons[reason]++;
}

static void L_the_last_write_of_a_key_counts(void **state) {
    if (!has_batches(state)) {
        return;
    }
    leavings l = {{0}};
    weft_map_options options = contract_options(state);
    options.destructor = note_leaving;
    options.destructor_ctx = &l;
    weft_map map = contract_open_with(&options);
    uint64_t keys[2] = {1, 2};
    uint64_t values[3] = {7, 8, 9};
    weft_write writes[] = {put_of(&keys[0], &values[0]), remove_of(&keys[0]),
                           put_of(&keys[0], &values[1]), put_of(&keys[0], &values[2]),
                           put_of(&keys[1], &values[0]), remove_of(&keys[1])};
    assert_ok(weft_map_write_batch(&map, writes, COUNT_OF(writes)));
    uint64_t value = 0;
    assert_true(get_u64(&map, 1, &value) == WEFT_OK && value == 9);
    assert_int_equal(get_u64(&map, 2, &value), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_len(&map), 1);
    contract_close(&map);
    assert_int_equal(l.reasons[WEFT_REMOVED], 2);
    assert_int_equal(l.reasons[WEFT_REPLACED], 1);
    assert_int_equal(l.reasons[WEFT_DESTROYED], 1);
}

/* What batches of chance leave, and what their writes are told: a model has the same. */
typedef struct model {
    bool present[8];
    uint64_t values[8];
    unsigned replaced;
    unsigned removed;
    uint64_t state; /* of the chance */
} model;

enum { MODEL_KEYS = 8, MODEL_WRITES = 24 };

static uint64_t chance_below(model *m, uint64_t below) {
    m->state = m->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (m->state >> 33) % below;
}

static void model_write(model *m, const weft_u64write *write) {
    bool put = write->op == WEFT_WRITE_PUT;
    if (m->present[write->key]) {
        *(put ? &m->replaced : &m->removed) += 1;
    }
    m->present[write->key] = put;
    m->values[write->key] = write->value;
}

static void model_round(model *m, weft_map *map, weft_u64map *numbers) {
    weft_u64write writes[MODEL_WRITES];
    weft_write texts[MODEL_WRITES];
    size_t count = 1 + chance_below(m, MODEL_WRITES);
    for (size_t i = 0; i < count; i++) {
        weft_write_op op = chance_below(m, 2) != 0 ? WEFT_WRITE_PUT : WEFT_WRITE_REMOVE;
        writes[i] = (weft_u64write){op, chance_below(m, MODEL_KEYS), m->state};
        texts[i] = op == WEFT_WRITE_PUT ? put_of(&writes[i].key, &writes[i].value)
                                        : remove_of(&writes[i].key);
        model_write(m, &writes[i]);
    }
    assert_ok(weft_map_write_batch(map, texts, count));
    assert_ok(weft_u64map_write_batch(numbers, writes, count));
    for (uint64_t key = 0; key < MODEL_KEYS; key++) {
        uint64_t value = 0;
        uint64_t number = 0;
        int expected = m->present[key] ? WEFT_OK : WEFT_NOT_FOUND;
        assert_int_equal(get_u64(map, key, &value), expected);
        assert_int_equal(weft_u64map_get(numbers, key, &number), expected);
        assert_true(!m->present[key] || (value == m->values[key] && number == value));
    }
    assert_ok(weft_map_check(map, NULL, 0));
    assert_ok(weft_u64map_check(numbers, NULL, 0));
}

static void L_writes_of_a_batch_follow_each_other(void **state) {
    if (!has_batches(state)) {
        return;
    }
    leavings l = {{0}};
    model m = {.state = 1};
    weft_map_options options = contract_options(state);
    options.destructor = note_leaving;
    options.destructor_ctx = &l;
    weft_map map = contract_open_with(&options);
    weft_u64map numbers = contract_open_u64(state);
    for (int i = 0; i < ROUNDS; i++) {
        model_round(&m, &map, &numbers);
    }
    contract_close(&map);
    contract_close_u64(&numbers);
    assert_int_equal(l.reasons[WEFT_REPLACED], m.replaced);
    assert_int_equal(l.reasons[WEFT_REMOVED], m.removed);
}

/* Versions rise from write to write, also where a batch removes a key and puts it again. */
static void D_versions_rise_within_a_batch(void **state) {
    if (!has_batches(state)) {
        return;
    }
    weft_map map = contract_open(state);
    uint64_t key = 5;
    weft_write writes[] = {put_of(&key, &key), remove_of(&key), put_of(&key, &key)};
    uint64_t before = 0;
    for (int i = 0; i < 10; i++) {
        assert_ok(weft_map_write_batch(&map, writes, i % 2 == 0 ? 3 : 2));
        if (i % 2 == 0) {
            uint64_t version = version_of(&map, bytes_of_u64(&key));
            assert_true(version >= before + 3);
            before = version;
        }
    }
    contract_close(&map);
}

/* ---- torn reads ------------------------------------------------------------------------------ */

/* A writer sets all keys to 1, 2, 3 …, by batches or by replacing everything. */
typedef struct scene {
    weft_map map;
    weft_u64map numbers;
    uint64_t round;
    uint64_t done;
    uint64_t reads;
    uint64_t changes; /* pairs of gets between which a batch came */
    bool assigns;
    bool snapshots;
} scene;

static void write_round(scene *s, uint64_t round) {
    weft_write writes[KEYS];
    weft_u64write numbers[KEYS];
    weft_bytes keys[KEYS], values[KEYS];
    weft_u64pair pairs[KEYS];
    uint64_t names[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        names[i] = (i * 7 + round) % KEYS; /* in another order each time */
        keys[i] = bytes_of_u64(&names[i]);
        values[i] = bytes_of_u64(&round);
        writes[i] = put_of(&names[i], &round);
        numbers[i] = (weft_u64write){WEFT_WRITE_PUT, names[i], round};
        pairs[i] = (weft_u64pair){names[i], round};
    }
    if (s->assigns) {
        REQUIRE(weft_map_assign(&s->map, keys, values, KEYS) == WEFT_OK);
        REQUIRE(weft_u64map_assign(&s->numbers, pairs, KEYS) == WEFT_OK);
    } else {
        REQUIRE(weft_map_write_batch(&s->map, writes, KEYS) == WEFT_OK);
        REQUIRE(weft_u64map_write_batch(&s->numbers, numbers, KEYS) == WEFT_OK);
    }
}

/* Never B old after A new. */
static void read_pairs(scene *s, uint64_t turn) {
    uint64_t a = turn % KEYS;
    uint64_t b = turn / KEYS % KEYS;
    uint64_t first = 0;
    uint64_t second = 0;
    REQUIRE(get_u64(&s->map, a, &first) == WEFT_OK && get_u64(&s->map, b, &second) == WEFT_OK);
    REQUIRE(second >= first);
    weft_fetch_add_relaxed(&s->changes, second != first);
    REQUIRE(weft_u64map_get(&s->numbers, a, &first) == WEFT_OK);
    REQUIRE(weft_u64map_get(&s->numbers, b, &second) == WEFT_OK);
    REQUIRE(second >= first);
}

static void read_snapshots(scene *s) {
    weft_snapshot snapshot;
    weft_u64snapshot numbers;
    uint64_t same = 0;
    while (weft_map_snapshot(&s->map, &snapshot) == WEFT_E_BUSY) {
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        weft_view view;
        REQUIRE(weft_snapshot_get(&snapshot, bytes_of_u64(&key), &view) == WEFT_OK);
        uint64_t value = u64_of_bytes(view.value);
        REQUIRE(key == 0 || value == same);
        same = value;
    }
    weft_snapshot_release(&snapshot);
    while (weft_u64map_snapshot(&s->numbers, &numbers) == WEFT_E_BUSY) {
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        uint64_t value = 0;
        REQUIRE(weft_u64snapshot_get(&numbers, key, &value) == WEFT_OK);
        REQUIRE(key == 0 || value == same);
        same = value;
    }
    weft_u64snapshot_release(&numbers);
}

static void act(contract_worker *worker) {
    scene *s = worker->ctx;
    if (worker->index == 0) {
        /* Until both readers have seen a good many batches go by. */
        uint64_t round = 2;
        while (round < ROUNDS || (weft_load_relaxed(&s->reads) < ROUNDS && round < ROUNDS * 20)) {
            write_round(s, round++);
        }
        weft_store_release(&s->done, 1); /* pairs with the load below */
        return;
    }
    for (uint64_t turn = worker->index; weft_load_acquire(&s->done) == 0; turn++) {
        read_pairs(s, turn * 5);
        if (s->snapshots && turn % 16 == 0) {
            read_snapshots(s);
        }
        weft_fetch_add_relaxed(&s->reads, 1);
    }
}

/* Small ones where each assignment makes a table of the whole size. */
static scene open_scene(void **state) {
    weft_map_options options = contract_options(state);
    scene s = {.assigns = false};
    if (!contract_grows(state)) {
        options.fixed.capacity = KEYS;
    }
    REQUIRE(weft_map_open(&s.map, &options) == WEFT_OK);
    REQUIRE(weft_u64map_open(&s.numbers, &options) == WEFT_OK);
    return s;
}

static void play(void **state, bool assigns) {
    scene s = open_scene(state);
    s.assigns = assigns;
    s.snapshots = contract_card_of(state)->snapshot != NULL;
    write_round(&s, 1);
    contract_together(1 + READERS, act, NULL, &s);
    REQUIRE(s.reads >= ROUNDS / 4);
    contract_close(&s.map);
    contract_close_u64(&s.numbers);
}

static void K_no_torn_reads_of_batches(void **state) {
    if (has_batches(state)) {
        play(state, false);
    }
}

static void K_no_torn_reads_of_assignments(void **state) {
    play(state, true);
}

/* Two writers take turns at the same keys, in opposite orders: each batch is whole. */
static void write_whole(contract_worker *worker) {
    scene *s = worker->ctx;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        write_round(s, round * 2 + worker->index);
        if (s->snapshots) {
            read_snapshots(s);
        }
    }
}

static void K_batches_beside_each_other(void **state) {
    scene s = {.snapshots = true};
    if (!has_batches(state) || contract_card_of(state)->snapshot == NULL) {
        return;
    }
    s.map = contract_open(state);
    s.numbers = contract_open_u64(state);
    write_round(&s, 1);
    contract_together(2, write_whole, NULL, &s);
    contract_close(&s.map);
    contract_close_u64(&s.numbers);
}

/* ---- all of a map ---------------------------------------------------------------------------- */

static void assign_replaces_everything(void **state) {
    enum { MANY = 5000 };
    static uint64_t names[MANY];
    static weft_bytes keys[MANY];
    leavings l = {{0}};
    weft_map_options options = contract_options(state);
    options.destructor = note_leaving;
    options.destructor_ctx = &l;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, 1000);
    for (uint64_t i = 0; i < MANY; i++) {
        names[i] = 500 + i;
        keys[i] = bytes_of_u64(&names[i]);
    }
    assert_ok(weft_map_assign(&map, keys, keys, MANY));
    assert_int_equal(weft_map_len(&map), MANY);
    require_range(&map, 500, 500 + MANY);
    uint64_t value;
    assert_int_equal(get_u64(&map, 499, &value), WEFT_NOT_FOUND);
    weft_map_stats stats;
    weft_map_stats_get(&map, &stats);
    assert_int_equal(stats.era, 1);
    assert_ok(weft_map_assign(&map, NULL, NULL, 0));
    assert_true(weft_map_is_empty(&map));
    contract_close(&map);
    assert_int_equal(l.reasons[WEFT_CLEARED], 1000 + MANY);
    assert_int_equal(l.reasons[WEFT_REPLACED] + l.reasons[WEFT_DESTROYED], 0);
}

static void L_of_a_key_that_is_assigned_twice_the_last_counts(void **state) {
    weft_map map = contract_open(state);
    weft_u64map numbers = contract_open_u64(state);
    uint64_t names[3] = {1, 2, 1};
    uint64_t values[3] = {5, 6, 7};
    weft_bytes keys[3], contents[3];
    weft_u64pair pairs[3];
    for (size_t i = 0; i < 3; i++) {
        keys[i] = bytes_of_u64(&names[i]);
        contents[i] = bytes_of_u64(&values[i]);
        pairs[i] = (weft_u64pair){names[i], values[i]};
    }
    assert_ok(weft_map_assign(&map, keys, contents, 3));
    assert_ok(weft_u64map_assign(&numbers, pairs, 3));
    uint64_t value = 0;
    assert_true(get_u64(&map, 1, &value) == WEFT_OK && value == 7);
    assert_true(weft_u64map_get(&numbers, 1, &value) == WEFT_OK && value == 7);
    assert_true(weft_map_len(&map) == 2 && weft_u64map_len(&numbers) == 2);
    contract_close(&map);
    contract_close_u64(&numbers);
}

static void J_an_assignment_that_is_refused_changes_nothing(void **state) {
    weft_map map = contract_open(state);
    uint64_t key = 3;
    weft_bytes keys[2] = {bytes_of_u64(&key), bytes_of_u64(&key)};
    put_range(&map, 0, 10);
    keys[1].size = WEFT_KEY_SIZE_MAX + 1;
    assert_int_equal(weft_map_assign(&map, keys, keys, 2), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_len(&map), 10);
    require_range(&map, 0, 10);
    contract_close(&map);
}

static const contract_test tests[] = {
    CONTRACT(engines_without_batches_say_so),
    CONTRACT(J_bad_writes_change_nothing),
    CONTRACT(puts_and_removals),
    CONTRACT(batches_of_every_size),
    CONTRACT(L_the_last_write_of_a_key_counts),
    CONTRACT(L_writes_of_a_batch_follow_each_other),
    CONTRACT(D_versions_rise_within_a_batch),
    CONTRACT(K_no_torn_reads_of_batches),
    CONTRACT(K_no_torn_reads_of_assignments),
    CONTRACT(K_batches_beside_each_other),
    CONTRACT(assign_replaces_everything),
    CONTRACT(L_of_a_key_that_is_assigned_twice_the_last_counts),
    CONTRACT(J_an_assignment_that_is_refused_changes_nothing),
};

int main(void) {
    return contract_run("contract/write_batch", tests, COUNT_OF(tests));
}
