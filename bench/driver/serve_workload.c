/* SPDX-License-Identifier: MIT */
#include "serve_workload.h"

#include "base/exit.h"
#include "bench.h"
#include "fields.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define RATE_MOST 1e8
#define MEMORY_MOST ((uint64_t)1 << 30)

void weft_serve_workload_init(weft_serve_workload *workload) {
    *workload = (weft_serve_workload){.name = "custom",
                                      .about = "as the options say",
                                      .mix[WEFT_SERVE_GET] = 100,
                                      .keys = 100000,
                                      .value_bytes = 32,
                                      .connections = 50,
                                      .pipeline = 1};
}

/* ---------------------------------------------------------------- fields */

static bool take_distribution(void *workload, const json_t *value) {
    weft_serve_workload *into = workload;
    const json_t *zipf = json_object_get(value, "zipf");
    if (json_is_string(value)) {
        into->zipf = 0;
        return strcmp(json_string_value(value), "uniform") == 0;
    }
    into->zipf = json_number_value(zipf);
    return json_object_size(value) == 1 && into->zipf > 0 && into->zipf <= 10;
}

static bool take_rate(void *workload, const json_t *value) {
    weft_serve_workload *into = workload;
    const json_t *share = json_object_get(value, "share");
    if (json_is_number(value)) {
        into->rate = json_number_value(value);
        into->rate_share = 0;
        return into->rate >= 1 && into->rate <= RATE_MOST;
    }
    into->rate = 0;
    into->rate_share = json_number_value(share);
    return json_object_size(value) == 1 && into->rate_share > 0 && into->rate_share <= 2;
}

static const char *const arrivals[] = {"poisson", "constant"};

#define INTO(member) WEFT_FIELD_INTO(weft_serve_workload, member)

static const weft_field field_list[] = {
    {"name", "the file's name without .json, up to 63 bytes", WEFT_FIELD_TEXT, .required = true,
     INTO(name)},
    {"about", "a line of up to 127 bytes", WEFT_FIELD_TEXT, .required = true, INTO(about)},
    {"mix", "percentages of get, set, setex, incr and mset that add up to 100", WEFT_FIELD_SHARES,
     .required = true, INTO(mix), .words = weft_serve_op_names, .word_count = WEFT_SERVE_SEED},
    {"keys", "a whole number from 1 to 10^9", WEFT_FIELD_WHOLE, INTO(keys),
     WEFT_FIELD_RANGE(1, WEFT_SERVE_KEYS_MOST)},
    {"value_bytes", "a whole number from 16 to 1048576", WEFT_FIELD_WHOLE, INTO(value_bytes),
     WEFT_FIELD_RANGE(WEFT_SERVE_VALUE_LEAST, WEFT_SERVE_VALUE_MOST)},
    {"distribution", "\"uniform\" or {\"zipf\": above 0, up to 10}", WEFT_FIELD_OWN,
     .take = take_distribution},
    {"connections", "a whole number from 1 to 10000", WEFT_FIELD_WHOLE, INTO(connections),
     WEFT_FIELD_RANGE(1, WEFT_SERVE_CONNECTIONS_MOST)},
    {"pipeline", "a whole number from 1 to 1000", WEFT_FIELD_WHOLE, INTO(pipeline),
     WEFT_FIELD_RANGE(1, WEFT_SERVE_PIPELINE_MOST)},
    {"threads", "a whole number from 1 to 64", WEFT_FIELD_WHOLE, INTO(threads),
     WEFT_FIELD_RANGE(1, WEFT_SERVE_THREADS_MOST)},
    {"rate", "requests a second from 1 to 10^8, or {\"share\": above 0, up to 2}", WEFT_FIELD_OWN,
     .take = take_rate},
    {"arrivals", "\"poisson\" or \"constant\"", WEFT_FIELD_CHOICE, INTO(constant),
     WEFT_FIELD_WORDS(arrivals)},
    {"verdict", "true or false", WEFT_FIELD_FLAG, INTO(verdict)},
};

