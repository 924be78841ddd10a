/* SPDX-License-Identifier: MIT */
/* Engine "lockfree", bytes shape: the plain case of a lookup, which is nearly all: the root's
 * bucket is not on the move, and its slots tell. It is inlined into the lookups of src/map/map.c;
 * all else goes through the engine's look. */
#ifndef WEFT_ENGINE_LOCKFREE_BYTES_H
#define WEFT_ENGINE_LOCKFREE_BYTES_H

#include "engine/lockfree_layout.h"

/* The words whose tag is the key's, as a set of slots; without a branch, as for pairs. */
static WEFT_ALWAYS_INLINE uint64_t match_words(bucket *at, uint64_t hash) {
    uint64_t match = 0;
#if defined(__SSE2__) && !defined(WEFT_CALLS_ONLY)
    /* Words by 8 aligned bytes each, as in look_at_slots; of a word's four lanes of 16 bits the
     * last is the tag, whose comparison is the sign. x86 orders loads. */
    typedef double two __attribute__((vector_size(16)));
    two tags, first, second, third;
    uint64_t more;
    __asm__ __volatile__(
        "movq %[hash], %[tags]\n\t"
        "punpcklqdq %[tags], %[tags]\n\t"
        "movq %[w0], %[first]\n\t"
        "movhps %[w1], %[first]\n\t"
        "movq %[w2], %[second]\n\t"
        "movhps %[w3], %[second]\n\t"
        "movq %[w4], %[third]\n\t"
        "movhps %[w5], %[third]\n\t"
        "pcmpeqw %[tags], %[first]\n\t"
        "pcmpeqw %[tags], %[second]\n\t"
        "pcmpeqw %[tags], %[third]\n\t"
        "shufps $0xdd, %[second], %[first]\n\t"
        "movmskps %[first], %k[match]\n\t"
        "movmskpd %[third], %k[more]"
        : [tags] "=&x"(tags), [first] "=&x"(first), [second] "=&x"(second), [third] "=&x"(third),
          [match] "=&r"(match), [more] "=&r"(more)
        : [hash] "r"(hash), [w0] "m"(at->words[0]), [w1] "m"(at->words[1]), [w2] "m"(at->words[2]),
          [w3] "m"(at->words[3]), [w4] "m"(at->words[4]), [w5] "m"(at->words[5]));
    return match | more << 4;
#endif
#pragma GCC unroll 6
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t word = weft_load_acquire(&at->words[i]); /* pairs with the CAS of its writer */
        match |= (uint64_t)(word >> TAG_SHIFT == hash >> TAG_SHIFT) << i;
    }
    return match;
}

typedef struct word_place {
    uint64_t slot; /* SLOT_NONE: not in the line */
    uint64_t word; /* then 0 */
} word_place;

/* The key's place in the line. False: the bucket changed meanwhile, or the key may be elsewhere. */
static WEFT_ALWAYS_INLINE bool search_line(bucket *at, uint64_t state, const weft_key *key,
                                           word_place *found) {
    *found = (word_place){SLOT_NONE, 0};
    for (uint64_t match = match_words(at, key->hash) & valid_slots(state); match != 0;
         match &= match - 1) {
        uint64_t i = (uint64_t)__builtin_ctzll(match);
        /* Acquire: the entry. Pairs with the CAS of its writer. */
        uint64_t word = weft_load_acquire(&at->words[i]);
        if (((word ^ key->hash) & WORD_TAG) != 0 || (word & WORD_GONE) != 0) {
            continue;
        }
#if WEFT_MUTANT != 20 /* looks at entries that were never in the map */
        /* Before the entry is looked at, as in find_in_word; if the key is there, it was the
         * moment. Pairs with the CAS of head. */
        if (WEFT_UNLIKELY(weft_load_acquire(&at->head.first) != state)) {
            return false;
        }
#endif
        if (weft_entry_has_key(word_entry(word), key->bytes)) {
            *found = (word_place){i, word};
            return true;
        }
    }
    /* The loads above are acquires, so this one comes after them. Pairs with the CAS of head. */
    return WEFT_LIKELY((state & filter_bit(key->hash)) == 0 &&
                       weft_load_acquire(&at->head.first) == state);
}

/* The entry's address, or 0 if the key is absent. False: this is not a plain case, or the bucket
 * changed meanwhile. */
static WEFT_ALWAYS_INLINE bool plain_look(const weft_core *core, const weft_key *key,
                                          uint64_t *out) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES);
    const face *door = door_of(core);
    if (WEFT_UNLIKELY(door == NULL)) {
        return false;
    }
    bucket *at = &door->buckets[key->hash & door->mask];
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    if (WEFT_UNLIKELY(is_frozen(state))) { /* its entries may have been freed where they moved to */
        return false;
    }
    word_place place;
    bool sure = search_line(at, state, key, &place);
    *out = (uintptr_t)word_entry(place.word);
    return sure;
}

/* find, of a write; false if this is not a plain case, or the bucket changed meanwhile. Plain:
 * nothing is on the move, and the key is in a slot of the line or nowhere. */
static WEFT_ALWAYS_INLINE bool plain_find_word(const weft_core *core, const weft_key *key,
                                               weft_position *position) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES);
    const face *door = door_of(core);
    if (WEFT_UNLIKELY(door == NULL) || WEFT_UNLIKELY(face_of(door) != 0) ||
        WEFT_UNLIKELY(weft_load_relaxed(&generation_of(door)->next) != NULL)) {
        return false;
    }
    bucket *at = &door->buckets[key->hash & door->mask];
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t link = weft_load_acquire(&at->head.second); /* likewise */
    word_place place;
    bool sure = search_line(at, state, key, &place);
    position->present = place.slot != SLOT_NONE;
    position->cell = (uintptr_t)word_entry(place.word);
    position->words[AT_BUCKET] = (uintptr_t)at;
    position->words[AT_STATE] = state;
    position->words[AT_LINK] = link;
    position->words[AT_SLOT] = place.slot;
    position->words[AT_WORD] = place.word;
    return sure && (place.word & WORD_FIXED) == 0;
}

/* swing to `entry`, after a plain find of the key: as slot_swing does it. */
static WEFT_ALWAYS_INLINE int plain_swing_word(const weft_core *core, const weft_key *key,
                                               weft_position *position, uint64_t entry) {
    WEFT_ASSERT(position->present && position->words[AT_SLOT] < WORDS);
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t word = position->words[AT_WORD];
    weft_core_stamp(core, position, weft_core_seen_version(core, position), entry);
#if WEFT_MUTANT == 1 /* loses updates */
    weft_store_release(&at->words[position->words[AT_SLOT]], word_of(entry, key->hash));
    return WEFT_OK;
#endif
    /* Release: the entry's bytes. Pairs with the acquire of the word in find_in_word.
     * Sequentially consistent: comes before the epoch that the old entry is retired with. */
    return weft_cas_seq_cst(&at->words[position->words[AT_SLOT]], &word, word_of(entry, key->hash))
               ? WEFT_OK
               : WEFT_MISMATCH;
}

#endif
