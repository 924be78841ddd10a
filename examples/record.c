/* SPDX-License-Identifier: MIT */
/* Two threads use a map while their operations are recorded. Afterwards
 * `weft bench trace show FILE` tells what is in the file, and other maps can replay it. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/record.h>
#include <weft/u64map.h>

enum { THREADS = 2, KEYS = 1000 };

static weft_u64map map = WEFT_U64MAP_INIT;

static void *work(void *unused) {
    uint64_t value;
    for (uint64_t key = 0; key < KEYS; key++) {
        weft_u64map_insert(&map, key, key * key);
        weft_u64map_get(&map, key, &value);
        weft_u64map_remove(&map, key / 2);
    }
    return unused;
}

static void work_in_threads(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, work, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static int record(const char *file, uint64_t sample) {
    weft_recording *recording;
    weft_recording_stats stats;
    weft_recording_options options = {
        .size = sizeof options, .file = file, .sample = sample, .prefill = true};
    int status = weft_recording_start_u64(&map, &recording, &options);
    if (status != WEFT_OK) {
        fprintf(stderr, "cannot record: %s\n", options.error_text);
        return status;
    }
    work_in_threads();
    status = weft_recording_stop(recording, &stats);
    if (status != WEFT_OK) {
        fprintf(stderr, "the recording failed: %s\n", stats.error_text);
    } else if (sample <= 1) {
        printf("all: %" PRIu64 " operations\n", stats.recorded);
    } else {
        printf("a sample: %s operations, all on 1 key in %" PRIu64 "\n",
               stats.recorded > 0 ? "some" : "no", sample);
    }
    unlink(file);
    return status;
}

int main(void) {
    char file[64];
    snprintf(file, sizeof file, "/tmp/weft-record-%ld.trace", (long)getpid());
    int status = record(file, 1);
    if (status == WEFT_OK) {
        status = record(file, 16);
    }
    return status != WEFT_OK ? 1 : weft_u64map_close(&map);
}
