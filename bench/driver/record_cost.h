/* SPDX-License-Identifier: MIT */
/* What a recording costs the map that is recorded: rates with and without one, in turns. */
#ifndef WEFT_BENCH_DRIVER_RECORD_COST_H
#define WEFT_BENCH_DRIVER_RECORD_COST_H

#include <stdbool.h>
#include <stdint.h>

enum { WEFT_RECORD_COST_ROUNDS_MAX = 99 };

typedef struct weft_record_cost {
    bool bytes;      /* keys of 16 bytes, values of 32; else numbers */
    uint64_t sample; /* 1: exact */
    uint32_t rounds;
    double seconds;                            /* of each sample */
    double plain[WEFT_RECORD_COST_ROUNDS_MAX]; /* out: operations a second, as the .c says; none */
    double recorded[WEFT_RECORD_COST_ROUNDS_MAX]; /* out: while recorded */
} weft_record_cost;

/* Two threads on 10 000 entries, 5 % of the operations insert or remove. The trace goes to the
 * folder for temporary files, and is removed. WEFT_OK or a status. */
int weft_record_cost_measure(weft_record_cost *cost);

#endif
