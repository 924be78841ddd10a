/* SPDX-License-Identifier: MIT */
#include "workload.h"
#include "base/exit.h"
#include "bench.h"
#include "trace.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_LIMIT 4294967296.0
#define OPS_LIMIT 10000000000.0

/* A file that is being read. */
typedef struct reading {
    const char *path;
    char *text;
    json_t *root;
    weft_workload *into;
} reading;

/* The line on which a key of the file stands. */
static int line_of(const reading *file, const char *key) {
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%.70s\"", key);
    for (const char *at = file->text; (at = strstr(at, quoted)) != NULL; at++) {
        const char *after = at + strlen(quoted);
        after += strspn(after, " \t\r\n");
        if (*after == ':') {
            int line = 1;
            for (const char *c = file->text; c < at; c++) {
                line += *c == '\n';
            }
            return line;
        }
    }
    return 1;
}

__attribute__((format(printf, 3, 4))) static bool refuse(const reading *file, const char *key,
                                                         const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "weft bench: %s:%d: ", file->path, line_of(file, key));
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    return false;
}

static bool take_text(const json_t *value, char *into, size_t size) {
    const char *text = json_string_value(value);
    if (text == NULL || *text == '\0' || strlen(text) >= size) {
        return false;
    }
    memcpy(into, text, strlen(text) + 1);
    return true;
}

/* A whole number from `least` on. */
static bool take_count(const json_t *value, double least, double most, uint64_t *into) {
    double number = json_number_value(value);
    if (!json_is_number(value) || number < least || number > most || number != floor(number)) {
        return false;
    }
    *into = (uint64_t)number;
    return true;
}

static bool take_name(weft_workload *into, const json_t *value) {
    return take_text(value, into->name, sizeof into->name);
}

static bool take_about(weft_workload *into, const json_t *value) {
    return take_text(value, into->about, sizeof into->about);
}

