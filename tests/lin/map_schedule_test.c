/* SPDX-License-Identifier: MIT */
/* Linearizability of every engine and both shapes under the deterministic scheduler: guarantees A,
 * C, F (nothing leaks) and G, with growth, shrinking, clear and reclamation going on. Proves [A]
 * [C] [G].
 *
 *   map_schedule_test                        all engines; WEFT_SCHEDULES schedules of each (100000)
 *   map_schedule_test ENGINE SHAPE FROM N    N seeds of one engine and shape, from FROM
 *   map_schedule_test --find ENGINE SHAPE FROM N
 *                                            exit 0 if one of the N seeds from FROM fails, else 1
 * Seeds from CHURN on, 10^12, are programs of two threads, in scripted turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "harness/program.h"
#include "harness/prng.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    weft_engine_id id;
} engines[] = {
#define WEFT_ENGINE(name, ID, number) {#ID, WEFT_ENGINE_##ID},
#include <weft/engines.def>
#undef WEFT_ENGINE
};

enum { ENGINES = sizeof engines / sizeof *engines };

static const char *const shapes[] = {"bytes", "u64"};
static weft_program_runner *runner;

/* One thread at a time has no schedules. */
static bool has_threads(unsigned engine) {
    return (weft_engine_of(engines[engine].id)->caps & WEFT_CAP_THREADS) != 0;
}

#define CHURN UINT64_C(1000000000000)

/* A schedule takes less than a millisecond; one that takes so long never ends. */
enum { SECONDS_AT_MOST = 20 };

/* What is being run, for the line that repeats it. */
static struct {
    char replay[256];
    char schedule[256];
    bool failure_is_wanted;
} now;

static void on_crash(int number) {
    /* write, as nothing else is safe here */
    const char *text =
        number == SIGALRM ? "it does not end; repeat it with: " : "crash; repeat it with: ";
    (void)!write(STDERR_FILENO, text, strlen(text));
    (void)!write(STDERR_FILENO, now.replay, strlen(now.replay));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(now.failure_is_wanted ? 0 : 128 + number);
}

static void catch_crashes(void) {
    static char stack[64 << 10];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    (void)sigaltstack(&other, NULL);
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)sigaction(SIGBUS, &action, NULL);
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGILL, &action, NULL);
    (void)sigaction(SIGALRM, &action, NULL);
}

/* The first thread stops in the middle of its operation, again and again, for some steps of the
 * other one, some of whose stops come after it has inserted and removed a few times. */
static weft_sched_options churn_schedule_of(uint64_t seed) {
    enum { TURNS = 7, FEW = 8, MANY = 32 };
    static weft_sched_turn turns[TURNS];
    weft_prng prng = weft_prng_of(~seed);
    for (unsigned i = 0; i < TURNS; i++) {
        turns[i].operations = i < 2 ? 1 : 0; /* each one's get */
        if (i % 2 != 0 && weft_prng_below(&prng, i < 2 ? 2 : 4) == 0) {
            turns[i].operations += 2;
        }
        turns[i].points = weft_prng_below(&prng, weft_prng_below(&prng, 2) != 0 ? FEW : MANY);
    }
    return (weft_sched_options){
        .strategy = WEFT_SCHED_SCRIPT, .seed = seed, .turns = turns, .turns_count = TURNS};
}

/* Half of the schedules switch at chance, from at every point to at one in 64; the others are PCT
 * with up to three change points: what one thread does in one go while another is stopped matters
 * as much as steps that alternate. */
static weft_sched_options schedule_of(uint64_t seed) {
    if (seed >= CHURN) {
        return churn_schedule_of(seed);
    }
    weft_sched_options options = {.strategy = WEFT_SCHED_UNIFORM, .seed = seed};
    options.depth = (unsigned)(seed / 2 % 7);
    if (seed % 2 != 0) {
        options.strategy = WEFT_SCHED_PCT;
        options.depth = 2 + (unsigned)(seed / 2 % 3);
        options.length = UINT64_C(100) << seed / 8 % 6;
    }
    return options;
}

