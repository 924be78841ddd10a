/* SPDX-License-Identifier: MIT */
/* Results as files: read and checked, so that whoever uses one needs no checks of its own. */
#ifndef WEFT_BENCH_RESULT_H
#define WEFT_BENCH_RESULT_H

#include <jansson.h>
#include <stdbool.h>

/* A ratio stands on the rounds in which nothing disturbed either map, if there are so many; else on
 * all, and it is marked. */
enum { WEFT_QUIET_ROUNDS = 3 };

/* The result in a file; the caller frees it with json_decref. NULL, and one line on stderr that
 * says what is wrong and where, if it cannot be read or is no result. */
json_t *weft_bench_result_read(const char *path);

/* Write a result, or what compares two, to a file; "-": to stdout. False, and one line on stderr,
 * if that fails. */
bool weft_bench_result_write(const json_t *result, const char *path);

/* The string of a key, or "" if there is none. */
const char *weft_bench_text(const json_t *object, const char *key);

/* The element of an array of objects whose `key` is `value`; NULL if none is. */
json_t *weft_bench_find(const json_t *array, const char *key, const char *value);

#endif
