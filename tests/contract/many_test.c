/* SPDX-License-Identifier: MIT */
/* Operations on several keys against the same on one, of any number and in any state of the map;
 * keys with a hash of their own, right and wrong; where a key's bytes may lie. Proves [A] [E]. */
#include "contract/contract.h"
#include "harness/prng.h"

#include <sys/mman.h>

enum { MOST = 700, RANGE = 2000 };

/* One batch: keys with some twice, some absent. */
typedef struct batch {
    size_t count;
    uint64_t keys[MOST];
    uint64_t values[MOST];
    weft_bytes key_bytes[MOST];
    weft_bytes value_bytes[MOST];
} batch;

static void draw(batch *b, weft_prng *prng, size_t count) {
    b->count = count;
    for (size_t i = 0; i < count; i++) {
        b->keys[i] = weft_prng_below(prng, RANGE);
        b->values[i] = weft_prng_next(prng);
        b->key_bytes[i] = bytes_of_u64(&b->keys[i]);
        b->value_bytes[i] = bytes_of_u64(&b->values[i]);
    }
}

/* What the map is to hold: value[k] if there[k]. */
static struct {
    bool there[RANGE];
    uint64_t value[RANGE];
} model;

static void check_u64(weft_u64map *map, const batch *b) {
    static weft_u64found found[MOST + 1];
    found[b->count] = (weft_u64found){99, 99};
    assert_ok(weft_u64map_get_many(map, b->keys, b->count, found));
    for (size_t i = 0; i < b->count; i++) {
        uint64_t k = b->keys[i];
        assert_int_equal(found[i].status, model.there[k] ? WEFT_OK : WEFT_NOT_FOUND);
        assert_true(found[i].value == (model.there[k] ? model.value[k] : 0));
    }
    assert_true(found[b->count].value == 99 && found[b->count].status == 99);
}

static void check_bytes(weft_map *map, const batch *b) {
    static weft_buffer out[MOST];
    static uint64_t values[MOST];
    for (size_t i = 0; i < b->count; i++) {
        out[i] = (weft_buffer){.data = &values[i], .capacity = sizeof values[i]};
    }
    assert_ok(weft_map_get_many(map, b->key_bytes, b->count, out));
    for (size_t i = 0; i < b->count; i++) {
        uint64_t k = b->keys[i];
        assert_int_equal(out[i].status, model.there[k] ? WEFT_OK : WEFT_NOT_FOUND);
        assert_true(!model.there[k] || values[i] == model.value[k]);
        assert_true(!model.there[k] || out[i].version == version_of(map, b->key_bytes[i]));
    }
}

static void model_put(const batch *b) {
    for (size_t i = 0; i < b->count; i++) {
        model.there[b->keys[i]] = true;
        model.value[b->keys[i]] = b->values[i];
    }
}

static size_t model_remove(const batch *b) {
    size_t gone = 0;
    for (size_t i = 0; i < b->count; i++) {
        gone += model.there[b->keys[i]];
        model.there[b->keys[i]] = false;
    }
    return gone;
}

/* Numbers of keys at which guards and steps begin and end. */
static size_t draw_count(weft_prng *prng) {
    static const size_t edges[] = {0,  1,  2,   15,  16,  17,  31,  32,  33,  47,  48,  49,
                                   64, 65, 127, 128, 129, 144, 255, 256, 257, 300, MOST};
    return edges[weft_prng_below(prng, COUNT_OF(edges))];
}

static void many_are_as_each_u64(void **state) {
    weft_u64map map = contract_open_u64(state);
    static batch b;
    weft_prng prng = weft_prng_of(7);
    memset(&model, 0, sizeof model);
    for (int round = 0; round < 600; round++) {
        size_t removed = 7;
        draw(&b, &prng, draw_count(&prng));
        if (round % 3 == 0) {
            assert_ok(weft_u64map_remove_many(&map, b.keys, b.count, &removed));
            assert_int_equal(removed, model_remove(&b));
        } else if (round % 3 == 1) {
            assert_ok(weft_u64map_put_many(&map, b.keys, b.values, b.count));
            model_put(&b);
        }
        if (round % 97 == 96) {
            assert_ok(weft_u64map_clear(&map));
            memset(&model, 0, sizeof model);
        }
        check_u64(&map, &b);
    }
    contract_close_u64(&map);
}

