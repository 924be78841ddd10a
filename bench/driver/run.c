/* SPDX-License-Identifier: MIT */
/* One workload at a time: make its traces, let every peer prove that it computes the same, fill all
 * maps, and let them take turns. */
#include "run.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/exit.h"
#include "bench.h"
#include "ceilings.h"
#include "cell.h"
#include "generate.h"
#include "reference.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPEATS = 3 };

#define CEILING_SECONDS 0.05
#define REPEAT_SHARE 0.2    /* of the budget, for quiet moments and samples that are taken again */
#define WAIT_SECONDS 1.0    /* for a quiet moment, before a sample */
#define PROBE_SECONDS 0.007 /* after each sample, where neighbours are at work */

/* How long it takes until all peers of a cell are started and filled: of the machine of the
 * committed results; the run finds out how far it is from that. */
#define SETUP_SECONDS 3.5
#define SETUP_SECONDS_OF_BYTE 0.24e-6

#define SMALL_FILLING 1e6 /* bytes: filled in no time */

/* A cell may take so much of its share: some need less. */
#define STRETCH 1.2

/* A workload at work. */
typedef struct stage {
    weft_run *run;
    weft_workload workload;
    char trace[4096];
    char reduced[4096]; /* the one that is checked */
    uint64_t chunks;    /* of operations */
    double began;       /* seconds of the run */
    weft_session sessions[WEFT_PEERS_MAX];
    size_t count; /* of sessions; the peers that fail leave a hole */
} stage;

double weft_run_elapsed(const weft_run *run) {
    return (double)(weft_clock_monotonic_ns() - run->began) / 1e9;
}

bool weft_run_goes_on(weft_run *run) {
    bool late = run->budget > 0 && weft_run_elapsed(run) > run->budget * 1.04;
    run->partial |= weft_bench_stopped() || late;
    return !run->partial && !run->refused;
}

static double setup_seconds(const weft_workload *workload) {
    double filling = workload->once ? 0 : weft_workload_filling(workload);
    return SETUP_SECONDS + SETUP_SECONDS_OF_BYTE * filling;
}

void weft_run_expect(weft_run *run, const weft_workload *workload) {
    run->cells_left++;
    run->setups_left += setup_seconds(workload);
}

/* The peers of a workload are ready, for which the run has waited since it had taken `began`
 * seconds. */
static void note_setup(weft_run *run, const weft_workload *workload, double began) {
    run->setups_left -= setup_seconds(workload);
    run->setups_expected += setup_seconds(workload);
    run->setups_taken += weft_run_elapsed(run) - began;
}

static int make_folder(weft_run *run) {
    const char *base = getenv("TMPDIR");
    snprintf(run->folder, sizeof run->folder, "%.40s/weft-bench.XXXXXX",
             base != NULL && *base != '\0' ? base : "/tmp");
    if (mkdtemp(run->folder) == NULL) {
        fprintf(stderr, "weft bench: %s: %s; TMPDIR may name another folder\n", run->folder,
                strerror(errno));
        run->folder[0] = '\0';
        return WEFT_EXIT_ENVIRONMENT;
    }
    return 0;
}

static int find_peers(weft_run *run) {
    int code = weft_peers_find(&run->peers);
    code = code != 0 ? code
                     : weft_peers_select(&run->peers,
                                         run->options.peers != NULL ? run->options.peers : "all");
    if (code == 0 && (run->peers.count == 0 || run->peers.list[0].status != WEFT_PEER_OK ||
                      strcmp(run->peers.list[0].id, WEFT_PEER_OWN) != 0)) {
        fprintf(stderr, "weft bench: the peer " WEFT_PEER_OWN
                        " is not there; it is built with weft, into 'peers' beside it; "
                        "'weft bench peers' tells which are there\n");
        code = WEFT_EXIT_ENVIRONMENT;
    }
    return code;
}

