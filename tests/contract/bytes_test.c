/* SPDX-License-Identifier: MIT */
/* Every operation of weft_map on one thread, and every status that it can answer. */
#include "bed.h"

#define KEY weft_str("key")
#define OTHER weft_str("other")

static weft_bytes too_big(size_t size) {
    return weft_bytes_of("", size); /* refused before a byte is read */
}

static void open_refuses_bad_options(void **state) {
    weft_map map = WEFT_MAP_INIT;
    weft_map_options options = bed_options(state);
    options.size = sizeof options - 1;
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_INVALID);
    options = bed_options(state);
    options.engine = (weft_engine_id)99;
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_INVALID);
    options = bed_options(state);
    options.value_own = WEFT_OWN_ADOPT;
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_INVALID);
    options.value_own = (weft_own)7;
    assert_int_equal(weft_map_open(&map, &options), WEFT_E_INVALID);
    assert_int_equal(weft_map_open(NULL, NULL), WEFT_E_INVALID);
    assert_null(map.impl);
}

static void never_used_map_reads_as_empty(void **state) {
    weft_map map = WEFT_MAP_INIT;
    weft_map_iter iter;
    weft_guard guard;
    weft_view view;
    uint64_t cursor = 0;
    (void)state;
    assert_null(bed_text(&map, "key"));
    assert_int_equal(weft_map_contains(&map, KEY), WEFT_NOT_FOUND);
    assert_true(weft_map_is_empty(&map));
    assert_int_equal(weft_map_len_exact(&map), 0);
    assert_ok(weft_map_scan(&map, &cursor, NULL, NULL));
    assert_int_equal(cursor, 0);
    weft_guard_enter(&guard);
    weft_map_iter_start(&map, &iter);
    assert_int_equal(weft_map_iter_next(&iter, &guard, &view), WEFT_NOT_FOUND);
    weft_guard_leave(&guard);
    assert_int_equal(weft_map_shrink(&map), WEFT_UNCHANGED);
    assert_ok(weft_map_maintain(&map, 1));
    assert_null(map.impl);
    assert_ok(weft_map_close(&map));
}

static void static_initialiser_opens_by_first_write(void **state) {
    static weft_map map = WEFT_MAP_INIT;
    (void)state;
    assert_ok(weft_map_put(&map, KEY, weft_str("value")));
    assert_string_equal(bed_text(&map, "key"), "value");
    bed_close(&map);
    assert_int_equal(weft_map_remove(&map, KEY), WEFT_NOT_FOUND);
    bed_close(&map);
}

static void put_and_get(void **state) {
    weft_map map = bed_open(state);
    assert_null(bed_text(&map, "key"));
    assert_ok(weft_map_put(&map, KEY, weft_str("one")));
    assert_string_equal(bed_text(&map, "key"), "one");
    assert_ok(weft_map_put(&map, KEY, weft_str("another")));
    assert_string_equal(bed_text(&map, "key"), "another");
    assert_ok(weft_map_contains(&map, KEY));
    assert_int_equal(weft_map_contains(&map, OTHER), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_len(&map), 1);
    bed_close(&map);
}

static void empty_keys_and_values_are_legal(void **state) {
    weft_map map = bed_open(state);
    weft_bytes none = {NULL, 0};
    weft_buffer out = {.data = NULL, .capacity = 0};
    assert_ok(weft_map_put(&map, none, none));
    assert_ok(weft_map_get(&map, none, &out));
    assert_int_equal(out.size, 0);
    assert_ok(weft_map_cas(&map, none, none, weft_str("x")));
    assert_int_equal(weft_map_get(&map, none, &out), WEFT_TRUNCATED);
    assert_ok(weft_map_remove(&map, weft_bytes_of("", 0)));
    assert_true(weft_map_is_empty(&map));
    bed_close(&map);
}

