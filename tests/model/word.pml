/* SPDX-License-Identifier: MIT */
/* The bytes shape's bucket, and how buckets move, for Spin: the words of
 * src/engine/lockfree_layout.h with fewer slots, and the steps of lockfree.c and lockfree_move.c.
 * Each access to a shared word is a step of its own; what only touches a thread's own variables, or
 * what cannot change any more, is done with the access before it.
 *
 *   state   version << 4 | FROZEN | LIVE | valid slots
 *   word    entry << 4 | key << 3 | flags, or a removal's version << 3 | GONE
 *
 * An entry is a number that is used once. It may be freed when all operations that ran when it was
 * unlinked have ended; nobody may look at it then. All keys have the same tag: a lookup looks at
 * each entry that it meets.
 *
 * The including model defines THREADS, BUCKETS, AT(g, i), the bucket number i of generation g,
 * SIZE(g), how many it has, and GROUPS(g), the fewer of these and the next one's. With SNAPSHOTS it
 * defines what image.pml says. */

#define SLOTS 2
#ifndef USABLE
#define USABLE SLOTS /* slots that an insert may take */
#endif
#define NONE 7
#define KEYS 2
#define ENTRIES 8

#define VALID(s) ((s) & 3)
#define LIVE 4
#define FROZEN 8
#define IS_FROZEN(s) (((s) & FROZEN) != 0)
#define VERSION(s) ((s) >> 4)
#define SLOT_IS_VALID(s, i) (((s) >> (i) & 1) != 0)
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define STATE(version, valid) ((version) << 4 | LIVE | (valid))

#define WORD_FROZEN 1
#define GONE 2
#define UPPER 4
#define WORD_OF(e, k) ((e) << 4 | (k) << 3)
#define ENTRY(w) ((w) >> 4)
#define KEY(w) ((w) >> 3 & 1)
#define HOLDS(w, k) (((w) & GONE) == 0 && (w) != 0 && KEY(w) == (k))

#define WORD(b, i) word[(b) * SLOTS + (i)]

#define SOURCES(g) (SIZE(g) / GROUPS(g))
#define TARGETS(g) (SIZE((g) + 1) / GROUPS(g))
#define MARKED(g, w)                                                                               \
    ((w) | WORD_FROZEN | UPPER * (TARGETS(g) == 2 && (KEY(w) & GROUPS(g)) != 0))
#define IS_IN_OTHER_HALF(g, w, k)                                                                  \
    (frozen && ((w) & WORD_FROZEN) != 0 && TARGETS(g) == 2 &&                                      \
     (((w) & UPPER) != 0) != (((k) & GROUPS(g)) != 0))

#ifndef SNAPSHOTS
#define LEAVES_DOORS(p) skip
#define CALLED(p) skip
#define RETURNED(p) skip
#define RESULT(p, v) skip
#define RETIRE(p, k) skip
#define MAY_GO_ON true
#define MOVE_GROUP(p) move_group()
#define FORGET_SNAPSHOTS skip
#define OPERATION_VARIABLES_OF_SNAPSHOTS
#endif

short state[BUCKETS];
short word[BUCKETS * SLOTS];
byte root;   /* the generation that readers begin with */
byte newest; /* generation g has a next one if g < newest */

#include "truth.pml"

/* Entries: their versions; who may still look at one that was unlinked. */
#define LINKED 255
#define KEPT 253 /* and 254: by a snapshot */
byte version[ENTRIES];
byte readers[ENTRIES] = LINKED;
byte guards;
byte last_version[KEYS];

/* Somebody reads the entry's key. */
inline touch(e) {
    assert(readers[e] != 0)
}

inline enter(p) {
    guards = guards | 1 << (p)
}

inline leave(p) {
    guards = guards & ~(1 << (p));
    for (q : 0 .. ENTRIES - 1) {
        if
        :: readers[q] < KEPT -> readers[q] = readers[q] & ~(1 << (p))
        :: else
        fi
    }
    q = 0;
    LEAVES_DOORS(p)
}

inline retire(e) {
    readers[e] = guards
}

#define MAY_CHANGE (MAY_GO_ON && !IS_FROZEN(s))

#ifdef SNAPSHOTS
#include "image.pml"
#endif

/* Where key k lives: to `a`. */
inline bucket_of_truth(k) {
    g2 = root;
    do
    :: IS_FROZEN(state[AT(g2, (k) % SIZE(g2))]) && g2 < newest &&
           state[AT(g2 + 1, (k) % SIZE(g2 + 1))] != 0 -> g2++
    :: else -> break
    od;
    a = AT(g2, (k) % SIZE(g2));
    g2 = 0
}

