/* SPDX-License-Identifier: MIT */
/* Lookups in flight: every status, what may happen to the map between submit and poll, and what a
 * batch does not hold. Proves [A] [B] [C] [E]. */
#include "contract/contract.h"
#include "harness/prng.h"

#include <weft/batch.h>

/* Keys of one map, in memory that stays. */
enum { NUMBERS = 20000 };
static uint64_t numbers[NUMBERS];

static weft_bytes number(uint64_t i) {
    REQUIRE(i < NUMBERS);
    numbers[i] = i;
    return bytes_of_u64(&numbers[i]);
}

static void *ctx_of(uint64_t i) {
    return &numbers[i];
}

/* Poll one lookup: it is that of key i, and says so. */
static void expect_number(weft_batch *batch, uint64_t i, int status, uint64_t value) {
    uint64_t got = 0;
    void *ctx = NULL;
    weft_buffer out = {.data = &got, .capacity = sizeof got};
    assert_ok(weft_batch_poll(batch, &out, &ctx));
    assert_ptr_equal(ctx, ctx_of(i));
    assert_int_equal(out.status, status);
    assert_true(status != WEFT_OK || (out.size == sizeof got && got == value));
}

static void expect_answer(weft_u64batch *batch, uint64_t i, int status, uint64_t value) {
    weft_u64answer answer = {0};
    assert_ok(weft_u64batch_poll(batch, &answer));
    assert_ptr_equal(answer.ctx, ctx_of(i));
    assert_true(answer.key == i);
    assert_int_equal(answer.status, status);
    assert_true(answer.value == value);
}

static void init_refuses_what_is_wrong(void **state) {
    weft_map map = contract_open(state);
    weft_u64map numbers_map = contract_open_u64(state);
    weft_batch batch;
    weft_u64batch u64batch;
    static const size_t wrong[] = {0, WEFT_BATCH_CAPACITY_MAX + 1, SIZE_MAX, (size_t)1 << 32};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(weft_batch_init(&batch, &map, wrong[i]), WEFT_E_INVALID);
        assert_int_equal(weft_u64batch_init(&u64batch, &numbers_map, wrong[i]), WEFT_E_INVALID);
    }
    assert_int_equal(weft_batch_init(NULL, &map, 1), WEFT_E_INVALID);
    assert_int_equal(weft_batch_init(&batch, NULL, 1), WEFT_E_INVALID);
    assert_int_equal(weft_u64batch_init(NULL, &numbers_map, 1), WEFT_E_INVALID);
    assert_int_equal(weft_u64batch_init(&u64batch, NULL, 1), WEFT_E_INVALID);
    contract_close(&map);
    contract_close_u64(&numbers_map);
}

static void zeroed_batch_refuses(void **state) {
    weft_batch batch = {0};
    weft_u64batch u64batch = {0};
    weft_buffer out = {.status = 77};
    weft_u64answer answer = {.status = 77};
    (void)state;
    assert_int_equal(weft_batch_submit(&batch, number(1), NULL), WEFT_E_INVALID);
    assert_int_equal(weft_u64batch_submit(&u64batch, 1, NULL), WEFT_E_INVALID);
    assert_int_equal(weft_batch_poll(&batch, &out, NULL), WEFT_NOT_FOUND);
    assert_int_equal(weft_u64batch_poll(&u64batch, &answer), WEFT_NOT_FOUND);
    assert_int_equal(out.status, 77);
    assert_int_equal(answer.status, 77);
    assert_int_equal(weft_batch_pending(&batch), 0);
    assert_int_equal(weft_u64batch_pending(&u64batch), 0);
}

/* Each capacity: full is said at the right time, answers come in order, and the ring wraps. */
static void answers_come_in_order(void **state) {
    weft_map map = contract_open(state);
    put_range(&map, 0, 100);
    for (uint64_t capacity = 1; capacity <= WEFT_BATCH_CAPACITY_MAX; capacity++) {
        weft_batch batch;
        assert_ok(weft_batch_init(&batch, &map, capacity));
        uint64_t asked = 0;
        for (uint64_t polled = 0; polled < 200; polled++) {
            while (asked < 200 && weft_batch_pending(&batch) < capacity) {
                assert_ok(weft_batch_submit(&batch, number(asked), ctx_of(asked)));
                asked++;
            }
            if (asked < 200) {
                assert_int_equal(weft_batch_submit(&batch, number(0), NULL), WEFT_E_FULL);
                assert_int_equal(weft_batch_pending(&batch), capacity);
            }
            expect_number(&batch, polled, polled < 100 ? WEFT_OK : WEFT_NOT_FOUND, polled);
        }
        weft_buffer out = {0};
        assert_int_equal(weft_batch_poll(&batch, &out, NULL), WEFT_NOT_FOUND);
    }
    contract_close(&map);
}

