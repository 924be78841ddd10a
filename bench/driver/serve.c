/* SPDX-License-Identifier: MIT */
/* `weft bench serve`: its options. */
#include "base/arguments.h"
#include "base/clock.h"
#include "base/exit.h"
#include "bench.h"
#include "result.h"
#include "serve_run.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WORKLOADS_MOST = 64, NAME_MOST = 32, USUAL_SECONDS = 105 };

/* What was asked for. */
typedef struct asked {
    char **words;      /* the command line */
    const char *peers; /* all, none, or a list */
    const char *json;
    const char *report;
    bool quick;
    unsigned rounds; /* 0: not said */
    double seconds;  /* 0: not said */
    const char *workloads[WORKLOADS_MOST];
    size_t workload_count;
    const char *fields[WORKLOADS_MOST][2]; /* name and text of fields of the workload */
    size_t field_count;
    weft_serve_kind own[WEFT_SERVE_SERVERS_MOST]; /* --server */
    char *own_words[WEFT_SERVE_SERVERS_MOST];     /* what their arguments point into */
    size_t own_count;
    weft_serve_bench bench;
} asked;

/* NAME=COMMAND; words are separated by blanks. */
static bool take_server(void *wanted, const weft_argument *argument, const char *text) {
    asked *into = wanted;
    (void)argument;
    size_t length = strcspn(text, "=");
    if (length == 0 || length > NAME_MOST || text[length] != '=' || strcspn(text, "/") < length ||
        into->own_count == WEFT_SERVE_SERVERS_MOST - 4) {
        return false;
    }
    char *words = strdup(text);
    if (words == NULL) {
        return false;
    }
    words[length] = '\0';
    into->own_words[into->own_count] = words;
    weft_serve_kind *kind = &into->own[into->own_count++];
    *kind = (weft_serve_kind){.id = words,
                              .name = words,
                              .language = "",
                              .licence = "",
                              .package = "",
                              .codec = &weft_serve_resp,
                              .note = "as --server says"};
    char *rest = words + length + 1;
    size_t count = 0;
    for (char *word; count < WEFT_SERVE_ARGUMENTS - 1 && (word = strsep(&rest, " ")) != NULL;) {
        kind->arguments[count] = word;
        count += *word != '\0';
    }
    kind->arguments[count] = NULL;
    return count != 0 && rest == NULL;
}

static bool take_workload(void *wanted, const weft_argument *argument, const char *text) {
    asked *into = wanted;
    (void)argument;
    if (*text == '\0' || into->workload_count == WORKLOADS_MOST) {
        return false;
    }
    into->workloads[into->workload_count++] = text;
    return true;
}

static bool take_dir(void *wanted, const weft_argument *argument, const char *text) {
    asked *into = wanted;
    (void)argument;
    into->bench.parent = text;
    return access(text, W_OK | X_OK) == 0;
}

/* value-bytes is value_bytes in files. */
static const char *field_name(const char *option) {
    return strcmp(option, "value-bytes") == 0 ? "value_bytes" : option;
}

static bool take_field(void *wanted, const weft_argument *argument, const char *text) {
    asked *into = wanted;
    weft_serve_workload tried;
    weft_serve_workload_init(&tried);
    if (into->field_count == WORKLOADS_MOST ||
        !weft_serve_workload_set(&tried, field_name(argument->name), text)) {
        return false;
    }
    into->fields[into->field_count][0] = field_name(argument->name);
    into->fields[into->field_count++][1] = text;
    return true;
}

#define INTO(member) WEFT_ARGUMENT_INTO(asked, member)
#define REAL(least_, most_) WEFT_ARGUMENT_REAL, .least = (least_), .most = (most_)
#define WHOLE(least_, most_) WEFT_ARGUMENT_WHOLE, .least = (least_), .most = (most_)

