/* SPDX-License-Identifier: MIT */
/* The request parser: every split of the bytes gives the same commands, limits hold, errors read
 * as Redis words them. */
#include "server/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const weft_resp_limits usual = {WEFT_RESP_ARGUMENTS_MAX, WEFT_RESP_BULK_MAX, true};
static const weft_resp_limits stranger = {WEFT_RESP_ARGUMENTS_MAX, WEFT_RESP_BULK_MAX, false};

enum { TEXT_MAX = 4096 };

/* The commands of a stream as a text: arguments between angle brackets, an error behind '!'. */
typedef struct transcript {
    char text[TEXT_MAX];
    size_t size;
} transcript;

static void note(transcript *out, const char *text, size_t size) {
    assert_true(out->size + size < sizeof out->text);
    memcpy(out->text + out->size, text, size);
    out->size += size;
    out->text[out->size] = '\0';
}

static void note_command(transcript *out, const weft_args *args) {
    for (size_t i = 0; i < args->count; i++) {
        note(out, "<", 1);
        note(out, args->items[i].data, args->items[i].size);
        note(out, ">", 1);
    }
    note(out, ";", 1);
}

/* Feed `size` bytes in pieces of `step`, each time at another address, as a connection might. */
static void feed(transcript *out, const weft_resp_limits *limits, weft_bytes input, size_t step) {
    const char *bytes = input.data;
    size_t size = input.size;
    weft_resp resp = {0};
    size_t done = 0;
    char *buffer = NULL;
    weft_resp_status status = WEFT_RESP_MORE;
    for (size_t have = 0; have < size && status <= WEFT_RESP_MORE;) {
        size_t next = have + step < size ? have + step : size;
        char *moved = malloc(next - done);
        assert_non_null(moved);
        /* Unquoting works in place, so what was seen before comes from the old buffer. */
        if (buffer != NULL) {
            memcpy(moved, buffer, have - done);
        }
        memcpy(moved + (have - done), bytes + have, next - have);
        free(buffer);
        buffer = moved;
        have = next;
        size_t at = 0;
        for (;;) {
            weft_request request;
            weft_bytes rest = weft_bytes_of(buffer + at, have - done - at);
            status = weft_resp_parse(&resp, limits, rest, &request);
            if (status != WEFT_RESP_COMMAND) {
                break;
            }
            note_command(out, &request.args);
            weft_resp_release(&resp);
            at += request.size;
        }
        memmove(buffer, buffer + at, have - done - at);
        done += at;
    }
    if (status == WEFT_RESP_ERROR) {
        note(out, "!", 1);
        note(out, resp.error, strlen(resp.error));
    }
    free(buffer);
    weft_resp_free(&resp);
}

static void expect_with(const weft_resp_limits *limits, const char *bytes, size_t size,
                        const char *expected) {
    for (size_t step = 1; step <= size; step++) {
        transcript out = {.size = 0};
        feed(&out, limits, weft_bytes_of(bytes, size), step);
        assert_string_equal(out.text, expected);
    }
}

#define EXPECT(bytes, expected) expect_with(&usual, bytes, sizeof(bytes) - 1, expected)

static void arrays_are_commands(void **state) {
    (void)state;
    EXPECT("*1\r\n$4\r\nPING\r\n", "<PING>;");
    EXPECT("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
           "<SET><a><>;<GET><a>;");
    EXPECT("*2\r\n$3\r\nGET\r\n$4\r\n\r\n*$\r\n", "<GET><\r\n*$>;");
    EXPECT("*0\r\n*-1\r\n*1\r\n$1\r\nx\r\n", ";;<x>;");
}

static void lines_are_commands(void **state) {
    (void)state;
    EXPECT("PING\r\nGET a\nSET  a   b \r\n\r\n", "<PING>;<GET><a>;<SET><a><b>;;");
    EXPECT("SET a \"x\\x41\\n\\\"y\"\r\n", "<SET><a><xA\n\"y>;");
    EXPECT("SET a 'x\\'\\n'\r\n", "<SET><a><x'\\n>;");
    EXPECT("a\"b c\" ''\r\n", "<ab c><>;");
    EXPECT("\"\\q\\r\\t\\b\\a\\xzz\"\n", "<q\r\t\b\axzz>;");
    EXPECT("GET a\0b\r\nPING\r\n", "<GET><a>;<PING>;");
}

static void bad_quotes_end_it(void **state) {
    (void)state;
    EXPECT("GET \"a\r\n", "!ERR Protocol error: unbalanced quotes in request");
    EXPECT("GET \"a\"b\r\n", "!ERR Protocol error: unbalanced quotes in request");
    EXPECT("GET 'a\r\n", "!ERR Protocol error: unbalanced quotes in request");
    EXPECT("GET \"a\\\r\n", "!ERR Protocol error: unbalanced quotes in request");
}

