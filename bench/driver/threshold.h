/* SPDX-License-Identifier: MIT */
/* When engine "twotier" promotes: six workloads, each under three fixed thresholds and the adaptive
 * one. */
#ifndef WEFT_BENCH_DRIVER_THRESHOLD_H
#define WEFT_BENCH_DRIVER_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

enum { THRESHOLD_WORKLOADS = 6, THRESHOLD_FIXED = 3 };

/* The fixed ones first: misses for each key of the dirty tier. */
typedef enum threshold_rule { ONE_MISS, THREE_MISSES, FIVE_MISSES, ADAPTIVE, RULES } threshold_rule;

typedef struct threshold_run {
    double op_ns; /* of processor time; 0: it went wrong */
    uint64_t promotions;
    double amplification; /* entries written for each new one: itself, and copies of others */
} threshold_run;

const char *weft_threshold_name(unsigned workload);
/* One run of a workload, on a map of its own; some tens of milliseconds, quick: a tenth of it. */
threshold_run weft_threshold_measure(unsigned workload, threshold_rule rule, bool quick);

#endif
