/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": reads without stores, writes by compare and swap, resizing by everybody in
 * passing.
 *
 * Design
 *   An array of buckets, each one cache line, indexed by the low bits of the hash. A key lives in
 *   its bucket's slots or, when these are taken, in the bucket's overflow block. The bucket's head
 *   says which slots are valid; its version changes with every change of that set. So there is one
 *   point that serialises inserts of a key, and a reader that finds the head unchanged has seen one
 *   moment. Values change in place, by a compare and swap of the slot alone.
 *   A resize publishes a next generation. Buckets move one by one: the sources are frozen, every
 *   helper computes the same image of the targets from them, and writes it into slots that are
 *   still zero. A helper that stops blocks nobody. docs/design/{bucket,update,growth}.md have the
 *   states, each CAS, the linearization points and the reasons for the memory orders.
 *
 * Layout
 *   bucket    0         8        16                                        64
 *             +---------+---------+----------------------------------------+
 *             |  state  |  link   |  bytes: 6 words · u64: 3 pairs         |
 *             +---------+---------+----------------------------------------+
 *   state     63                  16  15     14   13        8  7            0
 *             | version, 48 bits    |FROZEN|LIVE| valid slots| filter       |      0 = untouched
 *             a bit of the filter says that the overflow block may have keys of its eighth
 *   link      63      48 47                        0
 *             | valid  | overflow block            |      valid bits of its last 16 slots
 *   word      | 16 bits of hash | address of entry | 000, frozen 001, 101; held 100 |  bytes shape
 *             | version of the removal << 3        | 010 GONE                       |
 *   pair      | hash without its low 6 bits          | flags | value |               u64 shape
 *             the low bits of the hash are those of the bucket's index, as there are 64 buckets or
 *             more
 *
 * Concurrency
 *   Lock-free: a failed CAS means that another operation took effect, or that a resize moved on.
 *   insert   CAS slot (reserve, not valid yet) · CAS state (valid: the linearization point);
 *            u64 shape, first attempt (lockfree_u64.h): CAS state (announce) · CAS slot (fill: the
 *            linearization point); later ones: CAS slot (claim) · CAS state (valid) · CAS slot
 *            (fill: the linearization point)
 *   update   CAS slot (linearization point)
 *   remove   CAS slot to GONE (linearization point) · bytes shape: CAS state (the slot is free)
 *   find     no store; the head is read before and after the slots
 *   overflow the same, the CAS of state being one of {state, link}; a block that is full is held,
 *            slot by slot, and copied into a larger one
 *   move     CAS state FROZEN · CAS each valid slot FROZEN · CAS target slots 0 → image · CAS
 *            target head
 *
 * Cost
 *   Of one operation with nothing on the move, 1.2 numbers or 2.4 entries a bucket, and keys in
 *   random order: instructions, locked instructions (there are no fences), lines that come from
 *   memory. tests/cost counts them. The lines: the bucket's; in the bytes shape the entry's, of 64
 *   bytes with its key and value, which may lie on two lines; the allocator's.
 *     u64    hit                65      0.0     0.9  guard, hash, one look at three pairs
 *     u64    miss               65      0.0     0.9  the same
 *     u64    update            123      1.0     0.9  CAS pair
 *     u64    fetch add         128      1.0     0.3  CAS pair
 *     u64    insert            292      1.9     1.1  CAS state (announce), CAS pair (fill)
 *     u64    insert there      190      2.0     0.3  the same two, on a line of the thread's own
 *     u64    remove            202      1.2     0.8  CAS pair
 *     bytes  hit               199      0.0     2.2  guard, hash, six tags, the key, a copy
 *     bytes  miss              145      0.0     0.9  guard, hash, six tags
 *     bytes  update            591      2.2     2.9  CAS word; retire: CAS bag; a kept block
 *     bytes  insert            750      2.0     2.3  a block, CAS word (reserve), CAS state (valid)
 *     bytes  remove            823      3.2     2.7  CAS word, CAS state (sweep); retire
 *
 * Rejected
 *   Reserving slots through the head (two CASes on one word and plain stores between): the same
 *   number of CASes, and two more states. A link arena with indices: its size caps the load, and a
 *   chain longer than it can hold has no place to go. A removal counter for growth: the length is
 *   known from stripes, and is read only when a bucket overflows.
 *
 * Credits
 *   DLHT (bounded cache-line buckets, headers with slot states), CLHT (snapshot words), growt
 *   (marked migration), picos Htbl (idempotent helpers), junction (invertible hashes in place of
 *   keys), parlayhash (growth by bucket pressure).
 */
#include "engine/lockfree_bytes.h"
#include "engine/lockfree_layout.h"
#include "engine/lockfree_overflow.h"
#include "engine/lockfree_u64.h"

/* ---- find ------------------------------------------------------------------------------------ */

static void found(weft_position *position, uint64_t slot, uint64_t word, uint64_t value) {
    position->present = true;
    position->cell = value;
    position->words[AT_SLOT] = slot;
    position->words[AT_WORD] = word;
    position->words[AT_VALUE] = value;
}

/* Does this pair, in slot i, which is valid, hold the key or its place? Then the position has
 * it. */
