/* SPDX-License-Identifier: MIT */
/* The operations inside of which a thread is stopped, and the maps that they find. One line each in
 * operations.c. */
#ifndef WEFT_TESTS_PROGRESS_OPERATIONS_H
#define WEFT_TESTS_PROGRESS_OPERATIONS_H

#include "harness/history.h"
#include "harness/subject.h"

/* Key 0 is the one that the stopped operation is about, and that everybody writes. From FIRST on
 * come the keys of the others: those that are there at the start, and those that they insert. */
enum { PROGRESS_KEY = 0, PROGRESS_FIRST = 8, PROGRESS_KEYS_MAX = 504 };

/* What the operation finds. */
typedef enum progress_state {
    PROGRESS_FILLED,    /* the key is in a slot; the inserts of the others make the table grow */
    PROGRESS_CROWDED,   /* all keys in one bucket, most of them in its overflow */
    PROGRESS_NARROW,    /* all keys in one bucket, few enough to take each other's slots */
    PROGRESS_BRIM,      /* the next insert, of the key, begins a growth */
    PROGRESS_GROWING,   /* it has just begun */
    PROGRESS_SPARSE,    /* the next removal, of the key, begins to shrink */
    PROGRESS_SHRINKING, /* it has just begun */
    PROGRESS_CLEARED,   /* what was cleared is being freed */
    PROGRESS_PICTURED,  /* a snapshot was taken, and few buckets have moved away from it */
    PROGRESS_WORN,      /* the next thing retired moves the epoch, and frees */
    PROGRESS_LEFT,      /* the next write gives back a piece of a table that a resize left */
    PROGRESS_EMPTY,     /* opened, and no more */
    PROGRESS_UNUSED,    /* WEFT_MAP_INIT */
} progress_state;

typedef struct progress_fixture {
    const struct progress_operation *operation;
    weft_engine_id engine;
    weft_subject subject;
    weft_history history; /* of the key */
    unsigned turn;        /* which of their keys the others write first */
    bool together;        /* the others work at once, not one after the other */
    bool others_clear;    /* one of the others clears the map when it is through with its keys */
    unsigned present;     /* so many of the others' keys are there at the start */
    unsigned absent;      /* so many more do they insert */
    weft_map_stats before;
    /* of the stopped operation */
    weft_history_event *event;
    int status;
    uint64_t result;
    weft_map_iter iter;
    weft_u64map_iter numbers_iter;
    weft_subject_snapshot snapshot; /* taken if its subject is not NULL */
} progress_fixture;

typedef enum progress_effect {
    PROGRESS_ANY,
    PROGRESS_GROWS,
    PROGRESS_SHRINKS,
    PROGRESS_GIVES_BACK,
} progress_effect;

typedef struct progress_operation {
    const char *name;
    progress_state state;
    bool key_present;     /* at the start */
    bool of_new_thread;   /* the thread has never called weft before */
    bool bytes_only;      /* this shape only */
    weft_history_op op;   /* WEFT_HISTORY_OPS: `run` is none of these, and does not write the key */
    progress_effect does; /* checked: else the operation is not what its name says */
    void (*run)(progress_fixture *fixture);
} progress_operation;

extern const progress_operation progress_operations[];
extern const size_t progress_operation_count;

/* Does this engine have this operation, in this shape? */
bool progress_operation_fits(const progress_operation *operation, weft_engine_id engine,
                             weft_subject_shape shape);

/* Keys may be gone, though nobody removed them. */
static inline bool progress_may_clear(const progress_fixture *fixture) {
    return fixture->operation->op == WEFT_HISTORY_CLEAR || fixture->others_clear;
}

/* The map as the operation finds it, but for what progress_settle does. NULL, or what failed. */
const char *progress_prepare(progress_fixture *fixture, const progress_operation *operation,
                             weft_engine_id engine, weft_subject_shape shape);
/* The last bit of preparation: on the thread that will be stopped. */
void progress_settle(progress_fixture *fixture);

/* Before the map is closed. */
void progress_end(progress_fixture *fixture);

void progress_stats(progress_fixture *fixture, weft_map_stats *stats);

/* What a key of the others has at the start, and when they are through with it. */
static inline uint64_t progress_first_value(unsigned key) {
    return 1000 + key;
}

static inline uint64_t progress_last_value(unsigned key) {
    return 5000 + key;
}

/* Every fourth key they remove in the end. */
static inline bool progress_is_kept(unsigned key) {
    return key % 4 < 2;
}

#endif
