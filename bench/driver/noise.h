/* SPDX-License-Identifier: MIT */
/* Who else used the processors while something was measured. */
#ifndef WEFT_BENCH_DRIVER_NOISE_H
#define WEFT_BENCH_DRIVER_NOISE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct weft_noise {
    double load_before;
    uint64_t samples;
    uint64_t noisy;
    /* seconds, added up over all samples */
    double total;
    double foreign;
    double steal;
} weft_noise;

/* The state of the machine's accounts at one moment. */
typedef struct weft_noise_mark {
    double total, busy, steal; /* seconds of all processors together */
    double own;                /* of this process */
} weft_noise_mark;

void weft_noise_begin(weft_noise *noise);
weft_noise_mark weft_noise_now(void);

/* The sample between two marks, of which `used` seconds of processor time were the peer's. True:
 * more than a twentieth of the machine went to others. Nothing is counted. */
bool weft_noise_between(weft_noise *noise, const weft_noise_mark *before,
                        const weft_noise_mark *after, double used);

/* Count a sample that was kept. */
void weft_noise_count(weft_noise *noise, bool noisy);

/* More than a tenth of the samples were disturbed. */
bool weft_noise_is_noisy(const weft_noise *noise);

json_t *weft_noise_json(const weft_noise *noise);

#endif
