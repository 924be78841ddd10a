/* SPDX-License-Identifier: MIT */
/* The trap flag makes the processor raise a trap after each instruction; the kernel turns it into
 * SIGTRAP, whose handler counts. That costs microseconds a step, and on virtual machines tens of
 * them, so that stopping everywhere in a function of n instructions would cost n²/2 of them.
 * Therefore a run that is to be stopped uses what a traced run has found: it goes at full speed to
 * a breakpoint (int3) in a place that was passed a few times only, perhaps to another one from
 * there, and makes single steps for the rest. Breakpoints are taken out before the thread stands
 * still, so that the others do not meet them. */
#include "progress/stepper.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_ADDRESS__) &&                 \
    !defined(__SANITIZE_THREAD__)
#define CAN_STEP 1
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#undef CAN_STEP
#endif
#endif

#ifndef CAN_STEP

const char *progress_stepper_start(void) {
    return "stepping needs x86-64 Linux, and a build without sanitizers";
}

bool progress_trace_init(progress_trace *trace) {
    (void)trace;
    return false;
}

void progress_trace_free(progress_trace *trace) {
    (void)trace;
}

void progress_run_traced(progress_trace *trace, progress_fn fn, void *ctx) {
    (void)trace;
    fn(ctx);
}

bool progress_run_stopped(const progress_stop *stop, progress_fn fn, void *ctx) {
    (void)stop;
    fn(ctx);
    return false;
}

bool progress_is_stepping(void) {
    return false;
}

#else

#include "base/memory.h"
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { TRAP_FLAG = 0x100, INT3 = 0xcc, SEEN_SLOTS = 1 << 18, LEGS_MAX = 2 };

#define NEVER UINT32_MAX

/* Calls fn(ctx) with these flags set in addition, and clears the trap flag when it is back. */
void progress_call(progress_fn fn, void *ctx, uint64_t flags);
extern const char progress_call_back[]; /* where fn returns to */

__asm__(".text\n"
        ".type progress_call,@function\n"
        ".globl progress_call\n"
        ".globl progress_call_back\n"
        "progress_call:\n"
        "    .cfi_startproc\n"
        "    push %rbp\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset %rbp, -16\n"
        "    mov %rsp, %rbp\n"
        "    .cfi_def_cfa_register %rbp\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    pushfq\n"
        "    orq %rdx, (%rsp)\n"
        "    popfq\n"
        "    call *%rax\n"
        "progress_call_back:\n"
        "    pushfq\n"
        "    andq $~0x100, (%rsp)\n"
        "    popfq\n"
        "    pop %rbp\n"
        "    .cfi_def_cfa %rsp, 8\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size progress_call, .-progress_call\n");

/* The program's own code. */
static struct {
    uintptr_t begin;
    uintptr_t end;
    bool writable; /* breakpoints can be set */
} code;

/* A part of the way: to where a breakpoint is met for the nth time. */
typedef struct leg {
    uintptr_t pc;
    size_t times;
    size_t step; /* the instructions that are then done */
} leg;

/* The run that is under way. */
static struct {
    progress_trace *trace; /* to be filled, or NULL */
    const progress_stop *stop;
    uintptr_t last; /* the program counter that was counted last */
    size_t steps;   /* instructions so far */
    bool stopped;
    leg legs[LEGS_MAX];
    unsigned leg; /* the one that is under way */
    unsigned legs_count;
    bool is_set;     /* the breakpoint of this leg is in its place */
    bool to_be_set;  /* after the next step */
    uint8_t covered; /* the byte that it covers */
} now;

static __thread bool is_stepping;

bool progress_is_stepping(void) {
    return is_stepping;
}

static void poke(uintptr_t address, uint8_t byte) {
    *(volatile uint8_t *)address = byte;
}

static void set_breakpoint(void) {
    uintptr_t pc = now.legs[now.leg].pc;
    now.covered = *(const uint8_t *)pc;
    now.is_set = true;
    poke(pc, INT3);
}

static void take_out_breakpoint(void) {
    if (now.is_set) {
        poke(now.legs[now.leg].pc, now.covered);
        now.is_set = false;
    }
}

