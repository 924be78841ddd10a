/* SPDX-License-Identifier: MIT */
/* Walks over both shapes. A step asks the engine for the cells of one bucket, at one moment,
 * collects them, and runs the user's callbacks afterwards, with no lock held. The place in the walk
 * is a point of the reversed hash, so it means the same before and after a resize or a clear;
 * within a point keys are told apart by their bytes. [G] */
#include "map/core.h"

enum { BATCH_INLINE = 64 };

typedef struct item {
    uint64_t number; /* u64 shape: the key */
    uint64_t cell;
    uint64_t point;
} item;

typedef struct batch {
    weft_core *core;
    size_t count;
    size_t capacity;
    item *items;
    item *heap; /* NULL: `first` is enough */
    bool lost;  /* no memory for a larger one */
    item first[BATCH_INLINE];
} batch;

static uint64_t point_of(const weft_core *core, uint64_t number, uint64_t cell) {
    return weft_reverse_bits(
        core->shape == WEFT_SHAPE_U64
            ? weft_key_of_u64(core, number).hash
            : weft_core_hash_bytes(core,
                                   weft_entry_key_bytes((const weft_entry *)(uintptr_t)cell)));
}

static void batch_free(batch *b) {
    if (b->heap != NULL) {
        weft_core_free(b->core, b->heap, b->capacity * sizeof(item), sizeof(uint64_t));
    }
}

static bool batch_grow(batch *b) {
    size_t capacity = b->capacity * 2;
    item *larger = weft_core_alloc(b->core, capacity * sizeof(item), sizeof(uint64_t));
    if (larger == NULL) {
        b->lost = true;
        return false;
    }
    memcpy(larger, b->items, b->count * sizeof(item));
    batch_free(b);
    b->items = b->heap = larger;
    b->capacity = capacity;
    return true;
}

static void collect(weft_step *step, uint64_t number, uint64_t cell) {
    batch *b = step->ctx;
    if (b->lost || (b->count == b->capacity && !batch_grow(b))) {
        return;
    }
    b->items[b->count++] = (item){number, cell, 0};
}

/* ---- in order, one cell at a time, without memory -------------------------------------------- */

typedef struct after {
    weft_core *core;
    uint64_t from; /* nothing before this point */
    bool any;      /* something was visited before: `last` */
    item last;
    bool found;
    item least; /* the least that comes after `last` */
} after;

static int compare_items(const weft_core *core, const item *a, const item *b) {
    if (a->point != b->point) {
        return a->point < b->point ? -1 : 1;
    }
    if (core->shape == WEFT_SHAPE_U64) {
        return 0; /* the hash is a bijection */
    }
    weft_bytes x = weft_entry_key_bytes((const weft_entry *)(uintptr_t)a->cell);
    weft_bytes y = weft_entry_key_bytes((const weft_entry *)(uintptr_t)b->cell);
    size_t shorter = x.size < y.size ? x.size : y.size;
    int order = shorter == 0 ? 0 : memcmp(x.data, y.data, shorter);
    return order != 0 ? order : x.size < y.size ? -1 : x.size > y.size;
}

static void keep_least(weft_step *step, uint64_t number, uint64_t cell) {
    after *a = step->ctx;
    item it = {number, cell, point_of(a->core, number, cell)};
    if ((!a->any || compare_items(a->core, &it, &a->last) > 0) &&
        (!a->found || compare_items(a->core, &it, &a->least) < 0)) {
        a->least = it;
        a->found = true;
    }
}

