/* SPDX-License-Identifier: MIT */
#include "worst_op.h"

static const char *const names[WEFT_WORST_KINDS] = {
    [WEFT_WORST_PREEMPTED] = "preempted", [WEFT_WORST_BEGINS] = "growth begins",
    [WEFT_WORST_FAULTS] = "page fault",   [WEFT_WORST_FREES] = "old table freed",
    [WEFT_WORST_MOVES] = "buckets move",  [WEFT_WORST_PLAIN] = "none of these",
};

void weft_worst_begin(weft_worst *worst) {
    *worst = (weft_worst){.map = {.growths = 0}};
    getrusage(RUSAGE_THREAD, &worst->thread);
}

static weft_worst_kind kind_of(const weft_worst *worst, const weft_map_stats *map,
                               const struct rusage *thread) {
    if (thread->ru_nivcsw != worst->thread.ru_nivcsw) {
        return WEFT_WORST_PREEMPTED;
    }
    if (map->growths != worst->map.growths) {
        return WEFT_WORST_BEGINS;
    }
    if (thread->ru_minflt != worst->thread.ru_minflt) {
        return WEFT_WORST_FAULTS;
    }
    if (map->pending_bytes < worst->map.pending_bytes) {
        return WEFT_WORST_FREES;
    }
    return map->remaining_buckets != 0 ? WEFT_WORST_MOVES : WEFT_WORST_PLAIN;
}

void weft_worst_note(weft_worst *worst, weft_u64map *map, uint64_t ns) {
    weft_map_stats stats;
    struct rusage thread;
    weft_u64map_stats_get(map, &stats);
    getrusage(RUSAGE_THREAD, &thread);
    uint64_t *longest = &worst->longest_ns[kind_of(worst, &stats, &thread)];
    *longest = ns > *longest ? ns : *longest;
    worst->map = stats;
    worst->thread = thread;
}

json_t *weft_worst_json(const weft_worst *worst) {
    json_t *kinds = json_object();
    for (int i = 0; i < WEFT_WORST_KINDS; i++) {
        if (worst->longest_ns[i] != 0) {
            json_object_set_new(kinds, names[i], json_integer((json_int_t)worst->longest_ns[i]));
        }
    }
    return kinds;
}
