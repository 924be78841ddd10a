/* SPDX-License-Identifier: MIT */
/* weft_u64map: lookups of several keys. Their lines are asked for ahead; what the slots don't tell
 * is put off until the others are done, while the line that will tell is on its way.
 * docs/design/batch.md. */
#include "map/recording.h"
#include "map/u64ahead.h"

#include <weft/u64map.h>

/* Keys of which the slots do not tell. */
typedef struct put_off {
    uint8_t places[AHEAD_KEYS];
    size_t count;
} put_off;

_Static_assert(AHEAD_KEYS <= UINT8_MAX + 1, "a place fits");

/* As weft_u64map_get looks into a bucket; the builds that have calls only see each access. */
static WEFT_ALWAYS_INLINE bool look_into(bucket *at, uint64_t hash, weft_u64found *found) {
#ifndef WEFT_CALLS_ONLY
    return weft_inline_look_into((const struct weft_inline_bucket *)at, hash, &found->value,
                                 &found->status);
#else
    uint64_t state = weft_load_acquire(&at->head.first); /* pairs with the CAS of head */
    uint64_t pair = look_for_key(at, wanted_pair(hash));
    /* The value is read after its key: pairs with the CAS of its writer. */
    uint64_t value = weft_load_acquire(&pair_found(at, pair)->second);
    *found = (weft_u64found){pair != 0 ? value : 0, pair != 0 ? WEFT_OK : WEFT_NOT_FOUND};
    return (state & filter_bit(hash)) == 0 &&
           weft_load_acquire(&at->head.first) == state; /* pairs with the CAS of head */
#endif
}

static void look_anyhow(weft_map_impl *impl, weft_core *core, const weft_key *key,
                        weft_u64found *found) {
    found->value = 0;
    weft_recording_note_get(impl, key);
    bool there = core->engine->look[WEFT_SHAPE_U64](core, key, &found->value);
    found->status = there ? WEFT_OK : WEFT_NOT_FOUND;
}

/* Lockfree. What may have to be recorded is put off as well. */
static WEFT_ALWAYS_INLINE void get_plainly(weft_map_impl *impl, weft_core *core, ahead *a,
                                           weft_u64found *found) {
    put_off off;
    uint64_t unrecorded = weft_load_relaxed(&impl->unrecorded); /* as weft_recording_may_want */
    off.count = 0;
    while (a->done < a->count) {
        size_t to = ahead_go(a);
        for (size_t i = a->done; i < to; i++) {
            if (WEFT_UNLIKELY((a->hashes[i] & unrecorded) == 0) ||
                WEFT_UNLIKELY(!look_into(a->buckets[i], a->hashes[i], &found[i]))) {
                overflow_prefetch(a->buckets[i]);
                off.places[off.count++] = (uint8_t)i;
            }
        }
        a->done = to;
    }
    for (size_t i = 0; i < off.count; i++) {
        size_t place = off.places[i];
        weft_key key = ahead_key(a, place);
        look_anyhow(impl, core, &key, &found[place]);
    }
}

/* Up to AHEAD_KEYS of them; returns how many. */
static size_t get_some(weft_map_impl *impl, const uint64_t *keys, size_t count,
                       weft_u64found *found) {
    ahead a;
    weft_guard guard;
    weft_epoch_enter(&guard);
    weft_core *core = weft_map_core(impl);
    ahead_begin(&a, core, keys, count);
    if (WEFT_LIKELY(a.door != NULL) && WEFT_LIKELY(weft_map_plain_record() != NULL)) {
        get_plainly(impl, core, &a, found);
    } else {
        for (; a.done < a.count; a.done++) {
            weft_key key = weft_key_of_u64(core, keys[a.done]);
            look_anyhow(impl, core, &key, &found[a.done]);
        }
    }
    weft_epoch_leave(&guard);
    return a.count;
}

WEFT_HOT int weft_u64map_get_many(weft_u64map *map, const uint64_t *keys, size_t count,
                                  weft_u64found *found) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (WEFT_UNLIKELY(impl == NULL)) {
        for (size_t i = 0; i < count; i++) {
            found[i] = (weft_u64found){0, WEFT_NOT_FOUND};
        }
        return WEFT_OK;
    }
    for (size_t done = 0; done < count;) {
        done += get_some(impl, keys + done, count - done, found + done);
    }
    return WEFT_OK;
}