static void many_are_as_each_bytes(void **state) {
    weft_map map = contract_open(state);
    static batch b;
    weft_prng prng = weft_prng_of(8);
    memset(&model, 0, sizeof model);
    for (int round = 0; round < 600; round++) {
        size_t removed = 7;
        draw(&b, &prng, draw_count(&prng));
        if (round % 3 == 0) {
            assert_ok(weft_map_remove_many(&map, b.key_bytes, b.count, &removed));
            assert_int_equal(removed, model_remove(&b));
        } else if (round % 3 == 1) {
            assert_ok(weft_map_put_many(&map, b.key_bytes, b.value_bytes, b.count));
            model_put(&b);
        }
        if (round % 97 == 96) {
            assert_ok(weft_map_clear(&map));
            memset(&model, 0, sizeof model);
        }
        check_bytes(&map, &b);
    }
    contract_close(&map);
}

/* Far into a batch, behind the keys that are on their way together. */
static void late_failure_leaves_what_was_before(void **state) {
    weft_map map = contract_open(state);
    static batch b;
    weft_prng prng = weft_prng_of(9);
    enum { WRONG = 300 };
    size_t removed = 0;
    draw(&b, &prng, MOST);
    for (size_t i = 0; i < MOST; i++) {
        b.keys[i] = i;
    }
    b.key_bytes[WRONG].size = WEFT_KEY_SIZE_MAX + 1;
    assert_int_equal(weft_map_put_many(&map, b.key_bytes, b.value_bytes, MOST), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_len(&map), WRONG);
    assert_int_equal(weft_map_remove_many(&map, b.key_bytes, MOST, &removed), WEFT_E_TOOBIG);
    assert_int_equal(removed, WRONG);
    b.key_bytes[WRONG].size = sizeof b.keys[0];
    b.value_bytes[WRONG].size = WEFT_VALUE_SIZE_MAX + 1;
    assert_int_equal(weft_map_put_many(&map, b.key_bytes, b.value_bytes, MOST), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_len(&map), WRONG);
    contract_close(&map);
}

static void many_on_a_map_never_used(void **state) {
    weft_map map = WEFT_MAP_INIT;
    weft_u64map u64map = WEFT_U64MAP_INIT;
    weft_bytes keys[] = {weft_str("a"), weft_bytes_of("", WEFT_KEY_SIZE_MAX + 1)};
    weft_buffer out[2] = {{.status = 5}, {.status = 5}};
    weft_u64found found[2] = {{5, 5}, {5, 5}};
    uint64_t numbers[2] = {1, 2};
    size_t removed = 5;
    (void)state;
    assert_ok(weft_map_get_many(&map, keys, 2, out));
    assert_int_equal(out[0].status, WEFT_NOT_FOUND);
    assert_int_equal(out[1].status, WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove_many(&map, keys, 2, &removed), WEFT_E_TOOBIG);
    assert_int_equal(removed, 0);
    assert_ok(weft_map_put_many(&map, keys, keys, 0));
    assert_null(map.impl);
    assert_ok(weft_u64map_get_many(&u64map, numbers, 2, found));
    assert_true(found[1].value == 0 && found[1].status == WEFT_NOT_FOUND);
    removed = 5;
    assert_ok(weft_u64map_remove_many(&u64map, numbers, 2, &removed));
    assert_int_equal(removed, 0);
    assert_ok(weft_u64map_put_many(&u64map, numbers, numbers, 0));
    assert_null(u64map.impl);
}

/* ---- keys with their hash -------------------------------------------------------------------- */

static weft_hashed hashed_of(weft_map *map, const uint64_t *key) {
    weft_hashed hashed;
    assert_ok(weft_map_hash(map, bytes_of_u64(key), &hashed));
    return hashed;
}

static int get_hashed(weft_map *map, const weft_hashed *key, uint64_t *value) {
    weft_buffer out = {.data = value, .capacity = sizeof *value};
    return weft_map_get_hashed(map, key, &out);
}

