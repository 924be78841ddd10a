/* SPDX-License-Identifier: MIT */
/* From samples to the result, and from the result to a table. */
#include "bench.h"
#include "serve_run.h"
#include "stats.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIGURE(name) offsetof(weft_serve_sample, name)

/* What a workload gives cells for. */
typedef struct measure {
    const char *suffix; /* of the cell's id */
    const char *name;
    const char *unit;
    const char *about; /* behind that of the workload; "" */
    size_t figure;
    bool more; /* is better */
    bool of_closed;
    bool of_open;
} measure;

static const measure measures[] = {
    {"operations", "operations", "1/s", "", FIGURE(operations), true, true, false},
    {"cpu", "cpu", "ns", ": processor time of the server a request", FIGURE(cpu), false, true,
     true},
    {"p50", "latency", "ns", ": median latency", FIGURE(p50), false, false, true},
    {"p99", "latency", "ns", ": latency, 99 of 100", FIGURE(p99), false, false, true},
    {"p99.9", "latency", "ns", ": latency, 999 of 1000", FIGURE(p999), false, false, true},
};

enum { MEASURES = sizeof measures / sizeof *measures };

static double figure_of(const weft_serve_sample *sample, size_t figure) {
    return *(const double *)((const char *)sample + figure);
}

typedef double weft_serve_values[WEFT_SERVE_ROUNDS_MOST];

static weft_bench_samples values_of(const weft_serve_results *results, size_t figure,
                                    weft_serve_values values) {
    for (size_t i = 0; i < results->count; i++) {
        values[i] = figure_of(&results->samples[i], figure);
    }
    return (weft_bench_samples){values, results->count};
}

static double median_of(const weft_serve_results *results, size_t figure) {
    weft_serve_values values;
    return weft_bench_median(values_of(results, figure, values));
}

static double extreme_of(weft_bench_samples samples, bool greatest) {
    double found = samples.values[0];
    for (size_t i = 1; i < samples.count; i++) {
        found = greatest ? fmax(found, samples.values[i]) : fmin(found, samples.values[i]);
    }
    return found;
}

static bool has_figures(const weft_serve_bench *bench, const weft_serve_cell *cell, size_t which) {
    return bench->servers[which].status == WEFT_SERVE_OK && cell->results[which].count != 0;
}

/* ---------------------------------------------------------------- cells */

static json_t *samples_json(weft_bench_samples samples) {
    json_t *list = json_array();
    for (size_t i = 0; i < samples.count; i++) {
        json_array_append_new(list, json_real(samples.values[i]));
    }
    return list;
}

static uint64_t sum_of(const weft_serve_results *results, size_t figure) {
    uint64_t sum = 0;
    for (size_t i = 0; i < results->count; i++) {
        sum += *(const uint64_t *)((const char *)&results->samples[i] + figure);
    }
    return sum;
}

static json_t *latency_json(const weft_serve_results *results) {
    return json_pack("{s:I,s:f,s:f,s:f,s:f,s:f}", "samples",
                     (json_int_t)sum_of(results, FIGURE(replies)), "p50",
                     median_of(results, FIGURE(p50)), "p90", median_of(results, FIGURE(p90)), "p99",
                     median_of(results, FIGURE(p99)), "p999", median_of(results, FIGURE(p999)),
                     "max", median_of(results, FIGURE(most)));
}

