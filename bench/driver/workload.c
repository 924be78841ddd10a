/* SPDX-License-Identifier: MIT */
#include "workload.h"
#include "base/exit.h"
#include "bench.h"
#include "fields.h"
#include "trace.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_LIMIT 4294967296.0
#define BURST_LIMIT 1000000
#define OPS_LIMIT 10000000000.0

static bool take_distribution(void *workload, const json_t *value) {
    weft_workload *into = workload;
    static const char *const names[] = {"uniform", "sequential", "latest"};
    static const weft_distribution kinds[] = {WEFT_UNIFORM, WEFT_SEQUENTIAL, WEFT_LATEST};
    const char *text = json_string_value(value);
    for (size_t i = 0; text != NULL && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(text, names[i]) == 0) {
            into->distribution = kinds[i];
            into->exponent = 0.99;
            return true;
        }
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
    return weft_field_whole(json_object_get(value, "hot"), 1, KEYS_LIMIT, &into->hot);
}

static bool take_threads(void *workload, const json_t *value) {
    weft_workload *into = workload;
    size_t count = json_array_size(value);
    if (count < 1 || count > WEFT_WORKLOAD_THREADS) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t threads;
        if (!weft_field_whole(json_array_get(value, i), 1, WEFT_THREADS_MAX, &threads)) {
            return false;
        }
        into->threads[i] = (uint32_t)threads;
    }
    into->thread_counts = (uint32_t)count;
    return true;
}

static const char *const shapes[] = {"u64", "bytes"};
static const char *const modes[] = {"run", "once"};
static const char *const key_sources[] = {"random", "words", "paths"};

#define INTO(member) WEFT_FIELD_INTO(weft_workload, member)

static const weft_field field_list[] = {
    {"name", "the file's name without .json, up to 63 bytes", WEFT_FIELD_TEXT, .required = true,
     INTO(name)},
    {"about", "a line of up to 127 bytes", WEFT_FIELD_TEXT, .required = true, INTO(about)},
    {"shape", "\"u64\" or \"bytes\"", WEFT_FIELD_CHOICE, .required = true, INTO(shape),
     WEFT_FIELD_WORDS(shapes)},
    {"keys", "a whole number from 1 to 2^32", WEFT_FIELD_WHOLE, .required = true, INTO(keys),
     WEFT_FIELD_RANGE(1, KEYS_LIMIT)},
    {"prefill", "a whole number up to the number of keys", WEFT_FIELD_WHOLE, INTO(prefill),
     WEFT_FIELD_RANGE(0, KEYS_LIMIT)},
    {"distribution",
     "\"uniform\", \"sequential\", \"latest\", {\"zipf\": above 0, up to 10} or {\"hot\": keys}",
     WEFT_FIELD_OWN, .required = true, .take = take_distribution},
    {"mix", "percentages of get, put, insert, remove, add and rmw that add up to 100",
     WEFT_FIELD_SHARES, .required = true, INTO(mix), .words = weft_trace_op_names,
     .word_count = WEFT_TRACE_OPS},
    {"burst", "a whole number from 1 to 1000000", WEFT_FIELD_WHOLE, INTO(burst),
     WEFT_FIELD_RANGE(1, BURST_LIMIT)},
    {"ops", "a whole number from 1 to 10^10", WEFT_FIELD_WHOLE, .required = true, INTO(ops),
     WEFT_FIELD_RANGE(1, OPS_LIMIT)},
    {"threads", "a list of up to 16 whole numbers from 1 to 4096", WEFT_FIELD_OWN,
     .take = take_threads},
    {"seed", "a whole number from 1 to 2^32", WEFT_FIELD_WHOLE, INTO(seed),
     WEFT_FIELD_RANGE(1, KEYS_LIMIT)},
    {"mode", "\"run\" or \"once\"", WEFT_FIELD_CHOICE, INTO(once), WEFT_FIELD_WORDS(modes)},
    {"key_bytes", "a whole number from 8 to 65535", WEFT_FIELD_WHOLE, INTO(key_bytes),
     WEFT_FIELD_RANGE(WEFT_TRACE_VALUE_MIN, WEFT_TRACE_KEY_MAX)},
    {"value_bytes", "a whole number from 8 to 1048576", WEFT_FIELD_WHOLE, INTO(value_bytes),
     WEFT_FIELD_RANGE(WEFT_TRACE_VALUE_MIN, WEFT_TRACE_VALUE_MAX)},
    {"key_source", "\"random\", \"words\" or \"paths\"", WEFT_FIELD_CHOICE, INTO(key_source),
     WEFT_FIELD_WORDS(key_sources)},
    {"verdict", "true or false", WEFT_FIELD_FLAG, INTO(verdict)},
};

