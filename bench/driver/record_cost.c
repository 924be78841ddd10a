/* SPDX-License-Identifier: MIT */
#include "record_cost.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include "draw.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/record.h>

enum { THREADS = 2, KEYS = 20000, STREAM = 1 << 20, BURST = 256, PERCENT_UPDATES = 5 };

/* Operations that were drawn ahead: a key, and in the low bits what is done with it. */
enum { GET, INSERT, REMOVE, KIND_MASK = 3 };

typedef struct field {
    weft_u64map map;
    uint64_t *stream;
    uint64_t stop;
} field;

typedef struct runner {
    field *field;
    uint64_t from;
    uint64_t done;
    weft_thread thread;
} runner;

static uint64_t key_of(uint64_t rank) {
    return weft_draw_mix(rank) & ~(uint64_t)KIND_MASK;
}

static void draw_stream(uint64_t *stream) {
    weft_draw draw = {.state = 1};
    for (int i = 0; i < STREAM; i++) {
        uint64_t chance = weft_draw_below(&draw, 200);
        uint64_t kind = chance < PERCENT_UPDATES       ? INSERT
                        : chance < 2 * PERCENT_UPDATES ? REMOVE
                                                       : GET;
        stream[i] = key_of(1 + weft_draw_below(&draw, KEYS)) | kind;
    }
}

static void run_one(weft_u64map *map, uint64_t step) {
    uint64_t key = step & ~(uint64_t)KIND_MASK;
    uint64_t value;
    switch (step & KIND_MASK) {
    case INSERT:
        weft_u64map_insert(map, key, step);
        break;
    case REMOVE:
        weft_u64map_remove(map, key);
        break;
    default:
        weft_u64map_get(map, key, &value);
    }
}

static void *run(void *ctx) {
    runner *r = ctx;
    while (weft_load_relaxed(&r->field->stop) == 0) {
        for (int i = 0; i < BURST; i++) {
            run_one(&r->field->map, r->field->stream[(r->from + r->done + i) % STREAM]);
        }
        r->done += BURST;
    }
    return NULL;
}

/* Operations a second of all threads; 0 if a thread is missing. */
static double rate(field *f, double seconds) {
    runner runners[THREADS];
    int started = 0;
    uint64_t done = 0;
    weft_store_relaxed(&f->stop, 0);
    uint64_t began = weft_clock_monotonic_ns();
    for (; started < THREADS; started++) {
        runner *r = &runners[started];
        *r = (runner){.field = f, .from = (uint64_t)started * (STREAM / THREADS)};
        if (!weft_thread_start(&r->thread, run, r)) {
            break;
        }
    }
    weft_sleep_ns((uint64_t)(seconds * 1e9));
    weft_store_relaxed(&f->stop, 1);
    for (int i = 0; i < started; i++) {
        weft_thread_join(&runners[i].thread);
        done += runners[i].done;
    }
    double elapsed = (double)(weft_clock_monotonic_ns() - began);
    return started < THREADS ? 0 : (double)done * 1e9 / elapsed;
}

static int rate_recorded(field *f, const weft_record_cost *cost, double *result) {
    const char *folder = getenv("TMPDIR");
    char path[512];
    weft_recording *recording;
    (void)snprintf(path, sizeof path, "%s/weft-cost-%ld.trace", folder != NULL ? folder : "/tmp",
                   (long)getpid());
    weft_recording_options options = {.size = sizeof options, .file = path, .sample = cost->sample};
    int status = weft_recording_start_u64(&f->map, &recording, &options);
    if (status == WEFT_OK) {
        *result = rate(f, cost->seconds);
        status = weft_recording_stop(recording, NULL);
        (void)unlink(path);
    }
    return status;
}

/* Each round takes both samples, and the next one begins with the other. */
static int measure_rounds(field *f, weft_record_cost *cost) {
    int status = WEFT_OK;
    (void)rate(f, cost->seconds); /* warm */
    for (uint32_t round = 0; round < cost->rounds && status == WEFT_OK; round++) {
        if (round % 2 == 0) {
            cost->plain[round] = rate(f, cost->seconds);
        }
        status = rate_recorded(f, cost, &cost->recorded[round]);
        if (round % 2 != 0) {
            cost->plain[round] = rate(f, cost->seconds);
        }
    }
    return status;
}

int weft_record_cost_measure(weft_record_cost *cost) {
    field f = {.map = WEFT_U64MAP_INIT, .stream = malloc(STREAM * sizeof *f.stream)};
    int status = f.stream == NULL ? WEFT_E_NOMEM : weft_u64map_open(&f.map, NULL);
    if (status != WEFT_OK) {
        free(f.stream);
        return status;
    }
    draw_stream(f.stream);
    for (uint64_t rank = 1; rank <= KEYS && status == WEFT_OK; rank += 2) {
        status = weft_u64map_insert(&f.map, key_of(rank), rank);
    }
    status = status == WEFT_OK ? measure_rounds(&f, cost) : status;
    weft_u64map_close(&f.map);
    free(f.stream);
    return status;
}
