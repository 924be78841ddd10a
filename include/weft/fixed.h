/* SPDX-License-Identifier: MIT */
/* Engine "fixed": all memory at the beginning, and none later; and numbers in memory that processes
 * share.
 *
 *     weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_FIXED};
 *     options.fixed.capacity = 100000;
 *     weft_u64map_open(&map, &options);               // the last allocation
 *
 * In shared memory, which is zero at first (a fresh file, memfd_create or shm_open, of
 * weft_fixed_bytes(capacity) bytes, mapped MAP_SHARED by each process, wherever):
 *     options.fixed.memory = mapping;
 *     options.fixed.memory_bytes = bytes;
 *     weft_u64map_open(&map, &options);               // makes the table, or finds it
 *
 * WEFT_E_FULL is an answer. As many entries as `capacity` says fit nearly always; which insert is
 * refused is a matter of chance, as each bucket that is full takes a line of a common stock, and
 * keeps it. Records (weft_map) are stored inline in a stock of their own: keys and values up to the
 * sizes given, WEFT_E_TOOBIG beyond. A record that was replaced or removed is free again when no
 * guard that was entered before is held any more. clear and assign allocate a table once more.
 *
 * Shared: a process may be killed at any point. What it was told has been done is there, what it
 * was about to do is there or is not, and nobody waits for it. A write that was under way may leave
 * one line of the stock unused for ever. Numbers only: records are addresses. clear and assign
 * answer WEFT_E_UNSUPPORTED, and weft_u64map_len counts by looking at all of the table. The memory
 * stays the caller's, who unmaps it after weft_u64map_close; the last process to use it removes it.
 * Opening answers WEFT_E_INVALID if it is too small or not at a multiple of 64 bytes, and
 * WEFT_E_CORRUPT if it holds something else than a table. Processes trust each other: who can write
 * to the memory can break it.
 */
#ifndef WEFT_FIXED_H
#define WEFT_FIXED_H

#include <weft/map.h>

WEFT_BEGIN_DECLS

/* weft_fixed_bytes — how much memory a shared table takes.
 *
 * capacity entries; 0: as the option's default
 *
 * Returns  bytes for weft_fixed_options.memory_bytes
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none
 * Cost     O(1)
 */
WEFT_API size_t weft_fixed_bytes(size_t capacity);

WEFT_END_DECLS

#endif
