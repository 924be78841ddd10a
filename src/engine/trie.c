/* SPDX-License-Identifier: MIT */
/* Engine "trie": a concurrent hash trie. It never resizes: where keys crowd a leaf becomes a
 * branch, and where they leave a branch becomes a leaf.
 *
 * Design
 *   Branches of 64 or 16 children choose by the hash's low bits first. Leaves are cache lines of
 *   three or seven keys with their cells: {hash, value}, or {hash, entry}. Lookups go down and
 *   compare; they never wait, repeat or write. Nearly all writes are one compare and swap of a
 *   leaf's pair. What a leaf or branch cannot do in place is done by its heir: another leaf or
 *   branch, announced in the old one before anything in it is frozen, filled with what was frozen,
 *   and put into its place; every step by whoever comes along.
 * Layout
 *            branch                                     leaf
 *   +--------------------------+    word    +--------+---------+----------------+
 *   | block | heir             | ---------> | (link) |  heir   | hash·flags cell| pair 0
 *   +--------------------------+            +--------+---------+----------------+
 *   | word 0 | word 1 | word 2 | …          | hash·flags  cell | hash·flags cell| 1, 2
 *   A word is 0, a branch or a leaf, and maybe frozen. A leaf has 64 or 128 bytes, or, for keys
 *   that share all bits of their hashes, a larger power of two.
 * Concurrency
 *   docs/design/trie.md has the protocol and the arguments. In one breath: a pair's hash is
 *   written once, and pairs are taken in order, so a key has one place in a leaf, over which all
 *   writes of this key compete; nothing live is frozen before there is an heir that needs no more
 *   memory; and what is frozen never changes, so that all who fill the heir fill in the same.
 * Rejected
 *   A lock in each branch, as Go has it: a writer that is stopped stops others. One entry a leaf:
 *   an allocation, a pointer and a cache line for each. Leaves that are replaced by each write
 *   (Prokopec): likewise. Claiming a free pair before any use, in any order: the same key could
 *   then come into two of them. One floor of versions for the whole table: a line that all share;
 *   one for each part of the root is written by few.
 * Credits
 *   P. Bagwell, Ideal hash trees (2001); A. Prokopec and others, Concurrent tries with efficient
 *   non-blocking snapshots (2012), for tries without locks; HashTrieMap of Go 1.24, behind
 *   sync.Map, and rmind's thmap, for a trie with a wide root as the one general map. Leaves of a
 *   cache line are engine lockfree's buckets.
 */
#include "base/assert.h"
#include "base/atomic.h"
#include "engine/engine.h"
#include <stdio.h>

/* Branches that begin at one of the low WIDE_BITS bits of the hash have 64 children, others 16. */
enum { WIDE_BITS = 18, HASH_BITS = 64, PAIRS = 3, PAIRS_MAX = 7, CROWD_MAX = 24, FLOORS = 64 };

/* Of a word. Without BRANCH and LEAF: empty; above the flags is then a floor (bytes shape). */
#define BRANCH ((uint64_t)1)
#define LEAF ((uint64_t)2)
#define FROZEN ((uint64_t)4)
#define EMPTY_SHIFT 3
#define ADDRESS (((uint64_t)1 << 48) - 64)
#define CROWD_SHIFT 48 /* of a leaf: how often its size is doubled */
#define CROWD ((uint64_t)0xff << CROWD_SHIFT)
#define OWN_CROWD_SHIFT 56 /* in a leaf's heir: likewise, of the leaf itself */

/* Of an heir's word: it has taken its place, so it is not the old one's to free. */
#define SETTLED ((uint64_t)8)

/* Of a pair's first word, in the place of six bits of the hash that the root has used up. */
#define USED ((uint64_t)1)
#define GONE ((uint64_t)2)
#define STIFF ((uint64_t)4) /* the pair is frozen */
#define HASH (~(uint64_t)63)

/* Of a cell, bytes shape: the entry has gone, and above the bit is the version of the removal. */
#define CELL_GONE ((uint64_t)1)

/* Of a branch that is prepared, not in place: no word yet. */
#define UNTOLD (~(uint64_t)0)

typedef struct leaf {
    uint64_t link; /* of a limbo, once it is retired */
    uint64_t heir; /* a word, of a plan if it is a branch; before there is one, in the place of
                      CROWD the bits of the hash that lead to the leaf */
    weft_pair pairs[];
} leaf;

typedef struct branch {
    weft_block block;
    uint64_t heir; /* 0, or the word of a branch, for the case that it is needed */
    unsigned shift;
    uint64_t words[] WEFT_LINE_ALIGNED;
} branch;

/* A branch that is to replace a full leaf, and where each of the leaf's keys goes. */
typedef struct plan {
    uint64_t word;
    leaf *targets[PAIRS_MAX];
    int64_t leaves; /* that are different */
    int64_t bytes;  /* of them and the branch */
} plan;

_Static_assert(sizeof(leaf) + PAIRS * sizeof(weft_pair) == WEFT_CACHE_LINE,
               "a leaf is one cache line");
_Static_assert(offsetof(branch, words) == WEFT_CACHE_LINE, "words begin a line");

typedef struct trie_table {
    branch *root; /* NULL until the first insert */
    uint64_t unused[7];
    uint64_t floors[FLOORS]; /* by low bits of the hash: no removal that is forgotten was above */
} WEFT_LINE_ALIGNED trie_table;

/* Where a descent ended. */
typedef struct place {
    uint64_t *at;        /* NULL: there is no root */
    uint64_t word;       /* what was there */
    uint64_t *above;     /* what leads to the branch of `at`; NULL: it is the root */
    uint64_t above_word; /* what was there */
    unsigned shift;      /* bits of the hash that lead to `at` */
} place;

/* What find notes for swing. */
enum { AT_PLACE, AT_WORD, AT_SHIFT, AT_SLOT, AT_FIRST, AT_CELL, AT_FLOOR };
enum { SLOT_NONE = 1 << 30 };

static trie_table *table_of(const weft_core *core) {
    return core->table;
}

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static weft_entry *entry_of(uint64_t cell) {
    return (weft_entry *)(uintptr_t)cell;
}

static unsigned bits_at(unsigned shift) {
    return shift < WIDE_BITS ? 6 : 4;
}

