/* SPDX-License-Identifier: MIT */
/* L3 from inside: the map behind weft_map and weft_u64map, and one era of it. */
#ifndef WEFT_MAP_CORE_H
#define WEFT_MAP_CORE_H

#include "base/hash.h"
#include "base/lock.h"
#include "engine/engine.h"
#include "map/records.h"

#include <weft/u64map.h>

struct weft_map_impl;

/* One era: what the engine sees, and what clear needs to replace it. One allocation with its
 * stripes. */
typedef struct weft_era {
    weft_core core;
    weft_remains remains; /* of the era as a whole, once it is replaced */
    uint64_t freeing;     /* 1: a thread is at it */
    struct weft_map_impl *map;
    uint64_t holders; /* the map, as long as it is the present one, and snapshots */
    size_t bytes;
} weft_era;

typedef struct weft_claim {
    const weft_key *key;
    const void *thread;
    struct weft_claim *next;
} weft_claim;

typedef struct weft_map_impl {
    weft_era *era;                           /* the current one */
    struct weft_recording_filter *recording; /* NULL, or what records this map (recording.h) */
    /* Keys whose hash has one of these bits are not recorded: each operation looks at them, as at
     * `era`. All bits while there is no recording. */
    uint64_t unrecorded;
    weft_shape shape;
    weft_map_options options; /* with defaults filled in; its allocator is `allocator` */
    weft_allocator allocator;
    bool spares;      /* entries are malloc's blocks, of which threads keep some (base/memory.h) */
    bool copies;      /* they are copies of key and value, and end unnoticed */
    bool plain;       /* both */
    weft_limbo limbo; /* tables and eras, whatever era they are of: it may be held for long */
    weft_limbo_stripe limbo_stripe;
    weft_remains *remains;  /* what no thread can reach, and is freed in pieces; the newest first */
    uint64_t remains_bytes; /* of tables in it */
    uint64_t waiting;       /* tables and eras retired, and not yet freed */
    uint64_t references;    /* held by callers: of entries, and snapshots */
    weft_records records;   /* engine "fixed", bytes shape: of which entries are made */
    weft_mutex claims_lock;
    weft_cond claims_changed;
    weft_claim *claims;
} weft_map_impl;

/* Make the implementation, or NULL and a status. (core.c) */
int weft_map_make(weft_shape shape, const weft_map_options *options, weft_map_impl **made);
int weft_map_unmake(weft_map_impl *map);

/* The implementation behind a handle; opened with defaults if the handle is new. NULL without
 * memory. */
weft_map_impl *weft_map_of(void **handle, weft_shape shape);

static inline weft_core *weft_map_core(weft_map_impl *map) {
    return &weft_load_acquire(&map->era)->core; /* pairs with the exchange in weft_map_clear_impl */
}

/* Both inside a guard under which the era was the present one, or by a holder. False: it is being
 * freed. */
bool weft_era_hold(weft_era *era);
void weft_era_let_go(weft_era *era);

int weft_map_clear_impl(weft_map_impl *map);
/* An era that nobody sees yet; its number is given when it becomes the present one. */
int weft_era_make(weft_map_impl *map, weft_era **made);
/* The fresh era in place of the present one, inside a guard. */
void weft_map_replace_era(weft_map_impl *map, weft_era *fresh);
/* Free an era that nobody has seen; what its cells lead to stays. */
void weft_era_discard(weft_era *era);

/* Tables and eras that nobody can reach (bury.c). Free some of them: as many buckets, or as much as
 * costs the same; true if nothing is left or waits for its grace period. Inside a guard. */
enum { WEFT_BURY_LEAST = 64 /* a piece of a table costs as much as so many buckets */ };
bool weft_map_bury_some(weft_map_impl *map, size_t budget);
/* All of them; false if some wait for their grace period. */
bool weft_map_bury_all(weft_map_impl *map);
/* What a write does for them. */
void weft_map_bury_in_passing(weft_map_impl *map);
static inline void weft_map_bury(weft_map_impl *map) {
    if (WEFT_UNLIKELY(weft_load_relaxed(&map->waiting) != 0)) {
        weft_map_bury_in_passing(map);
    }
}

void weft_map_set_limbo(weft_map_impl *map);
void weft_era_set_remains(weft_era *era);
/* Free the map's last era, and all that is left of others; no other thread uses the map. */
void weft_era_close(weft_era *era);

/* One piece of a table's memory (core.c); returns its bytes. */
size_t weft_core_free_table_piece(weft_core *core, void *memory, size_t size, uint64_t piece);

/* Claims (claim.c): one thread at a time works on a key. WEFT_OK or WEFT_E_REENTRANT. */
int weft_claim_take(weft_map_impl *map, weft_claim *claim, const weft_key *key);
void weft_claim_give_back(weft_map_impl *map, weft_claim *claim);

/* Entries (entry.c). */
/* With `take_key` the key is held as the map's mode says; else it is copied in any mode. */
weft_entry *weft_entry_make(weft_map_impl *map, weft_bytes key, const weft_fresh *value,
                            bool take_key);
