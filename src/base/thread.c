/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include "base/assert.h"
#include <pthread.h>
#include <signal.h>

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_made;
static void (*exit_fn)(void *value);

__thread void *weft_thread_slot_value WEFT_TLS_MODEL;

static void hand_over(void **slot) {
    /* pairs with the release in weft_thread_at_exit */
    void (*fn)(void *value) = __atomic_load_n(&exit_fn, __ATOMIC_ACQUIRE);
    void *value = *slot;
    *slot = NULL;
    if (fn && value) {
        fn(value);
    }
}

static void on_exit_of_thread(void *ignored) {
    (void)ignored;
    hand_over(&weft_thread_slot_value);
}

static void make_key(void) {
    key_made = pthread_key_create(&key, on_exit_of_thread) == 0;
}

bool weft_thread_at_exit(void (*fn)(void *value)) {
    WEFT_ASSERT(fn != NULL);
    (void)pthread_once(&key_once, make_key);
    /* pairs with the acquire in hand_over */
    __atomic_store_n(&exit_fn, fn, __ATOMIC_RELEASE);
#if defined(WEFT_SCHED) && WEFT_SCHED
    weft_sched_at_fiber_end(hand_over);
#endif
    return key_made;
}

#if defined(WEFT_SCHED) && WEFT_SCHED
void **weft_thread_slot(void) {
    void **of_fiber = weft_sched_slot();
    return of_fiber ? of_fiber : &weft_thread_slot_value;
}
#endif

bool weft_thread_set_slot(void *value) {
    *weft_thread_slot() = value;
    if (weft_sched_inside()) {
        return true;
    }
    (void)pthread_once(&key_once, make_key);
    return key_made && pthread_setspecific(key, value) == 0;
}

bool weft_thread_at_fork_child(void (*fn)(void)) {
    return pthread_atfork(NULL, NULL, fn) == 0;
}

bool weft_thread_start(weft_thread *thread, void *(*run)(void *ctx), void *ctx) {
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread->impl, NULL, run, ctx) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void weft_thread_join(weft_thread *thread) {
    (void)pthread_join(thread->impl, NULL);
}
