/* SPDX-License-Identifier: MIT */
/* A client as the commands see it; the network side (connection.c) holds one in each connection. */
#ifndef WEFT_SERVER_SESSION_H
#define WEFT_SERVER_SESSION_H

#include "server/output.h"

typedef struct weft_args {
    size_t count;            /* command name included */
    const weft_bytes *items; /* point into the input buffer: valid until the command returns */
} weft_args;

struct weft_transaction; /* queued commands and watched keys (transaction.c) */
struct weft_connection;  /* connection.c */
struct weft_node;        /* the server: node.h */

typedef struct weft_session {
    uint64_t id;
    struct weft_node *node;
    struct weft_connection *connection;
    weft_output out;
    bool authenticated;
    bool close_after_reply; /* QUIT, protocol errors */
    bool no_evict;
    bool reply_skip_next; /* CLIENT REPLY SKIP */
    bool reply_off;       /* CLIENT REPLY OFF; out.muted follows it between commands */
    bool unix_socket;
    uint32_t database; /* SELECT; only 0 exists */
    uint32_t loop;     /* index of the event loop that serves it */
    int fd;
    char name[64]; /* CLIENT SETNAME; "" if none */
    char lib_name[64];
    char lib_version[64];
    char peer[64]; /* "127.0.0.1:5000", or "/path/of/socket:0" */
    char local[64];
    int64_t created_ms; /* wall clock */
    int64_t last_active_ms;
    const char *last_command; /* lower case; "NULL" before the first */
    uint64_t commands;
    uint64_t input_pending;               /* bytes waiting in the input buffer, for CLIENT INFO */
    uint64_t killed;                      /* atomic; set by CLIENT KILL from any loop */
    uint64_t dirty;                       /* atomic; a watched key was written */
    struct weft_transaction *transaction; /* NULL outside MULTI and WATCH */
} weft_session;

/* Run one command of a client, reply into session->out. (command.c) The caller holds the gate, and
 * a map guard, for the whole batch of commands that one read brought. */
void weft_command_run(weft_session *session, const weft_args *args);

/* Forget MULTI and WATCH state; called when a connection closes, by RESET, DISCARD.
 * (transaction.c) */
void weft_transaction_end(weft_session *session);

#endif
