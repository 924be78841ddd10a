/* SPDX-License-Identifier: MIT */
/* Requests from untrusted bytes. The first bytes of the input choose limits and where the stream is
 * cut into arrivals; the rest is the stream. Understanding it at once, in pieces that move in
 * memory, and with a slow parser written from the grammar must give the same requests and the same
 * end. */
#include "server/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct transcript {
    char *data;
    size_t size;
    size_t capacity;
} transcript;

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void *need(void *memory) {
    REQUIRE(memory != NULL);
    return memory;
}

static void add(transcript *text, const void *data, size_t size) {
    if (text->size + size > text->capacity) {
        text->capacity = (text->size + size) * 2;
        text->data = need(realloc(text->data, text->capacity));
    }
    if (size != 0) {
        memcpy(text->data + text->size, data, size);
        text->size += size;
    }
}

static void add_number(transcript *text, char kind, size_t number) {
    char line[32];
    add(text, line, (size_t)snprintf(line, sizeof line, "%c%zu ", kind, number));
}

static void add_argument(transcript *text, const void *data, size_t size) {
    add_number(text, '$', size);
    add(text, data, size);
}

/* ---- the slow parser: one request from its first byte, nothing kept if it is not complete ---- */

/* A line up to CR and one byte more; *next is behind it. The status if it is not complete. */
static weft_resp_status slow_line(const char *at, const char *end, const char **line_end) {
    for (const char *c = at; c < end; c++) {
        if (*c == '\r') {
            *line_end = c;
            return c + 1 < end ? WEFT_RESP_COMMAND : WEFT_RESP_MORE;
        }
    }
    return end - at > WEFT_RESP_LINE_MAX ? WEFT_RESP_ERROR : WEFT_RESP_MORE;
}

static bool slow_number(const char *at, const char *end, long long *number) {
    char text[24] = "";
    char again[24];
    if (end - at < 1 || end - at > 19) {
        return false;
    }
    memcpy(text, at, (size_t)(end - at));
    *number = strtoll(text, NULL, 10);
    snprintf(again, sizeof again, "%lld", *number);
    return strlen(text) == (size_t)(end - at) && strcmp(text, again) == 0;
}

static weft_resp_status slow_array(const weft_resp_limits *limits, weft_bytes input,
                                   transcript *text, size_t *used) {
    const char *data = input.data;
    size_t size = input.size;
    const char *end = data + size;
    const char *line_end = NULL;
    long long count;
    weft_resp_status status = slow_line(data + 1, end, &line_end);
    if (status != WEFT_RESP_COMMAND) {
        return status;
    }
    if (!slow_number(data + 1, line_end, &count) || count > (long long)limits->arguments ||
        (!limits->authenticated && count > WEFT_RESP_UNAUTHENTICATED_ARGUMENTS)) {
        return WEFT_RESP_ERROR;
    }
    const char *at = line_end + 2;
    add_number(text, '*', count < 0 ? 0 : (size_t)count);
    for (long long i = 0; i < count; i++) {
        long long length;
        status = slow_line(at, end, &line_end);
        if (status != WEFT_RESP_COMMAND) {
            return status;
        }
        if (*at != '$' || !slow_number(at + 1, line_end, &length) || length < 0 ||
            length > (long long)limits->bulk ||
            (!limits->authenticated && length > WEFT_RESP_UNAUTHENTICATED_BULK)) {
            return WEFT_RESP_ERROR;
        }
        at = line_end + 2;
        if (end - at < length + 2) {
            return WEFT_RESP_MORE;
        }
        add_argument(text, at, (size_t)length);
        at += length + 2;
    }
    *used = (size_t)(at - data);
    return WEFT_RESP_COMMAND;
}

