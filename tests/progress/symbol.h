/* SPDX-License-Identifier: MIT */
/* The function to which an address of code belongs. */
#ifndef WEFT_TESTS_PROGRESS_SYMBOL_H
#define WEFT_TESTS_PROGRESS_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

/* "function+0x1f"; the library or the bare address where no symbol is known. */
void progress_symbol_name(uintptr_t pc, char *text, size_t capacity);

#endif
