/* SPDX-License-Identifier: MIT */
/* The two protocols of the servers behind one interface: requests to bytes, bytes to replies. Pure:
 * no socket, no clock. */
#ifndef WEFT_BENCH_SERVE_CODEC_H
#define WEFT_BENCH_SERVE_CODEC_H

#include "serve_data.h"

typedef enum weft_serve_op {
    WEFT_SERVE_GET,
    WEFT_SERVE_SET,
    WEFT_SERVE_SETEX, /* SET that carries a time to live */
    WEFT_SERVE_INCR,
    WEFT_SERVE_MSET,
    WEFT_SERVE_SEED, /* SET of a counter to 0: how counters come into being */
    WEFT_SERVE_READ, /* GET of a counter */
    WEFT_SERVE_OPS,
} weft_serve_op;

enum { WEFT_SERVE_MSET_KEYS = 10, WEFT_SERVE_TTL_SECONDS = 86400 };

/* Its name in workloads and messages. */
/* Those before WEFT_SERVE_SEED can be asked for. */
extern const char *const weft_serve_op_names[WEFT_SERVE_OPS];

weft_serve_space weft_serve_op_space(weft_serve_op op);

/* `index` is the first key; MSET writes so many that follow, modulo `keys`. */
typedef struct weft_serve_request {
    weft_serve_op op;
    uint32_t write; /* the number of this write */
    uint64_t index;
    uint64_t keys;
    size_t value_bytes;
} weft_serve_request;

typedef enum weft_serve_reply_kind {
    WEFT_SERVE_MORE,   /* the reply is not complete */
    WEFT_SERVE_BAD,    /* no reply of this protocol; the connection cannot go on */
    WEFT_SERVE_DONE,   /* written */
    WEFT_SERVE_NUMBER, /* `number` */
    WEFT_SERVE_VALUE,  /* `data`, `length` */
    WEFT_SERVE_MISS,   /* there is no such key */
    WEFT_SERVE_ERROR,  /* an error in good form: `data`, `length` */
} weft_serve_reply_kind;

typedef struct weft_serve_reply {
    weft_serve_reply_kind kind;
    size_t size; /* bytes of the input that are its; 0 if MORE or BAD */
    int64_t number;
    const char *data;
    size_t length;
} weft_serve_reply;

typedef struct weft_serve_codec {
    const char *name;
    uint32_t ops; /* the bit 1 << op of each that it can say */
    /* Bytes that encode may need at most. */
    size_t (*room)(const weft_serve_request *request);
    /* Returns the bytes written. */
    size_t (*encode)(char *out, const weft_serve_request *request);
    /* The reply that begins at `input`. Looks at no byte twice of what a length tells to skip. */
    weft_serve_reply (*parse)(const char *input, size_t size);
    const char *ready; /* a request that any server answers as soon as it serves */
    const char *info;  /* what tells its state; NULL: nothing does */
} weft_serve_codec;

extern const weft_serve_codec weft_serve_resp;
extern const weft_serve_codec weft_serve_memcached;

/* What is wrong with a reply to this request; NULL: nothing. */
const char *weft_serve_judge(const weft_serve_request *request, const weft_serve_reply *reply);

/* A line of the input up to CR LF, for both protocols. */
typedef enum weft_serve_line_status {
    WEFT_SERVE_LINE_WHOLE,
    WEFT_SERVE_LINE_MORE,
    WEFT_SERVE_LINE_BAD, /* longer than any, or LF without CR */
} weft_serve_line_status;

typedef struct weft_serve_line {
    weft_serve_line_status status;
    size_t length; /* without CR LF */
} weft_serve_line;

weft_serve_line weft_serve_find_line(const char *input, size_t size);

#endif
