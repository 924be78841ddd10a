/* SPDX-License-Identifier: MIT */
/* From a text to a trace: one key a line, or an operation and a key. */
#include "convert.h"
#include "base/exit.h"
#include "trace.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A text that is being read. */
typedef struct converting {
    const weft_convert *how;
    FILE *file;
    weft_trace_writer *writer;
    unsigned long long line;
} converting;

static int refuse(const converting *c, const char *what, const char *allowed) {
    fprintf(stderr, "weft bench: %s:%llu: %s; allowed: %s\n", c->how->from, c->line, what, allowed);
    return WEFT_EXIT_USAGE;
}

static int op_of(const char *word, size_t size) {
    for (int op = 0; op < WEFT_TRACE_OPS; op++) {
        if (strlen(weft_trace_op_names[op]) == size &&
            memcmp(word, weft_trace_op_names[op], size) == 0) {
            return op;
        }
    }
    return -1;
}

/* One operation; 0, or the exit code. */
static int take_key(converting *c, int op, const char *key, size_t size) {
    uint64_t number = 0;
    if (c->how->shape == WEFT_TRACE_U64) {
        char *end;
        errno = 0;
        number = strtoull(key, &end, 10);
        if (*key < '0' || *key > '9' || end != key + size || errno != 0) {
            return refuse(c, "the key is no number",
                          "0 to 18446744073709551615 with --shape u64, any text without");
        }
        key = (const char *)&number;
        size = sizeof number;
    } else if (size > WEFT_TRACE_KEY_MAX || size == 0) {
        return refuse(c, "the key is empty or too long", "1 to 65535 bytes");
    }
    int error = weft_trace_append(c->writer, (weft_trace_op)op, key, size);
    if (error != 0) {
        fprintf(stderr, "weft bench: %s: %s\n", c->how->to, strerror(-error));
        return WEFT_EXIT_ENVIRONMENT;
    }
    return 0;
}

static int take_line(converting *c, const char *line, size_t size) {
    if (!c->how->ops) {
        return take_key(c, WEFT_TRACE_GET, line, size);
    }
    const char *blank = memchr(line, ' ', size);
    int op = blank != NULL ? op_of(line, (size_t)(blank - line)) : -1;
    if (op < 0 || (op == WEFT_TRACE_ADD && c->how->shape != WEFT_TRACE_U64)) {
        return refuse(c, "no operation and key",
                      "get, put, insert, remove, rmw, or (with --shape u64) add, a blank, a key");
    }
    return take_key(c, op, blank + 1, size - (size_t)(blank + 1 - line));
}

static int take_lines(converting *c) {
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int code = 0;
    while (code == 0 && (size = getline(&line, &room, c->file)) >= 0) {
        c->line++;
        if (size > 0 && line[size - 1] == '\n') {
            line[--size] = '\0';
        }
        code = take_line(c, line, (size_t)size);
    }
    free(line);
    if (code == 0 && c->line == 0) {
        c->line = 1;
        return refuse(c, "the file is empty", "one line or more");
    }
    return code;
}

static int convert_into(converting *c) {
    weft_trace_header header = {.shape = c->how->shape, .value_bytes = c->how->value_bytes};
    const char *slash = strrchr(c->how->from, '/');
    snprintf(header.name, sizeof header.name, "%s", slash != NULL ? slash + 1 : c->how->from);
    int error = weft_trace_create(&c->writer, c->how->to, &header);
    if (error != 0) {
        fprintf(stderr, "weft bench: %s: %s\n", c->how->to, strerror(-error));
        return WEFT_EXIT_ENVIRONMENT;
    }
    int code = take_lines(c);
    if (code != 0) {
        weft_trace_abandon(c->writer);
        unlink(c->how->to);
        return code;
    }
    error = weft_trace_finish(c->writer);
    if (error != 0) {
        fprintf(stderr, "weft bench: %s: %s\n", c->how->to, strerror(-error));
        unlink(c->how->to);
    }
    return error != 0 ? WEFT_EXIT_ENVIRONMENT : 0;
}

int weft_convert_text(const weft_convert *how) {
    converting c = {.how = how, .file = fopen(how->from, "rb")};
    if (c.file == NULL) {
        fprintf(stderr, "weft bench: %s: %s\n", how->from, strerror(errno));
        return WEFT_EXIT_ENVIRONMENT;
    }
    int code = convert_into(&c);
    fclose(c.file);
    return code;
}
