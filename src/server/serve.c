/* SPDX-License-Identifier: MIT */
/* The life of a node: environment, storage, sockets, threads, and all of it back again. */
#include "server/server.h"

#include "base/clock.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "server/runtime.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weft/record.h>

enum { DESCRIPTORS_BESIDE_CLIENTS = 128, CLIENTS_MIN = 16 };

static weft_node *signalled_node;

uint32_t weft_serve_default_threads(void) {
    uint32_t count = weft_cpu_count();
    return count < WEFT_LOOPS_MAX ? count : WEFT_LOOPS_MAX - 1;
}

void weft_node_stop(weft_node *node) {
    uint64_t one = 1;
    weft_store_relaxed(&node->stopping, 1);
    ssize_t written = write(node->runtime->stop_fd, &one, sizeof one);
    (void)written; /* fails only if it is readable already */
}

static void on_signal(int number) {
    (void)number;
    int kept = errno;
    weft_node_stop(signalled_node);
    errno = kept;
}

/* As many descriptors as clients need; else fewer clients. */
static void raise_descriptors(weft_node *node) {
    struct rlimit limit;
    rlim_t needed = (rlim_t)node->options.max_clients + DESCRIPTORS_BESIDE_CLIENTS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
        return;
    }
    struct rlimit wish = {needed, limit.rlim_max > needed ? limit.rlim_max : needed};
    if (setrlimit(RLIMIT_NOFILE, &wish) == 0) {
        return;
    }
    wish.rlim_max = limit.rlim_max;
    wish.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    if (setrlimit(RLIMIT_NOFILE, &wish) != 0) {
        wish = limit;
    }
    if (wish.rlim_cur < needed) {
        rlim_t fits = wish.rlim_cur > DESCRIPTORS_BESIDE_CLIENTS + CLIENTS_MIN
                          ? wish.rlim_cur - DESCRIPTORS_BESIDE_CLIENTS
                          : CLIENTS_MIN;
        node->options.max_clients = (uint32_t)fits;
        fprintf(stderr,
                "weft: the limit of open files is %llu (ulimit -n): --max-clients is now %u\n",
                (unsigned long long)wish.rlim_cur, node->options.max_clients);
    }
}

/* The first line of the file is the password. */
static bool read_password(weft_node *node) {
    const char *path = node->options.auth_file;
    if (path == NULL) {
        return true;
    }
    size_t got = 0;
    weft_file_room room = {node->password, sizeof node->password};
    int fd = weft_file_open(path, O_RDONLY, 0);
    int status = fd < 0 ? fd : weft_file_pread(fd, room, 0, &got);
    if (fd >= 0) {
        weft_file_close(fd);
    }
    if (status < 0) {
        fprintf(stderr, "weft: cannot read --auth-file %s: %s\n", path, strerror(-status));
        return false;
    }
    size_t size = 0;
    while (size < got && node->password[size] != '\n' && node->password[size] != '\r' &&
           node->password[size] != '\0') {
        size++;
    }
    if (size == 0 || size == sizeof node->password) {
        fprintf(stderr, "weft: --auth-file %s: the first line is the password, 1 to %zu bytes\n",
                path, sizeof node->password - 1);
        return false;
    }
    memset(node->password + size, 0, sizeof node->password - size);
    return true;
}

