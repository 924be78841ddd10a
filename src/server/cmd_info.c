/* SPDX-License-Identifier: MIT */
/* INFO: the state of the server, in sections of "name:value" lines as Redis prints them. */
#include "base/atomic.h"
#include "base/file.h"
#include "server/command.h"
#include "server/journal.h"
#include "server/keyspace.h"
#include "server/text.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <weft/guard.h>

enum { MS_PER_SECOND = 1000, SECONDS_PER_DAY = 86400 };

/* The counters of all loops together. */
static weft_loop_stats sum_stats(const weft_node *node) {
    weft_loop_stats sum = {0};
    for (size_t i = 0; i < WEFT_LOOPS_MAX; i++) {
        const weft_loop_stats *stats = &node->loops[i];
        sum.commands += weft_load_relaxed(&stats->commands);
        sum.connections_accepted += weft_load_relaxed(&stats->connections_accepted);
        sum.connections_rejected += weft_load_relaxed(&stats->connections_rejected);
        sum.bytes_in += weft_load_relaxed(&stats->bytes_in);
        sum.bytes_out += weft_load_relaxed(&stats->bytes_out);
        sum.keyspace_hits += weft_load_relaxed(&stats->keyspace_hits);
        sum.keyspace_misses += weft_load_relaxed(&stats->keyspace_misses);
        sum.expired_keys += weft_load_relaxed(&stats->expired_keys);
        sum.error_replies += weft_load_relaxed(&stats->error_replies);
    }
    return sum;
}

static void server_section(weft_session *session, weft_text *text) {
    const weft_node *node = session->node;
    struct utsname system;
    bool known = uname(&system) == 0;
    int64_t up = (weft_node_now_ms(session) - node->started_ms) / MS_PER_SECOND;
    weft_text_add(text, "redis_version:%s\r\nweft_version:%s\r\nredis_mode:standalone\r\n",
                  WEFT_REDIS_VERSION, WEFT_VERSION_STRING);
    weft_text_add(text, "os:%s %s %s\r\narch_bits:%zu\r\n", known ? system.sysname : "",
                  known ? system.release : "", known ? system.machine : "", 8 * sizeof(void *));
    weft_text_add(text, "process_id:%d\r\nrun_id:%s\r\ntcp_port:%u\r\n", (int)getpid(),
                  node->run_id, node->options.port);
    weft_text_add(text, "server_time_usec:%" PRId64 "\r\n",
                  weft_node_now_ms(session) * MS_PER_SECOND);
    weft_text_add(text, "uptime_in_seconds:%" PRId64 "\r\nuptime_in_days:%" PRId64 "\r\n", up,
                  up / SECONDS_PER_DAY);
    weft_text_add(text, "executable:\r\nconfig_file:\r\nio_threads_active:%u\r\n",
                  node->options.threads > 1);
}

static void clients_section(weft_session *session, weft_text *text) {
    weft_text_add(text,
                  "connected_clients:%u\r\ncluster_connections:0\r\nmaxclients:%u\r\n"
                  "blocked_clients:0\r\ntracking_clients:0\r\n",
                  weft_sessions_count(session->node),
                  weft_load_relaxed(&session->node->options.max_clients));
}

/* 1536 -> "1.50K". */
static const char *human(uint64_t bytes, char buffer[32]) {
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && units[unit + 1] != '\0') {
        value /= 1024;
        unit++;
    }
    snprintf(buffer, 32, unit == 0 ? "%.0f%c" : "%.2f%c", value, units[unit]);
    return buffer;
}