static json_t *result_json(const char *id, const weft_serve_results *results,
                           weft_bench_samples samples) {
    json_t *result = json_pack("{s:s,s:o,s:f,s:f,s:f}", "peer", id, "samples",
                               samples_json(samples), "median", weft_bench_median(samples), "low",
                               extreme_of(samples, false), "high", extreme_of(samples, true));
    json_object_update_new(
        result, json_pack("{s:f,s:f,s:n,s:n,s:o}", "cpu_ns", median_of(results, FIGURE(cpu)),
                          "client_cpu_ns", median_of(results, FIGURE(client_cpu)),
                          "bytes_per_entry", "fill", "latency", latency_json(results)));
    json_object_update_new(
        result, json_pack("{s:I,s:I,s:I}", "late", (json_int_t)sum_of(results, FIGURE(late)),
                          "dropped", (json_int_t)sum_of(results, FIGURE(dropped)), "backlog",
                          (json_int_t)sum_of(results, FIGURE(backlog))));
    bool bound = false;
    for (size_t i = 0; i < results->count; i++) {
        bound = bound || results->samples[i].client_bound;
    }
    json_object_set_new(result, "client_bound", json_boolean(bound));
    return result;
}

/* weft's figure against the best peer's, within each round. */
static void add_ratio(json_t *cell, const weft_serve_cell *from, const measure *what,
                      const weft_serve_bench *bench) {
    size_t best = 0;
    for (size_t i = 1; i < bench->server_count; i++) {
        double median = median_of(&from->results[i], what->figure);
        double least = median_of(&from->results[best], what->figure);
        if (has_figures(bench, from, i) &&
            (best == 0 || (what->more ? median > least : median < least))) {
            best = i;
        }
    }
    if (best == 0 || !has_figures(bench, from, 0)) {
        return;
    }
    weft_serve_values ratios;
    const weft_serve_results *peer = &from->results[best];
    const weft_serve_results *ours = &from->results[0];
    size_t count = peer->count < ours->count ? peer->count : ours->count;
    for (size_t i = 0; i < count; i++) {
        double a = figure_of(&ours->samples[i], what->figure);
        double b = figure_of(&peer->samples[i], what->figure);
        ratios[i] = what->more ? a / fmax(b, 1e-9) : b / fmax(a, 1e-9);
    }
    weft_bench_samples all = {ratios, count};
    json_object_update_new(
        cell, json_pack("{s:s,s:s,s:f,s:f,s:f}", "weft", "weft", "best_peer",
                        bench->servers[best].kind->id, "ratio", weft_bench_median(all), "ratio_low",
                        extreme_of(all, false), "ratio_high", extreme_of(all, true)));
}

static json_t *cell_head(const weft_serve_cell *from, const measure *what) {
    const weft_serve_workload *workload = &from->workload;
    char id[96];
    char about[256];
    snprintf(id, sizeof id, "%s/%s", workload->name, what->suffix);
    snprintf(about, sizeof about, "%s%s", workload->about, what->about);
    json_t *cell =
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "id", id, "workload", workload->name, "about", about,
                  "shape", "bytes", "threads", (json_int_t)weft_serve_client_threads(workload),
                  "entries", (json_int_t)workload->keys);
    json_object_update_new(cell, json_pack("{s:I,s:I,s:I,s:f}", "connections",
                                           (json_int_t)workload->connections, "pipeline",
                                           (json_int_t)workload->pipeline, "value_bytes",
                                           (json_int_t)workload->value_bytes, "rate", from->rate));
    json_object_update_new(cell, json_pack("{s:s,s:s,s:s}", "measure", what->name, "unit",
                                           what->unit, "better", what->more ? "more" : "less"));
    return cell;
}

static void add_cell(json_t *cells, const weft_serve_bench *bench, const weft_serve_cell *from,
                     const measure *what) {
    json_t *results = json_array();
    for (size_t i = 0; i < bench->server_count; i++) {
        weft_serve_values values;
        if (has_figures(bench, from, i)) {
            weft_bench_samples samples = values_of(&from->results[i], what->figure, values);
            json_array_append_new(
                results, result_json(bench->servers[i].kind->id, &from->results[i], samples));
        }
    }
    if (json_array_size(results) == 0) {
        json_decref(results);
        return;
    }
    json_t *cell = cell_head(from, what);
    json_object_set_new(cell, "results", results);
    add_ratio(cell, from, what, bench);
    json_array_append_new(cells, cell);
}

