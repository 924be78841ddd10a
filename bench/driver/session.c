/* SPDX-License-Identifier: MIT */
#include "session.h"
#include "fields.h"
#include "trace.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LATENCY_EVERY = 32 };

#define HELLO_SECONDS 20.0
#define LONG_SECONDS 180.0

static bool fail(weft_session *session, weft_peer_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The peer is out: note why, show what it said on stderr, end it. */
static bool fail(weft_session *session, weft_peer_status status, const char *format, ...) {
    char why[WEFT_PEER_TEXT];
    char said[2000];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof why, format, list);
    va_end(list);
    weft_peer_note(session->peer, status, "%s: %.190s", session->workload->name, why);
    weft_process_errors(&session->process, said, sizeof said);
    fprintf(stderr, "weft bench: peer %s %s: %s: %s\n", session->peer->id,
            weft_peer_status_name(status), session->workload->name, why);
    if (said[0] != '\0') {
        fprintf(stderr, "%s%s", said, said[strlen(said) - 1] == '\n' ? "" : "\n");
    }
    weft_process_end(&session->process);
    return false;
}

/* The next answer, an object without "error"; NULL: the peer failed. */
static json_t *receive(weft_session *session, double seconds) {
    json_error_t error;
    double patience = session->patience > 0 ? session->patience : seconds;
    const char *line = weft_process_receive(&session->process, patience);
    if (line == NULL) {
        fail(session, WEFT_PEER_FAILED, "%s", session->process.problem);
        return NULL;
    }
    json_t *answer = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(answer)) {
        fail(session, WEFT_PEER_FAILED, "its answer is no JSON object: %.100s", line);
        json_decref(answer);
        return NULL;
    }
    const json_t *said = json_object_get(answer, "error");
    if (said != NULL) {
        const char *text = json_string_value(said);
        fail(session, WEFT_PEER_FAILED, "%s", text != NULL ? text : "an error that is no text");
        json_decref(answer);
        return NULL;
    }
    return answer;
}

static bool send(weft_session *session, const char *line) {
    return weft_process_send(&session->process, line) ||
           fail(session, WEFT_PEER_FAILED, "%s", session->process.problem);
}

/* What the answers hold. */
typedef struct figures {
    uint64_t ops, entries, entries_before, rss_before, rss_after;
    uint64_t hits, misses, inserted, removed;
    double seconds, cpu_seconds;
} figures;

#define MOST 18446744073709549568.0 /* that a uint64_t holds */
#define INTO(member) .required = true, WEFT_FIELD_INTO(figures, member)
#define COUNT "a whole number from 0 up", WEFT_FIELD_WHOLE, WEFT_FIELD_RANGE(0, MOST)
#define NUMBER "a number from 0 up", WEFT_FIELD_NUMBER, WEFT_FIELD_RANGE(0, INFINITY)

static const weft_field verify_list[] = {{"entries", COUNT, INTO(entries)}};
static const weft_field prefill_list[] = {{"ops", COUNT, INTO(ops)},
                                          {"seconds", NUMBER, INTO(seconds)},
                                          {"entries", COUNT, INTO(entries)},
                                          {"rss_before", COUNT, INTO(rss_before)},
                                          {"rss_after", COUNT, INTO(rss_after)}};
static const weft_field run_list[] = {{"ops", COUNT, INTO(ops)},
                                      {"seconds", NUMBER, INTO(seconds)},
                                      {"cpu_seconds", NUMBER, INTO(cpu_seconds)},
                                      {"hits", COUNT, INTO(hits)},
                                      {"misses", COUNT, INTO(misses)},
                                      {"inserted", COUNT, INTO(inserted)},
                                      {"removed", COUNT, INTO(removed)},
                                      {"entries_before", COUNT, INTO(entries_before)},
                                      {"entries", COUNT, INTO(entries)}};
static const weft_field latency_list[] = {
    {"samples", NUMBER, .required = true}, {"p50", NUMBER, .required = true},
    {"p90", NUMBER, .required = true},     {"p99", NUMBER, .required = true},
    {"p999", NUMBER, .required = true},    {"max", NUMBER, .required = true}};

/* A peer may say more than this. */
#define FIELDS(list)                                                                               \
    { list, sizeof(list) / sizeof *(list), true }
static const weft_fields verify_fields = FIELDS(verify_list);
static const weft_fields prefill_fields = FIELDS(prefill_list);
static const weft_fields run_fields = FIELDS(run_list);
static const weft_fields latency_fields = FIELDS(latency_list);

