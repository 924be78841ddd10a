/* SPDX-License-Identifier: MIT */
/* Engine owner compiled a second time, without its check for misuse, to measure what that costs. */
#ifndef WEFT_BENCH_DRIVER_OWNER_UNCHECKED_H
#define WEFT_BENCH_DRIVER_OWNER_UNCHECKED_H

#include <weft/u64map.h>

/* From here on an open map of engine owner looks for a second writer, or does not. */
void weft_owner_set_check(weft_u64map *map, bool check);

#endif
