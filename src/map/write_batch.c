/* SPDX-License-Identifier: MIT */
/* Several writes as one, and replacing all that a map holds; both shapes.
 * docs/design/write_batch.md. */
#include "map/recording.h"

#include "base/memory.h"
#include <weft/write_batch.h>

/* A write as the caller gave it, of either shape. */
typedef struct item {
    weft_write_op op;
    weft_bytes key;
    weft_bytes value;
    uint64_t number; /* u64 shape: the key */
    uint64_t cell;   /* u64 shape: the value */
} item;

/* The writes of a call: what the caller gave, and what the engine gets. */
typedef struct group {
    weft_map_impl *map;
    weft_core *core;
    item (*get)(const struct group *g, size_t i);
    const void *given;
    const void *given_values; /* if they are apart */
    size_t count;
    weft_group_write *writes;
} group;

/* ---- before and after ------------------------------------------------------------------------ */

/* Why the caller's writes cannot be carried out. */
static int refusal(const group *g) {
    for (size_t i = 0; i < g->count; i++) {
        item it = g->get(g, i);
        if (it.op != WEFT_WRITE_PUT && it.op != WEFT_WRITE_REMOVE) {
            return WEFT_E_INVALID;
        }
        int status = weft_entry_refusal(g->map, it.key.size, it.value.size);
        if (status != WEFT_OK) {
            return status;
        }
    }
    return WEFT_OK;
}

static void free_writes(group *g) {
    weft_memory_free(&g->map->allocator, g->writes, g->count * sizeof *g->writes, sizeof(uint64_t));
}

/* Nothing was written: what was made for the first `made` writes goes. */
static void undo(group *g, size_t made) {
    for (size_t i = 0; i < made && g->map->shape == WEFT_SHAPE_BYTES; i++) {
        if (g->writes[i].keep) {
            weft_entry_discard(g->map, (weft_entry *)(uintptr_t)g->writes[i].desired);
        }
    }
    free_writes(g);
}

/* What the engine gets for one write; false without memory. */
static bool prepare_one(group *g, size_t i) {
    item it = g->get(g, i);
    weft_group_write *write = &g->writes[i];
    *write = (weft_group_write){.keep = it.op == WEFT_WRITE_PUT};
    if (g->map->shape == WEFT_SHAPE_U64) {
        write->key = weft_key_of_u64(g->core, it.number);
        write->desired = it.cell;
        return true;
    }
    write->key = weft_key_of_bytes(g->core, it.key);
    if (write->keep) {
        weft_fresh fresh = {{NULL, 0}, it.value};
        write->desired = (uintptr_t)weft_entry_make(g->map, it.key, &fresh, true);
    }
    return !write->keep || write->desired != 0;
}

/* At least one write. */
static int prepare(group *g) {
    if (g->count > SIZE_MAX / sizeof *g->writes) {
        return WEFT_E_NOMEM;
    }
    g->writes =
        weft_memory_alloc(&g->map->allocator, g->count * sizeof *g->writes, sizeof(uint64_t));
    if (g->writes == NULL) {
        return WEFT_E_NOMEM;
    }
    for (size_t i = 0; i < g->count; i++) {
        if (!prepare_one(g, i)) {
            undo(g, i);
            return weft_entry_shortage(g->map);
        }
    }
    return WEFT_OK;
}

static int64_t bytes_of(const group *g, bool any, uint64_t cell) {
    return any && g->map->shape == WEFT_SHAPE_BYTES
               ? (int64_t)weft_entry_bytes((const weft_entry *)(uintptr_t)cell)
               : 0;
}

static void count_one(const group *g, const weft_group_write *write) {
    weft_core_count(g->core, (int)write->keep - (int)write->existed,
                    bytes_of(g, write->keep, write->desired) -
                        bytes_of(g, write->existed, write->old));
}

/* What the writes replaced and removed leaves the map. */
static void retire_replaced(group *g) {
    for (size_t i = 0; i < g->count && g->map->shape == WEFT_SHAPE_BYTES; i++) {
        const weft_group_write *write = &g->writes[i];
        if (write->existed) {
            weft_entry_retire(g->core, (weft_entry *)(uintptr_t)write->old,
                              write->keep ? WEFT_REPLACED : WEFT_REMOVED);
        }
    }
}

