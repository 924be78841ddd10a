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

/* Which pair holds the key: 1, 2, 3, or 0 for none. As inlined lookups look; the builds that have
 * calls only see each access. */
static WEFT_ALWAYS_INLINE uint64_t look_for_key(bucket *at, uint64_t wanted) {
#ifndef WEFT_CALLS_ONLY
    return weft_inline_match((const struct weft_inline_pair *)at, wanted);
#else
    uint64_t keys[PAIRS];
    load_keys(at, keys);
    uint64_t match = 0;
    for (uint64_t i = 0; i < PAIRS; i++) {
        match += keys[i] == wanted ? i + 1 : 0; /* one at the most */
    }
    return match;
#endif
}

/* The pair that look_for_key means; the head, if the key is nowhere. */
static WEFT_ALWAYS_INLINE weft_pair *pair_found(bucket *at, uint64_t found) {
    return (weft_pair *)at + found;
}

/* Looks into the overflow block for a key that is not in the line. *pair: where it is; NULL:
 * nowhere, if the state is the same later still. False without a block, or where more has to be
 * looked at. */
static WEFT_NOINLINE bool look_into_block(bucket *at, uint64_t state, uint64_t wanted,
                                          weft_pair **pair) {
    uint64_t link = weft_load_acquire(&at->head.second); /* pairs with the CAS of head: the block */
    overflow *block = overflow_of(link);
    *pair = NULL;
#if WEFT_MUTANT == 63 /* takes what is not in the line for absent */
    return !is_frozen(state);
#endif
    /* The block belongs to the state only if that has not changed. Pairs with the CAS of head. */
    if (is_frozen(state) || weft_load_acquire(&at->head.first) != state || block == NULL ||
        block->capacity > LINK_SLOTS) {
        return false;
    }
    for (uint64_t i = 0; i < block->capacity; i++) {
        uint64_t first = weft_load_acquire(&block->pairs[i].first); /* pairs with its writer */
        if ((first & ~PAIR_FLAGS_OF_MOMENT) == wanted) {
            *pair = &block->pairs[i];
            return first == wanted;
        }
    }
    return true;
}

/* True: a key that is not in the line is nowhere else, if the state is the same later still. */
static WEFT_NOINLINE bool is_absent_beyond(bucket *at, uint64_t state, uint64_t wanted) {
    weft_pair *pair;
    return look_into_block(at, state, wanted, &pair) && pair == NULL;
}

/* Slots without a key. */
static WEFT_ALWAYS_INLINE uint64_t open_slots(slot_sets sets) {
    return ~sets.settled & (((uint64_t)1 << PAIRS) - 1);
}

/* Those of them that another insert has announced itself for, or claimed: a claim has the other
 * toggle, so that it looks announced. If there is one, no further insert may be announced. */
static WEFT_ALWAYS_INLINE uint64_t pending_slots(uint64_t state, slot_sets sets) {
    uint64_t pending = (sets.toggles ^ valid_slots(state) >> TOGGLE_SHIFT) & open_slots(sets);
#if WEFT_MUTANT == 8 /* inserts beside one that was announced */
    pending = 0;
#endif
    return pending;
}

/* Where an insert is announced; any slot if none is open. */
static WEFT_ALWAYS_INLINE uint64_t first_open(slot_sets sets) {
    return (uint64_t)__builtin_ctzll(open_slots(sets) | (uint64_t)1 << (PAIRS - 1));
}

/* In the place of PAIR_TOGGLE the toggle of slot i of the line; other bits mean nothing. */
static WEFT_ALWAYS_INLINE uint64_t slot_toggle(uint64_t state, uint64_t i) {
    _Static_assert(PAIR_TOGGLE == 1 << 4, "that is where it is brought");
    return state >> (VALID_SHIFT + TOGGLE_SHIFT - 4) >> i;
}

/* Not 0: slot i is not as an insert that is announced by a state after this one must find it:
 * empty, and agreeing with the slot's toggle. (Who stops inserts that an earlier state announced
 * may have put that state's toggle there since.) */
static WEFT_ALWAYS_INLINE uint64_t is_closed(uint64_t state, uint64_t i, uint64_t first) {
    _Static_assert(PAIR_USED == 1 && PAIR_GONE == 4, "gone pairs are used, too");
    uint64_t closed = (first ^ first >> 2) & PAIR_USED;
    uint64_t differs = (slot_toggle(state, i) ^ first) & PAIR_TOGGLE;
#if WEFT_MUTANT == 14 /* announces an insert on a pair that does not agree with the state */
    differs = 0;
#endif
    return closed | differs;
}

