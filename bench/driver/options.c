/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "base/arguments.h"
#include "workload.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static bool take_workload(void *into, const weft_argument *argument, const char *text) {
    weft_options *options = into;
    (void)argument;
    if (options->workload_count == WEFT_OPTION_WORKLOADS || *text == '\0') {
        return false;
    }
    options->workloads[options->workload_count++] = text;
    return true;
}

static bool take_threads(void *into, const weft_argument *argument, const char *text) {
    weft_options *options = into;
    (void)argument;
    char copy[256];
    char *rest = NULL;
    options->thread_counts = 0;
    if (strlen(text) >= sizeof copy) {
        return false;
    }
    strcpy(copy, text);
    for (char *one = strtok_r(copy, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest)) {
        uint64_t number;
        if (options->thread_counts == WEFT_OPTION_THREADS ||
            !weft_argument_whole(one, 1, WEFT_THREADS_MAX, &number)) {
            return false;
        }
        options->threads[options->thread_counts++] = (uint32_t)number;
    }
    return options->thread_counts != 0;
}

#define INTO(member) WEFT_ARGUMENT_INTO(weft_options, member)
#define REAL(least_, most_) WEFT_ARGUMENT_REAL, .least = (least_), .most = (most_)
#define WHOLE(least_, most_) WEFT_ARGUMENT_WHOLE, .least = (least_), .most = (most_)

/* An option, and which commands take it: 0: all. */
typedef struct option_row {
    unsigned sets;
    weft_argument argument;
} option_row;

static const option_row rows[] = {
    {WEFT_OPTIONS_CELLS,
     {"workload", "NAME", "only this workload; may be repeated",
      "a name in bench/workloads, or a path", .take = take_workload}},
    {WEFT_OPTIONS_CELLS | WEFT_OPTIONS_FILE,
     {"threads", "LIST", "numbers of threads (as the workload says)", "1 to 4096, with commas",
      .take = take_threads}},
    {WEFT_OPTIONS_CELLS | WEFT_OPTIONS_FILE,
     {"latency", NULL, "measure latencies too", NULL, WEFT_ARGUMENT_FLAG, INTO(latency)}},
    {WEFT_OPTIONS_ONLY,
     {"only", "NAME", "gates whose name contains this", "a part of a name", WEFT_ARGUMENT_TEXT,
      INTO(only)}},
    {WEFT_OPTIONS_ENGINES,
     {"engines", NULL, "weft's engines alone, with 1024 threads", NULL, WEFT_ARGUMENT_FLAG,
      INTO(engines)}},
    {0,
     {"peers", "LIST", "whom to compare with (all)", "all, none, or ids with commas",
      WEFT_ARGUMENT_TEXT, INTO(peers)}},
    {0, {"rounds", "N", "rounds of samples", "1 to 1000", WHOLE(1, WEFT_ROUNDS_MAX), INTO(rounds)}},
    {0, {"seconds", "S", "length of a sample", "0.01 to 3600", REAL(0.01, 3600), INTO(seconds)}},
    {0,
     {"patience", "S", "how long a peer may take to answer", "0.1 to 3600", REAL(0.1, 3600),
      INTO(patience)}},
    {0,
     {"seed", "N", "another seed than the workloads'", "1 to 2^32", WHOLE(1, 4294967296.0),
      INTO(seed)}},
    {0,
     {"text", "PATH", "where workloads of words find them", "a file or folder", WEFT_ARGUMENT_TEXT,
      INTO(text)}},
    {0, {"json", "FILE", "write the result", "a path", WEFT_ARGUMENT_TEXT, INTO(json)}},
    {0,
     {"report", "FILE", "write the page of the result", "a path", WEFT_ARGUMENT_TEXT,
      INTO(report)}},
    {0,
     {"noisy", NULL, "mark a disturbed run instead of refusing it", NULL, WEFT_ARGUMENT_FLAG,
      INTO(noisy)}},
    {0, {"quick", NULL, "few and short samples", NULL, WEFT_ARGUMENT_FLAG, INTO(quick)}},
};

enum { ROWS = sizeof rows / sizeof *rows };

static void print_list(const weft_arguments *arguments, const char *behind) {
    printf("usage: weft %s [OPTION...]%s\n\n", arguments->command, behind);
    for (size_t i = 0; i < arguments->count; i++) {
        const weft_argument *argument = &arguments->list[i];
        if (argument->help != NULL) {
            const char *allowed = argument->allowed;
            weft_argument_print(argument, 18);
            printf("%s%s\n", allowed != NULL ? ": " : "", allowed != NULL ? allowed : "");
        }
    }
}

static void print_help(const weft_arguments *arguments) {
    print_list(arguments, "");
}

static void print_help_of_file(const weft_arguments *arguments) {
    print_list(arguments, " FILE");
}

int weft_options_take(weft_options *options, unsigned sets, int argc, char **argv) {
    bool file = (sets & WEFT_OPTIONS_FILE) != 0;
    weft_argument list[ROWS];
    for (int i = 0; i < ROWS; i++) {
        list[i] = rows[i].argument;
        if (rows[i].sets != 0 && (rows[i].sets & sets) == 0) {
            list[i].help = NULL;
        }
    }
    weft_arguments arguments = {options->command, list, ROWS,
                                file ? print_help_of_file : print_help};
    int code = weft_arguments_take(&arguments, options, argc, argv);
    if (code >= 0) {
        return code;
    }
    if (optind < argc && (!file || optind + 1 < argc)) {
        return weft_arguments_refuse(options->command, "what is '%s'?", argv[optind]);
    }
    options->file = argv[optind];
    if (file && options->file == NULL) {
        return weft_arguments_refuse(options->command, "%s is missing", "the file");
    }
    return code;
}
