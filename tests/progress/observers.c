/* SPDX-License-Identifier: MIT */
#include "progress/observers.h"

#include "progress/flag.h"
#include "reclaim/epoch.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct observer {
    pthread_t thread;
    unsigned number;
    uint32_t turn; /* counts up to tell it to begin */
    progress_fixture *fixture;
    const char *doing;
    unsigned key;
    uint64_t done; /* operations; counts on from map to map */
    uint32_t through;
    char fault[160];
    uint8_t seen[PROGRESS_KEYS_MAX];
} observer;

static observer observers[PROGRESS_OBSERVERS];
static uint32_t at_work;

static __attribute__((format(printf, 2, 3))) void complain(observer *o, const char *format, ...) {
    if (o->fault[0] == '\0') {
        va_list list;
        va_start(list, format);
        (void)vsnprintf(o->fault, sizeof o->fault, format, list);
        va_end(list);
    }
}

static void expect(observer *o, int status, int wanted) {
    if (status != wanted && (status < 0 || !progress_may_clear(o->fixture))) {
        complain(o, "%s of key %u answered %d, not %d", o->doing, o->key, status, wanted);
    }
}

static bool is_own(const observer *o, unsigned key) {
    return key % PROGRESS_OBSERVERS == o->number;
}

static unsigned end_of_present(const observer *o) {
    return PROGRESS_FIRST + o->fixture->present;
}

static unsigned end_of_all(const observer *o) {
    unsigned end = end_of_present(o) + o->fixture->absent;
    return end < PROGRESS_KEYS_MAX ? end : PROGRESS_KEYS_MAX;
}

/* An operation on a key of its own. */
static int perform(observer *o, const weft_history_event *event, uint64_t *result) {
    static const char *const names[WEFT_HISTORY_OPS] = {
        [WEFT_HISTORY_GET] = "get",
        [WEFT_HISTORY_PUT] = "put",
        [WEFT_HISTORY_INSERT] = "insert",
        [WEFT_HISTORY_CAS] = "cas",
        [WEFT_HISTORY_FETCH_ADD] = "fetch-add",
        [WEFT_HISTORY_REMOVE] = "remove",
        [WEFT_HISTORY_CLEAR] = "clear",
    };
    o->doing = names[event->op];
    o->key = event->key;
    int status = weft_subject_do(&o->fixture->subject, event, result);
    weft_store_relaxed(&o->done, o->done + 1);
    return status;
}

static void get(observer *o, unsigned key, bool known, uint64_t value) {
    uint64_t result = 0;
    weft_history_event event = {.op = WEFT_HISTORY_GET, .key = key};
    int status = perform(o, &event, &result);
    if (known) {
        expect(o, status, WEFT_OK);
        if (result != value && !progress_may_clear(o->fixture)) {
            complain(o, "get of key %u found %llu, not %llu", key, (unsigned long long)result,
                     (unsigned long long)value);
        }
    } else if (status != WEFT_OK && status != WEFT_NOT_FOUND) {
        expect(o, status, WEFT_OK);
    }
}

static void put(observer *o, unsigned key, uint64_t value) {
    uint64_t ignored;
    weft_history_event event = {.op = WEFT_HISTORY_PUT, .key = key, .value = value};
    expect(o, perform(o, &event, &ignored), WEFT_OK);
}

static void rewrite(observer *o, unsigned key) {
    uint64_t old = 0;
    put(o, key, 7);
    weft_history_event add = {.op = WEFT_HISTORY_FETCH_ADD, .key = key, .value = 2};
    expect(o, perform(o, &add, &old), WEFT_OK);
    weft_history_event cas = {.op = WEFT_HISTORY_CAS, .key = key, .expected = 9, .value = 10};
    expect(o, perform(o, &cas, &old), WEFT_OK);
    get(o, key, true, 10);
    put(o, key, progress_last_value(key));
}

