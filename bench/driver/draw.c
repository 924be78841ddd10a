/* SPDX-License-Identifier: MIT */
/* Zipf's distribution by two published methods: Gray, Sundaresan, Englert, Baclawski and
 * Weinberger, "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD 1994), for exponents
 * below 1; and rejection-inversion, Hörmann and Derflinger (1996), which needs no table and
 * no sum, above. */
#include "draw.h"
#include <math.h>

uint64_t weft_draw_u64(weft_draw *draw) {
    draw->state += UINT64_C(0x9e3779b97f4a7c15);
    return weft_draw_mix(draw->state);
}

double weft_draw_unit(weft_draw *draw) {
    return (double)(weft_draw_u64(draw) >> 11) * 0x1p-53;
}

uint64_t weft_draw_below(weft_draw *draw, uint64_t below) {
    return (uint64_t)(((unsigned __int128)weft_draw_u64(draw) * below) >> 64);
}

/* The integral of x^-exponent from 1 to x, and its inverse. */
static double integral(double x, double exponent) {
    double log_x = log(x);
    double power = (1 - exponent) * log_x;
    return fabs(power) < 1e-8 ? log_x * (1 + power / 2) : expm1(power) / (1 - exponent);
}

static double inverse_integral(double x, double exponent) {
    double power = x * (1 - exponent);
    if (fabs(power) < 1e-8) {
        return exp(x * (1 - power / 2));
    }
    return exp(log1p(power < -1 ? -1 : power) / (1 - exponent));
}

static void prepare_gray(weft_draw *draw) {
    double theta = draw->exponent;
    double n = (double)draw->n;
    draw->zeta = 0;
    for (uint64_t i = draw->n; i != 0; i--) {
        draw->zeta += pow((double)i, -theta);
    }
    double two = 1 + pow(2, -theta);
    draw->alpha = 1 / (1 - theta);
    draw->eta = draw->n <= 2 ? 0 : (1 - pow(2 / n, 1 - theta)) / (1 - two / draw->zeta);
}

static uint64_t gray(weft_draw *draw) {
    double u = weft_draw_unit(draw);
    double scaled = u * draw->zeta;
    if (scaled < 1 || draw->n == 1) {
        return 0;
    }
    if (scaled < 1 + pow(0.5, draw->exponent) || draw->n == 2) {
        return 1;
    }
    double rank = (double)draw->n * pow(draw->eta * u - draw->eta + 1, draw->alpha);
    return rank >= (double)draw->n ? draw->n - 1 : (uint64_t)rank;
}

static void prepare_rejection(weft_draw *draw) {
    double s = draw->exponent;
    draw->first = integral(1.5, s) - 1;
    draw->range = integral((double)draw->n + 0.5, s) - draw->first;
    draw->accept = 2 - inverse_integral(integral(2.5, s) - pow(2, -s), s);
}

static uint64_t rejection(weft_draw *draw) {
    double s = draw->exponent;
    for (;;) {
        double u = draw->first + weft_draw_unit(draw) * draw->range;
        double x = inverse_integral(u, s);
        double k = floor(x + 0.5);
        k = k < 1 ? 1 : k > (double)draw->n ? (double)draw->n : k;
        if (k - x <= draw->accept || u >= integral(k + 0.5, s) - pow(k, -s)) {
            return (uint64_t)k - 1;
        }
    }
}

static uint64_t zipf(weft_draw *draw) {
    return draw->exponent < 1 ? gray(draw) : rejection(draw);
}

/* A burst is drawn as often as its writes come, divided by its length. */
static void set_limits(weft_draw *draw, const weft_workload *workload) {
    double sum = 0;
    double all = 100;
    draw->burst = workload->burst > 1 ? workload->burst : 1;
    if (draw->burst > 1) {
        double gets = workload->mix[WEFT_TRACE_GET];
        all = gets + (100 - gets) / (double)draw->burst;
    }
    for (int i = 0; i < WEFT_TRACE_OPS; i++) {
        sum += workload->mix[i] / (i == WEFT_TRACE_GET ? 1 : (double)draw->burst);
        draw->limits[i] = sum / all;
    }
}

void weft_draw_init(weft_draw *draw, const weft_workload *workload) {
    *draw =
        (weft_draw){.state = weft_draw_mix(workload->seed),
                    .kind = workload->distribution,
                    .keys = workload->keys,
                    .hot = workload->hot,
                    .n = workload->distribution == WEFT_LATEST ? workload->prefill : workload->keys,
                    .newest = workload->prefill,
                    .exponent = workload->exponent};
    draw->cursors[WEFT_TRACE_INSERT] = workload->prefill;
    set_limits(draw, workload);
    if (draw->kind == WEFT_ZIPF || draw->kind == WEFT_LATEST) {
        (draw->exponent < 1 ? prepare_gray : prepare_rejection)(draw);
    }
}

weft_trace_op weft_draw_op(weft_draw *draw) {
    if (draw->left != 0) {
        draw->left--;
        return draw->last;
    }
    double u = weft_draw_unit(draw);
    int op = 0;
    while (op < WEFT_TRACE_OPS - 1 && u >= draw->limits[op]) {
        op++;
    }
    draw->last = (weft_trace_op)op;
    draw->left = op == WEFT_TRACE_GET ? 0 : draw->burst - 1;
    return draw->last;
}

static uint64_t latest(weft_draw *draw, weft_trace_op op) {
    if (op == WEFT_TRACE_INSERT) {
        return draw->newest++ % draw->keys;
    }
    return (draw->newest - 1 - zipf(draw)) % draw->keys;
}

uint64_t weft_draw_rank(weft_draw *draw, weft_trace_op op) {
    switch (draw->kind) {
    case WEFT_ZIPF:
        return zipf(draw);
    case WEFT_HOT_KEYS:
        return weft_draw_below(draw, draw->hot);
    case WEFT_SEQUENTIAL:
        return draw->cursors[op]++ % draw->keys;
    case WEFT_LATEST:
        return latest(draw, op);
    case WEFT_UNIFORM:
        break;
    }
    return weft_draw_below(draw, draw->keys);
}
