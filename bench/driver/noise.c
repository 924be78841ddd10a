/* SPDX-License-Identifier: MIT */
#include "noise.h"
#include "base/clock.h"
#include "stats.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_PROBES = 8 };

static const double share_allowed = 0.05;
/* /proc/stat counts by ticks of 10 ms, processes by the clock: so much may be off at each end. */
static const double blur = 0.02;
/* What follows on a sample within this time needs no probe of its own. */
static const uint64_t fresh_ns = 2000000;
static const long nap_ns = 10000000;

static double load_now(void) {
    double load[1];
    return getloadavg(load, 1) == 1 ? load[0] : 0;
}

static double own_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Room for one more element of an array. A sample that finds none is not remembered. */
static bool make_room(void **array, size_t count, size_t *room, size_t size) {
    if (count == *room) {
        size_t more = *room != 0 ? 2 * *room : 256;
        void *larger = realloc(*array, more * size);
        if (larger == NULL) {
            return false;
        }
        *array = larger;
        *room = more;
    }
    return true;
}

void weft_noise_note_probe(weft_noise *noise, weft_noise_probe probe) {
    void *array = noise->probes;
    noise->best.speed = weft_memory_speed_best(noise->best.speed, probe.speed);
    noise->best.placement = weft_placement_best(noise->best.placement, probe.placement);
    if (probe.speed.cache > 0 &&
        make_room(&array, noise->probe_count, &noise->probe_room, sizeof probe)) {
        noise->probes = array;
        noise->probes[noise->probe_count++] = probe;
    }
}

static weft_noise_probe take_probe(weft_noise *noise) {
    weft_noise_probe probe = {.placement = weft_placement_probe_take(&noise->placement)};
    probe.speed = weft_memory_probe_take(&noise->memory);
    weft_noise_note_probe(noise, probe);
    noise->probed_at = weft_clock_monotonic_ns();
    return probe;
}

/* The last probe if it is of this moment, or a new one. */
static weft_noise_probe fresh_probe(weft_noise *noise) {
    bool fresh = noise->probe_count != 0 && weft_clock_monotonic_ns() - noise->probed_at < fresh_ns;
    return fresh ? noise->probes[noise->probe_count - 1] : take_probe(noise);
}

void weft_noise_begin(weft_noise *noise) {
    *noise = (weft_noise){.load_before = load_now()};
    weft_memory_probe_open(&noise->memory);
    weft_placement_probe_open(&noise->placement);
    for (int i = 0; i < FIRST_PROBES; i++) {
        take_probe(noise);
    }
}

void weft_noise_end(weft_noise *noise) {
    weft_memory_probe_close(&noise->memory);
    weft_placement_probe_close(&noise->placement);
    free(noise->probes);
    free(noise->kept);
    *noise = (weft_noise){0};
}

static weft_noise_mark read_accounts(void) {
    unsigned long long t[8] = {0};
    weft_noise_mark mark = {.own = own_seconds()};
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) {
        return mark;
    }
    /* user nice system idle iowait irq softirq steal */
    int got = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2],
                     &t[3], &t[4], &t[5], &t[6], &t[7]);
    fclose(file);
    if (got == 8) {
        double tick = (double)sysconf(_SC_CLK_TCK);
        mark.busy = (double)(t[0] + t[1] + t[2] + t[5] + t[6]) / tick;
        mark.steal = (double)t[7] / tick;
        mark.total = mark.busy + mark.steal + (double)(t[3] + t[4]) / tick;
    }
    return mark;
}

weft_noise_mark weft_noise_before(weft_noise *noise) {
    weft_noise_probe probe = fresh_probe(noise);
    weft_noise_mark mark = read_accounts();
    mark.probe = probe;
    return mark;
}

weft_noise_sample weft_noise_after(weft_noise *noise, const weft_noise_mark *before, double used) {
    weft_noise_mark after = read_accounts();
    double total = after.total - before->total;
    double steal = after.steal - before->steal;
    double foreign = after.busy - before->busy - used - (after.own - before->own);
    foreign = foreign < 0 ? 0 : foreign;
    noise->total += total;
    noise->foreign += foreign;
    noise->steal += steal;
    /* A burst in cache or memory that lasts shorter than the sample averages out in it; what it
     * suffered from throughout was there at both ends. Processors are moved once in some seconds:
     * what one end shows was so for a good part of it. */
    weft_noise_probe probe = take_probe(noise);
    return (weft_noise_sample){.speed = weft_memory_speed_best(before->probe.speed, probe.speed),
                               .placement =
                                   weft_placement_worst(before->probe.placement, probe.placement),
                               .foreign = foreign + steal > share_allowed * total + blur};
}

