/* SPDX-License-Identifier: MIT */
/* A stock of memory for entries: all of it at the beginning. */
#ifndef WEFT_MAP_RECORDS_H
#define WEFT_MAP_RECORDS_H

#include "base/platform.h"
#include <weft/alloc.h>

typedef struct weft_records {
    unsigned char *memory;
    uint32_t *next; /* of each free record: number + 1 of the next one, or 0 */
    size_t stride;
    uint64_t count;
    uint64_t used WEFT_LINE_ALIGNED; /* records that were ever taken; may go beyond */
    uint64_t free
        WEFT_LINE_ALIGNED; /* number + 1 of the first free one, and how often it changed */
} weft_records;

/* False without memory. `count` records of `size` bytes, at most 2^32 - 2. */
bool weft_records_open(weft_records *records, const weft_allocator *allocator, uint64_t count,
                       size_t size);
void weft_records_close(weft_records *records, const weft_allocator *allocator);

/* NULL: none is free. Lock-free, both. */
void *weft_records_take(weft_records *records);
void weft_records_give_back(weft_records *records, void *record);

#endif
