/* SPDX-License-Identifier: MIT */
/* Engine "lockfree": snapshots. A snapshot is a resize to the same size, whose source stays as it
 * was when it moved: docs/design/snapshot.md has the one moment that it shows, the door, and each
 * CAS.
 *
 * Credits
 *   picos Htbl (a resize to the same capacity leaves a snapshot behind).
 */
#include "engine/lockfree_layout.h"
#include "engine/lockfree_overflow.h"
#include "engine/lockfree_u64.h"

enum {
    HELP_MOVES = 16,         /* what a call does that comes while something is on the move */
    LOOKS_PER_ATTEMPT = 256, /* careful looks between two attempts to open the door */
    ALL_FACES = (1 << FACES) - 1,
    OPEN_FACE = 1,
};

/* ---- the door -------------------------------------------------------------------------------- */

/* A closed one, until it is opened. */
typedef struct door {
    weft_limbo_link link;
    uint64_t face;
} door;

/* The grace period is over: nobody is left who wrote without looking whether a snapshot was being
 * taken. Who closed the door later opens it later. */
static size_t open_door(void *ctx, uint64_t link) {
    weft_core *core = ctx;
    WEFT_ASSERT((link & (_Alignof(door) - 1)) == 0);
    door *closed = WEFT_CONTAINER((void *)(uintptr_t)link, door, link);
    void *root = weft_load_relaxed(&core->root);
    /* Release: pairs with the loads of root. */
    while (face_of(root) == closed->face &&
           !weft_cas_acq_rel(&core->root, &root, (void *)generation_of(root))) {
    }
    uint64_t bit = (uint64_t)1 << closed->face;
    weft_core_free(core, closed, sizeof *closed, _Alignof(door));
    weft_fetch_add_acq_rel(&table_of(core)->faces_taken,
                           (uint64_t)0 - bit); /* pairs with take_face */
    return sizeof *closed;
}

void weft_lockfree_doors_make(weft_core *core, lockfree_table *table) {
    table->faces_taken = OPEN_FACE;
    table->doors = (weft_limbo){&table->doors_stripe, 1, open_door, core};
}

bool weft_lockfree_doors_open(weft_core *core, lockfree_table *table) {
    WEFT_ASSERT(table == table_of(core));
    (void)core;
    return weft_load_relaxed(&table->faces_taken) == OPEN_FACE ||
           weft_limbo_collect(&table->doors, FACES);
}

/* A face that no door has; 0 if there is none. */
static uint64_t take_face(lockfree_table *table) {
    uint64_t taken = weft_load_relaxed(&table->faces_taken);
    while (taken != ALL_FACES) {
        uint64_t number = (uint64_t)__builtin_ctzll(~taken);
        /* Acquire: its last door is open. Pairs with the release in open_door. */
        if (weft_cas_acq_rel(&table->faces_taken, &taken, taken | (uint64_t)1 << number)) {
            return number;
        }
    }
    return 0;
}

static void give_face_back(lockfree_table *table, uint64_t number) {
    /* pairs with take_face */
    weft_fetch_add_acq_rel(&table->faces_taken, (uint64_t)0 - ((uint64_t)1 << number));
}

/* Lookups that begin from here on are careful. False if the root has moved on. */
static bool close_door(weft_core *core, generation *root, uint64_t number) {
    void *was = weft_load_relaxed(&core->root);
    while (generation_of(was) == root) {
        if (weft_cas_seq_cst(&core->root, &was, (void *)&root->faces[number])) {
            return true;
        }
    }
    return false;
}

/* ---- images ---------------------------------------------------------------------------------- */

static void image_end(weft_core *core, weft_block *block) {
    lockfree_image *image = WEFT_CONTAINER(block, lockfree_image, remains.block);
    WEFT_ASSERT(image->holders == 0 && root_of(core) != image->gen);
    weft_core_free(core, image->gen, sizeof *image->gen, FACES_BYTES);
    weft_core_free(core, image, sizeof *image, WEFT_CACHE_LINE);
}

