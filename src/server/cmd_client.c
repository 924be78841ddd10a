/* SPDX-License-Identifier: MIT */
/* CLIENT. LIST and KILL run alone in the gate, so that other sessions' fields stand still. */
#include "base/atomic.h"
#include "server/number.h"
#include "server/text.h"
#include "server/transaction.h"
#include <string.h>

enum { MS_PER_SECOND = 1000 };

static bool printable(weft_bytes text) {
    const unsigned char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (bytes[i] < '!' || bytes[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool store_name(char *field, size_t capacity, weft_bytes name) {
    if (name.size >= capacity) {
        return false;
    }
    if (name.size != 0) {
        memcpy(field, name.data, name.size);
    }
    field[name.size] = '\0';
    return true;
}

bool weft_session_rename(weft_session *session, weft_bytes name) {
    if (!printable(name)) {
        weft_reply_error(&session->out, "ERR Client names cannot contain spaces, newlines or "
                                        "special characters.");
        return false;
    }
    if (!store_name(session->name, sizeof session->name, name)) {
        weft_reply_error(&session->out, "ERR Client names cannot be longer than %zu bytes",
                         sizeof session->name - 1);
        return false;
    }
    return true;
}

void weft_cmd_client_id(weft_session *session, const weft_args *args) {
    (void)args;
    weft_reply_integer(&session->out, (int64_t)session->id);
}

void weft_cmd_client_setname(weft_session *session, const weft_args *args) {
    if (weft_session_rename(session, args->items[2])) {
        weft_reply_ok(&session->out);
    }
}

void weft_cmd_client_getname(weft_session *session, const weft_args *args) {
    (void)args;
    if (session->name[0] != '\0') {
        weft_reply_text(&session->out, session->name);
    } else {
        weft_reply_null(&session->out);
    }
}

void weft_cmd_client_setinfo(weft_session *session, const weft_args *args) {
    bool name = weft_word_is(args->items[2], "lib-name");
    if (!name && !weft_word_is(args->items[2], "lib-ver")) {
        weft_reply_error(&session->out, "ERR Unrecognized option '%.*s'", (int)args->items[2].size,
                         (const char *)args->items[2].data);
        return;
    }
    if (!printable(args->items[3]) || !store_name(name ? session->lib_name : session->lib_version,
                                                  sizeof session->lib_name, args->items[3])) {
        weft_reply_error(&session->out,
                         "ERR %s cannot contain spaces, newlines or special characters.",
                         name ? "lib-name" : "lib-ver");
        return;
    }
    weft_reply_ok(&session->out);
}

static void describe(weft_text *text, const weft_session *session, int64_t now) {
    const char *flags = session->close_after_reply ? "c"
                        : weft_transaction_open(session)
                            ? "x"
                            : (session->unix_socket ? "U" : (session->no_evict ? "e" : "N"));
    weft_text_add(text, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s ",
                  (unsigned long long)session->id, session->peer, session->local, session->fd,
                  session->name, (long long)((now - session->created_ms) / MS_PER_SECOND),
                  (long long)((now - session->last_active_ms) / MS_PER_SECOND), flags);
    weft_text_add(text, "db=%u sub=0 psub=0 ssub=0 multi=%lld qbuf=%llu qbuf-free=0 ",
                  session->database, (long long)weft_transaction_queued(session),
                  (unsigned long long)session->input_pending);
    weft_text_add(text, "argv-mem=0 multi-mem=0 rbs=%zu rbp=0 obl=%zu oll=0 omem=%zu ",
                  session->out.capacity, session->out.size, session->out.size);
    weft_text_add(text, "tot-mem=%zu events=r cmd=%s user=default redir=-1 resp=%u ",
                  sizeof *session + session->out.capacity, session->last_command,
                  session->out.protocol);
    weft_text_add(text, "lib-name=%s lib-ver=%s\n", session->lib_name, session->lib_version);
}

void weft_cmd_client_info(weft_session *session, const weft_args *args) {
    (void)args;
    weft_text text = {0};
    describe(&text, session, weft_node_now_ms(session));
    weft_text_reply(&text, &session->out);
}

/* Which sessions LIST shows, or KILL closes. */
typedef struct client_filter {
    weft_session *self;
    bool other_type; /* TYPE of a kind of connection that never exists here */
    bool skip_self;
    int64_t id; /* 0: any; LIST takes `ids` */
    const weft_bytes *ids;
    size_t ids_count;
    const weft_bytes *address;
    const weft_bytes *local;
    int64_t now;
    weft_text text;
    int64_t killed;
} client_filter;

/* A TYPE argument: false after an error reply. */
static bool type_argument(weft_session *session, weft_bytes argument, client_filter *filter) {
    static const char *const others[] = {"master", "replica", "slave", "pubsub"};
    filter->other_type = false;
    if (weft_word_is(argument, "normal")) {
        return true;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (weft_word_is(argument, others[i])) {
            filter->other_type = true;
            return true;
        }
    }
    weft_reply_error(&session->out, "ERR Unknown client type '%.*s'", (int)argument.size,
                     (const char *)argument.data);
    return false;
}

static bool ids_have(const client_filter *filter, uint64_t id) {
    for (size_t i = 0; i < filter->ids_count; i++) {
        int64_t wanted;
        if (weft_number_parse(filter->ids[i], &wanted) && (uint64_t)wanted == id) {
            return true;
        }
    }
    return filter->ids == NULL;
}

static void list_one(void *ctx, weft_session *session) {
    client_filter *filter = ctx;
    if (!filter->other_type && ids_have(filter, session->id)) {
        describe(&filter->text, session, filter->now);
    }
}

static bool parse_list(weft_session *session, const weft_args *args, client_filter *filter) {
    if (args->count == 2) {
        return true;
    }
    if (args->count == 4 && weft_word_is(args->items[2], "type")) {
        return type_argument(session, args->items[3], filter);
    }
    if (args->count < 4 || !weft_word_is(args->items[2], "id")) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return false;
    }
    filter->ids = &args->items[3];
    filter->ids_count = args->count - 3;
    for (size_t i = 0; i < filter->ids_count; i++) {
        int64_t id;
        if (!weft_integer_argument(session, filter->ids[i], &id, "ERR Invalid client ID")) {
            return false;
        }
    }
    return true;
}

void weft_cmd_client_list(weft_session *session, const weft_args *args) {
    client_filter filter = {.self = session, .now = weft_node_now_ms(session)};
    if (parse_list(session, args, &filter)) {
        weft_sessions_each(session->node, list_one, &filter);
        weft_text_reply(&filter.text, &session->out);
    }
}

static bool text_is(const char *text, const weft_bytes *wanted) {
    return wanted == NULL ||
           (strlen(text) == wanted->size && memcmp(text, wanted->data, wanted->size) == 0);
}

static void kill_one(void *ctx, weft_session *session) {
    client_filter *filter = ctx;
    bool self = session == filter->self;
    if (filter->other_type || (self && filter->skip_self) ||
        (filter->id != 0 && session->id != (uint64_t)filter->id) ||
        !text_is(session->peer, filter->address) || !text_is(session->local, filter->local)) {
        return;
    }
    filter->killed++;
    if (self) {
        session->close_after_reply = true;
    } else {
        weft_session_kill(session);
    }
}

/* One option of KILL with its value; false after an error reply. */
static bool kill_option(weft_session *session, const weft_bytes *option, client_filter *filter) {
    const weft_bytes *value = option + 1;
    if (weft_word_is(*option, "id")) {
        static const char text[] = "ERR client-id should be greater than 0";
        if (!weft_integer_argument(session, *value, &filter->id, text)) {
            return false;
        }
        if (filter->id < 1) {
            weft_reply_error(&session->out, "%s", text);
            return false;
        }
    } else if (weft_word_is(*option, "type")) {
        return type_argument(session, *value, filter);
    } else if (weft_word_is(*option, "addr")) {
        filter->address = value;
    } else if (weft_word_is(*option, "laddr")) {
        filter->local = value;
    } else if (weft_word_is(*option, "user")) {
        if (value->size != 7 || memcmp(value->data, "default", 7) != 0) {
            weft_reply_error(&session->out, "ERR No such user '%.*s'", (int)value->size,
                             (const char *)value->data);
            return false;
        }
    } else if (weft_word_is(*option, "skipme") &&
               (weft_word_is(*value, "yes") || weft_word_is(*value, "no"))) {
        filter->skip_self = weft_word_is(*value, "yes");
    } else {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return false;
    }
    return true;
}

void weft_cmd_client_kill(weft_session *session, const weft_args *args) {
    client_filter filter = {.self = session, .skip_self = args->count > 3};
    if (args->count == 3) {
        filter.address = &args->items[2];
    } else if (args->count % 2 == 1) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return;
    }
    for (size_t i = 2; i + 1 < args->count; i += 2) {
        if (!kill_option(session, &args->items[i], &filter)) {
            return;
        }
    }
    weft_sessions_each(session->node, kill_one, &filter);
    if (args->count > 3) {
        weft_reply_integer(&session->out, filter.killed);
    } else if (filter.killed != 0) {
        weft_reply_ok(&session->out);
    } else {
        weft_reply_error(&session->out, "ERR No such client");
    }
}

void weft_cmd_client_reply(weft_session *session, const weft_args *args) {
    if (weft_word_is(args->items[2], "on")) {
        session->reply_off = session->out.muted = false;
        weft_reply_ok(&session->out);
    } else if (weft_word_is(args->items[2], "off")) {
        session->reply_off = session->out.muted = true;
    } else if (weft_word_is(args->items[2], "skip")) {
        session->reply_skip_next = !session->reply_off;
    } else {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
    }
}

/* ON or OFF; false after an error reply. */
static bool switch_argument(weft_session *session, weft_bytes argument, bool *on) {
    *on = weft_word_is(argument, "on");
    if (!*on && !weft_word_is(argument, "off")) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return false;
    }
    return true;
}

void weft_cmd_client_no_evict(weft_session *session, const weft_args *args) {
    bool on;
    if (switch_argument(session, args->items[2], &on)) {
        session->no_evict = on;
        weft_reply_ok(&session->out);
    }
}

void weft_cmd_client_no_touch(weft_session *session, const weft_args *args) {
    bool on;
    if (switch_argument(session, args->items[2], &on)) {
        weft_reply_ok(&session->out);
    }
}
