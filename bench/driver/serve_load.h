/* SPDX-License-Identifier: MIT */
/* The load generator: some threads, some connections each, requests drawn at random, every reply
 * judged.
 *
 * Closed loop: a connection sends `pipeline` requests at once, waits for all replies, and goes on.
 * Open loop: requests are due at `rate` a second whatever the replies do; a request that finds no
 * connection free waits in a backlog, and its latency counts from when it was due. Sweep: each key
 * once, in order; how data is loaded, and how it is read back. */
#ifndef WEFT_BENCH_SERVE_LOAD_H
#define WEFT_BENCH_SERVE_LOAD_H

#include "base/histogram.h"
#include "serve_codec.h"

typedef struct weft_serve_load {
    const weft_serve_codec *codec;
    uint16_t port; /* on 127.0.0.1 */
    unsigned connections;
    unsigned threads; /* at most as many as connections */
    unsigned pipeline;
    uint64_t keys;
    uint64_t counters; /* keys of increments; at most as many as keys */
    size_t value_bytes;
    double mix[WEFT_SERVE_OPS]; /* percent, adding up to 100 */
    double zipf;                /* exponent; 0: uniform */
    double seconds;             /* 0: a sweep */
    double rate;                /* requests a second; 0: closed loop */
    bool poisson;
    double timeout; /* seconds without a reply that count as a hang */
    uint64_t seed;
} weft_serve_load;

typedef struct weft_serve_figures {
    uint64_t replies; /* all of them */
    uint64_t counted; /* within the time */
    double seconds;   /* of the time */
    uint64_t errors;  /* error replies */
    uint64_t wrong;   /* replies that no correct server gives */
    uint64_t increments;
    uint64_t sum;     /* of the counters that a sweep read */
    uint64_t due;     /* open loop: requests that the schedule asked for */
    uint64_t dropped; /* open loop: given up, the backlog was full */
    uint64_t late;    /* open loop: without a reply when the time to drain was over */
    size_t backlog;   /* open loop: the longest one of a thread */
    double cpu;       /* seconds of the client's threads */
    double busy;      /* share of their time in which they ran */
    weft_histogram latency;
    weft_histogram lag; /* open loop: how late the client sent what could have been sent */
    char problem[200];  /* the first error, or what was wrong */
    bool failed;        /* it could not go on: `problem` says why */
} weft_serve_figures;

/* Run it; the figures are those of all threads. False if it failed, figures->failed then. */
bool weft_serve_load_run(const weft_serve_load *load, weft_serve_figures *figures);

/* Whether the figures tell more of the client than of the server; a sentence, or NULL. */
const char *weft_serve_load_client_bound(const weft_serve_load *load,
                                         const weft_serve_figures *figures);

#endif
