/* SPDX-License-Identifier: MIT */
/* The adaptive promotion threshold of engine "twotier" beside fixed ones, by one thread. Of each
 * workload and rule the quickest of some runs counts, in turns: a promotion more or less shows in
 * less time than what else runs on the machine takes. */
#include "threshold.h"
#include "bench.h"
#include "draw.h"
#include "figure.h"
#include "peer.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <weft/u64map.h>

enum { ENTRIES = 10000, QUICK_ROUNDS = 2, QUICK = 10, TURNS = 3 /* of a round */ };

/* A workload on its way. */
typedef struct load {
    weft_u64map map;
    uint64_t steps;
    uint64_t operations;
    uint64_t state; /* of the draw */
    uint64_t oldest;
    uint64_t newest; /* keys are oldest … newest - 1, but for those that were removed */
    uint64_t inserted;
    bool wrong;
} load;

static uint64_t below(load *l, uint64_t limit) {
    l->state += UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)(((unsigned __int128)weft_draw_mix(l->state) * limit) >> 64);
}

static void add_new(load *l) {
    l->wrong = weft_u64map_put(&l->map, l->newest, l->newest) != WEFT_OK || l->wrong;
    l->newest++;
    l->inserted++;
    l->operations++;
}

static void get_any(load *l) {
    uint64_t value = 0;
    uint64_t key = l->oldest + below(l, l->newest - l->oldest);
    int status = weft_u64map_get(&l->map, key, &value);
    l->wrong = (status != WEFT_OK && status != WEFT_NOT_FOUND) || l->wrong;
    l->operations++;
}

static void put_any(load *l, uint64_t keys) {
    l->wrong = weft_u64map_put(&l->map, below(l, keys), l->operations) != WEFT_OK || l->wrong;
    l->operations++;
}

static void fill(load *l, uint64_t entries) {
    while (l->newest < entries) {
        add_new(l);
    }
}

/* One new key in a thousand operations. */
static void read_mostly(load *l) {
    fill(l, ENTRIES);
    for (uint64_t i = 0; i < l->steps; i++) {
        (i % 1000 == 0 ? add_new : get_any)(l);
    }
}

/* The oldest key leaves for each new one; ENTRIES stay. */
static void churn(load *l) {
    fill(l, ENTRIES);
    for (uint64_t i = 0; i < l->steps / 10; i++) {
        add_new(l);
        l->wrong = weft_u64map_remove(&l->map, l->oldest++) != WEFT_OK || l->wrong;
        l->operations++;
        for (int k = 0; k < 8; k++) {
            get_any(l);
        }
    }
}

/* A thousand keys are rewritten, with one read in a hundred, and hardly any new key. */
static void hot_rewrite(load *l) {
    enum { HOT = 1000 };
    fill(l, HOT);
    for (uint64_t i = 0; i < l->steps; i++) {
        if (i % 2000 == 0) {
            add_new(l);
        } else if (i % 100 == 1) {
            get_any(l);
        } else {
            put_any(l, HOT);
        }
    }
}

/* Small maps that do not live long: this one begins anew with other keys. */
static void cold_burst(load *l) {
    enum { BURST = 2000, LIFE = 20000 };
    for (uint64_t i = 0; i < l->steps; i++) {
        if (i % LIFE == 0) {
            l->wrong = weft_u64map_clear(&l->map) != WEFT_OK || l->wrong;
            l->oldest = l->newest;
        }
        (i % LIFE < BURST || i % 16 == 0 ? add_new : get_any)(l);
    }
}

/* Always more keys; four reads for each. */
static void growing(load *l) {
    for (uint64_t i = 0; i < l->steps; i++) {
        (i % 5 == 0 ? add_new : get_any)(l);
    }
}

/* Twenty phases of four kinds. */
static void mixed(load *l) {
    fill(l, ENTRIES);
    for (uint64_t i = 0; i < l->steps; i++) {
        uint64_t kind = i * 20 / l->steps % 4;
        if (kind == 2) {
            put_any(l, l->newest);
        } else if (i % (kind == 0 ? 5000 : kind == 1 ? 40 : 10) == 0) {
            add_new(l);
        } else if (kind == 3 && i % 10 == 5) {
            (void)weft_u64map_remove(&l->map, below(l, l->newest)); /* perhaps it is gone */
            l->operations++;
        } else {
            get_any(l);
        }
    }
}

static const struct {
    const char *name;
    const char *about;
    void (*run)(load *l);
    uint64_t steps;
} workloads[THRESHOLD_WORKLOADS] = {
    {"read-mostly", "10 000 keys, one new one in 1000 operations", read_mostly, 1500000},
    {"churn", "10 000 keys, the oldest leaves for each new one, 8 reads", churn, 600000},
    {"hot-rewrite", "1000 keys rewritten, one new one in 2000 operations", hot_rewrite, 1500000},
    {"cold-burst", "2000 keys and 18 000 operations, then anew", cold_burst, 600000},
    {"growing", "always new keys, four reads for each", growing, 400000},
    {"mixed", "twenty phases of reads, few new keys, rewriting, coming and going", mixed, 800000},
};

const char *weft_threshold_name(unsigned workload) {
    return workloads[workload].name;
}

