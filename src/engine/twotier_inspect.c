/* SPDX-License-Identifier: MIT */
/* Engine "twotier": figures, invariants, and the end of a table. */
#include "engine/twotier_layout.h"
#include <stdio.h>

/* ---- close ----------------------------------------------------------------------------------- */

static void drop_box(weft_core *core, box *at, void (*drop)(weft_core *core, uint64_t cell)) {
    if (box_state(at->cell) == BOX_PRESENT) {
        drop(core, at->cell.second);
    }
    at->block.destroy(core, &at->block);
}

/* Boxes that are in the read tier alone. */
static void drop_chain(weft_core *core, leaf *of) {
    weft_twotier_prune_chain(core, of);
    for (uint64_t next = of->chain; next > CHAIN_END;) {
        box *at = (box *)(uintptr_t)next;
        next = at->block.link;
        at->block.destroy(core, &at->block);
    }
    of->chain = 0;
}

/* Is this box, of a leaf of `of`, not in a leaf of the newest directory instead? */
static bool is_here(const directory *newest, const directory *of, const box *at) {
    return of == newest || (box_state(at->cell) != BOX_EXPUNGED &&
                            newest->leaves[at->hash & newest->mask].read == 0);
}

/* False: the budget was too small. */
static bool close_leaf(weft_core *core, const directory *of, size_t *budget,
                       void (*drop)(weft_core *core, uint64_t cell)) {
    twotier_table *table = table_of(core);
    leaf *at = &of->leaves[table->closing_leaf];
    WEFT_ASSERT(at->read != 0 && !at->empty);
    tier *whole = leaf_whole(at);
    if (table->closing_slot == 0) {
        weft_twotier_prune_chain(core, at); /* what stays on it is not among the others */
    }
    for (; table->closing_slot < tier_slots(whole); table->closing_slot++) {
        box *one = slot_box(whole->slots[table->closing_slot]);
        if (one == NULL || !is_here(table->directory, of, one)) {
            continue;
        }
        if (*budget == 0) {
            return false;
        }
        --*budget;
        drop_box(core, one, drop);
    }
    drop_chain(core, at);
    tier *read = read_tier(at->read);
    if (at->dirty != NULL) {
        weft_twotier_tier_free(core, at->dirty, true);
    }
    if (read != NULL) {
        weft_twotier_tier_free(core, read, true);
    }
    return true;
}

static bool close_directory(weft_core *core, directory *of, size_t *budget,
                            void (*drop)(weft_core *core, uint64_t cell)) {
    twotier_table *table = table_of(core);
    WEFT_ASSERT(table->closing_leaf <= of->mask);
    for (; table->closing_leaf <= of->mask; table->closing_leaf++) {
        const leaf *at = &of->leaves[table->closing_leaf];
        if (*budget == 0 || (at->read != 0 && !at->empty && !close_leaf(core, of, budget, drop))) {
            return false;
        }
        table->closing_slot = 0;
        --*budget;
    }
    table->closing_leaf = 0;
    if (of != &table->first) {
        weft_core_bury(core, &of->remains);
    }
    return true;
}

bool weft_twotier_close(weft_core *core, size_t budget,
                        void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    twotier_table *table = table_of(core);
    directory *newest = table->directory;
    /* The older one first: it asks of boxes whether they have moved. */
    if (newest->older != NULL) {
        if (!close_directory(core, newest->older, &budget, drop)) {
            return false;
        }
        newest->older = NULL;
    }
    if (!close_directory(core, newest, &budget, drop)) {
        return false;
    }
    weft_mutex_destroy(&table->lock);
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}

/* ---- figures --------------------------------------------------------------------------------- */

