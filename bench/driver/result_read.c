/* SPDX-License-Identifier: MIT */
#include "result.h"
#include "fields.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char format_name[] = "weft-bench/1";

#define TEXT "a string", WEFT_FIELD_TEXT, .required = true
#define LIST "a list", WEFT_FIELD_LIST, .required = true
#define OBJECT "an object", WEFT_FIELD_OBJECT, .required = true
#define NUMBER(least) WEFT_FIELD_NUMBER, .required = true, WEFT_FIELD_RANGE(least, INFINITY)

static const char *const directions[] = {"more", "less"};

static const weft_field result_list[] = {
    {"kind", TEXT},  {"machine", OBJECT}, {"noise", OBJECT},
    {"peers", LIST}, {"cells", LIST},     {"summary", OBJECT},
};
static const weft_field peer_list[] = {{"id", TEXT}, {"status", TEXT}};
static const weft_field cell_list[] = {
    {"id", TEXT},
    {"workload", TEXT},
    {"measure", TEXT},
    {"unit", TEXT},
    {"better", "\"more\" or \"less\"", WEFT_FIELD_CHOICE, .required = true,
     WEFT_FIELD_WORDS(directions)},
    {"results", LIST},
};
static const weft_field figure_list[] = {
    {"peer", TEXT}, {"samples", LIST}, {"median", "a number", NUMBER(-INFINITY)}};
static const weft_field sample_field = {"samples", "a number from 0 up", NUMBER(0)};

/* A result may hold more than this program knows of. */
#define FIELDS(list)                                                                               \
    { list, sizeof(list) / sizeof *(list), true }
static const weft_fields result_fields = FIELDS(result_list);
static const weft_fields peer_fields = FIELDS(peer_list);
static const weft_fields cell_fields = FIELDS(cell_list);
static const weft_fields figure_fields = FIELDS(figure_list);

/* Where in a file the reader is: the file's name, and the place as one would write it in jq. */
typedef struct place {
    const char *path;
    char where[160];
} place;

static int check_fields(const place *at, const json_t *object, const weft_fields *fields) {
    if (!json_is_object(object)) {
        fprintf(stderr, "weft bench: %s: %s: an object is expected\n", at->path, at->where);
        return -1;
    }
    weft_fault fault = weft_fields_take(fields, object, NULL);
    if (fault.kind != WEFT_FAULT_NONE) {
        fprintf(stderr, "weft bench: %s: %s.%s: %s is expected%s\n", at->path, at->where, fault.key,
                fault.field->allowed,
                fault.kind == WEFT_FAULT_MISSING ? ", and nothing is there" : "");
        return -1;
    }
    return 0;
}

static int check_samples(const place *at, const json_t *samples) {
    size_t i;
    const json_t *sample;
    json_array_foreach(samples, i, sample) {
        if (!weft_field_take(&sample_field, sample, NULL)) {
            fprintf(stderr, "weft bench: %s: %s.samples[%zu]: %s is expected\n", at->path,
                    at->where, i, sample_field.allowed);
            return -1;
        }
    }
    return 0;
}

static int check_cell(place *at, size_t number, const json_t *cell) {
    snprintf(at->where, sizeof at->where, "cells[%zu]", number);
    if (check_fields(at, cell, &cell_fields) != 0) {
        return -1;
    }
    size_t i;
    const json_t *figure;
    json_array_foreach(json_object_get(cell, "results"), i, figure) {
        snprintf(at->where, sizeof at->where, "cells[%zu].results[%zu]", number, i);
        if (check_fields(at, figure, &figure_fields) != 0 ||
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
    if (check_fields(at, result, &result_fields) != 0) {
        return -1;
    }
    size_t i;
    const json_t *element;
    json_array_foreach(json_object_get(result, "peers"), i, element) {
        snprintf(at->where, sizeof at->where, "peers[%zu]", i);
        if (check_fields(at, element, &peer_fields) != 0) {
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
