/* SPDX-License-Identifier: MIT */
#include "server/output.h"

#include "base/memory.h"
#include "server/number.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CAPACITY_MIN = 1024, HEADER_MAX = 32, ERROR_MAX = 1024 };

/* Replies that a client has not read: with more than this waiting, the next reply breaks the
 * connection. */
#define WAITING_MAX ((size_t)256 << 20)

void weft_output_free(weft_output *out) {
    if (out->data != NULL) {
        weft_memory_free(NULL, out->data, out->capacity, 1);
    }
    out->data = NULL;
    out->size = out->sent = out->capacity = 0;
}

/* Make room behind the bytes that wait: by moving them to the front, or into a larger buffer. */
static WEFT_COLD bool grow(weft_output *out, size_t size) {
    size_t needed = out->size + size;
    if (out->size > WAITING_MAX || needed < size) {
        out->failed = true;
        return false;
    }
    if (needed <= out->capacity / 2) {
        memmove(out->data, out->data + out->sent, out->size);
        out->sent = 0;
        return true;
    }
    size_t capacity = out->capacity * 2 > CAPACITY_MIN ? out->capacity * 2 : CAPACITY_MIN;
    capacity = capacity > needed ? capacity : needed;
    char *data = weft_memory_alloc(NULL, capacity, 1);
    if (data == NULL) {
        out->failed = true;
        return false;
    }
    size_t waiting = out->size;
    if (waiting != 0) {
        memcpy(data, out->data + out->sent, waiting);
    }
    weft_output_free(out);
    out->data = data;
    out->size = waiting;
    out->capacity = capacity;
    return true;
}

char *weft_output_room(weft_output *out, size_t size) {
    if (WEFT_UNLIKELY(out->muted || out->failed)) {
        return NULL;
    }
    if (WEFT_UNLIKELY(out->capacity - out->sent - out->size < size) && !grow(out, size)) {
        return NULL;
    }
    return out->data + out->sent + out->size;
}

void weft_output_advance(weft_output *out, size_t size) {
    out->size += size;
}

void weft_output_raw(weft_output *out, const void *data, size_t size) {
    char *at = weft_output_room(out, size);
    if (WEFT_LIKELY(at != NULL && size != 0)) {
        memcpy(at, data, size);
        out->size += size;
    }
}

/* `sign`, a number, CR LF. Returns what stands behind it. */
static inline char *put_header(char *at, char sign, int64_t number) {
    *at++ = sign;
    if (WEFT_LIKELY((uint64_t)number < 10)) {
        *at++ = (char)('0' + number);
    } else {
        at += weft_number_format(number, at);
    }
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static void reply_header(weft_output *out, char sign, int64_t number) {
    char *at = weft_output_room(out, HEADER_MAX);
    if (WEFT_LIKELY(at != NULL)) {
        out->size += (size_t)(put_header(at, sign, number) - at);
    }
}

/* `sign`, a text, CR LF. */
static void reply_line(weft_output *out, char sign, const char *text, size_t size) {
    char *at = weft_output_room(out, size + 3);
    if (WEFT_LIKELY(at != NULL)) {
        *at = sign;
        memcpy(at + 1, text, size);
        memcpy(at + 1 + size, "\r\n", 2);
        out->size += size + 3;
    }
}

void weft_reply_simple(weft_output *out, const char *text) {
    reply_line(out, '+', text, strlen(text));
}

void weft_reply_ok(weft_output *out) {
    weft_output_raw(out, "+OK\r\n", 5);
}

void weft_reply_error(weft_output *out, const char *format, ...) {
    char text[ERROR_MAX];
    va_list list;
    va_start(list, format);
    int printed = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    size_t size = printed < 0 ? 0 : (size_t)printed;
    size = size < sizeof text ? size : sizeof text - 1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\r' || text[i] == '\n') {
            text[i] = ' ';
        }
    }
    reply_line(out, '-', text, size);
}

void weft_reply_integer(weft_output *out, int64_t number) {
    reply_header(out, ':', number);
}

/* `sign`, the length of two pieces, CR LF, the pieces, CR LF. */
static void reply_bulk(weft_output *out, char sign, weft_bytes first, weft_bytes second) {
    size_t size = first.size + second.size;
    char *at = weft_output_room(out, size + HEADER_MAX);
    if (WEFT_UNLIKELY(at == NULL)) {
        return;
    }
    char *body = put_header(at, sign, (int64_t)size);
    if (first.size != 0) {
        memcpy(body, first.data, first.size);
    }
    if (second.size != 0) {
        memcpy(body + first.size, second.data, second.size);
    }
    body += size;
    *body++ = '\r';
    *body++ = '\n';
    out->size += (size_t)(body - at);
}

void weft_reply_bulk(weft_output *out, weft_bytes bytes) {
    reply_bulk(out, '$', bytes, weft_bytes_of(NULL, 0));
}

void weft_reply_text(weft_output *out, const char *text) {
    weft_reply_bulk(out, weft_str(text));
}

void weft_reply_null(weft_output *out) {
    if (out->protocol == 3) {
        weft_output_raw(out, "_\r\n", 3);
    } else {
        weft_output_raw(out, "$-1\r\n", 5);
    }
}

void weft_reply_null_array(weft_output *out) {
    if (out->protocol == 3) {
        weft_output_raw(out, "_\r\n", 3);
    } else {
        weft_output_raw(out, "*-1\r\n", 5);
    }
}

void weft_reply_double(weft_output *out, double number) {
    char text[64];
    int size;
    if (isinf(number)) {
        size = snprintf(text, sizeof text, "%s", number > 0 ? "inf" : "-inf");
    } else {
        size = snprintf(text, sizeof text, "%.17g", number);
    }
    if (out->protocol == 3) {
        reply_line(out, ',', text, (size_t)size);
    } else {
        weft_reply_bulk(out, weft_bytes_of(text, (size_t)size));
    }
}

void weft_reply_bool(weft_output *out, bool value) {
    if (out->protocol == 3) {
        weft_output_raw(out, value ? "#t\r\n" : "#f\r\n", 4);
    } else {
        weft_reply_integer(out, value);
    }
}

void weft_reply_verbatim(weft_output *out, weft_bytes text) {
    if (out->protocol == 3) {
        reply_bulk(out, '=', weft_str("txt:"), text);
    } else {
        weft_reply_bulk(out, text);
    }
}

void weft_reply_array(weft_output *out, size_t count) {
    reply_header(out, '*', (int64_t)count);
}

void weft_reply_map(weft_output *out, size_t pairs) {
    if (out->protocol == 3) {
        reply_header(out, '%', (int64_t)pairs);
    } else {
        weft_reply_array(out, pairs * 2);
    }
}

void weft_reply_set(weft_output *out, size_t count) {
    reply_header(out, out->protocol == 3 ? '~' : '*', (int64_t)count);
}
