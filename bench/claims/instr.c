/* SPDX-License-Identifier: MIT */
/* Claims about single operations: what they cost in instructions, and what a published value costs
 * to read. */
#include "base/exit.h"
#include "bench/driver/bench.h"
#include "bench/driver/process.h"
#include "claim.h"
#include "counted.h"
#include "tools.h"
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is counted ------------------------------------------------------------------------- */

enum { COUNTED_OPS = 2000, COUNTED_KEYS = 2000 };

static WEFT_ALWAYS_INLINE void count_nothing(weft_u64map *map) {
    for (uint64_t i = 0; i < COUNTED_OPS; i++) {
        __asm__ volatile("" : : "r"(map), "r"(i) : "memory");
    }
}

static WEFT_ALWAYS_INLINE void count_load(weft_u64map *map) {
    uint64_t value;
    for (uint64_t i = 0; i < COUNTED_OPS; i++) {
        (void)weft_u64map_get(map, 1 + i, &value);
    }
}

static WEFT_ALWAYS_INLINE void count_store(weft_u64map *map) {
    for (uint64_t i = 0; i < COUNTED_OPS; i++) {
        (void)weft_u64map_put(map, 1 + i, i);
    }
}

/* One operation in `each` is a write: by turns a removal, and a store that brings the key back. */
static WEFT_ALWAYS_INLINE void count_mix(weft_u64map *map, uint64_t each) {
    uint64_t value;
    bool removed = false;
    uint64_t last = 0;
    for (uint64_t i = 0; i < COUNTED_OPS; i++) {
        if (i % each != 0) {
            (void)weft_u64map_get(map, 1 + i, &value);
        } else if (removed) {
            (void)weft_u64map_put(map, last, i);
            removed = false;
        } else {
            last = 1 + i;
            (void)weft_u64map_remove(map, last);
            removed = true;
        }
    }
}

static WEFT_ALWAYS_INLINE void count_nine_to_one(weft_u64map *map) {
    count_mix(map, 10);
}

static WEFT_ALWAYS_INLINE void count_one_to_one(weft_u64map *map) {
    count_mix(map, 2);
}

static WEFT_ALWAYS_INLINE void count_delete(weft_u64map *map) {
    for (uint64_t i = 0; i < COUNTED_OPS; i++) {
        (void)weft_u64map_remove(map, 1 + i);
    }
}

/* The figures of an engine: a function each, which callgrind tells apart by name. */
#define KINDS(X, engine)                                                                           \
    X(engine, nothing)                                                                             \
    X(engine, load)                                                                                \
    X(engine, store)                                                                               \
    X(engine, nine_to_one) X(engine, one_to_one) X(engine, delete)
#define ENGINES(X) KINDS(X, twotier) KINDS(X, rwlock) KINDS(X, lockfree)

#define FUNCTION(engine, kind)                                                                     \
    void weft_counted_##engine##_##kind(weft_u64map *map);                                         \
    WEFT_NOINLINE void weft_counted_##engine##_##kind(weft_u64map *map) {                          \
        count_##kind(map);                                                                         \
    }
ENGINES(FUNCTION)

#define LISTED(engine, kind) weft_counted_##engine##_##kind,
static void (*const counted[])(weft_u64map *map) = {ENGINES(LISTED)};

#define NAMED(engine, kind) "weft_counted_" #engine "_" #kind,
static const char *const counted_names[] = {ENGINES(NAMED)};

enum { KINDS_EACH = 6, NOTHING = 0, LOAD, STORE, NINE_TO_ONE, ONE_TO_ONE, DELETE };
enum { TWOTIER, RWLOCK, LOCKFREE, ENGINES_COUNTED };

static const weft_map_options counted_options[ENGINES_COUNTED] = {
    {.engine = WEFT_ENGINE_TWOTIER},
    {.engine = WEFT_ENGINE_RWLOCK, .rwlock = {.bias = WEFT_RWLOCK_NOBODY}},
    {.engine = WEFT_ENGINE_LOCKFREE},
};

_Static_assert(sizeof counted / sizeof *counted == ENGINES_COUNTED * KINDS_EACH,
               "the list of functions is what the enums say");

static bool end_walk(void *ctx, weft_u64pair entry) {
    (void)ctx;
    (void)entry;
    return false;
}

int weft_claim_counted(void) {
    for (int engine = 0; engine < ENGINES_COUNTED; engine++) {
        weft_u64map map;
        weft_map_options options = counted_options[engine];
        options.size = sizeof options;
        if (weft_u64map_open(&map, &options) != WEFT_OK) {
            return WEFT_EXIT_ENVIRONMENT;
        }
        for (uint64_t key = 1; key <= COUNTED_KEYS; key++) {
            (void)weft_u64map_put(&map, key, key);
        }
        (void)weft_u64map_foreach(&map, end_walk, NULL); /* promotes */
        for (int kind = 0; kind < KINDS_EACH; kind++) {
            counted[engine * KINDS_EACH + kind](&map);
        }
        weft_u64map_close(&map);
    }
    return WEFT_EXIT_FINE;
}