static void name_run(weft_node *node) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[20];
    weft_random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        node->run_id[2 * i] = digits[bytes[i] >> 4];
        node->run_id[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static size_t runtime_bytes(uint32_t loops) {
    return sizeof(weft_runtime) + loops * sizeof(weft_loop);
}

static bool open_runtime(weft_node *node) {
    uint32_t loops = node->options.threads;
    weft_runtime *runtime = weft_memory_alloc(NULL, runtime_bytes(loops), WEFT_CACHE_LINE);
    if (runtime == NULL) {
        return false;
    }
    memset(runtime, 0, runtime_bytes(loops));
    node->runtime = runtime;
    runtime->node = node;
    runtime->loop_count = loops;
    runtime->active_loops = 1;
    runtime->cpu_count = weft_cpu_count();
    runtime->unix_fd = -1;
    runtime->stop_fd = eventfd(0, EFD_CLOEXEC);
    node->gate = weft_gate_new(loops + 1);
    bool good = runtime->stop_fd >= 0 && node->gate != NULL &&
                weft_mutex_init(&runtime->registry) && weft_mutex_init(&runtime->keeper.mutex) &&
                weft_cond_init(&runtime->keeper.changed);
    for (uint32_t i = 0; i < loops; i++) {
        weft_loop *loop = &runtime->loops[i];
        loop->node = node;
        loop->runtime = runtime;
        loop->index = i;
        good = weft_loop_open(loop) && good;
    }
    return good;
}

static void close_runtime(weft_node *node) {
    weft_runtime *runtime = node->runtime;
    if (runtime == NULL) {
        return;
    }
    weft_listen_close(runtime);
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        weft_loop_close(&runtime->loops[i]);
    }
    weft_gate_free(node->gate);
    weft_cond_destroy(&runtime->keeper.changed);
    weft_mutex_destroy(&runtime->keeper.mutex);
    weft_mutex_destroy(&runtime->registry);
    close(runtime->stop_fd);
    weft_memory_free(NULL, runtime, runtime_bytes(runtime->loop_count), WEFT_CACHE_LINE);
    node->runtime = NULL;
}

static void catch_signals(weft_node *node) {
    struct sigaction stop = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    signalled_node = node;
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
}

/* They take no signals, so the main thread gets them. */
static bool start_threads(weft_runtime *runtime) {
    bool good = (runtime->node->log == NULL || weft_keeper_start(runtime)) &&
                (runtime->node->options.http_port == 0 || weft_http_start(runtime));
    for (uint32_t i = 0; i < runtime->loop_count && good; i++) {
        good = weft_loop_start(&runtime->loops[i]);
    }
    return good;
}

static void stop_threads(weft_runtime *runtime) {
    weft_store_relaxed(&runtime->node->stopping, 1);
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        weft_loop_wake(&runtime->loops[i]);
    }
    for (uint32_t i = 0; i < runtime->loop_count; i++) {
        weft_loop_join(&runtime->loops[i]);
    }
    weft_keeper_stop(runtime);
    weft_http_stop(runtime);
}

static bool is_loopback(const char *bind) {
    return strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0 ||
           strcmp(bind, "localhost") == 0;
}

static void greet(const weft_node *node) {
    static const char *const policies[] = {"always", "everysec", "no"};
    const weft_node_options *options = &node->options;
    const char *unix_path = options->unix_path;
    if (options->port != 0 && !is_loopback(options->bind) && node->password[0] == '\0') {
        fprintf(stderr,
                "weft: WARNING: everyone who can reach %s port %u can read and change every key: "
                "set a password with --auth-file\n",
                options->bind, options->port);
    }
    fprintf(stderr, "weft: version %s, %u thread%s; listening on ", WEFT_VERSION_STRING,
            options->threads, options->threads == 1 ? "" : "s");
    if (options->port != 0) {
        fprintf(stderr, "%s port %u%s", options->bind, options->port,
                unix_path == NULL ? "\n" : " and ");
    }
    if (unix_path != NULL) {
        fprintf(stderr, "%s\n", unix_path);
    }
    if (options->directory != NULL) {
        fprintf(stderr, "weft: keys are kept in %s (--sync %s)\n", options->directory,
                policies[options->sync]);
    } else {
        fprintf(stderr, "weft: keys are kept in memory only (--memory)\n");
    }
    if (options->port != 0) {
        fprintf(stderr, "weft: talk to it with: redis-cli -h %s -p %u\n", options->bind,
                options->port);
    } else {
        fprintf(stderr, "weft: talk to it with: redis-cli -s %s\n", unix_path);
    }
    if (options->http_port != 0) {
        fprintf(stderr, "weft: figures at http://127.0.0.1:%u/metrics\n", options->http_port);
    }
    fprintf(stderr, "weft: ready\n");
}

