/* SPDX-License-Identifier: MIT */
/* A thread that looks after the log: it writes checkpoints, when asked to or when the log has
 * grown to more than twice what it stands for, and barriers (recovery.c). It has a place of its
 * own in the gate. */
#include "base/clock.h"
#include "server/journal.h"
#include "server/runtime.h"
#include <stdio.h>
#include <weft/guard.h>

enum { ROUND_NS = 100000000, ROUNDS_AFTER_FAILURE = 100, SCANS_PER_GUARD = 64 };

#define BARRIER_BYTES ((uint64_t)16 << 20)
#define CHECKPOINT_BYTES ((uint64_t)64 << 20)

/* Alone in the gate, with every change of the map appended to the log. */
static void enter_quiet(weft_runtime *runtime) {
    struct weft_gate *gate = runtime->node->gate;
    weft_gate_enter(gate, runtime->loop_count);
    weft_gate_exclusive(gate, runtime->loop_count);
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        weft_journal_commit_round(&runtime->loops[i]);
    }
}

static void leave_quiet(weft_runtime *runtime) {
    weft_gate_leave(runtime->node->gate, runtime->loop_count);
}

typedef struct writer {
    struct weft_log *log;
    int status;
} writer;

static bool add_entry(void *ctx, const weft_view *entry) {
    writer *out = ctx;
    if (out->status == WEFT_OK) {
        weft_log_record record = {.op = WEFT_LOG_PUT,
                                  .era = WEFT_CHECKPOINT_ERA,
                                  .version = entry->version,
                                  .key = entry->key,
                                  .value = {.body = entry->value}};
        out->status = weft_log_checkpoint_add(out->log, &record);
    }
    return true;
}

/* Walk the map in steps, each under a guard of its own. */
static int write_entries(weft_node *node) {
    writer out = {node->log, WEFT_OK};
    uint64_t cursor = 0;
    do {
        weft_guard guard;
        weft_guard_enter(&guard);
        for (int i = 0; i < SCANS_PER_GUARD; i++) {
            weft_map_scan(&node->map, &cursor, add_entry, &out);
            if (cursor == 0 || out.status != WEFT_OK) {
                break;
            }
        }
        weft_guard_leave(&guard);
    } while (cursor != 0 && out.status == WEFT_OK);
    return out.status;
}

static int write_checkpoint(weft_runtime *runtime) {
    weft_node *node = runtime->node;
    enter_quiet(runtime);
    weft_store_relaxed(&runtime->keeper.heal, 0);
    uint64_t changes = weft_load_relaxed(&node->changes_since_save);
    int status = weft_log_checkpoint_begin(node->log, NULL);
    leave_quiet(runtime);
    if (status != WEFT_OK) {
        return status;
    }
    status = write_entries(node);
    if (status != WEFT_OK) {
        weft_log_checkpoint_abort(node->log);
        return status;
    }
    /* What the walk has seen must be in the log before the checkpoint counts. */
    enter_quiet(runtime);
    leave_quiet(runtime);
    status = weft_log_checkpoint_end(node->log);
    if (status == WEFT_OK) {
        weft_fetch_add_relaxed(&node->changes_since_save, -changes);
        weft_store_relaxed(&node->last_save_ms, (int64_t)weft_clock_wall_ms());
    }
    return status;
}

static void make_checkpoint(weft_runtime *runtime) {
    weft_keeper *keeper = &runtime->keeper;
    keeper->busy = true;
    keeper->wanted = false;
    weft_mutex_unlock(&keeper->mutex);
    int status = write_checkpoint(runtime);
    if (status != WEFT_OK) {
        weft_store_relaxed(&keeper->heal, 1);
        fprintf(stderr, "weft: no checkpoint was written: %s\n", weft_status_text(status));
    }
    weft_mutex_lock(&keeper->mutex);
    keeper->busy = false;
    keeper->last_status = status;
    keeper->finished++;
    weft_cond_broadcast(&keeper->changed);
}

static bool needs_checkpoint(weft_runtime *runtime) {
    weft_log_stats log;
    weft_map_stats map;
    weft_log_stats_get(runtime->node->log, &log);
    if (log.state != WEFT_LOG_GOOD) {
        return false;
    }
    if (weft_load_relaxed(&runtime->keeper.heal) != 0) {
        return true;
    }
    if (log.log_bytes < CHECKPOINT_BYTES) {
        return false;
    }
    weft_map_stats_get(&runtime->node->map, &map);
    uint64_t live = map.entry_bytes > log.checkpoint_bytes ? map.entry_bytes : log.checkpoint_bytes;
    return log.log_bytes > 2 * live;
}

