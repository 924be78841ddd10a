/* SPDX-License-Identifier: MIT */
/* Recordings beside other threads: order, slow disks, ends, refusals. */
#include "contract/record_kit.h"

#include "base/file.h"
#include "harness/prng.h"
#include <sys/wait.h>

/* ---- several threads ------------------------------------------------------------------------- */

enum { THREADS = 4, OF_EACH = 20000, SHARED_KEYS = 16, THREAD_SHIFT = 32 };

/* Each thread's own keys tell the thread and the number of the step; shared ones are in between. */
static void run_numbered(contract_worker *worker) {
    weft_u64map *map = worker->ctx;
    uint64_t value;
    for (uint64_t i = 0; i < OF_EACH; i++) {
        weft_u64map_get(map, ((uint64_t)(worker->index + 1) << THREAD_SHIFT) | i, &value);
        REQUIRE(weft_u64map_put(map, i % SHARED_KEYS, i) == WEFT_OK);
    }
}

static void require_numbered(const tape *t, unsigned threads, bool complete) {
    uint64_t next[THREADS + 1] = {0};
    uint64_t puts = 0;
    for (uint64_t i = 0; i < t->count; i++) {
        const tape_step *step = &t->steps[i];
        uint64_t thread = step->key >> THREAD_SHIFT;
        if (thread == 0) {
            assert_int_equal(step->op, WEFT_TRACE_PUT);
            puts++;
            continue;
        }
        uint64_t number = step->key & UINT32_MAX;
        assert_int_equal(step->op, WEFT_TRACE_GET);
        assert_true(thread <= threads);
        assert_true(complete ? number == next[thread] : number >= next[thread]);
        next[thread] = number + 1;
    }
    if (complete) {
        assert_int_equal(puts, (uint64_t)threads * OF_EACH);
        assert_int_equal(t->count, (uint64_t)threads * OF_EACH * 2);
    }
}

static void operations_of_threads_are_all_there_and_in_order(void **state) {
    weft_u64map map = contract_open_u64(state);
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.buffer_bytes = BUFFER_SMALL;
    weft_recording *recording = start_u64(&map, &options);
    contract_together(THREADS, run_numbered, NULL, &map);
    weft_recording_stats stats;
    assert_ok(weft_recording_stop(recording, &stats));
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.recorded, (uint64_t)THREADS * OF_EACH * 2);
    read_and_unlink(&t, path);
    require_numbered(&t, THREADS, true);
    tape_free(&t);
    contract_close_u64(&map);
}

typedef struct baton {
    weft_u64map map;
    uint64_t turn;
} baton;

enum { TURNS = 4000 };

/* Two threads take turns: each step returned before the next, in the other thread, began. */
static void run_by_turns(contract_worker *worker) {
    baton *b = worker->ctx;
    uint64_t value;
    for (uint64_t mine = worker->index; mine < TURNS; mine += 2) {
        while (weft_load_acquire(&b->turn) != mine) { /* pairs with the store below */
            weft_pause();
        }
        weft_u64map_get(&b->map, mine, &value);
        weft_store_release(&b->turn, mine + 1);
        for (int nap = 0; nap < 100; nap++) {
            weft_yield();
            if (weft_load_relaxed(&b->turn) != mine + 1) {
                break;
            }
        }
    }
}

static void operations_that_follow_one_another_stand_so(void **state) {
    static baton b;
    char path[64];
    tape t;
    b = (baton){.map = contract_open_u64(state)};
    tape_path(path);
    weft_recording_options options = options_for(path);
    weft_recording *recording = start_u64(&b.map, &options);
    contract_together(2, run_by_turns, NULL, &b);
    assert_ok(weft_recording_stop(recording, NULL));
    read_and_unlink(&t, path);
    assert_int_equal(t.count, TURNS);
    for (uint64_t i = 0; i < TURNS; i++) {
        assert_true(t.steps[i].key == i);
    }
    tape_free(&t);
    contract_close_u64(&b.map);
}

