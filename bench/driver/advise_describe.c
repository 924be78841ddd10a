/* SPDX-License-Identifier: MIT */
/* A description in place of a trace: questions, and the workload that does what was answered. */
#include "advise.h"
#include "base/exit.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPS_LEAST = 500000, OPS_MOST = 4000000, LIVES = 8 };

static const double entries_most = 1e8;
static const double threads_most = 4096;

typedef struct question {
    const char *option;
    const char *text;
    const char *const *words; /* NULL: a number, from `least` to `most` */
    double least, most;
} question;

static const char *const skews[] = {"even", "zipf", "hot", NULL};
static const char *const lifetimes[] = {"stays", "short", "bulk", NULL};
static const char *const latencies[] = {"average", "tail", NULL};

static const question threads_question = {
    "threads", "How many threads use the map at the same time?", NULL, 1, threads_most};
static const question entries_question = {"entries", "How many entries are in it, usually?", NULL,
                                          1, entries_most};
static const question reads_question = {
    "reads", "How many of 100 operations only look something up?", NULL, 0, 100};
static const question skew_question = {
    "skew", "Are keys wanted evenly, as in most data (zipf), or nearly all one key (hot)?", skews,
    0, 0};
static const question lifetime_question = {
    "lifetime", "Do keys stay, live for a short time, or are all replaced in bulk?", lifetimes, 0,
    0};
static const question latency_question = {
    "latency", "What counts: the average, or the slowest operations (tail)?", latencies, 0, 0};

static void print_allowed(const question *q, FILE *out) {
    if (q->words == NULL) {
        fprintf(out, "%g to %g", q->least, q->most);
        return;
    }
    for (int i = 0; q->words[i] != NULL; i++) {
        fprintf(out, "%s%s", i != 0 ? ", " : "", q->words[i]);
    }
}

/* The word of the list, or NULL. */
static const char *word_of(const question *q, const char *text) {
    for (int i = 0; q->words[i] != NULL; i++) {
        if (strcmp(q->words[i], text) == 0) {
            return q->words[i];
        }
    }
    return NULL;
}

static bool number_of(const question *q, const char *text, double *number) {
    char *end;
    *number = strtod(text, &end);
    return isdigit((unsigned char)text[0]) && *end == '\0' && *number >= q->least &&
           *number <= q->most;
}

/* Ask until the answer is one that is allowed. 0, or the exit code. */
static int ask(const question *q, const char **word, double *number) {
    char line[128];
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "weft advise: --describe needs --%s; allowed: ", q->option);
        print_allowed(q, stderr);
        fprintf(stderr, "; on a terminal it is asked for\n");
        return WEFT_EXIT_USAGE;
    }
    for (;;) {
        printf("%s (", q->text);
        print_allowed(q, stdout);
        printf(") ");
        fflush(stdout);
        if (fgets(line, sizeof line, stdin) == NULL) {
            printf("\n");
            return WEFT_EXIT_USAGE;
        }
        line[strcspn(line, "\n")] = '\0';
        if (q->words != NULL ? (*word = word_of(q, line)) != NULL : number_of(q, line, number)) {
            return 0;
        }
    }
}

static int want_number(const question *q, bool given, double *number) {
    return given ? 0 : ask(q, NULL, number);
}

static int want_word(const question *q, const char **word) {
    if (*word == NULL) {
        return ask(q, word, NULL);
    }
    if (word_of(q, *word) != NULL) {
        return 0;
    }
    fprintf(stderr, "weft advise: --%s '%s'; allowed: ", q->option, *word);
    print_allowed(q, stderr);
    fprintf(stderr, "\n");
    return WEFT_EXIT_USAGE;
}

static int complete(weft_advise *advise) {
    weft_description *d = &advise->description;
    double threads = advise->threads;
    double entries = (double)d->entries;
    int code = want_number(&threads_question, threads > 0, &threads);
    code = code != 0 ? code : want_number(&entries_question, entries > 0, &entries);
    code = code != 0 ? code : want_number(&reads_question, d->reads >= 0, &d->reads);
    code = code != 0 ? code : want_word(&skew_question, &d->skew);
    code = code != 0 ? code : want_word(&lifetime_question, &d->lifetime);
    code = code != 0 ? code : want_word(&latency_question, &d->latency);
    advise->threads = (uint32_t)threads;
    d->entries = (uint64_t)entries;
    return code;
}

static uint64_t ops_for(uint64_t entries) {
    uint64_t ops = 4 * entries;
    return ops < OPS_LEAST ? OPS_LEAST : ops > OPS_MOST ? OPS_MOST : ops;
}

/* Who comes and goes: always new keys come, and the oldest leave. */
static void live_shortly(weft_workload *w, double writes) {
    w->keys = LIVES * w->prefill;
    w->distribution = WEFT_SEQUENTIAL;
    w->mix[WEFT_TRACE_INSERT] = writes / 2;
    w->mix[WEFT_TRACE_REMOVE] = writes / 2;
}

int weft_advise_describe(weft_advise *advise, weft_workload *workload) {
    weft_description *d = &advise->description;
    int code = complete(advise);
    if (code != 0) {
        return code;
    }
    double writes = 100 - d->reads;
    bool hot = strcmp(d->skew, "hot") == 0;
    *workload = (weft_workload){.name = "described",
                                .about = "what was described",
                                .keys = d->entries,
                                .prefill = d->entries,
                                .distribution = hot                            ? WEFT_HOT_KEYS
                                                : strcmp(d->skew, "even") == 0 ? WEFT_UNIFORM
                                                                               : WEFT_ZIPF,
                                .exponent = 0.99,
                                .hot = 1,
                                .burst = 1,
                                .ops = ops_for(d->entries),
                                .seed = 1,
                                .key_bytes = 16,
                                .value_bytes = 8};
    workload->mix[WEFT_TRACE_GET] = d->reads;
    if (strcmp(d->lifetime, "short") == 0) {
        live_shortly(workload, writes);
    } else {
        workload->mix[WEFT_TRACE_PUT] = writes;
    }
    if (strcmp(d->lifetime, "bulk") == 0) {
        workload->distribution = WEFT_SEQUENTIAL;
        workload->burst = d->entries;
    }
    advise->tail = advise->tail || strcmp(d->latency, "tail") == 0;
    return 0;
}
