/* SPDX-License-Identifier: MIT */
/* Engine "fixed": all memory is there from the beginning. Nothing grows, moves, or is allocated
 * after open; a table without room says WEFT_E_FULL.
 *
 * Design
 *   Buckets of one line, and a stock of further lines that full buckets take, for good. Three pairs
 *   a line. There are as many buckets as entries are expected, or more, and half as many lines in
 *   the stock.
 * Layout
 *   header | buckets | stock, at multiples of 64 bytes, with indices in place of addresses: the
 *   u64 shape works in memory that processes share, wherever each of them maps it. A bucket is
 *   that of engine "lockfree" (lockfree_layout.h), of which the lookups that are compiled into the
 *   caller know the state's filter and the pairs; the link is the number of a line of the stock.
 *   In the bytes shape a pair's value is the address of an entry, from a stock of entries
 *   (src/map).
 * Concurrency
 *   docs/design/fixed.md: an insert claims an empty pair, publishes that it did in the state of
 *   the key's bucket, and fills the pair; each is one CAS. Claims belong to nobody: whoever
 *   inserts the key goes on with one that it finds, and any may be taken away. So a thread, or a
 *   process, that is killed between two steps leaves nothing that others have to wait for.
 * Rejected
 *   Linear probing: a key that is removed leaves a mark, and marks go by moving. Robust mutexes:
 *   who takes one from the dead has to repair what they left.
 * Credits
 *   Purcell and Harris (2005), who insert in steps that others can tell apart; Harris, Fraser and
 *   Pratt (2002), whose operations are finished by whoever meets them.
 */
#include "engine/fixed_layout.h"

#include "base/assert.h"
#include <stdio.h>

enum { WALK_CELLS = 48 };

/* ---- looking --------------------------------------------------------------------------------- */

/* A pair, and what a look found in it. */
typedef struct found {
    weft_pair *at; /* NULL: there is none */
    weft_pair was;
    bool chained; /* outside of the bucket's own line */
} found;

/* What a look through a bucket and its lines found. */
typedef struct scan {
    uint64_t state;
    found live;    /* the key */
    found claim;   /* the first claim for its hash */
    found again;   /* another claim for it */
    found empty;   /* the first empty pair */
    found foreign; /* a claim for another hash */
    bucket *last;
} scan;

static bool is_key(const weft_core *core, const weft_key *key, uint64_t second) {
    /* What is no address is odd: the pair has got another content meanwhile. */
    return core->shape == WEFT_SHAPE_U64 ||
           ((second & 1) == 0 &&
            weft_entry_has_key((const weft_entry *)(uintptr_t)second, key->bytes));
}

static void note(found *what, const found *here) {
    if (what->at == NULL) {
        *what = *here;
    }
}

static void scan_pair(const weft_core *core, const weft_key *key, const found *here, scan *s) {
    WEFT_ASSERT(here->at != NULL && s->live.at == NULL);
    uint64_t first = here->was.first;
    uint64_t wanted = (key->hash & PAIR_HASH) | PAIR_USED;
    if (pair_is_empty(first)) {
        note(&s->empty, here);
    } else if ((first & PAIR_CLAIMED) == 0) {
        if (first == wanted && is_key(core, key, here->was.second)) {
            note(&s->live, here);
        }
    } else if (first == (wanted | PAIR_CLAIMED)) {
        note(s->claim.at == NULL ? &s->claim : &s->again, here);
    } else {
        note(&s->foreign, here);
    }
}

static void scan_line(const weft_core *core, const weft_key *key, bucket *at, scan *s) {
    for (unsigned i = 0; i < PAIRS && s->live.at == NULL; i++) {
        found here = {.at = &at->pairs[i], .chained = s->last != NULL};
        here.was.first = weft_load_acquire(&here.at->first); /* pairs with the CAS of its writer */
        here.was.second = weft_load_second_acquire(here.at); /* likewise */
        scan_pair(core, key, &here, s);
    }
    s->last = at;
}

/* A look that no insert disturbed, if it found the key. */
static scan look(const weft_core *core, const fixed_table *table, const weft_key *key) {
    bucket *home = fixed_bucket(table, key->hash);
    scan s;
    do {
        s = (scan){.state = weft_load_acquire(&home->head.first)}; /* pairs with its CAS */
        for (bucket *at = home; at != NULL && s.live.at == NULL; at = fixed_next(table, at)) {
            scan_line(core, key, at, &s);
        }
        /* The pair's two words are of one tenant: before another one gets it the state changes. */
    } while (s.live.at != NULL &&
             weft_load_acquire(&home->head.first) != s.state); /* pairs with its CAS */
    WEFT_ASSERT(s.live.at == NULL || !pair_is_empty(s.live.was.first));
    return s;
}

