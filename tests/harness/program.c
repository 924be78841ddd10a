/* SPDX-License-Identifier: MIT */
#include "harness/program.h"

#if defined(WEFT_SCHED) && WEFT_SCHED

#include "base/atomic.h"
#include "base/memory.h"
#include "base/random.h"
#include "engine/engine.h"
#include "harness/arena.h"
#include "harness/prng.h"
#include <stdio.h>
#include <string.h>

enum { ARENA_BYTES = 64 << 20, EVENTS_MAX = 60, BIG = 300 };

/* A program that grows and shrinks its table over and over may take more than a million points. */
enum { POINTS_AT_MOST = 10000000 };

/* ---- making ---- */

/* How often an operation is drawn, beside the others. */
static const struct {
    unsigned op;
    unsigned weight;
} weights[] = {
    {WEFT_HISTORY_GET, 14},      {WEFT_HISTORY_CONTAINS, 3},      {WEFT_HISTORY_PUT, 14},
    {WEFT_HISTORY_INSERT, 8},    {WEFT_HISTORY_GET_OR_INSERT, 6}, {WEFT_HISTORY_REPLACE, 6},
    {WEFT_HISTORY_SWAP, 6},      {WEFT_HISTORY_CAS, 8},           {WEFT_HISTORY_FETCH_ADD, 10},
    {WEFT_HISTORY_REMOVE, 14},   {WEFT_HISTORY_REMOVE_EQ, 5},     {WEFT_HISTORY_CLEAR, 4},
    {WEFT_HISTORY_SNAPSHOT, 24}, {WEFT_PROGRAM_PEEK, 6},          {WEFT_PROGRAM_WALK, 4},
    {WEFT_PROGRAM_RESERVE, 4},   {WEFT_PROGRAM_SHRINK, 2},        {WEFT_PROGRAM_MAINTAIN, 8},
};

static unsigned draw_op(weft_prng *prng, uint32_t allowed) {
    for (;;) {
        unsigned total = 0;
        for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
            total += weights[i].weight;
        }
        unsigned at = weft_prng_below(prng, total);
        size_t i = 0;
        while (at >= weights[i].weight) {
            at -= weights[i++].weight;
        }
        if (allowed >> weights[i].op & 1) {
            return weights[i].op;
        }
    }
}

/* Events that an operation may add to the history. */
static unsigned events_of(const weft_program *program, unsigned op) {
    if (op == WEFT_PROGRAM_WALK) {
        return program->keys;
    }
    return op >= WEFT_PROGRAM_RESERVE ? 0 : 1;
}

static weft_program_op draw(weft_program *program, weft_prng *prng, uint32_t allowed) {
    weft_program_op made = {.op = draw_op(prng, allowed),
                            .key = weft_prng_below(prng, program->keys)};
    /* Few different values, so that compare-and-swap has a chance; odd and even tell writers apart.
     */
    made.value = made.op == WEFT_HISTORY_FETCH_ADD ? 1 + weft_prng_below(prng, 3)
                                                   : 1 + weft_prng_below(prng, 12);
    made.expected = 1 + weft_prng_below(prng, 6);
    return made;
}

static uint32_t draw_allowed(weft_program *program, weft_prng *prng) {
    uint32_t allowed = UINT32_MAX;
    if (weft_prng_below(prng, 4) == 0) { /* churn: keys come and go in one place */
        program->keys = 1 + weft_prng_below(prng, 2);
        program->collide = true;
        return 1u << WEFT_HISTORY_GET | 1u << WEFT_HISTORY_PUT | 1u << WEFT_HISTORY_INSERT |
               1u << WEFT_HISTORY_REMOVE | 1u << WEFT_HISTORY_FETCH_ADD;
    }
    if (weft_prng_below(prng, 8) == 0) { /* late writers, beside those who look */
        program->keys = 1;
        program->threads = 2;
        program->collide = false;
        return 1u << WEFT_HISTORY_GET | 1u << WEFT_HISTORY_PUT | 1u << WEFT_HISTORY_REMOVE |
               1u << WEFT_HISTORY_SNAPSHOT;
    }
    program->clears = weft_prng_below(prng, 4) == 0;
    if (!program->clears) {
        allowed &= ~(1u << WEFT_HISTORY_CLEAR);
    }
    if (weft_prng_below(prng, 4) != 0) {
        allowed &= ~(1u << WEFT_HISTORY_SNAPSHOT);
    }
    if (weft_prng_below(prng, 2)) {
        allowed &= ~(1u << WEFT_PROGRAM_RESERVE | 1u << WEFT_PROGRAM_SHRINK);
    }
    if (weft_prng_below(prng, 2)) {
        allowed &= ~(1u << WEFT_PROGRAM_WALK);
    }
    return allowed;
}

