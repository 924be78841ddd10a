/* SPDX-License-Identifier: MIT */
/* Claims about tables: buckets that overflow, fixed ones, room asked for ahead, numbers as keys. */
#include "base/hash.h"
#include "alone.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>

/* ---- overflow -------------------------------------------------------------------------------- */

enum { OVERFLOW_SEED = 7, OVERFLOW_EXPECTED = 32768, OVERFLOW_SHARE = 16, OVERFLOW_MOST = 6 };

typedef enum overflow_place { INTO_LINE, INTO_FULL, OVERFLOW_PLACES } overflow_place;

typedef struct overflow_kind {
    const char *name;
    weft_engine_id engine;
    unsigned slots; /* of a bucket's own line */
} overflow_kind;

enum { OVERFLOW_KINDS = 2 };
static const overflow_kind overflow_kinds[OVERFLOW_KINDS] = {
    {"lockfree", WEFT_ENGINE_LOCKFREE, 3},
    {"rwlock", WEFT_ENGINE_RWLOCK, 4},
};

/* The n-th key of a bucket: buckets go by the low bits of the hash, which can be run backwards. */
static uint64_t key_in(const weft_mixer *mixer, uint64_t bucket, uint64_t n) {
    return weft_unmix_with(mixer, (n * 8 + 1) << 48 | bucket);
}

/* Nanoseconds of an insert into each of `buckets` buckets which hold `before` keys. NAN: the table
 * has grown meanwhile, or memory is short. */
static double inserts_into(const overflow_kind *kind, unsigned before, uint64_t *blocks) {
    weft_counted counted = {0};
    weft_allocator allocator = weft_counting_allocator(&counted);
    weft_map_options options = {.size = sizeof options,
                                .engine = kind->engine,
                                .expected_entries = OVERFLOW_EXPECTED,
                                .hash_seed = OVERFLOW_SEED,
                                .allocator = &allocator};
    weft_mixer mixer = weft_mixer_of(OVERFLOW_SEED);
    weft_u64map map = WEFT_U64MAP_INIT;
    weft_map_stats first;
    weft_map_stats last;
    bool right = weft_u64map_open(&map, &options) == WEFT_OK &&
                 weft_u64map_put(&map, key_in(&mixer, 1, OVERFLOW_MOST), 0) == WEFT_OK;
    weft_u64map_stats_get(&map, &first);
    for (uint64_t n = 0; n < before && right; n++) {
        for (uint64_t at = 0; at < first.buckets && right; at += OVERFLOW_SHARE) {
            right = weft_u64map_insert(&map, key_in(&mixer, at, n), n) == WEFT_OK;
        }
    }
    uint64_t blocks_before = counted.blocks;
    uint64_t began = weft_clock_monotonic_ns();
    for (uint64_t at = 0; at < first.buckets && right; at += OVERFLOW_SHARE) {
        right = weft_u64map_insert(&map, key_in(&mixer, at, before), 0) == WEFT_OK;
    }
    double took = weft_claim_since(began) / (double)(first.buckets / OVERFLOW_SHARE);
    *blocks = counted.blocks - blocks_before;
    weft_u64map_stats_get(&map, &last);
    right = right && last.growths == first.growths;
    (void)weft_u64map_close(&map);
    return right ? took : NAN;
}

static double sample_overflow(void *ctx, unsigned contender) {
    uint64_t *blocks = ctx;
    const overflow_kind *kind = &overflow_kinds[contender / OVERFLOW_PLACES];
    unsigned before = contender % OVERFLOW_PLACES == INTO_LINE ? kind->slots - 1 : kind->slots;
    return inserts_into(kind, before, &blocks[contender]);
}

/* Decides: an insert that finds its bucket's line full over one that finds a free slot there, in
 * lockfree and in rwlock, by the rule for ratios. */
