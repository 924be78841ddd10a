/* SPDX-License-Identifier: MIT */
/* Snapshots, for Spin: the steps of src/engine/lockfree_snapshot.c and src/map/snapshot.c, and what
 * they add to those of word.pml, which includes this. The including model defines TAKERS, how many
 * take one, EVENTS (history.pml), and READS if takers look at what they took, which is of generation
 * 0 then; else entries that only an image holds are not kept. With SHORTAGE, there is no memory to
 * move a bucket whenever chance has it. */

#include "history.pml"

byte face;         /* of the root; 0: the door is open, t + 1: taker t has closed it */
byte images;       /* generation g becomes an image, if it is in this set and has a next one */
byte registered;   /* takers whose image retirers look at */
byte lists_closed; /* takers whose image keeps no entries any more */
bit is_void;       /* the image was given up */

/* A closed door: who was inside when it was retired, and has not left; and these. */
#define DOOR_RETIRED 128
#define NO_DOOR 64
byte door[TAKERS];

#define CALLED(p) called(event_of)
#define RETURNED(p) has_returned(event_of)
#define RESULT(p, v) result[event_of] = v
#ifdef READS
#define RETIRE(p, k) retire_unless_kept(k)
#else
#define RETIRE(p, k) skip
#endif
#define MAY_GO_ON (!to_move)
#define BECOMES_IMAGE(g) ((g) < newest && (images >> (g) & 1) != 0 && !is_void)
#ifdef SHORTAGE
#define MOVE_GROUP(p) move_group_or_give_up(p)
#else
#define MOVE_GROUP(p) move_group()
#endif
#define OPERATION_VARIABLES_OF_SNAPSHOTS                                                           \
    bit closed; bit to_move; byte unlinked; byte in_images; byte event_of
#define FORGET_SNAPSHOTS closed = 0; to_move = 0

inline LEAVES_DOORS(p) {
    for (q : 0 .. TAKERS - 1) {
        door[q] = door[q] & ~(1 << (p))
    }
    q = 0
}

/* While late writers are possible, who looks at a bucket of the image moves it first: to_move. */
inline look_behind_door() {
#if MUTANT != 12 /* believes a bucket into which somebody may write late */
#if MUTANT == 13 /* takes a bucket that is frozen for one that cannot change any more */
    if
    :: closed && !frozen -> to_move = BECOMES_IMAGE(gen)
#else
    if
    :: closed -> to_move = BECOMES_IMAGE(gen)
#endif
    :: else
    fi
#else
    skip
#endif
}

/* Nobody writes into a bucket of an image: its keys move first. When the root moves on from a
 * generation, that has a next one, and all its buckets are frozen, so that no write succeeds there:
 * so the loads of root, next and is_void are one step. (in_image) */
inline stay_out_of_image() {
#if MUTANT == 22 /* writes without memory, and does not give the image up */
    if
    :: to_move = (root == gen && BECOMES_IMAGE(gen))
    :: skip
    fi
#elif MUTANT != 14 /* writes into buckets of an image */
    to_move = (root == gen && BECOMES_IMAGE(gen))
#else
    skip
#endif
}

#ifdef SHORTAGE
/* Without memory a bucket stays as it is, but for the marks if it is frozen already. Who may not
 * leave it there gives the image up; else the operation fails. (weft_lockfree_move_to_image,
 * prepare) */
inline move_group_or_give_up(p) {
    if
    :: move_group()
    :: without_memory();
        if
        :: to_move -> is_void = 1
        :: else -> atomic { RESULT(p, NO_ROOM); done = 1 }
        fi
    fi
}

inline without_memory() {
    mok = IS_FROZEN(state[AT(mg, mj)]);
    if
    :: mok -> freeze(0)
    :: else
    fi;
    atomic { mg = 0; mj = 0; mb = 0; ms = 0; mw = 0; mok = 0 }
}
#endif

#define IS_IN_IMAGE(e, k)                                                                          \
    (IS_FROZEN(state[AT(0, (k) % SIZE(0))]) &&                                                     \
     (IS_IN_SLOT(AT(0, (k) % SIZE(0)), 0, e) || IS_IN_SLOT(AT(0, (k) % SIZE(0)), 1, e)))
#define IS_IN_SLOT(b, i, e)                                                                        \
    (SLOT_IS_VALID(state[b], i) && (WORD(b, i) & GONE) == 0 && ENTRY(WORD(b, i)) == (e))

/* An entry that an image holds goes to its list. One that was unlinked cannot come into the image
 * any more, so the bucket is looked at in one step. (weft_snapshot_keeps) */
