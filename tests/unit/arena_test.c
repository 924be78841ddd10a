/* SPDX-License-Identifier: MIT */
/* The checking allocator: each fault that it promises to notice is committed here, and noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "harness/arena.h"
#include <string.h>

static weft_arena *arena;
static weft_allocator allocator;

static int set_up(void **state) {
    (void)state;
    arena = weft_arena_new(1 << 20);
    if (!arena) {
        return -1;
    }
    allocator = weft_arena_allocator(arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    weft_arena_free(arena);
    return 0;
}

static char *take(size_t size) {
    char *memory = allocator.alloc(allocator.ctx, size, 16);
    assert_non_null(memory);
    return memory;
}

static void give_back(char *memory, size_t size) {
    allocator.free(allocator.ctx, memory, size, 16);
}

static void nothing_wrong(void **state) {
    (void)state;
    for (int reuse = 0; reuse < 2; reuse++) {
        weft_arena_reset(arena, reuse != 0);
        char *first = take(100);
        assert_int_equal(weft_arena_live_bytes(arena), 100);
        give_back(first, 100);
        char *second = take(100);
        assert_int_equal(first == second, reuse);
        give_back(second, 100);
        char *zeroed = allocator.alloc_zeroed(allocator.ctx, 100, 64);
        assert_non_null(zeroed);
        assert_int_equal((uintptr_t)zeroed % 64, 0);
        for (int i = 0; i < 100; i++) {
            assert_int_equal(zeroed[i], 0);
        }
        give_back(zeroed, 100);
        assert_null(weft_arena_fault(arena));
    }
    assert_null(allocator.alloc(allocator.ctx, 2 << 20, 16));
}

static void faults_are_noticed(void **state) {
    (void)state;
    weft_arena_reset(arena, false);
    char *memory = take(40);
    assert_string_equal(weft_arena_fault(arena), "leak");
    give_back(memory, 40);
    assert_null(weft_arena_fault(arena));
    memory[20] = 1;
    assert_string_equal(weft_arena_fault(arena), "write after free");

    weft_arena_reset(arena, false);
    memory = take(40);
    give_back(memory, 40);
    give_back(memory, 40);
    assert_string_equal(weft_arena_fault(arena), "double free");

    weft_arena_reset(arena, false);
    give_back(take(40), 48);
    assert_string_equal(weft_arena_fault(arena), "free with another size");

    weft_arena_reset(arena, false);
    memory = take(400);
    memset(memory, 0, 400);
    give_back(memory + 200, 40);
    assert_string_equal(weft_arena_fault(arena), "free of what was not allocated");
}

static uint64_t always_seven(void) {
    return 7;
}

static void chance_can_be_replaced(void **state) {
    (void)state;
    weft_random_set_hook(always_seven);
    assert_int_equal(weft_random_u64(), 7);
    assert_int_equal(weft_random_u64(), 7);
    weft_random_set_hook(NULL);
    assert_int_not_equal(weft_random_u64(), weft_random_u64());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_wrong),
        cmocka_unit_test(faults_are_noticed),
        cmocka_unit_test(chance_can_be_replaced),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
