/* SPDX-License-Identifier: MIT */
/* Making and freeing maps and their eras; memory and hashing for engines. */
#include "map/advice.h"
#include "map/recording.h"

#include "base/assert.h"
#include "base/cpu.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numa.h"
#include "base/random.h"

enum {
    STRIPES_MAX = WEFT_LIMBO_STRIPES_MAX,
    TABLE_PAGES_FROM = 64 * 1024, /* tables of this size and more are zero pages */
    /* What is unmapped at once: 25 microseconds of small pages; of a huge page the first piece
     * costs as much, the others 5. (AMD EPYC, Linux 6.18; 2 MiB of small pages: 150.) */
    TABLE_PIECE = 256 * 1024,
    LINK_BLOCK = 1, /* tag of a retired block; entries have none */
    LINK_OWN = 2,   /* tag of what the engine frees itself */
};

/* ---- memory for engines ---------------------------------------------------------------------- */

void *weft_core_alloc(weft_core *core, size_t size, size_t align) {
    return weft_memory_alloc(&core->allocator, size, align);
}

void weft_core_free(weft_core *core, void *memory, size_t size, size_t align) {
    weft_memory_free(&core->allocator, memory, size, align);
}

static bool table_is_pages(const weft_core *core, size_t size) {
    return core->allocator.alloc_zeroed == NULL && size >= TABLE_PAGES_FROM;
}

void *weft_core_alloc_table(weft_core *core, size_t size, bool in_order) {
    if (core->allocator.alloc_zeroed != NULL) {
        return core->allocator.alloc_zeroed(core->allocator.ctx, size, WEFT_CACHE_LINE);
    }
    if (table_is_pages(core, size)) {
        return in_order ? weft_pages_map_small(size) : weft_pages_map(size);
    }
    void *memory = weft_core_alloc(core, size, WEFT_CACHE_LINE);
    return memory == NULL ? NULL : memset(memory, 0, size);
}

void weft_core_place_table(weft_core *core, void *memory, size_t size, uint32_t node) {
    if (table_is_pages(core, size)) {
        (void)weft_numa_prefer(memory, size, node); /* else it serves from wherever it is */
    }
}

void weft_core_free_table(weft_core *core, void *memory, size_t size) {
    if (table_is_pages(core, size)) {
        weft_pages_unmap(memory, size);
    } else {
        weft_core_free(core, memory, size, WEFT_CACHE_LINE);
    }
}

uint64_t weft_core_table_pieces(const weft_core *core, size_t size) {
    return table_is_pages(core, size) ? (size + TABLE_PIECE - 1) / TABLE_PIECE : size != 0;
}

size_t weft_core_free_table_piece(weft_core *core, void *memory, size_t size, uint64_t piece) {
    WEFT_ASSERT(piece < weft_core_table_pieces(core, size));
    size_t at = (size_t)piece * TABLE_PIECE;
    size_t bytes = size;
    if (table_is_pages(core, size)) {
        bytes = size - at < TABLE_PIECE ? size - at : TABLE_PIECE;
    }
    weft_core_free_table(core, (char *)memory + at, bytes);
    return bytes;
}

void weft_core_retire_block(weft_core *core, weft_block *block) {
    weft_limbo_retire(&core->limbo, (uintptr_t)&block->link | LINK_BLOCK, block->bytes);
}

void weft_core_retire_own(weft_core *core, uint64_t link, size_t bytes) {
    WEFT_ASSERT(core->engine->release != NULL);
    weft_limbo_retire(&core->limbo, link | LINK_OWN, bytes);
}

void weft_entry_retire(weft_core *core, weft_entry *entry, weft_reason reason) {
    weft_entry_set_reason(entry, reason);
    weft_entry_retire_unlinked(core, entry);
}

void weft_entry_retire_unlinked(weft_core *core, weft_entry *entry) {
    /* Acquire: the images. Pairs with the registration of an image. */
    if (WEFT_UNLIKELY(weft_load_acquire(&core->image_count) != 0) &&
        weft_snapshot_keeps(core, entry)) {
        return;
    }
    weft_limbo_retire(&core->limbo, (uintptr_t)&entry->version, weft_entry_bytes(entry));
}

const void *weft_core_map(const weft_core *core) {
    return WEFT_CONTAINER(core, const weft_era, core)->map;
}

