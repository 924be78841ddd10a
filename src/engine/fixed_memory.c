/* SPDX-License-Identifier: MIT */
/* Engine "fixed": where the table is: memory of the map's own, or memory that was given and that
 * processes may share. */
#include "engine/fixed_layout.h"

#include "base/assert.h"
#include "base/memory.h"
#include <weft/fixed.h>

enum { ENTRIES_DEFAULT = 1024, BUCKET_BITS_MAX = 40, ROOMY_ENTRIES = 128 };

/* Twice as many as entries while that is half of a first-level cache: then hardly any lookup has to
 * leave its bucket's line. */
static uint64_t buckets_for(uint64_t entries) {
    entries = entries <= ROOMY_ENTRIES ? 2 * entries : entries;
    unsigned bits = weft_bits_for(entries < BUCKETS_MIN ? BUCKETS_MIN : entries);
    return (uint64_t)1 << (bits < BUCKET_BITS_MAX ? bits : BUCKET_BITS_MAX);
}

static uint64_t stock_for(uint64_t buckets) {
    return buckets / 2;
}

uint64_t weft_fixed_capacity(const weft_map_options *options) {
    uint64_t entries = options->fixed.capacity;
    entries = entries != 0 ? entries : options->expected_entries;
    return entries != 0 ? entries : ENTRIES_DEFAULT;
}

size_t weft_fixed_bytes(size_t capacity) {
    uint64_t buckets = buckets_for(capacity != 0 ? capacity : ENTRIES_DEFAULT);
    return fixed_bytes_of(buckets, stock_for(buckets));
}

/* 0 becomes `wanted`, unless another process was quicker; returns what it is. */
static uint64_t settle(uint64_t *word, uint64_t wanted) {
    uint64_t was = 0;
    /* Pairs with the other processes' CASes of it. */
    return weft_cas_seq_cst(word, &was, wanted) ? wanted : was;
}

/* A process that dies in here leaves nothing half done: the next one does what is left. */
static void set_header(fixed_header *header, uint64_t buckets, uint64_t seed) {
    uint64_t agreed = settle(&header->buckets, buckets);
    (void)settle(&header->stock, stock_for(agreed));
    (void)settle(&header->seed, seed);
    (void)settle(&header->magic, FIXED_MAGIC);
}

fixed_finding weft_fixed_find(const fixed_header *header) {
    WEFT_ASSERT(header != NULL);
    uint64_t magic = weft_load_acquire(&header->magic); /* pairs with settle */
    uint64_t buckets = weft_load_relaxed(&header->buckets);
    if (magic == 0) {
        return FIXED_NOTHING;
    }
    if (magic >> FIXED_FORMAT_BITS != FIXED_MAGIC >> FIXED_FORMAT_BITS) {
        uint64_t turned = __builtin_bswap64(magic);
        bool table = turned >> FIXED_FORMAT_BITS == FIXED_MAGIC >> FIXED_FORMAT_BITS;
        return table ? FIXED_OTHER_ORDER : FIXED_SOMETHING;
    }
    if (magic != FIXED_MAGIC) {
        return FIXED_OTHER_FORMAT;
    }
    bool sound = buckets >= BUCKETS_MIN && (buckets & (buckets - 1)) == 0 &&
                 buckets <= (uint64_t)1 << BUCKET_BITS_MAX && header->stock == stock_for(buckets);
    return sound ? FIXED_TABLE : FIXED_DAMAGED;
}

/* What is in given memory, or what is to be made of it. */
static int attach(const weft_core *core, const weft_fixed_options *fixed, fixed_table *table) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_U64 && table->header == NULL);
    fixed_header *header = fixed->memory;
    if ((uintptr_t)fixed->memory % WEFT_CACHE_LINE != 0 || fixed->memory_bytes < sizeof *header) {
        return WEFT_E_INVALID;
    }
    fixed_finding finding = weft_fixed_find(header);
    if (finding == FIXED_NOTHING) {
        uint64_t wanted = buckets_for(weft_fixed_capacity(core->options));
        if (fixed->memory_bytes < fixed_bytes_of(wanted, stock_for(wanted))) {
            return WEFT_E_INVALID;
        }
        set_header(header, wanted, core->hash_seed);
        finding = weft_fixed_find(header);
    }
    if (finding != FIXED_TABLE) {
        bool other = finding == FIXED_OTHER_FORMAT || finding == FIXED_OTHER_ORDER;
        return other ? WEFT_E_UNSUPPORTED : WEFT_E_CORRUPT;
    }
    if (fixed->memory_bytes < fixed_bytes_of(header->buckets, header->stock)) {
        return WEFT_E_INVALID;
    }
    table->header = header;
    table->opening = weft_fetch_add_relaxed(&header->openings, 1) + 1;
    return WEFT_OK;
}

static int allocate(weft_core *core, fixed_table *table) {
    uint64_t buckets = buckets_for(weft_fixed_capacity(core->options));
    size_t bytes = fixed_bytes_of(buckets, stock_for(buckets));
    WEFT_ASSERT(bytes >= sizeof(fixed_header) + BUCKETS_MIN * sizeof(bucket));
    table->header = weft_core_alloc_table(core, bytes, false);
    if (table->header == NULL) {
        return WEFT_E_NOMEM;
    }
    table->own_bytes = bytes;
    set_header(table->header, buckets, core->hash_seed);
    return WEFT_OK;
}

int weft_fixed_open(weft_core *core) {
    WEFT_ASSERT(core->table == NULL && core->options != NULL);
    const weft_fixed_options *fixed = &core->options->fixed;
    if (fixed->memory != NULL && core->shape != WEFT_SHAPE_U64) {
        return WEFT_E_UNSUPPORTED; /* entries are addresses */
    }
    fixed_table *table = weft_core_alloc(core, sizeof *table, FACES_BYTES);
    if (table == NULL) {
        return WEFT_E_NOMEM;
    }
    *table = (fixed_table){.spare = 0};
    int status = fixed->memory != NULL ? attach(core, fixed, table) : allocate(core, table);
    if (status != WEFT_OK) {
        weft_core_free(core, table, sizeof *table, FACES_BYTES);
        return status;
    }
    table->buckets = (bucket *)(table->header + 1);
    table->mask = table->header->buckets - 1;
    table->gen.buckets = table->buckets;
    table->gen.mask = table->mask;
    table->gen.next = &table->gen;
    core->hash_seed = table->header->seed;
    core->mixer = weft_mixer_of(core->hash_seed);
    core->shared = fixed->memory != NULL;
    core->table = table;
    core->root = core->shape == WEFT_SHAPE_U64 ? &table->gen : NULL;
    return WEFT_OK;
}

void weft_fixed_detach(weft_core *core) {
    fixed_table *table = fixed_of(core);
    if (table->own_bytes != 0) {
        weft_core_free_table(core, table->header, table->own_bytes);
    }
    weft_core_free(core, table, sizeof *table, FACES_BYTES);
    core->root = NULL;
    core->table = NULL;
}
