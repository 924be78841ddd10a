/* SPDX-License-Identifier: MIT */
/* compute and get_or_build: verdicts, outcomes, claims, re-entry. */
#include "contract/contract.h"

#include "base/lock.h"

/* A callback that does as it is told, and counts. */
typedef struct script {
    weft_verdict verdict;
    const char *head;
    const char *body;
    int calls;
    bool saw_old;
} script;

static weft_verdict play(void *ctx, const weft_view *old, weft_fresh *fresh) {
    script *s = ctx;
    s->calls++;
    s->saw_old = old != NULL;
    if (s->verdict == WEFT_SET) {
        *fresh = (weft_fresh){weft_str(s->head), weft_str(s->body)};
    }
    return s->verdict;
}

static const weft_compute_mode modes[] = {WEFT_OPTIMISTIC, WEFT_EXCLUSIVE};

static int compute(weft_map *map, weft_compute_mode mode, script *s, weft_outcome *outcome) {
    weft_compute c = {play, s, mode};
    return weft_map_compute(map, weft_str("k"), &c, outcome);
}

static void set_joins_both_pieces(void **state) {
    for (size_t m = 0; m < COUNT_OF(modes); m++) {
        weft_map map = contract_open(state);
        weft_outcome outcome;
        script s = {.verdict = WEFT_SET, .head = "ab", .body = "cde"};
        assert_int_equal(compute(&map, modes[m], &s, &outcome), WEFT_OK);
        assert_int_equal(outcome.verdict, WEFT_SET);
        assert_false(outcome.existed);
        assert_false(s.saw_old);
        assert_int_equal(outcome.version, version_of(&map, weft_str("k")));
        assert_value(&map, "k", "abcde");
        s.head = "";
        assert_int_equal(compute(&map, modes[m], &s, &outcome), WEFT_OK);
        assert_true(outcome.existed && s.saw_old);
        assert_true(modes[m] == WEFT_OPTIMISTIC || s.calls == 2);
        assert_value(&map, "k", "cde");
        assert_int_equal(compute(&map, modes[m], &s, NULL), WEFT_OK);
        contract_close(&map);
    }
}

static void keep_and_abort_change_nothing(void **state) {
    for (size_t m = 0; m < COUNT_OF(modes); m++) {
        weft_map map = contract_open(state);
        weft_outcome outcome;
        script keep = {.verdict = WEFT_KEEP}, stop = {.verdict = WEFT_ABORT};
        assert_int_equal(compute(&map, modes[m], &keep, &outcome), WEFT_UNCHANGED);
        assert_false(outcome.existed);
        assert_int_equal(outcome.version, 0);
        weft_map_put(&map, weft_str("k"), weft_str("a"));
        uint64_t version = version_of(&map, weft_str("k"));
        assert_int_equal(compute(&map, modes[m], &keep, &outcome), WEFT_UNCHANGED);
        assert_int_equal(outcome.verdict, WEFT_KEEP);
        assert_true(outcome.existed);
        assert_int_equal(outcome.version, version);
        assert_int_equal(compute(&map, modes[m], &stop, &outcome), WEFT_ABORTED);
        assert_int_equal(outcome.verdict, WEFT_ABORT);
        assert_int_equal(outcome.version, version);
        assert_value(&map, "k", "a");
        assert_int_equal(version_of(&map, weft_str("k")), version);
        contract_close(&map);
    }
}

static void del_removes_what_is_there(void **state) {
    for (size_t m = 0; m < COUNT_OF(modes); m++) {
        weft_map map = contract_open(state);
        weft_outcome outcome;
        script s = {.verdict = WEFT_DEL};
        assert_int_equal(compute(&map, modes[m], &s, &outcome), WEFT_UNCHANGED);
        assert_int_equal(outcome.verdict, WEFT_KEEP);
        weft_map_put(&map, weft_str("k"), weft_str("a"));
        uint64_t version = version_of(&map, weft_str("k"));
        assert_int_equal(compute(&map, modes[m], &s, &outcome), WEFT_OK);
        assert_int_equal(outcome.verdict, WEFT_DEL);
        assert_true(outcome.existed);
        assert_true(outcome.version > version);
        assert_absent(&map, "k");
        contract_close(&map);
    }
}

/* ---- claims ---------------------------------------------------------------------------------- */

typedef struct nested {
    weft_map *map;
    const char *key; /* what the callback computes inside */
    int inside;      /* … and what that answered */
} nested;

