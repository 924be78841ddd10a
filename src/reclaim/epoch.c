/* SPDX-License-Identifier: MIT */
/* Epoch reclamation without registration.
 *
 * Design
 *   A global epoch counts up. A thread inside a guard has the epoch that it saw on entry in its
 *   record. The epoch moves from E to E+1 only when every record that is inside says E. What was
 *   retired while the epoch was T is freed when it is T+2: whoever could still hold it entered at T
 *   or before, and has left. Garbage hangs on the map that retired it, in bags by epoch mod 4, not
 *   on threads: a thread may exit or fork at any time.
 * Layout
 *   One record per thread on a line of its own, in a static block and then in chunks that are never
 *   freed, only reused. A thread that finds no memory for a record pins through four shared
 *   counters.
 * Concurrency
 *   docs/design/reclamation.md has the argument. In short: entering is a store and a light barrier;
 *   the mover of the epoch pays with a heavy barrier (membarrier), after which each record either
 *   shows its pin or belongs to a reader that cannot find what was unlinked before. A bag is taken
 *   only from inside a guard: then the epoch can run at most one ahead, and bag (E+2) mod 4 cannot
 *   get anything younger than E-2.
 * Rejected
 *   Garbage lists per thread: they need a hand-over at exit and fork, and a map cannot be emptied
 *   when it is closed. Hazard pointers: a store and a heavy fence per pointer, twice per lookup
 *   here. Quiescent states: they need the callers' help.
 * Credits
 *   K. Fraser, Practical lock-freedom (2004); M. Desnoyers, liburcu (membarrier);
 *   G. Blelloch, Y. Wei (constant-time steps).
 */
#include "reclaim/epoch.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/barrier.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include <string.h>

enum {
    STATIC_RECORDS = 64,
    CHUNK_RECORDS = 64,
    ADVANCE_EVERY = 512,    /* retired objects between two attempts to move the epoch */
    BYTES_AS_OBJECT = 8192, /* a large object counts as several */
    COLLECT_EVERY = 16,     /* retired objects between two collections on a stripe */
    FREE_EACH_TIME = 20,    /* by a collection; more than were retired, so that a backlog shrinks */
    FREE_AT_ONCE = 48,      /* … where it is large */
    BACKLOG = 4096,         /* objects on a stripe */
    SHARED_NUMBER = 0,
};

typedef struct weft_record_chunk {
    weft_record records[CHUNK_RECORDS];
    struct weft_record_chunk *next;
} weft_record_chunk;

_Static_assert(sizeof(weft_record) % WEFT_CACHE_LINE == 0, "a record has its lines for itself");

struct weft_guard_clock weft_guard_clock WEFT_LINE_ALIGNED = {WEFT_LIMBO_BAGS};

static struct {
    uint64_t advances WEFT_LINE_ALIGNED;
    uint64_t stalled_record; /* the record that held the epoch back at the last attempt; 0 none */
    uint64_t stalled_epoch;
    uint64_t stalled_since_ns;
    uint64_t
        shared_pins[WEFT_LIMBO_BAGS] WEFT_LINE_ALIGNED; /* threads without a record, by epoch */
    weft_record_chunk *chunks WEFT_LINE_ALIGNED;
    uint32_t records;   /* made so far, for numbers */
    uint64_t stamps;    /* given to threads without a record, and to those beyond numbering */
    weft_record shared; /* counters of threads without a record */
    weft_record first[STATIC_RECORDS];
} global;

/* ---- records --------------------------------------------------------------------------------- */

/* Calls `fn` for each record until it returns false. */
static bool each_record(bool (*fn)(weft_record *record, void *ctx), void *ctx) {
    WEFT_ASSERT(fn != NULL);
    for (int i = 0; i < STATIC_RECORDS; i++) {
        if (!fn(&global.first[i], ctx)) {
            return false;
        }
    }
    /* Acquire: pairs with the release in add_chunk. */
    weft_record_chunk *chunk = weft_load_acquire(&global.chunks);
    for (; chunk != NULL; chunk = chunk->next) {
        for (int i = 0; i < CHUNK_RECORDS; i++) {
            if (!fn(&chunk->records[i], ctx)) {
                return false;
            }
        }
    }
    return true;
}