static bool start_recording(weft_node *node) {
    weft_recording_options options = {.size = sizeof options,
                                      .file = node->options.record_file,
                                      .sample = node->options.record_sample,
                                      .prefill = true};
    if (options.file == NULL) {
        return true;
    }
    if (weft_recording_start(&node->map, &node->recording, &options) != WEFT_OK) {
        fprintf(stderr, "weft: cannot record: %s\n", options.error_text);
        return false;
    }
    fprintf(stderr, "weft: accesses to %s are recorded in %s\n",
            options.sample <= 1 ? "all keys" : "a sample of the keys", options.file);
    return true;
}

static int stop_recording(weft_node *node) {
    weft_recording_stats stats;
    if (node->recording == NULL) {
        return WEFT_EXIT_FINE;
    }
    if (weft_recording_stop(node->recording, &stats) != WEFT_OK) {
        fprintf(stderr, "weft: the recording in %s is of no use: %s\n", node->options.record_file,
                stats.error_text);
        return WEFT_EXIT_ENVIRONMENT;
    }
    fprintf(stderr, "weft: recorded %llu operations in %s, dropped %llu\n",
            (unsigned long long)stats.recorded, node->options.record_file,
            (unsigned long long)stats.dropped);
    return WEFT_EXIT_FINE;
}

/* All there is before the first thread; false after a line on stderr. */
static bool open_node(weft_node *node) {
    raise_descriptors(node);
    if (!read_password(node)) {
        return false;
    }
    name_run(node);
    node->started_ms = node->last_save_ms = (int64_t)weft_clock_wall_ms();
    int status = weft_map_open(&node->map, NULL);
    if (status != WEFT_OK || !open_runtime(node)) {
        fprintf(stderr, "weft: cannot start: %s\n",
                weft_status_text(status != WEFT_OK ? status : WEFT_E_NOMEM));
        return false;
    }
    return (node->options.directory == NULL || weft_recovery_run(node)) &&
           weft_listen_open(node->runtime) && start_recording(node);
}

static int close_node(weft_node *node) {
    int code = stop_recording(node);
    if (node->log != NULL) {
        int status = weft_log_close(node->log);
        if (status != WEFT_OK) {
            fprintf(stderr, "weft: the last changes could not be stored in %s: %s\n",
                    node->options.directory, weft_status_text(status));
            code = WEFT_EXIT_ENVIRONMENT;
        }
    }
    close_runtime(node);
    weft_map_close(&node->map);
    return code;
}

static void wait_for_stop(weft_runtime *runtime) {
    uint64_t count;
    while (weft_load_relaxed(&runtime->node->stopping) == 0) {
        ssize_t got = read(runtime->stop_fd, &count, sizeof count);
        (void)got; /* a signal ends the wait too; the word decides */
    }
}

int weft_serve_run(const weft_node_options *options) {
    weft_node *node = weft_memory_alloc(NULL, sizeof *node, _Alignof(weft_node));
    if (node == NULL) {
        fprintf(stderr, "weft: cannot start: %s\n", weft_status_text(WEFT_E_NOMEM));
        return WEFT_EXIT_ENVIRONMENT;
    }
    memset(node, 0, sizeof *node);
    node->options = *options;
    int code = WEFT_EXIT_ENVIRONMENT;
    if (open_node(node)) {
        catch_signals(node);
        if (start_threads(node->runtime)) {
            greet(node);
            wait_for_stop(node->runtime);
            fprintf(stderr, "weft: stopping\n");
            code = WEFT_EXIT_FINE;
        } else {
            fprintf(stderr, "weft: cannot start its threads\n");
        }
        stop_threads(node->runtime);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
    }
    int closed = close_node(node);
    weft_memory_free(NULL, node, sizeof *node, _Alignof(weft_node));
    return code == WEFT_EXIT_FINE ? closed : code;
}
