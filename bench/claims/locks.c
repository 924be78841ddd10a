/* SPDX-License-Identifier: MIT */
/* Claims about locks: waiting for one, and many in place of one. */
#include "base/lock.h"
#include "bench/driver/plain.h"
#include "bench/driver/stats.h"
#include "mix.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LOCK_KEYS = 8192 };

/* ---- write-p99 ------------------------------------------------------------------------------- */

enum { WAITERS = 3, WAIT_ROUNDS = 5 };

static const struct {
    unsigned threads;
    double p99_ms;  /* claimed */
    double waiting; /* likewise, percent */
} waiters[WAITERS] = {{1, 0.08, 0}, {50, 4.3, 68}, {100, 12.7, 89}};

/* One table under a mutex. */
typedef struct locked {
    weft_plain plain;
    weft_mutex mutex;
    double seconds;
    uint64_t waited_ns; /* for the mutex, of all threads */
    uint64_t lived_ns;
    unsigned taken[WAITERS];
    double waiting[WAITERS][WAIT_ROUNDS];
    double longest[WAITERS][WAIT_ROUNDS];
} locked;

static void write_locked(weft_crew_member *me) {
    locked *all = me->ctx;
    uint64_t began = weft_clock_monotonic_ns();
    uint64_t waited = 0;
    while (weft_crew_next(me)) {
        uint64_t key = 1 + weft_crew_random(me) % LOCK_KEYS;
        uint64_t since = weft_clock_monotonic_ns();
        if (!weft_mutex_try_lock(&all->mutex)) {
            weft_mutex_lock(&all->mutex);
            waited += weft_clock_monotonic_ns() - since;
        }
        weft_plain_find(&all->plain, &weft_plain_numbers, key)->value = me->ops;
        weft_mutex_unlock(&all->mutex);
        weft_crew_note(me, since);
    }
    weft_fetch_add_relaxed(&all->waited_ns, waited);
    weft_fetch_add_relaxed(&all->lived_ns, weft_clock_monotonic_ns() - began);
}

static double sample_locked(void *ctx, unsigned contender) {
    locked *all = ctx;
    weft_crew crew = {waiters[contender].threads, all->seconds, 0, true, write_locked, all};
    weft_crew_result done;
    all->waited_ns = 0;
    all->lived_ns = 0;
    if (!weft_crew_run(&crew, &done) || all->lived_ns == 0) {
        return NAN;
    }
    unsigned taken = all->taken[contender]++;
    all->waiting[contender][taken] = 100 * (double)all->waited_ns / (double)all->lived_ns;
    all->longest[contender][taken] = done.max;
    return done.p99;
}

/* What is said of a mutex with so many threads. */
typedef struct waited {
    double p99[WAITERS];     /* ns */
    double longest[WAITERS]; /* ns */
    double waiting[WAITERS]; /* percent of the threads' time */
} waited;

static bool run_locked(weft_claim *claim, waited *said) {
    locked all = {.seconds = weft_claim_quick(claim) ? 0.01 : 0.12};
    unsigned rounds = weft_claim_quick(claim) ? 1 : WAIT_ROUNDS;
    weft_contest contest = {WAITERS, rounds, sample_locked, &all};
    if (!weft_mutex_init(&all.mutex)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A mutex could not be had.");
        return false;
    }
    weft_plain_open(&all.plain);
    for (uint64_t key = 1; key <= LOCK_KEYS; key++) {
        weft_plain_put(&all.plain, &weft_plain_numbers, key, 0);
    }
    bool right = weft_contest_run(&contest, said->p99);
    weft_plain_close(&all.plain);
    weft_mutex_destroy(&all.mutex);
    for (unsigned i = 0; i < WAITERS && right; i++) {
        said->waiting[i] = weft_bench_median((weft_bench_samples){all.waiting[i], rounds});
        said->longest[i] = weft_bench_median((weft_bench_samples){all.longest[i], rounds});
    }
    if (!right) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A thread could not be had.");
    }
    return right;
}

#define WRITING(count)                                                                             \
    {                                                                                              \
        .name = "lockfree, " #count " threads", .options = {.engine = WEFT_ENGINE_LOCKFREE},       \
        .threads = (count), .keys = LOCK_KEYS, .latency = true                                     \
    }

static const weft_mix writings[WAITERS] = {WRITING(1), WRITING(50), WRITING(100)};

/* With half of the claimed share, 89 %, it holds; with less than a tenth it does not. */
static weft_claim_verdict judge_waiting(double waiting) {
    return isnan(waiting)   ? WEFT_CLAIM_NOT_RUN
           : waiting >= 44  ? WEFT_CLAIM_HOLDS
           : waiting >= 8.9 ? WEFT_CLAIM_IN_PART
                            : WEFT_CLAIM_NOT;
}

static void tell_waited(weft_claim *claim, const waited *said) {
    for (unsigned i = 0; i < WAITERS; i++) {
        char name[64];
        snprintf(name, sizeof name, "mutex, %u threads, p99", waiters[i].threads);
        weft_claim_figure(claim, name, "ms", waiters[i].p99_ms, said->p99[i] / 1e6);
        snprintf(name, sizeof name, "mutex, %u threads, longest", waiters[i].threads);
        weft_claim_figure(claim, name, "ms", NAN, said->longest[i] / 1e6);
        snprintf(name, sizeof name, "mutex, %u threads, waiting for it", waiters[i].threads);
        weft_claim_figure(claim, name, "%", waiters[i].waiting, said->waiting[i]);
    }
    (void)weft_claim_go(claim);
    for (unsigned i = 0; i < WAITERS; i++) {
        char name[64];
        snprintf(name, sizeof name, "Go: Mutex, %u threads, p99", waiters[i].threads);
        weft_claim_claimed(claim, name, waiters[i].p99_ms);
        snprintf(name, sizeof name, "Go: Mutex, %u threads, waiting for it", waiters[i].threads);
        weft_claim_claimed(claim, name, waiters[i].waiting);
    }
}