/* A hash stays right through growth, shrinking and clear. */
static void hash_is_good_for_the_maps_life(void **state) {
    weft_map map = contract_open(state);
    static uint64_t keys[500];
    static weft_hashed hashed[500];
    uint64_t value;
    for (uint64_t i = 0; i < 500; i++) {
        keys[i] = i;
        hashed[i] = hashed_of(&map, &keys[i]);
        assert_int_equal(get_hashed(&map, &hashed[i], &value), WEFT_NOT_FOUND);
        assert_int_equal(weft_map_remove_hashed(&map, &hashed[i]), WEFT_NOT_FOUND);
    }
    for (int turn = 0; turn < 3; turn++) {
        for (uint64_t i = 0; i < 500; i++) {
            assert_ok(weft_map_put_hashed(&map, &hashed[i], bytes_of_u64(&keys[i])));
        }
        put_range(&map, 500, 20000);
        for (uint64_t i = 0; i < 500; i++) {
            assert_ok(get_hashed(&map, &hashed[i], &value));
            assert_true(value == i);
        }
        remove_range(&map, 500, 20000);
        weft_map_shrink(&map);
        contract_sound(&map);
        for (uint64_t i = 0; i < 500; i += 2) {
            assert_ok(weft_map_remove_hashed(&map, &hashed[i]));
            assert_int_equal(weft_map_remove_hashed(&map, &hashed[i]), WEFT_NOT_FOUND);
            assert_int_equal(get_hashed(&map, &hashed[i], &value), WEFT_NOT_FOUND);
            assert_ok(get_hashed(&map, &hashed[i + 1], &value));
        }
        require_range(&map, 1, 2);
        assert_ok(weft_map_clear(&map));
    }
    contract_close(&map);
}

static void hash_has_statuses_of_its_own(void **state) {
    weft_map map = contract_open(state);
    weft_map other = WEFT_MAP_INIT;
    weft_hashed hashed;
    char room[2];
    weft_buffer out = {.data = room, .capacity = sizeof room};
    weft_bytes big = weft_bytes_of("", WEFT_KEY_SIZE_MAX + 1);
    weft_bytes big_value = weft_bytes_of("", WEFT_VALUE_SIZE_MAX + 1);
    assert_int_equal(weft_map_hash(&map, big, &hashed), WEFT_E_TOOBIG);
    assert_ok(weft_map_hash(&map, weft_str("k"), &hashed));
    assert_int_equal(weft_map_get_hashed(&other, &hashed, &out), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_remove_hashed(&other, &hashed), WEFT_NOT_FOUND);
    assert_null(other.impl);
    assert_int_equal(weft_map_put_hashed(&map, &hashed, big_value), WEFT_E_TOOBIG);
    assert_ok(weft_map_put_hashed(&map, &hashed, weft_str("long")));
    assert_int_equal(weft_map_get_hashed(&map, &hashed, &out), WEFT_TRUNCATED);
    assert_true(out.version == version_of(&map, weft_str("k")));
    assert_ok(weft_map_put_hashed(&other, &hashed, weft_str("hi"))); /* hashed anew for it */
    assert_value(&other, "k", "hi");
    assert_ok(weft_map_get_hashed(&other, &hashed, &out));
    assert_ok(weft_map_remove_hashed(&other, &hashed));
    assert_ok(weft_map_hash(&other, weft_str(""), &hashed));
    contract_close(&other);
    contract_close(&map);
}

/* A hash that is wrong never harms the map: at worst a key is not found, and what is put is found
 * by its key, also when the table has grown. */
