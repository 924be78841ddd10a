/* SPDX-License-Identifier: MIT */
/* WATCH is optimistic locking: whoever writes a watched key marks the watching sessions dirty, and
 * EXEC of a dirty session does nothing. Sessions register while they are alone in the gate, so
 * every writer is either done before the registration or sees it; the stripes' mutexes only order
 * the registry itself, which closing connections change outside the gate. */
#include "server/transaction.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/memory.h"
#include "server/keyspace.h"
#include <string.h>

enum {
    STRIPES = 256,
    QUEUE_COMMANDS_MAX = 1 << 20,
    QUEUE_FIRST_CAPACITY = 8,
};
#define QUEUE_BYTES_MAX ((size_t)256 << 20)

/* A queued command: one allocation with its arguments behind it. */
typedef struct queued {
    const weft_command *command;
    size_t size; /* of the allocation */
    weft_args args;
    weft_bytes items[];
} queued;

/* A key that a session watches; in the list of its stripe, and in that of its session. */
typedef struct watch_entry {
    struct watch_entry *next_in_stripe;
    struct watch_entry *next_of_session;
    weft_session *session;
    uint32_t stripe;
    uint32_t key_size;
    char key[];
} watch_entry;

struct weft_transaction {
    bool open;   /* MULTI was seen */
    bool failed; /* a command was refused since */
    uint32_t flags;
    size_t count;
    size_t capacity;
    size_t bytes;
    queued **queue;
    watch_entry *watches;
};

uint64_t weft_watch_count;

static struct {
    weft_mutex mutex;
    watch_entry *first;
} stripes[STRIPES];

/* Stripes are chosen by a keyed hash, so that nobody can aim at one. */
static unsigned char secret[WEFT_HASH_SECRET_SIZE];

__attribute__((constructor)) static void init_stripes(void) {
    weft_hash_make_secret(secret, (uint64_t)(uintptr_t)&stripes ^ (uint64_t)(uintptr_t)&secret);
    for (size_t i = 0; i < STRIPES; i++) {
        weft_mutex_init(&stripes[i].mutex);
    }
}

static uint32_t stripe_of(weft_bytes key) {
    return (uint32_t)(weft_hash_bytes(key.data, key.size, secret) % STRIPES);
}

static bool watch_has_key(const watch_entry *watch, weft_bytes key) {
    return watch->key_size == key.size && memcmp(watch->key, key.data, key.size) == 0;
}

void weft_transaction_touch_watched(weft_session *session, weft_bytes key) {
    uint32_t stripe = stripe_of(key);
    weft_mutex_lock(&stripes[stripe].mutex);
    for (watch_entry *at = stripes[stripe].first; at != NULL; at = at->next_in_stripe) {
        if (at->session->node == session->node && watch_has_key(at, key)) {
            weft_store_relaxed(&at->session->dirty, 1);
        }
    }
    weft_mutex_unlock(&stripes[stripe].mutex);
}

void weft_transaction_touch_present(weft_session *session) {
    if (weft_load_relaxed(&weft_watch_count) == 0) {
        return;
    }
    for (size_t i = 0; i < STRIPES; i++) {
        weft_mutex_lock(&stripes[i].mutex);
        for (watch_entry *at = stripes[i].first; at != NULL; at = at->next_in_stripe) {
            weft_bytes key = weft_bytes_of(at->key, at->key_size);
            if (at->session->node == session->node &&
                weft_map_contains(&session->node->map, key) == WEFT_OK) {
                weft_store_relaxed(&at->session->dirty, 1);
            }
        }
        weft_mutex_unlock(&stripes[i].mutex);
    }
}

/* The session's state, made if it is not there; NULL without memory. */
static struct weft_transaction *begin(weft_session *session) {
    if (session->transaction == NULL) {
        session->transaction =
            weft_memory_alloc(NULL, sizeof *session->transaction, _Alignof(max_align_t));
        if (session->transaction == NULL) {
            weft_reply_error(&session->out, "%s", WEFT_OOM_TEXT);
            return NULL;
        }
        memset(session->transaction, 0, sizeof *session->transaction);
    }
    return session->transaction;
}

