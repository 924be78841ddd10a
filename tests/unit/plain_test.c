/* SPDX-License-Identifier: MIT */
/* The plain table against an array: resizes in steps and in one go, hashes that are alike, and an
 * allocator that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/plain.h"
#include "harness/prng.h"
#include <stdlib.h>

enum { NUMBERS_MAX = 20000, ROUNDS = 300000, PHASE = 60000, CHECK_EVERY = 10000, PIECE = 37 };

/* One table, the array that says what is in it, and its memory. */
typedef struct subject {
    weft_core core;
    weft_plain table;
    weft_prng prng;
    uint32_t range;    /* numbers below */
    uint32_t fail_one; /* allocation in so many fails; 0: none */
    bool alike;        /* hashes differ in few bits */
    int64_t blocks;
    uint64_t entries;
    uint64_t cells[NUMBERS_MAX]; /* 0: absent */
    uint64_t visited;
    uint64_t dropped;
} subject;

static void *allocate(void *ctx, size_t size, size_t align) {
    subject *s = ctx;
    if (s->fail_one != 0 && weft_prng_below(&s->prng, s->fail_one) == 0) {
        return NULL;
    }
    void *memory = aligned_alloc(align, (size + align - 1) & ~(align - 1));
    assert_non_null(memory);
    s->blocks++;
    return memset(memory, 0, size);
}

static void give_back(void *ctx, void *memory, size_t size, size_t align) {
    (void)size;
    (void)align;
    ((subject *)ctx)->blocks--;
    free(memory);
}

static subject *subject_new(uint64_t seed) {
    subject *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->core.allocator = (weft_allocator){s, allocate, give_back, allocate};
    s->core.shape = WEFT_SHAPE_U64;
    s->prng = weft_prng_of(seed);
    s->range = NUMBERS_MAX;
    weft_plain_open(&s->table, 0);
    return s;
}

/* Alike: four buckets of the smallest table have all, and all bits between are zero. */
static uint64_t hash_of(const subject *s, uint64_t number) {
    return s->alike ? (number & 3) | number << 40 : weft_mix_u64(number, 7);
}

static void visit(void *ctx, uint64_t hash, uint64_t cell) {
    subject *s = ctx;
    s->visited++;
    weft_key key = {.hash = hash};
    const weft_plain_slot *slot = weft_plain_find(&s->table, &key, NULL);
    assert_non_null(slot);
    assert_int_equal(slot->cell, cell);
}

static void require_sound(subject *s) {
    const char *broken = weft_plain_check(&s->table, NULL, NULL);
    if (broken != NULL) {
        fail_msg("%s", broken);
    }
    uint64_t from = 0;
    s->visited = 0;
    do {
        from = weft_plain_visit(&s->table, from, visit, s);
    } while (from != 0);
    assert_int_equal(s->visited, s->entries);
    assert_int_equal(s->table.entries, s->entries);
}

static void drop(weft_core *core, uint64_t cell) {
    subject *s = core->allocator.ctx;
    assert_int_not_equal(cell, 0);
    s->dropped++;
}

static void subject_free(subject *s) {
    size_t budget = 0;
    while (!weft_plain_close(&s->core, &s->table, &budget, drop)) {
        assert_int_equal(budget, 0);
        budget = PIECE;
    }
    assert_int_equal(s->dropped, s->entries);
    assert_int_equal(s->blocks, 0);
    free(s);
}

/* Who looks beside writers finds the same where there are none. */
static void require_seen(const subject *s, const weft_key *key, const weft_plain_slot *slot) {
    weft_latch nobodys = {0};
    uint64_t cell = slot == NULL ? 0 : slot->cell;
    int wanted = slot == NULL ? WEFT_NOT_FOUND : WEFT_OK;
    weft_plain_seen seen = {.watch = weft_plain_begin_watch(&nobodys)};
    assert_int_equal(weft_plain_peek(&s->table, key, NULL, &seen), wanted);
    assert_ptr_equal(seen.slot, slot);
    assert_int_equal(seen.cell, cell);
    const weft_plain_line *line = weft_plain_peek_home(&s->table, key->hash);
    uint64_t here;
    int status;
    if (weft_plain_look_into_line(line, key->hash, &here, &status)) {
        assert_int_equal(status, wanted);
        assert_int_equal(here, cell);
    }
}

/* Change a number; in a phase of growth an insert is more likely, else a removal. */
static void change(subject *s, uint64_t number, bool growth, uint64_t cell) {
    weft_key key = {.hash = hash_of(s, number)};
    weft_plain_slot *slot = weft_plain_find(&s->table, &key, NULL);
    assert_int_equal(slot == NULL ? 0 : slot->cell, s->cells[number]);
    require_seen(s, &key, slot);
    bool likely = weft_prng_below(&s->prng, 16) != 0;
    if (slot != NULL && likely != growth) {
        weft_plain_remove(&s->core, &s->table, key.hash, slot);
        s->cells[number] = 0;
        s->entries--;
    } else if (slot != NULL) {
        s->cells[number] = slot->cell = cell;
    } else if (likely == growth) {
        bool done = weft_plain_insert(&s->core, &s->table, key.hash, cell);
        assert_true(done || s->fail_one != 0);
        s->cells[number] = done ? cell : 0;
        s->entries += done;
    }
}

