/* SPDX-License-Identifier: MIT */
/* weft_map: open, close, and the operations that only look. */
#include "engine/lockfree_bytes.h"
#include "map/ahead.h"
#include "map/recording.h"

int weft_map_open(weft_map *map, const weft_map_options *options) {
    weft_map_impl *made = NULL;
    int status = map == NULL ? WEFT_E_INVALID : weft_map_make(WEFT_SHAPE_BYTES, options, &made);
    if (status == WEFT_OK) {
        map->impl = made;
    }
    return status;
}

int weft_map_close(weft_map *map) {
    int status = map->impl == NULL ? WEFT_OK : weft_map_unmake(map->impl);
    if (status == WEFT_OK) {
        map->impl = NULL;
    }
    return status;
}

/* The key's entry at some moment of the call, and what was to be seen of it then; or NULL. The
 * caller is inside a guard. */
static inline weft_entry *find_hashed(weft_map_impl *impl, weft_core *core, const weft_key *key,
                                      weft_view *view) {
    weft_entry *entry;
    weft_recording_note_get(impl, key);
    do {
        uint64_t found;
        if (WEFT_UNLIKELY(!plain_look(core, key, &found)) &&
            !core->engine->look[WEFT_SHAPE_BYTES](core, key, &found)) {
            found = 0;
        }
        entry = (weft_entry *)(uintptr_t)found;
        /* Another round if it left after it was found. */
    } while (entry != NULL && WEFT_UNLIKELY(!weft_entry_look(entry, view)));
    return entry;
}

/* Likewise. A map that was never used stays unopened. */
static inline weft_entry *find_entry(weft_map *map, weft_bytes bytes, weft_view *view) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (WEFT_UNLIKELY(impl == NULL)) {
        return NULL;
    }
    weft_core *core = weft_map_core(impl);
    weft_key key = weft_key_of_bytes(core, bytes);
    return find_hashed(impl, core, &key, view);
}

enum { COPY_STEP = 16 };

/* Part by part, as what is stored in parts is slow to load as a whole. */
static WEFT_ALWAYS_INLINE int copy_value(const void *value, size_t value_size, weft_buffer *out) {
    out->size = value_size;
    size_t size = value_size < out->capacity ? value_size : out->capacity;
    if (WEFT_LIKELY(size - COPY_STEP <= COPY_STEP)) { /* two moves that may overlap: no call */
        memcpy(out->data, value, COPY_STEP);
        memcpy((char *)out->data + size - COPY_STEP, (const char *)value + size - COPY_STEP,
               COPY_STEP);
    } else if (size != 0) {
        memcpy(out->data, value, size);
    }
    return size == value_size ? WEFT_OK : WEFT_TRUNCATED;
}

static inline int copy_out(const weft_view *view, weft_buffer *out) {
    out->version = view->version;
    return copy_value(view->value.data, view->value.size, out);
}

/* Inside a guard. */
static int get_guarded(weft_map *map, weft_bytes key, weft_buffer *out) {
    if (WEFT_UNLIKELY(key.size > WEFT_KEY_SIZE_MAX)) {
        return WEFT_E_TOOBIG;
    }
    weft_view view;
    return find_entry(map, key, &view) != NULL ? copy_out(&view, out) : WEFT_NOT_FOUND;
}

/* No status of the library: for the general way. */
enum { NOT_PLAIN = INT32_MIN };

/* Inside a guard: an entry with its key and value behind its head, in a slot of a bucket that is
 * not on the move; and nothing to be recorded. */
