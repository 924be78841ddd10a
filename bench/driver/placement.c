/* SPDX-License-Identifier: MIT */
/* Two threads, each on a processor of its own, first give one line to each other in turns, then
 * count as fast as they can. */
#include "placement.h"
#include "base/clock.h"
#include "base/platform.h"
#include "stats.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    BATCHES = 4, /* the fastest counts: a thread that was preempted says nothing of lines */
    TURNS = 300, /* of each of the two, in a batch */
    LOOPS = 8,   /* the median counts */
    STEPS = 20000
};

/* Of the probes of some hours on a two-core virtual machine (Zen 4): cores that share a cache hand
 * a line over in 25 to 48 ns, cores that do not in 155 to 200; two threads of one core need exactly
 * twice as long for a step, and threads whose cores somebody else's machine uses too, 1.1 to 1.6
 * times as long. */
static const double apart_factor = 2.5;
static const double shared_factor = 1.25;

typedef struct player {
    pthread_t thread;
    cpu_set_t processor;
    _Atomic uint32_t *ball; /* even: the first player's turn */
    uint32_t first;         /* 0 or 1: the counts that it may take on */
    double turn, step;      /* out: ns */
} player;

/* Hand over when the count has come to `from`, `from` + 2, … */
static void play(const player *p, uint32_t from) {
    for (uint32_t i = 0; i < TURNS; i++) {
        /* Acquire and release: as a lock that is handed over. */
        while (atomic_load_explicit(p->ball, memory_order_acquire) != from + 2 * i) {
        }
        atomic_store_explicit(p->ball, from + 2 * i + 1, memory_order_release);
    }
}

/* Six chains of additions: as many as a core can add at once. */
static void count_up(void) {
    uint64_t n[6] = {0};
    for (uint32_t i = 0; i < STEPS; i++) {
        for (uint32_t k = 0; k < 12; k++) {
            n[k % 6]++;
            __asm__ volatile("" : "+r"(n[k % 6]));
        }
    }
}

static void *run(void *argument) {
    player *p = argument;
    double loops[LOOPS];
    sched_setaffinity(0, sizeof p->processor, &p->processor);
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        uint64_t began = weft_clock_monotonic_ns();
        play(p, batch * 2 * TURNS + p->first);
        double turn = (double)(weft_clock_monotonic_ns() - began) / (2 * TURNS);
        p->turn = batch == 0 || turn < p->turn ? turn : p->turn;
    }
    for (uint32_t i = 0; i < LOOPS; i++) {
        uint64_t began = weft_clock_monotonic_ns();
        count_up();
        loops[i] = (double)(weft_clock_monotonic_ns() - began) / STEPS;
    }
    p->step = weft_bench_median((weft_bench_samples){loops, LOOPS});
    return NULL;
}

/* The first two processors of a set, each as a set. */
static bool choose_two(const cpu_set_t *allowed, player players[2]) {
    int found = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
        if (CPU_ISSET(cpu, allowed)) {
            CPU_ZERO(&players[found].processor);
            CPU_SET(cpu, &players[found].processor);
            found++;
        }
    }
    return found == 2;
}

weft_placement weft_placement_take(void) {
    _Alignas(2 * WEFT_CACHE_LINE) struct {
        _Atomic uint32_t ball;
        char alone[2 * WEFT_CACHE_LINE - sizeof(uint32_t)];
    } table = {.ball = 0};
    player players[2] = {{.ball = &table.ball, .first = 0}, {.ball = &table.ball, .first = 1}};
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || !choose_two(&allowed, players) ||
        pthread_create(&players[1].thread, NULL, run, &players[1]) != 0) {
        return (weft_placement){0, 0};
    }
    run(&players[0]);
    pthread_join(players[1].thread, NULL);
    sched_setaffinity(0, sizeof allowed, &allowed);
    double step = players[0].step < players[1].step ? players[0].step : players[1].step;
    return (weft_placement){players[0].turn, step};
}

static double least(double a, double b) {
    return b > 0 && (b < a || !(a > 0)) ? b : a;
}

static double most(double a, double b) {
    return a > b ? a : b;
}

weft_placement weft_placement_best(weft_placement a, weft_placement b) {
    return (weft_placement){least(a.handover, b.handover), least(a.step, b.step)};
}

weft_placement weft_placement_worst(weft_placement a, weft_placement b) {
    return (weft_placement){most(a.handover, b.handover), most(a.step, b.step)};
}

bool weft_placement_is_moved(weft_placement probe, weft_placement best) {
    return (best.handover > 0 && probe.handover > best.handover * apart_factor) ||
           (best.step > 0 && probe.step > best.step * shared_factor);
}
