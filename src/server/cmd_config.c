/* SPDX-License-Identifier: MIT */
/* CONFIG: the settings of the node under the names that Redis gives them. Most are fixed at the
 * start; of a fixed one CONFIG SET takes the present value only. */
#include "base/atomic.h"
#include "server/command.h"
#include "server/keyspace.h"
#include "server/number.h"
#include "server/text.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUE_MAX = PATH_MAX + 1 };

typedef struct config_setting {
    const char *name;
    void (*get)(const weft_node *node, char *value);
    const char *(*set)(weft_node *node, weft_bytes value); /* NULL: fixed. Says what is wrong */
} config_setting;

static void get_port(const weft_node *node, char *value) {
    snprintf(value, VALUE_MAX, "%u", node->options.port);
}

static void get_bind(const weft_node *node, char *value) {
    snprintf(value, VALUE_MAX, "%s", node->options.bind != NULL ? node->options.bind : "");
}

static void get_unix(const weft_node *node, char *value) {
    snprintf(value, VALUE_MAX, "%s",
             node->options.unix_path != NULL ? node->options.unix_path : "");
}

static void get_directory(const weft_node *node, char *value) {
    const char *directory = node->options.directory != NULL ? node->options.directory : ".";
    if (realpath(directory, value) == NULL) {
        snprintf(value, VALUE_MAX, "%s", directory);
    }
}

static void get_max_memory(const weft_node *node, char *value) {
    snprintf(value, VALUE_MAX, "%" PRIu64, weft_load_relaxed(&node->options.max_memory));
}

static void get_max_clients(const weft_node *node, char *value) {
    snprintf(value, VALUE_MAX, "%u", weft_load_relaxed(&node->options.max_clients));
}

static void get_append_only(const weft_node *node, char *value) {
    snprintf(value, VALUE_MAX, "%s", node->log != NULL ? "yes" : "no");
}

static void get_append_sync(const weft_node *node, char *value) {
    static const char *const names[] = {
        [WEFT_SYNC_ALWAYS] = "always", [WEFT_SYNC_EVERYSEC] = "everysec", [WEFT_SYNC_NO] = "no"};
    snprintf(value, VALUE_MAX, "%s", names[node->options.sync]);
}

static void get_threads(const weft_node *node, char *value) {
    snprintf(value, VALUE_MAX, "%u", node->options.threads);
}

static void get_bulk_limit(const weft_node *node, char *value) {
    (void)node;
    snprintf(value, VALUE_MAX, "%zu", WEFT_STRING_SIZE_MAX);
}

static void get_empty(const weft_node *node, char *value) {
    (void)node;
    value[0] = '\0';
}

static void get_zero(const weft_node *node, char *value) {
    (void)node;
    snprintf(value, VALUE_MAX, "0");
}

static void get_one(const weft_node *node, char *value) {
    (void)node;
    snprintf(value, VALUE_MAX, "1");
}

static void get_policy(const weft_node *node, char *value) {
    (void)node;
    snprintf(value, VALUE_MAX, "noeviction");
}

static uint64_t unit_of(weft_bytes suffix) {
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1 << 10},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (weft_word_is(suffix, units[i].name)) {
            return units[i].bytes;
        }
    }
    return 0;
}

/* "100", "10k", "1gb". */
static bool parse_memory(weft_bytes text, uint64_t *bytes) {
    const char *at = text.data;
    size_t digits = 0;
    uint64_t number = 0;
    for (; digits < text.size && at[digits] >= '0' && at[digits] <= '9'; digits++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(at[digits] - '0'), &number)) {
            return false;
        }
    }
    uint64_t unit = unit_of(weft_bytes_of(at + digits, text.size - digits));
    return digits != 0 && unit != 0 && !__builtin_mul_overflow(number, unit, bytes);
}

static const char *set_max_memory(weft_node *node, weft_bytes value) {
    uint64_t bytes;
    if (!parse_memory(value, &bytes)) {
        return "argument must be a memory value";
    }
    weft_store_relaxed(&node->options.max_memory, bytes);
    weft_keyspace_measure(node);
    return NULL;
}

static const char *set_max_clients(weft_node *node, weft_bytes value) {
    int64_t number;
    if (!weft_number_parse(value, &number)) {
        return "argument couldn't be parsed into an integer";
    }
    if (number < 1 || number > UINT32_MAX) {
        return "argument must be between 1 and 4294967295 inclusive";
    }
    weft_store_relaxed(&node->options.max_clients, (uint32_t)number);
    return NULL;
}

