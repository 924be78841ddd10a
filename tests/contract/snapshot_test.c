/* SPDX-License-Identifier: MIT */
/* Snapshots: a map as it was at one moment, whatever happens to it afterwards. Engines without them
 * say so. */
#include "contract/contract.h"

#include "base/lock.h"
#include "harness/subject.h"
#include <weft/weft.h>

enum { KEYS = 3000 };

static bool has_snapshots(void **state) {
    return contract_card_of(state)->snapshot != NULL;
}

/* As often as a move that is under way takes. */
static weft_snapshot take(weft_map *map) {
    weft_snapshot snapshot;
    int status;
    do {
        status = weft_map_snapshot(map, &snapshot);
    } while (status == WEFT_E_BUSY);
    REQUIRE(status == WEFT_OK);
    return snapshot;
}

static weft_u64snapshot take_u64(weft_u64map *map) {
    weft_u64snapshot snapshot;
    int status;
    do {
        status = weft_u64map_snapshot(map, &snapshot);
    } while (status == WEFT_E_BUSY);
    REQUIRE(status == WEFT_OK);
    return snapshot;
}

/* The snapshot shows keys `from` … `to - 1`, each with itself plus `more`, and nothing else. */
static void expect_range(const weft_snapshot *snapshot, uint64_t from, uint64_t to, uint64_t more) {
    weft_view view;
    for (uint64_t i = from; i < to; i++) {
        assert_ok(weft_snapshot_get(snapshot, bytes_of_u64(&i), &view));
        assert_true(u64_of_bytes(view.key) == i && u64_of_bytes(view.value) == i + more);
    }
    weft_snapshot_cursor cursor = {0};
    uint64_t seen = 0;
    uint64_t sum = 0;
    while (weft_snapshot_next(snapshot, &cursor, &view) == WEFT_OK) {
        uint64_t key = u64_of_bytes(view.key);
        assert_true(key >= from && key < to && u64_of_bytes(view.value) == key + more);
        seen++;
        sum += key;
    }
    assert_int_equal(weft_snapshot_next(snapshot, &cursor, &view), WEFT_NOT_FOUND);
    assert_int_equal(seen, to - from);
    assert_int_equal(sum, (from + to - 1) * (to - from) / 2);
}

static void engines_without_snapshots_say_so(void **state) {
    weft_map map = contract_open(state);
    weft_snapshot snapshot = {&map};
    if (!has_snapshots(state)) {
        assert_int_equal(weft_map_snapshot(&map, &snapshot), WEFT_E_UNSUPPORTED);
        assert_null(snapshot.image);
        weft_snapshot_release(&snapshot);
    }
    contract_close(&map);
}

static void nothing_is_shown_of_what_was_not_taken(void **state) {
    weft_snapshot none = WEFT_SNAPSHOT_INIT;
    weft_u64snapshot no_numbers = WEFT_U64SNAPSHOT_INIT;
    weft_snapshot_cursor cursor = {0};
    weft_view view;
    weft_u64pair pair;
    uint64_t value = 5;
    (void)state;
    assert_int_equal(weft_snapshot_get(&none, weft_str("key"), &view), WEFT_E_INVALID);
    assert_int_equal(weft_snapshot_next(&none, &cursor, &view), WEFT_E_INVALID);
    assert_int_equal(weft_u64snapshot_get(&no_numbers, 1, &value), WEFT_E_INVALID);
    assert_int_equal(value, 0);
    assert_int_equal(weft_u64snapshot_next(&no_numbers, &cursor, &pair), WEFT_E_INVALID);
    weft_snapshot_release(&none);
    weft_u64snapshot_release(&no_numbers);
}

static void snapshot_of_an_empty_map(void **state) {
    if (!has_snapshots(state)) {
        return;
    }
    weft_map never_used = WEFT_MAP_INIT;
    weft_snapshot snapshot = take(&never_used);
    put_range(&never_used, 0, 50);
    expect_range(&snapshot, 0, 0, 0);
    assert_int_equal(weft_map_close(&never_used), WEFT_E_BUSY);
    weft_snapshot_release(&snapshot);
    assert_null(snapshot.image);
    contract_close(&never_used);
}

