/* SPDX-License-Identifier: MIT */
/* C and F: what guards and references protect, who owns what, and when destructors run, and why. */
#include "contract/contract.h"

#define KEY weft_str("key")

/* What the destructor saw. It frees adopted memory. */
typedef struct ledger {
    int reasons[16];
    int keys_without_data;
    bool free_keys;
    bool free_values;
    weft_map *map; /* used by the destructor, if not NULL */
} ledger;

static void note(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    ledger *l = ctx;
    __atomic_fetch_add(&l->reasons[reason], 1, __ATOMIC_RELAXED);
    l->keys_without_data += key.data == NULL;
    if (l->free_keys) {
        free((void *)(uintptr_t)key.data);
    }
    if (l->free_values) {
        free((void *)(uintptr_t)value.data);
    }
    if (l->map != NULL) {
        assert_ok(weft_map_put(l->map, weft_str("again"), weft_str("v")));
        assert_int_equal(weft_map_contains(l->map, weft_str("nowhere")), WEFT_NOT_FOUND);
    }
}

static int total(const ledger *l) {
    int sum = 0;
    for (int i = 0; i < 16; i++) {
        sum += l->reasons[i];
    }
    return sum;
}

static weft_map open_with(void **state, ledger *l, weft_own key, weft_own value) {
    weft_map_options options = contract_options(state);
    weft_map map;
    options.destructor = note;
    options.destructor_ctx = l;
    options.key_own = key;
    options.value_own = value;
    l->free_keys = key == WEFT_OWN_ADOPT;
    l->free_values = value == WEFT_OWN_ADOPT;
    assert_ok(weft_map_open(&map, &options));
    return map;
}

static weft_bytes owned(const char *text) {
    return weft_str(strdup(text));
}

static void settle(weft_map *map) {
    for (int i = 0; i < 1000 && weft_map_maintain(map, 1000) != WEFT_OK; i++) {
    }
}

static void F_destructors_tell_why(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_with(state, &l, WEFT_OWN_COPY, WEFT_OWN_COPY);
    assert_ok(weft_map_put(&map, KEY, weft_str("1")));
    assert_ok(weft_map_put(&map, KEY, weft_str("2")));
    settle(&map);
    assert_int_equal(l.reasons[WEFT_REPLACED], 1);
    assert_ok(weft_map_remove(&map, KEY));
    settle(&map);
    assert_int_equal(l.reasons[WEFT_REMOVED], 1);
    assert_ok(weft_map_put(&map, KEY, weft_str("3")));
    assert_ok(weft_map_put(&map, weft_str("b"), weft_str("3")));
    assert_ok(weft_map_clear(&map));
    settle(&map);
    assert_int_equal(l.reasons[WEFT_CLEARED], 2);
    assert_ok(weft_map_put(&map, KEY, weft_str("4")));
    contract_close(&map);
    assert_int_equal(l.reasons[WEFT_DESTROYED], 1);
    assert_int_equal(total(&l), 5);
}

static void F_destructors_run_once_each_under_churn(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_with(state, &l, WEFT_OWN_COPY, WEFT_OWN_COPY);
    int made = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t key = i * 7919 % 1000;
        if (i % 3 == 2) {
            weft_map_remove(&map, bytes_of_u64(&key));
        } else {
            assert_ok(weft_map_put(&map, bytes_of_u64(&key), bytes_of_u64(&i)));
            made++;
        }
        if (i % 6000 == 5999) {
            assert_ok(weft_map_clear(&map));
        }
    }
    contract_close(&map);
    assert_int_equal(total(&l), made);
}

static void F_destructors_may_use_the_map(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_with(state, &l, WEFT_OWN_COPY, WEFT_OWN_COPY);
    l.map = &map;
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t key = i % 10;
        assert_ok(weft_map_put(&map, bytes_of_u64(&key), bytes_of_u64(&i)));
        if (i % 1000 == 0) {
            assert_ok(weft_map_clear(&map));
        }
    }
    for (int i = 0; i < 20; i++) {
        weft_map_maintain(&map, 100);
    }
    assert_true(total(&l) > 0);
    l.map = NULL;
    contract_close(&map);
}

