/* SPDX-License-Identifier: MIT */
/* weft_recording: the operations of a running map, written to a trace file.
 *
 * START HERE
 *     weft_recording *recording;
 *     weft_recording_options options = {.size = sizeof options, .file = "busy.trace"};
 *     weft_recording_start(&map, &recording, &options);   // refused? options.error_text says why
 *     …                                                   // the program goes on, any threads
 *     weft_recording_stop(recording, NULL);               // the file is complete
 * A trace holds operations and keys, no values. `weft bench trace show` describes it, and
 * `weft bench trace run` replays it on weft and on other maps.
 *
 * TWO WAYS
 *   exact    (sample 0 or 1) every operation, or none behind a point that the error tells. If the
 *            disk is slower than the program, the program waits.
 *   sampled  (sample N) all operations on 1 key in N, chosen by hash, so that what happens to a
 *            key stays together and popular keys are as popular. No operation waits; what does not
 *            fit into the buffer is dropped, and counted.
 *
 * ORDER
 *   Each thread's operations are in its order. An operation that returned before another was
 *   called stands before it, whatever their threads and keys. Operations that overlapped in time
 *   are in either order.
 *
 * WHAT IS RECORDED
 *   get       get peek contains acquire get_many; and each write that was refused, and so only
 *             looked: replace of an absent key, cas with a mismatch, compute with KEEP …
 *   put       put put_many swap replace restore
 *   insert    insert get_or_insert, also if the key was there
 *   remove    remove take remove_many, also if the key was not there; remove_eq remove_if
 *             remove_if_version retain compute, if they removed
 *   add       weft_u64map_fetch_add
 *   rmw       fetch cas replace_if_version merge compute, if they stored
 *   A get_or_build is a get; where the value is built, two gets and an insert. Walks, prefetch and
 *   what concerns the whole map are not recorded. A trace cannot hold clear, nor keys of no byte or
 *   of more than 65 535: they end an exact recording with WEFT_E_UNSUPPORTED, and count as dropped
 *   in a sampled one.
 */
#ifndef WEFT_RECORD_H
#define WEFT_RECORD_H

#include <weft/map.h>
#include <weft/u64map.h>

/* A recording. Made by weft_recording_start. */
typedef struct weft_recording weft_recording;

typedef enum weft_recording_state {
    WEFT_RECORDING_RUNNING = 0,
    WEFT_RECORDING_ENDED = 1,  /* the map was closed: the file is complete */
    WEFT_RECORDING_FAILED = 2, /* see error_text; the file is left unfinished */
    WEFT_RECORDING_FORKED = 3, /* this is a child of fork: the parent goes on with the file */
} weft_recording_state;

enum { WEFT_RECORDING_TEXT_MAX = 256 };

typedef struct weft_recording_options {
    size_t size;           /* sizeof(weft_recording_options) */
    const char *file;      /* made; must not be there yet */
    const char *name;      /* of the trace, up to 63 bytes; NULL: what kind of recording it is */
    uint64_t sample;       /* record 1 key in so many; 0 or 1: all, exactly */
    uint64_t seed;         /* chooses the keys, together with the map's hash_seed */
    bool prefill;          /* begin with the entries that the map holds */
    uint64_t buffer_bytes; /* what may wait in memory, 256 KiB … 1 GiB; 0: 16 MiB */
    char error_text[WEFT_RECORDING_TEXT_MAX]; /* out: if start is refused, why */
} weft_recording_options;

typedef struct weft_recording_stats {
    weft_recording_state state;
    uint64_t prefill;       /* entries that the trace begins with */
    uint64_t recorded;      /* operations in the file, or in its unfinished last chunk */
    uint64_t dropped;       /* operations on chosen keys that were not recorded; exact: 0 */
    uint64_t waits;         /* exact: operations that found the buffer full */
    uint64_t waiting_bytes; /* in the buffer */
    uint64_t bytes;         /* of the file, so far */
    char error_text[WEFT_RECORDING_TEXT_MAX]; /* FAILED: what happened; else "" */
} weft_recording_stats;

WEFT_BEGIN_DECLS

/* weft_recording_start — begin to record the operations of a map.
 *
 * map      the map; opened with defaults if it is new
 * recording  out
 * options  `size` and `file` set; zero fields are defaults; error_text is written on refusal
 *
 * With `prefill`, the file begins with the entries as a walk finds them while operations go on and
 * wait in memory: an operation during the walk may be contained in them already.
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (size, an option, or the file is there already) · WEFT_E_BUSY
 *          (this map is being recorded, or this thread is inside a guard) · WEFT_E_FULL (no room on
 *          the disk) · WEFT_E_IO · WEFT_E_UNSUPPORTED (prefill: an entry that a trace cannot hold)
 *          · WEFT_E_NOMEM
 * Owns     the recording is the caller's until weft_recording_stop; options are copied
 * Threads  any; as a read in the map's MATRIX
 * Progress does file operations; with `prefill` as weft_map_foreach
 * Order    operations that begin after it has returned are recorded; those under way may be
 * Cost     a thread, a file, the buffer, each page of which is touched; with `prefill` O(entries)
 */
WEFT_API int weft_recording_start(weft_map *map, weft_recording **recording,
                                  weft_recording_options *options);

/* weft_recording_start_u64 — the same for a map of numbers.
 *
 * map      the map; opened with defaults if it is new
 * recording  out
 * options  as for weft_recording_start
 *
 * Returns  as weft_recording_start
 * Owns     as weft_recording_start
 * Threads  as weft_recording_start
 * Progress as weft_recording_start
 * Order    as weft_recording_start
 * Cost     as weft_recording_start
 */
WEFT_API int weft_recording_start_u64(weft_u64map *map, weft_recording **recording,
                                      weft_recording_options *options);

/* weft_recording_stop — end a recording, complete its file, and free it.
 *
 * recording  from weft_recording_start; gone afterwards, unless the answer is WEFT_E_BUSY
 * stats    out, may be NULL: the last figures
 *
 * Returns  WEFT_OK (the file is complete) · WEFT_E_FULL, WEFT_E_IO, WEFT_E_NOMEM,
 *          WEFT_E_UNSUPPORTED (it had failed: the file is no trace) · WEFT_E_CLOSED (in a child of
 *          fork: the file is the parent's) · WEFT_E_BUSY (this thread is inside a guard: the
 *          recording goes on)
 * Owns     the recording is freed
 * Threads  any; as a read in the map's MATRIX, but a closed map does no harm. None may use the
 *          recording meanwhile or afterwards
 * Progress waits for guards that were entered before, in any thread, and for file operations
 * Order    operations that returned before it was called are in the file; those under way may be
 * Cost     what waits in the buffer is written
 */
WEFT_API int weft_recording_stop(weft_recording *recording, weft_recording_stats *stats);

/* weft_recording_stats_get — figures of a recording.
 *
 * recording  from weft_recording_start
 * stats    out
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none: numbers of a moment
 * Cost     O(1)
 */
WEFT_API void weft_recording_stats_get(const weft_recording *recording,
                                       weft_recording_stats *stats);

WEFT_END_DECLS

#endif