static void set_number(weft_record *record, uint32_t number) {
    record->number = number;
    record->stamp = number > WEFT_STAMP_THREADS ? 0 : number;
}

static bool take_if_free(weft_record *record, void *ctx) {
    uint32_t free = 0;
    if (weft_load_relaxed(&record->taken) != 0) {
        return true;
    }
    /* Acquire: pairs with the release in record_release, the last owner's writes come first. */
    if (!weft_cas_acq_rel(&record->taken, &free, 1)) {
        return true;
    }
    if (record->number == 0) { /* in the static block; the owner writes it once */
        set_number(record, (uint32_t)(record - global.first) + 1);
    }
    *(weft_record **)ctx = record;
    return false;
}

static void record_release(void *opaque) {
    weft_record *record = opaque;
    record->nest = 0;
    record->freeing = 0;
    /* Release: pairs with the acquire in scan_record; what the owner read comes first. */
    weft_store_release(&record->pinned, 0);
    weft_store_release(&record->taken, 0); /* pairs with take_if_free */
}

static bool orphan_unless_mine(weft_record *record, void *mine) {
    WEFT_ASSERT(record != NULL);
    if (record != mine && record->taken != 0) {
        record_release(record);
    }
    return true;
}

/* In the child of a fork only this thread exists: every other record's owner is gone. */
static void after_fork_in_child(void) {
    void *mine = *weft_thread_slot();
    each_record(orphan_unless_mine, mine);
    if (mine != NULL) {
        for (int i = 0; i < WEFT_LIMBO_BAGS; i++) {
            weft_store_relaxed(&global.shared_pins[i], 0);
        }
    }
}

weft_record weft_epoch_nobody = {.pinned = 1};
__thread void *weft_inline_thread WEFT_TLS_MODEL __attribute__((visibility("default"))) =
    &weft_epoch_nobody;
static bool may_inline;

static void hand_over_record(void *opaque) {
    weft_record *record = opaque;
    weft_inline_thread = &weft_epoch_nobody;
    weft_spares_empty(&record->spares);
    record_release(record);
}

static bool processor_may_inline(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.1") != 0;
#else
    return true;
#endif
}

/* When the library is loaded, so that no thread can be too early for them. */
__attribute__((constructor)) static void install_hooks(void) {
    weft_thread_at_exit(hand_over_record);
    weft_thread_at_fork_child(after_fork_in_child);
    (void)weft_barrier_heavy(); /* decides on the kind of barrier */
    may_inline = weft_barrier_is_asymmetric() && processor_may_inline();
}

static bool add_chunk(void) {
    WEFT_ASSERT(sizeof(weft_record_chunk) % WEFT_CACHE_LINE == 0);
    weft_record_chunk *chunk =
        weft_memory_alloc(&weft_memory_default, sizeof *chunk, WEFT_CACHE_LINE);
    if (chunk == NULL) {
        return false;
    }
    memset(chunk, 0, sizeof *chunk);
    uint32_t base = STATIC_RECORDS + weft_fetch_add_relaxed(&global.records, CHUNK_RECORDS);
    for (uint32_t i = 0; i < CHUNK_RECORDS; i++) {
        set_number(&chunk->records[i], base + i + 1);
    }
    chunk->next = weft_load_relaxed(&global.chunks);
    /* Release: pairs with the acquire in each_record. */
    while (!weft_cas_acq_rel(&global.chunks, &chunk->next, chunk)) {
    }
    return true;
}

/* A record for this thread or guard; NULL without memory. */
static weft_record *record_take(void) {
    WEFT_ASSERT(*weft_thread_slot() == NULL || ((weft_record *)*weft_thread_slot())->number != 0);
    for (;;) {
        weft_record *record = NULL;
        each_record(take_if_free, &record);
        if (record != NULL || !add_chunk()) {
            return record;
        }
    }
}