static bool slow_blank(int c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

/* The byte that an escape between double quotes stands for; returns how many bytes it took. */
static size_t slow_escape(const char *at, const char *end, char *byte) {
    static const char names[] = "nrtba";
    static const char bytes[] = "\n\r\t\b\a";
    unsigned value;
    char hex[3] = "";
    if (end - at >= 4 && at[1] == 'x') {
        memcpy(hex, at + 2, 2);
        if (strspn(hex, "0123456789abcdefABCDEF") == 2) {
            sscanf(hex, "%x", &value);
            *byte = (char)value;
            return 4;
        }
    }
    const char *found = at[1] == '\0' ? NULL : strchr(names, at[1]);
    *byte = found == NULL ? at[1] : bytes[found - names];
    return 2;
}

/* One word of a line, with its quotes taken off. False: the quotes are wrong. */
static bool slow_word(const char **from, const char *end, transcript *word) {
    const char *at = *from;
    char quote = 0;
    for (; quote != 0 || (at < end && strchr(" \t\r\n", *at) == NULL); at++) {
        char byte = at < end ? *at : 0;
        if (at >= end) {
            return false;
        }
        if (quote == 0 && (byte == '"' || byte == '\'')) {
            quote = byte;
            continue;
        }
        if (quote != 0 && byte == quote) {
            *from = at + 1;
            return at + 1 == end || slow_blank((unsigned char)at[1]);
        }
        if (quote == '"' && byte == '\\' && at + 1 < end) {
            at += slow_escape(at, end, &byte) - 1;
        } else if (quote == '\'' && byte == '\\' && at + 1 < end && at[1] == '\'') {
            byte = *++at;
        }
        add(word, &byte, 1);
    }
    *from = at;
    return true;
}

static weft_resp_status slow_inline(const char *data, size_t size, transcript *text, size_t *used) {
    const char *newline = memchr(data, '\n', size);
    if (newline == NULL ? size > WEFT_RESP_LINE_MAX : newline - data > WEFT_RESP_LINE_MAX) {
        return WEFT_RESP_ERROR;
    }
    if (newline == NULL) {
        return WEFT_RESP_MORE;
    }
    const char *end = newline;
    if (end > data && end[-1] == '\r') {
        end--;
    }
    end = data + strnlen(data, (size_t)(end - data));
    transcript words = {0};
    size_t count = 0;
    bool good = true;
    for (const char *at = data; good;) {
        while (at < end && slow_blank((unsigned char)*at)) {
            at++;
        }
        if (at == end) {
            break;
        }
        transcript word = {0};
        good = slow_word(&at, end, &word);
        add_argument(&words, word.data, word.size);
        free(word.data);
        count++;
    }
    add_number(text, '*', count);
    add(text, words.data, words.size);
    free(words.data);
    *used = (size_t)(newline - data) + 1;
    return good ? WEFT_RESP_COMMAND : WEFT_RESP_ERROR;
}

static weft_resp_status slow_stream(const weft_resp_limits *limits, const char *data, size_t size,
                                    transcript *text) {
    weft_resp_status status = WEFT_RESP_MORE;
    while (size > 0) {
        size_t before = text->size;
        size_t used = 0;
        status = *data == '*' ? slow_array(limits, weft_bytes_of(data, size), text, &used)
                              : slow_inline(data, size, text, &used);
        if (status != WEFT_RESP_COMMAND) {
            text->size = before;
            return status;
        }
        data += used;
        size -= used;
    }
    return WEFT_RESP_MORE;
}

/* ---- the parser under test ---- */

/* Where the stream is cut, by a generator that the input seeds; long streams into longer pieces. */
static size_t next_piece(uint32_t *seed, size_t left) {
    *seed = *seed * 1664525u + 1013904223u;
    size_t most = (*seed >> 29) == 0 ? 4096 : 1 + (*seed >> 28);
    size_t piece = 1 + (*seed >> 8) % most + left / 256;
    return piece < left ? piece : left;
}

/* Requests that were given out and not released, as a connection that reads ahead holds them: first
 * and last item of each. */
typedef struct held_requests {
    size_t first[8];
    size_t count[8];
    size_t size;
} held_requests;

static void release(weft_resp *resp, held_requests *held, transcript *text) {
    for (size_t i = 0; i < held->size; i++) {
        add_number(text, '*', held->count[i]);
        for (size_t j = 0; j < held->count[i]; j++) {
            const weft_bytes *item = &resp->items[held->first[i] + j];
            add_argument(text, item->data, item->size);
        }
    }
    held->size = 0;
    weft_resp_release(resp);
}

/* Understand what has arrived, up to eight requests ahead; *bytes shrinks by the whole ones. */
static weft_resp_status arrival(weft_resp *resp, const weft_resp_limits *limits, transcript *text,
                                weft_bytes *bytes) {
    held_requests held = {0};
    weft_resp_status status;
    do {
        weft_request request = {0};
        weft_bytes rest = *bytes;
        status = weft_resp_parse(resp, limits, rest, &request);
        if (status == WEFT_RESP_COMMAND) {
            REQUIRE(request.size > 0 && request.size <= rest.size);
            held.first[held.size] = request.first;
            held.count[held.size++] = request.args.count;
            *bytes =
                weft_bytes_of((const char *)rest.data + request.size, rest.size - request.size);
        }
        if (held.size == 8 || status != WEFT_RESP_COMMAND) {
            release(resp, &held, text);
        }
    } while (status == WEFT_RESP_COMMAND);
    return status;
}

/* The stream as a connection sees it: each arrival lands in a new buffer of exactly the right
 * size. */
static weft_resp_status stream(const weft_resp_limits *limits, weft_bytes input, transcript *text,
                               uint32_t *seed) {
    weft_resp resp = {0};
    weft_resp_status status = WEFT_RESP_MORE;
    const char *data = input.data;
    size_t left = input.size;
    char *buffer = NULL;
    size_t held = 0;
    while (left > 0 && status == WEFT_RESP_MORE) {
        size_t piece = seed == NULL ? left : next_piece(seed, left);
        char *larger = need(malloc(held + piece));
        if (held != 0) {
            memcpy(larger, buffer, held);
        }
        memcpy(larger + held, data, piece);
        free(buffer);
        buffer = larger;
        held += piece;
        data += piece;
        left -= piece;
        weft_bytes rest = weft_bytes_of(buffer, held);
        status = arrival(&resp, limits, text, &rest);
        size_t done = held - rest.size;
        memmove(buffer, buffer + done, held - done);
        held -= done;
    }
    REQUIRE(status != WEFT_RESP_ERROR || strncmp(resp.error, "ERR Protocol error: ", 20) == 0);
    REQUIRE(resp.capacity <= 4 * (input.size + 64));
    free(buffer);
    weft_resp_free(&resp);
    return status;
}

static bool same(const transcript *one, const transcript *two) {
    return one->size == two->size && (one->size == 0 || !memcmp(one->data, two->data, one->size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    bool small = data[0] & 2;
    weft_resp_limits limits = {.arguments = small ? 4 : WEFT_RESP_ARGUMENTS_MAX,
                               .bulk = small ? 20000 : WEFT_RESP_BULK_MAX,
                               .authenticated = data[0] & 1};
    uint32_t seed = data[1] + 256u * data[2];
    const char *text = (const char *)data + 3;
    transcript whole = {0};
    transcript pieces = {0};
    transcript slow = {0};
    weft_bytes input = weft_bytes_of(text, size - 3);
    weft_resp_status status = stream(&limits, input, &whole, NULL);
    REQUIRE(stream(&limits, input, &pieces, &seed) == status);
    REQUIRE(same(&whole, &pieces));
    REQUIRE(slow_stream(&limits, text, size - 3, &slow) == status);
    REQUIRE(same(&whole, &slow));
    free(whole.data);
    free(pieces.data);
    free(slow.data);
    return 0;
}
