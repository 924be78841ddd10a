/* SPDX-License-Identifier: MIT */
/* Workloads: what is measured, as data in bench/workloads. */
#ifndef WEFT_BENCH_DRIVER_WORKLOAD_H
#define WEFT_BENCH_DRIVER_WORKLOAD_H

#include "base/trace_file.h"

enum {
    WEFT_WORKLOAD_THREADS = 16, /* counts in one workload */
    WEFT_THREADS_MAX = 4096,
};

typedef enum weft_distribution {
    WEFT_UNIFORM,
    WEFT_ZIPF,
    WEFT_HOT_KEYS,   /* the first `hot` ranks get everything, evenly */
    WEFT_SEQUENTIAL, /* each kind of operation goes through the ranks in turn, inserts from the
                        first that is not filled in */
    WEFT_LATEST,     /* zipf .99 counted back from the newest insert */
} weft_distribution;

typedef enum weft_key_source { WEFT_KEYS_RANDOM, WEFT_KEYS_WORDS, WEFT_KEYS_PATHS } weft_key_source;

typedef struct weft_workload {
    char name[64];
    char about[128];
    weft_trace_shape shape;
    uint64_t keys;
    uint64_t prefill;
    weft_distribution distribution;
    double exponent;
    uint64_t hot;
    double mix[WEFT_TRACE_OPS]; /* percent */
    uint64_t burst;             /* so many writes of a kind come one behind the other */
    uint64_t ops;
    uint32_t threads[WEFT_WORKLOAD_THREADS];
    uint32_t thread_counts;
    uint64_t seed;
    bool once;
    uint32_t key_bytes;
    uint32_t value_bytes;
    weft_key_source key_source;
    bool verdict;
} weft_workload;

/* Read a workload. 0, or the exit code after a message with file, line and what is allowed. */
int weft_workload_read(weft_workload *workload, const char *path);

/* The workload of this name, or in this file if the name has a slash or ends in .json. */
int weft_workload_find(weft_workload *workload, const char *name);

typedef struct weft_workloads {
    weft_workload *list;
    size_t count;
} weft_workloads;

/* All of bench/workloads, by name. */
int weft_workloads_read(weft_workloads *all);
void weft_workloads_free(weft_workloads *all);

/* The same with so few entries and operations that replaying it takes no time worth speaking of:
 * for checksums. */
weft_workload weft_workload_reduced(const weft_workload *workload);

/* Whether an operation of this code occurs in it. */
static inline bool weft_workload_has(const weft_workload *workload, weft_trace_op op) {
    return workload->mix[op] > 0;
}

/* Whether anything but gets occurs in it. */
bool weft_workload_writes(const weft_workload *workload);

/* Bytes of the keys and values that a map holds when it is full, or the piece of work done. */
double weft_workload_filling(const weft_workload *workload);

#endif