void weft_claim_overflow(weft_claim *claim) {
    static const char *const names[] = {"lockfree, free slot", "lockfree, line full",
                                        "rwlock, free slot", "rwlock, line full"};
    double took[OVERFLOW_KINDS * OVERFLOW_PLACES];
    uint64_t blocks[OVERFLOW_KINDS * OVERFLOW_PLACES] = {0};
    weft_contest contest = {OVERFLOW_KINDS * OVERFLOW_PLACES, weft_claim_quick(claim) ? 3 : 21,
                            sample_overflow, blocks};
    if (!weft_contest_run(&contest, took)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A table grew before its buckets overflowed.");
        return;
    }
    weft_claim_series(
        claim, &(weft_claim_rows){names, took, OVERFLOW_KINDS * OVERFLOW_PLACES, "insert", "ns"});
    weft_claim_verdict verdict[OVERFLOW_KINDS];
    for (int i = 0; i < OVERFLOW_KINDS; i++) {
        char name[100];
        double ratio = took[2 * i + INTO_FULL] / took[2 * i + INTO_LINE];
        snprintf(name, sizeof name, "%s, full over free", overflow_kinds[i].name);
        weft_claim_figure(claim, name, "ratio", 36.7 / 8.2, ratio);
        snprintf(name, sizeof name, "%s, allocations of full lines", overflow_kinds[i].name);
        weft_claim_figure(claim, name, "blocks", NAN, (double)blocks[2 * i + INTO_FULL]);
        verdict[i] = weft_claim_of_ratio(36.7 / 8.2, ratio);
    }
    weft_claim_say(claim, weft_claim_both(verdict[0], verdict[1]),
                   "An insert into a full line takes %.1f times as long in lockfree, which "
                   "allocates a block for it, and %.1f times in rwlock, whose lines come from "
                   "chunks; Go's maps have had no overflow buckets since 1.24.",
                   weft_claim_value(claim, "lockfree, full over free"),
                   weft_claim_value(claim, "rwlock, full over free"));
}

/* ---- fixed ----------------------------------------------------------------------------------- */

enum { FIXED, FIXED_LOCKED, FIXED_TWOTIER, FIXED_CONTENDERS, FIXED_ENTRIES = 1000 };

/* Allocations of a fixed table in use, after it was opened. NAN: it did not work. */
static double blocks_after_open(void) {
    weft_counted counted = {0};
    weft_allocator allocator = weft_counting_allocator(&counted);
    weft_map_options options = {
        .size = sizeof options, .engine = WEFT_ENGINE_FIXED, .allocator = &allocator};
    options.fixed.capacity = FIXED_ENTRIES;
    weft_u64map map = WEFT_U64MAP_INIT;
    bool right = weft_u64map_open(&map, &options) == WEFT_OK;
    uint64_t before = counted.blocks;
    for (uint64_t i = 0; i < 20 * FIXED_ENTRIES && right; i++) {
        uint64_t value;
        right = weft_u64map_put(&map, weft_claim_key(i), i) == WEFT_OK &&
                weft_u64map_get(&map, weft_claim_key(i), &value) == WEFT_OK && value == i &&
                (i < FIXED_ENTRIES / 2 ||
                 weft_u64map_remove(&map, weft_claim_key(i - FIXED_ENTRIES / 2)) == WEFT_OK);
    }
    double after = (double)(counted.blocks - before);
    (void)weft_u64map_close(&map);
    return right ? after : NAN;
}

/* Decides: a get of a map under a lock over one of a fixed table, mean of three sizes and two
 * mixes, in weft and in Go, by the rule for ratios. */
void weft_claim_fixed(weft_claim *claim) {
    static const double claimed = 12.3 / 3.1;
    static const weft_alone_map maps[FIXED_CONTENDERS] = {
        {"fixed", WEFT_ENGINE_FIXED, WEFT_RWLOCK_ONE_THREAD},
        {"rwlock without bias", WEFT_ENGINE_RWLOCK, WEFT_RWLOCK_NOBODY},
        {"twotier", WEFT_ENGINE_TWOTIER, WEFT_RWLOCK_ONE_THREAD},
    };
    weft_alone_costs costs;
    double blocks = blocks_after_open();
    if (!weft_claim_alone(claim, maps, FIXED_CONTENDERS, &costs) || isnan(blocks)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A fixed table could not be filled.");
        return;
    }
    double ratio = costs.mean[FIXED_LOCKED] / costs.mean[FIXED];
    weft_claim_figure(claim, "fixed, mean", "ns", 3.1, costs.mean[FIXED]);
    weft_claim_figure(claim, "rwlock without bias, mean", "ns", 12.3, costs.mean[FIXED_LOCKED]);
    weft_claim_figure(claim, "twotier, mean", "ns", NAN, costs.mean[FIXED_TWOTIER]);
    weft_claim_figure(claim, "rwlock without bias over fixed", "ratio", claimed, ratio);
    weft_claim_figure(claim, "fixed, allocations after open", "blocks", 0, blocks);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: RWMutex over fixed", claimed);
    double go = weft_claim_value(claim, "Go: RWMutex over fixed");
    weft_claim_say(
        claim,
        weft_claim_both(weft_claim_of_ratio(claimed, ratio), weft_claim_of_ratio(claimed, go)),
        "A get of a fixed table takes %.1f ns, %.1f in a small one; under a lock %.1f times as "
        "much. It allocates %.0f times after it was opened.",
        costs.mean[FIXED], costs.hot[FIXED], ratio, blocks);
}

