/* SPDX-License-Identifier: MIT */
/* Operations on one key: every status of every one. */
#include "contract/contract.h"

static void put_replaces_whatever_was_there(void **state) {
    weft_map map = contract_open(state);
    assert_absent(&map, "k");
    assert_int_equal(weft_map_put(&map, weft_str("k"), weft_str("one")), WEFT_OK);
    assert_value(&map, "k", "one");
    assert_int_equal(weft_map_put(&map, weft_str("k"), weft_str("longer than before")), WEFT_OK);
    assert_value(&map, "k", "longer than before");
    assert_int_equal(weft_map_put(&map, weft_str("k"), weft_str("")), WEFT_OK);
    assert_value(&map, "k", "");
    assert_int_equal(weft_map_len(&map), 1);
    contract_close(&map);
}

static void get_says_what_does_not_fit(void **state) {
    weft_map map = contract_open(state);
    char text[4] = "....";
    weft_buffer out = {.data = text, .capacity = 3};
    assert_int_equal(weft_map_get(&map, weft_str("k"), &out), WEFT_NOT_FOUND);
    weft_map_put(&map, weft_str("k"), weft_str("abcdef"));
    assert_int_equal(weft_map_get(&map, weft_str("k"), &out), WEFT_TRUNCATED);
    assert_int_equal(out.size, 6);
    assert_memory_equal(text, "abc.", 4);
    out = (weft_buffer){.data = NULL, .capacity = 0};
    assert_int_equal(weft_map_get(&map, weft_str("k"), &out), WEFT_TRUNCATED);
    assert_int_equal(out.size, 6);
    weft_map_put(&map, weft_str("empty"), weft_str(""));
    assert_int_equal(weft_map_get(&map, weft_str("empty"), &out), WEFT_OK);
    assert_int_equal(out.size, 0);
    contract_close(&map);
}

static void insert_leaves_what_is_there(void **state) {
    weft_map map = contract_open(state);
    assert_int_equal(weft_map_insert(&map, weft_str("k"), weft_str("a")), WEFT_OK);
    assert_int_equal(weft_map_insert(&map, weft_str("k"), weft_str("b")), WEFT_EXISTS);
    assert_value(&map, "k", "a");
    contract_close(&map);
}

static void replace_needs_the_key(void **state) {
    weft_map map = contract_open(state);
    assert_int_equal(weft_map_replace(&map, weft_str("k"), weft_str("a")), WEFT_NOT_FOUND);
    assert_absent(&map, "k");
    weft_map_put(&map, weft_str("k"), weft_str("a"));
    assert_int_equal(weft_map_replace(&map, weft_str("k"), weft_str("b")), WEFT_OK);
    assert_value(&map, "k", "b");
    contract_close(&map);
}

static void swap_gives_the_old_value(void **state) {
    weft_map map = contract_open(state);
    char text[8];
    weft_buffer old = {.data = text, .capacity = sizeof text};
    assert_int_equal(weft_map_swap(&map, weft_str("k"), weft_str("first"), &old), WEFT_NOT_FOUND);
    uint64_t version = version_of(&map, weft_str("k"));
    assert_int_equal(weft_map_swap(&map, weft_str("k"), weft_str("second"), &old), WEFT_OK);
    assert_int_equal(old.size, 5);
    assert_memory_equal(text, "first", 5);
    assert_int_equal(old.version, version);
    old.capacity = 2;
    assert_int_equal(weft_map_swap(&map, weft_str("k"), weft_str("third"), &old), WEFT_TRUNCATED);
    assert_int_equal(old.size, 6);
    assert_memory_equal(text, "se", 2);
    assert_value(&map, "k", "third");
    contract_close(&map);
}

static void get_or_insert_gives_what_is_then_there(void **state) {
    weft_map map = contract_open(state);
    char text[8];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    assert_int_equal(weft_map_get_or_insert(&map, weft_str("k"), weft_str("mine"), &out), WEFT_OK);
    assert_int_equal(out.size, 4);
    assert_memory_equal(text, "mine", 4);
    assert_int_equal(out.version, version_of(&map, weft_str("k")));
    uint64_t version = out.version;
    memset(text, 0, sizeof text);
    assert_int_equal(weft_map_get_or_insert(&map, weft_str("k"), weft_str("x"), &out), WEFT_EXISTS);
    assert_int_equal(out.size, 4);
    assert_memory_equal(text, "mine", 4);
    assert_int_equal(out.version, version);
    out.capacity = 1;
    assert_int_equal(weft_map_get_or_insert(&map, weft_str("k"), weft_str("x"), &out),
                     WEFT_TRUNCATED);
    assert_int_equal(out.size, 4);
    assert_value(&map, "k", "mine");
    contract_close(&map);
}

