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

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the kernel compares the lower half");

/* Until it is another's, or nobody's, a wake comes, or for no reason. `blind`: no fence could be
 * made, so a wake may get lost; not for long. */
static void sleep_while_held(weft_latch *latch, bool blind) {
    struct timespec moment = {.tv_nsec = BLIND_NS};
    uint64_t turns = weft_load_relaxed(&latch->turns);
    if ((turns & WEFT_LATCH_HELD) != 0) {
        (void)syscall(SYS_futex, &latch->turns, FUTEX_WAIT_PRIVATE, (uint32_t)turns,
                      blind ? &moment : NULL, NULL, 0);
    }
}

static void wake_one(weft_latch *latch) {
    (void)syscall(SYS_futex, &latch->turns, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
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

WEFT_COLD void weft_latch_wait(weft_latch *latch) {
    for (int i = 0; i < SPINS; i++) {
        weft_pause();
        if (!weft_latch_is_held(latch) && weft_latch_try(latch)) {
            return;
        }
    }
    (void)weft_fetch_add_seq_cst(&latch->sleepers, 1);
    bool blind = !weft_barrier_heavy(); /* pairs with weft_barrier_light in weft_latch_unlock */
    while (!weft_latch_try(latch)) {
        sleep_while_held(latch, blind);
    }
    uint32_t before = weft_fetch_add_seq_cst(&latch->sleepers, (uint32_t)-1);
    WEFT_ASSERT(before != 0);
    (void)before;
}

WEFT_COLD void weft_latch_wake(weft_latch *latch) {
    wake_one(latch);
}
