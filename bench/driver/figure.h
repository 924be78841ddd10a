/* SPDX-License-Identifier: MIT */
/* Cells of figures that the driver takes itself: what they say, their samples, what they compare
 * with. */
#ifndef WEFT_BENCH_DRIVER_FIGURE_H
#define WEFT_BENCH_DRIVER_FIGURE_H

#include "base/clock.h"
#include "single.h"

enum { FIGURE_SAMPLES = 15 };

/* What a cell says beside its figures. */
typedef struct cell_text {
    const char *id;
    const char *about;
    const char *shape;
    const char *measure;
    const char *unit;
    const char *better;
    uint64_t entries;
} cell_text;

typedef struct figure {
    const char *peer;
    double values[FIGURE_SAMPLES];
    size_t count;
    json_t *series; /* owned; NULL: none */
    json_t *kinds;  /* likewise */
} figure;

double weft_figure_median(const figure *f);
double weft_figure_low(const figure *f);
double weft_figure_high(const figure *f);

/* Append a cell; `other`, what it is compared with, may be NULL. */
void weft_figure_add_cell(const weft_single *how, const cell_text *text, const figure *own,
                          const figure *other);

/* Name something that is compared with and is no peer. */
void weft_figure_add_control(const weft_single *how, const char *id, const char *name);

static inline double elapsed_ns(uint64_t since) {
    return (double)(weft_clock_monotonic_ns() - since);
}

#endif
