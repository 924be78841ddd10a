/* SPDX-License-Identifier: MIT */
/* Histories of map operations, and the question whether they are linearizable: the search of Wing
 * and Gong (1993) with the memo of Lowe (2017), against a map that does one operation at a time.
 *
 * A history without clear is checked key by key, which is the same question (locality, Herlihy and
 * Wing 1990) and far cheaper. With a clear or a snapshot, which act on all keys at one point, it is
 * checked as a whole. */
#ifndef WEFT_TESTS_HISTORY_H
#define WEFT_TESTS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/status.h>

enum {
    WEFT_HISTORY_EVENTS_MAX = 512,
    WEFT_HISTORY_SEARCH_MAX = 64, /* operations of one search: one key, or all with a clear */
    WEFT_HISTORY_KEYS_MAX = 8,
};

typedef enum weft_history_op {
    WEFT_HISTORY_GET, /* result: value */
    WEFT_HISTORY_CONTAINS,
    WEFT_HISTORY_PUT,           /* value */
    WEFT_HISTORY_INSERT,        /* value */
    WEFT_HISTORY_GET_OR_INSERT, /* value; result: the other value, if WEFT_EXISTS */
    WEFT_HISTORY_REPLACE,       /* value */
    WEFT_HISTORY_SWAP,          /* value; result: the old one */
    WEFT_HISTORY_CAS,           /* expected, value */
    WEFT_HISTORY_FETCH_ADD,     /* value: delta; result: the old one, 0 if absent */
    WEFT_HISTORY_REMOVE,
    WEFT_HISTORY_REMOVE_EQ, /* expected */
    WEFT_HISTORY_CLEAR,     /* key is ignored */
    WEFT_HISTORY_SNAPSHOT,  /* likewise; image: what it shows */
    WEFT_HISTORY_OPS,
} weft_history_op;

typedef struct weft_history_value {
    bool present;
    uint64_t value;
} weft_history_value;

typedef struct weft_history_event {
    weft_history_op op;
    unsigned thread;
    unsigned key; /* 0 … WEFT_HISTORY_KEYS_MAX - 1 */
    uint64_t value;
    uint64_t expected;
    int status; /* WEFT_E_NOMEM, WEFT_E_BUSY, WEFT_E_UNSUPPORTED: it must have changed nothing */
    uint64_t result;
    uint64_t version; /* of what a GET saw, where there are versions; else 0 */
    weft_history_value image[WEFT_HISTORY_KEYS_MAX];
    uint64_t call; /* moments of the history's clock */
    uint64_t back;
} weft_history_event;

typedef struct weft_history {
    uint64_t clock;
    uint64_t count;
    weft_history_value start[WEFT_HISTORY_KEYS_MAX]; /* what the map holds before */
    weft_history_event events[WEFT_HISTORY_EVENTS_MAX];
} weft_history;

/* Forget the events and make the map empty at the start. */
void weft_history_reset(weft_history *history);

/* Note that an operation is about to be called; NULL if the history is full. Any thread. */
weft_history_event *weft_history_call(weft_history *history, weft_history_op op, unsigned key);
/* Note that it has returned. */
void weft_history_return(weft_history *history, weft_history_event *event, int status,
                         uint64_t result);

typedef struct weft_history_checker weft_history_checker;

weft_history_checker *weft_history_checker_new(void);
void weft_history_checker_free(weft_history_checker *checker);

typedef enum weft_history_answer {
    WEFT_HISTORY_LINEARIZABLE = 0,
    WEFT_HISTORY_VIOLATION = 1,
    WEFT_HISTORY_TOO_LONG = 2, /* more operations or keys than one search takes: not checked */
    WEFT_HISTORY_NOMEM = 3,
} weft_history_answer;

/* `end` is what the map was found to hold after all operations had returned, WEFT_HISTORY_KEYS_MAX
 * of them, or NULL. No operation may be under way. */
weft_history_answer weft_history_check(weft_history_checker *checker, const weft_history *history,
                                       const weft_history_value *end);

/* Print the events in the order of their calls to stderr. */
void weft_history_print(const weft_history *history);

#endif
