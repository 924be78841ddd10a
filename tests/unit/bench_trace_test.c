/* SPDX-License-Identifier: MIT */
/* The generator, the writer and the reader of the bench's traces. */
#include "base/crc32c.h"
#include "bench/driver/draw.h"
#include "bench/driver/generate.h"
#include "bench/driver/keys.h"
#include "bench/driver/reference.h"
#include "bench/driver/trace.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static weft_workload small(void) {
    weft_workload workload = {.name = "small",
                              .about = "a test",
                              .keys = 2000,
                              .prefill = 1000,
                              .distribution = WEFT_UNIFORM,
                              .exponent = 0.99,
                              .hot = 1,
                              .ops = 20000,
                              .seed = 7,
                              .key_bytes = 16,
                              .value_bytes = 8};
    workload.mix[WEFT_TRACE_GET] = 50;
    workload.mix[WEFT_TRACE_INSERT] = 25;
    workload.mix[WEFT_TRACE_REMOVE] = 25;
    return workload;
}

static int make_path(void **state) {
    (void)state;
    strcpy(path, "/tmp/weft-trace-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static uint32_t crc_of_file(void) {
    unsigned char bytes[4096];
    uint32_t crc = 0;
    size_t got;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while ((got = fread(bytes, 1, sizeof bytes, file)) != 0) {
        crc = weft_crc32c(crc, bytes, got);
    }
    fclose(file);
    return crc;
}

static void the_checksum_is_crc32c(void **state) {
    (void)state;
    assert_int_equal(weft_crc32c(0, "123456789", 9), 0xe3069283);
    uint32_t first = weft_crc32c(0, "1234", 4);
    assert_int_equal(weft_crc32c(first, "56789", 5), 0xe3069283);
    assert_int_equal(weft_crc32c(0, "", 0), 0);
}

static void traces_of_a_seed_never_change(void **state) {
    (void)state;
    static const struct {
        weft_distribution kind;
        double exponent;
        uint32_t crc;
    } golden[] = {{WEFT_UNIFORM, 0, 0xa9bc0fb9},    {WEFT_ZIPF, 0.99, 0x3088907d},
                  {WEFT_ZIPF, 1.2, 0x55cb1e32},     {WEFT_HOT_KEYS, 0, 0x199b2d47},
                  {WEFT_SEQUENTIAL, 0, 0x1ee3bc82}, {WEFT_LATEST, 0.99, 0x612a696c}};
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        weft_workload workload = small();
        workload.distribution = golden[i].kind;
        workload.exponent = golden[i].exponent;
        assert_int_equal(weft_generate(&workload, path, NULL), 0);
        assert_int_equal(crc_of_file(), golden[i].crc);
    }
}

static void another_seed_is_another_trace(void **state) {
    (void)state;
    weft_workload workload = small();
    assert_int_equal(weft_generate(&workload, path, NULL), 0);
    uint32_t crc = crc_of_file();
    workload.seed++;
    assert_int_equal(weft_generate(&workload, path, NULL), 0);
    assert_int_not_equal(crc_of_file(), crc);
}

static void a_trace_holds_what_the_workload_says(void **state) {
    (void)state;
    weft_workload workload = small();
    weft_trace trace;
    assert_int_equal(weft_generate(&workload, path, NULL), 0);
    assert_int_equal(weft_trace_open(&trace, path), 0);
    assert_int_equal(trace.header->prefill, 1000);
    assert_int_equal(trace.header->ops, 20000);
    assert_int_equal(trace.header->chunks, 6);
    assert_int_equal(trace.header->distinct, 2000);
    assert_string_equal(trace.header->name, "small");
    assert_true(trace.codes[WEFT_TRACE_GET] > 9700 && trace.codes[WEFT_TRACE_GET] < 10300);
    assert_int_equal(trace.codes[WEFT_TRACE_PUT], 0);
    weft_trace_close(&trace);
}

/* Shares of the most popular ranks against the sums that define the distribution. */
static void zipf_has_its_shares(void **state) {
    (void)state;
    enum { KEYS = 1000, DRAWS = 400000 };
    static const double exponents[] = {0.5, 0.99, 1.0, 1.2, 2.0};
    for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
        weft_workload workload = small();
        weft_draw draw;
        static uint32_t counts[KEYS];
        double sum = 0;
        memset(counts, 0, sizeof counts);
        workload.keys = KEYS;
        workload.distribution = WEFT_ZIPF;
        workload.exponent = exponents[e];
        weft_draw_init(&draw, &workload);
        for (int i = 0; i < DRAWS; i++) {
            uint64_t rank = weft_draw_rank(&draw, WEFT_TRACE_GET);
            assert_true(rank < KEYS);
            counts[rank]++;
        }
        for (int i = 1; i <= KEYS; i++) {
            sum += pow(i, -exponents[e]);
        }
        /* Gray's method is exact for the first two ranks alone. */
        for (int i = 1; i <= 2; i++) {
            double expected = DRAWS * pow(i, -exponents[e]) / sum;
            assert_true(fabs(counts[i - 1] - expected) < 5 * sqrt(expected));
        }
        double upper = 0;
        double expected = 0;
        for (int i = 1; i <= 100; i++) {
            upper += counts[i - 1];
            expected += DRAWS * pow(i, -exponents[e]) / sum;
        }
        assert_true(fabs(upper - expected) < 0.05 * expected);
    }
}