/* The key in a bucket and its lines: what `look` finds as live, and nothing of what an insert wants
 * to know besides. The state must be the same afterwards. */
static found look_for_live(const weft_core *core, const fixed_table *table, const weft_key *key) {
    uint64_t wanted = (key->hash & PAIR_HASH) | PAIR_USED;
    WEFT_ASSERT((wanted & (PAIR_CLAIMED | PAIR_GONE)) == 0 && !pair_is_empty(wanted));
    for (bucket *at = fixed_bucket(table, key->hash); at != NULL; at = fixed_next(table, at)) {
        for (unsigned i = 0; i < PAIRS; i++) {
            weft_pair *pair = &at->pairs[i];
            if (weft_load_acquire(&pair->first) == wanted) { /* pairs with the CAS of its writer */
                uint64_t second = weft_load_second_acquire(pair); /* likewise */
                if (is_key(core, key, second)) {
                    return (found){.at = pair, .was = {wanted, second}};
                }
            }
        }
    }
    return (found){.at = NULL};
}

static found find_live(const weft_core *core, const fixed_table *table, const weft_key *key) {
    const bucket *home = fixed_bucket(table, key->hash);
    for (;;) {
        uint64_t state = weft_load_acquire(&home->head.first); /* pairs with its CAS */
        found live = look_for_live(core, table, key);
        /* As in look: the pair's two words are of one tenant. Pairs with its CAS. */
        if (live.at == NULL || weft_load_acquire(&home->head.first) == state) {
            return live;
        }
    }
}

static bool fixed_look(weft_core *core, const weft_key *key, uint64_t *out) {
    found live = find_live(core, fixed_of(core), key);
    if (live.at != NULL) {
        *out = live.was.second;
    }
    return live.at != NULL;
}