static WEFT_ALWAYS_INLINE bool find_in_pair(const weft_pair *pair, uint64_t i, uint64_t wanted,
                                            weft_position *position) {
    uint64_t first = weft_load_acquire(&pair->first);  /* pairs with swing's CAS */
    uint64_t value = weft_load_acquire(&pair->second); /* pairs with it too */
    if ((first & ~PAIR_FLAGS_OF_MOMENT) != wanted ||
        claim_is_void(position->words[AT_STATE], i, first)) {
        return false;
    }
    found(position, i, first, value);
    position->present = (first & PAIR_CLAIMED) == 0;
    return true;
}

/* Looks through the pairs that the state calls valid. */
static inline void find_in_pairs(bucket *at, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(position->words[AT_BUCKET] == (uintptr_t)at && !position->present);
    uint64_t wanted = wanted_pair(key->hash);
    uint64_t state = position->words[AT_STATE];
    uint64_t keys[PAIRS];
    load_keys(at, keys);
    WEFT_ASSERT((state & LIVE) == 0 || clean_pairs_are_valid(at, state, keys, wanted));
    for (uint64_t match = match_keys(keys, wanted) & valid_slots(state); match != 0;
         match &= match - 1) {
        unsigned i = (unsigned)__builtin_ctzll(match);
        if (find_in_pair(&at->pairs[i], i, wanted, position)) {
            return;
        }
    }
}

/* Does the word of slot i, which is valid, lead to the key's entry? Then the position has it. One
 * that is frozen must be of the key's half: the other half may have moved on, and its entries may
 * be freed. Nor may the bucket have changed before its entry is looked at: the slot may be
 * reserved for one that never comes into the map, and is freed at once. */
static WEFT_ALWAYS_INLINE bool find_in_word(const uint64_t *at, uint64_t i, const weft_key *key,
                                            weft_position *position) {
    uint64_t word = weft_load_acquire(at); /* pairs with swing's CAS: the entry */
#if WEFT_MUTANT == 18 /* looks at entries that may have moved on in the other half */
    bool elsewhere = false;
#else
    bool elsewhere = (word & WORD_FROZEN) != 0 && (word & WORD_UPPER) != position->words[AT_HALF];
#endif
    if (((word ^ key->hash) & WORD_TAG) != 0 || (word & WORD_GONE) != 0 || elsewhere) {
        return false;
    }
#if WEFT_MUTANT != 20 /* looks at entries that were never in the map */
    const bucket *in = (const bucket *)(uintptr_t)position->words[AT_BUCKET];
    if (WEFT_UNLIKELY(weft_load_acquire(&in->head.first) != position->words[AT_STATE])) {
        return false; /* pairs with the CAS of head */
    }
#endif
    if (!weft_entry_has_key(word_entry(word), key->bytes)) {
        return false;
    }
    found(position, i, word, (uintptr_t)word_entry(word));
    return true;
}

/* Looks through the words that the state calls valid and whose tag is the key's. */
static inline void find_in_words(bucket *at, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(position->words[AT_BUCKET] == (uintptr_t)at && !position->present);
    uint64_t match = match_words(at, key->hash) & valid_slots(position->words[AT_STATE]);
    for (; match != 0; match &= match - 1) {
        unsigned i = (unsigned)__builtin_ctzll(match);
        if (find_in_word(&at->words[i], i, key, position)) {
            return;
        }
    }
}

static bucket_view view_of(const weft_position *position) {
    return (bucket_view){(bucket *)(uintptr_t)position->words[AT_BUCKET],
                         {position->words[AT_STATE], position->words[AT_LINK]}};
}

/* Looks through the slots beyond the line; there may be thousands of them. A word is looked at
 * twice only if it is the key's, or almost. */
static void find_word_in_overflow(const weft_key *key, weft_position *position) {
    uint64_t link = position->words[AT_LINK];
    const overflow *block = overflow_of(link);
    uint64_t always = always_valid(block);
    const uint64_t *words = (const uint64_t *)block->pairs;
    WEFT_ASSERT(words != NULL);
    for (uint64_t i = 0; i < block->capacity; i++) {
        uint64_t word = weft_load_acquire(&words[i]); /* pairs with swing's CAS: the entry */
        if (WEFT_LIKELY(((word ^ key->hash) & WORD_TAG) != 0)) {
            continue;
        }
        if (i < always) {
            /* It was never reserved only, so its entry was in the map. */
            if ((word & WORD_FLAGS) == 0 && !weft_entry_has_key(word_entry(word), key->bytes)) {
                continue;
            }
        } else if ((link >> (LINK_VALID_SHIFT + i - always) & 1) == 0) {
            continue;
        }
        if (find_in_word(&words[i], WORDS + i, key, position)) {
            return;
        }
    }
}

/* The same for pairs. */
static void find_pair_in_overflow(const weft_core *core, const weft_key *key,
                                  weft_position *position) {
    const bucket_view in = view_of(position);
    const overflow *block = overflow_of(in.head.second);
    uint64_t wanted = wanted_pair(key->hash);
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 && block != NULL);
    for (uint64_t i = 0; i < block->capacity; i++) {
        uint64_t first = weft_load_relaxed(&block->pairs[i].first) & ~PAIR_FLAGS_OF_MOMENT;
        if (WEFT_UNLIKELY(first == wanted) && any_is_valid(core, in.head, PAIRS + i) &&
            find_in_pair(&block->pairs[i], PAIRS + i, wanted, position)) {
            return;
        }
    }
}

/* One consistent look at a bucket. False if it changed meanwhile, in a way that matters. The shape
 * is core's, known to the compiler. */
