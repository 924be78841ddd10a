/* SPDX-License-Identifier: MIT */
#define WEFT_OWNER_CHECK 0
#define weft_engine_owner weft_engine_owner_unchecked
#include "engine/owner.c"

#include "owner_unchecked.h"
#include "map/core.h"

void weft_owner_set_check(weft_u64map *map, bool check) {
    weft_map_core(map->impl)->engine =
        check ? weft_engine_of(WEFT_ENGINE_OWNER) : &weft_engine_owner_unchecked;
}