static void adopted_memory_is_freed_once(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_with(state, &l, WEFT_OWN_ADOPT, WEFT_OWN_ADOPT);
    weft_bytes mine = owned("mine");
    assert_ok(weft_map_put(&map, owned("key"), owned("1")));
    assert_ok(weft_map_put(&map, owned("key"), owned("2")));
    assert_value(&map, "key", "2");
    assert_int_equal(weft_map_insert(&map, KEY, mine), WEFT_EXISTS); /* nothing is taken */
    assert_ok(weft_map_replace(&map, KEY, mine));                    /* the value is */
    assert_value(&map, "key", "mine");
    assert_ok(weft_map_cas(&map, KEY, weft_str("mine"), owned("cas")));
    weft_bytes lost = owned("lost");
    assert_int_equal(weft_map_cas(&map, KEY, weft_str("no"), lost), WEFT_MISMATCH);
    free((void *)(uintptr_t)lost.data);
    assert_int_equal(weft_map_fetch_add(&map, KEY, 1, NULL), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_merge(&map, KEY, KEY, NULL), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_compute(&map, KEY, NULL, NULL), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_restore(&map, KEY, NULL, 1), WEFT_E_UNSUPPORTED);
    assert_int_equal(weft_map_get_or_build(&map, weft_str("no"), NULL, NULL), WEFT_E_UNSUPPORTED);
    contract_close(&map);
    assert_int_equal(l.keys_without_data, 2);
    assert_int_equal(total(&l), 4);
}

static void adopted_keys_and_copied_values(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_with(state, &l, WEFT_OWN_ADOPT, WEFT_OWN_COPY);
    assert_ok(weft_map_fetch_add(&map, owned("n"), 1, NULL));    /* absent: the key is taken */
    assert_ok(weft_map_fetch_add(&map, weft_str("n"), 1, NULL)); /* present: it is not */
    contract_close(&map);
    assert_int_equal(l.keys_without_data, 1);
    assert_int_equal(total(&l), 2);
}

static void borrowed_memory_is_shown_in_place(void **state) {
    static const char key[] = "key";
    static const char value[] = "value";
    weft_map_options options = contract_options(state);
    weft_map map;
    weft_guard guard;
    weft_view view;
    options.key_own = WEFT_OWN_BORROW;
    options.value_own = WEFT_OWN_BORROW;
    assert_ok(weft_map_open(&map, &options));
    assert_ok(weft_map_put(&map, weft_str(key), weft_str(value)));
    weft_guard_enter(&guard);
    assert_ok(weft_map_peek(&map, weft_str("key"), &guard, &view));
    assert_ptr_equal(view.key.data, key);
    assert_ptr_equal(view.value.data, value);
    weft_guard_leave(&guard);
    contract_close(&map);
}

static void C_guards_keep_what_they_saw(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_with(state, &l, WEFT_OWN_COPY, WEFT_OWN_COPY);
    weft_guard guard;
    weft_view view;
    assert_ok(weft_map_put(&map, KEY, weft_str("precious")));
    weft_guard_enter(&guard);
    assert_ok(weft_map_peek(&map, KEY, &guard, &view));
    assert_ok(weft_map_put(&map, KEY, weft_str("other")));
    assert_ok(weft_map_clear(&map));
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t key = i % 16;
        assert_ok(weft_map_put(&map, bytes_of_u64(&key), bytes_of_u64(&i)));
        weft_map_maintain(&map, 100);
    }
    assert_memory_equal(view.value.data, "precious", 8);
    assert_memory_equal(view.key.data, "key", 3);
    assert_int_equal(total(&l), 0);
    assert_int_equal(weft_map_maintain(&map, 100), WEFT_E_BUSY);
    assert_int_equal(weft_map_close(&map), WEFT_E_BUSY);
    weft_guard_leave(&guard);
    settle(&map);
    assert_true(total(&l) > 1000);
    contract_close(&map);
}