static const weft_fields fields = {field_list, sizeof field_list / sizeof *field_list, false};

const char *weft_serve_workload_allowed(const char *name) {
    const weft_field *found = weft_fields_find(&fields, name);
    return found != NULL ? found->allowed : NULL;
}

/* Options say what files say in JSON; words need no quotes, and a mix is name=percent,…. */
static json_t *value_of_text(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (value != NULL || strchr(text, '=') == NULL) {
        return value != NULL ? value : json_string(text);
    }
    value = json_object();
    while (*text != '\0') {
        char name[32];
        double share;
        int length = 0;
        if (sscanf(text, "%31[a-z]=%lf%n", name, &share, &length) != 2 ||
            (text[length] != '\0' && text[length] != ',')) {
            json_decref(value);
            return NULL;
        }
        json_object_set_new(value, name, json_real(share));
        text += length + (text[length] == ',');
    }
    return value;
}

bool weft_serve_workload_set(weft_serve_workload *workload, const char *name, const char *text) {
    const weft_field *found = weft_fields_find(&fields, name);
    json_t *value = value_of_text(text);
    bool good = found != NULL && value != NULL && weft_field_take(found, value, workload);
    json_decref(value);
    return good;
}

const char *weft_serve_workload_check(const weft_serve_workload *workload) {
    if (workload->threads > workload->connections) {
        return "more threads than connections; allowed: up to one a connection";
    }
    uint64_t bytes = workload->connections * workload->pipeline * workload->value_bytes;
    if (bytes > MEMORY_MOST) {
        return "connections × pipeline × value_bytes is over 1 GiB; allowed: less";
    }
    if (workload->mix[WEFT_SERVE_MSET] > 0 && workload->keys < WEFT_SERVE_MSET_KEYS) {
        return "mset writes 10 keys at once; allowed: with 10 keys and more";
    }
    return NULL;
}

/* ---------------------------------------------------------------- files */

int weft_serve_workload_read(weft_serve_workload *workload, const char *path) {
    weft_fields_file file;
    int code = weft_fields_file_read(&file, path, "a workload");
    weft_serve_workload_init(workload);
    if (code == 0) {
        bool good = weft_fields_file_take(&file, &fields, workload);
        const char *wrong = good ? weft_serve_workload_check(workload) : NULL;
        good = good && (wrong == NULL || weft_fields_file_refuse(&file, "", "%s", wrong));
        code = good ? 0 : WEFT_EXIT_USAGE;
    }
    weft_fields_file_free(&file);
    return code;
}

static void folder_path(char *path, size_t size, const char *name, const char *suffix) {
    snprintf(path, size, "%s/workloads/serve/%s%s", weft_bench_folder(), name, suffix);
}

int weft_serve_workload_find(weft_serve_workload *workload, const char *name) {
    char path[4400];
    if (weft_fields_is_path(name)) {
        return weft_serve_workload_read(workload, name);
    }
    folder_path(path, sizeof path, name, ".json");
    return weft_serve_workload_read(workload, path);
}

static int chosen(const struct dirent *entry) {
    return weft_fields_is_json(entry->d_name);
}

int weft_serve_workloads_verdict(weft_serve_workload **list, size_t *count) {
    char folder[4400];
    struct dirent **names = NULL;
    folder_path(folder, sizeof folder, "", "");
    int found = scandir(folder, &names, chosen, alphasort);
    *count = 0;
    *list = found > 0 ? calloc((size_t)found, sizeof **list) : NULL;
    int code = *list == NULL ? WEFT_EXIT_ENVIRONMENT : 0;
    if (found <= 0) {
        fprintf(stderr, "weft bench: %s: no workloads there; WEFT_BENCH may name another folder\n",
                folder);
    }
    for (int i = 0; i < found; i++) {
        char path[4700];
        folder_path(path, sizeof path, names[i]->d_name, "");
        if (code == 0) {
            code = weft_serve_workload_read(&(*list)[*count], path);
            *count += code == 0 && (*list)[*count].verdict;
        }
        free(names[i]);
    }
    free(names);
    return code;
}
