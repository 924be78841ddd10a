/* SPDX-License-Identifier: MIT */
/* Lookups in flight: submit begins to bring what a lookup will read, poll finishes the oldest one.
 *
 *     weft_u64batch batch;
 *     weft_u64batch_init(&batch, &map, 32);
 *     while (there are requests) {
 *         weft_u64batch_submit(&batch, request->key, request);
 *         if (weft_u64batch_pending(&batch) == 32) {
 *             weft_u64batch_poll(&batch, &answer);          // of the request 31 requests ago
 *             …
 *     while (weft_u64batch_poll(&batch, &answer) == WEFT_OK) …
 *
 * For programs to which keys come one at a time, while there is other work between a request and
 * its answer; who has the keys in an array calls get_many. It pays in maps that are larger than the
 * cache, where the misses of the lookups in flight overlap; in cache it costs twice a get.
 *
 * A lookup takes place in poll, at one moment between its call and its return, as weft_map_get or
 * weft_u64map_get would there [A]; submit only leaves hints with the processor. So no guard is held
 * between the calls, and nothing is owned: the map may be written, cleared, grown and shrunk, and
 * memory is reclaimed. A batch is a plain object of the caller's that needs no memory beside itself
 * and no end call; it may be dropped with lookups in flight.
 */
#ifndef WEFT_BATCH_H
#define WEFT_BATCH_H

#include <weft/map.h>
#include <weft/u64map.h>

enum { WEFT_BATCH_CAPACITY_MAX = 64 };

/* Private: which lookups are in flight. They count upwards; done <= touched <= asked. */
typedef struct weft_batch_ring {
    uint32_t capacity;
    uint32_t asked;   /* submitted */
    uint32_t touched; /* what the table's line leads to was asked for, too */
    uint32_t done;    /* polled */
} weft_batch_ring;

/* Private: a key in flight. */
typedef struct weft_batch_place {
    weft_hashed key;
    void *ctx;
} weft_batch_place;

typedef struct weft_u64batch_place {
    uint64_t key;
    uint64_t hash;
    void *ctx;
} weft_u64batch_place;

/* Lookups in a weft_map. */
typedef struct weft_batch {
    weft_map *map; /* private, from here on */
    weft_batch_ring ring;
    weft_batch_place places[WEFT_BATCH_CAPACITY_MAX];
} weft_batch;

/* Lookups in a weft_u64map. */
typedef struct weft_u64batch {
    weft_u64map *map; /* private, from here on */
    weft_batch_ring ring;
    weft_u64batch_place places[WEFT_BATCH_CAPACITY_MAX];
} weft_u64batch;

/* What a lookup in a weft_u64map found. */
typedef struct weft_u64answer {
    uint64_t key;
    uint64_t value; /* 0 if the key is absent */
    int status;     /* WEFT_OK or WEFT_NOT_FOUND */
    void *ctx;      /* from submit */
} weft_u64answer;

WEFT_BEGIN_DECLS

/* weft_batch_init — make a batch without lookups in flight.
 *
 * batch    out
 * map      may be one that was never used; its handle stays where it is while the batch is in use
 * capacity lookups in flight at most: 1 to WEFT_BATCH_CAPACITY_MAX; 32 is a good choice
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (batch or map NULL, capacity)
 * Owns     the batch is the caller's; it needs no end call
 * Threads  one at a time uses a batch
 * Progress wait-free
 * Order    none
 * Cost     a few stores
 */
WEFT_API int weft_batch_init(weft_batch *batch, weft_map *map, size_t capacity);

/* weft_batch_submit — put a lookup in flight.
 *
 * batch    from weft_batch_init
 * key      any bytes; not copied
 * ctx      comes back with the answer
 *
 * Returns  WEFT_OK · WEFT_E_FULL (capacity lookups are in flight: poll first) · WEFT_E_TOOBIG ·
 *          WEFT_E_INVALID (the batch has no capacity: not from weft_batch_init). Without WEFT_OK
 *          nothing was done
 * Owns     the key's bytes stay the caller's, who keeps them until the lookup was polled
 * Threads  one at a time uses a batch
 * Progress as weft_map_get
 * Order    none: the lookup takes place in weft_batch_poll
 * Cost     a hash, and two hints to the processor
 */
