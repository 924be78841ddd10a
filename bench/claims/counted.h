/* SPDX-License-Identifier: MIT */
/* The operations whose instructions claim "instr" counts. */
#ifndef WEFT_BENCH_CLAIMS_COUNTED_H
#define WEFT_BENCH_CLAIMS_COUNTED_H

/* Carry all of them out; the claim starts the binary to do this under callgrind. The exit code. */
int weft_claim_counted(void);

#endif
