/* SPDX-License-Identifier: MIT */
/* Commands on the connection itself. */
#include "server/transaction.h"
#include <string.h>

void weft_cmd_ping(weft_session *session, const weft_args *args) {
    if (args->count > 2) {
        weft_reply_arity(session);
    } else if (args->count == 2) {
        weft_reply_bulk(&session->out, args->items[1]);
    } else {
        weft_reply_simple(&session->out, "PONG");
    }
}

void weft_cmd_echo(weft_session *session, const weft_args *args) {
    weft_reply_bulk(&session->out, args->items[1]);
}

void weft_cmd_quit(weft_session *session, const weft_args *args) {
    (void)args;
    session->last_command = "quit";
    weft_reply_ok(&session->out);
    session->close_after_reply = true;
}

void weft_cmd_select(weft_session *session, const weft_args *args) {
    if (weft_database_argument(session, args->items[1])) {
        weft_reply_ok(&session->out);
    }
}

/* Takes the same time wherever the first difference is. */
static bool same_password(const char *password, weft_bytes given) {
    size_t size = strlen(password);
    const unsigned char *bytes = given.data;
    unsigned difference = size != given.size;
    for (size_t i = 0; i < given.size; i++) {
        difference |= bytes[i] ^ (unsigned char)password[size == 0 ? 0 : i % size];
    }
    return difference == 0;
}

/* The one user is "default"; without a password it may always come in. */
static bool log_in(weft_session *session, weft_bytes user, weft_bytes password) {
    const char *expected = session->node->password;
    bool known = user.size == 7 && memcmp(user.data, "default", 7) == 0;
    if (!known || (expected[0] != '\0' && !same_password(expected, password))) {
        weft_reply_error(&session->out, WEFT_WRONGPASS_TEXT);
        return false;
    }
    session->authenticated = true;
    return true;
}

void weft_cmd_auth(weft_session *session, const weft_args *args) {
    if (args->count > 3) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return;
    }
    if (args->count == 2 && session->node->password[0] == '\0') {
        weft_reply_error(&session->out,
                         "ERR AUTH <password> called without any password configured for the "
                         "default user. Are you sure your configuration is correct?");
        return;
    }
    weft_bytes user = args->count == 3 ? args->items[1] : weft_str("default");
    if (log_in(session, user, args->items[args->count - 1])) {
        weft_reply_ok(&session->out);
    }
}

/* What HELLO's options ask for. */
typedef struct hello_call {
    int64_t protocol;
    const weft_bytes *user; /* and password behind it; NULL: no AUTH */
    const weft_bytes *name; /* NULL: no SETNAME */
} hello_call;

static bool parse_hello(weft_session *session, const weft_args *args, hello_call *call) {
    if (args->count < 2) {
        return true;
    }
    if (!weft_integer_argument(session, args->items[1], &call->protocol,
                               "ERR Protocol version is not an integer or out of range")) {
        return false;
    }
    if (call->protocol < 2 || call->protocol > 3) {
        weft_reply_error(&session->out, "NOPROTO unsupported protocol version");
        return false;
    }
    for (size_t i = 2; i < args->count; i++) {
        size_t left = args->count - 1 - i;
        if (weft_word_is(args->items[i], "auth") && left >= 2) {
            call->user = &args->items[i + 1];
            i += 2;
        } else if (weft_word_is(args->items[i], "setname") && left >= 1) {
            call->name = &args->items[++i];
        } else {
            weft_reply_error(&session->out, "ERR Syntax error in HELLO option '%.*s'",
                             (int)args->items[i].size, (const char *)args->items[i].data);
            return false;
        }
    }
    return true;
}

static void reply_hello(weft_session *session) {
    weft_output *out = &session->out;
    weft_reply_map(out, 7);
    weft_reply_text(out, "server");
    weft_reply_text(out, "redis");
    weft_reply_text(out, "version");
    weft_reply_text(out, WEFT_REDIS_VERSION);
    weft_reply_text(out, "proto");
    weft_reply_integer(out, out->protocol);
    weft_reply_text(out, "id");
    weft_reply_integer(out, (int64_t)session->id);
    weft_reply_text(out, "mode");
    weft_reply_text(out, "standalone");
    weft_reply_text(out, "role");
    weft_reply_text(out, "master");
    weft_reply_text(out, "modules");
    weft_reply_array(out, 0);
}

void weft_cmd_hello(weft_session *session, const weft_args *args) {
    hello_call call = {.protocol = session->out.protocol};
    if (!parse_hello(session, args, &call) ||
        (call.user != NULL && !log_in(session, call.user[0], call.user[1]))) {
        return;
    }
    if (!session->authenticated) {
        weft_reply_error(&session->out,
                         "NOAUTH HELLO must be called with the client already authenticated, "
                         "otherwise the HELLO AUTH <user> <pass> option can be used to "
                         "authenticate the client and select the RESP protocol version at the "
                         "same time");
        return;
    }
    if (call.name != NULL && !weft_session_rename(session, *call.name)) {
        return;
    }
    session->out.protocol = (uint8_t)call.protocol;
    reply_hello(session);
}

void weft_cmd_reset(weft_session *session, const weft_args *args) {
    (void)args;
    weft_transaction_end(session);
    session->out.protocol = 2;
    session->name[0] = '\0';
    session->reply_off = session->out.muted = false;
    session->no_evict = false;
    session->authenticated = session->node->password[0] == '\0';
    weft_reply_simple(&session->out, "RESET");
}
