/* SPDX-License-Identifier: MIT */
#include "figure.h"
#include "plain.h"
#include "single.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include "bench.h"
#include "ceilings.h"
#include "draw.h"
#include "peer.h"
#include "record_cost.h"
#include "worst_op.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/batch.h>

enum { OPENED = 1000, COLD = 100, BATCH = 32 };

void weft_single_open(const weft_single *how) {
    static weft_u64map maps[OPENED];
    static const cell_text text = {
        "open-empty/1", "open an empty map", "u64", "open", "ns", "less", 0};
    figure own = {.peer = WEFT_PEER_OWN};
    for (; own.count < FIGURE_SAMPLES; own.count++) {
        uint64_t began = weft_clock_monotonic_ns();
        for (int i = 0; i < OPENED; i++) {
            weft_u64map_open(&maps[i], NULL);
        }
        own.values[own.count] = elapsed_ns(began) / OPENED;
        for (int i = 0; i < OPENED; i++) {
            weft_u64map_close(&maps[i]);
        }
    }
    weft_figure_add_cell(how, &text, &own, NULL);
}

/* What a cold start is compared with: a plain table under a reader-writer lock. */
typedef struct locked {
    weft_rwlock lock;
    weft_plain plain;
} locked;

static void locked_insert(locked *l, uint64_t key, uint64_t value) {
    weft_rwlock_write_lock(&l->lock);
    weft_plain_put(&l->plain, &weft_plain_numbers, key, value);
    weft_rwlock_write_unlock(&l->lock);
}

static double plain_cold(void) {
    locked l;
    uint64_t began = weft_clock_monotonic_ns();
    weft_rwlock_init(&l.lock);
    weft_plain_open(&l.plain);
    for (uint64_t i = 1; i <= COLD; i++) {
        locked_insert(&l, i, i);
    }
    double taken = elapsed_ns(began);
    weft_plain_close(&l.plain);
    weft_rwlock_destroy(&l.lock);
    return taken;
}

static double own_cold(void) {
    weft_u64map map;
    uint64_t began = weft_clock_monotonic_ns();
    weft_u64map_open(&map, NULL);
    for (uint64_t i = 1; i <= COLD; i++) {
        weft_u64map_insert(&map, i, i);
    }
    double taken = elapsed_ns(began);
    weft_u64map_close(&map);
    return taken;
}

void weft_single_cold(const weft_single *how) {
    static const cell_text text = {"cold-start/1",
                                   "open a map, and insert 100 entries",
                                   "u64",
                                   "cold start",
                                   "ns",
                                   "less",
                                   COLD};
    figure own = {.peer = WEFT_PEER_OWN};
    figure other = {.peer = "plain-rwlock"};
    for (; own.count < FIGURE_SAMPLES; own.count++, other.count++) {
        enum { TURNS = 50 };
        for (int i = 0; i < TURNS; i++) {
            own.values[own.count] += own_cold() / TURNS;
            other.values[other.count] += plain_cold() / TURNS;
        }
    }
    weft_figure_add_control(how, other.peer, "plain table under a reader-writer lock");
    weft_figure_add_cell(how, &text, &own, &other);
}

enum { SLICES = 50 };

/* One growth from empty, cut into slices of as many entries each. */
typedef struct growth {
    double rates[SLICES]; /* entries a second */
    double worst[SLICES]; /* the longest gap between two inserts, ns */
    double idle[SLICES];  /* and between two looks of an idle thread at the clock */
    weft_worst kinds;
} growth;

/* A thread that only reads the clock, beside the one that is measured. */
typedef struct idle {
    weft_thread thread;
    uint32_t stop;
    uint32_t slice; /* that the other one is in */
    double *worst;  /* of each slice */
} idle;

static void *stay_idle(void *ctx) {
    idle *i = ctx;
    uint64_t last = weft_clock_monotonic_ns();
    while (!weft_load_relaxed(&i->stop)) {
        uint64_t now = weft_clock_monotonic_ns();
        double *worst = &i->worst[weft_load_relaxed(&i->slice)];
        *worst = (double)(now - last) > *worst ? (double)(now - last) : *worst;
        last = now;
    }
    return NULL;
}

