/* SPDX-License-Identifier: MIT */
/* Claims about promotion: what it costs that a dirty tier becomes the read tier, and that the next
 * new key makes another one. */
#include "bench/driver/stats.h"
#include "claim.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>

#define ABSENT ((uint64_t)1 << 48) /* keys from here on are never inserted */

static bool end_walk(void *ctx, weft_u64pair entry) {
    (void)ctx;
    (void)entry;
    return false;
}

static bool fill(weft_u64map *map, const weft_map_options *options, uint64_t keys) {
    weft_map_options own = *options;
    own.size = sizeof own;
    if (weft_u64map_open(map, &own) != WEFT_OK) {
        return false;
    }
    bool right = true;
    for (uint64_t key = 1; key <= keys; key++) {
        right = weft_u64map_put(map, key, key) == WEFT_OK && right;
    }
    /* A walk promotes first: all keys are in the read tier then, whatever the rule. */
    (void)weft_u64map_foreach(map, end_walk, NULL);
    return right;
}

/* ---- promote-cost ---------------------------------------------------------------------------- */

typedef struct cycle_of {
    const char *name;
    weft_map_options options;
    uint64_t keys;
    unsigned writers;
    double claimed;
} cycle_of;

/* Those with 100 K keys come last: a quick run goes without them. */
enum { CYCLES = 9, QUICK_CYCLES = 6, SMALL = 0, ALONE, WRITERS, STEPS, LOCKFREE, FLOOR, LARGE };
enum { CYCLES_AMONG = 3 };

/* What interruptions alone make of the longest of so many operations. */
#define NO_MAP "no map: interruptions alone, 10 K lookups"

#define INCREMENTAL                                                                                \
    {                                                                                              \
        .engine = WEFT_ENGINE_TWOTIER, .twotier = {.incremental = true }                           \
    }

static const cycle_of cycles[CYCLES] = {
    {"twotier, 1 K keys", {.engine = WEFT_ENGINE_TWOTIER}, 1000, 0, NAN},
    {"twotier, 10 K keys", {.engine = WEFT_ENGINE_TWOTIER}, 10000, 0, 84},
    {"twotier, 10 K keys, 16 writers", {.engine = WEFT_ENGINE_TWOTIER}, 10000, 16, 217},
    {"twotier incremental, 10 K keys", INCREMENTAL, 10000, 0, NAN},
    {"lockfree, 10 K keys", {.engine = WEFT_ENGINE_LOCKFREE}, 10000, 0, NAN},
    {NO_MAP, {.engine = 0}, 10000, 0, NAN},
    {"twotier, 100 K keys", {.engine = WEFT_ENGINE_TWOTIER}, 100000, 0, NAN},
    {"twotier incremental, 100 K keys", INCREMENTAL, 100000, 0, NAN},
    {"lockfree, 100 K keys", {.engine = WEFT_ENGINE_LOCKFREE}, 100000, 0, NAN},
};

typedef struct cycling {
    const cycle_of *how;
    weft_u64map *map;
    unsigned times; /* among writers */
    uint64_t next;  /* new key */
    double took;    /* µs */
} cycling;

typedef struct promote_cost {
    weft_u64map maps[CYCLES];
    uint64_t next[CYCLES];
    unsigned times;
} promote_cost;

/* One new key, then as many misses as promote: what the new key and the longest lookup take
 * together, in microseconds of processor time: so long an operation hardly ever has the processor
 * for itself on a machine that others use. */
static double one_cycle(cycling *c) {
    uint64_t value;
    uint64_t longest = 0;
    uint64_t since = weft_thread_cpu_ns();
    c->next++;
    if (c->map != NULL) {
        (void)weft_u64map_put(c->map, c->next, 1);
    }
    uint64_t now = weft_thread_cpu_ns();
    uint64_t rebuilt = now - since;
    for (uint64_t i = 0; i <= c->next; i++) {
        since = now;
        if (c->map != NULL) {
            (void)weft_u64map_get(c->map, ABSENT + i, &value);
        }
        now = weft_thread_cpu_ns();
        longest = now - since > longest ? now - since : longest;
    }
    return (double)(rebuilt + longest) / 1000;
}

