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
 *             | dying  | overflow block            |      dying = index + 1 of a cell being removed
 *   word      | 16 bits of hash | address of entry | 000, frozen 001 or 101 (UPPER) |  bytes shape
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
 *   overflow every change is one CAS of {state, link}; blocks are immutable but for a dead mark
 *   move     CAS state FROZEN · CAS each valid slot FROZEN · CAS target slots 0 → image · CAS
 *            target head
 *
 * Cost
 *   Of one operation with nothing on the move, 1.2 numbers or 2.4 entries a bucket, and keys in
 *   random order: instructions, locked instructions (there are no fences), lines that come from
 *   memory. tests/cost counts them. The lines: the bucket's; in the bytes shape the entry's, of 64
 *   bytes with its key and value, which may lie on two lines; the allocator's.
 *     u64    hit                81      0.0     0.9  guard, hash, one look at three pairs
 *     u64    miss               77      0.0     0.9  the same
 *     u64    update            170      1.0     0.9  CAS pair
 *     u64    fetch add         211      1.0     0.4  CAS pair
 *     u64    insert            352      1.9     1.2  CAS state (announce), CAS pair (fill)
 *     u64    insert there      250      2.0     0.4  the same two, on a line of the thread's own
 *     u64    remove            257      1.4     0.9  CAS pair
 *     bytes  hit               217      0.0     2.2  guard, hash, six tags, the key, a copy
 *     bytes  miss              158      0.0     0.9  guard, hash, six tags
 *     bytes  update           1167      2.1     3.2  malloc, CAS word; retire: CAS bag; free
 *     bytes  insert           1043      2.0     2.2  malloc, CAS word (reserve), CAS state (valid)
 *     bytes  remove           1070      3.2     2.7  CAS word, CAS state (sweep); retire; free
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

/* ---- overflow blocks ------------------------------------------------------------------------- */

/* Finish the removal that the link announces: mark the cell dead, then take the announcement
 * back. */
static void overflow_bury(weft_core *core, bucket *at, uint64_t state, uint64_t link) {
    WEFT_ASSERT(link >> LINK_DYING_SHIFT != 0 && overflow_of(link) != NULL);
    overflow *block = overflow_of(link);
    uint32_t i = (uint32_t)(link >> LINK_DYING_SHIFT) - 1;
    /* Release: whoever sees the announcement gone sees the mark. Pairs with the CAS below. */
    weft_fetch_or_acq_rel(&block->dead[i / 64], (uint64_t)1 << (i % 64));
    bool empty = true;
    for (uint32_t k = 0; k < block->count && empty; k++) {
        empty = overflow_is_dead(block, link, k);
    }
    weft_pair was = {state, link};
    weft_pair becomes = {state + ((uint64_t)1 << VERSION_SHIFT), link & LINK_ADDRESS};
    if (empty) {
        becomes = (weft_pair){becomes.first & ~FILTER_MASK, 0};
    }
    if (weft_cas_pair_seq_cst(&at->head, was, becomes) && empty) {
        overflow_relinked(core, link, NULL, 0);
    }
}

/* ---- find ------------------------------------------------------------------------------------ */

static void found(weft_position *position, unsigned slot, uint64_t word, uint64_t value) {
    position->present = true;
    position->cell = value;
    position->words[AT_SLOT] = slot;
    position->words[AT_WORD] = word;
    position->words[AT_VALUE] = value;
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
        uint64_t first = weft_load_acquire(&at->pairs[i].first);  /* pairs with swing's CAS */
        uint64_t value = weft_load_acquire(&at->pairs[i].second); /* pairs with it too */
        if ((first & ~PAIR_FLAGS_OF_MOMENT) == wanted && !claim_is_void(state, i, first)) {
            found(position, i, first, value);
            position->present = (first & PAIR_CLAIMED) == 0;
            return;
        }
    }
}

/* Looks through the words that the state calls valid and whose tag is the key's. One that is frozen
 * must be of the key's half: the other half may have moved on, and its entries may be freed. */
static inline void find_in_words(bucket *at, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(position->words[AT_BUCKET] == (uintptr_t)at && !position->present);
    uint64_t match = match_words(at, key->hash) & valid_slots(position->words[AT_STATE]);
    for (; match != 0; match &= match - 1) {
        unsigned i = (unsigned)__builtin_ctzll(match);
        uint64_t word = weft_load_acquire(&at->words[i]); /* pairs with swing's CAS: the entry */
        bool elsewhere =
            (word & WORD_FROZEN) != 0 && (word & WORD_UPPER) != position->words[AT_HALF];
        if (((word ^ key->hash) & WORD_TAG) == 0 && (word & WORD_GONE) == 0 && !elsewhere &&
            weft_entry_has_key(word_entry(word), key->bytes)) {
            found(position, i, word, (uintptr_t)word_entry(word));
            return;
        }
    }
}

