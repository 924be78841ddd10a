/* SPDX-License-Identifier: MIT */
#include "record_cost.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "base/thread.h"
#include "draw.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <weft/record.h>

/* The writer is asked so often whether it is done. */
enum { NAP_NS = 2000000 };
enum { THREADS = 2, KEYS = 20000, STREAM = 1 << 20, BURST = 256, PERCENT_UPDATES = 5 };

/* Operations drawn ahead: a key, or its rank, and in the low bits what is done with it. */
enum { GET, INSERT, REMOVE, KIND_MASK = 3, RANK_SHIFT = 2 };

typedef struct long_key {
    uint64_t words[2];
} long_key;

typedef struct field {
    bool bytes;
    weft_map map;
    weft_u64map numbers;
    uint64_t *stream;
    long_key keys[KEYS + 1]; /* of the ranks */
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

static void draw_stream(field *f) {
    weft_draw draw = {.state = 1};
    for (int i = 0; i < STREAM; i++) {
        uint64_t chance = weft_draw_below(&draw, 200);
        uint64_t kind = chance < PERCENT_UPDATES       ? INSERT
                        : chance < 2 * PERCENT_UPDATES ? REMOVE
                                                       : GET;
        uint64_t rank = 1 + weft_draw_below(&draw, KEYS);
        f->stream[i] = (f->bytes ? rank << RANK_SHIFT : key_of(rank)) | kind;
    }
}

static void run_number(weft_u64map *map, uint64_t step) {
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

static int insert_bytes(field *f, uint64_t rank) {
    static const char value[32] = "a value of thirty-two bytes ...";
    weft_bytes key = weft_bytes_of(&f->keys[rank], sizeof f->keys[rank]);
    return weft_map_insert(&f->map, key, weft_bytes_of(value, sizeof value));
}

static void run_bytes(field *f, uint64_t step) {
    uint64_t rank = step >> RANK_SHIFT;
    weft_bytes key = weft_bytes_of(&f->keys[rank], sizeof f->keys[rank]);
    char room[32];
    weft_buffer value = {.data = room, .capacity = sizeof room};
    switch (step & KIND_MASK) {
    case INSERT:
        insert_bytes(f, rank);
        break;
    case REMOVE:
        weft_map_remove(&f->map, key);
        break;
    default:
        weft_map_get(&f->map, key, &value);
    }
}

static void *run(void *ctx) {
    runner *r = ctx;
    field *f = r->field;
    while (weft_load_relaxed(&f->stop) == 0) {
        for (int i = 0; i < BURST && f->bytes; i++) {
            run_bytes(f, f->stream[(r->from + r->done + i) % STREAM]);
        }
        for (int i = 0; i < BURST && !f->bytes; i++) {
            run_number(&f->numbers, f->stream[(r->from + r->done + i) % STREAM]);
        }
        r->done += BURST;
    }
    return NULL;
}

/* Of all threads of this process. */
static double processor_seconds(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* What waits in memory has to be written too. */
static void await_writer(const weft_recording *recording) {
    weft_recording_stats stats = {.waiting_bytes = recording != NULL};
    while (stats.waiting_bytes != 0) {
        weft_sleep_ns(NAP_NS);
        weft_recording_stats_get(recording, &stats);
    }
}

/* Operations of all threads in a second of THREADS processors; 0 if a thread is missing. By the
 * time that the processors worked for this process, the writer of a recording among it: as long as
 * the threads never wait, that is the time that passed, on a machine that does nothing else. */
static double rate(field *f, const weft_recording *recording, double seconds) {
    runner runners[THREADS];
    int started = 0;
    uint64_t done = 0;
    weft_store_relaxed(&f->stop, 0);
    double began = processor_seconds();
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
    await_writer(recording);
    double worked = processor_seconds() - began;
    return started < THREADS ? 0 : (double)done * THREADS / worked;
}

static int rate_recorded(field *f, const weft_record_cost *cost, double *result) {
    const char *folder = getenv("TMPDIR");
    char path[512];
    weft_recording *recording;
    (void)snprintf(path, sizeof path, "%s/weft-cost-%ld.trace", folder != NULL ? folder : "/tmp",
                   (long)getpid());
    weft_recording_options options = {.size = sizeof options, .file = path, .sample = cost->sample};
    int status = f->bytes ? weft_recording_start(&f->map, &recording, &options)
                          : weft_recording_start_u64(&f->numbers, &recording, &options);
    if (status == WEFT_OK) {
        *result = rate(f, recording, cost->seconds);
        status = weft_recording_stop(recording, NULL);
        (void)unlink(path);
    }
    return status;
}

/* Each round takes both samples, and the next one begins with the other. */
static int measure_rounds(field *f, weft_record_cost *cost) {
    int status = WEFT_OK;
    (void)rate(f, NULL, cost->seconds); /* warm */
    for (uint32_t round = 0; round < cost->rounds && status == WEFT_OK; round++) {
        if (round % 2 == 0) {
            cost->plain[round] = rate(f, NULL, cost->seconds);
        }
        status = rate_recorded(f, cost, &cost->recorded[round]);
        if (round % 2 != 0) {
            cost->plain[round] = rate(f, NULL, cost->seconds);
        }
    }
    return status;
}

static int fill(field *f) {
    int status = f->bytes ? weft_map_open(&f->map, NULL) : weft_u64map_open(&f->numbers, NULL);
    for (uint64_t rank = 1; rank <= KEYS; rank++) {
        f->keys[rank] = (long_key){{weft_draw_mix(rank), rank}};
    }
    for (uint64_t rank = 1; rank <= KEYS && status == WEFT_OK; rank += 2) {
        status =
            f->bytes ? insert_bytes(f, rank) : weft_u64map_insert(&f->numbers, key_of(rank), rank);
    }
    return status;
}

int weft_record_cost_measure(weft_record_cost *cost) {
    field *f = calloc(1, sizeof *f);
    int status = WEFT_E_NOMEM;
    if (f != NULL && (f->stream = malloc(STREAM * sizeof *f->stream)) != NULL) {
        f->bytes = cost->bytes;
        draw_stream(f);
        status = fill(f);
        status = status == WEFT_OK ? measure_rounds(f, cost) : status;
        weft_map_close(&f->map);
        weft_u64map_close(&f->numbers);
        free(f->stream);
    }
    free(f);
    return status;
}
