/* SPDX-License-Identifier: MIT */
/* The plain table: its overflow lines, and how it grows, shrinks and ends. */
#include "engine/plain.h"

enum {
    BUCKETS_MIN = 4,
    BUCKET_BITS_MAX = 52, /* more never fit into memory; sizes must not overflow */
    GROW_NUMERATOR = 5,   /* grow at 5/2 entries a bucket: one in nine is outside its line then */
    GROW_DENOMINATOR = 2,
    TINY = 32,   /* up to so many buckets at a quarter of that: hardly a table has one outside */
    SMALL = 128, /* and up to so many at half */
    SHRINK_DIVISOR = 2, /* halve below half an entry a bucket */
    HALVING_LINES = 2,  /* two buckets made one need so many lines more at the most */
    CHUNK_LINES = 15,
    SPARE_FROM = 64, /* buckets of a table that keeps a chunk to spare */
};

typedef struct weft_plain_chunk {
    struct weft_plain_chunk *next; /* of those with free lines */
    struct weft_plain_chunk *previous;
    weft_block block;
    uint32_t free; /* a set of lines */
    weft_plain_line lines[CHUNK_LINES];
} chunk;

#define CHUNK_ALL_FREE ((UINT32_C(1) << CHUNK_LINES) - 1)

_Static_assert((int)BUCKETS_MIN > (int)WEFT_PLAIN_KIND,
               "a bucket's number tells the bits that words lack");
_Static_assert(sizeof(chunk) == 1024, "a line's address tells its chunk");

static void free_chunk(weft_core *core, weft_block *block) {
    weft_core_free(core, WEFT_CONTAINER(block, chunk, block), sizeof(chunk), sizeof(chunk));
}

/* What a table without memory looks at: never written. */
static const weft_plain_line nothing;

/* Also what inlined lookups see of a table that moves: never written. */
const weft_plain_line weft_plain_nowhere = {.slots[WEFT_PLAIN_SLOTS - 1].word = WEFT_PLAIN_LINK};

/* A side of one bucket that nobody writes to. */
static weft_plain_side side_of(const weft_plain_line *line) {
    return (weft_plain_side){(weft_plain_line *)(uintptr_t)line, 0};
}

static bool is_empty(const weft_plain *table) {
    return table->now == weft_plain_pack(side_of(&nothing));
}

static uint64_t buckets_of(const weft_plain *table) {
    return weft_plain_now(table).mask + 1;
}

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static unsigned used_slots(const weft_plain_line *line) {
    unsigned set = 0;
    for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
        set |= (unsigned)weft_plain_is_used(line->slots[i].word) << i;
    }
    return set;
}

/* The next line of a bucket; NULL at the end. */
static weft_plain_line *next_line(const weft_plain_line *line) {
    uint64_t last = line->slots[WEFT_PLAIN_SLOTS - 1].word;
    return weft_plain_is_link(last) ? weft_plain_linked(last) : NULL;
}

/* ---- outcasts -------------------------------------------------------------------------------- */

/* Under the latch. Retiring runs the destructors of others, so it waits until the latch is let go;
 * until then the link is the list's. */
static void cast_out(const weft_plain *table, weft_block *block) {
    weft_block *first = weft_load_relaxed(table->outcast);
    do {
        block->link = (uintptr_t)first;
        /* Release: the block. Pairs with the exchange in weft_plain_retire. */
    } while (!weft_cas_acq_rel(table->outcast, &first, block));
}

void weft_plain_retire(weft_core *core, weft_block **outcast) {
    WEFT_ASSERT(weft_epoch_inside());
    /* Pairs with the CAS in cast_out. Sequentially consistent: what took the blocks out of the
     * table is seen before the epoch is loaded for them. */
    weft_block *block = weft_exchange_seq_cst(outcast, NULL);
    while (block != NULL) {
        weft_block *next = (weft_block *)(uintptr_t)block->link;
        if (block->destroy == free_chunk) {
            weft_core_retire_block(core, block);
        } else {
            weft_core_retire_remains(core, WEFT_CONTAINER(block, weft_remains, block));
        }
        block = next;
    }
}

/* ---- overflow lines -------------------------------------------------------------------------- */

