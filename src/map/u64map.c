/* SPDX-License-Identifier: MIT */
/* weft_u64map: operations on one key. As for bytes, all writes are one loop of find, decide, swing;
 * here the cell is the value. */
#include "map/recording.h"
#include "map/u64ahead.h"

#include <weft/u64map.h>

int weft_u64map_open(weft_u64map *map, const weft_map_options *options) {
    weft_map_impl *made = NULL;
    int status = map == NULL ? WEFT_E_INVALID : weft_map_make(WEFT_SHAPE_U64, options, &made);
    if (status == WEFT_OK) {
        map->impl = made;
    }
    return status;
}

int weft_u64map_close(weft_u64map *map) {
    int status = map->impl == NULL ? WEFT_OK : weft_map_unmake(map->impl);
    if (status == WEFT_OK) {
        map->impl = NULL;
    }
    return status;
}

static weft_map_impl *existing(weft_u64map *map) {
    return weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* Inside a guard. */
static inline int get_by_engine(weft_core *core, const weft_key *key, uint64_t *value) {
    *value = 0;
    return core->engine->look[WEFT_SHAPE_U64](core, key, value) ? WEFT_OK : WEFT_NOT_FOUND;
}

/* Inside a guard: the plain case first. */
static inline int get_plainly(weft_core *core, const weft_key *key, uint64_t *value) {
    int status;
    if (weft_map_plain_record() != NULL && plain_get(core, key->hash, value, &status)) {
        return status;
    }
    return get_by_engine(core, key, value);
}

int weft_u64map_get_slow(weft_u64map *map, uint64_t key, uint64_t *value) {
    weft_map_impl *impl = existing(map);
    *value = 0;
    if (WEFT_UNLIKELY(impl == NULL)) {
        return WEFT_NOT_FOUND;
    }
    weft_guard guard;
    weft_epoch_enter(&guard);
    weft_core *core = weft_map_core(impl);
    weft_key wanted = weft_key_of_u64(core, key);
    weft_recording_note_get(impl, &wanted);
    int status = get_plainly(core, &wanted, value);
    weft_epoch_leave(&guard);
    return status;
}

#ifdef WEFT_CALLS_ONLY
int weft_u64map_get(weft_u64map *map, uint64_t key, uint64_t *value) {
    return weft_u64map_get_slow(map, key, value);
}
#else
/* Both ways are jumps: nothing is saved, and nothing is left to do here. */
WEFT_HOT int weft_u64map_get_shown(weft_u64map *map, uint64_t key, uint64_t *value, void *record) {
    weft_map_impl *impl = existing(map);
    weft_core *core = weft_map_core(impl);
    uint64_t hash = weft_mix_with(&core->mixer, key);
    if (core->engine->glance != NULL && !weft_recording_may_want(impl, hash)) {
        return core->engine->glance(core, hash, value, record);
    }
    weft_epoch_end_show(record);
    return weft_u64map_get_slow(map, key, value);
}

WEFT_HOT int weft_u64map_get_noted(weft_u64map *map, uint64_t key, uint64_t *value, uint64_t hash) {
    weft_record *record = weft_inline_thread;
    weft_key noted = {.hash = hash, .number = key};
    weft_epoch_keep_shown(record);
    weft_map_impl *impl = existing(map);
    weft_recording_note_get(impl, &noted);
    int status = get_plainly(weft_map_core(impl), &noted, value);
    weft_epoch_leave_record(record);
    return status;
}

#undef weft_u64map_get
/* For callers that cannot compile the header's: other languages. */
WEFT_HOT int weft_u64map_get(weft_u64map *map, uint64_t key, uint64_t *value) {
    return weft_inline_u64map_get(map, key, value);
}

_Static_assert(offsetof(weft_map_impl, era) == offsetof(struct weft_inline_map, era) &&
                   offsetof(weft_map_impl, unrecorded) ==
                       offsetof(struct weft_inline_map, unrecorded) &&
                   offsetof(weft_era, core) == 0 && offsetof(weft_core, root) == 0 &&
                   offsetof(weft_core, mixer) == offsetof(struct weft_inline_era, mix) &&
                   offsetof(weft_core, open) == offsetof(struct weft_inline_era, open) &&
                   offsetof(weft_core, plain) == offsetof(struct weft_inline_era, plain) &&
                   offsetof(weft_record, pinned) == offsetof(struct weft_inline_record, pinned),
               "the header's view of the inside agrees");
#endif

int weft_u64map_contains(weft_u64map *map, uint64_t key) {
    uint64_t value;
    return weft_u64map_get(map, key, &value);
}

size_t weft_u64map_part(weft_u64map *map, uint64_t key, size_t parts) {
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_U64);
    if (!weft_parts_are_right(parts) || impl == NULL) {
        return SIZE_MAX;
    }
    weft_guard guard;
    weft_epoch_enter(&guard); /* the era, and its mixer, may be freed by a clear */
    uint64_t hash = weft_key_of_u64(weft_map_core(impl), key).hash;
    weft_epoch_leave(&guard);
    return hash & (parts - 1);
}

