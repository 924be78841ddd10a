/* SPDX-License-Identifier: MIT */
/* A run of `weft bench serve`: servers, cells, rounds, samples. */
#ifndef WEFT_BENCH_SERVE_RUN_H
#define WEFT_BENCH_SERVE_RUN_H

#include "noise.h"
#include "serve_server.h"
#include "serve_workload.h"
#include <jansson.h>

enum { WEFT_SERVE_SERVERS_MOST = 12, WEFT_SERVE_ROUNDS_MOST = 100 };

/* What one server did in one round of a cell. Times in nanoseconds. */
typedef struct weft_serve_sample {
    double operations; /* a second; in a closed loop */
    double cpu;        /* of the server, a request */
    double client_cpu; /* of the load generator, a request */
    double p50;
    double p90;
    double p99;
    double p999;
    double most;
    uint64_t replies;
    uint64_t late;    /* without a reply when time was up */
    uint64_t dropped; /* given up: the backlog was full */
    uint64_t backlog; /* the longest */
    bool client_bound;
} weft_serve_sample;

typedef struct weft_serve_results {
    weft_serve_sample samples[WEFT_SERVE_ROUNDS_MOST];
    size_t count;
    double bytes_per_key; /* 0: not measured */
    bool left_out;        /* the server cannot do what the cell asks for */
} weft_serve_results;

typedef struct weft_serve_cell {
    weft_serve_workload workload;
    double rate; /* as settled; 0: closed loop */
    weft_serve_results results[WEFT_SERVE_SERVERS_MOST];
} weft_serve_cell;

typedef struct weft_serve_bench {
    weft_serve_server servers[WEFT_SERVE_SERVERS_MOST]; /* weft first */
    size_t server_count;
    weft_serve_cell *cells;
    size_t cell_count;
    unsigned rounds;
    double seconds; /* of a sample */
    double timeout;
    double limit;   /* seconds: no round begins that may end behind it; 0: none */
    uint64_t begin; /* of the run */
    uint64_t seed;
    const char *parent; /* where the servers' folders are made */
    bool noisy;         /* samples are taken whoever disturbs them */
    bool partial;       /* it was stopped */
    weft_noise noise;
} weft_serve_bench;

/* The threads of the client for a workload that does not say. */
unsigned weft_serve_client_threads(const weft_serve_workload *workload);

/* Measure all cells. Servers that fail are marked, and the others go on. */
void weft_serve_bench_run(weft_serve_bench *bench);

/* The result as the bench's page describes it; NULL without memory. */
json_t *weft_serve_bench_json(const weft_serve_bench *bench);

void weft_serve_bench_print(const weft_serve_bench *bench);

#endif
