/* SPDX-License-Identifier: MIT */
/* Processes that append, synchronize and write checkpoints are killed at random moments. What they
 * had been told to be durable (ALWAYS) or written (the others) is recovered, whole frames only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/log_kit.h"
#include "harness/prng.h"
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 100, LONGEST_US = 15000 };

/* What the child knows, seen by the parent after its death. */
typedef struct shared {
    uint64_t recovered; /* next LSN at its start, 0: refused */
    uint64_t safe;
} shared;

static uint64_t safe_lsn(weft_log *log, weft_log_sync sync) {
    return sync == WEFT_LOG_ALWAYS ? weft_log_durable_lsn(log) : weft_log_written_lsn(log);
}

__attribute__((noreturn)) static void child(weft_log_kit *kit, weft_log_sync sync, shared *known) {
    if (weft_log_kit_open(kit, sync) != WEFT_OK || kit->wrong) {
        _exit(1);
    }
    __atomic_store_n(&known->recovered, kit->report.next_lsn, __ATOMIC_SEQ_CST);
    for (uint64_t i = 1;; i++) {
        if (weft_log_kit_append(kit, NULL) != WEFT_OK) {
            _exit(2);
        }
        if (i % 64 == 0 && weft_log_kit_checkpoint(kit, i % 50) != WEFT_OK) {
            _exit(3);
        }
        __atomic_store_n(&known->safe, safe_lsn(kit->log, sync), __ATOMIC_SEQ_CST);
    }
}

static void sleep_us(uint32_t us) {
    struct timespec time = {.tv_nsec = (long)us * 1000};
    (void)nanosleep(&time, NULL);
}

static void kill_again_and_again(weft_log_sync sync) {
    weft_log_kit kit;
    weft_prng prng = weft_prng_of(sync + 1u);
    uint64_t progress = 0;
    shared *known =
        mmap(NULL, sizeof *known, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(known != MAP_FAILED);
    weft_log_kit_init(&kit);
    for (int round = 0; round < ROUNDS; round++) {
        known->recovered = known->safe = 0;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            child(&kit, sync, known);
        }
        sleep_us(weft_prng_below(&prng, LONGEST_US));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int how = 0;
        assert_int_equal(waitpid(pid, &how, 0), pid);
        if (!WIFSIGNALED(how)) {
            fail_msg("round %d: the child gave up with %d", round, WEXITSTATUS(how));
        }
        int status = weft_log_kit_open(&kit, sync);
        if (status != WEFT_OK || kit.wrong) {
            fail_msg("round %d: %s: %s %s %s", round, weft_status_name(status),
                     kit.options.error_text, kit.report.text, kit.wrong ? kit.wrong : "");
        }
        if (kit.report.next_lsn <= known->safe || kit.report.next_lsn < progress) {
            fail_msg("round %d: %" PRIu64 " was safe, next is %" PRIu64, round, known->safe,
                     kit.report.next_lsn);
        }
        progress = kit.report.next_lsn;
        assert_int_equal(weft_log_kit_close(&kit), WEFT_OK);
    }
    assert_true(progress > ROUNDS); /* they did get to work */
    weft_log_kit_remove(&kit);
    assert_int_equal(munmap(known, sizeof *known), 0);
}

static void killed_with_sync_always_C(void **state) {
    (void)state;
    kill_again_and_again(WEFT_LOG_ALWAYS);
}

static void killed_with_sync_everysec_C(void **state) {
    (void)state;
    kill_again_and_again(WEFT_LOG_EVERYSEC);
}

static void killed_with_sync_no_C(void **state) {
    (void)state;
    kill_again_and_again(WEFT_LOG_NO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_with_sync_always_C),
        cmocka_unit_test(killed_with_sync_everysec_C),
        cmocka_unit_test(killed_with_sync_no_C),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
