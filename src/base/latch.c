/* SPDX-License-Identifier: MIT */
#include "base/latch.h"

#include "base/assert.h"
#include "base/lock.h"

#if defined(__linux__) && !(defined(WEFT_SCHED) && WEFT_SCHED)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPINS = 100, BLIND_NS = 1000000 };

/* Until it is not held any more, a wake comes, or for no reason. `blind`: no fence could be made,
 * so a wake may get lost; not for long. */
static void sleep_while_held(weft_latch *latch, bool blind) {
    struct timespec moment = {.tv_nsec = BLIND_NS};
    (void)syscall(SYS_futex, &latch->held, FUTEX_WAIT_PRIVATE, 1, blind ? &moment : NULL, NULL, 0);
}

static void wake_one(weft_latch *latch) {
    (void)syscall(SYS_futex, &latch->held, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#else

enum { SPINS = 1 };

static void sleep_while_held(weft_latch *latch, bool blind) {
    (void)latch;
    (void)blind;
    weft_yield();
}

static void wake_one(weft_latch *latch) {
    (void)latch;
}

#endif

/* The first thread that ever sleeps here makes all others fence; from then on each unlock sees that
 * there is something to look at, and fences by itself. */
static bool announce(weft_latch *latch) {
    uint32_t before = weft_fetch_add_seq_cst(&latch->sleepers, 1);
    if ((before & WEFT_LATCH_SLEPT) != 0) {
        return true;
    }
    if (!weft_barrier_heavy()) {
        return false;
    }
    (void)weft_fetch_or_acq_rel(&latch->sleepers, WEFT_LATCH_SLEPT); /* pairs with itself */
    return true;
}

WEFT_COLD void weft_latch_wait(weft_latch *latch) {
    for (int i = 0; i < SPINS; i++) {
        weft_pause();
        if (weft_load_relaxed(&latch->held) == 0 && weft_latch_try(latch)) {
            return;
        }
    }
    bool blind = !announce(latch);
    while (!weft_latch_try(latch)) {
        sleep_while_held(latch, blind);
    }
    uint32_t before = weft_fetch_add_seq_cst(&latch->sleepers, (uint32_t)-1);
    WEFT_ASSERT((before & ~WEFT_LATCH_SLEPT) != 0);
    (void)before;
}

/* A sequentially consistent read-modify-write that changes nothing: the fence between the store
 * that let go and the look for sleepers. */
WEFT_COLD void weft_latch_wake(weft_latch *latch) {
    if ((weft_fetch_add_seq_cst(&latch->sleepers, 0) & ~WEFT_LATCH_SLEPT) != 0) {
        wake_one(latch);
    }
}
