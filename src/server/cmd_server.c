/* SPDX-License-Identifier: MIT */
/* Commands on the server as a whole, and on how it stores a value. */
#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "server/command.h"
#include "server/journal.h"
#include "server/keyspace.h"
#include "server/number.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MS_PER_SECOND = 1000,
    EMBEDDED_SIZE_MAX = 44, /* up to this length Redis says "embstr" */
    ENTRY_HEADER = 16,      /* bytes of a map entry beside key and value */
    SLOT = 8,
};

void weft_cmd_object_encoding(weft_session *session, const weft_args *args) {
    weft_item item;
    int64_t number;
    if (!weft_keyspace_look(session, args->items[2], &item)) {
        weft_reply_null(&session->out);
    } else if (weft_number_parse(item.payload, &number)) {
        weft_reply_text(&session->out, "int");
    } else {
        weft_reply_text(&session->out, item.payload.size <= EMBEDDED_SIZE_MAX ? "embstr" : "raw");
    }
}

static void reply_number_of_key(weft_session *session, weft_bytes key, int64_t number) {
    weft_item item;
    if (weft_keyspace_look(session, key, &item)) {
        weft_reply_integer(&session->out, number);
    } else {
        weft_reply_null(&session->out);
    }
}

/* Reads store nothing, so the time since the last access is not known; 0 is its lower bound. */
void weft_cmd_object_idletime(weft_session *session, const weft_args *args) {
    reply_number_of_key(session, args->items[2], 0);
}

void weft_cmd_object_refcount(weft_session *session, const weft_args *args) {
    reply_number_of_key(session, args->items[2], 1);
}

void weft_cmd_object_freq(weft_session *session, const weft_args *args) {
    weft_item item;
    if (!weft_keyspace_look(session, args->items[2], &item)) {
        weft_reply_null(&session->out);
        return;
    }
    weft_reply_error(&session->out,
                     "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                     "Please note that when switching between policies at runtime LRU and LFU "
                     "data will take some time to adjust.");
}

/* SAMPLES n is checked and makes no difference: a value is one piece. */
static bool parse_samples(weft_session *session, const weft_args *args) {
    for (size_t i = 3; i < args->count; i += 2) {
        int64_t samples = -1;
        if (i + 1 < args->count && weft_word_is(args->items[i], "samples")) {
            if (!weft_integer_argument(session, args->items[i + 1], &samples, NULL)) {
                return false;
            }
        }
        if (samples < 0) {
            weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
            return false;
        }
    }
    return true;
}

void weft_cmd_memory_usage(weft_session *session, const weft_args *args) {
    weft_item item;
    if (!parse_samples(session, args)) {
        return;
    }
    if (!weft_keyspace_look(session, args->items[2], &item)) {
        weft_reply_null(&session->out);
        return;
    }
    size_t head = item.deadline == WEFT_NO_DEADLINE ? 1 : 1 + sizeof item.deadline;
    weft_reply_integer(&session->out, (int64_t)(SLOT + ENTRY_HEADER + head + args->items[2].size +
                                                item.payload.size));
}

void weft_cmd_memory_stats(weft_session *session, const weft_args *args) {
    (void)args;
    weft_map_stats stats;
    weft_node *node = session->node;
    uint64_t used = weft_keyspace_measure(node);
    weft_map_stats_get(&node->map, &stats);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"peak.allocated", weft_load_relaxed(&node->peak_memory)},
        {"total.allocated", used},
        {"overhead.total", stats.table_bytes},
        {"keys.count", stats.entries},
        {"keys.bytes-per-key", stats.entries == 0 ? 0 : used / stats.entries},
        {"dataset.bytes", stats.entry_bytes},
        {"pending.bytes", stats.pending_bytes},
    };
    size_t count = sizeof rows / sizeof *rows;
    weft_reply_map(&session->out, count);
    for (size_t i = 0; i < count; i++) {
        weft_reply_text(&session->out, rows[i].name);
        weft_reply_integer(&session->out, (int64_t)rows[i].value);
    }
}

static void debug_sleep(weft_session *session, weft_bytes argument) {
    char text[32];
    size_t size = argument.size < sizeof text ? argument.size : sizeof text - 1;
    memcpy(text, argument.data, size);
    text[size] = '\0';
    double seconds = strtod(text, NULL);
    if (seconds > 0 && isfinite(seconds)) {
        weft_sleep_ns((uint64_t)(seconds * 1e9));
    }
    weft_reply_ok(&session->out);
}

