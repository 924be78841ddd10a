/* SPDX-License-Identifier: MIT */
/* Keys of weft_map on their way. */
#include "map/ahead.h"

_Static_assert(AHEAD_RING >= 3 * AHEAD_STEP, "each stage has room");

void weft_ahead_begin(weft_ahead *ahead, weft_core *core, const weft_bytes *keys, size_t count) {
    ahead->core = core;
    ahead->keys = keys;
    ahead->count = count < AHEAD_KEYS ? count : AHEAD_KEYS;
    ahead->asked = 0;
    ahead->touched = 0;
    ahead->done = 0;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static void ask(weft_ahead *ahead, size_t to) {
    weft_core *core = ahead->core;
    for (; ahead->asked < to; ahead->asked++) {
        weft_key *key = &ahead->ring[ahead->asked % AHEAD_RING];
        weft_bytes bytes = ahead->keys[ahead->asked];
        if (WEFT_UNLIKELY(bytes.size > WEFT_KEY_SIZE_MAX)) {
            *key = (weft_key){.bytes = bytes};
            continue;
        }
        *key = weft_key_of_bytes(core, bytes);
        if (core->engine->prefetch != NULL) {
            core->engine->prefetch(core, key, false);
        }
    }
}

static void touch(weft_ahead *ahead, size_t to) {
    const weft_engine *engine = ahead->core->engine;
    if (engine->prefetch == NULL) {
        ahead->touched = to;
    }
    for (; ahead->touched < to; ahead->touched++) {
        engine->prefetch(ahead->core, weft_ahead_key(ahead, ahead->touched), true);
    }
}

size_t weft_ahead_go(weft_ahead *ahead) {
    size_t ready = ahead->touched;
    size_t arrived = ahead->asked;
    ask(ahead, least(arrived + AHEAD_STEP, ahead->count));
    touch(ahead, arrived);
    return ready;
}
