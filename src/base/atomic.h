/* SPDX-License-Identifier: MIT */
/* Atomic operations with the memory order in the name.
 *
 * Every shared word of weft is read and written through these, for three reasons: an order cannot
 * be forgotten, an order can be grepped, and in the schedule build (WEFT_SCHED) each of them is a
 * point at which the deterministic scheduler may switch to another thread. The objects themselves
 * are plain integers and pointers; nothing outside this file spells a compiler builtin.
 *
 * Comments beside acquire and release operations say what they pair with.
 */
#ifndef WEFT_BASE_ATOMIC_H
#define WEFT_BASE_ATOMIC_H

#include "base/platform.h"

#if defined(WEFT_SCHED) && WEFT_SCHED
void weft_sched_point(void); /* base/sched.c: may run other fibers before it returns */
void weft_sched_pause(void); /* like a point, but another fiber must run if one can */
#define WEFT_POINT() weft_sched_point()
#else
#define WEFT_POINT() ((void)0)
#endif

#define weft_load_relaxed(p)                                                                       \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_load_n((p), __ATOMIC_RELAXED);                                                    \
    })
#define weft_load_acquire(p)                                                                       \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_load_n((p), __ATOMIC_ACQUIRE);                                                    \
    })
#define weft_load_seq_cst(p)                                                                       \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_load_n((p), __ATOMIC_SEQ_CST);                                                    \
    })
#define weft_store_relaxed(p, v)                                                                   \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_store_n((p), (v), __ATOMIC_RELAXED);                                              \
    })
#define weft_store_release(p, v)                                                                   \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_store_n((p), (v), __ATOMIC_RELEASE);                                              \
    })
#define weft_store_seq_cst(p, v)                                                                   \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_store_n((p), (v), __ATOMIC_SEQ_CST);                                              \
    })
#define weft_exchange_acq_rel(p, v)                                                                \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL);                                           \
    })
#define weft_exchange_seq_cst(p, v)                                                                \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST);                                           \
    })
#define weft_fetch_add_relaxed(p, v)                                                               \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_fetch_add((p), (v), __ATOMIC_RELAXED);                                            \
    })
#define weft_fetch_add_acq_rel(p, v)                                                               \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL);                                            \
    })
#define weft_fetch_add_seq_cst(p, v)                                                               \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST);                                            \
    })
#define weft_fetch_or_acq_rel(p, v)                                                                \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL);                                             \
    })

#define weft_fetch_or_seq_cst(p, v)                                                                \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST);                                             \
    })

/* Compare and swap, strong. `expected` is a pointer and receives the value found on failure. */
#define weft_cas_relaxed(p, expected, desired)                                                     \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_RELAXED,           \
                                    __ATOMIC_RELAXED);                                             \
    })
#define weft_cas_acq_rel(p, expected, desired)                                                     \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_ACQ_REL,           \
                                    __ATOMIC_ACQUIRE);                                             \
    })
#define weft_cas_seq_cst(p, expected, desired)                                                     \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_SEQ_CST,           \
                                    __ATOMIC_SEQ_CST);                                             \
    })

/* Compare and swap; `expected` is a value, and what was found on failure is not told. In return
 * there is no branch in it: compilers make one of the other form. */
#define weft_cas_value_seq_cst(p, expected, desired)                                               \
    __extension__({                                                                                \
        WEFT_POINT();                                                                              \
        __sync_bool_compare_and_swap((p), (expected), (desired));                                  \
    })

/* Two adjacent words that can be compared and swapped as one. Each word may also be read alone. */
typedef struct weft_pair {
    uint64_t first;
    uint64_t second;
} __attribute__((aligned(16))) weft_pair;

/* True if *p was `expected` and is `desired` now. Sequentially consistent. */
static inline bool weft_cas_pair_seq_cst(weft_pair *p, weft_pair expected, weft_pair desired) {
    typedef unsigned __int128 weft_u128 __attribute__((may_alias));
    WEFT_POINT();
    weft_u128 was = ((weft_u128)expected.second << 64) | expected.first;
    weft_u128 becomes = ((weft_u128)desired.second << 64) | desired.first;
    return __sync_bool_compare_and_swap((weft_u128 *)p, was, becomes);
}

/* The compiler moves no access to memory across; the processor may. */
#define weft_compiler_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* The second word of a pair. The thread sanitizer knows a compare and swap of a pair by the address
 * of the first word only, so it is shown a load of that one, too. */
static inline uint64_t weft_load_second_acquire(const weft_pair *p) {
    uint64_t second = weft_load_acquire(&p->second); /* pairs with weft_cas_pair_seq_cst */
#if defined(WEFT_THREAD_SANITIZER)
    (void)weft_load_acquire(&p->first); /* likewise */
#endif
    return second;
}

/* One turn of a delay. Nobody is waited for: in the schedule build it is nothing. */
static inline void weft_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* One turn of a wait loop: tells the core, and the scheduler of the schedule build, to let others
 * run. */
static inline void weft_pause(void) {
#if defined(WEFT_SCHED) && WEFT_SCHED
    weft_sched_pause();
#else
    weft_relax();
#endif
}

#endif