static void cas_compares_every_byte(void **state) {
    weft_map map = contract_open(state);
    weft_bytes key = weft_str("k");
    assert_int_equal(weft_map_cas(&map, key, weft_str(""), weft_str("a")), WEFT_NOT_FOUND);
    weft_map_put(&map, key, weft_str("abc"));
    assert_int_equal(weft_map_cas(&map, key, weft_str("abd"), weft_str("x")), WEFT_MISMATCH);
    assert_int_equal(weft_map_cas(&map, key, weft_str("ab"), weft_str("x")), WEFT_MISMATCH);
    assert_int_equal(weft_map_cas(&map, key, weft_str("abcd"), weft_str("x")), WEFT_MISMATCH);
    assert_value(&map, "k", "abc");
    assert_int_equal(weft_map_cas(&map, key, weft_str("abc"), weft_str("")), WEFT_OK);
    assert_int_equal(weft_map_cas(&map, key, weft_bytes_of(NULL, 0), weft_str("y")), WEFT_OK);
    assert_value(&map, "k", "y");
    contract_close(&map);
}

static void replace_if_version_sees_every_write(void **state) {
    weft_map map = contract_open(state);
    weft_bytes key = weft_str("k");
    assert_int_equal(weft_map_replace_if_version(&map, key, 1, weft_str("x")), WEFT_NOT_FOUND);
    weft_map_put(&map, key, weft_str("a"));
    uint64_t version = version_of(&map, key);
    weft_map_put(&map, key, weft_str("a"));
    assert_int_equal(weft_map_replace_if_version(&map, key, version, weft_str("x")), WEFT_MISMATCH);
    assert_value(&map, "k", "a");
    version = version_of(&map, key);
    assert_int_equal(weft_map_replace_if_version(&map, key, version, weft_str("b")), WEFT_OK);
    assert_value(&map, "k", "b");
    contract_close(&map);
}

static void fetch_changes_numbers(void **state) {
    static const struct {
        weft_fetch fetch;
        int64_t before, after;
    } steps[] = {
        {{WEFT_FETCH_ADD, 5}, 0, 5},
        {{WEFT_FETCH_ADD, -8}, 5, -3},
        {{WEFT_FETCH_MIN, 4}, -3, -3},
        {{WEFT_FETCH_MIN, -10}, -3, -10},
        {{WEFT_FETCH_MAX, -11}, -10, -10},
        {{WEFT_FETCH_MAX, 6}, -10, 6},
        {{WEFT_FETCH_OR, 9}, 6, 15},
        {{WEFT_FETCH_MAX, INT64_MAX}, 15, INT64_MAX},
        {{WEFT_FETCH_ADD, 1}, INT64_MAX, INT64_MIN},
    };
    weft_map map = contract_open(state);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        int64_t old = 77;
        assert_int_equal(weft_map_fetch(&map, weft_str("n"), steps[i].fetch, &old), WEFT_OK);
        assert_true(old == steps[i].before);
        int64_t now = 0;
        weft_buffer out = {.data = &now, .capacity = sizeof now};
        assert_int_equal(weft_map_get(&map, weft_str("n"), &out), WEFT_OK);
        assert_true(now == steps[i].after);
    }
    contract_close(&map);
}

static void fetch_starts_from_the_operand(void **state) {
    weft_map map = contract_open(state);
    for (weft_fetch_op op = WEFT_FETCH_ADD; op <= WEFT_FETCH_OR; op++) {
        uint64_t key = op;
        int64_t old = 77;
        assert_int_equal(weft_map_fetch(&map, bytes_of_u64(&key), (weft_fetch){op, -5}, &old),
                         WEFT_OK);
        assert_true(old == 0);
        uint64_t now;
        assert_int_equal(get_u64(&map, key, &now), WEFT_OK);
        assert_true((int64_t)now == -5);
    }
    assert_int_equal(weft_map_fetch_add(&map, weft_str("n"), 3, NULL), WEFT_OK);
    assert_int_equal(weft_map_fetch(&map, weft_str("n"), (weft_fetch){(weft_fetch_op)9, 1}, NULL),
                     WEFT_E_INVALID);
    weft_map_put(&map, weft_str("text"), weft_str("seven..") /* 7 bytes */);
    assert_int_equal(weft_map_fetch_add(&map, weft_str("text"), 3, NULL), WEFT_MISMATCH);
    assert_value(&map, "text", "seven..");
    contract_close(&map);
}