static void unlist(weft_plain *table, chunk *at) {
    *(at->previous != NULL ? &at->previous->next : &table->first_chunk) = at->next;
    *(at->next != NULL ? &at->next->previous : &table->last_chunk) = at->previous;
}

static void list_first(weft_plain *table, chunk *at) {
    at->previous = NULL;
    at->next = table->first_chunk;
    *(at->next != NULL ? &at->next->previous : &table->last_chunk) = at;
    table->first_chunk = at;
}

static void list_last(weft_plain *table, chunk *at) {
    at->next = NULL;
    at->previous = table->last_chunk;
    *(at->previous != NULL ? &at->previous->next : &table->first_chunk) = at;
    table->last_chunk = at;
}

static bool add_chunk(weft_core *core, weft_plain *table) {
    chunk *fresh = weft_core_alloc(core, sizeof *fresh, sizeof *fresh);
    if (fresh == NULL) {
        return false;
    }
    fresh->block = (weft_block){.destroy = free_chunk, .bytes = sizeof *fresh};
    fresh->free = CHUNK_ALL_FREE;
    list_last(table, fresh);
    table->chunks++;
    table->empty_chunks++;
    table->free_lines += CHUNK_LINES;
    return true;
}

/* Keep as many empty chunks; not while a bucket moves, which counts on lines that it has freed. */
static void trim_chunks(weft_core *core, weft_plain *table, uint64_t keep) {
    for (; table->empty_chunks > keep; table->empty_chunks--) {
        chunk *last = table->last_chunk;
        WEFT_ASSERT(last->free == CHUNK_ALL_FREE);
        unlist(table, last);
        table->chunks--;
        table->free_lines -= CHUNK_LINES;
        if (table->outcast != NULL) {
            cast_out(table, &last->block);
        } else {
            free_chunk(core, &last->block);
        }
    }
}

/* One is kept, so that a line that comes and goes costs no call; not beside a table that is hardly
 * larger. */
static uint64_t spare_chunks(const weft_plain *table) {
    return buckets_of(table) >= SPARE_FROM;
}

/* A zeroed line, or NULL. */
static weft_plain_line *take_line(weft_core *core, weft_plain *table) {
    if (table->first_chunk == NULL && !add_chunk(core, table)) {
        return NULL;
    }
    chunk *from = table->first_chunk;
    WEFT_ASSERT(from->free != 0 && table->free_lines > 0);
    unsigned i = (unsigned)__builtin_ctz(from->free);
    table->empty_chunks -= from->free == CHUNK_ALL_FREE;
    table->free_lines--;
    from->free &= from->free - 1;
    if (from->free == 0) {
        unlist(table, from);
    }
    for (unsigned slot = 0; slot < WEFT_PLAIN_SLOTS; slot++) {
        weft_plain_set(&from->lines[i].slots[slot], (weft_plain_slot){0, 0});
    }
    return &from->lines[i];
}

static void free_line(weft_plain *table, weft_plain_line *line) {
    chunk *at = (chunk *)((uintptr_t)line & ~(uintptr_t)(sizeof(chunk) - 1));
    WEFT_ASSERT((at->free >> (line - at->lines) & 1) == 0);
    bool was_full = at->free == 0;
    at->free |= UINT32_C(1) << (line - at->lines);
    table->free_lines++;
    if (at->free == CHUNK_ALL_FREE) {
        table->empty_chunks++;
        if (!was_full) {
            unlist(table, at);
        }
        list_last(table, at);
    } else if (was_full) {
        list_first(table, at);
    }
}

/* The bucket's line has no empty slot. */
bool weft_plain_overflow(weft_core *core, weft_plain *table, weft_plain_line *line,
                         weft_plain_slot what) {
    weft_plain_slot *last = &line->slots[WEFT_PLAIN_SLOTS - 1];
    bool links = weft_plain_is_link(last->word);
    weft_plain_line *newest = links ? weft_plain_linked(last->word) : line;
    unsigned empty = weft_plain_match(newest, 0);
    if (empty != 0) {
        weft_plain_set(&newest->slots[__builtin_ctz(empty)], what);
        table->overflow_entries++;
        return true;
    }
    weft_plain_line *fresh = take_line(core, table);
    if (fresh == NULL) {
        return false;
    }
    weft_plain_set(&fresh->slots[0], what);
    /* An entry, or the link to what was the newest. */
    weft_plain_set(&fresh->slots[WEFT_PLAIN_SLOTS - 1], *last);
    weft_plain_set(last, (weft_plain_slot){(uintptr_t)fresh | WEFT_PLAIN_LINK, 0});
    table->overflow_entries += links ? 1 : 2;
    return true;
}

