/* SPDX-License-Identifier: MIT */
/* The options that the measuring commands share. */
#ifndef WEFT_BENCH_DRIVER_OPTIONS_H
#define WEFT_BENCH_DRIVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { WEFT_OPTION_WORKLOADS = 64, WEFT_OPTION_THREADS = 16, WEFT_ROUNDS_MAX = 1000 };

typedef struct weft_options {
    const char *command; /* for messages */
    const char *peers;
    const char *workloads[WEFT_OPTION_WORKLOADS];
    uint32_t workload_count;
    uint32_t threads[WEFT_OPTION_THREADS];
    uint32_t thread_counts; /* 0: as the workloads say */
    uint32_t rounds;        /* 0: the command's own */
    double seconds;         /* of a sample; 0: the command's own */
    double patience;        /* seconds for an answer, beside the sample; 0: the driver's own */
    uint64_t seed;          /* 0: as the workloads say */
    const char *json;
    const char *report;
    const char *text;
    const char *only;
    const char *file;
    bool noisy;
    bool quick;
    bool latency;
    bool engines;
} weft_options;

/* Which options a command takes besides those that all take. */
typedef enum weft_option_set {
    WEFT_OPTIONS_CELLS = 1,   /* --workload, --threads, --latency */
    WEFT_OPTIONS_ONLY = 2,    /* --only */
    WEFT_OPTIONS_FILE = 4,    /* --threads, --latency, and the name of a file */
    WEFT_OPTIONS_ENGINES = 8, /* --engines */
} weft_option_set;

/* -1: go on; else the exit code, after a message or the help. */
int weft_options_take(weft_options *options, unsigned sets, int argc, char **argv);

#endif