static const char *run_seed(unsigned engine, weft_subject_shape shape, uint64_t seed) {
    (void)snprintf(now.replay, sizeof now.replay, "map_schedule_test %s %s %llu 1",
                   engines[engine].name, shapes[shape], (unsigned long long)seed);
    alarm(SECONDS_AT_MOST);
    weft_program program;
    if (seed >= CHURN) {
        weft_program_make_churn(&program, engines[engine].id, shape, seed);
    } else {
        weft_program_make(&program, engines[engine].id, shape, seed);
    }
    weft_sched_options schedule = schedule_of(seed);
    weft_sched_describe(&schedule, now.schedule, sizeof now.schedule);
    return weft_program_run(runner, &program, &schedule);
}

static void report(const char *fault) {
    fprintf(stderr, "%s\n  repeat it with: %s\n  schedule: %s\n", fault, now.replay, now.schedule);
    weft_history_print(weft_program_history(runner));
}

/* The number of seeds that were fine; all of `count` if none failed. */
static uint64_t run_seeds(unsigned engine, weft_subject_shape shape, uint64_t from,
                          uint64_t count) {
    uint64_t start = weft_clock_monotonic_ns();
    uint64_t points = weft_program_points(runner);
    uint64_t snapshots = weft_program_snapshots(runner);
    for (uint64_t i = 0; i < count; i++) {
        const char *fault = run_seed(engine, shape, from + i);
        if (fault) {
            report(fault);
            return i;
        }
    }
    double seconds = (double)(weft_clock_monotonic_ns() - start) / 1e9;
    printf("%s %s: %llu schedules from %llu in %.1f s, %.0f a second, %.0f points each, %llu "
           "snapshots\n",
           engines[engine].name, shapes[shape], (unsigned long long)count, (unsigned long long)from,
           seconds, (double)count / seconds,
           (double)(weft_program_points(runner) - points) / (double)count,
           (unsigned long long)(weft_program_snapshots(runner) - snapshots));
    return count;
}

static uint64_t schedules_wanted(void) {
    const char *text = getenv("WEFT_SCHEDULES");
    return text ? strtoull(text, NULL, 10) : 100000;
}

static void every_engine_is_linearizable(void **state) {
    (void)state;
    uint64_t each = schedules_wanted() / 2;
    for (unsigned engine = 0; engine < ENGINES; engine++) {
        for (int shape = WEFT_SUBJECT_BYTES; has_threads(engine) && shape <= WEFT_SUBJECT_U64;
             shape++) {
            assert_int_equal(run_seeds(engine, (weft_subject_shape)shape, 1, each), each);
            assert_int_equal(run_seeds(engine, (weft_subject_shape)shape, CHURN, each), each);
        }
    }
}

/* All pairs of single operations, in all schedules with at most two preemptions. */
static uint64_t search_pair(unsigned engine, weft_subject_shape shape, unsigned pair) {
    enum { KINDS = WEFT_HISTORY_OPS };
    weft_program program = {.engine = engines[engine].id, .shape = shape, .threads = 2, .keys = 1};
    program.seed = pair;
    program.ops[0] = program.ops[1] = 1;
    program.list[0][0] = (weft_program_op){.op = pair % KINDS, .value = 2, .expected = 1};
    program.list[1][0] = (weft_program_op){.op = pair / KINDS % KINDS, .value = 3, .expected = 1};
    program.start[0] = (weft_history_value){pair / KINDS / KINDS % 2, 1};
    program.clears = true;
    weft_sched_options schedule = {.strategy = WEFT_SCHED_DFS, .depth = 2};
    schedule.tree = weft_sched_tree_new();
    assert_non_null(schedule.tree);
    uint64_t schedules = 0;
    do {
        alarm(SECONDS_AT_MOST);
        const char *fault = weft_program_run(runner, &program, &schedule);
        if (fault) {
            (void)snprintf(now.replay, sizeof now.replay, "pair %u of the exhaustive search", pair);
            report(fault);
            fail();
        }
        schedules++;
    } while (weft_sched_tree_next(schedule.tree) && schedules < 20000);
    weft_sched_tree_free(schedule.tree);
    return schedules;
}

