/* SPDX-License-Identifier: MIT */
/* What maps are bad at: hashes that collide, keys that are chosen against them, one key that
 * everybody wants. Each beside a plain table under a mutex that gets the same. Of each case the
 * operation that is furthest behind makes the cell. */
#include "base/atomic.h"
#include "base/thread.h"
#include "bench.h"
#include "contender.h"
#include "figure.h"
#include "peer.h"
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 5, PASSES = 4, THREADS = 64 };

static const char *const op_names[OPS] = {"insert", "get", "put", "add", "remove"};

/* The times of one operation, round by round: of weft, and of the plain table. */
typedef struct race {
    int ops; /* that are compared, from the first on */
    double taken[OPS][2][ROUNDS];
    bool wrong; /* an operation did not do what it says */
} race;

static double median_of_rounds(const double *values) {
    figure f = {.count = ROUNDS};
    memcpy(f.values, values, sizeof *values * ROUNDS);
    return weft_figure_median(&f);
}

/* How far weft is ahead in an operation: a median of quotients, as both are measured in turns. */
static double lead_in(const race *r, int op) {
    double quotients[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        quotients[i] = r->taken[op][1][i] / r->taken[op][0][i];
    }
    return median_of_rounds(quotients);
}

static void add_worst(const weft_single *how, cell_text text, const race *r) {
    figure own = {.peer = WEFT_PEER_OWN, .count = ROUNDS};
    figure other = {.peer = "plain-mutex", .count = ROUNDS};
    char about[200];
    int worst = 0;
    if (r->wrong) {
        fprintf(stderr, "weft bench: %s: an operation had another answer than it must have\n",
                text.id);
        return; /* without the cell the gate is not reached */
    }
    for (int op = 1; op < r->ops; op++) {
        worst = lead_in(r, op) < lead_in(r, worst) ? op : worst;
    }
    memcpy(own.values, r->taken[worst][0], sizeof r->taken[worst][0]);
    memcpy(other.values, r->taken[worst][1], sizeof r->taken[worst][1]);
    size_t used =
        (size_t)snprintf(about, sizeof about, "%s; shown: %s;", text.about, op_names[worst]);
    for (int op = 0; op < r->ops && used < sizeof about; op++) {
        used += (size_t)snprintf(about + used, sizeof about - used, " %s %.2f", op_names[op],
                                 lead_in(r, op));
    }
    text.about = about;
    weft_figure_add_control(how, other.peer, "plain table under a mutex");
    weft_figure_add_cell(how, &text, &own, &other);
    json_t *cell = json_array_get(how->cells, json_array_size(how->cells) - 1);
    json_object_set_new(cell, "ratio", json_real(lead_in(r, worst)));
}

/* ---- keys that collide ----------------------------------------------------------------------- */

typedef struct crowd {
    uint64_t *keys; /* as many that are never put in stand behind them */
    uint64_t entries;
} crowd;

/* One pass of an operation over all keys; nanoseconds an operation. */
static double pass(contender *c, const crowd *keys, contender_op op, bool *wrong) {
    uint64_t failed = 0;
    uint64_t began = weft_clock_monotonic_ns();
    for (uint64_t i = 0; i < keys->entries; i++) {
        failed += !weft_contender_do(c, op, keys->keys[i], op == OP_ADD ? 0 : i + 1);
    }
    double taken = elapsed_ns(began);
    *wrong = *wrong || failed != 0;
    return taken / (double)keys->entries;
}

static uint64_t found_of(contender *c, const uint64_t *keys, uint64_t count) {
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; i++) {
        found += weft_contender_do(c, OP_GET, keys[i], i + 1);
    }
    return found;
}

/* Each operation on each key, on a fresh map. */
static void run_crowd(contender *c, const crowd *keys, race *r, int round) {
    bool open = weft_contender_open(c);
    r->wrong = r->wrong || !open;
    for (int op = 0; op < OPS && open; op++) {
        int passes = op == OP_INSERT || op == OP_REMOVE ? 1 : PASSES;
        for (int i = 0; i < passes; i++) {
            r->taken[op][c->is_plain][round] += pass(c, keys, (contender_op)op, &r->wrong) / passes;
        }
        uint64_t expected = op == OP_REMOVE ? 0 : keys->entries;
        r->wrong = r->wrong || found_of(c, keys->keys, keys->entries) != expected;
    }
    r->wrong = r->wrong || found_of(c, keys->keys + keys->entries, keys->entries) != 0;
    if (open) {
        weft_contender_close(c);
    }
}