static void record(const group *g) {
    for (size_t i = 0; i < g->count && weft_load_relaxed(&g->map->recording) != NULL; i++) {
        const weft_group_write *write = &g->writes[i];
        weft_recording_filter *recording = weft_recording_for(g->map, &write->key);
        bool number = g->map->shape == WEFT_SHAPE_U64;
        weft_recorded_write done = {write->keep ? WEFT_TRACE_PUT : WEFT_TRACE_REMOVE, WEFT_OK,
                                    write->keep ? WEFT_SET : WEFT_DEL, write->existed, 0};
        if (!write->keep && !write->existed) {
            done.status = WEFT_ABORTED;
            done.verdict = WEFT_ABORT;
        }
        if (write->keep) {
            size_t size = number ? sizeof(uint64_t) : g->get(g, i).value.size;
            done.value_size = (uint32_t)size;
        }
        if (recording != NULL) {
            weft_recording_note_write(recording, &write->key, &done);
        }
    }
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* Inside a guard. */
static int write_guarded(group *g) {
    g->core = weft_map_core(g->map);
    if (g->core->engine->write_batch == NULL) {
        return WEFT_E_UNSUPPORTED;
    }
    int status = g->count == 0 ? WEFT_OK : prepare(g);
    if (status != WEFT_OK || g->count == 0) {
        return status;
    }
    status = g->core->engine->write_batch(g->core, g->writes, g->count);
    if (status != WEFT_OK) {
        undo(g, g->count);
        return status;
    }
    for (size_t i = 0; i < g->count; i++) {
        count_one(g, &g->writes[i]);
    }
    record(g);
    retire_replaced(g);
    free_writes(g);
    weft_map_bury(g->map);
    return WEFT_OK;
}

/* Each attempt inside a guard of its own: what was retired may be free for the next. */
static int in_guards(group *g, int (*attempt)(group *g)) {
    unsigned chances = 0;
    int status;
    do {
        weft_guard guard;
        weft_guard_enter(&guard);
        status = attempt(g);
        weft_guard_leave(&guard);
    } while (status != WEFT_OK && weft_map_another_chance(g->map, status, &chances));
    return status;
}

static int write_batch(group *g) {
    int status = g->map == NULL ? WEFT_E_NOMEM : refusal(g);
    if (status != WEFT_OK) {
        return status;
    }
    return in_guards(g, write_guarded);
}

/* ---- all that the map holds ------------------------------------------------------------------ */

/* One write, into an era that nobody sees yet. */
static int fill_one(group *g, weft_group_write *write) {
    const weft_engine *engine = g->core->engine;
    weft_position position = {.at_least = 0};
    int status;
    do {
        engine->find[g->core->shape](g->core, &write->key, &position);
        write->existed = position.present;
        write->old = position.cell;
        position.at_least = 0;
        status = engine->swing(g->core, &write->key, &position, true, write->desired);
    } while (status == WEFT_MISMATCH);
    return status;
}

static int fill(group *g) {
    const weft_engine *engine = g->core->engine;
    if ((engine->caps & WEFT_CAP_COPIES) != 0 && engine->write_batch != NULL) {
        int status = engine->write_batch(g->core, g->writes, g->count);
        for (size_t i = 0; i < g->count && status == WEFT_OK; i++) {
            count_one(g, &g->writes[i]);
        }
        return status;
    }
    int status = WEFT_OK;
    (void)engine->reserve(g->core, g->count); /* else it grows on the way */
    for (size_t i = 0; i < g->count && status == WEFT_OK; i++) {
        status = fill_one(g, &g->writes[i]);
        if (status == WEFT_OK) {
            count_one(g, &g->writes[i]);
        }
    }
    return status;
}

/* Inside a guard: an era that holds what was given, and nothing else. */
static int make_filled(group *g, weft_era **made) {
    int status = weft_era_make(g->map, made);
    if (status != WEFT_OK) {
        return status;
    }
    g->core = &(*made)->core;
    status = g->count == 0 ? WEFT_OK : prepare(g);
    if (status == WEFT_OK && g->count != 0) {
        status = fill(g);
        if (status != WEFT_OK) {
            weft_era_discard(*made);
            undo(g, g->count);
            return status;
        }
    } else if (status != WEFT_OK) {
        weft_era_discard(*made);
    }
    return status;
}

/* Inside a guard. */
static int assign_guarded(group *g) {
    weft_era *fresh = NULL;
    int status = make_filled(g, &fresh);
    if (status == WEFT_OK) {
        weft_map_replace_era(g->map, fresh);
        weft_recording_refuse(g->map, "all of the map was replaced, which a trace cannot hold");
        if (g->count != 0) {
            retire_replaced(g);
            free_writes(g);
        }
        weft_map_bury(g->map);
    }
    return status;
}

static int assign(group *g) {
    int status = g->map == NULL ? WEFT_E_NOMEM : refusal(g);
    if (status == WEFT_OK && g->map->options.fixed.memory != NULL) {
        status = WEFT_E_UNSUPPORTED;
    }
    if (status != WEFT_OK) {
        return status;
    }
    return in_guards(g, assign_guarded);
}

/* ---- the public functions -------------------------------------------------------------------- */

static item item_of_write(const group *g, size_t i) {
    const weft_write *write = &((const weft_write *)g->given)[i];
    return (item){.op = write->op,
                  .key = write->key,
                  .value = write->op == WEFT_WRITE_PUT ? write->value : weft_bytes_of(NULL, 0)};
}

int weft_map_write_batch(weft_map *map, const weft_write *writes, size_t count) {
    group g = {.map = weft_map_of(&map->impl, WEFT_SHAPE_BYTES),
               .get = item_of_write,
               .given = writes,
               .count = count};
    return write_batch(&g);
}

static item item_of_arrays(const group *g, size_t i) {
    return (item){.key = ((const weft_bytes *)g->given)[i],
                  .value = ((const weft_bytes *)g->given_values)[i]};
}

int weft_map_assign(weft_map *map, const weft_bytes *keys, const weft_bytes *values, size_t count) {
    group g = {.map = weft_map_of(&map->impl, WEFT_SHAPE_BYTES),
               .get = item_of_arrays,
               .given = keys,
               .given_values = values,
               .count = count};
    return assign(&g);
}

static item item_of_number(const group *g, size_t i) {
    const weft_u64write *write = &((const weft_u64write *)g->given)[i];
    return (item){.op = write->op, .number = write->key, .cell = write->value};
}

int weft_u64map_write_batch(weft_u64map *map, const weft_u64write *writes, size_t count) {
    group g = {.map = weft_map_of(&map->impl, WEFT_SHAPE_U64),
               .get = item_of_number,
               .given = writes,
               .count = count};
    return write_batch(&g);
}

static item item_of_pair(const group *g, size_t i) {
    const weft_u64pair *pair = &((const weft_u64pair *)g->given)[i];
    return (item){.number = pair->key, .cell = pair->value};
}

int weft_u64map_assign(weft_u64map *map, const weft_u64pair *pairs, size_t count) {
    group g = {.map = weft_map_of(&map->impl, WEFT_SHAPE_U64),
               .get = item_of_pair,
               .given = pairs,
               .count = count};
    return assign(&g);
}
