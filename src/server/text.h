/* SPDX-License-Identifier: MIT */
/* Text that grows while it is written: INFO, CLIENT LIST. */
#ifndef WEFT_SERVER_TEXT_H
#define WEFT_SERVER_TEXT_H

#include "server/output.h"

typedef struct weft_text {
    char *data;
    size_t size;
    size_t capacity;
    bool failed; /* no memory: the text is not complete */
} weft_text;

void weft_text_add(weft_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reply the text as a verbatim string, or an error if it failed, and free it. */
void weft_text_reply(weft_text *text, weft_output *out);

#endif