static double most(const double *values) {
    double found = 0;
    for (int i = 0; i < SLICES; i++) {
        found = values[i] > found ? values[i] : found;
    }
    return found;
}

/* Entries that fit into half of the free memory at 64 bytes each. */
static uint64_t entries_that_fit(uint64_t wanted) {
    uint64_t free_bytes = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t most = free_bytes / 2 / 64;
    return wanted < most ? wanted : most;
}

/* Inserts `count` entries behind the first `from`; the longest gap between two, ns. */
static uint64_t insert_slice(weft_u64map *map, uint64_t from, uint64_t count, weft_worst *kinds) {
    uint64_t worst = 0;
    uint64_t last = weft_clock_monotonic_ns();
    for (uint64_t i = from + 1; i <= from + count; i++) {
        weft_u64map_insert(map, weft_draw_mix(i), i);
        uint64_t now = weft_clock_monotonic_ns();
        uint64_t gap = now - last;
        worst = gap > worst ? gap : worst;
        if (gap >= WEFT_WORST_FROM_NS) {
            weft_worst_note(kinds, map, gap);
            now = weft_clock_monotonic_ns();
        }
        last = now;
    }
    return worst;
}

static void grow(growth *g, uint64_t slice_entries) {
    weft_u64map map;
    idle beside = {.worst = g->idle};
    weft_u64map_open(&map, NULL);
    weft_worst_begin(&g->kinds);
    bool started = weft_thread_start(&beside.thread, stay_idle, &beside);
    for (uint32_t i = 0; i < SLICES && !weft_bench_stopped(); i++) {
        weft_store_relaxed(&beside.slice, i);
        uint64_t began = weft_clock_monotonic_ns();
        g->worst[i] = (double)insert_slice(&map, i * slice_entries, slice_entries, &g->kinds);
        g->rates[i] = (double)slice_entries * 1e9 / elapsed_ns(began);
        weft_bench_progress("worst operation while growing: %llu of %llu entries",
                            (unsigned long long)((i + 1) * slice_entries),
                            (unsigned long long)(SLICES * slice_entries));
    }
    weft_store_relaxed(&beside.stop, 1);
    if (started) {
        weft_thread_join(&beside.thread);
    }
    weft_u64map_close(&map);
}

/* What a slice did, drawn where it ended. A growth that was stopped has fewer. */
static json_t *line_json(const char *name, const char *unit, const double *values,
                         uint64_t slice_entries) {
    json_t *points = json_array();
    for (int i = 0; i < SLICES && values[i] > 0; i++) {
        double entries = (double)((uint64_t)(i + 1) * slice_entries) / 1e6;
        json_array_append_new(points, json_pack("[f,f]", entries, values[i]));
    }
    return json_pack("{s:s,s:s,s:s,s:o}", "name", name, "unit", unit, "x", "million entries",
                     "points", points);
}

/* The turn that the median of the worst operations is of. */
static const growth *middle_of(const growth *turns, const figure *worst) {
    const growth *found = &turns[0];
    for (size_t i = 0; i < worst->count; i++) {
        found = worst->values[i] == weft_figure_median(worst) ? &turns[i] : found;
    }
    return found;
}

void weft_single_worst(const weft_single *how) {
    enum { TURNS = 3 };
    growth turns[TURNS] = {0};
    uint64_t slice = entries_that_fit(how->quick ? 2000000 : 50000000) / SLICES;
    cell_text text = {.id = "growth-worst/1",
                      .about = "the worst single insert while growing from empty, beside the worst "
                               "gap of an idle thread",
                      .shape = "u64",
                      .measure = "worst operation",
                      .unit = "ns",
                      .better = "less",
                      .entries = slice * SLICES};
    figure own = {.peer = WEFT_PEER_OWN};
    figure other = {.peer = "idle-thread"};
    for (int turn = 0; turn < (how->quick ? 1 : TURNS) && !weft_bench_stopped(); turn++) {
        grow(&turns[turn], slice);
        own.values[own.count++] = most(turns[turn].worst);
        other.values[other.count++] = most(turns[turn].idle);
    }
    if (own.count != 0 && most(turns[0].idle) > 0) {
        const growth *shown = middle_of(turns, &own);
        own.kinds = weft_worst_json(&shown->kinds);
        own.series = json_array();
        other.series = json_array();
        json_array_append_new(own.series, line_json("inserts", "1/s", shown->rates, slice));
        json_array_append_new(own.series, line_json("worst gap", "ns", shown->worst, slice));
        json_array_append_new(other.series, line_json("worst gap", "ns", shown->idle, slice));
        weft_figure_add_control(how, other.peer, "a thread that only reads the clock");
        weft_figure_add_cell(how, &text, &own, &other);
    }
}

