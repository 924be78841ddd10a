/* SPDX-License-Identifier: MIT */
/* weft_map: the operations that change one key, each a decision for the loop of change.h. The loop
 * is inlined into the operations that are most: then the compiler knows the decision. */
#include "map/ahead.h"
#include "map/change.h"

static WEFT_NOINLINE int run_hashed(weft_map_impl *impl, weft_core *core, weft_key *key,
                                    change *c) {
    weft_position position;
    site at = {.map = impl, .core = core, .key = key, .position = &position};
    return run_site(&at, c->decide, c);
}

static WEFT_NOINLINE int run(weft_map *map, weft_bytes bytes, change *c) {
    return run_here(map, bytes, c->decide, c);
}

/* What the small decisions work with. */
typedef struct given {
    weft_bytes value;
    weft_bytes expected;
    uint64_t version;
    key_rule key_rule;
    weft_trace_op op;
    bool removes;
    bool ahead;
    int refusal; /* why a decision aborted */
} given;

/* EXCLUSIVE: the decision has been made; carry it out as long as the entry is the one it saw. */
typedef struct decided {
    weft_compute_fn fn;
    void *ctx;
    bool ran;
    bool present;
    uint64_t version;
    weft_verdict verdict;
    weft_fresh fresh;
} decided;

static weft_verdict decide_once(void *ctx, const weft_view *old, weft_fresh *fresh) {
    decided *d = ctx;
    if (!d->ran) {
        d->ran = true;
        d->present = old != NULL;
        d->version = old != NULL ? old->version : 0;
        d->verdict = d->fn(d->ctx, old, &d->fresh);
    } else if (d->present != (old != NULL) || (old != NULL && d->version != old->version)) {
        d->verdict = WEFT_KEEP;
        d->fn = NULL; /* says: overtaken by another writer */
    }
    *fresh = d->fresh;
    return d->verdict;
}

/* ---- decisions ------------------------------------------------------------------------------- */

static weft_verdict refuse(given *g, int status) {
    g->refusal = status;
    return WEFT_ABORT;
}

static weft_verdict set_value(given *g, weft_fresh *fresh) {
    fresh->body = g->value;
    return WEFT_SET;
}

static bool same_bytes(weft_bytes a, weft_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static weft_verdict decide_put(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)old;
    return set_value(ctx, fresh);
}

static weft_verdict decide_insert(void *ctx, const weft_view *old, weft_fresh *fresh) {
    return old != NULL ? refuse(ctx, WEFT_EXISTS) : set_value(ctx, fresh);
}

static weft_verdict decide_replace(void *ctx, const weft_view *old, weft_fresh *fresh) {
    return old == NULL ? refuse(ctx, WEFT_NOT_FOUND) : set_value(ctx, fresh);
}

static int compare_bytes(const given *g, const weft_view *old) {
    return old == NULL                           ? WEFT_NOT_FOUND
           : same_bytes(old->value, g->expected) ? WEFT_OK
                                                 : WEFT_MISMATCH;
}

static int compare_version(const given *g, const weft_view *old) {
    return old == NULL ? WEFT_NOT_FOUND : old->version == g->version ? WEFT_OK : WEFT_MISMATCH;
}

static weft_verdict decide_cas(void *ctx, const weft_view *old, weft_fresh *fresh) {
    int status = compare_bytes(ctx, old);
    return status != WEFT_OK ? refuse(ctx, status) : set_value(ctx, fresh);
}

static weft_verdict decide_replace_version(void *ctx, const weft_view *old, weft_fresh *fresh) {
    int status = compare_version(ctx, old);
    return status != WEFT_OK ? refuse(ctx, status) : set_value(ctx, fresh);
}

/* A value in two pieces, under conditions. */
typedef struct given_fresh {
    given base;
    const weft_fresh *value;
} given_fresh;

static weft_verdict decide_restore(void *ctx, const weft_view *old, weft_fresh *fresh) {
    given_fresh *r = ctx;
    if (old != NULL && old->version >= r->base.version) {
        return refuse(&r->base, WEFT_MISMATCH);
    }
    *fresh = *r->value;
    return WEFT_SET;
}

static weft_verdict decide_remove(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)fresh;
    return old == NULL ? refuse(ctx, WEFT_NOT_FOUND) : WEFT_DEL;
}

static weft_verdict decide_remove_eq(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)fresh;
    int status = compare_bytes(ctx, old);
    return status != WEFT_OK ? refuse(ctx, status) : WEFT_DEL;
}