inline retire_unless_kept(k) {
#if MUTANT != 15 /* frees what a snapshot shows */
    in_images = registered;
    in_images = (IS_IN_IMAGE(unlinked, k) -> in_images : 0);
#endif
    d_step {
        keep(unlinked, in_images);
        unlinked = 0;
        in_images = 0
    }
}

inline keep(e, may) {
    if
    :: ((may) & ~lists_closed & 1) != 0 -> readers[e] = KEPT
    :: ((may) & ~lists_closed & 2) != 0 && ((may) & ~lists_closed & 1) == 0 -> readers[e] = KEPT + 1
    :: else -> readers[e] = guards
    fi
}

/* ---- taking ---- */

/* The retired door's grace period is over: opened, unless another has closed it since. */
proctype opener(byte t) {
    if
    :: atomic {
#if MUTANT == 16 /* opens the door without waiting for late writers */
            door[t] >= DOOR_RETIRED ->
#else
            door[t] == DOOR_RETIRED ->
#endif
            face = (face == t + 1 -> 0 : face);
            door[t] = 0
        }
    :: door[t] == NO_DOOR
    fi
}

inline close_door(p) {
    atomic {
        ok = (root == taken);
        face = (ok -> p + 1 : face)
    }
}

inline publish_snapshot() {
    atomic {
        published = (ok && newest == taken);
        if
        :: published -> newest++; images = 1 << taken; size[taken + 1] = size[taken]
        :: else
        fi
    }
}

/* published = 1: there is a snapshot. If the root has no next one, it is still the root: so the two
 * loads are one step. (weft_lockfree_snapshot) */
inline take_snapshot(p, n) {
    atomic { called(n); enter(p); taken = root; ok = (newest == taken) }
    if
    :: ok ->
#ifdef READS
        registered = registered | 1 << p;
#endif
#if MUTANT == 18 /* closes the door after the publication */
        publish_snapshot();
        close_door(p);
#else
        close_door(p);
        publish_snapshot();
#endif
    :: else
    fi;
    atomic {
#if MUTANT == 19 /* opens at once the door that it closed over another's publication */
        if
        :: ok && !published -> face = (face == p + 1 -> 0 : face); ok = 0
        :: else
        fi;
#endif
        door[p] = (ok -> DOOR_RETIRED | guards : NO_DOOR);
        result[n] = (published -> 0 : NO_ROOM);
        if
        :: published -> has_returned(n)
        :: else
        fi;
        leave(p)
    }
}

#define HAS_MOVED(k) (root != 0 || state[AT(1, (k) % SIZE(1))] != 0)

/* What key k of the image has: to `has`, and `slot`; NO_ROOM: the image was given up. */
inline image_look(p, k) {
    enter(p);
#if MUTANT == 21 /* asks whether the image is void before it looks */
    given_up = is_void;
#endif
#if MUTANT == 20 /* takes a bucket that is frozen for one that shows what it will for ever */
    ok = IS_FROZEN(state[AT(0, (k) % SIZE(0))]);
#else
    ok = (root != 0);
    if
    :: !ok -> ok = (state[AT(1, (k) % SIZE(1))] != 0)
    :: else
    fi;
#endif
#ifdef SHORTAGE
    if
    :: atomic { !ok -> mg = 0; mj = (k) % SIZE(0) }
        if
        :: move_group()
        :: without_memory(); is_void = 1
        fi;
        ok = HAS_MOVED(k)
    :: else
    fi;
#else
    if
    :: atomic { !ok -> mg = 0; mj = (k) % SIZE(0); ok = 1 } move_group()
    :: else
    fi;
#endif
    /* What has moved does not change: when it is looked at does not matter. */
    atomic {
        mb = AT(0, (k) % SIZE(0));
        mi = (SLOT_IS_VALID(state[mb], 0) && HOLDS(WORD(mb, 0), k) -> 0 :
              (SLOT_IS_VALID(state[mb], 1) && HOLDS(WORD(mb, 1), k) -> 1 : NONE));
        has = (mi == NONE -> 0 : ENTRY(WORD(mb, mi)));
        if
        :: ok && mi != NONE -> touch(has)
        :: else
        fi;
#if MUTANT != 21
        given_up = is_void;
#endif
        has = (ok && !given_up -> has : NO_ROOM);
        mi = 0; mb = 0; ok = 0; given_up = 0;
        leave(p)
    }
}

/* Takers release what they took after they have looked at it. */
inline release_snapshot(p) {
    registered = registered & ~(1 << p);
    d_step {
        lists_closed = lists_closed | 1 << p;
        for (q : 0 .. ENTRIES - 1) {
            if
            :: readers[q] == KEPT + p -> readers[q] = guards
            :: else
            fi
        }
        q = 0
    }
}
