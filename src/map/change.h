/* SPDX-License-Identifier: MIT */
/* How a write of the bytes shape goes: one loop for all of them: find the entry, decide, swing. The
 * decision is a compute callback; put, insert, cas, remove … are small ones of our own. No lock is
 * held while a user's runs, and nothing is changed if the swing finds another entry than the
 * decision saw. Around decisions of our own an engine with locks may keep them (`hold`). */
#ifndef WEFT_MAP_CHANGE_H
#define WEFT_MAP_CHANGE_H

#include "base/memory.h"
#include "engine/lockfree_bytes.h"
#include "map/recording.h"

/* Whose the key is that a new entry holds. */
typedef enum key_rule {
    KEY_COPIED = 0,          /* the caller's stays the caller's */
    KEY_TAKEN = 1,           /* as the map's mode says */
    KEY_TAKEN_IF_ABSENT = 2, /* likewise, if the key was absent; else copied */
} key_rule;

/* One write on its way. */
typedef struct change {
    weft_compute_fn decide;
    void *ctx;
    uint64_t at_least; /* the new version must be greater */
    bool constant;     /* decide always sets the same value: build the entry once */
    bool hash_given;   /* by the caller, who may be wrong: not made by this operation */
    bool hold;         /* decide is ours: it calls nothing of the user's */
    bool ahead;        /* ahead_value will be stored, mostly */
    bool removes;      /* never sets: needs no memory, also on a map that was never used */
    bool blind;        /* sets whatever is there, and tells nothing of it */
    key_rule key_rule;
    weft_bytes ahead_value;
    weft_ref *take;   /* gets a reference to the entry that is removed */
    weft_buffer *old; /* gets a copy of the value that was there, or of the one that is kept */
    int copied;       /* WEFT_OK or WEFT_TRUNCATED, if `old` was filled */
    weft_trace_op op; /* what a recording calls it, if it stores */
    weft_outcome outcome;
} change;

static inline void report_old(change *c, const weft_view *old) {
    c->copied = WEFT_OK;
    if (c->old == NULL || old == NULL) {
        return;
    }
    c->old->size = old->value.size;
    c->old->version = old->version;
    size_t size = old->value.size < c->old->capacity ? old->value.size : c->old->capacity;
    if (size != 0) {
        memcpy(c->old->data, old->value.data, size);
    }
    c->copied = size == old->value.size ? WEFT_OK : WEFT_TRUNCATED;
}

static inline void count_change(weft_core *core, const weft_entry *old, const weft_entry *made) {
    int64_t bytes = made == NULL ? 0 : (int64_t)weft_entry_bytes(made);
    bytes -= old == NULL ? 0 : (int64_t)weft_entry_bytes(old);
    weft_core_count(core, (made != NULL) - (old != NULL), bytes);
}

/* The map as a change works on it. The compiler keeps the fields in registers, as no call gets the
 * structure's address. */
typedef struct site {
    weft_map_impl *map;
    weft_core *core;
    weft_key *key; /* its hash is made again if it turns out to be wrong */
    weft_position *position;
    weft_entry *old;  /* what find saw */
    weft_entry *made; /* what is to be put there; not in the map yet */
    uint32_t stored;  /* bytes of the value that was put there */
    bool lost;        /* a swing failed in an earlier round */
    bool found_plain; /* engine lockfree: the key is in a slot of a bucket that is at rest */
} site;

static WEFT_NOINLINE void take_reference(weft_map_impl *map, weft_entry *entry, weft_ref *ref) {
    weft_entry_reference(entry);
    *ref = (weft_ref){.entry = entry, .map = map};
    weft_entry_look(entry, &ref->view); /* it is retired by our caller, later */
    weft_fetch_add_relaxed(&map->references, 1);
}

/* Carry out SET or DEL. WEFT_MISMATCH: look again. */
static WEFT_ALWAYS_INLINE int swing(site *at, change *c, bool keep) {
    weft_entry *made = keep ? at->made : NULL;
    at->position->at_least = c->at_least;
    int status =
        at->found_plain && keep
            ? plain_swing_word(at->core, at->key, at->position, (uintptr_t)made)
            : at->core->engine->swing(at->core, at->key, at->position, keep, (uintptr_t)made);
    if (WEFT_UNLIKELY(status != WEFT_OK)) {
        return status;
    }
    count_change(at->core, at->old, made);
    if (c->take != NULL) {
        take_reference(at->map, at->old, c->take);
    }
    c->outcome.version = at->position->version;
    return WEFT_OK;
}

/* What an entry of a map of plain ones holds. */
static inline void write_pieces(weft_entry *entry, size_t key_size, const weft_fresh *fresh) {
    unsigned char *to = entry->bytes + key_size;
    if (fresh->head.size != 0) {
        weft_copy_bytes(to, fresh->head.data, fresh->head.size);
    }
    weft_copy_bytes(to + fresh->head.size, fresh->body.data, fresh->body.size);
}