static void answers_come_in_order_u64(void **state) {
    weft_u64map map = contract_open_u64(state);
    for (uint64_t i = 0; i < 100; i++) {
        assert_ok(weft_u64map_put(&map, i, ~i));
    }
    for (uint64_t capacity = 1; capacity <= WEFT_BATCH_CAPACITY_MAX; capacity++) {
        weft_u64batch batch;
        assert_ok(weft_u64batch_init(&batch, &map, capacity));
        uint64_t asked = 0;
        for (uint64_t polled = 0; polled < 200; polled++) {
            while (asked < 200 && weft_u64batch_pending(&batch) < capacity) {
                assert_ok(weft_u64batch_submit(&batch, asked, ctx_of(asked)));
                asked++;
            }
            if (asked < 200) {
                assert_int_equal(weft_u64batch_submit(&batch, 0, NULL), WEFT_E_FULL);
                assert_int_equal(weft_u64batch_pending(&batch), capacity);
            }
            bool there = polled < 100;
            expect_answer(&batch, polled, there ? WEFT_OK : WEFT_NOT_FOUND, there ? ~polled : 0);
        }
        weft_u64answer answer;
        assert_int_equal(weft_u64batch_poll(&batch, &answer), WEFT_NOT_FOUND);
    }
    contract_close_u64(&map);
}

static void never_used_map_stays_unopened(void **state) {
    weft_map map = WEFT_MAP_INIT;
    weft_u64map u64map = WEFT_U64MAP_INIT;
    weft_batch batch;
    weft_u64batch u64batch;
    (void)state;
    assert_ok(weft_batch_init(&batch, &map, 4));
    assert_ok(weft_u64batch_init(&u64batch, &u64map, 4));
    for (uint64_t i = 0; i < 4; i++) {
        assert_ok(weft_batch_submit(&batch, number(i), ctx_of(i)));
        assert_ok(weft_u64batch_submit(&u64batch, i, ctx_of(i)));
    }
    expect_number(&batch, 0, WEFT_NOT_FOUND, 0);
    expect_answer(&u64batch, 0, WEFT_NOT_FOUND, 0);
    assert_null(map.impl);
    assert_null(u64map.impl);
    assert_ok(put_u64(&map, 1, 11)); /* opened while lookups are in flight */
    assert_ok(weft_u64map_put(&u64map, 1, 11));
    expect_number(&batch, 1, WEFT_OK, 11);
    expect_answer(&u64batch, 1, WEFT_OK, 11);
    expect_number(&batch, 2, WEFT_NOT_FOUND, 0);
    expect_answer(&u64batch, 2, WEFT_NOT_FOUND, 0);
    contract_close(&map);
    contract_close_u64(&u64map);
}

static void bytes_have_statuses_of_their_own(void **state) {
    weft_map map = contract_open(state);
    weft_batch batch;
    char room[4] = "";
    weft_buffer out = {.data = room, .capacity = sizeof room};
    assert_ok(weft_map_put(&map, weft_str("key"), weft_str("longer than four")));
    assert_ok(weft_map_put(&map, weft_bytes_of(NULL, 0), weft_str("none")));
    assert_ok(weft_batch_init(&batch, &map, 3));
    weft_bytes too_big = weft_bytes_of("", WEFT_KEY_SIZE_MAX + 1);
    assert_int_equal(weft_batch_submit(&batch, too_big, NULL), WEFT_E_TOOBIG);
    assert_int_equal(weft_batch_pending(&batch), 0);
    assert_ok(weft_batch_submit(&batch, weft_str("key"), NULL));
    assert_ok(weft_batch_submit(&batch, weft_bytes_of(NULL, 0), NULL));
    assert_ok(weft_batch_poll(&batch, &out, NULL));
    assert_int_equal(out.status, WEFT_TRUNCATED);
    assert_int_equal(out.size, strlen("longer than four"));
    assert_memory_equal(room, "long", 4);
    assert_true(out.version == version_of(&map, weft_str("key")));
    assert_ok(weft_batch_poll(&batch, &out, NULL));
    assert_int_equal(out.status, WEFT_OK);
    assert_memory_equal(room, "none", 4);
    contract_close(&map);
}

/* ---- what happens between submit and poll ---------------------------------------------------- */

enum { FLYING = 40 };

static void submit_all(weft_batch *batch, weft_u64batch *u64batch) {
    for (uint64_t i = 0; i < FLYING; i++) {
        assert_ok(weft_batch_submit(batch, number(i), ctx_of(i)));
        assert_ok(weft_u64batch_submit(u64batch, i, ctx_of(i)));
    }
}

static void expect_all(weft_batch *batch, weft_u64batch *u64batch, int status, uint64_t plus) {
    for (uint64_t i = 0; i < FLYING; i++) {
        expect_number(batch, i, status, i + plus);
        expect_answer(u64batch, i, status, status == WEFT_OK ? i + plus : 0);
    }
}