static void append_barrier(weft_runtime *runtime) {
    if (weft_load_relaxed(&runtime->keeper.barrier_bytes) < BARRIER_BYTES ||
        weft_log_state_get(runtime->node->log) != WEFT_LOG_GOOD) {
        return;
    }
    enter_quiet(runtime);
    if (weft_recovery_barrier(runtime->node) == WEFT_OK) {
        weft_store_relaxed(&runtime->keeper.barrier_bytes, 0);
    }
    leave_quiet(runtime);
}

static void *run_keeper(void *arg) {
    weft_runtime *runtime = arg;
    weft_keeper *keeper = &runtime->keeper;
    unsigned rest = 0; /* rounds without a look at the log, after a failure */
    weft_mutex_lock(&keeper->mutex);
    while (!keeper->stopping) {
        if (!keeper->wanted) {
            weft_cond_wait(&keeper->changed, &keeper->mutex, ROUND_NS);
        }
        weft_mutex_unlock(&keeper->mutex);
        append_barrier(runtime);
        bool needed = rest == 0 && needs_checkpoint(runtime);
        rest -= rest != 0;
        weft_mutex_lock(&keeper->mutex);
        if (keeper->wanted || needed) {
            make_checkpoint(runtime);
            rest = keeper->last_status == WEFT_OK ? 0 : ROUNDS_AFTER_FAILURE;
        }
    }
    weft_mutex_unlock(&keeper->mutex);
    return NULL;
}

bool weft_keeper_start(weft_runtime *runtime) {
    weft_keeper *keeper = &runtime->keeper;
    keeper->running = weft_thread_start(&keeper->thread, run_keeper, runtime);
    return keeper->running;
}

void weft_keeper_stop(weft_runtime *runtime) {
    weft_keeper *keeper = &runtime->keeper;
    if (!keeper->running) {
        return;
    }
    weft_mutex_lock(&keeper->mutex);
    keeper->stopping = true;
    weft_cond_broadcast(&keeper->changed);
    weft_mutex_unlock(&keeper->mutex);
    weft_thread_join(&keeper->thread);
    keeper->running = false;
}

void weft_keeper_notify(void *ctx, uint64_t durable_lsn) {
    (void)durable_lsn;
    weft_node *node = ctx;
    weft_runtime *runtime = node->runtime;
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        /* A full fence, as the exchange in hold(): either the loop sees the new durable LSN, or
         * this sees that it waits. */
        if (weft_fetch_add_seq_cst(&runtime->loops[i].holding, 0) != 0) {
            weft_loop_wake(&runtime->loops[i]);
        }
    }
}

/* Wait for the checkpoint that was asked for. The loop leaves the gate meanwhile: the keeper needs
 * it. */
static int wait_for_checkpoint(weft_keeper *keeper, uint64_t finished_before) {
    weft_loop *loop = weft_loop_current;
    if (loop != NULL) {
        weft_journal_commit_round(loop);
        weft_gate_leave(loop->node->gate, loop->index);
    }
    weft_mutex_lock(&keeper->mutex);
    while (keeper->finished == finished_before) {
        weft_cond_wait(&keeper->changed, &keeper->mutex, WEFT_WAIT_FOREVER);
    }
    int status = keeper->last_status;
    weft_mutex_unlock(&keeper->mutex);
    if (loop != NULL) {
        weft_gate_enter(loop->node->gate, loop->index);
    }
    return status;
}

const char *weft_journal_checkpoint(weft_node *node, bool wait) {
    if (node->log == NULL) {
        return "ERR this node keeps its keys in memory only";
    }
    weft_keeper *keeper = &node->runtime->keeper;
    weft_mutex_lock(&keeper->mutex);
    bool busy = keeper->busy || keeper->wanted;
    uint64_t finished = keeper->finished;
    if (!busy) {
        keeper->wanted = true;
        weft_cond_broadcast(&keeper->changed);
    }
    weft_mutex_unlock(&keeper->mutex);
    if (busy) {
        return "ERR Background save already in progress";
    }
    if (!wait) {
        return NULL;
    }
    switch (wait_for_checkpoint(keeper, finished)) {
    case WEFT_OK:
        return NULL;
    case WEFT_E_FULL:
        return "ERR the checkpoint could not be written: No space left on device";
    default:
        return "ERR the checkpoint could not be written: Input/output error";
    }
}

weft_checkpoint_state weft_journal_checkpoint_state(weft_node *node) {
    weft_checkpoint_state state = {0};
    if (node->log != NULL) {
        weft_keeper *keeper = &node->runtime->keeper;
        weft_mutex_lock(&keeper->mutex);
        state.running = keeper->busy || keeper->wanted;
        state.last_failed = keeper->last_status != WEFT_OK;
        weft_mutex_unlock(&keeper->mutex);
    }
    return state;
}
