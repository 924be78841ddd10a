/* SPDX-License-Identifier: MIT */
/* L2: the entry of the bytes shape, one immutable allocation. Engines only ever compare keys, read
 * and set versions, and pass entries on; src/map/entry.c makes and frees them.
 *
 *   0        8            12           16
 *   +--------+------------+------------+---------+------------+--------------+
 *   |version | value_size | key+flags  | [refs]  | key bytes  | value bytes  |
 *   +--------+------------+------------+---------+------------+--------------+
 *
 * `version` becomes the limbo link once the entry is retired: a reader that is late sees a number
 * that is no version of the key, which can only make its conditional write fail, as it must.
 * ADOPT and BORROW keys and values are pointers in place of the bytes. */
#ifndef WEFT_ENGINE_ENTRY_H
#define WEFT_ENGINE_ENTRY_H

#include "base/atomic.h"
#include <string.h>
#include <weft/map.h>

typedef struct weft_entry {
    uint64_t version;
    uint32_t value_size;
    uint32_t key_size_and_flags; /* 24 bits of size; flags above */
    unsigned char bytes[];
} weft_entry;

_Static_assert(sizeof(weft_entry) == 16, "an entry costs 16 bytes beside its key and value");

enum {
    WEFT_ENTRY_KEY_OUTSIDE = 1u << 24,   /* the key is a pointer (ADOPT, BORROW) */
    WEFT_ENTRY_VALUE_OUTSIDE = 1u << 25, /* the value is a pointer */
    WEFT_ENTRY_COUNTED = 1u << 26,       /* a 64-bit reference count stands before the key */
    WEFT_ENTRY_REASON_SHIFT = 28,        /* 4 bits: weft_reason, set when the entry is retired */
};

static inline size_t weft_entry_key_size(const weft_entry *entry) {
    return __atomic_load_n(&entry->key_size_and_flags, __ATOMIC_RELAXED) & 0xffffff;
}

static inline bool weft_entry_flag(const weft_entry *entry, uint32_t flag) {
    return (__atomic_load_n(&entry->key_size_and_flags, __ATOMIC_RELAXED) & flag) != 0;
}

static inline const void *weft_entry_key(const weft_entry *entry) {
    const unsigned char *at = entry->bytes + (weft_entry_flag(entry, WEFT_ENTRY_COUNTED) ? 8 : 0);
    if (WEFT_LIKELY(!weft_entry_flag(entry, WEFT_ENTRY_KEY_OUTSIDE))) {
        return at;
    }
    const void *outside;
    memcpy(&outside, at, sizeof outside);
    return outside;
}

static inline bool weft_entry_has_key(const weft_entry *entry, weft_bytes key) {
    return weft_entry_key_size(entry) == key.size &&
           (key.size == 0 || memcmp(weft_entry_key(entry), key.data, key.size) == 0);
}

#endif
