/* SPDX-License-Identifier: MIT */
/* Health and figures for machines, over HTTP on the loopback address, on a thread of its own. */
#include "base/memory.h"
#include "server/keyspace.h"
#include "server/runtime.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <weft/guard.h>

enum { HEADERS_MAX = 8192, BODY_MAX = 1024, TIMEOUT_SECONDS = 10 };

typedef struct weft_http {
    weft_runtime *runtime;
    struct event_base *base;
    struct evhttp *server;
    struct event *stop_event;
    int stop_fd;
    weft_thread thread;
    bool running;
} weft_http;

/* One family of figures with one value. */
typedef struct figure {
    const char *name;
    const char *type;
    const char *help;
    double value;
} figure;

static void print_figures(struct evbuffer *out, const figure *figures, size_t count) {
    for (size_t i = 0; i < count; i++) {
        evbuffer_add_printf(out, "# HELP weft_%s %s\n# TYPE weft_%s %s\nweft_%s %.17g\n",
                            figures[i].name, figures[i].help, figures[i].name, figures[i].type,
                            figures[i].name, figures[i].value);
    }
}

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static void sum_loops(const weft_runtime *runtime, weft_loop_stats *sum) {
    memset(sum, 0, sizeof *sum);
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        const weft_loop_stats *stats = &runtime->node->loops[i];
        sum->commands += weft_load_relaxed(&stats->commands);
        sum->connections_accepted += weft_load_relaxed(&stats->connections_accepted);
        sum->connections_rejected += weft_load_relaxed(&stats->connections_rejected);
        sum->bytes_in += weft_load_relaxed(&stats->bytes_in);
        sum->bytes_out += weft_load_relaxed(&stats->bytes_out);
        sum->keyspace_hits += weft_load_relaxed(&stats->keyspace_hits);
        sum->keyspace_misses += weft_load_relaxed(&stats->keyspace_misses);
        sum->expired_keys += weft_load_relaxed(&stats->expired_keys);
        sum->error_replies += weft_load_relaxed(&stats->error_replies);
    }
}

static void print_traffic(const weft_runtime *runtime, struct evbuffer *out) {
    weft_loop_stats sum;
    sum_loops(runtime, &sum);
    const figure figures[] = {
        {"commands_total", "counter", "Commands run.", (double)sum.commands},
        {"error_replies_total", "counter", "Error replies.", (double)sum.error_replies},
        {"connections", "gauge", "Clients connected.", weft_sessions_count(runtime->node)},
        {"active_loops", "gauge", "Threads that serve clients at this load.",
         weft_load_relaxed(&runtime->active_loops)},
        {"connections_accepted_total", "counter", "Clients accepted.",
         (double)sum.connections_accepted},
        {"connections_rejected_total", "counter", "Clients turned away.",
         (double)sum.connections_rejected},
        {"received_bytes_total", "counter", "Bytes from clients.", (double)sum.bytes_in},
        {"sent_bytes_total", "counter", "Bytes to clients.", (double)sum.bytes_out},
        {"keyspace_hits_total", "counter", "Reads of keys that were there.",
         (double)sum.keyspace_hits},
        {"keyspace_misses_total", "counter", "Reads of keys that were not there.",
         (double)sum.keyspace_misses},
        {"expired_keys_total", "counter", "Keys removed after their deadline.",
         (double)sum.expired_keys},
    };
    print_figures(out, figures, COUNT_OF(figures));
}

static void print_map(const weft_runtime *runtime, struct evbuffer *out) {
    weft_map_stats map;
    weft_reclaim_stats reclaim;
    weft_node *node = runtime->node;
    weft_map_stats_get(&node->map, &map);
    weft_reclaim_stats_get(&reclaim);
    const figure figures[] = {
        {"keys", "gauge", "Keys.", (double)map.entries},
        {"keys_with_deadline", "gauge", "Keys with a deadline.",
         (double)weft_keyspace_deadlines(node)},
        {"entry_bytes", "gauge", "Bytes of the entries.", (double)map.entry_bytes},
        {"table_bytes", "gauge", "Bytes of the table.", (double)map.table_bytes},
        {"table_buckets", "gauge", "Buckets of the table.", (double)map.buckets},
        {"table_growths_total", "counter", "Growths begun.", (double)map.growths},
        {"table_growth_failures_total", "counter", "Growths that found no memory.",
         (double)map.growth_failures},
        {"table_remaining_buckets", "gauge", "Buckets that the growth has still to move.",
         (double)map.remaining_buckets},
        {"map_retries_total", "counter", "Writes that lost a race and tried again.",
         (double)map.retries},
        {"reclaim_pending_bytes", "gauge", "Bytes retired and not yet freed.",
         (double)reclaim.pending_bytes},
        {"reclaim_oldest_guard_seconds", "gauge",
         "Age of the oldest guard seen holding reclamation back.",
         (double)reclaim.oldest_guard_ns / 1e9},
    };
    print_figures(out, figures, COUNT_OF(figures));
}

