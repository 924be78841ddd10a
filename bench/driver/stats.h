/* SPDX-License-Identifier: MIT */
/* The statistics of the bench: medians, and whether two sets of samples differ beyond chance. */
#ifndef WEFT_BENCH_STATS_H
#define WEFT_BENCH_STATS_H

#include <stddef.h>

typedef struct weft_bench_samples {
    const double *values;
    size_t count;
} weft_bench_samples;

/* `p_less` is the chance that two sets from one source look at least as much as if the second was
 * less than the first; `p_more` likewise. */
typedef struct weft_bench_rank_test {
    double p_less;
    double p_more;
} weft_bench_rank_test;

/* How the second set differs from the first: its median quotient, and the interval that holds the
 * true one with 95 % (two-sided). `low` and `high` are NaN if there are too few samples for one. */
typedef struct weft_bench_change {
    double quotient;
    double low;
    double high;
} weft_bench_change;

/* NaN without samples. */
double weft_bench_median(weft_bench_samples samples);

/* Half the width of the interval between two of the samples that holds the median of their source
 * with 95 %; infinite if there are too few for one: up to five. */
double weft_bench_median_half_width(weft_bench_samples samples);

/* Mann and Whitney's test of ranks. Exact, ties included, up to 64 samples in all; above that the
 * normal approximation. Both chances are 1 if a set is empty or memory runs out. */
weft_bench_rank_test weft_bench_rank(weft_bench_samples first, weft_bench_samples second);

/* The interval of Hodges and Lehmann that belongs to that test. For positive samples. */
weft_bench_change weft_bench_quotient(weft_bench_samples first, weft_bench_samples second);

/* Benjamini and Hochberg: the greatest of the chances that is still called a finding, so that in a
 * table without differences all rows are called even with probability 1 - level; 0 for none. */
double weft_bench_cut(const double *chances, size_t count, double level);

#endif
