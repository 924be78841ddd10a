/* SPDX-License-Identifier: MIT */
#include "alone.h"
#include "bench/driver/contender.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void weft_claim_series(weft_claim *claim, const weft_claim_rows *rows) {
    for (unsigned i = 0; i < rows->count; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s, %s", rows->names[i], rows->what);
        weft_claim_figure(claim, name, rows->unit, NAN, rows->values[i]);
    }
}

weft_claim_text weft_claim_go_part(double value, const char *format) {
    weft_claim_text part = {""};
    if (isfinite(value)) {
        snprintf(part.text, sizeof part.text, format, value);
    }
    return part;
}

uint64_t weft_claim_key(uint64_t i) {
    return weft_draw_mix(i + 1);
}

/* ---- lookups --------------------------------------------------------------------------------- */

/* A long list, so that no branch predictor knows it by heart. */
enum { LOOKUPS = 1 << 16, OF_64 = 64 };

/* `misses` of 64 are absent. */
static void draw_keys(uint64_t *keys, uint64_t entries, unsigned misses) {
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        uint64_t random = weft_draw_mix(i ^ UINT64_C(0x5bd1e995));
        uint64_t number = (random >> 8) % entries;
        keys[i] = weft_claim_key(random % OF_64 < misses ? number + (UINT64_C(1) << 40) : number);
    }
}

static double look_all(weft_u64map *map, const uint64_t *keys) {
    uint64_t sum = 0;
    uint64_t began = weft_clock_monotonic_ns();
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        uint64_t value;
        sum += weft_u64map_get(map, keys[i], &value) == WEFT_OK;
        sum += value;
    }
    WEFT_HIDE(sum);
    return weft_claim_since(began) / LOOKUPS;
}

static double look_all_plain(const weft_plain *table, const uint64_t *keys) {
    uint64_t sum = 0;
    uint64_t began = weft_clock_monotonic_ns();
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        const weft_plain_place *place = weft_plain_find(table, &weft_plain_numbers, keys[i]);
        sum += place->key != 0;
        sum += place->value;
    }
    WEFT_HIDE(sum);
    return weft_claim_since(began) / LOOKUPS;
}

/* ---- tables ---------------------------------------------------------------------------------- */

enum { SIZES = 3, MIXES = 2 };
static const unsigned sizes[SIZES] = {16, 300, 4000};
static const unsigned misses_of_64[MIXES] = {0, 32};

typedef struct alone {
    weft_u64map maps[WEFT_ALONE_MOST];
    const weft_alone_map *kinds; /* `count` */
    unsigned count;
    unsigned rounds;
    weft_plain plain;
    uint64_t keys[LOOKUPS];
} alone;

static bool fill(weft_u64map *map, const weft_alone_map *kind, uint64_t entries) {
    weft_map_options options = {.size = sizeof options,
                                .engine = kind->engine,
                                .expected_entries = entries,
                                .rwlock.bias = kind->bias};
    bool right = weft_u64map_open(map, &options) == WEFT_OK;
    for (uint64_t i = 0; i < entries && right; i++) {
        right = weft_u64map_put(map, weft_claim_key(i), i) == WEFT_OK;
    }
    return right;
}

static double sample(void *ctx, unsigned who) {
    alone *a = ctx;
    return who == a->count ? look_all_plain(&a->plain, a->keys) : look_all(&a->maps[who], a->keys);
}

/* The medians of one size. */
static bool measure(alone *a, unsigned entries, double *took) {
    weft_contest contest = {a->count + 1, a->rounds, sample, a};
    bool right = true;
    weft_plain_open(&a->plain);
    for (uint64_t i = 0; i < entries; i++) {
        weft_plain_put(&a->plain, &weft_plain_numbers, weft_claim_key(i), i);
    }
    for (unsigned i = 0; i < a->count; i++) {
        a->maps[i] = (weft_u64map)WEFT_U64MAP_INIT;
        right = right && fill(&a->maps[i], &a->kinds[i], entries);
    }
    right = right && weft_contest_run(&contest, took);
    for (unsigned i = 0; i < a->count; i++) {
        (void)weft_u64map_close(&a->maps[i]);
    }
    weft_plain_close(&a->plain);
    return right;
}

bool weft_claim_alone(weft_claim *claim, const weft_alone_map *maps, unsigned count,
                      weft_alone_costs *costs) {
    const char *names[WEFT_ALONE_MOST + 1];
    alone *a = malloc(sizeof *a);
    bool right = a != NULL;
    *costs = (weft_alone_costs){.mean = {0}};
    for (unsigned i = 0; i <= count; i++) {
        names[i] = i < count ? maps[i].name : "no synchronisation";
    }
    for (int cell = 0; cell < SIZES * MIXES && right; cell++) {
        unsigned entries = sizes[cell / MIXES];
        unsigned misses = misses_of_64[cell % MIXES];
        double took[WEFT_ALONE_MOST + 1];
        char what[60];
        a->kinds = maps;
        a->count = count;
        a->rounds = weft_claim_quick(claim) ? 1 : 15;
        draw_keys(a->keys, entries, misses);
        right = measure(a, entries, took);
        snprintf(what, sizeof what, "%u entries, %u %% misses", entries, misses * 100 / OF_64);
        if (right) {
            weft_claim_series(claim, &(weft_claim_rows){names, took, count + 1, what, "ns"});
        }
        for (unsigned i = 0; i <= count && right; i++) {
            costs->mean[i] += log(took[i]) / (SIZES * MIXES);
            costs->hot[i] = cell == 0 ? took[i] : costs->hot[i];
        }
    }
    for (unsigned i = 0; i <= count; i++) {
        costs->mean[i] = exp(costs->mean[i]);
    }
    free(a);
    return right;
}
