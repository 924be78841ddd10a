/* SPDX-License-Identifier: MIT */
/* The removal of keys whose deadline has passed and that nobody asks for. */
#ifndef WEFT_SERVER_SWEEP_H
#define WEFT_SERVER_SWEEP_H

#include "server/node.h"

enum {
    WEFT_SWEEP_INTERVAL_MS = 100,
    WEFT_SWEEP_BUDGET_NS = 2000000,      /* 2 % of a core */
    WEFT_SWEEP_BUDGET_MAX_NS = 10000000, /* 10 %, while much of what it meets has expired */
};

/* Walk on over the keys for about `budget_ns`, in short slices, each inside the gate and a guard
 * as a batch of commands. Called on the thread of `loop`, outside the gate, every
 * WEFT_SWEEP_INTERVAL_MS; the caller commits the loop's journal afterwards. Returns the budget for
 * the next call. */
uint64_t weft_sweep_run(weft_node *node, uint32_t loop, uint64_t budget_ns);

#endif
