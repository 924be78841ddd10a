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
    WEFT_ENTRY_BLIND = 1u << 27,         /* put there by a write that did not ask what was there */
    WEFT_ENTRY_REASON_SHIFT = 28,        /* 4 bits: weft_reason, set when the entry is retired */
};

/* The entry that a cell of the bytes shape is. */
static inline weft_entry *weft_entry_of(uint64_t cell) {
    return (weft_entry *)(uintptr_t)cell;
}

static inline size_t weft_entry_key_size(const weft_entry *entry) {
    return weft_load_relaxed(&entry->key_size_and_flags) & 0xffffff;
}

static inline bool weft_entry_flag(const weft_entry *entry, uint32_t flag) {
    return (weft_load_relaxed(&entry->key_size_and_flags) & flag) != 0;
}

size_t weft_entry_bytes_with_flags(const weft_entry *entry);

/* The size of its memory. */
static inline size_t weft_entry_bytes(const weft_entry *entry) {
    enum {
        FLAGS = WEFT_ENTRY_KEY_OUTSIDE | WEFT_ENTRY_VALUE_OUTSIDE | WEFT_ENTRY_COUNTED,
    };
    uint32_t word = weft_load_relaxed(&entry->key_size_and_flags);
    return WEFT_LIKELY((word & FLAGS) == 0) ? sizeof *entry + (word & 0xffffff) + entry->value_size
                                            : weft_entry_bytes_with_flags(entry);
}

/* Only one thread does, the one that took the entry out; who holds it meanwhile looks at the other
 * bits. */
static inline void weft_entry_set_reason(weft_entry *entry, weft_reason reason) {
    uint32_t word = weft_load_relaxed(&entry->key_size_and_flags);
    weft_store_relaxed(&entry->key_size_and_flags,
                       word | (uint32_t)reason << WEFT_ENTRY_REASON_SHIFT);
}

static inline weft_reason weft_entry_reason(const weft_entry *entry) {
    return (weft_reason)(weft_load_relaxed(&entry->key_size_and_flags) >> WEFT_ENTRY_REASON_SHIFT);
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

static inline weft_bytes weft_entry_key_bytes(const weft_entry *entry) {
    return weft_bytes_of(weft_entry_key(entry), weft_entry_key_size(entry));
}

static inline weft_bytes weft_entry_value(const weft_entry *entry) {
    uint32_t word = weft_load_relaxed(&entry->key_size_and_flags);
    const unsigned char *at = entry->bytes + ((word & WEFT_ENTRY_COUNTED) != 0 ? 8 : 0);
    at += (word & WEFT_ENTRY_KEY_OUTSIDE) != 0 ? sizeof(void *) : word & 0xffffff;
    if (WEFT_UNLIKELY((word & WEFT_ENTRY_VALUE_OUTSIDE) != 0)) {
        const void *outside;
        memcpy(&outside, at, sizeof outside);
        return weft_bytes_of(outside, entry->value_size);
    }
    return weft_bytes_of(at, entry->value_size);
}

static inline uint64_t weft_word_at(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Keys of 8 to 16 bytes, which are the most, by two words that may overlap: a call is longer. */
static inline bool weft_same_bytes(const void *a, const void *b, size_t size) {
    if (WEFT_LIKELY(size - 8 <= 8)) {
        const unsigned char *left = a;
        const unsigned char *right = b;
        return ((weft_word_at(left) ^ weft_word_at(right)) |
                (weft_word_at(left + size - 8) ^ weft_word_at(right + size - 8))) == 0;
    }
    return size == 0 || memcmp(a, b, size) == 0;
}

/* Copy; likewise, and values of 16 to 32 bytes. */
static inline void weft_copy_bytes(void *to, const void *from, size_t size) {
    enum { WORD = 8, TWO = 16 };
    if (WEFT_LIKELY(size - WORD <= WORD)) {
        uint64_t first = weft_word_at(from);
        uint64_t last = weft_word_at((const unsigned char *)from + size - WORD);
        memcpy(to, &first, WORD);
        memcpy((unsigned char *)to + size - WORD, &last, WORD);
    } else if (WEFT_LIKELY(size - TWO <= TWO)) {
        memcpy(to, from, TWO);
        memcpy((unsigned char *)to + size - TWO, (const unsigned char *)from + size - TWO, TWO);
    } else if (size != 0) {
        memcpy(to, from, size);
    }
}

static inline bool weft_entry_has_key(const weft_entry *entry, weft_bytes key) {
    return weft_entry_key_size(entry) == key.size &&
           weft_same_bytes(weft_entry_key(entry), key.data, key.size);
}

/* Key, value and version; false if the entry has left the map: its version is not to be had any
 * more, and is not the key's. */
static inline bool weft_entry_look(const weft_entry *entry, weft_view *view) {
    /* Acquire: if this is a limbo link already, the reason below is seen too. Pairs with the
     * release of the link in weft_limbo_retire, behind the reason that weft_entry_retire sets. */
    view->version = weft_load_acquire(&entry->version);
    uint32_t word = weft_load_relaxed(&entry->key_size_and_flags) & ~(uint32_t)WEFT_ENTRY_BLIND;
    if (WEFT_LIKELY(word <= WEFT_KEY_SIZE_MAX)) { /* no other flag, and no reason */
        view->key = weft_bytes_of(entry->bytes, word);
        view->value = weft_bytes_of(entry->bytes + word, entry->value_size);
        return true;
    }
    view->key = weft_entry_key_bytes(entry);
    view->value = weft_entry_value(entry);
    return WEFT_LIKELY(weft_entry_reason(entry) == 0);
}

#endif
