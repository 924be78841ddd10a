/* SPDX-License-Identifier: MIT */
#include "server/resp.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

enum { ITEMS_USUAL = 64 };

#define PROTOCOL_ERROR "ERR Protocol error: "

static weft_resp_status fail(weft_resp *resp, const char *text) {
    snprintf(resp->error, sizeof resp->error, PROTOCOL_ERROR "%s", text);
    return WEFT_RESP_ERROR;
}

/* Room for one more argument: grows with the arguments that have come, not with those announced. */
static bool grow_items(weft_resp *resp) {
    size_t capacity = resp->capacity == 0 ? ITEMS_USUAL : resp->capacity * 2;
    weft_bytes *items = weft_memory_alloc(NULL, capacity * sizeof *items, _Alignof(weft_bytes));
    if (items == NULL) {
        return false;
    }
    if (resp->count != 0) {
        memcpy(items, resp->items, resp->count * sizeof *items);
    }
    weft_resp_free(resp);
    resp->items = items;
    resp->capacity = capacity;
    return true;
}

static inline bool add_item(weft_resp *resp, const char *data, size_t size) {
    if (WEFT_UNLIKELY(resp->count == resp->capacity) && !grow_items(resp)) {
        return false;
    }
    resp->items[resp->count++] = weft_bytes_of(data, size);
    return true;
}

/* The bytes of the command have moved since the last call: so have its arguments. */
static void rebase(weft_resp *resp, const char *data) {
    for (size_t i = resp->first; i < resp->count; i++) {
        size_t offset = (size_t)((const char *)resp->items[i].data - resp->base);
        resp->items[i].data = data + offset;
    }
}

/* The line that begins at `at`, up to CR; LINE_MORE if its end has not come, LINE_LONG if it never
 * will. */
typedef enum line_status { LINE_DONE, LINE_MORE, LINE_LONG } line_status;

static line_status find_line(const char *at, const char *end, const char **line_end) {
    const char *found = memchr(at, '\r', (size_t)(end - at));
    if (found == NULL) {
        return end - at > WEFT_RESP_LINE_MAX ? LINE_LONG : LINE_MORE;
    }
    if (end - found < 2) {
        return LINE_MORE;
    }
    *line_end = found;
    return LINE_DONE;
}

/* A decimal number as Redis reads lengths: no blank, no plus, no leading zero. */
static bool read_number(const char *at, const char *end, int64_t *number) {
    bool negative = at < end && *at == '-';
    at += negative;
    if (at == end || end - at > 18 || (*at == '0' && (end - at > 1 || negative))) {
        return false;
    }
    int64_t value = 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        value = value * 10 + (*at - '0');
    }
    *number = negative ? -value : value;
    return true;
}

/* The common length line: one to seven digits and CR LF, all there. NULL: look closer. */
static inline const char *read_short_length(const char *at, const char *end, uint64_t *length) {
    if (WEFT_UNLIKELY(end - at < 9)) {
        return NULL;
    }
    unsigned digit = (unsigned char)*at - '0';
    if (WEFT_UNLIKELY(digit - 1 > 8)) {
        return NULL;
    }
    uint64_t value = digit;
    for (int i = 1; i < 8; i++) {
        digit = (unsigned char)at[i] - '0';
        if (digit > 9) {
            *length = value;
            return at[i] == '\r' ? at + i + 2 : NULL;
        }
        value = value * 10 + digit;
    }
    return NULL;
}

