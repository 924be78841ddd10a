/* SPDX-License-Identifier: MIT */
/* Engine "twotier": the adaptive promotion rule. A promotion costs the rebuild that follows, K, and
 * ends the misses of the moment, which cost M each; then they begin anew. If the next cycle is like
 * this one, the mean cost of a cycle is least if it ends when what misses cost at the moment comes
 * up to the mean of the cycle so far: rate * M >= (misses * M + K) / time. All four are measured,
 * at every 16th miss. docs/design/twotier.md. */
#include "base/clock.h"
#include "engine/twotier_layout.h"

enum {
    WATCH_EVERY = 16,  /* misses between two that are measured */
    MEASURED_MIN = 64, /* entries of a rebuild that is measured */
    LATEST = 6,        /* promote in any case when misses have cost so many rebuilds */
    FACTOR_MIN = 4,
    FACTOR_MAX = 256,
    FAR_ABOVE = 4,
};

#define FORGET 0.125 /* what a new measurement counts */

void weft_twotier_learn_start(twotier_table *table, const weft_twotier_options *options) {
    table->incremental = options->incremental;
    table->adaptive = options->adaptive && !options->incremental;
    uint64_t factor = options->promote_after == 0 || table->adaptive ? 1 : options->promote_after;
    table->factor = factor * FACTOR_ONE;
    if (table->adaptive) {
        table->lesson.opened = weft_clock_monotonic_ns();
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

/* The factor at which misses have cost so much that a promotion is due in any case. Go's until the
 * first promotion: of what a cycle costs nothing is known. */
static void set_factor(twotier_table *table) {
    const lesson *l = &table->lesson;
    if (l->promoted != 0 && l->miss_ns > 0 && l->copy_ns > 0) {
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
    if (l->promoted == 0) { /* the first cycle: so far */
        l->copy_ns = l->copied_ns / (double)entries;
    }
}

uint64_t weft_twotier_waited(uint64_t since) {
    return since == 0 ? 0 : weft_clock_monotonic_ns() - since + 1;
}

/* Less what looking at the clock takes; returns the time. */
static uint64_t measure_miss(lesson *l, uint64_t waited) {
    uint64_t now = weft_clock_monotonic_ns();
    uint64_t look = weft_clock_monotonic_ns() - now;
    blend(&l->miss_ns, waited > look ? (double)(waited - look) : 1);
    return now;
}

/* Under the lock. */
bool weft_twotier_saw_miss(twotier_table *table, const leaf *of, uint64_t waited) {
    lesson *l = &table->lesson;
    WEFT_ASSERT(waited == 0 || table->adaptive);
    if (!table->adaptive) {
        return false;
    }
    if (++l->misses % WATCH_EVERY == 0) {
        weft_store_relaxed(&l->watch, true);
    }
    if (waited == 0) {
        return false;
    }
    weft_store_relaxed(&l->watch, false);
    uint64_t now = measure_miss(l, waited);
    if (l->last != 0 && now > l->last) {
        blend(&l->rate, (double)(l->misses - l->last_misses) / (double)(now - l->last));
    }
    l->last = now;
    l->last_misses = l->misses;
    set_factor(table);
    if (l->copy_ns == 0 || of->dirty == NULL) {
        return false;
    }
    uint64_t begun = l->promoted != 0 ? l->promoted : l->opened;
    double lasted = now > begun ? (double)(now - begun) : 0;
    double so_far = (double)of->misses * l->miss_ns + (double)of->dirty->count * l->copy_ns;
    return l->rate * l->miss_ns * lasted >= so_far;
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
    l->promoted = weft_clock_monotonic_ns();
    l->copied_ns = 0;
    l->last = 0;
    l->rate = 0;
}
