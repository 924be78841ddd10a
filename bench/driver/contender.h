/* SPDX-License-Identifier: MIT */
/* A map of weft's, or the one that it is compared with: the plain table under a mutex. Both behind
 * the same calls, with numbers as keys and values; in the bytes shape a key is 16 bytes that begin
 * with its number. */
#ifndef WEFT_BENCH_DRIVER_CONTENDER_H
#define WEFT_BENCH_DRIVER_CONTENDER_H

#include "base/hash.h"
#include "base/lock.h"
#include "plain.h"
#include <weft/u64map.h>

typedef enum contender_op { OP_INSERT, OP_GET, OP_PUT, OP_ADD, OP_REMOVE, OPS } contender_op;

/* How keys are hashed. */
typedef enum contender_hash {
    HASH_DEFAULT,  /* each map's own, weft's with a seed that nobody knows */
    HASH_KNOWN,    /* u64 shape: both have the one hash, and its seed is known */
    HASH_CONSTANT, /* bytes shape: all keys have one hash */
    HASH_8_BITS,   /* bytes shape: the low byte of the number */
} contender_hash;

enum { CONTENDER_SEED = 42 };

/* Of a known hash only these bits count: larger tables than they are for are not measured. */
enum { CONTENDER_HASH_BITS = 20, CONTENDER_HASH_MASK = (1 << CONTENDER_HASH_BITS) - 1 };

typedef struct contender {
    bool is_plain; /* the plain table */
    bool bytes;
    contender_hash hash;
    weft_map texts;
    weft_u64map numbers;
    weft_mutex mutex;
    weft_plain plain;
} contender;

/* is_plain, bytes and hash are the caller's to fill in before. */
bool weft_contender_open(contender *c);
void weft_contender_close(contender *c);

/* Carry an operation out: insert and put store `value`, add adds it. True if it did what it says:
 * inserted, found the key with just this value, stored, added, removed. */
bool weft_contender_do(contender *c, contender_op op, uint64_t key, uint64_t value);

#endif
