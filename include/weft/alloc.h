/* SPDX-License-Identifier: MIT */
/* The caller's allocator. */
#ifndef WEFT_ALLOC_H
#define WEFT_ALLOC_H

#include <stddef.h>
#include <weft/export.h>

/* weft_allocator — where a map takes its memory from.
 *
 * Both functions may be called from any thread that uses the map, and from whichever thread frees
 * what others retired. `alloc` may return NULL: the operation then answers WEFT_E_NOMEM and changes
 * nothing. `align` is a power of two; `size` and `align` of `free` are those of the `alloc`.
 * `alloc_zeroed` is optional; where it is NULL, tables of 64 KiB and more come from the operating
 * system's zero pages, and go back to it in pieces: no call ever has to clear or free a large table
 * as a whole. A table from `alloc_zeroed` goes back by one call of `free`.
 * None of them may call into a map that the allocator serves: an engine may hold a lock meanwhile.
 * Nothing is kept: when weft_map_close has returned, all of `alloc` has come back by `free`. Where
 * the caller gives no allocator, each thread keeps up to 32 KiB of the blocks of entries for its
 * next ones, of any map, until it ends.
 * The struct is copied; `ctx` must outlive the map.
 */
typedef struct weft_allocator {
    void *ctx;
    void *(*alloc)(void *ctx, size_t size, size_t align);
    void (*free)(void *ctx, void *memory, size_t size, size_t align);
    void *(*alloc_zeroed)(void *ctx, size_t size, size_t align);
} weft_allocator;

#endif