/* Why there can be no entry with a key and a value of these sizes; or WEFT_OK. */
int weft_entry_refusal(const weft_map_impl *map, size_t key_size, size_t value_size);
/* Why there is none though there could be: WEFT_E_NOMEM, or WEFT_E_FULL. */
int weft_entry_shortage(const weft_map_impl *map);
/* Bytes of the largest entry of these sizes. */
size_t weft_entry_room(const weft_map_impl *map, size_t key_size, size_t value_size);
void weft_entry_discard(weft_map_impl *map, weft_entry *entry); /* never was in the map */
void weft_entry_release(weft_map_impl *map, weft_entry *entry); /* a reference less; destructor */
void weft_entry_retire(weft_core *core, weft_entry *entry, weft_reason reason);
/* An entry that was kept for a snapshot that is no more: it has its reason. */
void weft_entry_retire_unlinked(weft_core *core, weft_entry *entry);
/* Does a snapshot show the entry, which has left the map, and keep it therefore? (snapshot.c) */
bool weft_snapshot_keeps(weft_core *core, weft_entry *entry);
/* One reference more. The entry was found under the guard that the caller is inside: the map's own
 * reference is dropped after it. */
void weft_entry_reference(weft_entry *entry);
/* The present state of the key of an entry that was found: of this entry, or of the one that came
 * in its place. False if the key is gone. The caller is inside the guard under which the entry was
 * found. */
bool weft_entry_look_current(weft_core *core, const weft_entry *entry, weft_view *view);

/* Walks (walk.c), for both shapes: visits cells, each key once, until `visit` says false. */
typedef bool (*weft_cell_fn)(void *ctx, uint64_t key_number, uint64_t cell);
typedef struct weft_walk {
    weft_cell_fn visit;
    void *ctx;
    weft_core *core; /* during visit: where the cell was found */
    bool stopped;    /* visit said so */
    uint64_t from;   /* where the next step begins */
    uint64_t last;   /* the last point to visit */
} weft_walk;
/* One step, under a guard of its own; false if the walk is over. */
bool weft_walk_step(weft_map_impl *map, weft_walk *walk);
/* Steps until the end of the part. */
int weft_walk_part(weft_map_impl *map, const weft_part *part, weft_walk *walk);
/* A step behind a cursor. */
void weft_walk_scan(weft_map_impl *map, uint64_t *cursor, weft_walk *walk);
size_t weft_walk_count(weft_map_impl *map);
/* A walk in single cells, inside a guard; the bytes shape, which looks at the last cell again,
 * needs one and the same guard for all steps. */
enum { WEFT_ITER_WORDS = 6 };
void weft_walk_iter_start(weft_map_impl *map, uint64_t *words);
bool weft_walk_iter_next(uint64_t *words, uint64_t *number, uint64_t *cell);

/* The arithmetic of weft_map_fetch (write.c). */
int64_t weft_fetch_combine(weft_fetch fetch, int64_t old);

/* Size, maintenance, figures (manage.c), for both shapes; the map may be NULL: never used. */
int weft_manage_reserve(weft_map_impl *map, size_t entries);
int weft_manage_shrink(weft_map_impl *map);
int weft_manage_maintain(weft_map_impl *map, size_t budget);
size_t weft_manage_len(weft_map_impl *map);
void weft_manage_stats(weft_map_impl *map, weft_map_stats *stats);
int weft_manage_check(weft_map_impl *map, char *text, size_t capacity);
void weft_manage_dump(weft_map_impl *map, void (*print)(void *ctx, const char *line), void *ctx);

/* Engine "fixed": is there no record because those that left wait for guards? Then these have a
 * moment to be left. Outside of a guard, unless the caller holds one. */
bool weft_map_another_chance(weft_map_impl *map, int status, unsigned *chances);

static inline weft_key weft_key_of_bytes(const weft_core *core, weft_bytes bytes) {
    return (weft_key){.hash = weft_core_hash_bytes(core, bytes), .bytes = bytes};
}

/* A hash that was made for another map is made anew. */
static inline weft_key weft_key_of_hashed(weft_map_impl *map, const weft_hashed *hashed) {
    if (WEFT_UNLIKELY(hashed->map != map)) {
        return weft_key_of_bytes(weft_map_core(map), hashed->key);
    }
    return (weft_key){.hash = hashed->hash, .bytes = hashed->key};
}

/* This thread's record, if it may try the plain cases; NULL otherwise. */
static WEFT_ALWAYS_INLINE weft_record *weft_map_plain_record(void) {
#ifdef WEFT_CALLS_ONLY
    return *weft_thread_slot();
#else
    weft_record *record = weft_inline_thread;
    return WEFT_LIKELY(record != &weft_epoch_nobody) ? record : NULL;
#endif
}

/* This thread's record, which shows the epoch from now on, as in an inlined lookup; NULL if that
 * cannot be: inside a guard, or where the thread has none yet. */
static WEFT_ALWAYS_INLINE weft_record *weft_map_show(void) {
#ifdef WEFT_CALLS_ONLY
    weft_record *record = *weft_thread_slot();
    if (record == NULL || record->nest != 0) {
        return NULL;
    }
    weft_epoch_show(record);
#else
    weft_record *record = weft_inline_thread;
    if (WEFT_UNLIKELY(weft_load_relaxed(&record->pinned) != 0)) {
        return NULL;
    }
    weft_epoch_show_cheaply(record);
#endif
    WEFT_KNOWN(record != NULL);
    return record;
}

/* Of weft_map_part. */
static inline bool weft_parts_are_right(size_t parts) {
    enum { PARTS_MAX = 65536 };
    return parts != 0 && parts <= PARTS_MAX && (parts & (parts - 1)) == 0;
}

static inline weft_key weft_key_of_u64(const weft_core *core, uint64_t number) {
    return (weft_key){.hash = weft_mix_with(&core->mixer, number), .number = number};
}

#endif
