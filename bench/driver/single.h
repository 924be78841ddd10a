/* SPDX-License-Identifier: MIT */
/* Figures of single calls, which no stream of operations shows: the driver takes them itself,
 * through the public headers. Each function appends one cell to an array of the result. */
#ifndef WEFT_BENCH_DRIVER_SINGLE_H
#define WEFT_BENCH_DRIVER_SINGLE_H

#include <jansson.h>
#include <stdbool.h>

/* How much is done; and where the cells go. */
typedef struct weft_single {
    json_t *cells;
    json_t *peers; /* gets what a cell compares with, if it is no peer */
    bool quick;
} weft_single;

void weft_single_open(const weft_single *how);               /* open-empty/1 */
void weft_single_cold(const weft_single *how);               /* cold-start/1 */
void weft_single_worst(const weft_single *how);              /* growth-worst/1 */
void weft_single_bytes_of_u64(const weft_single *how);       /* bytes-per-entry-u64/1 */
void weft_single_bytes_of_bytes(const weft_single *how);     /* bytes-per-entry-bytes/1 */
void weft_single_batch(const weft_single *how);              /* batch-get/1 */
void weft_single_batch_cached(const weft_single *how);       /* batch-get-10k/1 */
void weft_single_batch_bytes(const weft_single *how);        /* batch-bytes/1 */
void weft_single_flight(const weft_single *how);             /* batch-flight/1 */
void weft_single_recording(const weft_single *how);          /* recording/2 */
void weft_single_recording_of_bytes(const weft_single *how); /* recording-bytes/2 */

/* steady.c; each appends several cells: NAME-SHAPE, NAME-resident-SHAPE, NAME-table-SHAPE */
void weft_single_churn_of_u64(const weft_single *how);
void weft_single_churn_of_bytes(const weft_single *how);
void weft_single_leave_of_u64(const weft_single *how);
void weft_single_leave_of_bytes(const weft_single *how);

/* hostile.c; the first appends bad-hash-{one,256}-{u64,bytes}/1, the last hot-key-{u64,bytes}/64 */
void weft_single_bad_hash(const weft_single *how);
void weft_single_adversarial(const weft_single *how); /* adversarial-u64/1 */
void weft_single_hot_key(const weft_single *how);

/* family.c: what engines cost on one thread. The first measures, before the process makes threads.
 * The others append cells: cow-, rwlock-, owner-, tiny-, fixed-hot/1; owner-check- */
bool weft_single_alone_measure(bool quick);
void weft_single_alone(const weft_single *how);
void weft_single_owner_check(const weft_single *how);

void weft_single_threshold(const weft_single *how); /* threshold.c: threshold-NAME/1, seven cells */

#endif