/* Bytes of table an entry, averaged over one whole cycle of growth. */
void weft_single_bytes_of_u64(const weft_single *how) {
    enum { FROM = 1 << 18, TO = 1 << 20, STEP = 1 << 12 };
    static const cell_text text = {"bytes-per-entry-u64/1",
                                   "table bytes an entry over two doublings",
                                   "u64",
                                   "memory",
                                   "bytes",
                                   "less",
                                   TO};
    figure own = {.peer = WEFT_PEER_OWN, .count = 1};
    weft_u64map map;
    weft_u64map_open(&map, NULL);
    for (uint64_t i = 1; i <= TO; i++) {
        weft_map_stats stats;
        weft_u64map_insert(&map, weft_draw_mix(i), i);
        if (i > FROM && i % STEP == 0) {
            weft_u64map_stats_get(&map, &stats);
            own.values[0] += (double)stats.table_bytes / (double)i * STEP / (TO - FROM);
        }
    }
    weft_u64map_close(&map);
    weft_figure_add_cell(how, &text, &own, NULL);
}

void weft_single_bytes_of_bytes(const weft_single *how) {
    enum { FROM = 1 << 18, TO = 1 << 20, STEP = 1 << 12 };
    static const cell_text text = {"bytes-per-entry-bytes/1",
                                   "table bytes an entry over two doublings, 16-byte keys",
                                   "bytes",
                                   "memory",
                                   "bytes",
                                   "less",
                                   TO};
    figure own = {.peer = WEFT_PEER_OWN, .count = 1};
    weft_map map;
    weft_map_open(&map, NULL);
    for (uint64_t i = 1; i <= TO; i++) {
        uint64_t key[2] = {weft_draw_mix(i), i};
        weft_map_stats stats;
        weft_map_insert(&map, weft_bytes_of(key, sizeof key), weft_bytes_of(key, sizeof key));
        if (i > FROM && i % STEP == 0) {
            weft_map_stats_get(&map, &stats);
            own.values[0] += (double)stats.table_bytes / (double)i * STEP / (TO - FROM);
        }
    }
    weft_map_close(&map);
    weft_figure_add_cell(how, &text, &own, NULL);
}

/* Lookups of keys that were drawn, BATCH of them in a turn. */
typedef struct lookups {
    uint64_t entries;
    weft_draw draw;
    weft_u64map numbers;
    uint64_t keys[BATCH];
    weft_u64found found[BATCH];
    weft_u64batch flight;
    weft_map bytes;
    uint64_t words[BATCH][2];
    weft_bytes key_bytes[BATCH];
    char values[BATCH][32];
    weft_buffer out[BATCH];
} lookups;

static void draw_numbers(lookups *l) {
    for (int i = 0; i < BATCH; i++) {
        l->keys[i] = weft_draw_mix(1 + weft_draw_below(&l->draw, l->entries));
    }
}

static void get_each(lookups *l) {
    draw_numbers(l);
    for (int i = 0; i < BATCH; i++) {
        weft_u64map_get(&l->numbers, l->keys[i], &l->found[i].value);
    }
}

static void get_many(lookups *l) {
    draw_numbers(l);
    weft_u64map_get_many(&l->numbers, l->keys, BATCH, l->found);
}

/* BATCH of them are in flight. */
static void get_in_flight(lookups *l) {
    weft_u64answer answer;
    draw_numbers(l);
    for (int i = 0; i < BATCH; i++) {
        if (weft_u64batch_submit(&l->flight, l->keys[i], NULL) == WEFT_E_FULL) {
            weft_u64batch_poll(&l->flight, &answer);
            weft_u64batch_submit(&l->flight, l->keys[i], NULL);
            l->found[i].value = answer.value;
        }
    }
}