static void draw_start(weft_program *program, weft_prng *prng) {
    for (unsigned key = 0; key < program->keys; key++) {
        program->start[key].present = weft_prng_below(prng, 2);
        program->start[key].value = 1 + weft_prng_below(prng, 6);
    }
    unsigned kind = weft_prng_below(prng, 64);
    program->background = kind == 0 ? BIG : kind < 32 ? 0 : weft_prng_below(prng, 12);
}

/* Its options, on and off by bits of the seed. */
static weft_twotier_options twotier_of(uint64_t seed) {
    uint64_t mixed = weft_mix_u64(seed, 0);
    return (weft_twotier_options){.promote_after = (uint32_t)(mixed >> 2) % 3,
                                  .adaptive = (mixed & 1) != 0,
                                  .incremental = (mixed & 2) != 0};
}

void weft_program_make(weft_program *program, weft_engine_id engine, weft_subject_shape shape,
                       uint64_t seed) {
    weft_prng prng = weft_prng_of(seed);
    memset(program, 0, sizeof *program);
    program->engine = engine;
    program->shape = shape;
    program->seed = seed;
    program->twotier = twotier_of(seed);
    program->threads = 2 + weft_prng_below(&prng, WEFT_PROGRAM_THREADS_MAX - 1);
    program->keys = 1 + weft_prng_below(&prng, 4);
    program->collide = weft_prng_below(&prng, 2);
    program->reuse = weft_prng_below(&prng, 2);
    program->lazy = engine == WEFT_ENGINE_LOCKFREE && weft_prng_below(&prng, 32) == 0;
    uint32_t allowed = draw_allowed(program, &prng);
    if (!program->lazy) {
        draw_start(program, &prng);
    }
    unsigned events = 0;
    for (unsigned t = 0; t < program->threads; t++) {
        unsigned wanted = 2 + weft_prng_below(&prng, WEFT_PROGRAM_OPS_MAX - 1);
        for (unsigned i = 0; i < wanted; i++) {
            weft_program_op made = draw(program, &prng, allowed);
            events += events_of(program, made.op);
            if (events > EVENTS_MAX) {
                return;
            }
            program->list[t][program->ops[t]++] = made;
        }
    }
}

/* Each thread begins with a get: the first operation of a thread has other things to do too. */
void weft_program_make_churn(weft_program *program, weft_engine_id engine, weft_subject_shape shape,
                             uint64_t seed) {
    static const unsigned ops[] = {WEFT_HISTORY_INSERT, WEFT_HISTORY_PUT, WEFT_HISTORY_REMOVE,
                                   WEFT_HISTORY_GET};
    weft_prng prng = weft_prng_of(seed);
    *program = (weft_program){.engine = engine, .shape = shape, .seed = seed, .threads = 2};
    program->twotier = twotier_of(seed);
    program->keys = 1;
    program->reuse = weft_prng_below(&prng, 2);
    program->ops[0] = 2;
    program->list[0][0] = (weft_program_op){.op = WEFT_HISTORY_GET};
    program->list[0][1] = (weft_program_op){.op = ops[weft_prng_below(&prng, 4)], .value = 9};
    program->ops[1] = WEFT_PROGRAM_OPS_MAX;
    program->list[1][0] = (weft_program_op){.op = WEFT_HISTORY_GET};
    for (unsigned i = 1; i < WEFT_PROGRAM_OPS_MAX; i++) {
        unsigned op = i % 2 != 0 ? WEFT_HISTORY_INSERT : WEFT_HISTORY_REMOVE;
        program->list[1][i] = (weft_program_op){.op = op, .value = i};
    }
}

