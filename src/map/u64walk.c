/* SPDX-License-Identifier: MIT */
/* weft_u64map: walks, and the whole map at once. */
#include "map/core.h"

#include <weft/u64map.h>

static weft_map_impl *existing(weft_u64map *map) {
    return weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
}

typedef struct visitor {
    weft_u64map *map;
    weft_u64visit_fn fn;
    void *ctx;
    size_t removed;
    weft_walk walk;
} visitor;

static bool visit_pair(void *ctx, uint64_t number, uint64_t cell) {
    visitor *v = ctx;
    return v->fn(v->ctx, (weft_u64pair){number, cell});
}

int weft_u64map_foreach_part(weft_u64map *map, const weft_u64part *part) {
    visitor v = {.fn = part->fn, .ctx = part->ctx, .walk = {.visit = visit_pair, .ctx = &v}};
    weft_part cells = {part->index, part->count, NULL, NULL};
    return weft_walk_part(existing(map), &cells, &v.walk);
}

int weft_u64map_foreach(weft_u64map *map, weft_u64visit_fn fn, void *ctx) {
    weft_u64part all = {0, 1, fn, ctx};
    return weft_u64map_foreach_part(map, &all);
}

size_t weft_u64map_len_exact(weft_u64map *map) {
    return weft_walk_count(existing(map));
}

static bool visit_and_go_on(void *ctx, uint64_t number, uint64_t cell) {
    visit_pair(ctx, number, cell);
    return true;
}

int weft_u64map_scan(weft_u64map *map, uint64_t *cursor, weft_u64visit_fn fn, void *ctx) {
    visitor v = {.fn = fn, .ctx = ctx, .walk = {.visit = visit_and_go_on, .ctx = &v}};
    weft_walk_scan(existing(map), cursor, &v.walk);
    return WEFT_OK;
}

static bool is_unwanted(void *ctx, weft_u64pair pair) {
    visitor *v = ctx;
    return !v->fn(v->ctx, pair);
}

static bool retain_pair(void *ctx, uint64_t number, uint64_t cell) {
    visitor *v = ctx;
    if (!v->fn(v->ctx, (weft_u64pair){number, cell})) {
        int status = weft_u64map_remove_eq(v->map, number, cell);
        if (status == WEFT_MISMATCH) { /* written meanwhile: ask again */
            status = weft_u64map_remove_if(v->map, number, is_unwanted, v);
        }
        v->removed += status == WEFT_OK;
    }
    return true;
}

int weft_u64map_retain(weft_u64map *map, weft_u64visit_fn fn, void *ctx, size_t *removed) {
    visitor v = {.map = map, .fn = fn, .ctx = ctx, .walk = {.visit = retain_pair, .ctx = &v}};
    weft_part all = {0, 1, NULL, NULL};
    weft_walk_part(existing(map), &all, &v.walk);
    if (removed != NULL) {
        *removed = v.removed;
    }
    return WEFT_OK;
}

void weft_u64map_iter_start(weft_u64map *map, weft_u64map_iter *iter) {
    weft_walk_iter_start(existing(map), iter->words);
}

int weft_u64map_iter_next(weft_u64map_iter *iter, weft_u64pair *entry) {
    weft_guard guard;
    weft_guard_enter(&guard);
    bool found = weft_walk_iter_next(iter->words, &entry->key, &entry->value);
    weft_guard_leave(&guard);
    return found ? WEFT_OK : WEFT_NOT_FOUND;
}

/* ---- the whole map --------------------------------------------------------------------------- */

int weft_u64map_clear(weft_u64map *map) {
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_U64);
    return impl == NULL ? WEFT_E_NOMEM : weft_map_clear_impl(impl);
}

int weft_u64map_reserve(weft_u64map *map, size_t entries) {
    return weft_manage_reserve(weft_map_of(&map->impl, WEFT_SHAPE_U64), entries);
}

int weft_u64map_shrink(weft_u64map *map) {
    return weft_manage_shrink(existing(map));
}

int weft_u64map_maintain(weft_u64map *map, size_t budget) {
    return weft_manage_maintain(existing(map), budget);
}

size_t weft_u64map_len(weft_u64map *map) {
    return weft_manage_len(existing(map));
}

bool weft_u64map_is_empty(weft_u64map *map) {
    return weft_u64map_len(map) == 0;
}

void weft_u64map_stats_get(weft_u64map *map, weft_map_stats *stats) {
    weft_manage_stats(existing(map), stats);
}

int weft_u64map_check(weft_u64map *map, char *text, size_t capacity) {
    return weft_manage_check(existing(map), text, capacity);
}

void weft_u64map_dump(weft_u64map *map, void (*print)(void *ctx, const char *line), void *ctx) {
    weft_manage_dump(existing(map), print, ctx);
}
