/* SPDX-License-Identifier: MIT */
/* Engine "twotier": tiers. How a dirty tier is made from the read tier, how it becomes the read
 * tier, and when. Everything here happens under the lock. docs/design/twotier.md. */
#include "engine/twotier_layout.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static bool fits(uint64_t entries, uint64_t slots) {
    return slots <= SLOTS_SMALL ? entries * 8 <= slots * 7 : entries * 4 <= slots * 3;
}

uint64_t weft_twotier_slots_for(uint64_t entries) {
    uint64_t slots = SLOTS_MIN;
    while (slots < SLOTS_MAX && !fits(entries, slots)) {
        slots *= 2;
    }
    return slots;
}

static size_t header_bytes(uint64_t slots) {
    return sizeof(tier) +
           (slots <= SLOTS_IN_PLACE ? slots * sizeof(uint64_t) : sizeof(weft_remains));
}

static void tier_destroy(weft_core *core, weft_block *block) {
    tier *unused = WEFT_CONTAINER(block, tier, block);
    weft_core_free(core, unused, header_bytes(unused->mask + 1), sizeof(uint64_t));
}

/* The slots are given back. */
static void tier_end(weft_core *core, weft_block *block) {
    tier *unused = (tier *)WEFT_CONTAINER(block, weft_remains, block) - 1;
    tier_destroy(core, &unused->block);
}

static tier *tier_new(weft_core *core, uint64_t slots, uint64_t shift) {
    WEFT_ASSERT(slots >= SLOTS_MIN && (slots & (slots - 1)) == 0);
    size_t bytes = header_bytes(slots);
    tier *fresh = weft_core_alloc(core, bytes, sizeof(uint64_t));
    if (fresh == NULL) {
        return NULL;
    }
    memset(fresh, 0, bytes);
    fresh->mask = slots - 1;
    fresh->shift = shift;
    fresh->slots = (uint64_t *)(fresh + 1);
    fresh->block = (weft_block){.destroy = tier_destroy, .bytes = bytes};
    if (slots > SLOTS_IN_PLACE) {
        fresh->slots = weft_core_alloc_table(core, slots * sizeof(uint64_t), false);
        if (fresh->slots == NULL) {
            weft_core_free(core, fresh, bytes, sizeof(uint64_t));
            return NULL;
        }
        fresh->remains = (weft_remains *)(fresh + 1);
        fresh->remains->tables[0].memory = fresh->slots;
        fresh->remains->tables[0].size = slots * sizeof(uint64_t);
        weft_remains_set(core, fresh->remains, tier_end);
    }
    table_of(core)->table_bytes +=
        bytes + (fresh->remains != NULL ? fresh->remains->block.bytes : 0);
    return fresh;
}

static void forget_bytes(weft_core *core, const tier *unused) {
    table_of(core)->table_bytes -=
        unused->block.bytes + (unused->remains != NULL ? unused->remains->block.bytes : 0);
}

/* It was never a read tier, or the map is `closed`: no lookup has found it. */
void weft_twotier_tier_free(weft_core *core, tier *unused, bool closed) {
    forget_bytes(core, unused);
    if (unused->remains != NULL && closed) {
        weft_core_bury(core, unused->remains);
    } else if (unused->remains != NULL) {
        weft_core_retire_remains(core, unused->remains); /* in pieces, by and by */
    } else {
        tier_destroy(core, &unused->block);
    }
}

static void tier_retire(weft_core *core, tier *unused, trash *heap) {
    if (unused == NULL) {
        return;
    }
    forget_bytes(core, unused);
    if (unused->remains != NULL) {
        weft_core_retire_remains(core, unused->remains); /* never runs what is the user's */
    } else {
        trash_add(heap, &unused->block);
    }
}

static void tier_add(tier *to, box *at) {
    WEFT_ASSERT(to->count < to->mask);
    uint64_t i = at->hash >> to->shift;
    while (to->slots[i & to->mask] != 0) {
        i++;
    }
    to->slots[i & to->mask] = at->hash >> SLOT_TAG_SHIFT << SLOT_TAG_SHIFT | (uintptr_t)at;
    to->count++;
}

