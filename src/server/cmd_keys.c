/* SPDX-License-Identifier: MIT */
/* Commands on several keys, and on all of them. */
#include "base/memory.h"
#include "base/random.h"
#include "server/command.h"
#include "server/keyspace.h"
#include "server/number.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys whose lines are asked for together. */
enum { KEYS_AHEAD = 32 };

/* The first keys were asked for when the command was read; the others are, step by step. */
static void ask_ahead(weft_session *session, const weft_args *args, size_t at) {
    if (WEFT_UNLIKELY(at > KEYS_AHEAD) && at % KEYS_AHEAD == 1) {
        weft_map_prefetch(&session->node->map, args->items + at, args->count - at);
    }
}

void weft_cmd_mget(weft_session *session, const weft_args *args) {
    weft_reply_array(&session->out, args->count - 1);
    for (size_t i = 1; i < args->count; i++) {
        weft_item item;
        ask_ahead(session, args, i);
        if (weft_keyspace_read(session, args->items[i], &item)) {
            weft_reply_bulk(&session->out, item.payload);
        } else {
            weft_reply_null(&session->out);
        }
    }
}

static bool put_pairs(weft_session *session, const weft_args *args) {
    for (size_t i = 1; i < args->count; i += 2) {
        if (!weft_keyspace_put(session, args->items[i], args->items[i + 1], WEFT_NO_DEADLINE)) {
            return false;
        }
    }
    return true;
}

void weft_cmd_mset(weft_session *session, const weft_args *args) {
    if (args->count % 2 == 0) {
        weft_reply_arity(session);
    } else if (put_pairs(session, args)) {
        weft_reply_ok(&session->out);
    }
}

void weft_cmd_msetnx(weft_session *session, const weft_args *args) {
    if (args->count % 2 == 0) {
        weft_reply_arity(session);
        return;
    }
    for (size_t i = 1; i < args->count; i += 2) {
        weft_item item;
        if (weft_keyspace_look(session, args->items[i], &item)) {
            weft_reply_integer(&session->out, 0);
            return;
        }
    }
    if (put_pairs(session, args)) {
        weft_reply_integer(&session->out, 1);
    }
}

void weft_cmd_del(weft_session *session, const weft_args *args) {
    int64_t removed = 0;
    for (size_t i = 1; i < args->count; i++) {
        ask_ahead(session, args, i);
        removed += weft_keyspace_remove(session, args->items[i]);
    }
    weft_reply_integer(&session->out, removed);
}

void weft_cmd_unlink(weft_session *session, const weft_args *args) {
    weft_cmd_del(session, args);
}

void weft_cmd_exists(weft_session *session, const weft_args *args) {
    int64_t found = 0;
    for (size_t i = 1; i < args->count; i++) {
        weft_item item;
        ask_ahead(session, args, i);
        found += weft_keyspace_read(session, args->items[i], &item);
    }
    weft_reply_integer(&session->out, found);
}

void weft_cmd_touch(weft_session *session, const weft_args *args) {
    weft_cmd_exists(session, args);
}

void weft_cmd_type(weft_session *session, const weft_args *args) {
    weft_item item;
    bool found = weft_keyspace_look(session, args->items[1], &item);
    weft_reply_simple(&session->out, found ? "string" : "none");
}

