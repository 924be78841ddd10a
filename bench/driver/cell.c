/* SPDX-License-Identifier: MIT */
#include "cell.h"
#include "ceilings.h"
#include "stats.h"
#include <stdlib.h>
#include <string.h>

void weft_cell_begin(weft_cell *cell, const weft_workload *workload, uint32_t threads,
                     size_t peers) {
    *cell = (weft_cell){.workload = workload, .threads = threads};
    cell->rows = calloc(peers, sizeof *cell->rows);
    cell->count = cell->rows != NULL ? peers : 0;
}

static weft_cell_row *row_of(weft_cell *cell, const weft_peer *peer) {
    for (size_t i = 0; i < cell->count; i++) {
        if (cell->rows[i].peer == peer || cell->rows[i].peer == NULL) {
            cell->rows[i].peer = peer;
            return &cell->rows[i];
        }
    }
    return NULL;
}

void weft_cell_add(weft_cell *cell, const weft_session *session, const weft_sample *sample,
                   uint32_t round) {
    weft_cell_row *row = row_of(cell, session->peer);
    if (row == NULL || row->count == WEFT_ROUNDS_MAX) {
        json_decref(sample->latency);
        return;
    }
    row->rates[row->count] = sample->rate;
    row->cpu_ns[row->count] = sample->cpu_ns;
    row->rounds[row->count] = round;
    row->count++;
    row->bytes_per_entry = session->bytes_per_entry;
    row->fill = session->fill;
    if (sample->latency != NULL) {
        row->latencies[row->latency_count++] = sample->latency;
    }
}

bool weft_cell_is_behind(const weft_cell *cell, const weft_session *session, double times) {
    double best = 0;
    double own = 0;
    for (size_t i = 0; i < cell->count; i++) {
        const weft_cell_row *row = &cell->rows[i];
        if (row->count == 0 || row->peer->control) {
            continue;
        }
        best = row->rates[0] > best && !weft_peer_is_own(row->peer) ? row->rates[0] : best;
        own = row->peer == session->peer ? row->rates[0] : own;
    }
    return !weft_peer_is_own(session->peer) && own * times < best;
}

static double median_of(const double *values, size_t count) {
    weft_bench_samples samples = {values, count};
    return weft_bench_median(samples);
}

static json_t *positive(double value) {
    return value > 0 ? json_real(value) : json_null();
}

static double p99_of(const json_t *latency) {
    return json_number_value(json_object_get(latency, "p99"));
}

static int by_p99(const void *a, const void *b) {
    double first = p99_of(*(json_t *const *)a);
    double second = p99_of(*(json_t *const *)b);
    return (first > second) - (first < second);
}

static json_t *latency_json(weft_cell_row *row) {
    if (row->latency_count == 0) {
        return json_null();
    }
    qsort(row->latencies, row->latency_count, sizeof *row->latencies, by_p99);
    return json_incref(row->latencies[row->latency_count / 2]);
}

static json_t *row_json(weft_cell_row *row) {
    json_t *samples = json_array();
    json_t *rounds = json_array();
    double low = row->rates[0];
    double high = row->rates[0];
    for (size_t i = 0; i < row->count; i++) {
        json_array_append_new(samples, json_real(row->rates[i]));
        json_array_append_new(rounds, json_integer((json_int_t)row->rounds[i]));
        low = row->rates[i] < low ? row->rates[i] : low;
        high = row->rates[i] > high ? row->rates[i] : high;
    }
    return json_pack("{s:s,s:o,s:o,s:f,s:f,s:f,s:f,s:o,s:o,s:o}", "peer", row->peer->id, "samples",
                     samples, "rounds", rounds, "median", median_of(row->rates, row->count), "low",
                     low, "high", high, "cpu_ns", median_of(row->cpu_ns, row->count),
                     "bytes_per_entry", positive(row->bytes_per_entry), "fill", positive(row->fill),
                     "latency", latency_json(row));
}

static const weft_cell_row *own_row(const weft_cell *cell) {
    for (size_t i = 0; i < cell->count; i++) {
        const weft_cell_row *row = &cell->rows[i];
        if (row->count != 0 && strcmp(row->peer->id, WEFT_PEER_OWN) == 0) {
            return row;
        }
    }
    return NULL;
}