static bool take(weft_session *session, const json_t *answer, const weft_fields *fields,
                 figures *into) {
    weft_fault fault = weft_fields_take(fields, answer, into);
    return fault.kind == WEFT_FAULT_NONE ||
           fail(session, WEFT_PEER_FAILED, "its answer has no '%s', %s", fault.key,
                fault.field->allowed);
}

/* Whether the list "lacks" names something that the workload needs; the peer's note says it. */
static bool lacks(weft_session *session, const json_t *hello) {
    const weft_workload *workload = session->workload;
    const char *shape = workload->shape == WEFT_TRACE_U64 ? "u64" : "bytes";
    size_t i;
    json_t *what;
    json_array_foreach(json_object_get(hello, "lacks"), i, what) {
        const char *name = json_string_value(what);
        bool needed = name != NULL && strcmp(name, shape) == 0;
        for (int op = 0; op < WEFT_TRACE_OPS && name != NULL; op++) {
            needed |= strcmp(name, weft_trace_op_names[op]) == 0 &&
                      weft_workload_has(workload, (weft_trace_op)op);
        }
        if (needed) {
            weft_peer_note(session->peer, WEFT_PEER_OK, "left out where %s is needed: it has none",
                           name);
            return true;
        }
    }
    return false;
}

static void copy_text(char *into, size_t size, const json_t *hello, const char *key) {
    const char *text = json_string_value(json_object_get(hello, key));
    if (text != NULL && *text != '\0') {
        snprintf(into, size, "%s", text);
    }
}

static bool take_hello(weft_session *session) {
    json_t *hello = receive(session, HELLO_SECONDS);
    weft_peer *peer = session->peer;
    if (hello == NULL) {
        return false;
    }
    const char *id = json_string_value(json_object_get(hello, "peer"));
    if (id == NULL) {
        json_decref(hello);
        return fail(session, WEFT_PEER_FAILED, "its hello does not say which peer it is");
    }
    copy_text(peer->language, sizeof peer->language, hello, "language");
    copy_text(peer->version, sizeof peer->version, hello, "version");
    peer->control |= json_is_true(json_object_get(hello, "control"));
    session->one_writer = json_integer_value(json_object_get(hello, "writers")) == 1;
    bool able = !lacks(session, hello);
    json_decref(hello);
    if (!able) {
        weft_process_end(&session->process);
    }
    return able;
}

bool weft_session_start(weft_session *session, const char *trace) {
    const weft_peer *peer = session->peer;
    char expected[24];
    snprintf(expected, sizeof expected, "%" PRIu64, session->expected);
    const char *const self[] = {peer->path, "bench",  "replay",  "--map", peer->replays,
                                "--expect", expected, "--trace", trace,   NULL};
    const char *const other[] = {peer->path, "--trace", trace, NULL};
    const char *const *argv = peer->replays != NULL ? self : other;
    if (!weft_process_start(&session->process, argv)) {
        return fail(session, WEFT_PEER_FAILED, "%s", session->process.problem);
    }
    return send(session, "hello") && take_hello(session);
}

void weft_session_end(weft_session *session) {
    if (session->process.pid != 0) {
        weft_process_send(&session->process, "quit");
        weft_process_end(&session->process);
    }
}

bool weft_session_send_verify(weft_session *session) {
    return send(session, "verify");
}

bool weft_session_take_verify(weft_session *session, uint64_t checksum, uint64_t entries) {
    char expected[24];
    figures found = {0};
    json_t *answer = receive(session, LONG_SECONDS / 6);
    if (answer == NULL || !take(session, answer, &verify_fields, &found)) {
        json_decref(answer);
        return false;
    }
    const char *text = json_string_value(json_object_get(answer, "checksum"));
    snprintf(expected, sizeof expected, "%016" PRIx64, checksum);
    bool good = text != NULL && strcmp(text, expected) == 0 && found.entries == entries;
    /* A control without a map has nothing to be right about. */
    if (!good && !(session->peer->control && found.entries == 0 && entries != 0)) {
        fail(session, WEFT_PEER_WRONG,
             "checksum %.20s with %" PRIu64 " entries instead of %s with %" PRIu64,
             text != NULL ? text : "(none)", found.entries, expected, entries);
        good = false;
    } else {
        good = true;
    }
    json_decref(answer);
    return good;
}

