/* SPDX-License-Identifier: MIT */
/* The rules of weft_engine_advise, the cards of the engines, and the profile of a trace. */
#include "bench/driver/profile.h"
#include "engine/engine.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/advice.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static void assert_rule(weft_usage usage, const char *rule, weft_engine_id engine) {
    weft_advice advice = {0};
    assert_int_equal(weft_engine_advise(&usage, &advice), WEFT_OK);
    assert_string_equal(advice.rule, rule);
    assert_int_equal(advice.engine, engine);
    assert_true(advice.when[0] != '\0' && advice.why[0] != '\0');
}

static void rules_are_tried_in_order(void **state) {
    (void)state;
    assert_rule((weft_usage){0}, "usual", WEFT_ENGINE_LOCKFREE);
    assert_rule((weft_usage){.rate = 1000}, "slow", WEFT_ENGINE_RWLOCK);
    assert_rule((weft_usage){.rate = 1000, .tail = true}, "tail", WEFT_ENGINE_LOCKFREE);
    assert_rule((weft_usage){.rate = 1e8}, "usual", WEFT_ENGINE_LOCKFREE);
    assert_rule((weft_usage){.bounded = true}, "bounded", WEFT_ENGINE_FIXED);
    assert_rule((weft_usage){.hints.threads = 1}, "one_thread", WEFT_ENGINE_RWLOCK);
    assert_rule((weft_usage){.hints.threads = 1, .exclusive = true}, "alone", WEFT_ENGINE_OWNER);
    assert_rule((weft_usage){.hints.threads = 8, .skew = 9}, "hot", WEFT_ENGINE_LOCKFREE);
    bool in_place = weft_engine_of(WEFT_ENGINE_SHARDED)->write_batch != NULL;
    assert_rule((weft_usage){.hints.needs = WEFT_NEED_WRITE_BATCH}, in_place ? "groups" : "copied",
                in_place ? WEFT_ENGINE_SHARDED : WEFT_ENGINE_COW);
}

static void copies_are_weighed_against_reads(void **state) {
    (void)state;
    weft_usage usage = {.hints.reads = 99.9, .entries = 1000};
    assert_rule(usage, "frozen", WEFT_ENGINE_COW);
    usage.entries = 10000; /* 10 entries copied for each operation */
    assert_rule(usage, "usual", WEFT_ENGINE_LOCKFREE);
    usage.burst = 5000;
    assert_rule(usage, "replaced", WEFT_ENGINE_COW);
    usage = (weft_usage){.hints.reads = 99.9}; /* of a size that nobody knows */
    assert_rule(usage, "usual", WEFT_ENGINE_LOCKFREE);
    usage = (weft_usage){.hints.reads = 98, .entries = 10};
    assert_rule(usage, "usual", WEFT_ENGINE_LOCKFREE);
}

/* What the rules are for: with every mix of hints, who is advised can do what is asked for. */
static void advised_engines_offer_what_is_needed(void **state) {
    (void)state;
    weft_engine_card card;
    weft_advice advice;
    unsigned none = 0;
    for (unsigned mix = 0; mix < 2048; mix++) {
        weft_usage usage = {.hints = {.threads = mix & 3, .needs = mix >> 2 & 7},
                            .entries = (mix >> 5 & 1) * 100,
                            .rate = (mix >> 6 & 1) * 1000.0,
                            .exclusive = mix >> 7 & 1,
                            .bounded = mix >> 8 & 1,
                            .tail = mix >> 9 & 1,
                            .skew = (mix >> 10 & 1) * 10.0};
        usage.hints.reads = usage.entries != 0 ? 100 : 0;
        int status = weft_engine_advise(&usage, &advice);
        if (status == WEFT_E_UNSUPPORTED) {
            /* No engine has batches without locks. */
            assert_true((usage.hints.needs & WEFT_NEED_WRITE_BATCH) != 0 &&
                        (usage.hints.needs & WEFT_NEED_LOCK_FREE) != 0);
            none++;
            continue;
        }
        assert_int_equal(status, WEFT_OK);
        assert_int_equal(weft_engine_card_get(advice.engine, &card), WEFT_OK);
        assert_int_equal(usage.hints.needs & ~card.offers, 0);
        assert_true(card.threads || (usage.exclusive && usage.hints.threads == 1));
        assert_true(card.grows || usage.bounded);
        assert_false(card.keeps_removed);
    }
    assert_int_equal(none, 2048 / 4);
}

static void numbers_beyond_their_range_are_refused(void **state) {
    (void)state;
    static const weft_usage bad[] = {
        {.hints.reads = 100.5}, {.hints.reads = -1}, {.hints.reads = NAN}, {.hints.needs = 8},
        {.skew = 11},           {.burst = -1},       {.rate = INFINITY}};
    weft_advice advice;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(weft_engine_advise(&bad[i], &advice), WEFT_E_INVALID);
    }
}