static WEFT_ALWAYS_INLINE bool look(weft_core *core, const weft_key *key, weft_position *position,
                                    weft_shape shape) {
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    WEFT_ASSERT(((uintptr_t)at & (sizeof *at - 1)) == 0);
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t link = weft_load_acquire(&at->head.second); /* likewise: the block */
    position->present = false;
    position->words[AT_STATE] = state;
    position->words[AT_LINK] = link;
    position->words[AT_SLOT] = SLOT_NONE;
    if (shape == WEFT_SHAPE_U64) {
        find_in_pairs(at, key, position);
    } else {
        find_in_words(at, key, position);
    }
    if (WEFT_UNLIKELY((state & filter_bit(key->hash)) != 0 && overflow_of(link) != NULL) &&
        position->words[AT_SLOT] == SLOT_NONE) {
        /* The block belongs to the state only if that has not changed. Pairs with the CAS of
         * head. */
        if (weft_load_acquire(&at->head.first) != state) {
            return false;
        }
        if (shape == WEFT_SHAPE_U64) {
            find_pair_in_overflow(core, key, position);
        } else {
            find_word_in_overflow(key, position);
        }
    }
#if WEFT_MUTANT == 5 /* believes a look at a bucket that changed meanwhile */
    return true;
#else
    /* The loads above are acquires, so this one comes after them. Pairs with the CAS of head. */
    return weft_load_acquire(&at->head.first) == state;
#endif
}

/* Where do the keys of a frozen bucket live? In the next generation, if its bucket there is live;
 * otherwise still in the frozen one. True if `gen` has moved on. */
static bool follow(generation **gen, uint64_t hash) {
    generation *next = weft_load_acquire(&(*gen)->next); /* pairs with begin_move */
    /* Acquire: the image. Pairs with the publishing CAS of fill_target. */
    if (weft_load_acquire(&bucket_at(next, hash)->head.first) == 0) {
        return false;
    }
    *gen = next;
    return true;
}

/* The mark that words of this hash have in a frozen bucket. */
static uint64_t half_of(const generation *gen, uint64_t hash) {
    const generation *next = weft_load_acquire(&gen->next); /* pairs with begin_move */
    return next->mask > gen->mask && (hash & (gen->mask + 1)) != 0 ? WORD_UPPER : 0;
}

static WEFT_ALWAYS_INLINE void find(weft_core *core, const weft_key *key, weft_position *position,
                                    weft_shape shape) {
    WEFT_ASSERT(table_of(core) != NULL);
    const face *door = door_of(core);
    generation *gen = generation_of(door);
    if (WEFT_UNLIKELY(gen == NULL)) {
        position->present = false;
        position->words[AT_BUCKET] = 0;
        return;
    }
    for (;;) {
        bucket *at = bucket_at(gen, key->hash);
        /* Before the look: entries that have moved on may be freed. Pairs with the freezing CAS. */
        bool frozen = is_frozen(weft_load_acquire(&at->head.first));
        if (WEFT_UNLIKELY(frozen) && follow(&gen, key->hash)) {
            continue;
        }
        /* Frozen or not: without its marks a slot can still change. */
        if (WEFT_UNLIKELY(face_of(door) != 0) &&
#if WEFT_MUTANT == 21 /* believes a frozen bucket that somebody may change late */
            !frozen &&
#endif
            weft_lockfree_look_behind_door(core, gen, key->hash)) {
            continue;
        }
        position->words[AT_BUCKET] = (uintptr_t)at;
        if (shape == WEFT_SHAPE_BYTES) {
            position->words[AT_HALF] = WEFT_UNLIKELY(frozen) ? half_of(gen, key->hash) : 0;
        }
        if (WEFT_UNLIKELY(!look(core, key, position, shape))) {
            continue;
        }
        if (WEFT_LIKELY(!is_frozen(position->words[AT_STATE]))) {
            return;
        }
        /* After the look: if the keys have still not moved, what it saw was the truth. */
        if (frozen && !follow(&gen, key->hash)) {
            return;
        }
    }
}

static WEFT_HOT void lockfree_find_bytes(weft_core *core, const weft_key *key,
                                         weft_position *position) {
    find(core, key, position, WEFT_SHAPE_BYTES);
}

static WEFT_HOT void lockfree_find_u64(weft_core *core, const weft_key *key,
                                       weft_position *position) {
    find(core, key, position, WEFT_SHAPE_U64);
}

static WEFT_ALWAYS_INLINE bool look_up(weft_core *core, const weft_key *key, uint64_t *out,
                                       weft_shape shape) {
    weft_position position;
    find(core, key, &position, shape);
    if (position.present) {
        *out = position.cell;
    }
    return position.present;
}

/* When the plain case has not told. */
static WEFT_HOT bool lockfree_look_bytes(weft_core *core, const weft_key *key, uint64_t *out) {
    return look_up(core, key, out, WEFT_SHAPE_BYTES);
}

static bool lockfree_look_u64(weft_core *core, const weft_key *key, uint64_t *out) {
    return look_up(core, key, out, WEFT_SHAPE_U64);
}

