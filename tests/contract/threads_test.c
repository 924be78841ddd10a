/* SPDX-License-Identifier: MIT */
/* A, C, F between threads: no update is lost, what was written before is seen, every entry is
 * destroyed once; threads exit and processes fork at any time. */
#include "contract/contract.h"

#include <sys/wait.h>
#include <unistd.h>
#include <weft/u64map.h>

enum { THREADS = 4, HOT = 4, TURNS = 4000 };

/* ---- A: nothing is lost ---------------------------------------------------------------------- */

typedef int (*add_fn)(weft_map *map, uint64_t key);

static int add_by_fetch(weft_map *map, uint64_t key) {
    return weft_map_fetch_add(map, bytes_of_u64(&key), 1, NULL);
}

static int add_by_cas(weft_map *map, uint64_t key) {
    for (;;) {
        uint64_t old = 0;
        int status = get_u64(map, key, &old);
        uint64_t next = old + 1;
        status =
            status == WEFT_NOT_FOUND
                ? weft_map_insert(map, bytes_of_u64(&key), bytes_of_u64(&next))
                : weft_map_cas(map, bytes_of_u64(&key), bytes_of_u64(&old), bytes_of_u64(&next));
        if (status == WEFT_OK || status < 0) {
            return status;
        }
    }
}

static int add_by_version(weft_map *map, uint64_t key) {
    uint64_t zero = 0;
    uint64_t old;
    weft_buffer out = {.data = &old, .capacity = sizeof old};
    for (;;) {
        int status = weft_map_get_or_insert(map, bytes_of_u64(&key), bytes_of_u64(&zero), &out);
        uint64_t next = old + 1;
        if (status >= 0) {
            status = weft_map_replace_if_version(map, bytes_of_u64(&key), out.version,
                                                 bytes_of_u64(&next));
        }
        if (status == WEFT_OK || status < 0) {
            return status;
        }
    }
}

static weft_verdict increment(void *ctx, const weft_view *old, weft_fresh *fresh) {
    uint64_t *next = ctx;
    *next = old == NULL ? 1 : u64_of_bytes(old->value) + 1;
    fresh->body = bytes_of_u64(next);
    return WEFT_SET;
}

static int add_by_compute(weft_map *map, uint64_t key) {
    uint64_t next;
    weft_compute compute = {increment, &next, WEFT_OPTIMISTIC};
    return weft_map_compute(map, bytes_of_u64(&key), &compute, NULL);
}

static int add_by_claim(weft_map *map, uint64_t key) {
    uint64_t next;
    weft_compute compute = {increment, &next, WEFT_EXCLUSIVE};
    return weft_map_compute(map, bytes_of_u64(&key), &compute, NULL);
}

static void sum_up(void *ctx, weft_bytes old, weft_bytes operand, weft_fresh *fresh) {
    uint64_t *sum = ctx;
    *sum = u64_of_bytes(old) + u64_of_bytes(operand);
    fresh->body = bytes_of_u64(sum);
}

static int add_by_merge(weft_map *map, uint64_t key) {
    uint64_t sum;
    uint64_t one = 1;
    weft_merge merge = {sum_up, &sum};
    return weft_map_merge(map, bytes_of_u64(&key), bytes_of_u64(&one), &merge);
}

static void count_up(contract_worker *worker) {
    add_fn add = *(const add_fn *)worker->ctx;
    for (uint64_t i = 0; i < TURNS; i++) {
        REQUIRE(add(worker->map, i % HOT) == WEFT_OK);
        /* Beside it the table grows and shrinks. */
        uint64_t other = 1000 * (worker->index + 1) + i % 997;
        if (i / 997 % 2 == 0) {
            REQUIRE(put_u64(worker->map, other, i) == WEFT_OK);
        } else {
            REQUIRE(remove_u64(worker->map, other) == WEFT_OK);
        }
    }
}

static void A_no_update_is_lost(void **state) {
    static const add_fn ways[] = {add_by_fetch,   add_by_cas,   add_by_version,
                                  add_by_compute, add_by_claim, add_by_merge};
    for (size_t w = 0; w < COUNT_OF(ways); w++) {
        weft_map map = contract_open(state);
        contract_together(THREADS, count_up, &map, (void *)(uintptr_t)&ways[w]);
        uint64_t sum = 0;
        for (uint64_t key = 0; key < HOT; key++) {
            uint64_t value = 0;
            assert_int_equal(get_u64(&map, key, &value), WEFT_OK);
            sum += value;
        }
        assert_int_equal(sum, (uint64_t)THREADS * TURNS);
        contract_close(&map);
    }
}