/* ---- running ---- */

typedef struct walk_result {
    bool seen[WEFT_HISTORY_KEYS_MAX];
    uint64_t values[WEFT_HISTORY_KEYS_MAX];
    uint8_t background[WEFT_PROGRAM_BACKGROUND_MAX];
    const char *fault;
} walk_result;

typedef struct thread_of {
    struct weft_program_runner *runner;
    unsigned number;
    walk_result walk;
    weft_subject_snapshot snapshot; /* held until all threads have ended */
    weft_history_event *taken;
} thread_of;

struct weft_program_runner {
    const weft_program *program;
    weft_arena *arena;
    weft_allocator allocator;
    weft_history_checker *checker;
    weft_history history;
    weft_subject subject;
    thread_of threads[WEFT_PROGRAM_THREADS_MAX];
    const char *fault;
    uint64_t points;
    uint64_t snapshots;
    uint64_t trace;
    char text[256];
};

static uint64_t background_value(unsigned i) {
    return UINT64_C(1000000) + i;
}

static void note_walk(void *ctx, unsigned key, uint64_t value) {
    walk_result *walk = ctx;
    if (key < WEFT_HISTORY_KEYS_MAX) {
        walk->fault = walk->seen[key] ? "a walk saw a key twice" : walk->fault;
        walk->seen[key] = true;
        walk->values[key] = value;
        return;
    }
    unsigned i = key - WEFT_HISTORY_KEYS_MAX;
    if (i >= WEFT_PROGRAM_BACKGROUND_MAX || value != background_value(i)) {
        walk->fault = "a walk saw what was never put";
        return;
    }
    walk->fault = walk->background[i]++ ? "a walk saw a resting key twice" : walk->fault;
}

/* A walk is a get of each key at some moment of it: what it saw was there once, and what it did not
 * see was absent once. */
static void run_walk(thread_of *self) {
    weft_program_runner *runner = self->runner;
    const weft_program *program = runner->program;
    weft_history_event *events[WEFT_HISTORY_KEYS_MAX];
    memset(&self->walk, 0, sizeof self->walk);
    for (unsigned key = 0; key < program->keys; key++) {
        events[key] = weft_history_call(&runner->history, WEFT_HISTORY_GET, key);
        events[key]->thread = self->number;
    }
    int status = weft_subject_walk(&runner->subject, note_walk, &self->walk);
    for (unsigned key = 0; key < program->keys; key++) {
        weft_history_return(&runner->history, events[key],
                            self->walk.seen[key] ? WEFT_OK : WEFT_NOT_FOUND,
                            self->walk.values[key]);
    }
    for (unsigned i = 0; i < program->background && !program->clears; i++) {
        if (!self->walk.background[i]) {
            self->walk.fault = "a walk missed a resting key";
        }
    }
    if (status != WEFT_OK) {
        self->walk.fault = "a walk failed";
    }
    if (self->walk.fault) {
        runner->fault = self->walk.fault;
    }
}

/* What a guard protects stays as it is while others work. */
static void run_peek(thread_of *self, const weft_program_op *op) {
    weft_program_runner *runner = self->runner;
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_view view;
    weft_bytes key = weft_subject_key(&runner->subject, op->key);
    weft_history_event *event = weft_history_call(&runner->history, WEFT_HISTORY_GET, op->key);
    event->thread = self->number;
    int status = weft_map_peek(&runner->subject.bytes, key, &guard, &view);
    uint64_t value = 0;
    if (status == WEFT_OK) {
        memcpy(&value, view.value.data, sizeof value);
    }
    weft_history_return(&runner->history, event, status, value);
    for (unsigned turn = 0; status == WEFT_OK && turn < 8 + 8 * op->value; turn++) {
        weft_sched_point();
        if (memcmp(view.value.data, &value, sizeof value) != 0 || view.key.size != key.size ||
            memcmp(view.key.data, key.data, key.size) != 0) {
            runner->fault = "an entry under a guard changed";
        }
    }
    weft_guard_leave(&guard);
}

