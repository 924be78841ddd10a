/* SPDX-License-Identifier: MIT */
#include "map/ring.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/memory.h"
#include <string.h>

/* An item is a word that describes it, and the key in whole words. The describing word is 0 until
 * the item is complete. */
enum { WORD = sizeof(uint64_t), KEY_SHIFT = 8, VALUE_SHIFT = 32, LEAST_PAGE = 4096 };

_Static_assert(WEFT_RING_KEY_MAX < 1 << (VALUE_SHIFT - KEY_SHIFT), "the size has its bits");

static uint64_t item_bytes(uint32_t key_size) {
    return WORD + ((key_size + WORD - 1) & ~(uint64_t)(WORD - 1));
}

static uint64_t *word_at(const weft_ring *ring, uint64_t position) {
    return &ring->words[(position & (ring->capacity - 1)) / WORD];
}

/* Bytes from a position to the end of the memory. */
static uint64_t bytes_to_end(const weft_ring *ring, uint64_t position) {
    return ring->capacity - (position & (ring->capacity - 1));
}

/* The ring goes round all of its memory: the page faults are taken here, not by who puts in. */
static void touch_pages(weft_ring *ring) {
    for (uint64_t at = 0; at < ring->capacity; at += LEAST_PAGE) {
        weft_store_relaxed(word_at(ring, at), 0);
    }
}

bool weft_ring_open(weft_ring *ring, uint64_t capacity) {
    WEFT_ASSERT((capacity & (capacity - 1)) == 0 && capacity > 2 * item_bytes(WEFT_RING_KEY_MAX));
    *ring = (weft_ring){.capacity = capacity};
    ring->words = weft_pages_map(capacity);
    ring->joined = weft_memory_alloc(NULL, WEFT_RING_KEY_MAX, 1);
    if (ring->words == NULL || ring->joined == NULL) {
        weft_ring_close(ring);
        return false;
    }
    touch_pages(ring);
    return true;
}

void weft_ring_close(weft_ring *ring) {
    weft_memory_free(NULL, ring->joined, WEFT_RING_KEY_MAX, 1);
    weft_pages_unmap(ring->words, ring->capacity);
}

/* The position of `bytes` that are the caller's now; false: no room. */
static bool reserve(weft_ring *ring, uint64_t bytes, uint64_t *position) {
    *position = weft_load_relaxed(&ring->tail);
    do {
        /* Acquire: the words were zeroed. Pairs with weft_ring_release. An old tail may be behind
         * the head: then the difference is negative, and the exchange fails. */
        uint64_t used = *position + bytes - weft_load_acquire(&ring->head);
        if ((int64_t)used > (int64_t)ring->capacity) {
            return false;
        }
        /* Acquire and release: the reservation stays between the call and the return of the
         * operation. Pairs with itself. */
    } while (!weft_cas_acq_rel(&ring->tail, position, *position + bytes));
    return true;
}

static void copy_in(weft_ring *ring, uint64_t position, const weft_ring_item *item) {
    uint64_t first = bytes_to_end(ring, position);
    first = first < item->key_size ? first : item->key_size;
    memcpy(word_at(ring, position), item->key, first);
    memcpy(ring->words, (const unsigned char *)item->key + first, item->key_size - first);
}

static void complete(weft_ring *ring, uint64_t position, const weft_ring_item *item) {
    uint64_t word = ((uint64_t)item->value_size << VALUE_SHIFT) |
                    ((uint64_t)item->key_size << KEY_SHIFT) | (item->code + 1u);
    weft_store_release(word_at(ring, position), word); /* pairs with weft_ring_take */
}

/* A key of any size, where there is room for it. Apart, as calls make a function save registers. */
static WEFT_NOINLINE bool put_at(weft_ring *ring, uint64_t position, const weft_ring_item *item) {
    copy_in(ring, position + WORD, item);
    complete(ring, position, item);
    return true;
}

bool weft_ring_put(weft_ring *ring, const weft_ring_item *item) {
    uint64_t position;
    WEFT_ASSERT(item->key_size >= 1 && item->key_size <= WEFT_RING_KEY_MAX);
    if (WEFT_UNLIKELY(!reserve(ring, item_bytes(item->key_size), &position))) {
        return false;
    }
    if (WEFT_UNLIKELY(item->key_size != WORD)) {
        return put_at(ring, position, item);
    }
    memcpy(word_at(ring, position + WORD), item->key, WORD); /* a word wraps around nowhere */
    complete(ring, position, item);
    return true;
}

/* A key that wraps around. */
static WEFT_NOINLINE bool join_key(weft_ring *ring, uint64_t position, weft_ring_item *item) {
    uint64_t first = bytes_to_end(ring, position);
    memcpy(ring->joined, word_at(ring, position), first);
    memcpy(ring->joined + first, ring->words, item->key_size - first);
    item->key = ring->joined;
    return true;
}

bool weft_ring_take(weft_ring *ring, weft_ring_item *item) {
    /* Acquire: the key. Pairs with weft_ring_put. Nothing is there behind the capacity, where the
     * words are those of items that were not released yet. */
    if (ring->taken - ring->head == ring->capacity) {
        return false;
    }
    uint64_t word = weft_load_acquire(word_at(ring, ring->taken));
    if (word == 0) {
        return false;
    }
    item->code = (uint8_t)((word & 0xff) - 1);
    item->key_size = (uint32_t)(word >> KEY_SHIFT) & 0xffffff;
    item->value_size = (uint32_t)(word >> VALUE_SHIFT);
    uint64_t position = ring->taken + WORD;
    ring->taken += item_bytes(item->key_size);
    bool whole = bytes_to_end(ring, position) >= item->key_size;
    item->key = word_at(ring, position);
    return WEFT_LIKELY(whole) || join_key(ring, position, item);
}

size_t weft_ring_take_numbers(weft_ring *ring, uint8_t *codes, uint64_t *keys, size_t most) {
    size_t room = (ring->capacity - (ring->taken - ring->head)) / (2 * WORD);
    uint64_t position = ring->taken;
    most = most < room ? most : room;
    for (size_t i = 0; i < most; i++, position += 2 * WORD) {
        /* Acquire: the key. Pairs with weft_ring_put. */
        uint64_t word = weft_load_acquire(word_at(ring, position));
        if ((uint32_t)word >> KEY_SHIFT != WORD) {
            most = i;
            break;
        }
        codes[i] = (uint8_t)(word - 1);
        keys[i] = *word_at(ring, position + WORD);
    }
    ring->taken = position;
    return most;
}

void weft_ring_release(weft_ring *ring) {
    uint64_t bytes = ring->taken - ring->head;
    uint64_t first = bytes_to_end(ring, ring->head);
    first = first < bytes ? first : bytes;
    WEFT_ASSERT(bytes <= ring->capacity);
    memset(word_at(ring, ring->head), 0, first);
    memset(ring->words, 0, bytes - first);
    weft_store_release(&ring->head, ring->taken); /* pairs with reserve */
}

uint64_t weft_ring_used(const weft_ring *ring) {
    uint64_t head = weft_load_relaxed(&ring->head);
    return weft_load_relaxed(&ring->tail) - head;
}
