// SPDX-License-Identifier: MIT
// The memory orders of the protocols, in Relacy: small parts of them with the orders of the engine,
// in executions that the memory model of C++11 allows and no order of whole steps shows.
//
//   orders KERNEL           0: no execution is wrong; 1: one is; each order as in the engine
//   orders KERNEL SITE      the same with one order weakened to relaxed
//   orders                  prints kernels and sites
#include <relacy/relacy.hpp>

#include <cstdio>
#include <cstring>
#include <iostream>

namespace {

int weakened = -1; // the site whose order is relaxed

rl::memory_order at(int site, rl::memory_order order) {
    return site == weakened ? rl::mo_relaxed : order;
}

// A CAS whose order is that of its site, also where it fails.
bool cas(rl::atomic<unsigned> &word, unsigned &expected, unsigned desired, rl::memory_order order) {
    rl::memory_order failed = order == rl::mo_acq_rel ? rl::mo_acquire : order;
    return word($).compare_exchange_strong(expected, desired, order, failed);
}

// ---- look: a slot of the bytes shape that is emptied, taken by another entry and published ------
// lockfree.c: look, slot_swing, sweep_slots, swing_absent

struct look : rl::test_suite<look, 2> {
    enum { STATE_LOAD, SLOT_LOAD, RESERVE, SWEEP, PUBLISH, SITES };
    static const char *site(int i) {
        static const char *const names[] = {"state_load", "slot_load", "reserve", "sweep",
                                            "publish"};
        return names[i];
    }
    enum { OLD = 1, NEW = 2, GONE = 3, FIRST = 1, SWEPT = 2, SECOND = 3 };

    rl::atomic<unsigned> state, slot;
    rl::var<int> entry[3];

    void before() {
        entry[OLD]($) = OLD;
        slot($).store(OLD, rl::mo_relaxed);
        state($).store(FIRST, rl::mo_relaxed);
    }

    void thread(unsigned index) {
        index == 0 ? write() : read();
    }

    void write() {
        unsigned word = OLD, was = FIRST;
        cas(slot, word, GONE, rl::mo_seq_cst);
        cas(state, was, SWEPT, at(SWEEP, rl::mo_acq_rel));
        entry[NEW]($) = NEW;
        word = GONE;
        was = SWEPT;
        cas(slot, word, NEW, at(RESERVE, rl::mo_acq_rel));
        cas(state, was, SECOND, at(PUBLISH, rl::mo_acq_rel));
    }

    void read() {
        unsigned seen = state($).load(at(STATE_LOAD, rl::mo_acquire));
        unsigned word = slot($).load(at(SLOT_LOAD, rl::mo_acquire));
        if (state($).load(rl::mo_acquire) != seen || seen == SWEPT) {
            return;
        }
        RL_ASSERT(seen == FIRST ? word == OLD || word == GONE : word == NEW);
        if (word != GONE) {
            RL_ASSERT(entry[word]($) == (int)word);
        }
    }
};

// ---- update: a word swings to another entry beside a lookup -------------------------------------
// lockfree.c: slot_swing, find_in_words

struct update : rl::test_suite<update, 2> {
    enum { SLOT_LOAD, SWING, SITES };
    static const char *site(int i) {
        static const char *const names[] = {"slot_load", "swing"};
        return names[i];
    }

    rl::atomic<unsigned> slot;
    rl::var<int> entry[2];

    void before() {
        entry[0]($) = 0;
        slot($).store(0, rl::mo_relaxed);
    }

    void thread(unsigned index) {
        unsigned word = 0;
        if (index == 0) {
            entry[1]($) = 1;
            cas(slot, word, 1, at(SWING, rl::mo_seq_cst));
        } else {
            word = slot($).load(at(SLOT_LOAD, rl::mo_acquire));
            RL_ASSERT(entry[word]($) == (int)word);
        }
    }
};

// ---- pair: an announced insert beside a lookup (u64 shape) --------------------------------------
// lockfree_u64.h: plain_insert, plain_find. The two halves of a pair are loaded one by one; here
// they are one word, which a CAS of 16 bytes changes at once, and which is loaded twice.

struct pair : rl::test_suite<pair, 2> {
    enum { STATE_LOAD, FIRST_LOAD, SECOND_LOAD, ANNOUNCE, FILL, SITES };
    static const char *site(int i) {
        static const char *const names[] = {"state_load", "first_load", "second_load", "announce",
                                            "fill"};
        return names[i];
    }
    // Key 1 with value 10 goes, key 2 with value 20 comes: in one slot.
    enum { KEY_1 = 110, GONE = 10, KEY_2 = 220 };

    rl::atomic<unsigned> state, slot;

    void before() {
        slot($).store(KEY_1, rl::mo_relaxed);
        state($).store(1, rl::mo_relaxed);
    }

    void thread(unsigned index) {
        index == 0 ? write() : read();
    }