/* ---- the loop of writes ---------------------------------------------------------------------- */

typedef struct change {
    void *ctx;
    uint64_t key;
    weft_trace_op op; /* what a recording calls it, if it stores */
    bool removes;     /* never sets: needs no memory, also on a map that was never used */
    bool hold;        /* the decision is ours: an engine may keep its lock around it */
    bool again;       /* an attempt has failed */
    bool existed;
    uint64_t old;   /* the value before, if it existed */
    uint64_t fresh; /* the value stored, if one was */
    weft_verdict verdict;
    uint64_t era;
    bool plain;         /* the attempt is one at the plain case */
    bool announced;     /* the attempt at the plain case was made, which may have announced it */
    weft_record *shown; /* NULL, or this thread's, which shows the epoch */
} change;

/* c->plain is known to the compiler: the attempt is inlined, or goes through the engine. */
static WEFT_ALWAYS_INLINE int attempt(weft_core *core, const weft_key *key,
                                      weft_u64compute_fn decide, change *c) {
    weft_position position;
    if (!c->plain) {
        position.hold = c->hold;
        position.again = c->again;
        core->engine->find[WEFT_SHAPE_U64](core, key, &position);
    } else if (WEFT_UNLIKELY(!plain_find(core, key->hash, &position))) {
        return NOT_PLAIN;
    }
    c->existed = position.present;
    c->old = position.present ? position.cell : 0;
    uint64_t seen = c->old;
    c->verdict = decide(c->ctx, c->existed ? &seen : NULL, &c->fresh);
    if (c->verdict == WEFT_DEL && !c->existed) {
        c->verdict = WEFT_KEEP;
    }
    if (c->verdict == WEFT_KEEP || c->verdict == WEFT_ABORT) {
        if (!c->plain) {
            weft_engine_let_go(core, &position);
        }
        return c->verdict == WEFT_KEEP ? WEFT_UNCHANGED : WEFT_ABORTED;
    }
    bool keep = c->verdict == WEFT_SET;
    int status;
    position.at_least = 0;
    if (!c->plain) {
        status = core->engine->swing(core, key, &position, keep, c->fresh);
    } else {
        status = keep ? plain_put(&position, c->fresh) : plain_take(&position);
        if (status == WEFT_OK && !keep) {
            lockfree_removed(core);
        }
    }
    if (status == WEFT_OK) {
        weft_core_count(core, keep - c->existed, 0);
    }
    return status;
}

/* An operation announces at most one insert: that keeps it lock-free (docs/design/update.md). */
static WEFT_ALWAYS_INLINE int attempt_first(weft_core *core, const weft_key *key,
                                            weft_u64compute_fn decide, change *c) {
    if (c->announced || weft_map_plain_record() == NULL) {
        return NOT_PLAIN;
    }
    c->plain = true;
    int status = attempt(core, key, decide, c);
    c->plain = false;
    return status;
}