static const weft_fields fields = {field_list, sizeof field_list / sizeof *field_list, false};

static bool name_is_of_file(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    size_t size = strlen(name);
    return strncmp(base, name, size) == 0 && strcmp(base + size, ".json") == 0;
}

/* What one key alone does not show. */
static bool fields_agree(const weft_fields_file *file, const weft_workload *w) {
    if (!name_is_of_file(file->path, w->name)) {
        return weft_fields_file_refuse(
            file, "name", "the name is '%s'; allowed: the file's name without .json", w->name);
    }
    if (w->prefill > w->keys) {
        return weft_fields_file_refuse(file, "prefill",
                                       "more entries than keys; allowed: up to %llu",
                                       (unsigned long long)w->keys);
    }
    if (w->distribution == WEFT_HOT_KEYS && w->hot > w->keys) {
        return weft_fields_file_refuse(file, "distribution",
                                       "more hot keys than keys; allowed: up to %llu",
                                       (unsigned long long)w->keys);
    }
    if (w->distribution == WEFT_LATEST && w->prefill == 0) {
        return weft_fields_file_refuse(
            file, "distribution",
            "\"latest\" needs entries to look back at; allowed: with a prefill of 1 up");
    }
    if (w->shape == WEFT_TRACE_BYTES && weft_workload_has(w, WEFT_TRACE_ADD)) {
        return weft_fields_file_refuse(file, "mix",
                                       "add is for numbers; allowed: with shape \"u64\"");
    }
    bool sized = json_object_get(file->root, "key_bytes") != NULL ||
                 json_object_get(file->root, "value_bytes") != NULL ||
                 json_object_get(file->root, "key_source") != NULL;
    if (w->shape == WEFT_TRACE_U64 && sized) {
        return weft_fields_file_refuse(
            file, "shape",
            "key_bytes, value_bytes and key_source are allowed with shape "
            "\"bytes\" only");
    }
    return true;
}

static void set_defaults(weft_workload *workload) {
    *workload = (weft_workload){.threads = {1, 2},
                                .thread_counts = 2,
                                .burst = 1,
                                .seed = 1,
                                .key_bytes = 16,
                                .value_bytes = 8};
}

int weft_workload_read(weft_workload *workload, const char *path) {
    weft_fields_file file;
    int code = weft_fields_file_read(&file, path, "a workload");
    set_defaults(workload);
    if (code == 0 &&
        (!weft_fields_file_take(&file, &fields, workload) || !fields_agree(&file, workload))) {
        code = WEFT_EXIT_USAGE;
    }
    weft_fields_file_free(&file);
    return code;
}

int weft_workload_find(weft_workload *workload, const char *name) {
    char path[4096];
    if (weft_fields_is_path(name)) {
        return weft_workload_read(workload, name);
    }
    snprintf(path, sizeof path, "%s/workloads/%s.json", weft_bench_folder(), name);
    return weft_workload_read(workload, path);
}

static int is_workload(const struct dirent *entry) {
    return weft_fields_is_json(entry->d_name);
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

double weft_workload_filling(const weft_workload *workload) {
    double entries = (double)(workload->once ? workload->keys : workload->prefill);
    double entry = workload->shape == WEFT_TRACE_U64
                       ? 2.0 * sizeof(uint64_t)
                       : (double)workload->key_bytes + (double)workload->value_bytes;
    return entries * entry;
}
