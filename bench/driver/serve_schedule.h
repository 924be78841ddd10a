/* SPDX-License-Identifier: MIT */
/* When requests of an open loop are due, whatever the replies do; and which ones wait because no
 * connection is free. */
#ifndef WEFT_BENCH_SERVE_SCHEDULE_H
#define WEFT_BENCH_SERVE_SCHEDULE_H

#include "draw.h"

/* Arrivals at `rate` a second from `begin` on (nanoseconds): equal distances, or exponential ones,
 * which is how independent clients arrive (Poisson). Distances are added up as fractions, so that
 * rounding does not change the rate. */
typedef struct weft_serve_schedule {
    double rate;
    bool poisson;
    double ahead; /* nanoseconds from `begin` to the next arrival */
    uint64_t begin;
    weft_draw *draw; /* the caller's random numbers */
} weft_serve_schedule;

/* Of `of` schedules that share a rate, this is number `part`; constant ones are evenly apart. */
typedef struct weft_serve_share {
    unsigned part;
    unsigned of;
} weft_serve_share;

void weft_serve_schedule_init(weft_serve_schedule *schedule, double rate, bool poisson,
                              weft_serve_share share);

/* The next arrival, and the step to the one behind it. */
uint64_t weft_serve_schedule_peek(const weft_serve_schedule *schedule);
void weft_serve_schedule_step(weft_serve_schedule *schedule);

/* Requests that are due and not sent, by the time they were due. */
typedef struct weft_serve_backlog {
    uint64_t *due; /* a ring of `capacity` */
    size_t capacity;
    size_t first;
    size_t count;
    size_t greatest; /* count ever */
    uint64_t dropped;
} weft_serve_backlog;

bool weft_serve_backlog_init(weft_serve_backlog *backlog, size_t capacity);
void weft_serve_backlog_free(weft_serve_backlog *backlog);
/* Without room the request is given up, and counted. */
void weft_serve_backlog_push(weft_serve_backlog *backlog, uint64_t due);
/* The oldest one; only if count is not 0. */
uint64_t weft_serve_backlog_pop(weft_serve_backlog *backlog);

#endif