/* A piece of the buckets goes with their overflow blocks. */
static void image_free_piece(weft_core *core, weft_remains *remains, uint64_t piece) {
    const generation *gen = WEFT_CONTAINER(remains, lockfree_image, remains)->gen;
    WEFT_ASSERT(piece < remains->pieces);
    size_t bytes = (gen->mask + 1) * sizeof(bucket);
    uint64_t pieces = weft_core_table_pieces(core, bytes);
    uint64_t each = (gen->mask + pieces) / pieces;
    for (uint64_t i = piece * each; i < (piece + 1) * each && i <= gen->mask; i++) {
        overflow_drop(core, overflow_of(gen->buckets[i].head.second));
    }
    weft_remains_free_piece(core, remains, piece);
}

void weft_lockfree_image_let_go(weft_core *core, lockfree_image *image) {
    /* Acquire and release: all looks at the image come before its end. Pairs with itself. */
    if (weft_fetch_add_acq_rel(&image->holders, (uint64_t)-1) == 1) {
        if (image->remains.pieces != 0) {
            weft_core_retire_remains(core, &image->remains);
        } else {
            weft_core_retire_block(core, &image->remains.block);
        }
    }
}

void weft_lockfree_image_release(weft_core *core, weft_image *base) {
    WEFT_ASSERT(weft_epoch_inside());
    weft_lockfree_image_let_go(core, WEFT_CONTAINER(base, lockfree_image, base));
}

bool weft_lockfree_becomes_image(const generation *gen) {
    const generation *next = weft_load_acquire(&gen->next); /* pairs with the CAS of next */
    /* Pairs with the store in move_to_image. */
    return next != NULL && next->image != NULL && weft_load_acquire(&next->image->is_void) == 0;
}

/* Moves a bucket that nobody may write to; without memory, nobody shall need the image. */
void weft_lockfree_move_to_image(weft_core *core, generation *gen, uint64_t hash) {
    if (!weft_lockfree_move_bucket(core, gen, hash)) {
        /* Comes before the write that its want makes possible. Pairs with the load in
         * image_answer. */
        weft_store_seq_cst(&gen->next->image->is_void, 1);
    }
}

