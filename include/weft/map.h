/* SPDX-License-Identifier: MIT */
/* weft_map: a concurrent map from bytes to bytes.
 *
 * START HERE
 *     weft_map map = WEFT_MAP_INIT;                       // usable at once, also as a global
 *     weft_map_put(&map, weft_str("colour"), weft_str("blue"));
 *     char text[16];
 *     weft_buffer out = {.data = text, .capacity = sizeof text};
 *     if (weft_map_get(&map, weft_str("colour"), &out) == WEFT_OK) …   // out.size bytes in text
 *     weft_map_close(&map);
 * Fixed-size keys and values of up to 8 bytes: <weft/u64map.h>. Typed wrappers: <weft/typed.h>.
 * Keys that come one at a time to a map that is larger than the cache: <weft/batch.h>.
 *
 * THE FIVE QUESTIONS
 *   threads    every operation may run beside every other, except open and close (see MATRIX)
 *   lifetime   get copies out; what peek shows is valid until the guard is left; what acquire and
 *              take give is valid until released
 *   resize     happens inside other calls, a few buckets at a time; it never invalidates anything
 *   keys       are copied by default, and compared in full, always; hashing is keyed
 *   reserved   nothing: any bytes, also none, are a legal key (up to 16 MiB - 1) and value (up to 4
 *              GiB - 1)
 *
 * GUARANTEES (each engine's card says where it promises less; tests name the letter they prove)
 *   A  Ordering. Each operation on one key is linearizable: it takes effect at one point between
 *      its call and its return. What a thread did before an operation that wrote a value happens
 *      before what another thread does after an operation that saw this value.
 *   B  Progress. As each card says. On engine "lockfree" no operation ever waits for another
 *      thread.
 *   C  Lifetime. Nothing that a guard or a reference protects is freed or changed.
 *   D  Versions. Each write of a key gives it a version greater than all versions that this key had
 *      in this era, also across remove and insert; clear starts a new era.
 *   E  Memory. If an operation answers WEFT_E_NOMEM the map is what it was; engine "fixed" answers
 *      WEFT_E_FULL where others would, and WEFT_E_TOOBIG to what is larger than its records (an
 *      error of any operation that stores). Remove, take,
 *      iterate and close need no memory. A growth that fails is retried later; the map keeps
 *      serving.
 *   F  Destructors run exactly once per owned object, after its last reader, with no lock held.
 *   G  Iteration. W: a walk with foreach, iter or retain sees each key that is present throughout
 *      exactly once, no key twice, others at most once; callbacks may call any operation of the
 *      map.
 *      C: scan does the same from a 64-bit cursor that needs no memory in between and survives
 *      resizes.
 *   H  Callbacks run with no internal lock held. The one exception, EXCLUSIVE compute and
 *      get_or_build, holds a claim on one key; a claim on a key that the thread already holds is
 *      WEFT_E_REENTRANT.
 *
 * MATRIX  ("-": safe together; "X": the caller keeps them apart)
 *                 read  write  walk  clear  open/close
 *   read           -     -      -     -      X
 *   write          -     -      -     -      X
 *   walk           -     -      -     -      X
 *   clear          -     -      -     -      X
 *   open/close     X     X      X     X      X
 *   read: get peek acquire contains get_many get_hashed poll len is_empty stats · write: all that
 *   change one key · walk: foreach iter scan retain foreach_part len_exact · clear: clear reserve
 *   shrink maintain.
 */
#ifndef WEFT_MAP_H
#define WEFT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <weft/alloc.h>
#include <weft/export.h>
#include <weft/guard.h>
#include <weft/status.h>

/* A piece of memory that somebody else owns. `data` may be NULL where `size` is 0. */
typedef struct weft_bytes {
    const void *data;
    size_t size;
} weft_bytes;

static inline weft_bytes weft_bytes_of(const void *data, size_t size) {
    weft_bytes bytes = {data, size};
    return bytes;
}

static inline weft_bytes weft_str(const char *text) {
    return weft_bytes_of(text, strlen(text));
}

/* Where a copy goes. The caller sets data and capacity; the operation sets the rest. */
typedef struct weft_buffer {
    void *data;       /* may be NULL where capacity is 0 */
    size_t capacity;  /* bytes */
    size_t size;      /* bytes of the value; more than capacity with WEFT_TRUNCATED */
    uint64_t version; /* of the entry that was copied [D] */
    int status;       /* get_many: the answer for this key */
} weft_buffer;

/* A key, and what a map made of it; from weft_map_hash. */
typedef struct weft_hashed {
    weft_bytes key;
    uint64_t hash;   /* private, from here on */
    const void *map; /* that it was made for */
} weft_hashed;

/* An entry seen under a guard or through a reference. */
typedef struct weft_view {
    weft_bytes key;
    weft_bytes value;
    uint64_t version;
} weft_view;

/* A reference to an entry; outlives guards. */
typedef struct weft_ref {
    weft_view view;
    void *entry; /* private */
    void *map;   /* private */
} weft_ref;

/* The map. Copying the struct makes a second name for the same map, not a second map. */
typedef struct weft_map {
    void *impl; /* private; NULL: opened with defaults by its first use */
} weft_map;

#define WEFT_MAP_INIT                                                                              \
    { NULL }

#define WEFT_KEY_SIZE_MAX ((size_t)0xffffff)
#define WEFT_VALUE_SIZE_MAX ((size_t)0xffffffff)

/* How entries are arranged in memory: WEFT_ENGINE_LOCKFREE and so on, as <weft/engines.def> lists
 * them. Where a card says that several threads may call, engine owner is the exception: its maps
 * are for one thread at a time. To hand one over needs no call, only that one thread's last
 * operation happens before the other's first one (a lock, a join, a queue); lookups and walks may
 * overlap each other. Any other overlap is a fault of the program; what is noticed of it is
 * reported on stderr, with the names and stacks of both threads, and the process aborted. */
