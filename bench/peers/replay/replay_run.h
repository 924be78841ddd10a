/* SPDX-License-Identifier: MIT */
/* Threads that replay chunks, and both shapes of the loop that they run. */
#ifndef REPLAY_RUN_H
#define REPLAY_RUN_H

#include "replay_measure.h"
#include "replay_trace.h"
#include <pthread.h>

enum {
    REPLAY_STRETCH = 256, /* operations between two looks at the stop flag */
    REPLAY_LINE = 128,    /* two cache lines: they are fetched in pairs */
};

typedef struct replay_counts {
    uint64_t operations;
    uint64_t reads;
    uint64_t hits;
    uint64_t inserted;
    uint64_t removed;
    uint64_t sum;
} replay_counts;

typedef struct replay_range {
    uint32_t from;
    uint32_t to;
} replay_range;

typedef struct replay_job replay_job;

/* One thread's state; on lines of its own. */
typedef struct replay_worker {
    replay_counts counts;
    replay_bytes value; /* byte shape: its buffer begins with the number when it is written */
    char *buffer;
    replay_histogram *histogram; /* NULL: no latency */
    replay_job *job;
    unsigned index;
    uint64_t begin, end; /* ns */
    pthread_t thread;
} __attribute__((aligned(REPLAY_LINE))) replay_worker;

typedef struct replay_shape {
    void *(*open)(unsigned which);
    void (*close)(void *map);
    uint64_t (*count)(void *map);
    void (*walk)(void *map, replay_content *content);
    void (*chunk)(void *map, const replay_chunk *chunk, replay_worker *worker);
    uint64_t (*verify)(void *map, const replay_chunk *chunk, replay_worker *worker, uint64_t h);
} replay_shape;

/* What the threads of a command work on together. */
struct replay_job {
    const replay_shape *shape;
    void *map;
    const replay_chunk *chunks;
    uint64_t count;  /* chunks */
    uint64_t offset; /* the chunk to begin with */
    bool round;      /* go on from the first chunk when the last is done */
    bool latency;
    uint32_t value_size;
    unsigned threads;
    double seconds; /* until the stop flag is set, if round */
    pthread_barrier_t barrier;
    int stop __attribute__((aligned(REPLAY_LINE)));
};

typedef struct replay_result {
    replay_counts counts;
    replay_histogram histogram;
    double seconds;
    double cpu_seconds;
} replay_result;

static inline bool replay_stopped(const replay_job *job) {
    return __atomic_load_n(&job->stop, __ATOMIC_RELAXED) != 0;
}

static inline uint64_t replay_u64_key(const replay_chunk *chunk, uint32_t i) {
    return ((const uint64_t *)chunk->keys)[i];
}

static inline uint64_t replay_u64_value(const replay_worker *worker, uint64_t number) {
    (void)worker;
    return number;
}

static inline replay_bytes replay_bytes_key(const replay_chunk *chunk, uint32_t i) {
    const uint32_t *offsets = (const uint32_t *)chunk->keys;
    replay_bytes key = {chunk->text + offsets[i], offsets[i + 1] - offsets[i]};
    return key;
}

static inline replay_bytes replay_bytes_value(const replay_worker *worker, uint64_t number) {
    memcpy(worker->buffer, &number, sizeof number);
    return worker->value;
}

static inline uint64_t replay_u64_add(peer_u64_map *map, uint64_t key) {
    return peer_u64_add(map, key);
}

/* A trace of the byte shape has no such operation: replay_check_kind sees to it. */
static inline uint64_t replay_bytes_add(peer_bytes_map *map, replay_bytes key) {
    (void)map;
    (void)key;
    return 0;
}

#define REPLAY_JOINED(prefix, shape, name) prefix##shape##_##name
#define REPLAY_JOIN(prefix, shape, name) REPLAY_JOINED(prefix, shape, name)

#define REPLAY_SHAPE u64
#define REPLAY_KEY uint64_t
#include "replay_loop.h"