/* Member 0 has the cycles; the others rewrite keys that are in the read tier. */
static void cycle_among_writers(weft_crew_member *me) {
    cycling *c = me->ctx;
    double took[CYCLES_AMONG];
    if (me->index != 0) {
        while (weft_crew_next(me)) {
            (void)weft_u64map_put(c->map, 1 + weft_crew_random(me) % c->how->keys, me->ops);
        }
        return;
    }
    for (unsigned i = 0; i < c->times; i++) {
        took[i] = one_cycle(c);
    }
    c->took = weft_bench_median((weft_bench_samples){took, c->times});
    weft_crew_stop(me);
}

static double sample_cycle(void *ctx, unsigned contender) {
    promote_cost *all = ctx;
    cycling c = {.how = &cycles[contender],
                 .map = contender == FLOOR ? NULL : &all->maps[contender],
                 .times = all->times,
                 .next = all->next[contender],
                 .took = NAN};
    if (c.how->writers == 0) {
        c.took = one_cycle(&c);
    } else {
        weft_crew crew = {.threads = 1 + c.how->writers, .work = cycle_among_writers, .ctx = &c};
        weft_crew_result result;
        c.took = weft_crew_run(&crew, &result) ? c.took : NAN;
    }
    all->next[contender] = c.next;
    return c.took;
}

static bool measure_cycles(bool quick, double *took) {
    static promote_cost all;
    unsigned count = quick ? QUICK_CYCLES : CYCLES;
    bool right = true;
    all.times = quick ? 1 : CYCLES_AMONG;
    for (unsigned i = 0; i < count; i++) {
        right = (i == FLOOR || fill(&all.maps[i], &cycles[i].options, cycles[i].keys)) && right;
        all.next[i] = cycles[i].keys;
    }
    weft_contest contest = {count, quick ? 1 : 7, sample_cycle, &all};
    right = right && weft_contest_run(&contest, took);
    for (unsigned i = 0; i < count; i++) {
        weft_u64map_close(&all.maps[i]);
    }
    return right;
}

/* Decides: whether a cycle grows with the keys (by the exponent of the keys between 1 K and the
 * most: 0.7 and above is O(n)), and what 16 writers make of it, by the rule for ratios. Both: it
 * holds; one: in part. */
void weft_claim_promote_cost(weft_claim *claim) {
    const double claimed = 217.0 / 84;
    bool quick = weft_claim_quick(claim);
    double took[CYCLES];
    if (!measure_cycles(quick, took)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
        return;
    }
    for (int i = 0; i < (quick ? QUICK_CYCLES : CYCLES); i++) {
        weft_claim_figure(claim, cycles[i].name, "µs", cycles[i].claimed, took[i]);
    }
    int large = quick ? ALONE : LARGE;
    double ratio = took[WRITERS] / took[ALONE];
    double exponent = log(took[large] / took[SMALL]) /
                      log((double)cycles[large].keys / (double)cycles[SMALL].keys);
    weft_claim_figure(claim, "16 writers over none", "ratio", claimed, ratio);
    weft_claim_figure(claim, "exponent of the keys", "power", 1, exponent);
    (void)weft_claim_go(claim);
    weft_claim_verdict grows = exponent >= 0.7 ? WEFT_CLAIM_HOLDS : WEFT_CLAIM_NOT;
    weft_claim_say(claim, weft_claim_both(grows, weft_claim_of_ratio(claimed, ratio)),
                   "A new key and the promotion after it cost twotier with 10 K keys %.0f µs "
                   "alone and %.0f µs among 16 writers, and grow with the power %.2f of the keys; "
                   "in incremental mode the longest step takes %.1f µs, in lockfree %.1f µs, where "
                   "interruptions alone make %.1f µs.",
                   took[ALONE], took[WRITERS], exponent, took[STEPS], took[LOCKFREE], took[FLOOR]);
}

/* ---- promote-copies -------------------------------------------------------------------------- */

enum { COPY_KEYS = 10000, SLOT_BYTES = 8 };

static const unsigned crews_of_copies[] = {1, 16};

typedef struct copying {
    weft_u64map map;
    double seconds;
    double again[2];  /* how often a key is copied in a rebuild */
    double pauses[2]; /* µs */
} copying;

/* Of 1000 operations one is a new key, and 200 miss. */
static void cause_copies(weft_crew_member *me) {
    copying *c = me->ctx;
    uint64_t fresh = (uint64_t)(me->index + 1) << 32;
    while (weft_crew_next(me)) {
        uint64_t value;
        uint64_t drawn = weft_crew_random(me);
        uint64_t since = weft_clock_monotonic_ns();
        if (drawn % 1000 == 0) {
            (void)weft_u64map_put(&c->map, fresh++, 1);
        } else if (drawn % 1000 <= 200) {
            (void)weft_u64map_get(&c->map, ABSENT + drawn % 4096, &value);
        } else {
            (void)weft_u64map_get(&c->map, 1 + (drawn >> 32) % COPY_KEYS, &value);
        }
        weft_crew_note(me, since);
    }
}