typedef enum weft_engine_id {
    WEFT_ENGINE_AUTO = 0, /* by the hints and the other options; without any: lockfree */
#define WEFT_ENGINE(name, ID, number) WEFT_ENGINE_##ID = (number),
#include <weft/engines.def>
#undef WEFT_ENGINE
} weft_engine_id;

/* What a map does with the memory behind a key or a value that is handed to it. */
typedef enum weft_own {
    WEFT_OWN_COPY = 0,  /* the map copies the bytes */
    WEFT_OWN_ADOPT = 1, /* on success the pointer passes to the map; the destructor frees it */
    WEFT_OWN_BORROW =
        2, /* the caller keeps the bytes alive and unchanged while they are in the map */
} weft_own;

/* Why an object leaves a map. */
typedef enum weft_reason {
    WEFT_REPLACED = 1,
    WEFT_REMOVED = 2,
    WEFT_EXPIRED = 3,
    WEFT_EVICTED = 4,
    WEFT_CLEARED = 5,
    WEFT_DESTROYED = 6,
    WEFT_LOST_RACE = 7,
    WEFT_INSERT_FAILED = 8,
} weft_reason;

/* Called once for each entry that leaves; bytes are as the map holds them (COPY: the copy). For
 * ADOPT it is the place to free them; an adopted key of which the map only has a copy, because an
 * operation that takes no key wrote the entry (replace, cas, merge, compute …), is shown as {NULL,
 * 0}. Runs on whichever thread calls into weft, with no lock held, and may call any operation.
 * [F] */
typedef void (*weft_destructor)(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason);

/* Engine rwlock: who needs no lock. */
typedef enum weft_rwlock_bias {
    WEFT_RWLOCK_ONE_THREAD = 0, /* the thread that uses the map, as long as it is alone */
    WEFT_RWLOCK_READERS = 1,    /* readers, as long as nobody writes */
    WEFT_RWLOCK_NOBODY = 2,
} weft_rwlock_bias;

/* Engine twotier: when the dirty tier becomes the read tier, and how. */
typedef struct weft_twotier_options {
    /* At so many misses for each key of the dirty tier; 0 is 1, the rule of Go's sync.Map. */
    uint32_t promote_after;
    bool adaptive;    /* in place of that: when it pays, by what misses and rebuilds cost */
    bool incremental; /* no read or write takes O(n) steps, removed keys are let go; not adaptive */
} weft_twotier_options;

/* Of engine "fixed", which has all its memory from the beginning: <weft/fixed.h>. */
typedef struct weft_fixed_options {
    size_t capacity;     /* entries; 0: expected_entries, or if that is 0 too 1024 */
    size_t key_bytes;    /* weft_map: of a key at most; 0: 32 */
    size_t value_bytes;  /* weft_map: of a value at most; 0: 64 */
    void *memory;        /* weft_u64map: where the table is, at a multiple of 64; NULL: its own */
    size_t memory_bytes; /* weft_fixed_bytes(capacity) or more */
} weft_fixed_options;

/* What not every engine has. */
typedef enum weft_need {
    WEFT_NEED_SNAPSHOT = 1,    /* weft_map_snapshot */
    WEFT_NEED_WRITE_BATCH = 2, /* weft_map_write_batch */
    WEFT_NEED_LOCK_FREE = 4,   /* no operation waits for another thread */
    WEFT_NEEDS_ALL = 7,
} weft_need;

/* How the map will be used, for engine AUTO: <weft/advice.h>. Zero: not known. A hint that is wrong
 * costs time, never the contract; what a map must offer beyond that is in `needs`. */
typedef struct weft_hints {
    uint32_t threads; /* that use it at the same time */
    uint32_t needs;   /* weft_need, added up: open refuses an engine without, also a named one */
    double reads;     /* percent of operations that only look, up to 100 */
} weft_hints;

typedef struct weft_map_options {
    size_t size;           /* sizeof(weft_map_options) */
    weft_engine_id engine; /* 0: AUTO */
    weft_hints hints;
    size_t expected_entries;    /* reserve for so many at the first insert; 0: start small */
    weft_own key_own;           /* 0: COPY */
    weft_own value_own;         /* 0: COPY */
    bool refcount;              /* entries carry a reference count: acquire and take are offered */
    bool grow_only;             /* never shrink by itself */
    weft_destructor destructor; /* may be NULL with COPY and BORROW */
    void *destructor_ctx;
    const weft_allocator *allocator; /* NULL: malloc and free of the process; copied */
    uint64_t hash_seed; /* 0: from the operating system; else for repeatable tests only */
    uint64_t (*hash)(void *ctx, weft_bytes key,
                     uint64_t seed); /* NULL: keyed XXH3; result is mixed again */
    void *hash_ctx;
    struct {
        weft_rwlock_bias bias; /* 0: ONE_THREAD */
    } rwlock;
    struct {
        uint32_t shards;     /* a power of two up to 65536; 0: 32 for each processor */
        uint32_t shards_max; /* not to be doubled beyond; 0: 16 times as many as at first */
        bool packed;         /* shards share cache lines: to measure what that costs */
        bool numa;           /* tables of shards on the machine's memory nodes, in turns */
    } sharded;
    struct {
        uint32_t hot_entries;     /* keys that are to be hot at a time, 1 … 1048576; 0: 512 */
    } hybrid;                     /* engine hybrid */
    weft_twotier_options twotier; /* other engines ignore it */
    weft_fixed_options fixed;     /* AUTO: the engine is fixed; other engines: all 0 */
} weft_map_options;

