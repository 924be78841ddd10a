/* SPDX-License-Identifier: MIT */
/* Writes of several keys that take effect at one moment: all of them, or none.
 *
 *     weft_write writes[] = {
 *         {WEFT_WRITE_PUT, weft_str("from"), weft_str("70")},
 *         {WEFT_WRITE_PUT, weft_str("to"), weft_str("30")},
 *         {WEFT_WRITE_REMOVE, weft_str("transfer-17"), {NULL, 0}},
 *     };
 *     if (weft_map_write_batch(&map, writes, 3) == WEFT_OK) …
 *
 * GUARANTEES of a batch that answers WEFT_OK (tests name the letter that they prove)
 *   J  All or nothing. With any other answer the map is what it was: nobody saw any of it.
 *   K  One moment. There is one point between call and return at which all of its writes take
 *      effect. Whatever looks at several keys at one moment sees all of the batch or nothing of it:
 *      a snapshot does. Two gets are two moments: the first may come before that point and the
 *      second after it, so that key A is the old one and then key B the new one. The reverse cannot
 *      be: a get that sees one key as the batch left it, or as a later write did, comes after the
 *      point; so every get that begins after this one has returned, of any key of the batch and in
 *      any thread that knows of the return, sees what the batch wrote, or a later write.
 *   L  In order. Writes of one key within a batch take effect one after the other: the last one
 *      counts. What came before it in the batch is never seen; its destructor runs with
 *      WEFT_REPLACED or WEFT_REMOVED.
 *
 * Engines: "cow" copies the table once for all of the batch. "sharded" locks the shards of all its
 * keys together. "lockfree" has no moment at which several buckets change, and the others have no
 * such call: they answer WEFT_E_UNSUPPORTED. Replacing all that a map holds (weft_map_assign) is
 * offered by every engine.
 */
#ifndef WEFT_WRITE_BATCH_H
#define WEFT_WRITE_BATCH_H

#include <weft/map.h>
#include <weft/u64map.h>

typedef enum weft_write_op {
    WEFT_WRITE_PUT = 0,    /* store, whether the key is there or not */
    WEFT_WRITE_REMOVE = 1, /* no error if it is not there */
} weft_write_op;

/* One write of a batch. */
typedef struct weft_write {
    weft_write_op op;
    weft_bytes key;
    weft_bytes value; /* of a put */
} weft_write;

typedef struct weft_u64write {
    weft_write_op op;
    uint64_t key;
    uint64_t value; /* of a put */
} weft_u64write;

WEFT_BEGIN_DECLS

/* weft_map_write_batch — carry out several writes as one.  [J K L]
 *
 * map      the map
 * writes   `count` writes; read during the call
 * count    number of writes; 0 is allowed
 *
 * Returns  WEFT_OK · WEFT_E_UNSUPPORTED (the engine has no such call) · WEFT_E_TOOBIG (a key or a
 *          value) · WEFT_E_INVALID (an op) · WEFT_E_NOMEM · WEFT_E_FULL. Without WEFT_OK nothing
 *          has changed
 * Owns     as weft_map_put for each put. Without WEFT_OK all keys and values stay the caller's
 * Threads  any
 * Progress cow: may block; waits for writers, never for readers. sharded: may block; waits for who
 *          is in one of its shards, and for other batches
 * Order    linearizable as a whole [K]; release: pairs with the acquire of a read that sees it
 * Cost     cow: one copy of the table, O(entries + count), and `count` small allocations. sharded:
 *          O(count log count), and `count` small allocations; who wants one of its shards meanwhile
 *          waits for the whole batch
 * Source   RocksDB's and LevelDB's WriteBatch
 */
WEFT_API int weft_map_write_batch(weft_map *map, const weft_write *writes, size_t count);

/* weft_map_assign — replace all that the map holds.  [J K L]
 *
 * map      the map; a clear and a batch of puts at one moment. It begins a new era [D]
 * keys     `count` keys; of keys that are there twice the last one counts
 * values   `count` values
 * count    number of both; 0 is a clear
 *
 * Returns  WEFT_OK · WEFT_E_TOOBIG · WEFT_E_NOMEM · WEFT_E_FULL · WEFT_E_UNSUPPORTED (the engine
 *          has one table for ever). Without WEFT_OK nothing has changed
 * Owns     as weft_map_put for each; what the map held leaves with WEFT_CLEARED
 * Threads  any; writes that run meanwhile come before it, and are cleared, or after it
 * Progress lock-free on every engine: the new table is built aside, and put in place by one step
 * Order    linearizable as a whole [K]
 * Cost     O(count); the old table is freed in pieces by later writes. Until then both are there,
 *          and during the call some 100 bytes for each key beside them
 */
WEFT_API int weft_map_assign(weft_map *map, const weft_bytes *keys, const weft_bytes *values,
                             size_t count);

/* weft_u64map_write_batch — carry out several writes as one.  [J K L]
 *
 * map      the map
 * writes   `count` writes
 * count    number of writes; 0 is allowed
 *
 * Returns  WEFT_OK · WEFT_E_UNSUPPORTED (the engine has no such call) · WEFT_E_INVALID (an op) ·
 *          WEFT_E_NOMEM · WEFT_E_FULL. Without WEFT_OK nothing has changed
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_write_batch
 * Order    as weft_map_write_batch
 * Cost     as weft_map_write_batch, without allocations for entries
 */
WEFT_API int weft_u64map_write_batch(weft_u64map *map, const weft_u64write *writes, size_t count);

/* weft_u64map_assign — replace all that the map holds.  [J K L]
 *
 * map      the map; a clear and a batch of puts at one moment
 * pairs    `count` keys and values; of keys that are there twice the last one counts
 * count    number of pairs; 0 is a clear
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM · WEFT_E_FULL · WEFT_E_UNSUPPORTED (the engine has one table for
 *          ever). Without WEFT_OK nothing has changed
 * Owns     nothing
 * Threads  as weft_map_assign
 * Progress as weft_map_assign
 * Order    as weft_map_assign
 * Cost     as weft_map_assign
 */
WEFT_API int weft_u64map_assign(weft_u64map *map, const weft_u64pair *pairs, size_t count);

WEFT_END_DECLS

#endif