static const config_setting settings[] = {
    {"appendfsync", get_append_sync, NULL},
    {"appendonly", get_append_only, NULL},
    {"bind", get_bind, NULL},
    {"databases", get_one, NULL},
    {"dir", get_directory, NULL},
    {"io-threads", get_threads, NULL},
    {"maxclients", get_max_clients, set_max_clients},
    {"maxmemory", get_max_memory, set_max_memory},
    {"maxmemory-policy", get_policy, NULL},
    {"port", get_port, NULL},
    {"proto-max-bulk-len", get_bulk_limit, NULL},
    {"save", get_empty, NULL},
    {"timeout", get_zero, NULL},
    {"unixsocket", get_unix, NULL},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

static const config_setting *find(weft_bytes name) {
    for (size_t i = 0; i < SETTINGS; i++) {
        if (weft_word_is(name, settings[i].name)) {
            return &settings[i];
        }
    }
    return NULL;
}

static bool wanted(const weft_args *args, const config_setting *setting) {
    for (size_t i = 2; i < args->count; i++) {
        if (weft_pattern_matches(args->items[i], weft_str(setting->name), true)) {
            return true;
        }
    }
    return false;
}

void weft_cmd_config_get(weft_session *session, const weft_args *args) {
    size_t count = 0;
    for (size_t i = 0; i < SETTINGS; i++) {
        count += wanted(args, &settings[i]);
    }
    weft_reply_map(&session->out, count);
    for (size_t i = 0; i < SETTINGS; i++) {
        if (wanted(args, &settings[i])) {
            char value[VALUE_MAX];
            settings[i].get(session->node, value);
            weft_reply_text(&session->out, settings[i].name);
            weft_reply_text(&session->out, value);
        }
    }
}

static bool refuse(weft_session *session, const config_setting *setting, const char *why) {
    weft_reply_error(&session->out,
                     "ERR CONFIG SET failed (possibly related to argument '%s') - %s",
                     setting->name, why);
    return false;
}

/* May this pair be set, as far as can be said without setting it? */
static bool check_pair(weft_session *session, const weft_args *args, size_t index) {
    const config_setting *setting = find(args->items[index]);
    if (setting == NULL) {
        weft_reply_error(&session->out,
                         "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                         (int)args->items[index].size, (const char *)args->items[index].data);
        return false;
    }
    for (size_t i = 2; i < index; i += 2) {
        if (find(args->items[i]) == setting) {
            return refuse(session, setting, "duplicate parameter");
        }
    }
    if (setting->set != NULL) {
        return true;
    }
    char value[VALUE_MAX];
    weft_bytes given = args->items[index + 1];
    setting->get(session->node, value);
    if (strlen(value) != given.size || memcmp(value, given.data, given.size) != 0) {
        return refuse(session, setting, "can't set immutable config");
    }
    return true;
}

void weft_cmd_config_set(weft_session *session, const weft_args *args) {
    if (args->count % 2 != 0) {
        weft_reply_error(&session->out, WEFT_SYNTAX_TEXT);
        return;
    }
    for (size_t i = 2; i < args->count; i += 2) {
        if (!check_pair(session, args, i)) {
            return;
        }
    }
    for (size_t i = 2; i < args->count; i += 2) {
        const config_setting *setting = find(args->items[i]);
        const char *why =
            setting->set != NULL ? setting->set(session->node, args->items[i + 1]) : NULL;
        if (why != NULL) {
            refuse(session, setting, why);
            return;
        }
    }
    weft_reply_ok(&session->out);
}

void weft_cmd_config_rewrite(weft_session *session, const weft_args *args) {
    (void)args;
    weft_reply_error(&session->out, "ERR The server is running without a config file");
}

void weft_cmd_config_resetstat(weft_session *session, const weft_args *args) {
    (void)args;
    for (size_t i = 0; i < WEFT_LOOPS_MAX; i++) {
        weft_loop_stats *stats = &session->node->loops[i];
        uint64_t *const counters[] = {&stats->commands,
                                      &stats->connections_accepted,
                                      &stats->connections_rejected,
                                      &stats->bytes_in,
                                      &stats->bytes_out,
                                      &stats->keyspace_hits,
                                      &stats->keyspace_misses,
                                      &stats->expired_keys,
                                      &stats->error_replies};
        for (size_t j = 0; j < sizeof counters / sizeof *counters; j++) {
            weft_store_relaxed(counters[j], 0);
        }
    }
    weft_store_relaxed(&session->node->peak_memory, weft_keyspace_memory(session->node));
    weft_reply_ok(&session->out);
}
