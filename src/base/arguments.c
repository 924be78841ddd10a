/* SPDX-License-Identifier: MIT */
#include "base/arguments.h"
#include "base/exit.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 256 }; /* of what getopt_long returns: ':' and '?' say what is wrong */

bool weft_argument_whole(const char *text, double least, double most, uint64_t *number) {
    if (*text == '\0' || strspn(text, "0123456789") != strlen(text)) {
        return false;
    }
    errno = 0;
    *number = strtoull(text, NULL, 10);
    return errno == 0 && (double)*number >= least && (double)*number <= most;
}

static bool take_real(const weft_argument *argument, const char *text, double *into) {
    char *end;
    double number = strtod(text, &end);
    bool good =
        end != text && *end == '\0' && number >= argument->least && number <= argument->most;
    *into = good ? number : *into;
    return good;
}

static bool take_whole(const weft_argument *argument, const char *text, void *into) {
    uint64_t number;
    if (!weft_argument_whole(text, argument->least, argument->most, &number)) {
        return false;
    }
    uint32_t word = (uint32_t)number;
    uint16_t half = (uint16_t)number;
    const void *from = argument->size == sizeof half   ? (const void *)&half
                       : argument->size == sizeof word ? (const void *)&word
                                                       : (const void *)&number;
    memcpy(into, from, argument->size);
    return true;
}

static bool take(const weft_argument *argument, void *into, const char *text) {
    void *member = (char *)into + argument->offset;
    switch (argument->kind) {
    case WEFT_ARGUMENT_OWN:
        return argument->take(into, argument, text);
    case WEFT_ARGUMENT_TEXT:
        *(const char **)member = text;
        return *text != '\0';
    case WEFT_ARGUMENT_WHOLE:
        return take_whole(argument, text, member);
    case WEFT_ARGUMENT_REAL:
        return take_real(argument, text, member);
    case WEFT_ARGUMENT_FLAG:
        *(bool *)member = true;
        return true;
    }
    return false;
}

int weft_arguments_refuse(const char *command, const char *format, const char *word) {
    fprintf(stderr, "weft %s: ", command);
    fprintf(stderr, format, word);
    fprintf(stderr, "; 'weft %s --help' tells the options\n", command);
    return WEFT_EXIT_USAGE;
}

int weft_arguments_refuse_value(const char *command, const weft_argument *argument,
                                const char *text) {
    fprintf(stderr, "weft %s: --%s '%s' is not allowed; allowed: %s\n", command, argument->name,
            text, argument->allowed);
    return WEFT_EXIT_USAGE;
}

void weft_argument_print(const weft_argument *argument, int width) {
    char left[40];
    snprintf(left, sizeof left, "--%s %s", argument->name,
             argument->value != NULL ? argument->value : "");
    printf("  %-*s %s", width, left, argument->help);
}

/* -1: go on; else the exit code. */
static int take_one(const weft_arguments *arguments, void *into, int found, char **argv) {
    if (found == ':') {
        return weft_arguments_refuse(arguments->command, "option '%s' needs a value",
                                     argv[optind - 1]);
    }
    if (found == '?') {
        return weft_arguments_refuse(
            arguments->command, "there is no option '%s', or it takes no value", argv[optind - 1]);
    }
    size_t index = (size_t)(found - FIRST);
    if (index == arguments->count) {
        arguments->print_help(arguments);
        return WEFT_EXIT_FINE;
    }
    const weft_argument *argument = &arguments->list[index];
    if (argument->help == NULL) {
        return weft_arguments_refuse(arguments->command, "the option '--%s' is not for this",
                                     argument->name);
    }
    return take(argument, into, optarg)
               ? -1
               : weft_arguments_refuse_value(arguments->command, argument, optarg);
}

int weft_arguments_take(const weft_arguments *arguments, void *into, int argc, char **argv) {
    struct option names[WEFT_ARGUMENTS_MOST + 2] = {0};
    size_t count = arguments->count;
    int found;
    int code = -1;
    for (size_t i = 0; i < count; i++) {
        names[i] = (struct option){arguments->list[i].name, arguments->list[i].value != NULL, NULL,
                                   FIRST + (int)i};
    }
    names[count] = (struct option){"help", no_argument, NULL, FIRST + (int)count};
    optind = 0;
    opterr = 0;
    while (code < 0 && (found = getopt_long(argc, argv, ":", names, NULL)) != -1) {
        code = take_one(arguments, into, found, argv);
    }
    return code;
}
