/* SPDX-License-Identifier: MIT */
/* Engine "owner": two threads at a time are noticed and reported, one after the other are not. What
 * aborts runs in a child process, whose report the parent reads; both have the same addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "base/memory.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/map.h>
#include <weft/u64map.h>

enum { OPERATIONS = 1000, KEYS = 64, REPORT_MAX = 32 << 10, FUNCTION_MAX = 1024 };

/* A function whose frames are told from those of others. */
#define PLANTED __attribute__((noinline, aligned(FUNCTION_MAX)))

#define REQUIRE(condition) ((condition) ? (void)0 : required(__LINE__, #condition))

static _Noreturn void required(int line, const char *text) {
    fprintf(stderr, "line %d: required: %s\n", line, text);
    _exit(99);
}

/* The races are planted: the thread sanitizer need not tell. */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void) {
    return "report_bugs=0";
}

/* ---- a child that is to abort ---------------------------------------------------------------- */

static struct {
    char text[REPORT_MAX];
    int status;
} report;

/* What parent and child share. */
static struct shared {
    uint64_t operations; /* of the thread that comes second, since it began */
    uint64_t first_runs;
} * shared;

static void run_in_child(void (*scene)(void)) {
    int ends[2];
    *shared = (struct shared){0};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)alarm(20);
        scene();
        _exit(0);
    }
    (void)close(ends[1]);
    size_t size = 0;
    ssize_t got;
    while ((got = read(ends[0], report.text + size, sizeof report.text - 1 - size)) > 0) {
        size += (size_t)got;
    }
    report.text[size] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &report.status, 0), child);
}

static void require_text(const char *text) {
    if (strstr(report.text, text) == NULL) {
        fprintf(stderr, "no '%s' in:\n%s\n", text, report.text);
        fail();
    }
}

static bool was_aborted(void) {
    return WIFSIGNALED(report.status) && WTERMSIG(report.status) == SIGABRT;
}

static void require_abort(void) {
    if (!was_aborted()) {
        fprintf(stderr, "status %x, report:\n%s\n", (unsigned)report.status, report.text);
        fail();
    }
    require_text("concurrent use of a map of engine owner");
    require_text("To do: ");
}

/* Until the report has the text: where the other operation ends while the report is made, it can't
 * say whose it was. With `may_crash`, a child may also end before anybody has noticed. */
static void run_until_told(void (*scene)(void), const char *text, bool may_crash) {
    enum { RUNS_MAX = 20 };
    for (int i = 0; i < RUNS_MAX; i++) {
        run_in_child(scene);
        if (may_crash && !was_aborted()) {
            continue;
        }
        require_abort();
        if (strstr(report.text, text) != NULL) {
            return;
        }
    }
    require_abort();
    require_text(text);
}

/* Part of the report, from one text to the end of the stack that follows. */
static bool stack_has(const char *from, const void *function) {
    const char *at = strstr(report.text, from);
    uintptr_t begin = (uintptr_t)function;
    for (at = at == NULL ? NULL : strchr(at, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
        const char *address = strchr(at, '[');
        if (at[1] == ' ' || address == NULL) { /* the next line of the report itself */
            return false;
        }
        uintptr_t frame = (uintptr_t)strtoull(address + 1, NULL, 16);
        if (frame >= begin && frame < begin + FUNCTION_MAX) {
            return true;
        }
    }
    return false;
}

/* ---- the map, and threads -------------------------------------------------------------------- */

static weft_map bytes_map = WEFT_MAP_INIT;
static weft_u64map number_map = WEFT_U64MAP_INIT;
static bool by_number;

/* Of a size that stays: in a table that the writer frees a reader might crash
 * before it is caught. */
static void open_maps(const weft_allocator *allocator) {
    weft_map_options options = {.size = sizeof options,
                                .engine = WEFT_ENGINE_OWNER,
                                .allocator = allocator,
                                .expected_entries = 2 * KEYS,
                                .grow_only = true};
    REQUIRE(weft_map_open(&bytes_map, &options) == WEFT_OK);
    REQUIRE(weft_u64map_open(&number_map, &options) == WEFT_OK);
}

static weft_bytes bytes_of(const uint64_t *number) {
    return weft_bytes_of(number, sizeof *number);
}

static void write_once(uint64_t i) {
    uint64_t key = i % KEYS;
    if (by_number) {
        (void)(i % 3 == 0 ? weft_u64map_remove(&number_map, key)
                          : weft_u64map_put(&number_map, key, i));
    } else {
        (void)(i % 3 == 0 ? weft_map_remove(&bytes_map, bytes_of(&key))
                          : weft_map_put(&bytes_map, bytes_of(&key), bytes_of(&i)));
    }
}

static PLANTED void *first_writer(void *ctx) {
    (void)ctx;
    for (uint64_t i = 1;; i++) {
        write_once(i);
        weft_store_relaxed(&shared->first_runs, i);
    }
    return NULL;
}

/* Each operation begins when the first writer has got on, also where both share one processor. */
static PLANTED void *second_writer(void *ctx) {
    (void)ctx;
    uint64_t seen = 0;
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        while (weft_load_relaxed(&shared->first_runs) == seen) {
            weft_yield();
        }
        seen = weft_load_relaxed(&shared->first_runs);
        weft_store_relaxed(&shared->operations, i + 1);
        write_once(i);
    }
    return NULL;
}

