/* SPDX-License-Identifier: MIT */
/* A stock of records: those never used from the front, those given back from a list. Treiber's
 * stack, with a count beside the head against its coming back (ABA). */
#include "map/records.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/memory.h"

enum { RECORD_ALIGN = 16, NUMBER_BITS = 32 };

#define NUMBER_MASK (((uint64_t)1 << NUMBER_BITS) - 1)
#define CHANGE_ONE ((uint64_t)1 << NUMBER_BITS)

bool weft_records_open(weft_records *records, const weft_allocator *allocator, uint64_t count,
                       size_t size) {
    size_t stride = (size + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
    if (count >= NUMBER_MASK || (count != 0 && stride > SIZE_MAX / 2 / count)) {
        return false;
    }
    *records = (weft_records){.stride = stride, .count = count};
    records->memory = weft_memory_alloc(allocator, count * stride, WEFT_CACHE_LINE);
    records->next = weft_memory_alloc(allocator, count * sizeof *records->next, WEFT_CACHE_LINE);
    if (records->memory == NULL || records->next == NULL) {
        weft_records_close(records, allocator);
        return false;
    }
    return true;
}

void weft_records_close(weft_records *records, const weft_allocator *allocator) {
    if (records->memory != NULL) {
        weft_memory_free(allocator, records->memory, records->count * records->stride,
                         WEFT_CACHE_LINE);
    }
    if (records->next != NULL) {
        weft_memory_free(allocator, records->next, records->count * sizeof *records->next,
                         WEFT_CACHE_LINE);
    }
    *records = (weft_records){.memory = NULL};
}

void *weft_records_take(weft_records *records) {
    uint64_t head = weft_load_acquire(&records->free); /* pairs with the CAS of who gave it back */
    while ((head & NUMBER_MASK) != 0) {
        uint64_t number = (head & NUMBER_MASK) - 1;
        uint64_t next = weft_load_relaxed(&records->next[number]);
        uint64_t changed = ((head & ~NUMBER_MASK) + CHANGE_ONE) | next;
        /* Acquire: what the last owner did comes before. Pairs with giving back. */
        if (weft_cas_acq_rel(&records->free, &head, changed)) {
            return records->memory + number * records->stride;
        }
    }
    if (weft_load_relaxed(&records->used) >= records->count) {
        return NULL;
    }
    uint64_t number = weft_fetch_add_relaxed(&records->used, 1);
    return number < records->count ? records->memory + number * records->stride : NULL;
}

void weft_records_give_back(weft_records *records, void *record) {
    uint64_t number = (uint64_t)((unsigned char *)record - records->memory) / records->stride;
    WEFT_ASSERT(number < records->count);
    uint64_t head = weft_load_relaxed(&records->free);
    uint64_t changed;
    do {
        weft_store_relaxed(&records->next[number], (uint32_t)(head & NUMBER_MASK));
        changed = ((head & ~NUMBER_MASK) + CHANGE_ONE) | (number + 1);
        /* Release: the link, and the last owner's accesses. Pairs with taking. */
    } while (!weft_cas_acq_rel(&records->free, &head, changed));
}
