/* SPDX-License-Identifier: MIT */
#include "profile.h"
#include "draw.h"
#include <math.h>
#include <stdlib.h>

/* A key, known by its number alone: that two of a trace share one is not worth a thought here. */
typedef struct known_key {
    uint64_t number;
    uint64_t seen; /* 0: a free place; else 1 and the operations on it */
    uint64_t came; /* the operation that inserted it */
    bool present;
} known_key;

typedef struct scan {
    weft_profile *profile;
    const weft_trace *trace;
    known_key *keys;
    uint64_t mask;
    uint64_t buckets[WEFT_PROFILE_BUCKETS];
    uint64_t entries;
    uint64_t number; /* of the operation */
    bool writing;
} scan;

static known_key *find(const scan *s, uint64_t number, uint64_t hash) {
    uint64_t at = hash & s->mask;
    while (s->keys[at].seen != 0 && s->keys[at].number != number) {
        at = (at + 1) & s->mask;
    }
    return &s->keys[at];
}

static void come_or_go(scan *s, known_key *key, weft_trace_op op) {
    bool present = op != WEFT_TRACE_REMOVE && (key->present || op != WEFT_TRACE_GET);
    if (present && !key->present) {
        key->came = s->number;
        s->entries++;
        s->profile->inserted++;
    } else if (key->present && !present) {
        s->profile->lived += s->number - key->came;
        s->entries--;
        s->profile->removed++;
    }
    key->present = present;
}

static void count_item(scan *s, known_key *key, uint64_t hash, weft_trace_op op) {
    weft_profile *p = s->profile;
    bool writes = op != WEFT_TRACE_GET;
    s->buckets[hash >> 54]++;
    p->ops++;
    p->gets += !writes;
    p->bursts += writes && !s->writing;
    s->writing = writes;
    p->wanted = ++key->seen - 1 > p->wanted ? key->seen - 1 : p->wanted;
}

static void take_item(void *ctx, const weft_trace_item *item) {
    scan *s = ctx;
    weft_profile *p = s->profile;
    uint64_t number = weft_trace_key_number(s->trace, item);
    uint64_t hash = weft_draw_mix(number ^ UINT64_C(0x9e3779b97f4a7c15));
    known_key *key = find(s, number, hash);
    if (key->seen == 0) {
        *key = (known_key){.number = number, .seen = 1};
        p->distinct++;
    }
    s->number++;
    if (item->kind == WEFT_TRACE_RUN) {
        count_item(s, key, hash, item->op);
    }
    come_or_go(s, key, item->op);
    if (item->kind == WEFT_TRACE_PREFILL) {
        p->inserted = 0;
        p->entries_first = s->entries;
    }
    p->entries_most = s->entries > p->entries_most ? s->entries : p->entries_most;
}

static double entropy_of(const scan *s) {
    double bits = 0;
    for (int i = 0; i < WEFT_PROFILE_BUCKETS; i++) {
        double share = (double)s->buckets[i] / (double)s->profile->ops;
        bits -= share > 0 ? share * log2(share) : 0;
    }
    return bits;
}

bool weft_profile_take(weft_profile *profile, const weft_trace *trace) {
    uint64_t all = trace->header->ops + trace->header->prefill;
    uint64_t places = 16;
    while (places < 2 * all) {
        places *= 2;
    }
    *profile = (weft_profile){.key_bytes = (double)trace->key_bytes / (double)all};
    scan *s = calloc(1, sizeof *s);
    known_key *keys = calloc(places, sizeof *keys);
    if (s != NULL && keys != NULL) {
        *s = (scan){.profile = profile, .trace = trace, .keys = keys, .mask = places - 1};
        weft_trace_each(trace, take_item, s);
        profile->entropy = profile->ops != 0 ? entropy_of(s) : 0;
        profile->entries_last = s->entries;
    }
    bool done = s != NULL && keys != NULL;
    free(s);
    free(keys);
    return done;
}
