/* SPDX-License-Identifier: MIT */
/* Private: lookups in a weft_u64map that are compiled into the caller. <weft/u64map.h> includes it;
 * nothing here is for use by name.
 *
 * A lookup is some forty instructions and one line of the table, so a call would be a good part of
 * it, and the branch on what the call returns another: inlined, a caller that counts hits, or adds
 * values up, has no branch that depends on the data. The structures are the beginnings of those in
 * the library, which asserts that they agree; they are part of its binary interface. Whatever is
 * not the plain case goes to the library: another engine, a key that is recorded, a map that was
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

WEFT_BEGIN_DECLS
/* weft_u64map_get_shown — the same, of an engine whose lookups are not inlined. Private.
 *
 * map      the map
 * key      any number
 * value    out; 0 if the key is absent
 * record   this thread's, in which the epoch is shown, but in no guard; it is not any more then
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_get
 * Order    as weft_u64map_get
 * Cost     a call, and the search of the engine
 */
WEFT_API int weft_u64map_get_shown(weft_u64map *map, uint64_t key, uint64_t *value, void *record);

/* weft_u64map_get_noted — the same, to be taken down if a recording is to have it. Private.
 *
 * map      the map, whose lookups are inlined
 * key      any number
 * value    out; 0 if the key is absent
 * hash     the key's; this thread's record shows the epoch, but is in no guard, and not any more
 *          then
 *
 * Returns  WEFT_OK · WEFT_NOT_FOUND
 * Owns     nothing
 * Threads  any
 * Progress as weft_u64map_get
 * Order    as weft_u64map_get
 * Cost     a call; what is recorded, as weft/record.h says
 */
WEFT_API int weft_u64map_get_noted(weft_u64map *map, uint64_t key, uint64_t *value, uint64_t hash);
WEFT_END_DECLS

enum { WEFT_INLINE_SLOTS = 3 };

#define WEFT_INLINE_USED ((uint64_t)1)
#define WEFT_INLINE_HASH (~(uint64_t)63)
#define WEFT_INLINE_PLAIN_LINK ((uint64_t)1)
#define WEFT_INLINE_PLAIN_USED ((uint64_t)2)

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

/* The table of an engine that has none of these: lines of four pairs, for as long as *open is 1. */
struct weft_inline_plain {
    const struct weft_inline_pair *lines;
    uint64_t mask;
};

struct weft_inline_era {
    const struct weft_inline_generation *root;
    struct weft_inline_plain plain;
    const unsigned char *open; /* of plain */
    uint64_t mix[3];
};

struct weft_inline_map {
    const struct weft_inline_era *era;
    const void *recording;
    uint64_t unrecorded;
};

struct weft_inline_record {
    uint64_t pinned;
};

WEFT_BEGIN_DECLS
/* The thread's epoch record, if lookups may be compiled into the caller: the barrier is asymmetric,
 * and the processor has the instructions. Otherwise that of nobody, which always looks taken. */
extern WEFT_API __thread void *weft_inline_thread __attribute__((tls_model("initial-exec")));
WEFT_END_DECLS

#define WEFT_INLINE static inline __attribute__((always_inline))

/* As weft_mix_with in the library. */
WEFT_INLINE uint64_t weft_inline_mix(uint64_t x, const uint64_t mix[3]) {
    x = (__builtin_bswap64(x * mix[0]) ^ mix[1]) * mix[2];
    return x << 24 | x >> 40;
}

/* Is this 0? In one comparison with memory, which compilers make two instructions of. */
WEFT_INLINE bool weft_inline_is_zero(const uint64_t *word) {
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__)
    bool zero;
    __asm__ __volatile__("cmpq $0, %[word]" : "=@cce"(zero) : [word] "m"(*word));
    return zero;
#else
    return __atomic_load_n(word, __ATOMIC_RELAXED) == 0;
#endif
}

/* Which of the last three pairs of a line of four has this first half: 1, 2, 3, or 0. Without a
 * branch: where a key is, and whether, nobody can predict. With vectors, as their comparisons wait
 * for the line in queues that the rest of the program hardly uses; each half is loaded by itself, 8
 * aligned bytes, which is atomic. The third pair counts for both bits. Encoded as the caller's
 * other vector instructions: mixing is slow. */
