/* SPDX-License-Identifier: MIT */
/* Claims about whole versions and copies: batches, copy-on-write, hot copies of cold keys. */
#include "alone.h"
#include "bench/driver/stats.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <weft/snapshot.h>
#include <weft/write_batch.h>

/* ---- batch-torn ------------------------------------------------------------------------------ */

enum { TORN_KEYS = 8, TORN_WAYS = 5, TORN_VERSION = 1000, TORN_FLAG = 1001 };

typedef struct torn_run {
    weft_u64map map;
    void (*write)(struct torn_run *run, uint64_t number);
    /* False: the protocol says that this look does not count. */
    bool (*read)(struct torn_run *run, uint64_t values[TORN_KEYS]);
    bool in_order; /* torn is only what is older than what was read before it */
    uint64_t looks;
    uint64_t torn;
    uint64_t failures;
} torn_run;

static void put(torn_run *run, uint64_t key, uint64_t value) {
    run->failures += weft_u64map_put(&run->map, key, value) != WEFT_OK;
}

/* 0: the key is absent. */
static uint64_t get(torn_run *run, uint64_t key) {
    uint64_t value;
    (void)weft_u64map_get(&run->map, key, &value);
    return value;
}

static void put_all(torn_run *run, uint64_t number) {
    for (uint64_t key = 1; key <= TORN_KEYS; key++) {
        put(run, key, number);
    }
}

/* In another order than they are written: nobody agrees on one. */
static bool get_all(torn_run *run, uint64_t values[TORN_KEYS]) {
    for (uint64_t i = 0; i < TORN_KEYS; i++) {
        values[i] = get(run, TORN_KEYS - i);
    }
    return true;
}

/* A version key: raised after each batch; who reads wants it to be the same before and after. */
static void put_versioned(torn_run *run, uint64_t number) {
    put_all(run, number);
    put(run, TORN_VERSION, number);
}

static bool get_versioned(torn_run *run, uint64_t values[TORN_KEYS]) {
    uint64_t version = get(run, TORN_VERSION);
    return get_all(run, values) && get(run, TORN_VERSION) == version;
}

/* A flag: set while the keys are deleted and made anew; who reads waits for it to be down. */
static void put_flagged(torn_run *run, uint64_t number) {
    put(run, TORN_FLAG, 1);
    for (uint64_t key = 1; key <= TORN_KEYS; key++) {
        (void)weft_u64map_remove(&run->map, key);
    }
    put_all(run, number);
    put(run, TORN_FLAG, 0);
}

static bool get_flagged(torn_run *run, uint64_t values[TORN_KEYS]) {
    return get(run, TORN_FLAG) == 0 && get_all(run, values);
}

static void put_batch(torn_run *run, uint64_t number) {
    weft_u64write writes[TORN_KEYS];
    for (uint64_t i = 0; i < TORN_KEYS; i++) {
        writes[i] = (weft_u64write){WEFT_WRITE_PUT, i + 1, number};
    }
    run->failures += weft_u64map_write_batch(&run->map, writes, TORN_KEYS) != WEFT_OK;
}

/* One moment: a snapshot. */
static bool get_snapshot(torn_run *run, uint64_t values[TORN_KEYS]) {
    weft_u64snapshot snapshot;
    if (weft_u64map_snapshot(&run->map, &snapshot) != WEFT_OK) {
        return false;
    }
    bool right = true;
    for (uint64_t key = 1; key <= TORN_KEYS; key++) {
        right = weft_u64snapshot_get(&snapshot, key, &values[key - 1]) == WEFT_OK && right;
    }
    weft_u64snapshot_release(&snapshot);
    return right;
}

/* Values of two batches, or, where keys are read at several moments, an older one after a newer. */
static bool is_torn(const torn_run *run, const uint64_t values[TORN_KEYS]) {
    for (int i = 1; i < TORN_KEYS; i++) {
        if (run->in_order ? values[i] < values[i - 1] : values[i] != values[0]) {
            return true;
        }
    }
    return false;
}

