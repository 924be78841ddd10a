/* SPDX-License-Identifier: MIT */
/* Where the processors are, as far as it can be felt. A virtual machine's host moves its processors
 * about: two that shared a cache a second ago are two threads of one core now, or on different
 * sides of the chip, and all that two threads do to one line, or at once, takes several times as
 * long, or half. */
#ifndef WEFT_BENCH_DRIVER_PLACEMENT_H
#define WEFT_BENCH_DRIVER_PLACEMENT_H

#include <stdbool.h>
#include <sys/types.h>

/* Of the first two processors that this process may run on; 0: not known. */
typedef struct weft_placement {
    double handover; /* ns that a line takes from one to the other */
    double step;     /* ns of a step of a loop that keeps a whole core busy, while both run it; of
                      * the faster one: the threads of one core are both slow */
} weft_placement;

/* The second processor is probed from a process of its own: a thread would be one too many for
 * what is measured of a process that has only one. Without memory, another process or a second
 * processor the probe knows nothing. */
typedef struct weft_placement_probe {
    struct weft_placement_table *table;
    pid_t partner;
    int to_partner; /* a byte for each probe; its end is the partner's */
} weft_placement_probe;

void weft_placement_probe_open(weft_placement_probe *probe);
void weft_placement_probe_close(weft_placement_probe *probe);

/* Takes half a millisecond where both are free; gives up after a second. */
weft_placement weft_placement_probe_take(weft_placement_probe *probe);

/* The lesser figures of two, and the greater ones; one that is not known does not count. */
weft_placement weft_placement_best(weft_placement a, weft_placement b);
weft_placement weft_placement_worst(weft_placement a, weft_placement b);

/* Whether processors were further apart than at best, or shared a core that they did not share. */
bool weft_placement_is_moved(weft_placement probe, weft_placement best);

#endif
