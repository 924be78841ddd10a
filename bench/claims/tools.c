/* SPDX-License-Identifier: MIT */
#include "tools.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "bench/driver/bench.h"
#include "bench/driver/draw.h"
#include "bench/driver/stats.h"
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* ---- a crew ---------------------------------------------------------------------------------- */

typedef struct crew_run {
    const weft_crew *crew;
    weft_mutex lock;
    weft_cond change; /* the overseer waits for it */
    weft_cond begin;  /* the members do, once: 1024 threads must not wake each other */
    unsigned ready;
    unsigned ended;
    bool go;
    uint32_t stop;
    weft_thread *threads;
    weft_crew_member *members;
    weft_histogram *latencies;
} crew_run;

typedef struct crew_thread {
    crew_run *run;
    weft_crew_member *me;
} crew_thread;

static uint64_t nanoseconds(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

static void do_work(const crew_run *run, weft_crew_member *me) {
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_THREAD, &before);
    me->began = weft_clock_monotonic_ns();
    run->crew->work(me);
    me->ended = weft_clock_monotonic_ns();
    getrusage(RUSAGE_THREAD, &after);
    me->cpu_ns = nanoseconds(after.ru_utime) + nanoseconds(after.ru_stime) -
                 nanoseconds(before.ru_utime) - nanoseconds(before.ru_stime);
    me->switches[0] = (uint64_t)(after.ru_nvcsw - before.ru_nvcsw);
    me->switches[1] = (uint64_t)(after.ru_nivcsw - before.ru_nivcsw);
}

static void *run_member(void *ctx) {
    crew_thread *thread = ctx;
    crew_run *run = thread->run;
    weft_mutex_lock(&run->lock);
    run->ready++;
    weft_cond_signal(&run->change);
    while (!run->go) {
        weft_cond_wait(&run->begin, &run->lock, WEFT_WAIT_FOREVER);
    }
    weft_mutex_unlock(&run->lock);
    do_work(run, thread->me);
    weft_mutex_lock(&run->lock);
    run->ended++;
    weft_cond_signal(&run->change);
    weft_mutex_unlock(&run->lock);
    return NULL;
}

void weft_crew_stop(weft_crew_member *me) {
    weft_store_relaxed((uint32_t *)(uintptr_t)me->stop, 1);
}

/* Let them begin, and wait: for the time, for a wish for the end, or for all of them. */
static void oversee(crew_run *run, unsigned started) {
    static const uint64_t slice_ns = 50000000; /* how soon a wish for the end is noticed */
    weft_mutex_lock(&run->lock);
    while (run->ready < started) {
        weft_cond_wait(&run->change, &run->lock, WEFT_WAIT_FOREVER);
    }
    uint64_t until = run->crew->seconds > 0
                         ? weft_clock_monotonic_ns() + (uint64_t)(run->crew->seconds * 1e9)
                         : UINT64_MAX;
    run->go = true;
    weft_cond_broadcast(&run->begin);
    while (run->ended < started) {
        uint64_t now = weft_clock_monotonic_ns();
        if (now >= until || weft_bench_stopped()) {
            weft_store_relaxed(&run->stop, 1);
        }
        uint64_t left = now < until ? until - now : slice_ns;
        weft_cond_wait(&run->change, &run->lock, left < slice_ns ? left : slice_ns);
    }
    weft_mutex_unlock(&run->lock);
}

static void add_up(const crew_run *run, unsigned started, weft_crew_result *result) {
    static weft_histogram all; /* too large for a stack */
    uint64_t began = UINT64_MAX;
    uint64_t ended = 0;
    memset(&all, 0, sizeof all);
    *result = (weft_crew_result){.p50 = NAN, .p99 = NAN, .p999 = NAN, .mean = NAN, .max = NAN};
    for (unsigned i = 0; i < started; i++) {
        const weft_crew_member *me = &run->members[i];
        began = me->began < began ? me->began : began;
        ended = me->ended > ended ? me->ended : ended;
        result->ops += me->ops;
        result->cpu_seconds += (double)me->cpu_ns / 1e9;
        result->waits += me->switches[0];
        result->preempted += me->switches[1];
        if (me->latency != NULL) {
            weft_histogram_merge(&all, me->latency);
        }
    }
    result->seconds = (double)(ended - began) / 1e9;
    result->rate = (double)result->ops / result->seconds;
    if (all.count != 0) {
        result->p50 = (double)weft_histogram_percentile(&all, 50000);
        result->p99 = (double)weft_histogram_percentile(&all, 99000);
        result->p999 = (double)weft_histogram_percentile(&all, 99900);
        result->mean = (double)all.sum / (double)all.count;
        result->max = (double)all.maximum;
    }
}