static void print_log(const weft_runtime *runtime, struct evbuffer *out) {
    weft_log_stats log;
    if (runtime->node->log == NULL) {
        return;
    }
    weft_log_stats_get(runtime->node->log, &log);
    const figure figures[] = {
        {"log_good", "gauge", "1 while the log takes writes.", log.state == WEFT_LOG_GOOD},
        {"log_appended_lsn", "counter", "Number of the last frame appended.",
         (double)log.appended_lsn},
        {"log_written_lsn", "counter", "Number of the last frame given to the operating system.",
         (double)log.written_lsn},
        {"log_durable_lsn", "counter", "Number of the last frame synchronized.",
         (double)log.durable_lsn},
        {"log_bytes", "gauge", "Bytes behind the last checkpoint.", (double)log.log_bytes},
        {"log_segments", "gauge", "Files of the log.", (double)log.segments},
        {"log_checkpoint_bytes", "gauge", "Bytes of the last checkpoint.",
         (double)log.checkpoint_bytes},
        {"log_buffered_bytes", "gauge", "Bytes that wait in memory.", (double)log.buffered_bytes},
        {"log_oldest_unsynced_seconds", "gauge", "Age of the oldest frame that is not durable.",
         (double)log.oldest_unsynced_age_ns / 1e9},
        {"log_syncs_total", "counter", "Synchronizations.", (double)log.syncs},
    };
    print_figures(out, figures, COUNT_OF(figures));
}

static void reply(struct evhttp_request *request, int code, const char *reason,
                  struct evbuffer *body) {
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                      "text/plain; version=0.0.4; charset=utf-8");
    evhttp_send_reply(request, code, reason, body);
    evbuffer_free(body);
}

static void on_metrics(struct evhttp_request *request, void *arg) {
    const weft_http *http = arg;
    struct evbuffer *body = evbuffer_new();
    if (body != NULL) {
        print_traffic(http->runtime, body);
        print_map(http->runtime, body);
        print_log(http->runtime, body);
        reply(request, HTTP_OK, "OK", body);
    }
}

static void on_health(struct evhttp_request *request, void *arg) {
    const weft_http *http = arg;
    weft_node *node = http->runtime->node;
    const char *trouble = NULL;
    if (weft_load_relaxed(&node->stopping) != 0) {
        trouble = "stopping\n";
    } else if (node->log != NULL && weft_log_state_get(node->log) == WEFT_LOG_FULL) {
        trouble = "the log has no room on the disk\n";
    } else if (node->log != NULL && weft_log_state_get(node->log) == WEFT_LOG_FAILED) {
        trouble = "the log failed\n";
    }
    struct evbuffer *body = evbuffer_new();
    if (body != NULL) {
        evbuffer_add_printf(body, "%s", trouble == NULL ? "ok\n" : trouble);
        reply(request, trouble == NULL ? HTTP_OK : HTTP_SERVUNAVAIL,
              trouble == NULL ? "OK" : "Service Unavailable", body);
    }
}

static void on_other(struct evhttp_request *request, void *arg) {
    (void)arg;
    struct evbuffer *body = evbuffer_new();
    if (body != NULL) {
        evbuffer_add_printf(body, "there are /healthz and /metrics\n");
        reply(request, HTTP_NOTFOUND, "Not Found", body);
    }
}

static void on_stop(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    event_base_loopbreak(arg);
}

static void *run_http(void *arg) {
    weft_http *http = arg;
    event_base_dispatch(http->base);
    return NULL;
}

static bool set_up(weft_http *http) {
    http->base = event_base_new();
    http->server = http->base == NULL ? NULL : evhttp_new(http->base);
    http->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (http->server == NULL || http->stop_fd < 0) {
        return false;
    }
    http->stop_event = event_new(http->base, http->stop_fd, EV_READ, on_stop, http->base);
    evhttp_set_max_headers_size(http->server, HEADERS_MAX);
    evhttp_set_max_body_size(http->server, BODY_MAX);
    evhttp_set_timeout(http->server, TIMEOUT_SECONDS);
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_gencb(http->server, on_other, http);
    return http->stop_event != NULL && event_add(http->stop_event, NULL) == 0 &&
           evhttp_set_cb(http->server, "/metrics", on_metrics, http) == 0 &&
           evhttp_set_cb(http->server, "/healthz", on_health, http) == 0;
}

bool weft_http_start(weft_runtime *runtime) {
    uint16_t port = runtime->node->options.http_port;
    weft_http *http = weft_memory_alloc(NULL, sizeof *http, _Alignof(weft_http));
    if (http == NULL) {
        return false;
    }
    memset(http, 0, sizeof *http);
    http->runtime = runtime;
    http->stop_fd = -1;
    runtime->http = http;
    if (!set_up(http)) {
        return false;
    }
    if (evhttp_bind_socket(http->server, "127.0.0.1", port) != 0) {
        fprintf(stderr,
                "weft: cannot listen on 127.0.0.1 port %u: %s; choose another port with --http, or "
                "none with --http 0\n",
                port, strerror(errno));
        return false;
    }
    http->running = weft_thread_start(&http->thread, run_http, http);
    return http->running;
}

void weft_http_stop(weft_runtime *runtime) {
    weft_http *http = runtime->http;
    if (http == NULL) {
        return;
    }
    if (http->running) {
        uint64_t one = 1;
        ssize_t written = write(http->stop_fd, &one, sizeof one);
        (void)written; /* an eventfd that nobody has read takes a 1 */
        weft_thread_join(&http->thread);
    }
    if (http->server != NULL) {
        evhttp_free(http->server);
    }
    if (http->stop_event != NULL) {
        event_free(http->stop_event);
    }
    if (http->base != NULL) {
        event_base_free(http->base);
    }
    if (http->stop_fd >= 0) {
        close(http->stop_fd);
    }
    weft_memory_free(NULL, http, sizeof *http, _Alignof(weft_http));
    runtime->http = NULL;
}
