/* SPDX-License-Identifier: MIT */
/* A thread is stopped after every machine instruction of an operation; all others must finish
 * theirs meanwhile. README.md says how. Exit codes: 0 fine, 1 a finding, 2 usage, 77 not run. */
#include "progress/case.h"
#include "progress/flag.h"
#include "progress/symbol.h"
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    USAGE = 2,
    NOT_RUN = 77,
    TRIES = 3,
    SAMPLE_EVERY = 4,
    SAMPLE_SECONDS = 40,
    SHOWN = 5,
    CASES_LEAST = 24,
    DEADLINE_MS = 2000,
};

#define MS UINT64_C(1000000)

static const struct {
    const char *name;
    weft_engine_id id;
    uint64_t patience_ms; /* less than the deadline: a figure, not a failure, is at stake */
    enum { PROMISES_NOTHING, PROMISES_LOOKUPS, PROMISES_ALL } promises; /* that nobody waits for */
} engines[] = {
    {"lockfree", WEFT_ENGINE_LOCKFREE, DEADLINE_MS, PROMISES_ALL},
    {"rwlock", WEFT_ENGINE_RWLOCK, 10, PROMISES_NOTHING},
    {"trie", WEFT_ENGINE_TRIE, DEADLINE_MS, PROMISES_ALL},
    {"list", WEFT_ENGINE_LIST, DEADLINE_MS, PROMISES_ALL},
    {"sharded", WEFT_ENGINE_SHARDED, 10, PROMISES_LOOKUPS},
};

static const char *const shapes[] = {[WEFT_SUBJECT_BYTES] = "bytes", [WEFT_SUBJECT_U64] = "u64"};

enum { ENGINES = sizeof engines / sizeof *engines, SHAPES = 2 };

static struct {
    const char *program;
    int engine;       /* index, or -1: lockfree, and a little of rwlock */
    int shape;        /* or -1: both */
    int operation;    /* or -1: all */
    uint64_t every;   /* 0: not said */
    uint64_t step;    /* 0: all */
    uint64_t seconds; /* 0: as long as it takes */
    uint64_t deadline_ms;
    bool together;
    bool clear;
    bool json;
} options = {.engine = -1, .shape = -1, .operation = -1};

/* One row of the table. */
typedef struct row {
    unsigned engine;
    weft_subject_shape shape;
    const progress_operation *operation;
    size_t instructions;
    size_t outside;
    uint64_t every;
    size_t stopped;
    size_t missed; /* the operation took another way this time, and was over before */
    size_t blocked;
    size_t broken; /* of these, where nobody was to wait */
    size_t wrong;
    uint64_t others_ns; /* the longest */
} row;

static row total;
static unsigned rows_printed;
static unsigned rows_thinned; /* for want of time */
static uint64_t started_ns;
static progress_trace trace;

/* ---- the command line ------------------------------------------------------------------------ */

static void print_help(void) {
    printf(
        "usage: progress_test [OPTION...]\n"
        "  --engine NAME     lockfree, rwlock, trie, list, sharded; else lockfree, some of rwlock\n"
        "  --shape NAME      bytes or u64; else both\n"
        "  --op NAME         one operation; --list prints their names\n"
        "  --every N         stop after every Nth instruction\n"
        "  --seconds S       stop less often where that is needed to be done by then\n"
        "  --step K          stop after K instructions only; needs --engine, --shape and --op\n"
        "  --together        the others work at once, not one after the other\n"
        "  --clear           one of the others clears the map in the end\n"
        "  --deadline MS     what the others may take\n"
        "  --json            one object in place of the table\n"
        "Without --every, --step and --seconds: --every %d --seconds %d.\n",
        SAMPLE_EVERY, SAMPLE_SECONDS);
}

static __attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...) {
    va_list list;
    va_start(list, format);
    (void)fprintf(stderr, "progress_test: ");
    (void)vfprintf(stderr, format, list);
    (void)fprintf(stderr, "; --help says more\n");
    va_end(list);
    exit(USAGE);
}

static uint64_t number_of(const char *option, const char *text) {
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number == 0 ||
        number > UINT32_MAX) {
        refuse("--%s wants a number from 1 on, not '%s'", option, text);
    }
    return number;
}

static int engine_named(const char *name) {
    for (int i = 0; i < ENGINES; i++) {
        if (strcmp(engines[i].name, name) == 0) {
            return i;
        }
    }
    refuse("there is no engine '%s': lockfree, rwlock, trie, list, sharded", name);
}