static WEFT_COLD weft_record *my_record_slow(void) {
    weft_record *record = record_take();
    if (record != NULL) {
        weft_thread_set_slot(record);
        weft_inline_thread = may_inline ? record : &weft_epoch_nobody;
    }
    return record;
}

/* This thread's record; NULL only without memory. */
static inline weft_record *my_record(void) {
    weft_record *record = *weft_thread_slot();
    return WEFT_LIKELY(record != NULL) ? record : my_record_slow();
}

uint32_t weft_epoch_thread_number_slow(void) {
    weft_record *record = my_record();
    return record != NULL ? record->number : SHARED_NUMBER;
}

uint64_t weft_epoch_stamp_shared(void) {
    return weft_fetch_add_relaxed(&global.stamps, (uint64_t)1 << 16) & (UINT64_MAX >> 6);
}

/* ---- guards ---------------------------------------------------------------------------------- */

/* A thread without a record is counted in shared_pins; its guard holds the counter's index,
 * marked. */
static void *shared_enter(void) {
    WEFT_ASSERT(*weft_thread_slot() == NULL);
    for (;;) {
        uint64_t epoch = weft_load_seq_cst(&weft_guard_clock.epoch);
        unsigned bag = epoch % WEFT_LIMBO_BAGS;
        weft_fetch_add_seq_cst(&global.shared_pins[bag], 1);
        /* Counted before the epoch could move on from it, or try again. */
        if (weft_load_seq_cst(&weft_guard_clock.epoch) == epoch) {
            return (void *)(uintptr_t)(bag << 1 | 1);
        }
        weft_fetch_add_seq_cst(&global.shared_pins[bag], (uint64_t)-1);
    }
}

static void shared_leave(uintptr_t mark) {
    weft_fetch_add_seq_cst(&global.shared_pins[mark >> 1], (uint64_t)-1);
}

WEFT_COLD void weft_epoch_enter_slow(weft_guard *guard) {
    weft_record *record = my_record();
    guard->record = record;
    if (record == NULL) {
        guard->record = shared_enter();
    } else if (record->nest++ == 0) {
        weft_epoch_show(record);
    }
}

void weft_guard_enter(weft_guard *guard) {
    weft_epoch_enter(guard);
}

void weft_guard_enter_movable(weft_guard *guard) {
    weft_record *record = record_take();
    if (record == NULL) {
        guard->record = shared_enter();
        return;
    }
    guard->record = record;
    record->nest = 1;
    weft_epoch_show(record);
}

void weft_guard_leave(weft_guard *guard) {
    uintptr_t mark = (uintptr_t)guard->record;
    if (WEFT_UNLIKELY((mark & 1) != 0)) {
        shared_leave(mark);
        return;
    }
    weft_record *record = guard->record;
    WEFT_ASSERT(record != NULL && record->nest > 0);
    if (--record->nest > 0) {
        return;
    }
    if (record == *weft_thread_slot()) {
        /* Release: pairs with the acquire in scan_record; the stretch's reads come before
         * freeing. */
        weft_store_release(&record->pinned, 0);
    } else {
        record_release(record);
    }
}

/* ---- moving the epoch ------------------------------------------------------------------------ */

static bool scan_record(weft_record *record, void *ctx) {
    uint64_t epoch = *(uint64_t *)ctx;
    /* Acquire: pairs with the release in leave. */
    uint64_t pinned = weft_load_acquire(&record->pinned);
    if (pinned == 0 || pinned == epoch) {
        return true;
    }
    if (weft_load_relaxed(&global.stalled_record) != (uintptr_t)record ||
        weft_load_relaxed(&global.stalled_epoch) != pinned) {
        weft_store_relaxed(&global.stalled_record, (uintptr_t)record);
        weft_store_relaxed(&global.stalled_epoch, pinned);
        weft_store_relaxed(&global.stalled_since_ns, weft_clock_monotonic_ns());
    }
    return false;
}