/* Looks at the first generation only; while keys move it may bring lines that nobody needs. */
static WEFT_HOT void lockfree_prefetch(weft_core *core, const weft_key *key, bool entry) {
    WEFT_ASSERT(weft_epoch_inside());
    generation *gen = root_of(core);
    if (WEFT_UNLIKELY(gen == NULL)) {
        return;
    }
    bucket *at = bucket_at(gen, key->hash);
    if (!entry) {
        __builtin_prefetch(at);
        return;
    }
    uint64_t state = weft_load_relaxed(&at->head.first);
    uint64_t match = 0;
    if (core->shape == WEFT_SHAPE_BYTES) {
        match = match_words(at, key->hash) & valid_slots(state);
    }
    if (WEFT_UNLIKELY((state & filter_bit(key->hash)) != 0) && match == 0) {
        overflow_prefetch(at);
    }
    for (; match != 0; match &= match - 1) {
        uint64_t word = weft_load_relaxed(&at->words[__builtin_ctzll(match)]);
        prefetch_two_lines((uintptr_t)word_entry(word));
    }
}

/* ---- swing ----------------------------------------------------------------------------------- */

/* What of a bucket is valid though its key is gone. */
typedef struct gone_set {
    uint64_t line;     /* slots of the line, as a set */
    uint64_t link;     /* bits of the link */
    uint64_t version;  /* no removal had a greater one */
    bool block_is_out; /* there is a block, and nothing else in it */
} gone_set;

/* The slots of the line of which the key is gone, whether they are valid or not; without a branch.
 * Those that are announced for another key are not among them. */
static WEFT_ALWAYS_INLINE uint64_t gone_in_line(bucket *at, uint64_t state, weft_shape shape) {
    uint64_t set = 0;
    if (shape == WEFT_SHAPE_U64) {
        uint64_t keys[PAIRS];
        load_keys(at, keys);
        for (unsigned i = 0; i < PAIRS; i++) {
            uint64_t differs = (keys[i] & PAIR_TOGGLE) ^ toggle_flag(state, i);
            set |= (uint64_t)((keys[i] & PAIR_GONE) > differs) << i;
        }
        return set;
    }
#pragma GCC unroll 6
    for (unsigned i = 0; i < WORDS; i++) {
        set |= (weft_load_relaxed(&at->words[i]) & WORD_GONE) / WORD_GONE << i;
    }
    return set;
}

/* Is the key of slot i, which is in the block and valid, gone? */
static inline bool is_gone_beyond(const weft_core *core, const bucket_view *in, uint64_t i,
                                  gone_set *sum) {
    WEFT_ASSERT(i >= slots_of(core->shape));
    if (core->shape == WEFT_SHAPE_U64) {
        return (weft_load_relaxed(&pair_at(in->at, in->head.second, i)->first) & PAIR_GONE) != 0;
    }
    uint64_t word = weft_load_relaxed(word_at(in->at, in->head.second, i));
    if (WEFT_UNLIKELY((word & WORD_GONE) != 0)) {
        sum->version = max_u64(sum->version, word >> 3);
    }
    return (word & WORD_GONE) != 0;
}

/* There may be thousands of slots. */
static void look_beyond(const weft_core *core, const bucket_view *in, bool all_versions,
                        gone_set *sum) {
    WEFT_ASSERT(overflow_of(in->head.second) != NULL);
    uint64_t first = last_slots(core, in->head.second);
    uint64_t end = all_slots(core, in->head.second);
    sum->block_is_out = true;
    for (uint64_t i = first; i < end; i++) {
        uint64_t bit = link_bit(core, in->head.second, i);
        bool valid = (in->head.second & bit) != 0;
        bool is_gone = valid && is_gone_beyond(core, in, i, sum);
        sum->link |= is_gone ? bit : 0;
        sum->block_is_out &= is_gone || !valid;
    }
    for (uint64_t i = slots_of(core->shape); i < first && (sum->block_is_out || all_versions);
         i++) {
        sum->block_is_out &= is_gone_beyond(core, in, i, sum);
    }
}

/* With `all_versions`, those of all removals that the bucket shows; else, of what the sets hold. */
static inline gone_set gone_slots(const weft_core *core, const bucket_view *in, bool all_versions) {
    WEFT_ASSERT(in->at != NULL);
    gone_set sum = {.line = gone_in_line(in->at, in->head.first, core->shape) &
                            valid_slots(in->head.first)};
    for (uint64_t set = core->shape == WEFT_SHAPE_BYTES ? sum.line : 0; set != 0; set &= set - 1) {
        uint64_t word = weft_load_relaxed(&in->at->words[__builtin_ctzll(set)]);
        sum.version = max_u64(sum.version, word >> 3);
    }
    if (WEFT_UNLIKELY(overflow_of(in->head.second) != NULL)) {
        look_beyond(core, in, all_versions, &sum);
    }
    return sum;
}

/* Free the slots of removed keys, and the overflow block once it has no others. Anyone may; whoever
 * removes does, and whoever needs a slot. */
static void sweep_slots(weft_core *core, bucket *at) {
    WEFT_ASSERT(weft_epoch_inside());
    for (;;) {
        const bucket_view in = {at, load_head(at)};
        uint64_t link = in.head.second;
        gone_set gone = gone_slots(core, &in, false);
        if (is_frozen(in.head.first) || (gone.line | gone.link | gone.block_is_out) == 0) {
            return;
        }
        uint64_t valid = valid_slots(in.head.first) & ~gone.line;
        weft_pair swept = {next_state(in.head.first, valid, gone.version), link & ~gone.link};
        if (gone.block_is_out) {
            swept = (weft_pair){swept.first & ~FILTER_MASK, 0};
        }
        /* Release: the removal. Pairs with the acquire of head in look. */
        uint64_t state = in.head.first;
        if (link == 0 ? weft_cas_acq_rel(&at->head.first, &state, swept.first)
                      : weft_cas_pair_seq_cst(&at->head, in.head, swept)) {
            if (gone.block_is_out) {
                overflow_relinked(core, link, NULL, 0);
            }
            return;
        }
    }
}

