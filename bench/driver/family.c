/* SPDX-License-Identifier: MIT */
/* What a get costs on one thread beside tables without synchronisation, and what engine owner's
 * check for misuse costs. All contenders of a figure are measured in turns; what counts is the
 * median of the quotients of a turn. */
#include "base/thread.h"
#include "figure.h"
#include "owner_unchecked.h"
#include "peer.h"
#include "plain.h"
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/u64map.h>

/* A long list of lookups, so that no branch predictor knows it by heart. */
enum { LOOKUPS = 1 << 16, OF_64 = 64 };

static uint64_t keys[LOOKUPS];

static uint64_t key_of(uint64_t number) {
    return weft_draw_mix(number + 1);
}

/* `misses` of 64 are absent. */
static void draw_keys(uint64_t entries, unsigned misses) {
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        uint64_t random = weft_draw_mix(i ^ UINT64_C(0x5bd1e995));
        uint64_t number = (random >> 8) % entries;
        keys[i] = key_of(random % OF_64 < misses ? number + (UINT64_C(1) << 40) : number);
    }
}

typedef struct table {
    weft_u64map map;
    weft_plain plain;
} table;

/* What is in a map of so many entries. Which of them share a bucket, the seed decides. */
typedef struct content {
    uint64_t entries;
    uint64_t seed;
} content;

static bool fill(weft_u64map *map, weft_engine_id engine, const content *what) {
    weft_map_options options = {.size = sizeof options,
                                .engine = engine,
                                .expected_entries = what->entries,
                                .hash_seed = what->seed};
    bool right = weft_u64map_open(map, &options) == WEFT_OK;
    for (uint64_t i = 0; i < what->entries && right; i++) {
        right = weft_u64map_put(map, key_of(i), i) == WEFT_OK;
    }
    return right;
}

/* ---- ways to look ---------------------------------------------------------------------------- */

#ifdef WEFT_CALLS_ONLY
#define get_naked weft_u64map_get
#define get_unchecked weft_u64map_get
#else

/* A map's table as one that nobody else may see: no guard, and nothing asked about the map. */
static WEFT_ALWAYS_INLINE int get_naked(weft_u64map *map, uint64_t key, uint64_t *value) {
    const struct weft_inline_era *era = ((const struct weft_inline_map *)map->impl)->era;
    int status;
    bool plain = weft_inline_look(era->root, weft_inline_mix(key, era->mix), value, &status);
    return WEFT_LIKELY(plain) ? status : weft_u64map_get_slow(map, key, value);
}

/* weft_u64map_get of engine owner, if it did not look whether somebody writes. */
static WEFT_ALWAYS_INLINE int get_unchecked(weft_u64map *map, uint64_t key, uint64_t *value) {
    const struct weft_inline_map *impl = __atomic_load_n(&map->impl, __ATOMIC_ACQUIRE);
    struct weft_inline_record *record = weft_inline_thread;
    int status;
    uint64_t here;
    if (WEFT_UNLIKELY(impl == NULL) || WEFT_UNLIKELY(!weft_inline_is_zero(&record->pinned))) {
        return weft_u64map_get_slow(map, key, value);
    }
    uint64_t epoch = __atomic_load_n(&weft_guard_clock.epoch, __ATOMIC_ACQUIRE);
    __atomic_store_n(&record->pinned, epoch, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    const struct weft_inline_era *era = __atomic_load_n(&impl->era, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&era->root, __ATOMIC_ACQUIRE) != NULL ||
        WEFT_UNLIKELY(era->plain.lines == NULL)) {
        return weft_u64map_get_shown(map, key, value, record);
    }
    uint64_t hash = weft_inline_mix(key, era->mix);
    if (WEFT_UNLIKELY(weft_inline_may_be_recorded(impl, hash)) ||
        WEFT_UNLIKELY(!weft_inline_look_plain(&era->plain, hash, &here, &status))) {
        return weft_u64map_get_shown(map, key, value, record);
    }
    __atomic_store_n(&record->pinned, (uint64_t)0, __ATOMIC_RELEASE);
    *value = here;
    return status;
}
#endif

/* A loop of its own for each way, over the first `count` keys. Where a loop begins in a line of the
 * instructions' cache is a tenth of its time: all of them at the same place. */
