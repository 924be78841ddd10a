/* SPDX-License-Identifier: MIT */
/* `weft bench growth` (fill from empty, and the worst operation meanwhile) and `weft bench oversub`
 * (more threads than processors). */
#include "bench.h"
#include "outcome.h"
#include "single.h"
#include <stdio.h>
#include <string.h>

#define OVERSUB "u64-oversub"

/* One workload by its name. */
static int run_named(weft_run *run, const char *name) {
    weft_workload workload;
    if (!weft_run_goes_on(run)) {
        return 0;
    }
    int code = weft_workload_find(&workload, name);
    return code != 0 ? code : weft_run_workload(run, &workload);
}

static int take(weft_run *run, unsigned sets, int argc, char **argv) {
    int code = weft_options_take(&run->options, sets, argc, argv);
    bool quick = run->options.quick;
    run->options.latency = true;
    run->rounds = run->options.rounds != 0 ? run->options.rounds : 3;
    run->seconds = run->options.seconds > 0 ? run->options.seconds : quick ? 0.1 : 0.5;
    return code;
}

int weft_bench_growth(int argc, char **argv) {
    weft_run run = {.options = {.command = "bench growth"}};
    int code = take(&run, 0, argc, argv);
    if (code >= 0) {
        return code;
    }
    code = weft_run_open(&run, "growth");
    code = code != 0 ? code : run_named(&run, "u64-growth-1m");
    if (code == 0 && !run.options.quick) {
        code = run_named(&run, "u64-growth-10m");
    }
    if (code == 0 && weft_run_goes_on(&run)) {
        weft_single how = {run.cells, run.controls, run.options.quick};
        weft_single_worst(&how);
    }
    run.partial |= weft_bench_stopped();
    code = code != 0 ? code : weft_outcome_finish(&run);
    weft_run_close(&run);
    return code;
}

static bool is_of(const json_t *cell, const char *workload) {
    return strcmp(json_string_value(json_object_get(cell, "workload")), workload) == 0;
}

static const json_t *median_with(const json_t *cells, int threads, const char *peer) {
    size_t i;
    size_t k;
    json_t *cell;
    json_t *result;
    json_array_foreach((json_t *)cells, i, cell) {
        json_array_foreach(json_object_get(cell, "results"), k, result) {
            if (is_of(cell, OVERSUB) &&
                json_integer_value(json_object_get(cell, "threads")) == threads &&
                strcmp(json_string_value(json_object_get(result, "peer")), peer) == 0) {
                return json_object_get(result, "median");
            }
        }
    }
    return NULL;
}

/* Each peer's rate as a share of its own with two threads. */
static void print_shares(const weft_run *run) {
    size_t i;
    json_t *cell;
    for (size_t p = 0; p < run->peers.count; p++) {
        const char *peer = run->peers.list[p].id;
        const json_t *two = median_with(run->cells, 2, peer);
        if (two == NULL) {
            continue;
        }
        printf("%-16s of its rate with 2 threads:", peer);
        json_array_foreach(run->cells, i, cell) {
            int threads = (int)json_integer_value(json_object_get(cell, "threads"));
            const json_t *median = median_with(run->cells, threads, peer);
            if (median != NULL && threads != 2 && is_of(cell, OVERSUB)) {
                printf("  %d: %.2f", threads, json_number_value(median) / json_number_value(two));
            }
        }
        printf("\n");
    }
}

/* In one round, and no sample is taken again: 1024 threads take seconds until each has had its
 * turn. The table is small enough for the engine that copies all of it at each write. Before the
 * other workload: who fails there is out. */
static int run_engines(weft_run *run) {
    uint32_t rounds = run->rounds;
    run->rounds = run->options.rounds != 0 ? rounds : 1;
    run->own_only = true;
    run->once = true;
    int code = run_named(run, "u64-engines");
    run->own_only = false;
    run->once = false;
    run->rounds = rounds;
    return code;
}

int weft_bench_oversub(int argc, char **argv) {
    weft_run run = {.options = {.command = "bench oversub"}};
    int code = take(&run, WEFT_OPTIONS_ENGINES, argc, argv);
    if (code >= 0) {
        return code;
    }
    if (run.options.engines) {
        run.options.peers = "none";
    }
    code = weft_run_open(&run, "oversub");
    code = code != 0 ? code : run_engines(&run);
    code = code != 0 || run.options.engines ? code : run_named(&run, OVERSUB);
    code = code != 0 ? code : weft_outcome_finish(&run);
    if (code == 0) {
        printf("\n");
        print_shares(&run);
    }
    weft_run_close(&run);
    return code;
}
