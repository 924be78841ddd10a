/* SPDX-License-Identifier: MIT */
/* A map of two C types. Those of up to 8 bytes lie in the table itself; larger ones work the same
 * way. */
#include <stdio.h>
#include <weft/typed.h>

typedef struct point {
    double x, y, z;
} point;

WEFT_DEFINE_MAP(prices, int32_t, double)
WEFT_DEFINE_MAP(places, int32_t, point)

int main(void) {
    prices map = WEFT_TYPED_MAP_INIT;
    double price = 0;
    prices_put(&map, 42, 9.5);
    prices_put(&map, -7, 0.25);
    if (prices_get(&map, -7, &price) == WEFT_OK) {
        printf("article -7 costs %.2f\n", price);
    }
    if (prices_insert(&map, 42, 1.0) == WEFT_EXISTS) {
        printf("article 42 has a price\n");
    }
    if (prices_cas(&map, 42, 9.5, 8.0) == WEFT_OK) {
        printf("article 42 is cheaper now\n");
    }
    prices_remove(&map, -7);
    printf("%zu left\n", prices_len(&map));

    places shelves = WEFT_TYPED_MAP_INIT;
    point where = {1.0, 2.5, 0.5};
    places_put(&shelves, 42, where);
    if (places_get(&shelves, 42, &where) == WEFT_OK) {
        printf("article 42 lies at %.1f %.1f %.1f\n", where.x, where.y, where.z);
    }
    return prices_close(&map) + places_close(&shelves);
}
