/* SPDX-License-Identifier: MIT */
#include "server/journal.h"

#include "server/runtime.h"

static inline weft_loop *loop_of(weft_session *session) {
    return &session->node->runtime->loops[session->loop];
}

static void add(weft_session *session, const weft_log_record *record) {
    weft_loop *loop = loop_of(session);
    if (WEFT_UNLIKELY(session->node->log == NULL)) {
        return;
    }
    int status = weft_log_frame_add(&loop->frame, record);
    if (WEFT_UNLIKELY(status != WEFT_OK)) {
        loop->frame_status = status;
    }
}

void weft_journal_put(weft_session *session, weft_bytes key, const weft_fresh *value,
                      const weft_outcome *outcome) {
    weft_log_record record = {WEFT_LOG_PUT, outcome->era, outcome->version, key, *value};
    add(session, &record);
}

void weft_journal_remove(weft_session *session, weft_bytes key, const weft_outcome *outcome) {
    weft_log_record record = {
        .op = WEFT_LOG_REMOVE, .era = outcome->era, .version = outcome->version, .key = key};
    add(session, &record);
}

void weft_journal_clear(weft_session *session, uint64_t era) {
    weft_log_record record = {.op = WEFT_LOG_CLEAR, .era = era};
    add(session, &record);
}

void weft_journal_commit_round(weft_loop *loop) {
    if (loop->frame.size == 0 && loop->frame_status == WEFT_OK) {
        return;
    }
    int status = loop->frame_status;
    loop->frame_status = WEFT_OK;
    if (loop->frame.size != 0) {
        int appended = weft_log_append(loop->node->log, &loop->frame, &loop->round_lsn);
        weft_fetch_add_relaxed(&loop->node->changes_since_save, loop->frame.records);
        weft_fetch_add_relaxed(&loop->runtime->keeper.barrier_bytes, loop->frame.size);
        weft_log_frame_reset(&loop->frame);
        status = status == WEFT_OK ? appended : status;
    }
    if (WEFT_UNLIKELY(status != WEFT_OK)) {
        loop->round_status = status;
        weft_store_relaxed(&loop->runtime->keeper.heal, 1);
    }
}

const char *weft_journal_refusal(weft_log_state state) {
    switch (state) {
    case WEFT_LOG_FULL:
        return "MISCONF Errors writing to the AOF file: No space left on device";
    case WEFT_LOG_FAILED:
        return "MISCONF Errors writing to the AOF file: Input/output error";
    default:
        return "MISCONF Errors writing to the AOF file: Cannot allocate memory";
    }
}

bool weft_journal_writable(weft_session *session, const char **text) {
    struct weft_log *log = session->node->log;
    if (log == NULL) {
        return true;
    }
    weft_log_state state = weft_log_state_get(log);
    if (WEFT_LIKELY(state == WEFT_LOG_GOOD)) {
        return true;
    }
    *text = weft_journal_refusal(state);
    return false;
}
