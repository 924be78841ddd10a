/* SPDX-License-Identifier: MIT */
/* A claim as the command keeps it; experiments see claim.h. */
#ifndef WEFT_BENCH_CLAIMS_RECORD_H
#define WEFT_BENCH_CLAIMS_RECORD_H

#include "bench/claims/claim.h"
#include <jansson.h>

struct weft_claim {
    const char *id;
    const char *text; /* the claim */
    bool quick;
    bool said;
    weft_claim_verdict verdict;
    char why[1000];
    char go_says[200]; /* a ratio that Go measured, for the sentence; "": none */
    char go[400];      /* which Go measured, or why none did; "": nobody asked */
    json_t *figures;   /* owned: {"name", "unit", "claimed", "measured"} each, in order */
};

const char *weft_claim_verdict_name(weft_claim_verdict verdict);

#endif