static WEFT_ALWAYS_INLINE int get_plain(weft_map_impl *impl, weft_bytes bytes, weft_buffer *out) {
    const weft_core *core = weft_map_core(impl);
    weft_key key = {.hash = weft_core_hash_bytes(core, bytes), .bytes = bytes};
    uint64_t found;
    if (weft_recording_may_want(impl, key.hash) || WEFT_UNLIKELY(!plain_look(core, &key, &found))) {
        return NOT_PLAIN;
    }
    if (found == 0) {
        return WEFT_NOT_FOUND;
    }
    const weft_entry *entry = (const weft_entry *)(uintptr_t)found;
    /* Acquire: as in weft_entry_look. Pairs with the release of the link in weft_limbo_retire. */
    uint64_t version = weft_load_acquire(&entry->version);
    uint32_t word = weft_load_relaxed(&entry->key_size_and_flags) & ~(uint32_t)WEFT_ENTRY_BLIND;
    if (WEFT_UNLIKELY(word > WEFT_KEY_SIZE_MAX)) { /* a flag, or a reason: it has left */
        return NOT_PLAIN;
    }
    out->version = version;
    return copy_value(entry->bytes + word, entry->value_size, out);
}

/* `shown`: NULL, or this thread's record, which shows the epoch: then the plain case was tried. */
static WEFT_NOINLINE int get_anyhow(weft_map *map, weft_bytes key, weft_buffer *out,
                                    weft_record *shown) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    bool try = shown == NULL && impl != NULL && key.size <= WEFT_KEY_SIZE_MAX;
    weft_guard guard;
    weft_epoch_enter_shown(&guard, shown);
    int status = try ? get_plain(impl, key, out) : NOT_PLAIN;
    if (status == NOT_PLAIN) {
        status = get_guarded(map, key, out);
    }
    weft_epoch_leave(&guard);
    return status;
}

WEFT_HOT int weft_map_get(weft_map *map, weft_bytes key, weft_buffer *out) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    weft_record *record = impl != NULL && key.size <= WEFT_KEY_SIZE_MAX ? weft_map_show() : NULL;
    int status = WEFT_LIKELY(record != NULL) ? get_plain(impl, key, out) : NOT_PLAIN;
    if (WEFT_UNLIKELY(status == NOT_PLAIN)) {
        return get_anyhow(map, key, out, record);
    }
    weft_epoch_end_show(record);
    return status;
}

int weft_map_get_hashed(weft_map *map, const weft_hashed *key, weft_buffer *out) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (WEFT_UNLIKELY(impl == NULL)) {
        return WEFT_NOT_FOUND;
    }
    weft_guard guard;
    weft_view view;
    weft_epoch_enter(&guard);
    weft_core *core = weft_map_core(impl);
    weft_key found = weft_key_of_hashed(impl, key);
    int status =
        find_hashed(impl, core, &found, &view) != NULL ? copy_out(&view, out) : WEFT_NOT_FOUND;
    weft_epoch_leave(&guard);
    return status;
}

int weft_map_hash(weft_map *map, weft_bytes key, weft_hashed *hashed) {
    if (WEFT_UNLIKELY(key.size > WEFT_KEY_SIZE_MAX)) {
        return WEFT_E_TOOBIG;
    }
    weft_map_impl *impl = weft_map_of(&map->impl, WEFT_SHAPE_BYTES);
    if (impl == NULL) {
        return WEFT_E_NOMEM;
    }
    weft_guard guard;
    weft_epoch_enter(&guard); /* the era, and its secret, may be freed by a clear */
    *hashed = (weft_hashed){key, weft_core_hash_bytes(weft_map_core(impl), key), impl};
    weft_epoch_leave(&guard);
    return WEFT_OK;
}

/* The low bits of the hash, which choose the shard (engine sharded). */
size_t weft_map_part(weft_map *map, weft_bytes key, size_t parts) {
    weft_hashed hashed;
    if (!weft_parts_are_right(parts) || weft_map_hash(map, key, &hashed) != WEFT_OK) {
        return SIZE_MAX;
    }
    return hashed.hash & (parts - 1);
}