/* Moves `last` to the next cell, if there is one up to point `end`. */
static bool next_in_order(after *a, uint64_t end) {
    uint64_t from = a->any ? a->last.point : a->from;
    for (;;) {
        weft_step step = {.from = from, .emit = keep_least, .ctx = a};
        a->found = false;
        a->core->engine->walk(a->core, &step);
        if (a->found) {
            a->last = a->least;
            a->any = true;
            return a->least.point <= end;
        }
        if (step.next == 0 || step.next > end) {
            return false;
        }
        from = step.next;
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The bucket is too large for the batch, and there is no memory. */
static bool visit_in_order(weft_walk *walk, uint64_t end) {
    after a = {.core = walk->core, .from = walk->from};
    while (next_in_order(&a, end)) {
        if (!walk->visit(walk->ctx, a.last.number, a.last.cell)) {
            return false;
        }
    }
    return true;
}

static bool visit_batch(weft_walk *walk, const batch *b, bool cut) {
    for (size_t i = 0; i < b->count; i++) {
        const item *it = &b->items[i];
        if ((!cut || point_of(b->core, it->number, it->cell) <= walk->last) &&
            !walk->visit(walk->ctx, it->number, it->cell)) {
            return false;
        }
    }
    return true;
}

static bool step_guarded(weft_walk *walk) {
    batch b = {.core = walk->core, .capacity = BATCH_INLINE};
    b.items = b.first;
    weft_step step = {.from = walk->from, .emit = collect, .ctx = &b};
    b.core->engine->walk(b.core, &step);
    bool cut = step.next - 1 > walk->last; /* next 0: the last point of all */
    uint64_t end = cut ? walk->last : step.next - 1;
    walk->stopped = b.lost ? !visit_in_order(walk, end) : !visit_batch(walk, &b, cut);
    batch_free(&b);
    walk->from = end + 1;
    return !walk->stopped && end != walk->last;
}

bool weft_walk_step(weft_map_impl *map, weft_walk *walk) {
    weft_guard guard;
    weft_guard_enter(&guard);
    walk->core = weft_map_core(map);
    bool more = step_guarded(walk);
    weft_guard_leave(&guard);
    return more;
}

int weft_walk_part(weft_map_impl *map, const weft_part *part, weft_walk *walk) {
    if (part->count == 0 || part->index >= part->count) {
        return WEFT_E_INVALID;
    }
    uint64_t width = part->count == 1 ? 0 : UINT64_MAX / part->count + 1;
    walk->from = width * part->index;
    walk->last = part->index + 1 == part->count ? UINT64_MAX : walk->from + width - 1;
    while (map != NULL && weft_walk_step(map, walk)) {
    }
    return walk->stopped ? WEFT_ABORTED : WEFT_OK;
}

void weft_walk_scan(weft_map_impl *map, uint64_t *cursor, weft_walk *walk) {
    walk->from = *cursor;
    walk->last = UINT64_MAX;
    *cursor = map != NULL && weft_walk_step(map, walk) ? walk->from : 0;
}

static bool count_cell(void *ctx, uint64_t number, uint64_t cell) {
    (void)number;
    (void)cell;
    ++*(size_t *)ctx;
    return true;
}

size_t weft_walk_count(weft_map_impl *map) {
    size_t count = 0;
    weft_part all = {0, 1, NULL, NULL};
    weft_walk walk = {.visit = count_cell, .ctx = &count};
    weft_walk_part(map, &all, &walk);
    return count;
}

/* ---- iterators ------------------------------------------------------------------------------- */

enum { ITER_MAP, ITER_ANY, ITER_NUMBER, ITER_CELL, ITER_POINT };

void weft_walk_iter_start(weft_map_impl *map, uint64_t *words) {
    memset(words, 0, WEFT_ITER_WORDS * sizeof *words);
    words[ITER_MAP] = (uintptr_t)map;
}

bool weft_walk_iter_next(uint64_t *words, uint64_t *number, uint64_t *cell) {
    weft_map_impl *map = (weft_map_impl *)(uintptr_t)words[ITER_MAP];
    if (map == NULL) {
        return false;
    }
    after a = {.core = weft_map_core(map), .any = words[ITER_ANY] != 0};
    a.last = (item){words[ITER_NUMBER], words[ITER_CELL], words[ITER_POINT]};
    if (!next_in_order(&a, UINT64_MAX)) {
        words[ITER_MAP] = 0;
        return false;
    }
    words[ITER_ANY] = 1;
    words[ITER_NUMBER] = *number = a.last.number;
    words[ITER_CELL] = *cell = a.last.cell;
    words[ITER_POINT] = a.last.point;
    return true;
}

/* ---- bytes shape ----------------------------------------------------------------------------- */

typedef struct visitor {
    weft_map *map;
    weft_visit_fn fn;
    void *ctx;
    size_t removed;
    weft_walk walk;
} visitor;

static weft_map_impl *existing(weft_map *map) {
    return weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
}

/* The entry may have been replaced since the step saw it: what is shown is the key's present
 * one. */
static bool visit_entry(void *ctx, uint64_t number, uint64_t cell) {
    visitor *v = ctx;
    weft_view view;
    (void)number;
    return !weft_entry_look_current(v->walk.core, (const weft_entry *)(uintptr_t)cell, &view) ||
           v->fn(v->ctx, &view);
}

int weft_map_foreach_part(weft_map *map, const weft_part *part) {
    visitor v = {.fn = part->fn, .ctx = part->ctx, .walk = {.visit = visit_entry, .ctx = &v}};
    return weft_walk_part(existing(map), part, &v.walk);
}

int weft_map_foreach(weft_map *map, weft_visit_fn fn, void *ctx) {
    weft_part all = {0, 1, fn, ctx};
    return weft_map_foreach_part(map, &all);
}

size_t weft_map_len_exact(weft_map *map) {
    return weft_walk_count(existing(map));
}

static bool visit_and_go_on(void *ctx, uint64_t number, uint64_t cell) {
    visit_entry(ctx, number, cell);
    return true;
}

int weft_map_scan(weft_map *map, uint64_t *cursor, weft_visit_fn fn, void *ctx) {
    visitor v = {.fn = fn, .ctx = ctx, .walk = {.visit = visit_and_go_on, .ctx = &v}};
    weft_walk_scan(existing(map), cursor, &v.walk);
    return WEFT_OK;
}

static bool is_unwanted(void *ctx, const weft_view *entry) {
    visitor *v = ctx;
    return !v->fn(v->ctx, entry);
}

static bool retain_entry(void *ctx, uint64_t number, uint64_t cell) {
    visitor *v = ctx;
    weft_view view;
    (void)number;
    if (!weft_entry_look_current(v->walk.core, (const weft_entry *)(uintptr_t)cell, &view) ||
        v->fn(v->ctx, &view)) {
        return true;
    }
    int status = weft_map_remove_if_version(v->map, view.key, view.version);
    if (status == WEFT_MISMATCH) { /* written meanwhile: ask again */
        status = weft_map_remove_if(v->map, view.key, is_unwanted, v);
    }
    v->removed += status == WEFT_OK;
    return true;
}

int weft_map_retain(weft_map *map, weft_visit_fn fn, void *ctx, size_t *removed) {
    visitor v = {.map = map, .fn = fn, .ctx = ctx, .walk = {.visit = retain_entry, .ctx = &v}};
    weft_part all = {0, 1, NULL, NULL};
    weft_walk_part(existing(map), &all, &v.walk);
    if (removed != NULL) {
        *removed = v.removed;
    }
    return WEFT_OK;
}

void weft_map_iter_start(weft_map *map, weft_map_iter *iter) {
    weft_walk_iter_start(existing(map), iter->words);
}

int weft_map_iter_next(weft_map_iter *iter, const weft_guard *guard, weft_view *view) {
    uint64_t number;
    uint64_t cell;
    (void)guard;
    while (weft_walk_iter_next(iter->words, &number, &cell)) {
        weft_map_impl *map = (weft_map_impl *)(uintptr_t)iter->words[ITER_MAP];
        if (weft_entry_look_current(weft_map_core(map), (const weft_entry *)(uintptr_t)cell,
                                    view)) {
            return WEFT_OK;
        }
    }
    return WEFT_NOT_FOUND;
}