WEFT_INLINE uint64_t weft_inline_match(const struct weft_inline_pair *line, uint64_t wanted) {
#if defined(__x86_64__)
    typedef double two __attribute__((vector_size(16)));
    two key, here, last;
    uint64_t match;
#if defined(__AVX__)
    __asm__ __volatile__(
        "vmovq %[wanted], %[key]\n\t"
        "vpunpcklqdq %[key], %[key], %[key]\n\t"
        "vmovq %[first], %[here]\n\t"
        "vmovhps %[second], %[here], %[here]\n\t"
        "vmovddup %[third], %[last]\n\t"
        "vpcmpeqq %[key], %[here], %[here]\n\t"
        "vpcmpeqq %[key], %[last], %[last]\n\t"
        "vpor %[last], %[here], %[here]\n\t"
        "vmovmskpd %[here], %k[match]"
#else
    __asm__ __volatile__(
        "movq %[wanted], %[key]\n\t"
        "punpcklqdq %[key], %[key]\n\t"
        "movq %[first], %[here]\n\t"
        "movhps %[second], %[here]\n\t"
        "movddup %[third], %[last]\n\t"
        "pcmpeqq %[key], %[here]\n\t"
        "pcmpeqq %[key], %[last]\n\t"
        "por %[last], %[here]\n\t"
        "movmskpd %[here], %k[match]"
#endif
        : [key] "=&x"(key), [here] "=&x"(here), [last] "=&x"(last), [match] "=r"(match)
        : [wanted] "r"(wanted), [first] "m"(line[1].first), [second] "m"(line[2].first),
          [third] "m"(line[3].first));
    return match;
#else
    uint64_t match = 0;
    for (unsigned i = 1; i <= WEFT_INLINE_SLOTS; i++) {
        uint64_t first = __atomic_load_n(&line[i].first, __ATOMIC_ACQUIRE);
        match |= i * (uint64_t)(first == wanted); /* one, but beside writers */
    }
    return match;
#endif
}

/* Into *value `here`, or 0 if nothing was found, and which one it was. Hidden: compilers make a
 * branch of it, or three more instructions. */
WEFT_INLINE int weft_inline_choose(uint64_t match, uint64_t here, uint64_t *value) {
    _Static_assert(WEFT_OK == 0 && WEFT_NOT_FOUND == 1, "what a comparison gives");
#if defined(__x86_64__)
    int absent = 0;
    __asm__("testq %[match], %[match]\n\tcmoveq %[match], %[here]\n\tsete %b[absent]"
            : [here] "+&r"(here), [absent] "+&q"(absent)
            : [match] "r"(match)
            : "cc");
    *value = here;
    return absent;
#else
    *value = here & ((uint64_t)(match == 0) - 1);
    return match == 0 ? WEFT_NOT_FOUND : WEFT_OK;
#endif
}

/* Did the state change since it was loaded, or may the key of this hash be where the slots don't
 * tell? All loads before are acquires, or x86's own, so the one in here comes after them. By one
 * subtraction, with the filter's bit as the borrow: a bucket's state only grows, so the difference
 * is 0 if it is the same and the bit is not set, and in no other case. */
WEFT_INLINE bool weft_inline_unsure(const struct weft_inline_bucket *at, uint64_t state,
                                    uint64_t hash) {
    uint64_t eighth = hash >> 61;
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__)
    bool unsure;
    __asm__ __volatile__("btq %[eighth], %[state]\n\tsbbq %[now], %[state]"
                         : "=@ccne"(unsure), [state] "+&r"(state)
                         : [eighth] "r"(eighth), [now] "m"(at->state));
    return unsure;
#else
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&at->state, __ATOMIC_RELAXED) != state || (state >> eighth & 1) != 0;
#endif
}

/* The first half of a pair of this hash, in two instructions and no copy: what is left of the hash
 * has its eighth. */
WEFT_INLINE uint64_t weft_inline_wanted(uint64_t *hash) {
    *hash |= ~WEFT_INLINE_HASH;
    __asm__("" : "+r"(*hash)); /* compilers go back to three */
    return *hash - (~WEFT_INLINE_HASH - WEFT_INLINE_USED);
}

/* Looks into a bucket, inside a guard. False: not the plain case. */
WEFT_INLINE bool weft_inline_look_into(const struct weft_inline_bucket *at, uint64_t hash,
                                       uint64_t *value, int *status) {
    uint64_t state = __atomic_load_n(&at->state, __ATOMIC_ACQUIRE); /* pairs with the CAS of head */
    const struct weft_inline_pair *line = (const struct weft_inline_pair *)at;
    uint64_t match = weft_inline_match(line, weft_inline_wanted(&hash));
    /* Of state and link if there is no match. The value is read after its key: pairs with the CAS
     * of its writer. */
    uint64_t here = __atomic_load_n(&line[match].second, __ATOMIC_ACQUIRE);
    *status = weft_inline_choose(match, here, value);
    return __builtin_expect(!weft_inline_unsure(at, state, hash), 1);
}

/* As weft_recording_may_want in the library; a lookup needs no order. */
WEFT_INLINE bool weft_inline_may_be_recorded(const struct weft_inline_map *map, uint64_t hash) {
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__)
    bool may;
    __asm__ __volatile__("testq %[hash], %[unrecorded]"
                         : "=@cce"(may)
                         : [hash] "r"(hash), [unrecorded] "m"(map->unrecorded));
#else
    bool may = (hash & __atomic_load_n(&map->unrecorded, __ATOMIC_RELAXED)) == 0;
#endif
    return __builtin_expect(may, 0);
}

/* Looks up inside a guard, where the era has a root. False: not the plain case. */
WEFT_INLINE bool weft_inline_look(const struct weft_inline_generation *root, uint64_t hash,
                                  uint64_t *value, int *status) {
    return weft_inline_look_into(&root->buckets[hash & root->mask], hash, value, status);
}

