/* SPDX-License-Identifier: MIT */
/* A bucket's overflow block, for Spin: slots whose valid bits are in the head, and a block that is
 * held and replaced when it has no room. docs/design/overflow.md. The line is full of other keys
 * and does not matter: neither do slots that are always valid, as these differ only in that nobody
 * fills them again. Each access to a shared word is a step of its own.
 *
 *   head    version << 5 | block << 2 | valid slots; block 0: there is none
 *   word    bytes shape: entry << 4 | key << 3 | HELD | GONE; a removal's version << 3 | GONE
 *           u64 shape: the same with the value for the entry; a claim's stamp << 4 | key << 3 |
 *           CLAIMED; a removal's stamp << 3 | GONE. A pair changes as one word does.
 *
 * Bytes shape: an entry is a number that is used once. It may be freed when all operations that ran
 * when it was unlinked have ended, and at once if it was never in the map; nobody may look at it
 * then. All keys have the same tag.
 *   CAST 2   any operation, beside a thread with two, at a key that is there and one that is not
 *   CAST 3   three: a lookup, an insert, and a thread that inserts, removes and inserts, of one key */

#define THREADS CAST
#define KEYS 2
#define NONE 7
#define SLOTS 2
#define BLOCKS 8
#define ENTRIES 8

#define VALID(h) ((h) & 3)
#define BLOCK(h) ((h) >> 2 & 7)
#define VERSION(h) ((h) >> 5)
#define HEAD(version, block, valid) ((version) << 5 | (block) << 2 | (valid))
#define SLOT_IS_VALID(h, i) (((h) >> (i) & 1) != 0)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

#define CLAIMED 1
#define GONE 2
#define HELD 4
#define WORD_OF(e, k) ((e) << 4 | (k) << 3)
#define ENTRY(w) ((w) >> 4)
#define KEY(w) ((w) >> 3 & 1)
#define IS_LIVE(w) ((w) != 0 && ((w) & GONE) == 0)
#define HOLDS(w, k) (IS_LIVE(w) && KEY(w) == (k))
#define IS_FREE(w) ((w) == 0 || ((w) & GONE) != 0)

#define WORD(block, i) word[(block) * SLOTS + (i)]

short head;
short word[BLOCKS * SLOTS];
byte capacity[BLOCKS];
byte blocks; /* those that were linked, as a set, and those that a thread has; used once */
byte stamps;

#include "truth.pml"

#define LINKED 255
byte version[ENTRIES];
byte readers[ENTRIES] = LINKED;
byte guards;
byte last_version[KEYS];

inline touch(e) {
    assert(!BYTES || readers[e] != 0)
}

inline enter(p) {
    guards = guards | 1 << (p)
}

inline leave(p) {
    guards = guards & ~(1 << (p));
    for (q : 0 .. ENTRIES - 1) {
        if
        :: readers[q] != LINKED -> readers[q] = readers[q] & ~(1 << (p))
        :: else
        fi
    }
    q = 0
}

/* Each key is in a valid slot once, with its value, or not at all. */
inline audit() {
    a = BLOCK(head);
    for (k2 : 0 .. KEYS - 1) {
        assert((SLOT_IS_VALID(head, 0) && HOLDS(WORD(a, 0), k2) && (WORD(a, 0) & CLAIMED) == 0) +
               (SLOT_IS_VALID(head, 1) && HOLDS(WORD(a, 1), k2) && (WORD(a, 1) & CLAIMED) == 0)
               == (truth[k2] != 0));
        assert(!(SLOT_IS_VALID(head, 0) && HOLDS(WORD(a, 0), k2) && (WORD(a, 0) & CLAIMED) == 0) ||
               ENTRY(WORD(a, 0)) == truth[k2]);
        assert(!(SLOT_IS_VALID(head, 1) && HOLDS(WORD(a, 1), k2) && (WORD(a, 1) & CLAIMED) == 0) ||
               ENTRY(WORD(a, 1)) == truth[k2])
    }
    k2 = 0; a = 0
}

inline takes_effect(k, v, with) {
    assert(!BYTES || (with) > last_version[k]);
    last_version[k] = (BYTES -> (with) : 0);
    truth_becomes(k, v)
}

inline cas_head(becomes, done) {
    if
    :: head == h -> head = becomes; done = 1
    :: else -> done = 0
    fi
}

inline cas_word(block, i, was, becomes, done) {
    if
    :: WORD(block, i) == (was) -> WORD(block, i) = becomes; done = 1
    :: else -> done = 0
    fi
}

#define VARIABLES                                                                                  \
    short h; short w; short n; byte slot; byte floor; byte gone; bit ok; bit done; byte i;         \
    byte b; byte used; byte a; byte q; byte k2

inline forget() {
    h = 0; w = 0; n = 0; slot = NONE; floor = 0; gone = 0; ok = 0; i = 0; b = 0; used = 0
}

/* ---- look ---- */

