/* SPDX-License-Identifier: MIT */
/* weft_u64map: a concurrent map from 64-bit numbers to 64-bit numbers, stored in the table itself.
 *
 * START HERE
 *     weft_u64map map = WEFT_U64MAP_INIT;              // usable at once, also as a global
 *     weft_u64map_put(&map, 7, 49);
 *     uint64_t square;
 *     if (weft_u64map_get(&map, 7, &square) == WEFT_OK) …
 *     weft_u64map_close(&map);
 *
 * Every bit pattern is a legal key and a legal value; a value may be a pointer, whose memory is the
 * caller's affair. The guarantees A, B, C, E, G, H and the matrix of <weft/map.h> hold. There are
 * no versions: a value is its whole state, so cas and remove_eq say what a version would. There is
 * nothing to own, so no destructors.
 */
#ifndef WEFT_U64MAP_H
#define WEFT_U64MAP_H

#include <weft/map.h>

/* The map. Copying the struct makes a second name for the same map, not a second map. */
typedef struct weft_u64map {
    void *impl; /* private; NULL: opened with defaults by its first use */
} weft_u64map;

#define WEFT_U64MAP_INIT                                                                           \
    { NULL }

/* An entry as walks show it. */
typedef struct weft_u64pair {
    uint64_t key;
    uint64_t value;
} weft_u64pair;

/* What a lookup of several keys found. */
typedef struct weft_u64found {
    uint64_t value;
    int status; /* WEFT_OK or WEFT_NOT_FOUND */
} weft_u64found;

/* `old` is NULL if the key is absent; SET stores *fresh. */
typedef weft_verdict (*weft_u64compute_fn)(void *ctx, const uint64_t *old, uint64_t *fresh);

typedef struct weft_u64compute {
    weft_u64compute_fn fn;
    void *ctx;
    weft_compute_mode mode;
} weft_u64compute;

/* Make the value of a missing key. Status 0, or any other value, which get_or_build then
 * returns. */
typedef int (*weft_u64build_fn)(void *ctx, uint64_t key, uint64_t *fresh);

typedef struct weft_u64build {
    weft_u64build_fn fn;
    void *ctx;
} weft_u64build;

/* Combine a stored value with an operand. Must be free of side effects. */
typedef uint64_t (*weft_u64merge_fn)(void *ctx, uint64_t old, uint64_t operand);

typedef struct weft_u64merge {
    weft_u64merge_fn fn;
    void *ctx;
} weft_u64merge;

/* true: go on (walks), or: it holds (predicates). */
typedef bool (*weft_u64visit_fn)(void *ctx, weft_u64pair entry);

typedef struct weft_u64part {
    size_t index;
    size_t count; /* 1 or more */
    weft_u64visit_fn fn;
    void *ctx;
} weft_u64part;

/* A walk in steps. Private but for its size; needs no end call. */
typedef struct weft_u64map_iter {
    uint64_t words[6];
} weft_u64map_iter;

WEFT_BEGIN_DECLS

/* weft_u64map_open — make an empty map.
 *
 * map      out; not in use
 * options  NULL: all defaults; else as for weft_map_open, without ownership, refcount, destructor,
 *          hash
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (size, engine) · WEFT_E_UNSUPPORTED (an option of the bytes
 *          shape) · WEFT_E_CORRUPT (the memory that was given holds no table) · WEFT_E_NOMEM
 * Owns     the map is the caller's until weft_u64map_close; options are copied
 * Threads  none may use the map meanwhile
 * Progress lock-free
 * Order    none; hand the map over as any other object
 * Cost     two small allocations; the table is allocated by the first insert
 */
WEFT_API int weft_u64map_open(weft_u64map *map, const weft_map_options *options);

/* weft_u64map_close — destroy the map.
 *
 * map      open, or never used; becomes WEFT_U64MAP_INIT
 *
 * Returns  WEFT_OK · WEFT_E_BUSY (this thread is inside a guard: nothing was destroyed)
 * Owns     nothing
 * Threads  none may use the map meanwhile or afterwards
 * Progress waits for guards that were entered before, in any thread
 * Order    all earlier operations of other threads must happen before
 * Cost     O(buckets)
 */
