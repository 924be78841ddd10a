/* SPDX-License-Identifier: MIT */
/* Claims about tables as wholes: pooled, filled at once, built aside and swapped in. */
#include "alone.h"
#include "bench/driver/stats.h"
#include "tools.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/write_batch.h>

/* ---- pool ------------------------------------------------------------------------------------ */

/* Free blocks by size, as pools of tables keep them; for one thread at a time, and few sizes. */
enum { POOL_SIZES = 64 };

typedef struct pool {
    struct {
        size_t size;
        size_t align;
        void *first; /* the word at its beginning leads to the next */
    } sizes[POOL_SIZES];
} pool;

static int pool_place(pool *p, size_t size, size_t align) {
    for (int i = 0; i < POOL_SIZES; i++) {
        if (p->sizes[i].size == 0) {
            p->sizes[i].size = size;
            p->sizes[i].align = align;
        }
        if (p->sizes[i].size == size && p->sizes[i].align == align) {
            return i;
        }
    }
    return -1;
}

static void *pool_alloc(void *ctx, size_t size, size_t align) {
    pool *p = ctx;
    int at = pool_place(p, size, align);
    if (at < 0 || p->sizes[at].first == NULL) {
        size_t least = align < sizeof(void *) ? sizeof(void *) : align;
        return aligned_alloc(least, (size + least - 1) / least * least);
    }
    void *memory = p->sizes[at].first;
    memcpy(&p->sizes[at].first, memory, sizeof(void *));
    return memory;
}

static void *pool_alloc_zeroed(void *ctx, size_t size, size_t align) {
    void *memory = pool_alloc(ctx, size, align);
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

static void pool_free(void *ctx, void *memory, size_t size, size_t align) {
    pool *p = ctx;
    int at = memory != NULL ? pool_place(p, size, align) : -1;
    if (at < 0 || size < sizeof(void *)) {
        free(memory);
        return;
    }
    memcpy(memory, &p->sizes[at].first, sizeof(void *));
    p->sizes[at].first = memory;
}

static void pool_end(pool *p) {
    for (int i = 0; i < POOL_SIZES; i++) {
        while (p->sizes[i].first != NULL) {
            void *memory = p->sizes[i].first;
            memcpy(&p->sizes[i].first, memory, sizeof(void *));
            free(memory);
        }
    }
}

typedef enum pool_way { POOL_MALLOC, POOL_TABLES, POOL_MAPS, POOL_WAYS } pool_way;
enum { POOL_ENGINES = 2 };
static const weft_engine_id pool_engines[POOL_ENGINES] = {WEFT_ENGINE_LOCKFREE, WEFT_ENGINE_RWLOCK};

typedef struct pools {
    pool tables;
    weft_u64map kept[POOL_ENGINES]; /* a pool of maps, each emptied by a removal of what it held */
    unsigned makes;
} pools;

/* A map with one entry, of its own or of the pool, and the end of it. */
static bool make_and_use(pools *p, unsigned engine, pool_way way) {
    weft_allocator allocator = {&p->tables, pool_alloc, pool_free, pool_alloc_zeroed};
    weft_map_options options = {.size = sizeof options,
                                .engine = pool_engines[engine],
                                .allocator = way == POOL_TABLES ? &allocator : NULL};
    weft_u64map own = WEFT_U64MAP_INIT;
    weft_u64map *map = way == POOL_MAPS ? &p->kept[engine] : &own;
    uint64_t value = 0;
    bool right = (map->impl != NULL || weft_u64map_open(map, &options) == WEFT_OK) &&
                 weft_u64map_put(map, 1, 1) == WEFT_OK &&
                 weft_u64map_get(map, 1, &value) == WEFT_OK && value == 1;
    return right && (way == POOL_MAPS ? weft_u64map_remove(map, 1) == WEFT_OK
                                      : weft_u64map_close(map) == WEFT_OK);
}

static double sample_pool(void *ctx, unsigned contender) {
    pools *p = ctx;
    bool right = true;
    uint64_t began = weft_clock_monotonic_ns();
    for (unsigned i = 0; i < p->makes && right; i++) {
        right = make_and_use(p, contender / POOL_WAYS, contender % POOL_WAYS);
    }
    return right ? weft_claim_since(began) / p->makes : NAN;
}

/* Decides: a map made with malloc over one from a pool of maps that are emptied, in lockfree,
 * rwlock and Go, by the rule for ratios. */
void weft_claim_pool(weft_claim *claim) {
    static const char *const names[] = {"lockfree, malloc",       "lockfree, pool of tables",
                                        "lockfree, pool of maps", "rwlock, malloc",
                                        "rwlock, pool of tables", "rwlock, pool of maps"};
    static const double claimed = 120.0 / 18;
    enum { ALL = POOL_ENGINES * POOL_WAYS };
    double took[ALL];
    pools *p = calloc(1, sizeof *p);
    weft_contest contest = {ALL, weft_claim_quick(claim) ? 3 : 15, sample_pool, p};
    bool right = p != NULL;
    if (right) {
        p->makes = weft_claim_quick(claim) ? 50 : 1000;
        right = weft_contest_run(&contest, took);
        for (int i = 0; i < POOL_ENGINES; i++) {
            (void)weft_u64map_close(&p->kept[i]);
        }
        pool_end(&p->tables);
    }
    free(p);
    if (!right) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A map could not be made.");
        return;
    }
    weft_claim_series(claim, &(weft_claim_rows){names, took, ALL, "make, use, end", "ns"});
    double lockfree = took[POOL_MALLOC] / took[POOL_MAPS];
    double rwlock = took[POOL_WAYS + POOL_MALLOC] / took[POOL_WAYS + POOL_MAPS];
    weft_claim_figure(claim, "lockfree, malloc over pool of maps", "ratio", claimed, lockfree);
    weft_claim_figure(claim, "rwlock, malloc over pool of maps", "ratio", claimed, rwlock);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: make over pool", claimed);
    double go = weft_claim_value(claim, "Go: make over pool");
    weft_claim_say(
        claim,
        weft_claim_both(weft_claim_of_ratio(claimed, lockfree),
                        weft_claim_both(weft_claim_of_ratio(claimed, rwlock),
                                        weft_claim_of_ratio(claimed, go))),
        "Making and ending a map takes %.1f times as long as taking an emptied one in lockfree, "
        "%.1f times in rwlock%s; an allocator that keeps tables makes that %.2f and %.2f times.",
        lockfree, rwlock, weft_claim_go_part(go, ", %.1f times in Go").text,
        took[POOL_MALLOC] / took[POOL_TABLES],
        took[POOL_WAYS + POOL_MALLOC] / took[POOL_WAYS + POOL_TABLES]);
}

