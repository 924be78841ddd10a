/* SPDX-License-Identifier: MIT */
#include "harness/history.h"

#include "base/atomic.h"
#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the schedule build the history's own words are no points of the schedule: nothing runs
 * between. */
static uint64_t take_number(uint64_t *counter) {
#if defined(WEFT_SCHED) && WEFT_SCHED
    return (*counter)++;
#else
    return weft_fetch_add_seq_cst(counter, 1);
#endif
}

void weft_history_reset(weft_history *history) {
    history->clock = 0;
    history->count = 0;
    memset(history->start, 0, sizeof history->start);
}

weft_history_event *weft_history_call(weft_history *history, weft_history_op op, unsigned key) {
    uint64_t index = take_number(&history->count);
    if (index >= WEFT_HISTORY_EVENTS_MAX) {
        return NULL;
    }
    weft_history_event *event = &history->events[index];
    memset(event, 0, sizeof *event);
    event->op = op;
    event->key = key;
    event->call = take_number(&history->clock);
    return event;
}

void weft_history_return(weft_history *history, weft_history_event *event, int status,
                         uint64_t result) {
    event->back = take_number(&history->clock);
    event->status = status;
    event->result = result;
}

/* ---- the map that does one operation at a time ---- */

typedef struct model {
    uint64_t
        values[WEFT_HISTORY_KEYS_MAX]; /* 0 where absent, so that equal states are equal bytes */
    uint64_t present;                  /* a bit for each key */
} model;

static void model_set(model *map, unsigned key, uint64_t value) {
    map->values[key] = value;
    map->present |= UINT64_C(1) << key;
}

static void model_unset(model *map, unsigned key) {
    map->values[key] = 0;
    map->present &= ~(UINT64_C(1) << key);
}

/* What an operation that stores answers, and whether it stores. */
static bool apply_write(model *map, const weft_history_event *event) {
    bool present = map->present >> event->key & 1;
    uint64_t old = map->values[event->key];
    int status = WEFT_OK;
    uint64_t result = event->result;
    uint64_t fresh = event->value;
    switch (event->op) {
    case WEFT_HISTORY_INSERT:
        status = present ? WEFT_EXISTS : WEFT_OK;
        break;
    case WEFT_HISTORY_GET_OR_INSERT:
        status = present ? WEFT_EXISTS : WEFT_OK;
        result = present ? old : result;
        break;
    case WEFT_HISTORY_REPLACE:
        status = present ? WEFT_OK : WEFT_NOT_FOUND;
        break;
    case WEFT_HISTORY_CAS:
        status = !present ? WEFT_NOT_FOUND : old == event->expected ? WEFT_OK : WEFT_MISMATCH;
        break;
    case WEFT_HISTORY_SWAP:
        status = present ? WEFT_OK : WEFT_NOT_FOUND;
        result = present ? old : result;
        break;
    case WEFT_HISTORY_FETCH_ADD:
        result = old;
        fresh = old + event->value;
        break;
    default: /* put */
        break;
    }
    if (event->status != status || event->result != result) {
        return false;
    }
    if (status == WEFT_OK || event->op == WEFT_HISTORY_SWAP) {
        model_set(map, event->key, fresh);
    }
    return true;
}

static bool apply_remove(model *map, const weft_history_event *event) {
    bool present = map->present >> event->key & 1;
    int status = present ? WEFT_OK : WEFT_NOT_FOUND;
    if (event->op == WEFT_HISTORY_REMOVE_EQ && present &&
        map->values[event->key] != event->expected) {
        status = WEFT_MISMATCH;
    }
    if (event->status != status) {
        return false;
    }
    if (status == WEFT_OK) {
        model_unset(map, event->key);
    }
    return true;
}

static bool shows(const weft_history_event *event, const model *map) {
    for (unsigned key = 0; key < WEFT_HISTORY_KEYS_MAX; key++) {
        const weft_history_value *shown = &event->image[key];
        bool present = map->present >> key & 1;
        if (shown->present != present || (present && shown->value != map->values[key])) {
            return false;
        }
    }
    return true;
}

static bool did_nothing(int status) {
    return status == WEFT_E_NOMEM || status == WEFT_E_BUSY || status == WEFT_E_UNSUPPORTED;
}

