/* SPDX-License-Identifier: MIT */
/* MULTI and WATCH: queued commands of a session, and the registry of watched keys. */
#ifndef WEFT_SERVER_TRANSACTION_H
#define WEFT_SERVER_TRANSACTION_H

#include "base/atomic.h"
#include "server/command.h"

/* Is the session between MULTI and EXEC? */
bool weft_transaction_open(const weft_session *session);
/* How many commands are queued; -1 outside MULTI. */
int64_t weft_transaction_queued(const weft_session *session);
/* What the queued commands' flags have in common with `flags`; 0 outside MULTI. */
uint32_t weft_transaction_flags(const weft_session *session, uint32_t flags);
/* Keep a copy of the command for EXEC, and reply. */
void weft_transaction_queue(weft_session *session, const weft_command *command,
                            const weft_args *args);
/* A command was refused: EXEC will refuse too. Nothing outside MULTI. */
void weft_transaction_fail(weft_session *session);

/* Keys watched in the whole process. Changes only while its loop is alone in the gate, or while a
 * connection closes; so a writer inside the gate sees every watch that later reads rely on. */
extern uint64_t weft_watch_count;

void weft_transaction_touch_watched(weft_session *session, weft_bytes key);
/* A key was written: those who watch it cannot EXEC any more. */
static inline void weft_transaction_touch(weft_session *session, weft_bytes key) {
    if (WEFT_UNLIKELY(weft_load_relaxed(&weft_watch_count) != 0)) {
        weft_transaction_touch_watched(session, key);
    }
}
/* All keys are about to go: touch those watched ones that exist. */
void weft_transaction_touch_present(weft_session *session);

#endif