WEFT_API int weft_u64map_close(weft_u64map *map);

/* weft_u64map_get — read a value.
 *
 * map      the map
 * key      any number
 * value    out; 0 if the key is absent
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND
 * Owns     nothing
 * Threads  any
 * Progress lockfree: no store to shared memory, waits for nobody; with locks: may block
 * Order    acquire: what the writer of the value did before writing it is visible [A]
 * Cost     expected O(1): one line of the table
 */
WEFT_API int weft_u64map_get(weft_u64map *map, uint64_t key, uint64_t *value);

/* weft_u64map_contains — is the key there?
 *
 * map      the map
 * key      any number
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_get
 * Order    as weft_u64map_get
 * Cost     as weft_u64map_get
 */
WEFT_API int weft_u64map_contains(weft_u64map *map, uint64_t key);

/* weft_u64map_get_many — read several values, each at its own moment.
 *
 * map      the map
 * keys     `count` keys
 * count    number of keys and results
 * found    out, `count` results
 *
 * Returns  WEFT_OK (look at each status)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_get
 * Order    as weft_u64map_get
 * Cost     as weft_u64map_get each; a guard for each 128 keys, and the lines of 16 keys and more on
 *          their way at a time
 */
WEFT_API int weft_u64map_get_many(weft_u64map *map, const uint64_t *keys, size_t count,
                                  weft_u64found *found);

/* weft_u64map_part — which part of all keys a key belongs to, for threads with parts of their own.
 *
 * map      as weft_map_part
 * key      any number
 * parts    as weft_map_part
 *
 * Returns  as weft_map_part
 * Owns     nothing
 * Threads  any
 * Progress wait-free; the first use of a map: lock-free
 * Order    none
 * Cost     a multiplication
 */
WEFT_API size_t weft_u64map_part(weft_u64map *map, uint64_t key, size_t parts);

/* weft_u64map_put — store a value, whatever was there.
 *
 * map      the map
 * key      any number
 * value    any number
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress lockfree: lock-free, moves at most 16 buckets of a growth; with locks: may block
 * Order    release: pairs with the acquire of the read that sees the value [A]
 * Cost     expected O(1): one compare-and-swap of 16 bytes if the key is there, else two
 */
WEFT_API int weft_u64map_put(weft_u64map *map, uint64_t key, uint64_t value);

/* weft_u64map_swap — store a value, and read the one that was there.
 *
 * map      the map
 * key      any number
 * value    any number
 * old      out; left alone if the key was absent
 *
 * Returns  WEFT_OK (replaced) · WEFT_NOT_FOUND (inserted) · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_swap(weft_u64map *map, uint64_t key, uint64_t value, uint64_t *old);

/* weft_u64map_insert — store a value if the key is absent.
 *
 * map      the map
 * key      any number
 * value    any number
 *
 * Returns  WEFT_OK (inserted) · WEFT_EXISTS (unchanged) · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_insert(weft_u64map *map, uint64_t key, uint64_t value);

/* weft_u64map_get_or_insert — store a value if the key is absent, and read the one that is then
 * there.
 *
 * map      the map
 * key      any number
 * value    any number
 * out      out: the value in the map
 *
 * Returns  WEFT_OK (inserted) · WEFT_EXISTS · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_get_or_insert(weft_u64map *map, uint64_t key, uint64_t value,
                                       uint64_t *out);

/* weft_u64map_get_or_build — read a value; make it first if it is absent. One builder per key at a
 * time.
 *
 * map      the map
 * key      any number
 * build    runs with a claim on this key; other callers of get_or_build on it wait
 * out      out: the value in the map
 *
 * Returns  WEFT_OK (was there, or built) · WEFT_E_REENTRANT (this thread is building this key) ·
 *          WEFT_E_NOMEM · what the builder returned if not 0
 * Owns     nothing
 * Threads  any
 * Progress present: as weft_u64map_get; absent: waits for the builder of the same key. A builder
 *          that fails wakes the next waiter, which builds
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     present: as weft_u64map_get, no claim
 */
