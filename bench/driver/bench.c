/* SPDX-License-Identifier: MIT */
/* The table of commands. */
#include "bench.h"
#include "base/exit.h"
#include <stdio.h>
#include <string.h>

typedef struct bench_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} bench_command;

static const bench_command commands[] = {
    {"map", weft_bench_map, "every cell that is asked for; all without options"},
    {"growth", weft_bench_growth, "fill from empty, and the worst operation meanwhile"},
    {"oversub", weft_bench_oversub, "1024 threads on every engine, and rates with 16 to 1024"},
    {"serve", weft_bench_serve, "compare weft serve with other servers under the same load"},
    {"gates", weft_bench_gates, "every figure that a design page promises, judged"},
    {"claims", weft_bench_claims, "settle published claims about concurrent maps"},
    {"compare", weft_bench_compare_command, "tell which differences between two results are real"},
    {"report", weft_bench_report_command, "write the page of a result"},
    {"trace", weft_bench_trace, "make, convert, show and run trace files"},
    {"replay", weft_bench_replay, "be a peer: replay a trace on one map, as told on stdin"},
    {"peers", weft_bench_peers, "which peers there are, and what is missing"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *out) {
    fprintf(out, "usage: weft bench [COMMAND] [OPTION...]\n\n"
                 "Compare weft with its peers, each in a process of its own, on the same trace.\n"
                 "Without a command: the verdict, in at most two minutes; 'weft bench map --help' "
                 "tells its\noptions, but for --workload, --threads and --latency.\n\n"
                 "commands:\n");
    for (int i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "\n'weft bench COMMAND --help' tells the options of a command.\n"
                 "exit codes: 0 fine, 1 finding, 2 usage, 3 environment (noise included)\n");
}

int weft_bench_main(int argc, char **argv) {
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return WEFT_EXIT_FINE;
    }
    if (argc < 2 || argv[1][0] == '-') {
        return weft_bench_verdict(argc, argv);
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "weft bench: there is no command '%s'; 'weft bench --help' lists them\n",
            argv[1]);
    return WEFT_EXIT_USAGE;
}
