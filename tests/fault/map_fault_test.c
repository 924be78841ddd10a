/* SPDX-License-Identifier: MIT */
/* E: every operation of the map with every one of its allocations failing, once and for ever.
 * Either it succeeds and the effect is there, or it answers WEFT_E_NOMEM and nothing has changed;
 * the structure holds its invariants, the map serves on, and nothing leaks. What removes, reads or
 * walks never answers NOMEM. */
#include "contract/contract.h"

#include <weft/batch.h>
#include <weft/snapshot.h>
#include <weft/u64map.h>
#include <weft/write_batch.h>

enum { KEYS = 160, FILLED = 100, HERE = 5, NOT_HERE = 150, SITES_MAX = 4000 };

/* What the map must hold. */
typedef struct model {
    bool present[KEYS];
    uint64_t value[KEYS];
} model;

typedef struct fault_case {
    const char *name;
    int (*run)(weft_map *map);
    void (*apply)(model *m);
    bool frees; /* must not need memory */
} fault_case;

/* ---- the cases: an operation, and its effect ------------------------------------------------- */

static const uint64_t here = HERE;
static const uint64_t absent = NOT_HERE;
static const uint64_t fresh_value = 777;
static uint64_t room;

static weft_buffer out_buffer(void) {
    return (weft_buffer){.data = &room, .capacity = sizeof room};
}

static int in_place_of(int answer, int normal) {
    return answer == normal ? WEFT_OK : answer;
}

static void set(model *m, unsigned key, uint64_t value) {
    m->present[key] = true;
    m->value[key] = value;
}

static void apply_nothing(model *m) {
    (void)m;
}

static void apply_here(model *m) {
    set(m, HERE, fresh_value);
}

static void apply_absent(model *m) {
    set(m, NOT_HERE, fresh_value);
}

static void apply_removed(model *m) {
    m->present[HERE] = false;
}

static void apply_batch(model *m) {
    apply_here(m);
    apply_absent(m);
    m->present[HERE + 1] = false;
}

static void apply_cleared(model *m) {
    memset(m->present, 0, sizeof m->present);
}

static void apply_assigned(model *m) {
    apply_cleared(m);
    apply_here(m);
    apply_absent(m);
}

static int run_put_absent(weft_map *map) {
    return weft_map_put(map, bytes_of_u64(&absent), bytes_of_u64(&fresh_value));
}

static int run_put_here(weft_map *map) {
    return weft_map_put(map, bytes_of_u64(&here), bytes_of_u64(&fresh_value));
}

static int run_swap(weft_map *map) {
    weft_buffer out = out_buffer();
    return weft_map_swap(map, bytes_of_u64(&here), bytes_of_u64(&fresh_value), &out);
}

static int run_insert(weft_map *map) {
    return weft_map_insert(map, bytes_of_u64(&absent), bytes_of_u64(&fresh_value));
}

static int run_get_or_insert(weft_map *map) {
    weft_buffer out = out_buffer();
    return weft_map_get_or_insert(map, bytes_of_u64(&absent), bytes_of_u64(&fresh_value), &out);
}

static int build_value(void *ctx, weft_bytes key, weft_fresh *fresh) {
    (void)ctx;
    (void)key;
    fresh->body = bytes_of_u64(&fresh_value);
    return WEFT_OK;
}

static int run_get_or_build(weft_map *map) {
    weft_buffer out = out_buffer();
    weft_build build = {build_value, NULL};
    return weft_map_get_or_build(map, bytes_of_u64(&absent), &build, &out);
}

static int run_replace(weft_map *map) {
    return weft_map_replace(map, bytes_of_u64(&here), bytes_of_u64(&fresh_value));
}

static int run_cas(weft_map *map) {
    return weft_map_cas(map, bytes_of_u64(&here), bytes_of_u64(&here), bytes_of_u64(&fresh_value));
}

static int run_replace_if_version(weft_map *map) {
    uint64_t version = version_of(map, bytes_of_u64(&here));
    return weft_map_replace_if_version(map, bytes_of_u64(&here), version,
                                       bytes_of_u64(&fresh_value));
}

