/* SPDX-License-Identifier: MIT */
/* Engine "twotier": the adaptive promotion rule. A promotion costs the rebuild that follows, K, and
 * ends the misses of the moment, which cost M each; then they begin anew. If the next cycle is like
 * this one, the mean cost of a cycle is least if it ends when what misses cost at the moment comes
 * up to the mean of the cycle so far: rate * M >= (misses * M + K) / time. All four are measured,
 * at some misses. What stands around this rule, and why: docs/design/twotier.md. */
#include "base/clock.h"
#include "engine/twotier_layout.h"

enum {
    WATCHED_SHARE = 16, /* so many misses are measured while each key of dirty is missed once */
    WATCH_EVERY_MIN = 16,
    WATCH_EVERY_MAX = 256,
    MEASURED_MIN = 64, /* entries of a rebuild that is measured */
    UNKNOWN = 6,       /* promote at so many misses for each key while nothing is known */
    LATEST = 24,       /* promote in any case when misses have cost so many rebuilds */
    FACTOR_MIN = 4,
    FACTOR_MAX = 1024,
    FAR_ABOVE = 4,
    LITTER_SHARE = 2, /* one removed key for so many others is too many */
    LITTER_MIN = 64,  /* and that many more */
    LOOKS = 4,        /* at the clock, to know what one takes */
};

#define FORGET 0.125 /* what a new measurement counts */
#define EARLIEST 0.5 /* of a rebuild is what misses must have cost, whatever is to come */
#define MARGIN 1.25  /* what pays by less is not certain to */

/* What looking at the clock takes: the least of a few. */
static void learn_clock(lesson *l) {
    l->look_ns = UINT64_MAX;
    for (int i = 0; i < LOOKS; i++) {
        uint64_t before = weft_clock_monotonic_ns();
        l->last = weft_clock_monotonic_ns();
        l->look_ns = l->last - before < l->look_ns ? l->last - before : l->look_ns;
    }
}

void weft_twotier_learn_start(twotier_table *table, const weft_twotier_options *options) {
    table->incremental = options->incremental;
    table->adaptive = options->adaptive && !options->incremental;
    WEFT_ASSERT(table->factor == 0);
    uint64_t factor = table->adaptive               ? UNKNOWN
                      : options->promote_after == 0 ? 1
                                                    : options->promote_after;
    table->factor = factor * FACTOR_ONE;
    if (table->adaptive) {
        learn_clock(&table->lesson);
    }
}

uint64_t weft_twotier_watch(const twotier_table *table) {
    /* Outside the lock: whether this miss is measured or the next one is the same. */
    return table->adaptive && weft_load_relaxed(&table->lesson.watch) ? weft_clock_monotonic_ns()
                                                                      : 0;
}

/* What is far above the mean was an interruption, or is the beginning of something: then the next
 * ones say so, too. */
static void blend(double *mean, double fresh) {
    if (*mean == 0) {
        *mean = fresh;
    } else {
        *mean += ((fresh < FAR_ABOVE * *mean ? fresh : FAR_ABOVE * *mean) - *mean) * FORGET;
    }
}

/* The factor at which misses have cost so much that a promotion is due in any case. */
static void set_factor(twotier_table *table) {
    const lesson *l = &table->lesson;
    if (l->miss_ns > 0 && l->copy_ns > 0) {
        double latest = LATEST * FACTOR_ONE * l->copy_ns / l->miss_ns;
        table->factor = latest < FACTOR_MIN   ? FACTOR_MIN
                        : latest > FACTOR_MAX ? FACTOR_MAX
                                              : (uint64_t)latest;
    }
}

uint64_t weft_twotier_watch_copies(const twotier_table *table, uint64_t entries) {
    return table->adaptive && entries >= MEASURED_MIN ? weft_clock_monotonic_ns() : 0;
}

/* What a rebuild costs is all the copying of a cycle: what grows afterwards, too. */
void weft_twotier_saw_copies(twotier_table *table, uint64_t since, uint64_t entries) {
    lesson *l = &table->lesson;
    if (since == 0) {
        return;
    }
    l->copied_ns += (double)(weft_clock_monotonic_ns() - since);
    if (!l->promoted) { /* the first cycle: so far */
        l->copy_ns = l->copied_ns / (double)entries;
    }
}

