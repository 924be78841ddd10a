/* SPDX-License-Identifier: MIT */
#include "base/sched.h"

#if defined(WEFT_SCHED) && WEFT_SCHED

#include "base/assert.h"
#include "base/atomic.h"
#include "base/hash.h"
#include "base/sched_switch.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A choice that the depth-first search made: `taken` of `count`. */
typedef struct choice {
    uint8_t taken;
    uint8_t count;
} choice;

typedef struct weft_sched_tree {
    choice *path;
    size_t used;   /* choices of the run under way, or of the last one */
    size_t prefix; /* of these are prescribed by the search */
    size_t capacity;
    bool lost; /* no memory for a longer path: the search is not complete */
} weft_sched_tree;

typedef struct fiber {
    weft_switch_context context;
    weft_sched_fn fn;
    void *ctx;
    void *slot;
    uint64_t priority; /* PCT: the greatest goes first */
    bool done;
} fiber;

typedef struct run {
    const weft_sched_options *options;
    weft_switch_context caller;
    fiber *fibers;
    unsigned count;
    unsigned current;
    unsigned alive;
    unsigned preemptions; /* DFS: made so far */
    unsigned changes;     /* PCT: change points passed */
    uint64_t lowest;      /* PCT: below all priorities given out */
    uint64_t random;
    uint64_t steps;
    uint64_t limit;
    uint64_t change_at[WEFT_SCHED_FIBERS_MAX]; /* PCT */
    unsigned next_turn;                        /* SCRIPT: behind the one under way */
    weft_sched_turn left;                      /* SCRIPT: of the turn under way */
    weft_sched_result result;
} run;

static __thread run *running;
static __thread fiber *pool; /* WEFT_SCHED_FIBERS_MAX of them, with stacks where they were used */
static __thread uint64_t switches;
static __thread uint64_t total_steps;
static void (*fiber_end)(void **slot);

static uint64_t draw(run *r) {
    r->random += UINT64_C(0x9e3779b97f4a7c15);
    return weft_mix_u64(r->random, 0);
}

static unsigned draw_below(run *r, unsigned bound) {
    return (unsigned)((draw(r) >> 32) * bound >> 32);
}

/* The n-th fiber that has not returned, counted round from the one behind `from`. */
static unsigned nth_alive(const run *r, unsigned from, unsigned n) {
    unsigned at = from;
    do {
        at = at + 1 == r->count ? 0 : at + 1;
    } while (r->fibers[at].done || n-- != 0);
    return at;
}

static void switch_to(run *r, unsigned next) {
    unsigned previous = r->current;
    if (previous == next) {
        return;
    }
    switches++;
    r->current = next;
    weft_switch(&r->fibers[previous].context, &r->fibers[next].context);
}

/* ---- uniform ---- */

static unsigned choose_uniform(run *r, bool must_leave) {
    if (must_leave) {
        return nth_alive(r, r->current, draw_below(r, r->alive - 1));
    }
    uint64_t stay = (UINT64_C(1) << r->options->depth) - 1;
    if (stay != 0 && (draw(r) & stay) != 0) {
        return r->current;
    }
    return nth_alive(r, r->current, draw_below(r, r->alive));
}

/* ---- PCT ---- */

static void prepare_pct(run *r) {
    r->lowest = UINT64_C(1) << 40;
    for (unsigned i = 0; i < r->count; i++) {
        r->fibers[i].priority = r->lowest + (draw(r) & 0xffffffff) * WEFT_SCHED_FIBERS_MAX + i + 1;
    }
    uint64_t length = r->options->length ? r->options->length : 1000;
    for (unsigned i = 0; i + 1 < r->options->depth; i++) {
        r->change_at[i] = 1 + draw(r) % length;
    }
}

static unsigned choose_pct(run *r, bool must_leave) {
    bool change = must_leave;
    for (unsigned i = 0; i + 1 < r->options->depth; i++) {
        change |= r->change_at[i] == r->steps;
    }
    if (change) {
        r->fibers[r->current].priority = --r->lowest;
    }
    unsigned best = nth_alive(r, r->current, 0);
    for (unsigned i = 0; i < r->count; i++) {
        if (!r->fibers[i].done && r->fibers[i].priority > r->fibers[best].priority) {
            best = i;
        }
    }
    return best;
}

