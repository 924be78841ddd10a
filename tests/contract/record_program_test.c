/* SPDX-License-Identifier: MIT */
/* Recordings of one thread: the trace is the program, or what a sample shows of it. */
#include "contract/record_kit.h"

#include "harness/prng.h"

enum { STEPS = 20000 };

/* What a test recorded by itself, to compare. */
typedef struct script {
    tape_step steps[STEPS + KEYS];
    uint64_t count;
} script;

static script expected;

static void expect_step(weft_trace_op op, uint64_t key) {
    REQUIRE(expected.count < COUNT_OF(expected.steps));
    expected.steps[expected.count++] = (tape_step){.op = (uint8_t)op, .key = key};
}

static void require_expected(const tape *t) {
    assert_int_equal(t->count - t->prefill, expected.count);
    for (uint64_t i = 0; i < expected.count; i++) {
        const tape_step *step = &t->steps[t->prefill + i];
        assert_true(step->key == expected.steps[i].key);
        assert_int_equal(step->op, expected.steps[i].op);
    }
}

/* ---- one thread: the trace is the program ---------------------------------------------------- */

/* A key of its own length, which begins with its number. */
typedef struct long_key {
    unsigned char bytes[8 + 60];
    size_t size;
} long_key;

static weft_bytes key_of(long_key *key, uint64_t number) {
    memset(key->bytes, 'k', sizeof key->bytes);
    memcpy(key->bytes, &number, sizeof number);
    key->size = 8 + number % 60;
    return weft_bytes_of(key->bytes, key->size);
}

static weft_verdict decide_by_ctx(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)old;
    fresh->body = weft_bytes_of("computed", 8);
    return *(const weft_verdict *)ctx;
}

static bool say_no(void *ctx, const weft_view *entry) {
    (void)ctx;
    (void)entry;
    return false;
}

static int build_value(void *ctx, weft_bytes key, weft_fresh *fresh) {
    (void)ctx;
    (void)key;
    fresh->body = weft_bytes_of("built", 5);
    return WEFT_OK;
}

static void compute_step(weft_map *map, weft_bytes key, uint64_t number, weft_verdict verdict) {
    weft_compute compute = {decide_by_ctx, &verdict, WEFT_OPTIMISTIC};
    weft_outcome outcome;
    weft_map_compute(map, key, &compute, &outcome);
    expect_step(verdict == WEFT_SET                      ? WEFT_TRACE_RMW
                : verdict == WEFT_DEL && outcome.existed ? WEFT_TRACE_REMOVE
                                                         : WEFT_TRACE_GET,
                number);
}

static void look_step(weft_map *map, weft_bytes key, uint64_t number, unsigned kind) {
    char text[16];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    weft_guard guard;
    weft_view view;
    if (kind == 0) {
        weft_map_get(map, key, &out);
    } else if (kind == 1) {
        weft_guard_enter(&guard);
        weft_map_peek(map, key, &guard, &view);
        weft_guard_leave(&guard);
    } else if (kind == 2) {
        weft_map_contains(map, key);
    } else {
        weft_map_get_many(map, &key, 1, &out);
    }
    expect_step(WEFT_TRACE_GET, number);
}

static void build_step(weft_map *map, weft_bytes key, uint64_t number) {
    char text[16];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    bool there = weft_map_len(map) != 0 && weft_map_contains(map, key) == WEFT_OK;
    weft_build build = {build_value, NULL};
    expect_step(WEFT_TRACE_GET, number); /* contains */
    assert_ok(weft_map_get_or_build(map, key, &build, &out));
    expect_step(WEFT_TRACE_GET, number);
    if (!there) {
        expect_step(WEFT_TRACE_GET, number);
        expect_step(WEFT_TRACE_INSERT, number);
    }
}