/* ---- expunged boxes -------------------------------------------------------------------------- */

/* True if it is expunged now; false if the key is present. Nobody but the lock's holder takes a box
 * out of this state. */
static bool expunge(weft_core *core, box *at) {
    WEFT_ASSERT(at != NULL);
    for (;;) {
        weft_pair cell = box_read(at);
        if (box_state(cell) != BOX_DELETED) {
            return box_state(cell) == BOX_EXPUNGED;
        }
#if WEFT_MUTANT == 30 /* left out, and nobody is told */
        return true;
#endif
        weft_pair expunged = {box_next_state(cell, BOX_EXPUNGED), cell.second};
        if (weft_cas_pair_seq_cst(&at->cell, cell, expunged)) {
            twotier_table *table = table_of(core);
            table->version_floor = max_u64(table->version_floor, cell.second);
            table->boxes--;
            table->totals.expunged++;
            return true;
        }
    }
}

static void revive(weft_core *core, box *at) {
    weft_pair cell = box_read(at);
    if (box_state(cell) == BOX_EXPUNGED) {
        weft_pair deleted = {box_next_state(cell, BOX_DELETED), cell.second};
        bool done = weft_cas_pair_seq_cst(&at->cell, cell, deleted);
        WEFT_ASSERT(done);
        (void)done;
        table_of(core)->boxes++;
        table_of(core)->totals.expunged--;
    }
}

static void chain_box(leaf *of, box *expunged) {
    if (expunged->block.link == 0) {
        expunged->block.link = of->chain != 0 ? of->chain : CHAIN_END;
        of->chain = (uintptr_t)expunged;
    }
}

/* Take the chain apart. Expunged boxes go where `heap` says, or stay; the others are in use again,
 * in the dirty tier. */
static void chain_resolve(weft_core *core, leaf *of, trash *heap) {
    WEFT_ASSERT(!of->empty || heap != NULL);
    uint64_t next = of->chain;
    uint64_t kept = 0;
    while (next > CHAIN_END) {
        box *at = (box *)(uintptr_t)next;
        next = at->block.link;
        at->block.link = 0;
#if WEFT_MUTANT == 33 /* gives back what is in use again */
        bool expunged = true;
#else
        bool expunged = box_state(box_read(at)) == BOX_EXPUNGED;
#endif
        if (expunged && heap != NULL) {
            table_of(core)->totals.expunged--;
            table_of(core)->box_bytes -= at->block.bytes;
            trash_add(heap, &at->block);
        } else if (expunged) {
            at->block.link = kept != 0 ? kept : CHAIN_END;
            kept = (uintptr_t)at;
        }
    }
    of->chain = kept;
}

void weft_twotier_prune_chain(weft_core *core, leaf *of) {
    chain_resolve(core, of, NULL);
}

/* ---- a new tier from others ------------------------------------------------------------------ */

typedef enum gather_step { EXPUNGE, REVIVE, TAKE } gather_step;

static bool is_left_out(const box *at) {
#if WEFT_MUTANT == 30 /* left out, and nobody is told */
    return box_state(box_read(at)) != BOX_PRESENT;
#else
    return box_state(box_read(at)) == BOX_EXPUNGED;
#endif
}

/* One turn over the boxes; returns how many are not expunged after it. */
static uint64_t gather_turn(weft_core *core, const gather *what, gather_step step, tier *to) {
    uint64_t kept = 0;
    WEFT_ASSERT((step == TAKE) == (to != NULL));
    for (unsigned part = 0; part < what->parts; part++) {
        const tier *from = what->from[part];
        for (uint64_t i = 0; i < tier_slots(from); i++) {
            box *at = slot_box(from->slots[i]);
            if (at == NULL || (at->hash & what->mask) != what->target) {
                continue;
            }
            if (step == EXPUNGE) {
                kept += !expunge(core, at);
            } else if (step == REVIVE) {
                revive(core, at);
            } else if (is_left_out(at)) {
                chain_box(what->leaves[part], at);
            } else {
                tier_add(to, at);
            }
        }
    }
    return kept;
}