static weft_verdict compute_inside(void *ctx, const weft_view *old, weft_fresh *fresh) {
    nested *n = ctx;
    script s = {.verdict = WEFT_SET, .head = "in", .body = "side"};
    weft_compute c = {play, &s, WEFT_EXCLUSIVE};
    (void)old;
    n->inside = weft_map_compute(n->map, weft_str(n->key), &c, NULL);
    fresh->body = weft_str("outside");
    return WEFT_SET;
}

static void test_H_claim_held_twice_is_reentrant(void **state) {
    weft_map map = contract_open(state);
    nested n = {&map, "k", WEFT_OK};
    weft_compute c = {compute_inside, &n, WEFT_EXCLUSIVE};
    assert_int_equal(weft_map_compute(&map, weft_str("k"), &c, NULL), WEFT_OK);
    assert_int_equal(n.inside, WEFT_E_REENTRANT);
    assert_value(&map, "k", "outside");
    n.key = "other";
    assert_int_equal(weft_map_compute(&map, weft_str("k"), &c, NULL), WEFT_OK);
    assert_int_equal(n.inside, WEFT_OK);
    assert_value(&map, "other", "inside");
    contract_close(&map);
}

static void test_H_optimistic_callbacks_use_the_map(void **state) {
    weft_map map = contract_open(state);
    nested n = {&map, "other", WEFT_E_BUSY};
    weft_compute c = {compute_inside, &n, WEFT_OPTIMISTIC};
    assert_int_equal(weft_map_compute(&map, weft_str("k"), &c, NULL), WEFT_OK);
    assert_int_equal(n.inside, WEFT_OK);
    assert_value(&map, "k", "outside");
    assert_value(&map, "other", "inside");
    contract_close(&map);
}

static weft_verdict overtaken(void *ctx, const weft_view *old, weft_fresh *fresh) {
    weft_map *map = ctx;
    (void)old;
    REQUIRE(weft_map_put(map, weft_str("k"), weft_str("other")) == WEFT_OK);
    fresh->body = weft_str("mine");
    return WEFT_SET;
}

static void exclusive_is_told_of_other_writers(void **state) {
    weft_map map = contract_open(state);
    weft_compute c = {overtaken, &map, WEFT_EXCLUSIVE};
    weft_outcome outcome;
    assert_int_equal(weft_map_compute(&map, weft_str("k"), &c, &outcome), WEFT_MISMATCH);
    assert_value(&map, "k", "other");
    assert_int_equal(weft_map_compute(&map, weft_str("k"), &c, &outcome), WEFT_MISMATCH);
    assert_value(&map, "k", "other");
    contract_close(&map);
}

typedef struct overlap {
    uint64_t inside;
    uint64_t runs;
} overlap;

static weft_verdict add_slowly(void *ctx, const weft_view *old, weft_fresh *fresh) {
    static __thread uint64_t next;
    overlap *o = ctx;
    REQUIRE(weft_fetch_add_acq_rel(&o->inside, 1) == 0); /* pairs with the subtraction */
    weft_yield();
    weft_fetch_add_relaxed(&o->runs, 1);
    next = old == NULL ? 1 : u64_of_bytes(old->value) + 1;
    fresh->body = bytes_of_u64(&next);
    weft_fetch_add_acq_rel(&o->inside, (uint64_t)-1); /* pairs with the addition */
    return WEFT_SET;
}

enum { ADDERS = 3, ADDITIONS = 300 };

static void add_often(contract_worker *worker) {
    uint64_t key = 7;
    weft_compute c = {add_slowly, worker->ctx, WEFT_EXCLUSIVE};
    for (int i = 0; i < ADDITIONS; i++) {
        REQUIRE(weft_map_compute(worker->map, bytes_of_u64(&key), &c, NULL) == WEFT_OK);
    }
}

static void exclusive_runs_once_each_and_alone(void **state) {
    weft_map map = contract_open(state);
    overlap o = {0, 0};
    contract_together(ADDERS, add_often, &map, &o);
    uint64_t sum;
    assert_int_equal(get_u64(&map, 7, &sum), WEFT_OK);
    assert_int_equal(sum, ADDERS * ADDITIONS);
    assert_int_equal(o.runs, ADDERS * ADDITIONS);
    contract_close(&map);
}

/* ---- get_or_build ---------------------------------------------------------------------------- */

typedef struct builder {
    weft_map *map;
    uint64_t calls;
    uint64_t fail; /* so many calls fail first */
    int inside;
} builder;