static const weft_argument table[] = {
    {"peers", "LIST", "servers beside weft: all, none, or of redis,valkey,memcached (all)",
     "all, none, or a list of redis, valkey and memcached", WEFT_ARGUMENT_TEXT, INTO(peers)},
    {"server", "NAME=COMMAND", "one more, that speaks RESP2; {port} and {dir} are replaced",
     "a name without /, =, and a command of up to 31 words", .take = take_server},
    {"workload", "NAME", "a workload or its file, several times; those of the verdict without",
     "a name of bench/workloads/serve, or a file", .take = take_workload},
    {"rounds", "N", "samples of each cell and server (5; 3 with --quick)", "1 to 100",
     WHOLE(1, WEFT_SERVE_ROUNDS_MOST), INTO(rounds)},
    {"seconds", "S", "length of a sample (0.5; 0.3 with --quick)", "0.1 to 3600", REAL(0.1, 3600),
     INTO(seconds)},
    {"timeout", "S", "without a reply for so long, a server has failed (5)", "0.1 to 3600",
     REAL(0.1, 3600), INTO(bench.timeout)},
    {"seed", "N", "of what is drawn at random (1)", "a whole number from 1 to 2^32",
     WHOLE(1, 4294967296.0), INTO(bench.seed)},
    {"dir", "PATH", "where servers keep their data meanwhile ($TMPDIR or /tmp)",
     "a folder that can be written", .take = take_dir},
    {"json", "FILE", "write the result; - is standard output", "a file", WEFT_ARGUMENT_TEXT,
     INTO(json)},
    {"report", "FILE", "write a page", "a file", WEFT_ARGUMENT_TEXT, INTO(report)},
    {"noisy", NULL, "give figures even if others used the machine", NULL, WEFT_ARGUMENT_FLAG,
     INTO(bench.noisy)},
    {"quick", NULL, "fewer and shorter samples", NULL, WEFT_ARGUMENT_FLAG, INTO(quick)},
};

/* These change every workload; without --workload they describe one. */
static const char *const workload_fields[] = {"mix",     "keys",         "value-bytes",
                                              "threads", "distribution", "connections",
                                              "rate",    "arrivals",     "pipeline"};

enum {
    OPTIONS = sizeof table / sizeof *table,
    FIELDS = sizeof workload_fields / sizeof *workload_fields,
};

static const char command_name[] = "bench serve";

static void print_help(const weft_arguments *arguments) {
    printf("usage: weft bench serve [OPTION...]\n\n"
           "Compare weft serve with the servers that are installed, under the same load.\n\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        weft_argument_print(&arguments->list[i], 24);
        printf("\n");
    }
    printf("  %-24s %s\n", "--help", "this text");
    printf("\nThese change every workload; without --workload they describe one:\n\n");
    for (size_t i = OPTIONS; i < arguments->count; i++) {
        weft_argument_print(&arguments->list[i], 24);
        printf("\n");
    }
    printf("  (a mix is written get=80,set=20; zipf=0.99 and share=0.5 likewise)\n");
}

static int refuse_value(const char *option, const char *text, const char *allowed) {
    weft_argument argument = {.name = option, .allowed = allowed};
    return weft_arguments_refuse_value(command_name, &argument, text);
}

/* -1: go on; else the exit code. */
static int take_arguments(asked *into, int argc, char **argv) {
    weft_argument list[OPTIONS + FIELDS];
    weft_arguments arguments = {command_name, list, OPTIONS + FIELDS, print_help};
    memcpy(list, table, sizeof table);
    for (int i = 0; i < FIELDS; i++) {
        const char *allowed = weft_serve_workload_allowed(field_name(workload_fields[i]));
        list[OPTIONS + i] =
            (weft_argument){workload_fields[i], "TEXT", allowed, allowed, .take = take_field};
    }
    int code = weft_arguments_take(&arguments, into, argc, argv);
    return code < 0 && optind < argc
               ? weft_arguments_refuse(command_name, "what is '%s'?", argv[optind])
               : code;
}

