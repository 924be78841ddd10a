/* SPDX-License-Identifier: MIT */
/* Claims: one thread at a time makes the value of a key (get_or_build, EXCLUSIVE compute). A claim
 * is a link on the claimer's stack; the lock protects the list only, never a callback. [H] */
#include "map/core.h"

#include "base/thread.h"

static bool same_key(const weft_map_impl *map, const weft_key *a, const weft_key *b) {
    if (map->shape == WEFT_SHAPE_U64) {
        return a->number == b->number;
    }
    return a->bytes.size == b->bytes.size &&
           (a->bytes.size == 0 || memcmp(a->bytes.data, b->bytes.data, a->bytes.size) == 0);
}

static weft_claim *holder_of(const weft_map_impl *map, const weft_key *key) {
    weft_claim *claim = map->claims;
    while (claim != NULL && !same_key(map, claim->key, key)) {
        claim = claim->next;
    }
    return claim;
}

int weft_claim_take(weft_map_impl *map, weft_claim *claim, const weft_key *key) {
    int status = WEFT_OK;
    *claim = (weft_claim){.key = key, .thread = weft_thread_slot()};
    weft_mutex_lock(&map->claims_lock);
    for (weft_claim *holder; (holder = holder_of(map, key)) != NULL;) {
        if (holder->thread == claim->thread) {
            status = WEFT_E_REENTRANT;
            break;
        }
        weft_cond_wait(&map->claims_changed, &map->claims_lock, WEFT_WAIT_FOREVER);
    }
    if (status == WEFT_OK) {
        claim->next = map->claims;
        map->claims = claim;
    }
    weft_mutex_unlock(&map->claims_lock);
    return status;
}

void weft_claim_give_back(weft_map_impl *map, weft_claim *claim) {
    weft_mutex_lock(&map->claims_lock);
    weft_claim **at = &map->claims;
    while (*at != claim) {
        at = &(*at)->next;
    }
    *at = claim->next;
    weft_cond_broadcast(&map->claims_changed);
    weft_mutex_unlock(&map->claims_lock);
}