WEFT_API int weft_u64map_get_or_build(weft_u64map *map, uint64_t key, const weft_u64build *build,
                                      uint64_t *out);

/* weft_u64map_replace — store a value if the key is present.
 *
 * map      the map
 * key      any number
 * value    any number
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_replace(weft_u64map *map, uint64_t key, uint64_t value);

/* weft_u64map_cas — store a value if the present one is as expected.
 *
 * map      the map
 * key      any number
 * expected any number
 * desired  any number
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_cas(weft_u64map *map, uint64_t key, uint64_t expected, uint64_t desired);

/* weft_u64map_fetch_add — add to a value; an absent key counts as 0.
 *
 * map      the map
 * key      any number
 * delta    added, wrapping around
 * old      out, may be NULL: the value before
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_fetch_add(weft_u64map *map, uint64_t key, int64_t delta, int64_t *old);

/* weft_u64map_fetch — add, minimum, maximum or bitwise or.
 *
 * map      the map
 * key      any number; absent: the value becomes the operand
 * fetch    operation and operand
 * old      out, may be NULL: the value before, 0 if absent
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (op) · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_fetch(weft_u64map *map, uint64_t key, weft_fetch fetch, int64_t *old);

/* weft_u64map_merge — store the operand if the key is absent, else what fn makes of both.
 *
 * map      the map
 * key      any number
 * operand  any number
 * merge    fn may run several times
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put, and fn
 */
WEFT_API int weft_u64map_merge(weft_u64map *map, uint64_t key, uint64_t operand,
                               const weft_u64merge *merge);

/* weft_u64map_compute — read, decide, write: the general operation on one key.
 *
 * map      the map
 * key      any number
 * compute  callback, its context, and OPTIMISTIC or EXCLUSIVE
 * outcome  out, may be NULL; version is always 0
 *
 * Returns  WEFT_OK (set or removed) · WEFT_UNCHANGED · WEFT_ABORTED · WEFT_MISMATCH (EXCLUSIVE
 *          only: another kind of writer changed the key meanwhile) · WEFT_E_REENTRANT (EXCLUSIVE
 *          only) · WEFT_E_NOMEM
 * Owns     nothing
 * Threads  any
 * Progress OPTIMISTIC: as weft_u64map_put; EXCLUSIVE: waits for the holder of the claim
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_compute(weft_u64map *map, uint64_t key, const weft_u64compute *compute,
                                 weft_outcome *outcome);

/* weft_u64map_remove — remove a key.
 *
 * map      the map
 * key      any number
 *
 * Returns  WEFT_OK (removed) · WEFT_NOT_FOUND
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put; needs no memory [E]
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     expected O(1): one compare-and-swap of 16 bytes in the line of its bucket, two beyond;
 *          the slot is free at once
 */
WEFT_API int weft_u64map_remove(weft_u64map *map, uint64_t key);

/* weft_u64map_take — remove a key, and read its value.
 *
 * map      the map
 * key      any number
 * value    out; left alone if the key is absent
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND. Exactly one caller gets the value
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_take(weft_u64map *map, uint64_t key, uint64_t *value);

/* weft_u64map_remove_eq — remove a key if its value is as expected.
 *
 * map      the map
 * key      any number
 * expected any number
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_remove_eq(weft_u64map *map, uint64_t key, uint64_t expected);

/* weft_u64map_remove_if — remove a key if a predicate holds for its entry.
 *
 * map      the map
 * key      any number
 * fn       may run several times
 * ctx      for fn
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH (fn said no)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put
 */
WEFT_API int weft_u64map_remove_if(weft_u64map *map, uint64_t key, weft_u64visit_fn fn, void *ctx);

