/* SPDX-License-Identifier: MIT */
/* Trace files: sequences of map operations, as docs/design/bench.md lays them out, and the writer
 * that the generator of the bench and the recorder of maps share. It needs one chunk of memory. */
#ifndef WEFT_BASE_TRACE_FILE_H
#define WEFT_BASE_TRACE_FILE_H

#include "base/platform.h"

#define WEFT_TRACE_MAGIC "WEFTTRC1"

enum {
    WEFT_TRACE_CHUNK_OPS = 4096,
    WEFT_TRACE_KEY_MAX = 65535,
    WEFT_TRACE_VALUE_MIN = 8,
    WEFT_TRACE_VALUE_MAX = 1048576,
};

typedef enum weft_trace_shape { WEFT_TRACE_U64 = 0, WEFT_TRACE_BYTES = 1 } weft_trace_shape;

typedef enum weft_trace_kind { WEFT_TRACE_PREFILL = 0, WEFT_TRACE_RUN = 1 } weft_trace_kind;

typedef enum weft_trace_op {
    WEFT_TRACE_GET = 0,
    WEFT_TRACE_PUT = 1,
    WEFT_TRACE_INSERT = 2,
    WEFT_TRACE_REMOVE = 3,
    WEFT_TRACE_ADD = 4, /* shape u64 only */
    WEFT_TRACE_RMW = 5,
    WEFT_TRACE_OPS = 6,
} weft_trace_op;

/* The head of the file, little-endian. */
typedef struct weft_trace_header {
    char magic[8];
    uint32_t shape;
    uint32_t value_bytes;
    uint64_t prefill;
    uint64_t ops;
    uint64_t chunks;
    uint64_t distinct; /* 0: not known */
    uint64_t seed;     /* 0: recorded or converted */
    uint64_t bytes;
    char name[64];
} weft_trace_header;

_Static_assert(sizeof(weft_trace_header) == 128, "the format says 128 bytes");

/* The head of a chunk. Codes, keys and, for bytes, offsets follow. */
typedef struct weft_trace_chunk {
    uint32_t ops;
    uint32_t bytes;
    uint32_t kind;
    uint32_t crc; /* CRC-32C of what follows in the chunk */
} weft_trace_chunk;

_Static_assert(sizeof(weft_trace_chunk) == 16, "the format says 16 bytes");

static inline size_t weft_trace_padded(size_t size) {
    return (size + 7) & ~(size_t)7;
}

typedef struct weft_trace_writer weft_trace_writer;

/* Begin a file. Of `header` the fields shape, value_bytes, distinct, seed and name count. 0 or a
 * negated errno; -EINVAL: the header is not allowed. Until the file is finished it begins with
 * zeros, and is no trace. */
int weft_trace_create(weft_trace_writer **writer, const char *path,
                      const weft_trace_header *header);

/* Append an entry of the prefill; all of them before the first operation. 0 or a negated errno;
 * -EINVAL: not allowed. An error stays: what follows answers the same. */
int weft_trace_prefill(weft_trace_writer *writer, const void *key, size_t size);

/* Append an operation. For shape u64 the key is the 8 bytes of a number. As weft_trace_prefill. */
int weft_trace_append(weft_trace_writer *writer, weft_trace_op op, const void *key, size_t size);

/* The same for several, of shape u64; the codes are weft_trace_ops. */
int weft_trace_append_numbers(weft_trace_writer *writer, const uint8_t *codes, const uint64_t *keys,
                              size_t count);

/* Say how many distinct keys there are, if that is only known at the end. */
void weft_trace_set_distinct(weft_trace_writer *writer, uint64_t distinct);

/* The same for the size of values; shape bytes only. What is not allowed becomes the nearest size
 * that is. */
void weft_trace_set_value_bytes(weft_trace_writer *writer, uint64_t bytes);

/* The size that the file would have if it were finished now. */
uint64_t weft_trace_bytes(const weft_trace_writer *writer);

/* Write the last chunk and the head, close the file, free the writer. The first error of all. */
int weft_trace_finish(weft_trace_writer *writer);

/* Close the file as it is, which is no trace, and free the writer. */
void weft_trace_abandon(weft_trace_writer *writer);

#endif
