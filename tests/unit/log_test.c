/* SPDX-License-Identifier: MIT */
/* The durable log, letter by letter of weft/log.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/log_kit.h"
#include "base/file.h"
#include "base/lock.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

static weft_log_kit kit;

static int set_up(void **state) {
    (void)state;
    weft_log_kit_init(&kit);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    weft_file_set_hook(NULL);
    weft_file_fail_off();
    (void)weft_log_kit_close(&kit);
    weft_log_kit_remove(&kit);
    return 0;
}

static void open_well(weft_log_sync sync) {
    int status = weft_log_kit_open(&kit, sync);
    if (status != WEFT_OK) {
        fail_msg("%s: %s%s", weft_status_name(status), kit.options.error_text, kit.report.text);
    }
    if (kit.wrong) {
        fail_msg("%s (%s)", kit.wrong, kit.report.text);
    }
}

static void close_well(void) {
    assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
}

static void make_log(uint64_t frames) {
    open_well(WEFT_LOG_ALWAYS);
    assert_int_equal(weft_log_kit_append_durable(&kit, frames), WEFT_OK);
    close_well();
}

static void write_file(const char *name, const char *text) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", kit.directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static uint64_t size_of(const char *path) {
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return (uint64_t)about.st_size;
}

static unsigned char flip(const char *path, uint64_t at, unsigned char bits) {
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    int was = fgetc(file);
    assert_true(was != EOF);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(was ^ bits, file), was ^ bits);
    assert_int_equal(fclose(file), 0);
    return (unsigned char)was;
}

/* ---- records ---- */

typedef struct seen {
    uint64_t count;
    weft_log_record records[8];
    unsigned char bytes[8][64];
    size_t big;
} seen;

static bool remember(void *ctx, const weft_log_record *record) {
    seen *all = ctx;
    size_t key = record->key.size;
    size_t value = record->value.body.size;
    assert_true(all->count < 8);
    all->records[all->count] = *record;
    if (key + value <= 64) {
        memcpy(all->bytes[all->count], record->key.data, key);
        memcpy(all->bytes[all->count] + key, record->value.body.data, value);
    } else {
        const unsigned char *body = record->value.body.data;
        for (size_t i = 0; i < value; i++) {
            all->big += body[i] == 'x';
        }
    }
    all->count++;
    return true;
}

static void every_kind_of_record_comes_back_A(void **state) {
    (void)state;
    enum { BIG = 3 << 20 }; /* larger than a log file of this test */
    char *big = malloc(BIG);
    assert_non_null(big);
    memset(big, 'x', BIG);
    const weft_log_record records[] = {
        {.op = WEFT_LOG_PUT,
         .era = 7,
         .version = UINT64_MAX,
         .key = weft_str("key"),
         .value = {weft_str("head"), weft_str("body")}},
        {.op = WEFT_LOG_PUT,
         .era = UINT64_MAX,
         .version = 0,
         .key = {NULL, 0},
         .value = {{NULL, 0}, {NULL, 0}}},
        {.op = WEFT_LOG_REMOVE, .era = 300, .version = 128, .key = weft_str("gone")},
        {.op = WEFT_LOG_CLEAR, .era = 127},
        {.op = WEFT_LOG_BARRIER},
        {.op = WEFT_LOG_PUT, .key = weft_str("big"), .value = {{NULL, 0}, {big, BIG}}},
    };
    open_well(WEFT_LOG_EVERYSEC);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(weft_log_frame_add(&kit.frame, &records[i]), WEFT_OK);
    }
    assert_int_equal(kit.frame.records, 6);
    assert_int_equal(weft_log_append(kit.log, &kit.frame, NULL), WEFT_OK);
    close_well();
    free(big);

    static seen all;
    memset(&all, 0, sizeof all);
    assert_int_equal(weft_log_open(&kit.log, &kit.options), WEFT_OK);
    assert_int_equal(weft_log_recover(kit.log, remember, &all, &kit.report), WEFT_OK);
    assert_int_equal(all.count, 6);
    assert_int_equal(kit.report.frames, 1);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(all.records[i].op, records[i].op);
        assert_int_equal(all.records[i].era, records[i].era);
        assert_int_equal(all.records[i].version, records[i].version);
        assert_int_equal(all.records[i].key.size, records[i].key.size);
        assert_int_equal(all.records[i].value.body.size,
                         records[i].value.head.size + records[i].value.body.size);
    }
    assert_memory_equal(all.bytes[0], "keyheadbody", 11);
    assert_memory_equal(all.bytes[2], "gone", 4);
    assert_int_equal(all.big, BIG);
    assert_int_equal(weft_log_recover(kit.log, remember, &all, NULL), WEFT_E_INVALID);
}

