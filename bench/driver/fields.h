/* SPDX-License-Identifier: MIT */
/* Fields of JSON objects, read strictly by a table: what each may be, and where it goes. Workloads,
 * results and the answers of peers are read with it; each says in its own words what is wrong. */
#ifndef WEFT_BENCH_DRIVER_FIELDS_H
#define WEFT_BENCH_DRIVER_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum weft_field_kind {
    WEFT_FIELD_OWN,    /* as `take` says */
    WEFT_FIELD_TEXT,   /* into char[] */
    WEFT_FIELD_WHOLE,  /* a whole number from `least` to `most`, into uint32_t or uint64_t */
    WEFT_FIELD_NUMBER, /* a number from `least` to `most`, into double */
    WEFT_FIELD_FLAG,   /* true or false, into bool */
    WEFT_FIELD_CHOICE, /* one of `words`: its index, into an enum or bool */
    WEFT_FIELD_SHARES, /* percentages of `words` that add up to 100, into double[] */
    WEFT_FIELD_LIST,   /* a list: it stays where it is */
    WEFT_FIELD_OBJECT, /* an object: likewise */
} weft_field_kind;

typedef struct weft_field {
    const char *name;
    const char *allowed; /* for messages */
    weft_field_kind kind;
    bool required;
    bool (*take)(void *into, const json_t *value);
    size_t offset, size; /* of the member; size 0: it is checked, and goes nowhere */
    double least, most;
    const char *const *words;
    size_t word_count;
} weft_field;

/* For tables: the member that a field goes to; a number and what it may be. */
#define WEFT_FIELD_INTO(type, member)                                                              \
    .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
#define WEFT_FIELD_RANGE(from, to) .least = (from), .most = (to)
#define WEFT_FIELD_WORDS(list) .words = (list), .word_count = sizeof(list) / sizeof *(list)

typedef struct weft_fields {
    const weft_field *list;
    size_t count;
    bool open; /* there may be other keys */
} weft_fields;

/* The first thing that is wrong with an object. */
typedef struct weft_fault {
    enum { WEFT_FAULT_NONE, WEFT_FAULT_UNKNOWN, WEFT_FAULT_MISSING, WEFT_FAULT_VALUE } kind;
    const char *key;         /* lives as long as the object and the table */
    const weft_field *field; /* NULL: unknown */
} weft_fault;

weft_fault weft_fields_take(const weft_fields *fields, const json_t *object, void *into);

/* NULL if there is none of this name. */
const weft_field *weft_fields_find(const weft_fields *fields, const char *name);

/* One value; false if it is not allowed. Those of kind own may use the second. */
bool weft_field_take(const weft_field *field, const json_t *value, void *into);
bool weft_field_whole(const json_t *value, double least, double most, uint64_t *into);

/* A file that is one JSON object. */
typedef struct weft_fields_file {
    const char *path;
    char *text;
    json_t *root;
} weft_fields_file;

/* 0, or the exit code after a message. `what` it is, for the message: "a workload". Free it in any
 * case. */
int weft_fields_file_read(weft_fields_file *file, const char *path, const char *what);
void weft_fields_file_free(weft_fields_file *file);

/* False after a message with file, line and what is allowed. */
bool weft_fields_file_take(const weft_fields_file *file, const weft_fields *fields, void *into);

/* One line on stderr, with the file and the line of a key; false. */
bool weft_fields_file_refuse(const weft_fields_file *file, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether a word names such a file, and not something in a folder of them. */
bool weft_fields_is_path(const char *word);
bool weft_fields_is_json(const char *name);

#endif
