/* SPDX-License-Identifier: MIT */
/* Read, decide and write one key as one step: an account that is never overdrawn. */
#include <inttypes.h>
#include <stdio.h>
#include <weft/map.h>

typedef struct withdrawal {
    int64_t amount;
    int64_t left;
} withdrawal;

static weft_verdict withdraw(void *ctx, const weft_view *old, weft_fresh *fresh) {
    withdrawal *w = ctx;
    int64_t balance;
    if (old == NULL) {
        return WEFT_ABORT;
    }
    memcpy(&balance, old->value.data, sizeof balance);
    if (balance < w->amount) {
        return WEFT_KEEP;
    }
    w->left = balance - w->amount;
    if (w->left == 0) {
        return WEFT_DEL; /* the account is closed */
    }
    fresh->body = weft_bytes_of(&w->left, sizeof w->left);
    return WEFT_SET;
}

static void try_to(weft_map *map, const char *who, int64_t amount) {
    withdrawal w = {.amount = amount};
    weft_compute compute = {.fn = withdraw, .ctx = &w};
    weft_outcome outcome;
    int status = weft_map_compute(map, weft_str(who), &compute, &outcome);
    printf("%s takes %" PRId64 ": ", who, amount);
    if (status == WEFT_OK) {
        printf("%" PRId64 " left%s\n", w.left, outcome.verdict == WEFT_DEL ? ", closed" : "");
    } else {
        printf("%s\n", status == WEFT_UNCHANGED ? "not enough" : "no such account");
    }
}

int main(void) {
    weft_map accounts = WEFT_MAP_INIT;
    weft_map_fetch_add(&accounts, weft_str("anna"), 100, NULL);
    try_to(&accounts, "anna", 30);
    try_to(&accounts, "anna", 80);
    try_to(&accounts, "anna", 70);
    try_to(&accounts, "anna", 1);
    return weft_map_close(&accounts);
}
