/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t weft_hash_bytes(const void *data, size_t size,
                         const unsigned char secret[WEFT_HASH_SECRET_SIZE]) {
    return XXH3_64bits_withSecret(data, size, secret, WEFT_HASH_SECRET_SIZE);
}

void weft_hash_make_secret(unsigned char secret[WEFT_HASH_SECRET_SIZE], uint64_t seed) {
    for (size_t at = 0; at < WEFT_HASH_SECRET_SIZE; at += sizeof seed) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t word = weft_mix_u64(seed, 0);
        memcpy(secret + at, &word, sizeof word);
    }
}
