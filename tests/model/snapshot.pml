/* SPDX-License-Identifier: MIT */
/* Snapshots beside operations, and growth of the table that comes before or after. Each is the map
 * as it was at one moment between its call and its return. docs/design/snapshot.md.
 *   CAST 1   a write of key 0; an insert of key 1, then a lookup of key 0
 *   CAST 2   an update of key 0; a lookup of it; somebody who begins to move its bucket, and
 *            stops
 *   CAST 3   the same without the lookup; the snapshot is read twice
 *   CAST 4   two snapshots are taken at a time; an update of key 0, a lookup of it
 *   CAST 5   any operation; a mover, who makes the table grow when it has moved
 *   CAST 6   the same, but the mover may make it grow before that, and the snapshot be refused, or be
 *            taken of what it has become
 *   CAST 7   a write of key 0; an insert of key 1, then any operation of key 0
 *   CAST 8   as 5, of key 0, which is read in the snapshot
 *   CAST 9   any operation of key 0; it is read, and memory may be short
 *   CAST 11  an update of key 0; a lookup of it; memory may be short
 *   CAST 10  as 5, with an update of key 0 and a lookup of it; the mover moves a bucket in one step
 * Keys are in a bucket each, of one slot; in 10 there is one bucket at first, and key 1 is absent. */

#if CAST == 1 || CAST == 7
#define EVENTS 4
#elif CAST == 2 || CAST == 10 || CAST == 11
#define EVENTS 3
#elif CAST == 4
#define EVENTS 4
#define TAKERS 2
#else
#define EVENTS 2
#endif
#ifndef TAKERS
#define TAKERS 1
#endif
#if CAST == 3 || CAST == 8 || CAST == 9
#define READS
#endif
#if CAST == 9 || CAST == 11
#define SHORTAGE
#endif
#define GROWS (CAST == 5 || CAST == 6 || CAST == 8 || CAST == 10)
#define THREADS 4
#if CAST == 10
#define FIRST_SIZE 1
#else
#define FIRST_SIZE 2
#endif
#define USABLE 1
#if GROWS
#define GENERATIONS 3
#define WIDTH 4
#else
#define GENERATIONS 2
#define WIDTH 2
#endif
#define BUCKETS (GENERATIONS * WIDTH)
#define AT(g, i) ((g) * WIDTH + (i))
#define SIZE(g) size[g]
#define GROUPS(g) (size[g] < size[(g) + 1] -> size[g] : size[(g) + 1])
byte size[GENERATIONS + 1];

#define SNAPSHOTS
#include "word.pml"

proctype taker(byte p, number) {
    MOVE_VARIABLES;
    AUDIT_VARIABLES;
    byte has, taken;
    bit ok, published, given_up;
    take_snapshot(p, number);
#ifdef READS
    if
    :: published ->
        image_look(p, 0);
        atomic { result[number] = has; has = 0 }
#if CAST == 3
        image_look(p, 0);
        assert(has == result[number]);
#endif
        has = 0
    :: else
    fi;
    release_snapshot(p)
#endif
}

/* One operation after the other. */
proctype actor(byte p, next, turns) {
    OPERATION_VARIABLES;
    MOVE_VARIABLES;
    AUDIT_VARIABLES;
    byte op, k, e;
    do
    :: turns > 0 ->
        d_step {
            event_of = next; op = op_of[next]; k = key_in[next]; e = value_in[next]; next++; turns--
        }
        operate(p)
    :: turns == 0 -> break
    od
}

#if CAST == 2 || CAST == 3
/* Begins to move the bucket of key 0, and stops. */
proctype mover() {
    atomic { newest == 1 -> state[0] = state[0] | FROZEN }
}
#elif GROWS
/* The next generation that there was, and what has moved there, is lost. */
inline grow_over_all() {
    d_step {
        newest = g + 1;
        size[g + 1] = 2 * size[g];
        grown = 1;
        images = images & ~(1 << g);
        for (q : 0 .. WIDTH - 1) {
            state[AT(g + 1, q)] = 0;
            WORD(AT(g + 1, q), 0) = 0
        }
        q = 0
    }
}

