/* SPDX-License-Identifier: MIT */
/* weft bench compare: which differences between two results are more than noise.
 *
 * By default the ratio of weft to a peer is compared, round by round: both ran on one machine at
 * one time, so what slowed that machine down cancels out. --absolute compares the figures.
 *
 * A row is called when three things hold: it differs by at least the least change that is looked
 * at, the test of ranks finds that unlikely, and it stays unlikely though many rows were looked at.
 * Slower and faster are looked for separately, each at 5 %: so a table of equal programs holds a
 * row called slower in at most one of twenty comparisons. */
#include "base/exit.h"
#include "bench.h"
#include "result.h"
#include "stats.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEVEL 0.05

/* Medians of two runs' memory probes that are so far apart are two moods of a machine: a median of
 * many probes is much steadier than one probe, which is judged more leniently. */
#define SPEEDS_APART 1.5

typedef enum verdict { SAME, SLOWER, FASTER, UNTOLD } verdict;

static const char *const verdict_words[] = {"same", "slower", "faster", "not comparable"};

/* One comparison. The values are better when they are greater, whatever the measure. */
typedef struct row {
    const char *cell;
    const char *peer;
    bool counts; /* a change of it is a change of weft */
    double median_a;
    double median_b;
    weft_bench_change change;
    weft_bench_rank_test chance;
    double possible; /* the smallest chance that so few samples could have given */
    verdict verdict;
} row;

typedef struct comparison {
    const char *paths[2];
    json_t *results[2];
    bool absolute;
    double least; /* as a quotient: 0.05 for 5 % */
    const char *json;
    row *rows;
    size_t count;
} comparison;

typedef struct series {
    double *values;
    size_t count;
} series;

static weft_bench_samples samples_of(series s) {
    return (weft_bench_samples){s.values, s.count};
}

static double sample(const json_t *figure, size_t i) {
    return json_number_value(json_array_get(json_object_get(figure, "samples"), i));
}

static size_t sample_count(const json_t *figure) {
    return json_array_size(json_object_get(figure, "samples"));
}

/* The number of the round that a sample is of: without a list, its own place. */
static json_int_t round_of(const json_t *figure, size_t i) {
    const json_t *rounds = json_object_get(figure, "rounds");
    return rounds ? json_integer_value(json_array_get(rounds, i)) : (json_int_t)i;
}

/* The sample of a round; 0 if the figure has none of it. */
static double sample_of_round(const json_t *figure, json_int_t round) {
    for (size_t i = 0; i < sample_count(figure); i++) {
        if (round_of(figure, i) == round) {
            return sample(figure, i);
        }
    }
    return 0;
}

static bool is_disturbed(const json_t *figure, json_int_t round) {
    const json_t *disturbed = json_object_get(figure, "disturbed");
    for (size_t i = 0; i < json_array_size(disturbed); i++) {
        if (json_integer_value(json_array_get(disturbed, i)) == round) {
            return true;
        }
    }
    return false;
}

/* What a result says of one peer in one cell, so that more is better: the figures, or, with weft's
 * own figures given, weft's ratio to the peer in each round that both were in; of all rounds, or
 * of those in which nothing disturbed them. */
static void take_series(series *s, const json_t *const figures[2], bool less, bool quiet) {
    s->count = 0;
    for (size_t i = 0; s->values && i < sample_count(figures[0]); i++) {
        const json_int_t round = round_of(figures[0], i);
        double value = sample(figures[0], i);
        double own = figures[1] ? sample_of_round(figures[1], round) : 0;
        bool disturbed = is_disturbed(figures[0], round) || is_disturbed(figures[1], round);
        if ((!figures[1] || own > 0) && !(quiet && disturbed)) {
            value = figures[1] ? own / value : value;
            s->values[s->count++] = less ? 1 / value : value;
        }
    }
}

