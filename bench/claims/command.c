/* SPDX-License-Identifier: MIT */
/* `weft bench claims`: runs the experiments that were asked for, prints each as it ends, and writes
 * the result. */
#include "base/arguments.h"
#include "base/clock.h"
#include "base/exit.h"
#include "bench/driver/bench.h"
#include "bench/driver/noise.h"
#include "bench/driver/result.h"
#include "counted.h"
#include "record.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

typedef struct experiment {
    const char *id;
    void (*run)(weft_claim *claim);
    const char *text;
} experiment;

static const experiment experiments[] = {
#define WEFT_CLAIM(id, function, text) {id, function, text},
#include "claims.def"
#undef WEFT_CLAIM
};

enum { EXPERIMENTS = sizeof experiments / sizeof *experiments };

/* ---- options --------------------------------------------------------------------------------- */

typedef struct options {
    bool chosen[EXPERIMENTS];
    bool some; /* were chosen; else all are meant */
    bool quick;
    bool list;
    bool counted;
    const char *json;
} options;

/* A number of an experiment, -1: there is none of this id. */
static int find(const char *id, size_t size) {
    for (int i = 0; i < EXPERIMENTS; i++) {
        if (strlen(experiments[i].id) == size && memcmp(experiments[i].id, id, size) == 0) {
            return i;
        }
    }
    return -1;
}

/* IDs with commas. */
static bool take_only(void *into, const weft_argument *argument, const char *text) {
    options *asked = into;
    (void)argument;
    for (const char *at = text; at != NULL; at = strchr(at, ',')) {
        at += at != text;
        int number = find(at, strcspn(at, ","));
        if (number < 0) {
            return false;
        }
        asked->chosen[number] = true;
        asked->some = true;
    }
    return true;
}

/* All ids, as the message on an unknown one lists them. */
static const char ids[] = "ids with commas, of"
#define WEFT_CLAIM(id, function, text) " " id
#include "claims.def"
#undef WEFT_CLAIM
    ;

static void print_help(const weft_arguments *arguments) {
    printf("usage: weft %s [OPTION...]\n\n"
           "Settle published claims about concurrent maps, each by an experiment of some "
           "seconds.\n\n",
           arguments->command);
    for (size_t i = 0; i < arguments->count; i++) {
        weft_argument_print(&arguments->list[i], 14);
        printf("\n");
    }
}

#define INTO(member) WEFT_ARGUMENT_INTO(options, member)

static const weft_argument rows[] = {
    {"only", "ID", "these claims alone; several with commas", ids, .take = take_only},
    {"quick", NULL, "a fraction of the work: to try it out", NULL, WEFT_ARGUMENT_FLAG, INTO(quick)},
    {"json", "FILE", "write the result; '-': to standard output, and nothing else there", "a path",
     WEFT_ARGUMENT_TEXT, INTO(json)},
    {"list", NULL, "print the claims, and run none", NULL, WEFT_ARGUMENT_FLAG, INTO(list)},
    {"counted", NULL, "do only what claim instr counts: it starts this under callgrind", NULL,
     WEFT_ARGUMENT_FLAG, INTO(counted)},
};

static const weft_arguments arguments = {"bench claims", rows, sizeof rows / sizeof *rows,
                                         print_help};

static int print_list(void) {
    for (int i = 0; i < EXPERIMENTS; i++) {
        printf("%-14s %s\n", experiments[i].id, experiments[i].text);
    }
    return WEFT_EXIT_FINE;
}

/* ---- what is shown --------------------------------------------------------------------------- */

static void print_number(FILE *out, const json_t *number) {
    if (json_is_number(number)) {
        fprintf(out, " %12.4g", json_number_value(number));
    } else {
        fprintf(out, " %12s", "-");
    }
}

static void print_claim(FILE *out, const weft_claim *claim) {
    size_t i;
    json_t *figure;
    fprintf(out, "%s: %s\n  %s\n", claim->id, weft_claim_verdict_name(claim->verdict), claim->text);
    if (json_array_size(claim->figures) != 0) {
        fprintf(out, "  %-60s %12s %12s\n", "", "claimed", "measured");
    }
    json_array_foreach(claim->figures, i, figure) {
        fprintf(out, "  %-60s", json_string_value(json_object_get(figure, "name")));
        print_number(out, json_object_get(figure, "claimed"));
        print_number(out, json_object_get(figure, "measured"));
        fprintf(out, " %s\n", json_string_value(json_object_get(figure, "unit")));
    }
    fprintf(out, "  %s\n", claim->why);
    if (claim->go[0] != '\0') {
        fprintf(out, "  Go: %s\n", claim->go);
    }
    fprintf(out, "\n");
    fflush(out);
}

/* ---- a run ----------------------------------------------------------------------------------- */

typedef struct run {
    options asked;
    FILE *out; /* for people */
    weft_noise noise;
    uint64_t began;
    json_t *claims;
    int counts[WEFT_CLAIM_NOT_RUN + 1];
    bool partial;
} run;