static void wrong_hash_does_no_harm(void **state) {
    weft_map map = contract_open(state);
    weft_prng prng = weft_prng_of(10);
    enum { WRONG = 3000 };
    for (uint64_t i = 0; i < WRONG; i++) {
        weft_hashed hashed = hashed_of(&map, &i);
        uint64_t value = i + 1;
        hashed.hash ^= weft_prng_next(&prng) >> weft_prng_below(&prng, 64);
        assert_ok(weft_map_put_hashed(&map, &hashed, bytes_of_u64(&i)));
        assert_ok(
            weft_map_put_hashed(&map, &hashed, bytes_of_u64(&value))); /* and one that is there */
        int status = get_hashed(&map, &hashed, &value);
        assert_true(status == WEFT_NOT_FOUND || (status == WEFT_OK && value == i + 1));
        if (i % 3 == 0) {
            status = weft_map_remove_hashed(&map, &hashed);
            assert_true(status == WEFT_NOT_FOUND || status == WEFT_OK);
            assert_int_equal(get_u64(&map, i, &value),
                             status == WEFT_OK ? WEFT_NOT_FOUND : WEFT_OK);
            assert_ok(put_u64(&map, i, i + 1));
        }
        if (i % 256 == 0) {
            contract_sound(&map);
        }
    }
    assert_int_equal(weft_map_len(&map), WRONG);
    for (uint64_t i = 0; i < WRONG; i++) {
        uint64_t value = 0;
        assert_ok(get_u64(&map, i, &value));
        assert_true(value == i + 1);
    }
    contract_close(&map);
}

/* The bytes of a hashed key are not those that were hashed any more. */
static void key_that_changed_does_no_harm(void **state) {
    weft_map map = contract_open(state);
    uint64_t key = 1;
    uint64_t value = 0;
    weft_hashed hashed = hashed_of(&map, &key);
    assert_ok(weft_map_put_hashed(&map, &hashed, bytes_of_u64(&key)));
    key = 2;
    assert_ok(weft_map_put_hashed(&map, &hashed, bytes_of_u64(&key)));
    assert_ok(get_u64(&map, 1, &value));
    assert_true(value == 1);
    assert_ok(get_u64(&map, 2, &value));
    assert_true(value == 2);
    put_range(&map, 1, 5000);
    contract_close(&map);
}

/* ---- borrowed keys --------------------------------------------------------------------------- */

/* Lookups read a key where it lies, not a byte beyond, and copy it nowhere. */
static void lookups_borrow_the_key(void **state) {
    contract_meter meter = {0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = contract_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    size_t page = 4096;
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    for (size_t i = 0; i < page; i++) {
        memory[i] = (char)('a' + i % 26);
    }
    for (size_t size = 0; size < 300; size += size < 70 ? 1 : 37) {
        assert_ok(
            weft_map_put(&map, weft_bytes_of(memory + page - size, size), bytes_of_u64(&size)));
    }
    assert_int_equal(mprotect(memory, page, PROT_READ), 0);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    contract_meter before = meter;
    for (size_t size = 0; size < 300; size += size < 70 ? 1 : 37) {
        weft_bytes key = weft_bytes_of(memory + page - size, size);
        weft_hashed hashed;
        uint64_t value[3];
        weft_buffer out[3];
        for (int i = 0; i < 3; i++) {
            out[i] = (weft_buffer){.data = &value[i], .capacity = sizeof value[i]};
        }
        assert_ok(weft_map_get(&map, key, &out[0]));
        assert_ok(weft_map_hash(&map, key, &hashed));
        assert_ok(weft_map_get_hashed(&map, &hashed, &out[1]));
        assert_ok(weft_map_get_many(&map, &key, 1, &out[2]));
        assert_true(value[0] == size && value[1] == size && value[2] == size);
    }
    /* A lookup may move a key between the tiers of hybrid, whose table may grow for it. */
    assert_true(options.engine == WEFT_ENGINE_HYBRID ||
                (before.blocks == meter.blocks && before.bytes == meter.bytes));
    assert_int_equal(munmap(memory, 2 * page), 0);
    contract_close(&map);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(many_are_as_each_u64),
        CONTRACT(many_are_as_each_bytes),
        CONTRACT(late_failure_leaves_what_was_before),
        CONTRACT(many_on_a_map_never_used),
        CONTRACT(hash_is_good_for_the_maps_life),
        CONTRACT(hash_has_statuses_of_its_own),
        CONTRACT(wrong_hash_does_no_harm),
        CONTRACT(key_that_changed_does_no_harm),
        CONTRACT(lookups_borrow_the_key),
    };
    return contract_run("many", tests, COUNT_OF(tests));
}
