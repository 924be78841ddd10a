/* SPDX-License-Identifier: MIT */
/* Engine "sharded": several writes as one, docs/design/write_batch.md.
 *
 * The writes are brought into the order of the shards, those of one key side by side and in the
 * caller's order. Then all shards that they need are locked at once, and nobody sees what happens
 * until all is done. What may want memory comes first: keys that are absent and will be present
 * are put in. If one cannot be, those before it are taken out again, which needs none. The rest
 * cannot fail: the writes of each key are reckoned up, and what the last one leaves is written.
 */
#include "engine/sharded.h"

/* What the spot of a write says of its key: a further write of it; its first one; its first one,
 * and the key was put in. */
enum { AGAIN, ONCE, ADDED };

/* The writes on their way, and where they go. */
typedef struct batch {
    weft_core *core;
    weft_group_write *writes;
    weft_sharded_spot *spots;
    size_t count;
} batch;

static weft_group_write *write_at(const batch *b, size_t spot) {
    return &b->writes[b->spots[spot].key];
}

static bool same_key(const batch *b, size_t i, size_t j) {
    const weft_key *a = &write_at(b, i)->key;
    const weft_key *c = &write_at(b, j)->key;
    return b->core->shape == WEFT_SHAPE_U64 ||
           (a->bytes.size == c->bytes.size &&
            (a->bytes.size == 0 || memcmp(a->bytes.data, c->bytes.data, a->bytes.size) == 0));
}

/* The spots from `first` on have one hash up to `end`: gather those of the first one's key behind
 * it. Returns the first spot of the next key. */
static size_t gather(const batch *b, size_t first, size_t end) {
    WEFT_ASSERT(first < end && end <= b->count);
    size_t next = first + 1;
    b->spots[first].mark = ONCE;
    for (size_t i = next; i < end; i++) {
        if (same_key(b, first, i)) {
            weft_sharded_spot it = b->spots[i];
            memmove(&b->spots[next + 1], &b->spots[next], (i - next) * sizeof it);
            it.mark = AGAIN;
            b->spots[next++] = it;
        }
    }
    return next;
}

static void arrange(const batch *b) {
    WEFT_ASSERT(b->count > 0);
    for (size_t i = 0; i < b->count; i++) {
        uint64_t point = weft_reverse_bits(b->writes[i].key.hash);
        b->spots[i] = (weft_sharded_spot){.point = point, .key = i};
    }
    weft_sharded_sort(b->spots, b->count);
    size_t end = 0;
    for (size_t i = 0; i < b->count; i = gather(b, i, end)) {
        for (end = i + 1; end < b->count && b->spots[end].point == b->spots[i].point; end++) {
        }
    }
}

/* Where the writes of the next key begin. */
static size_t after_key(const batch *b, size_t first) {
    size_t next = first + 1;
    while (next < b->count && b->spots[next].mark == AGAIN) {
        next++;
    }
    return next;
}

static weft_key inner_key(const batch *b, size_t spot) {
    return weft_sharded_key(&write_at(b, spot)->key, b->spots[spot].bits);
}

static weft_plain_slot *slot_of(const batch *b, size_t spot) {
    weft_key key = inner_key(b, spot);
    return weft_plain_find_in(b->core->shape, b->spots[spot].plain, &key);
}

/* Take out what was put in for the keys before this spot. */
static void take_out(const batch *b, size_t end) {
    for (size_t i = 0; i < end; i++) {
        if (b->spots[i].mark == ADDED) {
            weft_key key = inner_key(b, i);
            weft_plain_remove(b->core, b->spots[i].plain, key.hash, slot_of(b, i));
        }
    }
}

/* False without memory: nothing has changed. */
static bool put_in(const batch *b) {
    WEFT_ASSERT(b->spots[0].mark == ONCE && b->spots[0].first);
    for (size_t i = 0; i < b->count; i = after_key(b, i)) {
        const weft_group_write *last = write_at(b, after_key(b, i) - 1);
        if (last->keep && slot_of(b, i) == NULL) {
            weft_key key = inner_key(b, i);
            if (!weft_plain_insert(b->core, b->spots[i].plain, key.hash, last->desired)) {
                take_out(b, i);
                return false;
            }
            b->spots[i].mark = ADDED;
        }
    }
    return true;
}

/* What a key is, between its writes. */
typedef struct standing {
    bool present;
    uint64_t cell;
    uint64_t version; /* bytes shape: no greater one was given to it */
} standing;

static void reckon(const weft_core *core, weft_group_write *write, standing *key) {
    WEFT_ASSERT(!write->keep || core->shape == WEFT_SHAPE_U64 || write->desired != 0);
    weft_position position = {.at_least = write->at_least};
    write->existed = key->present;
    write->old = key->cell;
    if (!write->keep && !key->present) {
        return;
    }
    weft_core_stamp(core, &position, key->version, write->keep ? write->desired : 0);
    write->version = position.version;
    *key = (standing){write->keep, write->keep ? write->desired : 0, position.version};
}

/* All writes of the key that this spot is the first of. Needs no memory. */
static void write_key(const batch *b, size_t first) {
    weft_core *core = b->core;
    weft_plain *plain = b->spots[first].plain;
    bool bytes = core->shape == WEFT_SHAPE_BYTES;
    weft_plain_slot *slot = slot_of(b, first);
    WEFT_ASSERT(b->spots[first].mark != AGAIN);
    standing key = {.version = plain->removed_version};
    if (slot != NULL && b->spots[first].mark != ADDED) {
        key = (standing){true, slot->cell, bytes ? weft_plain_version_at(slot) : 0};
    }
    size_t end = after_key(b, first);
    for (size_t i = first; i < end; i++) {
        reckon(core, write_at(b, i), &key);
    }
    if (key.present) {
        weft_store_release(&slot->cell, key.cell); /* pairs with the acquire of weft_plain_peek */
        return;
    }
    if (bytes && key.version > plain->removed_version) {
        plain->removed_version = key.version;
    }
    if (slot != NULL) {
        weft_plain_remove(core, plain, inner_key(b, first).hash, slot);
    }
}

int weft_sharded_write_batch(weft_core *core, weft_group_write *writes, size_t count) {
    WEFT_ASSERT(count > 0);
    size_t size = count * sizeof(weft_sharded_spot);
    batch b = {core, writes, weft_core_alloc(core, size, sizeof(uint64_t)), count};
    if (b.spots == NULL) {
        return WEFT_E_NOMEM;
    }
    arrange(&b);
    weft_sharded_lock(core, b.spots, count);
    bool done = put_in(&b);
    for (size_t i = 0; done && i < count; i = after_key(&b, i)) {
#if WEFT_MUTANT == 54 /* lets others see half of a batch */
        if (i == count / 2) {
            weft_sharded_unlock(core, b.spots, count);
            weft_sharded_lock(core, b.spots, count);
        }
#endif
        write_key(&b, i);
    }
    weft_sharded_unlock(core, b.spots, count);
    weft_core_free(core, b.spots, size, sizeof(uint64_t));
    return done ? WEFT_OK : WEFT_E_NOMEM;
}
