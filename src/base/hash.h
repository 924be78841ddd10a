/* SPDX-License-Identifier: MIT */
/* Hashing, keyed by default.
 *
 * Bytes: XXH3 with a secret of 192 bytes (Collet). The variant with a secret alone is used because
 * the one with secret and seed falls back to the published default secret for inputs of up to 240
 * bytes, which is where keys live. Integers: a seeded bijection, so that an integer can be found
 * again from its hash: twice multiply and fold, as the finalisers of MurmurHash3 (Appleby) do, but
 * with secret multipliers: for any two keys chosen without knowing the secret, the chance to meet
 * in a table is that of multiplicative hashing (Dietzfelbinger et al. 1997). It is nine
 * instructions, which counts: a processor that waits for memory looks ahead by instructions. */
#ifndef WEFT_BASE_HASH_H
#define WEFT_BASE_HASH_H

#include "base/platform.h"

enum { WEFT_HASH_SECRET_SIZE = 192 };

uint64_t weft_hash_bytes(const void *data, size_t size,
                         const unsigned char secret[WEFT_HASH_SECRET_SIZE]);

/* Stretch a seed to a secret: SplitMix64 (Steele, Lea, Flood 2014). */
void weft_hash_make_secret(unsigned char secret[WEFT_HASH_SECRET_SIZE], uint64_t seed);

/* SplitMix64's finaliser "Mix13" (Stafford), with the seed entering before each round: for seeds,
 * and for tests. */
static inline uint64_t weft_mix_u64(uint64_t x, uint64_t seed) {
    x ^= seed;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9) +
        ((seed << 21 | seed >> 43) + UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb) +
        ((seed << 42 | seed >> 22) ^ UINT64_C(0xd1b54a32d192ed03));
    return x ^ x >> 31;
}

/* A seed, as it enters: a difference and two odd multipliers. */
typedef struct weft_mixer {
    uint64_t round[3];
    uint64_t inverse[2]; /* of the multipliers */
} weft_mixer;

/* The inverse of an odd number modulo 2^64, by Newton's iteration: three bits are right at first,
 * and each step doubles them. */
static inline uint64_t weft_inverse_of(uint64_t odd) {
    uint64_t inverse = odd;
    for (int bits = 3; bits < 64; bits *= 2) {
        inverse *= 2 - odd * inverse;
    }
    return inverse;
}

static inline weft_mixer weft_mixer_of(uint64_t seed) {
    weft_mixer mixer = {.round = {seed, weft_mix_u64(seed, UINT64_C(0x9e3779b97f4a7c15)) | 1,
                                  weft_mix_u64(seed, UINT64_C(0xd1b54a32d192ed03)) | 1}};
    mixer.inverse[0] = weft_inverse_of(mixer.round[1]);
    mixer.inverse[1] = weft_inverse_of(mixer.round[2]);
    return mixer;
}

/* For each seed a bijection of the 64-bit numbers. */
static inline uint64_t weft_mix_with(const weft_mixer *mixer, uint64_t x) {
    x = (x ^ mixer->round[0]) * mixer->round[1];
    x = (x ^ x >> 32) * mixer->round[2];
    return x ^ x >> 32;
}

/* Its inverse: folding by half of the bits is its own. */
static inline uint64_t weft_unmix_with(const weft_mixer *mixer, uint64_t x) {
    x = (x ^ x >> 32) * mixer->inverse[1];
    x = (x ^ x >> 32) * mixer->inverse[0];
    return x ^ mixer->round[0];
}

#endif
