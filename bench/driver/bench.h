/* SPDX-License-Identifier: MIT */
/* `weft bench`: its entry, and its commands. docs/design/bench.md is what they agree on. */
#ifndef WEFT_BENCH_DRIVER_BENCH_H
#define WEFT_BENCH_DRIVER_BENCH_H

#include <jansson.h>
#include <stdbool.h>

/* argv[0] is "bench". Returns the exit code, as the commands below do. */
int weft_bench_main(int argc, char **argv);

/* `weft advise`; argv[0] is "advise". */
int weft_bench_advise(int argc, char **argv);

/* The commands. argv[0] is the command's name. */
int weft_bench_verdict(int argc, char **argv); /* without a command: argv[0] is "bench" */
int weft_bench_map(int argc, char **argv);
int weft_bench_growth(int argc, char **argv);
int weft_bench_oversub(int argc, char **argv);
int weft_bench_gates(int argc, char **argv);
int weft_bench_trace(int argc, char **argv);
int weft_bench_replay(int argc, char **argv);
int weft_bench_peers(int argc, char **argv);
int weft_bench_serve(int argc, char **argv);
int weft_bench_report_command(int argc, char **argv);
int weft_bench_compare_command(int argc, char **argv);
int weft_bench_claims(int argc, char **argv); /* bench/claims */

/* Write the page of a result to a file; 0, or the exit code after a message on stderr. */
int weft_bench_report(const json_t *result, const char *path);

/* For every command that makes a result: the parts of it that do not depend on what is measured.
 * The caller owns what is returned; NULL without memory. */
json_t *weft_bench_weft_json(void);              /* "weft": version, commit, compiler */
json_t *weft_bench_machine_json(void);           /* "machine": processor, memory, kernel … */
json_t *weft_bench_started_json(double elapsed); /* "started": so many seconds ago */

/* Where the data of the bench is (workloads, descriptions of peers): $WEFT_BENCH, the installation,
 * or the source tree that this was built from. Ends without a slash. */
const char *weft_bench_folder(void);

/* The path of something relative to the folder of this binary. False: it is too long. */
bool weft_bench_beside(char *path, size_t size, const char *relative);

/* Ctrl-C and SIGTERM ask for an end after the sample under way. */
void weft_bench_catch_stop(void);
bool weft_bench_stopped(void);

/* A line on a terminal that says how far a long run is; nothing where stderr is no terminal. */
void weft_bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void weft_bench_progress_end(void); /* wipes the line */

#endif
