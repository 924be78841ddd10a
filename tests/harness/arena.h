/* SPDX-License-Identifier: MIT */
/* An allocator for tests that gives the same addresses each time, notices leaks, wrong sizes,
 * double frees and writes after free, and overwrites what is freed, so that a read after free
 * shows. One thread of the operating system at a time. */
#ifndef WEFT_TESTS_ARENA_H
#define WEFT_TESTS_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/alloc.h>

typedef struct weft_arena weft_arena;

weft_arena *weft_arena_new(size_t capacity);
void weft_arena_free(weft_arena *arena);

/* Start again with nothing allocated. With `reuse` freed memory is handed out again at once, last
 * in first out, so that addresses come back as soon as they can; else it never is. */
void weft_arena_reset(weft_arena *arena, bool reuse);

/* An allocator on the arena; it answers NULL when the arena is full. */
weft_allocator weft_arena_allocator(weft_arena *arena);

/* NULL, or what went wrong since the reset: "leak", "double free", … Call it when all should be
 * freed. */
const char *weft_arena_fault(const weft_arena *arena);

size_t weft_arena_live_bytes(const weft_arena *arena);

#endif
