/* SPDX-License-Identifier: MIT */
#include "serve_data.h"

#include "base/hash.h"
#include <string.h>

enum { HASH_DIGITS = 8, WRITE_DIGITS = 8, HEAD = HASH_DIGITS + WRITE_DIGITS, LETTERS = 26 };

static const char hex_digits[] = "0123456789abcdef";

static void write_hex(char *out, uint32_t number) {
    for (int i = 7; i >= 0; i--, number >>= 4) {
        out[i] = hex_digits[number & 15];
    }
}

static bool read_hex(const char *text, uint32_t *number) {
    *number = 0;
    for (int i = 0; i < 8; i++) {
        const char *digit = memchr(hex_digits, text[i], 16);
        if (digit == NULL) {
            return false;
        }
        *number = *number << 4 | (uint32_t)(digit - hex_digits);
    }
    return true;
}

static uint32_t hash_of(uint64_t index) {
    return (uint32_t)(weft_mix_u64(index, 0) >> 32);
}

static char letter_of(uint32_t write) {
    return (char)('a' + write % LETTERS);
}

void weft_serve_write_key(char *out, weft_serve_space space, uint64_t index) {
    memcpy(out, space == WEFT_SERVE_COUNTERS ? "ctr:" : "key:", 4);
    for (int i = WEFT_SERVE_KEY_BYTES - 1; i >= 4; i--, index /= 10) {
        out[i] = (char)('0' + index % 10);
    }
}

void weft_serve_write_value(char *out, size_t size, uint64_t index, uint32_t write) {
    write_hex(out, hash_of(index));
    write_hex(out + HASH_DIGITS, write);
    memset(out + HEAD, letter_of(write), size - HEAD);
}

bool weft_serve_value_is_good(const char *value, size_t size, uint64_t index) {
    uint32_t hash;
    uint32_t write;
    if (size < HEAD || !read_hex(value, &hash) || hash != hash_of(index) ||
        !read_hex(value + HASH_DIGITS, &write)) {
        return false;
    }
    const char *rest = value + HEAD;
    size_t left = size - HEAD;
    return left == 0 || (*rest == letter_of(write) && memcmp(rest, rest + 1, left - 1) == 0);
}

size_t weft_serve_write_number(char *out, uint64_t number) {
    char digits[WEFT_SERVE_NUMBER_BYTES];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    return count;
}

bool weft_serve_read_number(const char *text, size_t size, int64_t *number) {
    bool negative = size > 0 && *text == '-';
    uint64_t limit = (uint64_t)INT64_MAX + negative;
    uint64_t value = 0;
    size_t at = negative;
    if (at == size) {
        return false;
    }
    for (; at < size; at++) {
        unsigned digit = (unsigned)(text[at] - '0');
        if (digit > 9 || value > (limit - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *number = (int64_t)(negative ? 0 - value : value);
    return true;
}
