/* SPDX-License-Identifier: MIT */
/* Engine "lockfree", u64 shape: the plain cases of find and swing, which are nearly all: nothing is
 * on the move, and the key is in a slot or not there. They are inlined into the operations of
 * src/map/u64map.c, whose first attempt they are; all else goes through the engine's find and
 * swing, by the same protocol. docs/design/update.md. */
#ifndef WEFT_ENGINE_LOCKFREE_U64_H
#define WEFT_ENGINE_LOCKFREE_U64_H

#include "engine/lockfree_layout.h"

/* This is not a plain case: for the engine's find and swing. No status of the library. */
enum { NOT_PLAIN = INT32_MIN };

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

/* A pair without flags but USED stands in a valid slot, so inlined lookups
 * don't ask for the valid bits. */
static inline bool clean_pairs_are_valid(bucket *at, uint64_t state, const uint64_t keys[PAIRS],
                                         uint64_t wanted) {
    bool all = true;
    for (unsigned i = 0; i < PAIRS; i++) {
        all = all && (keys[i] != wanted || slot_is_valid(state, i));
    }
    return all || weft_load_acquire(&at->head.first) != state; /* pairs with the CAS of head */
}

/* State with other valid slots and toggles; the version goes up, to `at_least` at least. */
static inline uint64_t next_state(uint64_t state, uint64_t valid, uint64_t at_least) {
    uint64_t version = max_u64(version_of(state) + 1, at_least);
    return version << VERSION_SHIFT | (state & FILTER_MASK) | LIVE | valid << VALID_SHIFT;
}

/* The slots of a bucket as one look sees them, as sets. */
typedef struct slot_sets {
    uint64_t match;   /* holds the key, and nothing but USED is said about it: one at the most */
    uint64_t settled; /* holds a key: not empty, not claimed */
    uint64_t toggles; /* of the pairs */
} slot_sets;

/* All slots are compared before anything branches: in which slot a key is, and whether, nobody can
 * predict. */
static WEFT_ALWAYS_INLINE slot_sets look_at_slots(bucket *at, uint64_t wanted) {
    slot_sets sets;
#if defined(__x86_64__) && !defined(WEFT_CALLS_ONLY)
    /* As weft_inline_match: halves of pairs by 8 aligned bytes; vectors, which take two at once. */
    typedef double two __attribute__((vector_size(16)));
    static const uint64_t flags[2] __attribute__((aligned(16))) = {
        PAIR_USED | PAIR_GONE | PAIR_CLAIMED, PAIR_USED | PAIR_GONE | PAIR_CLAIMED};
    static const uint64_t used[2] __attribute__((aligned(16))) = {PAIR_USED, PAIR_USED};
    _Static_assert(PAIR_TOGGLE << 59 == (uint64_t)1 << 63, "a shift makes the toggle the sign");
    two key, here, last, some, more;
    __asm__ __volatile__(
        "movq %[wanted], %[key]\n\t"
        "punpcklqdq %[key], %[key]\n\t"
        "movq %[first], %[here]\n\t"
        "movhps %[second], %[here]\n\t"
        "movq %[third], %[last]\n\t"
        "movdqa %[here], %[some]\n\t"
        "movdqa %[last], %[more]\n\t"
        "pand %[flags], %[some]\n\t"
        "pand %[flags], %[more]\n\t"
        "pcmpeqq %[used], %[some]\n\t"
        "pcmpeqq %[used], %[more]\n\t"
        "packssdw %[more], %[some]\n\t"
        "movmskps %[some], %k[settled]\n\t"
        "movdqa %[key], %[some]\n\t"
        "pcmpeqq %[here], %[some]\n\t"
        "pcmpeqq %[last], %[key]\n\t"
        "packssdw %[key], %[some]\n\t"
        "movmskps %[some], %k[match]\n\t"
        "psllq $59, %[here]\n\t"
        "psllq $59, %[last]\n\t"
        "shufps $0xdd, %[last], %[here]\n\t"
        "movmskps %[here], %k[toggles]"
        : [key] "=&x"(key), [here] "=&x"(here), [last] "=&x"(last), [some] "=&x"(some),
          [more] "=&x"(more), [match] "=&r"(sets.match), [settled] "=&r"(sets.settled),
          [toggles] "=&r"(sets.toggles)
        : [wanted] "r"(wanted), [first] "m"(at->pairs[0].first), [second] "m"(at->pairs[1].first),
          [third] "m"(at->pairs[2].first), [flags] "m"(flags), [used] "m"(used));
#else
    uint64_t keys[PAIRS];
    load_keys(at, keys);
    uint64_t flags = PAIR_USED | PAIR_GONE | PAIR_CLAIMED;
    sets.match = slot_set(keys[0] == wanted, keys[1] == wanted, keys[2] == wanted);
    sets.settled = slot_set((keys[0] & flags) == PAIR_USED, (keys[1] & flags) == PAIR_USED,
                            (keys[2] & flags) == PAIR_USED);
    sets.toggles = slot_set((keys[0] & PAIR_TOGGLE) != 0, (keys[1] & PAIR_TOGGLE) != 0,
                            (keys[2] & PAIR_TOGGLE) != 0);
#endif
    return sets;
}