/* ---- u64-path -------------------------------------------------------------------------------- */

enum { PATH_ENTRIES = 1000, PATH_GETS = 20000, PATHS = 2 };

typedef struct paths {
    weft_u64map numbers;
    weft_map texts;
} paths;

static bool paths_open(paths *p) {
    bool right =
        weft_u64map_open(&p->numbers, NULL) == WEFT_OK && weft_map_open(&p->texts, NULL) == WEFT_OK;
    for (uint64_t i = 0; i < PATH_ENTRIES && right; i++) {
        uint64_t key = weft_claim_key(i);
        right = weft_u64map_put(&p->numbers, key, i) == WEFT_OK &&
                weft_map_put(&p->texts, weft_bytes_of(&key, sizeof key),
                             weft_bytes_of(&i, sizeof i)) == WEFT_OK;
    }
    return right;
}

/* The same lookups: of numbers, and of eight bytes. */
static double sample_path(void *ctx, unsigned contender) {
    paths *p = ctx;
    uint64_t found = 0;
    uint64_t began = weft_clock_monotonic_ns();
    for (uint64_t i = 0; i < PATH_GETS; i++) {
        uint64_t key = weft_claim_key(i * 7919 % PATH_ENTRIES);
        uint64_t value = 0;
        weft_buffer out = {.data = &value, .capacity = sizeof value};
        int status = contender == 0
                         ? weft_u64map_get(&p->numbers, key, &value)
                         : weft_map_get(&p->texts, weft_bytes_of(&key, sizeof key), &out);
        found += status == WEFT_OK && value == i * 7919 % PATH_ENTRIES;
    }
    double took = weft_claim_since(began) / PATH_GETS;
    return found == PATH_GETS ? took : NAN;
}

/* Decides: the time that the path for numbers saves of a get, in weft and in Go, where it is the
 * one of map[uint64] beside a key of two 32-bit numbers; as ratios, by the rule for them. */
void weft_claim_u64_path(weft_claim *claim) {
    static const char *const names[PATHS] = {"weft_u64map_get", "weft_map_get of 8 bytes"};
    static const double claimed = 1 / (1 - 0.18);
    double took[PATHS];
    paths p = {.numbers = WEFT_U64MAP_INIT, .texts = WEFT_MAP_INIT};
    weft_contest contest = {PATHS, weft_claim_quick(claim) ? 3 : 51, sample_path, &p};
    bool right = paths_open(&p) && weft_contest_run(&contest, took);
    (void)weft_u64map_close(&p.numbers);
    (void)weft_map_close(&p.texts);
    if (!right) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A lookup gave a wrong answer.");
        return;
    }
    weft_claim_series(claim, &(weft_claim_rows){names, took, PATHS, "a get", "ns"});
    weft_claim_figure(claim, "bytes over numbers", "ratio", claimed, took[1] / took[0]);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: generic over uint64", claimed);
    double go = weft_claim_value(claim, "Go: generic over uint64");
    weft_claim_say(claim,
                   weft_claim_both(weft_claim_of_ratio(claimed, took[1] / took[0]),
                                   weft_claim_of_ratio(claimed, go)),
                   "A get of eight bytes, which are copied and compared behind a pointer, takes "
                   "%.2f times as long as one of a number%s.",
                   took[1] / took[0], weft_claim_go_part(go, "; in Go, %.2f times").text);
}

