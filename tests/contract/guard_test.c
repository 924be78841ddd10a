/* SPDX-License-Identifier: MIT */
/* Guards that stand still: what they hold back is reported, and freed once they are left. [C] */
#include "contract/contract.h"

#include "base/lock.h"

enum { KEYS = 50, REWRITES = 2000, VALUE_SIZE = 1000 };

static weft_reclaim_stats reclaim_stats(void) {
    weft_reclaim_stats stats;
    weft_reclaim_stats_get(&stats);
    return stats;
}

/* Garbage: each write retires a kilobyte. */
static void rewrite_much(weft_map *map) {
    static const char value[VALUE_SIZE];
    for (uint64_t i = 0; i < REWRITES; i++) {
        uint64_t key = i % KEYS;
        REQUIRE(weft_map_put(map, bytes_of_u64(&key), weft_bytes_of(value, VALUE_SIZE)) == WEFT_OK);
    }
}

/* A thread that looks at an entry, and stands still until told. */
typedef struct sleeper {
    weft_guard guard;
    bool movable;
    weft_view view;
    uint64_t inside;
    uint64_t leave;
} sleeper;

static void sleep_inside(contract_worker *worker) {
    sleeper *s = worker->ctx;
    uint64_t key = 1;
    if (s->movable) {
        weft_guard_enter_movable(&s->guard);
    } else {
        weft_guard_enter(&s->guard);
    }
    REQUIRE(weft_map_peek(worker->map, bytes_of_u64(&key), &s->guard, &s->view) == WEFT_OK);
    weft_store_release(&s->inside, 1);                         /* pairs with wait_until_inside */
    while (!s->movable && weft_load_acquire(&s->leave) == 0) { /* pairs with the test */
        weft_sleep_ns(1000000);
    }
    if (!s->movable) {
        REQUIRE(u64_of_bytes(s->view.value) == 1);
        weft_guard_leave(&s->guard);
    }
}

static void wait_until_inside(const sleeper *s) {
    while (weft_load_acquire(&s->inside) == 0) { /* pairs with sleep_inside */
        weft_sleep_ns(1000000);
    }
}

static void test_C_stalled_guard_is_reported(void **state) {
    weft_map map = contract_open(state);
    sleeper s = {.movable = false};
    contract_crew crew = {.run = sleep_inside};
    put_range(&map, 0, KEYS);
    contract_sound(&map);
    contract_start(&crew, 1, &map, &s);
    wait_until_inside(&s);
    rewrite_much(&map);
    weft_map_maintain(&map, REWRITES);
    weft_sleep_ns(2000000);
    assert_int_equal(weft_map_maintain(&map, REWRITES), WEFT_E_BUSY);
    weft_reclaim_stats held = reclaim_stats();
    assert_true(held.guards >= 1);
    assert_true(held.oldest_guard_ns >= 1000000);
    assert_true(held.pending_objects >= REWRITES / 2);
    assert_true(held.pending_bytes >= (uint64_t)REWRITES / 2 * VALUE_SIZE);
    weft_store_release(&s.leave, 1); /* pairs with sleep_inside */
    contract_join(&crew);
    contract_sound(&map); /* nothing is pending */
    weft_reclaim_stats after = reclaim_stats();
    assert_int_equal(after.guards, 0);
    assert_int_equal(after.pending_objects, 0);
    assert_int_equal(after.pending_bytes, 0);
    assert_int_equal(after.oldest_guard_ns, 0);
    assert_true(after.advances > held.advances);
    contract_close(&map);
}

static void test_C_movable_guard_is_left_by_another_thread(void **state) {
    weft_map map = contract_open(state);
    sleeper s = {.movable = true};
    put_range(&map, 0, KEYS);
    contract_together(1, sleep_inside, &map, &s); /* the thread that entered it is gone */
    rewrite_much(&map);
    assert_int_equal(weft_map_clear(&map), WEFT_OK);
    assert_int_equal(weft_map_maintain(&map, REWRITES), WEFT_E_BUSY);
    assert_int_equal(u64_of_bytes(s.view.key), 1);
    assert_int_equal(u64_of_bytes(s.view.value), 1);
    weft_guard_leave(&s.guard);
    contract_close(&map);
    assert_int_equal(reclaim_stats().pending_objects, 0);
}

static void guards_nest(void **state) {
    weft_map map = contract_open(state);
    weft_guard guards[20];
    weft_view view;
    uint64_t key = 1;
    put_range(&map, 0, KEYS);
    for (size_t i = 0; i < COUNT_OF(guards); i++) {
        if (i % 3 == 2) {
            weft_guard_enter_movable(&guards[i]);
        } else {
            weft_guard_enter(&guards[i]);
        }
    }
    assert_int_equal(weft_map_peek(&map, bytes_of_u64(&key), &guards[0], &view), WEFT_OK);
    for (size_t i = COUNT_OF(guards) - 1; i > 0; i--) {
        rewrite_much(&map);
        weft_map_maintain(&map, REWRITES);
        assert_int_equal(u64_of_bytes(view.value), 1);
        weft_guard_leave(&guards[i]);
    }
    assert_int_equal(weft_map_close(&map), WEFT_E_BUSY);
    weft_guard_leave(&guards[0]);
    contract_close(&map);
}

int main(void) {
    static const contract_test tests[] = {
        CONTRACT(test_C_stalled_guard_is_reported),
        CONTRACT(test_C_movable_guard_is_left_by_another_thread),
        CONTRACT(guards_nest),
    };
    return contract_run("contract/guard", tests, COUNT_OF(tests));
}