static void what_cannot_be_a_record_is_refused(void **state) {
    (void)state;
    weft_log_record record = {.op = (weft_log_op)9};
    assert_int_equal(weft_log_frame_add(&kit.frame, &record), WEFT_E_INVALID);
    record.op = WEFT_LOG_PUT;
    record.key = weft_bytes_of("", WEFT_KEY_SIZE_MAX + 1);
    assert_int_equal(weft_log_frame_add(&kit.frame, &record), WEFT_E_TOOBIG);
    record.key = weft_bytes_of("", 0);
    record.value.head = weft_bytes_of("", 1);
    record.value.body = weft_bytes_of("", WEFT_VALUE_SIZE_MAX);
    assert_int_equal(weft_log_frame_add(&kit.frame, &record), WEFT_E_TOOBIG);
    assert_int_equal(kit.frame.size, 0);
    assert_int_equal(kit.frame.records, 0);
}

static void frames_come_back_in_order_over_many_files_AB(void **state) {
    (void)state;
    for (int life = 0; life < 4; life++) {
        open_well(life % 2 ? WEFT_LOG_NO : WEFT_LOG_EVERYSEC);
        assert_int_equal(kit.report.next_lsn, 1 + 1000 * (uint64_t)life);
        assert_int_equal(kit.report.end, WEFT_LOG_END_CLEAN);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_OK);
        }
        close_well();
    }
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.last, 4000);
    assert_true(kit.report.segments > 4);
}

static bool stop_at_once(void *ctx, const weft_log_record *record) {
    (void)record;
    ++*(int *)ctx;
    return false;
}

static void recovery_can_be_stopped(void **state) {
    (void)state;
    int calls = 0;
    make_log(10);
    assert_int_equal(weft_log_open(&kit.log, &kit.options), WEFT_OK);
    assert_int_equal(weft_log_append(kit.log, &kit.frame, NULL), WEFT_E_INVALID);
    assert_int_equal(weft_log_checkpoint_begin(kit.log, NULL), WEFT_E_INVALID);
    assert_int_equal(weft_log_recover(kit.log, stop_at_once, &calls, NULL), WEFT_ABORTED);
    assert_int_equal(calls, 1);
    close_well();
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.last, 10);
}

/* ---- refusals ---- */

static void expect_refusal(int status, const char *part) {
    assert_int_equal(weft_log_kit_open(&kit, WEFT_LOG_NO), status);
    if (!strstr(kit.options.error_text, part)) {
        fail_msg("\"%s\" is not in \"%s\"", part, kit.options.error_text);
    }
    assert_non_null(strstr(kit.options.error_text, kit.options.directory));
}

static void directories_that_are_not_ours_are_refused(void **state) {
    (void)state;
    assert_int_equal(mkdir(kit.directory, 0755), 0);
    write_file("homework.txt", "x");
    expect_refusal(WEFT_E_INVALID, "homework.txt");
    char path[256];
    (void)snprintf(path, sizeof path, "%s/homework.txt", kit.directory);
    kit.options.directory = path;
    expect_refusal(WEFT_E_IO, "choose a path that is a directory");
    (void)snprintf(path, sizeof path, "%s/not/there", kit.directory);
    expect_refusal(WEFT_E_IO, "make its parent directory first");
    kit.options.directory = kit.directory;
    (void)snprintf(path, sizeof path, "%s/LOCK", kit.directory);
    assert_int_not_equal(access(path, F_OK), 0); /* nothing was left in it */
}