static void shows_the_moment_whatever_happens(void **state) {
    if (!has_snapshots(state)) {
        return;
    }
    const uint64_t keys = contract_scaled(state, KEYS);
    contract_meter meter = {0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = contract_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, keys);
    weft_snapshot snapshot = take(&map);
    for (uint64_t i = 0; i < keys; i++) {
        assert_ok(put_u64(&map, i, i + 7));
    }
    put_range(&map, keys, 10 * keys); /* grows, twice at least */
    remove_range(&map, 100, 10 * keys);
    contract_sound(&map);
    expect_range(&snapshot, 0, keys, 0);
    weft_map_stats stats;
    weft_map_stats_get(&map, &stats);
    assert_int_equal(stats.snapshots, 1);
    uint64_t with_image = stats.table_bytes;
    weft_snapshot_release(&snapshot);
    weft_map_stats_get(&map, &stats);
    assert_true(with_image >= stats.table_bytes + keys / 9 * 64);
    contract_close(&map);
    assert_int_equal(meter.bytes, 0);
    assert_int_equal(meter.blocks, 0);
}

static void version_is_shown_until_the_key_is_written(void **state) {
    if (!has_snapshots(state)) {
        return;
    }
    weft_map map = contract_open(state);
    put_range(&map, 0, 2);
    assert_ok(put_u64(&map, 1, 1));
    uint64_t one = 1;
    uint64_t version = version_of(&map, bytes_of_u64(&one));
    weft_snapshot snapshot = take(&map);
    weft_view view;
    assert_ok(weft_snapshot_get(&snapshot, bytes_of_u64(&one), &view));
    assert_int_equal(view.version, version);
    assert_ok(put_u64(&map, 1, 8));
    assert_ok(weft_snapshot_get(&snapshot, bytes_of_u64(&one), &view));
    assert_int_equal(view.version, 0);
    assert_int_equal(u64_of_bytes(view.value), 1);
    weft_snapshot_release(&snapshot);
    contract_close(&map);
}

/* Each shows its own moment, in whichever order they end. */
static void snapshots_live_side_by_side(void **state) {
    enum { COUNT = 5, FEW = 300 };
    static const unsigned orders[][COUNT] = {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}};
    for (unsigned order = 0; has_snapshots(state) && order < COUNT_OF(orders); order++) {
        weft_map map = contract_open(state);
        weft_snapshot snapshots[COUNT];
        for (uint64_t s = 0; s < COUNT; s++) {
            for (uint64_t i = s; i < FEW; i++) {
                assert_ok(put_u64(&map, i, i + s));
            }
            snapshots[s] = take(&map);
            assert_ok(remove_u64(&map, s));
        }
        for (unsigned i = 0; i < COUNT; i++) {
            for (unsigned k = i; k < COUNT; k++) {
                expect_range(&snapshots[orders[order][k]], orders[order][k], FEW, orders[order][k]);
            }
            weft_snapshot_release(&snapshots[orders[order][i]]);
        }
        contract_close(&map);
    }
}

static void no_more_than_sixteen(void **state) {
    enum { MOST = 16 };
    if (!has_snapshots(state)) {
        return;
    }
    weft_map map = contract_open(state);
    weft_snapshot snapshots[MOST];
    weft_snapshot refused;
    put_range(&map, 0, 10);
    for (int i = 0; i < MOST; i++) {
        snapshots[i] = take(&map);
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(weft_map_snapshot(&map, &refused), WEFT_E_BUSY);
    }
    weft_snapshot_release(&snapshots[3]);
    snapshots[3] = take(&map);
    for (int i = 0; i < MOST; i++) {
        expect_range(&snapshots[i], 0, 10, 0);
        weft_snapshot_release(&snapshots[i]);
    }
    contract_close(&map);
}