/* The same for a map of plain entries, without a call; NULL without memory. */
static inline weft_entry *make_plain(weft_bytes key, const weft_fresh *fresh, uint32_t flags) {
    size_t size = fresh->head.size + fresh->body.size;
    weft_entry *entry = weft_memory_take(weft_epoch_spares(), sizeof *entry + key.size + size);
    if (WEFT_LIKELY(entry != NULL)) {
        entry->value_size = (uint32_t)size;
        entry->key_size_and_flags = (uint32_t)key.size | flags;
        weft_copy_bytes(entry->bytes, key.data, key.size);
        write_pieces(entry, key.size, fresh);
    }
    return entry;
}

/* What there is to know of an entry beside its value. */
typedef struct blank {
    weft_map_impl *map;
    weft_bytes key;
    bool take_key;
} blank;

/* For any map. */
static WEFT_NOINLINE int make_any(const blank *from, weft_fresh fresh, weft_entry **made) {
    bool possible = fresh.head.size <= WEFT_VALUE_SIZE_MAX &&
                    fresh.body.size <= WEFT_VALUE_SIZE_MAX - fresh.head.size;
    size_t size = possible ? fresh.head.size + fresh.body.size : SIZE_MAX;
    int refusal = weft_entry_refusal(from->map, from->key.size, size);
    if (refusal != WEFT_OK) {
        return refusal;
    }
    *made = weft_entry_make(from->map, from->key, &fresh, from->take_key);
    return *made == NULL ? weft_entry_shortage(from->map) : WEFT_OK;
}

/* Make the entry that is to be stored, if it is not there from an earlier round. */
static WEFT_ALWAYS_INLINE int make(site *at, const change *c, const weft_fresh *fresh) {
    weft_bytes key = at->key->bytes;
    size_t size = fresh->head.size + fresh->body.size;
    bool plain =
        at->map->plain && fresh->head.size <= WEFT_VALUE_SIZE_MAX && size <= WEFT_VALUE_SIZE_MAX;
    if (at->made != NULL && c->constant) {
        return WEFT_OK;
    }
    if (at->made != NULL && plain && at->made->value_size == size) {
        write_pieces(at->made, key.size, fresh); /* over that of the earlier round */
        return WEFT_OK;
    }
    if (at->made != NULL) {
        weft_entry_discard(at->map, at->made);
        at->made = NULL;
    }
    if (WEFT_LIKELY(plain)) {
        at->made = make_plain(key, fresh, c->blind ? WEFT_ENTRY_BLIND : 0);
        return WEFT_LIKELY(at->made != NULL) ? WEFT_OK : WEFT_E_NOMEM;
    }
    bool take = c->key_rule == KEY_TAKEN || (c->key_rule != KEY_COPIED && at->old == NULL);
    blank from = {at->map, key, take};
    weft_entry *made = NULL;
    int status = make_any(&from, *fresh, &made);
    at->made = made;
    if (made != NULL && c->blind && at->map->copies) {
        made->key_size_and_flags |= WEFT_ENTRY_BLIND;
    }
    return status;
}

/* A key that is stored under another hash than its own is lost when the table grows. Where the
 * key was found the hash led to it; where it is to be inserted the hash is made again. True if it
 * was wrong. */
static bool correct_hash(site *at, change *c) {
    uint64_t given = at->key->hash;
    c->hash_given = false;
    at->key->hash = weft_core_hash_bytes(at->core, at->key->bytes);
    return at->key->hash != given;
}

/* No swing follows the find. */
static WEFT_NOINLINE void let_go(weft_core *core, weft_position *position) {
    weft_engine_let_go(core, position);
}

/* Since this write looked first, another one has put an entry there that did not ask what was
 * there before: as if it had been this write's. Then nobody can tell, and the write is over: its
 * moment is just before the other's. docs/design/update.md. */
static inline bool is_overtaken(const site *at, const weft_entry *before) {
#if WEFT_MUTANT == 60 /* overtaken by writes that asked */
    return at->old != NULL && at->old != before;
#elif WEFT_MUTANT == 61 /* by writes that were there before */
    return at->old != NULL && weft_entry_flag(at->old, WEFT_ENTRY_BLIND);
#endif
    return at->old != NULL && at->old != before && weft_entry_flag(at->old, WEFT_ENTRY_BLIND);
}

