/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include "base/assert.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

/* What fails, and how far the count is. `armed` is the one word that an undisturbed program looks
 * at. */
static struct {
    bool armed;
    bool forever;
    uint64_t at;
    uint64_t count;
} fault;

void weft_memory_fail_at(uint64_t n, bool forever) {
    __atomic_store_n(&fault.armed, false, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.at, n, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.forever, forever, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.count, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&fault.armed, true, __ATOMIC_SEQ_CST);
}

void weft_memory_fail_off(void) {
    __atomic_store_n(&fault.armed, false, __ATOMIC_SEQ_CST);
}

uint64_t weft_memory_count(void) {
    return __atomic_load_n(&fault.count, __ATOMIC_SEQ_CST);
}

static WEFT_COLD bool fault_strikes(void) {
    uint64_t number = __atomic_add_fetch(&fault.count, 1, __ATOMIC_SEQ_CST);
    uint64_t at = __atomic_load_n(&fault.at, __ATOMIC_SEQ_CST);
    if (at == 0 || number < at) {
        return false;
    }
    return number == at || __atomic_load_n(&fault.forever, __ATOMIC_SEQ_CST);
}

static inline bool must_fail(void) {
    return WEFT_UNLIKELY(__atomic_load_n(&fault.armed, __ATOMIC_RELAXED)) && fault_strikes();
}

/* Small objects that want more alignment than malloc's get it by hand, with malloc's address in the
 * word before them: aligned_alloc of the C library takes nothing from the thread's cache, and costs
 * several times as much. */
enum { BY_HAND_MAX = 1024 };

static bool is_by_hand(size_t size, size_t align) {
    return size <= BY_HAND_MAX && align <= BY_HAND_MAX && align > _Alignof(max_align_t);
}

static void *default_alloc(void *ctx, size_t size, size_t align) {
    (void)ctx;
    if (is_by_hand(size, align)) {
        unsigned char *base = malloc(size + align);
        if (base == NULL) {
            return NULL;
        }
        /* malloc's alignment leaves room for the word. */
        void **memory = (void **)(((uintptr_t)base + align) & ~(uintptr_t)(align - 1));
        memory[-1] = base;
        return memory;
    }
    if (align <= _Alignof(max_align_t)) {
        return malloc(size ? size : 1);
    }
    size_t rounded = (size + align - 1) & ~(align - 1);
    return rounded < size ? NULL : aligned_alloc(align, rounded);
}

static void default_free(void *ctx, void *memory, size_t size, size_t align) {
    (void)ctx;
    free(memory != NULL && is_by_hand(size, align) ? ((void **)memory)[-1] : memory);
}

const weft_allocator weft_memory_default = {.alloc = default_alloc, .free = default_free};

void *weft_memory_alloc(const weft_allocator *allocator, size_t size, size_t align) {
    WEFT_ASSERT(align != 0 && (align & (align - 1)) == 0);
    if (must_fail()) {
        return NULL;
    }
    if (!allocator) {
        return default_alloc(NULL, size, align);
    }
    return allocator->alloc(allocator->ctx, size, align);
}

void weft_memory_free(const weft_allocator *allocator, void *memory, size_t size, size_t align) {
    if (!memory) {
        return;
    }
    if (!allocator) {
        default_free(NULL, memory, size, align);
        return;
    }
    allocator->free(allocator->ctx, memory, size, align);
}

/* ---- spare blocks ---------------------------------------------------------------------------- */

/* Under the address sanitizer nothing is kept: it is to see who uses what was freed. */
#if defined(WEFT_ADDRESS_SANITIZER)
enum { KEEPS = false };
#else
enum { KEEPS = true };
#endif

static size_t class_of(size_t size) {
    return (size + 8 + WEFT_SPARE_STEP - 1) / WEFT_SPARE_STEP;
}

static size_t class_size(size_t class) {
    return class * WEFT_SPARE_STEP - 8;
}

void *weft_memory_take(weft_spares *spares, size_t size) {
    size_t class = class_of(size);
    if (must_fail()) {
        return NULL;
    }
    if (WEFT_UNLIKELY(size > WEFT_SPARE_MAX)) {
        return malloc(size);
    }
    void *block = spares == NULL ? NULL : spares->blocks[class];
    if (WEFT_UNLIKELY(block == NULL)) {
        return malloc(class_size(class));
    }
    spares->blocks[class] = *(void **)block;
    spares->bytes -= class_size(class);
    return block;
}

void weft_memory_give(weft_spares *spares, void *memory, size_t size) {
    size_t class = class_of(size);
    if (!KEEPS || spares == NULL || size > WEFT_SPARE_MAX ||
        spares->bytes + class_size(class) > WEFT_SPARE_BYTES) {
        free(memory);
        return;
    }
    *(void **)memory = spares->blocks[class];
    spares->blocks[class] = memory;
    spares->bytes += class_size(class);
}

void weft_spares_empty(weft_spares *spares) {
    for (int i = 0; i < WEFT_SPARE_CLASSES; i++) {
        while (spares->blocks[i] != NULL) {
            void *block = spares->blocks[i];
            spares->blocks[i] = *(void **)block;
            free(block);
        }
    }
    spares->bytes = 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static uint64_t held;

static void hold(void *memory, size_t size) {
    if (memory != NULL) {
        __atomic_fetch_add(&held, size, __ATOMIC_RELAXED);
    }
}

uint64_t weft_pages_held(void) {
    return __atomic_load_n(&held, __ATOMIC_RELAXED);
}

static void *map_zeroed(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* At a multiple of a huge page: kernels before 6.7 do not see to that. */
static void *map_aligned(size_t size) {
    char *memory = map_zeroed(size);
    if (memory == NULL || (uintptr_t)memory % WEFT_HUGE_PAGE == 0) {
        return memory;
    }
    (void)munmap(memory, size);
    memory = size > SIZE_MAX - WEFT_HUGE_PAGE ? NULL : map_zeroed(size + WEFT_HUGE_PAGE);
    if (memory != NULL) {
        size_t before = WEFT_HUGE_PAGE - (uintptr_t)memory % WEFT_HUGE_PAGE;
        size_t behind = WEFT_HUGE_PAGE - before;
        (void)munmap(memory, before);
        if (behind != 0) {
            (void)munmap(memory + before + size, behind);
        }
        memory += before;
    }
    return memory;
}

void *weft_pages_map_small(size_t size) {
    WEFT_ASSERT(size != 0);
    void *memory = must_fail() ? NULL : map_zeroed(size);
    hold(memory, size);
    return memory;
}

void *weft_pages_map(size_t size) {
    WEFT_ASSERT(size != 0);
    if (size < WEFT_HUGE_PAGE) {
        return weft_pages_map_small(size);
    }
    void *memory = must_fail() ? NULL : map_aligned((size + PAGE - 1) & ~(size_t)(PAGE - 1));
    hold(memory, size);
    if (memory != NULL) {
        /* A wish: without huge pages the mapping works as well, only slower. */
        (void)madvise(memory, size, MADV_HUGEPAGE);
    }
    return memory;
}

void weft_pages_unmap(void *memory, size_t size) {
    if (memory) {
        (void)munmap(memory, size);
        __atomic_fetch_sub(&held, size, __ATOMIC_RELAXED);
    }
}