static int run_fetch_here(weft_map *map) {
    return weft_map_fetch_add(map, bytes_of_u64(&here), (int64_t)(fresh_value - HERE), NULL);
}

static int run_fetch_absent(weft_map *map) {
    return weft_map_fetch_add(map, bytes_of_u64(&absent), (int64_t)fresh_value, NULL);
}

static void take_operand(void *ctx, weft_bytes old, weft_bytes operand, weft_fresh *fresh) {
    (void)ctx;
    (void)old;
    fresh->body = operand;
}

static int run_merge(weft_map *map) {
    weft_merge merge = {take_operand, NULL};
    return weft_map_merge(map, bytes_of_u64(&here), bytes_of_u64(&fresh_value), &merge);
}

static weft_verdict set_fresh(void *ctx, const weft_view *old, weft_fresh *fresh) {
    (void)ctx;
    (void)old;
    fresh->body = bytes_of_u64(&fresh_value);
    return WEFT_SET;
}

static int run_compute(weft_map *map) {
    weft_compute compute = {set_fresh, NULL, WEFT_OPTIMISTIC};
    return weft_map_compute(map, bytes_of_u64(&absent), &compute, NULL);
}

static int run_compute_exclusive(weft_map *map) {
    weft_compute compute = {set_fresh, NULL, WEFT_EXCLUSIVE};
    return weft_map_compute(map, bytes_of_u64(&here), &compute, NULL);
}

static int run_restore(weft_map *map) {
    weft_fresh value = {{NULL, 0}, bytes_of_u64(&fresh_value)};
    return weft_map_restore(map, bytes_of_u64(&here), &value, UINT32_MAX);
}

static int run_put_many(weft_map *map) {
    weft_bytes keys[2] = {bytes_of_u64(&absent), bytes_of_u64(&absent)};
    weft_bytes values[2] = {bytes_of_u64(&fresh_value), bytes_of_u64(&fresh_value)};
    int status = weft_map_put_many(map, keys, values, 2);
    if (status == WEFT_E_NOMEM && weft_map_contains(map, keys[0]) == WEFT_OK) {
        REQUIRE(weft_map_remove(map, keys[0]) == WEFT_OK); /* the first one was stored */
    }
    return status;
}

static int run_write_batch(weft_map *map) {
    static const uint64_t next = HERE + 1;
    weft_bytes value = bytes_of_u64(&fresh_value);
    weft_write writes[] = {{WEFT_WRITE_PUT, bytes_of_u64(&absent), value},
                           {WEFT_WRITE_PUT, bytes_of_u64(&here), bytes_of_u64(&here)},
                           {WEFT_WRITE_REMOVE, bytes_of_u64(&next), {NULL, 0}},
                           {WEFT_WRITE_PUT, bytes_of_u64(&here), value}};
    return weft_map_write_batch(map, writes, COUNT_OF(writes));
}

static int run_assign(weft_map *map) {
    weft_bytes keys[3] = {bytes_of_u64(&here), bytes_of_u64(&absent), bytes_of_u64(&here)};
    weft_bytes values[3] = {bytes_of_u64(&here), bytes_of_u64(&fresh_value),
                            bytes_of_u64(&fresh_value)};
    return weft_map_assign(map, keys, values, 3);
}

static int run_clear(weft_map *map) {
    return weft_map_clear(map);
}

static int run_reserve(weft_map *map) {
    return weft_map_reserve(map, 5000);
}

static int run_shrink(weft_map *map) {
    return in_place_of(weft_map_shrink(map), WEFT_UNCHANGED);
}

static int run_maintain(weft_map *map) {
    return in_place_of(weft_map_maintain(map, 10), WEFT_E_BUSY);
}

static int run_remove(weft_map *map) {
    return weft_map_remove(map, bytes_of_u64(&here));
}

static int run_remove_eq(weft_map *map) {
    return weft_map_remove_eq(map, bytes_of_u64(&here), bytes_of_u64(&here));
}

static int run_take(weft_map *map) {
    weft_ref ref;
    int status = weft_map_take(map, bytes_of_u64(&here), &ref);
    if (status == WEFT_OK) {
        REQUIRE(u64_of_bytes(ref.view.value) == HERE);
        weft_ref_release(&ref);
    }
    return status;
}