/* Inside a guard. Inlined, so that the compiler knows the decision. */
static WEFT_ALWAYS_INLINE int run_guarded(weft_map_impl *impl, const weft_key *key,
                                          weft_u64compute_fn decide, change *c) {
    weft_core *core = weft_map_core(impl);
    c->key = key->number;
    c->era = core->era;
    int status = attempt_first(core, key, decide, c);
    while (WEFT_UNLIKELY(status == WEFT_MISMATCH || status == NOT_PLAIN)) {
        status = attempt(core, key, decide, c);
        if (status == WEFT_MISMATCH) {
            c->again = true;
            weft_core_count_retry(core);
        }
    }
    weft_recording_filter *recording = weft_recording_for(impl, key);
    if (WEFT_UNLIKELY(recording != NULL)) {
        weft_recorded_write write = {c->op, status, c->verdict, c->existed, sizeof c->fresh};
        weft_recording_note_write(recording, key, &write);
    }
    weft_map_bury(impl);
    return status;
}

static WEFT_ALWAYS_INLINE int run(weft_u64map *map, uint64_t number, weft_u64compute_fn decide,
                                  change *c) {
    weft_map_impl *impl = existing(map);
    if (WEFT_UNLIKELY(impl == NULL)) {
        if (c->removes) {
            return WEFT_NOT_FOUND;
        }
        impl = weft_map_of(&map->impl, WEFT_SHAPE_U64);
        if (impl == NULL) {
            return WEFT_E_NOMEM;
        }
    }
    weft_guard guard;
    weft_epoch_enter_shown(&guard, c->shown);
    weft_key key = weft_key_of_u64(weft_map_core(impl), number);
    int status = run_guarded(impl, &key, decide, c);
    weft_epoch_leave(&guard);
    return status;
}

/* ---- plain cases of insert, remove, put, fetch ----------------------------------------------- */

/* What comes after a plain write, now and then. */
typedef struct aside {
    weft_core *core; /* that was written to: the map may have been cleared since */
    weft_record *record;
    uint64_t hash;
    weft_trace_op op;
    bool shrink; /* perhaps, the table */
} aside;

/* A write is recorded after it is done: if a recording that begins meanwhile does not get it, its
 * walk sees it. (Not cold: gcc would put the end of every plain write into the cold section.) */
static WEFT_NOINLINE void attend(weft_map_impl *impl, const aside *a) {
    bool shown = a->record->nest == 0; /* no guard: what is called here enters some */
    a->record->nest += shown;
    if (a->shrink) {
        weft_lockfree_consider_shrink(a->core);
    }
    weft_map_bury(impl);
    weft_key key = {.hash = a->hash, .number = weft_core_unhash_u64(a->core, a->hash)};
    weft_recording_filter *recording = weft_recording_for(impl, &key);
    if (recording != NULL) {
        bool stored = a->op != WEFT_TRACE_REMOVE;
        weft_recording_note(recording, a->op, &key, stored ? sizeof(uint64_t) : 0);
    }
    a->record->nest -= shown;
}

/* After a write, while the epoch is shown or inside a guard. */
static WEFT_ALWAYS_INLINE void written(weft_map_impl *impl, const plain_change *c,
                                       weft_trace_op op) {
    bool shrink = false;
    if (op != WEFT_TRACE_ADD && op != WEFT_TRACE_RMW) {
        int64_t more = op == WEFT_TRACE_REMOVE ? (int64_t)c->done : -(int64_t)c->done;
        bool own;
        weft_core_stripe *stripe = weft_core_stripe_of(c->core, c->record->number, &own);
        int64_t before = weft_load_relaxed(&stripe->entries);
        if (WEFT_LIKELY(own)) {
            weft_store_relaxed(&stripe->entries, before + more);
        } else if (more != 0) {
            weft_fetch_add_relaxed(&stripe->entries, more);
        }
        shrink =
            op == WEFT_TRACE_REMOVE && (((uint64_t)before & SHRINK_ASK_MASK) | (c->done + 1)) == 0;
    }
    bool waiting = weft_load_relaxed(&impl->waiting) != 0;
    if (WEFT_UNLIKELY(shrink || waiting || weft_recording_may_want(impl, c->hash))) {
        aside a = {c->core, c->record, c->hash, op, shrink};
        attend(impl, &a);
    }
}