static void a_clear_leaves_the_snapshot(void **state) {
    if (!has_snapshots(state)) {
        return;
    }
    weft_map map = contract_open(state);
    put_range(&map, 0, KEYS);
    weft_snapshot before = take(&map);
    assert_ok(weft_map_clear(&map));
    put_range(&map, KEYS, 2 * KEYS);
    weft_snapshot after = take(&map);
    assert_ok(weft_map_clear(&map));
    put_range(&map, 0, 20);
    contract_sound(&map);
    expect_range(&before, 0, KEYS, 0);
    expect_range(&after, KEYS, 2 * KEYS, 0);
    assert_int_equal(weft_map_close(&map), WEFT_E_BUSY);
    weft_snapshot_release(&before);
    require_range(&map, 0, 20);
    weft_snapshot_release(&after);
    contract_close(&map);
}

static void count_destroyed(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    uint64_t *times = ctx;
    (void)value;
    (void)reason;
    __atomic_fetch_add(&times[u64_of_bytes(key)], 1, __ATOMIC_RELAXED);
}

/* F: what a snapshot shows is destroyed when the snapshot has gone, and once. */
static void F_destructors_wait_for_snapshots(void **state) {
    static uint64_t times[KEYS];
    if (!has_snapshots(state)) {
        return;
    }
    memset(times, 0, sizeof times);
    weft_map_options options = contract_options(state);
    options.destructor = count_destroyed;
    options.destructor_ctx = times;
    weft_map map = contract_open_with(&options);
    put_range(&map, 0, KEYS);
    weft_snapshot older = take(&map);
    weft_snapshot newer = take(&map);
    remove_range(&map, 0, KEYS);
    contract_sound(&map);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(times[i], 0);
    }
    weft_snapshot_release(&newer);
    contract_sound(&map);
    expect_range(&older, 0, KEYS, 0);
    weft_snapshot_release(&older);
    contract_sound(&map);
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(times[i], 1);
    }
    contract_close(&map);
}

static void references_outlive_snapshots(void **state) {
    if (!has_snapshots(state)) {
        return;
    }
    weft_map_options options = contract_options(state);
    options.refcount = true;
    weft_map map = contract_open_with(&options);
    weft_ref ref;
    uint64_t five = 5;
    put_range(&map, 0, 10);
    weft_snapshot snapshot = take(&map);
    assert_ok(weft_map_acquire(&map, bytes_of_u64(&five), &ref));
    remove_range(&map, 0, 10);
    expect_range(&snapshot, 0, 10, 0);
    weft_snapshot_release(&snapshot);
    contract_sound(&map);
    assert_int_equal(u64_of_bytes(ref.view.value), 5);
    weft_ref_release(&ref);
    contract_close(&map);
}

static void numbers_as_they_were(void **state) {
    if (!has_snapshots(state)) {
        return;
    }
    const uint64_t keys = contract_scaled(state, KEYS);
    weft_u64map map = contract_open_u64(state);
    for (uint64_t i = 0; i < keys; i++) {
        assert_ok(weft_u64map_put(&map, i, i));
    }
    weft_u64snapshot snapshot = take_u64(&map);
    for (uint64_t i = 0; i < 8 * keys; i++) {
        assert_ok(i % 3 == 0 && i < keys ? weft_u64map_remove(&map, i)
                                         : weft_u64map_put(&map, i, ~i));
    }
    for (uint64_t i = 0; i < 8 * keys; i++) {
        uint64_t value;
        int status = weft_u64snapshot_get(&snapshot, i, &value);
        assert_int_equal(status, i < keys ? WEFT_OK : WEFT_NOT_FOUND);
        assert_true(value == (i < keys ? i : 0));
    }
    weft_snapshot_cursor cursor = {0};
    weft_u64pair pair;
    uint64_t seen = 0;
    for (; weft_u64snapshot_next(&snapshot, &cursor, &pair) == WEFT_OK; seen++) {
        assert_true(pair.key == pair.value && pair.key < keys);
    }
    assert_int_equal(seen, keys);
    weft_u64snapshot_release(&snapshot);
    contract_close_u64(&map);
}

/* ---- transfers ------------------------------------------------------------------------------- */

/* Every writer moves an amount of its own from account to account, by two additions. A snapshot
 * finds each of them between two transfers or in the midst of one: what is missing is the sum of
 * some of the amounts, and nothing else. */
