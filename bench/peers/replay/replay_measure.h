/* SPDX-License-Identifier: MIT */
/* What a run is measured with: clock, processor time, resident memory, latency histogram. */
#ifndef REPLAY_MEASURE_H
#define REPLAY_MEASURE_H

#include "replay.h"
#include <malloc.h>
#include <sys/resource.h>
#include <time.h>

enum {
    REPLAY_STEPS = 16, /* linear steps a power of two */
    REPLAY_BUCKETS = 61 * REPLAY_STEPS,
};

typedef struct replay_histogram {
    uint64_t buckets[REPLAY_BUCKETS];
    uint64_t samples;
    uint64_t max;
} replay_histogram;

static inline uint64_t replay_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* User and system time of the whole process, in seconds. */
static double replay_cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* VmRSS in bytes, 0 if it can't be read. */
static uint64_t replay_rss(void) {
    FILE *status = fopen("/proc/self/status", "re");
    unsigned long long kilobytes = 0;
    char line[256];
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmRSS: %llu kB", &kilobytes) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return (uint64_t)kilobytes * 1024;
}

static inline unsigned replay_bucket_of(uint64_t ns) {
    if (ns < REPLAY_STEPS)
        return (unsigned)ns;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(ns);
    return (exponent - 3) * REPLAY_STEPS + (unsigned)(ns >> (exponent - 4) & (REPLAY_STEPS - 1));
}

/* The greatest number that falls into a bucket. */
static uint64_t replay_bucket_end(unsigned bucket) {
    if (bucket < REPLAY_STEPS)
        return bucket;
    unsigned shift = bucket / REPLAY_STEPS - 1;
    uint64_t first = (uint64_t)(REPLAY_STEPS + bucket % REPLAY_STEPS) << shift;
    return first + ((UINT64_C(1) << shift) - 1);
}

static inline void replay_record(replay_histogram *histogram, uint64_t ns) {
    histogram->buckets[replay_bucket_of(ns)]++;
    histogram->samples++;
    if (ns > histogram->max)
        histogram->max = ns;
}

static void replay_join_histograms(replay_histogram *all, const replay_histogram *one) {
    for (unsigned i = 0; i < REPLAY_BUCKETS; i++)
        all->buckets[i] += one->buckets[i];
    all->samples += one->samples;
    if (one->max > all->max)
        all->max = one->max;
}

static uint64_t replay_quantile(const replay_histogram *histogram, double share) {
    uint64_t seen = 0;
    for (unsigned i = 0; i < REPLAY_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= share * (double)histogram->samples) {
            uint64_t end = replay_bucket_end(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}

#endif