/* Could the map have answered this now? If so, do it. */
static bool apply(model *map, const weft_history_event *event) {
    if (did_nothing(event->status)) {
        return true;
    }
    bool present = map->present >> event->key & 1;
    switch (event->op) {
    case WEFT_HISTORY_GET:
        return present ? event->status == WEFT_OK && event->result == map->values[event->key]
                       : event->status == WEFT_NOT_FOUND;
    case WEFT_HISTORY_CONTAINS:
        return event->status == (present ? WEFT_OK : WEFT_NOT_FOUND);
    case WEFT_HISTORY_REMOVE:
    case WEFT_HISTORY_REMOVE_EQ:
        return apply_remove(map, event);
    case WEFT_HISTORY_CLEAR:
        memset(map, 0, sizeof *map);
        return event->status == WEFT_OK;
    case WEFT_HISTORY_SNAPSHOT:
        return event->status == WEFT_OK && shows(event, map);
    default:
        return apply_write(map, event);
    }
}

/* ---- the search ---- */

/* A state that was reached and led nowhere. */
typedef struct memo {
    uint64_t round; /* of the search that wrote it; older ones are empty places */
    uint64_t done;
    model map;
} memo;

struct weft_history_checker {
    memo *memos;
    size_t capacity; /* a power of two */
    size_t used;
    uint64_t round;
    bool out_of_memory;
    const weft_history_event *events[WEFT_HISTORY_SEARCH_MAX];
    unsigned count;
    model wanted;
    uint64_t wanted_keys; /* a bit for each key whose end is known */
};

weft_history_checker *weft_history_checker_new(void) {
    weft_history_checker *checker = calloc(1, sizeof *checker);
    if (!checker) {
        return NULL;
    }
    checker->capacity = 256;
    checker->memos = calloc(checker->capacity, sizeof *checker->memos);
    if (!checker->memos) {
        free(checker);
        return NULL;
    }
    return checker;
}

void weft_history_checker_free(weft_history_checker *checker) {
    if (checker) {
        free(checker->memos);
        free(checker);
    }
}

static memo *place_of(const weft_history_checker *checker, uint64_t done, const model *map) {
    uint64_t hash = weft_mix_u64(done, map->present);
    for (unsigned i = 0; i < WEFT_HISTORY_KEYS_MAX; i++) {
        hash = map->values[i] ? weft_mix_u64(hash ^ map->values[i], i) : hash;
    }
    for (size_t at = hash;; at++) {
        memo *place = &checker->memos[at & (checker->capacity - 1)];
        if (place->round != checker->round ||
            (place->done == done && memcmp(&place->map, map, sizeof *map) == 0)) {
            return place;
        }
    }
}

static bool enlarge(weft_history_checker *checker) {
    memo *old = checker->memos;
    size_t old_capacity = checker->capacity;
    memo *memos = calloc(2 * old_capacity, sizeof *memos);
    if (!memos) {
        return false;
    }
    checker->memos = memos;
    checker->capacity = 2 * old_capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].round == checker->round) {
            *place_of(checker, old[i].done, &old[i].map) = old[i];
        }
    }
    free(old);
    return true;
}

/* True if this state was seen before; else it is from now on. */
static bool seen(weft_history_checker *checker, uint64_t done, const model *map) {
    memo *place = place_of(checker, done, map);
    if (place->round == checker->round) {
        return true;
    }
    *place = (memo){.round = checker->round, .done = done, .map = *map};
    checker->used++;
    if (2 * checker->used > checker->capacity && !enlarge(checker)) {
        checker->out_of_memory = true;
        return true;
    }
    return false;
}

static bool ends_as_wanted(const weft_history_checker *checker, const model *map) {
    for (unsigned key = 0; key < WEFT_HISTORY_KEYS_MAX; key++) {
        uint64_t bit = UINT64_C(1) << key;
        if ((checker->wanted_keys & bit) && (((map->present ^ checker->wanted.present) & bit) ||
                                             map->values[key] != checker->wanted.values[key])) {
            return false;
        }
    }
    return true;
}

/* Can the operations that are not in `done` be put in an order from here? One can go next if it was
 * called before each other one that is left had returned. */
static bool search(weft_history_checker *checker, uint64_t done, const model *map) {
    uint64_t first_return = UINT64_MAX;
    for (unsigned i = 0; i < checker->count; i++) {
        if (!(done >> i & 1) && checker->events[i]->back < first_return) {
            first_return = checker->events[i]->back;
        }
    }
    if (first_return == UINT64_MAX) {
        return ends_as_wanted(checker, map);
    }
    for (unsigned i = 0; i < checker->count; i++) {
        model next = *map;
        uint64_t with = done | UINT64_C(1) << i;
        if (with != done && checker->events[i]->call < first_return &&
            apply(&next, checker->events[i]) && !seen(checker, with, &next) &&
            search(checker, with, &next)) {
            return true;
        }
    }
    return false;
}