/* In two turns, so that the tier is as large as what is left needs. What a turn has not expunged
 * may be deleted before the next, and is taken all the same. */
tier *weft_twotier_gather(weft_core *core, const gather *what) {
    WEFT_ASSERT(what->parts <= 2);
    uint64_t kept = gather_turn(core, what, EXPUNGE, NULL);
    uint64_t wanted = weft_twotier_slots_for(kept + what->room);
    tier *fresh = tier_new(core, max_u64(wanted, what->slots_floor), what->shift);
    if (fresh == NULL && what->slots_floor > wanted) {
        fresh = tier_new(core, wanted, what->shift); /* what was expected is a hint */
    }
    if (fresh == NULL) {
        gather_turn(core, what, REVIVE, NULL);
        table_of(core)->failures++;
        return NULL;
    }
    gather_turn(core, what, TAKE, fresh);
    table_of(core)->totals.copied_entries += fresh->count;
    return fresh;
}

/* ---- the dirty tier -------------------------------------------------------------------------- */

static bool grow_dirty(weft_core *core, leaf *of, uint64_t slots) {
    twotier_table *table = table_of(core);
    tier *old = of->dirty;
    WEFT_ASSERT(slots > old->mask + 1);
    uint64_t since = weft_twotier_watch_copies(table, old->count);
    tier *fresh = tier_new(core, slots, old->shift);
    if (fresh == NULL) {
        table->failures++;
        return false;
    }
    for (uint64_t i = 0; i <= old->mask; i++) {
        if (old->slots[i] != 0) {
            tier_add(fresh, slot_box(old->slots[i]));
        }
    }
    weft_twotier_saw_copies(table, since, old->count);
    table->growths += !table->incremental;
    of->dirty = fresh;
    weft_twotier_tier_free(core, old, false);
    return true;
}

/* Go's dirtyLocked. */
static bool rebuild(weft_core *core, const place *at, uint64_t room) {
    WEFT_ASSERT(at->leaf->dirty == NULL && place_is_newest(at));
    twotier_table *table = table_of(core);
    tier *read = read_tier(weft_load_relaxed(&at->leaf->read));
    gather what = {.from = {read}, .leaves = {at->leaf}, .parts = 1, .room = room};
    what.shift = at->directory->bits;
    what.slots_floor = table->incremental ? 0 : table->slots_floor;
    uint64_t since = weft_twotier_watch_copies(table, tier_count(read));
    at->leaf->dirty = weft_twotier_gather(core, &what);
    if (at->leaf->dirty == NULL) {
        return false;
    }
    table->totals.rebuilds++;
    table->totals.dirty_entries += at->leaf->dirty->count;
    table->shrinks += !table->incremental && at->leaf->dirty->mask + 1 < tier_slots(read);
    weft_twotier_saw_copies(table, since, tier_count(read));
    return true;
}

bool weft_twotier_ensure_dirty(weft_core *core, const place *at, uint64_t room) {
    twotier_table *table = table_of(core);
    if (at->leaf->dirty == NULL && !rebuild(core, at, room)) {
        return false;
    }
    uint64_t slots = at->leaf->dirty->mask + 1;
    uint64_t wanted = weft_twotier_slots_for(at->leaf->dirty->count + room);
    if (slots < wanted && !grow_dirty(core, at->leaf, wanted)) {
        return false;
    }
    if (core->grow_only && !table->incremental) {
        table->slots_floor = max_u64(table->slots_floor, at->leaf->dirty->mask + 1);
    }
    return true;
}

void weft_twotier_add_dirty(weft_core *core, leaf *to, box *fresh) {
    tier_add(to->dirty, fresh);
    table_of(core)->totals.dirty_entries++;
    table_of(core)->boxes++;
}

