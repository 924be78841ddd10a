/* SPDX-License-Identifier: MIT */
/* Engine "lockfree", u64 shape: the plain cases of find and swing, which are nearly all: nothing is
 * on the move, and the key is in a slot or not there. They are inlined into the operations of
 * src/map/u64map.c, whose first attempt they are; all else goes through the engine's find and
 * swing, by the same protocol. docs/design/update.md. */
#ifndef WEFT_ENGINE_LOCKFREE_U64_H
#define WEFT_ENGINE_LOCKFREE_U64_H

#include "engine/lockfree_layout.h"

/* What a find leaves for the swing, in weft_position.words; a plain find also leaves, from AT_KEYS
 * on, the pairs' first halves. */
enum { AT_BUCKET, AT_STATE, AT_LINK, AT_SLOT, AT_WORD, AT_VALUE, AT_KEYS };
enum { SLOT_OVERFLOW = 64, SLOT_NONE = 255 };

/* This is not a plain case: for the engine's find and swing. No status of the library. */
enum { NOT_PLAIN = INT32_MIN };

/* A digit for each set of slots: its first one; 0 if it is empty. */
#define FIRST_SLOT UINT64_C(0x01020100)

static inline uint64_t wanted_pair(uint64_t hash) {
    return (hash & PAIR_HASH) | PAIR_USED;
}

static WEFT_ALWAYS_INLINE uint64_t slot_set(bool a, bool b, bool c) {
    _Static_assert(PAIRS == 3, "one term a slot");
    return (uint64_t)a | (uint64_t)b << 1 | (uint64_t)c << 2;
}

static WEFT_ALWAYS_INLINE void load_keys(bucket *at, uint64_t first[PAIRS]) {
    first[0] = weft_load_acquire(&at->pairs[0].first); /* pairs with the CAS of its writer */
    first[1] = weft_load_acquire(&at->pairs[1].first); /* pairs with the CAS of its writer */
    first[2] = weft_load_acquire(&at->pairs[2].first); /* pairs with the CAS of its writer */
}

/* The pairs that hold the key, as a set of slots. All are compared before the one branch: in which
 * slot a key is, nobody can predict. */
static WEFT_ALWAYS_INLINE uint64_t match_keys(const uint64_t first[PAIRS], uint64_t wanted) {
    uint64_t mask = ~PAIR_FLAGS_OF_MOMENT;
    return slot_set((first[0] & mask) == wanted, (first[1] & mask) == wanted,
                    (first[2] & mask) == wanted);
}

/* State with other valid slots and toggles; the version goes up, to `at_least` at least. */
static inline uint64_t next_state(uint64_t state, uint64_t valid, uint64_t at_least) {
    uint64_t version = max_u64(version_of(state) + 1, at_least);
    return version << VERSION_SHIFT | (state & FILTER_MASK) | LIVE | valid << VALID_SHIFT;
}

/* False if this is not a plain case, or the bucket changed meanwhile. */
static WEFT_ALWAYS_INLINE bool plain_find(weft_core *core, uint64_t hash, weft_position *position) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 && weft_epoch_inside());
    generation *root = root_of(core);
    if (WEFT_UNLIKELY(root == NULL || weft_load_relaxed(&root->next) != NULL)) {
        return false;
    }
    bucket *at = &root->buckets[hash & root->mask];
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t wanted = wanted_pair(hash);
    uint64_t *keys = &position->words[AT_KEYS];
    load_keys(at, keys);
    uint64_t match = match_keys(keys, wanted) & valid_slots(state);
    uint64_t i = (FIRST_SLOT >> (match * 4)) & 3; /* without a branch on whether there is one */
    uint64_t first = weft_load_acquire(&at->pairs[i].first);   /* pairs with swing's CAS */
    uint64_t second = weft_load_acquire(&at->pairs[i].second); /* pairs with it too */
    uint64_t link = weft_load_acquire(&at->head.second);       /* pairs with the CAS of head */
    bool present = match != 0;
    position->present = present;
    position->cell = second;
    position->words[AT_BUCKET] = (uintptr_t)at;
    position->words[AT_STATE] = state;
    position->words[AT_LINK] = link;
    position->words[AT_SLOT] = present ? i : SLOT_NONE;
    position->words[AT_WORD] = first;
    position->words[AT_VALUE] = second;
    /* A slot that another key took meanwhile, or one that is claimed, is for the general case. */
    return (first == wanted || !present) && (present || (state & filter_bit(hash)) == 0) &&
           !is_frozen(state) &&
           weft_load_acquire(&at->head.first) == state; /* pairs with the CAS of head */
}

