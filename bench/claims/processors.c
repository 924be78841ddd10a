/* SPDX-License-Identifier: MIT */
/* Claims about the processor that a thread gets: yielding it, and keeping to one. */
#include "base/cpu.h"
#include "bench/driver/stats.h"
#include "mix.h"
#include <math.h>
#include <sys/resource.h>

enum { PROCESSOR_KEYS = 8192 };

/* ---- yield ----------------------------------------------------------------------------------- */

#define YIELDING(called, ID, every, said)                                                          \
    {                                                                                              \
        .name = called said, .options = {.engine = WEFT_ENGINE_##ID}, .threads = 8,                \
        .keys = PROCESSOR_KEYS, .yield_every = (every)                                             \
    }

static const weft_mix yieldings[] = {
    YIELDING("twotier", TWOTIER, 0, ""),   YIELDING("twotier", TWOTIER, 100, ", yielding"),
    YIELDING("rwlock", RWLOCK, 0, ""),     YIELDING("rwlock", RWLOCK, 100, ", yielding"),
    YIELDING("lockfree", LOCKFREE, 0, ""), YIELDING("lockfree", LOCKFREE, 100, ", yielding"),
};

enum { YIELDINGS = sizeof yieldings / sizeof *yieldings };

/* Decides: the rate of twotier, and of sync.Map in Go, over that with a yield after every 100
 * writes, 1 / (1 - 0.37), by the rule for ratios. */
void weft_claim_yield(weft_claim *claim) {
    static const weft_mix_plan plan = {YIELDINGS, 5, 0.08};
    weft_mix_result results[YIELDINGS];
    double cost[YIELDINGS / 2];
    if (!weft_mix_contest(claim, yieldings, &plan, results)) {
        return;
    }
    for (unsigned i = 0; i < YIELDINGS; i++) {
        weft_mix_tell(claim, &yieldings[i],
                      &(weft_mix_figure){NULL, "M/s", NAN, results[i].rate / 1e6});
    }
    for (unsigned i = 0; i < YIELDINGS / 2; i++) {
        cost[i] = 100 * (1 - results[2 * i + 1].rate / results[2 * i].rate);
    }
    weft_claim_figure(claim, "twotier, what yielding costs", "%", 37, cost[0]);
    weft_claim_figure(claim, "rwlock, what yielding costs", "%", NAN, cost[1]);
    weft_claim_figure(claim, "lockfree, what yielding costs", "%", NAN, cost[2]);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: sync.Map, what yielding costs", 37);
    double claimed = 1 / (1 - 0.37);
    weft_claim_verdict go =
        weft_mix_judge_go(claim, &(weft_mix_go){"Go: sync.Map over sync.Map, yielding",
                                                "Go: sync.Map", "Go: sync.Map, yielding", claimed});
    weft_claim_say(claim, weft_claim_both(weft_claim_of_ratio(claimed, 100 / (100 - cost[0])), go),
                   "Yielding after every 100 writes costs twotier %.0f %% of its rate, 37 %% "
                   "claimed, rwlock %.0f %% and lockfree %.0f %%.",
                   cost[0], cost[1], cost[2]);
}

/* ---- pinning --------------------------------------------------------------------------------- */

enum { FREE, PINNED, PINNINGS, PIN_ROUNDS = 9 };

/* One writer; two readers for each processor beside it. */
typedef struct pinning {
    weft_u64map map;
    double seconds;
    bool pinned;
    uint64_t writes; /* of the last sample */
    uint64_t ns;
    uint64_t switches;
    unsigned taken[PINNINGS];
    double switched[PINNINGS][PIN_ROUNDS]; /* of 1000 writes */
} pinning;

static uint64_t thread_switches(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
}

static void write_or_read(weft_crew_member *me) {
    pinning *all = me->ctx;
    uint64_t value;
    if (me->index != 0) {
        while (weft_crew_next(me)) {
            (void)weft_u64map_get(&all->map, weft_crew_random(me) % PROCESSOR_KEYS, &value);
        }
        return;
    }
    if (all->pinned) {
        weft_crew_pin(me);
    }
    uint64_t switches = thread_switches();
    uint64_t began = weft_clock_monotonic_ns();
    while (weft_crew_next(me)) {
        (void)weft_u64map_put(&all->map, weft_crew_random(me) % PROCESSOR_KEYS, me->ops);
    }
    all->ns = weft_clock_monotonic_ns() - began;
    all->switches = thread_switches() - switches;
    all->writes = me->ops;
}

static double sample_pinning(void *ctx, unsigned contender) {
    pinning *all = ctx;
    weft_crew crew = {.threads = 1 + 2 * weft_cpu_count(),
                      .seconds = all->seconds,
                      .work = write_or_read,
                      .ctx = all};
    weft_crew_result done;
    all->pinned = contender == PINNED;
    if (!weft_crew_run(&crew, &done) || all->writes == 0) {
        return NAN;
    }
    all->switched[contender][all->taken[contender]++] =
        1000 * (double)all->switches / (double)all->writes;
    return (double)all->ns / (double)all->writes;
}

/* Decides: the rate of a pinned writer over that of one that is not, 1.45, by the rule for ratios.
 * 328 and 196 ns for a thousand writes would be less than a store takes; they are read as the time
 * of one. */
void weft_claim_pinning(weft_claim *claim) {
    bool quick = weft_claim_quick(claim);
    unsigned rounds = quick ? 1 : PIN_ROUNDS;
    pinning all = {.seconds = quick ? 0.01 : 0.12};
    double ns[PINNINGS];
    weft_contest contest = {PINNINGS, rounds, sample_pinning, &all};
    if (!weft_contest_run(&contest, ns)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A thread could not be had.");
        return;
    }
    (void)weft_u64map_close(&all.map);
    weft_claim_figure(claim, "a write, not pinned", "ns", 328, ns[FREE]);
    weft_claim_figure(claim, "a write, pinned", "ns", 196, ns[PINNED]);
    double switched[PINNINGS];
    for (int i = 0; i < PINNINGS; i++) {
        switched[i] = weft_bench_median((weft_bench_samples){all.switched[i], rounds});
    }
    weft_claim_figure(claim, "context switches, not pinned", "of 1000 writes", NAN, switched[FREE]);
    weft_claim_figure(claim, "context switches, pinned", "of 1000 writes", NAN, switched[PINNED]);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: a write, not pinned", 328);
    weft_claim_claimed(claim, "Go: a write, pinned", 196);
    weft_claim_verdict go = weft_mix_judge_go(
        claim, &(weft_mix_go){"Go: a write, not pinned over pinned", "Go: a write, not pinned",
                              "Go: a write, pinned", 1.45});
    double gain = ns[FREE] / ns[PINNED];
    weft_claim_say(
        claim, weft_claim_both(weft_claim_of_ratio(1.45, gain), go),
        "Beside two readers for each processor the rate of a pinned writer is %+.0f %% against a "
        "free "
        "one, +45 %% claimed, with %.3g context switches of 1000 writes in place of %.3g.",
        100 * (gain - 1), switched[PINNED], switched[FREE]);
}
