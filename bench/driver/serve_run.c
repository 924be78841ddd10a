/* SPDX-License-Identifier: MIT */
#include "serve_run.h"

#include "base/clock.h"
#include "bench.h"
#include "serve_load.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOAD_PIPELINE = 64, LOAD_CONNECTIONS = 4, LOAD_BYTES_MOST = 1 << 20, ATTEMPTS = 3 };

#define WAIT_SECONDS 1.0 /* for a quiet moment, before a sample */

static const double probe_seconds = 0.4; /* how a rate is found that all can hold */

/* Cells that share their data: same keys, same size of values. */
typedef struct dataset {
    weft_serve_bench *bench;
    weft_serve_cell *cells;
    size_t count;
    uint64_t increments[WEFT_SERVE_SERVERS_MOST]; /* acknowledged */
    weft_serve_figures *figures;                  /* of the load that ran last */
    bool drained[WEFT_SERVE_SERVERS_MOST];        /* each increment was acknowledged or refused */
} dataset;

static void pause_for(double seconds) {
    const struct timespec time = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

static uint64_t counters_of(const weft_serve_workload *workload) {
    return workload->keys < WEFT_SERVE_COUNTERS_MOST ? workload->keys : WEFT_SERVE_COUNTERS_MOST;
}

unsigned weft_serve_client_threads(const weft_serve_workload *workload) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t threads = workload->threads != 0 ? workload->threads : (uint64_t)(processors + 1) / 2;
    threads = threads > WEFT_SERVE_THREADS_MOST ? WEFT_SERVE_THREADS_MOST : threads;
    return (unsigned)(threads > workload->connections ? workload->connections : threads);
}

static weft_serve_load load_of(const weft_serve_bench *bench, const weft_serve_workload *workload,
                               const weft_serve_server *server) {
    weft_serve_load load = {.codec = server->kind->codec,
                            .port = server->port,
                            .connections = (unsigned)workload->connections,
                            .threads = weft_serve_client_threads(workload),
                            .pipeline = (unsigned)workload->pipeline,
                            .keys = workload->keys,
                            .counters = counters_of(workload),
                            .value_bytes = workload->value_bytes,
                            .zipf = workload->zipf,
                            .seconds = bench->seconds,
                            .poisson = !workload->constant,
                            .timeout = bench->timeout,
                            .seed = bench->seed};
    memcpy(load.mix, workload->mix, sizeof load.mix);
    return load;
}

/* Whether the figures are those of a working server; if not, it is refused. */
static bool accept(weft_serve_server *server, const weft_serve_figures *figures) {
    if (figures->wrong != 0) {
        weft_serve_server_refuse(server, WEFT_SERVE_WRONG, "%s (%llu of %llu replies)",
                                 figures->problem, (unsigned long long)figures->wrong,
                                 (unsigned long long)figures->replies);
    } else if (figures->failed) {
        weft_serve_server_refuse(server, WEFT_SERVE_FAILED, "%s", figures->problem);
    } else if (figures->errors != 0) {
        weft_serve_server_refuse(server, WEFT_SERVE_FAILED, "%s (%llu of %llu replies)",
                                 figures->problem, (unsigned long long)figures->errors,
                                 (unsigned long long)figures->replies);
    }
    return server->status == WEFT_SERVE_OK;
}

/* ---------------------------------------------------------------- loading */

/* One request for each key or counter, in order. */
static bool sweep(const dataset *set, weft_serve_server *server, weft_serve_op op) {
    const weft_serve_workload *workload = &set->cells[0].workload;
    weft_serve_load load = load_of(set->bench, workload, server);
    bool counters = weft_serve_op_space(op) == WEFT_SERVE_COUNTERS;
    memset(load.mix, 0, sizeof load.mix);
    load.mix[op] = 100;
    load.keys = counters ? load.counters : load.keys;
    load.seconds = 0;
    load.threads = 1;
    load.connections = LOAD_CONNECTIONS;
    load.pipeline = counters || load.value_bytes * LOAD_PIPELINE < LOAD_BYTES_MOST
                        ? LOAD_PIPELINE
                        : (unsigned)(1 + LOAD_BYTES_MOST / load.value_bytes);
    weft_serve_load_run(&load, set->figures);
    return accept(server, set->figures);
}

