/* SPDX-License-Identifier: MIT */
/* Operations while a table of a few buckets is moved twice, by everybody who meets what is on the
 * move. docs/design/growth.md.
 *   TABLE 124   it grows and grows again
 *   TABLE 121   it grows, and what was one becomes one again
 *   TABLE 212   two buckets become one, and two again
 *   CAST 1      one mover and two operations, the first of them an insert or update
 *   CAST 2      two movers and one operation
 *   CAST 3      one mover and one operation
 *   CAST 4      as 1, the update of a key that is there and an operation of the other one
 *   CAST 5      as 4, both of one key
 * MOVES says how often the table moves. */

#define THREADS 3
#if TABLE == 124
#define WIDTH 4
#define SIZE(g) (1 << (g))
#define GROUPS(g) SIZE(g)
#elif TABLE == 121
#define WIDTH 2
#define SIZE(g) (1 + ((g) == 1))
#define GROUPS(g) 1
#else
#define WIDTH 2
#define SIZE(g) (2 - ((g) == 1))
#define GROUPS(g) 1
#endif
#define BUCKETS (3 * WIDTH)
#define AT(g, i) ((g) * WIDTH + (i))

#include "word.pml"

/* Moves all that there is to move, twice. */
proctype mover(byte p) {
    MOVE_VARIABLES;
    AUDIT_VARIABLES;
    byte g, j;
    do
    :: g < MOVES ->
        atomic { newest = (newest == g && root == g -> g + 1 : newest) }
        j = 0;
        do
#if MUTANT == 11 /* the readers' generation moves on before all groups have */
        :: j < GROUPS(g) - g ->
#else
        :: j < GROUPS(g) ->
#endif
            enter(p);
            if
            :: atomic { root == g -> mg = g; mj = j } move_group()
            :: else
            fi;
            atomic { leave(p); j++ }
        :: else -> break
        od;
        atomic { root = (root == g -> g + 1 : root); g++; j = 0 }
    :: else -> break
    od
}

init {
    byte op, k;
    atomic {
        /* Key 0 is there, and key 1 was. */
        state[0] = STATE(3, 3);
        word[0] = WORD_OF(7, 0);
        word[1] = 6 << 3 | GONE;
        version[7] = 1;
        truth[0] = 7;
        last_version[0] = 1;
        last_version[1] = 6;
        if
        :: SIZE(0) == 2 -> word[1] = 0; state[0] = STATE(3, 1); state[1] = STATE(3, 1);
            word[SLOTS] = 6 << 3 | GONE
        :: else
        fi;
        run mover(0);
#if CAST == 1
        if
        :: k = 0
        :: k = 1
        fi;
        run thread(1, PUT, k, 1);
#elif CAST == 2
        run mover(1);
#elif CAST == 4
        run thread(1, FIRST_OP, FIRST_KEY, 1);
#endif
        if
        :: op = GET
        :: op = PUT
        :: op = TAKE
        fi;
#if CAST == 4
        k = SECOND_KEY;
#else
        if
        :: k = 0
        :: k = 1
        fi;
#endif
        run thread(2, op, k, 2);
        op = 0; k = 0
    }
}