/* What the snapshot shows goes to the history: by get, and by a walk, which must agree. */
static void read_snapshot(thread_of *self) {
    weft_program_runner *runner = self->runner;
    const weft_program *program = runner->program;
    weft_history_event *event = self->taken;
    memset(&self->walk, 0, sizeof self->walk);
    for (unsigned key = 0; key < program->keys; key++) {
        uint64_t value = 0;
        int status = weft_subject_snapshot_get(&self->snapshot, key, &value);
        event->image[key] = (weft_history_value){status == WEFT_OK, value};
    }
    if (weft_subject_snapshot_walk(&self->snapshot, note_walk, &self->walk) != WEFT_OK) {
        self->walk.fault = "a walk through a snapshot failed";
    }
    for (unsigned key = 0; key < program->keys; key++) {
        if (self->walk.seen[key] != event->image[key].present ||
            self->walk.values[key] != event->image[key].value) {
            self->walk.fault = "a snapshot's get and walk differ";
        }
    }
    for (unsigned i = 0; i < program->background && !program->clears; i++) {
        if (!self->walk.background[i]) {
            self->walk.fault = "a snapshot missed a resting key";
        }
    }
    runner->fault = self->walk.fault ? self->walk.fault : runner->fault;
    weft_subject_snapshot_release(&self->snapshot);
    self->taken = NULL;
}

/* Half of them are read at once, the others when all threads have ended: what comes late shows. */
static void run_snapshot(thread_of *self, const weft_program_op *op) {
    enum { ATTEMPTS = 24 };
    weft_program_runner *runner = self->runner;
    if (self->taken != NULL) {
        read_snapshot(self);
    }
    weft_history_event *event = weft_history_call(&runner->history, WEFT_HISTORY_SNAPSHOT, 0);
    event->thread = self->number;
    int status = WEFT_E_BUSY;
    for (int i = 0; status == WEFT_E_BUSY && i < ATTEMPTS; i++) {
        status = weft_subject_snapshot_take(&runner->subject, &self->snapshot);
    }
    weft_history_return(&runner->history, event, status, 0);
    if (status == WEFT_OK) {
        self->taken = event;
        runner->snapshots++;
    }
    if (status == WEFT_OK && op->value % 2 == 0) {
        read_snapshot(self);
    }
}

static void run_other(thread_of *self, const weft_program_op *op) {
    weft_program_runner *runner = self->runner;
    weft_subject *subject = &runner->subject;
    switch (op->op) {
    case WEFT_PROGRAM_PEEK:
        run_peek(self, op);
        break;
    case WEFT_PROGRAM_WALK:
        run_walk(self);
        break;
    case WEFT_PROGRAM_RESERVE:
        if (weft_subject_reserve(subject, 300 * op->value) != WEFT_OK &&
            (weft_engine_of(runner->program->engine)->caps & WEFT_CAP_GROW) != 0) {
            runner->fault = "reserve failed";
        }
        break;
    case WEFT_PROGRAM_SHRINK:
        if (weft_subject_shrink(subject) < 0) {
            runner->fault = "shrink failed";
        }
        break;
    default: {
        int status = weft_subject_maintain(subject, 64);
        if (status != WEFT_OK && status != WEFT_E_BUSY) {
            runner->fault = "maintain failed";
        }
    }
    }
}

