/* SPDX-License-Identifier: MIT */
/* L2: what an engine is. An engine maps a key to a cell of 64 bits, and changes cells by compare
 * and swap.
 *
 * Both shapes are one thing seen through this interface: in the bytes shape a cell is the address
 * of an immutable entry that holds the key; in the u64 shape it is the value itself. Everything
 * that the public API offers is built in src/map from `find` and `swing`, so no engine ever runs a
 * user's callback, and none can hold a lock while one runs: where the decision is not the user's,
 * position->hold says that an engine may keep its lock between the two. The user's allocator is the
 * one exception; it must not call into a map that it serves (weft/alloc.h).
 *
 * The caller is inside a guard for every call but open and close.
 */
#ifndef WEFT_ENGINE_ENGINE_H
#define WEFT_ENGINE_ENGINE_H

#include "base/assert.h"
#include "base/hash.h"
#include "engine/entry.h"
#include "reclaim/epoch.h"
#include <weft/map.h>

typedef enum weft_shape { WEFT_SHAPE_BYTES = 0, WEFT_SHAPE_U64 = 1 } weft_shape;

/* Counters that are written often, one line per stripe. The first stripe_count threads have one
 * each, which nobody else writes; all other threads share as many more. */
typedef struct weft_core_stripe {
    int64_t entries;          /* inserted minus removed */
    int64_t entry_bytes;      /* likewise, bytes shape */
    int64_t overflow_entries; /* of these, outside their bucket's line */
    int64_t overflow_bytes;   /* of the blocks that hold them */
    uint64_t retries;
    uint64_t passed; /* writes while something waited to be freed in pieces */
} WEFT_LINE_ALIGNED weft_core_stripe;

/* Of a plain table (plain.h): its buckets, and their number - 1. */
typedef struct weft_plain_line weft_plain_line;
typedef struct weft_plain_side {
    weft_plain_line *lines;
    uint64_t mask;
} weft_plain_side;

enum { WEFT_IMAGES_MAX = 16 }; /* snapshots of one era that live at a time */

struct weft_image;

/* One era of a map: what clear replaces as a whole. Made by src/map, used by the engine. */
typedef struct weft_core {
    /* What lookups that are compiled into the caller read (weft/u64inline.h): lockfree's root, or
     * NULL; without a root, a plain table that may be searched as long as *open is 1; and what goes
     * into the mixing of numbers. */
    void *root;
    weft_plain_side plain;
    const unsigned char *open;
    weft_mixer mixer;
    const struct weft_engine *engine;
    void *table; /* the engine's own */
    weft_shape shape;
    bool grow_only;
    bool shared;           /* other processes change the table too; the engine says so in open */
    uint32_t stripe_count; /* a power of two */
    weft_core_stripe *stripes; /* twice as many */
    uint64_t expected_entries;
    const weft_map_options *options; /* the map's: what is the engine's own */
    uint64_t era;
    weft_allocator allocator;
    weft_limbo limbo;
    uint64_t hash_seed;
    uint64_t (*hash)(void *ctx, weft_bytes key, uint64_t seed); /* NULL: keyed XXH3 with `secret` */
    void *hash_ctx;
    unsigned char secret[192];
    uint64_t image_count; /* whoever retires an entry looks here, then there */
    struct weft_image *images[WEFT_IMAGES_MAX];
} weft_core;

/* A key on its way: for the u64 shape `hash` is a bijection of the key and `bytes` is unused. */
typedef struct weft_key {
    uint64_t hash;
    weft_bytes bytes;
    uint64_t number; /* u64 shape: the key */
} weft_key;

/* Where a key is, or would go, as one find saw it; only good for one swing. */
typedef struct weft_position {
    bool present;
    bool hold;         /* in: an engine with locks may keep them from find to swing, or let_go;
                        * out of find: it does */
    bool again;        /* in, with hold: a swing has failed, and this one should not */
    uint64_t cell;     /* the entry's address, or the value; meaningless if absent */
    uint64_t version;  /* bytes shape, out of swing: the version that this write got */
    uint64_t at_least; /* bytes shape, in: the version must be greater than this; 0 usually */
    uint64_t words[9]; /* the engine's own */
} weft_position;

/* A write of several that take effect at one moment. */
typedef struct weft_group_write {
    weft_key key;
    bool keep;         /* false: remove */
    bool existed;      /* out */
    uint64_t desired;  /* if it keeps */
    uint64_t old;      /* out: what it replaced or removed; perhaps what one of the writes put */
    uint64_t at_least; /* bytes shape, in and out: as in weft_position */
    uint64_t version;
} weft_group_write;

/* A step of a walk: visit the part of the hash space that begins at `from`, one bucket at the most.
 * The space is the hash with its bits reversed, read as a fraction; an engine's bucket is an
 * interval. */