/* Megabytes copied in a second. */
static double sample_copies(void *ctx, unsigned contender) {
    copying *c = ctx;
    weft_map_options options = {.engine = WEFT_ENGINE_TWOTIER};
    weft_crew crew = {.threads = crews_of_copies[contender],
                      .seconds = c->seconds,
                      .latency = true,
                      .work = cause_copies,
                      .ctx = c};
    weft_crew_result result;
    weft_map_stats before;
    weft_map_stats after;
    if (!fill(&c->map, &options, COPY_KEYS)) {
        return NAN;
    }
    weft_u64map_stats_get(&c->map, &before);
    bool right = weft_crew_run(&crew, &result);
    weft_u64map_stats_get(&c->map, &after);
    weft_u64map_close(&c->map);
    if (!right) {
        return NAN;
    }
    double copied = (double)(after.tiers.copied_entries - before.tiers.copied_entries);
    double rebuilds = (double)(after.tiers.rebuilds - before.tiers.rebuilds);
    c->again[contender] = copied / (rebuilds > 0 ? rebuilds : 1) / (double)after.entries;
    c->pauses[contender] = result.p999 / 1000;
    return copied * SLOT_BYTES / 1e6 / result.seconds;
}

/* Decides: with 16 threads a key is copied more than 1.1 times in a rebuild (redundantly), and the
 * rate of copying grows from 1 thread to 16 by the rule for ratios. Both: it holds; one: in
 * part. */
void weft_claim_promote_copies(weft_claim *claim) {
    const double claimed = 198.0 / 12;
    static copying c;
    double rates[2];
    c.seconds = weft_claim_quick(claim) ? 0.03 : 0.15;
    weft_contest contest = {2, weft_claim_quick(claim) ? 1 : 7, sample_copies, &c};
    if (!weft_contest_run(&contest, rates)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "Threads or maps could not be had.");
        return;
    }
    weft_claim_figure(claim, "twotier, 1 thread, copying", "MB/s", 12, rates[0]);
    weft_claim_figure(claim, "twotier, 16 threads, copying", "MB/s", 198, rates[1]);
    weft_claim_figure(claim, "twotier, 1 thread, copies of a key in a rebuild", "times", NAN,
                      c.again[0]);
    weft_claim_figure(claim, "twotier, 16 threads, copies of a key in a rebuild", "times", NAN,
                      c.again[1]);
    weft_claim_figure(claim, "twotier, 1 thread, p99.9", "µs", 150, c.pauses[0]);
    weft_claim_figure(claim, "twotier, 16 threads, p99.9", "µs", 2700, c.pauses[1]);
    (void)weft_claim_go(claim);
    weft_claim_verdict redundant = c.again[1] > 1.1 ? WEFT_CLAIM_HOLDS : WEFT_CLAIM_NOT;
    weft_claim_verdict grows = weft_claim_of_ratio(claimed, rates[1] / rates[0]);
    weft_claim_say(claim, weft_claim_both(redundant, grows),
                   "Promotions take turns under a lock: with 16 threads a key is copied %.2f times "
                   "in a rebuild, and the rate of copying is %.2f times that with one thread; "
                   "lockfree has no promotions.",
                   c.again[1], rates[1] / rates[0]);
}

/* ---- threshold ------------------------------------------------------------------------------- */

enum { RULES = 4, ADAPTIVE = 3, LOADS = 2, LOAD_KEYS = 1000 };

static const char *const rule_names[RULES] = {"at 1", "at 3", "at 5", "adaptive"};
static const char *const load_names[LOADS] = {"a new key is rare", "new keys all the time"};
static const uint64_t between_new_keys[LOADS] = {10000, 10};
static const weft_twotier_options rules[RULES] = {
    {.promote_after = 1}, {.promote_after = 3}, {.promote_after = 5}, {.adaptive = true}};

typedef struct thresholds {
    uint64_t ops;
    double copies[RULES * LOADS]; /* written or copied entries for each new key */
} thresholds;