/* An entry of a bucket that has more than its line has left its slot: the hole is filled from the
 * newest line, which goes when the others have room for all. */
void weft_plain_fill(weft_core *core, weft_plain *table, weft_plain_line *line,
                     weft_plain_slot *hole) {
    weft_plain_slot *last = &line->slots[WEFT_PLAIN_SLOTS - 1];
    weft_plain_line *newest = weft_plain_linked(last->word);
    WEFT_ASSERT(weft_plain_is_link(last->word) && table->overflow_entries > 0);
    table->overflow_entries--;
    if (hole < newest->slots || hole >= newest->slots + WEFT_PLAIN_SLOTS) {
        weft_plain_slot *from = &newest->slots[__builtin_ctz(used_slots(newest))];
        weft_plain_set(hole, *from);
        weft_plain_set(from, (weft_plain_slot){0, 0});
    }
    unsigned used = used_slots(newest);
    weft_plain_slot oldest = newest->slots[WEFT_PLAIN_SLOTS - 1];
    if (used == 0) {
        weft_plain_set(last, oldest);
    } else if ((used & (used - 1)) == 0 && !weft_plain_is_link(oldest.word)) {
        weft_plain_set(last,
                       newest->slots[__builtin_ctz(used)]); /* four entries need no other line */
        table->overflow_entries--;
    } else {
        return;
    }
    free_line(table, newest);
    trim_chunks(core, table, spare_chunks(table));
}

/* ---- sides ----------------------------------------------------------------------------------- */

static void remains_end(weft_core *core, weft_block *block) {
    weft_core_free(core, WEFT_CONTAINER(block, weft_remains, block), sizeof(weft_remains),
                   sizeof(void *));
}

static void update_face(const weft_plain *table) {
    if (table->face != NULL) {
        bool moving = weft_plain_is_moving(table);
        *table->face = moving ? side_of(&weft_plain_nowhere) : weft_plain_now(table);
    }
}

void weft_plain_show(weft_plain *table, weft_plain_side *face) {
    table->face = face;
    update_face(table);
}

/* The two are the same, unless buckets are to be moved. */
static void set_sides(weft_plain *table, weft_plain_packed now, weft_plain_packed old) {
    /* Releases: the lines, and what is in them. Each pairs with an acquire in
     * weft_plain_peek_home. */
    weft_store_release(&table->now, now);
    weft_store_release(&table->old, old);
    update_face(table);
}

static void set_moved(weft_plain *table, uint64_t buckets) {
    /* Release: their entries are in `now`. Pairs with the acquire in weft_plain_peek_home. */
    weft_store_release(&table->moved, buckets);
}

void weft_plain_leave(weft_plain *table) {
    WEFT_ASSERT(is_empty(table) && !weft_plain_is_moving(table));
    weft_plain_packed nobodys = weft_plain_pack(side_of(&weft_plain_nowhere));
    set_sides(table, nobodys, nobodys);
}

/* The side before becomes `old`, and `now` a fresh side with so many buckets. False: nothing
 * changed. */
static bool push_side(weft_core *core, weft_plain *table, uint64_t buckets) {
    WEFT_ASSERT(buckets <= (uint64_t)1 << BUCKET_BITS_MAX && !weft_plain_is_moving(table));
    size_t size = buckets * sizeof(weft_plain_line);
    weft_plain_line *lines = weft_core_alloc_table(core, size, false);
    weft_remains *remains = NULL;
    if (lines != NULL && table->place != 0) {
        weft_core_place_table(core, lines, size, table->place - 1u);
    }
    if (lines != NULL && (table->outcast != NULL || weft_core_table_pieces(core, size) > 1)) {
        remains = weft_core_alloc(core, sizeof *remains, sizeof(void *));
        if (remains == NULL) {
            weft_core_free_table(core, lines, size);
            return false;
        }
        *remains = (weft_remains){.tables = {{lines, size}}};
        weft_remains_set(core, remains, remains_end);
    }
    if (lines != NULL) {
        weft_plain_packed fresh = weft_plain_pack((weft_plain_side){lines, buckets - 1});
        set_moved(table, 0);
        set_sides(table, fresh, is_empty(table) ? fresh : table->now);
        table->old_remains = table->remains;
        table->remains = remains;
    }
    return lines != NULL;
}

