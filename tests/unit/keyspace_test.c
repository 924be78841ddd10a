/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_node.h"
#include "server/sweep.h"

#define session (&fake_sessions[0])

static weft_bytes key_of(const char *text) {
    return weft_str(text);
}

static void put(const char *key, const char *value, int64_t deadline) {
    assert_true(weft_keyspace_put(session, key_of(key), weft_str(value), deadline));
}

static void assert_value(const char *key, const char *value) {
    weft_item item;
    assert_true(weft_keyspace_look(session, key_of(key), &item));
    assert_int_equal(item.payload.size, strlen(value));
    assert_memory_equal(item.payload.data, value, item.payload.size);
}

static void assert_absent(const char *key) {
    weft_item item;
    assert_false(weft_keyspace_look(session, key_of(key), &item));
}

static void what_is_put_is_read_and_journaled(void **state) {
    (void)state;
    put("colour", "blue", WEFT_NO_DEADLINE);
    assert_value("colour", "blue");
    assert_int_equal(fake.puts, 1);
    assert_string_equal(fake.last_key, "colour");
    weft_view view = {.value = weft_bytes_of(fake.last_value, fake.last_value_size)};
    weft_item item;
    assert_true(weft_item_decode(&view, &item));
    assert_int_equal(item.deadline, WEFT_NO_DEADLINE);
    assert_memory_equal(item.payload.data, "blue", 4);
    uint64_t version = fake.last_version;
    put("colour", "", WEFT_NO_DEADLINE);
    assert_value("colour", "");
    assert_true(fake.last_version > version);
}

static void deadlines_survive_the_encoding(void **state) {
    (void)state;
    static const int64_t deadlines[] = {1, 255, 256, 1700000000000, INT64_MAX, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        put("k", "value", deadlines[i]);
        weft_view view = {.value = weft_bytes_of(fake.last_value, fake.last_value_size)};
        weft_item item;
        assert_true(weft_item_decode(&view, &item));
        assert_true(item.deadline == deadlines[i]);
        assert_int_equal(item.payload.size, 5);
    }
}

static void broken_encodings_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } table[] = {{"", 0}, {"\2x", 2}, {"\xff", 1}, {"\1", 1}, {"\1\0\0\0\0\0\0\0", 8}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        weft_view view = {.value = weft_bytes_of(table[i].bytes, table[i].size)};
        weft_item item;
        assert_false(weft_item_decode(&view, &item));
    }
}

static void a_key_is_gone_the_millisecond_after_its_deadline(void **state) {
    (void)state;
    put("k", "v", fake.now_ms + 10);
    fake.now_ms += 10;
    assert_value("k", "v");
    assert_false(weft_keyspace_stale(session, key_of("k")));
    fake.now_ms += 1;
    assert_true(weft_keyspace_stale(session, key_of("k")));
    assert_absent("k");
    assert_int_equal(fake.removes, 1);
    assert_int_equal(fake_node.loops[0].expired_keys, 1);
    assert_int_equal(weft_map_len(&fake_node.map), 0);
    assert_false(weft_keyspace_stale(session, key_of("k")));
}

static void expire_leaves_what_lives(void **state) {
    (void)state;
    put("k", "v", fake.now_ms + 10);
    put("l", "v", WEFT_NO_DEADLINE);
    assert_false(weft_keyspace_expire(session, key_of("k"), fake.now_ms + 10));
    assert_false(weft_keyspace_expire(session, key_of("l"), INT64_MAX));
    assert_false(weft_keyspace_expire(session, key_of("none"), INT64_MAX));
    assert_true(weft_keyspace_expire(session, key_of("k"), fake.now_ms + 11));
    assert_int_equal(fake.removes, 1);
}

static void remove_tells_whether_it_was_there(void **state) {
    (void)state;
    assert_false(weft_keyspace_remove(session, key_of("k")));
    assert_int_equal(fake.removes, 0);
    put("k", "v", WEFT_NO_DEADLINE);
    assert_true(weft_keyspace_remove(session, key_of("k")));
    put("k", "v", fake.now_ms - 1);
    assert_false(weft_keyspace_remove(session, key_of("k")));
    assert_int_equal(fake.removes, 2);
    assert_int_equal(weft_map_len(&fake_node.map), 0);
}

static weft_verdict append_step(void *ctx, const weft_item *old, weft_edit *edit) {
    *(bool *)ctx = old != NULL;
    edit->payload = weft_str("!");
    edit->append = true;
    return WEFT_SET;
}

static void append_keeps_value_and_deadline(void **state) {
    (void)state;
    bool existed;
    assert_true(weft_keyspace_edit(session, key_of("k"), append_step, &existed));
    assert_false(existed);
    assert_value("k", "!");
    put("k", "hello", fake.now_ms + 100);
    assert_true(weft_keyspace_edit(session, key_of("k"), append_step, &existed));
    assert_true(existed);
    weft_item item;
    assert_true(weft_keyspace_look(session, key_of("k"), &item));
    assert_true(item.deadline == fake.now_ms + 100);
    assert_value("k", "hello!");
    fake.now_ms += 101;
    assert_true(weft_keyspace_edit(session, key_of("k"), append_step, &existed));
    assert_false(existed);
    assert_value("k", "!");
}

static weft_verdict keep_step(void *ctx, const weft_item *old, weft_edit *edit) {
    (void)edit;
    *(bool *)ctx = old != NULL;
    return WEFT_KEEP;
}

