/* SPDX-License-Identifier: MIT */
/* Threads, locks, barriers, clock and status on threads of the operating system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/atomic.h"
#include "base/barrier.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/status.h>

static uint64_t handed_over;
static uint64_t calls;

static void on_exit_of_thread(void *value) {
    (void)weft_fetch_add_relaxed(&calls, 1);
    (void)weft_fetch_add_relaxed(&handed_over, (uint64_t)(uintptr_t)value);
}

static void *use_slot(void *value) {
    if (*weft_thread_slot() != NULL) {
        return NULL;
    }
    if (value) {
        (void)weft_thread_set_slot(value);
    }
    return *weft_thread_slot() == value ? (void *)weft_thread_slot() : NULL;
}

static void slots_belong_to_threads(void **state) {
    (void)state;
    assert_true(weft_thread_at_exit(on_exit_of_thread));
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_slot, (void *)i), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *slot = NULL;
        assert_int_equal(pthread_join(threads[i], &slot), 0);
        assert_non_null(slot);
        assert_ptr_not_equal(slot, weft_thread_slot());
    }
    assert_int_equal(calls, 3); /* the one that set nothing is not told of */
    assert_int_equal(handed_over, 1 + 2 + 3);
}

static int forks;

static void on_fork(void) {
    forks++;
}

static void child_is_told_of_fork(void **state) {
    (void)state;
    assert_true(weft_thread_at_fork_child(on_fork));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(forks == 1 && weft_barrier_heavy() ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(forks, 0);
}

enum { TURNS = 20000 };

/* The two sides of a barrier, and what each of them did not see in which round. */
static struct {
    uint64_t frequent_flag WEFT_LINE_ALIGNED;
    uint64_t missed[2] WEFT_LINE_ALIGNED;
    uint64_t arrived WEFT_LINE_ALIGNED;
    uint64_t rare_flag WEFT_LINE_ALIGNED;
} sides;

static void meet(uint64_t round) {
    (void)weft_fetch_add_seq_cst(&sides.arrived, 1);
    while (weft_load_seq_cst(&sides.arrived) < 2 * round) {
        weft_yield();
    }
}

/* Store one flag, fence, look at the other one. */
static void *store_and_look(void *ctx) {
    bool rare = ctx != NULL;
    uint64_t *mine = rare ? &sides.rare_flag : &sides.frequent_flag;
    uint64_t *other = rare ? &sides.frequent_flag : &sides.rare_flag;
    uintptr_t both_missed = 0;
    for (uint64_t round = 1; round <= TURNS; round++) {
        meet(3 * round - 2);
        weft_store_relaxed(mine, round);
        if (!rare) {
            weft_barrier_light();
        } else {
            both_missed += !weft_barrier_heavy();
        }
        weft_store_relaxed(&sides.missed[rare], weft_load_relaxed(other) < round);
        meet(3 * round - 1);
        both_missed += weft_load_relaxed(&sides.missed[0]) && weft_load_relaxed(&sides.missed[1]);
        meet(3 * round);
    }
    return (void *)both_missed;
}

/* At least one side must see what the other one stored before its fence. */
static void light_and_heavy_are_a_pair(void **state) {
    (void)state;
    assert_true(weft_barrier_heavy());
    if (!WEFT_BARRIER_ASYMMETRIC) {
        assert_false(weft_barrier_is_asymmetric());
        skip();
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, store_and_look, NULL), 0);
    assert_null(store_and_look(&thread));
    void *both_missed = NULL;
    assert_int_equal(pthread_join(thread, &both_missed), 0);
    assert_null(both_missed);
}

static weft_mutex mutex;
static weft_rwlock lock;
static weft_cond cond;
static uint64_t plain;

static void *locked_increments(void *ctx) {
    for (int i = 0; i < 10000; i++) {
        if (ctx) {
            weft_mutex_lock(&mutex);
            plain++;
            weft_mutex_unlock(&mutex);
        } else {
            weft_rwlock_write_lock(&lock);
            plain++;
            weft_rwlock_write_unlock(&lock);
            weft_rwlock_read_lock(&lock);
            uint64_t seen = plain;
            weft_yield();
            if (seen != plain) {
                return (void *)1;
            }
            weft_rwlock_read_unlock(&lock);
        }
    }
    return NULL;
}