static branch *branch_of(uint64_t word) {
    return (branch *)(uintptr_t)(word & ADDRESS);
}

static leaf *leaf_of(uint64_t word) {
    return (leaf *)(uintptr_t)(word & ADDRESS);
}

/* How often the size of the leaf behind this word is doubled. */
static unsigned crowd_of(uint64_t word) {
    return (unsigned)(word >> CROWD_SHIFT) & 0xff;
}

static unsigned own_crowd(uint64_t heir) {
    return (unsigned)(heir >> OWN_CROWD_SHIFT);
}

static unsigned pairs_of(unsigned crowd) {
    return (4u << crowd) - 1;
}

static size_t leaf_bytes(unsigned crowd) {
    return (size_t)WEFT_CACHE_LINE << crowd;
}

static unsigned words_at(unsigned shift) {
    return 1u << bits_at(shift);
}

static size_t branch_bytes(unsigned shift) {
    return sizeof(branch) + words_at(shift) * sizeof(uint64_t);
}

static unsigned index_at(uint64_t hash, unsigned shift) {
    return (unsigned)(hash >> shift) & (words_at(shift) - 1);
}

static uint64_t *floor_of(const weft_core *core, uint64_t hash) {
    return &table_of(core)->floors[hash % FLOORS];
}

static branch *root_of(const weft_core *core) {
    return weft_load_acquire(&table_of(core)->root); /* pairs with make_root */
}

/* ---- going down ------------------------------------------------------------------------------ */

/* One branch down; true if there is another. */
static WEFT_ALWAYS_INLINE bool go_down(place *to, uint64_t hash, unsigned shift) {
    to->at = &branch_of(to->word)->words[index_at(hash, shift)];
    to->shift = shift + bits_at(shift);
    to->word = weft_load_acquire(to->at); /* what is behind it; pairs with the CASes of words */
    return (to->word & BRANCH) != 0;
}

/* To a leaf, or where nothing is. Only with a root. The wide branches are written out: then the
 * compiler knows their widths. */
static WEFT_ALWAYS_INLINE place descend(branch *root, uint64_t hash) {
    place to = {.word = (uintptr_t)root | BRANCH};
    _Static_assert(WIDE_BITS == 18, "there are three wide branches");
    if (go_down(&to, hash, 0) && go_down(&to, hash, 6) && go_down(&to, hash, 12)) {
        while (go_down(&to, hash, to.shift)) {
        }
    }
    return to;
}

/* Likewise, and remembers the way; or to a frozen word, if there is one on it. */
static void descend_noting(const weft_core *core, uint64_t hash, place *to) {
    *to = (place){.at = NULL};
    branch *here = root_of(core);
    while (here != NULL) {
        to->at = &here->words[index_at(hash, to->shift)];
        to->shift += bits_at(to->shift);
        to->word = weft_load_acquire(to->at); /* likewise: pairs with the CASes of words */
        if ((to->word & FROZEN) != 0 || (to->word & BRANCH) == 0) {
            return;
        }
        to->above = to->at;
        to->above_word = to->word;
        here = branch_of(to->word);
    }
}

/* The entry of a cell, if it has the key. */
static bool cell_has_key(uint64_t cell, const weft_key *key) {
    return (cell & CELL_GONE) == 0 && weft_entry_has_key(entry_of(cell), key->bytes);
}

/* The key's pair in a leaf, or the one that an insert would take: the key's own that is gone (u64
 * shape), else the first that was never used. Pairs are taken in order and a pair's hash is
 * written once, so the first free pair ends the search. */
static bool search_leaf(const weft_core *core, uint64_t word, const weft_key *key,
                        weft_position *out) {
    leaf *at = leaf_of(word);
    for (unsigned i = 0; i < pairs_of(crowd_of(word)); i++) {
        uint64_t first = weft_load_acquire(&at->pairs[i].first); /* pairs with the CAS of pairs */
        if ((first & USED) != 0 && ((first ^ key->hash) & HASH) != 0) {
            continue;
        }
        uint64_t cell = weft_load_second_acquire(&at->pairs[i]); /* pairs with it, too */
        bool match = (first & USED) != 0;
        bool present = match && (core->shape == WEFT_SHAPE_U64 ? (first & GONE) == 0
                                                               : cell_has_key(cell, key));
        if (match && !present && core->shape == WEFT_SHAPE_BYTES) {
            bool gone = (cell & CELL_GONE) != 0;
            out->words[AT_FLOOR] = max_u64(out->words[AT_FLOOR], gone ? cell >> 1 : 0);
            continue; /* another key of the same hash, or one that was */
        }
        out->words[AT_SLOT] = i;
        out->words[AT_FIRST] = first;
        out->words[AT_CELL] = cell;
        return present;
    }
    out->words[AT_SLOT] = SLOT_NONE;
    return false;
}

static void trie_find(weft_core *core, const weft_key *key, weft_position *position) {
    WEFT_ASSERT(weft_epoch_inside());
    branch *root = root_of(core);
    place to = {.at = NULL};
    if (WEFT_LIKELY(root != NULL)) {
        to = descend(root, key->hash);
    }
    position->words[AT_PLACE] = (uintptr_t)to.at;
    position->words[AT_WORD] = to.word;
    position->words[AT_SHIFT] = to.shift;
    position->words[AT_SLOT] = SLOT_NONE;
    position->words[AT_FLOOR] = 0;
    position->words[AT_CELL] = 0;
    position->present = (to.word & LEAF) != 0 && search_leaf(core, to.word, key, position);
    position->cell = position->words[AT_CELL];
}

/* The pairs whose key is this one and there, as a set. Where it is nobody can predict, so there is
 * no branch on it. */
static WEFT_ALWAYS_INLINE unsigned match_pairs(leaf *at, uint64_t hash, unsigned from,
                                               unsigned count) {
    unsigned match = 0;
#pragma GCC unroll 4
    for (unsigned i = 0; i < count; i++) {
        /* Pairs with the CAS of pairs. */
        uint64_t first = weft_load_acquire(&at->pairs[from + i].first);
        match |= (unsigned)((first & (HASH | USED | GONE)) == ((hash & HASH) | USED)) << i;
    }
    return match << from;
}

