/* SPDX-License-Identifier: MIT */
/* Claims about what is held: whether memory comes back, and when. */
#include "bench/driver/bench.h"
#include "bench/driver/stats.h"
#include "claim.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- churn-leak ------------------------------------------------------------------------------ */

enum { SLICES = 10, LIVE = 1000, VALUE_BYTES = 32, CHURNS = 6 };

typedef struct churn_of {
    const char *name;
    weft_map_options options;
    bool reads; /* each key is read once before it goes */
} churn_of;

#define INCREMENTAL                                                                                \
    {                                                                                              \
        .engine = WEFT_ENGINE_TWOTIER, .twotier = {.incremental = true }                           \
    }

static const churn_of churns[CHURNS] = {
    {"twotier, never read", {.engine = WEFT_ENGINE_TWOTIER}, false},
    {"twotier, read once", {.engine = WEFT_ENGINE_TWOTIER}, true},
    {"twotier incremental, never read", INCREMENTAL, false},
    {"twotier incremental, read once", INCREMENTAL, true},
    {"lockfree, read once", {.engine = WEFT_ENGINE_LOCKFREE}, true},
    {"rwlock, read once", {.engine = WEFT_ENGINE_RWLOCK}, true},
};

/* Always new keys; the one that came LIVE before leaves. The bytes held after each slice. */
static bool churn(const churn_of *how, uint64_t keys, double *held) {
    weft_counted counted = {0};
    weft_allocator allocator = weft_counting_allocator(&counted);
    weft_map_options options = how->options;
    weft_either map;
    uint64_t value;
    options.allocator = &allocator;
    bool right = weft_either_open(&map, VALUE_BYTES, &options);
    for (uint64_t i = 1; i <= keys + LIVE && right; i++) {
        right = weft_either_put(&map, i, i) && (!how->reads || weft_either_get(&map, i, &value)) &&
                (i <= LIVE || weft_either_remove(&map, i - LIVE));
        if (i > LIVE && (i - LIVE) % (keys / SLICES) == 0) {
            held[(i - LIVE) / (keys / SLICES) - 1] = (double)weft_load_relaxed(&counted.live_bytes);
            right = right && !weft_bench_stopped();
        }
    }
    weft_either_close(&map);
    return right;
}

/* The mean of the last three slices over that of the second to the fourth: what a table that grows
 * and shrinks holds at one moment says little. */
static double growth_of(const double *held) {
    return (held[SLICES - 1] + held[SLICES - 2] + held[SLICES - 3]) / (held[1] + held[2] + held[3]);
}

static weft_claim_verdict verdict_of_growth(double grown) {
    if (isnan(grown)) {
        return WEFT_CLAIM_NOT_RUN;
    }
    return grown >= 1.5 ? WEFT_CLAIM_HOLDS : grown > 1.1 ? WEFT_CLAIM_IN_PART : WEFT_CLAIM_NOT;
}

/* Decides: memory "keeps growing" if a map of constant size holds at least 1.5 times as much at the
 * end of a churn as near its beginning, and is flat up to 1.1 times; in part between. Of twotier
 * the worse of both ways to churn counts; Go's sync.Map is judged likewise. */
void weft_claim_churn_leak(weft_claim *claim) {
    uint64_t keys = weft_claim_quick(claim) ? 5000 : 300000;
    double grown[CHURNS];
    for (int i = 0; i < CHURNS; i++) {
        double held[SLICES] = {0};
        char name[80];
        if (!churn(&churns[i], keys, held)) {
            weft_claim_say(claim, WEFT_CLAIM_NOT_RUN,
                           "An operation failed while keys came and "
                           "went.");
            return;
        }
        grown[i] = growth_of(held);
        snprintf(name, sizeof name, "%s, held at the end", churns[i].name);
        weft_claim_figure(claim, name, "KiB", NAN, held[SLICES - 1] / 1024);
        snprintf(name, sizeof name, "%s, end over beginning", churns[i].name);
        weft_claim_figure(claim, name, "ratio", NAN, grown[i]);
    }
    (void)weft_claim_go(claim);
    double worst = grown[0] > grown[1] ? grown[0] : grown[1];
    double go = weft_claim_value(claim, "Go: sync.Map, end over beginning");
    weft_claim_say(
        claim, weft_claim_both(verdict_of_growth(worst), verdict_of_growth(go)),
        "With %d live keys and %.0f K that came and went, twotier holds %.2f times as "
        "much at the end where no key is read and %.2f times where each is read once; "
        "incremental %.2f and %.2f times, lockfree %.2f times. A removal leaves its key in the "
        "dirty tier until a promotion, which lookups bring about; Go's LoadAndDelete took "
        "it out.",
        LIVE, (double)keys / 1000, grown[0], grown[1], grown[2], grown[3], grown[4]);
}

/* ---- retention ------------------------------------------------------------------------------- */

enum { LEAVING = 64, RETAINED = 4, KEPT = 1000 };

static const char *const retained_names[RETAINED] = {"twotier, plain", "twotier, pointers",
                                                     "lockfree, plain", "lockfree, pointers"};

