/* SPDX-License-Identifier: MIT */
/* What was called and answered, and in which order: is there one order of all operations, none
 * before another that had returned when it was called, that explains all answers and what the map
 * holds in the end? The including model defines KEYS and EVENTS, the number of operations. */

#define GET 0
#define PUT 1
#define TAKE 2
#define SNAPSHOT 3
#define NO_ROOM 31 /* did nothing, and said so */

byte op_of[EVENTS];
byte key_in[EVENTS];
byte value_in[EVENTS];
byte result[EVENTS] = NO_ROOM; /* the value found, or that was there before; 0: absent */
byte second_result[EVENTS];    /* SNAPSHOT: of key 1; NO_ROOM: it was not told */
byte before[EVENTS];           /* operations that had returned when it was called, as a set */
byte returned;

/* The search, which is over before anything else happens. */
hidden byte rank, placed, chosen;
hidden byte pick[EVENTS + 1];
hidden byte holds[(EVENTS + 1) * KEYS];

inline called(n) {
    before[n] = returned;
    result[n] = 0
}

inline has_returned(n) {
    returned = returned | 1 << (n)
}

#define HOLDS_NOW(k) holds[rank * KEYS + (k)]
#define IS_EXPLAINED(n)                                                                            \
    (result[n] == NO_ROOM || op_of[n] != SNAPSHOT && HOLDS_NOW(key_in[n]) == result[n] ||          \
     op_of[n] == SNAPSHOT && HOLDS_NOW(0) == result[n] &&                                          \
         (second_result[n] == NO_ROOM || HOLDS_NOW(1) == second_result[n]))

inline takes_place(n) {
    holds[(rank + 1) * KEYS] = HOLDS_NOW(0);
    holds[(rank + 1) * KEYS + 1] = HOLDS_NOW(1);
    placed = placed | 1 << n;
    rank++;
    pick[rank] = 0;
    if
    :: result[n] != NO_ROOM && op_of[n] == PUT -> HOLDS_NOW(key_in[n]) = value_in[n]
    :: result[n] != NO_ROOM && op_of[n] == TAKE -> HOLDS_NOW(key_in[n]) = 0
    :: else
    fi
}

/* Starting with what the keys had in the beginning, and ending with what they have. */
inline must_be_linearizable(first0, first1) {
    d_step {
        rank = 0;
        placed = 0;
        pick[0] = 0;
        holds[0] = first0;
        holds[1] = first1;
        do
        :: rank == EVENTS && HOLDS_NOW(0) == truth[0] && HOLDS_NOW(1) == truth[1] -> break
        :: rank < EVENTS && pick[rank] < EVENTS && (placed >> pick[rank] & 1) == 0 &&
               (before[pick[rank]] & ~placed) == 0 && IS_EXPLAINED(pick[rank]) ->
            chosen = pick[rank];
            takes_place(chosen)
        :: rank < EVENTS && pick[rank] < EVENTS &&
               !((placed >> pick[rank] & 1) == 0 && (before[pick[rank]] & ~placed) == 0 &&
                 IS_EXPLAINED(pick[rank])) -> pick[rank]++
        :: rank < EVENTS && pick[rank] == EVENTS ||
               rank == EVENTS && !(HOLDS_NOW(0) == truth[0] && HOLDS_NOW(1) == truth[1]) ->
            assert(rank > 0); /* no such order */
            rank--;
            placed = placed & ~(1 << pick[rank]);
            pick[rank]++
        od
    }
}