/* A key has been removed from the block. */
void weft_lockfree_removed_beyond(weft_core *core, bucket *at) {
    weft_core_count_overflow(core, -1, 0);
    sweep_slots(core, at);
}

/* ---- overflow blocks: docs/design/overflow.md ---- */

/* What the block's slots hold stays as it is from here on, until the bucket has another block. */
static void hold_block(const weft_core *core, const bucket_view *in) {
    WEFT_ASSERT(overflow_of(in->head.second) != NULL);
    uint64_t link = in->head.second;
    uint64_t end = all_slots(core, link);
    for (uint64_t i = slots_of(core->shape); i < end; i++) {
        if (!any_is_valid(core, in->head, i)) {
            continue;
        }
#if WEFT_MUTANT == 19 /* copies slots that others still change */
        continue;
#endif
        if (core->shape == WEFT_SHAPE_U64) {
            (void)freeze_pair(pair_at(in->at, link, i), in->head.first, i);
            continue;
        }
        uint64_t *at = word_at(in->at, link, i);
        uint64_t word = weft_load_acquire(at); /* pairs with the CAS of its writer */
        while ((word & (WORD_FIXED | WORD_GONE)) == 0 &&
               !weft_cas_acq_rel(at, &word, word | WORD_HELD)) {
            /* Acquire: the entry that took its place. Pairs with the CAS in slot_swing. */
        }
    }
}

/* How many slots a block gets that has to hold so many keys: always_valid of them at least. */
static uint64_t block_capacity(const weft_core *core, uint64_t keys) {
    uint64_t capacity = core->shape == WEFT_SHAPE_U64 ? 2 : 4;
    while (capacity < keys && capacity < LINK_SLOTS) {
        capacity *= 2;
    }
    return keys <= capacity ? capacity : keys + LINK_SLOTS - 1;
}

/* The keys of a block that is held. False: there are more, so the bucket has changed. */
static bool copy_block(const weft_core *core, const bucket_view *in, overflow_draft *draft) {
    WEFT_ASSERT(draft->used == 0);
    uint64_t end = all_slots(core, in->head.second);
    for (uint64_t i = slots_of(core->shape); i < end; i++) {
        cell what = {0, 0};
        if (!live_slot(core, in, i, &what)) {
            continue;
        }
        if (draft->used == draft->block->capacity) {
            return false;
        }
        overflow_add(core, draft, what);
    }
    return true;
}

/* Give the bucket a block, in place of the one that it has or has not: without the keys that are
 * gone, and with `added` (NULL: none), which is not in the bucket. The linearization point of its
 * insert.
 * WEFT_OK · WEFT_MISMATCH: the bucket has changed · WEFT_E_NOMEM */
static int replace_block(weft_core *core, const bucket_view *in, const cell *added) {
    WEFT_ASSERT(!is_frozen(in->head.first));
    uint64_t link = in->head.second;
    uint64_t keys = (uint64_t)overflow_live(core, in->at, in->head) + (added != NULL);
    overflow_draft draft = {.block = overflow_new(core, block_capacity(core, keys))};
    if (draft.block == NULL) {
        return WEFT_E_NOMEM;
    }
    bool whole = true;
    if (overflow_of(link) != NULL) {
        hold_block(core, in);
        whole = copy_block(core, in, &draft);
    }
    whole = whole && (added == NULL || draft.used < draft.block->capacity);
    if (whole && added != NULL) {
        overflow_add(core, &draft, *added);
    }
    gone_set gone = gone_slots(core, in, core->shape == WEFT_SHAPE_BYTES);
    uint64_t state = next_state(in->head.first, valid_slots(in->head.first), gone.version);
    weft_pair next = {(state & ~FILTER_MASK) | draft.filter, overflow_link(core, &draft)};
    if (!whole || !weft_cas_pair_seq_cst(&in->at->head, in->head, next)) {
        overflow_drop(core, draft.block);
        return WEFT_MISMATCH;
    }
    overflow_relinked(core, link, draft.block, added != NULL);
    return WEFT_OK;
}

/* ---- changing slots ---- */

/* Is what a slot holds there to stay, as the bucket moves or has its block replaced? */
static bool is_fixed(const weft_core *core, uint64_t word) {
    return (word & (core->shape == WEFT_SHAPE_U64 ? PAIR_FROZEN : WORD_FIXED)) != 0;
}

/* The slot's content cannot change: in the block until that is replaced, in the line until the
 * bucket has moved. */
static int get_past(weft_core *core, const weft_position *position) {
    const bucket_view in = view_of(position);
    WEFT_ASSERT(is_fixed(core, position->words[AT_WORD]));
    if (position->words[AT_SLOT] < slots_of(core->shape)) {
        return WEFT_MISMATCH;
    }
    int status = replace_block(core, &in, NULL);
    return status == WEFT_OK ? WEFT_MISMATCH : status;
}

