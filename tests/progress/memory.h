/* SPDX-License-Identifier: MIT */
/* The memory of the maps under test: taking and giving back are one atomic addition each, so a
 * thread that stands still inside of them holds nobody up, and no step of an operation is inside of
 * malloc. What is given back is not used again, and overwritten. */
#ifndef WEFT_TESTS_PROGRESS_MEMORY_H
#define WEFT_TESTS_PROGRESS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/alloc.h>

/* False: there is no memory. */
bool progress_memory_start(void);

/* Start again with nothing taken. All memory that is then taken is zero. */
void progress_memory_reset(void);

const weft_allocator *progress_allocator(void);
/* Large tables are pages of the operating system. */
const weft_allocator *progress_allocator_without_tables(void);

/* From here on, or no longer, malloc and aligned_alloc of all that is linked into the program take
 * from here too: for maps that are opened by their first use, which know no other allocator. */
void progress_memory_divert(bool divert);

/* Blocks that were taken and not given back. */
int64_t progress_memory_blocks(void);
/* Bytes taken since the reset, in lines of 64. */
uint64_t progress_memory_taken(void);

#endif
