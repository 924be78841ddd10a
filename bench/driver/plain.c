/* SPDX-License-Identifier: MIT */
/* The plain table behind a call, as the function of any library is. */
#include "plain.h"

bool weft_plain_look(const weft_plain *plain, uint64_t key, uint64_t *value) {
    const weft_plain_place *place = weft_plain_find(plain, &weft_plain_numbers, key);
    *value = place->value;
    return place->key != 0;
}
