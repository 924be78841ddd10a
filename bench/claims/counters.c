/* SPDX-License-Identifier: MIT */
/* Claims about counters in a map: many threads that add, and requests that come at their times. */
#include "base/lock.h"
#include "bench/driver/stats.h"
#include "mix.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- counter-curve --------------------------------------------------------------------------- */

#define COUNTING(called, ID, count)                                                                \
    {                                                                                              \
        .name = #called ", " #count " threads", .options = {.engine = WEFT_ENGINE_##ID},           \
        .threads = (count), .keys = 1024, .add = true                                              \
    }

static const weft_mix countings[] = {
    COUNTING(rwlock, RWLOCK, 8),     COUNTING(rwlock, RWLOCK, 64),
    COUNTING(twotier, TWOTIER, 8),   COUNTING(twotier, TWOTIER, 64),
    COUNTING(lockfree, LOCKFREE, 8), COUNTING(lockfree, LOCKFREE, 64),
    COUNTING(sharded, SHARDED, 8),   COUNTING(sharded, SHARDED, 64),
};

enum { COUNTINGS = sizeof countings / sizeof *countings };

#define FALL (1.2 / 0.45)  /* of the locked map, claimed */
#define AHEAD (1.1 / 0.45) /* sync.Map, of it */

/* Decides: the fall of the locked map from 8 to 64 threads, 1.2 / 0.45, and sync.Map over it with
 * 64, 1.1 / 0.45, each by the rule for ratios, for weft's engines and Go's types. */
void weft_claim_counter_curve(weft_claim *claim) {
    static const weft_mix_plan plan = {COUNTINGS, 5, 0.05};
    static const double claimed[COUNTINGS] = {1.2, 0.45, 1.3, 1.1, NAN, NAN, NAN, NAN};
    weft_mix_result results[COUNTINGS];
    if (!weft_mix_contest(claim, countings, &plan, results)) {
        return;
    }
    for (unsigned i = 0; i < COUNTINGS; i++) {
        weft_mix_tell(claim, &countings[i],
                      &(weft_mix_figure){NULL, "M/s", claimed[i], results[i].rate / 1e6});
    }
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: RWMutex, 8 threads", 1.2);
    weft_claim_claimed(claim, "Go: RWMutex, 64 threads", 0.45);
    weft_claim_claimed(claim, "Go: sync.Map, 8 threads", 1.3);
    weft_claim_claimed(claim, "Go: sync.Map, 64 threads", 1.1);
    weft_claim_verdict go_fall = weft_mix_judge_go(
        claim, &(weft_mix_go){"Go: RWMutex, 8 threads over 64", "Go: RWMutex, 8 threads",
                              "Go: RWMutex, 64 threads", FALL});
    weft_claim_verdict go_ahead = weft_mix_judge_go(
        claim, &(weft_mix_go){"Go: sync.Map over RWMutex, 64 threads", "Go: sync.Map, 64 threads",
                              "Go: RWMutex, 64 threads", AHEAD});
    double fall = results[0].rate / results[1].rate;
    double ahead = results[3].rate / results[1].rate;
    weft_claim_verdict ours =
        weft_claim_both(weft_claim_of_ratio(FALL, fall), weft_claim_of_ratio(AHEAD, ahead));
    weft_claim_say(
        claim, weft_claim_both(ours, weft_claim_both(go_fall, go_ahead)),
        "From 8 to 64 threads rwlock gets %.1f times slower, 2.7 claimed, and twotier is "
        "%.1f times ahead of it then, 2.4 claimed; lockfree keeps %.0f %% of its rate.",
        fall, ahead, 100 * results[5].rate / results[4].rate);
}

/* ---- city-counters --------------------------------------------------------------------------- */

enum {
    CITIES = 500,
    CITY_THREADS = 16,
    CITY_RATE = 12000, /* requests a second, of all threads */
    CITY_PERIOD_NS = (int)(1000000000LL * CITY_THREADS / CITY_RATE),
    CITY_MAPS = 3,
    CITY_ROUNDS = 3,
    QUICK_CITY_ROUNDS = 1,
};

typedef struct cities {
    weft_u64map map;
    double seconds;
    weft_histogram *calls; /* of the calls alone */
    unsigned taken[CITY_MAPS];
    double call_p99[CITY_MAPS][CITY_ROUNDS];
} cities;