static int run_acquire(weft_map *map) {
    weft_ref ref;
    int status = weft_map_acquire(map, bytes_of_u64(&here), &ref);
    if (status == WEFT_OK) {
        weft_ref_release(&ref);
    }
    return status;
}

static int run_remove_many(weft_map *map) {
    weft_bytes keys[2] = {bytes_of_u64(&here), bytes_of_u64(&absent)};
    return weft_map_remove_many(map, keys, 2, NULL);
}

static bool is_not_here(void *ctx, const weft_view *entry) {
    (void)ctx;
    return u64_of_bytes(entry->key) != HERE;
}

static int run_retain(weft_map *map) {
    size_t removed = 0;
    int status = weft_map_retain(map, is_not_here, NULL, &removed);
    REQUIRE(removed == 1);
    return status;
}

static bool add_one(void *ctx, const weft_view *entry) {
    (void)entry;
    ++*(size_t *)ctx;
    return true;
}

static int run_walks(weft_map *map) {
    size_t seen[3] = {0, 0, 0};
    weft_map_iter iter;
    weft_guard guard;
    weft_view view;
    REQUIRE(weft_map_foreach(map, add_one, &seen[0]) == WEFT_OK);
    uint64_t cursor = 0;
    do {
        REQUIRE(weft_map_scan(map, &cursor, add_one, &seen[1]) == WEFT_OK);
    } while (cursor != 0);
    weft_guard_enter(&guard);
    weft_map_iter_start(map, &iter);
    while (weft_map_iter_next(&iter, &guard, &view) == WEFT_OK) {
        seen[2]++;
    }
    weft_guard_leave(&guard);
    REQUIRE(seen[0] == FILLED && seen[1] == FILLED && seen[2] == FILLED);
    return weft_map_len_exact(map) == FILLED ? WEFT_OK : WEFT_E_CORRUPT;
}

static int run_snapshot(weft_map *map) {
    weft_snapshot snapshot;
    weft_snapshot_cursor cursor = {0};
    weft_view view;
    size_t seen = 0;
    int status = weft_map_snapshot(map, &snapshot);
    if (status == WEFT_OK) {
        while ((status = weft_snapshot_next(&snapshot, &cursor, &view)) == WEFT_OK) {
            seen++;
        }
        weft_snapshot_release(&snapshot);
        status = in_place_of(status, WEFT_NOT_FOUND);
        REQUIRE(status != WEFT_OK || seen == FILLED);
    }
    return in_place_of(status, WEFT_E_UNSUPPORTED);
}

static int run_put_hashed(weft_map *map) {
    weft_hashed hashed;
    int status = weft_map_hash(map, bytes_of_u64(&absent), &hashed);
    return status == WEFT_OK ? weft_map_put_hashed(map, &hashed, bytes_of_u64(&fresh_value))
                             : status;
}

static int run_remove_hashed(weft_map *map) {
    weft_hashed hashed;
    int status = weft_map_hash(map, bytes_of_u64(&here), &hashed);
    return status == WEFT_OK ? weft_map_remove_hashed(map, &hashed) : status;
}

static int run_poll(weft_map *map) {
    weft_batch batch;
    weft_buffer out = out_buffer();
    REQUIRE(weft_batch_init(&batch, map, 1) == WEFT_OK);
    REQUIRE(weft_batch_submit(&batch, bytes_of_u64(&here), NULL) == WEFT_OK);
    REQUIRE(weft_batch_poll(&batch, &out, NULL) == WEFT_OK);
    return out.status;
}

static int run_get(weft_map *map) {
    weft_buffer out = out_buffer();
    return weft_map_get(map, bytes_of_u64(&here), &out);
}