/* Moves the epoch on if every record that is inside has seen it. */
static bool advance(void) {
    WEFT_ASSERT(weft_load_relaxed(&weft_guard_clock.epoch) >= WEFT_LIMBO_BAGS);
    uint64_t epoch = weft_load_seq_cst(&weft_guard_clock.epoch);
    if (!weft_barrier_heavy()) { /* pairs with weft_barrier_light in pin */
        return false;
    }
    if (weft_load_seq_cst(&global.shared_pins[(epoch - 1) % WEFT_LIMBO_BAGS]) != 0 ||
        !each_record(scan_record, &epoch)) {
        return false;
    }
    if (weft_cas_seq_cst(&weft_guard_clock.epoch, &epoch, epoch + 1)) {
        weft_store_relaxed(&global.stalled_record, 0);
        weft_fetch_add_relaxed(&global.advances, 1);
    }
    return true;
}

bool weft_epoch_synchronize(void) {
    WEFT_ASSERT(weft_load_relaxed(&weft_guard_clock.epoch) >= WEFT_LIMBO_BAGS);
    if (weft_epoch_inside()) {
        return false;
    }
    uint64_t goal = weft_load_seq_cst(&weft_guard_clock.epoch) + 2;
    for (unsigned turn = 0; weft_load_seq_cst(&weft_guard_clock.epoch) < goal; turn++) {
        if (!advance()) {
            weft_pause();
            if (turn > 16) {
                weft_yield();
            }
        }
    }
    return true;
}

/* ---- limbo ----------------------------------------------------------------------------------- */

static weft_limbo_link *link_at(uint64_t tagged) {
    return (weft_limbo_link *)(uintptr_t)(tagged & ~(uint64_t)7);
}

static void count_up(uint64_t *counter, uint64_t amount) {
    weft_store_relaxed(counter, weft_load_relaxed(counter) + amount);
}

static weft_record *counting_record(void) {
    weft_record *record = my_record();
    return record != NULL ? record : &global.shared;
}

static void push(uint64_t *head, uint64_t link) {
    WEFT_ASSERT(link_at(link) != NULL);
    uint64_t first = weft_load_relaxed(head);
    do {
        /* Release: whoever reads the link sees what the owner marked before. Pairs with the owner's
         * look. */
        weft_store_release(link_at(link), first);
        /* Release: the object's last state is visible to whoever takes the bag. Pairs with
         * take_bag. */
    } while (!weft_cas_acq_rel(head, &first, link));
}

/* Frees at most `budget` objects of the chain; returns what is left of it. */
static uint64_t free_chain(weft_limbo *limbo, weft_limbo_stripe *stripe, uint64_t chain,
                           size_t budget) {
    WEFT_ASSERT(limbo->release != NULL);
    if (chain == 0) {
        return 0;
    }
    weft_record *record = counting_record();
    uint64_t objects = 0;
    uint64_t bytes = 0;
    record->freeing = 1;
    for (; chain != 0 && objects < budget; objects++) {
        uint64_t link = chain;
        chain = weft_load_relaxed(link_at(link));
        bytes += limbo->release(limbo->ctx, link);
    }
    record->freeing = 0;
    weft_fetch_add_relaxed(&stripe->objects, -objects);
    weft_fetch_add_relaxed(&stripe->bytes, -bytes);
    count_up(&record->freed_objects, objects);
    count_up(&record->freed_bytes, bytes);
    return chain;
}

/* Takes the bag that has become free. The caller is inside a guard. */
static uint64_t take_bag(weft_limbo_stripe *stripe) {
    WEFT_ASSERT(stripe != NULL);
    uint64_t epoch = weft_load_seq_cst(&weft_guard_clock.epoch);
#if WEFT_MUTANT == 2 /* frees one epoch early */
    uint64_t *head = &stripe->heads[(epoch + 3) % WEFT_LIMBO_BAGS];
#else
    uint64_t *head = &stripe->heads[(epoch + 2) % WEFT_LIMBO_BAGS];
#endif
    /* Acquire: pairs with the release in push. */
    return weft_load_relaxed(head) == 0 ? 0 : weft_exchange_acq_rel(head, 0);
}

