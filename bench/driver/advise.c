/* SPDX-License-Identifier: MIT */
/* `weft advise`: the command. */
#include "advise.h"
#include "base/arguments.h"
#include "base/exit.h"
#include "bench.h"
#include "generate.h"
#include "outcome.h"
#include "peer.h"
#include "result.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTO(member) WEFT_ARGUMENT_INTO(weft_advise, member)
#define REAL(least_, most_) WEFT_ARGUMENT_REAL, .least = (least_), .most = (most_)
#define WHOLE(least_, most_) WEFT_ARGUMENT_WHOLE, .least = (least_), .most = (most_)

/* Of a named engine at least, in the measurement that follows the advice. */
static const double reach_least = 0.9;

static const weft_argument list[] = {
    {"threads", "N", "threads that use the map at a time (one a processor)", "1 to 4096",
     WHOLE(1, WEFT_THREADS_MAX), INTO(threads)},
    {"rate", "N", "operations a second that are needed, of all threads", "1 to 10^12",
     REAL(1, 1e12), INTO(rate)},
    {"latency", "WHAT", "what counts (average)", "average or tail", WEFT_ARGUMENT_TEXT,
     INTO(description.latency)},
    {"bounded", NULL, "all memory must be there from the beginning", NULL, WEFT_ARGUMENT_FLAG,
     INTO(bounded)},
    {"describe", NULL, "no trace: answers instead, by the next four or asked for", NULL,
     WEFT_ARGUMENT_FLAG, INTO(describe)},
    {"entries", "N", "entries in the map, usually", "1 to 100000000", WHOLE(1, 1e8),
     INTO(description.entries)},
    {"reads", "P", "percent of operations that only look", "0 to 100", REAL(0, 100),
     INTO(description.reads)},
    {"skew", "WHAT", "how keys are wanted", "even, zipf, or hot (one key)", WEFT_ARGUMENT_TEXT,
     INTO(description.skew)},
    {"lifetime", "WHAT", "what becomes of keys", "stays, short, or bulk (all are replaced)",
     WEFT_ARGUMENT_TEXT, INTO(description.lifetime)},
    {"record", NULL, "tell how to get a trace of a running program", NULL, WEFT_ARGUMENT_FLAG,
     INTO(record)},
    {"check", NULL, "advise on the eight known traces, and measure again", NULL, WEFT_ARGUMENT_FLAG,
     INTO(check)},
    {"only", "NAME", "with --check: traces whose name contains this", "a part of a name",
     WEFT_ARGUMENT_TEXT, INTO(run.options.only)},
    {"rounds", "N", "rounds of samples (15)", "1 to 1000", WHOLE(1, WEFT_ROUNDS_MAX),
     INTO(run.options.rounds)},
    {"seconds", "S", "length of a sample (0.06)", "0.01 to 3600", REAL(0.01, 3600),
     INTO(run.options.seconds)},
    {"quick", NULL, "few and short samples, none of them repeated", NULL, WEFT_ARGUMENT_FLAG,
     INTO(run.options.quick)},
    {"noisy", NULL, "with --check: mark a disturbed run instead of refusing it", NULL,
     WEFT_ARGUMENT_FLAG, INTO(run.options.noisy)},
    {"json", "FILE", "write the result", "a path, or - for the standard output", WEFT_ARGUMENT_TEXT,
     INTO(run.options.json)},
    {"report", "FILE", "write the page of the result", "a path", WEFT_ARGUMENT_TEXT,
     INTO(run.options.report)},
};

static void print_help(const weft_arguments *arguments) {
    printf("usage: weft advise [OPTION...] TRACE\n"
           "       weft advise [OPTION...] --describe\n\n"
           "Tell which engine suits a trace: replay it on all of them, and on a plain table under "
           "a mutex.\n\n");
    for (size_t i = 0; i < arguments->count; i++) {
        const char *allowed = arguments->list[i].allowed;
        weft_argument_print(&arguments->list[i], 18);
        printf("%s%s\n", allowed != NULL ? ": " : "", allowed != NULL ? allowed : "");
    }
}

