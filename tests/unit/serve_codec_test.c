/* SPDX-License-Identifier: MIT */
/* The load generator's protocols: requests byte by byte, replies cut at every place, and which
 * replies are taken for wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/driver/serve_codec.h"
#include <stdio.h>
#include <stdlib.h>

enum { BIG = 1 << 20 };

static const weft_serve_codec *const resp = &weft_serve_resp;
static const weft_serve_codec *const memcached = &weft_serve_memcached;

static weft_serve_request request_of(weft_serve_op op, uint64_t index) {
    return (weft_serve_request){
        .op = op, .index = index, .keys = 12, .value_bytes = 20, .write = 0xab};
}

/* The input lies in memory of its own size, so that a sanitizer sees each byte too far. */
static weft_serve_reply parse_exact(const weft_serve_codec *codec, const char *text, size_t size) {
    char *input = malloc(size + 1);
    assert_non_null(input);
    char *tight = realloc(input, size != 0 ? size : 1);
    assert_non_null(tight);
    memcpy(tight, text, size);
    weft_serve_reply reply = codec->parse(tight, size);
    if (reply.data != NULL) {
        reply.data = text + (reply.data - tight);
    }
    free(tight);
    return reply;
}

/* Every shorter part of a reply wants more, the whole is understood, and what follows is left. */
static weft_serve_reply whole(const weft_serve_codec *codec, const char *text, size_t size) {
    for (size_t part = 0; part < size; part += part < 64 || size - part < 64 ? 1 : 61) {
        weft_serve_reply reply = parse_exact(codec, text, part);
        assert_int_equal(reply.kind, WEFT_SERVE_MORE);
        assert_int_equal(reply.size, 0);
    }
    weft_serve_reply reply = parse_exact(codec, text, size);
    assert_int_equal(reply.size, size);
    char *longer = malloc(size + 3);
    assert_non_null(longer);
    memcpy(longer, text, size);
    memcpy(longer + size, "$9\r", 3);
    weft_serve_reply same = codec->parse(longer, size + 3);
    assert_int_equal(same.kind, reply.kind);
    assert_int_equal(same.size, size);
    free(longer);
    return reply;
}

static weft_serve_reply whole_text(const weft_serve_codec *codec, const char *text) {
    return whole(codec, text, strlen(text));
}

static void assert_data(weft_serve_reply reply, const char *text) {
    assert_int_equal(reply.length, strlen(text));
    assert_memory_equal(reply.data, text, reply.length);
}

static void resp_replies_are_understood(void **state) {
    (void)state;
    assert_int_equal(whole_text(resp, "+OK\r\n").kind, WEFT_SERVE_DONE);
    assert_int_equal(whole_text(resp, "$-1\r\n").kind, WEFT_SERVE_MISS);
    weft_serve_reply reply = whole_text(resp, ":-9223372036854775808\r\n");
    assert_int_equal(reply.kind, WEFT_SERVE_NUMBER);
    assert_true(reply.number == INT64_MIN);
    reply = whole_text(resp, "-ERR no such thing\r\n");
    assert_int_equal(reply.kind, WEFT_SERVE_ERROR);
    assert_data(reply, "ERR no such thing");
    reply = whole_text(resp, "$4\r\na\r\nb\r\n");
    assert_int_equal(reply.kind, WEFT_SERVE_VALUE);
    assert_data(reply, "a\r\nb");
    assert_int_equal(whole_text(resp, "$0\r\n\r\n").kind, WEFT_SERVE_VALUE);
}

static void memcached_replies_are_understood(void **state) {
    (void)state;
    assert_int_equal(whole_text(memcached, "STORED\r\n").kind, WEFT_SERVE_DONE);
    assert_int_equal(whole_text(memcached, "VERSION 1.6\r\n").kind, WEFT_SERVE_DONE);
    assert_int_equal(whole_text(memcached, "END\r\n").kind, WEFT_SERVE_MISS);
    assert_int_equal(whole_text(memcached, "NOT_FOUND\r\n").kind, WEFT_SERVE_MISS);
    assert_int_equal(whole_text(memcached, "ERROR\r\n").kind, WEFT_SERVE_ERROR);
    assert_int_equal(whole_text(memcached, "SERVER_ERROR out of memory\r\n").kind,
                     WEFT_SERVE_ERROR);
    weft_serve_reply reply = whole_text(memcached, "18446\r\n");
    assert_int_equal(reply.kind, WEFT_SERVE_NUMBER);
    assert_int_equal(reply.number, 18446);
    reply = whole_text(memcached, "VALUE key:1 0 5\r\na\r\nEN\r\nEND\r\n");
    assert_int_equal(reply.kind, WEFT_SERVE_VALUE);
    assert_data(reply, "a\r\nEN");
}

