/* SPDX-License-Identifier: MIT */
#include "generate.h"
#include "base/exit.h"
#include "bench.h"
#include "draw.h"
#include "keys.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A trace in the making. */
typedef struct making {
    weft_workload workload;
    weft_draw draw;
    weft_keys *keys;
    weft_trace_writer *writer;
    uint64_t *seen; /* a bit for each rank */
    uint64_t distinct;
} making;

static void note(making *m, uint64_t rank) {
    uint64_t bit = UINT64_C(1) << (rank & 63);
    m->distinct += (m->seen[rank >> 6] & bit) == 0;
    m->seen[rank >> 6] |= bit;
}

/* The ranks of the prefill are spread evenly over all, so that popular keys are there and missing
 * in the same proportion as others. "latest" and "sequential" fill from the first on: what comes
 * next is new. */
static uint64_t prefill_rank(const weft_workload *workload, uint64_t i) {
    if (workload->distribution == WEFT_LATEST || workload->distribution == WEFT_SEQUENTIAL) {
        return i;
    }
    return (uint64_t)((unsigned __int128)i * workload->keys / workload->prefill);
}

static void tell(const making *m, uint64_t done) {
    if ((done & 0xfffff) == 0xfffff) {
        weft_bench_progress(
            "%s: trace, %llu %%", m->workload.name,
            (unsigned long long)(100 * done / (m->workload.prefill + m->workload.ops)));
    }
}

static int write_ops(making *m) {
    int error = 0;
    for (uint64_t i = 0; i < m->workload.prefill && error == 0; i++) {
        uint64_t rank = prefill_rank(&m->workload, i);
        weft_key key = weft_keys_at(m->keys, rank);
        note(m, rank);
        error = weft_trace_prefill(m->writer, key.data, key.size);
        tell(m, i);
    }
    for (uint64_t i = 0; i < m->workload.ops && error == 0; i++) {
        weft_trace_op op = weft_draw_op(&m->draw);
        uint64_t rank = weft_draw_rank(&m->draw, op);
        weft_key key = weft_keys_at(m->keys, rank);
        note(m, rank);
        error = weft_trace_append(m->writer, op, key.data, key.size);
        tell(m, m->workload.prefill + i);
    }
    weft_trace_set_distinct(m->writer, m->distinct);
    int finished = weft_trace_finish(m->writer);
    return error != 0 ? error : finished;
}

static int write_trace(making *m, const char *path) {
    weft_trace_header header = {.shape = m->workload.shape,
                                .value_bytes = m->workload.value_bytes,
                                .seed = m->workload.seed};
    memcpy(header.name, m->workload.name, sizeof m->workload.name);
    int error = weft_trace_create(&m->writer, path, &header);
    if (error == 0) {
        error = write_ops(m);
    }
    if (error != 0) {
        fprintf(stderr, "weft bench: %s: %s\n", path, strerror(-error));
        unlink(path);
        return WEFT_EXIT_ENVIRONMENT;
    }
    return 0;
}

int weft_generate(const weft_workload *workload, const char *path, const char *text) {
    making m = {.workload = *workload};
    m.keys = weft_keys_open(&m.workload, text);
    if (m.keys == NULL) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    int code = WEFT_EXIT_ENVIRONMENT;
    m.seen = calloc(m.workload.keys / 64 + 1, sizeof *m.seen);
    if (m.seen == NULL) {
        fprintf(stderr, "weft bench: out of memory\n");
    } else {
        weft_draw_init(&m.draw, &m.workload);
        code = write_trace(&m, path);
    }
    weft_keys_close(m.keys);
    free(m.seen);
    return code;
}