/* All that was retired gets freed: no lookup in flight holds it back. */
static void settle(weft_u64map *map) {
    weft_map_stats stats;
    for (int round = 0; weft_u64map_maintain(map, 4096) != WEFT_OK; round++) {
        assert_true(round < 1000);
    }
    weft_u64map_stats_get(map, &stats);
    assert_int_equal(stats.pending_objects, 0);
}

/* A lookup takes place in poll: whatever came before it counts. */
static void what_happens_in_between_counts(void **state) {
    weft_map map = contract_open(state);
    weft_u64map u64map = contract_open_u64(state);
    weft_batch batch;
    weft_u64batch u64batch;
    assert_ok(weft_batch_init(&batch, &map, FLYING));
    assert_ok(weft_u64batch_init(&u64batch, &u64map, FLYING));
    const uint64_t many = contract_scaled(state, NUMBERS);
    submit_all(&batch, &u64batch); /* into empty tables, which then grow a few times */
    for (uint64_t i = 0; i < many; i++) {
        assert_ok(put_u64(&map, i, i + 1));
        assert_ok(weft_u64map_put(&u64map, i, i + 1));
    }
    expect_all(&batch, &u64batch, WEFT_OK, 1);

    submit_all(&batch, &u64batch); /* then shrink */
    for (uint64_t i = FLYING; i < many; i++) {
        assert_ok(remove_u64(&map, i));
        assert_ok(weft_u64map_remove(&u64map, i));
    }
    weft_map_shrink(&map);
    weft_u64map_shrink(&u64map);
    contract_sound(&map); /* sees to the same */
    settle(&u64map);
    expect_all(&batch, &u64batch, WEFT_OK, 1);

    submit_all(&batch, &u64batch); /* then are cleared */
    assert_ok(weft_map_clear(&map));
    assert_ok(weft_u64map_clear(&u64map));
    contract_sound(&map);
    settle(&u64map);
    expect_all(&batch, &u64batch, WEFT_NOT_FOUND, 0);

    submit_all(&batch, &u64batch); /* then are written, in the new era */
    for (uint64_t i = 0; i < FLYING; i++) {
        assert_ok(put_u64(&map, i, i + 2));
        assert_ok(weft_u64map_put(&u64map, i, i + 2));
    }
    expect_all(&batch, &u64batch, WEFT_OK, 2);
    contract_close(&map);
    contract_close_u64(&u64map);
}

/* Nothing is allocated, and no guard is held. */
static void needs_no_memory(void **state) {
    contract_meter meter = {0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = contract_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, FLYING);
    contract_sound(&map);
    contract_meter before = meter;
    weft_batch batch;
    assert_ok(weft_batch_init(&batch, &map, FLYING));
    for (uint64_t i = 0; i < FLYING; i++) {
        assert_ok(weft_batch_submit(&batch, number(i), ctx_of(i)));
    }
    weft_reclaim_stats stats;
    weft_reclaim_stats_get(&stats);
    assert_int_equal(stats.guards, 0);
    for (uint64_t i = 0; i < FLYING; i++) {
        expect_number(&batch, i, WEFT_OK, i);
    }
    assert_true(meter.blocks == before.blocks && meter.bytes == before.bytes);
    contract_close(&map);
}

static void inside_a_guard_it_works_too(void **state) {
    weft_map map = contract_open(state);
    weft_u64map u64map = contract_open_u64(state);
    weft_batch batch;
    weft_u64batch u64batch;
    weft_guard guard;
    put_range(&map, 0, FLYING);
    for (uint64_t i = 0; i < FLYING; i++) {
        assert_ok(weft_u64map_put(&u64map, i, i));
    }
    assert_ok(weft_batch_init(&batch, &map, FLYING));
    assert_ok(weft_u64batch_init(&u64batch, &u64map, FLYING));
    weft_guard_enter(&guard);
    submit_all(&batch, &u64batch);
    expect_all(&batch, &u64batch, WEFT_OK, 0);
    weft_guard_leave(&guard);
    contract_close(&map);
    contract_close_u64(&u64map);
}

/* ---- other threads --------------------------------------------------------------------------- */

enum { KEYS = 3000, ROUNDS = 12 };

typedef struct field {
    weft_u64map numbers;
    uint64_t writing;
    uint64_t keys; /* fewer where a write copies all */
} field;

