/* SPDX-License-Identifier: MIT */
/* How many loops serve the connections.
 *
 * A round costs a wait and a wake-up, however many sockets were ready. As long as one loop has
 * time to spare, spreading the same clients over two makes twice as many rounds of half the size,
 * and takes processors from the clients. So connections live on the first loops only, on as many
 * as the load needs: the number doubles when they are busy, and halves when half of them would do
 * with ease. New connections go to the loop with the fewest, and a loop that has more than its
 * share hands some over. */
#include "base/clock.h"
#include "server/runtime.h"
#include <sys/resource.h>

enum {
    HOT_PERMILLE = 950, /* of each active loop, on average */
    HOT_TICKS = 2,
    CALM_PERMILLE = 800, /* of each loop, were there half as many */
    CALM_TICKS = 5,
    MOVES_PER_TICK = 256,
    SLACK = 2, /* connections above the share that are left where they are */
};

static uint64_t thread_used_ns(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        return 0;
    }
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static void measure(weft_loop *loop) {
    uint64_t now = weft_clock_monotonic_ns();
    uint64_t used = thread_used_ns();
    if (loop->ticked_ns != 0 && now > loop->ticked_ns) {
        uint64_t worked = used - loop->used_ns;
        worked -= loop->polled_ns < worked ? loop->polled_ns : worked;
        weft_store_relaxed(&loop->load_permille, worked * 1000 / (now - loop->ticked_ns));
    }
    loop->polled_ns = 0;
    loop->ticked_ns = now;
    loop->used_ns = used;
}

/* Loop 0 decides for all. */
static void decide(weft_runtime *runtime) {
    uint32_t active = weft_load_relaxed(&runtime->active_loops);
    uint64_t load = 0;
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        load += weft_load_relaxed(&runtime->loops[i].load_permille);
    }
    bool hot = active < runtime->loop_count && load > (uint64_t)HOT_PERMILLE * active;
    bool calm = active > 1 && load < (uint64_t)CALM_PERMILLE * (active / 2);
    runtime->hot_ticks = hot ? runtime->hot_ticks + 1 : 0;
    runtime->calm_ticks = calm ? runtime->calm_ticks + 1 : 0;
    if (runtime->hot_ticks == HOT_TICKS) {
        active = active * 2 < runtime->loop_count ? active * 2 : runtime->loop_count;
        runtime->hot_ticks = 0;
    } else if (runtime->calm_ticks == CALM_TICKS) {
        active /= 2;
        runtime->calm_ticks = 0;
    }
    weft_store_relaxed(&runtime->active_loops, active);
}

static weft_loop *emptiest(weft_runtime *runtime) {
    uint32_t active = weft_load_relaxed(&runtime->active_loops);
    weft_loop *best = &runtime->loops[0];
    for (uint32_t i = 1; i < active; i++) {
        if (weft_load_relaxed(&runtime->loops[i].connection_count) <
            weft_load_relaxed(&best->connection_count)) {
            best = &runtime->loops[i];
        }
    }
    return best;
}

/* Hand over what is above this loop's share. */
static void spread(weft_loop *loop) {
    weft_runtime *runtime = loop->runtime;
    uint32_t active = weft_load_relaxed(&runtime->active_loops);
    uint32_t all = weft_load_relaxed(&runtime->session_count);
    uint32_t mine = weft_load_relaxed(&loop->connection_count);
    uint32_t share = loop->index < active ? (all + active - 1) / active + SLACK : 0;
    uint32_t excess = mine > share ? mine - share : 0;
    excess = excess < MOVES_PER_TICK ? excess : MOVES_PER_TICK;
    while (excess != 0) {
        weft_loop *to = emptiest(runtime);
        uint32_t there = weft_load_relaxed(&to->connection_count);
        uint32_t room = there < share ? share - there : 1;
        uint32_t count = excess < room ? excess : room;
        if (to == loop || weft_connections_move(loop, to, count) != count) {
            return;
        }
        excess -= count;
    }
}

weft_loop *weft_balance_place(weft_loop *loop) {
    weft_loop *best = emptiest(loop->runtime);
    bool good = loop->index < weft_load_relaxed(&loop->runtime->active_loops) &&
                weft_load_relaxed(&loop->connection_count) <=
                    weft_load_relaxed(&best->connection_count) + SLACK;
    return good ? loop : best;
}

void weft_balance_tick(weft_loop *loop) {
    if (loop->runtime->loop_count == 1) {
        return;
    }
    measure(loop);
    if (loop->index == 0) {
        decide(loop->runtime);
    }
    spread(loop);
}
