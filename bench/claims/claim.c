/* SPDX-License-Identifier: MIT */
#include "bench/driver/bench.h"
#include "bench/driver/peer.h"
#include "bench/driver/process.h"
#include "record.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GO_PREFIX "Go: "
#define GO_SECONDS 30.0 /* for a line of its answer */

const char *weft_claim_verdict_name(weft_claim_verdict verdict) {
    static const char *const names[] = {"holds", "holds in part", "does not hold here", "not run"};
    return names[verdict];
}

bool weft_claim_quick(const weft_claim *claim) {
    return claim->quick;
}

static json_t *find(const weft_claim *claim, const char *name) {
    size_t i;
    json_t *figure;
    json_array_foreach(claim->figures, i, figure) {
        if (strcmp(json_string_value(json_object_get(figure, "name")), name) == 0) {
            return figure;
        }
    }
    return NULL;
}

static json_t *number_or_null(double number) {
    return isfinite(number) ? json_real(number) : json_null();
}

void weft_claim_add(weft_claim *claim, const weft_claim_row *row) {
    if (find(claim, row->name) != NULL) {
        fprintf(stderr, "weft bench claims: %s: two figures are named '%s'\n", claim->id,
                row->name);
        abort();
    }
    json_array_append_new(claim->figures,
                          json_pack("{s:s,s:s,s:o,s:o}", "name", row->name, "unit", row->unit,
                                    "claimed", number_or_null(row->claimed), "measured",
                                    number_or_null(row->measured)));
}

void weft_claim_claimed(weft_claim *claim, const char *name, double claimed) {
    json_t *figure = find(claim, name);
    if (figure != NULL) {
        json_object_set_new(figure, "claimed", number_or_null(claimed));
    }
}

double weft_claim_value(const weft_claim *claim, const char *name) {
    const json_t *measured = json_object_get(find(claim, name), "measured");
    return json_is_number(measured) ? json_number_value(measured) : NAN;
}

void weft_claim_say(weft_claim *claim, weft_claim_verdict verdict, const char *format, ...) {
    va_list list;
    claim->said = true;
    claim->verdict = verdict;
    va_start(list, format);
    int size = vsnprintf(claim->why, sizeof claim->why, format, list);
    va_end(list);
    if (size > 0 && (size_t)size < sizeof claim->why) {
        snprintf(claim->why + size, sizeof claim->why - (size_t)size, "%s", claim->go_says);
    }
}

weft_claim_verdict weft_claim_of_ratio(double claimed, double measured) {
    if (isnan(measured)) {
        return WEFT_CLAIM_NOT_RUN;
    }
    if (measured < 1.1 || measured - 1 < (claimed - 1) / 20) {
        return WEFT_CLAIM_NOT;
    }
    double off = measured / claimed;
    return off >= 0.5 && off <= 2 ? WEFT_CLAIM_HOLDS : WEFT_CLAIM_IN_PART;
}

weft_claim_verdict weft_claim_both(weft_claim_verdict one, weft_claim_verdict other) {
    if (one == other || other == WEFT_CLAIM_NOT_RUN) {
        return one;
    }
    return one == WEFT_CLAIM_NOT_RUN ? other : WEFT_CLAIM_IN_PART;
}

weft_claim_verdict weft_claim_go_ratio(weft_claim *claim, const char *name, double claimed) {
    double measured = weft_claim_value(claim, name);
    weft_claim_claimed(claim, name, claimed);
    if (!isnan(measured)) {
        snprintf(claim->go_says, sizeof claim->go_says, " Go's own types, %s: %.2f.",
                 name + strlen(GO_PREFIX), measured);
    }
    return weft_claim_of_ratio(claimed, measured);
}

/* ---- Go -------------------------------------------------------------------------------------- */

/* A line of go-claims: "go<TAB>VERSION", or "figure<TAB>NAME<TAB>UNIT<TAB>VALUE". */
static bool take_line(weft_claim *claim, char *line) {
    char *words[4] = {NULL};
    char *rest = NULL;
    for (int i = 0; i < 4; i++) {
        words[i] = strtok_r(i == 0 ? line : NULL, "\t", &rest);
    }
    if (words[1] != NULL && words[2] == NULL && strcmp(words[0], "go") == 0) {
        snprintf(claim->go, sizeof claim->go, "%s", words[1]);
        return true;
    }
    if (words[3] == NULL || strcmp(words[0], "figure") != 0) {
        return false;
    }
    char name[200];
    char *end;
    double value = strtod(words[3], &end);
    if (*end != '\0') {
        return false;
    }
    snprintf(name, sizeof name, GO_PREFIX "%s", words[1]);
    weft_claim_figure(claim, name, words[2], NAN, value);
    return true;
}

/* All lines up to "end". */
static bool take_answer(weft_claim *claim, weft_process *process) {
    for (;;) {
        char line[400];
        const char *got = weft_process_receive(process, GO_SECONDS);
        if (got == NULL) {
            char said[2000];
            weft_process_errors(process, said, sizeof said);
            said[strcspn(said, "\n")] = '\0';
            snprintf(claim->go, sizeof claim->go, "go-claims failed: %.50s%s%.300s",
                     process->problem, said[0] != '\0' ? ": " : "", said);
            return false;
        }
        if (strcmp(got, "end") == 0) {
            return true;
        }
        snprintf(line, sizeof line, "%s", got);
        if (!take_line(claim, line)) {
            snprintf(claim->go, sizeof claim->go, "go-claims printed what is no figure: %.80s",
                     got);
            return false;
        }
    }
}

bool weft_claim_go(weft_claim *claim) {
    char path[4200];
    weft_process process;
    if (!weft_peers_program("go-claims", path, sizeof path)) {
        snprintf(claim->go, sizeof claim->go,
                 "go-claims is not there; 'make peers' builds it where Go 1.24 or newer is");
        return false;
    }
    const char *const argv[] = {path, claim->id, claim->quick ? "quick" : NULL, NULL};
    weft_bench_progress("%s: Go", claim->id);
    if (!weft_process_start(&process, argv)) {
        snprintf(claim->go, sizeof claim->go, "go-claims: %s", process.problem);
        return false;
    }
    bool done = take_answer(claim, &process);
    weft_process_end(&process);
    return done;
}
