/* SPDX-License-Identifier: MIT */
/* Locks, conditions and waiting. Over pthreads; in the schedule build over the library's own
 * atomics, so that a fiber that has to wait lets other fibers run and never blocks the thread
 * beneath them. */
#ifndef WEFT_BASE_LOCK_H
#define WEFT_BASE_LOCK_H

#include "base/platform.h"

#if defined(WEFT_SCHED) && WEFT_SCHED
typedef struct weft_mutex {
    uint32_t held;
} weft_mutex;
typedef struct weft_rwlock {
    uint32_t state; /* number of readers; the top bit: a writer */
} weft_rwlock;
typedef struct weft_cond {
    uint32_t signals;
} weft_cond;
#else
#include <pthread.h>
typedef struct weft_mutex {
    pthread_mutex_t impl;
} weft_mutex;
typedef struct weft_rwlock {
    pthread_rwlock_t impl;
} weft_rwlock;
typedef struct weft_cond {
    pthread_cond_t impl;
} weft_cond;
#endif

/* All init functions: false without resources. */
bool weft_mutex_init(weft_mutex *mutex);
void weft_mutex_destroy(weft_mutex *mutex);
void weft_mutex_lock(weft_mutex *mutex);
bool weft_mutex_try_lock(weft_mutex *mutex);
void weft_mutex_unlock(weft_mutex *mutex);

/* Writers go before readers that come later; therefore no thread may take the read side twice. */
bool weft_rwlock_init(weft_rwlock *lock);
void weft_rwlock_destroy(weft_rwlock *lock);
void weft_rwlock_read_lock(weft_rwlock *lock);
void weft_rwlock_read_unlock(weft_rwlock *lock);
void weft_rwlock_write_lock(weft_rwlock *lock);
void weft_rwlock_write_unlock(weft_rwlock *lock);

#define WEFT_WAIT_FOREVER UINT64_MAX

bool weft_cond_init(weft_cond *cond);
void weft_cond_destroy(weft_cond *cond);
/* Wait until signalled or until `timeout_ns` nanoseconds have passed; may also wake up for no
 * reason. False if the time was over. */
bool weft_cond_wait(weft_cond *cond, weft_mutex *mutex, uint64_t timeout_ns);
void weft_cond_signal(weft_cond *cond);
void weft_cond_broadcast(weft_cond *cond);

/* Give the processor away for a moment. */
void weft_yield(void);
void weft_sleep_ns(uint64_t ns);

#endif
