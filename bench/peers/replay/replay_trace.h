/* SPDX-License-Identifier: MIT */
/* A trace in memory: the file is mapped, its lengths are checked, its chunks are listed. Checksums
 * of chunks are the bench driver's affair, which looks at a trace before it starts a peer. */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include "replay.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REPLAY_GET = 0,
    REPLAY_PUT = 1,
    REPLAY_INSERT = 2,
    REPLAY_REMOVE = 3,
    REPLAY_ADD = 4,
    REPLAY_RMW = 5,
    REPLAY_CODES = 6,
    REPLAY_CHUNK_OPERATIONS = 4096,
};

typedef struct replay_header {
    char magic[8];
    uint32_t shape;
    uint32_t value_size;
    uint64_t prefill;
    uint64_t operations;
    uint64_t chunks;
    uint64_t distinct;
    uint64_t seed;
    uint64_t size;
    char name[64];
} replay_header;

typedef struct replay_chunk_header {
    uint32_t operations;
    uint32_t size;
    uint32_t kind; /* 0 prefill, 1 operations */
    uint32_t crc;
} replay_chunk_header;

typedef struct replay_chunk {
    const unsigned char *codes;
    const char *keys; /* shape 0: the keys; shape 1: their offsets */
    const char *text; /* shape 1: what the offsets count from */
    uint64_t first;   /* number of its first operation */
    uint32_t operations;
} replay_chunk;

typedef struct replay_trace {
    const replay_header *header;
    replay_chunk *chunks;   /* prefill, then operations */
    uint64_t prefill_count; /* chunks of either kind */
    uint64_t operation_count;
    uint32_t longest_key; /* shape 1: bytes */
    unsigned codes;       /* a bit for each operation code that occurs behind the prefill */
} replay_trace;

static inline size_t replay_padded(size_t size) {
    return (size + 7) & ~(size_t)7;
}

static void replay_bad_trace(const char *path, const char *what, uint64_t chunk) {
    char line[512];
    snprintf(line, sizeof line, "trace %.300s: chunk %llu: %s", path, (unsigned long long)chunk,
             what);
    replay_fail(line);
}

static void replay_bad_file(const char *path, const char *what) {
    char line[512];
    snprintf(line, sizeof line, "trace %.300s: %s", path, what);
    replay_fail(line);
}

/* The text of a chunk of the byte shape must hold every key that the offsets name. */
static const char *replay_check_offsets(const replay_chunk *chunk, size_t text_size,
                                        uint32_t *longest) {
    const uint32_t *offsets = (const uint32_t *)chunk->keys;
    for (uint32_t i = 0; i < chunk->operations; i++) {
        uint32_t size = offsets[i + 1] - offsets[i];
        if (offsets[i + 1] <= offsets[i] || size > UINT16_MAX)
            return "a key is not 1 to 65535 bytes long";
        *longest = size > *longest ? size : *longest;
    }
    return offsets[chunk->operations] <= text_size ? NULL : "its keys exceed it";
}

/* Reads one chunk; NULL, or what is wrong with it. */
static const char *replay_read_chunk(replay_trace *trace, const char *at, size_t left,
                                     replay_chunk *chunk) {
    const replay_chunk_header *header = (const replay_chunk_header *)at;
    if (left < sizeof *header || header->size > left || header->size % 8 != 0)
        return "the file ends within it";
    if (header->operations < 1 || header->operations > REPLAY_CHUNK_OPERATIONS)
        return "it has not 1 to 4096 operations";
    size_t codes = replay_padded(header->operations);
    bool bytes = trace->header->shape == 1;
    size_t keys = bytes ? replay_padded(4 * ((size_t)header->operations + 1))
                        : 8 * (size_t)header->operations;
    size_t fixed = sizeof *header + codes + keys;
    if (bytes ? header->size < fixed : header->size != fixed)
        return "its size does not fit its operations";
    chunk->operations = header->operations;
    chunk->codes = (const unsigned char *)at + sizeof *header;
    chunk->keys = at + sizeof *header + codes;
    chunk->text = at + fixed;
    return bytes ? replay_check_offsets(chunk, header->size - fixed, &trace->longest_key) : NULL;
}