static void find_in_overflow(weft_core *core, uint64_t link, const weft_key *key,
                             weft_position *position) {
    WEFT_ASSERT(overflow_of(link) != NULL);
    uint32_t i = overflow_find(core, link, key);
    const overflow *block = overflow_of(link);
    if (block != NULL && i < block->count) {
        uint64_t value = block->cells[i].value;
        found(position, SLOT_OVERFLOW, i,
              core->shape == WEFT_SHAPE_U64 ? value : (uintptr_t)word_entry(value));
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
    if (WEFT_UNLIKELY((state & filter_bit(key->hash)) != 0 && link != 0) && !position->present) {
        /* The block belongs to the state only if that has not changed. Pairs with the CAS of
         * head. */
        if (weft_load_acquire(&at->head.first) != state) {
            return false;
        }
        find_in_overflow(core, link, key, position);
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
        if (WEFT_UNLIKELY(face_of(door) != 0) && !frozen &&
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
        const char *first =
            (const char *)word_entry(weft_load_relaxed(&at->words[__builtin_ctzll(match)]));
        __builtin_prefetch(first);
        __builtin_prefetch(first + WEFT_CACHE_LINE);
    }
}

/* ---- swing ----------------------------------------------------------------------------------- */

/* Slots that are valid in `state` but whose keys are gone; *version rises to that of the
 * removals. */
static uint64_t gone_slots(const weft_core *core, bucket *at, uint64_t state, uint64_t *version) {
    WEFT_ASSERT(version != NULL);
    uint64_t gone = 0;
    for (unsigned i = 0; i < slots_of(core->shape); i++) {
        if (!slot_is_valid(state, i)) {
            continue;
        }
        if (core->shape == WEFT_SHAPE_U64) {
            uint64_t first = weft_load_relaxed(&at->pairs[i].first);
            bool free = (first & PAIR_GONE) != 0 && !pair_is_pending(state, i, first);
            gone |= (uint64_t)free << i;
            continue;
        }
        uint64_t word = weft_load_relaxed(&at->words[i]);
        if ((word & WORD_GONE) != 0) {
            gone |= (uint64_t)1 << i;
            *version = max_u64(*version, word >> 3);
        }
    }
    return gone;
}

/* Free the slots of removed keys. Anyone may; whoever removes does, and whoever needs a slot. */
static void sweep_slots(weft_core *core, bucket *at) {
    WEFT_ASSERT(weft_epoch_inside());
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    while (!is_frozen(state)) {
        uint64_t version = 0;
        uint64_t gone = gone_slots(core, at, state, &version);
        /* Release: the removal. Pairs with the acquire of head in look. */
        if (gone == 0 || weft_cas_acq_rel(&at->head.first, &state,
                                          next_state(state, valid_slots(state) & ~gone, version))) {
            return;
        }
    }
}

/* The version that a write of this key gets: greater than all that the key had. */
static uint64_t stamp(weft_core *core, weft_position *position, uint64_t floor, uint64_t desired) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES || position->at_least == 0);
    if (core->shape == WEFT_SHAPE_U64) {
        return 0;
    }
    uint64_t version = max_u64(floor, position->at_least) + 1;
    position->version = version;
    if (desired != 0) {
        weft_store_relaxed(&((weft_entry *)(uintptr_t)desired)->version, version);
    }
    return version;
}

static uint64_t old_version(const weft_core *core, const weft_position *position) {
    if (core->shape == WEFT_SHAPE_U64) {
        return 0;
    }
    return weft_load_relaxed(&((const weft_entry *)(uintptr_t)position->cell)->version);
}

/* Change or remove a key that is in a slot. */
static int slot_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                      uint64_t desired) {
    WEFT_ASSERT(position->present && position->words[AT_SLOT] < slots_of(core->shape));
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    unsigned i = (unsigned)position->words[AT_SLOT];
    uint64_t word = position->words[AT_WORD];
    uint64_t version = stamp(core, position, old_version(core, position), keep ? desired : 0);
    bool done;
    if (core->shape == WEFT_SHAPE_U64) {
        weft_pair was = {word, position->words[AT_VALUE]};
        weft_pair becomes = keep ? (weft_pair){word, desired}
                                 : (weft_pair){weft_epoch_stamp() << 6 | PAIR_USED | PAIR_GONE |
                                                   toggle_flag(position->words[AT_STATE], i),
                                               position->words[AT_VALUE]};
        done = (word & PAIR_FROZEN) == 0 && weft_cas_pair_seq_cst(&at->pairs[i], was, becomes);
    } else {
        uint64_t becomes = keep ? word_of(desired, key->hash) : version << 3 | WORD_GONE;
#if WEFT_MUTANT == 1 /* loses updates */
        weft_store_release(&at->words[i], becomes);
        done = true;
#else
        /* Release: the entry's bytes. Pairs with the acquire of the word in find_in_words.
         * Sequentially consistent: comes before the epoch that the old entry is retired with. */
        done = (word & WORD_FROZEN) == 0 && weft_cas_seq_cst(&at->words[i], &word, becomes);
#endif
    }
    if (done && !keep) {
        sweep_slots(core, at);
    }
    return done ? WEFT_OK : WEFT_MISMATCH;
}

