/* SPDX-License-Identifier: MIT */
/* What experiments are made of: a crew of threads, samples in turns, an allocator that counts, and
 * maps of any engine behind the same few calls. */
#ifndef WEFT_BENCH_CLAIMS_TOOLS_H
#define WEFT_BENCH_CLAIMS_TOOLS_H

#include "base/atomic.h"
#include "base/clock.h"
#include "base/histogram.h"
#include <weft/u64map.h>

/* ---- a crew: threads that begin together ----------------------------------------------------- */

enum { WEFT_CREW_MOST = 1024, WEFT_CREW_LINES = 2 * WEFT_CACHE_LINE };

/* Alone in its pair of lines: what a member counts must not slow its neighbours. */
typedef struct weft_crew_member {
    void *ctx;      /* the experiment's, the same for all */
    unsigned index; /* 0 … threads - 1 */
    uint64_t ops;   /* the member counts what it has done here, or weft_crew_next does */
    uint64_t limit; /* of ops */
    uint64_t random;
    weft_histogram *latency; /* its own; NULL: not asked for */
    const uint32_t *stop;
    uint64_t began, ended; /* filled in around `work` */
    uint64_t cpu_ns;       /* likewise, as what follows */
    uint64_t switches[2];  /* of context: it waited, others had the processor */
} __attribute__((aligned(WEFT_CREW_LINES))) weft_crew_member;

typedef struct weft_crew {
    unsigned threads;
    double seconds; /* then all are told to stop; 0: each ends by itself */
    uint64_t ops;   /* each member's limit; 0: none */
    bool latency;   /* give each a histogram */
    void (*work)(weft_crew_member *me);
    void *ctx;
} weft_crew;

typedef struct weft_crew_result {
    double seconds; /* from the first beginning to the last end */
    uint64_t ops;   /* of all */
    double rate;    /* ops a second */
    double cpu_seconds;
    uint64_t waits;                   /* context switches: somebody waited */
    uint64_t preempted;               /* context switches: somebody was put aside */
    double p50, p99, p999, mean, max; /* ns; NAN without latencies */
} weft_crew_result;

/* False without memory or threads, or if the end was asked for meanwhile. */
bool weft_crew_run(const weft_crew *crew, weft_crew_result *result);

/* For `work`: is there one more to do? Counts it. The first one is done however late it begins, so
 * that each member has a figure. */
static inline bool weft_crew_next(weft_crew_member *me) {
    if (me->ops == me->limit || (me->ops != 0 && weft_load_relaxed(me->stop) != 0)) {
        return false;
    }
    me->ops++;
    return true;
}

/* Have all end, as if the time was over: for a member that has done what the others wait for. */
void weft_crew_stop(weft_crew_member *me);

/* An operation began at weft_clock_monotonic_ns() == since: its latency, if any is asked for. */
static inline void weft_crew_note(weft_crew_member *me, uint64_t since) {
    if (me->latency != NULL) {
        weft_histogram_record(me->latency, weft_clock_monotonic_ns() - since);
    }
}

/* Keep this member to a processor from here on: members to those of the process in turn. */
void weft_crew_pin(const weft_crew_member *me);

/* SplitMix64, a stream for each member. */
uint64_t weft_crew_random(weft_crew_member *me);

/* Uniform in [0, 1). */
static inline double weft_crew_unit(weft_crew_member *me) {
    return (double)(weft_crew_random(me) >> 11) * 0x1p-53;
}

/* Processor time of the calling thread: what others take of the processor is not in it. */
uint64_t weft_thread_cpu_ns(void);

/* ---- contenders in turns --------------------------------------------------------------------- */

enum { WEFT_CONTEST_MOST = 20, WEFT_CONTEST_ROUNDS = 51 };

/* `sample` measures one contender once; the order is a b c, b c a, … so that noise hits all. */
typedef struct weft_contest {
    unsigned contenders;
    unsigned rounds;
    double (*sample)(void *ctx, unsigned contender);
    void *ctx;
} weft_contest;

/* The median of each contender. False if the end was asked for, or if a sample was NAN: it could
 * not be taken; `medians` of contenders without samples are NAN. */
bool weft_contest_run(const weft_contest *contest, double *medians);

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct weft_counted {
    uint64_t blocks; /* allocated since it was all 0 */
    uint64_t bytes;
    uint64_t live_blocks; /* and not yet freed */
    uint64_t live_bytes;
    uint64_t most_bytes; /* live at a time */
} weft_counted;

/* Counts in *counted, which outlives its maps, and takes memory from malloc, tables included. */
weft_allocator weft_counting_allocator(weft_counted *counted);

/* ---- maps ------------------------------------------------------------------------------------ */

/* A map of one of the two shapes. Keys are numbers, of which 16 bytes are made in the bytes shape;
 * values are numbers, or value_bytes bytes that begin with one. */
typedef struct weft_either {
    uint32_t value_bytes; /* 0: the u64 shape; else 8 … 1024 */
    weft_map texts;
    weft_u64map numbers;
} weft_either;

/* `options` as for weft_map_open, with the engine and without `size`, or NULL. False without
 * memory. */
bool weft_either_open(weft_either *map, uint32_t value_bytes, const weft_map_options *options);
void weft_either_close(weft_either *map);
bool weft_either_get(weft_either *map, uint64_t key, uint64_t *value); /* whether it is there */
bool weft_either_put(weft_either *map, uint64_t key, uint64_t value);  /* false without memory */
bool weft_either_remove(weft_either *map, uint64_t key);               /* whether it was there */
void weft_either_stats(weft_either *map, weft_map_stats *stats);

#endif