/* Memory is measured once for all cells of the same data, and kept in the first of them. */
static void add_memory(json_t *cells, const weft_serve_bench *bench, const weft_serve_cell *from) {
    static const measure memory = {
        "memory", "memory", "B", ": resident memory a key after loading", 0, false, true, true};
    weft_serve_cell once = {.workload = from->workload, .rate = from->rate};
    bool found = false;
    for (size_t i = 0; i < bench->server_count; i++) {
        double bytes = from->results[i].bytes_per_key;
        once.results[i].count = bytes > 0;
        once.results[i].samples[0].operations = bytes;
        found = found || bytes > 0;
    }
    if (!found) {
        return;
    }
    size_t at = json_array_size(cells);
    add_cell(cells, bench, &once, &memory);
    json_t *cell = json_array_get(cells, at);
    json_t *result;
    size_t i;
    json_array_foreach(json_object_get(cell, "results"), i, result) {
        json_t *median = json_object_get(result, "median");
        json_object_set(result, "bytes_per_entry", median);
        json_object_set_new(result, "cpu_ns", json_null());
        json_object_set_new(result, "latency", json_null());
    }
}

static json_t *cells_json(const weft_serve_bench *bench) {
    json_t *cells = json_array();
    for (size_t i = 0; i < bench->cell_count; i++) {
        const weft_serve_cell *from = &bench->cells[i];
        for (int m = 0; m < MEASURES; m++) {
            if (from->rate > 0 ? measures[m].of_open : measures[m].of_closed) {
                add_cell(cells, bench, from, &measures[m]);
            }
        }
        add_memory(cells, bench, from);
    }
    return cells;
}

/* ---------------------------------------------------------------- the whole */

static json_t *peers_json(const weft_serve_bench *bench) {
    json_t *peers = json_array();
    for (size_t i = 0; i < bench->server_count; i++) {
        const weft_serve_server *server = &bench->servers[i];
        json_array_append_new(
            peers, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "id", server->kind->id, "name",
                             server->kind->name, "language", server->kind->language, "version",
                             server->version, "licence", server->kind->licence, "status",
                             weft_serve_status_name(server->status), "note", server->note));
    }
    return peers;
}

static json_t *summary_json(const json_t *cells) {
    double logs = 0;
    double least = INFINITY;
    size_t count = 0;
    size_t won = 0;
    size_t i;
    json_t *cell;
    json_array_foreach((json_t *)cells, i, cell) {
        json_t *ratio = json_object_get(cell, "ratio");
        if (ratio != NULL && json_number_value(ratio) > 0) {
            logs += log(json_number_value(ratio));
            least = fmin(least, json_number_value(ratio));
            won += json_number_value(ratio) > 1;
            count++;
        }
    }
    if (count == 0) {
        return json_pack("{s:i,s:i,s:n,s:n}", "cells", 0, "won", 0, "ratio_mean", "ratio_least");
    }
    return json_pack("{s:I,s:I,s:f,s:f}", "cells", (json_int_t)count, "won", (json_int_t)won,
                     "ratio_mean", exp(logs / (double)count), "ratio_least", least);
}

json_t *weft_serve_bench_json(const weft_serve_bench *bench) {
    json_t *cells = cells_json(bench);
    json_t *result =
        json_pack("{s:s,s:s,s:o,s:o,s:o,s:[]}", "format", "weft-bench/1", "kind", "serve", "weft",
                  weft_bench_weft_json(), "machine", weft_bench_machine_json(), "noise",
                  weft_noise_json(&bench->noise, weft_noise_is_noisy(&bench->noise)), "ceilings");
    json_object_set_new(result, "peers", peers_json(bench));
    json_object_set_new(result, "cells", cells);
    json_object_set_new(result, "summary", summary_json(cells));
    if (bench->partial) {
        json_object_set_new(result, "partial", json_true());
    }
    return result;
}

