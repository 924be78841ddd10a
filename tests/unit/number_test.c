/* SPDX-License-Identifier: MIT */
#include "server/number.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void integers_in_their_only_spelling_are_taken(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t number;
    } table[] = {{"0", 0},
                 {"7", 7},
                 {"-1", -1},
                 {"10", 10},
                 {"9223372036854775807", INT64_MAX},
                 {"-9223372036854775808", INT64_MIN},
                 {"-9223372036854775807", -INT64_MAX},
                 {"1000000000000000000", 1000000000000000000}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t number = 42;
        assert_true(weft_number_parse(weft_str(table[i].text), &number));
        assert_int_equal(number, table[i].number);
        char text[WEFT_NUMBER_TEXT_MAX];
        size_t size = weft_number_format(number, text);
        assert_int_equal(size, strlen(table[i].text));
        assert_memory_equal(text, table[i].text, size);
    }
}

static void other_spellings_are_refused(void **state) {
    (void)state;
    static const char *const table[] = {"",
                                        "-",
                                        "+1",
                                        "-0",
                                        "00",
                                        "01",
                                        "-01",
                                        " 1",
                                        "1 ",
                                        "1.0",
                                        "1e3",
                                        "0x1",
                                        "abc",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "10000000000000000000",
                                        "18446744073709551616",
                                        "99999999999999999999",
                                        "999999999999999999999999"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t number = 42;
        assert_false(weft_number_parse(weft_str(table[i]), &number));
        assert_int_equal(number, 42);
    }
    assert_false(weft_number_parse(weft_bytes_of("1\0002", 3), &(int64_t){0}));
}

static void every_power_goes_there_and_back(void **state) {
    (void)state;
    for (int bit = 0; bit < 63; bit++) {
        for (int64_t near = -1; near <= 1; near++) {
            int64_t number = ((int64_t)1 << bit) + near;
            char text[WEFT_NUMBER_TEXT_MAX];
            int64_t back;
            assert_true(
                weft_number_parse(weft_bytes_of(text, weft_number_format(number, text)), &back));
            assert_true(back == number);
            assert_true(
                weft_number_parse(weft_bytes_of(text, weft_number_format(-number, text)), &back));
            assert_true(back == -number);
        }
    }
}

static void fractions_are_printed_short(void **state) {
    (void)state;
    static const struct {
        long double number;
        const char *text;
    } table[] = {{0, "0"},
                 {-0.0L, "0"},
                 {1, "1"},
                 {-1.5L, "-1.5"},
                 {0.1L, "0.1"},
                 {0.1L + 0.2L, "0.3"},
                 {100, "100"},
                 {3000.5L, "3000.5"},
                 {1e-17L, "0.00000000000000001"},
                 {1e-18L, "0"},
                 {1e20L, "100000000000000000000"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[WEFT_FLOAT_TEXT_MAX];
        size_t size = weft_number_format_float(table[i].number, text);
        text[size] = '\0';
        assert_string_equal(text, table[i].text);
    }
}

static void the_largest_fraction_fits(void **state) {
    (void)state;
    char text[WEFT_FLOAT_TEXT_MAX];
    long double largest = 1.18973149535723176502e+4932L;
    size_t size = weft_number_format_float(-largest, text);
    assert_int_equal(size, 1 + 4933);
    long double back;
    assert_true(weft_number_parse_float(weft_bytes_of(text, size), &back));
    assert_true(back == -largest);
}

static void fractions_are_read_whole_or_not(void **state) {
    (void)state;
    static const char *const good[] = {"1",    "1.5", "-1.5", "1e3", "+1",
                                       "0x10", "inf", "-inf", ".5"};
    static const char *const bad[] = {"",    " 1",     "1 ",      "abc", "1.5x",
                                      "nan", "1e5000", "1e-5000", "--1", "-"};
    long double number;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(weft_number_parse_float(weft_str(good[i]), &number));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(weft_number_parse_float(weft_str(bad[i]), &number));
    }
    assert_false(weft_number_parse_float(weft_bytes_of("1\0", 2), &number));
    char digits[WEFT_FLOAT_TEXT_MAX];
    memset(digits, '0', sizeof digits);
    assert_false(weft_number_parse_float(weft_bytes_of(digits, sizeof digits), &number));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_in_their_only_spelling_are_taken),
        cmocka_unit_test(other_spellings_are_refused),
        cmocka_unit_test(every_power_goes_there_and_back),
        cmocka_unit_test(fractions_are_printed_short),
        cmocka_unit_test(the_largest_fraction_fits),
        cmocka_unit_test(fractions_are_read_whole_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