/* Disturbed rounds count only where too few are left without them. */
static series series_of(const json_t *cell, const json_t *figure, const json_t *weft) {
    const json_t *const figures[2] = {figure, weft};
    bool less = strcmp(weft_bench_text(cell, "better"), "less") == 0;
    series s = {.values = calloc(sample_count(figure) + 1, sizeof *s.values)};
    take_series(&s, figures, less, true);
    if (s.count < WEFT_QUIET_ROUNDS) {
        take_series(&s, figures, less, false);
    }
    return s;
}

/* 1 / (n over k): the chance of the most extreme order. */
static double smallest_chance(size_t first, size_t second) {
    double chance = 1;
    for (size_t i = 1; i <= second; i++) {
        chance *= (double)i / (double)(first + i);
    }
    return chance;
}

/* Only then is a quotient of two of them one that says something. */
static bool is_positive(series s) {
    for (size_t i = 0; i < s.count; i++) {
        if (!(s.values[i] > 0 && isfinite(s.values[i]))) {
            return false;
        }
    }
    return true;
}

static void fill_row(row *r, series a, series b) {
    r->verdict = UNTOLD;
    if (!a.values || !b.values || a.count == 0 || b.count == 0) {
        return;
    }
    r->median_a = weft_bench_median(samples_of(a));
    r->median_b = weft_bench_median(samples_of(b));
    if (!is_positive(a) || !is_positive(b)) {
        return;
    }
    r->verdict = SAME;
    r->change = weft_bench_quotient(samples_of(a), samples_of(b));
    r->chance = weft_bench_rank(samples_of(a), samples_of(b));
    r->possible = smallest_chance(a.count, b.count);
}

static const json_t *figure_of(const json_t *cell, const char *peer) {
    return weft_bench_find(json_object_get(cell, "results"), "peer", peer);
}

static void add_row(comparison *c, const json_t *cells[2], const char *peer) {
    const json_t *figures[2];
    const json_t *weft[2] = {NULL, NULL};
    series s[2];
    for (int i = 0; i < 2; i++) {
        figures[i] = figure_of(cells[i], peer);
        weft[i] = c->absolute ? NULL : figure_of(cells[i], weft_bench_text(cells[i], "weft"));
        if (!figures[i] || (!c->absolute && (!weft[i] || weft[i] == figures[i]))) {
            return;
        }
    }
    for (int i = 0; i < 2; i++) {
        s[i] = series_of(cells[i], figures[i], weft[i]);
    }
    row *r = &c->rows[c->count++];
    *r = (row){.cell = weft_bench_text(cells[0], "id"), .peer = peer};
    r->counts = !c->absolute || strcmp(peer, weft_bench_text(cells[0], "weft")) == 0;
    fill_row(r, s[0], s[1]);
    free(s[0].values);
    free(s[1].values);
}

static const json_t *cells_of(const comparison *c, int which) {
    return json_object_get(c->results[which], "cells");
}

static int collect_rows(comparison *c) {
    size_t most = 0;
    size_t i;
    const json_t *cell;
    json_array_foreach(cells_of(c, 0), i, cell) {
        most += json_array_size(json_object_get(cell, "results"));
    }
    c->rows = calloc(most + 1, sizeof *c->rows);
    if (!c->rows) {
        fprintf(stderr, "weft bench compare: out of memory\n");
        return -1;
    }
    json_array_foreach(cells_of(c, 0), i, cell) {
        const json_t *pair[2] = {
            cell, weft_bench_find(cells_of(c, 1), "id", weft_bench_text(cell, "id"))};
        size_t j;
        const json_t *figure;
        json_array_foreach(json_object_get(cell, "results"), j, figure) {
            if (pair[1]) {
                add_row(c, pair, weft_bench_text(figure, "peer"));
            }
        }
    }
    return 0;
}

