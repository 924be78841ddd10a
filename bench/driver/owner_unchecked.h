/* SPDX-License-Identifier: MIT */
/* Engine owner compiled a second time, without its check for misuse, to measure what that costs. */
#ifndef WEFT_BENCH_DRIVER_OWNER_UNCHECKED_H
#define WEFT_BENCH_DRIVER_OWNER_UNCHECKED_H

#include <weft/u64map.h>

/* From here on an open map of engine owner does not look for a second writer. */
void weft_owner_uncheck(weft_u64map *map);

#endif
