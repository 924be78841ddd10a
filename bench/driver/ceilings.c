/* SPDX-License-Identifier: MIT */
#include "ceilings.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "bench.h"
#include "draw.h"
#include "stats.h"
#include <string.h>

enum { LINE = 64, BATCH = 16, ROUNDS = 3, PIECE = 1024, THREADS_LIMIT = 64 };

#define PROBE_BYTES ((size_t)512 << 20)

typedef struct runner runner;

/* One kind of work: PIECE steps of it, and how much memory it reads. */
typedef struct kind {
    const char *name;
    size_t bytes;
    uint64_t (*piece)(runner *r);
} kind;

struct runner {
    weft_thread thread;
    const kind *kind;
    const unsigned char *memory;
    weft_draw draw;
    uint64_t *counter; /* its own line */
    const uint32_t *go, *stop;
    uint64_t steps;
    uint64_t sum; /* so that nothing is optimised away */
};

static uint64_t line_at(runner *r) {
    return weft_draw_below(&r->draw, r->kind->bytes / LINE) * LINE;
}

static uint64_t read_line(const runner *r, uint64_t at) {
    return *(const volatile uint64_t *)(r->memory + at);
}

static uint64_t read_lines(runner *r) {
    uint64_t sum = 0;
    for (int i = 0; i < PIECE; i++) {
        sum += read_line(r, line_at(r));
    }
    return sum;
}

static uint64_t read_ahead(runner *r) {
    uint64_t sum = 0;
    uint64_t at[BATCH];
    for (int i = 0; i < PIECE; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            at[k] = line_at(r);
            __builtin_prefetch(r->memory + at[k]);
        }
        for (int k = 0; k < BATCH; k++) {
            sum += read_line(r, at[k]);
        }
    }
    return sum;
}

static uint64_t add_up(runner *r) {
    for (int i = 0; i < PIECE; i++) {
        weft_fetch_add_seq_cst(r->counter, 1);
    }
    return 0;
}

static uint64_t do_nothing(runner *r) {
    uint64_t sum = 0;
    for (int i = 0; i < PIECE; i++) {
        sum += weft_draw_u64(&r->draw);
    }
    return sum;
}

const char weft_ceiling_probe_name[] = "line reads with prefetch, 512 MiB";

static const kind kinds[] = {
    {"line reads, 512 KiB", (size_t)512 << 10, read_lines},
    {"line reads, 32 MiB", (size_t)32 << 20, read_lines},
    {"line reads, 512 MiB", (size_t)512 << 20, read_lines},
    {"line reads with prefetch, 512 KiB", (size_t)512 << 10, read_ahead},
    {weft_ceiling_probe_name, PROBE_BYTES, read_ahead},
    {"fetch_add, uncontended", 0, add_up},
    {"empty loop", 0, do_nothing},
};

enum { KINDS = sizeof kinds / sizeof *kinds, PLAIN_READS = 3 };

static void *work(void *ctx) {
    runner *r = ctx;
    while (!weft_load_acquire(r->go)) { /* pairs with the release in measure */
        weft_pause();
    }
    do {
        r->sum += r->kind->piece(r);
        r->steps += PIECE;
    } while (!weft_load_relaxed(r->stop));
    return NULL;
}

/* How a kind of work is measured. */
typedef struct setting {
    const unsigned char *memory;
    uint32_t threads;
    double seconds;
} setting;

/* Steps a second of all threads together. */
static double measure(const kind *what, const setting *how) {
    runner runners[THREADS_LIMIT];
    static uint64_t counters[THREADS_LIMIT * LINE / sizeof(uint64_t)]
        __attribute__((aligned(LINE)));
    uint32_t go = 0;
    uint32_t stop = 0;
    uint32_t started = 0;
    for (; started < how->threads; started++) {
        runner *r = &runners[started];
        *r = (runner){.kind = what,
                      .memory = how->memory,
                      .counter = &counters[started * LINE / sizeof(uint64_t)],
                      .go = &go,
                      .stop = &stop};
        r->draw.state = started + 1;
        if (!weft_thread_start(&r->thread, work, r)) {
            break;
        }
    }
    uint64_t began = weft_clock_monotonic_ns();
    weft_store_release(&go, 1); /* pairs with the acquire in work */
    weft_sleep_ns((uint64_t)(how->seconds * 1e9));
    weft_store_relaxed(&stop, 1);
    uint64_t steps = 0;
    for (uint32_t i = 0; i < started; i++) {
        weft_thread_join(&runners[i].thread);
        steps += runners[i].steps;
    }
    return (double)steps * 1e9 / (double)(weft_clock_monotonic_ns() - began);
}

static void add(json_t *ceilings, const kind *what, const setting *how) {
    double values[ROUNDS];
    json_t *samples = json_array();
    for (int round = 0; round < ROUNDS; round++) {
        values[round] = measure(what, how);
        json_array_append_new(samples, json_real(values[round]));
    }
    weft_bench_samples all = {values, ROUNDS};
    json_array_append_new(ceilings,
                          json_pack("{s:s,s:i,s:s,s:o,s:f}", "name", what->name, "threads",
                                    (int)how->threads, "unit", "1/s", "samples", samples, "median",
                                    weft_bench_median(all)));
}

void weft_ceiling_probe_open(weft_ceiling_probe *probe) {
    probe->memory = weft_pages_map(PROBE_BYTES);
    for (size_t at = 0; probe->memory != NULL && at < PROBE_BYTES; at += 4096) {
        probe->memory[at] = 1; /* a page that was never written is one page of zeros, many times */
    }
}

void weft_ceiling_probe_close(weft_ceiling_probe *probe) {
    if (probe->memory != NULL) {
        weft_pages_unmap(probe->memory, PROBE_BYTES);
    }
    probe->memory = NULL;
}

double weft_ceiling_probe_take(const weft_ceiling_probe *probe, double seconds) {
    static const kind what = {weft_ceiling_probe_name, PROBE_BYTES, read_ahead};
    setting how = {probe->memory, 1, seconds};
    return probe->memory == NULL ? 0 : measure(&what, &how);
}

json_t *weft_ceilings_measure(uint32_t threads, double seconds) {
    weft_ceiling_probe probe;
    weft_ceiling_probe_open(&probe);
    const unsigned char *memory = probe.memory;
    json_t *ceilings = json_array();
    threads = threads > THREADS_LIMIT ? THREADS_LIMIT : threads;
    for (int i = 0; i < KINDS; i++) {
        weft_bench_progress("ceilings: %s", kinds[i].name);
        if (memory == NULL && kinds[i].bytes != 0) {
            continue;
        }
        setting how = {memory, 1, seconds};
        add(ceilings, &kinds[i], &how);
        how.threads = threads;
        if (threads > 1) {
            add(ceilings, &kinds[i], &how);
        }
    }
    weft_ceiling_probe_close(&probe);
    return ceilings;
}

const json_t *weft_ceilings_choose(const json_t *ceilings, double bytes, uint32_t threads) {
    const char *name = kinds[PLAIN_READS - 1].name;
    for (int i = PLAIN_READS - 1; i >= 0; i--) {
        name = bytes <= (double)kinds[i].bytes ? kinds[i].name : name;
    }
    size_t i;
    json_t *ceiling;
    json_array_foreach((json_t *)ceilings, i, ceiling) {
        if (strcmp(json_string_value(json_object_get(ceiling, "name")), name) == 0 &&
            json_integer_value(json_object_get(ceiling, "threads")) == (json_int_t)threads) {
            return ceiling;
        }
    }
    return NULL;
}
