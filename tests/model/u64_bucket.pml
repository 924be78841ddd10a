/* SPDX-License-Identifier: MIT */
/* One bucket of the u64 shape: inserts by announcing and by claiming, updates, removals and lookups
 * of two keys by some threads. docs/design/update.md.
 *
 * The bucket begins untouched, with a key in it, or with what a removal left. There is no overflow:
 * an insert that finds no slot gives up.
 *   CAST 2   two threads, any two operations and keys
 *   CAST 3   three: an insert that announces itself, and gives up if that fails; a writer that
 *            claims; and one that looks or removes
 *   CAST 4   three, at a key that is there: another key's insert, its removal, and any operation
 *   CAST 5   two, at a slot that was emptied: an insert, and one that inserts, removes, inserts
 *   CAST 6   as 5, with two operations more: many more states */

#if CAST == 2 || CAST == 5 || CAST == 6
#define THREADS 2
#else
#define THREADS 3
#endif
#if CAST == 5
#define TURNS 3
#else
#define TURNS 5
#endif
#define BUCKETS 1
#include "pair.pml"

#define GET 0
#define INSERT 1
#define PUT 2
#define TAKE 3
#define ANNOUNCES 1
#define CLAIMS 2
#define BOTH 3

/* A pair without flags but USED is in a valid slot, no key is in two, and the key has its value. */
inline audit(b) {
    for (a : 0 .. KEYS - 1) {
        assert((FIRST(0, 0) == WANTED(a)) + (FIRST(0, 1) == WANTED(a)) == (truth[a] != 0));
        assert(FIRST(0, 0) != WANTED(a) ||
               (SECOND(0, 0) == truth[a] && SLOT_IS_VALID(state[0], 0)));
        assert(FIRST(0, 1) != WANTED(a) ||
               (SECOND(0, 1) == truth[a] && SLOT_IS_VALID(state[0], 1)))
    }
    a = 0
}

/* The plain case, which is the first attempt of each operation. done = 1: it is over. */
inline plain_attempt(p) {
    atomic { begin_operation(p, k); s = state[0] }
    plain_look(0, k);
    if
    :: atomic {
            op == GET || op == TAKE || slot != NONE ->
            f[0] = 0; f[1] = 0;
            plain_confirm(0);
            if
            :: ok && (op == GET || op == INSERT || slot == NONE) ->
                answer(p, (slot == NONE -> 0 : w2));
                done = 1;
                forget_attempt()
            :: else
            fi
        }
        if
        :: done || !ok
        :: !done && ok && op == PUT -> n1 = w1; swing_pair(0, k, v, v); done = ok
        :: !done && ok && op == TAKE ->
            atomic { make_gone(p, s, slot); swing_pair(0, k, 0, w2); done = ok }
        fi
    :: atomic { (op == INSERT || op == PUT) && slot == NONE -> w2 = 0; open_slot(s) }
        if
        :: slot != NONE -> announce_and_fill(0, k, v, p); done = ok
        :: slot == NONE
        fi
    fi
}

/* Later attempts, through find and swing. */
inline attempt(p) {
    look(0, k);
    if
    :: !ok
    :: ok && slot != NONE && (w1 & CLAIMED) == 0 ->
        if
        :: op == GET || op == INSERT -> atomic { answer(p, w2); done = 1; forget_attempt() }
        :: op == PUT -> n1 = w1; swing_pair(0, k, v, v); done = ok
        :: op == TAKE ->
            atomic { make_gone(p, s, slot); swing_pair(0, k, 0, w2) }
            if
            :: ok -> sweep(0); done = 1
            :: !ok
            fi
        fi
    :: ok && !(slot != NONE && (w1 & CLAIMED) == 0) ->
        if
        :: op == GET || op == TAKE -> atomic { answer(p, 0); done = 1; forget_attempt() }
        :: (op == INSERT || op == PUT) && slot != NONE -> fill_claim(0, k, v); done = ok
        :: (op == INSERT || op == PUT) && slot == NONE ->
            claim_and_fill(0, k, v, p);
            d_step { done = ok | no_room; no_room = 0 }
        fi
    fi
}

inline operate(p) {
    if
    :: (ways & ANNOUNCES) != 0 -> plain_attempt(p)
    :: (ways & ANNOUNCES) == 0 -> begin_operation(p, k)
    fi;
    atomic { forget_attempt() }
    do
    :: done || (ways & CLAIMS) == 0 -> break
    :: !done && (ways & CLAIMS) != 0 -> attempt(p); atomic { forget_attempt() }
    od;
    atomic { end_operation(p); done = 0 }
}


proctype thread(byte p, op, k, ways) {
    ATTEMPT_VARIABLES;
    byte a, v;
    bit done, no_room;
    v = 2 + p;
    operate(p)
}

/* Inserts and removes in turn. */
proctype churner(byte p, k) {
    ATTEMPT_VARIABLES;
    byte a, v, op, turn;
    byte ways = BOTH;
    bit done, no_room;
    do
    :: turn < TURNS ->
        d_step { op = (turn % 2 == 0 -> INSERT : TAKE); v = 3 }
        operate(p);
        turn++
    :: turn == TURNS -> break
    od
}

inline choose_key() {
    if
    :: k = 0
    :: k = 1
    fi
}

inline choose_operation(first_op, last_op) {
    op = first_op;
    do
    :: op < last_op -> op++
    :: break
    od
}

/* What the bucket begins with. */
inline untouched() {
    skip
}

inline present() {
    state[0] = 1 << 8 | LIVE | 1; first[0] = WANTED(0); second[0] = 1; truth[0] = 1
}

inline removed() {
    state[0] = 1 << 8 | LIVE | 1 | 4; first[0] = 31 << 5 | USED | GONE | TOGGLE; second[0] = 3
}

inline removed_beside_another() {
    state[0] = 1 << 8 | LIVE | 3; first[0] = 31 << 5 | USED | GONE;
    first[1] = WANTED(1); second[1] = 1; truth[1] = 1
}

init {
    byte op, k;
    atomic {
#if CAST == 4
        present();
        choose_operation(GET, TAKE);
        run thread(0, INSERT, 1, BOTH);
        run thread(1, TAKE, 0, BOTH);
        run thread(2, op, 0, BOTH)
#elif CAST == 5 || CAST == 6
        removed();
        run thread(0, INSERT, 0, BOTH);
        run churner(1, 0)
#else
        if
        :: untouched()
        :: present()
        :: removed()
        :: removed_beside_another()
        fi;
#if CAST == 2
        choose_operation(GET, TAKE);
        choose_key();
        run thread(0, op, k, BOTH);
        choose_operation(GET, TAKE);
        choose_key();
        run thread(1, op, k, BOTH)
#else
        run thread(0, INSERT, 0, ANNOUNCES);
        choose_operation(INSERT, PUT);
        choose_key();
        run thread(1, op, k, CLAIMS);
        choose_operation(PUT, TAKE);
        choose_key();
        run thread(2, (op == PUT -> GET : op), k, BOTH)
#endif
#endif
    }
}