/* A key of 16 bytes. */
static void number_words(uint64_t words[2], uint64_t number) {
    words[0] = weft_draw_mix(number);
    words[1] = number;
}

static void draw_bytes(lookups *l) {
    for (int i = 0; i < BATCH; i++) {
        number_words(l->words[i], 1 + weft_draw_below(&l->draw, l->entries));
        l->key_bytes[i] = weft_bytes_of(l->words[i], sizeof l->words[i]);
        l->out[i] = (weft_buffer){.data = l->values[i], .capacity = sizeof l->values[i]};
    }
}

static void get_bytes_each(lookups *l) {
    draw_bytes(l);
    for (int i = 0; i < BATCH; i++) {
        weft_map_get(&l->bytes, l->key_bytes[i], &l->out[i]);
    }
}

static void get_bytes_many(lookups *l) {
    draw_bytes(l);
    weft_map_get_many(&l->bytes, l->key_bytes, BATCH, l->out);
}

/* Lookups a second. */
static double rate_of(lookups *l, void (*turn)(lookups *l), double seconds) {
    enum { TURNS = 64 };
    uint64_t done = 0;
    uint64_t began = weft_clock_monotonic_ns();
    while (elapsed_ns(began) < seconds * 1e9) {
        for (int i = 0; i < TURNS; i++) {
            turn(l);
        }
        done += TURNS * BATCH;
    }
    return (double)done * 1e9 / elapsed_ns(began);
}

/* A way to look keys up against single gets, and how near it comes to what prefetching can reach.
 * All are measured in turns: what counts is the median of the quotients of a turn. */
static void compare_lookups(const weft_single *how, const cell_text *text, lookups *l,
                            void (*const ways[2])(lookups *l)) {
    figure own = {.peer = WEFT_PEER_OWN, .count = FIGURE_SAMPLES};
    figure other = {.peer = "single-get", .count = FIGURE_SAMPLES};
    figure ratios = {.count = FIGURE_SAMPLES};
    figure shares = {.count = FIGURE_SAMPLES};
    double seconds = how->quick ? 0.02 : 0.1;
    weft_ceiling_probe probe;
    weft_ceiling_probe_open(&probe);
    for (size_t i = 0; i < FIGURE_SAMPLES; i++) {
        own.values[i] = rate_of(l, ways[0], seconds);
        other.values[i] = rate_of(l, ways[1], seconds);
        ratios.values[i] = own.values[i] / other.values[i];
        shares.values[i] = own.values[i] / weft_ceiling_probe_take(&probe, seconds);
    }
    weft_figure_add_control(how, other.peer, "weft, one get at a time");
    weft_figure_add_cell(how, text, &own, &other);
    json_t *cell = json_array_get(how->cells, json_array_size(how->cells) - 1);
    json_object_set_new(cell, "ratio", json_real(weft_figure_median(&ratios)));
    json_object_set_new(cell, "ratio_low", json_real(weft_figure_low(&ratios)));
    json_object_set_new(cell, "ratio_high", json_real(weft_figure_high(&ratios)));
    if (probe.memory != NULL) {
        json_object_set_new(cell, "ceiling", json_string(weft_ceiling_probe_name));
        json_object_set_new(cell, "ceiling_share", json_real(weft_figure_median(&shares)));
    }
    weft_ceiling_probe_close(&probe);
}

static void compare_lookups_u64(const weft_single *how, cell_text *text, void (*way)(lookups *l)) {
    void (*const ways[2])(lookups * l) = {way, get_each};
    lookups l = {.entries = text->entries, .draw = {.state = text->entries}};
    text->shape = "u64";
    text->measure = "operations";
    text->unit = "1/s";
    text->better = "more";
    weft_u64map_open(&l.numbers, NULL);
    weft_u64batch_init(&l.flight, &l.numbers, BATCH);
    for (uint64_t i = 1; i <= l.entries; i++) {
        weft_u64map_insert(&l.numbers, weft_draw_mix(i), i);
    }
    compare_lookups(how, text, &l, ways);
    weft_u64map_close(&l.numbers);
}