static int judge(comparison *c) {
    double *less = calloc(c->count + 1, sizeof *less);
    double *more = calloc(c->count + 1, sizeof *more);
    if (!less || !more) {
        free(less);
        free(more);
        fprintf(stderr, "weft bench compare: out of memory\n");
        return -1;
    }
    size_t judged = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->rows[i].verdict != UNTOLD) {
            less[judged] = c->rows[i].chance.p_less;
            more[judged++] = c->rows[i].chance.p_more;
        }
    }
    double cut_less = weft_bench_cut(less, judged, LEVEL);
    double cut_more = weft_bench_cut(more, judged, LEVEL);
    free(less);
    free(more);
    for (size_t i = 0; i < c->count; i++) {
        row *r = &c->rows[i];
        if (r->verdict != UNTOLD && r->chance.p_less <= cut_less &&
            r->change.quotient <= 1 - c->least) {
            r->verdict = SLOWER;
        } else if (r->verdict != UNTOLD && r->chance.p_more <= cut_more &&
                   r->change.quotient >= 1 / (1 - c->least)) {
            r->verdict = FASTER;
        }
    }
    return 0;
}

static size_t count_rows(const comparison *c, verdict wanted) {
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++) {
        count += c->rows[i].counts && c->rows[i].verdict == wanted;
    }
    return count;
}

/* The two-sided chance, as it is usually quoted. */
static double chance_of(const row *r) {
    return fmin(1, 2 * fmin(r->chance.p_less, r->chance.p_more));
}

static int width_of(const comparison *c, bool peers) {
    size_t width = 4;
    for (size_t i = 0; i < c->count; i++) {
        size_t length = strlen(peers ? c->rows[i].peer : c->rows[i].cell);
        width = length > width ? length : width;
    }
    return (int)width;
}

static void print_row(const row *r, int cell_width, int peer_width) {
    printf("%-*s  %-*s  ", cell_width, r->cell, peer_width, r->peer);
    if (r->verdict == UNTOLD) {
        printf("%s\n", verdict_words[UNTOLD]);
        return;
    }
    printf("%9.4g  %9.4g  %+7.1f %%  ", r->median_a, r->median_b, 100 * (r->change.quotient - 1));
    if (isnan(r->change.low)) {
        printf("%19s", "-");
    } else {
        printf("%+7.1f .. %+6.1f %%", 100 * (r->change.low - 1), 100 * (r->change.high - 1));
    }
    printf("  %6.4f  %s\n", chance_of(r), verdict_words[r->verdict]);
}

static void print_head(const comparison *c) {
    for (int i = 0; i < 2; i++) {
        const json_t *weft = json_object_get(c->results[i], "weft");
        const json_t *machine = json_object_get(c->results[i], "machine");
        printf("%c  %s: %s, weft %s %s, %s, %s\n", "AB"[i], c -> paths[i],
               weft_bench_text(c->results[i], "started"), weft_bench_text(weft, "version"),
               weft_bench_text(weft, "commit"), weft_bench_text(weft, "compiler"),
               weft_bench_text(machine, "cpu"));
    }
}

static double median_read_ns(const json_t *result, const char *which) {
    const json_t *reads = json_object_get(json_object_get(result, "noise"), "read_ns");
    return json_number_value(json_object_get(json_object_get(reads, which), "median"));
}

static void print_machine_speeds(const comparison *c) {
    static const char *const which[] = {"cache", "memory", "handover", "step"};
    static const char *const names[] = {"a read of the shared cache", "a read of memory",
                                        "a line's way from one processor to another",
                                        "a step of a loop on two processors at once"};
    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        double a = median_read_ns(c->results[0], which[i]);
        double b = median_read_ns(c->results[1], which[i]);
        if (a > 0 && b > 0 && fmax(a, b) > SPEEDS_APART * fmin(a, b)) {
            printf("note: %s took %.0f ns in A, %.0f ns in B: the machine was not the "
                   "same; ratios suffer less than figures, but make both again for a verdict\n",
                   names[i], a, b);
        }
    }
}

