/* SPDX-License-Identifier: MIT */
/* Whether speed and memory stay as they are: churn at a constant size, and what is given back when
 * most entries have left. Each map lives in a process of its own, so that its memory can be told
 * from the driver's. */
#include "base/atomic.h"
#include "base/lock.h"
#include "base/thread.h"
#include "bench.h"
#include "draw.h"
#include "figure.h"
#include "peer.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/u64map.h>

enum { VALUE_BYTES = 32 };

/* A map of one of the two shapes. */
typedef struct either {
    bool bytes;
    weft_map texts;
    weft_u64map numbers;
} either;

static int either_open(either *map, bool bytes) {
    *map = (either){.bytes = bytes};
    return bytes ? weft_map_open(&map->texts, NULL) : weft_u64map_open(&map->numbers, NULL);
}

static void either_close(either *map) {
    (void)(map->bytes ? weft_map_close(&map->texts) : weft_u64map_close(&map->numbers));
}

static bool either_insert(either *map, uint64_t number) {
    uint64_t key[2] = {weft_draw_mix(number), number};
    char value[VALUE_BYTES];
    if (!map->bytes) {
        return weft_u64map_insert(&map->numbers, key[0], number) == WEFT_OK;
    }
    memset(value, 'v', sizeof value);
    return weft_map_insert(&map->texts, weft_bytes_of(key, sizeof key),
                           weft_bytes_of(value, sizeof value)) == WEFT_OK;
}

static bool either_remove(either *map, uint64_t number) {
    uint64_t key[2] = {weft_draw_mix(number), number};
    return (map->bytes ? weft_map_remove(&map->texts, weft_bytes_of(key, sizeof key))
                       : weft_u64map_remove(&map->numbers, key[0])) == WEFT_OK;
}

static bool either_maintain(either *map) {
    return (map->bytes ? weft_map_maintain(&map->texts, SIZE_MAX)
                       : weft_u64map_maintain(&map->numbers, SIZE_MAX)) == WEFT_OK;
}

static double table_bytes(either *map) {
    weft_map_stats stats;
    if (map->bytes) {
        weft_map_stats_get(&map->texts, &stats);
    } else {
        weft_u64map_stats_get(&map->numbers, &stats);
    }
    return (double)stats.table_bytes;
}