/* ---- bulk-init ------------------------------------------------------------------------------- */

enum { INIT_PLACES = 4096, INIT_ROUNDS = 20, INIT_WAYS = 3, INIT_MAPS = 2 };

typedef struct init_place {
    uint64_t key;
    uint64_t value;
} init_place;

typedef struct init_work {
    init_place places[INIT_PLACES];
    weft_u64pair pairs[INIT_PLACES];
} init_work;

/* Nobody has been here: key ~0. That all bytes are the same is what a direct fill needs. */
static void init_table(init_place *places, unsigned way) {
    const init_place empty = {UINT64_MAX, UINT64_MAX};
    switch (way) {
    case 0:
        for (unsigned i = 0; i < INIT_PLACES; i++) {
            places[i] = empty;
            __asm__ __volatile__("" ::: "memory"); /* a loop it stays */
        }
        break;
    case 1:
        places[0] = empty;
        for (size_t done = 1; done < INIT_PLACES; done *= 2) {
            memcpy(places + done, places, done * sizeof *places);
        }
        break;
    default:
        memset(places, 0xff, INIT_PLACES * sizeof *places);
    }
}

/* A map of as many keys: put one after the other, or all at once. */
static bool init_map(const init_work *work, bool at_once) {
    weft_u64map map = WEFT_U64MAP_INIT;
    bool right = true;
    if (at_once) {
        right = weft_u64map_assign(&map, work->pairs, INIT_PLACES) == WEFT_OK;
    }
    for (unsigned i = 0; i < INIT_PLACES && !at_once && right; i++) {
        right = weft_u64map_put(&map, work->pairs[i].key, work->pairs[i].value) == WEFT_OK;
    }
    right = right && weft_u64map_len(&map) == INIT_PLACES;
    return weft_u64map_close(&map) == WEFT_OK && right;
}

