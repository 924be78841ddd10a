/* SPDX-License-Identifier: MIT */
/* How fast memory is right now. Neighbours on the same host take the shared cache and the memory's
 * bandwidth, and neither steal nor anybody's processor time shows that. */
#ifndef WEFT_BENCH_DRIVER_MEMORY_SPEED_H
#define WEFT_BENCH_DRIVER_MEMORY_SPEED_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds of a read that waits for the one before it; 0: not known. */
typedef struct weft_memory_speed {
    double cache;  /* of 4 MiB: more than a core's own cache, less than the shared one */
    double memory; /* of 64 MiB */
} weft_memory_speed;

/* The lines that are read, in an order of their own. */
typedef struct weft_memory_ring {
    unsigned char *lines;
    uint32_t count;
    uint32_t at;
} weft_memory_ring;

typedef struct weft_memory_probe {
    weft_memory_ring cache;
    weft_memory_ring memory;
} weft_memory_probe;

/* Without memory the probe knows nothing: its figures are 0. */
void weft_memory_probe_open(weft_memory_probe *probe);
void weft_memory_probe_close(weft_memory_probe *probe);

/* Takes 3 ms on a quiet machine, and four times as long on a loaded one. */
weft_memory_speed weft_memory_probe_take(weft_memory_probe *probe);

/* The faster figures of two; one that is not known does not count. */
weft_memory_speed weft_memory_speed_best(weft_memory_speed a, weft_memory_speed b);

/* Whether a probe was so much slower than the best one that others were at work. */
bool weft_memory_cache_is_slow(weft_memory_speed probe, weft_memory_speed best);
bool weft_memory_is_slow(weft_memory_speed probe, weft_memory_speed best);

#endif
