/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/sched.h"
#include <errno.h>
#include <sched.h>
#include <time.h>

static struct timespec timespec_of(uint64_t ns) {
    struct timespec time = {.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
                            .tv_nsec = (long)(ns % UINT64_C(1000000000))};
    return time;
}

#if defined(WEFT_SCHED) && WEFT_SCHED

/* The moment `timeout_ns` from now, without overflow. */
static uint64_t deadline_in(uint64_t timeout_ns) {
    uint64_t now = weft_clock_monotonic_ns();
    return timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX;
}

#define WRITER UINT32_C(0x80000000)

bool weft_mutex_init(weft_mutex *mutex) {
    mutex->held = 0;
    return true;
}

void weft_mutex_destroy(weft_mutex *mutex) {
    WEFT_ASSERT(mutex->held == 0);
    (void)mutex;
}

bool weft_mutex_try_lock(weft_mutex *mutex) {
    uint32_t expected = 0;
    /* pairs with the release in weft_mutex_unlock */
    return weft_cas_acq_rel(&mutex->held, &expected, 1);
}

void weft_mutex_lock(weft_mutex *mutex) {
    while (!weft_mutex_try_lock(mutex)) {
        weft_yield();
    }
}

void weft_mutex_unlock(weft_mutex *mutex) {
    WEFT_ASSERT(mutex->held == 1);
    /* pairs with the acquire in weft_mutex_try_lock */
    weft_store_release(&mutex->held, 0);
}

bool weft_rwlock_init(weft_rwlock *lock) {
    lock->state = 0;
    return true;
}

void weft_rwlock_destroy(weft_rwlock *lock) {
    WEFT_ASSERT(lock->state == 0);
    (void)lock;
}

void weft_rwlock_read_lock(weft_rwlock *lock) {
    for (;;) {
        uint32_t state = weft_load_relaxed(&lock->state);
        /* pairs with the release of both unlock functions */
        if (!(state & WRITER) && weft_cas_acq_rel(&lock->state, &state, state + 1)) {
            return;
        }
        weft_yield();
    }
}

void weft_rwlock_read_unlock(weft_rwlock *lock) {
    /* pairs with the acquire in weft_rwlock_write_lock */
    (void)weft_fetch_add_acq_rel(&lock->state, UINT32_MAX);
}

void weft_rwlock_write_lock(weft_rwlock *lock) {
    for (;;) {
        uint32_t expected = 0;
        /* pairs with the release of both unlock functions */
        if (weft_cas_acq_rel(&lock->state, &expected, WRITER)) {
            return;
        }
        weft_yield();
    }
}

void weft_rwlock_write_unlock(weft_rwlock *lock) {
    WEFT_ASSERT(lock->state == WRITER);
    /* pairs with the acquire of both lock functions */
    weft_store_release(&lock->state, 0);
}

bool weft_cond_init(weft_cond *cond) {
    cond->signals = 0;
    return true;
}

void weft_cond_destroy(weft_cond *cond) {
    (void)cond;
}

bool weft_cond_wait(weft_cond *cond, weft_mutex *mutex, uint64_t timeout_ns) {
    uint64_t deadline = deadline_in(timeout_ns);
    /* pairs with the release part in weft_cond_broadcast */
    uint32_t before = weft_load_acquire(&cond->signals);
    weft_mutex_unlock(mutex);
    bool in_time = true;
    /* pairs with the release part in weft_cond_broadcast */
    while (in_time && weft_load_acquire(&cond->signals) == before) {
        weft_yield();
        in_time = weft_clock_monotonic_ns() < deadline;
    }
    weft_mutex_lock(mutex);
    return in_time;
}

/* Waking all is a signal too: waiters may wake up for no reason. */
void weft_cond_signal(weft_cond *cond) {
    weft_cond_broadcast(cond);
}

void weft_cond_broadcast(weft_cond *cond) {
    /* pairs with the acquire loads in weft_cond_wait */
    (void)weft_fetch_add_acq_rel(&cond->signals, 1);
}