static void locks_exclude(void **state) {
    (void)state;
    assert_true(weft_mutex_init(&mutex) && weft_rwlock_init(&lock));
    for (uintptr_t kind = 0; kind < 2; kind++) {
        plain = 0;
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, locked_increments, (void *)kind), 0);
        }
        for (int i = 0; i < 3; i++) {
            void *wrong = NULL;
            assert_int_equal(pthread_join(threads[i], &wrong), 0);
            assert_null(wrong);
        }
        assert_int_equal(plain, 30000);
    }
    weft_mutex_lock(&mutex);
    assert_false(weft_mutex_try_lock(&mutex));
    weft_mutex_unlock(&mutex);
    assert_true(weft_mutex_try_lock(&mutex));
    weft_mutex_unlock(&mutex);
    weft_rwlock_destroy(&lock);
    weft_mutex_destroy(&mutex);
}

static void *signal_soon(void *ctx) {
    (void)ctx;
    weft_sleep_ns(2000000);
    weft_mutex_lock(&mutex);
    plain = 1;
    weft_cond_signal(&cond);
    weft_mutex_unlock(&mutex);
    return NULL;
}

static uint64_t frozen(void *ctx) {
    return *(uint64_t *)ctx;
}

static void condition_wakes_or_times_out(void **state) {
    (void)state;
    assert_true(weft_mutex_init(&mutex) && weft_cond_init(&cond));
    uint64_t start = weft_clock_monotonic_ns();
    weft_mutex_lock(&mutex);
    while (weft_cond_wait(&cond, &mutex, 3000000)) { /* a wake-up without a reason */
    }
    assert_true(weft_clock_monotonic_ns() - start >= 3000000);

    /* A clock that stands still must not stop, nor shorten, a real wait. */
    uint64_t now = 5;
    weft_clock_hook hook = {.monotonic_ns = frozen, .ctx = &now};
    weft_clock_set_hook(&hook);
    plain = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, signal_soon, NULL), 0);
    while (plain == 0) {
        assert_true(weft_cond_wait(&cond, &mutex, UINT64_C(60000000000)));
    }
    weft_mutex_unlock(&mutex);
    weft_clock_set_hook(NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    weft_cond_destroy(&cond);
    weft_mutex_destroy(&mutex);
}

static void clocks(void **state) {
    (void)state;
    uint64_t before = weft_clock_monotonic_ns();
    weft_sleep_ns(1000000);
    assert_true(weft_clock_monotonic_ns() - before >= 1000000);
    assert_true(weft_clock_wall_ms() > UINT64_C(1700000000000));
    uint64_t now = 77;
    weft_clock_hook hook = {.wall_ms = frozen, .ctx = &now};
    weft_clock_set_hook(&hook);
    assert_int_equal(weft_clock_wall_ms(), 77);
    assert_true(weft_clock_monotonic_ns() >= before); /* no function: the real one */
    weft_clock_set_hook(NULL);
    assert_int_not_equal(weft_clock_wall_ms(), 77);
}

static void statuses_have_names(void **state) {
    (void)state;
    assert_string_equal(weft_status_name(WEFT_OK), "WEFT_OK");
    assert_string_equal(weft_status_name(-1), "WEFT_E_NOMEM");
    assert_string_equal(weft_status_text(WEFT_NOT_FOUND), "the key is not in the map");
    assert_string_equal(weft_status_name(12345), "WEFT_?");
    assert_string_equal(weft_status_text(-12345), "unknown status");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_belong_to_threads),      cmocka_unit_test(child_is_told_of_fork),
        cmocka_unit_test(light_and_heavy_are_a_pair),   cmocka_unit_test(locks_exclude),
        cmocka_unit_test(condition_wakes_or_times_out), cmocka_unit_test(clocks),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
