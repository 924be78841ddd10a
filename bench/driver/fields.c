/* SPDX-License-Identifier: MIT */
#include "fields.h"
#include "base/exit.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 65536 };

/* ---------------------------------------------------------------- values */

static bool take_text(const weft_field *field, const json_t *value, char *into) {
    const char *text = json_string_value(value);
    if (text == NULL) {
        return false;
    }
    if (field->size != 0 && (*text == '\0' || strlen(text) >= field->size)) {
        return false;
    }
    if (field->size != 0) {
        memcpy(into, text, strlen(text) + 1);
    }
    return true;
}

bool weft_field_whole(const json_t *value, double least, double most, uint64_t *into) {
    double number = json_number_value(value);
    if (!json_is_number(value) || number < least || number > most || number != floor(number)) {
        return false;
    }
    *into = json_is_integer(value) ? (uint64_t)json_integer_value(value) : (uint64_t)number;
    return true;
}

static void store(const weft_field *field, uint64_t number, void *into) {
    if (field->size == 0) {
        return;
    }
    uint32_t word = (uint32_t)number;
    bool flag = number != 0;
    const void *from = field->size == sizeof flag   ? (const void *)&flag
                       : field->size == sizeof word ? (const void *)&word
                                                    : (const void *)&number;
    memcpy(into, from, field->size);
}

static bool take_whole(const weft_field *field, const json_t *value, void *into) {
    uint64_t number;
    bool good = weft_field_whole(value, field->least, field->most, &number);
    if (good) {
        store(field, number, into);
    }
    return good;
}

static bool take_number(const weft_field *field, const json_t *value, double *into) {
    double number = json_number_value(value);
    bool good = json_is_number(value) && number >= field->least && number <= field->most;
    if (good && field->size != 0) {
        *into = number;
    }
    return good;
}

/* The index of a word; the number of words if it is none of them. */
static size_t index_of(const weft_field *field, const char *text) {
    size_t i = 0;
    while (i < field->word_count && (text == NULL || strcmp(text, field->words[i]) != 0)) {
        i++;
    }
    return i;
}

static bool take_choice(const weft_field *field, const json_t *value, void *into) {
    size_t index = index_of(field, json_string_value(value));
    bool good = index < field->word_count;
    if (good) {
        store(field, index, into);
    }
    return good;
}

static bool take_shares(const weft_field *field, const json_t *value, double *into) {
    const char *key;
    json_t *share;
    double sum = 0;
    memset(into, 0, field->size);
    json_object_foreach((json_t *)value, key, share) {
        size_t index = index_of(field, key);
        if (index == field->word_count || !json_is_number(share) || json_number_value(share) < 0) {
            return false;
        }
        into[index] = json_number_value(share);
        sum += into[index];
    }
    return fabs(sum - 100) < 1e-6;
}

bool weft_field_take(const weft_field *field, const json_t *value, void *into) {
    void *member = field->size != 0 ? (char *)into + field->offset : NULL;
    switch (field->kind) {
    case WEFT_FIELD_OWN:
        return field->take(into, value);
    case WEFT_FIELD_TEXT:
        return take_text(field, value, member);
    case WEFT_FIELD_WHOLE:
        return take_whole(field, value, member);
    case WEFT_FIELD_NUMBER:
        return take_number(field, value, member);
    case WEFT_FIELD_FLAG:
        if (json_is_boolean(value)) {
            store(field, json_is_true(value), member);
        }
        return json_is_boolean(value);
    case WEFT_FIELD_CHOICE:
        return take_choice(field, value, member);
    case WEFT_FIELD_SHARES:
        return take_shares(field, value, member);
    case WEFT_FIELD_LIST:
        return json_is_array(value);
    case WEFT_FIELD_OBJECT:
        return json_is_object(value);
    }
    return false;
}

/* ---------------------------------------------------------------- objects */

const weft_field *weft_fields_find(const weft_fields *fields, const char *name) {
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->list[i].name, name) == 0) {
            return &fields->list[i];
        }
    }
    return NULL;
}