#define LOOP(name, found)                                                                          \
    static WEFT_CODE_ALIGNED uint64_t name(table *t, uint64_t count) {                             \
        uint64_t sum = 0;                                                                          \
        for (uint64_t i = 0; i < count; i++) {                                                     \
            uint64_t value = i;                                                                    \
            sum += (found);                                                                        \
            sum += value;                                                                          \
        }                                                                                          \
        (void)t;                                                                                   \
        return sum;                                                                                \
    }

LOOP(look, weft_u64map_get(&t->map, keys[i], &value) == WEFT_OK)
LOOP(look_naked, get_naked(&t->map, keys[i], &value) == WEFT_OK)
LOOP(look_unchecked, get_unchecked(&t->map, keys[i], &value) == WEFT_OK)
LOOP(look_called, weft_plain_look(&t->plain, keys[i], &value))
LOOP(put, weft_u64map_put(&t->map, keys[i], value) == WEFT_OK)
LOOP(nothing, keys[i] == 0)

static WEFT_CODE_ALIGNED uint64_t look_inlined(table *t, uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        const weft_plain_place *place = weft_plain_find(&t->plain, &weft_plain_numbers, keys[i]);
        sum += place->key != 0;
        sum += place->value;
    }
    return sum;
}

typedef uint64_t (*loop)(table *t, uint64_t count);

