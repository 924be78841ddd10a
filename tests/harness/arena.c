/* SPDX-License-Identifier: MIT */
#include "harness/arena.h"

#include "base/memory.h"
#include <string.h>

enum { POISON = 0xdd, CLASSES = 64, BIN_BYTES = 16 };

#define LIVE UINT64_C(0x6c6976656c697665)
#define DEAD UINT64_C(0x6465616464656164)

/* Stands right before each block. */
typedef struct header {
    uint64_t state;
    size_t size;
    struct header *next; /* dead: in its bin, and in the list of all dead ones */
    struct header *next_dead;
} header;

struct weft_arena {
    char *memory;
    size_t capacity;
    size_t used;
    size_t live;
    bool reuse;
    const char *fault;
    header *dead;          /* without reuse: all that was freed */
    header *bins[CLASSES]; /* with reuse: by size / BIN_BYTES, the last one for all larger */
};

weft_arena *weft_arena_new(size_t capacity) {
    weft_arena *arena = weft_memory_alloc(NULL, sizeof *arena, sizeof(void *));
    if (!arena) {
        return NULL;
    }
    memset(arena, 0, sizeof *arena);
    arena->capacity = capacity;
    arena->memory = weft_pages_map(capacity);
    if (!arena->memory) {
        weft_memory_free(NULL, arena, sizeof *arena, sizeof(void *));
        return NULL;
    }
    return arena;
}

void weft_arena_free(weft_arena *arena) {
    if (arena) {
        weft_pages_unmap(arena->memory, arena->capacity);
        weft_memory_free(NULL, arena, sizeof *arena, sizeof(void *));
    }
}

void weft_arena_reset(weft_arena *arena, bool reuse) {
    arena->used = 0;
    arena->live = 0;
    arena->reuse = reuse;
    arena->fault = NULL;
    arena->dead = NULL;
    memset(arena->bins, 0, sizeof arena->bins);
}

static header **bin_of(weft_arena *arena, size_t size) {
    size_t bin = size / BIN_BYTES;
    return &arena->bins[bin < CLASSES ? bin : CLASSES - 1];
}

/* A freed block of just this size at this alignment. */
static header *take_back(weft_arena *arena, size_t size, size_t align) {
    for (header **at = bin_of(arena, size); *at; at = &(*at)->next) {
        header *found = *at;
        if (found->size == size && (uintptr_t)(found + 1) % align == 0) {
            *at = found->next;
            return found;
        }
    }
    return NULL;
}

static void *arena_alloc(void *ctx, size_t size, size_t align) {
    weft_arena *arena = ctx;
    header *block = arena->reuse ? take_back(arena, size, align) : NULL;
    if (!block) {
        size_t step = align < sizeof(header) ? sizeof(header) : align;
        size_t at = (arena->used + sizeof(header) + step - 1) / step * step;
        if (at > arena->capacity || size > arena->capacity - at) {
            return NULL;
        }
        arena->used = at + size;
        block = (header *)(void *)(arena->memory + at) - 1;
    }
    *block = (header){.state = LIVE, .size = size};
    arena->live += size;
    return block + 1;
}

static void *arena_alloc_zeroed(void *ctx, size_t size, size_t align) {
    void *memory = arena_alloc(ctx, size, align);
    return memory ? memset(memory, 0, size) : NULL;
}

static void arena_release(void *ctx, void *memory, size_t size, size_t align) {
    weft_arena *arena = ctx;
    header *block = (header *)memory - 1;
    (void)align;
    if (block->state != LIVE || block->size != size) {
        arena->fault = block->state == DEAD   ? "double free"
                       : block->state == LIVE ? "free with another size"
                                              : "free of what was not allocated";
        return;
    }
    memset(memory, POISON, size);
    block->state = DEAD;
    arena->live -= size;
    if (arena->reuse) {
        header **bin = bin_of(arena, size);
        block->next = *bin;
        *bin = block;
    } else {
        block->next_dead = arena->dead;
        arena->dead = block;
    }
}

weft_allocator weft_arena_allocator(weft_arena *arena) {
    return (weft_allocator){.ctx = arena,
                            .alloc = arena_alloc,
                            .free = arena_release,
                            .alloc_zeroed = arena_alloc_zeroed};
}

size_t weft_arena_live_bytes(const weft_arena *arena) {
    return arena->live;
}

const char *weft_arena_fault(const weft_arena *arena) {
    if (arena->fault) {
        return arena->fault;
    }
    for (const header *block = arena->dead; block; block = block->next_dead) {
        const unsigned char *bytes = (const unsigned char *)(block + 1);
        for (size_t i = 0; i < block->size; i++) {
            if (bytes[i] != POISON) {
                return "write after free";
            }
        }
    }
    return arena->live != 0 ? "leak" : NULL;
}
