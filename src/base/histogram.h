/* SPDX-License-Identifier: MIT */
/* A histogram of durations or sizes with a relative error of at most 1/64 over all 64-bit values:
 * linear below 64, then 64 steps for each power of two (the layout of HdrHistogram, Tene). */
#ifndef WEFT_BASE_HISTOGRAM_H
#define WEFT_BASE_HISTOGRAM_H

#include "base/platform.h"

enum { WEFT_HISTOGRAM_STEPS = 64, WEFT_HISTOGRAM_CELLS = 59 * WEFT_HISTOGRAM_STEPS };

/* All zero is an empty histogram. */
typedef struct weft_histogram {
    uint64_t count;
    uint64_t sum; /* wraps around */
    uint64_t maximum;
    uint64_t cells[WEFT_HISTOGRAM_CELLS];
} weft_histogram;

/* Any thread; each figure is exact, together they are those of nearly one moment. */
void weft_histogram_record(weft_histogram *histogram, uint64_t value);

/* The smallest value that at least `millipercent` / 100000 of the recorded ones do not exceed,
 * rounded up by at most 1/64, never above the maximum; 0 if empty. 99.9 % is 99900. */
uint64_t weft_histogram_percentile(const weft_histogram *histogram, uint32_t millipercent);

/* Add the figures of `from` to `into`. */
void weft_histogram_merge(weft_histogram *into, const weft_histogram *from);

#endif