int weft_run_open(weft_run *run, const char *kind) {
    run->kind = kind;
    run->began = weft_clock_monotonic_ns();
    run->cells = json_array();
    run->controls = json_array();
    weft_bench_catch_stop();
    int code = run->self ? 0 : find_peers(run);
    code = code != 0 ? code : make_folder(run);
    if (code == 0) {
        weft_noise_begin(&run->noise);
        double seconds = run->seconds < CEILING_SECONDS ? run->seconds : CEILING_SECONDS;
        run->ceilings = run->self ? json_array() : weft_ceilings_measure(weft_cpu_count(), seconds);
    }
    return code;
}

void weft_run_close(weft_run *run) {
    weft_bench_progress_end();
    if (run->folder[0] != '\0') {
        rmdir(run->folder);
    }
    json_decref(run->cells);
    json_decref(run->ceilings);
    json_decref(run->controls);
    weft_noise_end(&run->noise);
    weft_peers_free(&run->peers);
}

/* What every peer has to answer to the trace that is checked. */
static int make_reference(stage *s, uint64_t *checksum, uint64_t *entries) {
    weft_trace trace;
    int code = weft_trace_open(&trace, s->reduced);
    if (code != 0) {
        return code;
    }
    bool good = weft_reference_replay(&trace, checksum, entries);
    weft_trace_close(&trace);
    if (!good) {
        fprintf(stderr, "weft bench: %s: out of memory\n", s->reduced);
    }
    return good ? 0 : WEFT_EXIT_ENVIRONMENT;
}

#define SHORT_SAMPLE                                                                               \
    0.06 /* seconds: of the verdict, where more samples tell more than longer ones */

enum {
    ROUNDS_AT_LEAST = 5,
    VERDICT_ROUNDS = 60, /* at most */
    FAR_BEHIND = 3,      /* times slower than the best: what the verdict leaves out, */
    ENOUGH = 2,          /* after so many cells of a shape */
};

/* Rounds are enough when the ratio is known so well; when their time is over, it is marked unless
 * it is known well enough for a second run to be within a tenth of it. */
#define PRECISE 0.05
#define PRECISE_ENOUGH 0.07

/* How far behind the best, by the rounds so far, a peer is left at what it has shown: the verdict's
 * time is for those who can be the best. */
static double hopeless(uint32_t round) {
    return round >= 12 ? 1.07 : round >= 6 ? 1.15 : round >= 3 ? 1.3 : round >= 2 ? 2 : 3;
}

/* Whether the verdict goes on without this peer. What it showed with numbers says little about its
 * bytes; a control only has to show what there is to be gained. */
static bool is_out(const weft_peer *peer, weft_trace_shape shape) {
    int cells = peer->far_behind[shape] + (peer->control ? peer->far_behind[!shape] : 0);
    return cells >= ENOUGH;
}

/* Every peer that is not out already, on a trace. */
static void start_all(stage *s, const char *trace) {
    s->count = s->run->peers.count;
    for (size_t i = 0; i < s->count; i++) {
        weft_peer *peer = &s->run->peers.list[i];
        s->sessions[i] = (weft_session){.peer = peer,
                                        .workload = &s->workload,
                                        .patience = s->run->options.patience,
                                        .expected = s->run->expected};
        bool wanted = !peer->set_aside && (!s->run->own_only || weft_peer_is_own(peer));
        if (s->run->budget > 0 && is_out(peer, s->workload.shape)) {
            weft_peer_note(peer, WEFT_PEER_OK,
                           "left out after %d cells, %d times slower than the best", ENOUGH,
                           FAR_BEHIND);
            wanted = false;
        }
        if (peer->status == WEFT_PEER_OK && wanted) {
            weft_bench_progress("%s: starting %s", s->workload.name, peer->id);
            weft_session_start(&s->sessions[i], trace);
        }
    }
}

static void end_all(stage *s) {
    for (size_t i = 0; i < s->count; i++) {
        weft_session_end(&s->sessions[i]);
    }
}

static bool at_work(const weft_session *session) {
    return session->process.pid != 0;
}