static void other_formats_are_refused(void **state) {
    (void)state;
    make_log(1);
    write_file("FORMAT", "weft log\nversion 2\nwhatever\n");
    expect_refusal(WEFT_E_UNSUPPORTED, "newer weft (format 2");
    write_file("FORMAT", "");
    expect_refusal(WEFT_E_CORRUPT, "FORMAT is damaged");
}

static void a_directory_has_one_owner(void **state) {
    (void)state;
    char pid[48];
    weft_log *second;
    open_well(WEFT_LOG_NO);
    weft_log_options options = kit.options;
    (void)snprintf(pid, sizeof pid, "in use by process %ld;", (long)getpid());
    assert_int_equal(weft_log_open(&second, &options), WEFT_E_BUSY);
    assert_null(second);
    assert_non_null(strstr(options.error_text, pid));
    close_well();
    open_well(WEFT_LOG_NO);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    weft_log *log;
    weft_log_options options = {.size = 1};
    assert_int_equal(weft_log_open(&log, &options), WEFT_E_INVALID);
    options = (weft_log_options){.size = sizeof options, .directory = ""};
    assert_int_equal(weft_log_open(&log, &options), WEFT_E_INVALID);
    assert_string_equal(options.error_text, "no directory is given");
    options =
        (weft_log_options){.size = sizeof options, .directory = kit.directory, .segment_bytes = 1};
    assert_int_equal(weft_log_open(&log, &options), WEFT_E_INVALID);
    options = (weft_log_options){
        .size = sizeof options, .directory = kit.directory, .sync = (weft_log_sync)3};
    assert_int_equal(weft_log_open(&log, &options), WEFT_E_INVALID);
    assert_null(log);
}

static void files_of_others_stay_where_they_are(void **state) {
    (void)state;
    char path[256];
    make_log(1);
    write_file("notes", "x");
    write_file("log-0000000000000009.tmp", "x");
    write_file("snap-0000000000000009.tmp", "x");
    open_well(WEFT_LOG_NO);
    (void)snprintf(path, sizeof path, "%s/notes", kit.directory);
    assert_int_equal(access(path, F_OK), 0);
    (void)snprintf(path, sizeof path, "%s/log-0000000000000009.tmp", kit.directory);
    assert_int_not_equal(access(path, F_OK), 0);
    (void)snprintf(path, sizeof path, "%s/snap-0000000000000009.tmp", kit.directory);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* ---- ends, torn and damaged ---- */

static void a_torn_end_is_dropped_wherever_it_is_torn_D(void **state) {
    (void)state;
    char path[256];
    make_log(3);
    weft_log_kit_path(&kit, "log", 1, path);
    uint64_t two = size_of(path); /* of three frames, so far */
    for (uint64_t cut = 1; cut < two; cut += cut < 400 ? 1 : 37) {
        weft_log_kit_remove(&kit);
        make_log(3);
        uint64_t whole = size_of(path);
        if (whole - cut < 40) {
            break;
        }
        assert_int_equal(truncate(path, (off_t)(whole - cut)), 0);
        open_well(WEFT_LOG_ALWAYS);
        assert_true(kit.last < 3);
        assert_int_equal(weft_log_kit_append_durable(&kit, 5), WEFT_OK);
        close_well();
        uint64_t then = kit.last + 5;
        open_well(WEFT_LOG_NO);
        assert_int_equal(kit.last, then);
        close_well();
    }
}

static void rubbish_behind_the_end_is_dropped_and_told_D(void **state) {
    (void)state;
    char path[256];
    make_log(3);
    weft_log_kit_path(&kit, "log", 1, path);
    uint64_t end = size_of(path);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(fputc(i % 2 ? 0 : 'r', file), i % 2 ? 0 : 'r');
    }
    assert_int_equal(fclose(file), 0);
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.last, 3);
    assert_int_equal(kit.report.end, WEFT_LOG_END_TORN);
    assert_int_equal(kit.report.dropped_bytes, 999);
    char at[32];
    (void)snprintf(at, sizeof at, "offset %" PRIu64, end);
    assert_non_null(strstr(kit.report.text, at));
}