/* What a compute callback decides. */
typedef enum weft_verdict {
    WEFT_KEEP = 0,  /* leave it as it is */
    WEFT_SET = 1,   /* store `fresh` */
    WEFT_DEL = 2,   /* remove it; nothing if absent */
    WEFT_ABORT = 3, /* leave it, and answer WEFT_ABORTED */
} weft_verdict;

/* A value to store, in one or two pieces that the map joins: value = head + body. */
typedef struct weft_fresh {
    weft_bytes head;
    weft_bytes body;
} weft_fresh;

/* `old` is NULL if the key is absent; it is valid until the callback returns. */
typedef weft_verdict (*weft_compute_fn)(void *ctx, const weft_view *old, weft_fresh *fresh);

/* OPTIMISTIC: no lock, no claim; `fn` may run several times and must be free of effects that cannot
 * be repeated. EXCLUSIVE: `fn` runs once, callers of compute EXCLUSIVE on the same key wait for
 * each other (other writers of the key do not wait: then `fn` still runs once, and the answer is
 * WEFT_MISMATCH). */
typedef enum weft_compute_mode { WEFT_OPTIMISTIC = 0, WEFT_EXCLUSIVE = 1 } weft_compute_mode;

typedef struct weft_compute {
    weft_compute_fn fn;
    void *ctx;
    weft_compute_mode mode;
} weft_compute;

/* What happened to one key. */
typedef struct weft_outcome {
    weft_verdict verdict; /* SET, DEL, KEEP or ABORT as carried out; DEL of an absent key is KEEP */
    bool existed;         /* the key was present before */
    uint64_t version;     /* of this write; without a write, of the entry seen, 0 if none [D] */
    uint64_t era;         /* counts clears; (era, version) orders all writes of a key [D] */
} weft_outcome;

/* Combine a stored value with an operand; the result goes to `fresh`. Must be free of side
 * effects. */
typedef void (*weft_merge_fn)(void *ctx, weft_bytes old, weft_bytes operand, weft_fresh *fresh);

typedef struct weft_merge {
    weft_merge_fn fn;
    void *ctx;
} weft_merge;

/* Make the value of a missing key. Status 0, or any other value, which get_or_build then
 * returns. */
typedef int (*weft_build_fn)(void *ctx, weft_bytes key, weft_fresh *fresh);

typedef struct weft_build {
    weft_build_fn fn;
    void *ctx;
} weft_build;

typedef enum weft_fetch_op {
    WEFT_FETCH_ADD = 0, /* wraps around */
    WEFT_FETCH_MIN = 1, /* signed */
    WEFT_FETCH_MAX = 2, /* signed */
    WEFT_FETCH_OR = 3,
} weft_fetch_op;

/* true: go on (walks), or: it holds (predicates). */
typedef bool (*weft_visit_fn)(void *ctx, const weft_view *entry);

/* One part of a walk that several threads share: part `index` of `count`. */
typedef struct weft_part {
    size_t index;
    size_t count; /* 1 or more */
    weft_visit_fn fn;
    void *ctx;
} weft_part;

/* A walk in steps. Private but for its size; needs no end call. */
typedef struct weft_map_iter {
    uint64_t words[6];
} weft_map_iter;

/* Engine twotier. In incremental mode each part of the hash space has a pair of tiers: sums over
 * them. */
typedef struct weft_tier_stats {
    uint64_t read_entries;   /* keys in the read tier, removed ones included */
    uint64_t dirty_entries;  /* keys in the dirty tier, likewise */
    uint64_t misses;         /* lookups since the last promotion that had to take the lock */
    uint64_t amended;        /* 1: dirty has keys that read lacks; incremental: so many parts */
    uint64_t threshold;      /* misses at which dirty is promoted, if it pays: before; 0 if not
                                amended */
    uint64_t promotions;     /* dirty tiers that have become the read tier */
    uint64_t rebuilds;       /* dirty tiers made from the read tier */
    uint64_t copied_entries; /* by these, and wherever else a tier is made of another */
    uint64_t expunged;       /* removed keys that are in the read tier alone, now */
    uint64_t removed;        /* removed keys that are held, beside the expunged ones; exact while no
                                write runs */
} weft_tier_stats;

typedef struct weft_map_stats {
    const char *engine;
    uint64_t entries;           /* as weft_map_len */
    uint64_t era;               /* number of clears */
    uint64_t buckets;           /* of the current generation */
    uint64_t table_bytes;       /* all generations and snapshots' images, overflow included */
    uint64_t entry_bytes;       /* entries in the map, headers included */
    uint64_t overflow_entries;  /* entries outside their bucket's own line; counted as they come and
                                   go, so exact while no write runs */
    uint64_t longest_bucket;    /* entries in the fullest bucket that an insert has met */
    uint64_t growths;           /* generations begun to grow */
    uint64_t shrinks;           /* generations begun to shrink */
    uint64_t growth_failures;   /* generations that could not be allocated */
    uint64_t moved_buckets;     /* source buckets moved to a next generation */
    uint64_t remaining_buckets; /* not yet moved */
    uint64_t retries;           /* writes that lost a race and tried again */
    uint64_t pending_bytes;     /* retired by this map and not yet freed, old tables included */
    uint64_t pending_objects;
    uint64_t snapshots;    /* that are not released, of this era */
    uint64_t shards;       /* engine sharded: tables with a lock each */
    uint64_t shard_nodes;  /* and the memory nodes that they are on; 0: as it comes */
    weft_tier_stats tiers; /* engine twotier; 0 elsewhere */
    struct {
        uint64_t hot_entries; /* in the hot tier now */
        uint64_t hot_slots;   /* its room */
        uint64_t promotions;  /* keys moved into it */
        uint64_t demotions;   /* keys moved out of it */
    } hybrid;                 /* engine hybrid */
} weft_map_stats;