/* The slots in which an insert may be announced. None, if there is a slot that another insert has
 * announced itself for, or claimed: a claim has the other toggle, so that it looks announced. */
static WEFT_ALWAYS_INLINE uint64_t open_slots(uint64_t state, slot_sets sets) {
    uint64_t open = ~sets.settled & (((uint64_t)1 << PAIRS) - 1);
    uint64_t pending = (sets.toggles ^ valid_slots(state) >> TOGGLE_SHIFT) & open;
#if WEFT_MUTANT == 8 /* inserts beside one that was announced */
    pending = 0;
#endif
    return open & ((uint64_t)(pending != 0) - 1);
}

/* One of `yes` and `no`, without a branch, whatever the compiler knows. */
static WEFT_ALWAYS_INLINE uint64_t choose(bool which, uint64_t yes, uint64_t no) {
    uint64_t mask = (uint64_t)0 - (uint64_t)which;
    WEFT_HIDE(mask);
    return no ^ ((yes ^ no) & mask);
}

/* This thread's record, if it may try the plain cases; NULL otherwise. */
static WEFT_ALWAYS_INLINE weft_record *plain_record(void) {
#ifdef WEFT_CALLS_ONLY
    return *weft_thread_slot();
#else
    weft_record *record = weft_inline_thread;
    return WEFT_LIKELY(record != &weft_epoch_nobody) ? record : NULL;
#endif
}

/* Did a CAS fail that mattered? One at the scratch line does not. */
static WEFT_ALWAYS_INLINE bool failed(bool swapped, bool mattered) {
    uint64_t failure = !swapped;
    WEFT_HIDE(failure);
    return (failure & (uint64_t)mattered) != 0;
}

/* The bucket, if nothing is on the move; NULL otherwise. */
static WEFT_ALWAYS_INLINE bucket *plain_bucket(weft_core *core, uint64_t hash) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 && weft_epoch_inside());
    generation *root = root_of(core);
    if (WEFT_UNLIKELY(root == NULL) || WEFT_UNLIKELY(weft_load_relaxed(&root->next) != NULL)) {
        return NULL;
    }
    return bucket_at(root, hash);
}

