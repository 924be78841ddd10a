/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": making, searching and copying overflow blocks. How a bucket takes one or gives
 * it up is in lockfree.c. */
#ifndef WEFT_ENGINE_LOCKFREE_OVERFLOW_H
#define WEFT_ENGINE_LOCKFREE_OVERFLOW_H

#include "engine/lockfree_layout.h"

static inline size_t overflow_bytes(uint32_t capacity) {
    return sizeof(overflow) + capacity * sizeof(cell) + (capacity + 63) / 64 * sizeof(uint64_t);
}

static inline void overflow_destroy(weft_core *core, weft_block *block) {
    weft_core_free(core, block, block->bytes, 16);
}

/* Room for `capacity` cells; NULL without memory, or for none. */
static inline overflow *overflow_new(weft_core *core, uint32_t capacity) {
    if (capacity == 0) {
        return NULL;
    }
    overflow *block = weft_core_alloc(core, overflow_bytes(capacity), 16);
    if (block == NULL) {
        return NULL;
    }
    WEFT_ASSERT(((uintptr_t)block & ~LINK_ADDRESS) == 0);
    block->block = (weft_block){.destroy = overflow_destroy, .bytes = overflow_bytes(capacity)};
    block->count = 0;
    block->capacity = capacity;
    block->dead = (uint64_t *)&block->cells[capacity];
    memset(block->dead, 0, (capacity + 63) / 64 * sizeof(uint64_t));
    return block;
}

static inline void overflow_drop(weft_core *core, overflow *block) {
    if (block != NULL) {
        overflow_destroy(core, &block->block);
    }
}

/* Cells that are in the map while the block is linked in this way. */
static inline int64_t overflow_live(uint64_t link) {
    const overflow *block = overflow_of(link);
    int64_t live = 0;
    for (uint32_t i = 0; block != NULL && i < block->count; i++) {
        live += !overflow_is_dead(block, link, i);
    }
    return live;
}

static inline int64_t overflow_block_bytes(uint64_t link) {
    const overflow *block = overflow_of(link);
    return block == NULL ? 0 : (int64_t)block->block.bytes;
}

/* A bucket has got `block` in place of what was linked, either of them perhaps nothing, and with it
 * so many more live cells. A move counts for itself: its sources' blocks may stay with an image. */
static inline void overflow_relinked(weft_core *core, uint64_t was, const overflow *block,
                                     int64_t cells) {
    weft_core_count_overflow(core, cells,
                             overflow_block_bytes((uintptr_t)block) - overflow_block_bytes(was));
    if (overflow_of(was) != NULL) {
        weft_core_retire_block(core, &overflow_of(was)->block);
    }
}

static inline void overflow_add(overflow *block, cell what) {
    WEFT_ASSERT(block->count < block->capacity);
    block->cells[block->count++] = what;
}

/* The filter that a bucket has beside this block; a cell's hash is its whole one in both shapes. */
static inline uint64_t overflow_filter(const overflow *block) {
    uint64_t filter = 0;
    for (uint32_t i = 0; block != NULL && i < block->count; i++) {
        filter |= filter_bit(block->cells[i].hash);
    }
    return filter;
}

/* A dead cell's entry may have been freed: look at the mark before the entry. */
static inline bool overflow_has_key(const weft_core *core, uint64_t link, uint32_t i,
                                    const weft_key *key) {
    const overflow *block = overflow_of(link);
    const cell *at = &block->cells[i];
    if (at->hash != key->hash || overflow_is_dead(block, link, i)) {
        return false;
    }
    return core->shape == WEFT_SHAPE_U64 || weft_entry_has_key(word_entry(at->value), key->bytes);
}

/* The index of the key's cell, or the count. */
static inline uint32_t overflow_find(const weft_core *core, uint64_t link, const weft_key *key) {
    WEFT_ASSERT(link >> LINK_DYING_SHIFT == 0 || overflow_of(link) != NULL);
    const overflow *block = overflow_of(link);
    uint32_t count = block == NULL ? 0 : block->count;
    for (uint32_t i = 0; i < count; i++) {
        if (overflow_has_key(core, link, i, key)) {
            return i;
        }
    }
    return count;
}

/* Copies the live cells, without number `but`, into a block with room for `more`. */
static inline overflow *overflow_copy(weft_core *core, uint64_t link, uint32_t but, uint32_t more) {
    WEFT_ASSERT(link >> LINK_DYING_SHIFT == 0); /* prepare has finished it */
    const overflow *from = overflow_of(link);
    uint32_t count = from == NULL ? 0 : from->count;
    overflow *copy = overflow_new(core, count + more);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        if (i != but && !overflow_is_dead(from, link, i)) {
            overflow_add(copy, from->cells[i]);
        }
    }
    return copy;
}

#endif