WEFT_BEGIN_DECLS

/* weft_map_open — make an empty map.
 *
 * map      out; not in use
 * options  NULL: all defaults; else `size` must be sizeof(weft_map_options), zero fields are
 *          defaults
 *
 * Returns  WEFT_OK · WEFT_E_INVALID (size, engine, mode or need unknown, reads beyond 100, ADOPT
 *          without destructor) · WEFT_E_UNSUPPORTED (the engine, or each one, lacks an option or a
 *          need, or has no use for an option) · WEFT_E_NOMEM
 * Owns     the map is the caller's until weft_map_close; options are copied
 * Threads  none may use the map meanwhile
 * Progress lock-free
 * Order    none; hand the map over as any other object
 * Cost     two small allocations; the table is allocated by the first insert
 */
WEFT_API int weft_map_open(weft_map *map, const weft_map_options *options);

/* weft_map_close — destroy the map and all that it owns.
 *
 * map      open, or never used; becomes WEFT_MAP_INIT
 *
 * Returns  WEFT_OK · WEFT_E_BUSY (references are still held, or this thread is inside a guard:
 *          nothing was destroyed)
 * Owns     destructors run with reason WEFT_DESTROYED for every entry left [F]
 * Threads  none may use the map meanwhile or afterwards
 * Progress waits for guards that were entered before, in any thread
 * Order    all earlier operations of other threads must happen before
 * Cost     O(entries)
 */
WEFT_API int weft_map_close(weft_map *map);

/* weft_map_get — copy a value out.
 *
 * map      the map
 * key      any bytes; read during the call, not copied
 * out      in: data, capacity; out: size, version
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_TRUNCATED (the first capacity bytes are copied; size
 *          says what is needed) · WEFT_E_TOOBIG (key)
 * Owns     nothing
 * Threads  any
 * Progress lockfree: no store to shared memory, waits for nobody; with locks: may block
 * Order    acquire: what the writer of the value did before writing it is visible [A]
 * Cost     expected O(1): one line of the table, and the entry
 */
WEFT_API int weft_map_get(weft_map *map, weft_bytes key, weft_buffer *out);

/* weft_map_peek — look at an entry in place.
 *
 * map      the map
 * key      any bytes
 * guard    entered, and not left before the view is done with
 * view     out
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_TOOBIG · WEFT_E_INVALID (no guard)
 * Owns     the bytes stay the map's; valid and unchanging until the guard is left [C]
 * Threads  any
 * Progress as weft_map_get
 * Order    as weft_map_get
 * Cost     as weft_map_get, without the copy
 */
WEFT_API int weft_map_peek(weft_map *map, weft_bytes key, const weft_guard *guard, weft_view *view);

/* weft_map_acquire — look an entry up and take a reference to it, in one step.
 *
 * map      opened with `refcount`
 * key      any bytes
 * ref      out
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_UNSUPPORTED (no `refcount`) · WEFT_E_TOOBIG
 * Owns     the reference is the caller's until weft_ref_release; the view is valid until then [C]
 * Threads  any; the reference may be released by another thread
 * Progress as weft_map_get, plus one atomic addition
 * Order    as weft_map_get
 * Cost     as weft_map_get, plus a write to the entry's line
 */
WEFT_API int weft_map_acquire(weft_map *map, weft_bytes key, weft_ref *ref);

/* weft_ref_release — give a reference back.
 *
 * ref      from acquire or take; becomes empty. An empty one is left alone
 *
 * Returns  nothing
 * Owns     the last one to let go of an entry that left the map runs its destructor, here
 * Threads  any
 * Progress lock-free
 * Order    the caller's reads happen before the destructor
 * Cost     one atomic subtraction
 */
WEFT_API void weft_ref_release(weft_ref *ref);

/* weft_map_contains — is the key there?
 *
 * map      the map
 * key      any bytes
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_TOOBIG
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_get
 * Order    as weft_map_get
 * Cost     as weft_map_get
 */
WEFT_API int weft_map_contains(weft_map *map, weft_bytes key);

/* weft_map_get_many — copy several values out. Each key is looked up by itself, at its own moment.
 *
 * map      the map
 * keys     `count` keys
 * count    number of keys and buffers
 * out      `count` buffers; `status` of each is what weft_map_get would have returned
 *
 * Returns  WEFT_OK (look at each status)
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_get
 * Order    as weft_map_get, each
 * Cost     as weft_map_get, each; a guard for each 256 keys, and the lines of 16 keys and more on
 *          their way at a time
 */
WEFT_API int weft_map_get_many(weft_map *map, const weft_bytes *keys, size_t count,
                               weft_buffer *out);

/* weft_map_hash — hash a key once, for several operations on it.
 *
 * map      the map
 * key      any bytes; read here and by each operation, never copied or changed
 * hashed   out: for the calls that end in _hashed, of this map, until it is closed. It stays right
 *          when the map grows, shrinks or is cleared
 *
 * Returns  WEFT_OK · WEFT_E_TOOBIG · WEFT_E_NOMEM (the map was never used, and could not be opened)
 * Owns     the key's bytes stay the caller's, who keeps them while `hashed` is in use
 * Threads  any
 * Progress wait-free; the first use of a map: lock-free
 * Order    none
 * Cost     one pass over the key
 */
WEFT_API int weft_map_hash(weft_map *map, weft_bytes key, weft_hashed *hashed);