static bool wants_counters(const dataset *set) {
    for (size_t i = 0; i < set->count; i++) {
        if (set->cells[i].workload.mix[WEFT_SERVE_INCR] > 0) {
            return true;
        }
    }
    return false;
}

static bool wants_keys(const dataset *set) {
    for (size_t i = 0; i < set->count; i++) {
        if (set->cells[i].workload.mix[WEFT_SERVE_INCR] < 100) {
            return true;
        }
    }
    return false;
}

static bool is_up(const weft_serve_server *server) {
    return server->status == WEFT_SERVE_OK && server->pid != 0;
}

/* What the keys take once the server has nothing left to do: growth and log buffers are over. */
static void weigh(const dataset *set, const uint64_t *before) {
    const double rest = 1.5;
    weft_serve_cell *first = &set->cells[0];
    pause_for(rest);
    for (size_t i = 0; i < set->bench->server_count; i++) {
        weft_serve_server *server = &set->bench->servers[i];
        if (is_up(server) && weft_serve_server_settle(server)) {
            uint64_t after = weft_serve_server_resident(server);
            first->results[i].bytes_per_key =
                after > before[i] ? (double)(after - before[i]) / (double)first->workload.keys : 0;
        }
    }
}

/* Start the servers and give them their data. */
static void fill(dataset *set) {
    weft_serve_bench *bench = set->bench;
    uint64_t before[WEFT_SERVE_SERVERS_MOST] = {0};
    for (size_t i = 0; i < bench->server_count && !weft_bench_stopped(); i++) {
        weft_serve_server *server = &bench->servers[i];
        set->drained[i] = true;
        if (server->status != WEFT_SERVE_OK) {
            continue;
        }
        weft_bench_progress("starting and loading %s", server->kind->name);
        if (weft_serve_server_start(server, bench->parent) && wants_keys(set)) {
            before[i] = weft_serve_server_resident(server);
            sweep(set, server, WEFT_SERVE_SET);
        }
    }
    if (wants_keys(set)) {
        weigh(set, before);
    }
    for (size_t i = 0; i < bench->server_count && wants_counters(set); i++) {
        if (is_up(&bench->servers[i]) && sweep(set, &bench->servers[i], WEFT_SERVE_SEED)) {
            weft_serve_server_settle(&bench->servers[i]);
        }
    }
}

/* The counters must hold exactly the increments that were acknowledged. */
static void audit(const dataset *set, size_t which) {
    weft_serve_server *server = &set->bench->servers[which];
    if (!is_up(server) || !wants_counters(set) || !set->drained[which] ||
        !sweep(set, server, WEFT_SERVE_READ)) {
        return;
    }
    if (set->figures->sum != set->increments[which]) {
        weft_serve_server_refuse(
            server, WEFT_SERVE_WRONG, "its counters hold %llu, but it acknowledged %llu increments",
            (unsigned long long)set->figures->sum, (unsigned long long)set->increments[which]);
    }
}

/* ---------------------------------------------------------------- samples */

static bool can_do(const weft_serve_codec *codec, const weft_serve_workload *workload) {
    for (int op = 0; op < WEFT_SERVE_OPS; op++) {
        if (workload->mix[op] > 0 && (codec->ops & 1u << op) == 0) {
            return false;
        }
    }
    return true;
}

static bool takes_part(const dataset *set, size_t which, const weft_serve_cell *cell) {
    const weft_serve_server *server = &set->bench->servers[which];
    return server->status == WEFT_SERVE_OK && can_do(server->kind->codec, &cell->workload);
}