static void get_truncates(void **state) {
    weft_map map = bed_open(state);
    char text[4] = "....";
    weft_buffer out = {.data = text, .capacity = 3};
    assert_ok(weft_map_put(&map, KEY, weft_str("value")));
    assert_int_equal(weft_map_get(&map, KEY, &out), WEFT_TRUNCATED);
    assert_int_equal(out.size, 5);
    assert_memory_equal(text, "val.", 4);
    out.capacity = 4;
    assert_int_equal(weft_map_swap(&map, KEY, weft_str("x"), &out), WEFT_TRUNCATED);
    assert_memory_equal(text, "valu", 4);
    assert_string_equal(bed_text(&map, "key"), "x");
    bed_close(&map);
}

static void get_many_answers_each(void **state) {
    weft_map map = bed_open(state);
    char text[3][8];
    weft_bytes keys[3] = {KEY, OTHER, too_big(WEFT_KEY_SIZE_MAX + 1)};
    weft_buffer out[3];
    for (int i = 0; i < 3; i++) {
        out[i] = (weft_buffer){.data = text[i], .capacity = sizeof text[i]};
    }
    assert_ok(weft_map_put(&map, KEY, weft_str("v")));
    assert_ok(weft_map_get_many(&map, keys, 3, out));
    assert_int_equal(out[0].status, WEFT_OK);
    assert_int_equal(out[0].size, 1);
    assert_int_equal(out[1].status, WEFT_NOT_FOUND);
    assert_int_equal(out[2].status, WEFT_E_TOOBIG);
    bed_close(&map);
}

static void peek_needs_a_guard(void **state) {
    weft_map map = bed_open(state);
    weft_guard none = {NULL};
    weft_guard guard;
    weft_view view;
    assert_ok(weft_map_put(&map, KEY, weft_str("v")));
    assert_int_equal(weft_map_peek(&map, KEY, NULL, &view), WEFT_E_INVALID);
    assert_int_equal(weft_map_peek(&map, KEY, &none, &view), WEFT_E_INVALID);
    weft_guard_enter(&guard);
    assert_ok(weft_map_peek(&map, KEY, &guard, &view));
    assert_int_equal(view.key.size, 3);
    assert_memory_equal(view.value.data, "v", 1);
    assert_int_equal(view.version, bed_version(&map, "key"));
    assert_int_equal(weft_map_peek(&map, OTHER, &guard, &view), WEFT_NOT_FOUND);
    weft_guard_leave(&guard);
    bed_close(&map);
}

static void swap_insert_replace(void **state) {
    weft_map map = bed_open(state);
    char text[8];
    weft_buffer old = {.data = text, .capacity = sizeof text};
    assert_int_equal(weft_map_replace(&map, KEY, weft_str("no")), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_swap(&map, KEY, weft_str("one"), &old), WEFT_NOT_FOUND);
    uint64_t version = bed_version(&map, "key");
    assert_ok(weft_map_swap(&map, KEY, weft_str("two"), &old));
    assert_memory_equal(text, "one", 3);
    assert_int_equal(old.version, version);
    assert_int_equal(weft_map_insert(&map, KEY, weft_str("no")), WEFT_EXISTS);
    assert_string_equal(bed_text(&map, "key"), "two");
    assert_ok(weft_map_insert(&map, OTHER, weft_str("yes")));
    assert_ok(weft_map_replace(&map, OTHER, weft_str("more")));
    assert_string_equal(bed_text(&map, "other"), "more");
    assert_int_equal(weft_map_len(&map), 2);
    bed_close(&map);
}

static void get_or_insert_shows_what_is_there(void **state) {
    weft_map map = bed_open(state);
    char text[8];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    assert_ok(weft_map_get_or_insert(&map, KEY, weft_str("one"), &out));
    assert_int_equal(out.size, 3);
    assert_memory_equal(text, "one", 3);
    assert_int_equal(out.version, bed_version(&map, "key"));
    memset(text, 0, sizeof text);
    assert_int_equal(weft_map_get_or_insert(&map, KEY, weft_str("two"), &out), WEFT_EXISTS);
    assert_memory_equal(text, "one", 3);
    out.capacity = 2;
    assert_int_equal(weft_map_get_or_insert(&map, KEY, weft_str("two"), &out), WEFT_TRUNCATED);
    assert_string_equal(bed_text(&map, "key"), "one");
    bed_close(&map);
}