/* Processor time: what others take of the processor is not in it. */
static double processor_ns(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double time_of(loop way, table *t) {
    double began = processor_ns();
    uint64_t sum = way(t, LOOKUPS);
    WEFT_HIDE(sum);
    return (processor_ns() - began) / LOOKUPS;
}

/* ---- gets on one thread ---------------------------------------------------------------------- */

enum { COW, COW_NAKED, RWLOCK, OWNER, LOCKFREE, FIXED, CALLED, INLINED, NOTHING, WAYS };
enum { SIZES = 4, TINY_SIZES = 2, MIXES = 2, CELLS = SIZES * MIXES };

static const unsigned sizes[SIZES] = {8, 16, 100, 300};

static const struct {
    loop way;
    weft_engine_id engine; /* of those before CALLED */
} ways[WAYS] = {
    [COW] = {look, WEFT_ENGINE_COW},
    [COW_NAKED] = {look_naked, WEFT_ENGINE_COW},
    [RWLOCK] = {look, WEFT_ENGINE_RWLOCK},
    [OWNER] = {look, WEFT_ENGINE_OWNER},
    [LOCKFREE] = {look, WEFT_ENGINE_LOCKFREE},
    [FIXED] = {look, WEFT_ENGINE_FIXED},
    [CALLED] = {look_called, WEFT_ENGINE_AUTO},
    [INLINED] = {look_inlined, WEFT_ENGINE_AUTO},
    [NOTHING] = {nothing, WEFT_ENGINE_AUTO},
};

/* Nanoseconds, by size and mix. */
static double taken[CELLS][WAYS][FIGURE_SAMPLES];

static bool open_tables(table *tables, const content *what) {
    bool right = true;
    for (int i = 0; i < WAYS; i++) {
        tables[i] = (table){.map = WEFT_U64MAP_INIT};
        weft_plain_open(&tables[i].plain);
        if (i < CALLED) {
            right = right && fill(&tables[i].map, ways[i].engine, what);
        }
        for (uint64_t k = 0; k < what->entries && i >= CALLED; k++) {
            weft_plain_put(&tables[i].plain, &weft_plain_numbers, key_of(k), k);
        }
    }
    return right;
}

/* The tables of one size. Made anew in each round, with another seed, so that neither where they
 * lie in memory nor which keys share a bucket is the same in all of them. */
static bool measure_size(int size, int round) {
    table tables[WAYS];
    const content what = {sizes[size], (uint64_t)round + 1};
    bool right = open_tables(tables, &what);
    for (int mix = 0; mix < MIXES && right; mix++) {
        draw_keys(sizes[size], (unsigned)mix * (OF_64 / 2));
        for (int k = 0; k < WAYS; k++) {
            int way = (round + k) % WAYS;
            taken[size * MIXES + mix][way][round] = time_of(ways[way].way, &tables[way]);
        }
    }
    for (int i = 0; i < WAYS; i++) {
        (void)weft_u64map_close(&tables[i].map);
        weft_plain_close(&tables[i].plain);
    }
    return right;
}

bool weft_single_alone_measure(bool quick) {
    (void)quick; /* it is half a second */
    bool right = true;
    for (int round = 0; round < FIGURE_SAMPLES && right; round++) {
        for (int size = 0; size < SIZES && right; size++) {
            right = measure_size(size, round);
        }
    }
    return right;
}

static figure figure_of(const char *name, const double *values) {
    figure made = {.peer = name, .count = FIGURE_SAMPLES};
    memcpy(made.values, values, sizeof made.values);
    return made;
}

/* The median of the other's time over the own. */
static double ratio_of(const double *own, const double *other) {
    figure ratios = {.count = FIGURE_SAMPLES};
    for (int i = 0; i < FIGURE_SAMPLES; i++) {
        ratios.values[i] = other[i] / own[i];
    }
    return weft_figure_median(&ratios);
}

/* What a cell is of. */
typedef struct comparison {
    const char *id;
    const char *about;
    int own;
    int other;
    const char *control; /* the other's name */
    int cells;           /* the first so many */
    bool mean;           /* geometric, of all of them; else the worst */
} comparison;

static const comparison comparisons[] = {
    {"cow-same/1", "get of cow, against its table without a guard", COW, COW_NAKED, "no-guard",
     CELLS, false},
    {"cow-plain/1", "get of cow, against a plain table's function", COW, CALLED, "plain-function",
     CELLS, false},
    {"cow-inlined/1", "get of cow, against a plain table inlined", COW, INLINED, "plain-inlined",
     CELLS, true},
    {"rwlock-plain/1", "get of rwlock, against a plain table's function", RWLOCK, CALLED,
     "plain-function", CELLS, false},
    {"rwlock-inlined/1", "get of rwlock, against a plain table inlined", RWLOCK, INLINED,
     "plain-inlined", CELLS, true},
    {"owner-plain/1", "get of owner, against a plain table's function", OWNER, CALLED,
     "plain-function", CELLS, false},
    {"owner-inlined/1", "get of owner, against a plain table inlined", OWNER, INLINED,
     "plain-inlined", CELLS, true},
    {"tiny-plain/1", "get of lockfree in a tiny map, against a plain table's function", LOCKFREE,
     CALLED, "plain-function", TINY_SIZES *MIXES, false},
    {"tiny-inlined/1", "get of lockfree in a tiny map, against a plain table inlined", LOCKFREE,
     INLINED, "plain-inlined", TINY_SIZES *MIXES, true},
};

/* The cell shows the samples of the worst size and mix. */
static void add_comparison(const weft_single *how, const comparison *c) {
    double logs = 0;
    double worst = INFINITY;
    int at = 0;
    for (int cell = 0; cell < c->cells; cell++) {
        double ratio = ratio_of(taken[cell][c->own], taken[cell][c->other]);
        logs += log(ratio);
        at = ratio < worst ? cell : at;
        worst = ratio < worst ? ratio : worst;
    }
    cell_text text = {c->id, c->about, "u64", "get", "ns", "less", sizes[at / MIXES]};
    figure own = figure_of(WEFT_PEER_OWN, taken[at][c->own]);
    figure other = figure_of(c->control, taken[at][c->other]);
    weft_figure_add_control(how, c->control, c->about);
    weft_figure_add_cell(how, &text, &own, &other);
    json_t *cell = json_array_get(how->cells, json_array_size(how->cells) - 1);
    json_object_set_new(cell, "ratio", json_real(c->mean ? exp(logs / c->cells) : worst));
}

/* A figure that is compared with a constant, so: the fastest round, since what others take of the
 * core comes on top of it, and without what the loop itself takes. */
static figure fixed_figure(int cell) {
    figure own = {.peer = WEFT_PEER_OWN, .count = 1};
    for (int i = 0; i < FIGURE_SAMPLES; i++) {
        double each = taken[cell][FIXED][i] - taken[cell][NOTHING][i];
        own.values[0] = i == 0 || each < own.values[0] ? each : own.values[0];
    }
    return own;
}

static void add_fixed(const weft_single *how) {
    int at = 0;
    double most = 0;
    for (int cell = 0; cell < CELLS; cell++) {
        figure own = fixed_figure(cell);
        at = weft_figure_median(&own) > most ? cell : at;
        most = weft_figure_median(&own) > most ? weft_figure_median(&own) : most;
    }
    cell_text text = {"fixed-hot/1",    "get of fixed, hot in cache", "u64", "get", "ns", "less",
                      sizes[at / MIXES]};
    figure own = fixed_figure(at);
    weft_figure_add_cell(how, &text, &own, NULL);
}

void weft_single_alone(const weft_single *how) {
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++) {
        add_comparison(how, &comparisons[i]);
    }
    add_fixed(how);
}