void weft_single_batch(const weft_single *how) {
    cell_text text = {.id = "batch-get/1",
                      .about = "get_many of 32 keys, against single gets",
                      .entries = entries_that_fit(how->quick ? 1000000 : 10000000)};
    compare_lookups_u64(how, &text, get_many);
}

void weft_single_batch_cached(const weft_single *how) {
    cell_text text = {.id = "batch-get-10k/1",
                      .about = "get_many of 32 keys, against single gets, in cache",
                      .entries = 10000};
    compare_lookups_u64(how, &text, get_many);
}

void weft_single_flight(const weft_single *how) {
    cell_text text = {.id = "batch-flight/1",
                      .about = "32 lookups in flight, submitted and polled, against single gets",
                      .entries = entries_that_fit(how->quick ? 1000000 : 10000000)};
    compare_lookups_u64(how, &text, get_in_flight);
}

void weft_single_batch_bytes(const weft_single *how) {
    void (*const ways[2])(lookups * l) = {get_bytes_many, get_bytes_each};
    cell_text text = {.id = "batch-bytes/1",
                      .about = "get_many of 32 keys of 16 bytes, against single gets",
                      .shape = "bytes",
                      .measure = "operations",
                      .unit = "1/s",
                      .better = "more",
                      .entries = entries_that_fit(how->quick ? 1000000 : 5000000)};
    lookups l = {.entries = text.entries, .draw = {.state = text.entries}};
    weft_map_open(&l.bytes, NULL);
    for (uint64_t i = 1; i <= l.entries; i++) {
        number_words(l.words[0], i);
        weft_map_insert(&l.bytes, weft_bytes_of(l.words[0], sizeof l.words[0]),
                        weft_bytes_of(l.values[0], sizeof l.values[0]));
    }
    compare_lookups(how, &text, &l, ways);
    weft_map_close(&l.bytes);
}

/* Rounds of a sample: short ones, of which others on the machine disturb few. */
enum { RECORD_FOLD = 3, RECORD_ROUNDS = FIGURE_SAMPLES * RECORD_FOLD };

static double median_of_three(double a, double b, double c) {
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* A recording of 1 key in 256 against none. Both are measured in turns: what counts is the median
 * of the quotients. */
static void add_recording(const weft_single *how, const cell_text *text, bool bytes) {
    figure own = {.peer = WEFT_PEER_OWN, .count = FIGURE_SAMPLES};
    figure other = {.peer = "no-recording", .count = FIGURE_SAMPLES};
    figure ratios = {.count = FIGURE_SAMPLES};
    weft_record_cost cost = {
        .bytes = bytes, .sample = 256, .rounds = RECORD_ROUNDS, .seconds = how->quick ? 0.02 : 0.1};
    if (weft_record_cost_measure(&cost) != WEFT_OK) {
        return; /* without the cell the gate is not reached */
    }
    for (size_t i = 0; i < FIGURE_SAMPLES; i++) {
        const double *with = &cost.recorded[i * RECORD_FOLD];
        const double *without = &cost.plain[i * RECORD_FOLD];
        own.values[i] = median_of_three(with[0], with[1], with[2]);
        other.values[i] = median_of_three(without[0], without[1], without[2]);
        ratios.values[i] =
            median_of_three(with[0] / without[0], with[1] / without[1], with[2] / without[2]);
    }
    weft_figure_add_control(how, other.peer, "weft, nothing recorded");
    weft_figure_add_cell(how, text, &own, &other);
    json_t *cell = json_array_get(how->cells, json_array_size(how->cells) - 1);
    json_object_set_new(cell, "ratio", json_real(weft_figure_median(&ratios)));
}

void weft_single_recording(const weft_single *how) {
    static const cell_text text = {
        "recording/2", "while 1 key in 256 is recorded, against no recording",
        "u64",         "operations",
        "1/s",         "more",
        10000};
    add_recording(how, &text, false);
}

void weft_single_recording_of_bytes(const weft_single *how) {
    static const cell_text text = {"recording-bytes/2",
                                   "while 1 key in 256 is recorded, against no recording",
                                   "bytes",
                                   "operations",
                                   "1/s",
                                   "more",
                                   10000};
    add_recording(how, &text, true);
}