static const fault_case cases[] = {
    {"put_absent", run_put_absent, apply_absent, false},
    {"put_here", run_put_here, apply_here, false},
    {"swap", run_swap, apply_here, false},
    {"insert", run_insert, apply_absent, false},
    {"get_or_insert", run_get_or_insert, apply_absent, false},
    {"get_or_build", run_get_or_build, apply_absent, false},
    {"replace", run_replace, apply_here, false},
    {"cas", run_cas, apply_here, false},
    {"replace_if_version", run_replace_if_version, apply_here, false},
    {"fetch_here", run_fetch_here, apply_here, false},
    {"fetch_absent", run_fetch_absent, apply_absent, false},
    {"merge", run_merge, apply_here, false},
    {"compute", run_compute, apply_absent, false},
    {"compute_exclusive", run_compute_exclusive, apply_here, false},
    {"restore", run_restore, apply_here, false},
    {"put_many", run_put_many, apply_absent, false},
    {"put_hashed", run_put_hashed, apply_absent, false},
    {"remove_hashed", run_remove_hashed, apply_removed, true},
    {"poll", run_poll, apply_nothing, true},
    {"write_batch", run_write_batch, apply_batch, false},
    {"assign", run_assign, apply_assigned, false},
    {"clear", run_clear, apply_cleared, false},
    {"reserve", run_reserve, apply_nothing, false},
    {"shrink", run_shrink, apply_nothing, false},
    {"maintain", run_maintain, apply_nothing, true},
    {"remove", run_remove, apply_removed, true},
    {"remove_eq", run_remove_eq, apply_removed, true},
    {"take", run_take, apply_removed, true},
    {"acquire", run_acquire, apply_nothing, true},
    {"remove_many", run_remove_many, apply_removed, true},
    {"retain", run_retain, apply_removed, true},
    {"walks", run_walks, apply_nothing, true},
    {"get", run_get, apply_nothing, true},
    {"snapshot", run_snapshot, apply_nothing, false},
};

/* Small ones, where memory is all there from the beginning: thousands are opened. */
static weft_map_options small_options(void **state) {
    weft_map_options options = contract_options(state);
    if (!contract_grows(state)) {
        options.fixed = (weft_fixed_options){.capacity = 5000};
    }
    return options;
}

/* ---- running them ---------------------------------------------------------------------------- */

static uint64_t constant_hash(void *ctx, weft_bytes key, uint64_t seed) {
    (void)ctx;
    (void)key;
    (void)seed;
    return 42;
}

typedef struct setting {
    const fault_case *c;
    weft_map_options options;
    contract_meter meter;
    weft_allocator allocator;
    uint64_t site;
    bool forever;
    bool pictured; /* a snapshot lives, from before the operation */
} setting;

static void require_model(weft_map *map, const model *m, const setting *s) {
    size_t count = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        uint64_t value = 0;
        bool present = get_u64(map, key, &value) == WEFT_OK;
        if (present != m->present[key] || (present && value != m->value[key])) {
            fprintf(stderr, "%s, site %llu, forever %d: key %llu\n", s->c->name,
                    (unsigned long long)s->site, s->forever, (unsigned long long)key);
            REQUIRE(!"the map is not what it must be");
        }
        count += present;
    }
    REQUIRE(weft_map_len(map) == count && weft_map_len_exact(map) == count);
}

/* It shows what was there before the operation, or says that memory was short. */
static void require_picture(weft_snapshot *snapshot) {
    uint64_t shown = 0;
    uint64_t short_of_memory = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        weft_view view;
        int status = weft_snapshot_get(snapshot, bytes_of_u64(&key), &view);
        REQUIRE(status != WEFT_OK || (key < FILLED && u64_of_bytes(view.value) == key));
        shown += status == WEFT_OK;
        short_of_memory += status == WEFT_E_NOMEM;
    }
    REQUIRE((shown == FILLED && short_of_memory == 0) || (shown == 0 && short_of_memory == KEYS));
    weft_snapshot_release(snapshot);
}