/* ---- counting -------------------------------------------------------------------------------- */

#define CALLGRIND_SECONDS 30.0

/* Run a program to its end; its lines go to `take`, if not NULL. False: it could not be run. */
static bool run_program(const char *const *argv, void (*take)(void *ctx, const char *line),
                        void *ctx) {
    weft_process process;
    const char *line;
    if (!weft_process_start(&process, argv)) {
        return false;
    }
    while ((line = weft_process_receive(&process, CALLGRIND_SECONDS)) != NULL) {
        if (take != NULL) {
            take(ctx, line);
        }
    }
    bool fine = strstr(process.problem, "exit code 0") != NULL;
    weft_process_end(&process);
    return fine;
}

/* "1,234,567 (12.3%)  file.c:weft_counted_twotier_load [binary]": the first number is inclusive. */
static void take_counts(void *ctx, const char *line) {
    double *counts = ctx;
    const char *name = strstr(line, ":weft_counted_");
    if (name == NULL) {
        return;
    }
    size_t size = strcspn(++name, " ");
    double number = 0;
    for (line += strspn(line, " "); isdigit((unsigned char)*line) || *line == ','; line++) {
        number = *line == ',' ? number : 10 * number + (*line - '0');
    }
    for (int i = 0; i < ENGINES_COUNTED * KINDS_EACH; i++) {
        if (strlen(counted_names[i]) == size && memcmp(counted_names[i], name, size) == 0) {
            counts[i] = number;
        }
    }
}

/* Instructions of each function; NULL, or why there are none. */
static const char *count_all(double *counts) {
    const char *base = getenv("TMPDIR");
    char path[300];
    char option[340];
    char self[4200];
    static const char *const version[] = {"/usr/bin/env", "valgrind", "--version", NULL};
    for (int i = 0; i < ENGINES_COUNTED * KINDS_EACH; i++) {
        counts[i] = NAN;
    }
    if (!run_program(version, NULL, NULL)) {
        return "valgrind is not installed; apt-get install valgrind";
    }
    snprintf(path, sizeof path, "%.250s/weft-claims.XXXXXX",
             base != NULL && *base != '\0' ? base : "/tmp");
    int file = mkstemp(path);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (file < 0 || length <= 0) {
        return "no temporary file; TMPDIR may name another folder";
    }
    (void)close(file);
    self[length] = '\0';
    snprintf(option, sizeof option, "--callgrind-out-file=%s", path);
    const char *const run[] = {"/usr/bin/env", "valgrind", "--tool=callgrind", "-q",        option,
                               self,           "bench",    "claims",           "--counted", NULL};
    const char *const read[] = {
        "/usr/bin/env", "callgrind_annotate", "--inclusive=yes", "--threshold=100", path, NULL};
    bool right = run_program(run, NULL, NULL) && run_program(read, take_counts, counts);
    (void)unlink(path);
    return right && !isnan(counts[ENGINES_COUNTED * KINDS_EACH - 1])
               ? NULL
               : "callgrind did not come to an end, or its figures could not be read";
}

static double per_op(const double *counts, int engine, int kind) {
    const double *own = &counts[engine * KINDS_EACH];
    return (own[kind] - own[NOTHING]) / COUNTED_OPS;
}

/* Decides: at 9:1 twotier takes at most 1/1.1 of the instructions of rwlock, at 1:1 at least 1.1
 * times as many. Both: it holds; one: in part. */
