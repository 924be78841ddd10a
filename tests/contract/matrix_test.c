/* SPDX-License-Identifier: MIT */
/* The synchronisation matrix of weft/map.h, pair by pair: it is read from the header, and each two
 * operations that it calls safe together run together, beside a writer that grows and shrinks the
 * table. */
#include "contract/contract.h"

#include <weft/batch.h>

enum { KEYS = 24, STEPS = 60, CLASS_NAME_MAX = 16 };

/* One operation on its way: a key, a number, and what an operation may need. */
typedef struct step {
    weft_map *map;
    weft_bytes key;
    weft_bytes value;
    uint64_t key_number;
    uint64_t value_number;
    uint64_t room;
    weft_buffer out;
} step;

static const weft_bytes other_key = {"12345678", 8};

static bool look(void *ctx, const weft_view *entry) {
    (void)ctx;
    REQUIRE(entry->value.size == 8 && entry->key.size == 8);
    return true;
}

static bool keep_most(void *ctx, const weft_view *entry) {
    look(ctx, entry);
    return u64_of_bytes(entry->key) % 5 != 0;
}

/* ---- read ------------------------------------------------------------------------------------ */

static int do_get(step *s) {
    return weft_map_get(s->map, s->key, &s->out);
}

static int do_peek(step *s) {
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    int status = weft_map_peek(s->map, s->key, &guard, &view);
    if (status == WEFT_OK) {
        look(NULL, &view);
        REQUIRE(u64_of_bytes(view.key) == s->key_number);
    }
    weft_guard_leave(&guard);
    return status;
}

static int do_acquire(step *s) {
    weft_ref ref;
    int status = weft_map_acquire(s->map, s->key, &ref);
    if (status == WEFT_OK) {
        look(NULL, &ref.view);
        weft_ref_release(&ref);
    }
    return status;
}

static int do_contains(step *s) {
    return weft_map_contains(s->map, s->key);
}

static int do_get_many(step *s) {
    weft_bytes keys[2] = {s->key, other_key};
    weft_buffer out[2] = {s->out, {.capacity = 0}};
    return weft_map_get_many(s->map, keys, 2, out);
}

static int do_get_hashed(step *s) {
    weft_hashed hashed;
    int status = weft_map_hash(s->map, s->key, &hashed);
    return status == WEFT_OK ? weft_map_get_hashed(s->map, &hashed, &s->out) : status;
}

static int do_poll(step *s) {
    weft_batch batch;
    REQUIRE(weft_batch_init(&batch, s->map, 2) == WEFT_OK);
    REQUIRE(weft_batch_submit(&batch, s->key, NULL) == WEFT_OK);
    REQUIRE(weft_batch_submit(&batch, other_key, NULL) == WEFT_OK);
    REQUIRE(weft_batch_poll(&batch, &s->out, NULL) == WEFT_OK);
    return weft_batch_poll(&batch, &s->out, NULL);
}

static int do_len(step *s) {
    return weft_map_len(s->map) > 100000 ? WEFT_E_CORRUPT : WEFT_OK;
}

static int do_is_empty(step *s) {
    weft_map_is_empty(s->map);
    return WEFT_OK;
}

static int do_stats(step *s) {
    weft_map_stats stats;
    weft_map_stats_get(s->map, &stats);
    return stats.engine == NULL ? WEFT_E_CORRUPT : WEFT_OK;
}

/* ---- write ----------------------------------------------------------------------------------- */

static int do_put(step *s) {
    return weft_map_put(s->map, s->key, s->value);
}

static int do_swap(step *s) {
    return weft_map_swap(s->map, s->key, s->value, &s->out);
}

static int do_insert(step *s) {
    return weft_map_insert(s->map, s->key, s->value);
}

static int do_get_or_insert(step *s) {
    return weft_map_get_or_insert(s->map, s->key, s->value, &s->out);
}

static int build(void *ctx, weft_bytes key, weft_fresh *fresh) {
    (void)key;
    fresh->body = *(const weft_bytes *)ctx;
    return WEFT_OK;
}