void weft_twotier_stats(weft_core *core, weft_map_stats *stats) {
    WEFT_ASSERT(core->table != NULL);
    twotier_table *table = table_of(core);
    weft_mutex_lock(&table->lock);
    const directory *newest = table->directory;
    uint64_t entries = weft_core_entries(core);
    stats->buckets = table->incremental ? newest->mask + 1 : tier_slots(leaf_whole(newest->leaves));
    stats->table_bytes += table->table_bytes + table->box_bytes;
    stats->overflow_entries = entries; /* in their boxes */
    stats->growths += table->growths;
    stats->shrinks += table->shrinks;
    stats->growth_failures += table->failures;
    stats->moved_buckets += table->moved;
    stats->remaining_buckets = newest->older == NULL ? 0 : newest->unmoved;
    stats->tiers = table->totals;
    stats->tiers.removed = table->boxes > entries ? table->boxes - entries : 0;
    if (table->totals.amended != 0) {
        stats->tiers.threshold = weft_twotier_threshold(core, table->totals.dirty_entries);
    }
    weft_mutex_unlock(&table->lock);
}

void weft_twotier_dump(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx) {
    WEFT_ASSERT(print != NULL);
    weft_map_stats stats = {.entries = 0};
    weft_twotier_stats(core, &stats);
    const weft_tier_stats *tiers = &stats.tiers;
    char line[160];
    snprintf(line, sizeof line, "read %llu, dirty %llu, amended %llu, misses %llu of %llu",
             (unsigned long long)tiers->read_entries, (unsigned long long)tiers->dirty_entries,
             (unsigned long long)tiers->amended, (unsigned long long)tiers->misses,
             (unsigned long long)tiers->threshold);
    print(ctx, line);
    snprintf(line, sizeof line, "promotions %llu, rebuilds %llu, copied %llu, removed %llu + %llu",
             (unsigned long long)tiers->promotions, (unsigned long long)tiers->rebuilds,
             (unsigned long long)tiers->copied_entries, (unsigned long long)tiers->removed,
             (unsigned long long)tiers->expunged);
    print(ctx, line);
}

/* ---- invariants ------------------------------------------------------------------------------ */

/* What a check has counted. */
typedef struct survey {
    uint64_t present;
    uint64_t boxes;
    uint64_t expunged;
    weft_tier_stats tiers;
} survey;

/* A tier by itself: its boxes, each where a lookup finds it. */
static const char *broken_tier(const tier *in, const directory *of, const leaf *at) {
    WEFT_ASSERT(at >= of->leaves && at <= &of->leaves[of->mask]);
    uint64_t count = 0;
    for (uint64_t i = 0; i < tier_slots(in); i++) {
        const box *one = slot_box(in->slots[i]);
        if (one == NULL) {
            continue;
        }
        count++;
        if (&of->leaves[one->hash & of->mask] != at) {
            return "W1 a key is in the leaf of its hash";
        }
        uint64_t at_home = one->hash >> in->shift;
        while ((at_home & in->mask) != i && in->slots[at_home & in->mask] != 0) {
            at_home++;
        }
        if ((at_home & in->mask) != i ||
            in->slots[i] >> SLOT_TAG_SHIFT != one->hash >> SLOT_TAG_SHIFT) {
            return "W2 a lookup comes from a key's home to its slot";
        }
    }
    return count == tier_count(in) ? NULL : "W3 a tier counts its keys";
}

static bool has_box(const tier *in, const box *wanted) {
    for (uint64_t i = in == NULL ? 0 : wanted->hash >> in->shift;
         in != NULL && in->slots[i & in->mask] != 0; i++) {
        if (slot_box(in->slots[i & in->mask]) == wanted) {
            return true;
        }
    }
    return false;
}

static bool is_on_chain(const leaf *of, const box *wanted) {
    uint64_t next = of->chain;
    while (next > CHAIN_END && next != (uintptr_t)wanted) {
        next = ((const box *)(uintptr_t)next)->block.link;
    }
    return next == (uintptr_t)wanted;
}

/* No key has two boxes, and no box is there twice. */
static bool is_alone(const weft_core *core, const tier *in, const box *one) {
    weft_key key = {.hash = one->hash};
    key.bytes = weft_bytes_of(one->key, one->block.bytes - sizeof *one);
    unsigned seen = 0;
    for (uint64_t i = one->hash >> in->shift; in->slots[i & in->mask] != 0; i++) {
        seen += box_has_key(core, slot_box(in->slots[i & in->mask]), &key);
    }
    return seen == 1;
}

