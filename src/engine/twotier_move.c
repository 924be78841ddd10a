/* SPDX-License-Identifier: MIT */
/* Engine "twotier", incremental mode: the directory of leaves, and its way to another size, a few
 * leaves in each locked operation. Everything here happens under the lock.
 * docs/design/twotier.md. */
#include "engine/twotier_layout.h"

/* ---- a directory ----------------------------------------------------------------------------- */

static void directory_end(weft_core *core, weft_block *block) {
    directory *unused = WEFT_CONTAINER(block, directory, remains.block);
    weft_core_free(core, unused, sizeof *unused, WEFT_CACHE_LINE);
}

static directory *directory_new(weft_core *core, unsigned bits) {
    WEFT_ASSERT(bits <= DIRECTORY_BITS_MAX);
    directory *fresh = weft_core_alloc(core, sizeof *fresh, WEFT_CACHE_LINE);
    if (fresh == NULL) {
        return NULL;
    }
    size_t bytes = sizeof(leaf) << bits;
    *fresh = (directory){.bits = bits, .mask = ((uint64_t)1 << bits) - 1};
    fresh->unmoved = fresh->mask + 1;
    fresh->leaves = weft_core_alloc_table(core, bytes, false);
    if (fresh->leaves == NULL) {
        weft_core_free(core, fresh, sizeof *fresh, WEFT_CACHE_LINE);
        return NULL;
    }
    fresh->remains.tables[0].memory = fresh->leaves;
    fresh->remains.tables[0].size = bytes;
    weft_remains_set(core, &fresh->remains, directory_end);
    table_of(core)->table_bytes += bytes;
    return fresh;
}

uint64_t weft_twotier_leaves_for(uint64_t entries) {
    unsigned bits = weft_bits_for(entries / LEAF_ENTRIES + (entries % LEAF_ENTRIES != 0));
    return (uint64_t)1 << (bits < DIRECTORY_BITS_MAX ? bits : DIRECTORY_BITS_MAX);
}

int weft_twotier_begin_move(weft_core *core, uint64_t leaves) {
    twotier_table *table = table_of(core);
    directory *now = table->directory;
    WEFT_ASSERT(now->older == NULL && (leaves & (leaves - 1)) == 0);
    if (leaves == now->mask + 1) {
        return WEFT_UNCHANGED;
    }
    directory *fresh = directory_new(core, weft_bits_for(leaves));
    if (fresh == NULL) {
        table->failures++;
        return WEFT_E_NOMEM;
    }
    fresh->older = now;
    table->shrinks += leaves < now->mask + 1;
    /* Release: its fields. Pairs with the acquires of place_of. */
    weft_store_release(&table->directory, fresh);
    return WEFT_OK;
}

static void end_move(weft_core *core, directory *now) {
    directory *older = now->older;
    /* Sequentially consistent: comes before the epoch that it is retired with. */
    weft_store_seq_cst(&now->older, NULL);
    if (older != &table_of(core)->first) {
        table_of(core)->table_bytes -= (older->mask + 1) * sizeof(leaf);
        weft_core_retire_remains(core, &older->remains);
    }
}

/* ---- a leaf ---------------------------------------------------------------------------------- */

/* The leaves from which leaf `target` of the new directory comes: one of a smaller one, two of a
 * larger. */
static unsigned sources_of(const directory *now, uint64_t target, leaf *sources[2]) {
    const directory *older = now->older;
    sources[0] = &older->leaves[target & older->mask];
    if (older->mask <= now->mask) {
        return 1;
    }
    WEFT_ASSERT(older->bits == now->bits + 1);
    sources[1] = &older->leaves[target + now->mask + 1];
    return 2;
}

/* One target less for each source; who has none left is empty. */
static void depart(weft_core *core, const directory *now, leaf *source, trash *heap) {
    uint64_t targets =
        now->bits > now->older->bits ? (uint64_t)1 << (now->bits - now->older->bits) : 1;
    if (++source->departed == targets) {
        table_of(core)->moved++;
        weft_twotier_leaf_empty(core, source, heap);
    }
}

/* Bring leaf `target` of the newest directory to life; false without memory. */
static bool move(weft_core *core, uint64_t target, trash *heap) {
    directory *now = table_of(core)->directory;
    leaf *to = &now->leaves[target];
    WEFT_ASSERT(now->older != NULL && weft_load_relaxed(&to->read) == 0);
    gather what = {.mask = now->mask, .target = target, .shift = now->bits};
    what.parts = sources_of(now, target, what.leaves);
    bool amended = false;
    for (unsigned i = 0; i < what.parts; i++) {
        /* What is on the chain and in use again may come onto the target's. */
        weft_twotier_prune_chain(core, what.leaves[i]);
        what.from[i] = leaf_whole(what.leaves[i]);
        amended = amended || tier_count(what.from[i]) != 0;
    }
    tier *fresh = amended ? weft_twotier_gather(core, &what) : NULL;
    if (amended && fresh == NULL) {
        return false;
    }
    table_of(core)->totals.read_entries += tier_count(fresh);
    /* Sequentially consistent, release: as in weft_twotier_replace_read, for the sources. */
    weft_store_seq_cst(&to->read, (uintptr_t)fresh | READ_LIVE);
    for (unsigned i = 0; i < what.parts; i++) {
        depart(core, now, what.leaves[i], heap);
    }
    if (--now->unmoved == 0) {
        end_move(core, now);
    }
    return true;
}

bool weft_twotier_settle(weft_core *core, uint64_t hash, place *at, trash *heap) {
    *at = place_of(core, hash);
    if (!place_is_newest(at)) {
        if (!move(core, hash & at->directory->mask, heap)) {
            return false;
        }
        *at = place_of(core, hash);
    }
    return true;
}

/* ---- when ------------------------------------------------------------------------------------ */

int weft_twotier_move_some(weft_core *core, uint64_t budget, trash *heap) {
    directory *now = table_of(core)->directory;
    for (; now->older != NULL && budget > 0; now->cursor++, budget--) {
        WEFT_ASSERT(now->cursor <= now->mask);
        if (weft_load_relaxed(&now->leaves[now->cursor].read) == 0 &&
            !move(core, now->cursor, heap)) {
            return WEFT_E_NOMEM;
        }
    }
    return now->older == NULL ? WEFT_OK : WEFT_E_BUSY;
}

static void resize_if_due(weft_core *core) {
    twotier_table *table = table_of(core);
    uint64_t leaves = table->directory->mask + 1;
    uint64_t wanted = leaves;
    if (leaves < table->slots_floor) {
        wanted = table->slots_floor;
    } else if (table->boxes > leaves * LEAF_ENTRIES) {
        wanted = leaves * 2;
    } else if (!core->grow_only && leaves > 1 && leaves > table->slots_floor &&
               table->boxes < leaves * LEAF_ENTRIES_MIN) {
        wanted = leaves / 2;
    }
    int status = weft_twotier_begin_move(core, wanted);
    if (wanted == table->slots_floor) {
        table->slots_floor = status == WEFT_E_NOMEM ? 0 : wanted; /* what was expected is a hint */
    } else {
        table->growths += status == WEFT_OK && wanted > leaves;
    }
}

int weft_twotier_progress(weft_core *core, uint64_t budget, trash *heap) {
    if (table_of(core)->directory->older == NULL) {
        resize_if_due(core);
    }
    return weft_twotier_move_some(core, budget, heap);
}
