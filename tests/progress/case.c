/* SPDX-License-Identifier: MIT */
#include "progress/case.h"

#include "progress/flag.h"
#include "progress/memory.h"
#include "progress/observers.h"
#include "reclaim/epoch.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNDER_WAY, STOPPED, RETURNED };

enum { PIECE_LEAST = 48 << 10 /* bytes: a table of pages has 64 KiB or more, others half of it */ };

/* Nothing here takes that long, whatever else the machine does. */
#define NEVER (120 * PROGRESS_SECOND)

static progress_fixture fixture;
static weft_history_checker *checker;

/* The thread that is stopped. */
static struct {
    const progress_case *wanted;
    uint32_t state;
    uint32_t released;
    uintptr_t pc;
} victim;

bool progress_case_start(void) {
    checker = weft_history_checker_new();
    for (unsigned key = 0; key < PROGRESS_KEYS_MAX; key++) {
        (void)weft_subject_key(&fixture.subject, key); /* made now, not by two threads at once */
    }
    return checker != NULL && progress_memory_start() && progress_observers_start();
}

static void give_up(const char *what) {
    printf("progress: %s\n", what);
    exit(1);
}

static void stand_still(void *ctx, uintptr_t pc) {
    (void)ctx;
    victim.pc = pc;
    progress_flag_set(&victim.state, STOPPED);
    (void)progress_flag_await(&victim.released, 0, UINT64_MAX / 2);
}

static void run_operation(void *ctx) {
    progress_fixture *f = ctx;
    f->operation->run(f);
}

static void *run_victim(void *ctx) {
    const progress_case *wanted = ctx;
    if (!fixture.operation->of_new_thread) {
        weft_guard guard;
        weft_guard_enter(&guard);
        weft_guard_leave(&guard);
    }
    progress_settle(&fixture);
    if (wanted->step == 0) {
        progress_run_traced(wanted->trace, run_operation, &fixture);
    } else {
        progress_stop stop = {.trace = wanted->by_steps ? NULL : wanted->trace,
                              .step = wanted->step,
                              .stopped = stand_still};
        (void)progress_run_stopped(&stop, run_operation, &fixture);
    }
    if (fixture.event != NULL) {
        weft_history_return(&fixture.history, fixture.event, fixture.status, fixture.result);
    }
    progress_flag_set(&victim.state, RETURNED);
    return NULL;
}

/* ---- judging --------------------------------------------------------------------------------- */

static const char *judge_effect(const progress_case *wanted) {
    weft_map_stats after;
    progress_stats(&fixture, &after);
    if (wanted->step != 0) {
        return NULL; /* the others do such things, too */
    }
    if (wanted->operation->does == PROGRESS_GROWS && after.growths == fixture.before.growths) {
        return "the operation was meant to begin a growth, and did not";
    }
    if (wanted->operation->does == PROGRESS_SHRINKS && after.shrinks == fixture.before.shrinks) {
        return "the operation was meant to begin to shrink, and did not";
    }
    if (wanted->operation->does == PROGRESS_GIVES_BACK &&
        after.pending_bytes + PIECE_LEAST > fixture.before.pending_bytes) {
        return "the operation was meant to give back a piece of a table, and did not";
    }
    return NULL;
}

/* What the others left: their keys are as they know them. */
static const char *judge_keys(char *text, size_t capacity) {
    unsigned end = PROGRESS_FIRST + fixture.present + fixture.absent;
    bool may_clear = progress_may_clear(&fixture);
    for (unsigned key = PROGRESS_FIRST; key < end && key < PROGRESS_KEYS_MAX; key++) {
        uint64_t value = 0;
        weft_history_event get = {.op = WEFT_HISTORY_GET, .key = key};
        bool present = weft_subject_do(&fixture.subject, &get, &value) == WEFT_OK;
        bool wanted = progress_is_kept(key);
        if ((present != wanted && !(may_clear && !present)) ||
            (present && value != progress_last_value(key))) {
            (void)snprintf(text, capacity, "in the end key %u is %s, with value %llu", key,
                           present ? "there" : "absent", (unsigned long long)value);
            return text;
        }
    }
    return NULL;
}