/* Change or remove a key. */
static int slot_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                      uint64_t desired) {
    WEFT_ASSERT(position->present && position->words[AT_SLOT] != SLOT_NONE);
    const bucket_view in = view_of(position);
    uint64_t i = position->words[AT_SLOT];
    uint64_t word = position->words[AT_WORD];
    uint64_t version =
        weft_core_stamp(core, position, weft_core_seen_version(core, position), keep ? desired : 0);
    bool done;
    if (is_fixed(core, word)) {
        return get_past(core, position);
    }
    if (core->shape == WEFT_SHAPE_U64) {
        weft_pair was = {word, position->words[AT_VALUE]};
        weft_pair becomes = keep ? (weft_pair){word, desired}
                                 : (weft_pair){weft_epoch_stamp() << 6 | PAIR_USED | PAIR_GONE |
                                                   toggle_flag(in.head.first, i),
                                               position->words[AT_VALUE]};
        done = weft_cas_pair_seq_cst(pair_at(in.at, in.head.second, i), was, becomes);
    } else {
        uint64_t becomes = keep ? word_of(desired, key->hash) : version << 3 | WORD_GONE;
        uint64_t *at = word_at(in.at, in.head.second, i);
#if WEFT_MUTANT == 1 /* loses updates */
        weft_store_release(at, becomes);
        done = true;
#else
        /* Release: the entry's bytes. Pairs with the acquire of the word in find_in_word.
         * Sequentially consistent: comes before the epoch that the old entry is retired with. */
        done = weft_cas_seq_cst(at, &word, becomes);
#endif
    }
    bool beyond = i >= slots_of(core->shape);
    if (done && !keep && beyond) {
        weft_lockfree_removed_beyond(core, in.at);
    } else if (done && !keep && core->shape == WEFT_SHAPE_BYTES) {
        sweep_slots(core, in.at); /* a pair in the line is filled again as it is */
    }
    return done ? WEFT_OK : WEFT_MISMATCH;
}

/* Does slot i, which is not valid, hold nothing, or what was removed? */
static inline bool slot_is_free(const weft_core *core, const bucket_view *in, uint64_t i,
                                weft_pair *content) {
    WEFT_ASSERT(!any_is_valid(core, in->head, i));
    uint64_t link = in->head.second;
    if (core->shape == WEFT_SHAPE_BYTES) {
        /* pairs with its writer; head is read after it */
        content->first = weft_load_acquire(word_at(in->at, link, i));
        return content->first == 0 || (content->first & WORD_GONE) != 0;
    }
    const weft_pair *pair = pair_at(in->at, link, i);
    content->first = weft_load_acquire(&pair->first);   /* pairs with its writer */
    content->second = weft_load_acquire(&pair->second); /* pairs with it too */
    return pair_is_empty(content->first);
}

/* A slot that may be filled; SLOT_NONE if there is none. */
static uint64_t free_slot(const weft_core *core, const bucket_view *in, weft_pair *content) {
    WEFT_ASSERT(!is_frozen(in->head.first));
    uint64_t line = ~valid_slots(in->head.first) & line_slots(core);
    for (; line != 0; line &= line - 1) {
        uint64_t i = (uint64_t)__builtin_ctzll(line);
        if (slot_is_free(core, in, i, content)) {
            return i;
        }
    }
    uint64_t end = all_slots(core, in->head.second);
    for (uint64_t i = last_slots(core, in->head.second); i < end; i++) {
        if (!any_is_valid(core, in->head, i) && slot_is_free(core, in, i, content)) {
            return i;
        }
    }
    return SLOT_NONE;
}

/* The insert was not published. Bytes shape: a reserved slot is this thread's alone, as it is not
 * valid, and a store gives it back. u64 shape: an announcement may have made it valid, and a move
 * may have frozen it. The stamp stays in the other half, so the pair is as it never was before. */
static void give_slot_back(weft_core *core, const bucket_view *in, uint64_t i, weft_pair claim) {
    if (core->shape == WEFT_SHAPE_U64) {
        uint64_t state = weft_load_acquire(&in->at->head.first); /* pairs with the CAS of head */
        weft_pair empty = {PAIR_USED | PAIR_GONE | toggle_flag(state, i), claim.second};
        weft_cas_pair_seq_cst(pair_at(in->at, in->head.second, i), claim, empty);
    } else {
        /* pairs with free_slot */
        weft_store_release(word_at(in->at, in->head.second, i), WORD_GONE);
    }
}

/* An insert went beyond the line. */
static void count_beyond(weft_core *core, const bucket_view *in) {
    uint64_t link = in->head.second;
    const overflow *block = overflow_of(link);
    uint64_t valid = block == NULL ? 0 : always_valid(block);
    valid += (uint64_t)__builtin_popcountll(link >> LINK_VALID_SHIFT) + slots_of(core->shape);
    weft_lockfree_consider_growth(core, (uint32_t)valid + 1);
}

/* A claimed pair has the key's place in the bucket, but no value: the key is absent. Whoever fills
 * it has inserted the key: the linearization point of an insert in the u64 shape. */
static int fill_claim(weft_core *core, weft_position *position, uint64_t desired) {
    const bucket_view in = view_of(position);
    uint64_t i = position->words[AT_SLOT];
    WEFT_ASSERT(!position->present && i != SLOT_NONE);
    weft_pair claim = {position->words[AT_WORD], position->words[AT_VALUE]};
    WEFT_ASSERT((claim.first & PAIR_CLAIMED) != 0);
    if (is_fixed(core, claim.first)) {
        return get_past(core, position);
    }
    weft_pair filled = {claim.first & ~(PAIR_CLAIMED | PAIR_TOGGLE), desired};
    if (!weft_cas_pair_seq_cst(pair_at(in.at, in.head.second, i), claim, filled)) {
        return WEFT_MISMATCH;
    }
    if (i >= PAIRS) {
        weft_core_count_overflow(core, 1, 0);
        count_beyond(core, &in);
    }
    return WEFT_OK;
}

