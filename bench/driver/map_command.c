/* SPDX-License-Identifier: MIT */
/* `weft bench` (the verdict) and `weft bench map` (any cells). */
#include "base/cpu.h"
#include "base/exit.h"
#include "bench.h"
#include "outcome.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERDICT_SECONDS 113.0 /* the promise is two minutes */
#define QUICK_SECONDS 20.0
#define VERDICT_PATIENCE 10.0 /* a peer that hangs must not eat up the two minutes */

/* The cells of these workloads, delivered. */
static int measure(weft_run *run, const weft_workload *list, size_t count) {
    int code = 0;
    for (size_t i = 0; i < count && code == 0 && weft_run_goes_on(run); i++) {
        code = weft_run_workload(run, &list[i]);
    }
    return code != 0 ? code : weft_outcome_finish(run);
}

/* Two minutes are for maps that somebody would use: without --peers neither weft's other engines
 * nor controls without a map. */
static void leave_out(weft_peers *peers) {
    size_t kept = 0;
    for (size_t i = 0; i < peers->count; i++) {
        const char *id = peers->list[i].id;
        const char *end = strstr(id, "-empty");
        bool empty = end != NULL && strcmp(end, "-empty") == 0;
        if (strcmp(id, WEFT_PEER_OWN) == 0 || (!weft_peer_is_own(&peers->list[i]) && !empty)) {
            peers->list[kept++] = peers->list[i];
        }
    }
    peers->count = kept;
}

static int by_filling(const void *a, const void *b) {
    double first = weft_workload_filling(a);
    double second = weft_workload_filling(b);
    return (first > second) - (first < second);
}

/* Workloads of the verdict to the front, small maps first: there it costs least to find out which
 * peers have no chance, so that fewer large maps are filled. */
static size_t keep_verdict(weft_workloads *all) {
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i].verdict) {
            weft_workload chosen = all->list[i];
            all->list[i] = all->list[kept];
            all->list[kept++] = chosen;
        }
    }
    qsort(all->list, kept, sizeof *all->list, by_filling);
    return kept;
}

static int run_verdict(weft_run *run) {
    weft_workloads all;
    int code = weft_workloads_read(&all);
    size_t kept = code == 0 ? keep_verdict(&all) : 0;
    for (size_t i = 0; i < kept; i++) {
        weft_run_expect(run, &all.list[i]);
    }
    run->options.threads[0] = 2;
    run->options.thread_counts = 1;
    code = code != 0 ? code : weft_run_open(run, "map");
    if (code == 0 && run->options.peers == NULL) {
        leave_out(&run->peers);
    }
    code = code != 0 ? code : measure(run, all.list, kept);
    weft_workloads_free(&all);
    return code;
}

int weft_bench_verdict(int argc, char **argv) {
    weft_run run = {.options = {.command = "bench"}};
    int code = weft_options_take(&run.options, 0, argc, argv);
    if (code >= 0) {
        return code;
    }
    run.budget = run.options.quick ? QUICK_SECONDS : VERDICT_SECONDS;
    if (run.options.seconds > 0) {
        run.budget = 0;
    }
    if (run.options.patience == 0) {
        run.options.patience = VERDICT_PATIENCE;
    }
    run.rounds = run.options.rounds != 0 ? run.options.rounds : 5;
    run.seconds = run.options.seconds > 0 ? run.options.seconds : 1;
    code = run_verdict(&run);
    weft_run_close(&run);
    return code;
}

static int read_named(const weft_options *options, weft_workload *list) {
    int code = 0;
    for (uint32_t i = 0; i < options->workload_count && code == 0; i++) {
        code = weft_workload_find(&list[i], options->workloads[i]);
    }
    return code;
}

int weft_bench_map(int argc, char **argv) {
    static weft_workload named[WEFT_OPTION_WORKLOADS];
    weft_run run = {.options = {.command = "bench map"}};
    weft_workloads all = {0};
    int code = weft_options_take(&run.options, WEFT_OPTIONS_CELLS, argc, argv);
    if (code >= 0) {
        return code;
    }
    bool any = run.options.workload_count != 0;
    run.rounds = run.options.rounds != 0 ? run.options.rounds : run.options.quick ? 3 : 5;
    run.seconds = run.options.seconds > 0 ? run.options.seconds : run.options.quick ? 0.1 : 0.5;
    code = any ? read_named(&run.options, named) : weft_workloads_read(&all);
    code = code != 0 ? code : weft_run_open(&run, "map");
    if (code == 0) {
        code = any ? measure(&run, named, run.options.workload_count)
                   : measure(&run, all.list, all.count);
    }
    weft_workloads_free(&all);
    weft_run_close(&run);
    return code;
}
