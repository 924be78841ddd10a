/* SPDX-License-Identifier: MIT */
#include "contender.h"
#include <string.h>

/* A key of the bytes shape. */
typedef struct text {
    uint64_t number;
    uint64_t more;
} text;

static text text_of(uint64_t number) {
    return (text){number, weft_draw_mix(number)};
}

/* ---- hashes ---------------------------------------------------------------------------------- */

/* Those of the plain table. What collides for weft collides for it; what is left is spread, as
 * linear probing would else make one row of neighbours. */

static uint64_t hash_known(uint64_t key) {
    static weft_mixer mixer;
    if (WEFT_UNLIKELY(mixer.secret[0] == 0)) {
        mixer = weft_mixer_of(CONTENDER_SEED);
    }
    return weft_draw_mix(weft_mix_with(&mixer, key) & CONTENDER_HASH_MASK);
}

static uint64_t number_at(uint64_t address) {
    return ((const text *)(uintptr_t)address)->number;
}

static uint64_t hash_text(uint64_t address) {
    return weft_draw_mix(number_at(address));
}

static uint64_t hash_constant(uint64_t address) {
    (void)address;
    return 0;
}

static uint64_t hash_8_bits(uint64_t address) {
    return weft_draw_mix(number_at(address) & 0xff);
}

static bool same_text(uint64_t one, uint64_t other) {
    return memcmp((const void *)(uintptr_t)one, (const void *)(uintptr_t)other, sizeof(text)) == 0;
}

static const weft_plain_kind known_numbers = {hash_known, weft_plain_same};
static const weft_plain_kind plain_texts = {hash_text, same_text};
static const weft_plain_kind constant_texts = {hash_constant, same_text};
static const weft_plain_kind texts_of_8_bits = {hash_8_bits, same_text};

static uint64_t own_constant(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)key;
    (void)seed;
    return 0;
}

static uint64_t own_8_bits(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)seed;
    return *(const unsigned char *)key.data;
}

/* ---- the plain table ------------------------------------------------------------------------- */

/* Inlined into each of its callers, so that the kind is known to the compiler. */
static WEFT_ALWAYS_INLINE bool plain_apply(contender *c, const weft_plain_kind *kind,
                                           contender_op op, const uint64_t pair[2]) {
    weft_plain_place *place = weft_plain_find(&c->plain, kind, pair[0]);
    bool present = place->key != 0;
    switch (op) {
    case OP_GET:
        return present && place->value == pair[1];
    case OP_REMOVE: {
        uint64_t removed = present ? weft_plain_remove(&c->plain, kind, pair[0]) : 0;
        if (c->bytes) {
            free((void *)(uintptr_t)removed);
        }
        return removed != 0;
    }
    default:
        break;
    }
    if (present) {
        place->value = pair[1] + (op == OP_ADD ? place->value : 0);
        return op != OP_INSERT;
    }
    uint64_t key = pair[0];
    if (c->bytes) {
        text *copy = malloc(sizeof *copy);
        if (copy == NULL) {
            return false;
        }
        *copy = *(const text *)(uintptr_t)key;
        key = (uintptr_t)copy;
    }
    weft_plain_put(&c->plain, kind, key, pair[1]);
    return true;
}

static bool plain_do(contender *c, contender_op op, uint64_t key, uint64_t value) {
    text words = text_of(key);
    uint64_t pair[2] = {c->bytes ? (uintptr_t)&words : key, value};
    bool done;
    weft_mutex_lock(&c->mutex);
    if (!c->bytes) {
        done = c->hash == HASH_KNOWN ? plain_apply(c, &known_numbers, op, pair)
                                     : plain_apply(c, &weft_plain_numbers, op, pair);
    } else {
        done = c->hash == HASH_CONSTANT ? plain_apply(c, &constant_texts, op, pair)
               : c->hash == HASH_8_BITS ? plain_apply(c, &texts_of_8_bits, op, pair)
                                        : plain_apply(c, &plain_texts, op, pair);
    }
    weft_mutex_unlock(&c->mutex);
    return done;
}

static void plain_close(contender *c) {
    for (uint64_t i = 0; c->bytes && i <= c->plain.mask; i++) {
        free((void *)(uintptr_t)c->plain.places[i].key);
    }
    weft_plain_close(&c->plain);
    weft_mutex_destroy(&c->mutex);
}

/* ---- weft ------------------------------------------------------------------------------------ */

static bool own_number_do(contender *c, contender_op op, uint64_t key, uint64_t value) {
    uint64_t found;
    switch (op) {
    case OP_INSERT:
        return weft_u64map_insert(&c->numbers, key, value) == WEFT_OK;
    case OP_GET:
        return weft_u64map_get(&c->numbers, key, &found) == WEFT_OK && found == value;
    case OP_PUT:
        return weft_u64map_put(&c->numbers, key, value) == WEFT_OK;
    case OP_ADD:
        return weft_u64map_fetch_add(&c->numbers, key, (int64_t)value, NULL) == WEFT_OK;
    default:
        return weft_u64map_remove(&c->numbers, key) == WEFT_OK;
    }
}

static bool own_text_do(contender *c, contender_op op, uint64_t key, uint64_t value) {
    text words = text_of(key);
    uint64_t found;
    weft_bytes name = weft_bytes_of(&words, sizeof words);
    weft_bytes content = weft_bytes_of(&value, sizeof value);
    weft_buffer out = {.data = &found, .capacity = sizeof found};
    switch (op) {
    case OP_INSERT:
        return weft_map_insert(&c->texts, name, content) == WEFT_OK;
    case OP_GET:
        return weft_map_get(&c->texts, name, &out) == WEFT_OK && found == value;
    case OP_PUT:
        return weft_map_put(&c->texts, name, content) == WEFT_OK;
    case OP_ADD:
        return weft_map_fetch_add(&c->texts, name, (int64_t)value, NULL) == WEFT_OK;
    default:
        return weft_map_remove(&c->texts, name) == WEFT_OK;
    }
}

/* ---- both ------------------------------------------------------------------------------------ */

bool weft_contender_open(contender *c) {
    if (c->is_plain) {
        weft_plain_open(&c->plain);
        return weft_mutex_init(&c->mutex);
    }
    weft_map_options options = {.size = sizeof options,
                                .grow_only = true, /* as the plain table is */
                                .hash_seed = c->hash == HASH_KNOWN ? CONTENDER_SEED : 0,
                                .hash = c->hash == HASH_CONSTANT ? own_constant
                                        : c->hash == HASH_8_BITS ? own_8_bits
                                                                 : NULL};
    return (c->bytes ? weft_map_open(&c->texts, &options)
                     : weft_u64map_open(&c->numbers, &options)) == WEFT_OK;
}

void weft_contender_close(contender *c) {
    if (c->is_plain) {
        plain_close(c);
    } else {
        (void)(c->bytes ? weft_map_close(&c->texts) : weft_u64map_close(&c->numbers));
    }
}

bool weft_contender_do(contender *c, contender_op op, uint64_t key, uint64_t value) {
    return c->is_plain ? plain_do(c, op, key, value)
           : c->bytes  ? own_text_do(c, op, key, value)
                       : own_number_do(c, op, key, value);
}
