/* SPDX-License-Identifier: MIT */
#define WEFT_OWNER_CHECK 0
#define weft_engine_owner weft_engine_owner_unchecked
#include "engine/owner.c"

#include "owner_unchecked.h"
#include "map/core.h"

void weft_owner_uncheck(weft_u64map *map) {
    weft_map_core(map->impl)->engine = &weft_engine_owner_unchecked;
}