static PLANTED void *reader(void *ctx) {
    (void)ctx;
    for (uint64_t i = 0;; i++) {
        uint64_t key = i % KEYS;
        uint64_t value;
        weft_buffer out = {.data = &value, .capacity = sizeof value};
        (void)(by_number ? weft_u64map_get(&number_map, key, &value)
                         : weft_map_get(&bytes_map, bytes_of(&key), &out));
    }
    return NULL;
}

typedef struct task {
    void *(*run)(void *ctx);
    const char *name;
} task;

/* By itself, before it does anything that a report may be about. */
static void *run_named(void *ctx) {
    task what = *(task *)ctx;
    free(ctx);
    (void)pthread_setname_np(pthread_self(), what.name);
    return what.run(NULL);
}

static pthread_t start(void *(*run)(void *ctx), const char *name) {
    pthread_t thread;
    task *what = malloc(sizeof *what);
    REQUIRE(what != NULL);
    *what = (task){run, name};
    REQUIRE(pthread_create(&thread, NULL, run_named, what) == 0);
    return thread;
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static void two_writers(void) {
    open_maps(NULL);
    (void)start(first_writer, "first");
    (void)pthread_join(start(second_writer, "second"), NULL);
}

/* Both threads by name, each with its own stack. */
static bool names_both(void) {
    return strstr(report.text, "thread 'first' (task ") != NULL &&
           strstr(report.text, "thread 'second' (task ") != NULL &&
           stack_has("stack of thread 'first'", (const void *)first_writer) &&
           stack_has("stack of thread 'second'", (const void *)second_writer) &&
           !stack_has("stack of thread 'second'", (const void *)first_writer);
}

static void a_second_writer_is_caught(void **state) {
    (void)state;
    enum { RUNS = 10 };
    int named = 0;
    for (int i = 0; i < 2 * RUNS; i++) {
        by_number = i % 2 != 0;
        run_in_child(two_writers);
        require_abort();
        assert_in_range(shared->operations, 1, OPERATIONS);
        require_text(by_number ? "u64 shape" : "bytes shape");
        named += names_both();
    }
    assert_in_range(named, RUNS, 2 * RUNS);
}

static void a_writer_and_a_reader(void) {
    open_maps(NULL);
    (void)start(first_writer, "first");
    (void)pthread_join(start(reader, "looking"), NULL);
}

/* A lookup of bytes that is stopped in the middle goes on with an entry that the writer has freed,
 * and may crash with it: lookups leave no mark that a writer could notice. */
static void a_reader_beside_a_writer_is_caught(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        by_number = i != 0;
        run_until_told(a_writer_and_a_reader, "thread 'first' (task ", !by_number);
        require_text("thread 'looking' (task ");
    }
}

static void *deaf_writer(void *ctx) {
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    return first_writer(ctx);
}

static void two_writers_one_deaf(void) {
    open_maps(NULL);
    (void)start(deaf_writer, "deaf");
    (void)pthread_join(start(second_writer, "second"), NULL);
}

/* Whichever of the two notices the other: only one of them can be asked. */
static void a_thread_that_does_not_answer_is_not_waited_for(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        by_number = i % 2 != 0;
        run_until_told(two_writers_one_deaf, "thread 'deaf' (task ", false);
        if (strstr(report.text, "stack of thread 'deaf'") == NULL) {
            require_text("did not answer within 500 ms");
        }
        require_text("stack of thread 'second'");
    }
}

