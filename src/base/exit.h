/* SPDX-License-Identifier: MIT */
/* The exit codes of the binary. */
#ifndef WEFT_BASE_EXIT_H
#define WEFT_BASE_EXIT_H

enum {
    WEFT_EXIT_FINE = 0,
    WEFT_EXIT_FINDING = 1,
    WEFT_EXIT_USAGE = 2,
    WEFT_EXIT_ENVIRONMENT = 3,
};

#endif
