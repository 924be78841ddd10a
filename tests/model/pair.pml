/* SPDX-License-Identifier: MIT */
/* The u64 shape's bucket, for Spin: the words of src/engine/lockfree_layout.h with fewer slots, and
 * the steps of lockfree_u64.h and lockfree.c. Each access to a shared word is a step of its own;
 * what only touches a thread's own variables is done with the access before it.
 *
 *   state   version << 8 | FROZEN | LIVE | toggles << 2 | valid slots
 *   pair    first: (key or stamp) << 5 | flags, second: value, or a claim's stamp
 *
 * The including model defines BUCKETS, THREADS, and audit(), which is called after each change. */

#define SLOTS 2
#define ALL_SLOTS 3
#define NONE 7
#define KEYS 2

#define VALID(s) ((s) & 3)
#define TOGGLES(s) ((s) >> 2 & 3)
#define MEMBERS(s) ((s) & 15)
#define LIVE 16
#define FROZEN 32
#define IS_FROZEN(s) (((s) & FROZEN) != 0)
#define NEXT_STATE(s, members) ((((s) >> 8) + 1) << 8 | LIVE | (members))
#define SLOT_IS_VALID(s, i) (((s) >> (i) & 1) != 0)
#define TOGGLE_FLAG(s, i) (((s) >> (2 + (i)) & 1) * TOGGLE)

#define USED 1
#define PAIR_FROZEN 2
#define GONE 4
#define CLAIMED 8
#define TOGGLE 16
#define MOMENT (PAIR_FROZEN | CLAIMED | TOGGLE)
#define WANTED(k) ((k) << 5 | USED)
#define PAIR_IS_EMPTY(w) (((w) & (USED | GONE)) != USED)
#define PENDING(s, i, w) (PAIR_IS_EMPTY(w) && ((w) & TOGGLE) != TOGGLE_FLAG(s, i))
#define CLAIM_IS_VOID(s, i, w) (((w) & CLAIMED) != 0 && ((w) & TOGGLE) == TOGGLE_FLAG(s, i))
#define SETTLED(w) (((w) & (USED | GONE | CLAIMED)) == USED)
#define IS_KEY(w, k) (((w) & ~MOMENT) == WANTED(k))

/* A number that is given out once: counted by the thread, with the thread's number. */
#define STAMP(p) (stamps[p] * THREADS + (p))

#define FIRST(b, i) first[(b) * SLOTS + (i)]
#define SECOND(b, i) second[(b) * SLOTS + (i)]

int state[BUCKETS];
short first[BUCKETS * SLOTS];
byte second[BUCKETS * SLOTS];
byte stamps[THREADS];

#include "truth.pml"

inline cas_state(b, was, becomes, done) {
    if
    :: state[b] == (was) -> state[b] = becomes; done = 1
    :: else -> done = 0
    fi
}

inline cas_pair(b, i, was1, was2, becomes1, becomes2, done) {
    if
    :: FIRST(b, i) == (was1) && SECOND(b, i) == (was2) ->
        FIRST(b, i) = becomes1;
        SECOND(b, i) = becomes2;
        done = 1
    :: else -> done = 0
    fi
}

/* Variables of a thread's attempt. */
#define ATTEMPT_VARIABLES                                                                          \
    int s; short f[SLOTS]; short w1; byte w2; short n1; byte slot; byte i; byte q; bit ok

inline forget_attempt() {
    s = 0; f[0] = 0; f[1] = 0; w1 = 0; w2 = 0; n1 = 0; slot = 0; i = 0; ok = 0
}

/* Looks at bucket b for key k: slot (NONE: absent), w1, w2; ok = 0: the bucket changed meanwhile.
 * Not absent means that the pair is claimed or holds the key. (look, find_in_pairs) */
inline look(b, k) {
    s = state[b];
    f[0] = FIRST(b, 0);
    atomic { f[1] = FIRST(b, 1); slot = NONE; i = 0; next_match(k) }
    do
    :: atomic { slot == NONE && i < SLOTS -> w1 = FIRST(b, i) }
        atomic {
            w2 = SECOND(b, i);
            if
            :: IS_KEY(w1, k) && !CLAIM_IS_VOID(s, i, w1) -> slot = i
            :: else -> w1 = 0; w2 = 0; i++; next_match(k)
            fi
        }
    :: atomic {
            slot != NONE || i == SLOTS ->
#if MUTANT == 1 /* believes a look at a bucket that changed meanwhile */
            ok = 1;
#else
            ok = (state[b] == s);
#endif
            f[0] = 0; f[1] = 0; i = 0;
            break
        }
    od
}

/* The next slot from i on that may have the key, or SLOTS: to i. */
inline next_match(k) {
    do
    :: i < SLOTS && !(IS_KEY(f[i], k) && SLOT_IS_VALID(s, i)) -> i++
    :: else -> break
    od
}