static void torn_work(weft_crew_member *me) {
    torn_run *run = me->ctx;
    if (me->index == 0) {
        while (weft_crew_next(me)) {
            run->write(run, me->ops + 1);
        }
        return;
    }
    while (weft_load_relaxed(me->stop) == 0) {
        uint64_t values[TORN_KEYS];
        if (run->read(run, values)) {
            run->looks++;
            run->torn += is_torn(run, values);
        }
    }
}

static const struct {
    const char *name;
    weft_engine_id engine;
    void (*write)(torn_run *run, uint64_t number);
    bool (*read)(torn_run *run, uint64_t values[TORN_KEYS]);
    bool in_order;
} torn_ways[TORN_WAYS] = {
    {"twotier, one after another", WEFT_ENGINE_TWOTIER, put_all, get_all, false},
    {"twotier, version key", WEFT_ENGINE_TWOTIER, put_versioned, get_versioned, false},
    {"twotier, deleted under a flag", WEFT_ENGINE_TWOTIER, put_flagged, get_flagged, false},
    {"cow, write_batch, going back", WEFT_ENGINE_COW, put_batch, get_all, true},
    {"cow, write_batch, snapshot", WEFT_ENGINE_COW, put_batch, get_snapshot, false},
};

/* The share of looks that saw a batch torn; *looks is how many there were. NAN: it failed. */
static double run_torn(int way, double seconds, double *looks) {
    torn_run run = {.map = WEFT_U64MAP_INIT,
                    .write = torn_ways[way].write,
                    .read = torn_ways[way].read,
                    .in_order = torn_ways[way].in_order};
    weft_map_options options = {.size = sizeof options, .engine = torn_ways[way].engine};
    weft_crew crew = {.threads = 2, .seconds = seconds, .work = torn_work, .ctx = &run};
    weft_crew_result result;
    bool right = weft_u64map_open(&run.map, &options) == WEFT_OK;
    put_all(&run, 1);
    right = right && weft_crew_run(&crew, &result) && run.failures == 0 && run.looks != 0;
    (void)weft_u64map_close(&run.map);
    *looks = (double)run.looks;
    return right ? (double)run.torn / (double)run.looks : NAN;
}

/* Decides: how often a reader of eight keys sees some of a batch and some of another, or a key that
 * is missing. Two gets are two moments, so of write_batch it asks for a snapshot, which is one; and
 * of gets that none goes back to an older batch. The claim (all three ways tear) holds where each
 * of them does here and write_batch never does; not where write_batch does. */
void weft_claim_batch_torn(weft_claim *claim) {
    enum { FAKES = 3 };
    double share[TORN_WAYS];
    double ours = 0;
    int tearing = 0;
    for (int i = 0; i < TORN_WAYS; i++) {
        char name[100];
        double looks;
        share[i] = run_torn(i, weft_claim_quick(claim) ? 0.02 : 0.4, &looks);
        if (isnan(share[i])) {
            weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "Nothing could be read: %s.",
                           torn_ways[i].name);
            return;
        }
        snprintf(name, sizeof name, "%s, torn reads", torn_ways[i].name);
        weft_claim_figure(claim, name, "%", i < FAKES ? NAN : 0, share[i] * 100);
        snprintf(name, sizeof name, "%s, reads", torn_ways[i].name);
        weft_claim_figure(claim, name, "reads", NAN, looks);
        tearing += i < FAKES && share[i] > 0;
        ours += i < FAKES ? 0 : share[i];
    }
    (void)weft_claim_go(claim);
    weft_claim_say(claim,
                   ours > 0           ? WEFT_CLAIM_NOT
                   : tearing == FAKES ? WEFT_CLAIM_HOLDS
                                      : WEFT_CLAIM_IN_PART,
                   "Of reads, %.3g %% see a torn batch where keys are written one after another, "
                   "%.3g %% beside a version key, %.3g %% under a flag; %.3g %% with "
                   "weft_u64map_write_batch of cow.",
                   share[0] * 100, share[1] * 100, share[2] * 100, ours * 100);
}

/* ---- rates of reads and writes --------------------------------------------------------------- */

