/* SPDX-License-Identifier: MIT */
/* The advice, for people: computed from the JSON object and nothing else. */
#include "advise.h"
#include "result.h"
#include <stdio.h>
#include <string.h>

static double number_at(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static long long whole_at(const json_t *object, const char *key) {
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_dimensions(const json_t *d) {
    const json_t *needed = json_object_get(d, "rate_needed");
    const json_t *lifetime = json_object_get(d, "lifetime_operations");
    printf("rate        %.2f M operations a second and processor at best; needed: ",
           number_at(d, "rate_per_core") / 1e6);
    if (json_is_number(needed)) {
        printf("%.4f M\n", json_number_value(needed) / 1e6);
    } else {
        printf("not said (--rate)\n");
    }
    printf(
        "keys        %.2f of 10 bits of entropy over 1024 hash buckets; the most wanted key gets "
        "%.1f %%\n",
        number_at(d, "entropy_bits"), number_at(d, "wanted_percent"));
    printf("reads       %.2f %% of operations; writes %.2f %%, %.1f one behind the other\n",
           number_at(d, "reads_percent"), number_at(d, "writes_percent"), number_at(d, "burst"));
    printf("tail        p99.9 from %.0f to %.0f ns, by the map; %s\n",
           number_at(d, "tail_least_ns"), number_at(d, "tail_most_ns"),
           json_is_true(json_object_get(d, "tail_counts"))
               ? "it counts"
               : "the average counts (--latency tail: else)");
    printf("size        %lld entries at first, %lld at most; %lld keys\n",
           whole_at(d, "entries_first"), whole_at(d, "entries_most"), whole_at(d, "distinct"));
    if (json_is_number(lifetime)) {
        printf("lifetime    %.0f operations on average, of keys that leave; %.1f %% of operations "
               "insert or remove\n\n",
               json_number_value(lifetime), number_at(d, "churn_percent"));
    } else {
        printf("lifetime    no key leaves\n\n");
    }
}

static void print_row(const json_t *row, const char *named) {
    const char *id = weft_bench_text(row, "peer");
    const char *note = weft_bench_text(row, "note");
    printf("%c %-14s", strcmp(id, named) == 0 ? '*' : ' ', id);
    if (json_object_get(row, "rate") == NULL) {
        printf(" %9s %9s %9s %9s %9s", "-", "-", "-", "-", "-");
    } else {
        char bytes[32] = "-";
        if (json_is_number(json_object_get(row, "bytes_per_entry"))) {
            snprintf(bytes, sizeof bytes, "%.1f", number_at(row, "bytes_per_entry"));
        }
        printf(" %9.2f %9.2f %9.0f %9.0f %9s", number_at(row, "rate") / 1e6,
               number_at(row, "rate_per_core") / 1e6, number_at(row, "p99_ns"),
               number_at(row, "p999_ns"), bytes);
    }
    printf("%s%s\n", *note != '\0' ? "  " : "", note);
}

static const char *measure_text(const char *judged_by) {
    if (strcmp(judged_by, "rate") == 0) {
        return "operations a second";
    }
    return strcmp(judged_by, "p999_ns") == 0
               ? "p99.9"
               : "operations a second of processor time, as others used the machine: time for "
                 "which threads wait is not in it";
}

void weft_advise_print(const json_t *advice) {
    const json_t *rule = json_object_get(advice, "rule");
    size_t i;
    json_t *row;
    printf("trace       %s, replayed by %lld thread%s\n", weft_bench_text(advice, "trace"),
           whole_at(advice, "threads"), whole_at(advice, "threads") == 1 ? "" : "s");
    print_dimensions(json_object_get(advice, "dimensions"));
    printf("rule        %s: %s\n            %s: %s\n\n", weft_bench_text(rule, "name"),
           weft_bench_text(rule, "when"), weft_bench_text(rule, "engine"),
           weft_bench_text(rule, "why"));
    printf("  %-14s %9s %9s %9s %9s %9s\n", "map", "M/s", "M/s/core", "p99 ns", "p99.9 ns",
           "B/entry");
    json_array_foreach(json_object_get(advice, "measured"), i, row) {
        print_row(row, weft_bench_text(advice, "peer"));
    }
    printf("\ncompared    by %s\n", measure_text(weft_bench_text(advice, "judged_by")));
    printf("advice      %s\nbecause     %s\n", weft_bench_text(advice, "advice"),
           weft_bench_text(advice, "because"));
    if (number_at(json_object_get(advice, "dimensions"), "burst") >= 100) {
        printf("batches     writes come in runs; the replay makes them one by one, and "
               "weft_map_write_batch, where the engine has it, would make a run at once\n");
    }
    printf("use         %s\n            good for: %s\n            bad for:  %s\n",
           weft_bench_text(advice, "options"), weft_bench_text(advice, "choose"),
           weft_bench_text(advice, "do_not_choose"));
}