static int shape_named(const char *name) {
    for (int i = 0; i < SHAPES; i++) {
        if (strcmp(shapes[i], name) == 0) {
            return i;
        }
    }
    refuse("there is no shape '%s': bytes, u64", name);
}

static int operation_named(const char *name) {
    for (size_t i = 0; i < progress_operation_count; i++) {
        if (strcmp(progress_operations[i].name, name) == 0) {
            return (int)i;
        }
    }
    refuse("there is no operation '%s': --list names them", name);
}

static void list_operations(void) {
    for (size_t i = 0; i < progress_operation_count; i++) {
        printf("%s\n", progress_operations[i].name);
    }
}

static void take_option(int option, const char *name) {
    switch (option) {
    case 'e':
        options.engine = engine_named(optarg);
        break;
    case 's':
        options.shape = shape_named(optarg);
        break;
    case 'o':
        options.operation = operation_named(optarg);
        break;
    case 'n':
        options.every = number_of(name, optarg);
        break;
    case 't':
        options.seconds = number_of(name, optarg);
        break;
    case 'k':
        options.step = number_of(name, optarg);
        break;
    case 'd':
        options.deadline_ms = number_of(name, optarg);
        break;
    case 'b':
        options.together = true;
        break;
    case 'c':
        options.clear = true;
        break;
    case 'j':
        options.json = true;
        break;
    case 'l':
        list_operations();
        exit(0);
    case 'h':
        print_help();
        exit(0);
    default:
        exit(USAGE); /* getopt has said why */
    }
}

