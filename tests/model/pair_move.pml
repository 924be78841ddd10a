/* SPDX-License-Identifier: MIT */
/* A bucket of the u64 shape that moves, one key to each of two targets, by somebody who goes through
 * its pairs once, and by whoever meets it and helps in the general way; and whose targets move
 * again. docs/design/growth.md, move_pairs in src/engine/lockfree_move.c.
 *   CAST 1   one mover, any two operations of one key
 *   CAST 2   one mover, an insert that announces itself, and gives up if that fails, and any operation
 *            of one key that was removed
 *   CAST 3   two movers, any operation
 *   CAST 4   as 2, but that operation claims from the beginning
 * MOVES says how often the table grows. When it grows again, the target of a bucket that has no
 * key of the model is left out: nobody looks at it. */

#define THREADS 2
#define BUCKETS (1 + 2 * MOVES)
#include "pair.pml"

#define GET 0
#define INSERT 1
#define PUT 2
#define TAKE 3
#define ANNOUNCES 1
#define CLAIMS 2
#define BOTH 3
#define WAYS (CAST == 4 -> CLAIMS : BOTH) /* of `any operation` */
/* The bucket of key k in generation g. */
#define AT(g, k) ((g) == 0 -> 0 : 2 * (g) - 1 + (k))
#define TARGET(k) AT(mg + 1, k)
#define KEY_MOVES(k) (mg == 0 || mb == AT(mg, k))

byte root;   /* the generation that readers begin with */
byte newest; /* generation g has a next one if g < newest */

#define IS_IN_SLOT(b, i, k)                                                                        \
    (SLOT_IS_VALID(state[b], i) && (FIRST(b, i) & ~PAIR_FROZEN) == WANTED(k))

/* Each key is where it lives, once, with its value, or not at all. */
inline audit(b) {
    for (a : 0 .. KEYS - 1) {
        at = 0;
        do
        :: at < newest && IS_FROZEN(state[AT(at, a)]) && state[AT(at + 1, a)] != 0 -> at++
        :: else -> break
        od;
        at = AT(at, a);
        assert(IS_IN_SLOT(at, 0, a) + IS_IN_SLOT(at, 1, a) == (truth[a] != 0));
        assert(!IS_IN_SLOT(at, 0, a) || SECOND(at, 0) == truth[a]);
        assert(!IS_IN_SLOT(at, 1, a) || SECOND(at, 1) == truth[a])
    }
    a = 0; at = 0
}

/* Bucket mb of generation mg is what moves. */
#define MOVE_VARIABLES                                                                             \
    byte mg; byte mb; int ms; short m1; byte m2; byte mi; byte used[KEYS]; byte mt; byte a; byte at; \
    bit mok

/* Marks valid pair mi of the source: m1, m2 is what it holds from now on. (freeze_pair) */
inline freeze_pair() {
    do
    :: m1 = FIRST(mb, mi);
        atomic {
            m2 = SECOND(mb, mi);
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
                cas_pair(mb, mi, m1, m2, m1 | a, m2, mok);
                a = 0;
                audit(0)
            }
            if
            :: atomic { mok -> m1 = FIRST(mb, mi); break }
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
    if
    :: atomic {
            KEY_MOVES(t) ->
            cas_state(TARGET(t), 0, (ms >> 8) << 8 | LIVE | ((1 << used[t]) - 1), mok);
            used[t] = 0;
            audit(0)
        }
    :: else
    fi
}