static void cas_compares_bytes(void **state) {
    weft_map map = bed_open(state);
    assert_int_equal(weft_map_cas(&map, KEY, weft_str("a"), weft_str("b")), WEFT_NOT_FOUND);
    assert_ok(weft_map_put(&map, KEY, weft_str("a")));
    assert_int_equal(weft_map_cas(&map, KEY, weft_str("ab"), weft_str("b")), WEFT_MISMATCH);
    assert_int_equal(weft_map_cas(&map, KEY, weft_str("b"), weft_str("b")), WEFT_MISMATCH);
    assert_ok(weft_map_cas(&map, KEY, weft_str("a"), weft_str("b")));
    assert_string_equal(bed_text(&map, "key"), "b");
    assert_int_equal(weft_map_remove_eq(&map, KEY, weft_str("a")), WEFT_MISMATCH);
    assert_ok(weft_map_remove_eq(&map, KEY, weft_str("b")));
    assert_int_equal(weft_map_remove_eq(&map, KEY, weft_str("b")), WEFT_NOT_FOUND);
    bed_close(&map);
}

static void D_versions_grow_also_across_remove(void **state) {
    weft_map map = bed_open(state);
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        assert_ok(weft_map_put(&map, KEY, weft_str("v")));
        uint64_t version = bed_version(&map, "key");
        assert_true(version > last);
        last = version;
        if (i % 3 == 0) {
            assert_ok(weft_map_remove(&map, KEY));
        }
        assert_ok(weft_map_put(&map, OTHER, weft_str("v")));
        assert_ok(weft_map_remove(&map, OTHER));
    }
    bed_close(&map);
}

static void D_conditions_on_versions(void **state) {
    weft_map map = bed_open(state);
    assert_int_equal(weft_map_replace_if_version(&map, KEY, 1, weft_str("v")), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_remove_if_version(&map, KEY, 1), WEFT_NOT_FOUND);
    assert_ok(weft_map_put(&map, KEY, weft_str("a")));
    uint64_t first = bed_version(&map, "key");
    assert_ok(weft_map_replace_if_version(&map, KEY, first, weft_str("b")));
    assert_int_equal(weft_map_replace_if_version(&map, KEY, first, weft_str("c")), WEFT_MISMATCH);
    assert_int_equal(weft_map_remove_if_version(&map, KEY, first), WEFT_MISMATCH);
    assert_string_equal(bed_text(&map, "key"), "b");
    uint64_t second = bed_version(&map, "key");
    assert_ok(weft_map_remove(&map, KEY));
    assert_ok(weft_map_put(&map, KEY, weft_str("b")));
    assert_int_equal(weft_map_remove_if_version(&map, KEY, second), WEFT_MISMATCH);
    assert_ok(weft_map_remove_if_version(&map, KEY, bed_version(&map, "key")));
    bed_close(&map);
}

static void D_restore_keeps_versions(void **state) {
    weft_map map = bed_open(state);
    weft_fresh value = {weft_str("he"), weft_str("llo")};
    assert_ok(weft_map_restore(&map, KEY, &value, 1000));
    assert_string_equal(bed_text(&map, "key"), "hello");
    assert_true(bed_version(&map, "key") >= 1000);
    assert_int_equal(weft_map_restore(&map, KEY, &value, 1000), WEFT_MISMATCH);
    assert_int_equal(weft_map_restore(&map, KEY, &value, 7), WEFT_MISMATCH);
    assert_ok(weft_map_restore(&map, KEY, &value, 5000));
    uint64_t version = bed_version(&map, "key");
    assert_true(version >= 5000);
    assert_ok(weft_map_remove(&map, KEY));
    assert_ok(weft_map_put(&map, KEY, weft_str("x")));
    assert_true(bed_version(&map, "key") > version);
    bed_close(&map);
}

