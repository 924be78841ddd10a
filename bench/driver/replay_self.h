/* SPDX-License-Identifier: MIT */
/* The main functions of the peers that are part of this program; docs/design/bench.md has their
 * protocol. */
#ifndef WEFT_BENCH_DRIVER_REPLAY_SELF_H
#define WEFT_BENCH_DRIVER_REPLAY_SELF_H

#include <stddef.h>
#include <stdint.h>

int weft_replay_engines(int argc, char **argv); /* bench/peers/weft-lockfree */
int weft_replay_plain(int argc, char **argv);   /* bench/peers/c-mutex */

uint64_t weft_replay_hash(const void *data, size_t size);

#endif