static weft_verdict decide_remove_version(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)fresh;
    int status = compare_version(ctx, old);
    return status != WEFT_OK ? refuse(ctx, status) : WEFT_DEL;
}

static inline change change_of(weft_compute_fn decide, given *g) {
    return (change){.decide = decide,
                    .ctx = g,
                    .constant = true,
                    .hold = true,
                    .ahead = g->ahead,
                    .ahead_value = g->value,
                    .key_rule = g->key_rule,
                    .op = g->op,
                    .removes = g->removes,
                    .blind = decide == decide_put};
}

/* Runs a decision over `given`; its refusal is the answer. */
static WEFT_ALWAYS_INLINE int run_given_here(weft_map *map, weft_bytes key, weft_compute_fn decide,
                                             given *g) {
    if (g->value.size > WEFT_VALUE_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    change c = change_of(decide, g);
    int status = run_here(map, key, decide, &c);
    return status == WEFT_ABORTED ? g->refusal : status;
}

static WEFT_NOINLINE int run_given(weft_map *map, weft_bytes key, weft_compute_fn decide,
                                   given *g) {
    return run_given_here(map, key, decide, g);
}

static bool copies_values(weft_map *map) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    return impl == NULL || impl->options.value_own == WEFT_OWN_COPY;
}

/* ---- the operations -------------------------------------------------------------------------- */

WEFT_HOT int weft_map_put(weft_map *map, weft_bytes key, weft_bytes value) {
    given g = {.value = value, .key_rule = KEY_TAKEN, .op = WEFT_TRACE_PUT, .ahead = true};
    return run_given_here(map, key, decide_put, &g);
}

WEFT_HOT int weft_map_insert(weft_map *map, weft_bytes key, weft_bytes value) {
    given g = {.value = value, .key_rule = KEY_TAKEN, .op = WEFT_TRACE_INSERT, .ahead = true};
    return run_given_here(map, key, decide_insert, &g);
}

int weft_map_replace(weft_map *map, weft_bytes key, weft_bytes value) {
    given g = {.value = value, .op = WEFT_TRACE_PUT};
    return run_given(map, key, decide_replace, &g);
}

int weft_map_cas(weft_map *map, weft_bytes key, weft_bytes expected, weft_bytes desired) {
    given g = {.value = desired, .expected = expected, .op = WEFT_TRACE_RMW};
    return run_given(map, key, decide_cas, &g);
}

int weft_map_replace_if_version(weft_map *map, weft_bytes key, uint64_t version, weft_bytes value) {
    given g = {.value = value, .version = version, .op = WEFT_TRACE_RMW};
    return run_given(map, key, decide_replace_version, &g);
}

WEFT_HOT int weft_map_remove(weft_map *map, weft_bytes key) {
    given g = {.op = WEFT_TRACE_REMOVE, .removes = true};
    return run_given_here(map, key, decide_remove, &g);
}

int weft_map_remove_eq(weft_map *map, weft_bytes key, weft_bytes expected) {
    given g = {.expected = expected, .op = WEFT_TRACE_REMOVE, .removes = true};
    return run_given(map, key, decide_remove_eq, &g);
}

int weft_map_remove_if_version(weft_map *map, weft_bytes key, uint64_t version) {
    given g = {.version = version, .op = WEFT_TRACE_REMOVE, .removes = true};
    return run_given(map, key, decide_remove_version, &g);
}