#define REPLAY_SHAPE bytes
#define REPLAY_KEY replay_bytes
#include "replay_loop.h"

static void *replay_allocate(size_t size) {
    void *memory = NULL;
    if (posix_memalign(&memory, REPLAY_LINE, size) != 0)
        replay_fail("out of memory");
    memset(memory, 0, size);
    return memory;
}

static void replay_worker_init(replay_worker *worker, replay_job *job, unsigned index) {
    worker->job = job;
    worker->index = index;
    worker->buffer = (char *)replay_allocate(job->value_size);
    memset(worker->buffer, 'v', job->value_size);
    worker->value.data = worker->buffer;
    worker->value.size = job->value_size;
    if (job->latency)
        worker->histogram = (replay_histogram *)replay_allocate(sizeof *worker->histogram);
}

static void replay_worker_clear(replay_worker *worker) {
    free(worker->buffer);
    free(worker->histogram);
}

/* Thread t works chunks t, t + T, …, counted from the job's offset. */
static void replay_work(replay_worker *worker) {
    const replay_job *job = worker->job;
    uint64_t at = worker->index;
    while (!replay_stopped(job) && (job->round || at < job->count)) {
        job->shape->chunk(job->map, &job->chunks[(job->offset + at) % job->count], worker);
        at += job->threads;
    }
}

static void *replay_thread(void *argument) {
    replay_worker *worker = (replay_worker *)argument;
    peer_enter();
    pthread_barrier_wait(&worker->job->barrier);
    worker->begin = replay_now();
    if (worker->job->count > 0)
        replay_work(worker);
    worker->end = replay_now();
    peer_leave();
    return NULL;
}

static void replay_sleep(double seconds) {
    struct timespec left;
    left.tv_sec = (time_t)seconds;
    left.tv_nsec = (long)((seconds - (double)left.tv_sec) * 1e9);
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

/* Adds up what the threads counted; the clock runs from the first one's start to the last one's
 * end. */
static void replay_collect(const replay_worker *workers, unsigned threads, replay_result *result) {
    uint64_t begin = UINT64_MAX, end = 0;
    for (unsigned i = 0; i < threads; i++) {
        const replay_worker *worker = &workers[i];
        result->counts.operations += worker->counts.operations;
        result->counts.reads += worker->counts.reads;
        result->counts.hits += worker->counts.hits;
        result->counts.inserted += worker->counts.inserted;
        result->counts.removed += worker->counts.removed;
        result->counts.sum += worker->counts.sum;
        if (worker->histogram != NULL)
            replay_join_histograms(&result->histogram, worker->histogram);
        begin = worker->begin < begin ? worker->begin : begin;
        end = worker->end > end ? worker->end : end;
    }
    result->seconds = (double)(end - begin) / 1e9;
}

/* Carries a job out: starts the threads, lets them go together, waits for all. */
static void replay_carry_out(replay_job *job, replay_result *result) {
    memset(result, 0, sizeof *result);
    job->stop = 0;
    pthread_barrier_init(&job->barrier, NULL, job->threads + 1);
    replay_worker *workers = (replay_worker *)replay_allocate(job->threads * sizeof *workers);
    for (unsigned i = 0; i < job->threads; i++) {
        replay_worker_init(&workers[i], job, i);
        if (pthread_create(&workers[i].thread, NULL, replay_thread, &workers[i]) != 0)
            replay_fail("can't start so many threads");
    }
    double cpu = replay_cpu_seconds();
    pthread_barrier_wait(&job->barrier);
    if (job->round) {
        replay_sleep(job->seconds);
        __atomic_store_n(&job->stop, 1, __ATOMIC_RELAXED);
    }
    for (unsigned i = 0; i < job->threads; i++)
        pthread_join(workers[i].thread, NULL);
    result->cpu_seconds = replay_cpu_seconds() - cpu;
    replay_collect(workers, job->threads, result);
    for (unsigned i = 0; i < job->threads; i++)
        replay_worker_clear(&workers[i]);
    free(workers);
    pthread_barrier_destroy(&job->barrier);
}

#endif
