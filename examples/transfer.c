/* SPDX-License-Identifier: MIT */
/* Several writes as one: money goes from account to account, and nobody ever sees it in both or in
 * neither; then a price list is replaced as a whole. */
#include <stdio.h>
#include <weft/weft.h>

static void show(const char *what, weft_u64map *map) {
    /* A snapshot is one moment; two gets would be two. */
    weft_u64snapshot snapshot;
    uint64_t left = 0;
    uint64_t right = 0;
    while (weft_u64map_snapshot(map, &snapshot) == WEFT_E_BUSY) {
    }
    weft_u64snapshot_get(&snapshot, 1, &left);
    weft_u64snapshot_get(&snapshot, 2, &right);
    weft_u64snapshot_release(&snapshot);
    printf("%s: %llu and %llu\n", what, (unsigned long long)left, (unsigned long long)right);
}

int main(void) {
    weft_map_options options = {.size = sizeof options, .engine = WEFT_ENGINE_COW};
    weft_u64map map;
    if (weft_u64map_open(&map, &options) != WEFT_OK) {
        return 1;
    }
    weft_u64write opening[] = {{WEFT_WRITE_PUT, 1, 100}, {WEFT_WRITE_PUT, 2, 0}};
    weft_u64map_write_batch(&map, opening, 2);
    show("before", &map);

    weft_u64write transfer[] = {{WEFT_WRITE_PUT, 1, 70}, {WEFT_WRITE_PUT, 2, 30}};
    printf("transfer: %s\n", weft_status_name(weft_u64map_write_batch(&map, transfer, 2)));
    show("after", &map);

    const weft_u64pair list[] = {{1, 7}, {2, 8}, {3, 9}};
    printf("assign: %s\n", weft_status_name(weft_u64map_assign(&map, list, 3)));
    show("replaced", &map);
    printf("entries: %zu\n", weft_u64map_len(&map));
    return weft_u64map_close(&map) == WEFT_OK ? 0 : 1;
}
