/* SPDX-License-Identifier: MIT */
/* A run: peers, traces, rounds, and the cells that come out. */
#ifndef WEFT_BENCH_DRIVER_RUN_H
#define WEFT_BENCH_DRIVER_RUN_H

#include "noise.h"
#include "options.h"
#include "session.h"

typedef struct weft_run {
    weft_options options;
    const char *kind;
    weft_peers peers;
    json_t *cells;    /* as the result holds them */
    json_t *ceilings; /* measured once, by weft_run_open */
    json_t *controls; /* what single figures are compared with, for the result's peers */
    weft_noise noise;
    char folder[64]; /* of the traces */
    uint64_t began;
    double budget;            /* seconds for all, 0: no limit */
    double repeat_seconds;    /* spent on samples that were disturbed */
    uint32_t cells_left;      /* of a budget: those that have no figure yet, */
    double setups_left;       /* and seconds until their maps are filled, if it goes as expected; */
    double setups_expected;   /* so many were expected for those that are, */
    double setups_taken;      /* and so many it took */
    uint32_t disturbed_cells; /* whose ratios stand on too few undisturbed rounds */
    uint32_t rounds;
    double seconds;
    bool own_only;     /* leave the peers out for a while */
    bool once;         /* take no sample again, however disturbed it is */
    bool self;         /* peers has been filled in, with what this program replays itself */
    uint64_t expected; /* then: entries that maps are told of */
    bool partial;
    bool refused; /* too noisy already */
} weft_run;

/* Find peers, make a folder, measure ceilings. `options` has been taken. 0, or the exit code. */
int weft_run_open(weft_run *run, const char *kind);
void weft_run_close(weft_run *run);

/* Of a run with a budget, before it begins: a workload that will be a cell of it. */
void weft_run_expect(weft_run *run, const weft_workload *workload);

/* All cells of a workload. 0, or the exit code. An end that was asked for is no error. */
int weft_run_workload(weft_run *run, const weft_workload *workload);

/* A trace that somebody made: with a prefill it is replayed round and round, without one it is one
 * piece of work. */
int weft_run_trace(weft_run *run, const char *path);

/* Whether to go on: nobody asked for the end, and the run is not refused. */
bool weft_run_goes_on(weft_run *run);

/* Seconds since it began. */
double weft_run_elapsed(const weft_run *run);

#endif