/* False if this is not a plain case, or the bucket changed meanwhile. */
static WEFT_ALWAYS_INLINE bool plain_find(weft_core *core, uint64_t hash, weft_position *position) {
    bucket *at = plain_bucket(core, hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return false;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t wanted = wanted_pair(hash);
    slot_sets sets = look_at_slots(at, wanted);
    uint64_t i = sets.match >> 1; /* of a set of one slot: its index; or 0 */
    uint64_t second =
        weft_load_acquire(&at->pairs[i].second);         /* pairs with the CAS of its writer */
    uint64_t link = weft_load_acquire(&at->head.second); /* pairs with the CAS of head */
    position->present = sets.match != 0;
    position->cell = second;
    position->words[AT_BUCKET] = (uintptr_t)at;
    position->words[AT_STATE] = state;
    position->words[AT_LINK] = link;
    position->words[AT_SLOT] = position->present ? i : SLOT_NONE;
    position->words[AT_WORD] = wanted;
    position->words[AT_VALUE] = second;
    position->words[AT_OPEN] = open_slots(state, sets);
    return (state & filter_bit(hash)) == 0 &&
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

/* The state that announces an insert into slot i. */
static WEFT_ALWAYS_INLINE uint64_t announcing(uint64_t state, uint64_t i) {
    uint64_t valid = valid_slots(state) | (uint64_t)1 << i;
    return next_state(state, valid ^ (uint64_t)1 << (TOGGLE_SHIFT + i), 0);
}

/* What a removal from slot i leaves, the like of which was never in a slot before. */
static WEFT_ALWAYS_INLINE uint64_t gone_first(weft_record *record, uint64_t state, uint64_t i) {
    return weft_epoch_stamp_of(record) << 6 | PAIR_USED | PAIR_GONE | toggle_flag(state, i);
}

/* The plain cases of insert and remove decide nothing by a branch on whether the key is there:
 * where it has nothing to change, an operation swings at this thread's own scratch line. A
 * branch that is predicted wrongly costs more than two locked instructions in cache, and out of
 * cache all of the miss: locked instructions overlap with the misses of later operations, but
 * nothing overlaps with a wrong path. */

/* Announce, then fill: two compare and swaps. docs/design/update.md has the argument; in short: the
 * announcement fails if any other insert was announced or made since the look, a fill fails if
 * anybody stopped it, and who inserts stops those that are pending.
 * WEFT_OK · WEFT_EXISTS, *value is then what the key has · WEFT_MISMATCH · NOT_PLAIN */
static WEFT_ALWAYS_INLINE int plain_insert(weft_core *core, uint64_t hash, weft_record *record,
                                           uint64_t *value) {
    bucket *at = plain_bucket(core, hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return NOT_PLAIN;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    slot_sets sets = look_at_slots(at, wanted_pair(hash));
    bool absent = sets.match == 0;
    uint64_t old =
        weft_load_acquire(&at->pairs[sets.match >> 1].second); /* pairs with its writer */
    uint64_t open = open_slots(state, sets);
    uint64_t i = (uint64_t)__builtin_ctzll(open | (uint64_t)1 << (PAIRS - 1));
    weft_pair was = {weft_load_acquire(&at->pairs[i].first),   /* pairs with its writer */
                     weft_load_acquire(&at->pairs[i].second)}; /* pairs with it too */
    uint64_t closed = (uint64_t)(open == 0) | (uint64_t)!pair_is_empty(was.first);
    /* Who stops inserts that an earlier state announced may have put its toggle there since. */
    closed |= (uint64_t)((was.first & PAIR_TOGGLE) != toggle_flag(state, i));
#if WEFT_MUTANT == 14 /* announces an insert on a pair that does not agree with the state */
    closed = (uint64_t)(open == 0) | (uint64_t)!pair_is_empty(was.first);
#endif
    closed &= (uint64_t)absent;
    WEFT_HIDE(closed);
    /* The state is the same still, so `old` is the key's. Pairs with the CAS of head. */
    uint64_t changed = state ^ weft_load_acquire(&at->head.first);
#if WEFT_MUTANT == 9 /* tells the value of a slot that another key has taken meanwhile */
    changed = 0;
#endif
    if (WEFT_UNLIKELY(((state & filter_bit(hash)) | closed | changed) != 0)) {
        return NOT_PLAIN;
    }
    uint64_t *head = (uint64_t *)(uintptr_t)choose(absent, (uintptr_t)&at->head.first,
                                                   (uintptr_t)&record->scratch.state);
    weft_pair *pair = (weft_pair *)(uintptr_t)choose(absent, (uintptr_t)&at->pairs[i],
                                                     (uintptr_t)&record->scratch.pair);
    /* Pairs with the loads and other CASes of head. */
    if (WEFT_UNLIKELY(failed(weft_cas_value_seq_cst(head, state, announcing(state, i)), absent))) {
        return WEFT_MISMATCH;
    }
    weft_pair filled = {wanted_pair(hash), *value};
    if (WEFT_UNLIKELY(failed(weft_cas_pair_seq_cst(pair, was, filled), absent))) {
        return WEFT_MISMATCH;
    }
    *value = choose(absent, *value, old);
    return (int)choose(absent, WEFT_OK, (uint64_t)WEFT_EXISTS);
}

/* The slot stays valid: an insert takes it as it is.
 * WEFT_OK, *old then has the value · WEFT_NOT_FOUND · WEFT_MISMATCH · NOT_PLAIN */
static WEFT_ALWAYS_INLINE int plain_remove(weft_core *core, uint64_t hash, weft_record *record,
                                           uint64_t *old) {
    bucket *at = plain_bucket(core, hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return NOT_PLAIN;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    slot_sets sets = look_at_slots(at, wanted_pair(hash));
    bool present = sets.match != 0;
    uint64_t i = sets.match >> 1;
    weft_pair was = {wanted_pair(hash),
                     weft_load_acquire(&at->pairs[i].second)}; /* pairs with its writer */
    *old = was.second;
    if (WEFT_UNLIKELY((state & filter_bit(hash)) != 0) ||
        WEFT_UNLIKELY(weft_load_acquire(&at->head.first) !=
                      state)) { /* pairs with the CAS of head */
        return NOT_PLAIN;
    }
    weft_pair *pair = (weft_pair *)(uintptr_t)choose(present, (uintptr_t)&at->pairs[i],
                                                     (uintptr_t)&record->scratch.pair);
    weft_pair gone = {gone_first(record, state, i), was.second};
    if (WEFT_UNLIKELY(failed(weft_cas_pair_seq_cst(pair, was, gone), present))) {
        return WEFT_MISMATCH;
    }
    return (int)choose(present, WEFT_OK, (uint64_t)WEFT_NOT_FOUND);
}

/* swing to nothing, after a plain find of the key. */
static WEFT_ALWAYS_INLINE int plain_take(const weft_position *position) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t i = position->words[AT_SLOT];
    weft_pair was = {position->words[AT_WORD], position->words[AT_VALUE]};
    weft_pair gone = {gone_first(*weft_thread_slot(), position->words[AT_STATE], i), was.second};
    return weft_cas_pair_seq_cst(&at->pairs[i], was, gone) ? WEFT_OK : WEFT_MISMATCH;
}

/* swing to a value, after a plain find. */
static WEFT_ALWAYS_INLINE int plain_put(const weft_position *position, uint64_t desired) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t state = position->words[AT_STATE];
    if (position->present) {
        return plain_update(position, desired);
    }
    uint64_t open = position->words[AT_OPEN];
    uint64_t i = (uint64_t)__builtin_ctzll(open | (uint64_t)1 << (PAIRS - 1));
    weft_pair was = {weft_load_acquire(&at->pairs[i].first),   /* pairs with its writer */
                     weft_load_acquire(&at->pairs[i].second)}; /* pairs with it too */
    if (WEFT_UNLIKELY(open == 0 || !pair_is_empty(was.first) ||
                      pair_is_pending(state, i, was.first))) {
        return NOT_PLAIN;
    }
    /* Acquire, release: pairs with the loads and other CASes of head. */
    if (!weft_cas_acq_rel(&at->head.first, &state, announcing(state, i))) {
        return WEFT_MISMATCH;
    }
    weft_pair filled = {position->words[AT_WORD], desired};
    return weft_cas_pair_seq_cst(&at->pairs[i], was, filled) ? WEFT_OK : WEFT_MISMATCH;
}

#endif
