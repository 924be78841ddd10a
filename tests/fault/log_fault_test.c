/* SPDX-License-Identifier: MIT */
/* The log when the operating system refuses: each file call and each allocation in turn, once and
 * for ever. Nothing is called durable that is not; what was called durable is there afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/log_kit.h"
#include "base/file.h"
#include "base/lock.h"
#include "base/memory.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

static weft_log_kit kit;

static int set_up(void **state) {
    (void)state;
    weft_log_kit_init(&kit);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    weft_file_fail_off();
    weft_memory_fail_off();
    (void)weft_log_kit_close(&kit);
    weft_log_kit_remove(&kit);
    return 0;
}

/* What a run believed. */
typedef struct belief {
    uint64_t durable;  /* the highest durable LSN that was reported */
    uint64_t appended; /* the highest LSN that an append gave */
    int closed;        /* what close said */
} belief;

static void append_some(belief *what, int count) {
    for (int i = 0; i < count; i++) {
        uint64_t lsn;
        if (weft_log_kit_append(&kit, &lsn) == WEFT_OK) {
            what->appended = lsn;
        }
    }
    if (what->appended) {
        (void)weft_log_wait_durable(kit.log, what->appended, SECOND / 50);
    }
    uint64_t durable = weft_log_durable_lsn(kit.log);
    assert_true(durable >= what->durable);
    what->durable = durable;
}

/* A whole life: three files, a checkpoint, further frames. */
static belief live(void) {
    belief what = {.closed = WEFT_OK};
    if (weft_log_kit_open(&kit, WEFT_LOG_ALWAYS) != WEFT_OK) {
        return what;
    }
    assert_null(kit.wrong);
    what.durable = kit.report.next_lsn - 1;
    append_some(&what, 3);
    append_some(&what, 250); /* more than a file */
    (void)weft_log_kit_checkpoint(&kit, 20);
    append_some(&what, 3);
    what.closed = weft_log_kit_close(&kit);
    if (what.closed == WEFT_OK && what.appended > what.durable) {
        what.durable = what.appended;
    }
    return what;
}

static void check_after(const belief *what, uint64_t at, const char *kind) {
    int status = weft_log_kit_open(&kit, WEFT_LOG_NO);
    if (status != WEFT_OK || kit.wrong) {
        fail_msg("%s %" PRIu64 ": %s: %s %s %s", kind, at, weft_status_name(status),
                 kit.options.error_text, kit.report.text, kit.wrong ? kit.wrong : "");
    }
    if (kit.report.next_lsn <= what->durable) {
        fail_msg("%s %" PRIu64 ": %" PRIu64 " was durable, next is %" PRIu64, kind, at,
                 what->durable, kit.report.next_lsn);
    }
    assert_int_equal(weft_log_kit_append_durable(&kit, 2), WEFT_OK);
    assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
}

static void sweep(int error, bool forever, size_t short_size) {
    uint64_t calls = 0;
    for (uint64_t at = 1;; at++) {
        weft_file_fault fault = {
            .at = at, .error = error, .forever = forever, .short_size = short_size};
        weft_log_kit_remove(&kit);
        weft_log_kit_init(&kit);
        weft_file_fail(&fault);
        belief what = live();
        calls = weft_file_count();
        weft_file_fail_off();
        check_after(&what, at, forever ? "file call for ever" : "file call");
        if (at > calls) {
            assert_int_equal(what.closed, WEFT_OK);
            assert_int_equal(what.durable, 256);
            break;
        }
    }
    assert_true(calls > 40);
}

static void each_file_call_fails_once_with_EIO_CD(void **state) {
    (void)state;
    sweep(EIO, false, SIZE_MAX);
}

static void each_file_call_fails_for_ever_with_EIO_CD(void **state) {
    (void)state;
    sweep(EIO, true, 13);
}

