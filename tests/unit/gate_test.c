/* SPDX-License-Identifier: MIT */
/* The gate: who is exclusive is alone, nobody waits for ever, and a change of several words is
 * seen whole. */
#include "base/atomic.h"
#include "base/lock.h"
#include "base/thread.h"
#include "server/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LOOPS = 4, BATCHES = 20000, WORDS = 3 };

typedef struct shared_state {
    struct weft_gate *gate;
    uint64_t words[WORDS]; /* equal whenever nobody is exclusive */
    uint64_t inside;       /* atomic */
    uint64_t torn;         /* atomic: broken looks */
    uint64_t crowded;      /* atomic: exclusive, and not alone */
    uint64_t exclusives;   /* plain: protected by the gate itself */
    uint32_t exclusive_of; /* one batch of so many */
} shared_state;

typedef struct worker {
    shared_state *shared;
    uint32_t loop;
    uint64_t made;
    weft_thread thread;
} worker;

static void look(shared_state *shared) {
    uint64_t first = weft_load_relaxed(&shared->words[0]);
    for (int i = 1; i < WORDS; i++) {
        if (weft_load_relaxed(&shared->words[i]) != first) {
            weft_fetch_add_relaxed(&shared->torn, 1);
        }
    }
}

static void change(worker *self) {
    shared_state *shared = self->shared;
    weft_fetch_add_relaxed(&shared->inside, (uint64_t)-1); /* may step out while it waits */
    weft_gate_exclusive(shared->gate, self->loop);
    weft_gate_exclusive(shared->gate, self->loop);
    if (weft_fetch_add_relaxed(&shared->inside, 1) != 0 ||
        !weft_gate_is_exclusive(shared->gate, self->loop)) {
        weft_fetch_add_relaxed(&shared->crowded, 1);
    }
    shared->exclusives++;
    self->made++;
    for (int i = 0; i < WORDS; i++) {
        weft_store_relaxed(&shared->words[i], shared->words[i] + 1);
        weft_pause();
    }
}

static void *work(void *ctx) {
    worker *self = ctx;
    shared_state *shared = self->shared;
    uint64_t seed = self->loop + 1;
    for (int i = 0; i < BATCHES; i++) {
        weft_gate_enter(shared->gate, self->loop);
        weft_fetch_add_relaxed(&shared->inside, 1);
        look(shared);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if ((seed >> 33) % shared->exclusive_of == 0) {
            change(self);
        }
        look(shared);
        weft_fetch_add_relaxed(&shared->inside, (uint64_t)-1);
        weft_gate_leave(shared->gate, self->loop);
        if ((seed >> 40) % 512 == 0) {
            weft_yield();
        }
    }
    return NULL;
}

static void run(uint32_t exclusive_of) {
    shared_state shared = {.gate = weft_gate_new(LOOPS), .exclusive_of = exclusive_of};
    worker workers[LOOPS];
    uint64_t made = 0;
    assert_non_null(shared.gate);
    for (uint32_t i = 0; i < LOOPS; i++) {
        workers[i] = (worker){.shared = &shared, .loop = i};
        assert_true(weft_thread_start(&workers[i].thread, work, &workers[i]));
    }
    for (uint32_t i = 0; i < LOOPS; i++) {
        weft_thread_join(&workers[i].thread);
        made += workers[i].made;
    }
    assert_int_equal(shared.torn, 0);
    assert_int_equal(shared.crowded, 0);
    assert_true(made > 0);
    assert_int_equal(shared.exclusives, made);
    for (int i = 0; i < WORDS; i++) {
        assert_int_equal(shared.words[i], made);
    }
    weft_gate_free(shared.gate);
}

static void rare_exclusives_are_alone(void **state) {
    (void)state;
    run(100);
}

static void frequent_exclusives_are_alone(void **state) {
    (void)state;
    run(2);
}

static void all_exclusives_go_on(void **state) {
    (void)state;
    run(1);
}

static void exclusive_ends_with_leave(void **state) {
    (void)state;
    struct weft_gate *gate = weft_gate_new(2);
    assert_non_null(gate);
    weft_gate_enter(gate, 0);
    assert_false(weft_gate_is_exclusive(gate, 0));
    weft_gate_exclusive(gate, 0);
    assert_true(weft_gate_is_exclusive(gate, 0));
    assert_false(weft_gate_is_exclusive(gate, 1));
    weft_gate_leave(gate, 0);
    assert_false(weft_gate_is_exclusive(gate, 0));
    weft_gate_enter(gate, 1); /* would wait for ever if it were closed */
    weft_gate_leave(gate, 1);
    weft_gate_free(gate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exclusive_ends_with_leave),
        cmocka_unit_test(rare_exclusives_are_alone),
        cmocka_unit_test(frequent_exclusives_are_alone),
        cmocka_unit_test(all_exclusives_go_on),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
