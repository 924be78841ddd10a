/* SPDX-License-Identifier: MIT */
/* Engine "twotier": the adaptive promotion rule. Misses cost the lock, promotions cost the rebuild
 * that follows; how much of either there is for each factor depends on what the users do, so it is
 * measured: of each stretch of time the share that went into both. The factor climbs down towards
 * the smaller share, one rung at a time, and tries its neighbours again now and then.
 * docs/design/twotier.md. */
#include "base/clock.h"
#include "engine/twotier_layout.h"

enum {
    POINT = 8,             /* bits behind the point of a time */
    WATCH_EVERY = 16,      /* misses, and small rebuilds, between two that are measured */
    LARGE = 256,           /* entries of a rebuild that is always measured */
    STRETCH_PROMOTIONS = 2, /* in what is measured at one factor, at the least */
    STRETCH_NS = 200000,   /* … and how long it is, likewise */
    TRY_EVERY = 12,        /* stretches between two visits to a neighbour */
    SHARE_BITS = 16,
    FORGET = 2,            /* a new measurement counts a quarter */
    RUNG_OF_GO = 2,
};

/* In sixteenths of the dirty tier's size. */
static const uint64_t factors[RUNGS] = {4, 8, 16, 32, 64, 128, 256};

void weft_twotier_learn_start(twotier_table *table, const weft_twotier_options *options) {
    WEFT_ASSERT(factors[RUNG_OF_GO] == FACTOR_ONE);
    table->adaptive = options->adaptive;
    table->incremental = options->incremental;
    uint64_t whole = options->promote_after == 0 ? 1 : options->promote_after;
    table->factor = options->adaptive ? factors[RUNG_OF_GO] : whole * FACTOR_ONE;
    table->lesson.rung = table->lesson.home = RUNG_OF_GO;
}

uint64_t weft_twotier_watch(twotier_table *table, uint64_t entries) {
    if (!table->adaptive) {
        return 0;
    }
    /* Outside the lock, for misses: that threads lose a turn of each other's does no harm. */
    uint64_t turn = weft_load_relaxed(&table->lesson.turn);
    weft_store_relaxed(&table->lesson.turn, turn + 1);
    return entries >= LARGE || turn % WATCH_EVERY == 0 ? weft_clock_monotonic_ns() : 0;
}

static void blend(uint64_t *mean, uint64_t fresh) {
    *mean = *mean == 0 ? fresh : *mean - (*mean >> FORGET) + (fresh >> FORGET);
}

void weft_twotier_saw_miss(twotier_table *table, uint64_t since) {
    lesson *l = &table->lesson;
    if (since != 0) {
        blend(&l->miss_ns, (weft_clock_monotonic_ns() - since) << POINT);
    }
    l->spent += l->miss_ns;
}

void weft_twotier_saw_rebuild(twotier_table *table, uint64_t since, uint64_t entries) {
    lesson *l = &table->lesson;
    if (since != 0 && entries != 0) {
        blend(&l->copy_ns, ((weft_clock_monotonic_ns() - since) << POINT) / entries);
    }
    l->spent += entries * l->copy_ns;
}

/* The known rung with the smallest share, of home and its neighbours. */
static unsigned best_near(const lesson *l) {
    unsigned best = l->home;
    for (unsigned near = l->home == 0 ? 0 : l->home - 1; near <= l->home + 1 && near < RUNGS;
         near++) {
        if (l->share[near] != 0 && l->share[near] < l->share[best]) {
            best = near;
        }
    }
    return best;
}

/* Home, mostly; a neighbour that is not known, or whose turn it is. */
static unsigned next_rung(lesson *l) {
    unsigned up = l->home + 1 < RUNGS ? l->home + 1 : l->home;
    unsigned down = l->home == 0 ? 0 : l->home - 1;
    if (l->share[up] == 0 || l->share[down] == 0) {
        return l->share[up] == 0 ? up : down;
    }
    l->stretches++;
    if (l->stretches % TRY_EVERY != 0) {
        return l->home;
    }
    return l->stretches / TRY_EVERY % 2 == 0 ? up : down;
}

static void begin_stretch(lesson *l, uint64_t now) {
    l->begun = now;
    l->spent = 0;
    l->promotions = 0;
}

void weft_twotier_saw_promotion(twotier_table *table) {
    lesson *l = &table->lesson;
    if (!table->adaptive) {
        return;
    }
    uint64_t now = weft_clock_monotonic_ns();
    l->promotions++;
    if (l->begun == 0) {
        begin_stretch(l, now);
    } else if (l->promotions >= STRETCH_PROMOTIONS && now > l->begun + STRETCH_NS) {
        /* One more than measured: 0 says that nothing is known. */
        blend(&l->share[l->rung], (l->spent << (SHARE_BITS - POINT)) / (now - l->begun) + 1);
        l->home = best_near(l);
        l->rung = next_rung(l);
        table->factor = factors[l->rung];
        begin_stretch(l, now);
    }
}
