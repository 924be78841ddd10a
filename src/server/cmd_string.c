/* SPDX-License-Identifier: MIT */
/* Commands on one string: GET, SET and their kin. */
#include "base/memory.h"
#include "server/expiry.h"
#include "server/keyspace.h"
#include "server/number.h"
#include <string.h>

/* What the options of SET and GETEX ask for. */
typedef struct set_options {
    bool if_absent;  /* NX */
    bool if_present; /* XX */
    bool get;
    bool keep_ttl;
    bool persist;
    bool has_time; /* EX, PX, EXAT or PXAT */
    weft_time_unit unit;
    bool absolute;
    weft_bytes time;
} set_options;

enum { FOR_SET, FOR_GETEX };

/* EX, PX, EXAT or PXAT with its argument; false if it is none of them. */
static bool time_option(set_options *options, weft_bytes word) {
    static const struct {
        const char *name;
        weft_time_unit unit;
        bool absolute;
    } table[] = {{"ex", WEFT_SECONDS, false},
                 {"px", WEFT_MILLISECONDS, false},
                 {"exat", WEFT_SECONDS, true},
                 {"pxat", WEFT_MILLISECONDS, true}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (weft_word_is(word, table[i].name)) {
            bool same = options->unit == table[i].unit && options->absolute == table[i].absolute;
            bool clash = options->keep_ttl || options->persist || (options->has_time && !same);
            options->unit = table[i].unit;
            options->absolute = table[i].absolute;
            options->has_time = true;
            return !clash;
        }
    }
    return false;
}

static bool flag_option(set_options *options, weft_bytes word, int command) {
    if (command == FOR_SET && weft_word_is(word, "nx")) {
        return options->if_absent = !options->if_present;
    }
    if (command == FOR_SET && weft_word_is(word, "xx")) {
        return options->if_present = !options->if_absent;
    }
    if (command == FOR_SET && weft_word_is(word, "get")) {
        return options->get = true;
    }
    if (command == FOR_SET && weft_word_is(word, "keepttl")) {
        return options->keep_ttl = !options->has_time;
    }
    if (command == FOR_GETEX && weft_word_is(word, "persist")) {
        return options->persist = !options->has_time;
    }
    return false;
}

static bool parse_options(weft_session *session, const weft_args *args, int command,
                          set_options *options) {
    size_t first = command == FOR_SET ? 3 : 2;
    for (size_t i = first; i < args->count; i++) {
        if (flag_option(options, args->items[i], command)) {
            continue;
        }
        if (i + 1 == args->count || !time_option(options, args->items[i])) {
            weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
            return false;
        }
        options->time = args->items[++i];
    }
    return true;
}

static bool option_deadline(weft_session *session, const set_options *options, int64_t *deadline) {
    *deadline = WEFT_NO_DEADLINE;
    return !options->has_time ||
           weft_lifetime_argument(session, options->time,
                                  weft_time_base(session, options->unit, options->absolute),
                                  deadline);
}

/* SET with conditions, and its relatives. */
typedef struct set_call {
    const set_options *options;
    weft_bytes value;
    int64_t deadline;
    bool existed;
    bool stored;
    weft_bytes old;
} set_call;

static weft_verdict set_step(void *ctx, const weft_item *old, weft_edit *edit) {
    set_call *call = ctx;
    call->existed = old != NULL;
    call->stored = call->existed ? !call->options->if_absent : !call->options->if_present;
    if (old != NULL) {
        call->old = old->payload;
    }
    edit->payload = call->value;
    edit->deadline = call->options->keep_ttl && old != NULL ? old->deadline : call->deadline;
    return call->stored ? WEFT_SET : WEFT_KEEP;
}

/* A bulk reply of the value that was there, or null. */
static void reply_old(weft_session *session, const set_call *call) {
    if (call->existed) {
        weft_reply_bulk(&session->out, call->old);
    } else {
        weft_reply_null(&session->out);
    }
}

void weft_cmd_set(weft_session *session, const weft_args *args) {
    set_options options = {0};
    set_call call = {.options = &options, .value = args->items[2]};
    if (WEFT_LIKELY(args->count == 3)) {
        if (weft_keyspace_put(session, args->items[1], args->items[2], WEFT_NO_DEADLINE)) {
            weft_reply_ok(&session->out);
        }
        return;
    }
    if (!parse_options(session, args, FOR_SET, &options) ||
        !option_deadline(session, &options, &call.deadline) ||
        !weft_keyspace_edit(session, args->items[1], set_step, &call)) {
        return;
    }
    if (options.get) {
        reply_old(session, &call);
    } else if (call.stored) {
        weft_reply_ok(&session->out);
    } else {
        weft_reply_null(&session->out);
    }
}

