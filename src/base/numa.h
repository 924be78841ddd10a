/* SPDX-License-Identifier: MIT */
/* Memory nodes, by the kernel's own calls. A machine with one node has nothing to choose. */
#ifndef WEFT_BASE_NUMA_H
#define WEFT_BASE_NUMA_H

#include <stddef.h>
#include <stdint.h>

enum { WEFT_NODES_MAX = 64 };

/* The numbers of the nodes that have memory, at most WEFT_NODES_MAX, rising; node 0 alone where
 * the kernel does not tell. Returns how many, at least 1. */
uint32_t weft_numa_nodes(uint32_t *nodes);

/* Have pages that lie in this memory as a whole, and were never touched, come from a node as long
 * as it has some. 0, or a negated errno: then they come from where the kernel likes. */
int weft_numa_prefer(void *memory, size_t size, uint32_t node);

/* The node that this page is to come from; or -1: none in particular. */
int weft_numa_preferred(const void *page);

/* For tests: where the kernel tells of nodes; NULL: /sys/devices/system/node. */
void weft_numa_set_folder(const char *folder);

#endif