static void each_file_call_fails_once_with_ENOSPC_CDE(void **state) {
    (void)state;
    sweep(ENOSPC, false, 100);
}

static void each_file_call_fails_for_ever_with_ENOSPC_CDE(void **state) {
    (void)state;
    sweep(ENOSPC, true, SIZE_MAX);
}

/* The same over a directory with a past: recovery's own calls fail. */
static void each_file_call_of_recovery_fails_D(void **state) {
    (void)state;
    uint64_t refused = 0;
    uint64_t calls = 0;
    for (uint64_t at = 1; at <= calls + 1; at++) {
        weft_file_fault fault = {.at = at, .error = EIO, .short_size = SIZE_MAX};
        weft_log_kit_remove(&kit);
        weft_log_kit_init(&kit);
        belief before = live();
        assert_int_equal(before.closed, WEFT_OK);
        weft_file_fail(&fault);
        int status = weft_log_kit_open(&kit, WEFT_LOG_NO);
        calls = weft_file_count();
        if (status == WEFT_OK) {
            assert_null(kit.wrong);
            (void)weft_log_kit_close(&kit);
        } else {
            refused++;
            assert_int_equal(status, WEFT_E_IO);
            assert_true(kit.options.error_text[0] || kit.report.text[0]);
        }
        weft_file_fail_off();
        check_after(&before, at, "call of recovery");
    }
    assert_true(refused > 10);
}

/* A disc may take a part of a write and say so. */
static int take_a_part(void *ctx, weft_file_call *call) {
    (void)ctx;
    if ((call->op == WEFT_FILE_PWRITE || call->op == WEFT_FILE_PREAD) && call->size > 5) {
        call->size = call->size / 2;
    }
    return 0;
}

static void short_transfers_are_gone_on_with(void **state) {
    (void)state;
    static const weft_file_hook hook = {take_a_part, NULL};
    weft_file_set_hook(&hook);
    belief what = live();
    assert_int_equal(what.closed, WEFT_OK);
    check_after(&what, 0, "short transfers");
    weft_file_set_hook(NULL);
    assert_int_equal(what.durable, 256);
    check_after(&what, 0, "whole transfers");
}

static bool count_record(void *ctx, const weft_log_record *record) {
    (void)record;
    ++*(uint64_t *)ctx;
    return true;
}

static void each_allocation_fails(void **state) {
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        uint64_t count;
        uint64_t at = 0;
        do {
            weft_log_kit_remove(&kit);
            weft_log_kit_init(&kit);
            weft_log_kit_fill(&kit.frame, 3); /* its memory is there before */
            belief what = {0};
            weft_memory_fail_at(++at, forever);
            if (weft_log_kit_open(&kit, WEFT_LOG_ALWAYS) == WEFT_OK) {
                for (int i = 0; i < 3; i++) {
                    uint64_t lsn;
                    int status = weft_log_append(kit.log, &kit.frame, &lsn);
                    assert_true(status == WEFT_OK || status == WEFT_E_NOMEM);
                    what.appended += status == WEFT_OK;
                }
                (void)weft_log_kit_checkpoint(&kit, 0);
                assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
                what.durable = what.appended;
            }
            count = weft_memory_count();
            weft_memory_fail_off();
            uint64_t found = 0;
            assert_int_equal(weft_log_open(&kit.log, &kit.options), WEFT_OK);
            assert_int_equal(weft_log_recover(kit.log, count_record, &found, &kit.report), WEFT_OK);
            assert_int_equal(kit.report.next_lsn, what.durable + 1);
            assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
        } while (at <= count);
        assert_true(count > 3);
    }
}

/* ---- states ---- */

static void wait_for_state(weft_log_state wanted) {
    for (int i = 0; i < 5000 && weft_log_state_get(kit.log) != wanted; i++) {
        weft_sleep_ns(SECOND / 1000);
    }
    assert_int_equal(weft_log_state_get(kit.log), wanted);
}

