/* SPDX-License-Identifier: MIT */
/* The judge of noise, on figures that are planted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/driver/noise.h"
#include <string.h>

static const weft_memory_speed quiet = {16, 190};
static const weft_memory_speed slow_cache = {133, 195};
static const weft_memory_speed slow_memory = {17, 400};

static void keep(weft_noise *noise, weft_memory_speed speed, bool foreign) {
    weft_noise_note_probe(noise, speed);
    weft_noise_keep(noise, &(weft_noise_sample){speed, foreign});
}

static unsigned judge(const weft_noise *noise, weft_memory_speed speed, bool foreign) {
    return weft_noise_judge(noise, &(weft_noise_sample){speed, foreign});
}

static void each_kind_is_told(void **state) {
    (void)state;
    weft_noise noise = {0};
    weft_noise_note_probe(&noise, quiet);
    assert_int_equal(judge(&noise, quiet, false), 0);
    assert_int_equal(judge(&noise, (weft_memory_speed){25, 250}, false), 0);
    assert_int_equal(judge(&noise, quiet, true), WEFT_NOISE_FOREIGN);
    assert_int_equal(judge(&noise, slow_cache, false), WEFT_NOISE_CACHE);
    assert_int_equal(judge(&noise, slow_memory, false), WEFT_NOISE_MEMORY);
    assert_int_equal(judge(&noise, (weft_memory_speed){133, 400}, true),
                     WEFT_NOISE_FOREIGN | WEFT_NOISE_CACHE | WEFT_NOISE_MEMORY);
    weft_noise_end(&noise);
}

static void a_tenth_may_be_disturbed(void **state) {
    (void)state;
    weft_noise noise = {0};
    char text[200];
    for (int i = 0; i < 9; i++) {
        keep(&noise, quiet, false);
    }
    keep(&noise, slow_cache, false);
    assert_false(weft_noise_is_noisy(&noise));
    keep(&noise, slow_memory, true);
    assert_true(weft_noise_is_noisy(&noise));
    weft_noise_describe(&noise, text, sizeof text);
    assert_string_equal(text, "2 of 11 samples were disturbed (others on the processors: 1, in the "
                              "shared cache: 1, at the memory: 1)");
    weft_noise_end(&noise);
}

/* Who was alone with a slow machine looked quiet, until it became faster. */
static void samples_are_judged_by_the_best_of_the_whole_run(void **state) {
    (void)state;
    weft_noise noise = {0};
    keep(&noise, slow_cache, false);
    keep(&noise, slow_cache, false);
    assert_int_equal(weft_noise_count(&noise).noisy, 0);
    keep(&noise, quiet, false);
    assert_int_equal(weft_noise_count(&noise).noisy, 2);
    assert_int_equal(weft_noise_count(&noise).cache, 2);
    weft_noise_end(&noise);
}

static void a_probe_that_knows_nothing_judges_nothing(void **state) {
    (void)state;
    weft_noise noise = {0};
    const weft_memory_speed unknown = {0, 0};
    keep(&noise, unknown, false);
    assert_int_equal(weft_noise_count(&noise).noisy, 0);
    keep(&noise, quiet, false);
    keep(&noise, unknown, false);
    assert_int_equal(weft_noise_count(&noise).noisy, 0);
    weft_memory_speed best = weft_memory_speed_best(unknown, quiet);
    assert_true(best.cache == quiet.cache && best.memory == quiet.memory);
    best = weft_memory_speed_best(slow_cache, slow_memory);
    assert_true(best.cache == slow_memory.cache && best.memory == slow_cache.memory);
    json_t *object = weft_noise_json(&(weft_noise){0}, false);
    assert_true(json_is_null(json_object_get(json_object_get(object, "read_ns"), "cache")));
    json_decref(object);
    weft_noise_end(&noise);
}

static double reading(const json_t *object, const char *which, const char *figure) {
    const json_t *reads = json_object_get(json_object_get(object, "read_ns"), which);
    return json_number_value(json_object_get(reads, figure));
}

static void the_result_holds_the_figures(void **state) {
    (void)state;
    weft_noise noise = {0};
    keep(&noise, quiet, false);
    keep(&noise, slow_memory, false);
    keep(&noise, slow_cache, false);
    json_t *object = weft_noise_json(&noise, true);
    assert_true(reading(object, "cache", "best") == 16);
    assert_true(reading(object, "cache", "median") == 17);
    assert_true(reading(object, "cache", "worst") == 133);
    assert_true(reading(object, "memory", "worst") == 400);
    const json_t *kinds = json_object_get(object, "disturbed");
    assert_int_equal(json_integer_value(json_object_get(kinds, "cache")), 1);
    assert_int_equal(json_integer_value(json_object_get(kinds, "memory")), 1);
    assert_int_equal(json_integer_value(json_object_get(kinds, "processors")), 0);
    assert_int_equal(json_integer_value(json_object_get(object, "noisy_samples")), 2);
    json_decref(object);
    weft_noise_end(&noise);
}

static void the_probe_reads(void **state) {
    (void)state;
    weft_noise noise;
    weft_noise_begin(&noise);
    weft_noise_mark before = weft_noise_before(&noise);
    weft_noise_sample sample = weft_noise_after(&noise, &before, 0);
    assert_true(noise.best.cache > 0 && noise.best.cache < 1e6);
    assert_true(noise.best.memory > 0 && noise.best.memory < 1e6);
    assert_true(sample.speed.cache >= noise.best.cache);
    weft_noise_end(&noise);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_told),
        cmocka_unit_test(a_tenth_may_be_disturbed),
        cmocka_unit_test(samples_are_judged_by_the_best_of_the_whole_run),
        cmocka_unit_test(a_probe_that_knows_nothing_judges_nothing),
        cmocka_unit_test(the_result_holds_the_figures),
        cmocka_unit_test(the_probe_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