static bool same(weft_bytes a, weft_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Move a value with its deadline; false after a reply that says why not. */
static bool move(weft_session *session, const weft_args *args, bool if_absent) {
    weft_item item;
    weft_item there;
    if (!weft_keyspace_look(session, args->items[1], &item)) {
        weft_reply_error(&session->out, "ERR no such key");
        return false;
    }
    bool identical = same(args->items[1], args->items[2]);
    if (if_absent && (identical || weft_keyspace_look(session, args->items[2], &there))) {
        weft_reply_integer(&session->out, 0);
        return false;
    }
    if (identical) {
        return true;
    }
    if (!weft_keyspace_put(session, args->items[2], item.payload, item.deadline)) {
        return false;
    }
    weft_keyspace_remove(session, args->items[1]);
    return true;
}

void weft_cmd_rename(weft_session *session, const weft_args *args) {
    if (move(session, args, false)) {
        weft_reply_ok(&session->out);
    }
}

void weft_cmd_renamenx(weft_session *session, const weft_args *args) {
    if (move(session, args, true)) {
        weft_reply_integer(&session->out, 1);
    }
}

static bool parse_copy(weft_session *session, const weft_args *args, bool *replace) {
    for (size_t i = 3; i < args->count; i++) {
        if (weft_word_is(args->items[i], "replace")) {
            *replace = true;
        } else if (weft_word_is(args->items[i], "db") && i + 1 < args->count) {
            if (!weft_database_argument(session, args->items[++i])) {
                return false;
            }
        } else {
            weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
            return false;
        }
    }
    return true;
}

void weft_cmd_copy(weft_session *session, const weft_args *args) {
    bool replace = false;
    weft_item item;
    weft_item there;
    if (!parse_copy(session, args, &replace)) {
        return;
    }
    if (same(args->items[1], args->items[2])) {
        weft_reply_error(&session->out, "ERR source and destination objects are the same");
        return;
    }
    if (!weft_keyspace_look(session, args->items[1], &item) ||
        (!replace && weft_keyspace_look(session, args->items[2], &there))) {
        weft_reply_integer(&session->out, 0);
        return;
    }
    if (weft_keyspace_put(session, args->items[2], item.payload, item.deadline)) {
        weft_reply_integer(&session->out, 1);
    }
}

/* Keys gathered by a walk, all valid until the batch's guard is left. */
typedef struct gathered {
    weft_bytes *keys;
    size_t count;
    size_t capacity;
    bool failed;
    bool filtered; /* by the pattern */
    weft_bytes pattern;
    int64_t now;
} gathered;

enum { GATHERED_FIRST_CAPACITY = 64 };

static bool gather(gathered *list, weft_bytes key) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? GATHERED_FIRST_CAPACITY : 2 * list->capacity;
        weft_bytes *keys = weft_memory_alloc(NULL, capacity * sizeof *keys, _Alignof(weft_bytes));
        if (keys == NULL) {
            list->failed = true;
            return false;
        }
        if (list->count != 0) {
            memcpy(keys, list->keys, list->count * sizeof *keys);
        }
        weft_memory_free(NULL, list->keys, list->capacity * sizeof *keys, _Alignof(weft_bytes));
        list->keys = keys;
        list->capacity = capacity;
    }
    list->keys[list->count++] = key;
    return true;
}

static bool visit(void *ctx, const weft_view *entry) {
    gathered *list = ctx;
    weft_item item;
    if (!weft_item_decode(entry, &item) || weft_item_expired(&item, list->now) ||
        (list->filtered && !weft_pattern_matches(list->pattern, entry->key, false))) {
        return true;
    }
    return gather(list, entry->key);
}

static void free_gathered(gathered *list) {
    weft_memory_free(NULL, list->keys, list->capacity * sizeof *list->keys, _Alignof(weft_bytes));
}

static void reply_gathered(weft_session *session, const gathered *list) {
    weft_reply_array(&session->out, list->count);
    for (size_t i = 0; i < list->count; i++) {
        weft_reply_bulk(&session->out, list->keys[i]);
    }
}

void weft_cmd_keys(weft_session *session, const weft_args *args) {
    gathered list = {.pattern = args->items[1], .filtered = true, .now = weft_node_now_ms(session)};
    weft_map_foreach(&session->node->map, visit, &list);
    if (list.failed) {
        weft_reply_error(&session->out, WEFT_OOM_TEXT);
    } else {
        reply_gathered(session, &list);
    }
    free_gathered(&list);
}

/* The options of SCAN. */
typedef struct scan_options {
    uint64_t cursor;
    int64_t count;
    bool other_type; /* TYPE of something that is never stored */
} scan_options;

enum { SCAN_COUNT_DEFAULT = 10, SCAN_STEPS_PER_KEY = 13, CURSOR_TEXT_MAX = 24 };

