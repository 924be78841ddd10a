/* SPDX-License-Identifier: MIT */
/* weft_map: open, close, and the operations that only look. */
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
 * caller is inside a guard. A map that was never used stays unopened. */
static inline weft_entry *find_entry(weft_map *map, weft_bytes bytes, weft_view *view) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (WEFT_UNLIKELY(impl == NULL)) {
        return NULL;
    }
    weft_core *core = weft_map_core(impl);
    weft_key key = weft_key_of_bytes(core, bytes);
    weft_entry *entry;
    weft_recording_note_get(impl, &key);
    do {
        uint64_t cell;
        bool present = core->engine->look[WEFT_SHAPE_BYTES](core, &key, &cell);
        entry = present ? (weft_entry *)(uintptr_t)cell : NULL;
        /* Another round if it left after it was found. */
    } while (entry != NULL && WEFT_UNLIKELY(!weft_entry_look(entry, view)));
    return entry;
}

enum { COPY_STEP = 16 };

static inline int copy_out(const weft_view *view, weft_buffer *out) {
    out->size = view->value.size;
    out->version = view->version;
    size_t size = out->size < out->capacity ? out->size : out->capacity;
    if (WEFT_LIKELY(size - COPY_STEP <= COPY_STEP)) { /* two moves that may overlap: no call */
        memcpy(out->data, view->value.data, COPY_STEP);
        memcpy((char *)out->data + size - COPY_STEP,
               (const char *)view->value.data + size - COPY_STEP, COPY_STEP);
    } else if (size != 0) {
        memcpy(out->data, view->value.data, size);
    }
    return size == out->size ? WEFT_OK : WEFT_TRUNCATED;
}

/* Inside a guard. */
static int get_guarded(weft_map *map, weft_bytes key, weft_buffer *out) {
    if (WEFT_UNLIKELY(key.size > WEFT_KEY_SIZE_MAX)) {
        return WEFT_E_TOOBIG;
    }
    weft_view view;
    return find_entry(map, key, &view) != NULL ? copy_out(&view, out) : WEFT_NOT_FOUND;
}

WEFT_HOT int weft_map_get(weft_map *map, weft_bytes key, weft_buffer *out) {
    weft_guard guard;
    weft_epoch_enter(&guard);
    int status = get_guarded(map, key, out);
    weft_epoch_leave(&guard);
    return status;
}

int weft_map_get_many(weft_map *map, const weft_bytes *keys, size_t count, weft_buffer *out) {
    weft_guard guard;
    weft_epoch_enter(&guard);
    for (size_t i = 0; i < count; i++) {
        out[i].status = get_guarded(map, keys[i], &out[i]);
    }
    weft_epoch_leave(&guard);
    return WEFT_OK;
}

enum { PREFETCH_MAX = 32 };

WEFT_HOT void weft_map_prefetch(weft_map *map, const weft_bytes *keys, size_t count) {
    weft_map_impl *impl = weft_load_acquire(&map->impl); /* pairs with open_by_first_use */
    if (impl == NULL) {
        return;
    }
    weft_key found[PREFETCH_MAX];
    weft_guard guard;
    weft_epoch_enter(&guard);
    weft_core *core = weft_map_core(impl);
    count = core->engine->prefetch == NULL ? 0 : count < PREFETCH_MAX ? count : PREFETCH_MAX;
    for (size_t i = 0; i < count; i++) {
        found[i] = weft_key_of_bytes(core, keys[i]);
        core->engine->prefetch(core, &found[i], false);
    }
    for (size_t i = 0; i < count; i++) {
        core->engine->prefetch(core, &found[i], true);
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
