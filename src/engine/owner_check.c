/* SPDX-License-Identifier: MIT */
/* Engine "owner": what happens when two threads meet. The word is in owner_check.h. */
#include "engine/owner_check.h"

#include "base/assert.h"
#include "base/lock.h"
#include "base/stacks.h"
#include <stdio.h>
#include <string.h>

enum {
    CHANGES_WATCHED = 64,
    CHANGES_BETWEEN = 1024, /* then one of so many; a power of two */
    WATCH_TURNS = 64,
    WATCH_YIELDS = 2,
    ANSWER_WITHIN_MS = 500,
};

#define UNKNOWN_STATE ((uint32_t)WEFT_OWNER_UNKNOWN << WEFT_OWNER_OP_BITS | WEFT_OWNER_NOTHING)
__thread uint32_t weft_owner_mine WEFT_TLS_MODEL = UNKNOWN_STATE;

static uint32_t reporting; /* 1: a thread is at it, and the process is about to abort */
static uint32_t forks_watched;

/* ---- who ------------------------------------------------------------------------------------- */

static void forget_me(void) {
    weft_owner_mine = UNKNOWN_STATE;
}

static void learn_me(void) {
    if (weft_owner_mine == UNKNOWN_STATE) {
        weft_owner_mine = weft_owner_state(weft_task_id(), WEFT_OWNER_NOTHING);
        uint32_t unwatched = 0;
        if (weft_cas_relaxed(&forks_watched, &unwatched, 1)) {
            (void)weft_thread_at_fork_child(forget_me);
        }
    }
}

static uint32_t my_number(void) {
    return weft_owner_thread_of(weft_owner_mine);
}

static const char *name_of(uint32_t op) {
    static const char *const names[WEFT_OWNER_OPS] = {
        "a write",     "nothing",  "a reservation",    "a shrinking",
        "maintenance", "a lookup", "a step of a walk",
    };
    return op < WEFT_OWNER_OPS ? names[op] : "?";
}

/* ---- the report ------------------------------------------------------------------------------ */

/* One of the two. */
typedef struct party {
    uint32_t task;
    char name[WEFT_TASK_NAME_SIZE];
    weft_stack stack;
} party;

static void say_party(const party *who, uint32_t op) {
    char number[16] = "unknown";
    if (who->stack.slot != NULL) {
        (void)snprintf(number, sizeof number, "%u", ((weft_record *)who->stack.slot)->number);
    }
    weft_report_line("  thread '%s' (task %u, number %s) is in %s\n", who->name, who->task, number,
                     name_of(op));
}

static void say_stack(const party *who, const char *when) {
    weft_report_line("  stack of thread '%s' (task %u), %s:\n", who->name, who->task, when);
    weft_report_stack(&who->stack);
}

static void say_other_stack(const party *who, weft_stack_answer answer) {
    WEFT_ASSERT(answer == WEFT_STACK_TAKEN || who->stack.count == 0);
    if (answer == WEFT_STACK_TAKEN) {
        say_stack(who, "stopped soon after: it may have gone on a little");
    } else if (answer == WEFT_STACK_ENDED) {
        weft_report_line("  thread '%s' (task %u) has ended: no stack\n", who->name, who->task);
    } else {
        weft_report_line("  thread '%s' (task %u) did not answer within %d ms: no stack; it may "
                         "block signal %d\n",
                         who->name, who->task, ANSWER_WITHIN_MS, weft_stack_signal());
    }
}

static void report(weft_core *core, uint32_t met, weft_owner_op op) {
    WEFT_ASSERT(weft_load_relaxed(&reporting) == 1);
    static party me;
    static party other;
    weft_stack_answer answer = WEFT_STACK_ENDED;
    me.task = my_number();
    other.task = weft_owner_thread_of(met);
    bool alone = me.task == other.task;
    weft_stack_take(&me.stack);
    if (!alone) {
        answer = weft_stack_stop(other.task, ANSWER_WITHIN_MS * UINT64_C(1000000), &other.stack);
    }
    weft_task_name(me.task, me.name);
    weft_task_name(other.task, other.name);
    weft_report_line(
        "weft: concurrent use of a map of engine owner, which is for one thread at a time\n"
        "  map %p, %s, era %llu, %llu entries\n",
        weft_core_map(core), core->shape == WEFT_SHAPE_U64 ? "u64 shape" : "bytes shape",
        (unsigned long long)core->era, (unsigned long long)weft_core_entries(core));
    say_party(&me, op);
    if (alone && weft_owner_op_of(met) == WEFT_OWNER_NOTHING) {
        weft_report_line("  another operation was on the way, and has ended meanwhile\n");
    } else if (alone) {
        weft_report_line("  it is in %s already: a signal handler, or an allocator, uses the map\n",
                         name_of(weft_owner_op_of(met)));
    } else {
        say_party(&other, weft_owner_op_of(met));
    }
    say_stack(&me, "which noticed it");
    if (!alone) {
        say_other_stack(&other, answer);
    }
    weft_report_line(
        "  To do: let one operation end before another thread's begins (a lock, a join, a queue "
        "through\n  which the map is handed over), or open the map with an engine for several "
        "threads, as lockfree.\n");
}

void weft_owner_meet(weft_core *core, weft_owner_use *use, weft_owner_op op) {
    uint32_t met = weft_load_relaxed(&use->state);
    uint32_t nobody = 0;
    if (!weft_cas_relaxed(&reporting, &nobody, 1)) {
        for (;;) {
            weft_sleep_ns(1000000); /* the other one reports; it may ask for this thread's stack */
        }
    }
    learn_me();
    WEFT_ASSERT(use == core->table); /* its first field */
    /* Whoever else comes stops here, too, and does no more harm. Again and again, as the end of the
     * other's operation may come after the first. */
    for (int i = 0; i < WATCH_TURNS; i++) {
        weft_store_relaxed(&use->state, weft_owner_state(weft_owner_thread_of(met), op));
        weft_pause();
    }
    report(core, met, op);
    weft_report_end();
}

/* ---- change of hands ------------------------------------------------------------------------- */

/* Stay busy for a moment: a thread that goes on with the map meets this one. */
static void watch(weft_core *core, weft_owner_use *use, weft_owner_op op) {
    WEFT_ASSERT(weft_owner_mine != UNKNOWN_STATE);
    uint32_t busy = weft_owner_state(my_number(), op);
    weft_store_relaxed(&use->state, busy);
    for (int i = 0; i < WATCH_TURNS + WATCH_YIELDS; i++) {
        if (i < WATCH_TURNS) {
            weft_pause();
        } else {
            weft_yield();
        }
        if (weft_load_relaxed(&use->state) != busy) {
            weft_owner_meet(core, use, op);
        }
    }
    weft_store_relaxed(&use->state, weft_owner_mine);
}

void weft_owner_change_hands(weft_core *core, weft_owner_use *use, weft_owner_op op) {
    WEFT_ASSERT(op != WEFT_OWNER_NOTHING && op < WEFT_OWNER_LOOK);
    learn_me();
    uint32_t before = weft_load_relaxed(&use->state);
    if (weft_owner_op_of(before) != WEFT_OWNER_NOTHING) {
        weft_owner_meet(core, use, op);
    }
    uint32_t last = weft_owner_thread_of(before);
    weft_store_relaxed(&use->state, weft_owner_mine);
    if (last != 0 && last != my_number()) {
        uint64_t changes = use->changes_of_hands++;
        if (changes < CHANGES_WATCHED || (changes & (CHANGES_BETWEEN - 1)) == 0) {
            watch(core, use, op);
        }
    }
}
