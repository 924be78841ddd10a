/* SPDX-License-Identifier: MIT */
/* The randomness seam: unpredictable numbers from the operating system. */
#ifndef WEFT_BASE_RANDOM_H
#define WEFT_BASE_RANDOM_H

#include "base/platform.h"

/* Fill memory. False if the operating system refused; the bytes then come from clock and addresses:
 * different from run to run, but guessable. */
bool weft_random_bytes(void *memory, size_t size);

uint64_t weft_random_u64(void);

/* For tests: take the numbers from here, so that a run can be repeated; NULL: the real ones again.
 */
void weft_random_set_hook(uint64_t (*next)(void));

#endif