static int build(void *ctx, weft_bytes key, weft_fresh *fresh) {
    builder *b = ctx;
    weft_sleep_ns(200000);
    if (weft_fetch_add_relaxed(&b->calls, 1) < b->fail) {
        return 42;
    }
    *fresh = (weft_fresh){weft_str("built "), key};
    return 0;
}

static void build_runs_for_absent_keys_only(void **state) {
    weft_map map = contract_open(state);
    builder b = {.map = &map};
    weft_build how = {build, &b};
    char text[16];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_map_get_or_build(&map, weft_str("k"), &how, &out), WEFT_OK);
        assert_int_equal(out.size, 7);
        assert_memory_equal(text, "built k", 7);
    }
    assert_int_equal(b.calls, 1);
    assert_int_equal(out.version, version_of(&map, weft_str("k")));
    out.capacity = 3;
    assert_int_equal(weft_map_get_or_build(&map, weft_str("k"), &how, &out), WEFT_TRUNCATED);
    assert_int_equal(weft_map_get_or_build(&map, weft_str("j"), &how, &out), WEFT_TRUNCATED);
    assert_int_equal(b.calls, 2);
    contract_close(&map);
}

static void failing_build_leaves_nothing(void **state) {
    weft_map map = contract_open(state);
    builder b = {.map = &map, .fail = 1};
    weft_build how = {build, &b};
    weft_buffer out = {.capacity = 0};
    assert_int_equal(weft_map_get_or_build(&map, weft_str("k"), &how, &out), 42);
    assert_absent(&map, "k");
    assert_int_equal(weft_map_get_or_build(&map, weft_str("k"), &how, &out), WEFT_TRUNCATED);
    assert_value(&map, "k", "built k");
    contract_close(&map);
}

static int build_inside(void *ctx, weft_bytes key, weft_fresh *fresh) {
    builder *b = ctx;
    weft_build again = {build_inside, b};
    weft_buffer out = {.capacity = 0};
    if (b->calls++ == 0) {
        b->inside = weft_map_get_or_build(b->map, key, &again, &out);
    }
    fresh->body = weft_str("done");
    return 0;
}

static void test_H_builder_of_its_own_key_is_reentrant(void **state) {
    weft_map map = contract_open(state);
    builder b = {.map = &map};
    weft_build how = {build_inside, &b};
    weft_buffer out = {.capacity = 0};
    assert_int_equal(weft_map_get_or_build(&map, weft_str("k"), &how, &out), WEFT_TRUNCATED);
    assert_int_equal(b.inside, WEFT_E_REENTRANT);
    assert_int_equal(b.calls, 1);
    assert_value(&map, "k", "done");
    contract_close(&map);
}

static void want_built(contract_worker *worker) {
    weft_build how = {build, worker->ctx};
    char text[16];
    weft_buffer out = {.data = text, .capacity = sizeof text};
    int status = weft_map_get_or_build(worker->map, weft_str("k"), &how, &out);
    REQUIRE(status == 42 || (status == WEFT_OK && out.size == 7));
}

static void one_thread_builds_and_others_wait(void **state) {
    for (int round = 0; round < 20; round++) {
        weft_map map = contract_open(state);
        builder b = {.map = &map};
        contract_together(4, want_built, &map, &b);
        assert_int_equal(b.calls, 1);
        contract_close(&map);
    }
}

static void failing_builder_wakes_the_next(void **state) {
    for (int round = 0; round < 20; round++) {
        weft_map map = contract_open(state);
        builder b = {.map = &map, .fail = 2};
        contract_together(4, want_built, &map, &b);
        assert_int_equal(b.calls, 3);
        assert_value(&map, "k", "built k");
        contract_close(&map);
    }
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(set_joins_both_pieces),
        CONTRACT(keep_and_abort_change_nothing),
        CONTRACT(del_removes_what_is_there),
        CONTRACT(test_H_claim_held_twice_is_reentrant),
        CONTRACT(test_H_optimistic_callbacks_use_the_map),
        CONTRACT(exclusive_is_told_of_other_writers),
        CONTRACT_THREADS(exclusive_runs_once_each_and_alone),
        CONTRACT(build_runs_for_absent_keys_only),
        CONTRACT(failing_build_leaves_nothing),
        CONTRACT(test_H_builder_of_its_own_key_is_reentrant),
        CONTRACT_THREADS(one_thread_builds_and_others_wait),
        CONTRACT_THREADS(failing_builder_wakes_the_next),
    };
    return contract_run("contract/compute", tests, COUNT_OF(tests));
}
