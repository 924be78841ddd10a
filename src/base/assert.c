/* SPDX-License-Identifier: MIT */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void weft_assert_failed(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
    fflush(stderr);
    abort();
}
