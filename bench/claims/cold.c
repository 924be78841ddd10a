/* SPDX-License-Identifier: MIT */
/* Claims about maps that are new: what the first operations cost. */
#include "claim.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>

enum { ENGINES = 3, TWOTIER = 0, RWLOCK = 1, LOCKFREE = 2 };

static const weft_engine_id engines[ENGINES] = {WEFT_ENGINE_TWOTIER, WEFT_ENGINE_RWLOCK,
                                                WEFT_ENGINE_LOCKFREE};
static const char *const names[ENGINES] = {"twotier", "rwlock", "lockfree"};

/* "ENGINE, WHAT" */
static void figure_of(weft_claim *claim, int engine, const char *what, weft_claim_row row) {
    char name[80];
    snprintf(name, sizeof name, "%s, %s", names[engine], what);
    row.name = name;
    weft_claim_add(claim, &row);
}

/* ---- cold-init ------------------------------------------------------------------------------- */

enum { INSERTS = 100 };

/* Nanoseconds of opening a map and 100 inserts; the end of the map is not in it. */
static double fill_new(weft_engine_id engine, const weft_allocator *allocator) {
    weft_map_options options = {.engine = engine, .allocator = allocator};
    weft_either map;
    uint64_t since = weft_clock_monotonic_ns();
    bool right = weft_either_open(&map, 0, &options);
    for (uint64_t key = 1; key <= INSERTS && right; key++) {
        right = weft_either_put(&map, key, key);
    }
    double took = (double)(weft_clock_monotonic_ns() - since);
    weft_either_close(&map);
    return right ? took : NAN;
}

static double sample_fills(void *ctx, unsigned contender) {
    const unsigned *fills = ctx;
    double total = 0;
    for (unsigned i = 0; i < *fills; i++) {
        total += fill_new(engines[contender], NULL);
    }
    return total / *fills / INSERTS;
}

static double blocks_of_fill(weft_engine_id engine) {
    weft_counted counted = {0};
    weft_allocator allocator = weft_counting_allocator(&counted);
    (void)fill_new(engine, &allocator);
    return (double)counted.blocks;
}

/* Decides: time and allocations of twotier over rwlock, and those of sync.Map over a map under an
 * RWMutex, each against the claimed ratio by the rule for ratios. */
void weft_claim_cold_init(weft_claim *claim) {
    const double claimed_time = 1.37;
    const double claimed_blocks = 2.1;
    unsigned fills = weft_claim_quick(claim) ? 20 : 200;
    double time[ENGINES];
    double blocks[ENGINES];
    weft_contest contest = {ENGINES, weft_claim_quick(claim) ? 3 : 21, sample_fills, &fills};
    if (!weft_contest_run(&contest, time)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
        return;
    }
    for (int i = 0; i < ENGINES; i++) {
        blocks[i] = blocks_of_fill(engines[i]);
        figure_of(claim, i, "an insert", (weft_claim_row){NULL, "ns", NAN, time[i]});
        figure_of(claim, i, "allocations", (weft_claim_row){NULL, "blocks", NAN, blocks[i]});
    }
    double slower = time[TWOTIER] / time[RWLOCK];
    double more = blocks[TWOTIER] / blocks[RWLOCK];
    weft_claim_figure(claim, "twotier over rwlock, time", "ratio", claimed_time, slower);
    weft_claim_figure(claim, "twotier over rwlock, allocations", "ratio", claimed_blocks, more);
    (void)weft_claim_go(claim);
    weft_claim_verdict of_time = weft_claim_both(
        weft_claim_of_ratio(claimed_time, slower),
        weft_claim_go_ratio(claim, "Go: sync.Map over RWMutex, time", claimed_time));
    weft_claim_verdict of_blocks = weft_claim_both(
        weft_claim_of_ratio(claimed_blocks, more),
        weft_claim_go_ratio(claim, "Go: sync.Map over RWMutex, allocations", claimed_blocks));
    weft_claim_say(claim, weft_claim_both(of_time, of_blocks),
                   "Filling a new twotier takes %.2f times as long as rwlock and %.1f times the "
                   "allocations, since each key is a block of its own; lockfree takes %.2f times "
                   "as long and %.0f allocations in all.",
                   slower, more, time[LOCKFREE] / time[RWLOCK], blocks[LOCKFREE]);
}

/* ---- first-access ---------------------------------------------------------------------------- */

enum { AT_ONCE = 64, VALUE_BYTES = 32 };

typedef struct first_access {
    unsigned repeats;
    weft_either maps[AT_ONCE];
} first_access;

/* Contenders: each engine with numbers, then each with values of 32 bytes. */
static double sample_first(void *ctx, unsigned contender) {
    first_access *first = ctx;
    weft_map_options options = {.engine = engines[contender % ENGINES]};
    uint32_t value_bytes = contender < ENGINES ? 0 : VALUE_BYTES;
    uint64_t took = 0;
    bool right = true;
    for (unsigned i = 0; i < first->repeats; i++) {
        for (unsigned m = 0; m < AT_ONCE; m++) {
            right = weft_either_open(&first->maps[m], value_bytes, &options) && right;
        }
        uint64_t since = weft_clock_monotonic_ns();
        for (unsigned m = 0; m < AT_ONCE; m++) {
            right = weft_either_put(&first->maps[m], m, 1) && right;
        }
        took += weft_clock_monotonic_ns() - since;
        for (unsigned m = 0; m < AT_ONCE; m++) {
            weft_either_close(&first->maps[m]);
        }
    }
    return right ? (double)took / first->repeats / AT_ONCE : NAN;
}