static bool look_u64(weft_core *core, const weft_key *key, uint64_t *cell) {
    branch *root = root_of(core);
    uint64_t word = WEFT_UNLIKELY(root == NULL) ? 0 : descend(root, key->hash).word;
    WEFT_ASSERT((word & BRANCH) == 0 && ((word & LEAF) == 0 || crowd_of(word) <= 1));
    if ((word & LEAF) == 0) {
        return false;
    }
    leaf *at = leaf_of(word);
    unsigned match = match_pairs(at, key->hash, 0, PAIRS);
    if (crowd_of(word) != 0) {
        match |= match_pairs(at, key->hash, PAIRS, PAIRS_MAX - PAIRS);
    }
    uint64_t found = (uint64_t)0 - (uint64_t)(match != 0);
    WEFT_HIDE(found); /* whether it is there cannot be predicted either */
    int i = __builtin_ctz(match | 1u << (PAIRS_MAX + 1)) & PAIRS_MAX; /* 0 if there is none */
    /* What was there last stays there. Pairs with the CAS of pairs. */
    uint64_t seen = weft_load_second_acquire(&at->pairs[i]);
    *cell = (seen & found) | (*cell & ~found);
    return match != 0;
}

static bool look_bytes(weft_core *core, const weft_key *key, uint64_t *cell) {
    branch *root = root_of(core);
    uint64_t word = WEFT_UNLIKELY(root == NULL) ? 0 : descend(root, key->hash).word;
    WEFT_ASSERT((word & BRANCH) == 0);
    leaf *at = leaf_of(word);
    unsigned pairs = (word & LEAF) != 0 ? pairs_of(crowd_of(word)) : 0;
    for (unsigned i = 0; i < pairs; i++) {
        uint64_t first = weft_load_acquire(&at->pairs[i].first); /* pairs with the CAS of pairs */
        if (((first ^ key->hash) & HASH) == 0 && (first & USED) != 0) {
            uint64_t seen = weft_load_second_acquire(&at->pairs[i]); /* pairs with it, too */
            if (cell_has_key(seen, key)) {
                *cell = seen;
                return true;
            }
        }
    }
    return false;
}

/* ---- making and freeing ---------------------------------------------------------------------- */

/* For a place that so many bits lead to. */
static uint64_t leaf_new(weft_core *core, unsigned crowd, unsigned shift) {
    WEFT_ASSERT(crowd < CROWD_MAX);
    leaf *made = weft_core_alloc(core, leaf_bytes(crowd), WEFT_CACHE_LINE);
    if (made == NULL) {
        return 0;
    }
    memset(made, 0, leaf_bytes(crowd));
    made->heir = (uint64_t)crowd << OWN_CROWD_SHIFT | (uint64_t)shift << CROWD_SHIFT;
    return (uintptr_t)made | LEAF | (uint64_t)crowd << CROWD_SHIFT;
}

static size_t branch_free(weft_core *core, branch *at);

static void branch_destroy(weft_core *core, weft_block *block) {
    branch_free(core, WEFT_CONTAINER(block, branch, block));
}

static branch *branch_new(weft_core *core, unsigned shift, uint64_t word) {
    WEFT_ASSERT(shift < HASH_BITS);
    branch *made = weft_core_alloc(core, branch_bytes(shift), WEFT_CACHE_LINE);
    if (made == NULL) {
        return NULL;
    }
    *made = (branch){.block = {.destroy = branch_destroy, .bytes = branch_bytes(shift)},
                     .shift = shift};
    for (unsigned i = 0; i < words_at(shift); i++) {
        made->words[i] = word;
    }
    return made;
}

/* A branch that nobody can reach, and its heir if that is not in place. */
static size_t branch_free(weft_core *core, branch *at) {
    WEFT_ASSERT(at->shift < HASH_BITS);
    size_t bytes = branch_bytes(at->shift);
    if (at->heir != 0 && (at->heir & SETTLED) == 0) {
        weft_core_free(core, branch_of(at->heir), bytes, WEFT_CACHE_LINE);
    }
    weft_core_free(core, at, bytes, WEFT_CACHE_LINE);
    return bytes;
}

static size_t leaf_free(weft_core *core, leaf *at);

/* An heir that no other thread has seen, or can see any more. */
static void heir_free(weft_core *core, uint64_t heir) {
    WEFT_ASSERT((heir & (LEAF | BRANCH)) != 0);
    if ((heir & LEAF) != 0) {
        leaf_free(core, leaf_of(heir));
        return;
    }
    plan *p = (plan *)(uintptr_t)(heir & ADDRESS);
    if ((heir & SETTLED) == 0) {
        branch *made = branch_of(p->word);
        for (unsigned i = 0; i < words_at(made->shift); i++) {
            if (made->words[i] != 0) {
                leaf_free(core, leaf_of(made->words[i]));
            }
        }
        weft_core_free(core, made, branch_bytes(made->shift), WEFT_CACHE_LINE);
    }
    weft_core_free(core, p, sizeof *p, WEFT_CACHE_LINE);
}

/* A leaf that nobody can reach, and its heir if that is not in place. */
static size_t leaf_free(weft_core *core, leaf *at) {
    WEFT_ASSERT(((uintptr_t)at & (WEFT_CACHE_LINE - 1)) == 0);
    uint64_t heir = at->heir;
    size_t bytes = leaf_bytes(own_crowd(heir));
    if ((heir & BRANCH) != 0 || ((heir & LEAF) != 0 && (heir & SETTLED) == 0)) {
        heir_free(core, heir);
    }
    weft_core_free(core, at, bytes, WEFT_CACHE_LINE);
    return bytes;
}

static size_t trie_release(weft_core *core, uint64_t link) {
    return leaf_free(core, WEFT_CONTAINER((uint64_t *)(uintptr_t)link, leaf, link));
}

/* Leaves and bytes that have come into the trie, or left it. */
static void tally(weft_core *core, int64_t leaves, int64_t bytes) {
    weft_core_count_overflow(core, leaves, bytes);
}

static void tally_leaf(weft_core *core, uint64_t word, int64_t change) {
    tally(core, change, change * (int64_t)leaf_bytes(crowd_of(word)));
}

/* ---- heirs of leaves ------------------------------------------------------------------------- */

