/* SPDX-License-Identifier: MIT */
/* The other threads: two, which do every kind of operation on every key while one thread stands
 * still. Each writes keys of its own, half of them all, so it knows what it has to find; both write
 * the key of the stopped operation, and the history says whether what they found fits. They work
 * one after the other, so that one cannot do for the other what the stopped thread left undone, or
 * both at once. */
#ifndef WEFT_TESTS_PROGRESS_OBSERVERS_H
#define WEFT_TESTS_PROGRESS_OBSERVERS_H

#include "progress/operations.h"

enum { PROGRESS_OBSERVERS = 2 };

bool progress_observers_start(void);

/* Let them begin on this map. */
void progress_observers_go(progress_fixture *fixture);
/* False: not all are through after so long. May be asked again. */
bool progress_observers_await(uint64_t timeout_ns);

/* Operations that they have finished. */
uint64_t progress_observers_done(void);

/* What those that are not through are at. */
void progress_observers_where(char *text, size_t capacity);
/* After they are through: NULL, or what one of them found wrong. */
const char *progress_observers_fault(void);

#endif
