/* SPDX-License-Identifier: MIT */
/* Hashing, keyed by default.
 *
 * Bytes: XXH3 with a secret of 192 bytes (Collet). The variant with a secret alone is used because
 * the one with secret and seed falls back to the published default secret for inputs of up to 240
 * bytes, which is where keys live. Integers: a seeded bijection, so that an integer can be found
 * again from its hash: the finaliser "Mix13" (Stafford), which SplitMix64 uses, with the seed
 * entering before each of its three rounds. */
#ifndef WEFT_BASE_HASH_H
#define WEFT_BASE_HASH_H

#include "base/platform.h"

enum { WEFT_HASH_SECRET_SIZE = 192 };

uint64_t weft_hash_bytes(const void *data, size_t size,
                         const unsigned char secret[WEFT_HASH_SECRET_SIZE]);

/* Stretch a seed to a secret: SplitMix64 (Steele, Lea, Flood 2014). */
void weft_hash_make_secret(unsigned char secret[WEFT_HASH_SECRET_SIZE], uint64_t seed);

/* A seed, as it enters before each round. */
typedef struct weft_mixer {
    uint64_t round[3];
} weft_mixer;

static inline weft_mixer weft_mixer_of(uint64_t seed) {
    return (weft_mixer){{seed, (seed << 21 | seed >> 43) + UINT64_C(0x9e3779b97f4a7c15),
                         (seed << 42 | seed >> 22) ^ UINT64_C(0xd1b54a32d192ed03)}};
}

/* For each seed a bijection of the 64-bit numbers. */
static inline uint64_t weft_mix_with(const weft_mixer *mixer, uint64_t x) {
    x ^= mixer->round[0];
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9) + mixer->round[1];
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb) + mixer->round[2];
    return x ^ x >> 31;
}

/* Its inverse: the multipliers are the modular inverses, and a shift-xor is undone by its own
 * powers. */
static inline uint64_t weft_unmix_with(const weft_mixer *mixer, uint64_t x) {
    x ^= x >> 31 ^ x >> 62;
    x -= mixer->round[2];
    x *= UINT64_C(0x319642b2d24d8ec3);
    x ^= x >> 27 ^ x >> 54;
    x -= mixer->round[1];
    x *= UINT64_C(0x96de1b173f119089);
    x ^= x >> 30 ^ x >> 60;
    return x ^ mixer->round[0];
}

static inline uint64_t weft_mix_u64(uint64_t x, uint64_t seed) {
    weft_mixer mixer = weft_mixer_of(seed);
    return weft_mix_with(&mixer, x);
}

static inline uint64_t weft_unmix_u64(uint64_t x, uint64_t seed) {
    weft_mixer mixer = weft_mixer_of(seed);
    return weft_unmix_with(&mixer, x);
}

#endif