/* No insert that was announced by this state can fill its slot any more. False: one did meanwhile,
 * and with this key, or something else changed. */
static bool stop_pending(bucket *at, uint64_t state, uint64_t hash) {
    uint64_t keys[PAIRS];
    load_keys(at, keys);
    uint64_t mask = ~(PAIR_FROZEN | PAIR_TOGGLE);
    for (unsigned i = 0; i < PAIRS; i++) {
        if ((keys[i] & mask) == wanted_pair(hash) && slot_is_valid(state, i)) {
            return false;
        }
#if WEFT_MUTANT == 6 /* lets announced inserts go on */
        continue;
#endif
        if (!pair_is_pending(state, i, keys[i])) {
            continue;
        }
        weft_pair was = {keys[i],
                         weft_load_acquire(&at->pairs[i].second)}; /* pairs with its writer */
        uint64_t gone = weft_epoch_stamp() << 6 | PAIR_USED | PAIR_GONE;
        weft_pair becomes = {gone | toggle_flag(state, i), was.second};
        if (!weft_cas_pair_seq_cst(&at->pairs[i], was, becomes)) {
            return false;
        }
    }
    return true;
}

/* Fill the slot that free_slot found, so that it counts for nothing yet. False: it does not hold
 * that any more. u64 shape: the position has the claim. */
static bool reserve_slot(weft_core *core, const weft_key *key, weft_position *position,
                         uint64_t desired) {
    const bucket_view in = view_of(position);
    weft_pair content = {position->words[AT_WORD], position->words[AT_VALUE]};
    uint64_t i = position->words[AT_SLOT];
    WEFT_ASSERT(!any_is_valid(core, in.head, i));
    if (core->shape == WEFT_SHAPE_U64) {
        weft_pair claim = {wanted_pair(key->hash) | claim_flags(in.head.first, i),
                           weft_epoch_stamp()};
        position->words[AT_WORD] = claim.first;
        position->words[AT_VALUE] = claim.second;
        return weft_cas_pair_seq_cst(pair_at(in.at, in.head.second, i), content, claim);
    }
    /* Release: the entry's bytes. Pairs with the acquire of the word in find_in_word. */
    return weft_cas_acq_rel(word_at(in.at, in.head.second, i), &content.first,
                            word_of(desired, key->hash));
}

/* The slot counts: bytes shape, the linearization point of an insert. */
static bool publish_slot(weft_core *core, const weft_key *key, const bucket_view *in, uint64_t i) {
    WEFT_ASSERT(!is_frozen(in->head.first) && !any_is_valid(core, in->head, i));
    uint64_t state = in->head.first;
    if (i < slots_of(core->shape)) {
        uint64_t valid = valid_slots(state) | (uint64_t)1 << i;
        /* Release: the slot. Pairs with the acquire in look. */
        return weft_cas_acq_rel(&in->at->head.first, &state, next_state(state, valid, 0));
    }
    uint64_t link = in->head.second;
    weft_pair becomes = {next_state(state, valid_slots(state), 0) | filter_bit(key->hash),
                         link | link_bit(core, link, i)};
    return weft_cas_pair_seq_cst(&in->at->head, in->head, becomes);
}

/* Insert a key for which there is no slot: with another block. */
static int insert_with_block(weft_core *core, const weft_key *key, const bucket_view *in,
                             uint64_t desired) {
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    cell added = {key->hash, bytes ? word_of(desired, key->hash) : desired};
    int status = replace_block(core, in, &added);
    if (status == WEFT_OK) {
        count_beyond(core, in);
    }
    return status;
}

/* Insert a key that is absent, as all slots of the line hold others and there is no block. False:
 * no memory, or the bucket is not as it was when it had this state. */
bool weft_lockfree_insert_first_beyond(weft_core *core, bucket *at, uint64_t state, cell added) {
    WEFT_ASSERT(weft_epoch_inside() && core->shape == WEFT_SHAPE_U64);
    const bucket_view in = {at, {state, 0}};
    /* relaxed: a guess, which the CAS of head confirms */
    if (is_frozen(state) || weft_load_relaxed(&at->head.second) != 0 ||
        replace_block(core, &in, &added) != WEFT_OK) {
        return false;
    }
    count_beyond(core, &in);
    return true;
}

