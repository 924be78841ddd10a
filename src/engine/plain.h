/* SPDX-License-Identifier: MIT */
/* L2: the hash table for one writer at a time that engines with locks, or with one owner, put their
 * cells in. It knows {hash, cell} and nothing else: whoever uses it keeps writers apart from all
 * others, and readers from writers; or readers use what begins with weft_plain_peek, beside writers
 * who hold a latch, and `outcast` says where memory goes that they may still look at.
 *
 * Layout. A bucket is a cache line of four slots {word, cell}. The word is the hash with its lowest
 * two bits, which the bucket's number tells, replaced by USED; an empty slot is zero. Where a
 * bucket has more entries than four, its last slot links a line of the same form, and so on:
 *
 *   bucket       | a | b | c | link-+     as long as there is a link, all other slots are in use,
 *   newest line  | d |   |   | link-+--+  but for those of the newest line, which is the first one
 *   oldest line  | e | f | g | h    |     and has one entry at least, two if it is alone
 *
 * A key is compared with the four words at once, without a branch: in which slot it is, nobody can
 * predict. Lines come from chunks of 1 KiB that the table keeps (plain.c).
 *
 * A bucket is chosen by the low bits of the hash, so it is an interval of the reversed hash, as
 * walks need it. The table doubles and halves in steps, but for small ones: while it moves,
 * `old` has the buckets from `moved` on, counted in the smaller of the two; each insert and removal
 * moves a few. Growing moves without memory; halving asks for what it needs before it begins a
 * bucket. A table that could not be made leaves all as it was, and is asked for again by the next
 * insert.
 *
 * The hot functions are inlined into each user; so is how keys are compared, weft_plain_same_fn:
 * NULL where hashes that are equal are keys that are equal, as in the u64 shape. */
#ifndef WEFT_ENGINE_PLAIN_H
#define WEFT_ENGINE_PLAIN_H

#include "base/assert.h"
#include "base/latch.h"
#include "engine/engine.h"
#include <weft/u64map.h>

enum { WEFT_PLAIN_SLOTS = 4, WEFT_PLAIN_LINK = 1, WEFT_PLAIN_USED = 2, WEFT_PLAIN_KIND = 3 };

enum {
    WEFT_PLAIN_AT_ONCE = 128, /* a side of so many buckets is moved in one go, in a microsecond */
    WEFT_PLAIN_STEP = 8,      /* of others an insert or removal moves so many */
};

typedef struct weft_plain_slot {
    uint64_t word;
    uint64_t cell;
} weft_plain_slot;

struct weft_plain_line {
    weft_plain_slot slots[WEFT_PLAIN_SLOTS];
} WEFT_LINE_ALIGNED;

_Static_assert(sizeof(weft_plain_line) == WEFT_CACHE_LINE, "a bucket is a line");

struct weft_plain_chunk;

/* A side in one word, so that who looks beside a writer has the lines of so many buckets, and not
 * the lines of one side and the number of another: the address, and in its lowest bits, which are
 * zero as lines are aligned, the number of buckets as a power of two. */
typedef uint64_t weft_plain_packed;

/* What each operation looks at comes first: a line, together with a latch before it. */
typedef struct weft_plain {
    weft_plain_packed now;
    weft_plain_packed old; /* the side that `now` replaces; `now`: nothing is on the move */
    uint64_t moved;        /* buckets of the smaller side that are in `now` */
    uint64_t entries;
    uint64_t grow_at;         /* an insert into so many entries makes room first */
    uint64_t shrink_at;       /* a removal that leaves fewer begins to shrink */
    uint64_t floor;           /* fewest buckets wanted */
    uint64_t removed_version; /* bytes shape: no removed key had a greater one */
    bool at_once;             /* the caller's: resize in one go */
    bool grow_only;
    uint8_t place;             /* the caller's: the memory node that lines come from, + 1; 0: any */
    weft_remains *remains;     /* of `now`; NULL: its lines are freed at once, in one piece */
    weft_remains *old_remains; /* of `old` */
    weft_block **outcast;      /* the caller's: what weft_plain_retire takes; NULL: all is freed */
    weft_plain_side *face;     /* the caller's: what inlined lookups see; NULL: there are none */
    struct weft_plain_chunk *first_chunk; /* with free lines; the empty ones come last */
    struct weft_plain_chunk *last_chunk;
    uint64_t empty_chunks;
    uint64_t chunks; /* all */
    uint64_t free_lines;
    uint64_t overflow_entries; /* outside their bucket's line */
    uint64_t growths;
    uint64_t shrinks;
    uint64_t failures;
    uint64_t moved_buckets; /* of `old` sides, in all */
    uint64_t closing;       /* buckets that close has freed, of the side that it is at */
} weft_plain;