static void expect_damage(const char *path) {
    assert_int_equal(weft_log_kit_open(&kit, WEFT_LOG_NO), WEFT_E_CORRUPT);
    assert_int_equal(kit.report.end, WEFT_LOG_END_REFUSED);
    if (!strstr(kit.report.text, path)) {
        fail_msg("\"%s\" is not in \"%s\"", path, kit.report.text);
    }
}

/* Ten frames one by one: each frame knows that the one before it was durable. */
static void make_stepwise_log(void) {
    open_well(WEFT_LOG_ALWAYS);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(weft_log_kit_append_durable(&kit, 1), WEFT_OK);
    }
    close_well();
}

static void a_damaged_durable_frame_is_refused_not_dropped_D(void **state) {
    (void)state;
    char path[256];
    weft_log_kit_path(&kit, "log", 1, path);
    make_stepwise_log();
    uint64_t size = size_of(path);
    unsigned refused = 0;
    for (uint64_t at = 0; at < size; at += 7) {
        unsigned char was = flip(path, at, 0x10);
        int status = weft_log_kit_open(&kit, WEFT_LOG_NO);
        assert_null(kit.wrong);
        if (status == WEFT_OK) {
            /* Legal for the last two alone: nothing behind shows that they were durable. */
            assert_true(kit.last >= 8);
            close_well();
            weft_log_kit_remove(&kit);
            make_stepwise_log();
            continue;
        }
        assert_int_equal(status, WEFT_E_CORRUPT);
        refused++;
        assert_int_equal(size_of(path), size); /* nothing was changed */
        assert_int_equal(flip(path, at, 0x10), was ^ 0x10);
    }
    assert_true(refused > size / 7 / 2);
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.last, 10);
}

static void a_missing_file_is_refused_D(void **state) {
    (void)state;
    char path[256];
    char away[256];
    open_well(WEFT_LOG_NO);
    assert_int_equal(weft_log_kit_append_durable(&kit, 1000), WEFT_OK);
    close_well();
    open_well(WEFT_LOG_NO);
    assert_true(kit.report.segments > 1);
    assert_int_equal(weft_log_kit_checkpoint(&kit, 5), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(&kit, 1000), WEFT_OK);
    close_well();
    (void)snprintf(away, sizeof away, "%s/away", kit.directory);

    weft_log_kit_path(&kit, "log", 1001, path); /* the first that the checkpoint needs */
    assert_int_equal(rename(path, away), 0);
    expect_damage("1001");
    assert_int_equal(rename(away, path), 0);

    weft_log_kit_path(&kit, "snap", 1001, path);
    assert_int_equal(rename(path, away), 0);
    expect_damage(kit.directory);
    assert_int_equal(rename(away, path), 0);
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.checkpoint_records, 5);
    assert_int_equal(kit.last, 2000);
}

static void a_log_shorter_than_its_checkpoint_is_refused_D(void **state) {
    (void)state;
    char path[256];
    open_well(WEFT_LOG_NO);
    assert_int_equal(weft_log_checkpoint_begin(kit.log, NULL), WEFT_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_OK);
    }
    assert_int_equal(weft_log_checkpoint_end(kit.log), WEFT_OK);
    assert_int_equal(weft_log_durable_lsn(kit.log), 5);
    close_well();
    weft_log_kit_path(&kit, "log", 1, path);
    assert_int_equal(truncate(path, (off_t)(size_of(path) - 8)), 0);
    expect_damage("log-0000000000000001.weft");
}

