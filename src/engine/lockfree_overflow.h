/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": making, filling and counting overflow blocks. How a bucket takes one or gives
 * it up is in lockfree.c; docs/design/overflow.md. */
#ifndef WEFT_ENGINE_LOCKFREE_OVERFLOW_H
#define WEFT_ENGINE_LOCKFREE_OVERFLOW_H

#include "engine/lockfree_layout.h"

static inline size_t overflow_slot_bytes(const weft_core *core) {
    return core->shape == WEFT_SHAPE_U64 ? sizeof(weft_pair) : sizeof(uint64_t);
}

static inline void overflow_destroy(weft_core *core, weft_block *block) {
    weft_core_free(core, block, block->bytes, _Alignof(overflow));
}

/* Room for `capacity` slots, all empty; NULL without memory, or for none. */
static inline overflow *overflow_new(weft_core *core, uint64_t capacity) {
    if (capacity == 0) {
        return NULL;
    }
    size_t slots = capacity * overflow_slot_bytes(core);
    overflow *block = weft_core_alloc(core, sizeof *block + slots, _Alignof(overflow));
    if (block == NULL) {
        return NULL;
    }
    WEFT_ASSERT(((uintptr_t)block & ~LINK_ADDRESS) == 0);
    block->block = (weft_block){.destroy = overflow_destroy, .bytes = sizeof *block + slots};
    block->capacity = capacity;
    memset(block->pairs, 0, slots);
    return block;
}

static inline void overflow_drop(weft_core *core, overflow *block) {
    if (block != NULL) {
        overflow_destroy(core, &block->block);
    }
}

static inline int64_t overflow_block_bytes(uint64_t link) {
    const overflow *block = overflow_of(link);
    return block == NULL ? 0 : (int64_t)block->block.bytes;
}

/* State and link that belong together. */
static inline weft_pair load_head(bucket *at) {
    weft_pair head;
    do {
        head.first = weft_load_acquire(&at->head.first);        /* pairs with the CAS of head */
        head.second = weft_load_acquire(&at->head.second);      /* likewise: the block */
    } while (weft_load_acquire(&at->head.first) != head.first); /* likewise */
    return head;
}

/* Mark the pair of slot i, which is valid; what it holds from now on, while the bucket is frozen or
 * has this block. */
static inline weft_pair freeze_pair(weft_pair *at, uint64_t state, uint64_t i) {
    WEFT_ASSERT(i >= PAIRS || slot_is_valid(state, i));
    for (;;) {
        weft_pair pair = {weft_load_acquire(&at->first), /* pairs with swing's CAS */
                          weft_load_acquire(&at->second)};
        bool empty = pair_is_empty(pair.first);
        uint64_t mark = empty ? PAIR_USED | PAIR_GONE | PAIR_FROZEN : PAIR_FROZEN;
        weft_pair marked = {pair.first | mark, pair.second};
        /* An empty one can't change, unless an insert is pending. */
#if WEFT_MUTANT == 7 /* announced inserts slip into buckets that have moved */
        bool may_fill = empty && state == 0;
#else
        bool may_fill = empty && pair_is_pending(state, i, pair.first);
#endif
        if ((pair.first & PAIR_FROZEN) != 0 || (empty && !may_fill)) {
            return pair;
        }
        if (weft_cas_pair_seq_cst(at, pair, marked)) {
            return marked;
        }
    }
}

/* Keys that are in the block while the bucket has this head. */
static inline int64_t overflow_live(const weft_core *core, bucket *at, weft_pair head) {
    const bucket_view in = {at, head};
    int64_t live = 0;
    cell what = {0, 0};
    for (uint64_t i = slots_of(core->shape); i < all_slots(core, head.second); i++) {
        live += live_slot(core, &in, i, &what);
    }
    return live;
}

/* A bucket has got `block` in place of what was linked, either of them perhaps nothing, and with it
 * so many more keys. A move counts for itself: its sources' blocks may stay with an image. */
static inline void overflow_relinked(weft_core *core, uint64_t was, const overflow *block,
                                     int64_t keys) {
    weft_core_count_overflow(core, keys,
                             overflow_block_bytes((uintptr_t)block) - overflow_block_bytes(was));
    if (overflow_of(was) != NULL) {
        weft_core_retire_block(core, &overflow_of(was)->block);
    }
}

/* A block that nobody else sees yet, and how much of it is filled. */
typedef struct overflow_draft {
    overflow *block;
    uint64_t used;
    uint64_t filter; /* of what it holds */
} overflow_draft;

static inline void overflow_add(const weft_core *core, overflow_draft *draft, cell what) {
    WEFT_ASSERT(draft->used < draft->block->capacity);
    uint64_t i = draft->used++;
    if (core->shape == WEFT_SHAPE_U64) {
        draft->block->pairs[i] = (weft_pair){(what.hash & PAIR_HASH) | PAIR_USED, what.value};
        draft->filter |= filter_bit(what.hash);
    } else {
        ((uint64_t *)draft->block->pairs)[i] = what.value & ~WORD_FLAGS;
        draft->filter |= filter_bit(what.value);
    }
}

/* The link to a block that is filled so far. Slots that are always valid and were not needed hold a
 * key that is gone. */
static inline uint64_t overflow_link(const weft_core *core, const overflow_draft *draft) {
    uint64_t always = always_valid(draft->block);
    for (uint64_t i = draft->used; i < always; i++) {
        if (core->shape == WEFT_SHAPE_U64) {
            draft->block->pairs[i] = (weft_pair){PAIR_USED | PAIR_GONE, 0};
        } else {
            ((uint64_t *)draft->block->pairs)[i] = WORD_GONE;
        }
    }
    uint64_t more = draft->used > always ? draft->used - always : 0;
    return (uintptr_t)draft->block | (((uint64_t)1 << more) - 1) << LINK_VALID_SHIFT;
}

#endif