static void cards_say_what_engines_can(void **state) {
    (void)state;
    weft_engine_card card;
#define WEFT_ENGINE(engine, ID, number)                                                            \
    assert_int_equal(weft_engine_card_get(WEFT_ENGINE_##ID, &card), WEFT_OK);                      \
    assert_string_equal(card.name, #engine);                                                       \
    assert_true(card.choose[0] != '\0' && card.do_not_choose[0] != '\0');                          \
    assert_int_equal((card.offers & WEFT_NEED_SNAPSHOT) != 0,                                      \
                     weft_engine_of(WEFT_ENGINE_##ID)->snapshot != NULL);
#include <weft/engines.def>
#undef WEFT_ENGINE
    assert_int_equal(weft_engine_card_get((weft_engine_id)77, &card), WEFT_E_INVALID);
    assert_int_equal(weft_engine_card_get(WEFT_ENGINE_OWNER, &card), WEFT_OK);
    assert_false(card.threads);
    assert_int_equal(weft_engine_card_get(WEFT_ENGINE_AUTO, &card), WEFT_OK);
    assert_int_equal(card.engine, WEFT_ENGINE_LOCKFREE);
}

/* ---- the profile ----------------------------------------------------------------------------- */

static char path[64];

static weft_trace_writer *begin(void) {
    weft_trace_header header = {.shape = WEFT_TRACE_U64, .value_bytes = 8};
    weft_trace_writer *writer;
    strcpy(path, "/tmp/weft-profile-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(weft_trace_create(&writer, path, &header), 0);
    return writer;
}

static void add(weft_trace_writer *writer, weft_trace_op op, uint64_t key) {
    assert_int_equal(weft_trace_append(writer, op, &key, sizeof key), 0);
}

static weft_profile finish(weft_trace_writer *writer) {
    weft_trace trace;
    weft_profile profile;
    assert_int_equal(weft_trace_finish(writer), 0);
    assert_int_equal(weft_trace_open(&trace, path), 0);
    assert_true(weft_profile_take(&profile, &trace));
    weft_trace_close(&trace);
    unlink(path);
    return profile;
}

static void profile_counts_what_operations_do(void **state) {
    (void)state;
    weft_trace_writer *writer = begin();
    for (uint64_t key = 1; key <= 10; key++) {
        assert_int_equal(weft_trace_prefill(writer, &key, sizeof key), 0);
    }
    add(writer, WEFT_TRACE_INSERT, 1);  /* is there */
    add(writer, WEFT_TRACE_INSERT, 11); /* comes */
    add(writer, WEFT_TRACE_GET, 11);
    add(writer, WEFT_TRACE_GET, 99);
    add(writer, WEFT_TRACE_REMOVE, 99); /* is not there */
    add(writer, WEFT_TRACE_REMOVE, 11); /* leaves, 4 operations after it came */
    add(writer, WEFT_TRACE_ADD, 12);
    add(writer, WEFT_TRACE_PUT, 12);
    weft_profile p = finish(writer);
    assert_int_equal(p.ops, 8);
    assert_int_equal(p.gets, 2);
    assert_int_equal(p.distinct, 13);
    assert_int_equal(p.entries_first, 10);
    assert_int_equal(p.entries_most, 11);
    assert_int_equal(p.entries_last, 11);
    assert_int_equal(p.inserted, 2);
    assert_int_equal(p.removed, 1);
    assert_int_equal(p.lived, 4);
    assert_int_equal(p.bursts, 2);
    assert_int_equal(p.wanted, 3);
}

static void entropy_tells_one_key_from_many(void **state) {
    (void)state;
    weft_trace_writer *writer = begin();
    for (int i = 0; i < 100; i++) {
        add(writer, WEFT_TRACE_GET, 5);
    }
    assert_true(fabs(finish(writer).entropy) < 1e-9);
    writer = begin();
    for (uint64_t i = 0; i < 200000; i++) {
        add(writer, WEFT_TRACE_GET, i);
    }
    weft_profile even = finish(writer);
    assert_true(even.entropy > 9.99 && even.entropy <= 10);
    writer = begin();
    for (uint64_t i = 0; i < 1000; i++) {
        add(writer, WEFT_TRACE_GET, i % 2);
    }
    assert_true(fabs(finish(writer).entropy - 1) < 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_tried_in_order),
        cmocka_unit_test(copies_are_weighed_against_reads),
        cmocka_unit_test(advised_engines_offer_what_is_needed),
        cmocka_unit_test(numbers_beyond_their_range_are_refused),
        cmocka_unit_test(cards_say_what_engines_can),
        cmocka_unit_test(profile_counts_what_operations_do),
        cmocka_unit_test(entropy_tells_one_key_from_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