/* What the next allocation does. */
static void (*instead)(void);

static void *alloc_that_misbehaves(void *ctx, size_t size, size_t align) {
    void (*now)(void) = instead;
    instead = NULL;
    if (now != NULL) {
        now();
    }
    return weft_memory_default.alloc(ctx, size, align);
}

static void open_misbehaving(void) {
    weft_allocator allocator = {NULL, alloc_that_misbehaves, weft_memory_default.free, NULL};
    by_number = true;
    open_maps(&allocator);
}

static void end_thread(void) {
    pthread_exit(NULL);
}

static void *write_a_little(void *ctx) {
    (void)ctx;
    write_once(1);
    return NULL;
}

static void a_thread_that_ends_in_a_write(void) {
    open_misbehaving();
    instead = end_thread;
    (void)pthread_join(start(write_a_little, "short"), NULL);
    write_once(1);
}

static void a_thread_that_has_ended_is_named(void **state) {
    (void)state;
    run_in_child(a_thread_that_ends_in_a_write);
    require_abort();
    require_text("thread '?' (task ");
    require_text("has ended: no stack");
}

static void write_too(void) {
    write_once(1);
}

static void an_allocator_that_writes(void) {
    open_misbehaving();
    instead = write_too;
    write_once(1);
}

static void one_thread_that_meets_itself_is_caught(void **state) {
    (void)state;
    run_in_child(an_allocator_that_writes);
    require_abort();
    require_text("a signal handler, or an allocator, uses the map");
}

/* ---- use as it should be --------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *write_under_a_lock(void *ctx) {
    (void)ctx;
    for (uint64_t i = 0; i < 5 * OPERATIONS; i++) {
        (void)pthread_mutex_lock(&lock);
        write_once(i);
        (void)pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static weft_verdict write_meanwhile(void *ctx, const uint64_t *old, uint64_t *fresh) {
    uint64_t *rounds = ctx;
    if ((*rounds)++ == 0) {
        write_once(2); /* the same key */
    }
    *fresh = old == NULL ? 1 : *old + 1;
    return WEFT_SET;
}

static void *read_a_while(void *ctx) {
    (void)ctx;
    uint64_t value;
    for (uint64_t i = 0; i < 5 * OPERATIONS; i++) {
        (void)weft_u64map_get(&number_map, i % KEYS, &value);
    }
    return NULL;
}

static void by_turns(void) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    open_maps(NULL);
    for (int round = 0; round < 4; round++) {
        by_number = round % 2 != 0;
        for (int i = 0; i < THREADS; i++) {
            threads[i] = start(round < 2 ? write_under_a_lock : read_a_while, "one of them");
        }
        for (int i = 0; i < THREADS; i++) {
            (void)pthread_join(threads[i], NULL);
        }
    }
    uint64_t rounds = 0;
    weft_u64compute compute = {.fn = write_meanwhile, .ctx = &rounds};
    REQUIRE(weft_u64map_compute(&number_map, 2, &compute, NULL) == WEFT_OK && rounds == 2);
    pid_t child = fork();
    if (child == 0) {
        write_once(1);
        _exit(weft_u64map_check(&number_map, NULL, 0) == WEFT_OK ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    REQUIRE(weft_u64map_close(&number_map) == WEFT_OK);
    REQUIRE(weft_map_close(&bytes_map) == WEFT_OK);
    _exit(42);
}

static void threads_that_take_turns_are_left_alone(void **state) {
    (void)state;
    run_in_child(by_turns);
    if (!WIFEXITED(report.status) || WEXITSTATUS(report.status) != 42) {
        fprintf(stderr, "status %x, report:\n%s\n", (unsigned)report.status, report.text);
        fail();
    }
}

int main(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_writer_is_caught),
        cmocka_unit_test(a_reader_beside_a_writer_is_caught),
        cmocka_unit_test(a_thread_that_does_not_answer_is_not_waited_for),
        cmocka_unit_test(a_thread_that_has_ended_is_named),
        cmocka_unit_test(one_thread_that_meets_itself_is_caught),
        cmocka_unit_test(threads_that_take_turns_are_left_alone),
    };
    return shared == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
