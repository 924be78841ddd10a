/* SPDX-License-Identifier: MIT */
/* `weft bench gates`: every figure that a design page promises, measured and judged. */
#include "base/exit.h"
#include "bench.h"
#include "outcome.h"
#include "single.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum gate_kind { CELL, MEAN, RATIO, MOST, SHARE, GAP } gate_kind;

typedef struct gate {
    gate_kind kind;
    const char *cell;
    double must;
    const char *aim;
    const char *what;
} gate;

#define WEFT_GATE(kind, cell, must, aim, what) {kind, cell, must, aim, what},

static const gate gates[] = {
#include "gates.def"
};

enum { GATES = sizeof gates / sizeof *gates };

static const double gap_allowed_ns = 200000;

/* What measures the cells that are no workloads. */
static const struct {
    const char *cell;
    void (*measure)(const weft_single *how);
} singles[] = {
    {"open-empty/1", weft_single_open},
    {"cold-start/1", weft_single_cold},
    {"growth-worst/1", weft_single_worst},
    {"bytes-per-entry-u64/1", weft_single_bytes_of_u64},
    {"bytes-per-entry-bytes/1", weft_single_bytes_of_bytes},
    {"batch-get/1", weft_single_batch},
    {"batch-get-10k/1", weft_single_batch_cached},
    {"batch-bytes/1", weft_single_batch_bytes},
    {"batch-flight/1", weft_single_flight},
    {"recording/2", weft_single_recording},
    {"recording-bytes/2", weft_single_recording_of_bytes},
    {"churn-u64/2", weft_single_churn_of_u64},
    {"churn-resident-u64/2", weft_single_churn_of_u64},
    {"churn-table-u64/2", weft_single_churn_of_u64},
    {"churn-bytes/2", weft_single_churn_of_bytes},
    {"churn-resident-bytes/2", weft_single_churn_of_bytes},
    {"churn-table-bytes/2", weft_single_churn_of_bytes},
    {"leave-resident-u64/1", weft_single_leave_of_u64},
    {"leave-table-u64/1", weft_single_leave_of_u64},
    {"leave-resident-bytes/1", weft_single_leave_of_bytes},
    {"leave-table-bytes/1", weft_single_leave_of_bytes},
    {"bad-hash-one-u64/1", weft_single_bad_hash},
    {"bad-hash-256-u64/1", weft_single_bad_hash},
    {"bad-hash-one-bytes/1", weft_single_bad_hash},
    {"bad-hash-256-bytes/1", weft_single_bad_hash},
    {"adversarial-u64/1", weft_single_adversarial},
    {"hot-key-u64/64", weft_single_hot_key},
    {"hot-key-bytes/64", weft_single_hot_key},
    {"threshold-read-mostly/1", weft_single_threshold},
    {"threshold-churn/1", weft_single_threshold},
    {"threshold-hot-rewrite/1", weft_single_threshold},
    {"threshold-cold-burst/1", weft_single_threshold},
    {"threshold-growing/1", weft_single_threshold},
    {"threshold-mixed/1", weft_single_threshold},
    {"threshold-overall/1", weft_single_threshold},
    {"cow-same/1", weft_single_alone},
    {"cow-plain/1", weft_single_alone},
    {"cow-inlined/1", weft_single_alone},
    {"rwlock-plain/1", weft_single_alone},
    {"rwlock-inlined/1", weft_single_alone},
    {"owner-plain/1", weft_single_alone},
    {"owner-inlined/1", weft_single_alone},
    {"tiny-plain/1", weft_single_alone},
    {"tiny-inlined/1", weft_single_alone},
    {"fixed-hot/1", weft_single_alone},
    {"owner-check-get/1", weft_single_owner_check},
    {"owner-check-put/1", weft_single_owner_check},
    {"owner-check-get-instructions/1", weft_single_owner_check},
    {"owner-check-put-instructions/1", weft_single_owner_check},
};

enum { SINGLES = sizeof singles / sizeof *singles };

static int single_of(const gate *g) {
    for (int i = 0; i < SINGLES; i++) {
        if (strcmp(singles[i].cell, g->cell) == 0) {
            return i;
        }
    }
    return -1;
}

/* With --only the gates whose name contains it. */
static bool is_asked(const weft_run *run, const gate *g) {
    return run->options.only == NULL || strstr(g->cell, run->options.only) != NULL;
}

static bool mean_is_asked(const weft_run *run) {
    for (int i = 0; i < GATES; i++) {
        if (gates[i].kind == MEAN && is_asked(run, &gates[i])) {
            return true;
        }
    }
    return false;
}