/* A new key now and then; else every second lookup is of the newest key. */
static void serve(weft_u64map *map, uint64_t between, uint64_t ops) {
    weft_crew_member me = {.random = 42};
    uint64_t keys = LOAD_KEYS;
    for (uint64_t i = 0; i < ops; i++) {
        uint64_t drawn = weft_crew_random(&me);
        uint64_t value;
        if (i % between == 0) {
            (void)weft_u64map_put(map, ++keys, i);
        } else {
            (void)weft_u64map_get(map, drawn % 2 == 0 ? keys : 1 + (drawn >> 1) % keys, &value);
        }
    }
}

/* Nanoseconds of processor time an operation. */
static double sample_rule(void *ctx, unsigned contender) {
    thresholds *t = ctx;
    weft_map_options options = {.engine = WEFT_ENGINE_TWOTIER, .twotier = rules[contender % RULES]};
    weft_u64map map;
    weft_map_stats before;
    weft_map_stats after;
    if (!fill(&map, &options, LOAD_KEYS)) {
        return NAN;
    }
    weft_u64map_stats_get(&map, &before);
    uint64_t since = weft_thread_cpu_ns();
    serve(&map, between_new_keys[contender / RULES], t->ops);
    double took = (double)(weft_thread_cpu_ns() - since);
    weft_u64map_stats_get(&map, &after);
    weft_u64map_close(&map);
    double fresh = (double)(after.entries - before.entries);
    double copied = (double)(after.tiers.copied_entries - before.tiers.copied_entries);
    t->copies[contender] = (fresh + copied) / fresh;
    return took / (double)t->ops;
}

static int best_fixed(const double *ns) {
    int best = 0;
    for (int i = 1; i < ADAPTIVE; i++) {
        best = ns[i] < ns[best] ? i : best;
    }
    return best;
}

/* Decides: a fixed threshold is never right if the one that is best for one load is 10 % slower
 * than the best for the other load. It holds if so; in part if they differ by 10 % in one load
 * only; not if thresholds make no difference of 10 % in either. */
void weft_claim_threshold(weft_claim *claim) {
    static const double amplification[RULES] = {3.8, 1.9, 1.2, NAN};
    static thresholds t;
    double ns[RULES * LOADS];
    t.ops = weft_claim_quick(claim) ? 10000 : 200000;
    weft_contest contest = {RULES * LOADS, weft_claim_quick(claim) ? 2 : 9, sample_rule, &t};
    if (!weft_contest_run(&contest, ns)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
        return;
    }
    for (int i = 0; i < RULES * LOADS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s, promoted %s", load_names[i / RULES],
                 rule_names[i % RULES]);
        weft_claim_figure(claim, name, "ns", NAN, ns[i]);
        snprintf(name, sizeof name, "%s, promoted %s, writes for a new key", load_names[i / RULES],
                 rule_names[i % RULES]);
        weft_claim_figure(claim, name, "entries", i < RULES ? NAN : amplification[i - RULES],
                          t.copies[i]);
    }
    int best[LOADS] = {best_fixed(ns), best_fixed(ns + RULES)};
    double loss[LOADS] = {ns[best[1]] / ns[best[0]], ns[RULES + best[0]] / ns[RULES + best[1]]};
    double adaptive[LOADS] = {ns[ADAPTIVE] / ns[best[0]],
                              ns[RULES + ADAPTIVE] / ns[RULES + best[1]]};
    weft_claim_figure(claim, "a new key is rare, adaptive over the best fixed one", "ratio", 1,
                      adaptive[0]);
    weft_claim_figure(claim, "new keys all the time, adaptive over the best fixed one", "ratio", 1,
                      adaptive[1]);
    int differing = (loss[0] >= 1.1) + (loss[1] >= 1.1);
    weft_claim_say(
        claim,
        differing == 2   ? WEFT_CLAIM_HOLDS
        : differing == 1 ? WEFT_CLAIM_IN_PART
                         : WEFT_CLAIM_NOT,
        "Of the fixed thresholds the one %s is best where a new key is rare, and the one %s with "
        "new keys all the time; the wrong one of the two costs %.0f %% and %.0f %%. The adaptive "
        "one takes %.2f and %.2f times as long as the best fixed one.",
        rule_names[best[0]], rule_names[best[1]], 100 * (loss[0] - 1), 100 * (loss[1] - 1),
        adaptive[0], adaptive[1]);
}

/* ---- hot-rewrite ----------------------------------------------------------------------------- */

enum { HOT_KEYS = 1000, BATCH = 100, HOT_ENGINES = 3 };

static const weft_engine_id hot_engines[HOT_ENGINES] = {WEFT_ENGINE_TWOTIER, WEFT_ENGINE_LOCKFREE,
                                                        WEFT_ENGINE_RWLOCK};