static void keep(run *r, const weft_claim *claim, double seconds) {
    static const char *const keys[] = {"holds", "in_part", "not", "not_run"};
    r->counts[claim->verdict]++;
    json_array_append_new(r->claims,
                          json_pack("{s:s,s:s,s:s,s:s,s:f,s:O,s:o}", "id", claim->id, "claim",
                                    claim->text, "verdict", keys[claim->verdict], "why", claim->why,
                                    "seconds", seconds, "figures", claim->figures, "go",
                                    claim->go[0] != '\0' ? json_string(claim->go) : json_null()));
}

/* Processor time of programs that ran for this one, and have ended. */
static double children_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

#define WAIT_SECONDS 2.0 /* for a quiet moment, before an experiment */

/* False if the end was asked for meanwhile: what an experiment then says is worth nothing. */
static bool settle(run *r, const experiment *one) {
    weft_claim claim = {.id = one->id,
                        .text = one->text,
                        .quick = r->asked.quick,
                        .verdict = WEFT_CLAIM_NOT_RUN,
                        .why = "The experiment ended without a verdict.",
                        .figures = json_array()};
    weft_bench_progress("%s", one->id);
    uint64_t began = weft_clock_monotonic_ns();
    weft_noise_await(&r->noise, WAIT_SECONDS);
    weft_noise_mark before = weft_noise_before(&r->noise);
    double children = children_seconds();
    one->run(&claim);
    weft_noise_sample sample = weft_noise_after(&r->noise, &before, children_seconds() - children);
    weft_bench_progress_end();
    bool whole = !weft_bench_stopped();
    if (whole) {
        weft_noise_keep(&r->noise, &sample);
        keep(r, &claim, (double)(weft_clock_monotonic_ns() - began) / 1e9);
        print_claim(r->out, &claim);
    }
    json_decref(claim.figures);
    return whole;
}

static json_t *result_of(const run *r) {
    double elapsed = (double)(weft_clock_monotonic_ns() - r->began) / 1e9;
    json_t *result = json_pack(
        "{s:s,s:s,s:o,s:f,s:s,s:b,s:o,s:o,s:o,s:O,s:o}", "format", "weft-claims/1", "kind",
        "claims", "started", weft_bench_started_json(elapsed), "seconds", elapsed, "command",
        "weft bench claims", "quick", r->asked.quick, "weft", weft_bench_weft_json(), "machine",
        weft_bench_machine_json(), "noise",
        weft_noise_json(&r->noise, weft_noise_is_noisy(&r->noise)), "claims", r->claims, "summary",
        json_pack("{s:i,s:i,s:i,s:i}", "holds", r->counts[WEFT_CLAIM_HOLDS], "in_part",
                  r->counts[WEFT_CLAIM_IN_PART], "not", r->counts[WEFT_CLAIM_NOT], "not_run",
                  r->counts[WEFT_CLAIM_NOT_RUN]));
    if (r->partial) {
        json_object_set_new(result, "partial", json_true());
    }
    return result;
}

static void print_summary(const run *r) {
    char disturbed[200];
    fprintf(r->out, "%d hold, %d hold in part, %d do not hold here, %d were not run\n",
            r->counts[WEFT_CLAIM_HOLDS], r->counts[WEFT_CLAIM_IN_PART], r->counts[WEFT_CLAIM_NOT],
            r->counts[WEFT_CLAIM_NOT_RUN]);
    weft_noise_describe(&r->noise, disturbed, sizeof disturbed);
    if (weft_noise_is_noisy(&r->noise)) {
        fprintf(r->out, "NOISY: %s\n", disturbed);
    }
    if (r->partial) {
        fprintf(r->out, "PARTIAL: stopped before the end\n");
    }
}

static int run_all(run *r) {
    weft_bench_catch_stop();
    r->began = weft_clock_monotonic_ns();
    r->claims = json_array();
    weft_noise_begin(&r->noise);
    for (int i = 0; i < EXPERIMENTS && !r->partial; i++) {
        if (r->asked.chosen[i] || !r->asked.some) {
            r->partial = !settle(r, &experiments[i]);
        }
    }
    print_summary(r);
    json_t *result = result_of(r);
    bool written = r->asked.json == NULL || weft_bench_result_write(result, r->asked.json);
    json_decref(result);
    json_decref(r->claims);
    weft_noise_end(&r->noise);
    return written && !r->partial ? WEFT_EXIT_FINE : WEFT_EXIT_ENVIRONMENT;
}

int weft_bench_claims(int argc, char **argv) {
    run r = {.out = stdout};
    int code = weft_arguments_take(&arguments, &r.asked, argc, argv);
    if (code >= 0) {
        return code;
    }
    if (optind < argc) {
        return weft_arguments_refuse(arguments.command, "what is '%s'?", argv[optind]);
    }
    if (r.asked.list) {
        return print_list();
    }
    if (r.asked.counted) {
        return weft_claim_counted();
    }
    if (r.asked.json != NULL && strcmp(r.asked.json, "-") == 0) {
        r.out = stderr;
    }
    return run_all(&r);
}