static void parse(int argc, char **argv) {
    static const struct option known[] = {
        {"engine", required_argument, NULL, 'e'},
        {"shape", required_argument, NULL, 's'},
        {"op", required_argument, NULL, 'o'},
        {"every", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'},
        {"step", required_argument, NULL, 'k'},
        {"deadline", required_argument, NULL, 'd'},
        {"json", no_argument, NULL, 'j'},
        {"together", no_argument, NULL, 'b'},
        {"clear", no_argument, NULL, 'c'},
        {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int at = 0;
    options.program = argv[0];
    for (int option; (option = getopt_long(argc, argv, "", known, &at)) != -1;) {
        take_option(option, known[at].name);
    }
    if (optind < argc) {
        refuse("'%s' is no option", argv[optind]);
    }
    if (options.step != 0 &&
        (options.engine < 0 || options.shape < 0 || options.operation < 0 || options.every != 0)) {
        refuse("--step wants --engine, --shape and --op, and no --every");
    }
    if (options.every == 0 && options.seconds == 0 && options.step == 0) {
        options.every = SAMPLE_EVERY;
        options.seconds = SAMPLE_SECONDS;
    }
    options.every = options.every == 0 ? 1 : options.every;
    options.deadline_ms = options.deadline_ms == 0 ? DEADLINE_MS : options.deadline_ms;
}

/* ---- what comes out -------------------------------------------------------------------------- */

static void print_head(void) {
    if (options.json) {
        printf("{\n  \"rows\": [\n");
    } else {
        printf("%-16s %-5s %-8s %7s %7s %5s %8s %6s %8s %6s %9s\n", "operation", "shape", "engine",
               "instr.", "outside", "every", "stopped", "missed", "blocked", "wrong", "others ms");
    }
}

static void print_row(const row *r, const char *operation) {
    const char *shape = r == &total ? "" : shapes[r->shape];
    const char *engine = r == &total ? "" : engines[r->engine].name;
    if (options.json) {
        printf("%s    {\"operation\": \"%s\", \"shape\": \"%s\", \"engine\": \"%s\", "
               "\"instructions\": %zu, \"outside\": %zu, \"every\": %llu, \"stopped\": %zu, "
               "\"missed\": %zu, \"blocked\": %zu, \"wrong\": %zu, \"others_ms\": %.1f}",
               rows_printed == 0 ? "" : ",\n", operation, shape, engine, r->instructions,
               r->outside, (unsigned long long)r->every, r->stopped, r->missed, r->blocked,
               r->wrong, (double)r->others_ns / 1e6);
    } else {
        printf("%-16s %-5s %-8s %7zu %7zu %5llu %8zu %6zu %8zu %6zu %9.1f\n", operation, shape,
               engine, r->instructions, r->outside, (unsigned long long)r->every, r->stopped,
               r->missed, r->blocked, r->wrong, (double)r->others_ns / 1e6);
    }
    rows_printed++;
    (void)fflush(stdout);
}

/* To stderr where the standard output is one object. */
static void print_finding(const row *r, size_t step, const progress_result *result) {
    FILE *to = options.json ? stderr : stdout;
    char name[128];
    progress_symbol_name(result->pc, name, sizeof name);
    (void)fprintf(to, "  %s after %zu instructions of %s, at %s: %s\n",
                  result->blocked ? "blocked" : "wrong", step, r->operation->name,
                  result->stopped ? name : "no place",
                  result->blocked ? result->where : result->fault);
    if (step != 0) {
        (void)fprintf(to, "    again: %s%s%s --engine %s --shape %s --op %s --step %zu\n",
                      options.program, options.together ? " --together" : "",
                      options.clear ? " --clear" : "", engines[r->engine].name, shapes[r->shape],
                      r->operation->name, step);
    }
}

static void add_up(const row *r) {
    total.instructions += r->instructions;
    total.outside += r->outside;
    total.stopped += r->stopped;
    total.missed += r->missed;
    total.blocked += r->blocked;
    total.broken += r->broken;
    total.wrong += r->wrong;
    total.others_ns = r->others_ns > total.others_ns ? r->others_ns : total.others_ns;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool promises(const row *r) {
    return engines[r->engine].promises == PROMISES_ALL ||
           (engines[r->engine].promises == PROMISES_LOOKUPS &&
            r->operation->op == WEFT_HISTORY_GET);
}

/* A case that misses its deadline is tried again: the machine may have been busy. */
static void run_case(const row *r, size_t step, progress_result *result) {
    progress_case wanted = {.operation = r->operation,
                            .engine = engines[r->engine].id,
                            .shape = r->shape,
                            .trace = &trace,
                            .step = step,
                            .together = options.together,
                            .others_clear = options.clear,
                            .deadline_ns = options.deadline_ms * MS,
                            .patience_ns = engines[r->engine].patience_ms * MS};
    if (wanted.patience_ns > wanted.deadline_ns) {
        wanted.patience_ns = wanted.deadline_ns;
    }
    unsigned tries = promises(r) ? TRIES : TRIES - 1;
    do {
        progress_case_run(&wanted, result);
        if (!result->stopped && step != 0 && result->fault[0] == '\0') {
            wanted.by_steps = true; /* it has not come by where the trace says that it does */
            progress_case_run(&wanted, result);
        }
    } while (result->blocked && result->fault[0] == '\0' && --tries != 0);
}

static void note_case(row *r, size_t step, const progress_result *result) {
    bool wrong = result->fault[0] != '\0';
    r->stopped += result->stopped;
    r->missed += !result->stopped && step != 0;
    r->blocked += result->blocked;
    r->broken += result->blocked && promises(r);
    r->wrong += wrong;
    r->others_ns = result->others_ns > r->others_ns ? result->others_ns : r->others_ns;
    bool shown = promises(r) || (options.operation >= 0 && r->blocked <= SHOWN);
    if (wrong || (result->blocked && shown)) {
        print_finding(r, step, result);
    }
}

/* What one case of this row takes: as long as two of them do, one in the middle, one near the
 * end. */
static uint64_t time_of_case(const row *r) {
    progress_result ignored;
    uint64_t begin = weft_clock_monotonic_ns();
    run_case(r, trace.count / 2, &ignored);
    run_case(r, trace.count - trace.count / 8 - 1, &ignored);
    return (weft_clock_monotonic_ns() - begin) / 2 + 1;
}

/* How many instructions apart, so that the rows that are left get done in time. */
static uint64_t spacing(const row *r, unsigned rows_left) {
    if (options.seconds == 0 || trace.count < CASES_LEAST) {
        return options.every;
    }
    uint64_t case_ns = time_of_case(r);
    uint64_t end = started_ns + options.seconds * PROGRESS_SECOND;
    uint64_t now = weft_clock_monotonic_ns();
    uint64_t left = now < end ? end - now : 0;
    uint64_t share = left * 4 / (rows_left + 3); /* most rows need far less than their part */
    share = share < left / 4 ? share : left / 4;
    uint64_t cases = share / case_ns;
    uint64_t needed = trace.count / (cases > CASES_LEAST ? cases : CASES_LEAST);
    return needed > options.every ? needed : options.every;
}

static void run_row(row *r, unsigned rows_left) {
    progress_result result;
    run_case(r, 0, &result);
    note_case(r, 0, &result);
    r->instructions = trace.count;
    r->outside = trace.outside;
    r->every = options.step != 0 ? 1 : spacing(r, rows_left);
    rows_thinned += r->every > options.every;
    for (size_t step = 1; step < trace.count && options.step == 0; step += r->every) {
        run_case(r, step, &result);
        note_case(r, step, &result);
    }
    if (trace.cut) {
        r->wrong++;
        printf("  %s: more instructions than there is room for\n", r->operation->name);
    }
}

/* One case again, by itself. */
static void run_one_step(row *r) {
    progress_result result;
    char name[128];
    if (options.step >= trace.count) {
        refuse("%s has %zu instructions, so --step goes from 1 to %zu", r->operation->name,
               trace.count, trace.count - 1);
    }
    run_case(r, options.step, &result);
    note_case(r, options.step, &result);
    progress_symbol_name(result.pc, name, sizeof name);
    if (!options.json) {
        printf("stopped at %s; the others %s\n", result.stopped ? name : "no place",
               result.blocked ? "were blocked" : "finished");
    }
}

static void run_engine(unsigned engine) {
    unsigned left = SHAPES * (unsigned)progress_operation_count;
    for (int shape = SHAPES - 1; shape >= 0; shape--) {
        for (size_t i = 0; i < progress_operation_count; i++, left--) {
            row r = {.engine = engine,
                     .shape = (weft_subject_shape)shape,
                     .operation = &progress_operations[i]};
            if ((options.shape >= 0 && shape != options.shape) ||
                (options.operation >= 0 && (size_t)options.operation != i) ||
                !progress_operation_fits(r.operation, engines[engine].id, r.shape)) {
                continue;
            }
            run_row(&r, options.operation >= 0 ? 1 : left);
            if (options.step != 0) {
                run_one_step(&r);
            }
            print_row(&r, r.operation->name);
            add_up(&r);
        }
    }
}

/* Can this test fail at all? One operation under a lock: others must be seen to wait for it. */
static bool run_canary(void) {
    row r = {.engine = 1, .shape = WEFT_SUBJECT_U64};
    r.operation = &progress_operations[operation_named("put")];
    progress_result result;
    run_case(&r, 0, &result);
    for (size_t step = 1; step < trace.count; step += 8) {
        run_case(&r, step, &result);
        r.stopped += result.stopped;
        r.blocked += result.blocked;
    }
    if (!options.json) {
        printf("put, u64, rwlock: blocked %zu of %zu, as it must be: this test can fail\n",
               r.blocked, r.stopped);
    }
    return r.blocked != 0;
}

static void print_end(bool canary) {
    if (options.json) {
        printf("\n  ],\n  \"seconds\": %.1f, \"stopped\": %zu, \"missed\": %zu, \"blocked\": %zu, "
               "\"wrong\": %zu, \"others_ms\": %.1f\n}\n",
               (double)(weft_clock_monotonic_ns() - started_ns) / 1e9, total.stopped, total.missed,
               total.blocked, total.wrong, (double)total.others_ns / 1e6);
        return;
    }
    total.every = options.every;
    print_row(&total, "all");
    printf("blocked %zu of %zu, wrong %zu, in %.1f s\n", total.blocked, total.stopped, total.wrong,
           (double)(weft_clock_monotonic_ns() - started_ns) / 1e9);
    if (rows_thinned != 0) {
        printf("%u operations were stopped less often than every %llu, to be done in %llu s\n",
               rows_thinned, (unsigned long long)options.every,
               (unsigned long long)options.seconds);
    }
    if (!canary) {
        printf("the operation under a lock was not seen to block: this test proves nothing\n");
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    const char *reason = progress_stepper_start();
    if (reason != NULL) {
        printf("not run: %s\n", reason);
        return NOT_RUN;
    }
    if (!progress_trace_init(&trace) || !progress_case_start()) {
        printf("not run: memory or threads are missing\n");
        return NOT_RUN;
    }
    started_ns = weft_clock_monotonic_ns();
    print_head();
    unsigned engine = options.engine < 0 ? 0 : (unsigned)options.engine;
    run_engine(engine);
    bool canary = options.engine >= 0 || run_canary();
    print_end(canary);
    return total.broken != 0 || total.wrong != 0 || !canary ? 1 : 0;
}