/* Leaves a chain for later: here, or where there is room. Threads that share a stripe may meet, and
 * another's remainder be in the way. False: there is one on every stripe. */
static bool leave_ready(weft_limbo *limbo, const weft_limbo_stripe *here, uint64_t chain) {
    WEFT_ASSERT(chain != 0);
    uint32_t first = (uint32_t)(here - limbo->stripes);
    for (uint32_t i = 0; i < limbo->stripe_count; i++) {
        uint64_t *ready = &limbo->stripes[(first + i) & (limbo->stripe_count - 1)].ready;
        uint64_t none = 0;
        /* Release: pairs with the exchange in collect_stripe. */
        if (weft_load_relaxed(ready) == 0 && weft_cas_acq_rel(ready, &none, chain)) {
            return true;
        }
    }
    return false;
}

/* Frees at most `budget` of what is free on this stripe; the caller is inside a guard. */
static void collect_stripe(weft_limbo *limbo, weft_limbo_stripe *stripe, size_t budget) {
    WEFT_ASSERT(budget > 0);
    uint64_t chain = weft_load_relaxed(&stripe->ready) == 0
                         ? take_bag(stripe)
                         : weft_exchange_acq_rel(&stripe->ready, 0); /* pairs with leave_ready */
    do {
        chain = free_chain(limbo, stripe, chain, budget);
    } while (chain != 0 && !leave_ready(limbo, stripe, chain));
}

/* How many the thread, or all threads without a stripe of their own, have retired here. */
static uint64_t count_retired(const weft_limbo *limbo, weft_limbo_stripe *stripe,
                              const weft_record *record, size_t bytes) {
    if (WEFT_LIKELY(record->number - 1 < limbo->stripe_count)) {
        count_up(&stripe->own_objects, 1);
        count_up(&stripe->own_bytes, bytes);
        return stripe->own_objects;
    }
    weft_fetch_add_relaxed(&stripe->bytes, bytes);
    return weft_fetch_add_relaxed(&stripe->objects, 1);
}

/* How many objects one collection frees: about as many as are retired between two of them, so that
 * whoever retires and allocates in turns gets the blocks back one by one. */
static size_t to_free(const weft_limbo_stripe *stripe) {
    uint64_t pending =
        weft_load_relaxed(&stripe->objects) + weft_load_relaxed(&stripe->own_objects);
    return pending > BACKLOG ? FREE_AT_ONCE : FREE_EACH_TIME;
}

void weft_limbo_retire(weft_limbo *limbo, uint64_t link, size_t bytes) {
    weft_record *record = counting_record();
    uint32_t mask = limbo->stripe_count - 1;
    weft_limbo_stripe *stripe = &limbo->stripes[record->number & mask];
    WEFT_ASSERT((limbo->stripe_count & mask) == 0);

    /* Sequentially consistent: behind the caller's unlinking, so that the bag is not too old a
     * one. */
    uint64_t epoch = weft_load_seq_cst(&weft_guard_clock.epoch);
    push(&stripe->heads[epoch % WEFT_LIMBO_BAGS], link);
    uint64_t retired = count_retired(limbo, stripe, record, bytes);
    count_up(&record->retired_objects, 1);
    count_up(&record->retired_bytes, bytes);

    if (record->freeing != 0) {
        return;
    }
    uint64_t since = weft_load_relaxed(&stripe->since_advance) + 1 + bytes / BYTES_AS_OBJECT;
    weft_store_relaxed(&stripe->since_advance, since);
    if (since >= ADVANCE_EVERY) {
        weft_store_relaxed(&stripe->since_advance, 0);
        advance();
        collect_stripe(limbo, &limbo->stripes[epoch & mask], FREE_AT_ONCE);
    }
    if (retired % COLLECT_EVERY == 0) {
        collect_stripe(limbo, stripe, to_free(stripe));
    }
}

