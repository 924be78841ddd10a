/* SPDX-License-Identifier: MIT */
/* Repeatable chance for tests: SplitMix64 over a seed. */
#ifndef WEFT_TESTS_PRNG_H
#define WEFT_TESTS_PRNG_H

#include "base/hash.h"

typedef struct weft_prng {
    uint64_t state;
} weft_prng;

static inline weft_prng weft_prng_of(uint64_t seed) {
    weft_prng prng = {weft_mix_u64(seed, UINT64_C(0x2545f4914f6cdd1d))};
    return prng;
}

static inline uint64_t weft_prng_next(weft_prng *prng) {
    prng->state += UINT64_C(0x9e3779b97f4a7c15);
    return weft_mix_u64(prng->state, 0);
}

/* 0 <= result < bound, for a bound below 2^32. */
static inline uint32_t weft_prng_below(weft_prng *prng, uint32_t bound) {
    return (uint32_t)((weft_prng_next(prng) >> 32) * bound >> 32);
}

#endif
