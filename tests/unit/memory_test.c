/* SPDX-License-Identifier: MIT */
/* The memory seam: alignment, zero pages, and failure on cue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "reclaim/epoch.h"
#include <pthread.h>
#include <string.h>
#include <weft/map.h>

static void memory_is_aligned(void **state) {
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2) {
        for (size_t size = 0; size <= 300; size += 37) {
            unsigned char *memory = weft_memory_alloc(NULL, size, align);
            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % align, 0);
            memset(memory, 0xa5, size);
            weft_memory_free(NULL, memory, size, align);
        }
    }
    weft_memory_free(NULL, NULL, 1, 1);
    assert_null(weft_memory_alloc(NULL, SIZE_MAX - 8, 64));
}

typedef struct meter {
    size_t bytes;
    size_t align;
} meter;

static void *metered_alloc(void *ctx, size_t size, size_t align) {
    meter *m = ctx;
    m->bytes += size;
    m->align = align;
    return weft_memory_default.alloc(NULL, size, align);
}

static void metered_free(void *ctx, void *memory, size_t size, size_t align) {
    meter *m = ctx;
    m->bytes -= size;
    assert_int_equal(m->align, align);
    weft_memory_default.free(NULL, memory, size, align);
}

static void allocator_of_caller_is_used(void **state) {
    (void)state;
    meter m = {0};
    weft_allocator allocator = {.ctx = &m, .alloc = metered_alloc, .free = metered_free};
    void *memory = weft_memory_alloc(&allocator, 100, 32);
    assert_non_null(memory);
    assert_int_equal(m.bytes, 100);
    weft_memory_free(&allocator, memory, 100, 32);
    assert_int_equal(m.bytes, 0);
}

static void pages_are_zero(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 4096, 65536, 4 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *pages = weft_pages_map(sizes[i]);
        assert_non_null(pages);
        assert_int_equal((uintptr_t)pages % 4096, 0);
        for (size_t at = 0; at < sizes[i]; at += 1021) {
            assert_int_equal(pages[at], 0);
            pages[at] = 1;
        }
        weft_pages_unmap(pages, sizes[i]);
    }
    assert_null(weft_pages_map(SIZE_MAX / 2));
    assert_null(weft_pages_map(SIZE_MAX));
}

static void pages_are_given_back_in_parts(void **state) {
    (void)state;
    enum { SIZE = 3 * WEFT_HUGE_PAGE + 8192, PART = 256 << 10 };
    uint64_t before = weft_pages_held();
    for (int small = 0; small <= 1; small++) {
        unsigned char *pages = small ? weft_pages_map_small(SIZE) : weft_pages_map(SIZE);
        assert_non_null(pages);
        assert_true(small || (uintptr_t)pages % WEFT_HUGE_PAGE == 0);
        memset(pages, 1, SIZE);
        assert_int_equal(weft_pages_held(), before + SIZE);
        weft_pages_unmap(pages + PART, PART); /* not in order */
        assert_int_equal(pages[0] + pages[PART - 1] + pages[2 * PART] + pages[SIZE - 1], 4);
        weft_pages_unmap(pages, PART);
        assert_int_equal(pages[2 * PART] + pages[SIZE - 1], 2);
        weft_pages_unmap(pages + 2 * PART, SIZE - 2 * PART);
        assert_int_equal(weft_pages_held(), before);
    }
}

/* Five allocations of three kinds; bit i of the answer: the i-th failed. */
static unsigned allocate_five(void) {
    unsigned failed = 0;
    for (unsigned i = 0; i < 5; i++) {
        if (i == 2) {
            void *pages = weft_pages_map(4096);
            failed |= pages ? 0 : 1u << i;
            weft_pages_unmap(pages, 4096);
            continue;
        }
        const weft_allocator *allocator = i == 3 ? &weft_memory_default : NULL;
        void *memory = weft_memory_alloc(allocator, 16, 8);
        failed |= memory ? 0 : 1u << i;
        weft_memory_free(allocator, memory, 16, 8);
    }
    return failed;
}