static double processor_ns(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

threshold_run weft_threshold_measure(unsigned workload, threshold_rule rule, bool quick) {
    static const uint32_t factors[RULES] = {1, 3, 5, 0};
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_TWOTIER};
    load l = {.steps = workloads[workload].steps / (quick ? QUICK : 1)};
    weft_map_stats stats;
    options.hash_seed = 1;
    options.twotier.promote_after = factors[rule];
    options.twotier.adaptive = rule == ADAPTIVE;
    if (weft_u64map_open(&l.map, &options) != WEFT_OK) {
        return (threshold_run){.op_ns = 0};
    }
    double began = processor_ns();
    workloads[workload].run(&l);
    double taken = processor_ns() - began;
    weft_u64map_stats_get(&l.map, &stats);
    (void)weft_u64map_close(&l.map);
    return (threshold_run){
        .op_ns = l.wrong ? 0 : taken / (double)l.operations,
        .promotions = stats.tiers.promotions,
        .amplification = 1 + (double)stats.tiers.copied_entries / (double)l.inserted,
    };
}

/* ---- the gates ------------------------------------------------------------------------------- */

/* What a rule took in each round. */
typedef struct taken {
    double op_ns[RULES][FIGURE_SAMPLES];
    double least[RULES];
    size_t rounds;
    bool wrong;
} taken;

static void take_turn(taken *t, unsigned workload, unsigned turn, bool quick) {
    for (unsigned i = 0; i < RULES; i++) {
        unsigned rule = (i + turn + (unsigned)t->rounds) % RULES;
        double op_ns = weft_threshold_measure(workload, (threshold_rule)rule, quick).op_ns;
        double *here = &t->op_ns[rule][t->rounds];
        *here = turn == 0 || op_ns < *here ? op_ns : *here;
        t->wrong = t->wrong || op_ns == 0;
    }
}

/* A processor may be slow for some tenths of a second, and then quick for one rule alone. */
static void take_round(taken *t, unsigned workload, bool quick) {
    for (unsigned turn = 0; turn < (quick ? 1 : TURNS); turn++) {
        take_turn(t, workload, turn, quick);
    }
    for (unsigned rule = 0; rule < RULES; rule++) {
        double op_ns = t->op_ns[rule][t->rounds];
        t->least[rule] = t->rounds == 0 || op_ns < t->least[rule] ? op_ns : t->least[rule];
    }
    t->rounds++;
}

static threshold_rule best_fixed(const double *values) {
    unsigned best = 0;
    for (unsigned rule = 1; rule < THRESHOLD_FIXED; rule++) {
        best = values[rule] < values[best] ? rule : best;
    }
    return (threshold_rule)best;
}

/* `figures`: the adaptive one's, and what it is compared with. */
static void add_cell(const weft_single *how, const cell_text *text, const figure figures[2],
                     double ratio) {
    weft_figure_add_control(how, figures[1].peer, "the best of the fixed thresholds 1, 3 and 5");
    weft_figure_add_cell(how, text, &figures[0], &figures[1]);
    json_t *cell = json_array_get(how->cells, json_array_size(how->cells) - 1);
    json_object_set_new(cell, "ratio", json_real(ratio));
}

static void add_workload(const weft_single *how, unsigned workload, const taken *t) {
    char id[64];
    threshold_rule best = best_fixed(t->least);
    figure figures[2] = {{.peer = WEFT_PEER_OWN, .count = t->rounds},
                         {.peer = "fixed-threshold", .count = t->rounds}};
    snprintf(id, sizeof id, "threshold-%s/1", workloads[workload].name);
    cell_text text = {id, workloads[workload].about, "u64", "mean operation", "ns", "less", 0};
    memcpy(figures[0].values, t->op_ns[ADAPTIVE], sizeof figures[0].values);
    memcpy(figures[1].values, t->op_ns[best], sizeof figures[1].values);
    add_cell(how, &text, figures, t->least[best] / t->least[ADAPTIVE]);
}

/* Each rule's mean over the workloads, in units of the best fixed one of each. */
static void add_overall(const weft_single *how, const taken *all) {
    static const cell_text text = {"threshold-overall/1",
                                   "geometric mean of six workloads, 1: the best fixed one of each",
                                   "u64",
                                   "mean operation",
                                   "times the best",
                                   "less",
                                   0};
    double means[RULES];
    for (unsigned rule = 0; rule < RULES; rule++) {
        double logs = 0;
        for (int i = 0; i < THRESHOLD_WORKLOADS; i++) {
            logs += log(all[i].least[rule] / all[i].least[best_fixed(all[i].least)]);
        }
        means[rule] = exp(logs / THRESHOLD_WORKLOADS);
    }
    threshold_rule best = best_fixed(means);
    figure figures[2] = {{.peer = WEFT_PEER_OWN, .values = {means[ADAPTIVE]}, .count = 1},
                         {.peer = "fixed-threshold", .values = {means[best]}, .count = 1}};
    add_cell(how, &text, figures, means[best] / means[ADAPTIVE]);
}

void weft_single_threshold(const weft_single *how) {
    taken all[THRESHOLD_WORKLOADS] = {{.rounds = 0}};
    size_t rounds = how->quick ? QUICK_ROUNDS : FIGURE_SAMPLES;
    bool wrong = false;
    for (unsigned i = 0; i < THRESHOLD_WORKLOADS && !weft_bench_stopped(); i++) {
        while (all[i].rounds < rounds && !weft_bench_stopped()) {
            weft_bench_progress("threshold, %s: round %zu", workloads[i].name, all[i].rounds + 1);
            take_round(&all[i], i, how->quick);
        }
        wrong = wrong || all[i].wrong;
    }
    if (wrong || weft_bench_stopped()) {
        return; /* without the cells the gates are not reached */
    }
    for (unsigned i = 0; i < THRESHOLD_WORKLOADS; i++) {
        add_workload(how, i, &all[i]);
    }
    add_overall(how, all);
}
