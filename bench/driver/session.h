/* SPDX-License-Identifier: MIT */
/* A peer at work on a trace: the protocol, and what is checked of each answer. */
#ifndef WEFT_BENCH_DRIVER_SESSION_H
#define WEFT_BENCH_DRIVER_SESSION_H

#include "noise.h"
#include "peer.h"
#include "process.h"
#include "workload.h"
#include <jansson.h>

typedef struct weft_session {
    weft_peer *peer;
    weft_process process; /* none: the peer is not at work */
    const weft_workload *workload;
    uint64_t expected; /* entries that its map is told of when it is opened; 0: none */
    bool one_writer;
    double patience;        /* seconds for an answer, beside the sample; 0: long enough for all */
    double bytes_per_entry; /* of the prefill */
    double fill;            /* its operations a second */
} weft_session;

typedef struct weft_sample {
    double rate; /* operations a second */
    double seconds;
    double cpu_seconds;
    double cpu_ns; /* processor time of an operation */
    uint64_t entries;
    uint64_t ops;
    json_t *latency;         /* owned; NULL without */
    weft_noise_sample noise; /* set by who asked for it */
} weft_sample;

/* Start the peer (peer, workload and patience are set), and hear who it is. False: the peer has a
 * status and a note now, or (status ok) cannot do this workload, and says so in its note. */
bool weft_session_start(weft_session *session, const char *trace);
void weft_session_end(weft_session *session);

/* Send now, collect later, so that several peers can be at it at once. */
bool weft_session_send_verify(weft_session *session);
bool weft_session_take_verify(weft_session *session, uint64_t checksum, uint64_t entries);

bool weft_session_prefill(weft_session *session, uint32_t threads);

/* What `run` and `once` take. seconds = 0: once. */
typedef struct weft_stint {
    uint32_t threads;
    double seconds;
    uint64_t offset;
    bool latency;
} weft_stint;

/* False: the peer failed. */
bool weft_session_run(weft_session *session, const weft_stint *stint, weft_sample *sample);

#endif
