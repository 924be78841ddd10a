/* SPDX-License-Identifier: MIT */
/* Where the processors are, as far as it can be felt. A virtual machine's host moves its processors
 * about: two that shared a cache a second ago are two threads of one core now, or on different
 * sides of the chip, and all that two threads do to one line, or at once, takes several times as
 * long, or half. */
#ifndef WEFT_BENCH_DRIVER_PLACEMENT_H
#define WEFT_BENCH_DRIVER_PLACEMENT_H

#include <stdbool.h>

/* Of the first two processors that this process may run on; 0: not known (there is only one, or no
 * thread was to be had). */
typedef struct weft_placement {
    double handover; /* ns that a line takes from one to the other */
    double step; /* ns of a step of a loop that keeps a whole core busy, while both run it; of the
                      * faster one: the threads of one core are both slow */
} weft_placement;

/* Takes half a millisecond where both are free. */
weft_placement weft_placement_take(void);

/* The lesser figures of two, and the greater ones; one that is not known does not count. */
weft_placement weft_placement_best(weft_placement a, weft_placement b);
weft_placement weft_placement_worst(weft_placement a, weft_placement b);

/* Whether processors were further apart than at best, or shared a core that they did not share. */
bool weft_placement_is_moved(weft_placement probe, weft_placement best);

#endif