static void fetch_counts(void **state) {
    weft_map map = bed_open(state);
    int64_t old = -1;
    assert_ok(weft_map_fetch_add(&map, KEY, 5, &old));
    assert_int_equal(old, 0);
    assert_ok(weft_map_fetch_add(&map, KEY, -7, &old));
    assert_int_equal(old, 5);
    assert_ok(weft_map_fetch(&map, KEY, (weft_fetch){WEFT_FETCH_MAX, -9}, &old));
    assert_int_equal(old, -2);
    assert_ok(weft_map_fetch(&map, KEY, (weft_fetch){WEFT_FETCH_MIN, -9}, &old));
    assert_int_equal(old, -2);
    assert_ok(weft_map_fetch(&map, KEY, (weft_fetch){WEFT_FETCH_OR, 8}, &old));
    assert_int_equal(old, -9);
    assert_ok(weft_map_fetch_add(&map, KEY, INT64_MAX, NULL));
    assert_ok(weft_map_fetch_add(&map, KEY, INT64_MAX, &old));
    assert_int_equal(old, (-9 | 8) + INT64_MAX);
    assert_int_equal(weft_map_fetch(&map, KEY, (weft_fetch){(weft_fetch_op)9, 1}, &old),
                     WEFT_E_INVALID);
    assert_ok(weft_map_fetch(&map, OTHER, (weft_fetch){WEFT_FETCH_MIN, 3}, &old));
    assert_int_equal(old, 0);
    assert_ok(weft_map_fetch_add(&map, OTHER, 0, &old));
    assert_int_equal(old, 3);
    assert_ok(weft_map_put(&map, KEY, weft_str("short")));
    assert_int_equal(weft_map_fetch_add(&map, KEY, 1, &old), WEFT_MISMATCH);
    assert_string_equal(bed_text(&map, "key"), "short");
    bed_close(&map);
}

static void append(void *ctx, weft_bytes old, weft_bytes operand, weft_fresh *fresh) {
    ++*(int *)ctx;
    *fresh = (weft_fresh){old, operand};
}

static void merge_joins(void **state) {
    weft_map map = bed_open(state);
    int calls = 0;
    weft_merge merge = {append, &calls};
    assert_ok(weft_map_merge(&map, KEY, weft_str("ab"), &merge));
    assert_int_equal(calls, 0);
    assert_ok(weft_map_merge(&map, KEY, weft_str("cd"), &merge));
    assert_int_equal(calls, 1);
    assert_string_equal(bed_text(&map, "key"), "abcd");
    bed_close(&map);
}

typedef struct plan {
    weft_verdict verdict;
    weft_bytes value;
    bool saw;
    int calls;
    weft_map *map;
} plan;

static weft_verdict follow_plan(void *ctx, const weft_view *old, weft_fresh *fresh) {
    plan *p = ctx;
    p->saw = old != NULL;
    p->calls++;
    fresh->body = p->value;
    return p->verdict;
}

