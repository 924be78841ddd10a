/* SPDX-License-Identifier: MIT */
/* The network and storage side of a node: event loops, connections, the keeper of the log.
 * Commands see none of it; they see node.h, session.h and journal.h. */
#ifndef WEFT_SERVER_RUNTIME_H
#define WEFT_SERVER_RUNTIME_H

#include "base/atomic.h"
#include "base/lock.h"
#include "base/thread.h"
#include "server/node.h"
#include "server/resp.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <weft/guard.h>
#include <weft/log.h>

typedef struct weft_connection weft_connection;

enum {
    WEFT_INPUT_SIZE = 64 * 1024, /* what one read takes at most into the loop's shared buffer */
    WEFT_SPARE_OUTPUTS = 64,     /* reply buffers that a loop keeps for those who run */
    WEFT_STOP_GRACE_MS = 2000,   /* for clients to take their last replies */
};

/* The era of a checkpoint's records: they come first and are in no order with others. */
#define WEFT_CHECKPOINT_ERA UINT64_MAX

typedef struct weft_loop {
    weft_node *node;
    struct weft_runtime *runtime;
    uint32_t index;
    weft_thread thread;
    bool running; /* the thread exists */
    struct event_base *base;
    int wake_fd; /* an eventfd: look at the fields that others write */
    struct event wake_event;
    struct event tick_event; /* loop 0: the sweep; all: reopen listeners, end of the stop's grace */
    int tcp_fd;
    struct event tcp_event;
    struct event unix_event;
    bool listening;
    uint64_t accept_again_ns; /* not 0: listeners rest until then, for want of descriptors */
    uint64_t stop_deadline_ns;
    uint64_t sweep_budget_ns;
    int64_t now_ms; /* wall clock of the batch */

    char *input;                            /* what a read brings; idle connections hold nothing */
    weft_output spares[WEFT_SPARE_OUTPUTS]; /* reply buffers for those who run */
    size_t spare_count;
    weft_bytes *spare_items; /* room for arguments, likewise */
    size_t spare_capacity;

    /* Inside the gate only: this loop, or an exclusive one. */
    weft_log_frame frame;
    int frame_status; /* of what was added to it: WEFT_OK, or a record is missing */
    /* Of the appends of the round. */
    uint64_t round_lsn; /* of the last frame; 0: none */
    int round_status;   /* WEFT_OK, or something did not get into the log */

    bool in_round;     /* something ran since the last end of a round */
    bool inside;       /* in the gate, and in the guard */
    bool finished;     /* the thread ends after this round */
    uint64_t began_ns; /* when the round did */
    weft_guard guard;
    weft_connection *ran_first; /* in this round; their replies leave at its end */
    weft_connection *ran_last;

    weft_connection *connections; /* of this loop */
    uint32_t connection_count;    /* atomic: of this loop, those on their way to it included */
    weft_mutex inbox_mutex;
    weft_connection *inbox; /* connections that other loops have handed over */
    bool eager;             /* the last wait was so short that polling pays (loop.c) */
    uint64_t polled_ns;     /* spent polling since the last tick */
    uint64_t load_permille; /* atomic: processor time of the last tick's interval */
    uint64_t ticked_ns;     /* when that ended, and how much the thread had used by then */
    uint64_t used_ns;
    weft_connection *held_first; /* replies that wait for their records to be durable */
    weft_connection *held_last;
    uint64_t holding; /* atomic: held_first is, or is about to be, not NULL */
    uint64_t kills;   /* atomic: a session of this loop was killed */
} WEFT_LINE_ALIGNED weft_loop;

/* The thread that keeps the log in shape (keeper.c). */
typedef struct weft_keeper {
    weft_thread thread;
    bool running;
    weft_mutex mutex;
    weft_cond changed;
    bool stopping;
    bool wanted;            /* a checkpoint was asked for, or is needed */
    bool busy;              /* one is being written */
    uint64_t finished;      /* checkpoints ended, well or not */
    int last_status;        /* of the last one */
    uint64_t heal;          /* atomic: a frame was refused; memory is ahead of the log */
    uint64_t barrier_bytes; /* atomic: bytes appended since the last barrier */
} weft_keeper;

typedef struct weft_runtime {
    weft_node *node;
    uint32_t loop_count;
    int stop_fd; /* an eventfd: the main thread waits here */
    int unix_fd;
    weft_mutex registry;
    weft_connection *sessions;
    uint32_t session_count; /* atomic */
    uint64_t next_id;       /* atomic */
    uint32_t cpu_count;     /* processors that the node may use */
    uint32_t active_loops;  /* atomic: connections live on the first so many loops (balance.c) */
    unsigned hot_ticks;     /* loop 0 only */
    unsigned calm_ticks;
    weft_keeper keeper;
    struct weft_http *http;
    weft_loop loops[];
} weft_runtime;

/* The loop that this thread runs; NULL on other threads. */
extern __thread weft_loop *weft_loop_current;

static inline void weft_bump(uint64_t *counter, uint64_t by) {
    weft_store_relaxed(counter, weft_load_relaxed(counter) + by);
}

static inline weft_loop_stats *weft_loop_counters(const weft_loop *loop) {
    return &loop->node->loops[loop->index];
}

/* loop.c */
void weft_loop_step_in(weft_loop *loop);  /* into the gate and a guard, if it is not there */
void weft_loop_step_out(weft_loop *loop); /* and out */
bool weft_loop_open(weft_loop *loop);
bool weft_loop_start(weft_loop *loop);
void weft_loop_join(weft_loop *loop);
void weft_loop_close(weft_loop *loop);
void weft_loop_wake(weft_loop *loop);

/* listen.c: false after a line on stderr. */
bool weft_listen_open(weft_runtime *runtime);
void weft_listen_close(weft_runtime *runtime);
void weft_listen_start(weft_loop *loop);
void weft_listen_stop(weft_loop *loop);

/* connection.c */
void weft_connection_open(weft_loop *loop, int fd, bool unix_socket);
void weft_connections_adopt(weft_loop *loop); /* take those that other loops have handed over */
/* Hand up to `count` connections that rest over to another loop; how many. */
uint32_t weft_connections_move(weft_loop *from, weft_loop *to, uint32_t count);
void weft_connections_send(weft_loop *loop);    /* the replies of this round */
void weft_connections_release(weft_loop *loop); /* send what has become durable */
void weft_connections_reap(weft_loop *loop);    /* close the killed ones */
/* Close those with nothing left to send, or all; true when none is left. */
bool weft_connections_finish(weft_loop *loop, bool all);

/* balance.c */
weft_loop *weft_balance_place(weft_loop *loop); /* where a new connection of this loop goes */
void weft_balance_tick(weft_loop *loop);

/* journal.c: append the loop's records as one frame, noted in round_lsn and round_status. Inside
 * the gate; or exclusive, for any loop. */
void weft_journal_commit_round(weft_loop *loop);
const char *weft_journal_refusal(weft_log_state state);

/* recovery.c: open the log and bring its content into the map; false after a line on stderr. */
bool weft_recovery_run(weft_node *node);
/* Append the mark of a moment at which no batch is under way. */
int weft_recovery_barrier(weft_node *node);

/* keeper.c */
bool weft_keeper_start(weft_runtime *runtime);
void weft_keeper_stop(weft_runtime *runtime);
void weft_keeper_notify(void *ctx, uint64_t durable_lsn); /* for weft_log_options; ctx: the node */

/* http.c */
bool weft_http_start(weft_runtime *runtime);
void weft_http_stop(weft_runtime *runtime);

#endif
