/* SPDX-License-Identifier: MIT */
/* A client's socket.
 *
 * A loop works in rounds: it waits until sockets are ready, reads each of them once, and runs the
 * complete commands of each, inside the gate and a guard. When all have run, the round's records
 * go to the log as one frame, and then the replies leave, one write a client. So the log sees one
 * append, and clients that wait together are woken together.
 *
 * An idle connection holds no buffer. A read goes into the loop's own input buffer; only the
 * beginning of a command whose rest has not come is kept with the connection. Replies are written
 * into a buffer that the loop lends for the round; it stays with the connection only while its
 * client does not read. */
#include "base/clock.h"
#include "base/memory.h"
#include "server/command.h"
#include "server/runtime.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    COPIED_MAX = 4096,     /* a beginning of up to this size goes through the loop's buffer */
    READ_MAX = 1 << 20,    /* one read behind a longer one */
    SPARE_MAX = 64 * 1024, /* a reply buffer above this is freed, not kept as spare */
    SPARE_ITEMS_MAX = 1024,
    DRAIN_READS = 16,
    AHEAD_MAX = 16,
    AHEAD_KEYS_MAX = 32,
    AHEAD_KEY_SIZE_MAX = 256, /* hashing a longer key costs more than it saves */
    KEEPALIVE_SECONDS = 300,
    REPLIES_ENOUGH = 1 << 20, /* with so much to send, commands that have come wait */
};

/* Of one command that is not complete, as client-query-buffer-limit. */
#define PENDING_MAX ((size_t)1 << 30)

