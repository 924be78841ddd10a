/* SPDX-License-Identifier: MIT */
#include "cell.h"
#include "ceilings.h"
#include "result.h"
#include "stats.h"
#include <math.h>
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
    row->noise[row->count] = sample->noise;
    row->count++;
    row->bytes_per_entry = session->bytes_per_entry;
    row->fill = session->fill;
    if (sample->latency != NULL) {
        row->latencies[row->latency_count++] = sample->latency;
    }
}

static double median_of(const double *values, size_t count) {
    weft_bench_samples samples = {values, count};
    return weft_bench_median(samples);
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

static size_t quiet_count(const weft_cell_row *row, const weft_noise *noise) {
    size_t count = 0;
    for (size_t i = 0; i < row->count; i++) {
        count += weft_noise_judge(noise, &row->noise[i]) == 0;
    }
    return count;
}

static bool is_enough(size_t quiet, size_t all) {
    return quiet >= WEFT_QUIET_ROUNDS || quiet == all;
}

/* The quotients of the rounds that two rows share; with `noise` only of those in which neither was
 * disturbed. */
static size_t quotients(const weft_cell_row *const rows[2], const weft_noise *noise, double *into) {
    size_t count = 0;
    for (size_t i = 0; i < rows[0]->count; i++) {
        for (size_t k = 0; k < rows[1]->count; k++) {
            bool quiet = noise == NULL || (weft_noise_judge(noise, &rows[0]->noise[i]) == 0 &&
                                           weft_noise_judge(noise, &rows[1]->noise[k]) == 0);
            if (rows[0]->rounds[i] == rows[1]->rounds[k] && quiet) {
                into[count++] = rows[0]->rates[i] / rows[1]->rates[k];
            }
        }
    }
    return count;
}

/* weft's rate in units of a peer's: the quotients of single rounds, and their median. */
typedef struct lead {
    const weft_cell_row *peer;
    double median;
    double quotients[WEFT_ROUNDS_MAX];
    size_t count;
    bool quiet; /* enough undisturbed rounds, which are all that it stands on */
} lead;

static bool is_precise(const lead *it, double half_width) {
    const weft_bench_samples samples = {it->quotients, it->count};
    return it->quiet && weft_bench_median_half_width(samples) <= half_width * it->median;
}

static void find_lead(lead *into, const weft_cell *cell, const weft_cell_row *peer,
                      const weft_noise *noise) {
    const weft_cell_row *rows[2] = {own_row(cell), peer};
    *into = (lead){.peer = peer};
    if (rows[0] == NULL) {
        return;
    }
    if (noise != NULL) {
        into->count = quotients(rows, noise, into->quotients);
        into->quiet = is_enough(into->count, rows[0]->count);
    }
    if (!into->quiet) {
        into->count = quotients(rows, NULL, into->quotients);
    }
    into->median = median_of(into->quotients, into->count);
}

static bool is_rival(const weft_cell_row *row) {
    return row->count != 0 && !row->peer->control && !weft_peer_is_own(row->peer) &&
           row->peer->status == WEFT_PEER_OK;
}

/* The peer that weft leads by least. One that was left behind after some rounds is none: its few
 * rounds say less. False: there is no peer. */
static bool find_best(lead *best, const weft_cell *cell, const weft_noise *noise) {
    size_t most = 0;
    lead next;
    *best = (lead){0};
    for (size_t i = 0; i < cell->count; i++) {
        most = is_rival(&cell->rows[i]) && cell->rows[i].count > most ? cell->rows[i].count : most;
    }
    for (size_t i = 0; i < cell->count; i++) {
        if (is_rival(&cell->rows[i]) && cell->rows[i].count * 2 > most) {
            find_lead(&next, cell, &cell->rows[i], noise);
            if (next.count != 0 && (best->count == 0 || next.median < best->median)) {
                *best = next;
            }
        }
    }
    return best->count != 0;
}

bool weft_cell_is_behind(const weft_cell *cell, const weft_session *session, double times) {
    lead best;
    lead own;
    if (!find_best(&best, cell, NULL) || weft_peer_is_own(session->peer)) {
        return false;
    }
    for (size_t i = 0; i < cell->count; i++) {
        if (cell->rows[i].peer == session->peer) {
            find_lead(&own, cell, &cell->rows[i], NULL);
            return own.count != 0 && own.median > best.median * times;
        }
    }
    return false;
}

bool weft_cell_is_precise(const weft_cell *cell, const weft_noise *noise, double half_width) {
    lead best;
    return find_best(&best, cell, noise) && is_precise(&best, half_width);
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

static json_t *row_json(weft_cell_row *row, const weft_noise *noise) {
    json_t *samples = json_array();
    json_t *rounds = json_array();
    json_t *disturbed = json_array();
    double low = row->rates[0];
    double high = row->rates[0];
    for (size_t i = 0; i < row->count; i++) {
        json_array_append_new(samples, json_real(row->rates[i]));
        json_array_append_new(rounds, json_integer((json_int_t)row->rounds[i]));
        if (weft_noise_judge(noise, &row->noise[i]) != 0) {
            json_array_append_new(disturbed, json_integer((json_int_t)row->rounds[i]));
        }
        low = row->rates[i] < low ? row->rates[i] : low;
        high = row->rates[i] > high ? row->rates[i] : high;
    }
    return json_pack(
        "{s:s,s:o,s:o,s:o,s:f,s:f,s:f,s:f,s:o,s:o,s:o}", "peer", row->peer->id, "samples", samples,
        "rounds", rounds, "disturbed", disturbed, "median", median_of(row->rates, row->count),
        "low", low, "high", high, "cpu_ns", median_of(row->cpu_ns, row->count), "bytes_per_entry",
        positive(row->bytes_per_entry), "fill", positive(row->fill), "latency", latency_json(row));
}

/* False: the ratio, or weft's figure if it is alone, stands on too few undisturbed rounds. */
static bool judge(const weft_cell *cell, json_t *into, const weft_cell_context *context) {
    const weft_noise *noise = context->noise;
    static const char *const keys[] = {"ratio", "ratio_low", "ratio_high"};
    lead best;
    bool found = find_best(&best, cell, noise);
    double values[3] = {0, INFINITY, 0};
    json_object_set_new(into, "weft", json_string(WEFT_PEER_OWN));
    json_object_set_new(into, "best_peer", found ? json_string(best.peer->peer->id) : json_null());
    for (size_t i = 0; found && i < best.count; i++) {
        values[1] = best.quotients[i] < values[1] ? best.quotients[i] : values[1];
        values[2] = best.quotients[i] > values[2] ? best.quotients[i] : values[2];
    }
    values[0] = found ? best.median : 0;
    for (int i = 0; i < 3; i++) {
        json_object_set_new(into, keys[i], found ? json_real(values[i]) : json_null());
    }
    json_object_set_new(into, "quiet_rounds",
                        json_integer(found && best.quiet ? (json_int_t)best.count : 0));
    const weft_cell_row *own = own_row(cell);
    return found ? is_precise(&best, context->half_width)
                 : own == NULL || is_enough(quiet_count(own, noise), own->count);
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

bool weft_cell_finish(weft_cell *cell, json_t *cells, const weft_cell_context *context) {
    const weft_workload *workload = cell->workload;
    json_t *results = json_array();
    for (size_t i = 0; i < cell->count; i++) {
        weft_cell_row *row = &cell->rows[i];
        if (row->count != 0 && row->peer->status == WEFT_PEER_OK) {
            json_array_append_new(results, row_json(row, context->noise));
        }
    }
    json_t *into = json_pack(
        "{s:o,s:s,s:s,s:s,s:i,s:I,s:s,s:s,s:s,s:o}", "id",
        json_sprintf("%s/%u", workload->name, cell->threads), "workload", workload->name, "about",
        workload->about, "shape", workload->shape == WEFT_TRACE_U64 ? "u64" : "bytes", "threads",
        (int)cell->threads, "entries",
        (json_int_t)(workload->once ? workload->keys : workload->prefill), "measure", "operations",
        "unit", "1/s", "better", "more", "results", results);
    bool quiet = judge(cell, into, context);
    compare_with_ceiling(cell, into, context->ceilings);
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
    return quiet;
}
