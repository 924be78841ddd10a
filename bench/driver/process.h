/* SPDX-License-Identifier: MIT */
/* A child process that is spoken to in lines, and never waited for without a limit. */
#ifndef WEFT_BENCH_DRIVER_PROCESS_H
#define WEFT_BENCH_DRIVER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WEFT_PROCESS_LINE = 65536 };

typedef struct weft_process {
    pid_t pid;  /* 0: none */
    int to;     /* its standard input */
    int from;   /* its standard output */
    int errors; /* a nameless file with its standard error */
    char *line;
    size_t used;
    size_t taken;      /* bytes of the last line, which the next one overwrites */
    char problem[160]; /* why the last call failed */
} weft_process;

/* argv ends with NULL. The child is the first of a process group, and dies with this process. */
bool weft_process_start(weft_process *process, const char *const *argv);

/* Send a line; the line feed is added. */
bool weft_process_send(weft_process *process, const char *line);

/* The next line, without its line feed, or NULL: see `problem`. Valid until the next call. */
const char *weft_process_receive(weft_process *process, double seconds);

/* Close its input, wait for a moment, kill the group, and reap it. */
void weft_process_end(weft_process *process);

/* What it wrote to standard error, at most the end that fits; call before weft_process_end. */
void weft_process_errors(const weft_process *process, char *text, size_t size);

/* Processor time so far, in seconds. */
double weft_process_cpu(const weft_process *process);

#endif