/* ---- the read tier --------------------------------------------------------------------------- */

/* What the totals count of a leaf's tiers. */
static void count_tiers(twotier_table *table, const leaf *of, int sign) {
    uint64_t read = weft_load_relaxed(&of->read);
    uint64_t by = (uint64_t)(int64_t)sign;
    table->totals.read_entries += by * tier_count(read_tier(read));
    table->totals.dirty_entries += by * tier_count(of->dirty);
    table->totals.amended += by * (read & READ_AMENDED);
    table->totals.misses += by * of->misses;
}

void weft_twotier_replace_read(weft_core *core, leaf *of, tier *fresh, trash *heap) {
    WEFT_ASSERT(fresh != NULL && !of->empty);
    twotier_table *table = table_of(core);
    tier *old = read_tier(weft_load_relaxed(&of->read));
    tier *dirty = of->dirty;
    count_tiers(table, of, -1);
    of->dirty = NULL;
    of->misses = 0;
    weft_store_relaxed(&of->removed, 0);
    /* Sequentially consistent: comes before the epoch that the old tier is retired with. Release:
     * the tier. Pairs with the load in place_of. */
    weft_store_seq_cst(&of->read, (uintptr_t)fresh | READ_LIVE);
    count_tiers(table, of, 1);
    if (dirty != NULL && dirty != fresh) {
        weft_twotier_tier_free(core, dirty, false);
    }
    tier_retire(core, old, heap);
    chain_resolve(core, of, heap);
}

void weft_twotier_promote(weft_core *core, leaf *of, trash *heap) {
    WEFT_ASSERT(of->dirty != NULL);
    weft_twotier_saw_promotion(table_of(core), of->dirty->count);
    weft_twotier_replace_read(core, of, of->dirty, heap);
    table_of(core)->totals.promotions++;
}

bool weft_twotier_purge(weft_core *core, const place *at, trash *heap) {
    leaf *of = at->leaf;
    WEFT_ASSERT(place_is_newest(at));
    gather what = {.from = {leaf_whole(of)}, .leaves = {of}, .parts = 1};
    what.shift = at->directory->bits;
    what.slots_floor = table_of(core)->incremental ? 0 : table_of(core)->slots_floor;
    tier *fresh = weft_twotier_gather(core, &what);
    if (fresh == NULL) {
        return false;
    }
    weft_twotier_replace_read(core, of, fresh, heap);
    return true;
}

/* Readers that are late still find its read tier: the word stays. */
void weft_twotier_leaf_empty(weft_core *core, leaf *of, trash *heap) {
    WEFT_ASSERT(!of->empty);
    count_tiers(table_of(core), of, -1);
    of->empty = true;
    if (of->dirty != NULL) {
        weft_twotier_tier_free(core, of->dirty, false);
        of->dirty = NULL;
    }
    tier_retire(core, read_tier(weft_load_relaxed(&of->read)), heap);
    chain_resolve(core, of, heap);
}

/* ---- when a promotion is due ----------------------------------------------------------------- */

uint64_t weft_twotier_threshold(const weft_core *core, uint64_t entries) {
    uint64_t due = (entries * table_of(core)->factor + FACTOR_ONE - 1) / FACTOR_ONE;
    return due == 0 ? 1 : due;
}

/* Go's missLocked. A leaf whose keys are on their way to others is left as it is: some of its boxes
 * are retired with it. */
void weft_twotier_miss(weft_core *core, const place *at, watched miss, trash *heap) {
    leaf *of = at->leaf;
    WEFT_ASSERT(!of->empty);
    of->misses++;
    table_of(core)->totals.misses++;
    bool pays = weft_twotier_saw_miss(core, of, miss);
    if (place_is_newest(at) && of->dirty != NULL &&
        (pays || of->misses >= weft_twotier_threshold(core, of->dirty->count))) {
        weft_twotier_promote(core, of, heap);
    }
}
