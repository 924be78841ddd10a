/* SPDX-License-Identifier: MIT */
#include "server/number.h"
#include "base/platform.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits without leading zero into `magnitude`; false if it is none or passes `limit`. */
static bool parse_digits(const unsigned char *at, const unsigned char *end, uint64_t limit,
                         uint64_t *magnitude) {
    if (at == end || *at < '1' || *at > '9') {
        return false;
    }
    uint64_t value = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned)*at - '0';
        if (digit > 9 || value > (limit - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *magnitude = value;
    return true;
}

bool weft_number_parse(weft_bytes text, int64_t *number) {
    const unsigned char *at = text.data;
    if (text.size == 0 || text.size > WEFT_NUMBER_TEXT_MAX) {
        return false;
    }
    if (text.size == 1 && *at == '0') {
        *number = 0;
        return true;
    }
    bool negative = *at == '-';
    uint64_t limit = (uint64_t)INT64_MAX + negative;
    uint64_t magnitude;
    if (!parse_digits(at + negative, at + text.size, limit, &magnitude)) {
        return false;
    }
    *number = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

size_t weft_number_format(int64_t number, char text[WEFT_NUMBER_TEXT_MAX]) {
    char reversed[WEFT_NUMBER_TEXT_MAX];
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    size_t size = 0;
    do {
        reversed[size++] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude != 0);
    if (number < 0) {
        reversed[size++] = '-';
    }
    for (size_t i = 0; i < size; i++) {
        text[i] = reversed[size - 1 - i];
    }
    return size;
}

bool weft_number_parse_float(weft_bytes text, long double *number) {
    char copy[WEFT_FLOAT_TEXT_MAX];
    if (text.size == 0 || text.size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (isspace((unsigned char)copy[0])) {
        return false;
    }
    char *end;
    errno = 0;
    long double value = strtold(copy, &end);
    bool lost = errno == ERANGE && (isinf(value) || value == 0);
    if (end != copy + text.size || lost || isnan(value)) {
        return false;
    }
    *number = value;
    return true;
}

size_t weft_number_format_float(long double number, char text[WEFT_FLOAT_TEXT_MAX]) {
    int length = snprintf(text, WEFT_FLOAT_TEXT_MAX, "%.17Lf", number);
    size_t size = length > 0 ? (size_t)length : 0;
    if (memchr(text, '.', size) != NULL) {
        while (text[size - 1] == '0') {
            size--;
        }
        if (text[size - 1] == '.') {
            size--;
        }
    }
    if (size == 2 && memcmp(text, "-0", 2) == 0) {
        text[0] = '0';
        size = 1;
    }
    return size;
}