static void a_full_disk_keeps_what_was_appended_and_recovers_by_itself_E(void **state) {
    (void)state;
    weft_log_stats stats;
    uint64_t lsn;
    assert_int_equal(weft_log_kit_open(&kit, WEFT_LOG_ALWAYS), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(&kit, 5), WEFT_OK);
    weft_file_fault fault = {.at = 1,
                             .ops = 1u << WEFT_FILE_PWRITE | 1u << WEFT_FILE_ALLOCATE,
                             .error = ENOSPC,
                             .forever = true,
                             .short_size = 17};
    weft_file_fail(&fault);
    assert_int_equal(weft_log_kit_append(&kit, &lsn), WEFT_OK);
    wait_for_state(WEFT_LOG_FULL);
    assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_E_FULL);
    assert_int_equal(weft_log_checkpoint_begin(kit.log, NULL), WEFT_E_FULL);
    assert_int_equal(weft_log_wait_durable(kit.log, lsn, SECOND / 100), WEFT_E_BUSY);
    weft_log_stats_get(kit.log, &stats);
    assert_int_equal(stats.durable_lsn, 5);
    assert_true(stats.buffered_bytes > 0);
    assert_non_null(strstr(stats.error_text, "No space left on device"));
    weft_file_fail_off();
    assert_int_equal(weft_log_wait_durable(kit.log, lsn, 5 * SECOND), WEFT_OK);
    assert_int_equal(weft_log_state_get(kit.log), WEFT_LOG_GOOD);
    assert_int_equal(weft_log_kit_append_durable(&kit, 3), WEFT_OK);
    assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
    belief what = {.durable = 9};
    check_after(&what, 0, "full disk");
}

static void a_failed_synchronization_is_final_C(void **state) {
    (void)state;
    weft_log_stats stats;
    uint64_t lsn;
    assert_int_equal(weft_log_kit_open(&kit, WEFT_LOG_ALWAYS), WEFT_OK);
    assert_int_equal(weft_log_kit_append_durable(&kit, 5), WEFT_OK);
    weft_file_fault fault = {
        .at = 1, .ops = 1u << WEFT_FILE_SYNC, .error = EIO, .short_size = SIZE_MAX};
    weft_file_fail(&fault); /* once: a second try would succeed, and prove nothing */
    assert_int_equal(weft_log_kit_append(&kit, &lsn), WEFT_OK);
    assert_int_equal(weft_log_wait_durable(kit.log, lsn, 5 * SECOND), WEFT_E_IO);
    weft_sleep_ns(SECOND + SECOND / 5);
    assert_int_equal(weft_file_count(), 1);
    assert_int_equal(weft_log_state_get(kit.log), WEFT_LOG_FAILED);
    assert_int_equal(weft_log_durable_lsn(kit.log), 5);
    assert_int_equal(weft_log_kit_append(&kit, NULL), WEFT_E_IO);
    assert_int_equal(weft_log_checkpoint_begin(kit.log, NULL), WEFT_E_IO);
    weft_log_stats_get(kit.log, &stats);
    assert_non_null(strstr(stats.error_text, "Input/output error"));
    assert_int_equal(weft_log_kit_close(&kit), WEFT_E_IO);
    weft_file_fail_off();
    belief what = {.durable = 5};
    check_after(&what, 0, "failed synchronization");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_file_call_fails_once_with_EIO_CD),
        TEST(each_file_call_fails_for_ever_with_EIO_CD),
        TEST(each_file_call_fails_once_with_ENOSPC_CDE),
        TEST(each_file_call_fails_for_ever_with_ENOSPC_CDE),
        TEST(each_file_call_of_recovery_fails_D),
        TEST(short_transfers_are_gone_on_with),
        TEST(each_allocation_fails),
        TEST(a_full_disk_keeps_what_was_appended_and_recovers_by_itself_E),
        TEST(a_failed_synchronization_is_final_C),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
