/* SPDX-License-Identifier: MIT */
#include "mix.h"
#include "base/lock.h"
#include "bench/driver/draw.h"
#include "bench/driver/stats.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAPS = 64, RANKS = 1 << 16, TIMED_ONE = 8, QUICK_ROUNDS = 1 };

#define QUICK_SHARE 0.06 /* of the seconds of a sample */

/* A mix at work. */
typedef struct running {
    const weft_mix *mix;
    unsigned maps;
    weft_either map[MAPS];
    const uint32_t *ranks; /* RANKS keys, drawn by their popularity; NULL: all the same */
    uint64_t lived_ns;     /* of all threads */
    uint64_t blocked_ns;
} running;

/* ---- what a member does ---------------------------------------------------------------------- */

/* Nanoseconds in which this thread ran or was ready to; 0: the system does not tell. */
static uint64_t not_blocked_ns(void) {
    struct timespec ran;
    unsigned long long ready = 0;
    FILE *stream = fopen("/proc/thread-self/schedstat", "r");
    bool told = stream != NULL && fscanf(stream, "%*u %llu", &ready) == 1;
    if (stream != NULL) {
        (void)fclose(stream);
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
    return told ? (uint64_t)ran.tv_sec * 1000000000 + (uint64_t)ran.tv_nsec + ready : 0;
}

static uint64_t next_key(const running *r, const weft_crew_member *me, uint64_t random) {
    uint64_t key =
        r->ranks != NULL ? r->ranks[random % RANKS] : (random & UINT32_MAX) * r->mix->keys >> 32;
    return r->mix->own_map ? key - key % r->maps + me->index % r->maps : key;
}

static void operate(running *r, uint64_t key, bool read) {
    weft_either *map = &r->map[key % r->maps];
    uint64_t value;
    if (read) {
        (void)weft_either_get(map, key, &value);
    } else if (r->mix->add) {
        (void)weft_u64map_fetch_add(&map->numbers, key, 1, NULL);
    } else {
        (void)weft_either_put(map, key, key);
    }
}

static void go_on(weft_crew_member *me) {
    running *r = me->ctx;
    const weft_mix *mix = r->mix;
    uint64_t reads = (uint64_t)(mix->reads * 0x1p32);
    if (mix->pinned) {
        weft_crew_pin(me);
    }
    while (weft_crew_next(me)) {
        uint64_t random = weft_crew_random(me);
        uint64_t key = next_key(r, me, random);
        bool read = random >> 32 < reads;
        if (me->latency != NULL && me->ops % TIMED_ONE == 0) {
            uint64_t since = weft_clock_monotonic_ns();
            operate(r, key, read);
            weft_crew_note(me, since);
        } else {
            operate(r, key, read);
        }
        if (mix->yield_every != 0 && me->ops % mix->yield_every == 0) {
            weft_yield();
        }
    }
}

static void work(weft_crew_member *me) {
    running *r = me->ctx;
    uint64_t began = weft_clock_monotonic_ns();
    uint64_t before = r->mix->blocked ? not_blocked_ns() : 0;
    go_on(me);
    if (before != 0) {
        uint64_t lived = weft_clock_monotonic_ns() - began;
        uint64_t active = not_blocked_ns() - before;
        weft_fetch_add_relaxed(&r->lived_ns, lived);
        weft_fetch_add_relaxed(&r->blocked_ns, active < lived ? lived - active : 0);
    }
}

/* ---- one sample ------------------------------------------------------------------------------ */

static bool open_maps(running *r) {
    bool right = true;
    for (unsigned i = 0; i < r->maps; i++) {
        right = weft_either_open(&r->map[i], r->mix->value_bytes, &r->mix->options) && right;
    }
    for (uint64_t key = 0; key < r->mix->keys && right; key++) {
        right = weft_either_put(&r->map[key % r->maps], key, 0);
    }
    return right;
}

static void draw_ranks(const weft_mix *mix, uint32_t *ranks) {
    weft_draw draw;
    weft_workload popular = {
        .keys = mix->keys, .distribution = WEFT_ZIPF, .exponent = mix->zipf, .seed = 1};
    weft_draw_init(&draw, &popular);
    for (unsigned i = 0; i < RANKS; i++) {
        ranks[i] = (uint32_t)weft_draw_rank(&draw, WEFT_TRACE_GET);
    }
}

static bool run_mix(const weft_mix *mix, double seconds, weft_mix_result *result) {
    static uint32_t ranks[RANKS]; /* too large for a stack */
    running r = {.mix = mix, .maps = mix->maps != 0 ? mix->maps : 1};
    weft_crew crew = {mix->threads, seconds, 0, mix->latency, work, &r};
    weft_crew_result done;
    if (mix->zipf > 0) {
        draw_ranks(mix, ranks);
        r.ranks = ranks;
    }
    bool right = open_maps(&r) && weft_crew_run(&crew, &done) && done.ops != 0;
    for (unsigned i = 0; i < r.maps; i++) {
        weft_either_close(&r.map[i]);
    }
    if (!right) {
        return false;
    }
    double ops = (double)done.ops;
    *result = (weft_mix_result){
        .rate = done.rate,
        .ns = done.cpu_seconds * 1e9 / ops,
        .p50 = done.p50,
        .p99 = done.p99,
        .blocked = r.lived_ns != 0 ? (double)r.blocked_ns / (double)r.lived_ns : NAN,
        .switches = (double)(done.waits + done.preempted) * 1000 / ops,
        .mean_latency = mix->threads * 1e9 / done.rate,
    };
    return true;
}

/* ---- in turns -------------------------------------------------------------------------------- */

typedef struct contest_state {
    const weft_mix *mixes;
    double seconds;
    unsigned taken[WEFT_CONTEST_MOST];
    weft_mix_result samples[WEFT_CONTEST_MOST][WEFT_CONTEST_ROUNDS];
} contest_state;

static double sample_mix(void *ctx, unsigned contender) {
    contest_state *state = ctx;
    weft_mix_result *into = &state->samples[contender][state->taken[contender]++];
    return run_mix(&state->mixes[contender], state->seconds, into) ? into->rate : NAN;
}

/* Of the double at `offset` in each of the samples. */
static double median_at(const weft_mix_result *samples, unsigned count, size_t offset) {
    double values[WEFT_CONTEST_ROUNDS];
    for (unsigned i = 0; i < count; i++) {
        memcpy(&values[i], (const char *)&samples[i] + offset, sizeof values[i]);
    }
    return weft_bench_median((weft_bench_samples){values, count});
}

bool weft_mix_contest(weft_claim *claim, const weft_mix *mixes, const weft_mix_plan *plan,
                      weft_mix_result *results) {
    static contest_state state; /* too large for a stack */
    bool quick = weft_claim_quick(claim);
    unsigned rounds = quick ? QUICK_ROUNDS : plan->rounds;
    double medians[WEFT_CONTEST_MOST];
    weft_contest contest = {plan->count, rounds, sample_mix, &state};
    state = (contest_state){.mixes = mixes,
                            .seconds = quick ? plan->seconds * QUICK_SHARE : plan->seconds};
    if (!weft_contest_run(&contest, medians)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map or a thread could not be had.");
        return false;
    }
    for (unsigned i = 0; i < plan->count; i++) {
        const weft_mix_result *samples = state.samples[i];
        for (size_t at = 0; at < sizeof *results; at += sizeof(double)) {
            double median = median_at(samples, rounds, at);
            memcpy((char *)&results[i] + at, &median, sizeof median);
        }
    }
    return true;
}

void weft_mix_tell(weft_claim *claim, const weft_mix *mix, const weft_mix_figure *figure) {
    char name[160];
    bool more = figure->what != NULL;
    snprintf(name, sizeof name, "%s%s%s", mix->name, more ? ", " : "", more ? figure->what : "");
    weft_claim_figure(claim, name, figure->unit, figure->claimed, figure->measured);
}

weft_claim_verdict weft_mix_judge_go(weft_claim *claim, const weft_mix_go *go) {
    double ratio = weft_claim_value(claim, go->over) / weft_claim_value(claim, go->under);
    if (!isnan(ratio)) {
        weft_claim_figure(claim, go->name, "ratio", NAN, ratio);
    }
    return weft_claim_go_ratio(claim, go->name, go->claimed);
}