typedef struct weft_step {
    uint64_t from; /* in: where to begin */
    uint64_t next; /* out: where the next step begins; 0 = the end was reached */
    /* Called by the engine, perhaps under its lock, for each key in [from, next), each key once. It
     * only collects: src/map runs the user's callbacks afterwards. */
    void (*emit)(struct weft_step *step, uint64_t key_number, uint64_t cell);
    void *ctx;
} weft_step;

/* What a snapshot shows; the beginning of the engine's own, which makes and frees it.
 * docs/design/snapshot.md. */
typedef struct weft_image {
    weft_core *core;
    uint64_t slot; /* in core->images */
    uint64_t kept; /* entries that it shows and that were retired; the engine never looks */
} weft_image;

/* A cell of an image; all zero before the first. */
typedef struct weft_image_cell {
    uint64_t bucket;
    uint64_t next;       /* within the bucket */
    uint64_t key_number; /* u64 shape */
    uint64_t cell;
} weft_image_cell;

typedef enum weft_engine_cap {
    WEFT_CAP_LOCK_FREE = 1, /* no operation waits for another thread */
    WEFT_CAP_SHRINK = 2,    /* memory follows the number of entries down */
    WEFT_CAP_RESIZE = 4,    /* there is one table, which becomes larger and smaller as a whole */
    WEFT_CAP_THREADS = 8,   /* several threads may use a map at the same time */
    WEFT_CAP_KEEPS_REMOVED = 16, /* removed keys take memory until maintain, or some other call */
    WEFT_CAP_GROW = 32,          /* there is room as long as there is memory */
    WEFT_CAP_COPIES = 64,        /* a write is O(n) */
    WEFT_CAP_LOOKS_FIRST = 128,  /* find keeps no lock, as a rule */
} weft_engine_cap;

typedef struct weft_engine {
    const char *name;
    weft_engine_id id;
    uint32_t caps;
    const char *choose;        /* the card: where it is the right choice */
    const char *do_not_choose; /* … and where it is not */

    /* Make an empty table in core->table: no memory for buckets before the first swing. */
    int (*open)(weft_core *core);
    /* Free up to `budget` buckets of a table that no thread can reach any more, calling `drop` for
     * each cell; true when all is freed and core->table is gone. */
    bool (*close)(weft_core *core, size_t budget, void (*drop)(weft_core *core, uint64_t cell));

    /* Both by shape, which every caller knows. What finds a position begins a write; what only
     * looks fills *cell if the key is present. */
    void (*find[2])(weft_core *core, const weft_key *key, weft_position *position);
    bool (*look[2])(weft_core *core, const weft_key *key, uint64_t *cell);
    /* May be NULL. As `look`, of the key with this hash in the u64 shape: WEFT_OK, or
     * WEFT_NOT_FOUND with *cell 0. The caller is in no guard, but the record shows the epoch:
     * nothing that is called enters one, and it ends with weft_epoch_end_show. */
    int (*glance)(weft_core *core, uint64_t hash, uint64_t *cell, weft_record *record);
    /* Change the cell found at `position` to `desired` (keep = true), or remove it (keep = false).
     *   WEFT_OK        done; in the bytes shape the entry has got its version before it became
     *                  visible, greater than position->at_least and than every version of this key
     *                  before
     *   WEFT_MISMATCH  the key's cell is not what find saw, or might not be: find again
     *   WEFT_E_NOMEM, WEFT_E_FULL  nothing changed
     * The caller owns what was replaced, and retires it. Removing never fails for memory. */
    int (*swing)(weft_core *core, const weft_key *key, weft_position *position, bool keep,
                 uint64_t desired);
    /* NULL, or: what find kept under position->hold is let go, as no swing follows. After a swing,
     * whatever its status, nothing is kept. */
    void (*let_go)(weft_core *core, weft_position *position);

    /* May be NULL. Frees what was retired with weft_core_retire_own; returns its bytes. */
    size_t (*release)(weft_core *core, uint64_t link);

    /* May be NULL: not offered. All of the writes, one after the other, at one moment: WEFT_OK; or
     * none of them: WEFT_E_NOMEM, WEFT_E_FULL. One at the least. Versions are as in swing, and the
     * caller owns what was replaced. A removal of a key that is absent is no error. */
    int (*write_batch)(weft_core *core, weft_group_write *writes, size_t count);

    /* May be NULL. Begin to bring what find will read into the cache: the table's part; and later,
     * with `entry`, what the table's part leads to. */
    void (*prefetch)(weft_core *core, const weft_key *key, bool entry);
    void (*walk)(weft_core *core, weft_step *step);
    int (*reserve)(weft_core *core, uint64_t entries);
    int (*shrink)(weft_core *core);
    bool (*maintain)(weft_core *core, size_t budget); /* true: nothing left to do */
    uint64_t (*entries)(weft_core *core);             /* if core->shared can be */
    void (*stats)(weft_core *core,
                  weft_map_stats *stats); /* fills the table's fields, adds to others */
    int (*check)(weft_core *core, char *text, size_t capacity);
    void (*dump)(weft_core *core, void (*print)(void *ctx, const char *line), void *ctx);

    /* Snapshots: all NULL, or none. WEFT_OK · WEFT_E_NOMEM · WEFT_E_BUSY: by and by it will do. An
     * image that is made is in core->images before it shows anything, and is to be released, which
     * begins with taking it out of there, also if the snapshot was not taken. */
    int (*snapshot)(weft_core *core, weft_image **image);
    /* Both: WEFT_OK · WEFT_NOT_FOUND · WEFT_E_NOMEM, then the image is void. */
    int (*image_look)(weft_core *core, weft_image *image, const weft_key *key, uint64_t *cell);
    int (*image_next)(weft_core *core, weft_image *image, weft_image_cell *at);
    /* Does it show this entry, which has left the map? */
    bool (*image_holds)(weft_core *core, const weft_image *image, const weft_key *key,
                        uint64_t cell);
    void (*image_release)(weft_core *core, weft_image *image);
} weft_engine;