static void fixed_find(weft_core *core, const weft_key *key, weft_position *position) {
    found live = find_live(core, fixed_of(core), key);
    position->present = live.at != NULL;
    position->cell = live.was.second;
    position->words[0] = (uintptr_t)live.at;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* An insert on its way. */
typedef struct insertion {
    const weft_key *key;
    weft_position *position;
    uint64_t desired;
} insertion;

/* Another state for the bucket: a higher version, and perhaps a bit of the filter. */
static bool raise_state(bucket *home, uint64_t *state, uint64_t version, uint64_t filter) {
    uint64_t next = version << VERSION_SHIFT | LIVE | (*state & FILTER_MASK) | filter;
    /* Release: what was done before; acquire: what others did. Pairs with the loads of state. */
    return weft_cas_seq_cst(&home->head.first, state, next);
}

/* What is left of a pair whose claim or key is taken away: unlike all that was in it before. The
 * value stays, for a reader who has seen the key already. */
static weft_pair gone(const fixed_table *table, weft_pair was) {
    return (weft_pair){fixed_stamp(table) << 6 | PAIR_USED | PAIR_GONE, was.second};
}

static bool take_away(const fixed_table *table, const found *what) {
    return weft_cas_pair_seq_cst(what->at, what->was, gone(table, what->was));
}

/* Claim an empty pair for the hash. Before a pair that had a key gets another content the state
 * changes: a reader may have seen that key, and not yet its value. */
static void claim(const fixed_table *table, const weft_key *key, scan *s) {
    WEFT_ASSERT(pair_is_empty(s->empty.was.first));
    bool used = s->empty.was.first != 0;
#if WEFT_MUTANT == 44 /* readers get a claim's number for a value */
    used = false;
#endif
    if (used &&
        !raise_state(fixed_bucket(table, key->hash), &s->state, version_of(s->state) + 1, 0)) {
        return;
    }
    weft_pair claimed = {(key->hash & PAIR_HASH) | PAIR_USED | PAIR_CLAIMED,
                         fixed_stamp(table) << 1 | 1};
    (void)weft_cas_pair_seq_cst(s->empty.at, s->empty.was, claimed);
}

/* Put a line of the stock behind the last one. False: there is none. */
static bool extend(fixed_table *table, bucket *last) {
    WEFT_ASSERT(last != NULL);
    uint64_t line = weft_exchange_acq_rel(&table->spare, 0); /* pairs with the exchange below */
    if (line == 0) {
        line = weft_load_relaxed(&table->header->taken);
        do {
            if (line >= table->header->stock) {
                return false;
            }
        } while (!weft_cas_relaxed(&table->header->taken, &line, line + 1));
        line++;
    }
    uint64_t none = 0;
    if (!weft_cas_seq_cst(&last->head.second, &none, line)) { /* pairs with the loads of links */
        (void)weft_exchange_acq_rel(&table->spare, line);
    }
    return true;
}

/* Room for the key in its bucket. False: there is none. */
static bool make_room(fixed_table *table, scan *s) {
    if (extend(table, s->last)) {
        return true;
    }
    if (s->foreign.at == NULL) {
        return false;
    }
    (void)take_away(table, &s->foreign); /* whoever made it claims once more, or is no more */
    return true;
}

/* The claim becomes the key. */
static bool publish_and_fill(weft_core *core, const insertion *in, scan *s) {
    bucket *home = fixed_bucket(fixed_of(core), in->key->hash);
    uint64_t version = max_u64(version_of(s->state), in->position->at_least) + 1;
    WEFT_ASSERT(s->claim.at != NULL && s->live.at == NULL);
    if (core->shape == WEFT_SHAPE_BYTES) {
        in->position->version = version;
        weft_store_relaxed(&((weft_entry *)(uintptr_t)in->desired)->version, version);
    }
    uint64_t filter = s->claim.chained ? filter_bit(in->key->hash) : 0;
#if WEFT_MUTANT == 50 /* two inserts of a key both succeed */
    (void)raise_state(home, &s->state, version, filter);
#else
    if (!raise_state(home, &s->state, version, filter)) {
        return false;
    }
#endif
    weft_pair filled = {(in->key->hash & PAIR_HASH) | PAIR_USED, in->desired};
    return weft_cas_pair_seq_cst(s->claim.at, s->claim.was, filled); /* the linearization point */
}

static int insert(weft_core *core, const insertion *in) {
    fixed_table *table = fixed_of(core);
    for (;;) {
        scan s = look(core, table, in->key);
        if (s.live.at != NULL) {
            return WEFT_MISMATCH;
        }
        if (s.again.at != NULL) {
            (void)take_away(table, &s.again);
        } else if (s.claim.at != NULL) {
            if (publish_and_fill(core, in, &s)) {
                return WEFT_OK;
            }
        } else if (s.empty.at != NULL) {
            claim(table, in->key, &s);
        } else if (!make_room(table, &s)) {
            weft_fetch_add_relaxed(&table->refusals, 1);
            return WEFT_E_FULL;
        }
    }
}

/* Bytes shape: the version of the write of an entry that is there. */
static void stamp(const weft_core *core, weft_position *position) {
    if (core->shape == WEFT_SHAPE_BYTES) {
        const weft_entry *entry = (const weft_entry *)(uintptr_t)position->cell;
        /* Acquire: before the loads of is_as_seen. Pairs with the release of the link. */
        uint64_t version = weft_load_acquire(&entry->version);
        position->version = max_u64(version, position->at_least) + 1;
    }
}

/* Is the pair what find saw? Asked after the load of the version, which is a link as soon as the
 * entry is retired: then it was none. An entry that has left does not come back under a guard. */
static bool is_as_seen(const found *what) {
    /* Acquires: in this order. Pairs with the CAS of who removes or replaces it. */
    return weft_load_acquire(&what->at->first) == what->was.first &&
           weft_load_second_acquire(what->at) == what->was.second;
}

static int replace(weft_core *core, const weft_key *key, weft_position *position,
                   uint64_t desired) {
    stamp(core, position);
    if (core->shape == WEFT_SHAPE_BYTES) {
        weft_store_relaxed(&((weft_entry *)(uintptr_t)desired)->version, position->version);
    }
    uint64_t first = (key->hash & PAIR_HASH) | PAIR_USED;
    weft_pair *at = (weft_pair *)(uintptr_t)position->words[0];
    return weft_cas_pair_seq_cst(at, (weft_pair){first, position->cell},
                                 (weft_pair){first, desired})
               ? WEFT_OK
               : WEFT_MISMATCH;
}

/* Bytes shape: the bucket remembers the version of what is removed before it is. */
static int remove_key(weft_core *core, const weft_key *key, weft_position *position) {
    fixed_table *table = fixed_of(core);
    bucket *home = fixed_bucket(table, key->hash);
    found what = {.at = (weft_pair *)(uintptr_t)position->words[0]};
    what.was = (weft_pair){(key->hash & PAIR_HASH) | PAIR_USED, position->cell};
    stamp(core, position);
    if (core->shape == WEFT_SHAPE_BYTES) {
        if (!is_as_seen(&what)) {
            return WEFT_MISMATCH;
        }
        uint64_t state = weft_load_acquire(&home->head.first); /* pairs with its CAS */
        while (version_of(state) < position->version &&
               !raise_state(home, &state, position->version, 0)) {
        }
    }
    return take_away(table, &what) ? WEFT_OK : WEFT_MISMATCH;
}

static int fixed_swing(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                       uint64_t desired) {
    WEFT_ASSERT(weft_epoch_inside());
    WEFT_ASSERT(!keep || core->shape == WEFT_SHAPE_U64 || desired != 0);
    if (!position->present) {
        return keep ? insert(core, &(insertion){key, position, desired}) : WEFT_OK;
    }
    return keep ? replace(core, key, position, desired) : remove_key(core, key, position);
}

/* ---- walk ------------------------------------------------------------------------------------ */

/* The cells of a bucket, of one moment; those beyond WALK_CELLS by themselves, perhaps of another
 * one. */
typedef struct visit {
    weft_core *core;
    weft_step *step;
    bool filter;
    uint64_t index;
    unsigned count;
    weft_pair cells[WALK_CELLS];
} visit;

static bool load_live(bucket *home, weft_pair *at, weft_pair *pair) {
    uint64_t state;
    do {
        state = weft_load_acquire(&home->head.first);        /* pairs with its CAS */
        pair->first = weft_load_acquire(&at->first);         /* pairs with the CAS of its writer */
        pair->second = weft_load_second_acquire(at);         /* likewise */
    } while (weft_load_acquire(&home->head.first) != state); /* pairs with its CAS */
    return !pair_is_empty(pair->first) && (pair->first & PAIR_CLAIMED) == 0;
}

static void visit_emit(const visit *v, const weft_pair *pair) {
    uint64_t hash = (pair->first & PAIR_HASH) | (v->index & ~PAIR_HASH);
    if (v->filter && weft_reverse_bits(hash) < v->step->from) {
        return;
    }
    bool number = v->core->shape == WEFT_SHAPE_U64;
    v->step->emit(v->step, number ? weft_core_unhash_u64(v->core, hash) : 0, pair->second);
}

/* From pair number `from` of the bucket on, as many as there is room for. True: there are more. */
static bool collect(visit *v, const fixed_table *table, uint64_t from) {
    WEFT_ASSERT(v->index <= table->mask);
    bucket *home = &table->buckets[v->index];
    uint64_t passed = 0;
    v->count = 0;
    for (bucket *at = home; at != NULL; at = fixed_next(table, at)) {
        for (unsigned i = 0; i < PAIRS; i++, passed++) {
            if (passed < from) {
                continue;
            }
            if (passed == from + WALK_CELLS) {
                return true;
            }
            v->count += load_live(home, &at->pairs[i], &v->cells[v->count]);
        }
    }
    return false;
}

static void fixed_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL);
    const fixed_table *table = fixed_of(core);
    uint64_t rest = UINT64_MAX >> weft_bits_for(table->mask + 1);
    visit v = {.core = core, .step = step, .filter = (step->from & rest) != 0};
    v.index = weft_reverse_bits(step->from) & table->mask;
    bool more = true;
    for (uint64_t from = 0; more; from += WALK_CELLS) {
        uint64_t state;
        do {
            state = weft_load_acquire(&table->buckets[v.index].head.first); /* with its CAS */
            more = collect(&v, table, from);
            /* Pairs with its CAS. */
        } while (weft_load_acquire(&table->buckets[v.index].head.first) != state);
        for (unsigned i = 0; i < v.count; i++) {
            visit_emit(&v, &v.cells[i]);
        }
    }
    step->next = (step->from | rest) + 1;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static bool fixed_close(weft_core *core, size_t budget,
                        void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    fixed_table *table = fixed_of(core);
    bool own = table->own_bytes != 0; /* others may go on with what is shared */
    for (; own && table->closing <= table->mask; table->closing++, budget--) {
        if (budget == 0) {
            return false;
        }
        bucket *home = &table->buckets[table->closing];
        for (bucket *at = home; at != NULL; at = fixed_next(table, at)) {
            for (unsigned i = 0; i < PAIRS; i++) {
                weft_pair pair;
                if (load_live(home, &at->pairs[i], &pair)) {
                    drop(core, pair.second);
                }
            }
        }
    }
    weft_fixed_detach(core);
    return true;
}