static void any_damage_to_a_checkpoint_is_refused_D(void **state) {
    (void)state;
    char path[256];
    open_well(WEFT_LOG_NO);
    assert_int_equal(weft_log_kit_append_durable(&kit, 3), WEFT_OK);
    assert_int_equal(weft_log_kit_checkpoint(&kit, 6), WEFT_OK);
    close_well();
    weft_log_kit_path(&kit, "snap", 4, path);
    uint64_t size = size_of(path);
    for (uint64_t at = 0; at < size; at++) {
        unsigned char was = flip(path, at, 0x01);
        int status = weft_log_kit_open(&kit, WEFT_LOG_NO);
        bool padding = status == WEFT_OK && was == 0;
        if (status == WEFT_OK) {
            assert_true(padding);
            assert_null(kit.wrong);
            close_well();
        } else {
            assert_int_equal(status, WEFT_E_CORRUPT);
            assert_non_null(strstr(kit.report.text, path));
            assert_int_equal(kit.checkpoint_records, 0); /* verified before it is delivered */
        }
        (void)flip(path, at, 0x01);
    }
    assert_int_equal(truncate(path, (off_t)size - 8), 0);
    expect_damage(path);
}

/* ---- durability ---- */

static uint64_t now_ns(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void wait_for(uint64_t (*lsn)(weft_log *), uint64_t at_least, uint64_t limit_ns) {
    uint64_t begin = now_ns();
    while (lsn(kit.log) < at_least) {
        if (now_ns() - begin > limit_ns) {
            fail_msg("not at %" PRIu64 " in time", at_least);
        }
        weft_sleep_ns(SECOND / 1000);
    }
}

static uint64_t notified;

static void on_notify(void *ctx, uint64_t durable) {
    __atomic_store_n((uint64_t *)ctx, durable, __ATOMIC_SEQ_CST);
}

static void always_makes_durable_at_once_and_tells_C(void **state) {
    (void)state;
    kit.options.notify = on_notify;
    kit.options.notify_ctx = &notified;
    open_well(WEFT_LOG_ALWAYS);
    for (uint64_t i = 1; i <= 20; i++) {
        assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_OK);
        wait_for(weft_log_durable_lsn, i, 5 * SECOND);
    }
    uint64_t begin = now_ns();
    while (__atomic_load_n(&notified, __ATOMIC_SEQ_CST) != 20 && now_ns() - begin < 5 * SECOND) {
        weft_yield();
    }
    assert_int_equal(__atomic_load_n(&notified, __ATOMIC_SEQ_CST), 20);
}

static void everysec_writes_soon_and_synchronizes_each_second_C(void **state) {
    (void)state;
    weft_log_stats stats;
    open_well(WEFT_LOG_EVERYSEC);
    assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_OK);
    wait_for(weft_log_written_lsn, 1, SECOND);
    weft_log_stats_get(kit.log, &stats);
    assert_int_equal(stats.durable_lsn, 0);
    assert_int_equal(stats.syncs, 0);
    assert_true(stats.oldest_unsynced_age_ns > 0);
    wait_for(weft_log_durable_lsn, 1, 4 * SECOND);
    weft_log_stats_get(kit.log, &stats);
    assert_int_equal(stats.syncs, 1);
    assert_int_equal(stats.oldest_unsynced_age_ns, 0);
}

static void no_synchronizes_on_request_only_C(void **state) {
    (void)state;
    open_well(WEFT_LOG_NO);
    assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_OK);
    wait_for(weft_log_written_lsn, 1, SECOND);
    weft_sleep_ns(SECOND + SECOND / 5);
    assert_int_equal(weft_log_durable_lsn(kit.log), 0);
    assert_int_equal(weft_log_wait_durable(kit.log, 1, 5 * SECOND), WEFT_OK);
    assert_int_equal(weft_log_durable_lsn(kit.log), 1);
    assert_int_equal(weft_log_wait_durable(kit.log, 2, 0), WEFT_E_INVALID);
}