/* Up to AHEAD_KEYS of them; returns how many. */
static size_t get_some(weft_map_impl *impl, const weft_bytes *keys, size_t count,
                       weft_buffer *out) {
    weft_ahead ahead;
    weft_guard guard;
    weft_view view;
    weft_epoch_enter(&guard);
    weft_ahead_begin(&ahead, weft_map_core(impl), keys, count);
    while (ahead.done < ahead.count) {
        for (size_t to = weft_ahead_go(&ahead); ahead.done < to; ahead.done++) {
            const weft_key *key = weft_ahead_key(&ahead, ahead.done);
            weft_buffer *buffer = &out[ahead.done];
            buffer->status = key->bytes.size > WEFT_KEY_SIZE_MAX ? WEFT_E_TOOBIG
                             : find_hashed(impl, ahead.core, key, &view) != NULL
                                 ? copy_out(&view, buffer)
                                 : WEFT_NOT_FOUND;
        }
    }
    weft_epoch_leave(&guard);
    return ahead.count;
}

WEFT_HOT int weft_map_get_many(weft_map *map, const weft_bytes *keys, size_t count,
                               weft_buffer *out) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    for (size_t i = 0; impl == NULL && i < count; i++) {
        out[i].status = keys[i].size > WEFT_KEY_SIZE_MAX ? WEFT_E_TOOBIG : WEFT_NOT_FOUND;
    }
    for (size_t done = 0; impl != NULL && done < count;) {
        done += get_some(impl, keys + done, count - done, out + done);
    }
    return WEFT_OK;
}

enum { PREFETCH_MAX = 32 };

_Static_assert((int)PREFETCH_MAX <= (int)AHEAD_RING, "no key is overwritten");

WEFT_HOT void weft_map_prefetch(weft_map *map, const weft_bytes *keys, size_t count) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (impl == NULL) {
        return;
    }
    weft_ahead ahead;
    weft_guard guard;
    weft_epoch_enter(&guard);
    weft_ahead_begin(&ahead, weft_map_core(impl), keys,
                     count < PREFETCH_MAX ? count : PREFETCH_MAX);
    while (ahead.touched < ahead.count) {
        weft_ahead_go(&ahead);
    }
    weft_epoch_leave(&guard);
}

WEFT_HOT int weft_map_peek(weft_map *map, weft_bytes key, const weft_guard *guard,
                           weft_view *view) {
    if (WEFT_UNLIKELY(guard == NULL || guard->record == NULL)) {
        return WEFT_E_INVALID;
    }
    if (WEFT_UNLIKELY(key.size > WEFT_KEY_SIZE_MAX)) {
        return WEFT_E_TOOBIG;
    }
    return find_entry(map, key, view) != NULL ? WEFT_OK : WEFT_NOT_FOUND;
}

int weft_map_contains(weft_map *map, weft_bytes key) {
    weft_guard guard;
    weft_view view;
    weft_epoch_enter(&guard);
    int status = weft_map_peek(map, key, &guard, &view);
    weft_epoch_leave(&guard);
    return status;
}

int weft_map_acquire(weft_map *map, weft_bytes key, weft_ref *ref) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (impl == NULL || !impl->options.refcount) {
        return WEFT_E_UNSUPPORTED;
    }
    if (key.size > WEFT_KEY_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    weft_guard guard;
    weft_epoch_enter(&guard);
    weft_view view;
    weft_entry *entry = find_entry(map, key, &view);
    if (entry != NULL) {
        weft_entry_reference(entry);
        *ref = (weft_ref){view, entry, impl};
        weft_fetch_add_relaxed(&impl->references, 1);
    }
    weft_epoch_leave(&guard);
    return entry != NULL ? WEFT_OK : WEFT_NOT_FOUND;
}

void weft_ref_release(weft_ref *ref) {
    if (ref->entry == NULL) {
        return;
    }
    weft_map_impl *impl = ref->map;
    weft_entry_release(impl, ref->entry);
    *ref = (weft_ref){0};
    weft_fetch_add_acq_rel(&impl->references, (uint64_t)-1); /* pairs with the load in unmake */
}