static bool take_prefill(weft_session *session, const json_t *answer) {
    figures found = {0};
    if (!take(session, answer, &prefill_fields, &found)) {
        return false;
    }
    session->fill = found.seconds > 0 ? (double)found.ops / found.seconds : 0;
    /* Of the first filling: later ones get memory that the process has already. */
    if (session->bytes_per_entry == 0 && found.entries > 0 && found.rss_after > found.rss_before) {
        session->bytes_per_entry =
            (double)(found.rss_after - found.rss_before) / (double)found.entries;
    }
    if (found.entries > found.ops ||
        (found.entries < session->workload->prefill && !session->peer->control)) {
        return fail(session, WEFT_PEER_WRONG, "%" PRIu64 " entries after a prefill of %" PRIu64,
                    found.entries, session->workload->prefill);
    }
    return true;
}

bool weft_session_prefill(weft_session *session, uint32_t threads) {
    char line[64];
    snprintf(line, sizeof line, "prefill threads=%" PRIu32, session->one_writer ? 1 : threads);
    if (!send(session, line)) {
        return false;
    }
    json_t *answer = receive(session, LONG_SECONDS);
    bool good = answer != NULL && take_prefill(session, answer);
    json_decref(answer);
    return good;
}

/* What a run's counters say about its entries. */
static bool is_balanced(weft_session *session, const figures *found) {
    if (session->peer->control && found->entries == 0 && found->entries_before == 0) {
        return true; /* without a map there is no balance */
    }
    const weft_workload *workload = session->workload;
    bool open = weft_workload_has(workload, WEFT_TRACE_PUT) ||
                weft_workload_has(workload, WEFT_TRACE_ADD) ||
                weft_workload_has(workload, WEFT_TRACE_RMW);
    uint64_t expected = found->entries_before + found->inserted - found->removed;
    bool good = open ? (int64_t)found->entries >= (int64_t)expected : found->entries == expected;
    if (!good || found->hits + found->misses > found->ops) {
        return fail(session, WEFT_PEER_WRONG,
                    "%" PRIu64 " entries after %" PRIu64 ", %" PRIu64 " inserted and %" PRIu64
                    " removed, %" PRIu64 " gets of %" PRIu64 " operations",
                    found->entries, found->entries_before, found->inserted, found->removed,
                    found->hits + found->misses, found->ops);
    }
    return true;
}

static bool take_latency(weft_session *session, const json_t *answer, weft_sample *sample) {
    json_t *latency = json_object_get(answer, "latency");
    if (latency == NULL && sample->ops < LATENCY_EVERY) {
        return true; /* no operation of so few was timed */
    }
    if (!take(session, latency, &latency_fields, NULL)) {
        return false;
    }
    sample->latency = json_incref(latency);
    return true;
}

static bool take_run(weft_session *session, const json_t *answer, const weft_stint *stint,
                     weft_sample *sample) {
    figures found = {0};
    if (!take(session, answer, &run_fields, &found) || !is_balanced(session, &found)) {
        return false;
    }
    sample->ops = found.ops;
    sample->entries = found.entries;
    sample->seconds = found.seconds;
    sample->cpu_seconds = found.cpu_seconds;
    if (sample->ops == 0 || sample->seconds <= 0 || sample->seconds < stint->seconds * 0.5) {
        return fail(session, WEFT_PEER_WRONG, "%" PRIu64 " operations in %.3f of %.3f seconds",
                    sample->ops, sample->seconds, stint->seconds);
    }
    sample->rate = (double)sample->ops / sample->seconds;
    sample->cpu_ns = sample->cpu_seconds * 1e9 / (double)sample->ops;
    return !stint->latency || take_latency(session, answer, sample);
}

bool weft_session_run(weft_session *session, const weft_stint *stint, weft_sample *sample) {
    char line[160];
    *sample = (weft_sample){0};
    if (stint->seconds > 0) {
        snprintf(line, sizeof line,
                 "run threads=%" PRIu32 " seconds=%.3f offset=%" PRIu64 " latency=%d",
                 stint->threads, stint->seconds, stint->offset, stint->latency);
    } else {
        snprintf(line, sizeof line, "once threads=%" PRIu32 " latency=%d", stint->threads,
                 stint->latency);
    }
    if (!send(session, line)) {
        return false;
    }
    double limit = stint->seconds > 0 ? stint->seconds * 2 + 30 : LONG_SECONDS;
    session->patience += session->patience > 0 ? stint->seconds : 0;
    json_t *answer = receive(session, limit);
    session->patience -= session->patience > 0 ? stint->seconds : 0;
    bool good = answer != NULL && take_run(session, answer, stint, sample);
    json_decref(answer);
    return good;
}
