/* SPDX-License-Identifier: MIT */
#include "server/text.h"
#include "base/memory.h"
#include "server/command.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CAPACITY = 2048 };

static bool reserve(weft_text *text, size_t more) {
    size_t needed = text->size + more;
    size_t capacity = text->capacity == 0 ? FIRST_CAPACITY : text->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    if (capacity == text->capacity) {
        return true;
    }
    char *data = weft_memory_alloc(NULL, capacity, 1);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    if (text->size != 0) {
        memcpy(data, text->data, text->size);
    }
    weft_memory_free(NULL, text->data, text->capacity, 1);
    text->data = data;
    text->capacity = capacity;
    return true;
}

void weft_text_add(weft_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || text->failed || !reserve(text, (size_t)length + 1)) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(text->data + text->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)length;
}

void weft_text_reply(weft_text *text, weft_output *out) {
    if (text->failed) {
        weft_reply_error(out, WEFT_OOM_TEXT);
    } else {
        weft_reply_verbatim(out, weft_bytes_of(text->data, text->size));
    }
    weft_memory_free(NULL, text->data, text->capacity, 1);
}