enum { THREADS = 4, APPENDS = 2000 };
static uint64_t lsn_of[THREADS][APPENDS];

static void *append_many(void *arg) {
    uint64_t *lsns = arg;
    weft_log_frame frame = WEFT_LOG_FRAME_INIT;
    weft_log_record record = {
        .op = WEFT_LOG_PUT, .key = weft_str("k"), .value = {weft_str("v"), {NULL, 0}}};
    for (int i = 0; i < APPENDS; i++) {
        record.version = (uint64_t)i;
        if (weft_log_frame_add(&frame, &record) != WEFT_OK ||
            weft_log_append(kit.log, &frame, &lsns[i]) != WEFT_OK) {
            lsns[i] = 0;
        }
        weft_log_frame_reset(&frame);
    }
    weft_log_frame_free(&frame);
    return NULL;
}

static bool count_record(void *ctx, const weft_log_record *record) {
    (void)record;
    ++*(uint64_t *)ctx;
    return true;
}

static void many_threads_append_and_a_checkpoint_is_written_B(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    uint64_t found = 0;
    kit.options.buffer_bytes = 64 << 10; /* so that appends wait now and then [F] */
    open_well(WEFT_LOG_EVERYSEC);
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_create(&threads[t], NULL, append_many, lsn_of[t]), 0);
    }
    uint64_t base = 0;
    assert_int_equal(weft_log_checkpoint_begin(kit.log, &base), WEFT_OK);
    assert_int_equal(weft_log_checkpoint_begin(kit.log, NULL), WEFT_E_BUSY);
    assert_int_equal(weft_log_checkpoint_end(kit.log), WEFT_OK);
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        for (int i = 0; i < APPENDS; i++) {
            assert_true(lsn_of[t][i] > (i ? lsn_of[t][i - 1] : 0));
        }
    }
    close_well();
    assert_int_equal(weft_log_open(&kit.log, &kit.options), WEFT_OK);
    assert_int_equal(weft_log_recover(kit.log, count_record, &found, &kit.report), WEFT_OK);
    assert_int_equal(kit.report.next_lsn, THREADS * APPENDS + 1);
    assert_int_equal(found, THREADS * APPENDS + 1 - base);
}

/* ---- memory, errno, checkpoints ---- */

static uint64_t gate_closed;

static int wait_at_gate(void *ctx, weft_file_call *call) {
    (void)ctx;
    while (call->op == WEFT_FILE_PWRITE && __atomic_load_n(&gate_closed, __ATOMIC_SEQ_CST)) {
        weft_sleep_ns(SECOND / 1000);
    }
    return 0;
}

static void a_full_buffer_holds_appends_back_F(void **state) {
    (void)state;
    static const weft_file_hook hook = {wait_at_gate, NULL};
    kit.options.buffer_bytes = 64 << 10;
    kit.options.no_wait = true;
    open_well(WEFT_LOG_ALWAYS);
    __atomic_store_n(&gate_closed, 1, __ATOMIC_SEQ_CST);
    weft_file_set_hook(&hook);
    int status = WEFT_OK;
    weft_log_stats stats;
    uint64_t appended = 0;
    while (status == WEFT_OK && appended < 10000) {
        status = weft_log_kit_append(&kit, NULL);
        appended += status == WEFT_OK;
    }
    weft_log_stats_get(kit.log, &stats);
    __atomic_store_n(&gate_closed, 0, __ATOMIC_SEQ_CST);
    assert_int_equal(status, WEFT_E_BUSY);
    assert_true(stats.buffered_bytes <= 64 << 10);
    assert_int_equal(stats.waits, 1);
    assert_int_equal(weft_log_wait_durable(kit.log, appended, 5 * SECOND), WEFT_OK);
    assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_OK);
    close_well();
    weft_file_set_hook(NULL);
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.last, appended + 1);
}

