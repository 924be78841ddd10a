/* SPDX-License-Identifier: MIT */
/* One case: a fresh map, an operation that is stopped after so many instructions, two threads that
 * must finish their work meanwhile, and then the judgement of the map. */
#ifndef WEFT_TESTS_PROGRESS_CASE_H
#define WEFT_TESTS_PROGRESS_CASE_H

#include "progress/operations.h"
#include "progress/stepper.h"

/* What is stopped. */
typedef struct progress_case {
    const progress_operation *operation;
    weft_engine_id engine;
    weft_subject_shape shape;
    progress_trace *trace;
    size_t step;          /* 0: nowhere; the trace is made */
    bool by_steps;        /* count all steps, whatever the trace says */
    bool together;        /* the others work at once, not one after the other */
    bool others_clear;    /* one of the others clears the map in the end */
    uint64_t deadline_ns; /* for the others */
    uint64_t patience_ns; /* they are blocked when no operation was finished for so long, too */
} progress_case;

typedef struct progress_result {
    bool stopped; /* false: the operation was over before */
    bool blocked;
    uintptr_t pc;       /* where it stood */
    uint64_t others_ns; /* what the others took, if they were not blocked */
    char where[160];    /* blocked: what they were at */
    char fault[256];    /* empty, or what was wrong with an answer or the map */
} progress_result;

/* Once. False: threads or memory are missing. */
bool progress_case_start(void);

void progress_case_run(const progress_case *wanted, progress_result *result);

#endif
