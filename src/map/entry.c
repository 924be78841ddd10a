/* SPDX-License-Identifier: MIT */
/* Entries of the bytes shape: one allocation each, immutable once in a map. */
#include "map/core.h"

#include "base/assert.h"
#include "base/memory.h"

enum { ENTRY_ALIGN = 8, COUNT_BYTES = sizeof(uint64_t) };

static size_t count_bytes(const weft_entry *entry) {
    return weft_entry_flag(entry, WEFT_ENTRY_COUNTED) ? COUNT_BYTES : 0;
}

static size_t key_bytes(const weft_entry *entry) {
    return weft_entry_flag(entry, WEFT_ENTRY_KEY_OUTSIDE) ? sizeof(void *)
                                                          : weft_entry_key_size(entry);
}

static size_t value_bytes(const weft_entry *entry) {
    return weft_entry_flag(entry, WEFT_ENTRY_VALUE_OUTSIDE) ? sizeof(void *) : entry->value_size;
}

static uint64_t *entry_count(weft_entry *entry) {
    return (uint64_t *)(void *)entry->bytes;
}

size_t weft_entry_bytes_with_flags(const weft_entry *entry) {
    return sizeof *entry + count_bytes(entry) + key_bytes(entry) + value_bytes(entry);
}

bool weft_entry_look_current(weft_core *core, const weft_entry *entry, weft_view *view) {
    while (WEFT_UNLIKELY(!weft_entry_look(entry, view))) {
        weft_bytes bytes = weft_entry_key_bytes(entry);
        weft_key key = weft_key_of_bytes(core, bytes);
        weft_position position;
        position.hold = false;
        core->engine->find[WEFT_SHAPE_BYTES](core, &key, &position);
        if (!position.present) {
            return false;
        }
        entry = (const weft_entry *)(uintptr_t)position.cell;
    }
    return true;
}

static unsigned char *put_piece(unsigned char *at, weft_bytes piece) {
    if (piece.size != 0) {
        memcpy(at, piece.data, piece.size);
    }
    return at + piece.size;
}

size_t weft_entry_room(const weft_map_impl *map, size_t key_size, size_t value_size) {
    size_t pointer = sizeof(void *);
    return sizeof(weft_entry) + (map->options.refcount ? COUNT_BYTES : 0) +
           (key_size < pointer ? pointer : key_size) +
           (value_size < pointer ? pointer : value_size);
}

int weft_entry_refusal(const weft_map_impl *map, size_t key_size, size_t value_size) {
    const weft_map_options *options = &map->options;
    if (key_size > WEFT_KEY_SIZE_MAX || value_size > WEFT_VALUE_SIZE_MAX) {
        return WEFT_E_TOOBIG;
    }
    /* A key that the caller keeps is copied all the same by operations that take none. */
    bool inside = options->value_own == WEFT_OWN_COPY;
    bool fits =
        map->records.memory == NULL || (key_size <= options->fixed.key_bytes &&
                                        (!inside || value_size <= options->fixed.value_bytes));
    return fits ? WEFT_OK : WEFT_E_TOOBIG;
}

int weft_entry_shortage(const weft_map_impl *map) {
    return map->records.memory != NULL ? WEFT_E_FULL : WEFT_E_NOMEM;
}

/* One that waits for its grace period may be had sooner. Inside a guard, or by nobody else. */
static void *take_record(weft_map_impl *map) {
    enum { ATTEMPTS = 3, AT_ONCE = 1024 };
    void *record = weft_records_take(&map->records);
    for (int i = 0; i < ATTEMPTS && record == NULL; i++) {
        (void)weft_limbo_collect(&weft_map_core(map)->limbo, AT_ONCE);
        (void)weft_map_bury_some(map, AT_ONCE);
        record = weft_records_take(&map->records);
    }
    return record;
}

static void *take_memory(weft_map_impl *map, const weft_entry *shape) {
    if (WEFT_LIKELY(map->spares)) {
        return weft_memory_take(weft_epoch_spares(), weft_entry_bytes(shape));
    }
    return map->records.memory != NULL
               ? take_record(map)
               : weft_memory_alloc(&map->allocator, weft_entry_bytes(shape), ENTRY_ALIGN);
}

weft_entry *weft_entry_make(weft_map_impl *map, weft_bytes key, const weft_fresh *value,
                            bool take_key) {
    bool outside = take_key && map->options.key_own != WEFT_OWN_COPY;
    uint32_t flags = (outside ? WEFT_ENTRY_KEY_OUTSIDE : 0) |
                     (map->options.value_own != WEFT_OWN_COPY ? WEFT_ENTRY_VALUE_OUTSIDE : 0) |
                     (map->options.refcount ? WEFT_ENTRY_COUNTED : 0);
    size_t value_size = value->head.size + value->body.size;
    weft_entry shape = {0, (uint32_t)value_size, (uint32_t)key.size | flags};
    weft_entry *entry = take_memory(map, &shape);
    if (entry == NULL) {
        return NULL;
    }
    WEFT_ASSERT(key.size <= WEFT_KEY_SIZE_MAX && value_size <= WEFT_VALUE_SIZE_MAX);
    *entry = shape;
    unsigned char *at = entry->bytes;
    if ((flags & WEFT_ENTRY_COUNTED) != 0) {
        *entry_count(entry) = 1;
        at += COUNT_BYTES;
    }
    if ((flags & WEFT_ENTRY_KEY_OUTSIDE) != 0) {
        at = put_piece(at, weft_bytes_of(&key.data, sizeof key.data));
    } else {
        at = put_piece(at, key);
    }
    if ((flags & WEFT_ENTRY_VALUE_OUTSIDE) != 0) {
        put_piece(at, weft_bytes_of(&value->body.data, sizeof value->body.data));
    } else {
        put_piece(put_piece(at, value->head), value->body);
    }
    return entry;
}

void weft_entry_discard(weft_map_impl *map, weft_entry *entry) {
    if (entry != NULL && map->spares) {
        weft_memory_give(weft_epoch_spares(), entry, weft_entry_bytes(entry));
    } else if (entry != NULL && map->records.memory != NULL) {
        weft_records_give_back(&map->records, entry);
    } else if (entry != NULL) {
        weft_memory_free(&map->allocator, entry, weft_entry_bytes(entry), ENTRY_ALIGN);
    }
}

void weft_entry_reference(weft_entry *entry) {
    uint64_t before = weft_fetch_add_relaxed(entry_count(entry), 1);
    WEFT_ASSERT(before != 0);
    (void)before;
}

void weft_entry_release(weft_map_impl *map, weft_entry *entry) {
    /* Acquire and release: the reads of every holder come before the destructor. Pairs with
     * itself. */
    if (weft_entry_flag(entry, WEFT_ENTRY_COUNTED) &&
        weft_fetch_add_acq_rel(entry_count(entry), (uint64_t)-1) != 1) {
        return;
    }
    if (map->options.destructor != NULL) {
        bool copied = map->options.key_own == WEFT_OWN_ADOPT &&
                      !weft_entry_flag(entry, WEFT_ENTRY_KEY_OUTSIDE);
        weft_bytes key = copied ? weft_bytes_of(NULL, 0) : weft_entry_key_bytes(entry);
        map->options.destructor(map->options.destructor_ctx, key, weft_entry_value(entry),
                                weft_entry_reason(entry));
    }
    weft_entry_discard(map, entry);
}
