/* SPDX-License-Identifier: MIT */
/* Private: lookups in a weft_u64map that are compiled into the caller. <weft/u64map.h> includes it;
 * nothing here is for use by name.
 *
 * A lookup is some forty instructions and one line of the table, so a call would be a good part of
 * it, and the branch on what the call returns another: inlined, a caller that counts hits, or adds
 * values up, has no branch that depends on the data. The structures are the beginnings of those in
 * the library, which asserts that they agree; they are part of its binary interface. Whatever is
 * not the plain case goes to weft_u64map_get_slow: another engine, a map that is recorded or was
 * never used, a thread's first lookup, a bucket on the move, a chain.
 *
 * The protocol is in docs/design/bucket.md (lookup) and docs/design/reclamation.md (guard). */
#ifndef WEFT_U64INLINE_H
#define WEFT_U64INLINE_H

#ifndef WEFT_U64MAP_H
#error "include <weft/u64map.h>"
#endif

/* Sanitizers are to see the library's own accesses, and the schedule build has to stop at each. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define WEFT_CALLS_ONLY 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) ||                               \
    (defined(WEFT_SCHED) && WEFT_SCHED) || !defined(__linux__) || !defined(__LP64__)
#define WEFT_CALLS_ONLY 1
#endif

WEFT_BEGIN_DECLS
/* weft_u64map_get_slow — weft_u64map_get, where it is not the plain case. Private.
 *
 * map      the map
 * key      any number
 * value    out; 0 if the key is absent
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_get
 * Order    as weft_u64map_get
 * Cost     a call, and the general search of the engine
 */
WEFT_API int weft_u64map_get_slow(weft_u64map *map, uint64_t key, uint64_t *value);
WEFT_END_DECLS

#ifndef WEFT_CALLS_ONLY

enum { WEFT_INLINE_SLOTS = 3, WEFT_INLINE_FILTER = 8 };

#define WEFT_INLINE_VALID ((uint64_t)0x3f)
#define WEFT_INLINE_FROZEN ((uint64_t)1 << 7)
#define WEFT_INLINE_USED ((uint64_t)1)
#define WEFT_INLINE_HASH (~(uint64_t)63)

struct weft_inline_pair {
    uint64_t first;
    uint64_t second;
};

struct weft_inline_bucket {
    uint64_t state;
    uint64_t link;
    struct weft_inline_pair pairs[WEFT_INLINE_SLOTS];
};

struct weft_inline_generation {
    const struct weft_inline_bucket *buckets;
    uint64_t mask;
};

struct weft_inline_era {
    const struct weft_inline_generation *root;
    uint64_t mix[3];
};

struct weft_inline_map {
    const struct weft_inline_era *era;
    const void *recording;
};

struct weft_inline_record {
    uint64_t pinned;
};

WEFT_BEGIN_DECLS
extern WEFT_API __thread void *weft_thread_slot_value __attribute__((tls_model("initial-exec")));
WEFT_END_DECLS

#define WEFT_INLINE static inline __attribute__((always_inline))

/* As weft_mix_u64 in the library. */
WEFT_INLINE uint64_t weft_inline_mix(uint64_t x, const uint64_t mix[3]) {
    x ^= mix[0];
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9) + mix[1];
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb) + mix[2];
    return x ^ x >> 31;
}

/* What the comparison of slots has found. */
struct weft_inline_match {
    uint64_t slots; /* the one slot that holds the key, as a set */
    uint64_t value;
};

/* If the pair of slot `bit` is the wanted one, it is the match; its value is read after the key.
 * Without a branch: where a key is, and whether, nobody can predict; and compilers, left to
 * themselves, branch. */
WEFT_INLINE void weft_inline_compare(const struct weft_inline_pair *pair, uint64_t wanted,
                                     uint64_t bit, struct weft_inline_match *match) {
#if defined(__x86_64__)
    __asm__ __volatile__(
        "cmpq %[wanted], %[first]\n\t"
        "cmoveq %[second], %[value]\n\t"
        "cmoveq %[bit], %[slots]"
        : [value] "+r"(match->value), [slots] "+r"(match->slots)
        : [wanted] "r"(wanted), [first] "m"(pair->first), [second] "m"(pair->second), [bit] "r"(bit)
        : "cc");
#else
    uint64_t first = __atomic_load_n(&pair->first, __ATOMIC_ACQUIRE);
    uint64_t second = __atomic_load_n(&pair->second, __ATOMIC_ACQUIRE);
    uint64_t same = (uint64_t)0 - (uint64_t)(first == wanted);
    match->slots = (match->slots & ~same) | (bit & same);
    match->value = (match->value & ~same) | (second & same);
#endif
}

