/* SPDX-License-Identifier: MIT */
#include "serve_workload.h"

#include "base/exit.h"
#include "bench.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
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

static bool take_text(const json_t *value, char *into, size_t size) {
    const char *text = json_string_value(value);
    if (text == NULL || *text == '\0' || strlen(text) >= size) {
        return false;
    }
    memcpy(into, text, strlen(text) + 1);
    return true;
}

static bool take_whole(const json_t *value, double least, double most, uint64_t *into) {
    double number = json_number_value(value);
    if (!json_is_number(value) || number < least || number > most || number != floor(number)) {
        return false;
    }
    *into = (uint64_t)number;
    return true;
}

static bool take_name(weft_serve_workload *into, const json_t *value) {
    return take_text(value, into->name, sizeof into->name);
}

static bool take_about(weft_serve_workload *into, const json_t *value) {
    return take_text(value, into->about, sizeof into->about);
}

static bool take_mix(weft_serve_workload *into, const json_t *value) {
    const char *key;
    json_t *share;
    double sum = 0;
    memset(into->mix, 0, sizeof into->mix);
    json_object_foreach((json_t *)value, key, share) {
        int op = 0;
        while (op <= WEFT_SERVE_MSET && strcmp(key, weft_serve_op_name(op)) != 0) {
            op++;
        }
        if (op > WEFT_SERVE_MSET || !json_is_number(share) || json_number_value(share) < 0) {
            return false;
        }
        into->mix[op] = json_number_value(share);
        sum += into->mix[op];
    }
    return fabs(sum - 100) < 1e-6;
}

static bool take_keys(weft_serve_workload *into, const json_t *value) {
    return take_whole(value, 1, (double)WEFT_SERVE_KEYS_MOST, &into->keys);
}

static bool take_value_bytes(weft_serve_workload *into, const json_t *value) {
    return take_whole(value, WEFT_SERVE_VALUE_LEAST, WEFT_SERVE_VALUE_MOST, &into->value_bytes);
}

static bool take_distribution(weft_serve_workload *into, const json_t *value) {
    const json_t *zipf = json_object_get(value, "zipf");
    if (json_is_string(value)) {
        into->zipf = 0;
        return strcmp(json_string_value(value), "uniform") == 0;
    }
    into->zipf = json_number_value(zipf);
    return json_object_size(value) == 1 && into->zipf > 0 && into->zipf <= 10;
}

static bool take_connections(weft_serve_workload *into, const json_t *value) {
    return take_whole(value, 1, WEFT_SERVE_CONNECTIONS_MOST, &into->connections);
}

static bool take_pipeline(weft_serve_workload *into, const json_t *value) {
    return take_whole(value, 1, WEFT_SERVE_PIPELINE_MOST, &into->pipeline);
}

static bool take_threads(weft_serve_workload *into, const json_t *value) {
    return take_whole(value, 1, WEFT_SERVE_THREADS_MOST, &into->threads);
}