static void what_is_no_reply_is_refused(void **state) {
    (void)state;
    static const char *const bad_resp[] = {"OK\r\n",
                                           "*1\r\n",
                                           "+OK\n",
                                           ":12a\r\n",
                                           ":\r\n",
                                           "$-2\r\n",
                                           "$x\r\n",
                                           "$1\r\nab\r\n",
                                           "$2\r\nabcd",
                                           "\r\n",
                                           ":9223372036854775808\r\n",
                                           "$99999999999\r\n",
                                           "HTTP/1.1 400 Bad Request\r\n",
                                           "\n"};
    static const char *const bad_memcached[] = {"STORED\n",
                                                "stored\r\n",
                                                "VALUE k 0 x\r\n",
                                                "VALUE k 0 -1\r\n",
                                                "VALUE k 0 1\r\nab\r\nEND\r\n",
                                                "VALUE k 0 1\r\na\r\nFIN\r\n",
                                                "\r\n",
                                                "$-1\r\n",
                                                "1 2\r\n"};
    for (size_t i = 0; i < sizeof bad_resp / sizeof *bad_resp; i++) {
        weft_serve_reply reply = parse_exact(resp, bad_resp[i], strlen(bad_resp[i]));
        assert_int_equal(reply.kind, WEFT_SERVE_BAD);
        assert_int_equal(reply.size, 0);
    }
    for (size_t i = 0; i < sizeof bad_memcached / sizeof *bad_memcached; i++) {
        const char *text = bad_memcached[i];
        assert_int_equal(parse_exact(memcached, text, strlen(text)).kind, WEFT_SERVE_BAD);
    }
    char endless[8192];
    memset(endless, '+', sizeof endless);
    assert_int_equal(resp->parse(endless, sizeof endless).kind, WEFT_SERVE_BAD);
    assert_int_equal(memcached->parse(endless, sizeof endless).kind, WEFT_SERVE_BAD);
}

static void big_values_arrive_whole(void **state) {
    (void)state;
    char *text = malloc(BIG + 100);
    assert_non_null(text);
    size_t head = (size_t)sprintf(text, "$%d\r\n", BIG);
    weft_serve_write_value(text + head, BIG, 7, 3);
    memcpy(text + head + BIG, "\r\n", 2);
    weft_serve_reply reply = resp->parse(text, head + BIG + 1);
    assert_int_equal(reply.kind, WEFT_SERVE_MORE);
    reply = resp->parse(text, head + BIG + 2);
    assert_int_equal(reply.kind, WEFT_SERVE_VALUE);
    assert_int_equal(reply.length, BIG);
    assert_true(weft_serve_value_is_good(reply.data, reply.length, 7));
    text[head + BIG - 1] ^= 1;
    assert_false(weft_serve_value_is_good(reply.data, reply.length, 7));
    free(text);
}

static void assert_encodes(const weft_serve_codec *codec, weft_serve_op op, const char *text) {
    weft_serve_request request = request_of(op, 11);
    size_t room = codec->room(&request);
    char *out = malloc(room);
    assert_non_null(out);
    size_t size = codec->encode(out, &request);
    assert_true(size <= room);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(out, text, size);
    free(out);
}

static void requests_are_written_to_the_byte(void **state) {
    (void)state;
    char value[21] = "";
    char text[200];
    weft_serve_write_value(value, 20, 11, 0xab);
    assert_encodes(resp, WEFT_SERVE_GET, "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000011\r\n");
    assert_encodes(resp, WEFT_SERVE_READ, "*2\r\n$3\r\nGET\r\n$16\r\nctr:000000000011\r\n");
    assert_encodes(resp, WEFT_SERVE_INCR, "*2\r\n$4\r\nINCR\r\n$16\r\nctr:000000000011\r\n");
    assert_encodes(resp, WEFT_SERVE_SEED,
                   "*3\r\n$3\r\nSET\r\n$16\r\nctr:000000000011\r\n$1\r\n0\r\n");
    sprintf(text, "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000011\r\n$20\r\n%s\r\n", value);
    assert_encodes(resp, WEFT_SERVE_SET, text);
    sprintf(
        text,
        "*5\r\n$3\r\nSET\r\n$16\r\nkey:000000000011\r\n$20\r\n%s\r\n$2\r\nEX\r\n$5\r\n86400\r\n",
        value);
    assert_encodes(resp, WEFT_SERVE_SETEX, text);
    assert_encodes(memcached, WEFT_SERVE_GET, "get key:000000000011\r\n");
    assert_encodes(memcached, WEFT_SERVE_INCR, "incr ctr:000000000011 1\r\n");
    assert_encodes(memcached, WEFT_SERVE_SEED, "set ctr:000000000011 0 0 1\r\n0\r\n");
    sprintf(text, "set key:000000000011 0 0 20\r\n%s\r\n", value);
    assert_encodes(memcached, WEFT_SERVE_SET, text);
    sprintf(text, "set key:000000000011 0 86400 20\r\n%s\r\n", value);
    assert_encodes(memcached, WEFT_SERVE_SETEX, text);
}

