/* SPDX-License-Identifier: MIT */
/* A cell of the table: the samples of all peers for one workload and one number of threads, and
 * what is computed from them. */
#ifndef WEFT_BENCH_DRIVER_CELL_H
#define WEFT_BENCH_DRIVER_CELL_H

#include "options.h"
#include "session.h"

/* What one peer did. */
typedef struct weft_cell_row {
    const weft_peer *peer;
    double rates[WEFT_ROUNDS_MAX];
    double cpu_ns[WEFT_ROUNDS_MAX];
    uint32_t rounds[WEFT_ROUNDS_MAX]; /* the round of each */
    weft_noise_sample noise[WEFT_ROUNDS_MAX];
    size_t count;
    double bytes_per_entry;
    double fill;
    json_t *latencies[WEFT_ROUNDS_MAX]; /* the one with the median p99 is shown */
    size_t latency_count;
} weft_cell_row;

typedef struct weft_cell {
    const weft_workload *workload;
    uint32_t threads;
    weft_cell_row *rows;
    size_t count;
} weft_cell;

void weft_cell_begin(weft_cell *cell, const weft_workload *workload, uint32_t threads,
                     size_t peers);

/* Takes the sample's latency over. */
void weft_cell_add(weft_cell *cell, const weft_session *session, const weft_sample *sample,
                   uint32_t round);

/* Is the peer `times` slower than the best one, by the rounds so far? Then it will not become the
 * best peer, and where time is short what follows is for those who can. */
bool weft_cell_is_behind(const weft_cell *cell, const weft_session *session, double times);

/* Is the ratio to the best peer known this well by the undisturbed rounds so far? `half_width` is
 * that of the interval which holds the median with 95 %, over the median. */
bool weft_cell_is_precise(const weft_cell *cell, const weft_noise *noise, double half_width);

/* What the cell's figures are compared with and judged by. */
typedef struct weft_cell_context {
    const json_t *ceilings;
    const weft_noise *noise;
    double half_width; /* a ratio that is known less well counts as disturbed */
} weft_cell_context;

/* Append the cell to an array of the result, and forget it. False: its ratio, or
 * weft's figure if that is alone, stands on too few undisturbed rounds, or these differ. */
bool weft_cell_finish(weft_cell *cell, json_t *cells, const weft_cell_context *context);

#endif
