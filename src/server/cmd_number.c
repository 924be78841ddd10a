/* SPDX-License-Identifier: MIT */
/* Commands that count. */
#include "server/command.h"
#include "server/keyspace.h"
#include "server/number.h"
#include <math.h>

typedef struct add_call {
    int64_t delta;
    int64_t result;
    const char *error;
    char text[WEFT_NUMBER_TEXT_MAX];
} add_call;

static weft_verdict add_step(void *ctx, const weft_item *old, weft_edit *edit) {
    add_call *call = ctx;
    int64_t present = 0;
    call->error = NULL;
    if (old != NULL && !weft_number_parse(old->payload, &present)) {
        call->error = WEFT_INTEGER_TEXT;
    } else if (__builtin_add_overflow(present, call->delta, &call->result)) {
        call->error = "ERR increment or decrement would overflow";
    }
    if (call->error != NULL) {
        return WEFT_KEEP;
    }
    edit->payload = weft_bytes_of(call->text, weft_number_format(call->result, call->text));
    edit->deadline = old != NULL ? old->deadline : WEFT_NO_DEADLINE;
    return WEFT_SET;
}

static void add(weft_session *session, weft_bytes key, int64_t delta) {
    add_call call = {.delta = delta};
    if (!weft_keyspace_edit(session, key, add_step, &call)) {
        return;
    }
    if (call.error != NULL) {
        weft_reply_error(&session->out, "%s", call.error);
    } else {
        weft_reply_integer(&session->out, call.result);
    }
}

void weft_cmd_incr(weft_session *session, const weft_args *args) {
    add(session, args->items[1], 1);
}

void weft_cmd_decr(weft_session *session, const weft_args *args) {
    add(session, args->items[1], -1);
}

void weft_cmd_incrby(weft_session *session, const weft_args *args) {
    int64_t delta;
    if (weft_integer_argument(session, args->items[2], &delta, NULL)) {
        add(session, args->items[1], delta);
    }
}

void weft_cmd_decrby(weft_session *session, const weft_args *args) {
    int64_t delta;
    if (!weft_integer_argument(session, args->items[2], &delta, NULL)) {
        return;
    }
    if (delta == INT64_MIN) {
        weft_reply_error(&session->out, "ERR decrement would overflow");
        return;
    }
    add(session, args->items[1], -delta);
}

typedef struct add_float_call {
    weft_bytes argument;
    const char *error;
    size_t size;
    char text[WEFT_FLOAT_TEXT_MAX];
} add_float_call;

static weft_verdict add_float_step(void *ctx, const weft_item *old, weft_edit *edit) {
    add_float_call *call = ctx;
    long double present = 0;
    long double delta;
    call->error = NULL;
    if ((old != NULL && !weft_number_parse_float(old->payload, &present)) ||
        !weft_number_parse_float(call->argument, &delta)) {
        call->error = "ERR value is not a valid float";
        return WEFT_KEEP;
    }
    long double sum = present + delta;
    if (isnan(sum) || isinf(sum)) {
        call->error = "ERR increment would produce NaN or Infinity";
        return WEFT_KEEP;
    }
    call->size = weft_number_format_float(sum, call->text);
    edit->payload = weft_bytes_of(call->text, call->size);
    edit->deadline = old != NULL ? old->deadline : WEFT_NO_DEADLINE;
    return WEFT_SET;
}

void weft_cmd_incrbyfloat(weft_session *session, const weft_args *args) {
    add_float_call call;
    call.argument = args->items[2];
    if (!weft_keyspace_edit(session, args->items[1], add_float_step, &call)) {
        return;
    }
    if (call.error != NULL) {
        weft_reply_error(&session->out, "%s", call.error);
    } else {
        weft_reply_bulk(&session->out, weft_bytes_of(call.text, call.size));
    }
}