/* Begin, oversee, end. False if a thread could not be had: those that could have ended. */
static bool run_threads(crew_run *run, weft_crew_result *result) {
    unsigned count = run->crew->threads;
    crew_thread *starts = calloc(count, sizeof *starts);
    unsigned started = 0;
    while (starts != NULL && started < count) {
        starts[started] = (crew_thread){run, &run->members[started]};
        if (!weft_thread_start(&run->threads[started], run_member, &starts[started])) {
            weft_store_relaxed(&run->stop, 1);
            break;
        }
        started++;
    }
    oversee(run, started);
    for (unsigned i = 0; i < started; i++) {
        weft_thread_join(&run->threads[i]);
    }
    free(starts);
    if (started == count) {
        add_up(run, started, result);
    }
    return started == count && !weft_bench_stopped();
}

static void enlist(crew_run *run) {
    const weft_crew *crew = run->crew;
    for (unsigned i = 0; i < crew->threads; i++) {
        run->members[i] = (weft_crew_member){.ctx = crew->ctx,
                                             .index = i,
                                             .limit = crew->ops != 0 ? crew->ops : UINT64_MAX,
                                             .random = weft_draw_mix(i + 1),
                                             .latency = crew->latency ? &run->latencies[i] : NULL,
                                             .stop = &run->stop};
    }
}

bool weft_crew_run(const weft_crew *crew, weft_crew_result *result) {
    crew_run run = {.crew = crew};
    size_t bytes = crew->threads * sizeof *run.members;
    bool done = false;
    run.threads = calloc(crew->threads, sizeof *run.threads);
    run.members = weft_memory_alloc(NULL, bytes, WEFT_CREW_LINES);
    run.latencies = calloc(crew->latency ? crew->threads : 1, sizeof *run.latencies);
    if (run.threads != NULL && run.members != NULL && run.latencies != NULL &&
        weft_mutex_init(&run.lock)) {
        bool woken = weft_cond_init(&run.change);
        if (woken && weft_cond_init(&run.begin)) {
            enlist(&run);
            done = run_threads(&run, result);
            weft_cond_destroy(&run.begin);
        }
        if (woken) {
            weft_cond_destroy(&run.change);
        }
        weft_mutex_destroy(&run.lock);
    }
    free(run.threads);
    weft_memory_free(NULL, run.members, bytes, WEFT_CREW_LINES);
    free(run.latencies);
    return done;
}

