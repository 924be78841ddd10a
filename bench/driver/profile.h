/* SPDX-License-Identifier: MIT */
/* What a trace says of the use of a map, without replaying it on one. */
#ifndef WEFT_BENCH_DRIVER_PROFILE_H
#define WEFT_BENCH_DRIVER_PROFILE_H

#include "trace.h"

enum { WEFT_PROFILE_BUCKETS = 1024 };

typedef struct weft_profile {
    uint64_t ops;
    uint64_t distinct;      /* keys, prefill included */
    uint64_t entries_first; /* after the prefill */
    uint64_t entries_most;
    uint64_t entries_last;
    uint64_t gets;
    uint64_t inserted; /* keys that came, and that left */
    uint64_t removed;
    uint64_t bursts;  /* runs of writes, of one and more */
    uint64_t lived;   /* operations between coming and leaving, of those that left, added up */
    uint64_t wanted;  /* operations on the most wanted key */
    double entropy;   /* of the operations' keys over the buckets: 0 … 10 bits */
    double key_bytes; /* on average */
} weft_profile;

/* False: out of memory. */
bool weft_profile_take(weft_profile *profile, const weft_trace *trace);

#endif