static void free_side(weft_core *core, const weft_plain *table, weft_plain_side side,
                      weft_remains *remains) {
    if (remains == NULL) {
        weft_core_free_table(core, side.lines, (side.mask + 1) * sizeof(weft_plain_line));
    } else if (table->outcast != NULL) {
        cast_out(table, &remains->block);
    } else {
        weft_core_bury(core, remains);
    }
}

static weft_plain_side old_side(const weft_plain *table) {
    return weft_plain_unpack(table->old);
}

static void free_old(weft_core *core, weft_plain *table) {
    weft_plain_side old = old_side(table);
    set_sides(table, table->now, table->now);
    free_side(core, table, old, table->old_remains);
}

/* ---- size ------------------------------------------------------------------------------------ */

/* Entries for which there is room in so many buckets. */
static uint64_t fits(uint64_t buckets) {
    uint64_t most = buckets / GROW_DENOMINATOR * GROW_NUMERATOR;
    return buckets <= TINY ? most / 4 : buckets <= SMALL ? most / 2 : most;
}

static uint64_t buckets_for(uint64_t entries) {
    unsigned bits = weft_bits_for(BUCKETS_MIN);
    while (bits < BUCKET_BITS_MAX && fits((uint64_t)1 << bits) < entries) {
        bits++;
    }
    return (uint64_t)1 << bits;
}

/* While the table moves every insert and removal comes to the rare parts. */
static void set_limits(weft_plain *table) {
    uint64_t buckets = buckets_of(table);
    bool moving = weft_plain_is_moving(table);
    bool shrinks = !table->grow_only && buckets > max_u64(BUCKETS_MIN, table->floor);
    table->grow_at = moving || is_empty(table) ? 0 : fits(buckets);
    uint64_t sparse = buckets / SHRINK_DIVISOR;
    /* And only if half of the table has room: else the next insert would double it again. */
    uint64_t fitting = fits(buckets / 2) / 4 * 3;
#if WEFT_MUTANT == 62 /* shrinks what has just grown */
    fitting = sparse;
#endif
    uint64_t few = sparse < fitting ? sparse : fitting;
    table->shrink_at = moving ? UINT64_MAX : shrinks ? few : 0;
}

static void move_bucket(weft_core *core, weft_plain *table, uint64_t index) {
    weft_plain_side now = weft_plain_now(table);
    WEFT_ASSERT(weft_plain_is_moving(table) && index <= old_side(table).mask);
    weft_plain_line *linked = &old_side(table).lines[index];
    for (bool first = true; linked != NULL; first = false) {
        weft_plain_line line = *linked;
        if (!first) {
            table->overflow_entries -= (uint64_t)__builtin_popcount(used_slots(&line));
            free_line(table, linked);
        }
        for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
            if (weft_plain_is_used(line.slots[i].word)) {
                uint64_t number = weft_plain_hash(line.slots[i].word, index);
                weft_plain_line *to = &now.lines[number & now.mask];
                unsigned empty = weft_plain_match(to, 0);
                if (WEFT_LIKELY(empty != 0)) {
                    weft_plain_set(&to->slots[__builtin_ctz(empty)], line.slots[i]);
                } else {
                    bool put = weft_plain_overflow(core, table, to, line.slots[i]);
                    WEFT_ASSERT(put);
                    (void)put;
                }
            }
        }
        linked = next_line(&line);
    }
    table->moved_buckets++;
}