static void nth_allocation_fails(void **state) {
    (void)state;
    assert_int_equal(allocate_five(), 0);
    for (unsigned n = 1; n <= 6; n++) {
        weft_memory_fail_at(n, false);
        assert_int_equal(allocate_five(), 1u << (n - 1) & 31);
        assert_int_equal(weft_memory_count(), 5);
        weft_memory_fail_at(n, true);
        assert_int_equal(allocate_five(), 31u << (n - 1) & 31);
    }
    weft_memory_fail_at(0, true);
    assert_int_equal(allocate_five(), 0);
    assert_int_equal(weft_memory_count(), 5);
    weft_memory_fail_off();
    assert_int_equal(allocate_five(), 0);
    assert_int_equal(weft_memory_count(), 5);
}

/* Blocks are kept by size, up to a bound; a thread that keeps some still fails on cue. */
static void spare_blocks_come_back(void **state) {
    (void)state;
    enum { BLOCKS = 4096, SIZE = 40 };
    static void *blocks[BLOCKS];
    weft_spares spares = {.bytes = 0};
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = weft_memory_take(i % 2 == 0 ? &spares : NULL, SIZE);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0xa5, SIZE);
    }
    for (int i = 0; i < BLOCKS; i++) {
        weft_memory_give(&spares, blocks[i], SIZE);
        assert_true(spares.bytes <= WEFT_SPARE_BYTES);
    }
#if !defined(WEFT_ADDRESS_SANITIZER)
    size_t kept = spares.bytes;
    assert_true(kept > WEFT_SPARE_BYTES - 64 && kept / SIZE < BLOCKS);
    weft_memory_fail_at(1, false);
    assert_null(weft_memory_take(&spares, SIZE));
    weft_memory_fail_off();
    assert_int_equal(spares.bytes, kept);
    void *again = weft_memory_take(&spares, SIZE - 7); /* rounded, it is of the same size */
    assert_int_equal(spares.bytes, kept - SIZE);
    weft_memory_give(&spares, again, SIZE - 7);
    assert_ptr_equal(weft_memory_take(&spares, SIZE), again);
    weft_memory_give(&spares, again, SIZE);
#endif
    weft_spares_empty(&spares);
    assert_int_equal(spares.bytes, 0);
}

static void large_blocks_are_not_kept(void **state) {
    (void)state;
    weft_spares spares = {.bytes = 0};
    for (size_t size = 1; size <= 2 * WEFT_SPARE_MAX; size++) {
        void *block = weft_memory_take(&spares, size);
        assert_non_null(block);
        memset(block, 0x5a, size);
        size_t before = spares.bytes;
        weft_memory_give(&spares, block, size);
        assert_true(size <= WEFT_SPARE_MAX || spares.bytes == before);
    }
#if !defined(WEFT_ADDRESS_SANITIZER) && !defined(WEFT_THREAD_SANITIZER) /* malloc aborts */
    assert_null(weft_memory_take(&spares, SIZE_MAX / 2));
    assert_null(weft_memory_take(&spares, SIZE_MAX));
#endif
    weft_spares_empty(&spares);
}

static void *leave_spares(void *ctx) {
    weft_spares **spares = ctx;
    weft_map map = {0};
    char value[40] = "";
    weft_bytes key = weft_bytes_of("key", 3);
    for (int i = 0; i < 10000; i++) {
        if (weft_map_put(&map, key, weft_bytes_of(value, sizeof value)) != WEFT_OK) {
            return NULL;
        }
    }
    *spares = weft_epoch_spares();
#if !defined(WEFT_ADDRESS_SANITIZER)
    if ((*spares)->bytes == 0) {
        return NULL;
    }
#endif
    return weft_map_close(&map) == WEFT_OK ? ctx : NULL;
}

/* The blocks that a thread has kept are freed when it ends. */
static void thread_ends_without_spares(void **state) {
    (void)state;
    weft_spares *spares = NULL;
    pthread_t thread;
    void *answer;
    assert_int_equal(pthread_create(&thread, NULL, leave_spares, &spares), 0);
    assert_int_equal(pthread_join(thread, &answer), 0);
    assert_ptr_equal(answer, &spares);
    assert_int_equal(spares->bytes, 0); /* its record stays, for another thread */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned),
        cmocka_unit_test(allocator_of_caller_is_used),
        cmocka_unit_test(pages_are_zero),
        cmocka_unit_test(pages_are_given_back_in_parts),
        cmocka_unit_test(nth_allocation_fails),
        cmocka_unit_test(spare_blocks_come_back),
        cmocka_unit_test(large_blocks_are_not_kept),
        cmocka_unit_test(thread_ends_without_spares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