/* The thread has made a step; false if it needs no more of them. */
static bool count_step(uintptr_t pc) {
    if (pc == now.last) {
        return true; /* one more turn of an instruction that repeats itself */
    }
    bool entry = now.last == 0;
    now.last = pc;
    now.steps += !entry;
    if (now.trace != NULL) {
        now.trace->cut = now.steps >= PROGRESS_TRACE_MAX;
        if (now.trace->cut) {
            return false;
        }
        now.trace->at[now.steps] = pc;
        now.trace->outside += pc < code.begin || pc >= code.end;
    }
    if (pc == (uintptr_t)progress_call_back) {
        return false;
    }
    if (now.stop != NULL && now.steps == now.stop->step) {
        now.stopped = true;
        now.stop->stopped(now.stop->ctx, pc);
        return false;
    }
    return true;
}

/* The breakpoint was met, and is taken out. The rest of the way may need it again, or the next one,
 * once the instruction that it covered is done; false if neither. */
static bool goes_on(uintptr_t pc) {
    leg *here = &now.legs[now.leg];
    now.last = pc;
    if (--here->times != 0) {
        now.to_be_set = true;
        return true;
    }
    now.steps = here->step;
    now.to_be_set = ++now.leg < now.legs_count;
    return now.to_be_set;
}

/* Is another trap wanted after the next instruction? */
static bool on_step(uintptr_t pc) {
    if (!now.to_be_set) {
        return count_step(pc);
    }
    if (pc != now.last) {
        now.to_be_set = false;
        set_breakpoint();
        return false;
    }
    return true; /* one more turn of an instruction that repeats itself */
}

static void on_trap(int number, siginfo_t *info, void *opaque) {
    greg_t *registers = ((ucontext_t *)opaque)->uc_mcontext.gregs;
    int error = errno;
    (void)number;
    (void)info;
    if (!is_stepping) {
        /* Another thread has met the breakpoint: it tries again until it is gone. */
        registers[REG_RIP] -= 1;
        return;
    }
    bool again;
    if (now.is_set) {
        uintptr_t pc = now.legs[now.leg].pc;
        registers[REG_RIP] = (greg_t)pc;
        take_out_breakpoint();
        again = goes_on(pc);
        if (!again) {
            now.last = 1; /* no program counter */
            now.steps--;  /* counted up again */
            again = count_step(pc);
        }
    } else {
        again = on_step((uintptr_t)registers[REG_RIP]);
    }
    registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    registers[REG_EFL] |= again ? TRAP_FLAG : 0;
    errno = error;
}

static int note_code(struct dl_phdr_info *info, size_t size, void *ctx) {
    (void)size;
    (void)ctx;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            code.begin = info->dlpi_addr + part->p_vaddr;
            code.end = code.begin + part->p_memsz;
        }
    }
    return 1; /* the first object is the program */
}

static void probe_fn(void *ctx) {
    for (volatile int i = 0; i < 4; i++) {
        *(volatile int *)ctx += i;
    }
}

const char *progress_stepper_start(void) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGTRAP, &action, NULL) != 0) {
        return "there can be no handler of SIGTRAP";
    }
    (void)dl_iterate_phdr(note_code, NULL);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = code.begin & ~(page - 1);
    code.writable = code.end != 0 && mprotect((void *)from, code.end - from,
                                              PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
    progress_trace trace;
    if (!progress_trace_init(&trace)) {
        return "there is no memory for a trace";
    }
    int sum = 0;
    progress_run_traced(&trace, probe_fn, &sum);
    bool works = trace.count > 8 && sum == 6;
    progress_trace_free(&trace);
    return works ? NULL : "this system does not let a program step itself";
}

bool progress_trace_init(progress_trace *trace) {
    *trace = (progress_trace){0};
    trace->at = weft_pages_map(PROGRESS_TRACE_MAX * sizeof *trace->at);
    trace->earlier = weft_pages_map(PROGRESS_TRACE_MAX * sizeof *trace->earlier);
    trace->last = weft_pages_map(PROGRESS_TRACE_MAX * sizeof *trace->last);
    return trace->at != NULL && trace->earlier != NULL && trace->last != NULL;
}

void progress_trace_free(progress_trace *trace) {
    weft_pages_unmap(trace->at, PROGRESS_TRACE_MAX * sizeof *trace->at);
    weft_pages_unmap(trace->earlier, PROGRESS_TRACE_MAX * sizeof *trace->earlier);
    weft_pages_unmap(trace->last, PROGRESS_TRACE_MAX * sizeof *trace->last);
}