void weft_cmd_setnx(weft_session *session, const weft_args *args) {
    const set_options options = {.if_absent = true};
    set_call call = {.options = &options, .value = args->items[2]};
    if (weft_keyspace_edit(session, args->items[1], set_step, &call)) {
        weft_reply_integer(&session->out, call.stored);
    }
}

static void set_with_lifetime(weft_session *session, const weft_args *args, weft_time_unit unit) {
    int64_t deadline;
    if (weft_lifetime_argument(session, args->items[2], weft_time_base(session, unit, false),
                               &deadline) &&
        weft_keyspace_put(session, args->items[1], args->items[3], deadline)) {
        weft_reply_ok(&session->out);
    }
}

void weft_cmd_setex(weft_session *session, const weft_args *args) {
    set_with_lifetime(session, args, WEFT_SECONDS);
}

void weft_cmd_psetex(weft_session *session, const weft_args *args) {
    set_with_lifetime(session, args, WEFT_MILLISECONDS);
}

void weft_cmd_get(weft_session *session, const weft_args *args) {
    weft_item item;
    if (weft_keyspace_read(session, args->items[1], &item)) {
        weft_reply_bulk(&session->out, item.payload);
    } else {
        weft_reply_null(&session->out);
    }
}

void weft_cmd_getset(weft_session *session, const weft_args *args) {
    const set_options options = {0};
    set_call call = {.options = &options, .value = args->items[2]};
    if (weft_keyspace_edit(session, args->items[1], set_step, &call)) {
        reply_old(session, &call);
    }
}

static weft_verdict getdel_step(void *ctx, const weft_item *old, weft_edit *edit) {
    set_call *call = ctx;
    (void)edit;
    call->existed = old != NULL;
    if (old != NULL) {
        call->old = old->payload;
    }
    return WEFT_DEL;
}

void weft_cmd_getdel(weft_session *session, const weft_args *args) {
    set_call call = {0};
    if (weft_keyspace_edit(session, args->items[1], getdel_step, &call)) {
        reply_old(session, &call);
    }
}

typedef struct getex_call {
    set_call seen;
    int64_t now;
} getex_call;

static weft_verdict getex_step(void *ctx, const weft_item *old, weft_edit *edit) {
    getex_call *call = ctx;
    set_call *seen = &call->seen;
    seen->existed = old != NULL;
    if (old == NULL) {
        return WEFT_KEEP;
    }
    seen->old = old->payload;
    edit->payload = old->payload;
    edit->deadline = seen->deadline;
    if (seen->options->has_time) {
        return seen->deadline <= call->now ? WEFT_DEL : WEFT_SET;
    }
    return seen->options->persist && old->deadline != WEFT_NO_DEADLINE ? WEFT_SET : WEFT_KEEP;
}

void weft_cmd_getex(weft_session *session, const weft_args *args) {
    set_options options = {0};
    getex_call call = {.seen.options = &options, .now = weft_node_now_ms(session)};
    if (!parse_options(session, args, FOR_GETEX, &options)) {
        return;
    }
    weft_item item;
    if (!weft_keyspace_read(session, args->items[1], &item)) {
        weft_reply_null(&session->out);
        return;
    }
    if (option_deadline(session, &options, &call.seen.deadline) &&
        weft_keyspace_edit(session, args->items[1], getex_step, &call)) {
        reply_old(session, &call.seen);
    }
}

void weft_cmd_strlen(weft_session *session, const weft_args *args) {
    weft_item item;
    bool found = weft_keyspace_read(session, args->items[1], &item);
    weft_reply_integer(&session->out, found ? (int64_t)item.payload.size : 0);
}

