/* SPDX-License-Identifier: MIT */
/* Engine "sharded": several keys at once, for writes that are to be seen as one. */
#ifndef WEFT_ENGINE_SHARDED_H
#define WEFT_ENGINE_SHARDED_H

#include "base/latch.h"
#include "engine/plain.h"

/* A key's shard. The first two are the caller's, in. */
typedef struct weft_sharded_spot {
    uint64_t point;    /* the key's hash, reversed: a shard has an interval of these */
    size_t key;        /* which one of the keys */
    weft_plain *plain; /* takes the key as weft_sharded_key turns it */
    weft_latch *latch;
    uint32_t bits; /* that its directory takes from the hash */
    bool first;    /* of the spots with this shard: the one that locks and unlocks it */
    uint8_t mark;  /* the caller's */
} weft_sharded_spot;

/* By place, then by number of the key. */
void weft_sharded_sort(weft_sharded_spot *spots, size_t count);
/* Lock the shards of spots that are sorted, each once; nothing else may be locked by this thread.
 * Inside a guard, on a core of this engine. */
void weft_sharded_lock(weft_core *core, weft_sharded_spot *spots, size_t count);
void weft_sharded_unlock(weft_core *core, const weft_sharded_spot *spots, size_t count);

/* What the engine's card offers. (src/engine/sharded_batch.c) */
int weft_sharded_write_batch(weft_core *core, weft_group_write *writes, size_t count);

/* The key as the shard's table knows it. */
static WEFT_ALWAYS_INLINE weft_key weft_sharded_key(const weft_key *key, uint64_t bits) {
    uint64_t hash = key->hash >> (bits & 63) | key->hash << (-bits & 63);
    return (weft_key){hash, key->bytes, key->number};
}

#endif
