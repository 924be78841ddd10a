/* SPDX-License-Identifier: MIT */
/* The replay loop of one shape. Included twice by replay_main.h: with REPLAY_SHAPE u64 and bytes.
 * No include guard, therefore. The peer's operations are inlined here; nothing is called through a
 * pointer once per operation. */

#define REPLAY_OF(name) REPLAY_JOIN(replay_, REPLAY_SHAPE, name)
#define PEER_OF(name) REPLAY_JOIN(peer_, REPLAY_SHAPE, name)
#define PEER_MAP PEER_OF(map)

typedef struct REPLAY_OF(operation) {
    REPLAY_KEY key;
    uint64_t number;
    unsigned code;
} REPLAY_OF(operation);

static inline __attribute__((always_inline)) REPLAY_OF(operation)
    REPLAY_OF(read)(const replay_chunk *chunk, uint32_t i) {
    REPLAY_OF(operation) operation = {REPLAY_OF(key)(chunk, i), chunk->first + i, chunk->codes[i]};
    return operation;
}

/* One operation; the answer is what the page calls r. */
static inline __attribute__((always_inline)) uint64_t
REPLAY_OF(step)(PEER_MAP *map, REPLAY_OF(operation) operation, const replay_worker *worker,
                replay_counts *counts) {
    REPLAY_KEY key = operation.key;
    uint64_t read = 0;
    bool done = false;
    switch (operation.code) {
    case REPLAY_GET:
    case REPLAY_RMW:
        done = PEER_OF(get)(map, key, &read);
        counts->reads++;
        counts->hits += done;
        counts->sum += read;
        if (operation.code == REPLAY_RMW)
            PEER_OF(put)(map, key, REPLAY_OF(value)(worker, operation.number));
        return read;
    case REPLAY_PUT:
        PEER_OF(put)(map, key, REPLAY_OF(value)(worker, operation.number));
        return 1;
    case REPLAY_INSERT:
        done = PEER_OF(insert)(map, key, REPLAY_OF(value)(worker, operation.number));
        counts->inserted += done;
        return done;
    case REPLAY_REMOVE:
        done = PEER_OF(remove)(map, key);
        counts->removed += done;
        return done;
    default:
        return REPLAY_OF(add)(map, key);
    }
}

/* Operations of a range. The counts are a copy, so that they can stay in registers. */
static void REPLAY_OF(stretch)(PEER_MAP *map, const replay_chunk *chunk, replay_range range,
                               replay_worker *worker) {
    replay_counts counts = worker->counts;
    for (uint32_t i = range.from; i < range.to; i++)
        REPLAY_OF(step)(map, REPLAY_OF(read)(chunk, i), worker, &counts);
    worker->counts = counts;
}

/* The same, with one of 32 operations timed alone. */
static void REPLAY_OF(timed_stretch)(PEER_MAP *map, const replay_chunk *chunk, replay_range range,
                                     replay_worker *worker) {
    replay_counts counts = worker->counts;
    for (uint32_t i = range.from; i < range.to; i++) {
        uint64_t begin = i % 32 == 31 ? replay_now() : 0;
        REPLAY_OF(step)(map, REPLAY_OF(read)(chunk, i), worker, &counts);
        if (begin != 0)
            replay_record(worker->histogram, replay_now() - begin);
    }
    worker->counts = counts;
}

/* One chunk, until its end or the stop flag. */
static void REPLAY_OF(chunk)(void *map, const replay_chunk *chunk, replay_worker *worker) {
    replay_range range = {0, 0};
    while (range.from < chunk->operations && !replay_stopped(worker->job)) {
        uint32_t left = chunk->operations - range.from;
        range.to = left < REPLAY_STRETCH ? chunk->operations : range.from + REPLAY_STRETCH;
        if (worker->histogram != NULL)
            REPLAY_OF(timed_stretch)((PEER_MAP *)map, chunk, range, worker);
        else
            REPLAY_OF(stretch)((PEER_MAP *)map, chunk, range, worker);
        worker->counts.operations += range.to - range.from;
        range.from = range.to;
        peer_pause();
    }
}

/* One chunk of the deterministic pass; h as the page defines it. */
static uint64_t REPLAY_OF(verify)(void *map, const replay_chunk *chunk, replay_worker *worker,
                                  uint64_t h) {
    for (uint32_t i = 0; i < chunk->operations; i++) {
        uint64_t r =
            REPLAY_OF(step)((PEER_MAP *)map, REPLAY_OF(read)(chunk, i), worker, &worker->counts);
        h = ((h << 5 | h >> 59) ^ r) * UINT64_C(0x9e3779b97f4a7c15);
    }
    peer_pause();
    return h;
}

static void *REPLAY_OF(open)(unsigned which) {
    return PEER_OF(open)(which);
}

static void REPLAY_OF(close)(void *map) {
    PEER_OF(close)((PEER_MAP *)map);
}

static uint64_t REPLAY_OF(count)(void *map) {
    PEER_OF(settle)((PEER_MAP *)map);
    return PEER_OF(count)((PEER_MAP *)map);
}

static void REPLAY_OF(walk)(void *map, replay_content *content) {
    PEER_OF(walk)((PEER_MAP *)map, content);
}

static const replay_shape REPLAY_OF(shape) = {
    REPLAY_OF(open), REPLAY_OF(close), REPLAY_OF(count),
    REPLAY_OF(walk), REPLAY_OF(chunk), REPLAY_OF(verify),
};

#undef REPLAY_OF
#undef PEER_OF
#undef PEER_MAP
#undef REPLAY_SHAPE
#undef REPLAY_KEY