/* Keys of each thread's own, put and removed until told to stop. */
typedef struct busy {
    weft_map *map;
    uint64_t stop;
} busy;

static void run_until_told(contract_worker *worker) {
    busy *b = worker->ctx;
    weft_prng prng = weft_prng_of(worker->index);
    while (weft_load_relaxed(&b->stop) == 0) {
        uint64_t key = weft_prng_below(&prng, KEYS / 2) * 2 + worker->index % 2;
        (void)(weft_prng_below(&prng, 2) == 0 ? put_u64(b->map, key, key)
                                              : remove_u64(b->map, key));
    }
}

static void await_recorded(const weft_recording *recording, uint64_t operations) {
    weft_recording_stats stats;
    do {
        weft_yield();
        weft_recording_stats_get(recording, &stats);
    } while (stats.recorded < operations);
}

static void recordings_come_and_go_beside_writers(void **state) {
    enum { ROUNDS = 12 };
    weft_map map = contract_open(state);
    busy b = {.map = &map};
    contract_crew crew = {.run = run_until_told};
    contract_start(&crew, 2, &map, &b);
    for (int round = 0; round < ROUNDS; round++) {
        char path[64];
        tape t;
        tape_path(path);
        weft_recording_options options = options_for(path);
        options.sample = round % 3 == 2 ? 4 : 1;
        options.buffer_bytes = round % 2 == 0 ? BUFFER_SMALL : 0;
        options.prefill = round % 2 == 0;
        weft_recording *recording = start(&map, &options);
        weft_recording_stats stats;
        await_recorded(recording, 500);
        assert_ok(weft_recording_stop(recording, &stats));
        read_and_unlink(&t, path);
        assert_int_equal(t.count - t.prefill, stats.recorded);
        assert_int_equal(t.prefill, stats.prefill);
        tape_free(&t);
    }
    weft_store_relaxed(&b.stop, 1);
    contract_join(&crew);
    contract_close(&map);
}

static void prefill_and_operations_meet_beside_writers(void **state) {
    weft_map map = contract_open(state);
    busy b = {.map = &map};
    contract_crew crew = {.run = run_until_told};
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.prefill = true;
    contract_start(&crew, 2, &map, &b);
    while (weft_map_len(&map) < KEYS / 4) {
        weft_yield();
    }
    weft_recording *recording = start(&map, &options);
    await_recorded(recording, 5000);
    weft_store_relaxed(&b.stop, 1);
    contract_join(&crew);
    assert_ok(weft_recording_stop(recording, NULL));
    read_and_unlink(&t, path);
    require_same_keys(&map, &t); /* each key has one writer, so its order is known */
    tape_free(&t);
    contract_close(&map);
}

/* ---- slow disks ------------------------------------------------------------------------------ */

/* Writes wait here until they are let through. */
typedef struct dam {
    uint64_t open;
    uint64_t held;
} dam;

static int hold_write(void *ctx, weft_file_call *call) {
    dam *d = ctx;
    if (call->op == WEFT_FILE_PWRITE) {
        weft_fetch_add_relaxed(&d->held, 1);
        while (weft_load_relaxed(&d->open) == 0) {
            weft_sleep_ns(1000000);
        }
    }
    return 0;
}

typedef struct flood {
    weft_u64map *map;
    uint64_t done;
} flood;

enum { FLOOD = 60000 };

static void run_flood(contract_worker *worker) {
    flood *f = worker->ctx;
    for (uint64_t i = 0; i < FLOOD; i++) {
        uint64_t value;
        weft_u64map_get(f->map, i, &value);
        weft_store_relaxed(&f->done, i + 1);
    }
}