enum { WRITERS = 2, ACCOUNTS = 40, START = 1000000, SNAPSHOTS = 10000 };

typedef struct bank {
    weft_subject subject;
    uint64_t stop;
    uint64_t transfers[WRITERS];
} bank;

static void add_to(bank *b, unsigned account, uint64_t delta) {
    weft_history_event event = {.op = WEFT_HISTORY_FETCH_ADD, .key = account, .value = delta};
    uint64_t old;
    REQUIRE(weft_subject_do(&b->subject, &event, &old) == WEFT_OK);
}

static void transfer(contract_worker *worker) {
    bank *b = worker->ctx;
    uint64_t amount = UINT64_C(1) << worker->index;
    for (unsigned i = 0; weft_load_relaxed(&b->stop) == 0; i++) {
        add_to(b, i * 7 % ACCOUNTS, 0 - amount);
        add_to(b, i * 11 % ACCOUNTS, amount);
        weft_store_relaxed(&b->transfers[worker->index], b->transfers[worker->index] + 1);
    }
}

static void sum_up(void *ctx, unsigned key, uint64_t value) {
    REQUIRE(key < ACCOUNTS);
    *(uint64_t *)ctx += value;
}

static void expect_sum(bank *b) {
    weft_subject_snapshot snapshot;
    int status;
    while ((status = weft_subject_snapshot_take(&b->subject, &snapshot)) == WEFT_E_BUSY) {
        weft_yield(); /* the move waits for a writer that was put aside inside its operation */
    }
    uint64_t sum = 0;
    REQUIRE(status == WEFT_OK);
    REQUIRE(weft_subject_snapshot_walk(&snapshot, sum_up, &sum) == WEFT_OK);
    REQUIRE((uint64_t)ACCOUNTS * START - sum < UINT64_C(1) << WRITERS);
    weft_subject_snapshot_release(&snapshot);
}

static bool all_have_transferred(bank *b, uint64_t times) {
    for (int i = 0; i < WRITERS; i++) {
        if (weft_load_relaxed(&b->transfers[i]) < times) {
            return false;
        }
    }
    return true;
}

/* Goes on until every writer has been seen at work, however slow writes are beside snapshots. */
static void sums_are_exact_under_transfers(void **state) {
    for (int shape = 0; has_snapshots(state) && shape <= WEFT_SUBJECT_U64; shape++) {
        static bank b;
        memset(&b, 0, sizeof b);
        weft_subject_options options = {.engine = contract_engine_of(state),
                                        .shape = (weft_subject_shape)shape,
                                        .allocator = &weft_memory_default};
        assert_ok(weft_subject_open(&b.subject, &options));
        for (unsigned i = 0; i < ACCOUNTS; i++) {
            assert_ok(weft_subject_put(&b.subject, i, START));
        }
        contract_crew crew = {.run = transfer};
        contract_start(&crew, WRITERS, NULL, &b);
        uint64_t least = contract_scaled(state, SNAPSHOTS / 2);
        for (uint64_t i = 0; i < least || !all_have_transferred(&b, least / 50); i++) {
            expect_sum(&b);
        }
        weft_store_relaxed(&b.stop, 1);
        contract_join(&crew);
        assert_ok(weft_subject_close(&b.subject));
    }
}

int main(void) {
    const contract_test tests[] = {
        CONTRACT(engines_without_snapshots_say_so),
        CONTRACT(nothing_is_shown_of_what_was_not_taken),
        CONTRACT(snapshot_of_an_empty_map),
        CONTRACT(shows_the_moment_whatever_happens),
        CONTRACT(version_is_shown_until_the_key_is_written),
        CONTRACT(snapshots_live_side_by_side),
        CONTRACT(no_more_than_sixteen),
        CONTRACT(a_clear_leaves_the_snapshot),
        CONTRACT(F_destructors_wait_for_snapshots),
        CONTRACT(references_outlive_snapshots),
        CONTRACT(numbers_as_they_were),
        CONTRACT_THREADS(sums_are_exact_under_transfers),
    };
    return contract_run("snapshot", tests, COUNT_OF(tests));
}