/* ---- the way to an instruction --------------------------------------------------------------- */

/* A set of program counters, each with when it was there last. */
typedef struct seen {
    uintptr_t pc;
    uint32_t last;
} seen;

static uint32_t exchange_last(seen *set, uintptr_t pc, uint32_t step) {
    size_t at = (pc * UINT64_C(0x9e3779b97f4a7c15)) >> 46;
    while (set[at].pc != 0 && set[at].pc != pc) {
        at = (at + 1) % SEEN_SLOTS;
    }
    uint32_t last = set[at].pc == 0 ? NEVER : set[at].last;
    set[at] = (seen){pc, step};
    return last;
}

/* Breakpoints are set in the program's code only: other libraries are not ours to write. A program
 * counter that cannot have one has been there too often. */
static void find_repeats(progress_trace *trace) {
    seen *set = weft_pages_map(SEEN_SLOTS * sizeof *set);
    size_t distinct = 0;
    for (size_t k = 0; k < trace->count; k++) {
        uintptr_t pc = trace->at[k];
        bool usable = pc >= code.begin && pc < code.end && code.writable && set != NULL;
        if (!usable || k == 0 || distinct > SEEN_SLOTS / 2) {
            trace->earlier[k] = NEVER;
            trace->last[k] = NEVER;
            continue;
        }
        uint32_t last = exchange_last(set, pc, (uint32_t)k);
        distinct += last == NEVER;
        trace->last[k] = last;
        trace->earlier[k] = last == NEVER ? 0 : trace->earlier[last] + 1;
    }
    weft_pages_unmap(set, SEEN_SLOTS * sizeof *set);
}

/* How often a breakpoint at the program counter of `to` is met on the way there. */
static size_t meetings(const progress_trace *trace, size_t from, size_t to) {
    size_t met = 0;
    for (uint32_t at = (uint32_t)to; at != NEVER && at > from; at = trace->last[at]) {
        met++;
    }
    return met;
}

/* The cheapest leg that ends at `to` or before, in steps: a meeting costs about as much as one. A
 * step behind the leg counts 1 / `discount`. 0: there is none. */
static size_t find_leg(const progress_trace *trace, size_t from, size_t to, size_t discount) {
    size_t best = 0;
    size_t least = to - from;
    for (size_t at = to; at > from && (to - at) / discount < least; at--) {
        bool near = trace->earlier[at] < least || from != 0;
        if (trace->earlier[at] == NEVER || !near) {
            continue;
        }
        size_t met = from == 0 ? trace->earlier[at] + 1 : meetings(trace, from, at);
        size_t cost = met + (to - at) / discount;
        if (cost < least) {
            least = cost;
            best = at;
        }
    }
    return best;
}

static void add_leg(const progress_trace *trace, size_t from, size_t to) {
    now.legs[now.legs_count++] = (leg){trace->at[to], meetings(trace, from, to), to};
}

enum { DISCOUNT = 8 };

static void plan(const progress_trace *trace, size_t step) {
    size_t first = find_leg(trace, 0, step, DISCOUNT);
    if (first == 0) {
        return;
    }
    add_leg(trace, 0, first);
    size_t second = first == step ? 0 : find_leg(trace, first, step, 1);
    if (second != 0) {
        add_leg(trace, first, second);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static void run(progress_fn fn, void *ctx, uint64_t flags) {
    is_stepping = true;
    progress_call(fn, ctx, flags);
    is_stepping = false;
    take_out_breakpoint();
}

void progress_run_traced(progress_trace *trace, progress_fn fn, void *ctx) {
    trace->outside = 0;
    memset(&now, 0, sizeof now);
    now.trace = trace;
    run(fn, ctx, TRAP_FLAG);
    trace->count = now.steps;
    find_repeats(trace);
}

bool progress_run_stopped(const progress_stop *stop, progress_fn fn, void *ctx) {
    memset(&now, 0, sizeof now);
    now.stop = stop;
    if (stop->trace != NULL) {
        plan(stop->trace, stop->step);
    }
    if (now.legs_count == 0) {
        run(fn, ctx, TRAP_FLAG);
    } else {
        set_breakpoint();
        run(fn, ctx, 0);
    }
    return now.stopped;
}

#endif