/* Each key is in its bucket once, with its value, or not at all. */
inline audit() {
    for (k2 : 0 .. KEYS - 1) {
        bucket_of_truth(k2);
        assert((SLOT_IS_VALID(state[a], 0) && HOLDS(WORD(a, 0), k2)) +
               (SLOT_IS_VALID(state[a], 1) && HOLDS(WORD(a, 1), k2)) == (truth[k2] != 0));
        assert(!(SLOT_IS_VALID(state[a], 0) && HOLDS(WORD(a, 0), k2)) ||
               ENTRY(WORD(a, 0)) == truth[k2]);
        assert(!(SLOT_IS_VALID(state[a], 1) && HOLDS(WORD(a, 1), k2)) ||
               ENTRY(WORD(a, 1)) == truth[k2])
    }
    k2 = 0; a = 0
}

/* The key becomes v, as a write with this version: greater than all that the key ever had. */
inline takes_effect(k, v, with) {
    assert((with) > last_version[k]);
    last_version[k] = with;
    truth_becomes(k, v)
}

inline cas_state(b, was, becomes, done) {
    if
    :: state[b] == (was) -> state[b] = becomes; done = 1
    :: else -> done = 0
    fi
}

inline cas_word(b, i, was, becomes, done) {
    if
    :: WORD(b, i) == (was) -> WORD(b, i) = becomes; done = 1
    :: else -> done = 0
    fi
}

/* Variables of a thread. The arguments of inlines are names: Spin cannot parse more. */
#define OPERATION_VARIABLES                                                                        \
    short s; short w; short n; byte slot; byte b; byte gen; byte floor; byte gone; bit ok; bit frozen;      \
    bit done; OPERATION_VARIABLES_OF_SNAPSHOTS
#define MOVE_VARIABLES                                                                             \
    byte mg; byte mj; byte mb; short ms; short mw; short mn; byte mi; short image[SLOTS];           \
    byte used; bit mok
#define AUDIT_VARIABLES                                                                            \
    byte a; byte q; byte k2; byte g2

inline forget_attempt() {
    s = 0; w = 0; n = 0; slot = 0; b = 0; gen = 0; floor = 0; gone = 0; ok = 0; frozen = 0;
    FORGET_SNAPSHOTS
}

/* ---- look and find ---- */

/* Slot i, if the key was not seen yet. */
inline look_at_slot(i, k) {
    if
    :: atomic {
            slot == NONE && SLOT_IS_VALID(s, i) ->
            w = WORD(b, i);
#if MUTANT == 10 /* looks at entries that may have moved on in the other half */
            ok = (HOLDS(w, 0) || HOLDS(w, 1));
#else
            ok = ((HOLDS(w, 0) || HOLDS(w, 1)) && !IS_IN_OTHER_HALF(gen, w, k));
#endif
            if
            :: ok -> touch(ENTRY(w))
            :: else
            fi;
            slot = (ok && HOLDS(w, k) -> i : NONE);
            w = (slot == NONE -> 0 : w)
        }
    :: else
    fi
}

inline look(k) {
    atomic { s = state[b]; slot = NONE; w = 0 }
    look_at_slot(0, k);
    look_at_slot(1, k);
#if MUTANT == 1 /* believes a look at a bucket that changed meanwhile */
    ok = 1
#else
    ok = (state[b] == s)
#endif
}

/* The bucket in which key k lives: b of generation gen, as s, slot and w say. */
inline find(k) {
#ifdef SNAPSHOTS
    atomic { gen = root; closed = (face != 0) }
#else
    gen = root;
#endif
again:
    atomic { b = AT(gen, (k) % SIZE(gen)); frozen = IS_FROZEN(state[b]); ok = 0 }
#if MUTANT != 2 /* looks at a frozen bucket without asking whether its keys have moved */
    if
    :: atomic { frozen -> follow(k) }
        if
        :: ok -> goto again
        :: else
        fi
    :: else
    fi;
#endif
#ifdef SNAPSHOTS
    look_behind_door();
    if
    :: to_move -> goto found
    :: else
    fi;
#endif
    look(k);
    if
    :: !ok || (IS_FROZEN(s) && !frozen) -> goto again
    :: atomic { ok && IS_FROZEN(s) && frozen -> follow(k) }
        if
        :: ok -> goto again
        :: else
        fi
    :: ok && !IS_FROZEN(s)
    fi;
found:
    skip
}

/* ok = 1: the keys of the frozen bucket live in the next generation; gen is that one. */
inline follow(k) {
    assert(gen < newest);
    ok = (state[AT(gen + 1, (k) % SIZE(gen + 1))] != 0);
    gen = gen + ok
}

/* ---- operations on a bucket ---- */