static int take_arguments(weft_advise *advise, int argc, char **argv) {
    static const weft_arguments arguments = {"advise", list, sizeof list / sizeof *list,
                                             print_help};
    int code = weft_arguments_take(&arguments, advise, argc, argv);
    if (code >= 0) {
        return code;
    }
    const char *latency = advise->description.latency;
    int kinds = advise->describe + advise->record + advise->check + (optind < argc);
    if (kinds != 1) {
        return weft_arguments_refuse("advise", "one of a trace, %s, --record and --check is wanted",
                                     "--describe");
    }
    if (optind + 1 < argc) {
        return weft_arguments_refuse("advise", "what is '%s'?", argv[optind + 1]);
    }
    if (latency != NULL && strcmp(latency, "average") != 0 && strcmp(latency, "tail") != 0) {
        return weft_arguments_refuse("advise", "--latency '%s'; allowed: average, tail", latency);
    }
    if (advise->run.options.only != NULL && !advise->check) {
        return weft_arguments_refuse("advise", "--only chooses among the traces of %s", "--check");
    }
    advise->trace = argv[optind];
    advise->tail = latency != NULL && strcmp(latency, "tail") == 0;
    return -1;
}

static int tell_record(void) {
    printf("A trace holds the operations of a map, in their order. Ways to get one:\n\n"
           "  weft serve --record FILE [--record-sample N]\n"
           "      what clients do with the keys of a server, until it stops\n"
           "  weft_recording_start(&map, &options, &recording), … _u64 (<weft/record.h>)\n"
           "      what a program does with one map, until weft_recording_stop\n"
           "  weft bench trace convert TEXT -o FILE [--ops]\n"
           "      of a text with a key, or an operation and a key, on each line\n"
           "  weft bench trace make WORKLOAD -o FILE\n"
           "      of a description in JSON\n\n"
           "'weft advise FILE' takes each of them. A sample of the keys is enough for the rules; "
           "sizes and rates\nare then those of the sample.\n");
    return WEFT_EXIT_FINE;
}

/* ---- results --------------------------------------------------------------------------------- */

static bool is_refused(const weft_advise *advise) {
    char disturbed[200];
    if (advise->run.options.noisy ||
        (!advise->run.refused && !weft_noise_is_refused(&advise->run.noise))) {
        return false;
    }
    weft_noise_describe(&advise->run.noise, disturbed, sizeof disturbed);
    fprintf(stderr,
            "weft advise: refused: %s; wait for a quiet machine, or mark the result with --noisy\n",
            disturbed);
    return true;
}

static int deliver(weft_advise *advise, json_t *advices) {
    const weft_options *options = &advise->run.options;
    json_t *result = weft_outcome_json(&advise->run);
    json_object_set(result, "advice", advices);
    int code = 0;
    if (weft_noise_is_noisy(&advise->run.noise) &&
        (options->json == NULL || strcmp(options->json, "-") != 0)) {
        char disturbed[200];
        weft_noise_describe(&advise->run.noise, disturbed, sizeof disturbed);
        printf("NOISY: %s\n", disturbed);
    }
    if (options->json != NULL) {
        code = weft_bench_result_write(result, options->json) ? 0 : WEFT_EXIT_ENVIRONMENT;
    }
    if (code == 0 && options->report != NULL) {
        code = weft_bench_report(result, options->report);
    }
    json_decref(result);
    return code;
}

static bool is_silent(const weft_advise *advise) {
    const char *json = advise->run.options.json;
    return json != NULL && strcmp(json, "-") == 0;
}

static int advise_on(weft_advise *advise, const char *path) {
    json_t *advice = NULL;
    int code = weft_advise_trace(advise, path, &advice);
    weft_bench_progress_end();
    if (code == 0) {
        json_t *advices = json_pack("[o]", advice);
        if (!is_silent(advise)) {
            weft_advise_print(advice);
        }
        code = deliver(advise, advices);
        json_decref(advices);
    }
    return code;
}

static int advise_on_workload(weft_advise *advise, const weft_workload *workload) {
    char path[128];
    snprintf(path, sizeof path, "%s/described", advise->run.folder);
    int code = weft_generate(workload, path, NULL);
    code = code != 0 ? code : advise_on(advise, path);
    unlink(path);
    return code;
}

/* ---- the known traces ------------------------------------------------------------------------ */

static const char *const known[] = {"advise-config",   "advise-counters", "advise-hot",
                                    "advise-sessions", "advise-routes",   "advise-tiny",
                                    "advise-bulk",     "advise-cold"};

enum { KNOWN = sizeof known / sizeof *known };