/* All bits if the set is empty, otherwise none; no branch, whatever the compiler knows. */
static WEFT_ALWAYS_INLINE uint64_t mask_if_empty(uint64_t set) {
#if defined(__x86_64__)
    uint64_t mask;
    __asm__("cmpq $1, %[set]\n\tsbbq %[mask], %[mask]" : [mask] "=r"(mask) : [set] "r"(set) : "cc");
#else
    uint64_t mask = (uint64_t)0 - (uint64_t)(set == 0);
    WEFT_HIDE(mask);
#endif
    return mask;
}

/* The bucket, or, where the mask is 0, a line of this thread's that looks like one: to swing at
 * when there is nothing to change. */
static WEFT_ALWAYS_INLINE bucket *bucket_or_scratch(uint64_t mask, bucket *at,
                                                    weft_record *record) {
    _Static_assert(sizeof record->scratch == sizeof(bucket), "they have one shape");
    uintptr_t scratch = (uintptr_t)record->scratch;
    return (bucket *)(scratch ^ ((scratch ^ (uintptr_t)at) & mask));
}

/* Did a CAS fail that mattered? One at the scratch line, where the mask is 0, does not. */
static WEFT_ALWAYS_INLINE bool failed(bool swapped, uint64_t mask) {
    unsigned char failure = !swapped;
    WEFT_HIDE(failure);
    return (failure & (unsigned char)mask) != 0;
}

/* The bucket, if nothing is on the move; NULL otherwise. */
static WEFT_ALWAYS_INLINE bucket *plain_bucket(weft_core *core, uint64_t hash) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 && weft_epoch_shown());
    generation *root = root_of(core);
    if (WEFT_UNLIKELY(root == NULL) || WEFT_UNLIKELY(weft_load_relaxed(&root->next) != NULL)) {
        return NULL;
    }
    bucket *at = bucket_at(root, hash);
    WEFT_KNOWN(at != NULL);
    return at;
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
    position->words[AT_OPEN] = pending_slots(state, sets) == 0 ? open_slots(sets) : 0;
    return (position->present || (state & filter_bit(hash)) == 0) &&
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

/* The state that announces an insert into slot i; of a bucket that is not frozen. */
static WEFT_ALWAYS_INLINE uint64_t announcing(uint64_t state, uint64_t i) {
    uint64_t valid = (uint64_t)1 << VALID_SHIFT << i;
    return ((state ^ valid << TOGGLE_SHIFT) | valid | LIVE) + ((uint64_t)1 << VERSION_SHIFT);
}

/* What a removal leaves, the like of which was never in a slot before; `toggle` as slot_toggle. */
static WEFT_ALWAYS_INLINE uint64_t gone_first(weft_record *record, uint64_t toggle) {
    return weft_epoch_stamp_of(record) << 6 | PAIR_USED | PAIR_GONE | (toggle & PAIR_TOGGLE);
}

/* A write of this thread. */
typedef struct plain_change {
    weft_core *core;
    weft_record *record;
    uint64_t hash;
    bool replace;   /* a key that is there gets the value */
    uint64_t value; /* to be stored; out: of insert and remove, what the key has, or had */
    uint64_t done;  /* out, all bits: there is one key more, or fewer; none: as many */
} plain_change;

/* The plain cases of insert and remove decide nothing by a branch on whether the key is there:
 * where it has nothing to change, an operation swings at this thread's own scratch line. A
 * branch that is predicted wrongly costs more than two locked instructions in cache, and out of
 * cache all of the miss: locked instructions overlap with the misses of later operations, but
 * nothing overlaps with a wrong path. */

/* Who is inside a guard may retire and free, who only shows the epoch says so for a while. */
static WEFT_ALWAYS_INLINE bool begin_inside(weft_record *record) {
    bool shown = record->nest == 0;
    record->nest += shown;
    return shown;
}

static WEFT_ALWAYS_INLINE void end_inside(weft_record *record, bool shown) {
    record->nest -= shown;
}

/* The key is not in the line, and that is full, or something about it is not plain: is it in the
 * block, and if not, does it need the bucket's first one? False: as plain_insert_at. */
