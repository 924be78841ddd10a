/* SPDX-License-Identifier: MIT */
/* The keys as commands see them: strings with an optional deadline. This is the only file that
 * knows how a value is encoded in the map:
 *
 *   +-------+------------------------------+---------+
 *   | flags | deadline, 8 bytes, optional  | payload |
 *   +-------+------------------------------+---------+
 *
 * flags bit 0: a deadline follows, in milliseconds of the wall clock, little endian. The other
 * bits are zero. The payload is the string. An entry whose deadline has passed is absent for every
 * reader; the one that meets it removes it.
 *
 * Every change is journaled and told to those who watch the key. The caller is inside the gate and
 * inside a guard, so that payloads stay valid until the batch of commands ends. */
#ifndef WEFT_SERVER_KEYSPACE_H
#define WEFT_SERVER_KEYSPACE_H

#include "server/node.h"

/* The longest value that the protocol can carry: 512 MiB. */
#define WEFT_STRING_SIZE_MAX ((size_t)512 << 20)

enum { WEFT_NO_DEADLINE = 0 };

typedef struct weft_item {
    weft_bytes payload;
    int64_t deadline; /* ms of the wall clock, or WEFT_NO_DEADLINE */
    uint64_t version;
} weft_item;

/* Read the bytes of a map value. False if they are not in this encoding. */
bool weft_item_decode(const weft_view *view, weft_item *item);
static inline bool weft_item_expired(const weft_item *item, int64_t now_ms) {
    return item->deadline != WEFT_NO_DEADLINE && item->deadline < now_ms;
}

/* Look a key up; false if absent. `read` counts a hit or a miss, `look` does not. */
bool weft_keyspace_read(weft_session *session, weft_bytes key, weft_item *item);
bool weft_keyspace_look(weft_session *session, weft_bytes key, weft_item *item);

/* What an edit callback wants stored. */
typedef struct weft_edit {
    weft_bytes payload;
    int64_t deadline;
    bool append; /* the payload goes behind the old value, which keeps its deadline */
} weft_edit;

/* `old` is NULL if the key is absent. Says SET (with `edit` filled), DEL or KEEP; may run several
 * times. */
typedef weft_verdict (*weft_edit_fn)(void *ctx, const weft_item *old, weft_edit *edit);

/* Read, decide and write at one point in time. False: nothing was changed and an error reply was
 * sent. */
bool weft_keyspace_edit(weft_session *session, weft_bytes key, weft_edit_fn fn, void *ctx);
/* Store a value, whatever was there. False as weft_keyspace_edit. */
bool weft_keyspace_put(weft_session *session, weft_bytes key, weft_bytes payload, int64_t deadline);
/* True if the key was there and is gone now. */
bool weft_keyspace_remove(weft_session *session, weft_bytes key);
/* Remove a key if its deadline has passed at `now_ms`; true if it was removed. */
bool weft_keyspace_expire(weft_session *session, weft_bytes key, int64_t now_ms);
/* Is there an entry whose deadline has passed? */
bool weft_keyspace_stale(weft_session *session, weft_bytes key);
/* Remove all keys; the caller is exclusive in the gate. False: as weft_keyspace_edit. */
bool weft_keyspace_clear(weft_session *session);

/* Keys with a deadline. Exact while no command runs. */
uint64_t weft_keyspace_deadlines(const weft_node *node);
/* Count them anew, after entries came into the map without commands (recovery). No command may
 * run. */
void weft_keyspace_recount(weft_node *node);

/* Bytes of the keys: entries and tables of the map. `measure` takes a new sample and keeps it. */
uint64_t weft_keyspace_memory(const weft_node *node);
uint64_t weft_keyspace_measure(weft_node *node);

#endif