#ifndef WEFT_CALLS_ONLY
_Static_assert(offsetof(weft_plain_side, lines) == offsetof(struct weft_inline_plain, lines) &&
                   offsetof(weft_plain_side, mask) == offsetof(struct weft_inline_plain, mask) &&
                   sizeof(weft_plain_slot) == sizeof(struct weft_inline_pair) &&
                   WEFT_PLAIN_SLOTS == WEFT_INLINE_SLOTS + 1 &&
                   WEFT_PLAIN_LINK == WEFT_INLINE_PLAIN_LINK &&
                   WEFT_PLAIN_USED == WEFT_INLINE_PLAIN_USED,
               "the header's view of the table agrees");
#endif

/* Does the cell belong to the key? Their hashes agree. */
typedef bool (*weft_plain_same_fn)(uint64_t cell, const weft_key *key);

/* Cells that are entries. */
static WEFT_ALWAYS_INLINE bool weft_plain_same_entry(uint64_t cell, const weft_key *key) {
    return weft_entry_has_key((const weft_entry *)(uintptr_t)cell, key->bytes);
}

/* ---- plain.c --------------------------------------------------------------------------------- */

/* Empty, without memory. The number of entries to expect is a hint; 0: none. */
void weft_plain_open(weft_plain *table, uint64_t expected_entries);
/* Free up to *budget buckets of a table that nobody uses any more, calling `drop` for each cell;
 * true when all is freed, and the table is as after open. */
bool weft_plain_close(weft_core *core, weft_plain *table, size_t *budget,
                      void (*drop)(weft_core *core, uint64_t cell));
/* From now on *face is what inlined lookups may see: the table, or, while it moves, a line that
 * sends them to the engine. */
void weft_plain_show(weft_plain *table, weft_plain_side *face);
/* Room for so many, also later; the caller asks for it, so it may take O(entries). */
int weft_plain_reserve(weft_core *core, weft_plain *table, uint64_t entries);
/* Begin to halve, if the entries fit: WEFT_OK · WEFT_UNCHANGED · WEFT_E_NOMEM. Forgets what was
 * reserved. */
int weft_plain_shrink(weft_core *core, weft_plain *table);
/* As far as it goes: WEFT_OK, something was given back · WEFT_UNCHANGED · WEFT_E_NOMEM. */
int weft_plain_shrink_at_once(weft_core *core, weft_plain *table);
/* Move up to so many buckets; true if nothing is left to move, false also without memory. */
bool weft_plain_step(weft_core *core, weft_plain *table, uint64_t buckets);
/* With `outcast`, without the latch, inside a guard: what the table does not use any more is to be
 * freed after the grace period. */
void weft_plain_retire(weft_core *core, weft_block **outcast);
/* The table is empty; from here on it is nobody's, as who looks beside writers finds, too. */
void weft_plain_leave(weft_plain *table);
void weft_plain_stats(const weft_plain *table, weft_map_stats *stats);
/* NULL, or what is wrong. */
const char *weft_plain_check(const weft_plain *table, weft_plain_same_fn same,
                             weft_key (*key_of)(uint64_t hash, uint64_t cell));

/* The rare parts of what is inlined below. */
bool weft_plain_make_room(weft_core *core, weft_plain *table);
bool weft_plain_overflow(weft_core *core, weft_plain *table, weft_plain_line *line,
                         weft_plain_slot what);
void weft_plain_fill(weft_core *core, weft_plain *table, weft_plain_line *line,
                     weft_plain_slot *hole);
void weft_plain_after_removal(weft_core *core, weft_plain *table);

/* ---- lookup ---------------------------------------------------------------------------------- */

static WEFT_ALWAYS_INLINE bool weft_plain_is_link(uint64_t word) {
    return (word & WEFT_PLAIN_LINK) != 0;
}

static WEFT_ALWAYS_INLINE bool weft_plain_is_used(uint64_t word) {
    return (word & WEFT_PLAIN_USED) != 0;
}

/* The word of a slot that holds a key with this hash; and back, in this bucket. */
static WEFT_ALWAYS_INLINE uint64_t weft_plain_word(uint64_t hash) {
    return (hash & ~(uint64_t)WEFT_PLAIN_KIND) | WEFT_PLAIN_USED;
}

