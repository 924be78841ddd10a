/* SPDX-License-Identifier: MIT */
#include "base/arguments.h"
#include "server/server.h"
#include "tool.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CLIENTS_LIMIT = 1000000, PORT_LIMIT = 65535 };

static const char any_path[] = "a path";
static const char any_address[] = "an address of this machine";

static bool take_memory(void *into, const weft_argument *argument, const char *text) {
    weft_node_options *options = into;
    (void)argument;
    (void)text;
    options->directory = NULL;
    return true;
}

static bool take_sync(void *into, const weft_argument *argument, const char *text) {
    weft_node_options *options = into;
    (void)argument;
    static const char *const names[] = {
        [WEFT_SYNC_ALWAYS] = "always", [WEFT_SYNC_EVERYSEC] = "everysec", [WEFT_SYNC_NO] = "no"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            options->sync = (weft_sync_policy)i;
            return true;
        }
    }
    return false;
}

static bool take_max_memory(void *into, const weft_argument *argument, const char *text) {
    weft_node_options *options = into;
    (void)argument;
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0},   {"b", 0},   {"k", 10}, {"kb", 10},
                 {"m", 20}, {"mb", 20}, {"g", 30}, {"gb", 30}};
    char *end;
    if (!isdigit((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units && errno == 0; i++) {
        if (strcasecmp(end, units[i].name) == 0 && number <= UINT64_MAX >> units[i].shift) {
            options->max_memory = (uint64_t)number << units[i].shift;
            return true;
        }
    }
    return false;
}

#define INTO(member) WEFT_ARGUMENT_INTO(weft_node_options, member)
#define WHOLE(least_, most_) WEFT_ARGUMENT_WHOLE, .least = (least_), .most = (most_)

static const weft_argument table[] = {
    {"port", "PORT", "TCP port (7379)", "0 (none) to 65535", WHOLE(0, PORT_LIMIT), INTO(port)},
    {"bind", "ADDRESS", "address to listen on (127.0.0.1)", any_address, WEFT_ARGUMENT_TEXT,
     INTO(bind)},
    {"unix", "PATH", "listen on a Unix socket too", any_path, WEFT_ARGUMENT_TEXT, INTO(unix_path)},
    {"dir", "PATH", "where keys are kept (./weft-data)", any_path, WEFT_ARGUMENT_TEXT,
     INTO(directory)},
    {"memory", NULL, "keep keys in memory only", NULL, .take = take_memory},
    {"threads", "N", "threads that serve clients (one a processor)", "1 to 255",
     WHOLE(1, WEFT_LOOPS_MAX - 1), INTO(threads)},
    {"sync", "POLICY", "when changes are safe from a power cut (everysec)",
     "always (before the reply), everysec, or no", .take = take_sync},
    {"auth-file", "FILE", "file whose first line is the password", any_path, WEFT_ARGUMENT_TEXT,
     INTO(auth_file)},
    {"http", "PORT", "port of /metrics and /healthz on 127.0.0.1 (7380)", "0 (none) to 65535",
     WHOLE(0, PORT_LIMIT), INTO(http_port)},
    {"max-memory", "SIZE", "refuse writes above this size of keys (no limit)",
     "bytes, or a number with k, m or g", .take = take_max_memory},
    {"max-clients", "N", "clients at once (10000)", "1 to 1000000", WHOLE(1, CLIENTS_LIMIT),
     INTO(max_clients)},
    {"record", "FILE", "write a trace of what is done with the keys to a new file", any_path,
     WEFT_ARGUMENT_TEXT, INTO(record_file)},
    {"record-sample", "N", "record 1 key in N (every key)", "1 to 4294967295", WHOLE(1, UINT32_MAX),
     INTO(record_sample)},
};

static void print_help(const weft_arguments *arguments) {
    printf("usage: weft serve [OPTION...]\n\n"
           "Share keys with every Redis client, on many threads, kept on disk.\n\n");
    for (size_t i = 0; i < arguments->count; i++) {
        const char *allowed = table[i].allowed;
        weft_argument_print(&table[i], 20);
        printf("\n");
        if (allowed != NULL && allowed != any_path && allowed != any_address) {
            printf("  %-20s   %s\n", "", allowed);
        }
    }
    printf("  %-20s %s\n", "--help", "this text");
}

/* -1: go on; else the exit code. */
static int take_arguments(weft_node_options *options, int argc, char **argv) {
    static const weft_arguments arguments = {"serve", table, sizeof table / sizeof *table,
                                             print_help};
    int code = weft_arguments_take(&arguments, options, argc, argv);
    if (code >= 0) {
        return code;
    }
    if (optind < argc) {
        return weft_arguments_refuse("serve", "what is '%s'?", argv[optind]);
    }
    if (options->port == 0 && options->unix_path == NULL) {
        return weft_arguments_refuse("serve", "--port 0 leaves no way to reach it without %s",
                                     "--unix");
    }
    if (options->record_sample != 0 && options->record_file == NULL) {
        return weft_arguments_refuse(
            "serve", "--record-sample says how, but not where to, without %s", "--record");
    }
    return -1;
}

int weft_tool_serve(int argc, char **argv) {
    weft_node_options options = {.port = 7379,
                                 .bind = "127.0.0.1",
                                 .directory = "./weft-data",
                                 .threads = weft_serve_default_threads(),
                                 .sync = WEFT_SYNC_EVERYSEC,
                                 .http_port = 7380,
                                 .max_clients = 10000};
    int code = take_arguments(&options, argc, argv);
    return code >= 0 ? code : weft_serve_run(&options);
}