/* Key k has the value k * 3 or none; keys below 50 stay there. */
static void write_beside(contract_worker *worker) {
    field *f = worker->ctx;
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t k = 50; k < f->keys; k++) {
            REQUIRE(put_u64(worker->map, k, k * 3) == WEFT_OK);
            REQUIRE(weft_u64map_put(&f->numbers, k, k * 3) == WEFT_OK);
        }
        for (uint64_t k = 50; k < f->keys; k++) {
            REQUIRE(remove_u64(worker->map, k) == WEFT_OK);
            REQUIRE(weft_u64map_remove(&f->numbers, k) == WEFT_OK);
        }
        weft_map_shrink(worker->map);
        weft_u64map_shrink(&f->numbers);
        weft_map_maintain(worker->map, 200);
    }
    weft_store_release(&f->writing, 0); /* pairs with the load in read_beside */
}

static void check_one(uint64_t key, int status, uint64_t value) {
    REQUIRE(status == WEFT_OK || (status == WEFT_NOT_FOUND && key >= 50));
    REQUIRE(status != WEFT_OK || value == key * 3);
}

static void poll_one(weft_batch *batch, weft_u64batch *u64batch) {
    uint64_t value = 0;
    void *ctx = NULL;
    weft_buffer out = {.data = &value, .capacity = sizeof value};
    weft_u64answer answer;
    REQUIRE(weft_batch_poll(batch, &out, &ctx) == WEFT_OK);
    check_one(*(uint64_t *)ctx, out.status, value);
    REQUIRE(weft_u64batch_poll(u64batch, &answer) == WEFT_OK);
    REQUIRE(answer.key == *(uint64_t *)ctx && answer.ctx == ctx);
    check_one(answer.key, answer.status, answer.value);
}

/* Also several keys at once. */
static void look_at_many(weft_map *map, weft_u64map *u64map, const uint64_t *keys) {
    enum { COUNT = 70 };
    weft_bytes bytes[COUNT];
    weft_buffer out[COUNT];
    weft_u64found found[COUNT];
    uint64_t values[COUNT];
    for (int i = 0; i < COUNT; i++) {
        bytes[i] = bytes_of_u64(&keys[i]);
        out[i] = (weft_buffer){.data = &values[i], .capacity = sizeof values[i]};
    }
    REQUIRE(weft_map_get_many(map, bytes, COUNT, out) == WEFT_OK);
    REQUIRE(weft_u64map_get_many(u64map, keys, COUNT, found) == WEFT_OK);
    for (int i = 0; i < COUNT; i++) {
        check_one(keys[i], out[i].status, values[i]);
        check_one(keys[i], found[i].status, found[i].value);
    }
}

static void read_beside(contract_worker *worker) {
    field *f = worker->ctx;
    weft_batch batch;
    weft_u64batch u64batch;
    weft_prng prng = weft_prng_of(worker->index);
    static _Thread_local uint64_t keys[1024];
    REQUIRE(weft_batch_init(&batch, worker->map, 16) == WEFT_OK);
    REQUIRE(weft_u64batch_init(&u64batch, &f->numbers, 16) == WEFT_OK);
    for (unsigned i = 0; weft_load_acquire(&f->writing) != 0;
         i++) { /* pairs with the store above */
        uint64_t *key = &keys[i % COUNT_OF(keys)];
        *key = weft_prng_below(&prng, f->keys);
        REQUIRE(weft_batch_submit(&batch, bytes_of_u64(key), key) == WEFT_OK);
        REQUIRE(weft_u64batch_submit(&u64batch, *key, key) == WEFT_OK);
        if (weft_batch_pending(&batch) == 16) {
            poll_one(&batch, &u64batch);
        }
        if (i % 512 == 511) {
            look_at_many(worker->map, &f->numbers, keys);
        }
    }
}

static void readers_see_only_what_was_written(void **state) {
    weft_map map = contract_open(state);
    field f = {.numbers = contract_open_u64(state),
               .writing = 1,
               .keys = contract_can(state, WEFT_CAP_COPIES) ? KEYS / 8 : KEYS};
    for (uint64_t k = 0; k < 50; k++) {
        assert_ok(put_u64(&map, k, k * 3));
        assert_ok(weft_u64map_put(&f.numbers, k, k * 3));
    }
    contract_crew writers = {.run = write_beside};
    contract_crew readers = {.run = read_beside};
    contract_start(&readers, 2, &map, &f);
    contract_start(&writers, 1, &map, &f);
    contract_join(&writers);
    contract_join(&readers);
    contract_close(&map);
    contract_close_u64(&f.numbers);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(init_refuses_what_is_wrong),
        CONTRACT(zeroed_batch_refuses),
        CONTRACT(answers_come_in_order),
        CONTRACT(answers_come_in_order_u64),
        CONTRACT(never_used_map_stays_unopened),
        CONTRACT(bytes_have_statuses_of_their_own),
        CONTRACT(what_happens_in_between_counts),
        CONTRACT(needs_no_memory),
        CONTRACT(inside_a_guard_it_works_too),
        CONTRACT_THREADS(readers_see_only_what_was_written),
    };
    return contract_run("batch", tests, COUNT_OF(tests));
}