typedef struct number_race {
    weft_u64map map;
    uint64_t inserted[THREADS];
    uint64_t taken[THREADS];
    uint64_t sum_in[THREADS];
    uint64_t sum_out[THREADS];
} number_race;

static void race_numbers(contract_worker *worker) {
    number_race *race = worker->ctx;
    unsigned me = worker->index;
    for (uint64_t i = 0; i < TURNS; i++) {
        uint64_t token = i * THREADS + me + 1;
        uint64_t old = 0;
        REQUIRE(weft_u64map_fetch_add(&race->map, UINT64_MAX - i % HOT, 1, NULL) == WEFT_OK);
        if (weft_u64map_insert(&race->map, i % 64, token) == WEFT_OK) {
            race->sum_in[me] += token;
            race->inserted[me]++;
        } else if (i % 2 == 0) {
            if (weft_u64map_take(&race->map, i % 64, &old) == WEFT_OK) {
                race->sum_out[me] += old;
                race->taken[me]++;
            }
        } else if (weft_u64map_get(&race->map, i % 64, &old) == WEFT_OK &&
                   weft_u64map_cas(&race->map, i % 64, old, token) == WEFT_OK) {
            race->sum_in[me] += token;
            race->sum_out[me] += old;
        }
    }
}

/* Each token that goes in comes out once. */
static void A_numbers_are_conserved(void **state) {
    static number_race race;
    weft_map_options options = contract_options(state);
    int64_t balance = 0;
    uint64_t left = 0;
    uint64_t counted = 0;
    race = (number_race){.map = WEFT_U64MAP_INIT};
    assert_int_equal(weft_u64map_open(&race.map, &options), WEFT_OK);
    contract_together(THREADS, race_numbers, NULL, &race);
    for (unsigned i = 0; i < THREADS; i++) {
        balance += (int64_t)(race.sum_in[i] - race.sum_out[i]);
        left += race.inserted[i] - race.taken[i];
    }
    for (uint64_t i = 0; i < HOT; i++) {
        uint64_t value = 0;
        assert_int_equal(weft_u64map_take(&race.map, UINT64_MAX - i, &value), WEFT_OK);
        counted += value;
    }
    assert_int_equal(counted, (uint64_t)THREADS * TURNS);
    assert_int_equal(weft_u64map_len(&race.map), left);
    for (uint64_t key = 0; key < 64; key++) {
        uint64_t value = 0;
        if (weft_u64map_take(&race.map, key, &value) == WEFT_OK) {
            balance -= (int64_t)value;
        }
    }
    assert_int_equal(balance, 0);
    assert_int_equal(weft_u64map_check(&race.map, NULL, 0), WEFT_OK);
    assert_int_equal(weft_u64map_close(&race.map), WEFT_OK);
}

static uint64_t plain[TURNS]; /* written without atomics, published through the map */

static void publish_or_read(contract_worker *worker) {
    for (uint64_t i = 0; i < TURNS; i++) {
        uint64_t last = 0;
        if (worker->index == 0) {
            plain[i] = i + 1;
            REQUIRE(put_u64(worker->map, 1, i) == WEFT_OK);
        } else if (get_u64(worker->map, 1, &last) == WEFT_OK) {
            REQUIRE(plain[last] == last + 1);
        }
    }
}

static void A_what_came_before_a_write_is_seen(void **state) {
    weft_map map = contract_open(state);
    contract_together(3, publish_or_read, &map, NULL);
    contract_close(&map);
}

static void put_own(contract_worker *worker) {
    uint64_t key = worker->index;
    REQUIRE(put_u64(worker->map, key, key) == WEFT_OK);
}

static void A_first_use_opens_one_map(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++) {
        weft_map map = WEFT_MAP_INIT;
        contract_together(THREADS, put_own, &map, NULL);
        assert_int_equal(weft_map_len(&map), THREADS);
        contract_close(&map);
    }
}

/* ---- F: destructors, references and clears --------------------------------------------------- */

typedef struct accounts {
    uint64_t made;
    uint64_t destroyed;
    uint64_t taken;
} accounts;

static void count_destroyed(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    accounts *a = ctx;
    REQUIRE(key.size == 8 && value.size == 8 && reason != 0);
    weft_fetch_add_relaxed(&a->destroyed, 1);
}