/* Does a find with position->hold keep a lock, as a rule? */
static inline bool weft_engine_keeps_lock(const weft_engine *engine) {
    return engine->let_go != NULL && (engine->caps & WEFT_CAP_LOOKS_FIRST) == 0;
}

/* After a find that no swing follows. */
static inline void weft_engine_let_go(weft_core *core, weft_position *position) {
    if (position->hold && core->engine->let_go != NULL) {
        core->engine->let_go(core, position);
    }
}

/* Entries that engine "fixed" is to have room for. (src/engine/fixed_memory.c) */
uint64_t weft_fixed_capacity(const weft_map_options *options);

/* engines.def, as a table; NULL for an unknown id. AUTO gives the default engine. */
const weft_engine *weft_engine_of(weft_engine_id id);

/* What the user's handle holds, for reports. (src/map/core.c) */
const void *weft_core_map(const weft_core *core);

/* Put an image into core->images; false if there is no room. (src/map/snapshot.c) */
bool weft_core_register_image(weft_core *core, weft_image *image);

/* Entries in the core, summed over the stripes; never below 0. (src/map/core.c) */
uint64_t weft_core_entries(const weft_core *core);

static inline uint64_t weft_core_hash_bytes(const weft_core *core, weft_bytes key) {
    if (WEFT_UNLIKELY(core->hash != NULL)) {
        /* Mixed again: users bring identities and truncated hashes. */
        return weft_mix_with(&core->mixer, core->hash(core->hash_ctx, key, core->hash_seed));
    }
    return weft_hash_bytes(key.data, key.size, core->secret);
}

/* The key of the u64 shape that has this hash. */
uint64_t weft_core_unhash_u64(const weft_core *core, uint64_t hash);

/* Memory for an engine's objects, through the map's allocator. Blocks are retired with
 * weft_core_retire_block: then `destroy` runs after the grace period. (src/map/core.c) */
typedef struct weft_block {
    weft_limbo_link link;
    void (*destroy)(weft_core *core, struct weft_block *block);
    size_t bytes;
} weft_block;

void *weft_core_alloc(weft_core *core, size_t size, size_t align);
void weft_core_free(weft_core *core, void *memory, size_t size, size_t align);
/* Zeroed, line-aligned; from the operating system's zero pages where it is large, and from huge
 * ones unless it is used in order. */
void *weft_core_alloc_table(weft_core *core, size_t size, bool in_order);
/* Of such memory, which nobody has touched: what is pages comes from this node if it can. */
void weft_core_place_table(weft_core *core, void *memory, size_t size, uint32_t node);
/* All of it at once: only for what has hardly been touched. */
void weft_core_free_table(weft_core *core, void *memory, size_t size);
void weft_core_retire_block(weft_core *core, weft_block *block);

/* What has no room for a block: `link` is the address of a word of it, and WEFT_LINK_MARK if the
 * engine wants to tell two kinds apart. After the grace period the engine's `release` gets it. */
enum { WEFT_LINK_MARK = 4 };
void weft_core_retire_own(weft_core *core, uint64_t link, size_t bytes);

/* In how many pieces a table's memory is given back, all of a size but the last. One, if the
 * allocator has alloc_zeroed. */
uint64_t weft_core_table_pieces(const weft_core *core, size_t size);