/* A wrong peer is out for the whole run. Nothing is timed, so they may all compute at once. */
static int verify_all(stage *s) {
    uint64_t checksum;
    uint64_t entries;
    int code = make_reference(s, &checksum, &entries);
    if (code != 0) {
        return code;
    }
    start_all(s, s->reduced);
    for (size_t i = 0; i < s->count; i++) {
        if (at_work(&s->sessions[i])) {
            weft_session_send_verify(&s->sessions[i]);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (at_work(&s->sessions[i])) {
            weft_bench_progress("%s: checking %s", s->workload.name, s->sessions[i].peer->id);
            weft_session_take_verify(&s->sessions[i], checksum, entries);
        }
    }
    end_all(s);
    return 0;
}

static double available_memory(void) {
    unsigned long long kibibytes = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL &&
           sscanf(line, "MemAvailable: %llu", &kibibytes) != 1) {
    }
    if (file != NULL) {
        fclose(file);
    }
    return (double)kibibytes * 1024;
}

/* Fill the maps, one after the other; those for which there is no memory left are left out. */
static void prefill_all(stage *s, uint32_t threads) {
    double each = 200.0 * (double)s->workload.prefill +
                  (double)s->workload.prefill * (double)s->workload.value_bytes;
    for (size_t i = 0; i < s->count; i++) {
        weft_session *session = &s->sessions[i];
        if (!at_work(session)) {
            continue;
        }
        if (weft_bench_stopped() || each > available_memory()) {
            weft_peer_note(session->peer, WEFT_PEER_OK, "%s: left out for want of memory",
                           s->workload.name);
            weft_session_end(session);
            continue;
        }
        weft_bench_progress("%s: filling %s", s->workload.name, session->peer->id);
        weft_session_prefill(session, threads);
    }
}

/* Whether there is time to wait for a quiet moment, or to take a disturbed sample again. Where the
 * time of the run is limited, a part of it is for that: no cell goes without samples because
 * another one was disturbed. */
static bool may_repeat(const weft_run *run, int repeats) {
    bool late =
        run->budget > 0 && (run->options.noisy || run->repeat_seconds > REPEAT_SHARE * run->budget);
    bool quick = run->self && run->options.quick;
    late |= run->budget > 0 && weft_run_elapsed(run) > run->budget;
    return repeats < REPEATS && !run->once && !quick && !weft_bench_stopped() && !late;
}

/* A piece of work begins with a fresh map. So does each sample of a small one: which keys share a
 * line is luck, and made 5 % from map to map of 10 000 entries, zipf .99. */
static bool begin_anew(const stage *s, weft_session *session) {
    if (s->workload.once) {
        return weft_session_prefill(session, 1);
    }
    return weft_workload_filling(&s->workload) > SMALL_FILLING ||
           weft_session_prefill(session, weft_cpu_count());
}

/* One sample, taken in a quiet moment, and repeated while others disturb it. */
static bool take_sample(stage *s, weft_session *session, const weft_stint *stint,
                        weft_sample *sample) {
    weft_run *run = s->run;
    for (int repeat = 0;; repeat++) {
        double began = weft_run_elapsed(run);
        if (!begin_anew(s, session)) {
            return false;
        }
        double waits = weft_run_elapsed(run);
        bool patient = may_repeat(run, repeat) && !run->options.noisy;
        weft_noise_await(&run->noise, patient ? WAIT_SECONDS : 0);
        run->repeat_seconds += repeat == 0 ? weft_run_elapsed(run) - waits : 0;
        weft_noise_mark before = weft_noise_before(&run->noise);
        double cpu = weft_process_cpu(&session->process);
        if (!weft_session_run(session, stint, sample)) {
            return false;
        }
        double used = weft_process_cpu(&session->process) - cpu;
        weft_noise_sample found = weft_noise_after(&run->noise, &before, used);
        found.placement = stint->threads > 1 ? found.placement : (weft_placement){0, 0};
        run->repeat_seconds += repeat > 0 ? weft_run_elapsed(run) - began : 0;
        if (weft_noise_judge(&run->noise, &found) == 0 || !may_repeat(run, repeat)) {
            weft_noise_keep(&run->noise, &found);
            sample->noise = found;
            return true;
        }
        json_decref(sample->latency);
    }
}

/* How a cell is measured. */
typedef struct pace {
    uint32_t rounds;
    double seconds; /* of a sample */
    double until;   /* undisturbed_seconds of the run: no round begins later, beyond those that must
                     * be; 0: no limit */
} pace;