void weft_cmd_debug(weft_session *session, const weft_args *args) {
    if (args->count == 3 && weft_word_is(args->items[1], "sleep")) {
        debug_sleep(session, args->items[2]);
    } else if (args->count == 2 && weft_word_is(args->items[1], "help")) {
        weft_reply_array(&session->out, 3);
        weft_reply_simple(&session->out,
                          "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        weft_reply_simple(&session->out, "SLEEP <seconds>");
        weft_reply_simple(&session->out,
                          "    Stop one event loop for <seconds>; decimals allowed.");
    } else {
        int shown = args->items[1].size < 128 ? (int)args->items[1].size : 128;
        weft_reply_error(&session->out,
                         "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try "
                         "DEBUG HELP.",
                         shown, (const char *)args->items[1].data);
    }
}

static void checkpoint(weft_session *session, bool wait, const char *done) {
    const char *text = weft_journal_checkpoint(session->node, wait);
    if (text != NULL) {
        weft_reply_error(&session->out, "%s", text);
    } else {
        weft_reply_simple(&session->out, done);
    }
}

void weft_cmd_save(weft_session *session, const weft_args *args) {
    (void)args;
    checkpoint(session, true, "OK");
}

void weft_cmd_bgsave(weft_session *session, const weft_args *args) {
    if (args->count > 2 || (args->count == 2 && !weft_word_is(args->items[1], "schedule"))) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return;
    }
    checkpoint(session, false, "Background saving started");
}

void weft_cmd_lastsave(weft_session *session, const weft_args *args) {
    (void)args;
    weft_reply_integer(&session->out,
                       weft_load_relaxed(&session->node->last_save_ms) / MS_PER_SECOND);
}

/* The options of SHUTDOWN. NOW and FORCE change nothing: there are no replicas to wait for. */
typedef struct shutdown_call {
    bool save;
    bool nosave;
    bool hurry;
    bool abort;
} shutdown_call;

static bool parse_shutdown(const weft_args *args, shutdown_call *call) {
    for (size_t i = 1; i < args->count; i++) {
        if (weft_word_is(args->items[i], "nosave")) {
            call->nosave = true;
        } else if (weft_word_is(args->items[i], "save")) {
            call->save = true;
        } else if (weft_word_is(args->items[i], "now") || weft_word_is(args->items[i], "force")) {
            call->hurry = true;
        } else if (weft_word_is(args->items[i], "abort")) {
            call->abort = true;
        } else {
            return false;
        }
    }
    bool other = call->save || call->nosave || call->hurry;
    return !(call->save && call->nosave) && !(call->abort && other);
}

void weft_cmd_shutdown(weft_session *session, const weft_args *args) {
    shutdown_call call = {0};
    if (!parse_shutdown(args, &call)) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return;
    }
    if (call.abort) {
        weft_reply_error(&session->out, "ERR No shutdown in progress.");
        return;
    }
    const char *text = call.save ? weft_journal_checkpoint(session->node, true) : NULL;
    if (text != NULL) {
        weft_reply_error(&session->out, "ERR Errors trying to SHUTDOWN. Check logs.");
        return;
    }
    session->close_after_reply = true;
    weft_node_stop(session->node);
}

/* There are no replicas, so none can answer: 0 at once, whatever the timeout. */
void weft_cmd_wait(weft_session *session, const weft_args *args) {
    int64_t replicas;
    int64_t timeout;
    if (!weft_integer_argument(session, args->items[1], &replicas, NULL) ||
        !weft_integer_argument(session, args->items[2], &timeout,
                               "ERR timeout is not an integer or out of range")) {
        return;
    }
    if (timeout < 0) {
        weft_reply_error(&session->out, "ERR timeout is negative");
        return;
    }
    weft_reply_integer(&session->out, 0);
}

void weft_cmd_time(weft_session *session, const weft_args *args) {
    (void)args;
    char text[WEFT_NUMBER_TEXT_MAX];
    int64_t now = (int64_t)weft_clock_wall_ms();
    int64_t micros = now % MS_PER_SECOND * MS_PER_SECOND;
    weft_reply_array(&session->out, 2);
    weft_reply_bulk(&session->out,
                    weft_bytes_of(text, weft_number_format(now / MS_PER_SECOND, text)));
    weft_reply_bulk(&session->out, weft_bytes_of(text, weft_number_format(micros, text)));
}