static weft_resp_status read_count(weft_resp *resp, const weft_resp_limits *limits,
                                   const char *end) {
    const char *at = resp->base + 1;
    uint64_t count;
    const char *next = read_short_length(at, end, &count);
    if (WEFT_UNLIKELY(next == NULL)) {
        const char *line_end = NULL;
        int64_t number;
        switch (find_line(at, end, &line_end)) {
        case LINE_LONG:
            return fail(resp, "too big mbulk count string");
        case LINE_MORE:
            return WEFT_RESP_MORE;
        case LINE_DONE:
            break;
        }
        if (!read_number(at, line_end, &number)) {
            return fail(resp, "invalid multibulk length");
        }
        count = number < 0 ? 0 : (uint64_t)number;
        next = line_end + 2;
    }
    if (count > limits->arguments) {
        return fail(resp, "invalid multibulk length");
    }
    if (!limits->authenticated && count > WEFT_RESP_UNAUTHENTICATED_ARGUMENTS) {
        return fail(resp, "unauthenticated multibulk length");
    }
    resp->missing = count;
    resp->parsed = (size_t)(next - resp->base);
    return WEFT_RESP_COMMAND;
}

/* The length line of an argument whose '$' is at `at`, the long way round. */
static weft_resp_status read_bulk_length(weft_resp *resp, weft_bytes input, const char **next,
                                         uint64_t *length) {
    const char *at = input.data;
    const char *end = at + input.size;
    const char *line_end = NULL;
    switch (find_line(at, end, &line_end)) {
    case LINE_LONG:
        return fail(resp, "too big bulk count string");
    case LINE_MORE:
        return WEFT_RESP_MORE;
    case LINE_DONE:
        break;
    }
    if (*at != '$') {
        snprintf(resp->error, sizeof resp->error, PROTOCOL_ERROR "expected '$', got '%c'", *at);
        return WEFT_RESP_ERROR;
    }
    int64_t number;
    if (!read_number(at + 1, line_end, &number) || number < 0) {
        return fail(resp, "invalid bulk length");
    }
    *length = (uint64_t)number;
    *next = line_end + 2;
    return WEFT_RESP_COMMAND;
}

static weft_resp_status check_bulk_length(weft_resp *resp, const weft_resp_limits *limits,
                                          uint64_t length) {
    if (length > limits->bulk) {
        return fail(resp, "invalid bulk length");
    }
    if (!limits->authenticated && length > WEFT_RESP_UNAUTHENTICATED_BULK) {
        return fail(resp, "unauthenticated bulk length");
    }
    return WEFT_RESP_COMMAND;
}

static weft_resp_status read_bulks(weft_resp *resp, const weft_resp_limits *limits,
                                   const char *end) {
    const char *at = resp->base + resp->parsed;
    while (resp->missing != 0) {
        const char *next = NULL;
        uint64_t length;
        if (WEFT_LIKELY(at < end && *at == '$')) {
            next = read_short_length(at + 1, end, &length);
        }
        if (WEFT_UNLIKELY(next == NULL)) {
            weft_resp_status status =
                read_bulk_length(resp, weft_bytes_of(at, (size_t)(end - at)), &next, &length);
            if (status != WEFT_RESP_COMMAND) {
                return status;
            }
        }
        if (WEFT_UNLIKELY(length > WEFT_RESP_UNAUTHENTICATED_BULK)) {
            weft_resp_status status = check_bulk_length(resp, limits, length);
            if (status != WEFT_RESP_COMMAND) {
                return status;
            }
        }
        if ((uint64_t)(end - next) < length + 2) {
            return WEFT_RESP_MORE;
        }
        if (WEFT_UNLIKELY(!add_item(resp, next, length))) {
            return WEFT_RESP_NOMEM;
        }
        at = next + length + 2;
        resp->parsed = (size_t)(at - resp->base);
        resp->missing--;
    }
    return WEFT_RESP_COMMAND;
}

static weft_resp_status parse_multibulk(weft_resp *resp, const weft_resp_limits *limits,
                                        const char *end) {
    if (resp->missing == 0) {
        weft_resp_status status = read_count(resp, limits, end);
        if (status != WEFT_RESP_COMMAND) {
            return status;
        }
    }
    return read_bulks(resp, limits, end);
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape of a double-quoted text, whose backslash is at `*from`. */
static char read_escape(char **from, const char *end) {
    char *at = *from + 1;
    if (end - at >= 3 && *at == 'x' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
        *from = at + 3;
        return (char)(hex_digit(at[1]) * 16 + hex_digit(at[2]));
    }
    *from = at + 1;
    switch (*at) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return *at;
    }
}