/* ---- depth-first search ---- */

weft_sched_tree *weft_sched_tree_new(void) {
    return calloc(1, sizeof(weft_sched_tree));
}

void weft_sched_tree_free(weft_sched_tree *tree) {
    if (tree) {
        free(tree->path);
        free(tree);
    }
}

bool weft_sched_tree_next(weft_sched_tree *tree) {
    while (tree->used != 0 &&
           tree->path[tree->used - 1].taken + 1u == tree->path[tree->used - 1].count) {
        tree->used--;
    }
    if (tree->used == 0) {
        return false;
    }
    tree->path[tree->used - 1].taken++;
    tree->prefix = tree->used;
    return true;
}

bool weft_sched_tree_complete(const weft_sched_tree *tree) {
    return !tree->lost;
}

/* Take the prescribed one of `count` choices, or note a new one and take the first. */
static unsigned descend(weft_sched_tree *tree, unsigned count) {
    if (count < 2) {
        return 0;
    }
    if (tree->used < tree->prefix) {
        WEFT_ASSERT(tree->path[tree->used].count == count);
        return tree->path[tree->used++].taken;
    }
    if (tree->used == tree->capacity) {
        size_t capacity = tree->capacity ? 2 * tree->capacity : 256;
        choice *path = realloc(tree->path, capacity * sizeof *path);
        if (!path) {
            tree->lost = true;
            return 0;
        }
        tree->path = path;
        tree->capacity = capacity;
    }
    tree->path[tree->used++] = (choice){.taken = 0, .count = (uint8_t)count};
    return 0;
}

/* A fiber that waits passes the turn round, without a branch of the search: else each turn of its
 * loop would be one. */
static unsigned choose_dfs(run *r, bool must_leave) {
    if (must_leave) {
        return nth_alive(r, r->current, 0);
    }
    if (r->preemptions == r->options->depth) {
        return r->current;
    }
    unsigned taken = descend(r->options->tree, r->alive);
    if (taken == 0) {
        return r->current;
    }
    r->preemptions++;
    return nth_alive(r, r->current, taken - 1);
}

/* ---- script ---- */

/* False if there is none. */
static bool take_turn(run *r) {
    if (r->next_turn >= r->options->turns_count) {
        r->left = (weft_sched_turn){UINT_MAX, 0};
        return false;
    }
    r->left = r->options->turns[r->next_turn++];
    return true;
}

static unsigned choose_script(run *r, bool must_leave) {
    bool over = r->left.operations == 0 && r->left.points-- == 0 && take_turn(r);
    return over || must_leave ? nth_alive(r, r->current, 0) : r->current;
}

void weft_sched_operation_end(void) {
    if (running && running->left.operations != 0) {
        running->left.operations--;
    }
}

/* ---- the run ---- */

static unsigned choose(run *r, bool must_leave) {
    switch (r->options->strategy) {
    case WEFT_SCHED_PCT:
        return choose_pct(r, must_leave);
    case WEFT_SCHED_DFS:
        return choose_dfs(r, must_leave);
    case WEFT_SCHED_SCRIPT:
        return choose_script(r, must_leave);
    default:
        return choose_uniform(r, must_leave);
    }
}

static void step(run *r, bool must_leave) {
    if (++r->steps > r->limit) {
        r->result = WEFT_SCHED_LIVELOCK;
        weft_switch(&r->fibers[r->current].context, &r->caller);
    }
    if (r->alive > 1) {
        switch_to(r, choose(r, must_leave));
    }
}

void weft_sched_point(void) {
    if (running) {
        step(running, false);
    }
}

void weft_sched_pause(void) {
    if (running) {
        step(running, true);
    }
}

/* The fiber that returned chooses who goes on; it is not among them. */
static unsigned choose_after_end(run *r) {
    unsigned nth = 0;
    switch (r->options->strategy) {
    case WEFT_SCHED_PCT:
        return choose_pct(r, false);
    case WEFT_SCHED_DFS:
        nth = descend(r->options->tree, r->alive);
        break;
    case WEFT_SCHED_SCRIPT:
        (void)take_turn(r);
        break;
    default:
        nth = draw_below(r, r->alive);
    }
    return nth_alive(r, r->current, nth);
}