static WEFT_ALWAYS_INLINE uint64_t weft_plain_hash(uint64_t word, uint64_t bucket) {
    return (word & ~(uint64_t)WEFT_PLAIN_KIND) | (bucket & WEFT_PLAIN_KIND);
}

static WEFT_ALWAYS_INLINE weft_plain_line *weft_plain_linked(uint64_t word) {
    return (weft_plain_line *)(uintptr_t)(word & ~(uint64_t)WEFT_PLAIN_KIND);
}

static WEFT_ALWAYS_INLINE weft_plain_packed weft_plain_pack(weft_plain_side side) {
    WEFT_ASSERT(((uintptr_t)side.lines & (WEFT_CACHE_LINE - 1)) == 0);
    return (uintptr_t)side.lines | (unsigned)__builtin_ctzll(side.mask + 1);
}

static WEFT_ALWAYS_INLINE weft_plain_side weft_plain_unpack(weft_plain_packed packed) {
    uint64_t lines = packed & ~(uint64_t)(WEFT_CACHE_LINE - 1);
    uint64_t buckets = (uint64_t)1 << (packed & (WEFT_CACHE_LINE - 1));
    return (weft_plain_side){(weft_plain_line *)(uintptr_t)lines, buckets - 1};
}

static WEFT_ALWAYS_INLINE bool weft_plain_is_moving(const weft_plain *table) {
    return WEFT_UNLIKELY(table->old != table->now);
}

static WEFT_ALWAYS_INLINE weft_plain_side weft_plain_now(const weft_plain *table) {
    return weft_plain_unpack(table->now);
}

/* Is the hash's bucket on the side before, if the table moves? */
static WEFT_ALWAYS_INLINE bool weft_plain_is_old(weft_plain_side now, weft_plain_side old,
                                                 uint64_t moved, uint64_t hash) {
    return (hash & old.mask & now.mask) >= moved;
}

/* The side with the hash's bucket. */
static WEFT_ALWAYS_INLINE weft_plain_side weft_plain_side_of(const weft_plain *table,
                                                             uint64_t hash) {
    weft_plain_side now = weft_plain_now(table);
    if (weft_plain_is_moving(table)) {
        weft_plain_side old = weft_plain_unpack(table->old);
        return weft_plain_is_old(now, old, table->moved, hash) ? old : now;
    }
    return now;
}

static WEFT_ALWAYS_INLINE weft_plain_line *weft_plain_home(const weft_plain *table, uint64_t hash) {
    weft_plain_side side = weft_plain_side_of(table, hash);
    return &side.lines[hash & side.mask];
}

static WEFT_ALWAYS_INLINE void weft_plain_prefetch(const weft_plain *table, uint64_t hash) {
    __builtin_prefetch(weft_plain_home(table, hash));
}

/* The slots with this word, as a set; hidden, as compilers make branches of it. */
static WEFT_ALWAYS_INLINE unsigned weft_plain_match(const weft_plain_line *line, uint64_t word) {
    unsigned set = 0;
#pragma GCC unroll 4
    for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
        unsigned same = line->slots[i].word == word;
        WEFT_HIDE(same);
        set |= same << i;
    }
    return set;
}

/* The key's slot, until the table changes; or NULL. */
static WEFT_ALWAYS_INLINE weft_plain_slot *
weft_plain_find(const weft_plain *table, const weft_key *key, weft_plain_same_fn same) {
    uint64_t word = weft_plain_word(key->hash);
    weft_plain_line *line = weft_plain_home(table, key->hash);
    for (;;) {
        for (unsigned set = weft_plain_match(line, word); set != 0; set &= set - 1) {
            weft_plain_slot *slot = &line->slots[__builtin_ctz(set)];
            if (same == NULL || WEFT_LIKELY(same(slot->cell, key))) {
                return slot;
            }
        }
        uint64_t last = line->slots[WEFT_PLAIN_SLOTS - 1].word;
        if (WEFT_LIKELY(!weft_plain_is_link(last))) {
            return NULL;
        }
        line = weft_plain_linked(last);
    }
}

/* ---- lookup beside a writer ------------------------------------------------------------------ */

/* For who has not taken the latch that keeps writers apart, inside a guard: docs/design/locks.md.
 * Whatever is loaded may be half of a change, and a line may be another bucket's by now, until the
 * latch says that nobody was in; before that no address is followed. */