/* A table that nobody will find any more, and which is given back in pieces, by whoever writes:
 * docs/design/reclamation.md. Part of the object that owned the table and ends after it. Zeroed,
 * but for what `weft_remains_set` fills in. (src/map/bury.c) */
enum { WEFT_REMAINS_TABLES = 2 };

typedef struct weft_remains {
    weft_block block;          /* of the whole until nobody can reach it, then of what is left */
    struct weft_remains *next; /* older ones */
    struct {
        void *memory;
        size_t size;
    } tables[WEFT_REMAINS_TABLES];
    /* Gives piece number `piece` back; NULL: an era. Exactly one thread calls it for each. */
    void (*free_piece)(weft_core *core, struct weft_remains *remains, uint64_t piece);
    /* Frees the object, when every piece is given back and nobody looks at it any more. */
    void (*end)(weft_core *core, weft_block *block);
    uint64_t pieces;
    uint64_t claimed; /* pieces handed out; may go beyond */
    uint64_t left;    /* pieces not given back, and one for the list */
} weft_remains;

/* Describes up to two tables of weft_core_alloc_table (memory NULL: none), and how the object with
 * `bytes` in all ends. */
void weft_remains_set(weft_core *core, weft_remains *remains,
                      void (*end)(weft_core *core, weft_block *block));
/* What it sets as free_piece; for an engine's own to end with. The pieces of the first table come
 * first, from its beginning to its end. */
void weft_remains_free_piece(weft_core *core, weft_remains *remains, uint64_t piece);
/* Give the tables back after the grace period; or at once, as nobody can reach them. */
void weft_core_retire_remains(weft_core *core, weft_remains *remains);
void weft_core_bury(weft_core *core, weft_remains *remains);

/* A thread's stripe, by its number; *own says that no other thread writes it. */
static inline weft_core_stripe *weft_core_stripe_of(weft_core *core, uint32_t number, bool *own) {
    uint32_t thread = number - 1;
    *own = thread < core->stripe_count;
    return &core->stripes[*own ? thread : core->stripe_count + (thread & (core->stripe_count - 1))];
}

static inline weft_core_stripe *weft_core_my_stripe(weft_core *core, bool *own) {
    return weft_core_stripe_of(core, weft_epoch_thread_number(), own);
}

/* Bytes shape: gives a write its version, greater than `floor`, which no version of the key was
 * above; the entry that is put there has it before it can be seen. `entry` 0: a removal. Returns
 * the version; u64 shape: 0. */
static inline uint64_t weft_core_stamp(const weft_core *core, weft_position *position,
                                       uint64_t floor, uint64_t entry) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES || position->at_least == 0);
    if (core->shape == WEFT_SHAPE_U64) {
        return 0;
    }
    uint64_t version = (floor > position->at_least ? floor : position->at_least) + 1;
    position->version = version;
    if (entry != 0) {
        weft_store_relaxed(&((weft_entry *)(uintptr_t)entry)->version, version);
    }
    return version;
}

/* Bytes shape: the version of the entry that find saw; if it has been retired since, another
 * number, and the swing will fail. */
static inline uint64_t weft_core_seen_version(const weft_core *core,
                                              const weft_position *position) {
    return core->shape == WEFT_SHAPE_U64
               ? 0
               : weft_load_relaxed(&((const weft_entry *)(uintptr_t)position->cell)->version);
}

/* Change two counters of a stripe. */
static inline void weft_core_count_two(bool own, int64_t *const counters[2],
                                       const int64_t changes[2]) {
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        if (WEFT_LIKELY(own)) {
            weft_store_relaxed(counters[i], weft_load_relaxed(counters[i]) + changes[i]);
        } else if (changes[i] != 0) {
            weft_fetch_add_relaxed(counters[i], changes[i]);
        }
    }
}

/* Count a change of one key. */
static inline void weft_core_count(weft_core *core, int entries, int64_t bytes) {
    if (entries == 0 && bytes == 0) {
        return;
    }
    bool own;
    weft_core_stripe *stripe = weft_core_my_stripe(core, &own);
    weft_core_count_two(own, (int64_t *const[]){&stripe->entries, &stripe->entry_bytes},
                        (const int64_t[]){entries, bytes});
}

/* Count what has come into an overflow block or left it, and the block. */
static inline void weft_core_count_overflow(weft_core *core, int64_t entries, int64_t bytes) {
    bool own;
    weft_core_stripe *stripe = weft_core_my_stripe(core, &own);
    weft_core_count_two(own, (int64_t *const[]){&stripe->overflow_entries, &stripe->overflow_bytes},
                        (const int64_t[]){entries, bytes});
}

/* Count a write that has to look again. */
static inline void weft_core_count_retry(weft_core *core) {
    bool own;
    weft_fetch_add_relaxed(&weft_core_my_stripe(core, &own)->retries, 1);
}

#endif
