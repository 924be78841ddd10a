/* SPDX-License-Identifier: MIT */
/* Lookups in flight, both shapes: hints in submit, the lookup in poll, and no guard in between.
 * docs/design/batch.md. */
#include "engine/lockfree_u64.h"
#include "map/core.h"

#include <weft/batch.h>

/* ---- the ring -------------------------------------------------------------------------------- */

static int ring_init(weft_batch_ring *ring, size_t capacity) {
    if (capacity == 0 || capacity > WEFT_BATCH_CAPACITY_MAX) {
        return WEFT_E_INVALID;
    }
    *ring = (weft_batch_ring){.capacity = (uint32_t)capacity};
    return WEFT_OK;
}

static uint32_t ring_pending(const weft_batch_ring *ring) {
    return ring->asked - ring->done;
}

/* Why no lookup can be submitted. */
static WEFT_COLD int ring_refusal(const weft_batch_ring *ring) {
    return ring->capacity == 0 ? WEFT_E_INVALID : WEFT_E_FULL;
}

/* A line that was asked for so many lookups ago should have come: half of those that may be in
 * flight. */
static bool ring_wants_touch(const weft_batch_ring *ring) {
    return ring->asked - ring->touched > ring->capacity / 2;
}

/* While lookups are only polled, none is touched in submit. */
static bool ring_lacks_touch(const weft_batch_ring *ring) {
    return ring->asked != ring->touched && ring->touched - ring->done < ring->capacity / 2;
}

static void ring_polled(weft_batch_ring *ring) {
    ring->done++;
    if (ring->touched - ring->done > WEFT_BATCH_CAPACITY_MAX) { /* it is behind */
        ring->touched = ring->done;
    }
}

