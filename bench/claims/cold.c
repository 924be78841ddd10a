/* SPDX-License-Identifier: MIT */
/* Claims about maps that are new: what the first operations cost. */
#include "claim.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>

/* ---- cold-init ------------------------------------------------------------------------------- */

enum { INSERTS = 100, ENGINES = 3, TWOTIER = 0, RWLOCK = 1, LOCKFREE = 2 };

static const weft_engine_id engines[ENGINES] = {WEFT_ENGINE_TWOTIER, WEFT_ENGINE_RWLOCK,
                                                WEFT_ENGINE_LOCKFREE};

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
 * RWMutex, each against the claimed ratio by the rule for ratios; all that agree are the verdict. */
void weft_claim_cold_init(weft_claim *claim) {
    unsigned fills = weft_claim_quick(claim) ? 20 : 200;
    double time[ENGINES];
    double blocks[ENGINES];
    weft_contest contest = {ENGINES, weft_claim_quick(claim) ? 3 : 21, sample_fills, &fills};
    if (!weft_contest_run(&contest, time)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be filled.");
        return;
    }
    static const char *const names[ENGINES] = {"twotier", "rwlock", "lockfree"};
    for (int i = 0; i < ENGINES; i++) {
        char name[64];
        blocks[i] = blocks_of_fill(engines[i]);
        snprintf(name, sizeof name, "%s, an insert", names[i]);
        weft_claim_figure(claim, name, "ns", NAN, time[i]);
        snprintf(name, sizeof name, "%s, allocations", names[i]);
        weft_claim_figure(claim, name, "blocks", NAN, blocks[i]);
    }
    weft_claim_figure(claim, "twotier over rwlock, time", "ratio", 1.37,
                      time[TWOTIER] / time[RWLOCK]);
    weft_claim_figure(claim, "twotier over rwlock, allocations", "ratio", 2.1,
                      blocks[TWOTIER] / blocks[RWLOCK]);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: sync.Map over RWMutex, time", 1.37);
    weft_claim_claimed(claim, "Go: sync.Map over RWMutex, allocations", 2.1);
    double go_time = weft_claim_value(claim, "Go: sync.Map over RWMutex, time");
    double go_blocks = weft_claim_value(claim, "Go: sync.Map over RWMutex, allocations");
    weft_claim_verdict ours =
        weft_claim_both(weft_claim_of_ratio(1.37, time[TWOTIER] / time[RWLOCK]),
                        weft_claim_of_ratio(2.1, blocks[TWOTIER] / blocks[RWLOCK]));
    weft_claim_verdict go =
        weft_claim_both(weft_claim_of_ratio(1.37, go_time), weft_claim_of_ratio(2.1, go_blocks));
    weft_claim_say(claim, weft_claim_both(ours, go),
                   "Filling a new twotier takes %.2f times as long as rwlock and %.1f times the "
                   "allocations; lockfree takes %.2f times as long and %.0f allocations in all.",
                   time[TWOTIER] / time[RWLOCK], blocks[TWOTIER] / blocks[RWLOCK],
                   time[LOCKFREE] / time[RWLOCK], blocks[LOCKFREE]);
}
