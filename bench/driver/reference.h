/* SPDX-License-Identifier: MIT */
/* What every peer has to answer to `verify`: the deterministic pass, replayed here on a plain table
 * that shares no code with weft or any peer. */
#ifndef WEFT_BENCH_DRIVER_REFERENCE_H
#define WEFT_BENCH_DRIVER_REFERENCE_H

#include "trace.h"

/* False without memory. Meant for traces of some hundred thousand operations. */
bool weft_reference_replay(const weft_trace *trace, uint64_t *checksum, uint64_t *entries);

#endif