static WEFT_ALWAYS_INLINE int plain_update(const weft_position *position, uint64_t desired) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t word = position->words[AT_WORD];
    weft_pair was = {word, position->words[AT_VALUE]};
    weft_pair becomes = {word, desired};
    return weft_cas_pair_seq_cst(&at->pairs[position->words[AT_SLOT]], was, becomes)
               ? WEFT_OK
               : WEFT_MISMATCH;
}

/* The slot stays valid: an insert takes it as it is. */
static WEFT_ALWAYS_INLINE int plain_remove(const weft_position *position) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t i = position->words[AT_SLOT];
    weft_pair was = {position->words[AT_WORD], position->words[AT_VALUE]};
    uint64_t gone = weft_epoch_stamp() << 6 | PAIR_USED | PAIR_GONE;
    weft_pair becomes = {gone | toggle_flag(position->words[AT_STATE], i), was.second};
    return weft_cas_pair_seq_cst(&at->pairs[i], was, becomes) ? WEFT_OK : WEFT_MISMATCH;
}

static WEFT_ALWAYS_INLINE uint64_t empty_slots(const uint64_t first[PAIRS]) {
    return slot_set(pair_is_empty(first[0]), pair_is_empty(first[1]), pair_is_empty(first[2]));
}

/* The slots that were announced for another insert, of we know not which key. */
static WEFT_ALWAYS_INLINE uint64_t pending_slots(const uint64_t first[PAIRS], uint64_t state) {
    uint64_t toggles = slot_set((first[0] & PAIR_TOGGLE) != 0, (first[1] & PAIR_TOGGLE) != 0,
                                (first[2] & PAIR_TOGGLE) != 0);
    return (toggles ^ valid_slots(state) >> TOGGLE_SHIFT) & empty_slots(first);
}

/* Announce, then fill: two compare and swaps. docs/design/update.md has the argument; in short: the
 * announcement fails if any other insert was announced or made since the find, a fill fails if
 * anybody stopped it, and who inserts stops those that are pending. */
static WEFT_ALWAYS_INLINE int plain_insert(uint64_t hash, const weft_position *position,
                                           uint64_t desired) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t state = position->words[AT_STATE];
    const uint64_t *keys = &position->words[AT_KEYS];
    uint64_t empty = empty_slots(keys);
#if WEFT_MUTANT == 8 /* inserts beside one that was announced */
    uint64_t pending = 0;
#else
    uint64_t pending = pending_slots(keys, state);
#endif
    if (WEFT_UNLIKELY(pending != 0 || empty == 0)) {
        return NOT_PLAIN;
    }
    unsigned i = (unsigned)__builtin_ctzll(empty);
    uint64_t valid = (valid_slots(state) | (uint64_t)1 << i) ^ (uint64_t)1 << (TOGGLE_SHIFT + i);
    weft_pair was = {i == 0 ? keys[0] : i == 1 ? keys[1] : keys[2], 0};
    was.second = weft_load_acquire(&at->pairs[i].second); /* pairs with its writer */
    /* Acquire, release: pairs with the loads and other CASes of head. */
    if (!weft_cas_acq_rel(&at->head.first, &state, next_state(state, valid, 0))) {
        return WEFT_MISMATCH;
    }
    weft_pair filled = {wanted_pair(hash), desired};
    return weft_cas_pair_seq_cst(&at->pairs[i], was, filled) ? WEFT_OK : WEFT_MISMATCH;
}

/* swing, after a plain find. */
static WEFT_ALWAYS_INLINE int plain_swing(weft_core *core, uint64_t hash,
                                          const weft_position *position, bool keep,
                                          uint64_t desired) {
    WEFT_ASSERT(keep || position->present);
    if (WEFT_UNLIKELY(position->words[AT_LINK] >> LINK_DYING_SHIFT != 0)) {
        return NOT_PLAIN;
    }
    if (!position->present) {
        return plain_insert(hash, position, desired);
    }
    if (keep) {
        return plain_update(position, desired);
    }
    int status = plain_remove(position);
    lockfree_removed(core);
    return status;
}

#endif
