/* SPDX-License-Identifier: MIT */
/* Engine "sharded": several keys at once, for writes that are to be seen as one. */
#ifndef WEFT_ENGINE_SHARDED_H
#define WEFT_ENGINE_SHARDED_H

#include "base/latch.h"
#include "engine/plain.h"

/* A key's shard, locked. */
typedef struct weft_sharded_spot {
    weft_plain *plain; /* takes the key as weft_sharded_key turns it */
    weft_latch *latch;
    uint64_t index; /* of the shard */
    uint32_t bits;  /* that its directory takes from the hash */
    bool first;     /* of the spots with this shard: the one that unlocks it */
    size_t key;     /* which one of the keys */
} weft_sharded_spot;

/* Lock the shards of `count` hashes, each once, in the one order that excludes deadlocks; nothing
 * else may be locked by this thread. The spots come in this order. Inside a guard, on a core of
 * this engine. */
void weft_sharded_lock(weft_core *core, const uint64_t *hashes, size_t count,
                       weft_sharded_spot *spots);
void weft_sharded_unlock(weft_core *core, const weft_sharded_spot *spots, size_t count);

/* The key as the shard's table knows it. */
static WEFT_ALWAYS_INLINE weft_key weft_sharded_key(const weft_key *key, uint64_t bits) {
    uint64_t hash = key->hash >> (bits & 63) | key->hash << (-bits & 63);
    return (weft_key){hash, key->bytes, key->number};
}

#endif
