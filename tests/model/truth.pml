/* SPDX-License-Identifier: MIT */
/* What the map holds, and what operations may answer. The including model defines KEYS and
 * THREADS. */

/* What the map holds, changed at the linearization points: 0 is absent. Each operation that is
 * running keeps the set of values that its key has had since it began. */
byte truth[KEYS];
byte had[THREADS];
byte key_of[THREADS] = NONE;

inline truth_becomes(k, v) {
    truth[k] = v;
    for (q : 0 .. THREADS - 1) {
        if
        :: key_of[q] == (k) -> had[q] = had[q] | 1 << (v)
        :: else
        fi
    }
    q = 0
}

inline begin_operation(p, k) {
    key_of[p] = k;
    had[p] = 1 << truth[k]
}

/* The operation's answer was true at a moment between its beginning and now. */
inline answer(p, v) {
    assert((had[p] >> (v) & 1) == 1)
}

inline end_operation(p) {
    key_of[p] = NONE;
    had[p] = 0
}
