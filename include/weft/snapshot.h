/* SPDX-License-Identifier: MIT */
/* Snapshots: a map as it was at one moment, while it goes on. */
#ifndef WEFT_SNAPSHOT_H
#define WEFT_SNAPSHOT_H

#include <weft/export.h>
#include <weft/map.h>
#include <weft/status.h>
#include <weft/u64map.h>

/* A weft_map as it was at one moment. */
typedef struct weft_snapshot {
    void *image;
} weft_snapshot;

#define WEFT_SNAPSHOT_INIT                                                                         \
    { NULL }

/* A weft_u64map as it was at one moment. */
typedef struct weft_u64snapshot {
    void *image;
} weft_u64snapshot;

#define WEFT_U64SNAPSHOT_INIT                                                                      \
    { NULL }

/* Where a walk through a snapshot stands; all zero: at the beginning. May be copied, to come back
 * to the place later. */
typedef struct weft_snapshot_cursor {
    uint64_t bucket;
    uint64_t cell;
} weft_snapshot_cursor;

WEFT_BEGIN_DECLS

/* weft_map_snapshot — keep the map as it is now, for reading.
 *
 * map       the map
 * snapshot  out; to be released
 *
 * Returns  WEFT_OK · WEFT_E_BUSY (the table is being resized, or an earlier snapshot has not been
 *          moved away from yet: the call has moved some of it, and after enough calls it will do;
 *          or 16 snapshots live; or a reader stands still) · WEFT_E_NOMEM · WEFT_E_UNSUPPORTED (the
 *          engine has none). *snapshot is WEFT_SNAPSHOT_INIT then
 * Owns     the snapshot is the caller's until weft_snapshot_release; a map with snapshots cannot be
 *          closed
 * Threads  any
 * Progress lock-free; writers and readers go on
 * Order    linearizable: it shows all writes that come before one moment of this call, and none
 *          that comes after it, of whichever keys [A]
 * Cost     constant: three allocations, and at most three attempts to move the epoch. Afterwards
 *          each write moves a few buckets until all have moved, as after a growth; the memory of a
 *          copy of the table, and of what is replaced and removed, is held until the release
 * Source   picos Htbl: a resize to the same capacity leaves a snapshot behind. That a late write
 *          cannot spoil it is explained in docs/design/snapshot.md
 */
WEFT_API int weft_map_snapshot(weft_map *map, weft_snapshot *snapshot);

/* weft_snapshot_get — look a key up as it was.
 *
 * snapshot  taken
 * key       bytes, borrowed
 * view      out, if the status is WEFT_OK: key, value, and the version that the key had; 0 in place
 *           of the version if the key has been written since
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_NOMEM (memory was too short to go on keeping the
 *          snapshot: it shows nothing any more) · WEFT_E_TOOBIG (the key) · WEFT_E_INVALID (the
 *          snapshot was not taken)
 * Owns     the view's bytes are the snapshot's, until it is released
 * Threads  any, also with one snapshot
 * Progress lock-free
 * Order    none: a snapshot does not change
 * Cost     as weft_map_get; the first look at a bucket may have to move it
 */
WEFT_API int weft_snapshot_get(const weft_snapshot *snapshot, weft_bytes key, weft_view *view);

/* weft_snapshot_next — the next entry of a walk through a snapshot.
 *
 * snapshot  taken
 * cursor    in and out: where the walk stands; begin with all zero
 * view      out, as for weft_snapshot_get
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND (that was all) · WEFT_E_NOMEM · WEFT_E_INVALID (both as
 *          weft_snapshot_get)
 * Owns     the view's bytes are the snapshot's, until it is released
 * Threads  any, also several walks at a time, each with a cursor of its own
 * Progress lock-free
 * Order    each entry exactly once, in no particular order
 * Cost     a cell of a bucket; at a bucket's end, a few buckets are moved if some are left
 */
WEFT_API int weft_snapshot_next(const weft_snapshot *snapshot, weft_snapshot_cursor *cursor,
                                weft_view *view);

/* weft_snapshot_release — give a snapshot up.
 *
 * snapshot  taken, or WEFT_SNAPSHOT_INIT; becomes WEFT_SNAPSHOT_INIT
 *
 * Returns  nothing
 * Owns     views of the snapshot end; destructors of what only it showed run later, as for what is
 *          removed
 * Threads  none may use the snapshot meanwhile or afterwards; the map, any
 * Progress lock-free
 * Order    none
 * Cost     what has been replaced and removed since the snapshot is handed to reclamation
 */
WEFT_API void weft_snapshot_release(weft_snapshot *snapshot);

/* weft_u64map_snapshot — keep the map as it is now, for reading.
 *
 * map       the map
 * snapshot  out; to be released
 *
 * Returns  as weft_map_snapshot
 * Owns     as weft_map_snapshot
 * Threads  any
 * Progress lock-free; writers and readers go on
 * Order    as weft_map_snapshot
 * Cost     as weft_map_snapshot
 */
WEFT_API int weft_u64map_snapshot(weft_u64map *map, weft_u64snapshot *snapshot);

/* weft_u64snapshot_get — look a key up as it was.
 *
 * snapshot  taken
 * key       any number
 * value     out; 0 if the key is absent
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_NOMEM · WEFT_E_INVALID, as weft_snapshot_get
 * Owns     nothing
 * Threads  any, also with one snapshot
 * Progress lock-free
 * Order    none: a snapshot does not change
 * Cost     as weft_u64map_get; the first look at a bucket may have to move it
 */
WEFT_API int weft_u64snapshot_get(const weft_u64snapshot *snapshot, uint64_t key, uint64_t *value);

/* weft_u64snapshot_next — the next entry of a walk through a snapshot.
 *
 * snapshot  taken
 * cursor    in and out: where the walk stands; begin with all zero
 * pair      out: key and value
 *
 * Returns  as weft_snapshot_next
 * Owns     nothing
 * Threads  any, also several walks at a time, each with a cursor of its own
 * Progress lock-free
 * Order    each entry exactly once, in no particular order
 * Cost     as weft_snapshot_next
 */
WEFT_API int weft_u64snapshot_next(const weft_u64snapshot *snapshot, weft_snapshot_cursor *cursor,
                                   weft_u64pair *pair);

/* weft_u64snapshot_release — give a snapshot up.
 *
 * snapshot  taken, or WEFT_U64SNAPSHOT_INIT; becomes WEFT_U64SNAPSHOT_INIT
 *
 * Returns  nothing
 * Owns     nothing is left of it
 * Threads  none may use the snapshot meanwhile or afterwards; the map, any
 * Progress lock-free
 * Order    none
 * Cost     as weft_snapshot_release
 */
WEFT_API void weft_u64snapshot_release(weft_u64snapshot *snapshot);

WEFT_END_DECLS

#endif