static weft_serve_sample sample_of(const weft_serve_figures *figures, double server_cpu) {
    double replies = figures->replies != 0 ? (double)figures->replies : 1;
    const weft_histogram *latency = &figures->latency;
    return (weft_serve_sample){
        .operations = (double)figures->counted / figures->seconds,
        .cpu = server_cpu / replies * 1e9,
        .client_cpu = figures->cpu / replies * 1e9,
        .p50 = (double)weft_histogram_percentile(latency, 50000),
        .p90 = (double)weft_histogram_percentile(latency, 90000),
        .p99 = (double)weft_histogram_percentile(latency, 99000),
        .p999 = (double)weft_histogram_percentile(latency, 99900),
        .most = (double)latency->maximum,
        .replies = figures->replies,
        .late = figures->late,
        .dropped = figures->dropped,
        .backlog = figures->backlog,
    };
}

/* One server, one cell, once. False if there is no sample. */
static bool measure(dataset *set, size_t which, const weft_serve_load *load,
                    weft_serve_sample *sample) {
    weft_serve_server *server = &set->bench->servers[which];
    weft_serve_figures *figures = set->figures;
    double cpu = weft_serve_server_cpu(server);
    weft_serve_load_run(load, figures);
    set->increments[which] += figures->increments;
    set->drained[which] = set->drained[which] && figures->late == 0 && !figures->failed;
    bool good = accept(server, figures) && weft_serve_server_settle(server);
    if (good) {
        /* What these requests caused, a checkpoint too, is charged to them. */
        pause_for(0.05);
        *sample = sample_of(figures, weft_serve_server_cpu(server) - cpu);
        sample->client_bound = weft_serve_load_client_bound(load, figures) != NULL;
    }
    return good;
}

/* Seconds since the run began. */
static double elapsed(const weft_serve_bench *bench) {
    return (double)(weft_clock_monotonic_ns() - bench->begin) * 1e-9;
}

/* Half of the limit is for samples that need no repetition. */
static bool may_repeat(const weft_serve_bench *bench) {
    return bench->limit <= 0 || elapsed(bench) < bench->limit / 2;
}

/* The same until nobody else used the machine meanwhile, but not for ever. */
static bool measure_quietly(dataset *set, size_t which, const weft_serve_load *load,
                            weft_serve_sample *sample) {
    weft_noise *noise = &set->bench->noise;
    const weft_serve_server *server = &set->bench->servers[which];
    weft_noise_sample found = {0};
    bool disturbed = true;
    for (int attempt = 0; disturbed && attempt < ATTEMPTS && !weft_bench_stopped(); attempt++) {
        if (attempt != 0 && !may_repeat(set->bench)) {
            break;
        }
        bool patient = may_repeat(set->bench) && !set->bench->noisy;
        weft_noise_await(noise, patient ? WAIT_SECONDS : 0);
        weft_noise_mark before = weft_noise_before(noise);
        double cpu = weft_serve_server_cpu(server);
        if (!measure(set, which, load, sample)) {
            return false;
        }
        found = weft_noise_after(noise, &before, weft_serve_server_cpu(server) - cpu);
        disturbed = weft_noise_judge(noise, &found) != 0;
    }
    weft_noise_keep(noise, &found);
    return true;
}

/* The rate of an open loop, if it is a share of what the slowest server answers. */
static void settle_rate(dataset *set, weft_serve_cell *cell) {
    const weft_serve_workload *workload = &cell->workload;
    double least = 0;
    cell->rate = workload->rate;
    for (size_t i = 0; i < set->bench->server_count && workload->rate_share > 0; i++) {
        weft_serve_sample sample;
        if (!takes_part(set, i, cell)) {
            continue;
        }
        weft_serve_load load = load_of(set->bench, workload, &set->bench->servers[i]);
        load.seconds = probe_seconds;
        if (measure(set, i, &load, &sample) && (least == 0 || sample.operations < least)) {
            least = sample.operations;
        }
    }
    if (workload->rate_share > 0) {
        cell->rate = least * workload->rate_share > 1 ? least * workload->rate_share : 1;
    }
}