typedef struct weft_plain_watch {
    const weft_latch *latch;
    uint64_t since; /* weft_latch_watch */
} weft_plain_watch;

typedef struct weft_plain_seen {
    weft_plain_watch watch;      /* in */
    const weft_plain_slot *slot; /* NULL: the key is absent */
    uint64_t cell;
} weft_plain_seen;

static WEFT_ALWAYS_INLINE weft_plain_watch weft_plain_begin_watch(const weft_latch *latch) {
    return (weft_plain_watch){latch, weft_latch_watch(latch)};
}

static WEFT_ALWAYS_INLINE bool weft_plain_holds(weft_plain_watch watch) {
    return weft_latch_is_undisturbed(watch.latch, watch.since);
}

static WEFT_ALWAYS_INLINE uint64_t weft_plain_peek_word(const uint64_t *word) {
    return weft_load_acquire(word); /* pairs with the releases of who changes the table */
}

/* Nobody's table: a line without keys, whose link leads nowhere. */
extern const weft_plain_line weft_plain_nowhere;

static WEFT_ALWAYS_INLINE bool weft_plain_has_left(const weft_plain *table) {
    return weft_plain_peek_word(&table->now) == (uintptr_t)&weft_plain_nowhere;
}

/* As weft_plain_match. */
static WEFT_ALWAYS_INLINE unsigned weft_plain_peek_match(const weft_plain_line *line,
                                                         uint64_t word) {
    unsigned set = 0;
#pragma GCC unroll 4
    for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
        unsigned same = weft_plain_peek_word(&line->slots[i].word) == word;
        WEFT_HIDE(same);
        set |= same << i;
    }
    return set;
}

/* Where the hash's bucket is, or was: a line of this table, as the guard keeps it. */
static WEFT_ALWAYS_INLINE const weft_plain_line *weft_plain_peek_home(const weft_plain *table,
                                                                      uint64_t hash) {
    weft_plain_packed now = weft_plain_peek_word(&table->now);
    weft_plain_packed old = weft_plain_peek_word(&table->old);
    weft_plain_side side = weft_plain_unpack(now);
#if WEFT_MUTANT == 66 /* does not look where the keys of a table that moves still are */
    old = now;
#endif
    if (WEFT_UNLIKELY(old != now)) {
        uint64_t moved = weft_plain_peek_word(&table->moved);
        weft_plain_side before = weft_plain_unpack(old);
        side = weft_plain_is_old(side, before, moved, hash) ? before : side;
    }
    return &side.lines[hash & side.mask];
}

/* As weft_plain_find: WEFT_OK, and the key's slot and cell · WEFT_NOT_FOUND · WEFT_E_BUSY: somebody
 * writes. The linearization point is the last load of the latch. */
static WEFT_ALWAYS_INLINE int weft_plain_peek(const weft_plain *table, const weft_key *key,
                                              weft_plain_same_fn same, weft_plain_seen *seen) {
    const weft_plain_line *line = weft_plain_peek_home(table, key->hash);
    seen->slot = NULL;
    seen->cell = 0;
    while (WEFT_LIKELY(line != NULL)) {
        unsigned set = weft_plain_peek_match(line, weft_plain_word(key->hash));
        for (; set != 0; set &= set - 1) {
            const weft_plain_slot *slot = &line->slots[__builtin_ctz(set)];
            uint64_t cell = weft_plain_peek_word(&slot->cell);
            if (!weft_plain_holds(seen->watch)) {
                return WEFT_E_BUSY;
            }
            if (same == NULL || WEFT_LIKELY(same(cell, key))) {
                seen->slot = slot;
                seen->cell = cell;
                return WEFT_OK;
            }
        }
        uint64_t last = weft_plain_peek_word(&line->slots[WEFT_PLAIN_SLOTS - 1].word);
        if (!weft_plain_holds(seen->watch)) {
            return WEFT_E_BUSY;
        }
        if (WEFT_LIKELY(!weft_plain_is_link(last))) {
            return WEFT_NOT_FOUND;
        }
        line = weft_plain_linked(last);
    }
    return WEFT_E_BUSY;
}

/* What the line of a bucket says in the u64 shape, perhaps beside a writer, whom a look at the
 * latch finds afterwards: WEFT_OK · WEFT_NOT_FOUND, *cell is 0 then. False: the key is not there,
 * but there is a link. Nothing else is a branch: whether a key is there, and in which slot, nobody
 * can predict. */