struct weft_connection {
    weft_session session;
    weft_loop *loop;
    struct event read_event;
    struct event write_event;
    weft_resp resp;
    char *pending; /* the beginning of a command */
    size_t pending_size;
    size_t pending_capacity;
    uint64_t hold_lsn; /* replies leave when this is durable */
    bool held;
    bool stalled;       /* commands have come that wait until its replies are gone */
    bool ran;           /* in this round */
    bool changed;       /* its commands of this round added records */
    bool doomed;        /* to be closed when it is neither held nor on the round's list */
    size_t size_before; /* bytes of replies that waited before this round */
    size_t replies;     /* to the commands of this round */
    weft_connection *ran_next;
    weft_connection *held_next;
    weft_connection *next; /* of the loop */
    weft_connection *previous;
    weft_connection *registry_next;
    weft_connection *registry_previous;
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void flush(weft_connection *connection);

/* The registry of sessions. */
static void register_session(weft_connection *connection) {
    weft_runtime *runtime = connection->loop->runtime;
    weft_mutex_lock(&runtime->registry);
    connection->registry_previous = NULL;
    connection->registry_next = runtime->sessions;
    if (runtime->sessions != NULL) {
        runtime->sessions->registry_previous = connection;
    }
    runtime->sessions = connection;
    weft_mutex_unlock(&runtime->registry);
}

static void unregister_session(weft_connection *connection) {
    weft_runtime *runtime = connection->loop->runtime;
    weft_mutex_lock(&runtime->registry);
    if (connection->registry_previous != NULL) {
        connection->registry_previous->registry_next = connection->registry_next;
    } else {
        runtime->sessions = connection->registry_next;
    }
    if (connection->registry_next != NULL) {
        connection->registry_next->registry_previous = connection->registry_previous;
    }
    weft_mutex_unlock(&runtime->registry);
    weft_fetch_add_relaxed(&runtime->session_count, (uint32_t)-1);
}

void weft_sessions_each(weft_node *node, void (*fn)(void *ctx, weft_session *session), void *ctx) {
    weft_runtime *runtime = node->runtime;
    weft_mutex_lock(&runtime->registry);
    for (weft_connection *at = runtime->sessions; at != NULL; at = at->registry_next) {
        fn(ctx, &at->session);
    }
    weft_mutex_unlock(&runtime->registry);
}

uint32_t weft_sessions_count(weft_node *node) {
    return weft_load_relaxed(&node->runtime->session_count);
}

void weft_session_kill(weft_session *session) {
    weft_loop *loop = session->connection->loop;
    weft_store_relaxed(&session->killed, 1);
    /* pairs with the exchange in weft_connections_reap */
    weft_store_release(&loop->kills, 1);
    weft_loop_wake(loop);
}

/* Memory of a connection. */

static void free_pending(weft_connection *connection) {
    if (connection->pending != NULL) {
        weft_memory_free(NULL, connection->pending, connection->pending_capacity, 1);
    }
    connection->pending = NULL;
    connection->pending_size = connection->pending_capacity = 0;
}

/* Keep `size` bytes at `data`, which may lie inside the kept ones: the beginning of a command. */
static bool keep_pending(weft_connection *connection, const char *data, size_t size) {
    bool much_too_large = connection->pending_capacity / 4 > size;
    if (size == 0) {
        free_pending(connection);
        return true;
    }
    if (connection->pending_capacity >= size && !much_too_large) {
        memmove(connection->pending, data, size);
        connection->pending_size = size;
        return true;
    }
    char *fresh = weft_memory_alloc(NULL, size, 1);
    if (fresh == NULL) {
        return false;
    }
    memcpy(fresh, data, size);
    free_pending(connection);
    connection->pending = fresh;
    connection->pending_size = connection->pending_capacity = size;
    return true;
}

/* Room for a read behind a long beginning: as much again as has come. */
static bool grow_pending(weft_connection *connection) {
    if (connection->pending_capacity - connection->pending_size >= WEFT_INPUT_SIZE / 2) {
        return true;
    }
    size_t capacity = connection->pending_size * 2 + WEFT_INPUT_SIZE;
    char *fresh = weft_memory_alloc(NULL, capacity, 1);
    if (fresh == NULL) {
        return false;
    }
    memcpy(fresh, connection->pending, connection->pending_size);
    size_t size = connection->pending_size;
    free_pending(connection);
    connection->pending = fresh;
    connection->pending_size = size;
    connection->pending_capacity = capacity;
    return true;
}

static void borrow_spares(weft_loop *loop, weft_connection *connection) {
    weft_output *out = &connection->session.out;
    if (out->data == NULL && loop->spare_count != 0) {
        weft_output *spare = &loop->spares[--loop->spare_count];
        out->data = spare->data;
        out->capacity = spare->capacity;
    }
    if (connection->resp.items == NULL) {
        connection->resp.items = loop->spare_items;
        connection->resp.capacity = loop->spare_capacity;
        loop->spare_items = NULL;
        loop->spare_capacity = 0;
    }
}

static void return_items(weft_loop *loop, weft_connection *connection) {
    weft_resp *resp = &connection->resp;
    if (resp->parsed != 0 || resp->items == NULL) {
        return;
    }
    if (loop->spare_items != NULL || resp->capacity > SPARE_ITEMS_MAX) {
        weft_resp_free(resp);
        return;
    }
    loop->spare_items = resp->items;
    loop->spare_capacity = resp->capacity;
    resp->items = NULL;
    resp->capacity = 0;
}

static void return_output(weft_loop *loop, weft_output *out) {
    out->sent = 0;
    if (loop->spare_count == WEFT_SPARE_OUTPUTS || out->capacity > SPARE_MAX) {
        weft_output_free(out);
        return;
    }
    weft_output *spare = &loop->spares[loop->spare_count++];
    spare->data = out->data;
    spare->capacity = out->capacity;
    spare->size = spare->sent = 0;
    out->data = NULL;
    out->capacity = 0;
}

/* The end of a connection. */

static void unlink_connection(weft_connection *connection) {
    weft_loop *loop = connection->loop;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        loop->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    weft_fetch_add_relaxed(&loop->connection_count, (uint32_t)-1);
}

/* The connection is this loop's from now on. It was counted when it was sent on its way. */
static void settle(weft_connection *connection) {
    weft_loop *loop = connection->loop;
    event_assign(&connection->read_event, loop->base, connection->session.fd, EV_READ | EV_PERSIST,
                 on_readable, connection);
    event_assign(&connection->write_event, loop->base, connection->session.fd, EV_WRITE,
                 on_writable, connection);
    connection->previous = NULL;
    connection->next = loop->connections;
    if (loop->connections != NULL) {
        loop->connections->previous = connection;
    }
    loop->connections = connection;
}

static void close_connection(weft_connection *connection) {
    event_del(&connection->read_event);
    event_del(&connection->write_event);
    if (connection->held || connection->ran) {
        connection->doomed = true;
        return;
    }
    unregister_session(connection);
    unlink_connection(connection);
    weft_transaction_end(&connection->session);
    close(connection->session.fd);
    free_pending(connection);
    weft_resp_free(&connection->resp);
    weft_output_free(&connection->session.out);
    weft_memory_free(NULL, connection, sizeof *connection, _Alignof(weft_connection));
}

/* Say why on stderr: what the client did cannot be told to it any more. */
static WEFT_COLD void close_because(weft_connection *connection, const char *reason) {
    fprintf(stderr, "weft: client %llu at %s closed: %s\n",
            (unsigned long long)connection->session.id, connection->session.peer, reason);
    close_connection(connection);
}

/* All replies are with the kernel: end the stream, and take in what the client sent meanwhile,
 * because closing over unread bytes would make the kernel drop the replies. */
static void close_gently(weft_connection *connection) {
    shutdown(connection->session.fd, SHUT_WR);
    for (int i = 0; i < DRAIN_READS; i++) {
        if (recv(connection->session.fd, connection->loop->input, WEFT_INPUT_SIZE, 0) <= 0) {
            break;
        }
    }
    close_connection(connection);
}

/* Sending. */
static void flush(weft_connection *connection) {
    weft_loop *loop = connection->loop;
    weft_output *out = &connection->session.out;
    while (out->size != 0) {
        ssize_t sent = send(connection->session.fd, out->data + out->sent, out->size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                event_add(&connection->write_event, NULL);
            } else {
                close_connection(connection);
            }
            return;
        }
        out->size -= (size_t)sent;
        out->sent += (size_t)sent;
        weft_bump(&weft_loop_counters(loop)->bytes_out, (uint64_t)sent);
    }
    if (out->data != NULL) {
        return_output(loop, out);
    }
    if (connection->session.close_after_reply) {
        close_gently(connection);
    } else if (connection->stalled) {
        event_add(&connection->read_event, NULL);
        event_active(&connection->read_event, EV_READ, 0);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    weft_connection *connection = arg;
    if (!connection->ran) {
        flush(connection);
    }
}

/* What the commands of the round replied is not true: its records are not in the log. Each reply
 * becomes the error, so that a pipeline stays in step. On a full disk they are stored when there is
 * room. */
static WEFT_COLD void refuse_round(weft_connection *connection, weft_log_state state) {
    weft_output *out = &connection->session.out;
    bool muted = out->muted;
    out->size = connection->size_before;
    out->muted = false;
    for (size_t i = 0; i < connection->replies; i++) {
        weft_reply_error(out, "%s", weft_journal_refusal(state));
    }
    out->muted = muted;
}

/* Keep the replies back until the log says that their records are durable. Reading rests
 * meanwhile. */
static void hold(weft_connection *connection, uint64_t lsn) {
    weft_loop *loop = connection->loop;
    connection->held = true;
    connection->hold_lsn = lsn;
    connection->held_next = NULL;
    event_del(&connection->read_event);
    event_del(&connection->write_event);
    if (loop->held_first == NULL) {
        loop->held_first = connection;
    } else {
        loop->held_last->held_next = connection;
    }
    loop->held_last = connection;
    weft_exchange_seq_cst(&loop->holding, 1);
}

static void release(weft_connection *connection, bool durable) {
    connection->held = false;
    if (connection->doomed) {
        close_connection(connection);
        return;
    }
    if (!durable) {
        refuse_round(connection, weft_log_state_get(connection->loop->node->log));
    }
    event_add(&connection->read_event, NULL);
    flush(connection);
}

/* Frames of a loop become durable in their order, so those that wait do so in a queue. */
void weft_connections_release(weft_loop *loop) {
    struct weft_log *log = loop->node->log;
    while (loop->held_first != NULL) {
        weft_connection *connection = loop->held_first;
        bool durable = connection->hold_lsn <= weft_log_durable_lsn(log);
        weft_log_state state = weft_log_state_get(log);
        if (!durable && state != WEFT_LOG_FAILED && state != WEFT_LOG_FULL) {
            return;
        }
        loop->held_first = connection->held_next;
        if (loop->held_first == NULL) {
            weft_exchange_seq_cst(&loop->holding, 0);
        }
        release(connection, durable);
    }
}

/* Receiving. */

/* Commands that are understood and have not run: so that the lines of memory that they will read
 * are on their way while the ones before them run. */
typedef struct read_ahead {
    size_t first[AHEAD_MAX]; /* where the arguments of each begin */
    size_t count[AHEAD_MAX];
    size_t commands;
    weft_bytes keys[AHEAD_KEYS_MAX];
    size_t key_count;
} read_ahead;

static inline void add_key(read_ahead *ahead, weft_bytes key) {
    if (ahead->key_count < AHEAD_KEYS_MAX && key.size <= AHEAD_KEY_SIZE_MAX) {
        ahead->keys[ahead->key_count++] = key;
    }
}

/* Where the keys of a long command are is in the table; a short one's only argument, or the first
 * of two, is its key if it has one. */
static void add_keys(read_ahead *ahead, const weft_args *args) {
    if (WEFT_LIKELY(args->count == 2 || args->count == 3)) {
        add_key(ahead, args->items[1]);
        return;
    }
    const weft_command *command = args->count > 3 ? weft_command_find(args->items[0]) : NULL;
    if (command == NULL || command->first_key == 0) {
        return;
    }
    size_t last = command->last_key < 0 ? args->count - (size_t)-command->last_key
                                        : (size_t)command->last_key;
    for (size_t i = (size_t)command->first_key; i <= last && i < args->count;
         i += (size_t)command->key_step) {
        add_key(ahead, args->items[i]);
    }
}

/* Understand the next few commands; the last status. */
static weft_resp_status parse_ahead(weft_connection *connection, read_ahead *ahead,
                                    weft_bytes input, size_t *used) {
    weft_resp *resp = &connection->resp;
    bool known = connection->session.authenticated;
    weft_resp_limits limits = {WEFT_RESP_ARGUMENTS_MAX, WEFT_RESP_BULK_MAX, known};
    weft_resp_status status = WEFT_RESP_COMMAND;
    size_t most = known ? AHEAD_MAX : 1;
    ahead->commands = ahead->key_count = 0;
    while (ahead->commands < most && ahead->key_count < AHEAD_KEYS_MAX / 2) {
        weft_request request;
        weft_bytes rest = weft_bytes_of((const char *)input.data + *used, input.size - *used);
        status = weft_resp_parse(resp, &limits, rest, &request);
        if (WEFT_UNLIKELY(status != WEFT_RESP_COMMAND)) {
            break;
        }
        *used += request.size;
        if (WEFT_LIKELY(request.args.count != 0)) {
            add_keys(ahead, &request.args);
            ahead->first[ahead->commands] = request.first;
            ahead->count[ahead->commands++] = request.args.count;
        }
    }
    return status;
}

static bool can_go_on(const weft_session *session) {
    return !session->close_after_reply && !session->out.failed;
}

/* Run the complete commands of the input; returns how many bytes they took. */
static size_t run_commands(weft_connection *connection, weft_bytes input) {
    weft_session *session = &connection->session;
    weft_resp *resp = &connection->resp;
    weft_resp_status status;
    size_t used = 0;
    do {
        read_ahead ahead;
        status = parse_ahead(connection, &ahead, input, &used);
        if (ahead.key_count > 1) {
            weft_map_prefetch(&session->node->map, ahead.keys, ahead.key_count);
        }
        for (size_t i = 0; i < ahead.commands && can_go_on(session); i++) {
            weft_args args = {ahead.count[i], resp->items + ahead.first[i]};
            size_t before = session->out.size;
            weft_command_run(session, &args);
            connection->replies += session->out.size != before;
        }
        weft_resp_release(resp);
    } while (status == WEFT_RESP_COMMAND && can_go_on(session) &&
             session->out.size < REPLIES_ENOUGH);
    if (WEFT_UNLIKELY(status > WEFT_RESP_MORE) && can_go_on(session)) {
        session->out.muted = false;
        weft_reply_error(&session->out, "%s",
                         status == WEFT_RESP_ERROR ? resp->error
                                                   : "OOM out of memory for this request");
        session->close_after_reply = true;
    }
    return used;
}

/* Put the connection on the round's list. */
static void join_round(weft_connection *connection) {
    weft_loop *loop = connection->loop;
    if (connection->ran) {
        return;
    }
    connection->ran = true;
    connection->changed = false;
    connection->size_before = connection->session.out.size;
    connection->replies = 0;
    connection->ran_next = NULL;
    if (loop->ran_first == NULL) {
        loop->ran_first = connection;
    } else {
        loop->ran_last->ran_next = connection;
    }
    loop->ran_last = connection;
}

/* `size` bytes at `data` have come, the kept ones first. Returns how many of them are done with. */
static size_t run_batch(weft_connection *connection, char *data, size_t size) {
    weft_loop *loop = connection->loop;
    weft_session *session = &connection->session;
    weft_loop_step_in(loop);
    join_round(connection);
    borrow_spares(loop, connection);
    size_t records = loop->frame.size;
    uint64_t lsn = loop->round_lsn;
    session->last_active_ms = loop->now_ms;
    size_t used = run_commands(connection, weft_bytes_of(data, size));
    if (session->close_after_reply) {
        used = size;
    }
    connection->stalled = used < size && session->out.size >= REPLIES_ENOUGH;
    if (WEFT_UNLIKELY(connection->stalled)) {
        event_del(&connection->read_event);
    }
    session->input_pending = size - used;
    connection->changed |=
        loop->frame.size != records || loop->round_lsn != lsn || loop->frame_status != WEFT_OK;
    if (weft_gate_is_exclusive(loop->node->gate, loop->index)) {
        weft_loop_step_out(loop);
    }
    return_items(loop, connection);
    return used;
}

static void send_replies(weft_connection *connection) {
    weft_loop *loop = connection->loop;
    weft_node *node = loop->node;
    if (WEFT_UNLIKELY(connection->doomed)) {
        close_connection(connection);
        return;
    }
    if (WEFT_UNLIKELY(connection->session.out.failed)) {
        close_because(connection, "no memory for its replies, or it left 256 MiB of them unread");
        return;
    }
    if (WEFT_UNLIKELY(connection->changed && loop->round_status != WEFT_OK)) {
        refuse_round(connection, loop->round_status == WEFT_E_FULL ? WEFT_LOG_FULL
                                                                   : weft_log_state_get(node->log));
    } else if (node->options.sync == WEFT_SYNC_ALWAYS && connection->changed &&
               loop->round_lsn > weft_log_durable_lsn(node->log)) {
        hold(connection, loop->round_lsn);
        return;
    }
    flush(connection);
}

void weft_connections_send(weft_loop *loop) {
    weft_connection *next;
    for (weft_connection *at = loop->ran_first; at != NULL; at = next) {
        next = at->ran_next;
        at->ran = false;
        send_replies(at);
    }
    loop->ran_first = NULL;
    if (loop->held_first != NULL) {
        weft_connections_release(loop);
    }
}

/* `size` bytes at `data` have come, the kept ones first. */
static void take_input(weft_connection *connection, char *data, size_t size) {
    size_t used = run_batch(connection, data, size);
    size_t left = size - used;
    if (WEFT_LIKELY(left == 0 && connection->pending == NULL)) {
        return;
    }
    if (left > PENDING_MAX) {
        close_because(connection, "a command of more than 1 GiB");
    } else if (data == connection->pending && used == 0) {
        connection->pending_size = left;
    } else if (!keep_pending(connection, data + used, left)) {
        close_because(connection, "no memory for its request");
    }
}

/* Go on with the commands that waited until the replies before them were gone. */
static void resume(weft_connection *connection) {
    if (connection->session.out.size != 0) {
        event_del(&connection->read_event);
        return;
    }
    connection->stalled = false;
    take_input(connection, connection->pending, connection->pending_size);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    weft_connection *connection = arg;
    if (WEFT_UNLIKELY(connection->stalled)) {
        resume(connection);
        return;
    }
    weft_loop *loop = connection->loop;
    size_t have = connection->pending_size;
    char *data = loop->input;
    size_t room = WEFT_INPUT_SIZE;
    if (have > COPIED_MAX) {
        if (!grow_pending(connection)) {
            close_because(connection, "no memory for its request");
            return;
        }
        data = connection->pending;
        room = connection->pending_capacity - have;
        room = room < READ_MAX ? room : READ_MAX;
    } else if (have != 0) {
        memcpy(data, connection->pending, have);
        room -= have;
    }
    ssize_t got = recv(fd, data + have, room, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
            close_connection(connection);
        }
        return;
    }
    weft_bump(&weft_loop_counters(loop)->bytes_in, (uint64_t)got);
    take_input(connection, data, have + (size_t)got);
}

