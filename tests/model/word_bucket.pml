/* SPDX-License-Identifier: MIT */
/* One bucket of the bytes shape: inserts that reserve a slot and publish it, updates, removals and
 * who frees their slots, lookups. Versions of a key rise, also across its removal. No entry is
 * looked at that may have been freed. docs/design/update.md.
 *
 * Any operation, beside a thread that puts and takes another or the same key, TURNS times. */

#define THREADS 2
#define BUCKETS 2
#define AT(g, i) (g)
#define SIZE(g) 1
#define GROUPS(g) 1

#include "word.pml"

proctype churner(byte p, k) {
    OPERATION_VARIABLES;
    MOVE_VARIABLES;
    AUDIT_VARIABLES;
    byte op, e, turn;
    do
    :: turn < TURNS ->
        op = (truth[k] == 0 -> PUT : TAKE);
        e = turn + 2;
        operate(p);
        turn++
    :: turn == TURNS -> break
    od
}

inline choose_operation() {
    op = GET;
    do
    :: op < TAKE -> op++
    :: break
    od;
    if
    :: k = 0
    :: k = 1
    fi
}

init {
    byte op, k;
    atomic {
        /* Key 0 is there; key 1 was, and its slot is free or not yet. */
        state[0] = STATE(3, 3);
        if
        :: state[0] = STATE(7, 1)
        :: skip
        fi;
        word[0] = WORD_OF(7, 0);
        word[1] = 6 << 3 | GONE;
        version[7] = 1;
        truth[0] = 7;
        last_version[0] = 1;
        last_version[1] = 6;
        choose_operation();
        run thread(0, op, k, 1);
        choose_operation();
        run churner(1, k);
        op = 0; k = 0
    }
}
