/* SPDX-License-Identifier: MIT */
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

/* An option: how it is spelled, what it takes, what is allowed, and where it goes. */
typedef struct serve_option {
    const char *name;
    const char *value; /* NULL: takes none */
    const char *help;
    const char *allowed;
    bool (*take)(weft_node_options *options, const char *text);
} serve_option;

static const char any_path[] = "a path";

static bool read_number(const char *text, unsigned long long limit, unsigned long long *number) {
    char *end;
    if (!isdigit((unsigned char)*text)) {
        return false;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number <= limit;
}

static bool take_port(weft_node_options *options, const char *text) {
    unsigned long long number;
    bool good = read_number(text, PORT_LIMIT, &number);
    options->port = good ? (uint16_t)number : 0;
    return good;
}

static bool take_http(weft_node_options *options, const char *text) {
    unsigned long long number;
    bool good = read_number(text, PORT_LIMIT, &number);
    options->http_port = good ? (uint16_t)number : 0;
    return good;
}

static bool take_bind(weft_node_options *options, const char *text) {
    options->bind = text;
    return *text != '\0';
}

static bool take_unix(weft_node_options *options, const char *text) {
    options->unix_path = text;
    return *text != '\0';
}

static bool take_dir(weft_node_options *options, const char *text) {
    options->directory = text;
    return *text != '\0';
}

static bool take_memory(weft_node_options *options, const char *text) {
    (void)text;
    options->directory = NULL;
    return true;
}

static bool take_threads(weft_node_options *options, const char *text) {
    unsigned long long number;
    if (!read_number(text, WEFT_LOOPS_MAX - 1, &number) || number == 0) {
        return false;
    }
    options->threads = (uint32_t)number;
    return true;
}

static bool take_sync(weft_node_options *options, const char *text) {
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

static bool take_auth_file(weft_node_options *options, const char *text) {
    options->auth_file = text;
    return *text != '\0';
}

static bool take_max_memory(weft_node_options *options, const char *text) {
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

static bool take_max_clients(weft_node_options *options, const char *text) {
    unsigned long long number;
    if (!read_number(text, CLIENTS_LIMIT, &number) || number == 0) {
        return false;
    }
    options->max_clients = (uint32_t)number;
    return true;
}

static bool take_record(weft_node_options *options, const char *text) {
    options->record_file = text;
    return *text != '\0';
}

static bool take_record_sample(weft_node_options *options, const char *text) {
    unsigned long long number;
    bool good = read_number(text, UINT32_MAX, &number) && number != 0;
    options->record_sample = good ? number : 0;
    return good;
}

static const serve_option table[] = {
    {"port", "PORT", "TCP port (7379)", "0 (none) to 65535", take_port},
    {"bind", "ADDRESS", "address to listen on (127.0.0.1)", "an address of this machine",
     take_bind},
    {"unix", "PATH", "listen on a Unix socket too", any_path, take_unix},
    {"dir", "PATH", "where keys are kept (./weft-data)", any_path, take_dir},
    {"memory", NULL, "keep keys in memory only", NULL, take_memory},
    {"threads", "N", "threads that serve clients (one a processor)", "1 to 255", take_threads},
    {"sync", "POLICY", "when changes are safe from a power cut (everysec)",
     "always (before the reply), everysec, or no", take_sync},
    {"auth-file", "FILE", "file whose first line is the password", any_path, take_auth_file},
    {"http", "PORT", "port of /metrics and /healthz on 127.0.0.1 (7380)", "0 (none) to 65535",
     take_http},
    {"max-memory", "SIZE", "refuse writes above this size of keys (no limit)",
     "bytes, or a number with k, m or g", take_max_memory},
    {"max-clients", "N", "clients at once (10000)", "1 to 1000000", take_max_clients},
    {"record", "FILE", "write a trace of what is done with the keys to a new file", any_path,
     take_record},
    {"record-sample", "N", "record 1 key in N (every key)", "1 to 4294967295", take_record_sample},
};

enum { OPTIONS = sizeof table / sizeof *table, HELP = OPTIONS };

static void print_help(void) {
    printf("usage: weft serve [OPTION...]\n\n"
           "Share keys with every Redis client, on many threads, kept on disk.\n\n");
    for (int i = 0; i < OPTIONS; i++) {
        char left[40];
        snprintf(left, sizeof left, "--%s %s", table[i].name,
                 table[i].value != NULL ? table[i].value : "");
        printf("  %-20s %s\n", left, table[i].help);
        if (table[i].allowed != NULL && table[i].allowed != any_path &&
            table[i].take != take_bind) {
            printf("  %-20s   %s\n", "", table[i].allowed);
        }
    }
    printf("  %-20s %s\n", "--help", "this text");
}

static void fill_long_options(struct option *out) {
    for (int i = 0; i < OPTIONS; i++) {
        out[i] = (struct option){table[i].name, table[i].value != NULL, NULL, i};
    }
    out[HELP] = (struct option){"help", no_argument, NULL, HELP};
    out[HELP + 1] = (struct option){NULL, 0, NULL, 0};
}

static int refuse(const char *format, const char *argument) {
    fprintf(stderr, "weft serve: ");
    fprintf(stderr, format, argument);
    fprintf(stderr, "; 'weft serve --help' tells the options\n");
    return WEFT_EXIT_USAGE;
}

/* -1: go on; else the exit code. */
static int take_arguments(weft_node_options *options, int argc, char **argv) {
    struct option long_options[OPTIONS + 2];
    int found;
    fill_long_options(long_options);
    opterr = 0;
    while ((found = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (found == HELP) {
            print_help();
            return WEFT_EXIT_FINE;
        }
        if (found == ':') {
            return refuse("option '%s' needs a value", argv[optind - 1]);
        }
        if (found == '?') {
            return refuse("there is no option '%s', or it takes no value", argv[optind - 1]);
        }
        const serve_option *option = &table[found];
        if (!option->take(options, optarg)) {
            fprintf(stderr, "weft serve: --%s '%s' is not allowed; allowed: %s\n", option->name,
                    optarg, option->allowed);
            return WEFT_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return refuse("what is '%s'?", argv[optind]);
    }
    if (options->port == 0 && options->unix_path == NULL) {
        return refuse("--port 0 leaves no way to reach it without %s", "--unix");
    }
    if (options->record_sample != 0 && options->record_file == NULL) {
        return refuse("--record-sample says how, but not where to, without %s", "--record");
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