static void forget_watch(watch_entry *gone) {
    weft_mutex_lock(&stripes[gone->stripe].mutex);
    watch_entry **link = &stripes[gone->stripe].first;
    while (*link != gone) {
        link = &(*link)->next_in_stripe;
    }
    *link = gone->next_in_stripe;
    weft_mutex_unlock(&stripes[gone->stripe].mutex);
    weft_fetch_add_relaxed(&weft_watch_count, (uint64_t)-1);
    weft_memory_free(NULL, gone, sizeof *gone + gone->key_size, _Alignof(watch_entry));
}

static void forget_watches(weft_session *session) {
    struct weft_transaction *transaction = session->transaction;
    while (transaction->watches != NULL) {
        watch_entry *gone = transaction->watches;
        transaction->watches = gone->next_of_session;
        forget_watch(gone);
    }
    weft_store_relaxed(&session->dirty, 0);
}

static void free_transaction(struct weft_transaction *transaction) {
    for (size_t i = 0; i < transaction->count; i++) {
        weft_memory_free(NULL, transaction->queue[i], transaction->queue[i]->size,
                         _Alignof(queued));
    }
    weft_memory_free(NULL, transaction->queue, transaction->capacity * sizeof(queued *),
                     _Alignof(queued *));
    weft_memory_free(NULL, transaction, sizeof *transaction, _Alignof(max_align_t));
}

void weft_transaction_end(weft_session *session) {
    if (session->transaction != NULL) {
        forget_watches(session);
        free_transaction(session->transaction);
        session->transaction = NULL;
    }
}

bool weft_transaction_open(const weft_session *session) {
    return session->transaction != NULL && session->transaction->open;
}

int64_t weft_transaction_queued(const weft_session *session) {
    return weft_transaction_open(session) ? (int64_t)session->transaction->count : -1;
}

uint32_t weft_transaction_flags(const weft_session *session, uint32_t flags) {
    return weft_transaction_open(session) ? session->transaction->flags & flags : 0;
}

void weft_transaction_fail(weft_session *session) {
    if (weft_transaction_open(session)) {
        session->transaction->failed = true;
    }
}

static queued *copy_command(const weft_command *command, const weft_args *args) {
    size_t size = sizeof(queued) + args->count * sizeof(weft_bytes);
    for (size_t i = 0; i < args->count; i++) {
        size += args->items[i].size;
    }
    queued *copy = size > QUEUE_BYTES_MAX ? NULL : weft_memory_alloc(NULL, size, _Alignof(queued));
    if (copy == NULL) {
        return NULL;
    }
    char *bytes = (char *)&copy->items[args->count];
    for (size_t i = 0; i < args->count; i++) {
        copy->items[i] = weft_bytes_of(bytes, args->items[i].size);
        if (args->items[i].size != 0) {
            memcpy(bytes, args->items[i].data, args->items[i].size);
        }
        bytes += args->items[i].size;
    }
    copy->command = command;
    copy->size = size;
    copy->args = (weft_args){.count = args->count, .items = copy->items};
    return copy;
}

/* Room for one more command in the queue. */
static bool reserve(struct weft_transaction *transaction) {
    if (transaction->count < transaction->capacity) {
        return true;
    }
    size_t capacity = transaction->capacity == 0 ? QUEUE_FIRST_CAPACITY : 2 * transaction->capacity;
    queued **queue = capacity > QUEUE_COMMANDS_MAX
                         ? NULL
                         : weft_memory_alloc(NULL, capacity * sizeof *queue, _Alignof(queued *));
    if (queue == NULL) {
        return false;
    }
    if (transaction->count != 0) {
        memcpy(queue, transaction->queue, transaction->count * sizeof *queue);
    }
    weft_memory_free(NULL, transaction->queue, transaction->capacity * sizeof *queue,
                     _Alignof(queued *));
    transaction->queue = queue;
    transaction->capacity = capacity;
    return true;
}

void weft_transaction_queue(weft_session *session, const weft_command *command,
                            const weft_args *args) {
    struct weft_transaction *transaction = session->transaction;
    if (transaction->failed) {
        weft_reply_simple(&session->out, "QUEUED"); /* EXEC is refused anyway: nothing to keep */
        return;
    }
    queued *copy = reserve(transaction) ? copy_command(command, args) : NULL;
    if (copy != NULL && transaction->bytes + copy->size > QUEUE_BYTES_MAX) {
        weft_memory_free(NULL, copy, copy->size, _Alignof(queued));
        copy = NULL;
    }
    if (copy == NULL) {
        transaction->failed = true;
        weft_reply_error(&session->out, "ERR the transaction is too large");
        return;
    }
    transaction->queue[transaction->count++] = copy;
    transaction->bytes += copy->size;
    transaction->flags |= command->flags;
    weft_reply_simple(&session->out, "QUEUED");
}