static void insert(observer *o, unsigned key) {
    uint64_t ignored;
    weft_history_event event = {
        .op = WEFT_HISTORY_INSERT, .key = key, .value = progress_last_value(key)};
    expect(o, perform(o, &event, &ignored), WEFT_OK);
}

static void drop(observer *o, unsigned key) {
    uint64_t ignored;
    weft_history_event event = {.op = WEFT_HISTORY_REMOVE, .key = key};
    expect(o, perform(o, &event, &ignored), WEFT_OK);
    expect(o, perform(o, &event, &ignored), WEFT_NOT_FOUND);
}

/* The key of the stopped operation: what this answers is for the history to judge. */
static void contend_once(observer *o, weft_history_op op, uint64_t value) {
    uint64_t result = 0;
    weft_history *history = &o->fixture->history;
    weft_history_event *event = weft_history_call(history, op, PROGRESS_KEY);
    event->thread = o->number;
    event->value = value;
    event->expected = 1;
    int status = perform(o, event, &result);
    weft_history_return(history, event, status, result);
}

static void contend(observer *o) {
    static const weft_history_op ops[] = {
        WEFT_HISTORY_GET, WEFT_HISTORY_FETCH_ADD, WEFT_HISTORY_CAS, WEFT_HISTORY_PUT,
        WEFT_HISTORY_GET, WEFT_HISTORY_REMOVE,    WEFT_HISTORY_GET, WEFT_HISTORY_INSERT,
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        contend_once(o, ops[i], 10 + 10 * o->number + i);
    }
}

static void note_seen(void *ctx, unsigned key, uint64_t value) {
    observer *o = ctx;
    if (key >= PROGRESS_KEYS_MAX || value == 0) {
        complain(o, "a walk saw what was never put");
    } else if (o->seen[key]++ != 0) {
        complain(o, "a walk saw key %u twice", key);
    }
}

/* Its own keys do not change meanwhile. */
static void walk(observer *o) {
    memset(o->seen, 0, sizeof o->seen);
    o->doing = "walk";
    if (weft_subject_walk(&o->fixture->subject, note_seen, o) != WEFT_OK) {
        complain(o, "a walk failed");
    }
    for (unsigned key = PROGRESS_FIRST; key < end_of_all(o); key++) {
        if (is_own(o, key) && o->seen[key] == 0 && !progress_may_clear(o->fixture)) {
            complain(o, "a walk missed key %u", key);
        }
    }
}

static void tend(observer *o) {
    weft_subject *subject = &o->fixture->subject;
    o->doing = "maintain";
    int status = weft_subject_maintain(subject, 16);
    if (status != WEFT_OK && status != WEFT_E_BUSY) {
        complain(o, "maintain answered %d", status);
    }
    o->doing = o->number == 0 ? "shrink" : "reserve";
    status = o->number == 0 ? weft_subject_shrink(subject) : weft_subject_reserve(subject, 300);
    if (status < 0) {
        complain(o, "%s answered %d", o->doing, status);
    }
    o->doing = "len";
    (void)weft_subject_len(subject);
}

/* What was stopped goes on in an era that is over. */
static void clear_all(observer *o) {
    contend_once(o, WEFT_HISTORY_CLEAR, 0);
    contend_once(o, WEFT_HISTORY_GET, 0);
    for (unsigned key = PROGRESS_FIRST; key < end_of_all(o); key++) {
        if (is_own(o, key) && progress_is_kept(key)) {
            put(o, key, progress_last_value(key));
            get(o, key, true, progress_last_value(key));
        }
    }
}

/* Begins with another key each time: who waits for the stopped thread in one bucket only must meet
 * that bucket before writes elsewhere have helped along what is going on. */