static bool is_live(uint64_t first) {
    return (first & (USED | GONE)) == USED;
}

/* How many keys are in the leaf, and how many pairs were ever used. */
static unsigned count_live(leaf *at, unsigned pairs, unsigned *used) {
    WEFT_ASSERT(pairs >= PAIRS);
    unsigned live = 0;
    *used = 0;
    for (unsigned i = 0; i < pairs; i++) {
        uint64_t first = weft_load_acquire(&at->pairs[i].first); /* pairs with the CAS of pairs */
        live += is_live(first);
        *used += (first & USED) != 0;
    }
    return live;
}

/* Freeze a pair; with `dead_only`, not if it holds a key. False: it does. */
static bool freeze_pair(weft_pair *at, bool dead_only) {
    WEFT_ASSERT(weft_epoch_inside());
    for (;;) {
        weft_pair was = {weft_load_acquire(&at->first), /* pairs with the CAS of pairs */
                         weft_load_second_acquire(at)}; /* pairs with it, too */
        if (dead_only && is_live(was.first)) {          /* though another one may have frozen it */
            return false;
        }
        if ((was.first & STIFF) != 0) {
            return true;
        }
        if (weft_cas_pair_seq_cst(at, was, (weft_pair){was.first | STIFF, was.second})) {
            return true;
        }
    }
}

/* Bytes shape: before removals are forgotten, that is before what remembers them is unlinked. The
 * floor of an empty word in their place, which rises each time. */
static uint64_t raise_floor(const weft_core *core, leaf *at, unsigned pairs, uint64_t hash) {
    uint64_t version = 0;
    if (core->shape == WEFT_SHAPE_U64) {
        return 0;
    }
#if WEFT_MUTANT == 37 /* forgets the versions of keys that are gone */
    pairs = 0;
#endif
    for (unsigned i = 0; i < pairs; i++) {
        uint64_t cell = weft_load_second_acquire(&at->pairs[i]); /* pairs with the CAS of pairs */
        version = max_u64(version, (cell & CELL_GONE) != 0 ? cell >> 1 : 0);
    }
    uint64_t *floor_at = floor_of(core, hash);
    uint64_t floor = weft_load_acquire(floor_at); /* pairs with the CAS below */
    /* Release: before the word is changed. Pairs with the acquire in the inserts. */
    while (floor < version && !weft_cas_acq_rel(floor_at, &floor, version)) {
    }
    return max_u64(floor, version);
}

/* Put a word in the place of the leaf that `at` leads to, and retire the leaf. */
static bool replace_leaf(weft_core *core, const place *at, uint64_t word) {
    WEFT_ASSERT((at->word & LEAF) != 0);
    uint64_t expected = at->word;
    /* Release: what is behind the new word. Pairs with the acquire of descend. */
    if ((expected & FROZEN) != 0 || !weft_cas_seq_cst(at->at, &expected, word)) {
        return false;
    }
    if ((word & (LEAF | BRANCH)) != 0) {
        weft_fetch_or_acq_rel(&leaf_of(at->word)->heir, SETTLED); /* read after the grace period */
    }
    tally_leaf(core, at->word, -1);
    weft_core_retire_own(core, (uintptr_t)&leaf_of(at->word)->link, leaf_bytes(crowd_of(at->word)));
    return true;
}

static plan *plan_of(uint64_t heir) {
    return (plan *)(uintptr_t)(heir & ADDRESS);
}

/* The leaf for the key of pair i, and all others that the branch sends to the same place. */
static bool plan_leaf(weft_core *core, plan *p, leaf *from, unsigned i) {
    unsigned pairs = pairs_of(own_crowd(weft_load_relaxed(&from->heir)));
    branch *root = branch_of(p->word);
    unsigned where[PAIRS_MAX];
    unsigned keys = 0;
    WEFT_ASSERT(pairs <= PAIRS_MAX && i < pairs);
    for (unsigned k = 0; k < pairs; k++) {
        /* Pairs with the CAS of pairs. */
        where[k] = index_at(weft_load_acquire(&from->pairs[k].first), root->shift);
        keys += where[k] == where[i];
    }
    uint64_t *word = &root->words[where[i]];
    if (*word == 0) {
        *word = leaf_new(core, keys > PAIRS, root->shift + bits_at(root->shift));
        p->leaves++;
        p->bytes += (int64_t)leaf_bytes(keys > PAIRS);
    }
    p->targets[i] = leaf_of(*word);
    return *word != 0;
}

/* A branch for the keys of a full leaf, with empty leaves for them. All that decides where a key
 * goes is its hash, which is never written again. 0 without memory. */
static uint64_t plan_new(weft_core *core, leaf *from, unsigned shift) {
    WEFT_ASSERT(shift < HASH_BITS && shift >= bits_at(0));
    plan *made = weft_core_alloc(core, sizeof *made, WEFT_CACHE_LINE);
    if (made == NULL) {
        return 0;
    }
    branch *root = branch_new(core, shift, 0);
    if (root == NULL) {
        weft_core_free(core, made, sizeof *made, WEFT_CACHE_LINE);
        return 0;
    }
    *made = (plan){.word = (uintptr_t)root | BRANCH, .bytes = (int64_t)branch_bytes(shift)};
    uint64_t heir = (uintptr_t)made | BRANCH;
    for (unsigned i = 0; i < pairs_of(own_crowd(weft_load_relaxed(&from->heir))); i++) {
        if (!plan_leaf(core, made, from, i)) {
            heir_free(core, heir);
            return 0;
        }
    }
    return heir;
}

/* How large a leaf becomes before it is a branch. Half of the schedules have small leaves only, so
 * that few keys do what many do. */
static unsigned crowd_most(const weft_core *core) {
#if defined(WEFT_SCHED) && WEFT_SCHED
    return core->hash_seed / 2 % 2;
#else
    (void)core;
    return 1;
#endif
}

/* What a leaf needs that an insert finds no room in, or finds frozen: a leaf without those that
 * are gone; or a larger one, if it is full of keys; or a branch, if it is a large one. Whatever is
 * frozen in the end has room there: until all is, pairs that were never used may be, and keys that
 * are gone may come back. */