/* The beginning of a connection. */

static void name_address(const struct sockaddr_storage *address, char *text, size_t size) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in = (const void *)address;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        snprintf(text, size, "[%s]:%u", host, ntohs(in->sin6_port));
    }
}

static void set_up_tcp(weft_session *session) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int on = 1;
    int idle = KEEPALIVE_SECONDS;
    setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(session->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(session->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    if (getpeername(session->fd, (struct sockaddr *)&address, &size) == 0) {
        name_address(&address, session->peer, sizeof session->peer);
    }
    size = sizeof address;
    if (getsockname(session->fd, (struct sockaddr *)&address, &size) == 0) {
        name_address(&address, session->local, sizeof session->local);
    }
}

static void set_up_session(weft_connection *connection, int fd, bool unix_socket) {
    weft_loop *loop = connection->loop;
    weft_session *session = &connection->session;
    session->id = weft_fetch_add_relaxed(&loop->runtime->next_id, 1) + 1;
    session->node = loop->node;
    session->connection = connection;
    session->out.protocol = 2;
    session->authenticated = loop->node->password[0] == '\0';
    session->unix_socket = unix_socket;
    session->loop = loop->index;
    session->fd = fd;
    session->created_ms = session->last_active_ms = (int64_t)weft_clock_wall_ms();
    session->last_command = "NULL";
    if (unix_socket) {
        snprintf(session->peer, sizeof session->peer, "%.60s:0", loop->node->options.unix_path);
        memcpy(session->local, session->peer, sizeof session->local);
    } else {
        set_up_tcp(session);
    }
}

/* Hand a connection that is on no list to another loop. */
static void hand_over(weft_connection *connection, weft_loop *to) {
    weft_mutex_lock(&to->inbox_mutex);
    connection->next = to->inbox;
    to->inbox = connection;
    weft_mutex_unlock(&to->inbox_mutex);
}

static void start_reading(weft_connection *connection) {
    settle(connection);
    if (weft_load_relaxed(&connection->session.killed) != 0) {
        close_connection(connection);
    } else if (event_add(&connection->read_event, NULL) != 0) {
        close_because(connection, "the event loop refused its socket");
    }
}

void weft_connection_open(weft_loop *loop, int fd, bool unix_socket) {
    weft_connection *connection =
        weft_memory_alloc(NULL, sizeof *connection, _Alignof(weft_connection));
    if (connection == NULL) {
        weft_fetch_add_relaxed(&loop->runtime->session_count, (uint32_t)-1);
        close(fd);
        return;
    }
    memset(connection, 0, sizeof *connection);
    weft_loop *home = weft_balance_place(loop);
    connection->loop = home;
    set_up_session(connection, fd, unix_socket);
    register_session(connection);
    weft_fetch_add_relaxed(&home->connection_count, 1);
    if (home == loop) {
        start_reading(connection);
    } else {
        hand_over(connection, home);
        weft_loop_wake(home);
    }
}

void weft_connections_adopt(weft_loop *loop) {
    weft_mutex_lock(&loop->inbox_mutex);
    weft_connection *at = loop->inbox;
    loop->inbox = NULL;
    weft_mutex_unlock(&loop->inbox_mutex);
    while (at != NULL) {
        weft_connection *next = at->next;
        start_reading(at);
        at = next;
    }
}

static bool rests(const weft_connection *connection) {
    return !connection->held && !connection->ran && !connection->doomed && !connection->stalled &&
           connection->session.out.size == 0;
}

uint32_t weft_connections_move(weft_loop *from, weft_loop *to, uint32_t count) {
    uint32_t moved = 0;
    weft_connection *next;
    for (weft_connection *at = from->connections; at != NULL && moved < count; at = next) {
        next = at->next;
        if (!rests(at)) {
            continue;
        }
        event_del(&at->read_event);
        unlink_connection(at);
        weft_fetch_add_relaxed(&to->connection_count, 1);
        /* Who kills a session looks for its loop under this lock. */
        weft_mutex_lock(&from->runtime->registry);
        at->loop = to;
        at->session.loop = to->index;
        weft_mutex_unlock(&from->runtime->registry);
        hand_over(at, to);
        moved++;
    }
    if (moved != 0) {
        weft_loop_wake(to);
    }
    return moved;
}

void weft_connections_reap(weft_loop *loop) {
    /* pairs with the release in weft_session_kill */
    if (weft_exchange_acq_rel(&loop->kills, 0) == 0) {
        return;
    }
    weft_connection *next;
    for (weft_connection *at = loop->connections; at != NULL; at = next) {
        next = at->next;
        if (weft_load_relaxed(&at->session.killed) != 0 && !at->doomed) {
            close_connection(at);
        }
    }
}

bool weft_connections_finish(weft_loop *loop, bool all) {
    weft_connection *next;
    for (weft_connection *at = loop->connections; at != NULL; at = next) {
        next = at->next;
        event_del(&at->read_event);
        if (all) {
            at->held = false;
        }
        if (all || (!at->held && !at->ran && at->session.out.size == 0)) {
            close_connection(at);
        }
    }
    if (all) {
        loop->held_first = NULL;
    }
    return loop->connections == NULL;
}