static weft_era *era_of(weft_core *core) {
    return WEFT_CONTAINER(core, weft_era, core);
}

static size_t release_retired(void *ctx, uint64_t link) {
    weft_core *core = ctx;
    if ((link & LINK_OWN) != 0) {
        return core->engine->release(core, link & ~(uint64_t)LINK_OWN);
    }
    void *address = (void *)(uintptr_t)(link & ~(uint64_t)7);
    if ((link & LINK_BLOCK) != 0) {
        weft_block *block = WEFT_CONTAINER(address, weft_block, link);
        size_t bytes = block->bytes;
        block->destroy(core, block);
        return bytes;
    }
    weft_entry *entry = WEFT_CONTAINER(address, weft_entry, version);
    weft_map_impl *map = era_of(core)->map;
    size_t bytes = weft_entry_bytes(entry);
    if (WEFT_LIKELY(map->plain)) {
        weft_memory_give(weft_epoch_spares(), entry, bytes);
    } else {
        weft_entry_release(map, entry);
    }
    return bytes;
}

/* ---- counting and hashing -------------------------------------------------------------------- */

uint64_t weft_core_entries(const weft_core *core) {
    if (WEFT_UNLIKELY(core->shared)) {
        return core->engine->entries((weft_core *)core);
    }
    int64_t sum = 0;
    for (uint32_t i = 0; i < 2 * core->stripe_count; i++) {
        sum += weft_load_relaxed(&core->stripes[i].entries);
    }
    return sum < 0 ? 0 : (uint64_t)sum;
}

uint64_t weft_core_unhash_u64(const weft_core *core, uint64_t hash) {
    return weft_unmix_with(&core->mixer, hash);
}

/* ---- eras ------------------------------------------------------------------------------------ */

/* Counted when the library is loaded, before a thread that opens maps ties itself to a processor.
 */
static uint32_t stripes_wanted = 1;

__attribute__((constructor)) static void count_processors(void) {
    while (stripes_wanted < weft_cpu_count() && stripes_wanted < STRIPES_MAX) {
        stripes_wanted *= 2;
    }
}

static weft_era *era_alloc(weft_map_impl *map, uint32_t stripes) {
    size_t bytes = sizeof(weft_era) + WEFT_CACHE_LINE +
                   stripes * (2 * sizeof(weft_core_stripe) + sizeof(weft_limbo_stripe));
    weft_era *era = weft_memory_alloc(&map->allocator, bytes, WEFT_CACHE_LINE);
    if (era == NULL) {
        return NULL;
    }
    memset(era, 0, bytes);
    uintptr_t behind =
        ((uintptr_t)(era + 1) + WEFT_CACHE_LINE - 1) & ~(uintptr_t)(WEFT_CACHE_LINE - 1);
    era->core.stripes = (weft_core_stripe *)behind;
    era->core.limbo.stripes = (weft_limbo_stripe *)(era->core.stripes + 2 * stripes);
    era->core.stripe_count = stripes;
    era->core.limbo.stripe_count = stripes;
    era->map = map;
    era->holders = 1;
    era->bytes = bytes;
    weft_era_set_remains(era);
    return era;
}

static const unsigned char never; /* an engine that has no plain table, or does not open it */

int weft_era_make(weft_map_impl *map, weft_era **made) {
    weft_era *era = era_alloc(map, stripes_wanted);
    if (era == NULL) {
        return WEFT_E_NOMEM;
    }
    weft_core *core = &era->core;
    core->engine = weft_engine_of(map->options.engine);
    core->shape = map->shape;
    core->grow_only = map->options.grow_only;
    core->expected_entries = map->options.expected_entries;
    core->options = &map->options;
    core->allocator = map->allocator;
    core->limbo.release = release_retired;
    core->limbo.ctx = core;
    core->hash = map->options.hash;
    core->hash_ctx = map->options.hash_ctx;
    /* The same in all eras: a walk that a clear overtakes goes on at its point of the hash
     * space. */
    core->hash_seed = map->options.hash_seed;
    core->mixer = weft_mixer_of(core->hash_seed);
    if (core->shape == WEFT_SHAPE_BYTES) {
        weft_hash_make_secret(core->secret, core->hash_seed);
    }
    core->open = &never;
    int status = core->engine->open(core);
    if (status != WEFT_OK) {
        weft_memory_free(&map->allocator, era, era->bytes, WEFT_CACHE_LINE);
        return status;
    }
    *made = era;
    return WEFT_OK;
}

