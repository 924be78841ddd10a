/* SPDX-License-Identifier: MIT */
/* Numbers in the text form of the protocol: strict, so that a text and its number are the same
 * thing. */
#ifndef WEFT_SERVER_NUMBER_H
#define WEFT_SERVER_NUMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/map.h>

enum {
    WEFT_NUMBER_TEXT_MAX = 20,  /* "-9223372036854775808" */
    WEFT_FLOAT_TEXT_MAX = 5120, /* a long double without exponent has up to 4933 digits */
};

/* A decimal integer: '-' or nothing, no leading zero, no blanks, within int64. */
bool weft_number_parse(weft_bytes text, int64_t *number);
/* Writes no terminating zero; returns the length. */
size_t weft_number_format(int64_t number, char text[WEFT_NUMBER_TEXT_MAX]);

/* What strtold takes as a whole, except NaN and what overflows. Infinity is accepted. */
bool weft_number_parse_float(weft_bytes text, long double *number);
/* Up to 17 digits behind the point, no trailing zeros, never an exponent. Returns the length. */
size_t weft_number_format_float(long double number, char text[WEFT_FLOAT_TEXT_MAX]);

#endif