/* May the plain table be searched? In one comparison with memory, which compilers make three
 * instructions of. */
WEFT_INLINE bool weft_inline_is_open(const unsigned char *open) {
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__)
    bool is;
    __asm__ __volatile__("cmpb $1, %[open]" : "=@cce"(is) : [open] "m"(*open));
    return is;
#else
    return __atomic_load_n(open, __ATOMIC_RELAXED) == 1;
#endif
}

/* Looks into a line of a plain table, perhaps beside a writer, which the caller finds out
 * afterwards. False: the key may be in a line that this one links: a subtraction's borrow, as the
 * last pair's lowest bit is the borrow before. */
WEFT_INLINE bool weft_inline_look_into_line(const struct weft_inline_pair *line, uint64_t wanted,
                                            uint64_t *value, int *status) {
    uint64_t match = weft_inline_match(line, wanted);
    uint64_t here = __atomic_load_n(&line[match].second, __ATOMIC_ACQUIRE);
#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__)
    uint64_t first = 0;
    int absent = 0;
    bool linked;
    __asm__ __volatile__(
        "cmpq %[wanted], %[word]\n\tsete %b[first]\n\t"
        "orq %[first], %[match]\n\tcmoveq %[first], %[here]\n\tsete %b[absent]"
        : [here] "+&r"(here), [match] "+&r"(match), [absent] "+&q"(absent), [first] "+&q"(first)
        : [wanted] "r"(wanted), [word] "m"(line[0].first)
        : "cc");
    __asm__ __volatile__("btq $0, %[last]\n\tsbbq $0, %[match]"
                         : "=@ccc"(linked), [match] "+r"(match)
                         : [last] "m"(line[3].first));
    *value = here;
    *status = absent;
    return !linked;
#else
    uint64_t first = __atomic_load_n(&line[0].first, __ATOMIC_ACQUIRE) == wanted;
    __asm__("" : "+r"(first)); /* no branch */
    match |= first;
    *status = weft_inline_choose(match, here, value);
    uint64_t last = __atomic_load_n(&line[3].first, __ATOMIC_ACQUIRE);
    return (last & WEFT_INLINE_PLAIN_LINK) <= match;
#endif
}

/* As weft_plain_glance in the library. Nobody writes while the table is open, and nothing is called
 * in here that could end that. */
WEFT_INLINE bool weft_inline_look_plain(const struct weft_inline_plain *table, uint64_t hash,
                                        uint64_t *value, int *status) {
    const struct weft_inline_pair *line = &table->lines[(hash & table->mask) * 4];
    uint64_t wanted = (hash | 3) - (3 - WEFT_INLINE_PLAIN_USED);
    return __builtin_expect(weft_inline_look_into_line(line, wanted, value, status), 1);
}

WEFT_INLINE int weft_inline_u64map_get(weft_u64map *map, uint64_t key, uint64_t *value) {
    const struct weft_inline_map *impl =
        (const struct weft_inline_map *)__atomic_load_n(&map->impl, __ATOMIC_ACQUIRE);
    struct weft_inline_record *record = (struct weft_inline_record *)weft_inline_thread;
    int status = WEFT_OK;
    uint64_t here = 0;
    if (__builtin_expect(impl == NULL, 0) ||
        __builtin_expect(!weft_inline_is_zero(&record->pinned), 0)) {
        return weft_u64map_get_slow(map, key, value);
    }
    /* The guard: the epoch is shown while the bucket is looked at. (A caller inside of one shows an
     * epoch already, which must stay.) */
    uint64_t epoch = __atomic_load_n(&weft_guard_clock.epoch, __ATOMIC_ACQUIRE);
    __atomic_store_n(&record->pinned, epoch, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* pairs with the heavy barrier in advance */
    /* pairs with the exchange in weft_map_clear_impl, and the CAS of the root */
    const struct weft_inline_era *era = __atomic_load_n(&impl->era, __ATOMIC_ACQUIRE);
    const struct weft_inline_generation *root = __atomic_load_n(&era->root, __ATOMIC_ACQUIRE);
    if (root == NULL) {
        uint64_t number = weft_inline_mix(key, era->mix);
        if (__builtin_expect(!weft_inline_is_open(era->open), 0) ||
            weft_inline_may_be_recorded(impl, number) ||
            !weft_inline_look_plain(&era->plain, number, &here, &status)) {
            return weft_u64map_get_shown(map, key, value, record);
        }
        __atomic_store_n(&record->pinned, (uint64_t)0, __ATOMIC_RELEASE); /* as below */
        *value = here;
        return status;
    }
    uint64_t hash = weft_inline_mix(key, era->mix);
    if (weft_inline_may_be_recorded(impl, hash)) {
        return weft_u64map_get_noted(map, key, value, hash);
    }
    bool plain = weft_inline_look(root, hash, &here, &status);
    /* Release: the reads come before the freeing. Pairs with the acquire in scan_record. */
    __atomic_store_n(&record->pinned, (uint64_t)0, __ATOMIC_RELEASE);
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