/* The index of a string in a list that ends with NULL, or -1. */
static int index_in(const json_t *value, const char *const *names) {
    const char *text = json_string_value(value);
    for (int i = 0; text != NULL && names[i] != NULL; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static bool take_shape(weft_workload *into, const json_t *value) {
    static const char *const names[] = {"u64", "bytes", NULL};
    int found = index_in(value, names);
    into->shape = found == 1 ? WEFT_TRACE_BYTES : WEFT_TRACE_U64;
    return found >= 0;
}

static bool take_keys(weft_workload *into, const json_t *value) {
    return take_count(value, 1, KEYS_LIMIT, &into->keys);
}

static bool take_prefill(weft_workload *into, const json_t *value) {
    return take_count(value, 0, KEYS_LIMIT, &into->prefill);
}

static bool take_distribution(weft_workload *into, const json_t *value) {
    static const char *const names[] = {"uniform", "sequential", "latest", NULL};
    static const weft_distribution kinds[] = {WEFT_UNIFORM, WEFT_SEQUENTIAL, WEFT_LATEST};
    int found = index_in(value, names);
    if (found >= 0) {
        into->distribution = kinds[found];
        into->exponent = 0.99;
        return true;
    }
    if (json_object_size(value) != 1) {
        return false;
    }
    const json_t *zipf = json_object_get(value, "zipf");
    if (zipf != NULL) {
        into->distribution = WEFT_ZIPF;
        into->exponent = json_number_value(zipf);
        return into->exponent > 0 && into->exponent <= 10;
    }
    into->distribution = WEFT_HOT_KEYS;
    return take_count(json_object_get(value, "hot"), 1, KEYS_LIMIT, &into->hot);
}

static bool take_mix(weft_workload *into, const json_t *value) {
    const char *key;
    json_t *share;
    double sum = 0;
    json_object_foreach((json_t *)value, key, share) {
        int op = 0;
        while (op < WEFT_TRACE_OPS && strcmp(key, weft_trace_op_names[op]) != 0) {
            op++;
        }
        if (op == WEFT_TRACE_OPS || !json_is_number(share) || json_number_value(share) < 0) {
            return false;
        }
        into->mix[op] = json_number_value(share);
        sum += into->mix[op];
    }
    return fabs(sum - 100) < 1e-6;
}

static bool take_ops(weft_workload *into, const json_t *value) {
    return take_count(value, 1, OPS_LIMIT, &into->ops);
}

static bool take_threads(weft_workload *into, const json_t *value) {
    size_t count = json_array_size(value);
    if (count < 1 || count > WEFT_WORKLOAD_THREADS) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t threads;
        if (!take_count(json_array_get(value, i), 1, WEFT_THREADS_MAX, &threads)) {
            return false;
        }
        into->threads[i] = (uint32_t)threads;
    }
    into->thread_counts = (uint32_t)count;
    return true;
}

static bool take_seed(weft_workload *into, const json_t *value) {
    return take_count(value, 1, KEYS_LIMIT, &into->seed);
}

static bool take_mode(weft_workload *into, const json_t *value) {
    static const char *const names[] = {"run", "once", NULL};
    int found = index_in(value, names);
    into->once = found == 1;
    return found >= 0;
}

static bool take_size(const json_t *value, double most, uint32_t *into) {
    uint64_t size;
    bool good = take_count(value, WEFT_TRACE_VALUE_MIN, most, &size);
    *into = good ? (uint32_t)size : 0;
    return good;
}

static bool take_key_bytes(weft_workload *into, const json_t *value) {
    return take_size(value, WEFT_TRACE_KEY_MAX, &into->key_bytes);
}

static bool take_value_bytes(weft_workload *into, const json_t *value) {
    return take_size(value, WEFT_TRACE_VALUE_MAX, &into->value_bytes);
}

static bool take_key_source(weft_workload *into, const json_t *value) {
    static const char *const names[] = {"random", "words", "paths", NULL};
    int found = index_in(value, names);
    into->key_source = found < 0 ? WEFT_KEYS_RANDOM : (weft_key_source)found;
    return found >= 0;
}

static bool take_verdict(weft_workload *into, const json_t *value) {
    into->verdict = json_is_true(value);
    return json_is_boolean(value);
}

/* A key of the file. */
typedef struct field {
    const char *name;
    bool (*take)(weft_workload *into, const json_t *value);
    bool required;
    const char *allowed;
} field;

static const field fields[] = {
    {"name", take_name, true, "the file's name without .json, up to 63 bytes"},
    {"about", take_about, true, "a line of up to 127 bytes"},
    {"shape", take_shape, true, "\"u64\" or \"bytes\""},
    {"keys", take_keys, true, "a whole number from 1 to 2^32"},
    {"prefill", take_prefill, false, "a whole number up to the number of keys"},
    {"distribution", take_distribution, true,
     "\"uniform\", \"sequential\", \"latest\", {\"zipf\": above 0, up to 10} or {\"hot\": keys}"},
    {"mix", take_mix, true,
     "percentages of get, put, insert, remove, add and rmw that add up to 100"},
    {"ops", take_ops, true, "a whole number from 1 to 10^10"},
    {"threads", take_threads, false, "a list of up to 16 whole numbers from 1 to 4096"},
    {"seed", take_seed, false, "a whole number from 1 to 2^32"},
    {"mode", take_mode, false, "\"run\" or \"once\""},
    {"key_bytes", take_key_bytes, false, "a whole number from 8 to 65535"},
    {"value_bytes", take_value_bytes, false, "a whole number from 8 to 1048576"},
    {"key_source", take_key_source, false, "\"random\", \"words\" or \"paths\""},
    {"verdict", take_verdict, false, "true or false"},
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

static bool refuse_unknown(const reading *file, const char *key) {
    char known[400] = "";
    for (int i = 0; i < FIELDS; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ", fields[i].name);
    }
    return refuse(file, key, "there is no key '%s'; allowed: %s", key, known);
}

static bool take_fields(const reading *file) {
    const char *key;
    json_t *value;
    json_object_foreach(file->root, key, value) {
        const field *found = field_of(key);
        if (found == NULL) {
            return refuse_unknown(file, key);
        }
        if (!found->take(file->into, value)) {
            return refuse(file, key, "this value of '%s' is not allowed; allowed: %s", key,
                          found->allowed);
        }
    }
    for (int i = 0; i < FIELDS; i++) {
        if (fields[i].required && json_object_get(file->root, fields[i].name) == NULL) {
            return refuse(file, "", "the key '%s' is missing; allowed: %s", fields[i].name,
                          fields[i].allowed);
        }
    }
    return true;
}

static bool name_is_of_file(const reading *file) {
    const char *slash = strrchr(file->path, '/');
    const char *base = slash != NULL ? slash + 1 : file->path;
    size_t size = strlen(file->into->name);
    return strncmp(base, file->into->name, size) == 0 && strcmp(base + size, ".json") == 0;
}

/* What one key alone does not show. */
static bool fields_agree(const reading *file) {
    const weft_workload *w = file->into;
    if (!name_is_of_file(file)) {
        return refuse(file, "name", "the name is '%s'; allowed: the file's name without .json",
                      w->name);
    }
    if (w->prefill > w->keys) {
        return refuse(file, "prefill", "more entries than keys; allowed: up to %llu",
                      (unsigned long long)w->keys);
    }
    if (w->distribution == WEFT_HOT_KEYS && w->hot > w->keys) {
        return refuse(file, "distribution", "more hot keys than keys; allowed: up to %llu",
                      (unsigned long long)w->keys);
    }
    if (w->distribution == WEFT_LATEST && w->prefill == 0) {
        return refuse(file, "distribution",
                      "\"latest\" needs entries to look back at; allowed: with a prefill of 1 up");
    }
    if (w->shape == WEFT_TRACE_BYTES && weft_workload_has(w, WEFT_TRACE_ADD)) {
        return refuse(file, "mix", "add is for numbers; allowed: with shape \"u64\"");
    }
    bool sized = json_object_get(file->root, "key_bytes") != NULL ||
                 json_object_get(file->root, "value_bytes") != NULL ||
                 json_object_get(file->root, "key_source") != NULL;
    if (w->shape == WEFT_TRACE_U64 && sized) {
        return refuse(file, "shape",
                      "key_bytes, value_bytes and key_source are allowed with shape "
                      "\"bytes\" only");
    }
    return true;
}

static void set_defaults(weft_workload *workload) {
    *workload = (weft_workload){
        .threads = {1, 2}, .thread_counts = 2, .seed = 1, .key_bytes = 16, .value_bytes = 8};
}

static char *read_text(const char *path) {
    enum { TEXT_LIMIT = 65536 };
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *text = calloc(1, TEXT_LIMIT);
    if (text != NULL && fread(text, 1, TEXT_LIMIT - 1, file) == TEXT_LIMIT - 1) {
        free(text);
        text = NULL;
        errno = EFBIG;
    }
    fclose(file);
    return text;
}

int weft_workload_read(weft_workload *workload, const char *path) {
    reading file = {.path = path, .into = workload, .text = read_text(path)};
    json_error_t error;
    bool good = false;
    set_defaults(workload);
    if (file.text == NULL) {
        fprintf(stderr, "weft bench: %s: %s\n", path, strerror(errno));
        return WEFT_EXIT_ENVIRONMENT;
    }
    file.root = json_loads(file.text, JSON_REJECT_DUPLICATES, &error);
    if (file.root == NULL) {
        fprintf(stderr, "weft bench: %s:%d: %s\n", path, error.line, error.text);
    } else if (!json_is_object(file.root)) {
        fprintf(stderr, "weft bench: %s:1: a workload is one JSON object\n", path);
    } else {
        good = take_fields(&file) && fields_agree(&file);
    }
    json_decref(file.root);
    free(file.text);
    return good ? 0 : WEFT_EXIT_USAGE;
}

int weft_workload_find(weft_workload *workload, const char *name) {
    char path[4096];
    size_t size = strlen(name);
    if (strchr(name, '/') != NULL || (size > 5 && strcmp(name + size - 5, ".json") == 0)) {
        return weft_workload_read(workload, name);
    }
    snprintf(path, sizeof path, "%s/workloads/%s.json", weft_bench_folder(), name);
    return weft_workload_read(workload, path);
}

static int is_workload(const struct dirent *entry) {
    size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

int weft_workloads_read(weft_workloads *all) {
    char folder[4096];
    struct dirent **names = NULL;
    snprintf(folder, sizeof folder, "%s/workloads", weft_bench_folder());
    int count = scandir(folder, &names, is_workload, alphasort);
    *all = (weft_workloads){0};
    if (count <= 0) {
        fprintf(stderr, "weft bench: %s: no workloads there; WEFT_BENCH may name another folder\n",
                folder);
        return WEFT_EXIT_ENVIRONMENT;
    }
    all->list = calloc((size_t)count, sizeof *all->list);
    int code = all->list == NULL ? WEFT_EXIT_ENVIRONMENT : 0;
    for (int i = 0; i < count; i++) {
        char path[4400];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (code == 0) {
            code = weft_workload_read(&all->list[all->count++], path);
        }
        free(names[i]);
    }
    free(names);
    return code;
}

void weft_workloads_free(weft_workloads *all) {
    free(all->list);
    *all = (weft_workloads){0};
}

weft_workload weft_workload_reduced(const weft_workload *workload) {
    enum { ENTRIES = 50000, OPS = 100000 };
    weft_workload small = *workload;
    if (small.prefill > ENTRIES) {
        small.keys = (uint64_t)((double)small.keys * ENTRIES / (double)small.prefill);
        small.prefill = ENTRIES;
    } else if (small.prefill == 0 && small.keys > OPS) {
        small.keys = OPS;
    }
    small.hot = small.hot > small.keys ? small.keys : small.hot;
    small.ops = small.ops > OPS ? OPS : small.ops;
    return small;
}

bool weft_workload_writes(const weft_workload *workload) {
    return workload->mix[WEFT_TRACE_GET] < 100;
}
