/* SPDX-License-Identifier: MIT */
#include "outcome.h"
#include "base/exit.h"
#include "bench.h"
#include "result.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *peers_json(const weft_run *run) {
    json_t *peers = json_array();
    for (size_t i = 0; i < run->peers.count; i++) {
        const weft_peer *peer = &run->peers.list[i];
        json_array_append_new(peers, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "id", peer->id,
                                               "name", peer->name, "language", peer->language,
                                               "version", peer->version, "licence", peer->licence,
                                               "status", weft_peer_status_name(peer->status),
                                               "note", peer->note, "control", peer->control));
    }
    return peers;
}

static json_t *summary_json(const json_t *cells) {
    size_t i;
    json_t *cell;
    int judged = 0;
    int won = 0;
    double logs = 0;
    double least = INFINITY;
    json_array_foreach((json_t *)cells, i, cell) {
        const json_t *ratio = json_object_get(cell, "ratio");
        if (json_is_number(ratio)) {
            double value = json_number_value(ratio);
            judged++;
            won += value > 1;
            logs += log(value);
            least = value < least ? value : least;
        }
    }
    return json_pack("{s:i,s:i,s:o,s:o}", "cells", judged, "won", won, "ratio_mean",
                     judged != 0 ? json_real(exp(logs / judged)) : json_null(), "ratio_least",
                     judged != 0 ? json_real(least) : json_null());
}

/* A verdict must be what the next one would be, too: where more than a tenth of its samples were
 * disturbed, the others may have been a little. */
static bool is_noisy(const weft_run *run) {
    bool verdict = run->budget > 0 && !run->options.quick;
    return run->disturbed_cells != 0 || (verdict && weft_noise_is_noisy(&run->noise));
}

json_t *weft_outcome_json(const weft_run *run) {
    double elapsed = weft_run_elapsed(run);
    json_t *result =
        json_pack("{s:s,s:s,s:o,s:f,s:o,s:o,s:o,s:o,s:O,s:o,s:O,s:o}", "format", "weft-bench/1",
                  "kind", run->kind, "started", weft_bench_started_json(elapsed), "seconds",
                  elapsed, "command", json_sprintf("weft %s", run->options.command), "weft",
                  weft_bench_weft_json(), "machine", weft_bench_machine_json(), "noise",
                  weft_noise_json(&run->noise, is_noisy(run)), "ceilings", run->ceilings, "peers",
                  peers_json(run), "cells", run->cells, "summary", summary_json(run->cells));
    if (run->partial) {
        json_object_set_new(result, "partial", json_true());
    }
    return result;
}

/* "12.3 M", in four digits or fewer. */
static void print_rate(const json_t *number) {
    if (!json_is_number(number)) {
        printf(" %9s", "-");
        return;
    }
    printf(" %9.2f", json_number_value(number) / 1e6);
}

static const json_t *median_of_peer(const json_t *cell, const char *peer) {
    size_t i;
    json_t *result;
    json_array_foreach(json_object_get(cell, "results"), i, result) {
        if (peer != NULL && strcmp(json_string_value(json_object_get(result, "peer")), peer) == 0) {
            return json_object_get(result, "median");
        }
    }
    return NULL;
}

static void print_cell(const json_t *cell) {
    const char *best = json_string_value(json_object_get(cell, "best_peer"));
    const json_t *ratio = json_object_get(cell, "ratio");
    const json_t *share = json_object_get(cell, "ceiling_share");
    printf("%-28s", json_string_value(json_object_get(cell, "id")));
    print_rate(median_of_peer(cell, WEFT_PEER_OWN));
    print_rate(median_of_peer(cell, best));
    printf("  %-16.16s", best != NULL ? best : "(none)");
    if (json_is_number(ratio)) {
        printf(" %6.2f  %5.2f - %-6.2f", json_number_value(ratio),
               json_number_value(json_object_get(cell, "ratio_low")),
               json_number_value(json_object_get(cell, "ratio_high")));
    } else {
        printf(" %6s  %14s", "-", "");
    }
    if (json_is_number(share)) {
        printf(" %5.0f %%", 100 * json_number_value(share));
    }
    printf("\n");
}

/* A line for each peer of a cell with latencies. */
static void print_latencies(const json_t *cell) {
    static const char *const keys[] = {"p50", "p99", "p999", "max"};
    size_t i;
    json_t *result;
    json_array_foreach(json_object_get(cell, "results"), i, result) {
        const json_t *latency = json_object_get(result, "latency");
        if (!json_is_object(latency)) {
            continue;
        }
        printf("%-28s %-16s", json_string_value(json_object_get(cell, "id")),
               json_string_value(json_object_get(result, "peer")));
        print_rate(json_object_get(result, "median"));
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            printf(" %11.2f", json_number_value(json_object_get(latency, keys[k])) / 1000);
        }
        printf("\n");
    }
}

static bool has_latencies(const json_t *cell) {
    const json_t *first = json_array_get(json_object_get(cell, "results"), 0);
    return json_is_object(json_object_get(first, "latency"));
}