static const weft_cell_row *best_peer(const weft_cell *cell) {
    const weft_cell_row *best = NULL;
    double best_median = 0;
    for (size_t i = 0; i < cell->count; i++) {
        const weft_cell_row *row = &cell->rows[i];
        if (row->count == 0 || row->peer->control || weft_peer_is_own(row->peer) ||
            row->peer->status != WEFT_PEER_OK) {
            continue;
        }
        double median = median_of(row->rates, row->count);
        if (median > best_median) {
            best = row;
            best_median = median;
        }
    }
    return best;
}

/* The quotients of the rounds that both were in. */
static size_t quotients(const weft_cell_row *own, const weft_cell_row *best, double *into) {
    size_t count = 0;
    for (size_t i = 0; i < own->count; i++) {
        for (size_t k = 0; k < best->count; k++) {
            if (own->rounds[i] == best->rounds[k]) {
                into[count++] = own->rates[i] / best->rates[k];
            }
        }
    }
    return count;
}

static void judge(const weft_cell *cell, json_t *into) {
    static const char *const keys[] = {"ratio", "ratio_low", "ratio_high"};
    const weft_cell_row *own = own_row(cell);
    const weft_cell_row *best = best_peer(cell);
    double ratios[WEFT_ROUNDS_MAX];
    size_t count = own != NULL && best != NULL ? quotients(own, best, ratios) : 0;
    json_object_set_new(into, "weft", json_string(WEFT_PEER_OWN));
    json_object_set_new(into, "best_peer",
                        best != NULL ? json_string(best->peer->id) : json_null());
    double values[3] = {median_of(ratios, count), count ? ratios[0] : 0, count ? ratios[0] : 0};
    for (size_t i = 0; i < count; i++) {
        values[1] = ratios[i] < values[1] ? ratios[i] : values[1];
        values[2] = ratios[i] > values[2] ? ratios[i] : values[2];
    }
    for (int i = 0; i < 3; i++) {
        json_object_set_new(into, keys[i], count != 0 ? json_real(values[i]) : json_null());
    }
}

/* A table of 32 bytes an entry, and for byte keys what the entries themselves take. */
static double working_set(const weft_workload *workload) {
    double entries = (double)(workload->once ? workload->keys : workload->prefill);
    double outside = workload->shape == WEFT_TRACE_BYTES
                         ? (double)workload->value_bytes + workload->key_bytes
                         : 0;
    return entries * (32 + outside);
}

static void compare_with_ceiling(const weft_cell *cell, json_t *into, const json_t *ceilings) {
    const json_t *ceiling =
        weft_ceilings_choose(ceilings, working_set(cell->workload), cell->threads);
    const weft_cell_row *own = own_row(cell);
    if (ceiling == NULL || own == NULL) {
        json_object_set_new(into, "ceiling", json_null());
        json_object_set_new(into, "ceiling_share", json_null());
        return;
    }
    double most = json_number_value(json_object_get(ceiling, "median"));
    json_object_set(into, "ceiling", json_object_get(ceiling, "name"));
    json_object_set_new(into, "ceiling_share", json_real(median_of(own->rates, own->count) / most));
}

void weft_cell_finish(weft_cell *cell, json_t *cells, const json_t *ceilings) {
    const weft_workload *workload = cell->workload;
    json_t *results = json_array();
    for (size_t i = 0; i < cell->count; i++) {
        weft_cell_row *row = &cell->rows[i];
        if (row->count != 0 && row->peer->status == WEFT_PEER_OK) {
            json_array_append_new(results, row_json(row));
        }
    }
    json_t *into = json_pack(
        "{s:o,s:s,s:s,s:s,s:i,s:I,s:s,s:s,s:s,s:o}", "id",
        json_sprintf("%s/%u", workload->name, cell->threads), "workload", workload->name, "about",
        workload->about, "shape", workload->shape == WEFT_TRACE_U64 ? "u64" : "bytes", "threads",
        (int)cell->threads, "entries",
        (json_int_t)(workload->once ? workload->keys : workload->prefill), "measure", "operations",
        "unit", "1/s", "better", "more", "results", results);
    judge(cell, into);
    compare_with_ceiling(cell, into, ceilings);
    if (json_array_size(results) != 0) {
        json_array_append(cells, into);
    }
    json_decref(into);
    for (size_t i = 0; i < cell->count; i++) {
        for (size_t k = 0; k < cell->rows[i].latency_count; k++) {
            json_decref(cell->rows[i].latencies[k]);
        }
    }
    free(cell->rows);
    *cell = (weft_cell){0};
}
