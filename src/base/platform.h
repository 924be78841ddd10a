/* SPDX-License-Identifier: MIT */
/* What every file may assume about compiler and machine. */
#ifndef WEFT_BASE_PLATFORM_H
#define WEFT_BASE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEFT_CACHE_LINE 64

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_THREAD_SANITIZER 1
#endif
#if __has_feature(address_sanitizer)
#define WEFT_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_THREAD_SANITIZER 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ADDRESS_SANITIZER 1
#endif

#define WEFT_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEFT_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* The compiler knows nothing about x from here on: no branch becomes of arithmetic with it. */
#define WEFT_HIDE(x) __asm__("" : "+r"(x))
/* True, and the compiler may rely on it. */
#define WEFT_KNOWN(x) ((x) ? (void)0 : __builtin_unreachable())
#define WEFT_NOINLINE __attribute__((noinline))
#define WEFT_LINE_ALIGNED __attribute__((aligned(WEFT_CACHE_LINE)))
#define WEFT_HOT __attribute__((hot))
#define WEFT_COLD __attribute__((cold, noinline))
#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))

/* The structure that holds `field` at `pointer`. */
#define WEFT_CONTAINER(pointer, type, field) ((type *)((char *)(pointer)-offsetof(type, field)))

static inline uint64_t weft_reverse_bits(uint64_t x) {
    x = __builtin_bswap64(x);
    x = ((x & 0x0f0f0f0f0f0f0f0fu) << 4) | ((x >> 4) & 0x0f0f0f0f0f0f0f0fu);
    x = ((x & 0x3333333333333333u) << 2) | ((x >> 2) & 0x3333333333333333u);
    return ((x & 0x5555555555555555u) << 1) | ((x >> 1) & 0x5555555555555555u);
}

/* Bits needed to count to n: the smallest b with 2^b >= n; 0 for n <= 1. */
static inline unsigned weft_bits_for(uint64_t n) {
    return n <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(n - 1);
}

#endif