/* What makes two results hard to compare: it is told, and left to the reader. */
static void print_warnings(const comparison *c) {
    const char *const same[] = {"cpu", "kernel", "virtual"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const json_t *a = json_object_get(json_object_get(c->results[0], "machine"), same[i]);
        const json_t *b = json_object_get(json_object_get(c->results[1], "machine"), same[i]);
        if (a && b && !json_equal(a, b)) {
            printf("note: the machines differ in '%s'; ratios of two machines need not be equal\n",
                   same[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        if (json_is_true(json_object_get(json_object_get(c->results[i], "noise"), "noisy"))) {
            printf("note: %c is marked as noisy\n", "AB"[i]);
        }
        if (json_is_true(json_object_get(c->results[i], "partial"))) {
            printf("note: %c is marked as partial\n", "AB"[i]);
        }
    }
    print_machine_speeds(c);
    size_t i;
    const json_t *peer;
    json_array_foreach(json_object_get(c->results[0], "peers"), i, peer) {
        const json_t *other = weft_bench_find(json_object_get(c->results[1], "peers"), "id",
                                              weft_bench_text(peer, "id"));
        if (other && strcmp(weft_bench_text(peer, "version"), weft_bench_text(other, "version"))) {
            printf("note: %s is version %s in A, %s in B\n", weft_bench_text(peer, "id"),
                   weft_bench_text(peer, "version"), weft_bench_text(other, "version"));
        }
    }
}

static void print_lone_cells(const comparison *c) {
    for (int i = 0; i < 2; i++) {
        size_t j;
        const json_t *cell;
        json_array_foreach(cells_of(c, i), j, cell) {
            if (!weft_bench_find(cells_of(c, 1 - i), "id", weft_bench_text(cell, "id"))) {
                printf("only in %c: %s\n", "AB"[i], weft_bench_text(cell, "id"));
            }
        }
    }
}

/* Whether the rows of one cell alone could be called at all with so few samples. */
static bool too_few_samples(const comparison *c) {
    for (size_t i = 0; i < c->count; i++) {
        size_t together = 0;
        for (size_t j = 0; j < c->count; j++) {
            together += strcmp(c->rows[i].cell, c->rows[j].cell) == 0;
        }
        if (c->rows[i].verdict != UNTOLD &&
            c->rows[i].possible > LEVEL * (double)together / (double)c->count) {
            return true;
        }
    }
    return false;
}

static void print_text(const comparison *c) {
    int cell_width = width_of(c, false);
    int peer_width = width_of(c, true);
    print_head(c);
    print_warnings(c);
    printf("\n%s; more is better\n", c->absolute
                                         ? "figures (of less-is-better measures: 1 / figure)"
                                         : "weft's ratio to the peer");
    printf("%-*s  %-*s  %9s  %9s  %9s  %19s  %6s  %s\n", cell_width, "cell", peer_width, "peer",
           "A", "B", "change", "95 % interval", "p", "verdict");
    for (size_t i = 0; i < c->count; i++) {
        print_row(&c->rows[i], cell_width, peer_width);
    }
    print_lone_cells(c);
    printf(
        "\n%zu comparisons: %zu slower, %zu faster, %zu no more than noise, %zu not comparable\n",
        c->count, count_rows(c, SLOWER), count_rows(c, FASTER), count_rows(c, SAME),
        count_rows(c, UNTOLD));
    printf("called if the change is %g %% or more and, among so many rows, below 5 %% likely to be "
           "chance\n",
           100 * c->least);
    if (too_few_samples(c)) {
        printf("note: with so few rounds a change in one cell alone cannot be told from chance; "
               "use more --rounds\n");
    }
}

static json_t *number_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *row_json(const row *r) {
    if (r->verdict == UNTOLD) {
        return json_pack("{ss ss ss}", "cell", r->cell, "peer", r->peer, "verdict",
                         verdict_words[UNTOLD]);
    }
    return json_pack("{ss ss sf sf sf so so sf ss}", "cell", r->cell, "peer", r->peer, "a",
                     r->median_a, "b", r->median_b, "change", r->change.quotient - 1, "low",
                     number_or_null(r->change.low - 1), "high", number_or_null(r->change.high - 1),
                     "p", chance_of(r), "verdict", verdict_words[r->verdict]);
}

static json_t *lone_cells(const comparison *c, int which) {
    json_t *list = json_array();
    size_t i;
    const json_t *cell;
    json_array_foreach(cells_of(c, which), i, cell) {
        const char *id = weft_bench_text(cell, "id");
        if (!weft_bench_find(cells_of(c, 1 - which), "id", id)) {
            json_array_append_new(list, json_string(id));
        }
    }
    return list;
}

static int write_json(const comparison *c) {
    json_t *rows = json_array();
    for (size_t i = 0; i < c->count; i++) {
        json_array_append_new(rows, row_json(&c->rows[i]));
    }
    json_t *whole =
        json_pack("{ss ss ss sb sf so so so si si}", "format", "weft-bench-compare/1", "a",
                  c->paths[0], "b", c->paths[1], "absolute", c->absolute, "least", c->least, "rows",
                  rows, "only_in_a", lone_cells(c, 0), "only_in_b", lone_cells(c, 1), "slower",
                  (int)count_rows(c, SLOWER), "faster", (int)count_rows(c, FASTER));
    bool written = whole != NULL && weft_bench_result_write(whole, c->json);
    json_decref(whole);
    return written ? 0 : -1;
}

static const char usage[] =
    "usage: weft bench compare A.json B.json [OPTION...]\n"
    "\n"
    "Tells which differences between two results of 'weft bench --json' are more than noise.\n"
    "\n"
    "  --absolute      compare the figures, not weft's ratios to its peers\n"
    "  --least P       call no change below P percent (default 5)\n"
    "  --json FILE     write the comparison as JSON too\n"
    "\n"
    "exit codes: 0 nothing is slower, 1 something of weft is slower in B, 2 usage, 3 unreadable\n";

static int refuse(const char *what, const char *which) {
    fprintf(stderr, "weft bench compare: %s '%s'; see 'weft bench compare --help'\n", what, which);
    return -1;
}

static int parse_least(comparison *c, const char *text) {
    char *end;
    double percent = strtod(text, &end);
    if (end == text || *end || !(percent >= 0 && percent < 100)) {
        return refuse("--least takes a percentage from 0 to below 100, not", text);
    }
    c->least = percent / 100;
    return 0;
}

static int parse(comparison *c, int argc, char **argv) {
    int paths = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool takes_value = strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--least") == 0;
        if (takes_value && !value) {
            return refuse("there is no value behind", argv[i]);
        }
        if (strcmp(argv[i], "--absolute") == 0) {
            c->absolute = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            c->json = value;
        } else if (takes_value && parse_least(c, value) != 0) {
            return -1;
        } else if (!takes_value && argv[i][0] == '-') {
            return refuse("there is no option", argv[i]);
        } else if (!takes_value && paths == 2) {
            return refuse("two results are compared; there is one more,", argv[i]);
        } else if (!takes_value) {
            c->paths[paths++] = argv[i];
        }
        i += takes_value;
    }
    return paths == 2 ? 0
                      : refuse("two results are compared, A.json and B.json, not",
                               paths ? c->paths[0] : "");
}

static int run(comparison *c) {
    for (int i = 0; i < 2; i++) {
        c->results[i] = weft_bench_result_read(c->paths[i]);
        if (!c->results[i]) {
            return WEFT_EXIT_ENVIRONMENT;
        }
    }
    if (collect_rows(c) != 0 || judge(c) != 0) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    print_text(c);
    if (c->json && write_json(c) != 0) {
        return WEFT_EXIT_ENVIRONMENT;
    }
    return count_rows(c, SLOWER) ? WEFT_EXIT_FINDING : WEFT_EXIT_FINE;
}

int weft_bench_compare_command(int argc, char **argv) {
    comparison c = {.least = 0.05};
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("%s", usage);
        return WEFT_EXIT_FINE;
    }
    if (parse(&c, argc, argv) != 0) {
        return WEFT_EXIT_USAGE;
    }
    int code = run(&c);
    json_decref(c.results[0]);
    json_decref(c.results[1]);
    free(c.rows);
    return code;
}