/* Decides: the 99th percentile of a write with 100 threads over 1, 12.7 / 0.08, by the rule for
 * ratios; and the share of time in which they wait for the lock. For a mutex here and in Go. */
void weft_claim_write_p99(weft_claim *claim) {
    static const weft_mix_plan plan = {WAITERS, 3, 0.1};
    waited said;
    weft_mix_result free_of_locks[WAITERS];
    if (!run_locked(claim, &said) || !weft_mix_contest(claim, writings, &plan, free_of_locks)) {
        return;
    }
    for (unsigned i = 0; i < WAITERS; i++) {
        weft_mix_tell(claim, &writings[i],
                      &(weft_mix_figure){"p99", "ms", NAN, free_of_locks[i].p99 / 1e6});
    }
    tell_waited(claim, &said);
    double ours = said.p99[2] / said.p99[0];
    weft_claim_verdict mine =
        weft_claim_both(weft_claim_of_ratio(12.7 / 0.08, ours), judge_waiting(said.waiting[2]));
    weft_claim_verdict go = weft_mix_judge_go(
        claim, &(weft_mix_go){"Go: Mutex, 100 threads over 1, p99", "Go: Mutex, 100 threads, p99",
                              "Go: Mutex, 1 threads, p99", 12.7 / 0.08});
    double go_waiting = weft_claim_value(claim, "Go: Mutex, 100 threads, waiting for it");
    weft_claim_say(
        claim, weft_claim_both(mine, weft_claim_both(go, judge_waiting(go_waiting))),
        "With 100 threads instead of 1 the 99th percentile of a write under a mutex is %.1f times "
        "as "
        "long, %.0f claimed, and %.0f %% of the threads' time is waiting for it, up to %.0f ms at "
        "a "
        "time; in lockfree, which has no lock to wait for, it is %.1f times as long.",
        ours, 12.7 / 0.08, said.waiting[2], said.longest[2] / 1e6,
        free_of_locks[2].p99 / free_of_locks[0].p99);
}

/* ---- segments -------------------------------------------------------------------------------- */

enum { ONE_LOCK, SEGMENTS, LIST, SEGMENTED };

#define SEGMENT_THREADS 8

static const weft_mix segmented[SEGMENTED] = {
    {.name = "one lock (rwlock)",
     .options = {.engine = WEFT_ENGINE_RWLOCK},
     .threads = SEGMENT_THREADS,
     .keys = LOCK_KEYS,
     .reads = 0.5},
    {.name = "16 segments (sharded)",
     .options = {.engine = WEFT_ENGINE_SHARDED, .sharded = {.shards = 16, .shards_max = 16}},
     .threads = SEGMENT_THREADS,
     .keys = LOCK_KEYS,
     .reads = 0.5},
    {.name = "compare-and-swap and lists (list)",
     .options = {.engine = WEFT_ENGINE_LIST, .expected_entries = LOCK_KEYS},
     .threads = SEGMENT_THREADS,
     .keys = LOCK_KEYS,
     .reads = 0.5},
};

/* A step of the claimed order: at least a tenth faster than what it is said to be better than. */
static weft_claim_verdict judge_step(double slower, double faster) {
    return isnan(faster / slower)   ? WEFT_CLAIM_NOT_RUN
           : faster >= 1.1 * slower ? WEFT_CLAIM_HOLDS
                                    : WEFT_CLAIM_NOT;
}

/* Decides: the claim has no figures, but an order. 16 segments are at least a tenth faster than one
 * lock, and lists at least a tenth faster than 16 segments; likewise in Go. */
void weft_claim_segments(weft_claim *claim) {
    static const weft_mix_plan plan = {SEGMENTED, 7, 0.08};
    static const char *const twins[SEGMENTED] = {"Go: one lock", "Go: 16 segments",
                                                 "Go: compare-and-swap and lists"};
    weft_mix_result results[SEGMENTED];
    double rates[SEGMENTED];
    double go[SEGMENTED];
    if (!weft_mix_contest(claim, segmented, &plan, results)) {
        return;
    }
    (void)weft_claim_go(claim);
    for (int i = 0; i < SEGMENTED; i++) {
        rates[i] = results[i].rate / 1e6;
        go[i] = weft_claim_value(claim, twins[i]);
        weft_mix_tell(claim, &segmented[i], &(weft_mix_figure){NULL, "M/s", NAN, rates[i]});
    }
    weft_claim_verdict ours = weft_claim_both(judge_step(rates[ONE_LOCK], rates[SEGMENTS]),
                                              judge_step(rates[SEGMENTS], rates[LIST]));
    weft_claim_verdict theirs =
        weft_claim_both(judge_step(go[ONE_LOCK], go[SEGMENTS]), judge_step(go[SEGMENTS], go[LIST]));
    weft_claim_say(claim, weft_claim_both(ours, theirs),
                   "With %d threads, half of them writes, 16 segments do %.1f times as much as one "
                   "lock, and lists with compare-and-swap %.2f times as much as 16 segments.",
                   SEGMENT_THREADS, rates[SEGMENTS] / rates[ONE_LOCK],
                   rates[LIST] / rates[SEGMENTS]);
}
