/* SPDX-License-Identifier: MIT */
/* A bucket of the u64 shape that moves, one key to each of two targets, by somebody who goes through
 * its pairs once, and by whoever meets it and helps in the general way. docs/design/growth.md,
 * move_pairs in src/engine/lockfree_move.c.
 *   CAST 1   one mover, any two operations of one key
 *   CAST 2   one mover, an insert and any operation of one key that was removed
 *   CAST 3   two movers, any operation */

#define THREADS 2
#define BUCKETS 3 /* the source; the target of key 0, that of key 1 */
#include "pair.pml"

#define GET 0
#define INSERT 1
#define PUT 2
#define TAKE 3
#define TARGET(k) (1 + (k))

bit moving; /* there is a next generation */

#define IS_IN_SLOT(b, i, k)                                                                        \
    (SLOT_IS_VALID(state[b], i) && (FIRST(b, i) & ~PAIR_FROZEN) == WANTED(k))

/* Each key is where it lives, once, with its value, or not at all. */
inline audit(b) {
    for (a : 0 .. KEYS - 1) {
        at = (IS_FROZEN(state[0]) && state[TARGET(a)] != 0 -> TARGET(a) : 0);
        assert(IS_IN_SLOT(at, 0, a) + IS_IN_SLOT(at, 1, a) == (truth[a] != 0));
        assert(!IS_IN_SLOT(at, 0, a) || SECOND(at, 0) == truth[a]);
        assert(!IS_IN_SLOT(at, 1, a) || SECOND(at, 1) == truth[a])
    }
    a = 0; at = 0
}

#define MOVE_VARIABLES int ms; short m1; byte m2; byte mi; byte used[KEYS]; byte mt; byte a; byte at; bit mok

/* Marks valid pair mi of the source: m1, m2 is what it holds from now on. (freeze_pair) */
inline freeze_pair() {
    do
    :: m1 = FIRST(0, mi);
        atomic {
            m2 = SECOND(0, mi);
#if MUTANT == 8 /* lets announced inserts fill slots that have moved */
            mok = !PAIR_IS_EMPTY(m1)
#else
            mok = !PAIR_IS_EMPTY(m1) || PENDING(ms, mi, m1)
#endif
        }
        if
        :: (m1 & PAIR_FROZEN) != 0 || !mok -> break
        :: atomic {
                (m1 & PAIR_FROZEN) == 0 && mok ->
                a = (PAIR_IS_EMPTY(m1) -> USED | GONE | PAIR_FROZEN : PAIR_FROZEN);
                cas_pair(0, mi, m1, m2, m1 | a, m2, mok);
                a = 0;
                audit(0)
            }
            if
            :: atomic { mok -> m1 = FIRST(0, mi); break }
            :: else
            fi
        fi
    od
}

/* What pair m1, m2 gives to its target, unless only that of target `wanted` is filled. */
inline fill_from_pair(wanted) {
    if
    :: atomic {
            SETTLED(m1) && (wanted == NONE || (m1 >> 5) == wanted) ->
            mt = m1 >> 5;
#if MUTANT == 9 /* fills by a store */
            FIRST(TARGET(mt), used[mt]) = WANTED(mt);
            SECOND(TARGET(mt), used[mt]) = m2;
#else
            cas_pair(TARGET(mt), used[mt], 0, 0, WANTED(mt), m2, mok);
#endif
            used[mt]++;
            mt = 0;
            audit(0)
        }
    :: else
    fi
}

inline publish_target(t) {
    atomic {
        cas_state(TARGET(t), 0, (ms >> 8) << 8 | LIVE | ((1 << used[t]) - 1), mok);
        used[t] = 0;
        audit(0)
    }
}

/* The general way, by anybody, also after others. */
inline move_in_general() {
    ms = state[0];
    do
    :: IS_FROZEN(ms) -> break
    :: atomic {
            !IS_FROZEN(ms) ->
            cas_state(0, ms, ms | FROZEN, mok);
            ms = (mok -> ms | FROZEN : state[0]);
            audit(0)
        }
    od;
    mi = 0;
    do
    :: mi < SLOTS && SLOT_IS_VALID(ms, mi) -> freeze_pair(); mi++
    :: mi < SLOTS && !SLOT_IS_VALID(ms, mi) -> mi++
    :: else -> break
    od;
    fill_target(0);
    fill_target(1);
    atomic { ms = 0; m1 = 0; m2 = 0; mi = 0; mok = 0 }
}

/* The source does not change any more. */
inline fill_target(t) {
    if
    :: state[TARGET(t)] == 0 ->
        mi = 0;
        do
        :: atomic { mi < SLOTS && SLOT_IS_VALID(ms, mi) -> m1 = FIRST(0, mi); m2 = SECOND(0, mi) }
            fill_from_pair(t);
            mi++
        :: mi < SLOTS && !SLOT_IS_VALID(ms, mi) -> mi++
        :: else -> break
        od;
        publish_target(t)
    :: else
    fi
}