static void join(void *ctx, weft_bytes old, weft_bytes operand, weft_fresh *fresh) {
    ++*(int *)ctx;
    *fresh = (weft_fresh){old, operand};
}

static void merge_stores_or_combines(void **state) {
    weft_map map = contract_open(state);
    int calls = 0;
    weft_merge merge = {join, &calls};
    assert_int_equal(weft_map_merge(&map, weft_str("k"), weft_str("ab"), &merge), WEFT_OK);
    assert_int_equal(calls, 0);
    assert_int_equal(weft_map_merge(&map, weft_str("k"), weft_str("cd"), &merge), WEFT_OK);
    assert_int_equal(calls, 1);
    assert_value(&map, "k", "abcd");
    contract_close(&map);
}

static void remove_removes_once(void **state) {
    weft_map map = contract_open(state);
    assert_int_equal(weft_map_remove(&map, weft_str("k")), WEFT_NOT_FOUND);
    weft_map_put(&map, weft_str("k"), weft_str("a"));
    assert_int_equal(weft_map_remove(&map, weft_str("k")), WEFT_OK);
    assert_int_equal(weft_map_remove(&map, weft_str("k")), WEFT_NOT_FOUND);
    assert_absent(&map, "k");
    assert_true(weft_map_is_empty(&map));
    contract_close(&map);
}

static bool value_is_x(void *ctx, const weft_view *entry) {
    (void)ctx;
    return entry->value.size == 1 && memcmp(entry->value.data, "x", 1) == 0;
}

static void conditional_removes_keep_what_differs(void **state) {
    weft_map map = contract_open(state);
    weft_bytes key = weft_str("k");
    assert_int_equal(weft_map_remove_eq(&map, key, weft_str("x")), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_remove_if(&map, key, value_is_x, NULL), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_remove_if_version(&map, key, 1), WEFT_NOT_FOUND);
    weft_map_put(&map, key, weft_str("y"));
    uint64_t version = version_of(&map, key);
    assert_int_equal(weft_map_remove_eq(&map, key, weft_str("x")), WEFT_MISMATCH);
    assert_int_equal(weft_map_remove_if(&map, key, value_is_x, NULL), WEFT_MISMATCH);
    assert_int_equal(weft_map_remove_if_version(&map, key, version + 1), WEFT_MISMATCH);
    assert_value(&map, "k", "y");
    assert_int_equal(weft_map_remove_if_version(&map, key, version), WEFT_OK);
    weft_map_put(&map, key, weft_str("x"));
    assert_int_equal(weft_map_remove_if(&map, key, value_is_x, NULL), WEFT_OK);
    weft_map_put(&map, key, weft_str("x"));
    assert_int_equal(weft_map_remove_eq(&map, key, weft_str("x")), WEFT_OK);
    assert_absent(&map, "k");
    contract_close(&map);
}

static void many_act_on_each_key(void **state) {
    weft_map map = contract_open(state);
    weft_bytes keys[] = {weft_str("a"), weft_str("b"), weft_str("c"), weft_str("d")};
    weft_bytes values[] = {weft_str("1"), weft_str("22"), weft_str("333")};
    char text[4][2];
    weft_buffer out[4];
    for (int i = 0; i < 4; i++) {
        out[i] = (weft_buffer){.data = text[i], .capacity = sizeof text[i]};
    }
    assert_int_equal(weft_map_put_many(&map, keys, values, 3), WEFT_OK);
    assert_int_equal(weft_map_get_many(&map, keys, 4, out), WEFT_OK);
    assert_int_equal(out[0].status, WEFT_OK);
    assert_int_equal(out[1].status, WEFT_OK);
    assert_int_equal(out[2].status, WEFT_TRUNCATED);
    assert_int_equal(out[3].status, WEFT_NOT_FOUND);
    assert_memory_equal(text[1], "22", 2);
    size_t removed = 9;
    assert_int_equal(weft_map_remove_many(&map, keys + 1, 3, &removed), WEFT_OK);
    assert_int_equal(removed, 2);
    assert_int_equal(weft_map_remove_many(&map, keys, 0, NULL), WEFT_OK);
    assert_int_equal(weft_map_len(&map), 1);
    contract_close(&map);
}

