/* SPDX-License-Identifier: MIT */
/* Trace files, read: mapped, and checked in full before anything uses them. */
#ifndef WEFT_BENCH_DRIVER_TRACE_H
#define WEFT_BENCH_DRIVER_TRACE_H

#include "base/trace_file.h"
#include <stdio.h>

typedef struct weft_trace {
    const char *path;
    const unsigned char *data;
    uint64_t size;
    const weft_trace_header *header;
    uint64_t codes[WEFT_TRACE_OPS]; /* operations of each code, without the prefill */
    uint64_t key_bytes;             /* of all keys together */
} weft_trace;

/* Map and check a trace. 0, or the exit code after a message that says file, byte and what is
 * allowed. */
int weft_trace_open(weft_trace *trace, const char *path);
void weft_trace_close(weft_trace *trace);

/* One operation. */
typedef struct weft_trace_item {
    weft_trace_kind kind;
    weft_trace_op op;
    const unsigned char *key; /* shape u64: 8 bytes, which need not be aligned */
    uint32_t size;
} weft_trace_item;

/* Call fn for all of them in the order of the file, prefill included. */
void weft_trace_each(const weft_trace *trace, void (*fn)(void *ctx, const weft_trace_item *item),
                     void *ctx);

/* A number for a key: the key itself in shape u64, FNV-1a of its bytes else. */
uint64_t weft_trace_key_number(const weft_trace *trace, const weft_trace_item *item);

/* What is in it, for people. */
void weft_trace_print(const weft_trace *trace, FILE *out);

extern const char *const weft_trace_op_names[WEFT_TRACE_OPS];

#endif