/* Insert, remove or put: which one is known to the compiler. While the epoch is shown, or inside a
 * guard. False: nothing was done, and another attempt must not announce an insert. */
static WEFT_ALWAYS_INLINE bool quickly_guarded(weft_map_impl *impl, weft_trace_op op,
                                               plain_change *c) {
    bool done = op == WEFT_TRACE_INSERT   ? plain_insert(c)
                : op == WEFT_TRACE_REMOVE ? plain_remove(c)
                                          : plain_store(c);
    if (WEFT_UNLIKELY(!done)) {
        return false;
    }
    written(impl, c, op);
    return true;
}

/* Shows the epoch, and mixes the key. False: that cannot be, and c->record is NULL. */
static WEFT_ALWAYS_INLINE bool begin_quickly(weft_map_impl *impl, uint64_t number,
                                             plain_change *c) {
    c->record = impl == NULL ? NULL : weft_map_show();
    if (WEFT_UNLIKELY(c->record == NULL)) {
        return false;
    }
    c->core = weft_map_core(impl);
    c->hash = weft_mix_with(&c->core->mixer, number);
    return true;
}

/* False: nothing was done; another attempt goes on where the epoch is shown already, if c->record
 * is not NULL. */
static WEFT_ALWAYS_INLINE bool quickly(weft_u64map *map, uint64_t number, weft_trace_op op,
                                       plain_change *c) {
    weft_map_impl *impl = existing(map);
    if (WEFT_UNLIKELY(!begin_quickly(impl, number, c)) ||
        WEFT_UNLIKELY(!quickly_guarded(impl, op, c))) {
        return false;
    }
    weft_epoch_end_show(c->record);
    return true;
}

/* ---- decisions ------------------------------------------------------------------------------- */

typedef struct given {
    uint64_t value;
    uint64_t expected;
    int refusal; /* why a decision aborted */
} given;

static weft_verdict refuse(given *g, int status) {
    g->refusal = status;
    return WEFT_ABORT;
}

static weft_verdict decide_put(void *ctx, const uint64_t *old, uint64_t *fresh) {
    (void)old;
    *fresh = ((given *)ctx)->value;
    return WEFT_SET;
}

static weft_verdict decide_insert(void *ctx, const uint64_t *old, uint64_t *fresh) {
    return old != NULL ? refuse(ctx, WEFT_EXISTS) : decide_put(ctx, old, fresh);
}

static weft_verdict decide_replace(void *ctx, const uint64_t *old, uint64_t *fresh) {
    return old == NULL ? refuse(ctx, WEFT_NOT_FOUND) : decide_put(ctx, old, fresh);
}

static weft_verdict decide_cas(void *ctx, const uint64_t *old, uint64_t *fresh) {
    given *g = ctx;
    if (old == NULL || *old != g->expected) {
        return refuse(g, old == NULL ? WEFT_NOT_FOUND : WEFT_MISMATCH);
    }
    return decide_put(ctx, old, fresh);
}

static weft_verdict decide_remove(void *ctx, const uint64_t *old, uint64_t *fresh) {
    (void)fresh;
    return old == NULL ? refuse(ctx, WEFT_NOT_FOUND) : WEFT_DEL;
}

static weft_verdict decide_remove_eq(void *ctx, const uint64_t *old, uint64_t *fresh) {
    given *g = ctx;
    if (old != NULL && *old != g->expected) {
        return refuse(g, WEFT_MISMATCH);
    }
    return decide_remove(ctx, old, fresh);
}

static WEFT_ALWAYS_INLINE int run_given(weft_u64map *map, uint64_t key, weft_u64compute_fn decide,
                                        change *c) {
    given *g = c->ctx;
    int status = run(map, key, decide, c);
    return status == WEFT_ABORTED ? g->refusal : status;
}