static void fiber_main(void) {
    run *r = running;
    fiber *self = &r->fibers[r->current];
    weft_switch_arrived();
    self->fn(self->ctx);
    if (fiber_end) {
        fiber_end(&self->slot);
    }
    self->done = true;
    r->alive--;
    if (r->alive == 0) {
        weft_switch_leave(&self->context, &r->caller);
    } else {
        unsigned next = choose_after_end(r);
        r->current = next;
        switches++;
        weft_switch_leave(&self->context, &r->fibers[next].context);
    }
}

static bool make_fibers(unsigned count) {
    if (!pool) {
        pool = calloc(WEFT_SCHED_FIBERS_MAX, sizeof *pool);
    }
    for (unsigned i = 0; pool && i < count; i++) {
        if (!weft_switch_make(&pool[i].context, fiber_main)) {
            return false;
        }
    }
    return pool != NULL;
}

void weft_sched_release(void) {
    WEFT_ASSERT(!running);
    for (unsigned i = 0; pool && i < WEFT_SCHED_FIBERS_MAX; i++) {
        weft_switch_free(&pool[i].context);
    }
    free(pool);
    pool = NULL;
}

static unsigned choose_first(run *r) {
    if (r->options->strategy == WEFT_SCHED_PCT) {
        prepare_pct(r);
        r->current = r->count - 1;
        return choose_pct(r, false);
    }
    if (r->options->strategy == WEFT_SCHED_DFS) {
        r->options->tree->used = 0;
        return descend(r->options->tree, r->count);
    }
    if (r->options->strategy == WEFT_SCHED_SCRIPT) {
        (void)take_turn(r);
        return 0;
    }
    return draw_below(r, r->count);
}

weft_sched_result weft_sched_run(const weft_sched_options *options, const weft_sched_fn *fns,
                                 void *const *ctxs, unsigned count) {
    WEFT_ASSERT(!running && count != 0 && count <= WEFT_SCHED_FIBERS_MAX);
    WEFT_ASSERT(options->strategy != WEFT_SCHED_PCT || options->depth <= WEFT_SCHED_FIBERS_MAX);
    WEFT_ASSERT(options->strategy != WEFT_SCHED_DFS || options->tree != NULL);
    if (!make_fibers(count)) {
        return WEFT_SCHED_NOMEM;
    }
    run r = {.options = options, .fibers = pool, .count = count, .alive = count};
    r.random = weft_mix_u64(options->seed, UINT64_C(0x5851f42d4c957f2d));
    r.limit = options->step_limit ? options->step_limit : 1000000;
    for (unsigned i = 0; i < count; i++) {
        pool[i].fn = fns[i];
        pool[i].ctx = ctxs[i];
        pool[i].slot = NULL;
        pool[i].done = false;
    }
    r.current = choose_first(&r);
    running = &r;
    weft_switch(&r.caller, &pool[r.current].context);
    running = NULL;
    total_steps += r.steps;
    return r.result;
}

void weft_sched_describe(const weft_sched_options *options, char *text, size_t capacity) {
    static const char *const names[] = {"uniform", "pct", "dfs", "script"};
    int used =
        snprintf(text, capacity, "strategy=%s seed=%llu depth=%u length=%llu step_limit=%llu",
                 names[options->strategy], (unsigned long long)options->seed, options->depth,
                 (unsigned long long)options->length, (unsigned long long)options->step_limit);
    for (unsigned i = 0; i < options->turns_count && used >= 0 && (size_t)used < capacity; i++) {
        const weft_sched_turn *turn = &options->turns[i];
        used += snprintf(text + used, capacity - (size_t)used, "%s%u+%u", i == 0 ? " turns=" : ",",
                         turn->operations, turn->points);
    }
}

bool weft_sched_inside(void) {
    return running != NULL;
}

uint64_t weft_sched_steps(void) {
    return running ? running->steps : 0;
}

uint64_t weft_sched_total_steps(void) {
    return total_steps;
}

uint64_t weft_sched_switches(void) {
    return switches;
}

void **weft_sched_slot(void) {
    return running ? &running->fibers[running->current].slot : NULL;
}

void weft_sched_at_fiber_end(void (*fn)(void **slot)) {
    fiber_end = fn;
}

#endif