int weft_map_swap(weft_map *map, weft_bytes key, weft_bytes value, weft_buffer *old) {
    given g = {.value = value};
    if (value.size > WEFT_VALUE_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    change c = {.decide = decide_put,
                .ctx = &g,
                .constant = true,
                .hold = true,
                .ahead = true,
                .ahead_value = value,
                .key_rule = KEY_TAKEN,
                .old = old,
                .op = WEFT_TRACE_PUT};
    int status = run(map, key, &c);
    return status != WEFT_OK ? status : c.outcome.existed ? c.copied : WEFT_NOT_FOUND;
}

int weft_map_get_or_insert(weft_map *map, weft_bytes key, weft_bytes value, weft_buffer *out) {
    given g = {.value = value};
    if (value.size > WEFT_VALUE_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    change c = {.decide = decide_insert,
                .ctx = &g,
                .constant = true,
                .hold = true,
                .key_rule = KEY_TAKEN,
                .old = out,
                .op = WEFT_TRACE_INSERT};
    int status = run(map, key, &c);
    if (status == WEFT_ABORTED) {
        return c.copied == WEFT_OK ? WEFT_EXISTS : c.copied;
    }
    if (status == WEFT_OK) {
        weft_view stored = {.value = value, .version = c.outcome.version};
        report_old(&c, &stored);
    }
    return status;
}

int weft_map_restore(weft_map *map, weft_bytes key, const weft_fresh *value, uint64_t version) {
    if (!copies_values(map)) {
        return WEFT_E_UNSUPPORTED;
    }
    if (version > WEFT_RESTORE_VERSION_MAX) {
        return WEFT_E_INVALID;
    }
    given_fresh r = {{.version = version}, value};
    change c = {.decide = decide_restore,
                .ctx = &r,
                .constant = true,
                .hold = true,
                .op = WEFT_TRACE_PUT,
                .at_least = version == 0 ? 0 : version - 1};
    int status = run(map, key, &c);
    return status == WEFT_ABORTED ? r.base.refusal : status;
}

int weft_map_take(weft_map *map, weft_bytes key, weft_ref *ref) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (impl == NULL || !impl->options.refcount) {
        return WEFT_E_UNSUPPORTED;
    }
    given g = {.refusal = WEFT_OK};
    change c = {
        .decide = decide_remove, .ctx = &g, .hold = true, .op = WEFT_TRACE_REMOVE, .take = ref};
    int status = run(map, key, &c);
    return status == WEFT_ABORTED ? g.refusal : status;
}

/* ---- remove_if ------------------------------------------------------------------------------- */

typedef struct remove_if {
    given base;
    weft_visit_fn fn;
    void *ctx;
} remove_if;

static weft_verdict decide_remove_if(void *ctx, const weft_view *old, weft_fresh *fresh) {
    remove_if *r = ctx;
    (void)fresh;
    if (old == NULL) {
        return refuse(&r->base, WEFT_NOT_FOUND);
    }
    return r->fn(r->ctx, old) ? WEFT_DEL : refuse(&r->base, WEFT_MISMATCH);
}

int weft_map_remove_if(weft_map *map, weft_bytes key, weft_visit_fn fn, void *ctx) {
    remove_if r = {.fn = fn, .ctx = ctx};
    change c = {.decide = decide_remove_if, .ctx = &r, .op = WEFT_TRACE_REMOVE, .removes = true};
    int status = run(map, key, &c);
    return status == WEFT_ABORTED ? r.base.refusal : status;
}

/* ---- numbers and merge ----------------------------------------------------------------------- */

typedef struct fetching {
    weft_fetch fetch;
    int64_t before;
    int64_t after;
    bool wrong_size;
} fetching;

int64_t weft_fetch_combine(weft_fetch fetch, int64_t old) {
    switch (fetch.op) {
    case WEFT_FETCH_MIN:
        return old < fetch.operand ? old : fetch.operand;
    case WEFT_FETCH_MAX:
        return old > fetch.operand ? old : fetch.operand;
    case WEFT_FETCH_OR:
        return old | fetch.operand;
    case WEFT_FETCH_ADD:
        break;
    }
    return (int64_t)((uint64_t)old + (uint64_t)fetch.operand);
}

static weft_verdict decide_fetch(void *ctx, const weft_view *old, weft_fresh *fresh) {
    fetching *f = ctx;
    f->before = 0;
    f->wrong_size = old != NULL && old->value.size != sizeof f->before;
    if (f->wrong_size) {
        return WEFT_ABORT;
    }
    if (old != NULL) {
        memcpy(&f->before, old->value.data, sizeof f->before);
    }
    f->after = old == NULL ? f->fetch.operand : weft_fetch_combine(f->fetch, f->before);
    fresh->body = weft_bytes_of(&f->after, sizeof f->after);
    return WEFT_SET;
}

int weft_map_fetch(weft_map *map, weft_bytes key, weft_fetch fetch, int64_t *old) {
    if ((unsigned)fetch.op > WEFT_FETCH_OR) {
        return WEFT_E_INVALID;
    }
    if (!copies_values(map)) {
        return WEFT_E_UNSUPPORTED;
    }
    fetching f = {.fetch = fetch};
    change c = {.decide = decide_fetch,
                .ctx = &f,
                .hold = true,
                .key_rule = KEY_TAKEN_IF_ABSENT,
                .op = WEFT_TRACE_RMW};
    int status = run_here(map, key, decide_fetch, &c);
    if (status == WEFT_OK && old != NULL) {
        *old = f.before;
    }
    return status == WEFT_ABORTED ? WEFT_MISMATCH : status;
}

int weft_map_fetch_add(weft_map *map, weft_bytes key, int64_t delta, int64_t *old) {
    return weft_map_fetch(map, key, (weft_fetch){WEFT_FETCH_ADD, delta}, old);
}

typedef struct merging {
    const weft_merge *merge;
    weft_bytes operand;
} merging;

static weft_verdict decide_merge(void *ctx, const weft_view *old, weft_fresh *fresh) {
    merging *m = ctx;
    fresh->body = m->operand;
    if (old != NULL) {
        *fresh = (weft_fresh){{NULL, 0}, {NULL, 0}};
        m->merge->fn(m->merge->ctx, old->value, m->operand, fresh);
    }
    return WEFT_SET;
}

int weft_map_merge(weft_map *map, weft_bytes key, weft_bytes operand, const weft_merge *merge) {
    if (!copies_values(map)) {
        return WEFT_E_UNSUPPORTED;
    }
    merging m = {merge, operand};
    change c = {.decide = decide_merge, .ctx = &m, .op = WEFT_TRACE_RMW};
    return run(map, key, &c);
}

/* ---- compute and build ----------------------------------------------------------------------- */

static int compute_exclusive(weft_map *map, weft_bytes bytes, const weft_compute *compute,
                             change *c) {
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_BYTES);
    weft_key key = {.bytes = bytes};
    weft_claim claim;
    decided d = {.fn = compute->fn, .ctx = compute->ctx};
    int status = impl == NULL ? WEFT_E_NOMEM : weft_claim_take(impl, &claim, &key);
    if (status != WEFT_OK) {
        return status;
    }
    c->decide = decide_once;
    c->ctx = &d;
    c->constant = true;
    status = run(map, bytes, c);
    weft_claim_give_back(impl, &claim);
    return d.fn == NULL ? WEFT_MISMATCH : status;
}

