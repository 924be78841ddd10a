/* SPDX-License-Identifier: MIT */
/* What the load generator stores: keys of 16 bytes, and values from which a reader can tell whether
 * somebody wrote them for this key.
 *
 * A value begins with 8 hexadecimal digits of the key's hash and 8 of the write's number; the rest
 * repeats one letter that belongs to the number. So the value of another key, a mixture of two
 * writes and a value that was cut off are all noticed. */
#ifndef WEFT_BENCH_SERVE_DATA_H
#define WEFT_BENCH_SERVE_DATA_H

#include "base/platform.h"
#include <string.h>

enum {
    WEFT_SERVE_KEY_BYTES = 16,
    WEFT_SERVE_VALUE_LEAST = 16,
    WEFT_SERVE_VALUE_MOST = 1 << 20,
    WEFT_SERVE_NUMBER_BYTES = 20, /* of any number in decimal digits */
};
#define WEFT_SERVE_KEYS_MOST UINT64_C(1000000000)

/* Keys come in two kinds, so that a counter is never overwritten by a value. */
typedef enum weft_serve_space {
    WEFT_SERVE_VALUES,
    WEFT_SERVE_COUNTERS,
} weft_serve_space;

/* WEFT_SERVE_KEY_BYTES bytes. */
void weft_serve_write_key(char *out, weft_serve_space space, uint64_t index);

void weft_serve_write_value(char *out, size_t size, uint64_t index, uint32_t write);

/* Whether some write of this size gave key `index` this value. */
bool weft_serve_value_is_good(const char *value, size_t size, uint64_t index);

/* Copy a text without its end mark; returns where the next one goes. */
static inline char *weft_serve_put(char *out, const char *text) {
    size_t size = strlen(text);
    memcpy(out, text, size);
    return out + size;
}

/* The digits, without an end mark; returns how many. */
size_t weft_serve_write_number(char *out, uint64_t number);

/* False unless all of it is one number, a sign allowed, within 64 bits. */
bool weft_serve_read_number(const char *text, size_t size, int64_t *number);

#endif