/* Without the time that went on waiting and repeating: a cell that was disturbed has as many rounds
 * as another one. */
static double undisturbed_seconds(const weft_run *run) {
    return weft_run_elapsed(run) - run->repeat_seconds;
}

/* The rest of the budget is shared by the cells left. */
static pace plan(const stage *s) {
    const weft_run *run = s->run;
    size_t peers = 0;
    pace p = {run->rounds, run->seconds, 0};
    for (size_t i = 0; i < s->count; i++) {
        peers += at_work(&s->sessions[i]);
    }
    if (run->budget == 0 || peers == 0 || run->cells_left == 0) {
        return p;
    }
    double reserve = run->budget * REPEAT_SHARE - run->repeat_seconds;
    reserve = reserve > 0 ? reserve * run->cells_left / (run->cells_left + 1) : 0;
    double setups = run->setups_left * run->setups_taken / run->setups_expected;
    double left = run->budget - reserve - setups - weft_run_elapsed(run);
    double share = left > 0 ? left / run->cells_left : 0;
    double most = share / (double)peers / ROUNDS_AT_LEAST - PROBE_SECONDS;
    p.seconds = most > SHORT_SAMPLE ? SHORT_SAMPLE : most < 0.04 ? 0.04 : most;
    p.rounds = VERDICT_ROUNDS;
    bool is_last = run->cells_left == 1;
    p.until = undisturbed_seconds(run) + share * (is_last ? 1 : STRETCH);
    return p;
}

/* The rounds of a cell. */
static void take_rounds(stage *s, weft_cell *cell, const pace *p) {
    weft_run *run = s->run;
    for (uint32_t round = 0; round < p->rounds && weft_run_goes_on(run); round++) {
        bool tight = p->until > 0 && round >= 1;
        if (tight && round >= ROUNDS_AT_LEAST &&
            (undisturbed_seconds(run) > p->until || weft_run_elapsed(run) > run->budget ||
             weft_cell_is_precise(cell, &run->noise, PRECISE))) {
            break;
        }
        for (size_t i = 0; i < s->count && weft_run_goes_on(run); i++) {
            weft_session *session = &s->sessions[(i + round) % s->count];
            weft_stint stint = {.threads = cell->threads,
                                .seconds = s->workload.once ? 0 : p->seconds,
                                .offset = s->chunks != 0 ? round * 7919 % s->chunks : 0,
                                .latency = run->options.latency};
            weft_sample sample;
            if (!at_work(session) ||
                (tight && weft_cell_is_behind(cell, session, hopeless(round))) ||
                (session->one_writer && cell->threads > 1 && weft_workload_writes(&s->workload))) {
                continue;
            }
            weft_bench_progress("%s, %u threads: round %u of %u, %s", s->workload.name,
                                cell->threads, round + 1, p->rounds, session->peer->id);
            if (take_sample(s, session, &stint, &sample)) {
                weft_cell_add(cell, session, &sample, round);
            }
        }
        run->refused = !run->options.noisy && run->noise.kept_count >= 50 &&
                       weft_noise_is_refused(&run->noise);
    }
}