/* The codes that occur in a chunk, one bit each. Bit 31 stands for all that do not exist. */
static unsigned replay_codes_of(const replay_chunk *chunk) {
    unsigned codes = 0;
    for (uint32_t i = 0; i < chunk->operations; i++)
        codes |= 1U << (chunk->codes[i] < REPLAY_CODES ? chunk->codes[i] : 31);
    return codes;
}

static const char *replay_check_kind(replay_trace *trace, uint32_t kind, unsigned codes) {
    if (kind > 1 || (kind == 0 && trace->operation_count > 0))
        return "neither prefill nor operations behind it";
    if (kind == 0) {
        trace->prefill_count++;
        return codes == 1U << REPLAY_INSERT ? NULL : "prefill that is not all inserts";
    }
    trace->operation_count++;
    trace->codes |= codes;
    if (codes >> REPLAY_CODES != 0)
        return "an operation code that does not exist";
    if (trace->header->shape == 1 && (codes & 1U << REPLAY_ADD) != 0)
        return "add, which the byte shape does not have";
    return NULL;
}

static void replay_index_chunks(replay_trace *trace, const char *path) {
    const char *base = (const char *)trace->header;
    size_t at = sizeof *trace->header;
    uint64_t number = 1;
    for (uint64_t i = 0; i < trace->header->chunks; i++) {
        replay_chunk *chunk = &trace->chunks[i];
        const char *wrong = replay_read_chunk(trace, base + at, trace->header->size - at, chunk);
        const replay_chunk_header *header = (const replay_chunk_header *)(base + at);
        if (wrong == NULL)
            wrong = replay_check_kind(trace, header->kind, replay_codes_of(chunk));
        if (wrong != NULL)
            replay_bad_trace(path, wrong, i);
        chunk->first = number;
        number += chunk->operations;
        at += header->size;
        if (header->kind == 0 && number - 1 > trace->header->prefill)
            replay_bad_file(path, "more prefill than its header says");
    }
    if (at != trace->header->size)
        replay_bad_file(path, "bytes behind the last chunk");
    if (number - 1 != trace->header->prefill + trace->header->operations)
        replay_bad_file(path, "not as many operations as its header says");
}

static void replay_check_header(const replay_header *header, size_t size, const char *path) {
    if (memcmp(header->magic, "WEFTTRC1", 8) != 0)
        replay_bad_file(path, "not a trace: it does not begin with WEFTTRC1");
    if (header->size != size)
        replay_bad_file(path, "its size is not what its header says");
    if (header->shape > 1)
        replay_bad_file(path, "its shape is neither 0 nor 1");
    if (header->value_size < 8 || header->value_size > 1U << 20 ||
        (header->shape == 0 && header->value_size != 8))
        replay_bad_file(path, "values of a size that its shape does not have");
    if (header->chunks > size / sizeof(replay_chunk_header))
        replay_bad_file(path, "more chunks than it has room for");
}

/* Maps the file, and brings it into memory: no run waits for a page of it, and what it adds to the
 * resident memory is there before anything is measured. */
static void replay_open_trace(replay_trace *trace, const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
        replay_bad_file(path, strerror(errno));
    size_t size = (size_t)status.st_size;
    if (size < sizeof(replay_header))
        replay_bad_file(path, "not a trace: shorter than a header");
    void *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0);
    if (file == MAP_FAILED)
        replay_bad_file(path, strerror(errno));
    close(descriptor);
    memset(trace, 0, sizeof *trace);
    trace->header = (const replay_header *)file;
    replay_check_header(trace->header, size, path);
    trace->chunks = (replay_chunk *)calloc(trace->header->chunks + 1, sizeof *trace->chunks);
    if (trace->chunks == NULL)
        replay_bad_file(path, strerror(ENOMEM));
    replay_index_chunks(trace, path);
}

#endif