/* A slot that is not valid, and holds nothing or what was removed; SLOT_NONE if there is none. */
static unsigned free_slot(const weft_core *core, bucket *at, uint64_t state, weft_pair *content) {
    WEFT_ASSERT(!is_frozen(state));
    for (unsigned i = 0; i < slots_of(core->shape); i++) {
        if (slot_is_valid(state, i)) {
            continue;
        }
        if (core->shape == WEFT_SHAPE_BYTES) {
            content->first =
                weft_load_acquire(&at->words[i]); /* pairs with its writer; head is read after it */
            if (content->first == 0 || (content->first & WORD_GONE) != 0) {
                return i;
            }
            continue;
        }
        content->first = weft_load_acquire(&at->pairs[i].first);   /* pairs with its writer */
        content->second = weft_load_acquire(&at->pairs[i].second); /* pairs with it too */
        if (pair_is_empty(content->first)) {
            return i;
        }
    }
    return SLOT_NONE;
}

/* The insert was not published. Bytes shape: a reserved slot is this thread's alone, as it is not
 * valid, and a store gives it back. u64 shape: an announcement may have made it valid, and a move
 * may have frozen it. The stamp stays in the other half, so the pair is as it never was before. */
static void give_slot_back(weft_core *core, bucket *at, unsigned i, weft_pair claim) {
    if (core->shape == WEFT_SHAPE_U64) {
        uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
        weft_pair empty = {PAIR_USED | PAIR_GONE | toggle_flag(state, i), claim.second};
        weft_cas_pair_seq_cst(&at->pairs[i], claim, empty);
    } else {
        weft_store_release(&at->words[i], WORD_GONE); /* pairs with free_slot */
    }
}

/* Insert into the overflow block: a copy with one cell more. */
static int insert_overflow(weft_core *core, const weft_key *key, weft_position *position,
                           uint64_t desired) {
    WEFT_ASSERT(!position->present);
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    weft_pair head = {position->words[AT_STATE], position->words[AT_LINK]};
    overflow *block = overflow_copy(core, head.second, UINT32_MAX, 1);
    if (block == NULL) {
        return WEFT_E_NOMEM;
    }
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    overflow_add(block, (cell){key->hash, bytes ? word_of(desired, key->hash) : desired});
    weft_pair becomes = {next_state(head.first, valid_slots(head.first), 0), (uintptr_t)block};
    becomes.first = (becomes.first & ~FILTER_MASK) | overflow_filter(block);
    uint32_t cells = block->count + slots_of(core->shape);
    if (!weft_cas_pair_seq_cst(&at->head, head, becomes)) {
        overflow_drop(core, block);
        return WEFT_MISMATCH;
    }
    overflow_relinked(core, head.second, block, 1);
    weft_lockfree_consider_growth(core, cells);
    return WEFT_OK;
}

/* A claimed pair has the key's place in the bucket, but no value: the key is absent. Whoever fills
 * it has inserted the key: the linearization point of an insert in the u64 shape. */
