/* SPDX-License-Identifier: MIT */
#include "memory_speed.h"
#include "base/clock.h"
#include "base/memory.h"
#include <stddef.h>
#include <string.h>

enum {
    LINE = 64,
    CACHE_LINES = 1 << 16,
    MEMORY_LINES = 1 << 20,
    CACHE_STEPS = CACHE_LINES, /* once around */
    /* Each probe goes on where the last one ended, so it reads lines that no cache still has. */
    MEMORY_STEPS = 1 << 13,
    WARM_UPS = 2, /* the second one moves lines from a core's own cache to a shared victim cache */
};

/* Over some minutes on a quiet two-core virtual machine a probe of the cache took 15 to 25 ns, and
 * one of memory 183 to 250 ns; with neighbours at work they took 45 to 270 and 340 to 730 ns. The
 * factors lie in the gaps. */
static const double cache_factor = 2.5;
static const double memory_factor = 1.6;

/* Each line holds the number of the next. The order is that of a linear congruential generator: it
 * visits every line once (Hull and Dobell: the increment is odd, the multiplier 1 modulo 4), no
 * prefetcher guesses it, and it takes one pass to write. */
static bool open_ring(weft_memory_ring *ring, uint32_t count) {
    *ring = (weft_memory_ring){.count = count};
    ring->lines = weft_pages_map((size_t)count * LINE);
    for (uint32_t i = 0; ring->lines != NULL && i < count; i++) {
        uint32_t next = (i * 1664525U + 1013904223U) & (count - 1);
        memcpy(ring->lines + (size_t)i * LINE, &next, sizeof next);
    }
    return ring->lines != NULL;
}

static void close_ring(weft_memory_ring *ring) {
    if (ring->lines != NULL) {
        weft_pages_unmap(ring->lines, (size_t)ring->count * LINE);
    }
    *ring = (weft_memory_ring){0};
}

static uint32_t read_line(const weft_memory_ring *ring, uint32_t number) {
    return *(const volatile uint32_t *)(ring->lines + (size_t)number * LINE);
}

/* Nanoseconds a step. */
static double walk(weft_memory_ring *ring, uint32_t steps) {
    uint32_t at = ring->at;
    uint64_t began = weft_clock_monotonic_ns();
    for (uint32_t i = 0; i < steps; i++) {
        at = read_line(ring, at);
    }
    uint64_t ended = weft_clock_monotonic_ns();
    ring->at = at;
    return (double)(ended - began) / steps;
}

void weft_memory_probe_open(weft_memory_probe *probe) {
    bool good = open_ring(&probe->cache, CACHE_LINES);
    if (!open_ring(&probe->memory, MEMORY_LINES) || !good) {
        weft_memory_probe_close(probe);
    }
}

void weft_memory_probe_close(weft_memory_probe *probe) {
    close_ring(&probe->cache);
    close_ring(&probe->memory);
}

weft_memory_speed weft_memory_probe_take(weft_memory_probe *probe) {
    weft_memory_speed speed = {0, 0};
    if (probe->cache.lines == NULL) {
        return speed;
    }
    for (uint32_t i = 0; i < WARM_UPS * CACHE_LINES; i++) {
        read_line(&probe->cache, i % CACHE_LINES);
    }
    speed.cache = walk(&probe->cache, CACHE_STEPS);
    speed.memory = walk(&probe->memory, MEMORY_STEPS);
    return speed;
}

static double least(double a, double b) {
    return b > 0 && (b < a || !(a > 0)) ? b : a;
}

weft_memory_speed weft_memory_speed_best(weft_memory_speed a, weft_memory_speed b) {
    return (weft_memory_speed){least(a.cache, b.cache), least(a.memory, b.memory)};
}

bool weft_memory_cache_is_slow(weft_memory_speed probe, weft_memory_speed best) {
    return best.cache > 0 && probe.cache > best.cache * cache_factor;
}

bool weft_memory_is_slow(weft_memory_speed probe, weft_memory_speed best) {
    return best.memory > 0 && probe.memory > best.memory * memory_factor;
}