/* weft_u64map_put_many — store several values, each at its own moment.
 *
 * map      the map
 * keys     `count` keys
 * values   `count` values
 * count    number of both
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM: entries before the failing one are stored
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_put each, with guards and lines as for weft_u64map_get_many
 */
WEFT_API int weft_u64map_put_many(weft_u64map *map, const uint64_t *keys, const uint64_t *values,
                                  size_t count);

/* weft_u64map_remove_many — remove several keys, each at its own moment.
 *
 * map      the map
 * keys     `count` keys
 * count    number of keys
 * removed  out, may be NULL: how many were there
 *
 * Returns  WEFT_OK
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     as weft_u64map_remove each, with guards and lines as for weft_u64map_get_many
 */
WEFT_API int weft_u64map_remove_many(weft_u64map *map, const uint64_t *keys, size_t count,
                                     size_t *removed);

/* weft_u64map_foreach — visit the entries.  [G, level W]
 *
 * map      the map
 * fn       called for each entry until it returns false; may call any operation of this map
 * ctx      for fn
 *
 * Returns  WEFT_OK (all visited) · WEFT_ABORTED (fn said stop)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_get, per bucket; no lock and no guard is held between buckets
 * Order    as weft_u64map_get
 * Cost     O(buckets + entries)
 */
WEFT_API int weft_u64map_foreach(weft_u64map *map, weft_u64visit_fn fn, void *ctx);

/* weft_u64map_foreach_part — visit one of `count` disjoint parts; together they are one foreach.
 *
 * map      the map
 * part     which part, and the callback
 *
 * Returns  WEFT_OK · WEFT_ABORTED · WEFT_E_INVALID (index ≥ count)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_foreach
 * Order    as weft_u64map_get
 * Cost     O((buckets + entries) / count)
 */
WEFT_API int weft_u64map_foreach_part(weft_u64map *map, const weft_u64part *part);

/* weft_u64map_iter_start — begin a walk in steps.  [G, level W]
 *
 * map      the map
 * iter     out; may be dropped at any time
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  an iter is used by one thread at a time
 * Progress wait-free
 * Order    none
 * Cost     O(1)
 */
WEFT_API void weft_u64map_iter_start(weft_u64map *map, weft_u64map_iter *iter);

/* weft_u64map_iter_next — the next entry of a walk.
 *
 * iter     from weft_u64map_iter_start
 * entry    out
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND (the walk is over)
 * Owns     nothing
 * Threads  an iter is used by one thread at a time
 * Progress as weft_u64map_get
 * Order    as weft_u64map_get
 * Cost     amortised O(1)
 */
WEFT_API int weft_u64map_iter_next(weft_u64map_iter *iter, weft_u64pair *entry);

/* weft_u64map_scan — visit the next few entries behind a cursor.  [G, level C]
 *
 * map      the map
 * cursor   in: 0 to begin, or what the last call left; out: where to go on, 0 when all was visited
 * fn       called for each entry; its result is ignored
 * ctx      for fn
 *
 * Returns  WEFT_OK
 * Owns     nothing
 * Threads  any; a cursor is a number, with no state behind it
 * Progress as weft_u64map_get
 * Order    as weft_u64map_get
 * Cost     one bucket: amortised O(1)
 */
WEFT_API int weft_u64map_scan(weft_u64map *map, uint64_t *cursor, weft_u64visit_fn fn, void *ctx);

/* weft_u64map_retain — remove the entries for which a predicate does not hold.
 *
 * map      the map
 * fn       true: keep; may be called again for an entry that was written meanwhile
 * ctx      for fn
 * removed  out, may be NULL: number of entries removed
 *
 * Returns  WEFT_OK
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_foreach and weft_u64map_remove
 * Order    as weft_u64map_put and weft_u64map_get
 * Cost     O(buckets + entries)
 */
WEFT_API int weft_u64map_retain(weft_u64map *map, weft_u64visit_fn fn, void *ctx, size_t *removed);