typedef struct retaining {
    uint64_t destroyed;
} retaining;

static void destroy_value(void *ctx, weft_bytes key, weft_bytes value, weft_reason reason) {
    retaining *r = ctx;
    (void)key;
    (void)reason;
    free((void *)(uintptr_t)value.data);
    weft_fetch_add_relaxed(&r->destroyed, 1);
}

/* Pointers: the map owns memory that it did not allocate, and a destructor frees it. */
static bool put_owned(weft_map *map, uint64_t key, bool pointers) {
    char plain[VALUE_BYTES] = {0};
    void *content = pointers ? calloc(1, VALUE_BYTES) : plain;
    if (content == NULL) {
        return false;
    }
    bool right = weft_map_put(map, weft_bytes_of(&key, sizeof key),
                              weft_bytes_of(content, VALUE_BYTES)) == WEFT_OK;
    if (!right && pointers) {
        free(content);
    }
    return right;
}

/* Whether what has left is free: its destructors have run, or its blocks are back. */
static bool is_free(const retaining *r, const weft_counted *counted, uint64_t blocks) {
    return weft_load_relaxed(&r->destroyed) >= LEAVING ||
           weft_load_relaxed(&counted->live_blocks) + LEAVING <= blocks;
}

/* Milliseconds from the last removal to the moment when all is free. The thread goes on as a
 * program does: it rewrites keys that stay. */
static double time_to_free(weft_map *map, retaining *r, const weft_counted *counted,
                           bool pointers) {
    static const uint64_t patience_ns = 1000000000;
    bool right = true;
    for (uint64_t key = 0; key < KEPT + LEAVING; key++) {
        right = put_owned(map, key, pointers) && right;
    }
    (void)weft_map_maintain(map, SIZE_MAX);
    uint64_t blocks = weft_load_relaxed(&counted->live_blocks);
    weft_store_relaxed(&r->destroyed, 0);
    for (uint64_t key = KEPT; key < KEPT + LEAVING; key++) {
        right = weft_map_remove(map, weft_bytes_of(&key, sizeof key)) == WEFT_OK && right;
    }
    uint64_t since = weft_clock_monotonic_ns();
    uint64_t now = since;
    for (uint64_t i = 0; !is_free(r, counted, blocks) && now - since < patience_ns; i++) {
        uint64_t key = i % KEPT;
        uint64_t value[VALUE_BYTES / sizeof(uint64_t)];
        weft_buffer out = {.data = value, .capacity = sizeof value};
        (void)weft_map_get(map, weft_bytes_of(&key, sizeof key), &out);
        (void)weft_map_maintain(map, 16);
        now = weft_clock_monotonic_ns();
    }
    return right ? (double)(now - since) / 1e6 : NAN;
}

static double sample_retention(void *ctx, unsigned contender) {
    bool pointers = contender % 2 == 1;
    retaining r = {0};
    weft_counted counted = {0};
    weft_allocator allocator = weft_counting_allocator(&counted);
    weft_map_options options = {.size = sizeof options,
                                .engine =
                                    contender < 2 ? WEFT_ENGINE_TWOTIER : WEFT_ENGINE_LOCKFREE,
                                .allocator = &allocator,
                                .value_own = pointers ? WEFT_OWN_ADOPT : WEFT_OWN_COPY,
                                .destructor = pointers ? destroy_value : NULL,
                                .destructor_ctx = &r};
    weft_map map;
    (void)ctx;
    if (weft_map_open(&map, &options) != WEFT_OK) {
        return NAN;
    }
    double took = time_to_free(&map, &r, &counted, pointers);
    weft_map_close(&map);
    return took;
}

/* Decides: pointers over plain values, of twotier and of sync.Map, by the rule for ratios. */
void weft_claim_retention(weft_claim *claim) {
    const double claimed = 8.73 / 0.12;
    double ms[RETAINED];
    weft_contest contest = {RETAINED, weft_claim_quick(claim) ? 3 : 31, sample_retention, NULL};
    if (!weft_contest_run(&contest, ms)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
        return;
    }
    for (int i = 0; i < RETAINED; i++) {
        double published = i == 0 ? 0.12 : i == 1 ? 8.73 : NAN;
        weft_claim_figure(claim, retained_names[i], "ms", published, ms[i]);
    }
    double ratio = ms[1] / ms[0];
    weft_claim_figure(claim, "twotier, pointers over plain", "ratio", claimed, ratio);
    (void)weft_claim_go(claim);
    weft_claim_verdict go = weft_claim_go_ratio(claim, "Go: pointers over plain", claimed);
    weft_claim_say(claim, weft_claim_both(weft_claim_of_ratio(claimed, ratio), go),
                   "Memory of a removed entry is free a grace period after its removal, whatever "
                   "it holds: in twotier after %.4f ms with plain values and %.4f ms with pointers "
                   "and a destructor, in lockfree after %.4f and %.4f ms.",
                   ms[0], ms[1], ms[2], ms[3]);
}