/* ---- the check for misuse -------------------------------------------------------------------- */

enum { CHECKED, UNCHECKED, VARIANTS };
enum { CHECK_ENTRIES = 300, STEPPED = 25 };

/* Instructions of a child from one stop to the next; 0: it cannot be traced. */
static uint64_t steps_to_stop(pid_t child) {
    uint64_t count = 0;
    int status = 0;
    do {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
            waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
            return 0;
        }
        count++;
    } while (WSTOPSIG(status) != SIGSTOP);
    return count;
}

/* Instructions of so many turns of a loop, and of what is around it. */
static double instructions_of(loop way, table *t, uint64_t count) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        (void)put(t, 1); /* the thread is another one */
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(1);
        }
        (void)raise(SIGSTOP);
        uint64_t sum = way(t, count);
        WEFT_HIDE(sum);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
        return NAN;
    }
    uint64_t steps = steps_to_stop(child);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    return steps == 0 ? NAN : (double)steps;
}

/* Of one operation, without the loop. */
static double instructions_each(loop way, table *t) {
    double more = instructions_of(way, t, 2 * STEPPED) - instructions_of(way, t, STEPPED);
    double loops = instructions_of(nothing, t, 2 * STEPPED) - instructions_of(nothing, t, STEPPED);
    return (more - loops) / STEPPED;
}

typedef struct check_cell {
    const char *id;
    const char *about;
    loop ways[VARIANTS];
} check_cell;

/* Both variants are of one map, so that where it lies in memory makes no difference. */
static void add_check(const weft_single *how, const check_cell *cell, table *t, bool counted) {
    cell_text text = {cell->id,
                      cell->about,
                      "u64",
                      counted ? "instructions" : "time",
                      counted ? "instructions" : "ns",
                      "less",
                      CHECK_ENTRIES};
    figure variants[VARIANTS] = {{.peer = WEFT_PEER_OWN}, {.peer = "no-check"}};
    int samples = counted ? 1 : FIGURE_SAMPLES;
    for (int i = 0; i < samples; i++) {
        for (int k = 0; k < VARIANTS; k++) {
            int v = (i + k) % VARIANTS;
            weft_owner_set_check(&t->map, v == CHECKED);
            variants[v].values[i] =
                counted ? instructions_each(cell->ways[v], t) : time_of(cell->ways[v], t);
        }
    }
    variants[CHECKED].count = variants[UNCHECKED].count = (size_t)samples;
    if (isnan(variants[CHECKED].values[0]) || isnan(variants[UNCHECKED].values[0])) {
        return; /* without the cell the gate is not reached */
    }
    weft_figure_add_control(how, "no-check", "engine owner compiled without its check");
    weft_figure_add_cell(how, &text, &variants[CHECKED], &variants[UNCHECKED]);
    if (!counted) {
        json_t *made = json_array_get(how->cells, json_array_size(how->cells) - 1);
        json_object_set_new(
            made, "ratio",
            json_real(ratio_of(variants[CHECKED].values, variants[UNCHECKED].values)));
    }
}

void weft_single_owner_check(const weft_single *how) {
    static const check_cell cells[] = {
        {"owner-check-get/1",
         "get of owner, against one without the check",
         {look, look_unchecked}},
        {"owner-check-put/1", "put of owner, against one without the check", {put, put}},
        {"owner-check-get-instructions/1",
         "get of owner, against one without the check",
         {look, look_unchecked}},
        {"owner-check-put-instructions/1",
         "put of owner, against one without the check",
         {put, put}},
    };
    table t = {.map = WEFT_U64MAP_INIT};
    draw_keys(CHECK_ENTRIES, 0);
    if (fill(&t.map, WEFT_ENGINE_OWNER, &(content){CHECK_ENTRIES, 1})) {
        for (int i = 0; i < 4; i++) {
            add_check(how, &cells[i], &t, i >= 2);
        }
        weft_owner_set_check(&t.map, true);
    }
    (void)weft_u64map_close(&t.map);
}