static void bad_lengths_end_it(void **state) {
    (void)state;
    static const char count[] = "!ERR Protocol error: invalid multibulk length";
    static const char bulk[] = "!ERR Protocol error: invalid bulk length";
    EXPECT("*x\r\n", count);
    EXPECT("*\r\n", count);
    EXPECT("*+1\r\n", count);
    EXPECT("*01\r\n", count);
    EXPECT("*1048577\r\n", count);
    EXPECT("*99999999999999999999\r\n", count);
    EXPECT("*1\r\n$-1\r\n", bulk);
    EXPECT("*1\r\n$x\r\n", bulk);
    EXPECT("*1\r\n$536870913\r\n", bulk);
    EXPECT("*1\r\n$99999999999999999999\r\n", bulk);
    EXPECT("*1\r\n:1\r\n", "!ERR Protocol error: expected '$', got ':'");
    EXPECT("PING\r\n*1\r\nPING\r\n", "<PING>;!ERR Protocol error: expected '$', got 'P'");
}

static void strangers_get_little(void **state) {
    (void)state;
    static const char many[] = "*11\r\n";
    static const char large[] = "*1\r\n$16385\r\n";
    expect_with(&stranger, many, sizeof many - 1,
                "!ERR Protocol error: unauthenticated multibulk length");
    expect_with(&stranger, large, sizeof large - 1,
                "!ERR Protocol error: unauthenticated bulk length");
    static const char fine[] = "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n";
    expect_with(&stranger, fine, sizeof fine - 1, "<AUTH><x>;");
}

static void endless_lines_end_it(void **state) {
    (void)state;
    static const struct {
        const char *start;
        const char *error;
    } rows[] = {
        {"", "!ERR Protocol error: too big inline request"},
        {"*", "!ERR Protocol error: too big mbulk count string"},
        {"*1\r\n$", "!ERR Protocol error: too big bulk count string"},
    };
    size_t size = WEFT_RESP_LINE_MAX + 16;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        transcript out = {.size = 0};
        memset(bytes, '1', size);
        memcpy(bytes, rows[i].start, strlen(rows[i].start));
        feed(&out, &usual, weft_bytes_of(bytes, size), 16384);
        assert_string_equal(out.text, rows[i].error);
    }
    free(bytes);
}

/* What is announced costs nothing before it comes. */
static void announcements_are_not_believed(void **state) {
    (void)state;
    weft_resp resp = {0};
    weft_request request;
    char bytes[] = "*1048576\r\n$536870912\r\n";
    weft_bytes input = weft_bytes_of(bytes, sizeof bytes - 1);
    assert_int_equal(weft_resp_parse(&resp, &usual, input, &request), WEFT_RESP_MORE);
    assert_int_equal(resp.capacity, 0);
    weft_resp_free(&resp);
}

/* Commands that wait keep their arguments while more are parsed, over a growth of the room for
 * them. */
static void arguments_wait_for_release(void **state) {
    (void)state;
    enum { COMMANDS = 200 };
    char bytes[COMMANDS * 32];
    size_t firsts[COMMANDS];
    size_t size = 0;
    size_t at = 0;
    weft_resp resp = {0};
    for (int i = 0; i < COMMANDS; i++) {
        size += (size_t)snprintf(bytes + size, sizeof bytes - size,
                                 "*2\r\n$1\r\nG\r\n$3\r\n%03d\r\n", i);
    }
    for (int i = 0; i < COMMANDS; i++) {
        weft_request request;
        weft_bytes rest = weft_bytes_of(bytes + at, size - at);
        assert_int_equal(weft_resp_parse(&resp, &usual, rest, &request), WEFT_RESP_COMMAND);
        firsts[i] = request.first;
        at += request.size;
    }
    assert_int_equal(at, size);
    for (int i = 0; i < COMMANDS; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, "%03d", i);
        assert_memory_equal(resp.items[firsts[i] + 1].data, expected, 3);
    }
    weft_resp_release(&resp);
    assert_int_equal(resp.count, 0);
    weft_resp_free(&resp);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_commands),
        cmocka_unit_test(lines_are_commands),
        cmocka_unit_test(bad_quotes_end_it),
        cmocka_unit_test(bad_lengths_end_it),
        cmocka_unit_test(strangers_get_little),
        cmocka_unit_test(endless_lines_end_it),
        cmocka_unit_test(announcements_are_not_believed),
        cmocka_unit_test(arguments_wait_for_release),
    };
    return cmocka_run_group_tests_name("resp", tests, NULL, NULL);
}
