/* SPDX-License-Identifier: MIT */
/* Gets and writes of a map by a crew: what claims about threads are made of. */
#ifndef WEFT_BENCH_CLAIMS_MIX_H
#define WEFT_BENCH_CLAIMS_MIX_H

#include "bench/claims/claim.h"
#include "bench/claims/tools.h"

typedef struct weft_mix {
    const char *name;         /* what figures call it */
    weft_map_options options; /* without `size`, as for weft_either_open */
    unsigned threads;
    uint32_t value_bytes; /* 0: the u64 shape */
    uint32_t keys;        /* all there from the beginning; a multiple of `maps` */
    double reads;         /* share of gets; the rest writes */
    double zipf;          /* exponent, below 1, of how popular keys are; 0: all the same */
    bool add;             /* a write adds 1, in the u64 shape; else it puts */
    bool latency;         /* time every eighth operation */
    bool blocked;         /* measure for how long threads were blocked */
    unsigned maps;        /* so many maps, a key's by its number; 0: one */
    bool own_map;         /* each thread keeps to the keys of one of them */
    bool pinned;          /* threads keep to processors in turn */
    uint32_t yield_every; /* operations; 0: never */
} weft_mix;

/* A field that was not asked for is NAN. */
typedef struct weft_mix_result {
    double rate;         /* operations a second */
    double ns;           /* processor time of an operation */
    double p50, p99;     /* ns */
    double blocked;      /* share of the threads' time in which they neither ran nor could have */
    double switches;     /* context switches of 1000 operations */
    double mean_latency; /* ns: threads over rate, as each is in one operation at a time */
} weft_mix_result;

typedef struct weft_mix_plan {
    unsigned count; /* of mixes, up to WEFT_CONTEST_MOST */
    unsigned rounds;
    double seconds; /* of a sample; with --quick a fraction, in one round */
} weft_mix_plan;

/* All in turns: the median of each field. False, and the claim says so, if one could not be
 * measured. */
bool weft_mix_contest(weft_claim *claim, const weft_mix *mixes, const weft_mix_plan *plan,
                      weft_mix_result *results);

/* A figure "NAME, WHAT" of a mix, or "NAME" where `what` is NULL. */
typedef struct weft_mix_figure {
    const char *what;
    const char *unit;
    double claimed;
    double measured;
} weft_mix_figure;

void weft_mix_tell(weft_claim *claim, const weft_mix *mix, const weft_mix_figure *figure);

/* A figure "Go: …" over another one. */
typedef struct weft_mix_go {
    const char *name; /* of the ratio; "Go: …" too */
    const char *over;
    const char *under;
    double claimed;
} weft_mix_go;

/* Adds the ratio as a figure, if Go measured both, and judges it by the rule for ratios. */
weft_claim_verdict weft_mix_judge_go(weft_claim *claim, const weft_mix_go *go);

#endif