static WEFT_ALWAYS_INLINE bool weft_plain_look_into_line(const weft_plain_line *line, uint64_t hash,
                                                         uint64_t *cell, int *status) {
    uint64_t word = weft_plain_word(hash);
#ifndef WEFT_CALLS_ONLY
    const struct weft_inline_pair *pairs = (const struct weft_inline_pair *)line;
    bool sure = weft_inline_look_into_line(pairs, word, cell, status);
    weft_compiler_barrier(); /* the line before the latch, as the processor loads them, too */
    return sure;
#else
    unsigned at = 0;
#pragma GCC unroll 4
    for (unsigned i = 1; i < WEFT_PLAIN_SLOTS; i++) {
        unsigned same = weft_plain_peek_word(&line->slots[i].word) == word;
        WEFT_HIDE(same);
        at |= i * same; /* of this line, also if a writer makes it two that are the same */
    }
    uint64_t absent = (uint64_t)0 - (uint64_t)(weft_plain_peek_word(&line->slots[at].word) != word);
    WEFT_HIDE(absent);
    uint64_t last = weft_plain_peek_word(&line->slots[WEFT_PLAIN_SLOTS - 1].word);
    *cell = weft_plain_peek_word(&line->slots[at].cell) & ~absent;
    *status = (int)(absent & WEFT_NOT_FOUND);
    return !weft_plain_is_link(last & absent);
#endif
}

/* ---- change ---------------------------------------------------------------------------------- */

/* All that is stored in slots: who looks beside this loads each half by itself. */
static WEFT_ALWAYS_INLINE void weft_plain_set(weft_plain_slot *slot, weft_plain_slot what) {
    /* Releases: behind the turn of the latch, and what the cell leads to. Each pairs with an
     * acquire of weft_plain_peek. */
    weft_store_release(&slot->word, what.word);
    weft_store_release(&slot->cell, what.cell);
}

/* The key is absent. False without memory: nothing has changed. */
static WEFT_ALWAYS_INLINE bool weft_plain_insert(weft_core *core, weft_plain *table, uint64_t hash,
                                                 uint64_t cell) {
    if (WEFT_UNLIKELY(table->entries >= table->grow_at) && !weft_plain_make_room(core, table)) {
        return false;
    }
    weft_plain_line *line = weft_plain_home(table, hash);
    weft_plain_slot what = {weft_plain_word(hash), cell};
    unsigned empty = weft_plain_match(line, 0);
    if (WEFT_UNLIKELY(empty == 0)) {
        if (!weft_plain_overflow(core, table, line, what)) {
            return false;
        }
    } else {
        weft_plain_set(&line->slots[__builtin_ctz(empty)], what);
    }
    table->entries++;
    return true;
}

/* The key with this hash that find has found in this slot. */
static WEFT_ALWAYS_INLINE void weft_plain_remove(weft_core *core, weft_plain *table, uint64_t hash,
                                                 weft_plain_slot *slot) {
    WEFT_ASSERT(slot->word == weft_plain_word(hash));
    weft_plain_line *line = weft_plain_home(table, hash);
    weft_plain_set(slot, (weft_plain_slot){0, 0});
    table->entries--;
    if (WEFT_UNLIKELY(weft_plain_is_link(line->slots[WEFT_PLAIN_SLOTS - 1].word))) {
        weft_plain_fill(core, table, line, slot);
    }
    if (WEFT_UNLIKELY(table->entries < table->shrink_at)) {
        weft_plain_after_removal(core, table);
    }
}

/* ---- walk ------------------------------------------------------------------------------------ */

typedef void (*weft_plain_visit_fn)(void *ctx, uint64_t hash, uint64_t cell);

/* Visit the cells of one bucket: the one that holds point `from` of the reversed hash, its cells
 * from there on. Returns where the next one begins, 0 at the end. */
static inline uint64_t weft_plain_visit(const weft_plain *table, uint64_t from,
                                        weft_plain_visit_fn visit, void *ctx) {
    uint64_t some = weft_reverse_bits(from);
    weft_plain_side side = weft_plain_side_of(table, some);
    const weft_plain_line *line = &side.lines[some & side.mask];
    while (line != NULL) {
        for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
            uint64_t hash = weft_plain_hash(line->slots[i].word, some);
            if (weft_plain_is_used(line->slots[i].word) && weft_reverse_bits(hash) >= from) {
                visit(ctx, hash, line->slots[i].cell);
            }
        }
        uint64_t last = line->slots[WEFT_PLAIN_SLOTS - 1].word;
        line = weft_plain_is_link(last) ? weft_plain_linked(last) : NULL;
    }
    uint64_t rest = UINT64_MAX >> weft_bits_for(side.mask + 1);
    return (from | rest) + 1;
}