/* ---------------------------------------------------------------- what is measured */

static bool is_in_list(const char *list, const char *id) {
    size_t size = strlen(id);
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        if (length == size && memcmp(list, id, size) == 0) {
            return true;
        }
        list += length + (list[length] == ',');
    }
    return false;
}

static bool peers_are_known(const char *list) {
    size_t count;
    const weft_serve_kind *kinds = weft_serve_kinds(&count);
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        bool known = false;
        for (size_t i = 1; i < count; i++) {
            known =
                known || (strlen(kinds[i].id) == length && memcmp(kinds[i].id, list, length) == 0);
        }
        if (!known) {
            return false;
        }
        list += length + (list[length] == ',');
    }
    return true;
}

static bool is_taken(const weft_serve_bench *bench, const char *id) {
    for (size_t i = 0; i < bench->server_count; i++) {
        if (strcmp(bench->servers[i].kind->id, id) == 0) {
            return true;
        }
    }
    return false;
}

static int find_servers(asked *into) {
    size_t count;
    const weft_serve_kind *kinds = weft_serve_kinds(&count);
    weft_serve_bench *bench = &into->bench;
    bool all = strcmp(into->peers, "all") == 0;
    bool none = strcmp(into->peers, "none") == 0;
    if (!all && !none && !peers_are_known(into->peers)) {
        return refuse_value("peers", into->peers, table[0].allowed);
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || all || (!none && is_in_list(into->peers, kinds[i].id))) {
            weft_serve_server_find(&bench->servers[bench->server_count++], &kinds[i]);
        }
    }
    for (size_t i = 0; i < into->own_count; i++) {
        if (is_taken(bench, into->own[i].id)) {
            return refuse_value("server", into->own[i].id, "a name that no other server has");
        }
        weft_serve_server *server = &bench->servers[bench->server_count++];
        weft_serve_server_find(server, &into->own[i]);
        if (server->status == WEFT_SERVE_MISSING) {
            return refuse_value("server", into->own[i].arguments[0], "a program that is there");
        }
    }
    return 0;
}

static int read_workloads(const asked *from, weft_serve_workload **list, size_t *count) {
    if (from->workload_count == 0 && from->field_count == 0) {
        return weft_serve_workloads_verdict(list, count);
    }
    *count = from->workload_count != 0 ? from->workload_count : 1;
    *list = calloc(*count, sizeof **list);
    if (*list == NULL) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    weft_serve_workload_init(*list);
    for (size_t i = 0; i < from->workload_count; i++) {
        int code = weft_serve_workload_find(&(*list)[i], from->workloads[i]);
        if (code != 0) {
            return code;
        }
    }
    for (size_t i = 0; i < *count; i++) {
        for (size_t f = 0; f < from->field_count; f++) {
            weft_serve_workload_set(&(*list)[i], from->fields[f][0], from->fields[f][1]);
        }
        const char *wrong = weft_serve_workload_check(&(*list)[i]);
        if (wrong != NULL) {
            return weft_arguments_refuse(command_name, "%s", wrong);
        }
    }
    return 0;
}

static int make_cells(asked *into) {
    weft_serve_workload *list = NULL;
    weft_serve_bench *bench = &into->bench;
    int code = read_workloads(into, &list, &bench->cell_count);
    bench->cells = code == 0 ? calloc(bench->cell_count, sizeof *bench->cells) : NULL;
    for (size_t i = 0; bench->cells != NULL && i < bench->cell_count; i++) {
        bench->cells[i].workload = list[i];
    }
    free(list);
    return code != 0 || bench->cells != NULL ? code : WEFT_EXIT_ENVIRONMENT;
}

/* ---------------------------------------------------------------- the result */