/* A lookup that found the door closed comes to a bucket that has not moved. True: look again. */
bool weft_lockfree_look_behind_door(weft_core *core, generation *gen, uint64_t hash) {
    lockfree_table *table = table_of(core);
    if (weft_fetch_add_relaxed(&table->careful_looks, 1) % LOOKS_PER_ATTEMPT == 0) {
        (void)weft_lockfree_doors_open(core, table);
    }
#if WEFT_MUTANT == 10 /* believes a bucket into which somebody may write late */
    return false;
#endif
    if (!weft_lockfree_becomes_image(gen)) {
        return false;
    }
    weft_lockfree_move_to_image(core, gen, hash);
    return true;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* All that a snapshot needs, before anything can be seen of it. */
typedef struct attempt {
    generation *root;
    generation *next;
    lockfree_image *image;
    door *door;
} attempt;

static void attempt_undo(weft_core *core, attempt *made) {
    if (made->door != NULL) {
        weft_core_free(core, made->door, sizeof *made->door, _Alignof(door));
    }
    if (made->image != NULL) {
        weft_core_free(core, made->image, sizeof *made->image, WEFT_CACHE_LINE);
    }
    if (made->next != NULL) {
        generation_free(core, made->next);
    }
}

static bool attempt_make(weft_core *core, attempt *made) {
    WEFT_ASSERT(made->root != NULL);
    made->next = weft_lockfree_generation_new(core, made->root->mask + 1, made->root);
    made->image = weft_core_alloc(core, sizeof *made->image, WEFT_CACHE_LINE);
    made->door = weft_core_alloc(core, sizeof *made->door, _Alignof(door));
    if (made->next == NULL || made->image == NULL || made->door == NULL) {
        attempt_undo(core, made);
        return false;
    }
    *made->image = (lockfree_image){.base = {.core = core}, .gen = made->root, .holders = 2};
    memcpy(made->image->remains.tables, made->root->remains.tables,
           sizeof made->root->remains.tables);
    weft_remains_set(core, &made->image->remains, image_end);
    made->image->remains.free_piece = image_free_piece;
    made->next->image = made->image;
    return true;
}

static void image_forget(weft_core *core, weft_block *block) {
    weft_core_free(core, WEFT_CONTAINER(block, lockfree_image, remains.block),
                   sizeof(lockfree_image), WEFT_CACHE_LINE);
}

/* The image has been registered. */
static int attempt_publish(weft_core *core, attempt *made) {
    WEFT_ASSERT(weft_load_relaxed(&core->images[made->image->base.slot]) == &made->image->base);
    lockfree_table *table = table_of(core);
    uint64_t number = take_face(table);
    bool closed = number != 0 && close_door(core, made->root, number);
    generation *none = NULL;
    /* The linearization point. Release: the generation. Pairs with the acquire loads of next. */
    bool published = closed && weft_cas_seq_cst(&made->root->next, &none, made->next);
    if (closed) {
        made->door->face = number;
#if WEFT_MUTANT == 11 /* opens the door without waiting for late writers */
        open_door(core, (uintptr_t)&made->door->link);
#else
        weft_limbo_retire(&table->doors, (uintptr_t)&made->door->link, sizeof *made->door);
#endif
        made->door = NULL;
    } else if (number != 0) {
        give_face_back(table, number);
    }
    if (published) {
        return WEFT_OK;
    }
    /* Others may be looking at the image: it is retired when it is released. */
    made->image->holders = 1;
    made->image->remains.block.destroy = image_forget;
    made->image->remains.pieces = 0; /* of tables that are not its own */
    made->image = NULL;
    attempt_undo(core, made);
    return WEFT_E_BUSY;
}

int weft_lockfree_snapshot(weft_core *core, weft_image **image) {
    WEFT_ASSERT(weft_epoch_inside());
    attempt made = {.root = root_of(core)};
    *image = NULL;
    if (made.root == NULL) {
        made.root = weft_lockfree_first_generation(core);
        if (made.root == NULL) {
            return WEFT_E_NOMEM;
        }
    }
    if (weft_load_relaxed(&made.root->next) != NULL) {
        for (int i = 0; i < HELP_MOVES; i++) {
            lockfree_help_move(core);
        }
        return WEFT_E_BUSY;
    }
#if WEFT_MUTANT != 23 /* waits for doors that nobody opens */
    /* There may be no writes, whose lookups would do it. */
    if (weft_load_relaxed(&table_of(core)->faces_taken) == ALL_FACES &&
        !weft_lockfree_doors_open(core, table_of(core)) &&
        weft_load_relaxed(&table_of(core)->faces_taken) == ALL_FACES) {
        return WEFT_E_BUSY;
    }
#endif
    if (!attempt_make(core, &made)) {
        return WEFT_E_NOMEM;
    }
    if (!weft_core_register_image(core, &made.image->base)) {
        attempt_undo(core, &made);
        return WEFT_E_BUSY;
    }
    *image = &made.image->base;
    return attempt_publish(core, &made);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Has this bucket of an image moved? Then all its slots are marked; one that is only frozen may
 * still be changed by a late writer. */
static bool has_moved(const weft_core *core, const generation *gen, uint64_t hash) {
    WEFT_ASSERT(gen != NULL);
#if WEFT_MUTANT == 22 /* shows a bucket that somebody may change late */
    return is_frozen(weft_load_acquire(&bucket_at(gen, hash)->head.first));
#endif
    if (root_of(core) != gen) {
        return true;
    }
    const generation *next = weft_load_acquire(&gen->next); /* pairs with the CAS of next */
    /* Acquire: the marks. Pairs with the publishing CAS of fill_target. */
    return weft_load_acquire(&bucket_at(next, hash)->head.first) != 0;
}

/* The bucket of the image, as it will be for ever; NULL if the image is void. */
static bucket *image_bucket(weft_core *core, const lockfree_image *image, uint64_t hash) {
    WEFT_ASSERT(weft_epoch_inside() && image->gen != NULL);
    if (!has_moved(core, image->gen, hash)) {
        weft_lockfree_move_to_image(core, image->gen, hash);
    }
    return has_moved(core, image->gen, hash) ? bucket_at(image->gen, hash) : NULL;
}

/* What a look at the image may answer: nothing, if it was given up meanwhile. */
static int image_answer(const lockfree_image *image, int status) {
    /* Acquire: after the look. Pairs with the store in move_to_image. */
    return weft_load_acquire(&image->is_void) != 0 ? WEFT_E_NOMEM : status;
}

static uint64_t public_cell(const weft_core *core, const cell *what) {
    return core->shape == WEFT_SHAPE_U64 ? what->value : (uintptr_t)word_entry(what->value);
}

static bool cell_has_key(const weft_core *core, const cell *what, const weft_key *key) {
    if (core->shape == WEFT_SHAPE_U64) {
        return what->hash == key->hash;
    }
    return ((what->value ^ key->hash) & WORD_TAG) == 0 &&
           weft_entry_has_key(word_entry(what->value), key->bytes);
}

int weft_lockfree_image_look(weft_core *core, weft_image *base, const weft_key *key,
                             uint64_t *out) {
    WEFT_ASSERT(base->core == core);
    const lockfree_image *image = WEFT_CONTAINER(base, lockfree_image, base);
    bucket *at = image_bucket(core, image, key->hash);
    if (at == NULL) {
        return WEFT_E_NOMEM;
    }
    const bucket_view in = {at, load_head(at)};
    uint64_t end = all_slots(core, in.head.second);
    for (uint64_t i = 0; i < end; i++) {
        cell what = {.hash = key->hash & image->gen->mask};
        if (live_slot(core, &in, i, &what) && cell_has_key(core, &what, key)) {
            *out = public_cell(core, &what);
            return image_answer(image, WEFT_OK);
        }
    }
    return image_answer(image, WEFT_NOT_FOUND);
}

int weft_lockfree_image_next(weft_core *core, weft_image *base, weft_image_cell *at) {
    WEFT_ASSERT(base->core == core);
    const lockfree_image *image = WEFT_CONTAINER(base, lockfree_image, base);
    for (; at->bucket <= image->gen->mask; at->bucket++, at->next = 0) {
        bucket *here = image_bucket(core, image, at->bucket);
        if (here == NULL) {
            return WEFT_E_NOMEM;
        }
        const bucket_view in = {here, load_head(here)};
        uint64_t end = all_slots(core, in.head.second);
        while (at->next < end) {
            cell what = {.hash = at->bucket};
            if (live_slot(core, &in, at->next++, &what)) {
                bool number = core->shape == WEFT_SHAPE_U64;
                at->key_number = number ? weft_core_unhash_u64(core, what.hash) : 0;
                at->cell = public_cell(core, &what);
                return image_answer(image, WEFT_OK);
            }
        }
        lockfree_help_move(core); /* when all is read, all has moved */
    }
    return image_answer(image, WEFT_NOT_FOUND);
}

bool weft_lockfree_image_holds(weft_core *core, const weft_image *base, const weft_key *key,
                               uint64_t wanted) {
    WEFT_ASSERT(core->shape == WEFT_SHAPE_BYTES && weft_epoch_inside());
    const lockfree_image *image = WEFT_CONTAINER(base, const lockfree_image, base);
    bucket *at = bucket_at(image->gen, key->hash);
    /* From one that is not frozen it was unlinked. Pairs with the freezing CAS. */
    bool frozen = is_frozen(weft_load_acquire(&at->head.first));
    const bucket_view in = {at, load_head(at)};
    uint64_t end = frozen ? all_slots(core, in.head.second) : 0;
    for (uint64_t i = 0; i < end; i++) {
        cell what = {.hash = key->hash & image->gen->mask};
        if (live_slot(core, &in, i, &what) && public_cell(core, &what) == wanted) {
            return true;
        }
    }
    return false;
}
