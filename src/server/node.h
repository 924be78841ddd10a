/* SPDX-License-Identifier: MIT */
/* The server as one object: options, the map, the log, the loops, and what INFO counts. */
#ifndef WEFT_SERVER_NODE_H
#define WEFT_SERVER_NODE_H

#include "server/gate.h"
#include "server/session.h"
#include <weft/map.h>

typedef enum weft_sync_policy {
    WEFT_SYNC_ALWAYS,
    WEFT_SYNC_EVERYSEC,
    WEFT_SYNC_NO
} weft_sync_policy;

typedef struct weft_node_options {
    uint16_t port;         /* 7379; 0: no TCP */
    const char *bind;      /* 127.0.0.1 */
    const char *unix_path; /* NULL: none */
    const char *directory; /* ./weft-data; NULL: --memory */
    uint32_t threads;
    weft_sync_policy sync;
    const char *auth_file;   /* NULL: no password */
    uint16_t http_port;      /* 7380; 0: none */
    uint64_t max_memory;     /* bytes; 0: no limit */
    uint32_t max_clients;    /* 10000 */
    const char *record_file; /* a trace of what is done with the keys; NULL: none */
    uint64_t record_sample;  /* of 1 key in so many; 0: all */
} weft_node_options;

/* Counters of one loop, on lines of its own; INFO and /metrics sum them. The loop writes them. */
typedef struct weft_loop_stats {
    uint64_t commands;
    uint64_t connections_accepted;
    uint64_t connections_rejected;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t keyspace_hits;
    uint64_t keyspace_misses;
    uint64_t expired_keys;
    uint64_t error_replies;
    int64_t deadlines; /* keys that got a deadline here, minus those that lost theirs here */
} __attribute__((aligned(64))) weft_loop_stats;

enum { WEFT_LOOPS_MAX = 256 };

typedef struct weft_node {
    weft_node_options options;
    weft_map map; /* the keys: value = server/keyspace.h encoding */
    struct weft_gate *gate;
    struct weft_log *log;             /* NULL: --memory (weft/log.h) */
    struct weft_recording *recording; /* NULL: none (weft/record.h) */
    char password[512];               /* "" if none */
    int64_t started_ms;               /* wall clock */
    char run_id[41];
    weft_loop_stats loops[WEFT_LOOPS_MAX];
    uint64_t changes_since_save; /* atomic */
    int64_t last_save_ms;        /* wall clock of the last checkpoint */
    uint64_t stopping;           /* atomic; 1 after SHUTDOWN or a signal */
    /* Kept by the commands; atomic. */
    uint64_t used_memory; /* bytes of the keys, as last measured */
    uint64_t peak_memory;
    uint64_t average_ttl_ms;      /* of the keys that the last sweep met */
    uint64_t sweep_cursor;        /* where the next sweep goes on */
    struct weft_runtime *runtime; /* loops, connections, threads (runtime.h); NULL without */
} weft_node;

/* Wall clock in milliseconds, read once per batch of commands by each loop. */
int64_t weft_node_now_ms(const weft_session *session);

/* The other side's services for commands (connection.c). `fn` runs with the registry locked:
 * short. */
void weft_sessions_each(weft_node *node, void (*fn)(void *ctx, weft_session *session), void *ctx);
uint32_t weft_sessions_count(weft_node *node);
void weft_session_kill(weft_session *session); /* any thread; with the registry locked */
void weft_node_stop(weft_node *node);          /* begin an orderly stop; any thread, signal-safe */

#endif
