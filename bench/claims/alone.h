/* SPDX-License-Identifier: MIT */
/* What a lookup costs on one thread, beside a table that has no synchronisation at all: for several
 * claims. */
#ifndef WEFT_BENCH_CLAIMS_ALONE_H
#define WEFT_BENCH_CLAIMS_ALONE_H

#include "base/clock.h"
#include "claim.h"
#include <stdint.h>
#include <weft/u64map.h>

static inline double weft_claim_since(uint64_t began) {
    return (double)(weft_clock_monotonic_ns() - began);
}

/* Figures "NAME, WHAT" of some contenders. */
typedef struct weft_claim_rows {
    const char *const *names;
    const double *values;
    unsigned count;
    const char *what;
    const char *unit;
} weft_claim_rows;

void weft_claim_series(weft_claim *claim, const weft_claim_rows *rows);

/* A part of a sentence about Go: `format` with the value; "" if Go was not measured. */
typedef struct weft_claim_text {
    char text[80];
} weft_claim_text;

weft_claim_text weft_claim_go_part(double value, const char *format)
    __attribute__((format(printf, 2, 0)));

/* The i-th key of a table that holds some; never 0. */
uint64_t weft_claim_key(uint64_t i);

enum { WEFT_ALONE_MOST = 4 };

typedef struct weft_alone_map {
    const char *name;
    weft_engine_id engine;
    weft_rwlock_bias bias;
} weft_alone_map;

/* What a get costs: the mean of all sizes and mixes (geometric), and of the smallest table. */
typedef struct weft_alone_costs {
    double mean[WEFT_ALONE_MOST + 1]; /* the table without synchronisation comes last */
    double hot[WEFT_ALONE_MOST + 1];
} weft_alone_costs;

/* Measures the maps and the plain table in turns, and adds a figure for each size and mix. False:
 * it could not be done. */
bool weft_claim_alone(weft_claim *claim, const weft_alone_map *maps, unsigned count,
                      weft_alone_costs *costs);

#endif