static double sample_init(void *ctx, unsigned contender) {
    init_work *work = ctx;
    bool right = true;
    uint64_t began = weft_clock_monotonic_ns();
    for (int i = 0; i < INIT_ROUNDS && right; i++) {
        if (contender < INIT_WAYS) {
            init_table(work->places, contender);
            __asm__ __volatile__("" : : "r"(work->places) : "memory");
        } else {
            right = init_map(work, contender > INIT_WAYS);
        }
    }
    return right ? weft_claim_since(began) / INIT_ROUNDS / INIT_PLACES : NAN;
}

/* Decides: the claim has no figures. It holds where both the doubling copy and the direct fill beat
 * the loop by a tenth, in C and in Go; in part where not all of them do; not where none does. */
void weft_claim_bulk_init(weft_claim *claim) {
    static const char *const names[] = {"table, loop", "table, doubling copy", "table, direct fill",
                                        "lockfree, puts", "lockfree, assign"};
    double took[INIT_WAYS + INIT_MAPS];
    init_work *work = calloc(1, sizeof *work);
    weft_contest contest = {INIT_WAYS + INIT_MAPS, weft_claim_quick(claim) ? 3 : 31, sample_init,
                            work};
    bool right = work != NULL;
    for (uint64_t i = 0; i < INIT_PLACES && right; i++) {
        work->pairs[i] = (weft_u64pair){weft_claim_key(i), i};
    }
    right = right && weft_contest_run(&contest, took);
    free(work);
    if (!right) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A table could not be filled.");
        return;
    }
    weft_claim_series(claim,
                      &(weft_claim_rows){names, took, INIT_WAYS + INIT_MAPS, "a place", "ns"});
    (void)weft_claim_go(claim);
    double ratios[] = {took[0] / took[1], took[0] / took[2],
                       weft_claim_value(claim, "Go: loop over doubling copy"),
                       weft_claim_value(claim, "Go: loop over direct fill")};
    weft_claim_figure(claim, "table, loop over doubling copy", "ratio", NAN, ratios[0]);
    weft_claim_figure(claim, "table, loop over direct fill", "ratio", NAN, ratios[1]);
    weft_claim_figure(claim, "lockfree, puts over assign", "ratio", NAN, took[3] / took[4]);
    int known = 0;
    int better = 0;
    for (int i = 0; i < 4; i++) {
        known += isfinite(ratios[i]);
        better += isfinite(ratios[i]) && ratios[i] >= 1.1;
    }
    weft_claim_say(claim,
                   better == known ? WEFT_CLAIM_HOLDS
                   : better > 0    ? WEFT_CLAIM_IN_PART
                                   : WEFT_CLAIM_NOT,
                   "In C a loop takes %.1f times as long as a doubling copy and %.1f times as long "
                   "as a direct fill%s%s. Of a map, putting one by one takes %.2f times as long as "
                   "assigning all.",
                   ratios[0], ratios[1], weft_claim_go_part(ratios[2], "; in Go %.1f").text,
                   weft_claim_go_part(ratios[3], " and %.1f times").text, took[3] / took[4]);
}

/* ---- bulk-swap ------------------------------------------------------------------------------- */

enum { SWAP_KEYS = 1000, SWAP_WAYS = 5, SWAP_ROUNDS = 7 };
typedef enum swap_how { SWAP_LOOP, SWAP_ASSIGN, SWAP_BATCH } swap_how;

static const struct {
    weft_engine_id engine;
    swap_how how;
} swap_ways[SWAP_WAYS] = {
    {WEFT_ENGINE_TWOTIER, SWAP_LOOP},  {WEFT_ENGINE_TWOTIER, SWAP_ASSIGN},
    {WEFT_ENGINE_LOCKFREE, SWAP_LOOP}, {WEFT_ENGINE_LOCKFREE, SWAP_ASSIGN},
    {WEFT_ENGINE_COW, SWAP_BATCH},
};

typedef struct swap_run {
    weft_u64map map;
    swap_how how;
    bool wrong;
    double seconds;                     /* of a sample */
    double p99[SWAP_WAYS][SWAP_ROUNDS]; /* of a batch, in us */
    unsigned rounds[SWAP_WAYS];
} swap_run;