static void exact_recording_makes_operations_wait_for_the_disk(void **state) {
    weft_u64map map = contract_open_u64(state);
    dam d = {.open = 0};
    weft_file_hook hook = {hold_write, &d};
    flood f = {.map = &map};
    contract_crew crew = {.run = run_flood};
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.buffer_bytes = BUFFER_SMALL;
    weft_recording *recording = start_u64(&map, &options);
    weft_file_set_hook(&hook);
    contract_start(&crew, 1, NULL, &f);
    weft_recording_stats stats;
    do {
        weft_sleep_ns(1000000);
        weft_recording_stats_get(recording, &stats);
    } while (stats.waits == 0);
    assert_true(weft_load_relaxed(&f.done) < FLOOD);
    assert_in_range(stats.waiting_bytes, 1, BUFFER_SMALL);
    weft_store_relaxed(&d.open, 1);
    contract_join(&crew);
    weft_file_set_hook(NULL);
    assert_ok(weft_recording_stop(recording, &stats));
    assert_int_equal(stats.dropped, 0);
    read_and_unlink(&t, path);
    assert_int_equal(t.count, FLOOD);
    for (uint64_t i = 0; i < FLOOD; i++) {
        assert_true(t.steps[i].key == i);
    }
    tape_free(&t);
    contract_close_u64(&map);
}

