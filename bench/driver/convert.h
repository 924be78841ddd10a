/* SPDX-License-Identifier: MIT */
#ifndef WEFT_BENCH_DRIVER_CONVERT_H
#define WEFT_BENCH_DRIVER_CONVERT_H

#include "base/trace_file.h"

typedef struct weft_convert {
    const char *from; /* a text, one line an operation */
    const char *to;
    bool ops; /* lines are "operation key"; else each is the key of a get */
    weft_trace_shape shape;
    uint32_t value_bytes;
} weft_convert;

/* 0, or the exit code after a message with file and line. Memory: one chunk and one line. */
int weft_convert_text(const weft_convert *how);

#endif