/* ---- the operations -------------------------------------------------------------------------- */

static WEFT_NOINLINE int put_anyhow(weft_u64map *map, weft_u64pair pair, weft_record *shown) {
    given g = {.value = pair.value};
    change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_PUT, .shown = shown};
    c.announced = shown != NULL;
    return run_given(map, pair.key, decide_put, &c);
}

WEFT_HOT int weft_u64map_put(weft_u64map *map, uint64_t key, uint64_t value) {
    plain_change c = {.value = value};
    return WEFT_LIKELY(quickly(map, key, WEFT_TRACE_PUT, &c))
               ? WEFT_OK
               : put_anyhow(map, (weft_u64pair){key, value}, c.record);
}

int weft_u64map_swap(weft_u64map *map, uint64_t key, uint64_t value, uint64_t *old) {
    given g = {.value = value};
    change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_PUT};
    int status = run_given(map, key, decide_put, &c);
    if (status == WEFT_OK && c.existed) {
        *old = c.old;
    }
    return status == WEFT_OK && !c.existed ? WEFT_NOT_FOUND : status;
}

static WEFT_NOINLINE int insert_anyhow(weft_u64map *map, weft_u64pair pair, weft_record *shown,
                                       uint64_t *old) {
    given g = {.value = pair.value};
    change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_INSERT, .shown = shown};
    c.announced = shown != NULL;
    int status = run_given(map, pair.key, decide_insert, &c);
    *old = c.old;
    return status;
}

/* WEFT_OK · WEFT_EXISTS, then *old is the value · as put */
static WEFT_ALWAYS_INLINE int insert(weft_u64map *map, uint64_t key, uint64_t value,
                                     uint64_t *old) {
    plain_change c = {.value = value};
    if (WEFT_UNLIKELY(!quickly(map, key, WEFT_TRACE_INSERT, &c))) {
        return insert_anyhow(map, (weft_u64pair){key, value}, c.record, old);
    }
    *old = c.value;
    _Static_assert(WEFT_OK == 0, "all other bits are those of WEFT_EXISTS");
    return (int)(~c.done & (uint64_t)WEFT_EXISTS);
}

WEFT_HOT int weft_u64map_insert(weft_u64map *map, uint64_t key, uint64_t value) {
    uint64_t old;
    return insert(map, key, value, &old);
}

int weft_u64map_get_or_insert(weft_u64map *map, uint64_t key, uint64_t value, uint64_t *out) {
    uint64_t old;
    int status = insert(map, key, value, &old);
    if (status == WEFT_OK || status == WEFT_EXISTS) {
        *out = status == WEFT_OK ? value : old;
    }
    return status;
}

int weft_u64map_replace(weft_u64map *map, uint64_t key, uint64_t value) {
    given g = {.value = value};
    change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_PUT};
    return run_given(map, key, decide_replace, &c);
}

int weft_u64map_cas(weft_u64map *map, uint64_t key, uint64_t expected, uint64_t desired) {
    given g = {.value = desired, .expected = expected};
    change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_RMW};
    return run_given(map, key, decide_cas, &c);
}

static WEFT_NOINLINE int remove_anyhow(weft_u64map *map, uint64_t key, weft_record *shown,
                                       uint64_t *old) {
    given g = {.refusal = WEFT_OK};
    change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_REMOVE, .removes = true, .shown = shown};
    c.announced = shown != NULL;
    int status = run_given(map, key, decide_remove, &c);
    *old = c.old;
    return status;
}

/* WEFT_OK, then *old is the value · WEFT_NOT_FOUND */
static WEFT_ALWAYS_INLINE int remove_key(weft_u64map *map, uint64_t key, uint64_t *old) {
    plain_change c;
    if (WEFT_UNLIKELY(!quickly(map, key, WEFT_TRACE_REMOVE, &c))) {
        return remove_anyhow(map, key, c.record, old);
    }
    *old = c.value;
    return (int)(~c.done & (uint64_t)WEFT_NOT_FOUND);
}