/* Advise, then measure anew: what was measured for the advice must not judge it. */
static int check_trace(weft_advise *advise, const char *path, json_t *advices, int *missed) {
    json_t *advice = NULL;
    json_t *again = NULL;
    weft_run *run = &advise->run;
    int code = weft_advise_trace(advise, path, &advice);
    if (code != 0) {
        return code;
    }
    json_array_remove(run->cells, json_array_size(run->cells) - 1);
    code = weft_advise_trace(advise, path, &again);
    if (code == 0) {
        double reach = weft_advise_reach(advice, again);
        bool reached = reach >= reach_least;
        *missed += !reached;
        json_object_set_new(advice, "reach", json_real(reach));
        json_array_append(advices, advice);
        weft_bench_progress_end();
        if (!is_silent(advise)) {
            printf("%-18s %7lld  %-12s %-10s %-10s %8.2f  %-3s %s\n",
                   weft_bench_text(advice, "trace"),
                   (long long)json_integer_value(json_object_get(advice, "threads")),
                   weft_bench_text(json_object_get(advice, "rule"), "name"),
                   weft_bench_text(json_object_get(advice, "rule"), "engine"),
                   weft_bench_text(advice, "advice"), reach, reached ? "yes" : "NO",
                   weft_bench_text(again, "best"));
        }
    }
    json_decref(advice);
    json_decref(again);
    return code;
}

static int check_known(weft_advise *advise, const char *name, json_t *advices, int *missed) {
    weft_workload workload;
    char path[4200];
    snprintf(path, sizeof path, "%s/workloads/advise/%s.json", weft_bench_folder(), name);
    int code = weft_workload_read(&workload, path);
    snprintf(path, sizeof path, "%s/known", advise->run.folder);
    code = code != 0 ? code : weft_generate(&workload, path, NULL);
    if (code == 0) {
        advise->threads = workload.threads[0];
        code = check_trace(advise, path, advices, missed);
    }
    unlink(path);
    return code;
}

static int check_all(weft_advise *advise) {
    json_t *advices = json_array();
    const char *only = advise->run.options.only;
    int missed = 0;
    int code = 0;
    if (!is_silent(advise)) {
        printf("%-18s %7s  %-12s %-10s %-10s %8s  %-3s %s\n", "trace", "threads", "rule", "says",
               "advised", "of best", "ok", "best when measured again");
    }
    for (int i = 0; i < KNOWN && code == 0 && weft_run_goes_on(&advise->run); i++) {
        if (only == NULL || strstr(known[i], only) != NULL) {
            code = check_known(advise, known[i], advices, &missed);
        }
    }
    if (code == 0 && json_array_size(advices) == 0) {
        fprintf(stderr, "weft advise: --only '%s': no trace has this in its name; allowed:", only);
        for (int i = 0; i < KNOWN; i++) {
            fprintf(stderr, " %s", known[i]);
        }
        fprintf(stderr, "\n");
        code = WEFT_EXIT_USAGE;
    }
    if (is_refused(advise)) {
        code = WEFT_EXIT_ENVIRONMENT;
    }
    code = code != 0 ? code : deliver(advise, advices);
    json_decref(advices);
    return code == 0 && missed != 0 ? WEFT_EXIT_FINDING : code;
}

int weft_bench_advise(int argc, char **argv) {
    enum { ROUNDS = 15, QUICK_ROUNDS = 3 };
    const double seconds = 0.06;
    const double quick_seconds = 0.04;
    const double patience = 20;
    weft_advise advise = {.run = {.options = {.command = "advise"}, .self = true},
                          .description = {.reads = -1}};
    weft_options *options = &advise.run.options;
    weft_workload described;
    int code = take_arguments(&advise, argc, argv);
    if (code >= 0) {
        return code;
    }
    if (advise.record) {
        return tell_record();
    }
    code = advise.describe ? weft_advise_describe(&advise, &described) : 0;
    if (code != 0) {
        return code;
    }
    advise.run.rounds = options->rounds != 0 ? options->rounds
                        : options->quick     ? QUICK_ROUNDS
                                             : ROUNDS;
    advise.run.seconds = options->seconds > 0 ? options->seconds
                         : options->quick     ? quick_seconds
                                              : seconds;
    options->command = advise.check ? "advise --check" : "advise";
    options->latency = true;
    options->patience = patience;
    options->noisy = options->noisy || !advise.check;
    code = weft_peers_self(&advise.run.peers);
    code = code != 0 ? code : weft_run_open(&advise.run, "advise");
    if (code == 0) {
        code = advise.check      ? check_all(&advise)
               : advise.describe ? advise_on_workload(&advise, &described)
                                 : advise_on(&advise, advise.trace);
    }
    weft_run_close(&advise.run);
    return code;
}
