/* SPDX-License-Identifier: MIT */
/* What servers are asked for: workloads as data in bench/workloads/serve. */
#ifndef WEFT_BENCH_SERVE_WORKLOAD_H
#define WEFT_BENCH_SERVE_WORKLOAD_H

#include "serve_load.h"
#include <jansson.h>

enum {
    WEFT_SERVE_CONNECTIONS_MOST = 10000,
    WEFT_SERVE_THREADS_MOST = 64,
    WEFT_SERVE_PIPELINE_MOST = 1000,
    WEFT_SERVE_COUNTERS_MOST = 100000,
};

typedef struct weft_serve_workload {
    char name[64];
    char about[128];
    double mix[WEFT_SERVE_OPS];
    uint64_t keys;
    uint64_t value_bytes;
    double zipf; /* 0: uniform */
    uint64_t connections;
    uint64_t pipeline;
    uint64_t threads;  /* of the client; 0: chosen by the machine */
    double rate;       /* requests a second; 0: closed loop */
    double rate_share; /* of what the slowest server answers in a closed loop; 0: none */
    bool constant;     /* arrivals at equal distances */
    bool verdict;
} weft_serve_workload;

void weft_serve_workload_init(weft_serve_workload *workload);

/* Set a field from the text of an option; false if it is not allowed. */
bool weft_serve_workload_set(weft_serve_workload *workload, const char *field, const char *text);
/* What a field allows, for messages; NULL if there is no such field. */
const char *weft_serve_workload_allowed(const char *field);

/* 0, or the exit code after a message with file, line and what is allowed. */
int weft_serve_workload_read(weft_serve_workload *workload, const char *path);

/* The workload of this name, or in this file if the name has a slash or ends in .json. */
int weft_serve_workload_find(weft_serve_workload *workload, const char *name);

/* Those marked as part of the verdict, by name; the caller frees the list. */
int weft_serve_workloads_verdict(weft_serve_workload **list, size_t *count);

/* Whether the fields agree with each other: NULL, or what is wrong. */
const char *weft_serve_workload_check(const weft_serve_workload *workload);

#endif