/* One round: WEFT_OK, WEFT_UNCHANGED, WEFT_ABORTED, an error, or WEFT_MISMATCH for one more. */
static WEFT_ALWAYS_INLINE int attempt(site *at, weft_compute_fn decide, change *c) {
    const weft_entry *before = at->old;
    at->position->hold = c->hold;
    at->found_plain = plain_find_word(at->core, at->key, at->position);
    if (WEFT_UNLIKELY(!at->found_plain)) {
        at->core->engine->find[WEFT_SHAPE_BYTES](at->core, at->key, at->position);
    }
    at->found_plain = at->found_plain && at->position->present;
    at->old = at->position->present ? (weft_entry *)(uintptr_t)at->position->cell : NULL;
    weft_view view = {.version = 0};
    if (at->old != NULL && WEFT_UNLIKELY(!weft_entry_look(at->old, &view))) {
        let_go(at->core, at->position);
        return WEFT_MISMATCH;
    }
    if (c->blind && WEFT_UNLIKELY(at->lost) && is_overtaken(at, before)) {
        let_go(at->core, at->position);
        at->stored = at->made->value_size;
        return WEFT_OK;
    }
    if (WEFT_UNLIKELY(c->hash_given) && at->old == NULL && !c->removes && correct_hash(at, c)) {
        return WEFT_MISMATCH;
    }
    const weft_view *old = at->old != NULL ? &view : NULL;
    weft_fresh fresh = {{NULL, 0}, {NULL, 0}};
    weft_verdict verdict = decide(c->ctx, old, &fresh);
    if (verdict == WEFT_DEL && old == NULL) {
        verdict = WEFT_KEEP;
    }
    c->outcome = (weft_outcome){verdict, old != NULL, view.version, at->core->era};
    if (verdict == WEFT_KEEP || verdict == WEFT_ABORT) {
        let_go(at->core, at->position);
        report_old(c, old);
        return verdict == WEFT_KEEP ? WEFT_UNCHANGED : WEFT_ABORTED;
    }
    bool keep = verdict == WEFT_SET;
    int status = keep ? make(at, c, &fresh) : WEFT_OK;
    if (status == WEFT_OK) {
        status = swing(at, c, keep);
        at->lost = at->lost || status == WEFT_MISMATCH;
    } else {
        let_go(at->core, at->position);
    }
    if (status == WEFT_OK) {
        report_old(c, old);
        if (old != NULL) {
            weft_entry_retire(at->core, at->old, keep ? WEFT_REPLACED : WEFT_REMOVED);
        }
        at->stored = keep ? at->made->value_size : 0;
        at->made = keep ? NULL : at->made;
    }
    return status;
}

/* Another thread writes the same key: while this one waits, that one need not wait for the lines of
 * its bucket and entry. */
static WEFT_NOINLINE void back_off(unsigned *losses) {
    enum { FIRST = 4, TIMES_MAX = 6 };
    for (unsigned i = 0; i < (unsigned)FIRST << *losses; i++) {
        weft_relax();
    }
    *losses += *losses < TIMES_MAX;
}

/* Inside a guard, with the key's hash. */
static WEFT_ALWAYS_INLINE int run_site(site *at, weft_compute_fn decide, change *c) {
    at->position->again = false;
    if (c->ahead && WEFT_UNLIKELY(weft_engine_keeps_lock(at->core->engine))) {
        /* Before the engine takes a lock. An insert that finds the key has made it for nothing;
         * without memory it is tried again when it is wanted. */
        (void)make(at, c, &(weft_fresh){.body = c->ahead_value});
    }
    unsigned losses = 0;
    int status;
    while ((status = attempt(at, decide, c)) == WEFT_MISMATCH) {
        at->position->again = true;
        weft_core_count_retry(at->core);
        if (at->lost && at->found_plain && !c->blind) { /* else a bucket had to move first */
            back_off(&losses);
        }
    }
    if (WEFT_UNLIKELY(at->made != NULL)) {
        weft_entry_discard(at->map, at->made);
    }
    weft_recording_filter *recording = weft_recording_for(at->map, at->key);
    if (WEFT_UNLIKELY(recording != NULL)) {
        weft_recorded_write write = {c->op, status, c->outcome.verdict, c->outcome.existed,
                                     at->stored};
        weft_recording_note_write(recording, at->key, &write);
    }
    weft_map_bury(at->map);
    return status;
}

static WEFT_ALWAYS_INLINE int run_here(weft_map *map, weft_bytes bytes, weft_compute_fn decide,
                                       change *c) {
    if (WEFT_UNLIKELY(bytes.size > WEFT_KEY_SIZE_MAX)) {
        return WEFT_E_TOOBIG;
    }
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (WEFT_UNLIKELY(impl == NULL)) {
        if (c->removes) {
            return WEFT_NOT_FOUND;
        }
        impl = weft_map_of(&map->impl, WEFT_SHAPE_BYTES);
        if (impl == NULL) {
            return WEFT_E_NOMEM;
        }
    }
    unsigned chances = 0;
    int status;
    do {
        weft_guard guard;
        weft_epoch_enter(&guard);
        weft_core *core = weft_map_core(impl);
        weft_key key = weft_key_of_bytes(core, bytes);
        weft_position position;
        site at = {.map = impl, .core = core, .key = &key, .position = &position};
        status = run_site(&at, decide, c);
        weft_epoch_leave(&guard);
    } while (WEFT_UNLIKELY(status < 0) && weft_map_another_chance(impl, status, &chances));
    return status;
}

#endif