static int do_get_or_build(step *s) {
    weft_build builder = {build, &s->value};
    return weft_map_get_or_build(s->map, s->key, &builder, &s->out);
}

static int do_replace(step *s) {
    return weft_map_replace(s->map, s->key, s->value);
}

static int do_cas(step *s) {
    return weft_map_cas(s->map, s->key, s->value, s->value);
}

static int do_replace_if_version(step *s) {
    do_get(s);
    return weft_map_replace_if_version(s->map, s->key, s->out.version, s->value);
}

static int do_fetch_add(step *s) {
    return weft_map_fetch_add(s->map, s->key, 3, NULL);
}

static int do_fetch(step *s) {
    return weft_map_fetch(s->map, s->key, (weft_fetch){WEFT_FETCH_MAX, 17}, NULL);
}

static void combine(void *ctx, weft_bytes old, weft_bytes operand, weft_fresh *fresh) {
    (void)ctx;
    (void)old;
    fresh->body = operand;
}

static int do_merge(step *s) {
    weft_merge merge = {combine, NULL};
    return weft_map_merge(s->map, s->key, s->value, &merge);
}

static weft_verdict decide(void *ctx, const weft_view *old, weft_fresh *fresh) {
    step *s = ctx;
    if (old != NULL) {
        look(NULL, old);
    }
    fresh->body = s->value;
    return (weft_verdict)(s->value_number % 4);
}

static int do_compute(step *s) {
    weft_compute compute = {decide, s, WEFT_OPTIMISTIC};
    return weft_map_compute(s->map, s->key, &compute, NULL);
}

static int do_compute_exclusive(step *s) {
    weft_compute compute = {decide, s, WEFT_EXCLUSIVE};
    return weft_map_compute(s->map, s->key, &compute, NULL);
}

static int do_restore(step *s) {
    weft_fresh fresh = {{NULL, 0}, s->value};
    return weft_map_restore(s->map, s->key, &fresh, s->value_number);
}

static int do_remove(step *s) {
    return weft_map_remove(s->map, s->key);
}

static int do_take(step *s) {
    weft_ref ref;
    int status = weft_map_take(s->map, s->key, &ref);
    if (status == WEFT_OK) {
        look(NULL, &ref.view);
        weft_ref_release(&ref);
    }
    return status;
}

static int do_remove_eq(step *s) {
    return weft_map_remove_eq(s->map, s->key, s->value);
}

static int do_remove_if(step *s) {
    return weft_map_remove_if(s->map, s->key, look, NULL);
}

static int do_remove_if_version(step *s) {
    do_get(s);
    return weft_map_remove_if_version(s->map, s->key, s->out.version);
}

static int do_put_hashed(step *s) {
    weft_hashed hashed;
    int status = weft_map_hash(s->map, s->key, &hashed);
    return status == WEFT_OK ? weft_map_put_hashed(s->map, &hashed, s->value) : status;
}

static int do_remove_hashed(step *s) {
    weft_hashed hashed;
    int status = weft_map_hash(s->map, s->key, &hashed);
    return status == WEFT_OK ? weft_map_remove_hashed(s->map, &hashed) : status;
}

static int do_put_many(step *s) {
    weft_bytes keys[2] = {s->key, other_key};
    weft_bytes values[2] = {s->value, s->value};
    return weft_map_put_many(s->map, keys, values, 2);
}

static int do_remove_many(step *s) {
    weft_bytes keys[2] = {other_key, s->key};
    return weft_map_remove_many(s->map, keys, 2, NULL);
}

/* ---- walk ------------------------------------------------------------------------------------ */

static int do_foreach(step *s) {
    return weft_map_foreach(s->map, look, NULL);
}

static int do_foreach_part(step *s) {
    weft_part part = {s->value_number % 3, 3, look, NULL};
    return weft_map_foreach_part(s->map, &part);
}

static int do_iter(step *s) {
    weft_map_iter iter;
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    weft_map_iter_start(s->map, &iter);
    while (weft_map_iter_next(&iter, &guard, &view) == WEFT_OK) {
        look(NULL, &view);
    }
    weft_guard_leave(&guard);
    return WEFT_OK;
}