static void sampled_recording_drops_counts_and_never_waits(void **state) {
    weft_u64map map = contract_open_u64(state);
    dam d = {.open = 0};
    weft_file_hook hook = {hold_write, &d};
    flood f = {.map = &map};
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    weft_recording_filter filter = weft_recording_filter_of(2, 0);
    uint64_t chosen = 0;
    options.sample = 2;
    options.buffer_bytes = BUFFER_SMALL;
    weft_recording *recording = start_u64(&map, &options);
    weft_file_set_hook(&hook);
    contract_together(1, run_flood, NULL, &f); /* to its end, with no write let through */
    assert_int_equal(f.done, FLOOD);
    weft_store_relaxed(&d.open, 1);
    weft_recording_stats stats;
    assert_ok(weft_recording_stop(recording, &stats));
    weft_file_set_hook(NULL);
    for (uint64_t i = 0; i < FLOOD; i++) {
        chosen += is_chosen(&map, &filter, i);
    }
    assert_true(stats.dropped != 0);
    assert_int_equal(stats.waits, 0);
    assert_int_equal(stats.recorded + stats.dropped, chosen);
    read_and_unlink(&t, path);
    assert_int_equal(t.count, stats.recorded);
    for (uint64_t i = 0; i < t.count; i++) {
        assert_true(is_chosen(&map, &filter, t.steps[i].key));
        assert_true(i == 0 || t.steps[i - 1].key < t.steps[i].key);
    }
    tape_free(&t);
    contract_close_u64(&map);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void closing_the_map_completes_the_file(void **state) {
    weft_map map = contract_open(state);
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    weft_recording *recording = start(&map, &options);
    put_range(&map, 0, 10);
    assert_ok(weft_map_close(&map));
    weft_recording_stats stats;
    weft_recording_stats_get(recording, &stats);
    assert_int_equal(stats.state, WEFT_RECORDING_ENDED);
    read_and_unlink(&t, path);
    assert_int_equal(t.count, 10);
    assert_int_equal(t.bytes, stats.bytes);
    tape_free(&t);
    assert_ok(weft_recording_stop(recording, NULL));
}

static void child_of_a_fork_leaves_the_file_to_its_parent(void **state) {
    weft_map map = contract_open(state);
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.buffer_bytes = BUFFER_SMALL;
    weft_recording *recording = start(&map, &options);
    put_range(&map, 0, 10);
    pid_t child = fork();
    if (child == 0) {
        weft_recording_stats stats;
        put_range(&map, 100, 100 + BUFFER_SMALL / 16); /* more than the buffer holds */
        weft_recording_stats_get(recording, &stats);
        bool good = stats.state == WEFT_RECORDING_FORKED && weft_map_close(&map) == WEFT_OK &&
                    weft_recording_stop(recording, NULL) == WEFT_E_CLOSED;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    put_range(&map, 10, 20);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ok(weft_recording_stop(recording, NULL));
    read_and_unlink(&t, path);
    assert_int_equal(t.count, 20);
    tape_free(&t);
    contract_close(&map);
}

static void unfinished_file_is_no_trace(void **state) {
    weft_map map = contract_open(state);
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    weft_recording *recording = start(&map, &options);
    put_range(&map, 0, 10000);
    await_recorded(recording, 10000);
    assert_false(tape_read(&t, path));
    assert_ok(weft_recording_stop(recording, NULL));
    read_and_unlink(&t, path);
    tape_free(&t);
    contract_close(&map);
}

static void require_failed(weft_recording *recording, const char *path, const char *word) {
    weft_recording_stats stats;
    tape t;
    weft_recording_stats_get(recording, &stats);
    assert_int_equal(stats.state, WEFT_RECORDING_FAILED);
    assert_non_null(strstr(stats.error_text, word));
    assert_int_equal(weft_recording_stop(recording, NULL), WEFT_E_UNSUPPORTED);
    assert_false(tape_read(&t, path));
    assert_int_equal(unlink(path), 0);
}

static void what_a_trace_cannot_hold_ends_an_exact_recording(void **state) {
    static char large[70000];
    weft_map map = contract_open(state);
    char path[64];
    tape_path(path);
    weft_recording_options options = options_for(path);
    weft_recording *recording = start(&map, &options);
    put_range(&map, 0, 10);
    assert_ok(weft_map_clear(&map));
    require_failed(recording, path, "clear");
    recording = start(&map, &options);
    assert_int_equal(weft_map_contains(&map, weft_bytes_of(NULL, 0)), WEFT_NOT_FOUND);
    require_failed(recording, path, "65535");
    assert_int_equal(weft_map_put(&map, weft_bytes_of(large, sizeof large), weft_str("x")),
                     contract_grows(state) ? WEFT_OK : WEFT_E_TOOBIG);
    if (!contract_grows(state)) { /* its keys are as long as the options say */
        contract_close(&map);
        return;
    }
    options.prefill = true;
    recording = NULL;
    assert_int_equal(weft_recording_start(&map, &recording, &options), WEFT_E_UNSUPPORTED);
    assert_null(recording);
    assert_int_not_equal(access(path, F_OK), 0);
    contract_close(&map);
}

static void what_a_trace_cannot_hold_is_dropped_from_a_sample(void **state) {
    weft_map map = contract_open(state);
    weft_recording_stats stats;
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.sample = 2;
    weft_recording *recording = start(&map, &options);
    put_range(&map, 0, 100);
    assert_ok(weft_map_clear(&map));
    put_range(&map, 0, 100);
    assert_ok(weft_recording_stop(recording, &stats));
    assert_int_equal(stats.dropped, 1);
    assert_in_range(stats.recorded, 2, 198);
    read_and_unlink(&t, path);
    assert_int_equal(t.count, stats.recorded);
    tape_free(&t);
    contract_close(&map);
}

/* Keys so long that they wrap around in the ring and make chunks grow. */
static void long_keys_arrive_whole(void **state) {
    if (!contract_grows(state)) { /* keys are as long as the options say */
        return;
    }
    enum { LONGEST = 65535, COUNT = 60 };
    static char bytes[LONGEST];
    weft_map map = contract_open(state);
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = options_for(path);
    options.buffer_bytes = BUFFER_SMALL;
    weft_recording *recording = start(&map, &options);
    for (uint64_t i = 0; i < COUNT; i++) {
        memset(bytes, (int)('a' + i % 26), sizeof bytes);
        memcpy(bytes, &i, sizeof i);
        size_t size = LONGEST - (size_t)i * 1001;
        assert_ok(weft_map_put(&map, weft_bytes_of(bytes, size), weft_str("x")));
    }
    assert_ok(weft_recording_stop(recording, NULL));
    read_and_unlink(&t, path);
    assert_int_equal(t.count, COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_true(t.steps[i].key == i);
        assert_int_equal(t.steps[i].key_size, LONGEST - i * 1001);
    }
    tape_free(&t);
    contract_close(&map);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void bad_options_are_refused_with_a_reason(void **state) {
    weft_map map = contract_open(state);
    weft_recording *recording = NULL;
    char long_name[100];
    memset(long_name, 'n', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    const weft_recording_options bad[] = {
        {.size = sizeof(weft_recording_options)},
        {.size = sizeof(weft_recording_options), .file = ""},
        {.size = sizeof(weft_recording_options), .file = "/tmp/x", .name = long_name},
        {.size = sizeof(weft_recording_options), .file = "/tmp/x", .buffer_bytes = 1},
        {.size = sizeof(weft_recording_options), .file = "/tmp/x", .buffer_bytes = UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        weft_recording_options options = bad[i];
        assert_int_equal(weft_recording_start(&map, &recording, &options), WEFT_E_INVALID);
        assert_true(options.error_text[0] != '\0');
    }
    weft_recording_options options = options_for("/tmp/x");
    options.size = 1;
    assert_int_equal(weft_recording_start(&map, &recording, &options), WEFT_E_INVALID);
    options = options_for("/nowhere/at/all");
    assert_int_equal(weft_recording_start(&map, &recording, &options), WEFT_E_IO);
    assert_non_null(strstr(options.error_text, "/nowhere/at/all: No such file"));
    options = options_for("/tmp");
    assert_int_equal(weft_recording_start(&map, &recording, &options), WEFT_E_INVALID);
    assert_non_null(strstr(options.error_text, "there already"));
    assert_null(recording);
    contract_close(&map);
}

static void one_recording_at_a_time_and_none_inside_a_guard(void **state) {
    weft_map map = contract_open(state);
    weft_recording *recording = NULL;
    weft_guard guard;
    char path[64];
    char other[64];
    tape_path(path);
    tape_path(other);
    weft_recording_options options = options_for(path);
    weft_guard_enter(&guard);
    assert_int_equal(weft_recording_start(&map, &recording, &options), WEFT_E_BUSY);
    weft_guard_leave(&guard);
    recording = start(&map, &options);
    weft_recording_options second = options_for(other);
    weft_recording *none = NULL;
    assert_int_equal(weft_recording_start(&map, &none, &second), WEFT_E_BUSY);
    assert_int_not_equal(access(other, F_OK), 0);
    weft_guard_enter(&guard);
    assert_int_equal(weft_recording_stop(recording, NULL), WEFT_E_BUSY);
    weft_guard_leave(&guard);
    put_range(&map, 0, 3);
    weft_recording_stats stats;
    assert_ok(weft_recording_stop(recording, &stats));
    assert_int_equal(stats.recorded, 3);
    assert_int_equal(unlink(path), 0);
    contract_close(&map);
}

static const contract_test tests[] = {
    CONTRACT_THREADS(operations_of_threads_are_all_there_and_in_order),
    CONTRACT_THREADS(operations_that_follow_one_another_stand_so),
    CONTRACT_THREADS(recordings_come_and_go_beside_writers),
    CONTRACT_THREADS(prefill_and_operations_meet_beside_writers),
    CONTRACT_THREADS(exact_recording_makes_operations_wait_for_the_disk),
    CONTRACT_THREADS(sampled_recording_drops_counts_and_never_waits),
    CONTRACT(closing_the_map_completes_the_file),
    CONTRACT(child_of_a_fork_leaves_the_file_to_its_parent),
    CONTRACT(unfinished_file_is_no_trace),
    CONTRACT(what_a_trace_cannot_hold_ends_an_exact_recording),
    CONTRACT(what_a_trace_cannot_hold_is_dropped_from_a_sample),
    CONTRACT(long_keys_arrive_whole),
    CONTRACT(bad_options_are_refused_with_a_reason),
    CONTRACT(one_recording_at_a_time_and_none_inside_a_guard),
};

int main(void) {
    return contract_run("contract/record", tests, COUNT_OF(tests));
}