static void print_all_latencies(const json_t *cells) {
    size_t i;
    json_t *cell;
    bool headed = false;
    json_array_foreach((json_t *)cells, i, cell) {
        if (has_latencies(cell) && !headed) {
            printf("\n%-28s %-16s %9s %11s %11s %11s %11s\n", "latency, microseconds", "peer",
                   "M/s", "p50", "p99", "p99.9", "max");
            headed = true;
        }
        print_latencies(cell);
    }
}

/* The longest operations of a figure by what happened in them, if that is known. */
static void print_kinds(const json_t *result, const char *unit) {
    const char *kind;
    json_t *longest;
    const char *between = "";
    json_object_foreach(json_object_get(result, "kinds"), kind, longest) {
        printf("%s%s %.4g %s", *between != 0 ? between : "\n  longest: ", kind,
               json_number_value(longest), unit);
        between = ", ";
    }
}

/* A figure of single calls. */
static void print_single(const json_t *cell) {
    size_t i;
    json_t *result;
    printf("%-28s", json_string_value(json_object_get(cell, "id")));
    json_array_foreach(json_object_get(cell, "results"), i, result) {
        printf("%s %.4g %s (%s)", i == 0 ? "" : ",",
               json_number_value(json_object_get(result, "median")),
               json_string_value(json_object_get(cell, "unit")),
               json_string_value(json_object_get(result, "peer")));
    }
    print_kinds(json_array_get(json_object_get(cell, "results"), 0),
                json_string_value(json_object_get(cell, "unit")));
    printf("\n");
}

static bool is_single(const json_t *cell) {
    return json_object_get(cell, "ceiling_share") == NULL;
}

static void print_peers(const json_t *peers) {
    size_t i;
    json_t *peer;
    int missing = 0;
    json_array_foreach((json_t *)peers, i, peer) {
        const char *status = json_string_value(json_object_get(peer, "status"));
        const char *note = json_string_value(json_object_get(peer, "note"));
        bool there = strcmp(status, "missing") != 0;
        missing += !there;
        if (there && *note != '\0') {
            printf("%-16s %-8s %s\n", json_string_value(json_object_get(peer, "id")), status, note);
        }
    }
    if (missing == 0) {
        return;
    }
    printf("missing:");
    json_array_foreach((json_t *)peers, i, peer) {
        if (strcmp(json_string_value(json_object_get(peer, "status")), "missing") == 0) {
            printf(" %s", json_string_value(json_object_get(peer, "id")));
        }
    }
    printf("\n('make peers' builds them; 'weft bench peers' tells what each needs)\n");
}

static void print_result(const json_t *result) {
    const json_t *summary = json_object_get(result, "summary");
    const json_t *mean = json_object_get(summary, "ratio_mean");
    size_t i;
    json_t *cell;
    printf("%-28s %9s %9s  %-16s %6s  %-14s %7s\n", "workload/threads", "weft M/s", "peer M/s",
           "best peer", "ratio", "  over rounds", "ceiling");
    json_array_foreach(json_object_get(result, "cells"), i, cell) {
        (is_single(cell) ? print_single : print_cell)(cell);
    }
    print_all_latencies(json_object_get(result, "cells"));
    if (json_is_number(mean)) {
        printf("\nweft is ahead in %lld of %lld cells; ratio %.2f on average (geometric), %.2f at "
               "least\n",
               (long long)json_integer_value(json_object_get(summary, "won")),
               (long long)json_integer_value(json_object_get(summary, "cells")),
               json_number_value(mean), json_number_value(json_object_get(summary, "ratio_least")));
    }
    print_peers(json_object_get(result, "peers"));
}

int weft_outcome_deliver(const weft_run *run, json_t *result) {
    bool refused = run->refused || weft_noise_is_refused(&run->noise);
    char disturbed[200];
    int code = 0;
    weft_noise_describe(&run->noise, disturbed, sizeof disturbed);
    weft_bench_progress_end();
    if (refused && !run->options.noisy) {
        fprintf(stderr,
                "weft bench: refused: %s; wait for a quiet machine, or mark the result with "
                "--noisy\n",
                disturbed);
        return WEFT_EXIT_ENVIRONMENT;
    }
    print_result(result);
    if (is_noisy(run)) {
        printf("NOISY: %u cells stand on too few undisturbed rounds, or rounds too far apart; %s\n",
               run->disturbed_cells, disturbed);
    }
    if (run->partial) {
        printf("PARTIAL: stopped, or out of time, before the end\n");
    }
    if (run->options.json != NULL) {
        code = (weft_bench_result_write(result, run->options.json) ? 0 : WEFT_EXIT_ENVIRONMENT);
    }
    if (code == 0 && run->options.report != NULL) {
        code = weft_bench_report(result, run->options.report);
    }
    return code;
}

int weft_outcome_finish(const weft_run *run) {
    json_t *result = weft_outcome_json(run);
    int code = weft_outcome_deliver(run, result);
    json_decref(result);
    return code;
}