static int do_scan(step *s) {
    uint64_t cursor = s->value_number % 2 == 0 ? 0 : s->value_number << 57;
    return weft_map_scan(s->map, &cursor, look, NULL);
}

static int do_retain(step *s) {
    return weft_map_retain(s->map, keep_most, NULL, NULL);
}

static int do_len_exact(step *s) {
    return weft_map_len_exact(s->map) > 100000 ? WEFT_E_CORRUPT : WEFT_OK;
}

/* ---- clear ----------------------------------------------------------------------------------- */

static int do_clear(step *s) {
    return weft_map_clear(s->map);
}

static int do_reserve(step *s) {
    return weft_map_reserve(s->map, s->value_number % 700);
}

static int do_shrink(step *s) {
    return weft_map_shrink(s->map);
}

static int do_maintain(step *s) {
    int status = weft_map_maintain(s->map, 3);
    return status == WEFT_E_BUSY ? WEFT_OK : status;
}

/* ---- the list, as in the header -------------------------------------------------------------- */

typedef struct operation {
    const char *class;
    const char *name;
    int (*run)(step *s);
} operation;

static const operation operations[] = {
    {"read", "get", do_get},
    {"read", "peek", do_peek},
    {"read", "acquire", do_acquire},
    {"read", "contains", do_contains},
    {"read", "get_many", do_get_many},
    {"read", "get_hashed", do_get_hashed},
    {"read", "poll", do_poll},
    {"read", "len", do_len},
    {"read", "is_empty", do_is_empty},
    {"read", "stats", do_stats},
    {"write", "put", do_put},
    {"write", "swap", do_swap},
    {"write", "insert", do_insert},
    {"write", "get_or_insert", do_get_or_insert},
    {"write", "get_or_build", do_get_or_build},
    {"write", "replace", do_replace},
    {"write", "cas", do_cas},
    {"write", "replace_if_version", do_replace_if_version},
    {"write", "fetch_add", do_fetch_add},
    {"write", "fetch", do_fetch},
    {"write", "merge", do_merge},
    {"write", "compute", do_compute},
    {"write", "compute_exclusive", do_compute_exclusive},
    {"write", "restore", do_restore},
    {"write", "remove", do_remove},
    {"write", "take", do_take},
    {"write", "remove_eq", do_remove_eq},
    {"write", "remove_if", do_remove_if},
    {"write", "remove_if_version", do_remove_if_version},
    {"write", "put_hashed", do_put_hashed},
    {"write", "remove_hashed", do_remove_hashed},
    {"write", "put_many", do_put_many},
    {"write", "remove_many", do_remove_many},
    {"walk", "foreach", do_foreach},
    {"walk", "foreach_part", do_foreach_part},
    {"walk", "iter", do_iter},
    {"walk", "scan", do_scan},
    {"walk", "retain", do_retain},
    {"walk", "len_exact", do_len_exact},
    {"clear", "clear", do_clear},
    {"clear", "reserve", do_reserve},
    {"clear", "shrink", do_shrink},
    {"clear", "maintain", do_maintain},
};

/* The matrix as the header draws it: `rows` classes against the same classes; true: safe
 * together. */
typedef struct matrix {
    size_t count;
    char names[8][CLASS_NAME_MAX];
    bool safe[8][8];
} matrix;

static size_t index_of(const matrix *m, const char *name) {
    size_t i = 0;
    while (i < m->count && strcmp(m->names[i], name) != 0) {
        i++;
    }
    REQUIRE(i < m->count);
    return i;
}

static void read_row(matrix *m, char *line, size_t row) {
    char *rest = NULL;
    char *name = strtok_r(line, " *\n", &rest);
    REQUIRE(name != NULL && strcmp(name, m->names[row]) == 0);
    for (size_t column = 0; column < m->count; column++) {
        char *mark = strtok_r(NULL, " \n", &rest);
        REQUIRE(mark != NULL && (strcmp(mark, "-") == 0 || strcmp(mark, "X") == 0));
        m->safe[row][column] = *mark == '-';
    }
}

