/* SPDX-License-Identifier: MIT */
/* Which key comes next: ranks drawn from a distribution, the same ones for the same seed. */
#ifndef WEFT_BENCH_DRIVER_DRAW_H
#define WEFT_BENCH_DRIVER_DRAW_H

#include "workload.h"

/* The finaliser of SplitMix64: a bijection of the 64-bit numbers. */
static inline uint64_t weft_draw_mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

typedef struct weft_draw {
    uint64_t state;
    weft_distribution kind;
    uint64_t keys;
    uint64_t hot;
    uint64_t n;                       /* ranks that zipf is drawn from */
    uint64_t newest;                  /* inserts, the prefill among them */
    uint64_t cursors[WEFT_TRACE_OPS]; /* sequential */
    double exponent;
    double zeta, alpha, eta;       /* exponents below 1 */
    double first, range, accept;   /* exponents of 1 and above */
    double limits[WEFT_TRACE_OPS]; /* of the mix, added up to 1 */
    uint64_t burst;                /* writes of a kind that come together */
    uint64_t left;                 /* of these, still to come */
    weft_trace_op last;
} weft_draw;

void weft_draw_init(weft_draw *draw, const weft_workload *workload);

/* Evenly spread numbers: 64 bits, [0, 1), and [0, below). */
uint64_t weft_draw_u64(weft_draw *draw);
double weft_draw_unit(weft_draw *draw);
uint64_t weft_draw_below(weft_draw *draw, uint64_t below);

weft_trace_op weft_draw_op(weft_draw *draw);

/* The rank that an operation is about. */
uint64_t weft_draw_rank(weft_draw *draw, weft_trace_op op);

#endif
