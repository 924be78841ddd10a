/* SPDX-License-Identifier: MIT */
/* weft_map and weft_u64map: size, maintenance, figures. The public functions of both shapes are one
 * line each over these. */
#include "map/core.h"

#include "base/lock.h"

/* The epoch moves once while a guard is held; what was retired is free when it has moved twice. */
enum { GRACE_TURNS = 3 };

/* 47 bits of address, and 8 bytes of table for an entry at the least. */
#define RESERVE_MAX (UINT64_C(1) << 44)

typedef int (*on_core_fn)(weft_core *core, uint64_t argument);

static int on_core(weft_map_impl *map, on_core_fn fn, uint64_t argument) {
    weft_guard guard;
    weft_guard_enter(&guard);
    int status = fn(weft_map_core(map), argument);
    weft_guard_leave(&guard);
    return status;
}

static int reserve_core(weft_core *core, uint64_t entries) {
    return core->engine->reserve(core, entries);
}

static int shrink_core(weft_core *core, uint64_t unused) {
    (void)unused;
    return core->engine->shrink(core);
}

static int maintain_core(weft_core *core, uint64_t budget) {
    return core->engine->maintain(core, budget) ? WEFT_OK : WEFT_E_BUSY;
}

static bool collect(weft_limbo *limbo, size_t budget) {
    uint64_t objects;
    uint64_t bytes;
    weft_limbo_pending(limbo, &objects, &bytes);
    return objects == 0 || weft_limbo_collect(limbo, budget);
}

/* True if nothing that was retired is left. */
static bool collect_both(weft_map_impl *map, size_t budget) {
    weft_guard guard;
    weft_guard_enter(&guard);
    bool entries = collect(&weft_map_core(map)->limbo, budget);
    bool remains = collect(&map->limbo, budget);
    weft_guard_leave(&guard);
    return entries && remains;
}

static bool bury(weft_map_impl *map, size_t budget) {
    weft_guard guard;
    weft_guard_enter(&guard);
    bool done = weft_map_bury_some(map, budget < WEFT_BURY_LEAST ? WEFT_BURY_LEAST : budget);
    weft_guard_leave(&guard);
    return done;
}

int weft_manage_reserve(weft_map_impl *map, size_t entries) {
    /* More than the address space holds: say so before a table grows towards it step by step. */
    bool possible = entries <= RESERVE_MAX;
    return map == NULL || !possible ? WEFT_E_NOMEM : on_core(map, reserve_core, entries);
}

int weft_manage_shrink(weft_map_impl *map) {
    return map == NULL ? WEFT_UNCHANGED : on_core(map, shrink_core, 0);
}

int weft_manage_maintain(weft_map_impl *map, size_t budget) {
    if (map == NULL) {
        return WEFT_OK;
    }
    bool moved = on_core(map, maintain_core, budget) == WEFT_OK;
    bool buried = bury(map, budget); /* what is buried whole is retired once more */
    bool freed = false;
    for (int turn = 0; turn < GRACE_TURNS && !freed; turn++) {
        freed = collect_both(map, budget);
    }
    return moved && buried && freed ? WEFT_OK : WEFT_E_BUSY;
}

size_t weft_manage_len(weft_map_impl *map) {
    weft_guard guard;
    weft_guard_enter(&guard);
    size_t entries = map == NULL ? 0 : weft_core_entries(weft_map_core(map));
    weft_guard_leave(&guard);
    return entries;
}

void weft_manage_stats(weft_map_impl *map, weft_map_stats *stats) {
    *stats = (weft_map_stats){.engine = weft_engine_of(WEFT_ENGINE_AUTO)->name};
    if (map == NULL) {
        return;
    }
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_core *core = weft_map_core(map);
    stats->engine = core->engine->name;
    stats->entries = weft_core_entries(core);
    stats->era = core->era;
    stats->snapshots = weft_load_relaxed(&core->image_count);
    for (uint32_t i = 0; i < 2 * core->stripe_count; i++) {
        stats->entry_bytes += (uint64_t)weft_load_relaxed(&core->stripes[i].entry_bytes);
        stats->retries += weft_load_relaxed(&core->stripes[i].retries);
    }
    uint64_t objects;
    weft_limbo_pending(&core->limbo, &objects, &stats->pending_bytes);
    stats->pending_objects = objects;
    uint64_t bytes = weft_load_relaxed(&map->remains_bytes);
    stats->pending_bytes += bytes;
    weft_limbo_pending(&map->limbo, &objects, &bytes);
    stats->pending_objects += objects;
    stats->pending_bytes += bytes;
    core->engine->stats(core, stats);
    weft_guard_leave(&guard);
}

int weft_manage_check(weft_map_impl *map, char *text, size_t capacity) {
    if (map == NULL) {
        return WEFT_OK;
    }
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_core *core = weft_map_core(map);
    int status = core->engine->check(core, text, capacity);
    weft_guard_leave(&guard);
    return status;
}

void weft_manage_dump(weft_map_impl *map, void (*print)(void *ctx, const char *line), void *ctx) {
    if (map == NULL) {
        return;
    }
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_core *core = weft_map_core(map);
    core->engine->dump(core, print, ctx);
    weft_guard_leave(&guard);
}

WEFT_COLD bool weft_map_another_chance(weft_map_impl *map, int status, unsigned *chances) {
    enum { CHANCES = 200, AT_ONCE = 4096 };
    if (status != WEFT_E_FULL || map->records.memory == NULL || weft_epoch_inside() ||
        ++*chances > CHANCES) {
        return false;
    }
    weft_map_stats stats;
    weft_manage_stats(map, &stats);
    bool waits = stats.pending_objects != 0 || weft_load_relaxed(&map->waiting) != 0;
    (void)weft_manage_maintain(map, AT_ONCE);
    weft_yield();
    return waits;
}

/* ---- bytes shape ----------------------------------------------------------------------------- */

static weft_map_impl *existing(weft_map *map) {
    return weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
}

int weft_map_clear(weft_map *map) {
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_BYTES);
    return impl == NULL ? WEFT_E_NOMEM : weft_map_clear_impl(impl);
}

int weft_map_reserve(weft_map *map, size_t entries) {
    return weft_manage_reserve(weft_map_of(&map->impl, WEFT_SHAPE_BYTES), entries);
}

int weft_map_shrink(weft_map *map) {
    return weft_manage_shrink(existing(map));
}

int weft_map_maintain(weft_map *map, size_t budget) {
    return weft_manage_maintain(existing(map), budget);
}

size_t weft_map_len(weft_map *map) {
    return weft_manage_len(existing(map));
}

bool weft_map_is_empty(weft_map *map) {
    return weft_map_len(map) == 0;
}

void weft_map_stats_get(weft_map *map, weft_map_stats *stats) {
    weft_manage_stats(existing(map), stats);
}

int weft_map_check(weft_map *map, char *text, size_t capacity) {
    return weft_manage_check(existing(map), text, capacity);
}

void weft_map_dump(weft_map *map, void (*print)(void *ctx, const char *line), void *ctx) {
    weft_manage_dump(existing(map), print, ctx);
}