/* A step of a walk, of a table whose hashes are the keys'. */
void weft_plain_walk(weft_core *core, const weft_plain *table, weft_step *step);
/* weft_plain_check of a table whose cells are entries or values. */
const char *weft_plain_check_in(const weft_core *core, const weft_plain *table);

/* ---- find and swing of an engine whose cells are entries or values --------------------------- */

enum { WEFT_PLAIN_AT /* the slot that find saw, in weft_position.words */ };

/* Where the key is. The shape is known to the compiler where `find` and `look` are made. */
static WEFT_ALWAYS_INLINE weft_plain_slot *
weft_plain_find_in(weft_shape shape, const weft_plain *table, const weft_key *key) {
    return weft_plain_find(table, key, shape == WEFT_SHAPE_U64 ? NULL : weft_plain_same_entry);
}

/* The u64 shape, as far as the line of the bucket tells: weft_plain_look_into_line. */
static WEFT_ALWAYS_INLINE bool weft_plain_glance(const weft_plain *table, uint64_t hash,
                                                 uint64_t *cell, int *status) {
    return WEFT_LIKELY(weft_plain_look_into_line(weft_plain_home(table, hash), hash, cell, status));
}

/* An engine's glance by its look (plain.c): what is seldom, in a function of its own, so that the
 * rest saves no registers. */
int weft_plain_glance_anyhow(weft_core *core, uint64_t hash, uint64_t *cell, weft_record *record);

/* The key's cell, if it is there. */
static WEFT_ALWAYS_INLINE bool weft_plain_look(weft_shape shape, const weft_plain *table,
                                               const weft_key *key, uint64_t *cell) {
    if (shape == WEFT_SHAPE_U64) {
        int status;
        if (weft_plain_glance(table, key->hash, cell, &status)) {
            return status == WEFT_OK;
        }
    }
    const weft_plain_slot *slot = weft_plain_find_in(shape, table, key);
    if (slot != NULL) {
        *cell = slot->cell;
    }
    return slot != NULL;
}

static WEFT_ALWAYS_INLINE void weft_plain_position(weft_shape shape, const weft_plain *table,
                                                   const weft_key *key, weft_position *position) {
    weft_plain_slot *slot = weft_plain_find_in(shape, table, key);
    position->present = slot != NULL;
    position->cell = slot == NULL ? 0 : slot->cell;
    position->words[WEFT_PLAIN_AT] = (uintptr_t)slot;
}

/* Does the key have the cell that find saw? Looks for its slot again. */
static inline bool weft_plain_is_as_seen(weft_core *core, const weft_plain *table,
                                         const weft_key *key, weft_position *position) {
    weft_plain_slot *slot = weft_plain_find_in(core->shape, table, key);
    position->words[WEFT_PLAIN_AT] = (uintptr_t)slot;
    return (slot != NULL) == position->present && (slot == NULL || slot->cell == position->cell);
}

static inline uint64_t weft_plain_version_at(const weft_plain_slot *slot) {
    return weft_load_relaxed(&((const weft_entry *)(uintptr_t)slot->cell)->version);
}

/* What swing does to the position once it is known to be right. A table remembers the greatest
 * version that was removed, and new keys start above it. */
static inline int weft_plain_swing(weft_core *core, weft_plain *table, const weft_key *key,
                                   weft_position *position, const uint64_t *desired) {
    weft_plain_slot *slot = (weft_plain_slot *)(uintptr_t)position->words[WEFT_PLAIN_AT];
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    uint64_t cell = desired == NULL ? 0 : *desired;
    if (slot == NULL && desired == NULL) {
        return WEFT_OK;
    }
    if (bytes) {
        weft_core_stamp(core, position,
                        slot == NULL ? table->removed_version : weft_plain_version_at(slot), cell);
    }
    if (slot == NULL) {
        return weft_plain_insert(core, table, key->hash, cell) ? WEFT_OK : WEFT_E_NOMEM;
    }
    if (desired != NULL) {
        weft_store_release(&slot->cell, cell); /* pairs with the acquire of weft_plain_peek */
        return WEFT_OK;
    }
    if (bytes && position->version > table->removed_version) {
        table->removed_version = position->version;
    }
    weft_plain_remove(core, table, key->hash, slot);
    return WEFT_OK;
}

#endif
