/* SPDX-License-Identifier: MIT */
#include "server/keyspace.h"
#include "base/atomic.h"
#include "server/command.h"
#include "server/journal.h"
#include "server/transaction.h"
#include <string.h>

enum { HAS_DEADLINE = 1, HEAD_SIZE_MAX = 9 };

static size_t encode_head(unsigned char head[HEAD_SIZE_MAX], int64_t deadline) {
    if (deadline == WEFT_NO_DEADLINE) {
        head[0] = 0;
        return 1;
    }
    head[0] = HAS_DEADLINE;
    for (size_t i = 0; i < 8; i++) {
        head[1 + i] = (unsigned char)((uint64_t)deadline >> (8 * i));
    }
    return HEAD_SIZE_MAX;
}

bool weft_item_decode(const weft_view *view, weft_item *item) {
    const unsigned char *bytes = view->value.data;
    size_t size = view->value.size;
    item->version = view->version;
    item->deadline = WEFT_NO_DEADLINE;
    if (size == 0 || bytes[0] > HAS_DEADLINE) {
        return false;
    }
    if (bytes[0] == 0) {
        item->payload = weft_bytes_of(bytes + 1, size - 1);
        return true;
    }
    if (size < HEAD_SIZE_MAX) {
        return false;
    }
    uint64_t deadline = 0;
    for (size_t i = 0; i < 8; i++) {
        deadline |= (uint64_t)bytes[1 + i] << (8 * i);
    }
    item->deadline = (int64_t)deadline;
    item->payload = weft_bytes_of(bytes + HEAD_SIZE_MAX, size - HEAD_SIZE_MAX);
    return true;
}

/* The counters of a loop are written by its thread alone, and read by others. */
static void count(uint64_t *counter) {
    weft_store_relaxed(counter, weft_load_relaxed(counter) + 1);
}

static weft_loop_stats *stats_of(weft_session *session) {
    return &session->node->loops[session->loop];
}

static void count_deadline(weft_session *session, int change) {
    int64_t *deadlines = &stats_of(session)->deadlines;
    weft_store_relaxed(deadlines, weft_load_relaxed(deadlines) + change);
}

static bool reply_failure(weft_session *session, int status) {
    if (status == WEFT_E_TOOBIG) {
        weft_reply_error(&session->out, "ERR key is longer than %zu bytes, or value too long",
                         WEFT_KEY_SIZE_MAX);
    } else {
        weft_reply_error(&session->out, "%s", WEFT_OOM_TEXT);
    }
    return false;
}

/* One write on its way through weft_map_compute. */
typedef struct write_call {
    weft_edit_fn fn;
    void *ctx;
    int64_t now;
    weft_fresh fresh; /* what was handed to the map, for the journal */
    bool had_deadline;
    bool had_expired;
    bool has_deadline;
    unsigned char head[HEAD_SIZE_MAX];
} write_call;

/* The write has happened, or was found needless: tell everybody who must know. */
static void finish(weft_session *session, weft_bytes key, write_call *change,
                   const weft_outcome *outcome) {
    if (outcome->verdict == WEFT_SET) {
        weft_journal_put(session, key, &change->fresh, outcome);
    } else if (outcome->verdict == WEFT_DEL) {
        change->has_deadline = false;
        weft_journal_remove(session, key, outcome);
    } else {
        return;
    }
    int gained = change->has_deadline - change->had_deadline;
    if (gained != 0) {
        count_deadline(session, gained);
    }
    if (WEFT_UNLIKELY(change->had_expired)) {
        count(&stats_of(session)->expired_keys);
    }
    weft_transaction_touch(session, key);
}

static weft_verdict put_step(void *ctx, const weft_view *old, weft_fresh *fresh) {
    write_call *change = ctx;
    weft_item item;
    change->had_deadline = old != NULL && ((const unsigned char *)old->value.data)[0] != 0;
    change->had_expired = change->had_deadline && weft_item_decode(old, &item) &&
                          weft_item_expired(&item, change->now);
    *fresh = change->fresh;
    return WEFT_SET;
}

bool weft_keyspace_put(weft_session *session, weft_bytes key, weft_bytes payload,
                       int64_t deadline) {
    write_call change;
    weft_outcome outcome;
    change.now = weft_node_now_ms(session);
    change.fresh.head = weft_bytes_of(change.head, encode_head(change.head, deadline));
    change.fresh.body = payload;
    change.has_deadline = deadline != WEFT_NO_DEADLINE;
    const weft_compute compute = {.fn = put_step, .ctx = &change, .mode = WEFT_OPTIMISTIC};
    int status = weft_map_compute(&session->node->map, key, &compute, &outcome);
    if (WEFT_UNLIKELY(status < 0)) {
        return reply_failure(session, status);
    }
    finish(session, key, &change, &outcome);
    return true;
}

static weft_verdict store_edit(write_call *change, const weft_view *old, const weft_edit *edit,
                               weft_fresh *fresh) {
    bool behind = edit->append && old != NULL && !change->had_expired;
    if (behind) {
        change->fresh.head = old->value;
        change->has_deadline = change->had_deadline;
    } else {
        change->fresh.head = weft_bytes_of(change->head, encode_head(change->head, edit->deadline));
        change->has_deadline = edit->deadline != WEFT_NO_DEADLINE;
    }
    change->fresh.body = edit->payload;
    *fresh = change->fresh;
    return WEFT_SET;
}