static void run_thread(void *ctx) {
    thread_of *self = ctx;
    weft_program_runner *runner = self->runner;
    const weft_program *program = runner->program;
    for (unsigned i = 0; i < program->ops[self->number]; i++) {
        if (i != 0) {
            weft_sched_operation_end();
        }
        const weft_program_op *op = &program->list[self->number][i];
        bool numbers = program->shape == WEFT_SUBJECT_U64;
        if (op->op == WEFT_HISTORY_SNAPSHOT) {
            run_snapshot(self, op);
            continue;
        }
        if (op->op >= WEFT_HISTORY_OPS && !(op->op == WEFT_PROGRAM_PEEK && numbers)) {
            run_other(self, op);
            continue;
        }
        weft_history_op kind =
            op->op == WEFT_PROGRAM_PEEK ? WEFT_HISTORY_GET : (weft_history_op)op->op;
        weft_history_event *event = weft_history_call(&runner->history, kind, op->key);
        event->thread = self->number;
        event->value = op->value;
        event->expected = op->expected;
        uint64_t result = 0;
        int status = weft_subject_do(&runner->subject, event, &result);
        event->version = kind == WEFT_HISTORY_GET ? runner->subject.version : 0;
        weft_history_return(&runner->history, event, status, result);
    }
}

static bool fill(weft_program_runner *runner) {
    const weft_program *program = runner->program;
    for (unsigned key = 0; key < program->keys; key++) {
        runner->history.start[key] = program->start[key];
        if (program->start[key].present &&
            weft_subject_put(&runner->subject, key, program->start[key].value) != WEFT_OK) {
            return false;
        }
    }
    for (unsigned i = 0; i < program->background; i++) {
        if (weft_subject_put(&runner->subject, WEFT_HISTORY_KEYS_MAX + i, background_value(i)) !=
            WEFT_OK) {
            return false;
        }
    }
    return true;
}

static void count_walk(void *ctx, unsigned key, uint64_t value) {
    (void)key;
    (void)value;
    ++*(size_t *)ctx;
}

/* Guarantee D, as far as reads tell: what a later one sees is not older; `end` are the last. */
static bool versions_rise(const weft_program_runner *runner, const uint64_t *end) {
    const weft_history *history = &runner->history;
    for (uint64_t i = 0; i < history->count && !runner->program->clears; i++) {
        const weft_history_event *earlier = &history->events[i];
        if (end[earlier->key] != 0 && earlier->version > end[earlier->key]) {
            return false;
        }
        for (uint64_t k = 0; k < history->count; k++) {
            const weft_history_event *later = &history->events[k];
            if (earlier->key == later->key && earlier->back < later->call && later->version != 0 &&
                earlier->version > later->version) {
                return false;
            }
        }
    }
    return true;
}

/* The map at rest: sound, and holding what some order of the operations leaves. */
static const char *judge(weft_program_runner *runner) {
    weft_history_value end[WEFT_HISTORY_KEYS_MAX] = {{0}};
    uint64_t versions[WEFT_HISTORY_KEYS_MAX] = {0};
    size_t present = 0;
    for (unsigned key = 0; key < runner->program->keys; key++) {
        weft_history_event get = {.op = WEFT_HISTORY_GET, .key = key};
        end[key].present = weft_subject_do(&runner->subject, &get, &end[key].value) == WEFT_OK;
        present += end[key].present;
        versions[key] = runner->subject.version;
    }
    size_t walked = 0;
    (void)weft_subject_walk(&runner->subject, count_walk, &walked);
    if (walked != weft_subject_len(&runner->subject)) {
        return "len at rest is not what a walk finds";
    }
    if (!runner->program->clears && walked != present + runner->program->background) {
        return "a walk at rest does not find what get finds";
    }
    if (!versions_rise(runner, versions)) {
        return "a version is less than one before it";
    }
    char why[200] = "";
    if (weft_subject_check(&runner->subject, why, sizeof why) != WEFT_OK) {
        (void)snprintf(runner->text, sizeof runner->text, "check: %s", why);
        return runner->text;
    }
    switch (weft_history_check(runner->checker, &runner->history, end)) {
    case WEFT_HISTORY_LINEARIZABLE:
        return NULL;
    case WEFT_HISTORY_VIOLATION:
        return "the history is not linearizable";
    default:
        return "the history could not be checked";
    }
}

static void fold(weft_program_runner *runner, uint64_t number) {
    runner->trace = weft_mix_u64(runner->trace ^ number, 0);
}