static void an_edit_that_keeps_removes_only_what_expired(void **state) {
    (void)state;
    bool existed;
    put("k", "v", WEFT_NO_DEADLINE);
    assert_true(weft_keyspace_edit(session, key_of("k"), keep_step, &existed));
    assert_true(existed);
    assert_int_equal(fake.puts, 1);
    assert_int_equal(fake.removes, 0);
    put("k", "v", fake.now_ms - 1);
    assert_true(weft_keyspace_edit(session, key_of("k"), keep_step, &existed));
    assert_false(existed);
    assert_int_equal(fake.removes, 1);
}

static void keys_with_a_deadline_are_counted(void **state) {
    (void)state;
    put("a", "v", fake.now_ms + 10);
    put("b", "v", fake.now_ms + 20);
    put("c", "v", WEFT_NO_DEADLINE);
    assert_int_equal(weft_keyspace_deadlines(&fake_node), 2);
    put("a", "v", WEFT_NO_DEADLINE);
    put("b", "w", fake.now_ms + 30);
    assert_int_equal(weft_keyspace_deadlines(&fake_node), 1);
    weft_keyspace_remove(session, key_of("b"));
    assert_int_equal(weft_keyspace_deadlines(&fake_node), 0);
    put("a", "v", fake.now_ms + 10);
    fake.now_ms += 11;
    assert_absent("a");
    assert_int_equal(weft_keyspace_deadlines(&fake_node), 0);
    put("a", "v", fake.now_ms + 10);
    fake_node.loops[0].deadlines = 77;
    weft_keyspace_recount(&fake_node);
    assert_int_equal(weft_keyspace_deadlines(&fake_node), 1);
    assert_true(weft_keyspace_clear(session));
    assert_int_equal(weft_keyspace_deadlines(&fake_node), 0);
    assert_int_equal(fake.clears, 1);
    assert_absent("c");
}

static void reads_count_hits_and_misses_and_looks_do_not(void **state) {
    (void)state;
    weft_item item;
    put("k", "v", WEFT_NO_DEADLINE);
    assert_true(weft_keyspace_read(session, key_of("k"), &item));
    assert_false(weft_keyspace_read(session, key_of("none"), &item));
    assert_false(weft_keyspace_read(session, key_of("none"), &item));
    assert_value("k", "v");
    assert_int_equal(fake_node.loops[0].keyspace_hits, 1);
    assert_int_equal(fake_node.loops[0].keyspace_misses, 2);
}

static void too_long_a_key_is_an_error_that_says_so(void **state) {
    (void)state;
    size_t size = WEFT_KEY_SIZE_MAX + 1;
    char *bytes = calloc(1, size);
    weft_item item;
    assert_non_null(bytes);
    assert_false(
        weft_keyspace_put(session, weft_bytes_of(bytes, size), weft_str("v"), WEFT_NO_DEADLINE));
    assert_memory_equal(session->out.data, "-ERR key is longer than 16777215 bytes", 38);
    assert_false(weft_keyspace_look(session, weft_bytes_of(bytes, size), &item));
    assert_int_equal(fake.puts, 0);
    free(bytes);
}

static void memory_follows_the_keys(void **state) {
    (void)state;
    uint64_t before = weft_keyspace_measure(&fake_node);
    char value[1001];
    memset(value, 'x', 1000);
    value[1000] = '\0';
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", i);
        put(key, value, WEFT_NO_DEADLINE);
    }
    assert_true(weft_keyspace_measure(&fake_node) >= before + 100 * 1000);
    assert_int_equal(weft_keyspace_memory(&fake_node), fake_node.peak_memory);
}

static uint64_t fake_wall_ms(void *ctx) {
    (void)ctx;
    return (uint64_t)fake.now_ms;
}

static void sweeps_remove_what_nobody_reads(void **state) {
    (void)state;
    const weft_clock_hook hook = {.wall_ms = fake_wall_ms};
    weft_clock_set_hook(&hook);
    for (int i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", i);
        put(key, "v", i % 3 == 0 ? WEFT_NO_DEADLINE : fake.now_ms + (i % 3 == 1 ? 10 : 1000));
    }
    uint64_t budget = weft_sweep_run(&fake_node, 0, WEFT_SWEEP_BUDGET_NS);
    assert_int_equal(budget, WEFT_SWEEP_BUDGET_NS);
    assert_int_equal(fake.removes, 0);
    fake.now_ms += 11;
    uint64_t most = 0;
    for (int i = 0; i < 1000 && fake.removes < 1000; i++) {
        budget = weft_sweep_run(&fake_node, 0, budget);
        most = budget > most ? budget : most;
    }
    assert_int_equal(fake.removes, 1000);
    assert_int_equal(fake_node.loops[0].expired_keys, 1000);
    assert_int_equal(weft_map_len(&fake_node.map), 2000);
    assert_true(most > WEFT_SWEEP_BUDGET_NS && most <= WEFT_SWEEP_BUDGET_MAX_NS);
    for (int i = 0; i < 100; i++) {
        budget = weft_sweep_run(&fake_node, 0, budget);
    }
    assert_int_equal(budget, WEFT_SWEEP_BUDGET_NS);
    assert_int_equal(fake_node.average_ttl_ms, 989);
    weft_clock_set_hook(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_is_read_and_journaled),
        TEST(deadlines_survive_the_encoding),
        TEST(broken_encodings_are_refused),
        TEST(a_key_is_gone_the_millisecond_after_its_deadline),
        TEST(expire_leaves_what_lives),
        TEST(remove_tells_whether_it_was_there),
        TEST(append_keeps_value_and_deadline),
        TEST(an_edit_that_keeps_removes_only_what_expired),
        TEST(keys_with_a_deadline_are_counted),
        TEST(reads_count_hits_and_misses_and_looks_do_not),
        TEST(too_long_a_key_is_an_error_that_says_so),
        TEST(memory_follows_the_keys),
        TEST(sweeps_remove_what_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
