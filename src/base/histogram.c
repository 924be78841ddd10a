/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#include "base/assert.h"

enum { STEP_BITS = 6 };

_Static_assert(1 << STEP_BITS == WEFT_HISTOGRAM_STEPS, "a step is an index of STEP_BITS bits");
_Static_assert((64 - STEP_BITS + 1) * WEFT_HISTOGRAM_STEPS == WEFT_HISTOGRAM_CELLS,
               "one linear group, and one for each power of two from STEP_BITS on");

static size_t cell_of(uint64_t value) {
    if (value < WEFT_HISTOGRAM_STEPS) {
        return value;
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
    return (size_t)shift * WEFT_HISTOGRAM_STEPS + (size_t)(value >> shift);
}

/* The greatest value that falls into a cell. */
static uint64_t top_of(size_t cell) {
    if (cell < WEFT_HISTOGRAM_STEPS) {
        return cell;
    }
    unsigned shift = (unsigned)(cell / WEFT_HISTOGRAM_STEPS) - 1;
    uint64_t leading = WEFT_HISTOGRAM_STEPS + cell % WEFT_HISTOGRAM_STEPS;
    return ((leading + 1) << shift) - 1;
}

static uint64_t load(const uint64_t *figure) {
    return __atomic_load_n(figure, __ATOMIC_RELAXED);
}

static void add(uint64_t *figure, uint64_t amount) {
    __atomic_fetch_add(figure, amount, __ATOMIC_RELAXED);
}

static void raise_to(uint64_t *figure, uint64_t value) {
    uint64_t seen = load(figure);
    while (seen < value && !__atomic_compare_exchange_n(figure, &seen, value, true,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

void weft_histogram_record(weft_histogram *histogram, uint64_t value) {
    add(&histogram->cells[cell_of(value)], 1);
    add(&histogram->count, 1);
    add(&histogram->sum, value);
    raise_to(&histogram->maximum, value);
}

uint64_t weft_histogram_percentile(const weft_histogram *histogram, uint32_t millipercent) {
    WEFT_ASSERT(millipercent <= 100000);
    uint64_t total = 0;
    for (size_t cell = 0; cell < WEFT_HISTOGRAM_CELLS; cell++) {
        total += load(&histogram->cells[cell]);
    }
    uint64_t wanted = (uint64_t)(((unsigned __int128)total * millipercent + 99999) / 100000);
    uint64_t maximum = load(&histogram->maximum);
    uint64_t seen = 0;
    for (size_t cell = 0; cell < WEFT_HISTOGRAM_CELLS && total != 0; cell++) {
        seen += load(&histogram->cells[cell]);
        if (seen != 0 && seen >= wanted) {
            return top_of(cell) < maximum ? top_of(cell) : maximum;
        }
    }
    return maximum;
}

void weft_histogram_merge(weft_histogram *into, const weft_histogram *from) {
    for (size_t cell = 0; cell < WEFT_HISTOGRAM_CELLS; cell++) {
        add(&into->cells[cell], load(&from->cells[cell]));
    }
    add(&into->count, load(&from->count));
    add(&into->sum, load(&from->sum));
    raise_to(&into->maximum, load(&from->maximum));
}