static const struct {
    const char *name;
    weft_map_options options;
    double claimed_ms;
} city_maps[CITY_MAPS] = {
    {"twotier", {.engine = WEFT_ENGINE_TWOTIER}, 87},
    {"sharded, 64 shards",
     {.engine = WEFT_ENGINE_SHARDED, .sharded = {.shards = 64, .shards_max = 64}},
     1.2},
    {"lockfree", {.engine = WEFT_ENGINE_LOCKFREE}, NAN},
};

/* A request takes from the time at which it was due to the end of the call, so that one that had to
 * wait for the one before counts for what it was. */
static void serve_cities(weft_crew_member *me) {
    cities *all = me->ctx;
    uint64_t due = weft_clock_monotonic_ns() + weft_crew_random(me) % CITY_PERIOD_NS;
    while (weft_crew_next(me)) {
        uint64_t now = weft_clock_monotonic_ns();
        if (now < due) {
            weft_sleep_ns(due - now);
        }
        uint64_t since = weft_clock_monotonic_ns();
        (void)weft_u64map_fetch_add(&all->map, weft_crew_random(me) % CITIES, 1, NULL);
        weft_histogram_record(all->calls, weft_clock_monotonic_ns() - since);
        weft_crew_note(me, due);
        due += CITY_PERIOD_NS;
    }
}

static double sample_cities(void *ctx, unsigned contender) {
    static weft_histogram calls; /* too large for a stack */
    cities *all = ctx;
    weft_crew crew = {CITY_THREADS, all->seconds, 0, true, serve_cities, all};
    weft_map_options options = city_maps[contender].options;
    weft_crew_result done;
    options.size = sizeof options;
    memset(&calls, 0, sizeof calls);
    all->calls = &calls;
    if (weft_u64map_open(&all->map, &options) != WEFT_OK) {
        return NAN;
    }
    bool right = weft_crew_run(&crew, &done);
    (void)weft_u64map_close(&all->map);
    all->call_p99[contender][all->taken[contender]++] =
        (double)weft_histogram_percentile(&calls, 99000);
    return right ? done.p99 : NAN;
}

static double median_of(const double *values, unsigned count) {
    return weft_bench_median((weft_bench_samples){values, count});
}

/* Decides: the 99th percentile with one sync.Map over that with 64 shards, 87 / 1.2, by the rule
 * for ratios, for weft's engines and Go's types. */
void weft_claim_city_counters(weft_claim *claim) {
    bool quick = weft_claim_quick(claim);
    unsigned rounds = quick ? QUICK_CITY_ROUNDS : CITY_ROUNDS;
    cities all = {.seconds = quick ? 0.03 : 0.25};
    double p99[CITY_MAPS];
    double calls[CITY_MAPS];
    weft_contest contest = {CITY_MAPS, rounds, sample_cities, &all};
    if (!weft_contest_run(&contest, p99)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map or a thread could not be had.");
        return;
    }
    for (unsigned i = 0; i < CITY_MAPS; i++) {
        char name[64];
        calls[i] = median_of(all.call_p99[i], rounds);
        snprintf(name, sizeof name, "%s, p99", city_maps[i].name);
        weft_claim_figure(claim, name, "ms", city_maps[i].claimed_ms, p99[i] / 1e6);
        snprintf(name, sizeof name, "%s, p99 of the call alone", city_maps[i].name);
        weft_claim_figure(claim, name, "ms", NAN, calls[i] / 1e6);
    }
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: sync.Map, p99", 87);
    weft_claim_claimed(claim, "Go: 64 shards, p99", 1.2);
    weft_claim_verdict go = weft_mix_judge_go(
        claim, &(weft_mix_go){"Go: sync.Map over 64 shards, p99", "Go: sync.Map, p99",
                              "Go: 64 shards, p99", 87 / 1.2});
    double ratio = p99[0] / p99[1];
    weft_claim_say(claim, weft_claim_both(weft_claim_of_ratio(87 / 1.2, ratio), go),
                   "At %d requests a second the 99th percentile is %.3f ms with twotier, %.3f ms "
                   "with 64 shards and %.3f ms with lockfree; %.1f %% of the first is spent in "
                   "calls of the map, the rest in waiting for a processor.",
                   CITY_RATE, p99[0] / 1e6, p99[1] / 1e6, p99[2] / 1e6, 100 * calls[0] / p99[0]);
}