/* ---- clear ----------------------------------------------------------------------------------- */

bool weft_era_hold(weft_era *era) {
    uint64_t holders = weft_load_relaxed(&era->holders);
    /* Acquire, release: pairs with weft_era_let_go. */
    while (holders != 0 && !weft_cas_acq_rel(&era->holders, &holders, holders + 1)) {
    }
    return holders != 0;
}

void weft_era_let_go(weft_era *era) {
    WEFT_ASSERT(weft_epoch_inside());
    /* Acquire, release: what all holders did comes before the end. Pairs with itself. */
    if (weft_fetch_add_acq_rel(&era->holders, (uint64_t)-1) == 1) {
        weft_core_retire_remains(weft_map_core(era->map), &era->remains);
    }
}

void weft_map_replace_era(weft_map_impl *map, weft_era *fresh) {
    WEFT_ASSERT(weft_epoch_inside() && fresh->map == map);
    weft_era *old = weft_load_acquire(&map->era); /* pairs with the CAS below */
    do {
        fresh->core.era = old->core.era + 1;
        /* The linearization point. Release: the fresh era. Pairs with the acquire in
         * weft_map_core. */
    } while (!weft_cas_seq_cst(&map->era, &old, fresh));
    weft_era_let_go(old);
}

int weft_map_clear_impl(weft_map_impl *map) {
    if (map->options.fixed.memory != NULL) {
        return WEFT_E_UNSUPPORTED;
    }
    weft_guard guard;
    weft_guard_enter(&guard);
    weft_era *fresh = NULL;
    int status = weft_era_make(map, &fresh);
    if (status == WEFT_OK) {
        weft_map_replace_era(map, fresh);
        weft_recording_refuse(map, "the map was cleared, which a trace cannot hold");
    }
    weft_guard_leave(&guard);
    return status;
}

/* ---- maps ------------------------------------------------------------------------------------ */

static int check_options(weft_shape shape, const weft_map_options *o, weft_engine_id engine) {
    if (o->key_own > WEFT_OWN_BORROW || o->value_own > WEFT_OWN_BORROW ||
        o->rwlock.bias > WEFT_RWLOCK_NOBODY) {
        return WEFT_E_INVALID;
    }
    bool adopts = o->key_own == WEFT_OWN_ADOPT || o->value_own == WEFT_OWN_ADOPT;
    if (adopts && o->destructor == NULL) {
        return WEFT_E_INVALID;
    }
    if (o->allocator != NULL && (o->allocator->alloc == NULL || o->allocator->free == NULL)) {
        return WEFT_E_INVALID;
    }
    if (weft_options_bounded(o) && engine != WEFT_ENGINE_FIXED) {
        return WEFT_E_UNSUPPORTED;
    }
    bool bytes_only = o->key_own != WEFT_OWN_COPY || o->value_own != WEFT_OWN_COPY || o->refcount ||
                      o->destructor != NULL || o->hash != NULL;
    return shape == WEFT_SHAPE_U64 && bytes_only ? WEFT_E_UNSUPPORTED : WEFT_OK;
}

/* Engine "fixed": what entries of the bytes shape are made of. Those that wait for their grace
 * period take room too. */
static int open_records(weft_map_impl *map) {
    enum { KEY_DEFAULT = 32, VALUE_DEFAULT = 64, WAITING = 4096 };
    weft_fixed_options *fixed = &map->options.fixed;
    if (map->options.engine != WEFT_ENGINE_FIXED || map->shape != WEFT_SHAPE_BYTES) {
        return WEFT_OK;
    }
    uint64_t capacity = weft_fixed_capacity(&map->options);
    fixed->key_bytes = fixed->key_bytes != 0 ? fixed->key_bytes : KEY_DEFAULT;
    fixed->value_bytes = fixed->value_bytes != 0 ? fixed->value_bytes : VALUE_DEFAULT;
    if (fixed->key_bytes > WEFT_KEY_SIZE_MAX || fixed->value_bytes > WEFT_VALUE_SIZE_MAX) {
        return WEFT_E_INVALID;
    }
    size_t size = weft_entry_room(map, fixed->key_bytes, fixed->value_bytes);
    return weft_records_open(&map->records, &map->allocator, capacity + capacity / 4 + WAITING,
                             size)
               ? WEFT_OK
               : WEFT_E_NOMEM;
}

