/* SPDX-License-Identifier: MIT */
/* Three ways to go through a map. All of them let others write meanwhile, and callbacks may write
 * too. */
#include <inttypes.h>
#include <stdio.h>
#include <weft/u64map.h>

static bool add(void *ctx, weft_u64pair entry) {
    *(uint64_t *)ctx += entry.value;
    return true;
}

static bool is_even(void *ctx, weft_u64pair entry) {
    (void)ctx;
    return entry.key % 2 == 0;
}

static bool square(void *ctx, weft_u64pair entry) {
    weft_u64map *map = ctx;
    return weft_u64map_put(map, entry.key, entry.key * entry.key) == WEFT_OK;
}

int main(void) {
    weft_u64map map = WEFT_U64MAP_INIT;
    uint64_t sum = 0;
    size_t removed = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        weft_u64map_put(&map, i, i);
    }
    weft_u64map_foreach(&map, add, &sum);
    printf("sum of 1 to 1000: %" PRIu64 "\n", sum);

    weft_u64map_retain(&map, is_even, NULL, &removed);
    printf("%zu odd ones removed, %zu left\n", removed, weft_u64map_len(&map));

    weft_u64map_foreach(&map, square, &map);

    /* A cursor is a number: it can be sent to a client and come back later. */
    uint64_t cursor = 0;
    sum = 0;
    do {
        weft_u64map_scan(&map, &cursor, add, &sum);
    } while (cursor != 0);
    printf("sum of the even squares: %" PRIu64 "\n", sum);
    return weft_u64map_close(&map);
}