static const char *judge_history(void) {
    weft_history_value end[WEFT_HISTORY_KEYS_MAX] = {{0}};
    weft_history_event get = {.op = WEFT_HISTORY_GET, .key = PROGRESS_KEY};
    end[PROGRESS_KEY].present =
        weft_subject_do(&fixture.subject, &get, &end[PROGRESS_KEY].value) == WEFT_OK;
    if (weft_history_check(checker, &fixture.history, end) != WEFT_HISTORY_LINEARIZABLE) {
        weft_history_print(&fixture.history);
        return "the operations on the key are in no order that explains their answers";
    }
    return NULL;
}

static const char *judge(char *text, size_t capacity) {
    const char *fault = progress_observers_fault();
    if (fault == NULL && fixture.status < 0) {
        (void)snprintf(text, capacity, "the operation answered %d", fixture.status);
        fault = text;
    }
    if (fault == NULL) {
        fault = judge_keys(text, capacity);
    }
    if (fault == NULL) {
        fault = judge_history();
    }
    if (fault == NULL && weft_subject_check(&fixture.subject, text, capacity) != WEFT_OK) {
        fault = text;
    }
    return fault;
}

/* ---- running --------------------------------------------------------------------------------- */

static bool await_others(const progress_case *wanted) {
    uint64_t end = weft_clock_monotonic_ns() + wanted->deadline_ns;
    uint64_t done;
    do {
        done = progress_observers_done();
        if (progress_observers_await(wanted->patience_ns)) {
            return true;
        }
    } while (progress_observers_done() != done && weft_clock_monotonic_ns() < end);
    return false;
}

static void let_others_work(const progress_case *wanted, progress_result *result) {
    uint64_t start = weft_clock_monotonic_ns();
    progress_observers_go(&fixture);
    result->blocked = !await_others(wanted);
    if (result->blocked) {
        progress_observers_where(result->where, sizeof result->where);
    } else {
        result->others_ns = weft_clock_monotonic_ns() - start;
    }
}

static void run_threads(const progress_case *wanted, progress_result *result) {
    pthread_t thread;
    weft_store_seq_cst(&victim.state, UNDER_WAY);
    weft_store_seq_cst(&victim.released, 0);
    if (pthread_create(&thread, NULL, run_victim, (void *)wanted) != 0) {
        give_up("a thread could not be started");
    }
    if (!progress_flag_await(&victim.state, UNDER_WAY, NEVER)) {
        give_up("an operation does not come to an end, with no other thread about");
    }
    result->stopped = weft_load_seq_cst(&victim.state) == STOPPED;
    result->pc = victim.pc;
    const char *fault = result->stopped ? NULL : judge_effect(wanted);
    let_others_work(wanted, result);
    progress_flag_set(&victim.released, 1);
    if (result->stopped && !progress_flag_await(&victim.state, STOPPED, NEVER)) {
        give_up("an operation that was released does not come to an end");
    }
    (void)pthread_join(thread, NULL);
    if (!progress_observers_await(NEVER)) {
        give_up("threads stay blocked though the stopped one went on");
    }
    (void)snprintf(result->fault, sizeof result->fault, "%s", fault == NULL ? "" : fault);
}

void progress_case_run(const progress_case *wanted, progress_result *result) {
    char text[200] = "";
    memset(result, 0, sizeof *result);
    const char *fault =
        progress_prepare(&fixture, wanted->operation, wanted->engine, wanted->shape);
    fixture.turn = (unsigned)wanted->step;
    fixture.together = wanted->together;
    fixture.others_clear = wanted->others_clear;
    if (fault == NULL) {
        run_threads(wanted, result);
        fault = result->fault[0] != '\0' ? NULL : judge(text, sizeof text);
    }
    progress_end(&fixture);
    int closed = weft_subject_close(&fixture.subject);
    weft_spares_empty(weft_epoch_spares()); /* as the observers */
    progress_memory_divert(false);
    if (fault == NULL && closed != WEFT_OK) {
        fault = "the map could not be closed";
    }
    if (fault == NULL && progress_memory_blocks() != 0) {
        (void)snprintf(text, sizeof text, "%lld blocks of memory were never given back",
                       (long long)progress_memory_blocks());
        fault = text;
    }
    if (fault != NULL) {
        (void)snprintf(result->fault, sizeof result->fault, "%s", fault);
    }
}
