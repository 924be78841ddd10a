/* SPDX-License-Identifier: MIT */
/* From a trace to an advice: what the rules say of its profile, what the replay measures, and which
 * of both is named. docs/design/advise.md. */
#include "advise.h"
#include "base/cpu.h"
#include "base/exit.h"
#include "result.h"
#include "stats.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Who reaches this share of the best figure is as good: less is within what a run tells apart. */
static const double near_share = 0.95;

/* Entries that an operation copies on average: above this a copying engine is not even tried. */
static const double copies_most = 2000;

/* Resident memory grows by pages: of fewer entries it says nothing. */
static const uint64_t entries_weighed = 20000;

/* A trace without entries at first is replayed once: so few operations take less time than starting
 * the threads does. */
static const uint64_t ops_measured = 50000;

/* What is judged, and why it is set aside if it is. */
typedef struct candidate {
    const char *id; /* of the peer */
    weft_engine_card card;
    bool plain;
    const char *aside;  /* NULL, or why it is not measured */
    const char *unfit;  /* NULL, or why it is measured, but not advised */
    const json_t *cell; /* its result */
    double figure;      /* more is better; 0: nothing was measured */
} candidate;

enum { CANDIDATES = WEFT_PEERS_MAX };

typedef struct judgement {
    weft_profile profile;
    weft_usage usage;
    weft_advice rule;
    uint32_t threads;
    candidate list[CANDIDATES];
    size_t count;
    double copied;
    weft_advise_measure measure;
} judgement;

static const char *const measure_names[] = {"rate", "rate_per_core", "p999_ns"};
static const char *const measure_words[] = {"rate", "rate by processor time", "p99.9"};

static double percent(uint64_t part, uint64_t whole) {
    return whole != 0 ? 100 * (double)part / (double)whole : 0;
}

static double per(double sum, uint64_t count) {
    return count != 0 ? sum / (double)count : 0;
}

static weft_usage usage_of(const weft_advise *advise, const judgement *j) {
    const weft_profile *p = &j->profile;
    double burst = per((double)(p->ops - p->gets), p->bursts);
    double processors = j->threads < weft_cpu_count() ? j->threads : weft_cpu_count();
    double reads = percent(p->gets, p->ops);
    return (weft_usage){
        .hints = {.threads = j->threads, .reads = reads > 0 ? reads : 1e-9},
        .entries = p->entries_most,
        .skew = fmin(fmax(log2(WEFT_PROFILE_BUCKETS) - p->entropy, 0), 10),
        .burst = burst,
        .rate = advise->rate / processors,
        .exclusive = j->threads == 1,
        .bounded = advise->bounded,
        .tail = advise->tail,
    };
}

/* ---- who may be advised ---------------------------------------------------------------------- */

static void set_engine(const judgement *j, candidate *c) {
    const weft_profile *p = &j->profile;
    bool steady = j->usage.bounded || p->entries_most == p->entries_first;
    if (!c->card.threads && j->threads > 1) {
        c->aside = "for one thread at a time";
    } else if (c->card.copies && j->copied > copies_most) {
        c->aside = "a write would copy all entries";
    } else if (!c->card.grows && !steady) {
        c->aside = "the number of entries grows, and it can't";
    } else if (c->card.engine == WEFT_ENGINE_LIST && !steady) {
        c->unfit = "the number of entries grows, and its array does not";
    } else if (c->card.keeps_removed && p->removed != 0) {
        c->unfit = "removed keys stay in it";
    }
}

static void choose_candidates(judgement *j, weft_peers *peers) {
    for (size_t i = 0; i < peers->count; i++) {
        candidate *c = &j->list[j->count++];
        *c = (candidate){.id = peers->list[i].id, .plain = peers->list[i].control};
        for (int id = 1; !c->plain && weft_engine_card_get((weft_engine_id)id, &c->card) == WEFT_OK;
             id++) {
            if (strcmp(c->card.name, peers->list[i].replays) == 0) {
                break;
            }
        }
        if (!c->plain) {
            set_engine(j, c);
        }
        peers->list[i].set_aside = c->aside != NULL;
        if (peers->list[i].status == WEFT_PEER_FAILED) {
            peers->list[i].status = WEFT_PEER_OK; /* of another trace it may be capable */
        }
    }
}

/* ---- what was measured ----------------------------------------------------------------------- */