enum { RATE_MOST = 8 };

/* A share of writes, uniform over some keys or mostly to some of them. */
typedef struct rate_mix {
    unsigned keys;
    unsigned threads;
    unsigned writes_of_64;
    unsigned hot; /* keys that 15 of 16 operations are about; 0: all alike */
} rate_mix;

typedef struct rate_run {
    weft_either map;
    rate_mix mix;
    double seconds;
    const weft_alone_map *maps;
    uint64_t failures;
} rate_run;

static void rate_work(weft_crew_member *me) {
    rate_run *run = me->ctx;
    while (weft_crew_next(me)) {
        uint64_t random = weft_crew_random(me);
        bool hot = run->mix.hot != 0 && (random >> 8) % 16 != 0;
        uint64_t key = weft_claim_key((random >> 16) % (hot ? run->mix.hot : run->mix.keys));
        uint64_t value;
        if (random % 64 < run->mix.writes_of_64) {
            if (!weft_either_put(&run->map, key, random)) {
                weft_fetch_add_relaxed(&run->failures, 1);
            }
        } else if (!weft_either_get(&run->map, key, &value)) {
            weft_fetch_add_relaxed(&run->failures, 1);
        }
    }
}

/* Operations a second of all threads. */
static double sample_rate(void *ctx, unsigned contender) {
    rate_run *run = ctx;
    const weft_alone_map *kind = &run->maps[contender];
    weft_map_options options = {.engine = kind->engine, .rwlock.bias = kind->bias};
    weft_crew crew = {
        .threads = run->mix.threads, .seconds = run->seconds, .work = rate_work, .ctx = run};
    weft_crew_result result;
    run->failures = 0;
    bool right = weft_either_open(&run->map, 0, &options);
    for (uint64_t i = 0; i < run->mix.keys && right; i++) {
        right = weft_either_put(&run->map, weft_claim_key(i), i);
    }
    right = right && weft_crew_run(&crew, &result) && run->failures == 0;
    weft_either_close(&run->map);
    return right ? result.rate : NAN;
}

/* Adds the rates of maps with a mix. */
static bool measure_rates(weft_claim *claim, rate_run *run, unsigned count, double *rates) {
    const char *names[RATE_MOST];
    char what[60];
    bool quick = weft_claim_quick(claim);
    weft_contest contest = {count, quick ? 1 : 5, sample_rate, run};
    run->seconds = quick ? 0.005 : 0.03;
    if (!weft_contest_run(&contest, rates)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        names[i] = run->maps[i].name;
    }
    snprintf(what, sizeof what, "%u keys, %u threads, %u %% writes", run->mix.keys,
             run->mix.threads, run->mix.writes_of_64 * 100 / 64);
    weft_claim_series(claim, &(weft_claim_rows){names, rates, count, what, "1/s"});
    return true;
}

/* ---- cow ------------------------------------------------------------------------------------- */

/* Decides: reads of cow over those of a map under a reader-writer lock, two threads, by the rule
 * for ratios, and that its writes are slower: both must hold, in Go as well. */