static void race_crowd(race *r, const contender *like, const crowd *keys) {
    for (int round = 0; round < ROUNDS && !weft_bench_stopped(); round++) {
        for (int turn = 0; turn < 2; turn++) {
            contender c = *like;
            c.is_plain = (turn + round) % 2 != 0;
            run_crowd(&c, keys, r, round);
        }
    }
}

/* Number `i` of the keys whose hashes have `classes` different ends. */
static uint64_t colliding(const weft_mixer *mixer, uint64_t i, uint64_t classes) {
    return weft_unmix_with(mixer, (i + 1) << CONTENDER_HASH_BITS | i % classes);
}

static crowd crowd_of(uint64_t entries) {
    crowd made = {.keys = calloc(2 * entries, sizeof *made.keys), .entries = entries};
    if (made.keys == NULL) {
        made.entries = 0;
    }
    return made;
}

typedef struct bad_hash {
    const char *id;
    const char *about;
    bool bytes;
    contender_hash hash;
    uint64_t classes; /* u64 shape: ends of hashes */
    uint64_t entries;
} bad_hash;

static void measure_bad_hash(const weft_single *how, const bad_hash *bad) {
    crowd keys = crowd_of(bad->entries);
    weft_mixer mixer = weft_mixer_of(CONTENDER_SEED);
    race r = {.ops = OPS, .wrong = keys.entries == 0};
    contender like = {.bytes = bad->bytes, .hash = bad->hash};
    for (uint64_t i = 0; i < 2 * keys.entries; i++) {
        keys.keys[i] = bad->bytes ? i + 1 : colliding(&mixer, i, bad->classes);
    }
    race_crowd(&r, &like, &keys);
    cell_text text = {bad->id, bad->about,  bad->bytes ? "bytes" : "u64", "operations", "ns",
                      "less",  bad->entries};
    add_worst(how, text, &r);
    free(keys.keys);
}

