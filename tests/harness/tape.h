/* SPDX-License-Identifier: MIT */
/* A trace file in memory, for tests: checked by the reader of the bench, then one step after the
 * other. Keys are numbers; keys of bytes begin with theirs. */
#ifndef WEFT_TESTS_TAPE_H
#define WEFT_TESTS_TAPE_H

#include "bench/driver/trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct tape_step {
    uint64_t key;
    uint32_t key_size;
    uint8_t op;
} tape_step;

typedef struct tape {
    tape_step *steps; /* the prefill, then the operations */
    uint64_t prefill;
    uint64_t count; /* of both */
    uint32_t value_bytes;
    uint64_t bytes;
    char name[64];
} tape;

/* A path for a file that is not there. */
static inline void tape_path(char path[64]) {
    static unsigned number;
    (void)snprintf(path, 64, "/tmp/weft-tape-%ld-%u", (long)getpid(), number++);
    (void)unlink(path);
}

static inline void tape_read_chunk(tape *t, const weft_trace_chunk *chunk, bool numbers) {
    const unsigned char *codes = (const unsigned char *)(chunk + 1);
    const unsigned char *behind = codes + weft_trace_padded(chunk->ops);
    const uint32_t *offsets = (const uint32_t *)(const void *)behind;
    const unsigned char *keys =
        numbers ? behind : behind + weft_trace_padded((chunk->ops + 1) * sizeof *offsets);
    for (uint32_t i = 0; i < chunk->ops; i++) {
        tape_step *step = &t->steps[t->count++];
        uint64_t from = numbers ? i * sizeof step->key : offsets[i];
        *step = (tape_step){.op = codes[i]};
        step->key_size = numbers ? sizeof step->key : offsets[i + 1] - offsets[i];
        memcpy(&step->key, keys + from, step->key_size < 8 ? step->key_size : 8);
    }
}

/* False if the file is no whole trace; the reader then says why on stderr. */
static inline bool tape_read(tape *t, const char *path) {
    weft_trace trace;
    *t = (tape){.count = 0};
    if (weft_trace_open(&trace, path) != 0) {
        return false;
    }
    const weft_trace_header *header = trace.header;
    t->prefill = header->prefill;
    t->value_bytes = header->value_bytes;
    t->bytes = header->bytes;
    memcpy(t->name, header->name, sizeof t->name);
    t->steps = malloc((header->prefill + header->ops) * sizeof *t->steps);
    for (uint64_t at = sizeof *header; t->steps != NULL && at < trace.size;) {
        const weft_trace_chunk *chunk = (const void *)(trace.data + at);
        tape_read_chunk(t, chunk, header->shape == WEFT_TRACE_U64);
        at += chunk->bytes;
    }
    weft_trace_close(&trace);
    return t->steps != NULL;
}

static inline void tape_free(tape *t) {
    free(t->steps);
    t->steps = NULL;
}

/* Replay on a set of keys below `keys`: which are there at the end. */
static inline void tape_replay(const tape *t, bool *present, size_t keys) {
    memset(present, 0, keys * sizeof *present);
    for (uint64_t i = 0; i < t->count; i++) {
        const tape_step *step = &t->steps[i];
        if (step->key < keys && step->op != WEFT_TRACE_GET) {
            present[step->key] = step->op != WEFT_TRACE_REMOVE;
        }
    }
}

#endif
