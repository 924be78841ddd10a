/* SPDX-License-Identifier: MIT */
/* Two processes, each on a processor of its own, first give one line to each other in turns, then
 * count as fast as they can. */
#include "placement.h"
#include "base/clock.h"
#include "base/platform.h"
#include "stats.h"
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BATCHES = 4, /* the fastest counts: who was preempted says nothing of lines */
    TURNS = 300, /* of each of the two, in a batch */
    LOOPS = 8,   /* the median counts */
    STEPS = 20000
};

/* Of the probes of some hours on a two-core virtual machine (Zen 4): cores that share a cache hand
 * a line over in 25 to 48 ns, cores that do not in 155 to 200; two threads of one core need exactly
 * twice as long for a step, and threads whose cores somebody else's machine uses too, 1.1 to 1.6
 * times as long. */
static const double apart_factor = 2.5;
static const double shared_factor = 1.25;

static const uint64_t patience_ns = 1000000000;

/* Between the two. */
struct weft_placement_table {
    cpu_set_t processors[2];
    _Alignas(2 * WEFT_CACHE_LINE) _Atomic uint64_t ball; /* goes up by one with each turn */
    _Alignas(2 * WEFT_CACHE_LINE) double partner_step;   /* handed over with the ball */
};

typedef struct weft_placement_table placement_table;

/* Until it is the turn of who takes the ball at `turn`; false: the other one does not come. */
static bool await(placement_table *table, uint64_t turn) {
    uint64_t until = weft_clock_monotonic_ns() + patience_ns;
    for (uint32_t spins = 1;; spins++) {
        /* Acquire and release: as a lock that is handed over. */
        if (atomic_load_explicit(&table->ball, memory_order_acquire) == turn) {
            return true;
        }
        if (spins % 65536 == 0 && weft_clock_monotonic_ns() > until) {
            return false;
        }
    }
}

static void pass(placement_table *table, uint64_t turn) {
    atomic_store_explicit(&table->ball, turn + 1, memory_order_release);
}

/* Every other turn from `turn` on; ns of one, of the fastest batch; 0: the other one left. */
static double play(placement_table *table, uint64_t turn) {
    double least = 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t began = weft_clock_monotonic_ns();
        for (int i = 0; i < TURNS; i++, turn += 2) {
            if (!await(table, turn)) {
                return 0;
            }
            pass(table, turn);
        }
        double each = (double)(weft_clock_monotonic_ns() - began) / (2 * TURNS);
        least = batch == 0 || each < least ? each : least;
    }
    return least;
}

/* Six chains of additions: as many as a core can add at once. */
static void count_up(void) {
    uint64_t n[6] = {0};
    for (uint32_t i = 0; i < STEPS; i++) {
        for (uint32_t k = 0; k < 12; k++) {
            n[k % 6]++;
            __asm__ volatile("" : "+r"(n[k % 6]));
        }
    }
}

/* ns of a step. */
static double count(void) {
    double loops[LOOPS];
    for (int i = 0; i < LOOPS; i++) {
        uint64_t began = weft_clock_monotonic_ns();
        count_up();
        loops[i] = (double)(weft_clock_monotonic_ns() - began) / STEPS;
    }
    return weft_bench_median((weft_bench_samples){loops, LOOPS});
}

enum { TURNS_OF_BOTH = 2 * BATCHES * TURNS };

static void be_partner(placement_table *table, int from) {
    char go;
    (void)signal(SIGINT, SIG_IGN); /* it ends when the driver does */
    (void)sched_setaffinity(0, sizeof table->processors[1], &table->processors[1]);
    while (read(from, &go, 1) == 1) {
        uint64_t turn = atomic_load_explicit(&table->ball, memory_order_relaxed) & ~(uint64_t)1;
        if (play(table, turn + 1) > 0) {
            table->partner_step = count();
            if (await(table, turn + TURNS_OF_BOTH + 1)) {
                pass(table, turn + TURNS_OF_BOTH + 1);
            }
        }
    }
}

/* The first two processors that this process may run on. */
static bool choose_two(placement_table *table) {
    cpu_set_t allowed;
    int found = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return false;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
        if (CPU_ISSET(cpu, &allowed)) {
            CPU_ZERO(&table->processors[found]);
            CPU_SET(cpu, &table->processors[found]);
            found++;
        }
    }
    return found == 2;
}

void weft_placement_probe_open(weft_placement_probe *probe) {
    int ends[2];
    *probe = (weft_placement_probe){.partner = 0};
    void *table =
        mmap(NULL, sizeof *probe->table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) {
        return;
    }
    probe->table = table;
    if (!choose_two(probe->table) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return;
    }
    probe->partner = fork();
    if (probe->partner == 0) {
        (void)close(ends[1]);
        be_partner(probe->table, ends[0]);
        _exit(0);
    }
    (void)close(ends[0]);
    probe->to_partner = ends[1];
    if (probe->partner < 0) {
        (void)close(ends[1]);
    }
}

/* Knows nothing from now on. */
static void give_up(weft_placement_probe *probe) {
    if (probe->partner > 0) {
        (void)close(probe->to_partner);
        (void)kill(probe->partner, SIGKILL);
        (void)waitpid(probe->partner, NULL, 0);
    }
    probe->partner = 0;
}

void weft_placement_probe_close(weft_placement_probe *probe) {
    give_up(probe);
    if (probe->table != NULL) {
        (void)munmap(probe->table, sizeof *probe->table);
    }
    probe->table = NULL;
}

/* Both turns of the end: this one's step is done, then the partner's. */
static bool finish(placement_table *table, uint64_t turn) {
    if (!await(table, turn)) {
        return false;
    }
    pass(table, turn);
    return await(table, turn + 2);
}

weft_placement weft_placement_probe_take(weft_placement_probe *probe) {
    cpu_set_t allowed;
    placement_table *table = probe->table;
    if (probe->partner <= 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        sched_setaffinity(0, sizeof table->processors[0], &table->processors[0]) != 0) {
        return (weft_placement){0, 0};
    }
    uint64_t turn = atomic_load_explicit(&table->ball, memory_order_relaxed);
    bool asked = send(probe->to_partner, "", 1, MSG_NOSIGNAL) == 1;
    double handover = asked ? play(table, turn) : 0;
    double step = handover > 0 ? count() : 0;
    bool good = step > 0 && finish(table, turn + TURNS_OF_BOTH);
    (void)sched_setaffinity(0, sizeof allowed, &allowed);
    if (!good) {
        give_up(probe);
        return (weft_placement){0, 0};
    }
    return (weft_placement){handover, step < table->partner_step ? step : table->partner_step};
}

static double least(double a, double b) {
    return b > 0 && (b < a || !(a > 0)) ? b : a;
}

static double most(double a, double b) {
    return a > b ? a : b;
}

weft_placement weft_placement_best(weft_placement a, weft_placement b) {
    return (weft_placement){least(a.handover, b.handover), least(a.step, b.step)};
}

weft_placement weft_placement_worst(weft_placement a, weft_placement b) {
    return (weft_placement){most(a.handover, b.handover), most(a.step, b.step)};
}

bool weft_placement_is_moved(weft_placement probe, weft_placement best) {
    return (best.handover > 0 && probe.handover > best.handover * apart_factor) ||
           (best.step > 0 && probe.step > best.step * shared_factor);
}