/* weft_map_part — which part of all keys a key belongs to, for threads with parts of their own.
 *
 * map      the map. On engine sharded, if it began with at least `parts` shards, keys of two parts
 *          are never under one lock. With option sharded.numa, if the memory nodes are a power of
 *          two and no more than parts, part i is on the node at place i mod nodes
 * key      any bytes
 * parts    a power of two up to 65536
 *
 * Returns  0 … parts - 1, for one key always the same, until the map is closed; SIZE_MAX if parts
 *          is no such number, the key is too big, or the map was never used and could not be
 *          opened
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_hash
 * Order    none
 * Cost     as weft_map_hash
 */
WEFT_API size_t weft_map_part(weft_map *map, weft_bytes key, size_t parts);

/* weft_map_get_hashed — weft_map_get of a key that has been hashed.
 *
 * map      the map
 * key      from weft_map_hash. That of another map is hashed again; one that is wrong all the same
 *          (the map was closed since, the key's bytes have changed) is not found
 * out      in: data, capacity; out: size, version
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_TRUNCATED
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_get
 * Order    as weft_map_get
 * Cost     as weft_map_get, without the hash
 */
WEFT_API int weft_map_get_hashed(weft_map *map, const weft_hashed *key, weft_buffer *out);

/* weft_map_prefetch — begin to bring what operations on some keys will read into this core's cache.
 *
 * map      the map
 * keys     `count` keys; those behind the first 32 are left alone
 * count    number of keys
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_get
 * Order    none: it is a hint, and changes no answer
 * Cost     a hash of each key; pays where two keys or more are known before they are needed, in a
 *          map that is larger than the cache
 */
WEFT_API void weft_map_prefetch(weft_map *map, const weft_bytes *keys, size_t count);

/* weft_map_put — store a value, whatever was there.
 *
 * map      the map
 * key      any bytes
 * value    any bytes
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM · WEFT_E_TOOBIG
 * Owns     key and value as the map's modes say, on success only
 * Threads  any
 * Progress lockfree: lock-free, moves at most 16 buckets of a growth; with locks: may block
 * Order    release: pairs with the acquire of the read that sees the value [A]
 * Cost     expected O(1): an allocation, two compare-and-swaps (one if the key is there)
 */
WEFT_API int weft_map_put(weft_map *map, weft_bytes key, weft_bytes value);

/* weft_map_put_hashed — weft_map_put of a key that has been hashed.
 *
 * map      the map
 * key      from weft_map_hash; one that is wrong is hashed again
 * value    any bytes
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM · WEFT_E_TOOBIG (value)
 * Owns     key and value as the map's modes say, on success only
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put
 * Cost     as weft_map_put, without the hash if the key is there; a key that is inserted is hashed
 *          again, as one in the wrong place would be lost
 */
WEFT_API int weft_map_put_hashed(weft_map *map, const weft_hashed *key, weft_bytes value);

/* weft_map_swap — store a value, and copy the one that was there.
 *
 * map      the map
 * key      any bytes
 * value    any bytes
 * old      in: data, capacity; out: size, version of the value that was replaced
 *
 * Returns  WEFT_OK (replaced) · WEFT_NOT_FOUND (inserted) · WEFT_TRUNCATED (replaced; old is cut) ·
 *          WEFT_E_NOMEM · WEFT_E_TOOBIG
 * Owns     key and value as the map's modes say, on success only
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put, and as weft_map_get for the old value
 * Cost     as weft_map_put
 */
WEFT_API int weft_map_swap(weft_map *map, weft_bytes key, weft_bytes value, weft_buffer *old);

/* weft_map_insert — store a value if the key is absent.
 *
 * map      the map
 * key      any bytes
 * value    any bytes
 *
 * Returns  WEFT_OK (inserted) · WEFT_EXISTS (unchanged) · WEFT_E_NOMEM · WEFT_E_TOOBIG
 * Owns     key and value as the map's modes say, if WEFT_OK
 * Threads  any
 * Progress as weft_map_put
 * Order    WEFT_OK: as weft_map_put; WEFT_EXISTS: as weft_map_get
 * Cost     as weft_map_put; as weft_map_get if the key is there
 */
WEFT_API int weft_map_insert(weft_map *map, weft_bytes key, weft_bytes value);

/* weft_map_get_or_insert — store a value if the key is absent, and copy the one that is then there.
 *
 * map      the map
 * key      any bytes
 * value    any bytes
 * out      in: data, capacity; out: size, version
 *
 * Returns  WEFT_OK (inserted) · WEFT_EXISTS (out holds the other one) · WEFT_TRUNCATED (exists; out
 *          is cut) · WEFT_E_NOMEM · WEFT_E_TOOBIG
 * Owns     key and value as the map's modes say, if WEFT_OK
 * Threads  any
 * Progress as weft_map_insert
 * Order    as weft_map_insert
 * Cost     as weft_map_insert
 */
WEFT_API int weft_map_get_or_insert(weft_map *map, weft_bytes key, weft_bytes value,
                                    weft_buffer *out);

/* weft_map_get_or_build — copy a value out; make it first if it is absent. One builder per key at a
 * time.
 *
 * map      the map
 * key      any bytes
 * build    runs with a claim on this key; other callers of get_or_build on it wait; it may use the
 *          map
 * out      in: data, capacity; out: size, version
 *
 * Returns  WEFT_OK (was there, or built) · WEFT_TRUNCATED · WEFT_E_REENTRANT (this thread is
 *          building this key) · WEFT_E_NOMEM · WEFT_E_TOOBIG · WEFT_E_UNSUPPORTED (absent, and
 *          the map does not copy values) · what the builder returned if not 0
 * Owns     the key, and what the builder puts into `fresh`, are copied
 * Threads  any
 * Progress present: as weft_map_get; absent: waits for the builder of the same key. A builder that
 *          fails wakes the next waiter, which builds
 * Order    as weft_map_get
 * Cost     present: as weft_map_get, no claim
 */