static void write_step(weft_map *map, weft_bytes key, uint64_t number, unsigned kind) {
    weft_bytes value = weft_str("eight by");
    char text[16];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    int status;
    switch (kind) {
    case 4:
        assert_ok(weft_map_put(map, key, value));
        expect_step(WEFT_TRACE_PUT, number);
        break;
    case 5:
        weft_map_swap(map, key, value, &out);
        expect_step(WEFT_TRACE_PUT, number);
        break;
    case 6:
        status = weft_map_replace(map, key, value);
        expect_step(status == WEFT_OK ? WEFT_TRACE_PUT : WEFT_TRACE_GET, number);
        break;
    case 7:
        weft_map_insert(map, key, value);
        expect_step(WEFT_TRACE_INSERT, number);
        break;
    case 8:
        weft_map_get_or_insert(map, key, value, &out);
        expect_step(WEFT_TRACE_INSERT, number);
        break;
    case 9:
        status = weft_map_cas(map, key, value, value);
        expect_step(status == WEFT_OK ? WEFT_TRACE_RMW : WEFT_TRACE_GET, number);
        break;
    default:
        assert_ok(weft_map_put_many(map, &key, &value, 1));
        expect_step(WEFT_TRACE_PUT, number);
    }
}

static void remove_step(weft_map *map, weft_bytes key, uint64_t number, unsigned kind) {
    int status;
    if (kind == 11) {
        weft_map_remove(map, key);
        expect_step(WEFT_TRACE_REMOVE, number);
    } else if (kind == 12) {
        status = weft_map_remove_eq(map, key, weft_str("eight by"));
        expect_step(status == WEFT_MISMATCH ? WEFT_TRACE_GET : WEFT_TRACE_REMOVE, number);
    } else if (kind == 13) {
        status = weft_map_remove_if(map, key, say_no, NULL);
        expect_step(status == WEFT_MISMATCH ? WEFT_TRACE_GET : WEFT_TRACE_REMOVE, number);
    } else {
        weft_map_remove_many(map, &key, 1, NULL);
        expect_step(WEFT_TRACE_REMOVE, number);
    }
}

static void random_step(weft_map *map, weft_prng *prng) {
    long_key room;
    uint64_t number = weft_prng_below(prng, KEYS);
    unsigned kind = weft_prng_below(prng, 20);
    weft_bytes key = key_of(&room, number);
    if (kind < 4) {
        look_step(map, key, number, kind);
    } else if (kind < 11) {
        write_step(map, key, number, kind);
    } else if (kind < 15) {
        remove_step(map, key, number, kind);
    } else if (kind < 19) {
        compute_step(map, key, number, (weft_verdict)(kind - 15));
    } else {
        build_step(map, key, number);
    }
}

static void program_of_one_thread_is_recorded_exactly(void **state) {
    weft_map map = contract_open(state);
    weft_prng prng = weft_prng_of(7);
    long_key room;
    char path[64];
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.prefill = true;
    for (uint64_t i = 0; i < KEYS / 2; i++) {
        assert_ok(weft_map_put(&map, key_of(&room, i * 2), weft_str("sixteen bytes ..")));
    }
    weft_recording *recording = start(&map, &options);
    expected.count = 0;
    while (expected.count < STEPS) {
        random_step(&map, &prng);
    }
    weft_recording_stats stats;
    assert_ok(weft_recording_stop(recording, &stats));
    assert_int_equal(stats.recorded, expected.count);
    assert_int_equal(stats.prefill, KEYS / 2);
    assert_int_equal(stats.dropped, 0);
    tape t;
    read_and_unlink(&t, path);
    assert_int_equal(t.prefill, KEYS / 2);
    assert_int_equal(t.bytes, stats.bytes);
    assert_string_equal(t.name, "recorded");
    assert_in_range(t.value_bytes, 8, 9);
    require_expected(&t);
    require_same_keys(&map, &t);
    tape_free(&t);
    contract_close(&map);
}

static void u64_step(weft_u64map *map, weft_prng *prng) {
    uint64_t key = weft_prng_below(prng, KEYS);
    uint64_t value = 0;
    int64_t before = 0;
    int status;
    switch (weft_prng_below(prng, 8)) {
    case 0:
        weft_u64map_get(map, key, &value);
        expect_step(WEFT_TRACE_GET, key);
        break;
    case 1:
        assert_ok(weft_u64map_put(map, key, 5));
        expect_step(WEFT_TRACE_PUT, key);
        break;
    case 2:
        weft_u64map_insert(map, key, 5);
        expect_step(WEFT_TRACE_INSERT, key);
        break;
    case 3:
        weft_u64map_take(map, key, &value);
        expect_step(WEFT_TRACE_REMOVE, key);
        break;
    case 4:
        assert_ok(weft_u64map_fetch_add(map, key, 1, &before));
        expect_step(WEFT_TRACE_ADD, key);
        break;
    case 5:
        assert_ok(weft_u64map_fetch(map, key, (weft_fetch){WEFT_FETCH_OR, 4}, &before));
        expect_step(WEFT_TRACE_RMW, key);
        break;
    case 6:
        status = weft_u64map_cas(map, key, 5, 6);
        expect_step(status == WEFT_OK ? WEFT_TRACE_RMW : WEFT_TRACE_GET, key);
        break;
    default:
        status = weft_u64map_remove_eq(map, key, 6);
        expect_step(status == WEFT_MISMATCH ? WEFT_TRACE_GET : WEFT_TRACE_REMOVE, key);
    }
}

