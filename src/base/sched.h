/* SPDX-License-Identifier: MIT */
/* The deterministic scheduler of the schedule build: logical threads are fibers on one thread of
 * the operating system, each atomic operation (base/atomic.h) is a point at which another fiber may
 * go on, and which one does is decided by a seed. The same seed and options give the same run.
 * Memory is sequentially consistent here; weaker orders are the business of other tools.
 *
 * Outside weft_sched_run the points do nothing. */
#ifndef WEFT_BASE_SCHED_H
#define WEFT_BASE_SCHED_H

#include "base/platform.h"

#if defined(WEFT_SCHED) && WEFT_SCHED

typedef enum weft_sched_strategy {
    WEFT_SCHED_UNIFORM = 0, /* at each point, with a chance of 1 / 2^depth, any fiber */
    WEFT_SCHED_PCT =
        1, /* fixed random priorities, `depth` - 1 changes (Burckhardt and others 2010) */
    WEFT_SCHED_DFS = 2,    /* all schedules with at most `depth` preemptions, one after the other */
    WEFT_SCHED_SCRIPT = 3, /* the fibers take turns, as `turns` says; then they end one by one */
} weft_sched_strategy;

/* A turn ends so many points after the end of so many operations (weft_sched_operation_end). */
typedef struct weft_sched_turn {
    unsigned operations;
    unsigned points;
} weft_sched_turn;

typedef struct weft_sched_options {
    weft_sched_strategy strategy;
    uint64_t seed;
    unsigned depth;  /* PCT: the bug depth d; DFS: preemptions; UNIFORM: see there */
    uint64_t length; /* PCT: expected number of points; change points are drawn below it. 0: 1000 */
    uint64_t step_limit; /* points after which the run is given up as a livelock. 0: 1 000 000 */
    struct weft_sched_tree *tree; /* DFS: where it is; made with weft_sched_tree_new */
    const weft_sched_turn *turns; /* SCRIPT, and how many; fiber 0 has the first one */
    unsigned turns_count;
} weft_sched_options;

enum { WEFT_SCHED_FIBERS_MAX = 16 };

typedef enum weft_sched_result {
    WEFT_SCHED_DONE = 0, /* every fiber returned */
    WEFT_SCHED_LIVELOCK =
        1,                /* the step limit was reached; the fibers are abandoned where they are */
    WEFT_SCHED_NOMEM = 2, /* no memory for fibers; nothing ran */
} weft_sched_result;

typedef void (*weft_sched_fn)(void *ctx);

/* Run fns[i](ctxs[i]) for i < count as fibers until all have returned. */
weft_sched_result weft_sched_run(const weft_sched_options *options, const weft_sched_fn *fns,
                                 void *const *ctxs, unsigned count);

/* The DFS: run until weft_sched_tree_next says false; each run takes the next schedule. */
struct weft_sched_tree *weft_sched_tree_new(void);
bool weft_sched_tree_next(struct weft_sched_tree *tree);
/* Did the search note every choice? False if it ran out of memory. */
bool weft_sched_tree_complete(const struct weft_sched_tree *tree);
void weft_sched_tree_free(struct weft_sched_tree *tree);

/* The options of a run as text, for a line that replays it: "strategy=pct seed=7 depth=3 …". */
void weft_sched_describe(const weft_sched_options *options, char *text, size_t capacity);

/* Free the pooled stacks of this thread. */
void weft_sched_release(void);

/* Said by a fiber between two operations. */
void weft_sched_operation_end(void);

bool weft_sched_inside(void);
/* Points passed in the run under way; outside 0. Also the logical time of a history. */
uint64_t weft_sched_steps(void);
/* Points passed by this thread so far, in all runs. */
uint64_t weft_sched_total_steps(void);
/* Switches from one fiber to another made by this thread so far. */
uint64_t weft_sched_switches(void);
/* The running fiber's own pointer (base/thread.h); NULL outside. */
void **weft_sched_slot(void);
/* Called for each fiber's slot when the fiber returns, still on the fiber. */
void weft_sched_at_fiber_end(void (*fn)(void **slot));

#else

static inline bool weft_sched_inside(void) {
    return false;
}

static inline uint64_t weft_sched_steps(void) {
    return 0;
}

#endif

#endif
