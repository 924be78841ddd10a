/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": freeing a table that no thread can reach any more, a few buckets at a time. */
#include "engine/lockfree_layout.h"
#include "engine/lockfree_overflow.h"

/* Free a bucket that no thread can reach; `moved` says which of its cells live elsewhere. */
static void close_bucket(weft_core *core, generation *gen, uint64_t index,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(index <= gen->mask);
    bucket *at = &gen->buckets[index];
    generation *next = is_frozen(at->head.first) ? gen->next : NULL;
    const bucket_view in = {at, at->head};
    uint64_t end = all_slots(core, at->head.second);
    for (uint64_t i = 0; i < end; i++) {
        cell what = {.hash = index};
        if (!live_slot(core, &in, i, &what)) {
            continue;
        }
        if (next == NULL || next->buckets[cell_target(core, gen, index, &what)].head.first == 0) {
            drop(core,
                 core->shape == WEFT_SHAPE_U64 ? what.value : (uintptr_t)word_entry(what.value));
        }
    }
    overflow_drop(core, overflow_of(at->head.second));
}

bool weft_lockfree_close(weft_core *core, size_t budget,
                         void (*drop)(weft_core *core, uint64_t cell)) {
    WEFT_ASSERT(drop != NULL);
    lockfree_table *table = table_of(core);
    weft_limbo_drain(&table->doors);
    for (generation *gen = root_of(core); gen != NULL; gen = root_of(core)) {
        for (; table->closing <= gen->mask; table->closing++, budget--) {
            if (budget == 0) {
                return false;
            }
            close_bucket(core, gen, table->closing, drop);
        }
        if (gen->next != NULL && gen->next->image != NULL) {
            WEFT_ASSERT(gen->next->image->holders == 1);
            weft_core_free(core, gen->next->image, sizeof(lockfree_image), WEFT_CACHE_LINE);
        }
        core->root = gen->next;
        table->closing = 0;
        weft_core_bury(core, &gen->remains);
    }
    weft_core_free(core, table, sizeof *table, WEFT_CACHE_LINE);
    core->table = NULL;
    return true;
}
