/* SPDX-License-Identifier: MIT */
/* A report over a map that goes on changing: all of its lines are of one moment. */
#include <inttypes.h>
#include <stdio.h>
#include <weft/snapshot.h>

enum { ACCOUNTS = 1000, EACH = 100 };

static uint64_t sum_of(const weft_u64snapshot *snapshot) {
    weft_snapshot_cursor cursor = {0};
    weft_u64pair account;
    uint64_t sum = 0;
    while (weft_u64snapshot_next(snapshot, &cursor, &account) == WEFT_OK) {
        sum += account.value;
    }
    return sum;
}

int main(void) {
    weft_u64map accounts = WEFT_U64MAP_INIT;
    weft_u64snapshot snapshot;
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        weft_u64map_put(&accounts, i, EACH);
    }
    /* Busy while the table grows: each call moves some of it. */
    while (weft_u64map_snapshot(&accounts, &snapshot) == WEFT_E_BUSY) {
    }
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        weft_u64map_put(&accounts, i, 0);
    }
    uint64_t value;
    weft_u64map_get(&accounts, 7, &value);
    printf("account 7 now: %" PRIu64 "\n", value);
    weft_u64snapshot_get(&snapshot, 7, &value);
    printf("account 7 then: %" PRIu64 "\n", value);
    printf("all of them then: %" PRIu64 "\n", sum_of(&snapshot));
    weft_u64snapshot_release(&snapshot);
    return weft_u64map_close(&accounts);
}