static void C_movable_guards_protect_too(void **state) {
    weft_map map = contract_open(state);
    weft_guard guard;
    weft_view view;
    assert_ok(weft_map_put(&map, KEY, weft_str("precious")));
    weft_guard_enter_movable(&guard);
    assert_ok(weft_map_peek(&map, KEY, &guard, &view));
    assert_ok(weft_map_remove(&map, KEY));
    for (int i = 0; i < 10; i++) {
        weft_map_maintain(&map, 100);
    }
    assert_memory_equal(view.value.data, "precious", 8);
    weft_guard_leave(&guard);
    contract_close(&map);
}

static weft_map open_counted(void **state, ledger *l) {
    weft_map_options options = contract_options(state);
    weft_map map;
    options.refcount = true;
    options.destructor = note;
    options.destructor_ctx = l;
    assert_ok(weft_map_open(&map, &options));
    return map;
}

static void C_references_outlive_removal(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_counted(state, &l);
    weft_ref first;
    weft_ref second;
    assert_int_equal(weft_map_acquire(&map, KEY, &first), WEFT_NOT_FOUND);
    assert_ok(weft_map_put(&map, KEY, weft_str("v")));
    assert_ok(weft_map_acquire(&map, KEY, &first));
    assert_int_equal(first.view.version, version_of(&map, weft_str("key")));
    assert_ok(weft_map_take(&map, KEY, &second));
    assert_int_equal(weft_map_take(&map, KEY, &second), WEFT_NOT_FOUND);
    assert_true(second.view.version != 0 && second.view.version == first.view.version);
    settle(&map);
    assert_int_equal(total(&l), 0);
    assert_memory_equal(first.view.value.data, "v", 1);
    weft_ref_release(&first);
    weft_ref_release(&first);
    assert_int_equal(total(&l), 0);
    assert_int_equal(weft_map_close(&map), WEFT_E_BUSY);
    weft_ref_release(&second);
    assert_int_equal(l.reasons[WEFT_REMOVED], 1);
    contract_close(&map);
    assert_int_equal(total(&l), 1);
}

static void C_references_outlive_clear(void **state) {
    ledger l = {.map = NULL};
    weft_map map = open_counted(state, &l);
    weft_ref ref;
    assert_ok(weft_map_put(&map, KEY, weft_str("v")));
    assert_ok(weft_map_acquire(&map, KEY, &ref));
    assert_ok(weft_map_clear(&map));
    settle(&map);
    assert_memory_equal(ref.view.key.data, "key", 3);
    assert_int_equal(total(&l), 0);
    weft_ref_release(&ref);
    assert_int_equal(l.reasons[WEFT_CLEARED], 1);
    contract_close(&map);
}

static void garbage_is_bounded_without_guards(void **state) {
    weft_map map = contract_open(state);
    static const char value[1000] = "v";
    weft_map_stats stats;
    uint64_t most = 0;
    for (int i = 0; i < 50000; i++) {
        assert_ok(weft_map_put(&map, KEY, weft_bytes_of(value, sizeof value)));
        if (i % 100 == 0) {
            weft_map_stats_get(&map, &stats);
            most = stats.pending_bytes > most ? stats.pending_bytes : most;
        }
    }
    assert_true(most < 1 << 20);
    settle(&map);
    weft_map_stats_get(&map, &stats);
    assert_int_equal(stats.pending_bytes, 0);
    assert_int_equal(stats.pending_objects, 0);
    contract_close(&map);
}

static const contract_test tests[] = {
    CONTRACT(F_destructors_tell_why),
    CONTRACT(F_destructors_run_once_each_under_churn),
    CONTRACT(F_destructors_may_use_the_map),
    CONTRACT(adopted_memory_is_freed_once),
    CONTRACT(adopted_keys_and_copied_values),
    CONTRACT(borrowed_memory_is_shown_in_place),
    CONTRACT(C_guards_keep_what_they_saw),
    CONTRACT(C_movable_guards_protect_too),
    CONTRACT(C_references_outlive_removal),
    CONTRACT(C_references_outlive_clear),
    CONTRACT(garbage_is_bounded_without_guards),
};

int main(void) {
    return contract_run("contract/lifetime", tests, COUNT_OF(tests));
}