static void every_pair_at_two_preemptions(void **state) {
    (void)state;
    uint64_t programs = 2 * WEFT_HISTORY_OPS * WEFT_HISTORY_OPS;
    uint64_t budget = schedules_wanted() / 2;
    for (unsigned engine = 0; engine < ENGINES; engine++) {
        for (int shape = WEFT_SUBJECT_BYTES; has_threads(engine) && shape <= WEFT_SUBJECT_U64;
             shape++) {
            uint64_t schedules = 0;
            unsigned pair = 0;
            for (; pair < programs && schedules < budget; pair++) {
                schedules += search_pair(engine, (weft_subject_shape)shape, pair);
            }
            printf("%s %s: %u of %llu pairs, %llu schedules\n", engines[engine].name, shapes[shape],
                   pair, (unsigned long long)programs, (unsigned long long)schedules);
        }
    }
}

/* The trace of a run by itself. */
static uint64_t trace_of(unsigned engine, weft_subject_shape shape, uint64_t seed) {
    weft_program_forget_trace(runner);
    assert_null(run_seed(engine, shape, seed));
    return weft_program_trace(runner);
}

/* A seed is enough to repeat a run, whatever ran before it. */
static void runs_repeat(void **state) {
    (void)state;
    enum { SEEDS = 300 };
    static uint64_t traces[SEEDS];
    for (unsigned engine = 0; engine < ENGINES; engine++) {
        for (int shape = WEFT_SUBJECT_BYTES; has_threads(engine) && shape <= WEFT_SUBJECT_U64;
             shape++) {
            for (unsigned i = 0; i < SEEDS; i++) {
                traces[i] = trace_of(engine, (weft_subject_shape)shape, 1 + i);
            }
            for (unsigned i = SEEDS; i-- > 0;) {
                uint64_t again = trace_of(engine, (weft_subject_shape)shape, 1 + i);
                if (again != traces[i]) {
                    fprintf(stderr, "another run: %s\n", now.replay);
                }
                assert_int_equal(again, traces[i]);
                assert_true(i == 0 || traces[i] != traces[i - 1]);
            }
        }
    }
}

static int set_up(void **state) {
    (void)state;
    runner = weft_program_runner_new();
    return runner ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    weft_program_runner_free(runner);
    weft_sched_release();
    return 0;
}

static unsigned index_of(const char *name, bool of_engine) {
    unsigned count = of_engine ? ENGINES : 2;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(name, of_engine ? engines[i].name : shapes[i]) == 0) {
            return i;
        }
    }
    fprintf(stderr, "there is no %s %s\n", of_engine ? "engine" : "shape", name);
    exit(2);
}

static int run_arguments(char **arguments) {
    unsigned engine = index_of(arguments[0], true);
    weft_subject_shape shape = (weft_subject_shape)index_of(arguments[1], false);
    uint64_t from = strtoull(arguments[2], NULL, 10);
    uint64_t count = strtoull(arguments[3], NULL, 10);
    if (set_up(NULL) != 0) {
        return 3;
    }
    bool all_fine = run_seeds(engine, shape, from, count) == count;
    (void)tear_down(NULL);
    return all_fine ? 0 : 1;
}

int main(int argc, char **argv) {
    catch_crashes();
    if (argc == 6 && strcmp(argv[1], "--find") == 0) {
        now.failure_is_wanted = true;
        return run_arguments(argv + 2) == 1 ? 0 : 1;
    }
    if (argc == 5) {
        return run_arguments(argv + 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_repeat),
        cmocka_unit_test(every_engine_is_linearizable),
        cmocka_unit_test(every_pair_at_two_preemptions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
