/* SPDX-License-Identifier: MIT */
/* Commands on the deadlines of keys. */
#include "server/expiry.h"
#include "server/keyspace.h"

enum { MS_PER_SECOND = 1000 };

static bool reply_invalid_time(weft_session *session) {
    weft_reply_error(&session->out, "ERR invalid expire time in '%s' command",
                     session->last_command);
    return false;
}

static bool to_deadline(weft_session *session, int64_t number, weft_time time, int64_t *deadline) {
    int64_t factor = time.unit == WEFT_SECONDS ? MS_PER_SECOND : 1;
    if (__builtin_mul_overflow(number, factor, &number) ||
        __builtin_add_overflow(number, time.from_ms, deadline)) {
        return reply_invalid_time(session);
    }
    return true;
}

bool weft_deadline_argument(weft_session *session, weft_bytes argument, weft_time time,
                            int64_t *deadline) {
    int64_t number;
    return weft_integer_argument(session, argument, &number, NULL) &&
           to_deadline(session, number, time, deadline);
}

bool weft_lifetime_argument(weft_session *session, weft_bytes argument, weft_time time,
                            int64_t *deadline) {
    int64_t number;
    if (!weft_integer_argument(session, argument, &number, NULL)) {
        return false;
    }
    if (number <= 0) {
        return reply_invalid_time(session);
    }
    return to_deadline(session, number, time, deadline);
}

/* EXPIRE and its relatives. */
typedef struct expire_call {
    bool nx, xx, gt, lt;
    int64_t deadline;
    int64_t now;
    bool done;
} expire_call;

static bool condition_holds(const expire_call *call, int64_t present) {
    bool none = present == WEFT_NO_DEADLINE;
    if (call->nx && !none) {
        return false;
    }
    if (call->xx && none) {
        return false;
    }
    if (call->gt && (none || call->deadline <= present)) {
        return false;
    }
    return !call->lt || none || call->deadline < present;
}

static weft_verdict expire_step(void *ctx, const weft_item *old, weft_edit *edit) {
    expire_call *call = ctx;
    call->done = old != NULL && condition_holds(call, old->deadline);
    if (!call->done) {
        return WEFT_KEEP;
    }
    edit->payload = old->payload;
    edit->deadline = call->deadline;
    return call->deadline <= call->now ? WEFT_DEL : WEFT_SET;
}

static bool parse_conditions(weft_session *session, const weft_args *args, expire_call *call) {
    for (size_t i = 3; i < args->count; i++) {
        weft_bytes word = args->items[i];
        bool *flag = weft_word_is(word, "nx")   ? &call->nx
                     : weft_word_is(word, "xx") ? &call->xx
                     : weft_word_is(word, "gt") ? &call->gt
                     : weft_word_is(word, "lt") ? &call->lt
                                                : NULL;
        if (flag == NULL) {
            weft_reply_error(&session->out, "ERR Unsupported option %.*s", (int)word.size,
                             (const char *)word.data);
            return false;
        }
        *flag = true;
    }
    if (call->nx && (call->xx || call->gt || call->lt)) {
        weft_reply_error(&session->out, "ERR NX and XX, GT or LT options at the same time are "
                                        "not compatible");
        return false;
    }
    if (call->gt && call->lt) {
        weft_reply_error(&session->out,
                         "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

static void expire(weft_session *session, const weft_args *args, weft_time time) {
    expire_call call = {.now = weft_node_now_ms(session)};
    if (parse_conditions(session, args, &call) &&
        weft_deadline_argument(session, args->items[2], time, &call.deadline) &&
        weft_keyspace_edit(session, args->items[1], expire_step, &call)) {
        weft_reply_integer(&session->out, call.done);
    }
}

void weft_cmd_expire(weft_session *session, const weft_args *args) {
    expire(session, args, weft_time_base(session, WEFT_SECONDS, false));
}

void weft_cmd_pexpire(weft_session *session, const weft_args *args) {
    expire(session, args, weft_time_base(session, WEFT_MILLISECONDS, false));
}

void weft_cmd_expireat(weft_session *session, const weft_args *args) {
    expire(session, args, weft_time_base(session, WEFT_SECONDS, true));
}

void weft_cmd_pexpireat(weft_session *session, const weft_args *args) {
    expire(session, args, weft_time_base(session, WEFT_MILLISECONDS, true));
}

/* -2 for no key, -1 for no deadline, else the deadline less `from_ms`, in the unit, rounded. */
static void reply_time(weft_session *session, weft_bytes key, weft_time time) {
    weft_item item;
    if (!weft_keyspace_read(session, key, &item)) {
        weft_reply_integer(&session->out, -2);
        return;
    }
    if (item.deadline == WEFT_NO_DEADLINE) {
        weft_reply_integer(&session->out, -1);
        return;
    }
    int64_t left = item.deadline - time.from_ms;
    if (time.unit == WEFT_SECONDS) {
        left = left / MS_PER_SECOND + (left % MS_PER_SECOND >= MS_PER_SECOND / 2);
    }
    weft_reply_integer(&session->out, left);
}

void weft_cmd_ttl(weft_session *session, const weft_args *args) {
    reply_time(session, args->items[1], weft_time_base(session, WEFT_SECONDS, false));
}

void weft_cmd_pttl(weft_session *session, const weft_args *args) {
    reply_time(session, args->items[1], weft_time_base(session, WEFT_MILLISECONDS, false));
}

void weft_cmd_expiretime(weft_session *session, const weft_args *args) {
    reply_time(session, args->items[1], weft_time_base(session, WEFT_SECONDS, true));
}

void weft_cmd_pexpiretime(weft_session *session, const weft_args *args) {
    reply_time(session, args->items[1], weft_time_base(session, WEFT_MILLISECONDS, true));
}

typedef struct persist_call {
    bool done;
} persist_call;

static weft_verdict persist_step(void *ctx, const weft_item *old, weft_edit *edit) {
    persist_call *call = ctx;
    call->done = old != NULL && old->deadline != WEFT_NO_DEADLINE;
    if (!call->done) {
        return WEFT_KEEP;
    }
    edit->payload = old->payload;
    return WEFT_SET;
}

void weft_cmd_persist(weft_session *session, const weft_args *args) {
    persist_call call = {false};
    if (weft_keyspace_edit(session, args->items[1], persist_step, &call)) {
        weft_reply_integer(&session->out, call.done);
    }
}
