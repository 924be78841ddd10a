/* SPDX-License-Identifier: MIT */
/* Transactions of several threads at once, on the real gate and the real map. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define FAKE_WITH_GATE 1
#include "base/atomic.h"
#include "fake_node.h"
#include "server/command.h"
#include "server/transaction.h"

enum { THREADS = FAKE_SESSIONS, ROUNDS = 2000, COPY_MAX = 128 };

/* One command in a batch of its own, as if it came alone; the reply goes to `reply`. */
static void run(weft_session *session, const char *line, char reply[COPY_MAX]) {
    char copy[COPY_MAX];
    weft_bytes words[FAKE_WORDS];
    size_t count = 0;
    char *save;
    weft_guard guard;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        words[count++] = weft_str(word);
    }
    const weft_args args = {.count = count, .items = words};
    session->out.size = session->out.sent = 0;
    weft_gate_enter(fake_node.gate, session->loop);
    weft_guard_enter(&guard);
    weft_command_run(session, &args);
    weft_guard_leave(&guard);
    weft_gate_leave(fake_node.gate, session->loop);
    size_t size = session->out.size < COPY_MAX ? session->out.size : COPY_MAX - 1;
    memcpy(reply, session->out.data + session->out.sent, size);
    reply[size] = '\0';
}

static void in_threads(void *(*fn)(void *session)) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        fake_sessions[i].loop = (uint32_t)i;
        assert_int_equal(pthread_create(&threads[i], NULL, fn, &fake_sessions[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

static uint64_t committed;
static uint64_t refused;

/* Read, add, write: right only if EXEC refuses whenever another thread wrote in between. */
static void *add_by_watching(void *ctx) {
    weft_session *session = ctx;
    char reply[COPY_MAX];
    char line[COPY_MAX];
    for (int i = 0; i < ROUNDS; i++) {
        run(session, "WATCH n", reply);
        run(session, "GET n", reply);
        const char *digits = strchr(reply, '\n');
        long present = reply[1] == '-' ? 0 : atol(digits + 1);
        run(session, "MULTI", reply);
        snprintf(line, sizeof line, "SET n %ld", present + 1);
        run(session, line, reply);
        run(session, "EXEC", reply);
        weft_fetch_add_relaxed(strncmp(reply, "*1", 2) == 0 ? &committed : &refused, 1);
    }
    return NULL;
}

static void optimistic_locking_loses_no_update(void **state) {
    (void)state;
    char reply[COPY_MAX];
    committed = refused = 0;
    in_threads(add_by_watching);
    run(&fake_sessions[0], "GET n", reply);
    assert_int_equal(atol(strchr(reply, '\n') + 1), (long)committed);
    assert_int_equal(committed + refused, THREADS * ROUNDS);
    assert_int_equal(weft_watch_count, 0);
}

static uint64_t torn;

/* Half of the threads write two keys at once, the others read both. */
static void *write_or_read_pairs(void *ctx) {
    weft_session *session = ctx;
    char reply[COPY_MAX];
    char line[COPY_MAX];
    for (int i = 0; i < ROUNDS; i++) {
        if (session->loop % 2 == 0) {
            snprintf(line, sizeof line, "MSET a %d b %d", i % 9, i % 9);
            run(session, line, reply);
            continue;
        }
        run(session, "MGET a b", reply);
        char a[2] = "";
        char b[2] = "";
        if (sscanf(reply, "*2\r\n$1\r\n%1s\r\n$1\r\n%1s", a, b) != 0 && a[0] != b[0]) {
            weft_fetch_add_relaxed(&torn, 1);
        }
    }
    return NULL;
}

static void several_keys_change_at_one_moment(void **state) {
    (void)state;
    torn = 0;
    in_threads(write_or_read_pairs);
    assert_int_equal(torn, 0);
}

static void *move_about(void *ctx) {
    weft_session *session = ctx;
    char reply[COPY_MAX];
    for (int i = 0; i < ROUNDS; i++) {
        run(session, i % 2 == 0 ? "RENAME x y" : "RENAME y x", reply);
        run(session, "EXISTS x y", reply);
        if (strcmp(reply, ":1\r\n") != 0) {
            weft_fetch_add_relaxed(&torn, 1);
        }
    }
    return NULL;
}

static void a_key_that_moves_is_always_somewhere(void **state) {
    (void)state;
    char reply[COPY_MAX];
    torn = 0;
    run(&fake_sessions[0], "SET x 1", reply);
    in_threads(move_about);
    assert_int_equal(torn, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(optimistic_locking_loses_no_update),
        TEST(several_keys_change_at_one_moment),
        TEST(a_key_that_moves_is_always_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
