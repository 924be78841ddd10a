/* SPDX-License-Identifier: MIT */
#ifndef WEFT_BASE_CPU_H
#define WEFT_BASE_CPU_H

#include <stdint.h>

/* Processors that this process may run on (its affinity mask); at least 1. */
uint32_t weft_cpu_count(void);

#endif