/* The mean needs all its cells. */
static bool is_needed(const weft_run *run, const gate *g) {
    return is_asked(run, g) || (g->kind == CELL && mean_is_asked(run));
}

static size_t workload_size(const gate *g) {
    return strcspn(g->cell, "/");
}

static bool same_workload(const gate *a, const gate *b) {
    size_t size = workload_size(a);
    return size == workload_size(b) && strncmp(a->cell, b->cell, size) == 0;
}

static void add_threads(weft_options *options, uint32_t threads) {
    for (uint32_t i = 0; i < options->thread_counts; i++) {
        if (options->threads[i] == threads) {
            return;
        }
    }
    options->threads[options->thread_counts++] = threads;
}

/* A share is one of the default engine's own rate: nobody else is needed. */
static void set_others_aside(weft_run *run, bool aside) {
    for (size_t i = 0; i < run->peers.count; i++) {
        weft_peer *peer = &run->peers.list[i];
        peer->set_aside = aside && strcmp(peer->id, WEFT_PEER_OWN) != 0;
    }
}

/* All cells of the workload of a gate that others need too, if it is the first that does. */
static int measure_workload(weft_run *run, const gate *first) {
    weft_workload workload;
    char name[64];
    run->options.thread_counts = 0;
    set_others_aside(run, first->kind == SHARE);
    for (int i = 0; i < GATES; i++) {
        if (same_workload(&gates[i], first) && is_needed(run, &gates[i])) {
            if (&gates[i] < first) {
                return 0; /* it has been measured */
            }
            if (gates[i].kind == SHARE) {
                add_threads(&run->options, 2);
            }
            add_threads(&run->options,
                        (uint32_t)strtoul(gates[i].cell + workload_size(first) + 1, NULL, 10));
        }
    }
    snprintf(name, sizeof name, "%.*s", (int)workload_size(first), first->cell);
    int code = weft_workload_find(&workload, name);
    return code != 0 ? code : weft_run_workload(run, &workload);
}

static const json_t *cell_of(const json_t *cells, const char *id) {
    size_t i;
    json_t *cell;
    json_array_foreach((json_t *)cells, i, cell) {
        if (strcmp(json_string_value(json_object_get(cell, "id")), id) == 0) {
            return cell;
        }
    }
    return NULL;
}

static int measure_all(weft_run *run) {
    weft_single how = {run->cells, run->controls, run->options.quick};
    int code = 0;
    for (int i = 0; i < GATES && code == 0 && weft_run_goes_on(run); i++) {
        const gate *g = &gates[i];
        if (!is_needed(run, g) || g->kind == MEAN || cell_of(run->cells, g->cell) != NULL) {
            continue;
        }
        weft_bench_progress("gate %s", g->cell);
        if (single_of(g) >= 0) {
            singles[single_of(g)].measure(&how);
        } else {
            code = measure_workload(run, g);
        }
    }
    return code;
}

/* The median of weft, or (position 1) of what a single figure is compared with. */
static double median_at(const json_t *cell, size_t position) {
    const json_t *median =
        json_object_get(json_array_get(json_object_get(cell, "results"), position), "median");
    return json_is_number(median) ? json_number_value(median) : NAN;
}

static double ratio_of(const json_t *cells, const char *id) {
    const json_t *ratio = json_object_get(cell_of(cells, id), "ratio");
    return json_is_number(ratio) ? json_number_value(ratio) : NAN;
}

static double own_median(const json_t *cells, const char *id) {
    const json_t *cell = cell_of(cells, id);
    size_t i;
    json_t *result;
    json_array_foreach(json_object_get(cell, "results"), i, result) {
        if (strcmp(json_string_value(json_object_get(result, "peer")), WEFT_PEER_OWN) == 0) {
            return json_number_value(json_object_get(result, "median"));
        }
    }
    return NAN;
}

static double mean_of_cells(const json_t *cells) {
    double logs = 0;
    int count = 0;
    for (int i = 0; i < GATES; i++) {
        if (gates[i].kind == CELL) {
            logs += log(ratio_of(cells, gates[i].cell));
            count++;
        }
    }
    return exp(logs / count);
}

/* What was measured for a gate; NaN: nothing. */
static double measured(const json_t *cells, const gate *g) {
    char two[64];
    const json_t *cell = cell_of(cells, g->cell);
    switch (g->kind) {
    case MEAN:
        return mean_of_cells(cells);
    case MOST:
        return own_median(cells, g->cell);
    case SHARE:
        snprintf(two, sizeof two, "%.*s/2", (int)workload_size(g), g->cell);
        return own_median(cells, g->cell) / own_median(cells, two);
    case GAP:
        return median_at(cell, 0) / median_at(cell, 1);
    default:
        return ratio_of(cells, g->cell);
    }
}