/* Looks up inside a guard. False: not the plain case. */
WEFT_INLINE bool weft_inline_look(const struct weft_inline_map *map, uint64_t key, uint64_t *value,
                                  int *status) {
    /* pairs with the exchange in weft_map_clear_impl, and the CAS of the root */
    const struct weft_inline_era *era = __atomic_load_n(&map->era, __ATOMIC_ACQUIRE);
    const struct weft_inline_generation *root = __atomic_load_n(&era->root, __ATOMIC_ACQUIRE);
    if (__builtin_expect(root == NULL, 0)) {
        return false;
    }
    uint64_t hash = weft_inline_mix(key, era->mix);
    const struct weft_inline_bucket *at = &root->buckets[hash & root->mask];
    uint64_t state = __atomic_load_n(&at->state, __ATOMIC_ACQUIRE); /* pairs with the CAS of head */
    uint64_t wanted = (hash & WEFT_INLINE_HASH) | WEFT_INLINE_USED;
    struct weft_inline_match match = {0, 0};
    weft_inline_compare(&at->pairs[0], wanted, 1, &match);
    weft_inline_compare(&at->pairs[1], wanted, 2, &match);
    weft_inline_compare(&at->pairs[2], wanted, 4, &match);
    uint64_t maybe_elsewhere = state >> (WEFT_INLINE_FILTER + (hash >> 61)) & 1;
    uint64_t there = (uint64_t)0 - (uint64_t)((match.slots & state) != 0);
    /* The loads above are acquires, or x86's own, so this one comes after them. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    uint64_t moved = __atomic_load_n(&at->state, __ATOMIC_RELAXED) ^ state;
    if (__builtin_expect((moved | (state & WEFT_INLINE_FROZEN) | (maybe_elsewhere & ~there)) != 0,
                         0)) {
        return false;
    }
    *value = match.value & there;
    *status = (int)(~there & WEFT_NOT_FOUND);
    return true;
}

WEFT_INLINE int weft_inline_u64map_get(weft_u64map *map, uint64_t key, uint64_t *value) {
    const struct weft_inline_map *impl =
        (const struct weft_inline_map *)__atomic_load_n(&map->impl, __ATOMIC_ACQUIRE);
    struct weft_inline_record *record = (struct weft_inline_record *)weft_thread_slot_value;
    int status = WEFT_OK;
    uint64_t here = 0;
    if (__builtin_expect(impl == NULL || record == NULL, 0) ||
        __builtin_expect(!weft_guard_clock.asymmetric, 0)) {
        return weft_u64map_get_slow(map, key, value);
    }
    /* The guard: the epoch is shown while the bucket is looked at. A caller who is inside of one
     * shows an epoch already, which must stay. */
    bool outside = __atomic_load_n(&record->pinned, __ATOMIC_RELAXED) == 0;
    if (__builtin_expect(outside, 1)) {
        uint64_t epoch = __atomic_load_n(&weft_guard_clock.epoch, __ATOMIC_ACQUIRE);
        __atomic_store_n(&record->pinned, epoch, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* pairs with the heavy barrier in advance */
    }
    bool plain = __atomic_load_n(&impl->recording, __ATOMIC_RELAXED) == NULL &&
                 weft_inline_look(impl, key, &here, &status);
    if (__builtin_expect(outside, 1)) {
        /* Release: the reads come before the freeing. Pairs with the acquire in scan_record. */
        __atomic_store_n(&record->pinned, (uint64_t)0, __ATOMIC_RELEASE);
    }
    if (__builtin_expect(!plain, 0)) {
        return weft_u64map_get_slow(map, key, value);
    }
    *value = here;
    return status;
}

#undef WEFT_INLINE

#define weft_u64map_get weft_inline_u64map_get

#endif
#endif
