/* SPDX-License-Identifier: MIT */
#include "process.h"
#include "base/clock.h"
#include "base/lock.h"
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: never returns. */
static void become(const char *const *argv, const int in[2], const int out[2], int errors) {
    setpgid(0, 0); /* Ctrl-C is for the driver, which lets the sample under way end */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    execv(argv[0], (char *const *)argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static bool make_channels(weft_process *process, int in[2], int out[2]) {
    if (pipe2(in, O_CLOEXEC) != 0) {
        return false;
    }
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    process->to = in[1];
    process->from = out[0];
    process->errors = memfd_create("weft-peer", MFD_CLOEXEC);
    process->line = malloc(WEFT_PROCESS_LINE + 1);
    return true;
}

bool weft_process_start(weft_process *process, const char *const *argv) {
    int in[2];
    int out[2];
    *process = (weft_process){.to = -1, .from = -1, .errors = -1};
    if (!make_channels(process, in, out)) {
        snprintf(process->problem, sizeof process->problem, "no pipe: %s", strerror(errno));
        return false;
    }
    process->pid = fork();
    if (process->pid == 0) {
        become(argv, in, out, process->errors);
    }
    close(in[0]);
    close(out[1]);
    fcntl(process->from, F_SETFL, O_NONBLOCK);
    fcntl(process->to, F_SETFL, O_NONBLOCK); /* one that never reads must not stop the driver */
    if (process->pid < 0 || process->line == NULL || process->errors < 0) {
        snprintf(process->problem, sizeof process->problem, "cannot start: %s", strerror(errno));
        process->pid = process->pid < 0 ? 0 : process->pid;
        weft_process_end(process);
        return false;
    }
    setpgid(process->pid, process->pid); /* whichever of the two comes first */
    return true;
}

/* How it ended, or that it did not; into `problem`. */
static void say_end(weft_process *process) {
    int status;
    size_t size = sizeof process->problem;
    for (int turn = 0; turn < 100; turn++) {
        if (waitpid(process->pid, &status, WNOHANG) == process->pid) {
            kill(-process->pid, SIGKILL);
            process->pid = 0;
            if (WIFSIGNALED(status)) {
                snprintf(process->problem, size, "it was ended by signal %d (%s)", WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
            } else {
                snprintf(process->problem, size, "it ended with exit code %d", WEXITSTATUS(status));
            }
            return;
        }
        weft_sleep_ns(10000000);
    }
    snprintf(process->problem, size, "it closed its output");
}

bool weft_process_send(weft_process *process, const char *line) {
    char text[256];
    int size = snprintf(text, sizeof text, "%s\n", line);
    if (process->pid == 0) {
        return false;
    }
    if (write(process->to, text, (size_t)size) == size) {
        return true;
    }
    if (errno == EPIPE) {
        say_end(process);
    } else {
        snprintf(process->problem, sizeof process->problem, "it does not read its commands");
    }
    return false;
}

static const uint64_t slice_ns = 200000000;      /* how soon a wish for the end is noticed */
static const uint64_t last_wait_ns = 5000000000; /* how long is waited after it */

/* Wait for bytes. False: the end or a problem, which is said. */
static bool fill(weft_process *process, int milliseconds) {
    struct pollfd wait = {.fd = process->from, .events = POLLIN};
    if (process->used == WEFT_PROCESS_LINE) {
        snprintf(process->problem, sizeof process->problem, "a line of more than %d bytes",
                 WEFT_PROCESS_LINE);
        return false;
    }
    int ready = poll(&wait, 1, milliseconds);
    if (ready <= 0) {
        return ready == 0 || errno == EINTR; /* nothing yet */
    }
    ssize_t got =
        read(process->from, process->line + process->used, WEFT_PROCESS_LINE - process->used);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got <= 0) {
        say_end(process);
        return false;
    }
    process->used += (size_t)got;
    return true;
}

const char *weft_process_receive(weft_process *process, double seconds) {
    uint64_t deadline = weft_clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    bool stopping = false;
    if (process->pid == 0) {
        return NULL;
    }
    process->used -= process->taken;
    memmove(process->line, process->line + process->taken, process->used);
    process->taken = 0;
    snprintf(process->problem, sizeof process->problem, "no answer within %.1f seconds", seconds);
    for (;;) {
        char *end = memchr(process->line, '\n', process->used);
        if (end != NULL) {
            *end = '\0';
            process->taken = (size_t)(end - process->line) + 1;
            return process->line;
        }
        uint64_t now = weft_clock_monotonic_ns();
        if (weft_bench_stopped() && deadline > now + last_wait_ns && !stopping) {
            deadline = now + last_wait_ns; /* whoever asked for the end need not wait for long */
            stopping = true;
        }
        uint64_t left = now < deadline ? deadline - now : 0;
        uint64_t slice = left < slice_ns ? left : slice_ns;
        if (left == 0 || !fill(process, (int)(slice / 1000000) + 1)) {
            return NULL;
        }
    }
}

void weft_process_end(weft_process *process) {
    enum { TURNS = 100 };
    if (process->to >= 0) {
        close(process->to);
    }
    for (int turn = 0; process->pid != 0; turn++) {
        if (turn == TURNS) {
            kill(-process->pid, SIGKILL);
            waitpid(process->pid, NULL, 0);
            process->pid = 0;
        } else if (waitpid(process->pid, NULL, WNOHANG) != 0) {
            kill(-process->pid, SIGKILL); /* what it may have left behind */
            process->pid = 0;
        } else {
            weft_sleep_ns(5000000);
        }
    }
    if (process->from >= 0) {
        close(process->from);
    }
    if (process->errors >= 0) {
        close(process->errors);
    }
    free(process->line);
    *process = (weft_process){.to = -1, .from = -1, .errors = -1};
}

void weft_process_errors(const weft_process *process, char *text, size_t size) {
    off_t end = process->errors >= 0 ? lseek(process->errors, 0, SEEK_END) : 0;
    off_t from = end >= (off_t)size ? end - (off_t)size + 1 : 0;
    ssize_t got = end > 0 ? pread(process->errors, text, size - 1, from) : 0;
    text[got > 0 ? got : 0] = '\0';
}

double weft_process_cpu(const weft_process *process) {
    char path[64];
    char text[1024];
    unsigned long user = 0;
    unsigned long kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    FILE *file = process->pid != 0 ? fopen(path, "r") : NULL;
    if (file == NULL) {
        return 0;
    }
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *after = strrchr(text, ')'); /* the name before may hold anything */
    if (after != NULL) {
        sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    }
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}
