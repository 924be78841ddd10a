/* SPDX-License-Identifier: MIT */
/* The reply encoders, in both protocols; the buffer's growth; mute and failure. */
#include "base/memory.h"
#include "server/output.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(weft_output *out, const char *expected) {
    assert_false(out->failed);
    assert_int_equal(out->size, strlen(expected));
    assert_memory_equal(out->data + out->sent, expected, out->size);
    out->size = out->sent = 0;
}

static void replies_of_both_protocols(void **state) {
    (void)state;
    weft_output two = {.protocol = 2};
    weft_output three = {.protocol = 3};
    weft_output *both[] = {&two, &three};
    for (int i = 0; i < 2; i++) {
        weft_reply_simple(both[i], "PONG");
        weft_reply_ok(both[i]);
        weft_reply_integer(both[i], 0);
        weft_reply_integer(both[i], 9);
        weft_reply_integer(both[i], 10);
        weft_reply_integer(both[i], -1);
        weft_reply_integer(both[i], INT64_MIN);
        weft_reply_bulk(both[i], weft_bytes_of("a\r\nb", 4));
        weft_reply_bulk(both[i], weft_bytes_of(NULL, 0));
        weft_reply_text(both[i], "0123456789");
        weft_reply_array(both[i], 2);
        weft_reply_array(both[i], 0);
        expect(both[i], "+PONG\r\n+OK\r\n:0\r\n:9\r\n:10\r\n:-1\r\n:-9223372036854775808\r\n"
                        "$4\r\na\r\nb\r\n$0\r\n\r\n$10\r\n0123456789\r\n*2\r\n*0\r\n");
        weft_output_raw(both[i], NULL, 0);
        assert_int_equal(both[i]->size, 0);
    }
    weft_output_free(&two);
    weft_output_free(&three);
}

static void reply_all_kinds(weft_output *out) {
    weft_reply_null(out);
    weft_reply_null_array(out);
    weft_reply_double(out, 1.5);
    weft_reply_double(out, -INFINITY);
    weft_reply_bool(out, true);
    weft_reply_bool(out, false);
    weft_reply_verbatim(out, weft_str("hi"));
    weft_reply_map(out, 3);
    weft_reply_set(out, 12);
}

static void kinds_of_each_protocol(void **state) {
    (void)state;
    weft_output out = {.protocol = 2};
    reply_all_kinds(&out);
    expect(&out, "$-1\r\n*-1\r\n$3\r\n1.5\r\n$4\r\n-inf\r\n:1\r\n:0\r\n$2\r\nhi\r\n*6\r\n*12\r\n");
    out.protocol = 3;
    reply_all_kinds(&out);
    expect(&out, "_\r\n_\r\n,1.5\r\n,-inf\r\n#t\r\n#f\r\n=6\r\ntxt:hi\r\n%3\r\n~12\r\n");
    weft_output_free(&out);
}

static void errors_stay_on_their_line(void **state) {
    (void)state;
    weft_output out = {.protocol = 2};
    weft_reply_error(&out, "ERR unknown command '%s'", "a\r\n+OK");
    expect(&out, "-ERR unknown command 'a  +OK'\r\n");
    char large[5000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    weft_reply_error(&out, "%s", large);
    assert_true(out.size < 1100);
    assert_memory_equal(out.data + out.size - 2, "\r\n", 2);
    weft_output_free(&out);
}

static void muted_and_failed_take_nothing(void **state) {
    (void)state;
    weft_output out = {.protocol = 2, .muted = true};
    reply_all_kinds(&out);
    weft_reply_error(&out, "ERR");
    assert_int_equal(out.size, 0);
    assert_null(weft_output_room(&out, 1));
    out.muted = false;
    weft_memory_fail_at(1, true);
    weft_reply_ok(&out);
    weft_memory_fail_off();
    assert_true(out.failed);
    weft_reply_ok(&out);
    assert_int_equal(out.size, 0);
    weft_output_free(&out);
}

/* Bytes are neither lost nor doubled while the front is sent and the buffer grows and moves. */
static void waiting_bytes_keep_their_order(void **state) {
    (void)state;
    weft_output out = {.protocol = 2};
    unsigned char put = 0;
    unsigned char taken = 0;
    for (unsigned turn = 0; turn < 5000; turn++) {
        size_t size = turn * 37 % 900 + 1;
        char *at = weft_output_room(&out, size);
        assert_non_null(at);
        for (size_t i = 0; i < size; i++) {
            at[i] = (char)put++;
        }
        weft_output_advance(&out, size);
        size_t send = turn * 61 % 950;
        send = send < out.size ? send : out.size;
        for (size_t i = 0; i < send; i++) {
            assert_int_equal((unsigned char)out.data[out.sent + i], taken);
            taken++;
        }
        out.sent += send;
        out.size -= send;
    }
    weft_output_free(&out);
}

/* A client that does not read cannot take all memory: the limit is on what waits, not on one
 * reply. */
static void what_waits_is_bounded(void **state) {
    (void)state;
    size_t size = (size_t)64 << 20;
    char *large = calloc(1, size);
    assert_non_null(large);
    weft_output out = {.protocol = 2};
    unsigned replies = 0;
    while (!out.failed && replies < 64) {
        weft_reply_bulk(&out, weft_bytes_of(large, size));
        replies++;
    }
    assert_true(out.failed);
    assert_in_range(replies, 5, 8);
    weft_output_free(&out);
    free(large);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_of_both_protocols),
        cmocka_unit_test(kinds_of_each_protocol),
        cmocka_unit_test(errors_stay_on_their_line),
        cmocka_unit_test(muted_and_failed_take_nothing),
        cmocka_unit_test(waiting_bytes_keep_their_order),
        cmocka_unit_test(what_waits_is_bounded),
    };
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
