/* SPDX-License-Identifier: MIT */
/* The text protocol of memcached. */
#include "serve_codec.h"
#include <string.h>

static char *put_key(char *out, weft_serve_space space, uint64_t index) {
    weft_serve_write_key(out, space, index);
    return out + WEFT_SERVE_KEY_BYTES;
}

static size_t memcached_room(const weft_serve_request *request) {
    return 64 + WEFT_SERVE_KEY_BYTES + WEFT_SERVE_NUMBER_BYTES + request->value_bytes;
}

_Static_assert(WEFT_SERVE_TTL_SECONDS == 86400, "memcached_encode sends this one");

static size_t memcached_encode(char *out, const weft_serve_request *request) {
    weft_serve_space space = weft_serve_op_space(request->op);
    char *at = out;
    switch (request->op) {
    case WEFT_SERVE_GET:
    case WEFT_SERVE_READ:
        at = put_key(weft_serve_put(at, "get "), space, request->index);
        at = weft_serve_put(at, "\r\n");
        break;
    case WEFT_SERVE_INCR:
        at = put_key(weft_serve_put(at, "incr "), space, request->index);
        at = weft_serve_put(at, " 1\r\n");
        break;
    case WEFT_SERVE_SEED:
        at = put_key(weft_serve_put(at, "set "), space, request->index);
        at = weft_serve_put(at, " 0 0 1\r\n0\r\n");
        break;
    default:
        at = put_key(weft_serve_put(at, "set "), space, request->index);
        at = weft_serve_put(at, request->op == WEFT_SERVE_SETEX ? " 0 86400 " : " 0 0 ");
        at += weft_serve_write_number(at, request->value_bytes);
        at = weft_serve_put(at, "\r\n");
        weft_serve_write_value(at, request->value_bytes, request->index, request->write);
        at = weft_serve_put(at + request->value_bytes, "\r\n");
        break;
    }
    return (size_t)(at - out);
}

static bool begins(const char *input, size_t length, const char *text) {
    size_t size = strlen(text);
    return length >= size && memcmp(input, text, size) == 0;
}

static bool is(const char *input, size_t length, const char *text) {
    return length == strlen(text) && begins(input, length, text);
}

/* VALUE key flags bytes, then the bytes, then END. */
static weft_serve_reply parse_value(const char *input, size_t size, size_t line) {
    static const char tail[] = "\r\nEND\r\n";
    size_t tail_size = sizeof tail - 1;
    weft_serve_reply reply = {.kind = WEFT_SERVE_BAD};
    const char *last = memrchr(input, ' ', line);
    size_t at = (size_t)(last - input) + 1;
    int64_t length;
    if (!weft_serve_read_number(input + at, line - at, &length) || length < 0 ||
        length > INT32_MAX) {
        return reply;
    }
    size_t head = line + 2;
    if (size - head < (size_t)length + tail_size) {
        reply.kind = WEFT_SERVE_MORE;
    } else if (memcmp(input + head + length, tail, tail_size) == 0) {
        reply = (weft_serve_reply){.kind = WEFT_SERVE_VALUE,
                                   .size = head + (size_t)length + tail_size,
                                   .data = input + head,
                                   .length = (size_t)length};
    }
    return reply;
}

static weft_serve_reply_kind kind_of(const char *input, size_t length, int64_t *number) {
    if (is(input, length, "STORED") || begins(input, length, "VERSION ")) {
        return WEFT_SERVE_DONE;
    }
    if (is(input, length, "END") || is(input, length, "NOT_FOUND")) {
        return WEFT_SERVE_MISS;
    }
    if (is(input, length, "ERROR") || begins(input, length, "CLIENT_ERROR ") ||
        begins(input, length, "SERVER_ERROR ") || is(input, length, "NOT_STORED")) {
        return WEFT_SERVE_ERROR;
    }
    return weft_serve_read_number(input, length, number) ? WEFT_SERVE_NUMBER : WEFT_SERVE_BAD;
}

static weft_serve_reply memcached_parse(const char *input, size_t size) {
    weft_serve_line line = weft_serve_find_line(input, size);
    weft_serve_reply reply = {.kind = WEFT_SERVE_BAD};
    if (line.status != WEFT_SERVE_LINE_WHOLE) {
        reply.kind = line.status == WEFT_SERVE_LINE_MORE ? WEFT_SERVE_MORE : WEFT_SERVE_BAD;
        return reply;
    }
    if (begins(input, line.length, "VALUE ")) {
        return parse_value(input, size, line.length);
    }
    reply.kind = kind_of(input, line.length, &reply.number);
    reply.data = input;
    reply.length = line.length;
    reply.size = reply.kind == WEFT_SERVE_BAD ? 0 : line.length + 2;
    return reply;
}

const weft_serve_codec weft_serve_memcached = {
    .name = "memcached text",
    .ops = 1u << WEFT_SERVE_GET | 1u << WEFT_SERVE_SET | 1u << WEFT_SERVE_SETEX |
           1u << WEFT_SERVE_INCR | 1u << WEFT_SERVE_SEED | 1u << WEFT_SERVE_READ,
    .room = memcached_room,
    .encode = memcached_encode,
    .parse = memcached_parse,
    .ready = "version\r\n",
    .info = NULL,
};