int weft_map_compute(weft_map *map, weft_bytes key, const weft_compute *compute,
                     weft_outcome *outcome) {
    if (!copies_values(map)) {
        return WEFT_E_UNSUPPORTED;
    }
    change c = {.decide = compute->fn, .ctx = compute->ctx, .op = WEFT_TRACE_RMW};
    int status = compute->mode == WEFT_EXCLUSIVE ? compute_exclusive(map, key, compute, &c)
                                                 : run(map, key, &c);
    if (outcome != NULL) {
        *outcome = c.outcome;
    }
    return status;
}

static weft_verdict decide_built(void *ctx, const weft_view *old, weft_fresh *fresh) {
    if (old != NULL) {
        return WEFT_KEEP;
    }
    *fresh = *(const weft_fresh *)ctx;
    return WEFT_SET;
}

static int copy_fresh(const weft_fresh *fresh, uint64_t version, weft_buffer *out) {
    size_t head = fresh->head.size < out->capacity ? fresh->head.size : out->capacity;
    size_t room = out->capacity - head;
    size_t body = fresh->body.size < room ? fresh->body.size : room;
    if (head != 0) {
        memcpy(out->data, fresh->head.data, head);
    }
    if (body != 0) {
        memcpy((char *)out->data + head, fresh->body.data, body);
    }
    out->size = fresh->head.size + fresh->body.size;
    out->version = version;
    return head + body == out->size ? WEFT_OK : WEFT_TRUNCATED;
}

/* Under the claim. The builder runs outside of any guard: it may take long. */
static int build_claimed(weft_map *map, weft_bytes key, const weft_build *build, weft_buffer *out) {
    weft_fresh fresh = {{NULL, 0}, {NULL, 0}};
    int status = weft_map_get(map, key, out);
    if (status != WEFT_NOT_FOUND) {
        return status;
    }
    status = build->fn(build->ctx, key, &fresh);
    if (status != WEFT_OK) {
        return status;
    }
    change c = {.decide = decide_built,
                .ctx = &fresh,
                .constant = true,
                .hold = true,
                .op = WEFT_TRACE_INSERT,
                .old = out};
    status = run(map, key, &c);
    return status == WEFT_UNCHANGED ? c.copied
           : status == WEFT_OK      ? copy_fresh(&fresh, c.outcome.version, out)
                                    : status;
}

int weft_map_get_or_build(weft_map *map, weft_bytes key, const weft_build *build,
                          weft_buffer *out) {
    int status = weft_map_get(map, key, out);
    if (status != WEFT_NOT_FOUND) {
        return status;
    }
    if (!copies_values(map)) {
        return WEFT_E_UNSUPPORTED;
    }
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_BYTES);
    weft_key wanted = {.bytes = key};
    weft_claim claim;
    status = impl == NULL ? WEFT_E_NOMEM : weft_claim_take(impl, &claim, &wanted);
    if (status == WEFT_OK) {
        status = build_claimed(map, key, build, out);
        weft_claim_give_back(impl, &claim);
    }
    return status;
}