static void program_on_numbers_is_recorded_exactly(void **state) {
    weft_u64map map = contract_open_u64(state);
    weft_prng prng = weft_prng_of(8);
    bool present[KEYS];
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.name = "numbers";
    weft_recording *recording = start_u64(&map, &options);
    expected.count = 0;
    while (expected.count < STEPS) {
        u64_step(&map, &prng);
    }
    assert_ok(weft_recording_stop(recording, NULL));
    read_and_unlink(&t, path);
    assert_string_equal(t.name, "numbers");
    require_expected(&t);
    tape_replay(&t, present, KEYS);
    for (uint64_t i = 0; i < KEYS; i++) {
        assert_int_equal(weft_u64map_contains(&map, i) == WEFT_OK, present[i]);
    }
    tape_free(&t);
    contract_close_u64(&map);
}

/* ---- samples --------------------------------------------------------------------------------- */

static void sample_holds_all_of_the_chosen_keys_and_nothing_else(void **state) {
    enum { SAMPLE = 8, MANY_KEYS = 4000 };
    weft_u64map map = contract_open_u64(state);
    weft_prng prng = weft_prng_of(9);
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.sample = SAMPLE;
    options.seed = 77;
    options.prefill = true;
    weft_recording_filter filter = weft_recording_filter_of(SAMPLE, 77);
    uint64_t chosen = 0;
    for (uint64_t key = 0; key < MANY_KEYS; key++) {
        assert_ok(weft_u64map_put(&map, key, key));
        chosen += is_chosen(&map, &filter, key);
    }
    assert_in_range(chosen, MANY_KEYS / SAMPLE * 7 / 10, MANY_KEYS / SAMPLE * 13 / 10);
    weft_recording *recording = start_u64(&map, &options);
    expected.count = 0;
    for (int i = 0; i < STEPS; i++) {
        uint64_t key = weft_prng_below(&prng, MANY_KEYS);
        uint64_t value;
        bool get = weft_prng_below(&prng, 2) == 0;
        (void)(get ? weft_u64map_get(&map, key, &value) : weft_u64map_put(&map, key, 1));
        if (is_chosen(&map, &filter, key)) {
            expect_step(get ? WEFT_TRACE_GET : WEFT_TRACE_PUT, key);
        }
    }
    assert_ok(weft_recording_stop(recording, NULL));
    read_and_unlink(&t, path);
    assert_int_equal(t.prefill, chosen);
    assert_string_equal(t.name, "recorded, 1 key in 8");
    require_expected(&t);
    tape_free(&t);
    contract_close_u64(&map);
}

static void other_seeds_choose_other_keys(void **state) {
    weft_recording_filter one = weft_recording_filter_of(4, 1);
    weft_recording_filter two = weft_recording_filter_of(4, 2);
    weft_prng prng = weft_prng_of(10);
    int both = 0;
    int first = 0;
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        uint64_t hash = weft_prng_next(&prng);
        first += weft_recording_chooses(&one, hash);
        both += weft_recording_chooses(&one, hash) && weft_recording_chooses(&two, hash);
    }
    assert_in_range(first, STEPS / 4 * 9 / 10, STEPS / 4 * 11 / 10);
    assert_in_range(both, STEPS / 16 * 7 / 10, STEPS / 16 * 13 / 10);
}

static const contract_test tests[] = {
    CONTRACT(program_of_one_thread_is_recorded_exactly),
    CONTRACT(program_on_numbers_is_recorded_exactly),
    CONTRACT(sample_holds_all_of_the_chosen_keys_and_nothing_else),
    CONTRACT(other_seeds_choose_other_keys),
};

int main(void) {
    return contract_run("contract/record_program", tests, COUNT_OF(tests));
}
