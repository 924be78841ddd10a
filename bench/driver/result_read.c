/* SPDX-License-Identifier: MIT */
#include "result.h"
#include <stdio.h>
#include <string.h>

static const char format_name[] = "weft-bench/1";

typedef enum kind { TEXT, NUMBER, NOT_NEGATIVE, LIST, OBJECT, DIRECTION } kind;

typedef struct field {
    const char *name;
    kind kind;
} field;

static const field result_fields[] = {
    {"kind", TEXT},  {"machine", OBJECT}, {"noise", OBJECT},
    {"peers", LIST}, {"cells", LIST},     {"summary", OBJECT},
};
static const field peer_fields[] = {{"id", TEXT}, {"status", TEXT}};
static const field cell_fields[] = {
    {"id", TEXT},   {"workload", TEXT},    {"measure", TEXT},
    {"unit", TEXT}, {"better", DIRECTION}, {"results", LIST},
};
static const field figure_fields[] = {{"peer", TEXT}, {"samples", LIST}, {"median", NUMBER}};

#define COUNT(fields) (sizeof(fields) / sizeof *(fields))

static const char *expected(kind wanted) {
    static const char *const words[] = {"a string", "a number",  "a number from 0 up",
                                        "a list",   "an object", "\"more\" or \"less\""};
    return words[wanted];
}

static int is(const json_t *value, kind wanted) {
    switch (wanted) {
    case TEXT:
        return json_is_string(value);
    case NUMBER:
        return json_is_number(value);
    case NOT_NEGATIVE:
        return json_is_number(value) && json_number_value(value) >= 0;
    case LIST:
        return json_is_array(value);
    case OBJECT:
        return json_is_object(value);
    case DIRECTION:
        return json_is_string(value) && (strcmp(json_string_value(value), "more") == 0 ||
                                         strcmp(json_string_value(value), "less") == 0);
    }
    return 0;
}

/* Where in a file the reader is: the file's name, and the place as one would write it in jq. */
typedef struct place {
    const char *path;
    char where[160];
} place;

static int check_fields(const place *at, const json_t *object, const field *fields, size_t count) {
    if (!json_is_object(object)) {
        fprintf(stderr, "weft bench: %s: %s: an object is expected\n", at->path, at->where);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        if (!is(value, fields[i].kind)) {
            fprintf(stderr, "weft bench: %s: %s.%s: %s is expected%s\n", at->path, at->where,
                    fields[i].name, expected(fields[i].kind),
                    value ? "" : ", and nothing is there");
            return -1;
        }
    }
    return 0;
}

static int check_samples(const place *at, const json_t *samples) {
    size_t i;
    const json_t *sample;
    json_array_foreach(samples, i, sample) {
        if (!is(sample, NOT_NEGATIVE)) {
            fprintf(stderr, "weft bench: %s: %s.samples[%zu]: %s is expected\n", at->path,
                    at->where, i, expected(NOT_NEGATIVE));
            return -1;
        }
    }
    return 0;
}

static int check_cell(place *at, size_t number, const json_t *cell) {
    snprintf(at->where, sizeof at->where, "cells[%zu]", number);
    if (check_fields(at, cell, cell_fields, COUNT(cell_fields)) != 0) {
        return -1;
    }
    size_t i;
    const json_t *figure;
    json_array_foreach(json_object_get(cell, "results"), i, figure) {
        snprintf(at->where, sizeof at->where, "cells[%zu].results[%zu]", number, i);
        if (check_fields(at, figure, figure_fields, COUNT(figure_fields)) != 0 ||
            check_samples(at, json_object_get(figure, "samples")) != 0) {
            return -1;
        }
    }
    return 0;
}

static int check_result(place *at, const json_t *result) {
    snprintf(at->where, sizeof at->where, "the result");
    const char *format = weft_bench_text(result, "format");
    if (strcmp(format, format_name) != 0) {
        fprintf(stderr,
                "weft bench: %s: format: \"%s\" is expected, as 'weft bench --json' writes "
                "it; found \"%s\"\n",
                at->path, format_name, format);
        return -1;
    }
    if (check_fields(at, result, result_fields, COUNT(result_fields)) != 0) {
        return -1;
    }
    size_t i;
    const json_t *element;
    json_array_foreach(json_object_get(result, "peers"), i, element) {
        snprintf(at->where, sizeof at->where, "peers[%zu]", i);
        if (check_fields(at, element, peer_fields, COUNT(peer_fields)) != 0) {
            return -1;
        }
    }
    json_array_foreach(json_object_get(result, "cells"), i, element) {
        if (check_cell(at, i, element) != 0) {
            return -1;
        }
    }
    return 0;
}

json_t *weft_bench_result_read(const char *path) {
    json_error_t error;
    json_t *result = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!result && error.line < 0) {
        fprintf(stderr, "weft bench: %s\n", error.text); /* it names the file, and why */
        return NULL;
    }
    if (!result) {
        fprintf(stderr, "weft bench: %s:%d:%d: %s; a result of 'weft bench --json' is expected\n",
                path, error.line, error.column, error.text);
        return NULL;
    }
    place at = {.path = path};
    if (check_result(&at, result) != 0) {
        json_decref(result);
        return NULL;
    }
    return result;
}

const char *weft_bench_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

json_t *weft_bench_find(const json_t *array, const char *key, const char *value) {
    size_t i;
    json_t *element;
    json_array_foreach(array, i, element) {
        if (strcmp(weft_bench_text(element, key), value) == 0) {
            return element;
        }
    }
    return NULL;
}

bool weft_bench_result_write(const json_t *result, const char *path) {
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *file = to_stdout ? stdout : fopen(path, "w");
    bool good = file != NULL &&
                json_dumpf(result, file, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0 &&
                fputc('\n', file) != EOF;
    if (file != NULL && !to_stdout) {
        good = fclose(file) == 0 && good;
    }
    if (!good) {
        fprintf(stderr, "weft bench: %s: cannot be written\n", path);
    }
    return good;
}