static void compute_carries_out(void **state, weft_compute_mode mode) {
    weft_map map = bed_open(state);
    weft_outcome outcome;
    plan p = {WEFT_DEL, weft_str("v"), true, 0, &map};
    weft_compute compute = {follow_plan, &p, mode};
    assert_int_equal(weft_map_compute(&map, KEY, &compute, &outcome), WEFT_UNCHANGED);
    assert_int_equal(outcome.verdict, WEFT_KEEP);
    assert_false(outcome.existed);
    assert_int_equal(outcome.version, 0);
    p.verdict = WEFT_SET;
    assert_ok(weft_map_compute(&map, KEY, &compute, &outcome));
    assert_int_equal(outcome.verdict, WEFT_SET);
    assert_false(outcome.existed);
    assert_int_equal(outcome.version, bed_version(&map, "key"));
    p.verdict = WEFT_KEEP;
    assert_int_equal(weft_map_compute(&map, KEY, &compute, &outcome), WEFT_UNCHANGED);
    assert_true(outcome.existed && p.saw);
    assert_int_equal(outcome.version, bed_version(&map, "key"));
    p.verdict = WEFT_ABORT;
    assert_int_equal(weft_map_compute(&map, KEY, &compute, NULL), WEFT_ABORTED);
    uint64_t before = bed_version(&map, "key");
    p.verdict = WEFT_DEL;
    assert_ok(weft_map_compute(&map, KEY, &compute, &outcome));
    assert_int_equal(outcome.verdict, WEFT_DEL);
    assert_true(outcome.existed);
    assert_true(outcome.version > before);
    assert_true(weft_map_is_empty(&map));
    assert_true(mode == WEFT_EXCLUSIVE ? p.calls == 5 : p.calls >= 5);
    p.verdict = WEFT_SET;
    p.value = too_big(WEFT_VALUE_SIZE_MAX + 1);
    assert_int_equal(weft_map_compute(&map, KEY, &compute, NULL), WEFT_E_TOOBIG);
    bed_close(&map);
}

static void compute_optimistic(void **state) {
    compute_carries_out(state, WEFT_OPTIMISTIC);
}

static void compute_exclusive(void **state) {
    compute_carries_out(state, WEFT_EXCLUSIVE);
}

static weft_verdict interfere(void *ctx, const weft_view *old, weft_fresh *fresh) {
    plan *p = ctx;
    if (p->calls++ == 0) {
        assert_ok(weft_map_put(p->map, KEY, weft_str("theirs")));
    }
    p->saw = old != NULL;
    fresh->body = weft_str("mine");
    return WEFT_SET;
}

static void A_compute_notices_other_writers(void **state) {
    weft_map map = bed_open(state);
    plan p = {.map = &map};
    weft_compute compute = {interfere, &p, WEFT_EXCLUSIVE};
    assert_int_equal(weft_map_compute(&map, KEY, &compute, NULL), WEFT_MISMATCH);
    assert_int_equal(p.calls, 1);
    assert_string_equal(bed_text(&map, "key"), "theirs");
    p.calls = 0;
    compute.mode = WEFT_OPTIMISTIC;
    assert_ok(weft_map_compute(&map, KEY, &compute, NULL));
    assert_int_equal(p.calls, 2);
    assert_true(p.saw);
    assert_string_equal(bed_text(&map, "key"), "mine");
    bed_close(&map);
}

static weft_verdict enter_again(void *ctx, const weft_view *old, weft_fresh *fresh) {
    plan *p = ctx;
    weft_compute again = {enter_again, p, WEFT_EXCLUSIVE};
    (void)old;
    fresh->body = weft_str("v");
    if (p->calls++ == 0) {
        assert_int_equal(weft_map_compute(p->map, KEY, &again, NULL), WEFT_E_REENTRANT);
        assert_ok(weft_map_compute(p->map, OTHER, &again, NULL));
    }
    return WEFT_SET;
}

static void H_claims_notice_reentry(void **state) {
    weft_map map = bed_open(state);
    plan p = {.map = &map};
    weft_compute compute = {enter_again, &p, WEFT_EXCLUSIVE};
    assert_ok(weft_map_compute(&map, KEY, &compute, NULL));
    assert_int_equal(p.calls, 2);
    assert_int_equal(weft_map_len(&map), 2);
    bed_close(&map);
}

static int build(void *ctx, weft_bytes key, weft_fresh *fresh) {
    plan *p = ctx;
    weft_buffer out = {.capacity = 0};
    weft_build again = {build, p};
    weft_guard guard;
    assert_int_equal(key.size, 3);
    assert_int_equal(weft_map_get_or_build(p->map, key, &again, &out), WEFT_E_REENTRANT);
    weft_guard_enter(&guard); /* the builder is inside no guard: this one is the only one */
    weft_guard_leave(&guard);
    p->calls++;
    *fresh = (weft_fresh){weft_str("bu"), weft_str("ilt")};
    return p->calls == 1 ? 42 : WEFT_OK;
}