void weft_single_bad_hash(const weft_single *how) {
    static const bad_hash cases[] = {
        {"bad-hash-one-u64/1", "keys whose hashes have one end", false, HASH_KNOWN, 1, 1000},
        {"bad-hash-256-u64/1", "keys whose hashes have 256 ends", false, HASH_KNOWN, 256, 10000},
        {"bad-hash-one-bytes/1", "keys of one hash", true, HASH_CONSTANT, 0, 1000},
        {"bad-hash-256-bytes/1", "keys of 256 hashes", true, HASH_8_BITS, 0, 10000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases && !weft_bench_stopped(); i++) {
        measure_bad_hash(how, &cases[i]);
    }
}

/* ---- keys chosen against usual hashes -------------------------------------------------------- */

static uint64_t reversed(uint64_t x) {
    uint64_t result = 0;
    for (int bit = 0; bit < 64; bit++) {
        result = result << 1 | (x >> bit & 1);
    }
    return result;
}

/* Numbers with regular differences: they collide under identity, masks, and multiplication by the
 * golden ratio. */
static uint64_t patterned(int pattern, uint64_t i) {
    switch (pattern) {
    case 0:
        return i + 1;
    case 1:
        return (i + 1) << 32;
    case 2:
        return (i + 1) << 20;
    case 3:
        return reversed(i + 1);
    default:
        return ((i + 1) << 40) * weft_inverse_of(UINT64_C(0x9e3779b97f4a7c15));
    }
}

enum { PATTERNS = 5, PATTERN_KEYS = 10000 };

void weft_single_adversarial(const weft_single *how) {
    crowd keys = crowd_of(PATTERN_KEYS);
    race worst;
    double least = 0;
    const contender like = {.hash = HASH_DEFAULT};
    bool wrong = keys.entries == 0;
    for (int pattern = 0; pattern < PATTERNS && !wrong && !weft_bench_stopped(); pattern++) {
        race r = {.ops = OPS};
        for (uint64_t i = 0; i < 2 * keys.entries; i++) {
            keys.keys[i] = patterned(pattern, i);
        }
        race_crowd(&r, &like, &keys);
        for (int op = 0; op < OPS; op++) {
            if (least == 0 || lead_in(&r, op) < least) {
                least = lead_in(&r, op);
                worst = r;
            }
        }
        wrong = r.wrong;
        worst.wrong = wrong;
    }
    cell_text text = {"adversarial-u64/1",
                      "the worst of five patterns of keys",
                      "u64",
                      "operations",
                      "ns",
                      "less",
                      PATTERN_KEYS};
    if (least != 0) {
        add_worst(how, text, &worst);
    }
    free(keys.keys);
}

/* ---- one key --------------------------------------------------------------------------------- */

typedef struct crush {
    contender *map;
    contender_op op;
    uint64_t waiting; /* threads that have not come yet */
    uint64_t each;    /* operations of a thread */
    uint64_t did;     /* operations that did what they say */
} crush;

static void *press(void *ctx) {
    crush *c = ctx;
    uint64_t did = 0;
    weft_fetch_add_acq_rel(&c->waiting, (uint64_t)-1); /* pairs with the load below */
    while (weft_load_acquire(&c->waiting) != 0) {
        weft_yield();
    }
    for (uint64_t i = 0; i < c->each; i++) {
        did += weft_contender_do(c->map, c->op, 1, 1);
        if (c->op == OP_INSERT) {
            did -= weft_contender_do(c->map, OP_REMOVE, 1, 0);
        }
    }
    weft_fetch_add_relaxed(&c->did, did);
    return NULL;
}

/* Nanoseconds an operation, of all threads together. */
static double crush_for(crush *c) {
    weft_thread threads[THREADS];
    int started = 0;
    c->waiting = THREADS + 1;
    for (; started < THREADS && weft_thread_start(&threads[started], press, c); started++) {
    }
    uint64_t began = weft_clock_monotonic_ns();
    weft_fetch_add_acq_rel(&c->waiting,
                           (uint64_t)-1 - (uint64_t)(THREADS - started)); /* likewise */
    for (int i = 0; i < started; i++) {
        weft_thread_join(&threads[i]);
    }
    return elapsed_ns(began) / (double)(c->each * THREADS);
}

/* What must be true of the key, and of the answers, once all threads have pressed. */
static bool crush_is_right(contender *map, const crush *c) {
    uint64_t all = c->each * THREADS;
    switch (c->op) {
    case OP_INSERT: /* as many inserts are left over as there are entries now */
        return c->did == weft_contender_do(map, OP_REMOVE, 1, 0) &&
               weft_contender_do(map, OP_PUT, 1, 1);
    case OP_ADD:
        return c->did == all && weft_contender_do(map, OP_GET, 1, 1 + all);
    default:
        return c->did == all;
    }
}

/* Each operation by all threads on the one key. */
static void crush_all(contender *map, race *r, int round, uint64_t each) {
    bool right = weft_contender_open(map);
    for (int op = 0; op < r->ops && right; op++) {
        crush c = {.map = map, .op = (contender_op)op, .each = each};
        r->taken[op][map->is_plain][round] = crush_for(&c);
        right = crush_is_right(map, &c);
    }
    r->wrong = r->wrong || !right;
    weft_contender_close(map);
}

static void hot_key(const weft_single *how, bool bytes) {
    race r = {.ops = OP_REMOVE}; /* which is measured together with insert */
    for (int round = 0; round < ROUNDS && !weft_bench_stopped(); round++) {
        for (int turn = 0; turn < 2; turn++) {
            contender c = {.bytes = bytes, .is_plain = (turn + round) % 2 != 0};
            crush_all(&c, &r, round, how->quick ? 2000 : 100000);
        }
    }
    cell_text text = {bytes ? "hot-key-bytes/64" : "hot-key-u64/64",
                      "64 threads on one key; insert: and remove, in turns",
                      bytes ? "bytes" : "u64",
                      "operations",
                      "ns",
                      "less",
                      1};
    add_worst(how, text, &r);
}

void weft_single_hot_key(const weft_single *how) {
    hot_key(how, false);
    hot_key(how, true);
}