static void mset_writes_keys_that_exist(void **state) {
    (void)state;
    weft_serve_request request = request_of(WEFT_SERVE_MSET, 11);
    char out[2000];
    assert_true(resp->room(&request) < sizeof out);
    out[resp->encode(out, &request)] = '\0';
    assert_non_null(strstr(out, "*21\r\n$4\r\nMSET\r\n$16\r\nkey:000000000011\r\n"));
    assert_non_null(strstr(out, "$16\r\nkey:000000000008\r\n"));
    assert_null(strstr(out, "key:000000000012"));
    assert_null(strstr(out, "key:000000000009"));
}

static const char *judged(weft_serve_op op, const char *text) {
    weft_serve_request request = request_of(op, 11);
    weft_serve_reply reply = resp->parse(text, strlen(text));
    return weft_serve_judge(&request, &reply);
}

static void wrong_replies_are_noticed(void **state) {
    (void)state;
    char text[64];
    char value[21] = "";
    weft_serve_write_value(value, 20, 11, 5);
    sprintf(text, "$20\r\n%s\r\n", value);
    assert_null(judged(WEFT_SERVE_GET, text));
    for (size_t i = 0; i < 20; i++) {
        /* Digits of the write's number may differ only together with the letter. */
        text[5 + i] ^= 1;
        assert_non_null(judged(WEFT_SERVE_GET, text));
        text[5 + i] ^= 1;
    }
    weft_serve_write_value(value, 20, 10, 5);
    sprintf(text, "$20\r\n%s\r\n", value);
    assert_non_null(judged(WEFT_SERVE_GET, text));
    sprintf(text, "$19\r\n%.19s\r\n", value);
    assert_non_null(judged(WEFT_SERVE_GET, text));
    assert_non_null(judged(WEFT_SERVE_GET, "$-1\r\n"));
    assert_non_null(judged(WEFT_SERVE_GET, "+OK\r\n"));
    assert_null(judged(WEFT_SERVE_SET, "+OK\r\n"));
    assert_non_null(judged(WEFT_SERVE_SET, "$-1\r\n"));
    assert_non_null(judged(WEFT_SERVE_SET, "-ERR\r\n"));
    assert_null(judged(WEFT_SERVE_INCR, ":1\r\n"));
    assert_non_null(judged(WEFT_SERVE_INCR, ":0\r\n"));
    assert_non_null(judged(WEFT_SERVE_INCR, "+1\r\n"));
    assert_null(judged(WEFT_SERVE_READ, "$2\r\n17\r\n"));
    assert_non_null(judged(WEFT_SERVE_READ, "$2\r\n1x\r\n"));
}

static void numbers_are_read_whole(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999"};
    int64_t number;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(weft_serve_read_number(bad[i], strlen(bad[i]), &number));
    }
    assert_true(weft_serve_read_number("-9223372036854775808", 20, &number));
    assert_true(number == INT64_MIN);
    assert_true(weft_serve_read_number("9223372036854775807", 19, &number));
    assert_true(number == INT64_MAX);
    char digits[WEFT_SERVE_NUMBER_BYTES];
    assert_int_equal(weft_serve_write_number(digits, UINT64_MAX), 20);
    assert_memory_equal(digits, "18446744073709551615", 20);
    assert_int_equal(weft_serve_write_number(digits, 0), 1);
    assert_int_equal(digits[0], '0');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resp_replies_are_understood),
        cmocka_unit_test(memcached_replies_are_understood),
        cmocka_unit_test(what_is_no_reply_is_refused),
        cmocka_unit_test(big_values_arrive_whole),
        cmocka_unit_test(requests_are_written_to_the_byte),
        cmocka_unit_test(mset_writes_keys_that_exist),
        cmocka_unit_test(wrong_replies_are_noticed),
        cmocka_unit_test(numbers_are_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
