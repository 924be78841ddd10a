/* SPDX-License-Identifier: MIT */
/* From a workload to a trace. */
#ifndef WEFT_BENCH_DRIVER_GENERATE_H
#define WEFT_BENCH_DRIVER_GENERATE_H

#include "workload.h"

/* Write the trace of a workload; the same bytes for the same workload. `text`: see keys.h. 0, or
 * the exit code after a message. A file that could not be finished is removed. */
int weft_generate(const weft_workload *workload, const char *path, const char *text);

#endif