watched weft_twotier_watched(uint64_t since) {
    return since == 0 ? (watched){0, 0} : (watched){since, weft_clock_monotonic_ns()};
}

/* Dirty is to be rebuilt for the removed keys in it: they take memory, and place in the cache. */
static bool is_littered(const weft_core *core, const leaf *of) {
    WEFT_ASSERT(of->dirty != NULL);
    uint64_t entries = weft_core_entries(core);
    return of->dirty->count > entries + entries / LITTER_SHARE + LITTER_MIN;
}

/* Misses have cost a rebuild since the last new key: perhaps there will be none, and no rebuild. */
static bool is_quiet(lesson *l, const leaf *of) {
    if (of->dirty->count != l->quiet_count || of->misses < l->quiet_from) {
        l->quiet_count = of->dirty->count;
        l->quiet_from = of->misses;
    }
    double misses = (double)(of->misses - l->quiet_from);
    return misses * l->miss_ns >= (double)of->dirty->count * l->copy_ns;
}

/* Misses until one is measured: looking at the clock may take as long as some misses. */
static uint64_t until_watch(const leaf *of) {
    uint64_t share = of->dirty->count / WATCHED_SHARE;
    return share < WATCH_EVERY_MIN   ? WATCH_EVERY_MIN
           : share < WATCH_EVERY_MAX ? share
                                     : WATCH_EVERY_MAX;
}

/* A stretch that is far too long for its misses was an interruption, or nobody used the map: of
 * such time only so much counts. The first one of a cycle has no rate to be compared with. */
static void note_miss(lesson *l, watched miss) {
    WEFT_ASSERT(miss.until >= miss.since && l->misses >= l->last_misses);
    uint64_t took = miss.until - miss.since;
    double count = (double)(l->misses - l->last_misses);
    double stretch = miss.until > l->last ? (double)(miss.until - l->last) : 1;
    blend(&l->miss_ns, took > l->look_ns ? (double)(took - l->look_ns) : 1);
    if (l->lasted > 0) {
        double usual = l->rate > 0 ? FAR_ABOVE * count / l->rate : stretch;
        l->lasted += stretch < usual ? stretch : usual;
        blend(&l->rate, count / stretch);
    } else {
        l->lasted = stretch;
    }
    l->last = miss.until;
    l->last_misses = l->misses;
}

/* Under the lock. */
bool weft_twotier_saw_miss(weft_core *core, const leaf *of, watched miss) {
    twotier_table *table = table_of(core);
    lesson *l = &table->lesson;
    WEFT_ASSERT(miss.since == 0 || table->adaptive);
    if (!table->adaptive) {
        return false;
    }
    if (++l->misses >= l->watch_at) {
        weft_store_relaxed(&l->watch, true);
    }
    if (miss.since == 0 || of->dirty == NULL) {
        return false;
    }
    weft_store_relaxed(&l->watch, false);
    l->watch_at = l->misses + until_watch(of);
    note_miss(l, miss);
    set_factor(table);
    if (l->copy_ns == 0) {
        return false;
    }
    if (is_littered(core, of) || is_quiet(l, of)) {
        return true;
    }
    double missed = (double)of->misses * l->miss_ns;
    double rebuild = (double)of->dirty->count * l->copy_ns;
    return missed >= EARLIEST * rebuild &&
           l->rate * l->miss_ns * l->lasted >= MARGIN * (missed + rebuild);
}

void weft_twotier_saw_promotion(twotier_table *table, uint64_t entries) {
    lesson *l = &table->lesson;
    WEFT_ASSERT(table->adaptive || l->copied_ns == 0);
    if (!table->adaptive) {
        return;
    }
    if (l->copied_ns > 0 && entries != 0) {
        blend(&l->copy_ns, l->copied_ns / (double)entries);
    }
    l->promoted = true;
    l->copied_ns = 0;
    l->last = weft_clock_monotonic_ns();
    l->last_misses = l->misses;
    l->lasted = 0;
    l->rate = 0;
}