static void write_all(observer *o) {
    unsigned count = end_of_all(o) - PROGRESS_FIRST;
    for (unsigned i = 0; i < count; i++) {
        unsigned key = PROGRESS_FIRST + (i + o->fixture->turn) % count;
        if (!is_own(o, key)) {
            get(o, key, false, 0);
        } else if (key < end_of_present(o)) {
            rewrite(o, key);
        } else {
            insert(o, key);
        }
    }
}

static void work(observer *o) {
    for (unsigned key = PROGRESS_FIRST; key < end_of_present(o); key++) {
        get(o, key, is_own(o, key), progress_first_value(key));
    }
    contend(o);
    write_all(o);
    walk(o);
    for (unsigned key = PROGRESS_FIRST; key < end_of_all(o); key++) {
        if (is_own(o, key) && !progress_is_kept(key)) {
            drop(o, key);
        }
    }
    tend(o);
    if (o->fixture->others_clear && o->number == 0) {
        clear_all(o);
        tend(o);
    }
}

static void *run(void *ctx) {
    observer *o = ctx;
    weft_guard guard;
    weft_guard_enter(&guard); /* known to reclamation before anything is looked at */
    weft_guard_leave(&guard);
    for (uint32_t turn = 0;; turn++) {
        (void)progress_flag_await(&o->turn, turn, UINT64_MAX / 2);
        work(o);
        weft_spares_empty(weft_epoch_spares()); /* their memory may be another case's soon */
        weft_store_seq_cst(&o->through, 1);
        if (!o->fixture->together && o->number + 1 < PROGRESS_OBSERVERS) {
            observer *next = o + 1;
            progress_flag_set(&next->turn, next->turn + 1);
        }
        if (weft_fetch_add_seq_cst(&at_work, (uint32_t)-1) == 1) {
            progress_flag_wake(&at_work);
        }
    }
    return NULL;
}

bool progress_observers_start(void) {
    for (unsigned i = 0; i < PROGRESS_OBSERVERS; i++) {
        observers[i].number = i;
        observers[i].through = 1;
        if (pthread_create(&observers[i].thread, NULL, run, &observers[i]) != 0) {
            return false;
        }
    }
    return true;
}

void progress_observers_go(progress_fixture *fixture) {
    weft_store_seq_cst(&at_work, PROGRESS_OBSERVERS);
    for (unsigned i = 0; i < PROGRESS_OBSERVERS; i++) {
        observers[i].fixture = fixture;
        observers[i].fault[0] = '\0';
        observers[i].doing = "nothing yet";
        weft_store_seq_cst(&observers[i].through, 0);
    }
    for (unsigned i = 0; i < (fixture->together ? PROGRESS_OBSERVERS : 1u); i++) {
        progress_flag_set(&observers[i].turn, observers[i].turn + 1);
    }
}

bool progress_observers_await(uint64_t timeout_ns) {
    uint64_t end = weft_clock_monotonic_ns() + timeout_ns;
    for (uint32_t left; (left = weft_load_seq_cst(&at_work)) != 0;) {
        uint64_t now = weft_clock_monotonic_ns();
        if (now >= end || !progress_flag_await(&at_work, left, end - now)) {
            return weft_load_seq_cst(&at_work) == 0;
        }
    }
    return true;
}

uint64_t progress_observers_done(void) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < PROGRESS_OBSERVERS; i++) {
        sum += weft_load_relaxed(&observers[i].done);
    }
    return sum;
}

void progress_observers_where(char *text, size_t capacity) {
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < PROGRESS_OBSERVERS && used < capacity; i++) {
        const observer *o = &observers[i];
        if (weft_load_seq_cst(&o->through) == 0) {
            used += (size_t)snprintf(text + used, capacity - used, "%s%s of key %u",
                                     used == 0 ? "" : ", ", o->doing, o->key);
        }
    }
}

const char *progress_observers_fault(void) {
    for (unsigned i = 0; i < PROGRESS_OBSERVERS; i++) {
        if (observers[i].fault[0] != '\0') {
            return observers[i].fault;
        }
    }
    return NULL;
}
