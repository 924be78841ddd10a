/* SPDX-License-Identifier: MIT */
#include "noise.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const double share_allowed = 0.05;
/* /proc/stat counts by ticks of 10 ms, the processes by the clock: so much may be off at each end. */
static const double blur = 0.02;

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

void weft_noise_begin(weft_noise *noise) {
    *noise = (weft_noise){.load_before = load_now()};
}

weft_noise_mark weft_noise_now(void) {
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

bool weft_noise_between(weft_noise *noise, const weft_noise_mark *before,
                        const weft_noise_mark *after, double used) {
    double total = after->total - before->total;
    double steal = after->steal - before->steal;
    double foreign = after->busy - before->busy - used - (after->own - before->own);
    foreign = foreign < 0 ? 0 : foreign;
    noise->total += total;
    noise->foreign += foreign;
    noise->steal += steal;
    return foreign + steal > share_allowed * total + blur;
}

void weft_noise_count(weft_noise *noise, bool noisy) {
    noise->samples++;
    noise->noisy += noisy;
}

bool weft_noise_is_noisy(const weft_noise *noise) {
    return noise->noisy * 10 > noise->samples;
}

json_t *weft_noise_json(const weft_noise *noise) {
    double total = noise->total > 0 ? noise->total : 1;
    return json_pack("{s:f,s:f,s:f,s:f,s:I,s:I,s:b}", "load_before", noise->load_before,
                     "load_after", load_now(), "steal_share", noise->steal / total, "foreign_share",
                     noise->foreign / total, "samples", (json_int_t)noise->samples, "noisy_samples",
                     (json_int_t)noise->noisy, "noisy", weft_noise_is_noisy(noise));
}