static uint64_t heir_new(weft_core *core, const place *at) {
    WEFT_ASSERT((at->word & LEAF) != 0);
    leaf *from = leaf_of(at->word);
    unsigned crowd = crowd_of(at->word);
    unsigned pairs = pairs_of(crowd);
    unsigned used;
    unsigned live = count_live(from, pairs, &used);
    if (used < pairs || (at->shift < HASH_BITS && 2 * live <= pairs)) {
        return leaf_new(core, crowd, at->shift);
    }
    if (at->shift < HASH_BITS) {
        return crowd < crowd_most(core) ? leaf_new(core, crowd + 1, at->shift)
                                        : plan_new(core, from, at->shift);
    }
    unsigned wanted = 0;
    while (wanted < CROWD_MAX && pairs_of(wanted) <= 2 * live) {
        wanted++;
    }
    return wanted == CROWD_MAX ? 0 : leaf_new(core, wanted, at->shift);
}

static bool has_heir(uint64_t heir) {
    return (heir & (LEAF | BRANCH)) != 0;
}

/* The leaf's heir, announced: WEFT_OK. WEFT_MISMATCH: the leaf has been lifted · WEFT_E_NOMEM */
static int announce_heir(weft_core *core, const place *at, uint64_t *heir) {
    WEFT_ASSERT((at->word & (LEAF | FROZEN)) == LEAF);
    leaf *from = leaf_of(at->word);
    *heir = weft_load_acquire(&from->heir); /* pairs with the CAS below */
    if (has_heir(*heir)) {
        return WEFT_OK;
    }
    if (crowd_of(*heir) != at->shift) {
        return WEFT_MISMATCH;
    }
    uint64_t made = heir_new(core, at);
    if (made == 0) {
        return WEFT_E_NOMEM;
    }
    uint64_t becomes = (*heir & ~CROWD) | made;
    /* Release: the empty heir. Pairs with the acquire above. */
    if (weft_cas_acq_rel(&from->heir, heir, becomes)) {
        *heir = becomes;
        return WEFT_OK;
    }
    heir_free(core, made);
    return WEFT_MISMATCH;
}

/* Which pair of the heir the key in pair i of a frozen leaf goes to, `before` live ones being
 * before it: the first that none of these goes to. */
static weft_pair *target_of(leaf *from, uint64_t heir, unsigned i, unsigned before) {
    if ((heir & LEAF) != 0) {
        return &leaf_of(heir)->pairs[before];
    }
    leaf *const *targets = plan_of(heir)->targets;
    unsigned taken = 0;
    for (unsigned k = 0; k < i; k++) {
        taken += targets[k] == targets[i] && is_live(weft_load_relaxed(&from->pairs[k].first));
    }
    return &targets[i]->pairs[taken];
}

/* Freeze the leaf, which has an heir, fill that in and put it into the leaf's place. All who do so
 * do the same; a pair of the heir that is filled is never zero again, so who is late does
 * nothing. Needs no memory. */
static void finish_leaf(weft_core *core, const place *at, uint64_t heir, uint64_t hash) {
    WEFT_ASSERT(has_heir(heir));
    leaf *from = leaf_of(at->word);
    unsigned pairs = pairs_of(crowd_of(at->word));
    unsigned live = 0;
    for (unsigned i = 0; i < pairs; i++) {
#if WEFT_MUTANT == 35 /* lets writes slip into a leaf that has an heir */
        (void)freeze_pair(&from->pairs[i], i != 0);
#else
        (void)freeze_pair(&from->pairs[i], false);
#endif
    }
    for (unsigned i = 0; i < pairs; i++) {
        weft_pair was = {weft_load_acquire(&from->pairs[i].first),   /* pairs with the CAS of */
                         weft_load_second_acquire(&from->pairs[i])}; /* pairs, that froze it */
        if (is_live(was.first)) {
            weft_pair *to = target_of(from, heir, i, live++);
            (void)weft_cas_pair_seq_cst(to, (weft_pair){0, 0},
                                        (weft_pair){was.first & ~STIFF, was.second});
        }
    }
    uint64_t floor = raise_floor(core, from, pairs, hash);
    if (live == 0) {
        (void)replace_leaf(core, at, floor << EMPTY_SHIFT);
    } else if ((heir & LEAF) != 0) {
        uint64_t word = heir & (ADDRESS | LEAF | CROWD);
        if (replace_leaf(core, at, word)) {
            tally_leaf(core, word, 1);
        }
    } else if (replace_leaf(core, at, plan_of(heir)->word)) {
        tally(core, plan_of(heir)->leaves, plan_of(heir)->bytes);
    }
}

/* If no key is in the leaf, freeze it as it is. Pairs that hold a key are left alone, so nobody
 * needs memory on account of this but an insert. */
static bool freeze_dead(leaf *at, unsigned pairs) {
    WEFT_ASSERT(weft_epoch_inside());
    unsigned used;
    if (count_live(at, pairs, &used) != 0) {
        return false;
    }
    for (unsigned i = 0; i < pairs; i++) {
#if WEFT_MUTANT != 36 /* takes a leaf away into which a key may come */
        if (!freeze_pair(&at->pairs[i], true)) {
            return false;
        }
#endif
    }
    return true;
}

/* Take a leaf away in which no key is; true if it is away. */
static bool prune_leaf(weft_core *core, const place *at, uint64_t hash) {
    leaf *from = leaf_of(at->word);
    unsigned pairs = pairs_of(crowd_of(at->word));
    return (at->word & FROZEN) == 0 && freeze_dead(from, pairs) &&
           replace_leaf(core, at, raise_floor(core, from, pairs, hash) << EMPTY_SHIFT);
}

/* ---- heirs of branches ----------------------------------------------------------------------- */

/* Could a branch be replaced by nothing, or by a leaf? *last: the leaf's word, or an empty one. */
static bool is_thin(branch *at, uint64_t *last) {
    WEFT_ASSERT(at->shift != 0);
    unsigned leaves = 0;
    *last = 0;
    for (unsigned i = 0; i < words_at(at->shift); i++) {
        uint64_t word = weft_load_acquire(&at->words[i]); /* pairs with the CASes of words */
        if ((word & (LEAF | BRANCH)) == 0) {
            continue;
        }
        if ((word & BRANCH) != 0 || crowd_of(word) > 1 || ++leaves > 1) {
            return false;
        }
        *last = word & ~FROZEN;
    }
    return true;
}