WEFT_HOT int weft_u64map_remove(weft_u64map *map, uint64_t key) {
    uint64_t old;
    return remove_key(map, key, &old);
}

int weft_u64map_take(weft_u64map *map, uint64_t key, uint64_t *value) {
    uint64_t old;
    int status = remove_key(map, key, &old);
    if (status == WEFT_OK) {
        *value = old;
    }
    return status;
}

int weft_u64map_remove_eq(weft_u64map *map, uint64_t key, uint64_t expected) {
    given g = {.expected = expected};
    change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_REMOVE, .removes = true};
    return run_given(map, key, decide_remove_eq, &c);
}

typedef struct remove_if {
    given base;
    uint64_t key;
    weft_u64visit_fn fn;
    void *ctx;
} remove_if;

static weft_verdict decide_remove_if(void *ctx, const uint64_t *old, uint64_t *fresh) {
    remove_if *r = ctx;
    if (old != NULL && !r->fn(r->ctx, (weft_u64pair){r->key, *old})) {
        return refuse(&r->base, WEFT_MISMATCH);
    }
    return decide_remove(&r->base, old, fresh);
}

int weft_u64map_remove_if(weft_u64map *map, uint64_t key, weft_u64visit_fn fn, void *ctx) {
    remove_if r = {.key = key, .fn = fn, .ctx = ctx};
    change c = {.ctx = &r, .op = WEFT_TRACE_REMOVE, .removes = true};
    int status = run(map, key, decide_remove_if, &c);
    return status == WEFT_ABORTED ? r.base.refusal : status;
}

static weft_verdict decide_fetch(void *ctx, const uint64_t *old, uint64_t *fresh) {
    const weft_fetch *fetch = ctx;
    *fresh = old == NULL ? (uint64_t)fetch->operand
                         : (uint64_t)weft_fetch_combine(*fetch, (int64_t)*old);
    return WEFT_SET;
}

static WEFT_NOINLINE int fetch_anyhow(weft_u64map *map, uint64_t key, const weft_fetch *fetch,
                                      change *c) {
    c->ctx = (void *)(uintptr_t)fetch;
    c->hold = true;
    c->op = fetch->op == WEFT_FETCH_ADD ? WEFT_TRACE_ADD : WEFT_TRACE_RMW;
    return run(map, key, decide_fetch, c);
}

/* Where the key is there, one compare and swap in its slot; c->value is then what it was. False: as
 * quickly, but nothing was announced. */
static WEFT_ALWAYS_INLINE bool fetch_quickly(weft_u64map *map, uint64_t key, weft_fetch fetch,
                                             plain_change *c) {
    weft_map_impl *impl = existing(map);
    weft_pair *pair = begin_quickly(impl, key, c) ? plain_present(c->core, c->hash) : NULL;
    if (WEFT_UNLIKELY(pair == NULL)) {
        return false;
    }
    /* pairs with its writer */
    weft_pair was = {wanted_pair(c->hash), weft_load_acquire(&pair->second)};
    weft_pair becomes = {was.first, (uint64_t)weft_fetch_combine(fetch, (int64_t)was.second)};
    if (WEFT_UNLIKELY(!weft_cas_pair_seq_cst(pair, was, becomes))) {
        return false;
    }
    c->value = was.second;
    written(impl, c, fetch.op == WEFT_FETCH_ADD ? WEFT_TRACE_ADD : WEFT_TRACE_RMW);
    weft_epoch_end_show(c->record);
    return true;
}

static WEFT_ALWAYS_INLINE int fetch_known(weft_u64map *map, uint64_t key, weft_fetch fetch,
                                          int64_t *old) {
    plain_change quick;
    int status = WEFT_OK;
    if (WEFT_UNLIKELY(!fetch_quickly(map, key, fetch, &quick))) {
        change c = {.shown = quick.record};
        status = fetch_anyhow(map, key, &fetch, &c);
        quick.value = c.old;
    }
    if (status == WEFT_OK && old != NULL) {
        *old = (int64_t)quick.value;
    }
    return status;
}

