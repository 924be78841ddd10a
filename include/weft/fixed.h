/* SPDX-License-Identifier: MIT */
/* Engine "fixed": all memory at the beginning, and none later; and numbers in memory that processes
 * share.
 *
 *     weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_FIXED};
 *     options.fixed.capacity = 100000;
 *     weft_u64map_open(&map, &options);               // the last allocation
 *
 * In a file that processes share, in /dev/shm if it need not outlive the machine's next start:
 *     weft_fixed_mapping file;
 *     if (weft_fixed_map_path(&file, "/dev/shm/routes", 100000) != WEFT_OK)
 *         puts(file.error_text);                      // what, where, and what to do
 *     options.fixed.memory = file.memory;
 *     options.fixed.memory_bytes = file.bytes;
 *     weft_u64map_open(&map, &options);               // makes the table, or finds it
 * or in any other memory that is zero at first, of weft_fixed_bytes(capacity) bytes, mapped
 * MAP_SHARED by each process, wherever.
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
 * Opening answers WEFT_E_INVALID if it is too small or not at a multiple of 64 bytes,
 * WEFT_E_UNSUPPORTED if it holds a table of another format, and WEFT_E_CORRUPT if it holds
 * something else than a table, or one that is cut off. Processes trust each other: who can write to
 * the memory can break it.
 */
#ifndef WEFT_FIXED_H
#define WEFT_FIXED_H

#include <weft/map.h>

enum { WEFT_FIXED_TEXT_MAX = 320 };

/* A file that is mapped for a shared table. */
typedef struct weft_fixed_mapping {
    void *memory; /* NULL: none */
    size_t bytes;
    char error_text[WEFT_FIXED_TEXT_MAX]; /* if it was refused: what, where, and what to do */
} weft_fixed_mapping;

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

/* weft_fixed_map_path — map the file that a shared table is in, or is to be in.
 *
 * file     is filled: memory and bytes for weft_fixed_options; on refusal error_text
 * path     is made, of the size that `capacity` takes, if it is not there or empty, for its owner
 *          alone (mode 0600)
 * capacity entries, the same in each process; 0: as the option's default. Where there is a table
 *          already its own counts
 *
 * Returns  WEFT_OK · WEFT_E_IO (the system's error is in error_text) · WEFT_E_INVALID (too small
 *          for a new table) · WEFT_E_UNSUPPORTED (a table of another format or byte order) ·
 *          WEFT_E_CORRUPT (no table, or one that is damaged or cut off). Without WEFT_OK nothing is
 *          mapped and no byte of the file has been changed
 * Owns     the mapping, until weft_fixed_unmap; after weft_u64map_close
 * Threads  any; any process at the same time
 * Progress does file operations
 * Order    none
 * Cost     some system calls
 */
WEFT_API int weft_fixed_map_path(weft_fixed_mapping *file, const char *path, size_t capacity);

/* weft_fixed_map_fd — map an open file that a shared table is in, or is to be in.
 *
 * file     as weft_fixed_map_path
 * fd       open to be read and written; of a file, memfd_create or shm_open; it may be closed as
 *          soon as this returns
 * capacity as weft_fixed_map_path
 *
 * Returns  as weft_fixed_map_path
 * Owns     as weft_fixed_map_path; fd stays the caller's
 * Threads  as weft_fixed_map_path
 * Progress does file operations
 * Order    none
 * Cost     as weft_fixed_map_path
 */
WEFT_API int weft_fixed_map_fd(weft_fixed_mapping *file, int fd, size_t capacity);

/* weft_fixed_unmap — give the mapping back; the table stays in its file.
 *
 * file     as filled; also one that was refused or given back, or {0}: then nothing happens
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  one at a time
 * Progress one system call
 * Order    all uses of maps in it must happen before
 * Cost     a system call
 */
WEFT_API void weft_fixed_unmap(weft_fixed_mapping *file);

WEFT_END_DECLS

#endif
