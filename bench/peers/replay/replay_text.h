/* SPDX-License-Identifier: MIT */
/* Entries of the byte shape for peers in C whose maps leave memory to their users: one block each,
 * the value behind the key. A peer's own node goes before it. */
#ifndef REPLAY_TEXT_H
#define REPLAY_TEXT_H

#include "replay.h"
#ifdef REPLAY_HASH_TEXT
uint64_t REPLAY_HASH_TEXT(const void *data, size_t size); /* where a program has its own */
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#define REPLAY_HASH_TEXT XXH3_64bits
#endif

typedef struct replay_text {
    uint32_t key_size;
    uint32_t value_size;
    char data[];
} replay_text;

static inline uint64_t replay_hash_text(replay_bytes key) {
    return REPLAY_HASH_TEXT(key.data, key.size);
}

/* Bytes that an entry takes, to be added to the size of the peer's node. */
static inline size_t replay_text_size(replay_bytes key, replay_bytes value) {
    return key.size + value.size;
}

static inline void replay_text_fill(replay_text *text, replay_bytes key, replay_bytes value) {
    text->key_size = (uint32_t)key.size;
    text->value_size = (uint32_t)value.size;
    memcpy(text->data, key.data, key.size);
    memcpy(text->data + key.size, value.data, value.size);
}

static inline bool replay_text_has(const replay_text *text, replay_bytes key) {
    return text->key_size == key.size && memcmp(text->data, key.data, key.size) == 0;
}

static inline uint64_t replay_text_number(const replay_text *text) {
    return replay_number(text->data + text->key_size);
}

static inline void replay_text_see(replay_content *content, const replay_text *text) {
    replay_bytes key = {text->data, text->key_size};
    replay_see_bytes(content, key, text->data + text->key_size);
}

static inline void *replay_new(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL)
        replay_fail("out of memory");
    return memory;
}

#endif