int weft_u64map_fetch(weft_u64map *map, uint64_t key, weft_fetch fetch, int64_t *old) {
    if ((unsigned)fetch.op > WEFT_FETCH_OR) {
        return WEFT_E_INVALID;
    }
    return fetch_known(map, key, fetch, old);
}

int weft_u64map_fetch_add(weft_u64map *map, uint64_t key, int64_t delta, int64_t *old) {
    return fetch_known(map, key, (weft_fetch){WEFT_FETCH_ADD, delta}, old);
}

typedef struct merging {
    const weft_u64merge *merge;
    uint64_t operand;
} merging;

static weft_verdict decide_merge(void *ctx, const uint64_t *old, uint64_t *fresh) {
    const merging *m = ctx;
    *fresh = old == NULL ? m->operand : m->merge->fn(m->merge->ctx, *old, m->operand);
    return WEFT_SET;
}

int weft_u64map_merge(weft_u64map *map, uint64_t key, uint64_t operand,
                      const weft_u64merge *merge) {
    merging m = {merge, operand};
    change c = {.ctx = &m, .op = WEFT_TRACE_RMW};
    return run(map, key, decide_merge, &c);
}

/* ---- compute and build ----------------------------------------------------------------------- */

/* EXCLUSIVE: the decision has been made; carry it out as long as the value is the one it saw. */
typedef struct decided {
    weft_u64compute_fn fn;
    void *ctx;
    bool ran;
    bool overtaken;
    bool present;
    uint64_t seen;
    uint64_t fresh;
    weft_verdict verdict;
} decided;

static weft_verdict decide_once(void *ctx, const uint64_t *old, uint64_t *fresh) {
    decided *d = ctx;
    if (!d->ran) {
        d->ran = true;
        d->present = old != NULL;
        d->seen = old != NULL ? *old : 0;
        d->verdict = d->fn(d->ctx, old, &d->fresh);
    } else if (d->present != (old != NULL) || (old != NULL && d->seen != *old)) {
        d->overtaken = true;
        return WEFT_KEEP;
    }
    *fresh = d->fresh;
    return d->verdict;
}

static int compute_exclusive(weft_u64map *map, uint64_t number, const weft_u64compute *compute,
                             change *c) {
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_U64);
    weft_key key = {.number = number};
    weft_claim claim;
    decided d = {.fn = compute->fn, .ctx = compute->ctx};
    int status = impl == NULL ? WEFT_E_NOMEM : weft_claim_take(impl, &claim, &key);
    if (status != WEFT_OK) {
        return status;
    }
    c->ctx = &d;
    status = run(map, number, decide_once, c);
    weft_claim_give_back(impl, &claim);
    return d.overtaken ? WEFT_MISMATCH : status;
}

int weft_u64map_compute(weft_u64map *map, uint64_t key, const weft_u64compute *compute,
                        weft_outcome *outcome) {
    change c = {.ctx = compute->ctx, .op = WEFT_TRACE_RMW};
    int status = compute->mode == WEFT_EXCLUSIVE ? compute_exclusive(map, key, compute, &c)
                                                 : run(map, key, compute->fn, &c);
    if (outcome != NULL) {
        *outcome = (weft_outcome){c.verdict, c.existed, 0, c.era};
    }
    return status;
}

/* Under the claim. The builder runs outside of any guard: it may take long. */
static int build_claimed(weft_u64map *map, uint64_t key, const weft_u64build *build,
                         uint64_t *out) {
    uint64_t fresh = 0;
    int status = weft_u64map_get(map, key, out);
    if (status != WEFT_NOT_FOUND) {
        return status;
    }
    status = build->fn(build->ctx, key, &fresh);
    if (status == WEFT_OK) {
        status = weft_u64map_get_or_insert(map, key, fresh, out);
        status = status == WEFT_EXISTS ? WEFT_OK : status;
    }
    return status;
}

