/* SPDX-License-Identifier: MIT */
/* `weft bench trace`: traces from workloads and texts, and what is in them. */
#include "bench.h"
#include "base/exit.h"
#include "convert.h"
#include "generate.h"
#include "outcome.h"
#include "trace.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the options of a command say. */
typedef struct trace_options {
    const char *to;
    const char *text;
    bool ops;
    weft_trace_shape shape;
    uint32_t value_bytes;
} trace_options;

static bool take_option(trace_options *options, int option) {
    char *end;
    switch (option) {
    case 'o':
        options->to = optarg;
        return true;
    case 't':
        options->text = optarg;
        return true;
    case 'p':
        options->ops = true;
        return true;
    case 's':
        options->shape = strcmp(optarg, "u64") == 0 ? WEFT_TRACE_U64 : WEFT_TRACE_BYTES;
        return strcmp(optarg, "u64") == 0 || strcmp(optarg, "bytes") == 0;
    case 'v':
        options->value_bytes = (uint32_t)strtoul(optarg, &end, 10);
        return *end == '\0' && options->value_bytes >= WEFT_TRACE_VALUE_MIN &&
               options->value_bytes <= WEFT_TRACE_VALUE_MAX;
    default:
        return false;
    }
}

/* The one argument that is no option; NULL if the line is wrong. */
static const char *take_arguments(trace_options *options, int argc, char **argv) {
    static const struct option names[] = {
        {"text", required_argument, NULL, 't'},
        {"ops", no_argument, NULL, 'p'},
        {"shape", required_argument, NULL, 's'},
        {"value-bytes", required_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "o:", names, NULL)) != -1) {
        if (!take_option(options, option)) {
            fprintf(stderr, "weft bench trace: '%s' is not allowed here\n", argv[optind - 1]);
            return NULL;
        }
    }
    return optind == argc - 1 && options->to != NULL ? argv[optind] : NULL;
}

static int make(int argc, char **argv) {
    trace_options options = {0};
    weft_workload workload;
    const char *name = take_arguments(&options, argc, argv);
    if (name == NULL) {
        fprintf(stderr, "usage: weft bench trace make WORKLOAD -o FILE [--text PATH]\n");
        return WEFT_EXIT_USAGE;
    }
    int code = weft_workload_find(&workload, name);
    if (code == 0) {
        code = weft_generate(&workload, options.to, options.text);
        weft_bench_progress_end();
    }
    return code;
}

static int convert(int argc, char **argv) {
    trace_options options = {.shape = WEFT_TRACE_BYTES, .value_bytes = WEFT_TRACE_VALUE_MIN};
    const char *from = take_arguments(&options, argc, argv);
    if (from == NULL ||
        (options.shape == WEFT_TRACE_U64 && options.value_bytes != WEFT_TRACE_VALUE_MIN)) {
        fprintf(stderr, "usage: weft bench trace convert TEXT -o FILE [--ops] [--shape u64|bytes] "
                        "[--value-bytes N]\nvalues have 8 bytes, with bytes 8 to 1048576\n");
        return WEFT_EXIT_USAGE;
    }
    weft_convert how = {.from = from,
                        .to = options.to,
                        .ops = options.ops,
                        .shape = options.shape,
                        .value_bytes = options.value_bytes};
    return weft_convert_text(&how);
}

static int show(int argc, char **argv) {
    weft_trace trace;
    if (argc != 2) {
        fprintf(stderr, "usage: weft bench trace show FILE\n");
        return WEFT_EXIT_USAGE;
    }
    int code = weft_trace_open(&trace, argv[1]);
    if (code != 0) {
        return code;
    }
    weft_trace_print(&trace, stdout);
    weft_trace_close(&trace);
    return WEFT_EXIT_FINE;
}

static int run_file(int argc, char **argv) {
    weft_run run = {.options = {.command = "bench trace run"}};
    int code = weft_options_take(&run.options, WEFT_OPTIONS_FILE, argc, argv);
    if (code >= 0) {
        return code;
    }
    run.rounds = run.options.rounds != 0 ? run.options.rounds : run.options.quick ? 3 : 5;
    run.seconds = run.options.seconds > 0 ? run.options.seconds : run.options.quick ? 0.1 : 0.5;
    code = weft_run_open(&run, "map");
    code = code != 0 ? code : weft_run_trace(&run, run.options.file);
    code = code != 0 ? code : weft_outcome_finish(&run);
    weft_run_close(&run);
    return code;
}

typedef struct trace_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
} trace_command;

static const trace_command commands[] = {
    {"make", make, "make WORKLOAD -o FILE [--text PATH]   the trace of a workload"},
    {"convert", convert,
     "convert TEXT -o FILE [--ops] [--shape u64|bytes] [--value-bytes N]   one key a line, or "
     "operation and key"},
    {"show", show, "show FILE   check a trace, and tell what is in it"},
    {"run", run_file, "run FILE [OPTION...]   replay it on weft and its peers"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *out) {
    for (int i = 0; i < COMMANDS; i++) {
        fprintf(out, "%s weft bench trace %s\n", i == 0 ? "usage:" : "      ", commands[i].usage);
    }
}

int weft_bench_trace(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        print_usage(stdout);
        return WEFT_EXIT_FINE;
    }
    for (int i = 0; i < COMMANDS && argc >= 2; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    print_usage(stderr);
    return WEFT_EXIT_USAGE;
}