static weft_verdict edit_step(void *ctx, const weft_view *old, weft_fresh *fresh) {
    write_call *change = ctx;
    weft_item item;
    weft_edit edit = {.deadline = WEFT_NO_DEADLINE};
    const weft_item *seen = NULL;
    change->had_deadline = change->had_expired = false;
    if (old != NULL && weft_item_decode(old, &item)) {
        change->had_deadline = item.deadline != WEFT_NO_DEADLINE;
        change->had_expired = weft_item_expired(&item, change->now);
        seen = change->had_expired ? NULL : &item;
    }
    weft_verdict verdict = change->fn(change->ctx, seen, &edit);
    if (verdict == WEFT_SET) {
        return store_edit(change, old, &edit, fresh);
    }
    return change->had_expired ? WEFT_DEL : verdict;
}

bool weft_keyspace_edit(weft_session *session, weft_bytes key, weft_edit_fn fn, void *ctx) {
    write_call change = {.fn = fn, .ctx = ctx, .now = weft_node_now_ms(session)};
    weft_outcome outcome;
    const weft_compute compute = {.fn = edit_step, .ctx = &change, .mode = WEFT_OPTIMISTIC};
    int status = weft_map_compute(&session->node->map, key, &compute, &outcome);
    if (WEFT_UNLIKELY(status < 0)) {
        return reply_failure(session, status);
    }
    finish(session, key, &change, &outcome);
    return true;
}

/* The entry as it is in the map, expired or not; the caller's own guard keeps it valid. */
static bool peek(weft_session *session, weft_bytes key, weft_item *item) {
    weft_guard guard;
    weft_view view;
    weft_guard_enter(&guard);
    int status = weft_map_peek(&session->node->map, key, &guard, &view);
    weft_guard_leave(&guard);
    return status == WEFT_OK && weft_item_decode(&view, item);
}

bool weft_keyspace_look(weft_session *session, weft_bytes key, weft_item *item) {
    if (!peek(session, key, item)) {
        return false;
    }
    if (WEFT_LIKELY(item->deadline == WEFT_NO_DEADLINE)) {
        return true;
    }
    int64_t now = weft_node_now_ms(session);
    if (weft_item_expired(item, now)) {
        weft_keyspace_expire(session, key, now);
        return false;
    }
    return true;
}

bool weft_keyspace_read(weft_session *session, weft_bytes key, weft_item *item) {
    bool found = weft_keyspace_look(session, key, item);
    count(found ? &stats_of(session)->keyspace_hits : &stats_of(session)->keyspace_misses);
    return found;
}

static weft_verdict remove_step(void *ctx, const weft_item *old, weft_edit *edit) {
    (void)edit;
    *(bool *)ctx = old != NULL;
    return WEFT_DEL;
}

bool weft_keyspace_remove(weft_session *session, weft_bytes key) {
    bool existed = false;
    return weft_keyspace_edit(session, key, remove_step, &existed) && existed;
}

static weft_verdict expire_step(void *ctx, const weft_view *old, weft_fresh *fresh) {
    write_call *change = ctx;
    weft_item item;
    (void)fresh;
    change->had_expired =
        old != NULL && weft_item_decode(old, &item) && weft_item_expired(&item, change->now);
    return change->had_expired ? WEFT_DEL : WEFT_KEEP;
}

bool weft_keyspace_expire(weft_session *session, weft_bytes key, int64_t now_ms) {
    write_call change = {.now = now_ms, .had_deadline = true};
    weft_outcome outcome;
    const weft_compute compute = {.fn = expire_step, .ctx = &change, .mode = WEFT_OPTIMISTIC};
    if (weft_map_compute(&session->node->map, key, &compute, &outcome) != WEFT_OK) {
        return false;
    }
    finish(session, key, &change, &outcome);
    return outcome.verdict == WEFT_DEL;
}

bool weft_keyspace_stale(weft_session *session, weft_bytes key) {
    weft_item item;
    return peek(session, key, &item) && weft_item_expired(&item, weft_node_now_ms(session));
}

bool weft_keyspace_clear(weft_session *session) {
    weft_node *node = session->node;
    weft_transaction_touch_present(session);
    int status = weft_map_clear(&node->map);
    if (status < 0) {
        return reply_failure(session, status);
    }
    weft_map_stats stats;
    weft_map_stats_get(&node->map, &stats);
    weft_journal_clear(session, stats.era);
    for (uint32_t i = 0; i < WEFT_LOOPS_MAX; i++) {
        weft_store_relaxed(&node->loops[i].deadlines, 0);
    }
    weft_keyspace_measure(node);
    return true;
}

uint64_t weft_keyspace_deadlines(const weft_node *node) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < WEFT_LOOPS_MAX; i++) {
        sum += weft_load_relaxed(&node->loops[i].deadlines);
    }
    return sum > 0 ? (uint64_t)sum : 0;
}

static bool count_if_deadline(void *ctx, const weft_view *entry) {
    weft_item item;
    if (weft_item_decode(entry, &item) && item.deadline != WEFT_NO_DEADLINE) {
        ++*(int64_t *)ctx;
    }
    return true;
}

void weft_keyspace_recount(weft_node *node) {
    int64_t sum = 0;
    weft_map_foreach(&node->map, count_if_deadline, &sum);
    for (uint32_t i = 0; i < WEFT_LOOPS_MAX; i++) {
        weft_store_relaxed(&node->loops[i].deadlines, i == 0 ? sum : 0);
    }
    weft_keyspace_measure(node);
}

uint64_t weft_keyspace_memory(const weft_node *node) {
    return weft_load_relaxed(&node->used_memory);
}

uint64_t weft_keyspace_measure(weft_node *node) {
    weft_map_stats stats;
    weft_map_stats_get(&node->map, &stats);
    uint64_t used = stats.entry_bytes + stats.table_bytes + stats.pending_bytes;
    weft_store_relaxed(&node->used_memory, used);
    if (used > weft_load_relaxed(&node->peak_memory)) {
        weft_store_relaxed(&node->peak_memory, used);
    }
    return used;
}
