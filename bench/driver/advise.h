/* SPDX-License-Identifier: MIT */
/* `weft advise`: what its parts share. */
#ifndef WEFT_BENCH_DRIVER_ADVISE_H
#define WEFT_BENCH_DRIVER_ADVISE_H

#include "profile.h"
#include "run.h"
#include <weft/advice.h>

/* What is compared. */
typedef enum weft_advise_measure {
    WEFT_BY_RATE,      /* operations a second, of samples that nothing disturbed */
    WEFT_BY_PROCESSOR, /* operations a second of processor time, where these are too few */
    WEFT_BY_TAIL,      /* p99.9 */
} weft_advise_measure;

/* What is asked where there is no trace. */
typedef struct weft_description {
    uint64_t entries;
    double reads;
    const char *skew;     /* "even", "zipf", "hot" */
    const char *lifetime; /* "stays", "short", "bulk" */
    const char *latency;  /* "average", "tail" */
} weft_description;

typedef struct weft_advise {
    weft_run run;
    const char *trace;
    uint32_t threads; /* 0: as many as there are processors */
    double rate;      /* operations a second that are needed, of all threads; 0: not said */
    bool tail;
    bool bounded;
    bool record;
    bool check;
    bool describe;
    weft_description description;
} weft_advise;

/* Profile a trace, measure it on what may be advised, and judge. The advice is a JSON object that
 * the caller owns; the cell that was measured is the last one of the run. 0, or the exit code. */
int weft_advise_trace(weft_advise *advise, const char *path, json_t **advice);

/* How far the map that was advised is behind the best one of another advice on the same trace: its
 * figure there over the best. */
double weft_advise_reach(const json_t *advice, const json_t *again);

void weft_advise_print(const json_t *advice);

/* Fill in what was not given as an option, by asking on a terminal; and the workload that does what
 * is described. 0, or the exit code after a message. */
int weft_advise_describe(weft_advise *advise, weft_workload *workload);

#endif