/* True if there is another site to fail. */
static bool fail_one_site(setting *s) {
    model m = {{false}, {0}};
    s->meter = (contract_meter){0, 0};
    s->allocator = contract_allocator(&s->meter);
    s->options.allocator = &s->allocator;
    weft_map map = contract_open_with(&s->options);
    for (uint64_t key = 0; key < FILLED; key++) {
        REQUIRE(put_u64(&map, key, key) == WEFT_OK);
        set(&m, (unsigned)key, key);
    }
    weft_snapshot picture = WEFT_SNAPSHOT_INIT;
    REQUIRE(!s->pictured || weft_map_snapshot(&map, &picture) == WEFT_OK);
    weft_memory_fail_at(s->site, s->forever);
    int status = s->c->run(&map);
    bool more = weft_memory_count() >= s->site;
    weft_memory_fail_off();
    if (status == WEFT_OK) {
        s->c->apply(&m);
    } else if ((status != WEFT_E_NOMEM || !more || s->c->frees) &&
               !(s->pictured && s->c->run == run_snapshot && status == WEFT_E_BUSY)) {
        fprintf(stderr, "%s, site %llu: %s\n", s->c->name, (unsigned long long)s->site,
                weft_status_name(status));
        REQUIRE(!"an answer that it must not give");
    }
    char text[200] = "";
    if (weft_map_check(&map, text, sizeof text) != WEFT_OK) {
        fprintf(stderr, "%s: %s\n", s->c->name, text);
        REQUIRE(!"the structure is broken");
    }
    require_model(&map, &m, s);
    REQUIRE(run_put_absent(&map) == WEFT_OK); /* it serves on */
    if (s->pictured) {
        require_picture(&picture);
    }
    contract_close(&map);
    REQUIRE(s->meter.blocks == 0 && s->meter.bytes == 0);
    return more;
}

static void every_case(const weft_map_options *options, bool pictured) {
    uint64_t failed = 0;
    bool batches = weft_engine_of(options->engine)->write_batch != NULL;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cases[i].run == run_write_batch && !batches) {
            continue; /* answers WEFT_E_UNSUPPORTED */
        }
        for (int forever = 0; forever < 2; forever++) {
            setting s = {.c = &cases[i],
                         .options = *options,
                         .site = 1,
                         .forever = forever != 0,
                         .pictured = pictured};
            while (fail_one_site(&s)) {
                s.site++;
                failed++;
                REQUIRE(s.site < SITES_MAX);
            }
        }
    }
    bool grows = (weft_engine_of(options->engine)->caps & WEFT_CAP_GROW) != 0;
    REQUIRE(failed >= (grows ? 30 : 8)); /* the failures were really met */
}

static void E_operations_survive_failures(void **state) {
    weft_map_options options = small_options(state);
    options.refcount = true;
    every_case(&options, false);
}

static void E_operations_beside_a_snapshot_survive_failures(void **state) {
    weft_map_options options = small_options(state);
    options.refcount = true;
    bool pictures = contract_card_of(state)->snapshot != NULL;
    for (int crowded = 0; pictures && crowded < 2; crowded++) {
        options.hash = crowded ? constant_hash : NULL;
        every_case(&options, true);
    }
}

static void E_operations_survive_failures_in_crowded_buckets(void **state) {
    weft_map_options options = small_options(state);
    options.refcount = true;
    options.hash = constant_hash;
    every_case(&options, false);
}

/* ---- open, and growth ------------------------------------------------------------------------ */

static void E_open_fails_cleanly(void **state) {
    for (uint64_t site = 1, more = 1; more != 0; site++) {
        contract_meter meter = {0, 0};
        weft_allocator allocator = contract_allocator(&meter);
        weft_map_options options = small_options(state);
        weft_map map = WEFT_MAP_INIT;
        options.allocator = &allocator;
        weft_memory_fail_at(site, false);
        int status = weft_map_open(&map, &options);
        more = weft_memory_count() >= site;
        weft_memory_fail_off();
        REQUIRE(status == (more ? WEFT_E_NOMEM : WEFT_OK));
        REQUIRE(weft_map_close(&map) == WEFT_OK);
        REQUIRE(meter.blocks == 0 && meter.bytes == 0);
    }
}

static void E_first_use_fails_cleanly(void **state) {
    weft_map map = WEFT_MAP_INIT;
    (void)state;
    weft_memory_fail_at(1, true);
    REQUIRE(put_u64(&map, 1, 1) == WEFT_E_NOMEM);
    REQUIRE(weft_map_clear(&map) == WEFT_E_NOMEM && weft_map_reserve(&map, 9) == WEFT_E_NOMEM);
    REQUIRE(remove_u64(&map, 1) == WEFT_NOT_FOUND);
    REQUIRE(weft_map_remove_if(&map, bytes_of_u64(&here), is_not_here, NULL) == WEFT_NOT_FOUND);
    weft_memory_fail_off();
    REQUIRE(map.impl == NULL);
    REQUIRE(put_u64(&map, 1, 1) == WEFT_OK);
    contract_close(&map);
}

