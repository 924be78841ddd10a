/* SPDX-License-Identifier: MIT */
/* One thread, one event base. Other threads reach a loop through its eventfd alone. */
#include "base/clock.h"
#include "base/memory.h"
#include "server/runtime.h"
#include "server/sweep.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    NS_PER_MS = 1000000,
    MAINTAIN_BUDGET = 1024,
    POLL_NS = 20000, /* what a loop looks for work at most before it sleeps */
};

__thread weft_loop *weft_loop_current;

int64_t weft_node_now_ms(const weft_session *session) {
    return session->node->runtime->loops[session->loop].now_ms;
}

void weft_loop_wake(weft_loop *loop) {
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written; /* a full eventfd wakes too */
}

/* Called again and again once the node stops: by the waking, by each tick. */
static void go_on_stopping(weft_loop *loop) {
    uint64_t now = weft_clock_monotonic_ns();
    if (loop->stop_deadline_ns == 0) {
        loop->stop_deadline_ns = now + (uint64_t)WEFT_STOP_GRACE_MS * NS_PER_MS;
        weft_listen_stop(loop);
    }
    if (weft_connections_finish(loop, now >= loop->stop_deadline_ns)) {
        loop->finished = true;
    }
}

static bool is_stopping(const weft_loop *loop) {
    return weft_load_relaxed(&loop->node->stopping) != 0;
}

static void on_wake(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    weft_loop *loop = arg;
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count);
    (void)got; /* nothing there is as good as something */
    weft_connections_adopt(loop);
    weft_connections_release(loop);
    weft_connections_reap(loop);
    if (is_stopping(loop)) {
        go_on_stopping(loop);
    }
}

void weft_loop_step_in(weft_loop *loop) {
    if (loop->inside) {
        return;
    }
    loop->inside = true;
    loop->now_ms = (int64_t)weft_clock_wall_ms();
    weft_gate_enter(loop->node->gate, loop->index);
    weft_guard_enter(&loop->guard);
    if (!loop->in_round) {
        loop->in_round = true;
        loop->began_ns = weft_clock_monotonic_ns();
        loop->round_lsn = 0;
        loop->round_status = WEFT_OK;
    }
}

void weft_loop_step_out(weft_loop *loop) {
    if (loop->inside) {
        weft_guard_leave(&loop->guard);
        weft_gate_leave(loop->node->gate, loop->index);
        loop->inside = false;
    }
}

/* All that was ready has run: its records go to the log as one frame, then the replies leave. */
static void end_round(weft_loop *loop) {
    if (!loop->in_round) {
        return;
    }
    weft_loop_step_in(loop);
    weft_journal_commit_round(loop);
    weft_loop_step_out(loop);
    loop->in_round = false;
    weft_connections_send(loop);
}

/* Remove what has expired, then do what the map has left over. The sweep enters the gate by
 * itself; its records go with the round. */
static void sweep(weft_loop *loop) {
    weft_node *node = loop->node;
    weft_loop_step_in(loop);
    weft_loop_step_out(loop);
    loop->sweep_budget_ns = weft_sweep_run(node, loop->index, loop->sweep_budget_ns);
    weft_map_maintain(&node->map, MAINTAIN_BUDGET);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    weft_loop *loop = arg;
    if (is_stopping(loop)) {
        go_on_stopping(loop);
        return;
    }
    if (loop->index == 0) {
        sweep(loop);
    }
    weft_balance_tick(loop);
    if (loop->accept_again_ns != 0 && weft_clock_monotonic_ns() >= loop->accept_again_ns) {
        weft_listen_start(loop);
    }
}

static struct event_base *new_base(void) {
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

bool weft_loop_open(weft_loop *loop) {
    loop->tcp_fd = -1;
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->base = new_base();
    loop->input = weft_memory_alloc(NULL, WEFT_INPUT_SIZE, WEFT_CACHE_LINE);
    loop->sweep_budget_ns = WEFT_SWEEP_BUDGET_NS;
    loop->now_ms = (int64_t)weft_clock_wall_ms();
    if (loop->wake_fd < 0 || loop->base == NULL || loop->input == NULL ||
        !weft_mutex_init(&loop->inbox_mutex)) {
        return false;
    }
    struct timeval interval = {0, WEFT_SWEEP_INTERVAL_MS * 1000};
    event_assign(&loop->wake_event, loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    event_assign(&loop->tick_event, loop->base, -1, EV_PERSIST, on_tick, loop);
    return event_add(&loop->wake_event, NULL) == 0 && event_add(&loop->tick_event, &interval) == 0;
}

/* Whether a loop that polls leaves others enough: half of the processors. */
static bool may_poll(const weft_runtime *runtime) {
    return weft_load_relaxed(&runtime->active_loops) <= runtime->cpu_count / 2;
}

/* Look for work without sleeping, for a bounded time. False if the event base failed. */
static bool poll_and_run(weft_loop *loop, uint64_t from) {
    uint64_t now;
    do {
        if (event_base_loop(loop->base, EVLOOP_NONBLOCK) < 0) {
            return false;
        }
        now = loop->in_round ? loop->began_ns : weft_clock_monotonic_ns();
    } while (!loop->in_round && !loop->finished && now - from < POLL_NS);
    loop->polled_ns += now - from;
    return true;
}

/* Wait for sockets, and run what they bring. A client whose request has to wake a sleeping loop
 * pays for it with a longer system call, so a loop whose last wait was short polls before it
 * sleeps. (KVM's halt polling follows the same rule.) False if the event base failed. */
static bool wait_and_run(weft_loop *loop) {
    uint64_t from = weft_clock_monotonic_ns();
    bool good = !loop->eager || !may_poll(loop->runtime) || poll_and_run(loop, from);
    if (good && !loop->in_round && !loop->finished) {
        good = event_base_loop(loop->base, EVLOOP_ONCE) >= 0;
    }
    loop->eager = loop->in_round && loop->began_ns - from < POLL_NS;
    return good;
}

static void *run_loop(void *arg) {
    weft_loop *loop = arg;
    weft_loop_current = loop;
    weft_listen_start(loop);
    while (!loop->finished && wait_and_run(loop)) {
        end_round(loop);
    }
    return NULL;
}

bool weft_loop_start(weft_loop *loop) {
    loop->running = weft_thread_start(&loop->thread, run_loop, loop);
    return loop->running;
}

void weft_loop_join(weft_loop *loop) {
    if (loop->running) {
        weft_thread_join(&loop->thread);
        loop->running = false;
    }
}

void weft_loop_close(weft_loop *loop) {
    if (loop->wake_fd >= 0 && loop->base != NULL && loop->input != NULL) {
        weft_connections_adopt(loop); /* handed over when the loop had ended */
        weft_connections_finish(loop, true);
        weft_mutex_destroy(&loop->inbox_mutex);
    }
    weft_log_frame_free(&loop->frame);
    while (loop->spare_count != 0) {
        weft_output_free(&loop->spares[--loop->spare_count]);
    }
    if (loop->spare_items != NULL) {
        weft_memory_free(NULL, loop->spare_items, loop->spare_capacity * sizeof(weft_bytes),
                         _Alignof(weft_bytes));
    }
    if (loop->input != NULL) {
        weft_memory_free(NULL, loop->input, WEFT_INPUT_SIZE, WEFT_CACHE_LINE);
    }
    if (loop->base != NULL) {
        event_base_free(loop->base);
    }
    if (loop->wake_fd >= 0) {
        close(loop->wake_fd);
    }
}
