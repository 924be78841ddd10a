/* SPDX-License-Identifier: MIT */
/* The options of a command, by a table: how each is spelled, what it may be, and where it goes. */
#ifndef WEFT_BASE_ARGUMENTS_H
#define WEFT_BASE_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum weft_argument_kind {
    WEFT_ARGUMENT_OWN,   /* as `take` says */
    WEFT_ARGUMENT_TEXT,  /* not empty, into const char * */
    WEFT_ARGUMENT_WHOLE, /* from `least` to `most`, into uint16_t, uint32_t or uint64_t */
    WEFT_ARGUMENT_REAL,  /* from `least` to `most`, into double */
    WEFT_ARGUMENT_FLAG,  /* takes no value: true, into bool */
} weft_argument_kind;

typedef struct weft_argument {
    const char *name;
    const char *value;   /* NULL: takes none */
    const char *help;    /* NULL: known, but not for this command */
    const char *allowed; /* for messages */
    weft_argument_kind kind;
    size_t offset, size; /* of the member that it goes to */
    double least, most;
    bool (*take)(void *into, const struct weft_argument *argument, const char *text);
} weft_argument;

#define WEFT_ARGUMENT_INTO(type, member)                                                           \
    .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)

typedef struct weft_arguments {
    const char *command; /* for messages: "serve" */
    const weft_argument *list;
    size_t count; /* at most WEFT_ARGUMENTS_MOST */
    void (*print_help)(const struct weft_arguments *arguments);
} weft_arguments;

enum { WEFT_ARGUMENTS_MOST = 32 };

/* -1: go on, and argv[optind] is the first word behind the options; else the exit code, after a
 * message or the help. */
int weft_arguments_take(const weft_arguments *arguments, void *into, int argc, char **argv);

/* WEFT_EXIT_USAGE, after a message with one %s, which ends in a hint at the help. */
int weft_arguments_refuse(const char *command, const char *format, const char *word);

/* The same for a value. */
int weft_arguments_refuse_value(const char *command, const weft_argument *argument,
                                const char *text);

/* The line of the help, without its end: "--name VALUE" and what it is. */
void weft_argument_print(const weft_argument *argument, int width);

/* Digits alone; false beyond the limits. */
bool weft_argument_whole(const char *text, double least, double most, uint64_t *number);

#endif
