/* SPDX-License-Identifier: MIT */
/* Recordings when the operating system refuses: each file call and each allocation in turn, once
 * and for ever. A recording that answers WEFT_OK is whole; the map serves on, whatever happens. */
#include "contract/contract.h"

#include "base/file.h"
#include "harness/tape.h"
#include <errno.h>
#include <weft/record.h>

enum { ENTRIES = 5000, OPERATIONS = 10000, SITES_MAX = 200 };

/* How a life of a recording went. */
typedef struct life {
    int started;
    int stopped;
    weft_recording_stats stats;
} life;

static life record_some(weft_map *map, const char *path, uint64_t sample) {
    life l = {.stopped = WEFT_OK};
    weft_recording *recording = NULL;
    weft_recording_options options = {
        .size = sizeof options, .file = path, .sample = sample, .prefill = true};
    l.started = weft_recording_start(map, &recording, &options);
    REQUIRE((l.started == WEFT_OK) == (recording != NULL));
    REQUIRE((l.started == WEFT_OK) == (options.error_text[0] == '\0'));
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        REQUIRE(put_u64(map, i % ENTRIES, i) == WEFT_OK);
    }
    if (recording != NULL) {
        l.stopped = weft_recording_stop(recording, &l.stats);
    }
    return l;
}

static bool is_error_of_files(int status) {
    return status == WEFT_E_FULL || status == WEFT_E_IO;
}

/* True if the fault struck. */
static bool live_with_fault(weft_map *map, uint64_t at, int error, bool forever) {
    weft_file_fault fault = {
        .at = at, .error = error, .forever = forever, .short_size = at % 2 == 0 ? 100 : SIZE_MAX};
    char path[64];
    tape t;
    tape_path(path);
    weft_file_fail(&fault);
    life l = record_some(map, path, 1 + at % 2);
    bool struck = weft_file_count() >= at;
    weft_file_fail_off();
    assert_true(l.started == WEFT_OK || is_error_of_files(l.started));
    assert_true(l.stopped == WEFT_OK || is_error_of_files(l.stopped));
    assert_true((l.stopped == WEFT_OK) == (l.stats.state != WEFT_RECORDING_FAILED));
    assert_true((l.stopped == WEFT_OK) == (l.stats.error_text[0] == '\0'));
    bool whole = tape_read(&t, path);
    if (l.started != WEFT_OK) {
        assert_false(whole);
    } else if (l.stopped == WEFT_OK ||
               whole) { /* where only the file's close failed, it is whole */
        assert_true(whole);
        assert_int_equal(t.count, l.stats.prefill + l.stats.recorded);
    }
    assert_true(struck || (l.started == WEFT_OK && l.stopped == WEFT_OK));
    tape_free(&t);
    (void)unlink(path);
    assert_int_equal(weft_map_len(map), ENTRIES);
    return struck;
}

static void each_file_call_fails(void **state) {
    static const int errors[] = {ENOSPC, EIO};
    weft_map map = contract_open(state);
    put_range(&map, 0, ENTRIES);
    for (size_t e = 0; e < COUNT_OF(errors); e++) {
        uint64_t at = 1;
        while (live_with_fault(&map, at, errors[e], e == 0)) {
            at++;
            assert_true(at < SITES_MAX);
        }
        assert_true(at > 15); /* opening, writing, finishing were hit */
    }
    contract_close(&map);
}

static void full_disk_ends_a_recording_and_says_so(void **state) {
    enum { PUTS = 100000 };
    weft_map map = contract_open(state);
    weft_recording *recording = NULL;
    weft_recording_stats stats;
    char path[64];
    tape t;
    tape_path(path);
    weft_recording_options options = {
        .size = sizeof options, .file = path, .buffer_bytes = 256 << 10};
    assert_ok(weft_recording_start(&map, &recording, &options));
    weft_file_fail(&(weft_file_fault){.at = 3,
                                      .ops = 1u << WEFT_FILE_PWRITE,
                                      .error = ENOSPC,
                                      .forever = true,
                                      .short_size = SIZE_MAX});
    /* More than buffer and file take: nobody waits for ever. */
    const uint64_t keys = contract_scaled(state, PUTS);
    for (uint64_t i = 0; i < PUTS; i += keys) {
        put_range(&map, 0, keys);
    }
    weft_file_fail_off();
    weft_recording_stats_get(recording, &stats);
    assert_int_equal(stats.state, WEFT_RECORDING_FAILED);
    assert_non_null(strstr(stats.error_text, "No space left on device"));
    assert_int_equal(weft_recording_stop(recording, NULL), WEFT_E_FULL);
    assert_false(tape_read(&t, path));
    assert_int_equal(unlink(path), 0);
    require_range(&map, 0, keys);
    contract_close(&map);
}

static void each_allocation_of_start_fails(void **state) {
    weft_map map = contract_open(state);
    weft_recording *recording = NULL;
    char path[64];
    uint64_t at = 1;
    put_range(&map, 0, ENTRIES);
    tape_path(path);
    weft_recording_options options = {.size = sizeof options, .file = path, .prefill = true};
    for (;; at++) {
        weft_memory_fail_at(at, at % 2 == 0);
        int status = weft_recording_start(&map, &recording, &options);
        weft_memory_fail_off();
        if (status == WEFT_OK) {
            break;
        }
        assert_int_equal(status, WEFT_E_NOMEM);
        assert_null(recording);
        assert_true(options.error_text[0] != 0);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    assert_in_range(at, 5, SITES_MAX);
    assert_ok(weft_recording_stop(recording, NULL));
    assert_int_equal(unlink(path), 0);
    contract_close(&map);
}

/* A chunk of long keys needs memory while the recording runs. */
static void writer_without_memory_ends_the_recording(void **state) {
    static char key[60000];
    weft_map map = contract_open(state);
    weft_recording *recording = NULL;
    char path[64];
    tape_path(path);
    weft_recording_options options = {.size = sizeof options, .file = path};
    assert_ok(weft_recording_start(&map, &recording, &options));
    weft_memory_fail_at(1, true);
    for (int i = 0; i < 20; i++) { /* looking needs no memory */
        key[0] = (char)i;
        assert_int_equal(weft_map_contains(&map, weft_bytes_of(key, sizeof key)), WEFT_NOT_FOUND);
    }
    int status = weft_recording_stop(recording, NULL);
    weft_memory_fail_off();
    assert_int_equal(status, WEFT_E_NOMEM);
    assert_int_equal(unlink(path), 0);
    contract_close(&map);
}

static const contract_test tests[] = {
    CONTRACT(each_file_call_fails),
    CONTRACT(full_disk_ends_a_recording_and_says_so),
    CONTRACT(each_allocation_of_start_fails),
    CONTRACT(writer_without_memory_ends_the_recording),
};

int main(void) {
    return contract_run("fault/record", tests, COUNT_OF(tests));
}