weft_fault weft_fields_take(const weft_fields *fields, const json_t *object, void *into) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        const weft_field *field = weft_fields_find(fields, key);
        if (field == NULL && !fields->open) {
            return (weft_fault){WEFT_FAULT_UNKNOWN, key, NULL};
        }
        if (field != NULL && !weft_field_take(field, value, into)) {
            return (weft_fault){WEFT_FAULT_VALUE, key, field};
        }
    }
    for (size_t i = 0; i < fields->count; i++) {
        const weft_field *field = &fields->list[i];
        if (field->required && json_object_get(object, field->name) == NULL) {
            return (weft_fault){WEFT_FAULT_MISSING, field->name, field};
        }
    }
    return (weft_fault){WEFT_FAULT_NONE, NULL, NULL};
}

/* ---------------------------------------------------------------- files */

/* The line on which a key of the file stands; 1 if it does not. */
static int line_of(const weft_fields_file *file, const char *key) {
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%.70s\"", key);
    for (const char *at = file->text; (at = strstr(at, quoted)) != NULL; at++) {
        const char *after = at + strlen(quoted);
        after += strspn(after, " \t\r\n");
        if (*after == ':') {
            int line = 1;
            for (const char *c = file->text; c < at; c++) {
                line += *c == '\n';
            }
            return line;
        }
    }
    return 1;
}

bool weft_fields_file_refuse(const weft_fields_file *file, const char *key, const char *format,
                             ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "weft bench: %s:%d: ", file->path, line_of(file, key));
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    return false;
}

static bool refuse_unknown(const weft_fields_file *file, const weft_fields *fields,
                           const char *key) {
    char known[400] = "";
    for (size_t i = 0; i < fields->count; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ",
                 fields->list[i].name);
    }
    return weft_fields_file_refuse(file, key, "there is no key '%s'; allowed: %s", key, known);
}

bool weft_fields_file_take(const weft_fields_file *file, const weft_fields *fields, void *into) {
    weft_fault fault = weft_fields_take(fields, file->root, into);
    switch (fault.kind) {
    case WEFT_FAULT_NONE:
        return true;
    case WEFT_FAULT_UNKNOWN:
        return refuse_unknown(file, fields, fault.key);
    case WEFT_FAULT_MISSING:
        return weft_fields_file_refuse(file, "", "the key '%s' is missing; allowed: %s", fault.key,
                                       fault.field->allowed);
    case WEFT_FAULT_VALUE:
        break;
    }
    return weft_fields_file_refuse(file, fault.key,
                                   "this value of '%s' is not allowed; allowed: %s", fault.key,
                                   fault.field->allowed);
}

static char *read_text(const char *path) {
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        return NULL;
    }
    char *text = calloc(1, TEXT_LIMIT);
    if (text != NULL && fread(text, 1, TEXT_LIMIT - 1, stream) == TEXT_LIMIT - 1) {
        free(text);
        text = NULL;
        errno = EFBIG;
    }
    fclose(stream);
    return text;
}

int weft_fields_file_read(weft_fields_file *file, const char *path, const char *what) {
    json_error_t error;
    *file = (weft_fields_file){.path = path, .text = read_text(path)};
    if (file->text == NULL) {
        fprintf(stderr, "weft bench: %s: %s\n", path, strerror(errno));
        return WEFT_EXIT_ENVIRONMENT;
    }
    file->root = json_loads(file->text, JSON_REJECT_DUPLICATES, &error);
    if (file->root == NULL) {
        fprintf(stderr, "weft bench: %s:%d: %s\n", path, error.line, error.text);
    } else if (!json_is_object(file->root)) {
        fprintf(stderr, "weft bench: %s:1: %s is one JSON object\n", path, what);
    }
    return json_is_object(file->root) ? 0 : WEFT_EXIT_USAGE;
}

void weft_fields_file_free(weft_fields_file *file) {
    json_decref(file->root);
    free(file->text);
    *file = (weft_fields_file){0};
}

bool weft_fields_is_json(const char *name) {
    size_t size = strlen(name);
    return size > 5 && strcmp(name + size - 5, ".json") == 0;
}

bool weft_fields_is_path(const char *word) {
    return strchr(word, '/') != NULL || weft_fields_is_json(word);
}