/* Resident bytes of this process. */
static double resident(void) {
    unsigned long long pages = 0;
    FILE *stream = fopen("/proc/self/statm", "r");
    if (stream == NULL || fscanf(stream, "%*u %llu", &pages) != 1) {
        pages = 0;
    }
    if (stream != NULL) {
        (void)fclose(stream);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* What is done apart from this process, and what this one does meanwhile, again and again. */
typedef struct task {
    void (*measure)(void *ctx);
    void (*meanwhile)(void *ctx); /* NULL: nothing */
} task;

/* Do it in a child, on memory that both share. False if it did not come to its end. */
static bool run_apart(const task *what, void *ctx, size_t size) {
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int outcome = 1;
    if (shared == MAP_FAILED) {
        return false;
    }
    memcpy(shared, ctx, size);
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        what->measure(shared);
        _exit(weft_bench_stopped() ? 1 : 0);
    }
    while (child > 0 && waitpid(child, &outcome, WNOHANG) == 0) {
        if (weft_bench_stopped()) {
            (void)kill(child, SIGTERM); /* it ends with the slice */
        }
        if (what->meanwhile != NULL) {
            what->meanwhile(shared);
        }
        weft_sleep_ns(1000000);
    }
    memcpy(ctx, shared, size);
    (void)munmap(shared, size);
    return child > 0 && outcome == 0;
}

/* ---- churn ----------------------------------------------------------------------------------- */

enum { THREADS = 2, WINDOW = 1 << 16, SLICES = 100, TENTH = SLICES / 10 };

/* Pairs before the first slice, until memory is as mixed as it stays: first entries lie side by
 * side. */
enum { WARM = 4 * WINDOW, WARM_QUICK = WINDOW / 16 };

/* A new map beside the old one, after each slice, in a process of its own: how fast that is at this
 * moment says what others do with the machine. */
enum { NEW_PART = 4 /* of a slice's pairs */ };

typedef struct churn {
    bool bytes;
    uint64_t pairs; /* of an insert and a removal, a thread and slice */
    uint64_t warm;
    double seconds[THREADS][SLICES];
    double resident[SLICES];
    double table[SLICES];
    double new_rate[SLICES]; /* of the new maps */
    uint64_t done;           /* slices, of all threads together */
    uint64_t released;       /* slices that may be begun */
    uint64_t refused;        /* inserts of keys that were there, removals of keys that were not */
} churn;

typedef struct churner {
    churn *churn;
    either *map;
    uint64_t index;
    uint64_t slices;
    double base; /* resident before the map was made */
    weft_thread thread;
} churner;

/* Processor time of this thread: who else runs on the machine is no business of the map's. */
static double processor_seconds(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Always new keys; the one that came WINDOW before leaves. */
static uint64_t churn_slice(either *map, uint64_t from, uint64_t pairs) {
    uint64_t refused = 0;
    for (uint64_t i = from; i < from + pairs; i++) {
        refused += !either_insert(map, i + WINDOW);
        refused += !either_remove(map, i);
    }
    return refused;
}

/* All threads begin a slice when it is released. */
static void await_release(const churn *shared, uint64_t slice) {
    /* Acquire, pairs with the release in measure_new_map: nothing of this slice comes before it. */
    while (weft_load_acquire(&shared->released) <= slice && !weft_bench_stopped()) {
        weft_sleep_ns(100000);
    }
}

static void *run_churner(void *ctx) {
    churner *c = ctx;
    churn *shared = c->churn;
    uint64_t first = 1 + (c->index << 40);
    uint64_t refused = 0;
    for (uint64_t i = first; i < first + WINDOW; i++) {
        refused += !either_insert(c->map, i);
    }
    refused += churn_slice(c->map, first, shared->warm);
    first += shared->warm;
    for (uint64_t slice = 0; slice < c->slices && !weft_bench_stopped(); slice++) {
        await_release(shared, slice);
        double began = processor_seconds();
        refused += churn_slice(c->map, first + slice * shared->pairs, shared->pairs);
        shared->seconds[c->index][slice] = processor_seconds() - began;
        if (c->index == 0) {
            shared->resident[slice] = resident() - c->base;
            shared->table[slice] = table_bytes(c->map);
        }
        weft_fetch_add_acq_rel(&shared->done, 1); /* pairs with the load in measure_new_map */
    }
    weft_fetch_add_relaxed(&shared->refused, refused);
    await_release(shared, c->slices); /* until the last new map was measured */
    return NULL;
}

static void run_churners(churn *shared, uint64_t slices) {
    churner churners[THREADS];
    double base = resident();
    either map;
    if (either_open(&map, shared->bytes) != WEFT_OK) {
        _exit(1);
    }
    for (uint64_t t = 0; t < THREADS; t++) {
        churners[t] =
            (churner){.churn = shared, .map = &map, .index = t, .slices = slices, .base = base};
        if (!weft_thread_start(&churners[t].thread, run_churner, &churners[t])) {
            _exit(1);
        }
    }
    for (int t = 0; t < THREADS; t++) {
        weft_thread_join(&churners[t].thread);
    }
    either_close(&map);
}

static void churn_once(void *ctx) {
    run_churners(ctx, 1);
}

static void churn_on(void *ctx) {
    run_churners(ctx, SLICES);
}

static double churn_rate(const churn *c, uint64_t slice) {
    double rate = 0;
    for (int t = 0; t < THREADS; t++) {
        rate += 2 * (double)c->pairs / c->seconds[t][slice];
    }
    return rate;
}

/* Where the old map's threads wait: they have done a slice. */
static void measure_new_map(void *ctx) {
    static const task once = {churn_once, NULL};
    churn *shared = ctx;
    /* Acquire: the slices' figures. Pairs with the addition in run_churner. */
    if (weft_load_acquire(&shared->done) != shared->released * THREADS ||
        shared->released > SLICES) {
        return;
    }
    churn new = {.bytes = shared->bytes,
                 .pairs = shared->pairs / NEW_PART,
                 .warm = shared->warm,
                 .released = 2};
    bool right = run_apart(&once, &new, sizeof new) && new.refused == 0;
    shared->new_rate[shared->released - 1] = right ? churn_rate(&new, 0) : 0;
    weft_fetch_add_relaxed(&shared->refused, (uint64_t)!right);
    weft_bench_progress("churn, %s: %llu %%", shared->bytes ? "bytes" : "u64",
                        (unsigned long long)shared->released * 100 / SLICES);
    weft_store_release(&shared->released, shared->released + 1); /* with await_release */
}

/* The last tenth of the slices against the first. */
static void add_tenths(const weft_single *how, const cell_text *text, const double *values) {
    figure own = {.peer = WEFT_PEER_OWN, .count = TENTH, .series = json_array()};
    figure other = {.peer = "first-tenth", .count = TENTH};
    json_t *points = json_array();
    memcpy(own.values, &values[SLICES - TENTH], TENTH * sizeof *values);
    memcpy(other.values, values, TENTH * sizeof *values);
    for (int i = 0; i < SLICES; i++) {
        json_array_append_new(points, json_pack("[i,f]", i + 1, values[i]));
    }
    json_array_append_new(own.series, json_pack("{s:s,s:s,s:s,s:o}", "name", text->measure, "unit",
                                                text->unit, "x", "slices", "points", points));
    weft_figure_add_control(how, other.peer, "weft, in the first tenth of the run");
    weft_figure_add_cell(how, text, &own, &other);
}

static void churn_shape(const weft_single *how, bool bytes) {
    const char *shape = bytes ? "bytes" : "u64";
    uint64_t operations = how->quick ? 2000000 : 1000000000;
    churn c = {.bytes = bytes,
               .pairs = operations / 2 / THREADS / SLICES,
               .warm = how->quick ? WARM_QUICK : WARM,
               .released = 1};
    static const task on = {churn_on, measure_new_map};
    if (!run_apart(&on, &c, sizeof c) || c.refused != 0) {
        fprintf(stderr, "weft bench: churn, %s: %llu of %llu operations were refused\n", shape,
                (unsigned long long)c.refused, (unsigned long long)operations);
        return; /* without the cells the gates are not reached */
    }
    double rates[SLICES];
    double usual = 0; /* rate of a new map */
    for (int i = 0; i < SLICES; i++) {
        usual += c.new_rate[i] / SLICES;
    }
    for (int i = 0; i < SLICES; i++) {
        rates[i] = churn_rate(&c, (uint64_t)i) * usual / c.new_rate[i];
    }
    cell_text texts[] = {
        {bytes ? "churn-bytes/2" : "churn-u64/2",
         "always new keys, the last tenth of the run; a second of processor time, after what a new "
         "map of that size makes just then",
         shape, "operations", "1/s", "more", THREADS * WINDOW},
        {bytes ? "churn-resident-bytes/2" : "churn-resident-u64/2",
         "resident bytes in the last tenth of a churn", shape, "memory", "bytes", "less",
         THREADS * WINDOW},
        {bytes ? "churn-table-bytes/2" : "churn-table-u64/2",
         "table bytes in the last tenth of a churn", shape, "memory", "bytes", "less",
         THREADS * WINDOW}};
    add_tenths(how, &texts[0], rates);
    add_tenths(how, &texts[1], c.resident);
    add_tenths(how, &texts[2], c.table);
}

void weft_single_churn_of_u64(const weft_single *how) {
    churn_shape(how, false);
}

void weft_single_churn_of_bytes(const weft_single *how) {
    churn_shape(how, true);
}

/* ---- giving back ----------------------------------------------------------------------------- */

/* What memory takes with all entries, and when nine in ten have left. */
typedef struct leaving {
    bool bytes;
    uint64_t entries;
    double resident[2];
    double table[2];
} leaving;

static void measure_leaving(void *ctx) {
    leaving *l = ctx;
    either map;
    bool right = either_open(&map, l->bytes) == WEFT_OK;
    double base = resident();
    for (uint64_t i = 1; i <= l->entries; i++) {
        right = right && either_insert(&map, i);
    }
    l->resident[0] = resident() - base;
    l->table[0] = table_bytes(&map);
    for (uint64_t i = 1; i <= l->entries; i++) {
        right = right && (i % 10 == 0 || either_remove(&map, i));
    }
    while (right && !either_maintain(&map)) {
        /* what has no grace period behind it yet */
    }
    l->resident[1] = resident() - base;
    l->table[1] = table_bytes(&map);
    either_close(&map);
    if (!right) {
        _exit(1);
    }
}

static void add_leaving(const weft_single *how, const cell_text *text, const double bytes[2]) {
    figure own = {.peer = WEFT_PEER_OWN, .values = {bytes[1]}, .count = 1};
    figure other = {.peer = "all-entries", .values = {bytes[0]}, .count = 1};
    weft_figure_add_control(how, other.peer, "weft, before entries left");
    weft_figure_add_cell(how, text, &own, &other);
}

static void leave_shape(const weft_single *how, bool bytes) {
    const char *shape = bytes ? "bytes" : "u64";
    leaving l = {.bytes = bytes, .entries = how->quick ? 200000 : 4000000};
    static const task apart = {measure_leaving, NULL};
    if (!run_apart(&apart, &l, sizeof l)) {
        fprintf(stderr, "weft bench: leaving, %s: an operation failed\n", shape);
        return; /* without the cells the gates are not reached */
    }
    cell_text texts[] = {{bytes ? "leave-resident-bytes/1" : "leave-resident-u64/1",
                          "resident bytes when 9 in 10 entries have left", shape, "memory", "bytes",
                          "less", l.entries},
                         {bytes ? "leave-table-bytes/1" : "leave-table-u64/1",
                          "table bytes when 9 in 10 entries have left", shape, "memory", "bytes",
                          "less", l.entries}};
    add_leaving(how, &texts[0], l.resident);
    add_leaving(how, &texts[1], l.table);
}

void weft_single_leave_of_u64(const weft_single *how) {
    leave_shape(how, false);
}

void weft_single_leave_of_bytes(const weft_single *how) {
    leave_shape(how, true);
}