static void many_stop_at_the_first_failure(void **state) {
    weft_map map = contract_open(state);
    weft_bytes big = weft_bytes_of("", WEFT_KEY_SIZE_MAX + 1);
    weft_bytes keys[] = {weft_str("a"), big, weft_str("c")};
    weft_bytes values[] = {weft_str("1"), weft_str("2"), weft_str("3")};
    assert_int_equal(weft_map_put_many(&map, keys, values, 3), WEFT_E_TOOBIG);
    assert_value(&map, "a", "1");
    assert_absent(&map, "c");
    weft_buffer out[3] = {{.capacity = 0}, {.capacity = 0}, {.capacity = 0}};
    assert_int_equal(weft_map_get_many(&map, keys, 3, out), WEFT_OK);
    assert_int_equal(out[1].status, WEFT_E_TOOBIG);
    size_t removed = 9;
    assert_int_equal(weft_map_remove_many(&map, keys, 3, &removed), WEFT_E_TOOBIG);
    assert_int_equal(removed, 1);
    contract_close(&map);
}

static void any_bytes_are_a_key(void **state) {
    weft_map map = contract_open(state);
    unsigned char key[40];
    uint64_t n = 0;
    memset(key, 0, sizeof key);
    assert_int_equal(weft_map_put(&map, weft_bytes_of(NULL, 0), bytes_of_u64(&n)), WEFT_OK);
    for (size_t size = 1; size < sizeof key; size++) { /* runs of zeros, told apart by size */
        n = size;
        assert_int_equal(weft_map_insert(&map, weft_bytes_of(key, size), bytes_of_u64(&n)),
                         WEFT_OK);
    }
    assert_int_equal(weft_map_insert(&map, weft_bytes_of(key, 0), bytes_of_u64(&n)), WEFT_EXISTS);
    for (size_t size = 0; size < sizeof key; size++) {
        weft_buffer out = {.data = &n, .capacity = sizeof n};
        assert_int_equal(weft_map_get(&map, weft_bytes_of(key, size), &out), WEFT_OK);
        assert_int_equal(n, size);
    }
    assert_int_equal(weft_map_remove(&map, weft_bytes_of(NULL, 0)), WEFT_OK);
    assert_int_equal(weft_map_contains(&map, weft_bytes_of(key, 0)), WEFT_NOT_FOUND);
    contract_close(&map);
}

static void test_A_writes_answer_each_other_in_order(void **state) {
    weft_map map = contract_open(state);
    uint64_t model[64] = {0}, seed = 12345; /* 0: absent */
    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t key = seed >> 33 & 63, value = (seed >> 40) + 1, now;
        int there = model[key] != 0;
        switch (seed >> 60 & 3) {
        case 0:
            assert_int_equal(put_u64(&map, key, value), WEFT_OK);
            model[key] = value;
            break;
        case 1:
            assert_int_equal(remove_u64(&map, key), there ? WEFT_OK : WEFT_NOT_FOUND);
            model[key] = 0;
            break;
        case 2:
            assert_int_equal(weft_map_cas(&map, bytes_of_u64(&key), bytes_of_u64(&model[key]),
                                          bytes_of_u64(&value)),
                             there ? WEFT_OK : WEFT_NOT_FOUND);
            model[key] = there ? value : 0;
            break;
        default:
            assert_int_equal(get_u64(&map, key, &now), there ? WEFT_OK : WEFT_NOT_FOUND);
            assert_true(!there || now == model[key]);
        }
    }
    contract_close(&map);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(put_replaces_whatever_was_there),
        CONTRACT(get_says_what_does_not_fit),
        CONTRACT(insert_leaves_what_is_there),
        CONTRACT(replace_needs_the_key),
        CONTRACT(swap_gives_the_old_value),
        CONTRACT(get_or_insert_gives_what_is_then_there),
        CONTRACT(cas_compares_every_byte),
        CONTRACT(replace_if_version_sees_every_write),
        CONTRACT(fetch_changes_numbers),
        CONTRACT(fetch_starts_from_the_operand),
        CONTRACT(merge_stores_or_combines),
        CONTRACT(remove_removes_once),
        CONTRACT(conditional_removes_keep_what_differs),
        CONTRACT(many_act_on_each_key),
        CONTRACT(many_stop_at_the_first_failure),
        CONTRACT(any_bytes_are_a_key),
        CONTRACT(test_A_writes_answer_each_other_in_order),
    };
    return contract_run("contract/point", tests, COUNT_OF(tests));
}