static void get_or_build_builds_once(void **state) {
    weft_map map = bed_open(state);
    char text[8];
    plan p = {.map = &map};
    weft_build builder = {build, &p};
    weft_buffer out = {.data = text, .capacity = sizeof text};
    assert_int_equal(weft_map_get_or_build(&map, KEY, &builder, &out), 42);
    assert_true(weft_map_is_empty(&map));
    assert_ok(weft_map_get_or_build(&map, KEY, &builder, &out));
    assert_int_equal(out.size, 5);
    assert_memory_equal(text, "built", 5);
    assert_int_equal(out.version, bed_version(&map, "key"));
    assert_ok(weft_map_get_or_build(&map, KEY, &builder, &out));
    assert_int_equal(p.calls, 2);
    out.capacity = 3;
    assert_int_equal(weft_map_get_or_build(&map, KEY, &builder, &out), WEFT_TRUNCATED);
    assert_ok(weft_map_remove(&map, KEY));
    assert_int_equal(weft_map_get_or_build(&map, KEY, &builder, &out), WEFT_TRUNCATED);
    assert_int_equal(p.calls, 3);
    bed_close(&map);
}

static bool is_long(void *ctx, const weft_view *entry) {
    (void)ctx;
    return entry->value.size > 3;
}

static void remove_if_asks(void **state) {
    weft_map map = bed_open(state);
    assert_int_equal(weft_map_remove_if(&map, KEY, is_long, NULL), WEFT_NOT_FOUND);
    assert_ok(weft_map_put(&map, KEY, weft_str("abc")));
    assert_int_equal(weft_map_remove_if(&map, KEY, is_long, NULL), WEFT_MISMATCH);
    assert_ok(weft_map_put(&map, KEY, weft_str("abcd")));
    assert_ok(weft_map_remove_if(&map, KEY, is_long, NULL));
    assert_int_equal(weft_map_remove(&map, KEY), WEFT_NOT_FOUND);
    bed_close(&map);
}

static void many_at_a_time(void **state) {
    weft_map map = bed_open(state);
    weft_bytes keys[3] = {KEY, OTHER, weft_str("third")};
    weft_bytes values[3] = {weft_str("1"), weft_str("2"), weft_str("3")};
    size_t removed = 99;
    assert_ok(weft_map_put_many(&map, keys, values, 3));
    assert_int_equal(weft_map_len(&map), 3);
    assert_string_equal(bed_text(&map, "third"), "3");
    assert_ok(weft_map_remove_many(&map, keys, 2, &removed));
    assert_int_equal(removed, 2);
    assert_ok(weft_map_remove_many(&map, keys, 3, &removed));
    assert_int_equal(removed, 1);
    keys[1] = too_big(WEFT_KEY_SIZE_MAX + 1);
    assert_int_equal(weft_map_put_many(&map, keys, values, 3), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_len(&map), 1);
    assert_int_equal(weft_map_remove_many(&map, keys, 3, NULL), WEFT_E_TOOBIG);
    assert_true(weft_map_is_empty(&map));
    bed_close(&map);
}

