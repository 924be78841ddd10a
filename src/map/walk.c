/* SPDX-License-Identifier: MIT */
/* Walks over both shapes. A step asks the engine for the cells of one bucket, at one moment, collects them,
 * and runs the user's callbacks afterwards, with no lock held. The place in the walk is a point of the
 * reversed hash, so it means the same before and after a resize. [G] */
#include "map/core.h"

#include "base/memory.h"

enum { BATCH_INLINE = 64 };

typedef struct item {
    uint64_t number; /* u64 shape: the key */
    uint64_t cell;
    uint64_t point;
} item;

typedef struct batch {
    weft_map_impl *map;
    weft_core *core;
    uint64_t last; /* points behind it belong to another part */
    size_t count;
    size_t capacity;
    item *items;
    item *heap; /* NULL: `first` is enough */
    bool lost;  /* no memory for a larger one */
    item first[BATCH_INLINE];
} batch;

static uint64_t point_of(const weft_core *core, uint64_t number, uint64_t cell) {
    if (core->shape == WEFT_SHAPE_U64) {
        return weft_reverse_bits(weft_core_hash_u64(core, number));
    }
    weft_view view = weft_entry_view((const weft_entry *)(uintptr_t)cell);
    return weft_reverse_bits(weft_core_hash_bytes(core, view.key));
}