/* Put a word in the place of a branch, and retire it. */
static void replace_branch(weft_core *core, const place *at, uint64_t word) {
    branch *old = branch_of(at->above_word);
    uint64_t expected = at->above_word;
    WEFT_ASSERT((expected & FROZEN) == 0);
    /* Release: what is behind the new word. Pairs with the acquire of descend. */
    if (!weft_cas_seq_cst(at->above, &expected, word)) {
        return;
    }
    int64_t bytes = (int64_t)branch_bytes(old->shift);
    if ((word & BRANCH) != 0) {
        weft_fetch_or_acq_rel(&old->heir, SETTLED); /* read after the grace period */
        bytes = 0;
    }
    tally(core, 0, -bytes);
    weft_core_retire_block(core, &old->block);
}

/* May a leaf go where `shift` bits lead to, from a frozen branch? Not if it has an heir, which was
 * made for where it is; afterwards it gets none that is. All who ask are told the same, until it
 * is there. */
static bool may_lift(leaf *at, unsigned shift) {
    uint64_t heir = weft_load_acquire(&at->heir); /* pairs with the CAS of heirs */
    while (!has_heir(heir) && crowd_of(heir) != shift) {
        uint64_t lifted = (heir & ~CROWD) | (uint64_t)shift << CROWD_SHIFT;
        if (weft_cas_acq_rel(&at->heir, &heir, lifted)) { /* pairs with itself, and announce_heir */
            return true;
        }
    }
    return !has_heir(heir);
}

/* Freeze a branch that has an heir, and put into its place what is in it: nothing, a leaf, or, if
 * more came meanwhile, its heir. All who do so do the same. Needs no memory. */
static void finish_branch(weft_core *core, const place *at, uint64_t hash) {
    branch *old = branch_of(at->above_word);
    branch *heir = branch_of(weft_load_acquire(&old->heir)); /* pairs with its CAS */
    WEFT_ASSERT(heir != NULL);
    for (unsigned i = 0; i < words_at(old->shift); i++) {
        /* Acquire: what is behind it. Pairs with the CASes of words. */
        weft_fetch_or_acq_rel(&old->words[i], FROZEN);
    }
    uint64_t last;
    if (is_thin(old, &last) && (last == 0 || may_lift(leaf_of(last), old->shift))) {
        if (last == 0 && core->shape == WEFT_SHAPE_BYTES) {
            last = weft_load_acquire(floor_of(core, hash)) << EMPTY_SHIFT; /* raise_floor */
        }
        replace_branch(core, at, last);
        return;
    }
    for (unsigned i = 0; i < words_at(old->shift); i++) {
        uint64_t untold = UNTOLD;
        /* Release: pairs with the acquire of descend. */
        (void)weft_cas_acq_rel(&heir->words[i], &untold,
                               weft_load_relaxed(&old->words[i]) & ~FROZEN);
    }
    replace_branch(core, at, (uintptr_t)heir | BRANCH);
}

/* Where a removal has left a branch thin, take it away, and then the one above it. */
static void prune_branches(weft_core *core, uint64_t hash) {
    WEFT_ASSERT(!core->grow_only);
    place at;
    uint64_t last;
    for (;;) {
        descend_noting(core, hash, &at);
        if (at.above == NULL || ((at.word | at.above_word) & FROZEN) != 0 ||
            !is_thin(branch_of(at.above_word), &last)) {
            return;
        }
        branch *old = branch_of(at.above_word);
        branch *made = branch_new(core, old->shift, UNTOLD);
        uint64_t none = 0;
        if (made == NULL) {
            return; /* it stays as it is */
        }
        /* Release: the untold heir. Pairs with the acquire in finish_branch. */
        if (!weft_cas_acq_rel(&old->heir, &none, (uintptr_t)made | BRANCH)) {
            branch_free(core, made);
        }
        finish_branch(core, &at, hash);
    }
}

/* A write found something frozen on its way, or a leaf without room, behind `word`: finish what is
 * the matter, from above. WEFT_MISMATCH · WEFT_E_NOMEM, only if the leaf needs an heir: it holds no
 * key that is frozen, so only an insert may need one. */
static int make_way(weft_core *core, uint64_t hash, uint64_t word) {
    WEFT_ASSERT(weft_epoch_inside() && root_of(core) != NULL);
    place at;
    descend_noting(core, hash, &at);
    if ((at.word & FROZEN) != 0) {
        finish_branch(core, &at, hash);
        return WEFT_MISMATCH;
    }
    if (at.word != word || (word & LEAF) == 0 || prune_leaf(core, &at, hash)) {
        return WEFT_MISMATCH;
    }
    uint64_t heir;
    int status = announce_heir(core, &at, &heir);
    if (status != WEFT_OK) {
        return status;
    }
    finish_leaf(core, &at, heir, hash);
    return WEFT_MISMATCH;
}

/* ---- swing ----------------------------------------------------------------------------------- */

static bool make_root(weft_core *core) {
    branch *made = branch_new(core, 0, 0);
    branch *other = NULL;
    if (made == NULL) {
        return false;
    }
    /* Release: the zeroes. Pairs with the acquire in root_of. */
    if (weft_cas_acq_rel(&table_of(core)->root, &other, made)) {
        tally(core, 0, (int64_t)branch_bytes(0));
    } else {
        branch_free(core, made);
    }
    return true;
}

/* The first key behind an empty word. */
static int swing_empty(weft_core *core, const weft_key *key, weft_position *position,
                       uint64_t desired) {
    uint64_t word = position->words[AT_WORD];
    WEFT_ASSERT((word & (LEAF | BRANCH | FROZEN)) == 0);
    uint64_t fresh = leaf_new(core, 0, (unsigned)position->words[AT_SHIFT]);
    if (fresh == 0) {
        return WEFT_E_NOMEM;
    }
    /* Acquire: what raise_floor has forgotten before the word was empty. */
    uint64_t floor = weft_load_acquire(floor_of(core, key->hash));
    weft_core_stamp(core, position, max_u64(floor, word >> EMPTY_SHIFT), desired);
    leaf_of(fresh)->pairs[0] = (weft_pair){(key->hash & HASH) | USED, desired};
    /* Release: the leaf. Pairs with the acquire of descend. */
    if (!weft_cas_seq_cst((uint64_t *)(uintptr_t)position->words[AT_PLACE], &word, fresh)) {
        leaf_free(core, leaf_of(fresh));
        return WEFT_MISMATCH;
    }
    tally_leaf(core, fresh, 1);
    return WEFT_OK;
}

