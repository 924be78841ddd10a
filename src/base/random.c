/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/thread.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static uint64_t (*hook_now)(void);

void weft_random_set_hook(uint64_t (*next)(void)) {
    __atomic_store_n(&hook_now, next, __ATOMIC_SEQ_CST);
}

static uint64_t next_from_clock(void) {
    static uint64_t calls;
    uint64_t call = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    return weft_mix_u64(weft_clock_monotonic_ns() ^ call << 48, (uint64_t)(uintptr_t)&call);
}

static void fill(unsigned char *at, size_t size, uint64_t (*next)(void)) {
    while (size != 0) {
        uint64_t word = next();
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(at, &word, part);
        at += part;
        size -= part;
    }
}

bool weft_random_bytes(void *memory, size_t size) {
    unsigned char *at = memory;
    uint64_t (*hook)(void) = __atomic_load_n(&hook_now, __ATOMIC_SEQ_CST);
    if (WEFT_UNLIKELY(hook != NULL)) {
        fill(at, size, hook);
        return true;
    }
    while (size != 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            fill(at, size, next_from_clock);
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* Numbers that this thread has fetched ahead: a map takes one, and a system call costs as much as
 * the rest of opening it. One that was given out is wiped. */
enum { AHEAD = 32 };

static __thread struct {
    uint64_t numbers[AHEAD];
    uint32_t left;
} ahead;

/* The child would give out the same numbers as its parent. */
static void forget_in_child(void) {
    memset(&ahead, 0, sizeof ahead);
}

/* When the library is loaded, so that no fork can be too early. */
__attribute__((constructor)) static void install_forgetting(void) {
    (void)weft_thread_at_fork_child(forget_in_child);
}

uint64_t weft_random_u64(void) {
    uint64_t word;
    if (WEFT_UNLIKELY(__atomic_load_n(&hook_now, __ATOMIC_SEQ_CST) != NULL)) {
        (void)weft_random_bytes(&word, sizeof word);
        return word;
    }
    if (ahead.left == 0) {
        (void)weft_random_bytes(ahead.numbers, sizeof ahead.numbers);
        ahead.left = AHEAD;
    }
    word = ahead.numbers[--ahead.left];
    ahead.numbers[ahead.left] = 0;
    return word;
}
