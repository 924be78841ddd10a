/* SPDX-License-Identifier: MIT */
/* The layout of engine "fixed": what its files share: fixed.c (the operations), fixed_memory.c
 * (where the table is). The drawing is in the essay of fixed.c. */
#ifndef WEFT_ENGINE_FIXED_LAYOUT_H
#define WEFT_ENGINE_FIXED_LAYOUT_H

#include "engine/lockfree_layout.h"

#define FIXED_MAGIC UINT64_C(0x5745465446495832) /* "WEFTFIX2" */
enum { FIXED_FORMAT_BITS = 8 };                  /* of the magic number: the format's, as a digit */

/* All of it is 0 at first, and each word is set once, by a CAS: several processes may do it. */
typedef struct fixed_header {
    uint64_t magic; /* set last; the number at its end is the format's */
    uint64_t buckets;
    uint64_t stock;                   /* lines behind the buckets */
    uint64_t seed;                    /* of the hash */
    uint64_t taken WEFT_LINE_ALIGNED; /* lines of the stock that were given out */
    uint64_t openings;                /* each process that opened it has a number of its own */
} fixed_header;

/* What a process has of it. */
typedef struct fixed_table {
    generation gen; /* what inlined lookups see; its next is itself, for lockfree's plain writes */
    fixed_header *header;
    bucket *buckets;
    uint64_t mask;
    uint64_t opening;   /* the number of this opening; 0: nobody shares it */
    uint64_t spare;     /* a line of the stock that another writer was quicker than; or 0 */
    uint64_t refusals;  /* inserts that found no room */
    uint64_t closing;   /* buckets that close has dropped */
    uint64_t own_bytes; /* of memory that is this map's own; 0: it was given */
} fixed_table;

static inline fixed_table *fixed_of(const weft_core *core) {
    return core->table;
}

static inline size_t fixed_bytes_of(uint64_t buckets, uint64_t stock) {
    return sizeof(fixed_header) + (buckets + stock) * sizeof(bucket);
}

static inline bucket *fixed_bucket(const fixed_table *table, uint64_t hash) {
    return &table->buckets[hash & table->mask];
}

/* The line behind this one; NULL: it is the last. */
static inline bucket *fixed_next(const fixed_table *table, bucket *at) {
    uint64_t line = weft_load_acquire(&at->head.second); /* pairs with the CAS in extend */
    return line == 0 ? NULL : &table->buckets[table->mask + line];
}

/* A number that is given out once: 58 bits. Shared: 16 of the opening, 26 of a count and 16 of the
 * thread, which comes round after 2^26 removals of one thread. */
static inline uint64_t fixed_stamp(const fixed_table *table) {
    uint64_t stamp = weft_epoch_stamp();
    if (table->opening == 0) {
        return stamp;
    }
    return (table->opening & 0xffff) << 42 | (stamp & (((uint64_t)1 << 42) - 1));
}

/* What memory holds that is to be a table. */
typedef enum fixed_finding {
    FIXED_NOTHING, /* zeros, as a fresh file has */
    FIXED_TABLE,
    FIXED_OTHER_FORMAT,
    FIXED_OTHER_ORDER, /* of bytes */
    FIXED_DAMAGED,     /* a table's magic number, and sizes that no table has */
    FIXED_SOMETHING,
} fixed_finding;

/* fixed_memory.c */
fixed_finding weft_fixed_find(const fixed_header *header);
int weft_fixed_open(weft_core *core);
void weft_fixed_detach(weft_core *core);

#endif