WEFT_API int weft_map_get_or_build(weft_map *map, weft_bytes key, const weft_build *build,
                                   weft_buffer *out);

/* weft_map_replace — store a value if the key is present.
 *
 * map      the map
 * key      any bytes
 * value    any bytes
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_NOMEM · WEFT_E_TOOBIG
 * Owns     value as the map's mode says, if WEFT_OK; an adopted key is not taken
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put
 * Cost     as weft_map_put
 */
WEFT_API int weft_map_replace(weft_map *map, weft_bytes key, weft_bytes value);

/* weft_map_cas — store a value if the present one is as expected, byte for byte.
 *
 * map      the map
 * key      any bytes
 * expected any bytes
 * desired  any bytes
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH · WEFT_E_NOMEM · WEFT_E_TOOBIG
 * Owns     desired as the map's mode says, if WEFT_OK
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put; without WEFT_OK as weft_map_get
 * Cost     as weft_map_put, and the comparison
 */
WEFT_API int weft_map_cas(weft_map *map, weft_bytes key, weft_bytes expected, weft_bytes desired);

/* weft_map_replace_if_version — store a value if the entry has not been written since it was read.
 *
 * map      the map
 * key      any bytes
 * version  from a read of this key [D]
 * value    any bytes
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH · WEFT_E_NOMEM · WEFT_E_TOOBIG
 * Owns     value as the map's mode says, if WEFT_OK
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_cas
 * Cost     as weft_map_put
 */
WEFT_API int weft_map_replace_if_version(weft_map *map, weft_bytes key, uint64_t version,
                                         weft_bytes value);

/* weft_map_fetch_add — add to a value of 8 bytes (host order); an absent key counts as 0.
 *
 * map      the map
 * key      any bytes
 * delta    added, wrapping around
 * old      out, may be NULL: the value before
 *
 * Returns  WEFT_OK · WEFT_MISMATCH (the value is not 8 bytes long) · WEFT_E_NOMEM · WEFT_E_TOOBIG
 *          · WEFT_E_UNSUPPORTED (the map does not copy values)
 * Owns     the key as the map's mode says, if it was absent
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put and weft_map_get
 * Cost     as weft_map_put
 */
WEFT_API int weft_map_fetch_add(weft_map *map, weft_bytes key, int64_t delta, int64_t *old);

/* An operation for weft_map_fetch. */
typedef struct weft_fetch {
    weft_fetch_op op;
    int64_t operand;
} weft_fetch;

/* weft_map_fetch — add, minimum, maximum or bitwise or, on a value of 8 bytes (host order).
 *
 * map      the map
 * key      any bytes; absent: the value becomes the operand (ADD: 0 + operand)
 * fetch    operation and operand
 * old      out, may be NULL: the value before, 0 if absent
 *
 * Returns  WEFT_OK · WEFT_MISMATCH (the value is not 8 bytes long) · WEFT_E_INVALID (op) ·
 *          WEFT_E_NOMEM · WEFT_E_TOOBIG · WEFT_E_UNSUPPORTED (the map does not copy values)
 * Owns     the key as the map's mode says, if it was absent
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put and weft_map_get
 * Cost     as weft_map_put
 */
WEFT_API int weft_map_fetch(weft_map *map, weft_bytes key, weft_fetch fetch, int64_t *old);

/* weft_map_merge — store the operand if the key is absent, else what fn makes of both.
 *
 * map      the map
 * key      any bytes
 * operand  any bytes
 * merge    fn may run several times
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM · WEFT_E_TOOBIG · WEFT_E_UNSUPPORTED (the map does not copy
 *          values)
 * Owns     everything is copied
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put and weft_map_get
 * Cost     as weft_map_put, and fn
 */
WEFT_API int weft_map_merge(weft_map *map, weft_bytes key, weft_bytes operand,
                            const weft_merge *merge);

/* weft_map_compute — read, decide, write: the general operation on one key.
 *
 * map      the map
 * key      any bytes
 * compute  callback, its context, and OPTIMISTIC or EXCLUSIVE
 * outcome  out, may be NULL
 *
 * Returns  WEFT_OK (set or removed) · WEFT_UNCHANGED (kept) · WEFT_ABORTED · WEFT_MISMATCH
 *          (EXCLUSIVE only: another kind of writer changed the key meanwhile) · WEFT_E_REENTRANT
 *          (EXCLUSIVE only) · WEFT_E_NOMEM · WEFT_E_TOOBIG ·
 *          WEFT_E_UNSUPPORTED (the map does not copy values)
 * Owns     the key is copied, and what fn puts into `fresh` when fn has returned
 * Threads  any
 * Progress OPTIMISTIC: as weft_map_put; EXCLUSIVE: waits for the holder of the claim
 * Order    as weft_map_put and weft_map_get
 * Cost     as weft_map_put, and fn
 */
WEFT_API int weft_map_compute(weft_map *map, weft_bytes key, const weft_compute *compute,
                              weft_outcome *outcome);

/* No map gets near it by writes of its own: 140 million million to one key. */
#define WEFT_RESTORE_VERSION_MAX ((uint64_t)1 << 47)

/* weft_map_restore — store a value with a version at least as great as the one given; for recovery.
 *
 * map      the map
 * key      any bytes
 * value    in two pieces
 * version  the version that this write had when it was made; at most WEFT_RESTORE_VERSION_MAX
 *
 * Returns  WEFT_OK (stored) · WEFT_MISMATCH (the entry present has the same version or a later one)
 *          · WEFT_E_NOMEM · WEFT_E_TOOBIG · WEFT_E_UNSUPPORTED (the map does not copy values)
 *          · WEFT_E_INVALID (version)
 * Owns     key and value are copied
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put
 * Cost     as weft_map_put
 */