void weft_crew_pin(const weft_crew_member *me) {
    cpu_set_t allowed;
    cpu_set_t one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    int number = (int)me->index % CPU_COUNT(&allowed);
    int cpu = 0;
    while (!CPU_ISSET((size_t)cpu, &allowed) || number-- > 0) {
        cpu++;
    }
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

uint64_t weft_crew_random(weft_crew_member *me) {
    me->random += UINT64_C(0x9e3779b97f4a7c15);
    return weft_draw_mix(me->random);
}

uint64_t weft_thread_cpu_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- contenders in turns --------------------------------------------------------------------- */

bool weft_contest_run(const weft_contest *contest, double *medians) {
    double values[WEFT_CONTEST_MOST][WEFT_CONTEST_ROUNDS];
    unsigned counts[WEFT_CONTEST_MOST] = {0};
    bool good = contest->contenders <= WEFT_CONTEST_MOST && contest->rounds <= WEFT_CONTEST_ROUNDS;
    for (unsigned round = 0; round < contest->rounds && good; round++) {
        for (unsigned i = 0; i < contest->contenders && good; i++) {
            unsigned contender = (i + round) % contest->contenders;
            double value = contest->sample(contest->ctx, contender);
            good = !isnan(value) && !weft_bench_stopped();
            if (good) {
                values[contender][counts[contender]++] = value;
            }
        }
    }
    for (unsigned i = 0; i < contest->contenders && i < WEFT_CONTEST_MOST; i++) {
        medians[i] = weft_bench_median((weft_bench_samples){values[i], counts[i]});
    }
    return good;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void note_block(weft_counted *counted, size_t size) {
    weft_fetch_add_relaxed(&counted->blocks, 1);
    weft_fetch_add_relaxed(&counted->bytes, size);
    weft_fetch_add_relaxed(&counted->live_blocks, 1);
    uint64_t live = weft_fetch_add_relaxed(&counted->live_bytes, size) + size;
    uint64_t most = weft_load_relaxed(&counted->most_bytes);
    while (live > most && !weft_cas_relaxed(&counted->most_bytes, &most, live)) {
    }
}

static void *counted_alloc(void *ctx, size_t size, size_t align) {
    void *memory = weft_memory_alloc(NULL, size, align);
    if (memory != NULL) {
        note_block(ctx, size);
    }
    return memory;
}

static void *counted_alloc_zeroed(void *ctx, size_t size, size_t align) {
    void *memory = counted_alloc(ctx, size, align);
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

static void counted_free(void *ctx, void *memory, size_t size, size_t align) {
    weft_counted *counted = ctx;
    weft_fetch_add_relaxed(&counted->live_blocks, UINT64_MAX);
    weft_fetch_add_relaxed(&counted->live_bytes, 0 - (uint64_t)size);
    weft_memory_free(NULL, memory, size, align);
}

weft_allocator weft_counting_allocator(weft_counted *counted) {
    return (weft_allocator){counted, counted_alloc, counted_free, counted_alloc_zeroed};
}

/* ---- maps ------------------------------------------------------------------------------------ */

enum { VALUE_MOST = 1024 };

typedef struct text_key {
    uint64_t words[2];
} text_key;

static text_key text_of(uint64_t key) {
    return (text_key){{weft_draw_mix(key), key}};
}

bool weft_either_open(weft_either *map, uint32_t value_bytes, const weft_map_options *options) {
    weft_map_options own = options != NULL ? *options : (weft_map_options){.engine = 0};
    own.size = sizeof own;
    *map = (weft_either){.value_bytes = value_bytes};
    return (value_bytes != 0 ? weft_map_open(&map->texts, &own)
                             : weft_u64map_open(&map->numbers, &own)) == WEFT_OK;
}

void weft_either_close(weft_either *map) {
    (void)(map->value_bytes != 0 ? weft_map_close(&map->texts) : weft_u64map_close(&map->numbers));
}

bool weft_either_get(weft_either *map, uint64_t key, uint64_t *value) {
    if (map->value_bytes == 0) {
        return weft_u64map_get(&map->numbers, key, value) == WEFT_OK;
    }
    text_key name = text_of(key);
    uint64_t content[VALUE_MOST / sizeof(uint64_t)];
    weft_buffer out = {.data = content, .capacity = sizeof content};
    bool found = weft_map_get(&map->texts, weft_bytes_of(&name, sizeof name), &out) == WEFT_OK;
    *value = found ? content[0] : 0;
    return found;
}

bool weft_either_put(weft_either *map, uint64_t key, uint64_t value) {
    if (map->value_bytes == 0) {
        return weft_u64map_put(&map->numbers, key, value) == WEFT_OK;
    }
    text_key name = text_of(key);
    static const uint64_t zeros[VALUE_MOST / sizeof(uint64_t)];
    uint64_t content[VALUE_MOST / sizeof(uint64_t)];
    memcpy(content, zeros, map->value_bytes);
    content[0] = value;
    return weft_map_put(&map->texts, weft_bytes_of(&name, sizeof name),
                        weft_bytes_of(content, map->value_bytes)) == WEFT_OK;
}

bool weft_either_remove(weft_either *map, uint64_t key) {
    if (map->value_bytes == 0) {
        return weft_u64map_remove(&map->numbers, key) == WEFT_OK;
    }
    text_key name = text_of(key);
    return weft_map_remove(&map->texts, weft_bytes_of(&name, sizeof name)) == WEFT_OK;
}

void weft_either_stats(weft_either *map, weft_map_stats *stats) {
    if (map->value_bytes == 0) {
        weft_u64map_stats_get(&map->numbers, stats);
    } else {
        weft_map_stats_get(&map->texts, stats);
    }
}