void weft_claim_cow(weft_claim *claim) {
    static const double read_claimed = 18.7 / 12.4;
    static const double write_claimed = 0.85 / 0.62;
    static const weft_alone_map maps[] = {{"cow", WEFT_ENGINE_COW, WEFT_RWLOCK_ONE_THREAD},
                                          {"rwlock", WEFT_ENGINE_RWLOCK, WEFT_RWLOCK_ONE_THREAD},
                                          {"lockfree", WEFT_ENGINE_LOCKFREE, 0}};
    enum { COUNT = sizeof maps / sizeof *maps };
    double reads[COUNT];
    double writes[COUNT];
    weft_alone_costs costs;
    rate_run run = {.mix = {.keys = 256, .threads = 2}, .maps = maps};
    bool right = measure_rates(claim, &run, COUNT, reads);
    run.mix.writes_of_64 = 64;
    if (!right || !measure_rates(claim, &run, COUNT, writes) ||
        !weft_claim_alone(claim, maps, COUNT, &costs)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
        return;
    }
    double read = reads[0] / reads[1];
    double write = writes[1] / writes[0];
    double alone = costs.mean[0] / costs.mean[COUNT];
    weft_claim_figure(claim, "reads, cow over rwlock", "ratio", read_claimed, read);
    weft_claim_figure(claim, "writes, rwlock over cow", "ratio", write_claimed, write);
    weft_claim_figure(claim, "cow over no synchronisation, mean", "ratio", NAN, alone);
    weft_claim_figure(claim, "rwlock over no synchronisation, mean", "ratio", NAN,
                      costs.mean[1] / costs.mean[COUNT]);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: reads, copied over RWMutex", read_claimed);
    weft_claim_claimed(claim, "Go: writes, RWMutex over copied", write_claimed);
    double go = weft_claim_value(claim, "Go: reads, copied over RWMutex");
    double go_write = weft_claim_value(claim, "Go: writes, RWMutex over copied");
    weft_claim_verdict verdict =
        weft_claim_both(weft_claim_both(weft_claim_of_ratio(read_claimed, read),
                                        weft_claim_of_ratio(write_claimed, write)),
                        weft_claim_both(weft_claim_of_ratio(read_claimed, go),
                                        weft_claim_of_ratio(write_claimed, go_write)));
    weft_claim_say(
        claim, verdict,
        "Two threads read %.1f times as fast as under the lock%s, and write %.0f times as "
        "slowly, as each write copies 256 entries. On one thread a read takes %.2f times "
        "as long as one of a table without synchronisation.",
        read, weft_claim_go_part(go, " (%.1f times in Go)").text, write, alone);
}

/* ---- hybrid ---------------------------------------------------------------------------------- */

/* Decides: at both published points (64 keys and 8 threads, 512 keys and 64 threads; 10 % writes)
 * the hybrid must be at least as fast, less a tenth, as the faster of its two halves alone: a map
 * under a lock and sync.Map. At one of them: in part. */
void weft_claim_hybrid(weft_claim *claim) {
    static const weft_alone_map maps[] = {{"hybrid", WEFT_ENGINE_HYBRID, 0},
                                          {"rwlock", WEFT_ENGINE_RWLOCK, WEFT_RWLOCK_NOBODY},
                                          {"twotier", WEFT_ENGINE_TWOTIER, 0},
                                          {"lockfree", WEFT_ENGINE_LOCKFREE, 0}};
    enum { COUNT = sizeof maps / sizeof *maps, POINTS = 3 };
    static const rate_mix points[POINTS] = {
        {64, 8, 6, 8}, {512, 64, 6, 64}, {4096, 64, 6, 512} /* beyond: where does it end? */};
    double ahead[POINTS];
    int held = 0;
    for (int i = 0; i < POINTS; i++) {
        double rates[COUNT];
        char name[80];
        rate_run run = {.mix = points[i], .maps = maps};
        if (!measure_rates(claim, &run, COUNT, rates)) {
            weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
            return;
        }
        ahead[i] = rates[0] / fmax(rates[1], rates[2]);
        snprintf(name, sizeof name, "hybrid over the better half, %u keys", points[i].keys);
        weft_claim_figure(claim, name, "ratio", NAN, ahead[i]);
        held += i < POINTS - 1 && ahead[i] >= 0.9;
    }
    (void)weft_claim_go(claim);
    weft_claim_say(
        claim,
        held == POINTS - 1 ? WEFT_CLAIM_HOLDS
        : held > 0         ? WEFT_CLAIM_IN_PART
                           : WEFT_CLAIM_NOT,
        "The hybrid has %.2f times the rate of the better of lock and sync.Map with 64 "
        "keys and 8 threads, %.2f times with 512 and 64, %.2f times with 4096 and 64%s.",
        ahead[0], ahead[1], ahead[2],
        weft_claim_go_part(weft_claim_value(claim, "Go: sync.Map over RWMutex, 512 keys"),
                           "; Go's sync.Map has %.2f times the lock's with 512")
            .text);
}
