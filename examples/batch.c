/* SPDX-License-Identifier: MIT */
/* Several keys at once, where their misses overlap: with get_many if they are at hand, and with
 * lookups in flight if they come one at a time. */
#include <stdio.h>
#include <weft/batch.h>

/* What a program works on: it is submitted with its lookup, and comes back with the answer. */
typedef struct request {
    uint64_t article;
    unsigned pieces;
} request;

static void print_answer(const weft_u64answer *answer) {
    const request *asked = answer->ctx;
    if (answer->status == WEFT_OK) {
        printf("%u pieces of %llu cost %llu\n", asked->pieces, (unsigned long long)answer->key,
               (unsigned long long)answer->value * asked->pieces);
    } else {
        printf("there is no article %llu\n", (unsigned long long)answer->key);
    }
}

int main(void) {
    static const request requests[] = {{3, 2}, {99, 1}, {7, 5}, {1, 1}, {5, 10}, {3, 4}};
    static const uint64_t keys[] = {1, 3, 5, 7, 9, 11};
    static const uint64_t prices[] = {10, 30, 50, 70, 90, 110};
    weft_u64map map = WEFT_U64MAP_INIT;
    weft_u64found found[6];
    weft_u64answer answer;
    weft_u64batch batch;
    weft_u64map_put_many(&map, keys, prices, 6);

    uint64_t sum = 0;
    weft_u64map_get_many(&map, keys, 6, found);
    for (int i = 0; i < 6; i++) {
        sum += found[i].value;
    }
    printf("one of each costs %llu\n", (unsigned long long)sum);

    weft_u64batch_init(&batch, &map, 4); /* so few only to show what happens then */
    for (int i = 0; i < 6; i++) {
        while (weft_u64batch_submit(&batch, requests[i].article, (void *)&requests[i]) ==
               WEFT_E_FULL) {
            weft_u64batch_poll(&batch, &answer);
            print_answer(&answer);
        }
    }
    while (weft_u64batch_poll(&batch, &answer) == WEFT_OK) {
        print_answer(&answer);
    }
    return weft_u64map_close(&map);
}