static WEFT_NOINLINE bool plain_insert_beyond(bucket *at, uint64_t state, plain_change *c) {
    uint64_t wanted = wanted_pair(c->hash);
    weft_pair *pair = NULL;
    if ((state & filter_bit(c->hash)) != 0 && !look_into_block(at, state, wanted, &pair)) {
        return false;
    }
    if (pair == NULL) {
        /* What was announced when the caller looked may have been filled since. */
        slot_sets sets = look_at_slots(at, wanted);
#if WEFT_MUTANT == 65 /* takes a line that it has seen without the key for one that is still */
        sets.match = 0;
#endif
        if ((open_slots(sets) | sets.match) != 0) {
            return false;
        }
        bool shown = begin_inside(c->record);
        bool done =
            weft_lockfree_insert_first_beyond(c->core, at, state, (cell){c->hash, c->value});
        end_inside(c->record, shown);
        c->done = done ? UINT64_MAX : 0;
        return done;
    }
    weft_pair was = {wanted, weft_load_acquire(&pair->second)}; /* pairs with its writer */
    c->done = 0;
    if (c->replace) {
        return weft_cas_pair_seq_cst(pair, was, (weft_pair){wanted, c->value});
    }
    c->value = was.second;
    return weft_load_acquire(&at->head.first) == state; /* pairs with the CAS of head */
}

/* Announce, then fill: two compare and swaps. docs/design/update.md has the argument; in short: the
 * announcement fails if any other insert was announced or made since the look, a fill fails if
 * anybody stopped it, and who inserts stops those that are pending.
 * False: nothing was done; this is not a plain case, or others were faster. */
static WEFT_ALWAYS_INLINE bool plain_insert_at(bucket *at, uint64_t state, slot_sets sets,
                                               plain_change *c) {
    uint64_t absent = mask_if_empty(sets.match);
    uint64_t old =
        weft_load_acquire(&at->pairs[sets.match >> 1].second); /* pairs with its writer */
    uint64_t i = first_open(sets);
    weft_pair was = {weft_load_acquire(&at->pairs[i].first),   /* pairs with its writer */
                     weft_load_acquire(&at->pairs[i].second)}; /* pairs with it too */
    uint64_t closed = (pending_slots(state, sets) | is_closed(state, i, was.first)) & absent;
    /* The state is the same still, so `old` is the key's. Pairs with the CAS of head. */
    uint64_t changed = state ^ weft_load_acquire(&at->head.first);
#if WEFT_MUTANT == 9 /* tells the value of a slot that another key has taken meanwhile */
    changed = 0;
#endif
    uint64_t refused = closed | changed;
    if (WEFT_UNLIKELY(((state & filter_bit(c->hash)) | refused) != 0)) {
        WEFT_HIDE(refused); /* what follows is decided here, not before */
        if (refused != 0 ||
            (sets.match == 0 && !is_absent_beyond(at, state, wanted_pair(c->hash)))) {
            plain_change beyond = *c; /* so that *c may stay in registers */
            bool done = sets.match == 0 && plain_insert_beyond(at, state, &beyond);
            *c = beyond;
            return done;
        }
    }
    bucket *into = bucket_or_scratch(absent, at, c->record);
    /* Pairs with the loads and other CASes of head. */
    if (WEFT_UNLIKELY(failed(weft_cas_value_seq_cst(&into->head.first, state, announcing(state, i)),
                             absent))) {
        return false;
    }
    weft_pair filled = {wanted_pair(c->hash), c->value};
    c->value = c->value ^ ((c->value ^ old) & ~absent);
    c->done = absent;
    return !failed(weft_cas_pair_seq_cst(&into->pairs[i], was, filled), absent);
}