/* ---- presize --------------------------------------------------------------------------------- */

enum { PRESIZE_WRITES = 1000, PRESIZE_HINTS = 3, PRESIZE_ENGINES = 2, PRESIZE_FILLS = 20 };

static const unsigned presize_hints[PRESIZE_HINTS] = {0, PRESIZE_WRITES, 8 * PRESIZE_WRITES};
static const weft_engine_id presize_engines[PRESIZE_ENGINES] = {WEFT_ENGINE_LOCKFREE,
                                                                WEFT_ENGINE_RWLOCK};

/* Nanoseconds of a write while a new map is filled; *growths is how often it grew. */
static double fill_with_hint(unsigned contender, double *growths) {
    weft_either map;
    weft_map_stats stats;
    weft_map_options options = {.engine = presize_engines[contender / PRESIZE_HINTS],
                                .expected_entries = presize_hints[contender % PRESIZE_HINTS]};
    uint64_t began = weft_clock_monotonic_ns();
    bool right = weft_either_open(&map, 0, &options);
    for (uint64_t i = 0; i < PRESIZE_WRITES && right; i++) {
        right = weft_either_put(&map, weft_claim_key(i), i);
    }
    double took = weft_claim_since(began) / PRESIZE_WRITES;
    weft_either_stats(&map, &stats);
    *growths = (double)stats.growths;
    weft_either_close(&map);
    return right ? took : NAN;
}

static double sample_fill(void *ctx, unsigned contender) {
    double *growths = ctx;
    double total = 0;
    for (int i = 0; i < PRESIZE_FILLS; i++) {
        total += fill_with_hint(contender, &growths[contender]);
    }
    return total / PRESIZE_FILLS;
}

/* Decides: a write without a hint over one with an exact hint and over one with a large hint, in
 * lockfree, rwlock and Go's map, by the rule for ratios; what all of them say. */
void weft_claim_presize(weft_claim *claim) {
    static const char *const names[] = {"lockfree, no hint", "lockfree, exact", "lockfree, large",
                                        "rwlock, no hint",   "rwlock, exact",   "rwlock, large",
                                        "Go: map, no hint",  "Go: map, exact",  "Go: map, large"};
    static const double claimed[PRESIZE_HINTS] = {1, 128.4 / 72.1, 128.4 / 69.8};
    enum { ALL = PRESIZE_ENGINES * PRESIZE_HINTS };
    double took[ALL + PRESIZE_HINTS];
    double growths[ALL];
    weft_contest contest = {ALL, weft_claim_quick(claim) ? 3 : 21, sample_fill, growths};
    if (!weft_contest_run(&contest, took)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
        return;
    }
    weft_claim_series(claim, &(weft_claim_rows){names, took, ALL, "a write", "ns"});
    weft_claim_series(claim, &(weft_claim_rows){names, growths, ALL, "growths", "times"});
    (void)weft_claim_go(claim);
    weft_claim_verdict verdict = WEFT_CLAIM_NOT_RUN;
    for (int i = 0; i < ALL + PRESIZE_HINTS; i++) {
        char name[100];
        int hint = i % PRESIZE_HINTS;
        took[i] = i < ALL ? took[i] : weft_claim_value(claim, names[i]);
        double ratio = took[i - hint] / took[i];
        if (hint != 0 && isfinite(ratio)) {
            snprintf(name, sizeof name, "%s, times as fast as without", names[i]);
            weft_claim_figure(claim, name, "ratio", claimed[hint], ratio);
            verdict = weft_claim_both(verdict, weft_claim_of_ratio(claimed[hint], ratio));
        }
    }
    weft_claim_say(
        claim, verdict,
        "An exact hint makes a write %.1f times as fast in lockfree (which grows %.0f "
        "times without one, %.0f with it), %.1f times in rwlock%s; a table for eight times "
        "as many is one of zero pages of the system, and the first touch of each is "
        "dear: %.0f ns a write.",
        took[0] / took[1], growths[0], growths[1], took[PRESIZE_HINTS] / took[PRESIZE_HINTS + 1],
        weft_claim_go_part(took[ALL] / took[ALL + 1], ", %.1f times in Go's map").text, took[2]);
}