static void sizes_have_limits(void **state) {
    weft_map map = bed_open(state);
    weft_bytes key = too_big(WEFT_KEY_SIZE_MAX + 1);
    weft_bytes value = too_big(WEFT_VALUE_SIZE_MAX + 1);
    weft_bytes v = weft_str("v");
    weft_fresh fresh = {v, value};
    weft_buffer out = {.capacity = 0};
    plan p = {.map = &map};
    weft_compute compute = {follow_plan, &p, WEFT_EXCLUSIVE};
    weft_merge merge = {append, &p.calls};
    weft_build builder = {build, &p};
    assert_int_equal(weft_map_get(&map, key, &out), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_contains(&map, key), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_put(&map, key, v), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_put(&map, KEY, value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_swap(&map, KEY, value, &out), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_insert(&map, KEY, value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_get_or_insert(&map, KEY, value, &out), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_replace(&map, KEY, value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_cas(&map, KEY, v, value), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_replace_if_version(&map, key, 1, v), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_restore(&map, KEY, &fresh, 1), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_fetch_add(&map, key, 1, NULL), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_merge(&map, key, v, &merge), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_compute(&map, key, &compute, NULL), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_get_or_build(&map, key, &builder, &out), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove(&map, key), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove_eq(&map, key, v), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove_if(&map, key, is_long, NULL), WEFT_E_TOOBIG);
    assert_int_equal(weft_map_remove_if_version(&map, key, 1), WEFT_E_TOOBIG);
    assert_true(weft_map_is_empty(&map));
    bed_close(&map);
}

static void large_keys_and_values_are_whole(void **state) {
    weft_map map = bed_open(state);
    size_t size = WEFT_KEY_SIZE_MAX;
    unsigned char *key = malloc(size);
    unsigned char *copy = malloc(size);
    assert_non_null(key);
    assert_non_null(copy);
    memset(key, 'k', size);
    assert_ok(weft_map_put(&map, weft_bytes_of(key, size), weft_bytes_of(key, size)));
    key[size - 1] = 'x';
    assert_int_equal(weft_map_contains(&map, weft_bytes_of(key, size)), WEFT_NOT_FOUND);
    assert_int_equal(weft_map_contains(&map, weft_bytes_of(key, size - 1)), WEFT_NOT_FOUND);
    key[size - 1] = 'k';
    weft_buffer out = {.data = copy, .capacity = size};
    assert_ok(weft_map_get(&map, weft_bytes_of(key, size), &out));
    assert_int_equal(out.size, size);
    assert_memory_equal(copy, key, size);
    free(copy);
    free(key);
    bed_close(&map);
}

static void references_need_the_option(void **state) {
    weft_map map = bed_open(state);
    weft_ref ref = {.entry = NULL};
    assert_int_equal(weft_map_acquire(&map, KEY, &ref), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_take(&map, KEY, &ref), WEFT_E_UNSUPPORTED);
    weft_ref_release(&ref);
    bed_close(&map);
}

static void count_lines(void *ctx, const char *line) {
    assert_null(strchr(line, '\n'));
    ++*(int *)ctx;
}

static void stats_and_dump_tell(void **state) {
    weft_map map = bed_open(state);
    weft_map_stats stats;
    int lines = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_ok(weft_map_put(&map, bed_number(&i), weft_str("12345678")));
    }
    weft_map_stats_get(&map, &stats);
    assert_int_equal(stats.entries, 1000);
    assert_int_equal(stats.entry_bytes, 1000 * (16 + 8 + 8));
    assert_true(stats.buckets > 0 && stats.table_bytes > 0 && stats.growths > 0);
    assert_int_equal(stats.era, 0);
    weft_map_dump(&map, count_lines, &lines);
    assert_true(lines > 0);
    bed_close(&map);
}

static const bed_test tests[] = {
    BED(open_refuses_bad_options),
    BED(never_used_map_reads_as_empty),
    BED(static_initialiser_opens_by_first_write),
    BED(put_and_get),
    BED(empty_keys_and_values_are_legal),
    BED(get_truncates),
    BED(get_many_answers_each),
    BED(peek_needs_a_guard),
    BED(swap_insert_replace),
    BED(get_or_insert_shows_what_is_there),
    BED(cas_compares_bytes),
    BED(D_versions_grow_also_across_remove),
    BED(D_conditions_on_versions),
    BED(D_restore_keeps_versions),
    BED(fetch_counts),
    BED(merge_joins),
    BED(compute_optimistic),
    BED(compute_exclusive),
    BED(A_compute_notices_other_writers),
    BED(H_claims_notice_reentry),
    BED(get_or_build_builds_once),
    BED(remove_if_asks),
    BED(many_at_a_time),
    BED(sizes_have_limits),
    BED(large_keys_and_values_are_whole),
    BED(references_need_the_option),
    BED(stats_and_dump_tell),
};

BED_MAIN(tests)