static bool batch_grow(batch *b) {
    size_t capacity = b->capacity * 2;
    item *larger = weft_memory_alloc(&b->map->allocator, capacity * sizeof(item), sizeof(uint64_t));
    if (larger == NULL) {
        b->lost = true;
        return false;
    }
    memcpy(larger, b->items, b->count * sizeof(item));
    if (b->heap != NULL) {
        weft_memory_free(&b->map->allocator, b->heap, b->capacity * sizeof(item), sizeof(uint64_t));
    }
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

/* What lies between two points, told apart by key where points are equal. */
typedef struct after {
    const weft_core *core;
    bool any;  /* something was visited before */
    item last; /* … this */
    bool found;
    item least; /* the least that comes after `last` */
} after;

static int compare_items(const weft_core *core, const item *a, const item *b) {
    if (a->point != b->point) {
        return a->point < b->point ? -1 : 1;
    }
    if (core->shape == WEFT_SHAPE_U64) {
        return a->number < b->number ? -1 : a->number > b->number;
    }
    weft_view x = weft_entry_view((const weft_entry *)(uintptr_t)a->cell);
    weft_view y = weft_entry_view((const weft_entry *)(uintptr_t)b->cell);
    size_t shorter = x.key.size < y.key.size ? x.key.size : y.key.size;
    int order = shorter == 0 ? 0 : memcmp(x.key.data, y.key.data, shorter);
    return order != 0 ? order : x.key.size < y.key.size ? -1 : x.key.size > y.key.size;
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

/* The bucket is too large for the batch, and there is no memory: one cell at a time, in order. */
static bool visit_in_order(batch *b, uint64_t from, weft_cell_fn visit, void *ctx) {
    after a = {.core = b->core};
    for (;;) {
        weft_step step = {.from = from, .emit = keep_least, .ctx = &a};
        a.found = false;
        b->core->engine->walk(b->core, &step);
        if (!a.found || a.least.point > b->last) {
            return true;
        }
        a.any = true;
        a.last = a.least;
        if (!visit(ctx, a.last.number, a.last.cell)) {
            return false;
        }
    }
}

static bool visit_batch(batch *b, weft_cell_fn visit, void *ctx) {
    bool all = b->last == UINT64_MAX;
    for (size_t i = 0; i < b->count; i++) {
        item *it = &b->items[i];
        if ((all || point_of(b->core, it->number, it->cell) <= b->last) &&
            !visit(ctx, it->number, it->cell)) {
            return false;
        }
    }
    return true;
}

/* One step from `from`, not beyond `last`: returns where the next begins, 0 at the end. */
uint64_t weft_walk_step(weft_map_impl *map, uint64_t from, uint64_t last, weft_cell_fn visit,
                        void *ctx, bool *stopped) {
    weft_guard guard;
    weft_guard_enter(&guard);
    batch b = {.map = map, .core = weft_map_core(map), .capacity = BATCH_INLINE};
    b.items = b.first;
    weft_step step = {.from = from, .emit = collect, .ctx = &b};
    b.core->engine->walk(b.core, &step);
    b.last = step.next == 0 || step.next - 1 > last ? last : UINT64_MAX;
    *stopped = b.lost ? !visit_in_order(&b, from, visit, ctx) : !visit_batch(&b, visit, ctx);
    if (b.heap != NULL) {
        weft_memory_free(&map->allocator, b.heap, b.capacity * sizeof(item), sizeof(uint64_t));
    }
    weft_guard_leave(&guard);
    return step.next != 0 && step.next <= last ? step.next : 0;
}

int weft_walk_cells(weft_map_impl *map, const weft_part *part, weft_cell_fn visit, void *ctx) {
    if (part->count == 0 || part->index >= part->count) {
        return WEFT_E_INVALID;
    }
    if (map == NULL) {
        return WEFT_OK;
    }
    uint64_t width = part->count == 1 ? 0 : UINT64_MAX / part->count + 1;
    uint64_t from = width * part->index;
    uint64_t last = part->index + 1 == part->count ? UINT64_MAX : from + width - 1;
    bool stopped = false;
    do {
        from = weft_walk_step(map, from, last, visit, ctx, &stopped);
    } while (from != 0 && !stopped);
    return stopped ? WEFT_ABORTED : WEFT_OK;
}

/* ---- iterators ---------------------------------------------------------------------------------- */

/* What an iterator remembers: the step it is in, and the last cell it showed there. */
enum { ITER_MAP, ITER_FROM, ITER_LAST_CELL, ITER_LAST_NUMBER, ITER_CORE, ITER_STATE };
enum { ITER_FRESH = 0, ITER_IN_STEP = 1, ITER_END = 2 };

void weft_walk_iter_start(weft_map_impl *map, uint64_t *words) {
    memset(words, 0, WEFT_ITER_WORDS * sizeof *words);
    words[ITER_MAP] = (uintptr_t)map;
    words[ITER_STATE] = map == NULL ? ITER_END : ITER_FRESH;
}

bool weft_walk_iter_next(uint64_t *words, uint64_t *number, uint64_t *cell) {
    weft_map_impl *map = (weft_map_impl *)(uintptr_t)words[ITER_MAP];
    while (words[ITER_STATE] != ITER_END) {
        weft_core *core = weft_map_core(map);
        bool same = words[ITER_CORE] == (uintptr_t)core; /* else cleared: hashes mean nothing now */
        after a = {.core = core, .any = same && words[ITER_STATE] == ITER_IN_STEP};
        if (a.any) {
            a.last = (item){words[ITER_LAST_NUMBER], words[ITER_LAST_CELL], 0};
            a.last.point = point_of(core, a.last.number, a.last.cell);
        }
        weft_step step = {.from = words[ITER_FROM], .emit = keep_least, .ctx = &a};
        core->engine->walk(core, &step);
        words[ITER_CORE] = (uintptr_t)core;
        if (a.found) {
            *number = words[ITER_LAST_NUMBER] = a.least.number;
            *cell = words[ITER_LAST_CELL] = a.least.cell;
            words[ITER_STATE] = ITER_IN_STEP;
            return true;
        }
        words[ITER_FROM] = step.next;
        words[ITER_STATE] = step.next == 0 ? ITER_END : ITER_FRESH;
    }
    return false;
}

/* ---- bytes shape -------------------------------------------------------------------------------- */

typedef struct visitor {
    weft_map *map;
    weft_visit_fn fn;
    void *ctx;
    size_t count;
} visitor;

static weft_map_impl *existing(weft_map *map) {
    return weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
}

static bool visit_entry(void *ctx, uint64_t number, uint64_t cell) {
    visitor *v = ctx;
    weft_view view = weft_entry_view((const weft_entry *)(uintptr_t)cell);
    (void)number;
    return v->fn(v->ctx, &view);
}

int weft_map_foreach_part(weft_map *map, const weft_part *part) {
    visitor v = {map, part->fn, part->ctx, 0};
    return weft_walk_cells(existing(map), part, visit_entry, &v);
}

int weft_map_foreach(weft_map *map, weft_visit_fn fn, void *ctx) {
    weft_part all = {0, 1, fn, ctx};
    return weft_map_foreach_part(map, &all);
}

static bool count_cell(void *ctx, uint64_t number, uint64_t cell) {
    (void)number;
    (void)cell;
    ++*(size_t *)ctx;
    return true;
}

size_t weft_map_len_exact(weft_map *map) {
    size_t count = 0;
    weft_part all = {0, 1, NULL, NULL};
    weft_walk_cells(existing(map), &all, count_cell, &count);
    return count;
}

static bool visit_and_go_on(void *ctx, uint64_t number, uint64_t cell) {
    visit_entry(ctx, number, cell);
    return true;
}

int weft_map_scan(weft_map *map, uint64_t *cursor, weft_visit_fn fn, void *ctx) {
    weft_map_impl *impl = existing(map);
    visitor v = {map, fn, ctx, 0};
    bool stopped;
    *cursor =
        impl == NULL ? 0 : weft_walk_step(impl, *cursor, UINT64_MAX, visit_and_go_on, &v, &stopped);
    return WEFT_OK;
}

static bool lacks_grace(void *ctx, const weft_view *entry) {
    visitor *v = ctx;
    return !v->fn(v->ctx, entry);
}

static bool retain_entry(void *ctx, uint64_t number, uint64_t cell) {
    visitor *v = ctx;
    weft_view view = weft_entry_view((const weft_entry *)(uintptr_t)cell);
    (void)number;
    if (!v->fn(v->ctx, &view)) {
        int status = weft_map_remove_if_version(v->map, view.key, view.version);
        if (status == WEFT_MISMATCH) { /* written meanwhile: ask again */
            status = weft_map_remove_if(v->map, view.key, lacks_grace, v);
        }
        v->count += status == WEFT_OK;
    }
    return true;
}

int weft_map_retain(weft_map *map, weft_visit_fn fn, void *ctx, size_t *removed) {
    visitor v = {map, fn, ctx, 0};
    weft_part all = {0, 1, NULL, NULL};
    weft_walk_cells(existing(map), &all, retain_entry, &v);
    if (removed != NULL) {
        *removed = v.count;
    }
    return WEFT_OK;
}

void weft_map_iter_start(weft_map *map, weft_map_iter *iter) {
    weft_walk_iter_start(existing(map), iter->words);
}

int weft_map_iter_next(weft_map_iter *iter, const weft_guard *guard, weft_view *view) {
    uint64_t number;
    uint64_t cell;
    if (guard == NULL || guard->record == NULL) {
        return WEFT_E_INVALID;
    }
    if (!weft_walk_iter_next(iter->words, &number, &cell)) {
        return WEFT_NOT_FOUND;
    }
    *view = weft_entry_view((const weft_entry *)(uintptr_t)cell);
    return WEFT_OK;
}
