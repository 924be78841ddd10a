/* SPDX-License-Identifier: MIT */
/* Who else used the machine while something was measured: its processors, its shared cache and the
 * way to its memory; and whether its host had moved its processors. */
#ifndef WEFT_BENCH_DRIVER_NOISE_H
#define WEFT_BENCH_DRIVER_NOISE_H

#include "memory_speed.h"
#include "placement.h"
#include <jansson.h>
#include <stddef.h>

/* What disturbed a sample; several can at once. */
typedef enum weft_disturbance {
    WEFT_NOISE_FOREIGN = 1, /* more than a twentieth of the processors' time went to others */
    WEFT_NOISE_CACHE = 2,   /* the shared cache was much slower than at best in this run */
    WEFT_NOISE_MEMORY = 4,  /* memory was */
    WEFT_NOISE_MOVED = 8,   /* its processors were apart, or shared their cores */
} weft_disturbance;

/* What is known of a sample that was taken. */
typedef struct weft_noise_sample {
    weft_memory_speed speed;  /* the faster one of the probes before and after it */
    weft_placement placement; /* the worse one; 0: not known, or of no account: one thread */
    bool foreign;
} weft_noise_sample;

/* How many of the samples that were kept are disturbed, and by what. */
typedef struct weft_noise_counts {
    size_t samples;
    size_t noisy;
    size_t foreign;
    size_t cache;
    size_t memory;
    size_t moved;
} weft_noise_counts;

/* The machine at one moment. */
typedef struct weft_noise_probe {
    weft_memory_speed speed;
    weft_placement placement;
} weft_noise_probe;

typedef struct weft_noise {
    double load_before;
    /* seconds, added up over all samples */
    double total;
    double foreign;
    double steal;
    weft_noise_sample *kept;
    size_t kept_count, kept_room;
    weft_memory_probe memory;
    weft_placement_probe placement;
    /* the last of them is at most some milliseconds old if nothing ran since then */
    weft_noise_probe *probes;
    size_t probe_count, probe_room;
    weft_noise_probe best;
    uint64_t probed_at;
} weft_noise;

/* What the accounts and the probe say where a sample begins. */
typedef struct weft_noise_mark {
    double total, busy, steal; /* seconds of all processors together */
    double own;                /* of this process */
    weft_noise_probe probe;
} weft_noise_mark;

/* Probes a few times, so that there is a best to compare with. */
void weft_noise_begin(weft_noise *noise);
void weft_noise_end(weft_noise *noise);

/* Sleeps and probes until nothing disturbs, `seconds` at most: what would be measured meanwhile
 * would only have to be measured again. */
void weft_noise_await(weft_noise *noise, double seconds);

/* Around a sample, of which `used` seconds of processor time were the peer's. */
weft_noise_mark weft_noise_before(weft_noise *noise);
weft_noise_sample weft_noise_after(weft_noise *noise, const weft_noise_mark *before, double used);

/* What disturbed a sample, by the best probe so far: weft_disturbance, added up; 0: nothing. */
unsigned weft_noise_judge(const weft_noise *noise, const weft_noise_sample *sample);

/* Remember a probe; remember a sample that is kept. */
void weft_noise_note_probe(weft_noise *noise, weft_noise_probe probe);
void weft_noise_keep(weft_noise *noise, const weft_noise_sample *sample);

/* All samples that were kept, judged by the best probe so far: one that was the best there was may
 * turn out to be slow. */
weft_noise_counts weft_noise_count(const weft_noise *noise);

/* More than a tenth of the samples were disturbed. */
bool weft_noise_is_noisy(const weft_noise *noise);

/* More than a tenth of the samples were disturbed by others on the processors, which the user can
 * stop, and which takes more from one peer than from another. What neighbours of the host do to
 * cache and memory, and where it puts the processors, is marked only: nobody here can stop it, and
 * peers that take turns share it. */
bool weft_noise_is_refused(const weft_noise *noise);

/* "3 of 40 samples were disturbed (…)", for messages. The caller has room for 200 bytes or more. */
void weft_noise_describe(const weft_noise *noise, char *text, size_t size);

/* `noisy`: whether what was measured is marked for it. */
json_t *weft_noise_json(const weft_noise *noise, bool noisy);

#endif
