/* SPDX-License-Identifier: MIT */
#include "stats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_UP_TO = 64 };

static int by_size(const void *left, const void *right) {
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double *sorted_copy(const double *values, size_t count) {
    double *copy = malloc((count + 1) * sizeof *copy);
    if (copy) {
        memcpy(copy, values, count * sizeof *copy);
        qsort(copy, count, sizeof *copy, by_size);
    }
    return copy;
}

static double middle(const double *sorted, size_t count) {
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

double weft_bench_median(weft_bench_samples samples) {
    if (samples.count == 0) {
        return NAN;
    }
    double *sorted = sorted_copy(samples.values, samples.count);
    double median = sorted ? middle(sorted, samples.count) : NAN;
    free(sorted);
    return median;
}

/* How many of n samples lie outside on either side: the most that are below the median of their
 * source with a chance of 2.5 % or less. */
static size_t outside_median(size_t n) {
    double chance = pow(0.5, (double)n); /* that exactly k are below */
    double together = chance;
    size_t k = 0;
    while (together <= 0.025) {
        k++;
        chance *= (double)(n - k + 1) / (double)k;
        together += chance;
    }
    return k;
}

double weft_bench_median_half_width(weft_bench_samples samples) {
    size_t cut = outside_median(samples.count);
    double *sorted = cut != 0 ? sorted_copy(samples.values, samples.count) : NULL;
    double half =
        sorted != NULL ? (sorted[samples.count - cut] - sorted[cut - 1]) / 2 : (double)INFINITY;
    free(sorted);
    return half;
}

/* Both sets as one, with twice the rank of each sample: ties share the mean of their ranks, and
 * twice a mean of ranks is a whole number. */
typedef struct ranking {
    size_t first; /* samples in the first set */
    size_t count; /* samples in both */
    unsigned *twice_rank;
    unsigned twice_sum_second; /* of the second set */
    double ties;               /* sum of t³ - t over groups of t equal samples */
} ranking;

static unsigned twice_rank_of(const double *sorted, size_t count, double value, double *group) {
    size_t below = 0;
    size_t equal = 0;
    for (size_t i = 0; i < count; i++) {
        below += sorted[i] < value;
        equal += sorted[i] == value;
    }
    *group = (double)equal;
    return (unsigned)(2 * below + equal + 1);
}

static int rank_samples(ranking *r, weft_bench_samples first, weft_bench_samples second) {
    *r = (ranking){.first = first.count, .count = first.count + second.count};
    double *all = malloc((r->count + 1) * sizeof *all);
    r->twice_rank = malloc((r->count + 1) * sizeof *r->twice_rank);
    if (!all || !r->twice_rank) {
        free(all);
        free(r->twice_rank);
        return -1;
    }
    memcpy(all, first.values, first.count * sizeof *all);
    memcpy(all + first.count, second.values, second.count * sizeof *all);
    double *sorted = sorted_copy(all, r->count);
    for (size_t i = 0; sorted && i < r->count; i++) {
        double group;
        r->twice_rank[i] = twice_rank_of(sorted, r->count, all[i], &group);
        r->ties += group * group - 1;
        if (i >= first.count) {
            r->twice_sum_second += r->twice_rank[i];
        }
    }
    free(all);
    if (!sorted) {
        free(r->twice_rank);
        return -1;
    }
    free(sorted);
    return 0;
}

/* How many ways there are to choose the second set with each sum of ranks: ways[k * width + s] for
 * k chosen samples and the sum s. Doubles are exact up to 2^53, and close enough beyond. */
static double *count_ways(const ranking *r, size_t chosen, size_t *width) {
    *width = r->count * (r->count + 1) + 1;
    double *ways = calloc((chosen + 1) * *width, sizeof *ways);
    if (!ways) {
        return NULL;
    }
    ways[0] = 1;
    for (size_t i = 0; i < r->count; i++) {
        unsigned rank = r->twice_rank[i];
        for (size_t k = chosen; k > 0; k--) {
            for (size_t sum = rank; sum < *width; sum++) {
                ways[k * *width + sum] += ways[(k - 1) * *width + sum - rank];
            }
        }
        /* Downwards in k, each sample is chosen once at most. */
    }
    return ways;
}

static weft_bench_rank_test exact_test(const ranking *r) {
    size_t chosen = r->count - r->first;
    size_t width;
    double *ways = count_ways(r, chosen, &width);
    if (!ways) {
        return (weft_bench_rank_test){1, 1};
    }
    double all = 0;
    double less = 0;
    double more = 0;
    for (size_t sum = 0; sum < width; sum++) {
        double here = ways[chosen * width + sum];
        all += here;
        less += sum <= r->twice_sum_second ? here : 0;
        more += sum >= r->twice_sum_second ? here : 0;
    }
    free(ways);
    return (weft_bench_rank_test){less / all, more / all};
}

static weft_bench_rank_test normal_test(const ranking *r) {
    double n = (double)r->count;
    double a = (double)r->first;
    double b = n - a;
    double sum = r->twice_sum_second / 2.0;
    double mean = b * (n + 1) / 2;
    double variance = a * b / 12 * (n + 1 - r->ties / (n * (n - 1)));
    if (variance <= 0) {
        return (weft_bench_rank_test){1, 1};
    }
    double scale = sqrt(variance) * sqrt(2);
    return (weft_bench_rank_test){erfc(-(sum + 0.5 - mean) / scale) / 2,
                                  erfc((sum - 0.5 - mean) / scale) / 2};
}

weft_bench_rank_test weft_bench_rank(weft_bench_samples first, weft_bench_samples second) {
    ranking r;
    if (first.count == 0 || second.count == 0 || rank_samples(&r, first, second) != 0) {
        return (weft_bench_rank_test){1, 1};
    }
    weft_bench_rank_test found = r.count <= EXACT_UP_TO ? exact_test(&r) : normal_test(&r);
    free(r.twice_rank);
    return found;
}

/* How many of the sorted pairwise quotients lie outside the interval on either side: the greatest
 * number whose chance under equal sources is at most 2.5 %. */
static size_t outside(size_t first, size_t second) {
    double n = (double)(first + second);
    if (first + second > EXACT_UP_TO) {
        double a = (double)first;
        double b = (double)second;
        return (size_t)fmax(0, floor(a * b / 2 - 1.959964 * sqrt(a * b * (n + 1) / 12)));
    }
    ranking plain = {.first = first, .count = first + second};
    unsigned ranks[EXACT_UP_TO];
    for (size_t i = 0; i < plain.count; i++) {
        ranks[i] = (unsigned)(2 * (i + 1));
    }
    plain.twice_rank = ranks;
    size_t width;
    double *ways = count_ways(&plain, second, &width);
    if (!ways) {
        return 0;
    }
    double all = 0;
    for (size_t sum = 0; sum < width; sum++) {
        all += ways[second * width + sum];
    }
    size_t cut = 0;
    double below = 0;
    for (size_t u = 0; u <= first * second; u++) {
        below += ways[second * width + 2 * u + second * (second + 1)];
        if (below > 0.025 * all) {
            break;
        }
        cut = u + 1;
    }
    free(ways);
    return cut;
}

weft_bench_change weft_bench_quotient(weft_bench_samples first, weft_bench_samples second) {
    weft_bench_change change = {NAN, NAN, NAN};
    size_t pairs = first.count * second.count;
    double *quotients = malloc((pairs + 1) * sizeof *quotients);
    if (pairs == 0 || !quotients) {
        free(quotients);
        return change;
    }
    for (size_t i = 0; i < pairs; i++) {
        quotients[i] = second.values[i / first.count] / first.values[i % first.count];
    }
    qsort(quotients, pairs, sizeof *quotients, by_size);
    change.quotient = middle(quotients, pairs);
    size_t cut = outside(first.count, second.count);
    if (cut > 0) {
        change.low = quotients[cut - 1];
        change.high = quotients[pairs - cut];
    }
    free(quotients);
    return change;
}

double weft_bench_cut(const double *chances, size_t count, double level) {
    double *sorted = sorted_copy(chances, count);
    double cut = 0;
    for (size_t i = 0; sorted && i < count; i++) {
        if (sorted[i] <= level * (double)(i + 1) / (double)count) {
            cut = sorted[i];
        }
    }
    free(sorted);
    return cut;
}
