/* SPDX-License-Identifier: MIT */
/* What this machine could do at best, measured in the same run as the maps. */
#ifndef WEFT_BENCH_DRIVER_CEILINGS_H
#define WEFT_BENCH_DRIVER_CEILINGS_H

#include <jansson.h>
#include <stdint.h>

/* Measure all ceilings with one thread and with `threads`; each sample takes `seconds`. An array as
 * the result holds it; NULL without memory. */
json_t *weft_ceilings_measure(uint32_t threads, double seconds);

/* The one that suits a table of so many bytes; NULL if none was measured with so many threads. */
const json_t *weft_ceilings_choose(const json_t *ceilings, double bytes, uint32_t threads);

/* The ceiling of lookups in batches, to be measured in turns with them: line reads with prefetch
 * from memory that no cache holds. Without memory every rate is 0. */
typedef struct weft_ceiling_probe {
    unsigned char *memory;
} weft_ceiling_probe;

extern const char weft_ceiling_probe_name[];

void weft_ceiling_probe_open(weft_ceiling_probe *probe);
void weft_ceiling_probe_close(weft_ceiling_probe *probe);
double weft_ceiling_probe_take(const weft_ceiling_probe *probe, double seconds);

#endif
