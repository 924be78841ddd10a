/* SPDX-License-Identifier: MIT */
#include "figure.h"
#include "stats.h"
#include <stdlib.h>
#include <string.h>

double weft_figure_median(const figure *f) {
    weft_bench_samples samples = {f->values, f->count};
    return weft_bench_median(samples);
}

double weft_figure_low(const figure *f) {
    double low = f->values[0];
    for (size_t i = 1; i < f->count; i++) {
        low = f->values[i] < low ? f->values[i] : low;
    }
    return low;
}

double weft_figure_high(const figure *f) {
    double high = f->values[0];
    for (size_t i = 1; i < f->count; i++) {
        high = f->values[i] > high ? f->values[i] : high;
    }
    return high;
}

static json_t *figure_json(const figure *f) {
    json_t *samples = json_array();
    for (size_t i = 0; i < f->count; i++) {
        json_array_append_new(samples, json_real(f->values[i]));
    }
    return json_pack("{s:s,s:o,s:f,s:f,s:f,s:o*,s:o*}", "peer", f->peer, "samples", samples,
                     "median", weft_figure_median(f), "low", weft_figure_low(f), "high",
                     weft_figure_high(f), "series", f->series, "kinds", f->kinds);
}

void weft_figure_add_cell(const weft_single *how, const cell_text *text, const figure *own,
                          const figure *other) {
    json_t *results = json_array();
    size_t name = strcspn(text->id, "/");
    json_array_append_new(results, figure_json(own));
    json_t *cell = json_pack("{s:s,s:o,s:s,s:s,s:i,s:I,s:s,s:s,s:s,s:s}", "id", text->id,
                             "workload", json_stringn(text->id, name), "about", text->about,
                             "shape", text->shape, "threads", atoi(text->id + name + 1), "entries",
                             (json_int_t)text->entries, "measure", text->measure, "unit",
                             text->unit, "better", text->better, "weft", own->peer);
    if (other != NULL) {
        double ratio = weft_figure_median(own) / weft_figure_median(other);
        json_array_append_new(results, figure_json(other));
        json_object_set_new(cell, "best_peer", json_string(other->peer));
        json_object_set_new(cell, "ratio",
                            json_real(strcmp(text->better, "less") == 0 ? 1 / ratio : ratio));
    }
    json_object_set_new(cell, "results", results);
    json_array_append_new(how->cells, cell);
}

void weft_figure_add_control(const weft_single *how, const char *id, const char *name) {
    size_t i;
    json_t *known;
    json_array_foreach(how->peers, i, known) {
        if (strcmp(json_string_value(json_object_get(known, "id")), id) == 0) {
            return;
        }
    }
    json_array_append_new(how->peers,
                          json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b}", "id", id, "name", name,
                                    "language", "c", "version", "", "licence", "MIT", "status",
                                    "ok", "note", "", "control", 1));
}