/* What strtoul takes, without leading blanks. */
static bool parse_cursor(weft_bytes argument, uint64_t *cursor) {
    char text[CURSOR_TEXT_MAX];
    if (argument.size >= sizeof text) {
        return false;
    }
    memcpy(text, argument.size == 0 ? "" : argument.data, argument.size);
    text[argument.size] = '\0';
    bool blank = text[0] == ' ' || (text[0] >= '\t' && text[0] <= '\r');
    char *end;
    errno = 0;
    *cursor = strtoul(text, &end, 10);
    return !blank && end == text + argument.size && errno != ERANGE;
}

static bool parse_scan(weft_session *session, const weft_args *args, scan_options *options,
                       gathered *list) {
    if (!parse_cursor(args->items[1], &options->cursor)) {
        weft_reply_error(&session->out, "ERR invalid cursor");
        return false;
    }
    for (size_t i = 2; i < args->count; i += 2) {
        bool pair = i + 1 < args->count;
        if (pair && weft_word_is(args->items[i], "count")) {
            if (!weft_integer_argument(session, args->items[i + 1], &options->count, NULL)) {
                return false;
            }
            if (options->count >= 1) {
                continue;
            }
        } else if (pair && weft_word_is(args->items[i], "match")) {
            list->pattern = args->items[i + 1];
            list->filtered = true;
            continue;
        } else if (pair && weft_word_is(args->items[i], "type")) {
            options->other_type = !weft_word_is(args->items[i + 1], "string");
            continue;
        }
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return false;
    }
    return true;
}

/* All keys that a step visits are counted, matching or not, so that a step stays short. */
typedef struct scan_call {
    gathered list;
    int64_t seen;
    bool none;
} scan_call;

static bool scan_visit(void *ctx, const weft_view *entry) {
    scan_call *call = ctx;
    call->seen++;
    return call->none || visit(&call->list, entry);
}

void weft_cmd_scan(weft_session *session, const weft_args *args) {
    scan_options options = {.count = SCAN_COUNT_DEFAULT};
    scan_call call = {.list.now = weft_node_now_ms(session)};
    if (!parse_scan(session, args, &options, &call.list)) {
        return;
    }
    call.none = options.other_type;
    int64_t steps = options.count > INT64_MAX / SCAN_STEPS_PER_KEY
                        ? INT64_MAX
                        : options.count * SCAN_STEPS_PER_KEY;
    do {
        weft_map_scan(&session->node->map, &options.cursor, scan_visit, &call);
    } while (options.cursor != 0 && call.seen < options.count && --steps > 0);
    if (call.list.failed) {
        weft_reply_error(&session->out, WEFT_OOM_TEXT);
    } else {
        char text[CURSOR_TEXT_MAX];
        snprintf(text, sizeof text, "%llu", (unsigned long long)options.cursor);
        weft_reply_array(&session->out, 2);
        weft_reply_text(&session->out, text);
        reply_gathered(session, &call.list);
    }
    free_gathered(&call.list);
}

/* Walk from a random place to the first keys, and choose among these. */
void weft_cmd_randomkey(weft_session *session, const weft_args *args) {
    (void)args;
    gathered list = {.now = weft_node_now_ms(session)};
    uint64_t random = weft_random_u64();
    uint64_t cursor = random;
    for (int rounds = 0; rounds < 2 && list.count == 0 && !list.failed;) {
        weft_map_scan(&session->node->map, &cursor, visit, &list);
        rounds += cursor == 0;
    }
    if (list.failed) {
        weft_reply_error(&session->out, WEFT_OOM_TEXT);
    } else if (list.count == 0) {
        weft_reply_null(&session->out);
    } else {
        weft_reply_bulk(&session->out, list.keys[(random >> 32) % list.count]);
    }
    free_gathered(&list);
}

void weft_cmd_dbsize(weft_session *session, const weft_args *args) {
    (void)args;
    weft_reply_integer(&session->out, (int64_t)weft_map_len(&session->node->map));
}

void weft_cmd_flushall(weft_session *session, const weft_args *args) {
    bool known = args->count == 1 || (args->count == 2 && (weft_word_is(args->items[1], "async") ||
                                                           weft_word_is(args->items[1], "sync")));
    if (!known) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
    } else if (weft_keyspace_clear(session)) {
        weft_reply_ok(&session->out);
    }
}

void weft_cmd_flushdb(weft_session *session, const weft_args *args) {
    weft_cmd_flushall(session, args);
}