static void removed(weft_core *core, const weft_key *key, const weft_position *position) {
    place at = {.at = (uint64_t *)(uintptr_t)position->words[AT_PLACE],
                .word = position->words[AT_WORD]};
    if (!core->grow_only && prune_leaf(core, &at, key->hash)) {
        prune_branches(core, key->hash);
    }
}

/* All other writes: what find saw in a pair becomes something else. */
static int swing_pair(weft_core *core, const weft_key *key, weft_position *position,
                      const uint64_t *desired) {
    weft_pair *at = &leaf_of(position->words[AT_WORD])->pairs[position->words[AT_SLOT]];
    weft_pair was = {position->words[AT_FIRST], position->words[AT_CELL]};
    WEFT_ASSERT((was.first & STIFF) == 0 && (desired != NULL || position->present));
    uint64_t floor = position->words[AT_FLOOR];
    if (position->present) {
        floor = weft_core_seen_version(core, position);
    } else if (core->shape == WEFT_SHAPE_BYTES) {
        /* Acquire: what raise_floor has forgotten before the leaf came. */
        floor = max_u64(floor, weft_load_acquire(floor_of(core, key->hash)));
    }
    weft_core_stamp(core, position, floor, desired != NULL ? *desired : 0);
    weft_pair becomes = {was.first | GONE, was.second};
    if (desired != NULL) {
        becomes = (weft_pair){(key->hash & HASH) | USED, *desired};
    } else if (core->shape == WEFT_SHAPE_BYTES) {
        becomes.second = position->version << 1 | CELL_GONE;
    }
    /* Release: the entry. Pairs with the acquires of cells. */
    if (!weft_cas_pair_seq_cst(at, was, becomes)) {
        return WEFT_MISMATCH;
    }
    if (desired == NULL) {
        removed(core, key, position);
    }
    return WEFT_OK;
}

static int trie_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                      uint64_t desired) {
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    uint64_t word = position->words[AT_WORD];
    if (!keep && !position->present) {
        return WEFT_OK;
    }
    if (position->words[AT_PLACE] == 0) {
        return make_root(core) ? WEFT_MISMATCH : WEFT_E_NOMEM;
    }
    if ((word & LEAF) == 0) {
        return (word & FROZEN) != 0 ? make_way(core, key->hash, word)
                                    : swing_empty(core, key, position, desired);
    }
    if (position->words[AT_SLOT] == SLOT_NONE || (position->words[AT_FIRST] & STIFF) != 0) {
        return make_way(core, key->hash, word);
    }
    return swing_pair(core, key, position, keep ? &desired : NULL);
}

/* ---- walk ------------------------------------------------------------------------------------ */

/* The points of the reversed hash from here to the end of what `bits` bits lead to. */
static uint64_t last_point(uint64_t from, unsigned bits) {
    return bits >= HASH_BITS ? from : from | UINT64_MAX >> bits;
}

/* From the last pair to the first: what was removed and came back is in a later one. */
static void emit_leaf(weft_core *core, weft_step *step, uint64_t word, uint64_t last) {
    WEFT_ASSERT((word & LEAF) != 0 && last >= step->from);
    leaf *at = leaf_of(word);
    for (unsigned i = pairs_of(crowd_of(word)); i-- > 0;) {
        uint64_t first = weft_load_acquire(&at->pairs[i].first); /* pairs with the CAS of pairs */
        uint64_t cell = weft_load_second_acquire(&at->pairs[i]); /* pairs with it, too */
        bool numbers = core->shape == WEFT_SHAPE_U64;
        if (!is_live(first) || (!numbers && (cell & CELL_GONE) != 0)) {
            continue;
        }
        uint64_t hash = (first & HASH) | (weft_reverse_bits(step->from) & ~HASH);
        uint64_t point = weft_reverse_bits(hash);
        if (point >= step->from && point <= last) { /* a leaf may be for more than we look for */
            step->emit(step, numbers ? weft_core_unhash_u64(core, hash) : 0, cell);
        }
    }
}

/* One leaf, and the empty words behind it in the same branch. */
static void trie_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    branch *here = root_of(core);
    unsigned shift = 0;
    step->next = 0;
    if (here == NULL) {
        return;
    }
    uint64_t word;
    uint64_t hash = weft_reverse_bits(step->from);
    /* Acquire, both loads: what is behind. Pairs with the CASes of words. */
    while (word = weft_load_acquire(&here->words[index_at(hash, shift)]), (word & BRANCH) != 0) {
        shift += bits_at(shift);
        here = branch_of(word);
    }
    unsigned bits = shift + bits_at(shift);
    uint64_t last = last_point(step->from, bits);
    if ((word & LEAF) != 0) {
        emit_leaf(core, step, word, last);
    }
    uint64_t end = shift == 0 ? UINT64_MAX : last_point(step->from, shift);
    while (last != end) {
        uint64_t next = last + 1;
        /* Likewise. */
        word = weft_load_acquire(&here->words[index_at(weft_reverse_bits(next), shift)]);
        if ((word & (LEAF | BRANCH)) != 0) {
            break;
        }
        last = last_point(next, bits);
    }
    step->next = last + 1;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int trie_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL);
    trie_table *table = weft_core_alloc(core, sizeof *table, WEFT_CACHE_LINE);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    *table = (trie_table){.root = NULL};
    core->table = table;
    return WEFT_OK;
}

static size_t close_leaf(weft_core *core, uint64_t word,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    leaf *at = leaf_of(word);
    for (unsigned i = 0; i < pairs_of(crowd_of(word)); i++) {
        if (is_live(at->pairs[i].first)) {
            drop(core, at->pairs[i].second);
        }
    }
    return leaf_free(core, at);
}

/* Free what is under a branch, up to the budget; true if all is. Not deeper than hashes have
 * bits. */