static const char *const hot_names[HOT_ENGINES] = {"twotier", "lockfree", "rwlock"};

typedef struct rewriting {
    weft_u64map map;
    double seconds;
    double promotions; /* a second, in the storm */
} rewriting;

/* Member 0 rewrites, and times batches; the other one adds a key, misses until it is promoted, and
 * removes the key. */
static void rewrite_hot(weft_crew_member *me) {
    rewriting *r = me->ctx;
    uint64_t value;
    while (weft_crew_next(me)) {
        uint64_t since = weft_clock_monotonic_ns();
        if (me->index != 0) {
            (void)weft_u64map_put(&r->map, ABSENT - me->ops, 1);
            for (uint64_t i = 0; i <= HOT_KEYS + 1; i++) {
                (void)weft_u64map_get(&r->map, ABSENT + i, &value);
            }
            (void)weft_u64map_remove(&r->map, ABSENT - me->ops);
            continue;
        }
        for (int i = 0; i < BATCH; i++) {
            uint64_t key = 1 + weft_crew_random(me) % HOT_KEYS;
            if (i == 0) { /* 1 % reads */
                (void)weft_u64map_get(&r->map, key, &value);
            } else {
                (void)weft_u64map_put(&r->map, key, me->ops);
            }
        }
        weft_crew_note(me, since);
    }
}

/* Nanoseconds an operation, in the median of batches. Contenders: each engine alone, then each in
 * the storm. */
static double sample_rewrites(void *ctx, unsigned contender) {
    rewriting *r = ctx;
    weft_map_options options = {.engine = hot_engines[contender % HOT_ENGINES]};
    weft_crew crew = {.threads = contender < HOT_ENGINES ? 1 : 2,
                      .seconds = r->seconds,
                      .latency = true,
                      .work = rewrite_hot,
                      .ctx = r};
    weft_crew_result result;
    weft_map_stats before;
    weft_map_stats after;
    if (!fill(&r->map, &options, HOT_KEYS)) {
        return NAN;
    }
    weft_u64map_stats_get(&r->map, &before);
    bool right = weft_crew_run(&crew, &result);
    weft_u64map_stats_get(&r->map, &after);
    weft_u64map_close(&r->map);
    if (contender == HOT_ENGINES) {
        r->promotions = (double)(after.tiers.promotions - before.tiers.promotions) / result.seconds;
    }
    return right ? result.p50 / BATCH : NAN;
}

/* Decides: a rewrite in a storm over one alone, of twotier and of sync.Map, by the rule for ratios.
 * Claimed is the ratio of the geometric means of both ranges. */
void weft_claim_hot_rewrite(weft_claim *claim) {
    const double alone = sqrt(20.0 * 50);
    const double storm = sqrt(300.0 * 2000);
    static rewriting r;
    double ns[2 * HOT_ENGINES];
    r.seconds = weft_claim_quick(claim) ? 0.03 : 0.06;
    weft_contest contest = {2 * HOT_ENGINES, weft_claim_quick(claim) ? 1 : 7, sample_rewrites, &r};
    if (!weft_contest_run(&contest, ns)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "Threads or maps could not be had.");
        return;
    }
    for (int i = 0; i < 2 * HOT_ENGINES; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s, %s", hot_names[i % HOT_ENGINES],
                 i < HOT_ENGINES ? "alone" : "in a storm");
        double claimed = i == 0 ? alone : i == HOT_ENGINES ? storm : NAN;
        weft_claim_figure(claim, name, "ns", claimed, ns[i]);
    }
    double ratio = ns[HOT_ENGINES] / ns[0];
    weft_claim_figure(claim, "twotier, promotions in the storm", "1/s", NAN, r.promotions);
    weft_claim_figure(claim, "twotier, storm over alone", "ratio", storm / alone, ratio);
    (void)weft_claim_go(claim);
    weft_claim_verdict go = weft_claim_go_ratio(claim, "Go: storm over alone", storm / alone);
    weft_claim_say(
        claim, weft_claim_both(weft_claim_of_ratio(storm / alone, ratio), go),
        "A rewrite of a key in twotier's read tier takes no lock: %.0f ns alone, %.0f ns "
        "under %.0f promotions a second; lockfree %.0f and %.0f ns, rwlock %.0f and "
        "%.0f ns.",
        ns[0], ns[3], r.promotions, ns[1], ns[4], ns[2], ns[5]);
}