static void set_kind_of_entries(weft_map_impl *map) {
    const weft_map_options *options = &map->options;
    map->spares = map->allocator.alloc == weft_memory_default.alloc && map->records.memory == NULL;
    map->copies = options->key_own == WEFT_OWN_COPY && options->value_own == WEFT_OWN_COPY &&
                  !options->refcount && options->destructor == NULL;
    map->plain = map->spares && map->copies;
}

int weft_map_make(weft_shape shape, const weft_map_options *options, weft_map_impl **made) {
    static const weft_map_options defaults = {.size = sizeof(weft_map_options)};
    const weft_map_options *chosen = options != NULL ? options : &defaults;
    weft_engine_id engine = WEFT_ENGINE_AUTO;
    int status =
        chosen->size == sizeof *chosen ? weft_advice_resolve(chosen, &engine) : WEFT_E_INVALID;
    status = status == WEFT_OK ? check_options(shape, chosen, engine) : status;
    if (status != WEFT_OK) {
        return status;
    }
    const weft_allocator *allocator =
        chosen->allocator != NULL ? chosen->allocator : &weft_memory_default;
    weft_map_impl *map = weft_memory_alloc(allocator, sizeof *map, WEFT_CACHE_LINE);
    if (map == NULL) {
        return WEFT_E_NOMEM;
    }
    *map = (weft_map_impl){
        .unrecorded = UINT64_MAX, .shape = shape, .options = *chosen, .allocator = *allocator};
    map->options.allocator = &map->allocator;
    map->options.engine = engine;
    if (map->options.hash_seed == 0) {
        map->options.hash_seed = weft_random_u64();
    }
    weft_map_set_limbo(map);
    status = open_records(map);
    set_kind_of_entries(map);
    if (status == WEFT_OK) {
        status = weft_era_make(map, &map->era);
    }
    if (status == WEFT_OK && !weft_mutex_init(&map->claims_lock)) {
        status = WEFT_E_NOMEM;
    }
    if (status == WEFT_OK && !weft_cond_init(&map->claims_changed)) {
        weft_mutex_destroy(&map->claims_lock);
        status = WEFT_E_NOMEM;
    }
    if (status != WEFT_OK) {
        if (map->era != NULL) {
            weft_era_close(map->era);
        }
        weft_records_close(&map->records, &map->allocator);
        weft_memory_free(allocator, map, sizeof *map, WEFT_CACHE_LINE);
        return status;
    }
    *made = map;
    return WEFT_OK;
}

static void map_free(weft_map_impl *map) {
    weft_era_close(map->era);
    weft_cond_destroy(&map->claims_changed);
    weft_mutex_destroy(&map->claims_lock);
    weft_allocator allocator = map->allocator;
    weft_records_close(&map->records, &allocator);
    weft_memory_free(&allocator, map, sizeof *map, WEFT_CACHE_LINE);
}

int weft_map_unmake(weft_map_impl *map) {
    if (weft_epoch_inside() || weft_load_acquire(&map->references) != 0) { /* pairs with release */
        return WEFT_E_BUSY;
    }
    weft_recording_end(map);
    weft_epoch_synchronize();
    map_free(map);
    return WEFT_OK;
}

static WEFT_COLD weft_map_impl *open_by_first_use(void **handle, weft_shape shape) {
    weft_map_impl *made = NULL;
    void *other = NULL;
    if (weft_map_make(shape, NULL, &made) != WEFT_OK) {
        return NULL;
    }
    /* Release: the map's fields. Pairs with the acquire in weft_map_of. */
    if (weft_cas_acq_rel(handle, &other, (void *)made)) {
        return made;
    }
    map_free(made);
    return other;
}

weft_map_impl *weft_map_of(void **handle, weft_shape shape) {
    weft_map_impl *map = weft_load_acquire(handle); /* pairs with open_by_first_use */
    return WEFT_LIKELY(map != NULL) ? map : open_by_first_use(handle, shape);
}
