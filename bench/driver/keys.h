/* SPDX-License-Identifier: MIT */
/* Keys: from the rank of a key to the key itself. */
#ifndef WEFT_BENCH_DRIVER_KEYS_H
#define WEFT_BENCH_DRIVER_KEYS_H

#include "workload.h"

typedef struct weft_keys weft_keys;

typedef struct weft_key {
    const void *data;
    size_t size;
} weft_key;

/* The keys of a workload. `text` is where words come from: a file or a folder; NULL: the texts that
 * Debian installs. If there are fewer words than keys, `workload` is made smaller, and where there
 * are none words are made up: either is said on stderr. NULL after a message. */
weft_keys *weft_keys_open(weft_workload *workload, const char *text);
void weft_keys_close(weft_keys *keys);

/* Valid until the next call. Ranks are below the number of keys; each has a key of its own. */
weft_key weft_keys_at(weft_keys *keys, uint64_t rank);

#endif
