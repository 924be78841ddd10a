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
