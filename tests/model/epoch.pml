/* SPDX-License-Identifier: MIT */
/* Reclamation: pins without a fence, an epoch that moves after a barrier that interrupts all, bags by
 * epoch mod 4. docs/design/reclamation.md, src/reclaim/epoch.c. A reader's stores to its record
 * wait in a store buffer, in order, and come out of it at any time later, or at the barrier.
 *
 * A reader looks an object up inside a guard, in which there is another one; then a second thread
 * does so that has got its record. A writer unlinks objects one after the other and retires them. A
 * third thread moves the epoch and collects. Nothing is freed that a reader has found and holds. */

#define OBJECTS 2
#define BAGS 4
#define NOTHING 255
#define OUTSIDE 0
#define FIRST_EPOCH 4
#ifndef LAST_EPOCH
#define LAST_EPOCH 7 /* where the model ends */
#endif
#define THREADS 3 /* records: two readers, the writer */

byte epoch = FIRST_EPOCH;
byte linked;           /* the object that a lookup finds */
bit freed[OBJECTS + 1];
byte bag[BAGS];        /* objects in it, as a set */
byte pinned[THREADS];  /* as memory has it */
/* Stores of pinned that have not reached memory: older, newer. */
byte buffer[THREADS * 2] = NOTHING;
byte nest[THREADS];

inline store_pinned(p, value) {
    atomic {
        /* The buffer has room for two: an older one goes out first. */
        if
        :: buffer[(p) * 2] == NOTHING -> buffer[(p) * 2] = value
        :: buffer[(p) * 2] != NOTHING && buffer[(p) * 2 + 1] == NOTHING ->
            buffer[(p) * 2 + 1] = value
        :: else ->
            pinned[p] = buffer[(p) * 2];
            buffer[(p) * 2] = buffer[(p) * 2 + 1];
            buffer[(p) * 2 + 1] = value
        fi
    }
}

inline one_store_goes_out(p) {
    pinned[p] = (buffer[(p) * 2] == NOTHING -> pinned[p] : buffer[(p) * 2]);
    buffer[(p) * 2] = buffer[(p) * 2 + 1];
    buffer[(p) * 2 + 1] = NOTHING
}

/* A store buffer empties when it will, but for the order. */
active proctype memory() {
    do
    :: atomic { buffer[0] != NOTHING -> one_store_goes_out(0) }
    :: atomic { buffer[2] != NOTHING -> one_store_goes_out(1) }
    :: atomic { buffer[4] != NOTHING -> one_store_goes_out(2) }
    :: timeout -> break
    od
}

/* membarrier: every running thread executes a full fence. */
inline heavy_barrier() {
    d_step {
        for (q : 0 .. THREADS - 1) {
            do
            :: buffer[q * 2] != NOTHING -> one_store_goes_out(q)
            :: else -> break
            od
        }
        q = 0
    }
}

inline enter(p) {
    if
    :: atomic { nest[p] == 0 -> nest[p] = 1; seen = epoch }
        atomic { store_pinned(p, seen); seen = 0 }
    :: nest[p] > 0 -> nest[p]++
    fi
}

inline leave(p) {
    atomic {
#if MUTANT == 4 /* takes the end of an inner guard for that of the outer one */
        nest[p] = 0;
#else
        nest[p]--;
#endif
        if
        :: nest[p] == 0 -> store_pinned(p, OUTSIDE)
        :: else
        fi
    }
}

/* Moves the epoch on if every record that is inside has seen it. */
inline advance() {
    seen = epoch;
#if MUTANT != 1 /* moves the epoch without a barrier */
    heavy_barrier();
#endif
    at = 0;
    do
#if MUTANT == 2 /* does not look at one of the records */
    :: at < THREADS && at != 0 && (pinned[at] == OUTSIDE || pinned[at] == seen) -> at++
    :: at == 0 -> at++
#elif MUTANT == 6 /* lets a reader be one epoch behind */
    :: at < THREADS && (pinned[at] == OUTSIDE || pinned[at] == seen || pinned[at] + 1 == seen) ->
        at++
#else
    :: at < THREADS && (pinned[at] == OUTSIDE || pinned[at] == seen) -> at++
#endif
    :: at < THREADS && pinned[at] != OUTSIDE && pinned[at] != seen -> break
    :: at == THREADS ->
        atomic { epoch = (epoch == seen && seen < LAST_EPOCH -> seen + 1 : epoch) }
        break
    od;
    atomic { at = 0; seen = 0 }
}

/* Frees the bag of two epochs ago. */
inline collect() {
    seen = epoch;
#if MUTANT == 3 /* frees one epoch early */
    atomic { free_all((seen + 3) % BAGS) }
#else
    atomic { free_all((seen + 2) % BAGS) }
#endif
    seen = 0
}

inline free_all(b) {
    for (q : 1 .. OBJECTS) {
        if
        :: (bag[b] >> q & 1) == 1 -> assert(!freed[q]); freed[q] = 1
        :: else
        fi
    }
    bag[b] = 0;
    q = 0
}

/* Unlinks the object that is there, and retires it. */
inline replace(p) {
    atomic { one_store_goes_out(p); one_store_goes_out(p) } /* the CAS is a fence, too */
#if MUTANT == 5 /* retires with an epoch that it read before it unlinked */
    seen = epoch;
    atomic { old = linked; linked = (linked == OBJECTS -> 0 : linked + 1) }
#else
    atomic { old = linked; linked = (linked == OBJECTS -> 0 : linked + 1) }
    seen = epoch;
#endif
    atomic { bag[seen % BAGS] = bag[seen % BAGS] | 1 << old; seen = 0; old = 0 }
}

proctype reader(byte p) {
    byte seen, found, turn;
    do
    :: turn < 2 ->
        enter(p);
        found = linked;
        if
        :: turn == 0 -> enter(p); leave(p)
        :: else
        fi;
        assert(!freed[found]);
        found = 0;
        leave(p);
        turn++
    :: else -> break
    od
}

proctype writer(byte p) {
    byte seen, old, at, q, turn;
    do
    :: turn < OBJECTS ->
        enter(p);
        replace(p);
        leave(p);
        turn++
    :: else -> break
    od
}

/* Somebody else, always between two guards or inside one: moves the epoch on, and frees. */
proctype collector(byte p) {
    byte seen, at, q;
    do
    :: epoch < LAST_EPOCH -> advance(); enter(p); collect(); leave(p)
    :: else -> break
    od
}

init {
    atomic {
        linked = 1;
        run reader(0);
        run writer(1);
        run collector(2)
    }
}