WEFT_API int weft_map_restore(weft_map *map, weft_bytes key, const weft_fresh *value,
                              uint64_t version);

/* weft_map_remove — remove a key.
 *
 * map      the map
 * key      any bytes
 *
 * Returns  WEFT_OK (removed) · WEFT_NOT_FOUND · WEFT_E_TOOBIG
 * Owns     the destructor runs later, with reason WEFT_REMOVED
 * Threads  any
 * Progress as weft_map_put; needs no memory [E]
 * Order    as weft_map_put
 * Cost     expected O(1): two compare-and-swaps; the slot is free at once
 */
WEFT_API int weft_map_remove(weft_map *map, weft_bytes key);

/* weft_map_remove_hashed — weft_map_remove of a key that has been hashed.
 *
 * map      the map
 * key      as for weft_map_get_hashed
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND
 * Owns     as weft_map_remove
 * Threads  any
 * Progress as weft_map_remove
 * Order    as weft_map_remove
 * Cost     as weft_map_remove, without the hash
 */
WEFT_API int weft_map_remove_hashed(weft_map *map, const weft_hashed *key);

/* weft_map_take — remove a key, and keep its entry.
 *
 * map      opened with `refcount`
 * key      any bytes
 * ref      out
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_E_UNSUPPORTED (no `refcount`) · WEFT_E_TOOBIG
 * Owns     the entry passes to the caller until weft_ref_release; exactly one caller gets it
 * Threads  any
 * Progress as weft_map_remove
 * Order    as weft_map_remove, and as weft_map_get
 * Cost     as weft_map_remove
 */
WEFT_API int weft_map_take(weft_map *map, weft_bytes key, weft_ref *ref);

/* weft_map_remove_eq — remove a key if its value is as expected, byte for byte.
 *
 * map      the map
 * key      any bytes
 * expected any bytes
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH · WEFT_E_TOOBIG
 * Owns     as weft_map_remove
 * Threads  any
 * Progress as weft_map_remove
 * Order    as weft_map_remove
 * Cost     as weft_map_remove
 */
WEFT_API int weft_map_remove_eq(weft_map *map, weft_bytes key, weft_bytes expected);

/* weft_map_remove_if — remove a key if a predicate holds for its entry.
 *
 * map      the map
 * key      any bytes
 * fn       may run several times; the entry that it saw last is the one removed
 * ctx      for fn
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH (fn said no) · WEFT_E_TOOBIG
 * Owns     as weft_map_remove
 * Threads  any
 * Progress as weft_map_remove
 * Order    as weft_map_remove
 * Cost     as weft_map_remove, and fn
 */
WEFT_API int weft_map_remove_if(weft_map *map, weft_bytes key, weft_visit_fn fn, void *ctx);

/* weft_map_remove_if_version — remove a key if it has not been written since it was read.
 *
 * map      the map
 * key      any bytes
 * version  from a read of this key [D]
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND · WEFT_MISMATCH · WEFT_E_TOOBIG
 * Owns     as weft_map_remove
 * Threads  any
 * Progress as weft_map_remove
 * Order    as weft_map_remove
 * Cost     as weft_map_remove
 */
WEFT_API int weft_map_remove_if_version(weft_map *map, weft_bytes key, uint64_t version);

/* weft_map_put_many — store several values; each by itself, at its own moment.
 *
 * map      the map
 * keys     `count` keys
 * values   `count` values
 * count    number of both
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM or WEFT_E_TOOBIG: entries before the first failing one are stored
 * Owns     as weft_map_put, for those stored
 * Threads  any
 * Progress as weft_map_put
 * Order    as weft_map_put
 * Cost     as weft_map_put each, with guards and lines as for weft_map_get_many
 */
WEFT_API int weft_map_put_many(weft_map *map, const weft_bytes *keys, const weft_bytes *values,
                               size_t count);

/* weft_map_remove_many — remove several keys; each by itself, at its own moment.
 *
 * map      the map
 * keys     `count` keys
 * count    number of keys
 * removed  out, may be NULL: how many were there
 *
 * Returns  WEFT_OK · WEFT_E_TOOBIG: keys before the first failing one are removed
 * Owns     as weft_map_remove
 * Threads  any
 * Progress as weft_map_remove
 * Order    as weft_map_remove
 * Cost     as weft_map_remove each, with guards and lines as for weft_map_get_many
 */
WEFT_API int weft_map_remove_many(weft_map *map, const weft_bytes *keys, size_t count,
                                  size_t *removed);

/* weft_map_foreach — visit the entries.  [G, level W]
 *
 * map      the map
 * fn       called for each entry until it returns false; may call any operation of this map
 * ctx      for fn
 *
 * Returns  WEFT_OK (all visited) · WEFT_ABORTED (fn said stop)
 * Owns     what fn sees is valid until fn returns
 * Threads  any
 * Progress as weft_map_get, per bucket; no lock and no guard is held between buckets
 * Order    as weft_map_get, each
 * Cost     O(buckets + entries)
 */
WEFT_API int weft_map_foreach(weft_map *map, weft_visit_fn fn, void *ctx);

/* weft_map_foreach_part — visit one of `count` disjoint parts; together they are one foreach.
 *
 * map      the map
 * part     which part, and the callback; as weft_map_foreach
 *
 * Returns  WEFT_OK · WEFT_ABORTED · WEFT_E_INVALID (index ≥ count)
 * Owns     as weft_map_foreach
 * Threads  any; the parts may be visited at the same time by different threads
 * Progress as weft_map_foreach
 * Order    as weft_map_foreach
 * Cost     O((buckets + entries) / count)
 */
WEFT_API int weft_map_foreach_part(weft_map *map, const weft_part *part);