static void make_and_break(contract_worker *worker) {
    accounts *a = worker->ctx;
    weft_ref ref = {.entry = NULL};
    for (uint64_t i = 0; i < TURNS; i++) {
        uint64_t key = (i * 31 + worker->index) % 97;
        if (i % 4 == 0) {
            weft_ref_release(&ref);
            if (weft_map_take(worker->map, bytes_of_u64(&key), &ref) == WEFT_OK) {
                REQUIRE(u64_of_bytes(ref.view.key) == key);
                weft_fetch_add_relaxed(&a->taken, 1);
            }
        } else if (i % 4 == 1) {
            weft_ref_release(&ref);
            weft_map_acquire(worker->map, bytes_of_u64(&key), &ref);
        } else {
            REQUIRE(put_u64(worker->map, key, i) == WEFT_OK);
            weft_fetch_add_relaxed(&a->made, 1);
        }
        if (i % 500 == 250 && worker->index == 0) {
            REQUIRE(weft_map_clear(worker->map) == WEFT_OK);
        }
        if (ref.entry != NULL) {
            REQUIRE(u64_of_bytes(ref.view.value) < TURNS);
        }
    }
    weft_ref_release(&ref);
}

static void F_everything_made_is_destroyed_once(void **state) {
    accounts a = {0, 0, 0};
    weft_map_options options = contract_options(state);
    options.refcount = true;
    options.destructor = count_destroyed;
    options.destructor_ctx = &a;
    weft_map map = contract_open_with(&options);
    contract_together(THREADS, make_and_break, &map, &a);
    assert_true(a.taken > 0);
    contract_close(&map);
    assert_int_equal(a.destroyed, a.made);
}

/* ---- threads that exit, processes that fork -------------------------------------------------- */

static void write_and_leave(contract_worker *worker) {
    for (uint64_t i = 0; i < 100; i++) {
        REQUIRE(put_u64(worker->map, i, worker->index) == WEFT_OK);
    }
}

static void C_threads_leave_nothing_behind(void **state) {
    contract_meter meter = {0, 0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = contract_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, 100);
    contract_sound(&map);
    int64_t before = meter.bytes;
    for (int i = 0; i < 40; i++) {
        contract_together(2, write_and_leave, &map, NULL);
    }
    contract_sound(&map); /* nothing is pending */
    assert_int_equal(meter.bytes, before);
    contract_close(&map);
    assert_int_equal(meter.blocks, 0);
}

typedef struct fork_scene {
    uint64_t inside; /* the other thread is in its guard */
    uint64_t leave;
} fork_scene;

static void stay_inside(contract_worker *worker) {
    fork_scene *scene = worker->ctx;
    weft_guard guard;
    weft_view view;
    uint64_t key = 1;
    weft_guard_enter(&guard);
    REQUIRE(weft_map_peek(worker->map, bytes_of_u64(&key), &guard, &view) == WEFT_OK);
    weft_store_release(&scene->inside, 1);          /* pairs with the load in the test */
    while (weft_load_acquire(&scene->leave) == 0) { /* pairs with the store in the test */
        usleep(1000);
    }
    REQUIRE(u64_of_bytes(view.value) == 1);
    weft_guard_leave(&guard);
}

/* In the child the other thread's guard is gone: garbage is freed, and the map goes on. */
static void use_in_child(weft_map *map) {
    for (int round = 0; round < 20; round++) {
        put_range(map, 0, 200);
    }
    contract_sound(map);
    require_range(map, 0, 200);
    REQUIRE(weft_map_clear(map) == WEFT_OK);
    contract_close(map);
    _exit(42);
}

static void C_a_fork_frees_the_child_of_guards(void **state) {
    weft_map map = contract_open(state);
    fork_scene scene = {0, 0};
    contract_crew crew = {.run = stay_inside};
    int status = 0;
    put_range(&map, 0, 200);
    contract_start(&crew, 1, &map, &scene);
    while (weft_load_acquire(&scene.inside) == 0) { /* pairs with the store in stay_inside */
        usleep(1000);
    }
    pid_t child = fork();
    if (child == 0) {
        use_in_child(&map);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    put_range(&map, 0, 200); /* the parent's guard holds on */
    weft_map_stats stats;
    weft_map_maintain(&map, 1000);
    weft_map_stats_get(&map, &stats);
    assert_true(stats.pending_objects > 0);
    weft_store_release(&scene.leave, 1); /* pairs with the load in stay_inside */
    contract_join(&crew);
    contract_close(&map);
}

static const contract_test tests[] = {
    CONTRACT_THREADS(A_no_update_is_lost),
    CONTRACT_THREADS(A_numbers_are_conserved),
    CONTRACT_THREADS(A_what_came_before_a_write_is_seen),
    CONTRACT_THREADS(A_first_use_opens_one_map),
    CONTRACT_THREADS(F_everything_made_is_destroyed_once),
    CONTRACT_THREADS(C_threads_leave_nothing_behind),
    CONTRACT_THREADS(C_a_fork_frees_the_child_of_guards),
};

int main(void) {
    return contract_run("contract/threads", tests, COUNT_OF(tests));
}
