/* SPDX-License-Identifier: MIT */
#include "server/sweep.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "server/keyspace.h"
#include <weft/guard.h>

enum {
    SLICE_NS = 250000, /* as long as others may wait for the gate */
    BUCKETS_PER_LOOK = 16,
    EXPIRED_KEPT_MAX =
        64, /* expired keys remembered from one bucket; the next round meets the others */
};

/* One call of weft_sweep_run. */
typedef struct sweep_call {
    weft_session session; /* stands for a client: commands' helpers want one */
    int64_t now;
    uint64_t seen;
    uint64_t expired;
    uint64_t with_deadline;
    uint64_t ttl_sum;
    size_t kept;
    weft_bytes keys[EXPIRED_KEPT_MAX];
} sweep_call;

static bool visit(void *ctx, const weft_view *entry) {
    sweep_call *sweep = ctx;
    weft_item item;
    sweep->seen++;
    if (!weft_item_decode(entry, &item) || item.deadline == WEFT_NO_DEADLINE) {
        return true;
    }
    if (!weft_item_expired(&item, sweep->now)) {
        sweep->with_deadline++;
        sweep->ttl_sum += (uint64_t)(item.deadline - sweep->now);
    } else if (sweep->kept < EXPIRED_KEPT_MAX) {
        sweep->keys[sweep->kept++] = entry->key;
    }
    return true;
}

/* The next few buckets; what has expired in them goes. Returns the cursor. */
static uint64_t next_buckets(sweep_call *sweep, uint64_t cursor) {
    weft_node *node = sweep->session.node;
    for (int i = 0; i < BUCKETS_PER_LOOK; i++) {
        sweep->kept = 0;
        weft_map_scan(&node->map, &cursor, visit, sweep);
        for (size_t j = 0; j < sweep->kept; j++) {
            sweep->expired += weft_keyspace_expire(&sweep->session, sweep->keys[j], sweep->now);
        }
        if (cursor == 0) {
            break;
        }
    }
    return cursor;
}

/* Work inside the gate until `until_ns`, or until the end of the map. */
static uint64_t run_slice(sweep_call *sweep, uint64_t cursor, uint64_t until_ns) {
    weft_node *node = sweep->session.node;
    weft_guard guard;
    weft_gate_enter(node->gate, sweep->session.loop);
    weft_guard_enter(&guard);
    do {
        cursor = next_buckets(sweep, cursor);
    } while (cursor != 0 && weft_clock_monotonic_ns() < until_ns);
    weft_guard_leave(&guard);
    weft_gate_leave(node->gate, sweep->session.loop);
    return cursor;
}

static uint64_t next_budget(const sweep_call *sweep, uint64_t budget_ns) {
    bool much = sweep->expired * 10 > sweep->seen;
    uint64_t next = much ? 2 * budget_ns : budget_ns / 2;
    next = next < WEFT_SWEEP_BUDGET_NS ? WEFT_SWEEP_BUDGET_NS : next;
    return next > WEFT_SWEEP_BUDGET_MAX_NS ? WEFT_SWEEP_BUDGET_MAX_NS : next;
}

uint64_t weft_sweep_run(weft_node *node, uint32_t loop, uint64_t budget_ns) {
    weft_keyspace_measure(node);
    if (weft_keyspace_deadlines(node) == 0) {
        return WEFT_SWEEP_BUDGET_NS;
    }
    sweep_call sweep = {.session = {.node = node, .loop = loop, .last_command = "sweep"},
                        .now = (int64_t)weft_clock_wall_ms()};
    uint64_t now = weft_clock_monotonic_ns();
    uint64_t end = now + budget_ns;
    uint64_t cursor = weft_load_relaxed(&node->sweep_cursor);
    do {
        uint64_t until = now + SLICE_NS < end ? now + SLICE_NS : end;
        cursor = run_slice(&sweep, cursor, until);
        now = weft_clock_monotonic_ns();
    } while (cursor != 0 && now < end);
    weft_store_relaxed(&node->sweep_cursor, cursor);
    weft_store_relaxed(&node->average_ttl_ms,
                       sweep.with_deadline == 0 ? 0 : sweep.ttl_sum / sweep.with_deadline);
    return next_budget(&sweep, budget_ns);
}