static int fixed_reserve(weft_core *core, uint64_t entries) {
    return entries <= fixed_of(core)->mask + 1 ? WEFT_OK : WEFT_E_FULL;
}

static int fixed_shrink(weft_core *core) {
    (void)core;
    return WEFT_UNCHANGED;
}

static bool fixed_maintain(weft_core *core, size_t budget) {
    (void)core;
    (void)budget;
    return true;
}

static void count_entry(weft_step *step, uint64_t number, uint64_t value) {
    (void)number;
    (void)value;
    ++*(uint64_t *)step->ctx;
}

/* Shared: what each process counted is not known to the others. */
static uint64_t fixed_entries(weft_core *core) {
    uint64_t count = 0;
    weft_step step = {.emit = count_entry, .ctx = &count};
    do {
        fixed_walk(core, &step);
        step.from = step.next;
    } while (step.next != 0);
    return count;
}

static void fixed_stats(weft_core *core, weft_map_stats *stats) {
    const fixed_table *table = fixed_of(core);
    WEFT_ASSERT(table->header->magic == FIXED_MAGIC);
    stats->buckets = table->mask + 1;
    stats->table_bytes += fixed_bytes_of(table->mask + 1, table->header->stock);
    stats->overflow_entries = 0;
    stats->growth_failures += weft_load_relaxed(&table->refusals);
}