    void write() {
        unsigned word = KEY_1, was = 1;
        cas(slot, word, GONE, rl::mo_seq_cst);
        cas(state, was, 2, at(ANNOUNCE, rl::mo_seq_cst));
        word = GONE;
        cas(slot, word, KEY_2, at(FILL, rl::mo_seq_cst));
    }

    void read() {
        unsigned seen = state($).load(at(STATE_LOAD, rl::mo_acquire));
        unsigned key = slot($).load(at(FIRST_LOAD, rl::mo_acquire)) / 100;
        unsigned value = slot($).load(at(SECOND_LOAD, rl::mo_acquire)) % 100;
        if (state($).load(rl::mo_acquire) == seen && key != 0) {
            RL_ASSERT(value == key * 10);
        }
    }
};

// ---- move: freeze, mark, fill, publish; a lookup follows ----------------------------------------
// lockfree_move.c: begin_move, group_freeze, fill_target; lockfree.c: find, follow

struct move : rl::test_suite<move, 3> {
    enum {
        NEXT,
        FREEZE,
        MARK,
        FILL,
        PUBLISH,
        STATE_LOAD,
        NEXT_LOAD,
        TARGET_LOAD,
        SLOT_LOAD,
        SITES
    };
    static const char *site(int i) {
        static const char *const names[] = {"next",      "freeze",      "mark",
                                            "fill",      "publish",     "state_load",
                                            "next_load", "target_load", "slot_load"};
        return names[i];
    }
    enum { FROZEN = 8, LIVE = 4 };

    rl::atomic<unsigned> state, slot, next, target_state, target_slot;
    rl::var<int> entry[3], mask;

    void before() {
        entry[1]($) = 1;
        slot($).store(1, rl::mo_relaxed);
        state($).store(LIVE, rl::mo_relaxed);
        next($).store(0, rl::mo_relaxed);
        target_state($).store(0, rl::mo_relaxed);
        target_slot($).store(0, rl::mo_relaxed);
    }

    void thread(unsigned index) {
        if (index == 0) {
            mover();
        } else if (index == 1) {
            writer();
        } else {
            reader();
        }
    }

    void mover() {
        unsigned none = 0, was = LIVE, word;
        mask($) = 1; // what the next generation says of itself
        cas(next, none, 1, at(NEXT, rl::mo_acq_rel));
        cas(state, was, LIVE | FROZEN, at(FREEZE, rl::mo_acq_rel));
        word = slot($).load(at(SLOT_LOAD, rl::mo_acquire));
        do {
            RL_ASSERT(entry[word]($) == (int)word); // to which half does it belong?
        } while (!cas(slot, word, word | FROZEN, at(MARK, rl::mo_acq_rel)));
        none = 0;
        cas(target_slot, none, word, at(FILL, rl::mo_acq_rel));
        none = 0;
        cas(target_state, none, LIVE, at(PUBLISH, rl::mo_seq_cst));
    }

    void writer() {
        unsigned word = 1;
        entry[2]($) = 2;
        cas(slot, word, 2, rl::mo_seq_cst);
    }

    void reader() {
        if ((state($).load(at(STATE_LOAD, rl::mo_acquire)) & FROZEN) == 0) {
            return;
        }
        RL_ASSERT(next($).load(at(NEXT_LOAD, rl::mo_acquire)) == 1);
        RL_ASSERT(mask($) == 1);
        bool moved = target_state($).load(at(TARGET_LOAD, rl::mo_acquire)) != 0;
        unsigned word = (moved ? target_slot : slot)($).load(at(SLOT_LOAD, rl::mo_acquire));
        RL_ASSERT(word != 0);
        RL_ASSERT(entry[word & 3]($) == (int)(word & 3));
    }
};

// ---- epoch: pin, find, leave; unlink, retire; advance, take a bag, free -------------------------
// epoch.c, with the light and the heavy barrier as fences, which they stand for. Relacy does not
// order fences and sequentially consistent accesses among each other, so the CAS that unlinks has a
// fence behind it; on x86-64 it is one.

struct epoch : rl::test_suite<epoch, 3> {
    enum { PIN_EPOCH, LIGHT, LEAVE, UNLINK, RETIRE_EPOCH, PUSH, HEAVY, SCAN, ADVANCE, TAKE, SITES };
    static const char *site(int i) {
        static const char *const names[] = {"pin_epoch",    "light", "leave", "unlink",
                                            "retire_epoch", "push",  "heavy", "scan",
                                            "advance",      "take"};
        return names[i];
    }
    enum { BAGS = 4, FIRST = 4, ADVANCES = 3 };

    rl::atomic<unsigned> clock, pinned, writer_pinned, link, bag[BAGS];
    rl::var<int> object;

    void before() {
        object($) = 1;
        clock($).store(FIRST, rl::mo_relaxed);
        pinned($).store(0, rl::mo_relaxed);
        writer_pinned($).store(0, rl::mo_relaxed);
        link($).store(1, rl::mo_relaxed);
        for (int i = 0; i < BAGS; i++) {
            bag[i]($).store(0, rl::mo_relaxed);
        }
    }