unsigned weft_noise_judge(const weft_noise *noise, const weft_noise_sample *sample) {
    return (sample->foreign ? WEFT_NOISE_FOREIGN : 0U) |
           (weft_memory_cache_is_slow(sample->speed, noise->best.speed) ? WEFT_NOISE_CACHE : 0U) |
           (weft_memory_is_slow(sample->speed, noise->best.speed) ? WEFT_NOISE_MEMORY : 0U) |
           (weft_placement_is_moved(sample->placement, noise->best.placement) ? WEFT_NOISE_MOVED
                                                                              : 0U);
}

void weft_noise_await(weft_noise *noise, double seconds) {
    uint64_t until = weft_clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    weft_noise_probe probe = fresh_probe(noise);
    weft_noise_sample moment = {probe.speed, probe.placement, false};
    while (weft_noise_judge(noise, &moment) != 0 && weft_clock_monotonic_ns() < until) {
        nanosleep(&(struct timespec){.tv_nsec = nap_ns}, NULL);
        probe = take_probe(noise);
        moment = (weft_noise_sample){probe.speed, probe.placement, false};
    }
}

void weft_noise_keep(weft_noise *noise, const weft_noise_sample *sample) {
    void *array = noise->kept;
    if (make_room(&array, noise->kept_count, &noise->kept_room, sizeof *sample)) {
        noise->kept = array;
        noise->kept[noise->kept_count++] = *sample;
    }
}

weft_noise_counts weft_noise_count(const weft_noise *noise) {
    weft_noise_counts counts = {.samples = noise->kept_count};
    for (size_t i = 0; i < noise->kept_count; i++) {
        unsigned found = weft_noise_judge(noise, &noise->kept[i]);
        counts.noisy += found != 0;
        counts.foreign += (found & WEFT_NOISE_FOREIGN) != 0;
        counts.cache += (found & WEFT_NOISE_CACHE) != 0;
        counts.memory += (found & WEFT_NOISE_MEMORY) != 0;
        counts.moved += (found & WEFT_NOISE_MOVED) != 0;
    }
    return counts;
}

bool weft_noise_is_noisy(const weft_noise *noise) {
    weft_noise_counts counts = weft_noise_count(noise);
    return counts.noisy * 10 > counts.samples;
}

bool weft_noise_is_refused(const weft_noise *noise) {
    weft_noise_counts counts = weft_noise_count(noise);
    return counts.foreign * 10 > counts.samples;
}

void weft_noise_describe(const weft_noise *noise, char *text, size_t size) {
    weft_noise_counts counts = weft_noise_count(noise);
    snprintf(text, size,
             "%zu of %zu samples were disturbed (others on the processors: %zu, in the shared "
             "cache: %zu, at the memory: %zu; processors moved: %zu)",
             counts.noisy, counts.samples, counts.foreign, counts.cache, counts.memory,
             counts.moved);
}

/* Best, median and worst of one figure of all probes. */
static json_t *figure_json(const weft_noise *noise, size_t offset) {
    size_t count = noise->probe_count;
    double *values = calloc(count + 1, sizeof *values);
    if (count == 0 || values == NULL) {
        free(values);
        return json_null();
    }
    double best = 0;
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        values[i] = *(const double *)((const char *)&noise->probes[i] + offset);
        best = i == 0 || values[i] < best ? values[i] : best;
        worst = values[i] > worst ? values[i] : worst;
    }
    double median = weft_bench_median((weft_bench_samples){values, count});
    free(values);
    return json_pack("{s:f,s:f,s:f}", "best", best, "median", median, "worst", worst);
}

json_t *weft_noise_json(const weft_noise *noise, bool noisy) {
    double total = noise->total > 0 ? noise->total : 1;
    weft_noise_counts counts = weft_noise_count(noise);
    json_t *object =
        json_pack("{s:f,s:f,s:f,s:f,s:I,s:I,s:b}", "load_before", noise->load_before, "load_after",
                  load_now(), "steal_share", noise->steal / total, "foreign_share",
                  noise->foreign / total, "samples", (json_int_t)counts.samples, "noisy_samples",
                  (json_int_t)counts.noisy, "noisy", noisy);
    json_object_set_new(object, "disturbed",
                        json_pack("{s:I,s:I,s:I,s:I}", "processors", (json_int_t)counts.foreign,
                                  "cache", (json_int_t)counts.cache, "memory",
                                  (json_int_t)counts.memory, "moved", (json_int_t)counts.moved));
    json_object_set_new(
        object, "read_ns",
        json_pack("{s:o,s:o,s:o,s:o}", "cache",
                  figure_json(noise, offsetof(weft_noise_probe, speed.cache)), "memory",
                  figure_json(noise, offsetof(weft_noise_probe, speed.memory)), "handover",
                  figure_json(noise, offsetof(weft_noise_probe, placement.handover)), "step",
                  figure_json(noise, offsetof(weft_noise_probe, placement.step))));
    return object;
}