static const char *broken_line(const weft_core *core, const fixed_table *table, uint64_t index,
                               bucket *at) {
    WEFT_ASSERT(index <= table->mask);
    for (unsigned i = 0; i < PAIRS; i++) {
        uint64_t first = at->pairs[i].first;
        if (pair_is_empty(first) || (first & PAIR_CLAIMED) != 0) {
            continue;
        }
        weft_key key = {.hash = (first & PAIR_HASH) | (index & ~PAIR_HASH)};
        if (core->shape == WEFT_SHAPE_BYTES) {
            const weft_entry *entry = (const weft_entry *)(uintptr_t)at->pairs[i].second;
            key.bytes = weft_entry_key_bytes(entry);
            key.hash = weft_core_hash_bytes(core, key.bytes);
        }
        if ((key.hash & table->mask) != index) {
            return "F1 a key is in the bucket of its hash";
        }
        if (look(core, table, &key).live.at != &at->pairs[i]) {
            return "F2 no key is in a bucket twice";
        }
        bucket *home = &table->buckets[index];
        if (at != home && (home->head.first & filter_bit(key.hash)) == 0) {
            return "F3 the filter has the bit of every key outside of the bucket's line";
        }
    }
    return NULL;
}

static const char *broken_invariant(weft_core *core, const fixed_table *table) {
    WEFT_ASSERT(core->table == table);
    uint64_t lines = 0;
    for (uint64_t i = 0; i <= table->mask; i++) {
        bucket *at = &table->buckets[i];
        for (; at != NULL; at = fixed_next(table, at)) {
            const char *broken = broken_line(core, table, i, at);
            if (at->head.second > table->header->taken) {
                return "F4 a link leads to a line that was taken from the stock";
            }
            if (broken != NULL || ++lines > table->mask + 1 + table->header->stock) {
                return broken != NULL ? broken : "F5 no line is in two buckets";
            }
        }
    }
    return table->own_bytes != 0 && fixed_entries(core) != weft_core_entries(core)
               ? "F6 the counters count the entries"
               : NULL;
}

static int fixed_check(weft_core *core, char *text, size_t capacity) {
    const char *broken = broken_invariant(core, fixed_of(core));
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "fixed: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

static void fixed_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    const fixed_table *table = fixed_of(core);
    char line[96];
    snprintf(line, sizeof line, "%llu buckets, %llu of %llu lines of the stock taken",
             (unsigned long long)(table->mask + 1),
             (unsigned long long)weft_load_relaxed(&table->header->taken),
             (unsigned long long)table->header->stock);
    print(ctx, line);
}

const weft_engine weft_engine_fixed = {
    .name = "fixed",
    .id = WEFT_ENGINE_FIXED,
    .caps = WEFT_CAP_LOCK_FREE | WEFT_CAP_THREADS,
    .choose = "a size that is known, no allocation after open, or numbers in memory that processes "
              "share and that survives a process that is killed",
    .do_not_choose = "a number of entries that is not known, or records of very different sizes",
    .open = weft_fixed_open,
    .close = fixed_close,
    .find = {fixed_find, fixed_find},
    .look = {fixed_look, fixed_look},
    .swing = fixed_swing,
    .walk = fixed_walk,
    .reserve = fixed_reserve,
    .shrink = fixed_shrink,
    .maintain = fixed_maintain,
    .entries = fixed_entries,
    .stats = fixed_stats,
    .check = fixed_check,
    .dump = fixed_dump,
};
