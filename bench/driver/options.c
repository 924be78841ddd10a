/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "base/exit.h"
#include "workload.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An option: how it is spelled, what it takes, what is allowed, and where it goes. */
typedef struct option_row {
    const char *name;
    const char *value; /* NULL: takes none */
    const char *help;
    const char *allowed;
    bool (*take)(weft_options *options, const char *text);
    unsigned sets; /* 0: every command takes it */
} option_row;

static bool read_number(const char *text, double least, double most, double *number) {
    char *end;
    errno = 0;
    *number = strtod(text, &end);
    return end != text && *end == '\0' && errno == 0 && *number >= least && *number <= most;
}

static bool read_count(const char *text, double least, double most, double *number) {
    return strspn(text, "0123456789") == strlen(text) && read_number(text, least, most, number);
}

static bool take_peers(weft_options *options, const char *text) {
    options->peers = text;
    return *text != '\0';
}

static bool take_workload(weft_options *options, const char *text) {
    if (options->workload_count == WEFT_OPTION_WORKLOADS || *text == '\0') {
        return false;
    }
    options->workloads[options->workload_count++] = text;
    return true;
}

static bool take_threads(weft_options *options, const char *text) {
    char copy[256];
    char *rest = NULL;
    options->thread_counts = 0;
    if (strlen(text) >= sizeof copy) {
        return false;
    }
    strcpy(copy, text);
    for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        double number;
        if (options->thread_counts == WEFT_OPTION_THREADS ||
            !read_count(one, 1, WEFT_THREADS_MAX, &number)) {
            return false;
        }
        options->threads[options->thread_counts++] = (uint32_t)number;
    }
    return options->thread_counts != 0;
}

static bool take_rounds(weft_options *options, const char *text) {
    double number;
    bool good = read_count(text, 1, WEFT_ROUNDS_MAX, &number);
    options->rounds = good ? (uint32_t)number : 0;
    return good;
}

static bool take_seconds(weft_options *options, const char *text) {
    return read_number(text, 0.01, 3600, &options->seconds);
}

static bool take_seed(weft_options *options, const char *text) {
    double number;
    bool good = read_count(text, 1, 4294967296.0, &number);
    options->seed = good ? (uint64_t)number : 0;
    return good;
}

static bool take_json(weft_options *options, const char *text) {
    options->json = text;
    return *text != '\0';
}

static bool take_report(weft_options *options, const char *text) {
    options->report = text;
    return *text != '\0';
}

static bool take_text(weft_options *options, const char *text) {
    options->text = text;
    return *text != '\0';
}

static bool take_only(weft_options *options, const char *text) {
    options->only = text;
    return *text != '\0';
}

static bool take_noisy(weft_options *options, const char *text) {
    (void)text;
    return options->noisy = true;
}

static bool take_quick(weft_options *options, const char *text) {
    (void)text;
    return options->quick = true;
}

static bool take_latency(weft_options *options, const char *text) {
    (void)text;
    return options->latency = true;
}

static const option_row rows[] = {
    {"workload", "NAME", "only this workload; may be repeated",
     "a name in bench/workloads, or a path", take_workload, WEFT_OPTIONS_CELLS},
    {"threads", "LIST", "numbers of threads (as the workload says)", "1 to 4096, with commas",
     take_threads, WEFT_OPTIONS_CELLS},
    {"latency", NULL, "measure latencies too", NULL, take_latency, WEFT_OPTIONS_CELLS},
    {"only", "NAME", "gates whose name contains this", "a part of a name", take_only,
     WEFT_OPTIONS_ONLY},
    {"peers", "LIST", "whom to compare with (all)", "all, none, or ids with commas", take_peers, 0},
    {"rounds", "N", "rounds of samples", "1 to 1000", take_rounds, 0},
    {"seconds", "S", "length of a sample", "0.01 to 3600", take_seconds, 0},
    {"seed", "N", "another seed than the workloads'", "1 to 2^32", take_seed, 0},
    {"text", "PATH", "where workloads of words find them", "a file or folder", take_text, 0},
    {"json", "FILE", "write the result", "a path", take_json, 0},
    {"report", "FILE", "write the page of the result", "a path", take_report, 0},
    {"noisy", NULL, "mark a disturbed run instead of refusing it", NULL, take_noisy, 0},
    {"quick", NULL, "few and short samples", NULL, take_quick, 0},
};

enum { ROWS = sizeof rows / sizeof *rows, HELP = ROWS };

static bool is_taken(const option_row *row, unsigned sets) {
    return row->sets == 0 || (row->sets & sets) != 0;
}

static void print_help(const char *command, unsigned sets) {
    printf("usage: weft %s [OPTION...]\n\n", command);
    for (int i = 0; i < ROWS; i++) {
        char left[40];
        if (!is_taken(&rows[i], sets)) {
            continue;
        }
        snprintf(left, sizeof left, "--%s %s", rows[i].name,
                 rows[i].value != NULL ? rows[i].value : "");
        printf("  %-18s %s%s%s\n", left, rows[i].help, rows[i].allowed != NULL ? ": " : "",
               rows[i].allowed != NULL ? rows[i].allowed : "");
    }
}

static int refuse(const weft_options *options, const char *format, const char *argument) {
    fprintf(stderr, "weft %s: ", options->command);
    fprintf(stderr, format, argument);
    fprintf(stderr, "; 'weft %s --help' tells the options\n", options->command);
    return WEFT_EXIT_USAGE;
}

static int take_one(weft_options *options, unsigned sets, int found, char **argv) {
    if (found == HELP) {
        print_help(options->command, sets);
        return WEFT_EXIT_FINE;
    }
    if (found == ':') {
        return refuse(options, "option '%s' needs a value", argv[optind - 1]);
    }
    if (found == '?' || !is_taken(&rows[found], sets)) {
        return refuse(options, "there is no option '%s' here, or it takes no value",
                      argv[optind - 1]);
    }
    if (!rows[found].take(options, optarg)) {
        fprintf(stderr, "weft %s: --%s '%s' is not allowed; allowed: %s\n", options->command,
                rows[found].name, optarg, rows[found].allowed);
        return WEFT_EXIT_USAGE;
    }
    return -1;
}

int weft_options_take(weft_options *options, unsigned sets, int argc, char **argv) {
    struct option names[ROWS + 2] = {0};
    int found;
    int code = -1;
    for (int i = 0; i < ROWS; i++) {
        names[i] = (struct option){rows[i].name, rows[i].value != NULL, NULL, i};
    }
    names[HELP] = (struct option){"help", no_argument, NULL, HELP};
    optind = 0;
    opterr = 0;
    while (code < 0 && (found = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        code = take_one(options, sets, found, argv);
    }
    if (code < 0 && optind < argc) {
        code = refuse(options, "what is '%s'?", argv[optind]);
    }
    return code;
}