/* The two tiers of a leaf of the newest directory. */
static const char *broken_leaf(const weft_core *core, const leaf *at, survey *sum) {
    WEFT_ASSERT(!at->empty);
    const tier *read = read_tier(weft_load_relaxed(&at->read));
    const tier *whole = leaf_whole(at);
    for (uint64_t i = 0; i < tier_slots(read); i++) {
        const box *one = slot_box(read->slots[i]);
        if (one == NULL) {
            continue;
        }
        bool expunged = box_state(box_read(one)) == BOX_EXPUNGED;
        if (at->dirty != NULL && expunged == has_box(at->dirty, one)) {
            return "W4 dirty has the keys of read but for the expunged ones";
        }
        if (expunged && !is_on_chain(at, one)) {
            return "W5 an expunged key is on its leaf's chain";
        }
        sum->expunged += expunged;
    }
    for (uint64_t i = 0; i < tier_slots(whole); i++) {
        const box *one = slot_box(whole->slots[i]);
        uint64_t state = one == NULL ? 0 : box_state(box_read(one));
        if (state == BOX_EXPUNGED || (one != NULL && !is_alone(core, whole, one))) {
            return "W6 the whole tier has each key once, and none that is expunged";
        }
        sum->present += state == BOX_PRESENT;
        sum->boxes += one != NULL;
    }
    bool amended = (weft_load_relaxed(&at->read) & READ_AMENDED) != 0;
    return amended && at->dirty == NULL ? "W7 what is amended has a dirty tier" : NULL;
}

static void count_leaf(const leaf *at, survey *sum) {
    sum->tiers.read_entries += tier_count(read_tier(weft_load_relaxed(&at->read)));
    sum->tiers.dirty_entries += tier_count(at->dirty);
    sum->tiers.misses += at->misses;
    sum->tiers.amended += weft_load_relaxed(&at->read) & READ_AMENDED;
}

static const char *broken_directory(const weft_core *core, const directory *of, survey *sum) {
    const directory *newest = table_of(core)->directory;
    WEFT_ASSERT(of == newest || of == newest->older);
    for (uint64_t i = 0; i <= of->mask; i++) {
        const leaf *at = &of->leaves[i];
        if (weft_load_relaxed(&at->read) == 0 || at->empty) {
            continue;
        }
        count_leaf(at, sum);
        const char *broken = broken_tier(read_tier(weft_load_relaxed(&at->read)), of, at);
        broken = broken != NULL ? broken : broken_tier(at->dirty, of, at);
        broken = broken == NULL && of == newest ? broken_leaf(core, at, sum) : broken;
        if (broken != NULL) {
            return broken;
        }
    }
    return NULL;
}

static const char *broken_invariant(const weft_core *core) {
    const twotier_table *table = table_of(core);
    survey sum = {.present = 0};
    WEFT_ASSERT(table->directory != NULL);
    const char *broken = broken_directory(core, table->directory, &sum);
    bool moving = table->directory->older != NULL;
    if (broken == NULL && moving) {
        broken = broken_directory(core, table->directory->older, &sum);
    }
    if (broken != NULL) {
        return broken;
    }
    const weft_tier_stats *totals = &table->totals;
    if (sum.tiers.read_entries != totals->read_entries ||
        sum.tiers.dirty_entries != totals->dirty_entries || sum.tiers.misses != totals->misses ||
        sum.tiers.amended != totals->amended) {
        return "W8 the figures are the sums over the leaves";
    }
    if (!moving && (sum.present != weft_core_entries(core) || sum.boxes != table->boxes ||
                    sum.expunged != totals->expunged)) {
        return "W9 the counters count the keys";
    }
    return NULL;
}

int weft_twotier_check(weft_core *core, char *text, size_t capacity) {
    WEFT_ASSERT(core->table != NULL);
    twotier_table *table = table_of(core);
    weft_mutex_lock(&table->lock);
    const char *broken = broken_invariant(core);
    weft_mutex_unlock(&table->lock);
    if (broken != NULL && text != NULL && capacity > 0) {
        snprintf(text, capacity, "twotier: %s", broken);
    }
    return broken != NULL ? WEFT_E_CORRUPT : WEFT_OK;
}