static bool close_branch(weft_core *core, branch *at, size_t *budget,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(at->shift < HASH_BITS && drop != NULL);
    for (unsigned i = 0; i < words_at(at->shift); i++) {
        uint64_t word = at->words[i];
        if ((word & LEAF) != 0) {
            if (*budget == 0) {
                return false;
            }
            --*budget;
            close_leaf(core, word, drop);
        } else if ((word & BRANCH) != 0) {
            if (!close_branch(core, branch_of(word), budget, drop)) {
                return false;
            }
            branch_free(core, branch_of(word));
        }
        at->words[i] = 0;
    }
    return true;
}

static bool trie_close(weft_core *core, size_t budget,
                       void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    trie_table *table = table_of(core);
    if (table->root != NULL) {
        if (!close_branch(core, table->root, &budget, drop)) {
            return false;
        }
        branch_free(core, table->root);
    }
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

/* There is always room. */
static int trie_reserve(weft_core *core, uint64_t entries) {
    (void)core;
    (void)entries;
    return WEFT_OK;
}

/* Each removal has done it. */
static int trie_shrink(weft_core *core) {
    (void)core;
    return WEFT_UNCHANGED;
}

static bool trie_maintain(weft_core *core, size_t budget) {
    (void)core;
    (void)budget;
    return true;
}

static void trie_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(core->table != NULL);
    int64_t leaves = 0;
    int64_t bytes = sizeof(trie_table);
    for (uint32_t i = 0; i < 2 * core->stripe_count; i++) {
        leaves += weft_load_relaxed(&core->stripes[i].overflow_entries);
        bytes += weft_load_relaxed(&core->stripes[i].overflow_bytes);
    }
    stats->overflow_entries = weft_core_entries(core);
    stats->buckets = leaves < 0 ? 0 : (uint64_t)leaves;
    stats->table_bytes += bytes < 0 ? 0 : (uint64_t)bytes;
}

/* What a check has seen. */
typedef struct survey {
    weft_core *core;
    const char *broken;
    uint64_t entries;
    int64_t leaves;
    int64_t bytes;
} survey;

static bool same_key(const weft_core *core, const weft_pair *a, const weft_pair *b) {
    if (((a->first ^ b->first) & HASH) != 0 || !is_live(a->first) || !is_live(b->first)) {
        return false;
    }
    return core->shape == WEFT_SHAPE_U64 ||
           weft_entry_has_key(entry_of(a->second), weft_entry_key_bytes(entry_of(b->second)));
}

static void survey_leaf(survey *s, uint64_t word, uint64_t prefix, unsigned bits) {
    WEFT_ASSERT((word & LEAF) != 0);
    leaf *at = leaf_of(word);
    bool ended = false;
    uint64_t mask = (bits >= HASH_BITS ? UINT64_MAX : ((uint64_t)1 << bits) - 1) & HASH;
    s->leaves++;
    s->bytes += (int64_t)leaf_bytes(crowd_of(word));
    for (unsigned i = 0; i < pairs_of(crowd_of(word)); i++) {
        uint64_t first = at->pairs[i].first;
        s->entries += is_live(first);
        if (is_live(first) && ((first ^ prefix) & mask) != 0) {
            s->broken = "T1 a key is where its hash leads to";
        }
        if ((first & USED) != 0 && ended) {
            s->broken = "T2 pairs are taken in order";
        }
        ended = (first & USED) == 0;
        for (unsigned k = 0; k < i; k++) {
            if (same_key(s->core, &at->pairs[k], &at->pairs[i])) {
                s->broken = "T3 no key is in a leaf twice";
            }
        }
    }
}

static void survey_branch(survey *s, const branch *at, uint64_t prefix, unsigned shift) {
    WEFT_ASSERT(s->core != NULL);
    if (at->shift != shift) {
        s->broken = "T4 a branch goes on where the one above it ends";
        return;
    }
    s->bytes += (int64_t)branch_bytes(shift);
    for (uint64_t i = 0; i < words_at(shift); i++) {
        uint64_t word = weft_load_acquire(&at->words[i]); /* pairs with the CASes of words */
        uint64_t longer = prefix | i << shift;
        if ((word & BRANCH) != 0) {
            survey_branch(s, branch_of(word), longer, shift + bits_at(shift));
        } else if ((word & LEAF) != 0) {
            survey_leaf(s, word, longer, shift + bits_at(shift));
        }
    }
}

static int trie_check(weft_core *core, char *text, size_t capacity) {
    survey s = {.core = core, .bytes = sizeof(trie_table)};
    branch *root = root_of(core);
    weft_map_stats told = {.entries = 0};
    if (root != NULL) {
        survey_branch(&s, root, 0, 0);
    }
    trie_stats(core, &told);
    if (s.entries != weft_core_entries(core)) {
        s.broken = "T5 the counters count the entries";
    } else if ((uint64_t)s.leaves != told.buckets || (uint64_t)s.bytes != told.table_bytes) {
        s.broken = "T6 the counters count leaves and bytes";
    }
    if (s.broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "trie: %s", s.broken);
    }
    return s.broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void trie_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    weft_map_stats stats = {.entries = 0};
    char line[96];
    trie_stats(core, &stats);
    snprintf(line, sizeof line, "%llu leaves, %llu bytes, %llu entries",
             (unsigned long long)stats.buckets, (unsigned long long)stats.table_bytes,
             (unsigned long long)weft_core_entries(core));
    print(ctx, line);
}

const weft_engine weft_engine_trie = {
    .name = "trie",
    .id = WEFT_ENGINE_TRIE,
    .caps = WEFT_CAP_LOCK_FREE | WEFT_CAP_SHRINK | WEFT_CAP_THREADS | WEFT_CAP_GROW,
    .choose = "sizes that nobody knows, or that change by powers of ten: there is no resize at all",
    .do_not_choose =
        "large maps of which reads should cost one cache miss: here it is two or three",
    .open = trie_open,
    .close = trie_close,
    .find = {trie_find, trie_find},
    .look = {look_bytes, look_u64},
    .swing = trie_swing,
    .release = trie_release,
    .walk = trie_walk,
    .reserve = trie_reserve,
    .shrink = trie_shrink,
    .maintain = trie_maintain,
    .stats = trie_stats,
    .check = trie_check,
    .dump = trie_dump,
};
