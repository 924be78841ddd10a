/* SPDX-License-Identifier: MIT */
#include "base/cpu.h"

#include <sched.h>

uint32_t weft_cpu_count(void) {
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&mask);
    return count > 0 ? (uint32_t)count : 1;
}