WEFT_API int weft_batch_submit(weft_batch *batch, weft_bytes key, void *ctx);

/* weft_batch_poll — finish the oldest lookup in flight. The map has been open since it was
 * submitted.
 *
 * batch    from weft_batch_init
 * out      in: data, capacity; out: size, version, and as status what weft_map_get would have
 *          returned
 * ctx      out, may be NULL: what was given to submit
 *
 * Returns  WEFT_OK (look at the status) · WEFT_NOT_FOUND (no lookup is in flight)
 * Owns     nothing
 * Threads  one at a time uses a batch
 * Progress as weft_map_get; it never waits for a lookup to be further on its way
 * Order    as weft_map_get
 * Cost     as weft_map_get, without the hash
 */
WEFT_API int weft_batch_poll(weft_batch *batch, weft_buffer *out, void **ctx);

/* weft_batch_pending — how many lookups are in flight?
 *
 * batch    from weft_batch_init
 *
 * Returns  the number of lookups that were submitted and not polled
 * Owns     nothing
 * Threads  one at a time uses a batch
 * Progress wait-free
 * Order    none
 * Cost     a subtraction
 */
WEFT_API size_t weft_batch_pending(const weft_batch *batch);

/* weft_u64batch_init — make a batch without lookups in flight.
 *
 * batch    out
 * map      may be one that was never used; its handle stays where it is while the batch is in use
 * capacity lookups in flight at most: 1 to WEFT_BATCH_CAPACITY_MAX; 32 is a good choice
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (batch or map NULL, capacity)
 * Owns     the batch is the caller's; it needs no end call
 * Threads  one at a time uses a batch
 * Progress wait-free
 * Order    none
 * Cost     a few stores
 */
WEFT_API int weft_u64batch_init(weft_u64batch *batch, weft_u64map *map, size_t capacity);

/* weft_u64batch_submit — put a lookup in flight.
 *
 * batch    from weft_u64batch_init
 * key      any number
 * ctx      comes back with the answer
 *
 * Returns  WEFT_OK · WEFT_E_FULL (capacity lookups are in flight: poll first) · WEFT_E_INVALID (the
 *          batch has no capacity: not from weft_u64batch_init). Without WEFT_OK nothing was done
 * Owns     nothing
 * Threads  one at a time uses a batch
 * Progress as weft_u64map_get
 * Order    none: the lookup takes place in weft_u64batch_poll
 * Cost     a hash, and two hints to the processor
 */
WEFT_API int weft_u64batch_submit(weft_u64batch *batch, uint64_t key, void *ctx);

/* weft_u64batch_poll — finish the oldest lookup in flight.
 *
 * batch    from weft_u64batch_init
 * answer   out
 *
 * Returns  WEFT_OK (look at the answer's status) · WEFT_NOT_FOUND (no lookup is in flight)
 * Owns     nothing
 * Threads  one at a time uses a batch
 * Progress as weft_u64map_get; it never waits for a lookup to be further on its way
 * Order    as weft_u64map_get
 * Cost     as weft_u64map_get
 */
WEFT_API int weft_u64batch_poll(weft_u64batch *batch, weft_u64answer *answer);

/* weft_u64batch_pending — how many lookups are in flight?
 *
 * batch    from weft_u64batch_init
 *
 * Returns  the number of lookups that were submitted and not polled
 * Owns     nothing
 * Threads  one at a time uses a batch
 * Progress wait-free
 * Order    none
 * Cost     a subtraction
 */
WEFT_API size_t weft_u64batch_pending(const weft_u64batch *batch);

WEFT_END_DECLS

#endif