static void errno_stays_as_it_was_G(void **state) {
    (void)state;
    errno = 12345;
    assert_int_equal(weft_log_kit_open(&kit, WEFT_LOG_ALWAYS), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(&kit, 1), WEFT_OK);
    assert_int_equal(weft_log_kit_checkpoint(&kit, 1), WEFT_OK);
    weft_log *second;
    weft_log_options options = kit.options;
    assert_int_equal(weft_log_open(&second, &options), WEFT_E_BUSY);
    assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
    assert_int_equal(errno, 12345);
}

static void the_directory_does_not_grow_with_overwrites(void **state) {
    (void)state;
    weft_log_stats stats;
    uint64_t most = 0;
    open_well(WEFT_LOG_NO);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 500; i++) {
            assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_OK);
        }
        assert_int_equal(weft_log_kit_checkpoint(&kit, 100), WEFT_OK);
        weft_log_stats_get(kit.log, &stats);
        assert_int_equal(stats.checkpoint_entries, 100);
        assert_int_equal(stats.log_bytes, 0);
        uint64_t bytes = weft_log_kit_bytes(&kit);
        most = bytes > most ? bytes : most;
    }
    assert_true(most < 4 * (64 << 10)); /* 10 000 frames are 4 MB and more */
    close_well();
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.checkpoint_records, 100);
    assert_int_equal(kit.report.next_lsn, 10001);
    weft_log_stats_get(kit.log, &stats);
    assert_int_equal(stats.checkpoint_lsn, 10001);
}

static void an_aborted_checkpoint_leaves_the_old_one(void **state) {
    (void)state;
    weft_log_record record = {.op = WEFT_LOG_PUT};
    open_well(WEFT_LOG_NO);
    assert_int_equal(weft_log_checkpoint_add(kit.log, &record), WEFT_E_INVALID);
    assert_int_equal(weft_log_checkpoint_end(kit.log), WEFT_E_INVALID);
    assert_int_equal(weft_log_kit_append_durable(&kit, 5), WEFT_OK);
    assert_int_equal(weft_log_kit_checkpoint(&kit, 3), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(&kit, 5), WEFT_OK);
    assert_int_equal(weft_log_checkpoint_begin(kit.log, NULL), WEFT_OK);
    assert_int_equal(weft_log_checkpoint_add(kit.log, &record), WEFT_OK);
    weft_log_checkpoint_abort(kit.log);
    assert_int_equal(weft_log_checkpoint_begin(kit.log, NULL), WEFT_OK);
    close_well(); /* aborts the one under way */
    open_well(WEFT_LOG_NO);
    assert_int_equal(kit.checkpoint_records, 3);
    assert_int_equal(kit.first, 6);
    assert_int_equal(kit.last, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_record_comes_back_A),
        TEST(what_cannot_be_a_record_is_refused),
        TEST(frames_come_back_in_order_over_many_files_AB),
        TEST(recovery_can_be_stopped),
        TEST(directories_that_are_not_ours_are_refused),
        TEST(other_formats_are_refused),
        TEST(a_directory_has_one_owner),
        TEST(wrong_options_are_refused),
        TEST(files_of_others_stay_where_they_are),
        TEST(a_torn_end_is_dropped_wherever_it_is_torn_D),
        TEST(rubbish_behind_the_end_is_dropped_and_told_D),
        TEST(a_damaged_durable_frame_is_refused_not_dropped_D),
        TEST(a_missing_file_is_refused_D),
        TEST(a_log_shorter_than_its_checkpoint_is_refused_D),
        TEST(any_damage_to_a_checkpoint_is_refused_D),
        TEST(always_makes_durable_at_once_and_tells_C),
        TEST(everysec_writes_soon_and_synchronizes_each_second_C),
        TEST(no_synchronizes_on_request_only_C),
        TEST(many_threads_append_and_a_checkpoint_is_written_B),
        TEST(a_full_buffer_holds_appends_back_F),
        TEST(errno_stays_as_it_was_G),
        TEST(the_directory_does_not_grow_with_overwrites),
        TEST(an_aborted_checkpoint_leaves_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