static void prefetch(weft_core *core, const weft_key *key, bool entry) {
    if (core->engine->prefetch != NULL) {
        core->engine->prefetch(core, key, entry);
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

int weft_batch_init(weft_batch *batch, weft_map *map, size_t capacity) {
    if (batch == NULL || map == NULL) {
        return WEFT_E_INVALID;
    }
    batch->map = map;
    return ring_init(&batch->ring, capacity);
}

/* Inside a guard. */
static void touch(weft_batch *batch, weft_map_impl *impl) {
    const weft_hashed *hashed = &batch->places[batch->ring.touched++ % WEFT_BATCH_CAPACITY_MAX].key;
    if (hashed->map == impl) { /* else it was never used when this one was submitted */
        weft_key key = weft_key_of_hashed(impl, hashed);
        prefetch(weft_map_core(impl), &key, true);
    }
}

int weft_batch_submit(weft_batch *batch, weft_bytes key, void *ctx) {
    if (WEFT_UNLIKELY(ring_pending(&batch->ring) >= batch->ring.capacity)) {
        return ring_refusal(&batch->ring);
    }
    if (WEFT_UNLIKELY(key.size > WEFT_KEY_SIZE_MAX)) {
        return WEFT_E_TOOBIG;
    }
    weft_batch_place *place = &batch->places[batch->ring.asked++ % WEFT_BATCH_CAPACITY_MAX];
    *place = (weft_batch_place){{key, 0, NULL}, ctx};
    weft_map_impl *impl = weft_load_acquire(&batch->map->impl); /* pairs with open_by_first_use */
    if (WEFT_UNLIKELY(impl == NULL)) {
        return WEFT_OK;
    }
    weft_guard guard;
    weft_epoch_enter(&guard);
    weft_core *core = weft_map_core(impl);
    weft_key found = weft_key_of_bytes(core, key);
    place->key.hash = found.hash;
    place->key.map = impl;
    prefetch(core, &found, false);
    if (ring_wants_touch(&batch->ring)) {
        touch(batch, impl);
    }
    weft_epoch_leave(&guard);
    return WEFT_OK;
}

int weft_batch_poll(weft_batch *batch, weft_buffer *out, void **ctx) {
    if (ring_pending(&batch->ring) == 0) {
        return WEFT_NOT_FOUND;
    }
    weft_map_impl *impl = weft_load_acquire(&batch->map->impl); /* pairs with open_by_first_use */
    const weft_batch_place *place = &batch->places[batch->ring.done % WEFT_BATCH_CAPACITY_MAX];
    weft_guard guard;
    weft_epoch_enter(&guard);
    while (impl != NULL && ring_lacks_touch(&batch->ring)) {
        touch(batch, impl);
    }
    out->status = weft_map_get_hashed(batch->map, &place->key, out);
    weft_epoch_leave(&guard);
    if (ctx != NULL) {
        *ctx = place->ctx;
    }
    ring_polled(&batch->ring);
    return WEFT_OK;
}

size_t weft_batch_pending(const weft_batch *batch) {
    return ring_pending(&batch->ring);
}

/* ---- numbers --------------------------------------------------------------------------------- */

int weft_u64batch_init(weft_u64batch *batch, weft_u64map *map, size_t capacity) {
    if (batch == NULL || map == NULL) {
        return WEFT_E_INVALID;
    }
    batch->map = map;
    return ring_init(&batch->ring, capacity);
}

/* Inside a guard. A hash of another map than the present one only makes the hint useless. */
static WEFT_ALWAYS_INLINE void touch_number(weft_u64batch *batch, const generation *root) {
    uint64_t hash = batch->places[batch->ring.touched++ % WEFT_BATCH_CAPACITY_MAX].hash;
    const bucket *at = bucket_at(root, hash);
    if (WEFT_UNLIKELY((weft_load_relaxed(&at->head.first) & filter_bit(hash)) != 0)) {
        overflow_prefetch(at);
    }
}

WEFT_HOT int weft_u64batch_submit(weft_u64batch *batch, uint64_t key, void *ctx) {
    if (WEFT_UNLIKELY(ring_pending(&batch->ring) >= batch->ring.capacity)) {
        return ring_refusal(&batch->ring);
    }
    weft_u64batch_place *place = &batch->places[batch->ring.asked++ % WEFT_BATCH_CAPACITY_MAX];
    place->key = key;
    place->hash = 0;
    place->ctx = ctx;
    weft_map_impl *impl = weft_load_acquire(&batch->map->impl); /* pairs with open_by_first_use */
    if (WEFT_UNLIKELY(impl == NULL)) {
        return WEFT_OK;
    }
    weft_guard guard;
    weft_epoch_enter(&guard);
    const weft_core *core = weft_map_core(impl);
    const generation *root = root_of(core);
    if (WEFT_LIKELY(root != NULL)) {
        place->hash = weft_mix_with(&core->mixer, key);
        __builtin_prefetch(bucket_at(root, place->hash));
        if (WEFT_LIKELY(ring_wants_touch(&batch->ring))) {
            touch_number(batch, root);
        }
    }
    weft_epoch_leave(&guard);
    return WEFT_OK;
}

/* The last ones, which no submit has come after. */
static WEFT_NOINLINE void touch_numbers(weft_u64batch *batch) {
    weft_map_impl *impl = weft_load_acquire(&batch->map->impl); /* pairs with open_by_first_use */
    weft_guard guard;
    weft_epoch_enter(&guard);
    const generation *root = impl == NULL ? NULL : root_of(weft_map_core(impl));
    while (root != NULL && ring_lacks_touch(&batch->ring)) {
        touch_number(batch, root);
    }
    weft_epoch_leave(&guard);
}

WEFT_HOT int weft_u64batch_poll(weft_u64batch *batch, weft_u64answer *answer) {
    if (ring_pending(&batch->ring) == 0) {
        return WEFT_NOT_FOUND;
    }
    const weft_u64batch_place *place = &batch->places[batch->ring.done % WEFT_BATCH_CAPACITY_MAX];
    if (WEFT_UNLIKELY(ring_lacks_touch(&batch->ring))) {
        touch_numbers(batch);
    }
    answer->key = place->key;
    answer->ctx = place->ctx;
    answer->status = weft_u64map_get(batch->map, place->key, &answer->value);
    ring_polled(&batch->ring);
    return WEFT_OK;
}

size_t weft_u64batch_pending(const weft_u64batch *batch) {
    return ring_pending(&batch->ring);
}
