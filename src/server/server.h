/* SPDX-License-Identifier: MIT */
/* The one header of this folder for tools. */
#ifndef WEFT_SERVER_SERVER_H
#define WEFT_SERVER_SERVER_H

#include "base/exit.h"
#include "server/node.h"

/* Processors that this process may run on: the usual number of threads. */
uint32_t weft_serve_default_threads(void);

/* Run a node until it is told to stop; the exit code. Speaks on stderr; its last line before it
 * serves is "weft: ready". */
int weft_serve_run(const weft_node_options *options);

#endif
