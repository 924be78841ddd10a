/* SPDX-License-Identifier: MIT */
#include "reference.h"
#include "draw.h"
#include <stdlib.h>
#include <string.h>

/* A key of the trace, found by linear probing. A removed key keeps its place, since the table is
 * sized for all operations of the trace. */
typedef struct place {
    const unsigned char *key;
    uint32_t size; /* 0: free */
    bool present;
    uint64_t hash;
    uint64_t value;
} place;

typedef struct replay {
    const weft_trace *trace;
    place *table;
    uint64_t mask;
    uint64_t number; /* of the operation */
    uint64_t hash;   /* of the answers */
} replay;

static place *find(replay *r, uint64_t hash, const unsigned char *key, uint32_t size) {
    uint64_t at = weft_draw_mix(hash) & r->mask;
    for (;; at = (at + 1) & r->mask) {
        place *p = &r->table[at];
        if (p->size == 0) {
            *p = (place){.key = key, .size = size, .hash = hash};
        }
        if (p->hash == hash && p->size == size && memcmp(p->key, key, size) == 0) {
            return p;
        }
    }
}

static void set(place *p, uint64_t value) {
    p->present = true;
    p->value = value;
}

/* Carry an operation out; its answer. */
static uint64_t apply(place *p, weft_trace_op op, uint64_t number) {
    bool was = p->present;
    uint64_t old = was ? p->value : 0;
    switch (op) {
    case WEFT_TRACE_GET:
        return old;
    case WEFT_TRACE_PUT:
        set(p, number);
        return 1;
    case WEFT_TRACE_INSERT:
        set(p, was ? old : number);
        return !was;
    case WEFT_TRACE_REMOVE:
        p->present = false;
        return was;
    case WEFT_TRACE_ADD:
        set(p, old + 1);
        return old + 1;
    default:
        set(p, number);
        return old;
    }
}

static void take_item(void *ctx, const weft_trace_item *item) {
    replay *r = ctx;
    uint64_t hash = weft_trace_key_number(r->trace, item);
    uint64_t answer = apply(find(r, hash, item->key, item->size), item->op, ++r->number);
    if (item->kind == WEFT_TRACE_RUN) {
        r->hash = ((r->hash << 5 | r->hash >> 59) ^ answer) * UINT64_C(0x9e3779b97f4a7c15);
    }
}

bool weft_reference_replay(const weft_trace *trace, uint64_t *checksum, uint64_t *entries) {
    uint64_t places = 16;
    while (places < 2 * (trace->header->ops + trace->header->prefill)) {
        places *= 2;
    }
    replay r = {.trace = trace, .mask = places - 1, .table = calloc(places, sizeof(place))};
    if (r.table == NULL) {
        return false;
    }
    weft_trace_each(trace, take_item, &r);
    uint64_t content = 0;
    *entries = 0;
    for (uint64_t i = 0; i < places; i++) {
        const place *p = &r.table[i];
        if (p->present) {
            content += weft_draw_mix(weft_draw_mix(p->hash) ^ p->value);
            ++*entries;
        }
    }
    free(r.table);
    *checksum = r.hash ^ weft_draw_mix(content + *entries);
    return true;
}