static double number_at(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static double tail_of(const json_t *result) {
    return number_at(json_object_get(result, "latency"), "p999");
}

static bool is_disturbed(const json_t *result, const json_t *round) {
    size_t i;
    json_t *disturbed;
    json_array_foreach(json_object_get(result, "disturbed"), i, disturbed) {
        if (json_equal(disturbed, round)) {
            return true;
        }
    }
    return false;
}

/* The median of the samples that nothing disturbed; 0 if they are too few. */
static double quiet_rate(const json_t *result) {
    double rates[WEFT_ROUNDS_MAX];
    size_t count = 0;
    size_t i;
    json_t *sample;
    json_array_foreach(json_object_get(result, "samples"), i, sample) {
        if (!is_disturbed(result, json_array_get(json_object_get(result, "rounds"), i)) &&
            count < WEFT_ROUNDS_MAX) {
            rates[count++] = json_number_value(sample);
        }
    }
    weft_bench_samples quiet = {rates, count};
    return count >= WEFT_QUIET_ROUNDS ? weft_bench_median(quiet) : 0;
}

/* The rate by the clock is what counts, but others who use the processors take it from one map and
 * not from the next. What they cannot take is processor time; it does not hold the time for which
 * threads wait. */
static weft_advise_measure choose_measure(const judgement *j) {
    if (j->usage.tail) {
        return WEFT_BY_TAIL;
    }
    for (size_t i = 0; i < j->count; i++) {
        if (j->list[i].cell != NULL && quiet_rate(j->list[i].cell) == 0) {
            return WEFT_BY_PROCESSOR;
        }
    }
    return WEFT_BY_RATE;
}

static double figure_of(weft_advise_measure measure, const json_t *result) {
    double tail = tail_of(result);
    switch (measure) {
    case WEFT_BY_TAIL:
        return tail > 0 ? 1e9 / tail : 0;
    case WEFT_BY_PROCESSOR:
        return 1e9 / number_at(result, "cpu_ns");
    default:
        return quiet_rate(result);
    }
}

static void take_cell(judgement *j, const json_t *cell) {
    for (size_t i = 0; i < j->count; i++) {
        candidate *c = &j->list[i];
        c->cell = weft_bench_find(json_object_get(cell, "results"), "peer", c->id);
        if (c->cell == NULL && c->aside == NULL) {
            c->aside = "it did not finish the trace";
        }
    }
    j->measure = choose_measure(j);
    for (size_t i = 0; i < j->count; i++) {
        candidate *c = &j->list[i];
        c->figure = c->cell != NULL ? figure_of(j->measure, c->cell) : 0;
    }
}

static const candidate *best_of(const judgement *j) {
    const candidate *best = NULL;
    for (size_t i = 0; i < j->count; i++) {
        const candidate *c = &j->list[i];
        bool may = c->unfit == NULL && c->figure > 0;
        if (may && (best == NULL || c->figure > best->figure)) {
            best = c;
        }
    }
    return best;
}

static const candidate *find_candidate(const judgement *j, bool plain, weft_engine_id engine) {
    for (size_t i = 0; i < j->count; i++) {
        const candidate *c = &j->list[i];
        if (c->plain == plain && (plain || c->card.engine == engine)) {
            return c;
        }
    }
    return NULL;
}

static bool is_brief(const judgement *j) {
    return j->profile.entries_first == 0 && j->profile.ops < ops_measured;
}

/* What is named: the plain map where it does; what the rule says where that is as good as the best;
 * else the best. */
static const candidate *choose(const judgement *j, const candidate *best) {
    const candidate *plain = find_candidate(j, true, WEFT_ENGINE_AUTO);
    const candidate *ruled = find_candidate(j, j->rule.plain, j->rule.engine);
    if (is_brief(j) && ruled->cell != NULL) {
        return ruled;
    }
    double enough = j->usage.rate * 2;
    bool wanted = j->usage.rate > 0 && plain->cell != NULL && !j->usage.tail &&
                  number_at(plain->cell, "median") >= enough * j->threads;
    /* Where threads wait for its mutex, processor time flatters it. */
    bool flattered = j->measure == WEFT_BY_PROCESSOR && j->threads > 1;
    double enough_of_best = flattered ? 1 : near_share;
    if (wanted || (!j->usage.bounded && plain->figure >= enough_of_best * best->figure)) {
        return plain;
    }
    return j->usage.bounded || ruled->figure >= near_share * best->figure ? ruled : best;
}

/* ---- the advice as JSON ---------------------------------------------------------------------- */

static json_t *unless(bool unknown, double value) {
    return unknown ? json_null() : json_real(value);
}

static json_t *dimensions_json(const judgement *j, const candidate *best) {
    const weft_profile *p = &j->profile;
    double least = INFINITY;
    double most = 0;
    for (size_t i = 0; i < j->count; i++) {
        double tail = j->list[i].cell != NULL ? tail_of(j->list[i].cell) : 0;
        least = tail > 0 && tail < least ? tail : least;
        most = tail > most ? tail : most;
    }
    return json_pack(
        "{s:f,s:o,s:f,s:f,s:f,s:f,s:b,s:f,s:f,s:I,s:I,s:I,s:f,s:o,s:f,s:f}", "rate_per_core",
        1e9 / number_at(best->cell, "cpu_ns"), "rate_needed",
        unless(j->usage.rate == 0, j->usage.rate), "entropy_bits", p->entropy, "wanted_percent",
        percent(p->wanted, p->ops), "reads_percent", percent(p->gets, p->ops), "writes_percent",
        percent(p->ops - p->gets, p->ops), "tail_counts", j->usage.tail, "tail_least_ns",
        most > 0 ? least : 0, "tail_most_ns", most, "entries_first", (json_int_t)p->entries_first,
        "entries_most", (json_int_t)p->entries_most, "distinct", (json_int_t)p->distinct,
        "churn_percent", percent(p->inserted + p->removed, p->ops), "lifetime_operations",
        unless(p->removed == 0, per((double)p->lived, p->removed)), "burst", j->usage.burst,
        "key_bytes", p->key_bytes);
}

static json_t *row_json(const candidate *c, uint64_t entries) {
    const json_t *latency = json_object_get(c->cell, "latency");
    const char *note = c->aside != NULL ? c->aside : c->unfit != NULL ? c->unfit : "";
    json_t *row =
        json_pack("{s:s,s:s,s:b,s:s}", "peer", c->id, "engine", c->plain ? "plain" : c->card.name,
                  "eligible", c->aside == NULL && c->unfit == NULL, "note", note);
    if (c->cell != NULL) {
        json_object_set_new(row, "figure", json_real(c->figure));
        json_object_set_new(row, "rate", json_real(number_at(c->cell, "median")));
        json_object_set_new(row, "rate_per_core", json_real(1e9 / number_at(c->cell, "cpu_ns")));
        json_object_set_new(row, "p99_ns", json_real(number_at(latency, "p99")));
        json_object_set_new(row, "p999_ns", json_real(number_at(latency, "p999")));
        json_object_set_new(
            row, "bytes_per_entry",
            unless(entries < entries_weighed, number_at(c->cell, "bytes_per_entry")));
    }
    return row;
}

/* How the program says it. */
static json_t *options_json(const judgement *j, const candidate *named) {
    if (named->plain) {
        return json_string(j->threads > 1 ? "a plain map under a mutex" : "a plain map");
    }
    char upper[32];
    size_t size = strlen(named->card.name);
    for (size_t i = 0; i <= size && i < sizeof upper; i++) {
        char letter = named->card.name[i];
        upper[i] = letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
    }
    return json_sprintf("weft_map_options options = {.size = sizeof options, .engine = "
                        "WEFT_ENGINE_%s, .expected_entries = %llu};",
                        upper, (unsigned long long)j->profile.entries_most);
}

static json_t *because_json(const judgement *j, const candidate *named, const candidate *best) {
    const candidate *ruled = find_candidate(j, j->rule.plain, j->rule.engine);
    const char *what = measure_words[j->measure];
    if (is_brief(j) && named == ruled) {
        return json_sprintf("the rule says so; %llu operations, which begin with an empty map, are "
                            "too few to measure",
                            (unsigned long long)j->profile.ops);
    }
    if (named == ruled && named == best) {
        return json_sprintf("the rule says so, and nothing measured has a better %s", what);
    }
    if (named == ruled && named->figure >= near_share * best->figure) {
        return json_sprintf("the rule says so, and its %s is within 5 %% of the best, %s", what,
                            best->id);
    }
    if (named == ruled) {
        return json_string("the rule says so, and what was asked for leaves no other");
    }
    if (named->plain && named->figure < near_share * best->figure) {
        return json_string("it has twice the rate that is needed, and nothing is simpler");
    }
    if (named->plain && named != best) {
        return json_sprintf("its %s is within 5 %% of the best, %s, and nothing is simpler", what,
                            best->id);
    }
    return json_sprintf("rule and measurement disagree: the %s of %s is %.2f times that of %s, "
                        "which the rule names; what is measured decides",
                        what, named->id, named->figure / ruled->figure, ruled->id);
}

static json_t *advice_json(const judgement *j, const char *name) {
    const candidate *best = best_of(j);
    const candidate *named = choose(j, best);
    json_t *rows = json_array();
    for (size_t i = 0; i < j->count; i++) {
        json_array_append_new(rows, row_json(&j->list[i], j->profile.entries_first));
    }
    const char *ruled =
        j->rule.plain ? "plain" : find_candidate(j, false, j->rule.engine)->card.name;
    return json_pack(
        "{s:s,s:i,s:o,s:{s:s,s:s,s:s,s:s},s:o,s:s,s:s,s:s,s:s,s:b,s:o,s:o,s:s,s:s}", "trace", name,
        "threads", (int)j->threads, "dimensions", dimensions_json(j, best), "rule", "name",
        j->rule.rule, "engine", ruled, "when", j->rule.when, "why", j->rule.why, "measured", rows,
        "judged_by", measure_names[j->measure], "best", best->id, "peer", named->id, "advice",
        named->plain ? "plain" : named->card.name, "agrees",
        strcmp(ruled, named->plain ? "plain" : named->card.name) == 0, "because",
        because_json(j, named, best), "options", options_json(j, named), "choose",
        named->plain ? "where it is enough" : named->card.choose, "do_not_choose",
        named->plain ? "a rate or a latency that it does not reach" : named->card.do_not_choose);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int profile_file(judgement *j, const char *path, char name[64]) {
    weft_trace trace;
    int code = weft_trace_open(&trace, path);
    if (code != 0) {
        return code;
    }
    bool done = weft_profile_take(&j->profile, &trace);
    snprintf(name, 64, "%.63s", trace.header->name[0] != '\0' ? trace.header->name : "trace");
    weft_trace_close(&trace);
    if (!done) {
        fprintf(stderr, "weft advise: %s: out of memory\n", path);
    } else if (j->profile.ops == 0) {
        fprintf(stderr,
                "weft advise: %s: byte 24: there is no operation after the prefill; allowed: 1 or "
                "more\n",
                path);
        return WEFT_EXIT_USAGE;
    }
    return done ? 0 : WEFT_EXIT_ENVIRONMENT;
}

/* Entries that maps are told of. Threads that replay chunks beside each other insert some before
 * others have removed theirs. */
static uint64_t expected_of(const judgement *j) {
    bool moves = j->profile.inserted + j->profile.removed != 0;
    return j->profile.entries_most + (moves ? (uint64_t)j->threads * WEFT_TRACE_CHUNK_OPS : 0);
}

static int measure(weft_advise *advise, judgement *j, const char *path) {
    weft_run *run = &advise->run;
    size_t before = json_array_size(run->cells);
    run->options.threads[0] = j->threads;
    run->options.thread_counts = 1;
    run->expected = expected_of(j);
    int code = weft_run_trace(run, path);
    if (code == 0 && json_array_size(run->cells) == before && !weft_run_goes_on(run)) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    if (code == 0 && json_array_size(run->cells) == before) {
        fprintf(stderr, "weft advise: %s: nothing was measured\n", path);
        code = WEFT_EXIT_ENVIRONMENT;
    }
    return code;
}

int weft_advise_trace(weft_advise *advise, const char *path, json_t **advice) {
    judgement j = {.threads = advise->threads != 0 ? advise->threads : weft_cpu_count()};
    char name[64];
    int code = profile_file(&j, path, name);
    if (code != 0) {
        return code;
    }
    j.usage = usage_of(advise, &j);
    j.copied = (100 - j.usage.hints.reads) / 100 * (double)j.profile.entries_most;
    if (weft_engine_advise(&j.usage, &j.rule) != WEFT_OK) {
        fprintf(stderr, "weft advise: %s: no rule applies\n", path);
        return WEFT_EXIT_ENVIRONMENT;
    }
    choose_candidates(&j, &advise->run.peers);
    code = measure(advise, &j, path);
    if (code == 0) {
        take_cell(&j, json_array_get(advise->run.cells, json_array_size(advise->run.cells) - 1));
        *advice = best_of(&j) != NULL ? advice_json(&j, name) : NULL;
        code = *advice != NULL ? 0 : WEFT_EXIT_ENVIRONMENT;
    }
    return code;
}

double weft_advise_reach(const json_t *advice, const json_t *again) {
    size_t i;
    json_t *row;
    double best = 0;
    double named = 0;
    json_array_foreach(json_object_get(again, "measured"), i, row) {
        double figure = number_at(row, "figure");
        best = json_is_true(json_object_get(row, "eligible")) && figure > best ? figure : best;
        named = strcmp(weft_bench_text(row, "peer"), weft_bench_text(advice, "peer")) == 0 ? figure
                                                                                           : named;
    }
    return best > 0 ? named / best : 0;
}