/* weft_map_iter_start — begin a walk in steps.  [G, level W]
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
WEFT_API void weft_map_iter_start(weft_map *map, weft_map_iter *iter);

/* weft_map_iter_next — the next entry of a walk.
 *
 * iter     from weft_map_iter_start
 * guard    entered; stays entered from the first step to the last
 * view     out
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND (the walk is over) · WEFT_E_INVALID (no guard)
 * Owns     the view is valid until the guard is left [C]
 * Threads  an iter is used by one thread at a time
 * Progress as weft_map_get
 * Order    as weft_map_get
 * Cost     amortised O(1)
 */
WEFT_API int weft_map_iter_next(weft_map_iter *iter, const weft_guard *guard, weft_view *view);

/* weft_map_scan — visit the next few entries behind a cursor.  [G, level C]
 *
 * map      the map
 * cursor   in: 0 to begin, or what the last call left; out: where to go on, 0 when all was visited
 * fn       called for each entry; its result is ignored, a bucket is always visited whole
 * ctx      for fn
 *
 * Returns  WEFT_OK
 * Owns     what fn sees is valid until fn returns
 * Threads  any; a cursor is a number, with no state behind it
 * Progress as weft_map_get
 * Order    as weft_map_get
 * Cost     one bucket: amortised O(1)
 * Source   the reversed-bit cursor of Redis SCAN (Noordhuis), taken over the hash as a fraction, so
 *          that no entry is repeated when the table shrinks
 */
WEFT_API int weft_map_scan(weft_map *map, uint64_t *cursor, weft_visit_fn fn, void *ctx);

/* weft_map_retain — remove the entries for which a predicate does not hold.
 *
 * map      the map
 * fn       true: keep; may be called again for an entry that was written meanwhile
 * ctx      for fn
 * removed  out, may be NULL: number of entries removed
 *
 * Returns  WEFT_OK
 * Owns     as weft_map_remove
 * Threads  any
 * Progress as weft_map_foreach and weft_map_remove
 * Order    as weft_map_remove
 * Cost     O(buckets + entries)
 */
WEFT_API int weft_map_retain(weft_map *map, weft_visit_fn fn, void *ctx, size_t *removed);

/* weft_map_clear — remove everything at one point in time.
 *
 * map      the map
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM (unchanged)
 * Owns     destructors run later, in pieces, with reason WEFT_CLEARED
 * Threads  any
 * Progress as weft_map_put; O(1) for the caller
 * Order    linearizable with every operation [A]; a new era begins [D]
 * Cost     O(1); the old entries are freed a few at a time by later writes and by weft_map_maintain
 */
WEFT_API int weft_map_clear(weft_map *map);

/* weft_map_len — how many entries there are, nearly.
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
WEFT_API size_t weft_map_len(weft_map *map);

/* weft_map_len_exact — how many entries a walk finds.
 *
 * map      the map
 *
 * Returns  the number of entries that a walk of level W sees
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_foreach
 * Order    as weft_map_foreach
 * Cost     O(buckets + entries)
 */
WEFT_API size_t weft_map_len_exact(weft_map *map);

/* weft_map_is_empty — is there no entry at all?
 *
 * map      the map
 *
 * Returns  true if weft_map_len is 0
 * Owns     nothing
 * Threads  any
 * Progress wait-free
 * Order    none
 * Cost     as weft_map_len
 */
WEFT_API bool weft_map_is_empty(weft_map *map);

/* weft_map_reserve — grow ahead, so that so many entries fit.
 *
 * map      the map
 * entries  number of entries in all
 *
 * Returns  WEFT_OK · WEFT_E_NOMEM (unchanged)
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_put; moves what is there with the help of other writers
 * Order    none
 * Cost     O(buckets) in all
 */
WEFT_API int weft_map_reserve(weft_map *map, size_t entries);

/* weft_map_shrink — give back table memory that the present entries do not need.
 *
 * map      the map
 *
 * Returns  WEFT_OK · WEFT_UNCHANGED · WEFT_E_NOMEM (unchanged)
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_reserve
 * Order    none
 * Cost     O(buckets) in all
 */
WEFT_API int weft_map_shrink(weft_map *map);

/* weft_map_maintain — do waiting work: move buckets of a resize, free what was retired or cleared.
 *
 * map      the map
 * budget   how many buckets and objects to treat at most; a piece of an old table, of 256 KiB,
 *          counts as 64
 *
 * Returns  WEFT_OK (nothing is left to do) · WEFT_E_BUSY (there is more, or a guard holds it back)
 * Owns     destructors may run here
 * Threads  any
 * Progress as weft_map_put
 * Order    none
 * Cost     O(budget)
 */
WEFT_API int weft_map_maintain(weft_map *map, size_t budget);

/* weft_map_stats_get — figures for diagnosis.
 *
 * map      the map
 * stats    out
 *
 * Returns  nothing
 * Owns     nothing
 * Threads  any
 * Progress as weft_map_get
 * Order    none: numbers of a moment
 * Cost     O(stripes)
 */
WEFT_API void weft_map_stats_get(weft_map *map, weft_map_stats *stats);

/* weft_map_check — verify every invariant of the structure; for tests and debugging.
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
WEFT_API int weft_map_check(weft_map *map, char *text, size_t capacity);

/* weft_map_dump — print the structure, bucket by bucket; for debugging.
 *
 * map      the map
 * print    called with one line at a time, without line feed
 * ctx      for print
 *
 * Returns  nothing
 * Owns     a line is valid until print returns
 * Threads  any
 * Progress as weft_map_foreach
 * Order    none
 * Cost     O(buckets + entries)
 */
WEFT_API void weft_map_dump(weft_map *map, void (*print)(void *ctx, const char *line), void *ctx);

WEFT_END_DECLS

#endif