    void enter(rl::atomic<unsigned> &record) {
        record($).store(clock($).load(at(PIN_EPOCH, rl::mo_acquire)), rl::mo_relaxed);
        if (weakened != LIGHT) {
            rl::atomic_thread_fence(rl::mo_seq_cst, $);
        }
    }

    void thread(unsigned index) {
        if (index == 0) {
            enter(pinned);
            if (link($).load(rl::mo_acquire) == 1) {
                RL_ASSERT(object($) == 1);
            }
            pinned($).store(0, at(LEAVE, rl::mo_release));
        } else if (index == 1) {
            unsigned old = 1, none = 0;
            enter(writer_pinned);
            cas(link, old, 0, at(UNLINK, rl::mo_seq_cst));
            if (weakened != UNLINK) {
                rl::atomic_thread_fence(rl::mo_seq_cst, $);
            }
            unsigned now = clock($).load(at(RETIRE_EPOCH, rl::mo_seq_cst));
            cas(bag[now % BAGS], none, 1, at(PUSH, rl::mo_acq_rel));
            writer_pinned($).store(0, rl::mo_release);
        } else {
            for (int i = 0; i < ADVANCES; i++) {
                advance();
                collect();
            }
        }
    }

    void advance() {
        unsigned now = clock($).load(rl::mo_seq_cst);
        if (weakened != HEAVY) {
            rl::atomic_thread_fence(rl::mo_seq_cst, $);
        }
        unsigned reader = pinned($).load(at(SCAN, rl::mo_acquire));
        unsigned writer = writer_pinned($).load(at(SCAN, rl::mo_acquire));
        if ((reader == 0 || reader == now) && (writer == 0 || writer == now)) {
            cas(clock, now, now + 1, at(ADVANCE, rl::mo_seq_cst));
        }
    }

    void collect() {
        unsigned now = clock($).load(rl::mo_seq_cst);
        if (bag[(now + 2) % BAGS]($).exchange(0, at(TAKE, rl::mo_acq_rel)) == 1) {
            object($) = 0; // freed
        }
    }
};

// ---- limbo: two push, one takes the chain -------------------------------------------------------
// epoch.c: push, take_bag; the list of what is freed in pieces (bury.c) is linked in the same way

struct limbo : rl::test_suite<limbo, 3> {
    enum { PUSH, TAKE, SITES };
    static const char *site(int i) {
        static const char *const names[] = {"push", "take"};
        return names[i];
    }

    rl::atomic<unsigned> head, link[3];
    rl::var<int> object[3];

    void before() {
        head($).store(0, rl::mo_relaxed);
        for (int i = 0; i < 3; i++) {
            link[i]($).store(0, rl::mo_relaxed);
            object[i]($) = 0;
        }
    }

    void thread(unsigned index) {
        if (index == 2) {
            unsigned chain = head($).exchange(0, at(TAKE, rl::mo_acq_rel));
            for (int n = 0; chain != 0; chain = link[chain]($).load(rl::mo_relaxed), n++) {
                RL_ASSERT(n < 2 && object[chain]($) == (int)chain);
            }
            return;
        }
        unsigned own = index + 1;
        object[own]($) = (int)own;
        unsigned first = head($).load(rl::mo_relaxed);
        do {
            link[own]($).store(first, rl::mo_release);
        } while (!cas(head, first, own, at(PUSH, rl::mo_acq_rel)));
    }
};

// ---- all ----------------------------------------------------------------------------------------

enum { EXECUTIONS = 200000 };

template <typename kernel> int explore() {
    rl::test_params params;
    std::ostream nowhere(nullptr);
    params.iteration_count = EXECUTIONS;
    params.search_type = rl::random_scheduler_type;
    params.progress_stream = &nowhere;
    params.output_stream = weakened < 0 ? &std::cout : &nowhere;
    return rl::simulate<kernel>(params) ? 0 : 1;
}

struct entry {
    const char *name;
    int (*run)();
    const char *(*site)(int);
    int sites;
};

#define KERNEL(name)                                                                               \
    { #name, explore < name>, name::site, name::SITES }
const entry kernels[] = {KERNEL(look), KERNEL(update), KERNEL(pair),
                         KERNEL(move), KERNEL(epoch),  KERNEL(limbo)};

int run(const entry &kernel, const char *site) {
    for (int i = 0; site != nullptr && i < kernel.sites; i++) {
        if (std::strcmp(kernel.site(i), site) == 0) {
            weakened = i;
        }
    }
    return site != nullptr && weakened < 0 ? 2 : kernel.run();
}

} // namespace

int main(int argc, char **argv) {
    for (const entry &kernel : kernels) {
        if (argc == 1) {
            std::printf("%s", kernel.name);
            for (int i = 0; i < kernel.sites; i++) {
                std::printf(" %s", kernel.site(i));
            }
            std::printf("\n");
        } else if (std::strcmp(kernel.name, argv[1]) == 0) {
            return run(kernel, argc > 2 ? argv[2] : nullptr);
        }
    }
    return argc == 1 ? 0 : 2;
}