inline look_at_slot(k) {
    if
    :: slot == NONE && SLOT_IS_VALID(h, i) ->
        atomic { w = WORD(BLOCK(h), i); ok = IS_LIVE(w) && (BYTES || KEY(w) == (k)) }
        if
        :: ok ->
#if MUTANT != 1 /* looks at entries that were never in the map */
            ok = (head == h);
#endif
            atomic {
                if
                :: ok -> touch(ENTRY(w)); slot = (HOLDS(w, k) -> i : NONE)
                :: else
                fi;
                w = (slot == NONE -> 0 : w)
            }
        :: else -> w = 0
        fi
    :: else
    fi
}

inline look(k) {
    atomic { h = head; slot = NONE; w = 0; i = 0 }
    look_at_slot(k);
    i = 1;
    look_at_slot(k);
    atomic {
        i = 0;
#if MUTANT == 2 /* believes a look at a bucket that changed meanwhile */
        ok = 1
#else
        ok = (head == h)
#endif
    }
}

/* ---- changes ---- */

/* What is valid though its key is gone: to gone; the version rises to those of the removals. */
inline look_for_gone() {
    gone = 0; floor = 0; i = 0;
    do
    :: atomic {
            i < SLOTS ->
            if
            :: SLOT_IS_VALID(h, i) && (WORD(BLOCK(h), i) & GONE) != 0 ->
                gone = gone | 1 << i;
                floor = (BYTES -> MAX(floor, WORD(BLOCK(h), i) >> 3) : 0)
            :: else
            fi;
            i++
        }
    :: atomic { i == SLOTS -> i = 0; break }
    od
}

inline sweep() {
    do
    :: h = head;
        look_for_gone();
        if
        :: gone == 0 && VALID(h) != 0 || BLOCK(h) == 0 -> break
        :: else
        fi;
        atomic {
#if MUTANT == 3 /* forgets the versions of removed keys */
            floor = 0;
#endif
            n = HEAD(MAX(VERSION(h) + 1, floor), BLOCK(h), VALID(h) & ~gone);
            n = (VALID(n) == 0 -> HEAD(VERSION(n), 0, 0) : n);
            cas_head(n, ok);
            audit()
        }
        if
        :: ok -> break
        :: else
        fi
    od
}

/* The bucket gets another block: with `add`, and with the key's entry or value in it. */
inline replace(add, k, e) {
    atomic {
        b = 1;
        do
        :: (blocks >> b & 1) != 0 -> b++
        :: else -> break
        od;
        assert(b < BLOCKS);
        blocks = blocks | 1 << b;
        i = 0
    }
    do
    :: i < SLOTS && SLOT_IS_VALID(h, i) ->
        w = WORD(BLOCK(h), i);
        do
#if MUTANT == 4 /* copies slots that others still change */
        :: true -> break
#endif
        :: (w & (HELD | GONE)) != 0 -> break
        :: atomic {
                (w & (HELD | GONE)) == 0 ->
                n = w | HELD;
                cas_word(BLOCK(h), i, w, n, ok);
                w = (ok -> n : WORD(BLOCK(h), i));
                n = 0;
                audit()
            }
        od;
        i++
    :: i < SLOTS && !SLOT_IS_VALID(h, i) -> i++
    :: i == SLOTS -> break
    od;
    atomic { i = 0; used = 0 }
    do
    :: atomic {
            i < SLOTS ->
            w = WORD(BLOCK(h), i);
            ok = SLOT_IS_VALID(h, i) && IS_LIVE(w) && (BYTES || (w & CLAIMED) == 0);
            if
            :: ok && used < SLOTS -> WORD(b, used) = w & ~7; used++
            :: else
            fi;
            i++
        }
    :: atomic { i == SLOTS -> i = 0; w = 0; break }
    od;
#if MUTANT != 6 /* forgets the versions of keys that were removed before they were held */
    look_for_gone();
#endif
    atomic {
        if
        :: add && used < SLOTS ->
            WORD(b, used) = WORD_OF(e, k);
            used++;
            ok = 1
        :: else -> ok = !(add)
        fi;
        n = HEAD(MAX(VERSION(h) + 1, floor), b, (1 << used) - 1);
        if
        :: ok -> cas_head(n, ok)
        :: else
        fi;
        if
        :: ok && add -> assert(truth[k] == 0); takes_effect(k, e, version[e])
        :: ok && !(add)
        :: !ok -> WORD(b, 0) = 0; WORD(b, 1) = 0; blocks = blocks & ~(1 << b) /* nobody saw it */
        fi;
        capacity[b] = SLOTS * ok;
        audit()
    }
}

/* The key's word becomes e, or GONE if that is 0. done = 1: it has. */
inline swing_word(k, e) {
    if
    :: (w & HELD) != 0 -> replace(0, k, e)
    :: atomic {
            (w & HELD) == 0 ->
            touch(ENTRY(w));
            floor = (BYTES -> version[ENTRY(w)] + 1 : 0);
            version[e] = floor;
            stamps++;
            n = ((e) != 0 -> WORD_OF(e, k) : (BYTES -> floor : stamps) << 3 | GONE);
            cas_word(BLOCK(h), slot, w, n, done);
            if
            :: done -> takes_effect(k, e, floor); readers[ENTRY(w)] = guards
            :: else
            fi;
            audit()
        }
    fi
}