int weft_u64map_get_or_build(weft_u64map *map, uint64_t key, const weft_u64build *build,
                             uint64_t *out) {
    int status = weft_u64map_get(map, key, out);
    if (status != WEFT_NOT_FOUND) {
        return status;
    }
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_U64);
    weft_key wanted = {.number = key};
    weft_claim claim;
    status = impl == NULL ? WEFT_E_NOMEM : weft_claim_take(impl, &claim, &wanted);
    if (status == WEFT_OK) {
        status = build_claimed(map, key, build, out);
        weft_claim_give_back(impl, &claim);
    }
    return status;
}

/* ---- several keys ---------------------------------------------------------------------------- */

/* As long as there is memory. Inside a guard. */
static int put_guarded(weft_map_impl *impl, weft_core *core, ahead *a, const uint64_t *values) {
    plain_change quick = {.core = core, .record = weft_map_plain_record()};
    int status = WEFT_OK;
    while (a->done < a->count && status == WEFT_OK) {
        size_t to = ahead_go(a);
        for (; a->done < to && status == WEFT_OK; a->done += status == WEFT_OK) {
            quick.hash = a->hashes[a->done];
            quick.value = values[a->done];
            if (WEFT_LIKELY(quick.record != NULL) &&
                WEFT_LIKELY(quickly_guarded(impl, WEFT_TRACE_PUT, &quick))) {
                continue;
            }
            given g = {.value = values[a->done]};
            change c = {.ctx = &g, .hold = true, .op = WEFT_TRACE_PUT};
            c.announced = quick.record != NULL;
            weft_key key = ahead_key(a, a->done);
            status = run_guarded(impl, &key, decide_put, &c);
        }
    }
    return status;
}

WEFT_HOT int weft_u64map_put_many(weft_u64map *map, const uint64_t *keys, const uint64_t *values,
                                  size_t count) {
    weft_map_impl *impl = count == 0 ? NULL : weft_map_of(&map->impl, WEFT_SHAPE_U64);
    int status = impl == NULL && count != 0 ? WEFT_E_NOMEM : WEFT_OK;
    for (size_t at = 0; at < count && status == WEFT_OK;) {
        ahead a;
        weft_guard guard;
        weft_epoch_enter(&guard);
        weft_core *core = weft_map_core(impl);
        ahead_begin(&a, core, keys + at, count - at);
        status = put_guarded(impl, core, &a, values + at);
        weft_epoch_leave(&guard);
        at += a.done;
    }
    return status;
}

/* Up to AHEAD_KEYS of them; *gone counts those that were there. */
static size_t remove_some(weft_u64map *map, const uint64_t *keys, size_t count, size_t *gone) {
    ahead a;
    weft_guard guard;
    weft_map_impl *impl = existing(map);
    weft_epoch_enter(&guard);
    plain_change c = {.core = weft_map_core(impl), .record = weft_map_plain_record()};
    ahead_begin(&a, c.core, keys, count);
    while (a.done < a.count) {
        size_t to = ahead_go(&a);
        for (; a.done < to; a.done++) {
            c.hash = a.hashes[a.done];
            if (WEFT_LIKELY(c.record != NULL) &&
                WEFT_LIKELY(quickly_guarded(impl, WEFT_TRACE_REMOVE, &c))) {
                *gone += c.done & 1;
                continue;
            }
            uint64_t old;
            int status = remove_anyhow(map, keys[a.done], NULL, &old);
            *gone += status == WEFT_OK;
        }
    }
    weft_epoch_leave(&guard);
    return a.count;
}

WEFT_HOT int weft_u64map_remove_many(weft_u64map *map, const uint64_t *keys, size_t count,
                                     size_t *removed) {
    size_t gone = 0;
    for (size_t done = 0; done < count && existing(map) != NULL;) {
        done += remove_some(map, keys + done, count - done, &gone);
    }
    if (removed != NULL) {
        *removed = gone;
    }
    return WEFT_OK;
}