static void run(subject *s) {
    for (uint64_t i = 0; i < ROUNDS; i++) {
        change(s, weft_prng_below(&s->prng, s->range), i / PHASE % 2 == 0, i + 1);
        if (i % CHECK_EVERY == 0) {
            require_sound(s);
        }
    }
    require_sound(s);
}

static void agrees_with_an_array(void **state) {
    (void)state;
    static const uint32_t ranges[] = {40, 3000, NUMBERS_MAX};
    for (unsigned mode = 0; mode < 12; mode++) {
        subject *s = subject_new(mode);
        s->range = ranges[mode % 3];
        s->table.at_once = mode % 2 != 0;
        s->fail_one = mode / 6 != 0 ? 3 : 0;
        run(s);
        if (s->fail_one == 0 && s->range == NUMBERS_MAX) {
            assert_true(s->table.growths > 3 && s->table.shrinks > 1);
            assert_true(s->table.moved_buckets > 0 && s->table.failures == 0);
        }
        subject_free(s);
    }
}

static void keeps_hashes_that_are_alike(void **state) {
    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        subject *s = subject_new(mode);
        s->alike = true;
        s->range = 600;
        s->table.at_once = mode % 2 != 0;
        s->fail_one = mode / 2 != 0 ? 3 : 0;
        run(s);
        subject_free(s);
    }
}

static void fill(subject *s, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        assert_true(weft_plain_insert(&s->core, &s->table, hash_of(s, i), i + 1));
        s->cells[i] = i + 1;
        s->entries++;
    }
}

static void empty(subject *s, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        weft_key key = {.hash = hash_of(s, i)};
        weft_plain_remove(&s->core, &s->table, key.hash, weft_plain_find(&s->table, &key, NULL));
        s->cells[i] = 0;
        s->entries--;
    }
}

/* Growing goes on by the writes that come; beyond the smallest the table never holds more of them
 * up than a few buckets' worth. */
static void grows_in_steps(void **state) {
    (void)state;
    subject *s = subject_new(1);
    uint64_t moved = 0;
    for (uint64_t i = 0; i < NUMBERS_MAX; i++) {
        fill(s, i, i + 1);
        uint64_t most = weft_plain_now(&s->table).mask >= 2 * WEFT_PLAIN_AT_ONCE
                            ? WEFT_PLAIN_STEP
                            : WEFT_PLAIN_AT_ONCE;
        assert_true(s->table.moved_buckets - moved <= most);
        moved = s->table.moved_buckets;
    }
    require_sound(s);
    assert_true(s->table.growths >= 10 && moved > NUMBERS_MAX / 10);
    subject_free(s);
}

static void reserves_and_shrinks(void **state) {
    (void)state;
    subject *s = subject_new(2);
    assert_int_equal(weft_plain_reserve(&s->core, &s->table, NUMBERS_MAX), WEFT_OK);
    uint64_t buckets = weft_plain_now(&s->table).mask + 1;
    fill(s, 0, NUMBERS_MAX);
    assert_int_equal(s->table.growths, 0);
    empty(s, 100, NUMBERS_MAX);
    assert_int_equal(weft_plain_now(&s->table).mask + 1, buckets);
    int status;
    while ((status = weft_plain_shrink(&s->core, &s->table)) == WEFT_OK) {
        assert_true(weft_plain_step(&s->core, &s->table, UINT64_MAX));
        require_sound(s);
    }
    assert_int_equal(status, WEFT_UNCHANGED);
    assert_true(weft_plain_now(&s->table).mask + 1 <= 128);
    subject_free(s);
}

/* A table that has just grown does not shrink at the next removal: around no size do writes in
 * turns move it to and fro. */
static void a_steady_size_keeps_its_table(void **state) {
    (void)state;
    enum { SIZES = 2000, TURNS = 50 };
    subject *s = subject_new(4);
    for (uint64_t size = 1; size < SIZES; size++) {
        fill(s, size - 1, size);
        uint64_t before = s->table.growths;
        for (int i = 0; i < TURNS; i++) {
            empty(s, size - 1, size);
            fill(s, size - 1, size);
        }
        if (s->table.growths > before + 1) {
            fail_msg("around %d entries the table grew %d times", (int)size,
                     (int)(s->table.growths - before));
        }
    }
    require_sound(s);
    subject_free(s);
}

static void removes_without_memory(void **state) {
    (void)state;
    subject *s = subject_new(3);
    fill(s, 0, NUMBERS_MAX);
    s->fail_one = 1;
    assert_int_equal(weft_plain_reserve(&s->core, &s->table, 10 * NUMBERS_MAX), WEFT_E_NOMEM);
    empty(s, 0, NUMBERS_MAX - 10);
    require_sound(s);
    subject_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_array),   cmocka_unit_test(keeps_hashes_that_are_alike),
        cmocka_unit_test(grows_in_steps),         cmocka_unit_test(reserves_and_shrinks),
        cmocka_unit_test(removes_without_memory), cmocka_unit_test(a_steady_size_keeps_its_table),
    };
    return cmocka_run_group_tests_name("plain", tests, NULL, NULL);
}