static bool take_rate(weft_serve_workload *into, const json_t *value) {
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

static bool take_arrivals(weft_serve_workload *into, const json_t *value) {
    const char *text = json_string_value(value);
    into->constant = text != NULL && strcmp(text, "constant") == 0;
    return into->constant || (text != NULL && strcmp(text, "poisson") == 0);
}

static bool take_verdict(weft_serve_workload *into, const json_t *value) {
    into->verdict = json_is_true(value);
    return json_is_boolean(value);
}

typedef struct field {
    const char *name;
    bool (*take)(weft_serve_workload *into, const json_t *value);
    const char *allowed;
    bool required;
} field;

static const field fields[] = {
    {"name", take_name, "the file's name without .json, up to 63 bytes", true},
    {"about", take_about, "a line of up to 127 bytes", true},
    {"mix", take_mix, "percentages of get, set, setex, incr and mset that add up to 100", true},
    {"keys", take_keys, "a whole number from 1 to 10^9", false},
    {"value_bytes", take_value_bytes, "a whole number from 16 to 1048576", false},
    {"distribution", take_distribution, "\"uniform\" or {\"zipf\": above 0, up to 10}", false},
    {"connections", take_connections, "a whole number from 1 to 10000", false},
    {"pipeline", take_pipeline, "a whole number from 1 to 1000", false},
    {"threads", take_threads, "a whole number from 1 to 64", false},
    {"rate", take_rate, "requests a second from 1 to 10^8, or {\"share\": above 0, up to 2}",
     false},
    {"arrivals", take_arrivals, "\"poisson\" or \"constant\"", false},
    {"verdict", take_verdict, "true or false", false},
};

enum { FIELDS = sizeof fields / sizeof *fields };

static const field *field_of(const char *name) {
    for (int i = 0; i < FIELDS; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

const char *weft_serve_workload_allowed(const char *name) {
    const field *found = field_of(name);
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
    const field *found = field_of(name);
    json_t *value = value_of_text(text);
    bool good = found != NULL && value != NULL && found->take(workload, value);
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

typedef struct reading {
    const char *path;
    char text[65536];
} reading;

/* The line on which a key of the file stands; 1 if it does not. */
static int line_of(const reading *file, const char *key) {
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%.70s\"", key);
    const char *found = strstr(file->text, quoted);
    int line = 1;
    for (const char *at = file->text; found != NULL && at < found; at++) {
        line += *at == '\n';
    }
    return line;
}

static bool refuse(const reading *file, const char *key, const char *what, const char *allowed) {
    fprintf(stderr, "weft bench: %s:%d: %s '%s'; allowed: %s\n", file->path, line_of(file, key),
            what, key, allowed);
    return false;
}

static bool refuse_unknown(const reading *file, const char *key) {
    char known[300] = "";
    for (int i = 0; i < FIELDS; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ", fields[i].name);
    }
    return refuse(file, key, "there is no key", known);
}

static bool take_fields(const reading *file, json_t *root, weft_serve_workload *into) {
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        const field *found = field_of(key);
        if (found == NULL) {
            return refuse_unknown(file, key);
        }
        if (!found->take(into, value)) {
            return refuse(file, key, "this value is not allowed for", found->allowed);
        }
    }
    for (int i = 0; i < FIELDS; i++) {
        if (fields[i].required && json_object_get(root, fields[i].name) == NULL) {
            return refuse(file, fields[i].name, "missing is", fields[i].allowed);
        }
    }
    const char *wrong = weft_serve_workload_check(into);
    if (wrong != NULL) {
        fprintf(stderr, "weft bench: %s:1: %s\n", file->path, wrong);
    }
    return wrong == NULL;
}

static bool read_file(reading *file) {
    FILE *stream = fopen(file->path, "rb");
    if (stream == NULL) {
        return false;
    }
    size_t got = fread(file->text, 1, sizeof file->text - 1, stream);
    file->text[got] = '\0';
    bool whole = feof(stream) != 0;
    errno = whole ? 0 : EFBIG;
    fclose(stream);
    return whole;
}

int weft_serve_workload_read(weft_serve_workload *workload, const char *path) {
    static reading file;
    json_error_t error;
    file.path = path;
    weft_serve_workload_init(workload);
    if (!read_file(&file)) {
        fprintf(stderr, "weft bench: %s: %s\n", path, strerror(errno));
        return WEFT_EXIT_ENVIRONMENT;
    }
    json_t *root = json_loads(file.text, JSON_REJECT_DUPLICATES, &error);
    bool good = false;
    if (root == NULL) {
        fprintf(stderr, "weft bench: %s:%d: %s\n", path, error.line, error.text);
    } else if (!json_is_object(root)) {
        fprintf(stderr, "weft bench: %s:1: a workload is one JSON object\n", path);
    } else {
        good = take_fields(&file, root, workload);
    }
    json_decref(root);
    return good ? 0 : WEFT_EXIT_USAGE;
}

static void folder_path(char *path, size_t size, const char *name, const char *suffix) {
    snprintf(path, size, "%s/workloads/serve/%s%s", weft_bench_folder(), name, suffix);
}

static bool is_json(const char *name) {
    size_t size = strlen(name);
    return size > 5 && strcmp(name + size - 5, ".json") == 0;
}

int weft_serve_workload_find(weft_serve_workload *workload, const char *name) {
    char path[4400];
    if (strchr(name, '/') != NULL || is_json(name)) {
        return weft_serve_workload_read(workload, name);
    }
    folder_path(path, sizeof path, name, ".json");
    return weft_serve_workload_read(workload, path);
}

static int chosen(const struct dirent *entry) {
    return is_json(entry->d_name);
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