static void sample_cell(dataset *set, weft_serve_cell *cell, unsigned round) {
    weft_serve_bench *bench = set->bench;
    for (size_t turn = 0; turn < bench->server_count && !weft_bench_stopped(); turn++) {
        size_t which = (turn + round) % bench->server_count;
        weft_serve_results *results = &cell->results[which];
        if (!takes_part(set, which, cell)) {
            results->left_out = bench->servers[which].status == WEFT_SERVE_OK;
            continue;
        }
        weft_bench_progress("round %u of %u: %s, %s", round + 1, bench->rounds, cell->workload.name,
                            bench->servers[which].kind->name);
        weft_serve_load load = load_of(bench, &cell->workload, &bench->servers[which]);
        load.rate = cell->rate;
        load.seed = bench->seed + round * WEFT_SERVE_THREADS_MOST;
        if (measure_quietly(set, which, &load, &results->samples[results->count])) {
            results->count++;
        }
    }
}

/* Rounds are complete or they do not count: ratios are taken within them. */
static void drop_half_round(dataset *set, unsigned rounds) {
    for (size_t i = 0; i < set->count; i++) {
        for (size_t s = 0; s < set->bench->server_count; s++) {
            size_t *count = &set->cells[i].results[s].count;
            *count = *count > rounds ? rounds : *count;
        }
    }
}

static void run_rounds(dataset *set) {
    for (size_t i = 0; i < set->count && !weft_bench_stopped(); i++) {
        settle_rate(set, &set->cells[i]);
    }
    double last = 0;
    for (unsigned round = 0; round < set->bench->rounds; round++) {
        double before = elapsed(set->bench);
        if (round != 0 && set->bench->limit > 0 && before + last > set->bench->limit) {
            set->bench->rounds = round;
            return;
        }
        for (size_t i = 0; i < set->count && !weft_bench_stopped(); i++) {
            sample_cell(set, &set->cells[i], round);
        }
        if (weft_bench_stopped()) {
            set->bench->partial = true;
            drop_half_round(set, round);
            return;
        }
        last = elapsed(set->bench) - before;
    }
}

static void run_dataset(dataset *set) {
    weft_serve_bench *bench = set->bench;
    fill(set);
    run_rounds(set);
    for (size_t i = 0; i < bench->server_count; i++) {
        audit(set, i);
        weft_serve_server_stop(&bench->servers[i]);
    }
}

static bool same_data(const weft_serve_cell *a, const weft_serve_cell *b) {
    return a->workload.keys == b->workload.keys &&
           a->workload.value_bytes == b->workload.value_bytes;
}

/* Put cells that share their data side by side, in the order in which they were asked for. */
static void group_cells(weft_serve_bench *bench) {
    for (size_t i = 0; i + 1 < bench->cell_count; i++) {
        size_t next = i + 1;
        while (next < bench->cell_count && !same_data(&bench->cells[i], &bench->cells[next])) {
            next++;
        }
        for (; next < bench->cell_count && next > i + 1; next--) {
            weft_serve_workload moved = bench->cells[next].workload;
            bench->cells[next].workload = bench->cells[next - 1].workload;
            bench->cells[next - 1].workload = moved;
        }
    }
}

void weft_serve_bench_run(weft_serve_bench *bench) {
    group_cells(bench);
    weft_noise_begin(&bench->noise);
    bench->begin = weft_clock_monotonic_ns();
    weft_serve_figures *figures = malloc(sizeof *figures);
    for (size_t first = 0; first < bench->cell_count && figures != NULL && !weft_bench_stopped();) {
        size_t end = first + 1;
        while (end < bench->cell_count && same_data(&bench->cells[first], &bench->cells[end])) {
            end++;
        }
        dataset set = {.bench = bench,
                       .cells = &bench->cells[first],
                       .count = end - first,
                       .figures = figures};
        run_dataset(&set);
        first = end;
    }
    free(figures);
    bench->partial = bench->partial || figures == NULL;
    bench->partial = bench->partial || weft_bench_stopped();
    weft_bench_progress_end();
}