void weft_cmd_multi(weft_session *session, const weft_args *args) {
    (void)args;
    if (weft_transaction_open(session)) {
        weft_reply_error(&session->out, "ERR MULTI calls can not be nested");
        return;
    }
    struct weft_transaction *transaction = begin(session);
    if (transaction != NULL) {
        transaction->open = true;
        weft_reply_ok(&session->out);
    }
}

void weft_cmd_discard(weft_session *session, const weft_args *args) {
    (void)args;
    if (!weft_transaction_open(session)) {
        weft_reply_error(&session->out, "ERR DISCARD without MULTI");
        return;
    }
    weft_transaction_end(session);
    weft_reply_ok(&session->out);
}

/* Has a watched key been written, or has its deadline passed, since WATCH? */
static bool watch_broken(weft_session *session) {
    for (watch_entry *at = session->transaction->watches; at != NULL; at = at->next_of_session) {
        if (weft_keyspace_stale(session, weft_bytes_of(at->key, at->key_size))) {
            return true;
        }
    }
    return weft_load_relaxed(&session->dirty) != 0;
}

void weft_cmd_exec(weft_session *session, const weft_args *args) {
    (void)args;
    if (!weft_transaction_open(session)) {
        weft_reply_error(&session->out, "ERR EXEC without MULTI");
        return;
    }
    if (session->transaction->failed) {
        weft_reply_error(&session->out,
                         "EXECABORT Transaction discarded because of previous errors.");
        weft_transaction_end(session);
        return;
    }
    if (watch_broken(session)) {
        weft_reply_null_array(&session->out);
        weft_transaction_end(session);
        return;
    }
    forget_watches(session);
    struct weft_transaction *transaction = session->transaction;
    session->transaction = NULL; /* commands run now, they are not queued again */
    const char *name = session->last_command;
    weft_reply_array(&session->out, transaction->count);
    for (size_t i = 0; i < transaction->count; i++) {
        weft_command_call(session, transaction->queue[i]->command, &transaction->queue[i]->args);
    }
    session->last_command = name;
    free_transaction(transaction);
}

static bool watches(const struct weft_transaction *transaction, weft_bytes key) {
    for (watch_entry *at = transaction->watches; at != NULL; at = at->next_of_session) {
        if (watch_has_key(at, key)) {
            return true;
        }
    }
    return false;
}

static bool add_watch(weft_session *session, weft_bytes key) {
    weft_item item;
    weft_keyspace_look(session, key,
                       &item); /* an expired key goes now: it was absent from the start */
    watch_entry *fresh = weft_memory_alloc(NULL, sizeof *fresh + key.size, _Alignof(watch_entry));
    if (fresh == NULL) {
        return false;
    }
    fresh->session = session;
    fresh->stripe = stripe_of(key);
    fresh->key_size = (uint32_t)key.size;
    if (key.size != 0) {
        memcpy(fresh->key, key.data, key.size);
    }
    fresh->next_of_session = session->transaction->watches;
    session->transaction->watches = fresh;
    weft_fetch_add_relaxed(&weft_watch_count, 1);
    weft_mutex_lock(&stripes[fresh->stripe].mutex);
    fresh->next_in_stripe = stripes[fresh->stripe].first;
    stripes[fresh->stripe].first = fresh;
    weft_mutex_unlock(&stripes[fresh->stripe].mutex);
    return true;
}

void weft_cmd_watch(weft_session *session, const weft_args *args) {
    if (weft_transaction_open(session)) {
        weft_reply_error(&session->out, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    struct weft_transaction *transaction = begin(session);
    if (transaction == NULL) {
        return;
    }
    for (size_t i = 1; i < args->count; i++) {
        if (!watches(transaction, args->items[i]) && !add_watch(session, args->items[i])) {
            weft_reply_error(&session->out, "%s", WEFT_OOM_TEXT);
            return;
        }
    }
    weft_reply_ok(&session->out);
}

void weft_cmd_unwatch(weft_session *session, const weft_args *args) {
    (void)args;
    if (session->transaction != NULL) {
        forget_watches(session);
    }
    weft_reply_ok(&session->out);
}
