/* SPDX-License-Identifier: MIT */
#include "progress/memory.h"

#include "base/atomic.h"
#include "base/memory.h"
#include "progress/stepper.h"
#include <string.h>

enum { LINE = 64, ALIGN_MAX = 4096, POISON = 0xdd };

#define CAPACITY ((size_t)256 << 20)

static struct {
    char *memory;
    uint64_t used;
    int64_t blocks;
    bool diverted;
} arena;

static void *take(void *ctx, size_t size, size_t align) {
    (void)ctx;
    uint64_t whole = (size + LINE) / LINE * LINE; /* one byte more at least: no two share one */
    uint64_t gap = align > LINE ? align - LINE : 0;
    uint64_t at = weft_fetch_add_relaxed(&arena.used, whole + gap);
    at = gap == 0 ? at : (at + align - 1) & ~(uint64_t)(align - 1);
    if (align > ALIGN_MAX || whole > CAPACITY || at > CAPACITY - whole) {
        return NULL;
    }
    weft_fetch_add_relaxed(&arena.blocks, 1);
    return arena.memory + at;
}

static void give_back(void *ctx, void *memory, size_t size, size_t align) {
    (void)ctx;
    (void)align;
    weft_fetch_add_relaxed(&arena.blocks, -1);
    if (!progress_is_stepping()) { /* it would be a trap a byte */
        memset(memory, POISON, size);
    }
}

static const weft_allocator allocator = {.alloc = take, .free = give_back, .alloc_zeroed = take};

static const weft_allocator without_tables = {.alloc = take, .free = give_back};

const weft_allocator *progress_allocator(void) {
    return &allocator;
}

const weft_allocator *progress_allocator_without_tables(void) {
    return &without_tables;
}

bool progress_memory_start(void) {
    arena.memory = weft_pages_map(CAPACITY);
    return arena.memory != NULL;
}

void progress_memory_reset(void) {
    memset(arena.memory, 0, arena.used < CAPACITY ? arena.used : CAPACITY);
    arena.used = 0;
    arena.blocks = 0;
}

void progress_memory_divert(bool divert) {
    weft_store_seq_cst(&arena.diverted, divert);
}

int64_t progress_memory_blocks(void) {
    return weft_load_seq_cst(&arena.blocks);
}

uint64_t progress_memory_taken(void) {
    return weft_load_seq_cst(&arena.used);
}

/* ---- the linker gives these the calls of malloc, aligned_alloc and free ---- */

void *__real_malloc(size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size) {
    return weft_load_relaxed(&arena.diverted) ? take(NULL, size, 1) : __real_malloc(size);
}

void *__wrap_aligned_alloc(size_t align, size_t size) {
    return weft_load_relaxed(&arena.diverted) ? take(NULL, size, align)
                                              : __real_aligned_alloc(align, size);
}

void __wrap_free(void *memory) {
    uintptr_t begin = (uintptr_t)arena.memory;
    if ((uintptr_t)memory - begin < CAPACITY && arena.memory != NULL) {
        give_back(NULL, memory, 0, 1);
    } else {
        __real_free(memory);
    }
}