static const char *run_and_judge(weft_program_runner *runner, const weft_sched_options *schedule) {
    const weft_program *program = runner->program;
    weft_sched_fn fns[WEFT_PROGRAM_THREADS_MAX];
    void *ctxs[WEFT_PROGRAM_THREADS_MAX];
    for (unsigned t = 0; t < program->threads; t++) {
        runner->threads[t].runner = runner;
        runner->threads[t].number = t;
        runner->threads[t].taken = NULL;
        fns[t] = run_thread;
        ctxs[t] = &runner->threads[t];
    }
    uint64_t before = weft_sched_total_steps();
    weft_sched_options limited = *schedule;
    limited.step_limit = schedule->step_limit != 0 ? schedule->step_limit : POINTS_AT_MOST;
    weft_sched_result result = weft_sched_run(&limited, fns, ctxs, program->threads);
    runner->points += weft_sched_total_steps() - before;
    fold(runner, weft_sched_total_steps() - before);
    for (uint64_t i = 0; i < runner->history.count; i++) {
        fold(runner, runner->history.events[i].result ^ runner->history.events[i].back << 32);
    }
    if (result != WEFT_SCHED_DONE) {
        return result == WEFT_SCHED_LIVELOCK ? "livelock" : "no memory for fibers";
    }
    for (unsigned t = 0; t < program->threads; t++) {
        if (runner->threads[t].taken != NULL) {
            read_snapshot(&runner->threads[t]);
        }
    }
    return runner->fault ? runner->fault : judge(runner);
}

/* What a map that is opened by its first use takes from the operating system otherwise. */
static uint64_t same_random(void) {
    return UINT64_C(0x9e3779b97f4a7c15);
}

const char *weft_program_run(weft_program_runner *runner, const weft_program *program,
                             const weft_sched_options *schedule) {
    runner->program = program;
    runner->fault = NULL;
    weft_history_reset(&runner->history);
    weft_arena_reset(runner->arena, program->reuse);
    weft_random_set_hook(same_random);
    weft_subject_options options = {.engine = program->engine,
                                    .shape = program->shape,
                                    .allocator = program->lazy ? NULL : &runner->allocator,
                                    .hash_seed = program->seed | 1,
                                    .collide = program->collide,
                                    .twotier = program->twotier};
    if (weft_subject_open(&runner->subject, &options) != WEFT_OK || !fill(runner)) {
        return "the map could not be set up";
    }
    const char *fault = run_and_judge(runner, schedule);
    if (fault) {
        return fault; /* what is left of the map is not to be touched */
    }
    if (weft_subject_close(&runner->subject) != WEFT_OK) {
        return "close failed";
    }
    return weft_arena_fault(runner->arena);
}

weft_program_runner *weft_program_runner_new(void) {
    weft_program_runner *runner = weft_memory_alloc(NULL, sizeof *runner, 64);
    if (!runner) {
        return NULL;
    }
    memset(runner, 0, sizeof *runner);
    runner->arena = weft_arena_new(ARENA_BYTES);
    runner->checker = weft_history_checker_new();
    if (!runner->arena || !runner->checker) {
        weft_program_runner_free(runner);
        return NULL;
    }
    runner->allocator = weft_arena_allocator(runner->arena);
    return runner;
}

void weft_program_runner_free(weft_program_runner *runner) {
    if (runner) {
        weft_random_set_hook(NULL);
        weft_history_checker_free(runner->checker);
        weft_arena_free(runner->arena);
        weft_memory_free(NULL, runner, sizeof *runner, 64);
    }
}

const weft_history *weft_program_history(const weft_program_runner *runner) {
    return &runner->history;
}

uint64_t weft_program_points(const weft_program_runner *runner) {
    return runner->points;
}

uint64_t weft_program_snapshots(const weft_program_runner *runner) {
    return runner->snapshots;
}

void weft_program_forget_trace(weft_program_runner *runner) {
    runner->trace = 0;
}

uint64_t weft_program_trace(const weft_program_runner *runner) {
    return runner->trace;
}

#endif
