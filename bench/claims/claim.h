/* SPDX-License-Identifier: MIT */
/* What an experiment of `weft bench claims` says: figures, and a verdict that follows from them.
 *
 * An experiment is one function, named in claims.def; those of a topic share a file. It measures
 * its contenders interleaved (tools.h), adds figures, has Go's own types measured where the claim
 * is about them, and ends with a verdict and one sentence. It takes 5 seconds at most, 0.3 with
 * --quick. */
#ifndef WEFT_BENCH_CLAIMS_CLAIM_H
#define WEFT_BENCH_CLAIMS_CLAIM_H

#include <stdbool.h>

typedef enum weft_claim_verdict {
    WEFT_CLAIM_HOLDS,
    WEFT_CLAIM_IN_PART,
    WEFT_CLAIM_NOT,
    WEFT_CLAIM_NOT_RUN,
} weft_claim_verdict;

/* One experiment under way. */
typedef struct weft_claim weft_claim;

/* --quick: a fraction of the work, for tests. */
bool weft_claim_quick(const weft_claim *claim);

/* A measured figure, with what was claimed of it (NAN: the claim has no such figure). The name,
 * such as "lockfree, 16 threads", is unique in the claim. */
typedef struct weft_claim_row {
    const char *name;
    const char *unit;
    double claimed;
    double measured;
} weft_claim_row;

void weft_claim_add(weft_claim *claim, const weft_claim_row *row);

/* weft_claim_figure(claim, name, unit, claimed, measured) adds one. */
#define weft_claim_figure(claim, ...) weft_claim_add(claim, &(weft_claim_row){__VA_ARGS__})

/* What was claimed of a figure that is there already, as Go's are. */
void weft_claim_claimed(weft_claim *claim, const char *name, double claimed);

/* Runs the same experiment with Go's own types (`go-claims ID`, which `make peers` builds): its
 * figures are added, named "Go: …". False: Go is not there or failed, and the report says so. */
bool weft_claim_go(weft_claim *claim);

/* NAN: not measured. */
double weft_claim_value(const weft_claim *claim, const char *name);

/* Ends it: the verdict, computed from the figures by thresholds that the function's comment states,
 * and one sentence that names the figures that decided. */
void weft_claim_say(weft_claim *claim, weft_claim_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The rule for ratios above 1, unless an experiment states another one. NOT: no difference (a ratio
 * below 1.1, or less than a twentieth of the claimed difference), or the opposite. HOLDS: within a
 * factor of 2 of the claimed ratio. IN_PART: what is left. NOT_RUN: NAN. */
weft_claim_verdict weft_claim_of_ratio(double claimed, double measured);

/* Of two verdicts on one claim, such as weft's and Go's: what both say; else in part, unless one of
 * them was not run: then the other. */
weft_claim_verdict weft_claim_both(weft_claim_verdict one, weft_claim_verdict other);

/* For a ratio that Go measured, if it did: says what was claimed of it, and judges it. The last one
 * is told behind the sentence. */
weft_claim_verdict weft_claim_go_ratio(weft_claim *claim, const char *name, double claimed);

/* The experiments. */
#define WEFT_CLAIM(id, function, text) void function(weft_claim *claim);
#include "bench/claims/claims.def"
#undef WEFT_CLAIM

#endif