void weft_claim_instr(weft_claim *claim) {
    static const char *const engine_names[] = {"twotier", "rwlock", "lockfree"};
    static const char *const kind_names[] = {"",           "a load",     "a store",
                                             "9:1, an op", "1:1, an op", "a delete"};
    double counts[ENGINES_COUNTED * KINDS_EACH];
    const char *why = count_all(counts);
    if (why != NULL) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "Instructions were not counted: %s.", why);
        return;
    }
    for (int engine = 0; engine < ENGINES_COUNTED; engine++) {
        for (int kind = LOAD; kind < KINDS_EACH; kind++) {
            char name[64];
            snprintf(name, sizeof name, "%s, %s", engine_names[engine], kind_names[kind]);
            weft_claim_figure(claim, name, "instructions", NAN, per_op(counts, engine, kind));
        }
    }
    double nine = per_op(counts, TWOTIER, NINE_TO_ONE) / per_op(counts, RWLOCK, NINE_TO_ONE);
    double one = per_op(counts, TWOTIER, ONE_TO_ONE) / per_op(counts, RWLOCK, ONE_TO_ONE);
    weft_claim_figure(claim, "twotier over rwlock, 9:1", "ratio", NAN, nine);
    weft_claim_figure(claim, "twotier over rwlock, 1:1", "ratio", NAN, one);
    weft_claim_verdict of_reads = nine <= 1 / 1.1 ? WEFT_CLAIM_HOLDS : WEFT_CLAIM_NOT;
    weft_claim_verdict of_writes = one >= 1.1 ? WEFT_CLAIM_HOLDS : WEFT_CLAIM_NOT;
    weft_claim_say(claim, weft_claim_both(of_reads, of_writes),
                   "twotier takes %.2f times the instructions of rwlock at 9:1 and %.2f times at "
                   "1:1; lockfree takes %.0f and %.0f instructions an operation.",
                   nine, one, per_op(counts, LOCKFREE, NINE_TO_ONE),
                   per_op(counts, LOCKFREE, ONE_TO_ONE));
}

/* ---- once ------------------------------------------------------------------------------------ */

enum { DIRECT, ONCE, MAP, READERS };

typedef struct published {
    uint64_t reads;
    uint64_t *value; /* as a constructor left it */
    weft_u64map map; /* or built by whoever asks first */
} published;

static uint64_t published_value;
static pthread_once_t published_once = PTHREAD_ONCE_INIT;

static void publish(void) {
    published_value = 1;
}

static int build(void *ctx, uint64_t key, uint64_t *fresh) {
    (void)ctx;
    *fresh = key;
    return 0;
}

/* Nanoseconds of processor time a read. */
static double sample_reads(void *ctx, unsigned contender) {
    published *p = ctx;
    weft_u64build builder = {build, NULL};
    uint64_t sum = 0;
    uint64_t value = 0;
    uint64_t since = weft_thread_cpu_ns();
    for (uint64_t i = 0; i < p->reads; i++) {
        switch (contender) {
        case DIRECT:
            sum += *p->value;
            break;
        case ONCE:
            (void)pthread_once(&published_once, publish);
            sum += published_value;
            break;
        default:
            (void)weft_u64map_get_or_build(&p->map, 1, &builder, &value);
            sum += value;
            break;
        }
        __asm__ volatile("" : "+r"(sum) : : "memory"); /* each read is one */
    }
    double took = (double)(weft_thread_cpu_ns() - since);
    return sum == p->reads ? took / (double)p->reads : NAN;
}

/* Decides: what a once adds to a read, of C's and of Go's. At least half of the claimed 50 ns: it
 * holds; at least 5 ns: in part; less: not. */
static weft_claim_verdict verdict_of_once(double added) {
    if (isnan(added)) {
        return WEFT_CLAIM_NOT_RUN;
    }
    return added >= 25 ? WEFT_CLAIM_HOLDS : added >= 5 ? WEFT_CLAIM_IN_PART : WEFT_CLAIM_NOT;
}

void weft_claim_once(weft_claim *claim) {
    uint64_t value = 1;
    published p = {.reads = weft_claim_quick(claim) ? 100000 : 3000000,
                   .value = &value,
                   .map = WEFT_U64MAP_INIT};
    double ns[READERS];
    weft_contest contest = {READERS, weft_claim_quick(claim) ? 3 : 11, sample_reads, &p};
    bool right = weft_contest_run(&contest, ns);
    weft_u64map_close(&p.map);
    if (!right) {
        weft_claim_say(claim, WEFT_CLAIM_NOT_RUN, "A value could not be read.");
        return;
    }
    weft_claim_figure(claim, "a constructor's value", "ns", 0, ns[DIRECT]);
    weft_claim_figure(claim, "pthread_once and the value", "ns", 75, ns[ONCE]);
    weft_claim_figure(claim, "lockfree, get_or_build of a key that is there", "ns", NAN, ns[MAP]);
    (void)weft_claim_go(claim);
    weft_claim_claimed(claim, "Go: a constructor's value", 0);
    weft_claim_claimed(claim, "Go: sync.Once and the value", 75);
    double added = ns[ONCE] - ns[DIRECT];
    double go = weft_claim_value(claim, "Go: sync.Once and the value") -
                weft_claim_value(claim, "Go: a constructor's value");
    weft_claim_say(claim, weft_claim_both(verdict_of_once(added), verdict_of_once(go)),
                   "A once that is done adds %.2f ns to a read in C, since all that is left of it "
                   "is a load and a branch; a map that builds values once is read in %.1f ns.",
                   added, ns[MAP]);
}