/* The general way, by anybody, also after others. */
inline move_in_general() {
    ms = state[mb];
    do
    :: IS_FROZEN(ms) -> break
    :: atomic {
            !IS_FROZEN(ms) ->
            cas_state(mb, ms, ms | FROZEN, mok);
            ms = (mok -> ms | FROZEN : state[mb]);
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
    atomic { mg = 0; mb = 0; ms = 0; m1 = 0; m2 = 0; mi = 0; mok = 0 }
}

/* The source does not change any more. */
inline fill_target(t) {
    if
    :: KEY_MOVES(t) && state[TARGET(t)] == 0 ->
        mi = 0;
        do
        :: atomic { mi < SLOTS && SLOT_IS_VALID(ms, mi) -> m1 = FIRST(mb, mi); m2 = SECOND(mb, mi) }
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
    ms = state[mb];
    mok = !IS_FROZEN(ms);
    if
    :: atomic { mok -> cas_state(mb, ms, ms | FROZEN, mok); audit(0) }
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
        atomic { mg = 0; mb = 0; ms = 0; m1 = 0; m2 = 0; mi = 0; mok = 0 }
    :: else -> move_in_general()
    fi
}

/* Moves all that there is to move. */
proctype mover() {
    MOVE_VARIABLES;
    byte g;
    do
    :: g < MOVES ->
        atomic { newest = (newest == g && root == g -> g + 1 : newest) }
        if
#if MUTANT == 10 /* takes a bucket that another one has frozen for one that has moved */
        :: atomic { root <= g && !IS_FROZEN(state[AT(g, 0)]) -> mg = g; mb = AT(g, 0) } move_pairs()
#else
        :: atomic { root <= g -> mg = g; mb = AT(g, 0) } move_pairs()
#endif
        :: else
        fi;
        atomic { root = (root == g -> g + 1 : root); g++ }
    :: else -> break
    od
}

/* The plain case, while there is no next generation. done = 1: it is over. */
inline plain_attempt(p) {
    s = state[b];
    plain_look(b, k);
    if
    :: atomic {
            op == GET || op == TAKE || slot != NONE ->
            f[0] = 0; f[1] = 0;
            plain_confirm(b);
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
        :: !done && ok && op == PUT -> n1 = w1; swing_pair(b, k, v, v); done = ok
        :: !done && ok && op == TAKE ->
            atomic { make_gone(p, s, slot); swing_pair(b, k, 0, w2); done = ok }
        fi
    :: atomic { (op == INSERT || op == PUT) && slot == NONE -> w2 = 0; open_slot(s) }
        if
        :: slot != NONE -> announce_and_fill(b, k, v, p); done = ok
        :: slot == NONE
        fi
    fi
}

/* ok = 1: the keys of the frozen bucket live in the next generation; gen is that one. */
inline follow(k) {
    assert(gen < newest);
    ok = (state[AT(gen + 1, k)] != 0);
    gen = gen + ok
}

inline find(k) {
    gen = root;
again:
    atomic { b = AT(gen, k); frozen = IS_FROZEN(state[b]); ok = 0 }
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
        :: IS_FROZEN(s) ->
            ok = (root <= gen);
            if
            :: atomic { ok -> mg = gen; mb = b } move_in_general()
            :: else /* the root moved past that bucket */
            fi
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

proctype thread(byte p, op, k, ways) {
    ATTEMPT_VARIABLES;
    MOVE_VARIABLES;
    byte v, b, gen;
    bit done, no_room, frozen;
    /* The root, and that it has no next one: it is still the root then. */
    atomic { begin_operation(p, k); v = 2 + p; ok = (newest == root); b = AT(root, k) }
    if
    :: ok && (ways & ANNOUNCES) != 0 -> plain_attempt(p)
    :: else
    fi;
    atomic { forget_attempt(); b = 0 }
    do
    :: done || (ways & CLAIMS) == 0 -> break
    :: !done && (ways & CLAIMS) != 0 ->
        attempt(p);
        atomic { forget_attempt(); b = 0; gen = 0; frozen = 0 }
    od;
    atomic { end_operation(p) }
}

inline choose_operation() {
    op = GET;
    do
    :: op < TAKE -> op++
    :: break
    od
}

inline present() {
    state[0] = 1 << 8 | LIVE | 1; first[0] = WANTED(0); second[0] = 1; truth[0] = 1
}

inline removed() {
    state[0] = 1 << 8 | LIVE | 1 | 4; first[0] = 31 << 5 | USED | GONE | TOGGLE; second[0] = 3
}

init {
    byte op;
    atomic {
#if CAST == 1
        present();
#elif CAST == 3
        if
        :: present()
        :: removed()
        fi;
#else
        removed();
#endif
        run mover();
        choose_operation();
        run thread(0, op, 0, WAYS);
#if CAST == 1
        choose_operation();
        run thread(1, op, 0, BOTH)
#elif CAST == 3
        run mover()
#else
        run thread(1, INSERT, 0, ANNOUNCES)
#endif
    }
}
