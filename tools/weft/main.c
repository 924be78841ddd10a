/* SPDX-License-Identifier: MIT */
#include "bench/driver/bench.h"
#include "server/server.h"
#include "tool.h"
#include <stdio.h>
#include <string.h>

typedef struct tool_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} tool_command;

static const tool_command commands[] = {
    {"serve", weft_tool_serve, "share keys with every Redis client"},
    {"advise", weft_bench_advise, "tell which engine suits a trace, or a description"},
    {"bench", weft_bench_main, "compare maps and servers on this machine"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *out) {
    fprintf(out, "usage: weft COMMAND [OPTION...]\n\ncommands:\n");
    for (int i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "\n'weft COMMAND --help' tells the options; 'weft --version' the version.\n"
                 "exit codes: 0 fine, 1 finding, 2 usage, 3 environment\n");
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return WEFT_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("weft %s\n", WEFT_VERSION_STRING);
        return WEFT_EXIT_FINE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return WEFT_EXIT_FINE;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "weft: there is no command '%s'; 'weft --help' lists them\n", argv[1]);
    return WEFT_EXIT_USAGE;
}