static void measure_cell(stage *s, uint32_t threads) {
    weft_cell cell;
    weft_cell_begin(&cell, &s->workload, threads, s->count);
    pace p = plan(s);
    take_rounds(s, &cell, &p);
    for (size_t i = 0; i < s->count; i++) {
        if (at_work(&s->sessions[i]) && s->sessions[i].one_writer && threads > 1 &&
            weft_workload_writes(&s->workload)) {
            weft_peer_note(s->sessions[i].peer, WEFT_PEER_OK,
                           "left out where several threads write: it allows one writer");
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (at_work(&s->sessions[i]) && weft_cell_is_behind(&cell, &s->sessions[i], FAR_BEHIND)) {
            s->sessions[i].peer->far_behind[s->workload.shape]++;
        }
    }
    bool has_time = s->run->budget > 0 && !s->run->options.quick;
    weft_cell_context context = {s->run->ceilings, &s->run->noise,
                                 has_time ? PRECISE_ENOUGH : INFINITY};
    s->run->disturbed_cells += !weft_cell_finish(&cell, s->run->cells, &context);
    s->run->cells_left -= s->run->cells_left > 0;
}

static void measure_cells(stage *s) {
    const weft_options *options = &s->run->options;
    const uint32_t *list = options->thread_counts ? options->threads : s->workload.threads;
    uint32_t count = options->thread_counts ? options->thread_counts : s->workload.thread_counts;
    start_all(s, s->trace);
    prefill_all(s, weft_cpu_count());
    note_setup(s->run, &s->workload, s->began);
    for (uint32_t i = 0; i < count && weft_run_goes_on(s->run); i++) {
        measure_cell(s, list[i]);
    }
    end_all(s);
}

/* Both traces of a workload, in the run's folder. */
static int make_traces(stage *s) {
    weft_workload small = weft_workload_reduced(&s->workload);
    snprintf(s->trace, sizeof s->trace, "%s/trace", s->run->folder);
    snprintf(s->reduced, sizeof s->reduced, "%s/check", s->run->folder);
    int code = weft_generate(&small, s->reduced, s->run->options.text);
    return code != 0 ? code : weft_generate(&s->workload, s->trace, s->run->options.text);
}

static uint64_t chunks_of(uint64_t ops) {
    return (ops + WEFT_TRACE_CHUNK_OPS - 1) / WEFT_TRACE_CHUNK_OPS;
}

static int measure_stage(stage *s) {
    weft_trace trace;
    int code = weft_trace_open(&trace, s->trace);
    if (code != 0) {
        return code;
    }
    /* Words may be fewer than asked for; the trace knows. */
    s->workload.prefill = trace.header->prefill;
    s->chunks = chunks_of(trace.header->ops);
    weft_trace_close(&trace);
    code = verify_all(s);
    if (code == 0) {
        measure_cells(s);
    }
    return code;
}

static stage *make_stage(weft_run *run) {
    stage *s = calloc(1, sizeof *s);
    if (s == NULL) {
        fprintf(stderr, "weft bench: out of memory\n");
        return NULL;
    }
    s->run = run;
    s->began = weft_run_elapsed(run);
    return s;
}

int weft_run_workload(weft_run *run, const weft_workload *workload) {
    stage *s = make_stage(run);
    if (s == NULL) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    s->workload = *workload;
    s->workload.seed = run->options.seed != 0 ? run->options.seed : workload->seed;
    int code = make_traces(s);
    code = code != 0 ? code : measure_stage(s);
    unlink(s->trace);
    unlink(s->reduced);
    free(s);
    return code;
}

/* What a trace says of itself, as a workload. */
static void describe(weft_workload *workload, const weft_trace *trace) {
    const weft_trace_header *header = trace->header;
    *workload = (weft_workload){.about = "a trace",
                                .shape = (weft_trace_shape)header->shape,
                                .keys = header->distinct != 0 ? header->distinct : header->ops,
                                .prefill = header->prefill,
                                .threads = {1, 2},
                                .thread_counts = 2,
                                .once = header->prefill == 0,
                                .value_bytes = header->value_bytes,
                                .key_bytes = 16};
    snprintf(workload->name, sizeof workload->name, "%s",
             header->name[0] != '\0' ? header->name : "trace");
    for (int op = 0; op < WEFT_TRACE_OPS; op++) {
        workload->mix[op] = 100.0 * (double)trace->codes[op] / (double)header->ops;
    }
}

int weft_run_trace(weft_run *run, const char *path) {
    weft_trace trace;
    stage *s = make_stage(run);
    int code = s != NULL ? weft_trace_open(&trace, path) : WEFT_EXIT_ENVIRONMENT;
    if (code == 0) {
        describe(&s->workload, &trace);
        if (trace.header->ops == 0 || strlen(path) >= sizeof s->trace) {
            fprintf(stderr,
                    "weft bench: %s: allowed: a path of up to %zu bytes, and a trace with an "
                    "operation or more after its prefill\n",
                    path, sizeof s->trace - 1);
            code = WEFT_EXIT_USAGE;
        }
        weft_trace_close(&trace);
    }
    if (code == 0) {
        strcpy(s->trace, path);
        strcpy(s->reduced, path);
        code = measure_stage(s);
    }
    free(s);
    return code;
}