/* Decides: the first access with a value on the heap over that with a number, of twotier and of
 * sync.Map, by the rule for ratios. */
void weft_claim_first_access(weft_claim *claim) {
    const double claimed = 217.0 / 82;
    static first_access first;
    double ns[2 * ENGINES];
    first.repeats = weft_claim_quick(claim) ? 10 : 200;
    weft_contest contest = {2 * ENGINES, weft_claim_quick(claim) ? 3 : 15, sample_first, &first};
    if (!weft_contest_run(&contest, ns)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be opened.");
        return;
    }
    for (int i = 0; i < ENGINES; i++) {
        bool is_sync_map = i == TWOTIER;
        figure_of(claim, i, "a number first",
                  (weft_claim_row){NULL, "ns", is_sync_map ? 82 : NAN, ns[i]});
        figure_of(claim, i, "32 bytes first",
                  (weft_claim_row){NULL, "ns", is_sync_map ? 217 : NAN, ns[i + ENGINES]});
    }
    double ratio = ns[TWOTIER + ENGINES] / ns[TWOTIER];
    weft_claim_figure(claim, "twotier, 32 bytes over a number", "ratio", claimed, ratio);
    (void)weft_claim_go(claim);
    weft_claim_verdict go = weft_claim_go_ratio(claim, "Go: heap value over constant", claimed);
    weft_claim_say(claim, weft_claim_both(weft_claim_of_ratio(claimed, ratio), go),
                   "The first value that needs memory of its own costs twotier %.2f times what a "
                   "number costs; lockfree, whose first table is larger, takes %.0f ns with a "
                   "number and %.0f ns with 32 bytes.",
                   ratio, ns[LOCKFREE], ns[LOCKFREE + ENGINES]);
}

/* ---- cold-p99 -------------------------------------------------------------------------------- */

enum { BURST_THREADS = 64, BURST_OPS = 16, BURST_KEYS = 20000, BASELINE = ENGINES };

typedef struct burst {
    unsigned requests; /* of each thread */
    weft_either *map;  /* NULL: the baseline */
} burst;

/* A request is 16 operations, half of them writes, most of these of new keys. */
static void serve_burst(weft_crew_member *me) {
    const burst *b = me->ctx;
    while (weft_crew_next(me)) {
        uint64_t since = weft_clock_monotonic_ns();
        for (int i = 0; i < BURST_OPS; i++) {
            uint64_t key = weft_crew_random(me) % BURST_KEYS;
            uint64_t value;
            if (b->map == NULL) {
                continue;
            }
            if (i % 2 == 0) {
                weft_either_put(b->map, key, i + 1);
            } else {
                (void)weft_either_get(b->map, key, &value);
            }
        }
        weft_crew_note(me, since);
    }
}

static double sample_burst(void *ctx, unsigned contender) {
    burst b = *(const burst *)ctx;
    weft_either map;
    weft_map_options options = {.engine = contender < ENGINES ? engines[contender] : 0};
    weft_crew crew = {.threads = BURST_THREADS,
                      .ops = b.requests,
                      .latency = true,
                      .work = serve_burst,
                      .ctx = &b};
    weft_crew_result result;
    b.map = contender == BASELINE ? NULL : &map;
    if (b.map != NULL && !weft_either_open(&map, VALUE_BYTES, &options)) {
        return NAN;
    }
    bool right = weft_crew_run(&crew, &result);
    if (b.map != NULL) {
        weft_either_close(&map);
    }
    return right ? result.p99 / 1000 : NAN;
}

/* Decides: p99 of rwlock over that of twotier, and of a map under an RWMutex over that of sync.Map,
 * by the rule for ratios. */
void weft_claim_cold_p99(weft_claim *claim) {
    const double claimed = 12.7 / 2.1;
    static const double published[] = {2100, 12700, NAN, 1300};
    burst b = {.requests = weft_claim_quick(claim) ? 10 : 60};
    double p99[ENGINES + 1];
    weft_contest contest = {ENGINES + 1, weft_claim_quick(claim) ? 2 : 11, sample_burst, &b};
    if (!weft_contest_run(&contest, p99)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "Threads or maps could not be had.");
        return;
    }
    for (int i = 0; i < ENGINES; i++) {
        weft_claim_row row = {NULL, "µs", published[i], p99[i]};
        figure_of(claim, i, "p99 of a request", row);
    }
    weft_claim_figure(claim, "no map, p99 of a request", "µs", published[BASELINE], p99[BASELINE]);
    double ratio = p99[RWLOCK] / p99[TWOTIER];
    weft_claim_figure(claim, "rwlock over twotier, p99", "ratio", claimed, ratio);
    (void)weft_claim_go(claim);
    weft_claim_verdict go = weft_claim_go_ratio(claim, "Go: RWMutex over sync.Map, p99", claimed);
    weft_claim_say(
        claim, weft_claim_both(weft_claim_of_ratio(claimed, ratio), go),
        "In a burst of 64 threads on a new map the p99 of rwlock is %.2f times that of "
        "twotier, whose new keys take a lock too; lockfree's p99 is %.3g µs where no map "
        "at all gives %.2g µs.",
        ratio, p99[LOCKFREE], p99[BASELINE]);
}