static void begin(weft_history_checker *checker) {
    checker->count = 0;
    checker->used = 0;
    checker->round++;
    checker->wanted_keys = 0;
    memset(&checker->wanted, 0, sizeof checker->wanted);
    checker->out_of_memory = false;
}

static void want(weft_history_checker *checker, unsigned key, const weft_history_value *end) {
    checker->wanted_keys |= UINT64_C(1) << key;
    if (end[key].present) {
        model_set(&checker->wanted, key, end[key].value);
    }
}

static weft_history_answer finish(weft_history_checker *checker, const weft_history *history) {
    model map = {.present = 0};
    for (unsigned key = 0; key < WEFT_HISTORY_KEYS_MAX; key++) {
        if (history->start[key].present) {
            model_set(&map, key, history->start[key].value);
        }
    }
    if (search(checker, 0, &map)) {
        return WEFT_HISTORY_LINEARIZABLE;
    }
    return checker->out_of_memory ? WEFT_HISTORY_NOMEM : WEFT_HISTORY_VIOLATION;
}

/* Check the events on `key`, or all if it is WEFT_HISTORY_KEYS_MAX. */
static weft_history_answer check_part(weft_history_checker *checker, const weft_history *history,
                                      const weft_history_value *end, unsigned key) {
    begin(checker);
    bool all = key == WEFT_HISTORY_KEYS_MAX;
    for (uint64_t i = 0; i < history->count; i++) {
        if (!all && history->events[i].key != key) {
            continue;
        }
        if (checker->count == WEFT_HISTORY_SEARCH_MAX) {
            return WEFT_HISTORY_TOO_LONG;
        }
        checker->events[checker->count++] = &history->events[i];
    }
    for (unsigned k = 0; end && k < WEFT_HISTORY_KEYS_MAX; k++) {
        if (all || k == key) {
            want(checker, k, end);
        }
    }
    return finish(checker, history);
}

weft_history_answer weft_history_check(weft_history_checker *checker, const weft_history *history,
                                       const weft_history_value *end) {
    if (history->count > WEFT_HISTORY_EVENTS_MAX) {
        return WEFT_HISTORY_TOO_LONG;
    }
    bool whole = false;
    for (uint64_t i = 0; i < history->count; i++) {
        whole |= history->events[i].op == WEFT_HISTORY_CLEAR ||
                 history->events[i].op == WEFT_HISTORY_SNAPSHOT;
        if (history->events[i].key >= WEFT_HISTORY_KEYS_MAX) {
            return WEFT_HISTORY_TOO_LONG;
        }
    }
    if (whole) {
        return check_part(checker, history, end, WEFT_HISTORY_KEYS_MAX);
    }
    for (unsigned key = 0; key < WEFT_HISTORY_KEYS_MAX; key++) {
        weft_history_answer answer = check_part(checker, history, end, key);
        if (answer != WEFT_HISTORY_LINEARIZABLE) {
            return answer;
        }
    }
    return WEFT_HISTORY_LINEARIZABLE;
}

void weft_history_print(const weft_history *history) {
    static const char *const names[WEFT_HISTORY_OPS] = {
        "get", "contains",  "put",    "insert",    "get_or_insert", "replace", "swap",
        "cas", "fetch_add", "remove", "remove_eq", "clear",         "snapshot"};
    for (uint64_t i = 0; i < history->count && i < WEFT_HISTORY_EVENTS_MAX; i++) {
        const weft_history_event *event = &history->events[i];
        fprintf(stderr,
                "  [%3llu,%3llu] thread %u %s key %u value %llu expected %llu -> %s, result %llu\n",
                (unsigned long long)event->call, (unsigned long long)event->back, event->thread,
                names[event->op], event->key, (unsigned long long)event->value,
                (unsigned long long)event->expected, weft_status_name(event->status),
                (unsigned long long)event->result);
        for (unsigned k = 0; event->op == WEFT_HISTORY_SNAPSHOT && k < WEFT_HISTORY_KEYS_MAX; k++) {
            if (event->image[k].present) {
                fprintf(stderr, "            shows key %u: %llu\n", k,
                        (unsigned long long)event->image[k].value);
            }
        }
    }
}
