/* SPDX-License-Identifier: MIT */
/* What nobody can reach any more, and is too much to be freed in one step: tables that a resize
 * left, and eras that clear replaced. They wait in one list of the map; every write takes a little
 * of it, so do maintain and close. States, and why: docs/design/reclamation.md. */
#include "map/core.h"

#include "base/assert.h"
#include "base/memory.h"

enum {
    BUCKETS_IN_PASSING = 4, /* of an era, that one write frees */
    PIECE_EVERY = 64,       /* writes of a thread between two pieces of a table */
    COLLECT_EVERY = 512,    /* … and between attempts to end a grace period, */
    COLLECT_TURNS = 3,      /* so many at a time: at each the epoch moves by one at most */
};

static weft_map_impl *map_of(weft_core *core) {
    return WEFT_CONTAINER(core, weft_era, core)->map;
}

/* ---- tables ---------------------------------------------------------------------------------- */

void weft_remains_free_piece(weft_core *core, weft_remains *remains, uint64_t piece) {
    WEFT_ASSERT(piece < remains->pieces);
    for (int i = 0; i < WEFT_REMAINS_TABLES; i++) {
        uint64_t pieces = weft_core_table_pieces(core, remains->tables[i].size);
        if (piece < pieces) {
            size_t bytes = weft_core_free_table_piece(core, remains->tables[i].memory,
                                                      remains->tables[i].size, piece);
            weft_fetch_add_relaxed(&map_of(core)->remains_bytes, -(uint64_t)bytes);
            return;
        }
        piece -= pieces;
    }
}

static size_t table_bytes(const weft_remains *remains) {
    size_t bytes = 0;
    for (int i = 0; i < WEFT_REMAINS_TABLES; i++) {
        bytes += remains->tables[i].size;
    }
    return bytes;
}

/* Nobody can reach it: put it on the list. Called inside some operation, or by close. */
static void enter_list(weft_core *core, weft_block *block) {
    weft_remains *remains = WEFT_CONTAINER(block, weft_remains, block);
    weft_map_impl *map = map_of(core);
    remains->left = remains->pieces + 1;
    weft_fetch_add_relaxed(&map->remains_bytes, table_bytes(remains));
    remains->next = weft_load_relaxed(&map->remains);
    /* Release: the fields. Pairs with the acquire of the list in weft_map_bury_some. */
    while (!weft_cas_acq_rel(&map->remains, &remains->next, remains)) {
    }
}

void weft_remains_set(weft_core *core, weft_remains *remains,
                      void (*end)(weft_core *core, weft_block *block)) {
    WEFT_ASSERT(remains->claimed == 0 && end != NULL);
    remains->free_piece = weft_remains_free_piece;
    remains->end = end;
    remains->pieces = 0;
    for (int i = 0; i < WEFT_REMAINS_TABLES; i++) {
        remains->pieces += weft_core_table_pieces(core, remains->tables[i].size);
    }
    remains->block = (weft_block){.destroy = enter_list, .bytes = table_bytes(remains)};
}

static size_t release(void *ctx, uint64_t link) {
    weft_map_impl *map = ctx;
    weft_block *block = WEFT_CONTAINER((void *)(uintptr_t)link, weft_block, link);
    size_t bytes = block->bytes;
    block->destroy(weft_map_core(map), block);
    return bytes;
}

void weft_map_set_limbo(weft_map_impl *map) {
    map->limbo = (weft_limbo){&map->limbo_stripe, 1, release, map};
}

static void retire(weft_map_impl *map, weft_remains *remains) {
    weft_limbo_retire(&map->limbo, (uintptr_t)&remains->block.link, remains->block.bytes);
}

void weft_core_retire_remains(weft_core *core, weft_remains *remains) {
    weft_map_impl *map = map_of(core);
    weft_fetch_add_relaxed(&map->waiting, 1);
    retire(map, remains);
}

void weft_core_bury(weft_core *core, weft_remains *remains) {
    weft_fetch_add_relaxed(&map_of(core)->waiting, 1);
    enter_list(core, &remains->block);
}

/* ---- eras ------------------------------------------------------------------------------------ */

static void drop_cleared(weft_core *core, uint64_t cell) {
    if (core->shape == WEFT_SHAPE_BYTES) {
        weft_entry *entry = (weft_entry *)(uintptr_t)cell;
        weft_map_impl *map = map_of(core);
        /* Cleared eras are behind the present one; a map that is closed drops the present one. */
        bool present = weft_map_core(map) == core;
        weft_entry_set_reason(entry, present ? WEFT_DESTROYED : WEFT_CLEARED);
        weft_entry_release(map, entry);
    }
}

/* Free some of an era that no thread can reach; true when only its memory is left. */
static bool close_some(weft_era *era, size_t budget) {
    weft_core *core = &era->core;
    if (core->table != NULL && !core->engine->close(core, budget, drop_cleared)) {
        return false;
    }
    weft_limbo_drain(&core->limbo);
    return true;
}

static void era_end(weft_core *core, weft_block *block) {
    (void)core;
    weft_era *era = WEFT_CONTAINER(block, weft_era, remains.block);
    weft_memory_free(&era->map->allocator, era, era->bytes, WEFT_CACHE_LINE);
}

static void keep_cell(weft_core *core, uint64_t cell) {
    (void)core;
    (void)cell;
}

void weft_era_discard(weft_era *era) {
    while (!era->core.engine->close(&era->core, SIZE_MAX, keep_cell)) {
    }
    weft_limbo_drain(&era->core.limbo);
    era_end(&era->core, &era->remains.block);
}