/* ---------------------------------------------------------------- the table */

static void print_server(const weft_serve_bench *bench, const weft_serve_cell *cell, size_t which) {
    const weft_serve_results *results = &cell->results[which];
    const char *name = bench->servers[which].kind->name;
    if (bench->servers[which].status == WEFT_SERVE_OK && results->left_out) {
        printf("  %-14s cannot do this\n", name);
    }
    if (!has_figures(bench, cell, which)) {
        return;
    }
    const double us = 1e-3;
    bool bound = false;
    for (size_t i = 0; i < results->count; i++) {
        bound = bound || results->samples[i].client_bound;
    }
    printf("  %-14s %10.0f %9.2f %9.2f %9.0f %9.0f %9.0f %9.0f%s", name,
           median_of(results, FIGURE(operations)), median_of(results, FIGURE(cpu)) * us,
           median_of(results, FIGURE(client_cpu)) * us, median_of(results, FIGURE(p50)) * us,
           median_of(results, FIGURE(p99)) * us, median_of(results, FIGURE(p999)) * us,
           median_of(results, FIGURE(most)) * us, bound ? "  c" : "");
    uint64_t lost = sum_of(results, FIGURE(late)) + sum_of(results, FIGURE(dropped));
    if (lost != 0) {
        printf("  %llu not answered in time", (unsigned long long)lost);
    }
    printf("\n");
}

static void print_memory(const weft_serve_bench *bench, const weft_serve_cell *cell) {
    const char *lead = "resident bytes a key";
    for (size_t i = 0; i < bench->server_count; i++) {
        double bytes = cell->results[i].bytes_per_key;
        if (bytes > 0 && bench->servers[i].status == WEFT_SERVE_OK) {
            printf("%s%s %s %.1f", lead, *lead != ',' ? ":" : "", bench->servers[i].kind->name,
                   bytes);
            lead = ",";
        }
    }
    if (*lead == ',') {
        printf(" (%llu keys, values of %llu bytes)\n", (unsigned long long)cell->workload.keys,
               (unsigned long long)cell->workload.value_bytes);
    }
}

static bool any_client_bound(const weft_serve_bench *bench) {
    for (size_t i = 0; i < bench->cell_count; i++) {
        for (size_t s = 0; s < bench->server_count; s++) {
            const weft_serve_results *results = &bench->cells[i].results[s];
            for (size_t r = 0; r < results->count; r++) {
                if (results->samples[r].client_bound) {
                    return true;
                }
            }
        }
    }
    return false;
}

void weft_serve_bench_print(const weft_serve_bench *bench) {
    printf("%-16s %10s %9s %9s %9s %9s %9s %9s\n", "", "requests/s", "server us", "client us",
           "p50 us", "p99 us", "p99.9 us", "max us");
    for (size_t i = 0; i < bench->cell_count; i++) {
        const weft_serve_cell *cell = &bench->cells[i];
        printf("%s: %s", cell->workload.name, cell->workload.about);
        if (cell->rate > 0) {
            printf(" (open loop, %.0f requests/s)", cell->rate);
        }
        printf("\n");
        for (size_t s = 0; s < bench->server_count; s++) {
            print_server(bench, cell, s);
        }
    }
    for (size_t i = 0; i < bench->cell_count; i++) {
        print_memory(bench, &bench->cells[i]);
    }
    printf("server us, client us: processor time a request; all figures are medians of %u rounds\n",
           bench->rounds);
    if (any_client_bound(bench)) {
        printf("c: the client's threads had no rest, or sent late: it may be the bottleneck\n");
    }
    for (size_t i = 0; i < bench->server_count; i++) {
        const weft_serve_server *server = &bench->servers[i];
        printf("%s %s: %s%s%s\n", server->kind->name, server->version,
               weft_serve_status_name(server->status), *server->note != '\0' ? ", " : "",
               server->note);
    }
}
