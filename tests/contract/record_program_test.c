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

static weft_trace_op sampled_step(weft_u64map *map, uint64_t key, unsigned kind) {
    uint64_t value;
    switch (kind) {
    case 0:
        weft_u64map_get(map, key, &value);
        return WEFT_TRACE_GET;
    case 1:
        weft_u64map_insert(map, key, 2);
        return WEFT_TRACE_INSERT;
    case 2:
        weft_u64map_remove(map, key);
        return WEFT_TRACE_REMOVE;
    default:
        assert_ok(weft_u64map_put(map, key, 1));
        return WEFT_TRACE_PUT;
    }
}

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
    assert_in_range(chosen, MANY_KEYS / SAMPLE / 2, MANY_KEYS / SAMPLE * 2);
    weft_recording *recording = start_u64(&map, &options);
    expected.count = 0;
    for (int i = 0; i < STEPS; i++) {
        uint64_t key = weft_prng_below(&prng, MANY_KEYS);
        weft_trace_op op = sampled_step(&map, key, weft_prng_below(&prng, 4));
        if (is_chosen(&map, &filter, key)) {
            expect_step(op, key);
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

enum { AT_ONCE = 300, OF_A_SAMPLE = 5 };

static void expect_chosen(weft_u64map *map, const uint64_t *keys, weft_trace_op op) {
    weft_recording_filter filter = weft_recording_filter_of(OF_A_SAMPLE, 3);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        if (is_chosen(map, &filter, keys[i])) {
            expect_step(op, keys[i]);
        }
    }
}

/* What goes the plain way, and what is recorded, are told apart key by key. */
static void sample_of_several_keys_at_once_is_in_their_order(void **state) {
    weft_u64map map = contract_open_u64(state);
    weft_u64found found[AT_ONCE];
    uint64_t keys[AT_ONCE];
    uint64_t values[AT_ONCE];
    size_t removed;
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.sample = OF_A_SAMPLE;
    options.seed = 3;
    weft_recording *recording = start_u64(&map, &options);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        keys[i] = (uint64_t)i * 1000;
        values[i] = i;
    }
    expected.count = 0;
    assert_ok(weft_u64map_put_many(&map, keys, values, AT_ONCE));
    expect_chosen(&map, keys, WEFT_TRACE_PUT);
    assert_in_range(expected.count, AT_ONCE / OF_A_SAMPLE / 2, AT_ONCE / OF_A_SAMPLE * 2);
    assert_ok(weft_u64map_get_many(&map, keys, AT_ONCE, found));
    expect_chosen(&map, keys, WEFT_TRACE_GET);
    assert_ok(weft_u64map_remove_many(&map, keys, AT_ONCE, &removed));
    expect_chosen(&map, keys, WEFT_TRACE_REMOVE);
    assert_ok(weft_recording_stop(recording, NULL));
    for (unsigned i = 0; i < AT_ONCE; i++) {
        assert_int_equal(found[i].status, WEFT_OK);
        assert_int_equal(found[i].value, i);
    }
    assert_int_equal(removed, AT_ONCE);
    read_and_unlink(&t, path);
    require_expected(&t);
    tape_free(&t);
    contract_close_u64(&map);
}

/* Keys in a row are a sample's worst case, as their hashes are products: each of a thousand secrets
 * gives about as many as it should. */
static void samples_of_keys_in_a_row_are_fair(void **state) {
    enum { SAMPLE = 8, MANY_KEYS = 4000, SECRETS = 1000 };
    (void)state;
    for (uint64_t seed = 0; seed < SECRETS; seed++) {
        weft_recording_filter filter = weft_recording_filter_of(SAMPLE, seed);
        weft_mixer mixer = weft_mixer_of(weft_mix_u64(seed, 1));
        uint64_t chosen = 0;
        for (uint64_t key = 0; key < MANY_KEYS; key++) {
            chosen += weft_recording_chooses(&filter, weft_mix_with(&mixer, key));
        }
        assert_in_range(chosen, MANY_KEYS / SAMPLE * 6 / 10, MANY_KEYS / SAMPLE * 14 / 10);
    }
}

static uint64_t count_chosen(uint64_t sample, uint64_t seed) {
    weft_recording_filter filter = weft_recording_filter_of(sample, seed);
    weft_prng prng = weft_prng_of(10);
    uint64_t chosen = 0;
    for (int i = 0; i < 20 * STEPS; i++) {
        chosen += weft_recording_chooses(&filter, weft_prng_next(&prng));
    }
    return chosen;
}

static void sample_is_as_large_as_it_says(void **state) {
    static const uint64_t samples[] = {2, 3, 7, 8, 100, 128, 1000, 4096, 10000};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        uint64_t wanted = 20 * STEPS / samples[i];
        uint64_t off =
            wanted < 10000 ? wanted * 4 / 10 : wanted / 20; /* five times what chance does */
        assert_in_range(count_chosen(samples[i], i), wanted - off, wanted + off);
    }
    for (uint64_t sample = 0; sample < 2; sample++) {
        assert_int_equal(count_chosen(sample, 1), 20 * STEPS);
    }
    assert_int_equal(count_chosen(UINT64_MAX, 1), 0);
}

static void other_seeds_choose_other_keys(void **state) {
    enum { SAMPLE = 64, SEEDS = 20 };
    weft_prng prng = weft_prng_of(10);
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        weft_recording_filter one = weft_recording_filter_of(SAMPLE, seed);
        weft_recording_filter two = weft_recording_filter_of(SAMPLE, seed + 1);
        int both = 0;
        int first = 0;
        for (int i = 0; i < STEPS; i++) {
            uint64_t hash = weft_prng_next(&prng);
            first += weft_recording_chooses(&one, hash);
            both += weft_recording_chooses(&one, hash) && weft_recording_chooses(&two, hash);
        }
        assert_in_range(first, STEPS / SAMPLE * 7 / 10, STEPS / SAMPLE * 13 / 10);
        assert_true(both < first * 3 / 4);
    }
}

/* Of the bits that choose buckets in any engine, and those that tags are, chosen keys have all: a
 * sample is not one of a part of the buckets. */
static void samples_spread_over_buckets_and_tags(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        weft_recording_filter filter = weft_recording_filter_of(UINT64_C(1) << 20, seed);
        assert_true((filter.unrecorded & ~UINT64_C(0x0000fff000000000)) == 0);
    }
}

static const contract_test tests[] = {
    CONTRACT(program_of_one_thread_is_recorded_exactly),
    CONTRACT(program_on_numbers_is_recorded_exactly),
    CONTRACT(sample_holds_all_of_the_chosen_keys_and_nothing_else),
    CONTRACT(sample_of_several_keys_at_once_is_in_their_order),
    CONTRACT(samples_of_keys_in_a_row_are_fair),
    CONTRACT(sample_is_as_large_as_it_says),
    CONTRACT(other_seeds_choose_other_keys),
    CONTRACT(samples_spread_over_buckets_and_tags),
};

int main(void) {
    return contract_run("contract/record_program", tests, COUNT_OF(tests));
}