/* ---- keys with their hash -------------------------------------------------------------------- */

int weft_map_put_hashed(weft_map *map, const weft_hashed *key, weft_bytes value) {
    if (value.size > WEFT_VALUE_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_BYTES);
    if (impl == NULL) {
        return WEFT_E_NOMEM;
    }
    given g = {.value = value, .key_rule = KEY_TAKEN, .op = WEFT_TRACE_PUT, .ahead = true};
    change c = change_of(decide_put, &g);
    c.hash_given = true;
    c.hold = false; /* the hash is made again, by the user's function perhaps */
    unsigned chances = 0;
    int status;
    do {
        weft_guard guard;
        weft_epoch_enter(&guard);
        weft_key found = weft_key_of_hashed(impl, key);
        status = run_hashed(impl, weft_map_core(impl), &found, &c);
        weft_epoch_leave(&guard);
    } while (WEFT_UNLIKELY(status < 0) && weft_map_another_chance(impl, status, &chances));
    return status;
}

int weft_map_remove_hashed(weft_map *map, const weft_hashed *key) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (impl == NULL) {
        return WEFT_NOT_FOUND;
    }
    given g = {.op = WEFT_TRACE_REMOVE, .removes = true};
    change c = change_of(decide_remove, &g);
    weft_guard guard;
    weft_epoch_enter(&guard);
    weft_key found = weft_key_of_hashed(impl, key);
    int status = run_hashed(impl, weft_map_core(impl), &found, &c);
    weft_epoch_leave(&guard);
    return status == WEFT_ABORTED ? g.refusal : status;
}

/* ---- several keys ---------------------------------------------------------------------------- */

/* Several writes: a decision each, and what they need. */
typedef struct several {
    weft_compute_fn decide;
    given given;
    const weft_bytes *values; /* NULL: none */
    size_t done;              /* keys that changed */
} several;

static int write_one(weft_map_impl *impl, weft_core *core, weft_key *key, several *all) {
    if (key->bytes.size > WEFT_KEY_SIZE_MAX || all->given.value.size > WEFT_VALUE_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    change c = change_of(all->decide, &all->given);
    int status = run_hashed(impl, core, key, &c);
    all->done += status == WEFT_OK;
    return status == WEFT_ABORTED ? WEFT_OK : status;
}

/* Until one fails. */
static int write_many(weft_map_impl *impl, const weft_bytes *keys, size_t count, several *all) {
    int status = WEFT_OK;
    unsigned chances = 0;
    for (size_t at = 0;
         at < count && (status == WEFT_OK || weft_map_another_chance(impl, status, &chances));) {
        status = WEFT_OK;
        weft_ahead ahead;
        weft_guard guard;
        weft_epoch_enter(&guard);
        weft_ahead_begin(&ahead, weft_map_core(impl), keys + at, count - at);
        while (ahead.done < ahead.count && status == WEFT_OK) {
            size_t to = weft_ahead_go(&ahead);
            for (; ahead.done < to && status == WEFT_OK; ahead.done += status == WEFT_OK) {
                if (all->values != NULL) {
                    all->given.value = all->values[at + ahead.done];
                }
                status = write_one(impl, ahead.core, weft_ahead_key(&ahead, ahead.done), all);
            }
        }
        weft_epoch_leave(&guard);
        at += ahead.done;
    }
    return status;
}

int weft_map_put_many(weft_map *map, const weft_bytes *keys, const weft_bytes *values,
                      size_t count) {
    several all = {
        decide_put, {.key_rule = KEY_TAKEN, .op = WEFT_TRACE_PUT, .ahead = true}, values, 0};
    weft_map_impl *impl = count == 0 ? NULL : weft_map_of(&map->impl, WEFT_SHAPE_BYTES);
    if (impl == NULL) {
        return count == 0 ? WEFT_OK : WEFT_E_NOMEM;
    }
    return write_many(impl, keys, count, &all);
}

int weft_map_remove_many(weft_map *map, const weft_bytes *keys, size_t count, size_t *removed) {
    several all = {decide_remove, {.op = WEFT_TRACE_REMOVE, .removes = true}, NULL, 0};
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    int status = impl != NULL ? write_many(impl, keys, count, &all) : WEFT_OK;
    for (size_t i = 0; impl == NULL && i < count; i++) {
        status = keys[i].size > WEFT_KEY_SIZE_MAX ? WEFT_E_TOOBIG : status;
    }
    if (removed != NULL) {
        *removed = all.done;
    }
    return status;
}
