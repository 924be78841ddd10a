/* SPDX-License-Identifier: MIT */
/* RESP2, as redis-server, valkey-server and weft serve speak it. */
#include "serve_codec.h"
#include <string.h>

enum { BULK_HEAD = 2 + WEFT_SERVE_NUMBER_BYTES + 2, MISS_LENGTH = -1 };

static char *put_key(char *out, weft_serve_space space, uint64_t index) {
    out = weft_serve_put(out, "$16\r\n");
    weft_serve_write_key(out, space, index);
    return weft_serve_put(out + WEFT_SERVE_KEY_BYTES, "\r\n");
}

static char *put_value(char *out, const weft_serve_request *request, uint64_t index) {
    *out++ = '$';
    out += weft_serve_write_number(out, request->value_bytes);
    out = weft_serve_put(out, "\r\n");
    weft_serve_write_value(out, request->value_bytes, index, request->write);
    return weft_serve_put(out + request->value_bytes, "\r\n");
}

static size_t resp_room(const weft_serve_request *request) {
    size_t pair = 2 * (BULK_HEAD + 2) + WEFT_SERVE_KEY_BYTES + request->value_bytes;
    return 64 + pair * (request->op == WEFT_SERVE_MSET ? WEFT_SERVE_MSET_KEYS : 1);
}

static char *put_mset(char *out, const weft_serve_request *request) {
    out = weft_serve_put(out, "*21\r\n$4\r\nMSET\r\n");
    for (uint64_t i = 0; i < WEFT_SERVE_MSET_KEYS; i++) {
        uint64_t index = (request->index + i) % request->keys;
        out = put_key(out, WEFT_SERVE_VALUES, index);
        out = put_value(out, request, index);
    }
    return out;
}

_Static_assert(2 * WEFT_SERVE_MSET_KEYS + 1 == 21, "put_mset announces so many arguments");
_Static_assert(WEFT_SERVE_KEY_BYTES == 16, "put_key announces so many bytes");
_Static_assert(WEFT_SERVE_TTL_SECONDS == 86400, "resp_encode sends this one");

static size_t resp_encode(char *out, const weft_serve_request *request) {
    char *at = out;
    switch (request->op) {
    case WEFT_SERVE_GET:
    case WEFT_SERVE_READ:
        at = weft_serve_put(at, "*2\r\n$3\r\nGET\r\n");
        at = put_key(at, weft_serve_op_space(request->op), request->index);
        break;
    case WEFT_SERVE_INCR:
        at = weft_serve_put(at, "*2\r\n$4\r\nINCR\r\n");
        at = put_key(at, WEFT_SERVE_COUNTERS, request->index);
        break;
    case WEFT_SERVE_SET:
    case WEFT_SERVE_SETEX:
        at = weft_serve_put(at, request->op == WEFT_SERVE_SET ? "*3\r\n$3\r\nSET\r\n"
                                                              : "*5\r\n$3\r\nSET\r\n");
        at = put_key(at, WEFT_SERVE_VALUES, request->index);
        at = put_value(at, request, request->index);
        if (request->op == WEFT_SERVE_SETEX) {
            at = weft_serve_put(at, "$2\r\nEX\r\n$5\r\n86400\r\n");
        }
        break;
    case WEFT_SERVE_SEED:
        at = weft_serve_put(at, "*3\r\n$3\r\nSET\r\n");
        at = put_key(at, WEFT_SERVE_COUNTERS, request->index);
        at = weft_serve_put(at, "$1\r\n0\r\n");
        break;
    default:
        at = put_mset(at, request);
        break;
    }
    return (size_t)(at - out);
}

static weft_serve_reply parse_bulk(const char *input, size_t size, size_t line) {
    weft_serve_reply reply = {.kind = WEFT_SERVE_BAD};
    int64_t length;
    if (!weft_serve_read_number(input + 1, line - 1, &length) || length < MISS_LENGTH ||
        length > INT32_MAX) {
        return reply;
    }
    size_t head = line + 2;
    if (length == MISS_LENGTH) {
        return (weft_serve_reply){.kind = WEFT_SERVE_MISS, .size = head};
    }
    if (size - head < (size_t)length + 2) {
        reply.kind = WEFT_SERVE_MORE;
    } else if (memcmp(input + head + length, "\r\n", 2) == 0) {
        reply = (weft_serve_reply){.kind = WEFT_SERVE_VALUE,
                                   .size = head + (size_t)length + 2,
                                   .data = input + head,
                                   .length = (size_t)length};
    }
    return reply;
}

static weft_serve_reply resp_parse(const char *input, size_t size) {
    weft_serve_line line = weft_serve_find_line(input, size);
    weft_serve_reply reply = {.kind = WEFT_SERVE_BAD};
    if (size == 0 || (line.status == WEFT_SERVE_LINE_MORE && memchr("+-:$", *input, 4) != NULL)) {
        reply.kind = WEFT_SERVE_MORE;
    }
    if (line.status != WEFT_SERVE_LINE_WHOLE || line.length == 0) {
        return reply;
    }
    reply.size = line.length + 2;
    reply.data = input + 1;
    reply.length = line.length - 1;
    switch (*input) {
    case '+':
        reply.kind = WEFT_SERVE_DONE;
        break;
    case '-':
        reply.kind = WEFT_SERVE_ERROR;
        break;
    case ':':
        if (weft_serve_read_number(reply.data, reply.length, &reply.number)) {
            reply.kind = WEFT_SERVE_NUMBER;
        }
        break;
    case '$':
        return parse_bulk(input, size, line.length);
    default:
        break;
    }
    if (reply.kind == WEFT_SERVE_BAD) {
        reply.size = 0;
    }
    return reply;
}

const weft_serve_codec weft_serve_resp = {
    .name = "RESP2",
    .ops = (1u << WEFT_SERVE_OPS) - 1,
    .room = resp_room,
    .encode = resp_encode,
    .parse = resp_parse,
    .ready = "*1\r\n$4\r\nPING\r\n",
    .info = "*1\r\n$4\r\nINFO\r\n",
};