/* weft_u64map_clear — remove everything at one point in time.
 *
 * map      the map
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM (unchanged) · WEFT_E_UNSUPPORTED (shared memory)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put; O(1) for the caller
 * Order    linearizable with every operation [A]
 * Cost     O(1); the old table is freed in pieces by later writes and by weft_u64map_maintain
 */
WEFT_API int weft_u64map_clear(weft_u64map *map);

/* weft_u64map_len — how many entries there are, nearly.
 *
 * map      the map
 *
 * Returns  a count that lags behind writes in flight; exact when there are none; never negative
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none
 * Cost     O(stripes), at most 64 lines
 */
WEFT_API size_t weft_u64map_len(weft_u64map *map);

/* weft_u64map_len_exact — how many entries a walk finds.
 *
 * map      the map
 *
 * Returns  the number of entries that a walk of level W sees
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_foreach
 * Order    as weft_u64map_foreach
 * Cost     O(buckets + entries)
 */
WEFT_API size_t weft_u64map_len_exact(weft_u64map *map);

/* weft_u64map_is_empty — is there no entry at all?
 *
 * map      the map
 *
 * Returns  true if weft_u64map_len is 0
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none
 * Cost     as weft_u64map_len
 */
WEFT_API bool weft_u64map_is_empty(weft_u64map *map);

/* weft_u64map_reserve — grow ahead, so that so many entries fit.
 *
 * map      the map
 * entries  number of entries in all
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM (unchanged)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    none
 * Cost     O(buckets) in all
 */
WEFT_API int weft_u64map_reserve(weft_u64map *map, size_t entries);

/* weft_u64map_shrink — give back table memory that the present entries do not need.
 *
 * map      the map
 *
 * Returns  WEFT_OK · WEFT_UNCHANGED · WEFT_E_NOMEM (unchanged)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    none
 * Cost     O(buckets) in all
 */
WEFT_API int weft_u64map_shrink(weft_u64map *map);

/* weft_u64map_maintain — do waiting work: move buckets of a resize, free what was retired.
 *
 * map      the map
 * budget   how many buckets and objects to treat at most; a piece of an old table, of 256 KiB,
 *          counts as 64
 *
 * Returns  WEFT_OK (nothing is left to do) · WEFT_E_BUSY (there is more, or a guard holds it
 *          back)
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_put
 * Order    none
 * Cost     O(budget)
 */
WEFT_API int weft_u64map_maintain(weft_u64map *map, size_t budget);

/* weft_u64map_stats_get — figures for diagnosis.
 *
 * map      the map
 * stats    out; as for weft_map, entry_bytes is 0
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_get
 * Order    none: numbers of a moment
 * Cost     O(stripes)
 */
WEFT_API void weft_u64map_stats_get(weft_u64map *map, weft_map_stats *stats);

/* weft_u64map_check — verify every invariant of the structure; for tests and debugging.
 *
 * map      the map
 * text     out, may be NULL: on failure, which invariant and where
 * capacity bytes of text
 *
 * Returns  WEFT_OK · WEFT_E_CORRUPT
 * Owns     nothing
 * Threads  no writer may run meanwhile
 * Progress may block
 * Order    none
 * Cost     O(buckets + entries)
 */
WEFT_API int weft_u64map_check(weft_u64map *map, char *text, size_t capacity);

/* weft_u64map_dump — print the structure, bucket by bucket; for debugging.
 *
 * map      the map
 * print    called with one line at a time, without line feed
 * ctx      for print
 *
 * Returns  nothing
 * Owns     a line is valid until print returns
 * Threads  any
 * Progress as weft_u64map_get
 * Order    none
 * Cost     O(buckets + entries)
 */
WEFT_API void weft_u64map_dump(weft_u64map *map, void (*print)(void *ctx, const char *line),
                               void *ctx);

WEFT_END_DECLS

#include <weft/u64inline.h>

#endif