inline fill_claim(k, e) {
    if
    :: (w & HELD) != 0 -> replace(0, k, e)
    :: atomic {
            (w & HELD) == 0 ->
            n = WORD_OF(e, k);
            cas_word(BLOCK(h), slot, w, n, done);
            if
            :: done -> assert(truth[k] == 0); takes_effect(k, e, 0)
            :: else
            fi;
            audit()
        }
    fi
}

/* Inserts the key, which the look did not see. */
inline insert(k, e) {
    look_for_gone();
    atomic { slot = NONE; version[e] = (BYTES -> MAX(VERSION(h), floor) + 1 : 0) }
    do
    :: atomic {
            slot == NONE && i < capacity[BLOCK(h)] ->
            w = WORD(BLOCK(h), i);
            slot = (!SLOT_IS_VALID(h, i) && IS_FREE(w) -> i : NONE);
            i++
        }
    :: atomic { !(slot == NONE && i < capacity[BLOCK(h)]) -> i = 0; break }
    od;
    if
    :: slot == NONE && gone != 0 -> sweep()
    :: slot == NONE && gone == 0 -> replace(1, k, e); done = ok
    :: slot != NONE ->
#if MUTANT == 5 /* fills slots that are still valid */
        ok = 1;
#else
        ok = (head == h);
#endif
        if
        :: atomic {
                ok ->
                stamps++;
                n = (BYTES -> WORD_OF(e, k) : stamps << 4 | k << 3 | CLAIMED);
                cas_word(BLOCK(h), slot, w, n, ok);
                w = n;
                audit()
            }
            if
            :: ok -> publish(k, e)
            :: else
            fi
        :: else
        fi
    fi
}

inline publish(k, e) {
    atomic {
        n = HEAD(VERSION(h) + 1, BLOCK(h), VALID(h) | 1 << slot);
        cas_head(n, ok);
        if
        :: ok && BYTES ->
            assert(truth[k] == 0);
            takes_effect(k, e, version[e]);
            done = 1
        :: else
        fi;
        audit()
    }
    if
    :: ok && !BYTES -> fill_claim(k, e)
    :: ok && BYTES
    :: atomic { !ok && BYTES -> WORD(BLOCK(h), slot) = GONE; audit() } /* given back */
    :: atomic {
            !ok && !BYTES ->
            n = stamps << 3 | GONE;
            cas_word(BLOCK(h), slot, w, n, ok);
            audit()
        }
    fi
}

/* ---- threads ---- */

#define GET 0
#define INSERT 1
#define PUT 2
#define TAKE 3

inline attempt(p) {
    look(k);
    if
    :: !ok
    :: ok && slot != NONE && (w & CLAIMED) == 0 ->
        if
        :: op == GET || op == INSERT -> atomic { answer(p, ENTRY(w)); done = 1 }
        :: op == PUT -> swing_word(k, e)
        :: op == TAKE -> swing_word(k, 0)
            if
            :: done -> sweep()
            :: else
            fi
        fi
    :: ok && !(slot != NONE && (w & CLAIMED) == 0) ->
        if
        :: op == GET || op == TAKE -> atomic { answer(p, 0); done = 1 }
        :: (op == INSERT || op == PUT) && slot != NONE -> fill_claim(k, e)
        :: (op == INSERT || op == PUT) && slot == NONE -> insert(k, e)
        fi
    fi;
    atomic { forget() }
}

inline operate(p) {
    atomic { begin_operation(p, k); enter(p); forget() }
    do
    :: !done -> attempt(p)
    :: done -> break
    od;
    atomic {
        if
        :: readers[e] == LINKED && truth[k] != e && BYTES -> readers[e] = 0 /* never in the map */
        :: else
        fi;
        end_operation(p);
        leave(p);
        done = 0
    }
}

proctype thread(byte p, op, k, e) {
    VARIABLES;
    operate(p)
}

/* Inserts and removals in turn; CAST operations. */
proctype churner(byte p, op, k, e) {
    VARIABLES;
    byte turn;
    do
    :: turn < CAST ->
        operate(p);
        turn++;
        e = e + BYTES; /* a number may be the same again */
        op = (op == TAKE -> INSERT : TAKE)
    :: turn == CAST -> break
    od
}

inline choose() {
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
        /* Key 0 is in a block of one slot or two; key 1 is absent, and was there before. */
        blocks = 2;
        head = HEAD(3, 1, 1);
        word[SLOTS] = WORD_OF(1, 0);
        version[1] = 6; /* it was written more often than keys came and went */
        truth[0] = 1;
        last_version[0] = 6;
        last_version[1] = 2;
        if
        :: capacity[1] = 1
        :: capacity[1] = 2
        fi;
#if CAST == 2
        choose();
        run thread(0, op, k, 2);
        choose();
        run churner(1, (op == GET || op == PUT -> INSERT : op), k, 3);
#else
        run thread(0, GET, 1, 0);
        run thread(1, INSERT, 1, 2);
        run churner(2, INSERT, 1, 3);
#endif
        op = 0; k = 0
    }
}