/* The words of the command line; the caller owns it. */
static json_t *command_json(char **argv) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL) {
        return json_string("weft bench serve");
    }
    fputs("weft bench", stream);
    for (; *argv != NULL; argv++) {
        fprintf(stream, " %s", *argv);
    }
    fclose(stream);
    json_t *command = json_string(text);
    free(text);
    return command;
}

static json_t *make_result(const asked *from, time_t started, double seconds) {
    char text[32];
    struct tm utc;
    json_t *result = weft_serve_bench_json(&from->bench);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&started, &utc));
    json_object_set_new(result, "started", json_string(text));
    json_object_set_new(result, "seconds", json_real(seconds));
    json_object_set_new(result, "command", command_json(from->words));
    return result;
}

static int write_result(const asked *from, const json_t *result) {
    if (from->json != NULL && !weft_bench_result_write(result, from->json)) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    return from->report != NULL ? weft_bench_report(result, from->report) : 0;
}

/* The exit code that what was found means. */
static int judge(const asked *from) {
    int code = WEFT_EXIT_FINE;
    for (size_t i = 0; i < from->bench.server_count; i++) {
        const weft_serve_server *server = &from->bench.servers[i];
        if (server->status == WEFT_SERVE_FAILED || server->status == WEFT_SERVE_WRONG) {
            fprintf(stderr, "weft bench serve: %s is %s: %s\n", server->kind->name,
                    weft_serve_status_name(server->status), server->note);
            code = WEFT_EXIT_FINDING;
        }
    }
    if (code == 0 && weft_noise_is_refused(&from->bench.noise) && !from->bench.noisy) {
        char disturbed[200];
        weft_noise_describe(&from->bench.noise, disturbed, sizeof disturbed);
        fprintf(stderr, "weft bench serve: %s; the figures mean little (--noisy accepts them)\n",
                disturbed);
        return WEFT_EXIT_ENVIRONMENT;
    }
    return code;
}

static int run(asked *from) {
    time_t started = time(NULL);
    uint64_t begin = weft_clock_monotonic_ns();
    char parent[4096];
    snprintf(parent, sizeof parent, "%s/weft-bench-XXXXXX", from->bench.parent);
    if (mkdtemp(parent) == NULL) {
        return refuse_value("dir", from->bench.parent, "a folder that can be written");
    }
    from->bench.parent = parent;
    weft_bench_catch_stop();
    weft_serve_bench_run(&from->bench);
    rmdir(parent);
    double seconds = (double)(weft_clock_monotonic_ns() - begin) * 1e-9;
    if (from->json == NULL || strcmp(from->json, "-") != 0) {
        weft_serve_bench_print(&from->bench);
    }
    json_t *result = make_result(from, started, seconds);
    int code = write_result(from, result);
    json_decref(result);
    return code != 0 ? code : judge(from);
}

int weft_bench_serve(int argc, char **argv) {
    const char *temporary = getenv("TMPDIR");
    asked *into = calloc(1, sizeof *into);
    if (into == NULL) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    into->words = argv;
    into->peers = "all";
    into->bench.timeout = 5;
    into->bench.seed = 1;
    into->bench.parent = temporary != NULL && *temporary != '\0' ? temporary : "/tmp";
    int code = take_arguments(into, argc, argv);
    if (code < 0) {
        into->bench.rounds = into->rounds != 0 ? into->rounds : into->quick ? 3 : 5;
        into->bench.seconds = into->seconds > 0 ? into->seconds : into->quick ? 0.3 : 0.5;
        bool usual = into->rounds == 0 && into->seconds <= 0 && into->workload_count == 0;
        into->bench.limit = usual ? USUAL_SECONDS : 0;
        code = make_cells(into);
        code = code == 0 ? find_servers(into) : code;
        code = code == 0 ? run(into) : code;
    }
    for (size_t i = 0; i < into->own_count; i++) {
        free(into->own_words[i]);
    }
    weft_noise_end(&into->bench.noise);
    free(into->bench.cells);
    free(into);
    return code;
}