static WEFT_ALWAYS_INLINE bool plain_insert(plain_change *c) {
    bucket *at = plain_bucket(c->core, c->hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return false;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    c->replace = false;
    return plain_insert_at(at, state, look_at_slots(at, wanted_pair(c->hash)), c);
}

/* Where the key is there, the state does not matter: a pair without flags but USED is in a valid
 * slot, and the key is there as long as it stands. False: as above. */
static WEFT_ALWAYS_INLINE bool plain_store(plain_change *c) {
    bucket *at = plain_bucket(c->core, c->hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return false;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    slot_sets sets = look_at_slots(at, wanted_pair(c->hash));
    if (sets.match == 0) {
        c->replace = true;
        return plain_insert_at(at, state, sets, c);
    }
    weft_pair *pair = &at->pairs[sets.match >> 1];
    weft_pair was = {wanted_pair(c->hash), weft_load_acquire(&pair->second)}; /* with its writer */
    weft_pair becomes = {was.first, c->value};
    c->done = 0;
    return weft_cas_pair_seq_cst(pair, was, becomes);
}

/* Where the key is: NULL if it is not there, or this is not a plain case. */
static WEFT_ALWAYS_INLINE weft_pair *plain_present(weft_core *core, uint64_t hash) {
    bucket *at = plain_bucket(core, hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return NULL;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t found = look_for_key(at, wanted_pair(hash));
    weft_pair *pair;
    if (WEFT_LIKELY(found != 0)) {
        return pair_found(at, found);
    }
    return look_into_block(at, state, wanted_pair(hash), &pair) ? pair : NULL;
}

/* What a lookup sees that the line did not tell enough. False: not a plain case. */
static WEFT_ALWAYS_INLINE bool plain_get(weft_core *core, uint64_t hash, uint64_t *value,
                                         int *status) {
    bucket *at = plain_bucket(core, hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return false;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t found = look_for_key(at, wanted_pair(hash));
    weft_pair *pair = found == 0 ? NULL : pair_found(at, found);
    if (found == 0 && (state & filter_bit(hash)) != 0 &&
        !look_into_block(at, state, wanted_pair(hash), &pair)) {
        return false;
    }
    *value = pair == NULL ? 0 : weft_load_acquire(&pair->second); /* pairs with its writer */
    *status = pair == NULL ? WEFT_NOT_FOUND : WEFT_OK;
#if WEFT_MUTANT == 64 /* believes a look at a bucket that changed meanwhile */
    return true;
#endif
    return weft_load_acquire(&at->head.first) == state; /* pairs with the CAS of head */
}

/* The key is not in the line, but perhaps in the block. False: as plain_remove. */
static WEFT_NOINLINE bool plain_remove_beyond(bucket *at, uint64_t state, plain_change *c) {
    uint64_t wanted = wanted_pair(c->hash);
    weft_pair *pair;
    if (!look_into_block(at, state, wanted, &pair)) {
        return false;
    }
    if (pair == NULL) {
        c->done = 0;
        return weft_load_acquire(&at->head.first) == state; /* pairs with the CAS of head */
    }
    weft_pair was = {wanted, weft_load_acquire(&pair->second)}; /* pairs with its writer */
    weft_pair gone = {gone_first(c->record, 0), was.second};
    if (!weft_cas_pair_seq_cst(pair, was, gone)) {
        return false;
    }
    bool shown = begin_inside(c->record);
    weft_lockfree_removed_beyond(c->core, at);
    end_inside(c->record, shown);
    c->value = was.second;
    c->done = UINT64_MAX;
    return true;
}

/* The slot stays valid: an insert takes it as it is. False: as above. */
static WEFT_ALWAYS_INLINE bool plain_remove(plain_change *c) {
    bucket *at = plain_bucket(c->core, c->hash);
    if (WEFT_UNLIKELY(at == NULL)) {
        return false;
    }
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t found = look_for_key(at, wanted_pair(c->hash));
    uint64_t present = ~mask_if_empty(found);
    weft_pair was = {wanted_pair(c->hash),
                     weft_load_acquire(&pair_found(at, found)->second)}; /* pairs with its writer */
    if (WEFT_UNLIKELY((state & filter_bit(c->hash)) != 0) && found == 0) {
        plain_change beyond = *c; /* so that *c may stay in registers */
        bool done = plain_remove_beyond(at, state, &beyond);
        *c = beyond;
        return done;
    }
    /* pairs with the CAS of head */
    if (WEFT_UNLIKELY(weft_load_acquire(&at->head.first) != state)) {
        return false;
    }
    bucket *from = bucket_or_scratch(present, at, c->record);
    weft_pair gone = {gone_first(c->record, slot_toggle(state << 1, found)), was.second};
    c->value = was.second;
    c->done = present;
    bool lost = failed(weft_cas_pair_seq_cst(pair_found(from, found), was, gone), present);
    return !lost;
}

/* swing to nothing, after a plain find of the key. */
static WEFT_ALWAYS_INLINE int plain_take(const weft_position *position) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t i = position->words[AT_SLOT];
    weft_pair was = {position->words[AT_WORD], position->words[AT_VALUE]};
    weft_pair gone = {gone_first(*weft_thread_slot(), slot_toggle(position->words[AT_STATE], i)),
                      was.second};
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
    if (WEFT_UNLIKELY(open == 0 || is_closed(state, i, was.first) != 0)) {
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
