/* SPDX-License-Identifier: MIT */
/* Small random concurrent programs on a map, run once under the deterministic scheduler and judged:
 * the history is linearizable, walks see what they must, the structure is sound, nothing leaks.
 * Only in the schedule build. A program is a function of its seed. */
#ifndef WEFT_TESTS_PROGRAM_H
#define WEFT_TESTS_PROGRAM_H

#include "base/sched.h"
#include "harness/subject.h"

#if defined(WEFT_SCHED) && WEFT_SCHED

enum { WEFT_PROGRAM_THREADS_MAX = 4, WEFT_PROGRAM_OPS_MAX = 6, WEFT_PROGRAM_BACKGROUND_MAX = 320 };

/* Operations of a program that are not operations of a history. */
enum {
    WEFT_PROGRAM_PEEK = WEFT_HISTORY_OPS, /* look at an entry under a guard for a while */
    WEFT_PROGRAM_WALK,
    WEFT_PROGRAM_RESERVE,
    WEFT_PROGRAM_SHRINK,
    WEFT_PROGRAM_MAINTAIN,
    WEFT_PROGRAM_OPS,
};

typedef struct weft_program_op {
    unsigned op;
    unsigned key;
    uint64_t value;
    uint64_t expected;
} weft_program_op;

typedef struct weft_program {
    weft_engine_id engine;
    weft_subject_shape shape;
    uint64_t seed;
    unsigned threads;
    unsigned keys;
    unsigned ops[WEFT_PROGRAM_THREADS_MAX]; /* how many each thread runs */
    weft_program_op list[WEFT_PROGRAM_THREADS_MAX][WEFT_PROGRAM_OPS_MAX];
    weft_history_value start[WEFT_HISTORY_KEYS_MAX];
    unsigned background; /* entries that no operation but clear touches */
    bool clears;
    bool collide;
    bool reuse; /* freed memory is handed out again at once */
    bool lazy;  /* the map is opened by its first use, inside the run: the default engine */
    weft_twotier_options twotier;
} weft_program;

/* The random program of this seed. */
void weft_program_make(weft_program *program, weft_engine_id engine, weft_subject_shape shape,
                       uint64_t seed);

/* The same for programs of two threads: an operation, beside one key that comes and goes. */
void weft_program_make_churn(weft_program *program, weft_engine_id engine, weft_subject_shape shape,
                             uint64_t seed);

typedef struct weft_program_runner weft_program_runner;

weft_program_runner *weft_program_runner_new(void);
void weft_program_runner_free(weft_program_runner *runner);

/* Run it in one schedule. NULL if all was well, else what was wrong; the text lives until the next
 * run. */
const char *weft_program_run(weft_program_runner *runner, const weft_program *program,
                             const weft_sched_options *schedule);

/* The history of the last run. */
const weft_history *weft_program_history(const weft_program_runner *runner);
/* Scheduling points of all runs. */
uint64_t weft_program_points(const weft_program_runner *runner);
/* Snapshots that were taken in all runs. */
uint64_t weft_program_snapshots(const weft_program_runner *runner);
/* A number that differs when the runs since the last forgetting differ. */
uint64_t weft_program_trace(const weft_program_runner *runner);
void weft_program_forget_trace(weft_program_runner *runner);

#endif

#endif
