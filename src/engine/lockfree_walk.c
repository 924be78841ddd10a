/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": walks. A step visits one bucket of the oldest generation, which is an interval
 * of the reversed hash; while it moves, each of its parts is taken from where its keys live at that
 * moment. */
#include "engine/lockfree_overflow.h"

enum { ENTRIES_AHEAD = 2, BUCKETS_AHEAD = 6 }; /* steps */

/* A walk of one interval of the reversed hash. */
typedef struct visit {
    weft_core *core;
    weft_step *step;
    uint64_t last; /* the interval's last point */
    bool filter;   /* buckets may hold keys outside the interval */
    bool careful;  /* the door is closed */
} visit;

static void visit_emit(visit *v, cell what) {
    WEFT_ASSERT(v->step->emit != NULL);
    if (v->filter) {
        uint64_t point = weft_reverse_bits(cell_hash(v->core, &what));
        if (point < v->step->from || point > v->last) {
            return;
        }
    }
    if (v->core->shape == WEFT_SHAPE_U64) {
        v->step->emit(v->step, weft_core_unhash_u64(v->core, what.hash), what.value);
    } else {
        v->step->emit(v->step, 0, (uintptr_t)word_entry(what.value));
    }
}

/* What visit_bucket saw of a bucket at one moment. */
typedef struct seen {
    generation *gen;
    uint64_t index;
    bucket_view in;
    unsigned count;
    cell cells[WORDS + LINK_SLOTS];
} seen;

/* The live cells in the slots that may be filled again and again. In those between is one key, or
 * it is gone: they need not be seen at the same moment. */
static void see_slots(weft_core *core, seen *now) {
    WEFT_ASSERT(now->index <= now->gen->mask);
    uint64_t link = now->in.head.second;
    uint64_t end = all_slots(core, link);
    now->count = 0;
    for (uint64_t i = 0; i < end; i++) {
        if (i == slots_of(core->shape)) {
            i = last_slots(core, link);
        }
        now->cells[now->count].hash = now->index;
        now->count += live_slot(core, &now->in, i, &now->cells[now->count]);
    }
}

/* Emits the cells of `from`; with a `next` generation, only those that belong to its bucket
 * `target`. */
static void emit_seen(visit *v, const seen *from, const generation *next, uint64_t target) {
    WEFT_ASSERT(next == NULL || target <= next->mask);
    uint64_t slots = slots_of(v->core->shape);
    uint64_t between = last_slots(v->core, from->in.head.second) - slots;
    for (uint64_t i = 0; i < from->count + between; i++) {
        cell what = {.hash = from->index};
        if (i < from->count) {
            what = from->cells[i];
        } else if (!live_slot(v->core, &from->in, slots + i - from->count, &what)) {
            continue;
        }
        if (next == NULL || cell_target(v->core, from->gen, from->index, &what) == target) {
            visit_emit(v, what);
        }
    }
}

static void visit_bucket(visit *v, generation *gen, uint64_t index);

/* The part of a walk's interval that belongs to bucket t of a larger generation. */
static weft_step part_of(const visit *v, const generation *next, uint64_t t, uint64_t *last) {
    weft_step part = *v->step;
    uint64_t first = weft_reverse_bits(t);
    uint64_t end = first | UINT64_MAX >> weft_bits_for(next->mask + 1);
    part.from = max_u64(v->step->from, first);
    *last = end < v->last ? end : v->last;
    return part;
}

/* A frozen bucket's keys: from each target that is live, else from the source itself. */
static void visit_moved(visit *v, const seen *from) {
    WEFT_ASSERT(from->index <= from->gen->mask);
    generation *next = weft_load_acquire(&from->gen->next); /* pairs with begin_move */
    bool shrinking = next->mask < from->gen->mask;
    uint64_t step = shrinking ? next->mask + 1 : from->gen->mask + 1;
    for (uint64_t t = from->index & next->mask; t <= next->mask; t += step) {
        visit part = *v;
        weft_step part_step = *v->step;
        if (!shrinking) {
            part_step = part_of(v, next, t, &part.last);
        }
        part.step = &part_step;
        /* Acquire: the image. Pairs with the publishing CAS of fill_target. */
        if (weft_load_acquire(&next->buckets[t].head.first) != 0) {
            part.filter = part.filter || shrinking;
            visit_bucket(&part, next, t);
        } else if (part_step.from <= part.last) {
            emit_seen(&part, from, next, t);
        }
    }
}

static void visit_bucket(visit *v, generation *gen, uint64_t index) {
    WEFT_ASSERT(index <= gen->mask);
    bucket *at = &gen->buckets[index];
    seen now = {.gen = gen, .index = index, .in.at = at};
    if (v->step->from > v->last) {
        return;
    }
    if (WEFT_UNLIKELY(v->careful) &&
        !is_frozen(weft_load_acquire(&at->head.first))) { /* pairs with the freezing CAS */
        (void)weft_lockfree_look_behind_door(v->core, gen, index);
    }
    do {
        now.in.head = load_head(at);
        see_slots(v->core, &now);
        /* pairs with the CAS of head */
    } while (weft_load_acquire(&at->head.first) != now.in.head.first);
    if (is_frozen(now.in.head.first)) {
        visit_moved(v, &now);
    } else {
        emit_seen(v, &now, NULL, 0);
    }
}

static bucket *bucket_of_point(generation *gen, uint64_t point) {
    return &gen->buckets[weft_reverse_bits(point) & gen->mask];
}

/* The next steps' lines come from memory while this one works: first buckets, then what they point
 * to. Neighbours of a walk are far from each other in memory. */
static void look_ahead(weft_core *core, generation *gen, uint64_t from) {
    uint64_t width = (UINT64_MAX >> weft_bits_for(gen->mask + 1)) + 1;
    __builtin_prefetch(bucket_of_point(gen, from + BUCKETS_AHEAD * width));
    bucket *near = bucket_of_point(gen, from + ENTRIES_AHEAD * width);
    for (unsigned i = 0; core->shape == WEFT_SHAPE_BYTES && i < WORDS; i++) {
        uintptr_t entry = (uintptr_t)word_entry(weft_load_relaxed(&near->words[i]));
        prefetch_two_lines(entry); /* of an empty slot: of no use, and harmless */
    }
}

void weft_lockfree_walk(weft_core *core, weft_step *step) {
    WEFT_ASSERT(step->emit != NULL); /* the guard may be a movable one, on no thread */
    const face *door = door_of(core);
    generation *gen = generation_of(door);
    step->next = 0;
    if (gen == NULL) {
        return;
    }
    unsigned bits = weft_bits_for(gen->mask + 1);
    uint64_t rest = UINT64_MAX >> bits;
    visit v = {.core = core, .step = step, .last = step->from | rest};
    v.filter = (step->from & rest) != 0;
    v.careful = face_of(door) != 0;
    step->next = v.last + 1;
    look_ahead(core, gen, step->from);
    visit_bucket(&v, gen, weft_reverse_bits(step->from) & gen->mask);
}
