/* SPDX-License-Identifier: MIT */
/* `weft bench trace`: traces from workloads and texts, and what is in them. */
#include "bench.h"
#include "base/exit.h"
#include "trace.h"
#include <stdio.h>
#include <string.h>

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

typedef struct trace_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
} trace_command;

static const trace_command commands[] = {
    {"show", show, "show FILE                    check a trace, and tell what is in it"},
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