static void read_matrix(matrix *m) {
    const char *source = getenv("WEFT_SOURCE");
    char path[4096];
    char line[256];
    snprintf(path, sizeof path, "%s/include/weft/map.h", source == NULL ? "." : source);
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    do {
        REQUIRE(fgets(line, sizeof line, file) != NULL);
    } while (strncmp(line, " * MATRIX", 9) != 0);
    REQUIRE(fgets(line, sizeof line, file) != NULL);
    char *rest = NULL;
    *m = (matrix){.count = 0};
    for (char *name = strtok_r(line, " *\n", &rest); name != NULL;
         name = strtok_r(NULL, " \n", &rest)) {
        snprintf(m->names[m->count++], CLASS_NAME_MAX, "%s", name);
    }
    for (size_t row = 0; row < m->count; row++) {
        REQUIRE(fgets(line, sizeof line, file) != NULL);
        read_row(m, line, row);
    }
    fclose(file);
}

/* ---- running pairs --------------------------------------------------------------------------- */

static void run_pair(contract_worker *worker) {
    const operation *const *pair = worker->ctx;
    for (uint64_t i = 0; i < STEPS; i++) {
        step s = {.map = worker->map};
        s.key_number = (i * 7 + worker->index) % KEYS;
        s.value_number = i * 13 + worker->index;
        s.key = bytes_of_u64(&s.key_number);
        s.value = bytes_of_u64(&s.value_number);
        s.out = (weft_buffer){.data = &s.room, .capacity = sizeof s.room};
        if (worker->index < 2) {
            int status = pair[worker->index]->run(&s);
            if (status < 0) {
                fprintf(stderr, "%s: %s\n", pair[worker->index]->name, weft_status_name(status));
                REQUIRE(!"an operation failed beside another");
            }
        } else {
            uint64_t far = 1000 + i * 8;
            for (uint64_t key = far; key < far + 8; key++) {
                REQUIRE(put_u64(worker->map, key, key) == WEFT_OK);
            }
            remove_u64(worker->map, far - 7);
        }
    }
}

/* Sanitizers take their time: they, and a second compiler, see all pairs on the first engine and
 * each seventh on the others. */
static size_t pairs_between(void **state) {
#if defined(WEFT_THREAD_SANITIZER) || defined(__SANITIZE_ADDRESS__) || defined(__clang__)
    return contract_engine_of(state) == contract_engines[0].id ? 1 : 7;
#else
    (void)state;
    return 1;
#endif
}

static void test_A_safe_pairs_run_together(void **state) {
    matrix m;
    size_t pairs = 0;
    const size_t every = pairs_between(state);
    weft_map_options options = contract_options(state);
    options.refcount = true;
    if (!contract_grows(state)) { /* hundreds of maps, with memory that is all there at once */
        options.fixed = (weft_fixed_options){.capacity = 4096};
    }
    read_matrix(&m);
    assert_int_equal(m.count, 5);
    for (size_t a = 0; a < COUNT_OF(operations); a++) {
        for (size_t b = a; b < COUNT_OF(operations); b++) {
            const operation *pair[2] = {&operations[a], &operations[b]};
            if (!m.safe[index_of(&m, pair[0]->class)][index_of(&m, pair[1]->class)]) {
                continue;
            }
            pairs++;
            if ((pairs + contract_engine_of(state)) % every != 0) {
                continue;
            }
            weft_map map = contract_open_with(&options);
            put_range(&map, 0, KEYS);
            contract_together(3, run_pair, &map, pair);
            contract_close(&map);
        }
    }
    assert_int_equal(pairs, COUNT_OF(operations) * (COUNT_OF(operations) + 1) / 2);
}

static const contract_test tests[] = {
    CONTRACT_THREADS(test_A_safe_pairs_run_together),
};

int main(void) {
    return contract_run("contract/matrix", tests, COUNT_OF(tests));
}
