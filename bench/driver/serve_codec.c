/* SPDX-License-Identifier: MIT */
#include "serve_codec.h"

#include <string.h>

enum { LINE_MOST = 4096 };

const char *const weft_serve_op_names[WEFT_SERVE_OPS] = {
    [WEFT_SERVE_GET] = "get",   [WEFT_SERVE_SET] = "set",   [WEFT_SERVE_SETEX] = "setex",
    [WEFT_SERVE_INCR] = "incr", [WEFT_SERVE_MSET] = "mset", [WEFT_SERVE_SEED] = "seed",
    [WEFT_SERVE_READ] = "read",
};

typedef struct op_fact {
    weft_serve_space space;
    weft_serve_reply_kind right;
} op_fact;

static const op_fact facts[WEFT_SERVE_OPS] = {
    [WEFT_SERVE_GET] = {WEFT_SERVE_VALUES, WEFT_SERVE_VALUE},
    [WEFT_SERVE_SET] = {WEFT_SERVE_VALUES, WEFT_SERVE_DONE},
    [WEFT_SERVE_SETEX] = {WEFT_SERVE_VALUES, WEFT_SERVE_DONE},
    [WEFT_SERVE_INCR] = {WEFT_SERVE_COUNTERS, WEFT_SERVE_NUMBER},
    [WEFT_SERVE_MSET] = {WEFT_SERVE_VALUES, WEFT_SERVE_DONE},
    [WEFT_SERVE_SEED] = {WEFT_SERVE_COUNTERS, WEFT_SERVE_DONE},
    [WEFT_SERVE_READ] = {WEFT_SERVE_COUNTERS, WEFT_SERVE_VALUE},
};

weft_serve_space weft_serve_op_space(weft_serve_op op) {
    return facts[op].space;
}

static const char *judge_content(const weft_serve_request *request, const weft_serve_reply *reply) {
    int64_t number;
    switch (request->op) {
    case WEFT_SERVE_GET:
        if (reply->length != request->value_bytes) {
            return "a value of another length than any that was written";
        }
        return weft_serve_value_is_good(reply->data, reply->length, request->index)
                   ? NULL
                   : "a value that nobody wrote for this key";
    case WEFT_SERVE_INCR:
        return reply->number >= 1 ? NULL : "a count below 1 after an increment";
    case WEFT_SERVE_READ:
        return weft_serve_read_number(reply->data, reply->length, &number) && number >= 0
                   ? NULL
                   : "a counter that is no number";
    default:
        return NULL;
    }
}

const char *weft_serve_judge(const weft_serve_request *request, const weft_serve_reply *reply) {
    if (reply->kind == facts[request->op].right) {
        return judge_content(request, reply);
    }
    switch (reply->kind) {
    case WEFT_SERVE_MISS:
        return "a key that was written is missing";
    case WEFT_SERVE_ERROR:
        return "an error reply";
    default:
        return "a reply of the wrong kind";
    }
}

weft_serve_line weft_serve_find_line(const char *input, size_t size) {
    size_t seen = size < LINE_MOST ? size : LINE_MOST;
    const char *end = memchr(input, '\n', seen);
    if (end == NULL) {
        return (weft_serve_line){seen == LINE_MOST ? WEFT_SERVE_LINE_BAD : WEFT_SERVE_LINE_MORE, 0};
    }
    if (end == input || end[-1] != '\r') {
        return (weft_serve_line){WEFT_SERVE_LINE_BAD, 0};
    }
    return (weft_serve_line){WEFT_SERVE_LINE_WHOLE, (size_t)(end - input) - 1};
}
