/* SPDX-License-Identifier: MIT */
/* Requests: bytes in, arguments out. Pure: no socket, no clock, no reply.
 *
 * The parser works on the bytes that have arrived and points into them; what a client announces is
 * never believed until it is there, so that a length alone makes nothing grow. */
#ifndef WEFT_SERVER_RESP_H
#define WEFT_SERVER_RESP_H

#include "server/session.h"

typedef enum weft_resp_status {
    WEFT_RESP_COMMAND, /* `request` is a command; it may be empty: an empty line, or "*0" */
    WEFT_RESP_MORE,    /* the command is not complete */
    WEFT_RESP_ERROR,   /* `error` says why; the connection cannot go on */
    WEFT_RESP_NOMEM,   /* no room for the arguments; the connection cannot go on */
} weft_resp_status;

typedef struct weft_resp_limits {
    uint64_t arguments; /* of a command; 1024 * 1024 */
    uint64_t bulk;      /* bytes of an argument; 512 MiB */
    bool authenticated; /* false: 10 arguments of 16 KiB at most */
} weft_resp_limits;

enum {
    WEFT_RESP_LINE_MAX = 64 * 1024,
    WEFT_RESP_ARGUMENTS_MAX = 1024 * 1024,
    WEFT_RESP_UNAUTHENTICATED_ARGUMENTS = 10,
    WEFT_RESP_UNAUTHENTICATED_BULK = 16384,
};
#define WEFT_RESP_BULK_MAX ((uint64_t)512 << 20)

/* The state between two arrivals of bytes of one command. All zero at first. */
typedef struct weft_resp {
    const char *base;  /* where the command began at the last call */
    size_t parsed;     /* bytes of it that are understood */
    uint64_t missing;  /* arguments still to come; 0: at the start of a command */
    weft_bytes *items; /* `count` of `capacity` */
    size_t count;
    size_t first; /* those before it belong to commands that were given out */
    size_t capacity;
    char error[80]; /* the error reply without '-' */
} weft_resp;

/* A command, as it was understood. */
typedef struct weft_request {
    weft_args args;
    size_t first; /* where its arguments begin in `items` */
    size_t size;  /* bytes of the input that are its */
} weft_request;

/* Understand one command that begins at the input's first byte. The input may be elsewhere at the
 * next call, with the same bytes first. After WEFT_RESP_COMMAND the arguments point into the
 * input, where quoted inline arguments are unquoted in place: the bytes must be writable. */
weft_resp_status weft_resp_parse(weft_resp *resp, const weft_resp_limits *limits, weft_bytes input,
                                 weft_request *request);

/* The commands given out have run: their arguments make room. Until then those of several commands
 * may be kept, but `items` moves when it grows, and only `first` of a request stays true. */
void weft_resp_release(weft_resp *resp);
void weft_resp_free(weft_resp *resp);

#endif
