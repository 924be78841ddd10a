/* SPDX-License-Identifier: MIT */
#include "base/crc32c.h"
#include <string.h>

enum { POLYNOMIAL_BITS = 8 };

/* The polynomial with its bits reversed: the least significant bit goes first. */
static const uint32_t polynomial = 0x82f63b78;

/* One byte at a time needs 8 steps a byte; a table of 16 halves that to 2 look-ups a byte without
 * any set-up that threads would have to share. */
static uint32_t nibble(uint32_t crc) {
    for (int bit = 0; bit < POLYNOMIAL_BITS / 2; bit++) {
        crc = (crc >> 1) ^ (polynomial & (0 - (crc & 1)));
    }
    return crc;
}

static uint32_t portable(uint32_t crc, const unsigned char *at, size_t size) {
    uint32_t table[16];
    for (uint32_t i = 0; i < 16; i++) {
        table[i] = nibble(i);
    }
    for (; size != 0; size--) {
        crc ^= *at++;
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t instruction(uint32_t crc, const unsigned char *at,
                                                              size_t size) {
    uint64_t wide = crc;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size != 0; size--) {
        crc = __builtin_ia32_crc32qi(crc, *at++);
    }
    return crc;
}
#endif

uint32_t weft_crc32c(uint32_t crc, const void *data, size_t size) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~instruction(~crc, data, size);
    }
#endif
    return ~portable(~crc, data, size);
}
