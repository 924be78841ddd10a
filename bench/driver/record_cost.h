/* SPDX-License-Identifier: MIT */
/* What a recording costs the map that is recorded: rates with and without one, in turns. */
#ifndef WEFT_BENCH_DRIVER_RECORD_COST_H
#define WEFT_BENCH_DRIVER_RECORD_COST_H

#include <stdint.h>

enum { WEFT_RECORD_COST_ROUNDS_MAX = 99 };

typedef struct weft_record_cost {
    uint64_t sample; /* 1: exact */
    uint32_t rounds;
    double seconds;                               /* of each sample */
    double plain[WEFT_RECORD_COST_ROUNDS_MAX];    /* out: operations a second without a recording */
    double recorded[WEFT_RECORD_COST_ROUNDS_MAX]; /* out: with one */
} weft_record_cost;

/* Two threads on 10 000 entries, 5 % of the operations insert or remove. The trace goes to the
 * folder for temporary files, and is removed. WEFT_OK or a status. */
int weft_record_cost_measure(weft_record_cost *cost);

#endif
