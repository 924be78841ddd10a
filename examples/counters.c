/* SPDX-License-Identifier: MIT */
/* Many threads count into one map. No thread registers, and no update is lost. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <weft/map.h>

enum { THREADS = 8, ROUNDS = 10000 };

static weft_map hits = WEFT_MAP_INIT;

static void *count(void *argument) {
    static const char *const pages[] = {"/", "/about", "/search"};
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        weft_map_fetch_add(&hits, weft_str(pages[i % 3]), 1, NULL);
    }
    return NULL;
}

static void show(const char *page) {
    int64_t number = 0;
    weft_map_fetch_add(&hits, weft_str(page), 0, &number);
    printf("%-8s %" PRId64 "\n", page, number);
}

int main(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, count, NULL) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    show("/");
    show("/about");
    show("/search");
    return weft_map_close(&hits);
}