/* Resident memory of the process, from the kernel: the second number of statm, in pages. */
static uint64_t resident_bytes(void) {
    char line[128];
    size_t got = 0;
    int fd = weft_file_open("/proc/self/statm", O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        if (weft_file_pread(fd, (weft_file_room){line, sizeof line - 1}, 0, &got) < 0) {
            got = 0;
        }
        weft_file_close(fd);
    }
    line[got] = '\0';
    char *end;
    strtoull(line, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void memory_section(weft_session *session, weft_text *text) {
    weft_node *node = session->node;
    weft_map_stats stats;
    weft_reclaim_stats reclaim;
    char buffer[32];
    uint64_t used = weft_keyspace_measure(node);
    uint64_t peak = weft_load_relaxed(&node->peak_memory);
    uint64_t resident = resident_bytes();
    uint64_t limit = weft_load_relaxed(&node->options.max_memory);
    weft_map_stats_get(&node->map, &stats);
    weft_reclaim_stats_get(&reclaim);
    weft_text_add(text, "used_memory:%" PRIu64 "\r\nused_memory_human:%s\r\n", used,
                  human(used, buffer));
    weft_text_add(text, "used_memory_rss:%" PRIu64 "\r\nused_memory_rss_human:%s\r\n", resident,
                  human(resident, buffer));
    weft_text_add(text, "used_memory_peak:%" PRIu64 "\r\nused_memory_peak_human:%s\r\n", peak,
                  human(peak, buffer));
    weft_text_add(text, "used_memory_overhead:%" PRIu64 "\r\nused_memory_dataset:%" PRIu64 "\r\n",
                  stats.table_bytes, stats.entry_bytes);
    weft_text_add(text, "maxmemory:%" PRIu64 "\r\nmaxmemory_human:%s\r\n", limit,
                  human(limit, buffer));
    weft_text_add(text, "maxmemory_policy:noeviction\r\nmem_fragmentation_ratio:%.2f\r\n",
                  used == 0 ? 0.0 : (double)resident / (double)used);
    weft_text_add(text,
                  "lazyfree_pending_objects:%" PRIu64 "\r\nlazyfree_pending_bytes:%" PRIu64 "\r\n",
                  reclaim.pending_objects, reclaim.pending_bytes);
}

static void persistence_section(weft_session *session, weft_text *text) {
    weft_node *node = session->node;
    const char *why;
    bool fine = weft_journal_writable(session, &why);
    weft_checkpoint_state checkpoint = weft_journal_checkpoint_state(node);
    weft_text_add(text,
                  "loading:0\r\nasync_loading:0\r\nrdb_changes_since_last_save:%" PRIu64 "\r\n",
                  weft_load_relaxed(&node->changes_since_save));
    weft_text_add(text, "rdb_bgsave_in_progress:%d\r\nrdb_last_save_time:%" PRId64 "\r\n",
                  checkpoint.running, weft_load_relaxed(&node->last_save_ms) / MS_PER_SECOND);
    weft_text_add(text, "rdb_last_bgsave_status:%s\r\naof_enabled:%d\r\n",
                  checkpoint.last_failed ? "err" : "ok", node->log != NULL);
    weft_text_add(text, "aof_rewrite_in_progress:%d\r\naof_last_bgrewrite_status:%s\r\n",
                  checkpoint.running, checkpoint.last_failed ? "err" : "ok");
    weft_text_add(text, "aof_last_write_status:%s\r\n", fine ? "ok" : "err");
}

static void stats_section(weft_session *session, weft_text *text) {
    weft_loop_stats sum = sum_stats(session->node);
    weft_text_add(text, "total_connections_received:%" PRIu64 "\r\n", sum.connections_accepted);
    weft_text_add(text, "total_commands_processed:%" PRIu64 "\r\n", sum.commands);
    weft_text_add(text, "total_net_input_bytes:%" PRIu64 "\r\n", sum.bytes_in);
    weft_text_add(text, "total_net_output_bytes:%" PRIu64 "\r\n", sum.bytes_out);
    weft_text_add(text, "rejected_connections:%" PRIu64 "\r\n", sum.connections_rejected);
    weft_text_add(text, "expired_keys:%" PRIu64 "\r\nevicted_keys:0\r\n", sum.expired_keys);
    weft_text_add(text, "keyspace_hits:%" PRIu64 "\r\nkeyspace_misses:%" PRIu64 "\r\n",
                  sum.keyspace_hits, sum.keyspace_misses);
    weft_text_add(text, "total_error_replies:%" PRIu64 "\r\n", sum.error_replies);
}

static void replication_section(weft_session *session, weft_text *text) {
    weft_text_add(text,
                  "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n"
                  "master_replid:%s\r\nmaster_repl_offset:0\r\n",
                  session->node->run_id);
}

static void cpu_section(weft_session *session, weft_text *text) {
    struct rusage usage;
    (void)session;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        weft_text_add(text, "used_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\n",
                      (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec,
                      (long)usage.ru_utime.tv_sec, (long)usage.ru_utime.tv_usec);
    }
}

static void cluster_section(weft_session *session, weft_text *text) {
    (void)session;
    weft_text_add(text, "cluster_enabled:0\r\n");
}

static void keyspace_section(weft_session *session, weft_text *text) {
    weft_node *node = session->node;
    size_t keys = weft_map_len(&node->map);
    if (keys != 0) {
        weft_text_add(text, "db0:keys=%zu,expires=%" PRIu64 ",avg_ttl=%" PRIu64 "\r\n", keys,
                      weft_keyspace_deadlines(node), weft_load_relaxed(&node->average_ttl_ms));
    }
}

static const struct {
    const char *name;
    const char *title;
    void (*write)(weft_session *session, weft_text *text);
} sections[] = {
    {"server", "Server", server_section},
    {"clients", "Clients", clients_section},
    {"memory", "Memory", memory_section},
    {"persistence", "Persistence", persistence_section},
    {"stats", "Stats", stats_section},
    {"replication", "Replication", replication_section},
    {"cpu", "CPU", cpu_section},
    {"cluster", "Cluster", cluster_section},
    {"keyspace", "Keyspace", keyspace_section},
};

static bool wanted(const weft_args *args, const char *name) {
    for (size_t i = 1; i < args->count; i++) {
        if (weft_word_is(args->items[i], name) || weft_word_is(args->items[i], "default") ||
            weft_word_is(args->items[i], "all") || weft_word_is(args->items[i], "everything")) {
            return true;
        }
    }
    return args->count == 1;
}

void weft_cmd_info(weft_session *session, const weft_args *args) {
    weft_text text = {0};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (wanted(args, sections[i].name)) {
            weft_text_add(&text, "%s# %s\r\n", text.size == 0 ? "" : "\r\n", sections[i].title);
            sections[i].write(session, &text);
        }
    }
    weft_text_reply(&text, &session->out);
}
