/* SPDX-License-Identifier: MIT */
/* The judge of noise, on figures that are planted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "bench/driver/noise.h"
#include <signal.h>
#include <string.h>

static const weft_noise_probe quiet = {{16, 190}, {28, 0.9}};
static const weft_noise_probe slow_cache = {{133, 195}, {29, 1.1}};
static const weft_noise_probe slow_memory = {{17, 400}, {30, 0.9}};
static const weft_noise_probe apart = {{16, 190}, {160, 0.9}};
static const weft_noise_probe on_one_core = {{16, 190}, {29, 1.8}};

static weft_noise_sample sample_of(weft_noise_probe probe, bool foreign) {
    return (weft_noise_sample){probe.speed, probe.placement, foreign};
}

static void keep(weft_noise *noise, weft_noise_probe probe, bool foreign) {
    weft_noise_sample sample = sample_of(probe, foreign);
    weft_noise_note_probe(noise, probe);
    weft_noise_keep(noise, &sample);
}

static unsigned judge(const weft_noise *noise, weft_noise_probe probe, bool foreign) {
    weft_noise_sample sample = sample_of(probe, foreign);
    return weft_noise_judge(noise, &sample);
}

static void each_kind_is_told(void **state) {
    (void)state;
    weft_noise noise = {0};
    weft_noise_note_probe(&noise, quiet);
    assert_int_equal(judge(&noise, quiet, false), 0);
    assert_int_equal(judge(&noise, (weft_noise_probe){{25, 250}, {48, 1.1}}, false), 0);
    assert_int_equal(judge(&noise, quiet, true), WEFT_NOISE_FOREIGN);
    assert_int_equal(judge(&noise, slow_cache, false), WEFT_NOISE_CACHE);
    assert_int_equal(judge(&noise, slow_memory, false), WEFT_NOISE_MEMORY);
    assert_int_equal(judge(&noise, (weft_noise_probe){{133, 400}, {160, 0.9}}, true),
                     WEFT_NOISE_FOREIGN | WEFT_NOISE_CACHE | WEFT_NOISE_MEMORY | WEFT_NOISE_MOVED);
    assert_int_equal(judge(&noise, apart, false), WEFT_NOISE_MOVED);
    assert_int_equal(judge(&noise, on_one_core, false), WEFT_NOISE_MOVED);
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
                              "shared cache: 1, at the memory: 1; processors moved: 0)");
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
    const weft_noise_probe unknown = {{0, 0}, {0, 0}};
    keep(&noise, unknown, false);
    assert_int_equal(weft_noise_count(&noise).noisy, 0);
    keep(&noise, quiet, false);
    keep(&noise, unknown, false);
    assert_int_equal(weft_noise_count(&noise).noisy, 0);
    weft_memory_speed best = weft_memory_speed_best(unknown.speed, quiet.speed);
    assert_true(best.cache == quiet.speed.cache && best.memory == quiet.speed.memory);
    best = weft_memory_speed_best(slow_cache.speed, slow_memory.speed);
    assert_true(best.cache == slow_memory.speed.cache && best.memory == slow_cache.speed.memory);
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
    keep(&noise, apart, false);
    json_t *object = weft_noise_json(&noise, true);
    assert_true(reading(object, "cache", "best") == 16);
    assert_true(reading(object, "cache", "median") == 16.5);
    assert_true(reading(object, "cache", "worst") == 133);
    assert_true(reading(object, "memory", "worst") == 400);
    const json_t *kinds = json_object_get(object, "disturbed");
    assert_int_equal(json_integer_value(json_object_get(kinds, "cache")), 1);
    assert_int_equal(json_integer_value(json_object_get(kinds, "memory")), 1);
    assert_int_equal(json_integer_value(json_object_get(kinds, "moved")), 1);
    assert_true(reading(object, "handover", "worst") == 160);
    assert_int_equal(json_integer_value(json_object_get(kinds, "processors")), 0);
    assert_int_equal(json_integer_value(json_object_get(object, "noisy_samples")), 3);
    json_decref(object);
    weft_noise_end(&noise);
}

static void the_probe_reads(void **state) {
    (void)state;
    weft_noise noise;
    weft_noise_begin(&noise);
    weft_noise_mark before = weft_noise_before(&noise);
    weft_noise_sample sample = weft_noise_after(&noise, &before, 0);
    assert_true(noise.best.speed.cache > 0 && noise.best.speed.cache < 1e6);
    assert_true(noise.best.speed.memory > 0 && noise.best.speed.memory < 1e6);
    assert_true(sample.speed.cache >= noise.best.speed.cache);
    assert_true(sample.placement.handover >= noise.best.placement.handover);
    assert_true((weft_cpu_count() > 1) == (noise.best.placement.handover > 0));
    weft_noise_end(&noise);
}

/* Then the probe of placement knows nothing, now and later, and nobody waits for it. */
static void a_partner_that_ended_is_not_waited_for(void **state) {
    (void)state;
    weft_placement_probe probe;
    weft_placement_probe_open(&probe);
    if (probe.partner > 0) {
        assert_true(weft_placement_probe_take(&probe).handover > 0);
        assert_true(weft_placement_probe_take(&probe).step > 0);
        assert_int_equal(kill(probe.partner, SIGKILL), 0);
        for (int i = 0; i < 2; i++) {
            weft_placement none = weft_placement_probe_take(&probe);
            assert_true(none.handover == 0 && none.step == 0);
        }
        assert_int_equal(probe.partner, 0);
    }
    weft_placement_probe_close(&probe);
    weft_placement_probe_close(&probe); /* again: nothing is left */
}

/* What can be waited for has a limit: a best that nothing reaches again. */
static void waiting_ends(void **state) {
    (void)state;
    weft_noise noise;
    weft_noise_begin(&noise);
    weft_noise_note_probe(&noise, (weft_noise_probe){{1e-6, 1e-6}, {1e-6, 1e-6}});
    size_t probes = noise.probe_count;
    uint64_t began = weft_clock_monotonic_ns();
    noise.probed_at = 0;
    weft_noise_await(&noise, 0.05);
    assert_true(weft_clock_monotonic_ns() - began >= 50000000);
    assert_true(noise.probe_count >= probes + 2);
    weft_noise_end(&noise);
    keep(&noise, quiet, false);
    noise.probed_at = weft_clock_monotonic_ns();
    weft_noise_await(&noise, 60); /* a quiet machine: at once, without a probe */
    assert_int_equal(noise.probe_count, 1);
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
        cmocka_unit_test(a_partner_that_ended_is_not_waited_for),
        cmocka_unit_test(waiting_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
