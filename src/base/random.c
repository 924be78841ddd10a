/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include "base/clock.h"
#include "base/hash.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void fill_from_clock(unsigned char *at, size_t size) {
    static uint64_t calls;
    uint64_t seed = weft_clock_monotonic_ns() ^ (uint64_t)(uintptr_t)&seed ^
                    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) << 48;
    for (uint64_t n = 0; size != 0; n++) {
        uint64_t word = weft_mix_u64(n, seed);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(at, &word, part);
        at += part;
        size -= part;
    }
}

bool weft_random_bytes(void *memory, size_t size) {
    unsigned char *at = memory;
    while (size != 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            fill_from_clock(at, size);
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

uint64_t weft_random_u64(void) {
    uint64_t word;
    (void)weft_random_bytes(&word, sizeof word);
    return word;
}