/* Makes the table grow once, if nothing else is on the move, and moves all that is. */
proctype mover(byte p) {
    MOVE_VARIABLES;
    AUDIT_VARIABLES;
    byte g, j;
    bit grown;
    do
    :: g < 2 ->
#if MUTANT == 24 /* makes the table grow by a store, over a snapshot that came meanwhile */
        if
        :: newest == g && !grown && (g == 1 || CAST == 6) -> grow_over_all()
#else
        atomic {
            if
            :: newest == g && root == g && !grown && (g == 1 || CAST == 6) ->
                newest = g + 1; size[g + 1] = 2 * size[g]; grown = 1
#endif
            :: newest > g
            :: newest == g && grown -> goto over
            fi;
#if MUTANT != 24
        }
#endif
        do
#if MUTANT == 23 /* the root moves on from the image before all of it has moved */
        :: j < GROUPS(g) - (g == 0) ->
#else
        :: j < GROUPS(g) ->
#endif
            enter(p);
            if
#if CAST == 10
            :: atomic { root == g -> mg = g; mj = j; move_group() }
#else
            :: atomic { root == g -> mg = g; mj = j } move_group()
#endif
            :: else
            fi;
            atomic { leave(p); j++ }
        :: else -> break
        od;
        atomic { root = (root == g -> g + 1 : root); g++; j = 0 }
    :: else -> break
    od;
over:
    skip
}
#endif

inline event(n, operation, k, e) {
    op_of[n] = operation;
    key_in[n] = k;
    value_in[n] = e
}

inline any_event(n, from, k, e) {
    if
    :: (from) == GET -> event(n, GET, k, e)
    :: event(n, PUT, k, e)
    :: event(n, TAKE, k, e)
    fi
}

/* What the image holds in the end, whether it was read or not. */
#define SHOWS(k) IN_BUCKET(AT(images >> 1, (k) % SIZE(images >> 1)), k)
#define IN_BUCKET(b, k)                                                                            \
    (SLOT_IS_VALID(state[b], 0) && HOLDS(WORD(b, 0), k) -> ENTRY(WORD(b, 0)) : 0)

inline is_shown(n) {
    atomic {
        if
        :: result[n] != NO_ROOM ->
#ifdef READS
            assert(result[n] == SHOWS(0));
#else
            result[n] = (is_void -> NO_ROOM : SHOWS(0));
#endif
            second_result[n] = (is_void -> NO_ROOM : SHOWS(1))
        :: else
        fi
    }
}

init {
    atomic {
        size[0] = FIRST_SIZE;
        size[1] = FIRST_SIZE;
        size[2] = FIRST_SIZE * 2;
#if GENERATIONS == 3
        size[3] = FIRST_SIZE * 2;
#endif
        /* Key 0 is there, and key 1 was. */
        version[7] = 1;
        truth[0] = 7;
        last_version[0] = 1;
        last_version[1] = 6;
        word[0] = WORD_OF(7, 0);
        state[0] = STATE(3, 1);
        state[1] = STATE(3, 1);
        word[SLOTS] = 6 << 3 | GONE;
        op_of[0] = SNAPSHOT;
        run taker(0, 0);
        run opener(0);
#if CAST == 4
        op_of[1] = SNAPSHOT;
        run taker(1, 1);
        run opener(1);
        event(2, PUT, 0, 1);
        event(3, GET, 0, 2);
        run actor(2, 2, 1);
        run actor(3, 3, 1)
#elif GROWS
#if CAST == 10
        event(1, PUT, 0, 1);
        event(2, GET, 0, 2);
        run actor(1, 2, 1);
#else
        if
        :: any_event(1, GET, 0, 1)
#if CAST != 8
        :: any_event(1, GET, 1, 1)
#endif
        fi;
#endif
        run actor(2, 1, 1);
        run mover(3)
#else
        event(1, PUT, 0, 1);
#if CAST == 1 || CAST == 7
        any_event(1, PUT, 0, 1);
#elif CAST == 9
        any_event(1, GET, 0, 1);
#endif
        run actor(2, 1, 1);
#if CAST == 1
        event(2, PUT, 1, 2);
        event(3, GET, 0, 3);
        run actor(3, 2, 2)
#elif CAST == 2
        event(2, GET, 0, 2);
        run actor(3, 2, 1);
        run mover()
#elif CAST == 3
        run mover()
#elif CAST == 9
        skip
#elif CAST == 11
        event(2, GET, 0, 2);
        run actor(3, 2, 1)
#else
        event(2, PUT, 1, 2);
        any_event(3, GET, 0, 3);
        run actor(3, 2, 2)
#endif
#endif
    }
    _nr_pr == 1;
    is_shown(0);
#if TAKERS == 2
    is_shown(1);
#endif
    must_be_linearizable(7, 0)
}
