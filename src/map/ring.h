/* SPDX-License-Identifier: MIT */
/* A ring of operations: any thread puts in, one thread takes out, in the order in which room was
 * reserved. Putting is lock-free; docs/design/record.md tells the protocol. */
#ifndef WEFT_MAP_RING_H
#define WEFT_MAP_RING_H

#include "base/platform.h"

typedef struct weft_ring {
    uint64_t *words;
    uint64_t capacity;                /* bytes, a power of two */
    uint64_t tail WEFT_LINE_ALIGNED;  /* bytes that were ever reserved */
    uint64_t head WEFT_LINE_ALIGNED;  /* bytes that may be written again */
    uint64_t taken WEFT_LINE_ALIGNED; /* the taker's own: bytes taken out */
    unsigned char *joined;            /* the taker's own: a key that wraps around, whole */
} weft_ring;

/* An operation in the ring. */
typedef struct weft_ring_item {
    const void *key; /* out: valid until the next weft_ring_release */
    uint32_t key_size;
    uint32_t value_size;
    uint8_t code;
} weft_ring_item;

enum { WEFT_RING_KEY_MAX = 65535 };

/* `capacity`: a power of two, more than twice WEFT_RING_KEY_MAX. False without memory. */
bool weft_ring_open(weft_ring *ring, uint64_t capacity);
void weft_ring_close(weft_ring *ring);

/* Any thread. False if there is no room. */
bool weft_ring_put(weft_ring *ring, const weft_ring_item *item);

/* The one taker. False if the next item is not there yet. */
bool weft_ring_take(weft_ring *ring, weft_ring_item *item);
/* The same for up to `most` numbers, keys of 8 bytes; returns how many. 0: weft_ring_take tells. */
size_t weft_ring_take_numbers(weft_ring *ring, uint8_t *codes, uint64_t *keys, size_t most);
/* The room of what was taken may be used again. */
void weft_ring_release(weft_ring *ring);

/* Bytes reserved and not released. */
uint64_t weft_ring_used(const weft_ring *ring);

#endif