#else

bool weft_mutex_init(weft_mutex *mutex) {
    return pthread_mutex_init(&mutex->impl, NULL) == 0;
}

void weft_mutex_destroy(weft_mutex *mutex) {
    int error = pthread_mutex_destroy(&mutex->impl);
    WEFT_ASSERT(error == 0);
    (void)error;
}

void weft_mutex_lock(weft_mutex *mutex) {
    int error = pthread_mutex_lock(&mutex->impl);
    WEFT_ASSERT(error == 0);
    (void)error;
}

bool weft_mutex_try_lock(weft_mutex *mutex) {
    return pthread_mutex_trylock(&mutex->impl) == 0;
}

void weft_mutex_unlock(weft_mutex *mutex) {
    int error = pthread_mutex_unlock(&mutex->impl);
    WEFT_ASSERT(error == 0);
    (void)error;
}

bool weft_rwlock_init(weft_rwlock *lock) {
    pthread_rwlockattr_t attributes;
    if (pthread_rwlockattr_init(&attributes) != 0) {
        return false;
    }
#if defined(__GLIBC__)
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    bool made = pthread_rwlock_init(&lock->impl, &attributes) == 0;
    (void)pthread_rwlockattr_destroy(&attributes);
    return made;
}

void weft_rwlock_destroy(weft_rwlock *lock) {
    int error = pthread_rwlock_destroy(&lock->impl);
    WEFT_ASSERT(error == 0);
    (void)error;
}

void weft_rwlock_read_lock(weft_rwlock *lock) {
    /* EAGAIN: the greatest possible number of readers is inside; one of them will leave. */
    while (pthread_rwlock_rdlock(&lock->impl) == EAGAIN) {
        weft_yield();
    }
}

void weft_rwlock_read_unlock(weft_rwlock *lock) {
    int error = pthread_rwlock_unlock(&lock->impl);
    WEFT_ASSERT(error == 0);
    (void)error;
}

void weft_rwlock_write_lock(weft_rwlock *lock) {
    int error = pthread_rwlock_wrlock(&lock->impl);
    WEFT_ASSERT(error == 0);
    (void)error;
}

void weft_rwlock_write_unlock(weft_rwlock *lock) {
    weft_rwlock_read_unlock(lock);
}

bool weft_cond_init(weft_cond *cond) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) {
        return false;
    }
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&cond->impl, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return made;
}

void weft_cond_destroy(weft_cond *cond) {
    int error = pthread_cond_destroy(&cond->impl);
    WEFT_ASSERT(error == 0);
    (void)error;
}

bool weft_cond_wait(weft_cond *cond, weft_mutex *mutex, uint64_t timeout_ns) {
    if (timeout_ns == WEFT_WAIT_FOREVER) {
        (void)pthread_cond_wait(&cond->impl, &mutex->impl);
        return true;
    }
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline);
    uint64_t now = (uint64_t)deadline.tv_sec * UINT64_C(1000000000) + (uint64_t)deadline.tv_nsec;
    deadline = timespec_of(timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX);
    return pthread_cond_timedwait(&cond->impl, &mutex->impl, &deadline) != ETIMEDOUT;
}

void weft_cond_signal(weft_cond *cond) {
    (void)pthread_cond_signal(&cond->impl);
}

void weft_cond_broadcast(weft_cond *cond) {
    (void)pthread_cond_broadcast(&cond->impl);
}

#endif

void weft_yield(void) {
    if (weft_sched_inside()) {
        weft_pause();
    } else {
        (void)sched_yield();
    }
}

void weft_sleep_ns(uint64_t ns) {
#if defined(WEFT_SCHED) && WEFT_SCHED
    if (weft_sched_inside()) {
        uint64_t deadline = deadline_in(ns);
        while (weft_clock_monotonic_ns() < deadline) {
            weft_pause();
        }
        return;
    }
#endif
    struct timespec left = timespec_of(ns);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