/* Moves what becomes, or was, one bucket of the smaller side. */
static bool move_next(weft_core *core, weft_plain *table) {
    WEFT_ASSERT(weft_plain_is_moving(table));
    uint64_t old_mask = old_side(table).mask;
    uint64_t smaller = old_mask & weft_plain_now(table).mask;
    if (smaller < old_mask) {
        while (table->free_lines < HALVING_LINES) {
            if (!add_chunk(core, table)) {
                return false;
            }
        }
    }
    for (uint64_t i = table->moved; i <= old_mask; i += smaller + 1) {
        move_bucket(core, table, i);
    }
    trim_chunks(core, table, spare_chunks(table));
    set_moved(table, table->moved + 1);
    if (table->moved > smaller) {
        free_old(core, table);
        set_limits(table);
    }
    return true;
}

bool weft_plain_step(weft_core *core, weft_plain *table, uint64_t buckets) {
    for (; weft_plain_is_moving(table) && buckets > 0; buckets--) {
        if (!move_next(core, table)) {
            return false;
        }
    }
    return !weft_plain_is_moving(table);
}

/* Nothing is on the move. */
static bool resize(weft_core *core, weft_plain *table, uint64_t buckets) {
    WEFT_ASSERT(!weft_plain_is_moving(table));
    WEFT_ASSERT(buckets >= BUCKETS_MIN && (buckets & (buckets - 1)) == 0);
    uint64_t before = is_empty(table) ? 0 : buckets_of(table);
    if (!push_side(core, table, buckets)) {
        table->failures++;
        return false;
    }
    table->growths += before != 0 && buckets > before;
    table->shrinks += buckets < before;
    set_limits(table);
    if (table->at_once || before <= WEFT_PLAIN_AT_ONCE) {
        weft_plain_step(core, table, UINT64_MAX);
    }
    return true;
}

bool weft_plain_make_room(weft_core *core, weft_plain *table) {
    WEFT_ASSERT(table->entries >= table->grow_at);
    if (weft_plain_is_moving(table)) {
        weft_plain_step(core, table, table->at_once ? UINT64_MAX : WEFT_PLAIN_STEP);
    } else if (!is_empty(table)) {
        resize(core, table, buckets_of(table) * 2);
    } else if (!resize(core, table, max_u64(BUCKETS_MIN, table->floor))) {
        /* The expected number of entries is a hint: without memory for so many, begin small. */
        return resize(core, table, BUCKETS_MIN);
    }
    return true;
}

void weft_plain_after_removal(weft_core *core, weft_plain *table) {
    if (weft_plain_is_moving(table)) {
        weft_plain_step(core, table, table->at_once ? UINT64_MAX : WEFT_PLAIN_STEP);
    } else {
        resize(core, table, buckets_of(table) / 2);
    }
}

int weft_plain_reserve(weft_core *core, weft_plain *table, uint64_t entries) {
    WEFT_ASSERT(!weft_plain_has_left(table));
    uint64_t wanted = buckets_for(entries);
    if (!weft_plain_step(core, table, UINT64_MAX)) {
        return WEFT_E_NOMEM;
    }
    if ((is_empty(table) || buckets_of(table) < wanted) && !resize(core, table, wanted)) {
        return WEFT_E_NOMEM;
    }
    table->floor = wanted;
    set_limits(table);
    return WEFT_OK;
}

int weft_plain_shrink(weft_core *core, weft_plain *table) {
    WEFT_ASSERT(!weft_plain_has_left(table));
    uint64_t wanted = buckets_for(table->entries);
    table->floor = 0;
    set_limits(table);
    if (weft_plain_is_moving(table)) {
        return WEFT_OK;
    }
    if (is_empty(table) || wanted >= buckets_of(table)) {
        return WEFT_UNCHANGED;
    }
    return resize(core, table, buckets_of(table) / 2) ? WEFT_OK : WEFT_E_NOMEM;
}

int weft_plain_shrink_at_once(weft_core *core, weft_plain *table) {
    WEFT_ASSERT(!weft_plain_has_left(table));
    int status = WEFT_UNCHANGED;
    int last;
    while ((last = weft_plain_shrink(core, table)) == WEFT_OK) {
        if (!weft_plain_step(core, table, UINT64_MAX)) {
            return WEFT_E_NOMEM;
        }
        status = WEFT_OK;
    }
    return last == WEFT_E_NOMEM ? last : status;
}

