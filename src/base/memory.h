/* SPDX-License-Identifier: MIT */
/* The memory seam: every allocation of the library goes through here, so that a test can make the
 * n-th one fail. */
#ifndef WEFT_BASE_MEMORY_H
#define WEFT_BASE_MEMORY_H

#include "base/platform.h"
#include <weft/alloc.h>

/* malloc, aligned_alloc and free of the process. */
extern const weft_allocator weft_memory_default;

/* `size` bytes at a multiple of `align` (a power of two); NULL without memory. `allocator` NULL:
 * the default one. */
void *weft_memory_alloc(const weft_allocator *allocator, size_t size, size_t align);
void weft_memory_free(const weft_allocator *allocator, void *memory, size_t size, size_t align);

/* Small blocks of malloc's that a thread keeps for its next allocations, by size: malloc keeps but
 * seven of a size, and a grace period ends for hundreds at once. Zeroed, it is empty; whoever
 * forgets it has to empty it. */
enum {
    WEFT_SPARE_STEP = 16, /* classes of sizes, which are those of common allocators: 8 above it */
    WEFT_SPARE_CLASSES = 18,
    WEFT_SPARE_MAX = (WEFT_SPARE_CLASSES - 1) * WEFT_SPARE_STEP - 8, /* larger ones are not kept */
    WEFT_SPARE_BYTES = 32 * 1024,                                    /* a thread keeps no more */
};

typedef struct weft_spares {
    void *blocks[WEFT_SPARE_CLASSES]; /* linked through their first words */
    size_t bytes;
} weft_spares;

/* As weft_memory_alloc and weft_memory_free with the default allocator and malloc's alignment; a
 * block of the one is for the other, of whatever thread, with the same size. `spares`: the calling
 * thread's, or NULL. */
void *weft_memory_take(weft_spares *spares, size_t size);
void weft_memory_give(weft_spares *spares, void *memory, size_t size);
void weft_spares_empty(weft_spares *spares);

enum { WEFT_HUGE_PAGE = 2 << 20 };

/* Zero pages from the operating system, page-aligned, backed when first touched; huge pages are
 * asked for, and the address is a multiple of theirs, from 2 MiB on. NULL without memory. Unmap
 * with the same size, or in parts of whole pages. */
void *weft_pages_map(size_t size);
/* Without huge pages: for what is touched in order, or hardly. */
void *weft_pages_map_small(size_t size);
void weft_pages_unmap(void *memory, size_t size);

/* Bytes mapped and not yet unmapped. */
uint64_t weft_pages_held(void);

/* Failure injection, for tests: the n-th allocation from now on (the first is 1; pages count too),
 * in any thread, returns NULL; with `forever` all later ones as well. n = 0 fails none and only
 * counts. */
void weft_memory_fail_at(uint64_t n, bool forever);
void weft_memory_fail_off(void);
/* Allocations asked for since the last weft_memory_fail_at; stands still after
 * weft_memory_fail_off. */
uint64_t weft_memory_count(void);

#endif
