/* SPDX-License-Identifier: MIT */
/* The end of a run: one result, and what is shown and written of it. */
#ifndef WEFT_BENCH_DRIVER_OUTCOME_H
#define WEFT_BENCH_DRIVER_OUTCOME_H

#include "run.h"

/* The result of a run; the caller owns it. */
json_t *weft_outcome_json(const weft_run *run);

/* Refuse a noisy run; else print the table, write --json and --report. The exit code. */
int weft_outcome_deliver(const weft_run *run, json_t *result);

/* weft_outcome_json and weft_outcome_deliver. */
int weft_outcome_finish(const weft_run *run);

#endif
