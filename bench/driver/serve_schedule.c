/* SPDX-License-Identifier: MIT */
#include "serve_schedule.h"

#include <math.h>
#include <stdlib.h>

static const double nanoseconds = 1e9;

static double distance(weft_serve_schedule *schedule) {
    double mean = nanoseconds / schedule->rate;
    return schedule->poisson ? -log1p(-weft_draw_unit(schedule->draw)) * mean : mean;
}

void weft_serve_schedule_init(weft_serve_schedule *schedule, double rate, bool poisson,
                              weft_serve_share share) {
    schedule->rate = rate / share.of;
    schedule->poisson = poisson;
    schedule->ahead = poisson ? distance(schedule) : nanoseconds / rate * share.part;
}

uint64_t weft_serve_schedule_peek(const weft_serve_schedule *schedule) {
    return schedule->begin + (uint64_t)schedule->ahead;
}

void weft_serve_schedule_step(weft_serve_schedule *schedule) {
    schedule->ahead += distance(schedule);
}

bool weft_serve_backlog_init(weft_serve_backlog *backlog, size_t capacity) {
    *backlog = (weft_serve_backlog){.capacity = capacity};
    backlog->due = calloc(capacity, sizeof *backlog->due);
    return backlog->due != NULL;
}

void weft_serve_backlog_free(weft_serve_backlog *backlog) {
    free(backlog->due);
    backlog->due = NULL;
}

void weft_serve_backlog_push(weft_serve_backlog *backlog, uint64_t due) {
    if (backlog->count == backlog->capacity) {
        backlog->dropped++;
        return;
    }
    backlog->due[(backlog->first + backlog->count++) % backlog->capacity] = due;
    if (backlog->count > backlog->greatest) {
        backlog->greatest = backlog->count;
    }
}

uint64_t weft_serve_backlog_pop(weft_serve_backlog *backlog) {
    uint64_t due = backlog->due[backlog->first];
    backlog->first = (backlog->first + 1) % backlog->capacity;
    backlog->count--;
    return due;
}
