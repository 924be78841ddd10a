/* SPDX-License-Identifier: MIT */
/* Hashing, keyed by default.
 *
 * Bytes: XXH3 with a secret of 192 bytes (Collet). The variant with a secret alone is used because
 * the one with secret and seed falls back to the published default secret for inputs of up to 240
 * bytes, which is where keys live. Integers: a seeded bijection, so that an integer can be found
 * again from its hash: a product, a difference and a product, with secret numbers. All bits of a
 * factor reach the product's high bits, and few its low ones; so the bytes are reversed in between,
 * and turned afterwards, so that a hash begins with the product's highest 24 bits: for any two keys
 * chosen without knowing the secret, the chance to meet in a table is that of multiplicative
 * hashing (Dietzfelbinger et al. 1997). The difference keeps keys in a row from staying in a row,
 * some of which would fall together for one secret in twenty. It is five instructions, where
 * folding in place of turning, as the finalisers of MurmurHash3 (Appleby) do, takes nine. That
 * counts: a processor that waits, for memory or for the links of a chain, looks ahead by
 * instructions. The weakest bits are 24 to 31, the product's lowest. docs/design/inline.md has the
 * figures. */
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

/* A seed, as it enters: an odd multiplier, a difference, and another odd multiplier. */
typedef struct weft_mixer {
    uint64_t secret[3];
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
    weft_mixer mixer = {.secret = {weft_mix_u64(seed, UINT64_C(0x9e3779b97f4a7c15)) | 1,
                                   weft_mix_u64(seed, UINT64_C(0x8cb92ba72f3d8dd7)),
                                   weft_mix_u64(seed, UINT64_C(0xd1b54a32d192ed03)) | 1}};
    mixer.inverse[0] = weft_inverse_of(mixer.secret[0]);
    mixer.inverse[1] = weft_inverse_of(mixer.secret[2]);
    return mixer;
}

/* For each seed a bijection of the 64-bit numbers. */
static inline uint64_t weft_mix_with(const weft_mixer *mixer, uint64_t x) {
    x = (__builtin_bswap64(x * mixer->secret[0]) ^ mixer->secret[1]) * mixer->secret[2];
    return x << 24 | x >> 40;
}

/* Its inverse. */
static inline uint64_t weft_unmix_with(const weft_mixer *mixer, uint64_t x) {
    x = (x >> 24 | x << 40) * mixer->inverse[1];
    return __builtin_bswap64(x ^ mixer->secret[1]) * mixer->inverse[0];
}

#endif