static int fill_claim(bucket *at, unsigned i, weft_pair claim, uint64_t desired) {
    WEFT_ASSERT((claim.first & PAIR_CLAIMED) != 0);
    weft_pair filled = {claim.first & ~(PAIR_CLAIMED | PAIR_TOGGLE), desired};
    return weft_cas_pair_seq_cst(&at->pairs[i], claim, filled) ? WEFT_OK : WEFT_MISMATCH;
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

/* Insert a key that the find did not see; valid only while the head is what it saw. */
static int swing_absent(weft_core *core, const weft_key *key, weft_position *position,
                        uint64_t desired) {
    WEFT_ASSERT(!position->present && !is_frozen(position->words[AT_STATE]));
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    uint64_t state = position->words[AT_STATE];
    if (position->words[AT_SLOT] != SLOT_NONE) { /* claimed by an insert that has not finished */
        weft_pair claim = {position->words[AT_WORD], position->words[AT_VALUE]};
        return fill_claim(at, (unsigned)position->words[AT_SLOT], claim, desired);
    }
    if (core->shape == WEFT_SHAPE_U64 && !stop_pending(at, state, key->hash)) {
        return WEFT_MISMATCH;
    }
    uint64_t floor = version_of(state);
    uint64_t gone = gone_slots(core, at, state, &floor);
    stamp(core, position, floor, desired);
    weft_pair content = {0, 0};
    unsigned i = free_slot(core, at, state, &content);
    if (i == SLOT_NONE) {
        if (gone != 0) {
            sweep_slots(core, at);
            return WEFT_MISMATCH;
        }
        return insert_overflow(core, key, position, desired);
    }
    /* The slot was still not valid when it was looked at. Else its key may have been inserted and
     * removed since the find: a slot that holds GONE and is valid, until somebody sweeps it.
     * Filling that one would show the new key before its time. Pairs with the CAS of head. */
#if WEFT_MUTANT != 3 /* fills slots that are still valid */
    if (weft_load_acquire(&at->head.first) != state) {
        return WEFT_MISMATCH;
    }
#endif
    weft_pair filled = {0, 0};
    bool reserved;
    if (core->shape == WEFT_SHAPE_U64) {
        filled = (weft_pair){wanted_pair(key->hash) | claim_flags(state, i), weft_epoch_stamp()};
        reserved = weft_cas_pair_seq_cst(&at->pairs[i], content, filled);
    } else {
        /* Release: the entry's bytes. Pairs with the acquire of the word in find_in_words. */
        uint64_t word = word_of(desired, key->hash);
        reserved = weft_cas_acq_rel(&at->words[i], &content.first, word);
    }
    if (!reserved) {
        return WEFT_MISMATCH;
    }
    /* Bytes shape: the linearization point of an insert. Release: the slot. Pairs with the acquire
     * in look. */
    if (!weft_cas_acq_rel(&at->head.first, &state,
                          next_state(state, valid_slots(state) | (uint64_t)1 << i, 0))) {
        give_slot_back(core, at, i, filled);
        return WEFT_MISMATCH;
    }
    return core->shape == WEFT_SHAPE_U64 ? fill_claim(at, i, filled, desired) : WEFT_OK;
}

/* Change or remove a key that is in the overflow block. */
static int overflow_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                          uint64_t desired) {
    WEFT_ASSERT(position->present && position->words[AT_SLOT] == SLOT_OVERFLOW);
    bucket *at = (bucket *)(uintptr_t)position->words[AT_BUCKET];
    weft_pair head = {position->words[AT_STATE], position->words[AT_LINK]};
    uint32_t i = (uint32_t)position->words[AT_WORD];
    uint64_t version = stamp(core, position, old_version(core, position), keep ? desired : 0);
    uint64_t valid = valid_slots(head.first);
    if (!keep) {
        weft_pair dying = {next_state(head.first, valid, version),
                           head.second | (uint64_t)(i + 1) << LINK_DYING_SHIFT};
        if (!weft_cas_pair_seq_cst(&at->head, head, dying)) {
            return WEFT_MISMATCH;
        }
        weft_core_count_overflow(core, -1, 0);
        overflow_bury(core, at, dying.first, dying.second);
        return WEFT_OK;
    }
    overflow *block = overflow_copy(core, head.second, i, 0);
    if (block == NULL) {
        return WEFT_E_NOMEM;
    }
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    overflow_add(block, (cell){key->hash, bytes ? word_of(desired, key->hash) : desired});
    weft_pair becomes = {next_state(head.first, valid, 0), (uintptr_t)block};
    becomes.first = (becomes.first & ~FILTER_MASK) | overflow_filter(block);
    if (!weft_cas_pair_seq_cst(&at->head, head, becomes)) {
        overflow_drop(core, block);
        return WEFT_MISMATCH;
    }
    overflow_relinked(core, head.second, block, 0);
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
    uint64_t state = position->words[AT_STATE];
    uint64_t link = position->words[AT_LINK];
    if (link >> LINK_DYING_SHIFT != 0 && !is_frozen(state)) {
        overflow_bury(core, at, state, link);
        return WEFT_MISMATCH;
    }
    generation *from = root_of(core);
    while (bucket_at(from, key->hash) != at) {
        from = weft_load_acquire(&from->next); /* pairs with begin_move */
        if (from == NULL) {
            return WEFT_MISMATCH; /* the root moved past that bucket */
        }
    }
    if (!is_frozen(state)) {
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
    if (WEFT_UNLIKELY(at == NULL || is_frozen(position->words[AT_STATE]) ||
                      position->words[AT_LINK] >> LINK_DYING_SHIFT != 0 || in_image(core, at))) {
        return prepare(core, key, position);
    }
    int status;
    if (!position->present) {
        status = swing_absent(core, key, position, desired);
    } else if (position->words[AT_SLOT] == SLOT_OVERFLOW) {
        status = overflow_swing(core, key, position, keep, desired);
    } else {
        status = slot_swing(core, key, position, keep, desired);
    }
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
    .caps = WEFT_CAP_LOCK_FREE | WEFT_CAP_SHRINK,
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
