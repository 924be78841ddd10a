/* SPDX-License-Identifier: MIT */
#include "single.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include "bench.h"
#include "draw.h"
#include "figure.h"
#include "peer.h"
#include "plain.h"
#include "record_cost.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/u64map.h>

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
static uint64_t insert_slice(weft_u64map *map, uint64_t from, uint64_t count) {
    uint64_t worst = 0;
    uint64_t last = weft_clock_monotonic_ns();
    for (uint64_t i = from + 1; i <= from + count; i++) {
        weft_u64map_insert(map, weft_draw_mix(i), i);
        uint64_t now = weft_clock_monotonic_ns();
        worst = now - last > worst ? now - last : worst;
        last = now;
    }
    return worst;
}

static void grow(growth *g, uint64_t slice_entries) {
    weft_u64map map;
    idle beside = {.worst = g->idle};
    weft_u64map_open(&map, NULL);
    bool started = weft_thread_start(&beside.thread, stay_idle, &beside);
    for (uint32_t i = 0; i < SLICES && !weft_bench_stopped(); i++) {
        weft_store_relaxed(&beside.slice, i);
        uint64_t began = weft_clock_monotonic_ns();
        g->worst[i] = (double)insert_slice(&map, i * slice_entries, slice_entries);
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

/* Gets a second, one at a time or in batches. */
static double get_for(weft_u64map *map, uint64_t entries, double seconds, bool batched) {
    weft_draw draw = {.state = entries};
    uint64_t keys[BATCH];
    weft_u64found found[BATCH];
    uint64_t done = 0;
    uint64_t began = weft_clock_monotonic_ns();
    while (elapsed_ns(began) < seconds * 1e9) {
        for (int turn = 0; turn < 64; turn++) {
            for (int i = 0; i < BATCH; i++) {
                keys[i] = weft_draw_mix(1 + weft_draw_below(&draw, entries));
            }
            if (batched) {
                weft_u64map_get_many(map, keys, BATCH, found);
            }
            for (int i = 0; i < BATCH && !batched; i++) {
                weft_u64map_get(map, keys[i], &found[i].value);
            }
            done += BATCH;
        }
    }
    return (double)done * 1e9 / elapsed_ns(began);
}

static void compare_with_prefetching(const weft_single *how, const figure *own) {
    static const char name[] = "line reads with prefetch, 512 MiB";
    json_t *cell = json_array_get(how->cells, json_array_size(how->cells) - 1);
    size_t i;
    json_t *ceiling;
    json_array_foreach((json_t *)how->ceilings, i, ceiling) {
        if (strcmp(json_string_value(json_object_get(ceiling, "name")), name) == 0 &&
            json_integer_value(json_object_get(ceiling, "threads")) == 1) {
            double most = json_number_value(json_object_get(ceiling, "median"));
            json_object_set_new(cell, "ceiling", json_string(name));
            json_object_set_new(cell, "ceiling_share", json_real(weft_figure_median(own) / most));
        }
    }
}

void weft_single_batch(const weft_single *how) {
    enum { ROUNDS = 5 };
    cell_text text = {.id = "batch-get/1",
                      .about = "get_many of 32 keys, against single gets",
                      .shape = "u64",
                      .measure = "operations",
                      .unit = "1/s",
                      .better = "more",
                      .entries = entries_that_fit(how->quick ? 1000000 : 10000000)};
    figure own = {.peer = WEFT_PEER_OWN};
    figure other = {.peer = "single-get"};
    weft_u64map map;
    weft_u64map_open(&map, NULL);
    for (uint64_t i = 1; i <= text.entries; i++) {
        weft_u64map_insert(&map, weft_draw_mix(i), i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        double seconds = how->quick ? 0.05 : 0.3;
        own.values[own.count++] = get_for(&map, text.entries, seconds, true);
        other.values[other.count++] = get_for(&map, text.entries, seconds, false);
    }
    weft_u64map_close(&map);
    weft_figure_add_control(how, other.peer, "weft, one get at a time");
    weft_figure_add_cell(how, &text, &own, &other);
    compare_with_prefetching(how, &own);
}

/* A recording of 1 key in 128 against none. Both are measured in turns: what counts is the median
 * of the quotients. */
void weft_single_recording(const weft_single *how) {
    static const cell_text text = {
        "recording/2", "while 1 key in 128 is recorded, against no recording",
        "u64",         "operations",
        "1/s",         "more",
        10000};
    figure own = {.peer = WEFT_PEER_OWN, .count = FIGURE_SAMPLES};
    figure other = {.peer = "no-recording", .count = FIGURE_SAMPLES};
    figure ratios = {.count = FIGURE_SAMPLES};
    weft_record_cost cost = {
        .sample = 128, .rounds = FIGURE_SAMPLES, .seconds = how->quick ? 0.05 : 0.3};
    if (weft_record_cost_measure(&cost) != WEFT_OK) {
        return; /* without the cell the gate is not reached */
    }
    for (size_t i = 0; i < FIGURE_SAMPLES; i++) {
        own.values[i] = cost.recorded[i];
        other.values[i] = cost.plain[i];
        ratios.values[i] = cost.recorded[i] / cost.plain[i];
    }
    weft_figure_add_control(how, other.peer, "weft, nothing recorded");
    weft_figure_add_cell(how, &text, &own, &other);
    json_t *cell = json_array_get(how->cells, json_array_size(how->cells) - 1);
    json_object_set_new(cell, "ratio", json_real(weft_figure_median(&ratios)));
}