/* The look of a plain case: pairs are compared whole, and valid bits are not looked at.
 * (plain_find, weft_u64map_get) */
inline plain_look(b, k) {
    f[0] = FIRST(b, 0);
    atomic {
        f[1] = FIRST(b, 1);
        slot = (f[0] == WANTED(k) -> 0 : (f[1] == WANTED(k) -> 1 : NONE));
        if
        :: slot != NONE -> f[0] = 0; f[1] = 0; w1 = WANTED(k)
        :: else
        fi
    }
    if
    :: slot != NONE -> w2 = SECOND(b, slot)
    :: else
    fi
}

/* Nothing is being moved, and the state is still the same. */
inline plain_confirm(b) {
#if MUTANT == 2 /* tells the value of a slot that another key has taken meanwhile */
    ok = !IS_FROZEN(s)
#else
    ok = (state[b] == s && !IS_FROZEN(s))
#endif
}

/* The slot in which an insert may be announced, or NONE: to `slot`. (open_slots) */
inline open_slot(s0) {
    slot = (!SETTLED(f[0]) -> 0 : (!SETTLED(f[1]) -> 1 : NONE));
#if MUTANT != 3 /* inserts beside one that was announced */
    if
    :: !SETTLED(f[0]) && (f[0] & TOGGLE) != TOGGLE_FLAG(s0, 0) -> slot = NONE
    :: !SETTLED(f[1]) && (f[1] & TOGGLE) != TOGGLE_FLAG(s0, 1) -> slot = NONE
    :: else
    fi;
#endif
    f[0] = 0; f[1] = 0
}

#if MUTANT == 5 /* announces itself, but does not say where */
#define ANNOUNCING(s, i) NEXT_STATE(s, MEMBERS(s) | 1 << (i))
#else
#define ANNOUNCING(s, i) NEXT_STATE(s, (MEMBERS(s) | 1 << (i)) ^ 4 << (i))
#endif

