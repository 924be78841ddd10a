/* SPDX-License-Identifier: MIT */
/* Where the data of the bench is, being told to stop, and the progress line. */
#include "bench.h"
#include "base/clock.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t quiet_ns = 2000000000; /* runs shorter than this show no progress */
static const uint64_t between_ns = 100000000;

static bool is_folder_of_bench(const char *path) {
    char inside[4200];
    snprintf(inside, sizeof inside, "%s/workloads", path);
    return access(inside, R_OK) == 0;
}

bool weft_bench_beside(char *path, size_t size, const char *relative) {
    char self[4000];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    return snprintf(path, size, "%s/%s", self, relative) < (int)size;
}

/* An installed binary has its own data, of its own version, though the tree that it was built from
 * may still be there. */
const char *weft_bench_folder(void) {
    static char path[4096];
    const char *named = getenv("WEFT_BENCH");
    if (named != NULL && *named != '\0') {
        return named;
    }
    if (path[0] == '\0' && (!weft_bench_beside(path, sizeof path, WEFT_BENCH_INSTALLED) ||
                            !is_folder_of_bench(path))) {
        snprintf(path, sizeof path, "%s", WEFT_BENCH_SOURCE);
    }
    return path;
}

static volatile sig_atomic_t stopped;

static void on_stop(int signal) {
    (void)signal;
    stopped = 1;
}

void weft_bench_catch_stop(void) {
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* a peer that died is an answer, not the end */
}

bool weft_bench_stopped(void) {
    return stopped != 0;
}

static bool shown;

void weft_bench_progress(const char *format, ...) {
    static uint64_t first, last;
    uint64_t now = weft_clock_monotonic_ns();
    first = first == 0 ? now : first;
    if (now - first < quiet_ns || now - last < between_ns || !isatty(STDERR_FILENO)) {
        return;
    }
    va_list list;
    va_start(list, format);
    fprintf(stderr, "\r\x1b[K");
    vfprintf(stderr, format, list);
    va_end(list);
    fflush(stderr);
    last = now;
    shown = true;
}

void weft_bench_progress_end(void) {
    if (shown) {
        fprintf(stderr, "\r\x1b[K");
        fflush(stderr);
        shown = false;
    }
}