/* The key's word becomes entry e, or GONE if that is 0. */
inline swing_word(k, e) {
    touch(ENTRY(w));
    floor = version[ENTRY(w)] + 1;
    version[e] = floor;
    n = ((e) != 0 -> WORD_OF(e, k) : floor << 3 | GONE);
    cas_word(b, slot, w, n, ok);
    if
#ifdef READS
    :: ok -> takes_effect(k, e, floor); unlinked = ENTRY(w); RESULT(p, unlinked)
#else
    :: ok -> takes_effect(k, e, floor); RESULT(p, ENTRY(w)); retire(ENTRY(w))
#endif
    :: else
    fi;
    audit()
}

/* Slot i, if it is valid and its key is gone: to `gone`; the version rises to the removal's. */
inline is_gone(i) {
    if
    :: atomic {
            SLOT_IS_VALID(s, i) ->
            if
            :: (WORD(b, i) & GONE) != 0 ->
                gone = gone | 1 << i;
                floor = MAX(floor, WORD(b, i) >> 3)
            :: else
            fi
        }
    :: else
    fi
}

/* Frees the slots of removed keys. */
inline sweep() {
    do
    :: atomic { s = state[b]; gone = 0; floor = 0 }
        if
        :: IS_FROZEN(s) -> break
        :: else
        fi;
        is_gone(0);
        is_gone(1);
        if
        :: gone == 0 -> break
        :: atomic {
                gone != 0 ->
#if MUTANT == 4 /* forgets the versions of removed keys */
                floor = 0;
#endif
                n = STATE(MAX(VERSION(s) + 1, floor), VALID(s) & ~gone);
                cas_state(b, s, n, ok);
                audit()
            }
            if
            :: ok -> break
            :: else
            fi
        fi
    od
}

/* Slot i, if it is not valid and holds nothing or what was removed. */
inline is_free(i) {
    if
    :: atomic {
            slot == NONE && (i) < USABLE && !SLOT_IS_VALID(s, i) ->
            w = WORD(b, i);
            slot = (w == 0 || (w & GONE) != 0 -> i : NONE)
        }
    :: else
    fi
}

/* Inserts entry e for key k, which was absent in state s. ok = 1: done. */
inline insert_word(k, e) {
    atomic { gone = 0; floor = VERSION(s); slot = NONE }
    is_gone(0);
    is_gone(1);
    atomic { version[e] = floor + 1; ok = 0 }
    is_free(0);
    is_free(1);
    if
    :: slot == NONE && gone != 0 -> sweep(); ok = 0
    :: atomic { slot == NONE && gone == 0 -> RESULT(p, NO_ROOM); done = 1 }
    :: slot != NONE ->
#if MUTANT == 5 /* fills slots that are still valid */
        ok = 1;
#else
        ok = (state[b] == s);
#endif
        if
        :: atomic { ok -> n = WORD_OF(e, k); cas_word(b, slot, w, n, ok); audit() }
            if
            :: atomic {
                    ok ->
                    n = STATE(VERSION(s) + 1, VALID(s) | 1 << slot);
                    floor = version[e];
                    cas_state(b, s, n, ok);
                    if
                    :: ok -> assert(truth[k] == 0); takes_effect(k, e, floor)
                    :: else
                    fi;
                    audit()
                }
                if
                :: ok
                :: atomic { !ok -> WORD(b, slot) = GONE; audit() } /* given back */
                fi
            :: else
            fi
        :: else
        fi
    fi
}

/* ---- moving ---- */

/* Slot i of a frozen bucket: marked, so that no update can change it any more. */
inline mark_slot(i) {
    if
    :: SLOT_IS_VALID(ms, i) ->
        mw = WORD(mb, i);
        do
        :: (mw & (WORD_FROZEN | GONE)) != 0 -> break
        :: atomic {
                (mw & (WORD_FROZEN | GONE)) == 0 ->
                touch(ENTRY(mw));
#if MUTANT == 6 /* marks by a store */
                WORD(mb, i) = MARKED(mg, mw);
                mok = 1;
#else
                mn = MARKED(mg, mw);
                cas_word(mb, i, mw, mn, mok);
                mn = 0;
#endif
                audit();
                mw = (mok -> GONE : WORD(mb, i))
            }
        od
    :: else
    fi
}

inline freeze(source) {
    mb = AT(mg, mj + (source) * GROUPS(mg));
    mok = 0;
    ms = state[mb];
#if MUTANT == 3 /* marks the slots before it freezes the bucket */
    mark_slot(0);
    mark_slot(1);
#endif
    do
    :: IS_FROZEN(ms) -> break
    :: atomic {
            !IS_FROZEN(ms) ->
            mn = ms | FROZEN;
            cas_state(mb, ms, mn, mok);
            mn = 0;
            ms = state[mb];
            audit()
        }
    od;
#if MUTANT != 3
    mark_slot(0);
    mark_slot(1)
#endif
}