static void latest_looks_back_from_the_newest(void **state) {
    (void)state;
    weft_workload workload = small();
    weft_draw draw;
    workload.distribution = WEFT_LATEST;
    weft_draw_init(&draw, &workload);
    assert_int_equal(weft_draw_rank(&draw, WEFT_TRACE_INSERT), 1000);
    uint64_t newest = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t rank = weft_draw_rank(&draw, WEFT_TRACE_GET);
        assert_true(rank <= 1000);
        newest += rank == 1000;
    }
    assert_true(newest > 1000);
}

static void keys_are_different_from_each_other(void **state) {
    (void)state;
    static const weft_key_source sources[] = {WEFT_KEYS_RANDOM, WEFT_KEYS_PATHS};
    for (size_t i = 0; i < 2; i++) {
        weft_workload workload = small();
        weft_trace trace;
        workload.shape = WEFT_TRACE_BYTES;
        workload.key_source = sources[i];
        workload.value_bytes = 32;
        workload.prefill = workload.keys;
        assert_int_equal(weft_generate(&workload, path, NULL), 0);
        assert_int_equal(weft_trace_open(&trace, path), 0);
        uint64_t checksum;
        uint64_t entries;
        workload.ops = 1;
        workload.mix[WEFT_TRACE_GET] = 100;
        workload.mix[WEFT_TRACE_INSERT] = workload.mix[WEFT_TRACE_REMOVE] = 0;
        weft_trace_close(&trace);
        assert_int_equal(weft_generate(&workload, path, NULL), 0);
        assert_int_equal(weft_trace_open(&trace, path), 0);
        assert_true(weft_reference_replay(&trace, &checksum, &entries));
        assert_int_equal(entries, workload.keys);
        weft_trace_close(&trace);
    }
}

static void every_damaged_byte_is_found(void **state) {
    (void)state;
    weft_workload workload = small();
    weft_trace trace;
    workload.ops = 100;
    workload.prefill = 10;
    assert_int_equal(weft_generate(&workload, path, NULL), 0);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    assert_non_null(freopen("/dev/null", "w", stderr));
    for (long at = 0; at < size; at++) {
        bool free_to_change = (at >= 40 && at < 56) || (at >= 64 && at < 128);
        fseek(file, at, SEEK_SET);
        int was = getc(file);
        fseek(file, at, SEEK_SET);
        putc(was ^ 0x55, file);
        fflush(file);
        int code = weft_trace_open(&trace, path);
        if (code == 0) {
            weft_trace_close(&trace);
        }
        assert_true(code == 2 || free_to_change); /* distinct keys, seed and name are words */
        fseek(file, at, SEEK_SET);
        putc(was, file);
        fflush(file);
    }
    for (long cut = size - 1; cut >= 0; cut -= 7) {
        assert_int_equal(ftruncate(fileno(file), cut), 0);
        assert_int_equal(weft_trace_open(&trace, path), 2);
    }
    fclose(file);
}

static void a_writer_refuses_what_the_format_has_not(void **state) {
    (void)state;
    weft_trace_writer *writer;
    weft_trace_header header = {.shape = WEFT_TRACE_BYTES, .value_bytes = 7};
    uint64_t key = 1;
    assert_int_not_equal(weft_trace_create(&writer, path, &header), 0);
    header.value_bytes = 8;
    assert_int_equal(weft_trace_create(&writer, path, &header), 0);
    assert_int_not_equal(weft_trace_append(writer, WEFT_TRACE_ADD, &key, sizeof key), 0);
    assert_int_not_equal(weft_trace_finish(writer), 0);
    assert_int_equal(weft_trace_create(&writer, path, &header), 0);
    assert_int_not_equal(weft_trace_append(writer, WEFT_TRACE_GET, &key, 0), 0);
    weft_trace_abandon(writer);
    assert_int_equal(weft_trace_create(&writer, path, &header), 0);
    assert_int_equal(weft_trace_append(writer, WEFT_TRACE_GET, &key, 8), 0);
    assert_int_not_equal(weft_trace_prefill(writer, &key, 8), 0);
    weft_trace_abandon(writer);
}

static void bursts_come_together(void **state) {
    (void)state;
    enum { OPS = 200000, BURST = 50 };
    weft_workload workload = small();
    weft_draw draw;
    uint64_t counts[WEFT_TRACE_OPS] = {0};
    uint64_t run = 0;
    weft_trace_op last = WEFT_TRACE_GET;
    workload.burst = BURST;
    weft_draw_init(&draw, &workload);
    for (int i = 0; i < OPS; i++) {
        weft_trace_op op = weft_draw_op(&draw);
        counts[op]++;
        if (op != last) {
            assert_true(last == WEFT_TRACE_GET || run % BURST == 0);
            run = 0;
        }
        run++;
        last = op;
    }
    for (int op = 0; op < WEFT_TRACE_OPS; op++) {
        assert_true(fabs(100.0 * (double)counts[op] / OPS - workload.mix[op]) < 2.5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_crc32c),
        cmocka_unit_test(traces_of_a_seed_never_change),
        cmocka_unit_test(another_seed_is_another_trace),
        cmocka_unit_test(a_trace_holds_what_the_workload_says),
        cmocka_unit_test(zipf_has_its_shares),
        cmocka_unit_test(latest_looks_back_from_the_newest),
        cmocka_unit_test(keys_are_different_from_each_other),
        cmocka_unit_test(a_writer_refuses_what_the_format_has_not),
        cmocka_unit_test(every_damaged_byte_is_found),
        cmocka_unit_test(bursts_come_together),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
