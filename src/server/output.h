/* SPDX-License-Identifier: MIT */
/* The reply buffer of a connection, and the RESP2/RESP3 encoders that append to it. */
#ifndef WEFT_SERVER_OUTPUT_H
#define WEFT_SERVER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/map.h>

typedef struct weft_output {
    char *data;
    size_t size; /* bytes waiting, from `sent` on */
    size_t sent; /* bytes of data that are gone */
    size_t capacity;
    uint8_t protocol; /* 2 or 3 */
    bool muted;       /* CLIENT REPLY OFF or SKIP: appends are dropped */
    bool failed; /* an append found no memory, or passed the limit: the connection must be closed */
} weft_output;

void weft_output_free(weft_output *out);
/* Room for `size` more bytes, to be filled by the caller and then counted with weft_output_advance;
 * NULL if failed or muted. */
char *weft_output_room(weft_output *out, size_t size);
void weft_output_advance(weft_output *out, size_t size);
void weft_output_raw(weft_output *out, const void *data, size_t size);

void weft_reply_simple(weft_output *out, const char *text); /* +text */
void weft_reply_ok(weft_output *out);                       /* +OK */
void weft_reply_error(weft_output *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));                   /* -text; CR and LF become blanks */
void weft_reply_integer(weft_output *out, int64_t number);   /* :n */
void weft_reply_bulk(weft_output *out, weft_bytes bytes);    /* $n */
void weft_reply_text(weft_output *out, const char *text);    /* $n of a string */
void weft_reply_null(weft_output *out);                      /* $-1, or _ */
void weft_reply_null_array(weft_output *out);                /* *-1, or _ */
void weft_reply_double(weft_output *out, double number);     /* bulk, or , */
void weft_reply_bool(weft_output *out, bool value);          /* :1, or #t */
void weft_reply_verbatim(weft_output *out, weft_bytes text); /* bulk, or = txt: */
void weft_reply_array(weft_output *out, size_t count);       /* *n */
void weft_reply_map(weft_output *out, size_t pairs);         /* *2n, or % */
void weft_reply_set(weft_output *out, size_t count);         /* *n, or ~ */

#endif
