/* SPDX-License-Identifier: MIT */
/* Claims about many tables with a lock each. */
#include "mix.h"
#include <math.h>
#include <stdio.h>

enum { SHARD_KEYS = 16384, SHARD_THREADS = 8 };

/* ---- shards-8 -------------------------------------------------------------------------------- */

enum { WHOLE, EIGHT, KEEPING, FREE_OF_LOCKS, EIGHTS };

static const weft_mix eights[EIGHTS] = {
    {.name = "twotier",
     .options = {.engine = WEFT_ENGINE_TWOTIER},
     .threads = SHARD_THREADS,
     .keys = SHARD_KEYS,
     .reads = 0.5},
    {.name = "8 shards",
     .options = {.engine = WEFT_ENGINE_SHARDED, .sharded = {.shards = 8, .shards_max = 8}},
     .threads = SHARD_THREADS,
     .keys = SHARD_KEYS,
     .reads = 0.5},
    {.name = "8 shards, a thread each",
     .options = {.engine = WEFT_ENGINE_SHARDED, .sharded = {.shards = 1, .shards_max = 1}},
     .threads = SHARD_THREADS,
     .keys = SHARD_KEYS,
     .reads = 0.5,
     .maps = 8,
     .own_map = true},
    {.name = "lockfree",
     .options = {.engine = WEFT_ENGINE_LOCKFREE},
     .threads = SHARD_THREADS,
     .keys = SHARD_KEYS,
     .reads = 0.5},
};

#define OF_EIGHT (3.7 / 1.2)   /* 8 shards over one map, claimed */
#define OF_KEEPING (4.5 / 3.7) /* a thread each over any thread, claimed */

/* Decides: 8 shards over sync.Map, 3.7 / 1.2, and threads that keep to a shard over threads that do
 * not, 4.5 / 3.7, each by the rule for ratios, for weft's engines and Go's types. A thread keeps to
 * a shard by keeping to a map of its own, of one shard: only the program knows whose keys are
 * whose. */
void weft_claim_shards_8(weft_claim *claim) {
    static const weft_mix_plan plan = {EIGHTS, 7, 0.08};
    static const double rates[EIGHTS] = {1.2, 3.7, 4.5, NAN};
    static const double latencies[EIGHTS] = {8.4, 2.9, 2.1, NAN};
    weft_mix_result results[EIGHTS];
    if (!weft_mix_contest(claim, eights, &plan, results)) {
        return;
    }
    for (int i = 0; i < EIGHTS; i++) {
        weft_mix_tell(claim, &eights[i],
                      &(weft_mix_figure){"rate", "M/s", rates[i], results[i].rate / 1e6});
        weft_mix_tell(
            claim, &eights[i],
            &(weft_mix_figure){"an operation", "us", latencies[i], results[i].mean_latency / 1e3});
    }
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: sync.Map, rate", 1.2);
    weft_claim_claimed(claim, "Go: 8 shards, rate", 3.7);
    weft_claim_claimed(claim, "Go: 8 shards, a thread each, rate", 4.5);
    double eight = results[EIGHT].rate / results[WHOLE].rate;
    double keeping = results[KEEPING].rate / results[EIGHT].rate;
    weft_claim_verdict ours = weft_claim_both(weft_claim_of_ratio(OF_EIGHT, eight),
                                              weft_claim_of_ratio(OF_KEEPING, keeping));
    weft_claim_verdict go_keeping =
        weft_mix_judge_go(claim, &(weft_mix_go){"Go: a thread each over 8 shards",
                                                "Go: 8 shards, a thread each, rate",
                                                "Go: 8 shards, rate", OF_KEEPING});
    weft_claim_verdict go_eight =
        weft_mix_judge_go(claim, &(weft_mix_go){"Go: 8 shards over sync.Map", "Go: 8 shards, rate",
                                                "Go: sync.Map, rate", OF_EIGHT});
    weft_claim_say(
        claim, weft_claim_both(ours, weft_claim_both(go_eight, go_keeping)),
        "8 shards do %.2f times as much as twotier, 3.08 claimed, and threads that keep "
        "to a shard %.2f times as much as those that do not, 1.22 claimed; lockfree does "
        "%.2f times as much as 8 shards.",
        eight, keeping, results[FREE_OF_LOCKS].rate / results[EIGHT].rate);
}

/* ---- shards-64 ------------------------------------------------------------------------------- */

enum { SWEEP = 9, SWEEPS = 2 * SWEEP + 1, SWEEP_64 = 6, SWEEP_LOCK = 2 * SWEEP };

#define SWEPT(many, unit, apart)                                                                   \
    {                                                                                              \
        .name = #many " " unit ", " apart,                                                         \
        .options = {.engine = WEFT_ENGINE_SHARDED,                                                 \
                    .sharded = {.shards = (many), .shards_max = (many), .packed = SWEPT_PACKED}},  \
        .threads = SHARD_THREADS, .keys = SHARD_KEYS                                               \
    }
#define SWEPT_ALL(apart)                                                                           \
    SWEPT(1, "shard", apart), SWEPT(2, "shards", apart), SWEPT(4, "shards", apart),                \
        SWEPT(8, "shards", apart), SWEPT(16, "shards", apart), SWEPT(32, "shards", apart),         \
        SWEPT(64, "shards", apart), SWEPT(128, "shards", apart), SWEPT(256, "shards", apart)

static const weft_mix sweep[SWEEPS] = {
#define SWEPT_PACKED false
    SWEPT_ALL("lines of their own"),
#undef SWEPT_PACKED
#define SWEPT_PACKED true
    SWEPT_ALL("packed"),
#undef SWEPT_PACKED
    {.name = "one rwlock",
     .options = {.engine = WEFT_ENGINE_RWLOCK},
     .threads = SHARD_THREADS,
     .keys = SHARD_KEYS},
};

/* Decides: the rate of writes with 64 shards over that with one rwlock, 3.2, by the rule for
 * ratios, here and in Go. The sweep is shown: 1 to 256 shards, each shard in lines of its own, and
 * packed, so that neighbours share lines. */
void weft_claim_shards_64(weft_claim *claim) {
    static const weft_mix_plan plan = {SWEEPS, 5, 0.03};
    weft_mix_result results[SWEEPS];
    if (!weft_mix_contest(claim, sweep, &plan, results)) {
        return;
    }
    double apart = 0;
    for (int i = 0; i < SWEEPS; i++) {
        weft_mix_tell(claim, &sweep[i],
                      &(weft_mix_figure){NULL, "M/s", NAN, results[i].rate / 1e6});
        apart += i >= 3 && i < SWEEP ? log(results[i].rate / results[SWEEP + i].rate) : 0;
    }
    apart = exp(apart / (SWEEP - 3));
    double ratio = results[SWEEP_64].rate / results[SWEEP_LOCK].rate;
    weft_claim_figure(claim, "64 shards over one rwlock", "ratio", 3.2, ratio);
    weft_claim_figure(claim, "lines of their own over packed, 8 to 256 shards", "ratio", NAN,
                      apart);
    (void)weft_claim_go(claim);
    weft_claim_verdict go = weft_claim_go_ratio(claim, "Go: 64 shards over one RWMutex", 3.2);
    weft_claim_say(
        claim, weft_claim_both(weft_claim_of_ratio(3.2, ratio), go),
        "64 shards write %.1f times as much as one rwlock, 3.2 claimed; with 8 shards and "
        "more, lines of their own bring %+.0f %% (mean of 6 sizes) over packed ones.",
        ratio, 100 * (apart - 1));
}