void weft_era_set_remains(weft_era *era) {
    era->remains.end = era_end;
    era->remains.pieces = 1;
    era->remains.block = (weft_block){.destroy = enter_list, .bytes = era->bytes};
}

/* ---- the list -------------------------------------------------------------------------------- */

static bool all_claimed(const weft_remains *remains) {
    return weft_load_relaxed(&remains->claimed) >= remains->pieces;
}

/* One piece less, or off the list. The last one has the object freed: others may look at it. */
static void one_less(weft_core *core, weft_remains *remains) {
    /* Release, acquire: all pieces are given back before the object is. Pairs with itself. */
    if (weft_fetch_add_acq_rel(&remains->left, (uint64_t)-1) != 1) {
        return;
    }
    WEFT_ASSERT(all_claimed(remains) && weft_epoch_inside());
    weft_fetch_add_relaxed(&map_of(core)->waiting, (uint64_t)-1);
#if WEFT_MUTANT == 17 /* frees what others may still look at */
    remains->end(core, &remains->block);
    return;
#endif
    remains->block.destroy = remains->end;
    remains->block.bytes = 0;
    retire(map_of(core), remains);
}

/* An era is freed by one thread at a time; the others pass by. */
static size_t free_of_era(weft_core *core, weft_era *era, size_t budget) {
    /* Acquire: what the thread before left. Pairs with the release below. */
    if (weft_exchange_acq_rel(&era->freeing, 1) != 0) {
        return budget;
    }
    bool mine = !all_claimed(&era->remains);
    bool closed = mine && close_some(era, budget);
    if (closed) {
        weft_store_relaxed(&era->remains.claimed, 1);
    }
    weft_store_release(&era->freeing, 0); /* pairs with the exchange above */
    if (closed) {
        one_less(core, &era->remains);
    }
    return mine && !closed ? 0 : budget;
}

/* Frees some; returns what is left of the budget. */
static size_t free_some(weft_core *core, weft_remains *remains, size_t budget) {
    if (remains->free_piece == NULL) {
        return free_of_era(core, WEFT_CONTAINER(remains, weft_era, remains), budget);
    }
    while (budget >= WEFT_BURY_LEAST && !all_claimed(remains)) {
#if WEFT_MUTANT == 16 /* two threads give the same piece back */
        uint64_t piece = weft_load_relaxed(&remains->claimed);
        weft_store_relaxed(&remains->claimed, piece + 1);
#else
        uint64_t piece = weft_fetch_add_relaxed(&remains->claimed, 1);
#endif
        if (piece < remains->pieces) {
            remains->free_piece(core, remains, piece);
            one_less(core, remains);
            budget -= WEFT_BURY_LEAST;
        }
    }
    return budget;
}

/* What is all handed out leaves the list at its front. It never comes back, and is not freed while
 * this guard lasts: so the CAS means what it says. */
static void unlink_claimed(weft_core *core, weft_map_impl *map, size_t most) {
    weft_remains *first = weft_load_acquire(&map->remains); /* pairs with enter_list */
    for (; most > 0 && first != NULL && all_claimed(first); most--) {
        weft_remains *unlinked = first;
        /* Sequentially consistent: comes before the epoch that the object is retired with. */
        if (weft_cas_seq_cst(&map->remains, &first, unlinked->next)) {
            first = unlinked->next;
            one_less(core, unlinked);
        }
    }
}

/* The budget bounds the objects that are looked at, too. */
bool weft_map_bury_some(weft_map_impl *map, size_t budget) {
    WEFT_ASSERT(weft_epoch_inside() && budget >= 1);
    weft_core *core = weft_map_core(map);
    weft_remains *remains = weft_load_acquire(&map->remains); /* pairs with enter_list */
    size_t left = budget;
    for (size_t i = 0; i < budget && left > 0 && remains != NULL; i++, remains = remains->next) {
        if (!all_claimed(remains)) {
            left = free_some(core, remains, left);
        }
    }
    unlink_claimed(core, map, budget);
    return weft_load_relaxed(&map->waiting) == 0;
}

WEFT_COLD void weft_map_bury_in_passing(weft_map_impl *map) {
    bool own;
    weft_core *core = weft_map_core(map);
    weft_core_stripe *stripe = weft_core_my_stripe(core, &own);
    uint64_t writes = weft_load_relaxed(&stripe->passed) + 1;
    weft_store_relaxed(&stripe->passed, writes); /* threads that share a stripe may lose some */
    if (weft_load_relaxed(&map->remains) != NULL) {
        weft_map_bury_some(map, writes % PIECE_EVERY == 0 ? WEFT_BURY_LEAST : BUCKETS_IN_PASSING);
    } else if (writes % COLLECT_EVERY < COLLECT_TURNS) {
        /* A grace period ends in a collection, and inserts alone never collect. */
        weft_limbo_collect(&map->limbo, WEFT_BURY_LEAST);
    }
}

bool weft_map_bury_all(weft_map_impl *map) {
    weft_guard guard;
    weft_guard_enter(&guard);
    bool done = weft_map_bury_some(map, SIZE_MAX);
    weft_guard_leave(&guard);
    return done;
}

void weft_era_close(weft_era *era) {
    while (!close_some(era, SIZE_MAX)) {
    }
    do {
        weft_limbo_drain(&era->map->limbo);
    } while (!weft_map_bury_all(era->map));
    weft_limbo_drain(&era->map->limbo);
    era_end(&era->core, &era->remains.block);
}