/* ---- begin and end --------------------------------------------------------------------------- */

void weft_plain_open(weft_plain *table, uint64_t expected_entries) {
    table->face = NULL;
    weft_plain_packed empty = weft_plain_pack(side_of(&nothing));
    set_sides(table, empty, empty);
    set_moved(table, 0);
    table->entries = table->grow_at = table->shrink_at = 0;
    size_t seen = offsetof(weft_plain, floor); /* what is behind nobody sees who only peeks */
    memset((char *)table + seen, 0, sizeof *table - seen);
    table->floor = expected_entries == 0 ? 0 : buckets_for(expected_entries);
}

static void close_bucket(weft_core *core, weft_plain *table, weft_plain_line *line,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    for (bool first = true; line != NULL; first = false) {
        for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
            if (weft_plain_is_used(line->slots[i].word)) {
                drop(core, line->slots[i].cell);
            }
        }
        weft_plain_line *next = next_line(line);
        if (!first) {
            free_line(table, line);
            trim_chunks(core, table, 0);
        }
        line = next;
    }
}

bool weft_plain_close(weft_core *core, weft_plain *table, size_t *budget,
                      void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(!weft_plain_has_left(table) && budget != NULL);
    while (weft_plain_is_moving(table) || !is_empty(table)) {
        bool old = weft_plain_is_moving(table);
        weft_plain_side now = weft_plain_now(table);
        weft_plain_side side = old ? old_side(table) : now;
        for (; table->closing <= side.mask; table->closing++, --*budget) {
            if (*budget == 0) {
                return false;
            }
            if (!old || weft_plain_is_old(now, side, table->moved, table->closing)) {
                close_bucket(core, table, &side.lines[table->closing], drop);
            }
        }
        table->closing = 0;
        if (old) {
            free_old(core, table);
        } else {
            weft_block **outcast = table->outcast;
            weft_plain_side *face = table->face;
            weft_remains *remains = table->remains;
            trim_chunks(core, table, 0);
            weft_plain_open(table, 0);
            table->outcast = outcast;
            weft_plain_show(table, face);
            free_side(core, table, side, remains);
        }
    }
    return true;
}

/* ---- inspection ------------------------------------------------------------------------------ */

void weft_plain_stats(const weft_plain *table, weft_map_stats *stats) {
    WEFT_ASSERT(!weft_plain_has_left(table));
    uint64_t buckets = is_empty(table) ? 0 : buckets_of(table);
    uint64_t old = weft_plain_is_moving(table) ? old_side(table).mask + 1 : 0;
    stats->buckets += buckets;
    stats->table_bytes += (buckets + old) * sizeof(weft_plain_line) + table->chunks * sizeof(chunk);
    stats->overflow_entries += table->overflow_entries;
    stats->growths += table->growths;
    stats->shrinks += table->shrinks;
    stats->growth_failures += table->failures;
    stats->moved_buckets += table->moved_buckets;
    if (old != 0) {
        uint64_t smaller = (old < buckets ? old : buckets) - 1;
        stats->remaining_buckets += (smaller + 1 - table->moved) * (old / (smaller + 1));
    }
}

typedef struct counted {
    uint64_t entries;
    uint64_t overflow;
    uint64_t lines;
} counted;

/* Slots of a bucket with this word, and the key. */
static unsigned count_key(const weft_plain_line *line, uint64_t word, const weft_key *key,
                          weft_plain_same_fn same) {
    unsigned count = 0;
    for (; line != NULL; line = next_line(line)) {
        for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
            count +=
                line->slots[i].word == word && (same == NULL || same(line->slots[i].cell, key));
        }
    }
    return count;
}

/* How the keys of a table are told apart, for its check. */
typedef struct rules {
    weft_plain_same_fn same;
    weft_key (*key_of)(uint64_t hash, uint64_t cell);
} rules;