/* The part from `start` to `end`, both counted from the end if negative. */
static weft_bytes part_of(weft_bytes whole, int64_t start, int64_t end) {
    int64_t size = (int64_t)whole.size;
    if (start < 0 && end < 0 && start > end) {
        return weft_bytes_of(NULL, 0);
    }
    start = start < 0 ? start + size : start;
    end = end < 0 ? end + size : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= size ? size - 1 : end;
    if (size == 0 || start > end) {
        return weft_bytes_of(NULL, 0);
    }
    return weft_bytes_of((const char *)whole.data + start, (size_t)(end - start) + 1);
}

void weft_cmd_getrange(weft_session *session, const weft_args *args) {
    int64_t start;
    int64_t end;
    weft_item item;
    if (!weft_integer_argument(session, args->items[2], &start, NULL) ||
        !weft_integer_argument(session, args->items[3], &end, NULL)) {
        return;
    }
    bool found = weft_keyspace_read(session, args->items[1], &item);
    weft_bytes payload = found ? item.payload : weft_bytes_of(NULL, 0);
    weft_reply_bulk(&session->out, part_of(payload, start, end));
}

void weft_cmd_substr(weft_session *session, const weft_args *args) {
    weft_cmd_getrange(session, args);
}

/* APPEND and SETRANGE: what goes where, and the length afterwards. */
typedef struct splice_call {
    weft_bytes value;
    uint64_t offset;
    uint64_t length;
    bool too_long;
    bool no_memory;
    char *scratch;
    size_t scratch_size;
} splice_call;

static weft_verdict append_step(void *ctx, const weft_item *old, weft_edit *edit) {
    splice_call *call = ctx;
    call->length = (old != NULL ? old->payload.size : 0) + call->value.size;
    call->too_long = old != NULL && call->length > WEFT_STRING_SIZE_MAX;
    edit->payload = call->value;
    edit->append = true;
    return call->too_long ? WEFT_KEEP : WEFT_SET;
}

static void reply_length(weft_session *session, const splice_call *call) {
    if (call->too_long) {
        weft_reply_error(&session->out, WEFT_TOO_LONG_TEXT);
    } else if (call->no_memory) {
        weft_reply_error(&session->out, WEFT_OOM_TEXT);
    } else {
        weft_reply_integer(&session->out, (int64_t)call->length);
    }
}

void weft_cmd_append(weft_session *session, const weft_args *args) {
    splice_call call = {.value = args->items[2]};
    if (weft_keyspace_edit(session, args->items[1], append_step, &call)) {
        reply_length(session, &call);
    }
}

static void drop_scratch(splice_call *call) {
    weft_memory_free(NULL, call->scratch, call->scratch_size, 1);
    call->scratch = NULL;
}

/* The new value is put together in scratch memory: it has up to three pieces. */
static weft_verdict setrange_step(void *ctx, const weft_item *old, weft_edit *edit) {
    splice_call *call = ctx;
    size_t present = old != NULL ? old->payload.size : 0;
    uint64_t end = call->offset + call->value.size;
    drop_scratch(call);
    call->length = present;
    if (call->value.size == 0) {
        return WEFT_KEEP;
    }
    call->too_long = call->offset > WEFT_STRING_SIZE_MAX || end > WEFT_STRING_SIZE_MAX;
    if (call->too_long) {
        return WEFT_KEEP;
    }
    call->length = end > present ? end : present;
    call->scratch_size = call->length;
    call->scratch = weft_memory_alloc(NULL, call->length, 1);
    call->no_memory = call->scratch == NULL;
    if (call->no_memory) {
        return WEFT_KEEP;
    }
    if (present != 0) {
        memcpy(call->scratch, old->payload.data, present);
    }
    if (call->offset > present) {
        memset(call->scratch + present, 0, call->offset - present);
    }
    memcpy(call->scratch + call->offset, call->value.data, call->value.size);
    edit->payload = weft_bytes_of(call->scratch, call->length);
    edit->deadline = old != NULL ? old->deadline : WEFT_NO_DEADLINE;
    return WEFT_SET;
}

void weft_cmd_setrange(weft_session *session, const weft_args *args) {
    int64_t offset;
    splice_call call = {.value = args->items[3]};
    if (!weft_integer_argument(session, args->items[2], &offset, NULL)) {
        return;
    }
    if (offset < 0) {
        weft_reply_error(&session->out, "ERR offset is out of range");
        return;
    }
    call.offset = (uint64_t)offset;
    if (weft_keyspace_edit(session, args->items[1], setrange_step, &call)) {
        reply_length(session, &call);
    }
    drop_scratch(&call);
}
