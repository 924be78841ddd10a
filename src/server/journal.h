/* SPDX-License-Identifier: MIT */
/* What the commands have changed, on its way to the log. Each loop gathers the records of a batch
 * here; at the end of the batch, before any reply leaves, they are appended to the log as one
 * frame (journal.c). Records carry (era, version) of the map's write, which orders those of
 * batches that ran at the same time [D]; all others are in the log in their order.
 * docs/design/server.md says why. */
#ifndef WEFT_SERVER_JOURNAL_H
#define WEFT_SERVER_JOURNAL_H

#include "server/node.h"

/* The key now has this value (keyspace encoding). */
void weft_journal_put(weft_session *session, weft_bytes key, const weft_fresh *value,
                      const weft_outcome *outcome);
/* The key is gone. */
void weft_journal_remove(weft_session *session, weft_bytes key, const weft_outcome *outcome);
/* Everything of eras before `era` is gone. */
void weft_journal_clear(weft_session *session, uint64_t era);

/* May this node take writes now? If not, `text` is the whole error reply without '-'
 * ("MISCONF …disk full…", as Redis words it). */
bool weft_journal_writable(weft_session *session, const char **text);

/* Write a checkpoint: SAVE waits for its end, BGSAVE does not. NULL, or the text of the error. */
const char *weft_journal_checkpoint(weft_node *node, bool wait);

typedef struct weft_checkpoint_state {
    bool running;     /* one is asked for, or is being written */
    bool last_failed; /* the last one */
} weft_checkpoint_state;

weft_checkpoint_state weft_journal_checkpoint_state(weft_node *node);

#endif