/* What source and slot give to target t: to image. They cannot change any more. */
inline image_of(t) {
    used = 0;
    ms = 1;
    do
    :: mi < SOURCES(mg) * SLOTS ->
        mb = AT(mg, mj + (mi / SLOTS) * GROUPS(mg));
        mw = WORD(mb, mi % SLOTS);
        ms = MAX(ms, VERSION(state[mb]));
        if
        :: SLOT_IS_VALID(state[mb], mi % SLOTS) && (mw & GONE) == 0 ->
            assert((mw & WORD_FROZEN) != 0);
#if MUTANT == 7 /* asks the entry to which half it belongs */
            touch(ENTRY(mw));
#endif
            if
            :: ((mw & UPPER) != 0) == (t) -> image[used] = mw & ~7; used++
            :: else
            fi
#if MUTANT != 8 /* forgets the versions of keys that are gone */
        :: SLOT_IS_VALID(state[mb], mi % SLOTS) && (mw & GONE) != 0 -> ms = MAX(ms, mw >> 3)
#endif
        :: else
        fi;
        mi++
    :: else -> break
    od;
    mi = 0; mw = 0
}

inline fill_slot(t, i) {
    if
    :: atomic {
            i < used ->
#if MUTANT == 9 /* fills by a store */
            WORD(mb, i) = image[i];
#else
            mn = image[i];
            cas_word(mb, i, 0, mn, mok);
            mn = 0;
#endif
            audit()
        }
    :: else
    fi
}

inline fill(t) {
    mok = (state[AT(mg + 1, mj + (t) * GROUPS(mg))] == 0);
    if
    :: atomic {
            mok ->
            image_of(t);
            mb = AT(mg + 1, mj + (t) * GROUPS(mg))
        }
        fill_slot(t, 0);
        fill_slot(t, 1);
        atomic {
            mn = STATE(ms, (1 << used) - 1);
            cas_state(mb, 0, mn, mok);
            image[0] = 0; image[1] = 0; used = 0; ms = 0; mn = 0; mok = 0;
            audit()
        }
    :: else
    fi
}

/* Moves group mj of generation mg, or makes sure that it has moved. */
inline move_group() {
    freeze(0);
    if
    :: SOURCES(mg) == 2 -> freeze(1)
    :: else
    fi;
    fill(0);
    if
    :: TARGETS(mg) == 2 -> fill(1)
    :: else
    fi;
    atomic { mg = 0; mj = 0; mb = 0; ms = 0; mw = 0; mok = 0 }
}

/* ---- threads ---- */

#define GET 0
#define PUT 1
#define TAKE 2

/* Whatever is there, this answers it: also from a frozen bucket whose keys have not moved. */
#define ONLY_ANSWERS (op == GET || op == TAKE && slot == NONE)

inline attempt(p) {
    find(k);
#ifdef SNAPSHOTS
    if
    :: !to_move && !IS_FROZEN(s) && !ONLY_ANSWERS -> stay_out_of_image()
    :: else
    fi;
    if
    :: to_move || IS_FROZEN(s) && !ONLY_ANSWERS ->
#else
    if
    :: IS_FROZEN(s) && !ONLY_ANSWERS ->
#endif
        ok = (root <= gen);
        if
        :: atomic { ok -> mg = gen; mj = k % GROUPS(gen) } MOVE_GROUP(p)
        :: else /* the root moved past that bucket */
        fi
    :: atomic {
            MAY_GO_ON && ONLY_ANSWERS ->
            answer(p, (slot == NONE -> 0 : ENTRY(w)));
            RESULT(p, (slot == NONE -> 0 : ENTRY(w)));
            done = 1
        }
    :: atomic { MAY_CHANGE && op == TAKE && slot != NONE && (w & WORD_FROZEN) == 0 ->
            swing_word(k, 0); done = ok }
        if
        :: done -> sweep(); RETIRE(p, k)
        :: else
        fi
    :: atomic { MAY_CHANGE && op == PUT && slot != NONE && (w & WORD_FROZEN) == 0 ->
            swing_word(k, e); done = ok }
        if
        :: done -> RETIRE(p, k)
        :: else
        fi
    :: MAY_CHANGE && op == PUT && slot == NONE -> insert_word(k, e); done = done | ok
    :: else /* frozen since it was looked at */
    fi;
    atomic { forget_attempt() }
}

inline operate(p) {
    atomic { begin_operation(p, k); enter(p); CALLED(p) }
    do
    :: !done -> attempt(p)
    :: done -> break
    od;
    atomic { RETURNED(p); end_operation(p); leave(p); done = 0 }
}

proctype thread(byte p, op, k, e) {
    OPERATION_VARIABLES;
    MOVE_VARIABLES;
    AUDIT_VARIABLES;
    operate(p)
}
