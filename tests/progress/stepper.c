/* SPDX-License-Identifier: MIT */
/* The trap flag makes the processor raise a trap after each instruction; the kernel turns it into
 * SIGTRAP, whose handler counts. That costs microseconds a step, and on virtual machines tens of
 * them, so that a function of n instructions would cost n²/2 of them. Therefore a run that is to be
 * stopped uses what a traced run has found: it goes at full speed up to a breakpoint (int3) at the
 * last place before the wanted one that is new, and makes single steps only from there. The
 * breakpoint is taken out before the thread stands still, so that the others never meet it. */
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

enum { TRAP_FLAG = 0x100, INT3 = 0xcc, SEEN_SLOTS = 1 << 18 };

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

/* The run that is under way. */
static struct {
    progress_trace *trace; /* to be filled, or NULL */
    const progress_stop *stop;
    uintptr_t last; /* the program counter that was counted last */
    size_t steps;   /* instructions so far */
    bool stopped;
    uintptr_t breakpoint; /* 0: none is set */
    size_t anchor;        /* where it is */
    uint8_t covered;      /* the byte that it covers */
} now;

static __thread bool is_stepping;

bool progress_is_stepping(void) {
    return is_stepping;
}

static void poke(uintptr_t address, uint8_t byte) {
    *(volatile uint8_t *)address = byte;
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
    if (now.breakpoint != 0) {
        poke(now.breakpoint, now.covered);
        registers[REG_RIP] = (greg_t)now.breakpoint;
        now.breakpoint = 0;
        now.steps = now.anchor - 1; /* counted up below */
        now.last = 1;               /* no program counter */
    }
    if (count_step((uintptr_t)registers[REG_RIP])) {
        registers[REG_EFL] |= TRAP_FLAG;
    } else {
        registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    }
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
    trace->anchors = weft_pages_map(PROGRESS_TRACE_MAX * sizeof *trace->anchors);
    return trace->at != NULL && trace->anchors != NULL;
}

void progress_trace_free(progress_trace *trace) {
    weft_pages_unmap(trace->at, PROGRESS_TRACE_MAX * sizeof *trace->at);
    weft_pages_unmap(trace->anchors, PROGRESS_TRACE_MAX * sizeof *trace->anchors);
}

/* Adds to a set of addresses; false if it was there, or if the set is full. */
static bool is_new(uintptr_t *seen, uintptr_t address) {
    size_t at = (address * UINT64_C(0x9e3779b97f4a7c15)) >> 46;
    for (size_t turn = 0; turn < SEEN_SLOTS; turn++, at = (at + 1) % SEEN_SLOTS) {
        if (seen[at] == 0) {
            seen[at] = address;
            return true;
        }
        if (seen[at] == address) {
            return false;
        }
    }
    return false;
}

/* Breakpoints are set in the program's code only: other libraries are not ours to write. */
static void find_anchors(progress_trace *trace) {
    uintptr_t *seen = weft_pages_map(SEEN_SLOTS * sizeof *seen);
    uint32_t anchor = 0;
    for (size_t k = 0; k < trace->count; k++) {
        uintptr_t pc = trace->at[k];
        bool own = pc >= code.begin && pc < code.end;
        if (seen != NULL && code.writable && own && is_new(seen, pc)) {
            anchor = (uint32_t)k;
        }
        trace->anchors[k] = anchor;
    }
    weft_pages_unmap(seen, SEEN_SLOTS * sizeof *seen);
}

static void run(progress_fn fn, void *ctx, uint64_t flags) {
    is_stepping = true;
    progress_call(fn, ctx, flags);
    is_stepping = false;
    if (now.breakpoint != 0) {
        poke(now.breakpoint, now.covered);
        now.breakpoint = 0;
    }
}

void progress_run_traced(progress_trace *trace, progress_fn fn, void *ctx) {
    trace->outside = 0;
    memset(&now, 0, sizeof now);
    now.trace = trace;
    run(fn, ctx, TRAP_FLAG);
    trace->count = now.steps;
    find_anchors(trace);
}

bool progress_run_stopped(const progress_stop *stop, progress_fn fn, void *ctx) {
    memset(&now, 0, sizeof now);
    now.stop = stop;
    uint32_t anchor = stop->trace == NULL ? 0 : stop->trace->anchors[stop->step];
    if (anchor == 0) {
        run(fn, ctx, TRAP_FLAG);
        return now.stopped;
    }
    now.anchor = anchor;
    now.breakpoint = stop->trace->at[anchor];
    now.covered = *(const uint8_t *)now.breakpoint;
    poke(now.breakpoint, INT3);
    run(fn, ctx, 0);
    return now.stopped;
}

#endif