/* Insert a key that the find did not see; valid only while the head is what it saw. */
static int swing_absent(weft_core *core, const weft_key *key, weft_position *position,
                        uint64_t desired) {
    WEFT_ASSERT(!position->present && !is_frozen(position->words[AT_STATE]));
    const bucket_view in = view_of(position);
    uint64_t i = position->words[AT_SLOT];
    if (i != SLOT_NONE) { /* claimed by an insert that has not finished */
        return fill_claim(core, position, desired);
    }
    if (core->shape == WEFT_SHAPE_U64 && !stop_pending(in.at, in.head.first, key->hash)) {
        return WEFT_MISMATCH;
    }
    gone_set gone = gone_slots(core, &in, core->shape == WEFT_SHAPE_BYTES);
    weft_core_stamp(core, position, max_u64(version_of(in.head.first), gone.version), desired);
    weft_pair content = {0, 0};
    i = free_slot(core, &in, &content);
    if ((i >= slots_of(core->shape) && gone.line != 0) || (i == SLOT_NONE && gone.link != 0)) {
        sweep_slots(core, in.at);
        return WEFT_MISMATCH;
    }
    if (i == SLOT_NONE) {
        return insert_with_block(core, key, &in, desired);
    }
    /* The slot was still not valid when it was looked at. Else its key may have been inserted and
     * removed since the find: a slot that holds GONE and is valid, until somebody sweeps it.
     * Filling that one would show the new key before its time. Pairs with the CAS of head. */
#if WEFT_MUTANT != 3 /* fills slots that are still valid */
    if (weft_load_acquire(&in.at->head.first) != in.head.first) {
        return WEFT_MISMATCH;
    }
#endif
    position->words[AT_SLOT] = i;
    position->words[AT_WORD] = content.first;
    position->words[AT_VALUE] = content.second;
    if (!reserve_slot(core, key, position, desired)) {
        return WEFT_MISMATCH;
    }
    if (!publish_slot(core, key, &in, i)) {
        weft_pair claim = {position->words[AT_WORD], position->words[AT_VALUE]};
        give_slot_back(core, &in, i, claim);
        return WEFT_MISMATCH;
    }
    if (core->shape == WEFT_SHAPE_U64) {
        return fill_claim(core, position, desired);
    }
    if (i >= WORDS) {
        weft_core_count_overflow(core, 1, 0);
        count_beyond(core, &in);
    }
    return WEFT_OK;
}

/* Nobody writes into a bucket of a snapshot's image: its keys move first. */
static bool in_image(weft_core *core, const bucket *at) {
    WEFT_ASSERT(at != NULL);
#if WEFT_MUTANT == 12 /* writes into buckets of an image */
    return false;
#endif
    const generation *root = root_of(core);
    return at >= root->buckets && at <= &root->buckets[root->mask] &&
           weft_lockfree_becomes_image(root);
}

/* The bucket that find saw cannot be written as it stands: make it, or its successor, writable. */
static int prepare(weft_core *core, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(weft_epoch_inside());
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    if (at == NULL) {
        return weft_lockfree_first_generation(core) == NULL ? WEFT_E_NOMEM : WEFT_MISMATCH;
    }
    generation *from = root_of(core);
    while (bucket_at(from, key->hash) != at) {
        from = weft_load_acquire(&from->next); /* pairs with begin_move */
        if (from == NULL) {
            return WEFT_MISMATCH; /* the root moved past that bucket */
        }
    }
    if (!is_frozen(position->words[AT_STATE])) {
        weft_lockfree_move_to_image(core, from, key->hash);
        return WEFT_MISMATCH;
    }
    return weft_lockfree_move_bucket(core, from, key->hash) ? WEFT_MISMATCH : WEFT_E_NOMEM;
}

static WEFT_HOT int lockfree_swing(weft_core *core, const weft_key *key, weft_position *position,
                                   bool keep, uint64_t desired) {
    WEFT_ASSERT(weft_epoch_inside());
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    if (!keep && !position->present) {
        return WEFT_OK;
    }
    if (WEFT_UNLIKELY(at == NULL || is_frozen(position->words[AT_STATE]) || in_image(core, at))) {
        return prepare(core, key, position);
    }
    int status = position->present ? slot_swing(core, key, position, keep, desired)
                                   : swing_absent(core, key, position, desired);
    lockfree_help_move(core);
    if (status == WEFT_OK && !keep) {
        lockfree_removed(core);
    }
    return status;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int lockfree_open(weft_core *core) {
    lockfree_table *made = weft_core_alloc(core, sizeof *made, WEFT_CACHE_LINE);
    if (made == NULL) {
        return WEFT_E_NOMEM;
    }
    memset(made, 0, sizeof *made);
    core->table = made;
    made->floor =
        core->expected_entries == 0 ? 0 : weft_lockfree_buckets_for(core, core->expected_entries);
    weft_lockfree_doors_make(core, made);
    return WEFT_OK;
}

const weft_engine weft_engine_lockfree = {
    .name = "lockfree",
    .id = WEFT_ENGINE_LOCKFREE,
    .caps =
        WEFT_CAP_LOCK_FREE | WEFT_CAP_SHRINK | WEFT_CAP_RESIZE | WEFT_CAP_THREADS | WEFT_CAP_GROW,
    .choose = "many threads, any mix of reads and writes, any size, tail latency that matters",
    .do_not_choose = "one thread only, or a few hundred entries that hardly change",
    .open = lockfree_open,
    .close = weft_lockfree_close,
    .find = {lockfree_find_bytes, lockfree_find_u64},
    .look = {lockfree_look_bytes, lockfree_look_u64},
    .swing = lockfree_swing,
    .prefetch = lockfree_prefetch,
    .walk = weft_lockfree_walk,
    .reserve = weft_lockfree_reserve,
    .shrink = weft_lockfree_shrink,
    .maintain = weft_lockfree_maintain,
    .stats = weft_lockfree_stats,
    .check = weft_lockfree_check,
    .dump = weft_lockfree_dump,
    .snapshot = weft_lockfree_snapshot,
    .image_look = weft_lockfree_image_look,
    .image_next = weft_lockfree_image_next,
    .image_holds = weft_lockfree_image_holds,
    .image_release = weft_lockfree_image_release,
};
