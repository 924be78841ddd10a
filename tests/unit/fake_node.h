/* SPDX-License-Identifier: MIT */
/* A node without network and log, for the tests of the commands: the services that commands use
 * are defined here, so that no part of the real server is linked. Time is a variable; what would
 * be journaled is counted and remembered. Included once in a program. With FAKE_WITH_GATE the real
 * gate is used, by as many loops as there are sessions, and nothing is counted: sessions may run
 * in parallel. */
#ifndef WEFT_TEST_FAKE_NODE_H
#define WEFT_TEST_FAKE_NODE_H

#include "server/journal.h"
#include "server/keyspace.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_SESSIONS = 4, FAKE_WORDS = 16 };

static weft_node fake_node;
static weft_session fake_sessions[FAKE_SESSIONS];
static weft_guard fake_guard;

static struct {
    int64_t now_ms;
    bool exclusive;
    bool silent;         /* remember nothing */
    const char *refusal; /* of weft_journal_writable; NULL: writable */
    /* If set: told each change; `value` is NULL for a removal, `key` too for the end of an era. */
    void (*observe)(const weft_bytes *key, const weft_fresh *value);
    unsigned puts;
    unsigned removes;
    unsigned clears;
    unsigned gate_requests;
    unsigned stops;
    uint64_t last_version;
    char last_key[64];
    char last_value[128]; /* in the encoding of the keyspace */
    size_t last_value_size;
} fake;

int64_t weft_node_now_ms(const weft_session *session) {
    (void)session;
    return fake.now_ms;
}

static void fake_remember(weft_bytes key, const weft_outcome *outcome) {
    snprintf(fake.last_key, sizeof fake.last_key, "%.*s", (int)key.size, (const char *)key.data);
    fake.last_version = outcome->version;
}

void weft_journal_put(weft_session *session, weft_bytes key, const weft_fresh *value,
                      const weft_outcome *outcome) {
    (void)session;
    if (fake.observe != NULL) {
        fake.observe(&key, value);
    }
    if (fake.silent) {
        return;
    }
    fake.puts++;
    fake_remember(key, outcome);
    fake.last_value_size = value->head.size + value->body.size;
    if (fake.last_value_size <= sizeof fake.last_value) {
        memcpy(fake.last_value, value->head.data, value->head.size);
        memcpy(fake.last_value + value->head.size, value->body.data, value->body.size);
    }
}

void weft_journal_remove(weft_session *session, weft_bytes key, const weft_outcome *outcome) {
    (void)session;
    if (fake.observe != NULL) {
        fake.observe(&key, NULL);
    }
    if (fake.silent) {
        return;
    }
    fake.removes++;
    fake_remember(key, outcome);
}

void weft_journal_clear(weft_session *session, uint64_t era) {
    (void)session;
    (void)era;
    if (fake.observe != NULL) {
        fake.observe(NULL, NULL);
    }
    fake.clears++;
}

bool weft_journal_writable(weft_session *session, const char **text) {
    (void)session;
    *text = fake.refusal;
    return fake.refusal == NULL;
}

const char *weft_journal_checkpoint(weft_node *node, bool wait) {
    (void)node;
    (void)wait;
    return fake.refusal;
}

weft_checkpoint_state weft_journal_checkpoint_state(weft_node *node) {
    (void)node;
    return (weft_checkpoint_state){0};
}

#ifndef FAKE_WITH_GATE
void weft_gate_enter(struct weft_gate *gate, uint32_t loop) {
    (void)gate;
    (void)loop;
}

void weft_gate_leave(struct weft_gate *gate, uint32_t loop) {
    (void)gate;
    (void)loop;
    fake.exclusive = false;
}

void weft_gate_exclusive(struct weft_gate *gate, uint32_t loop) {
    (void)gate;
    (void)loop;
    fake.gate_requests += !fake.exclusive;
    fake.exclusive = true;
}

bool weft_gate_is_exclusive(struct weft_gate *gate, uint32_t loop) {
    (void)gate;
    (void)loop;
    return fake.exclusive;
}
#endif

void weft_sessions_each(weft_node *node, void (*fn)(void *ctx, weft_session *session), void *ctx) {
    (void)node;
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        fn(ctx, &fake_sessions[i]);
    }
}

uint32_t weft_sessions_count(weft_node *node) {
    (void)node;
    return FAKE_SESSIONS;
}

void weft_session_kill(weft_session *session) {
    session->killed = 1;
}

void weft_node_stop(weft_node *node) {
    (void)node;
    fake.stops++;
}

/* For cmocka: a fresh node with sessions; and its end. */
static int fake_setup(void **state) {
    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(&fake_node, 0, sizeof fake_node);
    fake.now_ms = 1700000000000;
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        weft_session *session = &fake_sessions[i];
        memset(session, 0, sizeof *session);
        session->id = i + 1;
        session->node = &fake_node;
        session->out.protocol = 2;
        session->authenticated = true;
        session->last_command = "NULL";
        snprintf(session->peer, sizeof session->peer, "127.0.0.1:%zu", 5000 + i);
    }
#ifdef FAKE_WITH_GATE
    fake.silent = true;
    fake_node.gate = weft_gate_new(FAKE_SESSIONS);
#endif
    int status = weft_map_open(&fake_node.map, NULL);
    weft_guard_enter(&fake_guard);
    return status;
}

static int fake_teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        weft_transaction_end(&fake_sessions[i]);
        weft_output_free(&fake_sessions[i].out);
    }
    weft_guard_leave(&fake_guard);
#ifdef FAKE_WITH_GATE
    weft_gate_free(fake_node.gate);
#endif
    return weft_map_close(&fake_node.map);
}

#endif