bool weft_limbo_collect(weft_limbo *limbo, size_t budget) {
    WEFT_ASSERT(limbo->stripe_count > 0);
    for (int turn = 0; turn <= 3; turn++) {
        if (turn != 0) {
            advance(); /* behind what is free now: its bag would wait until the epoch comes round */
        }
        weft_guard guard;
        weft_guard_enter(&guard);
        for (uint32_t i = 0; i < limbo->stripe_count; i++) {
            collect_stripe(limbo, &limbo->stripes[i], budget);
        }
        weft_guard_leave(&guard);
    }
    uint64_t objects;
    uint64_t bytes;
    weft_limbo_pending(limbo, &objects, &bytes);
    return objects == 0;
}

void weft_limbo_drain(weft_limbo *limbo) {
    WEFT_ASSERT(limbo->stripe_count > 0);
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < limbo->stripe_count; i++) {
            weft_limbo_stripe *stripe = &limbo->stripes[i];
            for (int bag = 0; bag <= WEFT_LIMBO_BAGS; bag++) {
                uint64_t *head = bag == WEFT_LIMBO_BAGS ? &stripe->ready : &stripe->heads[bag];
                uint64_t chain = weft_exchange_acq_rel(head, 0); /* pairs with push */
                again = again || chain != 0;
                free_chain(limbo, stripe, chain, SIZE_MAX);
            }
        }
    }
}

void weft_limbo_pending(const weft_limbo *limbo, uint64_t *objects, uint64_t *bytes) {
    *objects = 0;
    *bytes = 0;
    for (uint32_t i = 0; i < limbo->stripe_count; i++) {
        const weft_limbo_stripe *stripe = &limbo->stripes[i];
        *objects += weft_load_relaxed(&stripe->objects) + weft_load_relaxed(&stripe->own_objects);
        *bytes += weft_load_relaxed(&stripe->bytes) + weft_load_relaxed(&stripe->own_bytes);
    }
}

/* ---- statistics ------------------------------------------------------------------------------ */

static bool add_record(weft_record *record, void *ctx) {
    weft_reclaim_stats *stats = ctx;
    stats->pending_objects +=
        weft_load_relaxed(&record->retired_objects) - weft_load_relaxed(&record->freed_objects);
    stats->pending_bytes +=
        weft_load_relaxed(&record->retired_bytes) - weft_load_relaxed(&record->freed_bytes);
    stats->guards += weft_load_relaxed(&record->pinned) != 0;
    return true;
}

void weft_reclaim_stats_get(weft_reclaim_stats *stats) {
    WEFT_ASSERT(stats != NULL);
    memset(stats, 0, sizeof *stats);
    advance(); /* so that a guard that holds things back is noticed even when nobody retires */
    each_record(add_record, stats);
    add_record(&global.shared, stats);
    for (int i = 0; i < WEFT_LIMBO_BAGS; i++) {
        stats->guards += weft_load_relaxed(&global.shared_pins[i]);
    }
    stats->epoch = weft_load_relaxed(&weft_guard_clock.epoch);
    stats->advances = weft_load_relaxed(&global.advances);
    weft_record *stalled = (weft_record *)(uintptr_t)weft_load_relaxed(&global.stalled_record);
    if (stalled != NULL &&
        weft_load_relaxed(&stalled->pinned) == weft_load_relaxed(&global.stalled_epoch)) {
        uint64_t now = weft_clock_monotonic_ns();
        uint64_t since = weft_load_relaxed(&global.stalled_since_ns);
        stats->oldest_guard_ns = now > since ? now - since : 1;
    }
}

#if defined(WEFT_SCHED) && WEFT_SCHED
static bool forget_record(weft_record *record, void *ctx) {
    (void)ctx;
    uint32_t number = record->number;
    weft_spares_empty(&record->spares);
    memset(record, 0, sizeof *record);
    set_number(record, number);
    return true;
}

/* Each schedule starts from the same state, so that a seed means the same thing anywhere. */
void weft_epoch_reset(void) {
    each_record(forget_record, NULL);
    memset(global.shared_pins, 0, sizeof global.shared_pins);
    weft_guard_clock.epoch = WEFT_LIMBO_BAGS;
    *weft_thread_slot() = NULL;
}
#endif