/* Announce, then fill. ok = 1: inserted. (plain_insert, plain_put) */
inline announce_and_fill(b, k, v, p) {
    w1 = FIRST(b, slot);
    atomic {
        w2 = SECOND(b, slot);
#if MUTANT == 7 /* announces itself over a pair that does not agree with the state */
        ok = PAIR_IS_EMPTY(w1)
#else
        ok = PAIR_IS_EMPTY(w1) && !PENDING(s, slot, w1)
#endif
    }
    if
    :: atomic { ok -> plain_confirm(b) }
        if
        :: atomic { ok -> cas_state(b, s, ANNOUNCING(s, slot), ok); s = 0; audit(b) }
            if
            :: atomic {
                    ok ->
                    cas_pair(b, slot, w1, w2, WANTED(k), v, ok);
                    if
                    :: ok -> assert(truth[k] == 0); truth_becomes(k, v)
                    :: else
                    fi;
                    audit(b)
                }
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

/* The pair that was seen becomes {n1, second_new}, and the key's value value_new, which is 0
 * for a removal. ok = 1: done. */
inline swing_pair(b, k, value_new, second_new) {
    d_step {
        cas_pair(b, slot, w1, w2, n1, second_new, ok);
        if
        :: ok -> assert(truth[k] == w2); truth_becomes(k, value_new)
        :: else
        fi;
        audit(b)
    }
}

/* What a removal leaves, the like of which was never in a slot before. */
inline make_gone(p, s0, i0) {
    stamps[p]++;
    n1 = STAMP(p) << 5 | USED | GONE | TOGGLE_FLAG(s0, i0)
}

/* w1, w2: a claim. Whoever fills it has inserted the key. (fill_claim) */
inline fill_claim(b, k, v) {
    d_step {
        assert((w1 & CLAIMED) != 0);
        cas_pair(b, slot, w1, w2, w1 & ~(CLAIMED | TOGGLE), v, ok);
        if
        :: ok -> assert(truth[k] == 0); truth_becomes(k, v)
        :: else
        fi;
        audit(b)
    }
}

/* ok = 0: an insert that was announced filled its slot meanwhile, with this key, or something else
 * changed. (stop_pending) */
inline stop_pending(b, k, p) {
    f[0] = FIRST(b, 0);
    atomic { f[1] = FIRST(b, 1); i = 0; ok = 1; next_pending(k) }
    do
    :: atomic { ok && i < SLOTS -> w2 = SECOND(b, i); make_gone(p, s, i) }
        atomic {
            cas_pair(b, i, f[i], w2, n1, w2, ok);
            audit(b);
            i++;
            next_pending(k)
        }
    :: atomic {
            !ok || i == SLOTS ->
            f[0] = 0; f[1] = 0; w2 = 0; n1 = 0; i = 0;
            break
        }
    od
}

/* The next slot from i on that an insert was announced for, or SLOTS: to i. ok = 0: before that one
 * there is the key. */
inline next_pending(k) {
    do
    :: i < SLOTS && ok && (f[i] & ~(PAIR_FROZEN | TOGGLE)) == WANTED(k) && SLOT_IS_VALID(s, i) ->
        ok = 0
#if MUTANT == 4 /* lets announced inserts go on */
    :: i < SLOTS && ok && !((f[i] & ~(PAIR_FROZEN | TOGGLE)) == WANTED(k) && SLOT_IS_VALID(s, i)) ->
        i++
#else
    :: i < SLOTS && ok && !((f[i] & ~(PAIR_FROZEN | TOGGLE)) == WANTED(k) && SLOT_IS_VALID(s, i)) &&
           !PENDING(s, i, f[i]) -> i++
#endif
    :: else -> break
    od
}

/* Slots that s0 calls valid and whose keys are gone: to i, as a set. (gone_slots) */
inline gone_slots(b, s0) {
    f[0] = FIRST(b, 0);
    d_step {
        f[1] = FIRST(b, 1);
        i = (SLOT_IS_VALID(s0, 0) && (f[0] & GONE) != 0 && !PENDING(s0, 0, f[0]) -> 1 : 0) +
            (SLOT_IS_VALID(s0, 1) && (f[1] & GONE) != 0 && !PENDING(s0, 1, f[1]) -> 2 : 0);
        f[0] = 0; f[1] = 0
    }
}

/* Frees the slots of removed keys. (sweep_slots) */
inline sweep(b) {
    do
    :: s = state[b];
        if
        :: IS_FROZEN(s) -> break
        :: else -> gone_slots(b, s)
        fi;
        if
        :: i == 0 -> break
        :: atomic {
                i != 0 ->
                cas_state(b, s, NEXT_STATE(s, MEMBERS(s) & ~i), ok);
                audit(b);
                if
                :: ok -> break
                :: else
                fi
            }
        fi
    od;
    atomic { s = 0; i = 0; ok = 0 }
}

/* A slot that is not valid, and holds nothing or what was removed: slot, w1, w2. (free_slot) */
inline free_slot(b) {
    atomic { slot = NONE; i = 0; next_unused() }
    do
    :: atomic { slot == NONE && i < SLOTS -> w1 = FIRST(b, i) }
        atomic {
            w2 = SECOND(b, i);
            if
            :: PAIR_IS_EMPTY(w1) -> slot = i
            :: else -> w1 = 0; w2 = 0; i++; next_unused()
            fi
        }
    :: atomic { slot != NONE || i == SLOTS -> i = 0; break }
    od
}

inline next_unused() {
    do
    :: i < SLOTS && SLOT_IS_VALID(s, i) -> i++
    :: else -> break
    od
}

/* The insert was not published: the claim n1, stamp is taken back. (give_slot_back) */
inline give_slot_back(b, p) {
    s = state[b];
    d_step {
        cas_pair(b, slot, n1, STAMP(p), USED | GONE | TOGGLE_FLAG(s, slot), STAMP(p), ok);
        ok = 0;
        audit(b)
    }
}

/* Inserts key k, absent in state s, through a claim; ok = 1: done. no_room = 1: there is no slot.
 * (swing_absent) */
inline claim_and_fill(b, k, v, p) {
    stop_pending(b, k, p);
    if
    :: ok ->
        gone_slots(b, s);
        atomic { q = i; i = 0 }
        free_slot(b);
        if
        :: slot == NONE && q != 0 -> q = 0; sweep(b); ok = 0
        :: slot == NONE && q == 0 -> ok = 0; no_room = 1
        :: atomic {
                slot != NONE ->
                q = 0;
                ok = (state[b] == s)
            }
            if
            :: atomic { ok -> make_claim(b, k, p) }
                if
                :: atomic {
                        ok ->
                        cas_state(b, s, NEXT_STATE(s, MEMBERS(s) | 1 << slot), ok);
                        audit(b)
                    }
                    if
                    :: atomic { ok -> w1 = n1; w2 = STAMP(p) } fill_claim(b, k, v)
                    :: !ok -> give_slot_back(b, p)
                    fi
                :: !ok
                fi
            :: !ok
            fi
        fi
    :: else
    fi
}

inline make_claim(b, k, p) {
    stamps[p]++;
#if MUTANT == 6 /* a claim has the slot's toggle: that it is void cannot be told */
    n1 = WANTED(k) | CLAIMED | TOGGLE_FLAG(s, slot);
#else
    n1 = WANTED(k) | CLAIMED | (TOGGLE_FLAG(s, slot) ^ TOGGLE);
#endif
    cas_pair(b, slot, w1, w2, n1, STAMP(p), ok);
    audit(b)
}