static bool is_reached(const json_t *cells, const gate *g, double value) {
    if (g->kind == GAP && median_at(cell_of(cells, g->cell), 0) <= gap_allowed_ns) {
        return true;
    }
    return g->kind == MOST || g->kind == GAP ? value <= g->must : value >= g->must;
}

/* Append the verdict on a gate; whether it is reached. */
static bool judge(const weft_run *run, const gate *g, json_t *into) {
    double value = measured(run->cells, g);
    bool reached = is_reached(run->cells, g, value);
    bool less = g->kind == MOST || g->kind == GAP;
    json_array_append_new(
        into, json_pack("{s:s,s:f,s:s,s:s,s:s,s:o,s:b}", "name", g->cell, "must", g->must, "better",
                        less ? "less" : "more", "aim", g->aim, "what", g->what, "measured",
                        isnan(value) ? json_null() : json_real(value), "ok", reached));
    return reached;
}

static void print_gates(const json_t *list) {
    size_t i;
    json_t *row;
    printf("%-28s %10s  %-24s %10s  %s\n", "gate", "must", "aim", "measured", "ok");
    json_array_foreach((json_t *)list, i, row) {
        const json_t *value = json_object_get(row, "measured");
        bool less = strcmp(json_string_value(json_object_get(row, "better")), "less") == 0;
        printf("%-28s %s %7.4g  %-24.24s ", json_string_value(json_object_get(row, "name")),
               less ? "<=" : ">=", json_number_value(json_object_get(row, "must")),
               json_string_value(json_object_get(row, "aim")));
        if (json_is_number(value)) {
            printf("%10.4g", json_number_value(value));
        } else {
            printf("%10s", "nothing");
        }
        printf("  %-3s %s\n", json_is_true(json_object_get(row, "ok")) ? "yes" : "NO",
               json_string_value(json_object_get(row, "what")));
    }
    printf("\n");
}

static int judge_all(const weft_run *run) {
    json_t *list = json_array();
    int missed = 0;
    for (int i = 0; i < GATES; i++) {
        if (is_asked(run, &gates[i])) {
            missed += !judge(run, &gates[i], list);
        }
    }
    weft_bench_progress_end();
    print_gates(list);
    json_t *result = weft_outcome_json(run);
    json_object_set_new(result, "gates", list);
    int code = weft_outcome_deliver(run, result);
    json_decref(result);
    return code == 0 && missed != 0 ? WEFT_EXIT_FINDING : code;
}

static int refuse_name(const weft_run *run) {
    for (int i = 0; i < GATES; i++) {
        if (is_asked(run, &gates[i])) {
            return 0;
        }
    }
    fprintf(stderr, "weft bench gates: --only '%s': no gate has this in its name; allowed:",
            run->options.only);
    for (int i = 0; i < GATES; i++) {
        fprintf(stderr, " %s", gates[i].cell);
    }
    fprintf(stderr, "\n");
    return WEFT_EXIT_USAGE;
}

/* What has to be measured while the process has one thread. */
static int measure_alone(const weft_run *run) {
    for (int i = 0; i < GATES; i++) {
        int single = single_of(&gates[i]);
        if (is_asked(run, &gates[i]) && single >= 0 &&
            singles[single].measure == weft_single_alone) {
            return weft_single_alone_measure(run->options.quick) ? 0 : WEFT_EXIT_ENVIRONMENT;
        }
    }
    return 0;
}

int weft_bench_gates(int argc, char **argv) {
    weft_run run = {.options = {.command = "bench gates"}};
    int code = weft_options_take(&run.options, WEFT_OPTIONS_ONLY, argc, argv);
    if (code >= 0) {
        return code;
    }
    run.rounds = run.options.rounds != 0 ? run.options.rounds : run.options.quick ? 3 : 7;
    run.seconds = run.options.seconds > 0 ? run.options.seconds : run.options.quick ? 0.1 : 0.5;
    code = refuse_name(&run);
    code = code != 0 ? code : measure_alone(&run);
    code = code != 0 ? code : weft_run_open(&run, "gates");
    code = code != 0 ? code : measure_all(&run);
    code = code != 0 ? code : judge_all(&run);
    weft_run_close(&run);
    return code;
}