/* All keys get another value. */
static bool write_all(weft_u64map *map, swap_how how, uint64_t value) {
    weft_u64pair pairs[SWAP_KEYS];
    weft_u64write writes[SWAP_KEYS];
    bool right = true;
    for (uint64_t i = 0; i < SWAP_KEYS; i++) {
        pairs[i] = (weft_u64pair){weft_claim_key(i), value};
        writes[i] = (weft_u64write){WEFT_WRITE_PUT, weft_claim_key(i), value};
    }
    if (how == SWAP_ASSIGN) {
        return weft_u64map_assign(map, pairs, SWAP_KEYS) == WEFT_OK;
    }
    if (how == SWAP_BATCH) {
        return weft_u64map_write_batch(map, writes, SWAP_KEYS) == WEFT_OK;
    }
    for (uint64_t i = 0; i < SWAP_KEYS && right; i++) {
        right = weft_u64map_put(map, pairs[i].key, value) == WEFT_OK;
    }
    return right;
}

/* One writes, the other reads; only the writer counts. */
static void swap_work(weft_crew_member *me) {
    swap_run *run = me->ctx;
    if (me->index == 0) {
        while (weft_crew_next(me)) {
            uint64_t began = weft_clock_monotonic_ns();
            if (!write_all(&run->map, run->how, me->ops)) {
                weft_store_relaxed(&run->wrong, true);
            }
            weft_crew_note(me, began);
        }
        return;
    }
    uint64_t value;
    while (weft_load_relaxed(me->stop) == 0) {
        (void)weft_u64map_get(&run->map, weft_claim_key(weft_crew_random(me) % SWAP_KEYS), &value);
    }
}

static double sample_swap(void *ctx, unsigned contender) {
    swap_run *run = ctx;
    weft_map_options options = {.size = sizeof options, .engine = swap_ways[contender].engine};
    weft_crew crew = {
        .threads = 2, .seconds = run->seconds, .latency = true, .work = swap_work, .ctx = run};
    weft_crew_result result;
    run->how = swap_ways[contender].how;
    run->map = (weft_u64map)WEFT_U64MAP_INIT;
    bool right = weft_u64map_open(&run->map, &options) == WEFT_OK &&
                 write_all(&run->map, SWAP_LOOP, 0) && weft_crew_run(&crew, &result) && !run->wrong;
    (void)weft_u64map_close(&run->map);
    if (!right || result.ops == 0) {
        return NAN;
    }
    run->p99[contender][run->rounds[contender]++] = result.p99 / 1e3;
    return SWAP_KEYS * 1e9 / result.mean;
}

/* Decides: the writes a second of batches that are built aside and swapped in over writes one by
 * one, in twotier, lockfree and Go, by the rule for ratios. */
void weft_claim_bulk_swap(weft_claim *claim) {
    static const char *const names[SWAP_WAYS] = {"twotier, one by one", "twotier, swapped in",
                                                 "lockfree, one by one", "lockfree, swapped in",
                                                 "cow, write_batch"};
    static const double claimed = 265.0 / 82;
    double rates[SWAP_WAYS];
    double tails[SWAP_WAYS];
    static swap_run run; /* large */
    run = (swap_run){.seconds = weft_claim_quick(claim) ? 0.01 : 0.06};
    weft_contest contest = {SWAP_WAYS, weft_claim_quick(claim) ? 1 : SWAP_ROUNDS, sample_swap,
                            &run};
    if (!weft_contest_run(&contest, rates)) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A batch could not be written.");
        return;
    }
    for (int i = 0; i < SWAP_WAYS; i++) {
        tails[i] = weft_bench_median((weft_bench_samples){run.p99[i], run.rounds[i]});
    }
    weft_claim_series(claim, &(weft_claim_rows){names, rates, SWAP_WAYS, "writes", "1/s"});
    weft_claim_series(claim, &(weft_claim_rows){names, tails, SWAP_WAYS, "p99 of 1000", "us"});
    double twotier = rates[1] / rates[0];
    double lockfree = rates[3] / rates[2];
    weft_claim_figure(claim, "twotier, swapped over one by one", "ratio", claimed, twotier);
    weft_claim_figure(claim, "lockfree, swapped over one by one", "ratio", claimed, lockfree);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: swapped over one by one", claimed);
    double go = weft_claim_value(claim, "Go: swapped over one by one");
    weft_claim_say(
        claim,
        weft_claim_both(weft_claim_of_ratio(claimed, twotier),
                        weft_claim_both(weft_claim_of_ratio(claimed, lockfree),
                                        weft_claim_of_ratio(claimed, go))),
        "1000 writes that are swapped in at once are %.2f times as fast as one by one in twotier, "
        "%.2f times in lockfree%s; cow's write_batch makes %.1f M writes a second.",
        twotier, lockfree, weft_claim_go_part(go, ", %.2f times in Go").text, rates[4] / 1e6);
}