enum { GROWN = 3000 };

/* Inserts while every `stride`-th allocation fails; what was answered OK is there, the rest is
 * not. */
static void grow_with_gaps(void **state, uint64_t stride) {
    static bool stored[GROWN];
    contract_meter meter = {0, 0};
    weft_allocator allocator = contract_allocator(&meter);
    weft_map_options options = small_options(state);
    options.allocator = &allocator;
    weft_map map = contract_open_with(&options);
    size_t refused = 0;
    for (uint64_t i = 0; i < GROWN; i++) {
        if (i % 50 == 0) {
            weft_memory_fail_at(i % 100 == 0 ? stride : 1, i % 200 == 50);
        }
        int status = put_u64(&map, i, i);
        REQUIRE(status == WEFT_OK || status == WEFT_E_NOMEM);
        stored[i] = status == WEFT_OK;
        refused += !stored[i];
    }
    weft_memory_fail_off();
    REQUIRE(refused > 0 && refused < GROWN);
    REQUIRE(weft_map_len(&map) == GROWN - refused);
    for (uint64_t i = 0; i < GROWN; i++) {
        uint64_t value;
        REQUIRE((get_u64(&map, i, &value) == WEFT_OK) == stored[i]);
    }
    put_range(&map, 0, GROWN * 4); /* growth goes on */
    require_range(&map, 0, GROWN * 4);
    weft_map_stats stats;
    weft_map_stats_get(&map, &stats);
    REQUIRE(stats.growths > 3 || !contract_can(state, WEFT_CAP_RESIZE));
    contract_close(&map);
    REQUIRE(meter.blocks == 0 && meter.bytes == 0);
}

static void E_growth_fails_and_is_retried(void **state) {
    for (uint64_t stride = 1; contract_grows(state) && stride < 40; stride += 3) {
        grow_with_gaps(state, stride);
    }
}

static void E_numbers_survive_failures(void **state) {
    for (uint64_t site = 1; site < 300; site++) {
        contract_meter meter = {0, 0};
        weft_allocator allocator = contract_allocator(&meter);
        weft_map_options options = small_options(state);
        weft_u64map map = WEFT_U64MAP_INIT;
        bool stored[500];
        options.allocator = &allocator;
        REQUIRE(weft_u64map_open(&map, &options) == WEFT_OK);
        weft_memory_fail_at(site, site % 2 == 0);
        for (uint64_t i = 0; i < COUNT_OF(stored); i++) {
            int status = weft_u64map_put(&map, i, i);
            REQUIRE(status == WEFT_OK || status == WEFT_E_NOMEM);
            stored[i] = status == WEFT_OK;
        }
        for (uint64_t i = 0; i < COUNT_OF(stored); i += 2) {
            REQUIRE(weft_u64map_remove(&map, i) == (stored[i] ? WEFT_OK : WEFT_NOT_FOUND));
            stored[i] = false;
        }
        weft_memory_fail_off();
        for (uint64_t i = 0; i < COUNT_OF(stored); i++) {
            REQUIRE((weft_u64map_contains(&map, i) == WEFT_OK) == stored[i]);
        }
        REQUIRE(weft_u64map_check(&map, NULL, 0) == WEFT_OK);
        REQUIRE(weft_u64map_close(&map) == WEFT_OK);
        REQUIRE(meter.blocks == 0 && meter.bytes == 0);
    }
}

static const contract_test tests[] = {
    CONTRACT(E_operations_survive_failures),
    CONTRACT(E_operations_survive_failures_in_crowded_buckets),
    CONTRACT(E_operations_beside_a_snapshot_survive_failures),
    CONTRACT(E_open_fails_cleanly),
    CONTRACT(E_first_use_fails_cleanly),
    CONTRACT(E_growth_fails_and_is_retried),
    CONTRACT(E_numbers_survive_failures),
};

int main(void) {
    return contract_run("fault/map", tests, COUNT_OF(tests));
}
