/* SPDX-License-Identifier: MIT */
/* Claims about cache lines that several processors write. Times are processor time: an operation
 * costs what it keeps a processor from doing else, however many threads share the processors. */
#include "base/memory.h"
#include "mix.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LINES_ROUNDS = 5, CREWS = 4 };

#define LINES_SECONDS 0.08

/* Threads that add to words: member i to words[i * stride]. */
typedef struct adding {
    const char *name;
    unsigned threads;
    unsigned stride; /* in words; 0: all to one */
} adding;

typedef struct adders {
    const adding *list;
    uint64_t *words;
    double seconds;
    size_t stride; /* of the one at work */
} adders;

static void add(weft_crew_member *me) {
    adders *all = me->ctx;
    uint64_t *word = &all->words[me->index * all->stride];
    weft_crew_pin(me); /* two that take turns on one processor share nothing */
    while (weft_crew_next(me)) {
        weft_fetch_add_relaxed(word, 1);
    }
}

static double sample_adding(void *ctx, unsigned contender) {
    adders *all = ctx;
    const adding *one = &all->list[contender];
    weft_crew crew = {.threads = one->threads, .seconds = all->seconds, .work = add, .ctx = all};
    weft_crew_result done;
    all->stride = one->stride;
    return weft_crew_run(&crew, &done) && done.ops != 0 ? done.cpu_seconds * 1e9 / (double)done.ops
                                                        : NAN;
}

/* Nanoseconds of an addition, in turns. False, and the claim says so, if they cannot be had. */
static bool run_adders(weft_claim *claim, const adding *list, unsigned count, double *ns) {
    size_t bytes = (size_t)WEFT_CREW_LINES * CREWS;
    adders all = {.list = list, .seconds = weft_claim_quick(claim) ? 0.005 : LINES_SECONDS};
    unsigned rounds = weft_claim_quick(claim) ? 1 : LINES_ROUNDS;
    weft_contest contest = {count, rounds, sample_adding, &all};
    all.words = weft_memory_alloc(NULL, bytes, WEFT_CREW_LINES);
    bool right = all.words != NULL;
    if (right) {
        memset(all.words, 0, bytes);
        right = weft_contest_run(&contest, ns);
    }
    weft_memory_free(NULL, all.words, bytes, WEFT_CREW_LINES);
    if (!right) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "Memory or a thread could not be had.");
    }
    return right;
}

/* ---- false-sharing --------------------------------------------------------------------------- */

/* Decides: an addition on a shared line over one on a line of its own, 137 / 42, by the rule for
 * ratios, with bare words and in Go. */
void weft_claim_false_sharing(weft_claim *claim) {
    static const adding list[] = {{"a line each", 2, WEFT_CREW_LINES / sizeof(uint64_t)},
                                  {"one line", 2, 1}};
    double ns[2];
    if (!run_adders(claim, list, 2, ns)) {
        return;
    }
    double claimed = 137.0 / 42;
    double ratio = ns[1] / ns[0];
    weft_claim_figure(claim, "2 words, a line each", "ns", 42, ns[0]);
    weft_claim_figure(claim, "2 words, one line", "ns", 137, ns[1]);
    weft_claim_figure(claim, "throughput lost", "%", 69, 100 * (1 - ns[0] / ns[1]));
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: 2 words, a line each", 42);
    weft_claim_claimed(claim, "Go: 2 words, one line", 137);
    weft_claim_verdict go = weft_mix_judge_go(
        claim, &(weft_mix_go){"Go: one line over a line each", "Go: 2 words, one line",
                              "Go: 2 words, a line each", claimed});
    weft_claim_say(
        claim, weft_claim_both(weft_claim_of_ratio(claimed, ratio), go),
        "On one line two counters take %.1f times as long as on a line each, %.1f claimed; "
        "all that weft's engines write often has a line of its own, and claim shards-64 "
        "shows what that brings a whole map.",
        ratio, claimed);
}

/* ---- line-bouncing --------------------------------------------------------------------------- */

enum { BOUNCE_ONE, BOUNCE_FOUR, BOUNCE_ENGINES = 4 };

#define BOUNCE_BY(called, ID, count, said)                                                         \
    {                                                                                              \
        .name = #called said, .options = {.engine = WEFT_ENGINE_##ID}, .threads = (count),         \
        .keys = 1, .pinned = true                                                                  \
    }
#define BOUNCE(called, ID)                                                                         \
    BOUNCE_BY(called, ID, 1, ", 1 thread"), BOUNCE_BY(called, ID, 4, ", 4 threads")

static const weft_mix bounces[] = {BOUNCE(lockfree, LOCKFREE), BOUNCE(twotier, TWOTIER),
                                   BOUNCE(sharded, SHARDED), BOUNCE(rwlock, RWLOCK)};

enum { BOUNCES = sizeof bounces / sizeof *bounces };

/* Decides: what a write of one word, and of one key of sync.Map in Go, costs with 4 threads over 1,
 * 28.7 / 3.2, by the rule for ratios. */
void weft_claim_line_bouncing(weft_claim *claim) {
    static const adding list[] = {{"one word, 1 thread", 1, 0}, {"one word, 4 threads", 4, 0}};
    static const weft_mix_plan plan = {BOUNCES, 5, 0.04};
    weft_mix_result results[BOUNCES];
    double ns[2];
    if (!run_adders(claim, list, 2, ns) || !weft_mix_contest(claim, bounces, &plan, results)) {
        return;
    }
    double claimed = 28.7 / 3.2;
    weft_claim_figure(claim, list[0].name, "ns", 3.2, ns[BOUNCE_ONE]);
    weft_claim_figure(claim, list[1].name, "ns", 28.7, ns[BOUNCE_FOUR]);
    for (unsigned i = 0; i < BOUNCES; i++) {
        weft_mix_tell(claim, &bounces[i], &(weft_mix_figure){NULL, "ns", NAN, results[i].ns});
    }
    (void)weft_claim_go(claim);
    double word = ns[BOUNCE_FOUR] / ns[BOUNCE_ONE];
    weft_claim_verdict go = weft_mix_judge_go(
        claim, &(weft_mix_go){"Go: sync.Map, 4 threads over 1", "Go: sync.Map, 4 threads",
                              "Go: sync.Map, 1 thread", claimed});
    weft_claim_say(claim, weft_claim_both(weft_claim_of_ratio(claimed, word), go),
                   "With 4 threads instead of 1 a write of one word takes %.1f times as long, %.1f "
                   "claimed; of one key in lockfree %.1f times, twotier %.1f, sharded "
                   "%.1f, rwlock %.1f.",
                   word, claimed, results[1].ns / results[0].ns, results[3].ns / results[2].ns,
                   results[5].ns / results[4].ns, results[7].ns / results[6].ns);
}