/* The quoted stretch whose opening quote is at `*from`, copied down to `*to`. False: the quotes
 * are not balanced, or something stands right behind the closing one. */
static bool read_quoted(char **from, char **to, const char *end) {
    char quote = **from;
    char *at = *from + 1;
    char *out = *to;
    while (at < end && *at != quote) {
        if (*at != '\\' || at + 1 == end) {
            *out++ = *at++;
        } else if (quote == '"') {
            *out++ = read_escape(&at, end);
        } else {
            at += at[1] == '\'';
            *out++ = *at++;
        }
    }
    *from = at + 1;
    *to = out;
    return at < end && (at + 1 == end || is_blank(at[1]));
}

/* Arguments of a line, unquoted in place: the text never gets longer. */
static weft_resp_status split_line(weft_resp *resp, char *at, const char *end) {
    for (;;) {
        while (at < end && is_blank(*at)) {
            at++;
        }
        if (at == end) {
            return WEFT_RESP_COMMAND;
        }
        char *start = at;
        char *out = at;
        while (at < end && *at != ' ' && *at != '\t' && *at != '\r' && *at != '\n') {
            if (*at != '"' && *at != '\'') {
                *out++ = *at++;
            } else if (!read_quoted(&at, &out, end)) {
                return fail(resp, "unbalanced quotes in request");
            } else {
                break;
            }
        }
        if (!add_item(resp, start, (size_t)(out - start))) {
            return WEFT_RESP_NOMEM;
        }
    }
}

static weft_resp_status parse_inline(weft_resp *resp, char *data, size_t size) {
    char *newline = memchr(data + resp->parsed, '\n', size - resp->parsed);
    if (newline == NULL) {
        resp->parsed = size;
        return size > WEFT_RESP_LINE_MAX ? fail(resp, "too big inline request") : WEFT_RESP_MORE;
    }
    if (newline - data > WEFT_RESP_LINE_MAX) {
        return fail(resp, "too big inline request");
    }
    resp->parsed = (size_t)(newline - data) + 1;
    char *end = newline > data && newline[-1] == '\r' ? newline - 1 : newline;
    char *nul = memchr(data, '\0', (size_t)(end - data));
    return split_line(resp, data, nul == NULL ? end : nul);
}

weft_resp_status weft_resp_parse(weft_resp *resp, const weft_resp_limits *limits, weft_bytes input,
                                 weft_request *request) {
    char *data = (char *)input.data;
    if (input.size == 0) {
        return WEFT_RESP_MORE;
    }
    if (WEFT_UNLIKELY(resp->base != data)) {
        rebase(resp, data);
        resp->base = data;
    }
    weft_resp_status status = *data == '*' ? parse_multibulk(resp, limits, data + input.size)
                                           : parse_inline(resp, data, input.size);
    if (status != WEFT_RESP_COMMAND) {
        return status;
    }
    request->first = resp->first;
    request->args.count = resp->count - resp->first;
    request->args.items = request->args.count == 0 ? NULL : resp->items + resp->first;
    request->size = resp->parsed;
    resp->first = resp->count;
    resp->parsed = 0;
    return WEFT_RESP_COMMAND;
}

void weft_resp_release(weft_resp *resp) {
    resp->count -= resp->first;
    if (WEFT_UNLIKELY(resp->count != 0)) {
        memmove(resp->items, resp->items + resp->first, resp->count * sizeof *resp->items);
    }
    resp->first = 0;
}

void weft_resp_free(weft_resp *resp) {
    if (resp->items != NULL) {
        weft_memory_free(NULL, resp->items, resp->capacity * sizeof *resp->items,
                         _Alignof(weft_bytes));
    }
    resp->items = NULL;
    resp->capacity = 0;
}