static const char *check_line(const weft_plain_side *side, uint64_t index,
                              const weft_plain_line *line, const rules *r) {
    WEFT_ASSERT(index <= side->mask);
    for (unsigned i = 0; i < WEFT_PLAIN_SLOTS; i++) {
        weft_plain_slot slot = line->slots[i];
        uint64_t hash = weft_plain_hash(slot.word, index);
        if (!weft_plain_is_used(slot.word)) {
            continue;
        }
        if ((hash & side->mask) != index) {
            return "P1 a key is in the bucket of its hash";
        }
        weft_key key = r->same == NULL ? (weft_key){.hash = hash} : r->key_of(hash, slot.cell);
        if (count_key(&side->lines[index], slot.word, &key, r->same) != 1) {
            return "P2 no key is in the table twice";
        }
    }
    return NULL;
}

static const char *check_bucket(const weft_plain_side *side, uint64_t index, const rules *r,
                                counted *sum) {
    WEFT_ASSERT(index <= side->mask);
    enum { BUT_LAST = (1 << (WEFT_PLAIN_SLOTS - 1)) - 1 };
    const weft_plain_line *first = &side->lines[index];
    const weft_plain_line *newest = next_line(first);
    for (const weft_plain_line *line = first; line != NULL; line = next_line(line)) {
        const char *broken = check_line(side, index, line, r);
        if (broken != NULL) {
            return broken;
        }
        unsigned used = used_slots(line);
        bool alone = line == newest && next_line(line) == NULL;
        if (line == newest ? used == 0 || (alone && (used & (used - 1)) == 0)
                           : newest != NULL && (used & BUT_LAST) != BUT_LAST) {
            return "P3 the lines of a bucket are full but for the newest one, which is needed";
        }
        sum->entries += (uint64_t)__builtin_popcount(used);
        sum->overflow += line == first ? 0 : (uint64_t)__builtin_popcount(used);
        sum->lines += line != first;
    }
    return NULL;
}

const char *weft_plain_check(const weft_plain *table, weft_plain_same_fn same,
                             weft_key (*key_of)(uint64_t hash, uint64_t cell)) {
    rules r = {same, key_of};
    counted sum = {0, 0, 0};
    const char *broken = NULL;
    weft_plain_side now = weft_plain_now(table);
    weft_plain_side old = old_side(table);
    for (uint64_t i = 0; i <= now.mask && broken == NULL; i++) {
        broken = check_bucket(&now, i, &r, &sum);
    }
    for (uint64_t i = 0; weft_plain_is_moving(table) && i <= old.mask && broken == NULL; i++) {
        if (weft_plain_is_old(now, old, table->moved, i)) {
            broken = check_bucket(&old, i, &r, &sum);
        }
    }
    if (broken == NULL &&
        (sum.entries != table->entries || sum.overflow != table->overflow_entries ||
         sum.lines + table->free_lines != table->chunks * CHUNK_LINES)) {
        broken = "P4 the counters count what is there";
    }
    return broken;
}

static weft_key key_of_entry(uint64_t hash, uint64_t cell) {
    return (weft_key){.hash = hash,
                      .bytes = weft_entry_key_bytes((const weft_entry *)(uintptr_t)cell)};
}

const char *weft_plain_check_in(const weft_core *core, const weft_plain *table) {
    return core->shape == WEFT_SHAPE_U64
               ? weft_plain_check(table, NULL, NULL)
               : weft_plain_check(table, weft_plain_same_entry, key_of_entry);
}

/* ---- walk ------------------------------------------------------------------------------------ */

typedef struct walking {
    weft_core *core;
    weft_step *step;
} walking;

static void emit(void *ctx, uint64_t hash, uint64_t cell) {
    walking *w = ctx;
    bool numbers = w->core->shape == WEFT_SHAPE_U64;
    w->step->emit(w->step, numbers ? weft_core_unhash_u64(w->core, hash) : 0, cell);
}

void weft_plain_walk(weft_core *core, const weft_plain *table, weft_step *step) {
    walking w = {core, step};
    step->next = weft_plain_visit(table, step->from, emit, &w);
}

int weft_plain_glance_anyhow(weft_core *core, uint64_t hash, uint64_t *cell, weft_record *record) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64);
    weft_key key = {.hash = hash};
    *cell = 0;
    bool found = core->engine->look[WEFT_SHAPE_U64](core, &key, cell);
    weft_epoch_end_show(record);
    return found ? WEFT_OK : WEFT_NOT_FOUND;
}