/* Once through the pairs, by who has frozen the bucket; else the general way. (move_pairs) */
inline move_pairs() {
    ms = state[0];
    mok = !IS_FROZEN(ms);
    if
    :: atomic { mok -> cas_state(0, ms, ms | FROZEN, mok); audit(0) }
    :: else
    fi;
    if
    :: mok ->
        mi = 0;
        do
        :: mi < SLOTS && SLOT_IS_VALID(ms, mi) ->
            freeze_pair();
            fill_from_pair(NONE);
            mi++
        :: mi < SLOTS && !SLOT_IS_VALID(ms, mi) -> mi++
        :: else -> break
        od;
        publish_target(0);
        publish_target(1);
        atomic { ms = 0; m1 = 0; m2 = 0; mi = 0; mok = 0 }
    :: else -> move_in_general()
    fi
}

proctype mover() {
    MOVE_VARIABLES;
    moving = 1;
    move_pairs()
}

/* The plain case, while there is no next generation: in bucket 0. done = 1: it is over. */
inline plain_attempt(p) {
    s = state[0];
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

/* b = the target of key k, if that lives. */
inline follow(k) {
    ok = (state[TARGET(k)] != 0);
    b = (ok -> TARGET(k) : b)
}

inline find(k) {
    b = 0;
again:
    atomic { frozen = IS_FROZEN(state[b]); ok = 0 }
    if
    :: atomic { frozen -> follow(k) }
        if
        :: ok -> goto again
        :: else
        fi
    :: else
    fi;
    look(b, k);
    if
    :: !ok || (IS_FROZEN(s) && !frozen) -> goto again
    :: atomic { ok && IS_FROZEN(s) && frozen -> follow(k) }
        if
        :: ok -> goto again
        :: else
        fi
    :: ok && !IS_FROZEN(s)
    fi
}

#define HAS_VALUE (slot != NONE && (w1 & CLAIMED) == 0)

inline attempt(p) {
    find(k);
    if
    :: atomic { op == GET || HAS_VALUE && op == INSERT || !HAS_VALUE && op == TAKE ->
            w2 = (slot == NONE || (w1 & CLAIMED) != 0 -> 0 : w2); answer(p, w2); done = 1 }
    :: else ->
        if
        :: IS_FROZEN(s) -> move_in_general()
        :: !IS_FROZEN(s) && HAS_VALUE && (w1 & PAIR_FROZEN) != 0 /* since it was looked at */
        :: !IS_FROZEN(s) && HAS_VALUE && (w1 & PAIR_FROZEN) == 0 && op == PUT ->
            n1 = w1; swing_pair(b, k, v, v); done = ok
        :: !IS_FROZEN(s) && HAS_VALUE && (w1 & PAIR_FROZEN) == 0 && op == TAKE ->
            atomic { make_gone(p, s, slot); swing_pair(b, k, 0, w2) }
            if
            :: ok -> sweep(b); done = 1
            :: !ok
            fi
        :: !IS_FROZEN(s) && !HAS_VALUE && slot != NONE -> fill_claim(b, k, v); done = ok
        :: !IS_FROZEN(s) && !HAS_VALUE && slot == NONE ->
            claim_and_fill(b, k, v, p);
            d_step { done = ok | no_room; no_room = 0 }
        fi
    fi
}

proctype thread(byte p, op, k) {
    ATTEMPT_VARIABLES;
    MOVE_VARIABLES;
    byte v, b;
    bit done, no_room, frozen;
    atomic { begin_operation(p, k); v = 2 + p; ok = !moving }
    if
    :: ok -> plain_attempt(p)
    :: else
    fi;
    atomic { forget_attempt() }
    do
    :: done -> break
    :: !done -> attempt(p); atomic { forget_attempt(); b = 0; frozen = 0 }
    od;
    atomic { end_operation(p) }
}

init {
    byte op;
    atomic {
        /* A key that is there, or one that was removed. */
        if
        :: CAST != 2 -> state[0] = 1 << 8 | LIVE | 1; first[0] = WANTED(0); second[0] = 1; truth[0] = 1
        :: CAST != 1 -> state[0] = 1 << 8 | LIVE | 1 | 4; first[0] = 31 << 5 | USED | GONE | TOGGLE;
            second[0] = 3
        fi;
        run mover();
        op = GET;
        do
        :: op < TAKE -> op++
        :: break
        od;
        run thread(0, op, 0);
#if CAST == 3
        run mover()
#elif CAST == 2
        run thread(1, INSERT, 0)
#else
        op = GET;
        do
        :: op < TAKE -> op++
        :: break
        od;
        run thread(1, op, 0)
#endif
    }
}
